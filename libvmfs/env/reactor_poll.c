/* SPDX-License-Identifier: BSD-2-Clause */
/* Waiting for descriptors on the ring. */
#include <liburing.h>
#include <sys/epoll.h>

#include "libvmfs/env/reactor.h"

static void
poll_done(struct reactor_op *op, int res)
{
	struct reactor_poll *p = container_of(op, struct reactor_poll, op);
	struct fiber *f = p->fiber;

	(void)res;
	p->fiber = NULL;
	fiber_unpark(f);
}

static int
poll_wait(struct reactor_poll *p, int fd, unsigned events)
{
	struct io_uring_sqe *sqe = reactor_sqe(reactor_current());

	p->op = (struct reactor_op){ .done = poll_done };
	p->fiber = fiber_self();
	io_uring_prep_poll_add(sqe, fd, events);
	reactor_sqe_set_op(sqe, &p->op);
	while (p->fiber != NULL)
		fiber_park();
	return p->op.res;
}

int
reactor_poll_fd(int fd, short events)
{
	struct reactor_poll p;

	return poll_wait(&p, fd, (unsigned short)events);
}

int
reactor_poll_one(struct reactor_poll *p, int fd, short events)
{
	return poll_wait(p, fd, (unsigned short)events | EPOLLEXCLUSIVE);
}

void
reactor_poll_cancel(struct reactor_poll *p)
{
	struct io_uring_sqe *sqe;

	if (p->fiber == NULL)
		return;
	sqe = reactor_sqe(reactor_current());
	io_uring_prep_poll_remove(sqe, (uintptr_t)&p->op);
	io_uring_sqe_set_data(sqe, NULL);
}
