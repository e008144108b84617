/* SPDX-License-Identifier: BSD-2-Clause */
/* What single errors of the LUN do to locks, and what must learn of them. */
#include <atf-c.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "libvmfs/base/units.h"
#include "locking/host_int.h"
#include "tests/sim/world.h"

#define SEEDS 20
#define LOCK_BLOCK 8192u

static void
run_seeds(struct world_conf conf, void (*play)(struct world *w))
{
	static struct world w;
	uint64_t hash = 0;

	for (uint64_t seed = 1; seed <= SEEDS; seed++) {
		conf.seed = seed;
		if (world_run(&w, &conf, play, &hash) < 0)
			atf_tc_fail("seed %" PRIu64 ": %s", seed, w.problem);
	}
}

static int
lock(struct world *w, unsigned i, enum lock_mode mode, uint64_t ms,
    struct lock_grant *g)
{
	struct lockops *l = host_locks(w->host[i].host);

	*g = (struct lock_grant){ 0 };
	return l->vt->acquire(l, LOCK_BLOCK, mode, ms == 0 ? LOCK_NOWAIT : 0,
	    w->sim.now_ns + ms * NSEC_PER_MSEC, g, NULL);
}

static int
unlock(struct world *w, unsigned i, struct lock_grant *g)
{
	struct lockops *l = host_locks(w->host[i].host);

	return l->vt->release(l, g);
}

static bool
all_joined(struct world *w)
{
	for (unsigned i = 0; i < w->hosts; i++)
		WORLD_CHECK(w, world_join(w, i) == 0);
	return !world_failed(w);
}

static void
leave_all(struct world *w)
{
	for (unsigned i = 0; i < w->hosts; i++)
		if (w->host[i].host != NULL)
			WORLD_CHECK(w, world_leave(w, i) == 0);
}

/* The next such command of the host's data path ends so. */
static void
strike(struct world *w, unsigned host, enum disk_op op, int result, bool done)
{
	w->lun.strike = (struct sim_strike){
		.result = result, .done = done, .first = 2 * host,
		.last = 2 * host, .ops = 1u << op, .times = 1,
	};
}

static void
play_release(struct world *w)
{
	struct lock_grant a, b;

	if (!all_joined(w))
		return;
	WORLD_CHECK(w, lock(w, 0, LOCK_EXCLUSIVE, 0, &a) == 0);
	strike(w, 0, DISK_READ, -EIO, false);
	WORLD_CHECK(w, unlock(w, 0, &a) == -EIO);
	WORLD_CHECK(w, lock(w, 1, LOCK_EXCLUSIVE, 10000, &b) == 0);
	WORLD_CHECK(w, unlock(w, 1, &b) == 0);
	leave_all(w);
}

ATF_TC_WITHOUT_HEAD(a_lock_whose_release_failed_is_given_back);
ATF_TC_BODY(a_lock_whose_release_failed_is_given_back, tc)
{
	(void)tc;
	run_seeds((struct world_conf){ .hosts = 2, .protocol = LOCK_ATS_PR },
	    play_release);
}

static void
play_acquire(struct world *w)
{
	struct lock_grant a, b;

	if (!all_joined(w))
		return;
	strike(w, 0, DISK_CAW, -EIO, true);
	WORLD_CHECK(w, lock(w, 0, LOCK_EXCLUSIVE, 0, &a) == -EIO);
	WORLD_CHECK(w, lock(w, 1, LOCK_SHARED, 10000, &b) == 0);
	WORLD_CHECK(w, unlock(w, 1, &b) == 0);
	leave_all(w);
}

ATF_TC_WITHOUT_HEAD(a_lock_taken_unknowingly_is_given_back);
ATF_TC_BODY(a_lock_taken_unknowingly_is_given_back, tc)
{
	(void)tc;
	run_seeds((struct world_conf){ .hosts = 2, .protocol = LOCK_ATS_PR },
	    play_acquire);
}

static void
play_again(struct world *w)
{
	struct lock_grant a, b;

	if (!all_joined(w))
		return;
	WORLD_CHECK(w, lock(w, 0, LOCK_EXCLUSIVE, 0, &a) == 0);
	strike(w, 0, DISK_READ, -EIO, false);
	WORLD_CHECK(w, unlock(w, 0, &a) == -EIO);
	WORLD_CHECK(w, lock(w, 0, LOCK_EXCLUSIVE, 0, &a) == 0);
	WORLD_CHECK(w, lock(w, 1, LOCK_SHARED, 10000, &b) == -VMFS_ELOCKED);
	WORLD_CHECK(w, unlock(w, 0, &a) == 0);
	leave_all(w);
}

ATF_TC_WITHOUT_HEAD(a_lock_wanted_again_before_that_stays);
ATF_TC_BODY(a_lock_wanted_again_before_that_stays, tc)
{
	(void)tc;
	run_seeds((struct world_conf){ .hosts = 2, .protocol = LOCK_ATS_PR },
	    play_again);
}

