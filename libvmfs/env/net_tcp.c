/* SPDX-License-Identifier: BSD-2-Clause */
/* Streams on the ring of the calling fiber's reactor. */
#include <liburing.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "libvmfs/env/gather.h"
#include "libvmfs/env/local.h"
#include "libvmfs/env/net.h"
#include "libvmfs/env/reactor.h"
#include "libvmfs/env/sched_impl.h"

/*
 * Short reads (headers, a few blocks of data) are served from here, so that
 * one call fetches many of them; the rest of long ones goes past it.
 */
#define READ_AHEAD ((size_t)64 << 10)
/* ... but little of it after a long one, or data would be copied twice. */
#define READ_AHEAD_LEAST ((size_t)512)
#define READ_LONG ((size_t)32 << 10)
/* A longer send leaves the reactor to others meanwhile. */
#define SEND_AT_ONCE ((size_t)256 << 10)
#define LISTEN_BACKLOG 128
#define IOV_WINDOW 64
#define NEVER UINT64_MAX

struct net_wait;

struct net_listener {
	int fd;
	struct net_wait *accepting;
	bool closed;
	char *path;			/* NULL: TCP */
	char addr[NET_ADDR_TEXT];
};

struct net_conn {
	int fd;
	size_t ahead_pos, ahead_end;
	size_t ahead_want;	/* bytes of the next read ahead */
	struct gather gather;
	char peer[NET_ADDR_TEXT];
	char local[NET_ADDR_TEXT];
	char ahead[READ_AHEAD];
};

/* A fiber that waits for one operation, for a time. */
struct net_wait {
	struct reactor_op op;
	struct sched_timer timer;
	struct fiber *fiber;
	bool done;
	bool timed_out;
};

static void
wait_done(struct reactor_op *op, int res)
{
	struct net_wait *w = container_of(op, struct net_wait, op);

	(void)res;
	w->done = true;
	fiber_unpark(w->fiber);
}

/* The operation ends with -ECANCELED, or has just ended. */
static void
wait_cancel(struct net_wait *w)
{
	struct io_uring_sqe *sqe = reactor_sqe(reactor_current());

	io_uring_prep_cancel(sqe, &w->op, 0);
	io_uring_sqe_set_data(sqe, NULL);
}

static void
wait_timeout(void *arg)
{
	struct net_wait *w = arg;

	w->timed_out = true;
	wait_cancel(w);
}

/* Suspends until the operation of sqe is over; its result. */
static int
wait_for(struct net_wait *w, struct io_uring_sqe *sqe, uint64_t deadline)
{
	struct sched *s = sched_current();

	w->op.done = wait_done;
	w->fiber = fiber_self();
	w->timer = (struct sched_timer){ .fn = wait_timeout, .arg = w };
	reactor_sqe_set_op(sqe, &w->op);
	if (deadline != NEVER)
		timer_arm_reserved(s, &w->timer, deadline);
	while (!w->done)
		fiber_park();
	sched_timer_cancel(s, &w->timer);
	if (w->timed_out && w->op.res == -ECANCELED)
		return -ETIMEDOUT;
	return w->op.res;
}

static uint64_t
deadline_after(uint64_t timeout_ns)
{
	uint64_t now;

	if (timeout_ns == 0)
		return NEVER;
	now = sched_now(sched_current());
	return timeout_ns > NEVER - now ? NEVER : now + timeout_ns;
}

/* "192.0.2.1:3260" or "[2001:db8::1]:3260". */
static void
addr_text(const struct sockaddr_storage *sa, socklen_t len,
    char text[NET_ADDR_TEXT])
{
	char host[NI_MAXHOST], port[NI_MAXSERV];
	bool v6 = sa->ss_family == AF_INET6;

	if (sa->ss_family == AF_UNIX) {
		(void)snprintf(text, NET_ADDR_TEXT, "local");
		return;
	}
	if (getnameinfo((const struct sockaddr *)sa, len, host, sizeof(host),
	    port, sizeof(port), NI_NUMERICHOST | NI_NUMERICSERV) != 0) {
		(void)snprintf(text, NET_ADDR_TEXT, "unknown");
		return;
	}
	/* Numeric forms fit but for an over-long interface name. */
	if (snprintf(text, NET_ADDR_TEXT, v6 ? "[%s]:%s" : "%s:%s", host,
	    port) >= NET_ADDR_TEXT)
		text[NET_ADDR_TEXT - 1] = '\0';
}

