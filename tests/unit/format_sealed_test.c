/* SPDX-License-Identifier: BSD-2-Clause */
/* Structures with a checksum: round trip, golden bytes, no changed byte. */
#include <atf-c.h>
#include <string.h>

#include "libvmfs/base/crc32c.h"
#include "libvmfs/base/prng.h"
#include "libvmfs/core/mkds.h"
#include "libvmfs/format/heartbeat.h"
#include "libvmfs/format/journal.h"
#include "libvmfs/format/lockrec.h"

static const struct uuid volume = {
	{ 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16 },
};

static void
random_text(struct prng *p, char *text, size_t max)
{
	size_t len = (size_t)prng_below(p, max + 1);

	memset(text, 0, max + 1);
	for (size_t i = 0; i < len; i++)
		text[i] = (char)('a' + prng_below(p, 26));
}

/* Flips a bit in each byte; `decode` must refuse every such image. */
static void
refuses_every_flip(uint8_t *buf, size_t len, int (*decode)(const void *buf))
{
	ATF_REQUIRE_EQ(decode(buf), 0);
	for (size_t i = 0; i < len; i++) {
		buf[i] ^= 0x10;
		ATF_CHECK_MSG(decode(buf) < 0, "byte %zu may change", i);
		buf[i] ^= 0x10;
	}
}

/* ---- lock record ---- */

static struct lockrec
random_lockrec(struct prng *p)
{
	struct lockrec l;

	memset(&l, 0, sizeof(l));
	l.addr = 4711;
	l.version = prng_u64(p);
	l.lsn = prng_u64(p);
	l.nonce = prng_u64(p);
	l.incarnation = prng_u64(p);
	l.since_us = prng_u64(p);
	l.mode = (enum lock_mode)prng_below(p, 4);
	l.slot = (unsigned)prng_below(p, SLOTS_MAX);
	prng_fill(p, l.host.b, sizeof(l.host.b));
	random_text(p, l.name, HOST_NAME_MAX_BYTES);
	if (l.mode >= LOCK_SHARED)
		l.holder[prng_below(p, SLOTS_MAX)] = 7;
	return l;
}

static int
lockrec_accepts(const void *buf)
{
	struct lockrec l;

	return lockrec_decode(buf, &volume, 4711, &l);
}

ATF_TC_WITHOUT_HEAD(lockrec);
ATF_TC_BODY(lockrec, tc)
{
	uint8_t buf[LOCK_RECORD_SIZE];
	struct lockrec in, out;
	struct prng p;

	(void)tc;
	prng_seed(&p, 1);
	for (int i = 0; i < 500; i++) {
		in = random_lockrec(&p);
		memset(&out, 0, sizeof(out));
		lockrec_encode(buf, &volume, &in);
		ATF_REQUIRE_EQ(lockrec_decode(buf, &volume, 4711, &out), 0);
		ATF_REQUIRE_EQ(memcmp(&in, &out, sizeof(in)), 0);
	}
	refuses_every_flip(buf, sizeof(buf), lockrec_accepts);
	ATF_CHECK(lockrec_decode(buf, &volume, 4712, &out) < 0);
}

ATF_TC_WITHOUT_HEAD(zero_sector_is_a_free_lock);
ATF_TC_BODY(zero_sector_is_a_free_lock, tc)
{
	static const uint8_t zero[LOCK_RECORD_SIZE];
	struct lockrec l;

	(void)tc;
	ATF_REQUIRE_EQ(lockrec_decode(zero, &volume, 9, &l), 0);
	ATF_CHECK_EQ(l.mode, LOCK_FREE);
	ATF_CHECK_EQ(l.version, 0);
	ATF_CHECK_EQ(l.addr, 9);
}