/* An error hides that a pulse was written; the host leaves before the next. */
static void
play_hidden_pulse(struct world *w)
{
	struct heartbeat hb;
	unsigned slot;

	if (!all_joined(w))
		return;
	slot = host_locks(w->host[0].host)->slot;
	w->lun.strike = (struct sim_strike){
		.result = -EIO, .done = true, .ops = 1u << DISK_CAW,
		.first = 1, .last = 1, .times = 1,
	};
	while (w->lun.strike.seen == 0)
		fiber_sleep(NSEC_PER_MSEC);
	fiber_sleep(2 * NSEC_PER_MSEC);
	WORLD_CHECK(w, atomic_load(&w->host[0].host->beat.failures) == 1);
	WORLD_CHECK(w, world_leave(w, 0) == 0);
	WORLD_CHECK(w, heartbeat_decode(w->lun.now +
	    (SLOT_TABLE_BLOCK + slot) * (uint64_t)BLOCK_SIZE, &w->super.uuid,
	    slot, &hb) == 0 && hb.state == SLOT_FREE);
	leave_all(w);
}

ATF_TC_WITHOUT_HEAD(who_leaves_after_a_hidden_pulse_frees_its_slot);
ATF_TC_BODY(who_leaves_after_a_hidden_pulse_frees_its_slot, tc)
{
	(void)tc;
	run_seeds((struct world_conf){ .hosts = 2, .protocol = LOCK_ATS_PR },
	    play_hidden_pulse);
}

/* ---- a lost cache is told once ---- */

/* Not flushed; nobody's data. */
static int
scribble(struct world *w, unsigned i)
{
	uint8_t *buf = disk_buf_alloc(BLOCK_SIZE);
	int rc;

	if (buf == NULL)
		return -ENOMEM;
	memset(buf, 0x5a, BLOCK_SIZE);
	rc = disk_write(host_disk(w->host[i].host),
	    (uint64_t)LOCK_BLOCK * 2 * BLOCK_SIZE, buf, BLOCK_SIZE, 0);
	free(buf);
	return rc;
}

static void
play_section(struct world *w)
{
	struct lock_grant a;

	if (!all_joined(w))
		return;
	WORLD_CHECK(w, scribble(w, 0) == 0);
	sim_lun_power_loss(&w->lun);
	WORLD_CHECK(w, lock(w, 0, LOCK_EXCLUSIVE, 0, &a) == -EIO);
	WORLD_CHECK(w, disk_flush(host_disk(w->host[0].host)) == -EIO);
	WORLD_CHECK(w, disk_flush(host_disk(w->host[0].host)) == -EIO);
	leave_all(w);
}

ATF_TC_WITHOUT_HEAD(a_section_does_not_swallow_the_loss_of_a_cache);
ATF_TC_BODY(a_section_does_not_swallow_the_loss_of_a_cache, tc)
{
	(void)tc;
	run_seeds((struct world_conf){ .hosts = 1, .protocol = LOCK_RESERVE },
	    play_section);
}

static bool
has_taken_over(struct world *w, unsigned i)
{
	struct takeover_report report;

	return host_last_takeover(w->host[i].host, &report);
}

static void
play_replay(struct world *w)
{
	for (unsigned i = 0; i < w->hosts; i++)
		WORLD_CHECK(w, world_mount(w, i) == 0);
	if (world_failed(w))
		return;
	WORLD_CHECK(w, scribble(w, 0) == 0);
	sim_lun_power_loss(&w->lun);
	world_crash(w, 1);
	WORLD_CHECK(w, world_wait(w, has_taken_over, 0, 60000));
	WORLD_CHECK(w, disk_flush(host_disk(w->host[0].host)) == -EIO);
	world_crash(w, 0);
}

ATF_TC_WITHOUT_HEAD(a_replay_does_not_swallow_the_loss_of_a_cache);
ATF_TC_BODY(a_replay_does_not_swallow_the_loss_of_a_cache, tc)
{
	(void)tc;
	run_seeds((struct world_conf){ .hosts = 2, .protocol = LOCK_ATS_PR },
	    play_replay);
}

/* ---- fenced in the middle of a mount ---- */

static void
play_mount(struct world *w)
{
	WORLD_CHECK(w, world_mount(w, 1) == 0);
	if (world_failed(w))
		return;
	/* It claims its slot; no pulse follows. */
	w->lun.strike = (struct sim_strike){
		.result = -VMFS_ECONFLICT, .first = 1, .last = 1,
		.ops = 1u << DISK_CAW, .skip = 1, .times = 100000,
	};
	WORLD_CHECK(w, world_mount(w, 0) == -VMFS_EFENCED);
	w->lun.strike = (struct sim_strike){ 0 };
	WORLD_CHECK(w, world_mount(w, 0) == 0);
	for (unsigned i = 0; i < w->hosts; i++)
		WORLD_CHECK(w, world_unmount(w, i) == 0);
}

ATF_TC_WITHOUT_HEAD(a_mount_that_is_fenced_ends);
ATF_TC_BODY(a_mount_that_is_fenced_ends, tc)
{
	(void)tc;
	run_seeds((struct world_conf){ .hosts = 2, .protocol = LOCK_ATS_PR },
	    play_mount);
}

ATF_TP_ADD_TCS(tp)
{
	ATF_TP_ADD_TC(tp, a_mount_that_is_fenced_ends);
	ATF_TP_ADD_TC(tp, who_leaves_after_a_hidden_pulse_frees_its_slot);
	ATF_TP_ADD_TC(tp, a_section_does_not_swallow_the_loss_of_a_cache);
	ATF_TP_ADD_TC(tp, a_replay_does_not_swallow_the_loss_of_a_cache);
	ATF_TP_ADD_TC(tp, a_lock_whose_release_failed_is_given_back);
	ATF_TP_ADD_TC(tp, a_lock_taken_unknowingly_is_given_back);
	ATF_TP_ADD_TC(tp, a_lock_wanted_again_before_that_stays);
	return atf_no_error();
}
