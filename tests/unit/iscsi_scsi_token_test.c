/* SPDX-License-Identifier: BSD-2-Clause */
/* Copies by token of the SCSI device server. */
#include <atf-c.h>
#include <string.h>

#include "iscsi/scsi/lu.h"
#include "iscsi/scsi/rod.h"
#include "libvmfs/base/be.h"
#include "libvmfs/base/units.h"
#include "tests/unit/scsi_rig.h"

#define LIST_MAX (536 + 4 * 16)
#define INFO_LEN (32 + 4 + 2 + 512)
#define IQN2 "iqn.2026-01.org.example:other"
#define CHUNK 64U

static uint8_t data[4096 * RIG_BLOCK / 4], back[sizeof(data)];

/* A second target of the box with a unit of its own. */
struct second {
	struct disk *disk;
	struct scsi_lu *lu;
	struct scsi_target *target;
	struct scsi_nexus *nexus;
};

static void
second_open(struct rig *r, struct second *s, uint32_t block_size)
{
	struct scsi_lu_conf conf = { .thin = true, .uuid.b[3] = 0x77 };

	ATF_REQUIRE_EQ(0, disk_mem_open((uint64_t)RIG_BLOCKS * RIG_BLOCK,
	    block_size, &s->disk));
	ATF_REQUIRE_EQ(0, scsi_lu_new(&r->env, s->disk, &conf, &s->lu));
	ATF_REQUIRE_EQ(0, scsi_target_new(&r->env, IQN2, &s->target));
	scsi_target_share(s->target, r->target);
	ATF_REQUIRE_EQ(0, scsi_target_map(s->target, 0, s->lu));
	ATF_REQUIRE_EQ(0, scsi_nexus_open(s->target,
	    "iqn.2026-01.org.example:host0",
	    "iqn.2026-01.org.example:host0,i,0x00023d000000", &s->nexus));
	ATF_REQUIRE_EQ(0x062900, rig_tur(s->nexus));
}

static void
second_close(struct second *s)
{
	scsi_nexus_close(s->nexus);
	scsi_target_free(s->target);
	scsi_lu_free(s->lu);
	disk_close(s->disk);
}

static void
data_fill(void)
{
	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)(i * 13 + i / 512 + 1);
}

static void
read_4k(struct scsi_nexus *n, uint64_t lba, uint32_t blocks)
{
	size_t len;

	ATF_REQUIRE_EQ(RIG_GOOD, rig_cmd_in(n, rig_cdb16(0x88, lba, blocks),
	    16, back, sizeof(back), &len));
	ATF_REQUIRE_EQ(blocks * 4096U, len);
}

static void
write_4k(struct scsi_nexus *n, uint64_t lba, uint32_t blocks)
{
	ATF_REQUIRE_EQ(RIG_GOOD, rig_cmd(n, rig_cdb16(0x8a, lba, blocks),
	    16, back, blocks * 4096U));
}

struct extent {
	uint64_t lba;
	uint32_t blocks;
};

static void
extents_store(uint8_t *p, const struct extent *e, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		be64_store(p + 16 * i, e[i].lba);
		be32_store(p + 16 * i + 8, e[i].blocks);
	}
}

static void
cdb_make(uint8_t cdb[16], uint8_t opcode, uint8_t action, uint32_t list_id,
    uint32_t length)
{
	memset(cdb, 0, 16);
	cdb[0] = opcode;
	cdb[1] = action;
	be32_store(cdb + 2, list_id);
	be32_store(cdb + 10, length);
}

static uint32_t
populate_flags(struct scsi_nexus *n, uint32_t id, uint8_t flags,
    uint32_t type, const struct extent *e, unsigned count)
{
	uint8_t list[LIST_MAX] = { 0 }, cdb[16];
	uint16_t len = (uint16_t)(16 + 16 * count);

	be16_store(list, (uint16_t)(len - 2));
	list[2] = flags;
	be32_store(list + 8, type);
	be16_store(list + 14, (uint16_t)(16 * count));
	extents_store(list + 16, e, count);
	cdb_make(cdb, 0x83, 0x10, id, len);
	return rig_cmd(n, cdb, 16, list, len);
}

static uint32_t
token_info(struct scsi_nexus *n, uint32_t id, uint8_t in[INFO_LEN],
    size_t *ret_len)
{
	uint8_t cdb[16];

	cdb_make(cdb, 0x84, 0x07, id, 1024);
	return rig_cmd_in(n, cdb, 16, in, INFO_LEN, ret_len);
}

