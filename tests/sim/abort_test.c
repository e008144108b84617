/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A LUN that takes its time over PREEMPT AND ABORT: the victim's key is gone
 * for everybody to see while its commands are still on their way.
 */
#include <atf-c.h>
#include <inttypes.h>
#include <stdlib.h>

#include "libvmfs/base/units.h"
#include "tests/sim/world.h"

#define SEEDS 40
#define HOSTS 3u
#define WRITES 8u
#define LOCK_BLOCK 8192u
#define DATA_BLOCK 9000u
#define WAIT_MS 200000u

static unsigned ended;
static unsigned fencer;			/* host that came first; 0: none yet */
static bool fencer_dies;

static void
sent(void *arg, unsigned nexus, const struct disk_req *req)
{
	(void)arg;
	if (req->op == DISK_PR_OUT && fencer == 0 &&
	    req->pr->action == DISK_PR_PREEMPT_AND_ABORT)
		fencer = nexus / 2;
}

static void
write_main(void *arg)
{
	struct world *w = arg;
	uint8_t *buf = disk_buf_alloc(4096);

	WORLD_CHECK(w, buf != NULL && disk_write(host_disk(w->host[0].host),
	    DATA_BLOCK * (uint64_t)4096, buf, 4096, 0) < 0);
	free(buf);
	ended++;
}

static int
lock(struct world *w, unsigned i, struct lock_grant *g)
{
	struct lockops *l = host_locks(w->host[i].host);

	*g = (struct lock_grant){ 0 };
	return l->vt->acquire(l, LOCK_BLOCK, LOCK_EXCLUSIVE, 0,
	    w->sim.now_ns + WAIT_MS * NSEC_PER_MSEC, g, NULL);
}

/* The LUN has accepted writes, and is slow; their host is gone. */
static void
die_with_writes(struct world *w)
{
	w->lun.faults.slow_ppm = 1000000;
	for (unsigned i = 0; i < WRITES; i++)
		WORLD_CHECK(w, sched_spawn(&w->sim.sched, "write", write_main,
		    w) == 0);
	fiber_sleep(NSEC_PER_MSEC);
	w->lun.faults.slow_ppm = 0;
	world_crash_begin(w, 0);
	while (ended < WRITES)
		fiber_sleep(NSEC_PER_MSEC);
	world_crash(w, 0);
}

static void
crash_the_fencer(struct world *w)
{
	while (w->lun.preempts == 0)
		fiber_sleep(NSEC_PER_MSEC);
	world_crash_begin(w, fencer);
	fiber_sleep(NSEC_PER_SEC);
	world_crash(w, fencer);
}

static void
play(struct world *w)
{
	struct lock_grant a, b;
	uint64_t late;

	ended = fencer = 0;
	w->lun.sent = sent;
	for (unsigned i = 0; i < HOSTS; i++)
		WORLD_CHECK(w, world_join(w, i) == 0);
	WORLD_CHECK(w, !world_failed(w) && lock(w, 0, &a) == 0);
	if (world_failed(w))
		return;
	die_with_writes(w);
	if (fencer_dies)
		crash_the_fencer(w);
	WORLD_CHECK(w, lock(w, fencer == 1 ? 2 : 1, &b) == 0);
	late = w->lun.late;
	fiber_sleep(w->lun.faults.late_ns);
	WORLD_CHECK(w, w->lun.late == late);
	for (unsigned i = 1; i < HOSTS; i++)
		if (w->host[i].host != NULL)
			WORLD_CHECK(w, world_leave(w, i) == 0);
}

static void
run(bool dies)
{
	static struct world w;

	fencer_dies = dies;
	for (uint64_t seed = 1; seed <= SEEDS; seed++) {
		struct world_conf conf = {
			.seed = seed, .hosts = HOSTS, .protocol = LOCK_ATS_PR,
			.faults = { .slow_ns = 3 * NSEC_PER_SEC,
			    .late_ns = 40 * NSEC_PER_SEC,
			    .abort_ns = 6 * NSEC_PER_SEC },
		};
		uint64_t hash;

		if (world_run(&w, &conf, play, &hash) < 0)
			atf_tc_fail("seed %" PRIu64 ": %s", seed, w.problem);
	}
}

ATF_TC_WITHOUT_HEAD(a_key_that_another_host_has_ended_proves_nothing);
ATF_TC_BODY(a_key_that_another_host_has_ended_proves_nothing, tc)
{
	(void)tc;
	run(false);
}

ATF_TC_WITHOUT_HEAD(who_follows_a_fencer_waits_for_what_it_had_to_end);
ATF_TC_BODY(who_follows_a_fencer_waits_for_what_it_had_to_end, tc)
{
	(void)tc;
	run(true);
}

ATF_TP_ADD_TCS(tp)
{
	ATF_TP_ADD_TC(tp, a_key_that_another_host_has_ended_proves_nothing);
	ATF_TP_ADD_TC(tp, who_follows_a_fencer_waits_for_what_it_had_to_end);
	return atf_no_error();
}
