/* SPDX-License-Identifier: BSD-2-Clause */
/* TCP for fibers, against a plain blocking client on a thread. */
#include <arpa/inet.h>
#include <atf-c.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "libvmfs/base/units.h"
#include "libvmfs/env/net.h"
#include "libvmfs/env/reactor.h"

#define BIG (6 * MIB)

static char sent[BIG], echoed[BIG];
static uint16_t port;

static void
fill_sent(void)
{
	for (size_t i = 0; i < sizeof(sent); i++)
		sent[i] = (char)(i * 31 + i / 4096);
}

static int
client_connect(void)
{
	struct sockaddr_in sa = {
		.sin_family = AF_INET,
		.sin_port = htons(port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	int small = 4096;
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	ATF_REQUIRE(fd >= 0);
	/* So that large writes of the other side are partial. */
	ATF_REQUIRE_EQ(0, setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small,
	    sizeof(small)));
	ATF_REQUIRE_EQ(0, connect(fd, (struct sockaddr *)&sa, sizeof(sa)));
	return fd;
}

static void
send_all(int fd, const char *p, size_t len, size_t piece)
{
	while (len > 0) {
		ssize_t n = send(fd, p, len < piece ? len : piece, 0);

		ATF_REQUIRE(n > 0);
		p += n;
		len -= (size_t)n;
	}
}

/* What the client does once connected, while the server's body runs. */
static void (*client_body)(int fd);
static int (*server_body)(struct net_conn *c);

static void *
client_main(void *arg)
{
	int fd = client_connect();

	(void)arg;
	client_body(fd);
	close(fd);
	return NULL;
}

static uint16_t
port_of(const char *addr)
{
	return (uint16_t)atoi(strrchr(addr, ':') + 1);
}

static int
server_main(void *arg)
{
	struct net_listener *l;
	struct net_conn *c;
	pthread_t client;
	int rc;

	(void)arg;
	ATF_REQUIRE_EQ(0, net_listen("127.0.0.1:0", 1, &l));
	port = port_of(net_listener_addr(l));
	ATF_REQUIRE(port != 0);
	ATF_REQUIRE_EQ(0, pthread_create(&client, NULL, client_main, NULL));
	ATF_REQUIRE_EQ(0, net_accept(l, &c));
	ATF_CHECK_STREQ(net_listener_addr(l), net_conn_local(c));
	ATF_CHECK_EQ(0, strncmp("127.0.0.1:", net_conn_peer(c), 10));
	net_listener_close(l);
	rc = server_body(c);
	net_conn_close(c);
	pthread_join(client, NULL);
	return rc;
}

static int
converse(int (*server)(struct net_conn *c), void (*client)(int fd))
{
	server_body = server;
	client_body = client;
	return reactor_run_main(server_main, NULL);
}

/* Headers of 48 bytes and long bodies, as iSCSI has them. */
static const size_t pieces[] = { 48, 1, 48, 65536, 48, 3, 100000 };
#define PIECES (sizeof(pieces) / sizeof(*pieces))

static int
echo_server(struct net_conn *c)
{
	static char buf[100000];

	for (size_t i = 0; i < PIECES; i++) {
		struct iovec iov[3] = {
			{ buf, pieces[i] / 3 },
			{ buf, 0 },
			{ buf + pieces[i] / 3, pieces[i] - pieces[i] / 3 },
		};
		int rc = net_read(c, buf, pieces[i], 0);

		if (rc == 0)
			rc = net_writev(c, iov, 3, 0);
		if (rc < 0)
			return rc;
	}
	return net_read(c, buf, 1, 0);
}

static void
echo_client(int fd)
{
	size_t total = 0;

	for (size_t i = 0; i < PIECES; i++)
		total += pieces[i];
	fill_sent();
	/* Odd pieces: reads end in the middle of headers. */
	for (size_t at = 0; at < total; at += 1000) {
		size_t n = total - at < 1000 ? total - at : 1000;

		send_all(fd, sent + at, n, 77);
	}
	for (size_t at = 0; at < total;) {
		ssize_t n = recv(fd, echoed + at, total - at, 0);

		ATF_REQUIRE(n > 0);
		at += (size_t)n;
	}
	ATF_CHECK_EQ(0, memcmp(sent, echoed, total));
}

ATF_TC_WITHOUT_HEAD(pieces_of_any_size_are_echoed);
ATF_TC_BODY(pieces_of_any_size_are_echoed, tc)
{
	/* The last read meets the end of the stream. */
	ATF_CHECK_EQ(-ECONNRESET, converse(echo_server, echo_client));
}

static int
big_write_server(struct net_conn *c)
{
	enum { N = 600 };
	static struct iovec iov[N];

	fill_sent();
	for (size_t i = 0; i < N; i++)
		iov[i] = (struct iovec){ sent + i * (BIG / N), BIG / N };
	return net_writev(c, iov, N, 0);
}

static void
big_read_client(int fd)
{
	size_t at = 0;
	ssize_t n;

	while ((n = recv(fd, echoed + at, sizeof(echoed) - at, 0)) > 0)
		at += (size_t)n;
	ATF_CHECK_EQ(BIG / 600 * 600, at);
	ATF_CHECK_EQ(0, memcmp(sent, echoed, at));
}

ATF_TC_WITHOUT_HEAD(write_beyond_the_socket_buffer_arrives_whole);
ATF_TC_BODY(write_beyond_the_socket_buffer_arrives_whole, tc)
{
	ATF_CHECK_EQ(0, converse(big_write_server, big_read_client));
}

/* Says nothing and reads nothing until the other side closes. */
static pthread_mutex_t silence = PTHREAD_MUTEX_INITIALIZER;

static void
silent_client(int fd)
{
	(void)fd;
	pthread_mutex_lock(&silence);
	pthread_mutex_unlock(&silence);
}

static int
read_timeout_server(struct net_conn *c)
{
	char b[10];
	int rc = net_read(c, b, sizeof(b), 3 * NSEC_PER_MSEC);

	pthread_mutex_unlock(&silence);
	return rc;
}

ATF_TC_WITHOUT_HEAD(read_from_a_silent_peer_times_out);
ATF_TC_BODY(read_from_a_silent_peer_times_out, tc)
{
	pthread_mutex_lock(&silence);
	ATF_CHECK_EQ(-ETIMEDOUT, converse(read_timeout_server,
	    silent_client));
}

static int
write_timeout_server(struct net_conn *c)
{
	struct iovec iov = { sent, sizeof(sent) };
	int rc = net_writev(c, &iov, 1, 3 * NSEC_PER_MSEC);

	pthread_mutex_unlock(&silence);
	return rc;
}

ATF_TC_WITHOUT_HEAD(write_to_a_peer_that_does_not_read_times_out);
ATF_TC_BODY(write_to_a_peer_that_does_not_read_times_out, tc)
{
	pthread_mutex_lock(&silence);
	ATF_CHECK_EQ(-ETIMEDOUT, converse(write_timeout_server,
	    silent_client));
}

static void
shutdown_fiber(void *arg)
{
	net_conn_shutdown(arg);
}

static int
shutdown_server(struct net_conn *c)
{
	char b[10];
	int rc;

	ATF_REQUIRE_EQ(0, sched_spawn(sched_current(), "shutdown",
	    shutdown_fiber, c));
	rc = net_read(c, b, sizeof(b), 0);
	if (rc == -ECONNRESET)
		rc = net_writev(c, &(struct iovec){ b, 10 }, 1, 0);
	pthread_mutex_unlock(&silence);
	return rc;
}

ATF_TC_WITHOUT_HEAD(shutdown_wakes_the_reader);
ATF_TC_BODY(shutdown_wakes_the_reader, tc)
{
	pthread_mutex_lock(&silence);
	ATF_CHECK_EQ(-ECONNRESET, converse(shutdown_server, silent_client));
}

static void
close_listener(void *arg)
{
	net_listener_close(arg);
}

static int
accept_main(void *arg)
{
	struct net_listener *l;
	struct net_conn *c;

	(void)arg;
	ATF_REQUIRE_EQ(0, net_listen("127.0.0.1", 0, &l));
	ATF_REQUIRE_EQ(0, sched_spawn(sched_current(), "close",
	    close_listener, l));
	return net_accept(l, &c);
}

ATF_TC_WITHOUT_HEAD(closing_the_listener_cancels_accept);
ATF_TC_BODY(closing_the_listener_cancels_accept, tc)
{
	ATF_CHECK_EQ(-ECANCELED, reactor_run_main(accept_main, NULL));
}

static int
port_taken_main(void *arg)
{
	struct net_listener *l, *second;
	int rc;

	(void)arg;
	ATF_REQUIRE_EQ(0, net_listen("127.0.0.1:0", 0, &l));
	rc = net_listen(net_listener_addr(l), 0, &second);
	net_listener_close(l);
	return rc;
}

ATF_TC_WITHOUT_HEAD(taken_port_is_reported);
ATF_TC_BODY(taken_port_is_reported, tc)
{
	ATF_CHECK_EQ(-EADDRINUSE, reactor_run_main(port_taken_main, NULL));
}

/* Served until somebody has seen that it is. */
static void
dying_server(void *arg)
{
	int fd = *(int *)arg;

	while (accept4(fd, NULL, NULL, SOCK_NONBLOCK) < 0)
		fiber_sleep(NSEC_PER_MSEC);
	close(fd);
}

static int
path_taken_main(void *arg)
{
	const struct sockaddr_un sa = { AF_UNIX, "socket" };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0), rc;
	struct net_listener *l;

	(void)arg;
	ATF_REQUIRE_EQ(0, bind(fd, (const struct sockaddr *)&sa, sizeof(sa)));
	ATF_REQUIRE_EQ(0, listen(fd, 1));
	ATF_REQUIRE_EQ(0, sched_spawn(sched_current(), "dying", dying_server,
	    &fd));
	rc = net_listen_path("socket", &l);
	if (rc == 0)
		net_listener_close(l);
	return rc;
}

