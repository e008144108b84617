/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Reading and writing content.  A write locks its blocks, or its whole chunks
 * when the map has to change, so that writes to different chunks go on in
 * parallel and those to the same block one after the other.
 */
#include <stdlib.h>

#include "libvmfs/core/fs_impl.h"
#include "libvmfs/env/iobuf.h"

#define MIB_SIZE ((uint64_t)1 << MAP_L1_SHIFT)

/* ---- ranges of writes in flight ---- */

struct range {
	struct list node;
	uint64_t off, end;
};

static bool
range_busy(struct inode *ip, const struct range *r)
{
	list_for_each(n, tmp, &ip->ranges) {
		struct range *o = list_entry(n, struct range, node);

		if (o->off < r->end && r->off < o->end)
			return true;
	}
	return false;
}

/* [off, end) rounded out to `unit`. */
static void
range_lock(struct inode *ip, struct range *r, uint64_t off, uint64_t end,
    uint64_t unit)
{
	r->off = off & ~(unit - 1);
	r->end = (end + unit - 1) & ~(unit - 1);
	while (range_busy(ip, r))
		fiber_cond_wait(&ip->ranges_cond);
	list_add_tail(&ip->ranges, &r->node);
}

static void
range_unlock(struct inode *ip, struct range *r)
{
	list_del(&r->node);
	fiber_cond_broadcast(&ip->ranges_cond);
}

/* ---- disk I/O of any alignment ---- */

static bool
fits(struct disk *d, uint64_t off, const void *buf, size_t len)
{
	uint64_t unit = d->info.block_size;

	return off % unit == 0 && len % unit == 0 && (uintptr_t)buf % unit == 0;
}

static int
phys_read(struct disk *d, uint64_t off, void *buf, size_t len)
{
	cleanup_free uint8_t *tmp = NULL;
	uint64_t unit = d->info.block_size, first, end;
	int r;

	if (fits(d, off, buf, len))
		return disk_read(d, off, buf, len);
	first = off - off % unit;
	end = (off + len + unit - 1) / unit * unit;
	tmp = disk_buf_alloc(end - first);
	if (tmp == NULL)
		return -ENOMEM;
	r = disk_read(d, first, tmp, end - first);
	if (r == 0)
		memcpy(buf, tmp + (off - first), len);
	return r;
}

static int
phys_write(struct disk *d, uint64_t off, const void *buf, size_t len)
{
	cleanup_free void *tmp = NULL;

	if (fits(d, off, buf, len))
		return disk_write(d, off, buf, len, 0);
	tmp = disk_buf_alloc(len);
	if (tmp == NULL)
		return -ENOMEM;
	memcpy(tmp, buf, len);
	return disk_write(d, off, tmp, len, 0);
}

/* The same of an encrypted disk, whose blocks are read as a whole. */
static int
secret_read(struct inode *ip, uint64_t phys, uint64_t off, void *buf,
    size_t len)
{
	struct disk *d = ds_disk(ip->fs->ds);
	uint64_t in = off % BLOCK_SIZE, first = off - in;
	uint64_t span = (in + len + BLOCK_SIZE - 1) & ~(uint64_t)(BLOCK_SIZE - 1);
	cleanup_free uint8_t *tmp = NULL;
	int r;

	if (span == len && fits(d, phys, buf, len)) {
		r = disk_read(d, phys, buf, len);
		return r != 0 ? r : cipher_decrypt(ip, off, buf, buf, len);
	}
	tmp = disk_buf_alloc(span);
	if (tmp == NULL)
		return -ENOMEM;
	r = disk_read(d, phys - in, tmp, span);
	if (r == 0)
		r = cipher_decrypt(ip, first, tmp, tmp, span);
	if (r == 0)
		memcpy(buf, tmp + in, len);
	return r;
}

