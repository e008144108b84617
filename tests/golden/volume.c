/* SPDX-License-Identifier: BSD-2-Clause */
/* See volume.h. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libvmfs/base/units.h"
#include "libvmfs/core/mkds.h"
#include "tests/fuzz/cow_disk.h"
#include "tests/golden/volume.h"

#define VOLUME_BYTES (96 * MIB)
#define READ_BYTES (64 * KIB)

#define MUST(cond) ((cond) ? (void)0 : must(#cond, __LINE__))

static void
must(const char *what, int line)
{
	fprintf(stderr, "volume.c:%d: %s\n", line, what);
	abort();
}

/* ---- what is written ---- */

/* Later ones lie over earlier ones. */
struct region {
	unsigned objects;
	uint64_t offset, length;
	uint8_t fill;
};

static const struct region regions[] = {
	{ VOL_DISK | VOL_ONE | VOL_TWO | VOL_CLONE, 0, 2 * MIB, 0x11 },
	{ VOL_DISK | VOL_TWO | VOL_CLONE, 64 * KIB, 4 * KIB, 0x22 },
	{ VOL_DISK, 512 * MIB, 12 * KIB, 0x33 },
	{ VOL_CLONE, MIB, 8 * KIB, 0x44 },
	{ VOL_TWIN, 0, MIB, 0x55 },
	{ VOL_TWIN, 300 * MIB, 64 * KIB, 0x66 },
	{ VOL_TWIN, 308 * MIB, 4 * KIB, 0x77 },
	{ VOL_BIG, 0, 300 * KIB, 0x88 },
};
#define N_REGIONS (sizeof(regions) / sizeof(regions[0]))

static void
write_region(struct fs *fs, uint64_t ino, unsigned i)
{
	uint8_t *buf = malloc(regions[i].length);
	struct fs_file *f;

	MUST(buf != NULL);
	memset(buf, regions[i].fill, regions[i].length);
	MUST(fs_file_open(fs, ino, 0, FS_WRITE, &f, NULL) == 0);
	MUST(fs_file_write(f, regions[i].offset, buf, regions[i].length) == 0);
	MUST(fs_file_close(f) == 0);
	free(buf);
}

/* Content that says whose it is. */
static void
small_content(char text[64], const char *dir, unsigned i)
{
	memset(text, 0, 64);
	snprintf(text, 64, "I am file %u of %s.", i, dir);
}

static uint64_t
make_small(struct fs *fs, uint64_t dir, const char *name, const char *of,
    unsigned i)
{
	struct fs_file *f;
	struct fs_attr a;
	char text[64];

	small_content(text, of, i);
	MUST(fs_create(fs, dir, name, INODE_FILE, 0644, 0, 0, 0, &a) == 0);
	MUST(fs_file_open(fs, a.ino, 0, FS_WRITE, &f, NULL) == 0);
	MUST(fs_file_write(f, 0, text, sizeof(text)) == 0);
	MUST(fs_file_close(f) == 0);
	return a.ino;
}

static uint64_t
make(struct fs *fs, uint64_t dir, const char *name, enum inode_type type,
    uint64_t size)
{
	struct fs_attr a;

	MUST(fs_create(fs, dir, name, type, type == INODE_DIR ? 0755 : 0600,
	    0, 0, size, &a) == 0);
	return a.ino;
}

/* Attributes that say whose they are; a clone has those of its origin. */
#define ATTR "user.of"

static void
make_attr(struct fs *fs, uint64_t ino, const char *of)
{
	MUST(fs_xattr_set(fs, ino, 0, ATTR, of, strlen(of), 0, NULL) == 0);
}

