/* SPDX-License-Identifier: BSD-2-Clause */
/* Locks of three simulated hosts: conflict, death, take-over, outage. */
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
#define TAKEOVER_MS 200000u

static const struct sim_faults calm = { .late_ns = 30 * NSEC_PER_SEC };
static const struct sim_faults rough = {
	.status_lost_ppm = 3000, .miscompare_ppm = 20000,
	.slow_ppm = 2000, .slow_ns = 3 * NSEC_PER_SEC,
	.late_ns = 60 * NSEC_PER_SEC,
};

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

/* ---- conflict ---- */

static void
play_conflict(struct world *w)
{
	struct lock_holder holder;
	struct lock_grant a, b;

	join_all(w);
	if (world_failed(w))
		return;
	WORLD_CHECK(w, lock(w, 0, LOCK_EXCLUSIVE, 0, &a, NULL) == 0);
	WORLD_CHECK(w, lock(w, 1, LOCK_EXCLUSIVE, 0, &b, &holder) ==
	    -VMFS_ELOCKED);
	WORLD_CHECK(w, strcmp(holder.name, "host0") == 0);
	WORLD_CHECK(w, holder.state == HOLDER_LIVE);
	WORLD_CHECK(w, holder.since_us != 0);
	WORLD_CHECK(w, host_lock_break(w->host[1].host, LOCK_BLOCK,
	    &holder) == -VMFS_ELOCKED);
	WORLD_CHECK(w, unlock(w, 0, &a) == 0);
	WORLD_CHECK(w, lock(w, 1, LOCK_EXCLUSIVE, 0, &b, NULL) == 0);
	WORLD_CHECK(w, b.version > a.version);
	WORLD_CHECK(w, unlock(w, 1, &b) == 0);
	leave_all(w);
}

ATF_TC_WITHOUT_HEAD(a_refused_lock_names_its_live_holder);
ATF_TC_BODY(a_refused_lock_names_its_live_holder, tc)
{
	(void)tc;
	run_seeds((struct world_conf){ .hosts = 3, .protocol = LOCK_ATS_PR,
	    .faults = calm }, play_conflict);
}

ATF_TC_WITHOUT_HEAD(locks_work_on_sectors_of_4_KiB);
ATF_TC_BODY(locks_work_on_sectors_of_4_KiB, tc)
{
	(void)tc;
	run_seeds((struct world_conf){ .hosts = 3, .protocol = LOCK_ATS_PR,
	    .block_size = 4096, .faults = calm }, play_conflict);
}

/* ---- shared holders ---- */

static void
play_shared(struct world *w)
{
	struct lock_holder holder;
	struct lock_grant a, b, c;

	join_all(w);
	if (world_failed(w))
		return;
	WORLD_CHECK(w, lock(w, 0, LOCK_SHARED, 0, &a, NULL) == 0);
	WORLD_CHECK(w, lock(w, 1, LOCK_SHARED, 0, &b, NULL) == 0);
	WORLD_CHECK(w, lock(w, 2, LOCK_EXCLUSIVE, 0, &c, &holder) ==
	    -VMFS_ELOCKED);
	WORLD_CHECK(w, holder.count == 2);
	WORLD_CHECK(w, unlock(w, 0, &a) == 0);
	WORLD_CHECK(w, lock(w, 2, LOCK_EXCLUSIVE, 0, &c, &holder) ==
	    -VMFS_ELOCKED);
	WORLD_CHECK(w, strcmp(holder.name, "host1") == 0);
	world_crash(w, 1);
	/* The dead one's mark goes once its incarnation is over. */
	WORLD_CHECK(w, lock(w, 2, LOCK_EXCLUSIVE, TAKEOVER_MS, &c,
	    NULL) == 0);
	WORLD_CHECK(w, unlock(w, 2, &c) == 0);
	leave_all(w);
}

ATF_TC_WITHOUT_HEAD(a_shared_lock_waits_for_all_its_live_holders);
ATF_TC_BODY(a_shared_lock_waits_for_all_its_live_holders, tc)
{
	(void)tc;
	run_seeds((struct world_conf){ .hosts = 3, .protocol = LOCK_ATS_PR,
	    .faults = calm }, play_shared);
}

/* ---- death ---- */

