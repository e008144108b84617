/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A disk on one or two LUNs that fail now and then and may lose power, and what
 * each of its sectors may be; for core_mix_test, fiber context.
 */
#ifndef TESTS_UNIT_CORE_MIX_RIG_H
#define TESTS_UNIT_CORE_MIX_RIG_H

#include "tests/unit/core_fs_rig.h"
#include "tests/unit/crash_disk.h"

#define SECTOR 512u
#define SECTORS (unsigned)(5 * MIB / SECTOR)
#define VALUES 12u
#define SNAPS 4u

/* Values that a sector may have: 0, or the number of a write. */
struct set {
	uint32_t v[VALUES];
	uint8_t n;
	bool any;		/* more than there is room for */
};

struct snap {
	bool there;
	uint32_t id;
	uint64_t ino;
	struct set s[SECTORS];
};

struct mix {
	struct rig r;
	struct prng p;
	/* What the seed has chosen. */
	unsigned grain;		/* sectors that lie together of one writer */
	bool crypt;
	bool wide;		/* each chunk in a leaf of its own */
	bool two;		/* LUNs */
	unsigned trouble;	/* of so many requests one fails; 0: none */
	unsigned short_of;	/* memory, likewise */
	unsigned cut_at;	/* the power goes after so many; 0: not then */
	/* LUNs. */
	struct crash_disk *crash[2];
	size_t cut_writes[2];
	bool cut;		/* the power is off */
	bool reordered;		/* requests are held, and go on by chance */
	/* The disk. */
	uint64_t ino;
	struct fs_file *f;	/* NULL: it could not be opened */
	uint32_t stamp;		/* of the last write */
	unsigned ops, failed, names;
	struct set now[SECTORS];
	struct set crashed[SECTORS];	/* after a power cut now */
	/* The same as of a flush or snapshot that is under way. */
	struct set flush[SECTORS], snapping[SECTORS];
	bool is_flushing, is_snapping;
	struct snap snap[SNAPS];
};

extern struct mix *mix;

uint64_t mix_below(uint64_t n);

/* ---- core_mix_model.c ---- */

void set_add(struct set *s, uint32_t v);
void set_only(struct set *s, uint32_t v);
/* All that `from` may be s may be, too. */
void set_join(struct set *s, const struct set *from);

/* Where a sector of the model is in the disk. */
uint64_t mix_place(unsigned s);
/* How many of n sectors from s on lie together there. */
unsigned mix_together(unsigned s, unsigned n);

/* Sectors [s, s + n) get value v; rc: what came of that. */
void mix_begins(unsigned s, unsigned n, uint32_t v);
void mix_ended(unsigned s, unsigned n, uint32_t v, int rc);

/* Memory that is there always. */
void *mix_buffer(size_t len);
/* n sectors of value v. */
void *mix_pattern(unsigned n, uint32_t v);

/* What buf has is what sectors [s, s + n) may be; settle: they are that from
 * now on. */
void mix_compare(const char *what, const uint8_t *buf, unsigned s, unsigned n,
    struct set *set, bool settle);
/* Of all of a file; a read that fails shows nothing. */
void mix_compare_file(const char *what, struct fs_file *f, struct set *set,
    bool settle);

/* ---- core_mix_luns.c ---- */

void mix_luns_new(void);
/* All that was written, or what the power cut left of it. */
void mix_luns_next(uint64_t seed);
/* The volume's further LUN, and its journal. */
void mix_luns_recover(void);
/* fsck; findings but notes are counted, leaks apart. */
void mix_luns_check(unsigned *ret_bad, unsigned *ret_leaks);
void mix_luns_close(void);
/* Of both LUNs; nothing is written after it. */
void mix_cut_power(void);
/* Requests are held from now on; or all go on again. */
void mix_reorder(bool on);

#endif
