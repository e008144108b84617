/* SPDX-License-Identifier: BSD-2-Clause */
/* A scrub names what is damaged, and only that cannot be written any more. */
#include <atf-c.h>
#include <stdio.h>
#include <string.h>

#include "libvmfs/base/units.h"
#include "libvmfs/check/scrub.h"
#include "libvmfs/format/mapnode.h"
#include "tests/fuzz/cow_disk.h"
#include "tests/golden/volume.h"

struct world {
	struct volume v;
	struct disk *disk;
	struct volume_mount m;
	unsigned found;
	uint64_t block;
	char object[4096];
	bool stop;
};

static void
on_finding(void *arg, const struct scrub_finding *f)
{
	struct world *w = arg;

	w->found++;
	w->block = f->block;
	snprintf(w->object, sizeof(w->object), "%s", f->object);
	printf("%s\n", f->text);
}

static void
scrub(struct world *w)
{
	struct scrub s = {
		.fs = w->m.fs, .finding = on_finding, .arg = w,
	};

	for (uint64_t i = 0; i < scrub_steps(w->m.fs); i++)
		ATF_REQUIRE_EQ(0, scrub_step(&s, i));
}

static void
begin(struct world *w)
{
	volume_make(&w->v);
	w->disk = cow_disk_copy(w->v.disk);
	ATF_REQUIRE_EQ(0, volume_mount(&w->v, w->disk, &w->m));
}

static void
end(struct world *w)
{
	ATF_CHECK_EQ(0, volume_unmount(&w->m));
	disk_close(w->disk);
	volume_free(&w->v);
}

static void
flip(struct world *w, uint64_t block, unsigned byte)
{
	uint8_t buf[BLOCK_SIZE];

	ATF_REQUIRE_EQ(0, disk_read(w->disk, block * BLOCK_SIZE, buf,
	    BLOCK_SIZE));
	buf[byte] ^= 4;
	ATF_REQUIRE_EQ(0, disk_write(w->disk, block * BLOCK_SIZE, buf,
	    BLOCK_SIZE, 0));
}

static void
load(struct world *w, uint64_t block, void *buf)
{
	ATF_REQUIRE_EQ(0, disk_read(w->disk, block * BLOCK_SIZE, buf,
	    BLOCK_SIZE));
}

static uint64_t
map_leaf(struct world *w, uint64_t ino, unsigned entry, unsigned group)
{
	struct map_node_disk n;
	struct inode_info i;
	uint8_t buf[BLOCK_SIZE];

	load(w, ino, buf);
	ATF_REQUIRE_EQ(0, inode_decode(buf, &i));
	load(w, i.map.block, &n);
	load(w, le48_get(n.entry[entry].block), &n);
	return le48_get(n.u.group[group].block);
}

static int
write_to(struct world *w, const char *path)
{
	struct fs_attr a;
	struct fs_file *f;
	int rc, c;

	ATF_REQUIRE_EQ(0, fs_resolve(w->m.fs, path, &a));
	rc = fs_file_open(w->m.fs, a.ino, 0, FS_WRITE, &f, NULL);
	if (rc != 0)
		return rc;
	rc = fs_file_write(f, 0, "hello", 5);
	c = fs_file_close(f);
	return rc != 0 ? rc : c;
}

static void
sound(void *arg)
{
	struct world *w = arg;

	begin(w);
	scrub(w);
	ATF_CHECK_EQ(0, w->found);
	end(w);
}

static void
map_block(void *arg)
{
	struct world *w = arg;
	uint64_t block;

	begin(w);
	block = map_leaf(w, w->v.twin, 1, 2);
	flip(w, block, 300);
	scrub(w);
	ATF_CHECK_EQ(1, w->found);
	ATF_CHECK_EQ(block, w->block);
	ATF_CHECK_STREQ("/twin", w->object);
	ATF_CHECK_EQ(-EROFS, write_to(w, "/twin"));
	ATF_CHECK_EQ(0, write_to(w, "/disk"));
	ATF_CHECK_EQ(0, write_to(w, "/big"));
	end(w);
}

