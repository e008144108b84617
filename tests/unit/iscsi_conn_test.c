/* SPDX-License-Identifier: BSD-2-Clause */
/* What a well-behaved initiator gets from a connection, PDU by PDU. */
#include <atf-c.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/iscsi_rig.h"

static const struct rig_conf defaults;
static uint8_t buf[RIG_DATA_MAX];

static void
finish(struct rig_conn *c)
{
	rig_close(c);
	rig_stop();
}

static void
send_data_out(struct rig_conn *c, uint32_t itt, uint32_t ttt,
    uint32_t datasn, uint32_t offset, uint32_t len, bool final)
{
	union iscsi_bhs bhs;

	iscsi_bhs_init(&bhs, ISCSI_DATA_OUT, itt);
	bhs.data.flags = final ? ISCSI_FLAG_FINAL : 0;
	bhs.data.ttt = be32(ttt);
	bhs.data.datasn = be32(datasn);
	bhs.data.offset = be32(offset);
	rig_send(c, &bhs, buf + offset, len);
}

/* Answers R2Ts until the status comes; each by PDUs of `piece` bytes. */
static unsigned
answer_r2ts(struct rig_conn *c, uint32_t max_burst, uint32_t piece)
{
	uint32_t r2tsn = 0;

	for (;;) {
		union iscsi_bhs r2t;
		uint32_t offset, desired;

		ATF_REQUIRE_EQ(0, rig_recv(c));
		if (iscsi_opcode(&c->bhs) != ISCSI_R2T)
			break;
		r2t = c->bhs;
		offset = be32_get(r2t.r2t.offset);
		desired = be32_get(r2t.r2t.desired);
		ATF_CHECK_EQ(r2tsn++, be32_get(r2t.r2t.r2tsn));
		ATF_CHECK(desired > 0 && desired <= max_burst);
		for (uint32_t at = 0, sn = 0; at < desired; at += piece, sn++)
			send_data_out(c, be32_get(r2t.any.itt),
			    be32_get(r2t.r2t.ttt), sn, offset + at,
			    desired - at < piece ? desired - at : piece,
			    at + piece >= desired);
	}
	ATF_REQUIRE_EQ(ISCSI_SCSI_RSP, iscsi_opcode(&c->bhs));
	return c->bhs.rsp.status;
}

/* Reads blocks from 0 and compares them with buf; checks every Data-In. */
static void
read_back(struct rig_conn *c, uint16_t blocks, uint32_t max_burst,
    uint32_t max_data)
{
	union iscsi_bhs bhs = rig_rw(c, false, 0, blocks);
	uint32_t at = 0, sn = 0, size = blocks * 512U;

	rig_send(c, &bhs, NULL, 0);
	do {
		rig_expect(c, ISCSI_DATA_IN);
		ATF_CHECK_EQ(sn++, be32_get(c->bhs.data.datasn));
		ATF_CHECK_EQ(at, be32_get(c->bhs.data.offset));
		ATF_REQUIRE(c->len > 0 && c->len <= max_data);
		ATF_CHECK_EQ(0, memcmp(buf + at, c->data, c->len));
		at += c->len;
		ATF_CHECK_EQ(at % max_burst == 0 || at == size,
		    (c->bhs.data.flags & ISCSI_FLAG_FINAL) != 0);
	} while (at < size);
	ATF_CHECK(c->bhs.data.flags & ISCSI_DATA_STATUS);
	ATF_CHECK_EQ(0, c->bhs.data.status);
}

static void
fill(void)
{
	for (size_t i = 0; i < sizeof(buf); i++)
		buf[i] = (uint8_t)(i * 7 + i / 512);
}

/* ---- data ---- */

ATF_TC_WITHOUT_HEAD(write_by_r2t_reads_back);
ATF_TC_BODY(write_by_r2t_reads_back, tc)
{
	struct rig_conn *c;
	union iscsi_bhs bhs;

	rig_start(&defaults);
	fill();
	c = rig_login("InitialR2T=Yes\0ImmediateData=No\0"
	    "MaxBurstLength=16384\0MaxRecvDataSegmentLength=4096\0"
	    "MaxOutstandingR2T=4\0");
	rig_ready(c);
	bhs = rig_rw(c, true, 0, 300);
	rig_send(c, &bhs, NULL, 0);
	ATF_CHECK_EQ(SCSI_GOOD, answer_r2ts(c, 16384, 5000));
	read_back(c, 300, 16384, 4096);
	finish(c);
}

