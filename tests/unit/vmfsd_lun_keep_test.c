/* SPDX-License-Identifier: BSD-2-Clause */
/* LUNs on virtual disks, from one process to the next. */
#include <atf-c.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "libvmfs/env/hugepage.h"
#include "tests/unit/core_fs_rig.h"
#include "vmfsd/lun_keep.h"

#define SOURCE "vdisk:ds1:/disk.vmdk"

static void
datastore_of(struct rig *r, struct datastore *d, struct datastores *all)
{
	void *mem;

	*all = (struct datastores){ .log = NULL };
	*d = (struct datastore){ .all = all, .fs = r->fs };
	ATF_REQUIRE_EQ(0, hugepage_map(sizeof(*d->keep), -1, &mem));
	d->keep = mem;
}

/* A process dies that had it open. */
static void
left(struct rig *r, struct datastore *d, uint64_t ino)
{
	struct attachment a = { .ino = ino, .disk_ino = ino };
	struct fs_attr attr;

	ATF_REQUIRE_EQ(0, fs_getattr(r->fs, ino, &attr));
	a.generation = attr.generation;
	ATF_REQUIRE(lun_keep_opened(d, SOURCE, &a, NULL) != NULL);
	memset(d->lun_kept, 0, sizeof(d->lun_kept));
	d->again = true;
}

static int
open_by(struct rig *r, uint64_t ino, unsigned by)
{
	struct lock_holder h;
	struct fs_file *f;
	int rc = fs_file_open(r->fs, ino, 0, FS_WRITE | by, &f, &h);

	if (rc == 0)
		rig_close(f);
	return rc;
}

static void
held(struct rig *r)
{
	uint64_t ino = rig_create(r, "disk", INODE_DISK, MIB);
	struct attachment a = { .ino = 0 };
	struct attach_keep *k;
	struct datastores all;
	struct datastore d;

	datastore_of(r, &d, &all);
	left(r, &d, ino);
	lun_keep_hold(&d);
	ATF_CHECK_EQ(-VMFS_ELOCKED, open_by(r, ino, FS_BY_MOUNT));
	ATF_CHECK_EQ(-VMFS_ELOCKED, open_by(r, ino, FS_BY_EXPORT));
	ATF_CHECK_EQ(0, open_by(r, ino, FS_BY_LUN));
	ATF_CHECK(lun_keep_left(&d, "vdisk:ds1:/other.vmdk", &a) == NULL);
	k = lun_keep_left(&d, SOURCE, &a);
	ATF_REQUIRE(k != NULL);
	ATF_CHECK_EQ(ino, a.ino);
	/* It was asked for, and is to be tried again. */
	lun_keep_forget(&d, NULL);
	ATF_CHECK_EQ(-VMFS_ELOCKED, open_by(r, ino, FS_BY_MOUNT));
	ATF_CHECK(lun_keep_opened(&d, SOURCE, &a, k) == k);
	ATF_CHECK_EQ(0, open_by(r, ino, FS_BY_MOUNT));
	/* Who else asks for that name has what it names. */
	ATF_CHECK(lun_keep_left(&d, SOURCE, &a) == NULL);
	ATF_CHECK(attach_keeps(k, ino));
	lun_keep_closed(&d, k);
	ATF_CHECK(!attach_keeps(k, ino));
	(void)munmap(d.keep, sizeof(*d.keep));
}

static void
forgotten(struct rig *r)
{
	uint64_t ino = rig_create(r, "disk", INODE_DISK, MIB);
	struct attachment a = { .ino = 0 };
	struct datastores all;
	struct datastore d;

	datastore_of(r, &d, &all);
	for (unsigned i = 0; i < 2; i++) {
		left(r, &d, ino);
		lun_keep_hold(&d);
		/* The configuration has it not, or not any more. */
		if (i == 1)
			ATF_CHECK(lun_keep_left(&d, SOURCE, &a) != NULL);
		lun_keep_forget(&d, i == 1 ? SOURCE : NULL);
		ATF_CHECK_EQ(0, open_by(r, ino, FS_BY_MOUNT));
		ATF_CHECK(lun_keep_left(&d, SOURCE, &a) == NULL);
	}
	/* A mount that fails later keeps it for the next try. */
	left(r, &d, ino);
	lun_keep_hold(&d);
	lun_keep_let_go(&d);
	ATF_CHECK_EQ(0, open_by(r, ino, FS_BY_MOUNT));
	ATF_CHECK(lun_keep_left(&d, SOURCE, &a) != NULL);
	(void)munmap(d.keep, sizeof(*d.keep));
}

ATF_TC_WITHOUT_HEAD(lun_is_held_until_it_is_open);
ATF_TC_BODY(lun_is_held_until_it_is_open, tc)
{
	rig_run(64 * MIB, held);
}

ATF_TC_WITHOUT_HEAD(lun_that_nobody_opens_is_forgotten);
ATF_TC_BODY(lun_that_nobody_opens_is_forgotten, tc)
{
	rig_run(64 * MIB, forgotten);
}

ATF_TP_ADD_TCS(tp)
{
	ATF_TP_ADD_TC(tp, lun_is_held_until_it_is_open);
	ATF_TP_ADD_TC(tp, lun_that_nobody_opens_is_forgotten);
	return atf_no_error();
}
