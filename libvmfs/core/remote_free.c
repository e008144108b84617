/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Frees in clusters that other hosts lease wait in blocks chained from our
 * slot info, newest block first, until we can lease the cluster ourselves.
 */
#include "libvmfs/core/ds_priv.h"

static struct slot_info_disk *
slot_info(struct ds *ds)
{
	return (void *)(ds->slot_block->data + LOCK_RECORD_SIZE);
}

static uint64_t
first_block(struct ds *ds)
{
	return le64_get(slot_info(ds)->remote_free);
}

static void
set_first_block(struct txn *t, uint64_t block)
{
	slot_info(t->ds)->remote_free = le64(block);
	mb_dirty(t, t->ds->slot_block, LOCK_RECORD_SIZE +
	    offsetof(struct slot_info_disk, remote_free), 8);
}

static int
log_read(struct ds *ds, uint64_t block, struct mblk **ret_b)
{
	int r;

	r = mb_read(ds, &ds->slot_grant, block, BLOCK_REMOTE_FREE, ret_b);
	if (r < 0)
		return r;
	r = remote_free_check((*ret_b)->data);
	if (r < 0)
		mb_put(*ret_b);
	return r;
}

static uint32_t
log_count(const struct mblk *b)
{
	return le32_get(((const struct remote_free_disk *)
	    (const void *)b->data)->count);
}

static void
log_put(struct txn *t, struct mblk *b, uint32_t i, const struct remote_free *f)
{
	remote_free_put(b->data, i, f);
	mb_dirty(t, b, offsetof(struct remote_free_disk, entry) +
	    i * sizeof(struct remote_free_entry_disk),
	    sizeof(struct remote_free_entry_disk));
}

static void
log_set_count(struct txn *t, struct mblk *b, uint32_t count)
{
	struct remote_free_disk *d = (void *)b->data;

	d->count = le32(count);
	mb_dirty(t, b, offsetof(struct remote_free_disk, count), 4);
}

/* A block with room for one more. */
static int
log_room(struct txn *t, struct mblk **ret_b)
{
	struct ds *ds = t->ds;
	uint64_t first, block;
	struct mblk *b;
	int r;

	if (first_block(ds) != 0) {
		r = log_read(ds, first_block(ds), &b);
		if (r < 0)
			return r;
		if (log_count(b) < REMOTE_FREE_ENTRIES) {
			*ret_b = b;
			return 0;
		}
		mb_put(b);
	}
	r = alloc_meta(t, 0, BLOCK_REMOTE_FREE, &block);
	if (r == 0)
		r = mb_new(t, &ds->slot_grant, block, BLOCK_REMOTE_FREE, &b);
	if (r < 0)
		return r;
	first = first_block(ds);
	((struct remote_free_disk *)(void *)b->data)->next = le64(first);
	set_first_block(t, block);
	*ret_b = b;
	return 0;
}

int
remote_free_add(struct txn *t, const struct remote_free *f)
{
	struct mblk *b;
	uint32_t n;
	int r;

	r = log_room(t, &b);
	if (r == -ENOSPC) {
		/* Better lost until the next fsck than a delete that fails. */
		log_warn(t->ds->conf.env->log, "core: no room to note a free "
		    "block=%llu count=%u: fsck.vmfs gives it back",
		    (unsigned long long)f->block, f->count);
		return 0;
	}
	if (r < 0)
		return r;
	n = log_count(b);
	log_put(t, b, n, f);
	log_set_count(t, b, n + 1);
	mb_put(b);
	return 0;
}

/* ---- applying ---- */

/* Of a pass: entries of a cluster that cannot be had come together. */
struct pass {
	struct mblk *prev;	/* block before this one; NULL: it is the first */
	uint64_t refused;	/* cluster; UINT64_MAX: none yet */
};

static int
apply_entry(struct ds *ds, struct mblk *b, uint32_t i, struct pass *p)
{
	struct remote_free f, last;
	struct lease *l;
	struct txn *t;
	uint32_t n;
	int r;

	remote_free_get(b->data, i, &f);
	if (f.block / ds->super.cluster_blocks == p->refused)
		return 0;
	r = lease_take(ds, f.block / ds->super.cluster_blocks, &l);
	/* What cannot be leased now keeps its entries; the others go on. */
	if (r < 0) {
		p->refused = f.block / ds->super.cluster_blocks;
		return ds->health;
	}
	l->users++;
	r = txn_begin(ds, 4, &t);
	if (r < 0)
		goto out;
	r = alloc_free_local(t, l, f.block, f.count, f.meta);
	/* What is not in use any more need not be freed again. */
	if (r == 0 || r == -VMFS_ECORRUPT) {
		n = log_count(b);
		remote_free_get(b->data, n - 1, &last);
		log_put(t, b, i, &last);
		log_set_count(t, b, n - 1);
		r = 0;
	}
	txn_end(t);
out:
	l->users--;
	return r;
}

/* Takes an empty block out of the chain; prev is NULL for the first. */
static int
unlink_block(struct ds *ds, struct mblk *prev, struct mblk *b)
{
	const struct remote_free_disk *d = (const void *)b->data;
	struct txn *t;
	int r;

	r = txn_begin(ds, 4, &t);
	if (r < 0)
		return r;
	if (log_count(b) == 0 && (prev != NULL || first_block(ds) == b->addr)) {
		if (prev == NULL) {
			set_first_block(t, le64_get(d->next));
		} else {
			((struct remote_free_disk *)(void *)prev->data)->next =
			    d->next;
			mb_dirty(t, prev, offsetof(struct remote_free_disk,
			    next), 8);
		}
		r = free_meta(t, b->addr);
	}
	txn_end(t);
	return r;
}

/* Entries [0, count) of one block; p->prev becomes it if it stays. */
static int
apply_block(struct ds *ds, struct pass *p, uint64_t *block, uint32_t count)
{
	struct mblk *b;
	int r;

	r = log_read(ds, *block, &b);
	if (r < 0)
		return r;
	if (count > log_count(b))
		count = log_count(b);
	while (r == 0 && count > 0)
		r = apply_entry(ds, b, --count, p);
	*block = le64_get(((const struct remote_free_disk *)
	    (const void *)b->data)->next);
	if (r == 0 && log_count(b) == 0) {
		r = unlink_block(ds, p->prev, b);
		mb_put(b);
	} else {
		mb_put(p->prev);
		p->prev = b;
	}
	return r;
}

int
remote_free_apply(struct ds *ds)
{
	uint64_t block = first_block(ds);
	struct pass p = { .refused = UINT64_MAX };
	struct mblk *b;
	uint32_t count;
	int r;

	if (block == 0)
		return 0;
	r = log_read(ds, block, &b);
	if (r < 0)
		return r;
	count = log_count(b);
	mb_put(b);
	/* Others may get what is freed here: first the journal must not reach
	 * back into it.  Entries added from now on wait for the next pass. */
	r = ds_checkpoint(ds, 0);
	while (r == 0 && block != 0) {
		r = apply_block(ds, &p, &block, count);
		count = REMOTE_FREE_ENTRIES;
	}
	mb_put(p.prev);
	return r;
}
