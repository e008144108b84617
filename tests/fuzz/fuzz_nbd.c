/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Whole NBD connections: several hostile clients at once, on a virtual clock.
 * A well-behaved one must not notice; when all have gone, so has everything
 * they made.
 */
#include <stdlib.h>
#include <string.h>

#include "libvmfs/base/units.h"
#include "nbd/proto.h"
#include "nbd/server.h"
#include "tests/fuzz/fake_net.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/slow_disk.h"

#define PEERS 4
#define DISK_BYTES (1U << 20)
#define GOOD_COOKIE UINT64_C(0x600d600d600d600d)

static struct {
	struct sim sim;
	struct fuzz_in *in;
	struct nbd_server *server;
	struct disk *disk[2];
	struct nbd_export *changing;	/* one that comes and goes */
	struct fake_peer *peer[PEERS], *good;
	unsigned current, contexts;
	uint64_t good_bytes;		/* that the good one got */
	uint8_t good_last[16];
} box;

/* ---- contexts ---- */

static int
context_list(void *arg, void (*fn)(void *fn_arg, const char *name),
    void *fn_arg)
{
	(void)arg;
	fiber_yield();
	fn(fn_arg, "vmfs:a");
	fn(fn_arg, "vmfs:b");
	return 0;
}

static int
context_open(void *arg, const char *name, void **ret_context)
{
	(void)arg;
	fiber_yield();
	if (strncmp(name, "vmfs:", 5) != 0)
		return -ENOENT;
	box.contexts++;
	*ret_context = &box.contexts;
	return 0;
}

static void
context_close(void *context)
{
	(void)context;
	fiber_yield();
	FUZZ_CHECK(box.contexts > 0);
	box.contexts--;
}

static int
context_status(void *context, uint64_t offset, uint64_t length,
    struct nbd_map *m)
{
	(void)context;
	fiber_yield();
	FUZZ_CHECK(length > 0 && length <= DISK_BYTES &&
	    offset <= DISK_BYTES - length);
	for (uint64_t at = 0; at < length; at += 512)
		if (!nbd_map_add(m, 512, (uint32_t)(at >> 9 & 1)))
			break;
	return 0;
}

static const struct nbd_contexts contexts = {
	context_list, context_open, context_close, context_status,
};

/* ---- what an input does ---- */

static void
settle(void)
{
	for (int i = 0; i < 64; i++)
		fiber_yield();
}

static void
ignore(void *arg, const uint8_t *data, size_t len)
{
	(void)arg;
	(void)data;
	(void)len;
}

static void
greet(struct fake_peer *p, uint32_t flags)
{
	be32_t w = be32(flags);

	fake_send(p, &w, sizeof(w));
}

static void
option(struct fake_peer *p, uint32_t number, const void *data, size_t len,
    size_t claimed)
{
	struct nbd_option o = {
		be64(NBD_OPTS_MAGIC), be32(number), be32((uint32_t)claimed)
	};

	fake_send(p, &o, sizeof(o));
	fake_send(p, data, len);
}

static size_t
put_text(uint8_t *buf, const char *text)
{
	be32_store(buf, (uint32_t)strlen(text));
	memcpy(buf + 4, text, strlen(text));
	return 4 + strlen(text);
}

static const char *
pick_name(void)
{
	static const char *const names[] = { "disk", "changing", "", "no" };

	return names[fuzz_u8(box.in) % 4];
}

/* What belongs to most options: the name of an export, and a list. */
static void
send_option(struct fake_peer *p)
{
	static const char *const queries[] = { "base:allocation", "vmfs:a",
		"vmfs:", "other:" };
	uint8_t number = fuzz_u8(box.in), how = fuzz_u8(box.in), buf[4096];
	size_t len = put_text(buf, pick_name());
	unsigned count = how & 0x1f;

	if (number == NBD_OPT_INFO || number == NBD_OPT_GO) {
		be16_store(buf + len, (uint16_t)count);
		len += 2;
		for (unsigned i = 0; i < count; i++, len += 2)
			be16_store(buf + len, fuzz_u8(box.in) & 7);
	} else if (number == NBD_OPT_LIST_META_CONTEXT ||
	    number == NBD_OPT_SET_META_CONTEXT) {
		be32_store(buf + len, count);
		len += 4;
		for (unsigned i = 0; i < count; i++)
			len += put_text(buf + len,
			    queries[fuzz_u8(box.in) & 3]);
	} else {
		len = number == NBD_OPT_EXPORT_NAME ? len - 4 : 0;
		memmove(buf, buf + 4, len);
	}
	if (how & 0x20)
		buf[fuzz_u8(box.in)] ^= fuzz_u8(box.in);
	if (how & 0x40)
		len = fuzz_u8(box.in) % (len + 1);
	option(p, number, buf, len, how & 0x80 ? fuzz_u32(box.in) : len);
}

static void
send_request(struct fake_peer *p)
{
	static const uint8_t zeroes[65536];
	uint8_t type = fuzz_u8(box.in), how = fuzz_u8(box.in);
	uint16_t flags = fuzz_u8(box.in);
	uint64_t offset = fuzz_u16(box.in) * 512ULL;
	uint32_t len = fuzz_u8(box.in) * 512U;
	struct nbd_request r;

	if (how & 1)
		offset = fuzz_u64(box.in);
	if (how & 2)
		len = fuzz_u32(box.in);
	r = (struct nbd_request){
		be32(NBD_REQUEST_MAGIC + (how & 4)), be16(flags),
		be16(how & 8 ? type : type % NBD_CMDS), be64(7),
		be64(offset), be32(len)
	};
	fake_send(p, &r, sizeof(r));
	/* All of the data, or it goes on with something else. */
	if (be16_get(r.type) == NBD_CMD_WRITE && !(how & 16) &&
	    len <= (uint32_t)2 << 20)
		for (uint32_t n = 0; n < len; n += (uint32_t)sizeof(zeroes))
			fake_send(p, zeroes, len - n < sizeof(zeroes) ?
			    len - n : sizeof(zeroes));
}

