/* SPDX-License-Identifier: BSD-2-Clause */
/* PDU headers: what is refused, AHS, digests. */
#include <atf-c.h>
#include <stdlib.h>
#include <string.h>

#include "iscsi/pdu.h"
#include "libvmfs/base/prng.h"

static union iscsi_bhs
header(uint8_t opcode, uint32_t data_len, uint8_t ahs_words)
{
	union iscsi_bhs bhs;

	memset(&bhs, 0, sizeof(bhs));
	bhs.any.opcode = opcode;
	bhs.any.data_len = be24(data_len);
	bhs.any.ahs_words = ahs_words;
	return bhs;
}

static int
check(uint8_t opcode, uint32_t data_len, uint8_t ahs_words)
{
	union iscsi_bhs bhs = header(opcode, data_len, ahs_words);
	enum iscsi_reject reason;

	return iscsi_bhs_check(&bhs, 65536, &reason);
}

ATF_TC_WITHOUT_HEAD(initiator_opcodes_pass);
ATF_TC_BODY(initiator_opcodes_pass, tc)
{
	ATF_CHECK_EQ(0, check(ISCSI_NOP_OUT | ISCSI_IMMEDIATE, 100, 0));
	ATF_CHECK_EQ(0, check(ISCSI_SCSI_CMD, 65536, 5));
	ATF_CHECK_EQ(0, check(ISCSI_DATA_OUT, 65536, 0));
	ATF_CHECK_EQ(0, check(ISCSI_LOGOUT_REQ, 0, 0));
}

ATF_TC_WITHOUT_HEAD(target_and_unknown_opcodes_are_refused);
ATF_TC_BODY(target_and_unknown_opcodes_are_refused, tc)
{
	union iscsi_bhs bhs = header(0x1c, 0, 0);
	enum iscsi_reject reason = 0;

	ATF_CHECK_EQ(-VMFS_EPROTO, check(ISCSI_SCSI_RSP, 0, 0));
	ATF_CHECK_EQ(-VMFS_EPROTO, iscsi_bhs_check(&bhs, 0, &reason));
	ATF_CHECK_EQ(ISCSI_REJECT_NOT_SUPPORTED, reason);
}

ATF_TC_WITHOUT_HEAD(oversized_segment_is_refused);
ATF_TC_BODY(oversized_segment_is_refused, tc)
{
	ATF_CHECK_EQ(-VMFS_EPROTO, check(ISCSI_SCSI_CMD, 65537, 0));
	ATF_CHECK_EQ(-VMFS_EPROTO, check(ISCSI_NOP_OUT, 0xffffff, 0));
}

ATF_TC_WITHOUT_HEAD(data_or_ahs_where_none_belongs_is_refused);
ATF_TC_BODY(data_or_ahs_where_none_belongs_is_refused, tc)
{
	ATF_CHECK_EQ(-VMFS_EPROTO, check(ISCSI_TMF_REQ, 4, 0));
	ATF_CHECK_EQ(-VMFS_EPROTO, check(ISCSI_LOGOUT_REQ, 1, 0));
	ATF_CHECK_EQ(-VMFS_EPROTO, check(ISCSI_DATA_OUT, 4, 1));
	ATF_CHECK_EQ(-VMFS_EPROTO, check(ISCSI_NOP_OUT, 0, 255));
}

ATF_TC_WITHOUT_HEAD(extended_cdb_is_appended);
ATF_TC_BODY(extended_cdb_is_appended, tc)
{
	/* CDB of 32 bytes: AHSLength 17, type 1, reserved, 16 bytes. */
	uint8_t ahs[20] = { 0, 17, 1, 0 }, cdb[32] = { 0x7f };
	size_t len = 0;

	memset(ahs + 4, 0xab, 16);
	ATF_REQUIRE_EQ(0, iscsi_ahs_cdb(ahs, 20, cdb, sizeof(cdb), &len));
	ATF_CHECK_EQ(32, len);
	ATF_CHECK_EQ(0x7f, cdb[0]);
	ATF_CHECK_EQ(0xab, cdb[16]);
	ATF_CHECK_EQ(0xab, cdb[31]);
}

ATF_TC_WITHOUT_HEAD(no_ahs_means_16_byte_cdb);
ATF_TC_BODY(no_ahs_means_16_byte_cdb, tc)
{
	uint8_t cdb[32];
	size_t len = 0;

	ATF_REQUIRE_EQ(0, iscsi_ahs_cdb(NULL, 0, cdb, sizeof(cdb), &len));
	ATF_CHECK_EQ(16, len);
}

