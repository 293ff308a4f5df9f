/*
 * Turns at what would starve all else: half of a pool's workers at most hash at a time, so that a flood
 * of sign-ins leaves room (SECURITY S9), and all but one wait for third parties, so that a provider
 * that hangs delays hardly anybody but those who need it. Who holds a turn is written on the board; what a
 * killed worker held, the master gives back when it buries it.
 */
#ifndef QUOIN_AUTH_TURN_H
#define QUOIN_AUTH_TURN_H

#include "quoin/base/board.h"
#include "quoin/base/err.h"

#define QN_TURN_WAIT_MS 2000 /* for a turn at hashing */
#define QN_TURN_CALL_WAIT_MS \
	150 /* for a call out: who waits may be the last who answers sign-ins */

struct qn_turns {
	struct qn_board *board; /* NULL: nobody else is there, every turn is given */
	enum qn_turn kind;
	int slot;  /* of this worker on the board */
	int seats; /* who works at a time */
	int queue; /* who may wait */
	int wait_ms;
};

/*
 * Half of `workers` hash, and all others but one may wait, so that one stays free where there are three or
 * more. All but one call out, and that one waits a moment.
 */
void qn_turns_init(
    struct qn_turns *t, enum qn_turn kind, struct qn_board *b, int slot, int workers);

/*
 * Waits for a turn as long as its kind has it. QN_BUSY at once when the queue is full, or when the time
 * is over. A worker that has a turn must not ask for another of its kind.
 */
enum qn_err qn_turn_take(const struct qn_turns *t) QN_MUST_CHECK;
void qn_turn_end(const struct qn_turns *t);

/* For the master: the worker of this slot is no more, whatever it held is free again. */
void qn_turn_forget(struct qn_board *b, int slot);

#endif
