/* SPDX-License-Identifier: BSD-2-Clause */
/* Encrypted disks: what lies on the LUN, and who reads it. */
#include <atf-c.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libvmfs/base/prng.h"
#include "tests/unit/core_fs_rig.h"
#include "tests/unit/crash_disk.h"

#define SIZE (5 * MIB + 512)
#define TEXT "0123456789abcdefvmfsd clear text"	/* 32 bytes */

static void
remount_keys(struct rig *r, unsigned which)
{
	rig_remount(r);
	rig_keys(r->fs, which);
}

static uint64_t
secret_disk(struct rig *r, const char *name)
{
	uint64_t ino = rig_create(r, name, INODE_DISK, SIZE);

	rig_keys(r->fs, 1);
	ATF_REQUIRE_EQ(fs_encrypt(r->fs, ino, &rig_key[0], NULL), 0);
	return ino;
}

static void
text_write(struct fs_file *f, uint64_t off, size_t len)
{
	static uint8_t buf[64 * KIB];

	for (size_t i = 0; i < len; i++)
		buf[i] = (uint8_t)TEXT[i % 32];
	ATF_REQUIRE_EQ(fs_file_write(f, off, buf, len), 0);
}

static void
text_expect(struct fs_file *f, uint64_t off, size_t len)
{
	static uint8_t buf[64 * KIB];
	size_t n;

	ATF_REQUIRE_EQ(fs_file_read(f, off, buf, len, &n), 0);
	ATF_REQUIRE_EQ(n, len);
	for (size_t i = 0; i < len; i++)
		ATF_REQUIRE_EQ(buf[i], (uint8_t)TEXT[i % 32]);
}

/* How often the text begins a sector of the LUN. */
static unsigned
text_on_lun(struct rig *r)
{
	static uint8_t buf[MIB];
	unsigned found = 0;

	for (uint64_t at = 0; at < r->f.disk->info.size_bytes; at += MIB) {
		ATF_REQUIRE_EQ(disk_read(r->f.disk, at, buf, sizeof(buf)), 0);
		for (size_t i = 0; i < sizeof(buf); i += 512)
			found += memcmp(buf + i, TEXT, 32) == 0;
	}
	return found;
}

static void
hidden(struct rig *r)
{
	uint64_t ino = secret_disk(r, "d"), clear;
	struct fs_file *f = rig_open(r, ino, FS_READ | FS_WRITE);

	text_write(f, MIB, 64 * KIB);
	text_write(f, 3 * MIB + 512, 512);
	text_expect(f, MIB, 64 * KIB);
	text_expect(f, 3 * MIB + 512, 512);
	rig_expect(f, 0, MIB, 0);
	rig_expect(f, 3 * MIB, 512, 0);
	rig_expect(f, 3 * MIB + 1024, 3072, 0);
	rig_close(f);
	remount_keys(r, 1);
	ATF_CHECK_EQ(text_on_lun(r), 0);
	f = rig_open(r, ino, FS_READ);
	text_expect(f, MIB, 64 * KIB);
	text_expect(f, 3 * MIB + 512, 512);
	rig_close(f);
	/* The search finds what is there. */
	clear = rig_create(r, "clear", INODE_DISK, SIZE);
	f = rig_open(r, clear, FS_READ | FS_WRITE);
	text_write(f, MIB, 64 * KIB);
	rig_close(f);
	ATF_CHECK_EQ(text_on_lun(r), 128);
}

ATF_TC_WITHOUT_HEAD(nothing_of_it_lies_clear_on_the_lun);
ATF_TC_BODY(nothing_of_it_lies_clear_on_the_lun, tc)
{
	rig_run(64 * MIB, hidden);
}

