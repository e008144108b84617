/* SPDX-License-Identifier: BSD-2-Clause */
/* Lock records changed under RESERVE, and what time has to prove. */
#include <atf-c.h>
#include <inttypes.h>
#include <stdlib.h>

#include "libvmfs/base/units.h"
#include "locking/host_int.h"
#include "locking/reserve.h"
#include "tests/sim/world.h"

#define SEEDS 30
#define HOSTS 4u
#define TURNS 15
#define LOCK_BLOCK 8192u

static struct {
	unsigned inside, running;
	bool flapping, tools;
	void (*flap)(struct world *w);	/* NULL: nothing happens */
	uint64_t version;
} lock;

struct taker {
	struct world *w;
	unsigned host;
};

static void
turn(struct taker *t)
{
	struct world *w = t->w;
	struct lockops *l = host_locks(w->host[t->host].host);
	struct lock_grant g = { 0 };
	int rc = l->vt->acquire(l, LOCK_BLOCK, LOCK_EXCLUSIVE, 0,
	    w->sim.now_ns + 600 * NSEC_PER_SEC, &g, NULL);

	WORLD_CHECK(w, rc == 0);
	if (rc < 0)
		return;
	WORLD_CHECK(w, lock.inside == 0 && g.version > lock.version);
	lock.inside++;
	lock.version = g.version;
	fiber_sleep(sim_below(&w->sim, 5 * NSEC_PER_MSEC));
	lock.inside--;
	WORLD_CHECK(w, l->vt->release(l, &g) == 0);
}

static void
taker_main(void *arg)
{
	struct taker *t = arg;

	for (int i = 0; i < TURNS && !world_failed(t->w); i++)
		turn(t);
	lock.running--;
}

/* A session ends, its reservation with it; what waits goes on in another. */
static void
end_session(struct world *w)
{
	unsigned nexus = 2 * (unsigned)sim_below(&w->sim, HOSTS);

	sim_path_relogin(&w->lun, nexus, 100 * NSEC_PER_MSEC);
	fiber_sleep(sim_below(&w->sim, 5 * NSEC_PER_MSEC));
}

/* As somebody's failover does (adr/0005), in the middle of a section, whose host
 * stands still until others have been there. */
static void
reset(struct world *w)
{
	unsigned nexus = w->lun.scsi2_nexus;
	bool sleeps = w->lun.scsi2 && w->lun.nexus[nexus].path == PATH_UP;

	if (sleeps)
		sim_path_pause(&w->lun, nexus);
	sim_lun_reset(&w->lun, 2 * (unsigned)sim_below(&w->sim, 2 * HOSTS));
	fiber_sleep(sim_below(&w->sim, 20 * NSEC_PER_MSEC));
	if (sleeps)
		sim_path_resume(&w->lun, nexus);
	fiber_sleep(sim_below(&w->sim, 20 * NSEC_PER_MSEC));
}

static void
flapper_main(void *arg)
{
	while (lock.running > 0)
		lock.flap(arg);
	lock.flapping = false;
}

static void
play(struct world *w)
{
	struct taker t[HOSTS];

	lock.inside = lock.running = 0;
	lock.version = 0;
	/* Their pulses come by the same path, often. */
	for (unsigned i = 0; i < HOSTS && lock.tools; i++)
		w->host[i].tool = true;
	if (lock.tools)
		w->super.timers.pulse_ms = LEASE_PULSE_MIN_MS;
	for (unsigned i = 0; i < HOSTS; i++)
		if (world_join(w, i) < 0)
			world_fail(w, "host%u: %s", i, w->host[i].why);
	for (unsigned i = 0; i < HOSTS && !world_failed(w); i++) {
		t[i] = (struct taker){ w, i };
		lock.running++;
		WORLD_CHECK(w, sched_spawn(&w->sim.sched, "taker",
		    taker_main, &t[i]) == 0);
	}
	lock.flapping = lock.flap != NULL && sched_spawn(&w->sim.sched, "flapper",
	    flapper_main, w) == 0;
	while (lock.running > 0 || lock.flapping)
		fiber_sleep(NSEC_PER_MSEC);
	for (unsigned i = 0; i < HOSTS; i++)
		if (w->host[i].host != NULL)
			WORLD_CHECK(w, world_leave(w, i) == 0);
}

static void
take_turns(void (*flap)(struct world *w), bool tools)
{
	static struct world w;

	lock.flap = flap;
	lock.tools = tools;
	for (uint64_t seed = 1; seed <= (tools ? SEEDS / 3 : SEEDS); seed++) {
		struct world_conf conf = {
			.seed = seed, .hosts = HOSTS, .protocol = LOCK_RESERVE,
			.faults = { .status_lost_ppm = 500,
			    .late_ns = 10 * NSEC_PER_SEC },
		};
		uint64_t hash;

		if (world_run(&w, &conf, play, &hash) < 0)
			atf_tc_fail("seed %" PRIu64 ": %s", seed, w.problem);
	}
}

ATF_TC_WITHOUT_HEAD(hosts_take_turns_under_reserve);
ATF_TC_BODY(hosts_take_turns_under_reserve, tc)
{
	(void)tc;
	take_turns(NULL, false);
}

ATF_TC_WITHOUT_HEAD(sessions_that_end_break_no_turn_under_reserve);
ATF_TC_BODY(sessions_that_end_break_no_turn_under_reserve, tc)
{
	(void)tc;
	take_turns(end_session, false);
}

