/* SPDX-License-Identifier: BSD-2-Clause */
/* Requests at the edges of a lease, and at the end of a membership. */
#include <stdlib.h>

#include "tests/sim/play.h"

#define SEEDS 10
#define DATA_BLOCK 9000u
#define READERS 8u

static void
run(unsigned hosts, enum lock_protocol protocol, unsigned seeds,
    void (*play)(struct world *w))
{
	play_seeds((struct world_conf){ .hosts = hosts,
	    .protocol = protocol }, seeds, play);
}

/* ---- what the LUN says over and over ---- */

static void
play_attentions(struct world *w)
{
	struct disk *d;

	if (!play_join_all(w))
		return;
	d = host_disk(w->host[0].host);
	w->lun.strike = (struct sim_strike){
		.result = -VMFS_EATTENTION, .ops = 1u << DISK_FLUSH,
		.times = 1000,
	};
	WORLD_CHECK(w, disk_flush(d) == -VMFS_EATTENTION);
	w->lun.strike = (struct sim_strike){ 0 };
	/* Nothing was lost by that. */
	WORLD_CHECK(w, disk_flush(d) == 0);
	WORLD_CHECK(w, world_wait(w, play_is_ok, 0, 30000));
	play_leave_all(w);
}

ATF_TC_WITHOUT_HEAD(attentions_without_end_are_told_and_lose_nothing);
ATF_TC_BODY(attentions_without_end_are_told_and_lose_nothing, tc)
{
	(void)tc;
	run(1, LOCK_ATS_PR, SEEDS, play_attentions);
}

static void
play_miscompares(struct world *w)
{
	struct lock_grant a;

	if (!play_join_all(w))
		return;
	w->lun.strike = (struct sim_strike){
		.result = -VMFS_EMISCOMPARE, .ops = 1u << DISK_CAW,
		.times = 1000,
	};
	WORLD_CHECK(w, play_lock(w, 0, LOCK_EXCLUSIVE, 60000, &a) ==
	    -VMFS_EUNKNOWN);
	w->lun.strike = (struct sim_strike){ 0 };
	WORLD_CHECK(w, play_lock(w, 0, LOCK_EXCLUSIVE, 60000, &a) == 0);
	WORLD_CHECK(w, play_unlock(w, 0, &a) == 0);
	play_leave_all(w);
}

ATF_TC_WITHOUT_HEAD(a_lun_that_only_miscompares_is_told);
ATF_TC_BODY(a_lun_that_only_miscompares_is_told, tc)
{
	(void)tc;
	run(1, LOCK_ATS_PR, SEEDS, play_miscompares);
}

/* ---- requests and the end ---- */

static struct reader {
	struct world *w;
	bool done;
	int rc;
} readers[READERS];

static void
reader_main(void *arg)
{
	struct reader *r = arg;
	uint8_t *buf = disk_buf_alloc(BLOCK_SIZE);

	r->rc = buf == NULL ? -ENOMEM : disk_read(host_disk(r->w->host[0].host),
	    DATA_BLOCK * (uint64_t)BLOCK_SIZE, buf, BLOCK_SIZE);
	free(buf);
	r->done = true;
}

static void
start_readers(struct world *w)
{
	for (unsigned i = 0; i < READERS; i++) {
		readers[i] = (struct reader){ .w = w };
		WORLD_CHECK(w, sched_spawn(&w->sim.sched, "reader",
		    reader_main, &readers[i]) == 0);
	}
}

static unsigned
ended(int rc)
{
	unsigned n = 0;

	for (unsigned i = 0; i < READERS; i++)
		n += readers[i].done && readers[i].rc == rc;
	return n;
}

/* The LUN is slow, some of them have to be asked for again: too late. */
static void
play_leave_in_flight(struct world *w)
{
	if (!play_join_all(w))
		return;
	w->lun.faults.slow_ppm = 1000000;
	w->lun.faults.slow_ns = 2 * NSEC_PER_SEC;
	w->lun.strike = (struct sim_strike){
		.result = -VMFS_EATTENTION, .done = true,
		.ops = 1u << DISK_READ, .skip = READERS / 2,
		.times = READERS / 2,
	};
	start_readers(w);
	fiber_sleep(NSEC_PER_MSEC);
	w->lun.faults.slow_ppm = 0;
	w->lun.strike = (struct sim_strike){ 0 };
	WORLD_CHECK(w, world_leave(w, 0) == 0);
	fiber_sleep(1);
	WORLD_CHECK(w, ended(0) + ended(-ESHUTDOWN) == READERS);
	WORLD_CHECK(w, ended(0) >= READERS / 2);
}

