/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One connection: a reader fiber (login, then dispatch of requests), a writer
 * fiber that sends what was queued, a keep-alive timer, and a fiber for each
 * task management function.  All on one worker's scheduler; others may only
 * give orders.
 *
 *   conn.c        life: login, loop, end; keep-alive
 *   conn_rx.c     PDUs in: read, check, dispatch
 *   conn_tx.c     PDUs out: queue, numbers, digests, gathered writes
 *   conn_cmd.c    SCSI commands and their data
 *   conn_mgmt.c   NOP, task management, logout, reject, asynchronous message
 *   conn_text.c   Text requests, SendTargets
 */
#ifndef VMFS_ISCSI_CONN_H
#define VMFS_ISCSI_CONN_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "iscsi/login_fsm.h"
#include "iscsi/pdu.h"
#include "iscsi/scsi/scsi.h"
#include "iscsi/server.h"
#include "iscsi/session.h"
#include "iscsi/xfer.h"

#define CONN_BUCKETS 64		/* of the table of tasks by tag */
#define CONN_BATCH 32		/* PDUs of one gathered write */
#define CONN_BATCH_BYTES (1U << 20)
#define CONN_TX_MAX 1024	/* units of answers queued, commands' apart */
#define CONN_TX_UNIT 4096	/* bytes of data that count as one more */
#define CONN_IMMEDIATE_MAX 32	/* immediate commands at once */
#define CONN_TMF_MAX 16		/* task management functions at once */
#define CONN_COLLECT_MAX (64U << 20)	/* data-out buffers of a connection */
#define CONN_DATA_FREE (1U << 20)	/* of it, whatever others hold */
#define CONN_NOP_MISSED 3	/* keep-alive intervals in silence: dead */
#define CONN_SENDTARGETS_MAX (4U << 20)

struct conn;
struct conn_task;

enum conn_orders {
	CONN_KILL = 1,		/* conn_kill */
	CONN_SHUTDOWN = 2,	/* conn_shutdown */
	CONN_ASK_LOGOUT = 4,	/* conn_ask_logout */
};

enum tx_kind {
	TX_ANSWER,		/* takes a StatSN */
	TX_SOLICIT,		/* shows the next one: R2T, NOP-In of ours */
	TX_TASK,		/* Data-In and response of a command */
};

struct conn_tx {
	struct list node;
	enum tx_kind kind;
	bool last;		/* the connection ends after it */
	unsigned units;		/* counted against CONN_TX_MAX */
	union iscsi_bhs bhs;
	uint8_t *data;		/* freed when sent; data_len of bhs */
	struct conn_task *task;	/* TX_TASK */
};

enum task_state {
	TASK_COLLECTING,	/* data-out still to come */
	TASK_RUNNING,		/* the device server has it */
	TASK_ANSWERING,		/* Data-In or response queued or being sent */
};

struct conn_task {
	struct list node;	/* in a bucket of the connection */
	struct list wait;	/* for room for its data */
	struct conn *conn;
	enum task_state state;
	bool immediate;
	uint32_t itt;
	struct scsi_task scsi;
	uint8_t *buf;
	size_t buf_size;
	bool granted;		/* buf has room for all, counted */
	struct xfer xfer;
	struct conn_tx tx;
	uint32_t in_len;	/* data-in to send: data_in_len cut to edtl */
	uint32_t in_sent;
	uint32_t in_burst;	/* bytes of the current sequence */
	uint32_t in_datasn;
	uint8_t sense[2 + SCSI_SENSE_MAX];	/* as the response carries it */
};

/* Room of one PDU in a gathered write. */
struct tx_slot {
	union iscsi_bhs bhs;
	uint8_t header_digest[ISCSI_DIGEST_SIZE];
	uint8_t tail[3 + ISCSI_DIGEST_SIZE];	/* padding, data digest */
};
static_assert(offsetof(struct tx_slot, header_digest) == ISCSI_BHS_SIZE,
    "digest follows header");

struct tx_batch {
	struct tx_slot slots[CONN_BATCH];
	struct iovec iov[CONN_BATCH * 3];
	unsigned slot_count;
	int iov_count;
	size_t bytes;
	bool last;
	struct list sent;	/* struct conn_tx, to release afterwards */
};

struct conn {
	struct list node;
	struct iscsi_server *server;
	struct env *env;		/* of its worker */
	struct sched_work start;
	atomic_uint orders;		/* enum conn_orders, not obeyed yet */
	struct sched_work order_work;
	struct net_conn *net;
	bool logged_in, gave_way;	/* under the server's lock */
	struct iscsi_session *session;	/* NULL during login */
	struct login login;
	struct login_policy policy;
	unsigned group;			/* portal group it came by */
	struct acl_chap auth_in, auth_out;	/* copies, during login */
	char redirect[ISCSI_ADDRESS_MAX];	/* likewise */
	char alias[ISCSI_ALIAS_MAX];
	unsigned access_changes;	/* of the server, then */
	uint32_t param[PARAM_COUNT];	/* active values, FFP */
	uint32_t max_recv;		/* largest data segment we take */
	uint32_t statsn;

