/* SPDX-License-Identifier: BSD-2-Clause */
/* Content of files and disks: growth, holes, punch, seek, no space. */
#include <atf-c.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/core_fs_rig.h"

static uint64_t
seek_to(struct fs_file *f, uint64_t off, uint64_t end, bool data)
{
	uint64_t at = 0;

	ATF_REQUIRE_EQ(fs_file_seek_to(f, off, end, data, &at), 0);
	return at;
}

static void
inline_growth(struct rig *r)
{
	uint64_t ino = rig_create(r, "f", INODE_FILE, 0);
	struct fs_file *f = rig_open(r, ino, FS_READ | FS_WRITE);
	struct fs_attr a;

	rig_fill(f, 0, 1000, 'a');
	rig_fill(f, 1000, 2000, 'b');
	ATF_REQUIRE_EQ(fs_file_attr(f, &a), 0);
	ATF_CHECK_EQ(a.size, 3000);
	ATF_CHECK_EQ(a.allocated, 0);
	ATF_CHECK_EQ(seek_to(f, 100, 200, true), 100);
	ATF_CHECK_EQ(seek_to(f, 100, 200, false), 200);
	ATF_CHECK_EQ(seek_to(f, 100, 4000, false), 3000);
	rig_fill(f, 3000, 100, 'c');
	ATF_REQUIRE_EQ(fs_file_attr(f, &a), 0);
	ATF_CHECK_EQ(a.allocated, CHUNK_SIZE);
	rig_close(f);
	rig_remount(r);
	f = rig_open(r, ino, FS_READ);
	rig_expect(f, 0, 1000, 'a');
	rig_expect(f, 1000, 2000, 'b');
	rig_expect(f, 3000, 100, 'c');
	rig_close(f);
}

ATF_TC_WITHOUT_HEAD(small_file_grows_out_of_its_inode);
ATF_TC_BODY(small_file_grows_out_of_its_inode, tc)
{
	rig_run(64 * MIB, inline_growth);
}

static void
sparse(struct rig *r)
{
	uint64_t ino = rig_create(r, "d", INODE_DISK, 62 * TIB);
	struct fs_file *f = rig_open(r, ino, FS_READ | FS_WRITE);
	uint64_t at;

	rig_expect(f, 0, 65536, 0);
	rig_expect(f, 62 * TIB - 512, 512, 0);
	rig_fill(f, 40 * TIB + 12345, 5000, 'x');
	rig_expect(f, 40 * TIB, 12345, 0);
	rig_expect(f, 40 * TIB + 12345, 5000, 'x');
	rig_expect(f, 40 * TIB + 17345, 100000, 0);
	ATF_REQUIRE_EQ(fs_file_seek(f, 0, true, &at), 0);
	ATF_CHECK_EQ(at, 40 * TIB + 12288);
	ATF_REQUIRE_EQ(fs_file_seek(f, at, false, &at), 0);
	ATF_CHECK_EQ(at, 40 * TIB + 20480);
	ATF_CHECK_EQ(fs_file_seek(f, at, true, &at), -ENXIO);
	ATF_REQUIRE_EQ(fs_file_seek(f, 0, false, &at), 0);
	ATF_CHECK_EQ(at, 0);
	ATF_CHECK_EQ(fs_file_seek(f, 62 * TIB, false, &at), -ENXIO);
	ATF_CHECK_EQ(seek_to(f, 0, 40 * TIB, true), 40 * TIB);
	ATF_CHECK_EQ(seek_to(f, 0, 41 * TIB, true), 40 * TIB + 12288);
	at = 40 * TIB + 12300;
	ATF_CHECK_EQ(seek_to(f, at, at + 4000, false), at + 4000);
	ATF_CHECK_EQ(seek_to(f, at, 41 * TIB, false), 40 * TIB + 20480);
	ATF_CHECK_EQ(seek_to(f, 41 * TIB, 63 * TIB, true), 63 * TIB);
	ATF_CHECK_EQ(seek_to(f, 62 * TIB, 63 * TIB, false), 63 * TIB);
	rig_close(f);
}

ATF_TC_WITHOUT_HEAD(sparse_disk_reads_zeroes);
ATF_TC_BODY(sparse_disk_reads_zeroes, tc)
{
	rig_run(64 * MIB, sparse);
}

