/* SPDX-License-Identifier: BSD-2-Clause */
/* Names for readers, and attributes. */

#include "libvmfs/core/fs_impl.h"

int
fs_getattr(struct fs *fs, uint64_t ino, struct fs_attr *ret_a)
{
	struct inode_info info;
	int r = inode_glance(fs, ino, &info);

	if (r == 0)
		inode_attr(ino, &info, ret_a);
	return r;
}

/* The entry of a name, under a lock of this host or as a reader. */
static int
find(struct inode *dip, const char *name, struct dirent *ret_e)
{
	struct reader rd;
	int r;

	reader_init(&rd, dip);
	while ((r = reader_begin(&rd)) == 0) {
		if (rd.locked)
			fiber_rwlock_rdlock(&dip->content);
		r = dir_find(dip, rd.locked ? &dip->info : &rd.info, rd.locked,
		    name, ret_e);
		if (rd.locked)
			fiber_rwlock_unlock(&dip->content);
		if (!reader_again(&rd, &r))
			break;
	}
	return r;
}

int
fs_lookup(struct fs *fs, uint64_t dir, const char *name, struct fs_attr *ret_a)
{
	struct inode *dip;
	struct dirent e;
	int r, tries = 0;

	r = name_check(name);
	if (r != 0)
		return r == -EINVAL ? -ENOENT : r;
	r = inode_ref(fs, dir, &dip);
	if (r != 0)
		return r;
	/* The entry and its inode are two looks: a name that was replaced
	 * between them is looked up again. */
	do {
		r = find(dip, name, &e);
		if (r == 0)
			r = fs_getattr(fs, e.ino, ret_a);
		else
			break;
		if (r == 0 && ret_a->generation != e.generation)
			r = -ESTALE;
	} while (r == -ESTALE && ++tries < 3);
	inode_unref(dip);
	return r;
}

int
fs_resolve(struct fs *fs, const char *path, struct fs_attr *ret_a)
{
	char name[DIR_NAME_MAX + 1];
	struct fs_attr a;
	size_t len;
	int r;

	r = fs_getattr(fs, fs_root(fs), &a);
	while (r == 0) {
		path += strspn(path, "/");
		if (*path == '\0')
			break;
		len = strcspn(path, "/");
		if (len > DIR_NAME_MAX)
			return -ENAMETOOLONG;
		memcpy(name, path, len);
		name[len] = '\0';
		path += len;
		if (a.type != INODE_DIR)
			return -ENOTDIR;
		r = fs_lookup(fs, a.ino, name, &a);
	}
	if (r == 0)
		*ret_a = a;
	return r;
}

int
fs_readlink(struct fs *fs, uint64_t ino, char *buf, size_t size)
{
	struct reader rd;
	struct inode *ip;
	size_t n;
	int r;

	r = inode_ref(fs, ino, &ip);
	if (r != 0)
		return r;
	reader_init(&rd, ip);
	while ((r = reader_begin(&rd)) == 0) {
		n = rd.info.inline_size;
		if (rd.info.type != INODE_SYMLINK)
			r = -EINVAL;
		else if (n >= size)
			r = -ERANGE;
		else
			r = file_read_at(ip, rd.locked, &rd.info, 0, buf, n);
		if (r == 0)
			buf[n] = '\0';
		if (!reader_again(&rd, &r))
			break;
	}
	inode_unref(ip);
	return r;
}

static int
collect(struct inode *dip, uint64_t hash, struct dir_items *l,
    uint64_t *ret_next)
{
	struct reader rd;
	int r;

	reader_init(&rd, dip);
	while ((r = reader_begin(&rd)) == 0) {
		dir_items_free(l);
		if (rd.locked)
			fiber_rwlock_rdlock(&dip->content);
		r = dir_collect(dip, rd.locked ? &dip->info : &rd.info,
		    rd.locked, hash, l, ret_next);
		if (rd.locked)
			fiber_rwlock_unlock(&dip->content);
		if (!reader_again(&rd, &r))
			break;
	}
	return r;
}

