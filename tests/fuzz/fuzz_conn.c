/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Whole connections: several hostile initiators at once against a target with
 * small limits, on a virtual clock.  A well-behaved one on a target of its own
 * must not notice; when all have gone, so has everything they made.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "iscsi/target.h"
#include "libvmfs/base/units.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/peer.h"
#include "tests/fuzz/slow_disk.h"

#define PEERS 4
#define COMMANDS 8
#define DATA_MAX 16384
#define DISK_BYTES (256U << 10)
#define TARGET "iqn.2026-11.io.vmfsd:fuzz"
#define GOOD_TARGET "iqn.2026-11.io.vmfsd:good"

static struct {
	struct sim sim;
	struct env env;
	struct fuzz_in *in;
	struct iscsi_server *server;
	uint8_t seed;
	struct scsi_lu *lu[2];
	struct scsi_target *target[2];
	struct disk *disk[2];
	struct peer *peer[PEERS], *good;
	unsigned current;
	char good_name[64];	/* nobody can guess it */
} box;

/* ---- logins ---- */

enum {
	LOGIN_HEADER_DIGEST = 1, LOGIN_DATA_DIGEST = 2, LOGIN_NO_R2T = 4,
	LOGIN_NO_IMMEDIATE = 8, LOGIN_SHORT_SEGMENTS = 16,
	LOGIN_DISCOVERY = 32, LOGIN_SHORT_BURSTS = 64, LOGIN_RAW = 128,
};

static const struct {
	uint8_t bit;
	const char *text;
} keys[] = {
	{ LOGIN_HEADER_DIGEST, "HeaderDigest=CRC32C" },
	{ LOGIN_DATA_DIGEST, "DataDigest=CRC32C" },
	{ LOGIN_NO_R2T, "InitialR2T=No" },
	{ LOGIN_NO_IMMEDIATE, "ImmediateData=No" },
	{ LOGIN_SHORT_SEGMENTS, "MaxRecvDataSegmentLength=512" },
	{ LOGIN_SHORT_BURSTS, "MaxBurstLength=512" },
	{ LOGIN_SHORT_BURSTS, "FirstBurstLength=512" },
	{ LOGIN_SHORT_BURSTS, "MaxOutstandingR2T=4" },
};

static size_t
add_key(char *text, size_t at, const char *key)
{
	size_t len = strlen(key) + 1;

	memcpy(text + at, key, len);
	return at + len;
}

static void
login(struct peer *p, const char *name, const char *target, uint8_t variant,
    uint8_t isid)
{
	char text[1024], key[128];
	size_t len;

	snprintf(key, sizeof(key), "InitiatorName=%s", name);
	len = add_key(text, 0, key);
	snprintf(key, sizeof(key), "TargetName=%s", target);
	len = add_key(text, len, variant & LOGIN_DISCOVERY ?
	    "SessionType=Discovery" : key);
	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
		if (variant & keys[i].bit)
			len = add_key(text, len, keys[i].text);
	if (variant & LOGIN_SHORT_SEGMENTS)
		p->max_recv = 512;
	peer_login(p, isid, text, len);
}

/* ---- what an input does ---- */

static void
settle(void)
{
	for (int i = 0; i < 64; i++)
		fiber_yield();
}

static void
connect_one(void)
{
	uint8_t variant = fuzz_u8(box.in);
	struct peer *p = box.peer[box.current];

	if (p)
		return;
	p = malloc(sizeof(*p));
	FUZZ_CHECK(p != NULL);
	box.peer[box.current] = p;
	peer_open(p, COMMANDS);
	if (variant & LOGIN_RAW) {
		/* It may say anything of what it takes. */
		p->max_recv = 0xffffff;
		return;
	}
	login(p, "iqn.fuzz", TARGET, variant, (uint8_t)box.current);
	settle();
}

/* Answers the last R2T; the length is cut to what it asks for. */
static size_t
as_asked(struct peer *p, union iscsi_bhs *bhs, size_t len)
{
	uint32_t left = be32_get(p->r2t.r2t.desired) - p->r2t_done;

	if (len > left)
		len = left;
	bhs->any.opcode = ISCSI_DATA_OUT;
	bhs->any.itt = p->r2t.any.itt;
	bhs->any.ttt = p->r2t.any.ttt;
	bhs->data.offset = be32(be32_get(p->r2t.r2t.offset) + p->r2t_done);
	bhs->data.datasn = be32(p->r2t_datasn++);
	bhs->any.flags = len == left ? ISCSI_FLAG_FINAL : 0;
	p->r2t_done += (uint32_t)len;
	return len;
}

enum {			/* bits of the third byte of a PDU */
	PDU_OLD_TAG = 1, PDU_OFF_CMDSN = 2, PDU_AS_ASKED = 4,
	PDU_LYING_LENGTH = 8, PDU_AHS = 16, PDU_BAD_DIGEST = 32,
	PDU_TRUE_EDTL = 64, PDU_FREE_CDB = 128,
};