/* A value that no encoder writes, but with a good checksum. */
ATF_TC_WITHOUT_HEAD(lockrec_ranges);
ATF_TC_BODY(lockrec_ranges, tc)
{
	uint8_t buf[LOCK_RECORD_SIZE];
	struct lockrec l, out;
	struct prng p;

	(void)tc;
	prng_seed(&p, 2);
	l = random_lockrec(&p);
	l.mode = (enum lock_mode)4;
	lockrec_encode(buf, &volume, &l);
	ATF_CHECK_EQ(lockrec_accepts(buf), -VMFS_ECORRUPT);
	l.mode = LOCK_EXCLUSIVE;
	l.slot = SLOTS_MAX;
	lockrec_encode(buf, &volume, &l);
	ATF_CHECK_EQ(lockrec_accepts(buf), -VMFS_ECORRUPT);
	l.slot = 0;
	l.mode = LOCK_SHARED;
	memset(l.holder, 0, sizeof(l.holder));
	lockrec_encode(buf, &volume, &l);
	ATF_CHECK_EQ(lockrec_decode(buf, &volume, 4711, &out),
	    -VMFS_ECORRUPT);
}

/* ---- heartbeat ---- */

static struct heartbeat
random_heartbeat(struct prng *p)
{
	struct heartbeat h;

	memset(&h, 0, sizeof(h));
	h.slot = 42;
	h.state = (enum slot_state)prng_below(p, 4);
	prng_fill(p, h.host.b, 16);
	prng_fill(p, h.machine.b, 16);
	prng_fill(p, h.boot.b, 16);
	h.incarnation = prng_u64(p);
	h.pulse = prng_u64(p);
	h.nonce = prng_u64(p);
	h.pr_key = prng_u64(p);
	h.mounted_us = prng_u64(p);
	h.recoverer = (unsigned)prng_below(p, SLOTS_MAX);
	h.recoverer_incarnation = prng_u64(p);
	h.timers = (struct timers) { (uint32_t)prng_u64(p),
	    (uint32_t)prng_u64(p), (uint32_t)prng_u64(p),
	    (uint32_t)prng_u64(p), (uint32_t)prng_u64(p), 0, 0 };
	h.super_generation = prng_u64(p);
	random_text(p, h.name, HOST_NAME_MAX_BYTES);
	if (prng_below(p, 2) == 1) {
		h.journal_block = 1 + prng_below(p, 1000000);
		h.journal_blocks = JOURNAL_BLOCKS_MIN;
	}
	h.home = prng_u64(p);
	h.process = prng_u64(p);
	return h;
}

static int
heartbeat_accepts(const void *buf)
{
	struct heartbeat h;

	return heartbeat_decode(buf, &volume, 42, &h);
}

ATF_TC_WITHOUT_HEAD(heartbeat);
ATF_TC_BODY(heartbeat, tc)
{
	uint8_t buf[LOCK_RECORD_SIZE];
	struct heartbeat in, out;
	struct prng p;

	(void)tc;
	prng_seed(&p, 3);
	for (int i = 0; i < 500; i++) {
		in = random_heartbeat(&p);
		memset(&out, 0, sizeof(out));
		heartbeat_encode(buf, &volume, &in);
		ATF_REQUIRE_EQ(heartbeat_decode(buf, &volume, 42, &out), 0);
		ATF_REQUIRE_EQ(memcmp(&in, &out, sizeof(in)), 0);
	}
	refuses_every_flip(buf, sizeof(buf), heartbeat_accepts);
	ATF_CHECK(heartbeat_decode(buf, &volume, 41, &out) < 0);
	in.state = (enum slot_state)4;
	heartbeat_encode(buf, &volume, &in);
	ATF_CHECK_EQ(heartbeat_accepts(buf), -VMFS_ECORRUPT);
	in.state = SLOT_LIVE;
	in.journal_block = 5;
	in.journal_blocks = 1;
	heartbeat_encode(buf, &volume, &in);
	ATF_CHECK_EQ(heartbeat_accepts(buf), -VMFS_ECORRUPT);
}

/* ---- superblock ---- */

