/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Hosts fight for a few locks while they crash, sleep, lose their paths and
 * come back.  The LUN itself is the judge: of two writes under one lock that
 * land, the later one never belongs to an older holder (I1, I2); and when
 * the trouble is over, every lock can be had (I10).
 */
#include <atf-c.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "libvmfs/base/units.h"
#include "tests/sim/world.h"

#ifndef SEEDS
#define SEEDS 50
#endif
#define LOCKS 3u
#define LOCK_BLOCK 8192u	/* lock k; its data lies LOCKS behind */
#define DATA_BLOCK (LOCK_BLOCK + LOCKS)
#define TROUBLES 25
#define CALM_NS (120 * NSEC_PER_SEC)

struct worker {
	struct world *w;
	unsigned host;
	bool stop, running;
	bool crashed;
};

struct arena {
	struct worker worker[WORLD_HOSTS_MAX];
	struct { uint64_t version, host; } last[LOCKS];
	uint64_t landed;
	unsigned fenced;		/* by order */
};

static struct arena arena;
static bool rash;		/* admins fence whom they like */

/* What a worker writes under a lock. */
struct stamp {
	uint64_t version, host;
};

static void
landed(void *arg, unsigned nexus, uint64_t offset, const uint8_t *data,
    uint64_t length)
{
	struct world *w = arg;
	uint64_t block = offset / BLOCK_SIZE;
	struct stamp s;
	unsigned k;

	if (block < DATA_BLOCK || block >= DATA_BLOCK + LOCKS ||
	    length < sizeof(s))
		return;
	memcpy(&s, data, sizeof(s));
	k = (unsigned)(block - DATA_BLOCK);
	if (s.version < arena.last[k].version ||
	    (s.version == arena.last[k].version &&
	    s.host != arena.last[k].host))
		world_fail(w, "lock %u: host%" PRIu64 " (path %u) wrote under "
		    "version %" PRIu64 " after host%" PRIu64 " under version "
		    "%" PRIu64, k, s.host, nexus, s.version,
		    arena.last[k].host, arena.last[k].version);
	arena.last[k].version = s.version;
	arena.last[k].host = s.host;
	arena.landed++;
}

static int
use_lock(struct worker *k, uint8_t *buf)
{
	struct world *w = k->w;
	struct host *h = w->host[k->host].host;
	struct lockops *l = host_locks(h);
	unsigned n = (unsigned)sim_below(&w->sim, LOCKS);
	struct lock_grant g = { 0 };
	struct stamp s = { .host = k->host };
	int rc = l->vt->acquire(l, LOCK_BLOCK + n, LOCK_EXCLUSIVE, 0,
	    w->sim.now_ns + sim_below(&w->sim, 5 * NSEC_PER_SEC), &g, NULL);

	if (rc < 0)
		return rc == -VMFS_ELOCKED ? 0 : rc;
	s.version = g.version;
	memcpy(buf, &s, sizeof(s));
	for (uint64_t i = sim_below(&w->sim, 5); i > 0 && rc == 0; i--) {
		rc = disk_write(host_disk(h), (DATA_BLOCK + n) *
		    (uint64_t)BLOCK_SIZE, buf, BLOCK_SIZE, 0);
		fiber_sleep(sim_below(&w->sim, NSEC_PER_SEC));
	}
	return rc < 0 ? rc : l->vt->release(l, &g);
}

static void
worker_main(void *arg)
{
	struct worker *k = arg;
	uint8_t *buf = disk_buf_alloc(BLOCK_SIZE);

	while (buf != NULL && !k->stop && use_lock(k, buf) == 0)
		fiber_sleep(sim_below(&k->w->sim, NSEC_PER_SEC));
	free(buf);
	k->running = false;
}

static void
enter(struct world *w, unsigned i)
{
	struct worker *k = &arena.worker[i];
	int rc = world_join(w, i);

	if (rc < 0) {
		world_fail(w, "host%u: join: %s", i, w->host[i].why);
		return;
	}
	*k = (struct worker){ .w = w, .host = i, .running = true };
	WORLD_CHECK(w, sched_spawn(&w->sim.sched, "worker", worker_main,
	    k) == 0);
}

static void
join_worker(struct worker *k)
{
	k->stop = true;
	while (k->running)
		fiber_sleep(10 * NSEC_PER_MSEC);
}

static void
crash(struct world *w, unsigned i)
{
	world_crash_begin(w, i);
	join_worker(&arena.worker[i]);
	world_crash(w, i);
	arena.worker[i].crashed = true;
}

