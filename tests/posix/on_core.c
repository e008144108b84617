/* SPDX-License-Identifier: BSD-2-Clause */
/* The core's own calls, from a fiber: see core_host. */
#include <errno.h>
#include <limits.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "tests/posix/on_core.h"

#define ENTRIES_AT_A_TIME 5u

struct core {
	struct posix_host host;
	struct fs *fs;
};

static struct fs *
fs_of(struct posix_host *h)
{
	return ((struct core *)(void *)h)->fs;
}

/* As a front end tells it to the kernel. */
static int
plain(int rc)
{
	return rc == -VMFS_ELOCKED ? -EBUSY : rc;
}

/* The directory of a path, and its last name. */
static int
walk(struct posix_host *h, const char *path, uint64_t *ret_dir,
    const char **ret_name)
{
	const char *name = strrchr(path, '/');
	char dir[PATH_MAX];
	struct fs_attr a;
	int rc;

	name = name == NULL ? path : name + 1;
	(void)snprintf(dir, sizeof(dir), "%.*s", (int)(name - path), path);
	rc = fs_resolve(fs_of(h), dir, &a);
	if (rc != 0)
		return plain(rc);
	if (a.type != INODE_DIR)
		return -ENOTDIR;
	*ret_dir = a.ino;
	*ret_name = name;
	return 0;
}

static int
find(struct posix_host *h, const char *path, struct fs_attr *ret_a)
{
	const char *name;
	uint64_t dir;
	int rc = walk(h, path, &dir, &name);

	return rc != 0 ? rc : plain(fs_lookup(fs_of(h), dir, name, ret_a));
}

static int
make(struct posix_host *h, const char *path, enum inode_type type,
    unsigned mode)
{
	struct fs_attr a;
	const char *name;
	uint64_t dir;
	int rc = walk(h, path, &dir, &name);

	return rc != 0 ? rc : plain(fs_create(fs_of(h), dir, name, type,
	    (uint16_t)mode, 0, 0, 0, &a));
}

static int
c_mkdir(struct posix_host *h, const char *path, unsigned mode)
{
	return make(h, path, INODE_DIR, mode);
}

static int
c_symlink(struct posix_host *h, const char *target, const char *path)
{
	struct fs_attr a;
	const char *name;
	uint64_t dir;
	int rc = walk(h, path, &dir, &name);

	return rc != 0 ? rc : plain(fs_symlink(fs_of(h), dir, name, target, 0,
	    0, &a));
}

static int
c_readlink(struct posix_host *h, const char *path, char *buf, size_t size)
{
	struct fs_attr a;
	int rc = find(h, path, &a);

	return rc != 0 ? rc : plain(fs_readlink(fs_of(h), a.ino, buf, size));
}

static int
c_link(struct posix_host *h, const char *path, const char *to)
{
	struct fs_attr a;
	const char *name;
	uint64_t dir;
	int rc = find(h, path, &a);

	if (rc == 0)
		rc = walk(h, to, &dir, &name);
	return rc != 0 ? rc : plain(fs_link(fs_of(h), a.ino, 0, dir, name, &a,
	    NULL));
}

static int
c_unlink(struct posix_host *h, const char *path)
{
	const char *name;
	uint64_t dir;
	int rc = walk(h, path, &dir, &name);

	return rc != 0 ? rc : plain(fs_unlink(fs_of(h), dir, name, NULL));
}

static int
c_rmdir(struct posix_host *h, const char *path)
{
	const char *name;
	uint64_t dir;
	int rc = walk(h, path, &dir, &name);

	return rc != 0 ? rc : plain(fs_rmdir(fs_of(h), dir, name));
}