static struct super
some_super(uint64_t size)
{
	const struct disk_info info = {
		.size_bytes = size,
		.block_size = 512,
		.caps = DISK_CAP_CAW | DISK_CAP_PR,
		.serial = "60014054a5f",
	};
	const struct mkds_conf conf = { .label = "rack 1", .uuid = volume };
	struct super s;

	ATF_REQUIRE_EQ(mkds_plan(&info, &conf, &s), 0);
	s.extent[0].uuid = volume;
	s.generation = 5;
	s.created_us = 99;
	return s;
}

static int
super_accepts(const void *buf)
{
	struct super s;

	return super_decode(buf, SUPER_BLOCK_0, &s);
}

ATF_TC_WITHOUT_HEAD(super);
ATF_TC_BODY(super, tc)
{
	static uint8_t buf[BLOCK_SIZE];
	struct super in, out;

	(void)tc;
	/* From the smallest volume to 64 PiB. */
	for (unsigned shift = 26; shift <= 56; shift++) {
		in = some_super((1ull << shift) + (shift % 3) * CHUNK_SIZE);
		super_encode(buf, SUPER_BLOCK_0, &in);
		ATF_REQUIRE_EQ_MSG(super_decode(buf, SUPER_BLOCK_0, &out), 0,
		    "size 2^%u", shift);
		ATF_CHECK_EQ(in.blocks, out.blocks);
		ATF_CHECK_EQ(in.cluster_blocks, out.cluster_blocks);
		ATF_CHECK_EQ(in.root_ino, out.root_ino);
		ATF_CHECK_EQ(in.generation, out.generation);
		ATF_CHECK_EQ(memcmp(&in.timers, &out.timers,
		    sizeof(in.timers)), 0);
		ATF_CHECK_EQ(memcmp(in.extent, out.extent,
		    sizeof(in.extent)), 0);
		ATF_CHECK_EQ(memcmp(in.segment, out.segment,
		    sizeof(in.segment)), 0);
		ATF_CHECK_STREQ(in.label, out.label);
		ATF_CHECK_STREQ(in.lun_serial, out.lun_serial);
	}
	refuses_every_flip(buf, sizeof(buf), super_accepts);
	ATF_CHECK(super_decode(buf, SUPER_BLOCK_1, &out) < 0);
}

static int
super_result(const struct super *s)
{
	static uint8_t buf[BLOCK_SIZE];

	super_encode(buf, SUPER_BLOCK_0, s);
	return super_accepts(buf);
}

ATF_TC_WITHOUT_HEAD(super_ranges);
ATF_TC_BODY(super_ranges, tc)
{
	struct super good = some_super(1ull << 30), s;

	(void)tc;
	ATF_REQUIRE_EQ(super_result(&good), 0);
#define REFUSED(field, value, error) do {				\
	s = good;							\
	s.field = (value);						\
	ATF_CHECK_EQ_MSG(super_result(&s), (error), #field);		\
} while (0)
	REFUSED(version, 2, -VMFS_EFEATURE);
	REFUSED(incompat, 1ull << 63, -VMFS_EFEATURE);
	REFUSED(incompat, FEATURE_INCOMPAT_RESIGNED, -VMFS_ECORRUPT);
	REFUSED(new_uuid.b[0], 1, -VMFS_ECORRUPT);
	REFUSED(ro_compat, 1, 0);
	REFUSED(compat, 1, 0);
	REFUSED(sector_size, 1024, -VMFS_ECORRUPT);
	REFUSED(blocks, 10, -VMFS_ECORRUPT);
	REFUSED(cluster_blocks, 5000, -VMFS_ECORRUPT);
	REFUSED(journal_blocks, 100, -VMFS_ECORRUPT);
	REFUSED(journal_blocks, 257, -VMFS_ECORRUPT);
	REFUSED(copy2_block, good.blocks, -VMFS_ECORRUPT);
	REFUSED(root_ino, good.blocks, -VMFS_ECORRUPT);
	REFUSED(protocol, 0, -VMFS_ECORRUPT);
	REFUSED(protocol, 5, -VMFS_ECORRUPT);
	REFUSED(timers.fence_ms, 12000, -VMFS_ECORRUPT);
	REFUSED(timers.pulse_ms, 0, -VMFS_ECORRUPT);
	REFUSED(extents, 0, -VMFS_ECORRUPT);
	REFUSED(extent[0].blocks, good.blocks - 1, -VMFS_ECORRUPT);
	REFUSED(segments, 0, -VMFS_ECORRUPT);
	REFUSED(segment[0].clusters, 1, -VMFS_ECORRUPT);
	REFUSED(segment[0].table_block, good.blocks, -VMFS_ECORRUPT);
#undef REFUSED
}

