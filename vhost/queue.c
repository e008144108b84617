/* SPDX-License-Identifier: BSD-2-Clause */
/* One fiber a queue takes requests; whoever ends one pushes it. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "libvmfs/base/units.h"
#include "vhost/impl.h"

/* Bytes that the guest has sent or wants, of all queues. */
#define UNDER_WAY_MAX ((uint64_t)64 << 20)

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
		rq->waits = false;
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
	if (q->call != NULL && ring_must_signal(&q->ring))
		bell_ring(q->call);
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

static void
request_ended(struct vqueue *q)
{
	q->watch.watch.working = --q->busy > 0;
}

void
queue_drop(struct vreq *rq)
{
	struct vqueue *q = rq->q;

	ring_put_back(&q->ring, rq->chain.head);
	request_ended(q);
	request_put(rq);
	signal_soon(q);
}

void
queue_done(struct vreq *rq, uint8_t status)
{
	struct vqueue *q = rq->q;

	*rq->status = status;
	vhost_mem_dirty_at(&q->s->mem, rq->status, 1);
	ring_push(&q->ring, rq->chain.head, status == 0 ? rq->written : 1);
	request_ended(q);
	if (status != 0)
		tell_add(&q->s->e->stats.errors, 1);
	request_put(rq);
	signal_soon(q);
}

/* ---- its fiber ---- */

static void
broke(struct vqueue *q, const char *why)
{
	struct vhost_export *e = q->s->e;

	q->broken = true;
	log_error(e->conf.log, "vhost: queue %u stops: %s; reset the guest "
	    "disk=%s", (unsigned)(q - q->s->q), why, e->name);
	if (q->err != NULL)
		bell_ring(q->err);
}

/* Others on this scheduler get their turn, what is under way its memory. */
static void
make_room(struct vqueue *q, unsigned taken)
{
	struct vhost_export *e = q->s->e;

	if (taken % q->ring.size == 0)
		fiber_yield();
	while (e->under_way > UNDER_WAY_MAX && !q->stopping)
		fiber_cond_wait(&e->room);
}

/* What was put back is done before it ends, unless it may be so again. */
static bool
over(const struct vqueue *q)
{
	return q->broken || (q->stopping &&
	    (q->dropping || !ring_resumes(&q->ring)));
}

/* Takes all that is there; false: no more from this queue. */
static bool
take_requests(struct vqueue *q)
{
	unsigned taken = 0;
	int error = 0;

	for (;;) {
		struct vreq *rq;

		make_room(q, ++taken);
		if (over(q))
			break;
		rq = request_get(q);
		if (rq == NULL) {
			fiber_sleep(10 * NSEC_PER_MSEC);
			continue;
		}
		/* More than the ring holds: some were offered twice. */
		if (q->busy >= q->ring.size && ring_waits(&q->ring)) {
			request_put(rq);
			error = -EPROTO;
			break;
		}
		if (!ring_pop(&q->ring, &rq->chain, &error)) {
			request_put(rq);
			break;
		}
		q->busy++;
		q->watch.watch.working = true;
		blk_begin(rq);
	}
	if (error != 0 && !q->broken)
		broke(q, "its driver has broken it");
	return !q->stopping && !q->broken;
}

static bool
requests_wait(void *arg)
{
	const struct vqueue *q = arg;

	return ring_waits(&q->ring);
}

static bool
kicks_wanted(void *arg, bool on)
{
	struct vqueue *q = arg;

	return ring_listen(&q->ring, on);
}

static void
queue_fiber(void *arg)
{
	struct vqueue *q = arg;
	int rc;

	(void)ring_listen(&q->ring, false);
	while (take_requests(q)) {
		rc = event_watch_wait(&q->watch);
		if (rc < 0) {
			broke(q, vmfs_strerror(rc));
			break;
		}
	}
	event_watch_end(&q->watch);
	q->looping = false;
	fiber_cond_broadcast(&q->changed);
}

/* ---- life ---- */