static int
secret_write(struct inode *ip, uint64_t phys, uint64_t off, const void *buf,
    size_t len)
{
	size_t size;
	void *tmp = iobuf_get(len, &size);
	int r;

	if (tmp == NULL)
		return -ENOMEM;
	r = cipher_encrypt(ip, off, buf, tmp, len);
	if (r == 0)
		r = disk_write(ds_disk(ip->fs->ds), phys, tmp, len, 0);
	iobuf_put(tmp, size);
	return r;
}

/* ---- reading ---- */

static int
inline_read(struct inode *ip, bool locked, uint64_t off, void *buf, size_t len)
{
	const struct inode_disk *d;
	size_t size, n = 0;
	struct nref ref;
	int r;

	r = node_get(ip, locked, ip->ino, BLOCK_INODE, 0, &ref);
	if (r != 0)
		return r;
	d = (const void *)ref.data;
	size = le16_get(d->inline_size);
	/* It may have been read once more since it was decoded. */
	if (size > INODE_INLINE_MAX) {
		node_put(&ref);
		return -VMFS_ECORRUPT;
	}
	if (off < size)
		n = size - off;
	if (n > len)
		n = len;
	if (n > 0)
		memcpy(buf, d->inline_data + off, n);
	memset((uint8_t *)buf + n, 0, len - n);
	node_put(&ref);
	return 0;
}

/* One run at off; *ret_n bytes were read. */
static int
run_read(struct inode *ip, bool locked, const struct inode_info *info,
    uint64_t off, void *buf, size_t len, size_t *ret_n)
{
	uint64_t in = off % BLOCK_SIZE, n;
	struct map_run run;
	int r;

	fiber_rwlock_rdlock(&ip->map);
	if (info->flags & INODE_INLINE) {
		r = inline_read(ip, locked, off, buf, len);
		fiber_rwlock_unlock(&ip->map);
		*ret_n = len;
		return r;
	}
	r = map_run(ip, locked, &info->map, off - in, in + len, &run);
	ip->reads++;
	fiber_rwlock_unlock(&ip->map);
	if (r == 0) {
		n = run.len - in < len ? run.len - in : len;
		if (run.data && is_encrypted(info))
			r = secret_read(ip, run.block * BLOCK_SIZE + in, off,
			    buf, n);
		else if (run.data)
			r = phys_read(ds_disk(ip->fs->ds),
			    run.block * BLOCK_SIZE + in, buf, n);
		else
			memset(buf, 0, n);
		*ret_n = n;
	}
	if (--ip->reads == 0)
		fiber_cond_broadcast(&ip->reads_cond);
	return r;
}

int
file_read_at(struct inode *ip, bool locked, const struct inode_info *info,
    uint64_t off, void *buf, size_t len)
{
	uint8_t *p = buf;
	size_t n = 0;
	int r = 0;

	for (; len > 0 && r == 0; off += n, p += n, len -= n)
		r = run_read(ip, locked, info, off, p, len, &n);
	return r;
}

/* ---- writing ---- */

/* A write within one MiB. */
struct piece {
	struct inode *ip;
	uint64_t off, end;
	const uint8_t *buf;
	bool ready;		/* every block can be written in its place */
	bool valid;		/* ... and is valid: no map change follows */
	uint64_t slot;		/* of the last chunk */
};

static int
piece_look(struct piece *p)
{
	const struct inode_info *i = &p->ip->info;
	uint64_t off = p->off & ~(uint64_t)(CHUNK_SIZE - 1);
	struct map_view v;
	uint16_t need;
	int r = 0;

	p->ready = p->valid = true;
	fiber_rwlock_rdlock(&p->ip->map);
	for (; off < p->end && p->ready && r == 0; off += CHUNK_SIZE) {
		r = map_view(p->ip, true, &i->map, off, &v);
		if (r != 0)
			break;
		need = map_mask(off, p->off, p->end);
		if (!map_chunk_ready(i, &v.c, need))
			p->ready = false;
		if ((v.c.valid & need) != need)
			p->valid = false;
		p->slot = v.c.own;
	}
	fiber_rwlock_unlock(&p->ip->map);
	return r;
}

