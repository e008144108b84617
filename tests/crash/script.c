/* SPDX-License-Identifier: BSD-2-Clause */
/* See script.h: how a sequence begins, goes on and ends.  The operations are
 * in script_ops.c. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libvmfs/base/crc32c.h"
#include "libvmfs/base/units.h"
#include "tests/crash/script_ops.h"

#define LUN_BYTES (64 * MIB)
#define DISK_BYTES (17 * MIB)
#define JOURNAL_ROOM 240u	/* commits of one block that fill most of it */

void
script_fail(struct script *s, const char *fmt, ...)
{
	va_list ap;

	if (s->problem[0] != '\0')
		return;
	va_start(ap, fmt);
	(void)vsnprintf(s->problem, sizeof(s->problem), fmt, ap);
	va_end(ap);
}

static struct deed *
deed_new(struct script *s, const char *what)
{
	struct deed *d;

	if (s->deeds == s->max) {
		s->max += s->max + 16;
		s->deed = reallocarray(s->deed, s->max, sizeof(*d));
		if (s->deed == NULL)
			abort();
	}
	d = &s->deed[s->deeds++];
	*d = (struct deed){ .what = what, .start = s->events.count };
	s->truth.deed = d;
	return d;
}

static void
deed_done(struct script *s, struct deed *d)
{
	d->end = s->events.count;
	d->space = malloc(sizeof(*d->space));
	if (d->space == NULL)
		abort();
	*d->space = s->truth.space;
	s->truth.deed = NULL;
}

/* ---- the beginning ---- */

/* Commits until the journal is about to start over. */
static int
fill_journal(struct script *s)
{
	uint64_t n = JOURNAL_ROOM + prng_below(&s->prng, 12);
	uint8_t b[HASH_BYTES];
	int r = 0;

	for (uint64_t i = 0; i < n && r == 0; i++) {
		prng_fill(&s->prng, b, sizeof(b));
		r = script_put(s, s->disk, 0, b, sizeof(b));
		if (r == 0)
			r = fs_file_flush(s->f);
		if (r == 0 && i == n / 2)
			r = ds_checkpoint(s->box.ds, 0);
	}
	return r;
}

static int
allocate_all(struct fs_file *f, uint64_t step, uint64_t *at)
{
	int r;

	do {
		r = fs_file_allocate(f, *at, step);
		*at += step;
	} while (r == 0);
	return r == -ENOSPC ? 0 : r;
}

/* All space but some chunks here and there, which are soon used again. */
static int
fill_space(struct script *s)
{
	uint64_t at = 0, holes = 2 + prng_below(&s->prng, 12);
	struct fs_file *f;
	unsigned o;
	int r = script_create(s, "ballast", INODE_DISK, 256 * MIB, &o), e;

	if (r == 0)
		r = fs_file_open(s->box.fs, s->truth.object[o].ino, 0,
		    FS_WRITE, &f, NULL);
	if (r < 0)
		return r;
	r = allocate_all(f, MIB, &at);
	if (r == 0)
		r = allocate_all(f, CHUNK_SIZE, &at);
	for (; holes > 0 && r == 0; holes--)
		r = fs_file_punch(f, prng_below(&s->prng, at / CHUNK_SIZE) *
		    CHUNK_SIZE, CHUNK_SIZE);
	e = fs_file_close(f);
	return r < 0 ? r : e;
}

/* A limit is one of the ways to have little space. */
static int
make_root(struct script *s)
{
	struct fs *fs = s->box.fs;
	struct fs_quota_left left;
	struct fs_attr a;
	int r;

	s->root = fs_root(fs);
	if (!s->variant.quota)
		return 0;
	r = fs_create(fs, s->root, "limited", INODE_DIR, 0755, 0, 0, 0, &a);
	if (r == 0)
		r = fs_quota_set(fs, a.ino, s->variant.tight ? LUN_BYTES / 2 :
		    0, 0, &left);
	s->root = a.ino;
	return r;
}

static int
furnish(struct script *s)
{
	int r = script_create(s, "d", INODE_DISK, DISK_BYTES, &s->disk);

	if (r == 0)
		r = script_open_disk(s);
	if (r == 0)
		r = script_furnish(s);
	if (r == 0 && s->variant.tight)
		r = fill_space(s);
	if (r == 0 && s->variant.wrap)
		r = fill_journal(s);
	return r == 0 ? fs_file_flush(s->f) : r;
}

static struct variant
variant_of(uint32_t hash, uint64_t round)
{
	struct prng p;

	prng_seed(&p, hash ^ (round << 32));
	return (struct variant){
		.block_size = prng_below(&p, 4) == 0 ? 4096 : 512,
		.discard = prng_below(&p, 4) == 0,
		.wrap = prng_below(&p, 4) == 0,
		.tight = prng_below(&p, 3) == 0,
		.quota = prng_below(&p, 3) == 0,
	};
}

