/* SPDX-License-Identifier: BSD-2-Clause */
/* Open files: the calls of fs.h on content. */
#include <sys/stat.h>

#include "libvmfs/core/xattr.h"

int
fs_file_attr(struct fs_file *f, struct fs_attr *ret_a)
{
	struct inode_info info;
	int r;

	r = inode_peek(f->ip, &info);
	if (r == 0 && info.generation != f->generation)
		r = -ESTALE;
	if (r == 0)
		inode_attr(f->ip->ino, &info, ret_a);
	return r;
}

/* Bytes of [off, off + len) before the end of file. */
static size_t
clip(uint64_t size, uint64_t off, size_t len)
{
	if (off >= size)
		return 0;
	return len < size - off ? len : (size_t)(size - off);
}

static int
read_locked(struct inode *ip, uint64_t off, void *buf, size_t len,
    size_t *ret_len)
{
	size_t n;
	int r;

	fiber_rwlock_rdlock(&ip->content);
	n = clip(ip->info.size, off, len);
	r = file_read_at(ip, true, &ip->info, off, buf, n);
	fiber_rwlock_unlock(&ip->content);
	if (r == 0)
		r = reader_confirm(ip);
	if (r == 0)
		*ret_len = n;
	return r;
}

static int
content_read(struct fs_file *f, uint64_t offset, void *buf, size_t len,
    size_t *ret_len)
{
	struct inode *ip = f->ip;
	struct reader rd;
	size_t n = 0;
	int r;

	if (f->mode != LOCK_FREE && inode_held(ip))
		return read_locked(ip, offset, buf, len, ret_len);
	/* A snapshot does not change, so who reads it goes on without a lock;
	 * others have asked that nobody writes meanwhile. */
	if (f->mode != LOCK_FREE && ip->info.type != INODE_SNAPSHOT)
		return -VMFS_EFENCED;
	reader_init(&rd, ip);
	rd.content = true;
	while ((r = reader_begin(&rd)) == 0) {
		if (rd.info.generation != f->generation) {
			r = -ESTALE;
		} else if (rd.locked) {
			r = read_locked(ip, offset, buf, len, &n);
		} else {
			n = clip(rd.info.size, offset, len);
			r = file_read_at(ip, false, &rd.info, offset, buf, n);
		}
		if (!reader_again(&rd, &r))
			break;
	}
	if (r == 0)
		*ret_len = n;
	return r;
}

int
fs_file_read(struct fs_file *f, uint64_t offset, void *buf, size_t len,
    size_t *ret_len)
{
	struct meter *m = f->ip->meter;
	struct meter_io io;
	int r;

	meter_begin(m, &io, len);
	r = content_read(f, offset, buf, len, ret_len);
	meter_end(m, &io, false, r == 0 ? *ret_len : 0, r);
	return r;
}

int
file_may_write(const struct fs_file *f)
{
	if ((f->flags & FS_WRITE) == 0)
		return -EBADF;
	if (fs_is_damaged(f->fs, f->ip->ino))
		return -EROFS;
	return fs_writable(f->fs);
}

static int
range_check(uint64_t off, uint64_t len)
{
	return off > INT64_MAX || len > INT64_MAX - off ? -EFBIG : 0;
}

static void
touch(struct inode *ip)
{
	ip->info.mtime_ns = ip->info.ctime_ns = fs_now_ns(ip->fs);
	ip->times_dirty = true;
}

/*
 * The end is about to move to `end` or behind it.  Bytes that were written
 * behind the old end may have reached the disk in a crash that their end did
 * not survive: they must not show now.  inode.content is held exclusively.
 */
static int
clear_behind(struct inode *ip, uint64_t end)
{
	uint64_t size = ip->info.size, block = size - size % BLOCK_SIZE;
	struct map_run run;
	int r;

	if (end <= size || block == size || (ip->info.flags & INODE_INLINE))
		return 0;
	r = map_run(ip, true, &ip->info.map, block, BLOCK_SIZE, &run);
	if (r != 0 || !run.data)
		return r;
	if (end > block + BLOCK_SIZE)
		end = block + BLOCK_SIZE;
	return file_zero_at(ip, size, end - size);
}

