/* SPDX-License-Identifier: BSD-2-Clause */
/* Requests through the guard: pass, wait, fail, send again. */
#include <stdlib.h>

#include "libvmfs/base/units.h"
#include "locking/guard_req.h"

/* A registered host that still gets conflicts has lost a path's key. */
#define CONFLICTS_MAX 3
#define ATTENTIONS_MAX 64
#define BUSY_NS (2 * NSEC_PER_MSEC)

/* One request on its way; the parent is the submitter's. */
struct guard_req {
	struct disk_req req;
	struct disk_req *parent;
	struct guard *guard;
	struct sched *home;
	struct sched_work work;
	struct list node;		/* in guard.parked */
	unsigned conflicts, attentions;
	bool replay;			/* came by guard.replay */
	struct sched_timer again;
};

static void guard_try(struct guard_req *r);

/*
 * The LUN tells one flush that its cache was lost, whoever sent it; what
 * others had written before is lost as well.  From then on no flush of the
 * datastore succeeds: it must be mounted again.  Of a LUN that is lost those
 * learn in another way who have anything there.
 */
static int
flush_result(struct guard_req *r, int result)
{
	struct guard *g = r->guard;

	if (result < 0 && result != -VMFS_EATTENTION &&
	    result != -VMFS_EEXTENT)
		atomic_store(&g->flush_error, result);
	return result == 0 && !r->replay ? atomic_load(&g->flush_error) :
	    result;
}

static void
complete(struct guard_req *r, int result)
{
	struct disk_req *parent = r->parent;
	struct guard *g = r->guard;

	if (parent->op == DISK_FLUSH)
		result = flush_result(r, result);
	parent->result = result;
	parent->sense = r->req.sense;
	free(r);
	/* The guard may go as soon as nothing is in flight. */
	parent->done(parent);
	atomic_fetch_sub(&g->in_flight, 1);
}

static void
fail_now(void *arg)
{
	struct guard_req *r = arg;

	complete(r, atomic_load(&r->guard->error));
}

static void
retry(void *arg)
{
	guard_try(arg);
}

/* On the datastore's thread: the request joins those that wait. */
static void
park_here(void *arg)
{
	struct guard_req *r = arg;
	struct guard *g = r->guard;

	list_add_tail(&g->parked, &r->node);
	/* The state may have settled while the request came here. */
	if (guard_status(g) == HOST_FENCED || guard_status(g) == HOST_LEFT ||
	    (guard_status(g) == HOST_OK &&
	    guard_lease_good(g, g->conf.env->sched)))
		guard_release_parked(g);
	else
		fiber_cond_broadcast(&g->wake);
}

static void
park(struct guard_req *r)
{
	r->work = (struct sched_work){ .fn = park_here, .arg = r };
	sched_post(r->guard->conf.env->sched, &r->work);
}

void
guard_release_parked(struct guard *g)
{
	struct list *node;

	while ((node = list_pop(&g->parked)) != NULL) {
		struct guard_req *r = list_entry(node, struct guard_req, node);

		r->work = (struct sched_work){ .fn = retry, .arg = r };
		sched_post(r->home, &r->work);
	}
}

/* Did the LUN certainly not execute it, or does a second time do no harm? */
static bool
repeatable(enum disk_op op)
{
	switch (op) {
	case DISK_READ:
	case DISK_WRITE:
	case DISK_FLUSH:
	case DISK_UNMAP:
	case DISK_WRITE_ZEROES:
		return true;
	default:
		return false;
	}
}

/*
 * The outcome is unknown: the same bytes are written again once the LUN
 * answers.  The source has ended the first command by then (a new session
 * aborts the tasks of the old one), so it cannot land later.
 */
static void
lost_touch(struct guard_req *r)
{
	guard_doubt(r->guard, "the outcome of a command is unknown");
	if (repeatable(r->req.op))
		park(r);
	else
		complete(r, -VMFS_EUNKNOWN);
}

static void
guard_again(void *arg)
{
	guard_try(arg);
}

/* Another host is between its RESERVE and RELEASE: a matter of moments. */
static bool
refused_for_a_moment(struct guard_req *r)
{
	struct guard *g = r->guard;
	uint64_t ns = BUSY_NS + env_random_u64(g->conf.env) % BUSY_NS;

	if (!g->conf.conflicts_pass)
		return false;
	r->again = (struct sched_timer){ .fn = guard_again, .arg = r };
	return sched_timer_arm(r->home, &r->again,
	    sched_now(r->home) + ns) == 0;
}