ATF_TC_WITHOUT_HEAD(several_r2ts_are_outstanding_at_once);
ATF_TC_BODY(several_r2ts_are_outstanding_at_once, tc)
{
	struct rig_conn *c;
	union iscsi_bhs bhs;
	uint32_t ttt[3];

	rig_start(&defaults);
	fill();
	c = rig_login("InitialR2T=Yes\0ImmediateData=No\0"
	    "MaxBurstLength=16384\0MaxOutstandingR2T=3\0");
	rig_ready(c);
	bhs = rig_rw(c, true, 0, 128);
	rig_send(c, &bhs, NULL, 0);
	for (uint32_t i = 0; i < 3; i++) {
		rig_expect(c, ISCSI_R2T);
		ATF_CHECK_EQ(i, be32_get(c->bhs.r2t.r2tsn));
		ATF_CHECK_EQ(i * 16384, be32_get(c->bhs.r2t.offset));
		ttt[i] = be32_get(c->bhs.r2t.ttt);
	}
	for (uint32_t i = 0; i < 3; i++)
		send_data_out(c, be32_get(bhs.cmd.itt), ttt[i], 0, i * 16384,
		    16384, true);
	/* The fourth comes when the first is answered, and is the last. */
	rig_expect(c, ISCSI_R2T);
	ATF_CHECK_EQ(3 * 16384, be32_get(c->bhs.r2t.offset));
	send_data_out(c, be32_get(bhs.cmd.itt), be32_get(c->bhs.r2t.ttt), 0,
	    3 * 16384, 16384, true);
	rig_expect(c, ISCSI_SCSI_RSP);
	ATF_CHECK_EQ(SCSI_GOOD, c->bhs.rsp.status);
	read_back(c, 128, 16384, 8192);
	finish(c);
}

ATF_TC_WITHOUT_HEAD(immediate_then_unsolicited_then_r2t);
ATF_TC_BODY(immediate_then_unsolicited_then_r2t, tc)
{
	struct rig_conn *c;
	union iscsi_bhs bhs;

	rig_start(&defaults);
	fill();
	c = rig_login("InitialR2T=No\0ImmediateData=Yes\0"
	    "FirstBurstLength=8192\0MaxBurstLength=65536\0");
	rig_ready(c);
	bhs = rig_rw(c, true, 0, 64);
	bhs.cmd.flags &= (uint8_t)~ISCSI_FLAG_FINAL;
	rig_send(c, &bhs, buf, 2048);
	send_data_out(c, be32_get(bhs.cmd.itt), ISCSI_NO_TAG, 0, 2048, 4096,
	    false);
	send_data_out(c, be32_get(bhs.cmd.itt), ISCSI_NO_TAG, 1, 6144, 2048,
	    true);
	ATF_CHECK_EQ(SCSI_GOOD, answer_r2ts(c, 65536, 8192));
	read_back(c, 64, 65536, 8192);
	finish(c);
}

ATF_TC_WITHOUT_HEAD(both_digests_both_ways);
ATF_TC_BODY(both_digests_both_ways, tc)
{
	struct rig_conn *c;
	union iscsi_bhs bhs;

	rig_start(&defaults);
	fill();
	c = rig_login("HeaderDigest=CRC32C\0DataDigest=CRC32C\0"
	    "MaxBurstLength=65536\0");
	c->header_digest = c->data_digest = true;
	rig_ready(c);
	bhs = rig_rw(c, true, 0, 64);
	rig_send(c, &bhs, buf, 1000);
	ATF_CHECK_EQ(SCSI_GOOD, answer_r2ts(c, 65536, 7777));
	read_back(c, 64, 65536, 8192);
	finish(c);
}

