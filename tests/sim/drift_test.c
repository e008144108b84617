/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Clocks of hosts that go at rates of their own: what is proven by time is true
 * by the true time; where the LUN fences, no rate does any harm.
 */
#include <stdlib.h>

#include "locking/lease.h"
#include "tests/sim/play.h"

#define SEEDS 5
#define DATA_BLOCK 9000u

static unsigned ppm;

/* What the LUN sees, by the true time. */
static struct {
	struct world *w;
	uint64_t pulse_ns;	/* the last that landed, of host 0 */
	uint64_t marked_ns;	/* its slot went to recovering; 0: not yet */
	uint64_t sent_ns;	/* its last write left the host */
	bool stop, ended;
} seen;

static void
landed(void *arg, unsigned nexus, uint64_t offset, const uint8_t *data,
    uint64_t length)
{
	struct world *w = arg;
	uint64_t block = offset / BLOCK_SIZE;
	struct heartbeat hb;

	if (block < SLOT_TABLE_BLOCK || block >= SLOT_TABLE_BLOCK +
	    SLOTS_MAX || length < LOCK_RECORD_SIZE ||
	    heartbeat_decode(data, &w->super.uuid,
	    (unsigned)(block - SLOT_TABLE_BLOCK), &hb) < 0 ||
	    !uuid_equal(&hb.host, &w->host[0].uuid))
		return;
	if (hb.state == SLOT_LIVE && nexus / 2 == 0)
		seen.pulse_ns = w->sim.now_ns;
	if (hb.state == SLOT_RECOVERING && seen.marked_ns == 0)
		seen.marked_ns = w->sim.now_ns;
}

static void
sent(void *arg, unsigned nexus, const struct disk_req *req)
{
	struct world *w = arg;

	if (nexus == 0 && req->op == DISK_WRITE)
		seen.sent_ns = w->sim.now_ns;
}

/* Host 0 is slow, the other one fast: the worst for a proof by time. */
static bool
begins(struct world *w)
{
	memset(&seen, 0, sizeof(seen));
	w->clock[0].drift_ppm = -(int64_t)ppm;
	w->clock[1].drift_ppm = ppm;
	w->lun.landed = landed;
	w->lun.sent = sent;
	w->lun.landed_arg = w;
	return play_join_all(w);
}

static void
run(enum lock_protocol protocol, void (*play)(struct world *w))
{
	play_seeds((struct world_conf){ .hosts = 2, .protocol = protocol,
	    .drift_ppm = ppm }, SEEDS, play);
}

static bool
is_marked(struct world *w, unsigned i)
{
	(void)w;
	(void)i;
	return seen.marked_ns != 0;
}

/* When what host 0 submitted at the last moment may land at the latest. */
static uint64_t
longest_ns(const struct world *w)
{
	const struct timers *t = &w->super.timers;

	return sim_clock_span(&w->clock[0], (t->freeze_ms +
	    (uint64_t)t->watchdog_ms) * NSEC_PER_MSEC) +
	    t->bound_ms * NSEC_PER_MSEC;
}

static void
play_proof(struct world *w)
{
	if (!begins(w))
		return;
	fiber_sleep(20 * NSEC_PER_SEC + sim_below(&w->sim, 5 * NSEC_PER_SEC));
	world_crash(w, 0);
	WORLD_CHECK(w, world_wait(w, is_marked, 0, 200000));
	if (seen.marked_ns - seen.pulse_ns < longest_ns(w))
		world_fail(w, "taken over %" PRIu64 " ms after the last pulse, "
		    "writes may land for %" PRIu64, (seen.marked_ns -
		    seen.pulse_ns) / NSEC_PER_MSEC,
		    longest_ns(w) / NSEC_PER_MSEC);
	play_leave_all(w);
}

ATF_TC_WITHOUT_HEAD(what_time_proves_is_true_by_any_clock);
ATF_TC_BODY(what_time_proves_is_true_by_any_clock, tc)
{
	static const unsigned rates[] = { 1, LEASE_DRIFT_PPM, 20000 };

	(void)tc;
	for (size_t i = 0; i < sizeof(rates) / sizeof(rates[0]); i++) {
		ppm = rates[i];
		run(LOCK_ATS_WATCHDOG, play_proof);
		run(LOCK_RESERVE, play_proof);
	}
}

