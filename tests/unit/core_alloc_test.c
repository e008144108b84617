/* SPDX-License-Identifier: BSD-2-Clause */
/* Space: runs, reuse only after a checkpoint, full volumes, frees for others. */
#include <atf-c.h>
#include <stdlib.h>
#include <string.h>

#include "libvmfs/base/units.h"
#include "libvmfs/core/ds_priv.h"
#include "libvmfs/core/volume.h"
#include "tests/unit/core_fixture.h"
#include "tests/unit/crash_disk.h"

struct body {
	void (*fn)(struct fixture *f);
};

static int
body_run(void *arg)
{
	const struct body *b = arg;
	struct fixture f;
	struct disk *disk;

	ATF_REQUIRE_EQ(disk_mem_open(64 * MIB, 512, &disk), 0);
	fixture_init(&f, disk, true);
	f.conf.discard = true;
	ATF_REQUIRE_EQ(fixture_mount(&f), 0);
	b->fn(&f);
	if (f.ds != NULL)
		ATF_REQUIRE_EQ(fixture_umount(&f), 0);
	(void)fixture_check_space(&f, disk);
	disk_close(disk);
	return 0;
}

#define ALLOC_TEST(name)						\
static void body_##name(struct fixture *f);				\
ATF_TC_WITHOUT_HEAD(name);						\
ATF_TC_BODY(name, tc)							\
{									\
	struct body b = { body_##name };				\
	(void)tc;							\
	fixture_run(body_run, &b);					\
}									\
static void								\
body_##name(struct fixture *f)

static uint64_t
alloc_one(struct fixture *f, uint64_t hint)
{
	uint64_t chunk;
	struct txn *t;
	unsigned n;

	ATF_REQUIRE_EQ(txn_begin(f->ds, 4, &t), 0);
	ATF_REQUIRE_EQ(alloc_chunks(t, hint, 1, &chunk, &n), 0);
	ATF_REQUIRE_EQ(n, 1);
	txn_end(t);
	return chunk;
}

static void
free_run(struct fixture *f, uint64_t chunk, uint64_t count)
{
	struct txn *t;

	ATF_REQUIRE_EQ(txn_begin(f->ds, 4, &t), 0);
	ATF_REQUIRE_EQ(free_chunks(t, chunk, count), 0);
	txn_end(t);
}

ALLOC_TEST(a_mib_is_aligned)
{
	uint64_t chunk;
	struct txn *t;
	unsigned n;

	(void)alloc_one(f, 0);
	for (unsigned i = 0; i < 8; i++) {
		ATF_REQUIRE_EQ(txn_begin(f->ds, 4, &t), 0);
		ATF_REQUIRE_EQ(alloc_chunks(t, 0, 16, &chunk, &n), 0);
		txn_end(t);
		ATF_CHECK_EQ(n, 16);
		ATF_CHECK_EQ(chunk % 16, 0);
	}
}

ALLOC_TEST(hint_keeps_a_file_together)
{
	uint64_t a = alloc_one(f, 100), b;

	(void)alloc_one(f, a + 40);
	b = alloc_one(f, a + 1);
	ATF_CHECK_EQ(b, a + 1);
}

ALLOC_TEST(freed_chunk_waits_for_the_checkpoint)
{
	uint64_t a = alloc_one(f, 0);

	ATF_REQUIRE_EQ(ds_commit(f->ds), 0);
	free_run(f, a, 1);
	ATF_CHECK(alloc_one(f, a) != a);
	ATF_REQUIRE_EQ(ds_commit(f->ds), 0);
	ATF_CHECK(alloc_one(f, a) != a);
	/* One of another file does not have the map that named it. */
	ATF_REQUIRE_EQ(ds_checkpoint(f->ds, 1), 0);
	ATF_CHECK(alloc_one(f, a) != a);
	ATF_REQUIRE_EQ(ds_checkpoint(f->ds, 0), 0);
	ATF_CHECK_EQ(alloc_one(f, a), a);
}

ALLOC_TEST(double_free_is_refused)
{
	uint64_t a = alloc_one(f, 0);
	struct txn *t;

	free_run(f, a, 1);
	ATF_REQUIRE_EQ(txn_begin(f->ds, 4, &t), 0);
	ATF_CHECK_EQ(free_chunks(t, a, 1), -VMFS_ECORRUPT);
	txn_end(t);
}

/* Takes all there is, in pieces of up to 16 chunks. */
static unsigned
fill_up(struct fixture *f, uint64_t *run, unsigned *count, unsigned max)
{
	unsigned runs = 0;
	struct txn *t;
	int r = 0;

	while (r == 0) {
		ATF_REQUIRE_EQ(txn_begin(f->ds, 8, &t), 0);
		r = alloc_chunks(t, 0, 16, &run[runs], &count[runs]);
		txn_end(t);
		if (r == 0)
			runs++;
		ATF_REQUIRE(runs < max);
		if (runs % 16 == 0)
			ATF_REQUIRE_EQ(ds_commit(f->ds), 0);
	}
	ATF_CHECK_EQ(r, -ENOSPC);
	return runs;
}

ALLOC_TEST(every_chunk_can_be_had_and_given_back)
{
	static uint64_t run[1200];
	static unsigned count[1200];
	struct ds_space before, full, after;
	uint64_t got = 0;
	unsigned runs;

	ATF_REQUIRE_EQ(ds_space(f->ds, &before), 0);
	runs = fill_up(f, run, count, 1200);
	for (unsigned i = 0; i < runs; i++)
		got += count[i];
	ATF_CHECK_EQ(got * CHUNK_SIZE, before.free_bytes);
	ATF_REQUIRE_EQ(ds_space(f->ds, &full), 0);
	ATF_CHECK_EQ(full.free_bytes, 0);
	for (unsigned i = 0; i < runs; i++)
		free_run(f, run[i], count[i]);
	ATF_REQUIRE_EQ(ds_commit(f->ds), 0);
	ATF_REQUIRE_EQ(ds_space(f->ds, &after), 0);
	ATF_CHECK_EQ(after.free_bytes, before.free_bytes);
	ATF_REQUIRE_EQ(fixture_umount(f), 0);
	ATF_CHECK_EQ(fixture_check_space(f, f->disk) * CHUNK_SIZE,
	    before.free_bytes);
}

ALLOC_TEST(metadata_fits_into_the_last_free_chunk)
{
	static uint64_t run[1200];
	static unsigned count[1200];
	unsigned runs = fill_up(f, run, count, 1200);
	uint64_t block;
	struct txn *t;
	int r;

	ATF_CHECK_EQ(alloc_reserve(f->ds, 1, 0), -ENOSPC);
	free_run(f, run[runs / 2], 1);
	ATF_REQUIRE_EQ(ds_commit(f->ds), 0);
	ATF_CHECK_EQ(alloc_reserve(f->ds, 0, 15), 0);
	/* 15 in the chunk, and what the root's metachunk has left. */
	for (unsigned i = 0; i < 15; i++) {
		ATF_REQUIRE_EQ(txn_begin(f->ds, 4, &t), 0);
		r = alloc_meta(t, 0, BLOCK_MAP_LEAF, &block);
		txn_end(t);
		ATF_REQUIRE_EQ(r, 0);
	}
}

ALLOC_TEST(who_finds_no_other_space_waits_for_what_was_freed)
{
	static uint64_t run[1200];
	static unsigned count[1200];
	unsigned runs = fill_up(f, run, count, 1200);

	free_run(f, run[runs / 2], 1);
	ATF_CHECK_EQ(alloc_reserve(f->ds, 1, 0), 0);
	ATF_CHECK_EQ(alloc_one(f, 0), run[runs / 2]);
	free_run(f, run[runs / 2], 1);
	ATF_REQUIRE_EQ(ds_commit(f->ds), 0);
	ATF_CHECK_EQ(alloc_reserve(f->ds, 1, 0), 0);
}

ALLOC_TEST(freed_metadata_block_waits_for_the_checkpoint)
{
	uint64_t a, b;
	struct txn *t;

	ATF_REQUIRE_EQ(txn_begin(f->ds, 4, &t), 0);
	ATF_REQUIRE_EQ(alloc_meta(t, 0, BLOCK_MAP_LEAF, &a), 0);
	txn_end(t);
	ATF_REQUIRE_EQ(ds_commit(f->ds), 0);
	ATF_REQUIRE_EQ(txn_begin(f->ds, 4, &t), 0);
	ATF_REQUIRE_EQ(free_meta(t, a), 0);
	ATF_REQUIRE_EQ(alloc_meta(t, a, BLOCK_MAP_LEAF, &b), 0);
	txn_end(t);
	ATF_CHECK(a != b);
	ATF_REQUIRE_EQ(ds_commit(f->ds), 0);
	ATF_REQUIRE_EQ(txn_begin(f->ds, 4, &t), 0);
	ATF_REQUIRE_EQ(alloc_meta(t, a, BLOCK_MAP_LEAF, &b), 0);
	txn_end(t);
	ATF_CHECK(a != b);
	ATF_REQUIRE_EQ(ds_checkpoint(f->ds, 0), 0);
	ATF_REQUIRE_EQ(txn_begin(f->ds, 4, &t), 0);
	ATF_REQUIRE_EQ(alloc_meta(t, a, BLOCK_MAP_LEAF, &b), 0);
	txn_end(t);
	ATF_CHECK_EQ(a, b);
}

ALLOC_TEST(block_of_one_transaction_is_given_out_again)
{
	uint64_t a, b;
	struct txn *t;

	ATF_REQUIRE_EQ(txn_begin(f->ds, 4, &t), 0);
	ATF_REQUIRE_EQ(alloc_meta(t, 0, BLOCK_MAP_LEAF, &a), 0);
	ATF_REQUIRE_EQ(free_meta(t, a), 0);
	ATF_REQUIRE_EQ(alloc_meta(t, a, BLOCK_MAP_LEAF, &b), 0);
	txn_end(t);
	ATF_CHECK_EQ(a, b);
}

/* Its lock record may be on the disk already. */
ALLOC_TEST(lockable_block_waits_for_the_commit_in_any_case)
{
	uint64_t a, b;
	struct txn *t;

	ATF_REQUIRE_EQ(txn_begin(f->ds, 4, &t), 0);
	ATF_REQUIRE_EQ(alloc_meta(t, 0, BLOCK_INODE, &a), 0);
	ATF_REQUIRE_EQ(free_meta(t, a), 0);
	ATF_REQUIRE_EQ(alloc_meta(t, a, BLOCK_MAP_LEAF, &b), 0);
	txn_end(t);
	ATF_CHECK(a != b);
}

ALLOC_TEST(unused_promises_cost_no_commit)
{
	struct txn *t;
	uint64_t a;

	ATF_REQUIRE_EQ(ds_commit(f->ds), 0);
	a = f->ds->durable_id;
	for (unsigned i = 0; i < 1000; i++) {
		ATF_REQUIRE_EQ(txn_begin(f->ds, 24, &t), 0);
		txn_end(t);
	}
	ATF_CHECK_EQ(f->ds->durable_id, a);
}

/* Allocates or frees n metadata blocks, some per transaction. */
static void
many_meta(struct fixture *f, uint64_t *blocks, unsigned n, bool take)
{
	struct txn *t;

	for (unsigned i = 0; i < n; i++) {
		ATF_REQUIRE_EQ(txn_begin(f->ds, 4, &t), 0);
		ATF_REQUIRE_EQ(take ? alloc_meta(t, 0, BLOCK_MAP_LEAF,
		    &blocks[i]) : free_meta(t, blocks[i]), 0);
		txn_end(t);
	}
	ATF_REQUIRE_EQ(ds_checkpoint(f->ds, 0), 0);
}

ALLOC_TEST(empty_metachunks_become_space_again)
{
	struct ds_space before, after;
	uint64_t blocks[300];

	ATF_REQUIRE_EQ(ds_space(f->ds, &before), 0);
	many_meta(f, blocks, 300, true);
	many_meta(f, blocks, 300, false);
	for (unsigned i = 0; i < 10; i++)
		ATF_REQUIRE_EQ(mchunk_retire(f->ds, 8), 0);
	ATF_REQUIRE_EQ(ds_checkpoint(f->ds, 0), 0);
	ATF_REQUIRE_EQ(ds_space(f->ds, &after), 0);
	/* A few stay in reserve. */
	ATF_CHECK(before.free_bytes - after.free_bytes <= 6 * CHUNK_SIZE);
}

/* One chunk of each half MiB is taken. */
static void
make_pieces(struct fixture *f, uint64_t cluster)
{
	uint64_t chunk;
	struct lease *l;
	struct txn *t;
	unsigned n;

	ATF_REQUIRE_EQ(lease_take(f->ds, cluster, &l), 0);
	ATF_REQUIRE_EQ(txn_begin(f->ds, 8, &t), 0);
	for (uint32_t i = 0; i < l->info.chunks; i += 8)
		ATF_REQUIRE_EQ(alloc_chunks(t, l->first_chunk + i, 1, &chunk,
		    &n), 0);
	txn_end(t);
	ATF_REQUIRE_EQ(lease_trim(f->ds, true), 0);
}

static int
body_pieces(void *arg)
{
	struct disk *disk;
	struct fixture f;

	(void)arg;
	ATF_REQUIRE_EQ(disk_mem_open(1900 * MIB, 512, &disk), 0);
	fixture_init(&f, disk, true);
	ATF_REQUIRE_EQ(fixture_mount(&f), 0);
	ATF_REQUIRE(volume_clusters(&f.super) > LEASES_MAX + 1);
	for (uint64_t c = 0; c < volume_clusters(&f.super); c++)
		make_pieces(&f, c);
	ATF_CHECK_EQ(alloc_reserve_mib(f.ds), -ENOSPC);
	ATF_CHECK_MSG(f.ds->n_leases <= LEASES_MAX, "%u leases",
	    f.ds->n_leases);
	ATF_REQUIRE_EQ(fixture_umount(&f), 0);
	disk_close(disk);
	return 0;
}

ATF_TC_WITHOUT_HEAD(the_search_for_a_mib_leaves_clusters_to_others);
ATF_TC_BODY(the_search_for_a_mib_leaves_clusters_to_others, tc)
{
	(void)tc;
	fixture_run(body_pieces, NULL);
}

/* ---- telling the LUN ---- */

static unsigned
untold(struct fixture *f)
{
	unsigned n = 0;

	list_for_each(node, tmp, &f->ds->leases) {
		const struct lease *l = list_entry(node, struct lease, link);

		for (uint32_t i = 0; i < l->info.chunks; i++)
			n += bitmap_get(l->discard, i);
	}
	return n;
}

static void
take_and_free(struct fixture *f, unsigned mibs)
{
	uint64_t chunk[16];
	struct txn *t;
	unsigned n;

	for (unsigned i = 0; i < mibs; i++) {
		ATF_REQUIRE_EQ(txn_begin(f->ds, 4, &t), 0);
		ATF_REQUIRE_EQ(alloc_chunks(t, 0, 16, &chunk[i], &n), 0);
		ATF_REQUIRE_EQ(n, 16);
		txn_end(t);
	}
	for (unsigned i = 0; i < mibs; i++)
		free_run(f, chunk[i], 16);
	ATF_REQUIRE_EQ(ds_checkpoint(f->ds, 0), 0);
}

ALLOC_TEST(the_lun_is_told_no_faster_than_the_rate)
{
	unsigned told;

	f->ds->conf.checkpoint_ms = 500;
	f->ds->conf.discard_rate = 4 * MIB;
	take_and_free(f, 8);
	ATF_REQUIRE_EQ(untold(f), 128);
	discard_pass(f->ds);
	told = 128 - untold(f);
	/* Of 2 MiB for each half a second. */
	ATF_CHECK_MSG(told >= 16 && told <= 33, "%u chunks", told);
	for (unsigned i = 0; i < 4; i++)
		discard_pass(f->ds);
	ATF_CHECK_EQ(untold(f), 0);
}

ALLOC_TEST(a_cluster_stays_until_the_lun_is_told)
{
	f->ds->conf.checkpoint_ms = 500;
	f->ds->conf.discard_rate = 4 * MIB;
	take_and_free(f, 8);
	for (unsigned i = 0; i < 40; i++)
		ATF_REQUIRE_EQ(lease_trim(f->ds, false), 0);
	ATF_CHECK_EQ(untold(f), 128);
	while (untold(f) > 0)
		discard_pass(f->ds);
	for (unsigned i = 0; i < 40; i++)
		ATF_REQUIRE_EQ(lease_trim(f->ds, false), 0);
	ATF_CHECK_EQ(f->ds->n_leases, 0);
}

ALLOC_TEST(the_lun_is_told_of_a_chunk_that_was_held_for_nothing)
{
	uint64_t chunk;

	take_and_free(f, 1);
	while (untold(f) > 0)
		discard_pass(f->ds);
	chunk = alloc_hold(f->ds, 0);
	ATF_REQUIRE(chunk != 0);
	ATF_CHECK_EQ(untold(f), 0);
	alloc_drop_held(f->ds, chunk);
	ATF_CHECK_EQ(untold(f), 1);
}

/* ---- clusters of another host ---- */

static uint64_t foreign_addr;
static int foreign_error = -VMFS_ELOCKED;

static int
foreign_acquire(struct lockops *l, uint64_t addr, enum lock_mode mode,
    unsigned flags, uint64_t deadline_ns, struct lock_grant *ret_g,
    struct lock_holder *ret_holder)
{
	if (addr == foreign_addr)
		return foreign_error;
	return acquire_really(l, addr, mode, flags, deadline_ns, ret_g,
	    ret_holder);
}

static void
make_foreign(struct fixture *f, uint64_t addr)
{
	foreign_addr = addr;
	acquire_by(f, foreign_acquire);
}

/* Chunks and a metadata block in a cluster; its number and lock address. */
static uint64_t
use_cluster(struct fixture *f, uint64_t *ret_chunk, uint64_t *ret_meta)
{
	uint64_t cluster;
	struct txn *t;

	*ret_chunk = alloc_one(f, 0);
	cluster = *ret_chunk * CHUNK_BLOCKS / f->super.cluster_blocks;
	ATF_REQUIRE_EQ(txn_begin(f->ds, 4, &t), 0);
	ATF_REQUIRE_EQ(alloc_meta(t, *ret_chunk * CHUNK_BLOCKS, BLOCK_MAP_LEAF,
	    ret_meta), 0);
	txn_end(t);
	ATF_REQUIRE_EQ(*ret_meta / f->super.cluster_blocks, cluster);
	ATF_REQUIRE_EQ(lease_trim(f->ds, true), 0);
	return volume_cluster_block(&f->super, cluster);
}

static void
free_both(struct fixture *f, uint64_t chunk, uint64_t meta)
{
	struct txn *t;

	ATF_REQUIRE_EQ(txn_begin(f->ds, 8, &t), 0);
	ATF_REQUIRE_EQ(free_chunks(t, chunk, 1), 0);
	ATF_REQUIRE_EQ(free_meta(t, meta), 0);
	txn_end(t);
}

static void
frees_wait(struct fixture *f)
{
	uint64_t chunk, meta, addr = use_cluster(f, &chunk, &meta);
	struct ds_space before, logged, after;
	struct recover_report rep;

	ATF_REQUIRE_EQ(ds_space(f->ds, &before), 0);
	make_foreign(f, addr);
	free_both(f, chunk, meta);
	ATF_REQUIRE_EQ(ds_commit(f->ds), 0);
	ATF_REQUIRE_EQ(ds_space(f->ds, &logged), 0);
	ATF_CHECK(logged.free_bytes <= before.free_bytes);
	ATF_REQUIRE_EQ(remote_free_apply(f->ds), 0);
	/* The log outlives this mount. */
	fixture_crash(f);
	ATF_REQUIRE_EQ(fixture_recover(f, f->disk, &rep), 0);
	ATF_REQUIRE_EQ(fixture_mount(f), 0);
	ATF_REQUIRE_EQ(remote_free_apply(f->ds), 0);
	ATF_REQUIRE_EQ(ds_checkpoint(f->ds, 0), 0);
	ATF_REQUIRE_EQ(ds_space(f->ds, &after), 0);
	ATF_CHECK(after.free_bytes > logged.free_bytes);
	ATF_CHECK_EQ(alloc_one(f, chunk), chunk);
}

ALLOC_TEST(frees_for_another_host_wait_in_the_log)
{
	frees_wait(f);
}

/* An operation has no way back by then. */
ALLOC_TEST(frees_wait_when_nobody_can_say_whose_the_cluster_is)
{
	foreign_error = -VMFS_EUNKNOWN;
	frees_wait(f);
}

ALLOC_TEST(frees_wait_when_the_cluster_is_damaged)
{
	foreign_error = -VMFS_ECORRUPT;
	frees_wait(f);
}

ALLOC_TEST(remote_log_grows_beyond_one_block)
{
	uint64_t chunk[300], addr;

	for (unsigned i = 0; i < 300; i++)
		chunk[i] = alloc_one(f, i > 0 ? chunk[i - 1] + 1 : 0);
	(void)alloc_one(f, 0);
	addr = volume_cluster_block(&f->super, chunk[0] * CHUNK_BLOCKS /
	    f->super.cluster_blocks);
	ATF_REQUIRE_EQ(lease_trim(f->ds, true), 0);
	make_foreign(f, addr);
	for (unsigned i = 0; i < 300; i += 2)
		free_run(f, chunk[i], 1);
	for (unsigned i = 1; i < 300; i += 2)
		free_run(f, chunk[i], 1);
	ATF_REQUIRE_EQ(ds_commit(f->ds), 0);
	acquire_as_before(f);
	ATF_REQUIRE_EQ(remote_free_apply(f->ds), 0);
	ATF_REQUIRE_EQ(ds_checkpoint(f->ds, 0), 0);
	ATF_CHECK_EQ(alloc_one(f, chunk[0]), chunk[0]);
	ATF_CHECK_EQ(alloc_one(f, chunk[200]), chunk[200]);
}

/* ---- a power cut anywhere in a history of taking and giving back ---- */

#define RUNS 24u

static void
churn(struct fixture *f, struct prng *p, uint64_t *run, unsigned *count,
    uint64_t *meta)
{
	unsigned i = (unsigned)prng_below(p, RUNS);
	struct txn *t;

	ATF_REQUIRE_EQ(txn_begin(f->ds, 8, &t), 0);
	if (count[i] == 0) {
		ATF_REQUIRE_EQ(alloc_chunks(t, 0, 1 +
		    (unsigned)prng_below(p, 20), &run[i], &count[i]), 0);
		ATF_REQUIRE_EQ(alloc_meta(t, 0, BLOCK_DIR_LEAF, &meta[i]), 0);
	} else {
		ATF_REQUIRE_EQ(free_chunks(t, run[i], count[i]), 0);
		ATF_REQUIRE_EQ(free_meta(t, meta[i]), 0);
		count[i] = 0;
	}
	txn_end(t);
	switch (prng_below(p, 8)) {
	case 0:
		ATF_REQUIRE_EQ(ds_checkpoint(f->ds, 0), 0);
		break;
	case 1:
		ATF_REQUIRE_EQ(lease_trim(f->ds, true), 0);
		break;
	case 2:
		break;
	default:
		ATF_REQUIRE_EQ(ds_commit(f->ds), 0);
	}
}

static int
churn_and_cut(void *arg)
{
	uint64_t run[RUNS] = { 0 }, meta[RUNS] = { 0 };
	unsigned count[RUNS] = { 0 };
	struct recover_report rep;
	struct crash_disk *c;
	struct disk *image;
	struct fixture f;
	struct prng p;
	size_t first;

	(void)arg;
	ATF_REQUIRE_EQ(crash_disk_open(64 * MIB, 512, &c), 0);
	fixture_init(&f, crash_disk_disk(c), true);
	ATF_REQUIRE_EQ(fixture_mount(&f), 0);
	first = crash_disk_writes(c);
	prng_seed(&p, 3);
	for (unsigned i = 0; i < 120; i++)
		churn(&f, &p, run, count, meta);
	for (size_t n = first; n < crash_disk_writes(c); n++) {
		enum crash_kind kind = (enum crash_kind)(n % 3);

		ATF_REQUIRE_EQ(crash_disk_image(c, n, kind == CRASH_TORN ?
		    CRASH_LOST : kind, n, &image), 0);
		ATF_REQUIRE_EQ(fixture_recover(&f, image, &rep), 0);
		(void)fixture_check_space(&f, image);
		disk_close(image);
	}
	ATF_REQUIRE_EQ(fixture_umount(&f), 0);
	crash_disk_close(c);
	return 0;
}

ATF_TC_WITHOUT_HEAD(counters_and_bitmaps_agree_after_any_cut);
ATF_TC_BODY(counters_and_bitmaps_agree_after_any_cut, tc)
{
	(void)tc;
	fixture_run(churn_and_cut, NULL);
}

ATF_TP_ADD_TCS(tp)
{
	ATF_TP_ADD_TC(tp, a_mib_is_aligned);
	ATF_TP_ADD_TC(tp, hint_keeps_a_file_together);
	ATF_TP_ADD_TC(tp, freed_chunk_waits_for_the_checkpoint);
	ATF_TP_ADD_TC(tp, double_free_is_refused);
	ATF_TP_ADD_TC(tp, the_search_for_a_mib_leaves_clusters_to_others);
	ATF_TP_ADD_TC(tp, the_lun_is_told_no_faster_than_the_rate);
	ATF_TP_ADD_TC(tp, a_cluster_stays_until_the_lun_is_told);
	ATF_TP_ADD_TC(tp,
	    the_lun_is_told_of_a_chunk_that_was_held_for_nothing);
	ATF_TP_ADD_TC(tp, every_chunk_can_be_had_and_given_back);
	ATF_TP_ADD_TC(tp, metadata_fits_into_the_last_free_chunk);
	ATF_TP_ADD_TC(tp, who_finds_no_other_space_waits_for_what_was_freed);
	ATF_TP_ADD_TC(tp, freed_metadata_block_waits_for_the_checkpoint);
	ATF_TP_ADD_TC(tp, block_of_one_transaction_is_given_out_again);
	ATF_TP_ADD_TC(tp,
	    lockable_block_waits_for_the_commit_in_any_case);
	ATF_TP_ADD_TC(tp, unused_promises_cost_no_commit);
	ATF_TP_ADD_TC(tp, empty_metachunks_become_space_again);
	ATF_TP_ADD_TC(tp, frees_for_another_host_wait_in_the_log);
	ATF_TP_ADD_TC(tp, frees_wait_when_nobody_can_say_whose_the_cluster_is);
	ATF_TP_ADD_TC(tp, frees_wait_when_the_cluster_is_damaged);
	ATF_TP_ADD_TC(tp, remote_log_grows_beyond_one_block);
	ATF_TP_ADD_TC(tp, counters_and_bitmaps_agree_after_any_cut);
	return atf_no_error();
}
