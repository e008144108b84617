/* SPDX-License-Identifier: BSD-2-Clause */
/* The network's word on hosts: it makes a take-over sooner, nothing else. */
#include <atf-c.h>
#include <inttypes.h>
#include <string.h>

#include "libvmfs/base/units.h"
#include "tests/sim/world.h"

#define SEEDS 30
#define QUIET_NS (300 * NSEC_PER_SEC)

static const struct sim_faults calm = { .late_ns = 30 * NSEC_PER_SEC };

static void
run_seeds(enum world_net net, void (*play)(struct world *w))
{
	static struct world w;

	for (uint64_t seed = 1; seed <= SEEDS; seed++) {
		struct world_conf conf = {
			.seed = seed, .hosts = 3, .protocol = LOCK_ATS_PR,
			.faults = calm, .net = net,
		};
		uint64_t hash;

		if (world_run(&w, &conf, play, &hash) < 0)
			atf_tc_fail("seed %" PRIu64 ": %s", seed, w.problem);
	}
}

static void
join_all(struct world *w)
{
	for (unsigned i = 0; i < w->hosts; i++)
		if (world_join(w, i) < 0)
			world_fail(w, "host%u: %s", i, w->host[i].why);
}

static void
leave_all(struct world *w)
{
	for (unsigned i = 0; i < w->hosts; i++)
		if (w->host[i].host != NULL)
			WORLD_CHECK(w, world_leave(w, i) == 0);
}

static void
play_quiet(struct world *w)
{
	join_all(w);
	fiber_sleep(QUIET_NS);
	for (unsigned i = 0; i < w->hosts; i++)
		WORLD_CHECK(w, w->host[i].fenced_times == 0);
	WORLD_CHECK(w, w->lun.preempts == 0);
	leave_all(w);
}

ATF_TC_WITHOUT_HEAD(a_host_that_pulses_is_not_fenced_for_a_rumour);
ATF_TC_BODY(a_host_that_pulses_is_not_fenced_for_a_rumour, tc)
{
	(void)tc;
	run_seeds(NET_SAYS_GONE, play_quiet);
	run_seeds(NET_CHATTERS, play_quiet);
}

static bool
taken_over(struct world *w, unsigned i)
{
	struct takeover_report r;

	return world_failed(w) || host_last_takeover(w->host[i].host, &r) ||
	    host_last_takeover(w->host[3 - i].host, &r);
}

/* Silence before the fence, as the report tells it. */
static uint64_t
silence_of_death(struct world *w)
{
	struct takeover_report r = { 0 };

	join_all(w);
	if (world_failed(w))
		return 0;
	world_crash(w, 0);
	WORLD_CHECK(w, world_wait(w, taken_over, 1, 60000));
	if (!host_last_takeover(w->host[1].host, &r))
		(void)host_last_takeover(w->host[2].host, &r);
	WORLD_CHECK(w, strcmp(r.name, "host0") == 0);
	leave_all(w);
	return r.silent_ms;
}

static void
play_hint(struct world *w)
{
	const struct timers *t = &w->super.timers;
	uint64_t ms = silence_of_death(w);

	WORLD_CHECK(w, ms >= t->fence_hint_ms);
	/* Looked at when its time was up, not some time later. */
	WORLD_CHECK(w, ms < t->fence_hint_ms + t->pulse_ms / 40);
}

ATF_TC_WITHOUT_HEAD(network_and_disk_together_fence_sooner);
ATF_TC_BODY(network_and_disk_together_fence_sooner, tc)
{
	(void)tc;
	run_seeds(NET_SAYS_GONE, play_hint);
}

static void
play_late_word(struct world *w)
{
	const struct timers *t = &w->super.timers;
	uint64_t start;

	join_all(w);
	if (world_failed(w))
		return;
	world_crash(w, 0);
	fiber_sleep((t->fence_hint_ms + t->pulse_ms) * NSEC_PER_MSEC);
	WORLD_CHECK(w, !taken_over(w, 1));
	w->net = NET_SAYS_GONE;
	start = w->sim.now_ns;
	WORLD_CHECK(w, world_wait(w, taken_over, 1, 60000));
	WORLD_CHECK(w, w->sim.now_ns - start <
	    t->pulse_ms * NSEC_PER_MSEC / 4);
	leave_all(w);
}

ATF_TC_WITHOUT_HEAD(a_word_that_comes_late_is_acted_on_at_once);
ATF_TC_BODY(a_word_that_comes_late_is_acted_on_at_once, tc)
{
	(void)tc;
	run_seeds(NET_SILENT, play_late_word);
}

static void
play_no_hint(struct world *w)
{
	const struct timers *t = &w->super.timers;
	uint64_t ms = silence_of_death(w);

	WORLD_CHECK(w, ms >= t->fence_ms);
	WORLD_CHECK(w, ms < t->fence_ms + t->pulse_ms);
}

ATF_TC_WITHOUT_HEAD(a_network_that_says_up_protects_no_dead_host);
ATF_TC_BODY(a_network_that_says_up_protects_no_dead_host, tc)
{
	(void)tc;
	run_seeds(NET_SAYS_UP, play_no_hint);
	run_seeds(NET_SILENT, play_no_hint);
}

ATF_TP_ADD_TCS(tp)
{
	ATF_TP_ADD_TC(tp, a_host_that_pulses_is_not_fenced_for_a_rumour);
	ATF_TP_ADD_TC(tp, network_and_disk_together_fence_sooner);
	ATF_TP_ADD_TC(tp, a_word_that_comes_late_is_acted_on_at_once);
	ATF_TP_ADD_TC(tp, a_network_that_says_up_protects_no_dead_host);
	return atf_no_error();
}
