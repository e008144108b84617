/* SPDX-License-Identifier: BSD-2-Clause */
/* Production scheduler on one io_uring. */
#include <assert.h>
#include <liburing.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "libvmfs/base/list.h"
#include "libvmfs/base/units.h"
#include "libvmfs/env/iobuf.h"
#include "libvmfs/env/reactor.h"
#include "libvmfs/env/reactor_impl.h"
#include "libvmfs/env/sched_impl.h"
#include "libvmfs/env/spin.h"
#include "libvmfs/env/yield.h"

#define SQ_ENTRIES 512
#define CQ_ENTRIES 8192
/* Fibers run between two looks at the ring. */
#define FIBERS_PER_TURN 64
/* A reactor with work to do submits when so much is queued, or at the latest
 * after so many turns: the call costs more than most turns. */
#define SUBMIT_ENTRIES 16
#define SUBMIT_TURNS 4
/* So many are worth a call when they are for a disk that is idle. */
#define SUBMIT_DISK 4
/* A reactor with work to do looks at its timers at least every so many turns,
 * besides when the ring's time-out says that one is due. */
#define TIMER_TURNS 8

struct reactor {
	struct sched sched;
	struct io_uring ring;
	bool enabled;		/* ring belongs to a thread */
	unsigned unsubmitted;	/* turns since something was submitted */
	/*
	 * One time-out stays on the ring, never later than the first timer: a
	 * time-out of each wait would cost a look at the clock and a hardware
	 * timer each.  It counts the time that the machine sleeps.
	 */
	struct reactor_op timeout_op;
	bool timeout_armed;
	uint64_t timeout_at;
	struct __kernel_timespec timeout_ts;
	bool timers_due;	/* it came */
	unsigned untimed;	/* turns without a look at the timers */
	unsigned inflight;	/* operations on the ring */
	unsigned disk_ops;	/* of them those for disks */
	int offloads;
	int wake_fd;
	uint64_t wake_count;	/* read from wake_fd */
	struct reactor_op wake_op;
	struct reactor_op *ready, **ready_tail; /* completed, done not called */
	struct list watches;	/* struct reactor_watch, of fibers that wait */
	bool spins, yields;	/* wanted */
	unsigned working;	/* see reactor_works */
	struct spin spin[2];	/* for peers, for what they have asked for */
	struct yield yield;
	struct list resting;	/* struct rest_wait */
	uint64_t rest_end;	/* of all of them */
	unsigned rest_pause;	/* that shall not be, others want to run */
	atomic_bool sleeping;
	atomic_bool stop;
	pthread_t thread;
	bool realtime;		/* wanted */
	struct realtime granted;	/* its thread's */
	char name[16];
};

static _Thread_local struct reactor *current_reactor;

static uint64_t
reactor_now(struct sched *s)
{
	struct timespec ts;

	(void)s;
	(void)clock_gettime(CLOCK_BOOTTIME, &ts);
	return (uint64_t)ts.tv_sec * NSEC_PER_SEC + (uint64_t)ts.tv_nsec;
}

/* Any thread. */
static void
reactor_wake(struct sched *s)
{
	struct reactor *r = s->arg;
	uint64_t one = 1;

	if (!atomic_exchange(&r->sleeping, false))
		return;
	/* Cannot fail: the counter is far from full. */
	while (write(r->wake_fd, &one, sizeof(one)) < 0 && errno == EINTR)
		;
}

static const struct sched_ops reactor_sched_ops = {
	.now = reactor_now,
	.wake = reactor_wake,
};

static void wake_done(struct reactor_op *op, int res);
static void timeout_done(struct reactor_op *op, int res);

static int
ring_init(struct io_uring *ring, unsigned flags)
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

/* liburing 2.3 declares io_uring_enable_rings but does not export it. */
static void
ring_enable(struct io_uring *ring)
{
	long rc = syscall(SYS_io_uring_register, ring->ring_fd,
	    IORING_REGISTER_ENABLE_RINGS, NULL, 0);

	assert(rc == 0);
	(void)rc;
}

