/* SPDX-License-Identifier: BSD-2-Clause */
/* fsck as a library: a sound volume is clean, each kind of damage is named. */
#include <atf-c.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libvmfs/base/prng.h"
#include "libvmfs/base/units.h"
#include "libvmfs/check/check.h"
#include "libvmfs/core/fs.h"
#include "libvmfs/core/mkds.h"
#include "libvmfs/env/reactor.h"
#include "libvmfs/format/cluster.h"

#define VOLUME_BYTES (96 * MIB)

struct world {
	struct env env;
	struct disk *disk, deaf;
	struct super super;
	uint64_t seed;
	/* Of the last check. */
	struct check_result res;
	unsigned by_rule[CHECK_RULES];
	char first[256];
};

static void
on_finding(void *arg, const struct check_finding *f)
{
	struct world *w = arg;

	w->by_rule[f->rule]++;
	if (f->severity != CHECK_NOTE && w->first[0] == '\0')
		snprintf(w->first, sizeof(w->first), "%s",
		    f->text);
}

static int
run_check_on(struct world *w, struct disk *disk, bool repair)
{
	struct check_conf conf = {
		.env = &w->env, .disk = disk, .repair = repair,
		.own_slot = -1, .finding = on_finding, .arg = w,
	};

	memset(w->by_rule, 0, sizeof(w->by_rule));
	w->first[0] = '\0';
	return check_run(&conf, &w->res);
}

static int
run_check(struct world *w, bool repair)
{
	return run_check_on(w, w->disk, repair);
}

static void
write_at(struct fs *fs, uint64_t ino, uint64_t offset, size_t len, int fill)
{
	uint8_t *buf = malloc(len);
	struct fs_file *f;

	ATF_REQUIRE(buf != NULL);
	memset(buf, fill, len);
	ATF_REQUIRE_EQ(0, fs_file_open(fs, ino, 0, FS_WRITE, &f, NULL));
	ATF_REQUIRE_EQ(0, fs_file_write(f, offset, buf, len));
	ATF_REQUIRE_EQ(0, fs_file_close(f));
	free(buf);
}

/* Files, a big directory, a disk with two snapshots, a clone with writes. */
static void
populate(struct fs *fs)
{
	uint64_t root = fs_root(fs);
	struct fs_snapshot s;
	struct fs_attr dir, file, disk, clone;
	char name[40];

	ATF_REQUIRE_EQ(0, fs_create(fs, root, "dir", INODE_DIR, 0755, 0, 0, 0,
	    &dir));
	for (int i = 0; i < 150; i++) {
		snprintf(name, sizeof(name), "file-with-a-long-name-%d", i);
		ATF_REQUIRE_EQ(0, fs_create(fs, dir.ino, name, INODE_FILE,
		    0644, 0, 0, 0, &file));
	}
	write_at(fs, file.ino, 0, 100, 'a');
	ATF_REQUIRE_EQ(0, fs_xattr_set(fs, file.ino, 0, "user.a", "hello", 5, 0,
	    NULL));
	ATF_REQUIRE_EQ(0, fs_symlink(fs, root, "link", "dir", 0, 0, &file));
	ATF_REQUIRE_EQ(0, fs_create(fs, root, "vm-flat.vmdk", INODE_DISK, 0600,
	    0, 0, GIB, &disk));
	write_at(fs, disk.ino, 0, 2 * MIB, 1);
	ATF_REQUIRE_EQ(0, fs_snapshot_create(fs, disk.ino, "one", &s, NULL));
	write_at(fs, disk.ino, 64 * KIB, 4 * KIB, 2);
	ATF_REQUIRE_EQ(0, fs_snapshot_create(fs, disk.ino, "two", &s, NULL));
	write_at(fs, disk.ino, 512 * MIB, 12 * KIB, 3);
	ATF_REQUIRE_EQ(0, fs_clone(fs, s.ino, root, "clone-flat.vmdk", 0600, 0,
	    0, &clone, NULL));
	write_at(fs, clone.ino, MIB, 8 * KIB, 4);
}

static void
world_fill_by(struct world *w, void (*fn)(struct fs *fs))
{
	struct ds_conf conf = { .env = &w->env, .disk = w->disk };
	struct lockops *locks;
	struct ds *ds;
	struct fs *fs;

	ATF_REQUIRE_EQ(0, lock_local_new(&w->env, w->disk, &w->super, &locks));
	conf.locks = locks;
	ATF_REQUIRE_EQ(0, ds_open(&conf, &ds));
	ATF_REQUIRE_EQ(0, fs_open(ds, &fs));
	fn(fs);
	ATF_REQUIRE_EQ(0, fs_close(fs));
	ATF_REQUIRE_EQ(0, ds_close(ds));
	lock_local_free(locks);
}

