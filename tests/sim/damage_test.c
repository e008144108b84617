/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Slots and lock records that are damaged, or name what is long over: nobody
 * writes over them or takes them for a proof, and when they are whole again
 * all goes on.
 */
#include <stdlib.h>

#include "tests/sim/play.h"

#define SEEDS 10
#define UNUSED_SLOT 200u

static void
run(unsigned hosts, void (*play)(struct world *w))
{
	play_seeds((struct world_conf){ .hosts = hosts,
	    .protocol = LOCK_ATS_PR }, SEEDS, play);
}

static void
poke_lock(struct world *w, const struct lockrec *rec)
{
	uint8_t image[LOCK_RECORD_SIZE];

	lockrec_encode(image, &w->super.uuid, rec);
	play_poke(w, (uint64_t)rec->addr * BLOCK_SIZE, image, sizeof(image));
}

static struct lockrec
peek_lock(struct world *w)
{
	struct lockrec rec = { .addr = LOCK_BLOCK };

	WORLD_CHECK(w, lockrec_decode(w->lun.now + LOCK_BLOCK *
	    (uint64_t)BLOCK_SIZE, &w->super.uuid, LOCK_BLOCK, &rec) == 0);
	return rec;
}

/* ---- the own slot ---- */

static void
damage_own(struct world *w, unsigned host)
{
	play_damage(w, play_slot_at(play_slot_of(w, host)) + 100);
}

static bool
slot_whole(struct world *w, unsigned i)
{
	struct heartbeat hb;
	unsigned slot = play_slot_of(w, i);

	return heartbeat_decode(w->lun.now + play_slot_at(slot),
	    &w->super.uuid, slot, &hb) == 0;
}

static void
play_own(struct world *w)
{
	if (!play_join_all(w))
		return;
	damage_own(w, 0);
	WORLD_CHECK(w, !slot_whole(w, 0));
	WORLD_CHECK(w, world_wait(w, slot_whole, 0, 10000));
	WORLD_CHECK(w, w->host[0].status == HOST_OK &&
	    w->host[0].frozen_times == 0);
	play_leave_all(w);
}

ATF_TC_WITHOUT_HEAD(a_host_mends_its_own_slot);
ATF_TC_BODY(a_host_mends_its_own_slot, tc)
{
	(void)tc;
	run(2, play_own);
}

static bool
is_fenced(struct world *w, unsigned i)
{
	return w->host[i].status == HOST_FENCED;
}

/* Somebody may have taken it over before it was damaged. */
static void
play_own_late(struct world *w)
{
	unsigned slot;

	if (!play_join_all(w))
		return;
	slot = play_slot_of(w, 0);
	world_pause(w, 0);
	damage_own(w, 0);
	fiber_sleep(60 * NSEC_PER_SEC);
	world_resume(w, 0);
	WORLD_CHECK(w, world_wait(w, is_fenced, 0, 60000));
	WORLD_CHECK(w, !slot_whole(w, 0));
	world_crash(w, 0);
	play_damage(w, play_slot_at(slot) + 100);
	play_leave_all(w);
}

ATF_TC_WITHOUT_HEAD(a_host_without_a_lease_mends_nothing);
ATF_TC_BODY(a_host_without_a_lease_mends_nothing, tc)
{
	(void)tc;
	run(2, play_own_late);
	play_seeds((struct world_conf){ .hosts = 2,
	    .protocol = LOCK_ATS_WATCHDOG }, SEEDS, play_own_late);
}

/* ---- read while it is written ---- */

#define TORN_LOOKS 2u

/* The next reads by the host bring another byte there; `at` as in a strike. */
static void
tear_reads(struct world *w, unsigned host, uint64_t torn, uint64_t at)
{
	w->lun.strike = (struct sim_strike){
		.torn = torn, .at = at, .ops = 1u << DISK_READ,
		.first = 2 * host, .last = 2 * host + 1, .times = TORN_LOOKS,
	};
}