static int
slot_write(struct inode *ip, uint64_t phys, uint64_t off, const void *buf,
    size_t len)
{
	return is_encrypted(&ip->info) ?
	    secret_write(ip, phys, off, buf, len) :
	    phys_write(ds_disk(ip->fs->ds), phys, buf, len);
}

/* Data to the chunks' own slots, runs of neighbouring chunks at once. */
static int
slots_write(struct inode *ip, uint64_t off, uint64_t end, const uint8_t *buf)
{
	struct map_view v;
	uint64_t phys = 0, at = off, stop, next;
	int r;

	while (at < end) {
		uint64_t start = at;

		for (; at < end; at = stop) {
			fiber_rwlock_rdlock(&ip->map);
			r = map_view(ip, true, &ip->info.map, at, &v);
			fiber_rwlock_unlock(&ip->map);
			if (r != 0)
				return r;
			if (v.c.own == 0)
				return -VMFS_ECORRUPT;
			next = v.c.own * CHUNK_SIZE + at % CHUNK_SIZE;
			if (at == start)
				phys = next;
			else if (next != phys + (at - start))
				break;
			stop = (at & ~(uint64_t)(CHUNK_SIZE - 1)) + CHUNK_SIZE;
			if (stop > end)
				stop = end;
		}
		r = slot_write(ip, phys, start, buf + (start - off),
		    at - start);
		if (r != 0)
			return r;
	}
	return 0;
}

/*
 * Blocks that are written in part are read first.  What another thread writes
 * into them in between would be lost.
 */
static int
piece_merge(struct piece *p)
{
	uint64_t first = p->off & ~(uint64_t)(BLOCK_SIZE - 1);
	uint64_t end = (p->end + BLOCK_SIZE - 1) & ~(uint64_t)(BLOCK_SIZE - 1);
	cleanup_free uint8_t *tmp = NULL;
	int r = 0;

	tmp = disk_buf_alloc(end - first);
	if (tmp == NULL)
		return -ENOMEM;
	if (first != p->off)
		r = file_read_at(p->ip, true, &p->ip->info, first, tmp,
		    BLOCK_SIZE);
	if (r == 0 && end != p->end && (end - BLOCK_SIZE != first ||
	    first == p->off))
		r = file_read_at(p->ip, true, &p->ip->info, end - BLOCK_SIZE,
		    tmp + (end - BLOCK_SIZE - first), BLOCK_SIZE);
	if (r != 0)
		return r;
	memcpy(tmp + (p->off - first), p->buf, p->end - p->off);
	return slots_write(p->ip, first, end, tmp);
}

/* As it is, where whole blocks are written, or where they lie in place and the
 * disk can write that part of them. */
static int
piece_data(struct piece *p)
{
	uint64_t unit = p->valid && !is_encrypted(&p->ip->info) ?
	    ds_disk(p->ip->fs->ds)->info.block_size : BLOCK_SIZE;
	int r;

	if (p->off % unit == 0 && p->end % unit == 0) {
		if (p->off / CHUNK_SIZE != (p->end - 1) / CHUNK_SIZE)
			return slots_write(p->ip, p->off, p->end, p->buf);
		/* Nothing has suspended since piece_look. */
		return slot_write(p->ip, p->slot * CHUNK_SIZE +
		    p->off % CHUNK_SIZE, p->off, p->buf, p->end - p->off);
	}
	fast_pause(p->ip);
	r = piece_merge(p);
	fast_resume(p->ip);
	return r;
}

static int
piece_write(struct inode *ip, uint64_t off, uint64_t end, const void *buf,
    bool grows)
{
	struct piece p = { .ip = ip, .off = off, .end = end, .buf = buf };
	struct range range;
	int r;

	range_lock(ip, &range, off, end, BLOCK_SIZE);
	r = piece_look(&p);
	if (r == 0 && !p.ready) {
		range_unlock(ip, &range);
		range_lock(ip, &range, off, end, CHUNK_SIZE);
		r = map_prepare(ip, off, end - off);
		if (r == 0)
			r = piece_look(&p);
		if (r == 0 && !p.ready)
			r = -EIO;
	}
	if (r == 0)
		r = piece_data(&p);
	/* Perhaps all that the map needs is committed by now: then it is the
	 * inode that has the data flushed before the lock is free. */
	ip->times_dirty = ip->times_dirty || r == 0;
	if (r == 0 && (!p.valid || (grows && end > ip->info.size)))
		r = map_written(ip, off, end - off, grows ? end : 0);
	range_unlock(ip, &range);
	return r;
}

