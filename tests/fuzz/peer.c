/* SPDX-License-Identifier: BSD-2-Clause */
/* See peer.h. */
#include <string.h>

#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/peer.h"

/* ---- to the target ---- */

static void
send_digest(struct peer *p, struct iovec *iov, int count, bool bad)
{
	uint8_t digest[ISCSI_DIGEST_SIZE];

	iscsi_digest(iov, count, digest);
	digest[0] ^= bad;
	fake_send(p->net, digest, sizeof(digest));
}

void
peer_send(struct peer *p, const union iscsi_bhs *bhs, const void *ahs,
    const void *data, size_t len, bool bad_digest)
{
	static const uint8_t zeroes[3];
	struct iovec head[2] = {
		{ (void *)(uintptr_t)bhs, ISCSI_BHS_SIZE },
		{ (void *)(uintptr_t)ahs, ahs ? iscsi_ahs_len(bhs) : 0 },
	};
	struct iovec body[2] = {
		{ (void *)(uintptr_t)data, len },
		{ (void *)(uintptr_t)zeroes, iscsi_pad(len) },
	};

	for (int i = 0; i < 2; i++)
		fake_send(p->net, head[i].iov_base, head[i].iov_len);
	if (p->full && p->header_digest)
		send_digest(p, head, 2, bad_digest && len == 0);
	if (len == 0)
		return;
	for (int i = 0; i < 2; i++)
		fake_send(p->net, body[i].iov_base, body[i].iov_len);
	if (p->full && p->data_digest)
		send_digest(p, body, 2, bad_digest);
}

void
peer_login(struct peer *p, uint8_t isid, const char *text, size_t len)
{
	union iscsi_bhs bhs;

	iscsi_bhs_init(&bhs, ISCSI_LOGIN_REQ, p->itt++);
	bhs.any.opcode |= ISCSI_IMMEDIATE;
	bhs.any.data_len = be24((uint32_t)len);
	bhs.login.flags = ISCSI_FLAG_FINAL | 1 << ISCSI_LOGIN_CSG_SHIFT | 3;
	bhs.login.isid[5] = isid;
	bhs.login.cmdsn = be32(p->cmdsn);
	peer_send(p, &bhs, NULL, text, len, false);
}

void
peer_ping(struct peer *p)
{
	union iscsi_bhs bhs;

	iscsi_bhs_init(&bhs, ISCSI_NOP_OUT, p->itt++);
	bhs.any.opcode |= ISCSI_IMMEDIATE;
	bhs.any.ttt = be32(ISCSI_NO_TAG);
	bhs.cmd.cmdsn = be32(p->cmdsn);
	peer_send(p, &bhs, NULL, NULL, 0, false);
}

/* ---- from the target ---- */

static void
login_answer(struct peer *p, const union iscsi_bhs *bhs, const uint8_t *data,
    size_t len)
{
	static const char header[] = "HeaderDigest=CRC32C";
	static const char body[] = "DataDigest=CRC32C";

	if (len > 0 && memmem(data, len, header, sizeof(header)))
		p->header_digest = true;
	if (len > 0 && memmem(data, len, body, sizeof(body)))
		p->data_digest = true;
	p->statsn = be32_get(bhs->login.cmdsn) + 1;
	p->max_cmdsn = be32_get(bhs->login.max_cmdsn);
	if (be16_get(bhs->login.status) == 0 &&
	    (bhs->login.flags & ISCSI_FLAG_FINAL) &&
	    (bhs->login.flags & ISCSI_LOGIN_STAGE) == 3) {
		p->full = true;
		p->tsih = be16_get(bhs->login.tsih);
		FUZZ_CHECK(p->tsih != 0);
	}
}

/* Whether the answer takes a StatSN (RFC 7143 11.x.4). */
static bool
takes_statsn(const union iscsi_bhs *bhs)
{
	switch (iscsi_opcode(bhs)) {
	case ISCSI_DATA_IN:
		return bhs->data.flags & ISCSI_DATA_STATUS;
	case ISCSI_NOP_IN:
		return be32_get(bhs->any.itt) != ISCSI_NO_TAG;
	case ISCSI_R2T:
		return false;
	default:
		return true;
	}
}