static void
quit(struct world *w, unsigned i)
{
	int rc;

	join_worker(&arena.worker[i]);
	rc = world_leave(w, i);
	/* What the faults did to the last write is for the others. */
	if (rc < 0 && rc != -VMFS_EUNKNOWN)
		world_fail(w, "host%u: leave: %s", i, vmfs_strerror(rc));
}

static enum path_state
path_of(struct world *w, unsigned i)
{
	return w->lun.nexus[2 * i].path;
}

/* Out of trouble: member again, paths up. */
static void
relieve(struct world *w, unsigned i)
{
	if (path_of(w, i) == PATH_LOST)
		world_heal_paths(w, i);
	else if (path_of(w, i) == PATH_PAUSED)
		world_resume(w, i);
	else if (w->host[i].host == NULL) {
		if (arena.worker[i].crashed)
			world_boot(w, i);
		enter(w, i);
	} else if (w->host[i].status == HOST_FENCED) {
		quit(w, i);
		enter(w, i);
	}
}

static void
trouble(struct world *w, unsigned i)
{
	if (w->host[i].host == NULL || path_of(w, i) != PATH_UP ||
	    w->host[i].status != HOST_OK) {
		relieve(w, i);
		return;
	}
	switch (sim_below(&w->sim, 5)) {
	case 0:
		crash(w, i);
		break;
	case 1:
		quit(w, i);
		break;
	case 2:
		world_lose_paths(w, i);
		break;
	default:
		world_pause(w, i);
		break;
	}
}

/* One of two paths comes or goes; whoever knows of it only its host. */
static void
flip_path(struct world *w, unsigned i)
{
	unsigned path = (unsigned)sim_below(&w->sim, 2);
	unsigned n = 2 * i + (path == 0 ? 0 : SIM_NEXUS_MAX / 2);

	if (w->lun.nexus[n].path == PATH_LOST)
		world_heal_path(w, i, path);
	else if (w->lun.nexus[n].path == PATH_UP)
		world_lose_path(w, i, path);
}

/* Any member, alive or not, by any member that is in order. */
static void
rash_order(struct world *w)
{
	unsigned by = (unsigned)sim_below(&w->sim, w->hosts);
	unsigned whom = (unsigned)sim_below(&w->sim, w->hosts);
	struct takeover_report r;
	char why[HOST_WHY_SIZE];

	if (by == whom || w->host[by].host == NULL ||
	    path_of(w, by) != PATH_UP || w->host[by].status != HOST_OK)
		return;
	if (host_fence(w->host[by].host, w->host[whom].name, true, &r,
	    why) == 0)
		arena.fenced++;
}

static bool
settled(struct world *w, unsigned i)
{
	relieve(w, i);
	return world_failed(w) || (w->host[i].host != NULL &&
	    path_of(w, i) == PATH_UP && w->host[i].status == HOST_OK &&
	    arena.worker[i].running);
}

static void
every_lock_can_be_had(struct world *w, unsigned i)
{
	struct lockops *l = host_locks(w->host[i].host);

	for (unsigned n = 0; n < LOCKS && !world_failed(w); n++) {
		struct lock_grant g = { 0 };
		struct lock_holder holder = { 0 };
		int rc = l->vt->acquire(l, LOCK_BLOCK + n, LOCK_EXCLUSIVE, 0,
		    w->sim.now_ns + CALM_NS, &g, &holder);

		if (rc < 0)
			world_fail(w, "host%u: lock %u: %s, holder %s", i, n,
			    vmfs_strerror(rc), holder.name);
		else
			WORLD_CHECK(w, l->vt->release(l, &g) == 0);
	}
}

static void
play(struct world *w)
{
	memset(&arena, 0, sizeof(arena));
	w->lun.landed = landed;
	w->lun.landed_arg = w;
	for (unsigned i = 0; i < w->hosts; i++)
		enter(w, i);
	for (int t = 0; t < TROUBLES && !world_failed(w); t++) {
		fiber_sleep(sim_below(&w->sim, 12 * NSEC_PER_SEC));
		trouble(w, (unsigned)sim_below(&w->sim, w->hosts));
		if (rash)
			rash_order(w);
		if (w->paths > 1)
			flip_path(w, (unsigned)sim_below(&w->sim, w->hosts));
	}
	for (unsigned i = 0; w->paths > 1 && i < w->hosts; i++)
		for (unsigned p = 0; p < 2; p++)
			if (w->lun.nexus[2 * i + p * (SIM_NEXUS_MAX / 2)].path
			    == PATH_LOST)
				world_heal_path(w, i, p);
	w->lun.faults = (struct sim_faults){ 0 };
	for (unsigned i = 0; i < w->hosts; i++)
		if (path_of(w, i) == PATH_PAUSED)
			world_resume(w, i);
	/* Whoever was silent till now may still be fenced for it. */
	fiber_sleep(w->super.timers.fence_ms * NSEC_PER_MSEC);
	for (unsigned i = 0; i < w->hosts; i++)
		WORLD_CHECK(w, world_wait(w, settled, i, 120000));
	for (unsigned i = 0; i < w->hosts; i++)
		join_worker(&arena.worker[i]);
	for (unsigned i = 0; i < w->hosts && !world_failed(w); i++)
		every_lock_can_be_had(w, i);
	WORLD_CHECK(w, arena.landed > 0);
	WORLD_CHECK(w, !rash || arena.fenced > 0);
	for (unsigned i = 0; i < w->hosts && !world_failed(w); i++)
		quit(w, i);
}

