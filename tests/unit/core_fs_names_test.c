/* SPDX-License-Identifier: BSD-2-Clause */
/* Names: directories large and small, rename, unlink of open files. */
#include <atf-c.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libvmfs/base/crc32c.h"
#include "libvmfs/check/check.h"
#include "libvmfs/core/fs_impl.h"
#include "tests/unit/core_fs_rig.h"

#define MANY 10000u

static uint64_t
mkdir_in(struct rig *r, uint64_t dir, const char *name)
{
	struct fs_attr a;

	ATF_REQUIRE_EQ(fs_create(r->fs, dir, name, INODE_DIR, 0755, 0, 0, 0,
	    &a), 0);
	return a.ino;
}

static uint64_t
file_in(struct rig *r, uint64_t dir, const char *name)
{
	struct fs_attr a;

	ATF_REQUIRE_EQ(fs_create(r->fs, dir, name, INODE_FILE, 0644, 1, 2, 0,
	    &a), 0);
	return a.ino;
}

static uint64_t
look(struct rig *r, uint64_t dir, const char *name)
{
	struct fs_attr a;
	int e = fs_lookup(r->fs, dir, name, &a);

	if (e == -ENOENT)
		return 0;
	ATF_REQUIRE_EQ(e, 0);
	return a.ino;
}

struct walk {
	uint8_t *seen;
	unsigned count, stop_after;
	uint64_t next;
};

static bool
walk_fn(void *arg, const struct fs_dirent *e)
{
	struct walk *w = arg;
	unsigned i;

	if (w->stop_after == 0)
		return false;
	w->stop_after--;
	ATF_REQUIRE_EQ(sscanf(e->name, "name-%u", &i), 1);
	ATF_REQUIRE_EQ(w->seen[i], 0);
	w->seen[i] = 1;
	w->count++;
	w->next = e->next;
	return true;
}

static void
many_names(struct rig *r)
{
	struct walk w = { .seen = calloc(MANY, 1) };
	uint64_t *ino = calloc(MANY, sizeof(*ino)), dir;
	char name[32];
	unsigned before;

	dir = mkdir_in(r, r->root, "dir");
	for (unsigned i = 0; i < MANY; i++) {
		snprintf(name, sizeof(name), "name-%u", i);
		ino[i] = file_in(r, dir, name);
	}
	rig_remount(r);
	for (unsigned i = 0; i < MANY; i += 7) {
		snprintf(name, sizeof(name), "name-%u", i);
		ATF_REQUIRE_EQ(look(r, dir, name), ino[i]);
	}
	ATF_REQUIRE_EQ(look(r, dir, "name-x"), 0);
	/* Piece by piece, as readdir is called. */
	do {
		before = w.count;
		w.stop_after = 100;
		ATF_REQUIRE_EQ(fs_readdir(r->fs, dir, w.next, walk_fn, &w), 0);
	} while (w.count > before);
	ATF_REQUIRE_EQ(w.count, MANY);
	for (unsigned i = 0; i < MANY; i++) {
		snprintf(name, sizeof(name), "name-%u", i);
		ATF_REQUIRE_EQ(fs_unlink(r->fs, dir, name, NULL), 0);
	}
	ATF_REQUIRE_EQ(fs_rmdir(r->fs, r->root, "dir"), 0);
	free(ino);
	free(w.seen);
}

ATF_TC_WITHOUT_HEAD(ten_thousand_names);
ATF_TC_BODY(ten_thousand_names, tc)
{
	rig_run(256 * MIB, many_names);
}

static void
removal_while_reading(struct rig *r)
{
	struct walk w = { .seen = calloc(1000, 1) };
	unsigned before;
	char name[32];

	for (unsigned i = 0; i < 1000; i++) {
		snprintf(name, sizeof(name), "name-%u", i);
		file_in(r, r->root, name);
	}
	do {
		before = w.count;
		w.stop_after = 10;
		ATF_REQUIRE_EQ(fs_readdir(r->fs, r->root, w.next, walk_fn, &w),
		    0);
		for (unsigned i = 0; i < 1000; i++)
			if (w.seen[i] == 1) {
				snprintf(name, sizeof(name), "name-%u", i);
				rig_unlink(r, name);
				w.seen[i] = 2;
			}
	} while (w.count > before);
	ATF_REQUIRE_EQ(w.count, 1000);
	free(w.seen);
}

