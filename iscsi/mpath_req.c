/* SPDX-License-Identifier: BSD-2-Clause */
/* Requests of a multipath disk: choice of a leg, answers, failover. */
#include <stdlib.h>

#include "iscsi/mpath_int.h"

#define TRIES_MAX 64
#define SENSE_NOT_READY 0x2
#define ASC_ACCESS 0x04		/* with 0A to 0C: SPC-4 5.15.2.5 */
#define ASC_CHANGED 0x2a
#define ASCQ_ACCESS 0x06

bool
mpath_changes(enum disk_op op)
{
	switch (op) {
	case DISK_WRITE:
	case DISK_UNMAP:
	case DISK_WRITE_ZEROES:
	case DISK_CAW:
	case DISK_RESERVE:
	case DISK_RELEASE:
	case DISK_PR_OUT:
		return true;
	default:
		return false;
	}
}

/* Does a second time do no harm, once the first has certainly ended? */
static bool
repeatable(const struct disk_req *req)
{
	if ((req->flags & DISK_RESERVED) != 0)
		return false;
	return !mpath_changes(req->op) || req->op == DISK_WRITE ||
	    req->op == DISK_UNMAP || req->op == DISK_WRITE_ZEROES;
}

/* ---- the end of a request ---- */

static void
deliver(void *arg)
{
	struct mreq *r = arg;
	struct disk_req *parent = r->parent;

	parent->result = r->req.result;
	parent->sense = r->req.sense;
	free(r);
	parent->done(parent);
}

void
mreq_end_soon(struct mreq *r, int result)
{
	r->req.result = result;
	r->work = (struct sched_work){ .fn = deliver, .arg = r };
	sched_post(r->parent->home, &r->work);
}

void
mreq_end(struct mreq *r, int result)
{
	if (r->parent->home != r->mp->home) {
		mreq_end_soon(r, result);
		return;
	}
	r->req.result = result;
	deliver(r);
}

/* Every path is there and says that the LUN is not. */
static bool
lun_gone(const struct mpath *mp)
{
	for (unsigned i = 0; i < mp->count; i++)
		if (!mp->legs[i].gone)
			return false;
	return true;
}

/* Those whose time is up, or all. */
static void
end_late(struct list *reqs, bool all, uint64_t now, int result)
{
	struct list late, *node;

	/* Whose request ends may submit another one, which changes the list. */
	list_init(&late);
	list_for_each(n, tmp, reqs) {
		if (all || list_entry(n, struct mreq, node)->deadline_ns <=
		    now) {
			list_del(n);
			list_add_tail(&late, n);
		}
	}
	while ((node = list_pop(&late)) != NULL)
		mreq_end(list_entry(node, struct mreq, node), result);
}

void
mpath_expire(struct mpath *mp)
{
	uint64_t now = env_now(mp->env);
	bool ghosts = mpath_haunted(mp), over = lun_gone(mp);

	end_late(&mp->unknown, !ghosts, now, -VMFS_EUNKNOWN);
	end_late(&mp->waiting, over, now, over ? -VMFS_EGONE :
	    -VMFS_EUNKNOWN);
}

/* ---- choice ---- */

/* Larger is better; 0: not this one. */
static unsigned
rank(const struct leg *l, enum disk_op op)
{
	bool looks = op == DISK_READ || op == DISK_PR_READ_RESERVATION;

	switch (l->state) {
	case MPATH_ACTIVE:
		return (l->look.access == MPATH_OPTIMIZED ? 4u : 2u) +
		    l->look.preferred;
	case MPATH_LATE:
	case MPATH_PROBATION:
		return looks && l->look.access <= MPATH_NON_OPTIMIZED;
	default:
		return 0;
	}
}

struct leg *
mpath_pick(struct mpath *mp, enum disk_op op, unsigned not)
{
	struct leg *best = NULL;
	unsigned best_rank = 0;

	if (mp->reserver != NULL)
		return mp->reserver;
	for (unsigned i = 0; i < mp->count; i++) {
		struct leg *l = &mp->legs[i];
		unsigned value = (not & 1u << i) != 0 ? 0 : rank(l, op);

		if (value > best_rank || (value > 0 && value == best_rank &&
		    l->in_flight < best->in_flight)) {
			best = l;
			best_rank = value;
		}
	}
	return best;
}

/* ---- there and back ---- */

static void
wait_for_leg(struct mreq *r)
{
	struct mpath *mp = r->mp;

	r->deadline_ns = env_now(mp->env) +
	    mp->conf.timeout_ms * NSEC_PER_MSEC;
	list_add_tail(&mp->waiting, &r->node);
}

static void
again(struct mreq *r)
{
	if (++r->tries > TRIES_MAX) {
		mreq_end(r, -VMFS_EUNKNOWN);
		return;
	}
	wait_for_leg(r);
	mpath_pump(r->mp);
}

/* The session still stands, so the target has answered every command. */
bool
leg_answered_all(const struct leg *l)
{
	uint64_t epoch;

	return l->conf.ops->alive(l->disk, &epoch) && epoch == l->epoch;
}