/* READ(10) and WRITE(10) of a few blocks. */
static void
plain_cdb(union iscsi_bhs *bhs, size_t len)
{
	uint8_t lba = fuzz_u8(box.in), blocks = fuzz_u8(box.in) % 40;
	bool write = bhs->any.flags & ISCSI_CMD_WRITE;
	uint8_t cdb[16] = { write ? 0x2a : 0x28, 0, 0, 0, 0, lba, 0, 0,
		blocks };

	memcpy(bhs->cmd.cdb, cdb, sizeof(cdb));
	bhs->cmd.edtl = be32(len > blocks * 512U ? (uint32_t)len :
	    blocks * 512U);
}

static void
fill(struct peer *p, union iscsi_bhs *bhs, uint8_t how, size_t len)
{
	struct fuzz_in *in = box.in;
	uint32_t off = how & PDU_OFF_CMDSN ? fuzz_u8(in) - 4U : 0;

	bhs->any.lun[1] = fuzz_u8(in) & 3;
	bhs->any.itt = be32(how & PDU_OLD_TAG ? fuzz_u8(in) : p->itt++);
	bhs->any.ttt = be32(ISCSI_NO_TAG);
	bhs->cmd.cmdsn = be32(p->cmdsn + off);
	if (how & PDU_FREE_CDB)
		fuzz_fill(in, bhs->raw + 32, 16);
	else if (iscsi_opcode(bhs) == ISCSI_SCSI_CMD)
		plain_cdb(bhs, len);
	if (how & PDU_TRUE_EDTL)
		bhs->cmd.edtl = be32((uint32_t)len);
	if (!(how & PDU_TRUE_EDTL) && (how & PDU_FREE_CDB))
		fuzz_fill(in, bhs->raw + 20, 4);
	/* Numbers of commands go on, of ignored ones they do not. */
	if (!iscsi_immediate(bhs) && off == 0 &&
	    iscsi_opcode(bhs) <= ISCSI_LOGOUT_REQ &&
	    iscsi_opcode(bhs) != ISCSI_DATA_OUT)
		p->cmdsn++;
}

static void
send_pdu(void)
{
	struct fuzz_in *in = box.in;
	struct peer *p = box.peer[box.current];
	uint8_t opcode = fuzz_u8(in), flags = fuzz_u8(in), how = fuzz_u8(in);
	uint8_t size = fuzz_u8(in);
	size_t len = size & 0x80 ? (size & 0x7fU) * 128U : size;
	union iscsi_bhs bhs;
	uint8_t *ahs = NULL, *data;

	if (!p)
		return;
	iscsi_bhs_init(&bhs, opcode, 0);
	bhs.any.flags = flags;
	fill(p, &bhs, how, len);
	if (how & PDU_AS_ASKED)
		len = as_asked(p, &bhs, len);
	bhs.any.data_len = be24(how & PDU_LYING_LENGTH ?
	    fuzz_u32(in) & 0xffffff : (uint32_t)len);
	if (how & PDU_AHS) {
		bhs.any.ahs_words = fuzz_u8(in) & 15;
		ahs = fuzz_take(in, iscsi_ahs_len(&bhs));
	}
	data = fuzz_take(in, len);
	peer_send(p, &bhs, ahs, data, len, how & PDU_BAD_DIGEST);
	free(ahs);
	free(data);
}

static void
send_raw(void)
{
	struct peer *p = box.peer[box.current];
	size_t len = fuzz_u8(box.in);
	uint8_t *data = fuzz_take(box.in, len);

	if (p)
		fake_send(p->net, data, len);
	free(data);
}

static void
close_one(void)
{
	if (box.peer[box.current])
		fake_close(box.peer[box.current]->net);
}

static void
hold_one(void)
{
	bool hold = fuzz_u8(box.in) & 1;

	if (box.peer[box.current])
		fake_hold(box.peer[box.current]->net, hold);
}

static void
session_seen(void *arg, const struct iscsi_session_info *info)
{
	(void)arg;
	FUZZ_CHECK(info->tsih != 0 && info->initiator[0] != '\0');
	FUZZ_CHECK(info->commands <= COMMANDS + 32);
}

/* Only some may log in, or see the unit read-only, or all may again. */
static int
change_access(void)
{
	static struct scsi_view view;
	struct iscsi_access access = { .initiator = "*" };
	uint8_t how = fuzz_u8(box.in);

	memset(&view, 0, sizeof(view));
	if (how & 1)
		access.initiator = "iqn.other";
	if (how & 2) {
		scsi_view_all(&view, how & 4);
		access.view = &view;
	}
	return iscsi_server_set_access(box.server, TARGET, &access, 1);
}