/* A token of the extents. */
static void
token_make(struct scsi_nexus *n, const struct extent *e, unsigned count,
    uint8_t token[512])
{
	uint8_t in[INFO_LEN];
	size_t len;

	ATF_REQUIRE_EQ(RIG_GOOD, populate_flags(n, 7, 0, 0, e, count));
	ATF_REQUIRE_EQ(RIG_GOOD, token_info(n, 7, in, &len));
	ATF_REQUIRE_EQ(INFO_LEN, len);
	ATF_REQUIRE_EQ(0x10, in[4]);
	ATF_REQUIRE_EQ(0x01, in[5]);
	ATF_REQUIRE_EQ(514, be32_load(in + 32));
	memcpy(token, in + 38, 512);
}

static uint32_t
put_flags(struct scsi_nexus *n, uint32_t id, uint8_t flags,
    const uint8_t token[512], uint64_t offset, const struct extent *e,
    unsigned count)
{
	uint8_t list[LIST_MAX] = { 0 }, cdb[16];
	uint16_t len = (uint16_t)(536 + 16 * count);

	be16_store(list, (uint16_t)(len - 2));
	list[2] = flags;
	be64_store(list + 8, offset);
	memcpy(list + 16, token, 512);
	be16_store(list + 534, (uint16_t)(16 * count));
	extents_store(list + 536, e, count);
	cdb_make(cdb, 0x83, 0x11, id, len);
	return rig_cmd(n, cdb, 16, list, len);
}

static uint32_t
put(struct scsi_nexus *n, const uint8_t token[512], uint64_t lba,
    uint32_t blocks)
{
	struct extent e = { lba, blocks };

	return put_flags(n, 9, 0, token, 0, &e, 1);
}

static const struct extent head = { 0, CHUNK };

/* ---- copies ---- */

static void
token_copies_between_targets(struct rig *r)
{
	static const struct extent from[] = { { 100, 10 }, { 0, 0 },
	    { 300, 54 } };
	static const struct extent to[] = { { 5, 31 }, { 700, 33 } };
	struct second s;
	uint8_t token[512];

	second_open(r, &s, RIG_BLOCK);
	data_fill();
	ATF_REQUIRE_EQ(RIG_GOOD, rig_write(r->nexus[0], 100, 10, data));
	ATF_REQUIRE_EQ(RIG_GOOD, rig_write(r->nexus[0], 300, 54,
	    data + 10 * RIG_BLOCK));
	token_make(r->nexus[0], from, 3, token);
	ATF_REQUIRE_EQ(RIG_GOOD, put_flags(s.nexus, 1, 0, token, 0, to, 2));
	ATF_REQUIRE_EQ(RIG_GOOD, rig_read(s.nexus, 5, 31, back));
	ATF_CHECK_EQ(0, memcmp(data, back, 31 * RIG_BLOCK));
	ATF_REQUIRE_EQ(RIG_GOOD, rig_read(s.nexus, 700, 33, back));
	ATF_CHECK_EQ(0, memcmp(data + 31 * RIG_BLOCK, back, 33 * RIG_BLOCK));
	second_close(&s);
}

static void
token_copies_more_than_a_step(struct rig *r)
{
	struct extent all = { 0, 1000 }, to = { 1024, 1000 };
	uint8_t token[512], in[INFO_LEN];
	size_t len;

	data_fill();
	ATF_REQUIRE_EQ(RIG_GOOD, rig_write(r->nexus[0], 0, 1000, data));
	token_make(r->nexus[0], &all, 1, token);
	ATF_REQUIRE_EQ(RIG_GOOD,
	    put_flags(r->nexus[0], 3, 0, token, 0, &to, 1));
	ATF_REQUIRE_EQ(RIG_GOOD, token_info(r->nexus[0], 3, in, &len));
	ATF_CHECK_EQ(36, len);
	ATF_CHECK_EQ(0x11, in[4]);
	ATF_CHECK_EQ(0x01, in[5]);
	ATF_CHECK_EQ(0xf1, in[15]);
	ATF_CHECK_EQ(1000, be64_load(in + 16));
	ATF_REQUIRE_EQ(RIG_GOOD, rig_read(r->nexus[0], 1024, 1000, back));
	ATF_CHECK_EQ(0, memcmp(data, back, 1000 * RIG_BLOCK));
}