/* ---- block header ---- */

static int
leaf_accepts(const void *buf)
{
	struct block_hdr h;

	return block_hdr_decode(buf, BLOCK_DIR_LEAF, &volume, 1000, &h);
}

static int
inode_accepts(const void *buf)
{
	struct block_hdr h;

	return block_hdr_decode((const uint8_t *)buf - LOCK_RECORD_SIZE,
	    BLOCK_INODE, &volume, 1000, &h);
}

ATF_TC_WITHOUT_HEAD(block_header);
ATF_TC_BODY(block_header, tc)
{
	static uint8_t buf[BLOCK_SIZE];
	struct block_hdr in = { BLOCK_DIR_LEAF, 1000, 77, 5, 123456 }, out;
	struct prng p;

	(void)tc;
	prng_seed(&p, 4);
	prng_fill(&p, buf, sizeof(buf));
	block_hdr_encode(buf, &in, &volume);
	ATF_REQUIRE_EQ(block_hdr_decode(buf, 0, &volume, 1000, &out), 0);
	ATF_CHECK(out.type == in.type && out.owner == in.owner &&
	    out.lockver == in.lockver && out.lsn == in.lsn);
	refuses_every_flip(buf, sizeof(buf), leaf_accepts);
	in.type = BLOCK_INODE;
	block_hdr_encode(buf, &in, &volume);
	memset(buf, 0xff, LOCK_RECORD_SIZE);
	ATF_REQUIRE_EQ(block_hdr_decode(buf, 0, &volume, 1000, &out), 0);
	ATF_CHECK_EQ(out.type, BLOCK_INODE);
	refuses_every_flip(buf + LOCK_RECORD_SIZE,
	    BLOCK_SIZE - LOCK_RECORD_SIZE, inode_accepts);
	ATF_CHECK(block_hdr_decode(buf, BLOCK_CLUSTER, &volume, 1000, &out) <
	    0);
}

/* ---- journal ---- */

static int
head_accepts(const void *buf)
{
	struct journal_head h;

	return journal_head_decode(buf, &volume, 5000, &h);
}

ATF_TC_WITHOUT_HEAD(journal_head);
ATF_TC_BODY(journal_head, tc)
{
	static uint8_t buf[BLOCK_SIZE];
	struct journal_head in = { .addr = 5000, .incarnation = 3,
	    .head_sequence = 9, .tail_block = 17, .tail_sequence = 1000,
	    .tail_prev_crc = 0xdeadbeef, .blocks = 256 }, out;

	(void)tc;
	memset(&out, 0, sizeof(out));
	journal_head_encode(buf, &volume, 256, 55, &in);
	ATF_REQUIRE_EQ(journal_head_decode(buf, &volume, 5000, &out), 0);
	ATF_CHECK_EQ(memcmp(&in, &out, sizeof(in)), 0);
	refuses_every_flip(buf, sizeof(buf), head_accepts);
	in.tail_block = 1;
	journal_head_encode(buf, &volume, 256, 55, &in);
	ATF_CHECK_EQ(head_accepts(buf), -VMFS_ECORRUPT);
	in.tail_block = 256;
	journal_head_encode(buf, &volume, 256, 55, &in);
	ATF_CHECK_EQ(head_accepts(buf), -VMFS_ECORRUPT);
}