/* A write that leaves a gap behind the end. */
static int
clear_gap(struct inode *ip, uint64_t offset)
{
	int r;

	if (offset <= ip->info.size || ip->info.size % BLOCK_SIZE == 0)
		return 0;
	content_lock(ip);
	r = clear_behind(ip, offset);
	content_unlock(ip);
	return r;
}

static int
content_write(struct fs_file *f, uint64_t offset, const void *buf, size_t len)
{
	struct inode *ip = f->ip;
	int r;

	r = file_may_write(f);
	if (r == 0)
		r = range_check(offset, len);
	if (r != 0 || len == 0)
		return r;
	if (f->mode == LOCK_MULTI_WRITER)
		return multi_write(ip, offset, buf, len);
	r = clear_gap(ip, offset);
	if (r != 0)
		return r;
	fiber_rwlock_rdlock(&ip->content);
	touch(ip);
	r = file_write_at(ip, offset, buf, len);
	fiber_rwlock_unlock(&ip->content);
	return r;
}

static bool
has_id_bits(const struct inode_info *i)
{
	return (i->mode & S_ISUID) != 0 ||
	    ((i->mode & S_ISGID) != 0 && (i->mode & S_IXGRP) != 0);
}

int
fs_file_strip_ids(struct fs_file *f)
{
	struct inode *ip = f->ip;
	struct txn *t;
	int r;

	/* A disk is no program, and its guest's writes are not to wait. */
	if (f->mode != LOCK_EXCLUSIVE || ip->info.type == INODE_DISK)
		return 0;
	r = xattr_strip(ip, "security.capability");
	if (r != 0 || !has_id_bits(&ip->info))
		return r;
	r = txn_begin(f->fs->ds, 1, &t);
	if (r != 0)
		return r;
	if (ip->info.mode & S_IXGRP)
		ip->info.mode &= (uint16_t)~S_ISGID;
	ip->info.mode &= (uint16_t)~S_ISUID;
	ip->info.ctime_ns = fs_now_ns(f->fs);
	r = inode_store(t, ip);
	txn_end(t);
	return r;
}

/*
 * A flush leaves out LUNs that are lost, of which one may be back by now.  Then
 * every file that has anything there may have written it since its last one,
 * and must not be told that it is durable.
 */
static int
check_places(struct inode *ip, uint64_t losses)
{
	struct ds *ds = ip->fs->ds;
	uint64_t off = 0, end = ip->info.size;
	struct map_run run;
	int r = 0;

	if (ip->info.flags & INODE_INLINE)
		return 0;
	for (; r == 0 && off < end; off += run.len) {
		fiber_rwlock_rdlock(&ip->map);
		r = map_run(ip, true, &ip->info.map, off, end - off, &run);
		fiber_rwlock_unlock(&ip->map);
		if (r == 0 && run.data && (!ds_block_is_here(ds, run.block) ||
		    ds_block_lost_since(ds, run.block, losses)))
			r = -VMFS_EEXTENT;
	}
	return r;
}

int
fs_file_write(struct fs_file *f, uint64_t offset, const void *buf, size_t len)
{
	struct meter *m = f->ip->meter;
	struct meter_io io;
	int r;

	meter_begin(m, &io, len);
	r = content_write(f, offset, buf, len);
	meter_end(m, &io, true, len, r);
	return r;
}

int
fs_file_flush(struct fs_file *f)
{
	struct ds *ds = f->fs->ds;
	uint64_t losses = ds_losses(ds);
	int r;

	if (f->mode == LOCK_MULTI_WRITER)
		r = multi_flush(f->ip);
	else if (f->mode != LOCK_EXCLUSIVE)
		return 0;
	else
		r = file_store_times(f->ip);
	if (r == 0 && f->mode == LOCK_EXCLUSIVE)
		r = ds_commit(ds);
	return r == 0 && (ds_has_lost(ds) || ds_losses(ds) != losses) ?
	    check_places(f->ip, losses) : r;
}

