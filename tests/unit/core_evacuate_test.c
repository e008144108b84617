/* SPDX-License-Identifier: BSD-2-Clause */
/* A LUN of a datastore is emptied: everything goes, and is what it was. */
#include <atf-c.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libvmfs/base/crc32c.h"
#include "libvmfs/core/ds_priv.h"
#include "libvmfs/core/extents.h"
#include "tests/unit/core_family_rig.h"

#define SEEDS 12u

static int
evacuate(struct fs_file *f)
{
	struct fs_evacuation e;

	return fs_evacuate(&f, 1, NULL, &e);
}

EXTENT_TEST(what_was_moved_away_lets_its_lun_go)
{
	uint64_t here, there, part;
	struct lock_holder holder;
	struct fs_file *f, *g;
	unsigned lies = 0;

	two_files(b, &here, &there);
	/* Written in part, and grown since. */
	part = rig_create(&b->r, "part", INODE_DISK, GIB);
	g = rig_open(&b->r, part, FS_READ | FS_WRITE);
	for (unsigned i = 0; i < 5; i++)
		rig_fill(g, i * 3 * MIB + 8192, 12288, (uint8_t)(20 + i));
	f = rig_open(&b->r, there, FS_READ | FS_WRITE);
	ATF_CHECK_EQ(fs_extent_rm(b->r.fs, 1, &holder), -EINVAL);
	ATF_REQUIRE_EQ(add(b, 2), 0);
	ATF_REQUIRE_EQ(fs_extent_leave(b->r.fs, 1, true, &holder), 0);
	ATF_CHECK_EQ(fs_extent_rm(b->r.fs, 1, &holder), -ENOTEMPTY);
	ATF_CHECK(used_there(b) > 8 * MIB);
	ATF_REQUIRE_EQ(fs_lies_on_leaving(b->r.fs, there, &lies), 0);
	ATF_CHECK(lies);
	ATF_REQUIRE_EQ(evacuate(f), 0);
	ATF_REQUIRE_EQ(evacuate(g), 0);
	ATF_REQUIRE_EQ(ds_checkpoint(b->r.f.ds, 0), 0);
	ATF_REQUIRE_EQ(fs_lies_on_leaving(b->r.fs, there, &lies), 0);
	ATF_CHECK(!lies);
	ATF_CHECK_EQ(used_there(b), 0);
	for (unsigned i = 0; i < 80; i++)
		rig_expect(f, (uint64_t)i * MIB, MIB, 2);
	for (unsigned i = 0; i < 5; i++) {
		rig_expect(g, i * 3 * MIB, 8192, 0);
		rig_expect(g, i * 3 * MIB + 8192, 12288, (uint8_t)(20 + i));
	}
	ATF_REQUIRE_EQ(fs_extent_rm(b->r.fs, 1, &holder), 0);
	ATF_CHECK_EQ(ds_super(b->r.f.ds)->extents, 2);
	/* Nothing of it is left, and it may come again. */
	ATF_CHECK_EQ(extent_read(b->lun[1], &(struct extent_info){ 0 }),
	    -VMFS_ENOTVMFS);
	rig_close(f);
	rig_close(g);
	umount(b);
	mount(b);
	f = rig_open(&b->r, there, FS_READ | FS_WRITE);
	rig_expect(f, 79 * MIB, MIB, 2);
	ATF_REQUIRE_EQ(add(b, 1), 0);
	rig_fill(f, 100 * MIB, 20 * MIB, 5);
	rig_close(f);
	umount(b);
}

static uint64_t family_seed;

static void
family_moves(struct box *b)
{
	struct family *m = calloc(1, sizeof(*m));
	struct lock_holder holder;
	int rc;

	ATF_REQUIRE(m != NULL);
	m->b = b;
	prng_seed(&m->p, family_seed);
	fill_first(b, 6);
	ATF_REQUIRE_EQ(add(b, 1), 0);
	family_grow(m);
	family_look(m);
	ATF_CHECK(used_there(b) > MIB);
	leave(b);
	rc = family_evacuate(m);
	ATF_REQUIRE_MSG(rc == 0, "%s; %llu free, %llu to move",
	    vmfs_strerror(rc), (unsigned long long)rig_free_bytes(&b->r),
	    (unsigned long long)used_there(b));
	family_expect(m);
	family_expect_away(m);
	ATF_REQUIRE_EQ(ds_checkpoint(b->r.f.ds, 0), 0);
	ATF_CHECK_EQ(used_there(b), 0);
	ATF_REQUIRE_EQ(fs_extent_rm(b->r.fs, 1, &holder), 0);
	family_expect(m);
	family_shrink(m);
	family_expect(m);
	scribble(m, 0, 10);
	family_close(m);
	umount(b);
	free(m);
}

