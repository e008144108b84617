/* SPDX-License-Identifier: BSD-2-Clause */
/* Commands every device has: INQUIRY, mode pages, opcodes, broken CDBs. */
#include <atf-c.h>
#include <string.h>

#include "iscsi/scsi/cdb.h"
#include "libvmfs/base/be.h"
#include "libvmfs/base/prng.h"
#include "tests/unit/scsi_rig.h"

static uint8_t buf[8192];
static size_t len;

static uint32_t
cmd6(struct scsi_nexus *n, uint8_t op, uint8_t b1, uint8_t b2, uint8_t size)
{
	uint8_t cdb[6] = { op, b1, b2, 0, size, 0 };

	return rig_cmd_in(n, cdb, 6, buf, sizeof(buf), &len);
}

/* ---- INQUIRY ---- */

static void
inquiry_names_the_unit(struct rig *r)
{
	ATF_REQUIRE_EQ(RIG_GOOD, cmd6(r->nexus[0], 0x12, 0, 0, 255));
	ATF_CHECK_EQ(96, len);
	ATF_CHECK_EQ(91, buf[4]);
	ATF_CHECK_EQ(0, buf[0]);
	ATF_CHECK_EQ(0, memcmp(buf + 8, "VMFSD   VIRTUAL-DISK    ", 24));
	ATF_REQUIRE_EQ(RIG_GOOD, cmd6(r->nexus[0], 0x12, 0, 0, 5));
	ATF_CHECK_EQ(5, len);
	ATF_CHECK_EQ(91, buf[4]);
	ATF_CHECK_EQ(0x052400, cmd6(r->nexus[0], 0x12, 0, 0x83, 255));
	ATF_CHECK_EQ(0x052400, cmd6(r->nexus[0], 0x12, 1, 0xc7, 255));
}

static void
every_listed_page_is_there(struct rig *r)
{
	uint8_t pages[16];
	size_t count, whole;

	ATF_REQUIRE_EQ(RIG_GOOD, cmd6(r->nexus[0], 0x12, 1, 0, 255));
	count = be16_load(buf + 2);
	ATF_REQUIRE(count >= 7 && count <= sizeof(pages));
	memcpy(pages, buf + 4, count);
	for (size_t i = 0; i < count; i++) {
		ATF_REQUIRE_EQ(RIG_GOOD,
		    cmd6(r->nexus[0], 0x12, 1, pages[i], 255));
		ATF_CHECK_EQ(pages[i], buf[1]);
		whole = 4U + be16_load(buf + 2);
		ATF_CHECK_EQ(len, whole < 255 ? whole : 255);
	}
}

static void
set_512e(struct rig *r)
{
	r->disk.disk.info.phys_block_size = 4096;
}

static void
limits_and_capacity_are_told(struct rig *r)
{
	uint8_t cdb[16] = { 0x9e, 0x10, [13] = 32 };

	ATF_REQUIRE_EQ(RIG_GOOD, cmd6(r->nexus[0], 0x12, 1, 0xb0, 255));
	ATF_CHECK_EQ(128, buf[5]);
	ATF_CHECK_EQ(8, be16_load(buf + 6));
	ATF_CHECK_EQ(SCSI_TRANSFER_MAX / RIG_BLOCK, be32_load(buf + 8));
	ATF_CHECK_EQ(256, be32_load(buf + 24));
	ATF_REQUIRE_EQ(RIG_GOOD,
	    rig_cmd_in(r->nexus[0], cdb, 16, buf, sizeof(buf), &len));
	ATF_CHECK_EQ(32, len);
	ATF_CHECK_EQ(RIG_BLOCKS - 1, be64_load(buf));
	ATF_CHECK_EQ(RIG_BLOCK, be32_load(buf + 8));
	ATF_CHECK_EQ(3, buf[13]);
	ATF_CHECK_EQ(0xc0, buf[14]);
}

/* ---- LOG SENSE ---- */

static uint32_t
log_sense(struct rig *r, uint8_t page, uint8_t subpage, uint8_t from)
{
	uint8_t cdb[10] = { 0x4d, 0, page, subpage, [6] = from, [8] = 255 };

	return rig_cmd_in(r->nexus[0], cdb, 10, buf, sizeof(buf), &len);
}

