/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What TCP over loopback allows an exchange with the message sizes of iSCSI:
 * a client sends requests of -q bytes, a server answers each with -a bytes,
 * so many in flight on each of some connections; two threads a connection,
 * blocking calls, nothing looked at.  Prints exchanges a second.
 *
 * With -i the client makes the calls of libiscsi: headers apart from data,
 * data in bursts of at most 256 KiB with a header each, from and to a buffer
 * of each request in flight, and a poll before it receives.  What is then
 * missing to the ceiling is what no target can give.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench/now.h"

#define PAIRS_MAX 64
#define PIECE ((size_t)1 << 20)
#define HEADER ((size_t)48)
#define BURST ((size_t)256 << 10)	/* libiscsi's MaxBurstLength */
#define DEPTH_MAX 512
#define WARM_UP_S 0.2

struct ceiling {
	size_t request, answer;
	unsigned depth, pairs;
	bool as_initiator;
	double seconds;
	atomic_bool measuring;
};

/* One end of a connection. */
struct end {
	struct ceiling *c;
	int fd;
	size_t takes, gives;	/* bytes of a message */
	unsigned first;		/* messages to give unasked */
	bool client;
	char *buf[DEPTH_MAX];	/* of an initiator's commands */
	unsigned next_given, next_taken;
	atomic_ulong count;
};

static void
die(const char *what)
{
	fprintf(stderr, "tcp_ceiling: %s: %s\n", what, strerror(errno));
	exit(1);
}

static void
give_bytes(const struct end *e, const char *buf, size_t len)
{
	for (size_t at = 0; at < len;) {
		ssize_t n = write(e->fd, buf + at, len - at);

		if (n <= 0)
			die("write");
		at += (size_t)n;
	}
}

static void
give(const struct end *e, const char *buf)
{
	give_bytes(e, buf, e->gives);
}

/* ---- as libiscsi does ---- */

/* Of a message with so much data. */
static size_t
with_headers(size_t message)
{
	size_t data = message > HEADER ? message - HEADER : 0;
	size_t bursts = data > BURST ? (data + BURST - 1) / BURST : 1;

	return data + bursts * HEADER;
}

static void
give_command(struct end *e)
{
	const char *buf = e->buf[e->next_given++ % e->c->depth];
	size_t data = e->c->request - HEADER;

	for (size_t at = 0; at == 0 || at < data; at += BURST) {
		size_t n = data - at < BURST ? data - at : BURST;

		give_bytes(e, buf, HEADER);
		give_bytes(e, buf + at, n);
	}
}

static void
take_bytes(const struct end *e, char *buf, size_t len)
{
	struct pollfd p = { .fd = e->fd, .events = POLLIN };

	for (size_t at = 0; at < len;) {
		ssize_t n = recv(e->fd, buf + at, len - at, MSG_DONTWAIT);

		if (n == 0 || (n < 0 && errno != EAGAIN))
			die("recv");
		if (n < 0 && poll(&p, 1, -1) < 0)
			die("poll");
		at += n > 0 ? (size_t)n : 0;
	}
}

static void *
initiator_main(void *arg)
{
	struct end *e = arg;
	size_t room = e->takes > e->gives ? e->takes : e->gives;

	for (unsigned i = 0; i < e->c->depth; i++) {
		e->buf[i] = calloc(1, room);
		if (e->buf[i] == NULL)
			die("buffers");
		memset(e->buf[i], (int)i + 1, room);
	}
	for (unsigned i = 0; i < e->c->depth; i++)
		give_command(e);
	for (;;) {
		char *buf = e->buf[e->next_taken++ % e->c->depth];

		take_bytes(e, buf, HEADER);
		take_bytes(e, buf, e->takes - HEADER);
		give_command(e);
		if (atomic_load_explicit(&e->c->measuring,
		    memory_order_relaxed))
			atomic_fetch_add_explicit(&e->count, 1,
			    memory_order_relaxed);
	}
	return NULL;
}

/* ---- the plain ends ---- */

