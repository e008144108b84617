/* SPDX-License-Identifier: BSD-2-Clause */
/* What admins order: fence a host by name, forget one. */
#include <atf-c.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libvmfs/base/units.h"
#include "locking/host_int.h"
#include "tests/sim/world.h"

#define SEEDS 30
#define LOCK_BLOCK 8192u

static const struct sim_faults calm = { .late_ns = 25 * NSEC_PER_SEC };

static void
run_seeds(struct world_conf conf, void (*play)(struct world *w))
{
	static struct world w;
	uint64_t hash;

	conf.faults = calm;
	for (conf.seed = 1; conf.seed <= SEEDS; conf.seed++)
		if (world_run(&w, &conf, play, &hash) < 0)
			atf_tc_fail("seed %" PRIu64 ": %s", conf.seed,
			    w.problem);
}

static void
join_all(struct world *w)
{
	for (unsigned i = 0; i < w->hosts; i++) {
		if (world_join(w, i) < 0)
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

static int
lock(struct world *w, unsigned i, uint64_t ms, struct lock_grant *g)
{
	struct lockops *l = host_locks(w->host[i].host);

	*g = (struct lock_grant){ 0 };
	return l->vt->acquire(l, LOCK_BLOCK, LOCK_EXCLUSIVE,
	    ms == 0 ? LOCK_NOWAIT : 0, w->sim.now_ns + ms * NSEC_PER_MSEC, g,
	    NULL);
}

static int
unlock(struct world *w, unsigned i, struct lock_grant *g)
{
	struct lockops *l = host_locks(w->host[i].host);

	return l->vt->release(l, g);
}

/* Host i orders; the sentence must hold `words`. */
static int
fence(struct world *w, unsigned i, const char *name, bool force,
    const char *words)
{
	struct takeover_report r;
	char why[HOST_WHY_SIZE] = "";
	int rc = host_fence(w->host[i].host, name, force, &r, why);

	if (rc < 0 && (words == NULL || strstr(why, words) == NULL))
		world_fail(w, "fence %s: %s: %s", name, vmfs_strerror(rc),
		    why);
	WORLD_CHECK(w, rc < 0 || (r.cause == TAKEOVER_ADMIN &&
	    strcmp(r.name, name) == 0 && r.at_us[TAKEOVER_FREED] != 0));
	return rc;
}

static int
forget(struct world *w, unsigned i, const char *name, bool force,
    const char *words)
{
	char why[HOST_WHY_SIZE] = "";
	unsigned slots = 0;
	int rc = host_forget(w->host[i].host, name, force, &slots, why);

	if (rc < 0 && (words == NULL || strstr(why, words) == NULL))
		world_fail(w, "forget %s: %s: %s", name, vmfs_strerror(rc),
		    why);
	WORLD_CHECK(w, rc < 0 || slots > 0);
	return rc;
}

static bool
is_fenced(struct world *w, unsigned i)
{
	return w->host[i].status == HOST_FENCED;
}

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

/* Two looks at the table have passed. */
static void
let_pulse(struct world *w)
{
	fiber_sleep(3 * w->super.timers.pulse_ms * NSEC_PER_MSEC);
}

static void
count_large(void *arg, const struct host_info *i)
{
	unsigned *n = arg;

	*n += i->at_large;
	/* Seen by us, so we know when. */
	if (i->at_large && i->since_us == 0)
		*n += 100;
}

static unsigned
at_large(struct world *w, unsigned i)
{
	unsigned n = 0;

	let_pulse(w);
	host_list(w->host[i].host, count_large, &n);
	return n;
}

/* ---- fence ---- */

static void
play_fence_dead(struct world *w)
{
	struct lock_grant a, b;
	uint64_t died;

	join_all(w);
	if (world_failed(w))
		return;
	WORLD_CHECK(w, lock(w, 0, 0, &a) == 0);
	died = w->sim.now_ns;
	world_crash(w, 0);
	WORLD_CHECK(w, fence(w, 1, "host0", false, NULL) == 0);
	WORLD_CHECK(w, w->sim.now_ns - died <
	    w->super.timers.freeze_ms * NSEC_PER_MSEC);
	WORLD_CHECK(w, lock(w, 1, 0, &b) == 0);
	WORLD_CHECK(w, unlock(w, 1, &b) == 0);
	WORLD_CHECK(w, fence(w, 2, "host0", false, "was fenced already") ==
	    -ENOENT);
	leave_all(w);
}

ATF_TC_WITHOUT_HEAD(a_dead_host_is_ended_when_the_admin_says_so);
ATF_TC_BODY(a_dead_host_is_ended_when_the_admin_says_so, tc)
{
	(void)tc;
	run_seeds((struct world_conf){ .hosts = 3, .protocol = LOCK_ATS_PR },
	    play_fence_dead);
	run_seeds((struct world_conf){ .hosts = 3, .protocol = LOCK_FILE },
	    play_fence_dead);
}

static void
play_fence_live(struct world *w)
{
	struct lock_grant a, b;

	join_all(w);
	if (world_failed(w))
		return;
	WORLD_CHECK(w, lock(w, 0, 0, &a) == 0);
	let_pulse(w);
	WORLD_CHECK(w, fence(w, 1, "host0", false, "is alive, it pulsed") ==
	    -VMFS_EINUSE);
	WORLD_CHECK(w, lock(w, 1, 0, &b) == -VMFS_ELOCKED);
	let_pulse(w);
	WORLD_CHECK(w, w->lun.preempts == 0);
	WORLD_CHECK(w, host_status(w->host[0].host) == HOST_OK);
	WORLD_CHECK(w, unlock(w, 0, &a) == 0);
	leave_all(w);
}

ATF_TC_WITHOUT_HEAD(a_host_that_pulses_is_left_alone);
ATF_TC_BODY(a_host_that_pulses_is_left_alone, tc)
{
	(void)tc;
	run_seeds((struct world_conf){ .hosts = 2, .protocol = LOCK_ATS_PR },
	    play_fence_live);
}

static void
play_fence_force(struct world *w)
{
	struct lock_grant a, b;
	uint8_t *buf = disk_buf_alloc(4096);

	join_all(w);
	if (world_failed(w) || buf == NULL)
		goto out;
	WORLD_CHECK(w, lock(w, 0, 0, &a) == 0);
	WORLD_CHECK(w, fence(w, 1, "host0", true, NULL) == 0);
	WORLD_CHECK(w, disk_write(host_disk(w->host[0].host), 65536, buf,
	    4096, 0) == -VMFS_EFENCED);
	WORLD_CHECK(w, world_wait(w, is_fenced, 0, 30000));
	WORLD_CHECK(w, lock(w, 1, 0, &b) == 0);
	WORLD_CHECK(w, world_leave(w, 0) == 0);
	WORLD_CHECK(w, world_join(w, 0) == 0);
	WORLD_CHECK(w, unlock(w, 1, &b) == 0);
	leave_all(w);
	WORLD_CHECK(w, w->lun.reserved == 0);
out:
	free(buf);
}

ATF_TC_WITHOUT_HEAD(force_ends_a_host_that_runs_and_it_can_remount);
ATF_TC_BODY(force_ends_a_host_that_runs_and_it_can_remount, tc)
{
	(void)tc;
	run_seeds((struct world_conf){ .hosts = 2, .protocol = LOCK_ATS_PR },
	    play_fence_force);
}

static void
play_fence_hold(struct world *w)
{
	join_all(w);
	if (world_failed(w))
		return;
	WORLD_CHECK(w, fence(w, 1, "host0", true,
	    "still has the file open") == -VMFS_EINUSE);
	let_pulse(w);
	WORLD_CHECK(w, host_status(w->host[0].host) == HOST_OK);
	leave_all(w);
}

ATF_TC_WITHOUT_HEAD(force_does_not_break_a_hold);
ATF_TC_BODY(force_does_not_break_a_hold, tc)
{
	(void)tc;
	run_seeds((struct world_conf){ .hosts = 2, .protocol = LOCK_FILE },
	    play_fence_hold);
}

static void
play_fence_by_time(struct world *w)
{
	struct lock_grant a, b;

	join_all(w);
	if (world_failed(w))
		return;
	WORLD_CHECK(w, lock(w, 0, 0, &a) == 0);
	let_pulse(w);
	WORLD_CHECK(w, fence(w, 1, "host0", true, "only silence ends it") ==
	    -VMFS_EINUSE);
	world_crash(w, 0);
	WORLD_CHECK(w, fence(w, 1, "host0", true, "is taken over then") ==
	    -VMFS_EINUSE);
	WORLD_CHECK(w, lock(w, 1, 0, &b) == -VMFS_ELOCKED);
	WORLD_CHECK(w, lock(w, 1, 2 * (uint64_t)w->super.timers.fence_ms,
	    &b) == 0);
	WORLD_CHECK(w, unlock(w, 1, &b) == 0);
	leave_all(w);
}

ATF_TC_WITHOUT_HEAD(no_order_shortens_the_proof_by_time);
ATF_TC_BODY(no_order_shortens_the_proof_by_time, tc)
{
	(void)tc;
	run_seeds((struct world_conf){ .hosts = 2,
	    .protocol = LOCK_ATS_WATCHDOG }, play_fence_by_time);
}

static void
play_names(struct world *w)
{
	join_all(w);
	if (world_failed(w))
		return;
	let_pulse(w);
	WORLD_CHECK(w, fence(w, 0, "host0", true, "is this one") == -EINVAL);
	WORLD_CHECK(w, fence(w, 0, "esx9", true, "\"host1\"") == -ENOENT);
	WORLD_CHECK(w, forget(w, 0, "esx9", true, "there is none") == -ENOENT);
	world_lose_paths(w, 0);
	WORLD_CHECK(w, world_wait(w, is_frozen, 0, 30000));
	WORLD_CHECK(w, fence(w, 0, "host1", true, "cannot reach the LUN") ==
	    -EBUSY);
	WORLD_CHECK(w, forget(w, 0, "host1", true, "cannot reach the LUN") ==
	    -EBUSY);
	world_heal_paths(w, 0);
	WORLD_CHECK(w, world_wait(w, is_ok, 0, 30000));
	leave_all(w);
}

ATF_TC_WITHOUT_HEAD(wrong_orders_are_explained);
ATF_TC_BODY(wrong_orders_are_explained, tc)
{
	(void)tc;
	run_seeds((struct world_conf){ .hosts = 2, .protocol = LOCK_ATS_PR },
	    play_names);
}

struct ordering {
	struct world *w;
	unsigned by;
	int rc;
	bool done;
};

static void
order_fence(void *arg)
{
	struct ordering *o = arg;
	struct takeover_report r;
	char why[HOST_WHY_SIZE] = "";

	o->rc = host_fence(o->w->host[o->by].host, "host0", false, &r, why);
	if (o->rc < 0 && why[0] == '\0')
		world_fail(o->w, "fence: %s without a sentence",
		    vmfs_strerror(o->rc));
	o->done = true;
}

static void
start(struct world *w, struct ordering *o, unsigned by)
{
	*o = (struct ordering){ .w = w, .by = by };
	WORLD_CHECK(w, sched_spawn(w->host[by].env.sched, "order",
	    order_fence, o) == 0);
}

static void
play_fence_twice(struct world *w)
{
	struct ordering one, two;
	struct lock_grant a, b;

	join_all(w);
	if (world_failed(w))
		return;
	WORLD_CHECK(w, lock(w, 0, 0, &a) == 0);
	world_crash(w, 0);
	start(w, &one, 1);
	start(w, &two, 2);
	while (!one.done || !two.done)
		fiber_sleep(10 * NSEC_PER_MSEC);
	/* Who is second hears that it has changed. */
	WORLD_CHECK(w, one.rc == 0 || two.rc == 0);
	WORLD_CHECK(w, one.rc == 0 || one.rc == -EBUSY || one.rc == -ENOENT);
	WORLD_CHECK(w, two.rc == 0 || two.rc == -EBUSY || two.rc == -ENOENT);
	WORLD_CHECK(w, lock(w, 1, 60000, &b) == 0);
	WORLD_CHECK(w, unlock(w, 1, &b) == 0);
	leave_all(w);
}

ATF_TC_WITHOUT_HEAD(two_admins_fence_one_host);
ATF_TC_BODY(two_admins_fence_one_host, tc)
{
	(void)tc;
	run_seeds((struct world_conf){ .hosts = 3, .protocol = LOCK_ATS_PR },
	    play_fence_twice);
}

/* The LUN goes away for the one who fences while he listens. */
static void
play_fence_blind(struct world *w)
{
	struct ordering o;

	join_all(w);
	if (world_failed(w))
		return;
	let_pulse(w);
	start(w, &o, 1);
	for (unsigned i = 0; i < 2; i++)
		world_lose_paths(w, i);
	fiber_sleep((sim_below(&w->sim, 60) + 1) * NSEC_PER_SEC);
	for (unsigned i = 0; i < 2; i++)
		world_heal_paths(w, i);
	while (!o.done)
		fiber_sleep(10 * NSEC_PER_MSEC);
	WORLD_CHECK(w, world_wait(w, is_ok, 0, 30000));
	WORLD_CHECK(w, world_wait(w, is_ok, 1, 30000));
	WORLD_CHECK(w, o.rc == -EBUSY || o.rc == -VMFS_EINUSE);
	WORLD_CHECK(w, w->lun.preempts == 0);
	leave_all(w);
}

ATF_TC_WITHOUT_HEAD(an_outage_is_no_silence_for_an_admin);
ATF_TC_BODY(an_outage_is_no_silence_for_an_admin, tc)
{
	(void)tc;
	run_seeds((struct world_conf){ .hosts = 2, .protocol = LOCK_ATS_PR },
	    play_fence_blind);
}

/* Its own lease ends while it listens; who is silent may be any reason. */
static void
play_fence_frozen(struct world *w)
{
	struct ordering o;
	struct lock_grant a, b;

	join_all(w);
	if (world_failed(w))
		return;
	WORLD_CHECK(w, lock(w, 0, 0, &a) == 0);
	let_pulse(w);
	sim_path_lose(&w->lun, 3);
	fiber_sleep((w->super.timers.freeze_ms - w->super.timers.pulse_ms -
	    1000) * NSEC_PER_MSEC);
	WORLD_CHECK(w, host_status(w->host[1].host) == HOST_OK);
	world_crash(w, 0);
	start(w, &o, 1);
	while (!o.done)
		fiber_sleep(10 * NSEC_PER_MSEC);
	WORLD_CHECK(w, o.rc == -EBUSY);
	WORLD_CHECK(w, w->lun.preempts == 0);
	sim_path_heal(&w->lun, 3);
	let_pulse(w);
	WORLD_CHECK(w, host_status(w->host[1].host) == HOST_OK);
	WORLD_CHECK(w, fence(w, 1, "host0", false, NULL) == 0);
	WORLD_CHECK(w, lock(w, 1, 0, &b) == 0);
	WORLD_CHECK(w, unlock(w, 1, &b) == 0);
	leave_all(w);
}

ATF_TC_WITHOUT_HEAD(who_loses_its_lease_ends_nobody);
ATF_TC_BODY(who_loses_its_lease_ends_nobody, tc)
{
	(void)tc;
	run_seeds((struct world_conf){ .hosts = 2, .protocol = LOCK_ATS_PR },
	    play_fence_frozen);
}

/* So many that the sentence does not name them all. */
static void
play_many_names(struct world *w)
{
	struct takeover_report r;
	char why[HOST_WHY_SIZE] = "";

	join_all(w);
	if (world_failed(w))
		return;
	let_pulse(w);
	memset(why, 'x', sizeof(why));
	WORLD_CHECK(w, host_fence(w->host[0].host, "esx9", true, &r, why) ==
	    -ENOENT);
	WORLD_CHECK(w, strnlen(why, sizeof(why)) == sizeof(why) - 1);
	WORLD_CHECK(w, strstr(why, "no host \"esx9\"") != NULL);
	leave_all(w);
}

ATF_TC_WITHOUT_HEAD(a_long_list_of_hosts_is_cut);
ATF_TC_BODY(a_long_list_of_hosts_is_cut, tc)
{
	static struct world w;
	struct world_conf conf = { .seed = 1, .hosts = 40,
		.protocol = LOCK_ATS_PR };
	uint64_t hash;

	(void)tc;
	if (world_run(&w, &conf, play_many_names, &hash) < 0)
		atf_tc_fail("%s", w.problem);
}

/* ---- two hosts of one name, one after the other ---- */

static void
play_namesake(struct world *w)
{
	struct world_host *anew = &w->host[2];
	struct lock_grant a;

	WORLD_CHECK(w, world_join(w, 0) == 0);
	WORLD_CHECK(w, world_join(w, 1) == 0);
	world_crash(w, 0);
	/* Installed anew: its name, another identity. */
	(void)snprintf(anew->name, sizeof(anew->name), "host0");
	if (world_join(w, 2) < 0)
		world_fail(w, "%s", anew->why);
	if (world_failed(w))
		return;
	/* The dead one is meant, not the one that is alive. */
	WORLD_CHECK(w, fence(w, 1, "host0", false, "was fenced already") == 0);
	WORLD_CHECK(w, host_status(anew->host) == HOST_OK);
	WORLD_CHECK(w, at_large(w, 1) == 1);
	WORLD_CHECK(w, forget(w, 1, "host0", true, NULL) == 0);
	WORLD_CHECK(w, at_large(w, 1) == 0);
	WORLD_CHECK(w, forget(w, 1, "host0", true, "is a member") ==
	    -VMFS_EINUSE);
	WORLD_CHECK(w, host_status(anew->host) == HOST_OK);
	WORLD_CHECK(w, lock(w, 2, 0, &a) == 0);
	WORLD_CHECK(w, unlock(w, 2, &a) == 0);
	leave_all(w);
	WORLD_CHECK(w, w->lun.reserved == 0);
}

ATF_TC_WITHOUT_HEAD(a_host_installed_anew_does_not_stand_for_the_old_one);
ATF_TC_BODY(a_host_installed_anew_does_not_stand_for_the_old_one, tc)
{
	(void)tc;
	run_seeds((struct world_conf){ .hosts = 3, .protocol = LOCK_ATS_PR },
	    play_namesake);
}

/* ---- forget ---- */

static void
play_forget(struct world *w)
{
	join_all(w);
	if (world_failed(w))
		return;
	world_crash(w, 0);
	WORLD_CHECK(w, fence(w, 1, "host0", true, NULL) == 0);
	WORLD_CHECK(w, at_large(w, 1) == 1);
	/* Leaves its key behind, because of the one at large. */
	WORLD_CHECK(w, world_leave(w, 2) == 0);
	WORLD_CHECK(w, forget(w, 1, "host0", false, "--force") == -EPERM);
	WORLD_CHECK(w, at_large(w, 1) == 1);
	WORLD_CHECK(w, forget(w, 1, "host0", true, NULL) == 0);
	WORLD_CHECK(w, at_large(w, 1) == 0);
	WORLD_CHECK(w, forget(w, 1, "host0", true, "there is none") ==
	    -ENOENT);
	WORLD_CHECK(w, world_leave(w, 1) == 0);
	WORLD_CHECK(w, w->lun.reserved == 0);
}

ATF_TC_WITHOUT_HEAD(a_forgotten_host_does_not_keep_the_lun_reserved);
ATF_TC_BODY(a_forgotten_host_does_not_keep_the_lun_reserved, tc)
{
	(void)tc;
	run_seeds((struct world_conf){ .hosts = 3, .protocol = LOCK_ATS_PR },
	    play_forget);
}

static void
play_forget_hold(struct world *w)
{
	join_all(w);
	if (world_failed(w))
		return;
	world_crash(w, 0);
	WORLD_CHECK(w, fence(w, 1, "host0", true, NULL) == 0);
	WORLD_CHECK(w, forget(w, 1, "host0", false, NULL) == 0);
	WORLD_CHECK(w, at_large(w, 1) == 0);
	leave_all(w);
}

ATF_TC_WITHOUT_HEAD(force_is_asked_only_where_it_is_dangerous);
ATF_TC_BODY(force_is_asked_only_where_it_is_dangerous, tc)
{
	(void)tc;
	run_seeds((struct world_conf){ .hosts = 2, .protocol = LOCK_FILE },
	    play_forget_hold);
}

static void
play_forget_live(struct world *w)
{
	struct lock_grant a, b;
	const struct host *h0;
	struct heartbeat hb;

	join_all(w);
	if (world_failed(w))
		return;
	h0 = w->host[0].host;
	WORLD_CHECK(w, lock(w, 0, 0, &a) == 0);
	WORLD_CHECK(w, forget(w, 1, "host0", true, "is a member") ==
	    -VMFS_EINUSE);
	WORLD_CHECK(w, forget(w, 0, "host0", true, "is a member") ==
	    -VMFS_EINUSE);
	/* Whatever asks for it: the step itself touches no such slot. */
	WORLD_CHECK(w, slot_peek(w->host[1].host, h0->paths.slot, &hb) == 0);
	WORLD_CHECK(w, slot_unmark(w->host[1].host, &hb) == 0);
	WORLD_CHECK(w, slot_peek(w->host[1].host, h0->paths.slot, &hb) == 0);
	WORLD_CHECK(w, hb.state == SLOT_LIVE);
	let_pulse(w);
	WORLD_CHECK(w, host_status(h0) == HOST_OK);
	WORLD_CHECK(w, lock(w, 1, 0, &b) == -VMFS_ELOCKED);
	WORLD_CHECK(w, unlock(w, 0, &a) == 0);
	leave_all(w);
}

ATF_TC_WITHOUT_HEAD(a_member_cannot_be_forgotten);
ATF_TC_BODY(a_member_cannot_be_forgotten, tc)
{
	(void)tc;
	run_seeds((struct world_conf){ .hosts = 2, .protocol = LOCK_ATS_PR },
	    play_forget_live);
}

/* As if the host in `slot` were being recovered by host `by`. */
static void
mark(struct world *w, unsigned by, unsigned slot)
{
	struct host *h = w->host[by].host;
	struct heartbeat hb;
	struct caw c;
	int rc = caw_init(&c, &h->guard.disk, SLOT_TABLE_BLOCK + slot,
	    h->super.sector_size);

	if (rc == 0)
		rc = slot_load(h, &c, slot, &hb);
	if (rc == 0) {
		hb.state = SLOT_RECOVERING;
		hb.incarnation++;
		hb.recoverer = h->paths.slot;
		hb.recoverer_incarnation = h->paths.incarnation;
		rc = slot_store(h, &c, &hb);
	}
	caw_fini(&c);
	WORLD_CHECK(w, rc == 0);
}

static void
play_forget_recovering(struct world *w)
{
	struct lock_grant a, b;
	struct heartbeat hb;
	unsigned slot;

	join_all(w);
	if (world_failed(w))
		return;
	WORLD_CHECK(w, lock(w, 0, 0, &a) == 0);
	slot = w->host[0].host->paths.slot;
	world_crash(w, 0);
	mark(w, 1, slot);
	WORLD_CHECK(w, slot_peek(w->host[2].host, slot, &hb) == 0);
	WORLD_CHECK(w, forget(w, 2, "host0", true, "being replayed") ==
	    -EBUSY);
	WORLD_CHECK(w, fence(w, 2, "host0", true, "is fenced already") ==
	    -EBUSY);
	WORLD_CHECK(w, slot_unmark(w->host[2].host, &hb) == 0);
	WORLD_CHECK(w, slot_peek(w->host[2].host, slot, &hb) == 0);
	WORLD_CHECK(w, hb.state == SLOT_RECOVERING);
	WORLD_CHECK(w, hb.recoverer_incarnation != 0);
	WORLD_CHECK(w, lock(w, 2, 0, &b) == -VMFS_ELOCKED);
	/* Host 1 finds itself named as the one who recovers, and does. */
	WORLD_CHECK(w, lock(w, 2, 60000, &b) == 0);
	WORLD_CHECK(w, unlock(w, 2, &b) == 0);
	leave_all(w);
}

ATF_TC_WITHOUT_HEAD(a_host_in_recovery_cannot_be_forgotten);
ATF_TC_BODY(a_host_in_recovery_cannot_be_forgotten, tc)
{
	(void)tc;
	run_seeds((struct world_conf){ .hosts = 3, .protocol = LOCK_ATS_PR },
	    play_forget_recovering);
}

struct returning {
	struct world *w;
	bool done;
};

static void
come_back(void *arg)
{
	struct returning *r = arg;

	if (world_join(r->w, 0) < 0)
		world_fail(r->w, "%s", r->w->host[0].why);
	r->done = true;
}

static void
play_forget_race(struct world *w)
{
	struct returning r = { .w = w };
	char why[HOST_WHY_SIZE];
	struct lock_grant a;
	unsigned slots;
	int rc;

	join_all(w);
	if (world_failed(w))
		return;
	world_crash(w, 0);
	WORLD_CHECK(w, fence(w, 1, "host0", true, NULL) == 0);
	world_boot(w, 0);
	WORLD_CHECK(w, sched_spawn(w->host[0].env.sched, "back", come_back,
	    &r) == 0);
	fiber_sleep(sim_below(&w->sim, 10000) * 1000);
	/* Before, while, or after it has its slot again. */
	rc = host_forget(w->host[1].host, "host0", true, &slots, why);
	WORLD_CHECK(w, rc == 0 || rc == -VMFS_EINUSE || rc == -ENOENT);
	while (!r.done)
		fiber_sleep(NSEC_PER_MSEC);
	if (world_failed(w))
		return;
	let_pulse(w);
	WORLD_CHECK(w, host_status(w->host[0].host) == HOST_OK);
	WORLD_CHECK(w, lock(w, 0, 0, &a) == 0);
	WORLD_CHECK(w, unlock(w, 0, &a) == 0);
	leave_all(w);
	WORLD_CHECK(w, w->lun.reserved == 0);
}

ATF_TC_WITHOUT_HEAD(a_host_that_comes_back_meanwhile_is_a_member);
ATF_TC_BODY(a_host_that_comes_back_meanwhile_is_a_member, tc)
{
	(void)tc;
	run_seeds((struct world_conf){ .hosts = 2, .protocol = LOCK_ATS_PR },
	    play_forget_race);
}

ATF_TP_ADD_TCS(tp)
{
	ATF_TP_ADD_TC(tp, a_dead_host_is_ended_when_the_admin_says_so);
	ATF_TP_ADD_TC(tp, a_host_that_pulses_is_left_alone);
	ATF_TP_ADD_TC(tp, force_ends_a_host_that_runs_and_it_can_remount);
	ATF_TP_ADD_TC(tp, force_does_not_break_a_hold);
	ATF_TP_ADD_TC(tp, no_order_shortens_the_proof_by_time);
	ATF_TP_ADD_TC(tp, wrong_orders_are_explained);
	ATF_TP_ADD_TC(tp, two_admins_fence_one_host);
	ATF_TP_ADD_TC(tp, an_outage_is_no_silence_for_an_admin);
	ATF_TP_ADD_TC(tp,
	    a_host_installed_anew_does_not_stand_for_the_old_one);
	ATF_TP_ADD_TC(tp, a_forgotten_host_does_not_keep_the_lun_reserved);
	ATF_TP_ADD_TC(tp, force_is_asked_only_where_it_is_dangerous);
	ATF_TP_ADD_TC(tp, who_loses_its_lease_ends_nobody);
	ATF_TP_ADD_TC(tp, a_long_list_of_hosts_is_cut);
	ATF_TP_ADD_TC(tp, a_member_cannot_be_forgotten);
	ATF_TP_ADD_TC(tp, a_host_in_recovery_cannot_be_forgotten);
	ATF_TP_ADD_TC(tp, a_host_that_comes_back_meanwhile_is_a_member);
	return atf_no_error();
}
