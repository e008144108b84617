/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Readers.  With a hold of this host they use the metadata cache.  Without,
 * they read the lock record, the blocks as last checkpointed, and the lock
 * record again: an unchanged version and mode means that nobody wrote between.
 */
#include <stdlib.h>

#include "libvmfs/base/units.h"
#include "libvmfs/core/fs_impl.h"

#define READER_TRIES_MAX 16u
#define READER_POLL_NS (5 * NSEC_PER_MSEC)

static void
cnode_unref(struct cnode *c)
{
	if (--c->refs == 0)
		free(c);
}

static void
cnode_drop(struct inode *ip, struct cnode *c)
{
	list_del(&c->bucket);
	list_del(&c->lru);
	ip->cached--;
	cnode_unref(c);
}

void
node_cache_flush(struct inode *ip)
{
	list_for_each(n, tmp, &ip->lru)
		cnode_drop(ip, list_entry(n, struct cnode, lru));
	ip->cache_turn++;
}

static struct list *
cnode_bucket(struct inode *ip, uint64_t addr)
{
	return &ip->bucket[addr % NODE_CACHE_BUCKETS];
}

static struct cnode *
cnode_find(struct inode *ip, uint64_t addr)
{
	list_for_each(n, tmp, cnode_bucket(ip, addr)) {
		struct cnode *c = list_entry(n, struct cnode, bucket);

		if (c->addr == addr)
			return c;
	}
	return NULL;
}

static void
node_cache_forget(struct inode *ip, uint64_t addr)
{
	struct cnode *c = cnode_find(ip, addr);

	if (c != NULL)
		cnode_drop(ip, c);
}

/* What the block's own header says; its checks are done. */
static enum block_type
header_type(const uint8_t *data)
{
	const struct block_hdr_disk *h = (const void *)data;

	return (enum block_type)le16_get(h->type);
}

enum block_type
node_type(const struct nref *n)
{
	return n->mb != NULL ? n->mb->type : header_type(n->data);
}

static int
cnode_get(struct inode *ip, uint64_t addr, enum block_type type,
    uint64_t owner, struct nref *ret_n)
{
	struct cnode *c = cnode_find(ip, addr);
	unsigned turn;
	int r;

	if (c != NULL) {
		if (type != 0 && type != BLOCK_INODE &&
		    header_type(c->data) != type)
			return -VMFS_ECORRUPT;
		list_del(&c->lru);
		list_add(&ip->lru, &c->lru);
		c->refs++;
		*ret_n = (struct nref){ .data = c->data, .cn = c };
		return 0;
	}
	c = malloc(sizeof(*c));
	if (c == NULL)
		return -ENOMEM;
	turn = ip->cache_turn;
	r = block_read_unlocked(ip->fs->ds, addr, type, owner, c->data);
	if (r != 0) {
		free(c);
		return r;
	}
	c->addr = addr;
	c->refs = 1;
	*ret_n = (struct nref){ .data = c->data, .cn = c };
	/* As it was before somebody wanted all to be read anew. */
	if (turn != ip->cache_turn)
		return 0;
	c->refs++;
	/* Another fiber may have read it meanwhile: the newer one stays. */
	node_cache_forget(ip, addr);
	list_add(cnode_bucket(ip, addr), &c->bucket);
	list_add(&ip->lru, &c->lru);
	if (++ip->cached > NODE_CACHE_MAX)
		cnode_drop(ip, list_entry(ip->lru.prev, struct cnode, lru));
	return 0;
}

int
node_get(struct inode *ip, bool locked, uint64_t addr, enum block_type type,
    uint32_t birth, struct nref *ret_n)
{
	bool ours = locked && (type == BLOCK_INODE ||
	    (ip->info.type != INODE_SNAPSHOT && birth > ip->info.origin_epoch));
	struct mblk *b;
	int r;

	if (!ours) {
		r = cnode_get(ip, addr, type, type == BLOCK_INODE ? addr : 0,
		    ret_n);
		/* What was inherited never changes: it is not torn. */
		if (r == -VMFS_ECORRUPT && locked)
			fs_damage_seen(ip->fs, ip->ino);
		return r;
	}
	r = mb_read(ip->fs->ds, &ip->grant, addr, type, &b);
	if (r != 0)
		return r;
	*ret_n = (struct nref){ .data = b->data, .mb = b };
	return 0;
}

void
node_put(struct nref *n)
{
	mb_put(n->mb);
	if (n->cn != NULL)
		cnode_unref(n->cn);
	*n = (struct nref){ 0 };
}

void
reader_init(struct reader *r, struct inode *ip)
{
	*r = (struct reader){ .ip = ip };
	r->deadline_ns = env_now(ds_env(ip->fs->ds)) + READER_WAIT_NS;
}

