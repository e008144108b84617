/* SPDX-License-Identifier: BSD-2-Clause */
/* Data-Out sequencing and the command window. */
#include <atf-c.h>
#include <string.h>

#include "iscsi/window.h"
#include "iscsi/xfer.h"

static struct xfer X;

static int
data_out(uint32_t ttt, uint32_t datasn, uint32_t offset, uint32_t len,
    bool final)
{
	struct iscsi_bhs_data d;

	memset(&d, 0, sizeof(d));
	d.ttt = be32(ttt);
	d.datasn = be32(datasn);
	d.offset = be32(offset);
	d.data_len = be24(len);
	d.flags = final ? ISCSI_FLAG_FINAL : 0;
	return xfer_data_out(&X, &d);
}

/* A command of 16 KiB without unsolicited data, R2T 7 of all of it open. */
static void
solicited(void)
{
	struct xfer_burst b;

	ATF_REQUIRE_EQ(0, xfer_init(&X, 16384, 0, 0, false));
	ATF_REQUIRE(xfer_next_r2t(&X, 65536, 1, 7, &b));
	ATF_CHECK_EQ(16384, b.len);
}

ATF_TC_WITHOUT_HEAD(immediate_data_can_be_all);
ATF_TC_BODY(immediate_data_can_be_all, tc)
{
	struct xfer_burst b;

	ATF_REQUIRE_EQ(0, xfer_init(&X, 4096, 4096, 65536, false));
	ATF_CHECK(!xfer_next_r2t(&X, 65536, 1, 7, &b));
	ATF_CHECK(xfer_complete(&X));
}

ATF_TC_WITHOUT_HEAD(immediate_data_past_first_burst_is_refused);
ATF_TC_BODY(immediate_data_past_first_burst_is_refused, tc)
{
	ATF_CHECK_EQ(-VMFS_EPROTO, xfer_init(&X, 4096, 4096, 512, false));
}

ATF_TC_WITHOUT_HEAD(unsolicited_then_solicited);
ATF_TC_BODY(unsolicited_then_solicited, tc)
{
	struct xfer_burst b;

	ATF_REQUIRE_EQ(0, xfer_init(&X, 3000, 500, 1500, true));
	ATF_CHECK(!xfer_next_r2t(&X, 1000, 1, 7, &b));
	ATF_CHECK_EQ(0, data_out(ISCSI_NO_TAG, 0, 500, 500, false));
	ATF_CHECK_EQ(0, data_out(ISCSI_NO_TAG, 1, 1000, 500, true));
	ATF_REQUIRE(xfer_next_r2t(&X, 1000, 1, 7, &b));
	ATF_CHECK_EQ(1500, b.offset);
	ATF_CHECK_EQ(1000, b.len);
	ATF_CHECK_EQ(0, b.r2tsn);
	ATF_CHECK_EQ(0, data_out(7, 0, 1500, 1000, true));
	ATF_REQUIRE(xfer_next_r2t(&X, 1000, 1, 8, &b));
	ATF_CHECK_EQ(1, b.r2tsn);
	ATF_CHECK_EQ(500, b.len);
	ATF_CHECK_EQ(0, data_out(8, 0, 2500, 500, true));
	ATF_CHECK(xfer_complete(&X));
}

ATF_TC_WITHOUT_HEAD(r2ts_stay_within_outstanding);
ATF_TC_BODY(r2ts_stay_within_outstanding, tc)
{
	struct xfer_burst b;
	unsigned n = 0;

	ATF_REQUIRE_EQ(0, xfer_init(&X, 1 << 20, 0, 0, false));
	while (xfer_next_r2t(&X, 1024, 3, n, &b))
		n++;
	ATF_CHECK_EQ(3, n);
	ATF_REQUIRE_EQ(0, xfer_init(&X, 1 << 20, 0, 0, false));
	for (n = 0; xfer_next_r2t(&X, 1024, 65535, n, &b); n++)
		;
	ATF_CHECK_EQ(XFER_BURSTS_MAX, n);
}

ATF_TC_WITHOUT_HEAD(duplicate_datasn_is_refused);
ATF_TC_BODY(duplicate_datasn_is_refused, tc)
{
	solicited();
	ATF_CHECK_EQ(0, data_out(7, 0, 0, 8192, false));
	ATF_CHECK_EQ(-VMFS_EPROTO, data_out(7, 0, 8192, 8192, true));
}