ATF_TC_WITHOUT_HEAD(snapshots_and_clones_move_and_share_what_they_shared);
ATF_TC_BODY(snapshots_and_clones_move_and_share_what_they_shared, tc)
{
	(void)tc;
	for (family_seed = 1; family_seed <= SEEDS; family_seed++) {
		printf("seed %llu\n", (unsigned long long)family_seed);
		box_run(family_moves);
	}
}

/* ---- metadata ---- */

static void
many_names(struct box *b, uint64_t dir)
{
	for (unsigned i = 0; i < 300; i++) {
		struct fs_attr a;
		char name[200];

		(void)snprintf(name, sizeof(name), "%0190u", i);
		ATF_REQUIRE_EQ(fs_create(b->r.fs, dir, name, INODE_FILE, 0644,
		    0, 0, 0, &a), 0);
	}
}

static bool
count_name(void *arg, const struct fs_dirent *e)
{
	unsigned *n = arg;

	*n += e->ino != 0;
	return true;
}

static void
names_expect(struct box *b, uint64_t dir)
{
	unsigned n = 0;

	ATF_REQUIRE_EQ(fs_readdir(b->r.fs, dir, 0, count_name, &n), 0);
	ATF_CHECK_EQ(n, 300);
}

static void
attribute_expect(struct box *b, uint64_t ino)
{
	char value[4];
	size_t len;

	ATF_REQUIRE_EQ(fs_xattr_get(b->r.fs, ino, "user.a", value,
	    sizeof(value), &len), 0);
	ATF_CHECK(len == 3 && memcmp(value, "abc", 3) == 0);
}

static void
metadata_moves(struct box *b)
{
	struct family *m = calloc(1, sizeof(*m));
	struct lock_holder holder;
	unsigned what = 0;
	struct fs_attr dir;
	int rc;

	ATF_REQUIRE(m != NULL);
	m->b = b;
	prng_seed(&m->p, family_seed);
	ATF_REQUIRE_EQ(fs_create(b->r.fs, b->r.root, "dir", INODE_DIR, 0755, 0,
	    0, 0, &dir), 0);
	fill_first(b, 0);
	ATF_REQUIRE_EQ(add(b, 1), 0);
	family_grow(m);
	many_names(b, dir.ino);
	ATF_REQUIRE_EQ(fs_xattr_set(b->r.fs, m->disk[0], 0, "user.a", "abc", 3,
	    0, &holder), 0);
	family_look(m);
	leave(b);
	ATF_REQUIRE_EQ(fs_lies_on_leaving(b->r.fs, dir.ino, &what), 0);
	ATF_CHECK_EQ(what, FS_LIES_CONTENT);
	rc = family_evacuate(m);
	ATF_REQUIRE_MSG(rc == 0, "%s", vmfs_strerror(rc));
	ATF_REQUIRE_EQ(fs_dir_evacuate(b->r.fs, dir.ino, &holder), 0);
	family_expect_away(m);
	ATF_REQUIRE_EQ(fs_lies_on_leaving(b->r.fs, dir.ino, &what), 0);
	ATF_CHECK_EQ(what, 0);
	family_expect(m);
	names_expect(b, dir.ino);
	attribute_expect(b, m->disk[0]);
	family_shrink(m);
	family_expect(m);
	family_close(m);
	umount(b);
	mount(b);
	names_expect(b, dir.ino);
	attribute_expect(b, m->disk[0]);
	umount(b);
	free(m);
}

ATF_TC_WITHOUT_HEAD(metadata_moves_but_for_inodes);
ATF_TC_BODY(metadata_moves_but_for_inodes, tc)
{
	(void)tc;
	for (family_seed = 1; family_seed <= SEEDS; family_seed++) {
		printf("seed %llu\n", (unsigned long long)family_seed);
		box_run(metadata_moves);
	}
}

