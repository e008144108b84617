/* SPDX-License-Identifier: BSD-2-Clause */
/* See nbd_rig.h. */
#include "tests/unit/nbd_rig.h"

#include <atf-c.h>
#include <stdlib.h>
#include <string.h>

#include "libvmfs/base/units.h"

#define PATIENCE (100 * NSEC_PER_SEC)
#define COOKIE UINT64_C(0x0123456789abcdef)

struct rig rig;

/* ---- contexts ---- */

static int
list_contexts(void *arg, void (*fn)(void *fn_arg, const char *name),
    void *fn_arg)
{
	(void)arg;
	if (rig.unlisted)
		return -EIO;
	fn(fn_arg, "t:odd");
	fn(fn_arg, "t:fails");
	return 0;
}

static int
open_context(void *arg, const char *name, void **ret_context)
{
	static const char odd[] = "odd", fails[] = "fails";

	(void)arg;
	if (strcmp(name, "t:locked") == 0)
		return -VMFS_ELOCKED;
	if (strcmp(name, "t:odd") != 0 && strcmp(name, "t:fails") != 0)
		return -ENOENT;
	fiber_yield();
	rig.contexts_open++;
	*ret_context = (void *)(uintptr_t)(name[2] == 'o' ? odd : fails);
	return 0;
}

static void
close_context(void *context)
{
	(void)context;
	if (rig.closing != NULL)
		rig.closing();
	fiber_yield();
	rig.contexts_open--;
}

/* Every other 64 KiB. */
static int
odd_status(void *context, uint64_t offset, uint64_t length,
    struct nbd_map *m)
{
	const uint64_t piece = 65536;
	uint64_t end = offset + length;

	fiber_yield();
	if (strcmp(context, "fails") == 0)
		return -EIO;
	while (offset < end) {
		uint64_t n = piece - offset % piece;

		n = n < end - offset ? n : end - offset;
		if (!nbd_map_add(m, n, offset / piece & 1))
			break;
		offset += n;
	}
	return 0;
}

static const struct nbd_contexts contexts = {
	list_contexts, open_context, close_context, odd_status,
};

/* ---- the server ---- */

static struct nbd_export *
add(const char *name, bool readonly)
{
	struct nbd_export_conf conf = {
		.name = name, .description = "of the rig",
		.disk = rig.disk, .readonly = readonly,
		.contexts = readonly ? &contexts : NULL,
	};
	struct nbd_export *e;

	ATF_REQUIRE_EQ(0, nbd_export_add(rig.server, &conf, &e));
	return e;
}

struct run {
	unsigned limit;
	void (*body)(void);
};

static void
run_fiber(void *arg)
{
	const struct run *r = arg;
	struct nbd_server_conf conf = {
		.listen = "127.0.0.1:0", .log = &rig.log,
		.clients_max = r->limit,
	};
	char why[NBD_WHY_SIZE];

	ATF_REQUIRE_EQ(0, disk_mem_open(RIG_DISK, 512, &rig.disk));
	ATF_REQUIRE_EQ(0, nbd_server_start(&conf, &rig.server, why));
	rig.rw = add("disk", false);
	rig.ro = add("snap", true);
	r->body();
	nbd_export_remove(rig.rw);
	nbd_export_remove(rig.ro);
	nbd_server_stop(rig.server);
	disk_close(rig.disk);
	ATF_CHECK_EQ(0u, rig.contexts_open);
}

void
rig_run(unsigned limit, void (*body)(void))
{
	struct run r = { limit, body };

	memset(&rig, 0, sizeof(rig));
	rig.log = (struct log){ LOG_LEVEL_DEBUG, log_sink_stderr, NULL };
	sim_init(&rig.sim, 1);
	ATF_REQUIRE_EQ(SIM_DONE, sim_run(&rig.sim, 10000 * NSEC_PER_SEC,
	    run_fiber, &r));
	sim_fini(&rig.sim);
}

/* ---- a client's bytes ---- */

static void
output(void *arg, const uint8_t *data, size_t len)
{
	struct client *c = arg;

	if (len == 0)
		return;
	c->in = realloc(c->in, c->len + len);
	ATF_REQUIRE(c->in != NULL);
	memcpy(c->in + c->len, data, len);
	c->len += len;
}

struct client *
client_connect(void)
{
	struct client *c = calloc(1, sizeof(*c));

	ATF_REQUIRE(c != NULL);
	c->peer = fake_connect(output, c);
	return c;
}

bool
client_hung_up(struct client *c)
{
	uint64_t end = rig.sim.now_ns + PATIENCE;

	while (!fake_closed(c->peer) && rig.sim.now_ns < end)
		fiber_sleep(NSEC_PER_MSEC);
	return fake_closed(c->peer);
}

void
client_close(struct client *c)
{
	fake_close(c->peer);
	ATF_REQUIRE(client_hung_up(c));
	/* Shut down is not yet closed. */
	for (int i = 0; i < 100; i++)
		fiber_yield();
	fake_free(c->peer);
	free(c->in);
	free(c);
}

void
client_send(struct client *c, const void *data, size_t len)
{
	fake_send(c->peer, data, len);
}

bool
client_get(struct client *c, void *buf, size_t len)
{
	uint64_t end = rig.sim.now_ns + PATIENCE;

	while (c->len - c->pos < len) {
		if (fake_closed(c->peer))
			return false;
		ATF_REQUIRE_MSG(rig.sim.now_ns < end, "nothing comes");
		fiber_sleep(NSEC_PER_MSEC);
	}
	memcpy(buf, c->in + c->pos, len);
	c->pos += len;
	return true;
}

