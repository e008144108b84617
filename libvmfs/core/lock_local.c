/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The lock port for a LUN that nobody else uses: plain writes instead of
 * compare-and-write, and any holder found on disk is dead.
 */
#include <stdlib.h>
#include <string.h>

#include "libvmfs/core/lockops.h"
#include "libvmfs/env/disk.h"
#include "libvmfs/env/env.h"
#include "libvmfs/format/super.h"

struct held {
	uint64_t addr;
	enum lock_mode mode;
	unsigned count;		/* grants out; more than one only if shared */
};

struct lock_local {
	struct lockops ops;
	struct env *env;
	struct disk *disk;
	struct uuid volume;
	uint32_t sector_size;
	uint8_t *sector;	/* one sector, under `lock` */
	struct fiber_mutex lock;
	struct held *held;
	size_t n_held, max_held;
};

static struct lock_local *
local_of(struct lockops *l)
{
	return container_of(l, struct lock_local, ops);
}

static struct held *
held_find(struct lock_local *l, uint64_t addr)
{
	for (size_t i = 0; i < l->n_held; i++)
		if (l->held[i].addr == addr)
			return &l->held[i];
	return NULL;
}

static int
held_add(struct lock_local *l, uint64_t addr, enum lock_mode mode)
{
	struct held *h = held_find(l, addr);

	if (h != NULL) {
		h->count++;
		return 0;
	}
	if (l->n_held == l->max_held) {
		size_t max = l->max_held * 2 + 16;

		h = reallocarray(l->held, max, sizeof(*h));
		if (h == NULL)
			return -ENOMEM;
		l->held = h;
		l->max_held = max;
	}
	l->held[l->n_held++] = (struct held) { addr, mode, 1 };
	return 0;
}

/* True when the last grant is gone. */
static bool
held_drop(struct lock_local *l, uint64_t addr)
{
	struct held *h = held_find(l, addr);

	if (h == NULL)
		return false;
	if (--h->count > 0)
		return false;
	*h = l->held[--l->n_held];
	return true;
}

static int
record_read(struct lock_local *l, uint64_t addr, struct lockrec *ret_rec)
{
	int r;

	r = disk_read(l->disk, addr << BLOCK_SHIFT, l->sector, l->sector_size);
	if (r < 0)
		return r;
	return lockrec_decode(l->sector, &l->volume, addr, ret_rec);
}

/* With what record_read left of the sector behind the record. */
static int
record_write(struct lock_local *l, struct lockrec *rec)
{
	rec->nonce = env_random_u64(l->env);
	lockrec_encode(l->sector, &l->volume, rec);
	return disk_write(l->disk, rec->addr << BLOCK_SHIFT, l->sector,
	    l->sector_size, DISK_FUA);
}

static void
holder_fill(const struct lockrec *rec, bool self,
    struct lock_holder *h)
{
	unsigned n = 0;

	*h = (struct lock_holder) {
		.mode = rec->mode,
		.state = self ? HOLDER_SELF : HOLDER_DEAD,
		.slot = rec->slot,
		.incarnation = rec->incarnation,
		.version = rec->version,
		.host = rec->host,
		.since_us = rec->since_us,
	};
	memcpy(h->name, rec->name, sizeof(h->name));
	for (unsigned i = 0; i < SLOTS_MAX; i++)
		if (rec->holder[i] != 0 && n++ == 0)
			h->slot = i;
	h->count = rec->mode == LOCK_EXCLUSIVE ? 1 : n;
}

/* Makes the record ours; dead holders go. */
static void
record_take(struct lock_local *l, struct lockrec *rec, enum lock_mode mode)
{
	rec->version++;
	rec->mode = mode;
	rec->slot = l->ops.slot;
	rec->incarnation = l->ops.incarnation;
	rec->since_us = l->env->wall_us(l->env);
	memset(&rec->host, 0, sizeof(rec->host));
	memset(rec->name, 0, sizeof(rec->name));
	memcpy(rec->name, "local", 5);
	memset(rec->holder, 0, sizeof(rec->holder));
	if (mode != LOCK_EXCLUSIVE)
		rec->holder[l->ops.slot] =
		    lockrec_holder_mark(l->ops.incarnation);
	if (rec->lsn > l->ops.lsn)
		l->ops.lsn = rec->lsn;
}

