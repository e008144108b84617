/* SPDX-License-Identifier: BSD-2-Clause */
/* NOP, task management, logout, reject, asynchronous messages. */
#include <stdlib.h>
#include <string.h>

#include "iscsi/conn.h"

/* ---- NOP ---- */

int
conn_nop_out(struct conn *c, const union iscsi_bhs *bhs)
{
	uint32_t itt = be32_get(bhs->any.itt), len = iscsi_data_len(bhs);
	uint32_t max = c->param[PARAM_MAX_RECV_DATA];
	struct conn_tx *tx;
	uint8_t *data;
	int r;

	/* The answer to a NOP-In of ours. */
	if (itt == ISCSI_NO_TAG)
		return conn_rx_discard(c, len);
	data = malloc(len + 1);
	if (!data)
		return -ENOMEM;
	r = conn_rx_data(c, data, len, 0);
	tx = r == 0 ? conn_tx_new(TX_ANSWER, ISCSI_NOP_IN, itt, data,
	    len < max ? len : max) : NULL;
	if (!tx) {
		free(data);
		return r < 0 ? r : -ENOMEM;
	}
	tx->bhs.any.ttt = be32(ISCSI_NO_TAG);
	memcpy(tx->bhs.any.lun, bhs->any.lun, sizeof(tx->bhs.any.lun));
	conn_tx_queue(c, tx);
	return 0;
}

void
conn_nop_in(struct conn *c)
{
	struct conn_tx *tx =
	    conn_tx_new(TX_SOLICIT, ISCSI_NOP_IN, ISCSI_NO_TAG, NULL, 0);

	if (!tx)
		return;
	tx->bhs.any.ttt = be32(c->next_ttt);
	conn_tx_queue(c, tx);
}

/* ---- reject, asynchronous message ---- */

int
conn_reject(struct conn *c, const union iscsi_bhs *bhs,
    enum iscsi_reject reason, bool fatal)
{
	uint8_t *copy = malloc(ISCSI_BHS_SIZE);
	struct conn_tx *tx = copy ? conn_tx_new(TX_ANSWER, ISCSI_REJECT,
	    ISCSI_NO_TAG, copy, ISCSI_BHS_SIZE) : NULL;

	if (!tx) {
		free(copy);
		return -ENOMEM;
	}
	memcpy(copy, bhs->raw, ISCSI_BHS_SIZE);
	tx->bhs.any.b2 = (uint8_t)reason;
	tx->last = fatal;
	if (fatal) {
		c->draining = true;
		log_warn(c->env->log, "iscsi: connection dropped "
		    "peer=%s: bad %s, reject reason %d",
		    net_conn_peer(c->net), iscsi_opcode_name(bhs->any.opcode),
		    (int)reason);
	}
	conn_tx_queue(c, tx);
	return fatal ? -VMFS_EPROTO : 0;
}

void
conn_async(struct conn *c, uint8_t event, unsigned seconds)
{
	struct conn_tx *tx =
	    conn_tx_new(TX_ANSWER, ISCSI_ASYNC, ISCSI_NO_TAG, NULL, 0);

	if (!tx) {
		conn_kill(c);
		return;
	}
	tx->bhs.async.event = event;
	tx->bhs.async.p2 = be16(0);	/* Time2Wait */
	tx->bhs.async.p3 = be16((uint16_t)seconds);	/* Time2Retain: 0 */
	if (event != ISCSI_ASYNC_LOGOUT)
		tx->last = c->draining = true;
	conn_tx_queue(c, tx);
}

/* ---- task management ---- */

enum { TMF_REASSIGN = 8, TMF_NO_REASSIGN = 4 };

struct tmf_job {
	struct conn *conn;
	enum scsi_tmf function;
	uint8_t lun[8];
	uint64_t tag;
	struct conn_tx *tx;
};

static void
tmf_answer(struct conn *c, struct conn_tx *tx, unsigned response)
{
	tx->bhs.rsp.response = (uint8_t)response;
	conn_tx_queue(c, tx);
}

/* A cold reset ends every session of the target (11.5.1). */
static void
cold_reset(struct conn *c)
{
	struct iscsi_target *t = c->session->target;

	shared_enter(&c->server->lock);
	list_for_each(node, tmp, &c->server->sessions) {
		struct iscsi_session *ss =
		    list_entry(node, struct iscsi_session, node);

		if (ss->target == t)
			conn_order(ss->conn, CONN_SHUTDOWN);
	}
	shared_leave(&c->server->lock);
}

