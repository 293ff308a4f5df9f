/* Hashes of passwords: made, checked, refused, and as dear for nobody's password as for somebody's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include "../../src/auth/hashroom.h"
#include "quoin/auth/password.h"
#include "settings.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

/* Of the reference implementation's tests (phc-winner-argon2, src/test.c); the first is small. */
#define CHEAP "$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4"
#define COSTLY \
	"$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc"

static struct qn_hasher hasher;
static struct qn_board *board;

static int setup(void **state)
{
	struct qn_conf *c = test_settings(NULL);

	(void)state;
	board = qn_board_create(NULL, QN_POOL_SLOW);
	qn_hasher_init(&hasher, c, board, 0, 2);
	qn_conf_free(c);
	return board == NULL;
}

static int teardown(void **state)
{
	(void)state;
	qn_board_unmap(board);
	return 0;
}

static bool right(struct qn_span password, const char *stored, bool *ret_old)
{
	bool is = true;

	assert_int_equal(qn_password_verify(&hasher, password, stored, &is, ret_old), QN_OK);
	return is;
}

static void test_settings_rule(void **state)
{
	(void)state;
	assert_int_equal(hasher.passes, 2);
	assert_int_equal(hasher.bytes, 19 * 1024 * 1024);
	struct qn_conf *c = test_settings(
	    (const char *[]){"QUOIN_PASSWORD_KIB=20000", "QUOIN_PASSWORD_PASSES=3", NULL});
	struct qn_hasher other;
	qn_hasher_init(&other, c, NULL, -1, 1);
	qn_conf_free(c);
	assert_int_equal(other.passes, 3);
	assert_int_equal(other.bytes, 20000 * 1024);
}

static void test_hash_and_verify(void **state)
{
	static const struct qn_span password = QN_SPAN_LIT("Tr0ub4dor&3 zebra");
	char hash[QN_PASSWORD_HASH_MAX], again[QN_PASSWORD_HASH_MAX];
	bool old = true;

	(void)state;
	assert_int_equal(qn_password_hash(&hasher, password, hash), QN_OK);
	assert_int_equal(strncmp(hash, "$argon2id$v=19$m=19456,t=2,p=1$", 31), 0);
	assert_true(qn_password_hash_sound(hash));
	assert_true(right(password, hash, &old));
	assert_false(old);
	assert_false(right(QN_SPAN_LIT("Tr0ub4dor&3 zebrA"), hash, &old));
	assert_int_equal(qn_password_hash(&hasher, password, again), QN_OK);
	assert_string_not_equal(hash, again);
}

static void test_hashes_made_elsewhere(void **state)
{
	static const char *const stored[] = {CHEAP, COSTLY};

	(void)state;
	for (size_t i = 0; i < COUNT(stored); i++) {
		bool old = false;
		assert_true(qn_password_hash_sound(stored[i]));
		assert_true(right(QN_SPAN_LIT("password"), stored[i], &old));
		assert_true(old);
		assert_false(right(QN_SPAN_LIT("passwore"), stored[i], &old));
		assert_false(old);
	}
}

/* Every byte counts: the 73rd (bcrypt forgets it), one behind a NUL, the last of the longest. */
static void test_every_byte_counts(void **state)
{
	char text[QN_PASSWORD_MOST + 1], hash[QN_PASSWORD_HASH_MAX];
	static const size_t at[] = {0, 4, 72, QN_PASSWORD_MOST - 1};
	bool old;

	(void)state;
	memset(text, 'x', sizeof(text));
	text[3] = '\0';
	struct qn_span password = {text, QN_PASSWORD_MOST};
	assert_int_equal(qn_password_hash(&hasher, password, hash), QN_OK);
	assert_true(right(password, hash, &old));
	for (size_t i = 0; i < COUNT(at); i++) {
		text[at[i]] ^= 1;
		assert_false(right(password, hash, &old));
		text[at[i]] ^= 1;
	}
	assert_false(right((struct qn_span){text, QN_PASSWORD_MOST - 1}, hash, &old));
}

static void test_lengths(void **state)
{
	char text[QN_PASSWORD_MOST + 1] = {0}, hash[QN_PASSWORD_HASH_MAX] = "as it was";
	bool is = true, old = true;

	(void)state;
	struct qn_span none = {text, 0}, longer = {text, sizeof(text)};
	assert_int_equal(qn_password_hash(&hasher, none, hash), QN_INVALID);
	assert_int_equal(qn_password_hash(&hasher, longer, hash), QN_INVALID);
	assert_string_equal(hash, "as it was");
	assert_int_equal(qn_password_verify(&hasher, none, CHEAP, &is, &old), QN_OK);
	assert_false(is || old);
	is = old = true;
	assert_int_equal(qn_password_verify(&hasher, longer, CHEAP, &is, &old), QN_OK);
	assert_false(is || old);
}