static void
play_death(struct world *w)
{
	struct takeover_report report;
	struct lock_holder holder;
	struct lock_grant a, b;
	unsigned takers = 0;

	join_all(w);
	if (world_failed(w))
		return;
	WORLD_CHECK(w, lock(w, 0, LOCK_EXCLUSIVE, 0, &a, NULL) == 0);
	world_crash(w, 0);
	WORLD_CHECK(w, lock(w, 1, LOCK_EXCLUSIVE, 0, &b, &holder) ==
	    -VMFS_ELOCKED);
	WORLD_CHECK(w, lock(w, 1, LOCK_EXCLUSIVE, TAKEOVER_MS, &b,
	    NULL) == 0);
	WORLD_CHECK(w, b.version > a.version);
	for (unsigned i = 1; i < 3; i++) {
		if (!host_last_takeover(w->host[i].host, &report))
			continue;
		takers++;
		WORLD_CHECK(w, strcmp(report.name, "host0") == 0);
		WORLD_CHECK(w, report.silent_ms >=
		    w->super.timers.fence_ms);
	}
	WORLD_CHECK(w, takers == 1);
	WORLD_CHECK(w, w->super.protocol != LOCK_ATS_PR ||
	    w->lun.preempts > 0);
	WORLD_CHECK(w, unlock(w, 1, &b) == 0);
	leave_all(w);
}

ATF_TC_WITHOUT_HEAD(the_lock_of_a_dead_host_goes_to_one_survivor);
ATF_TC_BODY(the_lock_of_a_dead_host_goes_to_one_survivor, tc)
{
	(void)tc;
	run_seeds((struct world_conf){ .hosts = 3, .protocol = LOCK_ATS_PR,
	    .faults = calm }, play_death);
}

static const struct sim_faults bounded = { .late_ns = 25 * NSEC_PER_SEC };

ATF_TC_WITHOUT_HEAD(without_a_fence_time_is_the_proof);
ATF_TC_BODY(without_a_fence_time_is_the_proof, tc)
{
	struct world_conf conf = { .hosts = 3, .faults = bounded,
		.protocol = LOCK_ATS_WATCHDOG, .net = NET_SAYS_GONE };

	(void)tc;
	run_seeds(conf, play_death);
	conf.protocol = LOCK_RESERVE;
	run_seeds(conf, play_conflict);
	run_seeds(conf, play_death);
}

ATF_TC_WITHOUT_HEAD(a_file_lun_waits_until_the_dead_hold_nothing);
ATF_TC_BODY(a_file_lun_waits_until_the_dead_hold_nothing, tc)
{
	(void)tc;
	run_seeds((struct world_conf){ .hosts = 3, .protocol = LOCK_FILE,
	    .faults = calm }, play_death);
}

ATF_TC_WITHOUT_HEAD(take_over_survives_lost_status_and_false_miscompares);
ATF_TC_BODY(take_over_survives_lost_status_and_false_miscompares, tc)
{
	(void)tc;
	run_seeds((struct world_conf){ .hosts = 3, .protocol = LOCK_ATS_PR,
	    .faults = rough }, play_conflict);
}

/* ---- a host comes back ---- */

static void
play_reboot(struct world *w)
{
	struct lock_grant a, b;
	uint64_t start;

	join_all(w);
	if (world_failed(w))
		return;
	WORLD_CHECK(w, lock(w, 0, LOCK_EXCLUSIVE, 0, &a, NULL) == 0);
	world_crash(w, 0);
	world_boot(w, 0);
	start = w->sim.now_ns;
	if (world_join(w, 0) < 0)
		world_fail(w, "%s", w->host[0].why);
	if (world_failed(w))
		return;
	WORLD_CHECK(w, lock(w, 0, LOCK_EXCLUSIVE, 0, &b, NULL) == 0);
	WORLD_CHECK(w, w->sim.now_ns - start <
	    w->super.timers.fence_ms * NSEC_PER_MSEC);
	WORLD_CHECK(w, unlock(w, 0, &b) == 0);
	leave_all(w);
}

ATF_TC_WITHOUT_HEAD(a_rebooted_host_ends_its_own_past_at_once);
ATF_TC_BODY(a_rebooted_host_ends_its_own_past_at_once, tc)
{
	(void)tc;
	run_seeds((struct world_conf){ .hosts = 2, .protocol = LOCK_ATS_PR,
	    .faults = calm }, play_reboot);
}

