/* SPDX-License-Identifier: BSD-2-Clause */
/* EXTENDED COPY of the SCSI device server. */
#include <atf-c.h>
#include <string.h>

#include "iscsi/scsi/lu.h"
#include "libvmfs/base/be.h"
#include "tests/unit/scsi_rig.h"

#define LIST_LEN (16 + 32 + 28)

static uint8_t buf[64 * RIG_BLOCK], other[64 * RIG_BLOCK];

/* A list that copies blocks inside the unit of LUN 0. */
static void
list_fill(const struct rig *r, uint8_t list[LIST_LEN], uint8_t id,
    uint64_t from, uint64_t to, uint16_t blocks)
{
	uint8_t *target = list + 16, *segment = list + 48;

	memset(list, 0, LIST_LEN);
	list[0] = id;
	be16_store(list + 2, 32);
	be32_store(list + 8, 28);
	target[0] = 0xe4;
	target[4] = 1;
	target[5] = 3;
	target[7] = 16;
	lu_naa(r->lu, target + 8);
	be24_store(target + 29, RIG_BLOCK);
	segment[0] = 0x02;
	be16_store(segment + 2, 24);
	be16_store(segment + 10, blocks);
	be64_store(segment + 12, from);
	be64_store(segment + 20, to);
}

static const uint8_t copy_cdb[16] = { 0x83, [13] = LIST_LEN };

static uint32_t
copy(const struct rig *r, uint64_t from, uint64_t to, uint16_t blocks)
{
	uint8_t list[LIST_LEN];

	list_fill(r, list, 1, from, to, blocks);
	return rig_cmd(r->nexus[0], copy_cdb, 16, list, sizeof(list));
}

static void
blocks_are_copied(struct rig *r)
{
	for (size_t i = 0; i < sizeof(buf); i++)
		buf[i] = (uint8_t)(i * 7 / 512);
	ATF_REQUIRE_EQ(RIG_GOOD, rig_write(r->nexus[0], 0, 64, buf));
	ATF_REQUIRE_EQ(RIG_GOOD, copy(r, 0, 1000, 64));
	ATF_REQUIRE_EQ(RIG_GOOD, rig_read(r->nexus[0], 1000, 64, other));
	ATF_CHECK_EQ(0, memcmp(buf, other, sizeof(buf)));
	ATF_CHECK_EQ(0x0a0000, copy(r, 0, RIG_BLOCKS - 1, 2));
}

static void
copy_status_is_kept(struct rig *r)
{
	static const uint8_t cdb[16] = { 0x84, 0x00, 1, [13] = 12 };
	uint8_t in[12];
	size_t len;

	ATF_CHECK_EQ(0x052400,
	    rig_cmd_in(r->nexus[0], cdb, 16, in, sizeof(in), &len));
	ATF_REQUIRE_EQ(RIG_GOOD, copy(r, 0, 100, 10));
	ATF_REQUIRE_EQ(RIG_GOOD,
	    rig_cmd_in(r->nexus[0], cdb, 16, in, sizeof(in), &len));
	ATF_CHECK_EQ(12, len);
	ATF_CHECK_EQ(1, in[4]);
	ATF_CHECK_EQ(1, be16_load(in + 5));
	ATF_CHECK_EQ(10 * RIG_BLOCK, be32_load(in + 8));
	ATF_CHECK_EQ(0x052400,
	    rig_cmd_in(r->nexus[1], cdb, 16, in, sizeof(in), &len));
}

static void
copy_heeds_reservations(struct rig *r)
{
	ATF_REQUIRE_EQ(RIG_GOOD, rig_pr_out(r->nexus[1], 0, 0, 0, 0xb));
	ATF_REQUIRE_EQ(RIG_GOOD, rig_pr_out(r->nexus[1], 1, 1, 0xb, 0));
	ATF_CHECK_EQ(RIG_CONFLICT, copy(r, 0, 100, 10));
	ATF_CHECK_EQ(0, r->disk.writes);
}

