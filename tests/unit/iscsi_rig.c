/* SPDX-License-Identifier: BSD-2-Clause */
/* Server thread and raw client, see iscsi_rig.h. */
#include <arpa/inet.h>
#include <atf-c.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/unit/iscsi_rig.h"
#include "libvmfs/env/net.h"
#include "libvmfs/env/reactor.h"

#define DEADLINE_S 20

static struct {
	struct rig_conf conf;
	pthread_t thread;
	int ready[2], control[2];	/* pipes: port out, orders in */
	uint16_t port;
	struct env env;
	struct iscsi_server *server;
	struct disk *disk;
	struct scsi_lu *lu;
} rig;

struct order {
	enum { ORDER_STOP, ORDER_DROP, ORDER_LIST, ORDER_DO } what;
	uint16_t tsih;
	void (*fn)(void *arg, const struct iscsi_session_info *i);
	int (*act)(struct iscsi_server *s, void *arg);
	void *arg;
	int *result;
};

/* ---- server thread: no ATF macros here, they belong to the test's ---- */

static void
check(int r, const char *what)
{
	if (r < 0) {
		fprintf(stderr, "rig: %s: %s\n", what, vmfs_strerror(r));
		abort();
	}
}

static void
server_up(void)
{
	static const struct scsi_lu_conf lu = { .serial = "rig", .thin = true };
	struct scsi_target *t;
	char portal[NET_ADDR_TEXT], iqn[64];

	env_posix_init(&rig.env, sched_current(), NULL);
	check(iscsi_server_new(&rig.env, &rig.conf.limits, &rig.server), "new");
	for (unsigned i = 0; i < rig.conf.targets; i++) {
		snprintf(iqn, sizeof(iqn), "%s.%u", RIG_IQN, i);
		check(iscsi_server_add_target(rig.server, iqn, &t), "add");
		check(iscsi_server_allow(rig.server, iqn, "*", NULL, NULL),
		    "allow");
	}
	check(iscsi_server_add_target(rig.server, RIG_IQN, &t), "add");
	check(iscsi_server_allow(rig.server, RIG_IQN, "*", NULL, NULL),
	    "allow");
	check(disk_mem_open(RIG_DISK, 512, &rig.disk), "disk");
	check(scsi_lu_new(&rig.env, rig.disk, &lu, &rig.lu), "lu");
	check(scsi_target_map(t, 0, rig.lu), "map");
	check(iscsi_server_listen(rig.server, "127.0.0.1:0", portal),
	    "listen");
	rig.port = (uint16_t)atoi(strrchr(portal, ':') + 1);
}

static void
server_tell(void)
{
	check(write(rig.ready[1], "", 1) == 1 ? 0 : -EPIPE, "tell");
}

static void
server_orders(void)
{
	struct order o;

	for (;;) {
		reactor_poll_fd(rig.control[0], POLLIN);
		if (read(rig.control[0], &o, sizeof(o)) != sizeof(o) ||
		    o.what == ORDER_STOP)
			return;
		if (o.what == ORDER_DROP)
			check(iscsi_server_drop_session(rig.server, NULL,
			    o.tsih), "drop");
		else if (o.what == ORDER_DO)
			*o.result = o.act(rig.server, o.arg);
		else
			iscsi_server_sessions(rig.server, o.fn, o.arg);
		server_tell();
	}
}

static int
server_main(void *arg)
{
	(void)arg;
	server_up();
	server_tell();
	server_orders();
	iscsi_server_free(rig.server);
	scsi_lu_free(rig.lu);
	disk_close(rig.disk);
	return 0;
}

static void *
server_thread(void *arg)
{
	check(reactor_run_main(server_main, arg), "reactor");
	return NULL;
}

static void
server_told(void)
{
	char byte;

	ATF_REQUIRE_EQ(1, read(rig.ready[0], &byte, 1));
}

void
rig_start(const struct rig_conf *conf)
{
	rig.conf = *conf;
	ATF_REQUIRE_EQ(0, pipe(rig.ready));
	ATF_REQUIRE_EQ(0, pipe(rig.control));
	ATF_REQUIRE_EQ(0, pthread_create(&rig.thread, NULL, server_thread,
	    NULL));
	server_told();
}

static void
order(struct order o)
{
	ATF_REQUIRE_EQ((ssize_t)sizeof(o), write(rig.control[1], &o,
	    sizeof(o)));
}

void
rig_stop_begin(void)
{
	struct order o = { .what = ORDER_STOP };

	order(o);
}