static void
sequential(struct rig *r)
{
	uint64_t ino = rig_create(r, "d", INODE_DISK, 16 * MIB);
	struct fs_file *f = rig_open(r, ino, FS_READ | FS_WRITE);
	struct fs_attr a;

	for (unsigned i = 0; i < 16; i++)
		for (unsigned k = 0; k < 16; k++)
			rig_fill(f, i * MIB + k * 65536, 65536, (uint8_t)i);
	ATF_REQUIRE_EQ(fs_file_attr(f, &a), 0);
	ATF_CHECK_EQ(a.allocated, 16 * MIB);
	for (unsigned i = 0; i < 16; i++)
		rig_expect(f, i * MIB, MIB, (uint8_t)i);
	rig_close(f);
	rig_remount(r);
	f = rig_open(r, ino, FS_READ);
	for (unsigned i = 0; i < 16; i++)
		rig_expect(f, i * MIB, MIB, (uint8_t)i);
	rig_close(f);
}

ATF_TC_WITHOUT_HEAD(sequential_write_takes_no_more_than_it_needs);
ATF_TC_BODY(sequential_write_takes_no_more_than_it_needs, tc)
{
	rig_run(64 * MIB, sequential);
}

static void
punching(struct rig *r)
{
	uint64_t ino = rig_create(r, "d", INODE_DISK, 8 * MIB);
	struct fs_file *f = rig_open(r, ino, FS_READ | FS_WRITE);
	struct fs_attr a;

	rig_fill(f, 0, 8 * MIB, 'x');
	ATF_REQUIRE_EQ(fs_file_punch(f, 100, 1000), 0);
	rig_expect(f, 0, 100, 'x');
	rig_expect(f, 100, 1000, 0);
	rig_expect(f, 1100, 5000, 'x');
	ATF_REQUIRE_EQ(fs_file_punch(f, MIB + 4096, 2 * MIB), 0);
	rig_expect(f, MIB, 4096, 'x');
	rig_expect(f, MIB + 4096, 2 * MIB, 0);
	rig_expect(f, 3 * MIB + 4096, 4096, 'x');
	ATF_REQUIRE_EQ(fs_file_attr(f, &a), 0);
	ATF_CHECK_EQ(a.allocated, 6 * MIB + 65536);
	ATF_REQUIRE_EQ(fs_file_truncate(f, 4 * MIB + 512), 0);
	ATF_REQUIRE_EQ(fs_file_truncate(f, 8 * MIB), 0);
	rig_expect(f, 4 * MIB, 512, 'x');
	rig_expect(f, 4 * MIB + 512, 4 * MIB - 512, 0);
	ATF_REQUIRE_EQ(fs_file_punch(f, 0, 8 * MIB), 0);
	rig_expect(f, 0, 8 * MIB, 0);
	ATF_REQUIRE_EQ(fs_file_attr(f, &a), 0);
	ATF_CHECK_EQ(a.allocated, 0);
	rig_close(f);
}

ATF_TC_WITHOUT_HEAD(punched_and_truncated_ranges_read_zeroes);
ATF_TC_BODY(punched_and_truncated_ranges_read_zeroes, tc)
{
	rig_run(64 * MIB, punching);
}

static void
allocating(struct rig *r)
{
	uint64_t ino = rig_create(r, "d", INODE_DISK, 4 * MIB);
	struct fs_file *f = rig_open(r, ino, FS_READ | FS_WRITE);
	struct fs_attr a;
	uint64_t at;

	ATF_REQUIRE_EQ(fs_file_allocate(f, 0, 4 * MIB), 0);
	ATF_REQUIRE_EQ(fs_file_attr(f, &a), 0);
	ATF_CHECK_EQ(a.allocated, 4 * MIB);
	rig_expect(f, 0, 4 * MIB, 0);
	ATF_CHECK_EQ(fs_file_seek(f, 0, true, &at), -ENXIO);
	rig_fill(f, 10000, 10000, 'x');
	rig_expect(f, 0, 10000, 0);
	rig_expect(f, 10000, 10000, 'x');
	rig_expect(f, 20000, MIB, 0);
	rig_close(f);
}

ATF_TC_WITHOUT_HEAD(allocated_space_reads_zeroes);
ATF_TC_BODY(allocated_space_reads_zeroes, tc)
{
	rig_run(64 * MIB, allocating);
}

static uint64_t
lsn_in_place(struct rig *r, uint64_t ino)
{
	uint8_t *buf = malloc(BLOCK_SIZE);
	const struct block_hdr_disk *h = (const void *)(buf +
	    block_hdr_offset(BLOCK_INODE));
	uint64_t lsn;

	ATF_REQUIRE(buf != NULL);
	ATF_REQUIRE_EQ(ds_checkpoint(r->f.ds, 0), 0);
	ATF_REQUIRE_EQ(block_read_unlocked(r->f.ds, ino, BLOCK_INODE, ino,
	    buf), 0);
	lsn = le64_get(h->lsn);
	free(buf);
	return lsn;
}

