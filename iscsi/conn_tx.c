/* SPDX-License-Identifier: BSD-2-Clause */
/* PDUs out: one fiber sends all that is queued in gathered writes. */
#include <stdlib.h>
#include <string.h>

#include "iscsi/conn.h"
#include "libvmfs/base/units.h"

void
conn_tx_wake(struct conn *c)
{
	if (!c->writer_idle)
		return;
	c->writer_idle = false;
	fiber_unpark(c->writer);
}

void
conn_tx_queue(struct conn *c, struct conn_tx *tx)
{
	list_add_tail(&c->tx, &tx->node);
	if (tx->kind != TX_TASK)
		c->tx_units += tx->units;
	conn_tx_wake(c);
}

struct conn_tx *
conn_tx_new(enum tx_kind kind, enum iscsi_opcode opcode, uint32_t itt,
    uint8_t *data, uint32_t len)
{
	struct conn_tx *tx = calloc(1, sizeof(*tx));

	if (!tx)
		return NULL;
	tx->kind = kind;
	tx->data = data;
	iscsi_bhs_init(&tx->bhs, opcode, itt);
	tx->bhs.any.data_len = be24(len);
	tx->units = 1 + len / CONN_TX_UNIT;
	return tx;
}

static void
tx_release(struct conn *c, struct conn_tx *tx)
{
	if (tx->kind == TX_TASK) {
		conn_task_free(tx->task);
		return;
	}
	c->tx_units -= tx->units;
	free(tx->data);
	free(tx);
}

/* Appends a PDU: header, data, padding, digests as agreed. */
static void
batch_add(struct tx_batch *b, const uint32_t param[PARAM_COUNT],
    const void *data, size_t len)
{
	struct tx_slot *slot = &b->slots[b->slot_count++];
	struct iovec *iov = &b->iov[b->iov_count];
	size_t pad = iscsi_pad(len), tail = pad;

	iov[0] = (struct iovec){ &slot->bhs, ISCSI_BHS_SIZE };
	if (param[PARAM_HEADER_DIGEST]) {
		iscsi_digest(iov, 1, slot->header_digest);
		iov[0].iov_len += ISCSI_DIGEST_SIZE;
	}
	b->iov_count++;
	b->bytes += iov[0].iov_len + len;
	if (len == 0)
		return;
	iov[1] = (struct iovec){ (void *)(uintptr_t)data, len };
	iov[2] = (struct iovec){ slot->tail, pad };
	memset(slot->tail, 0, pad);
	if (param[PARAM_DATA_DIGEST]) {
		iscsi_digest(iov + 1, 2, slot->tail + pad);
		tail += ISCSI_DIGEST_SIZE;
	}
	iov[2].iov_len = tail;
	b->iov_count += tail ? 2 : 1;
}

/* Numbers every answer shows; taken when it is sent, so that they are in
 * order and as new as can be. */
static void
tx_numbers(struct conn *c, union iscsi_bhs *bhs, bool takes, bool shows)
{
	const struct cmd_window *w = &c->session->window;

	if (takes || shows)
		bhs->any.statsn = be32(c->statsn);
	if (takes)
		c->statsn++;
	bhs->any.exp_cmdsn = be32(w->exp);
	bhs->any.max_cmdsn = be32(cmd_window_max(w));
}

/*
 * A long read lets the command behind it go first after each PDU.  It never
 * passes other answers: task management and logout speak of what came before.
 */
static void
tx_take_turns(struct conn *c, struct conn_tx *tx)
{
	struct list *next = tx->node.next;

	if (next == &c->tx ||
	    list_entry(next, struct conn_tx, node)->kind != TX_TASK)
		return;
	list_del(&tx->node);
	list_add(next, &tx->node);
}

/* One PDU of the queue's head into the batch. */
static void
batch_next(struct conn *c, struct tx_batch *b)
{
	struct conn_tx *tx = list_entry(c->tx.next, struct conn_tx, node);
	union iscsi_bhs *bhs = &b->slots[b->slot_count].bhs;
	const void *data = tx->data;
	bool whole = true, takes = tx->kind == TX_ANSWER;

	if (tx->kind == TX_TASK) {
		whole = conn_task_emit(tx->task, bhs, &data);
		takes = whole;
		if (whole)
			conn_task_leave(tx->task);
	} else {
		*bhs = tx->bhs;
	}
	tx_numbers(c, bhs, takes, tx->kind == TX_SOLICIT);
	if (whole) {
		list_del(&tx->node);
		list_add_tail(&b->sent, &tx->node);
		b->last = tx->last;
	} else {
		tx_take_turns(c, tx);
	}
	session_count(&c->session->bytes_out, iscsi_data_len(bhs));
	batch_add(b, c->param, data, iscsi_data_len(bhs));
}

static void
batch_release(struct conn *c, struct tx_batch *b)
{
	struct list *node;

	while ((node = list_pop(&b->sent)))
		tx_release(c, list_entry(node, struct conn_tx, node));
	if (c->tx_units < CONN_TX_MAX)
		fiber_cond_broadcast(&c->room);
}

static int
batch_send(struct conn *c, struct tx_batch *b)
{
	int r;

	b->slot_count = 0;
	b->iov_count = 0;
	b->bytes = 0;
	list_init(&b->sent);
	while (!list_empty(&c->tx) && b->slot_count < CONN_BATCH &&
	    b->bytes < CONN_BATCH_BYTES && !b->last)
		batch_next(c, b);
	r = net_writev(c->net, b->iov, b->iov_count,
	    SERVER_SEND_TIMEOUT_S * NSEC_PER_SEC);
	batch_release(c, b);
	return r;
}

void
conn_tx_writer(void *arg)
{
	struct conn *c = arg;
	int r = 0;

	c->writer = fiber_self();
	while (r == 0 && !c->dead && !c->batch.last) {
		if (!list_empty(&c->tx)) {
			r = batch_send(c, &c->batch);
			/* A send need not suspend; others have work, too. */
			if (r == 0 && !list_empty(&c->tx))
				fiber_yield();
			continue;
		}
		c->writer_idle = true;
		fiber_park();
	}
	/* Whatever ended us, the reader must not wait for more. */
	conn_kill(c);
	c->writing = false;
	fiber_cond_broadcast(&c->changed);
}

void
conn_tx_drop(struct conn *c)
{
	struct list *node;

	while ((node = list_pop(&c->tx)))
		tx_release(c, list_entry(node, struct conn_tx, node));
}

int
conn_tx_now(struct conn *c, const union iscsi_bhs *bhs, const void *data,
    size_t len, uint64_t timeout_ns)
{
	static const uint32_t no_digests[PARAM_COUNT];
	struct tx_batch *b = &c->batch;

	b->slot_count = 0;
	b->iov_count = 0;
	b->slots[0].bhs = *bhs;
	batch_add(b, no_digests, data, len);
	return net_writev(c->net, b->iov, b->iov_count, timeout_ns);
}