/* Whoever has it open does not go on, either. */
static void
open_file(void *arg)
{
	struct world *w = arg;
	struct fs_file *f;
	char buf[16];
	size_t n;

	begin(w);
	ATF_REQUIRE_EQ(0, fs_file_open(w->m.fs, w->v.twin, 0,
	    FS_READ | FS_WRITE, &f, NULL));
	ATF_REQUIRE_EQ(0, fs_file_write(f, 0, "hello", 5));
	flip(w, map_leaf(w, w->v.twin, 1, 2), 300);
	scrub(w);
	ATF_CHECK_EQ(-EROFS, fs_file_write(f, 0, "again", 5));
	ATF_CHECK_EQ(0, fs_file_read(f, 0, buf, 5, &n));
	ATF_CHECK_EQ(0, memcmp(buf, "hello", 5));
	ATF_CHECK_EQ(0, fs_file_close(f));
	end(w);
}

/* Nobody has scrubbed: reading is enough. */
static void
first_sight(void *arg)
{
	struct world *w = arg;
	struct fs_attr a;
	struct fs_file *f;
	char buf[16];
	size_t n;

	begin(w);
	flip(w, map_leaf(w, w->v.twin, 1, 2), 300);
	ATF_REQUIRE_EQ(0, fs_resolve(w->m.fs, "/twin", &a));
	ATF_REQUIRE_EQ(0, fs_file_open(w->m.fs, a.ino, 0, FS_READ | FS_WRITE,
	    &f, NULL));
	ATF_REQUIRE_EQ(0, fs_file_write(f, 0, "hello", 5));
	ATF_CHECK(!fs_is_damaged(w->m.fs, a.ino));
	ATF_CHECK_EQ(-VMFS_ECORRUPT, fs_file_read(f, 300 * MIB, buf, 5, &n));
	ATF_CHECK(fs_is_damaged(w->m.fs, a.ino));
	ATF_CHECK_EQ(-EROFS, fs_file_write(f, 0, "again", 5));
	ATF_CHECK_EQ(0, fs_file_read(f, 0, buf, 5, &n));
	ATF_CHECK_EQ(0, memcmp(buf, "hello", 5));
	ATF_CHECK_EQ(0, fs_file_close(f));
	ATF_CHECK_EQ(0, write_to(w, "/disk"));
	end(w);
}

/* A block that once comes with a wrong bit. */
static struct {
	const struct disk_ops *ops;
	struct disk_ops bad;
	uint64_t block;
	unsigned came;
} wire;

static void
submit_by_wire(struct disk *d, struct disk_req *req)
{
	wire.ops->submit(d, req);
	if (req->op == DISK_READ && req->offset == wire.block * BLOCK_SIZE &&
	    wire.came++ == 0)
		((uint8_t *)req->iov[0].iov_base)[300] ^= 4;
}

static void
bad_wire(struct world *w, uint64_t block)
{
	wire.ops = w->disk->ops;
	wire.bad = *wire.ops;
	wire.bad.submit = submit_by_wire;
	wire.block = block;
	wire.came = 0;
	w->disk->ops = &wire.bad;
}

/* Of a map that is inherited, which does not come by the cache. */
static void
wrong_once(void *arg)
{
	struct world *w = arg;
	struct fs_attr a;
	struct fs_file *f;
	char buf[16];
	size_t n;

	begin(w);
	ATF_REQUIRE_EQ(0, fs_clone(w->m.fs, w->v.two, fs_root(w->m.fs), "new",
	    0600, 0, 0, &a, NULL));
	bad_wire(w, map_leaf(w, w->v.two, 0, 0));
	ATF_REQUIRE_EQ(0, fs_file_open(w->m.fs, a.ino, 0, FS_READ | FS_WRITE,
	    &f, NULL));
	ATF_CHECK_EQ(0, fs_file_read(f, 0, buf, 5, &n));
	ATF_CHECK_EQ(0x11, buf[0]);
	ATF_CHECK(wire.came > 1);
	ATF_CHECK(!fs_is_damaged(w->m.fs, a.ino));
	ATF_CHECK_EQ(0, fs_file_write(f, 0, "again", 5));
	ATF_CHECK_EQ(0, fs_file_close(f));
	end(w);
}

static void
inode(void *arg)
{
	struct world *w = arg;

	begin(w);
	flip(w, w->v.big, 608);
	scrub(w);
	ATF_CHECK_EQ(1, w->found);
	ATF_CHECK_STREQ("/big", w->object);
	ATF_CHECK_EQ(0, write_to(w, "/disk"));
	end(w);
}

static void
snapshot(void *arg)
{
	struct world *w = arg;

	begin(w);
	flip(w, w->v.one, 1100);
	scrub(w);
	ATF_CHECK_EQ(1, w->found);
	ATF_CHECK_EQ(w->v.one, w->block);
	end(w);
}

