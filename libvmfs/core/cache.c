/* SPDX-License-Identifier: BSD-2-Clause */
/* Cache of metadata blocks, by address and by owner, bounded by an LRU list. */
#include <stdlib.h>
#include <string.h>

#include "libvmfs/base/cleanup.h"
#include "libvmfs/base/units.h"
#include "libvmfs/core/ds_priv.h"

#define LOAD_TRIES 3u
#define TORN_NS (5 * NSEC_PER_MSEC)
#define CACHE_BLOCKS_MIN 64u

static struct list *
bucket(struct ds *ds, struct list *table, uint64_t key)
{
	return &table[(key * 0x9e3779b97f4a7c15ull >> 32) & (ds->buckets - 1)];
}

struct list *
cache_owner_bucket(struct ds *ds, uint64_t owner)
{
	return bucket(ds, ds->by_owner, owner);
}

struct ds_cache
ds_cache(const struct ds *ds)
{
	return (struct ds_cache){
		.used = ds->n_cached * sizeof(struct mb),
		.max = ds->conf.cache_bytes > 0 ? ds->conf.cache_bytes :
		    DS_CACHE_DEFAULT,
		.loads = ds->cache_loads,
	};
}

int
cache_init(struct ds *ds)
{
	ds->max_cached = ds_cache(ds).max / sizeof(struct mb);
	if (ds->max_cached < CACHE_BLOCKS_MIN)
		ds->max_cached = CACHE_BLOCKS_MIN;
	ds->buckets = CACHE_BLOCKS_MIN;
	while (ds->buckets < ds->max_cached)
		ds->buckets *= 2;
	list_init(&ds->lru);
	ds->by_addr = malloc(ds->buckets * sizeof(*ds->by_addr));
	ds->by_owner = malloc(ds->buckets * sizeof(*ds->by_owner));
	if (ds->by_addr == NULL || ds->by_owner == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < ds->buckets; i++) {
		list_init(&ds->by_addr[i]);
		list_init(&ds->by_owner[i]);
	}
	return 0;
}

void
cache_fini(struct ds *ds)
{
	if (ds->by_addr != NULL && ds->by_owner != NULL)
		for (size_t i = 0; i < ds->buckets; i++)
			list_for_each(node, tmp, &ds->by_addr[i])
				mb_detach(list_entry(node, struct mb, hash));
	free(ds->by_addr);
	free(ds->by_owner);
}

static struct mb *
mb_find(struct ds *ds, uint64_t addr)
{
	list_for_each(node, tmp, bucket(ds, ds->by_addr, addr)) {
		struct mb *mb = list_entry(node, struct mb, hash);

		if (mb->pub.addr == addr)
			return mb;
	}
	return NULL;
}

void
mb_detach(struct mb *mb)
{
	if (mb->in_hash) {
		mb->in_hash = false;
		mb->ds->n_cached--;
	}
	if (!list_empty(&mb->dirty_link))
		mb->ds->txn.n_dirty--;
	list_del(&mb->hash);
	list_del(&mb->owned);
	list_del(&mb->lru);
	list_del(&mb->dirty_link);
	list_del(&mb->logged_link);
	list_del(&mb->soft_link);
	soft_tell(mb->ds);
	mb->dirty = mb->soft = 0;
	mb->logged = false;
	if (mb->refs == 0)
		free(mb);
}

void
mb_settle(struct mb *mb)
{
	list_del(&mb->lru);
	if (mb->refs > 0)
		return;
	if (!mb->in_hash)
		free(mb);
	else if (mb->dirty == 0 && !mb->logged)
		list_add_tail(&mb->ds->lru, &mb->lru);
}

void
mb_put(struct mblk *b)
{
	struct mb *mb;

	if (b == NULL)
		return;
	mb = mb_of(b);
	mb->refs--;
	mb_settle(mb);
}

static void
evict(struct ds *ds)
{
	while (ds->n_cached >= ds->max_cached && !list_empty(&ds->lru))
		mb_detach(list_entry(ds->lru.next, struct mb, lru));
}

