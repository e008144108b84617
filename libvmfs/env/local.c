/* SPDX-License-Identifier: BSD-2-Clause */
/* AF_UNIX on the ring of the calling fiber's reactor, see local.h. */
#include <liburing.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "libvmfs/base/units.h"
#include "libvmfs/env/local.h"
#include "libvmfs/env/reactor.h"

#define BACKLOG 16
#define PATH_WAIT_S 5
#define FDS_MAX 16

struct local_listener {
	int fd;
	bool accepting, closed;
	struct sockaddr_un addr;
};

struct local_conn {
	int fd;
};

static int
addr_of(const char *path, struct sockaddr_un *ret_sa)
{
	*ret_sa = (struct sockaddr_un){ .sun_family = AF_UNIX };
	if (strlen(path) >= sizeof(ret_sa->sun_path))
		return -ENAMETOOLONG;
	strcpy(ret_sa->sun_path, path);
	return 0;
}

/* A socket without a server is left over from one that was killed. */
static int
remove_stale(const struct sockaddr_un *sa)
{
	struct stat st;
	int fd, rc;

	if (lstat(sa->sun_path, &st) < 0)
		return errno == ENOENT ? 0 : -errno;
	if (!S_ISSOCK(st.st_mode))
		return -EEXIST;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	rc = connect(fd, (const struct sockaddr *)sa, sizeof(*sa)) < 0 ?
	    errno : 0;
	close(fd);
	if (rc != ECONNREFUSED)
		return rc == ENOENT ? 0 : -EADDRINUSE;
	return unlink(sa->sun_path) < 0 && errno != ENOENT ? -errno : 0;
}

/*
 * The kernel ends a killed process's io_uring, and with it the listening socket,
 * some time after the process: who goes on after it finds it served.
 */
static int
make_way(const struct sockaddr_un *sa)
{
	int rc = remove_stale(sa);

	for (int i = 0; rc == -EADDRINUSE && i < PATH_WAIT_S * 10; i++) {
		fiber_sleep(NSEC_PER_SEC / 10);
		rc = remove_stale(sa);
	}
	return rc;
}

static int
bind_private(int fd, const struct sockaddr_un *sa)
{
	/* Linux takes the rights of the path from those of the socket. */
	if (fchmod(fd, 0600) < 0 ||
	    bind(fd, (const struct sockaddr *)sa, sizeof(*sa)) < 0)
		return -errno;
	if (listen(fd, BACKLOG) == 0)
		return 0;
	unlink(sa->sun_path);
	return -errno;
}

static int
listen_at(const char *path, int flags, struct sockaddr_un *ret_sa)
{
	int fd, rc = addr_of(path, ret_sa);

	if (rc == 0)
		rc = make_way(ret_sa);
	if (rc < 0)
		return rc;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | flags, 0);
	if (fd < 0)
		return -errno;
	rc = bind_private(fd, ret_sa);
	if (rc == 0)
		return fd;
	close(fd);
	return rc;
}

int
local_socket(const char *path)
{
	struct sockaddr_un sa;

	return listen_at(path, 0, &sa);
}

int
local_listen(const char *path, struct local_listener **ret_l)
{
	struct local_listener *l = calloc(1, sizeof(*l));

	if (l == NULL)
		return -ENOMEM;
	l->fd = listen_at(path, SOCK_NONBLOCK, &l->addr);
	if (l->fd < 0) {
		int rc = l->fd;

		free(l);
		return rc;
	}
	*ret_l = l;
	return 0;
}

static void
listener_free(struct local_listener *l)
{
	close(l->fd);
	free(l);
}

