/* SPDX-License-Identifier: BSD-2-Clause */
/* PDUs in: reading, digests, checks and dispatch; see conn.h. */
#include <stdlib.h>
#include <string.h>

#include "iscsi/conn.h"

#define DISCARD_SIZE (64U << 10)

/* Data that has begun must go on coming. */
#define DATA_TIMEOUT_NS (60 * (uint64_t)1000000000)

int
conn_rx_header(struct conn *c, uint64_t timeout_ns)
{
	size_t digest = c->param[PARAM_HEADER_DIGEST] ? ISCSI_DIGEST_SIZE : 0;
	size_t got = ISCSI_BHS_SIZE + digest, len;
	uint8_t want[ISCSI_DIGEST_SIZE];
	struct iovec iov;
	int r;

	/* With a digest at least 4 more bytes come, of AHS or of digest. */
	r = net_read(c->net, c->header, got, timeout_ns);
	if (r < 0)
		return r;
	c->heard = true;
	len = ISCSI_BHS_SIZE +
	    iscsi_ahs_len((const union iscsi_bhs *)c->header);
	/* Not before login: a stranger has to be cheap. */
	if (len > ISCSI_BHS_SIZE && !c->session)
		return -VMFS_EPROTO;
	if (len + digest > got) {
		r = net_read(c->net, c->header + got, len + digest - got,
		    DATA_TIMEOUT_NS);
		if (r < 0)
			return r;
	}
	if (!digest)
		return 0;
	iov = (struct iovec){ .iov_base = c->header, .iov_len = len };
	iscsi_digest(&iov, 1, want);
	return memcmp(want, c->header + len, digest) == 0 ? 0 : -VMFS_EPROTO;
}

/* Padding and digest after data. */
static int
rx_tail(struct conn *c, const void *buf, uint32_t len, uint64_t timeout_ns)
{
	size_t pad = iscsi_pad(len);
	size_t digest = c->param[PARAM_DATA_DIGEST] ? ISCSI_DIGEST_SIZE : 0;
	uint8_t tail[3 + ISCSI_DIGEST_SIZE], want[ISCSI_DIGEST_SIZE];
	struct iovec iov[2] = {
		{ .iov_base = (void *)(uintptr_t)buf, .iov_len = len },
		{ .iov_base = tail, .iov_len = pad },
	};
	int r;

	if (pad + digest == 0)
		return 0;
	r = net_read(c->net, tail, pad + digest, timeout_ns);
	if (r < 0 || !digest)
		return r;
	iscsi_digest(iov, 2, want);
	return memcmp(want, tail + pad, digest) == 0 ? 0 : -VMFS_EPROTO;
}

int
conn_rx_data(struct conn *c, void *buf, uint32_t len, uint64_t timeout_ns)
{
	uint64_t timeout = timeout_ns ? timeout_ns : DATA_TIMEOUT_NS;
	int r;

	if (len == 0)
		return 0;
	r = net_read(c->net, buf, len, timeout);
	c->heard = true;
	if (c->session)
		session_count(&c->session->bytes_in, len);
	return r < 0 ? r : rx_tail(c, buf, len, timeout);
}

int
conn_rx_discard(struct conn *c, uint32_t len)
{
	size_t rest = len + iscsi_pad(len);
	int r;

	if (len == 0)
		return 0;
	if (!c->scratch)
		c->scratch = malloc(DISCARD_SIZE);
	if (!c->scratch)
		return -ENOMEM;
	/* Nothing depends on these bytes: their digest is not looked at. */
	if (c->param[PARAM_DATA_DIGEST])
		rest += ISCSI_DIGEST_SIZE;
	while (rest > 0) {
		size_t n = rest < DISCARD_SIZE ? rest : DISCARD_SIZE;

		r = net_read(c->net, c->scratch, n, DATA_TIMEOUT_NS);
		if (r < 0)
			return r;
		c->heard = true;
		rest -= n;
	}
	return 0;
}

/*
 * CmdSN of a request that carries one.  1: act on it; 0: ignore it, its data
 * still has to be read; negative: the connection is over.
 */
static int
rx_cmdsn(struct conn *c, const union iscsi_bhs *bhs)
{
	if (iscsi_immediate(bhs))
		return 1;
	switch (cmd_window_take(&c->session->window,
	    be32_get(bhs->cmd.cmdsn))) {
	case CMD_TAKE:
		return 1;
	case CMD_IGNORE:
		return 0;
	default:
		/* TCP keeps order and there is one connection: a lie. */
		return conn_reject(c, bhs, ISCSI_REJECT_PROTOCOL, true);
	}
}

typedef int rx_handler(struct conn *c, const union iscsi_bhs *bhs);

static const struct rx_row {
	rx_handler *handle;
	bool cmdsn;		/* the request has a CmdSN */
	bool discovery;		/* allowed in a discovery session */
} rx_rows[ISCSI_OPCODE_MASK + 1] = {
	[ISCSI_NOP_OUT] = { conn_nop_out, true, true },
	[ISCSI_SCSI_CMD] = { conn_cmd, true, false },
	[ISCSI_TMF_REQ] = { conn_tmf, true, false },
	[ISCSI_TEXT_REQ] = { conn_text, true, true },
	[ISCSI_DATA_OUT] = { conn_data_out, false, false },
	[ISCSI_LOGOUT_REQ] = { conn_logout, true, true },
};

struct rx_turn {
	struct sched_work work;
	struct fiber *reader;
	bool over;
};

static void
rx_turn_over(void *arg)
{
	struct rx_turn *t = arg;

	t->over = true;
	fiber_unpark(t->reader);
}

/*
 * Lets requests gather, if none is under way: what is done at once is answered
 * in one turn, and who waits for a disk is not kept from the next request.
 */
static void
rx_gather(struct conn *c)
{
	struct rx_turn t = {
		.work = { .fn = rx_turn_over, .arg = &t },
		.reader = fiber_self(),
	};

	sched_post(c->env->sched, &t.work);
	while (!t.over)
		fiber_park();
	if (c->session->window.in_flight == 0 && c->immediate_count == 0)
		net_gather(c->net);
}

int
conn_rx_pdu(struct conn *c)
{
	const union iscsi_bhs *bhs = (const union iscsi_bhs *)c->header;
	const struct rx_row *row;
	enum iscsi_reject reason;
	int r;

	/* A peer that asks and does not read its answers has to wait. */
	while (c->tx_units >= CONN_TX_MAX && !c->dead)
		fiber_cond_wait(&c->room);
	if (net_gather_pays(c->net))
		rx_gather(c);
	r = conn_rx_header(c, 0);
	if (r < 0)
		return r;
	if (iscsi_bhs_check(bhs, c->max_recv, &reason) < 0)
		return conn_reject(c, bhs, reason, true);
	row = &rx_rows[iscsi_opcode(bhs)];
	/* SNACK needs an error recovery level that we never agree to. */
	if (!row->handle || (!row->discovery && !c->session->nexus))
		return conn_reject(c, bhs, ISCSI_REJECT_PROTOCOL, true);
	r = row->cmdsn ? rx_cmdsn(c, bhs) : 1;
	if (r < 0 || c->draining)
		return r < 0 ? r : 0;
	return r == 0 ? conn_rx_discard(c, iscsi_data_len(bhs)) :
	    row->handle(c, bhs);
}
