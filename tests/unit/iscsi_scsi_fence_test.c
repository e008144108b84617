/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What fencing rests on, under random use: from the moment PREEMPT AND ABORT
 * (or a nexus close) answers, nothing of its victim reaches the disk, until
 * the victim registers anew.  The disk completes requests in any order.
 */
#include <atf-c.h>
#include <string.h>

#include "libvmfs/base/prng.h"
#include "tests/unit/scsi_rig.h"

enum { REGISTER_AND_IGNORE = 6, PREEMPT_AND_ABORT = 5, RESERVE = 1 };
enum { WERO = 5 };
#define TASKS 24
#define BLOCKS_USED 12
#define STEPS 4000

static struct world {
	struct rig *r;
	struct prng p;
	bool fenced[RIG_NEXUSES];
	unsigned fences, aborted;
	struct slot {
		struct rig_task t;
		bool used;
		unsigned host;
		uint8_t data[4 * RIG_BLOCK];	/* every byte names the host */
	} slot[TASKS];
	struct fence {
		struct rig_task t;
		bool running;
		unsigned victim, by;
	} fence;
} w;

static uint64_t
key_of(unsigned host)
{
	return 0x100 + host;
}

static void
check_forward(const struct disk_req *req)
{
	unsigned host;

	if (req->op != DISK_WRITE && req->op != DISK_CAW)
		return;
	host = *(const uint8_t *)req->iov[0].iov_base;
	ATF_REQUIRE(host < RIG_NEXUSES);
	ATF_REQUIRE_MSG(!w.fenced[host], "host %u wrote while fenced", host);
}

static void
slots_reap(void)
{
	for (unsigned i = 0; i < TASKS; i++) {
		struct slot *s = &w.slot[i];

		if (!s->used || !s->t.done)
			continue;
		w.aborted += s->t.task.status == SCSI_TASK_ABORTED;
		rig_fini(&s->t);
		s->used = false;
	}
}

/* Whether the disk still has something to write for the host. */
static bool
host_in_flight(unsigned host)
{
	for (unsigned i = 0; i < w.r->disk.held_count; i++) {
		const struct disk_req *req = w.r->disk.held[i];

		if (req->op != DISK_READ &&
		    *(const uint8_t *)req->iov[0].iov_base == host)
			return true;
	}
	return false;
}

/* A write or a compare-and-write of a few blocks, at times ORDERED. */
static void
step_start(void)
{
	struct slot *s = &w.slot[prng_below(&w.p, TASKS)];
	bool caw = prng_below(&w.p, 3) == 0;
	uint8_t blocks = (uint8_t)(1 + prng_below(&w.p, 2)), cdb[16];

	if (s->used)
		return;
	s->used = true;
	s->host = (unsigned)prng_below(&w.p, RIG_NEXUSES);
	memset(s->data, (int)s->host, sizeof(s->data));
	memcpy(cdb, rig_cdb16(caw ? 0x89 : 0x8a,
	    prng_below(&w.p, BLOCKS_USED), caw ? 0 : blocks), 16);
	if (caw)
		cdb[13] = blocks;
	rig_start_attr(&s->t, w.r->nexus[s->host],
	    prng_below(&w.p, 12) == 0 ? SCSI_ATTR_ORDERED : SCSI_ATTR_SIMPLE,
	    cdb, 16, s->data, (caw ? 2U : 1U) * blocks * RIG_BLOCK);
}

static void
step_complete(void)
{
	if (w.r->disk.held_count > 0)
		rig_disk_let_go_one(w.r,
		    (unsigned)prng_below(&w.p, w.r->disk.held_count));
}

static void
step_fence(void)
{
	struct fence *f = &w.fence;

	if (f->running)
		return;
	f->by = (unsigned)prng_below(&w.p, RIG_NEXUSES);
	f->victim = (f->by + 1 + (unsigned)prng_below(&w.p, RIG_NEXUSES - 1)) %
	    RIG_NEXUSES;
	if (w.fenced[f->by] || w.fenced[f->victim])
		return;
	f->running = true;
	rig_pr_out_start(&f->t, w.r->nexus[f->by], PREEMPT_AND_ABORT, WERO,
	    key_of(f->by), key_of(f->victim));
}