static int
new_with(const char *name, unsigned flags, struct reactor **ret_r)
{
	struct reactor *r = calloc(1, sizeof(*r));
	int rc;

	if (r == NULL)
		return -ENOMEM;
	rc = offload_init();
	if (rc < 0)
		goto out;
	r->wake_fd = eventfd(0, EFD_CLOEXEC);
	if (r->wake_fd < 0) {
		rc = -errno;
		goto out;
	}
	rc = ring_init(&r->ring, flags | IORING_SETUP_CQSIZE |
	    IORING_SETUP_R_DISABLED);
	if (rc < 0) {
		close(r->wake_fd);
		goto out;
	}
	(void)snprintf(r->name, sizeof(r->name), "%s", name);
	sched_init(&r->sched, &reactor_sched_ops, r);
	r->wake_op.done = wake_done;
	r->timeout_op.done = timeout_done;
	r->ready_tail = &r->ready;
	list_init(&r->resting);
	list_init(&r->watches);
	*ret_r = r;
	r = NULL;
out:
	free(r);
	return rc;
}

int
reactor_new(const char *name, struct reactor **ret_r)
{
	return new_with(name, 0, ret_r);
}

int
reactor_new_wide(const char *name, struct reactor **ret_r)
{
	return new_with(name, IORING_SETUP_SQE128, ret_r);
}

void
reactor_free(struct reactor *r)
{
	if (r == NULL)
		return;
	assert(r->inflight == 0 && r->offloads == 0);
	sched_fini(&r->sched);
	io_uring_queue_exit(&r->ring);
	close(r->wake_fd);
	free(r);
}

struct sched *
reactor_sched(struct reactor *r)
{
	return &r->sched;
}

struct reactor *
reactor_current(void)
{
	return current_reactor;
}

void
reactor_offload_count(struct sched *s, int change)
{
	struct reactor *r = s->arg;

	assert(s->ops == &reactor_sched_ops);
	r->offloads += change;
}

/*
 * Moves what has completed from the ring to the ready list.  Calls nothing,
 * so that it may be used while a fiber or callback is at work.
 */
static void
reap(struct reactor *r)
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

static struct reactor_op *
take_ready(struct reactor *r)
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

static bool
run_completions(struct reactor *r)
{
	struct reactor_op *op, *next;

	reap(r);
	op = take_ready(r);
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

	assert(r == current_reactor);
	while ((sqe = io_uring_get_sqe(&r->ring)) == NULL) {
		/* -EBUSY: the completion queue is full, too. */
		if (io_uring_submit(&r->ring) < 0)
			reap(r);
	}
	return sqe;
}

void
reactor_sqe_set_op(struct io_uring_sqe *sqe, struct reactor_op *op)
{
	io_uring_sqe_set_data(sqe, op);
	current_reactor->inflight += !op->lasting;
}

void
reactor_sqe_set_disk(struct io_uring_sqe *sqe, struct reactor_op *op)
{
	struct reactor *r = current_reactor;
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
	struct reactor *r = current_reactor;
	struct io_uring_sqe *sqe = reactor_sqe(r);

	assert((r->ring.flags & IORING_SETUP_SQE128) != 0);
	assert(c->size <= REACTOR_COMMAND_MAX);
	io_uring_prep_rw(IORING_OP_URING_CMD, sqe, c->fd, c->iov, c->iovcnt, 0);
	sqe->cmd_op = c->code;
	memset(sqe->cmd, 0, REACTOR_COMMAND_MAX);
	memcpy(sqe->cmd, c->data, c->size);
	reactor_sqe_set_op(sqe, op);
}

static void
wake_arm(struct reactor *r)
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
	wake_arm(container_of(op, struct reactor, wake_op));
}

/* Between two turns. */
static void
submit_some(struct reactor *r)
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

/* Before a wait: the time-out ends it when the first timer is due. */
static void
timeout_arm(struct reactor *r)
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

/* Completions are there, or the kernel has some to deliver at the next call. */
static bool
ring_has_news(const struct reactor *r)
{
	unsigned flags = __atomic_load_n(r->ring.sq.kflags, __ATOMIC_ACQUIRE);

	return (flags & (IORING_SQ_TASKRUN | IORING_SQ_CQ_OVERFLOW)) != 0 ||
	    io_uring_cq_ready(&r->ring) > 0;
}

/* ---- watches ---- */