static struct mb *
mb_alloc(struct ds *ds, const struct lock_grant *g, uint64_t addr)
{
	struct mb *mb;

	evict(ds);
	mb = calloc(1, sizeof(*mb));
	if (mb == NULL)
		return NULL;
	mb->pub.addr = addr;
	mb->pub.owner = g->addr;
	mb->lockver = g->version;
	mb->ds = ds;
	mb->refs = 1;
	mb->image = true;
	mb->in_hash = true;
	list_init(&mb->lru);
	list_init(&mb->dirty_link);
	list_init(&mb->logged_link);
	list_init(&mb->soft_link);
	list_add(bucket(ds, ds->by_addr, addr), &mb->hash);
	list_add(cache_owner_bucket(ds, g->addr), &mb->owned);
	ds->n_cached++;
	return mb;
}

int
mb_reads_block(struct ds *ds, uint64_t addr, enum block_type type, void *buf,
    struct block_hdr *ret_h)
{
	int r;

	if (addr == 0 || !ds_has_block(ds, addr))
		return -VMFS_ECORRUPT;
	r = disk_read(ds->conf.disk, addr << BLOCK_SHIFT, buf, BLOCK_SIZE);
	if (r < 0)
		return r;
	r = block_hdr_decode(buf, type, &ds->super.uuid, addr, ret_h);
	if (r == 0 && ds->conf.locks != NULL &&
	    ret_h->lsn > ds->conf.locks->lsn)
		ds->conf.locks->lsn = ret_h->lsn;
	return r;
}

static int
block_reports(struct ds *ds, int r, uint64_t addr, enum block_type type,
    uint64_t owner)
{
	if (r == -VMFS_ECORRUPT)
		log_error(ds->conf.env->log, "core: block damaged addr=%llu "
		    "type=%s owner=%llu", (unsigned long long)addr,
		    type ? block_type_name(type) : "any",
		    (unsigned long long)owner);
	return r;
}

void
ds_on_damage(struct ds *ds, void (*fn)(void *arg, uint64_t owner), void *arg)
{
	ds->damaged = fn;
	ds->damaged_arg = arg;
}

/* Under our lock nobody else writes it: it is not torn, it is damaged. */
static int
block_is_damaged(struct ds *ds, uint64_t addr, enum block_type type,
    uint64_t owner)
{
	if (ds->damaged != NULL && !ds->conf.readonly)
		ds->damaged(ds->damaged_arg, owner);
	return block_reports(ds, -VMFS_ECORRUPT, addr, type, owner);
}

static int
mb_load(struct ds *ds, struct mb *mb, enum block_type type)
{
	/* Sources want aligned buffers; mb.pub.data is in a malloc'ed mb. */
	cleanup_free uint8_t *buf = disk_buf_alloc(BLOCK_SIZE);
	struct block_hdr h;
	int r = -VMFS_ECORRUPT;

	if (buf == NULL)
		return -ENOMEM;
	/* A bit that came wrong on its way comes right the next time. */
	for (unsigned i = 0; i < LOAD_TRIES && r == -VMFS_ECORRUPT; i++) {
		r = mb_reads_block(ds, mb->pub.addr, type, buf, &h);
		if (r == 0 && h.owner != mb->pub.owner)
			r = -VMFS_ECORRUPT;
	}
	if (r == -VMFS_ECORRUPT)
		r = block_is_damaged(ds, mb->pub.addr, type, mb->pub.owner);
	if (r < 0)
		return r;
	memcpy(mb->pub.data, buf, BLOCK_SIZE);
	mb->pub.type = h.type;
	mb->lsn = h.lsn;
	return 0;
}

/* A cached block that another lock, or an older version of it, covered. */
static bool
is_stale(const struct ds *ds, const struct mb *mb, const struct lock_grant *g)
{
	if (mb->dirty != 0 || mb->logged || mb->loading)
		return false;
	return mb->pub.owner != g->addr ||
	    (mb->lockver != g->version && !ds->conf.readonly);
}

static int
mb_read_miss(struct ds *ds, const struct lock_grant *g, uint64_t addr,
    enum block_type type, struct mblk **ret_b)
{
	struct mb *mb = mb_alloc(ds, g, addr);
	int r;

	if (mb == NULL)
		return -ENOMEM;
	mb->loading = true;
	ds->cache_loads++;
	r = mb_load(ds, mb, type);
	mb->loading = false;
	mb->error = r;
	fiber_cond_broadcast(&ds->changed);
	if (r < 0) {
		mb_detach(mb);
		mb_put(&mb->pub);
		return r;
	}
	*ret_b = &mb->pub;
	return 0;
}

