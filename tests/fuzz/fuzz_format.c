/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Decoders of what lies on a datastore: a sound block of a kind, changed where
 * the input says, sealed again or not.  What a decoder accepts its encoder
 * must write so that it is accepted again and means the same.
 */
#include <stdlib.h>
#include <string.h>

#include "libvmfs/format/cluster.h"
#include "libvmfs/format/dirent.h"
#include "libvmfs/format/heartbeat.h"
#include "libvmfs/format/inode.h"
#include "libvmfs/format/journal.h"
#include "libvmfs/format/mapnode.h"
#include "libvmfs/format/xattr.h"
#include "tests/fuzz/fuzz.h"

#define ADDR 4096u
#define SLOT 3u

static const struct uuid volume = { { 1, 2, 3 } };

/* A block under test, and a second one for what is encoded from it. */
static uint8_t block[BLOCK_SIZE] __attribute__((aligned(8)));
static uint8_t again[BLOCK_SIZE] __attribute__((aligned(8)));

static void
seal(enum block_type type, uint8_t *b, uint64_t addr)
{
	const struct block_hdr h = {
		.type = type, .addr = addr, .owner = ADDR, .lockver = 7,
		.lsn = 9,
	};
	struct block_hdr got;

	block_hdr_encode(b, &h, &volume);
	FUZZ_CHECK(block_hdr_decode(b, type, &volume, addr, &got) == 0);
	FUZZ_CHECK(block_hdr_decode(b, 0, &volume, addr, &got) == 0);
	FUZZ_CHECK(got.type == type && got.lsn == 9);
}

static void
seal_crc(uint8_t *b, size_t at)
{
	le32_t crc = le32(crc32c_with_hole(b, LOCK_RECORD_SIZE, at));

	memcpy(b + at, &crc, sizeof(crc));
}

/* Offset, length and bytes of each change, within [from, size). */
static void
change(struct fuzz_in *in, unsigned from, size_t size)
{
	while (in->left > 0) {
		size_t at = from + fuzz_u16(in) % (size - from);
		size_t len = fuzz_u8(in) % 32;

		fuzz_fill(in, block + at, len < size - at ? len : size - at);
	}
}

/* ---- whole blocks ---- */

static void
super(struct fuzz_in *in)
{
	struct super s = {
		.version = 1, .sector_size = 512, .generation = 5,
		.uuid = volume, .label = "fuzz", .blocks = 65536,
		.copy2_block = 800, .root_ino = 4096,
		.cluster_blocks = 4096, .journal_blocks = 256,
		.protocol = LOCK_ATS_PR, .extents = 1, .segments = 1,
		.timers = { 3000, 8000, 12000, 18000, 7000, 0, 0 },
		.extent = { { .blocks = 65536 } },
		.segment = { { .clusters = 16, .table_block = 768 } },
	};

	super_encode(block, SUPER_BLOCK_0, &s);
	FUZZ_CHECK(super_decode(block, SUPER_BLOCK_0, &s) == 0);
	change(in, 64, BLOCK_SIZE);
	memcpy(block + 112, volume.b, 16);
	seal(BLOCK_SUPER, block, SUPER_BLOCK_0);
	if (super_decode(block, SUPER_BLOCK_0, &s) < 0)
		return;
	FUZZ_CHECK(s.extents <= SUPER_EXTENTS_MAX);
	FUZZ_CHECK(s.segments <= SUPER_SEGMENTS_MAX);
	FUZZ_CHECK(lock_protocol_name(s.protocol)[0] != '?');
	super_encode(block, SUPER_BLOCK_0, &s);
	FUZZ_CHECK(super_decode(block, SUPER_BLOCK_0, &s) == 0);
	super_encode(again, SUPER_BLOCK_0, &s);
	FUZZ_CHECK(memcmp(block, again, BLOCK_SIZE) == 0);
}

