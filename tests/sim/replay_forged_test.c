/* SPDX-License-Identifier: BSD-2-Clause */
/* Commits of dead hosts that are whole and say what no host would. */
#include <atf-c.h>
#include <string.h>

#include "tests/sim/replay_rig.h"

#define MANY 100u

static uint8_t image[BLOCK_SIZE];

/* A block that nothing names. */
static uint64_t
nobodys(const struct sim_log *l)
{
	uint64_t block = l->w->super.blocks - 400;

	while (!bytes_are_zero(sim_block(l->w, block), BLOCK_SIZE))
		block--;
	return block;
}

/* An image of a block, under the lock of the disk, which the dead host has. */
static struct journal_record
forged(const struct sim_log *l, enum block_type type, uint64_t addr)
{
	struct lockrec lock = { 0 };

	WORLD_CHECK(l->w, lockrec_decode(sim_block(l->w, rig.ino),
	    &l->w->super.uuid, rig.ino, &lock) == 0 &&
	    lock.mode == LOCK_EXCLUSIVE && lock.slot == l->hb.slot);
	memset(image, 0x77, sizeof(image));
	return (struct journal_record){
		.type = JOURNAL_IMAGE, .block_type = type,
		.offset = block_hdr_offset(type),
		.length = block_hdr_covers(type), .addr = addr, .owner = rig.ino,
		.lockver = lock.version, .bytes = image,
	};
}

static void
append(struct sim_log *l, const struct journal_record *r, unsigned count,
    uint64_t lsn)
{
	struct sim_commit k;

	replay_save(l, l->hb.journal_block + l->pos[l->count], SIM_COMMIT_BLOCKS);
	sim_commit_init(&k);
	for (unsigned i = 0; i < count; i++)
		sim_commit_add(&k, &r[i]);
	sim_log_append(l, &k, lsn);
}

static uint64_t
next_lsn(const struct sim_log *l)
{
	return l->c[l->count - 1].lsn + 1;
}

/* The block that the forged record names. */
static void
aim(const struct sim_log *l, uint64_t block)
{
	rig.target = block;
	memcpy(rig.target_was, sim_block(l->w, block), BLOCK_SIZE);
}

static void
misplaced(struct sim_log *l, enum block_type type, uint64_t addr)
{
	struct journal_record r = forged(l, type, addr);

	if (addr < l->w->super.blocks)
		aim(l, addr);
	append(l, &r, 1, next_lsn(l));
}

static void
behind_the_end(struct sim_log *l)
{
	misplaced(l, BLOCK_MAP_LEAF, l->w->super.blocks);
}

static void
before_the_slots(struct sim_log *l)
{
	misplaced(l, BLOCK_MAP_LEAF, SLOT_TABLE_BLOCK - 1);
}

static void
another_slot(struct sim_log *l)
{
	unsigned slot = l->hb.slot ^ 1;
	struct heartbeat hb;

	WORLD_CHECK(l->w, heartbeat_decode(sim_block(l->w,
	    SLOT_TABLE_BLOCK + slot), &l->w->super.uuid, slot, &hb) == 0 &&
	    hb.name[0] == '\0');
	misplaced(l, BLOCK_SLOT, SLOT_TABLE_BLOCK + slot);
}

static void
own_slot_as_a_leaf(struct sim_log *l)
{
	struct journal_record r = forged(l, BLOCK_MAP_LEAF,
	    SLOT_TABLE_BLOCK + l->hb.slot);

	append(l, &r, 1, next_lsn(l));
}

static void
superblock(struct sim_log *l)
{
	misplaced(l, BLOCK_MAP_LEAF, SUPER_BLOCK_1);
}

static void
last_superblock(struct sim_log *l)
{
	misplaced(l, BLOCK_MAP_LEAF, l->w->super.copy2_block);
}

static void
the_journal(struct sim_log *l)
{
	misplaced(l, BLOCK_MAP_LEAF, l->hb.journal_block +
	    l->head.blocks - 1);
}

static void
no_record(struct sim_log *l)
{
	struct journal_record r = forged(l, BLOCK_MAP_LEAF, nobodys(l));

	aim(l, r.addr);
	r.type = (enum journal_record_type)7;
	append(l, &r, 1, next_lsn(l));
}

/* The first record of the commit is good; it must not be done alone. */
static void
half_good(struct sim_log *l)
{
	struct journal_record r[2];

	r[0] = forged(l, BLOCK_MAP_LEAF, nobodys(l));
	r[1] = r[0];
	r[1].type = JOURNAL_DELTA;
	r[1].length = 8;
	r[1].addr = l->w->super.blocks;
	aim(l, r[0].addr);
	append(l, r, 2, next_lsn(l));
}