static void
world_fill(struct world *w)
{
	world_fill_by(w, populate);
}

static void
world_init(struct world *w)
{
	struct mkds_conf conf = { .label = "test", .protocol = LOCK_FILE };

	env_posix_init(&w->env, sched_current(), NULL);
	ATF_REQUIRE_EQ(0, disk_mem_open(VOLUME_BYTES, 512, &w->disk));
	ATF_REQUIRE_EQ(0, mkds_plan(&w->disk->info, &conf, &w->super));
	ATF_REQUIRE_EQ(0, mkds_write(&w->env, w->disk, &conf, &w->super));
}

static int
body_fresh(void *arg)
{
	struct world *w = arg;

	world_init(w);
	ATF_REQUIRE_EQ(0, run_check(w, false));
	ATF_CHECK_EQ_MSG(0, w->res.found, "%s", w->first);
	ATF_CHECK_EQ(1, w->res.dirs);
	disk_close(w->disk);
	return 0;
}

static int
body_populated(void *arg)
{
	struct world *w = arg;

	world_init(w);
	world_fill(w);
	ATF_REQUIRE_EQ(0, run_check(w, false));
	ATF_CHECK_EQ_MSG(0, w->res.found, "%s", w->first);
	ATF_CHECK_EQ(2, w->res.dirs);
	ATF_CHECK_EQ(2, w->res.disks);
	ATF_CHECK_EQ(2, w->res.snapshots);
	ATF_CHECK_EQ(151, w->res.files);
	disk_close(w->disk);
	return 0;
}

/* First metadata block of a type, found through the metachunks' heads. */
static uint64_t
find_block(struct world *w, enum block_type type, unsigned skip)
{
	uint8_t buf[BLOCK_SIZE];
	struct block_hdr h;

	for (uint64_t b = 0; b < w->super.blocks; b++) {
		ATF_REQUIRE_EQ(0, disk_read(w->disk, b * BLOCK_SIZE, buf,
		    BLOCK_SIZE));
		if (block_hdr_decode(buf, type, &w->super.uuid, b, &h) == 0 &&
		    skip-- == 0)
			return b;
	}
	atf_tc_fail("no block of type %d", type);
}

static void
flip(struct world *w, uint64_t block, unsigned byte)
{
	uint8_t buf[BLOCK_SIZE];

	ATF_REQUIRE_EQ(0, disk_read(w->disk, block * BLOCK_SIZE, buf,
	    BLOCK_SIZE));
	buf[byte] ^= 0x10;
	ATF_REQUIRE_EQ(0, disk_write(w->disk, block * BLOCK_SIZE, buf,
	    BLOCK_SIZE, 0));
}

struct damage {
	enum block_type type;
	unsigned skip, byte;
	enum check_rule rule;
	bool repairable;	/* without a trace */
};

static const struct damage damages[] = {
	{ BLOCK_SUPER, 0, 200, CHECK_SUPER_COPY, true },
	{ BLOCK_SUPER, 2, 900, CHECK_SUPER_COPY, true },
	{ BLOCK_CLUSTER, 0, 700, CHECK_CLUSTER, true },
	{ BLOCK_METACHUNK, 0, 64, CHECK_METACHUNK, true },
	{ BLOCK_INODE, 1, 40, CHECK_LOCK, true },
	/* Repairs of these change the volume: tests/golden does them. */
	{ BLOCK_INODE, 1, 600, CHECK_INODE, false },
	{ BLOCK_MAP_NODE, 0, 300, CHECK_MAP, false },
	{ BLOCK_MAP_LEAF, 0, 300, CHECK_MAP, false },
	{ BLOCK_DIR_LEAF, 0, 90, CHECK_DIR, false },
	{ BLOCK_SNAPTAB, 0, 130, CHECK_SNAPSHOT, false },
	{ BLOCK_XATTR, 0, 90, CHECK_XATTR, false },
};

static int
body_damage(void *arg)
{
	struct world *w = arg;

	world_init(w);
	world_fill(w);
	for (size_t i = 0; i < sizeof(damages) / sizeof(damages[0]); i++) {
		const struct damage *d = &damages[i];
		uint64_t block = find_block(w, d->type, d->skip);

		flip(w, block, d->byte);
		ATF_REQUIRE_EQ(0, run_check(w, false));
		ATF_CHECK_MSG(w->by_rule[d->rule] > 0,
		    "damage %zu: rule %s silent, first: %s", i,
		    check_rule_name(d->rule), w->first);
		if (d->repairable) {
			ATF_REQUIRE_EQ(0, run_check(w, true));
			ATF_CHECK_EQ(w->res.found, w->res.fixed);
		} else {
			flip(w, block, d->byte);
		}
		ATF_REQUIRE_EQ(0, run_check(w, false));
		ATF_CHECK_EQ_MSG(0, w->res.found, "after damage %zu: %s", i,
		    w->first);
	}
	disk_close(w->disk);
	return 0;
}

