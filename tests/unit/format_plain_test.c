/* SPDX-License-Identifier: BSD-2-Clause */
/* Structures inside of blocks: round trip, golden bytes, ranges. */
#include <atf-c.h>
#include <stdlib.h>
#include <string.h>

#include "libvmfs/base/crc32c.h"
#include "libvmfs/base/prng.h"
#include "libvmfs/format/cluster.h"
#include "libvmfs/format/dirent.h"
#include "libvmfs/format/heartbeat.h"
#include "libvmfs/format/inode.h"
#include "libvmfs/format/mapnode.h"

static uint8_t block[BLOCK_SIZE];

/* `decode` must refuse the block while a byte has this value. */
static void
refuses(int (*decode)(void), size_t offset, uint8_t value, const char *what)
{
	uint8_t old = block[offset];

	ATF_REQUIRE_EQ_MSG(decode(), 0, "before %s", what);
	block[offset] = value;
	ATF_CHECK_EQ_MSG(decode(), -VMFS_ECORRUPT, "%s", what);
	block[offset] = old;
}

/* ---- inode ---- */

static struct inode_info
random_inode(struct prng *p)
{
	struct inode_info i;

	memset(&i, 0, sizeof(i));
	i.generation = (uint32_t)prng_u64(p);
	i.type = (enum inode_type)prng_below(p, INODE_SNAPSHOT + 1);
	i.mode = (uint16_t)prng_below(p, 010000);
	i.uid = (uint32_t)prng_u64(p);
	i.gid = (uint32_t)prng_u64(p);
	i.nlink = (uint32_t)prng_u64(p);
	i.flags = INODE_CLONE;
	i.size = prng_u64(p) >> 1;
	i.chunks = prng_u64(p);
	i.atime_ns = prng_u64(p);
	i.mtime_ns = prng_u64(p);
	i.ctime_ns = prng_u64(p);
	i.btime_ns = prng_u64(p);
	i.parent = prng_u64(p);
	i.map = (struct map_root) { prng_u64(p) >> 16,
	    1 + (unsigned)prng_below(p, MAP_LEVEL_MAX),
	    (uint32_t)prng_below(p, EPOCH_MAX + 1ull) };
	i.epoch = (uint32_t)prng_below(p, EPOCH_MAX + 1ull);
	i.snap_epoch = (uint32_t)prng_below(p, EPOCH_MAX + 1ull);
	i.fork_epoch = (uint32_t)prng_below(p, EPOCH_MAX + 1ull);
	i.origin_epoch = (uint32_t)prng_below(p, EPOCH_MAX + 1ull);
	i.next_snapshot_id = (uint32_t)prng_u64(p);
	i.snapshots = (uint32_t)prng_u64(p);
	i.clones = (uint32_t)prng_u64(p);
	i.snaptab = prng_u64(p);
	i.disk = prng_u64(p);
	i.base_snapshot = prng_u64(p);
	i.origin_disk = prng_u64(p);
	i.origin_snapshot = prng_u64(p);
	i.dir_entries = (uint32_t)prng_u64(p);
	i.dir_seed = (uint32_t)prng_u64(p);
	i.dir_root = prng_u64(p);
	i.inline_size = (unsigned)prng_below(p, INODE_INLINE_MAX + 1);
	i.xattr = prng_u64(p);
	return i;
}

static int
inode_accepts(void)
{
	struct inode_info i;

	return inode_decode(block, &i);
}

