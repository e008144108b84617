/* SPDX-License-Identifier: BSD-2-Clause */
/* Target port groups and their access states. */
#include <atf-c.h>
#include <string.h>

#include "libvmfs/base/be.h"
#include "tests/unit/scsi_rig.h"

enum { OPTIMIZED, NON_OPTIMIZED, STANDBY, UNAVAILABLE };

static uint8_t block[RIG_BLOCK];

/* Groups 1, 2 and 5; hosts 1 and 2 come by group 2. */
static void
set_groups(struct rig *r)
{
	scsi_target_set_groups(r->target, 1U << 0 | 1U << 1 | 1U << 4);
	scsi_nexus_set_group(r->nexus[1], 2);
	scsi_nexus_set_group(r->nexus[2], 2);
}

static size_t
report(struct scsi_nexus *n, uint8_t format, uint8_t in[256])
{
	uint8_t cdb[12] = { 0xa3, (uint8_t)(format << 5 | 0x0a) };
	size_t len;

	be32_store(cdb + 6, 256);
	ATF_REQUIRE_EQ(RIG_GOOD, rig_cmd_in(n, cdb, 12, in, 256, &len));
	return len;
}

static uint32_t
set_state(struct scsi_nexus *n, unsigned group, uint8_t state)
{
	static const uint8_t cdb[12] = { 0xa4, 0x0a, [9] = 8 };
	uint8_t list[8] = { [4] = state };

	be16_store(list + 6, (uint16_t)group);
	return rig_cmd(n, cdb, 12, list, sizeof(list));
}

static uint32_t
read_one(struct scsi_nexus *n)
{
	return rig_read(n, 0, 1, block);
}

static uint32_t
inquiry(struct scsi_nexus *n)
{
	static const uint8_t cdb[6] = { 0x12, 0, 0, 0, 96 };
	uint8_t in[96];
	size_t len;

	return rig_cmd_in(n, cdb, 6, in, sizeof(in), &len);
}

static uint32_t
pr_read_keys(struct scsi_nexus *n)
{
	static const uint8_t cdb[10] = { 0x5e, 0, [8] = 64 };
	uint8_t in[64];
	size_t len;

	return rig_cmd_in(n, cdb, 10, in, sizeof(in), &len);
}

static void
groups_are_reported(struct rig *r)
{
	static const uint8_t numbers[] = { 1, 2, 5 };
	uint8_t in[256];

	set_groups(r);
	for (uint8_t format = 0; format <= 1; format++) {
		size_t head = format == 1 ? 8 : 4;

		ATF_REQUIRE_EQ(head + 36, report(r->nexus[0], format, in));
		ATF_CHECK_EQ(head + 32, be32_load(in));
		for (size_t i = 0; i < 3; i++) {
			const uint8_t *d = in + head + 12 * i;

			ATF_CHECK_EQ(OPTIMIZED, d[0]);
			ATF_CHECK_EQ(0x0f, d[1]);
			ATF_CHECK_EQ(numbers[i], be16_load(d + 2));
			ATF_CHECK_EQ(0, d[5]);
			ATF_CHECK_EQ(1, d[7]);
			ATF_CHECK_EQ(numbers[i], be16_load(d + 10));
		}
	}
	ATF_CHECK_EQ(0x10, in[4]);
}

/* TPGS, relative port, group and name of the port it came by. */
static void
inquiry_names_the_port(struct rig *r)
{
	uint8_t in[255];
	size_t len, at = 4;
	unsigned seen = 0;

	set_groups(r);
	ATF_REQUIRE_EQ(RIG_GOOD, rig_cmd_in(r->nexus[1],
	    (uint8_t[6]){ 0x12, 0, 0, 0, 96 }, 6, in, sizeof(in), &len));
	ATF_CHECK_EQ(0x30, in[5] & 0x30);
	ATF_REQUIRE_EQ(RIG_GOOD, rig_cmd_in(r->nexus[1],
	    (uint8_t[6]){ 0x12, 1, 0x83, 0, 255 }, 6, in, sizeof(in), &len));
	for (; at + 4 <= len; at += 4U + in[at + 3]) {
		uint8_t type = in[at + 1] & 0x3f;

		if (type == 0x14 || type == 0x15)
			seen += be16_load(in + at + 6) == 2;
		else if (type == 0x18)
			seen += strcmp((char *)in + at + 4,
			    RIG_IQN ",t,0x0002") == 0;
	}
	ATF_CHECK_EQ(3, seen);
}

