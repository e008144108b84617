/* SPDX-License-Identifier: BSD-2-Clause */
/* NBD: what clients get, and what hostile ones get. */
#include <atf-c.h>
#include <stdlib.h>
#include <string.h>

#include "libvmfs/base/units.h"
#include "tests/unit/nbd_rig.h"

#define NBD_TC(name)					\
	static void name##_run(void);			\
	ATF_TC_WITHOUT_HEAD(name);			\
	ATF_TC_BODY(name, tc)				\
	{						\
		(void)tc;				\
		rig_run(0, name##_run);			\
	}						\
	static void					\
	name##_run(void)

static uint8_t want[1 << 20], got[1 << 20];

static void
pattern(uint8_t seed, size_t len)
{
	for (size_t i = 0; i < len; i++)
		want[i] = (uint8_t)(i * 7 + i / 512 + seed);
}

/* Negotiates structured replies and contexts, then the export. */
static struct client *
with_contexts(const char *const *q, unsigned count, uint32_t verdict)
{
	struct client *c = client_connect();
	uint8_t data[2048];

	client_greet(c, 3);
	client_option(c, NBD_OPT_STRUCTURED_REPLY, NULL, 0);
	ATF_REQUIRE_EQ(NBD_REP_ACK, client_verdict(c));
	client_option(c, NBD_OPT_SET_META_CONTEXT, data,
	    queries_data(data, "snap", q, count));
	ATF_REQUIRE_EQ(verdict, client_verdict(c));
	client_option(c, NBD_OPT_GO, data, go_data(data, "snap"));
	ATF_REQUIRE_EQ(NBD_REP_ACK, client_verdict(c));
	return c;
}

/* ---- handshake ---- */

NBD_TC(exports_are_listed)
{
	struct client *c = client_connect();
	char data[256];
	size_t len;

	client_greet(c, 3);
	client_option(c, NBD_OPT_LIST, NULL, 0);
	ATF_CHECK_EQ(NBD_REP_SERVER, client_reply(c, data, 256, &len));
	ATF_CHECK_EQ(4 + 4 + 10, len);
	ATF_CHECK_EQ(0, memcmp(data, "\0\0\0\4diskof the rig", len));
	ATF_CHECK_EQ(NBD_REP_SERVER, client_reply(c, data, 256, &len));
	ATF_CHECK_EQ(0, memcmp(data + 4, "snap", 4));
	ATF_CHECK_EQ(NBD_REP_ACK, client_reply(c, NULL, 0, NULL));
	client_option(c, NBD_OPT_ABORT, NULL, 0);
	ATF_CHECK_EQ(NBD_REP_ACK, client_reply(c, NULL, 0, NULL));
	ATF_CHECK(client_hung_up(c));
	client_close(c);
}

static uint16_t
flags_of(const char *name)
{
	struct client *c = client_connect();
	struct nbd_info_export info = { .size = be64(0) };
	uint8_t data[256];

	client_greet(c, 3);
	client_option(c, NBD_OPT_INFO, data, go_data(data, name));
	ATF_CHECK_EQ(NBD_REP_INFO, client_reply(c, &info, sizeof(info),
	    NULL));
	ATF_CHECK_EQ(RIG_DISK, be64_get(info.size));
	ATF_CHECK_EQ(NBD_REP_ACK, client_verdict(c));
	client_close(c);
	return be16_get(info.flags);
}

NBD_TC(export_tells_what_it_can)
{
	ATF_CHECK_EQ(NBD_EXPORT_HAS_FLAGS | NBD_EXPORT_SEND_FLUSH |
	    NBD_EXPORT_SEND_FUA | NBD_EXPORT_SEND_TRIM |
	    NBD_EXPORT_SEND_WRITE_ZEROES | NBD_EXPORT_CAN_MULTI_CONN |
	    NBD_EXPORT_SEND_CACHE | NBD_EXPORT_SEND_FAST_ZERO,
	    flags_of("disk"));
	ATF_CHECK_EQ(NBD_EXPORT_HAS_FLAGS | NBD_EXPORT_READ_ONLY |
	    NBD_EXPORT_SEND_FLUSH | NBD_EXPORT_SEND_FUA |
	    NBD_EXPORT_CAN_MULTI_CONN | NBD_EXPORT_SEND_CACHE,
	    flags_of("snap"));
}

NBD_TC(wrong_options_are_refused_and_the_client_may_go_on)
{
	static const char *const q[] = { "base:allocation" };
	struct client *c = client_connect();
	uint8_t data[256];
	size_t len;

	client_greet(c, 3);
	len = go_data(data, "none");
	client_option(c, NBD_OPT_GO, data, len);
	ATF_CHECK_EQ(NBD_REP_ERR_UNKNOWN, client_verdict(c));
	client_option(c, NBD_OPT_GO, data, len - 1);
	ATF_CHECK_EQ(NBD_REP_ERR_INVALID, client_verdict(c));
	be32_store(data, UINT32_MAX);
	client_option(c, NBD_OPT_GO, data, len);
	ATF_CHECK_EQ(NBD_REP_ERR_INVALID, client_verdict(c));
	client_option(c, NBD_OPT_LIST, data, 1);
	ATF_CHECK_EQ(NBD_REP_ERR_INVALID, client_verdict(c));
	client_option(c, NBD_OPT_STARTTLS, NULL, 0);
	ATF_CHECK_EQ(NBD_REP_ERR_POLICY, client_verdict(c));
	client_option(c, 4711, data, 7);
	ATF_CHECK_EQ(NBD_REP_ERR_UNSUP, client_verdict(c));
	/* Contexts need structured replies. */
	client_option(c, NBD_OPT_LIST_META_CONTEXT, data,
	    queries_data(data, "snap", q, 1));
	ATF_CHECK_EQ(NBD_REP_ERR_INVALID, client_verdict(c));
	client_option(c, NBD_OPT_GO, data, go_data(data, "disk"));
	ATF_CHECK_EQ(NBD_REP_ACK, client_verdict(c));
	client_close(c);
}

static struct client *
ready_by_the_old_way(const char *name)
{
	struct nbd_export_reply r;
	struct client *c = client_connect();

	client_greet(c, 1);
	client_option(c, NBD_OPT_EXPORT_NAME, name, strlen(name));
	ATF_REQUIRE(client_get(c, &r, sizeof(r)));
	ATF_CHECK_EQ(RIG_DISK, be64_get(r.size));
	return c;
}

NBD_TC(old_way_to_name_an_export_works)
{
	struct client *c = ready_by_the_old_way("disk");

	client_request(c, NBD_CMD_FLUSH, 0, 0, 0);
	ATF_CHECK_EQ(0, client_result(c, NULL, 0, true));
	client_close(c);
	c = client_connect();
	client_greet(c, 3);
	client_option(c, NBD_OPT_EXPORT_NAME, "none", 4);
	ATF_CHECK(client_hung_up(c));
	client_close(c);
}

static void
must_hang_up(const void *data, size_t len)
{
	struct client *c = client_connect();

	client_greet(c, 3);
	client_send(c, data, len);
	ATF_CHECK(client_hung_up(c));
	client_close(c);
}

NBD_TC(strangers_are_disconnected)
{
	struct nbd_option o = {
		be64(NBD_OPTS_MAGIC + 1), be32(NBD_OPT_LIST), be32(0)
	};
	struct client *c = client_connect();

	client_greet(c, 0x80000003);
	ATF_CHECK(client_hung_up(c));
	client_close(c);
	must_hang_up(&o, sizeof(o));
	o.magic = be64(NBD_OPTS_MAGIC);
	o.length = be32(UINT32_MAX);
	must_hang_up(&o, sizeof(o));
	must_hang_up("GET / HTTP/1.0\r\n\r\n", 18);
}

NBD_TC(slow_handshake_ends)
{
	struct client *c = client_connect();
	uint64_t begin = rig.sim.now_ns;

	client_greet(c, 3);
	/* A byte now and then does not make it longer. */
	while (!fake_closed(c->peer) &&
	    rig.sim.now_ns < begin + 60 * NSEC_PER_SEC) {
		client_send(c, "I", 1);
		fiber_sleep(NSEC_PER_SEC);
	}
	ATF_CHECK(rig.sim.now_ns < begin + 12 * NSEC_PER_SEC);
	client_close(c);
}

NBD_TC(options_without_end_end)
{
	struct client *c = client_connect();

	client_greet(c, 3);
	for (int i = 0; i < 300; i++)
		client_option(c, NBD_OPT_LIST, NULL, 0);
	ATF_CHECK(client_hung_up(c));
	client_close(c);
}

static void
one_too_many(void)
{
	struct client *a = client_ready("disk", false), *b;

	b = client_connect();
	ATF_CHECK(client_hung_up(b));
	client_close(b);
	client_close(a);
	b = client_ready("disk", false);
	client_close(b);
}

ATF_TC_WITHOUT_HEAD(clients_are_limited);
ATF_TC_BODY(clients_are_limited, tc)
{
	(void)tc;
	rig_run(1, one_too_many);
}

/* ---- data ---- */

static void
write_and_read(bool simple)
{
	struct client *c = client_ready("disk", simple);

	pattern(simple, 300 << 10);
	client_request(c, NBD_CMD_WRITE, NBD_CMD_FUA, 4608, 300 << 10);
	client_send(c, want, 300 << 10);
	ATF_CHECK_EQ(0, client_result(c, NULL, 0, simple));
	client_request(c, NBD_CMD_READ, simple ? 0 : NBD_CMD_DF, 4608,
	    300 << 10);
	ATF_CHECK_EQ(0, client_result(c, got, 300 << 10, simple));
	ATF_CHECK_EQ(0, memcmp(want, got, 300 << 10));
	client_request(c, NBD_CMD_CACHE, 0, 0, 1 << 20);
	ATF_CHECK_EQ(0, client_result(c, NULL, 0, simple));
	client_request(c, NBD_CMD_DISC, 0, 0, 0);
	ATF_CHECK(client_hung_up(c));
	client_close(c);
}

NBD_TC(data_comes_back)
{
	struct nbd_export_info i;

	write_and_read(false);
	write_and_read(true);
	i = nbd_export_info(rig.rw);
	ATF_CHECK_EQ(0u, i.clients);
	ATF_CHECK_EQ(2u, i.writes);
	ATF_CHECK_EQ(2u, i.reads);
	ATF_CHECK_EQ(2u * (300 << 10), i.read_bytes);
	ATF_CHECK_EQ(0u, i.errors);
}

NBD_TC(holes_are_not_sent)
{
	static uint8_t body[(1 << 20) + 8];
	struct client *c = client_ready("disk", false);
	struct nbd_chunk head;

	pattern(3, 65536);
	client_request(c, NBD_CMD_WRITE, 0, 256 << 10, 65536);
	client_send(c, want, 65536);
	ATF_CHECK_EQ(0, client_result(c, NULL, 0, false));
	client_request(c, NBD_CMD_READ, 0, 0, 1 << 20);
	ATF_CHECK_EQ(NBD_CHUNK_OFFSET_HOLE, client_chunk(c, &head, body,
	    sizeof(body)));
	ATF_CHECK_EQ(0u, be64_load(body));
	ATF_CHECK_EQ(256u << 10, be32_load(body + 8));
	ATF_CHECK_EQ(NBD_CHUNK_OFFSET_DATA, client_chunk(c, &head, body,
	    sizeof(body)));
	ATF_CHECK_EQ(256u << 10, be64_load(body));
	ATF_CHECK_EQ(0, memcmp(body + 8, want, 65536));
	ATF_CHECK_EQ(0, be16_get(head.flags));
	ATF_CHECK_EQ(NBD_CHUNK_OFFSET_HOLE, client_chunk(c, &head, body,
	    sizeof(body)));
	ATF_CHECK_EQ(NBD_CHUNK_DONE, be16_get(head.flags));
	client_close(c);
}

NBD_TC(zeroes_and_trim)
{
	struct client *c = client_ready("disk", false);
	static const uint8_t zeroes[8192];

	pattern(5, 65536);
	client_request(c, NBD_CMD_WRITE, 0, 0, 65536);
	client_send(c, want, 65536);
	ATF_CHECK_EQ(0, client_result(c, NULL, 0, false));
	client_request(c, NBD_CMD_WRITE_ZEROES, NBD_CMD_FAST_ZERO, 0, 4096);
	ATF_CHECK_EQ(0, client_result(c, NULL, 0, false));
	client_request(c, NBD_CMD_WRITE_ZEROES, NBD_CMD_NO_HOLE | NBD_CMD_FUA,
	    4096, 4096);
	ATF_CHECK_EQ(0, client_result(c, NULL, 0, false));
	client_request(c, NBD_CMD_WRITE_ZEROES, NBD_CMD_NO_HOLE |
	    NBD_CMD_FAST_ZERO, 0, 4096);
	ATF_CHECK_EQ(NBD_ENOTSUP, client_result(c, NULL, 0, false));
	client_request(c, NBD_CMD_TRIM, NBD_CMD_FUA, 8192, 4096);
	ATF_CHECK_EQ(0, client_result(c, NULL, 0, false));
	client_request(c, NBD_CMD_READ, 0, 0, 16384);
	ATF_CHECK_EQ(0, client_result(c, got, 16384, false));
	ATF_CHECK_EQ(0, memcmp(got, zeroes, 8192));
	ATF_CHECK_EQ(0, memcmp(got + 12288, want + 12288, 4096));
	client_close(c);
}

static void
full_submit(struct disk *d, struct disk_req *req)
{
	(void)d;
	disk_complete(req, -ENOSPC);
}

NBD_TC(a_trim_does_without_space)
{
	struct client *c = client_ready("disk", false);
	const struct disk_ops *ops = rig.disk->ops;
	struct disk_ops full = *ops;

	full.submit = full_submit;
	rig.disk->ops = &full;
	client_request(c, NBD_CMD_TRIM, 0, 8192, 4096);
	ATF_CHECK_EQ(0, client_result(c, NULL, 0, false));
	rig.disk->ops = ops;
	client_close(c);
}

static void
refused(struct client *c, uint32_t error, uint16_t type, uint16_t flags,
    uint64_t offset, uint32_t len)
{
	client_request(c, type, flags, offset, len);
	ATF_CHECK_EQ(error, client_result(c, NULL, 0, false));
}

NBD_TC(bad_requests_get_an_error_each)
{
	struct client *c = client_ready("disk", false);

	refused(c, NBD_EINVAL, NBD_CMD_READ, 0, 1, 512);
	refused(c, NBD_EINVAL, NBD_CMD_READ, 0, 0, 0);
	refused(c, NBD_EINVAL, NBD_CMD_READ, 0, RIG_DISK, 512);
	refused(c, NBD_EINVAL, NBD_CMD_READ, 0, UINT64_MAX - 511, 512);
	refused(c, NBD_EINVAL, NBD_CMD_READ, 0, 0, UINT32_MAX - 511);
	refused(c, NBD_EINVAL, NBD_CMD_READ, 1 << 9, 0, 512);
	refused(c, NBD_EINVAL, NBD_CMD_TRIM, 0, RIG_DISK - 512, 1024);
	refused(c, NBD_ENOSPC, NBD_CMD_WRITE_ZEROES, 0, RIG_DISK, 512);
	refused(c, NBD_EINVAL, NBD_CMD_FLUSH, 0, 512, 0);
	refused(c, NBD_EINVAL, NBD_CMD_BLOCK_STATUS, 0, 0, 512);
	refused(c, NBD_EINVAL, 99, 0, 0, 512);
	/* The data of a refused write is skipped. */
	client_request(c, NBD_CMD_WRITE, 0, RIG_DISK - 512, 1024);
	client_send(c, want, 1024);
	ATF_CHECK_EQ(NBD_ENOSPC, client_result(c, NULL, 0, false));
	refused(c, NBD_OK, NBD_CMD_FLUSH, 0, 0, 0);
	ATF_CHECK_EQ(12u, nbd_export_info(rig.rw).errors);
	/* More than that is more than anybody wants to skip. */
	client_request(c, NBD_CMD_WRITE, 0, 0, NBD_PAYLOAD_MAX + 512);
	ATF_CHECK(client_hung_up(c));
	client_close(c);
}

static int
grow(struct disk *d)
{
	fiber_yield();
	d->info.size_bytes = RIG_DISK;
	return 0;
}

/* As where another host makes the file longer. */
NBD_TC(size_is_that_of_the_moment_of_connecting)
{
	const struct disk_ops *had = rig.disk->ops;
	struct disk_ops grows = *had;
	struct client *before, *c;

	rig.disk->info.size_bytes = RIG_DISK / 2;
	before = client_ready("snap", false);
	grows.refresh = grow;
	rig.disk->ops = &grows;
	(void)flags_of("snap");
	rig.disk->info.size_bytes = RIG_DISK / 2;
	client_close(ready_by_the_old_way("snap"));
	rig.disk->info.size_bytes = RIG_DISK / 2;
	c = client_ready("snap", false);
	refused(c, NBD_OK, NBD_CMD_READ, 0, RIG_DISK - 512, 512);
	refused(before, NBD_EINVAL, NBD_CMD_READ, 0, RIG_DISK - 512, 512);
	client_close(c);
	client_close(before);
	rig.disk->ops = had;
}

NBD_TC(snapshot_is_not_written)
{
	struct client *c = client_ready("snap", false);

	client_request(c, NBD_CMD_WRITE, 0, 0, 512);
	client_send(c, want, 512);
	ATF_CHECK_EQ(NBD_EPERM, client_result(c, NULL, 0, false));
	refused(c, NBD_EPERM, NBD_CMD_TRIM, 0, 0, 512);
	refused(c, NBD_EPERM, NBD_CMD_WRITE_ZEROES, 0, 0, 512);
	refused(c, NBD_OK, NBD_CMD_READ, 0, 0, 512);
	client_close(c);
}

NBD_TC(wrong_magic_ends_the_connection)
{
	static const uint8_t junk[28] = { 0x25, 0x60, 0x95, 0x14 };
	struct client *c = client_ready("disk", false);

	client_send(c, junk, sizeof(junk));
	ATF_CHECK(client_hung_up(c));
	client_close(c);
}

/* Many at once, more than are begun: each is answered once. */
NBD_TC(many_requests_are_all_answered)
{
	struct client *c = client_ready("disk", true);

	for (uint64_t i = 0; i < 500; i++)
		client_request(c, i % 3 == 0 ? NBD_CMD_FLUSH : NBD_CMD_READ,
		    0, i % 3 == 0 ? 0 : i * 512, i % 3 == 0 ? 0 : 65536);
	client_request(c, NBD_CMD_DISC, 0, 0, 0);
	ATF_CHECK(client_hung_up(c));
	/* 167 flushes and 333 reads, each with a header. */
	ATF_CHECK_EQ(500 * 16 + 333 * 65536u, c->len - c->pos);
	client_close(c);
}

NBD_TC(client_that_reads_nothing_is_dropped)
{
	struct client *c = client_ready("disk", true);
	uint64_t begin = rig.sim.now_ns;

	fake_hold(c->peer, true);
	for (int i = 0; i < 20; i++)
		client_request(c, NBD_CMD_READ, 0, 0, 4 << 20);
	ATF_CHECK(client_hung_up(c));
	ATF_CHECK(rig.sim.now_ns - begin < 70 * NSEC_PER_SEC);
	client_close(c);
}

NBD_TC(removed_export_disconnects_its_clients)
{
	struct client *a = client_ready("disk", false);
	struct client *b = client_ready("snap", false);
	struct client *c = client_connect();

	client_greet(c, 3);
	client_request(a, NBD_CMD_READ, 0, 0, 1 << 20);
	nbd_export_remove(rig.rw);
	rig.rw = NULL;
	ATF_CHECK(client_hung_up(a));
	refused(b, NBD_OK, NBD_CMD_FLUSH, 0, 0, 0);
	client_close(a);
	client_close(b);
	/* Alone now, the other one needs no name. */
	client_option(c, NBD_OPT_EXPORT_NAME, NULL, 0);
	client_request(c, NBD_CMD_FLUSH, 0, 0, 0);
	ATF_CHECK(client_get(c, got, 10 + 16));
	client_close(c);
}

/* ---- contexts ---- */

NBD_TC(contexts_are_listed)
{
	static const char *const some[] = { "t:" };
	struct client *c = client_connect();
	char data[256];
	size_t len;

	client_greet(c, 3);
	client_option(c, NBD_OPT_STRUCTURED_REPLY, NULL, 0);
	ATF_CHECK_EQ(NBD_REP_ACK, client_verdict(c));
	client_option(c, NBD_OPT_LIST_META_CONTEXT, data,
	    queries_data((uint8_t *)data, "snap", NULL, 0));
	for (int i = 0; i < 3; i++)
		ATF_CHECK_EQ(NBD_REP_META_CONTEXT, client_reply(c, data,
		    sizeof(data), &len));
	ATF_CHECK_EQ(4 + 7, len);
	ATF_CHECK_EQ(0, memcmp(data + 4, "t:fails", 7));
	ATF_CHECK_EQ(NBD_REP_ACK, client_reply(c, NULL, 0, NULL));
	client_option(c, NBD_OPT_LIST_META_CONTEXT, data,
	    queries_data((uint8_t *)data, "snap", some, 1));
	ATF_CHECK_EQ(NBD_REP_META_CONTEXT, client_reply(c, data,
	    sizeof(data), &len));
	ATF_CHECK_EQ(0, memcmp(data + 4, "t:odd", 5));
	ATF_CHECK_EQ(NBD_REP_ACK, client_verdict(c));
	client_close(c);
}

NBD_TC(contexts_tell_about_a_range)
{
	static const char *const q[] = { "base:allocation", "t:none",
		"t:odd" };
	struct client *c = with_contexts(q, 3, NBD_REP_ACK);
	struct nbd_chunk head;
	uint8_t body[256];

	client_request(c, NBD_CMD_BLOCK_STATUS, 0, 32768, 131072);
	ATF_CHECK_EQ(NBD_CHUNK_BLOCK_STATUS, client_chunk(c, &head, body,
	    sizeof(body)));
	ATF_CHECK_EQ(1u, be32_load(body));
	ATF_CHECK_EQ(12u, be32_get(head.length));
	ATF_CHECK_EQ(131072u, be32_load(body + 4));
	ATF_CHECK_EQ(NBD_STATE_HOLE | NBD_STATE_ZERO, be32_load(body + 8));
	ATF_CHECK_EQ(NBD_CHUNK_BLOCK_STATUS, client_chunk(c, &head, body,
	    sizeof(body)));
	ATF_CHECK_EQ(NBD_CHUNK_DONE, be16_get(head.flags));
	ATF_CHECK_EQ(2u, be32_load(body));
	ATF_CHECK_EQ(4u + 3 * 8, be32_get(head.length));
	ATF_CHECK_EQ(32768u, be32_load(body + 4));
	ATF_CHECK_EQ(0u, be32_load(body + 8));
	ATF_CHECK_EQ(65536u, be32_load(body + 12));
	ATF_CHECK_EQ(1u, be32_load(body + 16));
	/* One extent of each, when that is all that is wanted. */
	client_request(c, NBD_CMD_BLOCK_STATUS, NBD_CMD_REQ_ONE, 0, 131072);
	(void)client_chunk(c, &head, body, sizeof(body));
	(void)client_chunk(c, &head, body, sizeof(body));
	ATF_CHECK_EQ(12u, be32_get(head.length));
	client_close(c);
}

NBD_TC(context_that_fails_is_an_error)
{
	static const char *const q[] = { "t:odd", "t:fails" };
	struct client *c = with_contexts(q, 2, NBD_REP_ACK);

	client_request(c, NBD_CMD_BLOCK_STATUS, 0, 0, 131072);
	ATF_CHECK_EQ(NBD_EIO, client_result(c, NULL, 0, false));
	refused(c, NBD_OK, NBD_CMD_READ, 0, 0, 512);
	client_close(c);
}

NBD_TC(too_many_contexts_are_refused)
{
	const char *q[80];
	struct client *c;

	for (int i = 0; i < 80; i++)
		q[i] = "t:odd";
	c = with_contexts(q, 17, NBD_REP_ERR_TOO_BIG);
	refused(c, NBD_EINVAL, NBD_CMD_BLOCK_STATUS, 0, 0, 512);
	client_close(c);
	c = with_contexts(q, 80, NBD_REP_ERR_TOO_BIG);
	client_close(c);
	ATF_CHECK_EQ(0u, rig.contexts_open);
}

/* None is chosen then, and the connection goes on. */
NBD_TC(context_that_cannot_be_opened_is_refused)
{
	static const char *const q[] = { "base:allocation", "t:odd",
		"t:locked" };
	struct client *c = with_contexts(q, 3, NBD_REP_ERR_POLICY);

	ATF_CHECK_EQ(0u, rig.contexts_open);
	refused(c, NBD_EINVAL, NBD_CMD_BLOCK_STATUS, 0, 0, 512);
	client_close(c);
}

NBD_TC(contexts_that_cannot_be_listed_are_refused)
{
	struct client *c = client_connect();
	uint8_t data[256];

	rig.unlisted = true;
	client_greet(c, 3);
	client_option(c, NBD_OPT_STRUCTURED_REPLY, NULL, 0);
	ATF_CHECK_EQ(NBD_REP_ACK, client_verdict(c));
	client_option(c, NBD_OPT_LIST_META_CONTEXT, data,
	    queries_data(data, "snap", NULL, 0));
	ATF_CHECK_EQ(NBD_REP_ERR_POLICY, client_verdict(c));
	client_option(c, NBD_OPT_GO, data, go_data(data, "snap"));
	ATF_CHECK_EQ(NBD_REP_ACK, client_verdict(c));
	client_close(c);
}

/* Contexts of that export. */
static struct client *
client_that_chose(const char *export)
{
	static const char *const q[] = { "t:odd" };
	struct client *c = client_connect();
	uint8_t data[256];

	client_greet(c, 3);
	client_option(c, NBD_OPT_STRUCTURED_REPLY, NULL, 0);
	ATF_CHECK_EQ(NBD_REP_ACK, client_verdict(c));
	client_option(c, NBD_OPT_SET_META_CONTEXT, data,
	    queries_data(data, export, q, 1));
	ATF_CHECK_EQ(NBD_REP_ACK, client_verdict(c));
	return c;
}

/* Chosen for one export, they say nothing about another. */
NBD_TC(contexts_of_another_export_are_dropped)
{
	struct client *c = client_that_chose("snap");
	uint8_t data[256];

	client_option(c, NBD_OPT_GO, data, go_data(data, "disk"));
	ATF_CHECK_EQ(NBD_REP_ACK, client_verdict(c));
	refused(c, NBD_EINVAL, NBD_CMD_BLOCK_STATUS, 0, 0, 512);
	client_close(c);
}

static bool removing, removed;

static void
remove_disk(void *arg)
{
	(void)arg;
	removing = true;
	nbd_export_remove(rig.rw);
	removed = true;
}

static void
begin_to_remove_disk(void)
{
	rig.closing = NULL;
	ATF_REQUIRE_EQ(0, sched_spawn(sched_current(), "remove", remove_disk,
	    NULL));
	while (!removing)
		fiber_yield();
}

/* The client has the export's answer and is not yet one of its own. */
NBD_TC(export_may_go_while_contexts_of_another_are_dropped)
{
	struct client *c = client_that_chose("snap");
	uint8_t data[256];

	rig.closing = begin_to_remove_disk;
	client_option(c, NBD_OPT_GO, data, go_data(data, "disk"));
	ATF_CHECK_EQ(NBD_REP_ACK, client_verdict(c));
	ATF_CHECK(client_hung_up(c));
	client_close(c);
	ATF_CHECK(removed);
	rig.rw = NULL;
}

/* ---- the port ---- */

static struct start {
	struct nbd_server *server;
	char why[NBD_WHY_SIZE];
	bool over;
	int rc;
} second;

static void
start_second(void *arg)
{
	const struct nbd_server_conf conf = {
		.listen = nbd_server_addr(rig.server), .log = &rig.log,
	};

	(void)arg;
	second.rc = nbd_server_start(&conf, &second.server, second.why);
	second.over = true;
}

/* As a killed process's is until the kernel has done with it. */
NBD_TC(port_that_becomes_free_is_waited_for)
{
	ATF_REQUIRE_EQ(0, sched_spawn(sched_current(), "start", start_second,
	    NULL));
	fiber_sleep(NSEC_PER_SEC);
	ATF_REQUIRE(!second.over);
	nbd_export_remove(rig.rw);
	nbd_export_remove(rig.ro);
	nbd_server_stop(rig.server);
	fiber_sleep(NSEC_PER_SEC);
	ATF_REQUIRE(second.over);
	ATF_REQUIRE_EQ(0, second.rc);
	rig.server = second.server;
	rig.rw = rig.ro = NULL;
}

NBD_TC(port_that_stays_in_use_is_told)
{
	start_second(NULL);
	ATF_CHECK_EQ(-EADDRINUSE, second.rc);
	ATF_CHECK(strstr(second.why, nbd_server_addr(rig.server)) != NULL);
}

ATF_TP_ADD_TCS(tp)
{
	ATF_TP_ADD_TC(tp, exports_are_listed);
	ATF_TP_ADD_TC(tp, export_tells_what_it_can);
	ATF_TP_ADD_TC(tp, wrong_options_are_refused_and_the_client_may_go_on);
	ATF_TP_ADD_TC(tp, old_way_to_name_an_export_works);
	ATF_TP_ADD_TC(tp, strangers_are_disconnected);
	ATF_TP_ADD_TC(tp, slow_handshake_ends);
	ATF_TP_ADD_TC(tp, options_without_end_end);
	ATF_TP_ADD_TC(tp, clients_are_limited);
	ATF_TP_ADD_TC(tp, data_comes_back);
	ATF_TP_ADD_TC(tp, holes_are_not_sent);
	ATF_TP_ADD_TC(tp, zeroes_and_trim);
	ATF_TP_ADD_TC(tp, a_trim_does_without_space);
	ATF_TP_ADD_TC(tp, bad_requests_get_an_error_each);
	ATF_TP_ADD_TC(tp, size_is_that_of_the_moment_of_connecting);
	ATF_TP_ADD_TC(tp, snapshot_is_not_written);
	ATF_TP_ADD_TC(tp, wrong_magic_ends_the_connection);
	ATF_TP_ADD_TC(tp, many_requests_are_all_answered);
	ATF_TP_ADD_TC(tp, client_that_reads_nothing_is_dropped);
	ATF_TP_ADD_TC(tp, removed_export_disconnects_its_clients);
	ATF_TP_ADD_TC(tp, contexts_are_listed);
	ATF_TP_ADD_TC(tp, contexts_tell_about_a_range);
	ATF_TP_ADD_TC(tp, context_that_fails_is_an_error);
	ATF_TP_ADD_TC(tp, too_many_contexts_are_refused);
	ATF_TP_ADD_TC(tp, context_that_cannot_be_opened_is_refused);
	ATF_TP_ADD_TC(tp, contexts_that_cannot_be_listed_are_refused);
	ATF_TP_ADD_TC(tp, contexts_of_another_export_are_dropped);
	ATF_TP_ADD_TC(tp, export_may_go_while_contexts_of_another_are_dropped);
	ATF_TP_ADD_TC(tp, port_that_becomes_free_is_waited_for);
	ATF_TP_ADD_TC(tp, port_that_stays_in_use_is_told);
	return atf_no_error();
}