ATF_TC_WITHOUT_HEAD(inode);
ATF_TC_BODY(inode, tc)
{
	struct inode_info in, out;
	struct prng p;

	(void)tc;
	prng_seed(&p, 1);
	for (int n = 0; n < 500; n++) {
		in = random_inode(&p);
		if (in.type == INODE_FILE || in.type == INODE_DISK)
			in.policy = (struct inode_policy){
				.account = 1, .held = prng_u64(&p),
				.credit = prng_u64(&p),
				.generation = prng_u64(&p),
			};
		memset(&out, 0, sizeof(out));
		inode_encode(block, &in);
		ATF_REQUIRE_EQ(inode_decode(block, &out), 0);
		ATF_REQUIRE_EQ(memcmp(&in, &out, sizeof(in)), 0);
	}
	refuses(inode_accepts, 580, 7, "type");
	refuses(inode_accepts, 583, 0x10, "mode");
	refuses(inode_accepts, 596, 8, "flags");
	refuses(inode_accepts, 596, INODE_INLINE, "inline data beside a map");
	refuses(inode_accepts, 607, 0x80, "size");
	refuses(inode_accepts, 662, 7, "map level");
	refuses(inode_accepts, 662, 0, "map without a level");
	refuses(inode_accepts, 663, 1, "reserved0");
	refuses(inode_accepts, 667, 1, "map birth");
	refuses(inode_accepts, 671, 1, "epoch");
	refuses(inode_accepts, 675, 1, "snapshot epoch");
	refuses(inode_accepts, 679, 1, "fork epoch");
	refuses(inode_accepts, 683, 1, "origin epoch");
	refuses(inode_accepts, 753, 0xff, "inline size");
	refuses(inode_accepts, 754, 1, "reserved1");
	refuses(inode_accepts, 768, 1, "crypt");
	refuses(inode_accepts, 840, 1, "quota without an account");
	refuses(inode_accepts, 864, 1, "reserved2");
}

/* ---- cluster ---- */

static struct cluster_info
make_cluster(uint32_t chunks, uint32_t used)
{
	struct cluster_info c = { .cluster = 3, .chunks = chunks,
	    .free_chunks = chunks - used, .metachunks = 1,
	    .free_meta_blocks = 4, .meta_hint = 1 };

	memset(block, 0, sizeof(block));
	for (uint32_t i = 0; i < used; i++)
		cluster_chunk_set_used(block, i * 3, true);
	cluster_encode(block, &c);
	return c;
}

static int
cluster_accepts(void)
{
	struct cluster_info c;

	return cluster_decode(block, 3, &c);
}

ATF_TC_WITHOUT_HEAD(cluster);
ATF_TC_BODY(cluster, tc)
{
	struct cluster_info in = make_cluster(300, 50), out;

	(void)tc;
	memset(&out, 0, sizeof(out));
	ATF_REQUIRE_EQ(cluster_decode(block, 3, &out), 0);
	ATF_CHECK_EQ(memcmp(&in, &out, sizeof(in)), 0);
	ATF_CHECK(cluster_chunk_used(block, 3));
	ATF_CHECK(!cluster_chunk_used(block, 4));
	ATF_CHECK_EQ(cluster_decode(block, 4, &out), -VMFS_ECORRUPT);
	refuses(cluster_accepts, 512 + 75, 1, "chunks");
	refuses(cluster_accepts, 512 + 76, 1, "free chunks");
	refuses(cluster_accepts, 512 + 80, 99, "metachunks");
	refuses(cluster_accepts, 512 + 84, 99, "free metadata blocks");
	refuses(cluster_accepts, 512 + 90, 99, "hint");
	refuses(cluster_accepts, 512 + 92, 1, "reserved");
	refuses(cluster_accepts, 512 + 128, 0, "bitmap and count");
	refuses(cluster_accepts, 512 + 128 + 40, 1, "use past the end");
	refuses(cluster_accepts, 512 + 2176 + 20, 1, "metachunk past the end");
	refuses(cluster_accepts, 512 + 3200, 1, "reserved2");
}

static int
metachunk_accepts(void)
{
	struct metachunk_info m;

	return metachunk_decode(block, &m);
}