/* 28 KiB of blocks of 512 bytes, from the eighth on, into blocks of 4096. */
static void
block_sizes_may_differ(struct rig *r)
{
	struct extent from[] = { { 3, 7 }, { 50, 57 } }, to = { 4, 8 };
	struct second s;
	uint8_t token[512], in[INFO_LEN];
	size_t len;

	second_open(r, &s, 4096);
	data_fill();
	memset(back, 0xee, sizeof(back));
	write_4k(s.nexus, 4, 8);
	ATF_REQUIRE_EQ(RIG_GOOD, rig_write(r->nexus[0], 3, 7, data));
	ATF_REQUIRE_EQ(RIG_GOOD, rig_write(r->nexus[0], 50, 57,
	    data + 7 * RIG_BLOCK));
	token_make(r->nexus[0], from, 2, token);
	ATF_REQUIRE_EQ(RIG_GOOD, put_flags(s.nexus, 2, 0, token, 1, &to, 1));
	read_4k(s.nexus, 4, 8);
	ATF_CHECK_EQ(0, memcmp(data + 4096, back, 7 * 4096));
	/* 64 blocks less the offset of 8: one block of 4096 remains as was. */
	ATF_CHECK_EQ(0xee, back[7 * 4096]);
	ATF_REQUIRE_EQ(RIG_GOOD, token_info(s.nexus, 2, in, &len));
	ATF_CHECK_EQ(0x03, in[5]);
	ATF_CHECK_EQ(7, be64_load(in + 16));
	second_close(&s);
}

/* The end of what a token stands for is filled up to a block with zeroes. */
static void
part_of_a_block_is_padded(struct rig *r)
{
	struct extent from = { 0, 3 }, to = { 1, 1 };
	struct second s;
	uint8_t token[512];

	second_open(r, &s, 4096);
	data_fill();
	memset(back, 0xee, 4096);
	write_4k(s.nexus, 1, 1);
	ATF_REQUIRE_EQ(RIG_GOOD, rig_write(r->nexus[0], 0, 3, data));
	token_make(r->nexus[0], &from, 1, token);
	ATF_REQUIRE_EQ(RIG_GOOD, put_flags(s.nexus, 2, 0, token, 0, &to, 1));
	read_4k(s.nexus, 1, 1);
	ATF_CHECK_EQ(0, memcmp(data, back, 3 * RIG_BLOCK));
	for (size_t i = 3 * RIG_BLOCK; i < 4096; i++)
		ATF_REQUIRE_EQ(0, back[i]);
	second_close(&s);
}

static void
zero_token_writes_zeroes(struct rig *r)
{
	uint8_t token[512] = { 0xff, 0xff, 0, 1, 0, 0, 0x01, 0xf8 };

	memset(back, 0xee, sizeof(back));
	ATF_REQUIRE_EQ(RIG_GOOD, rig_write(r->nexus[0], 0, CHUNK, back));
	ATF_REQUIRE_EQ(RIG_GOOD, put(r->nexus[0], token, 1, CHUNK - 2));
	ATF_REQUIRE_EQ(RIG_GOOD, rig_read(r->nexus[0], 0, CHUNK, back));
	ATF_CHECK_EQ(0xee, back[0]);
	ATF_CHECK_EQ(0, back[RIG_BLOCK]);
	ATF_CHECK_EQ(0, back[(CHUNK - 1) * RIG_BLOCK - 1]);
	ATF_CHECK_EQ(0xee, back[(CHUNK - 1) * RIG_BLOCK]);
}

/* ---- tokens that are not good ---- */

static void
changed_token_is_unknown(struct rig *r)
{
	static const unsigned bytes[] = { 8, 15, 20, 60, 100, 130, 256, 511 };
	uint8_t token[512];

	token_make(r->nexus[0], &head, 1, token);
	for (unsigned i = 0; i < sizeof(bytes) / sizeof(bytes[0]); i++) {
		token[bytes[i]] ^= 0x10;
		ATF_CHECK_EQ(0x052304,
		    put(r->nexus[0], token, 1000, CHUNK));
		token[bytes[i]] ^= 0x10;
	}
	token[7] = 0xf0;
	ATF_CHECK_EQ(0x05230a, put(r->nexus[0], token, 1000, CHUNK));
	token[7] = 0xf8;
	token[3] = 2;
	ATF_CHECK_EQ(0x052301, put(r->nexus[0], token, 1000, CHUNK));
	token[3] = 1;
	ATF_CHECK_EQ(0, r->disk.writes);
	ATF_CHECK_EQ(RIG_GOOD, put(r->nexus[0], token, 1000, CHUNK));
}

