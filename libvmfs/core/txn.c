/* SPDX-License-Identifier: BSD-2-Clause */
/* The running transaction, group commit, unlocking. */
#include <stdlib.h>

#include "libvmfs/core/ds_priv.h"

/* What allocation dirties on top of what a caller counts. */
#define HANDLE_EXTRA 4u

/* Blocks that handles together may promise, so that one commit holds them
 * with their record headers. */
static unsigned
txn_capacity(const struct ds *ds)
{
	return journal_max_commit(&ds->journal) * 9 / 10;
}

int
txn_begin(struct ds *ds, unsigned blocks, struct txn **ret_t)
{
	struct txn *t = &ds->txn;
	int r;

	if (ds->conf.readonly)
		return -EROFS;
	if (blocks + HANDLE_EXTRA > txn_capacity(ds))
		return -VMFS_ELIMIT;
	while (ds->health == 0 && (ds->closing || ds->soft_wanted ||
	    t->reserved + blocks + HANDLE_EXTRA > txn_capacity(ds))) {
		if (ds->closing || ds->soft_wanted || ds->committing) {
			fiber_cond_wait(&ds->changed);
			continue;
		}
		r = txn_commit(ds, CKPT_NONE);
		if (r < 0)
			return r;
	}
	if (ds->health < 0)
		return ds->health;
	t->handles++;
	t->reserved += blocks + HANDLE_EXTRA;
	*ret_t = t;
	return 0;
}

void
txn_end(struct txn *t)
{
	if (--t->handles > 0)
		return;
	/* What was promised and not used is there for others again. */
	t->reserved = t->n_dirty;
	if (t->ds->soft_wanted) {
		soft_append(t->ds);
		fiber_cond_broadcast(&t->ds->changed);
	}
	if (t->ds->closing)
		fiber_cond_broadcast(&t->ds->changed);
}

/* ---- one commit ---- */

struct commit {
	struct journal_commit c;
	uint8_t *buf;
	uint32_t blocks;
	uint64_t id;
	uint64_t owner;		/* of the checkpoint to take, or CKPT_NONE */
};

/*
 * With everything quiet: is there room, and must the commit carry a
 * checkpoint so that there will be room for the next one?
 */
static int
commit_fits(struct ds *ds, struct commit *k)
{
	bool needs;

	if (k->blocks > 0 && !journal_fits_after(&ds->journal, k->blocks))
		while (ds->ckpt.taken)
			ckpt_finish(ds);
	if (ds->health < 0)
		return ds->health;
	if (k->blocks > 0 && !journal_fits(&ds->journal, k->blocks))
		return -VMFS_ELIMIT;
	needs = k->blocks > 0 &&
	    !journal_fits_after(&ds->journal, k->blocks);
	if (needs && k->owner != 0) {
		while (ds->ckpt.taken)
			ckpt_finish(ds);
		k->owner = 0;
	}
	return ds->health;
}

static int
commit_reserve(struct ds *ds, struct commit *k)
{
	size_t size = log_size(ds);
	int r;

	k->blocks = (uint32_t)((size + BLOCK_SIZE - 1) / BLOCK_SIZE);
	r = commit_fits(ds, k);
	if (r == -VMFS_ELIMIT)
		ds_fail(ds, r, ds->lacks_extents ? "journal full of changes "
		    "for a LUN that is missing" :
		    "transaction larger than the journal");
	if (r < 0)
		return r;
	if (k->blocks > 0) {
		k->buf = disk_buf_alloc((size_t)k->blocks * BLOCK_SIZE);
		if (k->buf == NULL)
			return -ENOMEM;
	}
	return k->owner == CKPT_NONE ? 0 : ckpt_reserve(ds, k->owner);
}

/* Nothing here suspends or fails: one state is copied. */
static void
commit_copy(struct ds *ds, struct commit *k)
{
	soft_switch(ds);
	k->id = ds->txn.id++;
	ds->txn.reserved = 0;
	if (k->blocks > 0)
		k->c.lsn = ++ds->conf.locks->lsn;
	log_build(ds, k->buf, &k->c);
	lease_commit_begins(ds);
	if (k->owner != CKPT_NONE)
		ckpt_take(ds, k->owner, k->id);
}

static int
commit_write(struct ds *ds, struct commit *k)
{
	int r;

	/* The data that the commit's map entries point to. */
	r = disk_flush(ds->conf.disk);
	if (r == 0 && ds->health < 0)
		r = ds->health;
	if (r == 0 && k->blocks > 0)
		r = journal_append(ds, k->buf, &k->c);
	return r;
}