static void test_unsound_hashes(void **state)
{
#define TAIL "$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4"
	static const char *const unsound[] = {
	    "",
	    "$",
	    "password",
	    "$2b$12$WApznUPhDubN0oeveSXHp.Q6z4hrqGNRtTgFJKiHUx3IWnW4.5W7C",
	    "$argon2i$v=19$m=256,t=2,p=1" TAIL,
	    "$argon2d$v=19$m=256,t=2,p=1" TAIL,
	    "$argon2id$v=16$m=256,t=2,p=1" TAIL,
	    "$argon2id$m=256,t=2,p=1" TAIL,
	    "$argon2id$v=19$m=65537,t=2,p=1" TAIL,
	    "$argon2id$v=19$m=4294967295,t=2,p=1" TAIL,
	    "$argon2id$v=19$m=18446744073709551872,t=2,p=1" TAIL,
	    "$argon2id$v=19$m=7,t=2,p=1" TAIL,
	    "$argon2id$v=19$m=0256,t=2,p=1" TAIL,
	    "$argon2id$v=19$m=+256,t=2,p=1" TAIL,
	    "$argon2id$v=19$m=,t=2,p=1" TAIL,
	    "$argon2id$v=19$m=256,t=0,p=1" TAIL,
	    "$argon2id$v=19$m=256,t=11,p=1" TAIL,
	    "$argon2id$v=19$m=256,t=4294967298,p=1" TAIL,
	    "$argon2id$v=19$m=256,t=2,p=2" TAIL,
	    "$argon2id$v=19$m=256,t=2,p=16" TAIL,
	    "$argon2id$v=19$t=2,m=256,p=1" TAIL,
	    "$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ",
	    "$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$",
	    "$argon2id$v=19$m=256,t=2,p=1$c29t$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4",
	    "$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR",
	    "$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ==$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4",
	    CHEAP " ",
	    CHEAP "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
	};
	bool old = true;

	(void)state;
	for (size_t i = 0; i < COUNT(unsound); i++) {
		if (qn_password_hash_sound(unsound[i]))
			fail_msg("sound: %s", unsound[i]);
		assert_false(right(QN_SPAN_LIT("password"), unsound[i], &old));
		assert_false(old);
	}
}

static int64_t cpu_us(void)
{
	struct rusage u;

	getrusage(RUSAGE_SELF, &u);
	return (int64_t)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1000000 + u.ru_utime.tv_usec +
	       u.ru_stime.tv_usec;
}

static int64_t cost_of(const char *stored)
{
	int64_t start = cpu_us();
	bool old;

	for (int i = 0; i < 4; i++)
		assert_false(right(QN_SPAN_LIT("Tr0ub4dor&3 zebra"), stored, &old));
	return cpu_us() - start;
}

/* Unknown account, a hash out of bounds, and one that looks sound and cannot be read (spare bits). */
static void test_nobody_costs_the_same(void **state)
{
	static const char *const nobody[] = {NULL, "",
	    "$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHR$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4"};
	char hash[QN_PASSWORD_HASH_MAX];

	(void)state;
	assert_int_equal(qn_password_hash(&hasher, QN_SPAN_LIT("another"), hash), QN_OK);
	int64_t known = cost_of(hash);
	for (size_t i = 0; i < COUNT(nobody); i++) {
		int64_t cost = cost_of(nobody[i]);
		if (cost < known / 3 || cost > known * 3)
			fail_msg("%ld µs for nobody (%zu), %ld µs for somebody", (long)cost, i,
			    (long)known);
	}
}

static void test_busy(void **state)
{
	struct qn_hasher alone = hasher, other = hasher;
	char hash[QN_PASSWORD_HASH_MAX];
	bool is, old;

	(void)state;
	qn_turns_init(&alone.turns, QN_TURN_HASH, board, 0, 1);
	qn_turns_init(&other.turns, QN_TURN_HASH, board, 1, 1);
	assert_int_equal(qn_turn_take(&alone.turns), QN_OK);
	assert_int_equal(qn_password_hash(&other, QN_SPAN_LIT("x"), hash), QN_BUSY);
	assert_int_equal(qn_password_verify(&other, QN_SPAN_LIT("x"), NULL, &is, &old), QN_BUSY);
	assert_int_equal(qn_password_verify(&other, QN_SPAN_LIT("x"), CHEAP, &is, &old), QN_BUSY);
	qn_turn_end(&alone.turns);
	assert_int_equal(qn_password_hash(&other, QN_SPAN_LIT("x"), hash), QN_OK);
	for (int i = 0; i < QN_BOARD_SEATS; i++)
		assert_int_equal(atomic_load(&board->turns[QN_TURN_HASH].seat[i]), 0);
}