/* ---- what it does not touch ---- */

struct reader_at_work {
	struct family *m;
	bool stop, ended;
};

/* A backup, as it were. */
static void
reader_main(void *arg)
{
	struct reader_at_work *r = arg;
	struct tree_seen *s = &r->m->seen[1];
	struct fs_file *f = rig_open(&r->m->b->r, s->ino, FS_READ);
	uint8_t *buf = disk_buf_alloc(MIB);

	for (unsigned i = 0; !r->stop; i = (i + 1) % (DISK_SIZE / MIB)) {
		size_t n;

		ATF_REQUIRE_EQ(fs_file_read(f, i * MIB, buf, MIB, &n), 0);
		ATF_CHECK_EQ(crc32c(0, buf, MIB), s->crc[i]);
		fiber_yield();
	}
	free(buf);
	rig_close(f);
	r->ended = true;
}

EXTENT_TEST(who_reads_a_snapshot_goes_on)
{
	struct family *m = calloc(1, sizeof(*m));
	struct reader_at_work r = { .m = m };
	struct lock_holder holder;
	struct fs_file *f;

	ATF_REQUIRE(m != NULL);
	m->b = b;
	prng_seed(&m->p, 1);
	fill_first(b, 6);
	ATF_REQUIRE_EQ(add(b, 1), 0);
	family_grow(m);
	family_look(m);
	leave(b);
	ATF_REQUIRE_EQ(sched_spawn(b->r.f.env.sched, "reader", reader_main,
	    &r), 0);
	fiber_yield();
	ATF_REQUIRE_EQ(family_evacuate(m), 0);
	/* The space is used again at once. */
	ATF_REQUIRE_EQ(fs_extent_leave(b->r.fs, 1, false, &holder), 0);
	ATF_REQUIRE_EQ(ds_checkpoint(b->r.f.ds, 0), 0);
	f = rig_open(&b->r, rig_create(&b->r, "new", INODE_DISK, GIB),
	    FS_READ | FS_WRITE);
	ATF_CHECK(rig_fill_up(f, 0) > SECOND_SIZE / MIB);
	rig_close(f);
	for (unsigned i = 0; i < 40; i++)
		fiber_yield();
	r.stop = true;
	while (!r.ended)
		fiber_yield();
	family_close(m);
	umount(b);
	free(m);
}

static void
evacuate_main(void *arg)
{
	struct family *m = arg;

	ATF_CHECK_EQ(family_evacuate(m), 0);
	family_close(m);
}

/* Another host has asked for space, and is to take it first. */
EXTENT_TEST(guests_go_on_while_space_is_waited_for)
{
	struct family *m = calloc(1, sizeof(*m));
	uint64_t before, after;
	struct fs_file *f;

	ATF_REQUIRE(m != NULL);
	m->b = b;
	fill_first(b, 6);
	ATF_REQUIRE_EQ(add(b, 1), 0);
	disk_add(m, rig_create(&b->r, "vm", INODE_DISK, DISK_SIZE));
	for (unsigned i = 0; i < DISK_SIZE / MIB; i++)
		rig_fill(m->f[0], i * MIB, MIB, (uint8_t)(i + 1));
	leave(b);
	before = used_there(b);
	ATF_REQUIRE(before > 0);
	ATF_REQUIRE_EQ(lease_trim(b->r.f.ds, true), 0);
	f = rig_open(&b->r, m->disk[0], FS_READ);
	b->r.f.ds->yield_until_ns = env_now(&b->r.f.env) + NSEC_PER_SEC;
	ATF_REQUIRE_EQ(sched_spawn(b->r.f.env.sched, "evacuate",
	    evacuate_main, m), 0);
	for (unsigned i = 0; i < 20; i++)
		fiber_yield();
	rig_expect(f, 0, MIB, 1);
	ATF_REQUIRE_EQ(ds_extent_used(b->r.f.ds, 1, &after), 0);
	ATF_CHECK_EQ(after, before);
	rig_close(f);
	while (fs_is_written(b->r.fs, m->disk[0]))
		fiber_yield();
	ATF_CHECK_EQ(used_there(b), 0);
	umount(b);
	free(m);
}