/* kill -9 and a new start: the lock that both have had proves the death. */
static void
play_restart(struct world *w)
{
	struct lock_grant a, b;
	uint64_t start;

	join_all(w);
	if (world_failed(w))
		return;
	WORLD_CHECK(w, lock(w, 0, LOCK_EXCLUSIVE, 0, &a, NULL) == 0);
	world_crash(w, 0);
	world_restart(w, 0);
	start = w->sim.now_ns;
	if (world_join(w, 0) < 0)
		world_fail(w, "%s", w->host[0].why);
	if (world_failed(w))
		return;
	WORLD_CHECK(w, lock(w, 0, LOCK_EXCLUSIVE, 0, &b, NULL) == 0);
	WORLD_CHECK(w, w->sim.now_ns - start <
	    w->super.timers.pulse_ms * NSEC_PER_MSEC / 2);
	WORLD_CHECK(w, unlock(w, 0, &b) == 0);
	leave_all(w);
}

ATF_TC_WITHOUT_HEAD(a_restarted_process_ends_its_own_past_at_once);
ATF_TC_BODY(a_restarted_process_ends_its_own_past_at_once, tc)
{
	(void)tc;
	run_seeds((struct world_conf){ .hosts = 2, .protocol = LOCK_ATS_PR,
	    .faults = calm }, play_restart);
}

/* Gives host 1 the identity of host 0, down to the process. */
static void
same_identity(struct world *w)
{
	const struct world_host *first = &w->host[0];
	struct world_host *again = &w->host[1];

	again->uuid = first->uuid;
	again->machine = first->machine;
	again->boot = first->boot;
	again->home = first->home;
	again->process = first->process;
}

#define DYING_NS (300 * NSEC_PER_MSEC)

static void
last_io_ends(void *arg)
{
	struct world *w = arg;

	fiber_sleep(DYING_NS);
	world_boot(w, 0);	/* its hold goes */
}

static void
play_dying(struct world *w)
{
	struct sim_nexus *dying = &w->lun.nexus[0], before;
	struct lock_grant a, b;
	uint64_t start;

	WORLD_CHECK(w, world_join(w, 0) == 0);
	WORLD_CHECK(w, lock(w, 0, LOCK_EXCLUSIVE, 0, &a, NULL) == 0);
	before = *dying;
	world_crash(w, 0);
	memcpy(dying->holds, before.holds, sizeof(before.holds));
	dying->n_holds = before.n_holds;
	dying->path = PATH_LOST;
	same_identity(w);
	world_restart(w, 1);
	start = w->sim.now_ns;
	WORLD_CHECK(w, sched_spawn(w->host[0].env.sched, "dying",
	    last_io_ends, w) == 0);
	if (world_join(w, 1) < 0)
		world_fail(w, "%s", w->host[1].why);
	if (world_failed(w))
		return;
	WORLD_CHECK(w, lock(w, 1, LOCK_EXCLUSIVE, 0, &b, NULL) == 0);
	WORLD_CHECK(w, w->sim.now_ns - start > DYING_NS);
	WORLD_CHECK(w, w->sim.now_ns - start <
	    w->super.timers.pulse_ms * NSEC_PER_MSEC / 2);
	WORLD_CHECK(w, unlock(w, 1, &b) == 0);
	leave_all(w);
}

ATF_TC_WITHOUT_HEAD(a_restarted_process_waits_for_its_own_last_write);
ATF_TC_BODY(a_restarted_process_waits_for_its_own_last_write, tc)
{
	(void)tc;
	run_seeds((struct world_conf){ .hosts = 2, .protocol = LOCK_FILE,
	    .faults = calm }, play_dying);
}

/* A second mount by the process that has the first. */
static void
play_mount_twice(struct world *w)
{
	const struct world_host *again = &w->host[1];

	WORLD_CHECK(w, world_join(w, 0) == 0);
	same_identity(w);
	WORLD_CHECK(w, world_join(w, 1) == -VMFS_EINUSE);
	WORLD_CHECK(w, strstr(again->why, "already mounted") != NULL);
	WORLD_CHECK(w, host_status(w->host[0].host) == HOST_OK);
	leave_all(w);
}

ATF_TC_WITHOUT_HEAD(a_second_mount_of_one_process_is_refused);
ATF_TC_BODY(a_second_mount_of_one_process_is_refused, tc)
{
	(void)tc;
	run_seeds((struct world_conf){ .hosts = 2, .protocol = LOCK_ATS_PR,
	    .faults = calm }, play_mount_twice);
}

