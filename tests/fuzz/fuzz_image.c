/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A whole datastore with damage: a host died with its journal full; the input
 * changes metadata blocks, most of them sealed again so that their lies are
 * believed.  Replay, fsck, repair, fsck again, then a mount that reads all it
 * finds and writes.  Whatever the damage: an answer, an end, and repairs that
 * need no repair.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libvmfs/base/units.h"
#include "libvmfs/check/check.h"
#include "libvmfs/check/scrub.h"
#include "libvmfs/core/fs.h"
#include "libvmfs/core/mkds.h"
#include "libvmfs/core/recover.h"
#include "libvmfs/format/heartbeat.h"
#include "libvmfs/format/inode.h"
#include "tests/fuzz/cow_disk.h"
#include "tests/fuzz/fuzz.h"
#include "tests/sim/sim_sched.h"

#define VOLUME (64 * MIB)
#define BLOCKS_MAX 1024
#define PASSES 8
#define ENTRIES_MAX 300		/* looked at in one mount */

static struct {
	struct disk *disk;	/* as the dead host left it */
	struct super super;
	uint64_t journal;
	uint32_t journal_blocks;
	uint64_t blocks[BLOCKS_MAX];	/* that hold metadata */
	unsigned count;
} base;

static struct {
	struct sim sim;
	struct env env;
	struct fuzz_in *in;
	struct disk *disk;
	struct fs *fs;
	unsigned looked;
} run;

/* ---- the datastore, once ---- */

static void
write_at(struct fs *fs, uint64_t ino, uint64_t offset, size_t len)
{
	uint8_t *buf = calloc(1, len);
	struct fs_file *f;

	FUZZ_CHECK(buf != NULL);
	memset(buf, 'w', len);
	FUZZ_CHECK(fs_file_open(fs, ino, 0, FS_WRITE, &f, NULL) == 0);
	FUZZ_CHECK(fs_file_write(f, offset, buf, len) == 0);
	FUZZ_CHECK(fs_file_close(f) == 0);
	free(buf);
}

static void
populate(struct fs *fs)
{
	uint64_t root = fs_root(fs);
	struct fs_attr dir, file, disk, clone;
	struct fs_snapshot s;
	char name[160];

	FUZZ_CHECK(fs_create(fs, root, "dir", INODE_DIR, 0755, 0, 0, 0,
	    &dir) == 0);
	/* Too many for the inode of the directory, few to look at. */
	for (int i = 0; i < 40; i++) {
		snprintf(name, sizeof(name), "%0120d", i);
		FUZZ_CHECK(fs_create(fs, dir.ino, name, INODE_FILE, 0644, 0,
		    0, 0, &file) == 0);
	}
	write_at(fs, file.ino, 0, 100);
	FUZZ_CHECK(fs_symlink(fs, root, "link", "dir", 0, 0, &file) == 0);
	FUZZ_CHECK(fs_create(fs, root, "flat", INODE_DISK, 0600, 0, 0, GIB,
	    &disk) == 0);
	write_at(fs, disk.ino, 0, 2 * MIB);
	FUZZ_CHECK(fs_snapshot_create(fs, disk.ino, "one", &s, NULL) == 0);
	write_at(fs, disk.ino, 64 * KIB, 4 * KIB);
	FUZZ_CHECK(fs_snapshot_create(fs, disk.ino, "two", &s, NULL) == 0);
	write_at(fs, disk.ino, 512 * MIB, 12 * KIB);
	FUZZ_CHECK(fs_clone(fs, s.ino, root, "clone", 0600, 0, 0, &clone,
	    NULL) == 0);
	write_at(fs, clone.ino, MIB, 8 * KIB);
}

static void
collect(void)
{
	uint8_t buf[BLOCK_SIZE];

	for (uint64_t b = 0; b < base.super.blocks; b++) {
		struct block_hdr h;
		bool slot = b >= SLOT_TABLE_BLOCK && b < SLOT_TABLE_BLOCK + 2;

		FUZZ_CHECK(disk_read(base.disk, b * BLOCK_SIZE, buf,
		    BLOCK_SIZE) == 0);
		if (!slot && block_hdr_decode(buf, 0, &base.super.uuid, b,
		    &h) < 0)
			continue;
		if (base.count < BLOCKS_MAX)
			base.blocks[base.count++] = b;
	}
	for (uint32_t i = 2; i < 12 && base.count < BLOCKS_MAX; i++)
		base.blocks[base.count++] = base.journal + i;
}

