/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A server on a reactor thread of its own, and a blocking client that speaks
 * raw PDUs to it.  Every wait of the client has a deadline.
 */
#ifndef TESTS_UNIT_ISCSI_RIG_H
#define TESTS_UNIT_ISCSI_RIG_H

#include <stdbool.h>
#include <stdint.h>

#include "iscsi/pdu.h"
#include "iscsi/target.h"

#define RIG_IQN "iqn.2026-11.io.vmfsd:rig"
#define RIG_DISK (16U << 20)	/* bytes of LUN 0, blocks of 512 */
#define RIG_DATA_MAX (1U << 20)

/* One connection of the client. */
struct rig_conn {
	int fd;
	uint32_t cmdsn, itt;
	bool header_digest, data_digest;	/* agreed: checked and added */
	/* The last PDU received. */
	union iscsi_bhs bhs;
	uint8_t data[RIG_DATA_MAX];
	uint32_t len;
};

/* Zeroes: defaults.  `targets`: so many more, without units. */
struct rig_conf {
	struct iscsi_limits limits;
	unsigned targets;
};
void rig_start(const struct rig_conf *conf);
/* Ends the server; it must have survived. */
void rig_stop(void);
/* Ends it in the background, for a client that watches. */
void rig_stop_begin(void);
/* Waits for what rig_stop_begin began. */
void rig_join(void);
/* iscsi_server_drop_session on the server's thread. */
void rig_drop_session(uint16_t tsih);

/* iscsi_server_sessions; fn runs on the server's thread. */
void rig_sessions(void (*fn)(void *arg, const struct iscsi_session_info *i),
    void *arg);

/* Runs act on the server's thread; its result. */
int rig_do(int (*act)(struct iscsi_server *s, void *arg), void *arg);

/* Of its portal, at 127.0.0.1. */
uint16_t rig_port(void);
struct rig_conn *rig_connect(void);
void rig_close(struct rig_conn *c);
/* Bytes as they are. */
void rig_send_raw(struct rig_conn *c, const void *data, size_t len);
/* A PDU with padding and digests; fills in the data length. */
void rig_send(struct rig_conn *c, union iscsi_bhs *bhs, const void *data,
    uint32_t len);
/* 0; -1 when the connection ended or nothing came in time. */
int rig_recv(struct rig_conn *c);
/* Receives and requires this operation code. */
void rig_expect(struct rig_conn *c, enum iscsi_opcode opcode);
/* Reads until the server closes; false when it does not in time. */
bool rig_closed(struct rig_conn *c);

/* One login request; `text` holds its keys, names come in front.  Status. */
unsigned rig_login_as(struct rig_conn *c, const char *initiator,
    const char *target, uint8_t isid, uint16_t tsih, const char *text,
    size_t len);
/* A new connection in full feature phase, keys in `text`. */
struct rig_conn *rig_session(const char *text, size_t len);
#define rig_login(text) rig_session(text, sizeof(text) - 1)

/* A SCSI command header: next CmdSN and tag, F bit set. */
union iscsi_bhs rig_cmd(struct rig_conn *c, uint8_t flags, uint32_t edtl,
    const uint8_t cdb[16]);
union iscsi_bhs rig_request(struct rig_conn *c, enum iscsi_opcode opcode);
/* WRITE(10), READ(10) of blocks from lba. */
union iscsi_bhs rig_rw(struct rig_conn *c, bool write, uint32_t lba,
    uint16_t blocks);
/* TEST UNIT READY; clears unit attentions first.  Its status. */
unsigned rig_ready(struct rig_conn *c);
/* A new session logs in and gets GOOD: the server is well. */
void rig_alive(void);

#endif
