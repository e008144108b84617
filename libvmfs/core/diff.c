/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Where two trees of a family differ: both maps are walked side by side, and
 * what hangs on a node that both have is not entered.  Shared space is never
 * written, so equal places mean equal content.
 */
#include "libvmfs/core/fs_impl.h"

#define MIB_SIZE ((uint64_t)1 << MAP_L1_SHIFT)

struct side {
	uint64_t ino;		/* 0: an empty tree */
	struct map_root root;
	uint64_t size;
};

struct diff {
	struct inode *ip;	/* of the disk: its nodes are read by it */
	bool locked;
	struct side from, to;
	uint64_t begin, end;	/* of interest; the disk may end before */
	bool (*fn)(void *arg, uint64_t offset, uint64_t len, bool data);
	void *arg;
	/* Found and not yet told. */
	uint64_t off, len;
	bool data;
};

/* The head moves on: its root is looked up at each step. */
static const struct map_root *
side_root(const struct diff *d, const struct side *s)
{
	return s->ino == d->ip->ino ? &d->ip->info.map : &s->root;
}

/* Tells what is pending unless this continues it; false: no more. */
static bool
tell(struct diff *d, uint64_t off, uint64_t len, bool data)
{
	bool more = true;

	if (d->len > 0 && (off != d->off + d->len || data != d->data)) {
		more = d->fn(d->arg, d->off, d->len, d->data);
		d->len = 0;
	}
	if (d->len == 0) {
		d->off = off;
		d->data = data;
	}
	d->len += len;
	return more;
}

/* How far from off on both have the same nodes; 0: not even one. */
static int
same_span(struct diff *d, uint64_t off, uint64_t *ret_span)
{
	const struct map_root *a = side_root(d, &d->from);
	const struct map_root *b = side_root(d, &d->to);
	unsigned level = a->level > b->level ? a->level : b->level;
	uint64_t x, y;
	uint32_t birth;
	int r;

	*ret_span = 0;
	for (; level > 0; level--) {
		uint64_t reach = map_reach(level);

		r = map_node_at(d->ip, d->locked, a, off, level, &x, &birth);
		if (r == 0)
			r = map_node_at(d->ip, d->locked, b, off, level, &y,
			    &birth);
		if (r != 0)
			return r;
		/* Above a root, or below a hole, there is no node. */
		if (x == y && x != 0) {
			*ret_span = reach - (off & (reach - 1));
			return 0;
		}
	}
	return 0;
}

/* The runs at off, at most to the end of the MiB. */
static int
compare_at(struct diff *d, uint64_t off, uint64_t max, uint64_t *ret_n,
    bool *ret_same, bool *ret_data)
{
	struct map_run a, b;
	int r;

	r = map_run(d->ip, d->locked, side_root(d, &d->from), off, max, &a);
	if (r == 0)
		r = map_run(d->ip, d->locked, side_root(d, &d->to), off, max,
		    &b);
	if (r != 0)
		return r;
	*ret_n = a.len < b.len ? a.len : b.len;
	*ret_same = a.data == b.data && a.block == b.block;
	*ret_data = b.data;
	return 0;
}

/* Two holes may be longer than a MiB. */
static int
step(struct diff *d, uint64_t off, uint64_t end, uint64_t *ret_n, bool *ret_go)
{
	uint64_t max = MIB_SIZE - (off & (MIB_SIZE - 1)), n;
	bool same = true, data = false;
	struct map_view a, b;
	int r;

	r = same_span(d, off, ret_n);
	if (r != 0 || *ret_n > 0)
		return r;
	r = map_view(d->ip, d->locked, side_root(d, &d->from), off, &a);
	if (r == 0)
		r = map_view(d->ip, d->locked, side_root(d, &d->to), off, &b);
	if (r != 0)
		return r;
	if (a.state == MAP_HOLE && b.state == MAP_HOLE) {
		uint64_t in = off & (CHUNK_SIZE - 1);

		*ret_n = (a.span < b.span ? a.span : b.span) - in;
		return 0;
	}
	if (max > end - off)
		max = end - off;
	r = compare_at(d, off, max, &n, &same, &data);
	if (r != 0)
		return r;
	*ret_n = n;
	if (!same)
		*ret_go = tell(d, off, n, data);
	return 0;
}

static int
walk(struct diff *d)
{
	uint64_t size = d->from.size > d->to.size ? d->from.size : d->to.size;
	uint64_t end = (size + BLOCK_SIZE - 1) & ~(uint64_t)(BLOCK_SIZE - 1);
	uint64_t off = d->begin & ~(uint64_t)(BLOCK_SIZE - 1), n = 0;
	bool go = true;
	int r = 0;

	if (d->end < end)
		end = (d->end + BLOCK_SIZE - 1) & ~(uint64_t)(BLOCK_SIZE - 1);
	while (r == 0 && go && off < end) {
		/* For one step: the guest's writes come in between. */
		fiber_rwlock_rdlock(&d->ip->map);
		r = step(d, off, end, &n, &go);
		fiber_rwlock_unlock(&d->ip->map);
		off = n < end - off ? off + n : end;
	}
	if (r == 0 && go && d->len > 0)
		(void)d->fn(d->arg, d->off, d->len, d->data);
	return r;
}

