/* SPDX-License-Identifier: BSD-2-Clause */
/* Waiting for what another host is about to let go of. */
#include "fuse/mount_impl.h"
#include "fuse/share.h"
#include "libvmfs/base/units.h"

#define RELEASE_NS NSEC_PER_SEC
#define HANDOVER_NS (5 * NSEC_PER_SEC)
/* How often the other host's lock is looked at; the longest time until a
 * signal ends a wait. */
#define POLL_FIRST_NS (10 * NSEC_PER_MSEC)
#define POLL_LAST_NS (160 * NSEC_PER_MSEC)

/* The request that this fiber does. */
static struct request *
request_here(struct fuse_mount *m)
{
	for (unsigned i = 0; i < FUSE_KEEP_REQUESTS; i++)
		if (m->request[i].fiber == fiber_self())
			return &m->request[i];
	list_for_each(node, tmp, &m->ringing) {
		struct request *r = list_entry(node, struct request, node);

		if (r->fiber == fiber_self())
			return r;
	}
	return NULL;
}

static bool
waits_beside(const struct request *r, const struct request *other)
{
	return other->waiting && other->waits == r->waits &&
	    request_header(other)->uid == request_header(r)->uid;
}

static uint32_t
waits_of_user(struct fuse_mount *m, const struct request *r)
{
	uint32_t n = 0;

	for (unsigned i = 0; i < FUSE_KEEP_REQUESTS; i++)
		n += waits_beside(r, &m->request[i]);
	list_for_each(node, tmp, &m->ringing)
		n += waits_beside(r, list_entry(node, struct request, node));
	return n;
}

/* Once it does it may until its end: it may have several things to wait for. */
static bool
may_wait(struct fuse_mount *m, struct request *r)
{
	const struct waits *w;
	uint32_t left;

	if (r == NULL || r->waiting)
		return r != NULL;
	w = r->waits;
	left = w->most - w->now;
	r->waiting = left > w->most / 2 || share_fits(w->most, left,
	    waits_of_user(m, r), request_header(r)->uid);
	r->waits->now += r->waiting;
	return r->waiting;
}

void
patience_end(struct request *r)
{
	r->waits->now -= r->waiting;
	r->waiting = false;
}

/* It is done again, and was answered before: its handle goes. */
static bool
is_over(struct fuse_mount *m)
{
	const struct request *r = request_here(m);

	return r != NULL && r->uses != NULL && r->uses->released;
}

bool
patience_wait(fuse_req_t req, struct patience *p, uint64_t most_ns,
    struct fiber_cond *woken)
{
	struct fuse_mount *m = mount_of(req);
	uint64_t now = sched_now(sched_current()), until;

	if (p->poll_ns == 0) {
		p->poll_ns = POLL_FIRST_NS;
		p->deadline_ns = !may_wait(m, request_here(m)) ? now :
		    most_ns > UINT64_MAX - now ? UINT64_MAX : now + most_ns;
	} else if (p->poll_ns < POLL_LAST_NS) {
		p->poll_ns *= 2;
	}
	/* While the reader waits nobody reads what it waits for. */
	if (now >= p->deadline_ns || m->stopping || fiber_self() == m->reading ||
	    fuse_req_interrupted(req) || is_over(m))
		return false;
	until = now + p->poll_ns < p->deadline_ns ? now + p->poll_ns :
	    p->deadline_ns;
	if (woken == NULL)
		fiber_sleep(until - now);
	else
		(void)fiber_cond_wait_until(woken, until);
	return true;
}

bool
patience_left(fuse_req_t req, struct patience *p, int rc)
{
	return rc == -VMFS_ELOCKED && patience_wait(req, p, RELEASE_NS, NULL);
}

bool
patience_left_long(fuse_req_t req, struct patience *p, int rc)
{
	return rc == -VMFS_ELOCKED && patience_wait(req, p, HANDOVER_NS, NULL);
}