int
mb_read(struct ds *ds, const struct lock_grant *g, uint64_t addr,
    enum block_type type, struct mblk **ret_b)
{
	struct mb *mb;
	int r = 0;

	if (ds->health < 0)
		return ds->health;
	mb = mb_find(ds, addr);
	if (mb != NULL && is_stale(ds, mb, g)) {
		mb_detach(mb);
		mb = NULL;
	}
	if (mb == NULL)
		return mb_read_miss(ds, g, addr, type, ret_b);
	mb->refs++;
	mb_settle(mb);
	while (mb->loading)
		fiber_cond_wait(&ds->changed);
	if (mb->error < 0)
		r = mb->error;
	else if (mb->pub.owner != g->addr ||
	    (type != 0 && mb->pub.type != type))
		r = block_is_damaged(ds, addr, type, g->addr);
	if (r < 0) {
		mb_put(&mb->pub);
		return r;
	}
	*ret_b = &mb->pub;
	return 0;
}

int
mb_new(struct txn *t, const struct lock_grant *g, uint64_t addr,
    enum block_type type, struct mblk **ret_b)
{
	struct ds *ds = t->ds;
	struct mb *mb = mb_find(ds, addr);

	if (ds->health < 0)
		return ds->health;
	if (mb != NULL)		/* of the block's former life */
		mb_detach(mb);
	mb = mb_alloc(ds, g, addr);
	if (mb == NULL)
		return -ENOMEM;
	mb->pub.type = type;
	mb_dirty(t, &mb->pub, 0, BLOCK_SIZE);
	*ret_b = &mb->pub;
	return 0;
}

void
mb_dirty(struct txn *t, struct mblk *b, size_t off, size_t len)
{
	struct mb *mb = mb_of(b);
	size_t first = off / DIRTY_UNIT, last;

	if (len == 0 || !mb->in_hash)
		return;
	last = (off + len - 1) / DIRTY_UNIT;
	for (size_t i = first; i <= last && i < 64; i++)
		mb->dirty |= 1ull << i;
	if (mb->ds->conf.soft != NULL) {
		for (size_t i = first; i <= last && i < 64; i++)
			mb->soft |= 1ull << i;
		if (list_empty(&mb->soft_link))
			list_add_tail(&mb->ds->soft_dirty, &mb->soft_link);
		soft_tell(mb->ds);
	}
	if (list_empty(&mb->dirty_link)) {
		list_add_tail(&t->dirty, &mb->dirty_link);
		t->n_dirty++;
	}
}

void
mb_freed(struct txn *t, uint64_t addr)
{
	struct mb *mb = mb_find(t->ds, addr);

	if (mb == NULL)
		return;
	/* Stays findable until the commit: until then it is what was. */
	mb->freed = true;
	mb_dirty(t, &mb->pub, 0, 1);
}

void
mb_unmade(struct txn *t, uint64_t addr)
{
	struct mb *mb = mb_find(t->ds, addr);

	if (mb != NULL)
		mb_detach(mb);
}

void
mb_forget(struct ds *ds, uint64_t owner)
{
	list_for_each(node, tmp, cache_owner_bucket(ds, owner)) {
		struct mb *mb = list_entry(node, struct mb, owned);

		if (mb->pub.owner == owner)
			mb_detach(mb);
	}
}

int
block_read_unlocked(struct ds *ds, uint64_t addr, enum block_type type,
    uint64_t owner, void *buf)
{
	cleanup_free uint8_t *tmp = disk_buf_alloc(BLOCK_SIZE);
	struct block_hdr h;
	int r = -VMFS_ECORRUPT;

	if (tmp == NULL)
		return -ENOMEM;
	/* Perhaps torn by a writer that is in the middle of it. */
	for (unsigned i = 0; i < LOAD_TRIES && r == -VMFS_ECORRUPT; i++) {
		if (i > 0)
			fiber_sleep(TORN_NS);
		r = mb_reads_block(ds, addr, type, tmp, &h);
		if (r == 0 && owner != 0 && h.owner != owner)
			r = -VMFS_ECORRUPT;
	}
	if (r < 0)
		return block_reports(ds, r, addr, type, owner);
	memcpy(buf, tmp, BLOCK_SIZE);
	return 0;
}