static int
c_rename(struct posix_host *h, const char *path, const char *to,
    unsigned flags)
{
	const char *name, *new_name;
	uint64_t dir, new_dir;
	unsigned how = 0;
	int rc = walk(h, path, &dir, &name);

	how |= flags & RENAME_NOREPLACE ? FS_RENAME_NOREPLACE : 0;
	how |= flags & RENAME_EXCHANGE ? FS_RENAME_EXCHANGE : 0;
	if (rc == 0)
		rc = walk(h, to, &new_dir, &new_name);
	return rc != 0 ? rc : plain(fs_rename(fs_of(h), dir, name, new_dir,
	    new_name, how, NULL));
}

static void
stat_of(const struct fs_attr *a, struct posix_stat *ret_s)
{
	*ret_s = (struct posix_stat){
		.ino = a->ino, .size = a->size, .bytes = a->allocated,
		.type = a->type == INODE_DIR ? S_IFDIR :
		    a->type == INODE_SYMLINK ? S_IFLNK : S_IFREG,
		.mode = a->mode, .uid = a->uid, .gid = a->gid,
		.nlink = a->nlink, .atime_ns = a->atime_ns,
		.mtime_ns = a->mtime_ns, .ctime_ns = a->ctime_ns,
	};
}

static int
c_stat(struct posix_host *h, const char *path, struct posix_stat *ret_s)
{
	struct fs_attr a;
	int rc = find(h, path, &a);

	if (rc == 0)
		stat_of(&a, ret_s);
	return rc;
}

static int
set(struct posix_host *h, const char *path, unsigned which,
    const struct fs_attr *want)
{
	struct fs_attr a;
	int rc = find(h, path, &a);

	return rc != 0 ? rc : plain(fs_setattr(fs_of(h), a.ino, 0, which, want,
	    &a, NULL));
}

static int
c_chmod(struct posix_host *h, const char *path, unsigned mode)
{
	const struct fs_attr a = { .mode = (uint16_t)mode };

	return set(h, path, FS_SET_MODE, &a);
}

static int
c_chown(struct posix_host *h, const char *path, uint32_t uid, uint32_t gid)
{
	const struct fs_attr a = { .uid = uid, .gid = gid };

	return set(h, path, FS_SET_UID | FS_SET_GID, &a);
}

static int
c_utime(struct posix_host *h, const char *path, int64_t atime_ns,
    int64_t mtime_ns)
{
	const struct fs_attr a = {
		.atime_ns = (uint64_t)atime_ns, .mtime_ns = (uint64_t)mtime_ns,
	};

	return set(h, path, FS_SET_ATIME | FS_SET_MTIME, &a);
}

static int
c_resize(struct posix_host *h, const char *path, uint64_t size)
{
	const struct fs_attr a = { .size = size };

	return set(h, path, FS_SET_SIZE, &a);
}

/* ---- open files ---- */

struct open_file {
	struct fs_file *f;
	bool append;
};

static int
open_ino(struct posix_host *h, const char *path, int flags, unsigned mode,
    uint64_t *ret_ino)
{
	struct fs_attr a;
	int rc = find(h, path, &a);

	if (rc == -ENOENT && (flags & O_CREAT) != 0) {
		rc = make(h, path, INODE_FILE, mode);
		if (rc == 0)
			rc = find(h, path, &a);
	} else if (rc == 0 && (flags & O_EXCL) != 0) {
		rc = -EEXIST;
	}
	if (rc == 0)
		*ret_ino = a.ino;
	return rc;
}

static int
c_open(struct posix_host *h, const char *path, int flags, unsigned mode,
    void **ret_f)
{
	struct open_file *f = calloc(1, sizeof(*f));
	unsigned how = 0;
	uint64_t ino = 0;
	int rc = open_ino(h, path, flags, mode, &ino);

	if (f == NULL)
		abort();
	how |= (flags & O_ACCMODE) != O_WRONLY ? FS_READ : 0;
	how |= (flags & O_ACCMODE) != O_RDONLY ? FS_WRITE : 0;
	how |= (flags & O_TRUNC) != 0 ? FS_TRUNC : 0;
	f->append = (flags & O_APPEND) != 0;
	if (rc == 0)
		rc = plain(fs_file_open(fs_of(h), ino, 0, how, &f->f, NULL));
	if (rc != 0)
		free(f);
	else
		*ret_f = f;
	return rc;
}

