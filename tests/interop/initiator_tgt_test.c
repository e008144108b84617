/* SPDX-License-Identifier: BSD-2-Clause */
/* The initiator against tgt, a target nobody here wrote. */
#include <arpa/inet.h>
#include <atf-c.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "libvmfs/base/units.h"
#include "libvmfs/env/reactor.h"
#include "tests/interop/initiator_rig.h"
#include "tests/interop/tgt_peer.h"

static struct tgt_peer peer;

static struct disk *
peer_lun(const char *target)
{
	struct disk *d = NULL;
	char what[256];

	snprintf(what, sizeof(what), "127.0.0.1:%u/iqn.2026-01.peer:%s/1",
	    peer.port, target);
	ATF_REQUIRE_EQ(0, lun_at(what, &d));
	return d;
}

static void
head(atf_tc_t *tc)
{
	atf_tc_set_md_var(tc, "require.user", "root");
	atf_tc_set_md_var(tc, "require.progs", "tgtd tgtadm");
}

/* A case that runs `name`_body in a fiber with tgt up. */
#define PEER_CASE(name)							\
static void name##_body(void);						\
ATF_TC(name);								\
ATF_TC_HEAD(name, tc)							\
{									\
	head(tc);							\
}									\
ATF_TC_BODY(name, tc)							\
{									\
	(void)tc;							\
	tgt_start(&peer);						\
	run_body(name##_body);						\
	tgt_kill(&peer);						\
}									\
static void name##_body(void)

PEER_CASE(a_lun_says_what_it_is)
{
	struct disk *d = peer_lun("thin");

	ATF_CHECK_EQ(64 * MIB, d->info.size_bytes);
	ATF_CHECK_EQ(512, d->info.block_size);
	ATF_CHECK_STREQ("iscsi", d->info.kind);
	ATF_CHECK(strlen(d->info.serial) > 4);
	ATF_CHECK(strstr(d->info.name, "iqn.2026-01.peer:thin/1") != NULL);
	disk_close(d);
}

/* tgt has COMPARE AND WRITE switched off, cannot PREEMPT AND ABORT. */
PEER_CASE(only_what_the_lun_answers_is_a_capability)
{
	struct disk *d = peer_lun("thin");

	ATF_CHECK_EQ(0, d->info.caps & DISK_CAP_CAW);
	ATF_CHECK_EQ(0, d->info.caps & DISK_CAP_READONLY);
	ATF_CHECK(d->info.caps & DISK_CAP_RESERVE);
	ATF_CHECK(d->info.caps & DISK_CAP_UNMAP);
	disk_close(d);
}

PEER_CASE(writes_of_every_size_are_read_back)
{
	static const size_t sizes[] = { 512, 4096, 65536, 300 * 512, 1 << 20,
		(3 << 20) + 512, 16 << 20 };
	struct disk *d = peer_lun("thin");

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		uint8_t *p = pattern(sizes[i], i);

		ATF_CHECK_EQ(0, disk_write(d, 512 * i, p, sizes[i], 0));
		ATF_CHECK_MSG(holds(d, 512 * i, p, sizes[i]), "size %zu",
		    sizes[i]);
		free(p);
	}
	disk_close(d);
}

PEER_CASE(scattered_buffers_keep_their_order)
{
	struct disk *d = peer_lun("thin");
	uint8_t *p = pattern(3 << 20, 7);
	struct iovec iov[3] = { { p, 512 }, { p + 512, (2 << 20) + 1024 },
		{ p + (2 << 20) + 1536, (1 << 20) - 1536 } };
	struct disk_req req = { .op = DISK_WRITE, .flags = DISK_FUA,
		.offset = 8192, .length = 3 << 20, .iov = iov, .iovcnt = 3 };

	ATF_CHECK_EQ(0, disk_run(d, &req));
	ATF_CHECK(holds(d, 8192, p, 3 << 20));
	free(p);
	disk_close(d);
}

PEER_CASE(flush_zeroes_and_unmap_work)
{
	struct disk *d = peer_lun("thin");
	uint8_t *p = pattern(4 << 20, 1);
	uint8_t *zero = disk_buf_alloc(4 << 20);

	ATF_REQUIRE_EQ(0, disk_write(d, 0, p, 4 << 20, 0));
	ATF_CHECK_EQ(0, disk_flush(d));
	ATF_CHECK_EQ(0, disk_write_zeroes(d, 0, 2 << 20, 0));
	ATF_CHECK_EQ(0, disk_write_zeroes(d, 2 << 20, 1 << 20,
	    DISK_MAY_UNMAP));
	ATF_CHECK(holds(d, 0, zero, 3 << 20));
	ATF_CHECK(holds(d, 3 << 20, p + (3 << 20), 1 << 20));
	ATF_CHECK_EQ(0, disk_unmap(d, 3 << 20, 1 << 20));
	free(zero);
	free(p);
	disk_close(d);
}

