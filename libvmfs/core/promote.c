/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A clone that gets space of its own for all it shares with its origin, chunk
 * by chunk, and then lets go of the snapshot.  Cut short it is a clone that
 * shares less.
 */
#include "libvmfs/core/fs_impl.h"

#define MIB_SIZE ((uint64_t)1 << MAP_L1_SHIFT)
#define L1_SIZE (MIB_SIZE * MAP_FANOUT)

static bool
is_shared(const struct inode *ip, const struct map_chunk *c)
{
	return c->base != 0 ||
	    (c->own != 0 && c->birth <= ip->info.origin_epoch);
}

/*
 * The chunk is written again as a whole: what was a hole in it between data
 * becomes zeroes, so that nothing below it shows through.  buf: a chunk.
 */
static int
chunk_rewrite(struct inode *ip, uint64_t off, void *buf)
{
	uint64_t end = off + CHUNK_SIZE;
	int r;

	if (end > ip->info.size)
		end = ip->info.size;
	/* Allocated behind the end, by nobody who can be asked. */
	if (off >= end)
		return map_punch(ip, off, CHUNK_SIZE);
	r = file_read_at(ip, true, &ip->info, off, buf, end - off);
	if (r == 0)
		r = file_write_at(ip, off, buf, end - off);
	/* The last chunk of a disk that ends within it. */
	if (r == 0 && end != off + CHUNK_SIZE)
		r = file_zero_at(ip, end, off + CHUNK_SIZE - end);
	return r;
}

static int
chunk_promote(struct inode *ip, uint64_t off, void *buf)
{
	struct map_view v;
	int r;

	r = map_view(ip, true, &ip->info.map, off, &v);
	if (r != 0 || v.state == MAP_HOLE || !is_shared(ip, &v.c))
		return r;
	return chunk_rewrite(ip, off, buf);
}

/* *ret_next: where the next MiB with anything in it may be. */
static int
mib_promote(struct inode *ip, uint64_t off, void *buf, uint64_t *ret_next)
{
	struct map_view v;
	int r;

	r = map_view(ip, true, &ip->info.map, off, &v);
	if (r == 0 && v.state == MAP_HOLE && v.span >= MIB_SIZE) {
		*ret_next = v.span > UINT64_MAX - off ? UINT64_MAX :
		    off + v.span;
		return 0;
	}
	for (unsigned k = 0; k < CHUNK_BLOCKS && r == 0; k++)
		r = chunk_promote(ip, off + (uint64_t)k * CHUNK_SIZE, buf);
	*ret_next = off + MIB_SIZE;
	return r;
}

/* Nodes on the way to off that map only holes were not copied by writes. */
static int
nodes_promote(struct inode *ip, uint64_t off)
{
	struct map_path p;
	struct txn *t;
	int r, e;

	r = alloc_reserve(ip->fs->ds, 0, MAP_LEVEL_MAX + 2);
	if (r != 0)
		return r;
	map_lock(ip, 0, 0);
	r = txn_begin(ip->fs->ds, PATH_BLOCKS, &t);
	if (r == 0) {
		r = map_path_get(t, ip, off, &p);
		if (r == 0)
			map_path_put(&p);
		e = inode_store(t, ip);
		r = r != 0 ? r : e;
		txn_end(t);
	}
	map_unlock(ip);
	return r;
}

static int
all_nodes_promote(struct inode *ip)
{
	uint64_t reach = map_reach(ip->info.map.level), addr, off = 0;
	uint32_t birth;
	int r = 0;

	while (r == 0 && off < reach && ip->info.map.block != 0) {
		r = map_node_at(ip, true, &ip->info.map, off, 1, &addr,
		    &birth);
		if (r == 0 && addr != 0 && birth <= ip->info.origin_epoch)
			r = nodes_promote(ip, off);
		if (r == 0 && addr == 0) {
			struct map_view v;

			r = map_view(ip, true, &ip->info.map, off, &v);
			off += r == 0 && v.span < reach - off ? v.span :
			    reach - off;
		} else {
			off += L1_SIZE;
		}
	}
	return r;
}

static int
promote_check(const struct fs_file *f)
{
	const struct inode_info *i = &f->ip->info;

	if (f->mode != LOCK_EXCLUSIVE)
		return -EBADF;
	if ((i->flags & INODE_CLONE) == 0 || i->flags & INODE_INLINE)
		return -EINVAL;
	return i->snapshots > 0 ? -EBUSY : file_may_write(f);
}

static int
data_promote(struct inode *ip, const struct fs_progress *p)
{
	cleanup_free void *buf = disk_buf_alloc(CHUNK_SIZE);
	uint64_t off = 0, next = 0;
	int r = buf != NULL ? 0 : -ENOMEM;

	for (; r == 0 && off < ip->info.size; off = next) {
		if (!progress_step(p, off, ip->info.size))
			return -ECANCELED;
		/* Between two MiB the guest writes. */
		content_lock(ip);
		r = mib_promote(ip, off, buf, &next);
		content_unlock(ip);
	}
	return r;
}

int
fs_file_promote(struct fs_file *f, const struct fs_progress *p)
{
	struct inode *ip = f->ip;
	uint64_t idle = 0;
	int r;

	r = promote_check(f);
	if (r != 0)
		return r;
	/* No snapshot of it meanwhile, which would share as well, and no copy
	 * that shares: this does not come by there again. */
	snaps_lock(ip);
	ip->promoting = true;
	r = ip->info.snapshots > 0 ? -EBUSY : kin_load(ip);
	if (r == 0) {
		/* Like the guest's writes. */
		fiber_mutex_unlock(&ip->look);
		r = data_promote(ip, p);
		fiber_mutex_lock(&ip->look);
	}
	if (r == 0) {
		content_lock(ip);
		r = all_nodes_promote(ip);
		if (r == 0)
			r = pin_release(ip, false, &idle);
		content_unlock(ip);
	}
	ip->promoting = false;
	snaps_unlock(ip);
	if (r == 0)
		pin_released(ip->fs, idle);
	return r;
}