static void
tokens_are_all_different(struct rig *r)
{
	uint8_t a[512], b[512];
	unsigned same = 0;

	token_make(r->nexus[0], &head, 1, a);
	token_make(r->nexus[0], &head, 1, b);
	ATF_CHECK(memcmp(a + 8, b + 8, 8) != 0);
	for (unsigned i = 256; i < 512; i++)
		same += a[i] == b[i];
	ATF_CHECK(same < 32);
}

static void
write_cancels_token(struct rig *r)
{
	static const uint8_t unmap[8 + 16] = {
		[3] = 16, [8 + 7] = 63, [8 + 11] = 1,
	};
	uint8_t token[512];

	data_fill();
	token_make(r->nexus[0], &head, 1, token);
	ATF_REQUIRE_EQ(RIG_GOOD, rig_write(r->nexus[1], CHUNK, 1, data));
	ATF_CHECK_EQ(RIG_GOOD, put(r->nexus[0], token, 1000, CHUNK));
	ATF_REQUIRE_EQ(RIG_GOOD, rig_write(r->nexus[1], CHUNK - 1, 1, data));
	ATF_CHECK_EQ(0x052308, put(r->nexus[0], token, 1000, CHUNK));
	token_make(r->nexus[0], &head, 1, token);
	ATF_REQUIRE_EQ(RIG_GOOD, rig_cmd(r->nexus[1],
	    (uint8_t[10]){ 0x42, [8] = sizeof(unmap) }, 10, unmap,
	    sizeof(unmap)));
	ATF_CHECK_EQ(0x052308, put(r->nexus[0], token, 1000, CHUNK));
}

/* What has been read while the source changed is not written. */
static void
write_during_copy_is_noticed(struct rig *r)
{
	struct second s;
	struct rig_task w;
	struct rig_task x;
	uint8_t token[512], list[536 + 16] = { 0 }, cdb[16];
	struct extent to = { 0, CHUNK };

	second_open(r, &s, RIG_BLOCK);
	token_make(r->nexus[0], &head, 1, token);
	be16_store(list, sizeof(list) - 2);
	memcpy(list + 16, token, 512);
	be16_store(list + 534, 16);
	extents_store(list + 536, &to, 1);
	cdb_make(cdb, 0x83, 0x11, 1, sizeof(list));
	r->disk.hold = true;
	rig_start(&x, s.nexus, cdb, 16, list, sizeof(list));
	rig_settle();
	ATF_REQUIRE_EQ(1, r->disk.held_count);
	memset(data, 0xdd, RIG_BLOCK);
	rig_start(&w, r->nexus[1], rig_cdb16(0x8a, 0, 1), 16, data,
	    RIG_BLOCK);
	rig_settle();
	ATF_REQUIRE_EQ(2, r->disk.held_count);
	rig_disk_let_go(r);
	rig_wait(&w);
	rig_wait(&x);
	ATF_CHECK_EQ(0x052308, rig_result(&x));
	rig_fini(&w);
	rig_fini(&x);
	ATF_REQUIRE_EQ(RIG_GOOD, rig_read(s.nexus, 0, CHUNK, back));
	ATF_CHECK_EQ(0, back[0]);
	second_close(&s);
}

/* A write that was under way when the token was made ends first. */
static void
token_waits_for_writes(struct rig *r)
{
	uint8_t list[32] = { 0 }, cdb[16], token[512], in[INFO_LEN];
	struct rig_task w, x;
	size_t len;

	data_fill();
	r->disk.hold = true;
	rig_start(&w, r->nexus[1], rig_cdb16(0x8a, 0, CHUNK), 16, data,
	    CHUNK * RIG_BLOCK);
	rig_settle();
	be16_store(list, 30);
	be16_store(list + 14, 16);
	extents_store(list + 16, &head, 1);
	cdb_make(cdb, 0x83, 0x10, 4, sizeof(list));
	rig_start(&x, r->nexus[0], cdb, 16, list, sizeof(list));
	rig_settle();
	ATF_CHECK(!x.done);
	rig_disk_let_go(r);
	rig_wait(&w);
	rig_wait(&x);
	ATF_REQUIRE_EQ(RIG_GOOD, rig_result(&x));
	rig_fini(&w);
	rig_fini(&x);
	ATF_REQUIRE_EQ(RIG_GOOD, token_info(r->nexus[0], 4, in, &len));
	memcpy(token, in + 38, 512);
	ATF_REQUIRE_EQ(RIG_GOOD, put(r->nexus[0], token, 1000, CHUNK));
	ATF_REQUIRE_EQ(RIG_GOOD, rig_read(r->nexus[0], 1000, CHUNK, back));
	ATF_CHECK_EQ(0, memcmp(data, back, CHUNK * RIG_BLOCK));
}

