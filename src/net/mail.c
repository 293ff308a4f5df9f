#include "mail.h"

#include "quoin/base/utf8.h"
#include "quoin/net/mailtext.h"

static bool holds_secret(const struct sending *s, const char *why)
{
	for (size_t i = 0; i < sizeof(s->secrets) / sizeof(s->secrets[0]); i++)
		if (s->secrets[i] != NULL && s->secrets[i][0] != '\0' &&
		    strstr(why, s->secrets[i]) != NULL)
			return true;
	return false;
}

/*
 * Others' words may be anything: control bytes become spaces, and several of these one; what is no UTF-8
 * becomes a question mark.
 */
static void clean(const char *from, char to[QN_MAIL_WHY])
{
	size_t len = strlen(from), k = 0;

	for (size_t i = 0, n; i<len; i += n> 0 ? n : 1) {
		n = qn_utf8_len(from + i, len - i);
		if (k + (n > 0 ? n : 1) >= QN_MAIL_WHY)
			break;
		unsigned char c = (unsigned char)from[i];
		bool c1 = n == 2 && c == 0xc2 && (unsigned char)from[i + 1] < 0xa0;
		if (n == 0) {
			to[k++] = '?';
		} else if (c <= 0x20 || c == 0x7f || c1) {
			if (k > 0 && to[k - 1] != ' ')
				to[k++] = ' ';
		} else {
			memcpy(to + k, from + i, n);
			k += n;
		}
	}
	while (k > 0 && to[k - 1] == ' ')
		k--;
	to[k] = '\0';
}

void sending_ends(struct sending *s, enum qn_mail_result result, const char *why)
{
	s->outcome->result = result;
	clean(holds_secret(s, why) ? "a reason that repeats a secret" : why, s->outcome->why);
}

void sending_limits(const struct sending *s, CURL *c, const char *protocols)
{
	long timeout_ms = (long)qn_conf_int(s->conf, QN_CONF_KEY_QUOIN_OUTBOUND_TIMEOUT_MS);
	const char *ca = qn_conf_str(s->conf, QN_CONF_KEY_EMAIL_CA_FILE);

	curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, protocols);
	curl_easy_setopt(c, CURLOPT_TIMEOUT_MS, timeout_ms);
	curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT_MS, timeout_ms);
	curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(c, CURLOPT_FOLLOWLOCATION, 0L);
	curl_easy_setopt(c, CURLOPT_PROXY, "");
	curl_easy_setopt(c, CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
	curl_easy_setopt(c, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
	if (ca[0] != '\0')
		curl_easy_setopt(c, CURLOPT_CAINFO, ca);
}

bool host_is_loopback(const char *host)
{
	return strcmp(host, "localhost") == 0 || strcmp(host, "127.0.0.1") == 0 ||
	       strcmp(host, "[::1]") == 0;
}

void qn_mail_send(const struct qn_conf *conf, struct qn_arena *a, const struct qn_message *m,
    const char *secret, struct qn_mail_outcome *ret)
{
	const char *server = qn_conf_str(conf, QN_CONF_KEY_EMAIL_SERVER);
	const char *key = qn_conf_str(conf, QN_CONF_KEY_SENDGRID_API_KEY);
	struct sending s = {
	    .conf = conf, .arena = a, .message = m, .secrets = {secret}, .outcome = ret};

	*ret = (struct qn_mail_outcome){.result = QN_MAIL_SENT};
	if (server[0] != '\0')
		send_by_smtp(&s, server);
	else if (key[0] != '\0')
		send_by_sendgrid(&s, key);
	else
		send_to_folder(&s, qn_conf_str(conf, QN_CONF_KEY_QUOIN_MAIL_DIR));
}

const char *qn_mail_fault(const struct qn_conf *conf, struct qn_arena *a)
{
	const char *server = qn_conf_str(conf, QN_CONF_KEY_EMAIL_SERVER);
	const char *from = qn_conf_str(conf, QN_CONF_KEY_EMAIL_FROM);
	const char *dir = qn_conf_str(conf, QN_CONF_KEY_QUOIN_MAIL_TEMPLATES);
	const char *why = server[0] != '\0' ? smtp_fault(server) : NULL;
	struct qn_sender sender;

	if (why == NULL)
		why = sendgrid_fault(qn_conf_str(conf, QN_CONF_KEY_SENDGRID_URL));
	if (why == NULL && from[0] != '\0' && !qn_sender_parse(a, from, &sender))
		why = "EMAIL_FROM must be an address, or a name and an <address>";
	if (why == NULL && dir[0] != '\0')
		why = qn_mailtext_fault(a, dir);
	return why;
}
