/* SPDX-License-Identifier: BSD-2-Clause */
/* A client's connection, in clear or by TLS, and how long it may take. */
#ifndef VMFS_NBD_STREAM_H
#define VMFS_NBD_STREAM_H

#include "libvmfs/env/net.h"

struct tls;

struct stream {
	struct net_conn *c;
	struct tls *tls;	/* NULL: in clear */
	uint64_t deadline_ns;	/* of all that is moved; 0: none */
};

/* Like net_read and net_writev; a write that stands still for a minute ends
 * with -ETIMEDOUT.  Suspend. */
int stream_read(struct stream *s, void *buf, size_t len) MUST_CHECK;
int stream_writev(struct stream *s, struct iovec *iov, int iovcnt) MUST_CHECK;
/* Says goodbye where that is usual, and closes. */
void stream_close(struct stream *s);

/* ---- for tls.c: the bytes on the wire ---- */

int stream_read_raw(struct stream *s, void *buf, size_t len) MUST_CHECK;
int stream_write_raw(struct stream *s, void *buf, size_t len) MUST_CHECK;

#endif