static void
no_key(struct rig *r)
{
	uint64_t ino = secret_disk(r, "d");
	struct fs_file *f = rig_open(r, ino, FS_READ | FS_WRITE);
	struct fs_attr a;

	text_write(f, 0, 4096);
	rig_close(f);
	remount_keys(r, 2);
	ATF_CHECK_EQ(-ENOKEY, fs_file_open(r->fs, ino, 0, FS_READ, &f, NULL));
	ATF_CHECK_EQ(-ENOKEY, fs_file_open(r->fs, ino, 0,
	    FS_READ | FS_WRITE, &f, NULL));
	ATF_REQUIRE_EQ(fs_getattr(r->fs, ino, &a), 0);
	ATF_CHECK(a.encrypted);
	ATF_CHECK(memcmp(a.key_id, rig_key[0].id, sizeof(a.key_id)) == 0);
	rig_keys(r->fs, 3);
	f = rig_open(r, ino, FS_READ | FS_WRITE);
	text_expect(f, 0, 4096);
	rig_close(f);
}

ATF_TC_WITHOUT_HEAD(without_its_key_it_does_not_open);
ATF_TC_BODY(without_its_key_it_does_not_open, tc)
{
	rig_run(64 * MIB, no_key);
}

static void
rekeyed(struct rig *r)
{
	uint64_t ino = secret_disk(r, "d");
	struct fs_file *f = rig_open(r, ino, FS_READ | FS_WRITE);
	struct fs_snapshot s;
	struct fs_attr clone;

	text_write(f, 0, 4096);
	ATF_REQUIRE_EQ(fs_snapshot_create(r->fs, ino, "s", &s, NULL), 0);
	ATF_REQUIRE_EQ(fs_clone(r->fs, s.ino, r->root, "c", 0600, 0, 0, &clone,
	    NULL), 0);
	rig_keys(r->fs, 3);
	ATF_REQUIRE_EQ(fs_rekey(r->fs, ino, &rig_key[1], NULL), 0);
	text_write(f, 64 * KIB, 4096);	/* it was open meanwhile */
	rig_close(f);
	remount_keys(r, 2);
	f = rig_open(r, ino, FS_READ);
	text_expect(f, 0, 4096);
	text_expect(f, 64 * KIB, 4096);
	rig_close(f);
	/* The snapshot goes by its disk's key, the clone has its own. */
	f = rig_open(r, s.ino, FS_READ);
	text_expect(f, 0, 4096);
	rig_expect(f, 64 * KIB, 4096, 0);
	rig_close(f);
	ATF_CHECK_EQ(-ENOKEY, fs_file_open(r->fs, clone.ino, 0, FS_READ, &f,
	    NULL));
	rig_keys(r->fs, 1);
	f = rig_open(r, clone.ino, FS_READ);
	text_expect(f, 0, 4096);
	rig_close(f);
}

ATF_TC_WITHOUT_HEAD(another_key_file_takes_the_place_of_the_first);
ATF_TC_BODY(another_key_file_takes_the_place_of_the_first, tc)
{
	rig_run(64 * MIB, rekeyed);
}

static void
clones(struct rig *r)
{
	uint64_t ino = secret_disk(r, "d");
	struct fs_file *f = rig_open(r, ino, FS_READ | FS_WRITE);
	struct fs_snapshot s;
	struct fs_attr clone;

	text_write(f, 0, 64 * KIB);
	rig_close(f);
	ATF_REQUIRE_EQ(fs_snapshot_create(r->fs, ino, "s", &s, NULL), 0);
	ATF_REQUIRE_EQ(fs_clone(r->fs, s.ino, r->root, "c", 0600, 0, 0, &clone,
	    NULL), 0);
	f = rig_open(r, clone.ino, FS_READ | FS_WRITE);
	rig_fill(f, 4096 + 512, 512, 0x55);
	text_expect(f, 0, 4096 + 512);
	ATF_REQUIRE_EQ(fs_file_promote(f, NULL), 0);
	rig_close(f);
	remount_keys(r, 1);
	f = rig_open(r, clone.ino, FS_READ);
	text_expect(f, 0, 4096 + 512);
	rig_expect(f, 4096 + 512, 512, 0x55);
	text_expect(f, 8192, 32 * KIB);
	rig_close(f);
	f = rig_open(r, ino, FS_READ);
	text_expect(f, 0, 64 * KIB);
	rig_close(f);
	ATF_CHECK_EQ(text_on_lun(r), 0);
}