static void *
end_main(void *arg)
{
	struct end *e = arg;
	char *in = malloc(PIECE), *out = calloc(1, e->gives);
	size_t have = 0;

	if (in == NULL || out == NULL)
		die("buffers");
	for (unsigned i = 0; i < e->first; i++)
		give(e, out);
	for (;;) {
		ssize_t n = read(e->fd, in, PIECE);

		if (n <= 0)
			die("read");
		for (have += (size_t)n; have >= e->takes; have -= e->takes) {
			give(e, out);
			if (e->client && atomic_load_explicit(
			    &e->c->measuring, memory_order_relaxed))
				atomic_fetch_add_explicit(&e->count, 1,
				    memory_order_relaxed);
		}
	}
	return NULL;
}

static void
connect_pair(struct end *client, struct end *server)
{
	struct sockaddr_in a = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(a);
	int one = 1, l = socket(AF_INET, SOCK_STREAM, 0);

	if (l < 0 || bind(l, (struct sockaddr *)&a, len) < 0 ||
	    listen(l, 1) < 0 ||
	    getsockname(l, (struct sockaddr *)&a, &len) < 0)
		die("listen");
	client->fd = socket(AF_INET, SOCK_STREAM, 0);
	if (client->fd < 0 ||
	    connect(client->fd, (struct sockaddr *)&a, len) < 0)
		die("connect");
	server->fd = accept(l, NULL, NULL);
	if (server->fd < 0)
		die("accept");
	close(l);
	setsockopt(client->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	setsockopt(server->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
}

static void
start(struct ceiling *c, struct end *client, struct end *server)
{
	pthread_t t;

	*client = (struct end){ .c = c, .takes = c->answer,
		.gives = c->request, .first = c->depth, .client = true };
	*server = (struct end){ .c = c, .takes = c->request,
		.gives = c->answer };
	if (c->as_initiator)
		server->takes = with_headers(c->request);
	connect_pair(client, server);
	if (pthread_create(&t, NULL, end_main, server) != 0 ||
	    pthread_create(&t, NULL, c->as_initiator ? initiator_main :
	    end_main, client) != 0)
		die("thread");
}

static void
measure(struct ceiling *c, const struct end (*ends)[2])
{
	unsigned long count = 0;
	double t0;

	usleep((useconds_t)(WARM_UP_S * 1e6));
	t0 = now(CLOCK_MONOTONIC);
	atomic_store(&c->measuring, true);
	usleep((useconds_t)(c->seconds * 1e6));
	atomic_store(&c->measuring, false);
	t0 = now(CLOCK_MONOTONIC) - t0;
	for (unsigned i = 0; i < c->pairs; i++)
		count += atomic_load(&ends[i][0].count);
	printf("%.0f\n", (double)count / t0);
	fflush(stdout);
}

int
main(int argc, char **argv)
{
	static struct end ends[PAIRS_MAX][2];
	struct ceiling c = { .request = 48, .answer = 48 + 4096, .depth = 1,
		.pairs = 1, .seconds = 2 };

	for (int o; (o = getopt(argc, argv, "q:a:d:n:t:i")) != -1;) {
		switch (o) {
		case 'q': c.request = (size_t)atol(optarg); break;
		case 'a': c.answer = (size_t)atol(optarg); break;
		case 'd': c.depth = (unsigned)atoi(optarg); break;
		case 'n': c.pairs = (unsigned)atoi(optarg); break;
		case 't': c.seconds = atof(optarg); break;
		case 'i': c.as_initiator = true; break;
		default: goto usage;
		}
	}
	if (optind != argc || c.request == 0 || c.answer == 0 ||
	    c.depth - 1 >= DEPTH_MAX || c.pairs - 1 >= PAIRS_MAX || c.seconds <= 0)
		goto usage;
	if (c.as_initiator && (c.request < HEADER || c.answer < HEADER))
		goto usage;
	for (unsigned i = 0; i < c.pairs; i++)
		start(&c, &ends[i][0], &ends[i][1]);
	measure(&c, (const struct end (*)[2])ends);
	/* The connections end with the process. */
	_exit(0);
usage:
	fputs("usage: tcp_ceiling [-i] [-q REQUEST] [-a ANSWER] [-d DEPTH] "
	    "[-n CONNECTIONS] [-t SECONDS]\n", stderr);
	return 2;
}
