/* SPDX-License-Identifier: BSD-2-Clause */
/* Block commands of the SCSI device server. */
#include <atf-c.h>
#include <string.h>

#include "iscsi/scsi/nexus.h"
#include "libvmfs/base/be.h"
#include "tests/unit/scsi_rig.h"

static uint8_t buf[64 * RIG_BLOCK], other[64 * RIG_BLOCK];

static void
written_blocks_read_back(struct rig *r)
{
	memset(buf, 0xa5, sizeof(buf));
	ATF_REQUIRE_EQ(RIG_GOOD, rig_write(r->nexus[0], 7, 3, buf));
	ATF_REQUIRE_EQ(RIG_GOOD, rig_read(r->nexus[1], 6, 5, other));
	ATF_CHECK_EQ(0, other[RIG_BLOCK - 1]);
	ATF_CHECK_EQ(0, memcmp(buf, other + RIG_BLOCK, 3 * RIG_BLOCK));
	ATF_CHECK_EQ(0, other[4 * RIG_BLOCK]);
}

static void
blocks_beyond_the_end_are_refused(struct rig *r)
{
	ATF_CHECK_EQ(RIG_GOOD, rig_read(r->nexus[0], RIG_BLOCKS - 1, 1, buf));
	ATF_CHECK_EQ(0x052100, rig_read(r->nexus[0], RIG_BLOCKS, 1, buf));
	ATF_CHECK_EQ(0x052100, rig_read(r->nexus[0], RIG_BLOCKS - 1, 2, buf));
	ATF_CHECK_EQ(0x052100, rig_read(r->nexus[0], RIG_BLOCKS + 1, 0, buf));
	ATF_CHECK_EQ(0x052100, rig_write(r->nexus[0], UINT64_MAX, 1, buf));
	ATF_CHECK_EQ(0, r->disk.writes);
}

static void
transfers_are_limited(struct rig *r)
{
	ATF_CHECK_EQ(0x052100,
	    rig_read(r->nexus[0], 0, UINT32_MAX, NULL));
	r->disk.disk.info.size_bytes = 1ULL << 42;
	ATF_REQUIRE_EQ(0x062a09, rig_tur(r->nexus[0]));
	ATF_CHECK_EQ(0x052400,
	    rig_read(r->nexus[0], 0, UINT32_MAX, NULL));
}

/* What a read holds counts until the transport lets go of the task. */
static void
buffers_are_limited(struct rig *r)
{
	struct rig_task t;

	r->target->buffered = TARGET_BUFFERED_MAX - 2 * RIG_BLOCK;
	r->nexus[0]->data->bytes = NEXUS_BUFFERED_FREE;
	r->nexus[1]->data->bytes = NEXUS_BUFFERED_FREE;
	ATF_CHECK_EQ(SCSI_TASK_SET_FULL, rig_read(r->nexus[0], 0, 3, buf));
	rig_start(&t, r->nexus[0], rig_cdb16(0x88, 0, 2), 16, NULL, 0);
	rig_wait(&t);
	ATF_CHECK_EQ(SCSI_TASK_SET_FULL, rig_read(r->nexus[1], 0, 1, buf));
	/* Its own share is still free. */
	ATF_CHECK_EQ(RIG_GOOD, rig_read(r->nexus[2], 0, 1, buf));
	rig_fini(&t);
	ATF_CHECK_EQ(RIG_GOOD, rig_read(r->nexus[1], 0, 2, buf));
}

static void
protection_is_refused(struct rig *r)
{
	uint8_t cdb[16];

	memcpy(cdb, rig_cdb16(0x88, 0, 1), 16);
	cdb[1] = 0x20;
	ATF_CHECK_EQ(0x052400, rig_cmd(r->nexus[0], cdb, 16, NULL, 0));
}

static void
short_data_out_writes_whole_blocks_of_it(struct rig *r)
{
	memset(buf, 0x11, sizeof(buf));
	ATF_REQUIRE_EQ(RIG_GOOD, rig_cmd(r->nexus[0], rig_cdb16(0x8a, 0, 2), 16,
	    buf, RIG_BLOCK + 10));
	ATF_REQUIRE_EQ(RIG_GOOD, rig_read(r->nexus[0], 0, 2, other));
	ATF_CHECK_EQ(0x11, other[RIG_BLOCK - 1]);
	ATF_CHECK_EQ(0, other[RIG_BLOCK]);
}

