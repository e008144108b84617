/* SPDX-License-Identifier: BSD-2-Clause */
/* Production scheduler on one io_uring. */
#include <assert.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "libvmfs/base/list.h"
#include "libvmfs/base/units.h"
#include "libvmfs/env/iobuf.h"
#include "libvmfs/env/reactor_impl.h"

/* Fibers run between two looks at the ring. */
#define FIBERS_PER_TURN 64
/* A reactor with work to do looks at its timers at least every so many turns,
 * besides when the ring's time-out says that one is due. */
#define TIMER_TURNS 8

static _Thread_local struct reactor *current_reactor;

uint64_t
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
	rc = reactor_ring_init(r, flags);
	if (rc < 0) {
		close(r->wake_fd);
		goto out;
	}
	(void)snprintf(r->name, sizeof(r->name), "%s", name);
	sched_init(&r->sched, &reactor_sched_ops, r);
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

	busy |= reactor_run_completions(r);
	busy |= reactor_run_watches(r);
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
		reactor_reap(r);
	}
	(void)reactor_take_ready(r);
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
		reactor_ring_enable(r);
		r->enabled = true;
	}
	/* Spares each call a look-up; works as well without. */
	(void)io_uring_register_ring_fd(&r->ring);
	iobuf_thread_begin();
	reactor_wake_arm(r);
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
