/*
 * Settings: one row a key. A key is read from $CREDENTIALS_DIRECTORY/KEY, from the environment, from
 * the settings file, else it has its default; in the second and third, KEY_FILE names a file that
 * holds the value, and wins over KEY. An unknown QUOIN_* key, a value out of bounds, a weak secret or
 * a file with a secret that all may read refuses the start (T38), the settings file included.
 */
#ifndef QUOIN_BASE_CONF_H
#define QUOIN_BASE_CONF_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

enum qn_conf_type { QN_CONF_STR, QN_CONF_INT, QN_CONF_BOOL, QN_CONF_SECRET };

/* name, type, default, least, most (lengths for strings), may change on HUP, sentence */
#define QN_SETTINGS(X) \
	X(DATABASE_URL, STR, "postgresql:///quoin", 1, 1000, false, \
	    "Postgres, as a libpq connection string. The role needs no more than DML.") \
	X(DATABASE_REPLICA_URL, STR, "", 0, 1000, false, \
	    "A standby for reads that may be a moment old. Empty: reads go to DATABASE_URL.") \
	X(DATABASE_ADMIN_URL, STR, "", 0, 1000, false, \
	    "The owner of the schema, for quoinctl migrate. Empty: DATABASE_URL.") \
	X(DATABASE_APP_ROLE, STR, "", 0, 63, false, \
	    "The role that quoinctl migrate grants DML to. Empty: none.") \
	X(DATABASE_TIMEOUT_MS, INT, "4000", 100, 20000, true, \
	    "How long a worker waits for an answer of Postgres before it gives the connection up.") \
	X(MEMCACHED_SERVERS, STR, "--SERVER=127.0.0.1:11211", 0, 1000, false, \
	    "memcached, as a libmemcached configuration string. Empty: no cache.") \
	X(MEMCACHED_PREFIX, STR, "", 0, 40, false, \
	    "Put before every cache key, where several deployments share a memcached.") \
	X(MEMCACHED_TIMEOUT_MS, INT, "100", 1, 200, true, \
	    "How long a worker waits for memcached before it goes on without it.") \
	X(QUOIN_RUN_DIR, STR, "/run/quoin", 1, 80, false, \
	    "Where the pools keep their sockets and their shared counters.") \
	X(QUOIN_SECRET_KEY, SECRET, "", 32, 128, false, \
	    "Seals stored secrets and signs cursors: at least 32 random characters.") \
	X(QUOIN_PUBLIC_URL, STR, "http://localhost:8080", 8, 200, true, \
	    "The address that clients use; links and token issuers are made from it.") \
	X(QUOIN_LOG_LEVEL, STR, "info", 4, 7, true, "debug, info, warning or error.") \
	X(QUOIN_API_WORKERS, INT, "4", 1, 512, true, "Workers of the api pool.") \
	X(QUOIN_SLOW_WORKERS, INT, "4", 1, 512, true, "Workers of the slow pool.") \
	X(QUOIN_INGEST_WORKERS, INT, "1", 1, 512, true, "Workers of the ingest pool.") \
	X(QUOIN_JOBS_WORKERS, INT, "1", 1, 64, true, "Workers of the jobs pool.") \
	X(QUOIN_WORKER_REQUESTS, INT, "100000", 0, 100000000, true, \
	    "A worker leaves after so many requests, give or take a tenth. 0: never.") \
	X(QUOIN_WORKER_AGE_S, INT, "86400", 0, 2592000, true, \
	    "A worker leaves after so many seconds, give or take a tenth. 0: never.") \
	X(QUOIN_REQUEST_TIMEOUT_S, INT, "20", 1, 300, true, \
	    "A worker that spends longer on one request is killed and replaced.") \
	X(QUOIN_READ_TIMEOUT_S, INT, "5", 1, 60, true, \
	    "How long a connected client may take to send a whole FastCGI request.") \
	X(QUOIN_DRAIN_S, INT, "25", 1, 300, true, \
	    "How long the master waits for requests in hand when it is told to stop.") \
	X(QUOIN_PASSWORD_KIB, INT, "19456", 19456, 65536, true, \
	    "Memory for each hash of a password, in KiB; half of the slow workers may need it at once.") \
	X(QUOIN_PASSWORD_PASSES, INT, "2", 2, 10, true, \
	    "How often a hash of a password goes over that memory. Old hashes are renewed on login.") \
	X(QUOIN_BREACHED_PASSWORDS, STR, "", 0, 500, false, \
	    "A file of breached passwords as Have I Been Pwned orders them by hash. Empty: none.") \
	X(QUOIN_RATE_API, INT, "600", -1, 1000000000, true, \
	    "Requests a minute of one user or API key, where the plan says nothing. -1: no limit.") \
	X(QUOIN_RATE_API_ADDRESS, INT, "300", -1, 1000000000, true, \
	    "The same of one address that nobody is signed in from (of IPv6 a /64).") \
	X(QUOIN_RATE_ACCOUNT, INT, "120", -1, 1000000000, true, \
	    "Likewise of requests to look after the own account.") \
	X(QUOIN_RATE_ACCOUNT_ADDRESS, INT, "300", -1, 1000000000, true, \
	    "Likewise of requests to look after the own account, of one address.") \
	X(QUOIN_RATE_SIGN_IN, INT, "30", -1, 1000000000, true, "Likewise of requests to sign in.") \
	X(QUOIN_RATE_SIGN_IN_ADDRESS, INT, "30", -1, 1000000000, true, \
	    "Likewise of requests to sign in, of one address.") \
	X(QUOIN_RATE_MAIL, INT, "10", -1, 1000000000, true, \
	    "Likewise of requests that send mail.") \
	X(QUOIN_RATE_MAIL_ADDRESS, INT, "10", -1, 1000000000, true, \
	    "Likewise of requests that send mail, of one address.") \
	X(QUOIN_RATE_EXPENSIVE, INT, "60", -1, 1000000000, true, \
	    "Likewise of requests that take long.") \
	X(QUOIN_RATE_EXPENSIVE_ADDRESS, INT, "30", -1, 1000000000, true, \
	    "Likewise of requests that take long, of one address.") \
	X(QUOIN_RATE_INGEST, INT, "1200", -1, 1000000000, true, \
	    "Likewise of requests that bring telemetry or uploads.") \
	X(QUOIN_RATE_INGEST_ADDRESS, INT, "60", -1, 1000000000, true, \
	    "Likewise of requests that bring telemetry or uploads, of one address.") \
	X(QUOIN_RATE_LICENCE, INT, "600", -1, 1000000000, true, \
	    "Likewise of requests that validate or use a licence.") \
	X(QUOIN_RATE_LICENCE_ADDRESS, INT, "120", -1, 1000000000, true, \
	    "Likewise of requests that show nothing but a licence's key, of one address.") \
	X(QUOIN_OUTBOUND_TIMEOUT_MS, INT, "4000", 100, 20000, true, \
	    "The longest that one call to a third party may take.") \
	X(QUOIN_OUTBOUND_LOCAL, BOOL, "no", 0, 0, false, \
	    "Allow http:// and non-public addresses for identity providers and webhooks: for local tries only.") \
	X(QUOIN_WEBHOOK_TIMEOUT_MS, INT, "10000", 100, 15000, true, \
	    "The longest that one call to a webhook may take.") \
	X(EMAIL_SERVER, STR, "", 0, 1000, true, \
	    "Mail server: smtp://USER:PASSWORD@HOST:587 (with STARTTLS) or smtps://. Empty: SendGrid.") \
	X(EMAIL_FROM, STR, "", 0, 320, true, "Sender of mail for an app whose file names none.") \
	X(EMAIL_CA_FILE, STR, "", 0, 400, true, \
	    "Certificate authorities that mail servers are checked against (PEM). Empty: the system's.") \
	X(SENDGRID_API_KEY, SECRET, "", 20, 200, true, \
	    "Sends mail by SendGrid. Empty, and EMAIL_SERVER too: mail becomes files in QUOIN_MAIL_DIR.") \
	X(SENDGRID_URL, STR, "https://api.sendgrid.com", 8, 200, true, "Where SendGrid's API is.") \
	X(QUOIN_MAIL_DIR, STR, "/var/lib/quoin/mail", 1, 400, true, \
	    "Where mail that nobody is there to send is kept, one file each.") \
	X(QUOIN_MAIL_TEMPLATES, STR, "", 0, 400, true, \
	    "Texts of mail: SLUG/NAME.txt and SLUG/NAME.html in this directory. Empty: the built-in ones.") \
	X(STRIPE_API_BASE, STR, "https://api.stripe.com", 8, 200, true, \
	    "Where Stripe's API is, for an app whose file does not say.")

enum qn_setting {
#define X(key, type, def, least, most, reload, text) QN_CONF_KEY_##key,
	QN_SETTINGS(X)
#undef X
	    QN_CONF__MAX
};

struct qn_conf; /* one snapshot, immutable once loaded */

/*
 * NULL on failure, and then the reason is on stderr. `path` NULL: $QUOIN_CONFIG, else
 * QUOIN_SYSCONFDIR/quoin.env if there is one.
 */
struct qn_conf *qn_conf_load(const char *path);
void qn_conf_free(struct qn_conf *c); /* secrets are wiped */

const char *qn_conf_str(const struct qn_conf *c, enum qn_setting key);
int64_t qn_conf_int(const struct qn_conf *c, enum qn_setting key);
bool qn_conf_bool(const struct qn_conf *c, enum qn_setting key);

/*
 * The effective settings, KEY=VALUE a line, secrets and passwords in connection strings hidden; or as
 * the table of docs/config.md.
 */
void qn_conf_print(const struct qn_conf *c, FILE *out);
void qn_conf_markdown(FILE *out);

#endif