ATF_TC_WITHOUT_HEAD(tools_with_one_path_take_turns_under_reserve);
ATF_TC_BODY(tools_with_one_path_take_turns_under_reserve, tc)
{
	(void)tc;
	take_turns(end_session, true);
}

ATF_TC_WITHOUT_HEAD(resets_break_no_turn_under_reserve);
ATF_TC_BODY(resets_break_no_turn_under_reserve, tc)
{
	(void)tc;
	take_turns(reset, false);
}

static void
one_turn(struct world *w)
{
	struct taker t = { w, 0 };

	lock.inside = 0;
	lock.version = 0;
	for (unsigned i = 0; i < 2; i++)
		WORLD_CHECK(w, world_join(w, i) == 0);
	if (world_failed(w))
		return;
	w->lun.strike = (struct sim_strike){
		.ops = 1u << DISK_RELEASE, .result = -VMFS_EATTENTION,
		.last = 1, .times = 64,
	};
	turn(&t);
	t.host = 1;
	turn(&t);
	WORLD_CHECK(w, w->lun.strike.seen > w->lun.strike.times);
	for (unsigned i = 0; i < 2; i++)
		WORLD_CHECK(w, world_leave(w, i) == 0);
}

/* Found by vmfs-sim --seed 1018 --protocol reserve. */
ATF_TC_WITHOUT_HEAD(a_release_that_is_refused_for_a_while_comes_in_the_end);
ATF_TC_BODY(a_release_that_is_refused_for_a_while_comes_in_the_end, tc)
{
	struct world_conf conf = {
		.seed = 1, .hosts = 2, .protocol = LOCK_RESERVE,
	};
	static struct world w;
	uint64_t hash;

	(void)tc;
	if (world_run(&w, &conf, one_turn, &hash) < 0)
		atf_tc_fail("%s", w.problem);
}

static bool
lease_is_good(void *arg)
{
	(void)arg;
	return true;
}

static void
cut_off(struct world *w)
{
	struct disk_reserve_conf conf = { .env = &w->env,
		.may_write = lease_is_good };
	uint8_t *p = disk_buf_alloc(512);
	struct disk *d = NULL;
	uint64_t before;

	WORLD_CHECK(w, p != NULL && sim_disk_open(&w->lun, 2 * HOSTS,
	    &conf.below) == 0 && disk_reserve_open(&conf, &d) == 0);
	if (world_failed(w))
		return;
	sim_path_cut(&w->lun, 2 * HOSTS);
	before = w->sim.now_ns;
	WORLD_CHECK(w, disk_caw(d, LOCK_BLOCK * BLOCK_SIZE, p, p, 512) ==
	    -VMFS_EGONE);
	WORLD_CHECK(w, w->sim.now_ns - before < NSEC_PER_SEC);
	disk_close(d);
	disk_close(conf.below);
	free(p);
}

ATF_TC_WITHOUT_HEAD(a_lun_that_is_gone_is_not_waited_for);
ATF_TC_BODY(a_lun_that_is_gone_is_not_waited_for, tc)
{
	struct world_conf conf = { .seed = 1, .protocol = LOCK_RESERVE };
	static struct world w;
	uint64_t hash;

	(void)tc;
	if (world_run(&w, &conf, cut_off, &hash) < 0)
		atf_tc_fail("%s", w.problem);
}

ATF_TC_WITHOUT_HEAD(silence_proves_nothing_before_its_time);
ATF_TC_BODY(silence_proves_nothing_before_its_time, tc)
{
	struct timers t = { 3000, 8000, 12000, 75000, 75000, 30000, 30000 };
	struct heartbeat self = { .host = { .b = { 1 } } };
	struct heartbeat past = self, other = { .host = { .b = { 2 } } };
	struct heartbeat clone = { .host = self.host,
		.machine = { .b = { 3 } } };
	struct fence_paths p = { .timers = &t, .self = &self };
	char why[WHY_SIZE];

	(void)tc;
	ATF_CHECK_EQ(-VMFS_EINUSE, fence_watchdog.prove(&p, &other, 74999,
	    why));
	ATF_CHECK_EQ(0, fence_watchdog.prove(&p, &other, 75000, why));
	/* Our own past sends no more: only what it sent must have landed. */
	ATF_CHECK_EQ(-VMFS_EINUSE, fence_watchdog.prove(&p, &past, 29999,
	    why));
	ATF_CHECK_EQ(0, fence_watchdog.prove(&p, &past, 30000, why));
	/* Our name on another machine is not our past. */
	ATF_CHECK_EQ(-VMFS_EINUSE, fence_watchdog.prove(&p, &clone, 74999,
	    why));
	ATF_CHECK_EQ(-VMFS_EINUSE, fence_reserve.prove(&p, &other, 74999,
	    why));
}

ATF_TP_ADD_TCS(tp)
{
	ATF_TP_ADD_TC(tp, hosts_take_turns_under_reserve);
	ATF_TP_ADD_TC(tp, sessions_that_end_break_no_turn_under_reserve);
	ATF_TP_ADD_TC(tp, tools_with_one_path_take_turns_under_reserve);
	ATF_TP_ADD_TC(tp, resets_break_no_turn_under_reserve);
	ATF_TP_ADD_TC(tp,
	    a_release_that_is_refused_for_a_while_comes_in_the_end);
	ATF_TP_ADD_TC(tp, a_lun_that_is_gone_is_not_waited_for);
	ATF_TP_ADD_TC(tp, silence_proves_nothing_before_its_time);
	return atf_no_error();
}