int
local_accept(struct local_listener *l, struct local_conn **ret_c)
{
	int fd = -1, rc = 0;

	l->accepting = true;
	while (!l->closed && rc == 0 && fd < 0) {
		rc = reactor_poll_fd(l->fd, POLLIN);
		rc = rc < 0 ? rc : 0;
		if (rc < 0 || l->closed)
			break;
		fd = accept4(l->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
		if (fd < 0 && errno != EAGAIN && errno != EINTR &&
		    errno != ECONNABORTED)
			rc = -errno;
	}
	l->accepting = false;
	if (l->closed) {
		listener_free(l);
		rc = -ECANCELED;
	}
	if (rc == 0)
		rc = local_adopt(fd, ret_c);
	if (rc < 0 && fd >= 0)
		close(fd);
	return rc;
}

void
local_listener_close(struct local_listener *l)
{
	if (l == NULL)
		return;
	unlink(l->addr.sun_path);
	if (!l->accepting) {
		listener_free(l);
		return;
	}
	l->closed = true;
	(void)shutdown(l->fd, SHUT_RDWR);
}

int
local_adopt(int fd, struct local_conn **ret_c)
{
	struct local_conn *c = calloc(1, sizeof(*c));

	if (c == NULL)
		return -ENOMEM;
	c->fd = fd;
	*ret_c = c;
	return 0;
}

union control {
	char bytes[CMSG_SPACE(FDS_MAX * sizeof(int))];
	struct cmsghdr align;
};

/* Descriptors of one message; those that do not fit are closed. */
static void
take_fds(struct msghdr *msg, int *fds, unsigned max, unsigned *count)
{
	struct cmsghdr *h;

	for (h = CMSG_FIRSTHDR(msg); h != NULL; h = CMSG_NXTHDR(msg, h)) {
		size_t n = (h->cmsg_len - CMSG_LEN(0)) / sizeof(int);

		if (h->cmsg_level != SOL_SOCKET || h->cmsg_type != SCM_RIGHTS)
			continue;
		for (size_t i = 0; i < n; i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(h) + i * sizeof(int),
			    sizeof(fd));
			if (*count < max)
				fds[(*count)++] = fd;
			else
				close(fd);
		}
	}
}

static ssize_t
recv_once(struct local_conn *c, void *buf, size_t len, int *fds, unsigned max,
    unsigned *count)
{
	union control control;
	struct iovec iov = { .iov_base = buf, .iov_len = len };
	struct msghdr msg = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control,
		.msg_controllen = sizeof(control),
	};
	ssize_t n = recvmsg(c->fd, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);

	if (n < 0)
		return -errno;
	take_fds(&msg, fds, max, count);
	return n == 0 ? -ECONNRESET : n;
}

int
local_recv(struct local_conn *c, void *buf, size_t len, int *fds,
    unsigned max, unsigned *ret_fds)
{
	unsigned count = 0;
	char *p = buf;
	ssize_t n = 0;

	while (len > 0 && n >= 0) {
		n = recv_once(c, p, len, fds, max, &count);
		if (n == -EAGAIN)
			n = reactor_poll_fd(c->fd, POLLIN) < 0 ? -EIO : 0;
		else if (n == -EINTR)
			n = 0;
		if (n > 0) {
			p += n;
			len -= (size_t)n;
		}
	}
	while (n < 0 && count > 0)
		close(fds[--count]);
	if (n < 0)
		return (int)n;
	*ret_fds = count;
	return 0;
}

static ssize_t
send_once(struct local_conn *c, const void *buf, size_t len, int fd)
{
	union control control = { 0 };
	struct iovec iov = { .iov_base = (void *)(uintptr_t)buf,
		.iov_len = len };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
	ssize_t n;

	if (fd >= 0) {
		struct cmsghdr *h;

		msg.msg_control = &control;
		msg.msg_controllen = CMSG_SPACE(sizeof(int));
		h = CMSG_FIRSTHDR(&msg);
		h->cmsg_level = SOL_SOCKET;
		h->cmsg_type = SCM_RIGHTS;
		h->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(h), &fd, sizeof(fd));
	}
	n = sendmsg(c->fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (n < 0)
		return errno == EPIPE ? -ECONNRESET : -errno;
	return n;
}