ATF_TC_WITHOUT_HEAD(cookies_survive_removal);
ATF_TC_BODY(cookies_survive_removal, tc)
{
	rig_run(128 * MIB, removal_while_reading);
}

#define TWINS 20u
#define TWIN_LEN 60u

static uint16_t
fnv16(const char *name)
{
	uint32_t h = 2166136261u;

	for (; *name != '\0'; name++)
		h = (h ^ (uint8_t)*name) * 16777619u;
	return (uint16_t)(h ^ h >> 16);
}

struct twins {
	char name[TWINS][TWIN_LEN + 1];
	bool seen[TWINS];
	unsigned count, told, max;
	uint64_t next;
};

/* CRC is linear: what keeps that of one name keeps that of each. */
static unsigned
same_crc(uint64_t *ret_flips)
{
	uint32_t by[32] = { 0 };
	uint64_t of[32] = { 0 };
	char name[TWIN_LEN];
	unsigned n = 0;

	memset(name, 'a', sizeof(name));
	uint32_t base = crc32c(0, name, sizeof(name));
	for (unsigned i = 0; i < TWIN_LEN; i++) {
		uint64_t flips = 1ull << i;
		uint32_t diff;

		name[i] ^= 2;
		diff = crc32c(0, name, sizeof(name)) ^ base;
		name[i] ^= 2;
		for (unsigned b = 32; b-- > 0 && diff != 0;) {
			if ((diff >> b & 1) == 0)
				continue;
			if (by[b] == 0) {
				by[b] = diff;
				of[b] = flips;
				flips = 0;
				break;
			}
			diff ^= by[b];
			flips ^= of[b];
		}
		if (flips != 0)
			ret_flips[n++] = flips;
	}
	return n;
}

static void
twins_find(struct twins *t)
{
	uint64_t flips[TWIN_LEN], now = 0;
	uint16_t meant = 0;
	unsigned n = same_crc(flips);

	ATF_REQUIRE(n > 24);
	for (uint64_t g = 1; t->count < TWINS; g++) {
		char *name = t->name[t->count];

		now ^= flips[__builtin_ctzll(g)];
		for (unsigned i = 0; i < TWIN_LEN; i++)
			name[i] = now >> i & 1 ? 'c' : 'a';
		if (g == 1)
			meant = fnv16(name);
		t->count += fnv16(name) == meant;
	}
}

static bool
twin_told(void *arg, const struct fs_dirent *e)
{
	struct twins *t = arg;

	if (t->told == t->max)
		return false;
	for (unsigned i = 0; i < TWINS; i++)
		if (strcmp(t->name[i], e->name) == 0) {
			ATF_CHECK_MSG(!t->seen[i], "told twice");
			t->seen[i] = true;
		}
	t->told++;
	t->next = e->next;
	return true;
}

/* Three at a time; with `removed` they go as soon as they are told. */
static void
read_twins(struct rig *r, bool removed)
{
	struct twins t = { .max = 3 };

	twins_find(&t);
	for (unsigned i = 0; i < TWINS; i++)
		file_in(r, r->root, t.name[i]);
	for (unsigned total = 0; total < TWINS; total += t.told) {
		t.told = 0;
		ATF_REQUIRE_EQ(0, fs_readdir(r->fs, r->root, t.next, twin_told,
		    &t));
		ATF_REQUIRE_MSG(t.told > 0, "%u left out", TWINS - total);
		for (unsigned i = 0; removed && i < TWINS; i++)
			if (t.seen[i] && look(r, r->root, t.name[i]) != 0)
				rig_unlink(r, t.name[i]);
	}
	t.told = 0;
	ATF_REQUIRE_EQ(0, fs_readdir(r->fs, r->root, t.next, twin_told, &t));
	ATF_CHECK_EQ(0, t.told);
}

static void
twins_stay(struct rig *r)
{
	read_twins(r, false);
}

ATF_TC_WITHOUT_HEAD(names_with_one_hash_are_told_once_each);
ATF_TC_BODY(names_with_one_hash_are_told_once_each, tc)
{
	rig_run(128 * MIB, twins_stay);
}

static void
twins_go(struct rig *r)
{
	read_twins(r, true);
}