static void
play_torn_own(struct world *w)
{
	uint64_t at;

	if (!play_join_all(w))
		return;
	at = play_slot_at(play_slot_of(w, 0));
	tear_reads(w, 0, at + 100, at);
	guard_doubt(&w->host[0].host->guard, "a test wants to know");
	WORLD_CHECK(w, world_wait(w, play_is_ok, 0, 10000));
	WORLD_CHECK(w, w->lun.strike.seen > TORN_LOOKS);
	WORLD_CHECK(w, w->host[0].fenced_times == 0);
	play_leave_all(w);
}

ATF_TC_WITHOUT_HEAD(a_host_that_reads_its_own_slot_beside_its_pulse_lives);
ATF_TC_BODY(a_host_that_reads_its_own_slot_beside_its_pulse_lives, tc)
{
	(void)tc;
	run(2, play_torn_own);
}

static void
play_torn_table(struct world *w)
{
	const struct seen *s;
	unsigned slot;

	if (!play_join_all(w))
		return;
	slot = play_slot_of(w, 1);
	s = &w->host[0].host->watch.seen[slot];
	tear_reads(w, 0, play_slot_at(slot) + 100, 0);
	WORLD_CHECK(w, watch_read(w->host[0].host) == 0);
	WORLD_CHECK(w, w->lun.strike.seen > TORN_LOOKS);
	WORLD_CHECK(w, s->known && !s->corrupt);
	play_leave_all(w);
}

ATF_TC_WITHOUT_HEAD(a_slot_that_is_read_while_it_changes_is_not_damaged);
ATF_TC_BODY(a_slot_that_is_read_while_it_changes_is_not_damaged, tc)
{
	(void)tc;
	run(2, play_torn_table);
}

#define STRANGER 100u

/* As who is no member sees it. */
static unsigned
count_alive(struct world *w)
{
	struct disk *d;
	char names[200];
	unsigned n = 0;

	if (sim_disk_open(&w->lun, 2 * STRANGER, &d) < 0)
		abort();
	WORLD_CHECK(w, hosts_alive(&w->env, d, &w->super, &n, names,
	    sizeof(names)) == 0);
	disk_close(d);
	return n;
}

static void
play_torn_alive(struct world *w)
{
	uint64_t at;

	if (!play_join_all(w))
		return;
	at = play_slot_at(play_slot_of(w, 0)) + 100;
	WORLD_CHECK(w, count_alive(w) == 1);
	tear_reads(w, STRANGER, at, 0);
	WORLD_CHECK(w, count_alive(w) == 1);
	WORLD_CHECK(w, w->lun.strike.seen > TORN_LOOKS);
	play_leave_all(w);
	WORLD_CHECK(w, count_alive(w) == 0);
}

ATF_TC_WITHOUT_HEAD(a_host_whose_slot_is_read_while_it_pulses_is_alive);
ATF_TC_BODY(a_host_whose_slot_is_read_while_it_pulses_is_alive, tc)
{
	(void)tc;
	run(1, play_torn_alive);
}

/* ---- a member whose slot is damaged ---- */

/* It may yet come back, and does not know the newest superblock. */
static void
play_counted(struct world *w)
{
	struct super next = w->super;
	struct lockops *l;
	uint64_t at;

	if (!play_join_all(w))
		return;
	next.generation++;
	l = host_locks(w->host[0].host);
	WORLD_CHECK(w, l->vt->set_super(l, &next) == 0);
	at = play_slot_at(play_slot_of(w, 1));
	world_lose_paths(w, 1);
	play_let_pulse(w);
	WORLD_CHECK(w, l->super_all == w->super.generation);
	play_damage(w, at + 100);
	play_let_pulse(w);
	WORLD_CHECK(w, l->super_seen == next.generation);
	WORLD_CHECK(w, l->super_all == w->super.generation);
	world_crash(w, 1);
	play_damage(w, at + 100);
	fiber_sleep(TAKEOVER_MS * NSEC_PER_MSEC);
	WORLD_CHECK(w, l->super_all == next.generation);
	play_leave_all(w);
}

