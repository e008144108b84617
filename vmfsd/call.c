/* SPDX-License-Identifier: BSD-2-Clause */
/* From a thread that may block into a reactor. */
#include <semaphore.h>

#include "vmfsd/call.h"

struct call {
	struct sched_work work;
	struct sched *sched;
	int (*fn)(void *arg);
	void *arg;
	int result;
	sem_t done;
};

static void
call_fiber(void *arg)
{
	struct call *c = arg;

	c->result = c->fn(c->arg);
	(void)sem_post(&c->done);
}

static void
call_start(void *arg)
{
	struct call *c = arg;

	c->result = sched_spawn(c->sched, "call", call_fiber, c);
	if (c->result < 0)
		(void)sem_post(&c->done);
}

int
call_on(struct sched *s, int (*fn)(void *arg), void *arg)
{
	struct call c = { .sched = s, .fn = fn, .arg = arg };

	if (sem_init(&c.done, 0, 0) < 0)
		return -errno;
	c.work = (struct sched_work){ .fn = call_start, .arg = &c };
	sched_post(s, &c.work);
	while (sem_wait(&c.done) < 0)
		;
	(void)sem_destroy(&c.done);
	return c.result;
}