ATF_TC_WITHOUT_HEAD(who_leaves_waits_for_what_is_in_flight);
ATF_TC_BODY(who_leaves_waits_for_what_is_in_flight, tc)
{
	(void)tc;
	run(1, LOCK_ATS_PR, 50, play_leave_in_flight);
}

static bool
someone_took_over(struct world *w, unsigned i)
{
	return w->host[i].takeovers > 0;
}

/* A host sleeps with reads on their way, and is taken over: what lies there by
 * now is another's. */
static void
play_late_reads(struct world *w)
{
	if (!play_join_all(w))
		return;
	world_pause(w, 0);
	start_readers(w);
	WORLD_CHECK(w, world_wait(w, someone_took_over, 1, TAKEOVER_MS));
	world_resume(w, 0);
	WORLD_CHECK(w, world_wait(w, play_is_fenced, 0, 60000));
	fiber_sleep(NSEC_PER_SEC);
	WORLD_CHECK(w, ended(-VMFS_EFENCED) == READERS);
	WORLD_CHECK(w, world_leave(w, 0) == 0);
	WORLD_CHECK(w, world_leave(w, 1) == 0);
}

ATF_TC_WITHOUT_HEAD(who_slept_is_not_told_what_others_have_written);
ATF_TC_BODY(who_slept_is_not_told_what_others_have_written, tc)
{
	(void)tc;
	run(2, LOCK_ATS_PR, SEEDS, play_late_reads);
}

static unsigned seen_first;

/* The same when nobody has taken it over: it reads what is there. */
static void
play_slow_reads(struct world *w)
{
	struct disk *d;

	if (!play_join_all(w))
		return;
	d = host_disk(w->host[0].host);
	play_let_pulse(w);
	WORLD_CHECK(w, disk_is_current(d));
	world_pause(w, 0);
	start_readers(w);
	while (disk_is_current(d))
		fiber_sleep(NSEC_PER_MSEC);
	seen_first += host_status(w->host[0].host) == HOST_OK;
	fiber_sleep(NSEC_PER_SEC);
	world_resume(w, 0);
	WORLD_CHECK(w, world_wait(w, play_is_ok, 0, 60000));
	fiber_sleep(NSEC_PER_SEC);
	WORLD_CHECK(w, disk_is_current(d));
	WORLD_CHECK(w, ended(0) == READERS);
	play_leave_all(w);
}

ATF_TC_WITHOUT_HEAD(who_slept_too_long_reads_again);
ATF_TC_BODY(who_slept_too_long_reads_again, tc)
{
	(void)tc;
	run(1, LOCK_ATS_PR, SEEDS, play_slow_reads);
	/* Whoever looks need not wait for the guard to notice. */
	ATF_CHECK(seen_first > 0);
}

static bool
is_frozen(struct world *w, unsigned i)
{
	return host_status(w->host[i].host) == HOST_FROZEN;
}

/* The LUN is gone, requests wait for it, the guard looks for it. */
static void
play_leave_frozen(struct world *w)
{
	unsigned slot;

	if (!play_join_all(w))
		return;
	slot = play_slot_of(w, 0);
	world_lose_paths(w, 0);
	WORLD_CHECK(w, world_wait(w, is_frozen, 0, 30000));
	start_readers(w);
	fiber_sleep(sim_below(&w->sim, NSEC_PER_SEC));
	WORLD_CHECK(w, ended(0) + ended(-ESHUTDOWN) == 0);
	WORLD_CHECK(w, world_leave_dirty(w, 0) == 0);
	fiber_sleep(1);
	WORLD_CHECK(w, ended(-ESHUTDOWN) == READERS);
	world_heal_paths(w, 0);
	WORLD_CHECK(w, play_peek_slot(w, slot).state == SLOT_LIVE);
}

ATF_TC_WITHOUT_HEAD(who_leaves_frozen_fails_what_waits);
ATF_TC_BODY(who_leaves_frozen_fails_what_waits, tc)
{
	(void)tc;
	run(1, LOCK_ATS_PR, 30, play_leave_frozen);
	run(1, LOCK_ATS_WATCHDOG, 5, play_leave_frozen);
}

/* ---- a tool has nobody to tell ---- */

static void
play_tool_frozen(struct world *w)
{
	uint8_t *buf = disk_buf_alloc(BLOCK_SIZE);

	w->host[0].tool = true;
	if (buf == NULL || !play_join_all(w))
		goto out;
	world_lose_paths(w, 0);
	WORLD_CHECK(w, world_wait(w, is_frozen, 0, 30000));
	world_heal_paths(w, 0);
	WORLD_CHECK(w, disk_read(host_disk(w->host[0].host), 0, buf,
	    BLOCK_SIZE) == 0);
	WORLD_CHECK(w, play_is_ok(w, 0));
	play_leave_all(w);
out:
	free(buf);
}

