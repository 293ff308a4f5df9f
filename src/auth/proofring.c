#include "quoin/auth/proofring.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "quoin/auth/appkey.h"
#include "quoin/base/log.h"
#include "quoin/base/rand.h"

enum { KEYS = 16, READ_AGAIN_US = 30000000 };

struct slot {
	char app_id[QN_UUID_LEN + 1];
	uint32_t generation;
	int64_t read_at; /* monotonic us */
	struct qn_proof_key *key;
};

struct qn_proof_ring {
	const struct qn_conf *conf;
	struct slot slot[KEYS];
};

struct qn_proof_ring *qn_proof_ring_new(const struct qn_conf *conf)
{
	struct qn_proof_ring *ring = calloc(1, sizeof(*ring));

	if (ring == NULL)
		qn_fatal("out of memory");
	ring->conf = conf;
	return ring;
}

void qn_proof_ring_free(struct qn_proof_ring *ring)
{
	if (ring == NULL)
		return;
	for (size_t i = 0; i < KEYS; i++)
		qn_proof_key_free(ring->slot[i].key);
	free(ring);
}

static bool holds(const struct slot *s, const char *app_id)
{
	return s->key != NULL && strcmp(s->app_id, app_id) == 0;
}

/* The app's own place, else an empty one, else that of the key that was read longest ago. */
static struct slot *slot_of(struct qn_proof_ring *ring, const char *app_id)
{
	struct slot *oldest = &ring->slot[0];

	for (size_t i = 0; i < KEYS; i++) {
		struct slot *s = &ring->slot[i];
		if (holds(s, app_id))
			return s;
		if (oldest->key != NULL && (s->key == NULL || s->read_at < oldest->read_at))
			oldest = s;
	}
	return oldest;
}

static void release(void *key)
{
	qn_proof_key_free(key);
}

/* The one before goes with the request, which may be using it. */
static void put(struct slot *s, struct qn_arena *a, const struct qn_app *app, uint32_t generation,
    struct qn_proof_key *key)
{
	qn_keep(a, release, s->key);
	*s = (struct slot){.generation = generation, .read_at = qn_mono_us(), .key = key};
	snprintf(s->app_id, sizeof(s->app_id), "%s", app->id);
}

enum qn_err qn_proof_ring_get(struct qn_proof_ring *ring, struct qn_db *db, struct qn_arena *a,
    const struct qn_app *app, uint32_t generation, const struct qn_proof_key **ret)
{
	struct slot *s = slot_of(ring, app->id);
	bool mine = holds(s, app->id);
	struct qn_proof_key *fresh = NULL;

	if (mine && s->generation == generation && qn_mono_us() - s->read_at <= READ_AGAIN_US) {
		*ret = s->key;
		return QN_OK;
	}
	enum qn_err e = qn_app_proof_key(ring->conf, db, a, app->id, &fresh);
	if (e != QN_OK && !(mine && e == QN_DB_DOWN))
		return e;
	if (fresh != NULL && strstr(app->proof_jwks, qn_proof_key_kid(fresh)) != NULL)
		put(s, a, app, generation, fresh);
	else if (fresh != NULL)
		qn_keep(a, release, fresh);
	*ret = fresh != NULL ? fresh : s->key;
	return QN_OK;
}