/* Data-In of several commands may mix; each has its own order. */
ATF_TC_WITHOUT_HEAD(reads_at_once_come_back_whole);
ATF_TC_BODY(reads_at_once_come_back_whole, tc)
{
	enum { READS = 8, BLOCKS = 128, SIZE = BLOCKS * 512 };
	uint32_t first, at[READS] = { 0 }, sn[READS] = { 0 };
	struct rig_conn *c;
	union iscsi_bhs bhs;
	unsigned done = 0;

	rig_start(&defaults);
	fill();
	c = rig_login("MaxRecvDataSegmentLength=2048\0InitialR2T=Yes\0");
	rig_ready(c);
	bhs = rig_rw(c, true, 0, READS * BLOCKS);
	rig_send(c, &bhs, NULL, 0);
	ATF_REQUIRE_EQ(SCSI_GOOD, answer_r2ts(c, 262144, 65536));
	first = c->itt;
	for (uint32_t i = 0; i < READS; i++) {
		bhs = rig_rw(c, false, i * BLOCKS, BLOCKS);
		rig_send(c, &bhs, NULL, 0);
	}
	while (done < READS) {
		uint32_t i;

		rig_expect(c, ISCSI_DATA_IN);
		i = be32_get(c->bhs.any.itt) - first;
		ATF_REQUIRE(i < READS);
		ATF_CHECK_EQ(sn[i]++, be32_get(c->bhs.data.datasn));
		ATF_CHECK_EQ(at[i], be32_get(c->bhs.data.offset));
		ATF_CHECK_EQ(0, memcmp(buf + i * SIZE + at[i], c->data,
		    c->len));
		at[i] += c->len;
		if (c->bhs.data.flags & ISCSI_DATA_STATUS) {
			ATF_CHECK_EQ(SIZE, at[i]);
			done++;
		}
	}
	finish(c);
}

ATF_TC_WITHOUT_HEAD(wrong_datasn_fails_the_command_alone);
ATF_TC_BODY(wrong_datasn_fails_the_command_alone, tc)
{
	struct rig_conn *c;
	union iscsi_bhs bhs;

	rig_start(&defaults);
	c = rig_login("");
	rig_ready(c);
	bhs = rig_rw(c, true, 0, 8);
	rig_send(c, &bhs, NULL, 0);
	rig_expect(c, ISCSI_R2T);
	send_data_out(c, be32_get(bhs.cmd.itt), be32_get(c->bhs.r2t.ttt), 27,
	    0, 4096, true);
	rig_expect(c, ISCSI_SCSI_RSP);
	ATF_CHECK_EQ(SCSI_CHECK_CONDITION, c->bhs.rsp.status);
	ATF_CHECK_EQ(0x0b, c->data[2 + 2] & 0x0f);
	ATF_CHECK_EQ(SCSI_GOOD, rig_ready(c));
	finish(c);
}

ATF_TC_WITHOUT_HEAD(residuals_tell_over_and_underflow);
ATF_TC_BODY(residuals_tell_over_and_underflow, tc)
{
	struct rig_conn *c;
	union iscsi_bhs bhs;

	rig_start(&defaults);
	c = rig_login("");
	rig_ready(c);
	bhs = rig_rw(c, false, 0, 2);
	bhs.cmd.edtl = be32(512);
	rig_send(c, &bhs, NULL, 0);
	rig_expect(c, ISCSI_DATA_IN);
	ATF_CHECK_EQ(512, c->len);
	ATF_CHECK(c->bhs.data.flags & ISCSI_RSP_OVERFLOW);
	ATF_CHECK_EQ(512, be32_get(c->bhs.data.residual));
	bhs = rig_rw(c, false, 0, 2);
	bhs.cmd.edtl = be32(4096);
	rig_send(c, &bhs, NULL, 0);
	rig_expect(c, ISCSI_DATA_IN);
	ATF_CHECK_EQ(1024, c->len);
	ATF_CHECK(c->bhs.data.flags & ISCSI_RSP_UNDERFLOW);
	ATF_CHECK_EQ(3072, be32_get(c->bhs.data.residual));
	finish(c);
}

/* ---- numbers ---- */

