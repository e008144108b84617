/* SPDX-License-Identifier: BSD-2-Clause */
/* When the machine's watchdog is petted, in virtual time. */
#include <atf-c.h>
#include <string.h>

#include "libvmfs/base/units.h"
#include "libvmfs/format/layout.h"
#include "locking/host_int.h"
#include "tests/sim/world.h"

#define SEEDS 20

/* A device that notes what happens to it. */
static struct fake {
	struct watchdog dog;
	struct world *w;
	unsigned armed, disarmed, pets;
	uint64_t pet_ns, worst_ns;	/* last pet; longest hunger */
	int open_error;
	unsigned timeout_ms;		/* 0: it does not tell */
} fake;

static void
note(void)
{
	uint64_t now = fake.w->sim.now_ns;

	if (now - fake.pet_ns > fake.worst_ns)
		fake.worst_ns = now - fake.pet_ns;
	fake.pet_ns = now;
}

static int
fake_pet(struct watchdog *w)
{
	(void)w;
	fake.pets++;
	note();
	return 0;
}

static void
fake_close(struct watchdog *w, bool disarm)
{
	(void)w;
	note();
	fake.disarmed += disarm;
}

static const struct watchdog_ops fake_ops = { fake_pet, fake_close };

static int
fake_open(void *arg, struct watchdog **ret_w)
{
	fake.w = arg;
	if (fake.open_error != 0)
		return fake.open_error;
	fake.dog = (struct watchdog){
		.ops = &fake_ops, .timeout_ms = fake.timeout_ms,
		.can_disarm = true, .name = "fake",
	};
	fake.armed++;
	fake.pet_ns = fake.w->sim.now_ns;
	*ret_w = &fake.dog;
	return 0;
}

static struct watchdog_share *
share_new(struct world *w)
{
	struct watchdog_share_conf conf = {
		.open = fake_open, .arg = w, .name = "/dev/fake",
	};
	struct watchdog_share *s = NULL;

	memset(&fake, 0, sizeof(fake));
	fake.timeout_ms = WATCHDOG_TIMEOUT_MS;
	if (watchdog_share_new(&conf, &s) < 0)
		world_fail(w, "no memory");
	return s;
}

static bool
hungry(void)
{
	note();
	return fake.worst_ns > WATCHDOG_TIMEOUT_MS * NSEC_PER_MSEC;
}

static void
run_protocol(enum lock_protocol protocol, unsigned hosts,
    void (*play)(struct world *w))
{
	static struct world w;

	for (uint64_t seed = 1; seed <= SEEDS; seed++) {
		struct world_conf conf = {
			.seed = seed, .hosts = hosts, .protocol = protocol,
		};
		uint64_t hash;

		if (world_run(&w, &conf, play, &hash) < 0)
			atf_tc_fail("seed %llu: %s", (unsigned long long)seed,
			    w.problem);
	}
}

static void
run_seeds(unsigned hosts, void (*play)(struct world *w))
{
	run_protocol(LOCK_ATS_PR, hosts, play);
}

static void
play_healthy(struct world *w)
{
	struct watchdog_share *s = share_new(w);

	w->host[0].watchdog = s;
	WORLD_CHECK(w, world_join(w, 0) == 0);
	fiber_sleep(300 * NSEC_PER_SEC);
	WORLD_CHECK(w, watchdog_timeout_ms(s) == WATCHDOG_TIMEOUT_MS);
	WORLD_CHECK(w, world_leave(w, 0) == 0);
	WORLD_CHECK(w, fake.armed == 1 && fake.disarmed == 1);
	WORLD_CHECK(w, fake.pets >= 100 && !hungry());
	WORLD_CHECK(w, watchdog_timeout_ms(s) == 0);
	watchdog_share_free(s);
}

ATF_TC_WITHOUT_HEAD(a_healthy_host_is_never_reset);
ATF_TC_BODY(a_healthy_host_is_never_reset, tc)
{
	(void)tc;
	run_seeds(1, play_healthy);
}

static void
play_outage(struct world *w)
{
	struct watchdog_share *s = share_new(w);

	w->host[0].watchdog = s;
	WORLD_CHECK(w, world_join(w, 0) == 0);
	fiber_sleep(10 * NSEC_PER_SEC);
	world_lose_paths(w, 0);
	fiber_sleep(300 * NSEC_PER_SEC);
	WORLD_CHECK(w, host_status(w->host[0].host) == HOST_FROZEN);
	WORLD_CHECK(w, !hungry());
	world_heal_paths(w, 0);
	fiber_sleep(60 * NSEC_PER_SEC);
	WORLD_CHECK(w, host_status(w->host[0].host) == HOST_OK);
	WORLD_CHECK(w, world_leave(w, 0) == 0);
	WORLD_CHECK(w, !hungry());
	watchdog_share_free(s);
}