static void
populate_names(struct volume *v, struct fs *fs)
{
	uint64_t root = fs_root(fs);
	struct fs_attr a;
	char name[160];

	v->dir = make(fs, root, "dir", INODE_DIR, 0);
	make_attr(fs, v->dir, "dir");
	for (unsigned i = 0; i < VOLUME_FILES; i++) {
		snprintf(name, sizeof(name), VOLUME_NAME, i);
		v->file = make_small(fs, v->dir, name, "dir", i);
	}
	v->small = make(fs, root, "small", INODE_DIR, 0);
	for (unsigned i = 0; i < 3; i++) {
		snprintf(name, sizeof(name), "file-%u", i);
		make_small(fs, v->small, name, "small", i);
	}
	v->sub = make(fs, root, "sub", INODE_DIR, 0);
	v->deep = make(fs, v->sub, "deep", INODE_DIR, 0);
	make_small(fs, v->deep, "file", "deep", 0);
	MUST(fs_symlink(fs, root, "link", "dir", 0, 0, &a) == 0);
	v->link = a.ino;
}

static void
populate_disks(struct volume *v, struct fs *fs)
{
	uint64_t root = fs_root(fs);
	struct fs_snapshot s;
	struct fs_attr a;

	v->twin = make(fs, root, "twin", INODE_DISK, 600 * MIB);
	write_region(fs, v->twin, 4);
	write_region(fs, v->twin, 5);
	write_region(fs, v->twin, 6);
	v->big = make(fs, root, "big", INODE_FILE, 0);
	write_region(fs, v->big, 7);
	v->disk_ino = make(fs, root, "disk", INODE_DISK, GIB);
	make_attr(fs, v->disk_ino, "disk");
	write_region(fs, v->disk_ino, 0);
	MUST(fs_snapshot_create(fs, v->disk_ino, "one", &s, NULL) == 0);
	v->one = s.ino;
	write_region(fs, v->disk_ino, 1);
	MUST(fs_snapshot_create(fs, v->disk_ino, "two", &s, NULL) == 0);
	v->two = s.ino;
	MUST(fs_clone(fs, v->two, root, "clone", 0600, 0, 0, &a, NULL) == 0);
	v->clone = a.ino;
}

static uint64_t
make_quota(struct fs *fs, uint64_t dir)
{
	struct fs_quota_left left;
	struct fs_quota q;

	MUST(fs_quota_set(fs, dir, 8 * MIB, 0, &left) == 0);
	MUST(left.count == 0);
	MUST(fs_quota_get(fs, dir, &q) == 0);
	return q.account;
}

static void
populate_quotas(struct volume *v, struct fs *fs)
{
	v->account2 = make_quota(fs, v->sub);
	v->limited = make(fs, fs_root(fs), "limited", INODE_DIR, 0);
	v->account = make_quota(fs, v->limited);
	v->counted = make(fs, v->limited, "file", INODE_FILE, 0);
	write_region(fs, v->counted, 7);
}

static void
populate_last(struct volume *v, struct fs *fs)
{
	write_region(fs, v->disk_ino, 2);
	write_region(fs, v->clone, 3);
}

/* ---- mounts ---- */

int
volume_mount(struct volume *v, struct disk *d, struct volume_mount *m)
{
	struct ds_conf conf = {
		.env = &v->env, .disk = d, .checkpoint_ms = 3600 * 1000,
	};
	struct super super;
	int rc;

	*m = (struct volume_mount){ .locks = NULL };
	rc = super_read(d, &super);
	if (rc == 0)
		rc = lock_local_new(&v->env, d, &super, &m->locks);
	if (rc != 0)
		return rc;
	conf.locks = m->locks;
	rc = ds_open(&conf, &m->ds);
	if (rc == 0) {
		rc = fs_open(m->ds, &m->fs);
		if (rc != 0)
			(void)!ds_close(m->ds);
	}
	if (rc != 0)
		lock_local_free(m->locks);
	return rc;
}

int
volume_unmount(struct volume_mount *m)
{
	int rc = fs_close(m->fs);

	if (rc == 0)
		rc = ds_close(m->ds);
	else
		(void)!ds_close(m->ds);
	lock_local_free(m->locks);
	return rc;
}

