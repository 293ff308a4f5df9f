/* SendGrid's API, v3 /mail/send. */
#include "mail.h"

enum { ANSWER_BYTES = 16 * 1024 };

static void put_member(struct qn_buf *b, const char *name, const char *value)
{
	qn_buf_printf(b, "\"%s\":", name);
	qn_buf_json(b, value, strlen(value));
}

/* Their tracking would send every link, tokens and all, through their own servers. */
static void put_mail(const struct sending *s, struct qn_buf *b)
{
	const struct qn_message *m = s->message;

	qn_buf_str(b, "{\"personalizations\":[{\"to\":[{");
	put_member(b, "email", m->to);
	qn_buf_str(b, "}]}],\"from\":{");
	put_member(b, "email", m->from.address);
	if (m->from.name != NULL) {
		qn_buf_char(b, ',');
		put_member(b, "name", m->from.name);
	}
	qn_buf_str(b, "},");
	put_member(b, "subject", m->subject);
	qn_buf_str(b, ",\"content\":[{\"type\":\"text/plain\",");
	put_member(b, "value", m->text);
	qn_buf_str(b, "},{\"type\":\"text/html\",");
	put_member(b, "value", m->html);
	qn_buf_str(b, "}],\"headers\":{\"Auto-Submitted\":\"auto-generated\",");
	put_member(b, "Message-ID", qn_message_id(s->arena, m));
	qn_buf_str(b, "},\"custom_args\":{");
	put_member(b, "mail_id", m->id);
	qn_buf_str(b,
	    "},\"tracking_settings\":{\"click_tracking\":{\"enable\":false,\"enable_text\":false},"
	    "\"open_tracking\":{\"enable\":false}}}");
}

static size_t take(char *p, size_t size, size_t n, void *arg)
{
	struct qn_buf *answer = arg;

	qn_buf_add(answer, p, size * n);
	return answer->over ? 0 : size * n;
}

/* The scheme may be http only where nobody listens. */
static const char *protocols_for(const char *url)
{
	const char *protocols = NULL;
	char *scheme = NULL, *host = NULL;
	CURLU *u = curl_url();

	if (u != NULL && curl_url_set(u, CURLUPART_URL, url, 0) == CURLUE_OK &&
	    curl_url_get(u, CURLUPART_SCHEME, &scheme, 0) == CURLUE_OK &&
	    curl_url_get(u, CURLUPART_HOST, &host, 0) == CURLUE_OK) {
		if (strcmp(scheme, "https") == 0)
			protocols = "https";
		else if (strcmp(scheme, "http") == 0 && host_is_loopback(host))
			protocols = "http";
	}
	curl_free(scheme);
	curl_free(host);
	curl_url_cleanup(u);
	return protocols;
}

const char *sendgrid_fault(const char *url)
{
	return protocols_for(url) == NULL ? "SENDGRID_URL must be an https:// address" : NULL;
}

/* 401 and 403 are a matter of the key, 408 and 429 of time. */
static enum qn_mail_result result_of(long status)
{
	if (status == 202 || status == 200)
		return QN_MAIL_SENT;
	if (status < 400 || status >= 500 || status == 401 || status == 403 || status == 408 ||
	    status == 429)
		return QN_MAIL_LATER;
	return QN_MAIL_FAILED;
}

static void conclude(struct sending *s, CURL *c, CURLcode rc, const struct qn_buf *answer)
{
	long status = 0;

	curl_easy_getinfo(c, CURLINFO_RESPONSE_CODE, &status);
	s->outcome->slow = rc == CURLE_OPERATION_TIMEDOUT;
	if (answer->over)
		sending_ends(s, QN_MAIL_LATER, "SendGrid: the answer is too large");
	else if (rc != CURLE_OK)
		sending_ends(
		    s, QN_MAIL_LATER, qn_printf(s->arena, "SendGrid: %s", curl_easy_strerror(rc)));
	else if (result_of(status) != QN_MAIL_SENT)
		sending_ends(s, result_of(status),
		    qn_printf(s->arena, "SendGrid: %ld %.*s", status, (int)answer->n,
			answer->p != NULL ? answer->p : ""));
}

static void post(struct sending *s, const char *key, const struct qn_buf *mail)
{
	const char *url = qn_conf_str(s->conf, QN_CONF_KEY_SENDGRID_URL);
	struct curl_slist *headers = curl_slist_append(NULL, "Content-Type: application/json");
	struct curl_slist *more =
	    headers != NULL
		? curl_slist_append(headers, qn_printf(s->arena, "Authorization: Bearer %s", key))
		: NULL;
	CURL *c = curl_easy_init();
	struct qn_buf answer;

	qn_buf_init(&answer, ANSWER_BYTES);
	if (c == NULL || more == NULL) {
		sending_ends(s, QN_MAIL_LATER, "no memory for a call");
	} else {
		sending_limits(s, c, protocols_for(url));
		curl_easy_setopt(c, CURLOPT_URL, qn_printf(s->arena, "%s/v3/mail/send", url));
		curl_easy_setopt(c, CURLOPT_HTTPHEADER, headers);
		curl_easy_setopt(c, CURLOPT_USERAGENT, "quoin/" PACKAGE_VERSION);
		curl_easy_setopt(c, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)mail->n);
		curl_easy_setopt(c, CURLOPT_POSTFIELDS, mail->p);
		curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, take);
		curl_easy_setopt(c, CURLOPT_WRITEDATA, &answer);
		conclude(s, c, curl_easy_perform(c), &answer);
	}
	curl_easy_cleanup(c);
	curl_slist_free_all(headers);
	qn_buf_done(&answer);
}

void send_by_sendgrid(struct sending *s, const char *key)
{
	const char *why = sendgrid_fault(qn_conf_str(s->conf, QN_CONF_KEY_SENDGRID_URL));
	struct qn_buf mail;

	s->secrets[1] = key;
	if (why != NULL) {
		sending_ends(s, QN_MAIL_LATER, why);
		return;
	}
	qn_buf_init(&mail, QN_MESSAGE_MAX);
	put_mail(s, &mail);
	if (mail.over)
		sending_ends(s, QN_MAIL_FAILED, "the mail is too large");
	else
		post(s, key, &mail);
	if (mail.p != NULL)
		explicit_bzero(mail.p, mail.n);
	qn_buf_done(&mail);
}
