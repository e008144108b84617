/* SPDX-License-Identifier: BSD-2-Clause */
/* See truth.h: the bytes of now, and the effects of operations on them. */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/crash/truth.h"

static const uint8_t zeroes[HASH_BYTES];

static void *
grown(void *p, size_t count, size_t *max, size_t each)
{
	if (count < *max)
		return p;
	*max += *max / 2 + 16;
	p = reallocarray(p, *max, each);
	if (p == NULL)
		abort();
	return p;
}

/* ---- names ---- */

void
space_name(struct space *s, const char *name, bool sub, unsigned object)
{
	if (s->names == TRUTH_NAMES)
		abort();
	(void)snprintf(s->name[s->names].name, TRUTH_NAME_MAX, "%s", name);
	s->name[s->names].sub = sub;
	s->name[s->names++].object = object;
}

unsigned
space_find(const struct space *s, const char *name, bool sub)
{
	for (unsigned i = 0; i < s->names; i++)
		if (s->name[i].sub == sub && strcmp(s->name[i].name, name) == 0)
			return i;
	return UINT_MAX;
}

void
space_drop_name(struct space *s, unsigned i)
{
	s->name[i] = s->name[--s->names];
}

void
space_drop_snap(struct space *s, unsigned i)
{
	s->snap[i] = s->snap[--s->snaps];
}

size_t
xattr_value(unsigned n, uint8_t value[TRUTH_XATTR_MAX])
{
	size_t len = 1 + (size_t)n * 977 % TRUTH_XATTR_MAX;

	memset(value, (int)(n & 0xff), len);
	return len;
}

/* ---- effects ---- */

void
deed_fini(struct deed *d)
{
	free(d->effect);
	free(d->space);
	*d = (struct deed){ 0 };
}

static void
effect(struct truth *t, enum effect_kind kind, unsigned object, uint64_t at,
    uint64_t value)
{
	struct deed *d = t->deed;

	if (d == NULL)
		return;
	d->effect = grown(d->effect, d->effects, &d->max, sizeof(*d->effect));
	d->effect[d->effects++] = (struct effect){ kind, object, at, value };
}

/* ---- content ---- */

