#include "quoin/auth/passrule.h"

#include <string.h>

#include "commonwords.h"
#include "quoin/auth/password.h"
#include "quoin/base/rand.h"
#include "quoin/base/utf8.h"

enum {
	LOCAL_LEAST = 3, /* a shorter one is in every other password */
	REST_LEAST = 8,
	DISTINCT_LEAST = 6,
	WORDS_MOST = 4,  /* as many of the common words are still guessed */
	WALK_LEAST = 3,  /* keys that make a run */
	STRAYS_MOST = 3, /* characters outside all runs */
};

static const struct {
	const char *type, *msg;
} faults[QN_PASSWORD__MAX] = {
#define X(name, type_, msg_) [QN_PASSWORD_##name] = {type_, msg_},
    QN_PASSWORD_FAULTS(X)
#undef X
};

const char *qn_password_fault_type(enum qn_password_fault f)
{
	return (unsigned)f < QN_PASSWORD__MAX ? faults[f].type : "";
}

const char *qn_password_fault_msg(enum qn_password_fault f)
{
	return (unsigned)f < QN_PASSWORD__MAX ? faults[f].msg : "";
}

/* Characters; -1: not UTF-8, or with a NUL. */
static long count_chars(struct qn_span s)
{
	long n = 0;

	for (size_t i = 0, len; i < s.n; i += len, n++) {
		len = qn_utf8_len(s.p + i, s.n - i);
		if (len == 0 || s.p[i] == '\0')
			return -1;
	}
	return n;
}

static bool between(char c, char first, char last)
{
	return c >= first && c <= last;
}

static char lower(char c)
{
	return between(c, 'A', 'Z') ? (char)(c - 'A' + 'a') : c;
}

static bool is_letter(char c)
{
	return between(lower(c), 'a', 'z');
}

static bool has_classes(struct qn_span s)
{
	bool small = false, capital = false, digit = false, other = false;

	for (size_t i = 0; i < s.n; i++) {
		char c = s.p[i];
		if (between(c, 'a', 'z'))
			small = true;
		else if (between(c, 'A', 'Z'))
			capital = true;
		else if (between(c, '0', '9'))
			digit = true;
		else
			other = true;
	}
	return small && capital && digit && other;
}

static bool same_folded(const char *a, const char *b, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (lower(a[i]) != lower(b[i]))
			return false;
	return true;
}

static bool made_of_email(struct qn_span s, struct qn_span email)
{
	const char *at = email.n > 0 ? memrchr(email.p, '@', email.n) : NULL;
	size_t n = at != NULL ? (size_t)(at - email.p) : email.n;

	if (n < LOCAL_LEAST || s.n < n || s.n - n >= REST_LEAST)
		return false;
	for (size_t i = 0; i + n <= s.n; i++)
		if (same_folded(s.p + i, email.p, n))
			return true;
	return false;
}

static bool too_uniform(struct qn_span s)
{
	bool seen[256] = {false};
	int distinct = 0;

	for (size_t i = 0; i < s.n; i++) {
		unsigned char c = (unsigned char)lower(s.p[i]);
		distinct += !seen[c];
		seen[c] = true;
	}
	return distinct < DISTINCT_LEAST;
}

/* The letter that a digit or a sign stands for. l and i are one, as 1 stands for both. */
static char unmask(char c)
{
	static const char from[] = "013457@$!|+l", to[] = "oieastasiiti";
	const char *p = c != '\0' ? strchr(from, c) : NULL;

	return p != NULL ? to[p - from] : c;
}

/* The key without shift, US layout. */
static char key_of(char c)
{
	static const char from[] = "!@#$%^&*()_+{}:\"<>?~|", to[] = "1234567890-=[];',./`\\";
	const char *p = c != '\0' ? strchr(from, c) : NULL;

	return p != NULL ? to[p - from] : lower(c);
}

static bool starts_with_word(const char *p, size_t n, const char *word, size_t word_n)
{
	if (word_n > n)
		return false;
	for (size_t i = 0; i < word_n; i++)
		if (p[i] != unmask(word[i]))
			return false;
	return true;
}

/* Whether these letters are up to so many of the words, one after the other. */
static bool is_words(const char *p, size_t n, int most)
{
	for (const char *const *w = common_words; most > 0 && *w != NULL; w++) {
		size_t word_n = strlen(*w);
		if (starts_with_word(p, n, *w, word_n) &&
		    (n == word_n || is_words(p + word_n, n - word_n, most - 1)))
			return true;
	}
	return false;
}

/* Three readings: every digit and sign is decoration; those at both ends are, or at the end only, and
 * those within stand for letters. */
static bool is_common(struct qn_span s, bool masked, bool head_too)
{
	char letters[QN_PASSWORD_MOST];
	size_t from = 0, to = s.n, n = 0;

	while (to > 0 && !is_letter(s.p[to - 1]))
		to--;
	while (head_too && from < to && !is_letter(s.p[from]))
		from++;
	for (size_t i = from; i < to; i++) {
		char c = masked ? unmask(lower(s.p[i])) : lower(s.p[i]);
		if (is_letter(c))
			letters[n++] = masked ? c : unmask(c);
	}
	bool found = n > 0 && is_words(letters, n, WORDS_MOST);
	qn_wipe(letters, sizeof(letters));
	return found;
}

static size_t run_along(const char *p, size_t n, const char *walk, size_t from, int step)
{
	size_t len = strlen(walk), at = from, done = 0;

	for (; done < n && at < len && key_of(p[done]) == walk[at]; done++)
		at += (size_t)step; /* before the first key it wraps and ends the run */
	return done;
}

/* How long a run of keys starts at p. */
static size_t run(const char *p, size_t n)
{
	size_t best = 0;

	for (const char *const *w = common_walks; *w != NULL; w++) {
		for (size_t from = 0; (*w)[from] != '\0'; from++) {
			size_t forth = run_along(p, n, *w, from, 1);
			size_t back = run_along(p, n, *w, from, -1);
			best = forth > best ? forth : best;
			best = back > best ? back : best;
		}
	}
	return best;
}

static bool is_walk(struct qn_span s)
{
	size_t strays = 0, n;

	for (size_t i = 0; i < s.n; i += n) {
		n = run(s.p + i, s.n - i);
		if (n < WALK_LEAST) {
			n = 1;
			if (++strays > STRAYS_MOST)
				return false;
		}
	}
	return true;
}

static enum qn_password_fault judge(struct qn_span s, struct qn_span email)
{
	long chars = count_chars(s);

	if (chars < 0)
		return QN_PASSWORD_TEXT;
	if (chars < QN_PASSWORD_LEAST)
		return QN_PASSWORD_SHORT;
	if (s.n > QN_PASSWORD_MOST)
		return QN_PASSWORD_LONG;
	if (!has_classes(s))
		return QN_PASSWORD_CLASSES;
	if (made_of_email(s, email))
		return QN_PASSWORD_EMAIL;
	if (too_uniform(s) || is_walk(s) || is_common(s, false, true) || is_common(s, true, true) ||
	    is_common(s, true, false))
		return QN_PASSWORD_COMMON;
	return QN_PASSWORD_OK;
}

enum qn_err qn_password_judge(const struct qn_breached *list, struct qn_span password,
    struct qn_span email, enum qn_password_fault *ret)
{
	enum qn_password_fault fault = judge(password, email);
	bool found = false;

	if (fault == QN_PASSWORD_OK)
		QN_TRY(qn_breached_find(list, password, &found));
	*ret = found ? QN_PASSWORD_BREACHED : fault;
	return QN_OK;
}