/* As a killed process's is until the kernel has done with it. */
ATF_TC_WITHOUT_HEAD(path_that_becomes_free_is_waited_for);
ATF_TC_BODY(path_that_becomes_free_is_waited_for, tc)
{
	ATF_CHECK_EQ(0, reactor_run_main(path_taken_main, NULL));
}

static int
portal_main(void *arg)
{
	static const char *const bad[] = {
		"", ":3260", "127.0.0.1:", "127.0.0.1:http", "[::1", "[::1]x",
		"no-such-name", "127.0.0.1:70000", "300.0.0.1",
	};
	struct net_listener *l = NULL;

	(void)arg;
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		ATF_CHECK_EQ_MSG(-EINVAL, net_listen(bad[i], 0, &l), "%s",
		    bad[i]);
	ATF_CHECK(l == NULL);
	return 0;
}

ATF_TC_WITHOUT_HEAD(portals_not_understood_are_refused);
ATF_TC_BODY(portals_not_understood_are_refused, tc)
{
	ATF_CHECK_EQ(0, reactor_run_main(portal_main, NULL));
}

static int
ipv6_main(void *arg)
{
	static const char *const portals[] = { "[::1]:0", "[::1]", "::1" };
	struct net_listener *l;

	(void)arg;
	for (size_t i = 0; i < 3; i++) {
		int rc = net_listen(portals[i], 0, &l);

		if (rc < 0)
			return rc;
		ATF_CHECK_EQ(0, strncmp("[::1]:", net_listener_addr(l), 6));
		net_listener_close(l);
	}
	return 0;
}

