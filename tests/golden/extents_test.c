/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Damage to what makes several LUNs one datastore: what fsck says of it, word
 * by word, and does; a second run finds nothing; what is read is what it was.
 */
#include <atf-c.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libvmfs/check/check.h"
#include "libvmfs/check/scrub.h"
#include "libvmfs/core/extents.h"
#include "tests/fuzz/cow_disk.h"
#include "tests/unit/core_extents_rig.h"

struct golden {
	struct disk *lun[LUNS];		/* sound, nobody has them mounted */
	uint64_t ino;
	char said[4096];
};

struct damage {
	const char *name;
	void (*apply)(struct box *b);
	const char *says;
	unsigned scrubbed;		/* findings of a scrub */
};

static void
load(struct box *b, unsigned lun, uint64_t block, uint8_t *buf)
{
	ATF_REQUIRE_EQ(disk_read(b->lun[lun], block * BLOCK_SIZE, buf,
	    BLOCK_SIZE), 0);
}

static void
store(struct box *b, unsigned lun, uint64_t block, const uint8_t *buf)
{
	ATF_REQUIRE_EQ(disk_write(b->lun[lun], block * BLOCK_SIZE, buf,
	    BLOCK_SIZE, 0), 0);
}

static void
flip(struct box *b, unsigned lun, uint64_t block, unsigned byte)
{
	uint8_t buf[BLOCK_SIZE];

	load(b, lun, block, buf);
	buf[byte] ^= 4;
	store(b, lun, block, buf);
}

static void
zero(struct box *b, unsigned lun, uint64_t block)
{
	static const uint8_t none[BLOCK_SIZE];

	store(b, lun, block, none);
}

/* ---- damages ---- */

static void
copy_0_flipped(struct box *b)
{
	flip(b, 1, EXTENT_COPY_0, 90);
}

static void
copy_1_zeroed(struct box *b)
{
	zero(b, 1, EXTENT_COPY_1);
}

static void
both_copies_zeroed(struct box *b)
{
	zero(b, 1, EXTENT_COPY_0);
	zero(b, 1, EXTENT_COPY_1);
}

/* Sound, with another extent's place. */
static void
copy_1_of_another(struct box *b)
{
	uint8_t buf[BLOCK_SIZE];
	struct extent_info e;

	load(b, 1, EXTENT_COPY_1, buf);
	ATF_REQUIRE_EQ(extent_decode(buf, EXTENT_COPY_1, &e), 0);
	e.first_block += 4096;
	extent_encode(buf, EXTENT_COPY_1, &e);
	store(b, 1, EXTENT_COPY_1, buf);
}

static void
note_flipped(struct box *b)
{
	flip(b, 0, EXTENT_NOTE_BLOCK, 300);
}

static void
all_notes_zeroed(struct box *b)
{
	for (unsigned i = 0; i < EXTENT_NOTES; i++)
		zero(b, 0, EXTENT_NOTE_BLOCK + i);
}

static void
cluster_flipped(struct box *b)
{
	flip(b, 1, EXTENT_FRONT_BLOCKS, 700);
}

static void
super_0_and_copy_0(struct box *b)
{
	flip(b, 0, SUPER_BLOCK_0, 520);
	zero(b, 1, EXTENT_COPY_0);
}

#define COPY_SAYS(block, good)						\
	"extent: on the LUN of extent 1 the block " block " that says so "	\
	"is damaged; " good " is good\n"

static const struct damage damages[] = {
	{ "copy_0_flipped", copy_0_flipped,
	    COPY_SAYS("16", "the other copy"), 1 },
	{ "copy_1_zeroed", copy_1_zeroed,
	    COPY_SAYS("128", "the other copy"), 1 },
	{ "copy_1_of_another", copy_1_of_another,
	    COPY_SAYS("128", "the other copy"), 1 },
	{ "both_copies_zeroed", both_copies_zeroed,
	    COPY_SAYS("16", "the note on the first LUN")
	    COPY_SAYS("128", "the note on the first LUN"), 2 },
	{ "note_flipped", note_flipped,
	    "extent: the first LUN has no note of where extent 1 is\n", 1 },
	{ "all_notes_zeroed", all_notes_zeroed,
	    "extent: the first LUN has no note of where extent 1 is\n"
	    "extent: the first LUN has no note of where extent 2 is\n", 2 },
	{ "cluster_flipped", cluster_flipped,
	    "cluster: cluster block 5 (16 MiB of space) is damaged\n", 1 },
	{ "super_0_and_copy_0", super_0_and_copy_0,
	    "super-copy: superblock copy 0 at block 16 is damaged or out of date; "
	    "the other copies are good\n"
	    COPY_SAYS("16", "the other copy"), 1 },
};

/* ---- runs ---- */

