/* SPDX-License-Identifier: BSD-2-Clause */
/* What admins are told: who holds a lock, whose rights ended and why. */
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
unlock(struct world *w, unsigned i, struct lock_grant *g)
{
	struct lockops *l = host_locks(w->host[i].host);

	return l->vt->release(l, g);
}

/* Two looks at the table have passed. */
static void
let_pulse(struct world *w)
{
	fiber_sleep(3 * w->super.timers.pulse_ms * NSEC_PER_MSEC);
}

/* ---- who holds a lock ---- */

struct holders {
	unsigned n, dead, self, live;
	char dead_name[16];
};

static void
count_holder(void *arg, const struct lock_holder *one)
{
	struct holders *all = arg;

	all->n++;
	all->self += one->state == HOLDER_SELF;
	all->live += one->state == HOLDER_LIVE;
	if (one->state != HOLDER_DEAD)
		return;
	all->dead++;
	(void)snprintf(all->dead_name, sizeof(all->dead_name), "%.15s",
	    one->name);
}

static void
play_holders(struct world *w)
{
	struct takeover_report r;
	struct lock_holder worst;
	struct lock_grant g[3];
	char why[HOST_WHY_SIZE];
	struct holders all = { 0 };

	join_all(w);
	for (unsigned i = 0; i < w->hosts && !world_failed(w); i++) {
		struct lockops *l = host_locks(w->host[i].host);

		g[i] = (struct lock_grant){ 0 };
		WORLD_CHECK(w, l->vt->acquire(l, LOCK_BLOCK, LOCK_SHARED,
		    LOCK_NOWAIT, 0, &g[i], NULL) == 0);
	}
	if (world_failed(w))
		return;
	world_crash(w, 0);
	WORLD_CHECK(w, host_fence(w->host[1].host, "host0", true, &r,
	    why) == 0);
	WORLD_CHECK(w, host_lock_holders(w->host[1].host, LOCK_BLOCK,
	    count_holder, &all) == 0);
	WORLD_CHECK(w, all.n == 3 && all.dead == 1 && all.self == 1 &&
	    all.live == 1);
	WORLD_CHECK(w, strcmp(all.dead_name, "host0") == 0);
	WORLD_CHECK(w, host_lock_break(w->host[1].host, LOCK_BLOCK, &worst) ==
	    -VMFS_ELOCKED);
	WORLD_CHECK(w, strcmp(worst.name, "host2") == 0 && worst.count == 2);
	WORLD_CHECK(w, unlock(w, 2, &g[2]) == 0);
	/* Of those that are left we are the only one. */
	WORLD_CHECK(w, host_lock_break(w->host[1].host, LOCK_BLOCK, &worst) ==
	    -VMFS_ELOCKED);
	WORLD_CHECK(w, worst.state == HOLDER_SELF &&
	    strcmp(worst.name, "host1") == 0);
	WORLD_CHECK(w, unlock(w, 1, &g[1]) == 0);
	WORLD_CHECK(w, host_lock_break(w->host[1].host, LOCK_BLOCK, &worst) ==
	    0);
	leave_all(w);
}

ATF_TC_WITHOUT_HEAD(all_holders_of_a_shared_lock_are_named);
ATF_TC_BODY(all_holders_of_a_shared_lock_are_named, tc)
{
	(void)tc;
	run_seeds((struct world_conf){ .hosts = 3, .protocol = LOCK_ATS_PR },
	    play_holders);
}

/* Its slot had been free for long, and nobody has looked since it joined. */
static void
play_joined(struct world *w)
{
	struct lockops *l;
	struct lock_holder holder;
	struct lock_grant g = { 0 };
	uint64_t joined;

	WORLD_CHECK(w, world_join(w, 0) == 0);
	if (world_failed(w))
		return;
	fiber_sleep(20 * (uint64_t)w->super.timers.fence_ms * NSEC_PER_MSEC);
	joined = w->sim.now_ns;
	WORLD_CHECK(w, world_join(w, 1) == 0);
	if (world_failed(w))
		return;
	l = host_locks(w->host[1].host);
	WORLD_CHECK(w, l->vt->acquire(l, LOCK_BLOCK, LOCK_EXCLUSIVE,
	    LOCK_NOWAIT, 0, &g, NULL) == 0);
	l = host_locks(w->host[0].host);
	WORLD_CHECK(w, l->vt->query(l, LOCK_BLOCK, &holder) == 0);
	WORLD_CHECK(w, holder.state == HOLDER_LIVE);
	WORLD_CHECK(w, holder.silent_ms * NSEC_PER_MSEC <=
	    w->sim.now_ns - joined);
	WORLD_CHECK(w, unlock(w, 1, &g) == 0);
	leave_all(w);
}

