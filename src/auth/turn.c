#include "quoin/auth/turn.h"

#include <limits.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "quoin/base/clock.h"

enum { LOOKS = 3, TIE_SLOTS = 8, TIE_NS = 300000 };

/* Hashing keeps a core busy, a call out only a worker. */
static int seats_of(enum qn_turn kind, int workers)
{
	int seats = kind == QN_TURN_HASH ? workers / 2 : workers - 1;

	if (seats > QN_BOARD_SEATS)
		return QN_BOARD_SEATS;
	return seats < 1 ? 1 : seats;
}

/* Of two workers the second waits rather than refuse. */
void qn_turns_init(struct qn_turns *t, enum qn_turn kind, struct qn_board *b, int slot, int workers)
{
	int seats = seats_of(kind, workers), others = workers - seats;

	*t = (struct qn_turns){.board = b,
	    .kind = kind,
	    .slot = slot,
	    .seats = seats,
	    .queue = others < 2 ? others : others - 1,
	    .wait_ms = kind == QN_TURN_HASH ? QN_TURN_WAIT_MS : QN_TURN_CALL_WAIT_MS};
}

/* The board is shared between processes: no FUTEX_PRIVATE_FLAG. */
static long futex(_Atomic(uint32_t) *word, int op, uint32_t value, const struct timespec *timeout)
{
	return syscall(SYS_futex, (uint32_t *)word, op, value, timeout, NULL, 0);
}

/* The count goes first: who read it before he found no seat is not put to sleep. */
static void tell_waiting(struct qn_board_turns *turns)
{
	atomic_fetch_add(&turns->freed, 1);
	futex(&turns->freed, FUTEX_WAKE, INT_MAX, NULL);
}

static bool sit_down(const struct qn_turns *t)
{
	for (int i = 0; i < t->seats; i++) {
		int32_t nobody = 0;
		if (atomic_compare_exchange_strong(
			&t->board->turns[t->kind].seat[i], &nobody, t->slot + 1))
			return true;
	}
	return false;
}

static int32_t waits_for(enum qn_turn kind)
{
	return (int32_t)kind + 1;
}

static int waiting(const struct qn_turns *t)
{
	int n = 0;

	for (int i = 0; i < QN_BOARD_WORKERS; i++)
		n += atomic_load(&t->board->worker[i].waits) == waits_for(t->kind);
	return n;
}

static bool wait_for_seat(const struct qn_turns *t)
{
	struct qn_board_turns *turns = &t->board->turns[t->kind];
	int64_t until = qn_mono_us() + t->wait_ms * INT64_C(1000);

	for (;;) {
		uint32_t freed = atomic_load(&turns->freed);
		int64_t left = until - qn_mono_us();
		if (sit_down(t))
			return true;
		if (left <= 0)
			return false;
		struct timespec timeout = {left / 1000000, left % 1000000 * 1000};
		futex(&turns->freed, FUTEX_WAIT, freed, &timeout);
	}
}

/* First the own flag, then the count: never are too many let in. */
static bool find_place(const struct qn_turns *t)
{
	_Atomic(int32_t) *flag = &t->board->worker[t->slot].waits;

	atomic_store(flag, waits_for(t->kind));
	if (waiting(t) <= t->queue)
		return true;
	atomic_store(flag, 0);
	return false;
}

/* Of two who come at once for the last place each sees the other: they look again, a moment apart. */
static bool queue_up(const struct qn_turns *t)
{
	const struct timespec moment = {0, (t->slot % TIE_SLOTS + 1) * TIE_NS};

	for (int look = 0; look < LOOKS && t->queue > 0; look++) {
		if (find_place(t)) {
			bool ok = wait_for_seat(t);
			atomic_store(&t->board->worker[t->slot].waits, 0);
			return ok;
		}
		nanosleep(&moment, NULL);
	}
	return false;
}

enum qn_err qn_turn_take(const struct qn_turns *t)
{
	static const enum qn_board_counter refused[QN_TURN__MAX] = {
	    [QN_TURN_HASH] = QN_COUNT_TURNS_REFUSED, [QN_TURN_CALL] = QN_COUNT_CALLS_REFUSED};

	if (t->board == NULL || sit_down(t) || queue_up(t))
		return QN_OK;
	qn_board_count(t->board, refused[t->kind], 1);
	return QN_BUSY;
}

static void give_back(struct qn_board_turns *turns, int slot)
{
	for (int i = 0; i < QN_BOARD_SEATS; i++) {
		int32_t owner = slot + 1;
		atomic_compare_exchange_strong(&turns->seat[i], &owner, 0);
	}
	tell_waiting(turns);
}

void qn_turn_end(const struct qn_turns *t)
{
	if (t->board != NULL)
		give_back(&t->board->turns[t->kind], t->slot);
}

/* A dead worker's place in a queue is free as well: those who wait look again. */
void qn_turn_forget(struct qn_board *b, int slot)
{
	atomic_store(&b->worker[slot].waits, 0);
	for (int kind = 0; kind < QN_TURN__MAX; kind++)
		give_back(&b->turns[kind], slot);
}
