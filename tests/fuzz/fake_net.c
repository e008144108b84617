/* SPDX-License-Identifier: BSD-2-Clause */
/* See fake_net.h; replaces net_tcp.c where it is linked. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "tests/fuzz/fake_net.h"

struct net_listener {
	struct list waiting;	/* struct net_conn, to be accepted */
	struct fiber_cond changed;
	bool accepting, closed;
};

struct net_conn {
	struct list node;
	struct fake_peer *peer;
};

/* Both ends; lives until both are gone. */
struct fake_peer {
	struct net_conn *conn;	/* NULL: the target closed it */
	void (*output)(void *arg, const uint8_t *data, size_t len);
	void *arg;
	uint8_t *data;
	size_t len, pos, size;
	bool eof, shutdown, held;
	struct fiber_cond changed;
};

static struct net_listener *listener;

int
net_listen(const char *portal, uint16_t default_port,
    struct net_listener **ret_l)
{
	struct net_listener *l = calloc(1, sizeof(*l));

	(void)default_port;
	if (!l)
		return -ENOMEM;
	if (listener != NULL &&
	    strcmp(portal, net_listener_addr(listener)) == 0) {
		free(l);
		return -EADDRINUSE;
	}
	list_init(&l->waiting);
	fiber_cond_init(&l->changed);
	listener = *ret_l = l;
	return 0;
}

int
net_listen_path(const char *path, struct net_listener **ret_l)
{
	return net_listen(path, 0, ret_l);
}

const char *
net_listener_addr(const struct net_listener *l)
{
	(void)l;
	return "127.0.0.1:3260";
}

static void
listener_free(struct net_listener *l)
{
	struct list *node;

	while ((node = list_pop(&l->waiting)))
		net_conn_close(list_entry(node, struct net_conn, node));
	free(l);
}

int
net_accept(struct net_listener *l, struct net_conn **ret_c)
{
	struct list *node;

	l->accepting = true;
	while (list_empty(&l->waiting) && !l->closed)
		fiber_cond_wait(&l->changed);
	l->accepting = false;
	if (l->closed) {
		listener_free(l);
		return -ECANCELED;
	}
	node = list_pop(&l->waiting);
	*ret_c = list_entry(node, struct net_conn, node);
	return 0;
}

void
net_listener_close(struct net_listener *l)
{
	listener = NULL;
	l->closed = true;
	if (l->accepting)
		fiber_cond_broadcast(&l->changed);
	else
		listener_free(l);
}

const char *
net_conn_peer(const struct net_conn *c)
{
	(void)c;
	return "127.0.0.1:40000";
}

const char *
net_conn_local(const struct net_conn *c)
{
	(void)c;
	return "127.0.0.1:3260";
}

/* Waits for a change of p; false when the deadline passed. */
static bool
wait_until(struct fake_peer *p, uint64_t deadline)
{
	if (deadline == 0) {
		fiber_cond_wait(&p->changed);
		return true;
	}
	return fiber_cond_wait_until(&p->changed, deadline);
}

static uint64_t
deadline_of(uint64_t timeout_ns)
{
	return timeout_ns ? sched_now(sched_current()) + timeout_ns : 0;
}

int
net_read(struct net_conn *c, void *buf, size_t len, uint64_t timeout_ns)
{
	uint64_t deadline = deadline_of(timeout_ns);
	struct fake_peer *p = c->peer;

	while (p->len - p->pos < len && !p->eof && !p->shutdown)
		if (!wait_until(p, deadline))
			return -ETIMEDOUT;
	if (p->shutdown || p->len - p->pos < len)
		return -ECONNRESET;
	memcpy(buf, p->data + p->pos, len);
	p->pos += len;
	return 0;
}

int
net_writev(struct net_conn *c, struct iovec *iov, int iovcnt,
    uint64_t timeout_ns)
{
	uint64_t deadline = deadline_of(timeout_ns);
	struct fake_peer *p = c->peer;

	while (p->held && !p->shutdown && !p->eof)
		if (!wait_until(p, deadline))
			return -ETIMEDOUT;
	if (p->shutdown || p->eof)
		return -ECONNRESET;
	for (int i = 0; i < iovcnt; i++)
		p->output(p->arg, iov[i].iov_base, iov[i].iov_len);
	return 0;
}

bool
net_gather_pays(struct net_conn *c)
{
	/* Always: that way is then taken, too. */
	return c != NULL;
}

void
net_gather(struct net_conn *c)
{
	(void)c;
}

void
net_conn_shutdown(struct net_conn *c)
{
	c->peer->shutdown = true;
	fiber_cond_broadcast(&c->peer->changed);
}

void
net_conn_close(struct net_conn *c)
{
	c->peer->conn = NULL;
	c->peer->shutdown = true;
	free(c);
}

/* ---- the program's end ---- */

struct fake_peer *
fake_connect(void (*output)(void *arg, const uint8_t *data, size_t len),
    void *arg)
{
	struct fake_peer *p = calloc(1, sizeof(*p));

	assert(p != NULL && listener != NULL);
	p->conn = calloc(1, sizeof(*p->conn));
	assert(p->conn != NULL);
	p->conn->peer = p;
	p->output = output;
	p->arg = arg;
	fiber_cond_init(&p->changed);
	list_add_tail(&listener->waiting, &p->conn->node);
	fiber_cond_broadcast(&listener->changed);
	return p;
}

void
fake_send(struct fake_peer *p, const void *data, size_t len)
{
	if (len == 0 || p->shutdown)
		return;
	if (p->len + len > p->size) {
		p->size = p->len + len + 65536;
		p->data = realloc(p->data, p->size);
		assert(p->data != NULL);
	}
	memcpy(p->data + p->len, data, len);
	p->len += len;
	fiber_cond_broadcast(&p->changed);
}

void
fake_hold(struct fake_peer *p, bool hold)
{
	p->held = hold;
	fiber_cond_broadcast(&p->changed);
}

void
fake_close(struct fake_peer *p)
{
	p->eof = true;
	fiber_cond_broadcast(&p->changed);
}

bool
fake_closed(const struct fake_peer *p)
{
	return p->shutdown;
}

void
fake_free(struct fake_peer *p)
{
	assert(p->conn == NULL);
	free(p->data);
	free(p);
}
