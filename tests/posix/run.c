/* SPDX-License-Identifier: BSD-2-Clause */
/* Plays the steps of a case and says which one was not as it should be. */
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "tests/posix/play.h"

int
posix_wrong(struct play *p, const char *fmt, ...)
{
	char line[1024];
	int n = snprintf(line, sizeof(line), "%s: step of line %d on %s: ",
	    p->c->name, p->step->line, p->host->name);
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(line + n, sizeof(line) - (size_t)n, fmt, ap);
	va_end(ap);
	p->r->say(line);
	return -EPROTO;
}

/* "%255" in a path stands for a name of so many bytes of UTF-8. */
static const char *
posix_path(struct play *p, unsigned i, const char *from)
{
	char *to = p->path[i];
	size_t n = (size_t)snprintf(to, PATH_SIZE, "%s", p->c->name);

	if (from == NULL)
		return to;
	if (*from != '\0')
		to[n++] = '/';
	while (*from != '\0' && n + 300 < PATH_SIZE) {
		unsigned long len;

		if (*from != '%') {
			to[n++] = *from++;
			continue;
		}
		len = strtoul(from + 1, (char **)(uintptr_t)&from, 10);
		if (len % 2 != 0)
			to[n++] = 'x';
		for (; len >= 2; len -= 2) {
			to[n++] = (char)0xc3;
			to[n++] = (char)0xa4;
		}
	}
	to[n] = '\0';
	return to;
}

/* What is written at each place of a file: offset and `mode` say. */
static void
pattern(uint8_t *buf, int64_t at, size_t len, unsigned seed)
{
	for (size_t i = 0; i < len; i++)
		buf[i] = seed == 0 ? 0 : (uint8_t)(seed + 131 *
		    (((uint64_t)at + i) / 512 % 64));
}

/* ---- changes ---- */

static int
put_in(struct play *p, void *f, const struct posix_step *s)
{
	uint8_t *buf = malloc((size_t)s->n + 1);
	int64_t n;

	if (buf == NULL)
		abort();
	pattern(buf, s->at < 0 ? 0 : s->at, (size_t)s->n, s->mode);
	n = VT(p, write, f, s->at, buf, (size_t)s->n);
	free(buf);
	if (n < 0)
		return (int)n;
	return n == s->n ? 0 : posix_wrong(p, "wrote %" PRId64 " bytes", n);
}

static int
do_put(struct play *p, const struct posix_step *s)
{
	void *f;
	int rc = VT(p, open, p->path[0], O_WRONLY, 0, &f), e;

	if (rc < 0)
		return rc;
	rc = put_in(p, f, s);
	e = VT(p, close, f);
	return rc < 0 ? rc : e;
}

static int
do_make(struct play *p, const struct posix_step *s)
{
	void *f;
	int rc = VT(p, open, p->path[0], O_WRONLY | O_CREAT | O_EXCL, s->mode,
	    &f);

	return rc < 0 ? rc : VT(p, close, f);
}

static int
do_change(struct play *p, const struct posix_step *s)
{
	switch (s->op) {
	case OP_MKDIR:
		return VT(p, mkdir, p->path[0], s->mode);
	case OP_MAKE:
		return do_make(p, s);
	case OP_SYMLINK:
		return VT(p, symlink, s->b, p->path[0]);
	case OP_LINK:
		return VT(p, link, p->path[0], p->path[1]);
	case OP_UNLINK:
		return VT(p, unlink, p->path[0]);
	case OP_RMDIR:
		return VT(p, rmdir, p->path[0]);
	case OP_RENAME:
		return VT(p, rename, p->path[0], p->path[1], s->mode);
	case OP_CHMOD:
		return VT(p, chmod, p->path[0], s->mode);
	case OP_CHOWN:
		return VT(p, chown, p->path[0], (uint32_t)s->at,
		    (uint32_t)s->n);
	case OP_UTIME:
		return VT(p, utime, p->path[0], s->at, s->n);
	case OP_RESIZE:
		return VT(p, resize, p->path[0], (uint64_t)s->n);
	case OP_PUT:
		return do_put(p, s);
	case OP_SETX:
	case OP_RMX:
		return posix_attr_change(p, s);
	default:
		return posix_dir_change(p, s);
	}
}

/* ---- open files ---- */

static int
get_from(struct play *p, void *f, const struct posix_step *s)
{
	uint8_t *buf = malloc((size_t)s->n + 1), *want = malloc((size_t)s->n +
	    1);
	int64_t n;
	int rc = 0;

	if (buf == NULL || want == NULL)
		abort();
	pattern(want, s->at, (size_t)s->n, s->mode);
	n = VT(p, read, f, s->at, buf, (size_t)s->n);
	if (n < 0)
		rc = (int)n;
	else if (n != s->n)
		rc = posix_wrong(p, "read %" PRId64 " bytes", n);
	for (int64_t i = 0; rc == 0 && i < n; i++)
		if (buf[i] != want[i])
			rc = posix_wrong(p, "byte %" PRId64 " is %02x, not "
			    "%02x", s->at + i, buf[i], want[i]);
	free(buf);
	free(want);
	return rc;
}