/* By that a reader on another host sees that his way is not good any more. */
static void
leaf_goes(struct rig *r)
{
	uint64_t ino = rig_create(r, "d", INODE_DISK, 4 * MIB), lsn;
	struct fs_file *f = rig_open(r, ino, FS_READ | FS_WRITE);

	ATF_REQUIRE_EQ(fs_file_allocate(f, 0, MIB), 0);
	rig_fill(f, 0, MIB / 2, 'x');
	lsn = lsn_in_place(r, ino);
	rig_fill(f, MIB / 2, MIB / 4, 'x');
	ATF_CHECK_EQ(lsn_in_place(r, ino), lsn);
	rig_fill(f, 3 * MIB / 4, MIB / 4, 'x');
	ATF_CHECK(lsn_in_place(r, ino) > lsn);
	rig_close(f);
}

ATF_TC_WITHOUT_HEAD(a_map_node_goes_with_a_change_of_its_inode);
ATF_TC_BODY(a_map_node_goes_with_a_change_of_its_inode, tc)
{
	rig_run(64 * MIB, leaf_goes);
}

static void
full(struct rig *r)
{
	uint64_t ino = rig_create(r, "d", INODE_DISK, 100 * MIB);
	struct fs_file *f = rig_open(r, ino, FS_READ | FS_WRITE);
	uint8_t *buf = malloc(MIB);
	uint64_t off = 0, before, after;
	int e = 0;

	before = rig_free_bytes(r);
	memset(buf, 'x', MIB);
	for (; off < 100 * MIB && e == 0; off += MIB)
		e = fs_file_write(f, off, buf, MIB);
	ATF_REQUIRE_EQ(e, -ENOSPC);
	off -= MIB;
	ATF_CHECK(off > 30 * MIB);
	for (uint64_t i = 0; i < off; i += MIB)
		rig_expect(f, i, MIB, 'x');
	/* What is there can be written again. */
	rig_fill(f, 0, MIB, 'y');
	rig_close(f);
	rig_unlink(r, "d");
	rig_remount(r);
	after = rig_free_bytes(r);
	ATF_CHECK_MSG(after + 256 * KIB >= before, "%llu before, %llu after",
	    (unsigned long long)before, (unsigned long long)after);
	free(buf);
}

ATF_TC_WITHOUT_HEAD(no_space_leaves_old_content);
ATF_TC_BODY(no_space_leaves_old_content, tc)
{
	rig_run(64 * MIB, full);
}

/* ---- random operations against bytes in memory ---- */

#define MODEL_SIZE (6 * MIB)

struct model {
	struct rig *r;
	struct prng p;
	uint8_t *bytes;
	uint64_t ino;
	struct fs_file *f;
	uint64_t size;
};

static void
model_check(struct model *m, uint64_t off, uint64_t len)
{
	uint8_t *buf = malloc(len + 1);
	size_t n;

	ATF_REQUIRE_EQ(fs_file_read(m->f, off, buf, len, &n), 0);
	ATF_REQUIRE_EQ(n, off >= m->size ? 0 : m->size - off < len ?
	    m->size - off : len);
	for (size_t i = 0; i < n; i++)
		ATF_REQUIRE_MSG(buf[i] == m->bytes[off + i],
		    "byte %llu is %u, not %u", (unsigned long long)off + i,
		    buf[i], m->bytes[off + i]);
	free(buf);
}

static void
model_write(struct model *m, uint64_t off, uint64_t len)
{
	prng_fill(&m->p, m->bytes + off, len);
	ATF_REQUIRE_EQ(fs_file_write(m->f, off, m->bytes + off, len), 0);
	if (off + len > m->size)
		m->size = off + len;
}