ATF_TC_WITHOUT_HEAD(who_is_damaged_is_still_waited_for);
ATF_TC_BODY(who_is_damaged_is_still_waited_for, tc)
{
	(void)tc;
	run(2, play_counted);
}

/* Host 1 is a clone of host 0, whose slot cannot be read. */
static void
play_clone(struct world *w)
{
	WORLD_CHECK(w, world_join(w, 0) == 0);
	if (world_failed(w))
		return;
	w->host[1].uuid = w->host[0].uuid;
	damage_own(w, 0);
	WORLD_CHECK(w, world_join(w, 1) == -VMFS_EINUSE);
	WORLD_CHECK(w, slot_whole(w, 0));
	play_leave_all(w);
}

ATF_TC_WITHOUT_HEAD(a_clone_of_who_is_damaged_is_refused);
ATF_TC_BODY(a_clone_of_who_is_damaged_is_refused, tc)
{
	(void)tc;
	run(2, play_clone);
}

/* ---- slots of nobody ---- */

static void
play_damaged_table(struct world *w)
{
	for (unsigned i = 0; i < SLOTS_MAX; i++)
		if (i != UNUSED_SLOT)
			play_damage(w, play_slot_at(i) + 100);
	w->lun.nexus[100].key = heartbeat_pr_key(7, 0);
	WORLD_CHECK(w, world_join(w, 0) == 0);
	if (world_failed(w))
		return;
	/* Nothing says that it is over. */
	WORLD_CHECK(w, w->lun.nexus[100].key != 0);
	WORLD_CHECK(w, play_slot_of(w, 0) == UNUSED_SLOT);
	WORLD_CHECK(w, world_join(w, 1) == -ENOSPC);
	WORLD_CHECK(w, world_leave(w, 0) == 0);
	/* Who knows which fenced hosts they stood for? */
	WORLD_CHECK(w, w->lun.reserved != 0);
	for (unsigned i = 0; i < SLOTS_MAX; i++)
		if (i != UNUSED_SLOT)
			play_damage(w, play_slot_at(i) + 100);
	if (play_join_all(w))
		play_leave_all(w);
	WORLD_CHECK(w, w->lun.nexus[100].key == 0);
	WORLD_CHECK(w, w->lun.reserved == 0);
}

ATF_TC_WITHOUT_HEAD(damaged_slots_are_not_used);
ATF_TC_BODY(damaged_slots_are_not_used, tc)
{
	(void)tc;
	run(2, play_damaged_table);
}

/* ---- the slot of a host that has a lock ---- */

static enum lock_mode held;

static void
count(void *arg, const struct lock_holder *one)
{
	unsigned *n = arg;

	(void)one;
	(*n)++;
}

static void
play_damaged_holder(struct world *w)
{
	struct takeover_report r;
	struct lock_holder holder;
	struct lock_grant a, b;
	char why[HOST_WHY_SIZE];
	unsigned slots, n = 0;
	uint64_t at;

	if (!play_join_all(w))
		return;
	WORLD_CHECK(w, play_lock(w, 0, held, 0, &a) == 0);
	at = play_slot_at(play_slot_of(w, 0));
	world_crash(w, 0);
	play_damage(w, at + 100);
	WORLD_CHECK(w, play_lock(w, 1, LOCK_EXCLUSIVE, 60000, &b) ==
	    -VMFS_ECORRUPT);
	play_let_pulse(w);
	play_damage(w, at + 101);
	play_let_pulse(w);
	WORLD_CHECK(w, host_lock_break(w->host[1].host, LOCK_BLOCK, &holder) ==
	    -VMFS_ECORRUPT);
	WORLD_CHECK(w, host_lock_holders(w->host[1].host, LOCK_BLOCK, count,
	    &n) == -VMFS_ECORRUPT && n == 0);
	WORLD_CHECK(w, host_fence(w->host[1].host, "host0", true, &r, why) ==
	    -ENOENT);
	WORLD_CHECK(w, host_forget(w->host[1].host, "host0", true, &slots,
	    why) == -ENOENT);
	fiber_sleep(2 * w->super.timers.fence_ms * NSEC_PER_MSEC);
	WORLD_CHECK(w, w->lun.preempts == 0);
	play_damage(w, at + 100);
	play_damage(w, at + 101);
	WORLD_CHECK(w, play_lock(w, 1, LOCK_EXCLUSIVE, TAKEOVER_MS, &b) == 0);
	WORLD_CHECK(w, play_unlock(w, 1, &b) == 0);
	play_leave_all(w);
}

