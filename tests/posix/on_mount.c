/* SPDX-License-Identifier: BSD-2-Clause */
/* A mounted directory, by the calls that everybody uses. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "tests/posix/posix.h"

struct mount {
	struct posix_host host;
	int dir;
};

static int
dir_of(struct posix_host *h)
{
	return ((struct mount *)(void *)h)->dir;
}

static int
fd_of(void *f)
{
	return (int)(intptr_t)f;
}

#define OR_ERRNO(x) ((x) < 0 ? -errno : 0)

static int
m_mkdir(struct posix_host *h, const char *path, unsigned mode)
{
	return OR_ERRNO(mkdirat(dir_of(h), path, mode));
}

static int
m_symlink(struct posix_host *h, const char *target, const char *path)
{
	return OR_ERRNO(symlinkat(target, dir_of(h), path));
}

static int
m_readlink(struct posix_host *h, const char *path, char *buf, size_t size)
{
	ssize_t n = readlinkat(dir_of(h), path, buf, size - 1);

	if (n < 0)
		return -errno;
	buf[n] = '\0';
	return 0;
}

static int
m_link(struct posix_host *h, const char *path, const char *to)
{
	return OR_ERRNO(linkat(dir_of(h), path, dir_of(h), to, 0));
}

static int
m_unlink(struct posix_host *h, const char *path)
{
	return OR_ERRNO(unlinkat(dir_of(h), path, 0));
}

static int
m_rmdir(struct posix_host *h, const char *path)
{
	return OR_ERRNO(unlinkat(dir_of(h), path, AT_REMOVEDIR));
}

static int
m_rename(struct posix_host *h, const char *path, const char *to,
    unsigned flags)
{
	return OR_ERRNO(renameat2(dir_of(h), path, dir_of(h), to, flags));
}

static uint64_t
ns_of(const struct timespec *t)
{
	int64_t ns;

	/* A time that nobody here sets is as good as none. */
	if (__builtin_mul_overflow((int64_t)t->tv_sec, 1000000000, &ns))
		return 0;
	return (uint64_t)(ns + t->tv_nsec);
}

static void
stat_of(const struct stat *st, struct posix_stat *ret_s)
{
	*ret_s = (struct posix_stat){
		.ino = st->st_ino,
		.size = (uint64_t)st->st_size,
		.bytes = (uint64_t)st->st_blocks * 512,
		.type = st->st_mode & S_IFMT,
		.mode = st->st_mode & 07777,
		.uid = st->st_uid, .gid = st->st_gid,
		.nlink = (uint32_t)st->st_nlink,
		.atime_ns = ns_of(&st->st_atim),
		.mtime_ns = ns_of(&st->st_mtim),
		.ctime_ns = ns_of(&st->st_ctim),
	};
}