ATF_TC_WITHOUT_HEAD(a_host_that_has_just_joined_was_not_silent_before);
ATF_TC_BODY(a_host_that_has_just_joined_was_not_silent_before, tc)
{
	(void)tc;
	run_seeds((struct world_conf){ .hosts = 2, .protocol = LOCK_ATS_PR },
	    play_joined);
}

/* ---- reports ---- */

struct reports {
	unsigned n;
	struct takeover_report first, last;
};

static void
collect(void *arg, const struct takeover_report *r)
{
	struct reports *all = arg;

	if (all->n++ == 0)
		all->first = *r;
	all->last = *r;
}

static struct reports
reports_of(struct world *w, unsigned i)
{
	struct reports all = { 0 };

	host_takeovers(w->host[i].host, collect, &all);
	return all;
}

static void
play_reports(struct world *w)
{
	struct takeover_report mine, seen;
	struct reports one, two;
	unsigned taker;

	join_all(w);
	if (world_failed(w))
		return;
	world_crash(w, 0);
	fiber_sleep(3 * (uint64_t)w->super.timers.fence_ms * NSEC_PER_MSEC);
	one = reports_of(w, 1);
	two = reports_of(w, 2);
	WORLD_CHECK(w, one.n == 1 && two.n == 1);
	taker = one.last.cause == TAKEOVER_SEEN ? 2 : 1;
	mine = taker == 1 ? one.last : two.last;
	seen = taker == 1 ? two.last : one.last;
	WORLD_CHECK(w, mine.cause == TAKEOVER_SILENCE && mine.tries == 1);
	WORLD_CHECK(w, mine.silent_ms >= w->super.timers.fence_ms);
	WORLD_CHECK(w, strcmp(mine.by, w->host[taker].name) == 0);
	for (int i = 1; i < TAKEOVER_STEPS; i++)
		WORLD_CHECK(w, mine.at_us[i] >= mine.at_us[i - 1] &&
		    mine.at_us[i - 1] != 0);
	WORLD_CHECK(w, seen.cause == TAKEOVER_SEEN && seen.result == 0);
	WORLD_CHECK(w, strcmp(seen.name, "host0") == 0);
	WORLD_CHECK(w, strcmp(seen.by, w->host[taker].name) == 0);
	WORLD_CHECK(w, seen.incarnation == mine.incarnation);
	WORLD_CHECK(w, seen.at_us[TAKEOVER_FREED] != 0);
	WORLD_CHECK(w, w->host[1].takeovers == 1);
	WORLD_CHECK(w, w->host[2].takeovers == 1);
	leave_all(w);
}

ATF_TC_WITHOUT_HEAD(a_take_over_is_reported_by_all_survivors);
ATF_TC_BODY(a_take_over_is_reported_by_all_survivors, tc)
{
	(void)tc;
	run_seeds((struct world_conf){ .hosts = 3, .protocol = LOCK_ATS_PR },
	    play_reports);
}

static void
play_ring(struct world *w)
{
	uint64_t oldest = 0;
	struct reports all;

	join_all(w);
	for (int i = 0; i < TAKEOVERS_KEPT + 4 && !world_failed(w); i++) {
		uint64_t ended = w->host[0].host->paths.incarnation;

		oldest = i == 4 ? ended : oldest;
		world_crash(w, 0);
		world_boot(w, 0);
		if (world_join(w, 0) < 0)
			world_fail(w, "%s", w->host[0].why);
		let_pulse(w);
	}
	if (world_failed(w))
		return;
	all = reports_of(w, 1);
	WORLD_CHECK(w, all.n == TAKEOVERS_KEPT);
	WORLD_CHECK(w, all.first.incarnation == oldest);
	WORLD_CHECK(w, strcmp(all.last.by, "host0") == 0);
	all = reports_of(w, 0);
	WORLD_CHECK(w, all.n == 1 && all.last.cause == TAKEOVER_OWN_PAST);
	leave_all(w);
}

ATF_TC_WITHOUT_HEAD(the_last_take_overs_are_kept);
ATF_TC_BODY(the_last_take_overs_are_kept, tc)
{
	(void)tc;
	run_seeds((struct world_conf){ .hosts = 2, .protocol = LOCK_ATS_PR },
	    play_ring);
}