static void
run_paths(enum lock_protocol protocol, unsigned hosts, unsigned paths,
    enum world_net net)
{
	static struct world w;

	/* Two paths have more ways to fail, and a run takes 10 ms. */
	for (uint64_t seed = 1; seed <= SEEDS * (paths > 1 ? 5 : 1); seed++) {
		struct world_conf conf = {
			.seed = seed, .hosts = hosts, .paths = paths,
			.protocol = protocol, .net = net,
			.faults = {
				.status_lost_ppm = 1000,
				.miscompare_ppm = 5000,
				/* So that a lost path has something left. */
				.slow_ppm = paths > 1 ? 50000 : 1000,
				.slow_ns = 4 * NSEC_PER_SEC,
				.late_ns = 600 * NSEC_PER_SEC,
			},
		};
		uint64_t hash;

		if (world_run(&w, &conf, play, &hash) < 0)
			atf_tc_fail("seed %" PRIu64 ": %s", seed, w.problem);
	}
}

static void
run(enum lock_protocol protocol, unsigned hosts, enum world_net net)
{
	run_paths(protocol, hosts, 1, net);
}

ATF_TC_WITHOUT_HEAD(no_write_left_in_a_lost_path_lands);
ATF_TC_BODY(no_write_left_in_a_lost_path_lands, tc)
{
	(void)tc;
	run_paths(LOCK_ATS_PR, 3, 2, NET_SILENT);
}

ATF_TC_WITHOUT_HEAD(no_write_of_an_older_holder_lands);
ATF_TC_BODY(no_write_of_an_older_holder_lands, tc)
{
	(void)tc;
	run(LOCK_ATS_PR, 4, NET_SILENT);
}

ATF_TC_WITHOUT_HEAD(two_hosts_are_enough);
ATF_TC_BODY(two_hosts_are_enough, tc)
{
	(void)tc;
	run(LOCK_ATS_PR, 2, NET_SILENT);
}

ATF_TC_WITHOUT_HEAD(no_write_of_an_older_holder_lands_in_a_file);
ATF_TC_BODY(no_write_of_an_older_holder_lands_in_a_file, tc)
{
	(void)tc;
	run(LOCK_FILE, 3, NET_SILENT);
}

ATF_TC_WITHOUT_HEAD(a_network_that_contradicts_itself_does_no_harm);
ATF_TC_BODY(a_network_that_contradicts_itself_does_no_harm, tc)
{
	(void)tc;
	run(LOCK_ATS_PR, 4, NET_CHATTERS);
}

ATF_TC_WITHOUT_HEAD(a_network_that_says_all_are_gone_does_no_harm);
ATF_TC_BODY(a_network_that_says_all_are_gone_does_no_harm, tc)
{
	(void)tc;
	run(LOCK_ATS_PR, 3, NET_SAYS_GONE);
}

ATF_TC_WITHOUT_HEAD(an_admin_who_fences_anybody_does_no_harm);
ATF_TC_BODY(an_admin_who_fences_anybody_does_no_harm, tc)
{
	(void)tc;
	rash = true;
	run(LOCK_ATS_PR, 4, NET_SILENT);
}

ATF_TP_ADD_TCS(tp)
{
	ATF_TP_ADD_TC(tp, no_write_left_in_a_lost_path_lands);
	ATF_TP_ADD_TC(tp, no_write_of_an_older_holder_lands);
	ATF_TP_ADD_TC(tp, two_hosts_are_enough);
	ATF_TP_ADD_TC(tp, no_write_of_an_older_holder_lands_in_a_file);
	ATF_TP_ADD_TC(tp, a_network_that_contradicts_itself_does_no_harm);
	ATF_TP_ADD_TC(tp, a_network_that_says_all_are_gone_does_no_harm);
	ATF_TP_ADD_TC(tp, an_admin_who_fences_anybody_does_no_harm);
	return atf_no_error();
}