ATF_TC_WITHOUT_HEAD(metachunk);
ATF_TC_BODY(metachunk, tc)
{
	const struct metachunk_info in = { .used = 0x8003,
	    .type = { BLOCK_METACHUNK, BLOCK_INODE, [15] = BLOCK_DIR_LEAF } };
	struct metachunk_info out;

	(void)tc;
	memset(block, 0, sizeof(block));
	ATF_CHECK_EQ(metachunk_accepts(), 0);	/* retired */
	metachunk_encode(block, &in);
	ATF_REQUIRE_EQ(metachunk_decode(block, &out), 0);
	ATF_CHECK_EQ(memcmp(&in, &out, sizeof(in)), 0);
	refuses(metachunk_accepts, 64, 2, "its own block free");
	refuses(metachunk_accepts, 65, 0, "free block with a type");
	refuses(metachunk_accepts, 66, 1, "reserved");
	refuses(metachunk_accepts, 80, BLOCK_INODE, "type of block 0");
	refuses(metachunk_accepts, 81, 0, "used block without a type");
	refuses(metachunk_accepts, 81, BLOCK_TYPE_MAX + 1, "type");
	refuses(metachunk_accepts, 96, 1, "reserved2");
}

static int
remote_free_accepts(void)
{
	return remote_free_check(block);
}

ATF_TC_WITHOUT_HEAD(remote_free);
ATF_TC_BODY(remote_free, tc)
{
	const struct remote_free chunk = { 1600, 32, false };
	const struct remote_free meta = { 1601, 1, true };
	struct remote_free out;

	(void)tc;
	memset(block, 0, sizeof(block));
	remote_free_put(block, 0, &chunk);
	remote_free_put(block, 1, &meta);
	block[72] = 2;
	remote_free_get(block, 0, &out);
	ATF_CHECK(out.block == 1600 && out.count == 32 && !out.meta);
	remote_free_get(block, 1, &out);
	ATF_CHECK(out.block == 1601 && out.count == 1 && out.meta);
	refuses(remote_free_accepts, 72, 251, "count");
	refuses(remote_free_accepts, 72, 3, "entry without a block");
	refuses(remote_free_accepts, 76, 1, "reserved");
	refuses(remote_free_accepts, 80, 1, "half a chunk");
	refuses(remote_free_accepts, 88, 0, "no blocks");
	refuses(remote_free_accepts, 92, 2, "flags");
	refuses(remote_free_accepts, 4090, 1, "reserved2");
}

static int
slot_info_accepts(void)
{
	return slot_info_check(block);
}

ATF_TC_WITHOUT_HEAD(slot_info);
ATF_TC_BODY(slot_info, tc)
{
	(void)tc;
	memset(block, 0, sizeof(block));
	block[512 + 72] = 1;
	block[512 + 80] = 9;
	refuses(slot_info_accepts, 512 + 72, 2, "count too large");
	refuses(slot_info_accepts, 512 + 72, 0, "count too small");
	refuses(slot_info_accepts, 512 + 74, 1, "count past the table");
	refuses(slot_info_accepts, 512 + 76, 1, "reserved");
	refuses(slot_info_accepts, 4095, 1, "reserved1");
}

/* ---- map ---- */