EXTENT_TEST(a_clone_that_is_not_there_keeps_what_it_shares)
{
	struct family *m = calloc(1, sizeof(*m));
	struct fs_evacuation e;

	ATF_REQUIRE(m != NULL);
	m->b = b;
	prng_seed(&m->p, 1);
	fill_first(b, 6);
	ATF_REQUIRE_EQ(add(b, 1), 0);
	disk_add(m, rig_create(&b->r, "vm", INODE_DISK, DISK_SIZE));
	scribble(m, 0, 40);
	clone_add(m, snapshot(m, 0, 0));
	scribble(m, 1, 10);
	family_look(m);
	leave(b);
	ATF_CHECK_EQ(fs_evacuate(m->f, 1, NULL, &e), -EMLINK);
	family_expect(m);
	ATF_CHECK_EQ(family_evacuate(m), 0);
	family_expect(m);
	family_expect_away(m);
	family_close(m);
	umount(b);
	free(m);
}

/* ---- metadata that was there ---- */

/* Inodes on LUN 1, and none of them in the end. */
static void
inodes_come_and_go(struct box *b)
{
	uint64_t there;
	unsigned n = 0;
	char name[16];

	fill_first(b, 0);
	ATF_REQUIRE_EQ(add(b, 1), 0);
	there = ds_super(b->r.f.ds)->extent[1].first_block;
	for (unsigned i = 0; i < 40; i++) {
		(void)snprintf(name, sizeof(name), "f%u", i);
		if (rig_create(&b->r, name, INODE_FILE, 0) < there)
			continue;
		rig_unlink(&b->r, name);
		n++;
	}
	ATF_REQUIRE(n > 0);
	ATF_REQUIRE(used_there(b) > 0);
}

static void
leave_root(struct box *b)
{
	struct lock_holder holder;

	leave(b);
	ATF_REQUIRE_EQ(fs_dir_evacuate(b->r.fs, b->r.root, &holder), 0);
	ATF_REQUIRE_EQ(ds_checkpoint(b->r.f.ds, 0), 0);
}

EXTENT_TEST(nothing_is_set_aside_for_metadata_where_none_comes)
{
	inodes_come_and_go(b);
	leave_root(b);
	ATF_REQUIRE_EQ(mchunk_retire(b->r.f.ds, 256), 0);
	ATF_CHECK_EQ(used_there(b), 0);
	umount(b);
}

static unsigned
metachunks_there(struct box *b)
{
	uint64_t there = ds_super(b->r.f.ds)->extent[1].first_block;
	unsigned n = 0;

	list_for_each(node, tmp, &b->r.f.ds->leases) {
		const struct lease *l = list_entry(node, struct lease, link);

		if (l->first_chunk * CHUNK_BLOCKS >= there)
			n += l->info.metachunks;
	}
	return n;
}

EXTENT_TEST(what_a_lost_lun_has_for_metadata_stays)
{
	struct fs_file *f;
	uint8_t buf[4096];
	uint64_t used;
	size_t n;

	inodes_come_and_go(b);
	f = rig_open(&b->r, rig_create(&b->r, "vm", INODE_DISK, GIB),
	    FS_READ | FS_WRITE);
	rig_fill(f, 0, MIB, 1);
	ATF_REQUIRE_EQ(ds_checkpoint(b->r.f.ds, 0), 0);
	ATF_REQUIRE(metachunks_there(b) > 0);
	b->way[1]->error = -VMFS_EGONE;
	ATF_REQUIRE(fs_file_read(f, 0, buf, sizeof(buf), &n) < 0);
	lease_mark_leaving(b->r.f.ds);
	ATF_CHECK_EQ(mchunk_retire(b->r.f.ds, 256), 0);
	ATF_CHECK(metachunks_there(b) > 0);
	ATF_CHECK_EQ(ds_extent_used(b->r.f.ds, 1, &used), -VMFS_EEXTENT);
	b->way[1]->error = 0;
	extents_back(b->r.f.disk, &ds_super(b->r.f.ds)->extent[1].uuid);
	rig_close(f);
	umount(b);
}

