/* SPDX-License-Identifier: BSD-2-Clause */
/* The pulse fiber and its orders. */
#include <string.h>

#include "libvmfs/env/realtime.h"
#include "locking/heartbeat.h"

/* Late pulses of ours that one pulse writes over. */
#define PULSE_TRIES 4

enum order_kind {
	ORDER_START, ORDER_JOURNAL, ORDER_SUPER, ORDER_SPACE, ORDER_STOP,
};

/* Lives on the stack of the fiber that waits for it. */
struct beat_order {
	enum order_kind kind;
	struct beat *beat;
	uint64_t journal_block;
	uint32_t journal_blocks;
	uint64_t super_generation;
	int result;
	bool done;
	struct sched *home;
	struct fiber *waiter;
	struct sched_work to, back;
};

static void
order_came_back(void *arg)
{
	struct beat_order *o = arg;

	o->done = true;
	fiber_unpark(o->waiter);
}

/* On the heartbeat's thread; *o may be gone afterwards. */
static void
order_answer(struct beat_order *o, int result)
{
	o->result = result;
	o->back = (struct sched_work){ .fn = order_came_back, .arg = o };
	sched_post(o->home, &o->back);
}

static void
order_finish(struct beat *b, int result)
{
	struct beat_order *o = b->order;

	b->order = NULL;
	order_answer(o, result);
}

bool
beat_still_ours(const struct beat *b)
{
	struct heartbeat found;

	return heartbeat_decode(b->caw.old, &b->volume, b->rec.slot,
	    &found) == 0 && found.incarnation == b->rec.incarnation &&
	    uuid_equal(&found.host, &b->rec.host) &&
	    (found.state == SLOT_LIVE || found.state == SLOT_STOPPING);
}

/*
 * Has our record rotted?  Nobody takes over a slot that cannot be read, and
 * while the lease is good nobody had done so before; where a reservation
 * fences, it refuses the pulse of who lost his key.
 */
static bool
has_rotted(const struct beat *b)
{
	struct heartbeat found;

	return heartbeat_decode(b->caw.old, &b->volume, b->rec.slot,
	    &found) < 0 && heartbeat_was(b->caw.old, &b->volume,
	    b->rec.slot) && guard_lease_good(b->guard, b->env->sched);
}

/* One pulse, which carries out an order for the record (or NULL); 0: it is on
 * the LUN. */
static int
pulse(struct beat *b, const struct beat_order *order)
{
	struct heartbeat next = b->rec;
	uint64_t submit_ns = env_now(b->env);
	int rc = -VMFS_EUNKNOWN;

	next.pulse++;
	next.nonce = env_random_u64(b->env);
	if (order != NULL && order->kind == ORDER_JOURNAL) {
		next.journal_block = order->journal_block;
		next.journal_blocks = order->journal_blocks;
	}
	if (order != NULL && order->kind == ORDER_SUPER)
		next.super_generation = order->super_generation;
	if (order != NULL && order->kind == ORDER_SPACE)
		next.space_asked++;
	/* A miscompare with an older image of ours: write over it (L3). */
	for (int i = 0; i < PULSE_TRIES; i++) {
		heartbeat_encode(b->caw.image, &b->volume, &next);
		rc = caw_commit(&b->caw);
		if (rc != -VMFS_EMISCOMPARE || (!beat_still_ours(b) &&
		    !has_rotted(b)))
			break;
		rc = -VMFS_EUNKNOWN;
	}
	if (rc == 0) {
		b->rec = next;
		/* Counted from the submission: it may have waited long. */
		guard_pulse(b->guard, submit_ns);
	}
	return rc;
}

static void
beat_once(struct beat *b)
{
	/* One that arrives while the pulse is on its way is for the next. */
	struct beat_order *order = b->order;
	int rc = pulse(b, order);

	if (rc == 0) {
		if (order != NULL)
			order_finish(b, 0);
		return;
	}
	atomic_fetch_add(&b->failures, 1);
	if (rc == -VMFS_EMISCOMPARE) {
		guard_fence(b->guard, -VMFS_EFENCED, "the own heartbeat slot "
		    "was taken by another host: this incarnation is over");
		b->stop = true;
	} else if (rc == -VMFS_ECONFLICT) {
		guard_doubt(b->guard, "the LUN refused the pulse: reservation "
		    "conflict");
	}
	/* Without its key no pulse finds out that the slot is gone. */
	if (guard_status(b->guard) == HOST_FENCED)
		b->stop = true;
}

static uint64_t
next_beat(struct beat *b, uint64_t start_ns, bool failed)
{
	uint64_t jitter = b->lease.pulse_ns / 10;
	uint64_t wait = failed ? b->lease.retry_ns :
	    b->lease.pulse_ns - env_random_u64(b->env) % (jitter + 1);

	return start_ns + wait;
}

static bool
stop_ordered(const struct beat *b)
{
	return b->order != NULL && b->order->kind == ORDER_STOP;
}

static void
beat_main(void *arg)
{
	struct beat *b = arg;
	int rc = b->petter != NULL ? petter_start(b->petter) : 0;

	realtime_stack();
	order_finish(b, rc);
	if (rc < 0)
		return;
	while (!stop_ordered(b)) {
		uint64_t start = env_now(b->env);
		uint64_t failures = atomic_load(&b->failures);

		if (!b->stop)
			beat_once(b);
		if (b->stop && b->order != NULL && !stop_ordered(b))
			order_finish(b, -VMFS_EFENCED);
		if (b->order != NULL && (failures ==
		    atomic_load(&b->failures) || stop_ordered(b)))
			continue;
		(void)fiber_cond_wait_until(&b->kick, next_beat(b, start,
		    failures != atomic_load(&b->failures)));
	}
	if (b->petter != NULL)
		petter_stop(b->petter);
	order_finish(b, 0);
}

/* On the heartbeat's thread. */
static void
order_arrived(void *arg)
{
	struct beat_order *o = arg;
	struct beat *b = o->beat;
	int rc;

	b->order = o;
	if (o->kind == ORDER_START) {
		rc = sched_spawn(b->env->sched, "pulse", beat_main, b);
		if (rc < 0)
			order_finish(b, rc);
		return;
	}
	fiber_cond_broadcast(&b->kick);
}

static int
order_run(struct beat *b, struct beat_order *o)
{
	o->beat = b;
	o->home = sched_current();
	o->waiter = fiber_self();
	o->to = (struct sched_work){ .fn = order_arrived, .arg = o };
	sched_post(b->env->sched, &o->to);
	while (!o->done)
		fiber_park();
	return o->result;
}

int
beat_start(struct beat *b)
{
	struct beat_order o = { .kind = ORDER_START };

	fiber_cond_init(&b->kick);
	b->order = NULL;
	b->stop = false;
	return order_run(b, &o);
}

void
beat_stop(struct beat *b)
{
	struct beat_order o = { .kind = ORDER_STOP };

	(void)order_run(b, &o);
}

int
beat_set_journal(struct beat *b, uint64_t block, uint32_t blocks)
{
	struct beat_order o = {
		.kind = ORDER_JOURNAL, .journal_block = block,
		.journal_blocks = blocks,
	};

	return order_run(b, &o);
}

int
beat_set_super(struct beat *b, uint64_t generation)
{
	struct beat_order o = {
		.kind = ORDER_SUPER, .super_generation = generation,
	};

	return order_run(b, &o);
}

int
beat_ask_space(struct beat *b)
{
	struct beat_order o = { .kind = ORDER_SPACE };

	return order_run(b, &o);
}