static void
every_listed_log_page_is_there(struct rig *r)
{
	uint8_t list[16];
	size_t count;

	ATF_REQUIRE_EQ(RIG_GOOD, log_sense(r, 0x40, 0, 0));
	count = be16_load(buf + 2);
	ATF_REQUIRE(count <= sizeof(list) && len == count + 4);
	memcpy(list, buf + 4, count);
	ATF_REQUIRE_EQ(RIG_GOOD, log_sense(r, 0x40, 0xff, 0));
	ATF_CHECK_EQ(0x40, buf[0]);
	ATF_CHECK_EQ(2 * (count + 1), be16_load(buf + 2));
	for (size_t i = 0; i < count; i++) {
		ATF_REQUIRE_EQ(RIG_GOOD, log_sense(r, 0x40 | list[i], 0, 0));
		ATF_CHECK_EQ(list[i], buf[0]);
		ATF_CHECK_EQ(len, 4U + be16_load(buf + 2));
	}
	ATF_CHECK_EQ(0x052400, log_sense(r, 0x7e, 0, 0));
	ATF_CHECK_EQ(0x052400, log_sense(r, 0x4d, 1, 0));
}

static void
temperature_is_not_known(struct rig *r)
{
	ATF_REQUIRE_EQ(RIG_GOOD, log_sense(r, 0x4d, 0, 0));
	ATF_REQUIRE_EQ(16, len);
	ATF_CHECK_EQ(0xff, buf[9]);
	ATF_REQUIRE_EQ(RIG_GOOD, log_sense(r, 0x4d, 0, 1));
	ATF_REQUIRE_EQ(10, len);
	ATF_CHECK_EQ(1, be16_load(buf + 4));
	ATF_CHECK_EQ(0x052400, log_sense(r, 0x4d, 0, 2));
}

/* ---- LUNs without a unit ---- */

static void
unmapped_lun_answers_as_spc_says(struct rig *r)
{
	static const uint8_t inquiry[6] = { 0x12, 0, 0, 0, 96 }, tur[6];
	static const uint8_t lun9[8] = { 0, 9 };
	struct rig_task t;

	rig_start_lun(&t, r->nexus[0], lun9, inquiry, 6);
	rig_wait(&t);
	ATF_CHECK_EQ(RIG_GOOD, rig_result(&t));
	ATF_CHECK_EQ(0x7f, t.task.data_in[0]);
	rig_fini(&t);
	rig_start_lun(&t, r->nexus[0], lun9, tur, 6);
	rig_wait(&t);
	ATF_CHECK_EQ(0x052500, rig_result(&t));
	rig_fini(&t);
}

/* ---- mode pages ---- */

static uint32_t
select_control(struct rig *r, uint8_t d_sense, uint8_t swp)
{
	static const uint8_t cdb[6] = { 0x15, 0x10, 0, 0, 16 };
	uint8_t list[16] = { 0, 0, 0, 0, 0x0a, 0x0a, d_sense, 0x10, swp, 0x40 };

	return rig_cmd(r->nexus[0], cdb, 6, list, sizeof(list));
}

static void
descriptor_sense_can_be_chosen(struct rig *r)
{
	struct rig_task t;

	ATF_REQUIRE_EQ(RIG_GOOD, select_control(r, 0x04, 0));
	ATF_CHECK_EQ(0x062a01, rig_tur(r->nexus[1]));
	rig_start(&t, r->nexus[0], rig_cdb16(0x88, RIG_BLOCKS, 1), 16, NULL, 0);
	rig_wait(&t);
	ATF_CHECK_EQ(0x72, t.task.sense[0]);
	ATF_CHECK_EQ(0x052100, rig_result(&t));
	rig_fini(&t);
	ATF_REQUIRE_EQ(RIG_GOOD, cmd6(r->nexus[0], 0x1a, 0x08, 0x0a, 255));
	ATF_CHECK_EQ(0x04, buf[4 + 2]);
}