ATF_TC_WITHOUT_HEAD(command_outside_the_window_is_ignored);
ATF_TC_BODY(command_outside_the_window_is_ignored, tc)
{
	static const uint8_t cdb[16];
	struct rig_conn *c;
	union iscsi_bhs bhs;

	rig_start(&defaults);
	c = rig_login("");
	rig_ready(c);
	bhs = rig_cmd(c, 0, 0, cdb);
	bhs.cmd.cmdsn = be32(--c->cmdsn - 1);
	rig_send(c, &bhs, NULL, 0);
	bhs.cmd.cmdsn = be32(c->cmdsn + 10000);
	rig_send(c, &bhs, NULL, 0);
	/* Only this one is answered. */
	bhs = rig_request(c, ISCSI_NOP_OUT);
	rig_send(c, &bhs, NULL, 0);
	rig_expect(c, ISCSI_NOP_IN);
	finish(c);
}

ATF_TC_WITHOUT_HEAD(statsn_counts_and_window_stays_open);
ATF_TC_BODY(statsn_counts_and_window_stays_open, tc)
{
	struct rig_conf conf = { .limits.commands_max = 4 };
	struct rig_conn *c;
	uint32_t statsn;

	rig_start(&conf);
	c = rig_login("");
	rig_ready(c);
	statsn = be32_get(c->bhs.any.statsn);
	for (uint32_t i = 1; i <= 20; i++) {
		ATF_REQUIRE_EQ(SCSI_GOOD, rig_ready(c));
		ATF_CHECK_EQ(statsn + i, be32_get(c->bhs.any.statsn));
		ATF_CHECK_EQ(c->cmdsn, be32_get(c->bhs.any.exp_cmdsn));
		ATF_CHECK_EQ(c->cmdsn + 3, be32_get(c->bhs.any.max_cmdsn));
	}
	finish(c);
}

ATF_TC_WITHOUT_HEAD(ping_is_echoed);
ATF_TC_BODY(ping_is_echoed, tc)
{
	struct rig_conn *c;
	union iscsi_bhs bhs;

	rig_start(&defaults);
	fill();
	c = rig_login("");
	bhs = rig_request(c, ISCSI_NOP_OUT);
	rig_send(c, &bhs, buf, 1001);
	rig_expect(c, ISCSI_NOP_IN);
	ATF_CHECK_EQ(1001, c->len);
	ATF_CHECK_EQ(0, memcmp(buf, c->data, 1001));
	ATF_CHECK_EQ(ISCSI_NO_TAG, be32_get(c->bhs.any.ttt));
	finish(c);
}

/* ---- keep-alive ---- */

ATF_TC_WITHOUT_HEAD(silent_peer_is_asked_then_dropped);
ATF_TC_BODY(silent_peer_is_asked_then_dropped, tc)
{
	struct rig_conf conf = { .limits.nop_interval_s = 1 };
	struct rig_conn *c;

	rig_start(&conf);
	c = rig_login("");
	rig_expect(c, ISCSI_NOP_IN);
	ATF_CHECK_EQ(ISCSI_NO_TAG, be32_get(c->bhs.any.itt));
	ATF_CHECK(be32_get(c->bhs.any.ttt) != ISCSI_NO_TAG);
	ATF_CHECK(rig_closed(c));
	finish(c);
}

ATF_TC_WITHOUT_HEAD(answered_keep_alive_keeps_the_session);
ATF_TC_BODY(answered_keep_alive_keeps_the_session, tc)
{
	struct rig_conf conf = { .limits.nop_interval_s = 1 };
	struct rig_conn *c;

	rig_start(&conf);
	c = rig_login("");
	/* More than a silent peer is given. */
	for (int i = 0; i < 4; i++) {
		union iscsi_bhs bhs;

		rig_expect(c, ISCSI_NOP_IN);
		iscsi_bhs_init(&bhs, ISCSI_NOP_OUT, ISCSI_NO_TAG);
		bhs.any.opcode |= ISCSI_IMMEDIATE;
		bhs.any.ttt = c->bhs.any.ttt;
		rig_send(c, &bhs, NULL, 0);
	}
	ATF_CHECK_EQ(SCSI_GOOD, rig_ready(c));
	finish(c);
}