static struct rod *
first_rod(const struct rig *r)
{
	ATF_REQUIRE(!list_empty(&r->lu->rods));
	return list_entry(r->lu->rods.next, struct rod, lu_node);
}

static void
unused_token_expires(struct rig *r)
{
	uint8_t token[512];

	token_make(r->nexus[0], &head, 1, token);
	first_rod(r)->used_ns -= (ROD_TIMEOUT_S - 10) * NSEC_PER_SEC;
	ATF_CHECK_EQ(RIG_GOOD, put(r->nexus[0], token, 1000, CHUNK));
	/* Used, so its time begins anew. */
	first_rod(r)->used_ns -= (ROD_TIMEOUT_S - 10) * NSEC_PER_SEC;
	ATF_CHECK_EQ(RIG_GOOD, put(r->nexus[0], token, 1000, CHUNK));
	first_rod(r)->used_ns -= (ROD_TIMEOUT_S + 1) * NSEC_PER_SEC;
	ATF_CHECK_EQ(0x052307, put(r->nexus[0], token, 1000, CHUNK));
}

static void
token_is_deleted_on_request(struct rig *r)
{
	struct extent to = { 1000, CHUNK };
	uint8_t token[512];

	token_make(r->nexus[0], &head, 1, token);
	ATF_CHECK_EQ(RIG_GOOD,
	    put_flags(r->nexus[0], 1, 0x02, token, 0, &to, 1));
	ATF_CHECK_EQ(0x052309, put(r->nexus[0], token, 1000, CHUNK));
	ATF_CHECK(list_empty(&r->lu->rods));
}

static void
removed_unit_revokes_tokens(struct rig *r)
{
	struct second s;
	uint8_t token[512];

	second_open(r, &s, RIG_BLOCK);
	token_make(s.nexus, &head, 1, token);
	second_close(&s);
	ATF_CHECK_EQ(0x052306, put(r->nexus[0], token, 1000, CHUNK));
}

static void
too_many_tokens_cancel_the_oldest(struct rig *r)
{
	uint8_t first[512], last[512];

	token_make(r->nexus[0], &head, 1, first);
	for (unsigned i = 0; i < ROD_TOKENS_PORT_MAX; i++)
		ATF_REQUIRE_EQ(RIG_GOOD, populate_flags(r->nexus[0], 1, 0, 0,
		    &head, 1));
	token_make(r->nexus[0], &head, 1, last);
	ATF_CHECK_EQ(0x052308, put(r->nexus[0], first, 1000, CHUNK));
	ATF_CHECK_EQ(RIG_GOOD, put(r->nexus[0], last, 1000, CHUNK));
}

/* ---- reservations ---- */

static void
copies_heed_reservations(struct rig *r)
{
	struct second s;
	uint8_t token[512];

	second_open(r, &s, RIG_BLOCK);
	token_make(r->nexus[0], &head, 1, token);
	/* Of the source: who made the token must still be let in. */
	ATF_REQUIRE_EQ(RIG_GOOD, rig_pr_out(r->nexus[1], 0, 0, 0, 0xb));
	ATF_REQUIRE_EQ(RIG_GOOD, rig_pr_out(r->nexus[1], 1, 6, 0xb, 0));
	ATF_CHECK_EQ(RIG_CONFLICT, populate_flags(r->nexus[0], 1, 0, 0,
	    &head, 1));
	ATF_CHECK_EQ(0x0a0d01, put(s.nexus, token, 0, CHUNK));
	ATF_REQUIRE_EQ(RIG_GOOD, rig_pr_out(r->nexus[0], 0, 0, 0, 0xa));
	ATF_CHECK_EQ(RIG_GOOD, put(s.nexus, token, 0, CHUNK));
	/* Of the destination. */
	ATF_CHECK_EQ(RIG_GOOD, put(r->nexus[0], token, 1000, CHUNK));
	ATF_CHECK_EQ(RIG_CONFLICT, put(r->nexus[2], token, 1000, CHUNK));
	second_close(&s);
}

/* ---- books ---- */