ATF_TC_WITHOUT_HEAD(clones_and_their_copies_stay_encrypted);
ATF_TC_BODY(clones_and_their_copies_stay_encrypted, tc)
{
	rig_run(64 * MIB, clones);
}

static void
refusals(struct rig *r)
{
	uint64_t ino = secret_disk(r, "d");
	uint64_t full = rig_create(r, "full", INODE_DISK, SIZE);
	uint64_t file = rig_create(r, "file", INODE_FILE, 0);
	uint64_t clear = rig_create(r, "clear", INODE_DISK, SIZE), n;
	struct fs_file *f = rig_open(r, full, FS_READ | FS_WRITE), *to;

	rig_fill(f, 0, 4096, 1);
	ATF_CHECK_EQ(-EBUSY, fs_encrypt(r->fs, full, &rig_key[0], NULL));
	rig_close(f);
	ATF_CHECK_EQ(-ENOTEMPTY, fs_encrypt(r->fs, full, &rig_key[0], NULL));
	ATF_CHECK_EQ(-EINVAL, fs_encrypt(r->fs, file, &rig_key[0], NULL));
	ATF_CHECK_EQ(-EEXIST, fs_encrypt(r->fs, ino, &rig_key[0], NULL));
	ATF_CHECK_EQ(-EINVAL, fs_rekey(r->fs, clear, &rig_key[0], NULL));
	f = rig_open(r, ino, FS_READ | FS_WRITE);
	ATF_REQUIRE_EQ(fs_file_inflate(f, NULL), 0);
	to = rig_open(r, clear, FS_READ | FS_WRITE);
	ATF_CHECK_EQ(-EOPNOTSUPP, fs_file_share(f, to, 0, MIB, &n));
	rig_close(to);
	rig_close(f);
	ATF_CHECK_EQ(-EPERM, fs_set_multi_writer(r->fs, ino, true, NULL));
}

ATF_TC_WITHOUT_HEAD(what_would_mix_clear_and_encrypted_is_refused);
ATF_TC_BODY(what_would_mix_clear_and_encrypted_is_refused, tc)
{
	rig_run(64 * MIB, refusals);
}

/* A copy that has begun with a hole is a clone without content. */
static void
key_beside_copy(struct rig *r)
{
	uint64_t from = rig_create(r, "from", INODE_DISK, SIZE), n = 0;
	uint64_t ino = rig_create(r, "to", INODE_DISK, SIZE);
	struct fs_file *f = rig_open(r, from, FS_READ | FS_WRITE);
	struct fs_file *to = rig_open(r, ino, FS_READ | FS_WRITE);

	rig_keys(r->fs, 1);
	rig_fill(f, 2 * MIB, MIB, 7);
	ATF_REQUIRE_EQ(fs_file_share(f, to, 0, MIB, &n), 0);
	rig_close(to);
	ATF_CHECK_EQ(-ENOTEMPTY, fs_encrypt(r->fs, ino, &rig_key[0], NULL));
	to = rig_open(r, ino, FS_READ | FS_WRITE);
	ATF_REQUIRE_EQ(fs_file_share(f, to, 2 * MIB, MIB, &n), 0);
	ATF_REQUIRE_EQ(MIB, n);
	rig_expect(to, 2 * MIB, MIB, 7);
	rig_close(to);
	rig_close(f);
}

ATF_TC_WITHOUT_HEAD(a_copy_that_has_begun_gets_no_key);
ATF_TC_BODY(a_copy_that_has_begun_gets_no_key, tc)
{
	rig_run(64 * MIB, key_beside_copy);
}

/* ---- power cuts ---- */

/* Whatever is there of the change, one of both opens it. */
static unsigned
cut_rekey(struct crash_disk *c, size_t n, enum crash_kind kind, uint64_t ino)
{
	struct rig *r = calloc(1, sizeof(*r));
	struct recover_report rep;
	struct fs_file *f;
	struct fs_attr a;
	struct disk *d;
	unsigned which;

	ATF_REQUIRE_EQ(crash_disk_image(c, n, kind, n, &d), 0);
	fixture_init(&r->f, d, false);
	ATF_REQUIRE_EQ(fixture_recover(&r->f, d, &rep), 0);
	rig_mount(r);
	rig_keys(r->fs, 3);
	ATF_REQUIRE_EQ(fs_getattr(r->fs, ino, &a), 0);
	which = memcmp(a.key_id, rig_key[1].id, sizeof(a.key_id)) == 0;
	rig_keys(r->fs, 1u << which);
	f = rig_open(r, ino, FS_READ);
	text_expect(f, 0, 4096);
	rig_close(f);
	rig_umount(r);
	disk_close(d);
	free(r);
	return which;
}

