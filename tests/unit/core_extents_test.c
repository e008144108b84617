/* SPDX-License-Identifier: BSD-2-Clause */
/* A datastore of several LUNs in memory. */
#include <atf-c.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libvmfs/check/check.h"
#include "libvmfs/core/ds_priv.h"
#include "libvmfs/core/extents.h"
#include "libvmfs/core/meter.h"
#include "libvmfs/core/volume.h"
#include "libvmfs/format/mapnode.h"
#include "tests/unit/core_extents_rig.h"

EXTENT_TEST(a_further_lun_gives_its_space)
{
	uint64_t ino = rig_create(&b->r, "vm", INODE_DISK, 4 * GIB);
	struct fs_file *f = rig_open(&b->r, ino, FS_READ | FS_WRITE);
	unsigned before = rig_fill_up(f, 0), after;

	ATF_REQUIRE_EQ(add(b, 1), 0);
	ATF_REQUIRE_EQ(add(b, 2), 0);
	after = rig_fill_up(f, before);
	/* All but a front and a table of 1 MiB each. */
	ATF_CHECK_MSG(after >= 2 * SECOND_SIZE / MIB - 6, "%u MiB", after);
	rig_close(f);
	umount(b);
	mount(b);
	f = rig_open(&b->r, ino, FS_READ);
	for (unsigned i = 0; i < before + after; i++)
		rig_expect(f, (uint64_t)i * MIB, MIB, (uint8_t)i);
	rig_close(f);
	rig_unlink(&b->r, "vm");
	umount(b);
}

EXTENT_TEST(what_all_need_lies_on_the_first_lun)
{
	const struct super *s = ds_super(b->r.f.ds);

	ATF_REQUIRE_EQ(add(b, 1), 0);
	for (unsigned i = 0; i < 200; i++) {
		char name[16];

		(void)snprintf(name, sizeof(name), "f%u", i);
		ATF_CHECK_EQ(volume_extent_of(s, rig_create(&b->r, name,
		    INODE_FILE, 0)), 0);
	}
	ATF_CHECK_EQ(volume_extent_of(s, b->r.f.locks->journal_block), 0);
	umount(b);
}

EXTENT_TEST(an_extent_is_no_datastore_of_its_own)
{
	struct extent_info e;
	struct super s;

	ATF_REQUIRE_EQ(add(b, 1), 0);
	ATF_CHECK_EQ(super_read(b->lun[1], &s), -VMFS_EFURTHER);
	ATF_REQUIRE_EQ(extent_read(b->lun[1], &e), 0);
	ATF_CHECK(uuid_equal(&e.volume, &b->r.f.super.uuid));
	ATF_CHECK_STREQ(e.label, "test");
	ATF_CHECK_STREQ(e.place, "/dev/lun");
	ATF_REQUIRE_EQ(extent_note_read(b->r.f.disk, ds_super(b->r.f.ds), 1,
	    &e), 0);
	ATF_CHECK_STREQ(e.place, "/dev/lun");
	umount(b);
}

static void
count_extents(void *arg, const struct check_finding *f)
{
	unsigned *n = arg;

	*n += f->rule == CHECK_EXTENT && f->severity == CHECK_HARMLESS;
}

static unsigned
findings(struct box *b, bool repair)
{
	unsigned n = 0;
	struct check_result res;
	const struct check_conf conf = {
		.env = &b->r.f.env, .disk = b->r.f.disk,
		.extents = b->r.f.disk, .repair = repair, .own_slot = -1,
		.finding = count_extents, .arg = &n,
	};

	ATF_REQUIRE_EQ(check_run(&conf, &res), 0);
	ATF_CHECK_EQ(res.found, n);
	return n;
}

static void
wipe(struct disk *d, uint64_t block)
{
	uint8_t zero[BLOCK_SIZE] = { 0 };

	ATF_REQUIRE_EQ(disk_write(d, block * BLOCK_SIZE, zero, BLOCK_SIZE, 0),
	    0);
}