PEER_CASE(refresh_tells_the_size)
{
	struct disk *d = peer_lun("thin");

	ATF_CHECK_EQ(0, disk_refresh(d));
	ATF_CHECK_EQ(64 * MIB, d->info.size_bytes);
	disk_close(d);
}

/* Two sessions of this process are two initiators to the target. */
PEER_CASE(a_reserved_lun_refuses_the_other_initiator)
{
	struct disk *a = peer_lun("thin"), *b = peer_lun("thin");
	uint8_t *p = pattern(512, 3);

	ATF_REQUIRE_EQ(0, disk_run(a, &(struct disk_req){
	    .op = DISK_RESERVE }));
	ATF_CHECK_EQ(-VMFS_ECONFLICT, disk_write(b, 0, p, 512, 0));
	ATF_CHECK_EQ(0, disk_write(a, 0, p, 512, 0));
	ATF_CHECK_EQ(0, disk_run(a, &(struct disk_req){ .op = DISK_RELEASE }));
	ATF_CHECK_EQ(0, disk_write(b, 0, p, 512, 0));
	free(p);
	disk_close(a);
	disk_close(b);
}

/* ---- log-in ---- */

PEER_CASE(the_right_secret_logs_in)
{
	struct disk *d = NULL;
	char what[256];

	snprintf(what, sizeof(what), TGT_USER "%%" TGT_SECRET
	    "@127.0.0.1:%u/iqn.2026-01.peer:chap/1", peer.port);
	ATF_REQUIRE_EQ(0, lun_at(what, &d));
	ATF_CHECK(strstr(d->info.name, TGT_SECRET) == NULL);
	disk_close(d);
}

PEER_CASE(a_wrong_secret_is_told_as_such)
{
	struct disk *d = NULL;
	char what[256];

	snprintf(what, sizeof(what), TGT_USER "%%wrongsecret12"
	    "@127.0.0.1:%u/iqn.2026-01.peer:chap/1", peer.port);
	ATF_CHECK_EQ(-VMFS_EAUTH, lun_at(what, &d));
	snprintf(what, sizeof(what), "127.0.0.1:%u/iqn.2026-01.peer:chap/1",
	    peer.port);
	ATF_CHECK_EQ(-VMFS_EAUTH, lun_at(what, &d));
	ATF_CHECK(d == NULL);
}

PEER_CASE(targets_and_luns_that_do_not_exist_are_told)
{
	struct disk *d = NULL;
	char what[256];

	snprintf(what, sizeof(what), "127.0.0.1:%u/iqn.2026-01.peer:thin/5",
	    peer.port);
	ATF_CHECK_EQ(-ENXIO, lun_at(what, &d));
	snprintf(what, sizeof(what), "127.0.0.1:%u/iqn.2026-01.peer:none/1",
	    peer.port);
	ATF_CHECK_EQ(-VMFS_ENOTARGET, lun_at(what, &d));
	/* LUN 0 of tgt is its controller. */
	snprintf(what, sizeof(what), "127.0.0.1:%u/iqn.2026-01.peer:thin/0",
	    peer.port);
	ATF_CHECK_EQ(-ENOTBLK, lun_at(what, &d));
}

/* ---- the connection is lost ---- */

PEER_CASE(after_a_restart_of_the_target_io_goes_on)
{
	struct disk *d = peer_lun("thin");
	uint8_t *p = pattern(4096, 9);

	ATF_REQUIRE_EQ(0, disk_write(d, 0, p, 4096, 0));
	tgt_kill(&peer);
	ATF_CHECK_EQ(-VMFS_EUNKNOWN, disk_write(d, 4096, p, 4096, 0));
	tgt_restart(&peer);
	ATF_CHECK(comes_back(d));
	ATF_CHECK(holds(d, 0, p, 4096));
	ATF_CHECK_EQ(0, disk_write(d, 4096, p, 4096, 0));
	free(p);
	disk_close(d);
}

static unsigned unknown, others;

static void
count_done(struct disk_req *req)
{
	if (req->result == -VMFS_EUNKNOWN)
		unknown++;
	else
		others++;
	fiber_unpark(req->arg);
}