static void
play_twin(struct world *w)
{
	WORLD_CHECK(w, world_join(w, 0) == 0);
	w->host[1].uuid = w->host[0].uuid;
	WORLD_CHECK(w, world_join(w, 1) == -VMFS_EINUSE);
	WORLD_CHECK(w, strstr(w->host[1].why, "identity") != NULL);
	env_uuid(&w->env, &w->host[1].uuid);
	(void)snprintf(w->host[1].name, sizeof(w->host[1].name), "host0");
	WORLD_CHECK(w, world_join(w, 1) == -VMFS_EINUSE);
	WORLD_CHECK(w, strstr(w->host[1].why, "name") != NULL);
	leave_all(w);
}

ATF_TC_WITHOUT_HEAD(a_live_twin_is_refused);
ATF_TC_BODY(a_live_twin_is_refused, tc)
{
	(void)tc;
	run_seeds((struct world_conf){ .hosts = 2, .protocol = LOCK_ATS_PR,
	    .faults = calm }, play_twin);
}

/* ---- outage ---- */

static bool
is_frozen(struct world *w, unsigned i)
{
	return w->host[i].status == HOST_FROZEN;
}

static bool
is_ok(struct world *w, unsigned i)
{
	return w->host[i].status == HOST_OK;
}

static void
play_outage(struct world *w)
{
	struct lock_grant a[WORLD_HOSTS_MAX];

	join_all(w);
	if (world_failed(w))
		return;
	WORLD_CHECK(w, lock(w, 0, LOCK_EXCLUSIVE, 0, &a[0], NULL) == 0);
	for (unsigned i = 0; i < w->hosts; i++)
		world_lose_paths(w, i);
	for (unsigned i = 0; i < w->hosts; i++)
		WORLD_CHECK(w, world_wait(w, is_frozen, i, 30000));
	fiber_sleep(sim_below(&w->sim, 600) * NSEC_PER_SEC);
	for (unsigned i = 0; i < w->hosts; i++)
		world_heal_paths(w, i);
	for (unsigned i = 0; i < w->hosts; i++)
		WORLD_CHECK(w, world_wait(w, is_ok, i, 30000));
	fiber_sleep(60 * NSEC_PER_SEC);
	WORLD_CHECK(w, w->lun.preempts == 0);
	for (unsigned i = 0; i < w->hosts; i++)
		WORLD_CHECK(w, w->host[i].fenced_times == 0);
	WORLD_CHECK(w, unlock(w, 0, &a[0]) == 0);
	leave_all(w);
}

ATF_TC_WITHOUT_HEAD(an_outage_of_all_hosts_fences_nobody);
ATF_TC_BODY(an_outage_of_all_hosts_fences_nobody, tc)
{
	(void)tc;
	run_seeds((struct world_conf){ .hosts = 4, .protocol = LOCK_ATS_PR,
	    .faults = calm }, play_outage);
}

/* ---- one host loses its paths and comes back too late ---- */

static bool
is_fenced(struct world *w, unsigned i)
{
	return w->host[i].status == HOST_FENCED;
}

static void
play_late_return(struct world *w)
{
	struct lock_grant a, b;
	uint8_t *buf = disk_buf_alloc(4096);

	join_all(w);
	if (world_failed(w) || buf == NULL)
		goto out;
	WORLD_CHECK(w, lock(w, 0, LOCK_EXCLUSIVE, 0, &a, NULL) == 0);
	world_lose_paths(w, 0);
	WORLD_CHECK(w, lock(w, 1, LOCK_EXCLUSIVE, TAKEOVER_MS, &b,
	    NULL) == 0);
	WORLD_CHECK(w, w->host[0].status == HOST_FROZEN);
	world_heal_paths(w, 0);
	/* It must find out before its next write gets through. */
	WORLD_CHECK(w, disk_write(host_disk(w->host[0].host), 65536, buf,
	    4096, 0) == -VMFS_EFENCED);
	WORLD_CHECK(w, world_wait(w, is_fenced, 0, 30000));
	WORLD_CHECK(w, world_leave(w, 0) == 0);
	WORLD_CHECK(w, world_join(w, 0) == 0);
	WORLD_CHECK(w, unlock(w, 1, &b) == 0);
	leave_all(w);
out:
	free(buf);
}