static int
do_seek(struct play *p, void *f, const struct posix_step *s)
{
	int64_t n = VT(p, seek, f, (uint64_t)s->at, (int)s->mode);

	if (n < 0)
		return (int)n;
	return n == s->n ? 0 : posix_wrong(p, "found %" PRId64 ", not %" PRId64,
	    n, s->n);
}

/* Which open file is told by the first letter of s->b. */
static int
do_file(struct play *p, const struct posix_step *s)
{
	struct file *f = &p->file[s->b[0] - 'a'];
	struct posix_stat st;
	int rc;

	if (s->op == OP_OPEN) {
		rc = VT(p, open, p->path[0], (int)s->n, s->mode, &f->f);
		f->host = rc == 0 ? p->host : NULL;
		return rc;
	}
	if (f->host == NULL)
		return posix_wrong(p, "is not open");
	p->host = f->host;
	switch (s->op) {
	case OP_CLOSE:
		f->host = NULL;
		return VT(p, close, f->f);
	case OP_FPUT:
		return put_in(p, f->f, s);
	case OP_FGET:
		return get_from(p, f->f, s);
	case OP_FRESIZE:
		return VT(p, ftruncate, f->f, (uint64_t)s->n);
	case OP_FALLOC:
		return VT(p, fallocate, f->f, (int)s->mode, (uint64_t)s->at,
		    (uint64_t)s->n);
	case OP_FSEEK:
		return do_seek(p, f->f, s);
	case OP_FSYNC:
		return VT(p, fsync, f->f);
	default:
		rc = VT(p, fstat, f->f, &st);
		return rc != 0 || (int64_t)st.size == s->n ? rc :
		    posix_wrong(p, "%" PRIu64 " bytes long", st.size);
	}
}

/* ---- looks ---- */

static int
same(struct play *p, const char *what, uint64_t is, uint64_t should)
{
	return is == should ? 0 : posix_wrong(p, "%s is %" PRIu64 " (0%" PRIo64
	    "), not %" PRIu64 " (0%" PRIo64 ")", what, is, is, should, should);
}

/* mode: 4 atime, 2 mtime, 1 ctime; those are newer, the others as marked. */
static int
look_newer(struct play *p, const struct posix_step *s,
    const struct posix_stat *st)
{
	const struct posix_stat *m = &p->mark[s->b == NULL ? 0 :
	    s->b[0] - 'a'];
	const struct { const char *name; uint64_t is, was; } t[] = {
		{ "ctime", st->ctime_ns, m->ctime_ns },
		{ "mtime", st->mtime_ns, m->mtime_ns },
		{ "atime", st->atime_ns, m->atime_ns },
	};

	for (unsigned i = 0; i < 3; i++) {
		bool newer = t[i].is > t[i].was;

		if (newer != ((s->mode >> i & 1) != 0))
			return posix_wrong(p, "%s %s: %" PRIu64 ", was %"
			    PRIu64, t[i].name, newer ? "moved" :
			    "did not move on", t[i].is, t[i].was);
	}
	return 0;
}

/* Until a change after it cannot have the time of one before. */
static void
wait_for_clock(void)
{
	struct timespec a, b;

	clock_gettime(CLOCK_REALTIME_COARSE, &a);
	do
		clock_gettime(CLOCK_REALTIME_COARSE, &b);
	while (a.tv_nsec == b.tv_nsec);
}

static int
look_stat(struct play *p, const struct posix_step *s)
{
	struct posix_stat st, other;
	int rc = VT(p, stat, p->path[0], &st);

	if (rc < 0)
		return rc;
	switch (s->op) {
	case OP_MODE:
		return same(p, "mode", st.mode, s->mode);
	case OP_OWNER:
		rc = same(p, "uid", st.uid, (uint64_t)s->at);
		return rc < 0 ? rc : same(p, "gid", st.gid, (uint64_t)s->n);
	case OP_NLINK:
		return same(p, "nlink", st.nlink, (uint64_t)s->n);
	case OP_SIZE:
		return same(p, "size", st.size, (uint64_t)s->n);
	case OP_BYTES:
		return st.bytes >= (uint64_t)s->at && st.bytes <=
		    (uint64_t)s->n ? 0 : same(p, "allocated", st.bytes,
		    (uint64_t)s->at);
	case OP_SAME:
		rc = VT(p, stat, p->path[1], &other);
		return rc < 0 ? rc : same(p, "inode", st.ino, other.ino);
	case OP_MARK:
		p->mark[s->b == NULL ? 0 : s->b[0] - 'a'] = st;
		wait_for_clock();
		return 0;
	case OP_NEWER:
		return look_newer(p, s, &st);
	case OP_TIMES:
		rc = same(p, "atime", st.atime_ns, (uint64_t)s->at);
		return rc < 0 ? rc : same(p, "mtime", st.mtime_ns,
		    (uint64_t)s->n);
	default:
		return same(p, "type", st.type, s->mode);
	}
}

static int
look_get(struct play *p, const struct posix_step *s)
{
	void *f;
	int rc = VT(p, open, p->path[0], O_RDONLY, 0, &f), e;

	if (rc < 0)
		return rc;
	rc = get_from(p, f, s);
	e = VT(p, close, f);
	return rc < 0 ? rc : e;
}