ATF_TC_WITHOUT_HEAD(names_with_one_hash_may_be_removed_meanwhile);
ATF_TC_BODY(names_with_one_hash_may_be_removed_meanwhile, tc)
{
	rig_run(128 * MIB, twins_go);
}

/* ---- chains of leaves ---- */

#define CHAINED 30000u		/* 14 of them in a leaf */
#define CHAINED_FEW 100u
#define LONG_LEN 250u

struct chained {
	uint64_t flips[TWIN_LEN], now, g;
	char name[LONG_LEN + 1];
};

static void
chained_init(struct chained *c)
{
	*c = (struct chained){ .g = 0 };
	ATF_REQUIRE(same_crc(c->flips) > 15);
	memset(c->name, 'x', LONG_LEN);
}

/* Another name of that hash. */
static const char *
chained_next(struct chained *c)
{
	char *end = c->name + LONG_LEN - TWIN_LEN;

	c->now ^= c->flips[__builtin_ctzll(++c->g)];
	for (unsigned i = 0; i < TWIN_LEN; i++)
		end[i] = c->now >> i & 1 ? 'c' : 'a';
	return c->name;
}

static void
name_add(struct inode *dip, struct inode *ip, const char *name)
{
	const struct dirent e = {
		.ino = ip->ino, .generation = ip->info.generation,
		.type = ip->info.type, .name = name, .name_len = strlen(name),
	};
	struct ds *ds = ip->fs->ds;
	struct txn *t;

	ATF_REQUIRE_EQ(0, alloc_reserve(ds, 0, 12));
	ATF_REQUIRE_EQ(0, txn_begin(ds, 24, &t));
	ip->info.nlink++;
	ATF_REQUIRE_EQ(0, dir_insert(t, dip, &e));
	ATF_REQUIRE_EQ(0, inode_store(t, ip));
	ATF_REQUIRE_EQ(0, inode_store(t, dip));
	txn_end(t);
}

/* As fs_link does, without the look at all leaves for each name. */
static void
long_chain(struct rig *r)
{
	uint64_t ino = file_in(r, r->root, "f");
	struct inode *dip, *ip;
	struct lock_holder h;
	struct chained c;

	chained_init(&c);
	ATF_REQUIRE_EQ(0, inode_take(r->fs, r->root, LOCK_EXCLUSIVE, true,
	    &dip, &h));
	ATF_REQUIRE_EQ(0, inode_take(r->fs, ino, LOCK_EXCLUSIVE, true, &ip,
	    &h));
	for (unsigned i = 0; i < CHAINED; i++)
		name_add(dip, ip, chained_next(&c));
	ATF_REQUIRE_EQ(0, inode_give(ip, LOCK_EXCLUSIVE, 0));
	ATF_REQUIRE_EQ(0, inode_give(dip, LOCK_EXCLUSIVE, 0));
}

ATF_TC_WITHOUT_HEAD(fsck_goes_through_any_number_of_names_with_one_hash);
ATF_TC_BODY(fsck_goes_through_any_number_of_names_with_one_hash, tc)
{
	rig_run(128 * MIB, long_chain);
}

/* One with leaves before and behind it; how many names it has. */
static unsigned
leaf_break(struct rig *r)
{
	const struct super *s = &r->f.super;
	uint64_t behind_head = 0;
	struct dir_leaf_disk l;
	struct block_hdr h;
	struct dirent e;
	size_t pos = 0;
	unsigned n = 0;

	for (uint64_t at = 1; at < s->blocks && behind_head == 0; at++) {
		ATF_REQUIRE_EQ(0, disk_read(r->f.disk, at * BLOCK_SIZE, &l,
		    BLOCK_SIZE));
		if (block_hdr_decode(&l, BLOCK_DIR_LEAF, &s->uuid, at, &h) == 0)
			behind_head = le64_get(l.next);
	}
	ATF_REQUIRE(behind_head != 0);
	ATF_REQUIRE_EQ(0, disk_read(r->f.disk, behind_head * BLOCK_SIZE, &l,
	    BLOCK_SIZE));
	ATF_REQUIRE(le64_get(l.next) != 0);
	while (dirent_next(l.data, le16_get(l.used), &pos, &e) == 0)
		n++;
	l.data[0] ^= 1;
	ATF_REQUIRE_EQ(0, disk_write(r->f.disk, behind_head * BLOCK_SIZE, &l,
	    BLOCK_SIZE, 0));
	return n;
}

