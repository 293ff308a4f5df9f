#include "quoin/auth/turn.h"

#include <linux/futex.h>
#include <limits.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "quoin/base/clock.h"

void qn_turns_init(struct qn_turns *t, struct qn_board *b, int slot, int workers)
{
	int seats = workers < 2 ? 1 : workers / 2, queue = workers - seats - 1;

	if (seats > QN_BOARD_SEATS)
		seats = QN_BOARD_SEATS;
	if (queue < 1)
		queue = workers - seats; /* two workers: then the second waits rather than refuse */
	*t = (struct qn_turns){b, slot, seats, queue};
}

/* The board is shared between processes: no FUTEX_PRIVATE_FLAG. */
static long futex(_Atomic(uint32_t) *word, int op, uint32_t value, const struct timespec *timeout)
{
	return syscall(SYS_futex, (uint32_t *)word, op, value, timeout, NULL, 0);
}

/* The count goes first: who read it before he found no seat is not put to sleep. */
static void tell_waiting(struct qn_board *b)
{
	atomic_fetch_add(&b->seats_freed, 1);
	futex(&b->seats_freed, FUTEX_WAKE, INT_MAX, NULL);
}

static bool sit_down(const struct qn_turns *t)
{
	for (int i = 0; i < t->seats; i++) {
		int32_t nobody = 0;
		if (atomic_compare_exchange_strong(&t->board->seat[i], &nobody, t->slot + 1))
			return true;
	}
	return false;
}

static int waiting(const struct qn_board *b)
{
	int n = 0;

	for (int i = 0; i < QN_BOARD_WORKERS; i++)
		n += atomic_load(&b->worker[i].waits) != 0;
	return n;
}

static bool wait_for_seat(const struct qn_turns *t)
{
	int64_t until = qn_mono_us() + QN_TURN_WAIT_MS * INT64_C(1000);

	for (;;) {
		uint32_t freed = atomic_load(&t->board->seats_freed);
		int64_t left = until - qn_mono_us();
		if (sit_down(t))
			return true;
		if (left <= 0)
			return false;
		struct timespec timeout = {left / 1000000, left % 1000000 * 1000};
		futex(&t->board->seats_freed, FUTEX_WAIT, freed, &timeout);
	}
}

/* First the own flag, then the count: of two who come at once both may be refused, but never are
 * too many let in. */
static bool queue_up(const struct qn_turns *t)
{
	_Atomic(int32_t) *flag = &t->board->worker[t->slot].waits;

	atomic_store(flag, 1);
	bool ok = waiting(t->board) <= t->queue && wait_for_seat(t);
	atomic_store(flag, 0);
	return ok;
}

enum qn_err qn_turn_take(const struct qn_turns *t)
{
	if (t->board == NULL || sit_down(t) || queue_up(t))
		return QN_OK;
	qn_board_count(t->board, QN_COUNT_TURNS_REFUSED, 1);
	return QN_BUSY;
}

void qn_turn_end(const struct qn_turns *t)
{
	if (t->board != NULL)
		qn_turn_forget(t->board, t->slot);
}

void qn_turn_forget(struct qn_board *b, int slot)
{
	for (int i = 0; i < QN_BOARD_SEATS; i++) {
		int32_t owner = slot + 1;
		atomic_compare_exchange_strong(&b->seat[i], &owner, 0);
	}
	atomic_store(&b->worker[slot].waits, 0);
	tell_waiting(b);
}