ATF_TC_WITHOUT_HEAD(a_damaged_slot_proves_no_death);
ATF_TC_BODY(a_damaged_slot_proves_no_death, tc)
{
	(void)tc;
	held = LOCK_EXCLUSIVE;
	run(2, play_damaged_holder);
	held = LOCK_SHARED;
	run(2, play_damaged_holder);
}

/* The slots of so many that they are read as one table. */
static void
play_damaged_crowd(struct world *w)
{
	struct lock_grant g[12];
	struct lock_grant mine;
	uint64_t at;

	if (!play_join_all(w))
		return;
	for (unsigned i = 1; i < w->hosts; i++)
		WORLD_CHECK(w, play_lock(w, i, LOCK_SHARED, 0, &g[i]) == 0);
	at = play_slot_at(play_slot_of(w, 5));
	play_damage(w, at + 100);
	WORLD_CHECK(w, play_lock(w, 0, LOCK_EXCLUSIVE, 60000, &mine) ==
	    -VMFS_ECORRUPT);
	play_damage(w, at + 100);
	WORLD_CHECK(w, play_lock(w, 0, LOCK_EXCLUSIVE, 0, &mine) ==
	    -VMFS_ELOCKED);
	w->lun.strike = (struct sim_strike){
		.result = -EIO, .ops = 1u << DISK_READ, .skip = 1, .times = 1,
	};
	WORLD_CHECK(w, play_lock(w, 0, LOCK_EXCLUSIVE, 0, &mine) == -EIO);
	w->lun.strike = (struct sim_strike){ 0 };
	for (unsigned i = 1; i < w->hosts; i++)
		WORLD_CHECK(w, play_unlock(w, i, &g[i]) == 0);
	WORLD_CHECK(w, play_lock(w, 0, LOCK_EXCLUSIVE, 0, &mine) == 0);
	WORLD_CHECK(w, play_unlock(w, 0, &mine) == 0);
	play_leave_all(w);
}

ATF_TC_WITHOUT_HEAD(one_damaged_slot_among_many_holders_is_told);
ATF_TC_BODY(one_damaged_slot_among_many_holders_is_told, tc)
{
	(void)tc;
	run(12, play_damaged_crowd);
}

/* ---- marks and names of incarnations long over ---- */