static int
commit_accepts(const void *buf)
{
	struct journal_commit c;
	struct journal_record r;
	size_t pos = sizeof(struct journal_commit_disk);
	int e;

	e = journal_commit_decode(buf, &volume, 8192, &c);
	if (e == 0)
		e = journal_commit_check(buf, &c);
	while (e == 0)
		e = journal_record_next(buf, c.length, &pos, &r);
	return e == -ENOENT ? 0 : e;
}

static size_t
put_records(uint8_t *buf, const uint8_t *bytes)
{
	const struct journal_record image = { JOURNAL_IMAGE, BLOCK_MAP_LEAF, 0,
	    BLOCK_SIZE, 800, 900, 4, bytes };
	const struct journal_record delta = { JOURNAL_DELTA, BLOCK_INODE, 600,
	    13, 801, 801, 6, bytes };
	size_t pos = sizeof(struct journal_commit_disk);

	pos += journal_record_put(buf, pos, &image);
	return pos + journal_record_put(buf, pos, &delta);
}

ATF_TC_WITHOUT_HEAD(journal_commit);
ATF_TC_BODY(journal_commit, tc)
{
	static uint8_t buf[8192], bytes[BLOCK_SIZE];
	struct journal_commit c = { .incarnation = 3, .sequence = 44,
	    .lsn = 777, .prev_crc = 1, .records = 2 }, out;
	size_t pos = sizeof(struct journal_commit_disk);
	struct journal_record r;
	struct prng p;

	(void)tc;
	prng_seed(&p, 5);
	prng_fill(&p, bytes, sizeof(bytes));
	c.length = (uint32_t)put_records(buf, bytes);
	journal_commit_encode(buf, &volume, &c);
	ATF_REQUIRE_EQ(journal_commit_decode(buf, &volume, 8192, &out), 0);
	ATF_CHECK_EQ(memcmp(&c, &out, sizeof(c)), 0);
	ATF_REQUIRE_EQ(journal_record_next(buf, c.length, &pos, &r), 0);
	ATF_CHECK_EQ(r.addr, 800);
	ATF_CHECK_EQ(memcmp(r.bytes, bytes, BLOCK_SIZE), 0);
	ATF_REQUIRE_EQ(journal_record_next(buf, c.length, &pos, &r), 0);
	ATF_CHECK(r.type == JOURNAL_DELTA && r.length == 13 &&
	    r.offset == 600 && r.lockver == 6);
	ATF_CHECK_EQ(journal_record_next(buf, c.length, &pos, &r), -ENOENT);
	refuses_every_flip(buf, c.length, commit_accepts);
	ATF_CHECK(journal_commit_decode(buf, &volume, c.length - 1, &out) < 0);
}

ATF_TC_WITHOUT_HEAD(journal_record_ranges);
ATF_TC_BODY(journal_record_ranges, tc)
{
	static uint8_t buf[8192], bytes[BLOCK_SIZE];
	const struct journal_record good = { JOURNAL_DELTA, BLOCK_INODE, 600,
	    13, 801, 801, 6, bytes };
	struct journal_record r, out;
	size_t pos, len;

	(void)tc;
#define RESULT(field, value, error) do {				\
	r = good;							\
	r.field = (value);						\
	len = journal_record_put(buf, 0, &r);				\
	pos = 0;							\
	ATF_CHECK_EQ_MSG(journal_record_next(buf, len, &pos, &out),	\
	    (error), #field);						\
} while (0)
	RESULT(length, 13, 0);
	RESULT(length, 0, -VMFS_ECORRUPT);
	RESULT(offset, 511, -VMFS_ECORRUPT);	/* in the lock record */
	RESULT(offset, 4090, -VMFS_ECORRUPT);
	RESULT(type, 3, -VMFS_ECORRUPT);
	RESULT(type, JOURNAL_IMAGE, -VMFS_ECORRUPT);
	RESULT(block_type, 0, -VMFS_ECORRUPT);
	RESULT(block_type, BLOCK_TYPE_MAX + 1, -VMFS_ECORRUPT);
	RESULT(addr, 0, -VMFS_ECORRUPT);
#undef RESULT
	len = journal_record_put(buf, 0, &good);
	pos = 0;
	ATF_CHECK_EQ(journal_record_next(buf, len - 1, &pos, &out),
	    -VMFS_ECORRUPT);
	ATF_CHECK_EQ(journal_record_next(buf, 31, &pos, &out),
	    -VMFS_ECORRUPT);
}

