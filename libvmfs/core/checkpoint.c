/* SPDX-License-Identifier: BSD-2-Clause */
/* Checkpoint: committed blocks go to their places, then the tail moves. */
#include <stdlib.h>
#include <string.h>

#include "libvmfs/core/ds_priv.h"

static bool
wanted(const struct mb *mb, uint64_t owner)
{
	return owner == 0 || mb->pub.owner == owner;
}

/* Every block that is logged, or will be by the commit being made. */
static size_t
count_wanted(struct ds *ds, uint64_t owner)
{
	size_t n = 0;

	list_for_each(node, tmp, &ds->logged)
		n += wanted(list_entry(node, struct mb, logged_link), owner);
	list_for_each(node, tmp, &ds->txn.dirty) {
		struct mb *mb = list_entry(node, struct mb, dirty_link);

		n += !mb->logged && wanted(mb, owner);
	}
	return n;
}

int
ckpt_reserve(struct ds *ds, uint64_t owner)
{
	size_t n = count_wanted(ds, owner);
	struct checkpoint *c = &ds->ckpt;

	c->shadows = calloc(n + 1, sizeof(*c->shadows));
	c->buf = disk_buf_alloc((n + 1) * BLOCK_SIZE);
	if (c->shadows == NULL || c->buf == NULL) {
		ckpt_drop(ds);
		return -ENOMEM;
	}
	return 0;
}

void
ckpt_drop(struct ds *ds)
{
	struct checkpoint *c = &ds->ckpt;

	for (size_t i = 0; i < c->count; i++)
		mb_put(&c->shadows[i].mb->pub);
	free(c->shadows);
	free(c->buf);
	*c = (struct checkpoint) { 0 };
}

static int
by_addr(const void *a, const void *b)
{
	const struct shadow *x = a, *y = b;

	return (x->hdr.addr > y->hdr.addr) - (x->hdr.addr < y->hdr.addr);
}

static void
take_one(struct ds *ds, struct mb *mb)
{
	struct checkpoint *c = &ds->ckpt;
	struct shadow *s = &c->shadows[c->count];

	s->mb = mb;
	s->hdr = (struct block_hdr) {
		.type = mb->pub.type,
		.addr = mb->pub.addr,
		.owner = mb->pub.owner,
		.lockver = mb->lockver,
		.lsn = mb->lsn,
	};
	s->data = c->buf + c->count++ * BLOCK_SIZE;
	memcpy(s->data, mb->pub.data, BLOCK_SIZE);
	mb->refs++;
	mb->image = true;
	mb->logged = false;
	list_del(&mb->logged_link);
	mb_settle(mb);
}

void
ckpt_take(struct ds *ds, uint64_t owner, uint64_t txn_id)
{
	struct checkpoint *c = &ds->ckpt;

	list_for_each(node, tmp, &ds->logged) {
		struct mb *mb = list_entry(node, struct mb, logged_link);

		if (wanted(mb, owner))
			take_one(ds, mb);
	}
	qsort(c->shadows, c->count, sizeof(*c->shadows), by_addr);
	c->all = owner == 0;
	if (c->all)
		lease_checkpoint_begins(ds);
	c->txn_id = txn_id;
	c->taken = true;
}

void
ckpt_arm(struct ds *ds)
{
	ds->ckpt.tail_pos = ds->journal.pos;
	ds->ckpt.tail_sequence = ds->journal.sequence;
	ds->ckpt.tail_crc = ds->journal.prev_crc;
	ds->ckpt.armed = true;
}

/*
 * Blocks of a LUN that is lost are not in their places, so the journal has to
 * keep them until it is back: only what lies there is harmed.  They stay
 * logged, and the tail where it is; before that fills the journal they are
 * committed once more, and when that is durable the tail moves to where this
 * checkpoint would have moved it.
 */
static bool
keep_lost(struct ds *ds)
{
	struct checkpoint *c = &ds->ckpt;
	bool again = c->all && !ds->closing && journal_half_full(&ds->journal);
	bool any = false;

	for (size_t i = 0; i < c->count; i++) {
		struct mb *mb = c->shadows[i].mb;

		any |= c->shadows[i].lost;
		if (!c->shadows[i].lost || mb->logged || !mb->in_hash)
			continue;
		if (again) {
			mb->image = true;
			ds->txn.reserved += list_empty(&mb->dirty_link);
			mb_dirty(&ds->txn, &mb->pub, 0, BLOCK_SIZE);
			continue;
		}
		mb->logged = true;
		list_add_tail(&ds->logged, &mb->logged_link);
		mb_settle(mb);
	}
	if (any && again)
		ds->lost_tail = (struct lost_tail) { ds->txn.id, c->tail_pos,
		    c->tail_sequence, c->tail_crc };
	return any;
}

/* All that the checkpoint has is in its place, or committed once more. */
static int
move_tail(struct ds *ds)
{
	struct checkpoint *c = &ds->ckpt;
	struct lost_tail t = ds->lost_tail;
	int r = 0;

	if (t.txn_id != 0 && ds->durable_id >= t.txn_id) {
		ds->lost_tail.txn_id = 0;
		r = journal_move_tail(ds, t.pos, t.sequence, t.crc);
	}
	if (keep_lost(ds))
		c->all = false;
	if (r == 0 && c->all)
		r = journal_move_tail(ds, c->tail_pos, c->tail_sequence,
		    c->tail_crc);
	return r;
}

static int
ckpt_write(struct ds *ds)
{
	struct checkpoint *c = &ds->ckpt;
	uint64_t losses = ds_losses(ds);
	int r;

	r = writeback_run(ds, c->shadows, c->count);
	if (r == 0 && c->count > 0)
		r = disk_flush(ds->conf.disk);
	for (size_t i = 0; i < c->count; i++)
		c->shadows[i].lost |= ds_block_lost_since(ds,
		    c->shadows[i].hdr.addr, losses);
	return r < 0 ? r : move_tail(ds);
}

void
ckpt_finish(struct ds *ds)
{
	struct checkpoint *c = &ds->ckpt;
	bool all = c->all;
	int r;

	if (c->running || !c->armed) {
		fiber_cond_wait(&ds->changed);
		return;
	}
	c->running = true;
	r = ds->health < 0 ? ds->health : ckpt_write(ds);
	if (r < 0)
		ds_fail(ds, r, "checkpoint");
	/* A LUN that is lost keeps no space of the others. */
	if (r == 0 && all)
		lease_settled(ds);
	if (r == 0 && c->all)
		lease_checkpoint_done(ds, c->txn_id);
	ckpt_drop(ds);
	fiber_cond_broadcast(&ds->changed);
}