static int
rekey_main(void *arg)
{
	struct rig *r = calloc(1, sizeof(*r));
	struct crash_disk *c;
	struct fs_file *f;
	unsigned old = 0, which = 0;
	uint64_t ino;
	size_t first, total;

	(void)arg;
	ATF_REQUIRE_EQ(crash_disk_open(64 * MIB, 512, &c), 0);
	fixture_init(&r->f, crash_disk_disk(c), true);
	rig_mount(r);
	ino = secret_disk(r, "d");
	f = rig_open(r, ino, FS_READ | FS_WRITE);
	text_write(f, 0, 4096);
	rig_close(f);
	ATF_REQUIRE_EQ(ds_commit(r->f.ds), 0);
	rig_keys(r->fs, 3);
	first = crash_disk_writes(c);
	ATF_REQUIRE_EQ(fs_rekey(r->fs, ino, &rig_key[1], NULL), 0);
	ATF_REQUIRE_EQ(ds_commit(r->f.ds), 0);
	ATF_REQUIRE_EQ(ds_checkpoint(r->f.ds, 0), 0);
	total = crash_disk_writes(c);
	rig_umount(r);
	ATF_REQUIRE(total > first + 1);
	for (size_t n = first; n <= total; n++)
		for (unsigned k = CRASH_CLEAN; k <= CRASH_LOST; k++) {
			which = cut_rekey(c, n, (enum crash_kind)k, ino);
			old += which == 0;
		}
	ATF_CHECK(old > 0);
	ATF_CHECK_EQ(which, 1);
	crash_disk_close(c);
	free(r);
	return 0;
}

ATF_TC_WITHOUT_HEAD(a_cut_in_a_rekey_leaves_one_key_or_the_other);
ATF_TC_BODY(a_cut_in_a_rekey_leaves_one_key_or_the_other, tc)
{
	fixture_run(rekey_main, NULL);
}

/* ---- the copy of the key ---- */

static void
key_copies(struct rig *r)
{
	uint64_t ino = secret_disk(r, "d"), lost, file;
	struct inode_crypt c, bad, none;
	struct fs_file *f;
	struct fs_attr a;

	/* An inode that was made anew is one of a clear disk. */
	lost = rig_create(r, "lost", INODE_DISK, SIZE);
	file = rig_create(r, "file", INODE_FILE, 0);
	ATF_REQUIRE_EQ(fs_key_copy(r->fs, ino, &c), 0);
	ATF_REQUIRE_EQ(fs_key_copy(r->fs, lost, &none), 0);
	ATF_CHECK_EQ(CIPHER_NONE, none.cipher);
	bad = c;
	bad.wrapped[3] ^= 1;
	ATF_CHECK_EQ(-EINVAL, fs_key_restore(r->fs, lost, &none, NULL));
	ATF_CHECK_EQ(-EINVAL, fs_key_restore(r->fs, file, &c, NULL));
	ATF_CHECK_EQ(-EEXIST, fs_key_restore(r->fs, ino, &c, NULL));
	ATF_CHECK_EQ(-EKEYREJECTED, fs_key_restore(r->fs, lost, &bad, NULL));
	rig_keys(r->fs, 2);
	ATF_CHECK_EQ(-ENOKEY, fs_key_restore(r->fs, lost, &c, NULL));
	rig_keys(r->fs, 1);
	f = rig_open(r, lost, FS_READ);
	ATF_CHECK_EQ(-EBUSY, fs_key_restore(r->fs, lost, &c, NULL));
	rig_close(f);
	ATF_REQUIRE_EQ(fs_getattr(r->fs, lost, &a), 0);
	ATF_CHECK(!a.encrypted);
	ATF_REQUIRE_EQ(fs_key_restore(r->fs, lost, &c, NULL), 0);
	remount_keys(r, 1);
	f = rig_open(r, lost, FS_READ | FS_WRITE);
	text_write(f, 0, 4096);
	text_expect(f, 0, 4096);
	rig_close(f);
	ATF_CHECK_EQ(text_on_lun(r), 0);
}

