/* SPDX-License-Identifier: BSD-2-Clause */
/* See script_ops.h. */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libvmfs/base/cleanup.h"
#include "libvmfs/base/units.h"
#include "tests/crash/script_ops.h"

#define KEEP_BYTES (256 * KIB)	/* of the disk, however it shrinks */

static uint64_t
below(struct script *s, uint64_t bound)
{
	return prng_below(&s->prng, bound);
}

static struct object *
object(struct script *s, unsigned o)
{
	return &s->truth.object[o];
}

static uint64_t
root(const struct script *s)
{
	return s->root;
}

static uint64_t
dir(const struct script *s, bool sub)
{
	return sub ? s->sub : root(s);
}

int
script_open_disk(struct script *s)
{
	return fs_file_open(s->box.fs, object(s, s->disk)->ino, 0,
	    FS_READ | FS_WRITE, &s->f, NULL);
}

int
script_close_disk(struct script *s)
{
	int r = s->f != NULL ? fs_file_close(s->f) : 0;

	s->f = NULL;
	return r;
}

int
script_create(struct script *s, const char *name, enum inode_type type,
    uint64_t size, unsigned *ret_object)
{
	struct fs_attr a;
	int r = fs_create(s->box.fs, root(s), name, type, 0644, 0, 0, size, &a);

	if (r < 0)
		return r;
	*ret_object = truth_add(&s->truth, type, a.ino, size);
	space_name(&s->truth.space, name, false, *ret_object);
	return 0;
}

int
script_put(struct script *s, unsigned o, uint64_t offset, const uint8_t *data,
    size_t length)
{
	struct fs_file *f = s->f;
	int r = 0, e = 0;

	if (o != s->disk)
		r = fs_file_open(s->box.fs, object(s, o)->ino, 0, FS_WRITE, &f,
		    NULL);
	if (r < 0)
		return r;
	truth_write(&s->truth, o, offset, data, length);
	r = fs_file_write(f, offset, data, length);
	if (o != s->disk)
		e = fs_file_close(f);
	return r < 0 ? r : e;
}

static int
put_random(struct script *s, unsigned o, uint64_t offset, size_t length)
{
	cleanup_free uint8_t *buf = malloc(length);

	if (buf == NULL)
		return -ENOMEM;
	prng_fill(&s->prng, buf, length);
	return script_put(s, o, offset, buf, length);
}

/*
 * Where something happens on a disk: at its beginning, around the first MiB
 * and around the first 16 MiB, where nodes of the map meet.
 */
static uint64_t
place(struct script *s, unsigned o, size_t length)
{
	static const struct { uint64_t from, bytes; } places[] = {
		{ 0, KEEP_BYTES }, { MIB - 64 * KIB, 128 * KIB },
		{ 16 * MIB - 32 * KIB, 64 * KIB },
	};
	unsigned n = object(s, o)->size > 16 * MIB + 128 * KIB ? 3 :
	    object(s, o)->size > MIB + 128 * KIB ? 2 : 1;
	unsigned i = (unsigned)below(s, n);
	uint64_t room = places[i].bytes > length ? places[i].bytes - length :
	    1;

	return places[i].from + below(s, room);
}

/* ---- content ---- */

static int
op_write(struct script *s)
{
	static const unsigned blocks[] = { 1, 1, 2, 3, 15, 16, 17, 20 };
	size_t len = (size_t)blocks[below(s, 8)] * BLOCK_SIZE;
	uint64_t at = place(s, s->disk, len) & ~(uint64_t)(BLOCK_SIZE - 1);

	return put_random(s, s->disk, at, len);
}

/* A whole chunk: what a snapshot shares at no further cost. */
static int
op_chunk(struct script *s)
{
	uint64_t at = place(s, s->disk, CHUNK_SIZE) &
	    ~(uint64_t)(CHUNK_SIZE - 1);

	return put_random(s, s->disk, at, CHUNK_SIZE);
}

static int
op_uwrite(struct script *s)
{
	size_t len = 1 + (size_t)below(s, below(s, 2) != 0 ? 600 : 9000);

	return put_random(s, s->disk, place(s, s->disk, len), len);
}

static int
op_flush(struct script *s)
{
	return fs_file_flush(s->f);
}

static int
punch_at(struct script *s, uint64_t at, uint64_t len)
{
	truth_zero(&s->truth, s->disk, at, len);
	return fs_file_punch(s->f, at, len);
}