ATF_TC_WITHOUT_HEAD(ipv6_portals_are_understood);
ATF_TC_BODY(ipv6_portals_are_understood, tc)
{
	int rc = reactor_run_main(ipv6_main, NULL);

	if (rc == -EAFNOSUPPORT || rc == -EADDRNOTAVAIL)
		atf_tc_skip("no IPv6 loopback here");
	ATF_CHECK_EQ(0, rc);
}

/* ---- a reader that lets requests gather ---- */

enum { REQUESTS = 20000, REQUEST = 96 };
static struct reactor *resting;
static struct net_listener *rest_portal;
static atomic_int rest_port;

static int
read_requests(struct net_conn *c)
{
	char buf[REQUEST];
	int rc = 0;

	for (unsigned i = 0; rc == 0 && i < REQUESTS; i++) {
		if (net_gather_pays(c))
			net_gather(c);
		rc = net_read(c, buf, REQUEST / 2, 0);
		if (rc == 0)
			rc = net_read(c, buf + REQUEST / 2, REQUEST / 2, 0);
		ATF_CHECK_EQ(0, memcmp(buf, sent + (size_t)i * REQUEST,
		    REQUEST));
	}
	return rc;
}

static void
rest_main(void *arg)
{
	struct net_conn *c = NULL;
	struct iovec iov = { (void *)(uintptr_t)"k", 1 };

	(void)arg;
	ATF_REQUIRE_EQ(0, net_accept(rest_portal, &c));
	ATF_CHECK_EQ(0, read_requests(c));
	ATF_CHECK_EQ(0, net_writev(c, &iov, 1, 0));
	net_conn_close(c);
	net_listener_close(rest_portal);
	reactor_stop(resting);
}