ATF_TC_WITHOUT_HEAD(a_tool_waits_for_a_lost_lun_as_well);
ATF_TC_BODY(a_tool_waits_for_a_lost_lun_as_well, tc)
{
	(void)tc;
	run(1, LOCK_ATS_PR, SEEDS, play_tool_frozen);
}

/* ---- the LUN grows ---- */

static void
play_grow(struct world *w)
{
	struct disk *d;
	uint64_t size = w->lun.info.size_bytes;

	w->lun.info.size_bytes -= MIB;
	if (!play_join_all(w))
		return;
	d = host_disk(w->host[0].host);
	WORLD_CHECK(w, d->info.size_bytes == size - MIB);
	w->lun.info.size_bytes = size;
	world_lose_paths(w, 0);
	WORLD_CHECK(w, disk_refresh(d) < 0);
	WORLD_CHECK(w, d->info.size_bytes == size - MIB);
	world_heal_paths(w, 0);
	WORLD_CHECK(w, disk_refresh(d) == 0);
	WORLD_CHECK(w, d->info.size_bytes == size);
	play_leave_all(w);
}

ATF_TC_WITHOUT_HEAD(a_lun_that_grew_is_seen_through_the_guard);
ATF_TC_BODY(a_lun_that_grew_is_seen_through_the_guard, tc)
{
	(void)tc;
	run(1, LOCK_ATS_PR, 2, play_grow);
	run(1, LOCK_RESERVE, 2, play_grow);
}

/* ---- fenced in the middle of a thaw ---- */

static bool fencing;
static unsigned fenced_first;

/* The look at the own slot was good, that at the keys takes its time. */
static void
fence_meanwhile(void *arg, unsigned nexus, const struct disk_req *req)
{
	struct world *w = arg;
	struct heartbeat hb;

	WORLD_CHECK(w, req->op != DISK_WRITE ||
	    host_status(w->host[0].host) == HOST_OK);
	if (req->op == DISK_CAW && nexus == 1)
		w->lun.faults.slow_ppm = 0;
	if (!fencing || nexus != 0 || req->op != DISK_PR_READ_KEYS)
		return;
	fencing = false;
	w->lun.faults.slow_ppm = 1000000;
	hb = play_peek_slot(w, play_slot_of(w, 0));
	hb.state = SLOT_RECOVERING;
	hb.incarnation++;
	hb.nonce++;
	play_poke_slot(w, &hb);
}

static void
play_fenced_thaw(struct world *w)
{
	uint8_t *buf = disk_buf_alloc(BLOCK_SIZE);
	int rc;

	if (buf == NULL || !play_join_all(w))
		goto out;
	play_let_pulse(w);
	w->lun.landed_arg = w;
	w->lun.sent = fence_meanwhile;
	w->lun.faults.slow_ns = 10 * NSEC_PER_SEC;
	fencing = true;
	w->lun.nexus[0].attention = 0x2900;
	rc = disk_write(host_disk(w->host[0].host), DATA_BLOCK *
	    (uint64_t)BLOCK_SIZE, buf, BLOCK_SIZE, 0);
	WORLD_CHECK(w, !fencing);
	/* Its key still stands, so it may have come first. */
	WORLD_CHECK(w, rc == -VMFS_EFENCED || rc == 0);
	fenced_first += rc == -VMFS_EFENCED;
	WORLD_CHECK(w, world_wait(w, play_is_fenced, 0, 30000));
	WORLD_CHECK(w, world_leave(w, 0) == 0);
out:
	free(buf);
}

ATF_TC_WITHOUT_HEAD(who_is_fenced_while_it_thaws_does_not_write);
ATF_TC_BODY(who_is_fenced_while_it_thaws_does_not_write, tc)
{
	(void)tc;
	fenced_first = 0;
	run(1, LOCK_ATS_PR, 30, play_fenced_thaw);
	ATF_CHECK(fenced_first > 10);
}

/* ---- who has no lease begins nothing ---- */

static bool
lease_over(struct world *w)
{
	struct host *h = w->host[0].host;

	return !guard_lease_good(&h->guard, h->env->sched);
}

static int
try_takeover(struct world *w)
{
	struct heartbeat hb = play_stranger(w, 200);
	struct takeover_report r;
	int rc = takeover_run(w->host[0].host, 200, &hb, TAKEOVER_ADMIN, &r);

	WORLD_CHECK(w, rc == r.result);
	return rc;
}