static void
token_is_told_once(struct rig *r)
{
	uint8_t in[INFO_LEN], cdb[16];
	size_t len;

	ATF_REQUIRE_EQ(RIG_GOOD, populate_flags(r->nexus[0], 5, 0, 0, &head,
	    1));
	cdb_make(cdb, 0x84, 0x07, 5, 36);
	ATF_REQUIRE_EQ(RIG_GOOD, rig_cmd_in(r->nexus[0], cdb, 16, in,
	    sizeof(in), &len));
	ATF_CHECK_EQ(36, len);
	ATF_CHECK_EQ(INFO_LEN - 4, be32_load(in));
	ATF_REQUIRE_EQ(RIG_GOOD, token_info(r->nexus[0], 5, in, &len));
	ATF_CHECK_EQ(INFO_LEN, len);
	ATF_CHECK_EQ(CHUNK, be64_load(in + 16));
	ATF_REQUIRE_EQ(RIG_GOOD, token_info(r->nexus[0], 5, in, &len));
	ATF_CHECK_EQ(36, len);
	ATF_CHECK_EQ(0x052400, token_info(r->nexus[1], 5, in, &len));
}

static void
failed_copy_keeps_its_sense(struct rig *r)
{
	uint8_t token[512] = { 0, 0x80, 0, 1, 0, 0, 0x01, 0xf8 };
	uint8_t in[INFO_LEN];
	size_t len;

	ATF_CHECK_EQ(0x052304, put(r->nexus[0], token, 0, 1));
	ATF_REQUIRE_EQ(RIG_GOOD, token_info(r->nexus[0], 9, in, &len));
	ATF_CHECK_EQ(0x02, in[5]);
	ATF_CHECK_EQ(SCSI_CHECK_CONDITION, in[12]);
	ATF_CHECK_EQ(20, in[13]);
	ATF_CHECK_EQ(18, in[14]);
	ATF_CHECK_EQ(0x70, in[32]);
	ATF_CHECK_EQ(0x05, in[32 + 2]);
	ATF_CHECK_EQ(0x23, in[32 + 12]);
	ATF_CHECK_EQ(0x04, in[32 + 13]);
	ATF_CHECK_EQ(0, be32_load(in + 52));
}

static void
copy_goes_on_in_background(struct rig *r)
{
	struct extent to = { 1000, CHUNK };
	uint8_t token[512], in[INFO_LEN], cdb[16];
	size_t len;

	data_fill();
	ATF_REQUIRE_EQ(RIG_GOOD, rig_write(r->nexus[0], 0, CHUNK, data));
	token_make(r->nexus[0], &head, 1, token);
	r->disk.hold = true;
	ATF_REQUIRE_EQ(RIG_GOOD,
	    put_flags(r->nexus[0], 8, 0x01, token, 0, &to, 1));
	ATF_REQUIRE_EQ(RIG_GOOD, token_info(r->nexus[0], 8, in, &len));
	ATF_CHECK_EQ(0x12, in[5]);
	ATF_CHECK_EQ(0x050016,
	    put_flags(r->nexus[0], 8, 0x01, token, 0, &to, 1));
	rig_settle();
	rig_disk_let_go(r);
	do {
		rig_settle();
		ATF_REQUIRE_EQ(RIG_GOOD, token_info(r->nexus[0], 8, in,
		    &len));
	} while (in[5] == 0x12);
	ATF_CHECK_EQ(0x01, in[5]);
	cdb_make(cdb, 0x84, 0x05, 8, sizeof(in));
	ATF_REQUIRE_EQ(RIG_GOOD, rig_cmd_in(r->nexus[0], cdb, 16, in,
	    sizeof(in), &len));
	ATF_CHECK_EQ(32, len);
	ATF_CHECK_EQ(CHUNK, be64_load(in + 16));
	ATF_REQUIRE_EQ(RIG_GOOD, rig_read(r->nexus[0], 1000, CHUNK, back));
	ATF_CHECK_EQ(0, memcmp(data, back, CHUNK * RIG_BLOCK));
}

static void
background_copy_can_be_aborted(struct rig *r)
{
	struct extent to = { 1000, CHUNK };
	uint8_t token[512], in[INFO_LEN], cdb[16];
	size_t len;

	token_make(r->nexus[0], &head, 1, token);
	r->disk.hold = true;
	ATF_REQUIRE_EQ(RIG_GOOD,
	    put_flags(r->nexus[0], 8, 0x01, token, 0, &to, 1));
	rig_settle();
	ATF_REQUIRE_EQ(1, r->disk.held_count);
	cdb_make(cdb, 0x83, 0x1c, 8, 0);
	ATF_CHECK_EQ(RIG_GOOD, rig_cmd(r->nexus[0], cdb, 16, NULL, 0));
	rig_disk_let_go(r);
	rig_settle();
	ATF_REQUIRE_EQ(RIG_GOOD, token_info(r->nexus[0], 8, in, &len));
	ATF_CHECK_EQ(0x60, in[5]);
	ATF_CHECK_EQ(SCSI_TASK_ABORTED, in[12]);
	ATF_CHECK_EQ(0, r->disk.writes);
	ATF_CHECK_EQ(0x052400, rig_cmd(r->nexus[0], cdb, 16, NULL, 0));
}