static void
fence_reap(void)
{
	struct fence *f = &w.fence;

	if (!f->running || !f->t.done)
		return;
	f->running = false;
	if (rig_result(&f->t) == RIG_GOOD) {
		ATF_REQUIRE(!host_in_flight(f->victim));
		w.fenced[f->victim] = true;
		w.fences++;
	}
	rig_fini(&f->t);
}

/* The disk has to go on for a task that an ORDERED one holds back. */
static uint32_t
run(struct rig_task *t)
{
	uint32_t result;

	while (!t->done) {
		step_complete();
		fiber_yield();
	}
	result = rig_result(t);
	rig_fini(t);
	return result;
}

/* A fenced host comes back: hears of it, registers. */
static void
step_return(void)
{
	static const uint8_t tur[6];
	unsigned host = (unsigned)prng_below(&w.p, RIG_NEXUSES);
	struct rig_task t;

	if (!w.fenced[host] || w.fence.running)
		return;
	do
		rig_start(&t, w.r->nexus[host], tur, 6, NULL, 0);
	while (run(&t) != RIG_GOOD);
	rig_pr_out_start(&t, w.r->nexus[host], REGISTER_AND_IGNORE, 0, 0,
	    key_of(host));
	ATF_REQUIRE_EQ(RIG_GOOD, run(&t));
	w.fenced[host] = false;
}

static void
step(void)
{
	unsigned dice = (unsigned)prng_below(&w.p, 20);

	if (dice < 9)
		step_start();
	else if (dice < 17)
		step_complete();
	else if (dice < 18)
		step_fence();
	else
		step_return();
	for (unsigned i = (unsigned)prng_below(&w.p, 6); i > 0; i--)
		fiber_yield();
	fence_reap();
	slots_reap();
}

static void
world_drain(void)
{
	for (unsigned round = 0; round < 200; round++) {
		while (w.r->disk.held_count > 0)
			rig_disk_let_go_one(w.r, 0);
		rig_settle();
		fence_reap();
		slots_reap();
	}
	for (unsigned i = 0; i < TASKS; i++)
		ATF_REQUIRE(!w.slot[i].used);
	ATF_REQUIRE(!w.fence.running);
}

static void
fenced_hosts_never_write(struct rig *r)
{
	for (uint64_t seed = 1; seed <= 8; seed++) {
		memset(&w, 0, sizeof(w));
		w.r = r;
		prng_seed(&w.p, seed);
		r->disk.hold = false;
		for (unsigned host = 0; host < RIG_NEXUSES; host++) {
			while (rig_tur(r->nexus[host]) != RIG_GOOD)
				;
			ATF_REQUIRE_EQ(RIG_GOOD, rig_pr_out(r->nexus[host],
			    REGISTER_AND_IGNORE, 0, 0, key_of(host)));
		}
		(void)rig_pr_out(r->nexus[0], RESERVE, WERO, key_of(0), 0);
		r->disk.hold = true;
		r->disk.on_forward = check_forward;
		for (unsigned i = 0; i < STEPS; i++)
			step();
		world_drain();
		/* The world must have been one in which this could fail. */
		ATF_CHECK_MSG(w.fences > 10 && w.aborted > 10,
		    "seed %u: %u fences, %u aborted", (unsigned)seed,
		    w.fences, w.aborted);
	}
}

static void
set_no_caw(struct rig *r)
{
	r->disk.disk.info.caps &= ~(unsigned)DISK_CAP_CAW;
	r->disk.disk.info.max_transfer = RIG_BLOCK;
}

RIG_TEST(fence, NULL, fenced_hosts_never_write,
    "a preempted host's writes never reach the disk afterwards")
RIG_TEST(fence_steps, set_no_caw, fenced_hosts_never_write,
    "nor do they where one command takes many disk requests")

ATF_TP_ADD_TCS(tp)
{
	ATF_TP_ADD_TC(tp, fence);
	ATF_TP_ADD_TC(tp, fence_steps);
	return atf_no_error();
}