EXTENT_TEST(one_copy_is_enough_to_know_an_extent_and_mend_the_other)
{
	static const struct {
		unsigned lun;
		uint64_t block;
	} damage[] = {
		{ 1, EXTENT_COPY_0 }, { 1, EXTENT_COPY_1 },
		{ 0, EXTENT_NOTE_BLOCK },
	};
	struct extent_info e;

	ATF_REQUIRE_EQ(add(b, 1), 0);
	ATF_REQUIRE_EQ(fs_close(b->r.fs), 0);
	ATF_REQUIRE_EQ(fixture_umount(&b->r.f), 0);
	for (unsigned i = 0; i < 3; i++) {
		wipe(b->lun[damage[i].lun], damage[i].block);
		ATF_CHECK_EQ(extent_read(b->lun[1], &e), 0);
		ATF_CHECK_EQ(findings(b, false), 1);
		ATF_CHECK_EQ(findings(b, true), 1);
		ATF_CHECK_EQ(findings(b, false), 0);
	}
	disk_close(b->r.f.disk);
}

EXTENT_TEST(another_lun_is_not_taken_for_the_extent)
{
	struct super s;

	ATF_REQUIRE_EQ(add(b, 1), 0);
	ATF_REQUIRE_EQ(add(b, 2), 0);
	s = *ds_super(b->r.f.ds);
	ATF_CHECK_EQ(extent_check(&b->way[1]->disk, &s, 1), 0);
	ATF_CHECK_EQ(extent_check(&b->way[1]->disk, &s, 2), -ENXIO);
	ATF_CHECK_EQ(extent_check(b->lun[0], &s, 1), -VMFS_ENOTVMFS);
	b->way[1]->disk.info.serial[4] = '7';
	ATF_CHECK_EQ(extent_check(&b->way[1]->disk, &s, 1),
	    -VMFS_ESTALE_VOLUME);
	b->way[1]->disk.info.size_bytes = 4 * MIB;
	b->way[1]->disk.info.serial[4] = '1';
	ATF_CHECK_EQ(extent_check(&b->way[1]->disk, &s, 1), -ERANGE);
	b->way[1]->disk.info = b->lun[1]->info;
	umount(b);
}

EXTENT_TEST(a_commit_flushes_the_luns_that_were_written_and_no_other)
{
	uint64_t ino = rig_create(&b->r, "vm", INODE_DISK, GIB);
	struct fs_file *f;
	unsigned one, two;

	ATF_REQUIRE_EQ(add(b, 1), 0);
	ATF_REQUIRE_EQ(add(b, 2), 0);
	ATF_REQUIRE_EQ(ds_checkpoint(b->r.f.ds, 0), 0);
	f = rig_open(&b->r, ino, FS_READ | FS_WRITE);
	one = b->flushes[1];
	two = b->flushes[2];
	/* More than the first LUN has. */
	for (unsigned i = 0; i < 80; i++)
		rig_fill(f, (uint64_t)i * MIB, MIB, 1);
	ATF_REQUIRE_EQ(fs_file_flush(f), 0);
	ATF_CHECK(b->flushes[1] > one);
	ATF_CHECK_EQ(b->flushes[2], two);
	one = b->flushes[1];
	ATF_REQUIRE_EQ(fs_file_flush(f), 0);
	ATF_CHECK_EQ(b->flushes[1], one);
	rig_close(f);
	umount(b);
}

EXTENT_TEST(without_a_lun_the_rest_works)
{
	uint64_t here, there;
	struct fs_file *f;
	uint8_t buf[4096];
	int rc = 0;

	two_files(b, &here, &there);
	umount(b);
	b->hidden = 1u << 1;
	mount(b);
	f = rig_open(&b->r, here, FS_READ | FS_WRITE);
	rig_expect(f, 0, MIB, 1);
	rig_fill(f, 0, 4096, 3);
	ATF_CHECK_EQ(fs_file_flush(f), 0);
	rig_close(f);
	f = rig_open(&b->r, there, FS_READ);
	for (unsigned i = 0; i < 80 && rc == 0; i++) {
		size_t n;

		rc = fs_file_read(f, (uint64_t)i * MIB, buf, sizeof(buf), &n);
	}
	ATF_CHECK_EQ(rc, -VMFS_EEXTENT);
	rig_close(f);
	umount_unchecked(b);
	b->hidden = 0;
	mount(b);
	f = rig_open(&b->r, there, FS_READ);
	for (unsigned i = 0; i < 80; i++)
		rig_expect(f, (uint64_t)i * MIB, MIB, 2);
	rig_close(f);
	umount(b);
}