/* LUNs are told by their places here, whatever they say. */
static void
put_together(struct box *b)
{
	struct super *s = &b->r.f.super;

	open_all(b);
	ATF_REQUIRE_EQ(super_read(b->r.f.disk, s), 0);
	for (unsigned i = 1; i < s->extents; i++)
		ATF_REQUIRE_EQ(extents_attach(b->r.f.disk, &s->extent[i].uuid,
		    open_way(b, i)), 0);
	ATF_REQUIRE_EQ(extents_follow(b->r.f.disk, s), 0);
}

static void
on_finding(void *arg, const struct check_finding *f)
{
	struct golden *g = arg;
	size_t n = strlen(g->said);

	(void)snprintf(g->said + n, sizeof(g->said) - n, "%s: %s\n",
	    check_rule_name(f->rule), f->text);
}

static void
check(struct golden *g, struct box *b, bool repair, const char *says,
    const char *name)
{
	struct check_result res;
	const struct check_conf conf = {
		.env = &b->r.f.env, .disk = b->r.f.disk,
		.extents = b->r.f.disk, .repair = repair, .own_slot = -1,
		.finding = on_finding, .arg = g,
	};

	g->said[0] = '\0';
	ATF_REQUIRE_EQ_MSG(check_run(&conf, &res), 0, "%s", name);
	ATF_CHECK_MSG(strcmp(g->said, says) == 0, "%s: says\n%s", name,
	    g->said);
	ATF_CHECK_EQ_MSG(repair ? res.found : 0, res.fixed, "%s", name);
}

static void
on_scrub(void *arg, const struct scrub_finding *f)
{
	unsigned *n = arg;

	printf("scrub: %s\n", f->text);
	++*n;
}

static void
scrub(struct box *b, unsigned want, const char *name)
{
	unsigned n = 0;
	struct scrub s = { .fs = b->r.fs, .finding = on_scrub, .arg = &n };

	for (uint64_t i = 0; i < scrub_steps(b->r.fs); i++)
		ATF_REQUIRE_EQ(scrub_step(&s, i), 0);
	ATF_CHECK_EQ_MSG(n, want, "%s", name);
}

static void
read_all(struct golden *g, struct box *b)
{
	struct fs_file *f = rig_open(&b->r, g->ino, FS_READ);

	for (unsigned i = 0; i < 80; i++)
		rig_expect(f, i * MIB, MIB, 2);
	rig_close(f);
}

static struct box *
damaged(struct golden *g, const struct damage *x)
{
	struct box *b = calloc(1, sizeof(*b));
	struct disk *first;

	ATF_REQUIRE(b != NULL);
	for (unsigned i = 0; i < LUNS; i++)
		b->lun[i] = cow_disk_copy(g->lun[i]);
	first = open_way(b, 0);
	fixture_init(&b->r.f, first, false);
	disk_close(first);
	if (x->apply != NULL)
		x->apply(b);
	put_together(b);
	return b;
}

static void
play(struct golden *g, const struct damage *x)
{
	struct box *b = damaged(g, x);

	/* Its mount mends superblocks. */
	rig_mount(&b->r);
	scrub(b, x->scrubbed, x->name);
	umount_unchecked(b);
	box_after_fini(b);
	b = damaged(g, x);
	check(g, b, false, x->says, x->name);
	check(g, b, true, x->says, x->name);
	check(g, b, false, "", x->name);
	disk_close(b->r.f.disk);
	/* Now each LUN says again which one it is. */
	mount(b);
	read_all(g, b);
	umount(b);
	box_after_fini(b);
}

static struct disk *
base_of(struct disk *lun)
{
	struct disk *d = cow_disk_new(lun->info.size_bytes);
	uint8_t *buf = malloc(MIB);

	ATF_REQUIRE(buf != NULL);
	for (uint64_t at = 0; at < lun->info.size_bytes; at += MIB) {
		ATF_REQUIRE_EQ(disk_read(lun, at, buf, MIB), 0);
		ATF_REQUIRE_EQ(disk_write(d, at, buf, MIB, 0), 0);
	}
	free(buf);
	return d;
}

EXTENT_TEST(damaged_extents)
{
	static const struct damage sound = { "sound", NULL, "", 0 };
	struct golden *g = calloc(1, sizeof(*g));
	uint64_t here;

	ATF_REQUIRE(g != NULL);
	two_files(b, &here, &g->ino);
	ATF_REQUIRE_EQ(add(b, 2), 0);
	umount(b);
	for (unsigned i = 0; i < LUNS; i++)
		g->lun[i] = base_of(b->lun[i]);
	play(g, &sound);
	for (size_t i = 0; i < sizeof(damages) / sizeof(damages[0]); i++)
		play(g, &damages[i]);
	for (unsigned i = 0; i < LUNS; i++)
		disk_close(g->lun[i]);
	free(g);
}

ATF_TP_ADD_TCS(tp)
{
	ATF_TP_ADD_TC(tp, damaged_extents);
	return atf_no_error();
}
