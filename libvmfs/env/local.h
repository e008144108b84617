/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Stream sockets of this machine that carry file descriptors, and eventfds:
 * how a hypervisor on the same machine talks to an export.  For fibers of a
 * reactor.
 */
#ifndef VMFS_ENV_LOCAL_H
#define VMFS_ENV_LOCAL_H

#include <stddef.h>

#include "libvmfs/base/err.h"
#include "libvmfs/env/reactor.h"

struct local_listener;
struct local_conn;

/*
 * Listens at a path that only the owner may use (mode 0600).  A socket that
 * nobody serves any more is replaced; it suspends for up to 5 s until nobody
 * does.  -EADDRINUSE: somebody serves it; -EEXIST: the path is no socket;
 * -ENAMETOOLONG; errno of bind(2).
 */
int local_listen(const char *path, struct local_listener **ret_l) MUST_CHECK;
/*
 * The socket alone, for who accepts in another way: its descriptor, the
 * caller's, that listens and blocks; or the same errors.
 */
int local_socket(const char *path) MUST_CHECK;
/* Suspends until a peer connects; -ECANCELED at local_listener_close.  One
 * fiber at a time. */
int local_accept(struct local_listener *l, struct local_conn **ret_c)
    MUST_CHECK;
/* Removes the path.  Ends a local_accept that waits; none may be called
 * later.  NULL is fine. */
void local_listener_close(struct local_listener *l);

/*
 * Takes over a connected socket, as it comes from a peer.  The descriptor is
 * the connection's, on failure the caller's.
 */
int local_adopt(int fd, struct local_conn **ret_c) MUST_CHECK;
/*
 * Suspends until len bytes are there.  Descriptors that come with them are the
 * caller's: at most max, more are closed.  -ECONNRESET at the end of the
 * stream; then no descriptor is left in fds.
 */
int local_recv(struct local_conn *c, void *buf, size_t len, int *fds,
    unsigned max, unsigned *ret_fds) MUST_CHECK;
/* Sends all; with a copy of fd unless it is -1.  Suspends. */
int local_send(struct local_conn *c, const void *buf, size_t len, int fd)
    MUST_CHECK;
/* Without waiting: -EAGAIN when there is no room.  Does not suspend. */
int local_send_now(struct local_conn *c, const void *buf, size_t len)
    MUST_CHECK;
/* Wakes who receives or sends with -ECONNRESET. */
void local_conn_shutdown(struct local_conn *c);
/* No fiber may be inside a call.  NULL is fine. */
void local_conn_close(struct local_conn *c);

/* Suspends until the eventfd was signalled; 0 or a negative errno. */
int event_wait(int fd) MUST_CHECK;

/*
 * A peer that signals an eventfd only while it is told to, and what it changed
 * can be looked at: a reactor that is awake does so (reactor_watch).  Zero but
 * for the first part.
 */
struct event_watch {
	int fd;				/* stays until event_watch_end */
	bool (*look)(void *arg);	/* is there something? */
	/* From now on it is to signal, or not.  True: something is there. */
	bool (*listen)(void *arg, bool on);
	void *arg;
	struct reactor_watch watch;	/* `working` is the caller's */
	struct reactor_op op;		/* private from here */
	bool reading, listening;
	uint64_t count;
	struct fiber *ender;
	int error;
};
/* Suspends until something is there, perhaps in vain; it may go on to wait for
 * it all the same.  Negative: the eventfd is of no use. */
int event_watch_wait(struct event_watch *w) MUST_CHECK;
/* Ends a wait.  Does not suspend. */
void event_watch_wake(struct event_watch *w);
/* No wait may be under way.  Suspends. */
void event_watch_end(struct event_watch *w);

#endif
