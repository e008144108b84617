/* SPDX-License-Identifier: BSD-2-Clause */
/* See verify.h. */
#include <inttypes.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libvmfs/base/cleanup.h"
#include "libvmfs/check/check.h"
#include "tests/crash/verify.h"

#define READ_MAX (64u * 1024)
#define BEHIND (2u * 1024 * 1024)	/* bytes that an object grows by */
#define GAP_MAX 16u		/* pieces not asked for that are read, too */

struct verify {
	const struct script *s;
	const struct promise *p;
	const struct space *space;	/* of the two, the one that it is */
	struct box box;
	uint8_t buf[READ_MAX];
	char *problem;
	size_t size;
	bool failed;
	bool exact;			/* what is now, nothing older */
	bool may_leak;
	/* while names are listed */
	const struct space *candidate;
	bool sub, differs;
	unsigned seen;
	uint32_t ids[TRUTH_SNAPS];
};

static int PRINTF_LIKE(2, 3)
fail(struct verify *v, const char *fmt, ...)
{
	va_list ap;

	if (!v->failed) {
		va_start(ap, fmt);
		(void)vsnprintf(v->problem, v->size, fmt, ap);
		va_end(ap);
	}
	v->failed = true;
	return -EPROTO;
}

static int
call(struct verify *v, int r, const char *what)
{
	return r < 0 ? fail(v, "%s: %s", what, vmfs_strerror(r)) : 0;
}

/* ---- fsck ---- */

static void
finding(void *arg, const struct check_finding *f)
{
	const struct verify *v = arg;

	if (f->severity > (v->may_leak ? CHECK_HARMLESS : CHECK_NOTE))
		(void)fail(arg, "fsck: %s: %s", check_rule_name(f->rule),
		    f->text);
}

static int
check(struct verify *v)
{
	const struct check_conf conf = {
		.env = &v->box.env, .disk = v->box.disk, .own_slot = -1,
		.finding = finding, .arg = v,
	};
	struct check_result res;
	int r = call(v, check_run(&conf, &res), "fsck");

	return v->failed ? -EPROTO : r;
}

/* ---- names ---- */

static bool
see_name(void *arg, const struct fs_dirent *e)
{
	struct verify *v = arg;
	unsigned i = space_find(v->candidate, e->name, v->sub);

	if (!v->sub && e->type == INODE_DIR && strcmp(e->name, "sub") == 0)
		return true;
	v->seen++;
	if (i == UINT_MAX || e->type !=
	    v->s->truth.object[v->candidate->name[i].object].type)
		v->differs = true;
	return true;
}

static bool
see_snap(void *arg, const struct fs_snapshot *s)
{
	struct verify *v = arg;

	if (v->seen < TRUTH_SNAPS)
		v->ids[v->seen] = s->id;
	v->seen++;
	return true;
}

static uint64_t
ino_of(const struct verify *v, unsigned object)
{
	return v->s->truth.object[object].ino;
}

static int
snaps_are(struct verify *v, unsigned disk)
{
	unsigned want = 0;
	bool found;
	int r;

	v->seen = 0;
	r = fs_snapshot_list(v->box.fs, ino_of(v, disk), see_snap, v);
	if (r < 0)
		return call(v, r, "listing snapshots");
	for (unsigned i = 0; i < v->candidate->snaps; i++) {
		if (v->candidate->snap[i].disk != disk)
			continue;
		found = false;
		for (unsigned k = 0; k < v->seen && k < TRUTH_SNAPS; k++)
			found = found || v->ids[k] == v->candidate->snap[i].id;
		v->differs = v->differs || !found;
		want++;
	}
	v->differs = v->differs || want != v->seen;
	return 0;
}

static int
xattr_is(struct verify *v, unsigned object)
{
	uint8_t want[TRUTH_XATTR_MAX], got[TRUTH_XATTR_MAX];
	unsigned n = v->candidate->xattr[object];
	size_t len = 0, should;
	int r = fs_xattr_get(v->box.fs, ino_of(v, object), TRUTH_XATTR, got,
	    sizeof(got), &len);

	if (r < 0 && r != -ENODATA)
		return call(v, r, "reading an attribute");
	should = n != 0 ? xattr_value(n, want) : 0;
	if (len != should || memcmp(got, want, len) != 0)
		v->differs = true;
	return 0;
}

