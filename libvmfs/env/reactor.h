/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Production scheduler: one thread, one io_uring, its fibers and timers.
 * Adapters (disk_file, net_tcp) queue their I/O on the ring of the reactor
 * that submits; a reactor without work sleeps in io_uring_enter.
 */
#ifndef VMFS_ENV_REACTOR_H
#define VMFS_ENV_REACTOR_H

#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "libvmfs/env/realtime.h"
#include "libvmfs/env/sched.h"

struct reactor;

/* Creates ring and scheduler; no thread yet.  `name` is for thread and log. */
int reactor_new(const char *name, struct reactor **ret_r) MUST_CHECK;
/* The same for one that has reactor_command. */
int reactor_new_wide(const char *name, struct reactor **ret_r) MUST_CHECK;
/* Only after the loop has ended. */
void reactor_free(struct reactor *r);
struct sched *reactor_sched(struct reactor *r);
/* Reactor of the calling thread, NULL on other threads. */
struct reactor *reactor_current(void);

/*
 * Runs the loop on the calling thread until reactor_stop.  Returns when no
 * operation of its ring and no offloaded call is in flight any more; fibers
 * that still live are dropped by reactor_free.
 */
void reactor_run(struct reactor *r);
/*
 * It looks for work for a moment before it sleeps, where that pays (spin.h):
 * for those that answer peers, not for those that wait for disks.  Before
 * reactor_start.
 */
void reactor_want_spin(struct reactor *r);
/*
 * The same for one whose peers sleep as well: after waits of up to short_ns.  A
 * wait has two wake-ups then, and is short without them.  Woken for a single
 * request it first lets others of its processor run, where that pays (yield.h): the
 * peer may still be on its way to sleep.
 */
void reactor_want_spin_after(struct reactor *r, uint64_t short_ns);
/*
 * Its thread, and the helper threads that its calls run on, shall not starve
 * (realtime.h).  Before reactor_start.  Errors: no helper thread.
 */
int reactor_want_realtime(struct reactor *r) MUST_CHECK;
/* What was granted; from a fiber or a post of r. */
struct realtime reactor_realtime(const struct reactor *r);
/* Runs the loop on a new thread; reactor_join stops nothing, only waits. */
int reactor_start(struct reactor *r) MUST_CHECK;
void reactor_join(struct reactor *r);
/* Ends the loop once the current work is done.  Any thread. */
void reactor_stop(struct reactor *r);

/*
 * Runs main_fn(arg) as a fiber on a reactor of its own on this thread and
 * returns its result when it ends: how mkfs, fsck and tests get fibers.
 */
int reactor_run_main(int (*main_fn)(void *arg), void *arg) MUST_CHECK;

/* ---- for adapters, on the reactor's own thread ---- */

/*
 * One operation in flight on the ring; done gets cqe->res and runs outside
 * any fiber.  It is not called when the reactor ends first.
 */
struct reactor_op {
	void (*done)(struct reactor_op *op, int res);
	struct reactor_op *next;	/* private */
	int res;			/* private */
	bool disk;			/* private */
	/* It may stay for ever: the end of the loop does not wait for it, nor
	 * can it be cancelled but by the end of the thread and of the ring. */
	bool lasting;
};
struct io_uring_sqe;
/* A free SQE (submits what is queued when full); set its op with
 * reactor_sqe_set_op, it is submitted before the reactor next sleeps. */
struct io_uring_sqe *reactor_sqe(struct reactor *r);
void reactor_sqe_set_op(struct io_uring_sqe *sqe, struct reactor_op *op);
/*
 * The same for what a disk is to do, with the rest of the SQE set: of a burst,
 * what is queued is submitted once it is some and no less than is under way, so
 * that the disk begins while the others are still prepared.
 */
void reactor_sqe_set_disk(struct io_uring_sqe *sqe, struct reactor_op *op);
/*
 * A command to the driver behind fd (IORING_OP_URING_CMD), with data of its own.
 * What it points to is used until the reactor next sleeps, iov as the driver
 * says.
 */
#define REACTOR_COMMAND_MAX 80u
struct reactor_command {
	int fd;
	unsigned code;
	const void *data;
	size_t size;			/* REACTOR_COMMAND_MAX at most */
	const struct iovec *iov;
	unsigned iovcnt;
};
void reactor_command(struct reactor_op *op, const struct reactor_command *c);
/*
 * Suspends the calling fiber for SPIN_MAX_NS, while the reactor looks out for
 * other work.  False: not suspended, the reactor does not look out (spin.h),
 * or others want its processor.
 */
bool reactor_rest(void);
/*
 * So many more, or fewer, of what peers have asked for are under way.  Whether
 * looking out pays is learned apart with some, when disks are waited for, and
 * without.
 */
void reactor_works(int change);
/* Whether reactor_rest may do so. */
bool reactor_rests(void);
/* Suspends the calling fiber until fd is ready; events and result as poll(2)
 * (POLLIN..), or negative errno. */
int reactor_poll_fd(int fd, short events);

/*
 * The same for one of several that wait for the fd: only one is woken.  Cancel,
 * on its thread, ends the wait at once; harmless when there is none.
 */
struct reactor_poll {
	struct reactor_op op;		/* private */
	struct fiber *fiber;		/* NULL: it does not wait */
};
int reactor_poll_one(struct reactor_poll *p, int fd, short events);
void reactor_poll_cancel(struct reactor_poll *p);

/*
 * Memory that a peer changes, as a guest does its queue: a loop that is awake
 * looks at it, and one that is about to sleep asks to be told.  Who waits, on
 * the reactor's thread, keeps it until it is woken.
 */
struct reactor_watch {
	/* Has something come?  Called often. */
	bool (*look)(struct reactor_watch *w);
	/* The loop is about to sleep; reactor_watch_wake is to follow when
	 * something comes.  True: it has, meanwhile. */
	bool (*listen)(struct reactor_watch *w);
	/* What came before is still being worked on: to wait now is to wait
	 * for that rather than for the peer. */
	bool working;
	struct list node;		/* private from here */
	struct fiber *fiber;		/* NULL: it does not wait */
};
/* Suspends until something has come or it is woken, which may be in vain. */
void reactor_watch_wait(struct reactor_watch *w);
/* Harmless when nobody waits. */
void reactor_watch_wake(struct reactor_watch *w);

/*
 * Runs the blocking fn(arg) on a helper thread and suspends the calling fiber
 * until it has returned; its result is the result.
 */
int offload_call(int (*fn)(void *arg), void *arg) MUST_CHECK;
/*
 * At most `limit` calls of a group are at work at once, the others wait in
 * order: a LUN that hangs must not take all helper threads with it.  Zero but
 * for the limit; must live until the last of its calls is done.
 */
struct offload;
struct offload_group {
	unsigned limit;
	unsigned running;		/* private from here */
	struct offload *head, *last;
};
/* The same without a fiber: done(o, result) runs on the submitter's reactor. */
struct offload {
	int (*fn)(void *arg);
	void *arg;
	void (*done)(struct offload *o, int result);
	struct offload_group *group;	/* NULL: bound only by the pool */
	int result;			/* private from here */
	struct offload_pool *pool;
	struct sched *home;
	struct sched_work work;
	struct offload *next;
};
void offload_submit(struct offload *o);

#endif