ATF_TC_WITHOUT_HEAD(a_lost_lun_resets_no_machine_that_others_can_fence);
ATF_TC_BODY(a_lost_lun_resets_no_machine_that_others_can_fence, tc)
{
	(void)tc;
	run_seeds(1, play_outage);
}

static void
play_strict(struct world *w)
{
	struct watchdog_share *s = share_new(w);
	struct host *h;

	w->host[0].watchdog = s;
	WORLD_CHECK(w, world_join(w, 0) == 0);
	h = w->host[0].host;
	h->petter.strict = true;
	fiber_sleep(10 * NSEC_PER_SEC);
	WORLD_CHECK(w, !hungry());
	world_lose_paths(w, 0);
	fiber_sleep(120 * NSEC_PER_SEC);
	WORLD_CHECK(w, fake.pet_ns <= atomic_load(&h->guard.good_ns) +
	    h->lease.freeze_ns);
	WORLD_CHECK(w, hungry());
	world_heal_paths(w, 0);
	fiber_sleep(60 * NSEC_PER_SEC);
	(void)world_leave(w, 0);
	watchdog_share_free(s);
}

ATF_TC_WITHOUT_HEAD(a_machine_that_only_it_can_fence_is_reset_in_time);
ATF_TC_BODY(a_machine_that_only_it_can_fence_is_reset_in_time, tc)
{
	(void)tc;
	run_seeds(1, play_strict);
}

/* A guard whose fiber does not run: the lease is old, I/O not held back. */
static void
play_stuck(struct world *w)
{
	static struct guard g;
	struct petter p = {
		.env = &w->env, .guard = &g, .share = share_new(w),
		.every_ns = NSEC_PER_SEC,
	};
	char why[WHY_SIZE];

	g = (struct guard){ .conf.freeze_ns = 12 * NSEC_PER_SEC };
	atomic_store(&g.good_ns, w->sim.now_ns);
	WORLD_CHECK(w, watchdog_enter(p.share, &p.lease, w->sim.now_ns,
	    why) == 0);
	WORLD_CHECK(w, petter_start(&p) == 0);
	fiber_sleep(120 * NSEC_PER_SEC);
	WORLD_CHECK(w, fake.pet_ns <= g.good_ns + g.conf.freeze_ns);
	WORLD_CHECK(w, fake.pets > 0 && hungry());
	petter_stop(&p);
	watchdog_leave(p.share, &p.lease);
	watchdog_share_free(p.share);
}

/* The guard has noticed, but one thread looked at the lease before that. */
static void
play_window(struct world *w)
{
	static struct guard g;
	struct petter p = {
		.env = &w->env, .guard = &g, .share = share_new(w),
		.every_ns = NSEC_PER_SEC,
	};
	char why[WHY_SIZE];

	g = (struct guard){ .conf.freeze_ns = 12 * NSEC_PER_SEC };
	atomic_store(&g.good_ns, w->sim.now_ns);
	atomic_store(&g.status, HOST_FROZEN);
	WORLD_CHECK(w, watchdog_enter(p.share, &p.lease, w->sim.now_ns,
	    why) == 0);
	WORLD_CHECK(w, petter_start(&p) == 0);
	fiber_sleep(60 * NSEC_PER_SEC);
	WORLD_CHECK(w, !hungry());
	atomic_store(&g.entering, 1);
	fiber_sleep(60 * NSEC_PER_SEC);
	WORLD_CHECK(w, hungry());
	petter_stop(&p);
	watchdog_leave(p.share, &p.lease);
	watchdog_share_free(p.share);
}

ATF_TC_WITHOUT_HEAD(a_request_that_sleeps_before_its_submission_resets);
ATF_TC_BODY(a_request_that_sleeps_before_its_submission_resets, tc)
{
	(void)tc;
	run_seeds(0, play_window);
}

ATF_TC_WITHOUT_HEAD(a_lease_check_that_is_stuck_resets_the_machine);
ATF_TC_BODY(a_lease_check_that_is_stuck_resets_the_machine, tc)
{
	(void)tc;
	run_seeds(0, play_stuck);
}