ATF_TC_WITHOUT_HEAD(datasn_out_of_order_is_refused);
ATF_TC_BODY(datasn_out_of_order_is_refused, tc)
{
	solicited();
	ATF_CHECK_EQ(-VMFS_EPROTO, data_out(7, 1, 0, 8192, false));
	ATF_CHECK_EQ(-VMFS_EPROTO, data_out(7, 27, 0, 8192, false));
	ATF_CHECK_EQ(-VMFS_EPROTO, data_out(7, (uint32_t)-1, 0, 8192, false));
}

ATF_TC_WITHOUT_HEAD(wrong_offset_length_or_tag_is_refused);
ATF_TC_BODY(wrong_offset_length_or_tag_is_refused, tc)
{
	solicited();
	ATF_CHECK_EQ(-VMFS_EPROTO, data_out(7, 0, 512, 512, false));
	ATF_CHECK_EQ(-VMFS_EPROTO, data_out(7, 0, 0, 16385, true));
	ATF_CHECK_EQ(-VMFS_EPROTO, data_out(9, 0, 0, 512, false));
	ATF_CHECK_EQ(-VMFS_EPROTO, data_out(7, 0, 0, 512, true));
	ATF_CHECK_EQ(-VMFS_EPROTO, data_out(7, 0, 0, 16384, false));
}

ATF_TC_WITHOUT_HEAD(unsolicited_data_not_announced_is_refused);
ATF_TC_BODY(unsolicited_data_not_announced_is_refused, tc)
{
	solicited();
	ATF_CHECK_EQ(-VMFS_EPROTO, data_out(ISCSI_NO_TAG, 0, 0, 512, true));
}

ATF_TC_WITHOUT_HEAD(unsolicited_data_past_first_burst_is_refused);
ATF_TC_BODY(unsolicited_data_past_first_burst_is_refused, tc)
{
	ATF_REQUIRE_EQ(0, xfer_init(&X, 1 << 20, 0, 1024, true));
	ATF_CHECK_EQ(0, data_out(ISCSI_NO_TAG, 0, 0, 1024, false));
	ATF_CHECK_EQ(-VMFS_EPROTO, data_out(ISCSI_NO_TAG, 1, 1024, 1, true));
}

ATF_TC_WITHOUT_HEAD(window_takes_in_order_and_ignores_the_rest);
ATF_TC_BODY(window_takes_in_order_and_ignores_the_rest, tc)
{
	struct cmd_window w = { .exp = 0xfffffffe, .max = 4 };

	ATF_CHECK_EQ(1, cmd_window_max(&w));
	ATF_CHECK_EQ(CMD_TAKE, cmd_window_take(&w, 0xfffffffe));
	ATF_CHECK_EQ(CMD_TAKE, cmd_window_take(&w, 0xffffffff));
	ATF_CHECK_EQ(CMD_IGNORE, cmd_window_take(&w, 0xffffffff));
	ATF_CHECK_EQ(CMD_GAP, cmd_window_take(&w, 1));
	ATF_CHECK_EQ(CMD_IGNORE, cmd_window_take(&w, 4));
	ATF_CHECK_EQ(0, w.exp);
}

ATF_TC_WITHOUT_HEAD(full_window_takes_nothing);
ATF_TC_BODY(full_window_takes_nothing, tc)
{
	struct cmd_window w = { .exp = 5, .in_flight = 4, .max = 4 };

	ATF_CHECK_EQ(4, cmd_window_max(&w));
	ATF_CHECK_EQ(CMD_IGNORE, cmd_window_take(&w, 5));
	w.in_flight--;
	ATF_CHECK_EQ(CMD_TAKE, cmd_window_take(&w, 5));
}

ATF_TP_ADD_TCS(tp)
{
	ATF_TP_ADD_TC(tp, immediate_data_can_be_all);
	ATF_TP_ADD_TC(tp, immediate_data_past_first_burst_is_refused);
	ATF_TP_ADD_TC(tp, unsolicited_then_solicited);
	ATF_TP_ADD_TC(tp, r2ts_stay_within_outstanding);
	ATF_TP_ADD_TC(tp, duplicate_datasn_is_refused);
	ATF_TP_ADD_TC(tp, datasn_out_of_order_is_refused);
	ATF_TP_ADD_TC(tp, wrong_offset_length_or_tag_is_refused);
	ATF_TP_ADD_TC(tp, unsolicited_data_not_announced_is_refused);
	ATF_TP_ADD_TC(tp, unsolicited_data_past_first_burst_is_refused);
	ATF_TP_ADD_TC(tp, window_takes_in_order_and_ignores_the_rest);
	ATF_TP_ADD_TC(tp, full_window_takes_nothing);
	return atf_no_error();
}