struct disk *
volume_clone(struct disk *from)
{
	struct disk *d = cow_disk_new(VOLUME_BYTES);
	static uint8_t buf[MIB];

	for (uint64_t at = 0; at < VOLUME_BYTES; at += MIB) {
		MUST(disk_read(from, at, buf, MIB) == 0);
		MUST(disk_write(d, at, buf, MIB, 0) == 0);
	}
	return d;
}

void
volume_make(struct volume *v)
{
	struct mkds_conf conf = { .label = "golden", .protocol = LOCK_FILE };
	struct disk *d = cow_disk_new(VOLUME_BYTES);
	struct volume_mount m;

	MUST(mkds_plan(&d->info, &conf, &v->super) == 0);
	MUST(mkds_write(&v->env, d, &conf, &v->super) == 0);
	MUST(volume_mount(v, d, &m) == 0);
	populate_names(v, m.fs);
	populate_disks(v, m.fs);
	v->journal = m.locks->journal_block;
	MUST(volume_unmount(&m) == 0);
	v->older = d;
	v->disk = volume_clone(d);
	MUST(volume_mount(v, v->disk, &m) == 0);
	populate_last(v, m.fs);
	populate_quotas(v, m.fs);
	MUST(volume_unmount(&m) == 0);
	MUST(super_read(v->disk, &v->super) == 0);
}

void
volume_free(struct volume *v)
{
	disk_close(v->disk);
	disk_close(v->older);
}

void
volume_crash(struct volume *v, struct disk *d)
{
	uint8_t buf[LOCK_RECORD_SIZE];
	struct heartbeat hb;
	struct volume_mount m;

	MUST(volume_mount(v, d, &m) == 0);
	make_small(m.fs, fs_root(m.fs), "late", "late", 0);
	ds_abandon(m.ds);
	(void)!fs_close(m.fs);
	(void)!ds_close(m.ds);
	lock_local_free(m.locks);
	/* The local locks keep no heartbeat: a host would have one. */
	MUST(disk_read(d, SLOT_TABLE_BLOCK * BLOCK_SIZE, buf,
	    sizeof(buf)) == 0);
	MUST(heartbeat_decode(buf, &v->super.uuid, 0, &hb) == 0);
	hb.state = SLOT_LIVE;
	hb.incarnation = 1;
	strcpy(hb.name, "esx7");
	heartbeat_encode(buf, &v->super.uuid, &hb);
	MUST(disk_write(d, SLOT_TABLE_BLOCK * BLOCK_SIZE, buf, sizeof(buf),
	    0) == 0);
}

/* ---- what is read ---- */

struct look {
	struct fs *fs;
	struct volume *v;
	unsigned harmed, skip;
	bool repaired;
	char *why;
	uint8_t dir_seen[VOLUME_FILES], small_seen[3];
	bool deep_seen;
	bool ok;
};

static void
complain(struct look *l, const char *what, const char *of, uint64_t at)
{
	if (l->ok)
		snprintf(l->why, 256, "%s: %s (at %llu)", of, what,
		    (unsigned long long)at);
	l->ok = false;
}

static uint8_t
expected(unsigned object, uint64_t at)
{
	uint8_t fill = 0;

	for (unsigned i = 0; i < N_REGIONS; i++)
		if ((regions[i].objects & object) &&
		    at >= regions[i].offset &&
		    at - regions[i].offset < regions[i].length)
			fill = regions[i].fill;
	return fill;
}

/* Every block is all one fill, or what a damaged map made of it. */
static bool
block_is(const uint8_t *block, size_t len, uint8_t fill)
{
	return block[0] == fill && memcmp(block, block + 1, len - 1) == 0;
}

static bool
look_at_blocks(struct look *l, const uint8_t *buf, size_t n, unsigned object,
    uint64_t at)
{
	bool holes = (l->harmed & object) && !(l->harmed & VOL_NO_HOLES);

	for (size_t i = 0; i < n; i += BLOCK_SIZE) {
		size_t len = n - i < BLOCK_SIZE ? n - i : BLOCK_SIZE;

		if (!block_is(buf + i, len, expected(object, at + i)) &&
		    !(holes && block_is(buf + i, len, 0)))
			return false;
	}
	return true;
}

