/* SPDX-License-Identifier: BSD-2-Clause */
/* A host's process dies and the next one goes on as the same incarnation. */
#include <atf-c.h>
#include <inttypes.h>
#include <string.h>

#include "libvmfs/base/units.h"
#include "libvmfs/core/softlog.h"
#include "locking/host_int.h"
#include "tests/sim/world.h"

#define SEEDS 40
#define LOCK_BLOCK 8192u
#define TAKEOVER_MS 200000u

static const struct sim_faults calm = { .late_ns = 30 * NSEC_PER_SEC };

static struct host_keep kept;
static struct softlog unflushed;

static void
run_seeds(enum lock_protocol protocol, void (*play)(struct world *w))
{
	static struct world w;
	struct world_conf conf = {
		.hosts = 2, .protocol = protocol, .faults = calm,
	};
	uint64_t hash;

	for (conf.seed = 1; conf.seed <= SEEDS; conf.seed++) {
		memset(&kept, 0, sizeof(kept));
		if (world_run(&w, &conf, play, &hash) < 0)
			atf_tc_fail("seed %" PRIu64 ": %s", conf.seed,
			    w.problem);
	}
}

static int
lock(struct world *w, unsigned i, uint64_t ms, struct lock_grant *g)
{
	struct lockops *l = host_locks(w->host[i].host);

	*g = (struct lock_grant){ 0 };
	return l->vt->acquire(l, LOCK_BLOCK, LOCK_EXCLUSIVE, ms == 0 ?
	    LOCK_NOWAIT : 0, w->sim.now_ns + ms * NSEC_PER_MSEC, g, NULL);
}

static void
join(struct world *w, unsigned i)
{
	if (world_join(w, i) < 0)
		world_fail(w, "%s", w->host[i].why);
}

/* Host 0 holds the lock, and its process dies. */
static void
begin(struct world *w, uint64_t *ret_incarnation)
{
	struct lock_grant g;

	w->host[0].keep = &kept;
	join(w, 0);
	join(w, 1);
	if (world_failed(w))
		return;
	WORLD_CHECK(w, lock(w, 0, 0, &g) == 0);
	*ret_incarnation = host_locks(w->host[0].host)->incarnation;
	world_crash(w, 0);
}

static void
leave_all(struct world *w)
{
	(void)world_leave(w, 0);
	(void)world_leave(w, 1);
}

/* ---- at once ---- */

static void
play_at_once(struct world *w)
{
	struct lock_grant a, b;
	uint64_t incarnation = 0;

	begin(w, &incarnation);
	if (world_failed(w))
		return;
	WORLD_CHECK(w, lock(w, 1, 0, &b) == -VMFS_ELOCKED);
	world_restart(w, 0);
	join(w, 0);
	if (world_failed(w))
		return;
	WORLD_CHECK(w, host_resumed(w->host[0].host));
	WORLD_CHECK(w, host_locks(w->host[0].host)->incarnation ==
	    incarnation);
	/* However often it looks around meanwhile. */
	fiber_sleep(5 * w->super.timers.pulse_ms * NSEC_PER_MSEC);
	WORLD_CHECK(w, lock(w, 1, 0, &b) == -VMFS_ELOCKED);
	WORLD_CHECK(w, lock(w, 0, 0, &a) == 0);
	host_resume_done(w->host[0].host);
	fiber_sleep(5 * w->super.timers.pulse_ms * NSEC_PER_MSEC);
	WORLD_CHECK(w, lock(w, 1, 0, &b) == -VMFS_ELOCKED);
	leave_all(w);
}

ATF_TC_WITHOUT_HEAD(its_locks_stay);
ATF_TC_BODY(its_locks_stay, tc)
{
	run_seeds(LOCK_ATS_PR, play_at_once);
	run_seeds(LOCK_FILE, play_at_once);
}

/* ---- what nobody uses ---- */