/* Changes a cluster's bitmap with a good checksum, as a lost write would. */
static void
cluster_set(struct world *w, uint64_t n, bool used)
{
	uint64_t block = CLUSTER_TABLE_BLOCK + n;
	uint8_t buf[BLOCK_SIZE];
	struct cluster_disk *d = (void *)(buf + LOCK_RECORD_SIZE);
	struct block_hdr h;

	ATF_REQUIRE_EQ(0, disk_read(w->disk, block * BLOCK_SIZE, buf,
	    BLOCK_SIZE));
	ATF_REQUIRE_EQ(0, block_hdr_decode(buf, BLOCK_CLUSTER, &w->super.uuid,
	    block, &h));
	for (unsigned i = 0; i < sizeof(d->used); i++) {
		uint8_t want = used ? 0xff : 0;

		if (i * 8 + 8 <= le32_get(d->chunks))
			d->used[i] = want;
	}
	block_hdr_encode(buf, &h, &w->super.uuid);
	ATF_REQUIRE_EQ(0, disk_write(w->disk, block * BLOCK_SIZE, buf,
	    BLOCK_SIZE, 0));
}

static int
body_bitmap(void *arg)
{
	struct world *w = arg;

	world_init(w);
	world_fill(w);
	for (int used = 0; used < 2; used++) {
		enum check_rule rule = used ? CHECK_SPACE_LEAK :
		    CHECK_SPACE_FREE;

		cluster_set(w, 0, used);
		ATF_REQUIRE_EQ(0, run_check(w, false));
		ATF_CHECK(w->by_rule[rule] > 0);
		ATF_REQUIRE_EQ(0, run_check(w, true));
		ATF_CHECK_EQ_MSG(w->res.found, w->res.fixed, "%s", w->first);
		ATF_REQUIRE_EQ(0, run_check(w, false));
		ATF_CHECK_EQ_MSG(0, w->res.found, "%s", w->first);
	}
	disk_close(w->disk);
	return 0;
}

/* Any byte of any metadata block may be wrong: an answer, never a crash. */
static int
body_random(void *arg)
{
	struct world *w = arg;
	struct prng p;
	uint64_t last;

	printf("reproduce: -v seed=%llu\n", (unsigned long long)w->seed);
	prng_seed(&p, w->seed);
	world_init(w);
	world_fill(w);
	last = find_block(w, BLOCK_INODE, 0) + 512;
	for (int i = 0; i < 200; i++) {
		uint64_t block = prng_below(&p, last);
		unsigned byte = (unsigned)prng_below(&p, BLOCK_SIZE);
		int rc;

		flip(w, block, byte);
		rc = run_check(w, false);
		ATF_CHECK(rc == 0 || rc == -VMFS_ECORRUPT);
		flip(w, block, byte);
	}
	ATF_REQUIRE_EQ(0, run_check(w, false));
	ATF_CHECK_EQ_MSG(0, w->res.found, "%s", w->first);
	disk_close(w->disk);
	return 0;
}

static int
body_overlay(void *arg)
{
	struct world *w = arg;
	uint8_t a[1024], b[8192];
	struct disk *over;

	env_posix_init(&w->env, sched_current(), NULL);
	ATF_REQUIRE_EQ(0, disk_mem_open(MIB, 512, &w->disk));
	ATF_REQUIRE_EQ(0, disk_overlay_open(w->disk, &over));
	memset(a, 7, sizeof(a));
	ATF_REQUIRE_EQ(0, disk_write(over, 3584, a, sizeof(a), 0));
	ATF_REQUIRE_EQ(0, disk_read(over, 0, b, sizeof(b)));
	ATF_CHECK_EQ(0, b[3583]);
	ATF_CHECK_EQ(7, b[3584]);
	ATF_CHECK_EQ(7, b[4607]);
	ATF_CHECK_EQ(0, b[4608]);
	ATF_REQUIRE_EQ(0, disk_read(w->disk, 0, b, sizeof(b)));
	ATF_CHECK_EQ(0, b[3584]);
	disk_close(over);
	disk_close(w->disk);
	return 0;
}

#define QUOTAS 20u