static int
mount_on(struct disk *disk, const struct super *super, struct lockops **ret_l,
    struct ds **ret_ds)
{
	struct ds_conf conf = {
		.env = &run.env, .disk = disk, .checkpoint_ms = 3600 * 1000,
	};
	int r = lock_local_new(&run.env, disk, super, ret_l);

	if (r < 0)
		return r;
	conf.locks = *ret_l;
	r = ds_open(&conf, ret_ds);
	if (r < 0)
		lock_local_free(*ret_l);
	return r;
}

static void
base_make(void *arg)
{
	struct mkds_conf conf = { .label = "fuzz", .protocol = LOCK_FILE };
	struct lockops *locks;
	struct fs_attr a;
	struct ds *ds;
	struct fs *fs;

	(void)arg;
	sim_env_init(&run.sim, &run.env, NULL);
	base.disk = cow_disk_new(VOLUME);
	FUZZ_CHECK(mkds_plan(&base.disk->info, &conf, &base.super) == 0);
	FUZZ_CHECK(mkds_write(&run.env, base.disk, &conf, &base.super) == 0);
	FUZZ_CHECK(mount_on(base.disk, &base.super, &locks, &ds) == 0);
	FUZZ_CHECK(fs_open(ds, &fs) == 0);
	populate(fs);
	FUZZ_CHECK(fs_close(fs) == 0 && ds_close(ds) == 0);
	lock_local_free(locks);
	/* Once more, and dead before anything is in its place. */
	FUZZ_CHECK(mount_on(base.disk, &base.super, &locks, &ds) == 0);
	FUZZ_CHECK(fs_open(ds, &fs) == 0);
	FUZZ_CHECK(fs_create(fs, fs_root(fs), "late", INODE_FILE, 0644, 0, 0,
	    0, &a) == 0);
	write_at(fs, a.ino, 0, 40 * KIB);
	FUZZ_CHECK(fs_resolve(fs, "/flat", &a) == 0);
	write_at(fs, a.ino, 8 * MIB, 40 * KIB);
	base.journal = locks->journal_block;
	base.journal_blocks = locks->journal_blocks;
	ds_abandon(ds);
	(void)!fs_close(fs);
	(void)!ds_close(ds);
	lock_local_free(locks);
	collect();
}

/* ---- damage ---- */

/* Makes what the block carries valid again, whatever it says now. */
static void
seal(uint8_t *buf, uint64_t b)
{
	struct block_hdr_disk *d = (void *)buf;
	unsigned at = le32_get(d->magic) == BLOCK_MAGIC ? 0 : LOCK_RECORD_SIZE;
	le32_t crc;

	if (at > 0 && le32_get(d->magic) != 0) {
		crc = le32(crc32c_with_hole(buf, LOCK_RECORD_SIZE, 4));
		memcpy(buf + 4, &crc, sizeof(crc));
	}
	d = (void *)(buf + at);
	if (le32_get(d->magic) != BLOCK_MAGIC ||
	    le32_get(d->length) != BLOCK_SIZE - at)
		return;
	d->addr = le64(b);
	d->crc32c = le32(crc32c_with_hole(d, BLOCK_SIZE - at,
	    offsetof(struct block_hdr_disk, crc32c)));
}

static void
seal_commit(uint8_t *buf)
{
	struct journal_commit_disk {
		le32_t magic, crc32c;
		uint8_t b[20];
		le32_t length;
	} *d = (void *)buf;
	uint32_t length = le32_get(d->length);

	if (le32_get(d->magic) == 0x314d434au && length >= 64 &&
	    length <= BLOCK_SIZE)
		d->crc32c = le32(crc32c_with_hole(buf, length, 4));
}