static void
look_at_range(struct look *l, struct fs_file *f, unsigned object,
    const char *name, uint64_t from, uint64_t to)
{
	bool harmed = (l->harmed & object) != 0;
	static uint8_t buf[READ_BYTES];
	size_t n;

	for (uint64_t at = from; at < to; at += READ_BYTES) {
		int rc = fs_file_read(f, at, buf, READ_BYTES, &n);

		if (rc != 0) {
			if (!harmed || l->repaired)
				complain(l, vmfs_strerror(rc), name, at);
			continue;
		}
		if (!look_at_blocks(l, buf, n, object, at)) {
			complain(l, "has wrong data", name, at);
			return;
		}
		if (n < READ_BYTES && !harmed && object != VOL_BIG)
			complain(l, "ends early", name, at + n);
	}
}

static void
look_at_object(struct look *l, uint64_t ino, unsigned object,
    const char *name)
{
	struct fs_file *f;
	int rc;

	if (l->skip & object)
		return;
	rc = fs_file_open(l->fs, ino, 0, FS_READ, &f, NULL);
	if (rc != 0) {
		if (!(l->harmed & object))
			complain(l, vmfs_strerror(rc), name, 0);
		return;
	}
	look_at_range(l, f, object, name, 0, 2 * MIB + 256 * KIB);
	if (object & (VOL_DISK | VOL_ONE | VOL_TWO | VOL_CLONE))
		look_at_range(l, f, object, name, 512 * MIB - READ_BYTES,
		    512 * MIB + READ_BYTES);
	if (object == VOL_TWIN)
		for (unsigned i = 300; i <= 308; i += 8)
			look_at_range(l, f, object, name,
			    i * MIB - READ_BYTES, i * MIB + 2 * READ_BYTES);
	rc = fs_file_close(f);
	if (rc != 0 && (!(l->harmed & object) || l->repaired))
		complain(l, vmfs_strerror(rc), name, 0);
}

/* By its path, or where fsck has put it. */
static int
find(struct look *l, uint64_t ino, const char *path, struct fs_attr *ret_a)
{
	char lost[48];
	int rc = fs_resolve(l->fs, path, ret_a);

	if (rc == 0 || !l->repaired)
		return rc;
	snprintf(lost, sizeof(lost), "/lost+found/#%llu",
	    (unsigned long long)ino);
	return fs_resolve(l->fs, lost, ret_a);
}

static void
look_for(struct look *l, uint64_t ino, const char *path, unsigned object)
{
	struct fs_attr a;
	int rc = find(l, ino, path, &a);

	if (rc == 0)
		look_at_object(l, a.ino, object, path);
	else if (!(l->harmed & object))
		complain(l, vmfs_strerror(rc), path, 0);
}

struct snaps {
	uint64_t ino[8];
	unsigned count;
};

static bool
snap_seen(void *arg, const struct fs_snapshot *s)
{
	struct snaps *x = arg;

	if (x->count < 8)
		x->ino[x->count++] = s->ino;
	return true;
}

static void
look_at_snapshots(struct look *l)
{
	struct snaps s = { .count = 0 };
	bool one = false, two = false;
	struct fs_attr a;

	if (find(l, l->v->disk_ino, "/disk", &a) == 0)
		(void)!fs_snapshot_list(l->fs, a.ino, snap_seen, &s);
	for (unsigned i = 0; i < s.count; i++) {
		one |= s.ino[i] == l->v->one;
		two |= s.ino[i] == l->v->two;
	}
	if (one)
		look_at_object(l, l->v->one, VOL_ONE, "snapshot one");
	else if (!(l->harmed & VOL_ONE))
		complain(l, "is gone", "snapshot one", 0);
	if (two)
		look_at_object(l, l->v->two, VOL_TWO, "snapshot two");
	else if (!(l->harmed & VOL_TWO))
		complain(l, "is gone", "snapshot two", 0);
}