PEER_CASE(what_is_in_flight_when_the_target_dies_ends_unknown)
{
	struct disk *d = peer_lun("thin");
	struct disk_req req[40];
	struct iovec iov[40];
	uint8_t *p = pattern(4096, 9);

	tgt_freeze(&peer);
	for (unsigned i = 0; i < 40; i++) {
		iov[i] = (struct iovec){ p, 4096 };
		req[i] = (struct disk_req){ .op = DISK_WRITE,
			.offset = i * 4096, .length = 4096, .iov = &iov[i],
			.iovcnt = 1, .done = count_done, .arg = fiber_self() };
		disk_submit(d, &req[i]);
	}
	ATF_CHECK_EQ(0, unknown + others);
	fiber_yield();
	tgt_kill(&peer);
	while (unknown + others < 40)
		fiber_park();
	ATF_CHECK_EQ(40, unknown);
	free(p);
	disk_close(d);
}

PEER_CASE(a_target_that_stops_answering_times_out)
{
	struct disk *d = peer_lun("thin");
	uint8_t *p = pattern(4096, 9);

	tgt_freeze(&peer);
	ATF_CHECK_EQ(-VMFS_EUNKNOWN, disk_write(d, 0, p, 4096, 0));
	tgt_thaw(&peer);
	ATF_CHECK(comes_back(d));
	ATF_CHECK_EQ(0, disk_write(d, 0, p, 4096, 0));
	free(p);
	disk_close(d);
}

PEER_CASE(a_lost_session_can_be_closed)
{
	struct disk *d = peer_lun("thin");

	tgt_kill(&peer);
	disk_close(d);
}

/* ---- other reactors ---- */

struct elsewhere {
	struct disk *d;
	struct reactor *r;
	int result;
	struct sched *home;
	struct fiber *waiter;
	struct sched_work work;
};

static void
elsewhere_back(void *arg)
{
	struct elsewhere *e = arg;
	struct fiber *f = e->waiter;

	e->waiter = NULL;
	fiber_unpark(f);
}

static void
elsewhere_fiber(void *arg)
{
	struct elsewhere *e = arg;
	uint8_t *p = pattern(2 << 20, 5);

	e->result = disk_write(e->d, 0, p, 2 << 20, 0);
	if (e->result == 0 && !holds(e->d, 0, p, 2 << 20))
		e->result = -EIO;
	free(p);
	if (e->result == 0)
		e->result = disk_refresh(e->d);
	disk_close(e->d);
	e->work = (struct sched_work){ .fn = elsewhere_back, .arg = e };
	sched_post(e->home, &e->work);
}

static void
elsewhere_start(void *arg)
{
	struct elsewhere *e = arg;

	ATF_REQUIRE_EQ(0, sched_spawn(sched_current(), "elsewhere",
	    elsewhere_fiber, e));
}

PEER_CASE(requests_of_another_reactor_are_served)
{
	struct elsewhere e = { .d = peer_lun("thin"),
		.home = sched_current(), .waiter = fiber_self() };

	ATF_REQUIRE_EQ(0, reactor_new("elsewhere", &e.r));
	e.work = (struct sched_work){ .fn = elsewhere_start, .arg = &e };
	ATF_REQUIRE_EQ(0, reactor_start(e.r));
	sched_post(reactor_sched(e.r), &e.work);
	while (e.waiter != NULL)
		fiber_park();
	reactor_stop(e.r);
	reactor_join(e.r);
	reactor_free(e.r);
	ATF_CHECK_EQ(0, e.result);
}

/* ---- peers that are no targets ---- */

static int
listen_here(uint16_t *ret_port)
{
	struct sockaddr_in a = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(a);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	ATF_REQUIRE(fd >= 0);
	ATF_REQUIRE(bind(fd, (struct sockaddr *)&a, sizeof(a)) == 0);
	ATF_REQUIRE(listen(fd, 4) == 0);
	ATF_REQUIRE(getsockname(fd, (struct sockaddr *)&a, &len) == 0);
	*ret_port = ntohs(a.sin_port);
	return fd;
}

/* Answers each connection with `answer` in a child process. */
static pid_t
serve(int fd, const char *answer, size_t len)
{
	pid_t pid = fork();

	ATF_REQUIRE(pid >= 0);
	while (pid == 0) {
		char request[512];
		int c = accept(fd, NULL, NULL);

		if (c < 0 || read(c, request, sizeof(request)) < 0 ||
		    write(c, answer, len) < 0)
			_exit(1);
		close(c);
	}
	return pid;
}