EXTENT_TEST(what_others_set_aside_for_metadata_is_found)
{
	struct lock_holder holder;

	inodes_come_and_go(b);
	umount(b);
	mount(b);
	leave_root(b);
	ATF_CHECK(used_there(b) > 0);
	ATF_REQUIRE_EQ(ds_extent_sweep(b->r.f.ds, 1), 0);
	ATF_CHECK_EQ(used_there(b), 0);
	ATF_CHECK_EQ(ds_extent_sweep(b->r.f.ds, 3), -ENOENT);
	umount(b);
	mount(b);
	ATF_CHECK_EQ(used_there(b), 0);
	ATF_CHECK_EQ(fs_extent_rm(b->r.fs, 1, &holder), 0);
	umount(b);
}

EXTENT_TEST(a_lun_that_had_metadata_goes)
{
	struct lock_holder holder;

	inodes_come_and_go(b);
	umount(b);
	mount(b);
	leave_root(b);
	ATF_CHECK_EQ(fs_extent_rm(b->r.fs, 1, &holder), 0);
	ATF_CHECK_EQ(ds_super(b->r.f.ds)->extents, 2);
	umount(b);
}

EXTENT_TEST(a_lun_that_is_gone_is_not_to_be_told_anything)
{
	struct ds *ds = b->r.f.ds;
	struct lock_holder holder;

	ATF_REQUIRE_EQ(add(b, 1), 0);
	leave(b);
	ATF_REQUIRE_EQ(ds_checkpoint(ds, 0), 0);
	ATF_REQUIRE_EQ(fs_extent_rm(b->r.fs, 1, &holder), 0);
	ds->conf.discard = true;
	ATF_REQUIRE_EQ(ds_trim(ds), 0);
	ATF_CHECK(ds_discards(ds).clusters > 0);
	for (unsigned i = 0; i < 20; i++)
		discard_pass(ds);
	ATF_CHECK_EQ(ds_discards(ds).clusters, 0);
	umount(b);
}

/* As ds_extent_rm of another host. */
static void
take_out_elsewhere(struct box *b)
{
	struct super s;
	unsigned n = 0;

	ATF_REQUIRE_EQ(super_read(b->lun[0], &s), 0);
	ATF_REQUIRE_EQ(s.extents, 2);
	for (unsigned i = 0; i < s.segments; i++)
		if (s.segment[i].first_cluster * s.cluster_blocks <
		    s.extent[1].first_block)
			s.segment[n++] = s.segment[i];
	s.segments = n;
	s.extents = 1;
	ATF_REQUIRE_EQ(super_write(b->lun[0], &s), 0);
}

/*
 * A host wrote there under locks that it has given back since; who got them
 * emptied the LUN and took it out, and the first one died before its journal was
 * cut the next time.
 */
EXTENT_TEST(the_journal_of_a_dead_host_may_tell_of_a_lun_that_is_gone)
{
	inodes_come_and_go(b);
	ds_abandon(b->r.f.ds);
	box_kill(b);
	take_out_elsewhere(b);
	mount_replayed(b);
	umount(b);
}

ATF_TP_ADD_TCS(tp)
{
	ATF_TP_ADD_TC(tp, what_was_moved_away_lets_its_lun_go);
	ATF_TP_ADD_TC(tp,
	    snapshots_and_clones_move_and_share_what_they_shared);
	ATF_TP_ADD_TC(tp, metadata_moves_but_for_inodes);
	ATF_TP_ADD_TC(tp, who_reads_a_snapshot_goes_on);
	ATF_TP_ADD_TC(tp, guests_go_on_while_space_is_waited_for);
	ATF_TP_ADD_TC(tp, a_clone_that_is_not_there_keeps_what_it_shares);
	ATF_TP_ADD_TC(tp, nothing_is_set_aside_for_metadata_where_none_comes);
	ATF_TP_ADD_TC(tp, what_a_lost_lun_has_for_metadata_stays);
	ATF_TP_ADD_TC(tp, what_others_set_aside_for_metadata_is_found);
	ATF_TP_ADD_TC(tp, a_lun_that_had_metadata_goes);
	ATF_TP_ADD_TC(tp, a_lun_that_is_gone_is_not_to_be_told_anything);
	ATF_TP_ADD_TC(tp,
	    the_journal_of_a_dead_host_may_tell_of_a_lun_that_is_gone);
	return atf_no_error();
}