int
local_send(struct local_conn *c, const void *buf, size_t len, int fd)
{
	const char *p = buf;

	while (len > 0) {
		ssize_t n = send_once(c, p, len, fd);

		if (n == -EAGAIN)
			n = reactor_poll_fd(c->fd, POLLOUT) < 0 ? -EIO : 0;
		else if (n == -EINTR)
			n = 0;
		if (n < 0)
			return (int)n;
		if (n > 0)
			fd = -1;
		p += n;
		len -= (size_t)n;
	}
	return 0;
}

int
local_send_now(struct local_conn *c, const void *buf, size_t len)
{
	ssize_t n = send_once(c, buf, len, -1);

	if (n < 0)
		return (int)n;
	return (size_t)n == len ? 0 : -EAGAIN;
}

void
local_conn_shutdown(struct local_conn *c)
{
	(void)shutdown(c->fd, SHUT_RDWR);
}

void
local_conn_close(struct local_conn *c)
{
	if (c == NULL)
		return;
	close(c->fd);
	free(c);
}

/* ---- eventfd ---- */

struct event_read {
	struct reactor_op op;
	struct fiber *fiber;
	bool done;
};

static void
event_done(struct reactor_op *op, int res)
{
	struct event_read *e = container_of(op, struct event_read, op);

	(void)res;
	e->done = true;
	fiber_unpark(e->fiber);
}

int
event_wait(int fd)
{
	struct event_read e = {
		.op = { .done = event_done }, .fiber = fiber_self(),
	};
	struct io_uring_sqe *sqe = reactor_sqe(reactor_current());
	uint64_t count;

	io_uring_prep_read(sqe, fd, &count, sizeof(count), 0);
	reactor_sqe_set_op(sqe, &e.op);
	while (!e.done)
		fiber_park();
	if (e.op.res < 0)
		return e.op.res;
	return e.op.res == sizeof(count) ? 0 : -EIO;
}

static void
watch_read_done(struct reactor_op *op, int res)
{
	struct event_watch *w = container_of(op, struct event_watch, op);

	w->reading = false;
	if (res < 0 && res != -EINTR && res != -EAGAIN && res != -ECANCELED)
		w->error = res;
	reactor_watch_wake(&w->watch);
	if (w->ender != NULL)
		fiber_unpark(w->ender);
}

static bool
watch_look(struct reactor_watch *watch)
{
	struct event_watch *w = container_of(watch, struct event_watch, watch);

	return w->look(w->arg);
}

static bool
watch_listen(struct reactor_watch *watch)
{
	struct event_watch *w = container_of(watch, struct event_watch, watch);
	struct io_uring_sqe *sqe;

	/* It may still be there from the last time. */
	if (!w->reading) {
		sqe = reactor_sqe(reactor_current());
		io_uring_prep_read(sqe, w->fd, &w->count, sizeof(w->count), 0);
		w->op = (struct reactor_op){ .done = watch_read_done };
		reactor_sqe_set_op(sqe, &w->op);
		w->reading = true;
	}
	if (w->listening)
		return w->look(w->arg);
	w->listening = true;
	return w->listen(w->arg, true);
}

int
event_watch_wait(struct event_watch *w)
{
	w->watch.look = watch_look;
	w->watch.listen = watch_listen;
	if (w->error == 0)
		reactor_watch_wait(&w->watch);
	if (w->listening)
		(void)w->listen(w->arg, false);
	w->listening = false;
	return w->error;
}

void
event_watch_wake(struct event_watch *w)
{
	reactor_watch_wake(&w->watch);
}

void
event_watch_end(struct event_watch *w)
{
	struct io_uring_sqe *sqe;

	if (!w->reading)
		return;
	sqe = reactor_sqe(reactor_current());
	io_uring_prep_cancel(sqe, &w->op, 0);
	io_uring_sqe_set_data(sqe, NULL);
	w->ender = fiber_self();
	while (w->reading)
		fiber_park();
	w->ender = NULL;
}