static void
send_raw(struct fake_peer *p)
{
	size_t len = fuzz_u8(box.in);
	uint8_t *data = fuzz_take(box.in, len);

	fake_send(p, data, len);
	free(data);
}

static void
come_and_go(void)
{
	const struct nbd_export_conf conf = {
		.name = "changing", .description = "", .readonly = true,
		.disk = box.disk[1], .contexts = &contexts,
	};

	if (box.changing != NULL) {
		nbd_export_remove(box.changing);
		box.changing = NULL;
		return;
	}
	FUZZ_CHECK(nbd_export_add(box.server, &conf, &box.changing) == 0);
	FUZZ_CHECK(nbd_export_info(box.changing).clients == 0);
}

/* A good beginning, so that inputs get far. */
static void
connect_one(void)
{
	uint8_t how = fuzz_u8(box.in);
	struct fake_peer *p;

	if (box.peer[box.current] != NULL)
		return;
	p = box.peer[box.current] = fake_connect(ignore, NULL);
	if (how & 1)
		return;
	greet(p, how & 2 ? fuzz_u32(box.in) : 3);
	if (how & 4)
		option(p, NBD_OPT_STRUCTURED_REPLY, NULL, 0, 0);
	if (how & 8)
		option(p, NBD_OPT_EXPORT_NAME, "disk", 4, 4);
}

static void
to_one(uint8_t op)
{
	struct fake_peer *p = box.peer[box.current];

	if (p == NULL)
		return;
	switch (op & 15) {
	case 2:
		send_raw(p);
		break;
	case 3:
		fake_close(p);
		break;
	case 4:
		fake_hold(p, op & 16);
		break;
	case 5:
	case 6:
		send_option(p);
		break;
	default:
		send_request(p);
		break;
	}
}

static void
run_one(void)
{
	uint8_t op = fuzz_u8(box.in);

	switch (op & 15) {
	case 0:
		connect_one();
		break;
	case 1:
		box.current = (op >> 4) % PEERS;
		break;
	case 7:
		fiber_sleep(fuzz_u8(box.in) * (NSEC_PER_SEC / 4));
		break;
	case 8:
		settle();
		break;
	case 9:
		come_and_go();
		break;
	default:
		to_one(op);
		break;
	}
}

/* ---- the good one ---- */

static void
good_output(void *arg, const uint8_t *data, size_t len)
{
	(void)arg;
	box.good_bytes += len;
	if (len == sizeof(box.good_last))
		memcpy(box.good_last, data, len);
}

static void
good_begin(void)
{
	box.good = fake_connect(good_output, NULL);
	greet(box.good, 3);
	option(box.good, NBD_OPT_EXPORT_NAME, "disk", 4, 4);
	settle();
	FUZZ_CHECK(box.good_bytes == 18 + 10);
}

static void
good_lives(void)
{
	struct nbd_request r = {
		be32(NBD_REQUEST_MAGIC), be16(0), be16(NBD_CMD_FLUSH),
		be64(GOOD_COOKIE), be64(0), be32(0)
	};
	uint64_t deadline = box.sim.now_ns + 5 * NSEC_PER_SEC;

	fake_send(box.good, &r, sizeof(r));
	while (box.good_bytes == 18 + 10 && box.sim.now_ns < deadline)
		fiber_sleep(NSEC_PER_SEC / 10);
	FUZZ_CHECK(box.good_bytes == 18 + 10 + 16);
	FUZZ_CHECK(be64_load(box.good_last + 8) == GOOD_COOKIE);
}

static void
peer_end(struct fake_peer *p)
{
	if (p == NULL)
		return;
	FUZZ_CHECK(fake_closed(p));
	fake_free(p);
}

static void
box_run(void *arg)
{
	const struct nbd_server_conf conf = { .listen = "127.0.0.1:0" };
	struct nbd_export_conf disk = { .name = "disk", .description = "x",
		.contexts = &contexts };
	uint8_t seed = *(uint8_t *)arg;
	struct nbd_export *e;
	char why[NBD_WHY_SIZE];

	for (int i = 0; i < 2; i++)
		FUZZ_CHECK(disk_mem_open(DISK_BYTES, 512, &box.disk[i]) == 0);
	if (seed & 1)
		box.disk[1] = slow_disk_new(&box.sim, box.disk[1], 500000,
		    seed & 2 ? 100000 : 0);
	disk.disk = box.disk[0];
	FUZZ_CHECK(nbd_server_start(&conf, &box.server, why) == 0);
	FUZZ_CHECK(nbd_export_add(box.server, &disk, &e) == 0);
	come_and_go();
	good_begin();
	while (box.in->left > 0)
		run_one();
	good_lives();
	nbd_export_remove(box.changing);
	nbd_export_remove(e);
	nbd_server_stop(box.server);
	FUZZ_CHECK(box.contexts == 0);
	for (unsigned i = 0; i < PEERS; i++)
		peer_end(box.peer[i]);
	peer_end(box.good);
	for (int i = 0; i < 2; i++)
		disk_close(box.disk[i]);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_in in = { data, size };
	uint8_t seed = fuzz_u8(&in);

	memset(&box, 0, sizeof(box));
	box.in = &in;
	sim_init(&box.sim, seed);
	FUZZ_CHECK(sim_run(&box.sim, UINT64_MAX / 4, box_run, &seed) ==
	    SIM_DONE);
	sim_fini(&box.sim);
	return 0;
}
