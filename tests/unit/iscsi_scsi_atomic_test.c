/* SPDX-License-Identifier: BSD-2-Clause */
/* WRITE ATOMIC, and WRITE SAME to the end of the unit. */
#include <atf-c.h>
#include <string.h>

#include "libvmfs/base/be.h"
#include "tests/unit/scsi_rig.h"

#define ATOMIC 0x9c

static uint8_t buf[64 * RIG_BLOCK], other[64 * RIG_BLOCK];

static uint32_t
write_atomic(struct rig *r, uint64_t lba, uint16_t blocks)
{
	return rig_cmd(r->nexus[0], rig_cdb16(ATOMIC, lba, blocks), 16, buf,
	    (size_t)blocks * RIG_BLOCK);
}

static void
atomic_writes_are_read_back(struct rig *r)
{
	memset(buf, 0x3a, sizeof(buf));
	ATF_REQUIRE_EQ(RIG_GOOD, write_atomic(r, 8, 16));
	ATF_REQUIRE_EQ(RIG_GOOD, rig_read(r->nexus[1], 0, 32, other));
	ATF_CHECK_EQ(0, other[8 * RIG_BLOCK - 1]);
	ATF_CHECK_EQ(0, memcmp(buf, other + 8 * RIG_BLOCK, 16 * RIG_BLOCK));
	ATF_CHECK_EQ(0, other[24 * RIG_BLOCK]);
	ATF_CHECK_EQ(RIG_GOOD, write_atomic(r, 0, 0));
}

static void
set_small(struct rig *r)
{
	r->disk.disk.info.max_atomic = 9 * 4096 + 512;
}

static void
limits_are_told_and_kept(struct rig *r)
{
	uint8_t cdb[16] = { 0x12, 1, 0xb0, 0, 255 };
	size_t len;

	ATF_REQUIRE_EQ(RIG_GOOD, rig_cmd_in(r->nexus[0], cdb, 6, other,
	    sizeof(other), &len));
	ATF_CHECK_EQ(72, be32_load(other + 44));
	ATF_CHECK_EQ(8, be32_load(other + 48));
	ATF_CHECK_EQ(8, be32_load(other + 52));
	ATF_CHECK_EQ(0x052400, write_atomic(r, 8, 80));
	ATF_CHECK_EQ(0x052400, write_atomic(r, 8, 4));
	ATF_CHECK_EQ(0x052400, write_atomic(r, 4, 8));
	ATF_CHECK_EQ(0x052100, write_atomic(r, RIG_BLOCKS, 8));
	memcpy(cdb, rig_cdb16(ATOMIC, 0, 8), 16);
	cdb[11] = 1;			/* ATOMIC BOUNDARY */
	ATF_CHECK_EQ(0x052400,
	    rig_cmd(r->nexus[0], cdb, 16, buf, 8 * RIG_BLOCK));
	cdb[11] = 0;
	ATF_CHECK_EQ(0x050e03,
	    rig_cmd(r->nexus[0], cdb, 16, buf, 4 * RIG_BLOCK));
	ATF_CHECK_EQ(0, r->disk.writes);
}

static void
set_none(struct rig *r)
{
	r->disk.disk.info.max_atomic = 0;
}

static void
unknown_disks_offer_none(struct rig *r)
{
	uint8_t cdb[6] = { 0x12, 1, 0xb0, 0, 255 };
	size_t len;

	ATF_CHECK_EQ(0x052000, write_atomic(r, 0, 8));
	ATF_REQUIRE_EQ(RIG_GOOD, rig_cmd_in(r->nexus[0], cdb, 6, other,
	    sizeof(other), &len));
	ATF_CHECK_EQ(0, be32_load(other + 44));
}