static void
tmf_run(void *arg)
{
	struct tmf_job *job = arg;
	struct conn *c = job->conn;
	enum scsi_tmf_response rsp;

	rsp = scsi_tmf(c->session->nexus, job->function, job->lun, job->tag);
	tmf_answer(c, job->tx, rsp);
	if (job->function == SCSI_TMF_TARGET_COLD_RESET &&
	    rsp == SCSI_TMF_COMPLETE)
		cold_reset(c);
	c->tmf_count--;
	fiber_cond_broadcast(&c->changed);
	free(job);
}

static int
tmf_start(struct conn *c, const union iscsi_bhs *bhs, struct conn_tx *tx)
{
	struct tmf_job *job = calloc(1, sizeof(*job));

	if (!job)
		return -ENOMEM;
	job->conn = c;
	job->function = (enum scsi_tmf)(bhs->tmf.function & 0x7f);
	memcpy(job->lun, bhs->tmf.lun, sizeof(job->lun));
	job->tag = be32_get(bhs->tmf.ref_tag);
	job->tx = tx;
	if (sched_spawn(c->env->sched, "iscsi-tmf", tmf_run,
	    job) < 0) {
		free(job);
		return -ENOMEM;
	}
	c->tmf_count++;
	return 0;
}

/*
 * Tasks the device server has not seen yet are ended here.  True when that
 * was all there is to do.
 */
static bool
tmf_collecting(struct conn *c, const union iscsi_bhs *bhs)
{
	struct conn_task *t;

	switch (bhs->tmf.function & 0x7f) {
	case SCSI_TMF_ABORT_TASK:
		t = conn_task_find(c, be32_get(bhs->tmf.ref_tag));
		if (!t || t->state != TASK_COLLECTING)
			return false;
		conn_task_cancel(t);
		return true;
	case SCSI_TMF_ABORT_TASK_SET:
	case SCSI_TMF_CLEAR_TASK_SET:
	case SCSI_TMF_LOGICAL_UNIT_RESET:
		conn_task_cancel_all(c, bhs->tmf.lun);
		return false;
	case SCSI_TMF_TARGET_WARM_RESET:
	case SCSI_TMF_TARGET_COLD_RESET:
		conn_task_cancel_all(c, NULL);
		return false;
	default:
		return false;
	}
}

int
conn_tmf(struct conn *c, const union iscsi_bhs *bhs)
{
	struct conn_tx *tx = conn_tx_new(TX_ANSWER, ISCSI_TMF_RSP,
	    be32_get(bhs->tmf.itt), NULL, 0);
	unsigned function = bhs->tmf.function & 0x7f;

	if (!tx)
		return -ENOMEM;
	if (function == TMF_REASSIGN) {
		tmf_answer(c, tx, TMF_NO_REASSIGN);
	} else if (function < SCSI_TMF_ABORT_TASK || function > TMF_REASSIGN) {
		tmf_answer(c, tx, SCSI_TMF_NOT_SUPPORTED);
	} else if (tmf_collecting(c, bhs)) {
		tmf_answer(c, tx, SCSI_TMF_COMPLETE);
	} else if (c->tmf_count >= CONN_TMF_MAX || tmf_start(c, bhs, tx) < 0) {
		tmf_answer(c, tx, SCSI_TMF_REJECTED);
	}
	return 0;
}

/* ---- logout ---- */

enum {
	LOGOUT_SESSION = 0, LOGOUT_CONNECTION = 1, LOGOUT_RECOVERY = 2,
	LOGOUT_DONE = 0, LOGOUT_NO_CID = 1, LOGOUT_NO_RECOVERY = 2,
};

int
conn_logout(struct conn *c, const union iscsi_bhs *bhs)
{
	struct conn_tx *tx = conn_tx_new(TX_ANSWER, ISCSI_LOGOUT_RSP,
	    be32_get(bhs->any.itt), NULL, 0);
	unsigned reason = bhs->logout.reason & 0x7f;

	if (!tx)
		return -ENOMEM;
	if (reason > LOGOUT_CONNECTION) {
		tx->bhs.logout.response = LOGOUT_NO_RECOVERY;
	} else if (reason == LOGOUT_CONNECTION &&
	    be16_get(bhs->logout.cid) != c->login.claim.cid) {
		tx->bhs.logout.response = LOGOUT_NO_CID;
	} else {
		/* Reservations and tasks are gone when the answer is out. */
		c->draining = true;
		session_abandon(c->session);
		while (c->tmf_count > 0)
			fiber_cond_wait(&c->changed);
		session_end_nexus(c->session);
		conn_task_cancel_all(c, NULL);
		tx->last = true;
	}
	conn_tx_queue(c, tx);
	return 0;
}