/* Of the last change that is in its place. */
static uint64_t
inode_lsn(const uint8_t *block)
{
	const struct block_hdr_disk *h = (const void *)(block +
	    block_hdr_offset(BLOCK_INODE));

	return le64_get(h->lsn);
}

static int
reader_load(struct reader *r)
{
	struct nref n;
	int e;

	e = node_get(r->ip, r->locked, r->ip->ino, BLOCK_INODE, 0, &n);
	if (e != 0)
		return e;
	e = inode_decode(n.data, &r->info);
	r->lsn = inode_lsn(n.data);
	node_put(&n);
	/* Without a name it is for those who have it open, by their lock. */
	if (e == 0 && (r->info.type == INODE_FREE || r->info.nlink == 0))
		e = -ESTALE;
	return e;
}

static bool
holder_writes(const struct lock_holder *h)
{
	return h->mode == LOCK_EXCLUSIVE && h->from[0] == '\0' &&
	    (h->state == HOLDER_LIVE ||
	    h->state == HOLDER_SUSPECT || h->state == HOLDER_RECOVERING);
}

static int
reader_query(struct reader *r, struct lock_holder *ret_h)
{
	struct lockops *l = ds_locks(r->ip->fs->ds);

	return l->vt->query(l, r->ip->ino, ret_h);
}

int
reader_begin(struct reader *r)
{
	struct inode *ip = r->ip;
	struct lock_holder h;
	int e;

	r->locked = inode_visit(ip, r->deadline_ns);
	if (r->locked) {
		times_fold(ip);
		r->info = ip->info;
		return 0;
	}
	for (;;) {
		e = reader_query(r, &h);
		if (e != 0)
			return e;
		r->stale = holder_writes(&h);
		if (r->stale || h.version != ip->seen_version ||
		    r->tries > 0) {
			node_cache_flush(ip);
			ip->seen_version = r->stale ? UINT64_MAX : h.version;
		}
		r->version = h.version;
		e = reader_load(r);
		/* The tree is not older than the inode: see reader_moved. */
		if (r->stale)
			node_cache_flush(ip);
		if (!r->stale || e != 0 || r->info.type != INODE_DIR ||
		    env_now(ds_env(ip->fs->ds)) >= r->deadline_ns)
			break;
		/* A directory is held for one operation only. */
		fiber_sleep(READER_POLL_NS);
	}
	if (e != 0 && e != -VMFS_EFENCED && e != -VMFS_EGONE &&
	    r->tries++ < 2) {
		fiber_yield();
		return reader_begin(r);
	}
	return e;
}

/*
 * Whatever the writer gives up goes with a change of the inode, and is given to
 * another file only after a checkpoint that has put both in their places.  As
 * long as the inode lies there unchanged, all that was found by it was its own.
 */
static bool
reader_moved(struct reader *r)
{
	cleanup_free uint8_t *buf = NULL;
	uint64_t ino = r->ip->ino;

	if (!r->stale || !r->content)
		return false;
	buf = malloc(BLOCK_SIZE);
	return buf == NULL || block_read_unlocked(r->ip->fs->ds, ino,
	    BLOCK_INODE, ino, buf) != 0 || inode_lsn(buf) != r->lsn;
}

bool
reader_again(struct reader *r, int *err)
{
	struct lock_holder h;
	bool moved;
	int e;

	if (r->locked) {
		e = inode_leave(r->ip);
		if (*err == 0)
			*err = e;
		return false;
	}
	e = reader_query(r, &h);
	if (e != 0) {
		if (*err == 0)
			*err = e;
		return false;
	}
	moved = *err == 0 && reader_moved(r);
	if (h.version == r->version && holder_writes(&h) == r->stale &&
	    (!r->stale || *err == 0) && !moved)
		return false;
	if (r->tries++ >= READER_TRIES_MAX) {
		if (moved)
			*err = -EIO;
		return false;
	}
	r->ip->seen_version = UINT64_MAX;
	return true;
}

int
reader_confirm(struct inode *ip)
{
	struct disk *d = ds_disk(ip->fs->ds);
	cleanup_free uint8_t *buf = NULL;

	if (disk_is_current(d))
		return 0;
	buf = disk_buf_alloc(BLOCK_SIZE);
	return buf == NULL ? -ENOMEM : disk_read(d, 0, buf, BLOCK_SIZE);
}

int
inode_peek(struct inode *ip, struct inode_info *ret_info)
{
	struct reader rd;
	int r;

	reader_init(&rd, ip);
	while ((r = reader_begin(&rd)) == 0) {
		*ret_info = rd.info;
		if (!reader_again(&rd, &r))
			break;
	}
	return r;
}

int
inode_glance(struct fs *fs, uint64_t ino, struct inode_info *ret_i)
{
	struct inode *ip;
	int r;

	r = inode_ref(fs, ino, &ip);
	if (r != 0)
		return r;
	r = inode_peek(ip, ret_i);
	inode_unref(ip);
	return r;
}
