/* SPDX-License-Identifier: BSD-2-Clause */
/* Peers that break the protocol lose their session; the server lives on. */
#include <atf-c.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/unit/iscsi_rig.h"
#include "libvmfs/base/prng.h"

static const struct rig_conf defaults;
static uint8_t buf[RIG_DATA_MAX];

/* The server rejects with this reason, hangs up, and serves others. */
static void
rejected(struct rig_conn *c, enum iscsi_reject reason)
{
	rig_expect(c, ISCSI_REJECT);
	ATF_CHECK_EQ(reason, c->bhs.any.b2);
	ATF_CHECK_EQ(ISCSI_BHS_SIZE, c->len);
	ATF_CHECK(rig_closed(c));
	rig_close(c);
	rig_alive();
	rig_stop();
}

/* The server hangs up without a word, and serves others. */
static void
dropped(struct rig_conn *c)
{
	ATF_CHECK(rig_closed(c));
	rig_close(c);
	rig_alive();
	rig_stop();
}

ATF_TC_WITHOUT_HEAD(another_protocol_is_dropped);
ATF_TC_BODY(another_protocol_is_dropped, tc)
{
	static const char http[] =
	    "GET / HTTP/1.1\r\nHost: localhost\r\nAccept: */*\r\n\r\n\r\n\r\n";
	struct rig_conn *c;

	rig_start(&defaults);
	c = rig_connect();
	rig_send_raw(c, http, sizeof(http) - 1);
	dropped(c);
}

ATF_TC_WITHOUT_HEAD(login_that_stalls_times_out);
ATF_TC_BODY(login_that_stalls_times_out, tc)
{
	struct rig_conf conf = { .limits.login_timeout_s = 1 };
	struct rig_conn *silent, *half;

	rig_start(&conf);
	silent = rig_connect();
	half = rig_connect();
	rig_send_raw(half, buf, 20);
	ATF_CHECK(rig_closed(silent));
	rig_close(silent);
	dropped(half);
}

ATF_TC_WITHOUT_HEAD(login_with_oversized_segment_is_dropped);
ATF_TC_BODY(login_with_oversized_segment_is_dropped, tc)
{
	union iscsi_bhs bhs;
	struct rig_conn *c;

	rig_start(&defaults);
	c = rig_connect();
	iscsi_bhs_init(&bhs, ISCSI_LOGIN_REQ, 1);
	bhs.any.data_len = be24(0xffffff);
	rig_send_raw(c, &bhs, sizeof(bhs));
	dropped(c);
}

ATF_TC_WITHOUT_HEAD(command_before_login_is_refused);
ATF_TC_BODY(command_before_login_is_refused, tc)
{
	static const uint8_t cdb[16];
	union iscsi_bhs bhs;
	struct rig_conn *c;

	rig_start(&defaults);
	c = rig_connect();
	bhs = rig_cmd(c, 0, 0, cdb);
	rig_send(c, &bhs, NULL, 0);
	rig_expect(c, ISCSI_LOGIN_RSP);
	ATF_CHECK_EQ(ISCSI_LOGIN_INVALID, be16_get(c->bhs.login.status));
	dropped(c);
}

ATF_TC_WITHOUT_HEAD(oversized_segment_is_rejected);
ATF_TC_BODY(oversized_segment_is_rejected, tc)
{
	union iscsi_bhs bhs;
	struct rig_conn *c;

	rig_start(&defaults);
	c = rig_login("");
	bhs = rig_request(c, ISCSI_NOP_OUT);
	bhs.any.data_len = be24(0xffffff);
	rig_send_raw(c, &bhs, sizeof(bhs));
	rejected(c, ISCSI_REJECT_PROTOCOL);
}

ATF_TC_WITHOUT_HEAD(unknown_operation_code_is_rejected);
ATF_TC_BODY(unknown_operation_code_is_rejected, tc)
{
	union iscsi_bhs bhs;
	struct rig_conn *c;

	rig_start(&defaults);
	c = rig_login("");
	bhs = rig_request(c, 0x1c);
	rig_send(c, &bhs, NULL, 0);
	rejected(c, ISCSI_REJECT_NOT_SUPPORTED);
}