static void
numbers(struct peer *p, const union iscsi_bhs *bhs)
{
	uint32_t max = be32_get(bhs->any.max_cmdsn);
	uint32_t exp = be32_get(bhs->any.exp_cmdsn);

	if (takes_statsn(bhs))
		FUZZ_CHECK(be32_get(bhs->any.statsn) == p->statsn++);
	else if (iscsi_opcode(bhs) != ISCSI_DATA_IN)
		FUZZ_CHECK(be32_get(bhs->any.statsn) == p->statsn);
	FUZZ_CHECK(!iscsi_sn_before(max, p->max_cmdsn));
	FUZZ_CHECK(max + 1 - exp <= p->window);
	p->max_cmdsn = max;
}

static void
take_r2t(struct peer *p, const union iscsi_bhs *bhs)
{
	FUZZ_CHECK(be32_get(bhs->r2t.desired) > 0);
	p->r2t = *bhs;
	p->r2t_done = p->r2t_datasn = 0;
}

/* The target asks whether we live. */
static void
pong(struct peer *p, const union iscsi_bhs *ask)
{
	union iscsi_bhs bhs;

	iscsi_bhs_init(&bhs, ISCSI_NOP_OUT, ISCSI_NO_TAG);
	bhs.any.opcode |= ISCSI_IMMEDIATE;
	bhs.any.ttt = ask->any.ttt;
	bhs.cmd.cmdsn = be32(p->cmdsn);
	peer_send(p, &bhs, NULL, NULL, 0, false);
}

static void
take(struct peer *p, const union iscsi_bhs *bhs, const uint8_t *data,
    size_t len)
{
	FUZZ_CHECK(iscsi_opcode(bhs) >= 0x20);
	FUZZ_CHECK(iscsi_ahs_len(bhs) == 0);
	FUZZ_CHECK(len <= p->max_recv);
	if (iscsi_opcode(bhs) == ISCSI_LOGIN_RSP) {
		FUZZ_CHECK(!p->full);
		login_answer(p, bhs, data, len);
		return;
	}
	FUZZ_CHECK(p->full);
	numbers(p, bhs);
	if (iscsi_opcode(bhs) == ISCSI_R2T)
		take_r2t(p, bhs);
	if (iscsi_opcode(bhs) != ISCSI_NOP_IN)
		return;
	if (be32_get(bhs->any.itt) != ISCSI_NO_TAG)
		p->pongs++;
	else
		pong(p, bhs);
}

static void
digest_is(const uint8_t *data, size_t len)
{
	struct iovec iov = { (void *)(uintptr_t)data, len };
	uint8_t want[ISCSI_DIGEST_SIZE];

	iscsi_digest(&iov, 1, want);
	FUZZ_CHECK(memcmp(want, data + len, sizeof(want)) == 0);
}

/* Bytes of the first PDU of the buffer; 0: it is not whole. */
static size_t
whole(struct peer *p)
{
	size_t head = ISCSI_BHS_SIZE, body, data;
	union iscsi_bhs bhs;

	if (p->full && p->header_digest)
		head += ISCSI_DIGEST_SIZE;
	if (p->len < head)
		return 0;
	memcpy(bhs.raw, p->buf, ISCSI_BHS_SIZE);
	data = iscsi_data_len(&bhs);
	body = data + iscsi_pad(data);
	if (p->full && p->data_digest && data > 0)
		body += ISCSI_DIGEST_SIZE;
	if (p->len < head + body)
		return 0;
	if (p->full && p->header_digest)
		digest_is(p->buf, ISCSI_BHS_SIZE);
	if (p->full && p->data_digest && data > 0)
		digest_is(p->buf + head, body - ISCSI_DIGEST_SIZE);
	take(p, &bhs, p->buf + head, data);
	return head + body;
}

static void
output(void *arg, const uint8_t *data, size_t len)
{
	struct peer *p = arg;
	size_t n;

	FUZZ_CHECK(len <= sizeof(p->buf) - p->len);
	memcpy(p->buf + p->len, data, len);
	p->len += len;
	while ((n = whole(p)) > 0) {
		p->len -= n;
		memmove(p->buf, p->buf + n, p->len);
	}
}

void
peer_open(struct peer *p, unsigned window)
{
	memset(p, 0, offsetof(struct peer, buf));
	p->window = window;
	p->cmdsn = 100;
	p->itt = 1;
	p->max_recv = 8192;
	p->net = fake_connect(output, p);
}
