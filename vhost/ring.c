/* SPDX-License-Identifier: BSD-2-Clause */
/* Split virtqueues, see ring.h. */
#include <stdlib.h>
#include <string.h>

#include "vhost/ring.h"

/* What both sides change is read and written once, in this order. */
#define LOAD(p) __atomic_load_n(p, __ATOMIC_ACQUIRE)
#define STORE(p, v) __atomic_store_n(p, v, __ATOMIC_RELEASE)

static size_t
avail_bytes(const struct ring *r)
{
	return sizeof(*r->avail) + (r->size + 1) * sizeof(r->avail->ring[0]);
}

static size_t
used_bytes(const struct ring *r)
{
	return sizeof(*r->used) + r->size * sizeof(r->used->ring[0]) +
	    sizeof(uint16_t);
}

/* Behind the rings of the other side: when it wants to hear of us. */
static uint16_t *
used_event(const struct ring *r)
{
	return &r->avail->ring[r->size];
}

static uint16_t *
avail_event(const struct ring *r)
{
	return (uint16_t *)(void *)((uint8_t *)r->used + used_bytes(r) -
	    sizeof(uint16_t));
}

int
ring_map(struct ring *r, const struct vhost_addr *a)
{
	void *desc, *avail, *used;

	if (r->size == 0)
		return -EINVAL;
	if (a->desc % 16 != 0 || a->avail % 2 != 0 || a->used % 4 != 0)
		return -EFAULT;
	desc = vhost_mem_user(r->mem, a->desc, r->size * sizeof(*r->desc));
	avail = vhost_mem_user(r->mem, a->avail, avail_bytes(r));
	used = vhost_mem_user(r->mem, a->used, used_bytes(r));
	/* A ring that runs keeps what it has. */
	if (desc == NULL || avail == NULL || used == NULL)
		return -EFAULT;
	r->desc = desc;
	r->avail = avail;
	r->used = used;
	r->used_guest = a->log;
	r->log_used = (a->flags & VHOST_VRING_F_LOG) != 0;
	return 0;
}

static void
used_written(const struct ring *r, const void *p, size_t len)
{
	if (r->log_used)
		vhost_mem_dirty(r->mem, r->used_guest +
		    (uint64_t)((const uint8_t *)p - (const uint8_t *)r->used),
		    len);
}

/* ---- what a predecessor left ---- */

struct left {
	uint64_t counter;
	uint16_t head;
};

static int
older(const void *a, const void *b)
{
	uint64_t x = ((const struct left *)a)->counter;
	uint64_t y = ((const struct left *)b)->counter;

	return (x > y) - (x < y);
}

/* Between the used ring's index and its own note it was killed, maybe before it
 * had logged the index. */
static void
finish_last_push(struct ring *r, uint16_t last)
{
	struct vhost_inflight_queue *q = r->inflight;

	if (q->used_idx == r->used->idx)
		return;
	used_written(r, &r->used->idx, sizeof(r->used->idx));
	q->desc[last].inflight = 0;
	q->used_idx = r->used->idx;
}

static int
resume(struct ring *r)
{
	struct vhost_inflight_queue *q = r->inflight;
	struct left left[RING_SIZE_MAX];
	unsigned n = 0;
	uint16_t last;

	if (q->version == 0) {
		q->version = 1;
		q->desc_num = (uint16_t)r->size;
		q->used_idx = r->used->idx;
	}
	/* Once: the front end may change it, or a log that lies there. */
	last = LOAD(&q->last_batch_head);
	if (q->version != 1 || q->desc_num != r->size || last >= r->size)
		return -EPROTO;
	finish_last_push(r, last);
	for (unsigned i = 0; i < r->size; i++) {
		if (!q->desc[i].inflight)
			continue;
		left[n++] = (struct left){ q->desc[i].counter, (uint16_t)i };
		if (q->desc[i].counter >= r->counter)
			r->counter = q->desc[i].counter + 1;
	}
	qsort(left, n, sizeof(left[0]), older);
	for (unsigned i = 0; i < n; i++)
		r->resume[i] = left[i].head;
	r->resume_next = 0;
	r->resume_count = n;
	r->next_avail = (uint16_t)(r->used->idx + n);
	return 0;
}

int
ring_start(struct ring *r, uint16_t base)
{
	r->next_avail = base;
	r->next_used = r->used->idx;
	r->signalled_valid = false;
	return r->inflight != NULL ? resume(r) : 0;
}

bool
ring_is_new(const struct ring *r)
{
	const struct vring_used_elem *first = &r->used->ring[0];

	return r->used->idx == 0 && first->id == 0 && first->len == 0;
}

/* ---- chains ---- */

/* One descriptor may lie in several regions. */
static bool
chain_add(const struct ring *r, struct chain *c, const struct vring_desc *d)
{
	uint64_t at = d->addr, left = d->len, n;
	bool in = (d->flags & VRING_DESC_F_WRITE) != 0;

	if (!in && c->ins > 0)
		return false;
	for (; left > 0; at += n, left -= n) {
		void *p = vhost_mem_at(r->mem, at, left, &n);

		if (p == NULL || c->outs + c->ins == CHAIN_IOV_MAX)
			return false;
		c->iov[c->outs + c->ins] = (struct iovec){ p, n };
		if (in)
			c->ins++;
		else
			c->outs++;
	}
	return true;
}