static int
punch(struct script *s, uint64_t unit, uint64_t units)
{
	uint64_t len = (1 + below(s, units)) * unit;

	return punch_at(s, place(s, s->disk, len) / unit * unit, len);
}

static int
op_punch(struct script *s)
{
	/* What no snapshot has is free at once. */
	if (below(s, 2) != 0)
		return punch_at(s, CHUNK_SIZE, 2 * CHUNK_SIZE);
	return below(s, 2) != 0 ? punch(s, CHUNK_SIZE, 3) :
	    punch(s, BLOCK_SIZE, 20);
}

static int
op_upunch(struct script *s)
{
	return punch(s, 1, 20000);
}

static int
op_alloc(struct script *s)
{
	uint64_t at = place(s, s->disk, CHUNK_SIZE);

	return fs_file_allocate(s->f, at, 1 + below(s, 3 * CHUNK_SIZE));
}

static int
resize(struct script *s, uint64_t size)
{
	truth_resize(&s->truth, s->disk, size);
	return fs_file_truncate(s->f, size);
}

static int
op_grow(struct script *s)
{
	return resize(s, object(s, s->disk)->size + 512 *
	    (1 + below(s, 4000)));
}

static int
op_shrink(struct script *s)
{
	uint64_t size = place(s, s->disk, 1) / 512 * 512;

	return resize(s, size < KEEP_BYTES ? KEEP_BYTES : size);
}

/* ---- files ---- */

/* A name of that type, by chance; UINT_MAX: there is none. */
static unsigned
some_name(struct script *s, enum inode_type type, bool clone)
{
	const struct space *sp = &s->truth.space;
	unsigned fit[TRUTH_NAMES], n = 0;

	for (unsigned i = 0; i < sp->names; i++) {
		unsigned o = sp->name[i].object;

		if (o != s->disk && object(s, o)->type == type &&
		    strcmp(sp->name[i].name, "ballast") != 0 &&
		    (!clone || object(s, o)->origin != 0))
			fit[n++] = i;
	}
	return n > 0 ? fit[below(s, n)] : UINT_MAX;
}

static unsigned
some_object(struct script *s, enum inode_type type, bool clone)
{
	unsigned i = some_name(s, type, clone);

	return i == UINT_MAX ? UINT_MAX : s->truth.space.name[i].object;
}

static int
op_create(struct script *s)
{
	bool is_disk = below(s, 3) == 0;
	char name[TRUTH_NAME_MAX];
	unsigned o;
	int r;

	if (s->truth.space.names == TRUTH_NAMES)
		return op_flush(s);
	(void)snprintf(name, sizeof(name), "n%u", s->serial++);
	r = script_create(s, name, is_disk ? INODE_DISK : INODE_FILE,
	    is_disk ? MIB : 0, &o);
	if (r == 0)
		r = put_random(s, o, 0, is_disk ? 8192 :
		    1 + (size_t)below(s, below(s, 2) != 0 ? 3000 : 30000));
	return r;
}

static int
op_append(struct script *s)
{
	unsigned o = some_object(s, INODE_FILE, false);

	if (o == UINT_MAX)
		return op_create(s);
	return put_random(s, o, object(s, o)->size, 1 + (size_t)below(s, 6000));
}

static int
op_fwrite(struct script *s)
{
	unsigned o = some_object(s, INODE_FILE, false);

	if (o == UINT_MAX)
		return op_create(s);
	return put_random(s, o, below(s, 20000), 1 + (size_t)below(s, 6000));
}

static int
op_ftrunc(struct script *s)
{
	unsigned o = some_object(s, INODE_FILE, false);
	uint64_t size = below(s, 20000);
	struct fs_file *f;
	int r, e;

	if (o == UINT_MAX)
		return op_create(s);
	r = fs_file_open(s->box.fs, object(s, o)->ino, 0, FS_WRITE, &f, NULL);
	if (r < 0)
		return r;
	truth_resize(&s->truth, o, size);
	r = fs_file_truncate(f, size);
	e = fs_file_close(f);
	return r < 0 ? r : e;
}