ATF_TC_WITHOUT_HEAD(what_has_no_place_in_a_journal_is_not_written);
ATF_TC_BODY(what_has_no_place_in_a_journal_is_not_written, tc)
{
	static const struct {
		const char *name;
		void (*spoil)(struct sim_log *l);
	} table[] = {
		{ "behind the end", behind_the_end },
		{ "before the slots", before_the_slots },
		{ "another slot", another_slot },
		{ "own slot as a leaf", own_slot_as_a_leaf },
		{ "superblock", superblock },
		{ "last superblock", last_superblock },
		{ "the journal", the_journal },
		{ "no record", no_record },
		{ "half good", half_good },
	};

	(void)tc;
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
		replay_run(table[i].name, table[i].spoil, true, REPLAY_ROUNDS);
}

/* ---- records whose time is over ---- */

static void
under(struct sim_log *l, uint64_t owner)
{
	struct journal_record r = forged(l, BLOCK_MAP_LEAF, nobodys(l));

	r.owner = owner;
	aim(l, r.addr);
	append(l, &r, 1, next_lsn(l));
}

static void
lock_behind_the_end(struct sim_log *l)
{
	under(l, l->w->super.blocks + 1);
}

static void
lock_before_the_slots(struct sim_log *l)
{
	under(l, SLOT_TABLE_BLOCK - 1);
}

static void
lock_of_a_slot(struct sim_log *l)
{
	under(l, SLOT_TABLE_BLOCK + (l->hb.slot ^ 1));
}

static void
lock_of_nobody(struct sim_log *l)
{
	under(l, nobodys(l) - 1);
}

/* What is data by now, and no lock record. */
static void
lock_that_is_data(struct sim_log *l)
{
	uint64_t block = nobodys(l) - 1;

	memset(sim_block(l->w, block), 0x33, BLOCK_SIZE);
	under(l, block);
}

static void
put_lock(struct sim_log *l, uint64_t block, struct lockrec lock)
{
	lock.addr = block;
	lock.slot = l->hb.slot;
	lock.holder[l->hb.slot] = lock.mode == LOCK_SHARED;
	lockrec_encode(sim_block(l->w, block), &l->w->super.uuid, &lock);
}

static uint64_t
lock_version(const struct sim_log *l)
{
	return forged(l, BLOCK_MAP_LEAF, 1).lockver;
}

static void
lock_of_an_earlier_life(struct sim_log *l)
{
	uint64_t block = nobodys(l) - 1;

	put_lock(l, block, (struct lockrec){ .mode = LOCK_EXCLUSIVE,
	    .incarnation = l->hb.incarnation - 1,
	    .version = lock_version(l) });
	under(l, block);
}

static void
lock_of_many(struct sim_log *l)
{
	uint64_t block = nobodys(l) - 1;

	put_lock(l, block, (struct lockrec){ .mode = LOCK_SHARED,
	    .incarnation = l->hb.incarnation, .version = lock_version(l) });
	under(l, block);
}

static void
lock_of_another_version(struct sim_log *l)
{
	uint64_t block = nobodys(l) - 1;

	put_lock(l, block, (struct lockrec){ .mode = LOCK_EXCLUSIVE,
	    .incarnation = l->hb.incarnation,
	    .version = lock_version(l) + 1 });
	under(l, block);
}

static void
delta_of_nothing(struct sim_log *l)
{
	struct journal_record r = forged(l, BLOCK_MAP_LEAF, nobodys(l));

	r.type = JOURNAL_DELTA;
	r.offset = r.length = 64;
	aim(l, r.addr);
	append(l, &r, 1, next_lsn(l));
}

static void
put_block(struct sim_log *l, uint64_t addr, enum block_type type, uint64_t lsn)
{
	block_hdr_encode(sim_block(l->w, addr), &(struct block_hdr){
		.type = type, .addr = addr, .owner = rig.ino, .lsn = lsn,
	}, &l->w->super.uuid);
}

static void
newer_block(struct sim_log *l)
{
	uint64_t at = nobodys(l);
	struct journal_record r = forged(l, BLOCK_MAP_LEAF, at);

	put_block(l, at, BLOCK_DIR_LEAF, next_lsn(l));
	aim(l, at);
	append(l, &r, 1, next_lsn(l));
}

static void
newer_lock(struct sim_log *l)
{
	uint64_t at = nobodys(l);
	struct journal_record r = forged(l, BLOCK_MAP_LEAF, at);

	put_lock(l, at, (struct lockrec){ .version = 3, .lsn = next_lsn(l) });
	aim(l, at);
	append(l, &r, 1, next_lsn(l));
}

static void
nothing(struct sim_log *l)
{
	(void)l;
}

/* Of locks that the host gave back. */
static uint64_t
stale_anyway(void)
{
	replay_run("nothing", nothing, false, REPLAY_ROUNDS);
	return rig.replayed.stale;
}