struct table {
	const struct vring_desc *desc;
	unsigned size;
};

static bool
chain_walk(const struct ring *r, struct chain *c, struct table t,
    unsigned at, struct vring_desc *ret_indirect)
{
	/* Not more steps than entries: a chain must not be a circle. */
	for (unsigned steps = 0; steps < t.size && at < t.size; steps++) {
		struct vring_desc d = t.desc[at];

		if (d.flags & VRING_DESC_F_INDIRECT) {
			*ret_indirect = d;
			return ret_indirect->len > 0 &&
			    !(d.flags & VRING_DESC_F_NEXT);
		}
		if (!chain_add(r, c, &d))
			return false;
		if (!(d.flags & VRING_DESC_F_NEXT))
			return true;
		at = d.next;
	}
	return false;
}

static bool
chain_read(const struct ring *r, struct chain *c)
{
	struct vring_desc indirect = { 0 }, again = { 0 };
	struct table t = { r->desc, r->size };
	uint64_t len;

	c->outs = c->ins = 0;
	if (!chain_walk(r, c, t, c->head, &indirect))
		return false;
	if (indirect.len == 0)
		return true;
	if (!r->indirect || indirect.len % sizeof(*t.desc) != 0 ||
	    indirect.len / sizeof(*t.desc) > RING_SIZE_MAX)
		return false;
	t.desc = vhost_mem_at(r->mem, indirect.addr, indirect.len, &len);
	t.size = (unsigned)(indirect.len / sizeof(*t.desc));
	return t.desc != NULL && len == indirect.len &&
	    chain_walk(r, c, t, 0, &again) && again.len == 0;
}

static void
note_popped(struct ring *r, uint16_t head)
{
	if (r->inflight == NULL)
		return;
	r->inflight->desc[head].counter = r->counter++;
	STORE(&r->inflight->desc[head].inflight, (uint8_t)1);
}

bool
ring_resumes(const struct ring *r)
{
	return r->resume_next != r->resume_count;
}

void
ring_put_back(struct ring *r, uint16_t head)
{
	r->resume[r->resume_count++ % RING_SIZE_MAX] = head;
}

void
ring_forget(struct ring *r)
{
	r->resume_next = r->resume_count;
}

/* False: there is none, or *ret_error. */
static bool
next_head(struct ring *r, uint16_t *ret_head, int *ret_error)
{
	uint16_t waiting;

	if (ring_resumes(r)) {
		*ret_head = r->resume[r->resume_next++ % RING_SIZE_MAX];
		return true;
	}
	waiting = (uint16_t)(LOAD(&r->avail->idx) - r->next_avail);
	if (waiting == 0)
		return false;
	*ret_head = LOAD(&r->avail->ring[r->next_avail % r->size]);
	if (waiting > r->size || *ret_head >= r->size) {
		*ret_error = -EPROTO;
		return false;
	}
	r->next_avail++;
	note_popped(r, *ret_head);
	return true;
}

bool
ring_waits(const struct ring *r)
{
	return ring_resumes(r) ||
	    LOAD(&r->avail->idx) != r->next_avail;
}

bool
ring_pop(struct ring *r, struct chain *c, int *ret_error)
{
	*ret_error = 0;
	if (!next_head(r, &c->head, ret_error))
		return false;
	if (!chain_read(r, c))
		*ret_error = -EPROTO;
	return *ret_error == 0;
}

static void
note_pushing(struct ring *r, uint16_t head)
{
	if (r->inflight == NULL)
		return;
	r->inflight->desc[head].next = r->inflight->last_batch_head;
	STORE(&r->inflight->last_batch_head, head);
}

static void
note_pushed(struct ring *r, uint16_t head)
{
	if (r->inflight == NULL)
		return;
	STORE(&r->inflight->desc[head].inflight, (uint8_t)0);
	STORE(&r->inflight->used_idx, r->next_used);
}

void
ring_push(struct ring *r, uint16_t head, uint32_t written)
{
	struct vring_used_elem *e = &r->used->ring[r->next_used % r->size];

	note_pushing(r, head);
	*e = (struct vring_used_elem){ .id = head, .len = written };
	used_written(r, e, sizeof(*e));
	r->next_used++;
	STORE(&r->used->idx, r->next_used);
	used_written(r, &r->used->idx, sizeof(r->used->idx));
	note_pushed(r, head);
}

bool
ring_must_signal(struct ring *r)
{
	uint16_t old = r->signalled;
	bool known = r->signalled_valid;

	/* Between our index and a look at what the driver wants. */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (!r->event_idx)
		return !(LOAD(&r->avail->flags) & VRING_AVAIL_F_NO_INTERRUPT);
	r->signalled = r->next_used;
	r->signalled_valid = true;
	return !known || vring_need_event(LOAD(used_event(r)), r->next_used,
	    old);
}

bool
ring_listen(struct ring *r, bool on)
{
	if (r->event_idx) {
		if (on) {
			STORE(avail_event(r), r->next_avail);
			used_written(r, avail_event(r), sizeof(uint16_t));
		}
	} else {
		STORE(&r->used->flags,
		    (uint16_t)(on ? 0 : VRING_USED_F_NO_NOTIFY));
		used_written(r, &r->used->flags, sizeof(uint16_t));
	}
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	return LOAD(&r->avail->idx) != r->next_avail;
}
