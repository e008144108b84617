/* SPDX-License-Identifier: BSD-2-Clause */
/* SCSI commands of a connection: collect data-out, submit, answer. */
#include <stdlib.h>
#include <string.h>

#include "iscsi/conn.h"
#include "libvmfs/env/iobuf.h"

static struct list *
bucket(const struct conn *c, uint32_t itt)
{
	return (struct list *)(uintptr_t)&c->buckets[itt % CONN_BUCKETS];
}

struct conn_task *
conn_task_find(const struct conn *c, uint32_t itt)
{
	list_for_each(node, tmp, bucket(c, itt)) {
		struct conn_task *t = list_entry(node, struct conn_task, node);

		if (t->itt == itt)
			return t;
	}
	return NULL;
}

/* ---- room for data ---- */

static uint32_t
min_u32(uint64_t a, uint64_t b)
{
	return (uint32_t)(a < b ? a : b);
}

/* What counts against the server's share. */
static uint64_t
beyond_free(uint64_t bytes)
{
	return bytes > CONN_DATA_FREE ? bytes - CONN_DATA_FREE : 0;
}

/*
 * A connection holds more data.  False: all connections together hold too
 * much, and this one more than it may always have, so that those which ask
 * for little go on.
 */
static bool
data_take(struct conn *c, uint64_t bytes)
{
	struct iscsi_server *s = c->server;
	uint64_t more = beyond_free(c->data_bytes + bytes) -
	    beyond_free(c->data_bytes);

	if (atomic_fetch_add(&s->data_bytes, more) + more >
	    s->limits.data_max && more > 0) {
		atomic_fetch_sub(&s->data_bytes, more);
		return false;
	}
	c->data_bytes += bytes;
	return true;
}

static void
data_drop(struct conn *c, uint64_t bytes)
{
	uint64_t less = beyond_free(c->data_bytes) -
	    beyond_free(c->data_bytes - bytes);

	c->data_bytes -= bytes;
	atomic_fetch_sub(&c->server->data_bytes, less);
}

/* -ENOBUFS: the server holds too much data. */
static int
buf_resize(struct conn_task *t, uint32_t size)
{
	struct conn *c = t->conn;
	size_t room = iobuf_size(size);
	uint8_t *buf;

	if (size <= t->buf_size)
		return 0;
	if (!data_take(c, room - t->buf_size))
		return -ENOBUFS;
	buf = iobuf_get(size, &room);
	if (!buf) {
		data_drop(c, room - t->buf_size);
		return -ENOMEM;
	}
	if (t->xfer.received > 0 && t->buf)
		memcpy(buf, t->buf, t->xfer.received);
	iobuf_put(t->buf, t->buf_size);
	t->buf = buf;
	t->buf_size = room;
	return 0;
}

/*
 * Room for all the data of a command, within the connection's share; what
 * comes unasked has room of its own, bounded by window and FirstBurstLength.
 */
static bool
grant(struct conn_task *t)
{
	struct conn *c = t->conn;

	if (t->granted)
		return true;
	if (c->collect_bytes > 0 &&
	    c->collect_bytes + t->xfer.want > CONN_COLLECT_MAX)
		return false;
	t->granted = true;
	c->collect_bytes += t->xfer.want;
	return true;
}

static int task_advance(struct conn_task *t);

static void
ungrant(struct conn_task *t)
{
	struct conn *c = t->conn;

	if (!t->granted)
		return;
	t->granted = false;
	c->collect_bytes -= t->xfer.want;
	while (!c->dead && !list_empty(&c->waiting)) {
		struct conn_task *next =
		    list_entry(c->waiting.next, struct conn_task, wait);

		if (!grant(next))
			return;
		list_del(&next->wait);
		if (task_advance(next) < 0)
			conn_kill(c);
	}
}

/* ---- life of a task ---- */

void
conn_task_free(struct conn_task *t)
{
	struct conn *c = t->conn;

	list_del(&t->node);
	list_del(&t->wait);
	c->task_count--;
	scsi_task_fini(&t->scsi);
	iobuf_put(t->buf, t->buf_size);
	data_drop(c, t->buf_size);
	ungrant(t);
	free(t);
}

void
conn_task_leave(struct conn_task *t)
{
	struct conn *c = t->conn;

	if (t->immediate)
		c->immediate_count--;
	else
		c->session->window.in_flight--;
	session_count(&c->session->commands_done, 1);
}

void
conn_task_cancel(struct conn_task *t)
{
	conn_task_leave(t);
	conn_task_free(t);
}