static void
software_write_protection_works(struct rig *r)
{
	static uint8_t block[RIG_BLOCK];

	ATF_REQUIRE_EQ(RIG_GOOD, select_control(r, 0, 0x08));
	ATF_CHECK_EQ(0x072702, rig_write(r->nexus[0], 0, 1, block));
	ATF_REQUIRE_EQ(RIG_GOOD, cmd6(r->nexus[0], 0x1a, 0x08, 0x3f, 255));
	ATF_CHECK_EQ(0x80, buf[2] & 0x80);
	ATF_REQUIRE_EQ(RIG_GOOD, select_control(r, 0, 0));
	ATF_CHECK_EQ(RIG_GOOD, rig_write(r->nexus[0], 0, 1, block));
}

static void
other_mode_bits_are_fixed(struct rig *r)
{
	static const uint8_t cdb[6] = { 0x15, 0x10, 0, 0, 12 };
	uint8_t list[12] = { 0, 0, 0, 0, 0x0a, 0x0a, 0x02, 0x10, 0, 0x40 };

	ATF_CHECK_EQ(0x051a00, rig_cmd(r->nexus[0], cdb, 6, list, 12));
	ATF_CHECK_EQ(0x052600, select_control(r, 0x20, 0));
	ATF_CHECK_EQ(0x053900, cmd6(r->nexus[0], 0x1a, 0x08, 0xff, 255));
	ATF_CHECK_EQ(0x052400, cmd6(r->nexus[0], 0x1a, 0x08, 0x02, 255));
}

/* ---- operation codes ---- */

static void
every_command_reports_itself(struct rig *r)
{
	uint8_t cdb[12] = { 0xa3, 0x0c, 0x02, [8] = 0x20 };
	size_t count;
	const struct cdb_op *ops = cdb_table(&count);

	for (size_t i = 0; i < count; i++) {
		const struct cdb_op *op = &ops[i];

		if (!cdb_op_present(op, r->lu))
			continue;
		cdb[2] = op->flags & OP_SERVICE ? 0x02 : 0x01;
		cdb[3] = op->opcode;
		cdb[5] = op->service;
		ATF_REQUIRE_EQ_MSG(RIG_GOOD, rig_cmd_in(r->nexus[0], cdb, 12,
		    buf, sizeof(buf), &len), "%s", op->name);
		ATF_CHECK_EQ(3, buf[1]);
		ATF_CHECK_EQ(op->len, be16_load(buf + 2));
		ATF_CHECK_EQ(op->opcode, buf[4]);
	}
}

/* Each function waits for its tasks: none has the short time-out. */
static void
task_management_has_timeouts(struct rig *r)
{
	uint8_t cdb[12] = { 0xa3, 0x0d, 0x80 };

	be32_store(cdb + 6, 16);
	ATF_REQUIRE_EQ(RIG_GOOD,
	    rig_cmd_in(r->nexus[0], cdb, 12, buf, sizeof(buf), &len));
	ATF_REQUIRE_EQ(16, len);
	ATF_CHECK_EQ(0xda, buf[0]);
	ATF_CHECK_EQ(12, buf[3]);
	ATF_CHECK_EQ(0x01, buf[4]);
	ATF_CHECK_EQ(0, be16_load(buf + 6));
	/* Units of 100 ms. */
	ATF_CHECK_EQ(1200, be32_load(buf + 8));
	ATF_CHECK_EQ(300, be32_load(buf + 12));
	cdb[2] = 0;
	ATF_REQUIRE_EQ(RIG_GOOD,
	    rig_cmd_in(r->nexus[0], cdb, 12, buf, sizeof(buf), &len));
	ATF_CHECK_EQ(4, len);
	ATF_CHECK_EQ(0, buf[3]);
}

static void
unknown_commands_are_refused(struct rig *r)
{
	static const uint8_t unknown[6] = { 0xc1 }, service[10] = { 0x5e, 9 };
	static const uint8_t naca[6] = { 0, 0, 0, 0, 0, 0x04 };

	ATF_CHECK_EQ(0x052000, rig_cmd(r->nexus[0], unknown, 6, NULL, 0));
	ATF_CHECK_EQ(0x052400, rig_cmd(r->nexus[0], service, 10, NULL, 0));
	ATF_CHECK_EQ(0x052400, rig_cmd(r->nexus[0], naca, 6, NULL, 0));
	ATF_CHECK_EQ(0x052400,
	    rig_cmd(r->nexus[0], rig_cdb16(0x88, 0, 1), 9, NULL, 0));
}