static void
finding_ignore(void *arg, const struct check_finding *f)
{
	(void)arg;
	(void)f;
}

/* What stood behind it gets its names back. */
static void
broken_chain(struct rig *r)
{
	const struct check_conf conf = {
		.env = &r->f.env, .disk = r->f.disk, .repair = true,
		.own_slot = -1, .finding = finding_ignore,
	};
	unsigned lost, left = 0;
	struct check_result res;
	struct chained c;

	chained_init(&c);
	for (unsigned i = 0; i < CHAINED_FEW; i++)
		(void)file_in(r, r->root, chained_next(&c));
	rig_umount(r);
	lost = leaf_break(r);
	ATF_REQUIRE_EQ(0, check_run(&conf, &res));
	ATF_CHECK(res.found > 0 && res.found == res.fixed);
	rig_check(r);
	rig_mount(r);
	chained_init(&c);
	for (unsigned i = 0; i < CHAINED_FEW; i++)
		left += look(r, r->root, chained_next(&c)) != 0;
	ATF_CHECK_EQ(CHAINED_FEW - lost, left);
}

ATF_TC_WITHOUT_HEAD(damaged_leaf_of_names_with_one_hash_costs_its_own);
ATF_TC_BODY(damaged_leaf_of_names_with_one_hash_costs_its_own, tc)
{
	rig_run(128 * MIB, broken_chain);
}

static void
create_errors(struct rig *r)
{
	char longer[300];
	struct fs_attr a;

	memset(longer, 'a', sizeof(longer));
	longer[299] = '\0';
	file_in(r, r->root, "f");
#define CREATE(dir, name)						\
	fs_create(r->fs, dir, name, INODE_FILE, 0644, 0, 0, 0, &a)
	ATF_CHECK_EQ(CREATE(r->root, "f"), -EEXIST);
	ATF_CHECK_EQ(CREATE(r->root, longer), -ENAMETOOLONG);
	ATF_CHECK_EQ(CREATE(r->root, "a/b"), -EINVAL);
	ATF_CHECK_EQ(CREATE(r->root, ".."), -EINVAL);
	ATF_CHECK_EQ(CREATE(look(r, r->root, "f"), "g"), -ENOTDIR);
	ATF_CHECK_EQ(fs_unlink(r->fs, r->root, "g", NULL), -ENOENT);
	ATF_CHECK_EQ(fs_rmdir(r->fs, r->root, "f"), -ENOTDIR);
	mkdir_in(r, r->root, "d");
	ATF_CHECK_EQ(fs_unlink(r->fs, r->root, "d", NULL), -EISDIR);
	file_in(r, look(r, r->root, "d"), "x");
	ATF_CHECK_EQ(fs_rmdir(r->fs, r->root, "d"), -ENOTEMPTY);
	ATF_CHECK_EQ(fs_getattr(r->fs, r->root, &a), 0);
	ATF_CHECK_EQ(a.nlink, 3);
}

ATF_TC_WITHOUT_HEAD(wrong_names_are_refused);
ATF_TC_BODY(wrong_names_are_refused, tc)
{
	rig_run(64 * MIB, create_errors);
}

static void
attributes(struct rig *r)
{
	struct fs_attr a, b;
	uint64_t ino = file_in(r, r->root, "f");
	char target[64];

	ATF_REQUIRE_EQ(fs_getattr(r->fs, ino, &a), 0);
	ATF_CHECK_EQ(a.mode, 0644);
	ATF_CHECK_EQ(a.uid, 1);
	ATF_CHECK_EQ(a.gid, 2);
	ATF_CHECK_EQ(a.nlink, 1);
	a.mode = 0600;
	a.uid = 7;
	a.size = 5 * MIB;
	a.mtime_ns = 12345;
	ATF_REQUIRE_EQ(fs_setattr(r->fs, ino, 0, FS_SET_MODE | FS_SET_UID |
	    FS_SET_SIZE | FS_SET_MTIME, &a, &b, NULL), 0);
	rig_remount(r);
	ATF_REQUIRE_EQ(fs_resolve(r->fs, "//f", &b), 0);
	ATF_CHECK_EQ(b.mode, 0600);
	ATF_CHECK_EQ(b.uid, 7);
	ATF_CHECK_EQ(b.size, 5 * MIB);
	ATF_CHECK_EQ(b.mtime_ns, 12345);
	ATF_REQUIRE_EQ(fs_symlink(r->fs, r->root, "l", "/some/where", 0, 0,
	    &a), 0);
	ATF_REQUIRE_EQ(fs_readlink(r->fs, a.ino, target, sizeof(target)), 0);
	ATF_CHECK_STREQ(target, "/some/where");
	ATF_CHECK_EQ(fs_readlink(r->fs, a.ino, target, 4), -ERANGE);
	ATF_CHECK_EQ(fs_readlink(r->fs, ino, target, 64), -EINVAL);
}