void
conn_task_cancel_all(struct conn *c, const uint8_t lun[8])
{
	for (unsigned i = 0; i < CONN_BUCKETS; i++)
		list_for_each(node, tmp, &c->buckets[i]) {
			struct conn_task *t =
			    list_entry(node, struct conn_task, node);

			if (t->state == TASK_COLLECTING && (!lun ||
			    memcmp(lun, t->scsi.lun, 8) == 0))
				conn_task_cancel(t);
		}
}

/* ---- answers ---- */

/* Flags and count of over- and underflow, 11.4.5.1. */
static void
residual(const struct conn_task *t, uint8_t *ret_flags, be32_t *ret_count)
{
	const struct scsi_task *st = &t->scsi;
	uint64_t edtl = st->edtl, moved = st->data_out_wanted;

	if (st->dir_in || st->data_in_len > moved)
		moved = st->data_in_len;
	if (!st->dir_in && !st->dir_out)
		edtl = 0;
	if (moved > edtl) {
		*ret_flags |= ISCSI_RSP_OVERFLOW;
		*ret_count = be32(min_u32(moved - edtl, UINT32_MAX));
	} else if (moved < edtl) {
		*ret_flags |= ISCSI_RSP_UNDERFLOW;
		*ret_count = be32((uint32_t)(edtl - moved));
	}
}

static void
emit_response(struct conn_task *t, union iscsi_bhs *bhs, const void **ret_data)
{
	struct scsi_task *st = &t->scsi;

	iscsi_bhs_init(bhs, ISCSI_SCSI_RSP, t->itt);
	bhs->rsp.status = (uint8_t)st->status;
	residual(t, &bhs->rsp.flags, &bhs->rsp.residual);
	bhs->rsp.exp_datasn = be32(st->dir_out ? t->xfer.r2tsn : t->in_datasn);
	*ret_data = t->sense;
	if (st->sense_len == 0)
		return;
	/* SenseLength precedes the sense data, 11.4.7.2. */
	be16_store(t->sense, (uint16_t)st->sense_len);
	memcpy(t->sense + 2, st->sense, st->sense_len);
	bhs->any.data_len = be24((uint32_t)st->sense_len + 2);
}

/* True when it carried the status as well (11.7.3). */
static bool
emit_data_in(struct conn_task *t, union iscsi_bhs *bhs, const void **ret_data)
{
	const struct conn *c = t->conn;
	uint32_t left = t->in_len - t->in_sent;
	uint32_t burst = c->param[PARAM_MAX_BURST] - t->in_burst;
	uint32_t len = min_u32(min_u32(left, burst),
	    c->param[PARAM_MAX_RECV_DATA]);

	iscsi_bhs_init(bhs, ISCSI_DATA_IN, t->itt);
	bhs->data.ttt = be32(ISCSI_NO_TAG);
	bhs->data.data_len = be24(len);
	bhs->data.datasn = be32(t->in_datasn++);
	bhs->data.offset = be32(t->in_sent);
	*ret_data = t->scsi.data_in + t->in_sent;
	t->in_sent += len;
	t->in_burst += len;
	if (t->in_burst == c->param[PARAM_MAX_BURST])
		t->in_burst = 0;
	else if (len < left)
		bhs->data.flags = 0;
	if (len < left || t->scsi.status != SCSI_GOOD || t->scsi.sense_len)
		return false;
	bhs->data.flags |= ISCSI_DATA_STATUS;
	residual(t, &bhs->data.flags, &bhs->data.residual);
	return true;
}

bool
conn_task_emit(struct conn_task *t, union iscsi_bhs *ret_bhs,
    const void **ret_data)
{
	if (t->in_sent < t->in_len)
		return emit_data_in(t, ret_bhs, ret_data);
	emit_response(t, ret_bhs, ret_data);
	return true;
}

static void
task_done(struct scsi_task *st)
{
	struct conn_task *t = st->arg;

	if (st->aborted || t->conn->dead) {
		conn_task_leave(t);
		conn_task_free(t);
		return;
	}
	t->state = TASK_ANSWERING;
	t->in_len = st->dir_in ? min_u32(st->data_in_len, st->edtl) : 0;
	t->tx = (struct conn_tx){ .kind = TX_TASK, .task = t };
	conn_tx_queue(t->conn, &t->tx);
}

/* ---- data-out ---- */

/*
 * Data that is not what must come next ends the command, not the connection:
 * the initiator hears of it, and what still comes for it is thrown away.
 * Sense of RFC 7143 11.4.7.2, "incorrect amount of data".
 */