static void
set_small_transfers(struct rig *r)
{
	r->disk.disk.info.max_transfer = 2 * RIG_BLOCK;
}

static void
long_transfers_are_split(struct rig *r)
{
	for (size_t i = 0; i < sizeof(buf); i++)
		buf[i] = (uint8_t)(i / 100);
	ATF_REQUIRE_EQ(RIG_GOOD, rig_write(r->nexus[0], 100, 7, buf));
	ATF_REQUIRE_EQ(4, r->disk.writes);
	ATF_REQUIRE_EQ(RIG_GOOD, rig_read(r->nexus[0], 100, 7, other));
	ATF_CHECK_EQ(0, memcmp(buf, other, 7 * RIG_BLOCK));
}

static void
verify_compares(struct rig *r)
{
	uint8_t cdb[16];

	memset(buf, 0x3c, sizeof(buf));
	ATF_REQUIRE_EQ(RIG_GOOD, rig_write(r->nexus[0], 0, 4, buf));
	memcpy(cdb, rig_cdb16(0x8f, 0, 4), 16);
	cdb[1] = 0x02;
	ATF_CHECK_EQ(RIG_GOOD,
	    rig_cmd(r->nexus[0], cdb, 16, buf, 4 * RIG_BLOCK));
	buf[700] ^= 1;
	ATF_CHECK_EQ(0x0e1d00,
	    rig_cmd(r->nexus[0], cdb, 16, buf, 4 * RIG_BLOCK));
	cdb[1] = 0;
	ATF_CHECK_EQ(RIG_GOOD, rig_cmd(r->nexus[0], cdb, 16, NULL, 0));
}

/* ---- WRITE SAME, UNMAP ---- */

static void
write_same_repeats_a_block(struct rig *r)
{
	memset(buf, 0x77, RIG_BLOCK);
	ATF_REQUIRE_EQ(RIG_GOOD, rig_cmd(r->nexus[0],
	    rig_cdb16(0x93, 10, 40), 16, buf, RIG_BLOCK));
	ATF_REQUIRE_EQ(RIG_GOOD, rig_read(r->nexus[0], 9, 42, other));
	ATF_CHECK_EQ(0, other[0]);
	for (size_t i = RIG_BLOCK; i < 41 * RIG_BLOCK; i++)
		ATF_REQUIRE_EQ(0x77, other[i]);
	ATF_CHECK_EQ(0, other[41 * RIG_BLOCK]);
}

static void
write_same_without_data_zeroes(struct rig *r)
{
	uint8_t cdb[16];

	memset(buf, 0x77, sizeof(buf));
	ATF_REQUIRE_EQ(RIG_GOOD, rig_write(r->nexus[0], 0, 8, buf));
	memcpy(cdb, rig_cdb16(0x93, 1, 6), 16);
	cdb[1] = 0x01;
	ATF_REQUIRE_EQ(RIG_GOOD, rig_cmd(r->nexus[0], cdb, 16, NULL, 0));
	ATF_REQUIRE_EQ(RIG_GOOD, rig_read(r->nexus[0], 0, 8, other));
	ATF_CHECK_EQ(0x77, other[RIG_BLOCK - 1]);
	ATF_CHECK_EQ(0, other[RIG_BLOCK]);
	ATF_CHECK_EQ(0, other[7 * RIG_BLOCK - 1]);
	ATF_CHECK_EQ(0x77, other[7 * RIG_BLOCK]);
}

static uint32_t
unmap(struct rig *r, uint64_t lba, uint32_t blocks)
{
	static const uint8_t cdb[10] = { 0x42, 0, 0, 0, 0, 0, 0, 0, 24, 0 };
	uint8_t list[24] = { 0, 22, 0, 16 };

	be64_store(list + 8, lba);
	be32_store(list + 16, blocks);
	return rig_cmd(r->nexus[0], cdb, 10, list, sizeof(list));
}