int
fs_file_publish(struct fs_file *f)
{
	int r;

	if (f->mode != LOCK_EXCLUSIVE)
		return fs_file_flush(f);
	r = file_store_times(f->ip);
	return r != 0 ? r : ds_checkpoint(f->fs->ds, f->ip->ino);
}

/* inode.content is held exclusively. */
static int
inline_clear(struct inode *ip, uint64_t off, uint64_t end)
{
	struct inode_disk *d;
	struct mblk *b;
	struct txn *t;
	int r;

	if (end > ip->info.inline_size)
		end = ip->info.inline_size;
	if (off >= end)
		return 0;
	map_lock(ip, 0, 0);
	r = txn_begin(ip->fs->ds, 1, &t);
	if (r == 0) {
		r = mb_read(ip->fs->ds, &ip->grant, ip->ino, BLOCK_INODE, &b);
		if (r == 0) {
			d = (struct inode_disk *)b->data;
			memset(d->inline_data + off, 0, end - off);
			mb_dirty(t, b, offsetof(struct inode_disk,
			    inline_data) + off, end - off);
			mb_put(b);
		}
		txn_end(t);
	}
	map_unlock(ip);
	return r;
}

/*
 * Zeroes [off, end): whole blocks by the map, parts of blocks by writing.
 * inode.content is held exclusively.
 */
static int
punch_at(struct inode *ip, uint64_t off, uint64_t end)
{
	uint64_t first = (off + BLOCK_SIZE - 1) & ~(uint64_t)(BLOCK_SIZE - 1);
	uint64_t last = end & ~(uint64_t)(BLOCK_SIZE - 1);
	struct map_run run;
	int r = 0;

	if (ip->info.flags & INODE_INLINE)
		return inline_clear(ip, off, end);
	if (first > last) {
		/* Inside of one block. */
		first = end;
		last = end;
	}
	if (off < first) {
		r = map_run(ip, true, &ip->info.map, first - 1 -
		    (first - 1) % BLOCK_SIZE, BLOCK_SIZE, &run);
		if (r == 0 && run.data)
			r = file_zero_at(ip, off, first - off);
	}
	if (r == 0 && last < end) {
		r = map_run(ip, true, &ip->info.map, last, BLOCK_SIZE, &run);
		if (r == 0 && run.data)
			r = file_zero_at(ip, last, end - last);
	}
	if (r == 0 && first < last)
		r = map_punch(ip, first, last - first);
	return r;
}

int
fs_file_punch(struct fs_file *f, uint64_t offset, uint64_t len)
{
	struct inode *ip = f->ip;
	uint64_t end, size;
	int r;

	r = file_may_write(f);
	if (r == 0)
		r = range_check(offset, len);
	if (r == 0 && f->mode == LOCK_MULTI_WRITER)
		r = -EOPNOTSUPP;
	if (r != 0)
		return r;
	content_lock(ip);
	touch(ip);
	end = offset + len;
	/* What lies behind the end reads as zeroes, to the block's end. */
	size = (ip->info.size + BLOCK_SIZE - 1) & ~(uint64_t)(BLOCK_SIZE - 1);
	if (end >= ip->info.size && end < size)
		end = size;
	if (offset < end)
		r = punch_at(ip, offset, end);
	content_unlock(ip);
	return r != 0 ? r : quota_settle(ip, false);
}

int
fs_file_allocate(struct fs_file *f, uint64_t offset, uint64_t len)
{
	struct inode *ip = f->ip;
	uint64_t end = offset + len, stop;
	const uint64_t mib = (uint64_t)1 << MAP_L1_SHIFT;
	int r;

	r = file_may_write(f);
	if (r == 0)
		r = range_check(offset, len);
	if (r != 0)
		return r;
	if (f->mode == LOCK_MULTI_WRITER)
		return end <= ip->info.size ? 0 : -EPERM; /* it has it all */
	content_lock(ip);
	/* A small file has its room in the inode. */
	if ((ip->info.flags & INODE_INLINE) && end <= INODE_INLINE_MAX)
		end = offset;
	else if (ip->info.flags & INODE_INLINE)
		r = file_write_at(ip, INODE_INLINE_MAX + 1, "", 0);
	for (; offset < end && r == 0; offset = stop) {
		stop = (offset & ~(mib - 1)) + mib;
		if (stop > end)
			stop = end;
		r = map_prepare(ip, offset, stop - offset);
	}
	content_unlock(ip);
	return r;
}