/* Changes there that no checkpoint has, then the LUN is gone. */
EXTENT_TEST(a_lun_that_is_lost_takes_only_what_lies_on_it)
{
	uint64_t here, there;
	struct fs_file *f, *g;
	uint8_t buf[4096];
	size_t n;

	two_files(b, &here, &there);
	f = rig_open(&b->r, here, FS_READ | FS_WRITE);
	g = rig_open(&b->r, there, FS_READ | FS_WRITE);
	rig_fill(g, 80 * MIB, 4 * MIB, 4);
	b->way[1]->error = -VMFS_EGONE;
	ATF_CHECK_EQ(fs_file_write(g, 84 * MIB, buf, sizeof(buf)),
	    -VMFS_EEXTENT);
	ATF_CHECK_EQ(fs_file_flush(g), -VMFS_EEXTENT);
	for (unsigned i = 0; i < 20; i++) {
		char name[16];

		rig_fill(f, 0, 8192, (uint8_t)(10 + i));
		ATF_CHECK_EQ(fs_file_flush(f), 0);
		(void)snprintf(name, sizeof(name), "new%u", i);
		rig_create(&b->r, name, INODE_FILE, 0);
		ATF_CHECK_EQ(ds_checkpoint(b->r.f.ds, 0), 0);
	}
	ATF_CHECK_EQ(fs_file_read(g, 79 * MIB, buf, sizeof(buf), &n),
	    -VMFS_EEXTENT);
	/* The journal goes round some times: no change of there gets lost. */
	for (unsigned i = 0; i < 2000; i++) {
		rig_fill(f, (uint64_t)(i % 16) * CHUNK_SIZE, 4096,
		    (uint8_t)i);
		ATF_REQUIRE_EQ(fs_file_flush(f), 0);
		if (i % 8 == 0)
			ATF_REQUIRE_EQ(ds_checkpoint(b->r.f.ds, 0), 0);
	}
	ATF_CHECK_EQ(ds_health(b->r.f.ds), 0);
	/* It is back before the journal is full: nothing has happened. */
	b->way[1]->error = 0;
	extents_back(b->r.f.disk, &ds_super(b->r.f.ds)->extent[1].uuid);
	ATF_CHECK_EQ(fs_file_flush(g), 0);
	rig_expect(g, 83 * MIB, MIB, 4);
	rig_close(f);
	rig_close(g);
	umount(b);
}

/* They hold blocks of the first LUN, or give them back. */
static void
many_files(struct box *b, bool there)
{
	char name[16];

	for (unsigned i = 0; i < 24; i++) {
		(void)snprintf(name, sizeof(name), "x%u", i);
		if (there)
			(void)rig_create(&b->r, name, INODE_FILE, 0);
		else
			rig_unlink(&b->r, name);
	}
}

/* A disk whose map needs more leaves than the first LUN has room for. */
static struct fs_file *
on_both_luns(struct box *b, uint64_t *ret_ino)
{
	uint64_t fill = rig_create(&b->r, "fill", INODE_DISK, GIB), off = 0;
	struct fs_file *f;

	*ret_ino = rig_create(&b->r, "there", INODE_DISK, GIB);
	many_files(b, true);
	f = rig_open(&b->r, fill, FS_READ | FS_WRITE);
	while (fs_file_allocate(f, off, MIB) == 0)
		off += MIB;
	while (fs_file_allocate(f, off, CHUNK_SIZE) == 0)
		off += CHUNK_SIZE;
	rig_close(f);
	ATF_REQUIRE_EQ(add(b, 1), 0);
	f = rig_open(&b->r, *ret_ino, FS_READ | FS_WRITE);
	for (unsigned i = 0; i < 60; i++)
		rig_fill(f, 16 * (uint64_t)i * MIB, 4096, 4);
	/* Room for what the snapshot itself needs. */
	many_files(b, false);
	ATF_CHECK_EQ(ds_checkpoint(b->r.f.ds, 0), 0);
	return f;
}