static void
inode(struct fuzz_in *in)
{
	struct inode_info i = { .type = INODE_DISK, .size = 1 << 20 };

	inode_encode(block, &i);
	change(in, LOCK_RECORD_SIZE + 64, BLOCK_SIZE);
	seal(BLOCK_INODE, block, ADDR);
	if (inode_decode(block, &i) < 0)
		return;
	FUZZ_CHECK(i.inline_size <= INODE_INLINE_MAX);
	FUZZ_CHECK(i.map.level <= MAP_LEVEL_MAX);
	memcpy(again, block, BLOCK_SIZE);
	inode_encode(again, &i);
	FUZZ_CHECK(memcmp(block, again, BLOCK_SIZE) == 0);
}

static void
cluster(struct fuzz_in *in)
{
	struct cluster_info c = { .cluster = 2, .chunks = 256,
		.free_chunks = 256 };
	uint8_t fix;

	cluster_encode(block, &c);
	seal(BLOCK_CLUSTER, block, ADDR);
	FUZZ_CHECK(cluster_decode(block, 2, &c) == 0);
	fix = fuzz_u8(in);
	for (unsigned i = 0; i < fix; i++)
		cluster_chunk_set_used(block, i, true);
	c.free_chunks = 256 - fix;
	cluster_encode(block, &c);
	change(in, LOCK_RECORD_SIZE + 64, BLOCK_SIZE);
	seal(BLOCK_CLUSTER, block, ADDR);
	if (cluster_decode(block, 2, &c) < 0)
		return;
	FUZZ_CHECK(c.chunks <= CLUSTER_CHUNKS_MAX);
	FUZZ_CHECK(c.free_chunks <= c.chunks);
	memcpy(again, block, BLOCK_SIZE);
	cluster_encode(again, &c);
	FUZZ_CHECK(memcmp(block, again, BLOCK_SIZE) == 0);
}

static void
metachunk(struct fuzz_in *in)
{
	struct metachunk_info m = { .used = 1, .type = { BLOCK_METACHUNK } };

	metachunk_encode(block, &m);
	change(in, 64, BLOCK_SIZE);
	seal(BLOCK_METACHUNK, block, ADDR);
	if (metachunk_decode(block, &m) < 0)
		return;
	for (unsigned i = 0; i < CHUNK_BLOCKS; i++)
		FUZZ_CHECK(m.type[i] <= BLOCK_TYPE_MAX);
	memcpy(again, block, BLOCK_SIZE);
	metachunk_encode(again, &m);
	FUZZ_CHECK(memcmp(block, again, BLOCK_SIZE) == 0);
}

static void
remote_free(struct fuzz_in *in)
{
	const struct remote_free one = { .block = 8192, .count = 16 };
	struct remote_free_disk *d = (void *)block;
	struct remote_free f;

	d->count = le32(1);
	remote_free_put(block, 0, &one);
	FUZZ_CHECK(remote_free_check(block) == 0);
	change(in, 64, BLOCK_SIZE);
	if (remote_free_check(block) < 0)
		return;
	FUZZ_CHECK(le32_get(d->count) <= REMOTE_FREE_ENTRIES);
	memcpy(again, block, BLOCK_SIZE);
	for (unsigned i = 0; i < le32_get(d->count); i++) {
		remote_free_get(block, i, &f);
		FUZZ_CHECK(f.count > 0);
		remote_free_put(again, i, &f);
	}
	FUZZ_CHECK(memcmp(block, again, BLOCK_SIZE) == 0);
}

static void
slot_info(struct fuzz_in *in)
{
	const struct slot_info_disk *d =
	    (const void *)(block + LOCK_RECORD_SIZE);

	change(in, LOCK_RECORD_SIZE + 64, BLOCK_SIZE);
	if (slot_info_check(block) == 0)
		FUZZ_CHECK(le32_get(d->orphans) <= SLOT_ORPHANS_MAX);
}

static void
any_block(struct fuzz_in *in)
{
	enum block_type type = fuzz_u8(in) % (BLOCK_TYPE_MAX + 1);
	struct block_hdr h;

	change(in, 0, BLOCK_SIZE);
	if (block_hdr_decode(block, type, &volume, ADDR, &h) < 0)
		return;
	FUZZ_CHECK(type == 0 || h.type == type);
	FUZZ_CHECK(block_type_name(h.type)[0] != '?');
}