ATF_TC_WITHOUT_HEAD(a_host_that_returns_too_late_is_fenced_and_can_remount);
ATF_TC_BODY(a_host_that_returns_too_late_is_fenced_and_can_remount, tc)
{
	(void)tc;
	run_seeds((struct world_conf){ .hosts = 3, .protocol = LOCK_ATS_PR,
	    .faults = calm }, play_late_return);
}

/* ---- the lease runs from the submission of a pulse (L6) ---- */

#define SLOW_NS (6 * NSEC_PER_SEC)

static void
play_slow_pulse(struct world *w)
{
	uint64_t before, good, seen = 0, oldest = 0;

	join_all(w);
	if (world_failed(w))
		return;
	w->lun.faults.slow_ppm = 1000000;
	w->lun.faults.slow_ns = SLOW_NS;
	before = atomic_load(&w->host[0].host->guard.good_ns);
	while (seen < 8) {
		fiber_sleep(10 * NSEC_PER_MSEC);
		good = atomic_load(&w->host[0].host->guard.good_ns);
		if (good == before)
			continue;
		before = good;
		seen++;
		if (w->sim.now_ns - good > oldest)
			oldest = w->sim.now_ns - good;
	}
	/* Pulses took up to SLOW_NS: the lease was that old when they ended. */
	WORLD_CHECK(w, oldest > SLOW_NS / 8);
	w->lun.faults.slow_ppm = 0;
	leave_all(w);
}

ATF_TC_WITHOUT_HEAD(the_lease_runs_from_the_submission_of_a_pulse);
ATF_TC_BODY(the_lease_runs_from_the_submission_of_a_pulse, tc)
{
	(void)tc;
	run_seeds((struct world_conf){ .hosts = 1, .protocol = LOCK_ATS_PR,
	    .faults = calm }, play_slow_pulse);
}

/* ---- preempted, but its slot is not marked yet ---- */

static int
preempt(struct world *w, unsigned by, unsigned victim)
{
	const struct lockops *me = host_locks(w->host[by].host);
	const struct lockops *it = host_locks(w->host[victim].host);
	struct disk_pr pr = {
		.action = DISK_PR_PREEMPT_AND_ABORT,
		.type = DISK_PR_WRITE_EXCLUSIVE_AR,
		.key = heartbeat_pr_key(me->slot, me->incarnation),
		.sa_key = heartbeat_pr_key(it->slot, it->incarnation),
	};
	int rc;

	do
		rc = disk_pr_out(w->host[by].lun, &pr);
	while (rc == -VMFS_EATTENTION);
	return rc;
}

static void
play_keyless(struct world *w)
{
	uint8_t *buf = disk_buf_alloc(4096);

	join_all(w);
	if (world_failed(w) || buf == NULL)
		goto out;
	WORLD_CHECK(w, preempt(w, 1, 0) == 0);
	WORLD_CHECK(w, disk_write(host_disk(w->host[0].host), 65536, buf,
	    4096, 0) == -VMFS_EFENCED);
	WORLD_CHECK(w, world_wait(w, is_fenced, 0, 30000));
	WORLD_CHECK(w, world_leave(w, 0) == 0);
	WORLD_CHECK(w, world_join(w, 0) == 0);
	leave_all(w);
out:
	free(buf);
}

ATF_TC_WITHOUT_HEAD(a_host_without_its_key_never_registers_it_again);
ATF_TC_BODY(a_host_without_its_key_never_registers_it_again, tc)
{
	(void)tc;
	run_seeds((struct world_conf){ .hosts = 3, .protocol = LOCK_ATS_PR,
	    .faults = calm }, play_keyless);
}

/* ---- one sleeps with writes in its hands while all others leave ---- */

#define SLEEPER_WRITES 4u
#define SLEEPER_BLOCK (LOCK_BLOCK + 1)

struct sleeper {
	struct world *w;
	unsigned ended;
};

static void
sleeper_write(void *arg)
{
	struct sleeper *s = arg;
	uint8_t *buf = disk_buf_alloc(4096);

	if (buf != NULL) {
		memset(buf, 0xee, 4096);
		WORLD_CHECK(s->w, disk_write(host_disk(s->w->host[0].host),
		    SLEEPER_BLOCK * (uint64_t)4096, buf, 4096, 0) < 0);
	}
	free(buf);
	s->ended++;
}