static void
rest_listen(void *arg)
{
	(void)arg;
	ATF_REQUIRE_EQ(0, net_listen("127.0.0.1:0", 0, &rest_portal));
	atomic_store(&rest_port,
	    atoi(strchr(net_listener_addr(rest_portal), ':') + 1));
	rest_main(NULL);
}

/* They come without waiting for answers, and a few at a time. */
ATF_TC_WITHOUT_HEAD(requests_that_gather_all_arrive);
ATF_TC_BODY(requests_that_gather_all_arrive, tc)
{
	char byte;
	int fd;

	fill_sent();
	ATF_REQUIRE_EQ(0, reactor_new("rest", &resting));
	reactor_want_spin(resting);
	ATF_REQUIRE_EQ(0, sched_spawn(reactor_sched(resting), "rest",
	    rest_listen, NULL));
	ATF_REQUIRE_EQ(0, reactor_start(resting));
	while (atomic_load(&rest_port) == 0)
		sched_yield();
	port = (uint16_t)atomic_load(&rest_port);
	fd = client_connect();
	send_all(fd, sent, (size_t)REQUESTS * REQUEST / 2, 4096);
	send_all(fd, sent + (size_t)REQUESTS * REQUEST / 2,
	    (size_t)REQUESTS * REQUEST / 2, REQUEST);
	ATF_CHECK_EQ(1, recv(fd, &byte, 1, 0));
	close(fd);
	reactor_join(resting);
	reactor_free(resting);
}

ATF_TP_ADD_TCS(tp)
{
	ATF_TP_ADD_TC(tp, requests_that_gather_all_arrive);
	ATF_TP_ADD_TC(tp, pieces_of_any_size_are_echoed);
	ATF_TP_ADD_TC(tp, write_beyond_the_socket_buffer_arrives_whole);
	ATF_TP_ADD_TC(tp, read_from_a_silent_peer_times_out);
	ATF_TP_ADD_TC(tp, write_to_a_peer_that_does_not_read_times_out);
	ATF_TP_ADD_TC(tp, shutdown_wakes_the_reader);
	ATF_TP_ADD_TC(tp, closing_the_listener_cancels_accept);
	ATF_TP_ADD_TC(tp, taken_port_is_reported);
	ATF_TP_ADD_TC(tp, path_that_becomes_free_is_waited_for);
	ATF_TP_ADD_TC(tp, portals_not_understood_are_refused);
	ATF_TP_ADD_TC(tp, ipv6_portals_are_understood);
	return atf_no_error();
}