typedef int addr_fn(int fd, struct sockaddr *sa, socklen_t *len);

/* Text of getsockname or getpeername. */
static void
socket_text(int fd, addr_fn *get, char text[NET_ADDR_TEXT])
{
	struct sockaddr_storage sa = { .ss_family = AF_UNSPEC };
	socklen_t len = sizeof(sa);

	/* A peer may be gone already: then the text is "unknown". */
	(void)get(fd, (struct sockaddr *)&sa, &len);
	addr_text(&sa, len, text);
}

/* Splits a portal in host and port; `host` is a copy to cut. */
static int
portal_split(char *portal, const char **ret_host, const char **ret_port)
{
	char *colon = strrchr(portal, ':');

	if (*portal == '[') {
		char *end = strchr(portal, ']');

		if (end == NULL || (end[1] != '\0' && end[1] != ':'))
			return -EINVAL;
		*ret_port = end[1] == ':' ? end + 2 : NULL;
		*end = '\0';
		*ret_host = portal + 1;
		return 0;
	}
	/* Several colons: an IPv6 address without a port. */
	if (colon != NULL && strchr(portal, ':') != colon)
		colon = NULL;
	if (colon != NULL)
		*colon = '\0';
	*ret_host = portal;
	*ret_port = colon != NULL ? colon + 1 : NULL;
	return 0;
}

/* getaddrinfo would cut a port above 65535. */
static bool
port_valid(const char *text)
{
	unsigned long v = 0;

	for (const char *p = text; *p != '\0'; p++) {
		if (*p < '0' || *p > '9' || v > UINT16_MAX)
			return false;
		v = v * 10 + (unsigned long)(*p - '0');
	}
	return *text != '\0' && v <= UINT16_MAX;
}

/* Numeric addresses only: names would mean waiting for a name server. */
static int
portal_resolve(const char *portal, uint16_t default_port,
    struct addrinfo **ret_ai)
{
	static const struct addrinfo hints = {
		.ai_socktype = SOCK_STREAM,
		.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV | AI_PASSIVE,
	};
	char copy[NI_MAXHOST], default_text[8];
	const char *host, *port;
	int rc;

	if (strlen(portal) >= sizeof(copy))
		return -EINVAL;
	strcpy(copy, portal);
	rc = portal_split(copy, &host, &port);
	if (rc < 0)
		return rc;
	(void)snprintf(default_text, sizeof(default_text), "%u",
	    default_port);
	if (port == NULL)
		port = default_text;
	if (*host == '\0' || !port_valid(port))
		return -EINVAL;
	rc = getaddrinfo(host, port, &hints, ret_ai);
	if (rc == EAI_MEMORY)
		return -ENOMEM;
	return rc != 0 ? -EINVAL : 0;
}

