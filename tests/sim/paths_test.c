/* SPDX-License-Identifier: BSD-2-Clause */
/* Hosts with several paths: keys and writes of paths that come and go. */
#include <atf-c.h>
#include <inttypes.h>
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

/* ---- a path that is cut ---- */

#define DATA_BLOCK 9000u

struct put {
	struct world *w;
	uint8_t fill;
	bool ended;
	int rc;
};

static void
put_main(void *arg)
{
	struct put *p = arg;
	uint8_t *buf = disk_buf_alloc(BLOCK_SIZE);

	memset(buf, p->fill, BLOCK_SIZE);
	p->rc = disk_write(host_disk(p->w->host[0].host), DATA_BLOCK *
	    (uint64_t)BLOCK_SIZE, buf, BLOCK_SIZE, 0);
	free(buf);
	p->ended = true;
}

static void
put_start(struct put *p)
{
	WORLD_CHECK(p->w, sched_spawn(&p->w->sim.sched, "put", put_main, p) ==
	    0);
}

static void
put_wait(struct put *p)
{
	while (!p->ended)
		fiber_sleep(NSEC_PER_MSEC);
	WORLD_CHECK(p->w, p->rc == 0);
}

/* Its host goes on, and what the path had swallowed never comes. */
static void
play_cut_path(struct world *w)
{
	struct put old = { .w = w, .fill = 1 }, new = { .w = w, .fill = 2 };

	join_all(w);
	if (world_failed(w))
		return;
	w->lun.faults.slow_ppm = 1000000;
	put_start(&old);
	fiber_sleep(NSEC_PER_MSEC);
	world_lose_path(w, 0, 0);
	w->lun.faults.slow_ppm = 0;
	put_wait(&old);
	put_start(&new);
	put_wait(&new);
	fiber_sleep(w->lun.faults.late_ns);
	WORLD_CHECK(w, w->lun.now[DATA_BLOCK * (uint64_t)BLOCK_SIZE] == 2);
	WORLD_CHECK(w, w->host[0].status == HOST_OK);
	WORLD_CHECK(w, w->host[0].fenced_times == 0);
	world_heal_path(w, 0, 0);
	leave_all(w);
}

ATF_TC_WITHOUT_HEAD(a_write_left_in_a_lost_path_never_lands);
ATF_TC_BODY(a_write_left_in_a_lost_path_never_lands, tc)
{
	struct sim_faults f = {
		.slow_ns = 3 * NSEC_PER_SEC, .late_ns = 30 * NSEC_PER_SEC,
	};

	(void)tc;
	run_seeds((struct world_conf){ .hosts = 2, .paths = 2,
	    .protocol = LOCK_ATS_PR, .faults = f }, play_cut_path);
}

/* ---- a path that comes late ---- */

static unsigned
nexuses_with(const struct world *w, uint64_t key)
{
	unsigned n = 0;

	for (unsigned i = 0; i < SIM_NEXUS_MAX; i++)
		n += w->lun.nexus[i].key == key;
	return n;
}

static uint64_t
key_of(struct world *w, unsigned i)
{
	return heartbeat_pr_key(w->host[i].host->paths.slot,
	    w->host[i].host->paths.incarnation);
}

static bool
all_registered(struct world *w, unsigned i)
{
	return nexuses_with(w, key_of(w, i)) == 4 &&
	    disk_late(w->host[i].lun) == 0 &&
	    disk_late(w->host[i].hb_lun) == 0;
}

static void
join_with_one_path(struct world *w)
{
	world_lose_path(w, 0, 1);
	join_all(w);
	if (world_failed(w))
		return;
	WORLD_CHECK(w, nexuses_with(w, key_of(w, 0)) == 2);
	world_heal_path(w, 0, 1);
}

static void
play_late(struct world *w)
{
	struct put p = { .w = w, .fill = 3 };

	join_with_one_path(w);
	if (world_failed(w))
		return;
	WORLD_CHECK(w, world_wait(w, all_registered, 0, 30000));
	world_lose_path(w, 0, 0);
	put_start(&p);
	put_wait(&p);
	world_heal_path(w, 0, 0);
	WORLD_CHECK(w, w->host[0].fenced_times == 0);
	/* A key on a path that is away would stay there. */
	fiber_sleep(NSEC_PER_SEC);
	leave_all(w);
	WORLD_CHECK(w, w->lun.reserved == 0);
}

ATF_TC_WITHOUT_HEAD(a_path_that_comes_late_is_registered_and_carries_writes);
ATF_TC_BODY(a_path_that_comes_late_is_registered_and_carries_writes, tc)
{
	(void)tc;
	run_seeds((struct world_conf){ .hosts = 2, .paths = 2,
	    .protocol = LOCK_ATS_PR, .faults = calm }, play_late);
}

