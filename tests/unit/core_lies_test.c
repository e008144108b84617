/* SPDX-License-Identifier: BSD-2-Clause */
/* Metadata that is whole and lies: what reads it must come to an end. */
#include <atf-c.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "libvmfs/core/fs_impl.h"
#include "libvmfs/format/dirent.h"
#include "libvmfs/format/inode.h"
#include "tests/unit/core_fs_rig.h"

#define SNAPSHOTS 4
#define SECONDS_MAX 60		/* more is for ever */

/* ---- blocks of the LUN, past the datastore ---- */

static void
block_read(struct rig *r, uint64_t addr, void *buf)
{
	ATF_REQUIRE_EQ(disk_read(r->f.disk, addr * BLOCK_SIZE, buf,
	    BLOCK_SIZE), 0);
}

/* Its checksum is right again. */
static void
block_write(struct rig *r, uint64_t addr, void *buf)
{
	struct block_hdr_disk *d = buf;
	size_t at = le32_get(d->magic) == BLOCK_MAGIC ? 0 : LOCK_RECORD_SIZE;

	d = (void *)((uint8_t *)buf + at);
	ATF_REQUIRE_EQ(le32_get(d->magic), BLOCK_MAGIC);
	d->crc32c = le32(crc32c_with_hole(d, BLOCK_SIZE - at,
	    offsetof(struct block_hdr_disk, crc32c)));
	ATF_REQUIRE_EQ(disk_write(r->f.disk, addr * BLOCK_SIZE, buf,
	    BLOCK_SIZE, 0), 0);
}

static void
inode_on_disk(struct rig *r, uint64_t ino, struct inode_info *ret_i)
{
	uint8_t *buf = disk_buf_alloc(BLOCK_SIZE);

	block_read(r, ino, buf);
	ATF_REQUIRE_EQ(inode_decode(buf, ret_i), 0);
	free(buf);
}

/* fsck finds nothing, then a lie is told and it is mounted. */
static void
remount_with(struct rig *r, void (*lie)(struct rig *r, uint64_t ino),
    uint64_t ino)
{
	rig_umount(r);
	lie(r, ino);
	rig_mount(r);
}

/* For the end of the rig, which looks: as it was at first. */
static void
start_anew(struct rig *r)
{
	const struct mkds_conf conf = { .label = "test" };

	(void)!fs_close(r->fs);
	(void)!fixture_umount(&r->f);
	ATF_REQUIRE_EQ(mkds_plan(&r->f.disk->info, &conf, &r->f.super), 0);
	ATF_REQUIRE_EQ(mkds_write(&r->f.env, r->f.disk, &conf, &r->f.super),
	    0);
	rig_mount(r);
}

/* ---- snapshots ---- */

/* The first is the parent of all, and of itself. */
static void
first_is_its_own_parent(struct rig *r, uint64_t ino)
{
	struct snaptab_disk *d = disk_buf_alloc(BLOCK_SIZE);
	struct inode_info i;
	le64_t first = le64(0);
	uint32_t id = UINT32_MAX;

	inode_on_disk(r, ino, &i);
	block_read(r, i.snaptab, d);
	for (unsigned k = 0; k < SNAPTAB_ENTRIES; k++)
		if (le64_get(d->entry[k].ino) != 0 &&
		    le32_get(d->entry[k].id) < id) {
			id = le32_get(d->entry[k].id);
			first = d->entry[k].ino;
		}
	for (unsigned k = 0; k < SNAPTAB_ENTRIES; k++)
		if (le64_get(d->entry[k].ino) != 0)
			d->entry[k].parent = first;
	block_write(r, i.snaptab, d);
	free(d);
}

static bool
any_snapshot(void *arg, const struct fs_snapshot *s)
{
	(void)arg;
	(void)s;
	return true;
}

static void
own_parent(struct rig *r)
{
	uint64_t ino = rig_create(r, "d", INODE_DISK, 4 * MIB);
	struct fs_file *f = rig_open(r, ino, FS_READ | FS_WRITE);
	struct fs_snapshot s;
	char name[16];

	for (int i = 0; i < SNAPSHOTS; i++) {
		rig_fill(f, 0, MIB, (uint8_t)('a' + i));
		(void)snprintf(name, sizeof(name), "s%d", i);
		ATF_REQUIRE_EQ(fs_snapshot_create(r->fs, ino, name, &s, NULL),
		    0);
	}
	rig_close(f);
	remount_with(r, first_is_its_own_parent, ino);
	/* Refused or done; not past the end of a list in memory. */
	(void)!fs_snapshot_list(r->fs, ino, any_snapshot, NULL);
	start_anew(r);
}

ATF_TC_WITHOUT_HEAD(snapshot_that_is_its_own_parent);
ATF_TC_BODY(snapshot_that_is_its_own_parent, tc)
{
	rig_run(64 * MIB, own_parent);
}

/* ---- files ---- */

/* As another host may write it, between two reads of who has no lock. */
static void
content_longer_than_its_inode(struct rig *r, uint64_t ino)
{
	uint8_t *buf = disk_buf_alloc(BLOCK_SIZE);

	block_read(r, ino, buf);
	((struct inode_disk *)(void *)buf)->inline_size = le16(UINT16_MAX);
	block_write(r, ino, buf);
	free(buf);
}