/* Names, types, inode numbers, attributes and snapshots; v->differs tells. */
static int
compare_space(struct verify *v)
{
	const struct space *sp = v->candidate;
	struct fs_attr a;
	unsigned seen;
	int r;

	v->differs = false;
	v->seen = 0;
	v->sub = false;
	r = fs_readdir(v->box.fs, v->s->root, 0, see_name, v);
	v->sub = true;
	if (r == 0)
		r = fs_readdir(v->box.fs, v->s->sub, 0, see_name, v);
	if (r < 0)
		return call(v, r, "reading a directory");
	seen = v->seen;
	if (v->differs || seen != sp->names) {
		v->differs = true;
		return 0;
	}
	for (unsigned i = 0; i < sp->names && r == 0; i++) {
		unsigned o = sp->name[i].object;

		r = fs_lookup(v->box.fs, sp->name[i].sub ? v->s->sub :
		    v->s->root, sp->name[i].name, &a);
		if (r < 0)
			return call(v, r, sp->name[i].name);
		if (a.ino != ino_of(v, o))
			v->differs = true;
		else if (a.type == INODE_DISK)
			r = snaps_are(v, o);
		if (r == 0)
			r = xattr_is(v, o);
	}
	return r;
}

static int
find_space(struct verify *v)
{
	int r;

	v->candidate = &v->p->space;
	r = compare_space(v);
	if (r == 0 && v->differs && v->p->next != NULL) {
		v->candidate = v->p->next;
		r = compare_space(v);
	}
	if (r == 0 && v->differs)
		return fail(v, "names or snapshots are neither those before "
		    "nor those after the operation");
	v->space = v->candidate;
	return r;
}

/* ---- content ---- */

static bool
fits(const struct verify *v, const struct cell *c, uint64_t value)
{
	return v->exact ? c->now == value : cell_allows(c, value);
}

static const char *
name_of(const struct verify *v, unsigned object)
{
	for (unsigned i = 0; i < v->space->names; i++)
		if (v->space->name[i].object == object)
			return v->space->name[i].name;
	return "a snapshot";
}

/* Bytes behind the end are zeroes. */
static int
read_pieces(struct verify *v, struct fs_file *f, uint64_t at, size_t pieces)
{
	size_t got;

	memset(v->buf, 0, pieces * HASH_BYTES);
	return call(v, fs_file_read(f, at * HASH_BYTES, v->buf,
	    pieces * HASH_BYTES, &got), "reading");
}

static bool
is_zero(const uint8_t *b, size_t len)
{
	return b[0] == 0 && memcmp(b, b + 1, len - 1) == 0;
}

/* Pieces that follow each other closely, at once. */
static int
verify_run(struct verify *v, struct fs_file *f, unsigned object, size_t first,
    size_t *ret_next)
{
	const struct cells *s = &v->p->object[object];
	uint64_t from = s->c[first].at;
	size_t k = first;
	int r;

	while (k < s->count && s->c[k].at - from < READ_MAX / HASH_BYTES &&
	    (k == first || s->c[k].at - s->c[k - 1].at < GAP_MAX))
		k++;
	r = read_pieces(v, f, from, (size_t)(s->c[k - 1].at - from) + 1);
	for (size_t i = first; i < k && r == 0; i++) {
		const uint8_t *b = v->buf + (s->c[i].at - from) * HASH_BYTES;

		if (!fits(v, &s->c[i], content_hash(b)))
			r = fail(v, "%s: sector %" PRIu64 " has what it must "
			    "not have (%016" PRIx64 ", may be %016" PRIx64
			    " or %u others)%s", name_of(v, object),
			    s->c[i].at, content_hash(b), s->c[i].v[0],
			    s->c[i].n - 1, is_zero(b, HASH_BYTES) ?
			    ": zeroes" : "");
	}
	*ret_next = k;
	return r;
}