static void
tokens_of_the_unit_are_reported(struct rig *r)
{
	uint8_t token[512], in[1024], cdb[16];
	size_t len;

	token_make(r->nexus[0], &head, 1, token);
	cdb_make(cdb, 0x84, 0x08, 0, sizeof(in));
	ATF_REQUIRE_EQ(RIG_GOOD, rig_cmd_in(r->nexus[1], cdb, 16, in,
	    sizeof(in), &len));
	ATF_CHECK_EQ(8 + 96, len);
	ATF_CHECK_EQ(len - 4, be32_load(in));
	ATF_CHECK_EQ(0, memcmp(token, in + 8, 96));
}

static void
bad_token_lists_are_refused(struct rig *r)
{
	static const struct extent beyond = { RIG_BLOCKS, 1 };
	static const struct extent twice[] = { { 0, 10 }, { 9, 1 } };
	uint8_t token[512], cdb[16], list[16] = { 0 };

	cdb_make(cdb, 0x83, 0x10, 1, 15);
	ATF_CHECK_EQ(0x051a00, rig_cmd(r->nexus[0], cdb, 16, list, 15));
	cdb_make(cdb, 0x83, 0x10, 1, 16);
	ATF_CHECK_EQ(0x052600, rig_cmd(r->nexus[0], cdb, 16, list, 16));
	be16_store(list, 30);
	be16_store(list + 14, 16);
	ATF_CHECK_EQ(0x052600, rig_cmd(r->nexus[0], cdb, 16, list, 16));
	ATF_CHECK_EQ(0x052100,
	    populate_flags(r->nexus[0], 1, 0, 0, &beyond, 1));
	ATF_CHECK_EQ(0x052600, populate_flags(r->nexus[0], 1, 0, 0, twice, 2));
	ATF_CHECK_EQ(0x052600, populate_flags(r->nexus[0], 1, 0x02,
	    0x00010000, &head, 1));
	ATF_CHECK_EQ(0x052600, populate_flags(r->nexus[0], 1, 0x02,
	    0x00800002, &head, 1));
	ATF_CHECK_EQ(RIG_GOOD, populate_flags(r->nexus[0], 1, 0x02,
	    ROD_PIT_ANY, &head, 1));
	token_make(r->nexus[0], &head, 1, token);
	ATF_CHECK_EQ(0x052100, put(r->nexus[0], token, RIG_BLOCKS - 1, 2));
	ATF_CHECK_EQ(0x052600, put_flags(r->nexus[0], 1, 0, token, CHUNK,
	    &head, 1));
	ATF_CHECK_EQ(0x052600, put_flags(r->nexus[0], 1, 0, token, UINT64_MAX,
	    &head, 1));
	ATF_CHECK_EQ(0, r->disk.writes);
}

/* Each descriptor ends where the next begins, and nothing is left over. */
static void
copy_page_is_well_formed(struct rig *r)
{
	static const uint16_t types[] = {
		0x0000, 0x0001, 0x0004, 0x0008, 0x0106, 0x0108, 0x8001,
	};
	uint8_t in[1024];
	size_t len, at = 4;

	ATF_REQUIRE_EQ(RIG_GOOD, rig_cmd_in(r->nexus[0],
	    (uint8_t[6]){ 0x12, 0x01, 0x8f, 0x04, 0x00 }, 6, in, sizeof(in),
	    &len));
	ATF_CHECK_EQ(len - 4, be16_load(in + 2));
	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		ATF_REQUIRE(at + 4 <= len);
		ATF_CHECK_EQ(types[i], be16_load(in + at));
		ATF_CHECK_EQ(0, (4 + be16_load(in + at + 2)) % 4);
		at += 4U + be16_load(in + at + 2);
	}
	ATF_CHECK_EQ(len, at);
	ATF_CHECK_EQ(ROD_RANGES_MAX, be16_load(in + 4 + 10));
}

static int
nothing_saved(void *arg, const void *image, size_t len)
{
	(void)arg;
	(void)image;
	(void)len;
	return 0;
}

static void
set_sanitize(struct rig *r)
{
	r->conf.sanitize_save = nothing_saved;
}