static void
task_fail(struct conn_task *t)
{
	static const uint8_t sense[] = { 0x70, 0, 0x0b, 0, 0, 0, 0, 10,
		0, 0, 0, 0, 0x0c, 0x0d, 0, 0, 0, 0 };

	log_warn(t->conn->env->log, "iscsi: command failed: Data-Out "
	    "out of sequence initiator=%s", t->conn->session->initiator);
	t->scsi.status = SCSI_CHECK_CONDITION;
	memcpy(t->scsi.sense, sense, sizeof(sense));
	t->scsi.sense_len = sizeof(sense);
	list_del(&t->wait);
	task_done(&t->scsi);
}

/* There is no room for its data now; what still comes of it is thrown away. */
static int
task_busy(struct conn_task *t)
{
	t->scsi.status = SCSI_BUSY;
	list_del(&t->wait);
	task_done(&t->scsi);
	return 0;
}

static int
send_r2t(struct conn_task *t, const struct xfer_burst *b)
{
	struct conn_tx *tx =
	    conn_tx_new(TX_SOLICIT, ISCSI_R2T, t->itt, NULL, 0);

	if (!tx)
		return -ENOMEM;
	memcpy(tx->bhs.r2t.lun, t->scsi.lun, 8);
	tx->bhs.r2t.ttt = be32(b->ttt);
	tx->bhs.r2t.r2tsn = be32(b->r2tsn);
	tx->bhs.r2t.offset = be32(b->offset);
	tx->bhs.r2t.desired = be32(b->len);
	conn_tx_queue(t->conn, tx);
	return 0;
}

static uint32_t
ttt_new(struct conn *c)
{
	if (++c->next_ttt == ISCSI_NO_TAG)
		c->next_ttt = 0;
	return c->next_ttt;
}

static int
solicit(struct conn_task *t)
{
	struct conn *c = t->conn;
	struct xfer_burst b;
	int r = buf_resize(t, t->xfer.want);

	if (r == -ENOBUFS)
		return task_busy(t);
	while (r == 0 && xfer_next_r2t(&t->xfer, c->param[PARAM_MAX_BURST],
	    c->param[PARAM_MAX_R2T], ttt_new(c), &b))
		r = send_r2t(t, &b);
	return r;
}

/* Asks for more data, or gives the command to the device server. */
static int
task_advance(struct conn_task *t)
{
	if (t->xfer.unsolicited)
		return 0;
	if (!xfer_complete(&t->xfer)) {
		if (grant(t))
			return solicit(t);
		if (list_empty(&t->wait))
			list_add_tail(&t->conn->waiting, &t->wait);
		return 0;
	}
	t->state = TASK_RUNNING;
	t->scsi.data_out = t->buf;
	t->scsi.data_out_len = t->xfer.received;
	scsi_task_submit(&t->scsi);
	return 0;
}

int
conn_data_out(struct conn *c, const union iscsi_bhs *bhs)
{
	struct conn_task *t = conn_task_find(c, be32_get(bhs->any.itt));
	uint32_t len = iscsi_data_len(bhs), at;
	int r;

	/* Of a command that was ignored, aborted or has already failed. */
	if (!t)
		return conn_rx_discard(c, len);
	at = t->xfer.received;
	if (t->state == TASK_RUNNING)
		return conn_reject(c, bhs, ISCSI_REJECT_PROTOCOL, true);
	if (t->state == TASK_ANSWERING)
		return conn_rx_discard(c, len);
	if (xfer_data_out(&t->xfer, &bhs->data) < 0) {
		task_fail(t);
		return conn_rx_discard(c, len);
	}
	r = conn_rx_data(c, t->buf + at, len, 0);
	if (r == -VMFS_EPROTO)
		return conn_reject(c, bhs, ISCSI_REJECT_DATA_DIGEST, true);
	return r < 0 ? r : task_advance(t);
}

/* ---- commands ---- */

/* What the bits of the header promise each other; all else is a lie. */
static bool
cmd_sane(const struct conn *c, const union iscsi_bhs *bhs)
{
	uint8_t flags = bhs->cmd.flags;
	uint32_t len = iscsi_data_len(bhs);
	bool more = !(flags & ISCSI_FLAG_FINAL);

	if (be32_get(bhs->cmd.itt) == ISCSI_NO_TAG ||
	    conn_task_find(c, be32_get(bhs->cmd.itt)))
		return false;
	if ((len > 0 || more) && !(flags & ISCSI_CMD_WRITE))
		return false;
	if (len > 0 && !c->param[PARAM_IMMEDIATE_DATA])
		return false;
	return !more || !c->param[PARAM_INITIAL_R2T];
}