static void
play_no_takeover(struct world *w)
{
	struct heartbeat hb = play_stranger(w, 200);

	if (!play_join_all(w))
		return;
	play_let_pulse(w);
	play_poke_slot(w, &hb);
	w->lun.nexus[100].key = hb.pr_key;
	sim_path_lose(&w->lun, 1);
	while (!lease_over(w))
		fiber_sleep(NSEC_PER_MSEC);
	/* The guard may have noticed, or not yet. */
	WORLD_CHECK(w, try_takeover(w) == -EAGAIN);
	WORLD_CHECK(w, world_wait(w, is_frozen, 0, 5000));
	WORLD_CHECK(w, try_takeover(w) == -EAGAIN);
	hb = play_peek_slot(w, play_slot_of(w, 0));
	hb.incarnation++;
	play_poke_slot(w, &hb);
	WORLD_CHECK(w, world_wait(w, play_is_fenced, 0, 30000));
	WORLD_CHECK(w, try_takeover(w) == -VMFS_EFENCED);
	WORLD_CHECK(w, w->lun.preempts == 0);
	WORLD_CHECK(w, play_peek_slot(w, 200).state == SLOT_LIVE);
	WORLD_CHECK(w, world_leave(w, 0) == 0);
}

ATF_TC_WITHOUT_HEAD(who_has_no_lease_takes_nobody_over);
ATF_TC_BODY(who_has_no_lease_takes_nobody_over, tc)
{
	(void)tc;
	run(1, LOCK_ATS_PR, SEEDS, play_no_takeover);
}

struct taker {
	struct world *w;
	struct lock_grant g;
	bool done;
	int rc;
};

static void
taker_main(void *arg)
{
	struct taker *t = arg;

	t->rc = play_lock(t->w, 0, LOCK_EXCLUSIVE, 60000, &t->g);
	t->done = true;
}

static bool written;

static void
note_write(void *arg, unsigned nexus, uint64_t offset, const uint8_t *data,
    uint64_t length)
{
	(void)arg;
	(void)nexus;
	(void)data;
	(void)length;
	written |= offset == LOCK_BLOCK * (uint64_t)BLOCK_SIZE;
}

/*
 * Its section begins with a good lease, waits for another initiator's
 * reservation, and goes on when the lease is over.
 */
static void
play_section_without_lease(struct world *w)
{
	struct taker t = { .w = w };
	struct host *h;
	uint64_t over;

	if (!play_join_all(w))
		return;
	h = w->host[0].host;
	play_let_pulse(w);
	sim_path_lose(&w->lun, 1);
	over = atomic_load(&h->guard.good_ns) + h->lease.freeze_ns;
	fiber_sleep(over - w->sim.now_ns - 300 * NSEC_PER_MSEC);
	w->lun.scsi2 = true;
	w->lun.scsi2_nexus = 100;
	WORLD_CHECK(w, sched_spawn(&w->sim.sched, "taker", taker_main,
	    &t) == 0);
	fiber_sleep(600 * NSEC_PER_MSEC);
	written = false;
	w->lun.landed = note_write;
	w->lun.scsi2 = false;
	fiber_sleep(10 * NSEC_PER_SEC);
	WORLD_CHECK(w, !t.done && !written);
	sim_path_heal(&w->lun, 1);
	while (!t.done)
		fiber_sleep(NSEC_PER_MSEC);
	WORLD_CHECK(w, t.rc == 0 && written && play_is_ok(w, 0));
	w->lun.landed = NULL;
	WORLD_CHECK(w, play_unlock(w, 0, &t.g) == 0);
	play_leave_all(w);
}

ATF_TC_WITHOUT_HEAD(a_section_that_waited_too_long_writes_nothing);
ATF_TC_BODY(a_section_that_waited_too_long_writes_nothing, tc)
{
	(void)tc;
	run(1, LOCK_RESERVE, 30, play_section_without_lease);
}

ATF_TP_ADD_TCS(tp)
{
	ATF_TP_ADD_TC(tp, attentions_without_end_are_told_and_lose_nothing);
	ATF_TP_ADD_TC(tp, a_lun_that_only_miscompares_is_told);
	ATF_TP_ADD_TC(tp, who_leaves_waits_for_what_is_in_flight);
	ATF_TP_ADD_TC(tp, who_slept_is_not_told_what_others_have_written);
	ATF_TP_ADD_TC(tp, who_slept_too_long_reads_again);
	ATF_TP_ADD_TC(tp, who_leaves_frozen_fails_what_waits);
	ATF_TP_ADD_TC(tp, a_tool_waits_for_a_lost_lun_as_well);
	ATF_TP_ADD_TC(tp, a_lun_that_grew_is_seen_through_the_guard);
	ATF_TP_ADD_TC(tp, who_is_fenced_while_it_thaws_does_not_write);
	ATF_TP_ADD_TC(tp, who_has_no_lease_takes_nobody_over);
	ATF_TP_ADD_TC(tp, a_section_that_waited_too_long_writes_nothing);
	return atf_no_error();
}
