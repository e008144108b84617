/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A peer that asks for more than its share gets its share: each test has a
 * neighbour on the same target, whose commands must go on meanwhile.
 */
#include <atf-c.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/iscsi_rig.h"

static uint8_t buf[RIG_DATA_MAX];
static struct rig_conn *neighbour;

static void
begin(const struct iscsi_limits *limits)
{
	struct rig_conf conf = { .limits = *limits };

	rig_start(&conf);
	neighbour = rig_login("MaxRecvDataSegmentLength=1048576\0");
	ATF_REQUIRE_EQ(SCSI_GOOD, rig_ready(neighbour));
}

static void
send_data_out(struct rig_conn *c, const union iscsi_bhs *r2t, uint32_t len)
{
	union iscsi_bhs bhs;

	iscsi_bhs_init(&bhs, ISCSI_DATA_OUT, be32_get(r2t->any.itt));
	bhs.data.ttt = r2t->r2t.ttt;
	bhs.data.offset = r2t->r2t.offset;
	rig_send(c, &bhs, buf, len);
}

/* A write of blocks from 0, all of its data on demand; its status. */
static unsigned
write_blocks(struct rig_conn *c, uint16_t blocks)
{
	union iscsi_bhs bhs = rig_rw(c, true, 0, blocks);

	rig_send(c, &bhs, NULL, 0);
	for (;;) {
		ATF_REQUIRE_EQ(0, rig_recv(c));
		if (iscsi_opcode(&c->bhs) != ISCSI_R2T)
			break;
		ATF_REQUIRE(be32_get(c->bhs.r2t.desired) <= sizeof(buf));
		send_data_out(c, &c->bhs, be32_get(c->bhs.r2t.desired));
	}
	ATF_REQUIRE_EQ(ISCSI_SCSI_RSP, iscsi_opcode(&c->bhs));
	return c->bhs.rsp.status;
}

/* Starts a write that waits for its data. */
static void
open_write(struct rig_conn *c, uint16_t blocks)
{
	union iscsi_bhs bhs = rig_rw(c, true, 0, blocks);

	rig_send(c, &bhs, NULL, 0);
	rig_expect(c, ISCSI_R2T);
}

static unsigned
read_blocks(struct rig_conn *c, uint16_t blocks)
{
	union iscsi_bhs bhs = rig_rw(c, false, 0, blocks);

	rig_send(c, &bhs, NULL, 0);
	do {
		ATF_REQUIRE_EQ(0, rig_recv(c));
		if (iscsi_opcode(&c->bhs) == ISCSI_SCSI_RSP)
			return c->bhs.rsp.status;
	} while (!(c->bhs.data.flags & ISCSI_DATA_STATUS));
	return SCSI_GOOD;
}

/* The neighbour, who may have heard of a reset, reads and writes. */
static void
calm(void)
{
	ATF_CHECK_EQ(SCSI_GOOD, rig_ready(neighbour));
	ATF_CHECK_EQ(SCSI_GOOD, write_blocks(neighbour, 64));
	ATF_CHECK_EQ(SCSI_GOOD, read_blocks(neighbour, 64));
}

static void
end(struct rig_conn *c)
{
	calm();
	rig_close(c);
	calm();
	rig_close(neighbour);
	rig_alive();
	rig_stop();
}

ATF_TC_WITHOUT_HEAD(immediate_commands_are_limited);
ATF_TC_BODY(immediate_commands_are_limited, tc)
{
	const struct iscsi_limits limits = { 0 };
	unsigned rejected = 0, asked = 0;
	struct rig_conn *c;

	begin(&limits);
	c = rig_login("");
	for (int i = 0; i < 40; i++) {
		union iscsi_bhs bhs = rig_rw(c, true, 0, 8);

		bhs.any.opcode |= ISCSI_IMMEDIATE;
		c->cmdsn--;
		bhs.cmd.cmdsn = be32(c->cmdsn);
		rig_send(c, &bhs, NULL, 0);
		ATF_REQUIRE_EQ(0, rig_recv(c));
		if (iscsi_opcode(&c->bhs) == ISCSI_REJECT) {
			ATF_CHECK_EQ(ISCSI_REJECT_IMMEDIATE, c->bhs.any.b2);
			rejected++;
		} else if (iscsi_opcode(&c->bhs) == ISCSI_R2T) {
			asked++;
		}
	}
	ATF_CHECK_EQ(8, rejected);
	ATF_CHECK_EQ(32, asked);
	end(c);
}