static void
long_content(struct rig *r)
{
	uint64_t ino = rig_create(r, "f", INODE_FILE, 0);
	struct fs_file *f = rig_open(r, ino, FS_READ | FS_WRITE);
	uint8_t *buf = calloc(1, UINT16_MAX);
	struct inode_info i;

	ATF_REQUIRE(buf != NULL);
	rig_fill(f, 0, 100, 'a');
	rig_close(f);
	rig_umount(r);
	inode_on_disk(r, ino, &i);
	ATF_REQUIRE((i.flags & INODE_INLINE) != 0);
	rig_mount(r);
	f = rig_open(r, ino, FS_READ);
	ATF_CHECK_EQ(file_read_at(f->ip, false, &i, 0, buf, 100), 0);
	ATF_CHECK_EQ('a', buf[99]);
	content_longer_than_its_inode(r, ino);
	node_cache_flush(f->ip);
	ATF_CHECK_EQ(file_read_at(f->ip, false, &i, 0, buf, UINT16_MAX),
	    -VMFS_ECORRUPT);
	rig_close(f);
	free(buf);
	start_anew(r);
}

ATF_TC_WITHOUT_HEAD(content_longer_than_its_inode_is_refused);
ATF_TC_BODY(content_longer_than_its_inode_is_refused, tc)
{
	rig_run(64 * MIB, long_content);
}

/* ---- directories ---- */

/* Its leaf goes on with itself. */
static void
leaf_follows_itself(struct rig *r, uint64_t ino)
{
	uint8_t *buf = disk_buf_alloc(BLOCK_SIZE);
	struct dir_node_disk *n = (void *)buf;
	struct dir_leaf_disk *l = (void *)buf;
	struct inode_info i;
	uint64_t leaf;

	inode_on_disk(r, ino, &i);
	ATF_REQUIRE(i.dir_root != 0);
	block_read(r, i.dir_root, buf);
	leaf = le64_get(n->child[0]);
	block_read(r, leaf, buf);
	l->next = le64(leaf);
	block_write(r, leaf, buf);
	free(buf);
}

/* With names enough for a leaf, all in one. */
static uint64_t
make_dir(struct rig *r)
{
	struct fs_attr dir, a;
	char name[220];

	ATF_REQUIRE_EQ(fs_create(r->fs, r->root, "dir", INODE_DIR, 0755, 0, 0,
	    0, &dir), 0);
	for (int i = 0; i < 16; i++) {
		(void)snprintf(name, sizeof(name), "%0200d", i);
		ATF_REQUIRE_EQ(fs_create(r->fs, dir.ino, name, INODE_FILE,
		    0644, 0, 0, 0, &a), 0);
	}
	return dir.ino;
}

static void
circle_found(struct rig *r)
{
	uint64_t dir = make_dir(r);
	struct fs_attr a;

	remount_with(r, leaf_follows_itself, dir);
	(void)alarm(SECONDS_MAX);
	ATF_CHECK(fs_lookup(r->fs, dir, "missing", &a) < 0);
	start_anew(r);
}

ATF_TC_WITHOUT_HEAD(lookup_in_a_circle_of_leaves_ends);
ATF_TC_BODY(lookup_in_a_circle_of_leaves_ends, tc)
{
	rig_run(64 * MIB, circle_found);
}

static void
circle_removed(struct rig *r)
{
	uint64_t dir = make_dir(r);

	remount_with(r, leaf_follows_itself, dir);
	(void)alarm(SECONDS_MAX);
	ATF_CHECK(fs_unlink(r->fs, dir, "missing", NULL) < 0);
	start_anew(r);
}

ATF_TC_WITHOUT_HEAD(unlink_in_a_circle_of_leaves_ends);
ATF_TC_BODY(unlink_in_a_circle_of_leaves_ends, tc)
{
	rig_run(64 * MIB, circle_removed);
}

static bool
count_name(void *arg, const struct fs_dirent *e)
{
	(void)e;
	return ++*(unsigned *)arg < 1000;
}

static void
circle_listed(struct rig *r)
{
	uint64_t dir = make_dir(r);
	unsigned names = 0;

	remount_with(r, leaf_follows_itself, dir);
	(void)alarm(SECONDS_MAX);
	(void)!fs_readdir(r->fs, dir, 0, count_name, &names);
	ATF_CHECK(names <= 16);
	start_anew(r);
}

ATF_TC_WITHOUT_HEAD(list_of_a_circle_of_leaves_ends);
ATF_TC_BODY(list_of_a_circle_of_leaves_ends, tc)
{
	rig_run(64 * MIB, circle_listed);
}

ATF_TP_ADD_TCS(tp)
{
	ATF_TP_ADD_TC(tp, snapshot_that_is_its_own_parent);
	ATF_TP_ADD_TC(tp, content_longer_than_its_inode_is_refused);
	ATF_TP_ADD_TC(tp, lookup_in_a_circle_of_leaves_ends);
	ATF_TP_ADD_TC(tp, unlink_in_a_circle_of_leaves_ends);
	ATF_TP_ADD_TC(tp, list_of_a_circle_of_leaves_ends);
	return atf_no_error();
}