ATF_TC_WITHOUT_HEAD(attributes_last);
ATF_TC_BODY(attributes_last, tc)
{
	rig_run(64 * MIB, attributes);
}

static int
move(struct rig *r, uint64_t dir, const char *name, uint64_t to,
    const char *new_name)
{
	return fs_rename(r->fs, dir, name, to, new_name, 0, NULL);
}

static void
renames(struct rig *r)
{
	uint64_t a = mkdir_in(r, r->root, "a"), b = mkdir_in(r, r->root, "b");
	uint64_t f = file_in(r, a, "f"), g = file_in(r, b, "g"), d;
	struct fs_attr at;

	ATF_CHECK_EQ(move(r, a, "f", a, "f2"), 0);
	ATF_CHECK_EQ(look(r, a, "f2"), f);
	ATF_CHECK_EQ(look(r, a, "f"), 0);
	ATF_CHECK_EQ(fs_rename(r->fs, a, "f2", b, "g", FS_RENAME_NOREPLACE,
	    NULL), -EEXIST);
	ATF_CHECK_EQ(move(r, a, "f2", b, "g"), 0);
	ATF_CHECK_EQ(look(r, b, "g"), f);
	ATF_CHECK_EQ(look(r, a, "f2"), 0);
	ATF_CHECK_EQ(fs_getattr(r->fs, g, &at), -ESTALE);
	ATF_CHECK_EQ(move(r, a, "none", b, "x"), -ENOENT);
	d = mkdir_in(r, a, "d");
	ATF_CHECK_EQ(move(r, r->root, "a", d, "loop"), -EINVAL);
	ATF_CHECK_EQ(move(r, a, "d", b, "g"), -ENOTDIR);
	ATF_CHECK_EQ(move(r, b, "g", a, "d"), -EISDIR);
	ATF_CHECK_EQ(move(r, a, "d", b, "d"), 0);
	ATF_CHECK_EQ(look(r, b, "d"), d);
	ATF_REQUIRE_EQ(fs_getattr(r->fs, a, &at), 0);
	ATF_CHECK_EQ(at.nlink, 2);
	ATF_REQUIRE_EQ(fs_getattr(r->fs, b, &at), 0);
	ATF_CHECK_EQ(at.nlink, 3);
	/* Over an empty directory, but not over a full one. */
	ATF_CHECK_EQ(move(r, r->root, "a", b, "d"), 0);
	ATF_CHECK_EQ(look(r, b, "d"), a);
	mkdir_in(r, r->root, "c");
	ATF_CHECK_EQ(move(r, r->root, "c", r->root, "b"), -ENOTEMPTY);
	ATF_CHECK_EQ(move(r, b, "g", b, "g"), 0);
	ATF_CHECK_EQ(look(r, b, "g"), f);
}

ATF_TC_WITHOUT_HEAD(rename_matrix);
ATF_TC_BODY(rename_matrix, tc)
{
	rig_run(64 * MIB, renames);
}

static void
open_unlinked(struct rig *r)
{
	uint64_t ino = file_in(r, r->root, "f");
	struct fs_file *f = rig_open(r, ino, FS_READ | FS_WRITE);
	struct fs_attr a;

	rig_fill(f, 0, 100000, 'x');
	rig_unlink(r, "f");
	ATF_CHECK_EQ(look(r, r->root, "f"), 0);
	rig_fill(f, 100000, 100000, 'x');
	rig_expect(f, 0, 200000, 'x');
	rig_close(f);
	ATF_CHECK_EQ(fs_getattr(r->fs, ino, &a), -ESTALE);
}