static void
quotas_make(struct fs *fs)
{
	struct fs_quota_left left;
	struct fs_attr a;
	char name[16];

	for (unsigned i = 0; i < QUOTAS; i++) {
		snprintf(name, sizeof(name), "d%u", i);
		ATF_REQUIRE_EQ(0, fs_create(fs, fs_root(fs), name, INODE_DIR,
		    0755, 0, 0, 0, &a));
		ATF_REQUIRE_EQ(0, fs_quota_set(fs, a.ino, MIB, 0, &left));
	}
}

/* All but one directory in three are damaged, and their quotas lost. */
static void
quotas_lose(struct world *w)
{
	uint8_t buf[BLOCK_SIZE];
	struct inode_info i;
	struct block_hdr h;
	unsigned n = 0;

	for (uint64_t b = 0; b < w->super.blocks; b++) {
		ATF_REQUIRE_EQ(0, disk_read(w->disk, b * BLOCK_SIZE, buf,
		    BLOCK_SIZE));
		if (block_hdr_decode(buf, BLOCK_INODE, &w->super.uuid, b,
		    &h) == 0 && inode_decode(buf, &i) == 0 &&
		    i.type == INODE_DIR && b != w->super.root_ino &&
		    n++ % 3 != 1)
			flip(w, b, 600);
	}
	ATF_REQUIRE_EQ(QUOTAS, n);
}

static int
body_quotas(void *arg)
{
	struct world *w = arg;

	world_init(w);
	world_fill_by(w, quotas_make);
	ATF_REQUIRE_EQ(0, run_check(w, false));
	ATF_CHECK_EQ_MSG(0, w->res.found, "%s", w->first);
	quotas_lose(w);
	ATF_REQUIRE_EQ(0, run_check(w, true));
	ATF_CHECK_EQ(w->res.found, w->res.fixed);
	ATF_REQUIRE_EQ(0, run_check(w, false));
	ATF_CHECK_EQ_MSG(0, w->res.found, "%s", w->first);
	disk_close(w->disk);
	return 0;
}

/* Takes writes and forgets them. */
static void
deaf_submit(struct disk *d, struct disk_req *req)
{
	struct world *w = container_of(d, struct world, deaf);

	if (req->op == DISK_WRITE)
		disk_complete(req, 0);
	else
		disk_submit(w->disk, req);
}

static int
body_deaf(void *arg)
{
	static const struct disk_ops ops = { .submit = deaf_submit };
	struct world *w = arg;

	world_init(w);
	world_fill_by(w, quotas_make);
	quotas_lose(w);
	w->deaf = (struct disk){ .ops = &ops, .info = w->disk->info };
	ATF_REQUIRE_EQ(0, run_check_on(w, &w->deaf, true));
	ATF_CHECK_EQ(w->res.found, w->res.fixed + 1);
	ATF_CHECK_EQ(1, w->res.damage);
	disk_close(w->disk);
	return 0;
}

#define CHECK_TC(name, fn)						\
ATF_TC_WITHOUT_HEAD(name);						\
ATF_TC_BODY(name, tc)							\
{									\
	struct world w = {						\
		.seed = (uint64_t)atf_tc_get_config_var_as_long_wd(tc,	\
		    "seed", 1),						\
	};								\
									\
	ATF_REQUIRE_EQ(0, reactor_run_main(fn, &w));			\
}

CHECK_TC(fresh_volume_is_clean, body_fresh)
CHECK_TC(populated_volume_is_clean, body_populated)
CHECK_TC(damaged_block_is_named, body_damage)
CHECK_TC(wrong_bitmap_is_repaired, body_bitmap)
CHECK_TC(flipped_bytes_never_crash, body_random)
CHECK_TC(overlay_keeps_writes_in_memory, body_overlay)
CHECK_TC(one_run_repairs_all_of_many_quotas, body_quotas)
CHECK_TC(repairs_without_an_end_are_told, body_deaf)

ATF_TP_ADD_TCS(tp)
{
	ATF_TP_ADD_TC(tp, fresh_volume_is_clean);
	ATF_TP_ADD_TC(tp, populated_volume_is_clean);
	ATF_TP_ADD_TC(tp, damaged_block_is_named);
	ATF_TP_ADD_TC(tp, wrong_bitmap_is_repaired);
	ATF_TP_ADD_TC(tp, flipped_bytes_never_crash);
	ATF_TP_ADD_TC(tp, overlay_keeps_writes_in_memory);
	ATF_TP_ADD_TC(tp, one_run_repairs_all_of_many_quotas);
	ATF_TP_ADD_TC(tp, repairs_without_an_end_are_told);
	return atf_no_error();
}