static int
acquire_locked(struct lock_local *l, uint64_t addr, enum lock_mode mode,
    unsigned flags, struct lock_grant *ret_g, struct lock_holder *ret_holder)
{
	struct held *h = held_find(l, addr);
	struct lockrec rec;
	int r;

	r = record_read(l, addr, &rec);
	if (r < 0)
		return r;
	if ((flags & LOCK_CHANGE) != 0 && h != NULL && h->count == 1 &&
	    h->mode != mode && held_drop(l, addr))
		h = NULL;
	if (h != NULL && (h->mode == LOCK_EXCLUSIVE || h->mode != mode)) {
		if (ret_holder != NULL)
			holder_fill(&rec, true, ret_holder);
		return -VMFS_ELOCKED;
	}
	if (h == NULL) {
		record_take(l, &rec, mode);
		r = record_write(l, &rec);
		if (r < 0)
			return r;
	}
	r = held_add(l, addr, mode);
	if (r < 0)
		return r;
	*ret_g = (struct lock_grant) { addr, mode, rec.version };
	return 0;
}

static int
local_acquire(struct lockops *ops, uint64_t addr, enum lock_mode mode,
    unsigned flags, uint64_t deadline_ns, struct lock_grant *ret_g,
    struct lock_holder *ret_holder)
{
	struct lock_local *l = local_of(ops);
	int r;

	(void)deadline_ns;
	fiber_mutex_lock(&l->lock);
	r = acquire_locked(l, addr, mode, flags, ret_g, ret_holder);
	fiber_mutex_unlock(&l->lock);
	return r;
}

static int
create_locked(struct lock_local *l, uint64_t addr, struct lock_grant *ret_g)
{
	struct lockrec rec;
	int r;

	r = record_read(l, addr, &rec);
	if (r == -VMFS_ECORRUPT)	/* never was a lock: old data */
		rec = (struct lockrec) { .addr = addr };
	else if (r < 0)
		return r;
	if (l->ops.lsn > rec.version + 1)
		rec.version = l->ops.lsn - 1;
	if (rec.lsn < l->ops.lsn)
		rec.lsn = l->ops.lsn;
	record_take(l, &rec, LOCK_EXCLUSIVE);
	r = record_write(l, &rec);
	if (r < 0)
		return r;
	r = held_add(l, addr, LOCK_EXCLUSIVE);
	if (r < 0)
		return r;
	*ret_g = (struct lock_grant) { addr, LOCK_EXCLUSIVE, rec.version };
	return 0;
}

static int
local_create(struct lockops *ops, uint64_t addr, struct lock_grant *ret_g)
{
	struct lock_local *l = local_of(ops);
	int r;

	fiber_mutex_lock(&l->lock);
	r = create_locked(l, addr, ret_g);
	fiber_mutex_unlock(&l->lock);
	return r;
}

static int
local_release(struct lockops *ops, struct lock_grant *g)
{
	struct lock_local *l = local_of(ops);
	uint64_t addr = g->addr;
	struct lockrec rec;
	int r = 0;

	*g = (struct lock_grant) { 0 };
	fiber_mutex_lock(&l->lock);
	if (held_drop(l, addr)) {
		r = record_read(l, addr, &rec);
		if (r == 0) {
			rec.mode = LOCK_FREE;
			rec.lsn = l->ops.lsn;
			r = record_write(l, &rec);
		}
	}
	fiber_mutex_unlock(&l->lock);
	return r;
}

