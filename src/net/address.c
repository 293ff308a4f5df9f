#include "quoin/net/address.h"

#include "quoin/base/utf8.h"

enum { LOCAL_MAX = 64, DOMAIN_MAX = 253, LABEL_MAX = 63, NAME_MAX_BYTES = 200 };

static bool is_alnum(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

/* RFC 5321 §4.1.2, Dot-string: atoms with single dots between them. */
static bool local_ok(struct qn_span s)
{
	static const char others[] = "!#$%&'*+-/=?^_`{|}~";

	if (s.n == 0 || s.n > LOCAL_MAX || s.p[0] == '.' || s.p[s.n - 1] == '.')
		return false;
	for (size_t i = 0; i < s.n; i++) {
		bool dot = s.p[i] == '.' && s.p[i - 1] != '.';
		if (!dot && !is_alnum(s.p[i]) && memchr(others, s.p[i], sizeof(others) - 1) == NULL)
			return false;
	}
	return true;
}

static bool label_ok(struct qn_span s)
{
	if (s.n == 0 || s.n > LABEL_MAX || s.p[0] == '-' || s.p[s.n - 1] == '-')
		return false;
	for (size_t i = 0; i < s.n; i++)
		if (!is_alnum(s.p[i]) && s.p[i] != '-')
			return false;
	return true;
}

/* Two labels or more; the last is no number, which an IPv4 address would end in. */
static bool domain_ok(struct qn_span s)
{
	struct qn_span label = s;
	size_t labels = 0;

	if (s.n > DOMAIN_MAX)
		return false;
	for (;;) {
		const char *dot = memchr(label.p, '.', label.n);
		size_t rest = label.n;
		label.n = dot != NULL ? (size_t)(dot - label.p) : label.n;
		if (!label_ok(label))
			return false;
		labels++;
		if (dot == NULL)
			break;
		label = (struct qn_span){dot + 1, rest - label.n - 1};
	}
	bool number = true;
	for (size_t i = 0; i < label.n; i++)
		number = number && label.p[i] >= '0' && label.p[i] <= '9';
	return labels >= 2 && !number;
}

bool qn_address_ok(struct qn_span s)
{
	const char *at = s.p != NULL ? memchr(s.p, '@', s.n) : NULL;

	if (at == NULL || s.n > QN_ADDRESS_MAX)
		return false;
	size_t n = (size_t)(at - s.p);
	return local_ok((struct qn_span){s.p, n}) &&
	       domain_ok((struct qn_span){at + 1, s.n - n - 1});
}

static bool name_ok(struct qn_span s)
{
	if (s.n == 0 || s.n > NAME_MAX_BYTES)
		return false;
	for (size_t i = 0, n; i < s.n; i += n) {
		n = qn_utf8_len(s.p + i, s.n - i);
		unsigned char c = (unsigned char)s.p[i];
		if (n == 0 || c < 0x20 || c == 0x7f || c == '<' || c == '>')
			return false;
	}
	return true;
}

/* Without space around it, or the quotes that may be. */
static struct qn_span trimmed(struct qn_span s)
{
	while (s.n > 0 && s.p[0] == ' ')
		s = (struct qn_span){s.p + 1, s.n - 1};
	while (s.n > 0 && s.p[s.n - 1] == ' ')
		s.n--;
	if (s.n >= 2 && s.p[0] == '"' && s.p[s.n - 1] == '"')
		s = (struct qn_span){s.p + 1, s.n - 2};
	return s;
}

bool qn_sender_parse(struct qn_arena *a, const char *text, struct qn_sender *ret)
{
	struct qn_span s = qn_span_of(text), name = {NULL, 0};
	const char *open = strrchr(text, '<');

	if (open != NULL && s.n > 0 && s.p[s.n - 1] == '>') {
		name = trimmed((struct qn_span){s.p, (size_t)(open - s.p)});
		s = (struct qn_span){open + 1, s.n - (size_t)(open - s.p) - 2};
	}
	if (!qn_address_ok(s) || (open != NULL && !name_ok(name)))
		return false;
	ret->name = open != NULL ? qn_strndup(a, name.p, name.n) : NULL;
	ret->address = qn_strndup(a, s.p, s.n);
	return true;
}
