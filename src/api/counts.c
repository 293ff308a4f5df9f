/* What is counted so that nobody tries without end: guesses, mails, accounts (SECURITY T9, T40; docs/limits.md). */
#include "counts.h"

#include "quoin/base/netaddr.h"

enum { GUESSES = 5, GUESSES_ALL = 30, GUESSES_NET = 100, MAILS = 5 };

struct attempt_guess api_guess_at(struct qn_request *r, const char *what, const char *subject)
{
	char net[QN_NET_LEN];

	qn_net_of(r->remote_addr, net);
	return (struct attempt_guess){
	    .network = qn_printf(r->arena, "%s\n\n%s", what, net),
	    .client = qn_printf(r->arena, "%s\n%s\n%s", what, subject, net),
	    .all = qn_printf(r->arena, "%s\n%s", what, subject),
	    .free_network = GUESSES_NET,
	    .free_client = GUESSES,
	    .free_all = GUESSES_ALL,
	};
}

enum qn_err api_wait(struct qn_request *r, int64_t seconds)
{
	if (seconds == 0)
		return QN_OK;
	r->retry_after_s = seconds;
	return QN_TOO_MANY;
}

enum qn_err api_guess(struct qn_request *r, const char *what, const char *subject)
{
	struct attempt_guess g = api_guess_at(r, what, subject);
	int64_t wait;

	QN_TRY(attempt_guess(r->db, r->arena, r->who.app->id, &g, &wait));
	return api_wait(r, wait);
}

/* An office that signs in all day stays as free as it was; what others guessed stays counted. */
enum qn_err api_guessed(struct qn_request *r, const char *what, const char *subject)
{
	struct attempt_guess g = api_guess_at(r, what, subject);

	return attempt_guessed(r->db, r->arena, r->who.app->id, &g);
}

static enum qn_err count(struct qn_request *r, const char *subject, int64_t free)
{
	int64_t wait;

	QN_TRY(attempt_count(r->db, r->arena, r->who.app->id, subject, free, &wait));
	return api_wait(r, wait);
}

static const char *by_network(struct qn_request *r, const char *what)
{
	char net[QN_NET_LEN];

	qn_net_of(r->remote_addr, net);
	return qn_printf(r->arena, "%s\n\n%s", what, net);
}

enum qn_err api_count(struct qn_request *r, const char *what, int64_t free)
{
	return count(r, by_network(r, what), free);
}

enum qn_err api_count_mail(struct qn_request *r, const char *what, const char *email)
{
	return count(r, qn_printf(r->arena, "%s\n%s", what, api_lower(r, email)), MAILS);
}

void api_uncount(struct qn_request *r, const char *what, int64_t free)
{
	if (attempt_refund(r->db, r->arena, r->who.app->id, by_network(r, what), free) != QN_OK)
		r->why = "an attempt was not taken back";
}