static struct fs_file *
file_of(void *f)
{
	return ((struct open_file *)f)->f;
}

static int
c_close(struct posix_host *h, void *f)
{
	int rc = fs_file_close(file_of(f));

	(void)h;
	free(f);
	return plain(rc);
}

static int64_t
c_read(struct posix_host *h, void *f, int64_t at, void *buf, size_t len)
{
	size_t got = 0;
	int rc = fs_file_read(file_of(f), (uint64_t)at, buf, len, &got);

	(void)h;
	return rc < 0 ? plain(rc) : (int64_t)got;
}

static int64_t
c_write(struct posix_host *h, void *f, int64_t at, const void *buf, size_t len)
{
	struct fs_attr a;
	int rc = 0;

	(void)h;
	if (((struct open_file *)f)->append) {
		rc = fs_file_attr(file_of(f), &a);
		at = (int64_t)a.size;
	}
	if (rc == 0)
		rc = fs_file_write(file_of(f), (uint64_t)at, buf, len);
	return rc < 0 ? plain(rc) : (int64_t)len;
}

static int
c_fsync(struct posix_host *h, void *f)
{
	(void)h;
	return plain(fs_file_flush(file_of(f)));
}

static int
c_fstat(struct posix_host *h, void *f, struct posix_stat *ret_s)
{
	struct fs_attr a;
	int rc = fs_file_attr(file_of(f), &a);

	(void)h;
	if (rc == 0)
		stat_of(&a, ret_s);
	return plain(rc);
}

static int
c_ftruncate(struct posix_host *h, void *f, uint64_t size)
{
	(void)h;
	return plain(fs_file_truncate(file_of(f), size));
}

/* The modes as the core has them. */
static int
c_fallocate(struct posix_host *h, void *f, int mode, uint64_t at, uint64_t len)
{
	struct fs_attr a;
	int rc = fs_file_attr(file_of(f), &a);

	(void)h;
	if (mode == FALLOC_FL_PUNCH_HOLE ||
	    (mode & (FALLOC_FL_COLLAPSE_RANGE | FALLOC_FL_INSERT_RANGE)) != 0)
		return -EOPNOTSUPP;
	if (rc == 0 && (mode & FALLOC_FL_KEEP_SIZE) == 0 && a.size < at + len)
		rc = fs_file_truncate(file_of(f), at + len);
	if (rc == 0)
		rc = (mode & ~FALLOC_FL_KEEP_SIZE) == 0 ?
		    fs_file_allocate(file_of(f), at, len) :
		    fs_file_punch(file_of(f), at, len);
	return plain(rc);
}

static int64_t
c_seek(struct posix_host *h, void *f, uint64_t at, int whence)
{
	uint64_t found = 0;
	int rc = fs_file_seek(file_of(f), at, whence == SEEK_DATA, &found);

	(void)h;
	return rc < 0 ? plain(rc) : (int64_t)found;
}

/* ---- directories ---- */

struct open_dir {
	uint64_t ino, cookie;
	char name[ENTRIES_AT_A_TIME][256];
	unsigned next, count;
};

static int
c_dir_open(struct posix_host *h, const char *path, void **ret_d)
{
	struct open_dir *d = calloc(1, sizeof(*d));
	struct fs_attr a;
	int rc = find(h, path, &a);

	if (d == NULL)
		abort();
	if (rc == 0 && a.type != INODE_DIR)
		rc = -ENOTDIR;
	if (rc != 0) {
		free(d);
		return rc;
	}
	d->ino = a.ino;
	*ret_d = d;
	return 0;
}

static bool
take_entry(void *arg, const struct fs_dirent *e)
{
	struct open_dir *d = arg;

	if (d->count == ENTRIES_AT_A_TIME)
		return false;
	(void)snprintf(d->name[d->count++], 256, "%s", e->name);
	d->cookie = e->next;
	return true;
}