/* Other hosts read it from its place, and may have that LUN.  `known`: it was
 * lost before. */
static void
snapshot_of_lost(struct box *b, bool known)
{
	struct fs_snapshot s;
	struct fs_file *f;
	struct fs_attr a;
	uint64_t ino;

	f = on_both_luns(b, &ino);
	for (unsigned i = 0; i < 60; i++)
		rig_fill(f, 16 * (uint64_t)i * MIB + 4096, 4096, 5);
	ATF_CHECK_EQ(fs_file_flush(f), 0);
	b->way[1]->error = -VMFS_EGONE;
	if (known)
		ATF_CHECK_EQ(ds_checkpoint(b->r.f.ds, 0), 0);
	ATF_CHECK_EQ(-VMFS_EEXTENT, fs_snapshot_create(b->r.fs, ino, "s", &s,
	    NULL));
	ATF_REQUIRE_EQ(fs_getattr(b->r.fs, ino, &a), 0);
	ATF_CHECK_EQ(0, a.snapshots);
	b->way[1]->error = 0;
	extents_back(b->r.f.disk, &ds_super(b->r.f.ds)->extent[1].uuid);
	ATF_REQUIRE_EQ(ds_checkpoint(b->r.f.ds, 0), 0);
	ATF_CHECK_EQ(0, fs_snapshot_create(b->r.fs, ino, "s", &s, NULL));
	rig_close(f);
	umount(b);
}

EXTENT_TEST(a_snapshot_needs_all_of_its_map_in_its_place)
{
	snapshot_of_lost(b, true);
}

EXTENT_TEST(a_snapshot_that_loses_a_part_is_taken_back)
{
	snapshot_of_lost(b, false);
}

/* Cut short by a power failure of the host while the LUN was lost. */
EXTENT_TEST(changes_for_a_lun_that_is_lost_stay_in_the_journal)
{
	struct recover_report report;
	uint64_t here, there;
	struct fs_file *g;
	struct way *w;

	two_files(b, &here, &there);
	g = rig_open(&b->r, there, FS_READ | FS_WRITE);
	rig_fill(g, 80 * MIB, 4 * MIB, 4);
	ATF_CHECK_EQ(fs_file_flush(g), 0);
	w = b->way[1];
	w->error = -VMFS_EGONE;
	for (unsigned i = 0; i < 5; i++)
		ATF_CHECK_EQ(ds_checkpoint(b->r.f.ds, 0), 0);
	ds_abandon(b->r.f.ds);
	ATF_CHECK(fs_file_close(g) < 0);
	ATF_CHECK(fs_close(b->r.fs) <= 0);
	ATF_CHECK_EQ(fixture_umount(&b->r.f), -VMFS_EFENCED);
	w->error = 0;
	extents_back(b->r.f.disk, &b->r.f.super.extent[1].uuid);
	disk_close(b->r.f.disk);
	open_all(b);
	ATF_REQUIRE_EQ(super_read(b->r.f.disk, &b->r.f.super), 0);
	for (unsigned i = 1; i < b->r.f.super.extents; i++) {
		struct disk *d;

		ATF_REQUIRE_EQ(find_extent(b, &b->r.f.super, i, &d), 0);
		ATF_REQUIRE_EQ(extents_attach(b->r.f.disk,
		    &b->r.f.super.extent[i].uuid, d), 0);
	}
	ATF_REQUIRE_EQ(extents_follow(b->r.f.disk, &b->r.f.super), 0);
	ATF_REQUIRE_EQ(fixture_recover(&b->r.f, b->r.f.disk, &report), 0);
	ATF_CHECK(report.applied > 0);
	rig_mount(&b->r);
	g = rig_open(&b->r, there, FS_READ);
	rig_expect(g, 83 * MIB, MIB, 4);
	rig_close(g);
	umount(b);
}