static void
unmapped_blocks_read_zeroes(struct rig *r)
{
	memset(buf, 0x77, sizeof(buf));
	ATF_REQUIRE_EQ(RIG_GOOD, rig_write(r->nexus[0], 0, 4, buf));
	ATF_REQUIRE_EQ(RIG_GOOD, unmap(r, 1, 2));
	ATF_REQUIRE_EQ(RIG_GOOD, rig_read(r->nexus[0], 0, 4, other));
	ATF_CHECK_EQ(0x77, other[0]);
	ATF_CHECK_EQ(0, other[RIG_BLOCK]);
	ATF_CHECK_EQ(0, other[3 * RIG_BLOCK - 1]);
	ATF_CHECK_EQ(0x77, other[3 * RIG_BLOCK]);
	ATF_CHECK_EQ(RIG_GOOD, unmap(r, RIG_BLOCKS, 0));
	ATF_CHECK_EQ(0x052100, unmap(r, RIG_BLOCKS, 1));
}

/* ---- COMPARE AND WRITE ---- */

static void
compare_and_write_writes_what_matched(struct rig *r)
{
	memset(buf, 0, 3 * RIG_BLOCK);
	memset(buf + 3 * RIG_BLOCK, 0x42, 3 * RIG_BLOCK);
	ATF_REQUIRE_EQ(RIG_GOOD, rig_caw(r->nexus[0], 20, 3, buf));
	ATF_REQUIRE_EQ(RIG_GOOD, rig_read(r->nexus[0], 20, 3, other));
	ATF_CHECK_EQ(0, memcmp(other, buf + 3 * RIG_BLOCK, 3 * RIG_BLOCK));
}

static void
miscompare_tells_the_offset_and_writes_nothing(struct rig *r)
{
	struct rig_task t;
	uint8_t cdb[16];

	memset(buf, 0, 4 * RIG_BLOCK);
	buf[777] = 1;
	memcpy(cdb, rig_cdb16(0x89, 0, 2), 16);
	rig_start(&t, r->nexus[0], cdb, 16, buf, 4 * RIG_BLOCK);
	rig_wait(&t);
	ATF_CHECK_EQ(0x0e1d00, rig_result(&t));
	ATF_CHECK_EQ(0xf0, t.task.sense[0]);
	ATF_CHECK_EQ(777, be32_load(t.task.sense + 3));
	rig_fini(&t);
	ATF_REQUIRE_EQ(RIG_GOOD, rig_read(r->nexus[0], 0, 2, other));
	ATF_CHECK_EQ(0, other[777]);
}

static void
set_no_caw(struct rig *r)
{
	r->disk.disk.info.caps &= ~(unsigned)DISK_CAP_CAW;
}

static void
compare_and_write_has_a_limit(struct rig *r)
{
	static uint8_t data[2 * 255 * RIG_BLOCK];

	ATF_CHECK_EQ(RIG_GOOD, rig_caw(r->nexus[0], 0, 128, data));
	ATF_CHECK_EQ(0x052400, rig_caw(r->nexus[0], 0, 129, data));
}

static void
set_tiny_caw(struct rig *r)
{
	r->conf.block_size = 4096;
	r->disk.disk.info.max_caw = RIG_BLOCK;
}

static void
compare_and_write_too_small_is_not_offered(struct rig *r)
{
	uint8_t data[2 * RIG_BLOCK] = { 0 };

	ATF_CHECK_EQ(0x052000, rig_caw(r->nexus[0], 0, 1, data));
}

static uint64_t
latency_sum(const uint64_t latency[IO_LATENCY_BUCKETS])
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < IO_LATENCY_BUCKETS; i++)
		sum += latency[i];
	return sum;
}

static void
commands_are_counted(struct rig *r)
{
	struct io_stats before, after;

	scsi_lu_stats(r->lu, &before);
	ATF_REQUIRE_EQ(RIG_GOOD, rig_write(r->nexus[0], 0, 3, buf));
	ATF_REQUIRE_EQ(RIG_GOOD, rig_read(r->nexus[0], 0, 2, buf));
	ATF_REQUIRE_EQ(RIG_GOOD, rig_tur(r->nexus[0]));
	ATF_REQUIRE_EQ(0x052100, rig_read(r->nexus[0], RIG_BLOCKS, 1, buf));
	scsi_lu_stats(r->lu, &after);
	ATF_CHECK_EQ(1, after.writes - before.writes);
	ATF_CHECK_EQ(2, after.reads - before.reads);
	ATF_CHECK_EQ(1, after.other - before.other);
	ATF_CHECK_EQ(1, after.errors - before.errors);
	ATF_CHECK_EQ(3 * RIG_BLOCK, after.write_bytes - before.write_bytes);
	ATF_CHECK_EQ(2 * RIG_BLOCK, after.read_bytes - before.read_bytes);
	ATF_CHECK(after.write_ns > before.write_ns);
	ATF_CHECK_EQ(after.writes, latency_sum(after.write_latency));
	ATF_CHECK_EQ(after.reads, latency_sum(after.read_latency));
}

