/* SPDX-License-Identifier: BSD-2-Clause */
/* Short names for the steps of cases.  w: 0, or the error that it ends with. */
#ifndef TESTS_POSIX_STEPS_H
#define TESTS_POSIX_STEPS_H

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/posix/posix.h"

#define S(o, w, ...) { .op = OP_##o, .want = (w), .line = __LINE__, \
	__VA_ARGS__ }

#define MKDIR(w, p, m)		S(MKDIR, w, .a = (p), .mode = (m))
#define MAKE(w, p)		S(MAKE, w, .a = (p), .mode = 0644)
#define MAKE_AS(w, p, m)	S(MAKE, w, .a = (p), .mode = (m))
#define SYMLINK(w, target, p)	S(SYMLINK, w, .a = (p), .b = (target))
#define LINK(w, p, to)		S(LINK, w, .a = (p), .b = (to))
#define UNLINK(w, p)		S(UNLINK, w, .a = (p))
#define RMDIR(w, p)		S(RMDIR, w, .a = (p))
#define RENAME(w, p, to)	S(RENAME, w, .a = (p), .b = (to))
#define RENAME2(w, p, to, f)	S(RENAME, w, .a = (p), .b = (to), .mode = (f))
#define CHMOD(w, p, m)		S(CHMOD, w, .a = (p), .mode = (m))
#define CHOWN(w, p, u, g)	S(CHOWN, w, .a = (p), .at = (u), .n = (g))
#define UTIME(w, p, ta, tm)	S(UTIME, w, .a = (p), .at = (ta), .n = (tm))
#define RESIZE(w, p, size)	S(RESIZE, w, .a = (p), .n = (size))
/* seed: of what is written, 0: zeroes; the same for what is read. */
#define PUT(w, p, off, len, seed) \
	S(PUT, w, .a = (p), .at = (off), .n = (len), .mode = (seed))
#define GET(p, off, len, seed) \
	S(GET, 0, .a = (p), .at = (off), .n = (len), .mode = (seed))
/* entries: 0 is as many as the run is for. */
#define FILL(p, entries)	S(FILL, 0, .a = (p), .n = (entries))
#define DRAIN(p, entries)	S(DRAIN, 0, .a = (p), .n = (entries))
#define CHURN(p, entries)	S(CHURN, 0, .a = (p), .n = (entries))
#define ALL(p, entries)		S(ALL, 0, .a = (p), .n = (entries))

/* f: "a" to "d", which open file. */
#define OPEN(w, f, p, how) \
	S(OPEN, w, .a = (p), .b = (f), .n = (how), .mode = 0644)
#define CLOSE(f)		S(CLOSE, 0, .b = (f))
#define FPUT(w, f, off, len, seed) \
	S(FPUT, w, .b = (f), .at = (off), .n = (len), .mode = (seed))
#define FGET(w, f, off, len, seed) \
	S(FGET, w, .b = (f), .at = (off), .n = (len), .mode = (seed))
#define FSIZE(f, size)		S(FSIZE, 0, .b = (f), .n = (size))
#define FRESIZE(w, f, size)	S(FRESIZE, w, .b = (f), .n = (size))
#define FALLOC(w, f, how, off, len) \
	S(FALLOC, w, .b = (f), .at = (off), .n = (len), .mode = (how))
#define FSEEK(w, f, whence, off, found) \
	S(FSEEK, w, .b = (f), .at = (off), .n = (found), .mode = (whence))
#define FSYNC(f)		S(FSYNC, 0, .b = (f))

#define IS(w, p, type)		S(IS, w, .a = (p), .mode = (type))
#define IS_FILE(p)		IS(0, p, S_IFREG)
#define IS_DIR(p)		IS(0, p, S_IFDIR)
#define MODE(p, m)		S(MODE, 0, .a = (p), .mode = (m))
#define OWNER(p, u, g)		S(OWNER, 0, .a = (p), .at = (u), .n = (g))
#define NLINK(p, count)		S(NLINK, 0, .a = (p), .n = (count))
#define SIZE(p, size)		S(SIZE, 0, .a = (p), .n = (size))
#define BYTES(p, least, most)	S(BYTES, 0, .a = (p), .at = (least), \
	.n = (most))
#define READLINK(p, target)	S(READLINK, 0, .a = (p), .b = (target))
#define SAME(p, other)		S(SAME, 0, .a = (p), .b = (other))
#define LIST(p, names)		S(LIST, 0, .a = (p), .b = (names))
#define GONE(p)			S(GONE, 0, .a = (p))
/* which: of four marks. */
#define MARK(p, which)		S(MARK, 0, .a = (p), .b = (which))
#define NEWER(p, which, times)	S(NEWER, 0, .a = (p), .b = (which), \
	.mode = (times))
#define TIMES(p, ta, tm)	S(TIMES, 0, .a = (p), .at = (ta), .n = (tm))
/* len bytes that name and seed make. */
#define SETX(w, p, name, len, seed) \
	S(SETX, w, .a = (p), .b = (name), .n = (len), .mode = (seed))
#define SETX2(w, p, name, len, how) \
	S(SETX, w, .a = (p), .b = (name), .n = (len), .at = (how))
#define RMX(w, p, name)		S(RMX, w, .a = (p), .b = (name))
#define GETX(p, name, len, seed) \
	S(GETX, 0, .a = (p), .b = (name), .n = (len), .mode = (seed))
#define NOX(w, p, name)		S(GETX, w, .a = (p), .b = (name))
#define LISTX(p, names)		S(LISTX, 0, .a = (p), .b = (names))
#define ROOM()			S(ROOM, 0, .a = "")
#define AS(uid, gid, mask)	S(AS, 0, .at = (uid), .n = (gid), \
	.mode = (mask))
#define END			{ .op = OP_END }

#define ATIME 4u
#define MTIME 2u
#define CTIME 1u

#define NEW_CASE(n)		static const struct posix_step n[]
#define CASE(n, f)		{ #n, (f), n }

#endif
