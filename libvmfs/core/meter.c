/* SPDX-License-Identifier: BSD-2-Clause */
/* Counters that any thread adds to; the waiting is the owner's. */
#include "libvmfs/core/meter.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "libvmfs/base/list.h"
#include "libvmfs/base/units.h"

/* A disk may be ahead of its limit by so much. */
#define BURST_NS (50 * NSEC_PER_MSEC)
/* Who waits for a limit looks so often whether it has been changed. */
#define LOOK_NS (100 * NSEC_PER_MSEC)
/* What a request costs beside its bytes. */
#define OVERHEAD_BYTES 16384u
/* Requests of which none has ended for so long are stuck. */
#define STUCK_NS NSEC_PER_SEC
#define GENERATIONS 8u
#define UNCOUNTED GENERATIONS

/*
 * Requests are counted by generation, so that those that are stuck can be left
 * out without a list of them: the LUN's depth counts those of the current
 * generation and of the one before.
 */
struct pacer {
	struct sched *owner;
	unsigned depth;
	atomic_uint now, before;	/* generations */
	atomic_uint waiting;
	/* The owner's. */
	struct list meters;
	struct list queues;		/* meters with requests that wait */
	uint64_t vtime;
	unsigned seen;			/* of the one before, by the last look */
	struct sched_timer look;
	bool looks;
	struct sched_work kick;
	atomic_bool kicked;
	/* Far from what all threads read and hardly anybody changes. */
	atomic_uint in_flight[GENERATIONS];
};

struct turn {
	struct list node;		/* in meter.turns */
	uint64_t start;			/* virtual time */
	unsigned generation;
	bool come;
	struct fiber_cond cond;
};

struct meter {
	struct pacer *p;
	atomic_uint in_flight[GENERATIONS];
	atomic_bool limited;
	atomic_bool stuck;		/* or was until a moment ago */
	_Atomic uint64_t reads, writes, errors, read_bytes, write_bytes,
	    read_ns, write_ns, read_latency[IO_LATENCY_BUCKETS],
	    write_latency[IO_LATENCY_BUCKETS];
	/* The rest is the owner's. */
	struct inode_limits limits;
	unsigned changes;		/* of limits */
	uint64_t made_ns;
	uint64_t ops_at, bytes_at;	/* when the next one is due */
	struct list of_pacer;
	struct list node;		/* in pacer.queues */
	struct list turns;
	uint64_t finish;		/* virtual time of the last one's end */
};

/* ---- limits ---- */

/*
 * Takes `cost` nanoseconds of the schedule; returns when that begins.  What
 * was not used is kept for BURST_NS.
 */
static uint64_t
schedule(uint64_t *at, uint64_t now, uint64_t cost)
{
	uint64_t start;

	if (*at + BURST_NS < now)
		*at = now - BURST_NS;
	start = *at;
	*at += cost;
	return start;
}

static uint64_t
due(struct meter *m, uint64_t now, size_t len)
{
	const struct inode_limits *l = &m->limits;
	uint64_t ops = 0, bytes = 0;

	if (l->iops > 0)
		ops = schedule(&m->ops_at, now, NSEC_PER_SEC / l->iops);
	if (l->kibps > 0)
		bytes = schedule(&m->bytes_at, now, (uint64_t)len *
		    (NSEC_PER_SEC / KIB) / l->kibps);
	return ops > bytes ? ops : bytes;
}

static void
limits_wait(struct meter *m, size_t len)
{
	uint64_t now = sched_now(m->p->owner), until = due(m, now, len);
	unsigned changes = m->changes;

	while (now < until) {
		fiber_sleep(until - now < LOOK_NS ? until - now : LOOK_NS);
		now = sched_now(m->p->owner);
		if (changes != m->changes) {
			changes = m->changes;
			until = due(m, now, len);
		}
	}
}

void
meter_limit(struct meter *m, const struct inode_limits *l)
{
	if (m->limits.iops == l->iops && m->limits.kibps == l->kibps &&
	    m->limits.shares == l->shares)
		return;
	m->limits = *l;
	m->changes++;
	m->ops_at = m->bytes_at = 0;
	atomic_store(&m->limited, l->iops > 0 || l->kibps > 0);
}

/* ---- shares ---- */

static unsigned
counted(const struct pacer *p, const atomic_uint *in_flight)
{
	return atomic_load(&in_flight[atomic_load(&p->now)]) +
	    atomic_load(&in_flight[atomic_load(&p->before)]);
}

/* The LUN has room, or m alone has it. */
static bool
has_room(const struct meter *m)
{
	unsigned all = counted(m->p, m->p->in_flight);

	return all < m->p->depth || all == counted(m->p, m->in_flight);
}