ATF_TC_WITHOUT_HEAD(map_entries);
ATF_TC_BODY(map_entries, tc)
{
	struct map_chunk_disk cd;
	struct map_entry_disk ed;
	struct map_chunk ci, co;
	struct map_entry eo;
	struct prng p;

	(void)tc;
	prng_seed(&p, 2);
	for (int n = 0; n < 500; n++) {
		memset(&ci, 0, sizeof(ci));
		memset(&co, 0, sizeof(co));
		ci.own = prng_u64(&p) >> 24;
		ci.base = prng_u64(&p) >> 24;
		ci.birth = (uint32_t)prng_below(&p, EPOCH_MAX + 1ull);
		ci.valid = (uint16_t)prng_u64(&p);
		map_chunk_put(&cd, &ci);
		map_chunk_get(&cd, &co);
		ATF_REQUIRE_EQ(memcmp(&ci, &co, sizeof(ci)), 0);
	}
	/* state, level, block -> result */
	static const struct {
		unsigned state, level;
		uint64_t at;
		int result;
	} t[] = {
		{ MAP_HOLE, 1, 0, 0 }, { MAP_HOLE, 3, 0, 0 },
		{ MAP_HOLE, 1, 5, -VMFS_ECORRUPT },
		{ MAP_HUGE, 1, 5, 0 }, { MAP_HUGE, 2, 5, 0 },
		{ MAP_HUGE, 1, 0, -VMFS_ECORRUPT },
		{ MAP_SPLIT, 1, 0, 0 },
		{ MAP_SPLIT, 2, 0, -VMFS_ECORRUPT },
		{ MAP_CHILD, 2, 5, 0 },
		{ MAP_CHILD, 1, 5, -VMFS_ECORRUPT },
		{ MAP_CHILD, 2, 0, -VMFS_ECORRUPT },
		{ 4, 1, 5, -VMFS_ECORRUPT },
	};
	for (size_t i = 0; i < sizeof(t) / sizeof(*t); i++) {
		struct map_entry e = { t[i].at, 6, (enum map_state)t[i].state };

		map_entry_put(&ed, &e);
		ATF_CHECK_EQ_MSG(map_entry_get(&ed, t[i].level, &eo),
		    t[i].result, "row %zu", i);
		if (t[i].result == 0)
			ATF_CHECK(eo.block == e.block && eo.birth == 6 &&
			    eo.state == e.state);
	}
	map_entry_put(&ed, &(struct map_entry) { 5, 6, MAP_HUGE });
	ed.reserved[0] = 1;
	ATF_CHECK_EQ(map_entry_get(&ed, 1, &eo), -VMFS_ECORRUPT);
}

/* ---- directories and snapshot tables ---- */

static size_t dir_used;

static int
dir_accepts(void)
{
	size_t pos = 0;
	struct dirent e;
	int r;

	while ((r = dirent_next(block, dir_used, &pos, &e)) == 0)
		;
	return r == -ENOENT ? 0 : r;
}

ATF_TC_WITHOUT_HEAD(dirent);
ATF_TC_BODY(dirent, tc)
{
	const struct dirent a = { 77, 5, INODE_FILE, 5, "vm.vm" };
	const struct dirent b = { 78, 6, INODE_DIR, 16, "0123456789abcdef" };
	struct dirent e;
	size_t pos = 0;

	(void)tc;
	memset(block, 0xee, sizeof(block));
	dirent_put(block, 0, &a);
	dirent_put(block, dirent_size(5), &b);
	dir_used = dirent_size(5) + dirent_size(16);
	ATF_REQUIRE_EQ(dirent_next(block, dir_used, &pos, &e), 0);
	ATF_CHECK(e.ino == 77 && e.generation == 5 && e.type == INODE_FILE &&
	    e.name_len == 5 && memcmp(e.name, "vm.vm", 5) == 0);
	ATF_REQUIRE_EQ(dirent_next(block, dir_used, &pos, &e), 0);
	ATF_CHECK(e.ino == 78 && e.name_len == 16);
	ATF_CHECK_EQ(dirent_next(block, dir_used, &pos, &e), -ENOENT);
	refuses(dir_accepts, 0, 0, "no inode");
	refuses(dir_accepts, 12, 6, "type");
	refuses(dir_accepts, 13, 0, "no name");
	refuses(dir_accepts, 13, 255, "name past the end");
	refuses(dir_accepts, 14, 1, "reserved");
	refuses(dir_accepts, 16, '/', "slash");
	refuses(dir_accepts, 17, 0, "NUL in the name");
	refuses(dir_accepts, 23, 1, "padding");
	ATF_CHECK_EQ(dirent_hash(0, "123456789", 9), 0xe3069283);
}