ATF_TC_WITHOUT_HEAD(open_file_outlives_its_name);
ATF_TC_BODY(open_file_outlives_its_name, tc)
{
	rig_run(64 * MIB, open_unlinked);
}

static struct fs_file *
make_nameless(struct rig *r)
{
	struct fs_attr a;
	struct fs_file *f;

	ATF_REQUIRE_EQ(fs_create(r->fs, r->root, NULL, INODE_DISK, 0600, 0, 0,
	    16 * MIB, &a), 0);
	ATF_REQUIRE_EQ(fs_file_reopen(r->fs, a.ino, a.generation,
	    FS_READ | FS_WRITE, &f), 0);
	rig_fill(f, 0, 8 * MIB, 'x');
	return f;
}

static void
nameless(struct rig *r)
{
	uint64_t dir = mkdir_in(r, r->root, "d"), before;
	struct fs_file *f;

	rig_remount(r);
	before = rig_free_bytes(r);
	f = make_nameless(r);
	ATF_CHECK(rig_free_bytes(r) + 8 * MIB <= before);
	rig_close(f);
	ATF_CHECK(rig_free_bytes(r) + MIB > before);
	f = make_nameless(r);
	(void)file_in(r, r->root, "taken");
	ATF_CHECK_EQ(fs_file_link(f, r->root, "taken"), -EEXIST);
	ATF_CHECK_EQ(fs_file_link(f, r->root, ""), -EINVAL);
	ATF_CHECK_EQ(fs_rmdir(r->fs, r->root, "d"), 0);
	ATF_CHECK(fs_file_link(f, dir, "f") != 0);
	ATF_CHECK_EQ(fs_file_link(f, r->root, "f"), 0);
	ATF_CHECK_EQ(fs_file_link(f, r->root, "g"), -EBADF);
	rig_close(f);
	rig_remount(r);
	f = rig_open(r, look(r, r->root, "f"), FS_READ | FS_WRITE);
	rig_expect(f, 0, 8 * MIB, 'x');
	/* What has lost its name may get another. */
	rig_unlink(r, "f");
	ATF_CHECK_EQ(fs_file_link(f, r->root, "g"), 0);
	rig_close(f);
	ATF_CHECK(look(r, r->root, "g") != 0);
	rig_unlink(r, "g");
	rig_remount(r);
	ATF_CHECK(rig_free_bytes(r) + MIB > before);
}

ATF_TC_WITHOUT_HEAD(what_has_no_name_gets_one_or_goes);
ATF_TC_BODY(what_has_no_name_gets_one_or_goes, tc)
{
	rig_run(64 * MIB, nameless);
}

/* They are given up with the name. */
static void
nameless_with_snapshot(struct rig *r)
{
	struct fs_snapshot one;
	struct fs_file *f;

	f = rig_open(r, rig_create(r, "f", INODE_DISK, 16 * MIB),
	    FS_READ | FS_WRITE);
	rig_fill(f, 0, MIB, 'x');
	ATF_REQUIRE_EQ(fs_snapshot_create(r->fs, look(r, r->root, "f"), "one",
	    &one, NULL), 0);
	rig_unlink(r, "f");
	ATF_CHECK_EQ(fs_file_link(f, r->root, "g"), -EBUSY);
	rig_close(f);
	rig_remount(r);
	ATF_CHECK_EQ(look(r, r->root, "g"), 0);
}

ATF_TC_WITHOUT_HEAD(what_had_snapshots_gets_no_other_name);
ATF_TC_BODY(what_had_snapshots_gets_no_other_name, tc)
{
	rig_run(64 * MIB, nameless_with_snapshot);
}

static void
orphan(struct rig *r)
{
	uint64_t ino = file_in(r, r->root, "f"), before, after;
	struct fs_file *f;
	struct recover_report rep;

	before = rig_free_bytes(r);
	f = rig_open(r, ino, FS_READ | FS_WRITE);
	rig_fill(f, 0, 8 * MIB, 'x');
	rig_unlink(r, "f");
	ATF_REQUIRE_EQ(ds_commit(r->f.ds), 0);
	ds_abandon(r->f.ds);
	ATF_REQUIRE(fs_close(r->fs) != 0);
	ATF_REQUIRE_EQ(fixture_umount(&r->f), -VMFS_EFENCED);
	ATF_REQUIRE_EQ(fixture_recover(&r->f, r->f.disk, &rep), 0);
	rig_mount(r);
	rig_remount(r);
	after = rig_free_bytes(r);
	ATF_CHECK(after + MIB > before);
}