/* False: the caller's function has had enough. */
static bool
emit(const struct dir_items *l, uint64_t cookie,
    bool (*fn)(void *arg, const struct fs_dirent *e), void *arg)
{
	for (size_t i = 0; i < l->count; i++) {
		const struct dir_item *it = &l->item[i];
		struct fs_dirent e = {
			.ino = it->ino,
			.type = (enum inode_type)it->type,
			.name = it->name,
			.next = it->cookie + 1,
		};

		if (it->cookie < cookie)
			continue;
		if (!fn(arg, &e))
			return false;
	}
	return true;
}

int
fs_readdir(struct fs *fs, uint64_t dir, uint64_t cookie,
    bool (*fn)(void *arg, const struct fs_dirent *e), void *arg)
{
	struct dir_items l = { 0 };
	struct inode *dip;
	uint64_t hash, next;
	int r;

	r = inode_ref(fs, dir, &dip);
	if (r != 0)
		return r;
	hash = cookie >> DIR_HASH_SHIFT;
	while (hash < (uint64_t)1 << 32) {
		r = collect(dip, hash, &l, &next);
		if (r != 0 || !emit(&l, cookie, fn, arg))
			break;
		/* A split since then must not bring back what was shown. */
		if (next << DIR_HASH_SHIFT > cookie)
			cookie = next << DIR_HASH_SHIFT;
		hash = next;
		dir_items_free(&l);
	}
	dir_items_free(&l);
	inode_unref(dip);
	return r;
}

static int
setattr_size(struct fs *fs, uint64_t ino, uint32_t generation, uint64_t size,
    struct lock_holder *holder)
{
	struct fs_file *f;
	int r, e;

	r = fs_file_open(fs, ino, generation, FS_WRITE, &f, holder);
	if (r != 0)
		return r;
	r = fs_file_truncate(f, size);
	e = fs_file_close(f);
	return r != 0 ? r : e;
}

static void
attr_apply(struct inode_info *i, unsigned which, const struct fs_attr *a)
{
	if (which & FS_SET_MODE)
		i->mode = a->mode & 07777;
	if (which & FS_SET_UID)
		i->uid = a->uid;
	if (which & FS_SET_GID)
		i->gid = a->gid;
	if (which & FS_SET_ATIME)
		i->atime_ns = a->atime_ns;
	if (which & FS_SET_MTIME)
		i->mtime_ns = a->mtime_ns;
}

static int
attr_store(struct inode *ip, unsigned which, const struct fs_attr *a)
{
	struct txn *t;
	int r;

	r = txn_begin(ip->fs->ds, 1, &t);
	if (r != 0)
		return r;
	times_fold(ip);
	attr_apply(&ip->info, which, a);
	if (which & FS_SET_MODE)
		fast_forget(ip);
	ip->info.ctime_ns = fs_now_ns(ip->fs);
	r = inode_store(t, ip);
	txn_end(t);
	return r;
}

int
fs_setattr(struct fs *fs, uint64_t ino, uint32_t generation, unsigned which,
    const struct fs_attr *a, struct fs_attr *ret_a,
    struct lock_holder *ret_holder)
{
	struct fs_attr now;
	struct inode *ip;
	int r;

	r = fs_writable(fs);
	if (r == 0)
		r = fs_getattr(fs, ino, &now);
	if (r == 0 && which & FS_SET_SIZE)
		r = setattr_size(fs, ino, generation, a->size, ret_holder);
	if (r != 0)
		return r;
	r = inode_take(fs, ino, LOCK_EXCLUSIVE, now.type == INODE_DIR, &ip,
	    ret_holder);
	if (r != 0)
		return r;
	r = inode_is_meant(&ip->info, generation);
	if (r == 0 && which & ~(unsigned)FS_SET_SIZE)
		r = attr_store(ip, which, a);
	inode_attr(ino, &ip->info, ret_a);
	return inode_give(ip, LOCK_EXCLUSIVE, r);
}
