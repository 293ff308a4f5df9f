/*
 * The listener of a pool: hears what Postgres announces and moves the board, so that every worker
 * forgets what it cached within milliseconds and asks nobody (DESIGN §7). While it is away the board
 * is not live, and nothing cached is believed.
 */
#include <stdlib.h>
#include <string.h>

#include "quoin/base/clock.h"
#include "quoin/base/log.h"
#include "quoin/pool/worker.h"
#include "quoin/store/db.h"

/* The board counts as live for two seconds after a sign of life. */
enum { SIGN_OF_LIFE_MS = 500 };

static const char *const channels[] = {"quoin_revoke", "quoin_apps", NULL};

static void hear(void *arg, const char *channel, const char *payload)
{
	struct qn_board *board = arg;

	if (strcmp(channel, "quoin_revoke") == 0)
		qn_board_bump(board, payload);
	else
		atomic_fetch_add(&board->apps_gen, 1);
}

/* Whatever was announced while nobody listened: all of it may have changed. */
static void catch_up(struct qn_board *board)
{
	qn_board_bump_all(board);
	atomic_fetch_add(&board->apps_gen, 1);
}

/* Proves that the connection carries news: one that is cut off in silence would else seem quiet. */
static bool answers(struct qn_db *db, int64_t *next)
{
	int64_t now = qn_mono_us();

	if (now < *next)
		return true;
	*next = now + SIGN_OF_LIFE_MS * 1000;
	return qn_db_still_listens(db) == QN_OK;
}

static void listen_until_lost(const struct qn_child *child, struct qn_db *db)
{
	int64_t next = 0;

	catch_up(child->board);
	while (!qn_child_leaving() && answers(db, &next)) {
		qn_board_listens(child->board);
		if (qn_db_wait(db, SIGN_OF_LIFE_MS / 2, hear, child->board) != QN_OK)
			break;
	}
	atomic_store(&child->board->listener_us, 0);
}

int qn_listener_main(const struct qn_child *child)
{
	/* Half of the two seconds: an answer that takes longer is no sign of life. */
	struct qn_db *db = qn_db_new(qn_conf_str(child->conf, QN_CONF_KEY_DATABASE_URL), "", 1000,
	    "quoin-listener", child->board);
	bool said = false;

	while (!qn_child_leaving()) {
		if (qn_db_listen(db, channels) == QN_OK) {
			listen_until_lost(child, db);
			said = false;
			continue;
		}
		if (!said)
			qn_log(QN_WARNING, "the listener has no connection: %s", qn_db_why(db));
		said = true;
		qn_child_pause(SIGN_OF_LIFE_MS);
	}
	qn_db_free(db);
	return 0;
}