static int
op_rename(struct script *s)
{
	struct space *sp = &s->truth.space;
	unsigned i = some_name(s, INODE_FILE, false), old, moved;
	char from[TRUTH_NAME_MAX], name[TRUTH_NAME_MAX];
	bool from_sub, sub = below(s, 2) != 0;
	int r;

	if (i == UINT_MAX)
		return op_create(s);
	moved = sp->name[i].object;
	from_sub = sp->name[i].sub;
	memcpy(from, sp->name[i].name, sizeof(from));
	(void)snprintf(name, sizeof(name), "r%u", (unsigned)below(s, 2));
	if (below(s, 2) != 0) {
		old = some_name(s, INODE_FILE, false);
		sub = sp->name[old].sub;
		memcpy(name, sp->name[old].name, sizeof(name));
	}
	old = space_find(sp, name, sub);
	if (old != UINT_MAX && sp->name[old].object == moved)
		return op_flush(s);	/* a rename that does nothing */
	r = fs_rename(s->box.fs, dir(s, from_sub), from, dir(s, sub), name, 0,
	    NULL);
	if (r < 0)
		return r;
	if (old != UINT_MAX)
		space_drop_name(sp, old);
	space_drop_name(sp, space_find(sp, from, from_sub));
	space_name(sp, name, sub, moved);
	return 0;
}

static int
op_link(struct script *s)
{
	struct space *sp = &s->truth.space;
	unsigned i = some_name(s, INODE_FILE, false), o;
	bool sub = below(s, 2) != 0;
	char name[TRUTH_NAME_MAX];
	struct fs_attr a;
	int r;

	if (i == UINT_MAX || sp->names == TRUTH_NAMES)
		return op_create(s);
	o = sp->name[i].object;
	(void)snprintf(name, sizeof(name), "l%u", s->serial++);
	r = fs_link(s->box.fs, object(s, o)->ino, 0, dir(s, sub), name, &a,
	    NULL);
	if (r == 0)
		space_name(sp, name, sub, o);
	return r;
}

static int
op_setx(struct script *s)
{
	unsigned o = some_object(s, below(s, 2) != 0 ? INODE_FILE : INODE_DISK,
	    false), n = ++s->serial;
	uint8_t value[TRUTH_XATTR_MAX];
	int r;

	if (o == UINT_MAX)
		return op_create(s);
	r = fs_xattr_set(s->box.fs, object(s, o)->ino, 0, TRUTH_XATTR, value,
	    xattr_value(n, value), 0, NULL);
	if (r == 0)
		s->truth.space.xattr[o] = n;
	return r;
}

static int
op_rmx(struct script *s)
{
	struct space *sp = &s->truth.space;
	unsigned o = UINT_MAX;
	int r;

	for (unsigned i = 0; i < sp->names; i++)
		if (sp->xattr[sp->name[i].object] != 0)
			o = sp->name[i].object;
	if (o == UINT_MAX)
		return op_setx(s);
	r = fs_xattr_remove(s->box.fs, object(s, o)->ino, 0, TRUTH_XATTR, NULL);
	if (r == 0)
		sp->xattr[o] = 0;
	return r;
}

/* What an object that goes takes with it. */
static void
forget(struct script *s, unsigned o)
{
	struct space *sp = &s->truth.space;

	for (unsigned i = sp->snaps; i-- > 0; ) {
		if (sp->snap[i].object == object(s, o)->origin)
			sp->snap[i].clones--;
		if (sp->snap[i].disk == o)
			space_drop_snap(sp, i);
	}
}

static int
op_delete(struct script *s)
{
	struct space *sp = &s->truth.space;
	unsigned i = some_name(s, below(s, 3) == 0 ? INODE_FILE : INODE_DISK,
	    false), o;
	int r;

	if (i == UINT_MAX)
		return op_create(s);
	r = fs_unlink(s->box.fs, dir(s, sp->name[i].sub), sp->name[i].name,
	    NULL);
	if (r < 0)
		return r;
	o = sp->name[i].object;
	space_drop_name(sp, i);
	for (i = 0; i < sp->names; i++)
		if (sp->name[i].object == o)
			return 0;
	forget(s, o);
	return 0;
}

/* ---- snapshots ---- */