EXTENT_TEST(what_lies_on_a_missing_lun_can_be_deleted)
{
	uint64_t here, there, free_bytes = rig_free_bytes(&b->r);

	two_files(b, &here, &there);
	umount(b);
	b->hidden = 1u << 1;
	mount(b);
	rig_unlink(&b->r, "there");
	umount_unchecked(b);
	b->hidden = 0;
	mount(b);
	rig_unlink(&b->r, "here");
	/* What waited is given back by the housekeeper, or at the end. */
	umount(b);
	mount(b);
	ATF_CHECK(rig_free_bytes(&b->r) > free_bytes + SECOND_SIZE - 6 * MIB);
	umount(b);
}

EXTENT_TEST(a_lun_that_cannot_be_an_extent_changes_nothing)
{
	uint64_t generation = ds_super(b->r.f.ds)->generation;
	char why[LOCKOPS_WHY] = "";
	struct lock_holder holder;
	struct disk *d = open_way(b, 1);

	d->info.block_size = 4096;
	ATF_CHECK_EQ(fs_extent_add(b->r.fs, d, "x", why, &holder),
	    -EOPNOTSUPP);
	ATF_CHECK_MATCH("4096 bytes", why);
	d = open_way(b, 1);
	d->info.size_bytes = 16 * MIB;
	ATF_CHECK_EQ(fs_extent_add(b->r.fs, d, "x", why, &holder), -ENOSPC);
	d = open_way(b, 1);
	b->way[1]->error = -EIO;
	ATF_CHECK_EQ(fs_extent_add(b->r.fs, d, "x", why, &holder), -EIO);
	ATF_CHECK_EQ(ds_super(b->r.f.ds)->generation, generation);
	ATF_CHECK_EQ(ds_super(b->r.f.ds)->extents, 1);
	ATF_REQUIRE_EQ(add(b, 1), 0);
	ATF_CHECK_EQ(add(b, 1), -EEXIST);
	ATF_CHECK_EQ(add(b, 0), -EEXIST);
	umount(b);
}

EXTENT_TEST(the_last_lun_can_grow)
{
	const struct super *s = ds_super(b->r.f.ds);
	struct lock_holder holder;
	uint64_t before;
	struct disk *d = open_way(b, 1);
	char why[LOCKOPS_WHY] = "";

	d->info.size_bytes = 50 * MIB;
	ATF_REQUIRE_EQ(fs_extent_add(b->r.fs, d, "x", why, &holder), 0);
	before = s->extent[1].blocks;
	ATF_CHECK_EQ(fs_grow(b->r.fs, &holder), -ENODATA);
	d->info.size_bytes = SECOND_SIZE;
	ATF_REQUIRE_EQ(fs_grow(b->r.fs, &holder), 0);
	ATF_CHECK(s->extent[1].blocks - before >= 48 * MIB / BLOCK_SIZE);
	umount(b);
}

/* ---- a LUN that does not answer ---- */

/* More than a LUN is to have at once. */
#define STUCK (METER_DEPTH_DEFAULT + 6u)

static struct {
	struct disk_req *req[STUCK];
	unsigned held, ended;
	struct fs_file *f;
} silent;

static void
silent_submit(struct disk *d, struct disk_req *req)
{
	(void)d;
	ATF_REQUIRE(silent.held < STUCK);
	silent.req[silent.held++] = req;
}

static void
read_there(void *arg)
{
	uint8_t buf[4096];
	size_t n;

	(void)arg;
	ATF_CHECK_EQ(0, fs_file_read(silent.f, 78 * MIB, buf, sizeof(buf),
	    &n));
	silent.ended++;
}