ATF_TC_WITHOUT_HEAD(connections_in_login_are_limited);
ATF_TC_BODY(connections_in_login_are_limited, tc)
{
	const struct iscsi_limits limits = {
		.sessions_max = 2, .login_timeout_s = 3600,
	};
	struct rig_conn *c[80], *last;

	begin(&limits);
	/* With the neighbour's, 15 above the limit: the oldest give way. */
	for (int i = 0; i < 80; i++)
		c[i] = rig_connect();
	for (int i = 0; i < 15; i++)
		ATF_CHECK_MSG(rig_closed(c[i]), "connection %d stays", i);
	calm();
	/* Whoever comes now finds a place. */
	last = rig_login("");
	ATF_CHECK_EQ(SCSI_GOOD, rig_ready(last));
	for (int i = 0; i < 80; i++)
		rig_close(c[i]);
	end(last);
}

ATF_TC_WITHOUT_HEAD(discovery_leaves_room_for_work);
ATF_TC_BODY(discovery_leaves_room_for_work, tc)
{
	const struct iscsi_limits limits = { .sessions_max = 8 };
	struct rig_conn *c[3], *work;

	begin(&limits);
	for (uint8_t i = 0; i < 3; i++) {
		c[i] = rig_connect();
		ATF_CHECK_EQ(i < 2 ? ISCSI_LOGIN_OK : ISCSI_LOGIN_RESOURCES,
		    rig_login_as(c[i], "iqn.many", NULL, i, 0, "", 0));
	}
	work = rig_login("");
	for (int i = 0; i < 3; i++)
		rig_close(c[i]);
	end(work);
}

ATF_TC_WITHOUT_HEAD(login_that_trickles_times_out);
ATF_TC_BODY(login_that_trickles_times_out, tc)
{
	const struct iscsi_limits limits = { .login_timeout_s = 2 };
	struct rig_conn *c;
	union iscsi_bhs bhs;
	struct pollfd p = { .events = POLLIN };
	int bytes = 0;

	begin(&limits);
	c = rig_connect();
	p.fd = c->fd;
	iscsi_bhs_init(&bhs, ISCSI_LOGIN_REQ, 1);
	bhs.any.data_len = be24(8192);
	rig_send_raw(c, &bhs, sizeof(bhs));
	/* A byte each 20 ms, until the server hangs up. */
	while (poll(&p, 1, 20) == 0 && bytes++ < 1000)
		rig_send_raw(c, "x", 1);
	ATF_CHECK(bytes < 1000);
	ATF_CHECK(rig_closed(c));
	end(c);
}

ATF_TC_WITHOUT_HEAD(stray_data_is_thrown_away);
ATF_TC_BODY(stray_data_is_thrown_away, tc)
{
	const struct iscsi_limits limits = { 0 };
	struct rig_conn *c;

	begin(&limits);
	c = rig_login("");
	for (uint32_t i = 0; i < 50; i++) {
		union iscsi_bhs bhs;

		iscsi_bhs_init(&bhs, ISCSI_DATA_OUT, 5000 + i);
		bhs.data.ttt = be32(i);
		rig_send(c, &bhs, buf, 8192);
	}
	ATF_CHECK_EQ(SCSI_GOOD, rig_ready(c));
	end(c);
}

ATF_TC_WITHOUT_HEAD(more_than_the_r2t_asked_for_fails_the_command);
ATF_TC_BODY(more_than_the_r2t_asked_for_fails_the_command, tc)
{
	const struct iscsi_limits limits = { 0 };
	struct rig_conn *c;

	begin(&limits);
	c = rig_login("");
	rig_ready(c);
	open_write(c, 8);
	send_data_out(c, &c->bhs, 16 * 512);
	rig_expect(c, ISCSI_SCSI_RSP);
	ATF_CHECK_EQ(SCSI_CHECK_CONDITION, c->bhs.rsp.status);
	ATF_REQUIRE(c->len >= 16);
	ATF_CHECK_EQ(0x0b, c->data[2 + 2] & 0x0f);
	ATF_CHECK_EQ(SCSI_GOOD, write_blocks(c, 8));
	end(c);
}

ATF_TC_WITHOUT_HEAD(storm_of_task_management_is_answered);
ATF_TC_BODY(storm_of_task_management_is_answered, tc)
{
	const struct iscsi_limits limits = { 0 };
	static const uint8_t functions[] = { 1, 2, 3, 4, 5, 8, 6 };
	const unsigned storm = 210;
	struct rig_conn *c;

	begin(&limits);
	c = rig_login("");
	rig_ready(c);
	for (unsigned i = 0; i < storm; i++) {
		union iscsi_bhs bhs = rig_request(c, ISCSI_TMF_REQ);

		bhs.any.opcode |= ISCSI_IMMEDIATE;
		c->cmdsn--;
		bhs.tmf.cmdsn = be32(c->cmdsn);
		bhs.tmf.function = ISCSI_FLAG_FINAL |
		    functions[i % sizeof(functions)];
		bhs.tmf.ref_tag = be32(i);
		rig_send(c, &bhs, NULL, 0);
	}
	for (unsigned i = 0; i < storm; i++)
		rig_expect(c, ISCSI_TMF_RSP);
	ATF_CHECK_EQ(SCSI_GOOD, rig_ready(c));
	end(c);
}