void
reactor_watch_wait(struct reactor_watch *w)
{
	w->fiber = fiber_self();
	list_add_tail(&current_reactor->watches, &w->node);
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

static bool
run_watches(struct reactor *r)
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
	return ring_has_news(r) || sched_has_posted(&r->sched) ||
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

/* Submits what is queued; sleeps until something happens unless `busy`. */
static void
reactor_wait(struct reactor *r, bool busy)
{
	struct spin *s;

	if (busy) {
		submit_some(r);
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
	timeout_arm(r);
	s = spin_now(r);
	if (r->spins && spin_begin(s)) {
		(void)io_uring_submit(&r->ring);
		if (look_out(r, s))
			return;
	}
	reactor_sleep(r, s);
}

static bool
run_timers(struct reactor *r)
{
	if (!r->timers_due && ++r->untimed < TIMER_TURNS)
		return false;
	r->timers_due = false;
	r->untimed = 0;
	return sched_run_timers(&r->sched);
}

static bool
reactor_turn(struct reactor *r)
{
	bool busy = sched_run_posted(&r->sched);

	busy |= run_completions(r);
	busy |= run_watches(r);
	busy |= run_timers(r);
	for (unsigned i = 0; i < FIBERS_PER_TURN; i++) {
		if (!sched_run_fiber(&r->sched))
			break;
		busy = true;
	}
	return busy;
}

/* Nothing may write to memory of ours once the loop is left. */
static void
reactor_drain(struct reactor *r)
{
	struct io_uring_cqe *cqe;

	while (r->inflight > 0) {
		struct io_uring_sqe *sqe = reactor_sqe(r);

		io_uring_prep_cancel(sqe, NULL, IORING_ASYNC_CANCEL_ANY |
		    IORING_ASYNC_CANCEL_ALL);
		io_uring_sqe_set_data(sqe, NULL);
		(void)io_uring_submit(&r->ring);
		(void)io_uring_wait_cqe(&r->ring, &cqe);
		reap(r);
	}
	(void)take_ready(r);
}

static void
offloads_drain(struct reactor *r)
{
	static const struct timespec pause = { .tv_nsec = 1000000 };

	while (r->offloads > 0)
		if (!sched_run_posted(&r->sched))
			(void)nanosleep(&pause, NULL);
}

void
reactor_run(struct reactor *r)
{
	assert(current_reactor == NULL);
	current_reactor = r;
	if (!r->enabled) {
		ring_enable(&r->ring);
		r->enabled = true;
	}
	/* Spares each call a look-up; works as well without. */
	(void)io_uring_register_ring_fd(&r->ring);
	iobuf_thread_begin();
	wake_arm(r);
	for (;;) {
		bool busy = reactor_turn(r);

		if (!busy && atomic_load(&r->stop))
			break;
		reactor_wait(r, busy);
	}
	offloads_drain(r);
	reactor_drain(r);
	r->timeout_armed = false;
	(void)io_uring_unregister_ring_fd(&r->ring);
	iobuf_thread_end();
	atomic_store(&r->stop, false);
	current_reactor = NULL;
}

static void *
reactor_thread(void *arg)
{
	struct reactor *r = arg;

	(void)pthread_setname_np(pthread_self(), r->name);
	if (r->realtime)
		realtime_enter(&r->granted);
	reactor_run(r);
	return NULL;
}

void
reactor_want_spin(struct reactor *r)
{
	r->spins = true;
}

void
reactor_want_spin_after(struct reactor *r, uint64_t short_ns)
{
	r->spins = r->yields = true;
	r->spin[0].short_ns = r->spin[1].short_ns = short_ns;
}

void
reactor_works(int change)
{
	current_reactor->working += (unsigned)change;
}

int
reactor_want_realtime(struct reactor *r)
{
	r->realtime = true;
	return offload_realtime_init();
}

struct realtime
reactor_realtime(const struct reactor *r)
{
	return r->granted;
}

bool
reactor_is_realtime(struct sched *s)
{
	const struct reactor *r = s->arg;

	return r->realtime;
}

int
reactor_start(struct reactor *r)
{
	return thread_start(&r->thread, reactor_thread, r);
}

void
reactor_join(struct reactor *r)
{
	(void)pthread_join(r->thread, NULL);
}

void
reactor_stop(struct reactor *r)
{
	/* As in sched_post: r stays until the wake-up is done. */
	atomic_fetch_add(&r->sched.posting, 1);
	atomic_store(&r->stop, true);
	reactor_wake(&r->sched);
	atomic_fetch_sub(&r->sched.posting, 1);
}
