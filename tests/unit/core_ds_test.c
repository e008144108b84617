/* SPDX-License-Identifier: BSD-2-Clause */
/* Opening, committing, checkpointing, replaying a datastore. */
#include <atf-c.h>
#include <stdlib.h>
#include <string.h>

#include "libvmfs/base/units.h"
#include "tests/unit/core_fixture.h"

/* A test body gets a mounted datastore on a fresh LUN. */
struct body {
	void (*fn)(struct fixture *f);
	uint32_t sector;
};

static int
body_run(void *arg)
{
	const struct body *b = arg;
	struct fixture f;
	struct disk *disk;

	ATF_REQUIRE_EQ(disk_mem_open(64 * MIB, b->sector, &disk), 0);
	fixture_init(&f, disk, true);
	ATF_REQUIRE_EQ(fixture_mount(&f), 0);
	b->fn(&f);
	if (f.ds != NULL)
		ATF_REQUIRE_EQ(fixture_umount(&f), 0);
	disk_close(disk);
	return 0;
}

#define DS_TEST(name)							\
static void body_##name(struct fixture *f);				\
ATF_TC_WITHOUT_HEAD(name);						\
ATF_TC_BODY(name, tc)							\
{									\
	struct body b = { body_##name, 512 };				\
	(void)tc;							\
	fixture_run(body_run, &b);					\
}									\
ATF_TC_WITHOUT_HEAD(name##_4kn);					\
ATF_TC_BODY(name##_4kn, tc)						\
{									\
	struct body b = { body_##name, 4096 };				\
	(void)tc;							\
	fixture_run(body_run, &b);					\
}									\
static void								\
body_##name(struct fixture *f)

/* Locks a new inode block and gives it `blocks` more of metadata. */
static struct lock_grant
make_owner(struct fixture *f, uint64_t *blocks, unsigned count, uint8_t fill)
{
	struct lock_grant g;
	struct mblk *b;
	struct txn *t;
	uint64_t ino;

	ATF_REQUIRE_EQ(alloc_reserve(f->ds, 0, count + 1), 0);
	ATF_REQUIRE_EQ(txn_begin(f->ds, count + 4, &t), 0);
	ATF_REQUIRE_EQ(alloc_meta(t, 0, BLOCK_INODE, &ino), 0);
	ATF_REQUIRE_EQ(f->locks->vt->create(f->locks, ino, &g), 0);
	ATF_REQUIRE_EQ(mb_new(t, &g, ino, BLOCK_INODE, &b), 0);
	b->data[1000] = fill;
	mb_put(b);
	for (unsigned i = 0; i < count; i++) {
		ATF_REQUIRE_EQ(alloc_meta(t, ino, BLOCK_MAP_LEAF,
		    &blocks[i]), 0);
		ATF_REQUIRE_EQ(mb_new(t, &g, blocks[i], BLOCK_MAP_LEAF, &b), 0);
		memset(b->data + 64, fill, BLOCK_PAYLOAD);
		mb_put(b);
	}
	txn_end(t);
	return g;
}

static void
set_byte(struct fixture *f, const struct lock_grant *g, uint64_t addr,
    unsigned offset, uint8_t value)
{
	struct mblk *b;
	struct txn *t;

	ATF_REQUIRE_EQ(txn_begin(f->ds, 1, &t), 0);
	ATF_REQUIRE_EQ(mb_read(f->ds, g, addr, 0, &b), 0);
	b->data[offset] = value;
	mb_dirty(t, b, offset, 1);
	mb_put(b);
	txn_end(t);
}

static uint8_t
disk_byte(struct fixture *f, uint64_t addr, unsigned offset)
{
	uint8_t buf[BLOCK_SIZE];

	ATF_REQUIRE_EQ(block_read_unlocked(f->ds, addr, 0, 0, buf), 0);
	return buf[offset];
}

DS_TEST(new_datastore_opens_twice)
{
	ATF_REQUIRE_EQ(fixture_umount(f), 0);
	ATF_REQUIRE_EQ(fixture_mount(f), 0);
	ATF_CHECK_EQ(ds_health(f->ds), 0);
	ATF_CHECK(f->locks->journal_block != 0);
}

DS_TEST(unlock_puts_blocks_in_place)
{
	uint64_t leaf;
	struct lock_grant g = make_owner(f, &leaf, 1, 0x5a);
	uint64_t ino = g.addr;

	ATF_REQUIRE_EQ(ds_unlock(f->ds, &g), 0);
	ATF_CHECK_EQ(g.mode, LOCK_FREE);
	ATF_CHECK_EQ(disk_byte(f, leaf, 64), 0x5a);
	ATF_CHECK_EQ(disk_byte(f, ino, 1000), 0x5a);
}

DS_TEST(committed_changes_survive_a_crash)
{
	struct recover_report rep;
	uint64_t leaf;
	struct lock_grant g = make_owner(f, &leaf, 1, 0x11);
	uint64_t ino = g.addr;

	ATF_REQUIRE_EQ(ds_commit(f->ds), 0);
	set_byte(f, &g, leaf, 70, 0x22);
	set_byte(f, &g, leaf, 4000, 0x33);
	ATF_REQUIRE_EQ(ds_commit(f->ds), 0);
	set_byte(f, &g, leaf, 71, 0x44);	/* never committed */
	fixture_crash(f);
	ATF_REQUIRE_EQ(fixture_recover(f, f->disk, &rep), 0);
	ATF_CHECK_EQ(rep.commits, 2);
	ATF_REQUIRE_EQ(fixture_mount(f), 0);
	ATF_CHECK_EQ(disk_byte(f, leaf, 70), 0x22);
	ATF_CHECK_EQ(disk_byte(f, leaf, 4000), 0x33);
	ATF_CHECK_EQ(disk_byte(f, leaf, 71), 0x11);
	ATF_CHECK_EQ(disk_byte(f, ino, 1000), 0x11);
}

DS_TEST(second_replay_applies_nothing)
{
	struct recover_report rep;
	uint64_t leaf;

	(void)make_owner(f, &leaf, 1, 0x11);
	ATF_REQUIRE_EQ(ds_commit(f->ds), 0);
	fixture_crash(f);
	ATF_REQUIRE_EQ(fixture_recover(f, f->disk, &rep), 0);
	ATF_CHECK(rep.applied > 0);
	ATF_REQUIRE_EQ(fixture_recover(f, f->disk, &rep), 0);
	ATF_CHECK_EQ(rep.commits, 0);
}

DS_TEST(open_refuses_a_journal_not_replayed)
{
	struct recover_report rep;
	uint64_t leaf;

	(void)make_owner(f, &leaf, 1, 0x11);
	ATF_REQUIRE_EQ(ds_commit(f->ds), 0);
	fixture_crash(f);
	ATF_CHECK_EQ(fixture_mount(f), -EUCLEAN);
	ATF_REQUIRE_EQ(fixture_recover(f, f->disk, &rep), 0);
}

DS_TEST(replay_leaves_released_locks_alone)
{
	struct recover_report rep;
	struct lock_grant g;
	uint64_t leaf;

	g = make_owner(f, &leaf, 1, 0x11);
	ATF_REQUIRE_EQ(ds_commit(f->ds), 0);
	ATF_REQUIRE_EQ(f->locks->vt->release(f->locks, &g), 0);
	fixture_crash(f);
	ATF_REQUIRE_EQ(fixture_recover(f, f->disk, &rep), 0);
	ATF_CHECK(rep.stale >= 2);
}

/* As another owner of the block would have left it, ahead of the log. */
DS_TEST(replay_leaves_newer_blocks_alone)
{
	struct recover_report rep;
	uint8_t *buf = disk_buf_alloc(BLOCK_SIZE);
	uint64_t leaf;

	(void)make_owner(f, &leaf, 1, 0x11);
	ATF_REQUIRE_EQ(ds_commit(f->ds), 0);
	fixture_crash(f);
	buf[64] = 0x77;
	block_hdr_encode(buf, &(struct block_hdr) { BLOCK_DIR_LEAF, leaf, 1, 1,
	    1ull << 40 }, &f->super.uuid);
	ATF_REQUIRE_EQ(disk_write(f->disk, leaf << BLOCK_SHIFT, buf,
	    BLOCK_SIZE, 0), 0);
	free(buf);
	ATF_REQUIRE_EQ(fixture_recover(f, f->disk, &rep), 0);
	ATF_CHECK_EQ(rep.stale, 1);
	ATF_REQUIRE_EQ(fixture_mount(f), 0);
	ATF_CHECK_EQ(disk_byte(f, leaf, 64), 0x77);
}

/* Far more than the ring holds: it wraps, checkpoints by itself, waits. */
DS_TEST(journal_wraps_and_replays)
{
	struct recover_report rep;
	uint64_t leaf[40];
	struct lock_grant g = make_owner(f, leaf, 40, 0);
	struct prng p;
	uint8_t want[40] = { 0 };
	struct mblk *b;
	struct txn *t;

	prng_seed(&p, 7);
	for (unsigned n = 0; n < 200; n++) {
		ATF_REQUIRE_EQ(txn_begin(f->ds, 12, &t), 0);
		for (unsigned k = 0; k < 12; k++) {
			unsigned i = (unsigned)prng_below(&p, 40);

			want[i] = (uint8_t)prng_u64(&p);
			ATF_REQUIRE_EQ(mb_read(f->ds, &g, leaf[i],
			    BLOCK_MAP_LEAF, &b), 0);
			memset(b->data + 64, want[i], BLOCK_PAYLOAD);
			mb_dirty(t, b, 64, BLOCK_PAYLOAD);
			mb_put(b);
		}
		txn_end(t);
		ATF_REQUIRE_EQ(ds_commit(f->ds), 0);
	}
	fixture_crash(f);
	ATF_REQUIRE_EQ(fixture_recover(f, f->disk, &rep), 0);
	ATF_REQUIRE_EQ(fixture_mount(f), 0);
	for (unsigned i = 0; i < 40; i++)
		ATF_CHECK_EQ(disk_byte(f, leaf[i], 4095), want[i]);
}

DS_TEST(transaction_that_cannot_fit_is_refused)
{
	struct txn *t;

	ATF_CHECK_EQ(txn_begin(f->ds, 100000, &t), -VMFS_ELIMIT);
}

DS_TEST(orphans_survive_a_crash)
{
	struct recover_report rep;
	uint64_t inos[4];
	struct txn *t;

	ATF_REQUIRE_EQ(txn_begin(f->ds, 1, &t), 0);
	ATF_REQUIRE_EQ(orphan_add(t, 1001), 0);
	ATF_REQUIRE_EQ(orphan_add(t, 1002), 0);
	ATF_REQUIRE_EQ(orphan_add(t, 1003), 0);
	ATF_REQUIRE_EQ(orphan_remove(t, 1001), 0);
	ATF_CHECK_EQ(orphan_remove(t, 9), -ENOENT);
	txn_end(t);
	ATF_REQUIRE_EQ(ds_commit(f->ds), 0);
	fixture_crash(f);
	ATF_REQUIRE_EQ(fixture_recover(f, f->disk, &rep), 0);
	ATF_REQUIRE_EQ(fixture_mount(f), 0);
	ATF_REQUIRE_EQ(orphan_list(f->ds, inos, 4), 2);
	ATF_CHECK_EQ(inos[0], 1003);
	ATF_CHECK_EQ(inos[1], 1002);
}

DS_TEST(damaged_block_is_reported)
{
	uint64_t leaf;
	struct lock_grant g = make_owner(f, &leaf, 1, 0x11);
	struct lock_grant again;
	uint64_t ino = g.addr;
	uint8_t *buf = disk_buf_alloc(BLOCK_SIZE);
	struct mblk *b;

	ATF_REQUIRE_EQ(ds_unlock(f->ds, &g), 0);
	ATF_REQUIRE_EQ(disk_read(f->disk, leaf << 12, buf, BLOCK_SIZE), 0);
	buf[2000] ^= 1;
	ATF_REQUIRE_EQ(disk_write(f->disk, leaf << 12, buf, BLOCK_SIZE, 0), 0);
	free(buf);
	ATF_REQUIRE_EQ(f->locks->vt->acquire(f->locks, ino, LOCK_EXCLUSIVE,
	    LOCK_NOWAIT, 0, &again, NULL), 0);
	ATF_CHECK_EQ(mb_read(f->ds, &again, leaf, BLOCK_MAP_LEAF, &b),
	    -VMFS_ECORRUPT);
	ATF_REQUIRE_EQ(ds_unlock(f->ds, &again), 0);
}

DS_TEST(cache_stays_within_its_bound)
{
	uint64_t leaf[64];
	struct lock_grant g;
	struct mblk *b;

	ATF_REQUIRE_EQ(fixture_umount(f), 0);
	f->conf.cache_bytes = 1;	/* the least there is */
	ATF_REQUIRE_EQ(fixture_mount(f), 0);
	for (unsigned round = 0; round < 6; round++) {
		g = make_owner(f, leaf, 30, (uint8_t)round);
		ATF_REQUIRE_EQ(ds_checkpoint(f->ds, 0), 0);
		for (unsigned i = 0; i < 30; i++) {
			ATF_REQUIRE_EQ(mb_read(f->ds, &g, leaf[i],
			    BLOCK_MAP_LEAF, &b), 0);
			ATF_CHECK_EQ(b->data[64], round);
			mb_put(b);
		}
		ATF_REQUIRE_EQ(ds_unlock(f->ds, &g), 0);
	}
}

#define ADD(name)							\
	ATF_TP_ADD_TC(tp, name);					\
	ATF_TP_ADD_TC(tp, name##_4kn)

ATF_TP_ADD_TCS(tp)
{
	ADD(new_datastore_opens_twice);
	ADD(unlock_puts_blocks_in_place);
	ADD(committed_changes_survive_a_crash);
	ADD(second_replay_applies_nothing);
	ADD(open_refuses_a_journal_not_replayed);
	ADD(replay_leaves_released_locks_alone);
	ADD(replay_leaves_newer_blocks_alone);
	ADD(journal_wraps_and_replays);
	ADD(transaction_that_cannot_fit_is_refused);
	ADD(orphans_survive_a_crash);
	ADD(damaged_block_is_reported);
	ADD(cache_stays_within_its_bound);
	return atf_no_error();
}