ATF_TC_WITHOUT_HEAD(snack_is_rejected);
ATF_TC_BODY(snack_is_rejected, tc)
{
	union iscsi_bhs bhs;
	struct rig_conn *c;

	rig_start(&defaults);
	c = rig_login("");
	bhs = rig_request(c, ISCSI_SNACK_REQ);
	rig_send(c, &bhs, NULL, 0);
	rejected(c, ISCSI_REJECT_PROTOCOL);
}

ATF_TC_WITHOUT_HEAD(malformed_ahs_is_rejected);
ATF_TC_BODY(malformed_ahs_is_rejected, tc)
{
	static const uint8_t cdb[16], ahs[8] = { 0xff, 0xff, 1, 0 };
	union iscsi_bhs bhs;
	struct rig_conn *c;

	rig_start(&defaults);
	c = rig_login("");
	bhs = rig_cmd(c, 0, 0, cdb);
	bhs.any.ahs_words = 2;
	rig_send_raw(c, &bhs, sizeof(bhs));
	rig_send_raw(c, ahs, sizeof(ahs));
	rejected(c, ISCSI_REJECT_PROTOCOL);
}

ATF_TC_WITHOUT_HEAD(endless_text_is_rejected);
ATF_TC_BODY(endless_text_is_rejected, tc)
{
	struct rig_conn *c;
	uint32_t ttt = ISCSI_NO_TAG;
	unsigned n = 0;

	rig_start(&defaults);
	c = rig_login("");
	memset(buf, 'x', 8192);
	do {
		union iscsi_bhs bhs = rig_request(c, ISCSI_TEXT_REQ);

		ATF_REQUIRE(n++ < 100);
		bhs.any.flags = ISCSI_FLAG_CONTINUE;
		bhs.any.ttt = be32(ttt);
		rig_send(c, &bhs, buf, 8192);
		ATF_REQUIRE_EQ(0, rig_recv(c));
		ttt = be32_get(c->bhs.any.ttt);
	} while (iscsi_opcode(&c->bhs) == ISCSI_TEXT_RSP);
	ATF_CHECK_EQ(ISCSI_REJECT, iscsi_opcode(&c->bhs));
	dropped(c);
}

ATF_TC_WITHOUT_HEAD(text_without_values_is_rejected);
ATF_TC_BODY(text_without_values_is_rejected, tc)
{
	union iscsi_bhs bhs;
	struct rig_conn *c;

	rig_start(&defaults);
	c = rig_login("");
	bhs = rig_request(c, ISCSI_TEXT_REQ);
	rig_send(c, &bhs, "nonsense", 9);
	rejected(c, ISCSI_REJECT_PROTOCOL);
}

ATF_TC_WITHOUT_HEAD(tag_in_use_is_rejected);
ATF_TC_BODY(tag_in_use_is_rejected, tc)
{
	union iscsi_bhs bhs;
	struct rig_conn *c;

	rig_start(&defaults);
	c = rig_login("");
	rig_ready(c);
	/* Waits for its data, so the tag stays in use. */
	bhs = rig_rw(c, true, 0, 8);
	rig_send(c, &bhs, NULL, 0);
	rig_expect(c, ISCSI_R2T);
	bhs.cmd.cmdsn = be32(c->cmdsn++);
	rig_send(c, &bhs, NULL, 0);
	rejected(c, ISCSI_REJECT_PROTOCOL);
}

ATF_TC_WITHOUT_HEAD(missing_commands_are_rejected);
ATF_TC_BODY(missing_commands_are_rejected, tc)
{
	union iscsi_bhs bhs;
	struct rig_conn *c;

	rig_start(&defaults);
	c = rig_login("");
	c->cmdsn += 2;
	bhs = rig_request(c, ISCSI_NOP_OUT);
	rig_send(c, &bhs, NULL, 0);
	rejected(c, ISCSI_REJECT_PROTOCOL);
}