static void
play_sleeper(struct world *w)
{
	struct sleeper s = { .w = w };
	struct lock_grant a, b;

	join_all(w);
	if (world_failed(w))
		return;
	WORLD_CHECK(w, lock(w, 0, LOCK_EXCLUSIVE, 0, &a, NULL) == 0);
	world_pause(w, 0);
	/* Past the lease check, and then the host falls asleep. */
	for (unsigned i = 0; i < SLEEPER_WRITES; i++)
		WORLD_CHECK(w, sched_spawn(&w->sim.sched, "sleeper",
		    sleeper_write, &s) == 0);
	WORLD_CHECK(w, lock(w, 1, LOCK_EXCLUSIVE, TAKEOVER_MS, &b,
	    NULL) == 0);
	WORLD_CHECK(w, unlock(w, 1, &b) == 0);
	for (unsigned i = 1; i < w->hosts; i++)
		WORLD_CHECK(w, world_leave(w, i) == 0);
	world_resume(w, 0);
	while (s.ended < SLEEPER_WRITES)
		fiber_sleep(10 * NSEC_PER_MSEC);
	WORLD_CHECK(w, w->lun.now[SLEEPER_BLOCK * 4096] != 0xee);
	WORLD_CHECK(w, world_wait(w, is_fenced, 0, 30000));
	WORLD_CHECK(w, world_leave(w, 0) == 0);
	/* Who comes next clears up, so that the LUN is free at the end. */
	for (unsigned i = 0; i < w->hosts; i++)
		WORLD_CHECK(w, world_join(w, i) == 0);
	leave_all(w);
	WORLD_CHECK(w, w->lun.reserved == 0);
}

ATF_TC_WITHOUT_HEAD(a_sleeper_cannot_write_when_all_others_have_left);
ATF_TC_BODY(a_sleeper_cannot_write_when_all_others_have_left, tc)
{
	(void)tc;
	run_seeds((struct world_conf){ .hosts = 2, .protocol = LOCK_ATS_PR,
	    .faults = calm }, play_sleeper);
}

/* ---- writes in flight at the moment of death ---- */

static void
play_in_flight(struct world *w)
{
	struct sleeper s = { .w = w };
	struct lock_grant a, b;
	uint8_t *buf = disk_buf_alloc(4096);
	uint64_t late;

	join_all(w);
	if (world_failed(w) || buf == NULL)
		goto out;
	WORLD_CHECK(w, lock(w, 0, LOCK_EXCLUSIVE, 0, &a, NULL) == 0);
	/* The LUN has accepted them, but is slow. */
	w->lun.faults.slow_ppm = 1000000;
	for (unsigned i = 0; i < SLEEPER_WRITES; i++)
		WORLD_CHECK(w, sched_spawn(&w->sim.sched, "sleeper",
		    sleeper_write, &s) == 0);
	fiber_sleep(NSEC_PER_MSEC);
	w->lun.faults.slow_ppm = 0;
	world_crash_begin(w, 0);
	while (s.ended < SLEEPER_WRITES)
		fiber_sleep(NSEC_PER_MSEC);
	world_crash(w, 0);
	WORLD_CHECK(w, lock(w, 1, LOCK_EXCLUSIVE, TAKEOVER_MS, &b,
	    NULL) == 0);
	late = w->lun.late;
	WORLD_CHECK(w, disk_write(host_disk(w->host[1].host),
	    SLEEPER_BLOCK * (uint64_t)4096, buf, 4096, 0) == 0);
	fiber_sleep(w->lun.faults.late_ns);
	WORLD_CHECK(w, w->lun.late == late);
	WORLD_CHECK(w, w->lun.now[SLEEPER_BLOCK * 4096] != 0xee);
	WORLD_CHECK(w, unlock(w, 1, &b) == 0);
	leave_all(w);
out:
	free(buf);
}

ATF_TC_WITHOUT_HEAD(nothing_in_flight_lands_after_the_fence);
ATF_TC_BODY(nothing_in_flight_lands_after_the_fence, tc)
{
	struct sim_faults f = {
		.slow_ns = 3 * NSEC_PER_SEC, .late_ns = 600 * NSEC_PER_SEC,
	};

	(void)tc;
	run_seeds((struct world_conf){ .hosts = 2, .protocol = LOCK_ATS_PR,
	    .faults = f }, play_in_flight);
}