/* ---- task management ---- */

static union iscsi_bhs
tmf(struct rig_conn *c, enum scsi_tmf function, uint32_t ref)
{
	union iscsi_bhs bhs = rig_request(c, ISCSI_TMF_REQ);

	c->cmdsn--;
	bhs.any.opcode |= ISCSI_IMMEDIATE;
	bhs.tmf.cmdsn = be32(c->cmdsn);
	bhs.tmf.function = (uint8_t)(0x80 | function);
	bhs.tmf.ref_tag = be32(ref);
	rig_send(c, &bhs, NULL, 0);
	rig_expect(c, ISCSI_TMF_RSP);
	return c->bhs;
}

ATF_TC_WITHOUT_HEAD(abort_of_a_write_that_waits_for_data);
ATF_TC_BODY(abort_of_a_write_that_waits_for_data, tc)
{
	struct rig_conn *c;
	union iscsi_bhs bhs, rsp;
	uint32_t ttt;

	rig_start(&defaults);
	c = rig_login("");
	rig_ready(c);
	bhs = rig_rw(c, true, 0, 8);
	rig_send(c, &bhs, NULL, 0);
	rig_expect(c, ISCSI_R2T);
	ttt = be32_get(c->bhs.r2t.ttt);
	rsp = tmf(c, SCSI_TMF_ABORT_TASK, be32_get(bhs.cmd.itt));
	ATF_CHECK_EQ(SCSI_TMF_COMPLETE, rsp.rsp.response);
	/* Data that was on its way is nobody's, and no answer comes. */
	send_data_out(c, be32_get(bhs.cmd.itt), ttt, 0, 0, 4096, true);
	ATF_CHECK_EQ(SCSI_GOOD, rig_ready(c));
	finish(c);
}

ATF_TC_WITHOUT_HEAD(abort_of_an_unknown_task_says_so);
ATF_TC_BODY(abort_of_an_unknown_task_says_so, tc)
{
	struct rig_conn *c;

	rig_start(&defaults);
	c = rig_login("");
	rig_ready(c);
	ATF_CHECK_EQ(SCSI_TMF_NO_TASK,
	    tmf(c, SCSI_TMF_ABORT_TASK, 4711).rsp.response);
	ATF_CHECK_EQ(4, tmf(c, 8, 4711).rsp.response);
	ATF_CHECK_EQ(SCSI_TMF_NOT_SUPPORTED, tmf(c, 99, 1).rsp.response);
	ATF_CHECK_EQ(SCSI_TMF_COMPLETE,
	    tmf(c, SCSI_TMF_LOGICAL_UNIT_RESET, 0).rsp.response);
	finish(c);
}

ATF_TC_WITHOUT_HEAD(cold_reset_ends_the_sessions);
ATF_TC_BODY(cold_reset_ends_the_sessions, tc)
{
	struct rig_conn *c, *other;

	rig_start(&defaults);
	c = rig_login("");
	other = rig_login("");
	ATF_CHECK_EQ(SCSI_TMF_COMPLETE,
	    tmf(c, SCSI_TMF_TARGET_COLD_RESET, 0).rsp.response);
	rig_expect(other, ISCSI_ASYNC);
	ATF_CHECK(rig_closed(c) && rig_closed(other));
	rig_close(other);
	rig_alive();
	finish(c);
}

/* ---- sessions ---- */

ATF_TC_WITHOUT_HEAD(same_isid_reinstates_the_session);
ATF_TC_BODY(same_isid_reinstates_the_session, tc)
{
	struct rig_conn *old, *new;

	rig_start(&defaults);
	old = rig_connect();
	new = rig_connect();
	ATF_REQUIRE_EQ(0, rig_login_as(old, "iqn.a", RIG_IQN, 200, 0, "", 0));
	ATF_REQUIRE_EQ(0, rig_login_as(new, "iqn.a", RIG_IQN, 200, 0, "", 0));
	ATF_CHECK(rig_closed(old));
	ATF_CHECK_EQ(SCSI_GOOD, rig_ready(new));
	rig_close(old);
	finish(new);
}

