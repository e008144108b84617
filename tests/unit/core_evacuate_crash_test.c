/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Power cuts at every write while a LUN is emptied: whatever each LUN has lost
 * of what was not flushed, fsck finds nothing, all trees say what they said,
 * and whoever goes on ends with the LUN taken out.
 */
#include <atf-c.h>
#include <stdio.h>
#include <stdlib.h>

#include "libvmfs/core/ds_priv.h"
#include "tests/unit/core_family_rig.h"

#define CUTS_TRIED 120u		/* of a round */

static uint64_t round_seed;

/* Little, so that a round has few writes. */
static void
few_disks(struct family *m)
{
	disk_add(m, rig_create(&m->b->r, "vm", INODE_DISK, DISK_SIZE));
	scribble(m, 0, 6);
	clone_add(m, snapshot(m, 0, 0));
	scribble(m, 0, 2);
	scribble(m, 1, 2);
	snapshot(m, 1, 1);
	scribble(m, 1, 1);
}

static void
files_open(struct family *m)
{
	for (unsigned i = 0; i < m->n; i++)
		m->f[i] = rig_open(&m->b->r, m->disk[i], FS_READ | FS_WRITE);
}

static int
take_out(struct box *b)
{
	struct lock_holder holder;
	int r = -EBUSY;

	for (unsigned i = 0; i < 3 && r != 0; i++) {
		r = ds_checkpoint(b->r.f.ds, 0);
		if (r == 0)
			r = fs_extent_rm(b->r.fs, 1, &holder);
	}
	return r;
}

static void
go_on(const struct family *before, unsigned cut, enum crash_kind kind,
    bool metadata)
{
	struct box *b = box_after(before->b, cut, kind);
	struct family *m = malloc(sizeof(*m));
	int r;

	ATF_REQUIRE(m != NULL);
	*m = *before;
	m->b = b;
	files_open(m);
	family_expect(m);
	r = family_evacuate(m);
	ATF_REQUIRE_MSG(r == 0, "%s", vmfs_strerror(r));
	family_expect_away(m);
	r = metadata ? 0 : take_out(b);
	ATF_REQUIRE_MSG(r == 0, "%s", vmfs_strerror(r));
	family_expect(m);
	family_close(m);
	umount(b);
	free(m);
	box_after_fini(b);
}

static void
play(struct box *b, bool metadata)
{
	struct family *m = calloc(1, sizeof(*m));
	unsigned step;

	ATF_REQUIRE(m != NULL);
	m->b = b;
	prng_seed(&m->p, round_seed);
	if (metadata)
		few_disks(m);
	fill_first(b, metadata ? 0 : 4);
	ATF_REQUIRE_EQ(add(b, 1), 0);
	if (metadata) {
		/* New nodes, leaves and tables have no room elsewhere. */
		scribble(m, 0, 12);
		snapshot(m, 0, 2);
		scribble(m, 1, 6);
		scribble(m, 0, 2);
	} else {
		few_disks(m);
	}
	family_look(m);
	leave(b);
	ATF_REQUIRE_EQ(ds_checkpoint(b->r.f.ds, 0), 0);
	b->recording = true;
	ATF_REQUIRE_EQ(family_evacuate(m), 0);
	ATF_REQUIRE_EQ(ds_checkpoint(b->r.f.ds, 0), 0);
	b->recording = false;
	ds_abandon(b->r.f.ds);
	for (unsigned i = 0; i < m->n; i++)
		ATF_CHECK(fs_file_close(m->f[i]) < 0);
	box_kill(b);
	step = b->cuts / CUTS_TRIED + 1;
	printf("seed %llu: %u writes\n", (unsigned long long)round_seed,
	    b->cuts);
	ATF_CHECK(b->cuts > 20);
	for (unsigned i = (unsigned)round_seed % step; i < b->cuts; i += step)
		go_on(m, i, (enum crash_kind)(i / step % 4), metadata);
	free(m);
}

static void
play_data(struct box *b)
{
	play(b, false);
}

static void
play_metadata(struct box *b)
{
	play(b, true);
}

ATF_TC_WITHOUT_HEAD(a_power_cut_leaves_one_place_or_the_other);
ATF_TC_BODY(a_power_cut_leaves_one_place_or_the_other, tc)
{
	(void)tc;
	for (round_seed = 1; round_seed <= 2; round_seed++)
		box_run_crash(play_data);
}

ATF_TC_WITHOUT_HEAD(a_power_cut_leaves_nodes_that_all_trees_find);
ATF_TC_BODY(a_power_cut_leaves_nodes_that_all_trees_find, tc)
{
	(void)tc;
	for (round_seed = 1; round_seed <= 2; round_seed++)
		box_run_crash(play_metadata);
}

ATF_TP_ADD_TCS(tp)
{
	ATF_TP_ADD_TC(tp, a_power_cut_leaves_one_place_or_the_other);
	ATF_TP_ADD_TC(tp, a_power_cut_leaves_nodes_that_all_trees_find);
	return atf_no_error();
}
