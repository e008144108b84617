/* SPDX-License-Identifier: BSD-2-Clause */
/* A lock that is given back while memory is short (-Wl,--wrap). */
#include <atf-c.h>

#include "tests/unit/core_fs_rig.h"

static bool short_of_memory;

void *__real_disk_buf_alloc(size_t len);
void *__wrap_disk_buf_alloc(size_t len);

void *
__wrap_disk_buf_alloc(size_t len)
{
	return short_of_memory ? NULL : __real_disk_buf_alloc(len);
}

static void
close_short(struct rig *r)
{
	uint64_t ino = rig_create(r, "d", INODE_DISK, 4 * MIB);
	struct fs_file *f = rig_open(r, ino, FS_READ | FS_WRITE);
	struct recover_report rep;

	ATF_REQUIRE_EQ(0, ds_checkpoint(r->f.ds, 0));
	rig_fill(f, 0, MIB, 1);
	ATF_REQUIRE_EQ(0, fs_file_flush(f));
	short_of_memory = true;
	ATF_CHECK_EQ(-ENOMEM, fs_file_close(f));
	short_of_memory = false;
	/* As anybody's flush would. */
	(void)!ds_checkpoint(r->f.ds, 0);
	(void)!fs_close(r->fs);
	(void)!fixture_umount(&r->f);
	ATF_REQUIRE_EQ(0, fixture_recover(&r->f, r->f.disk, &rep));
	rig_mount(r);
	f = rig_open(r, ino, FS_READ);
	rig_expect(f, 0, MIB, 1);
	rig_close(f);
}

ATF_TC_WITHOUT_HEAD(what_was_flushed_outlives_a_close_without_memory);
ATF_TC_BODY(what_was_flushed_outlives_a_close_without_memory, tc)
{
	rig_run(256 * MIB, close_short);
}

ATF_TP_ADD_TCS(tp)
{
	ATF_TP_ADD_TC(tp, what_was_flushed_outlives_a_close_without_memory);
	return atf_no_error();
}