/* Some of the disk's requests are no longer counted.  The owner. */
static bool
is_stuck(struct meter *m)
{
	const struct pacer *p = m->p;

	if (!atomic_load(&m->stuck))
		return false;
	for (unsigned g = 0; g < GENERATIONS; g++)
		if (g != p->now && g != p->before &&
		    atomic_load(&m->in_flight[g]) > 0)
			return true;
	atomic_store(&m->stuck, false);
	return false;
}

/* The same while others may wait. */
static bool
has_turn(struct meter *m)
{
	struct pacer *p = m->p;
	bool only = p->queues.next->next == &p->queues;

	if (is_stuck(m))
		return true;
	return only ? has_room(m) : counted(p, p->in_flight) < p->depth;
}

/* Returns the generation that it is counted in. */
static unsigned
take(struct meter *m)
{
	unsigned g = atomic_load(&m->p->now);

	atomic_fetch_add(&m->in_flight[g], 1);
	atomic_fetch_add(&m->p->in_flight[g], 1);
	return g;
}

/*
 * What a disk with stuck requests sends besides may be stuck as well, and would
 * soon have all room: it is not counted.
 */
static unsigned
take_turn(struct meter *m)
{
	return is_stuck(m) ? UNCOUNTED : take(m);
}

static struct turn *
first_turn(const struct meter *m)
{
	return list_entry(m->turns.next, struct turn, node);
}

static struct meter *
next_meter(struct pacer *p)
{
	struct meter *best = NULL;

	list_for_each(n, tmp, &p->queues) {
		struct meter *m = list_entry(n, struct meter, node);

		if (best == NULL ||
		    first_turn(m)->start < first_turn(best)->start)
			best = m;
	}
	return best;
}

static void
turns_give(struct pacer *p)
{
	struct meter *m;

	while ((m = next_meter(p)) != NULL && has_turn(m)) {
		struct turn *t = first_turn(m);

		p->vtime = t->start;
		list_del(&t->node);
		if (list_empty(&m->turns))
			list_del(&m->node);
		t->come = true;
		t->generation = take_turn(m);
		atomic_fetch_sub(&p->waiting, 1);
		fiber_cond_signal(&t->cond);
	}
}

/* ---- what is stuck ---- */

static void
forget(struct pacer *p, unsigned generation)
{
	list_for_each(n, tmp, &p->meters) {
		struct meter *m = list_entry(n, struct meter, of_pacer);

		if (atomic_load(&m->in_flight[generation]) > 0)
			atomic_store(&m->stuck, true);
	}
}

/* A new one begins, where no request is left of an earlier one. */
static void
generation_begin(struct pacer *p)
{
	unsigned g = 0, before = p->before;

	while (g < GENERATIONS && (g == p->now ||
	    atomic_load(&p->in_flight[g]) > 0))
		g++;
	if (g == GENERATIONS)
		return;
	p->seen = atomic_load(&p->in_flight[p->now]);
	atomic_store(&p->before, p->now);
	atomic_store(&p->now, g);
	if (g != before)
		forget(p, before);
}

static void
look_later(struct pacer *p)
{
	p->looks = sched_timer_arm(p->owner, &p->look,
	    sched_now(p->owner) + STUCK_NS) == 0;
}

/*
 * Requests are stuck that go to a LUN of several that is silent, or that wait
 * for space before they go anywhere.  A LUN that is slow ends one now and then.
 */
static void
look(void *arg)
{
	struct pacer *p = arg;
	unsigned left = atomic_load(&p->in_flight[p->before]);

	p->looks = false;
	if (left == 0 || left == p->seen)
		generation_begin(p);
	else
		p->seen = left;
	turns_give(p);
	if (atomic_load(&p->waiting) > 0)
		look_later(p);
}

/* ---- requests ---- */

static unsigned
turn_wait(struct meter *m, size_t len)
{
	struct pacer *p = m->p;
	unsigned shares = m->limits.shares > 0 ? m->limits.shares :
	    METER_SHARES_DEFAULT;
	struct turn t = { .come = false };

	fiber_cond_init(&t.cond);
	t.start = m->finish > p->vtime ? m->finish : p->vtime;
	m->finish = t.start + ((uint64_t)len + OVERHEAD_BYTES) * 1000 / shares;
	/* Before the look: whoever ends after it sees that somebody waits. */
	atomic_fetch_add(&p->waiting, 1);
	if (list_empty(&m->turns))
		list_add_tail(&p->queues, &m->node);
	list_add_tail(&m->turns, &t.node);
	turns_give(p);
	if (!t.come && !p->looks)
		look_later(p);
	while (!t.come)
		fiber_cond_wait(&t.cond);
	return t.generation;
}

