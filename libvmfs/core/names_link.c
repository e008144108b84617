/* SPDX-License-Identifier: BSD-2-Clause */
/* A further name for a file; a name for one that has lost it. */
#include "libvmfs/core/names_set.h"

#define NAME_BLOCKS 24u
#define NAME_META 12u

static int
link_check(struct inode *dip, const struct inode *ip, const char *name)
{
	struct dirent e;
	int r;

	if (ip->info.type != INODE_FILE && ip->info.type != INODE_SYMLINK)
		return -EPERM;
	if (ip->info.nlink == 0 || dip->info.nlink == 0)
		return -ENOENT;
	if (ip->info.nlink >= FS_LINKS_MAX)
		return -EMLINK;
	/* What it holds stays with the account that counts it. */
	if (ip->info.type == INODE_FILE &&
	    ip->info.policy.account != dip->info.policy.account)
		return -EXDEV;
	r = names_find(dip, name, &e);
	return r == -ENOENT ? 0 : r == 0 ? -EEXIST : r;
}

static int
link_in(struct txn *t, struct inode *dip, struct inode *ip, const char *name)
{
	const struct dirent e = {
		.ino = ip->ino, .generation = ip->info.generation,
		.type = ip->info.type, .name = name, .name_len = strlen(name),
	};
	int r;

	/* Counted before anything suspends: another fiber may be about to
	 * unlink what it takes for the last name. */
	if (ip->info.nlink == 0)
		return -ENOENT;
	ip->info.nlink++;
	r = dir_insert(t, dip, &e);
	if (r != 0) {
		ip->info.nlink--;
		return r;
	}
	ip->info.ctime_ns = fs_now_ns(ip->fs);
	dip->info.mtime_ns = dip->info.ctime_ns = ip->info.ctime_ns;
	r = inode_store(t, ip);
	return r != 0 ? r : inode_store(t, dip);
}

static int
link_locked(struct inode *dip, struct inode *ip, const char *name,
    struct fs_attr *ret_a)
{
	struct txn *t;
	int r;

	r = link_check(dip, ip, name);
	if (r == 0)
		r = txn_begin(ip->fs->ds, NAME_BLOCKS, &t);
	if (r != 0)
		return r;
	r = link_in(t, dip, ip, name);
	if (r == 0)
		fs_noted(ip->fs, ip->ino);
	txn_end(t);
	if (r == 0)
		inode_attr(ip->ino, &ip->info, ret_a);
	return r;
}

/* The file at once, as for an unlink: who has it open elsewhere keeps it. */
static int
link_take(struct fs *fs, uint64_t ino, uint32_t generation, struct inode *dip,
    const char *name, struct fs_attr *ret_a, struct lock_holder *holder)
{
	struct inode *ip;
	int r;

	r = inode_take(fs, ino, LOCK_EXCLUSIVE, false, &ip, holder);
	if (r != 0)
		return r;
	r = inode_is_meant(&ip->info, generation);
	if (r == 0)
		r = link_locked(dip, ip, name, ret_a);
	return inode_give(ip, LOCK_EXCLUSIVE, r);
}

int
fs_link(struct fs *fs, uint64_t ino, uint32_t generation, uint64_t dir,
    const char *name, struct fs_attr *ret_a, struct lock_holder *ret_holder)
{
	struct names_set s = { 0 };
	int r;

	r = fs_writable(fs);
	if (r == 0)
		r = name_check(name);
	if (r == 0 && (ino == dir || !fs_has_attrs(fs)))
		r = -EPERM;
	if (r == 0)
		r = alloc_reserve(fs->ds, 0, NAME_META);
	if (r != 0 && r != -ENOSPC)
		return r;
	names_set_add(&s, dir);
	r = names_set_lock(&s, fs);
	if (r != 0)
		return r;
	if (s.ip[0]->info.type != INODE_DIR)
		r = -ENOTDIR;
	else
		r = link_take(fs, ino, generation, s.ip[0], name, ret_a,
		    ret_holder);
	return names_set_unlock(&s, r);
}

/* ---- what has no name ---- */

static int
name_in(struct txn *t, struct inode *dip, struct inode *ip, const char *name)
{
	const struct dirent e = {
		.ino = ip->ino, .generation = ip->info.generation,
		.type = ip->info.type, .name = name, .name_len = strlen(name),
	};
	int r;

	r = dir_insert(t, dip, &e);
	if (r == 0)
		r = orphan_remove(t, ip->ino);
	if (r != 0)
		return r;
	ip->info.nlink = 1;
	ip->info.flags &= ~(uint32_t)INODE_DELETING;
	ip->info.parent = dip->ino;
	ip->info.ctime_ns = fs_now_ns(ip->fs);
	dip->info.mtime_ns = dip->info.ctime_ns = ip->info.ctime_ns;
	r = inode_store(t, ip);
	return r != 0 ? r : inode_store(t, dip);
}

static int
name_locked(struct inode *dip, struct inode *ip, const char *name)
{
	struct dirent e;
	struct txn *t;
	int r;

	if (ip->info.policy.account != dip->info.policy.account)
		return -EXDEV;
	if (ip->info.snapshots > 0)
		return -EBUSY;
	if (dip->info.nlink == 0)
		return -ENOENT;
	r = names_find(dip, name, &e);
	if (r != -ENOENT)
		return r == 0 ? -EEXIST : r;
	r = txn_begin(ip->fs->ds, NAME_BLOCKS, &t);
	if (r != 0)
		return r;
	r = name_in(t, dip, ip, name);
	txn_end(t);
	return r;
}

/* The hold of who took the name away goes on with who gave it another. */
int
fs_file_link(struct fs_file *f, uint64_t dir, const char *name)
{
	struct inode *ip = f->ip;
	struct names_set s = { 0 };
	bool done;
	int r;

	r = fs_writable(f->fs);
	if (r == 0)
		r = name_check(name);
	if (r == 0 && (f->mode != LOCK_EXCLUSIVE || !ip->unlinked))
		r = -EBADF;
	if (r == 0)
		r = alloc_reserve(f->fs->ds, 0, NAME_META);
	if (r != 0 && r != -ENOSPC)
		return r;
	names_set_add(&s, dir);
	r = names_set_lock(&s, f->fs);
	if (r != 0)
		return r;
	content_lock(ip);
	r = ip->unlinked ? name_locked(s.ip[0], ip, name) : -EBADF;
	done = r == 0;
	if (done)
		ip->unlinked = false;
	content_unlock(ip);
	r = names_set_unlock(&s, r);
	return done ? inode_give(ip, LOCK_EXCLUSIVE, r) : r;
}