static void
play_two(struct world *w)
{
	struct watchdog_share *s = share_new(w);
	struct watchdog_lease a, b;
	char why[WHY_SIZE];

	WORLD_CHECK(w, watchdog_enter(s, &a, 100, why) == 0);
	WORLD_CHECK(w, watchdog_enter(s, &b, 200, why) == 0);
	WORLD_CHECK(w, fake.armed == 1);
	watchdog_renew(s, &b, 90, 300);
	WORLD_CHECK(w, fake.pets == 1);
	watchdog_renew(s, &b, 110, 300);	/* a is over */
	WORLD_CHECK(w, fake.pets == 1);
	watchdog_leave(s, &a);
	WORLD_CHECK(w, fake.disarmed == 0);
	watchdog_renew(s, &b, 120, 300);
	WORLD_CHECK(w, fake.pets == 2);
	watchdog_leave(s, &b);
	WORLD_CHECK(w, fake.disarmed == 1);
	watchdog_share_free(s);
}

ATF_TC_WITHOUT_HEAD(one_lost_lease_of_several_starves_the_watchdog);
ATF_TC_BODY(one_lost_lease_of_several_starves_the_watchdog, tc)
{
	(void)tc;
	run_seeds(0, play_two);
}

static void
play_busy(struct world *w)
{
	struct watchdog_share *s = share_new(w);

	fake.open_error = -EBUSY;
	w->host[0].watchdog = s;
	WORLD_CHECK(w, world_join(w, 0) == -EBUSY);
	WORLD_CHECK(w, strstr(w->host[0].why, "/dev/fake") != NULL);
	WORLD_CHECK(w, fake.armed == 0 && fake.disarmed == 0);
	w->host[0].watchdog = NULL;
	WORLD_CHECK(w, world_join(w, 0) == 0);
	WORLD_CHECK(w, world_leave(w, 0) == 0);
	watchdog_share_free(s);
}

ATF_TC_WITHOUT_HEAD(without_its_watchdog_a_host_does_not_join);
ATF_TC_BODY(without_its_watchdog_a_host_does_not_join, tc)
{
	(void)tc;
	run_seeds(1, play_busy);
}

/* Where others count on it, it must bite in the time that they count on. */
static void
play_too_late(struct world *w)
{
	struct watchdog_share *s = share_new(w);
	const unsigned limit = w->super.timers.watchdog_ms;
	const unsigned wrong[] = { 0, limit + 1 };

	for (unsigned i = 0; i < 2; i++) {
		fake.timeout_ms = wrong[i];
		w->host[0].watchdog = s;
		WORLD_CHECK(w, world_join(w, 0) == -EOPNOTSUPP);
		WORLD_CHECK(w, strstr(w->host[0].why, "make it shorter") !=
		    NULL);
		WORLD_CHECK(w, fake.armed == fake.disarmed);
	}
	/* It has given back what it had by then. */
	for (unsigned i = 0; i < SLOTS_MAX; i++)
		WORLD_CHECK(w, w->lun.now[(SLOT_TABLE_BLOCK + i) * BLOCK_SIZE +
		    26] == SLOT_FREE);
	fake.timeout_ms = limit;
	WORLD_CHECK(w, world_join(w, 0) == 0);
	fiber_sleep(60 * NSEC_PER_SEC);
	WORLD_CHECK(w, world_leave(w, 0) == 0);
	WORLD_CHECK(w, fake.armed == 3 && fake.disarmed == 3 && !hungry());
	w->host[0].watchdog = NULL;
	watchdog_share_free(s);
}

ATF_TC_WITHOUT_HEAD(a_watchdog_that_bites_too_late_is_refused);
ATF_TC_BODY(a_watchdog_that_bites_too_late_is_refused, tc)
{
	(void)tc;
	run_protocol(LOCK_ATS_WATCHDOG, 1, play_too_late);
	run_protocol(LOCK_RESERVE, 1, play_too_late);
}

ATF_TP_ADD_TCS(tp)
{
	ATF_TP_ADD_TC(tp, a_watchdog_that_bites_too_late_is_refused);
	ATF_TP_ADD_TC(tp, a_healthy_host_is_never_reset);
	ATF_TP_ADD_TC(tp, a_lost_lun_resets_no_machine_that_others_can_fence);
	ATF_TP_ADD_TC(tp, a_machine_that_only_it_can_fence_is_reset_in_time);
	ATF_TP_ADD_TC(tp, a_lease_check_that_is_stuck_resets_the_machine);
	ATF_TP_ADD_TC(tp, a_request_that_sleeps_before_its_submission_resets);
	ATF_TP_ADD_TC(tp, one_lost_lease_of_several_starves_the_watchdog);
	ATF_TP_ADD_TC(tp, without_its_watchdog_a_host_does_not_join);
	return atf_no_error();
}