void
rig_join(void)
{
	ATF_REQUIRE_EQ(0, pthread_join(rig.thread, NULL));
	for (int i = 0; i < 2; i++) {
		close(rig.ready[i]);
		close(rig.control[i]);
	}
}

void
rig_stop(void)
{
	rig_stop_begin();
	rig_join();
}

void
rig_drop_session(uint16_t tsih)
{
	struct order o = { .what = ORDER_DROP, .tsih = tsih };

	order(o);
	server_told();
}

void
rig_sessions(void (*fn)(void *arg, const struct iscsi_session_info *i),
    void *arg)
{
	struct order o = { .what = ORDER_LIST, .fn = fn, .arg = arg };

	order(o);
	server_told();
}

int
rig_do(int (*act)(struct iscsi_server *s, void *arg), void *arg)
{
	int result = -1;
	struct order o = {
		.what = ORDER_DO, .act = act, .arg = arg, .result = &result,
	};

	order(o);
	server_told();
	return result;
}

/* ---- client ---- */

uint16_t
rig_port(void)
{
	return rig.port;
}

struct rig_conn *
rig_connect(void)
{
	struct sockaddr_in sa = {
		.sin_family = AF_INET, .sin_port = htons(rig.port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	struct timeval deadline = { .tv_sec = DEADLINE_S };
	struct rig_conn *c = calloc(1, sizeof(*c));

	ATF_REQUIRE(c != NULL);
	c->fd = socket(AF_INET, SOCK_STREAM, 0);
	ATF_REQUIRE(c->fd >= 0);
	ATF_REQUIRE_EQ(0, setsockopt(c->fd, SOL_SOCKET, SO_RCVTIMEO,
	    &deadline, sizeof(deadline)));
	ATF_REQUIRE_EQ(0, connect(c->fd, (struct sockaddr *)&sa, sizeof(sa)));
	c->cmdsn = 100;
	c->itt = 1;
	return c;
}

void
rig_close(struct rig_conn *c)
{
	close(c->fd);
	free(c);
}

void
rig_send_raw(struct rig_conn *c, const void *data, size_t len)
{
	const char *p = data;

	while (len > 0) {
		ssize_t n = send(c->fd, p, len, MSG_NOSIGNAL);

		/* A server that hangs up on us is what some tests want. */
		if (n <= 0)
			return;
		p += n;
		len -= (size_t)n;
	}
}

void
rig_send(struct rig_conn *c, union iscsi_bhs *bhs, const void *data,
    uint32_t len)
{
	static const uint8_t zeroes[3];
	struct iovec iov[2] = {
		{ (void *)(uintptr_t)data, len },
		{ (void *)(uintptr_t)zeroes, iscsi_pad(len) },
	};
	struct iovec head = { bhs, sizeof(*bhs) };
	uint8_t digest[ISCSI_DIGEST_SIZE];

	bhs->any.data_len = be24(len);
	rig_send_raw(c, bhs, sizeof(*bhs));
	if (c->header_digest) {
		iscsi_digest(&head, 1, digest);
		rig_send_raw(c, digest, sizeof(digest));
	}
	if (len == 0)
		return;
	rig_send_raw(c, data, len);
	rig_send_raw(c, zeroes, iscsi_pad(len));
	if (c->data_digest) {
		iscsi_digest(iov, 2, digest);
		rig_send_raw(c, digest, sizeof(digest));
	}
}

static int
recv_all(struct rig_conn *c, void *buf, size_t len)
{
	char *p = buf;

	while (len > 0) {
		ssize_t n = recv(c->fd, p, len, 0);

		if (n <= 0)
			return -1;
		p += n;
		len -= (size_t)n;
	}
	return 0;
}

static int
recv_digest(struct rig_conn *c, const void *data, size_t len)
{
	struct iovec iov = { (void *)(uintptr_t)data, len };
	uint8_t want[ISCSI_DIGEST_SIZE], got[ISCSI_DIGEST_SIZE];

	if (recv_all(c, got, sizeof(got)) < 0)
		return -1;
	iscsi_digest(&iov, 1, want);
	ATF_REQUIRE_EQ(0, memcmp(want, got, sizeof(want)));
	return 0;
}

int
rig_recv(struct rig_conn *c)
{
	size_t padded;

	if (recv_all(c, &c->bhs, sizeof(c->bhs)) < 0)
		return -1;
	if (c->header_digest &&
	    recv_digest(c, &c->bhs, sizeof(c->bhs)) < 0)
		return -1;
	c->len = iscsi_data_len(&c->bhs);
	padded = c->len + iscsi_pad(c->len);
	ATF_REQUIRE(padded <= sizeof(c->data));
	if (recv_all(c, c->data, padded) < 0)
		return -1;
	return c->data_digest && c->len > 0 ?
	    recv_digest(c, c->data, padded) : 0;
}

void
rig_expect(struct rig_conn *c, enum iscsi_opcode opcode)
{
	ATF_REQUIRE_EQ_MSG(0, rig_recv(c), "no %s came",
	    iscsi_opcode_name(opcode));
	ATF_REQUIRE_EQ_MSG(opcode, iscsi_opcode(&c->bhs), "%s, not %s",
	    iscsi_opcode_name(c->bhs.any.opcode), iscsi_opcode_name(opcode));
}

bool
rig_closed(struct rig_conn *c)
{
	char buf[4096];
	ssize_t n;

	while ((n = recv(c->fd, buf, sizeof(buf), 0)) > 0)
		;
	return n == 0 || errno == ECONNRESET;
}

/* ---- login ---- */

unsigned
rig_login_as(struct rig_conn *c, const char *initiator, const char *target,
    uint8_t isid, uint16_t tsih, const char *text, size_t len)
{
	union iscsi_bhs bhs;
	char keys[1024];
	size_t n;

	n = (size_t)snprintf(keys, sizeof(keys),
	    "InitiatorName=%s%c%s=%s%c", initiator, 0,
	    target ? "TargetName" : "SessionType",
	    target ? target : "Discovery", 0);
	ATF_REQUIRE(n + len <= sizeof(keys));
	memcpy(keys + n, text, len);
	iscsi_bhs_init(&bhs, ISCSI_LOGIN_REQ, c->itt++);
	bhs.any.opcode |= ISCSI_IMMEDIATE;
	bhs.login.flags = ISCSI_FLAG_FINAL | 1 << ISCSI_LOGIN_CSG_SHIFT | 3;
	bhs.login.isid[5] = isid;
	bhs.login.tsih = be16(tsih);
	bhs.login.cmdsn = be32(c->cmdsn);
	rig_send(c, &bhs, keys, (uint32_t)(n + len));
	rig_expect(c, ISCSI_LOGIN_RSP);
	return be16_get(c->bhs.login.status);
}

struct rig_conn *
rig_session(const char *text, size_t len)
{
	static uint8_t isid;
	struct rig_conn *c = rig_connect();

	ATF_REQUIRE_EQ(0, rig_login_as(c, "iqn.rig", RIG_IQN, ++isid, 0, text,
	    len));
	ATF_REQUIRE(c->bhs.login.flags & ISCSI_FLAG_FINAL);
	return c;
}

/* ---- requests ---- */

union iscsi_bhs
rig_request(struct rig_conn *c, enum iscsi_opcode opcode)
{
	union iscsi_bhs bhs;

	iscsi_bhs_init(&bhs, opcode, c->itt++);
	bhs.any.ttt = be32(ISCSI_NO_TAG);
	bhs.cmd.cmdsn = be32(c->cmdsn++);
	return bhs;
}

union iscsi_bhs
rig_cmd(struct rig_conn *c, uint8_t flags, uint32_t edtl,
    const uint8_t cdb[16])
{
	union iscsi_bhs bhs = rig_request(c, ISCSI_SCSI_CMD);

	bhs.cmd.flags = ISCSI_FLAG_FINAL | flags;
	bhs.cmd.edtl = be32(edtl);
	memcpy(bhs.cmd.cdb, cdb, 16);
	return bhs;
}

union iscsi_bhs
rig_rw(struct rig_conn *c, bool write, uint32_t lba, uint16_t blocks)
{
	uint8_t cdb[16] = { write ? 0x2a : 0x28 };

	be32_store(cdb + 2, lba);
	be16_store(cdb + 7, blocks);
	return rig_cmd(c, write ? ISCSI_CMD_WRITE : ISCSI_CMD_READ,
	    blocks * 512U, cdb);
}

unsigned
rig_ready(struct rig_conn *c)
{
	static const uint8_t cdb[16];

	/* Power-on and the like; a handful at most. */
	for (int i = 0; i < 5; i++) {
		union iscsi_bhs bhs = rig_cmd(c, 0, 0, cdb);

		rig_send(c, &bhs, NULL, 0);
		rig_expect(c, ISCSI_SCSI_RSP);
		if (c->bhs.rsp.status == SCSI_GOOD)
			break;
	}
	return c->bhs.rsp.status;
}

void
rig_alive(void)
{
	struct rig_conn *c = rig_login("");

	ATF_CHECK_EQ(SCSI_GOOD, rig_ready(c));
	rig_close(c);
}