static void
damage(void)
{
	struct fuzz_in *in = run.in;
	uint64_t b = base.blocks[fuzz_u16(in) % base.count];
	uint8_t how = fuzz_u8(in), buf[BLOCK_SIZE];

	FUZZ_CHECK(disk_read(run.disk, b * BLOCK_SIZE, buf, BLOCK_SIZE) == 0);
	for (unsigned i = 0; i <= (how & 3); i++) {
		size_t at = fuzz_u16(in) % BLOCK_SIZE;
		size_t len = 1 + (how >> 2 & 7);

		fuzz_fill(in, buf + at,
		    len < BLOCK_SIZE - at ? len : BLOCK_SIZE - at);
	}
	if (!(how & 0x80)) {
		seal(buf, b);
		seal_commit(buf);
	}
	FUZZ_CHECK(disk_write(run.disk, b * BLOCK_SIZE, buf, BLOCK_SIZE,
	    0) == 0);
}

/* ---- fsck ---- */

static void
on_finding(void *arg, const struct check_finding *f)
{
	(void)arg;
	/* For people who look into a finding. */
	if (getenv("FUZZ_SHOW") != NULL)
		fprintf(stderr, "%s: %s%s\n", check_rule_name(f->rule),
		    f->text, f->fixed ? " (fixed)" : "");
	FUZZ_CHECK(f->text[0] != '\0');
	FUZZ_CHECK(check_rule_name(f->rule)[0] != '\0');
}

static bool
check(bool repair, struct check_result *ret_r)
{
	const struct check_conf conf = {
		.env = &run.env, .disk = run.disk, .repair = repair,
		.own_slot = -1, .finding = on_finding,
	};

	if (check_run(&conf, ret_r) < 0)
		return false;
	FUZZ_CHECK(ret_r->fixed <= ret_r->found);
	return true;
}

/* Repairs until a pass has nothing to do; a few must be enough. */
static void
repair(void)
{
	struct check_result r;
	unsigned passes = 0;

	do {
		if (!check(true, &r))
			return;
		FUZZ_CHECK(++passes <= PASSES);
	} while (r.fixed > 0);
}

/* ---- mount ---- */

static void
look_at_file(uint64_t ino)
{
	uint8_t *buf = malloc(CHUNK_SIZE);
	struct fs_file *f;
	struct fs_attr a;
	size_t n;

	FUZZ_CHECK(buf != NULL);
	if (fs_file_open(run.fs, ino, 0, FS_READ, &f, NULL) == 0) {
		uint64_t at[] = { 0, MIB, 8 * MIB, 512 * MIB };

		if (fs_file_attr(f, &a) == 0)
			FUZZ_CHECK(a.ino == ino);
		for (size_t i = 0; i < sizeof(at) / sizeof(at[0]); i++)
			if (fs_file_read(f, at[i], buf, CHUNK_SIZE, &n) == 0)
				FUZZ_CHECK(n <= CHUNK_SIZE);
		(void)!fs_file_seek(f, 0, false, &at[0]);
		(void)!fs_file_close(f);
	}
	free(buf);
}

static bool
snapshot_seen(void *arg, const struct fs_snapshot *s)
{
	(void)arg;
	FUZZ_CHECK(strlen(s->name) <= SNAPTAB_NAME_MAX);
	return ++run.looked < ENTRIES_MAX;
}

struct names {
	struct fs_dirent e[64];
	unsigned count;
};

static bool
name_seen(void *arg, const struct fs_dirent *e)
{
	struct names *n = arg;

	FUZZ_CHECK(strlen(e->name) >= 1 && strlen(e->name) <= 255);
	if (n->count < 64)
		n->e[n->count++] = *e;
	return ++run.looked < ENTRIES_MAX;
}

static void
look_at(uint64_t dir, unsigned depth)
{
	struct names n = { .count = 0 };
	char target[INODE_INLINE_MAX + 1];

	(void)!fs_readdir(run.fs, dir, 0, name_seen, &n);
	for (unsigned i = 0; i < n.count; i++) {
		uint64_t ino = n.e[i].ino;
		struct fs_attr a;

		if (fs_getattr(run.fs, ino, &a) < 0)
			continue;
		if (a.type == INODE_DIR && depth < 2)
			look_at(ino, depth + 1);
		else if (a.type == INODE_SYMLINK)
			(void)!fs_readlink(run.fs, ino, target,
			    sizeof(target));
		else if (a.type == INODE_DISK || i < 3)
			look_at_file(ino);
		if (a.type == INODE_DISK)
			(void)!fs_snapshot_list(run.fs, ino, snapshot_seen,
			    NULL);
	}
}