static void
standby_port_takes_no_data(struct rig *r)
{
	uint8_t in[256];

	set_groups(r);
	ATF_REQUIRE_EQ(RIG_GOOD, set_state(r->nexus[0], 2, STANDBY));
	ATF_CHECK_EQ(RIG_GOOD, rig_tur(r->nexus[0]));
	ATF_CHECK_EQ(0x062a06, rig_tur(r->nexus[1]));
	ATF_CHECK_EQ(0x02040b, rig_tur(r->nexus[1]));
	ATF_CHECK_EQ(0x02040b, read_one(r->nexus[1]));
	ATF_CHECK_EQ(0x02040b, rig_write(r->nexus[1], 0, 1, block));
	ATF_CHECK_EQ(0, r->disk.writes);
	ATF_CHECK_EQ(RIG_GOOD, inquiry(r->nexus[1]));
	ATF_CHECK_EQ(RIG_GOOD, pr_read_keys(r->nexus[1]));
	ATF_CHECK_EQ(RIG_GOOD, read_one(r->nexus[0]));
	(void)report(r->nexus[1], 0, in);
	ATF_CHECK_EQ(STANDBY, in[4 + 12]);
	ATF_CHECK_EQ(1, in[4 + 12 + 5]);
	ATF_CHECK_EQ(OPTIMIZED, in[4]);
	/* By the standby port itself, back again. */
	ATF_REQUIRE_EQ(RIG_GOOD, set_state(r->nexus[1], 2, NON_OPTIMIZED));
	ATF_CHECK_EQ(RIG_GOOD, read_one(r->nexus[1]));
	ATF_CHECK_EQ(0x062a06, rig_tur(r->nexus[0]));
}

static void
unavailable_port_takes_less(struct rig *r)
{
	set_groups(r);
	ATF_REQUIRE_EQ(RIG_GOOD, set_state(r->nexus[1], 2, UNAVAILABLE));
	ATF_CHECK_EQ(0x02040c, rig_tur(r->nexus[1]));
	ATF_CHECK_EQ(0x02040c, read_one(r->nexus[1]));
	ATF_CHECK_EQ(RIG_GOOD, inquiry(r->nexus[1]));
	ATF_CHECK_EQ(0x02040c, pr_read_keys(r->nexus[1]));
	ATF_CHECK_EQ(RIG_GOOD, set_state(r->nexus[1], 2, OPTIMIZED));
	ATF_CHECK_EQ(RIG_GOOD, read_one(r->nexus[1]));
}

static void
administrator_changes_it_too(struct rig *r)
{
	uint8_t in[256];

	set_groups(r);
	ATF_CHECK_EQ(-EINVAL, scsi_lu_set_access(r->lu, 0, STANDBY));
	ATF_CHECK_EQ(-EINVAL, scsi_lu_set_access(r->lu, 2, 4));
	ATF_REQUIRE_EQ(0, scsi_lu_set_access(r->lu, 2, STANDBY));
	ATF_CHECK_EQ(0x062a06, rig_tur(r->nexus[0]));
	ATF_CHECK_EQ(0x062a06, rig_tur(r->nexus[1]));
	(void)report(r->nexus[0], 0, in);
	ATF_CHECK_EQ(2, in[4 + 12 + 5]);
	ATF_REQUIRE_EQ(0, scsi_lu_set_access(r->lu, 2, STANDBY));
	ATF_CHECK_EQ(RIG_GOOD, rig_tur(r->nexus[0]));
}

static void
bad_lists_are_refused(struct rig *r)
{
	static const uint8_t cdb[12] = { 0xa4, 0x0a, [9] = 12 };
	uint8_t list[12] = { [4] = STANDBY, [7] = 2, [8] = STANDBY, [11] = 3 };

	set_groups(r);
	ATF_CHECK_EQ(0x052600, set_state(r->nexus[0], 3, STANDBY));
	ATF_CHECK_EQ(0x052600, set_state(r->nexus[0], 0, STANDBY));
	ATF_CHECK_EQ(0x052600, set_state(r->nexus[0], 2, 0x0e));
	/* All or none. */
	ATF_CHECK_EQ(0x052600, rig_cmd(r->nexus[0], cdb, 12, list, 12));
	ATF_CHECK_EQ(RIG_GOOD, read_one(r->nexus[1]));
	ATF_CHECK_EQ(0x051a00, rig_cmd(r->nexus[0],
	    (uint8_t[12]){ 0xa4, 0x0a, [9] = 7 }, 12, list, 7));
	ATF_CHECK_EQ(0x052400, rig_cmd(r->nexus[0],
	    (uint8_t[12]){ 0xa3, 0x4a, [9] = 64 }, 12, NULL, 0));
}

RIG_TEST(reported, NULL, groups_are_reported,
    "REPORT TARGET PORT GROUPS lists groups, states and ports")
RIG_TEST(names, NULL, inquiry_names_the_port,
    "INQUIRY names port and group that the nexus came by")
RIG_TEST(standby, NULL, standby_port_takes_no_data,
    "a standby port moves no data, and all others are told")
RIG_TEST(unavailable, NULL, unavailable_port_takes_less,
    "an unavailable port takes less than a standby one")
RIG_TEST(administrator, NULL, administrator_changes_it_too,
    "an administrator changes states too")
RIG_TEST(bad_lists, NULL, bad_lists_are_refused,
    "bad lists of groups are refused as a whole")

ATF_TP_ADD_TCS(tp)
{
	ATF_TP_ADD_TC(tp, reported);
	ATF_TP_ADD_TC(tp, names);
	ATF_TP_ADD_TC(tp, standby);
	ATF_TP_ADD_TC(tp, unavailable);
	ATF_TP_ADD_TC(tp, administrator);
	ATF_TP_ADD_TC(tp, bad_lists);
	return atf_no_error();
}