static int
look_link(struct play *p, const struct posix_step *s)
{
	char buf[PATH_SIZE];
	int rc = VT(p, readlink, p->path[0], buf, sizeof(buf));

	if (rc < 0)
		return rc;
	return strcmp(buf, s->b) == 0 ? 0 : posix_wrong(p, "it is %s", buf);
}

static int
look_gone(struct play *p)
{
	struct posix_stat st;
	int rc = VT(p, stat, p->path[0], &st);

	return rc == -ENOENT ? 0 : rc < 0 ? rc : posix_wrong(p, "it is there");
}

/* Something is free, and less than there is. */
static int
look_room(struct play *p)
{
	uint64_t nfree, total;
	int rc = VT(p, free_bytes, &nfree, &total);

	if (rc == 0 && (nfree == 0 || nfree > total))
		return posix_wrong(p, "%" PRIu64 " of %" PRIu64 " bytes are "
		    "free", nfree, total);
	return rc;
}

static int
do_look(struct play *p, const struct posix_step *s)
{
	switch (s->op) {
	case OP_GET:
		return look_get(p, s);
	case OP_READLINK:
		return look_link(p, s);
	case OP_LIST:
	case OP_ALL:
		return posix_dir_look(p, s);
	case OP_GONE:
		return look_gone(p);
	case OP_ROOM:
		return look_room(p);
	case OP_GETX:
	case OP_LISTX:
		return posix_attr_look(p, s);
	default:
		return look_stat(p, s);
	}
}

/* ---- a case ---- */

static int
judge(struct play *p, int rc)
{
	if (rc == p->step->want || rc == -EPROTO)
		return rc == -EPROTO ? rc : 0;
	return posix_wrong(p, "%s %s: %s, should be: %s", p->path[0],
	    p->step->b != NULL ? p->path[1] : "", rc == 0 ? "done" :
	    strerror(-rc), p->step->want == 0 ? "done" :
	    strerror(-p->step->want));
}

static int
become(struct play *p, const struct posix_step *s)
{
	int rc = 0;

	for (unsigned i = 0; i < p->hosts && rc == 0; i++) {
		p->host = p->r->host[i];
		rc = VT(p, become, (uint32_t)s->at, (uint32_t)s->n, s->mode);
	}
	return rc;
}

static int
play_step(struct play *p, const struct posix_step *s)
{
	int rc = 0;

	p->step = s;
	p->host = p->r->host[p->turn % p->hosts];
	(void)posix_path(p, 0, s->a);
	(void)posix_path(p, 1, s->b);
	if (s->op == OP_AS)
		return become(p, s);
	if (s->op < OP_OPEN) {
		p->turn++;
		return judge(p, do_change(p, s));
	}
	if (s->op < OP_IS) {
		p->turn += s->op == OP_OPEN;
		return judge(p, do_file(p, s));
	}
	for (unsigned i = 0; i < p->hosts && rc == 0; i++) {
		p->host = p->r->host[i];
		rc = judge(p, do_look(p, s));
	}
	return rc;
}

/* Everything in the case's directory, and it. */
static const struct posix_step begin = { .op = OP_MKDIR, .mode = 0777,
    .line = __LINE__ };
static const struct posix_step as_root = { .op = OP_AS };

static int
play_case(const struct posix_run *r, const struct posix_case *c, unsigned turn)
{
	struct play *p = calloc(1, sizeof(*p));
	int rc;

	if (p == NULL)
		abort();
	p->r = r;
	p->c = c;
	p->turn = turn;
	p->hosts = c->flags & POSIX_ONE ? 1 : r->hosts;
	if (p->r->host[0]->vt->become != NULL)
		(void)play_step(p, &as_root);
	rc = play_step(p, &begin);
	for (const struct posix_step *s = c->step; rc == 0 &&
	    s->op != OP_END; s++)
		rc = play_step(p, s);
	if (p->r->host[0]->vt->become != NULL)
		(void)play_step(p, &as_root);
	for (unsigned i = 0; i < FILES; i++) {
		p->host = p->file[i].host;
		if (p->host != NULL)
			(void)VT(p, close, p->file[i].f);
	}
	p->host = r->host[turn % r->hosts];
	if (posix_remove_all(p, c->name) < 0 && rc == 0)
		rc = posix_wrong(p, "what it made cannot be removed");
	free(p);
	return rc;
}

unsigned
posix_run_table(const struct posix_run *r, const struct posix_case *table,
    const char *only)
{
	unsigned failed = 0;

	for (const struct posix_case *c = table; c->name != NULL; c++) {
		if ((only != NULL && strcmp(only, c->name) != 0) ||
		    ((c->flags & POSIX_KERNEL) != 0 &&
		    r->host[0]->vt->become == NULL) ||
		    ((c->flags & POSIX_OURS) != 0 && !r->ours))
			continue;
		/* Each host begins once. */
		for (unsigned turn = 0; turn < r->hosts; turn++)
			failed += play_case(r, c, turn) != 0;
	}
	return failed;
}
