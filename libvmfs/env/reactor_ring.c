/* SPDX-License-Identifier: BSD-2-Clause */
/* A reactor's ring: what is submitted, what completes, its time-out. */
#include <assert.h>
#include <string.h>
#include <sys/syscall.h>

#include "libvmfs/base/list.h"
#include "libvmfs/base/units.h"
#include "libvmfs/env/reactor_impl.h"

#define SQ_ENTRIES 512
#define CQ_ENTRIES 8192
/* A reactor with work to do submits when so much is queued, or at the latest
 * after so many turns: the call costs more than most turns. */
#define SUBMIT_ENTRIES 16
#define SUBMIT_TURNS 4
/* So many are worth a call when they are for a disk that is idle. */
#define SUBMIT_DISK 4

static void wake_done(struct reactor_op *op, int res);
static void timeout_done(struct reactor_op *op, int res);

static int
queue_init(struct io_uring *ring, unsigned flags)
{
	/* Linux 6.1.  Disabled at first: the thread that enables owns it. */
	struct io_uring_params p = {
		.flags = flags | IORING_SETUP_SINGLE_ISSUER |
		    IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_TASKRUN_FLAG,
		.cq_entries = CQ_ENTRIES,
	};
	int rc = io_uring_queue_init_params(SQ_ENTRIES, ring, &p);

	if (rc == -EINVAL) {
		p = (struct io_uring_params){
			.flags = flags,
			.cq_entries = CQ_ENTRIES,
		};
		rc = io_uring_queue_init_params(SQ_ENTRIES, ring, &p);
	}
	return rc;
}

int
reactor_ring_init(struct reactor *r, unsigned flags)
{
	r->wake_op.done = wake_done;
	r->timeout_op.done = timeout_done;
	r->ready_tail = &r->ready;
	return queue_init(&r->ring, flags | IORING_SETUP_CQSIZE |
	    IORING_SETUP_R_DISABLED);
}

/* liburing 2.3 declares io_uring_enable_rings but does not export it. */
void
reactor_ring_enable(struct reactor *r)
{
	long rc = syscall(SYS_io_uring_register, r->ring.ring_fd,
	    IORING_REGISTER_ENABLE_RINGS, NULL, 0);

	assert(rc == 0);
	(void)rc;
}

void
reactor_reap(struct reactor *r)
{
	struct io_uring_cqe *cqe = NULL;

	while (io_uring_peek_cqe(&r->ring, &cqe) == 0 && cqe != NULL) {
		struct reactor_op *op = io_uring_cqe_get_data(cqe);

		if (op != NULL) {
			op->res = cqe->res;
			op->next = NULL;
			*r->ready_tail = op;
			r->ready_tail = &op->next;
			r->inflight -= !op->lasting;
			r->disk_ops -= op->disk;
		}
		io_uring_cqe_seen(&r->ring, cqe);
	}
}

struct reactor_op *
reactor_take_ready(struct reactor *r)
{
	struct reactor_op *first = r->ready;

	r->ready = NULL;
	r->ready_tail = &r->ready;
	return first;
}

static void
run_op(void *arg)
{
	struct reactor_op *op = arg;

	op->done(op, op->res);
}

bool
reactor_run_completions(struct reactor *r)
{
	struct reactor_op *op, *next;

	reactor_reap(r);
	op = reactor_take_ready(r);
	if (op == NULL)
		return false;
	for (; op != NULL; op = next) {
		next = op->next;	/* done may reuse or free op */
		sched_run_callback(&r->sched, run_op, op);
	}
	return true;
}

struct io_uring_sqe *
reactor_sqe(struct reactor *r)
{
	struct io_uring_sqe *sqe;

	assert(r == reactor_current());
	while ((sqe = io_uring_get_sqe(&r->ring)) == NULL) {
		/* -EBUSY: the completion queue is full, too. */
		if (io_uring_submit(&r->ring) < 0)
			reactor_reap(r);
	}
	return sqe;
}

