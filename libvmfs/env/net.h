/* SPDX-License-Identifier: BSD-2-Clause */
/* Stream sockets for fibers: all that servers need of a network. */
#ifndef VMFS_ENV_NET_H
#define VMFS_ENV_NET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "libvmfs/base/err.h"
#include "libvmfs/env/sched.h"

#define NET_ADDR_TEXT 72	/* "[v6 address]:port" and the NUL */

struct net_listener;
struct net_conn;

/*
 * Listens on "addr:port", "[v6]:port" or "addr" with default_port; port 0
 * picks a free one, net_listener_addr tells it.  On the current reactor.
 * Addresses are numeric.  -EINVAL for other texts, -EADDRINUSE ...
 */
int net_listen(const char *portal, uint16_t default_port,
    struct net_listener **ret_l) MUST_CHECK;
/* The same at a path, whose rules and errors are those of local_listen
 * (local.h): peers of this machine, of its owner alone. */
int net_listen_path(const char *path, struct net_listener **ret_l) MUST_CHECK;
/* As numbers; "local" of a path. */
const char *net_listener_addr(const struct net_listener *l);
/* Suspends until a peer connects; -ECANCELED at net_listener_close.  One
 * fiber at a time. */
int net_accept(struct net_listener *l, struct net_conn **ret_c) MUST_CHECK;
/* Ends a net_accept that waits; none may be called later.  Same reactor. */
void net_listener_close(struct net_listener *l);

const char *net_conn_peer(const struct net_conn *c);
const char *net_conn_local(const struct net_conn *c);
/*
 * Both suspend until every byte is moved.  -ECONNRESET at end of stream,
 * -ETIMEDOUT after timeout_ns without completion (0: no limit).  One reader
 * and one writer fiber at a time.
 */
int net_read(struct net_conn *c, void *buf, size_t len, uint64_t timeout_ns)
    MUST_CHECK;
int net_writev(struct net_conn *c, struct iovec *iov, int iovcnt,
    uint64_t timeout_ns) MUST_CHECK;
/*
 * For a reader at the begin of a request: whether it pays to let more of them
 * gather (gather.h), and to do so, if all that came is answered.  net_gather
 * suspends, for SPIN_MAX_NS at most.
 */
bool net_gather_pays(struct net_conn *c);
void net_gather(struct net_conn *c);
/* Wakes reader and writer with -ECONNRESET. */
void net_conn_shutdown(struct net_conn *c);
/* No fiber may be inside net_read or net_writev. */
void net_conn_close(struct net_conn *c);

#endif
