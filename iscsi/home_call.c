/* SPDX-License-Identifier: BSD-2-Clause */
/* Calls that suspend, from whatever reactor. */
#include "iscsi/home_call.h"

struct call {
	struct sched *home, *from;
	int (*fn)(void *arg);
	void *arg;
	int result;
	struct fiber *waiter;
	struct sched_work work;
};

static void
call_return(void *arg)
{
	struct call *c = arg;
	struct fiber *f = c->waiter;

	c->waiter = NULL;
	fiber_unpark(f);
}

static void
call_reply(struct call *c)
{
	c->work.fn = call_return;
	sched_post(c->from, &c->work);
}

static void
call_fiber(void *arg)
{
	struct call *c = arg;

	c->result = c->fn(c->arg);
	call_reply(c);
}

static void
call_arrive(void *arg)
{
	struct call *c = arg;

	c->result = sched_spawn(c->home, "iscsi-call", call_fiber, c);
	if (c->result < 0)
		call_reply(c);
}

int
home_call(struct sched *home, int (*fn)(void *arg), void *arg)
{
	struct call c = { .home = home, .from = sched_current(), .fn = fn,
		.arg = arg, .waiter = fiber_self() };

	if (c.from == home)
		return fn(arg);
	c.work.fn = call_arrive;
	c.work.arg = &c;
	sched_post(home, &c.work);
	while (c.waiter != NULL)
		fiber_park();
	return c.result;
}
