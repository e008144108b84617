/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Helper threads for system calls that block and that io_uring cannot do.
 * They are made when needed, up to a bound, and shared by all reactors.
 */
#include <pthread.h>
#include <signal.h>
#include <stddef.h>

#include "libvmfs/env/cpus.h"
#include "libvmfs/env/reactor.h"
#include "libvmfs/env/reactor_impl.h"

/*
 * Calls may wait for other processes (a file lock) or a device, never for
 * another call of the queue.
 */
#define OFFLOAD_THREADS_MAX 64

struct offload_pool {
	const char *name;	/* of its threads */
	bool realtime;
	pthread_cond_t more;
	struct offload *head, *last;
	unsigned threads, idle, queued;
};

/* A heartbeat's calls do not stand behind those of others. */
static struct offload_pool ordinary = {
	.name = "vmfs-offload", .more = PTHREAD_COND_INITIALIZER,
};
static struct offload_pool urgent = {
	.name = "vmfs-urgent", .realtime = true,
	.more = PTHREAD_COND_INITIALIZER,
};
/* Guards both, and all groups. */
static pthread_mutex_t pool_lock = PTHREAD_MUTEX_INITIALIZER;

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
add_thread(struct offload_pool *p)
{
	pthread_t t;
	int rc = thread_start(&t, pool_thread, p);

	if (rc < 0)
		return rc;
	(void)pthread_detach(t);
	p->threads++;
	return 0;
}

/* With the lock held. */
static void
pool_push(struct offload *o)
{
	struct offload_pool *p = o->pool;

	append(&p->head, &p->last, o);
	p->queued++;
	/* Without one more thread those there are take it later. */
	if (p->idle < p->queued && p->threads < OFFLOAD_THREADS_MAX)
		(void)!add_thread(p);
	pthread_cond_signal(&p->more);
}

static struct offload *
pool_pop(struct offload_pool *p)
{
	struct offload *o;

	pthread_mutex_lock(&pool_lock);
	p->idle++;
	while (p->head == NULL)
		pthread_cond_wait(&p->more, &pool_lock);
	p->idle--;
	p->queued--;
	o = p->head;
	p->head = o->next;
	pthread_mutex_unlock(&pool_lock);
	return o;
}

/* A call of g has returned: the next one of it may run. */
static void
group_next(struct offload_group *g)
{
	struct offload *o;

	pthread_mutex_lock(&pool_lock);
	o = g->head;
	if (o != NULL) {
		g->head = o->next;
		pool_push(o);
	} else {
		g->running--;
	}
	pthread_mutex_unlock(&pool_lock);
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
	struct offload_pool *p = arg;
	struct realtime granted;

	(void)pthread_setname_np(pthread_self(), p->name);
	/* Whoever was the first to need it may stay on a processor. */
	cpus_roam();
	if (p->realtime)
		realtime_enter(&granted);
	for (;;)
		offload_run(pool_pop(p));
	return NULL;
}

int
thread_start(pthread_t *ret_t, void *(*fn)(void *arg), void *arg)
{
	sigset_t all, old;
	pthread_t t;
	int rc;

	/* Signals belong to the program's main thread, but what a thread
	 * does wrong is its own: see mapped.c. */
	sigfillset(&all);
	sigdelset(&all, SIGBUS);
	(void)pthread_sigmask(SIG_SETMASK, &all, &old);
	rc = pthread_create(&t, NULL, fn, arg);
	(void)pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (rc == 0)
		*ret_t = t;
	return -rc;
}

static int
pool_init(struct offload_pool *p)
{
	int rc = 0;

	pthread_mutex_lock(&pool_lock);
	if (p->threads == 0)
		rc = add_thread(p);
	pthread_mutex_unlock(&pool_lock);
	return rc;
}

int
offload_init(void)
{
	return pool_init(&ordinary);
}

int
offload_realtime_init(void)
{
	return pool_init(&urgent);
}

void
offload_submit(struct offload *o)
{
	struct offload_group *g = o->group;

	o->home = sched_current();
	o->pool = reactor_is_realtime(o->home) ? &urgent : &ordinary;
	reactor_offload_count(o->home, 1);
	pthread_mutex_lock(&pool_lock);
	if (g != NULL && g->running == g->limit) {
		append(&g->head, &g->last, o);
	} else {
		if (g != NULL)
			g->running++;
		pool_push(o);
	}
	pthread_mutex_unlock(&pool_lock);
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