/* Host 0 is recovered now; the lock is of an incarnation before that one. */
static void
play_older_lock(struct world *w)
{
	struct lock_grant b;
	struct lockrec rec = { .addr = LOCK_BLOCK, .mode = held,
		.version = 7 };
	struct heartbeat hb;

	if (!play_join_all(w))
		return;
	hb = play_peek_slot(w, play_slot_of(w, 0));
	world_crash(w, 0);
	hb.incarnation = 9;
	play_poke_slot(w, &hb);
	play_mark(w, 1, hb.slot);
	if (held == LOCK_EXCLUSIVE) {
		rec.slot = hb.slot;
		rec.incarnation = 8;
		rec.host = hb.host;
	} else {
		rec.holder[hb.slot] = lockrec_holder_mark(8);
	}
	poke_lock(w, &rec);
	WORLD_CHECK(w, play_lock(w, 2, LOCK_EXCLUSIVE, 0, &b) == 0);
	WORLD_CHECK(w, b.version > 7);
	WORLD_CHECK(w, play_unlock(w, 2, &b) == 0);
	/* Of the one that is being recovered it waits. */
	rec.incarnation = held == LOCK_EXCLUSIVE ? 9 : 0;
	if (held == LOCK_SHARED)
		rec.holder[hb.slot] = lockrec_holder_mark(9);
	poke_lock(w, &rec);
	WORLD_CHECK(w, play_lock(w, 2, LOCK_EXCLUSIVE, 1000, &b) ==
	    -VMFS_ELOCKED);
	world_crash(w, 1);
	WORLD_CHECK(w, play_lock(w, 2, LOCK_EXCLUSIVE, TAKEOVER_MS, &b) == 0);
	WORLD_CHECK(w, play_unlock(w, 2, &b) == 0);
	play_leave_all(w);
}

ATF_TC_WITHOUT_HEAD(only_locks_of_the_incarnation_in_recovery_wait);
ATF_TC_BODY(only_locks_of_the_incarnation_in_recovery_wait, tc)
{
	(void)tc;
	held = LOCK_EXCLUSIVE;
	run(3, play_older_lock);
	held = LOCK_SHARED;
	run(3, play_older_lock);
}

/* Of what has never been nothing proves the end. */
static void
play_lock_of_the_future(struct world *w)
{
	struct lockrec rec = { .addr = LOCK_BLOCK, .mode = LOCK_EXCLUSIVE,
		.version = 7, .slot = UNUSED_SLOT, .incarnation = 3 };
	struct lock_holder holder;
	struct lock_grant b;

	if (!play_join_all(w))
		return;
	poke_lock(w, &rec);
	WORLD_CHECK(w, play_lock(w, 0, LOCK_EXCLUSIVE, TAKEOVER_MS, &b) ==
	    -VMFS_ELOCKED);
	WORLD_CHECK(w, host_lock_break(w->host[0].host, LOCK_BLOCK, &holder) ==
	    -VMFS_ELOCKED);
	WORLD_CHECK(w, peek_lock(w).version == 7);
	play_leave_all(w);
}

ATF_TC_WITHOUT_HEAD(a_lock_of_an_incarnation_that_never_was_stays);
ATF_TC_BODY(a_lock_of_an_incarnation_that_never_was_stays, tc)
{
	(void)tc;
	run(1, play_lock_of_the_future);
}

struct named {
	unsigned dead, with_name;
};

static void
note_name(void *arg, const struct lock_holder *one)
{
	struct named *n = arg;

	n->dead += one->state == HOLDER_DEAD;
	n->with_name += one->name[0] != '\0';
}

/* Marks of the dead are named while their slot still tells who it was. */
static void
play_names_of_marks(struct world *w)
{
	static const struct {
		enum slot_state state;
		uint64_t incarnation;	/* the mark is of 5 */
		unsigned with_name;
	} cases[] = {
		{ SLOT_FREE, 5, 1 },	/* left, and left its mark */
		{ SLOT_FREE, 6, 1 },	/* fenced */
		{ SLOT_FREE, 8, 0 },	/* others had the slot since */
		{ SLOT_RECOVERING, 8, 0 },
		{ SLOT_LIVE, 6, 0 },	/* another has it */
		{ SLOT_STOPPING, 6, 0 },
		{ SLOT_FREE, 0, 0 },	/* nobody ever had it */
		{ SLOT_RECOVERING, 0, 0 },
	};
	struct lockrec rec = { .addr = LOCK_BLOCK, .mode = LOCK_SHARED,
		.version = 7 };

	if (!play_join_all(w))
		return;
	rec.holder[UNUSED_SLOT] = lockrec_holder_mark(5);
	poke_lock(w, &rec);
	for (unsigned i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct heartbeat hb = play_stranger(w, UNUSED_SLOT);
		struct named n = { 0 };

		hb.state = cases[i].state;
		hb.incarnation = cases[i].incarnation;
		hb.recoverer = UNUSED_SLOT - 1;
		play_poke_slot(w, &hb);
		WORLD_CHECK(w, host_lock_holders(w->host[0].host, LOCK_BLOCK,
		    note_name, &n) == 0);
		if (n.dead != 1 || n.with_name != cases[i].with_name)
			world_fail(w, "case %u: %u dead, %u named", i, n.dead,
			    n.with_name);
	}
	play_leave_all(w);
}

