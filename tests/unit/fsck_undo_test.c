/* SPDX-License-Identifier: BSD-2-Clause */
/* Undo files: which LUN they are put back to. */
#include <atf-c.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "fsck/undo.h"
#include "libvmfs/base/units.h"
#include "libvmfs/env/reactor.h"

#define LUN_SIZE (4 * MIB)
#define AT (64 * KIB)

static const struct uuid ours = { "ours" }, theirs = { "theirs" };

static void
fill(struct disk *d, uint8_t value)
{
	uint8_t buf[4096];

	memset(buf, value, sizeof(buf));
	ATF_REQUIRE_EQ(0, disk_write(d, AT, buf, sizeof(buf), 0));
}

static uint8_t
value_of(struct disk *d)
{
	uint8_t buf[4096];

	ATF_REQUIRE_EQ(0, disk_read(d, AT, buf, sizeof(buf)));
	return buf[0];
}

/* A repair writes 2 over 1; `killed`: it does not get to the end. */
static struct disk *
repair(bool killed)
{
	struct disk *lun, *over;

	ATF_REQUIRE_EQ(0, disk_mem_open(LUN_SIZE, 512, &lun));
	fill(lun, 1);
	ATF_REQUIRE_EQ(0, undo_open(lun, &over));
	ATF_REQUIRE_EQ(0, undo_begin(over, "undo", &ours));
	fill(over, 2);
	if (!killed)
		ATF_REQUIRE_EQ(0, undo_finish(over));
	return over;
}

/* What stands on the LUN after it. */
static uint8_t
back(struct disk *lun, const struct uuid *volume, bool force, int want)
{
	const struct undo_luns luns = { &lun, 1, volume };
	struct undo_result r;

	ATF_CHECK_EQ(want, undo_rollback("undo", &luns, force, &r));
	return value_of(lun);
}

static int
body_killed(void *arg)
{
	struct disk *lun = repair(true);

	(void)arg;
	ATF_CHECK_EQ(2, back(lun, &ours, false, -EAGAIN));
	ATF_CHECK_EQ(2, back(lun, &theirs, true, -VMFS_EMISCOMPARE));
	ATF_CHECK_EQ(2, back(lun, NULL, true, -VMFS_ENOTVMFS));
	ATF_CHECK_EQ(1, back(lun, &ours, true, 0));
	disk_close(lun);
	return 0;
}

ATF_TC_WITHOUT_HEAD(by_force_it_is_that_datastore);
ATF_TC_BODY(by_force_it_is_that_datastore, tc)
{
	(void)tc;
	ATF_REQUIRE_EQ(0, reactor_run_main(body_killed, NULL));
}

static int
body_ended(void *arg)
{
	struct disk *lun = repair(false);

	(void)arg;
	ATF_CHECK_EQ(2, back(lun, &theirs, false, -VMFS_EMISCOMPARE));
	fill(lun, 3);
	ATF_CHECK_EQ(3, back(lun, &ours, true, -VMFS_EMISCOMPARE));
	/* What it wrote tells as well as a superblock. */
	fill(lun, 2);
	ATF_CHECK_EQ(1, back(lun, NULL, false, 0));
	disk_close(lun);
	return 0;
}

ATF_TC_WITHOUT_HEAD(run_that_ended_knows_its_lun);
ATF_TC_BODY(run_that_ended_knows_its_lun, tc)
{
	(void)tc;
	ATF_REQUIRE_EQ(0, reactor_run_main(body_ended, NULL));
}

static int
body_further(void *arg)
{
	struct disk *lun = repair(false), *other;

	(void)arg;
	ATF_REQUIRE_EQ(0, rename("undo", "undo.1"));
	other = repair(false);
	ATF_CHECK_EQ(2, back(lun, &ours, true, -VMFS_EEXTENT));
	ATF_REQUIRE_EQ(0, unlink("undo.1"));
	ATF_CHECK_EQ(1, back(lun, &ours, false, 0));
	disk_close(lun);
	disk_close(other);
	return 0;
}

ATF_TC_WITHOUT_HEAD(file_of_a_further_lun_is_not_left_out);
ATF_TC_BODY(file_of_a_further_lun_is_not_left_out, tc)
{
	(void)tc;
	ATF_REQUIRE_EQ(0, reactor_run_main(body_further, NULL));
}

ATF_TP_ADD_TCS(tp)
{
	ATF_TP_ADD_TC(tp, by_force_it_is_that_datastore);
	ATF_TP_ADD_TC(tp, run_that_ended_knows_its_lun);
	ATF_TP_ADD_TC(tp, file_of_a_further_lun_is_not_left_out);
	return atf_no_error();
}