static void
model_step(struct model *m)
{
	uint64_t off = prng_below(&m->p, MODEL_SIZE);
	uint64_t max = prng_below(&m->p, 4) == 0 ? 2 * MIB : 20000;
	uint64_t len = 1 + prng_below(&m->p, max);

	if (len > MODEL_SIZE - off)
		len = MODEL_SIZE - off;
	switch (prng_below(&m->p, 12)) {
	case 0:
		ATF_REQUIRE_EQ(fs_file_punch(m->f, off, len), 0);
		memset(m->bytes + off, 0, len);
		break;
	case 1:
		ATF_REQUIRE_EQ(fs_file_truncate(m->f, off), 0);
		if (off < m->size)
			memset(m->bytes + off, 0, MODEL_SIZE - off);
		m->size = off;
		break;
	case 2:
		ATF_REQUIRE_EQ(fs_file_allocate(m->f, off, len), 0);
		break;
	case 3:
		rig_close(m->f);
		if (prng_below(&m->p, 4) == 0)
			rig_remount(m->r);
		m->f = rig_open(m->r, m->ino, FS_READ | FS_WRITE);
		break;
	case 4:
	case 5:
	case 6:
		off &= ~(uint64_t)4095;
		model_write(m, off, (len + 4095) & ~(uint64_t)4095);
		break;
	case 7:
	case 8:
		model_write(m, off, len);
		break;
	default:
		model_check(m, off, len);
	}
}

static void
random_ops(struct rig *r)
{
	struct model m = { .r = r, .bytes = malloc(MODEL_SIZE + 4096) };
	uint64_t before = 0;

	for (uint64_t seed = 1; seed <= 6; seed++) {
		prng_seed(&m.p, seed);
		memset(m.bytes, 0, MODEL_SIZE + 4096);
		m.size = 0;
		m.ino = rig_create(r, "f", INODE_FILE, 0);
		m.f = rig_open(r, m.ino, FS_READ | FS_WRITE);
		for (unsigned i = 0; i < 250; i++)
			model_step(&m);
		model_check(&m, 0, MODEL_SIZE);
		rig_close(m.f);
		rig_unlink(r, "f");
		rig_remount(r);
		/* No chunk is lost from run to run. */
		if (before != 0)
			ATF_CHECK_EQ(rig_free_bytes(r), before);
		before = rig_free_bytes(r);
	}
	free(m.bytes);
}

ATF_TC_WITHOUT_HEAD(random_operations_match_a_model);
ATF_TC_BODY(random_operations_match_a_model, tc)
{
	rig_run(64 * MIB, random_ops);
}

static const unsigned kinds[] = { FS_BY_MOUNT, FS_BY_EXPORT, FS_BY_LUN };

static void
opened_by(struct rig *r, uint64_t ino, unsigned had, unsigned kind)
{
	struct lock_holder h = { .mode = LOCK_FREE };
	struct fs_file *f;
	int rc = fs_file_open(r->fs, ino, 0, FS_WRITE | kind, &f, &h);

	if (rc == 0)
		rig_close(f);
	ATF_CHECK_EQ_MSG(kind == had || kind == 0 ? 0 : -VMFS_ELOCKED, rc,
	    "%u beside %u: %d", kind, had, rc);
	if (rc < 0)
		ATF_CHECK(h.state == HOLDER_SELF && h.by == had);
}

static void
by_kinds(struct rig *r)
{
	uint64_t ino = rig_create(r, "d", INODE_DISK, MIB);

	for (size_t i = 0; i < 3; i++) {
		struct fs_file *f = rig_open(r, ino, FS_WRITE | kinds[i]);

		for (size_t j = 0; j < 3; j++)
			opened_by(r, ino, kinds[i], kinds[j]);
		opened_by(r, ino, kinds[i], 0);
		rig_close(rig_open(r, ino, FS_READ));
		rig_close(f);
	}
}

ATF_TC_WITHOUT_HEAD(writers_of_one_kind_keep_out_the_others);
ATF_TC_BODY(writers_of_one_kind_keep_out_the_others, tc)
{
	rig_run(64 * MIB, by_kinds);
}

ATF_TP_ADD_TCS(tp)
{
	ATF_TP_ADD_TC(tp, writers_of_one_kind_keep_out_the_others);
	ATF_TP_ADD_TC(tp, small_file_grows_out_of_its_inode);
	ATF_TP_ADD_TC(tp, sparse_disk_reads_zeroes);
	ATF_TP_ADD_TC(tp, sequential_write_takes_no_more_than_it_needs);
	ATF_TP_ADD_TC(tp, punched_and_truncated_ranges_read_zeroes);
	ATF_TP_ADD_TC(tp, allocated_space_reads_zeroes);
	ATF_TP_ADD_TC(tp, a_map_node_goes_with_a_change_of_its_inode);
	ATF_TP_ADD_TC(tp, no_space_leaves_old_content);
	ATF_TP_ADD_TC(tp, random_operations_match_a_model);
	return atf_no_error();
}