/* The victim's copy has read, and must not write any more. */
static void
preempted_copy_writes_nothing(struct rig *r)
{
	uint8_t list[LIST_LEN];
	struct rig_task x, p;

	ATF_REQUIRE_EQ(RIG_GOOD, rig_pr_out(r->nexus[0], 0, 0, 0, 0xa));
	ATF_REQUIRE_EQ(RIG_GOOD, rig_pr_out(r->nexus[1], 0, 0, 0, 0xb));
	list_fill(r, list, 1, 0, 100, 10);
	r->disk.hold = true;
	rig_start(&x, r->nexus[0], copy_cdb, 16, list, sizeof(list));
	rig_settle();
	ATF_REQUIRE_EQ(1, r->disk.held_count);
	rig_pr_out_start(&p, r->nexus[1], 5, 5, 0xb, 0xa);
	rig_settle();
	ATF_CHECK(!p.done);
	rig_disk_let_go(r);
	rig_wait(&p);
	ATF_CHECK(x.done);
	ATF_CHECK_EQ(SCSI_TASK_ABORTED, rig_result(&x));
	ATF_CHECK_EQ(0, r->disk.writes);
	rig_fini(&x);
	rig_fini(&p);
}

static void
tmf_fiber(void *arg)
{
	struct rig_task *x = arg;

	ATF_CHECK_EQ(SCSI_TMF_COMPLETE, scsi_tmf(x->task.nexus,
	    SCSI_TMF_ABORT_TASK, rig_lun0, x->task.tag));
}

static void
aborted_copy_writes_nothing(struct rig *r)
{
	uint8_t list[LIST_LEN];
	struct rig_task x;

	list_fill(r, list, 1, 0, 100, 10);
	r->disk.hold = true;
	rig_start(&x, r->nexus[0], copy_cdb, 16, list, sizeof(list));
	rig_settle();
	ATF_REQUIRE_EQ(1, r->disk.held_count);
	ATF_REQUIRE_EQ(0, sched_spawn(r->env.sched, "tmf", tmf_fiber, &x));
	rig_settle();
	rig_disk_let_go(r);
	rig_wait(&x);
	rig_settle();
	ATF_CHECK(x.task.aborted);
	ATF_CHECK_EQ(0, r->disk.writes);
	rig_fini(&x);
}

/* A unit attention that comes during a copy is for the initiator. */
static void
copy_leaves_unit_attentions_alone(struct rig *r)
{
	uint8_t list[LIST_LEN];
	struct rig_task x;

	list_fill(r, list, 1, 0, 100, 10);
	r->disk.hold = true;
	rig_start(&x, r->nexus[0], copy_cdb, 16, list, sizeof(list));
	rig_settle();
	r->disk.disk.info.size_bytes *= 2;
	rig_disk_let_go(r);
	rig_wait(&x);
	ATF_CHECK_EQ(RIG_GOOD, rig_result(&x));
	rig_fini(&x);
	ATF_CHECK_EQ(0x062a09, rig_tur(r->nexus[0]));
}

static void
bad_copy_lists_are_refused(struct rig *r)
{
	uint8_t list[LIST_LEN], cdb[16];

	list_fill(r, list, 1, 0, 100, 10);
	memcpy(cdb, copy_cdb, 16);
	for (uint8_t len = 1; len < LIST_LEN; len++) {
		cdb[13] = len;
		ATF_CHECK_EQ(0x051a00,
		    rig_cmd(r->nexus[0], cdb, 16, list, len));
	}
	list[16 + 9] ^= 1;
	ATF_CHECK_EQ(0x0a0804,
	    rig_cmd(r->nexus[0], copy_cdb, 16, list, LIST_LEN));
	list[16] = 0xe0;
	ATF_CHECK_EQ(0x052607,
	    rig_cmd(r->nexus[0], copy_cdb, 16, list, LIST_LEN));
	ATF_CHECK_EQ(0, r->disk.writes);
}

/* ---- EXTENDED COPY(LID4) ---- */

#define LID4_LEN (48 + 32 + 28)

static void
cdb_make(uint8_t cdb[16], uint8_t opcode, uint8_t action, uint32_t list_id,
    uint32_t length)
{
	memset(cdb, 0, 16);
	cdb[0] = opcode;
	cdb[1] = action;
	be32_store(cdb + 2, list_id);
	be32_store(cdb + 10, length);
}

static void
lid4_fill(const struct rig *r, uint8_t list[LID4_LEN], uint32_t id,
    uint16_t blocks)
{
	uint8_t *target = list + 48, *segment = list + 80;

	memset(list, 0, LID4_LEN);
	list[0] = 0x01;
	be16_store(list + 2, 32);
	list[16] = 0xff;
	be32_store(list + 20, id);
	be16_store(list + 42, 32);
	be16_store(list + 44, 28);
	target[0] = 0xe4;
	target[4] = 1;
	target[5] = 3;
	target[7] = 16;
	lu_naa(r->lu, target + 8);
	be24_store(target + 29, RIG_BLOCK);
	segment[0] = 0x02;
	be16_store(segment + 2, 24);
	be16_store(segment + 10, blocks);
	be64_store(segment + 20, 1000);
}