static int
snap(struct script *s, unsigned o)
{
	struct space *sp = &s->truth.space;
	char name[TRUTH_NAME_MAX];
	struct fs_snapshot shot;
	int r;

	if (sp->snaps == TRUTH_SNAPS)
		return op_flush(s);
	(void)snprintf(name, sizeof(name), "s%u", s->serial++);
	r = fs_snapshot_create(s->box.fs, object(s, o)->ino, name, &shot,
	    NULL);
	if (r < 0)
		return r;
	sp->snap[sp->snaps].id = shot.id;
	sp->snap[sp->snaps].disk = o;
	sp->snap[sp->snaps].clones = 0;
	sp->snap[sp->snaps++].object = truth_copy(&s->truth, o, INODE_SNAPSHOT,
	    shot.ino);
	return 0;
}

static int
op_snap(struct script *s)
{
	return snap(s, s->disk);
}

/* A snapshot of the script's disk, by chance. */
static unsigned
some_snap(struct script *s, bool pinned_too)
{
	const struct space *sp = &s->truth.space;
	unsigned fit[TRUTH_SNAPS], n = 0;

	for (unsigned i = 0; i < sp->snaps; i++)
		if (sp->snap[i].disk == s->disk &&
		    (pinned_too || sp->snap[i].clones == 0))
			fit[n++] = i;
	return n > 0 ? fit[below(s, n)] : UINT_MAX;
}

static int
op_clone(struct script *s)
{
	struct space *sp = &s->truth.space;
	unsigned i = some_snap(s, true), o;
	char name[TRUTH_NAME_MAX];
	struct fs_attr a;
	int r;

	if (i == UINT_MAX)
		return op_snap(s);
	if (sp->names == TRUTH_NAMES)
		return op_flush(s);
	(void)snprintf(name, sizeof(name), "c%u", s->serial++);
	r = fs_clone(s->box.fs, object(s, sp->snap[i].object)->ino, root(s),
	    name, 0644, 0, 0, &a, NULL);
	if (r < 0)
		return r;
	o = truth_copy(&s->truth, sp->snap[i].object, INODE_DISK, a.ino);
	object(s, o)->origin = sp->snap[i].object;
	sp->snap[i].clones++;
	space_name(sp, name, false, o);
	return 0;
}

static int
op_cwrite(struct script *s)
{
	unsigned o = some_object(s, INODE_DISK, true);
	size_t len = below(s, 2) != 0 ? 1 + (size_t)below(s, 9000) :
	    BLOCK_SIZE * (1 + (size_t)below(s, 17));

	return o == UINT_MAX ? op_clone(s) :
	    put_random(s, o, place(s, o, len), len);
}

static int
op_drop(struct script *s)
{
	struct space *sp = &s->truth.space;
	unsigned i = some_snap(s, false);
	int r;

	if (i == UINT_MAX)
		return op_snap(s);
	r = fs_snapshot_delete(s->box.fs, object(s, s->disk)->ino,
	    sp->snap[i].id, NULL);
	if (r == 0)
		space_drop_snap(sp, i);
	return r;
}

static int
op_revert(struct script *s)
{
	const struct space *sp = &s->truth.space;
	unsigned i = some_snap(s, true);
	int r;

	if (i == UINT_MAX)
		return op_snap(s);
	r = script_close_disk(s);
	truth_revert(&s->truth, s->disk, sp->snap[i].object);
	if (r == 0)
		r = fs_snapshot_revert(s->box.fs, object(s, s->disk)->ino,
		    sp->snap[i].id, NULL);
	return r == 0 ? script_open_disk(s) : r;
}

/* ---- hosts ---- */

static int
op_checkpoint(struct script *s)
{
	return ds_checkpoint(s->box.ds, 0);
}

static int
op_keep(struct script *s)
{
	s->hosts->keep(s);
	return ds_health(s->box.ds);
}

static int
op_remount(struct script *s)
{
	return s->hosts->remount(s);
}

static int
op_move(struct script *s)
{
	return s->hosts->move(s);
}

/* What the survivor sees is how it ended. */
static int
find(struct script *s, unsigned o)
{
	uint8_t b[HASH_BYTES];
	struct fs_file *f;
	struct fs_attr a;
	size_t got;
	int r = fs_file_open(s->box.fs, object(s, o)->ino, 0, FS_READ, &f,
	    NULL), e;

	if (r < 0)
		return r;
	r = fs_file_attr(f, &a);
	for (size_t k = 0; r == 0 && k < object(s, o)->pieces; k++) {
		uint64_t at = object(s, o)->piece[k].at;

		memset(b, 0, sizeof(b));
		r = fs_file_read(f, at * HASH_BYTES, b, sizeof(b), &got);
		truth_found(&s->truth, o, at, b);
	}
	if (r == 0)
		truth_found_size(&s->truth, o, a.size);
	e = fs_file_close(f);
	return r < 0 ? r : e;
}