static int
m_stat(struct posix_host *h, const char *path, struct posix_stat *ret_s)
{
	struct stat st;

	if (fstatat(dir_of(h), path, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	stat_of(&st, ret_s);
	return 0;
}

static int
m_fstat(struct posix_host *h, void *f, struct posix_stat *ret_s)
{
	struct stat st;

	(void)h;
	if (fstat(fd_of(f), &st) < 0)
		return -errno;
	stat_of(&st, ret_s);
	return 0;
}

static int
m_chmod(struct posix_host *h, const char *path, unsigned mode)
{
	return OR_ERRNO(fchmodat(dir_of(h), path, mode, 0));
}

static int
m_chown(struct posix_host *h, const char *path, uint32_t uid, uint32_t gid)
{
	return OR_ERRNO(fchownat(dir_of(h), path, uid, gid,
	    AT_SYMLINK_NOFOLLOW));
}

static struct timespec
time_of(int64_t ns)
{
	int64_t s = ns / 1000000000 - (ns % 1000000000 < 0);

	return (struct timespec){ s, (long)(ns - s * 1000000000) };
}

static int
m_utime(struct posix_host *h, const char *path, int64_t atime_ns,
    int64_t mtime_ns)
{
	const struct timespec t[2] = { time_of(atime_ns), time_of(mtime_ns) };

	return OR_ERRNO(utimensat(dir_of(h), path, t, AT_SYMLINK_NOFOLLOW));
}

static int
m_open(struct posix_host *h, const char *path, int flags, unsigned mode,
    void **ret_f)
{
	int fd = openat(dir_of(h), path, flags | O_CLOEXEC | O_NOFOLLOW, mode);

	if (fd < 0)
		return -errno;
	*ret_f = (void *)(intptr_t)fd;
	return 0;
}

static int
m_close(struct posix_host *h, void *f)
{
	(void)h;
	return OR_ERRNO(close(fd_of(f)));
}

static int
m_resize(struct posix_host *h, const char *path, uint64_t size)
{
	void *f = NULL;
	int rc = m_open(h, path, O_WRONLY, 0, &f);

	if (rc < 0)
		return rc;
	rc = OR_ERRNO(ftruncate(fd_of(f), (off_t)size));
	(void)close(fd_of(f));
	return rc;
}

static int64_t
m_read(struct posix_host *h, void *f, int64_t at, void *buf, size_t len)
{
	ssize_t n = pread(fd_of(f), buf, len, at);

	(void)h;
	return n < 0 ? -errno : n;
}

static int64_t
m_write(struct posix_host *h, void *f, int64_t at, const void *buf, size_t len)
{
	ssize_t n = at < 0 ? write(fd_of(f), buf, len) :
	    pwrite(fd_of(f), buf, len, at);

	(void)h;
	return n < 0 ? -errno : n;
}

static int
m_fsync(struct posix_host *h, void *f)
{
	(void)h;
	return OR_ERRNO(fsync(fd_of(f)));
}

static int
m_ftruncate(struct posix_host *h, void *f, uint64_t size)
{
	(void)h;
	return OR_ERRNO(ftruncate(fd_of(f), (off_t)size));
}

static int
m_fallocate(struct posix_host *h, void *f, int mode, uint64_t at, uint64_t len)
{
	(void)h;
	return OR_ERRNO(fallocate(fd_of(f), mode, (off_t)at, (off_t)len));
}

static int64_t
m_seek(struct posix_host *h, void *f, uint64_t at, int whence)
{
	off_t n = lseek(fd_of(f), (off_t)at, whence);

	(void)h;
	return n < 0 ? -errno : n;
}

static int
m_dir_open(struct posix_host *h, const char *path, void **ret_d)
{
	int fd = openat(dir_of(h), path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d;

	if (fd < 0)
		return -errno;
	d = fdopendir(fd);
	if (d == NULL) {
		(void)close(fd);
		return -ENOMEM;
	}
	*ret_d = d;
	return 0;
}

static int
m_dir_next(struct posix_host *h, void *d, char name[256])
{
	struct dirent *e;

	(void)h;
	do {
		errno = 0;
		e = readdir(d);
		if (e == NULL)
			return -errno;
	} while (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0);
	(void)snprintf(name, 256, "%s", e->d_name);
	return 1;
}

static void
m_dir_close(struct posix_host *h, void *d)
{
	(void)h;
	(void)closedir(d);
}

/* There is no call that takes a directory and does not follow links. */
static const char *
full(struct posix_host *h, const char *path)
{
	static char buf[8192];

	(void)snprintf(buf, sizeof(buf), "/proc/self/fd/%d/%s", dir_of(h),
	    path);
	return buf;
}

static int
m_setxattr(struct posix_host *h, const char *path, const char *name,
    const void *value, size_t len, int flags)
{
	return OR_ERRNO(lsetxattr(full(h, path), name, value, len, flags));
}

static int64_t
m_getxattr(struct posix_host *h, const char *path, const char *name, void *buf,
    size_t size)
{
	ssize_t n = lgetxattr(full(h, path), name, buf, size);

	return n < 0 ? -errno : n;
}

static int64_t
m_listxattr(struct posix_host *h, const char *path, char *buf, size_t size)
{
	ssize_t n = llistxattr(full(h, path), buf, size);

	return n < 0 ? -errno : n;
}

static int
m_removexattr(struct posix_host *h, const char *path, const char *name)
{
	return OR_ERRNO(lremovexattr(full(h, path), name));
}

static int
m_free_bytes(struct posix_host *h, uint64_t *ret_free, uint64_t *ret_total)
{
	struct statvfs s;

	if (fstatvfs(dir_of(h), &s) < 0)
		return -errno;
	*ret_free = (uint64_t)s.f_bfree * s.f_frsize;
	*ret_total = (uint64_t)s.f_blocks * s.f_frsize;
	return 0;
}

static int
m_become(struct posix_host *h, uint32_t uid, uint32_t gid, unsigned mask)
{
	(void)h;
	(void)umask(mask);
	if (seteuid(0) < 0 || setgroups(0, NULL) < 0 || setegid(gid) < 0 ||
	    seteuid(uid) < 0)
		return -errno;
	return 0;
}

static const struct posix_vt mount_vt = {
	.mkdir = m_mkdir, .symlink = m_symlink, .readlink = m_readlink,
	.link = m_link, .unlink = m_unlink, .rmdir = m_rmdir,
	.rename = m_rename, .stat = m_stat, .chmod = m_chmod,
	.chown = m_chown, .utime = m_utime, .resize = m_resize,
	.open = m_open, .close = m_close, .read = m_read, .write = m_write,
	.fsync = m_fsync, .fstat = m_fstat, .ftruncate = m_ftruncate,
	.fallocate = m_fallocate, .seek = m_seek, .dir_open = m_dir_open,
	.dir_next = m_dir_next, .dir_close = m_dir_close,
	.setxattr = m_setxattr, .getxattr = m_getxattr,
	.listxattr = m_listxattr, .removexattr = m_removexattr,
	.free_bytes = m_free_bytes, .become = m_become,
};

struct posix_host *
posix_mount_new(const char *name, const char *dir)
{
	struct mount *m = calloc(1, sizeof(*m));

	if (m == NULL)
		return NULL;
	m->host.vt = &mount_vt;
	m->host.name = name;
	m->dir = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (m->dir < 0) {
		free(m);
		return NULL;
	}
	return &m->host;
}