/* Whether the kernel promises memory that it does not have. */
static bool promises_all(void)
{
	FILE *f = fopen("/proc/sys/vm/overcommit_memory", "r");
	int mode = f != NULL ? fgetc(f) : EOF;

	if (f != NULL)
		fclose(f);
	return mode == '1';
}

/* Without memory for a hash nothing is said about the password. */
static void test_no_memory(void **state)
{
	struct qn_hasher greedy = hasher;
	char hash[QN_PASSWORD_HASH_MAX] = "as it was";
	bool is = true, old = true;

	(void)state;
	if (promises_all())
		skip();
	greedy.bytes = (size_t)4398046510080; /* libsodium's most: 4 TiB */
	assert_int_equal(qn_password_hash(&greedy, QN_SPAN_LIT("x"), hash), QN_INTERNAL);
	assert_string_equal(hash, "as it was");
	assert_int_equal(
	    qn_password_verify(&greedy, QN_SPAN_LIT("x"), NULL, &is, &old), QN_INTERNAL);
	assert_true(is && old);
	assert_int_equal(atomic_load(&board->turns[QN_TURN_HASH].seat[0]), 0);
}

static void *map_room(size_t n)
{
	void *p = mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	assert_true(p != MAP_FAILED);
	return p;
}

/* What one hash leaves in the room is gone before the next has it; a second at the same time has its own. */
static void test_room(void **state)
{
	enum { BYTES = 1 << 20 };

	(void)state;
#ifdef __SANITIZE_ADDRESS__
	skip();
#endif
	hashroom_close();
	hashroom_enter();
	char *p = map_room(BYTES), *other = map_room(BYTES);
	assert_ptr_not_equal(p, other);
	memset(p, 'x', BYTES);
	assert_int_equal(munmap(other, BYTES), 0);
	assert_int_equal(munmap(p, BYTES), 0);
	char *again = map_room(BYTES);
	for (size_t i = 0; i < BYTES; i++)
		assert_int_equal(again[i], 0);
	assert_int_equal(munmap(again, BYTES), 0);
	char *larger = map_room(2 * BYTES);
	memset(larger, 'x', 2 * BYTES);
	assert_int_equal(munmap(larger, 2 * BYTES), 0);
	hashroom_leave();
	char *outside = map_room(2 * BYTES);
	assert_ptr_not_equal(outside, larger);
	assert_int_equal(munmap(outside, 2 * BYTES), 0);
	hashroom_close();
}

static long faults(void)
{
	struct rusage u;

	assert_int_equal(getrusage(RUSAGE_SELF, &u), 0);
	return u.ru_minflt;
}

/* The reason for it: the kernel clears no memory for the second hash. The sanitizers have their own ways. */
static void test_room_is_kept(void **state)
{
	enum { KIB = 16384, PAGES = KIB / 4 };
	struct qn_hasher h = hasher;
	char hash[QN_PASSWORD_HASH_MAX];
	bool is, old;

	(void)state;
#ifdef __SANITIZE_ADDRESS__
	skip();
#endif
	h.bytes = (size_t)KIB * 1024;
	assert_int_equal(qn_password_hash(&h, QN_SPAN_LIT("x"), hash), QN_OK);
	long before = faults();
	assert_int_equal(qn_password_verify(&h, QN_SPAN_LIT("x"), hash, &is, &old), QN_OK);
	assert_int_equal(qn_password_verify(&h, QN_SPAN_LIT("x"), NULL, &old, &old), QN_OK);
	assert_true(is && faults() - before < PAGES / 4);
	qn_hasher_rest();
	assert_int_equal(qn_password_verify(&h, QN_SPAN_LIT("x"), hash, &is, &old), QN_OK);
	assert_true(is);
	qn_hasher_rest();
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
	    TEST(test_settings_rule),
	    TEST(test_hash_and_verify),
	    TEST(test_hashes_made_elsewhere),
	    TEST(test_every_byte_counts),
	    TEST(test_lengths),
	    TEST(test_unsound_hashes),
	    TEST(test_nobody_costs_the_same),
	    TEST(test_busy),
	    TEST(test_no_memory),
	    TEST(test_room),
	    TEST(test_room_is_kept),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
