/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Helper threads for system calls that block and that io_uring cannot do.
 * They are made when needed, up to a bound, and shared by all reactors.
 */
#include <pthread.h>
#include <signal.h>
#include <stddef.h>

#include "libvmfs/env/reactor.h"
#include "libvmfs/env/reactor_impl.h"

/*
 * Calls may wait for other processes (a file lock) or a device, never for
 * another call of the queue.
 */
#define OFFLOAD_THREADS_MAX 64

static struct {
	pthread_mutex_t lock;	/* guards all groups, too */
	pthread_cond_t more;
	struct offload *head, *last;
	unsigned threads, idle, queued;
} pool = {
	.lock = PTHREAD_MUTEX_INITIALIZER,
	.more = PTHREAD_COND_INITIALIZER,
};

static void
append(struct offload **head, struct offload **last, struct offload *o)
{
	o->next = NULL;
	if (*head == NULL)
		*head = o;
	else
		(*last)->next = o;
	*last = o;
}

static void *pool_thread(void *arg);

/* With the lock held. */
static int
add_thread(void)
{
	pthread_t t;
	int rc = thread_start(&t, pool_thread, NULL);

	if (rc < 0)
		return rc;
	(void)pthread_detach(t);
	pool.threads++;
	return 0;
}

/* With the lock held. */
static void
pool_push(struct offload *o)
{
	append(&pool.head, &pool.last, o);
	pool.queued++;
	/* Without one more thread those there are take it later. */
	if (pool.idle < pool.queued && pool.threads < OFFLOAD_THREADS_MAX)
		(void)!add_thread();
	pthread_cond_signal(&pool.more);
}

static struct offload *
pool_pop(void)
{
	struct offload *o;

	pthread_mutex_lock(&pool.lock);
	pool.idle++;
	while (pool.head == NULL)
		pthread_cond_wait(&pool.more, &pool.lock);
	pool.idle--;
	pool.queued--;
	o = pool.head;
	pool.head = o->next;
	pthread_mutex_unlock(&pool.lock);
	return o;
}

/* A call of g has returned: the next one of it may run. */
static void
group_next(struct offload_group *g)
{
	struct offload *o;

	pthread_mutex_lock(&pool.lock);
	o = g->head;
	if (o != NULL) {
		g->head = o->next;
		pool_push(o);
	} else {
		g->running--;
	}
	pthread_mutex_unlock(&pool.lock);
}

static void
offload_deliver(void *arg)
{
	struct offload *o = arg;

	reactor_offload_count(o->home, -1);
	o->done(o, o->result);
}

static void
offload_run(struct offload *o)
{
	o->result = o->fn(o->arg);
	/* Afterwards the group may be gone. */
	if (o->group != NULL)
		group_next(o->group);
	o->work = (struct sched_work){ .fn = offload_deliver, .arg = o };
	sched_post(o->home, &o->work);
}

static void *
pool_thread(void *arg)
{
	(void)arg;
	(void)pthread_setname_np(pthread_self(), "vmfs-offload");
	for (;;)
		offload_run(pool_pop());
	return NULL;
}

int
thread_start(pthread_t *ret_t, void *(*fn)(void *arg), void *arg)
{
	sigset_t all, old;
	pthread_t t;
	int rc;

	/* Signals belong to the program's main thread. */
	sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, &old);
	rc = pthread_create(&t, NULL, fn, arg);
	(void)pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (rc == 0)
		*ret_t = t;
	return -rc;
}

int
offload_init(void)
{
	int rc = 0;

	pthread_mutex_lock(&pool.lock);
	if (pool.threads == 0)
		rc = add_thread();
	pthread_mutex_unlock(&pool.lock);
	return rc;
}

void
offload_submit(struct offload *o)
{
	struct offload_group *g = o->group;

	o->home = sched_current();
	reactor_offload_count(o->home, 1);
	pthread_mutex_lock(&pool.lock);
	if (g != NULL && g->running == g->limit) {
		append(&g->head, &g->last, o);
	} else {
		if (g != NULL)
			g->running++;
		pool_push(o);
	}
	pthread_mutex_unlock(&pool.lock);
}

struct offload_wait {
	struct offload o;
	struct fiber *fiber;
	bool done;
};

static void
offload_wake(struct offload *o, int result)
{
	struct offload_wait *w = container_of(o, struct offload_wait, o);

	(void)result;
	w->done = true;
	fiber_unpark(w->fiber);
}

int
offload_call(int (*fn)(void *arg), void *arg)
{
	struct offload_wait w = {
		.o = { .fn = fn, .arg = arg, .done = offload_wake },
		.fiber = fiber_self(),
	};

	offload_submit(&w.o);
	while (!w.done)
		fiber_park();
	return w.o.result;
}