ATF_TC_WITHOUT_HEAD(malformed_ahs_is_refused);
ATF_TC_BODY(malformed_ahs_is_refused, tc)
{
	static const struct {
		uint8_t ahs[12];
		size_t len;
	} bad[] = {
		{ { 0, 0, 1, 0 }, 4 },		/* empty segment */
		{ { 0, 1, 1, 0 }, 4 },		/* no byte of CDB */
		{ { 0, 9, 1, 0, 1, 2, 3, 4 }, 8 },	/* longer than sent */
		{ { 0xff, 0xff, 1, 0 }, 4 },
		{ { 0, 5, 9, 0, 1, 2, 3, 4 }, 8 },	/* unknown type */
		{ { 0, 4, 2, 0, 1, 2, 3, 0 }, 8 },	/* short bidi length */
		{ { 0, 1 }, 2 },			/* cut off */
	};
	uint8_t cdb[32];
	size_t len;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		ATF_CHECK_EQ_MSG(-VMFS_EPROTO, iscsi_ahs_cdb(bad[i].ahs,
		    bad[i].len, cdb, sizeof(cdb), &len), "case %zu", i);
}

ATF_TC_WITHOUT_HEAD(cdb_longer_than_room_is_refused);
ATF_TC_BODY(cdb_longer_than_room_is_refused, tc)
{
	uint8_t ahs[24] = { 0, 18, 1, 0 }, cdb[32];
	size_t len;

	ATF_CHECK_EQ(-VMFS_EPROTO,
	    iscsi_ahs_cdb(ahs, sizeof(ahs), cdb, sizeof(cdb), &len));
}

ATF_TC_WITHOUT_HEAD(random_ahs_never_overruns);
ATF_TC_BODY(random_ahs_never_overruns, tc)
{
	struct prng p;

	prng_seed(&p, 7);
	for (int i = 0; i < 20000; i++) {
		size_t len = prng_below(&p, 64) * 4, cdb_len = 0;
		uint8_t *ahs = malloc(len + 1), cdb[32];

		ATF_REQUIRE(ahs != NULL);
		prng_fill(&p, ahs, len);
		if (len >= 4 && (i & 1)) {
			ahs[0] = 0;
			ahs[1] &= 31;
			ahs[2] = (uint8_t)(1 + (i & 2) / 2);
		}
		if (iscsi_ahs_cdb(ahs, len, cdb, sizeof(cdb), &cdb_len) == 0)
			ATF_CHECK(cdb_len >= 16 && cdb_len <= 32);
		free(ahs);
	}
}

ATF_TC_WITHOUT_HEAD(digest_is_least_significant_byte_first);
ATF_TC_BODY(digest_is_least_significant_byte_first, tc)
{
	/* RFC 7143 A.4: 32 bytes of zeroes. */
	static const uint8_t want[4] = { 0xaa, 0x36, 0x91, 0x8a };
	uint8_t zeroes[32] = { 0 }, got[4];
	struct iovec iov[2] = { { zeroes, 5 }, { zeroes + 5, 27 } };

	iscsi_digest(iov, 2, got);
	ATF_CHECK_EQ(0, memcmp(want, got, 4));
}

ATF_TC_WITHOUT_HEAD(serial_numbers_compare_across_wrap);
ATF_TC_BODY(serial_numbers_compare_across_wrap, tc)
{
	ATF_CHECK(iscsi_sn_before(0xffffffff, 0));
	ATF_CHECK(!iscsi_sn_before(0, 0xffffffff));
	ATF_CHECK(!iscsi_sn_before(5, 5));
}

ATF_TP_ADD_TCS(tp)
{
	ATF_TP_ADD_TC(tp, initiator_opcodes_pass);
	ATF_TP_ADD_TC(tp, target_and_unknown_opcodes_are_refused);
	ATF_TP_ADD_TC(tp, oversized_segment_is_refused);
	ATF_TP_ADD_TC(tp, data_or_ahs_where_none_belongs_is_refused);
	ATF_TP_ADD_TC(tp, extended_cdb_is_appended);
	ATF_TP_ADD_TC(tp, no_ahs_means_16_byte_cdb);
	ATF_TP_ADD_TC(tp, malformed_ahs_is_refused);
	ATF_TP_ADD_TC(tp, cdb_longer_than_room_is_refused);
	ATF_TP_ADD_TC(tp, random_ahs_never_overruns);
	ATF_TP_ADD_TC(tp, digest_is_least_significant_byte_first);
	ATF_TP_ADD_TC(tp, serial_numbers_compare_across_wrap);
	return atf_no_error();
}
