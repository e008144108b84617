/* SPDX-License-Identifier: BSD-2-Clause */
/* One fiber a queue takes requests; whoever ends one pushes it. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "vhost/impl.h"

static void
close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

/* ---- requests ---- */

static struct vreq *
request_get(struct vqueue *q)
{
	struct vreq *rq = q->free;

	if (rq != NULL) {
		q->free = rq->next_free;
		return rq;
	}
	rq = malloc(sizeof(*rq));
	if (rq != NULL) {
		rq->q = q;
		rq->again = (struct sched_timer){ 0 };
	}
	return rq;
}

static void
request_put(struct vreq *rq)
{
	rq->next_free = rq->q->free;
	rq->q->free = rq;
}

static void
signal_guest(void *arg)
{
	struct vqueue *q = arg;

	q->signal_posted = false;
	if (q->call >= 0 && ring_must_signal(&q->ring))
		event_signal(q->call);
	if (q->busy == 0)
		fiber_cond_broadcast(&q->changed);
}

/* All that end in one turn of the reactor are told at once. */
static void
signal_soon(struct vqueue *q)
{
	if (q->signal_posted)
		return;
	q->signal_posted = true;
	sched_post(sched_current(), &q->signal);
}

void
queue_done(struct vreq *rq, uint8_t status)
{
	struct vqueue *q = rq->q;

	*rq->status = status;
	vhost_mem_dirty_at(&q->s->mem, rq->status, 1);
	ring_push(&q->ring, rq->chain.head, status == 0 ? rq->written : 1);
	q->busy--;
	q->s->e->stats.errors += status != 0;
	request_put(rq);
	signal_soon(q);
}

/* ---- its fiber ---- */

static void
broke(struct vqueue *q)
{
	struct vhost_export *e = q->s->e;

	q->broken = true;
	log_error(e->conf.log, "vhost: the guest's driver has broken queue "
	    "%u, which stops; reset the guest disk=%s",
	    (unsigned)(q - q->s->q), e->name);
	if (q->err >= 0)
		event_signal(q->err);
}

/* Takes all that is there; false: no more from this queue. */
static bool
take_requests(struct vqueue *q)
{
	int error = 0;

	while (!q->stopping && !q->broken) {
		struct vreq *rq = request_get(q);

		if (rq == NULL) {
			/* What is under way will give memory back. */
			fiber_sleep(10 * (uint64_t)1000000);
			continue;
		}
		if (!ring_pop(&q->ring, &rq->chain, &error)) {
			request_put(rq);
			break;
		}
		q->busy++;
		blk_begin(rq);
	}
	if (error != 0 && !q->broken)
		broke(q);
	return !q->stopping && !q->broken;
}

static void
queue_fiber(void *arg)
{
	struct vqueue *q = arg;

	while (take_requests(q)) {
		if (ring_listen(&q->ring, true))
			continue;
		if (event_wait(q->kick) < 0)
			break;
		(void)ring_listen(&q->ring, false);
	}
	q->looping = false;
	fiber_cond_broadcast(&q->changed);
}

/* ---- life ---- */

void
queue_init(struct vqueue *q, struct vsession *s)
{
	*q = (struct vqueue){
		.s = s, .kick = -1, .call = -1, .err = -1,
		.ring.mem = &s->mem,
		.signal = { .fn = signal_guest, .arg = q },
	};
	fiber_cond_init(&q->changed);
}

/* Its part of the region that outlives us. */
static struct vhost_inflight_queue *
inflight_of(const struct vqueue *q)
{
	const struct vsession *s = q->s;
	size_t index = (size_t)(q - s->q);
	size_t each;

	if (s->inflight == NULL || index >= s->inflight_of.queues)
		return NULL;
	each = s->inflight_of.size / s->inflight_of.queues;
	return (void *)((uint8_t *)s->inflight + s->inflight_of.offset +
	    index * each);
}

static void
own(struct vhost_export *e)
{
	int rc;

	if (e->running++ > 0 || e->owned || e->conf.own == NULL)
		return;
	rc = e->conf.own(e->conf.arg, &e->disk);
	e->owned = rc == 0;
	if (rc < 0)
		log_error(e->conf.log, "vhost: the guest runs, but its writes "
		    "fail disk=%s: %s", e->name, vmfs_strerror(rc));
}

static void
disown(struct vsession *s)
{
	struct vhost_export *e = s->e;

	if (--e->running > 0)
		return;
	if (disk_flush(e->disk) == 0)
		session_stopped(s);
	else
		log_error(e->conf.log, "vhost: flush failed disk=%s",
		    e->name);
	if (!e->owned)
		return;
	e->owned = false;
	if (e->conf.disown != NULL)
		e->conf.disown(e->conf.arg, &e->disk);
}

static bool
ready(const struct vqueue *q)
{
	return q->mapped && q->kick >= 0 && !q->started && !q->broken &&
	    (q->enabled ||
	    !(q->s->features & 1ull << VHOST_USER_F_PROTOCOL_FEATURES));
}

int
queue_start(struct vqueue *q)
{
	struct ring *r = &q->ring;
	int rc;

	if (!ready(q))
		return 0;
	r->event_idx = q->s->features >> VIRTIO_RING_F_EVENT_IDX & 1;
	r->indirect = q->s->features >> VIRTIO_RING_F_INDIRECT_DESC & 1;
	r->inflight = inflight_of(q);
	rc = ring_map(r, &q->addr);
	if (rc == 0)
		rc = ring_start(r, q->base);
	if (rc < 0)
		return rc;
	if (q->s->e->running == 0 && !q->s->seasoned)
		session_anew(q->s);
	own(q->s->e);
	q->stopping = false;
	rc = sched_spawn(sched_current(), "vhost-queue", queue_fiber, q);
	q->started = q->looping = rc == 0;
	if (rc < 0)
		disown(q->s);
	return rc;
}

void
queue_stop(struct vqueue *q)
{
	if (!q->started)
		return;
	q->stopping = true;
	event_signal(q->kick);
	while (q->looping || q->busy > 0 || q->signal_posted)
		fiber_cond_wait(&q->changed);
	q->started = false;
	q->base = q->ring.next_avail;
	disown(q->s);
}

void
queue_fini(struct vqueue *q)
{
	queue_stop(q);
	close_fd(&q->kick);
	close_fd(&q->call);
	close_fd(&q->err);
	while (q->free != NULL) {
		struct vreq *rq = q->free;

		q->free = rq->next_free;
		free(rq);
	}
}