static void
administer(void)
{
	struct peer *p = box.peer[box.current];
	uint8_t what = fuzz_u8(box.in);
	int r = 0;

	iscsi_server_sessions(box.server, session_seen, NULL);
	switch (what % 6) {
	case 1:
		if (p && p->full)
			r = what & 0x80 ? iscsi_server_logout_session(
			    box.server, NULL, p->tsih, 1 + what / 6 % 4) :
			    iscsi_server_drop_session(box.server, NULL,
			    p->tsih);
		break;
	case 2:
		if (p && p->full)
			r = iscsi_server_kill_session(box.server, NULL,
			    p->tsih);
		break;
	case 3:
		r = scsi_target_unmap(box.target[0], 0);
		break;
	case 4:
		r = scsi_target_map(box.target[0], 0, box.lu[0]);
		break;
	case 5:
		r = change_access();
		break;
	default:
		break;
	}
	FUZZ_CHECK(r == 0 || r == -ENOENT || r == -EEXIST);
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
	case 2:
		send_raw();
		break;
	case 3:
		close_one();
		break;
	case 4:
		hold_one();
		break;
	case 5:
		administer();
		break;
	case 6:
		fiber_sleep(fuzz_u8(box.in) * (NSEC_PER_SEC / 4));
		break;
	case 7:
	case 8:
		settle();
		break;
	default:
		send_pdu();
		break;
	}
}

/* ---- the box ---- */

static void
target_new(unsigned n, const char *iqn, const char *initiator)
{
	const struct scsi_lu_conf conf = { .serial = "fuzz", .thin = true };
	struct scsi_target *t;

	FUZZ_CHECK(disk_mem_open(DISK_BYTES, 512, &box.disk[n]) == 0);
	if (n == 0 && (box.seed & 1))
		box.disk[n] = slow_disk_new(&box.sim, box.disk[n], 500000,
		    box.seed & 2 ? 100000 : 0);
	FUZZ_CHECK(scsi_lu_new(&box.env, box.disk[n], &conf, &box.lu[n]) == 0);
	FUZZ_CHECK(iscsi_server_add_target(box.server, iqn, &t) == 0);
	FUZZ_CHECK(scsi_target_map(t, 0, box.lu[n]) == 0);
	box.target[n] = t;
	FUZZ_CHECK(iscsi_server_allow(box.server, iqn, initiator, NULL,
	    NULL) == 0);
}

static void
box_open(void)
{
	const struct iscsi_limits limits = {
		.sessions_max = 4, .commands_max = COMMANDS,
	};

	sim_env_init(&box.sim, &box.env, NULL);
	FUZZ_CHECK(iscsi_server_new(&box.env, &limits, &box.server) == 0);
	target_new(0, TARGET, "*");
	target_new(1, GOOD_TARGET, box.good_name);
	FUZZ_CHECK(iscsi_server_listen(box.server, "127.0.0.1", NULL) == 0);
	settle();
	box.good = malloc(sizeof(*box.good));
	FUZZ_CHECK(box.good != NULL);
	peer_open(box.good, COMMANDS);
	login(box.good, box.good_name, GOOD_TARGET, 0, 77);
	settle();
	FUZZ_CHECK(box.good->full);
}

static void
good_lives(void)
{
	uint64_t deadline = box.sim.now_ns + 5 * NSEC_PER_SEC;

	peer_ping(box.good);
	while (box.good->pongs == 0 && box.sim.now_ns < deadline)
		fiber_sleep(NSEC_PER_SEC / 10);
	FUZZ_CHECK(box.good->pongs == 1);
	FUZZ_CHECK(!fake_closed(box.good->net));
}

static void
peer_end(struct peer *p)
{
	if (!p)
		return;
	FUZZ_CHECK(fake_closed(p->net));
	fake_free(p->net);
	free(p);
}

static void
box_run(void *arg)
{
	(void)arg;
	box_open();
	while (box.in->left > 0)
		run_one();
	good_lives();
	iscsi_server_free(box.server);
	for (unsigned i = 0; i < PEERS; i++)
		peer_end(box.peer[i]);
	peer_end(box.good);
	for (unsigned i = 0; i < 2; i++) {
		scsi_lu_free(box.lu[i]);
		disk_close(box.disk[i]);
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_in in = { data, size };
	uint64_t hash = 0xcbf29ce484222325u;

	for (size_t i = 0; i < size; i++)
		hash = (hash ^ data[i]) * 0x100000001b3u;
	memset(&box, 0, sizeof(box));
	box.in = &in;
	snprintf(box.good_name, sizeof(box.good_name), "iqn.good-%016" PRIx64,
	    hash);
	box.seed = fuzz_u8(&in);
	sim_init(&box.sim, box.seed);
	FUZZ_CHECK(sim_run(&box.sim, UINT64_MAX / 4, box_run, NULL) ==
	    SIM_DONE);
	sim_fini(&box.sim);
	return 0;
}