static void
stranger_body(void)
{
	static const char http[] = "HTTP/1.0 400 Bad Request\r\n"
	    "Server: something that is not an iSCSI target\r\n\r\n";
	uint16_t port;
	int fd = listen_here(&port);
	pid_t pid = serve(fd, http, sizeof(http) - 1);
	struct disk *d = NULL;
	char what[128];
	int rc;

	snprintf(what, sizeof(what), "127.0.0.1:%u/iqn.a/1", port);
	rc = lun_at(what, &d);
	ATF_CHECK_MSG(rc == -VMFS_EPROTO || rc == -ECONNRESET, "%d", rc);
	kill(pid, SIGKILL);
	close(fd);
}

static void
silent_body(void)
{
	uint16_t port;
	int fd = listen_here(&port);
	struct disk *d = NULL;
	char what[128];

	snprintf(what, sizeof(what), "127.0.0.1:%u/iqn.a/1", port);
	ATF_CHECK_EQ(-ETIMEDOUT, lun_at(what, &d));
	close(fd);
}

/* A full backlog: the SYN gets no answer at all. */
static void
full_body(void)
{
	struct sockaddr_in a = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	uint16_t port;
	int fd = listen_here(&port), fill[8];
	struct disk *d = NULL;
	char what[128];

	ATF_REQUIRE(listen(fd, 0) == 0);
	a.sin_port = htons(port);
	for (int i = 0; i < 8; i++) {
		fill[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
		ATF_REQUIRE(fill[i] >= 0);
		(void)!connect(fill[i], (struct sockaddr *)&a, sizeof(a));
	}
	snprintf(what, sizeof(what), "127.0.0.1:%u/iqn.a/1", port);
	ATF_CHECK_EQ(-ETIMEDOUT, lun_at(what, &d));
	for (int i = 0; i < 8; i++)
		close(fill[i]);
	close(fd);
}

static void
refused_body(void)
{
	struct disk *d = NULL;
	char what[128];

	snprintf(what, sizeof(what), "127.0.0.1:%u/iqn.a/1", tgt_free_port());
	ATF_CHECK_EQ(-ECONNREFUSED, lun_at(what, &d));
}

ATF_TC_WITHOUT_HEAD(a_server_of_another_protocol_is_refused);
ATF_TC_BODY(a_server_of_another_protocol_is_refused, tc)
{
	(void)tc;
	run_body(stranger_body);
}

ATF_TC_WITHOUT_HEAD(a_silent_server_times_out);
ATF_TC_BODY(a_silent_server_times_out, tc)
{
	(void)tc;
	run_body(silent_body);
}

ATF_TC_WITHOUT_HEAD(a_server_that_takes_no_connection_times_out);
ATF_TC_BODY(a_server_that_takes_no_connection_times_out, tc)
{
	(void)tc;
	run_body(full_body);
}

ATF_TC_WITHOUT_HEAD(a_closed_port_is_told_as_refused);
ATF_TC_BODY(a_closed_port_is_told_as_refused, tc)
{
	(void)tc;
	run_body(refused_body);
}

ATF_TP_ADD_TCS(tp)
{
	ATF_TP_ADD_TC(tp, a_lun_says_what_it_is);
	ATF_TP_ADD_TC(tp, only_what_the_lun_answers_is_a_capability);
	ATF_TP_ADD_TC(tp, writes_of_every_size_are_read_back);
	ATF_TP_ADD_TC(tp, scattered_buffers_keep_their_order);
	ATF_TP_ADD_TC(tp, flush_zeroes_and_unmap_work);
	ATF_TP_ADD_TC(tp, refresh_tells_the_size);
	ATF_TP_ADD_TC(tp, a_reserved_lun_refuses_the_other_initiator);
	ATF_TP_ADD_TC(tp, the_right_secret_logs_in);
	ATF_TP_ADD_TC(tp, a_wrong_secret_is_told_as_such);
	ATF_TP_ADD_TC(tp, targets_and_luns_that_do_not_exist_are_told);
	ATF_TP_ADD_TC(tp, after_a_restart_of_the_target_io_goes_on);
	ATF_TP_ADD_TC(tp,
	    what_is_in_flight_when_the_target_dies_ends_unknown);
	ATF_TP_ADD_TC(tp, a_target_that_stops_answering_times_out);
	ATF_TP_ADD_TC(tp, a_lost_session_can_be_closed);
	ATF_TP_ADD_TC(tp, requests_of_another_reactor_are_served);
	ATF_TP_ADD_TC(tp, a_server_of_another_protocol_is_refused);
	ATF_TP_ADD_TC(tp, a_silent_server_times_out);
	ATF_TP_ADD_TC(tp, a_server_that_takes_no_connection_times_out);
	ATF_TP_ADD_TC(tp, a_closed_port_is_told_as_refused);
	return atf_no_error();
}
