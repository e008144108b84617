/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The initiator's end of a fake connection: makes PDUs that are right but
 * for what the caller spoils, and checks every byte that the target sends.
 */
#ifndef TESTS_FUZZ_PEER_H
#define TESTS_FUZZ_PEER_H

#include "iscsi/pdu.h"
#include "tests/fuzz/fake_net.h"

#define PEER_BUF (320U << 10)	/* the longest PDU that can come, and more */

struct peer {
	struct fake_peer *net;
	unsigned window;	/* commands_max of the target */
	size_t len;		/* of buf */
	bool full;		/* full feature phase */
	bool header_digest, data_digest;
	uint32_t cmdsn, itt;	/* next to use */
	uint32_t statsn;	/* expected */
	uint32_t max_recv;	/* what we declared */
	uint32_t max_cmdsn;
	uint16_t tsih;
	unsigned pongs;		/* answers to pings of ours */
	union iscsi_bhs r2t;	/* the last one */
	uint32_t r2t_done, r2t_datasn;
	uint8_t buf[PEER_BUF];	/* came and is not a whole PDU yet */
};

void peer_open(struct peer *p, unsigned window);
/* Asks for full feature phase with keys; names in front of it are the
 * caller's. */
void peer_login(struct peer *p, uint8_t isid, const char *text, size_t len);
/* Adds padding and digests as agreed; bad_digest spoils the last of them. */
void peer_send(struct peer *p, const union iscsi_bhs *bhs, const void *ahs,
    const void *data, size_t len, bool bad_digest);
/* A ping, as an immediate command. */
void peer_ping(struct peer *p);

#endif