/* The same for a tool, whose pulses come by the same disk. */
static bool
tool_registered(struct world *w, unsigned i)
{
	return nexuses_with(w, key_of(w, i)) == 2 &&
	    disk_late(w->host[i].lun) == 0;
}

static void
play_late_tool(struct world *w)
{
	struct put p = { .w = w, .fill = 3 };

	w->host[0].tool = true;
	world_lose_path(w, 0, 1);
	join_all(w);
	if (world_failed(w))
		return;
	WORLD_CHECK(w, nexuses_with(w, key_of(w, 0)) == 1);
	world_heal_path(w, 0, 1);
	WORLD_CHECK(w, world_wait(w, tool_registered, 0, 30000));
	world_lose_path(w, 0, 0);
	put_start(&p);
	put_wait(&p);
	world_heal_path(w, 0, 0);
	fiber_sleep(NSEC_PER_SEC);
	WORLD_CHECK(w, host_status(w->host[0].host) == HOST_OK);
	leave_all(w);
	WORLD_CHECK(w, w->lun.reserved == 0);
}

ATF_TC_WITHOUT_HEAD(a_late_path_of_a_tool_is_registered);
ATF_TC_BODY(a_late_path_of_a_tool_is_registered, tc)
{
	(void)tc;
	run_seeds((struct world_conf){ .hosts = 2, .paths = 2,
	    .protocol = LOCK_ATS_PR, .faults = calm }, play_late_tool);
}

/*
 * Just when the late path has its key a survivor marks the slot: the key was
 * not there when it looked, and it has replayed before the host looks again.
 */
struct overtaken {
	struct world *w;
	unsigned slot;
	uint64_t key;
	bool marked;
};

static void
marked_meanwhile(void *arg, unsigned nexus, uint64_t key)
{
	struct overtaken *o = arg;
	uint8_t *image = o->w->lun.now + (SLOT_TABLE_BLOCK + o->slot) *
	    (uint64_t)BLOCK_SIZE;
	struct heartbeat hb;

	if (o->marked || key != o->key || nexus < SIM_NEXUS_MAX / 2 ||
	    heartbeat_decode(image, &o->w->super.uuid, o->slot, &hb) < 0)
		return;
	o->marked = true;
	hb.state = SLOT_RECOVERING;
	hb.incarnation++;
	hb.nonce++;
	hb.recoverer = o->w->host[1].host->paths.slot;
	hb.recoverer_incarnation = o->w->host[1].host->paths.incarnation;
	heartbeat_encode(image, &o->w->super.uuid, &hb);
	/* Fenced on the paths that it had. */
	for (unsigned i = 0; i < SIM_NEXUS_MAX / 2; i++)
		if (o->w->lun.nexus[i].key == key)
			o->w->lun.nexus[i].key = 0;
}

static bool
is_fenced(struct world *w, unsigned i)
{
	return w->host[i].status == HOST_FENCED;
}

static void
play_late_and_fenced(struct world *w)
{
	struct overtaken o = { .w = w };
	struct put p = { .w = w, .fill = 4 };

	world_lose_path(w, 0, 1);
	join_all(w);
	if (world_failed(w))
		return;
	o.slot = w->host[0].host->paths.slot;
	o.key = key_of(w, 0);
	w->lun.registered = marked_meanwhile;
	w->lun.registered_arg = &o;
	world_heal_path(w, 0, 1);
	while (!o.marked)
		fiber_sleep(100 * (uint64_t)1000);
	put_start(&p);
	while (!p.ended)
		fiber_sleep(NSEC_PER_MSEC);
	WORLD_CHECK(w, w->lun.now[DATA_BLOCK * (uint64_t)BLOCK_SIZE] != 4);
	WORLD_CHECK(w, world_wait(w, is_fenced, 0, 30000));
	WORLD_CHECK(w, nexuses_with(w, o.key) == 0);
	w->lun.registered = NULL;
	WORLD_CHECK(w, world_leave(w, 0) == 0);
	leave_all(w);
}

ATF_TC_WITHOUT_HEAD(a_fenced_host_does_not_come_back_by_a_late_path);
ATF_TC_BODY(a_fenced_host_does_not_come_back_by_a_late_path, tc)
{
	(void)tc;
	run_seeds((struct world_conf){ .hosts = 2, .paths = 2,
	    .protocol = LOCK_ATS_PR, .faults = calm }, play_late_and_fenced);
}

ATF_TP_ADD_TCS(tp)
{
	ATF_TP_ADD_TC(tp, a_write_left_in_a_lost_path_never_lands);
	ATF_TP_ADD_TC(tp,
	    a_path_that_comes_late_is_registered_and_carries_writes);
	ATF_TP_ADD_TC(tp, a_late_path_of_a_tool_is_registered);
	ATF_TP_ADD_TC(tp, a_fenced_host_does_not_come_back_by_a_late_path);
	ATF_TP_ADD_TC(tp, a_key_that_comes_back_is_gone_before_replay_ends);
	return atf_no_error();
}