ATF_TC_WITHOUT_HEAD(a_key_that_was_lost_comes_back_from_its_copy);
ATF_TC_BODY(a_key_that_was_lost_comes_back_from_its_copy, tc)
{
	rig_run(64 * MIB, key_copies);
}

/* Random writes of any alignment, punches and snapshots beside a copy. */
#define RANDOM_SIZE (2 * MIB)
static uint8_t model[RANDOM_SIZE];

static void
random_step(struct rig *r, struct fs_file *f, uint64_t ino, struct prng *g,
    unsigned i)
{
	static uint8_t buf[256 * KIB];
	uint64_t off = prng_below(g, RANDOM_SIZE);
	uint64_t len = 1 + prng_below(g, i % 3 == 0 ? sizeof(buf) : 8192);
	struct fs_snapshot s;
	char name[16];
	size_t n;

	if (len > RANDOM_SIZE - off)
		len = RANDOM_SIZE - off;
	if (i % 50 == 49) {
		snprintf(name, sizeof(name), "s%u", i);
		ATF_REQUIRE_EQ(fs_snapshot_create(r->fs, ino, name, &s, NULL),
		    0);
	}
	if (i % 7 == 6) {
		ATF_REQUIRE_EQ(fs_file_punch(f, off, len), 0);
		memset(model + off, 0, len);
	} else {
		memset(buf, (int)(1 + i % 255), len);
		memcpy(model + off, buf, len);
		ATF_REQUIRE_EQ(fs_file_write(f, off, buf, len), 0);
	}
	off = prng_below(g, RANDOM_SIZE - 8192);
	ATF_REQUIRE_EQ(fs_file_read(f, off, buf, 8192, &n), 0);
	ATF_REQUIRE_MSG(memcmp(buf, model + off, 8192) == 0, "step %u", i);
}

static void
random_work(struct rig *r)
{
	uint64_t ino = secret_disk(r, "d");
	struct fs_file *f = rig_open(r, ino, FS_READ | FS_WRITE);
	static uint8_t all[RANDOM_SIZE];
	struct prng g;
	size_t n;

	prng_seed(&g, 20261121);
	for (unsigned i = 0; i < 400; i++)
		random_step(r, f, ino, &g, i);
	rig_close(f);
	remount_keys(r, 1);
	f = rig_open(r, ino, FS_READ);
	ATF_REQUIRE_EQ(fs_file_read(f, 0, all, sizeof(all), &n), 0);
	ATF_CHECK(memcmp(all, model, sizeof(all)) == 0);
	rig_close(f);
}

ATF_TC_WITHOUT_HEAD(writes_of_any_alignment_read_back);
ATF_TC_BODY(writes_of_any_alignment_read_back, tc)
{
	rig_run(128 * MIB, random_work);
}

ATF_TP_ADD_TCS(tp)
{
	ATF_TP_ADD_TC(tp, nothing_of_it_lies_clear_on_the_lun);
	ATF_TP_ADD_TC(tp, without_its_key_it_does_not_open);
	ATF_TP_ADD_TC(tp, another_key_file_takes_the_place_of_the_first);
	ATF_TP_ADD_TC(tp, clones_and_their_copies_stay_encrypted);
	ATF_TP_ADD_TC(tp, what_would_mix_clear_and_encrypted_is_refused);
	ATF_TP_ADD_TC(tp, a_copy_that_has_begun_gets_no_key);
	ATF_TP_ADD_TC(tp, a_cut_in_a_rekey_leaves_one_key_or_the_other);
	ATF_TP_ADD_TC(tp, a_key_that_was_lost_comes_back_from_its_copy);
	ATF_TP_ADD_TC(tp, writes_of_any_alignment_read_back);
	return atf_no_error();
}