static int
local_query(struct lockops *ops, uint64_t addr, struct lock_holder *ret_holder)
{
	struct lock_local *l = local_of(ops);
	struct lockrec rec;
	int r;

	fiber_mutex_lock(&l->lock);
	r = record_read(l, addr, &rec);
	if (r == 0)
		holder_fill(&rec, held_find(l, addr) != NULL, ret_holder);
	fiber_mutex_unlock(&l->lock);
	return r;
}

static int
slot_read(struct lock_local *l, struct heartbeat *ret_h)
{
	int r;

	r = disk_read(l->disk, (uint64_t)(SLOT_TABLE_BLOCK + l->ops.slot) <<
	    BLOCK_SHIFT, l->sector, l->sector_size);
	if (r < 0)
		return r;
	return heartbeat_decode(l->sector, &l->volume, l->ops.slot, ret_h);
}

static int
set_journal_locked(struct lock_local *l, uint64_t block, uint32_t blocks)
{
	struct heartbeat h;
	int r;

	r = slot_read(l, &h);
	if (r < 0)
		return r;
	h.journal_block = block;
	h.journal_blocks = blocks;
	heartbeat_encode(l->sector, &l->volume, &h);
	return disk_write(l->disk, (uint64_t)(SLOT_TABLE_BLOCK + l->ops.slot) <<
	    BLOCK_SHIFT, l->sector, l->sector_size, DISK_FUA);
}

static int
local_set_journal(struct lockops *ops, uint64_t block, uint32_t blocks)
{
	struct lock_local *l = local_of(ops);
	int r;

	fiber_mutex_lock(&l->lock);
	r = set_journal_locked(l, block, blocks);
	fiber_mutex_unlock(&l->lock);
	if (r == 0) {
		ops->journal_block = block;
		ops->journal_blocks = blocks;
	}
	return r;
}

/* There is nobody else. */
static int
local_set_super(struct lockops *ops, const struct super *s)
{
	ops->super_seen = ops->super_all = ops->super_told = s->generation;
	return 0;
}

static int
local_add_lun(struct lockops *ops, struct disk *lun, char *why)
{
	(void)ops;
	(void)lun;
	(void)why;
	return 0;
}

static void
local_del_lun(struct lockops *ops, struct disk *lun)
{
	(void)ops;
	(void)lun;
}

static const struct lockops_vt local_vt = {
	.acquire = local_acquire,
	.create = local_create,
	.release = local_release,
	.query = local_query,
	.set_journal = local_set_journal,
	.set_super = local_set_super,
	.add_lun = local_add_lun,
	.del_lun = local_del_lun,
};

int
lock_local_new(struct env *env, struct disk *disk, const struct super *super,
    struct lockops **ret_l)
{
	return lock_local_new_as(env, disk, super, 0, 1, ret_l);
}

int
lock_local_new_as(struct env *env, struct disk *disk,
    const struct super *super, unsigned slot, uint64_t incarnation,
    struct lockops **ret_l)
{
	struct lock_local *l = calloc(1, sizeof(*l));
	struct heartbeat h;
	int r = -ENOMEM;

	if (l == NULL)
		return -ENOMEM;
	l->ops.vt = &local_vt;
	l->ops.slot = slot;
	l->ops.incarnation = incarnation;
	l->ops.super_told = super->generation;
	l->ops.super_seen = l->ops.super_all = l->ops.super_told;
	l->env = env;
	l->disk = disk;
	l->volume = super->uuid;
	l->sector_size = super->sector_size;
	fiber_mutex_init(&l->lock);
	l->sector = disk_buf_alloc(BLOCK_SIZE);
	if (l->sector == NULL)
		goto out;
	r = slot_read(l, &h);
	if (r < 0)
		goto out;
	l->ops.journal_block = h.journal_block;
	l->ops.journal_blocks = h.journal_blocks;
	*ret_l = &l->ops;
	l = NULL;
out:
	if (l != NULL)
		lock_local_free(&l->ops);
	return r;
}

void
lock_local_free(struct lockops *ops)
{
	struct lock_local *l;

	if (ops == NULL)
		return;
	l = local_of(ops);
	free(l->held);
	free(l->sector);
	free(l);
}