static void
note_stuck(void *arg, const struct host_info *i)
{
	char *stuck = arg;

	if (i->stuck[0] != '\0')
		(void)snprintf(stuck, HOST_WHY_SIZE, "%s", i->stuck);
}

/* Cut off, but alive: its hold is there. */
static void
play_stuck(struct world *w)
{
	char stuck[HOST_WHY_SIZE] = "";
	struct reports all;

	join_all(w);
	if (world_failed(w))
		return;
	world_pause(w, 0);
	fiber_sleep(3 * (uint64_t)w->super.timers.fence_ms * NSEC_PER_MSEC);
	all = reports_of(w, 1);
	WORLD_CHECK(w, all.n == 1 && all.last.result == -VMFS_EINUSE);
	WORLD_CHECK(w, all.last.tries > 2);
	WORLD_CHECK(w, w->host[1].takeover_troubles == 1);
	WORLD_CHECK(w, w->host[1].takeovers == 0);
	WORLD_CHECK(w, strstr(all.last.why, "end that process") != NULL);
	host_list(w->host[1].host, note_stuck, stuck);
	WORLD_CHECK(w, strcmp(stuck, all.last.why) == 0);
	world_resume(w, 0);
	let_pulse(w);
	stuck[0] = '\0';
	host_list(w->host[1].host, note_stuck, stuck);
	WORLD_CHECK(w, stuck[0] == '\0');
	leave_all(w);
}

ATF_TC_WITHOUT_HEAD(a_take_over_that_fails_tells_why_once);
ATF_TC_BODY(a_take_over_that_fails_tells_why_once, tc)
{
	(void)tc;
	run_seeds((struct world_conf){ .hosts = 2, .protocol = LOCK_FILE },
	    play_stuck);
}

/* ---- when it was fenced ---- */

static void
note_end(void *arg, const struct host_info *i)
{
	uint64_t *since = arg;

	if (i->at_large)
		*since = i->since_us;
}

static uint64_t
end_seen_by(struct world *w, unsigned i)
{
	uint64_t since = UINT64_MAX;

	host_list(w->host[i].host, note_end, &since);
	return since;
}

/* By who did it, by who saw it, and not by who came later. */
static void
play_ends(struct world *w)
{
	struct takeover_report r;
	char why[HOST_WHY_SIZE];
	uint64_t mine, seen;

	for (unsigned i = 0; i < 3; i++)
		WORLD_CHECK(w, world_join(w, i) == 0);
	if (world_failed(w))
		return;
	let_pulse(w);
	world_crash(w, 0);
	WORLD_CHECK(w, host_fence(w->host[1].host, "host0", true, &r,
	    why) == 0);
	let_pulse(w);
	WORLD_CHECK(w, world_join(w, 3) == 0);
	if (world_failed(w))
		return;
	mine = end_seen_by(w, 1);
	seen = end_seen_by(w, 2);
	WORLD_CHECK(w, mine == r.at_us[TAKEOVER_MARKED] && mine != 0);
	/* At the next look, a pulse later at most. */
	WORLD_CHECK(w, seen >= mine && seen - mine <=
	    w->super.timers.pulse_ms * 1100u);
	WORLD_CHECK(w, end_seen_by(w, 3) == 0);
	leave_all(w);
}

ATF_TC_WITHOUT_HEAD(the_end_of_a_host_is_dated_by_those_who_saw_it);
ATF_TC_BODY(the_end_of_a_host_is_dated_by_those_who_saw_it, tc)
{
	(void)tc;
	run_seeds((struct world_conf){ .hosts = 4, .protocol = LOCK_ATS_PR },
	    play_ends);
}

/* ---- what is shown at once ---- */

struct shown {
	unsigned hosts, large, live, unheard;
	uint64_t least_ms;	/* of the others */
};

static void
show(void *arg, const struct host_info *i)
{
	struct shown *s = arg;

	s->hosts++;
	s->large += i->at_large;
	s->live += i->seen == HOLDER_LIVE && !i->unheard;
	s->unheard += i->unheard;
	if (!i->self && i->silent_ms < s->least_ms)
		s->least_ms = i->silent_ms;
}

static struct shown
shown_by(struct world *w, unsigned i)
{
	struct shown s = { .least_ms = UINT64_MAX };

	host_list(w->host[i].host, show, &s);
	return s;
}