static void
extended_copy_with_long_identifier(struct rig *r)
{
	uint8_t list[LID4_LEN], cdb[16], in[64];
	size_t len;

	memset(buf, 0x5a, sizeof(buf));
	ATF_REQUIRE_EQ(RIG_GOOD, rig_write(r->nexus[0], 0, 64, buf));
	lid4_fill(r, list, 0x12345678, 64);
	cdb_make(cdb, 0x83, 0x01, 0, sizeof(list));
	ATF_REQUIRE_EQ(RIG_GOOD, rig_cmd(r->nexus[0], cdb, 16, list,
	    sizeof(list)));
	ATF_REQUIRE_EQ(RIG_GOOD, rig_read(r->nexus[0], 1000, 64, other));
	ATF_CHECK_EQ(0, memcmp(buf, other, sizeof(buf)));
	cdb_make(cdb, 0x84, 0x05, 0x12345678, sizeof(in));
	ATF_REQUIRE_EQ(RIG_GOOD, rig_cmd_in(r->nexus[0], cdb, 16, in,
	    sizeof(in), &len));
	ATF_CHECK_EQ(32, len);
	ATF_CHECK_EQ(0x01, in[4]);
	ATF_CHECK_EQ(0x01, in[5]);
	ATF_CHECK_EQ(0, in[15]);
	ATF_CHECK_EQ(sizeof(buf), be64_load(in + 16));
	ATF_CHECK_EQ(1, be16_load(in + 24));
}

static void
bad_lid4_lists_are_refused(struct rig *r)
{
	static const uint8_t offsets[] = { 0, 2, 16, 44, 48, 80 };
	uint8_t list[LID4_LEN], cdb[16];

	for (unsigned i = 0; i < sizeof(offsets); i++) {
		lid4_fill(r, list, 1, 64);
		list[offsets[i]] ^= 0x40;
		cdb_make(cdb, 0x83, 0x01, 0, sizeof(list));
		ATF_CHECK_EQ(0x05, rig_cmd(r->nexus[0], cdb, 16, list,
		    sizeof(list)) >> 16);
	}
	lid4_fill(r, list, 1, 64);
	for (unsigned len = 1; len < LID4_LEN; len++) {
		cdb_make(cdb, 0x83, 0x01, 0, len);
		ATF_CHECK_EQ(0x051a00,
		    rig_cmd(r->nexus[0], cdb, 16, list, len));
	}
	list[1] = 3 << 3;
	cdb_make(cdb, 0x83, 0x01, 0, sizeof(list));
	ATF_CHECK_EQ(0x052600, rig_cmd(r->nexus[0], cdb, 16, list,
	    sizeof(list)));
	ATF_CHECK_EQ(0, r->disk.writes);
}

RIG_TEST(blocks, NULL, blocks_are_copied, "blocks are copied")
RIG_TEST(status, NULL, copy_status_is_kept,
    "the status of a copy is kept for its initiator")
RIG_TEST(reservation, NULL, copy_heeds_reservations,
    "a copy heeds reservations")
RIG_TEST(preempted, NULL, preempted_copy_writes_nothing,
    "the copy of a preempted initiator writes nothing")
RIG_TEST(aborted, NULL, aborted_copy_writes_nothing,
    "an aborted copy writes nothing more")
RIG_TEST(attention, NULL, copy_leaves_unit_attentions_alone,
    "a copy leaves unit attentions to the initiator")
RIG_TEST(bad_lists, NULL, bad_copy_lists_are_refused,
    "bad parameter lists are refused")
RIG_TEST(lid4, NULL, extended_copy_with_long_identifier,
    "EXTENDED COPY(LID4) copies and keeps its status")
RIG_TEST(lid4_bad, NULL, bad_lid4_lists_are_refused,
    "bad lists of EXTENDED COPY(LID4) are refused")

ATF_TP_ADD_TCS(tp)
{
	ATF_TP_ADD_TC(tp, blocks);
	ATF_TP_ADD_TC(tp, status);
	ATF_TP_ADD_TC(tp, reservation);
	ATF_TP_ADD_TC(tp, preempted);
	ATF_TP_ADD_TC(tp, aborted);
	ATF_TP_ADD_TC(tp, attention);
	ATF_TP_ADD_TC(tp, bad_lists);
	ATF_TP_ADD_TC(tp, lid4);
	ATF_TP_ADD_TC(tp, lid4_bad);
	return atf_no_error();
}
