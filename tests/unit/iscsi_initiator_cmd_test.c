/* SPDX-License-Identifier: BSD-2-Clause */
/* The initiator's commands and what it makes of sense data and answers. */
#include <atf-c.h>
#include <string.h>

#include "iscsi/disk_libiscsi_cmd.h"

#define CDB(...) (const uint8_t[16]){ __VA_ARGS__ }

static void
check_cdb(const char *what, struct lcdb c, int len, const uint8_t *bytes)
{
	ATF_CHECK_EQ_MSG(len, c.len, "%s", what);
	ATF_CHECK_EQ_MSG(0, memcmp(c.b, bytes, sizeof(c.b)), "%s", what);
}

ATF_TC_WITHOUT_HEAD(commands_have_the_bytes_of_the_standard);
ATF_TC_BODY(commands_have_the_bytes_of_the_standard, tc)
{
	const uint64_t lba = UINT64_C(0x0102030405060708);

	(void)tc;
	check_cdb("read", lcdb_read16(lba, 0x10, 512), 16, CDB(0x88, 0, 1, 2,
	    3, 4, 5, 6, 7, 8, 0, 0, 0, 0x10));
	check_cdb("write", lcdb_write16(lba, 0x10, 512, LCDB_FUA), 16,
	    CDB(0x8a, 8, 1, 2, 3, 4, 5, 6, 7, 8, 0, 0, 0, 0x10));
	check_cdb("caw", lcdb_caw(lba, 2, 512, 0), 16, CDB(0x89, 0, 1, 2, 3,
	    4, 5, 6, 7, 8, 0, 0, 0, 2));
	ATF_CHECK_EQ(2048, lcdb_caw(lba, 2, 512, 0).xfer);
	ATF_CHECK_EQ(LCDB_OUT, lcdb_caw(0, 0, 512, 0).dir);
	check_cdb("write same", lcdb_write_same16(lba, 7, 512, LCDB_WS_UNMAP),
	    16, CDB(0x93, 8, 1, 2, 3, 4, 5, 6, 7, 8, 0, 0, 0, 7));
	check_cdb("sync", lcdb_sync16(), 16, CDB(0x91));
	check_cdb("inquiry", lcdb_inquiry(true, 0xb0, 0x0102), 6, CDB(0x12, 1,
	    0xb0, 1, 2));
	check_cdb("reserve", lcdb_reserve6(), 6, CDB(0x16));
	check_cdb("release", lcdb_release6(), 6, CDB(0x17));
	check_cdb("lba status", lcdb_lba_status(lba, 0x1008), 16, CDB(0x9e,
	    0x12, 1, 2, 3, 4, 5, 6, 7, 8, 0, 0, 0x10, 8));
	check_cdb("pr in", lcdb_pr_in(1, 0x2000), 10, CDB(0x5e, 1, 0, 0, 0, 0,
	    0, 0x20, 0));
}

ATF_TC_WITHOUT_HEAD(parameter_lists_have_the_bytes_of_the_standard);
ATF_TC_BODY(parameter_lists_have_the_bytes_of_the_standard, tc)
{
	static const uint8_t unmap[LCDB_UNMAP_LIST] = { 0, 22, 0, 16, 0, 0, 0,
		0, 0, 0, 0, 0, 0, 0, 0x10, 0, 0, 0, 0, 9 };
	static const uint8_t pr_list[LCDB_PR_LIST] = { 0, 0, 0, 0, 0, 0, 0, 1,
		0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 1 };
	struct disk_pr pr = { .action = DISK_PR_PREEMPT_AND_ABORT,
		.type = DISK_PR_WRITE_EXCLUSIVE_AR, .key = 1, .sa_key = 2,
		.aptpl = true };
	uint8_t list[LCDB_PR_LIST];

	(void)tc;
	check_cdb("unmap", lcdb_unmap(0x1000, 9, list), 10, CDB(0x42, 0, 0, 0,
	    0, 0, 0, 0, LCDB_UNMAP_LIST));
	ATF_CHECK_EQ(0, memcmp(list, unmap, sizeof(unmap)));
	check_cdb("pr out", lcdb_pr_out(&pr, list), 10, CDB(0x5f, 5, 7, 0, 0,
	    0, 0, 0, LCDB_PR_LIST));
	ATF_CHECK_EQ(0, memcmp(list, pr_list, sizeof(pr_list)));
}