/* A read under way, the atomic write, a plain write and another read. */
static void
no_other_command_comes_between(struct rig *r)
{
	static const uint8_t read_10_8[10] = { 0x28, 0, 0, 0, 0, 12, 0, 0, 8 };
	static const uint8_t write_10_1[10] = { 0x2a, 0, 0, 0, 0, 9, 0, 0, 1 };
	struct rig_task before, atomic, write, after;

	memset(buf, 0x11, sizeof(buf));
	r->disk.hold = true;
	rig_start(&before, r->nexus[0], read_10_8, 10, NULL, 0);
	rig_settle();
	rig_start(&atomic, r->nexus[1], rig_cdb16(ATOMIC, 8, 8), 16, buf,
	    8 * RIG_BLOCK);
	rig_settle();
	ATF_CHECK_EQ(1, r->disk.held_count);
	rig_disk_let_go_one(r, 0);
	rig_wait(&before);
	rig_settle();
	ATF_REQUIRE_EQ(1, r->disk.held_count);
	ATF_REQUIRE_EQ(DISK_WRITE, r->disk.held[0]->op);
	rig_start(&write, r->nexus[2], write_10_1, 10, buf, RIG_BLOCK);
	rig_start(&after, r->nexus[0], read_10_8, 10, NULL, 0);
	rig_settle();
	ATF_CHECK_EQ(1, r->disk.held_count);
	rig_disk_let_go(r);
	rig_wait(&atomic);
	rig_wait(&write);
	rig_wait(&after);
	ATF_CHECK_EQ(0, before.task.data_in[0]);
	ATF_CHECK_EQ(0x11, after.task.data_in[4 * RIG_BLOCK - 1]);
	rig_fini(&before);
	rig_fini(&atomic);
	rig_fini(&write);
	rig_fini(&after);
}

/* ---- WRITE SAME ---- */

static uint32_t
write_same(struct rig *r, uint64_t lba, uint32_t blocks)
{
	return rig_cmd(r->nexus[0], rig_cdb16(0x93, lba, blocks), 16, buf,
	    RIG_BLOCK);
}

static void
set_to_end(struct rig *r)
{
	r->conf.same_to_end = true;
}

static void
zero_blocks_are_all_to_the_end(struct rig *r)
{
	memset(buf, 0x77, sizeof(buf));
	ATF_REQUIRE_EQ(RIG_GOOD, write_same(r, RIG_BLOCKS - 20, 0));
	ATF_REQUIRE_EQ(RIG_GOOD,
	    rig_read(r->nexus[0], RIG_BLOCKS - 21, 21, other));
	ATF_CHECK_EQ(0, other[RIG_BLOCK - 1]);
	for (size_t i = RIG_BLOCK; i < 21 * RIG_BLOCK; i++)
		ATF_REQUIRE_EQ(0x77, other[i]);
	ATF_CHECK_EQ(0x052100, write_same(r, RIG_BLOCKS, 0));
	memset(buf, 0, sizeof(buf));
	ATF_REQUIRE_EQ(RIG_GOOD, write_same(r, 0, 0));
	ATF_REQUIRE_EQ(RIG_GOOD,
	    rig_read(r->nexus[0], RIG_BLOCKS - 20, 20, other));
	ATF_CHECK_EQ(0, other[0]);
}

static void
zero_blocks_are_refused(struct rig *r)
{
	ATF_CHECK_EQ(0x052400, write_same(r, 0, 0));
	ATF_CHECK_EQ(0, r->disk.writes);
}

RIG_TEST(read_back, NULL, atomic_writes_are_read_back,
    "what WRITE ATOMIC writes is read back")
RIG_TEST(limits, set_small, limits_are_told_and_kept,
    "limits of WRITE ATOMIC are told and kept")
RIG_TEST(none, set_none, unknown_disks_offer_none,
    "a disk that promises nothing gets no WRITE ATOMIC")
RIG_TEST(between, NULL, no_other_command_comes_between,
    "no read or write comes between the blocks of WRITE ATOMIC")
RIG_TEST(to_end, set_to_end, zero_blocks_are_all_to_the_end,
    "WRITE SAME of 0 blocks goes to the end where that is wanted")
RIG_TEST(not_zero, NULL, zero_blocks_are_refused,
    "WRITE SAME of 0 blocks is refused otherwise")

ATF_TP_ADD_TCS(tp)
{
	ATF_TP_ADD_TC(tp, read_back);
	ATF_TP_ADD_TC(tp, limits);
	ATF_TP_ADD_TC(tp, none);
	ATF_TP_ADD_TC(tp, between);
	ATF_TP_ADD_TC(tp, to_end);
	ATF_TP_ADD_TC(tp, not_zero);
	return atf_no_error();
}