/* Changes of each kind; any may be refused. */
static void
write_some(void)
{
	uint64_t root = fs_root(run.fs);
	static uint8_t data[CHUNK_SIZE];
	struct fs_snapshot s;
	struct fs_file *f;
	struct fs_attr a;

	if (fs_resolve(run.fs, "/flat", &a) == 0 &&
	    fs_file_open(run.fs, a.ino, 0, FS_WRITE, &f, NULL) == 0) {
		(void)!fs_file_write(f, MIB, data, sizeof(data));
		(void)!fs_file_punch(f, 0, MIB);
		(void)!fs_file_close(f);
		(void)!fs_snapshot_create(run.fs, a.ino, "three", &s, NULL);
		(void)!fs_snapshot_delete(run.fs, a.ino, 1, NULL);
	}
	(void)!fs_create(run.fs, root, "new", INODE_FILE, 0644, 0, 0, 0, &a);
	(void)!fs_rename(run.fs, root, "new", root, "newer", 0, NULL);
	(void)!fs_unlink(run.fs, root, "clone", NULL);
	(void)!fs_unlink(run.fs, root, "late", NULL);
}

static void
on_scrub(void *arg, const struct scrub_finding *f)
{
	(void)arg;
	FUZZ_CHECK(f->text[0] != '\0' && f->object[0] != '\0');
	FUZZ_CHECK(f->block < base.super.blocks);
}

static void
scrub(void)
{
	struct scrub s = { .fs = run.fs, .finding = on_scrub };

	for (uint64_t i = 0; i < scrub_steps(run.fs); i++)
		if (scrub_step(&s, i) != 0)
			return;
}

static void
use(void)
{
	struct lockops *locks;
	struct super super;
	struct ds *ds;

	if (super_read(run.disk, &super) < 0 ||
	    mount_on(run.disk, &super, &locks, &ds) < 0)
		return;
	if (fs_open(ds, &run.fs) == 0) {
		look_at(fs_root(run.fs), 0);
		if (super.blocks == base.super.blocks)
			scrub();
		write_some();
		(void)!fs_close(run.fs);
	}
	(void)!ds_close(ds);
	lock_local_free(locks);
}

static void
replay(void)
{
	const struct heartbeat dead = {
		.incarnation = 1, .journal_block = base.journal,
		.journal_blocks = base.journal_blocks,
	};
	struct recover_report report;
	struct super super;

	if (super_read(run.disk, &super) == 0)
		(void)!recover_journal(&run.env, run.disk, &super, &dead,
		    &report);
}

static void
image_run(void *arg)
{
	uint8_t how = fuzz_u8(run.in);
	bool sound = run.in->left == 0;
	struct check_result r;

	(void)arg;
	sim_env_init(&run.sim, &run.env, NULL);
	run.disk = cow_disk_copy(base.disk);
	if (how & 1)
		replay();
	for (unsigned i = 0; i < 8 && run.in->left > 0; i++)
		damage();
	if (!(how & 1))
		replay();
	if (check(false, &r) && sound)
		FUZZ_CHECK(r.found == 0);
	if (how & 2)
		repair();
	/* fsck comes before a mount when there is damage; not everybody
	 * reads the manual. */
	if (how & 4)
		use();
	disk_close(run.disk);
}

static void
run_main(void (*fn)(void *arg), uint64_t seed)
{
	sim_init(&run.sim, seed);
	FUZZ_CHECK(sim_run(&run.sim, UINT64_MAX / 4, fn, NULL) == SIM_DONE);
	sim_fini(&run.sim);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_in in = { data, size };

	if (base.disk == NULL)
		run_main(base_make, 1);
	run.in = &in;
	run.looked = 0;
	run_main(image_run, 1);
	return 0;
}