ATF_TC_WITHOUT_HEAD(sense_is_read_in_both_formats);
ATF_TC_BODY(sense_is_read_in_both_formats, tc)
{
	static const uint8_t fixed[18] = { 0xf0, 0, 0x0e, 0, 0, 1, 2, 10, 0,
		0, 0, 0, 0x1d, 0x00 };
	static const uint8_t descriptor[20] = { 0x72, 0x0e, 0x1d, 0x00, 0, 0,
		0, 12, 0, 10, 0x80, 0, 0, 0, 0, 0, 0, 0, 1, 2 };
	struct disk_sense s = { 0 }, t = { 0 }, cut = { 0 };

	(void)tc;
	lsense_parse(fixed, sizeof(fixed), &s);
	ATF_CHECK(s.key == 0x0e && s.asc == 0x1d && s.ascq == 0);
	ATF_CHECK_EQ(0x102, s.info);
	lsense_parse(descriptor, sizeof(descriptor), &t);
	ATF_CHECK(t.key == 0x0e && t.asc == 0x1d && t.ascq == 0);
	ATF_CHECK_EQ(0x102, t.info);
	for (size_t len = 0; len < 8; len++)
		lsense_parse(fixed, len, &cut);
	ATF_CHECK_EQ(0, cut.asc);
}

ATF_TC_WITHOUT_HEAD(answers_map_to_results_of_the_disk_port);
ATF_TC_BODY(answers_map_to_results_of_the_disk_port, tc)
{
	static const struct {
		struct disk_sense sense;
		int result;
	} table[] = {
		{ { 0, 0, 0, 0, 0 }, 0 },
		{ { 0x18, 0, 0, 0, 0 }, -VMFS_ECONFLICT },
		{ { 0x08, 0, 0, 0, 0 }, -VMFS_EUNKNOWN },
		{ { 0x40, 0, 0, 0, 0 }, -VMFS_EUNKNOWN },
		{ { 2, 1, 0x17, 0, 0 }, 0 },
		{ { 2, 3, 0x11, 0, 0 }, -EIO },
		{ { 2, 4, 0x44, 0, 0 }, -EIO },
		{ { 2, 4, 0x3e, 1, 0 }, -VMFS_EGONE },
		{ { 2, 5, 0x20, 0, 0 }, -EOPNOTSUPP },
		{ { 2, 5, 0x21, 0, 0 }, -EINVAL },
		{ { 2, 5, 0x24, 0, 0 }, -EINVAL },
		{ { 2, 5, 0x25, 0, 0 }, -VMFS_EGONE },
		{ { 2, 6, 0x29, 0, 0 }, -VMFS_EATTENTION },
		{ { 2, 6, 0x2a, 3, 0 }, -VMFS_EATTENTION },
		{ { 2, 7, 0x27, 0, 0 }, -EROFS },
		{ { 2, 7, 0x27, 7, 0 }, -ENOSPC },
		{ { 2, 0xb, 0x47, 1, 0 }, -VMFS_EUNKNOWN },
		{ { 2, 0xe, 0x1d, 0, 0 }, -VMFS_EMISCOMPARE },
	};

	(void)tc;
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
		ATF_CHECK_EQ_MSG(table[i].result,
		    lsense_result(&table[i].sense), "row %zu", i);
}

ATF_TC_WITHOUT_HEAD(attentions_about_reservations_are_told_apart);
ATF_TC_BODY(attentions_about_reservations_are_told_apart, tc)
{
	struct disk_sense s = { 2, 6, 0x2a, 0, 0 };

	(void)tc;
	for (uint8_t ascq = 0; ascq < 16; ascq++) {
		s.ascq = ascq;
		ATF_CHECK_EQ(ascq >= 3 && ascq <= 5,
		    lsense_is_reservation(&s));
		ATF_CHECK(!lsense_is_reset(&s));
	}
	s.asc = 0x29;
	ATF_CHECK(lsense_is_reset(&s));
	ATF_CHECK(!lsense_is_reservation(&s));
}