void
reactor_sqe_set_op(struct io_uring_sqe *sqe, struct reactor_op *op)
{
	io_uring_sqe_set_data(sqe, op);
	reactor_current()->inflight += !op->lasting;
}

void
reactor_sqe_set_disk(struct io_uring_sqe *sqe, struct reactor_op *op)
{
	struct reactor *r = reactor_current();
	unsigned queued = io_uring_sq_ready(&r->ring);

	op->disk = true;
	r->disk_ops++;
	reactor_sqe_set_op(sqe, op);
	if (queued < SUBMIT_DISK || 2 * queued < r->disk_ops)
		return;
	r->unsubmitted = 0;
	(void)io_uring_submit(&r->ring);
}

void
reactor_command(struct reactor_op *op, const struct reactor_command *c)
{
	struct reactor *r = reactor_current();
	struct io_uring_sqe *sqe = reactor_sqe(r);

	assert((r->ring.flags & IORING_SETUP_SQE128) != 0);
	assert(c->size <= REACTOR_COMMAND_MAX);
	io_uring_prep_rw(IORING_OP_URING_CMD, sqe, c->fd, c->iov, c->iovcnt, 0);
	sqe->cmd_op = c->code;
	memset(sqe->cmd, 0, REACTOR_COMMAND_MAX);
	memcpy(sqe->cmd, c->data, c->size);
	reactor_sqe_set_op(sqe, op);
}

void
reactor_wake_arm(struct reactor *r)
{
	struct io_uring_sqe *sqe = reactor_sqe(r);

	io_uring_prep_read(sqe, r->wake_fd, &r->wake_count,
	    sizeof(r->wake_count), 0);
	reactor_sqe_set_op(sqe, &r->wake_op);
}

static void
wake_done(struct reactor_op *op, int res)
{
	(void)res;
	reactor_wake_arm(container_of(op, struct reactor, wake_op));
}

void
reactor_submit_some(struct reactor *r)
{
	unsigned queued = io_uring_sq_ready(&r->ring);

	if (queued == 0)
		return;
	r->unsubmitted++;
	if (queued < SUBMIT_ENTRIES && r->unsubmitted < SUBMIT_TURNS)
		return;
	r->unsubmitted = 0;
	(void)io_uring_submit(&r->ring);
}

static void
timeout_done(struct reactor_op *op, int res)
{
	struct reactor *r = container_of(op, struct reactor, timeout_op);

	(void)res;
	r->timeout_armed = false;
	r->timers_due = true;
}

void
reactor_timeout_arm(struct reactor *r)
{
	uint64_t deadline = sched_next_deadline(&r->sched);
	struct io_uring_sqe *sqe;

	if (deadline == UINT64_MAX ||
	    (r->timeout_armed && deadline >= r->timeout_at))
		return;
	r->timeout_at = deadline;
	r->timeout_ts.tv_sec = (int64_t)(deadline / NSEC_PER_SEC);
	r->timeout_ts.tv_nsec = (int64_t)(deadline % NSEC_PER_SEC);
	sqe = reactor_sqe(r);
	if (r->timeout_armed) {
		/* The clock stays.  If it fails, the time-out has just come. */
		io_uring_prep_timeout_update(sqe, &r->timeout_ts,
		    (uintptr_t)&r->timeout_op, IORING_TIMEOUT_ABS);
		io_uring_sqe_set_data(sqe, NULL);
		sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
		return;
	}
	io_uring_prep_timeout(sqe, &r->timeout_ts, 0, IORING_TIMEOUT_ABS |
	    IORING_TIMEOUT_BOOTTIME);
	reactor_sqe_set_op(sqe, &r->timeout_op);
	r->timeout_armed = true;
}

bool
reactor_ring_has_news(const struct reactor *r)
{
	unsigned flags = __atomic_load_n(r->ring.sq.kflags, __ATOMIC_ACQUIRE);

	return (flags & (IORING_SQ_TASKRUN | IORING_SQ_CQ_OVERFLOW)) != 0 ||
	    io_uring_cq_ready(&r->ring) > 0;
}