void
queue_init(struct vqueue *q, struct vsession *s)
{
	*q = (struct vqueue){
		.s = s, .kick = -1, .ring.mem = &s->mem,
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
running(struct vhost_export *e, int change)
{
	e->running += (unsigned)change;
	__atomic_store_n(&e->stats.running, e->running > 0, __ATOMIC_RELAXED);
}

static void
own(struct vhost_export *e)
{
	uint64_t size;
	int rc;

	running(e, 1);
	if (e->running > 1 || e->owned || e->conf.own == NULL)
		return;
	size = e->disk->info.size_bytes;
	rc = e->conf.own(e->conf.arg, &e->disk);
	e->owned = rc == 0;
	if (rc == 0 && e->disk->info.size_bytes != size &&
	    e->session != NULL)
		session_config_changed(e->session);
	if (rc < 0)
		log_error(e->conf.log, "vhost: the guest runs, but its writes "
		    "fail disk=%s: %s", e->name, vmfs_strerror(rc));
}

static void
disown(struct vsession *s)
{
	struct vhost_export *e = s->e;

	running(e, -1);
	if (e->running > 0)
		return;
	if (disk_flush(e->disk) == 0) {
		session_stopped(s);
	} else {
		session_lost(s);
		log_error(e->conf.log, "vhost: flush failed disk=%s",
		    e->name);
	}
	while (e->looked_at > 0)
		fiber_cond_wait(&e->changed);
	if (!e->owned)
		return;
	e->owned = false;
	if (e->conf.disown != NULL)
		e->conf.disown(e->conf.arg, &e->disk);
}

static void
uncount(struct vqueue *q)
{
	if (!q->counted)
		return;
	q->counted = false;
	disown(q->s);
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
	/* The guest says how long its ring is, the front end the region. */
	if (r->inflight != NULL && r->size > q->s->inflight_of.queue_size)
		return -EPROTO;
	rc = ring_map(r, &q->addr);
	if (rc == 0)
		rc = ring_start(r, q->base);
	if (rc < 0)
		return rc;
	if (q->s->e->running == 0 && !q->s->seasoned && ring_is_new(r))
		session_anew(q->s);
	if (!q->counted)
		own(q->s->e);
	q->counted = true;
	q->stopping = false;
	q->watch = (struct event_watch){
		.fd = q->kick, .look = requests_wait, .listen = kicks_wanted,
		.arg = q,
	};
	rc = sched_spawn(sched_current(), "vhost-queue", queue_fiber, q);
	q->started = q->looping = rc == 0;
	if (rc < 0)
		uncount(q);
	/* Of what a predecessor did and could not tell. */
	else if (q->call != NULL)
		bell_ring(q->call);
	return rc;
}

static void
halt(struct vqueue *q, bool dropping)
{
	if (!q->started)
		return;
	q->dropping = dropping;
	q->stopping = true;
	fiber_cond_broadcast(&q->s->e->room);
	event_watch_wake(&q->watch);
	while (q->looping)
		fiber_cond_wait(&q->changed);
	while (q->busy > 0 || q->signal_posted)
		fiber_cond_wait(&q->changed);
	q->started = false;
	q->base = q->ring.next_avail;
}

void
queue_pause(struct vqueue *q)
{
	halt(q, true);
}

void
queue_stop(struct vqueue *q, bool for_good)
{
	halt(q, !for_good && q->ring.inflight != NULL);
	/* It paused without its memory: nothing can be said of them. */
	ring_forget(&q->ring);
	uncount(q);
}

void
queue_fini(struct vqueue *q)
{
	queue_stop(q, false);
	if (q->kick >= 0)
		close(q->kick);
	bell_free(q->call);
	bell_free(q->err);
	q->kick = -1;
	q->call = q->err = NULL;
	while (q->free != NULL) {
		struct vreq *rq = q->free;

		q->free = rq->next_free;
		free(rq);
	}
}

void
queue_reset(struct vqueue *q)
{
	struct vhost_inflight_queue *left = inflight_of(q);
	struct vsession *s = q->s;

	queue_fini(q);
	if (left != NULL) {
		/* Not `features`: what is not flushed is the disk's. */
		left->version = left->last_batch_head = 0;
		memset(left->desc, 0, s->inflight_of.queue_size *
		    sizeof(left->desc[0]));
	}
	queue_init(q, s);
}