ATF_TC_WITHOUT_HEAD(reservation_answers_are_parsed_and_bounded);
ATF_TC_BODY(reservation_answers_are_parsed_and_bounded, tc)
{
	static const uint8_t keys[] = { 0, 0, 0, 5, 0, 0, 0, 16,
		0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 2 };
	static const uint8_t held[] = { 0, 0, 0, 5, 0, 0, 0, 16,
		0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, 0, 0, 7, 0, 0 };
	static const uint8_t odd[] = { 0, 0, 0, 5, 0, 0, 0, 3 };
	uint64_t found[2] = { 0 };
	struct disk_pr pr = { .keys = found, .keys_max = 2 };

	(void)tc;
	ATF_REQUIRE_EQ(0, lpr_parse_keys(keys, sizeof(keys), &pr));
	ATF_CHECK(pr.generation == 5 && pr.keys_count == 2);
	ATF_CHECK(found[0] == 1 && found[1] == 2);
	ATF_CHECK_EQ(-VMFS_EPROTO, lpr_parse_keys(keys, 16, &pr));
	ATF_CHECK_EQ(-VMFS_EPROTO, lpr_parse_keys(keys, 7, &pr));
	ATF_CHECK_EQ(-VMFS_EPROTO, lpr_parse_keys(odd, sizeof(odd), &pr));
	pr.keys_max = 0;
	ATF_REQUIRE_EQ(0, lpr_parse_keys(keys, sizeof(keys), &pr));
	ATF_CHECK_EQ(2, pr.keys_count);

	pr.keys_max = 2;
	ATF_REQUIRE_EQ(0, lpr_parse_reservation(held, sizeof(held), &pr));
	ATF_CHECK(pr.reserved && pr.type == 7 && found[0] == 9);
	ATF_CHECK_EQ(-VMFS_EPROTO, lpr_parse_reservation(held, 20, &pr));
	ATF_REQUIRE_EQ(0, lpr_parse_reservation((uint8_t[8]){ 0 }, 8, &pr));
	ATF_CHECK(!pr.reserved);
}

/* ---- target ports ---- */

/* Unit (NAA), relative port 2, port group 0x0102, port name. */
static const uint8_t page83[] = {
	0, 0x83, 0, 44,
	0x01, 0x03, 0, 8, 0x60, 1, 2, 3, 4, 5, 6, 7,
	0x51, 0x94, 0, 4, 0, 0, 0, 2,
	0x51, 0x95, 0, 4, 0, 0, 1, 2,
	0x53, 0x98, 0, 12, 'i', 'q', 'n', '.', 'a', ',', 't', ',', '0', 'x',
	'1', 0,
};

ATF_TC_WITHOUT_HEAD(the_target_port_is_found_in_page_83);
ATF_TC_BODY(the_target_port_is_found_in_page_83, tc)
{
	struct lport p;

	(void)tc;
	lport_parse_page83(page83, sizeof(page83), &p);
	ATF_CHECK_EQ(0x0102, p.group);
	ATF_CHECK_STREQ("iqn.a,t,0x1", p.name);
	/* Cut off within the name: what is whole counts. */
	lport_parse_page83(page83, sizeof(page83) - 1, &p);
	ATF_CHECK_EQ(0x0102, p.group);
	ATF_CHECK_STREQ("", p.name);
	lport_parse_page83(page83, 3, &p);
	ATF_CHECK_EQ(0, p.group);
}

ATF_TC_WITHOUT_HEAD(access_states_of_port_groups_are_read);
ATF_TC_BODY(access_states_of_port_groups_are_read, tc)
{
	/* Group 1 standby with one port, group 2 preferred, optimized. */
	static const uint8_t groups[] = { 0, 0, 0, 20,
	    0x02, 0x0f, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1,
	    0x80, 0x0f, 0, 2, 0, 0, 0, 0 };
	uint8_t access = 9;
	bool preferred = true;

	(void)tc;
	check_cdb("groups", lcdb_report_port_groups(0x400), 12, CDB(0xa3, 0x0a,
	    0, 0, 0, 0, 0, 0, 4, 0));
	ATF_CHECK_EQ(0, lport_parse_groups(groups, sizeof(groups), 1, &access,
	    &preferred));
	ATF_CHECK(access == 2 && !preferred);
	ATF_CHECK_EQ(0, lport_parse_groups(groups, sizeof(groups), 2, &access,
	    &preferred));
	ATF_CHECK(access == 0 && preferred);
	ATF_CHECK_EQ(-ENOENT, lport_parse_groups(groups, sizeof(groups), 3,
	    &access, &preferred));
	ATF_CHECK_EQ(-ENOENT, lport_parse_groups(groups, 20, 2, &access,
	    &preferred));
	ATF_CHECK_EQ(-VMFS_EPROTO, lport_parse_groups(groups, 3, 1, &access,
	    &preferred));
}

ATF_TP_ADD_TCS(tp)
{
	ATF_TP_ADD_TC(tp, the_target_port_is_found_in_page_83);
	ATF_TP_ADD_TC(tp, access_states_of_port_groups_are_read);
	ATF_TP_ADD_TC(tp, commands_have_the_bytes_of_the_standard);
	ATF_TP_ADD_TC(tp, parameter_lists_have_the_bytes_of_the_standard);
	ATF_TP_ADD_TC(tp, sense_is_read_in_both_formats);
	ATF_TP_ADD_TC(tp, answers_map_to_results_of_the_disk_port);
	ATF_TP_ADD_TC(tp, attentions_about_reservations_are_told_apart);
	ATF_TP_ADD_TC(tp, reservation_answers_are_parsed_and_bounded);
	return atf_no_error();
}