EXTENT_TEST(disks_on_other_luns_go_on_while_one_is_silent)
{
	static const struct disk_ops silent_ops = { .submit = silent_submit };
	struct sched *s = b->r.f.env.sched;
	const struct disk_ops *ops;
	uint64_t here, there;
	uint8_t buf[4096];
	struct fs_file *f;
	size_t n;

	two_files(b, &here, &there);
	f = rig_open(&b->r, here, FS_READ | FS_WRITE);
	silent.f = rig_open(&b->r, there, FS_READ | FS_WRITE);
	ops = b->way[1]->disk.ops;
	b->way[1]->disk.ops = &silent_ops;
	for (unsigned i = 0; i < STUCK; i++)
		ATF_REQUIRE_EQ(0, sched_spawn(s, "there", read_there, NULL));
	while (silent.held < STUCK)
		fiber_yield();
	ATF_CHECK_EQ(0, fs_file_read(f, 0, buf, sizeof(buf), &n));
	ATF_CHECK_EQ(0, silent.ended);
	b->way[1]->disk.ops = ops;
	while (silent.held > 0)
		disk_submit(b->lun[1], silent.req[--silent.held]);
	while (silent.ended < STUCK)
		fiber_yield();
	rig_close(f);
	rig_close(silent.f);
	umount(b);
}

/* ---- addresses that no LUN has ---- */

/* The map node that has the first MiB of a disk. */
struct mapped {
	uint64_t at;
	struct map_node_disk node;
	struct block_hdr hdr;
};

static bool
is_map_of(const struct box *b, uint64_t ino, struct mapped *m)
{
	return block_hdr_decode(&m->node, BLOCK_MAP_NODE, &b->r.f.super.uuid,
	    m->at, &m->hdr) == 0 && m->hdr.owner == ino &&
	    m->node.entry[0].state == MAP_HUGE;
}

static uint64_t
mib_find(struct box *b, uint64_t ino, struct mapped *m)
{
	struct map_entry e;

	for (m->at = 1; m->at < FIRST_SIZE / BLOCK_SIZE; m->at++) {
		ATF_REQUIRE_EQ(0, disk_read(b->lun[0], m->at * BLOCK_SIZE,
		    &m->node, BLOCK_SIZE));
		if (!is_map_of(b, ino, m))
			continue;
		ATF_REQUIRE_EQ(0, map_entry_get(&m->node.entry[0], 1, &e));
		return e.block;
	}
	atf_tc_fail("no map");
}

static void
mib_forge(struct box *b, uint64_t ino, uint64_t block)
{
	struct map_entry e;
	struct mapped m;

	(void)mib_find(b, ino, &m);
	ATF_REQUIRE_EQ(0, map_entry_get(&m.node.entry[0], 1, &e));
	e.block = block;
	map_entry_put(&m.node.entry[0], &e);
	block_hdr_encode(&m.node, &m.hdr, &b->r.f.super.uuid);
	ATF_REQUIRE_EQ(0, disk_write(b->lun[0], m.at * BLOCK_SIZE, &m.node,
	    BLOCK_SIZE, 0));
}

struct seen {
	unsigned of[CHECK_RULES];
};

static void
count_rules(void *arg, const struct check_finding *f)
{
	struct seen *s = arg;

	s->of[f->rule]++;
}

/* All that is found can be repaired, and is at once. */
static struct seen
repaired(struct box *b)
{
	struct check_result res;
	struct seen s = { .of[0] = 0 };
	const struct check_conf conf = {
		.env = &b->r.f.env, .disk = b->r.f.disk,
		.extents = b->r.f.disk, .repair = true, .own_slot = -1,
		.finding = count_rules, .arg = &s,
	};

	ATF_REQUIRE_EQ(0, check_run(&conf, &res));
	ATF_CHECK_EQ(res.found, res.fixed);
	rig_check(&b->r);
	return s;
}