ATF_TC_WITHOUT_HEAD(a_file_lun_is_taken_over_after_the_last_write_landed);
ATF_TC_BODY(a_file_lun_is_taken_over_after_the_last_write_landed, tc)
{
	struct sim_faults f = {
		.slow_ns = 3 * NSEC_PER_SEC, .late_ns = 30 * NSEC_PER_SEC,
	};

	(void)tc;
	run_seeds((struct world_conf){ .hosts = 2, .protocol = LOCK_FILE,
	    .faults = f }, play_in_flight);
}

/* ---- recovery of a recovery ---- */

static void
play_chain(struct world *w)
{
	struct lock_grant a, b;

	join_all(w);
	if (world_failed(w))
		return;
	WORLD_CHECK(w, lock(w, 0, LOCK_EXCLUSIVE, 0, &a, NULL) == 0);
	world_crash(w, 0);
	fiber_sleep(w->super.timers.fence_ms * NSEC_PER_MSEC);
	/* Somewhere around the take-over the taker may die as well. */
	fiber_sleep(sim_below(&w->sim, 5000) * NSEC_PER_MSEC);
	world_crash(w, 1);
	WORLD_CHECK(w, lock(w, 2, LOCK_EXCLUSIVE, 2 * TAKEOVER_MS, &b,
	    NULL) == 0);
	WORLD_CHECK(w, unlock(w, 2, &b) == 0);
	leave_all(w);
}

ATF_TC_WITHOUT_HEAD(a_second_host_finishes_a_half_done_take_over);
ATF_TC_BODY(a_second_host_finishes_a_half_done_take_over, tc)
{
	(void)tc;
	run_seeds((struct world_conf){ .hosts = 3, .protocol = LOCK_ATS_PR,
	    .faults = calm }, play_chain);
}

/* ---- determinism ---- */

ATF_TC_WITHOUT_HEAD(the_same_seed_gives_the_same_trace);
ATF_TC_BODY(the_same_seed_gives_the_same_trace, tc)
{
	uint64_t first = 0;

	(void)tc;
	for (uint64_t seed = 1; seed <= 10; seed++) {
		struct world_conf conf = {
			.seed = seed, .hosts = 3, .protocol = LOCK_ATS_PR,
			.faults = rough,
		};
		uint64_t hash = run_one(&conf, play_conflict);

		ATF_CHECK_EQ(hash, run_one(&conf, play_conflict));
		ATF_CHECK(hash != first);
		first = hash;
	}
}

ATF_TP_ADD_TCS(tp)
{
	ATF_TP_ADD_TC(tp, a_refused_lock_names_its_live_holder);
	ATF_TP_ADD_TC(tp, locks_work_on_sectors_of_4_KiB);
	ATF_TP_ADD_TC(tp, a_shared_lock_waits_for_all_its_live_holders);
	ATF_TP_ADD_TC(tp, the_lock_of_a_dead_host_goes_to_one_survivor);
	ATF_TP_ADD_TC(tp, without_a_fence_time_is_the_proof);
	ATF_TP_ADD_TC(tp, a_file_lun_waits_until_the_dead_hold_nothing);
	ATF_TP_ADD_TC(tp,
	    take_over_survives_lost_status_and_false_miscompares);
	ATF_TP_ADD_TC(tp, a_rebooted_host_ends_its_own_past_at_once);
	ATF_TP_ADD_TC(tp, a_restarted_process_ends_its_own_past_at_once);
	ATF_TP_ADD_TC(tp, a_restarted_process_waits_for_its_own_last_write);
	ATF_TP_ADD_TC(tp, a_second_mount_of_one_process_is_refused);
	ATF_TP_ADD_TC(tp, a_live_twin_is_refused);
	ATF_TP_ADD_TC(tp, an_outage_of_all_hosts_fences_nobody);
	ATF_TP_ADD_TC(tp,
	    a_host_that_returns_too_late_is_fenced_and_can_remount);
	ATF_TP_ADD_TC(tp, the_lease_runs_from_the_submission_of_a_pulse);
	ATF_TP_ADD_TC(tp, a_host_without_its_key_never_registers_it_again);
	ATF_TP_ADD_TC(tp, a_sleeper_cannot_write_when_all_others_have_left);
	ATF_TP_ADD_TC(tp, nothing_in_flight_lands_after_the_fence);
	ATF_TP_ADD_TC(tp, a_file_lun_is_taken_over_after_the_last_write_landed);
	ATF_TP_ADD_TC(tp, a_second_host_finishes_a_half_done_take_over);
	ATF_TP_ADD_TC(tp, the_same_seed_gives_the_same_trace);
	return atf_no_error();
}