static void
play_given_back(struct world *w)
{
	uint64_t incarnation = 0;
	struct lock_grant b;

	begin(w, &incarnation);
	world_restart(w, 0);
	join(w, 0);
	if (world_failed(w))
		return;
	host_resume_done(w->host[0].host);
	WORLD_CHECK(w, lock(w, 1, 5 * w->super.timers.pulse_ms, &b) == 0);
	WORLD_CHECK(w, w->host[0].status == HOST_OK);
	leave_all(w);
}

ATF_TC_WITHOUT_HEAD(what_nobody_takes_again_is_given_back);
ATF_TC_BODY(what_nobody_takes_again_is_given_back, tc)
{
	run_seeds(LOCK_ATS_PR, play_given_back);
}

/* ---- more than one try ---- */

/* It goes on, but for the last step, and closes what it had opened. */
static void
play_second_try(struct world *w)
{
	uint64_t incarnation = 0;
	struct lock_grant a, b;
	struct lockops *l;

	begin(w, &incarnation);
	world_restart(w, 0);
	join(w, 0);
	if (world_failed(w))
		return;
	WORLD_CHECK(w, lock(w, 0, 0, &a) == 0);
	host_fall_silent(w->host[0].host);
	l = host_locks(w->host[0].host);
	WORLD_CHECK(w, l->vt->release(l, &a) < 0);
	WORLD_CHECK(w, lock(w, 1, 0, &b) == -VMFS_ELOCKED);
	world_crash(w, 0);
	world_restart(w, 0);
	join(w, 0);
	if (world_failed(w))
		return;
	WORLD_CHECK(w, host_resumed(w->host[0].host));
	fiber_sleep(5 * w->super.timers.pulse_ms * NSEC_PER_MSEC);
	WORLD_CHECK(w, lock(w, 1, 0, &b) == -VMFS_ELOCKED);
	WORLD_CHECK(w, lock(w, 0, 0, &a) == 0);
	leave_all(w);
}

ATF_TC_WITHOUT_HEAD(its_locks_stay_until_a_second_try);
ATF_TC_BODY(its_locks_stay_until_a_second_try, tc)
{
	run_seeds(LOCK_ATS_PR, play_second_try);
	run_seeds(LOCK_FILE, play_second_try);
}

static enum disk_op stricken;

/* The first error is no proof that the locks are lost. */
static void
play_error(struct world *w)
{
	uint64_t incarnation = 0;
	struct lock_grant b;

	begin(w, &incarnation);
	if (world_failed(w))
		return;
	world_restart(w, 0);
	w->lun.strike = (struct sim_strike){
		.result = -EIO, .ops = 1u << stricken, .first = 0, .last = 1,
		.times = 1,
	};
	if (world_join(w, 0) < 0)
		join(w, 0);
	WORLD_CHECK(w, w->lun.strike.seen > 0);
	w->lun.strike = (struct sim_strike){ 0 };
	if (world_failed(w))
		return;
	WORLD_CHECK(w, host_resumed(w->host[0].host));
	WORLD_CHECK(w, host_locks(w->host[0].host)->incarnation ==
	    incarnation);
	WORLD_CHECK(w, lock(w, 1, 0, &b) == -VMFS_ELOCKED);
	host_resume_done(w->host[0].host);
	leave_all(w);
}

ATF_TC_WITHOUT_HEAD(one_error_loses_no_locks);
ATF_TC_BODY(one_error_loses_no_locks, tc)
{
	stricken = DISK_CAW;
	run_seeds(LOCK_FILE, play_error);
	run_seeds(LOCK_ATS_PR, play_error);
	stricken = DISK_PR_OUT;
	run_seeds(LOCK_ATS_PR, play_error);
}

/* ---- too late ---- */