/* *ret_super: of the two LUNs that two disks lie on, not mounted. */
static void
two_files_at_rest(struct box *b, uint64_t *ret_here, uint64_t *ret_there,
    struct super *ret_super)
{
	two_files(b, ret_here, ret_there);
	ATF_REQUIRE_EQ(fs_close(b->r.fs), 0);
	ATF_REQUIRE_EQ(fixture_umount(&b->r.f), 0);
	ATF_REQUIRE_EQ(super_read(b->r.f.disk, ret_super), 0);
}

EXTENT_TEST(data_where_no_lun_is_reads_as_zeroes_after_fsck)
{
	uint64_t here, there, gap;
	struct fs_file *f;
	struct super s;

	two_files_at_rest(b, &here, &there, &s);
	gap = s.extent[0].blocks;
	ATF_REQUIRE(gap + MIB / BLOCK_SIZE <= s.extent[1].first_block);
	mib_forge(b, here, gap);
	ATF_CHECK_EQ(1, repaired(b).of[CHECK_MAP_RANGE]);
	mib_forge(b, there, gap - CHUNK_BLOCKS);
	ATF_CHECK_EQ(1, repaired(b).of[CHECK_MAP_RANGE]);
	disk_close(b->r.f.disk);
	mount(b);
	f = rig_open(&b->r, here, FS_READ);
	rig_expect(f, 0, MIB, 0);
	rig_close(f);
	umount(b);
}

/* It gets its copy where a LUN has room. */
EXTENT_TEST(what_two_claim_gets_a_copy_when_the_first_lun_is_full)
{
	uint64_t here, there, block;
	struct mapped m;
	struct fs_file *f;
	struct super s;

	two_files_at_rest(b, &here, &there, &s);
	mib_forge(b, there, mib_find(b, here, &m));
	ATF_CHECK_EQ(1, repaired(b).of[CHECK_MAP_SHARED]);
	block = mib_find(b, there, &m);
	ATF_CHECK_EQ(1, volume_extent_of(&s, block));
	ATF_CHECK_EQ(1, volume_extent_of(&s, block + MIB / BLOCK_SIZE - 1));
	disk_close(b->r.f.disk);
	mount(b);
	f = rig_open(&b->r, there, FS_READ);
	rig_expect(f, 0, MIB, 1);
	rig_close(f);
	umount(b);
}

ATF_TP_ADD_TCS(tp)
{
	ATF_TP_ADD_TC(tp, a_further_lun_gives_its_space);
	ATF_TP_ADD_TC(tp, what_all_need_lies_on_the_first_lun);
	ATF_TP_ADD_TC(tp, an_extent_is_no_datastore_of_its_own);
	ATF_TP_ADD_TC(tp,
	    one_copy_is_enough_to_know_an_extent_and_mend_the_other);
	ATF_TP_ADD_TC(tp, another_lun_is_not_taken_for_the_extent);
	ATF_TP_ADD_TC(tp,
	    a_commit_flushes_the_luns_that_were_written_and_no_other);
	ATF_TP_ADD_TC(tp, without_a_lun_the_rest_works);
	ATF_TP_ADD_TC(tp, a_lun_that_is_lost_takes_only_what_lies_on_it);
	ATF_TP_ADD_TC(tp, a_snapshot_needs_all_of_its_map_in_its_place);
	ATF_TP_ADD_TC(tp, a_snapshot_that_loses_a_part_is_taken_back);
	ATF_TP_ADD_TC(tp,
	    changes_for_a_lun_that_is_lost_stay_in_the_journal);
	ATF_TP_ADD_TC(tp, what_lies_on_a_missing_lun_can_be_deleted);
	ATF_TP_ADD_TC(tp, a_lun_that_cannot_be_an_extent_changes_nothing);
	ATF_TP_ADD_TC(tp, the_last_lun_can_grow);
	ATF_TP_ADD_TC(tp, disks_on_other_luns_go_on_while_one_is_silent);
	ATF_TP_ADD_TC(tp, data_where_no_lun_is_reads_as_zeroes_after_fsck);
	ATF_TP_ADD_TC(tp,
	    what_two_claim_gets_a_copy_when_the_first_lun_is_full);
	return atf_no_error();
}