static int
commit_run(struct ds *ds, struct commit *k)
{
	int r;

	ds->closing = true;
	while (ds->txn.handles > 0 && ds->health == 0)
		fiber_cond_wait(&ds->changed);
	r = ds->health;
	if (r == 0)
		r = commit_reserve(ds, k);
	if (r == 0)
		commit_copy(ds, k);
	ds->closing = false;
	fiber_cond_broadcast(&ds->changed);
	if (r < 0)
		return r;
	r = commit_write(ds, k);
	if (r < 0) {
		ds_fail(ds, r, "journal");
		return ds->health;
	}
	ds->durable_id = k->id;
	soft_durable(ds, k->blocks > 0 ? k->c.lsn : 0);
	if (k->owner != CKPT_NONE)
		ckpt_arm(ds);
	return 0;
}

int
txn_commit(struct ds *ds, uint64_t owner)
{
	struct commit k = { .owner = owner };
	int r;

	ds->committing = true;
	r = commit_run(ds, &k);
	free(k.buf);
	ds->committing = false;
	/* The housekeeper writes a checkpoint that nobody asked for, or makes
	 * one in time, before commits have to wait for room. */
	ds->wants_checkpoint = r == 0 && k.owner == CKPT_NONE &&
	    journal_half_full(&ds->journal);
	if (ds->wants_checkpoint || (r == 0 && k.owner != owner))
		fiber_cond_signal(&ds->keeper_wake);
	fiber_cond_broadcast(&ds->changed);
	return r;
}

int
ds_commit(struct ds *ds)
{
	uint64_t id = ds->txn.id;
	int r = 0;

	if (ds->conf.readonly)
		return 0;
	while (r == 0 && ds->health == 0 && ds->durable_id < id) {
		if (ds->committing)
			fiber_cond_wait(&ds->changed);
		else
			r = txn_commit(ds, CKPT_NONE);
	}
	return ds->durable_id >= id ? 0 : r < 0 ? r : ds->health;
}

int
ds_checkpoint(struct ds *ds, uint64_t owner)
{
	uint64_t id;
	int r;

	if (ds->conf.readonly)
		return 0;
	while (ds->health == 0 && (ds->committing || ds->ckpt.taken)) {
		if (ds->ckpt.taken)
			ckpt_finish(ds);
		else
			fiber_cond_wait(&ds->changed);
	}
	if (ds->health < 0)
		return ds->health;
	id = ds->txn.id;
	r = txn_commit(ds, owner);
	while (r == 0 && ds->health == 0 && ds->ckpt.taken &&
	    ds->ckpt.txn_id == id)
		ckpt_finish(ds);
	return r < 0 ? r : ds->health;
}

bool
owner_is_clean(struct ds *ds, uint64_t owner)
{
	list_for_each(node, tmp, cache_owner_bucket(ds, owner)) {
		struct mb *mb = list_entry(node, struct mb, owned);

		if (mb->pub.owner == owner && (mb->dirty != 0 || mb->logged))
			return false;
	}
	for (size_t i = 0; ds->ckpt.taken && i < ds->ckpt.count; i++)
		if (ds->ckpt.shadows[i].hdr.owner == owner)
			return false;
	return true;
}

bool
ds_owner_has_lost(struct ds *ds, uint64_t owner)
{
	list_for_each(node, tmp, cache_owner_bucket(ds, owner)) {
		struct mb *mb = list_entry(node, struct mb, owned);

		if (mb->pub.owner == owner && mb->logged &&
		    !ds_extent_is_here(ds, mb->pub.addr /
		    ds->super.cluster_blocks))
			return true;
	}
	return false;
}

static int
owner_settle(struct ds *ds, uint64_t owner)
{
	int r = ds->health;

	/* Again when something was changed while the checkpoint was written:
	 * nothing that the lock covers may be known only here. */
	while (r == 0 && !ds->conf.readonly && !owner_is_clean(ds, owner)) {
		r = ds_checkpoint(ds, owner);
		if (r == 0 && ds_owner_has_lost(ds, owner)) {
			r = -VMFS_EEXTENT;
			ds_fail(ds, r, "metadata on a LUN that is missing");
		}
	}
	/* Without memory, say: who lets go now forgets what the journal has, so
	 * that nobody may write a checkpoint past it. */
	if (r < 0)
		ds_fail(ds, r, "lock given back");
	return r;
}

int
ds_unlock(struct ds *ds, struct lock_grant *g)
{
	uint64_t owner = g->addr;
	int r;

	if (g->mode == LOCK_FREE)
		return 0;
	r = owner_settle(ds, owner);
	mb_forget(ds, owner);
	if (r < 0) {
		/* Its journal has what recovery needs; keep it locked. */
		*g = (struct lock_grant) { 0 };
		return r;
	}
	return ds->conf.locks->vt->release(ds->conf.locks, g);
}

int
ds_weaken(struct ds *ds, struct lock_grant *g, enum lock_mode mode)
{
	struct lockops *l = ds->conf.locks;
	int r = owner_settle(ds, g->addr);

	if (r == 0)
		r = l->vt->acquire(l, g->addr, mode,
		    LOCK_NOWAIT | LOCK_CHANGE, 0, g, NULL);
	if (r != 0)
		*g = (struct lock_grant){ 0 };
	return r;
}