ATF_TC_WITHOUT_HEAD(immediate_data_past_expected_length_is_rejected);
ATF_TC_BODY(immediate_data_past_expected_length_is_rejected, tc)
{
	union iscsi_bhs bhs;
	struct rig_conn *c;

	rig_start(&defaults);
	c = rig_login("ImmediateData=Yes\0");
	bhs = rig_rw(c, true, 0, 1);
	rig_send(c, &bhs, buf, 1024);
	rejected(c, ISCSI_REJECT_PROTOCOL);
}

ATF_TC_WITHOUT_HEAD(immediate_data_not_agreed_is_rejected);
ATF_TC_BODY(immediate_data_not_agreed_is_rejected, tc)
{
	union iscsi_bhs bhs;
	struct rig_conn *c;

	rig_start(&defaults);
	c = rig_login("ImmediateData=No\0");
	bhs = rig_rw(c, true, 0, 1);
	rig_send(c, &bhs, buf, 512);
	rejected(c, ISCSI_REJECT_PROTOCOL);
}

ATF_TC_WITHOUT_HEAD(data_for_a_read_is_rejected);
ATF_TC_BODY(data_for_a_read_is_rejected, tc)
{
	union iscsi_bhs bhs;
	struct rig_conn *c;

	rig_start(&defaults);
	c = rig_login("");
	bhs = rig_rw(c, false, 0, 1);
	rig_send(c, &bhs, buf, 512);
	rejected(c, ISCSI_REJECT_PROTOCOL);
}

ATF_TC_WITHOUT_HEAD(wrong_header_digest_drops);
ATF_TC_BODY(wrong_header_digest_drops, tc)
{
	union iscsi_bhs bhs;
	struct rig_conn *c;

	rig_start(&defaults);
	c = rig_login("HeaderDigest=CRC32C\0");
	bhs = rig_request(c, ISCSI_NOP_OUT);
	rig_send_raw(c, &bhs, sizeof(bhs));
	rig_send_raw(c, buf, ISCSI_DIGEST_SIZE);
	dropped(c);
}

ATF_TC_WITHOUT_HEAD(wrong_data_digest_is_rejected);
ATF_TC_BODY(wrong_data_digest_is_rejected, tc)
{
	union iscsi_bhs bhs;
	struct rig_conn *c;

	rig_start(&defaults);
	c = rig_login("DataDigest=CRC32C\0");
	bhs = rig_rw(c, true, 0, 1);
	rig_send(c, &bhs, buf, 512);
	rig_send_raw(c, "1234", ISCSI_DIGEST_SIZE);
	rejected(c, ISCSI_REJECT_DATA_DIGEST);
}

ATF_TC_WITHOUT_HEAD(peer_that_leaves_in_mid_data_is_forgotten);
ATF_TC_BODY(peer_that_leaves_in_mid_data_is_forgotten, tc)
{
	union iscsi_bhs bhs;
	struct rig_conn *c;

	rig_start(&defaults);
	c = rig_login("");
	bhs = rig_rw(c, true, 0, 128);
	bhs.any.data_len = be24(65536);
	rig_send_raw(c, &bhs, sizeof(bhs));
	rig_send_raw(c, buf, 1000);
	rig_close(c);
	rig_alive();
	rig_stop();
}