/* ---- golden: these images must never change ---- */

static void
golden(const char *what, const void *buf, size_t len, uint32_t crc)
{
	uint32_t got = crc32c(0, buf, len);

	ATF_CHECK_MSG(got == crc, "%s: image changed, crc32c is now 0x%08x",
	    what, got);
}

ATF_TC_WITHOUT_HEAD(golden_images);
ATF_TC_BODY(golden_images, tc)
{
	static uint8_t buf[8192], bytes[BLOCK_SIZE];
	const struct journal_head head = { .addr = 5000, .incarnation = 3,
	    .head_sequence = 9, .tail_block = 17, .tail_sequence = 1000,
	    .tail_prev_crc = 5, .blocks = 256 };
	struct journal_commit c = { .incarnation = 3, .sequence = 44,
	    .lsn = 777, .prev_crc = 1, .records = 2 };
	struct heartbeat h;
	struct lockrec l;
	struct super s;
	struct prng p;

	(void)tc;
	prng_seed(&p, 6);
	l = random_lockrec(&p);
	lockrec_encode(buf, &volume, &l);
	ATF_CHECK_EQ(memcmp(buf, "LKC1", 4), 0);
	golden("lock record", buf, LOCK_RECORD_SIZE, 0x7338a1dc);
	h = random_heartbeat(&p);
	/* They were reserved once. */
	h.home = h.process = 0;
	heartbeat_encode(buf, &volume, &h);
	ATF_CHECK_EQ(memcmp(buf, "HBT1", 4), 0);
	golden("heartbeat", buf, LOCK_RECORD_SIZE, 0xb217589e);
	s = some_super(1ull << 40);
	/* What mkfs made before heartbeats asked for space. */
	s.ro_compat = 0;
	super_encode(buf, SUPER_BLOCK_0, &s);
	ATF_CHECK_EQ(memcmp(buf, "VMB1", 4), 0);
	ATF_CHECK_EQ(memcmp(buf + 64, "VMFSD\0\0\1", 8), 0);
	golden("superblock", buf, BLOCK_SIZE, 0xcc4f803a);
	journal_head_encode(buf, &volume, 256, 55, &head);
	golden("journal head", buf, BLOCK_SIZE, 0x06a4f290);
	memset(buf, 0, sizeof(buf));
	c.length = (uint32_t)put_records(buf, bytes);
	journal_commit_encode(buf, &volume, &c);
	ATF_CHECK_EQ(memcmp(buf, "JCM1", 4), 0);
	golden("commit", buf, c.length, 0xd02982cc);
}

ATF_TP_ADD_TCS(tp)
{
	ATF_TP_ADD_TC(tp, lockrec);
	ATF_TP_ADD_TC(tp, zero_sector_is_a_free_lock);
	ATF_TP_ADD_TC(tp, lockrec_ranges);
	ATF_TP_ADD_TC(tp, heartbeat);
	ATF_TP_ADD_TC(tp, super);
	ATF_TP_ADD_TC(tp, super_ranges);
	ATF_TP_ADD_TC(tp, block_header);
	ATF_TP_ADD_TC(tp, journal_head);
	ATF_TP_ADD_TC(tp, journal_commit);
	ATF_TP_ADD_TC(tp, journal_record_ranges);
	ATF_TP_ADD_TC(tp, golden_images);
	return atf_no_error();
}
