/* SPDX-License-Identifier: BSD-2-Clause */
/* A name for an inode that has none: what fsck finds. */
#include "libvmfs/core/names_set.h"

#define NAME_BLOCKS 24u
#define NAME_META 12u

static int
adopt_in(struct txn *t, struct inode *dip, struct inode *ip, const char *name)
{
	const struct dirent e = {
		.ino = ip->ino, .generation = ip->info.generation,
		.type = ip->info.type, .name = name, .name_len = strlen(name),
	};
	int r;

	r = dir_insert(t, dip, &e);
	if (r != 0)
		return r;
	ip->info.parent = dip->ino;
	if (ip->info.type == INODE_DIR)
		dip->info.nlink++;
	else
		ip->info.nlink = 1;
	r = inode_store(t, ip);
	return r != 0 ? r : inode_store(t, dip);
}

static int
adopt_locked(struct fs *fs, struct inode *dip, struct inode *ip,
    const char *name)
{
	struct dirent e;
	struct txn *t;
	int r;

	r = names_find(dip, name, &e);
	if (r != -ENOENT)
		return r == 0 ? -EEXIST : r;
	if (ip->info.type == INODE_SNAPSHOT)
		return -EINVAL;
	r = txn_begin(fs->ds, NAME_BLOCKS, &t);
	if (r != 0)
		return r;
	r = adopt_in(t, dip, ip, name);
	txn_end(t);
	return r;
}

int
fs_adopt(struct fs *fs, uint64_t ino, uint64_t dir, const char *name)
{
	struct names_set s = { 0 };
	int r;

	r = fs_writable(fs);
	if (r == 0)
		r = name_check(name);
	if (r == 0 && ino == dir)
		r = -EINVAL;
	if (r == 0)
		r = alloc_reserve(fs->ds, 0, NAME_META);
	if (r != 0)
		return r;
	names_set_add(&s, dir);
	names_set_add(&s, ino);
	r = names_set_lock(&s, fs);
	if (r != 0)
		return r;
	r = adopt_locked(fs, names_set_get(&s, dir), names_set_get(&s, ino),
	    name);
	return names_set_unlock(&s, r);
}