/* Nobody knows whether it was, or will be, executed. */
static void
outcome_unknown(struct mreq *r)
{
	struct mpath *mp = r->mp;
	enum disk_op op = r->req.op;

	r->leg->errors++;
	if (!leg_answered_all(r->leg)) {
		leg_lost(r->leg, mpath_changes(op));
		if (op == DISK_PR_OUT &&
		    r->req.pr->action == DISK_PR_PREEMPT_AND_ABORT)
			mp->reset_due = true;
	}
	if (repeatable(&r->req)) {
		again(r);
		return;
	}
	r->deadline_ns = env_now(mp->env) +
	    mp->conf.timeout_ms * NSEC_PER_MSEC;
	list_add_tail(&mp->unknown, &r->node);
	fiber_cond_broadcast(&mp->changed);
}

static bool
is_access_news(const struct disk_sense *s)
{
	return (s->key == SENSE_NOT_READY && s->asc == ASC_ACCESS &&
	    s->ascq >= 0x0a && s->ascq <= 0x0c) ||
	    (s->asc == ASC_CHANGED && s->ascq == ASCQ_ACCESS);
}

static void
gone(struct mreq *r)
{
	r->gone |= 1u << r->leg->index;
	if (mpath_pick(r->mp, r->req.op, r->gone) != NULL)
		again(r);
	else
		mreq_end(r, -VMFS_EGONE);
}

/* The leg may have the reservation still, and no RELEASE ends that. */
static void
drop_reservation(struct mpath *mp)
{
	struct leg *l = mp->reserver;

	mp->reserver = NULL;
	if (l != NULL)
		l->conf.ops->drop(l->disk);
}

static void
note_reservation(struct mreq *r, int result)
{
	struct mpath *mp = r->mp;

	if (r->req.op == DISK_RESERVE && result == 0)
		mp->reserver = r->leg;
	else if (r->req.op == DISK_RELEASE && (result == 0 ||
	    result == -VMFS_EGONE))
		mp->reserver = NULL;
	else if (r->req.op == DISK_RELEASE && result != -VMFS_EATTENTION)
		drop_reservation(mp);
}

static void
leg_answered(struct disk_req *req)
{
	struct mreq *r = container_of(req, struct mreq, req);
	struct leg *l = r->leg;

	if (--l->in_flight == 0)
		fiber_cond_broadcast(&r->mp->drained);
	note_reservation(r, req->result);
	switch (req->result) {
	case -ENOTCONN:
		leg_lost(l, false);
		again(r);
		return;
	case -VMFS_EUNKNOWN:
		outcome_unknown(r);
		return;
	case -VMFS_EGONE:
		gone(r);
		return;
	case -VMFS_ECONFLICT:
		if (r->mp->key != 0)
			leg_doubt(l);
		break;
	case -VMFS_EATTENTION:
	case -EIO:
		if (!is_access_news(&req->sense))
			break;
		leg_doubt(l);
		again(r);
		return;
	default:
		break;
	}
	mreq_end(r, req->result);
}

static void
dispatch(struct mreq *r, struct leg *l)
{
	struct disk_req *p = r->parent;

	r->leg = l;
	/* Met while the leg was looked at, but meant for the user. */
	if (l->attention.status != 0) {
		r->req.sense = l->attention;
		l->attention.status = 0;
		mreq_end_soon(r, -VMFS_EATTENTION);
		return;
	}
	r->req = (struct disk_req){
		.op = p->op, .flags = p->flags, .offset = p->offset,
		.length = p->length, .iov = p->iov, .iovcnt = p->iovcnt,
		.expect = p->expect, .pr = p->pr, .id = p->id,
		.done = leg_answered,
	};
	l->in_flight++;
	disk_submit(l->disk, &r->req);
}

/*
 * Whoever had the SCSI-2 reservation has lost it with the leg: another host may
 * have been there meanwhile, so nothing that relied on it may go on.  Only its
 * RELEASE still goes there, where a session is left.
 */
static bool
goes_without_reservation(struct mreq *r)
{
	struct mpath *mp = r->mp;

	switch (r->parent->op) {
	case DISK_RELEASE:
		if (mp->reserver->state == MPATH_LOST)
			mp->reserver = NULL;
		return true;
	case DISK_RESERVE:
		drop_reservation(mp);
		return true;
	default:
		return false;
	}
}

void
mpath_pump(struct mpath *mp)
{
	if (mp->killing || mpath_haunted(mp)) {
		fiber_cond_broadcast(&mp->changed);
		return;
	}
	list_for_each(node, tmp, &mp->waiting) {
		struct mreq *r = list_entry(node, struct mreq, node);
		struct leg *l;

		if (mpath_pr_for_all(r->parent)) {
			list_del(node);
			mpath_pr_start(r);
			continue;
		}
		if (mp->reserver != NULL &&
		    mp->reserver->state != MPATH_ACTIVE &&
		    !goes_without_reservation(r)) {
			list_del(node);
			mreq_end_soon(r, -VMFS_EATTENTION);
			continue;
		}
		l = mpath_pick(mp, r->parent->op, r->gone);
		if (l == NULL)
			continue;
		list_del(node);
		dispatch(r, l);
	}
}

static void
start(void *arg)
{
	struct mreq *r = arg;

	wait_for_leg(r);
	mpath_pump(r->mp);
}

void
mpath_submit(struct disk *d, struct disk_req *req)
{
	struct mpath *mp = mpath_of(d);
	struct mreq *r = calloc(1, sizeof(*r));

	if (r == NULL) {
		disk_complete(req, -ENOMEM);
		return;
	}
	r->mp = mp;
	r->parent = req;
	if (req->home == mp->home) {
		start(r);
	} else {
		r->work = (struct sched_work){ .fn = start, .arg = r };
		sched_post(mp->home, &r->work);
	}
}