int
script_look(struct script *s)
{
	const struct space *sp = &s->truth.space;
	int r = s->f == NULL ? script_open_disk(s) : 0;

	for (unsigned i = 0; i < sp->names && r == 0; i++)
		r = find(s, sp->name[i].object);
	for (unsigned i = 0; i < sp->snaps && r == 0; i++)
		r = find(s, sp->snap[i].object);
	return r;
}

static int
op_takeover(struct script *s)
{
	int r = s->hosts->takeover(s);

	return r == 0 ? script_look(s) : r;
}

/* ---- all of them ---- */

static int
furnish_disk(struct script *s)
{
	static const uint64_t at[] = {
		0, 80 * KIB, MIB - 20 * KIB, 16 * MIB - 8 * KIB,
	};
	int r = 0;

	for (unsigned i = 0; i < 4 && r == 0; i++)
		r = put_random(s, s->disk, at[i], i == 0 ? CHUNK_SIZE :
		    40 * KIB);
	return r;
}

int
script_furnish(struct script *s)
{
	unsigned f, g, t;
	struct fs_attr a;
	int r = fs_create(s->box.fs, root(s), "sub", INODE_DIR, 0755, 0, 0, 0,
	    &a);

	s->sub = r == 0 ? a.ino : 0;
	if (r == 0)
		r = furnish_disk(s);
	for (unsigned i = 0; i < 3 && r == 0; i++) {
		r = op_snap(s);
		if (r == 0)
			r = op_write(s);
	}
	/* And what no snapshot has. */
	if (r == 0)
		r = put_random(s, s->disk, CHUNK_SIZE, 2 * CHUNK_SIZE);
	if (r == 0)
		r = op_clone(s);
	if (r == 0)
		r = op_cwrite(s);
	if (r == 0)
		r = script_create(s, "f", INODE_FILE, 0, &f);
	if (r == 0)
		r = put_random(s, f, 0, 200);
	if (r == 0)
		r = script_create(s, "g", INODE_FILE, 0, &g);
	if (r == 0)
		r = put_random(s, g, 0, 9000);
	if (r == 0)
		r = script_create(s, "t", INODE_DISK, 2 * MIB, &t);
	if (r == 0)
		r = put_random(s, t, 4096, 70000);
	return r == 0 ? snap(s, t) : r;
}

/* What is durable when it is acknowledged, and with it all before it. */
#define SETTLES true
static const struct {
	const char *name;
	int (*fn)(struct script *s);
	bool settles;
} ops[] = {
	{ "write", op_write, false },
	{ "uwrite", op_uwrite, false },
	{ "chunk", op_chunk, false },
	{ "flush", op_flush, SETTLES },
	{ "punch", op_punch, false },
	{ "upunch", op_upunch, false },
	{ "alloc", op_alloc, false },
	{ "grow", op_grow, false },
	{ "shrink", op_shrink, false },
	{ "create", op_create, SETTLES },
	{ "append", op_append, SETTLES },
	{ "fwrite", op_fwrite, SETTLES },
	{ "ftrunc", op_ftrunc, SETTLES },
	{ "rename", op_rename, SETTLES },
	{ "delete", op_delete, SETTLES },
	{ "link", op_link, SETTLES },
	{ "setx", op_setx, SETTLES },
	{ "rmx", op_rmx, SETTLES },
	{ "snap", op_snap, SETTLES },
	{ "clone", op_clone, SETTLES },
	{ "cwrite", op_cwrite, SETTLES },
	{ "drop", op_drop, SETTLES },
	{ "revert", op_revert, SETTLES },
	{ "checkpoint", op_checkpoint, SETTLES },
	{ "keep", op_keep, false },
	{ "remount", op_remount, SETTLES },
	{ "move", op_move, SETTLES },
	{ "takeover", op_takeover, false },
};
#define OPS (sizeof(ops) / sizeof(ops[0]))

const char *
script_op_name(unsigned op)
{
	return op < OPS ? ops[op].name : NULL;
}

unsigned
script_ops(void)
{
	return OPS;
}

int
script_op_do(struct script *s, unsigned op, struct deed *d)
{
	d->settles = ops[op].settles;
	return ops[op].fn(s);
}