ATF_TC_WITHOUT_HEAD(mount_finishes_deletions);
ATF_TC_BODY(mount_finishes_deletions, tc)
{
	rig_run(64 * MIB, orphan);
}

/* More than half of the volume was metadata; data may have it again. */
static void
names_space(struct rig *r)
{
	uint64_t dir = mkdir_in(r, r->root, "d"), before, after;
	char name[32];

	rig_remount(r);
	before = rig_free_bytes(r);
	for (unsigned i = 0; i < 9000; i++) {
		(void)snprintf(name, sizeof(name), "file-%u", i);
		(void)file_in(r, dir, name);
	}
	for (unsigned i = 0; i < 9000; i++) {
		(void)snprintf(name, sizeof(name), "file-%u", i);
		ATF_REQUIRE_EQ(fs_unlink(r->fs, dir, name, NULL), 0);
	}
	rig_remount(r);
	after = rig_free_bytes(r);
	ATF_CHECK_MSG(after + 3 * MIB > before, "%llu MiB are free, %llu were",
	    (unsigned long long)(after / MIB),
	    (unsigned long long)(before / MIB));
}

ATF_TC_WITHOUT_HEAD(space_of_names_comes_back);
ATF_TC_BODY(space_of_names_comes_back, tc)
{
	rig_run(64 * MIB, names_space);
}

#define OPEN_MAX (SLOT_ORPHANS_MAX - 64)

static void
many_open(struct rig *r)
{
	struct fs_file *f[OPEN_MAX + 1];
	char name[32];

	for (unsigned i = 0; i <= OPEN_MAX; i++) {
		(void)snprintf(name, sizeof(name), "f%u", i);
		f[i] = rig_open(r, file_in(r, r->root, name), FS_READ);
		ATF_REQUIRE_EQ(i < OPEN_MAX ? 0 : -EBUSY, fs_unlink(r->fs,
		    r->root, name, NULL));
	}
	file_in(r, r->root, "closed");
	ATF_CHECK_EQ(0, fs_unlink(r->fs, r->root, "closed", NULL));
	rig_close(f[0]);
	ATF_CHECK_EQ(0, fs_unlink(r->fs, r->root, name, NULL));
	for (unsigned i = 1; i <= OPEN_MAX; i++)
		rig_close(f[i]);
}

ATF_TC_WITHOUT_HEAD(open_files_without_a_name_leave_room_for_others);
ATF_TC_BODY(open_files_without_a_name_leave_room_for_others, tc)
{
	rig_run(128 * MIB, many_open);
}

ATF_TP_ADD_TCS(tp)
{
	ATF_TP_ADD_TC(tp, ten_thousand_names);
	ATF_TP_ADD_TC(tp, cookies_survive_removal);
	ATF_TP_ADD_TC(tp, names_with_one_hash_are_told_once_each);
	ATF_TP_ADD_TC(tp, names_with_one_hash_may_be_removed_meanwhile);
	ATF_TP_ADD_TC(tp,
	    fsck_goes_through_any_number_of_names_with_one_hash);
	ATF_TP_ADD_TC(tp,
	    damaged_leaf_of_names_with_one_hash_costs_its_own);
	ATF_TP_ADD_TC(tp, wrong_names_are_refused);
	ATF_TP_ADD_TC(tp, attributes_last);
	ATF_TP_ADD_TC(tp, rename_matrix);
	ATF_TP_ADD_TC(tp, open_file_outlives_its_name);
	ATF_TP_ADD_TC(tp, open_files_without_a_name_leave_room_for_others);
	ATF_TP_ADD_TC(tp, what_has_no_name_gets_one_or_goes);
	ATF_TP_ADD_TC(tp, what_had_snapshots_gets_no_other_name);
	ATF_TP_ADD_TC(tp, mount_finishes_deletions);
	ATF_TP_ADD_TC(tp, space_of_names_comes_back);
	return atf_no_error();
}