/* ---- handshake ---- */

void
client_greet(struct client *c, uint32_t flags)
{
	struct nbd_greeting g;
	be32_t w = be32(flags);

	ATF_REQUIRE(client_get(c, &g, sizeof(g)));
	ATF_CHECK_EQ(NBD_MAGIC, be64_get(g.magic));
	ATF_CHECK_EQ(NBD_OPTS_MAGIC, be64_get(g.opts_magic));
	ATF_CHECK_EQ(3, be16_get(g.flags));
	client_send(c, &w, sizeof(w));
}

void
client_option(struct client *c, uint32_t option, const void *data, size_t len)
{
	struct nbd_option o = {
		be64(NBD_OPTS_MAGIC), be32(option), be32((uint32_t)len)
	};

	client_send(c, &o, sizeof(o));
	client_send(c, data, len);
}

uint32_t
client_reply(struct client *c, void *buf, size_t size, size_t *ret_len)
{
	struct nbd_option_reply r;
	static uint8_t data[65536];
	size_t len;

	ATF_REQUIRE(client_get(c, &r, sizeof(r)));
	ATF_REQUIRE_EQ(NBD_REP_MAGIC, be64_get(r.magic));
	len = be32_get(r.length);
	ATF_REQUIRE(len <= sizeof(data));
	ATF_REQUIRE(client_get(c, data, len));
	if (buf != NULL)
		memcpy(buf, data, len < size ? len : size);
	if (ret_len != NULL)
		*ret_len = len;
	return be32_get(r.type);
}

uint32_t
client_verdict(struct client *c)
{
	uint32_t type;

	do
		type = client_reply(c, NULL, 0, NULL);
	while (type == NBD_REP_INFO || type == NBD_REP_SERVER ||
	    type == NBD_REP_META_CONTEXT);
	return type;
}

static size_t
put_text(uint8_t *buf, const char *text)
{
	be32_store(buf, (uint32_t)strlen(text));
	memcpy(buf + 4, text, strlen(text));
	return 4 + strlen(text);
}

size_t
go_data(uint8_t *buf, const char *name)
{
	size_t len = put_text(buf, name);

	be16_store(buf + len, 3);
	be16_store(buf + len + 2, NBD_INFO_NAME);
	be16_store(buf + len + 4, NBD_INFO_DESCRIPTION);
	be16_store(buf + len + 6, NBD_INFO_BLOCK_SIZE);
	return len + 8;
}

size_t
queries_data(uint8_t *buf, const char *name, const char *const *q,
    unsigned count)
{
	size_t len = put_text(buf, name);

	be32_store(buf + len, count);
	len += 4;
	for (unsigned i = 0; i < count; i++)
		len += put_text(buf + len, q[i]);
	return len;
}

struct client *
client_ready(const char *name, bool simple)
{
	struct client *c = client_connect();
	uint8_t data[512];

	client_greet(c, 3);
	if (!simple) {
		client_option(c, NBD_OPT_STRUCTURED_REPLY, NULL, 0);
		ATF_REQUIRE_EQ(NBD_REP_ACK, client_verdict(c));
	}
	client_option(c, NBD_OPT_GO, data, go_data(data, name));
	ATF_REQUIRE_EQ(NBD_REP_ACK, client_verdict(c));
	return c;
}

/* ---- requests ---- */

void
client_request(struct client *c, uint16_t type, uint16_t flags,
    uint64_t offset, uint32_t len)
{
	struct nbd_request r = {
		be32(NBD_REQUEST_MAGIC), be16(flags), be16(type),
		be64(COOKIE), be64(offset), be32(len)
	};

	client_send(c, &r, sizeof(r));
}

static uint32_t
simple_result(struct client *c, void *buf, size_t len)
{
	struct nbd_simple_reply r;

	ATF_REQUIRE(client_get(c, &r, sizeof(r)));
	ATF_REQUIRE_EQ(NBD_SIMPLE_MAGIC, be32_get(r.magic));
	ATF_REQUIRE_EQ(COOKIE, be64_get(r.cookie));
	if (be32_get(r.error) == NBD_OK && buf != NULL)
		ATF_REQUIRE(client_get(c, buf, len));
	return be32_get(r.error);
}

int
client_chunk(struct client *c, struct nbd_chunk *ret_head, void *buf,
    size_t size)
{
	size_t len;

	if (!client_get(c, ret_head, sizeof(*ret_head)))
		return -1;
	ATF_REQUIRE_EQ(NBD_CHUNK_MAGIC, be32_get(ret_head->magic));
	ATF_REQUIRE_EQ(COOKIE, be64_get(ret_head->cookie));
	len = be32_get(ret_head->length);
	ATF_REQUIRE(len <= size);
	ATF_REQUIRE(client_get(c, buf, len));
	return be16_get(ret_head->type);
}

uint32_t
client_result(struct client *c, void *buf, size_t len, bool simple)
{
	static uint8_t body[NBD_PAYLOAD_MAX + 8];
	struct nbd_chunk head;
	uint32_t error = NBD_OK;
	int type;

	if (simple)
		return simple_result(c, buf, len);
	do {
		type = client_chunk(c, &head, body, sizeof(body));
		if (type == NBD_CHUNK_ERROR)
			error = be32_load(body);
		/* Tests that look at pieces take them by client_chunk. */
		if (type == NBD_CHUNK_OFFSET_DATA && buf != NULL)
			memcpy(buf, body + 8, len);
	} while (type >= 0 && !(be16_get(head.flags) & NBD_CHUNK_DONE));
	return error;
}