ATF_TC_WITHOUT_HEAD(snaptab_entry);
ATF_TC_BODY(snaptab_entry, tc)
{
	struct snaptab_entry in = { .ino = 5, .parent = 6, .created_us = 7,
	    .id = 8, .epoch = 9, .name = "before update" }, out;
	struct snaptab_entry_disk d;

	(void)tc;
	memset(&out, 0, sizeof(out));
	snaptab_entry_put(&d, &in);
	ATF_REQUIRE_EQ(snaptab_entry_get(&d, &out), 0);
	ATF_CHECK_EQ(memcmp(&in, &out, sizeof(in)), 0);
	d.id = le32(0);
	ATF_CHECK_EQ(snaptab_entry_get(&d, &out), -VMFS_ECORRUPT);
	snaptab_entry_put(&d, &in);
	d.name[0] = 0;
	ATF_CHECK_EQ(snaptab_entry_get(&d, &out), -VMFS_ECORRUPT);
	snaptab_entry_put(&d, &in);
	d.name[SNAPTAB_NAME_MAX] = 'x';
	ATF_CHECK_EQ(snaptab_entry_get(&d, &out), -VMFS_ECORRUPT);
	d.ino = le64(0);
	ATF_CHECK_EQ(snaptab_entry_get(&d, &out), -VMFS_ECORRUPT);
	snaptab_entry_put(&d, &in);
	d.epoch = le32(EPOCH_MAX + 1);
	ATF_CHECK_EQ(snaptab_entry_get(&d, &out), -VMFS_ECORRUPT);
	snaptab_entry_put(&d, &in);
	d.reserved1[3] = 1;
	ATF_CHECK_EQ(snaptab_entry_get(&d, &out), -VMFS_ECORRUPT);
}

/* ---- golden: these bytes must never change ---- */

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
	static const uint8_t chunk[15] = { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11,
	    12, 13, 14, 15 };
	static const uint8_t entry[15] = { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 1 };
	static const uint8_t name[24] = { 1, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0,
	    1, 3, 0, 0, 'a', 'b', 'c' };
	struct map_chunk_disk cd;
	struct map_entry_disk ed;
	struct inode_info i;
	struct prng p;

	(void)tc;
	map_chunk_put(&cd, &(struct map_chunk) { .own = 0x0504030201,
	    .base = 0x0a09080706, .birth = 0x0d0c0b, .valid = 0x0f0e });
	ATF_CHECK_EQ(memcmp(&cd, chunk, sizeof(chunk)), 0);
	map_entry_put(&ed, &(struct map_entry) { 0x060504030201, 0x0a090807,
	    MAP_HUGE });
	ATF_CHECK_EQ(memcmp(&ed, entry, sizeof(entry)), 0);
	memset(block, 0, sizeof(block));
	dirent_put(block, 0, &(struct dirent) { 1, 2, INODE_FILE, 3, "abc" });
	ATF_CHECK_EQ(memcmp(block, name, sizeof(name)), 0);
	prng_seed(&p, 3);
	memset(block, 0, sizeof(block));
	i = random_inode(&p);
	inode_encode(block, &i);
	golden("inode", block, sizeof(block), 0xec77a6aa);
	(void)make_cluster(300, 50);
	golden("cluster", block, sizeof(block), 0x13462ef8);
}

ATF_TP_ADD_TCS(tp)
{
	ATF_TP_ADD_TC(tp, inode);
	ATF_TP_ADD_TC(tp, cluster);
	ATF_TP_ADD_TC(tp, metachunk);
	ATF_TP_ADD_TC(tp, remote_free);
	ATF_TP_ADD_TC(tp, slot_info);
	ATF_TP_ADD_TC(tp, map_entries);
	ATF_TP_ADD_TC(tp, dirent);
	ATF_TP_ADD_TC(tp, snaptab_entry);
	ATF_TP_ADD_TC(tp, golden_images);
	return atf_no_error();
}