static bool
is_cell(const struct cells *s, uint64_t at)
{
	size_t lo = 0, hi = s->count;

	while (lo < hi) {
		size_t mid = (lo + hi) / 2;

		if (s->c[mid].at < at)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < s->count && s->c[lo].at == at;
}

/* What nobody has written shows zeroes. */
static int
verify_rest(struct verify *v, struct fs_file *f, unsigned object, uint64_t at,
    uint64_t end)
{
	const struct cells *s = &v->p->object[object];
	int r = 0;

	at /= HASH_BYTES;
	end = (end + HASH_BYTES - 1) / HASH_BYTES;
	while (at < end && r == 0) {
		size_t n = end - at < READ_MAX / HASH_BYTES ?
		    (size_t)(end - at) : READ_MAX / HASH_BYTES;

		r = read_pieces(v, f, at, n);
		for (size_t i = 0; i < n && r == 0; i++)
			if (!is_zero(v->buf + i * HASH_BYTES, HASH_BYTES) &&
			    !is_cell(s, at + i))
				r = fail(v, "%s: sector %" PRIu64 " has data "
				    "and was never written",
				    name_of(v, object), at + i);
		at += n;
	}
	return r;
}

static int
verify_extents(struct verify *v, struct fs_file *f, unsigned object)
{
	uint64_t at = 0, end;
	int r = 0;

	while (r == 0 && fs_file_seek(f, at, true, &at) == 0) {
		r = call(v, fs_file_seek(f, at, false, &end), "seeking");
		if (r == 0)
			r = verify_rest(v, f, object, at, end);
		at = end;
	}
	return r;
}

static int
verify_object(struct verify *v, unsigned object)
{
	const struct cells *s = &v->p->object[object];
	struct fs_file *f;
	struct fs_attr a;
	int r = call(v, fs_file_open(v->box.fs, ino_of(v, object), 0, FS_READ,
	    &f, NULL), name_of(v, object));

	if (r < 0)
		return r;
	r = call(v, fs_file_attr(f, &a), "attributes");
	if (r == 0 && !fits(v, &s->size, a.size))
		r = fail(v, "%s: %" PRIu64 " bytes long, must be %" PRIu64
		    " or one of %u others", name_of(v, object), a.size,
		    s->size.v[0], s->size.n - 1);
	for (size_t i = 0; i < s->count && r == 0; )
		r = verify_run(v, f, object, i, &i);
	if (r == 0)
		r = verify_extents(v, f, object);
	(void)!fs_file_close(f);
	return r;
}

static int
verify_content(struct verify *v)
{
	const struct space *sp = v->space;
	int r = 0;

	for (unsigned i = 0; i < sp->names && r == 0; i++)
		r = verify_object(v, sp->name[i].object);
	for (unsigned i = 0; i < sp->snaps && r == 0; i++)
		r = verify_object(v, sp->snap[i].object);
	return r;
}

/* ---- and it goes on ---- */

/* New data may find no space where there was little. */
static int
later(struct verify *v, int r, const char *what)
{
	return (r == -ENOSPC || r == -EDQUOT) && v->s->variant.tight ? r :
	    call(v, r, what);
}

static int
write_and_read(struct verify *v, struct fs_file *f, uint64_t at, size_t len)
{
	cleanup_free uint8_t *buf = malloc(len), *back = malloc(len);
	size_t got = 0;
	int r;

	if (buf == NULL || back == NULL)
		return -ENOMEM;
	prng_fill(&v->box.prng, buf, len);
	r = later(v, fs_file_write(f, at, buf, len), "a write afterwards");
	if (r == 0)
		r = later(v, fs_file_flush(f), "a flush afterwards");
	if (r == 0)
		r = later(v, fs_file_read(f, at, back, len, &got),
		    "a read afterwards");
	if (r == 0 && (got != len || memcmp(buf, back, len) != 0))
		r = fail(v, "reads not what was written afterwards");
	return r;
}

/* Behind the end there is nothing, also not when it moves. */
static int
grow_object(struct verify *v, struct fs_file *f, unsigned object)
{
	const struct cells *s = &v->p->object[object];
	struct fs_attr a;
	size_t got;
	int r = call(v, fs_file_attr(f, &a), "attributes");

	if (r == 0)
		r = later(v, fs_file_truncate(f, a.size + BEHIND),
		    "growing afterwards");
	for (size_t i = 0; i < s->count && r == 0; i++) {
		uint64_t from = s->c[i].at * HASH_BYTES, end = from +
		    HASH_BYTES;

		if (end <= a.size || end > a.size + BEHIND)
			continue;
		from = from < a.size ? a.size : from;
		r = call(v, fs_file_read(f, from, v->buf, (size_t)(end - from),
		    &got), "reading what has grown");
		if (r == 0 && !is_zero(v->buf, got))
			r = fail(v, "%s: byte %" PRIu64 " shows what was behind "
			    "the end", name_of(v, object), from);
	}
	return r;
}

static int
grow(struct verify *v, unsigned object)
{
	struct fs_file *f;
	int r = call(v, fs_file_open(v->box.fs, ino_of(v, object), 0,
	    FS_READ | FS_WRITE, &f, NULL), "an open afterwards"), e;

	if (r < 0)
		return r;
	r = grow_object(v, f, object);
	e = later(v, fs_file_close(f), "a close afterwards");
	return r < 0 ? r : e;
}

static int
write_object(struct verify *v, uint64_t ino)
{
	struct fs_file *f;
	int r = later(v, fs_file_open(v->box.fs, ino, 0, FS_READ | FS_WRITE,
	    &f, NULL), "an open afterwards"), e;

	if (r < 0)
		return r;
	r = write_and_read(v, f, BLOCK_SIZE * prng_below(&v->box.prng, 40),
	    BLOCK_SIZE);
	if (r == 0)
		r = write_and_read(v, f, prng_below(&v->box.prng, 150000),
		    700);
	e = later(v, fs_file_close(f), "a close afterwards");
	return r < 0 ? r : e;
}

static int
go_on(struct verify *v)
{
	struct fs *fs = v->box.fs;
	const struct space *sp = v->space;
	struct fs_attr a;
	int r = 0;

	for (unsigned i = 0; i < sp->names && r == 0; i++)
		r = grow(v, sp->name[i].object);
	if (r == 0)
		r = write_object(v, ino_of(v, v->s->disk));
	if (r == 0)
		r = later(v, fs_create(fs, v->s->root, "later", INODE_FILE,
		    0644, 0, 0, 0, &a), "a new file afterwards");
	if (r == 0)
		r = write_object(v, a.ino);
	if (r == 0)
		r = later(v, fs_unlink(fs, v->s->root, "later", NULL),
		    "a deletion afterwards");
	return r;
}

static int
use(struct verify *v)
{
	/* The same host again, or another one. */
	unsigned slot = (prng_u64(&v->box.prng) & 1) != 0 ? 1 - v->s->slot :
	    v->s->slot;
	int r = call(v, box_mount(&v->box, slot, 1000, v->s->variant.discard),
	    "the mount"), e;

	if (r < 0)
		return r;
	r = find_space(v);
	if (r == 0)
		r = verify_content(v);
	if (r == 0)
		r = go_on(v);
	if (r == -ENOSPC || r == -EDQUOT)
		r = 0;
	e = call(v, box_unmount(&v->box), "the unmount");
	return r < 0 ? r : e;
}

int
verify(const struct script *s, const struct promise *p, struct pages *disk,
    char *problem, size_t size)
{
	struct verify *v = calloc(1, sizeof(*v));
	int r;

	if (v == NULL)
		abort();
	v->s = s;
	v->p = p;
	v->problem = problem;
	v->size = size;
	/* The same state does the same, whatever came before it. */
	box_init(&v->box, &disk->disk, disk->hash);
	r = check(v);
	if (r == 0)
		r = use(v);
	if (r == 0)
		r = check(v);
	free(v);
	return r;
}

static bool
is_changed(const struct deed *d, unsigned object)
{
	for (size_t i = 0; d != NULL && i < d->effects; i++)
		if (d->effect[i].object == object)
			return true;
	return d == NULL;
}

int
verify_live(const struct script *s, const struct promise *p,
    const struct deed *changed, char *problem, size_t size)
{
	const struct space *sp = &p->space;
	struct verify *v = calloc(1, sizeof(*v));
	int r;

	if (v == NULL)
		abort();
	v->s = s;
	v->p = p;
	v->exact = true;
	v->problem = problem;
	v->size = size;
	v->box = s->box;
	r = find_space(v);
	for (unsigned i = 0; i < sp->names && r == 0; i++)
		if (is_changed(changed, sp->name[i].object))
			r = verify_object(v, sp->name[i].object);
	for (unsigned i = 0; i < sp->snaps && r == 0; i++)
		if (is_changed(changed, sp->snap[i].object))
			r = verify_object(v, sp->snap[i].object);
	free(v);
	return r;
}

int
verify_unused(struct env *env, struct disk *disk, bool may_leak, char *problem,
    size_t size)
{
	struct verify *v = calloc(1, sizeof(*v));
	int r;

	if (v == NULL)
		abort();
	v->box.env = *env;
	v->box.disk = disk;
	v->may_leak = may_leak;
	v->problem = problem;
	v->size = size;
	r = check(v);
	free(v);
	return r;
}
