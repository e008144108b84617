/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One suite of file operations for several ways to a file system: the core's
 * calls, a mounted directory, and directories on two hosts that are the same
 * datastore.  A case is a table of steps; what a step asks for goes to one of
 * the hosts in turn, what it looks at is looked at on all of them.
 */
#ifndef TESTS_POSIX_POSIX_H
#define TESTS_POSIX_POSIX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* ---- ways to a file system ---- */

struct posix_stat {
	uint64_t ino, size, bytes;	/* bytes: allocated */
	unsigned type;			/* S_IFMT bits */
	unsigned mode;			/* 07777 */
	uint32_t uid, gid, nlink;
	uint64_t atime_ns, mtime_ns, ctime_ns;
};

struct posix_host;
/*
 * 0 or a count, or a negative errno.  Paths are relative.  at: offset; -1 for
 * write(2) at the end of what was opened to append.
 */
struct posix_vt {
	int (*mkdir)(struct posix_host *h, const char *path, unsigned mode);
	int (*symlink)(struct posix_host *h, const char *target,
	    const char *path);
	int (*readlink)(struct posix_host *h, const char *path, char *buf,
	    size_t size);
	int (*link)(struct posix_host *h, const char *path, const char *to);
	int (*unlink)(struct posix_host *h, const char *path);
	int (*rmdir)(struct posix_host *h, const char *path);
	/* RENAME_NOREPLACE, RENAME_EXCHANGE */
	int (*rename)(struct posix_host *h, const char *path, const char *to,
	    unsigned flags);
	int (*stat)(struct posix_host *h, const char *path,
	    struct posix_stat *ret_s);
	int (*chmod)(struct posix_host *h, const char *path, unsigned mode);
	int (*chown)(struct posix_host *h, const char *path, uint32_t uid,
	    uint32_t gid);
	int (*utime)(struct posix_host *h, const char *path, int64_t atime_ns,
	    int64_t mtime_ns);
	int (*resize)(struct posix_host *h, const char *path, uint64_t size);
	/* O_* */
	int (*open)(struct posix_host *h, const char *path, int flags,
	    unsigned mode, void **ret_f);
	int (*close)(struct posix_host *h, void *f);
	int64_t (*read)(struct posix_host *h, void *f, int64_t at, void *buf,
	    size_t len);
	int64_t (*write)(struct posix_host *h, void *f, int64_t at,
	    const void *buf, size_t len);
	int (*fsync)(struct posix_host *h, void *f);
	int (*fstat)(struct posix_host *h, void *f, struct posix_stat *ret_s);
	int (*ftruncate)(struct posix_host *h, void *f, uint64_t size);
	int (*fallocate)(struct posix_host *h, void *f, int mode, uint64_t at,
	    uint64_t len);
	/* SEEK_DATA, SEEK_HOLE */
	int64_t (*seek)(struct posix_host *h, void *f, uint64_t at,
	    int whence);
	int (*dir_open)(struct posix_host *h, const char *path, void **ret_d);
	/* 1: a name of up to 255 bytes; 0: the end. */
	int (*dir_next)(struct posix_host *h, void *d, char name[256]);
	void (*dir_close)(struct posix_host *h, void *d);
	/* Of symbolic links, too.  XATTR_CREATE, XATTR_REPLACE. */
	int (*setxattr)(struct posix_host *h, const char *path,
	    const char *name, const void *value, size_t len, int flags);
	int64_t (*getxattr)(struct posix_host *h, const char *path,
	    const char *name, void *buf, size_t size);
	int64_t (*listxattr)(struct posix_host *h, const char *path, char *buf,
	    size_t size);
	int (*removexattr)(struct posix_host *h, const char *path,
	    const char *name);
	int (*free_bytes)(struct posix_host *h, uint64_t *ret_free,
	    uint64_t *ret_total);
	/* NULL: everything is done as root with umask 0. */
	int (*become)(struct posix_host *h, uint32_t uid, uint32_t gid,
	    unsigned umask);
};
struct posix_host {
	const struct posix_vt *vt;
	const char *name;
};

/* ---- steps ---- */

enum posix_op {
	OP_END,
	/* Change something; on the hosts in turn. */
	OP_MKDIR, OP_MAKE, OP_SYMLINK, OP_LINK, OP_UNLINK, OP_RMDIR,
	OP_RENAME, OP_CHMOD, OP_CHOWN, OP_UTIME, OP_RESIZE, OP_PUT, OP_FILL,
	OP_DRAIN, OP_CHURN, OP_SETX, OP_RMX,
	/* Open files; on the host that opened. */
	OP_OPEN, OP_CLOSE, OP_FPUT, OP_FGET, OP_FSIZE, OP_FRESIZE, OP_FALLOC,
	OP_FSEEK, OP_FSYNC,
	/* Look; on all hosts. */
	OP_IS, OP_MODE, OP_OWNER, OP_NLINK, OP_SIZE, OP_BYTES, OP_GET,
	OP_READLINK, OP_SAME, OP_LIST, OP_ALL, OP_GONE, OP_MARK, OP_NEWER,
	OP_TIMES,
	OP_ROOM, OP_GETX, OP_LISTX,
	/* Who does what follows, until the next. */
	OP_AS,
};

struct posix_step {
	enum posix_op op;
	int want;		/* 0 or a negative errno */
	const char *a, *b;	/* paths, of the case's directory */
	int64_t at, n;
	unsigned mode;
	int line;
};

enum {
	POSIX_KERNEL = 1 << 0,	/* users, and links that are followed */
	POSIX_OURS = 1 << 1,	/* what other file systems do otherwise */
	POSIX_ONE = 1 << 2,	/* one host: it has a file open all the time */
};
struct posix_case {
	const char *name;
	unsigned flags;
	const struct posix_step *step;
};
/* The last one has no name. */
extern const struct posix_case posix_names[], posix_content[],
    posix_access[], posix_dirs[], posix_attrs[];

struct posix_run {
	struct posix_host *host[2];
	unsigned hosts;
	unsigned entries;	/* of big directories */
	bool ours;		/* the cases of POSIX_OURS, too */
	void (*say)(const char *line);
};
/* Number of cases that fail; only: one of that name, NULL: all. */
unsigned posix_run_table(const struct posix_run *r,
    const struct posix_case *table, const char *only);

/* A directory, by the system's calls.  Never freed. */
struct posix_host *posix_mount_new(const char *name, const char *dir);

#endif
