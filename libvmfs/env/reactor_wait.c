/* SPDX-License-Identifier: BSD-2-Clause */
/* How a reactor waits: what it watches meanwhile, whether it looks out first. */
#include <sched.h>

#include "libvmfs/base/list.h"
#include "libvmfs/env/reactor_impl.h"

/* ---- watches ---- */

void
reactor_watch_wait(struct reactor_watch *w)
{
	w->fiber = fiber_self();
	list_add_tail(&reactor_current()->watches, &w->node);
	while (w->fiber != NULL)
		fiber_park();
}

void
reactor_watch_wake(struct reactor_watch *w)
{
	struct fiber *f = w->fiber;

	if (f == NULL)
		return;
	list_del(&w->node);
	w->fiber = NULL;
	fiber_unpark(f);
}

static bool
watches_have_news(struct reactor *r)
{
	list_for_each(node, tmp, &r->watches) {
		struct reactor_watch *w =
		    list_entry(node, struct reactor_watch, node);

		if (w->look(w))
			return true;
	}
	return false;
}

bool
reactor_run_watches(struct reactor *r)
{
	bool busy = false;

	list_for_each(node, tmp, &r->watches) {
		struct reactor_watch *w =
		    list_entry(node, struct reactor_watch, node);

		if (w->look(w)) {
			reactor_watch_wake(w);
			busy = true;
		}
	}
	return busy;
}

/* True: no sleep, something has come. */
static bool
watches_listen(struct reactor *r)
{
	bool come = false;

	list_for_each(node, tmp, &r->watches) {
		struct reactor_watch *w =
		    list_entry(node, struct reactor_watch, node);

		come |= w->listen(w);
	}
	return come;
}

/* What this wait will mostly be for. */
static struct spin *
spin_now(struct reactor *r)
{
	if (r->working > 0)
		return &r->spin[1];
	list_for_each(node, tmp, &r->watches)
		if (list_entry(node, struct reactor_watch, node)->working)
			return &r->spin[1];
	return &r->spin[0];
}

static bool
has_news(struct reactor *r)
{
	return reactor_ring_has_news(r) || sched_has_posted(&r->sched) ||
	    watches_have_news(r) || atomic_load(&r->stop);
}

/* Looks for work for a moment; false: there is none, sleep. */
static bool
look_out(struct reactor *r, struct spin *s)
{
	uint64_t start = reactor_now(&r->sched), last = start, now = start;
	enum spin_end end = SPIN_FOUND;

	while (end <= SPIN_SHARED && !has_news(r)) {
		now = reactor_now(&r->sched);
		if (now - last > SPIN_GAP_NS)
			end = SPIN_PREEMPTED;
		else if (now - start > SPIN_MAX_NS)
			end = SPIN_VAIN;
		else if (now - last > SPIN_SWITCH_NS)
			end = SPIN_SHARED;
		last = now;
	}
	spin_end(s, end);
	return end <= SPIN_SHARED;
}

/* ---- rests ---- */

struct rest_wait {
	struct list node;
	struct fiber *fiber;
	bool over;
};

bool
reactor_rests(void)
{
	return reactor_current()->spins;
}

bool
reactor_rest(void)
{
	struct reactor *r = reactor_current();
	struct rest_wait w = { .fiber = fiber_self() };

	if (!r->spins)
		return false;
	if (r->rest_pause > 0) {
		r->rest_pause--;
		return false;
	}
	if (list_empty(&r->resting))
		r->rest_end = reactor_now(&r->sched) + SPIN_MAX_NS;
	list_add_tail(&r->resting, &w.node);
	while (!w.over)
		fiber_park();
	return true;
}

static void
rests_end(struct reactor *r)
{
	struct list *node;

	while ((node = list_pop(&r->resting)) != NULL) {
		struct rest_wait *w = list_entry(node, struct rest_wait, node);

		w->over = true;
		fiber_unpark(w->fiber);
	}
}

/* Looks for other work until the rests are over; if busy, only whether. */
static void
rest(struct reactor *r, bool busy)
{
	uint64_t now = reactor_now(&r->sched), last;

	do {
		last = now;
		now = reactor_now(&r->sched);
		if (now - last > SPIN_GAP_NS)
			r->rest_pause = SPIN_PREEMPTED_PAUSE;
		if (now >= r->rest_end || r->rest_pause > 0) {
			rests_end(r);
			return;
		}
	} while (!busy && !has_news(r));
}

static void
woken(struct reactor *r, struct spin *s, uint64_t slept_since)
{
	uint64_t now = reactor_now(&r->sched);

	spin_slept(s, now - slept_since);
	/* Of many at a time, what each wakes does not count. */
	if (r->yields && r->disk_ops <= 1 && io_uring_cq_ready(&r->ring) <= 1 &&
	    yield_begin(&r->yield)) {
		(void)sched_yield();
		yield_took(&r->yield, reactor_now(&r->sched) - now);
	}
}

static void
reactor_sleep(struct reactor *r, struct spin *s)
{
	uint64_t start = r->spins ? reactor_now(&r->sched) : 0;

	if (watches_listen(r))
		return;
	atomic_store(&r->sleeping, true);
	/* Who posts after this look sees that we sleep. */
	if (!sched_has_posted(&r->sched) && !atomic_load(&r->stop))
		(void)io_uring_submit_and_wait(&r->ring, 1);
	atomic_store(&r->sleeping, false);
	if (r->spins)
		woken(r, s, start);
}

void
reactor_wait(struct reactor *r, bool busy)
{
	struct spin *s;

	if (busy) {
		reactor_submit_some(r);
		if (!list_empty(&r->resting))
			rest(r, true);
		return;
	}
	r->unsubmitted = 0;
	if (!list_empty(&r->resting)) {
		(void)io_uring_submit(&r->ring);
		rest(r, false);
		return;
	}
	reactor_timeout_arm(r);
	s = spin_now(r);
	if (r->spins && spin_begin(s)) {
		(void)io_uring_submit(&r->ring);
		if (look_out(r, s))
			return;
	}
	reactor_sleep(r, s);
}

void
reactor_works(int change)
{
	reactor_current()->working += (unsigned)change;
}