static int
task_fill(struct conn_task *t, const union iscsi_bhs *bhs)
{
	struct scsi_task *st = &t->scsi;
	uint8_t attr = bhs->cmd.flags & ISCSI_CMD_ATTR;

	st->nexus = t->conn->session->nexus;
	memcpy(st->lun, bhs->cmd.lun, sizeof(st->lun));
	st->tag = t->itt;
	st->attr = attr <= SCSI_ATTR_ACA ? (enum scsi_attr)attr :
	    SCSI_ATTR_SIMPLE;
	memcpy(st->cdb, bhs->cmd.cdb, sizeof(bhs->cmd.cdb));
	st->dir_in = bhs->cmd.flags & ISCSI_CMD_READ;
	st->dir_out = bhs->cmd.flags & ISCSI_CMD_WRITE;
	st->edtl = be32_get(bhs->cmd.edtl);
	st->done = task_done;
	st->arg = t;
	return iscsi_ahs_cdb(bhs->raw + ISCSI_BHS_SIZE, iscsi_ahs_len(bhs),
	    st->cdb, sizeof(st->cdb), &st->cdb_len);
}

/* Plans the data-out of a new task; its first part gets a buffer. */
static int
task_plan(struct conn_task *t, const union iscsi_bhs *bhs)
{
	const struct scsi_task *st = &t->scsi;
	uint32_t len = iscsi_data_len(bhs), want = 0, unasked;
	uint32_t first = min_u32(st->edtl, t->conn->param[PARAM_FIRST_BURST]);
	bool more = !(bhs->cmd.flags & ISCSI_FLAG_FINAL);
	uint64_t asks;
	int r;

	if (st->dir_out) {
		asks = scsi_cdb_out_length(st->nexus, st->lun, st->cdb,
		    st->cdb_len);
		/* What no disk would take fails without its data. */
		if (asks <= SCSI_TRANSFER_MAX)
			want = min_u32(asks, st->edtl);
	}
	r = xfer_init(&t->xfer, want, len, first, more);
	if (r < 0)
		return r;
	/* Nothing is in buf yet: resize must not copy. */
	t->xfer.received = 0;
	r = -ENOBUFS;
	unasked = more ? first : len;
	/* All at once, if that takes nothing from those who wait. */
	if (want > unasked && list_empty(&t->conn->waiting) && grant(t))
		r = buf_resize(t, want);
	if (r == -ENOBUFS)
		r = buf_resize(t, unasked);
	t->xfer.received = len;
	return r;
}

static struct conn_task *
task_new(struct conn *c, const union iscsi_bhs *bhs)
{
	/* calloc goes past the memory that a thread has at hand. */
	struct conn_task *t = malloc(sizeof(*t));

	if (!t)
		return NULL;
	*t = (struct conn_task){
		.conn = c, .itt = be32_get(bhs->cmd.itt),
		.immediate = iscsi_immediate(bhs),
	};
	list_init(&t->wait);
	list_add_tail(bucket(c, t->itt), &t->node);
	c->task_count++;
	if (t->immediate)
		c->immediate_count++;
	else
		c->session->window.in_flight++;
	return t;
}

int
conn_cmd(struct conn *c, const union iscsi_bhs *bhs)
{
	uint32_t len = iscsi_data_len(bhs);
	struct conn_task *t;
	int r;

	if (!cmd_sane(c, bhs))
		return conn_reject(c, bhs, ISCSI_REJECT_PROTOCOL, true);
	if (iscsi_immediate(bhs) && c->immediate_count >= CONN_IMMEDIATE_MAX) {
		r = conn_rx_discard(c, len);
		return r < 0 ? r :
		    conn_reject(c, bhs, ISCSI_REJECT_IMMEDIATE, false);
	}
	t = task_new(c, bhs);
	if (!t)
		return -ENOMEM;
	r = task_fill(t, bhs);
	if (r == 0)
		r = task_plan(t, bhs);
	if (r == -VMFS_EPROTO)
		return conn_reject(c, bhs, ISCSI_REJECT_PROTOCOL, true);
	if (r == -ENOBUFS) {
		r = conn_rx_discard(c, len);
		return r < 0 ? r : task_busy(t);
	}
	if (r == 0)
		r = conn_rx_data(c, t->buf, len, 0);
	if (r == -VMFS_EPROTO)
		return conn_reject(c, bhs, ISCSI_REJECT_DATA_DIGEST, true);
	return r < 0 ? r : task_advance(t);
}