ATF_TC_WITHOUT_HEAD(what_is_not_the_dead_hosts_any_more_stays);
ATF_TC_BODY(what_is_not_the_dead_hosts_any_more_stays, tc)
{
	static const struct {
		const char *name;
		void (*spoil)(struct sim_log *l);
	} table[] = {
		{ "lock behind the end", lock_behind_the_end },
		{ "lock before the slots", lock_before_the_slots },
		{ "lock of a slot", lock_of_a_slot },
		{ "lock of nobody", lock_of_nobody },
		{ "lock that is data", lock_that_is_data },
		{ "lock of an earlier life", lock_of_an_earlier_life },
		{ "lock of many", lock_of_many },
		{ "lock of another version", lock_of_another_version },
		{ "delta of nothing", delta_of_nothing },
		{ "newer block", newer_block },
		{ "newer lock", newer_lock },
	};
	uint64_t always = stale_anyway();

	(void)tc;
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		replay_run(table[i].name, table[i].spoil, false, REPLAY_ROUNDS);
		ATF_CHECK_EQ_MSG(always + 1, rig.replayed.stale, "%s",
		    table[i].name);
	}
}

/* ---- records that count ---- */

static void
older_block(struct sim_log *l)
{
	uint64_t at = nobodys(l);
	struct journal_record r = forged(l, BLOCK_MAP_LEAF, at);

	put_block(l, at, BLOCK_DIR_LEAF, next_lsn(l) - 1);
	append(l, &r, 1, next_lsn(l));
	rig.target = at;
}

static void
older_lock(struct sim_log *l)
{
	uint64_t at = nobodys(l);
	struct journal_record r = forged(l, BLOCK_MAP_LEAF, at);

	put_lock(l, at, (struct lockrec){ .version = 3,
	    .lsn = next_lsn(l) - 1 });
	append(l, &r, 1, next_lsn(l));
	rig.target = at;
}

/* One type to a block and commit: the second is none of it. */
static void
two_types(struct sim_log *l)
{
	struct journal_record r[2];

	r[0] = forged(l, BLOCK_MAP_LEAF, nobodys(l));
	r[1] = r[0];
	r[1].type = JOURNAL_DELTA;
	r[1].block_type = BLOCK_DIR_LEAF;
	r[1].offset = r[1].length = 64;
	append(l, r, 2, next_lsn(l));
	rig.target = r[0].addr;
}

/* Their stamp is older than what the journal has rig.replayed before. */
static void
earlier_stamp(struct sim_log *l)
{
	struct journal_record r = forged(l, BLOCK_MAP_LEAF, nobodys(l));

	append(l, &r, 1, 1);
	rig.target = r.addr;
}

static void
applies(const char *what, void (*spoil)(struct sim_log *l), uint64_t stales)
{
	uint64_t always = stale_anyway();

	rig.want_applied = true;
	replay_run(what, spoil, false, REPLAY_ROUNDS);
	rig.want_applied = false;
	ATF_CHECK_EQ_MSG(always + stales, rig.replayed.stale, "%s", what);
}

ATF_TC_WITHOUT_HEAD(what_is_the_dead_hosts_is_written);
ATF_TC_BODY(what_is_the_dead_hosts_is_written, tc)
{
	(void)tc;
	applies("older block", older_block, 0);
	applies("older lock", older_lock, 0);
	applies("two types", two_types, 1);
	applies("earlier stamp", earlier_stamp, 0);
}

static void
many_locks(struct sim_log *l)
{
	struct journal_record r[MANY];

	for (unsigned i = 0; i < MANY; i++) {
		r[i] = forged(l, BLOCK_MAP_LEAF, nobodys(l) - i % 2);
		r[i].type = JOURNAL_DELTA;
		r[i].offset = 64;
		r[i].length = 8;
		r[i].owner = nobodys(l) - MANY - i;
	}
	append(l, r, MANY, next_lsn(l));
}

ATF_TC_WITHOUT_HEAD(each_of_many_locks_is_looked_at);
ATF_TC_BODY(each_of_many_locks_is_looked_at, tc)
{
	uint64_t always = stale_anyway();

	(void)tc;
	replay_run("many locks", many_locks, false, REPLAY_ROUNDS);
	ATF_CHECK_EQ(always + MANY, rig.replayed.stale);
}

ATF_TP_ADD_TCS(tp)
{
	ATF_TP_ADD_TC(tp, what_has_no_place_in_a_journal_is_not_written);
	ATF_TP_ADD_TC(tp, what_is_not_the_dead_hosts_any_more_stays);
	ATF_TP_ADD_TC(tp, what_is_the_dead_hosts_is_written);
	ATF_TP_ADD_TC(tp, each_of_many_locks_is_looked_at);
	return atf_no_error();
}