ATF_TC_WITHOUT_HEAD(initiator_may_have_many_sessions);
ATF_TC_BODY(initiator_may_have_many_sessions, tc)
{
	struct rig_conn *c[8];

	rig_start(&defaults);
	for (int i = 0; i < 8; i++)
		c[i] = rig_login("");
	for (int i = 0; i < 8; i++) {
		ATF_CHECK_EQ(SCSI_GOOD, rig_ready(c[i]));
		rig_close(c[i]);
	}
	rig_stop();
}

ATF_TC_WITHOUT_HEAD(second_connection_of_a_session_is_refused);
ATF_TC_BODY(second_connection_of_a_session_is_refused, tc)
{
	struct rig_conn *c, *more;
	uint16_t tsih;

	rig_start(&defaults);
	c = rig_login("");
	tsih = be16_get(c->bhs.login.tsih);
	ATF_CHECK(tsih != 0);
	more = rig_connect();
	ATF_CHECK_EQ(ISCSI_LOGIN_TOO_MANY, rig_login_as(more, "iqn.rig",
	    RIG_IQN, 1, tsih, "", 0));
	rig_close(more);
	more = rig_connect();
	ATF_CHECK_EQ(ISCSI_LOGIN_NO_SESSION, rig_login_as(more, "iqn.rig",
	    RIG_IQN, 1, (uint16_t)(tsih + 77), "", 0));
	rig_close(more);
	finish(c);
}

ATF_TC_WITHOUT_HEAD(sessions_are_limited);
ATF_TC_BODY(sessions_are_limited, tc)
{
	struct rig_conf conf = { .limits.sessions_max = 1 };
	struct rig_conn *c, *more;

	rig_start(&conf);
	c = rig_login("");
	more = rig_connect();
	ATF_CHECK_EQ(ISCSI_LOGIN_RESOURCES, rig_login_as(more, "iqn.b",
	    RIG_IQN, 1, 0, "", 0));
	rig_close(more);
	finish(c);
}

ATF_TC_WITHOUT_HEAD(logout_is_answered_and_closes);
ATF_TC_BODY(logout_is_answered_and_closes, tc)
{
	struct rig_conn *c;
	union iscsi_bhs bhs;

	rig_start(&defaults);
	c = rig_login("");
	bhs = rig_request(c, ISCSI_LOGOUT_REQ);
	bhs.logout.reason = 0x80 | 1;
	bhs.logout.cid = be16(9);
	rig_send(c, &bhs, NULL, 0);
	rig_expect(c, ISCSI_LOGOUT_RSP);
	ATF_CHECK_EQ(1, c->bhs.logout.response);
	bhs = rig_request(c, ISCSI_LOGOUT_REQ);
	rig_send(c, &bhs, NULL, 0);
	rig_expect(c, ISCSI_LOGOUT_RSP);
	ATF_CHECK_EQ(0, c->bhs.logout.response);
	ATF_CHECK(rig_closed(c));
	finish(c);
}

ATF_TC_WITHOUT_HEAD(shutdown_tells_the_initiator);
ATF_TC_BODY(shutdown_tells_the_initiator, tc)
{
	struct rig_conn *c;

	rig_start(&defaults);
	c = rig_login("");
	rig_ready(c);
	rig_stop_begin();
	rig_expect(c, ISCSI_ASYNC);
	ATF_CHECK_EQ(ISCSI_ASYNC_DROP_ALL, c->bhs.async.event);
	ATF_CHECK(rig_closed(c));
	rig_close(c);
	rig_join();
}

ATF_TC_WITHOUT_HEAD(administrator_ends_a_session);
ATF_TC_BODY(administrator_ends_a_session, tc)
{
	struct rig_conn *c, *other;

	rig_start(&defaults);
	c = rig_login("");
	rig_drop_session(be16_get(c->bhs.login.tsih));
	other = rig_login("");
	rig_expect(c, ISCSI_ASYNC);
	ATF_CHECK(rig_closed(c));
	ATF_CHECK_EQ(SCSI_GOOD, rig_ready(other));
	rig_close(other);
	finish(c);
}