/* Those of a unit outlive the session and the view that made them. */
static void
counters_outlive_a_session(struct rig *r)
{
	struct scsi_view none = { 0 };
	struct io_stats before, after;
	struct scsi_nexus_stats own;
	struct scsi_nexus *n;

	ATF_REQUIRE_EQ(0, scsi_nexus_open(r->target, "iqn.x", "iqn.x,i,0x1",
	    &n));
	ATF_REQUIRE_EQ(0x062900, rig_tur(n));
	scsi_lu_stats(r->lu, &before);
	ATF_REQUIRE_EQ(RIG_GOOD, rig_write(n, 0, 3, buf));
	ATF_REQUIRE_EQ(0, scsi_nexus_set_view(n, &none));
	scsi_nexus_stats(n, &own);
	ATF_CHECK_EQ(1, own.writes);
	ATF_CHECK_EQ(3 * RIG_BLOCK, own.io.write_bytes);
	scsi_lu_stats(r->lu, &after);
	ATF_CHECK_EQ(1, after.writes - before.writes);
	scsi_nexus_close(n);
	scsi_lu_stats(r->lu, &after);
	ATF_CHECK_EQ(1, after.writes - before.writes);
	ATF_CHECK_EQ(3 * RIG_BLOCK, after.write_bytes - before.write_bytes);
}

/* While a write is in flight, a CAW of its blocks waits, others do not. */
static void
compare_and_write_waits_for_writes_of_its_blocks(struct rig *r)
{
	struct rig_task w, c, d;
	uint8_t cdb[16];

	memset(buf, 0x99, 2 * RIG_BLOCK);
	memset(other, 0, 2 * RIG_BLOCK);
	r->disk.hold = true;
	rig_start(&w, r->nexus[0], rig_cdb16(0x8a, 5, 1), 16, buf, RIG_BLOCK);
	memcpy(cdb, rig_cdb16(0x89, 5, 1), 16);
	rig_start(&c, r->nexus[1], cdb, 16, other, 2 * RIG_BLOCK);
	rig_settle();
	ATF_CHECK_EQ(1, r->disk.held_count);
	rig_start(&d, r->nexus[1], rig_cdb16(0x89, 6, 1), 16, other,
	    2 * RIG_BLOCK);
	rig_settle();
	ATF_CHECK_EQ(2, r->disk.held_count);
	rig_disk_let_go(r);
	rig_wait(&w);
	rig_wait(&c);
	rig_wait(&d);
	ATF_CHECK_EQ(RIG_GOOD, rig_result(&w));
	ATF_CHECK_EQ(0x0e1d00, rig_result(&c));
	ATF_CHECK_EQ(RIG_GOOD, rig_result(&d));
	rig_fini(&w);
	rig_fini(&c);
	rig_fini(&d);
}

/* ---- errors of the disk ---- */

static uint32_t
write_error(struct rig *r, int error)
{
	uint32_t result;

	r->disk.error = error;
	result = rig_write(r->nexus[0], 0, 1, buf);
	r->disk.error = 0;
	return result;
}

static void
disk_errors_become_sense(struct rig *r)
{
	ATF_CHECK_EQ(0x072707, write_error(r, -ENOSPC));
	ATF_CHECK_EQ(0x072700, write_error(r, -EROFS));
	ATF_CHECK_EQ(0x052500, write_error(r, -VMFS_EGONE));
	ATF_CHECK_EQ(0x030c00, write_error(r, -EIO));
	ATF_CHECK_EQ(RIG_CONFLICT, write_error(r, -VMFS_ECONFLICT));
	r->disk.error = -EIO;
	ATF_CHECK_EQ(0x031100, rig_read(r->nexus[0], 0, 1, buf));
}

static void
set_readonly(struct rig *r)
{
	r->conf.readonly = true;
}

static void
read_only_unit_refuses_writes(struct rig *r)
{
	ATF_CHECK_EQ(0x072700, rig_write(r->nexus[0], 0, 1, buf));
	ATF_CHECK_EQ(0x072700, rig_caw(r->nexus[0], 0, 1, buf));
	ATF_CHECK_EQ(0x072700, unmap(r, 0, 1));
	ATF_CHECK_EQ(RIG_GOOD, rig_read(r->nexus[0], 0, 1, buf));
	ATF_CHECK_EQ(0, r->disk.writes);
}