/* Its pings are not read once the answers pile up, so its sends block. */
ATF_TC_WITHOUT_HEAD(peer_that_never_reads_is_held_back);
ATF_TC_BODY(peer_that_never_reads_is_held_back, tc)
{
	struct timeval soon = { .tv_usec = 300000 };
	struct rig_conn *c;
	size_t sent = 0;
	ssize_t n;

	rig_start(&defaults);
	c = rig_login("MaxRecvDataSegmentLength=1048576\0");
	ATF_REQUIRE_EQ(0, setsockopt(c->fd, SOL_SOCKET, SO_SNDTIMEO, &soon,
	    sizeof(soon)));
	do {
		union iscsi_bhs bhs = rig_request(c, ISCSI_NOP_OUT);

		bhs.any.data_len = be24(65536);
		n = send(c->fd, &bhs, sizeof(bhs), MSG_NOSIGNAL);
		if (n > 0)
			n = send(c->fd, buf, 65536, MSG_NOSIGNAL);
		sent += 65536;
	} while (n == 65536 && sent < (512U << 20));
	ATF_CHECK_MSG(sent < (512U << 20), "the server took it all");
	rig_close(c);
	rig_alive();
	rig_stop();
}

/* Headers near to good ones, thousands of them, with whatever follows. */
ATF_TC_WITHOUT_HEAD(random_headers_never_end_the_server);
ATF_TC_BODY(random_headers_never_end_the_server, tc)
{
	static const uint8_t opcodes[] = { ISCSI_NOP_OUT, ISCSI_SCSI_CMD,
		ISCSI_TMF_REQ, ISCSI_TEXT_REQ, ISCSI_DATA_OUT,
		ISCSI_LOGOUT_REQ, ISCSI_LOGIN_REQ, ISCSI_SNACK_REQ };
	struct prng p;

	rig_start(&defaults);
	prng_seed(&p, 20261121);
	for (int i = 0; i < 300; i++) {
		struct rig_conn *c = rig_login("InitialR2T=No\0");

		for (int k = 0; k < 20; k++) {
			union iscsi_bhs bhs = rig_rw(c, prng_u64(&p) & 1, 0, 8);
			size_t at = prng_below(&p, ISCSI_BHS_SIZE);

			bhs.any.opcode = opcodes[prng_below(&p,
			    sizeof(opcodes))];
			if (prng_u64(&p) & 1)
				bhs.raw[at] = (uint8_t)prng_u64(&p);
			bhs.any.data_len = be24((uint32_t)
			    prng_below(&p, 64) * 4);
			rig_send_raw(c, &bhs, sizeof(bhs));
			prng_fill(&p, buf, 256);
			rig_send_raw(c, buf, iscsi_data_len(&bhs));
		}
		rig_close(c);
	}
	rig_alive();
	rig_stop();
}

ATF_TP_ADD_TCS(tp)
{
	ATF_TP_ADD_TC(tp, another_protocol_is_dropped);
	ATF_TP_ADD_TC(tp, login_that_stalls_times_out);
	ATF_TP_ADD_TC(tp, login_with_oversized_segment_is_dropped);
	ATF_TP_ADD_TC(tp, command_before_login_is_refused);
	ATF_TP_ADD_TC(tp, oversized_segment_is_rejected);
	ATF_TP_ADD_TC(tp, unknown_operation_code_is_rejected);
	ATF_TP_ADD_TC(tp, snack_is_rejected);
	ATF_TP_ADD_TC(tp, malformed_ahs_is_rejected);
	ATF_TP_ADD_TC(tp, endless_text_is_rejected);
	ATF_TP_ADD_TC(tp, text_without_values_is_rejected);
	ATF_TP_ADD_TC(tp, tag_in_use_is_rejected);
	ATF_TP_ADD_TC(tp, missing_commands_are_rejected);
	ATF_TP_ADD_TC(tp, immediate_data_past_expected_length_is_rejected);
	ATF_TP_ADD_TC(tp, immediate_data_not_agreed_is_rejected);
	ATF_TP_ADD_TC(tp, data_for_a_read_is_rejected);
	ATF_TP_ADD_TC(tp, wrong_header_digest_drops);
	ATF_TP_ADD_TC(tp, wrong_data_digest_is_rejected);
	ATF_TP_ADD_TC(tp, peer_that_leaves_in_mid_data_is_forgotten);
	ATF_TP_ADD_TC(tp, peer_that_never_reads_is_held_back);
	ATF_TP_ADD_TC(tp, random_headers_never_end_the_server);
	return atf_no_error();
}
