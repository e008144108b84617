/* SPDX-License-Identifier: BSD-2-Clause */
/* Hosts with several paths: keys and writes of paths that come and go. */
#include <atf-c.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libvmfs/base/units.h"
#include "locking/host_int.h"
#include "tests/sim/world.h"

#ifndef SEEDS
#define SEEDS 50
#endif
#define LOCK_BLOCK 8192u	/* stands for any lockable block */
#define TAKEOVER_MS 60000u

static const struct sim_faults calm = { .late_ns = 30 * NSEC_PER_SEC };

/* One seed; fails the test case with how to run it again. */
static uint64_t
run_one(const struct world_conf *conf, void (*play)(struct world *w))
{
	static struct world w;
	uint64_t hash = 0;

	if (world_run(&w, conf, play, &hash) < 0)
		atf_tc_fail("seed %" PRIu64 ": %s", conf->seed, w.problem);
	return hash;
}

static void
run_seeds(struct world_conf conf, void (*play)(struct world *w))
{
	for (uint64_t seed = 1; seed <= SEEDS; seed++) {
		conf.seed = seed;
		(void)run_one(&conf, play);
	}
}

static int
lock(struct world *w, unsigned i, enum lock_mode mode, uint64_t ms,
    struct lock_grant *g, struct lock_holder *holder)
{
	struct lockops *l = host_locks(w->host[i].host);

	*g = (struct lock_grant){ 0 };
	return l->vt->acquire(l, LOCK_BLOCK, mode, ms == 0 ? LOCK_NOWAIT : 0,
	    w->sim.now_ns + ms * NSEC_PER_MSEC, g, holder);
}

static int
unlock(struct world *w, unsigned i, struct lock_grant *g)
{
	struct lockops *l = host_locks(w->host[i].host);

	return l->vt->release(l, g);
}

static void
join_all(struct world *w)
{
	for (unsigned i = 0; i < w->hosts; i++) {
		int rc = world_join(w, i);

		if (rc < 0)
			world_fail(w, "host%u: %s", i, w->host[i].why);
	}
}

static void
leave_all(struct world *w)
{
	for (unsigned i = 0; i < w->hosts; i++)
		if (w->host[i].host != NULL)
			WORLD_CHECK(w, world_leave(w, i) == 0);
}

/* ---- a key that comes back ---- */

struct returner {
	struct world *w;
	unsigned slot;
	uint64_t key;
	bool back, freed;
};

static bool
key_there(const struct world *w, uint64_t key)
{
	for (unsigned i = 0; i < SIM_NEXUS_MAX; i++)
		if (w->lun.nexus[i].key == key)
			return true;
	return false;
}

/*
 * A path of the victim that had been away registers its key between the fence
 * and the mark, the worst moment: its look at the own slot found it live.
 */
static void
key_comes_back(void *arg, unsigned nexus, uint64_t offset,
    const uint8_t *data, uint64_t length)
{
	struct returner *r = arg;
	struct heartbeat hb;

	(void)nexus;
	if (offset / BLOCK_SIZE != SLOT_TABLE_BLOCK + r->slot || length <
	    LOCK_RECORD_SIZE || heartbeat_decode(data, &r->w->super.uuid,
	    r->slot, &hb) < 0)
		return;
	if (hb.state == SLOT_RECOVERING && !r->back) {
		r->back = true;
		r->w->lun.nexus[SIM_NEXUS_MAX - 2].key = r->key;
	} else if (hb.state == SLOT_FREE && r->back && !r->freed) {
		r->freed = true;
		WORLD_CHECK(r->w, !key_there(r->w, r->key));
	}
}

static void
play_key_comes_back(struct world *w)
{
	struct returner r = { .w = w };
	struct lock_grant a, b;

	join_all(w);
	if (world_failed(w))
		return;
	r.slot = w->host[0].host->paths.slot;
	r.key = heartbeat_pr_key(r.slot, w->host[0].host->paths.incarnation);
	w->lun.landed = key_comes_back;
	w->lun.landed_arg = &r;
	WORLD_CHECK(w, lock(w, 0, LOCK_EXCLUSIVE, 0, &a, NULL) == 0);
	world_crash(w, 0);
	WORLD_CHECK(w, lock(w, 1, LOCK_EXCLUSIVE, TAKEOVER_MS, &b,
	    NULL) == 0);
	WORLD_CHECK(w, r.freed);
	WORLD_CHECK(w, unlock(w, 1, &b) == 0);
	w->lun.landed = NULL;
	leave_all(w);
}

ATF_TC_WITHOUT_HEAD(a_key_that_comes_back_is_gone_before_replay_ends);
ATF_TC_BODY(a_key_that_comes_back_is_gone_before_replay_ends, tc)
{
	(void)tc;
	run_seeds((struct world_conf){ .hosts = 2, .protocol = LOCK_ATS_PR,
	    .faults = calm }, play_key_comes_back);
}

ATF_TP_ADD_TCS(tp)
{
	ATF_TP_ADD_TC(tp, a_key_that_comes_back_is_gone_before_replay_ends);
	return atf_no_error();
}