/* ---- small files, by what they say that they are ---- */

static void
small_seen(struct look *l, const char *text)
{
	char want[64];

	for (unsigned i = 0; i < VOLUME_FILES; i++) {
		small_content(want, "dir", i);
		if (memcmp(text, want, 64) == 0)
			l->dir_seen[i]++;
	}
	for (unsigned i = 0; i < 3; i++) {
		small_content(want, "small", i);
		if (memcmp(text, want, 64) == 0)
			l->small_seen[i]++;
	}
	small_content(want, "deep", 0);
	if (memcmp(text, want, 64) == 0)
		l->deep_seen = true;
}

struct entries {
	uint64_t ino[512];
	enum inode_type type[512];
	unsigned count;
};

static bool
entry_seen(void *arg, const struct fs_dirent *e)
{
	struct entries *x = arg;

	if (x->count == 512)
		return false;
	x->ino[x->count] = e->ino;
	x->type[x->count++] = e->type;
	return true;
}

static void
look_at_dir(struct look *l, uint64_t dir, unsigned depth)
{
	struct entries *x = calloc(1, sizeof(*x));
	int rc;

	MUST(x != NULL);
	rc = fs_readdir(l->fs, dir, 0, entry_seen, x);
	if (rc != 0 && l->repaired)
		complain(l, vmfs_strerror(rc), "readdir", dir);
	for (unsigned i = 0; i < x->count; i++) {
		struct fs_file *f;
		char text[64];
		size_t n = 0;

		if (x->type[i] == INODE_DIR && depth < 8)
			look_at_dir(l, x->ino[i], depth + 1);
		if (x->type[i] != INODE_FILE)
			continue;
		rc = fs_file_open(l->fs, x->ino[i], 0, FS_READ, &f, NULL);
		if (rc == 0) {
			rc = fs_file_read(f, 0, text, sizeof(text), &n);
			if (rc == 0 && n == sizeof(text))
				small_seen(l, text);
			(void)!fs_file_close(f);
		}
		if (rc != 0 && l->repaired)
			complain(l, vmfs_strerror(rc), "a small file",
			    x->ino[i]);
	}
	free(x);
}

static void
look_at_small(struct look *l)
{
	unsigned lost = 0;

	look_at_dir(l, fs_root(l->fs), 0);
	for (unsigned i = 0; i < VOLUME_FILES; i++) {
		lost += l->dir_seen[i] == 0;
		if (l->dir_seen[i] > 1)
			complain(l, "is there twice", "a file of /dir", i);
	}
	if (l->harmed & VOL_MANY)
		return;
	if (lost > ((l->harmed & VOL_DIR) ? 1u : 0))
		complain(l, "files are gone", "/dir", lost);
	lost = !l->deep_seen;
	for (unsigned i = 0; i < 3; i++)
		lost += l->small_seen[i] == 0;
	if (lost > ((l->harmed & VOL_SMALL) ? 1u : 0))
		complain(l, "files are gone", "/small or /sub/deep", lost);
}

static void
look_at_names(struct look *l)
{
	char path[160];
	struct fs_attr a;
	unsigned missing = 0;

	for (unsigned i = 0; i < VOLUME_FILES; i++) {
		snprintf(path, sizeof(path), "/dir/" VOLUME_NAME, i);
		missing += fs_resolve(l->fs, path, &a) != 0;
	}
	missing += fs_resolve(l->fs, "/sub/deep/file", &a) != 0;
	missing += fs_resolve(l->fs, "/small/file-1", &a) != 0;
	if (missing > (l->harmed & (VOL_DIR | VOL_SMALL) ? 1u : 0))
		complain(l, "names are gone", "/dir", missing);
}