void
script_init(struct script *s, const char *name, uint64_t round)
{
	uint32_t hash = crc32c(0, name, strlen(name));

	memset(s, 0, sizeof(*s));
	(void)snprintf(s->name, sizeof(s->name), "%s", name);
	s->round = round;
	s->variant = variant_of(hash, round);
	s->hosts = &script_box;
	prng_seed(&s->prng, hash + round * 0x100000001b3u);
}

static int
box_begin(struct script *s)
{
	int r;

	pages_init(&s->lun, NULL, LUN_BYTES, s->variant.block_size);
	s->lun.events = &s->events;
	s->lun.unhashed = true;
	box_init(&s->box, &s->lun.disk, prng_u64(&s->prng));
	r = box_mkfs(&s->box);
	/* Each slot has its journal: a host that dies while it makes one is
	 * known to lose that space. */
	for (unsigned i = 0; i < BOX_SLOTS && r == 0; i++) {
		r = box_mount(&s->box, i, ++s->incarnation[i], false);
		if (r == 0)
			r = box_unmount(&s->box);
	}
	return r == 0 ? box_mount(&s->box, 0, ++s->incarnation[0],
	    s->variant.discard) : r;
}

int
script_start(struct script *s)
{
	struct deed *d = deed_new(s, "beginning");
	int r = s->hosts->begin(s);

	d->settles = true;
	if (r == 0)
		r = make_root(s);
	if (r == 0)
		r = furnish(s);
	deed_done(s, d);
	if (r < 0)
		script_fail(s, "the beginning of a volume fails: %s",
		    vmfs_strerror(r));
	return r < 0 ? -EPROTO : 0;
}

/* ---- the one box ---- */

static int
mount_next(struct script *s, unsigned slot)
{
	int r;

	s->slot = slot;
	r = box_mount(&s->box, slot, ++s->incarnation[slot],
	    s->variant.discard);
	return r == 0 ? script_open_disk(s) : r;
}

static int
box_leave(struct script *s)
{
	int r = script_close_disk(s), e = box_unmount(&s->box);

	return r < 0 ? r : e;
}

static int
box_remount(struct script *s)
{
	int r = box_leave(s);

	return r == 0 ? mount_next(s, s->slot) : r;
}

static int
box_move(struct script *s)
{
	int r = box_leave(s);

	return r == 0 ? mount_next(s, 1 - s->slot) : r;
}

static int
box_takeover(struct script *s)
{
	int r;

	box_kill(&s->box);
	s->f = NULL;
	r = box_replay(&s->box, s->slot, s->incarnation[s->slot]);
	return r == 0 ? mount_next(s, 1 - s->slot) : r;
}

static void
box_wait(struct script *s)
{
	(void)s;
	box_keep();
}

const struct script_hosts script_box = {
	.remount = box_remount, .move = box_move, .takeover = box_takeover,
	.keep = box_wait, .begin = box_begin,
};

/* ---- operations ---- */

int
script_op(struct script *s, unsigned op)
{
	struct deed *d = deed_new(s, script_op_name(op));
	int r = script_op_do(s, op, d);

	/* Then what was to be changed may have been changed in part. */
	if ((r == -ENOSPC || r == -EDQUOT) && s->variant.tight) {
		s->full = true;
		d->settles = false;
		r = script_look(s);
	}
	deed_done(s, d);
	if (r < 0)
		script_fail(s, "operation %zu, %s, fails: %s", s->deeds - 1,
		    script_op_name(op), vmfs_strerror(r));
	return r < 0 ? -EPROTO : 0;
}

/* Numbers of the operations in a list of names; their count. */
static int
parse(const char *list, unsigned *op)
{
	int n = 0;

	while (*list != '\0' && n < SCRIPT_OPS_MAX) {
		size_t len = strcspn(list, ",");
		unsigned i = 0;

		while (script_op_name(i) != NULL &&
		    (strlen(script_op_name(i)) != len ||
		    strncmp(script_op_name(i), list, len) != 0))
			i++;
		if (script_op_name(i) == NULL)
			return -EINVAL;
		op[n++] = i;
		list += len + (list[len] == ',');
	}
	return *list == '\0' ? n : -EINVAL;
}

int
script_play(struct script *s, const char *name, uint64_t round)
{
	unsigned op[SCRIPT_OPS_MAX];
	int n = parse(name, op), r;

	if (n < 0) {
		memset(s, 0, sizeof(*s));
		return n;
	}
	script_init(s, name, round);
	r = script_start(s);
	for (int i = 0; i < n && r == 0; i++)
		r = script_op(s, op[i]);
	if (s->box.locks != NULL)
		box_kill(&s->box);
	return r;
}

void
script_fini(struct script *s)
{
	for (size_t i = 0; i < s->deeds; i++)
		deed_fini(&s->deed[i]);
	free(s->deed);
	truth_fini(&s->truth);
	if (s->lun.page != NULL)
		pages_fini(&s->lun);
	events_fini(&s->events);
	memset(s, 0, sizeof(*s));
}