static int
side_read(struct fs *fs, uint64_t ino, struct side *s, uint64_t *ret_disk)
{
	cleanup_free uint8_t *buf = disk_buf_alloc(BLOCK_SIZE);
	struct inode_info info;
	int r;

	if (buf == NULL)
		return -ENOMEM;
	r = block_read_unlocked(fs->ds, ino, BLOCK_INODE, ino, buf);
	if (r == 0)
		r = inode_decode(buf, &info);
	if (r == 0 && !snapshot_possible(info.type) &&
	    info.type != INODE_SNAPSHOT)
		r = -EINVAL;
	if (r == 0 && info.flags & INODE_INLINE)
		r = -EINVAL;
	if (r != 0)
		return r;
	*s = (struct side){ ino, info.map, info.size };
	*ret_disk = info.type == INODE_SNAPSHOT ? info.disk : ino;
	return 0;
}

/* The disk whose family both are of. */
static int
family_disk(struct fs *fs, struct diff *d, uint64_t *ret_disk)
{
	uint64_t a = 0, b = 0;
	int r = 0;

	if (d->from.ino != 0)
		r = side_read(fs, d->from.ino, &d->from, &a);
	if (r == 0 && d->to.ino != 0)
		r = side_read(fs, d->to.ino, &d->to, &b);
	if (r != 0)
		return r;
	if (a == 0 && b == 0)
		return -EINVAL;
	if (a != 0 && b != 0 && a != b)
		return -EXDEV;
	*ret_disk = a != 0 ? a : b;
	return 0;
}

/* Its tree may have gone, or moved, before the family was held fast. */
static int
side_again(struct diff *d, struct side *s)
{
	const struct kin *k;
	uint64_t disk;
	int r;

	if (s->ino == d->ip->ino)
		s->size = d->ip->info.size;
	if (s->ino == d->ip->ino || s->ino == 0)
		return 0;
	if (d->locked) {
		k = kin_find(d->ip, s->ino);
		if (k == NULL || (k->flags & SNAPTAB_DELETING))
			return -ENOENT;
	}
	r = side_read(d->ip->fs, s->ino, s, &disk);
	return r == 0 && disk != d->ip->ino ? -ENOENT : r;
}

static int
compare(struct diff *d)
{
	int r = side_again(d, &d->from);

	if (r == 0)
		r = side_again(d, &d->to);
	return r != 0 ? r : walk(d);
}

static int
diff_locked(struct diff *d)
{
	int r;

	fiber_mutex_lock(&d->ip->look);
	d->locked = true;
	r = kin_load(d->ip);
	if (r == 0)
		r = compare(d);
	fiber_mutex_unlock(&d->ip->look);
	return r;
}

/* Nobody here has the disk: as of its last checkpoint. */
static int
diff_unlocked(struct fs *fs, struct diff *d, uint64_t disk)
{
	struct reader rd;
	int r;

	r = inode_private(fs, disk, &d->ip);
	if (r != 0)
		return r;
	reader_init(&rd, d->ip);
	r = reader_begin(&rd);
	if (r == 0) {
		d->ip->info = rd.info;
		r = compare(d);
		/* What was told cannot be taken back. */
		if (reader_again(&rd, &r))
			r = -EAGAIN;
	}
	inode_unref(d->ip);
	return r;
}

int
fs_diff(struct fs *fs, uint64_t from, uint64_t to,
    bool (*fn)(void *arg, uint64_t offset, uint64_t len, bool data), void *arg)
{
	return fs_diff_range(fs, from, to, 0, UINT64_MAX, fn, arg);
}

int
fs_diff_range(struct fs *fs, uint64_t from, uint64_t to, uint64_t offset,
    uint64_t length,
    bool (*fn)(void *arg, uint64_t offset, uint64_t len, bool data), void *arg)
{
	struct diff d = {
		.from.ino = from, .to.ino = to, .fn = fn, .arg = arg,
		.begin = offset,
		.end = length < UINT64_MAX - offset ? offset + length :
		    UINT64_MAX,
	};
	uint64_t disk;
	int r;

	r = family_disk(fs, &d, &disk);
	if (r == 0)
		r = inode_ref(fs, disk, &d.ip);
	if (r != 0)
		return r;
	if (inode_share(d.ip))
		return inode_give(d.ip, LOCK_SHARED, diff_locked(&d));
	inode_unref(d.ip);
	return diff_unlocked(fs, &d, disk);
}