ATF_TC_WITHOUT_HEAD(the_dead_are_named_while_their_slot_tells);
ATF_TC_BODY(the_dead_are_named_while_their_slot_tells, tc)
{
	(void)tc;
	run(1, play_names_of_marks);
}

/* ---- lock records ---- */

static void
play_damaged_lock(struct world *w)
{
	const uint64_t at = LOCK_BLOCK * (uint64_t)BLOCK_SIZE;
	uint8_t image[LOCK_RECORD_SIZE];
	struct lock_holder holder;
	struct lock_grant a, b;
	struct lockops *l;
	unsigned n = 0;

	if (!play_join_all(w))
		return;
	l = host_locks(w->host[1].host);
	WORLD_CHECK(w, play_lock(w, 0, LOCK_EXCLUSIVE, 0, &a) == 0);
	play_damage(w, at + 100);
	memcpy(image, w->lun.now + at, sizeof(image));
	WORLD_CHECK(w, play_lock(w, 1, LOCK_EXCLUSIVE, 10000, &b) ==
	    -VMFS_ECORRUPT);
	WORLD_CHECK(w, l->vt->query(l, LOCK_BLOCK, &holder) ==
	    -VMFS_ECORRUPT);
	WORLD_CHECK(w, host_lock_break(w->host[1].host, LOCK_BLOCK, &holder) ==
	    -VMFS_ECORRUPT);
	WORLD_CHECK(w, host_lock_holders(w->host[1].host, LOCK_BLOCK, count,
	    &n) == -VMFS_ECORRUPT && n == 0);
	WORLD_CHECK(w, play_unlock(w, 0, &a) == -VMFS_ECORRUPT);
	play_let_pulse(w);
	WORLD_CHECK(w, memcmp(image, w->lun.now + at, sizeof(image)) == 0);
	play_damage(w, at + 100);
	/* It is still ours; others wait until we have given it back. */
	WORLD_CHECK(w, play_lock(w, 1, LOCK_EXCLUSIVE, 0, &b) ==
	    -VMFS_ELOCKED);
	WORLD_CHECK(w, play_lock(w, 0, LOCK_EXCLUSIVE, 0, &a) == 0);
	WORLD_CHECK(w, play_unlock(w, 0, &a) == 0);
	WORLD_CHECK(w, play_lock(w, 1, LOCK_EXCLUSIVE, 0, &b) == 0);
	WORLD_CHECK(w, play_unlock(w, 1, &b) == 0);
	play_leave_all(w);
}

ATF_TC_WITHOUT_HEAD(a_damaged_lock_is_told_and_left_alone);
ATF_TC_BODY(a_damaged_lock_is_told_and_left_alone, tc)
{
	(void)tc;
	run(2, play_damaged_lock);
}

/* ---- what is read while it is written ---- */

static struct {
	struct world *w;
	uint64_t at;
	unsigned reads;
	void (*sent)(void *arg, unsigned nexus, const struct disk_req *req);
} torn;

static void
whole_for_the_second(void *arg, unsigned nexus, const struct disk_req *req)
{
	if (req->op == DISK_READ && req->offset == torn.at &&
	    req->length == torn.w->super.sector_size && ++torn.reads == 2)
		play_damage(torn.w, torn.at + 100);
	if (torn.sent != NULL)
		torn.sent(arg, nexus, req);
}