ATF_TC_WITHOUT_HEAD(logout_ends_what_is_under_way);
ATF_TC_BODY(logout_ends_what_is_under_way, tc)
{
	const struct iscsi_limits limits = { 0 };
	union iscsi_bhs bhs;
	struct rig_conn *c;

	begin(&limits);
	c = rig_login("");
	rig_ready(c);
	for (int i = 0; i < 10; i++)
		open_write(c, 64);
	for (int i = 0; i < 10; i++) {
		bhs = rig_rw(c, false, 0, 1024);
		rig_send(c, &bhs, NULL, 0);
	}
	bhs = rig_request(c, ISCSI_LOGOUT_REQ);
	bhs.logout.reason = ISCSI_FLAG_FINAL;
	rig_send(c, &bhs, NULL, 0);
	do {
		ATF_REQUIRE_EQ(0, rig_recv(c));
	} while (iscsi_opcode(&c->bhs) != ISCSI_LOGOUT_RSP);
	ATF_CHECK_EQ(0, c->bhs.logout.response);
	ATF_CHECK(rig_closed(c));
	end(c);
}

ATF_TC_WITHOUT_HEAD(data_out_of_all_sessions_is_limited);
ATF_TC_BODY(data_out_of_all_sessions_is_limited, tc)
{
	const struct iscsi_limits limits = { .data_max = 2 << 20 };
	union iscsi_bhs bhs;
	struct rig_conn *c;

	begin(&limits);
	c = rig_login("ImmediateData=Yes\0");
	rig_ready(c);
	/* 3 MiB: all that there is for everybody, and its own share. */
	open_write(c, 6144);
	ATF_CHECK_EQ(SCSI_BUSY, write_blocks(c, 8));
	bhs = rig_rw(c, true, 0, 8);
	rig_send(c, &bhs, buf, 8 * 512);
	rig_expect(c, ISCSI_SCSI_RSP);
	ATF_CHECK_EQ(SCSI_BUSY, c->bhs.rsp.status);
	/* A neighbour who asks for little goes on, for much has to wait. */
	calm();
	ATF_CHECK_EQ(SCSI_BUSY, write_blocks(neighbour, 4096));
	rig_close(c);
	/* Its data is free once its connection is seen to be gone. */
	while (write_blocks(neighbour, 4096) == SCSI_BUSY)
		;
	c = rig_login("");
	end(c);
}

ATF_TC_WITHOUT_HEAD(data_in_of_a_session_is_limited);
ATF_TC_BODY(data_in_of_a_session_is_limited, tc)
{
	const struct iscsi_limits limits = { 0 };
	const unsigned reads = 12, blocks = 32768;	/* of 16 MiB */
	unsigned full = 0, good = 0;
	struct rig_conn *c;

	begin(&limits);
	c = rig_login("MaxRecvDataSegmentLength=1048576\0");
	rig_ready(c);
	for (unsigned i = 0; i < reads; i++) {
		union iscsi_bhs bhs = rig_rw(c, false, 0, (uint16_t)blocks);

		rig_send(c, &bhs, NULL, 0);
	}
	/* Nothing is read; the neighbour does not mind. */
	calm();
	while (full + good < reads) {
		ATF_REQUIRE_EQ(0, rig_recv(c));
		if (iscsi_opcode(&c->bhs) == ISCSI_SCSI_RSP) {
			ATF_CHECK_EQ(SCSI_TASK_SET_FULL, c->bhs.rsp.status);
			full++;
		} else if (c->bhs.data.flags & ISCSI_DATA_STATUS) {
			good++;
		}
	}
	ATF_CHECK_MSG(good >= 8 && full > 0, "%u good, %u full", good, full);
	ATF_CHECK_EQ(SCSI_GOOD, read_blocks(c, (uint16_t)blocks));
	end(c);
}

ATF_TP_ADD_TCS(tp)
{
	ATF_TP_ADD_TC(tp, immediate_commands_are_limited);
	ATF_TP_ADD_TC(tp, connections_in_login_are_limited);
	ATF_TP_ADD_TC(tp, discovery_leaves_room_for_work);
	ATF_TP_ADD_TC(tp, login_that_trickles_times_out);
	ATF_TP_ADD_TC(tp, stray_data_is_thrown_away);
	ATF_TP_ADD_TC(tp, more_than_the_r2t_asked_for_fails_the_command);
	ATF_TP_ADD_TC(tp, storm_of_task_management_is_answered);
	ATF_TP_ADD_TC(tp, logout_ends_what_is_under_way);
	ATF_TP_ADD_TC(tp, data_out_of_all_sessions_is_limited);
	ATF_TP_ADD_TC(tp, data_in_of_a_session_is_limited);
	return atf_no_error();
}