static void
writer(void *arg)
{
	struct world *w = arg;
	uint8_t *buf = disk_buf_alloc(BLOCK_SIZE);

	while (!seen.stop && disk_write(host_disk(w->host[0].host),
	    DATA_BLOCK * (uint64_t)BLOCK_SIZE, buf, BLOCK_SIZE, 0) == 0)
		fiber_sleep(20 * NSEC_PER_MSEC);
	free(buf);
	seen.ended = true;
}

static void
play_freeze(struct world *w)
{
	uint64_t freeze_ns;

	if (!begins(w))
		return;
	freeze_ns = sim_clock_span(&w->clock[0],
	    w->super.timers.freeze_ms * NSEC_PER_MSEC);
	WORLD_CHECK(w, sched_spawn(w->host[0].env.sched, "writer", writer,
	    w) == 0);
	fiber_sleep(10 * NSEC_PER_SEC);
	sim_path_lose(&w->lun, 1);
	fiber_sleep(16 * NSEC_PER_SEC);
	/* The data path is there, only nobody knows whether we are. */
	WORLD_CHECK(w, seen.sent_ns > seen.pulse_ns &&
	    seen.sent_ns - seen.pulse_ns <= freeze_ns);
	WORLD_CHECK(w, w->host[0].status != HOST_OK);
	seen.stop = true;
	sim_path_heal(&w->lun, 1);
	while (!seen.ended)
		fiber_sleep(NSEC_PER_MSEC);
	play_leave_all(w);
}

ATF_TC_WITHOUT_HEAD(a_slow_clock_freezes_in_time);
ATF_TC_BODY(a_slow_clock_freezes_in_time, tc)
{
	(void)tc;
	ppm = 20000;
	run(LOCK_ATS_WATCHDOG, play_freeze);
	ppm = 150000;
	run(LOCK_ATS_PR, play_freeze);
}

static void
play_hour(struct world *w)
{
	if (!begins(w))
		return;
	fiber_sleep(1800 * NSEC_PER_SEC);
	for (unsigned i = 0; i < w->hosts; i++)
		WORLD_CHECK(w, w->host[i].status == HOST_OK &&
		    w->host[i].frozen_times == 0);
	WORLD_CHECK(w, seen.marked_ns == 0);
	world_crash(w, 0);
	WORLD_CHECK(w, world_wait(w, is_marked, 0, 60000));
	play_leave_all(w);
}

ATF_TC_WITHOUT_HEAD(clocks_far_off_fence_nobody_who_pulses);
ATF_TC_BODY(clocks_far_off_fence_nobody_who_pulses, tc)
{
	(void)tc;
	ppm = 150000;
	run(LOCK_ATS_PR, play_hour);
	run(LOCK_FILE, play_hour);
}

/* mkfs refuses those that have no room. */
ATF_TC_WITHOUT_HEAD(timers_without_room_for_clocks_are_seen);
ATF_TC_BODY(timers_without_room_for_clocks_are_seen, tc)
{
	struct timers t = {
		.pulse_ms = 144, .io_ms = 100, .freeze_ms = 12000,
		.watchdog_ms = 30000, .bound_ms = 30000, .fence_ms = 72144,
		.fence_hint_ms = 72144,
	};

	(void)tc;
	ATF_CHECK(lease_timers_ok(&t, LOCK_ATS_WATCHDOG));
	ATF_CHECK(!lease_keeps_time(&t));
	t.fence_ms++;
	ATF_CHECK(lease_keeps_time(&t));
}

ATF_TP_ADD_TCS(tp)
{
	ATF_TP_ADD_TC(tp, what_time_proves_is_true_by_any_clock);
	ATF_TP_ADD_TC(tp, a_slow_clock_freezes_in_time);
	ATF_TP_ADD_TC(tp, clocks_far_off_fence_nobody_who_pulses);
	ATF_TP_ADD_TC(tp, timers_without_room_for_clocks_are_seen);
	return atf_no_error();
}
