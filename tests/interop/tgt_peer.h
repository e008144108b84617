/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * tgt as a peer: a target daemon of our own on a free port of 127.0.0.1 with
 * its own control socket.  Failures end the test case.
 */
#ifndef VMFS_TESTS_INTEROP_TGT_PEER_H
#define VMFS_TESTS_INTEROP_TGT_PEER_H

#include <stdint.h>
#include <sys/types.h>

#define TGT_USER "joe"
#define TGT_SECRET "secretsecret12"

struct tgt_peer {
	pid_t pid;
	uint16_t port;
	int control;
};

/*
 * LUN 1 of each: iqn.2026-01.peer:thin (thin), :thin2 (the same image file is
 * not shared), :chap (wants TGT_USER and TGT_SECRET).  Images lie in the
 * current directory, 64 MiB each, and are kept over a restart.
 */
void tgt_start(struct tgt_peer *t);
/* kill -9 and wait. */
void tgt_kill(struct tgt_peer *t);
/* Starts again on the same port. */
void tgt_restart(struct tgt_peer *t);
/* Stops answering, without closing anything, and goes on. */
void tgt_freeze(const struct tgt_peer *t);
void tgt_thaw(const struct tgt_peer *t);

/* A port of 127.0.0.1 nobody listens on at the moment. */
uint16_t tgt_free_port(void);

#endif
