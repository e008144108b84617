/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the volume should hold.  The truth knows each byte as of now; each
 * operation leaves a list of its effects, from which the promise tells what a
 * power cut at any moment may leave behind.
 */
#ifndef TESTS_CRASH_TRUTH_H
#define TESTS_CRASH_TRUTH_H

#include "libvmfs/core/fs.h"
#include "tests/crash/pages.h"

#define TRUTH_OBJECTS 48
#define TRUTH_NAMES 24
#define TRUTH_SNAPS 16
#define TRUTH_NAME_MAX 16

/* Names and snapshots at one moment. */
struct space {
	struct {
		char name[TRUTH_NAME_MAX];
		bool sub;	/* in the directory "sub", else in the root */
		unsigned object;
	} name[TRUTH_NAMES];
	unsigned names;
	struct {
		uint32_t id;
		unsigned disk, object;
		unsigned clones;
	} snap[TRUTH_SNAPS];
	unsigned snaps;
	/* Of each object: what its attribute is made of; 0: it has none. */
	unsigned xattr[TRUTH_OBJECTS];
};

/* A piece that was ever written: the others are zeroes. */
struct piece {
	uint64_t at;		/* in units of HASH_BYTES */
	uint8_t b[HASH_BYTES];
};
struct object {
	enum inode_type type;
	uint64_t ino, size;
	unsigned origin;	/* of a clone: its snapshot; else 0 */
	struct piece *piece;	/* ascending */
	size_t pieces, max;
};

enum effect_kind {
	EFFECT_MADE,	/* nothing that was known of the object counts */
	EFFECT_WRITE,	/* the old content until it is done, or the new */
	EFFECT_NEW,	/* of an object that is made whole with its name */
	EFFECT_FOUND,	/* a survivor has seen it: this is it from now on */
	EFFECT_SIZE,	/* `value` is a size */
};
struct effect {
	enum effect_kind kind;
	unsigned object;
	uint64_t at;
	uint64_t value;		/* a hash */
};

/* One operation. */
struct deed {
	const char *what;
	size_t start, end;	/* events before and after it */
	struct effect *effect;
	size_t effects, max;
	struct space *space;	/* after it; NULL: as before */
	bool settles;		/* all is durable when it is done */
};
void deed_fini(struct deed *d);

struct truth {
	struct object object[TRUTH_OBJECTS];
	unsigned objects;
	struct space space;
	struct deed *deed;	/* gets the effects */
};
void truth_fini(struct truth *t);
unsigned truth_add(struct truth *t, enum inode_type type, uint64_t ino,
    uint64_t size);
/* Another object with the content of one, whole at once. */
unsigned truth_copy(struct truth *t, unsigned of, enum inode_type type,
    uint64_t ino);
void truth_write(struct truth *t, unsigned object, uint64_t offset,
    const uint8_t *data, size_t length);
void truth_zero(struct truth *t, unsigned object, uint64_t offset,
    uint64_t length);
/* What is behind the end is gone. */
void truth_resize(struct truth *t, unsigned object, uint64_t size);
void truth_revert(struct truth *t, unsigned object, unsigned to);
/* A survivor found this at piece `at`. */
void truth_found(struct truth *t, unsigned object, uint64_t at,
    const uint8_t *b);
void truth_found_size(struct truth *t, unsigned object, uint64_t size);

/* space: helpers; UINT_MAX when there is none. */
void space_name(struct space *s, const char *name, bool sub, unsigned object);
unsigned space_find(const struct space *s, const char *name, bool sub);
void space_drop_name(struct space *s, unsigned i);
void space_drop_snap(struct space *s, unsigned i);
#define TRUTH_XATTR "user.crash"
#define TRUTH_XATTR_MAX 4000
/* The value of an attribute made of n; its length. */
size_t xattr_value(unsigned n, uint8_t value[TRUTH_XATTR_MAX]);

/* ---- what may be there after a cut ---- */

#define CELL_VALUES 8
struct cell {
	uint64_t at;
	uint64_t now;
	uint64_t v[CELL_VALUES];
	unsigned n;
	bool any;		/* more values than there is room for */
};
struct cells {
	struct cell *c;		/* ascending */
	size_t count, max;
	struct cell size;
};
struct promise {
	struct cells object[TRUTH_OBJECTS];
	struct space space;
	const struct space *next;	/* or this; NULL: none */
};
void promise_fini(struct promise *p);
void promise_begin(struct promise *p, const struct deed *d);
/* False: a survivor found what must not be. */
bool promise_end(struct promise *p, const struct deed *d);
bool cell_allows(const struct cell *c, uint64_t value);

#endif
