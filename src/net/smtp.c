/*
 * SMTP through libcurl. What the server refused, and at which command, decides whether the mail is tried again,
 * has failed or has bounced: curl's own codes do not say.
 */
#include <strings.h>

#include "mail.h"

enum { REPLY_BYTES = 2000 };

struct dialogue {
	struct sending *sending;
	struct qn_buf letter;
	size_t sent; /* bytes of it */
	char command[12];
	struct qn_buf reply; /* the refusal of that command; empty while there is none */
};

struct server {
	CURLU *url;
	char *scheme, *host, *user, *password; /* curl's; NULL: none */
};

static char *part_of(CURLU *u, CURLUPart part, unsigned flags)
{
	char *text = NULL;

	return curl_url_get(u, part, &text, flags) == CURLUE_OK ? text : NULL;
}

static void server_done(struct server *s)
{
	if (s->password != NULL)
		explicit_bzero(s->password, strlen(s->password));
	curl_free(s->scheme);
	curl_free(s->host);
	curl_free(s->user);
	curl_free(s->password);
	curl_url_cleanup(s->url);
}

/* NULL, and then the caller calls server_done; or what is wrong. */
static const char *server_open(const char *text, struct server *s)
{
	*s = (struct server){.url = curl_url()};
	if (s->url == NULL)
		return "no memory for EMAIL_SERVER";
	if (curl_url_set(s->url, CURLUPART_URL, text, CURLU_NON_SUPPORT_SCHEME) == CURLUE_OK) {
		s->scheme = part_of(s->url, CURLUPART_SCHEME, 0);
		s->host = part_of(s->url, CURLUPART_HOST, 0);
		s->user = part_of(s->url, CURLUPART_USER, CURLU_URLDECODE);
		s->password = part_of(s->url, CURLUPART_PASSWORD, CURLU_URLDECODE);
		if (s->scheme != NULL && s->host != NULL && s->host[0] != '\0' &&
		    (strcmp(s->scheme, "smtp") == 0 || strcmp(s->scheme, "smtps") == 0) &&
		    (s->user == NULL) == (s->password == NULL))
			return NULL;
	}
	server_done(s);
	return "EMAIL_SERVER must be smtp://HOST[:PORT] or smtps://HOST[:PORT], with USER:PASSWORD@ or "
	       "without";
}

const char *smtp_fault(const char *server)
{
	struct server s;
	const char *why = server_open(server, &s);

	if (why == NULL)
		server_done(&s);
	return why;
}

/* The first word of a command; nothing of what follows AUTH is kept. */
static void commanded(struct dialogue *d, const char *p, size_t n)
{
	static const char *const known[] = {
	    "EHLO", "HELO", "STARTTLS", "AUTH", "MAIL", "RCPT", "DATA"};

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		size_t len = strlen(known[i]);
		if (n >= len && strncasecmp(p, known[i], len) == 0) {
			memcpy(d->command, known[i], len + 1);
			qn_buf_clear(&d->reply);
		}
	}
}

/* Lines of a refusal, with one code before them all. */
static void replied(struct dialogue *d, const char *p, size_t n)
{
	if (n < 4 || (p[0] != '4' && p[0] != '5'))
		return;
	if (d->reply.n == 0)
		qn_buf_add(&d->reply, p, 3);
	qn_buf_char(&d->reply, ' ');
	qn_buf_add(&d->reply, p + 4, n - 4);
}

static int watch(CURL *c, curl_infotype type, char *p, size_t n, void *arg)
{
	struct dialogue *d = arg;

	(void)c;
	if (type == CURLINFO_HEADER_OUT)
		commanded(d, p, n);
	else if (type == CURLINFO_HEADER_IN)
		replied(d, p, n);
	return 0;
}

static size_t give(char *to, size_t size, size_t n, void *arg)
{
	struct dialogue *d = arg;
	size_t left = d->letter.n - d->sent, part = size * n < left ? size * n : left;

	memcpy(to, d->letter.p + d->sent, part);
	d->sent += part;
	return part;
}

/* How we say who we are: the host of QUOIN_PUBLIC_URL. */
static void set_greeting(const struct sending *s, struct server *server)
{
	CURLU *own = curl_url();
	char *host = NULL;

	if (own != NULL &&
	    curl_url_set(own, CURLUPART_URL, qn_conf_str(s->conf, QN_CONF_KEY_QUOIN_PUBLIC_URL),
		0) == CURLUE_OK &&
	    (host = part_of(own, CURLUPART_HOST, 0)) != NULL)
		curl_url_set(server->url, CURLUPART_PATH, qn_printf(s->arena, "/%s", host), 0);
	curl_free(host);
	curl_url_cleanup(own);
}