/* ---- small files ---- */

static int
inline_write(struct inode *ip, uint64_t off, const void *buf, size_t len)
{
	struct inode_disk *d;
	struct mblk *b;
	struct txn *t;
	int r;

	r = txn_begin(ip->fs->ds, 2, &t);
	if (r != 0)
		return r;
	r = mb_read(ip->fs->ds, &ip->grant, ip->ino, BLOCK_INODE, &b);
	if (r == 0) {
		d = (struct inode_disk *)b->data;
		memcpy(d->inline_data + off, buf, len);
		mb_dirty(t, b, offsetof(struct inode_disk, inline_data) + off,
		    len);
		if (off + len > ip->info.inline_size)
			ip->info.inline_size = (unsigned)(off + len);
		if (off + len > ip->info.size)
			ip->info.size = off + len;
		mb_put(b);
		r = inode_store(t, ip);
	}
	txn_end(t);
	return r;
}

/* The data is in chunk 0 on the disk: the inode's copy goes. */
static int
inline_map(struct txn *t, struct inode *ip, struct mblk *b, uint64_t chunk)
{
	struct inode_disk *d = (struct inode_disk *)b->data;
	struct inode_info old = ip->info;
	struct map_chunk c = { .own = chunk, .birth = old.epoch, .valid = 1 };
	struct map_path p;
	int r;

	ip->info.flags &= ~(uint32_t)INODE_INLINE;
	r = map_path_get(t, ip, 0, &p);
	if (r == 0) {
		r = map_path_split(t, ip, &p);
		if (r == 0)
			map_path_set_chunk(t, &p, 0, &c);
		map_path_put(&p);
	}
	if (r != 0) {
		struct map_root made = ip->info.map;

		ip->info = old;
		if (made.block != 0 && meta_free(t, made.block) != 0)
			r = -EIO;
	} else {
		memset(d->inline_data, 0, INODE_INLINE_MAX);
		mb_dirty(t, b, offsetof(struct inode_disk, inline_data),
		    INODE_INLINE_MAX);
		ip->info.inline_size = 0;
		ip->info.chunks = 1;
	}
	if (inode_store(t, ip) != 0)
		r = -EIO;
	return r;
}

/* There is nothing in the inode: the map starts empty. */
static int
inline_leave(struct inode *ip)
{
	struct txn *t;
	int r = txn_begin(ip->fs->ds, 1, &t);

	if (r != 0)
		return r;
	ip->info.flags &= ~(uint32_t)INODE_INLINE;
	r = inode_store(t, ip);
	txn_end(t);
	return r;
}

/* From the inode to a chunk; inode.map is held exclusively. */
static int
inline_spill(struct inode *ip)
{
	struct ds *ds = ip->fs->ds;
	cleanup_free uint8_t *buf = disk_buf_alloc(BLOCK_SIZE);
	struct mblk *b = NULL;
	uint64_t chunk;
	unsigned count;
	struct txn *t;
	int r;

	if (ip->info.inline_size == 0)
		return inline_leave(ip);
	if (buf == NULL)
		return -ENOMEM;
	r = txn_begin(ds, PATH_BLOCKS, &t);
	if (r != 0)
		return r;
	r = mb_read(ds, &ip->grant, ip->ino, BLOCK_INODE, &b);
	if (r != 0)
		goto out;
	memcpy(buf, ((struct inode_disk *)b->data)->inline_data,
	    ip->info.inline_size);
	r = alloc_chunks(t, ip->ino / CHUNK_BLOCKS, 1, &chunk, &count);
	if (r != 0)
		goto out;
	ip->alloc_hint = chunk + 1;
	quota_took(ip, 1);
	r = disk_write(ds_disk(ds), chunk * CHUNK_SIZE, buf, BLOCK_SIZE, 0);
	if (r == 0)
		r = inline_map(t, ip, b, chunk);
	if (r != 0) {
		quota_freed(ip, 1);
		if (free_chunks(t, chunk, 1) != 0 || inode_store(t, ip) != 0)
			r = -EIO;
	}
out:
	mb_put(b);
	txn_end(t);
	return r;
}