static void
note_session(void *arg, const struct iscsi_session_info *i)
{
	struct iscsi_session_info *last = arg;

	/* Strings live as long as the session, which we keep open. */
	*last = *i;
}

ATF_TC_WITHOUT_HEAD(sessions_are_listed_with_their_work);
ATF_TC_BODY(sessions_are_listed_with_their_work, tc)
{
	struct iscsi_session_info info = { .target = NULL };
	struct rig_conn *c;
	union iscsi_bhs bhs;

	rig_start(&defaults);
	c = rig_login("HeaderDigest=CRC32C\0");
	c->header_digest = true;
	rig_ready(c);
	bhs = rig_rw(c, true, 0, 4);
	rig_send(c, &bhs, buf, 2048);
	rig_expect(c, ISCSI_SCSI_RSP);
	read_back(c, 4, 65536, 8192);
	/* One more, waiting for its data. */
	bhs = rig_rw(c, true, 0, 4);
	rig_send(c, &bhs, NULL, 0);
	rig_expect(c, ISCSI_R2T);
	rig_sessions(note_session, &info);
	ATF_CHECK_STREQ(RIG_IQN, info.target);
	ATF_CHECK_STREQ("iqn.rig", info.initiator);
	ATF_CHECK(info.tsih != 0 && info.since_us != 0);
	ATF_CHECK(info.header_digest && !info.data_digest);
	ATF_CHECK_EQ(1, info.commands);
	ATF_CHECK(info.commands_done >= 3);
	ATF_CHECK(info.bytes_in >= 2048 && info.bytes_out >= 2048);
	finish(c);
}

/* ---- text ---- */

ATF_TC_WITHOUT_HEAD(current_target_is_told_in_full_feature_phase);
ATF_TC_BODY(current_target_is_told_in_full_feature_phase, tc)
{
	static const char want[] = "TargetName=" RIG_IQN;
	struct rig_conn *c;
	union iscsi_bhs bhs;

	rig_start(&defaults);
	c = rig_login("");
	bhs = rig_request(c, ISCSI_TEXT_REQ);
	rig_send(c, &bhs, "SendTargets=", 13);
	rig_expect(c, ISCSI_TEXT_RSP);
	ATF_CHECK(c->bhs.any.flags & ISCSI_FLAG_FINAL);
	ATF_CHECK_STREQ(want, (char *)c->data);
	bhs = rig_request(c, ISCSI_TEXT_REQ);
	rig_send(c, &bhs, "SendTargets=All", 16);
	rig_expect(c, ISCSI_TEXT_RSP);
	ATF_CHECK_STREQ("SendTargets=Reject", (char *)c->data);
	finish(c);
}

ATF_TC_WITHOUT_HEAD(keys_of_the_login_are_rejected_later);
ATF_TC_BODY(keys_of_the_login_are_rejected_later, tc)
{
	static const char keys[] = "InitiatorAlias=me\0SessionType=Normal\0"
	    "InitialR2T=Yes\0X-com.example.key=1";
	static const char want[] = "SessionType=Reject\0InitialR2T=Reject\0"
	    "X-com.example.key=NotUnderstood";
	struct rig_conn *c;
	union iscsi_bhs bhs;

	rig_start(&defaults);
	c = rig_login("");
	bhs = rig_request(c, ISCSI_TEXT_REQ);
	rig_send(c, &bhs, keys, sizeof(keys));
	rig_expect(c, ISCSI_TEXT_RSP);
	ATF_REQUIRE_EQ(sizeof(want), c->len);
	ATF_CHECK_EQ(0, memcmp(want, c->data, sizeof(want)));
	finish(c);
}