/* No look at the table between an order and what is shown. */
static void
play_ordered(struct world *w)
{
	struct takeover_report r;
	char why[HOST_WHY_SIZE];
	unsigned slots;
	struct shown s;

	join_all(w);
	if (world_failed(w))
		return;
	let_pulse(w);
	world_crash(w, 0);
	WORLD_CHECK(w, host_fence(w->host[1].host, "host0", true, &r,
	    why) == 0);
	s = shown_by(w, 1);
	WORLD_CHECK(w, s.hosts == 2 && s.large == 1 && s.live == 0);
	WORLD_CHECK(w, host_forget(w->host[1].host, "host0", true, &slots,
	    why) == 0);
	s = shown_by(w, 1);
	WORLD_CHECK(w, s.hosts == 1 && s.large == 0);
	leave_all(w);
}

ATF_TC_WITHOUT_HEAD(an_order_is_seen_in_the_list_of_hosts_at_once);
ATF_TC_BODY(an_order_is_seen_in_the_list_of_hosts_at_once, tc)
{
	(void)tc;
	run_seeds((struct world_conf){ .hosts = 2, .protocol = LOCK_ATS_PR },
	    play_ordered);
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

static void
play_unheard(struct world *w)
{
	uint64_t pulse_ms = w->super.timers.pulse_ms;
	struct shown s;

	join_all(w);
	if (world_failed(w))
		return;
	let_pulse(w);
	s = shown_by(w, 0);
	WORLD_CHECK(w, s.live == 1 && s.unheard == 0);
	world_lose_paths(w, 0);
	WORLD_CHECK(w, world_wait(w, is_frozen, 0, 30000));
	s = shown_by(w, 0);
	WORLD_CHECK(w, s.live == 0 && s.unheard == 1);
	WORLD_CHECK(w, s.least_ms >= 2 * pulse_ms);
	world_heal_paths(w, 0);
	WORLD_CHECK(w, world_wait(w, is_ok, 0, 30000));
	let_pulse(w);
	s = shown_by(w, 0);
	WORLD_CHECK(w, s.live == 1 && s.unheard == 0);
	WORLD_CHECK(w, s.least_ms < 2 * pulse_ms);
	leave_all(w);
}

ATF_TC_WITHOUT_HEAD(who_is_frozen_calls_nobody_alive);
ATF_TC_BODY(who_is_frozen_calls_nobody_alive, tc)
{
	(void)tc;
	run_seeds((struct world_conf){ .hosts = 2, .protocol = LOCK_ATS_PR },
	    play_unheard);
}

/* ---- names ---- */

static const char *
status_name(unsigned i)
{
	return host_status_name((enum host_status)i);
}

static const char *
cause_name(unsigned i)
{
	return takeover_cause_name((enum takeover_cause)i);
}

static const char *
step_name(unsigned i)
{
	return takeover_step_name((enum takeover_step)i);
}

static void
check_names(const char *(*name)(unsigned i), unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		for (unsigned k = 0; k < i; k++)
			ATF_CHECK(strcmp(name(i), name(k)) != 0);
	ATF_CHECK(strcmp(name(n - 1), "unknown") != 0);
	ATF_CHECK_STREQ("unknown", name(n));
}

ATF_TC_WITHOUT_HEAD(states_causes_and_steps_have_names);
ATF_TC_BODY(states_causes_and_steps_have_names, tc)
{
	(void)tc;
	check_names(status_name, HOST_LEFT + 1);
	check_names(cause_name, TAKEOVER_SEEN + 1);
	check_names(step_name, TAKEOVER_STEPS);
}

ATF_TP_ADD_TCS(tp)
{
	ATF_TP_ADD_TC(tp, the_end_of_a_host_is_dated_by_those_who_saw_it);
	ATF_TP_ADD_TC(tp, an_order_is_seen_in_the_list_of_hosts_at_once);
	ATF_TP_ADD_TC(tp, who_is_frozen_calls_nobody_alive);
	ATF_TP_ADD_TC(tp, states_causes_and_steps_have_names);
	ATF_TP_ADD_TC(tp, all_holders_of_a_shared_lock_are_named);
	ATF_TP_ADD_TC(tp,
	    a_host_that_has_just_joined_was_not_silent_before);
	ATF_TP_ADD_TC(tp, a_take_over_is_reported_by_all_survivors);
	ATF_TP_ADD_TC(tp, the_last_take_overs_are_kept);
	ATF_TP_ADD_TC(tp, a_take_over_that_fails_tells_why_once);
	return atf_no_error();
}