static void
directory(void *arg)
{
	struct world *w = arg;
	struct inode_info i;
	uint8_t buf[BLOCK_SIZE];
	struct fs_attr a;

	begin(w);
	load(w, w->v.dir, buf);
	ATF_REQUIRE_EQ(0, inode_decode(buf, &i));
	flip(w, i.dir_root, 2000);
	scrub(w);
	ATF_CHECK_EQ(1, w->found);
	ATF_CHECK_STREQ("/dir", w->object);
	ATF_CHECK_EQ(-EROFS, fs_create(w->m.fs, w->v.dir, "new", INODE_FILE,
	    0644, 0, 0, 0, &a));
	ATF_CHECK_EQ(0, fs_create(w->m.fs, fs_root(w->m.fs), "new", INODE_FILE,
	    0644, 0, 0, 0, &a));
	end(w);
}

static void
space(void *arg)
{
	struct world *w = arg;

	begin(w);
	flip(w, CLUSTER_TABLE_BLOCK + 2, 700);
	flip(w, SLOT_TABLE_BLOCK + 9, 700);
	flip(w, SUPER_BLOCK_1, 300);
	scrub(w);
	ATF_CHECK_EQ(3, w->found);
	ATF_CHECK_STREQ("cluster 2", w->object);
	flip(w, CLUSTER_TABLE_BLOCK + 2, 700);
	end(w);
}

static void
writer(void *arg)
{
	struct world *w = arg;
	char name[32];

	for (unsigned i = 0; !w->stop; i++) {
		struct fs_attr a;

		ATF_REQUIRE_EQ(0, write_to(w, "/disk"));
		snprintf(name, sizeof(name), "new-%u", i);
		ATF_REQUIRE_EQ(0, fs_create(w->m.fs, w->v.small, name,
		    INODE_FILE, 0644, 0, 0, 0, &a));
		ATF_REQUIRE_EQ(0, ds_checkpoint(w->m.ds, 0));
		if (i % 2 == 1)
			ATF_REQUIRE_EQ(0, fs_unlink(w->m.fs, w->v.small, name,
			    NULL));
		fiber_yield();
	}
	w->stop = false;
}

static void
busy(void *arg)
{
	struct world *w = arg;

	begin(w);
	ATF_REQUIRE_EQ(0, sched_spawn(sched_current(), "writer", writer, w));
	for (unsigned i = 0; i < 5; i++)
		scrub(w);
	ATF_CHECK_EQ(0, w->found);
	w->stop = true;
	while (w->stop)
		fiber_sleep(NSEC_PER_MSEC);
	end(w);
}

#define SCRUB_TC(name, fn)						\
ATF_TC_WITHOUT_HEAD(name);						\
ATF_TC_BODY(name, tc)							\
{									\
	static struct world w;						\
									\
	volume_run(&w.v, fn, &w);					\
}

SCRUB_TC(sound_volume_has_no_findings, sound)
SCRUB_TC(damaged_map_makes_its_disk_read_only, map_block)
SCRUB_TC(open_file_is_no_longer_written, open_file)
SCRUB_TC(damage_that_is_met_makes_its_object_read_only, first_sight)
SCRUB_TC(what_came_wrong_once_is_not_damaged, wrong_once)
SCRUB_TC(damaged_inode_is_named_by_its_path, inode)
SCRUB_TC(damaged_snapshot_is_found, snapshot)
SCRUB_TC(damaged_directory_takes_no_new_names, directory)
SCRUB_TC(damaged_space_is_named, space)
SCRUB_TC(busy_volume_has_no_findings, busy)

ATF_TP_ADD_TCS(tp)
{
	ATF_TP_ADD_TC(tp, sound_volume_has_no_findings);
	ATF_TP_ADD_TC(tp, damaged_map_makes_its_disk_read_only);
	ATF_TP_ADD_TC(tp, open_file_is_no_longer_written);
	ATF_TP_ADD_TC(tp, damage_that_is_met_makes_its_object_read_only);
	ATF_TP_ADD_TC(tp, what_came_wrong_once_is_not_damaged);
	ATF_TP_ADD_TC(tp, damaged_inode_is_named_by_its_path);
	ATF_TP_ADD_TC(tp, damaged_snapshot_is_found);
	ATF_TP_ADD_TC(tp, damaged_directory_takes_no_new_names);
	ATF_TP_ADD_TC(tp, damaged_space_is_named);
	ATF_TP_ADD_TC(tp, busy_volume_has_no_findings);
	return atf_no_error();
}