static void
kicked(void *arg)
{
	struct pacer *p = arg;

	atomic_store(&p->kicked, false);
	turns_give(p);
}

void
meter_begin(struct meter *m, struct meter_io *io, size_t len)
{
	io->since_ns = sched_now(m->p->owner);
	if (atomic_load(&m->limited))
		limits_wait(m, len);
	if (is_stuck(m) ||
	    (atomic_load(&m->p->waiting) == 0 && has_room(m)))
		io->generation = take_turn(m);
	else
		io->generation = turn_wait(m, len);
}

bool
meter_try(struct meter *m, struct meter_io *io)
{
	if (atomic_load(&m->limited) || atomic_load(&m->stuck) ||
	    atomic_load(&m->p->waiting) > 0 || !has_room(m))
		return false;
	io->since_ns = sched_now(sched_current());
	io->generation = take(m);
	return true;
}

void
meter_undo(struct meter *m, const struct meter_io *io)
{
	struct pacer *p = m->p;

	if (io->generation == UNCOUNTED)
		return;
	atomic_fetch_sub(&m->in_flight[io->generation], 1);
	atomic_fetch_sub(&p->in_flight[io->generation], 1);
	if (atomic_load(&p->waiting) == 0)
		return;
	if (sched_current() == p->owner)
		turns_give(p);
	else if (!atomic_exchange(&p->kicked, true))
		sched_post(p->owner, &p->kick);
}

static void
add(_Atomic uint64_t *n, uint64_t by)
{
	atomic_fetch_add_explicit(n, by, memory_order_relaxed);
}

void
meter_end(struct meter *m, const struct meter_io *io, bool write, size_t len,
    int result)
{
	uint64_t ns = sched_now(sched_current()) - io->since_ns;
	unsigned b = io_latency_bucket(ns);

	meter_undo(m, io);
	if (result != 0) {
		add(&m->errors, 1);
		return;
	}
	add(write ? &m->writes : &m->reads, 1);
	add(write ? &m->write_bytes : &m->read_bytes, len);
	add(write ? &m->write_ns : &m->read_ns, ns);
	add(write ? &m->write_latency[b] : &m->read_latency[b], 1);
}

static uint64_t
value(const _Atomic uint64_t *n)
{
	return atomic_load_explicit(n, memory_order_relaxed);
}

uint64_t
meter_age_ns(const struct meter *m)
{
	return sched_now(m->p->owner) - m->made_ns;
}

void
meter_stats(const struct meter *m, struct io_stats *ret_st)
{
	*ret_st = (struct io_stats){
		.reads = value(&m->reads),
		.writes = value(&m->writes),
		.errors = value(&m->errors),
		.read_bytes = value(&m->read_bytes),
		.write_bytes = value(&m->write_bytes),
		.read_ns = value(&m->read_ns),
		.write_ns = value(&m->write_ns),
	};
	for (unsigned i = 0; i < IO_LATENCY_BUCKETS; i++) {
		ret_st->read_latency[i] = value(&m->read_latency[i]);
		ret_st->write_latency[i] = value(&m->write_latency[i]);
	}
}

/* ---- life ---- */

struct pacer *
pacer_new(struct sched *owner, unsigned depth)
{
	struct pacer *p = calloc(1, sizeof(*p));

	if (p == NULL)
		return NULL;
	p->owner = owner;
	p->depth = depth > 0 ? depth : METER_DEPTH_DEFAULT;
	p->before = 1;
	p->kick = (struct sched_work){ .fn = kicked, .arg = p };
	p->look = (struct sched_timer){ .fn = look, .arg = p };
	list_init(&p->meters);
	list_init(&p->queues);
	return p;
}

void
pacer_free(struct pacer *p)
{
	if (p == NULL)
		return;
	while (atomic_load(&p->kicked))
		fiber_yield();
	sched_timer_cancel(p->owner, &p->look);
	free(p);
}

struct meter *
meter_new(struct pacer *p)
{
	struct meter *m = calloc(1, sizeof(*m));

	if (m == NULL)
		return NULL;
	m->p = p;
	m->made_ns = sched_now(p->owner);
	list_init(&m->node);
	list_init(&m->turns);
	list_add_tail(&p->meters, &m->of_pacer);
	return m;
}

void
meter_free(struct meter *m)
{
	if (m == NULL)
		return;
	list_del(&m->of_pacer);
	free(m);
}