static void set_up(struct dialogue *d, CURL *c, const struct server *server, struct curl_slist *to)
{
	const struct sending *s = d->sending;
	bool inside = host_is_loopback(server->host);

	sending_limits(s, c, "smtp,smtps");
	curl_easy_setopt(c, CURLOPT_CURLU, server->url);
	/* Nothing leaves the host in the clear; on it, TLS is used where it is offered. */
	curl_easy_setopt(c, CURLOPT_USE_SSL, (long)(inside ? CURLUSESSL_TRY : CURLUSESSL_ALL));
	curl_easy_setopt(
	    c, CURLOPT_MAIL_FROM, qn_printf(s->arena, "<%s>", s->message->from.address));
	curl_easy_setopt(c, CURLOPT_MAIL_RCPT, to);
	curl_easy_setopt(c, CURLOPT_UPLOAD, 1L);
	curl_easy_setopt(c, CURLOPT_INFILESIZE_LARGE, (curl_off_t)d->letter.n);
	curl_easy_setopt(c, CURLOPT_READFUNCTION, give);
	curl_easy_setopt(c, CURLOPT_READDATA, d);
	curl_easy_setopt(c, CURLOPT_VERBOSE, 1L);
	curl_easy_setopt(c, CURLOPT_DEBUGFUNCTION, watch);
	curl_easy_setopt(c, CURLOPT_DEBUGDATA, d);
}

/*
 * 5xx to RCPT speaks of the receiver, to MAIL and DATA of this mail. 530, 535 and 538 ask for a sign-in, and
 * whatever was refused before MAIL is a matter of the settings: the operator mends them and the mail goes out.
 */
static enum qn_mail_result result_of(const struct dialogue *d)
{
	const char *reply = d->reply.n >= 3 ? d->reply.p : "400";
	bool sign_in = strncmp(reply, "530", 3) == 0 || strncmp(reply, "535", 3) == 0 ||
	               strncmp(reply, "538", 3) == 0;

	if (reply[0] != '5' || sign_in)
		return QN_MAIL_LATER;
	if (strcmp(d->command, "RCPT") == 0)
		return QN_MAIL_BOUNCED;
	if (strcmp(d->command, "MAIL") == 0 || strcmp(d->command, "DATA") == 0)
		return QN_MAIL_FAILED;
	return QN_MAIL_LATER;
}

static void conclude(struct dialogue *d, CURLcode rc)
{
	struct sending *s = d->sending;

	if (rc == CURLE_OK)
		return;
	s->outcome->slow = rc == CURLE_OPERATION_TIMEDOUT;
	if (d->reply.n > 0 && !s->outcome->slow)
		sending_ends(s, result_of(d),
		    qn_printf(s->arena, "%s%s%.*s", d->command, d->command[0] != '\0' ? ": " : "",
			(int)d->reply.n, d->reply.p));
	else
		sending_ends(s, QN_MAIL_LATER,
		    qn_printf(s->arena, "EMAIL_SERVER: %s", curl_easy_strerror(rc)));
}

static void talk(struct dialogue *d, const struct server *server)
{
	struct sending *s = d->sending;
	struct curl_slist *to =
	    curl_slist_append(NULL, qn_printf(s->arena, "<%s>", s->message->to));
	CURL *c = curl_easy_init();

	if (c == NULL || to == NULL) {
		sending_ends(s, QN_MAIL_LATER, "no memory for a call");
	} else {
		set_up(d, c, server, to);
		conclude(d, curl_easy_perform(c));
	}
	curl_easy_cleanup(c);
	curl_slist_free_all(to);
}

void send_by_smtp(struct sending *s, const char *text)
{
	struct dialogue d = {.sending = s};
	struct server server;
	const char *why = server_open(text, &server);

	if (why != NULL) {
		sending_ends(s, QN_MAIL_LATER, why);
		return;
	}
	s->secrets[1] = server.password;
	set_greeting(s, &server);
	qn_buf_init(&d.letter, QN_MESSAGE_MAX);
	qn_buf_init(&d.reply, REPLY_BYTES);
	if (qn_message_compose(s->arena, s->message, &d.letter))
		talk(&d, &server);
	else
		sending_ends(s, QN_MAIL_FAILED, "the mail is too large");
	if (d.letter.p != NULL)
		explicit_bzero(d.letter.p, d.letter.n);
	qn_buf_done(&d.letter);
	qn_buf_done(&d.reply);
	server_done(&server);
}