ATF_TC_WITHOUT_HEAD(long_target_list_comes_in_pieces);
ATF_TC_BODY(long_target_list_comes_in_pieces, tc)
{
	static const char keys[] = "MaxRecvDataSegmentLength=512";
	struct rig_conf conf = { .targets = 100 };
	struct rig_conn *c;
	union iscsi_bhs bhs;
	uint32_t ttt = ISCSI_NO_TAG;
	unsigned names = 0, rounds = 0;
	bool final;

	rig_start(&conf);
	c = rig_connect();
	ATF_REQUIRE_EQ(0, rig_login_as(c, "iqn.rig", NULL, 1, 0, keys,
	    sizeof(keys)));
	do {
		bhs = rig_request(c, ISCSI_TEXT_REQ);
		bhs.any.ttt = be32(ttt);
		rig_send(c, &bhs, "SendTargets=All", rounds++ ? 0 : 16);
		rig_expect(c, ISCSI_TEXT_RSP);
		ATF_REQUIRE(c->len <= 512 && rounds < 100);
		final = c->bhs.any.flags & ISCSI_FLAG_FINAL;
		ATF_CHECK_EQ(!final,
		    (c->bhs.any.flags & ISCSI_FLAG_CONTINUE) != 0);
		ttt = be32_get(c->bhs.any.ttt);
		/* Names may be cut: count what each pair has once. */
		for (uint32_t i = 0; i < c->len; i++)
			names += c->data[i] == ',';
	} while (!final);
	ATF_CHECK_EQ(ISCSI_NO_TAG, ttt);
	ATF_CHECK_EQ(101, names);
	finish(c);
}

ATF_TC_WITHOUT_HEAD(discovery_session_takes_no_commands);
ATF_TC_BODY(discovery_session_takes_no_commands, tc)
{
	static const uint8_t cdb[16];
	struct rig_conn *c;
	union iscsi_bhs bhs;

	rig_start(&defaults);
	c = rig_connect();
	ATF_REQUIRE_EQ(0, rig_login_as(c, "iqn.rig", NULL, 1, 0, "", 0));
	bhs = rig_cmd(c, 0, 0, cdb);
	rig_send(c, &bhs, NULL, 0);
	rig_expect(c, ISCSI_REJECT);
	ATF_CHECK(rig_closed(c));
	finish(c);
}

ATF_TP_ADD_TCS(tp)
{
	ATF_TP_ADD_TC(tp, write_by_r2t_reads_back);
	ATF_TP_ADD_TC(tp, several_r2ts_are_outstanding_at_once);
	ATF_TP_ADD_TC(tp, immediate_then_unsolicited_then_r2t);
	ATF_TP_ADD_TC(tp, both_digests_both_ways);
	ATF_TP_ADD_TC(tp, reads_at_once_come_back_whole);
	ATF_TP_ADD_TC(tp, wrong_datasn_fails_the_command_alone);
	ATF_TP_ADD_TC(tp, residuals_tell_over_and_underflow);
	ATF_TP_ADD_TC(tp, command_outside_the_window_is_ignored);
	ATF_TP_ADD_TC(tp, statsn_counts_and_window_stays_open);
	ATF_TP_ADD_TC(tp, ping_is_echoed);
	ATF_TP_ADD_TC(tp, silent_peer_is_asked_then_dropped);
	ATF_TP_ADD_TC(tp, answered_keep_alive_keeps_the_session);
	ATF_TP_ADD_TC(tp, abort_of_a_write_that_waits_for_data);
	ATF_TP_ADD_TC(tp, abort_of_an_unknown_task_says_so);
	ATF_TP_ADD_TC(tp, cold_reset_ends_the_sessions);
	ATF_TP_ADD_TC(tp, same_isid_reinstates_the_session);
	ATF_TP_ADD_TC(tp, initiator_may_have_many_sessions);
	ATF_TP_ADD_TC(tp, second_connection_of_a_session_is_refused);
	ATF_TP_ADD_TC(tp, sessions_are_limited);
	ATF_TP_ADD_TC(tp, logout_is_answered_and_closes);
	ATF_TP_ADD_TC(tp, shutdown_tells_the_initiator);
	ATF_TP_ADD_TC(tp, administrator_ends_a_session);
	ATF_TP_ADD_TC(tp, sessions_are_listed_with_their_work);
	ATF_TP_ADD_TC(tp, current_target_is_told_in_full_feature_phase);
	ATF_TP_ADD_TC(tp, keys_of_the_login_are_rejected_later);
	ATF_TP_ADD_TC(tp, long_target_list_comes_in_pieces);
	ATF_TP_ADD_TC(tp, discovery_session_takes_no_commands);
	return atf_no_error();
}