static void
refused(struct guard_req *r)
{
	if (refused_for_a_moment(r))
		return;
	if (++r->conflicts < CONFLICTS_MAX) {
		guard_doubt(r->guard, "the LUN reports a reservation conflict");
		park(r);
		return;
	}
	guard_fence(r->guard, -VMFS_EFENCED, "the LUN refuses this host's "
	    "writes although its key is registered: a path lost the key; "
	    "mount again");
	complete(r, -VMFS_EFENCED);
}

/*
 * The LUN refuses a fenced host's writes, not its reads: who slept while one
 * was on its way may have been taken over, and what lies there be another's.
 */
static bool
read_too_late(const struct guard_req *r)
{
	struct guard *g = r->guard;
	enum host_status status = guard_status(g);

	return r->req.op == DISK_READ && (status == HOST_FROZEN ||
	    status == HOST_FENCED || (status == HOST_OK &&
	    !guard_lease_good(g, r->home)));
}

static void
below_done(struct disk_req *req)
{
	struct guard_req *r = req->arg;

	switch (req->result) {
	case 0:
		if (read_too_late(r))
			park(r);
		else
			complete(r, 0);
		return;
	case -VMFS_ECONFLICT:
		refused(r);
		return;
	case -VMFS_EATTENTION:
		guard_doubt(r->guard, "the LUN reports a unit attention");
		if (++r->attentions < ATTENTIONS_MAX)
			park(r);
		else
			complete(r, -VMFS_EATTENTION);
		return;
	case -VMFS_EUNKNOWN:
		lost_touch(r);
		return;
	default:
		complete(r, req->result);
	}
}

static void
forward(struct guard_req *r)
{
	struct disk_req *p = r->parent;

	r->req = (struct disk_req){
		.op = p->op, .flags = p->flags, .offset = p->offset,
		.length = p->length, .iov = p->iov, .iovcnt = p->iovcnt,
		.expect = p->expect, .pr = p->pr, .id = p->id,
		.done = below_done, .arg = r,
	};
	disk_submit(r->guard->conf.below, &r->req);
}

static void
guard_pass(struct guard_req *r)
{
	struct guard *g = r->guard;

	switch (guard_status(g)) {
	case HOST_OK:
		if (guard_lease_good(g, r->home))
			forward(r);
		else
			park(r);
		return;
	case HOST_FROZEN:
		park(r);
		return;
	case HOST_FENCED:
	case HOST_LEFT:
		r->work = (struct sched_work){ .fn = fail_now, .arg = r };
		sched_post(r->home, &r->work);
		return;
	}
}

static void
guard_try(struct guard_req *r)
{
	struct guard *g = r->guard;

	/* A watchdog must not be petted for a thread that sleeps here. */
	atomic_fetch_add(&g->entering, 1);
	guard_pass(r);
	atomic_fetch_sub(&g->entering, 1);
}

static void
take(struct guard *g, struct disk_req *req, bool replay)
{
	struct guard_req *r = calloc(1, sizeof(*r));

	if (r == NULL) {
		disk_complete(req, -ENOMEM);
		return;
	}
	r->parent = req;
	r->guard = g;
	r->replay = replay;
	r->home = sched_current();
	atomic_fetch_add(&g->in_flight, 1);
	guard_try(r);
}

static void
guard_submit(struct disk *d, struct disk_req *req)
{
	take(container_of(d, struct guard, disk), req, false);
}

static void
replay_submit(struct disk *d, struct disk_req *req)
{
	take(container_of(d, struct guard, replay), req, true);
}

static int
guard_refresh(struct disk *d)
{
	struct guard *g = container_of(d, struct guard, disk);
	int rc = disk_refresh(g->conf.below);

	if (rc == 0) {
		disk_info_follow(d, &g->conf.below->info);
		disk_info_follow(&g->replay, &g->conf.below->info);
	}
	return rc;
}

static bool
guard_current(struct disk *d)
{
	struct guard *g = container_of(d, struct guard, disk);

	return guard_status(g) == HOST_OK &&
	    guard_lease_good(g, sched_current());
}

static void
guard_close(struct disk *d)
{
	/* The guard is a part of the host and ends with it. */
	(void)d;
}

const struct disk_ops guard_replay_ops = {
	.submit = replay_submit,
	.close = guard_close,
};

const struct disk_ops guard_disk_ops = {
	.submit = guard_submit,
	.refresh = guard_refresh,
	.current = guard_current,
	.close = guard_close,
};