RIG_TEST(read_back, NULL, written_blocks_read_back, "written blocks read back")
RIG_TEST(beyond_end, NULL, blocks_beyond_the_end_are_refused,
    "blocks beyond the end are refused")
RIG_TEST(transfer_limit, NULL, transfers_are_limited,
    "too long transfers are refused")
RIG_TEST(buffers, NULL, buffers_are_limited,
    "data-in that waits to be sent is limited")
RIG_TEST(protection, NULL, protection_is_refused,
    "protection information is refused")
RIG_TEST(short_data, NULL, short_data_out_writes_whole_blocks_of_it,
    "short data-out writes the whole blocks of it")
RIG_TEST(split, set_small_transfers, long_transfers_are_split,
    "transfers are split as the disk needs it")
RIG_TEST(verify, NULL, verify_compares, "VERIFY with BYTCHK compares")
RIG_TEST(same, NULL, write_same_repeats_a_block, "WRITE SAME repeats a block")
RIG_TEST(same_ndob, NULL, write_same_without_data_zeroes,
    "WRITE SAME with NDOB zeroes")
RIG_TEST(unmap_zeroes, NULL, unmapped_blocks_read_zeroes,
    "unmapped blocks read zeroes")
RIG_TEST(caw, NULL, compare_and_write_writes_what_matched,
    "COMPARE AND WRITE writes where all matched")
RIG_TEST(caw_miscompare, NULL, miscompare_tells_the_offset_and_writes_nothing,
    "a miscompare tells its offset and writes nothing")
RIG_TEST(caw_by_hand, set_no_caw, compare_and_write_writes_what_matched,
    "COMPARE AND WRITE works on disks that have none")
RIG_TEST(caw_by_hand_miscompare, set_no_caw,
    miscompare_tells_the_offset_and_writes_nothing,
    "a miscompare is found on disks without compare and write")
RIG_TEST(caw_limit, set_no_caw, compare_and_write_has_a_limit,
    "COMPARE AND WRITE beyond its limit is refused")
RIG_TEST(caw_tiny, set_tiny_caw, compare_and_write_too_small_is_not_offered,
    "COMPARE AND WRITE of less than a block is not offered")
RIG_TEST(stats, NULL, commands_are_counted, "commands are counted")
RIG_TEST(stats_outlive_a_session, NULL, counters_outlive_a_session,
    "counters of a unit never fall")
RIG_TEST(caw_order, set_no_caw,
    compare_and_write_waits_for_writes_of_its_blocks,
    "COMPARE AND WRITE waits for writes of its blocks only")
RIG_TEST(disk_errors, NULL, disk_errors_become_sense,
    "errors of the disk become sense data")
RIG_TEST(readonly, set_readonly, read_only_unit_refuses_writes,
    "a read-only unit refuses writes")

ATF_TP_ADD_TCS(tp)
{
	ATF_TP_ADD_TC(tp, read_back);
	ATF_TP_ADD_TC(tp, beyond_end);
	ATF_TP_ADD_TC(tp, transfer_limit);
	ATF_TP_ADD_TC(tp, buffers);
	ATF_TP_ADD_TC(tp, protection);
	ATF_TP_ADD_TC(tp, short_data);
	ATF_TP_ADD_TC(tp, split);
	ATF_TP_ADD_TC(tp, verify);
	ATF_TP_ADD_TC(tp, same);
	ATF_TP_ADD_TC(tp, same_ndob);
	ATF_TP_ADD_TC(tp, unmap_zeroes);
	ATF_TP_ADD_TC(tp, caw);
	ATF_TP_ADD_TC(tp, caw_miscompare);
	ATF_TP_ADD_TC(tp, caw_by_hand);
	ATF_TP_ADD_TC(tp, caw_by_hand_miscompare);
	ATF_TP_ADD_TC(tp, caw_limit);
	ATF_TP_ADD_TC(tp, caw_tiny);
	ATF_TP_ADD_TC(tp, stats);
	ATF_TP_ADD_TC(tp, stats_outlive_a_session);
	ATF_TP_ADD_TC(tp, caw_order);
	ATF_TP_ADD_TC(tp, disk_errors);
	ATF_TP_ADD_TC(tp, readonly);
	return atf_no_error();
}