static int
size_store(struct inode *ip, uint64_t size)
{
	struct txn *t;
	int r;

	r = txn_begin(ip->fs->ds, 1, &t);
	if (r != 0)
		return r;
	ip->info.size = size;
	if ((ip->info.flags & INODE_INLINE) && ip->info.inline_size > size)
		ip->info.inline_size = (unsigned)size;
	r = inode_store(t, ip);
	txn_end(t);
	return r;
}

int
fs_file_truncate(struct fs_file *f, uint64_t size)
{
	struct inode *ip = f->ip;
	int r;

	r = file_may_write(f);
	if (r == 0)
		r = range_check(size, 0);
	if (r == 0 && ip->info.type == INODE_DISK && size % 512 != 0)
		r = -EINVAL;
	if (r == 0 && size > map_reach(MAP_LEVEL_MAX))
		r = -EFBIG;
	if (r != 0)
		return r;
	if (f->mode == LOCK_MULTI_WRITER)
		return size == ip->info.size ? 0 : -EPERM;
	content_lock(ip);
	touch(ip);
	/* First the content, also what was allocated behind the end: a crash
	 * in between leaves zeroes, never old bytes behind a new end. */
	if (size < ip->info.size)
		r = punch_at(ip, size, INT64_MAX & ~(uint64_t)(BLOCK_SIZE - 1));
	else
		r = clear_behind(ip, size);
	if (r == 0)
		r = size_store(ip, size);
	content_unlock(ip);
	return r != 0 ? r : quota_settle(ip, false);
}

/* -ENXIO: no data before `end` or the file's end, whichever comes first. */
static int
seek_in(struct inode *ip, bool locked, const struct inode_info *i,
    uint64_t off, uint64_t end, bool data, uint64_t *ret_offset)
{
	uint64_t at = off & ~(uint64_t)(BLOCK_SIZE - 1);
	struct map_run run;
	int r;

	if (off >= i->size)
		return -ENXIO;
	if (end > i->size)
		end = i->size;
	if (i->flags & INODE_INLINE) {
		*ret_offset = data ? off : end;
		return 0;
	}
	while (at < end) {
		fiber_rwlock_rdlock(&ip->map);
		r = map_run(ip, locked, &i->map, at, end - at, &run);
		fiber_rwlock_unlock(&ip->map);
		if (r != 0)
			return r;
		if (run.data == data) {
			*ret_offset = at > off ? at : off;
			return 0;
		}
		at += run.len;
	}
	if (data)
		return -ENXIO;
	*ret_offset = end;
	return 0;
}

static int
seek_before(struct fs_file *f, uint64_t offset, uint64_t end, bool data,
    uint64_t *ret_offset)
{
	struct inode *ip = f->ip;
	struct reader rd;
	uint64_t at = 0;
	int r;

	reader_init(&rd, ip);
	rd.content = true;
	while ((r = reader_begin(&rd)) == 0) {
		if (rd.locked)
			fiber_rwlock_rdlock(&ip->content);
		r = rd.info.generation != f->generation ? -ESTALE :
		    seek_in(ip, rd.locked, rd.locked ? &ip->info : &rd.info,
		    offset, end, data, &at);
		if (rd.locked)
			fiber_rwlock_unlock(&ip->content);
		if (!reader_again(&rd, &r))
			break;
	}
	if (r == 0)
		*ret_offset = at;
	return r;
}

int
fs_file_seek(struct fs_file *f, uint64_t offset, bool data,
    uint64_t *ret_offset)
{
	return seek_before(f, offset, UINT64_MAX, data, ret_offset);
}

int
fs_file_seek_to(struct fs_file *f, uint64_t offset, uint64_t end, bool data,
    uint64_t *ret_offset)
{
	int r = seek_before(f, offset, end, data, ret_offset);

	if (r != -ENXIO)
		return r;
	*ret_offset = end;
	return 0;
}