/* Any CDB with any data-out ends, and the unit lives on. */
static void
random_cdbs_all_end(struct rig *r)
{
	struct prng p;
	size_t count;
	const struct cdb_op *ops = cdb_table(&count);
	uint8_t cdb[SCSI_CDB_MAX], out[512];
	struct rig_task t;

	prng_seed(&p, 7);
	for (unsigned i = 0; i < 20000; i++) {
		size_t out_len = prng_below(&p, sizeof(out) + 1);

		for (size_t j = 0; j < sizeof(cdb); j++)
			cdb[j] = prng_below(&p, 2) == 0 ? 0 :
			    (uint8_t)prng_u64(&p);
		for (size_t j = 0; j < sizeof(out); j++)
			out[j] = prng_below(&p, 2) == 0 ? 0 :
			    (uint8_t)prng_u64(&p);
		if (prng_below(&p, 8) != 0) {
			cdb[0] = ops[prng_below(&p, count)].opcode;
			cdb[1] &= 0x1f;
		}
		rig_start(&t, r->nexus[i % RIG_NEXUSES], cdb,
		    1 + prng_below(&p, sizeof(cdb)), out, out_len);
		rig_wait(&t);
		rig_fini(&t);
	}
	ATF_REQUIRE_EQ(SCSI_TMF_COMPLETE, scsi_tmf(r->nexus[0],
	    SCSI_TMF_LOGICAL_UNIT_RESET, rig_lun0, 0));
	ATF_CHECK_EQ(0x062903, rig_tur(r->nexus[0]));
	ATF_CHECK_EQ(RIG_GOOD, rig_tur(r->nexus[0]));
}

RIG_TEST(inquiry, NULL, inquiry_names_the_unit, "INQUIRY names the unit")
RIG_TEST(vpd, NULL, every_listed_page_is_there, "every listed page is there")
RIG_TEST(limits, set_512e, limits_and_capacity_are_told,
    "limits and capacity are told")
RIG_TEST(log_pages, NULL, every_listed_log_page_is_there,
    "every listed log page is there")
RIG_TEST(temperature, NULL, temperature_is_not_known,
    "the temperature is not known, and parameters can be asked for singly")
RIG_TEST(unmapped, NULL, unmapped_lun_answers_as_spc_says,
    "a LUN without a unit answers as SPC says")
RIG_TEST(d_sense, NULL, descriptor_sense_can_be_chosen,
    "descriptor format sense can be chosen")
RIG_TEST(swp, NULL, software_write_protection_works,
    "software write protection works")
RIG_TEST(mode_fixed, NULL, other_mode_bits_are_fixed,
    "other mode parameters cannot be changed")
RIG_TEST(opcodes, NULL, every_command_reports_itself,
    "every command reports itself")
RIG_TEST(tmf_timeouts, NULL, task_management_has_timeouts,
    "time-outs of task management functions are told")
RIG_TEST(unknown, NULL, unknown_commands_are_refused,
    "unknown commands are refused")
RIG_TEST(random_cdbs, NULL, random_cdbs_all_end, "any CDB comes to an end")

ATF_TP_ADD_TCS(tp)
{
	ATF_TP_ADD_TC(tp, inquiry);
	ATF_TP_ADD_TC(tp, vpd);
	ATF_TP_ADD_TC(tp, limits);
	ATF_TP_ADD_TC(tp, log_pages);
	ATF_TP_ADD_TC(tp, temperature);
	ATF_TP_ADD_TC(tp, unmapped);
	ATF_TP_ADD_TC(tp, d_sense);
	ATF_TP_ADD_TC(tp, swp);
	ATF_TP_ADD_TC(tp, mode_fixed);
	ATF_TP_ADD_TC(tp, opcodes);
	ATF_TP_ADD_TC(tp, tmf_timeouts);
	ATF_TP_ADD_TC(tp, unknown);
	ATF_TP_ADD_TC(tp, random_cdbs);
	return atf_no_error();
}
