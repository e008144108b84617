/* SPDX-License-Identifier: BSD-2-Clause */
/* New names: files, directories, disks, symbolic links. */
#include <sys/stat.h>

#include "libvmfs/core/fs_impl.h"

#define NAME_BLOCKS 24u		/* what one insertion dirties, with splits */
#define NAME_META 12u

struct make {
	struct fs *fs;
	const char *name;	/* NULL: none, see fs_file_link */
	struct inode_info info;
	const void *inl;
	struct lock_grant g;
};

static void
info_init(struct make *m, enum inode_type type, uint16_t mode, uint32_t uid,
    uint32_t gid)
{
	uint64_t now = fs_now_ns(m->fs);

	m->info = (struct inode_info){
		.type = type,
		.mode = mode & 07777,
		.uid = uid,
		.gid = gid,
		.nlink = type == INODE_DIR ? 2 : m->name != NULL,
		.flags = (type == INODE_DISK ? 0 : INODE_INLINE) |
		    (m->name != NULL ? 0 : INODE_DELETING),
		.atime_ns = now,
		.mtime_ns = now,
		.ctime_ns = now,
		.btime_ns = now,
		.epoch = 1,
		.next_snapshot_id = 1,
	};
	if (type == INODE_DIR)
		m->info.dir_seed = (uint32_t)env_random_u64(
		    ds_env(m->fs->ds));
}

static int
make_entry(struct txn *t, struct inode *dip, const struct make *m)
{
	struct dirent e = {
		.ino = m->g.addr, .generation = m->info.generation,
		.type = m->info.type, .name = m->name,
	};

	if (m->name == NULL)
		return orphan_add(t, m->g.addr);
	e.name_len = strlen(m->name);
	return dir_insert(t, dip, &e);
}

/* In the transaction: inode first, since only the entry shows it. */
static int
make_in(struct txn *t, struct inode *dip, struct make *m)
{
	struct lockops *l = ds_locks(m->fs->ds);
	uint64_t ino;
	int r, f;

	m->info.parent = dip->ino;
	if (m->info.type != INODE_SYMLINK)
		quota_inherit(dip, &m->info);
	r = inode_make(t, m->fs, dip->ino, &m->info, m->inl, &m->g);
	if (r != 0)
		return r;
	ino = m->g.addr;
	r = make_entry(t, dip, m);
	if (r != 0) {
		f = meta_free(t, ino);
		(void)l->vt->release(l, &m->g);
		m->g = (struct lock_grant){ 0 };
		return f != 0 ? f : r;
	}
	if (m->name == NULL)
		return 0;
	if (m->info.type == INODE_DIR)
		dip->info.nlink++;
	dip->info.mtime_ns = dip->info.ctime_ns = m->info.btime_ns;
	return inode_store(t, dip);
}

/* A set-group-id directory passes its group on; to directories the bit, too. */
static void
inherit_group(const struct inode_info *dir, struct inode_info *i)
{
	if ((dir->mode & S_ISGID) == 0)
		return;
	i->gid = dir->gid;
	if (i->type == INODE_DIR)
		i->mode |= S_ISGID;
}

static int
make_locked(struct inode *dip, struct make *m, struct fs_attr *ret_a)
{
	struct ds *ds = m->fs->ds;
	struct dirent e;
	struct txn *t;
	uint64_t ino;
	int r, u;

	if (dip->info.type != INODE_DIR)
		return -ENOTDIR;
	if (dip->info.nlink == 0)
		return -ENOENT;
	r = m->name == NULL ? -ENOENT :
	    dir_find(dip, &dip->info, true, m->name, &e);
	if (r != -ENOENT)
		return r == 0 ? -EEXIST : r;
	inherit_group(&dip->info, &m->info);
	r = txn_begin(ds, NAME_BLOCKS, &t);
	if (r != 0)
		return r;
	r = make_in(t, dip, m);
	if (r == 0)
		fs_noted(m->fs, m->g.addr);
	txn_end(t);
	ino = m->g.addr;
	if (m->g.mode != LOCK_FREE) {
		u = ds_unlock(ds, &m->g);
		r = r != 0 ? r : u;
	}
	if (r == 0)
		inode_attr(ino, &m->info, ret_a);
	return r;
}

static int
make(struct make *m, uint64_t dir, struct fs_attr *ret_a)
{
	struct inode *dip;
	int r;

	r = alloc_reserve(m->fs->ds, 0, NAME_META);
	if (r != 0 && r != -ENOSPC)
		return r;
	r = inode_take(m->fs, dir, LOCK_EXCLUSIVE, true, &dip, NULL);
	if (r != 0)
		return r;
	content_lock(dip);
	r = make_locked(dip, m, ret_a);
	content_unlock(dip);
	return inode_give(dip, LOCK_EXCLUSIVE, r);
}

int
fs_create(struct fs *fs, uint64_t dir, const char *name, enum inode_type type,
    uint16_t mode, uint32_t uid, uint32_t gid, uint64_t size,
    struct fs_attr *ret_a)
{
	struct make m = { .fs = fs, .name = name };
	int r;

	r = fs_writable(fs);
	if (r == 0 && name != NULL)
		r = name_check(name);
	if (r != 0)
		return r;
	if (type == INODE_DIR && name == NULL)
		return -EINVAL;
	if (type != INODE_FILE && type != INODE_DIR && type != INODE_DISK)
		return -EINVAL;
	if (type == INODE_DISK && size % 512 != 0)
		return -EINVAL;
	if (size > INT64_MAX || size > map_reach(MAP_LEVEL_MAX))
		return -EFBIG;
	info_init(&m, type, mode, uid, gid);
	if (type != INODE_DIR)
		m.info.size = size;
	return make(&m, dir, ret_a);
}

int
fs_symlink(struct fs *fs, uint64_t dir, const char *name, const char *target,
    uint32_t uid, uint32_t gid, struct fs_attr *ret_a)
{
	struct make m = { .fs = fs, .name = name, .inl = target };
	size_t len = strlen(target);
	int r;

	r = fs_writable(fs);
	if (r == 0)
		r = name_check(name);
	if (r != 0)
		return r;
	if (len == 0)
		return -EINVAL;
	if (len > INODE_INLINE_MAX)
		return -ENAMETOOLONG;
	info_init(&m, INODE_SYMLINK, 0777, uid, gid);
	m.info.size = len;
	m.info.inline_size = (unsigned)len;
	return make(&m, dir, ret_a);
}
