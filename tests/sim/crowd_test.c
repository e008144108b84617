/* SPDX-License-Identifier: BSD-2-Clause */
/* 256 hosts and one lock: all share it, some die, one wants it alone. */
#include <atf-c.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libvmfs/base/units.h"
#include "locking/host_int.h"
#include "tests/sim/world.h"

#define HOSTS SLOTS_MAX
#define LOCK_BLOCK 8192u	/* stands for any lockable block */
#define TAKEOVER_MS 120000u
#define DEAD 3u

static struct crowd {
	struct world *w;
	enum lock_mode mode;
	unsigned running;
	uint64_t begun_ns, ended_ns;
	struct member_run {
		unsigned host;
		struct lock_grant g;
		int result;
	} run[HOSTS];
} crowd;

static struct lockops *
locks(unsigned i)
{
	return host_locks(crowd.w->host[i].host);
}

static int
take(unsigned i, enum lock_mode mode, uint64_t ms, struct lock_grant *g,
    struct lock_holder *holder)
{
	struct lockops *l = locks(i);

	*g = (struct lock_grant){ 0 };
	return l->vt->acquire(l, LOCK_BLOCK, mode, ms == 0 ? LOCK_NOWAIT : 0,
	    crowd.w->sim.now_ns + ms * NSEC_PER_MSEC, g, holder);
}

static void
take_main(void *arg)
{
	struct member_run *r = arg;
	struct lock_holder h;

	r->result = take(r->host, crowd.mode, 60000, &r->g, &h);
	crowd.ended_ns = crowd.w->sim.now_ns;
	crowd.running--;
}

static void
give_main(void *arg)
{
	struct member_run *r = arg;
	struct lockops *l = locks(r->host);

	r->result = l->vt->release(l, &r->g);
	crowd.ended_ns = crowd.w->sim.now_ns;
	crowd.running--;
}

/* All that live at once; the compare-and-writes and the time they took. */
static void
all_at_once(void (*fn)(void *arg), const char *what)
{
	struct world *w = crowd.w;
	uint64_t tries = 0, lost = 0;
	unsigned n = 0;

	crowd.begun_ns = w->sim.now_ns;
	for (unsigned i = 0; i < HOSTS; i++) {
		struct host *h = w->host[i].host;

		if (h == NULL)
			continue;
		h->lm.tries = h->lm.lost = 0;
		crowd.run[i].host = i;
		crowd.running++;
		n++;
		WORLD_CHECK(w, sched_spawn(&w->sim.sched, what, fn,
		    &crowd.run[i]) == 0);
	}
	while (crowd.running > 0)
		fiber_sleep(NSEC_PER_MSEC);
	for (unsigned i = 0; i < HOSTS; i++) {
		struct host *h = w->host[i].host;

		if (h == NULL)
			continue;
		WORLD_CHECK(w, crowd.run[i].result == 0);
		tries += h->lm.tries;
		lost += h->lm.lost;
	}
	printf("%s: hosts=%u tries=%" PRIu64 " lost=%" PRIu64 " ms=%" PRIu64
	    "\n", what, n, tries, lost, (crowd.ended_ns - crowd.begun_ns) /
	    NSEC_PER_MSEC);
	/* Without a back-off each round has one winner: n * n / 2. */
	WORLD_CHECK(w, tries < 12 * n);
}

static void
play_crowd(struct world *w)
{
	struct lock_holder h = { 0 };
	struct lock_grant g;
	int rc;

	crowd.w = w;
	crowd.mode = LOCK_SHARED;
	for (unsigned i = 0; i < HOSTS && !world_failed(w); i++) {
		rc = world_join(w, i);
		if (rc < 0)
			world_fail(w, "host%u: %s: %s", i, vmfs_strerror(rc),
			    w->host[i].why);
	}
	if (world_failed(w))
		return;
	all_at_once(take_main, "share");
	WORLD_CHECK(w, locks(0)->vt->query(locks(0), LOCK_BLOCK, &h) == 0);
	WORLD_CHECK(w, h.mode == LOCK_SHARED && h.count == HOSTS);
	for (unsigned i = HOSTS - DEAD; i < HOSTS; i++)
		world_crash(w, i);
	all_at_once(give_main, "give back");
	WORLD_CHECK(w, locks(0)->vt->query(locks(0), LOCK_BLOCK, &h) == 0);
	WORLD_CHECK(w, h.mode == LOCK_SHARED && h.count == DEAD);
	/* Who wants it alone waits for the dead, and clears their marks. */
	rc = take(0, LOCK_EXCLUSIVE, TAKEOVER_MS, &g, &h);
	if (rc < 0)
		world_fail(w, "exclusive: %s", vmfs_strerror(rc));
	WORLD_CHECK(w, rc < 0 || locks(0)->vt->release(locks(0), &g) == 0);
	WORLD_CHECK(w, locks(1)->vt->query(locks(1), LOCK_BLOCK, &h) == 0);
	WORLD_CHECK(w, h.mode == LOCK_FREE);
	crowd.mode = LOCK_MULTI_WRITER;
	all_at_once(take_main, "write");
	WORLD_CHECK(w, take(0, LOCK_EXCLUSIVE, 0, &g, &h) == -VMFS_ELOCKED);
	WORLD_CHECK(w, take(1, LOCK_SHARED, 0, &g, &h) == -VMFS_ELOCKED);
	for (unsigned i = 0; i < HOSTS; i++)
		if (w->host[i].host != NULL)
			WORLD_CHECK(w, world_leave(w, i) == 0);
}

ATF_TC_WITHOUT_HEAD(all_slots_share_one_lock);
ATF_TC_BODY(all_slots_share_one_lock, tc)
{
	static struct world w;
	struct world_conf conf = {
		.seed = 1, .hosts = HOSTS, .protocol = LOCK_ATS_PR,
		.faults = { .late_ns = 30 * NSEC_PER_SEC },
	};
	uint64_t hash;

	(void)tc;
	if (world_run(&w, &conf, play_crowd, &hash) < 0)
		atf_tc_fail("%s", w.problem);
}

ATF_TP_ADD_TCS(tp)
{
	ATF_TP_ADD_TC(tp, all_slots_share_one_lock);
	return atf_no_error();
}