static int
c_dir_next(struct posix_host *h, void *dir, char name[256])
{
	struct open_dir *d = dir;
	int rc;

	if (d->next == d->count) {
		d->next = d->count = 0;
		rc = fs_readdir(fs_of(h), d->ino, d->cookie, take_entry, d);
		if (rc != 0 || d->count == 0)
			return plain(rc);
	}
	memcpy(name, d->name[d->next++], 256);
	return 1;
}

static void
c_dir_close(struct posix_host *h, void *d)
{
	(void)h;
	free(d);
}

/* ---- attributes ---- */

static int
c_setxattr(struct posix_host *h, const char *path, const char *name,
    const void *value, size_t len, int flags)
{
	struct fs_attr a;
	unsigned how = 0;
	int rc = find(h, path, &a);

	how |= flags & XATTR_CREATE ? FS_XATTR_CREATE : 0;
	how |= flags & XATTR_REPLACE ? FS_XATTR_REPLACE : 0;
	return rc != 0 ? rc : plain(fs_xattr_set(fs_of(h), a.ino, 0, name,
	    value, len, how, NULL));
}

static int64_t
c_getxattr(struct posix_host *h, const char *path, const char *name, void *buf,
    size_t size)
{
	struct fs_attr a;
	size_t len = 0;
	int rc = find(h, path, &a);

	if (rc == 0)
		rc = fs_xattr_get(fs_of(h), a.ino, name, buf, size, &len);
	return rc != 0 ? plain(rc) : (int64_t)len;
}

struct names {
	char *buf;
	size_t size, used;
};

static bool
take_name(void *arg, const char *name)
{
	struct names *n = arg;
	size_t len = strlen(name) + 1;

	if (n->used + len > n->size)
		return false;
	memcpy(n->buf + n->used, name, len);
	n->used += len;
	return true;
}

static int64_t
c_listxattr(struct posix_host *h, const char *path, char *buf, size_t size)
{
	struct names n = { .buf = buf, .size = size };
	struct fs_attr a;
	int rc = find(h, path, &a);

	if (rc == 0)
		rc = fs_xattr_list(fs_of(h), a.ino, take_name, &n);
	return rc != 0 ? plain(rc) : (int64_t)n.used;
}

static int
c_removexattr(struct posix_host *h, const char *path, const char *name)
{
	struct fs_attr a;
	int rc = find(h, path, &a);

	return rc != 0 ? rc : plain(fs_xattr_remove(fs_of(h), a.ino, 0, name,
	    NULL));
}

static int
c_free_bytes(struct posix_host *h, uint64_t *ret_free, uint64_t *ret_total)
{
	struct fs_statfs s;
	int rc = fs_statfs(fs_of(h), 0, &s);

	*ret_free = s.free_bytes;
	*ret_total = s.total_bytes;
	return plain(rc);
}

static const struct posix_vt core_vt = {
	.mkdir = c_mkdir, .symlink = c_symlink, .readlink = c_readlink,
	.link = c_link, .unlink = c_unlink, .rmdir = c_rmdir,
	.rename = c_rename, .stat = c_stat, .chmod = c_chmod,
	.chown = c_chown, .utime = c_utime, .resize = c_resize,
	.open = c_open, .close = c_close, .read = c_read, .write = c_write,
	.fsync = c_fsync, .fstat = c_fstat, .ftruncate = c_ftruncate,
	.fallocate = c_fallocate, .seek = c_seek, .dir_open = c_dir_open,
	.dir_next = c_dir_next, .dir_close = c_dir_close,
	.setxattr = c_setxattr, .getxattr = c_getxattr,
	.listxattr = c_listxattr, .removexattr = c_removexattr,
	.free_bytes = c_free_bytes,
};

struct posix_host *
core_host(struct fs *fs)
{
	struct core *c = calloc(1, sizeof(*c));

	if (c == NULL)
		abort();
	c->host.vt = &core_vt;
	c->host.name = "core";
	c->fs = fs;
	return &c->host;
}
