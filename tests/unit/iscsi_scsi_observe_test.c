/* SPDX-License-Identifier: BSD-2-Clause */
/* What a unit tells of commands that write: who, where, and what became. */
#include <atf-c.h>
#include <string.h>

#include "libvmfs/base/be.h"
#include "tests/unit/scsi_rig.h"

enum { RESERVE = 1, PREEMPT_AND_ABORT = 5, REGISTER_AND_IGNORE = 6 };
enum { WERO = 5 };
#define SEEN_MAX 16

static struct scsi_change seen[SEEN_MAX];
static unsigned seen_count;

static void
see(void *arg, const struct scsi_change *ch)
{
	ATF_REQUIRE(arg == seen);
	ATF_REQUIRE(seen_count < SEEN_MAX);
	seen[seen_count++] = *ch;
}

static void
watch(struct rig *r)
{
	r->conf.on_change = see;
	r->conf.on_change_arg = seen;
}

static const struct scsi_change *
only(void)
{
	ATF_REQUIRE_EQ_MSG(1, seen_count, "%u were told", seen_count);
	seen_count = 0;
	return &seen[0];
}

static void
body_written(struct rig *r)
{
	static const uint8_t data[2 * RIG_BLOCK];
	const struct scsi_change *ch;

	ATF_REQUIRE_EQ(RIG_GOOD, rig_write(r->nexus[1], 7, 2, data));
	ch = only();
	ATF_REQUIRE(strstr(ch->initiator_port, "host1,i,0x00023d000001"));
	ATF_REQUIRE_STREQ(RIG_IQN, ch->target);
	ATF_REQUIRE_EQ(0, ch->lun);
	ATF_REQUIRE_STREQ("WRITE(16)", ch->command);
	ATF_REQUIRE_EQ(7, ch->lba);
	ATF_REQUIRE_EQ(2, ch->blocks);
	ATF_REQUIRE_EQ(SCSI_GOOD, ch->status);
	ATF_REQUIRE_EQ(SCSI_CHANGE_ACCEPTED, ch->fate);
}
RIG_TEST(a_write_is_told_with_its_writer, watch, body_written,
    "initiator port, target, command, extent, status")

static void
body_read(struct rig *r)
{
	uint8_t data[RIG_BLOCK];

	ATF_REQUIRE_EQ(RIG_GOOD, rig_read(r->nexus[0], 0, 1, data));
	ATF_REQUIRE_EQ(RIG_GOOD, rig_tur(r->nexus[0]));
	ATF_REQUIRE_EQ(0, seen_count);
}
RIG_TEST(what_only_reads_is_not_told, watch, body_read,
    "READ and TEST UNIT READY")

static void
body_extents(struct rig *r)
{
	static const uint8_t data[2 * RIG_BLOCK];
	uint8_t list[8 + 32] = { 0 };
	uint8_t unmap[10] = { 0x42, 0, 0, 0, 0, 0, 0, 0, sizeof(list), 0 };

	ATF_REQUIRE_EQ(RIG_GOOD, rig_caw(r->nexus[0], 9, 1, data));
	ATF_REQUIRE_EQ(9, seen[0].lba);
	ATF_REQUIRE_EQ(1, only()->blocks);
	be16_store(list, sizeof(list) - 2);
	be16_store(list + 2, 32);
	be64_store(list + 8, 100);
	be32_store(list + 16, 3);
	be64_store(list + 24, 200);
	be32_store(list + 32, 4);
	ATF_REQUIRE_EQ(RIG_GOOD, rig_cmd(r->nexus[0], unmap, sizeof(unmap),
	    list, sizeof(list)));
	ATF_REQUIRE_EQ(100, seen[0].lba);
	ATF_REQUIRE_EQ(7, only()->blocks);
}
RIG_TEST(extents_of_every_form_are_read, watch, body_extents,
    "COMPARE AND WRITE has one byte for its length, UNMAP a list")

static void
body_fence(struct rig *r)
{
	static const uint8_t data[RIG_BLOCK];
	struct rig_task late;
	struct scsi_nexus_stats st;
	struct rig_task fence;

	for (unsigned i = 0; i < 2; i++)
		ATF_REQUIRE_EQ(RIG_GOOD, rig_pr_out(r->nexus[i],
		    REGISTER_AND_IGNORE, 0, 0, 0x10 + i));
	ATF_REQUIRE_EQ(RIG_GOOD, rig_pr_out(r->nexus[0], RESERVE, WERO, 0x10,
	    0));
	seen_count = 0;
	r->disk.hold = true;
	rig_start(&late, r->nexus[1], rig_cdb16(0x8a, 5, 1), 16, data,
	    sizeof(data));
	rig_settle();
	r->disk.hold = false;
	rig_pr_out_start(&fence, r->nexus[0], PREEMPT_AND_ABORT, WERO, 0x10,
	    0x11);
	rig_settle();
	ATF_REQUIRE_EQ(0, seen_count);
	rig_disk_let_go(r);
	rig_wait(&late);
	rig_wait(&fence);
	rig_fini(&late);
	rig_fini(&fence);
	(void)rig_tur(r->nexus[1]);
	ATF_REQUIRE_EQ(RIG_CONFLICT, rig_write(r->nexus[1], 5, 1, data));
	ATF_REQUIRE_EQ(3, seen_count);
	ATF_REQUIRE_EQ(SCSI_CHANGE_ABORTED, seen[0].fate);
	ATF_REQUIRE_EQ(0x11, seen[1].sa_key);
	ATF_REQUIRE_EQ(SCSI_CHANGE_ACCEPTED, seen[1].fate);
	ATF_REQUIRE_EQ(SCSI_CHANGE_REFUSED, seen[2].fate);
	ATF_REQUIRE_EQ(SCSI_RESERVATION_CONFLICT, seen[2].status);
	scsi_nexus_stats(r->nexus[1], &st);
	ATF_REQUIRE_EQ(1, st.writes);
	ATF_REQUIRE_EQ(1, st.conflicts);
}
RIG_TEST(a_fence_is_told_after_what_it_ended, watch, body_fence,
    "the write in flight, then the fence, then the write that is refused")

ATF_TP_ADD_TCS(tp)
{
	ATF_TP_ADD_TC(tp, a_write_is_told_with_its_writer);
	ATF_TP_ADD_TC(tp, what_only_reads_is_not_told);
	ATF_TP_ADD_TC(tp, extents_of_every_form_are_read);
	ATF_TP_ADD_TC(tp, a_fence_is_told_after_what_it_ended);
	return atf_no_error();
}