static int
listen_on(const struct addrinfo *ai)
{
	int fd, rc, one = 1;

	fd = socket(ai->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	/* So that both families can have the port. */
	if (ai->ai_family == AF_INET6)
		(void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one,
		    sizeof(one));
	if (bind(fd, ai->ai_addr, ai->ai_addrlen) == 0 &&
	    listen(fd, LISTEN_BACKLOG) == 0)
		return fd;
	rc = -errno;
	close(fd);
	return rc;
}

/* Owns fd; NULL: no memory. */
static struct net_listener *
listener_new(int fd, const char *path)
{
	struct net_listener *l = calloc(1, sizeof(*l));

	if (l != NULL && path != NULL)
		l->path = strdup(path);
	if (l == NULL || (path != NULL && l->path == NULL)) {
		free(l);
		close(fd);
		return NULL;
	}
	l->fd = fd;
	socket_text(l->fd, getsockname, l->addr);
	return l;
}

int
net_listen(const char *portal, uint16_t default_port,
    struct net_listener **ret_l)
{
	struct net_listener *l;
	struct addrinfo *ai;
	int rc;

	rc = portal_resolve(portal, default_port, &ai);
	if (rc < 0)
		return rc;
	rc = listen_on(ai);
	freeaddrinfo(ai);
	if (rc < 0)
		return rc;
	l = listener_new(rc, NULL);
	if (l == NULL)
		return -ENOMEM;
	*ret_l = l;
	return 0;
}

int
net_listen_path(const char *path, struct net_listener **ret_l)
{
	struct net_listener *l;
	int fd = local_socket(path);

	if (fd < 0)
		return fd;
	l = listener_new(fd, path);
	if (l == NULL) {
		unlink(path);
		return -ENOMEM;
	}
	*ret_l = l;
	return 0;
}

const char *
net_listener_addr(const struct net_listener *l)
{
	return l->addr;
}

static void
listener_free(struct net_listener *l)
{
	close(l->fd);
	free(l->path);
	free(l);
}

void
net_listener_close(struct net_listener *l)
{
	if (l == NULL)
		return;
	if (l->path != NULL)
		unlink(l->path);
	/* A fiber inside net_accept still needs it. */
	if (l->accepting == NULL) {
		listener_free(l);
		return;
	}
	l->closed = true;
	wait_cancel(l->accepting);
}

static int
conn_new(int fd, struct net_conn **ret_c)
{
	struct net_conn *c = calloc(1, sizeof(*c));
	int one = 1;

	if (c == NULL) {
		close(fd);
		return -ENOMEM;
	}
	/* Answers must not wait for acknowledgements (Nagle). */
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	(void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof(one));
	c->fd = fd;
	c->ahead_want = READ_AHEAD;
	gather_init(&c->gather);
	socket_text(fd, getpeername, c->peer);
	socket_text(fd, getsockname, c->local);
	*ret_c = c;
	return 0;
}

/* One accept; -ECANCELED when the listener is closed. */
static int
accept_once(struct net_listener *l)
{
	struct net_wait w = { 0 };
	struct io_uring_sqe *sqe = reactor_sqe(reactor_current());
	int fd;

	io_uring_prep_accept(sqe, l->fd, NULL, NULL, SOCK_CLOEXEC);
	l->accepting = &w;
	fd = wait_for(&w, sqe, NEVER);
	l->accepting = NULL;
	if (!l->closed)
		return fd;
	if (fd >= 0)
		close(fd);
	listener_free(l);
	return -ECANCELED;
}

int
net_accept(struct net_listener *l, struct net_conn **ret_c)
{
	int fd;

	/* Peers that gave up in the queue are no failure of ours. */
	do
		fd = accept_once(l);
	while (fd == -ECONNABORTED || fd == -EINTR || fd == -EAGAIN);
	return fd < 0 ? fd : conn_new(fd, ret_c);
}

const char *
net_conn_peer(const struct net_conn *c)
{
	return c->peer;
}

const char *
net_conn_local(const struct net_conn *c)
{
	return c->local;
}

/* At least one byte, or an error; the kernel tries to fill it if `all`. */
static int
recv_some(struct net_conn *c, void *buf, size_t len, bool all,
    uint64_t deadline)
{
	struct net_wait w = { 0 };
	struct io_uring_sqe *sqe = reactor_sqe(reactor_current());
	int rc;

	io_uring_prep_recv(sqe, c->fd, buf, len, all ? MSG_WAITALL : 0);
	rc = wait_for(&w, sqe, deadline);
	return rc == 0 ? -ECONNRESET : rc;
}

/* Reads ahead for a read of len bytes; the more, the longer all were short. */
static int
recv_ahead(struct net_conn *c, size_t len, uint64_t deadline)
{
	int rc = recv_some(c, c->ahead,
	    len > c->ahead_want ? len : c->ahead_want, false, deadline);

	c->ahead_pos = 0;
	c->ahead_end = rc > 0 ? (size_t)rc : 0;
	if (c->ahead_want < READ_AHEAD)
		c->ahead_want *= 2;
	return rc;
}

/* Bytes read ahead; may be none. */
static size_t
take_ahead(struct net_conn *c, void *buf, size_t len)
{
	size_t n = c->ahead_end - c->ahead_pos;

	if (n > len)
		n = len;
	memcpy(buf, c->ahead + c->ahead_pos, n);
	c->ahead_pos += n;
	return n;
}

static bool
transient(int rc)
{
	return rc == -EINTR || rc == -EAGAIN;
}

int
net_read(struct net_conn *c, void *buf, size_t len, uint64_t timeout_ns)
{
	uint64_t deadline = deadline_after(timeout_ns);
	char *p = buf;

	if (len <= c->ahead_end - c->ahead_pos)
		gather_served(&c->gather);
	while (len > 0) {
		size_t n = take_ahead(c, p, len);
		int rc;

		p += n;
		len -= n;
		if (len == 0)
			break;
		if (len >= READ_LONG) {
			rc = recv_some(c, p, len, true, deadline);
			n = rc > 0 ? (size_t)rc : 0;
			p += n;
			len -= n;
			c->ahead_want = READ_AHEAD_LEAST;
		} else {
			rc = recv_ahead(c, len, deadline);
		}
		if (rc < 0 && !transient(rc))
			return rc;
	}
	return 0;
}

bool
net_gather_pays(struct net_conn *c)
{
	return reactor_rests() && c->ahead_pos == c->ahead_end &&
	    gather_pays(&c->gather);
}

void
net_gather(struct net_conn *c)
{
	if (reactor_rest())
		gather_done(&c->gather);
}

/* The next buffers; `skip` bytes of the first, fewer than it has, are sent. */
static size_t
iov_window(const struct iovec *iov, int iovcnt, size_t skip,
    struct iovec window[IOV_WINDOW])
{
	size_t n = iovcnt < IOV_WINDOW ? (size_t)iovcnt : IOV_WINDOW;

	if (n == 0)
		return 0;
	memcpy(window, iov, n * sizeof(*iov));
	window[0].iov_base = (char *)iov->iov_base + skip;
	window[0].iov_len -= skip;
	return n;
}

/*
 * A socket mostly has room for a little: then a call of its own sends sooner
 * than the ring, which is looked at when all fibers wait, and spares them the
 * second turn.
 */
static int
send_some(struct net_conn *c, struct iovec *iov, size_t n, uint64_t deadline)
{
	struct msghdr msg = { .msg_iov = iov, .msg_iovlen = n };
	struct net_wait w = { 0 };
	struct io_uring_sqe *sqe;
	size_t bytes = 0;
	ssize_t sent;
	int rc = -EAGAIN;

	for (size_t i = 0; i < n; i++)
		bytes += iov[i].iov_len;
	if (bytes <= SEND_AT_ONCE) {
		sent = sendmsg(c->fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);
		rc = sent < 0 ? -errno : (int)sent;
	}
	if (rc == -EAGAIN) {
		sqe = reactor_sqe(reactor_current());
		io_uring_prep_sendmsg(sqe, c->fd, &msg, MSG_NOSIGNAL);
		rc = wait_for(&w, sqe, deadline);
	}
	return rc == -EPIPE ? -ECONNRESET : rc;
}

int
net_writev(struct net_conn *c, struct iovec *iov, int iovcnt,
    uint64_t timeout_ns)
{
	uint64_t deadline = deadline_after(timeout_ns);
	struct iovec window[IOV_WINDOW];
	size_t skip = 0, n;

	for (;;) {
		int rc;

		/* Buffers that are sent need not be walked again. */
		while (iovcnt > 0 && skip >= iov->iov_len) {
			skip -= iov->iov_len;
			iov++;
			iovcnt--;
		}
		n = iov_window(iov, iovcnt, skip, window);
		if (n == 0)
			return 0;
		rc = send_some(c, window, n, deadline);
		if (rc < 0 && !transient(rc))
			return rc;
		skip += rc > 0 ? (size_t)rc : 0;
	}
}

void
net_conn_shutdown(struct net_conn *c)
{
	(void)shutdown(c->fd, SHUT_RDWR);
}

void
net_conn_close(struct net_conn *c)
{
	if (c == NULL)
		return;
	close(c->fd);
	free(c);
}