/* ---- sectors ---- */

static void
heartbeat(struct fuzz_in *in)
{
	struct heartbeat h = {
		.slot = SLOT, .state = SLOT_LIVE, .name = "fuzz",
		.timers = { 3000, 8000, 12000, 18000, 7000, 0, 0 },
	};

	heartbeat_encode(block, &volume, &h);
	FUZZ_CHECK(heartbeat_decode(block, &volume, SLOT, &h) == 0);
	change(in, 8, LOCK_RECORD_SIZE);
	seal_crc(block, offsetof(struct heartbeat_disk, crc32c));
	if (heartbeat_decode(block, &volume, SLOT, &h) < 0)
		return;
	FUZZ_CHECK(slot_state_name(h.state)[0] != '?');
	FUZZ_CHECK(strlen(h.name) <= HOST_NAME_MAX_BYTES);
	heartbeat_encode(block, &volume, &h);
	FUZZ_CHECK(heartbeat_decode(block, &volume, SLOT, &h) == 0);
	heartbeat_encode(again, &volume, &h);
	FUZZ_CHECK(memcmp(block, again, LOCK_RECORD_SIZE) == 0);
}

static void
lockrec(struct fuzz_in *in)
{
	struct lockrec l = {
		.addr = ADDR, .version = 3, .mode = LOCK_EXCLUSIVE,
		.slot = SLOT, .incarnation = 2, .name = "fuzz",
	};

	if (fuzz_u8(in) & 1) {
		l.mode = LOCK_SHARED;
		l.holder[SLOT] = 9;
	}
	lockrec_encode(block, &volume, &l);
	FUZZ_CHECK(lockrec_decode(block, &volume, ADDR, &l) == 0);
	change(in, 8, LOCK_RECORD_SIZE);
	seal_crc(block, offsetof(struct lockrec_disk, crc32c));
	if (lockrec_decode(block, &volume, ADDR, &l) < 0)
		return;
	FUZZ_CHECK(l.mode <= LOCK_MULTI_WRITER && l.slot < SLOTS_MAX);
	lockrec_encode(block, &volume, &l);
	FUZZ_CHECK(lockrec_decode(block, &volume, ADDR, &l) == 0);
	lockrec_encode(again, &volume, &l);
	FUZZ_CHECK(memcmp(block, again, LOCK_RECORD_SIZE) == 0);
}

/* ---- lists ---- */

static void
dirents(struct fuzz_in *in)
{
	size_t used = in->left + (in->left == 0), pos = 0, at = 0;
	uint8_t *data = fuzz_take(in, used), *copy = calloc(1, used);
	struct dirent e;
	int r;

	while ((r = dirent_next(data, used, &pos, &e)) == 0) {
		FUZZ_CHECK(e.name_len >= 1 && e.name_len <= DIR_NAME_MAX);
		FUZZ_CHECK(memchr(e.name, '/', e.name_len) == NULL);
		FUZZ_CHECK(memchr(e.name, '\0', e.name_len) == NULL);
		dirent_put(copy, at, &e);
		at += dirent_size(e.name_len);
		FUZZ_CHECK(at == pos && memcmp(copy, data, at) == 0);
		(void)dirent_hash(7, e.name, e.name_len);
	}
	FUZZ_CHECK(r == -VMFS_ECORRUPT || (r == -ENOENT && pos == used));
	free(data);
	free(copy);
}

static void
entries(struct fuzz_in *in)
{
	struct snaptab_entry_disk sd, s2;
	struct map_entry_disk md, m2;
	struct map_chunk_disk cd, c2;
	struct snaptab_entry s;
	struct map_entry m;
	struct map_chunk c;

	while (in->left > 0) {
		unsigned level = 1 + fuzz_u8(in) % MAP_LEVEL_MAX;

		fuzz_fill(in, &md, sizeof(md));
		if (map_entry_get(&md, level, &m) == 0) {
			map_entry_put(&m2, &m);
			FUZZ_CHECK(map_entry_get(&m2, level, &m) == 0);
		}
		fuzz_fill(in, &cd, sizeof(cd));
		map_chunk_get(&cd, &c);
		map_chunk_put(&c2, &c);
		FUZZ_CHECK(memcmp(&cd, &c2, sizeof(cd)) == 0);
		fuzz_fill(in, &sd, sizeof(sd));
		if (snaptab_entry_get(&sd, &s) < 0)
			continue;
		FUZZ_CHECK(strlen(s.name) <= SNAPTAB_NAME_MAX);
		snaptab_entry_put(&s2, &s);
		FUZZ_CHECK(snaptab_entry_get(&s2, &s) == 0);
	}
}