static void
play_too_late(struct world *w)
{
	struct lock_grant a, b;
	uint64_t incarnation = 0;

	begin(w, &incarnation);
	if (world_failed(w))
		return;
	WORLD_CHECK(w, lock(w, 1, TAKEOVER_MS, &b) == 0);
	world_restart(w, 0);
	unflushed.area[0].used = BLOCK_SIZE;
	w->host[0].soft = &unflushed;
	join(w, 0);
	if (world_failed(w))
		return;
	WORLD_CHECK(w, !host_resumed(w->host[0].host));
	/* Before the next one could go on as this. */
	WORLD_CHECK(w, unflushed.area[0].used == 0);
	WORLD_CHECK(w, lock(w, 0, 0, &a) == -VMFS_ELOCKED);
	/* Nor does it believe in the locks that it had. */
	fiber_sleep(5 * w->super.timers.pulse_ms * NSEC_PER_MSEC);
	WORLD_CHECK(w, lock(w, 0, 0, &a) == -VMFS_ELOCKED);
	leave_all(w);
}

ATF_TC_WITHOUT_HEAD(who_was_taken_over_begins_anew);
ATF_TC_BODY(who_was_taken_over_begins_anew, tc)
{
	run_seeds(LOCK_ATS_PR, play_too_late);
	run_seeds(LOCK_FILE, play_too_late);
}

/* ---- while it is taken over ---- */

static bool taken, taker_done;

static void
taker(void *arg)
{
	struct world *w = arg;
	struct lock_grant g;

	taken = lock(w, 1, 3 * w->super.timers.fence_ms, &g) == 0;
	taker_done = true;
}

static bool
is_done(struct world *w, unsigned i)
{
	(void)w;
	(void)i;
	return taker_done;
}

/* It comes back about when the other one loses patience. */
static void
play_meanwhile(struct world *w)
{
	uint64_t fence = w->super.timers.fence_ms, incarnation = 0;

	begin(w, &incarnation);
	if (world_failed(w))
		return;
	taken = taker_done = false;
	WORLD_CHECK(w, sched_spawn(sched_current(), "taker", taker, w) == 0);
	fiber_sleep((fence - 200 + env_random_u64(&w->env) % 400) *
	    NSEC_PER_MSEC);
	world_restart(w, 0);
	join(w, 0);
	if (world_failed(w))
		return;
	WORLD_CHECK(w, world_wait(w, is_done, 0, TAKEOVER_MS));
	/* One of them has it, and whoever lost it knows. */
	if (host_resumed(w->host[0].host) && w->host[0].status == HOST_OK)
		WORLD_CHECK(w, !taken);
	else
		WORLD_CHECK(w, taken);
	leave_all(w);
}

ATF_TC_WITHOUT_HEAD(either_it_goes_on_or_it_is_taken_over);
ATF_TC_BODY(either_it_goes_on_or_it_is_taken_over, tc)
{
	run_seeds(LOCK_ATS_PR, play_meanwhile);
	run_seeds(LOCK_FILE, play_meanwhile);
}

/* ---- where nothing is proven ---- */

static void
play_unproven(struct world *w)
{
	uint64_t incarnation = 0;

	begin(w, &incarnation);
	world_restart(w, 0);
	join(w, 0);
	if (world_failed(w))
		return;
	WORLD_CHECK(w, !host_resumed(w->host[0].host));
	leave_all(w);
}

ATF_TC_WITHOUT_HEAD(time_as_proof_is_never_shortened);
ATF_TC_BODY(time_as_proof_is_never_shortened, tc)
{
	run_seeds(LOCK_ATS_WATCHDOG, play_unproven);
}

ATF_TP_ADD_TCS(tp)
{
	ATF_TP_ADD_TC(tp, its_locks_stay);
	ATF_TP_ADD_TC(tp, its_locks_stay_until_a_second_try);
	ATF_TP_ADD_TC(tp, one_error_loses_no_locks);
	ATF_TP_ADD_TC(tp, what_nobody_takes_again_is_given_back);
	ATF_TP_ADD_TC(tp, who_was_taken_over_begins_anew);
	ATF_TP_ADD_TC(tp, either_it_goes_on_or_it_is_taken_over);
	ATF_TP_ADD_TC(tp, time_as_proof_is_never_shortened);
	return atf_no_error();
}