/* 0: the write is done or the file has a map now, see *ret_done. */
static int
inline_try(struct inode *ip, uint64_t off, const void *buf, size_t len,
    bool *ret_done)
{
	bool spill = off > INODE_INLINE_MAX || len > INODE_INLINE_MAX - off;
	struct quota_use use;
	int r;

	*ret_done = false;
	if ((ip->info.flags & INODE_INLINE) == 0)
		return 0;
	r = alloc_reserve(ip->fs->ds, 1, MAP_LEVEL_MAX + 2);
	if (r == 0 || r == -ENOSPC)
		r = quota_get(ip, spill, spill, &use);
	if (r != 0)
		return r;
	map_lock(ip, 0, 0);
	if ((ip->info.flags & INODE_INLINE) == 0)
		r = 0;
	else if (!spill) {
		r = inline_write(ip, off, buf, len);
		*ret_done = true;
	} else {
		r = inline_spill(ip);
	}
	map_unlock(ip);
	quota_put(ip, &use);
	return r;
}

int
file_is_whole(struct inode *ip, uint64_t off, uint64_t end, bool *ret)
{
	struct piece p = { .ip = ip, .ready = true, .valid = true };
	int r = 0;

	for (; off < end && r == 0 && p.ready && p.valid; off = p.end) {
		p.off = off;
		p.end = (off & ~(MIB_SIZE - 1)) + MIB_SIZE;
		if (p.end > end)
			p.end = end;
		r = piece_look(&p);
	}
	if (r == 0)
		*ret = p.ready && p.valid;
	return r;
}

int
file_overwrite(struct inode *ip, uint64_t off, const void *buf, size_t len)
{
	struct range range;
	int r;

	range_lock(ip, &range, off, off + len, BLOCK_SIZE);
	r = slots_write(ip, off, off + len, buf);
	range_unlock(ip, &range);
	return r;
}

int
file_write_at(struct inode *ip, uint64_t off, const void *buf, size_t len)
{
	const uint8_t *p = buf;
	uint64_t end = off + len, stop;
	bool done;
	int r;

	r = inline_try(ip, off, buf, len, &done);
	if (r != 0 || done)
		return r;
	for (; off < end && r == 0; off = stop) {
		stop = (off & ~(MIB_SIZE - 1)) + MIB_SIZE;
		if (stop > end)
			stop = end;
		r = piece_write(ip, off, stop, p, true);
		p += stop - off;
	}
	return r;
}

/* Overwrites mapped parts; the size stays. */
int
file_zero_at(struct inode *ip, uint64_t off, uint64_t len)
{
	cleanup_free void *zero = disk_buf_alloc(CHUNK_SIZE);
	uint64_t end = off + len, stop;
	int r = 0;

	if (zero == NULL)
		return -ENOMEM;
	for (; off < end && r == 0; off = stop) {
		stop = (off & ~(uint64_t)(CHUNK_SIZE - 1)) + CHUNK_SIZE;
		if (stop > end)
			stop = end;
		r = piece_write(ip, off, stop, zero, false);
	}
	return r;
}

int
file_store_times(struct inode *ip)
{
	struct txn *t;
	int r;

	times_fold(ip);
	if (!ip->times_dirty)
		return 0;
	r = txn_begin(ip->fs->ds, 1, &t);
	if (r != 0)
		return r;
	r = inode_store(t, ip);
	txn_end(t);
	return r;
}
