/* SPDX-License-Identifier: BSD-2-Clause */
/* Fibers: run queue, park and unpark, work posted by other threads. */
#include <assert.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>

#include "libvmfs/env/sched_impl.h"

/* Ended fibers kept for reuse: a stack costs three system calls. */
#define POOL_MAX 256

struct fiber {
	struct fiber_ctx ctx;
	struct list run_node;	/* in sched.runnable while runnable */
	struct list all_node;	/* in sched.fibers, or sched.pool */
	struct sched *sched;
	void (*fn)(void *arg);
	void *arg;
	bool parked;
	bool permit;		/* an unpark came before its park */
	bool ended;
	char name[16];
};

static _Thread_local struct sched *current_sched;

struct sched *
sched_current(void)
{
	return current_sched;
}

struct fiber *
fiber_self(void)
{
	return current_sched != NULL ? current_sched->current : NULL;
}

const char *
fiber_name(const struct fiber *f)
{
	return f->name;
}

uint64_t
sched_now(struct sched *s)
{
	return s->ops->now(s);
}

void
sched_init(struct sched *s, const struct sched_ops *ops, void *arg)
{
	*s = (struct sched){ .ops = ops, .arg = arg };
	list_init(&s->runnable);
	list_init(&s->fibers);
	list_init(&s->pool);
}

static void
fiber_free(struct fiber *f)
{
	fiber_ctx_fini(&f->ctx);
	free(f);
}

void
sched_fini(struct sched *s)
{
	struct list *node;

	assert(s->current == NULL);
	/* A poster may have been seen, yet not have left sched_post. */
	while (atomic_load(&s->posting) > 0)
		sched_yield();
	while ((node = list_pop(&s->fibers)) != NULL)
		fiber_free(list_entry(node, struct fiber, all_node));
	while ((node = list_pop(&s->pool)) != NULL)
		fiber_free(list_entry(node, struct fiber, all_node));
	timer_heap_fini(&s->timers);
}

static void
make_runnable(struct fiber *f)
{
	list_add_tail(&f->sched->runnable, &f->run_node);
	f->sched->n_runnable++;
}

static void
fiber_main(void *arg)
{
	struct fiber *f = arg;
	struct sched *s = f->sched;

	f->fn(f->arg);
	f->ended = true;
	fiber_ctx_switch(&f->ctx, &s->loop, true);
}

/* A fiber with a stack, from the pool or new; NULL without memory. */
static struct fiber *
fiber_get(struct sched *s)
{
	struct list *node = list_pop(&s->pool);
	struct fiber *f;

	if (node != NULL) {
		s->n_pool--;
		return list_entry(node, struct fiber, all_node);
	}
	f = calloc(1, sizeof(*f));
	if (f == NULL)
		return NULL;
	if (fiber_ctx_init(&f->ctx) < 0) {
		free(f);
		return NULL;
	}
	return f;
}

int
sched_spawn(struct sched *s, const char *name, void (*fn)(void *arg),
    void *arg)
{
	struct fiber *f;
	int rc;

	rc = timer_heap_reserve(&s->timers, s->n_fibers + 1);
	if (rc < 0)
		return rc;
	f = fiber_get(s);
	if (f == NULL)
		return -ENOMEM;
	f->sched = s;
	f->fn = fn;
	f->arg = arg;
	f->parked = f->permit = f->ended = false;
	(void)snprintf(f->name, sizeof(f->name), "%s", name);
	fiber_ctx_set(&f->ctx, fiber_main, f);
	list_add_tail(&s->fibers, &f->all_node);
	s->n_fibers++;
	make_runnable(f);
	return 0;
}

static void
fiber_reap(struct sched *s, struct fiber *f)
{
	list_del(&f->all_node);
	s->n_fibers--;
	if (s->n_pool < POOL_MAX) {
		list_add(&s->pool, &f->all_node);
		s->n_pool++;
	} else {
		fiber_free(f);
	}
}

static struct fiber *
take_runnable(struct sched *s)
{
	struct list *node = s->runnable.next;
	size_t i = 0;

	if (s->ops->choose != NULL && s->n_runnable > 1)
		i = s->ops->choose(s, s->n_runnable);
	assert(i < s->n_runnable);
	while (i-- > 0)
		node = node->next;
	list_del(node);
	s->n_runnable--;
	return list_entry(node, struct fiber, run_node);
}

bool
sched_run_fiber(struct sched *s)
{
	struct sched *outer = current_sched;
	struct fiber *f;

	if (s->n_runnable == 0)
		return false;
	assert(s->current == NULL);
	f = take_runnable(s);
	current_sched = s;
	s->current = f;
	fiber_ctx_enter(&s->loop);
	fiber_ctx_switch(&s->loop, &f->ctx, false);
	s->current = NULL;
	current_sched = outer;
	if (f->ended)
		fiber_reap(s, f);
	return true;
}

void
sched_run_callback(struct sched *s, void (*fn)(void *arg), void *arg)
{
	struct sched *outer = current_sched;

	current_sched = s;
	fn(arg);
	current_sched = outer;
}

/* Back to the loop; returns when the loop runs this fiber again. */
static void
fiber_suspend(struct fiber *f)
{
	fiber_ctx_switch(&f->ctx, &f->sched->loop, false);
}

void
fiber_park(void)
{
	struct fiber *f = fiber_self();

	assert(f != NULL);
	if (!f->permit) {
		f->parked = true;
		fiber_suspend(f);
	}
	f->permit = false;
}

void
fiber_unpark(struct fiber *f)
{
	f->permit = true;
	if (f->parked) {
		f->parked = false;
		make_runnable(f);
	}
}

void
fiber_yield(void)
{
	struct fiber *f = fiber_self();

	assert(f != NULL);
	make_runnable(f);
	fiber_suspend(f);
}

size_t
sched_fibers(const struct sched *s)
{
	return s->n_fibers;
}

static void
post_push(struct sched *s, struct sched_work *w)
{
	struct sched_work *head = atomic_load(&s->posted);

	do
		w->next = head;
	while (!atomic_compare_exchange_weak(&s->posted, &head, w));
}

void
sched_post(struct sched *s, struct sched_work *w)
{
	/* Its own thread neither sleeps now nor ends s. */
	if (s == current_sched) {
		post_push(s, w);
		return;
	}
	/* Keeps s alive until the wake-up is done: see sched_fini. */
	atomic_fetch_add(&s->posting, 1);
	post_push(s, w);
	if (s->ops->wake != NULL)
		s->ops->wake(s);
	atomic_fetch_sub(&s->posting, 1);
}

bool
sched_has_posted(struct sched *s)
{
	return atomic_load(&s->posted) != NULL;
}

bool
sched_run_posted(struct sched *s)
{
	struct sched_work *w, *next, *oldest = NULL;

	if (!sched_has_posted(s))
		return false;
	w = atomic_exchange(&s->posted, NULL);
	for (; w != NULL; w = next) {
		next = w->next;
		w->next = oldest;
		oldest = w;
	}
	for (w = oldest; w != NULL; w = next) {
		next = w->next;		/* fn may post or free w */
		sched_run_callback(s, w->fn, w->arg);
	}
	return true;
}