static void
xattrs(struct fuzz_in *in)
{
	struct xattr_disk *d = (void *)block, *b = (void *)again;
	size_t used = 0, pos = 0;
	struct xattr x;

	d->used = le16((uint16_t)(fuzz_u16(in) % (XATTR_ROOM + 9)));
	change(in, offsetof(struct xattr_disk, data), BLOCK_SIZE);
	if (xattr_check(d) < 0)
		return;
	while (xattr_next(d->data, le16_get(d->used), &pos, &x) == 0) {
		FUZZ_CHECK(x.value + x.value_len <= d->data +
		    le16_get(d->used));
		xattr_put(b->data, used, &x);
		used += xattr_size(x.name_len, x.value_len);
	}
	FUZZ_CHECK(used == le16_get(d->used));
	FUZZ_CHECK(memcmp(d->data, b->data, used) == 0);
}

/* ---- journal ---- */

static void
journal_head(struct fuzz_in *in)
{
	struct journal_head h = {
		.addr = ADDR, .incarnation = 2, .head_sequence = 3,
		.tail_block = ADDR + 2, .tail_sequence = 1, .blocks = 256,
	};

	journal_head_encode(block, &volume, SLOT_TABLE_BLOCK, 9, &h);
	change(in, 64, BLOCK_SIZE);
	seal(BLOCK_JOURNAL_HEAD, block, ADDR);
	if (journal_head_decode(block, &volume, ADDR, &h) < 0)
		return;
	journal_head_encode(again, &volume, ADDR, 9, &h);
	FUZZ_CHECK(journal_head_decode(again, &volume, ADDR, &h) == 0);
}

/* A commit of records that the input makes, then changes. */
static void
journal_commit(struct fuzz_in *in)
{
	size_t max = 64 + in->left % 3500, pos = 64;
	struct journal_commit c = { .incarnation = 2, .sequence = 5 };
	struct journal_record rec;
	uint8_t *buf;
	int r;

	fuzz_fill(in, block + 64, max - 64);
	c.length = (uint32_t)max;
	c.records = block[64];
	journal_commit_encode(block, &volume, &c);
	/* Its own size: a read past the commit is seen. */
	buf = malloc(max);
	FUZZ_CHECK(buf != NULL);
	memcpy(buf, block, max);
	r = journal_commit_decode(buf, &volume, BLOCK_SIZE, &c);
	if (r == 0) {
		FUZZ_CHECK(c.length == max);
		FUZZ_CHECK(journal_commit_check(buf, &c) == 0);
	}
	while ((r = journal_record_next(buf, max, &pos, &rec)) == 0) {
		FUZZ_CHECK(rec.offset + rec.length <= BLOCK_SIZE);
		FUZZ_CHECK(rec.bytes + rec.length <= buf + max);
		FUZZ_CHECK(pos <= max);
	}
	FUZZ_CHECK(r == -ENOENT || r == -VMFS_ECORRUPT);
	free(buf);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static void (*const kinds[])(struct fuzz_in *in) = {
		super, inode, cluster, metachunk, remote_free, slot_info,
		any_block, heartbeat, lockrec, dirents, entries,
		journal_head, journal_commit, xattrs,
	};
	struct fuzz_in in = { data, size };

	memset(block, 0, sizeof(block));
	memset(again, 0, sizeof(again));
	kinds[fuzz_u8(&in) % (sizeof(kinds) / sizeof(kinds[0]))](&in);
	return 0;
}