/* Index of the first piece that is not before `at`. */
static size_t
piece_index(const struct object *o, uint64_t at)
{
	size_t lo = 0, hi = o->pieces;

	while (lo < hi) {
		size_t mid = (lo + hi) / 2;

		if (o->piece[mid].at < at)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

/* The piece, or zeroes. */
static const uint8_t *
truth_piece(const struct object *o, uint64_t at)
{
	size_t i = piece_index(o, at);

	return i < o->pieces && o->piece[i].at == at ? o->piece[i].b : zeroes;
}

static uint8_t *
piece_get(struct object *o, uint64_t at)
{
	size_t i = piece_index(o, at);

	if (i < o->pieces && o->piece[i].at == at)
		return o->piece[i].b;
	o->piece = grown(o->piece, o->pieces, &o->max, sizeof(*o->piece));
	memmove(o->piece + i + 1, o->piece + i,
	    (o->pieces - i) * sizeof(*o->piece));
	o->pieces++;
	o->piece[i].at = at;
	memset(o->piece[i].b, 0, HASH_BYTES);
	return o->piece[i].b;
}

static void
set_size(struct truth *t, unsigned object, uint64_t size)
{
	if (t->object[object].size == size)
		return;
	t->object[object].size = size;
	effect(t, EFFECT_SIZE, object, 0, size);
}

static bool
is_gone(const struct space *s, unsigned object)
{
	for (unsigned i = 0; i < s->names; i++)
		if (s->name[i].object == object)
			return false;
	for (unsigned i = 0; i < s->snaps; i++)
		if (s->snap[i].object == object)
			return false;
	return true;
}

/* A number that is not in use. */
static unsigned
free_object(struct truth *t)
{
	if (t->objects < TRUTH_OBJECTS)
		return t->objects++;
	for (unsigned i = 1; i < TRUTH_OBJECTS; i++)
		if (is_gone(&t->space, i))
			return i;
	abort();
}

unsigned
truth_add(struct truth *t, enum inode_type type, uint64_t ino, uint64_t size)
{
	unsigned i = free_object(t);

	free(t->object[i].piece);
	t->object[i] = (struct object){ .type = type, .ino = ino,
	    .size = size };
	t->space.xattr[i] = 0;
	effect(t, EFFECT_MADE, i, 0, 0);
	effect(t, EFFECT_SIZE, i, 0, size);
	return i;
}

unsigned
truth_copy(struct truth *t, unsigned of, enum inode_type type, uint64_t ino)
{
	const struct object *o = &t->object[of];
	unsigned i = truth_add(t, type, ino, o->size);

	for (size_t k = 0; k < o->pieces; k++) {
		memcpy(piece_get(&t->object[i], o->piece[k].at),
		    o->piece[k].b, HASH_BYTES);
		effect(t, EFFECT_NEW, i, o->piece[k].at,
		    content_hash(o->piece[k].b));
	}
	return i;
}

/*
 * New bytes may be there while the end of the file is still where it was: they
 * show up to there.
 */
static void
effect_before_end(struct truth *t, unsigned object, uint64_t at,
    const uint8_t *b)
{
	uint64_t size = t->object[object].size;
	uint8_t cut[HASH_BYTES] = { 0 };

	if (size / HASH_BYTES != at || size % HASH_BYTES == 0)
		return;
	memcpy(cut, b, size % HASH_BYTES);
	effect(t, EFFECT_WRITE, object, at, content_hash(cut));
}

/* NULL data: zeroes. */
static void
put(struct truth *t, unsigned object, uint64_t offset, const uint8_t *data,
    uint64_t length)
{
	struct object *o = &t->object[object];
	size_t n;

	for (; length > 0; offset += n, length -= n) {
		size_t at = offset % HASH_BYTES;
		uint8_t *b = piece_get(o, offset / HASH_BYTES);

		n = HASH_BYTES - at < length ? HASH_BYTES - at :
		    (size_t)length;
		if (data != NULL)
			memcpy(b + at, data, n);
		else
			memset(b + at, 0, n);
		if (data != NULL)
			data += n;
		effect_before_end(t, object, offset / HASH_BYTES, b);
		effect(t, EFFECT_WRITE, object, offset / HASH_BYTES,
		    content_hash(b));
	}
}

void
truth_write(struct truth *t, unsigned object, uint64_t offset,
    const uint8_t *data, size_t length)
{
	put(t, object, offset, data, length);
	if (offset + length > t->object[object].size)
		set_size(t, object, offset + length);
}

/* Only pieces that were ever written can change. */
void
truth_zero(struct truth *t, unsigned object, uint64_t offset, uint64_t length)
{
	struct object *o = &t->object[object];
	uint64_t end = offset + length;

	for (size_t k = piece_index(o, offset / HASH_BYTES); k < o->pieces &&
	    o->piece[k].at * HASH_BYTES < end; k++) {
		uint64_t from = o->piece[k].at * HASH_BYTES;
		uint64_t to = from + HASH_BYTES;

		from = from < offset ? offset : from;
		to = to > end ? end : to;
		put(t, object, from, NULL, to - from);
	}
}

void
truth_resize(struct truth *t, unsigned object, uint64_t size)
{
	if (size < t->object[object].size)
		truth_zero(t, object, size, INT64_MAX - size);
	set_size(t, object, size);
}

void
truth_revert(struct truth *t, unsigned object, unsigned to)
{
	const struct object *s = &t->object[to];
	struct object *o = &t->object[object];

	for (size_t k = 0; k < o->pieces; k++)
		if (truth_piece(s, o->piece[k].at) == zeroes)
			put(t, object, o->piece[k].at * HASH_BYTES, NULL,
			    HASH_BYTES);
	for (size_t k = 0; k < s->pieces; k++)
		put(t, object, s->piece[k].at * HASH_BYTES, s->piece[k].b,
		    HASH_BYTES);
	set_size(t, object, s->size);
}

void
truth_found(struct truth *t, unsigned object, uint64_t at, const uint8_t *b)
{
	memcpy(piece_get(&t->object[object], at), b, HASH_BYTES);
	effect(t, EFFECT_FOUND, object, at, content_hash(b));
}

void
truth_found_size(struct truth *t, unsigned object, uint64_t size)
{
	set_size(t, object, size);
}

void
truth_fini(struct truth *t)
{
	for (unsigned i = 0; i < t->objects; i++)
		free(t->object[i].piece);
	*t = (struct truth){ 0 };
}