/* The next who reads the record there finds half of it. */
static void
tear(uint64_t at)
{
	torn.at = at;
	torn.reads = 0;
	play_damage(torn.w, at + 100);
}

static void
play_torn(struct world *w)
{
	const uint64_t lock = LOCK_BLOCK * (uint64_t)BLOCK_SIZE;
	struct lock_holder holder;
	struct lock_grant a, b;
	struct lockops *l;
	unsigned n = 0;
	uint64_t slot;

	if (!play_join_all(w))
		return;
	torn.w = w;
	torn.sent = w->lun.sent;
	w->lun.sent = whole_for_the_second;
	l = host_locks(w->host[1].host);
	WORLD_CHECK(w, play_lock(w, 1, LOCK_EXCLUSIVE, 0, &a) == 0);
	WORLD_CHECK(w, play_unlock(w, 1, &a) == 0);
	tear(lock);
	WORLD_CHECK(w, play_lock(w, 0, LOCK_EXCLUSIVE, 0, &a) == 0);
	tear(lock);
	WORLD_CHECK(w, l->vt->query(l, LOCK_BLOCK, &holder) == 0);
	tear(lock);
	WORLD_CHECK(w, host_lock_break(w->host[1].host, LOCK_BLOCK, &holder) ==
	    -VMFS_ELOCKED);
	tear(lock);
	WORLD_CHECK(w, host_lock_holders(w->host[1].host, LOCK_BLOCK, count,
	    &n) == 0 && n == 1);
	tear(lock);
	WORLD_CHECK(w, play_unlock(w, 0, &a) == 0);
	WORLD_CHECK(w, play_lock(w, 0, LOCK_EXCLUSIVE, 0, &a) == 0);
	slot = play_slot_at(play_slot_of(w, 0));
	world_crash(w, 0);
	tear(slot);
	WORLD_CHECK(w, play_lock(w, 1, LOCK_EXCLUSIVE, 0, &b) ==
	    -VMFS_ELOCKED);
	w->lun.sent = torn.sent;
	play_leave_all(w);
}

ATF_TC_WITHOUT_HEAD(what_is_read_while_it_is_written_is_read_again);
ATF_TC_BODY(what_is_read_while_it_is_written_is_read_again, tc)
{
	(void)tc;
	run(2, play_torn);
}

ATF_TP_ADD_TCS(tp)
{
	ATF_TP_ADD_TC(tp, a_host_mends_its_own_slot);
	ATF_TP_ADD_TC(tp, a_host_without_a_lease_mends_nothing);
	ATF_TP_ADD_TC(tp,
	    a_host_that_reads_its_own_slot_beside_its_pulse_lives);
	ATF_TP_ADD_TC(tp, a_slot_that_is_read_while_it_changes_is_not_damaged);
	ATF_TP_ADD_TC(tp, a_host_whose_slot_is_read_while_it_pulses_is_alive);
	ATF_TP_ADD_TC(tp, who_is_damaged_is_still_waited_for);
	ATF_TP_ADD_TC(tp, a_clone_of_who_is_damaged_is_refused);
	ATF_TP_ADD_TC(tp, damaged_slots_are_not_used);
	ATF_TP_ADD_TC(tp, a_damaged_slot_proves_no_death);
	ATF_TP_ADD_TC(tp, one_damaged_slot_among_many_holders_is_told);
	ATF_TP_ADD_TC(tp, only_locks_of_the_incarnation_in_recovery_wait);
	ATF_TP_ADD_TC(tp, a_lock_of_an_incarnation_that_never_was_stays);
	ATF_TP_ADD_TC(tp, the_dead_are_named_while_their_slot_tells);
	ATF_TP_ADD_TC(tp, a_damaged_lock_is_told_and_left_alone);
	ATF_TP_ADD_TC(tp, what_is_read_while_it_is_written_is_read_again);
	return atf_no_error();
}