static void
sanitize_cancels_tokens(struct rig *r)
{
	static const uint8_t erase[10] = { 0x48, 0x02 };
	uint8_t token[512];

	data_fill();
	ATF_REQUIRE_EQ(RIG_GOOD, rig_write(r->nexus[0], 0, 64, data));
	token_make(r->nexus[0], &head, 1, token);
	ATF_REQUIRE_EQ(RIG_GOOD, rig_cmd(r->nexus[1], erase, 10, NULL, 0));
	ATF_CHECK_EQ(0x052308, put(r->nexus[0], token, 500, CHUNK));
}

RIG_TEST(between_targets, NULL, token_copies_between_targets,
    "a token copies between units of two targets")
RIG_TEST(steps, NULL, token_copies_more_than_a_step,
    "long copies are done in steps and counted")
RIG_TEST(block_sizes, NULL, block_sizes_may_differ,
    "source and destination may have other block sizes")
RIG_TEST(padding, NULL, part_of_a_block_is_padded,
    "a block that is not filled is padded with zeroes")
RIG_TEST(zero, NULL, zero_token_writes_zeroes,
    "the zero token writes zeroes")
RIG_TEST(forged, NULL, changed_token_is_unknown,
    "a token changed in any byte is refused")
RIG_TEST(different, NULL, tokens_are_all_different,
    "tokens cannot be guessed from others")
RIG_TEST(cancelled, NULL, write_cancels_token,
    "a write to its blocks cancels a token")
RIG_TEST(race, NULL, write_during_copy_is_noticed,
    "data read while its blocks changed is not written")
RIG_TEST(barrier, NULL, token_waits_for_writes,
    "a token is told when writes before it have ended")
RIG_TEST(expired, NULL, unused_token_expires, "an unused token expires")
RIG_TEST(deleted, NULL, token_is_deleted_on_request,
    "a token is deleted on request")
RIG_TEST(revoked, NULL, removed_unit_revokes_tokens,
    "tokens of a removed unit are revoked")
RIG_TEST(too_many, NULL, too_many_tokens_cancel_the_oldest,
    "too many tokens of an initiator cancel its oldest")
RIG_TEST(reservations, NULL, copies_heed_reservations,
    "copies heed reservations of both units")
RIG_TEST(told_once, NULL, token_is_told_once,
    "a token is told once, to its initiator")
RIG_TEST(sense_kept, NULL, failed_copy_keeps_its_sense,
    "what went wrong is kept with the operation")
RIG_TEST(background, NULL, copy_goes_on_in_background,
    "with IMMED the copy goes on in the background")
RIG_TEST(abort, NULL, background_copy_can_be_aborted,
    "COPY OPERATION ABORT ends a copy in the background")
RIG_TEST(report_all, NULL, tokens_of_the_unit_are_reported,
    "all tokens of a unit are reported without their secrets")
RIG_TEST(bad_lists, NULL, bad_token_lists_are_refused,
    "bad parameter lists are refused")
RIG_TEST(page, NULL, copy_page_is_well_formed,
    "VPD page 8Fh is well-formed")

RIG_TEST(sanitized, set_sanitize, sanitize_cancels_tokens,
    "SANITIZE cancels the tokens of its unit")

ATF_TP_ADD_TCS(tp)
{
	ATF_TP_ADD_TC(tp, between_targets);
	ATF_TP_ADD_TC(tp, steps);
	ATF_TP_ADD_TC(tp, block_sizes);
	ATF_TP_ADD_TC(tp, padding);
	ATF_TP_ADD_TC(tp, zero);
	ATF_TP_ADD_TC(tp, forged);
	ATF_TP_ADD_TC(tp, different);
	ATF_TP_ADD_TC(tp, cancelled);
	ATF_TP_ADD_TC(tp, sanitized);
	ATF_TP_ADD_TC(tp, race);
	ATF_TP_ADD_TC(tp, barrier);
	ATF_TP_ADD_TC(tp, expired);
	ATF_TP_ADD_TC(tp, deleted);
	ATF_TP_ADD_TC(tp, revoked);
	ATF_TP_ADD_TC(tp, too_many);
	ATF_TP_ADD_TC(tp, reservations);
	ATF_TP_ADD_TC(tp, told_once);
	ATF_TP_ADD_TC(tp, sense_kept);
	ATF_TP_ADD_TC(tp, background);
	ATF_TP_ADD_TC(tp, abort);
	ATF_TP_ADD_TC(tp, report_all);
	ATF_TP_ADD_TC(tp, bad_lists);
	ATF_TP_ADD_TC(tp, page);
	return atf_no_error();
}