static void
look_at_attr(struct look *l, const char *path, unsigned object,
    const char *want)
{
	struct fs_attr a;
	char value[16];
	size_t len;
	int rc;

	if ((l->skip & object) || fs_resolve(l->fs, path, &a) != 0)
		return;
	rc = fs_xattr_get(l->fs, a.ino, ATTR, value, sizeof(value), &len);
	if (rc == 0 && (len != strlen(want) || memcmp(value, want, len) != 0))
		complain(l, "has the attributes of another", path, 0);
	if (rc != 0 && (l->repaired ? rc != -ENODATA ||
	    !(l->harmed & (VOL_ATTRS | object)) : !(l->harmed & VOL_ATTRS)))
		complain(l, vmfs_strerror(rc), "an attribute", a.ino);
}

static void
look_at_all(struct look *l)
{
	char target[INODE_INLINE_MAX + 1];
	struct fs_attr a;

	look_for(l, l->v->disk_ino, "/disk", VOL_DISK);
	look_for(l, l->v->clone, "/clone", VOL_CLONE);
	look_for(l, l->v->twin, "/twin", VOL_TWIN);
	look_for(l, l->v->big, "/big", VOL_BIG);
	look_at_attr(l, "/disk", VOL_DISK, "disk");
	look_at_attr(l, "/clone", VOL_CLONE, "disk");
	look_at_attr(l, "/dir", VOL_DIR, "dir");
	look_at_snapshots(l);
	if (l->repaired)
		look_at_small(l);
	if (!(l->harmed & VOL_NAMES) && l->repaired)
		look_at_names(l);
	if (!(l->harmed & VOL_LINK) &&
	    (fs_resolve(l->fs, "/link", &a) != 0 || fs_readlink(l->fs, a.ino,
	    target, sizeof(target)) != 0 || strcmp(target, "dir") != 0))
		complain(l, "is gone", "/link", 0);
}

/* The head must still be writable, and its snapshots not notice. */
static void
write_all(struct look *l)
{
	static uint8_t buf[READ_BYTES];
	struct fs_attr a;
	struct fs_file *f;
	int rc;

	memset(buf, 0x99, sizeof(buf));
	rc = fs_resolve(l->fs, "/disk", &a);
	if (rc == -ENOENT)
		return;
	if (rc == 0)
		rc = fs_file_open(l->fs, a.ino, 0, FS_WRITE, &f, NULL);
	if (rc == 0) {
		rc = fs_file_write(f, 32 * KIB, buf, sizeof(buf));
		(void)!fs_file_close(f);
	}
	if (rc == 0)
		rc = fs_create(l->fs, fs_root(l->fs), "new", INODE_FILE, 0644,
		    0, 0, 0, &a);
	if (rc != 0)
		complain(l, vmfs_strerror(rc), "a write after the repair", 0);
	look_at_snapshots(l);
}

bool
volume_verify(struct volume *v, struct disk *d, unsigned harmed,
    unsigned skip, bool repaired, char why[256])
{
	struct look l = {
		.v = v, .harmed = harmed, .skip = skip, .repaired = repaired,
		.why = why, .ok = true,
	};
	struct volume_mount m;
	int rc = volume_mount(v, d, &m);

	if (rc != 0) {
		snprintf(why, 256, "mount: %s", vmfs_strerror(rc));
		return !repaired;
	}
	l.fs = m.fs;
	look_at_all(&l);
	if (repaired)
		write_all(&l);
	rc = volume_unmount(&m);
	if (rc != 0 && repaired)
		complain(&l, vmfs_strerror(rc), "unmount", 0);
	return l.ok;
}

/* ---- fibers ---- */

void
volume_run(struct volume *v, void (*fn)(void *arg), void *arg)
{
	sim_init(&v->sim, 1);
	sim_env_init(&v->sim, &v->env, NULL);
	MUST(sim_run(&v->sim, UINT64_MAX / 4, fn, arg) == SIM_DONE);
	sim_fini(&v->sim);
}