	/* Reader. */
	uint8_t header[ISCSI_BHS_SIZE + ISCSI_AHS_MAX + ISCSI_DIGEST_SIZE];
	uint8_t *scratch;		/* what is read and thrown away */
	bool draining;			/* no more reads; writer finishes */
	bool dead;

	/* Commands. */
	struct list buckets[CONN_BUCKETS];
	struct list waiting;		/* struct conn_task.wait */
	_Atomic unsigned task_count;	/* also read by administration */
	unsigned immediate_count;
	uint64_t collect_bytes;
	uint64_t data_bytes;		/* of all buf of tasks */
	uint32_t next_ttt;

	/* Writer. */
	bool writing;			/* the fiber exists */
	struct fiber *writer;
	bool writer_idle;
	struct list tx;
	unsigned tx_units;		/* all but TX_TASK */
	struct tx_batch batch;
	struct fiber_cond room;		/* tx_units fell, or the end */

	/* Management. */
	unsigned tmf_count;
	struct fiber_cond changed;	/* a tmf or the writer ended */
	struct text_buf text_in, text_out;
	size_t text_sent;
	uint32_t text_ttt;		/* ISCSI_NO_TAG: no exchange is open */
	struct sched_timer alive;
	struct sched_timer leave;	/* it was asked to log out until then */
	bool heard;			/* since the last interval */
	unsigned silent;		/* intervals */
};

/* ---- conn.c ---- */
/* From any thread, with the server's lock held and c on its list. */
void conn_order(struct conn *c, enum conn_orders order);
/* Reader and writer end soon; never suspends. */
void conn_kill(struct conn *c);

/* ---- conn_rx.c ---- */
/* Reads and handles one PDU.  0, or negative when the connection is over. */
int conn_rx_pdu(struct conn *c) MUST_CHECK;
/* Data segment with padding and digest; timeout 0: none.  -VMFS_EPROTO for a
 * wrong digest. */
int conn_rx_data(struct conn *c, void *buf, uint32_t len,
    uint64_t timeout_ns) MUST_CHECK;
/* Reads a data segment and forgets it. */
int conn_rx_discard(struct conn *c, uint32_t len) MUST_CHECK;
/* Reads header, AHS and header digest into c->header. */
int conn_rx_header(struct conn *c, uint64_t timeout_ns) MUST_CHECK;

/* ---- conn_tx.c ---- */
/* Queues; takes tx.  Never suspends. */
void conn_tx_queue(struct conn *c, struct conn_tx *tx);
/* The writer looks at its queue and at c->dead again. */
void conn_tx_wake(struct conn *c);
/* An answer of its own, data taken over.  NULL: no memory. */
struct conn_tx *conn_tx_new(enum tx_kind kind, enum iscsi_opcode opcode,
    uint32_t itt, uint8_t *data, uint32_t len);
void conn_tx_writer(void *arg);
/* Frees what was never sent. */
void conn_tx_drop(struct conn *c);
/* Sends one PDU at once, while no writer runs (login). */
int conn_tx_now(struct conn *c, const union iscsi_bhs *bhs, const void *data,
    size_t len, uint64_t timeout_ns) MUST_CHECK;

/* ---- conn_cmd.c ---- */
int conn_cmd(struct conn *c, const union iscsi_bhs *bhs) MUST_CHECK;
int conn_data_out(struct conn *c, const union iscsi_bhs *bhs) MUST_CHECK;
struct conn_task *conn_task_find(const struct conn *c, uint32_t itt);
/* Not known to the device server yet, or answered. */
void conn_task_free(struct conn_task *t);
/* Its place in the command window is free. */
void conn_task_leave(struct conn_task *t);
/* Ends a task that still collects data, as if it had been aborted. */
void conn_task_cancel(struct conn_task *t);
/* The same for all such; lun NULL: of all units. */
void conn_task_cancel_all(struct conn *c, const uint8_t lun[8]);
/* The next PDU of a command's answer; true when it was the last. */
bool conn_task_emit(struct conn_task *t, union iscsi_bhs *ret_bhs,
    const void **ret_data);

/* ---- conn_mgmt.c ---- */
int conn_nop_out(struct conn *c, const union iscsi_bhs *bhs) MUST_CHECK;
int conn_tmf(struct conn *c, const union iscsi_bhs *bhs) MUST_CHECK;
int conn_logout(struct conn *c, const union iscsi_bhs *bhs) MUST_CHECK;
void conn_nop_in(struct conn *c);
/* Logout is asked for within so many seconds; after any other event the
 * connection ends. */
void conn_async(struct conn *c, uint8_t event, unsigned seconds);
/* Rejects the header; `fatal` ends the connection after it. */
int conn_reject(struct conn *c, const union iscsi_bhs *bhs,
    enum iscsi_reject reason, bool fatal) MUST_CHECK;

/* ---- conn_text.c ---- */
int conn_text(struct conn *c, const union iscsi_bhs *bhs) MUST_CHECK;

#endif
