/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Slots that change behind somebody's back, and their marks: the own slot, that
 * of a victim, of a recoverer, of hosts at large.
 */
#include <stdlib.h>

#include "tests/sim/play.h"

#define SEEDS 10
#define UNUSED_SLOT 200u

static const enum lock_protocol protocols[] = {
	LOCK_ATS_PR, LOCK_FILE, LOCK_ATS_WATCHDOG, LOCK_RESERVE,
};

static void
run(unsigned hosts, void (*play)(struct world *w))
{
	play_seeds((struct world_conf){ .hosts = hosts,
	    .protocol = LOCK_ATS_PR }, SEEDS, play);
}

/* ---- the own slot ---- */

enum change { MADE_ANEW, OF_ANOTHER, LATER, LEFT, RECOVERED, CHANGES };
static enum change change;
static bool by_doubt;

/* By mkfs: not a byte of it is ours to mend. */
static void
poke_of_another_volume(struct world *w, const struct heartbeat *hb)
{
	uint8_t image[LOCK_RECORD_SIZE];
	struct uuid other = w->super.uuid;

	other.b[0] ^= 1;
	heartbeat_encode(image, &other, hb);
	play_poke(w, play_slot_at(hb->slot), image, sizeof(image));
}

static void
change_slot(struct world *w, unsigned slot)
{
	struct heartbeat hb = play_peek_slot(w, slot);

	hb.nonce++;
	switch (change) {
	case MADE_ANEW:
		poke_of_another_volume(w, &hb);
		return;
	case OF_ANOTHER:
		hb.host.b[0] ^= 1;
		break;
	case LATER:
		hb.incarnation++;
		break;
	case LEFT:
		hb.state = SLOT_FREE;
		break;
	default:
		hb.incarnation++;
		hb.state = SLOT_RECOVERING;
		break;
	}
	play_poke_slot(w, &hb);
}

/* Either the next pulse finds out, or the look that follows a doubt. */
static void
play_own_slot(struct world *w)
{
	uint8_t *buf = disk_buf_alloc(BLOCK_SIZE), image[LOCK_RECORD_SIZE];
	uint64_t at;

	if (buf == NULL || !play_join_all(w))
		goto out;
	play_let_pulse(w);
	at = play_slot_at(play_slot_of(w, 0));
	change_slot(w, play_slot_of(w, 0));
	memcpy(image, w->lun.now + at, sizeof(image));
	if (by_doubt) {
		w->lun.nexus[0].attention = 0x2900;
		WORLD_CHECK(w, disk_read(host_disk(w->host[0].host), 0, buf,
		    BLOCK_SIZE) == -VMFS_EFENCED);
	}
	WORLD_CHECK(w, world_wait(w, play_is_fenced, 0,
	    w->super.timers.freeze_ms));
	WORLD_CHECK(w, strstr(w->host[0].why, "taken by another host") !=
	    NULL);
	WORLD_CHECK(w, disk_write(host_disk(w->host[0].host), 65536, buf,
	    BLOCK_SIZE, 0) == -VMFS_EFENCED);
	play_let_pulse(w);
	WORLD_CHECK(w, world_leave(w, 0) == 0);
	WORLD_CHECK(w, memcmp(image, w->lun.now + at, sizeof(image)) == 0);
out:
	free(buf);
}

ATF_TC_WITHOUT_HEAD(who_has_lost_his_slot_stops_and_leaves_it_alone);
ATF_TC_BODY(who_has_lost_his_slot_stops_and_leaves_it_alone, tc)
{
	(void)tc;
	for (unsigned i = 0; i < 2 * CHANGES * 4; i++) {
		change = (enum change)(i / 8);
		by_doubt = i % 2 != 0;
		play_seeds((struct world_conf){ .hosts = 1,
		    .protocol = protocols[i / 2 % 4] }, 2, play_own_slot);
	}
}

struct shown {
	unsigned slot, self, others;
};

static void
show(void *arg, const struct host_info *i)
{
	struct shown *s = arg;

	s->self += i->self;
	s->others += i->slot == s->slot && !i->self;
}

/* Seen by the watch before the pulse, or a request, finds out. */
static void
play_own_slot_shown(struct world *w)
{
	struct host *h;
	struct shown s = { 0 };

	if (!play_join_all(w))
		return;
	h = w->host[0].host;
	s.slot = play_slot_of(w, 0);
	host_list(h, show, &s);
	WORLD_CHECK(w, s.self == 1 && s.others == 0);
	change = LATER;
	change_slot(w, s.slot);
	WORLD_CHECK(w, watch_read(h) == 0);
	host_list(h, show, &s);
	WORLD_CHECK(w, s.self == 1 && s.others == 1);
	WORLD_CHECK(w, world_wait(w, play_is_fenced, 0,
	    w->super.timers.freeze_ms));
	WORLD_CHECK(w, world_leave(w, 0) == 0);
}

ATF_TC_WITHOUT_HEAD(a_lost_slot_is_shown_as_anothers);
ATF_TC_BODY(a_lost_slot_is_shown_as_anothers, tc)
{
	(void)tc;
	run(1, play_own_slot_shown);
}

/* Pulses that the LUN had put off land between read and write of new ones. */
static unsigned late_pulses;

static void
land_late(void *arg, unsigned nexus, const struct disk_req *req)
{
	struct world *w = arg;
	struct heartbeat hb;

	if (req->op != DISK_CAW || nexus != 1 || late_pulses == 0)
		return;
	late_pulses--;
	hb = play_peek_slot(w, play_slot_of(w, 0));
	hb.pulse--;
	hb.nonce += 1 + late_pulses;
	play_poke_slot(w, &hb);
}

static void
play_late_pulses(struct world *w)
{
	struct heartbeat before, after;

	if (!play_join_all(w))
		return;
	play_let_pulse(w);
	before = play_peek_slot(w, play_slot_of(w, 0));
	/* More than one pulse takes on, in the middle of two. */
	late_pulses = 7;
	w->lun.landed_arg = w;
	w->lun.sent = land_late;
	fiber_sleep(2 * w->super.timers.pulse_ms * NSEC_PER_MSEC);
	WORLD_CHECK(w, late_pulses == 0);
	WORLD_CHECK(w, play_is_ok(w, 0) && w->host[0].frozen_times == 0);
	after = play_peek_slot(w, play_slot_of(w, 0));
	WORLD_CHECK(w, after.pulse > before.pulse);
	WORLD_CHECK(w, atomic_load(&w->host[0].host->beat.failures) == 1);
	play_leave_all(w);
	WORLD_CHECK(w, play_peek_slot(w, after.slot).state == SLOT_FREE);
}

/* Whatever it does, there is another one: it leaves, others end it. */
static void
play_late_for_ever(struct world *w)
{
	struct lock_grant a, b;
	unsigned slot;

	if (!play_join_all(w))
		return;
	slot = play_slot_of(w, 0);
	play_let_pulse(w);
	WORLD_CHECK(w, play_lock(w, 0, LOCK_EXCLUSIVE, 0, &a) == 0);
	late_pulses = 1000;
	w->lun.landed_arg = w;
	w->lun.sent = land_late;
	WORLD_CHECK(w, world_leave(w, 0) == -VMFS_EMISCOMPARE);
	w->lun.sent = NULL;
	WORLD_CHECK(w, play_peek_slot(w, slot).state == SLOT_LIVE);
	WORLD_CHECK(w, play_lock(w, 1, LOCK_EXCLUSIVE, TAKEOVER_MS, &b) == 0);
	WORLD_CHECK(w, w->lun.preempts == 1);
	WORLD_CHECK(w, play_unlock(w, 1, &b) == 0);
	play_leave_all(w);
}

ATF_TC_WITHOUT_HEAD(a_slot_that_cannot_be_freed_is_taken_over);
ATF_TC_BODY(a_slot_that_cannot_be_freed_is_taken_over, tc)
{
	(void)tc;
	run(2, play_late_for_ever);
}

ATF_TC_WITHOUT_HEAD(own_pulses_that_land_late_end_nobody);
ATF_TC_BODY(own_pulses_that_land_late_end_nobody, tc)
{
	(void)tc;
	run(1, play_late_pulses);
}

/* A step that the table of moves does not have, or over a damaged slot. */
static void
play_store(struct world *w)
{
	struct heartbeat hb = { .slot = UNUSED_SLOT,
		.state = SLOT_RECOVERING };
	struct host *h;
	struct caw c;

	if (!play_join_all(w))
		return;
	h = w->host[0].host;
	if (caw_init(&c, &h->guard.disk, SLOT_TABLE_BLOCK + UNUSED_SLOT,
	    h->super.sector_size) < 0)
		return;
	WORLD_CHECK(w, slot_load(h, &c, UNUSED_SLOT, &hb) == 0);
	hb.state = SLOT_RECOVERING;
	WORLD_CHECK(w, slot_store(h, &c, &hb) == -VMFS_EMISCOMPARE);
	hb.state = SLOT_LIVE;
	play_damage(w, play_slot_at(UNUSED_SLOT) + 100);
	WORLD_CHECK(w, slot_load(h, &c, UNUSED_SLOT, &hb) == -VMFS_ECORRUPT);
	WORLD_CHECK(w, slot_store(h, &c, &hb) == -VMFS_ECORRUPT);
	play_damage(w, play_slot_at(UNUSED_SLOT) + 100);
	WORLD_CHECK(w, play_peek_slot(w, UNUSED_SLOT).state == SLOT_FREE);
	caw_fini(&c);
	play_leave_all(w);
}

ATF_TC_WITHOUT_HEAD(steps_that_slots_do_not_have_are_not_taken);
ATF_TC_BODY(steps_that_slots_do_not_have_are_not_taken, tc)
{
	(void)tc;
	run(1, play_store);
}

/* doc/LOCKING.md section 3. */
ATF_TC_WITHOUT_HEAD(slots_and_hosts_have_the_moves_of_the_document);
ATF_TC_BODY(slots_and_hosts_have_the_moves_of_the_document, tc)
{
	static const char *const slot[] = { "FF", "FL", "LL", "LS", "LF",
	    "LR", "SS", "SF", "SR", "RR", "RF" };
	static const char *const host[] = { "of", "oF", "oL", "fo", "fF",
	    "fL", "FL" };
	unsigned slots = 0, hosts = 0;

	(void)tc;
	for (unsigned from = 0; from < 6; from++)
		for (unsigned to = 0; to < 6; to++) {
			char s[] = { "FLSR??"[from], "FLSR??"[to], 0 };
			char g[] = { "ofFL??"[from], "ofFL??"[to], 0 };
			bool in_slot = false, in_host = false;

			for (unsigned i = 0; i < 11; i++)
				in_slot |= strcmp(slot[i], s) == 0;
			for (unsigned i = 0; i < 7; i++)
				in_host |= strcmp(host[i], g) == 0;
			ATF_CHECK_EQ(in_slot, slot_move_ok(
			    (enum slot_state)from, (enum slot_state)to));
			ATF_CHECK_EQ(in_host, guard_move_ok(
			    (enum host_status)from, (enum host_status)to));
			slots += in_slot;
			hosts += in_host;
		}
	ATF_CHECK_EQ(11, slots);
	ATF_CHECK_EQ(7, hosts);
}

/* ---- victims ---- */

/* Written by hand; silent from now on. */
static void
play_stopping(struct world *w)
{
	struct lock_grant a, b;
	struct heartbeat hb;

	if (!play_join_all(w))
		return;
	WORLD_CHECK(w, play_lock(w, 0, LOCK_EXCLUSIVE, 0, &a) == 0);
	hb = play_peek_slot(w, play_slot_of(w, 0));
	world_crash(w, 0);
	hb.state = SLOT_STOPPING;
	hb.nonce++;
	play_poke_slot(w, &hb);
	WORLD_CHECK(w, play_lock(w, 1, LOCK_EXCLUSIVE, 0, &b) ==
	    -VMFS_ELOCKED);
	WORLD_CHECK(w, play_lock(w, 1, LOCK_EXCLUSIVE, TAKEOVER_MS, &b) == 0);
	WORLD_CHECK(w, w->lun.preempts > 0);
	WORLD_CHECK(w, play_unlock(w, 1, &b) == 0);
	play_leave_all(w);
}

ATF_TC_WITHOUT_HEAD(who_dies_while_stopping_is_taken_over);
ATF_TC_BODY(who_dies_while_stopping_is_taken_over, tc)
{
	(void)tc;
	run(2, play_stopping);
}

/* ---- a take-over of what is not there any more ---- */

static void
play_stale_victim(struct world *w)
{
	struct heartbeat hb = play_stranger(w, UNUSED_SLOT), stale;
	struct takeover_report r;
	struct host *h;

	hb.state = SLOT_RECOVERING;
	hb.incarnation = 9;
	if (!play_join_all(w))
		return;
	h = w->host[0].host;
	/* Somebody lives who recovers it, so that the watch leaves it alone. */
	hb.recoverer = play_slot_of(w, 1);
	hb.recoverer_incarnation = host_locks(w->host[1].host)->incarnation;
	world_lose_paths(w, 1);
	play_poke_slot(w, &hb);
	for (unsigned i = 0; i < 3; i++) {
		stale = hb;
		if (i == 0)
			stale.incarnation--;
		else if (i == 1)
			stale.host.b[0] ^= 1;
		else
			stale.state = SLOT_LIVE;
		WORLD_CHECK(w, takeover_run(h, UNUSED_SLOT, &stale,
		    TAKEOVER_ADMIN, &r) == -EAGAIN);
		WORLD_CHECK(w, r.result == -EAGAIN && r.why[0] != '\0');
	}
	stale = play_peek_slot(w, UNUSED_SLOT);
	WORLD_CHECK(w, stale.nonce == hb.nonce);
	WORLD_CHECK(w, takeover_run(h, UNUSED_SLOT, &hb, TAKEOVER_ADMIN,
	    &r) == 0);
	world_heal_paths(w, 1);
	play_let_pulse(w);
	play_leave_all(w);
}

ATF_TC_WITHOUT_HEAD(what_has_changed_meanwhile_is_not_taken_over);
ATF_TC_BODY(what_has_changed_meanwhile_is_not_taken_over, tc)
{
	(void)tc;
	run(2, play_stale_victim);
}

/* The keys are looked at once more behind the mark; that look fails. */
static void
play_second_look(struct world *w)
{
	struct lock_grant a, b;
	unsigned slot;

	if (!play_join_all(w))
		return;
	WORLD_CHECK(w, play_lock(w, 0, LOCK_EXCLUSIVE, 0, &a) == 0);
	slot = play_slot_of(w, 0);
	world_crash(w, 0);
	w->lun.strike = (struct sim_strike){
		.result = -EIO, .ops = 1u << DISK_PR_READ_KEYS,
		.skip = 2, .times = 1000, .last = 3,
	};
	WORLD_CHECK(w, play_lock(w, 1, LOCK_EXCLUSIVE, 60000, &b) ==
	    -VMFS_ELOCKED);
	WORLD_CHECK(w, play_peek_slot(w, slot).state == SLOT_RECOVERING);
	WORLD_CHECK(w, w->lun.strike.seen > 3);
	w->lun.strike = (struct sim_strike){ 0 };
	WORLD_CHECK(w, play_lock(w, 1, LOCK_EXCLUSIVE, 10000, &b) == 0);
	WORLD_CHECK(w, w->lun.preempts == 1);
	WORLD_CHECK(w, play_unlock(w, 1, &b) == 0);
	play_leave_all(w);
}

ATF_TC_WITHOUT_HEAD(without_the_second_look_nothing_is_replayed);
ATF_TC_BODY(without_the_second_look_nothing_is_replayed, tc)
{
	(void)tc;
	run(2, play_second_look);
}

/*
 * The victim has told of a superblock that we have not seen.  It is looked
 * for; that nobody can read one keeps the journal from being replayed.
 */
static void
play_newer_super(struct world *w)
{
	const uint64_t at[] = { SUPER_BLOCK_0 * BLOCK_SIZE,
		SUPER_BLOCK_1 * BLOCK_SIZE,
		w->super.copy2_block * BLOCK_SIZE };
	struct lock_grant a, b;
	struct heartbeat hb;

	if (!play_join_all(w))
		return;
	WORLD_CHECK(w, play_lock(w, 0, LOCK_EXCLUSIVE, 0, &a) == 0);
	hb = play_peek_slot(w, play_slot_of(w, 0));
	world_crash(w, 0);
	hb.super_generation++;
	hb.nonce++;
	play_poke_slot(w, &hb);
	for (unsigned i = 0; i < 3; i++)
		play_damage(w, at[i] + 200);
	WORLD_CHECK(w, play_lock(w, 1, LOCK_EXCLUSIVE, 60000, &b) ==
	    -VMFS_ELOCKED);
	WORLD_CHECK(w, play_peek_slot(w, hb.slot).state == SLOT_RECOVERING);
	WORLD_CHECK(w, w->host[1].takeover_troubles == 1);
	for (unsigned i = 0; i < 3; i++)
		play_damage(w, at[i] + 200);
	WORLD_CHECK(w, play_lock(w, 1, LOCK_EXCLUSIVE, 10000, &b) == 0);
	/* There was none newer after all. */
	WORLD_CHECK(w, w->host[1].host->super.generation ==
	    w->super.generation);
	WORLD_CHECK(w, play_unlock(w, 1, &b) == 0);
	play_leave_all(w);
}

ATF_TC_WITHOUT_HEAD(a_victims_superblock_is_read_before_its_journal);
ATF_TC_BODY(a_victims_superblock_is_read_before_its_journal, tc)
{
	(void)tc;
	run(2, play_newer_super);
}

/* ---- hosts at large ---- */

/* A mark is taken from the slot that was seen, not from its successor. */
static void
play_unmark(struct world *w)
{
	struct heartbeat hb = play_stranger(w, UNUSED_SLOT), seen;
	struct host *h;

	hb.state = SLOT_FREE;
	hb.recoverer = 1;
	hb.recoverer_incarnation = 1;
	play_poke_slot(w, &hb);
	if (!play_join_all(w))
		return;
	h = w->host[0].host;
	seen = hb;
	seen.incarnation--;
	WORLD_CHECK(w, slot_unmark(h, &seen) == 0);
	seen = hb;
	seen.host.b[0] ^= 1;
	WORLD_CHECK(w, slot_unmark(h, &seen) == 0);
	WORLD_CHECK(w, play_peek_slot(w, hb.slot).recoverer_incarnation == 1);
	WORLD_CHECK(w, slot_unmark(h, &hb) == 0);
	WORLD_CHECK(w, play_peek_slot(w, hb.slot).recoverer_incarnation == 0);
	/* There is no mark any more: nothing is written. */
	hb = play_peek_slot(w, hb.slot);
	WORLD_CHECK(w, slot_unmark(h, &hb) == 0);
	WORLD_CHECK(w, play_peek_slot(w, hb.slot).nonce == hb.nonce);
	play_damage(w, play_slot_at(hb.slot) + 100);
	WORLD_CHECK(w, slot_unmark(h, &hb) == -VMFS_ECORRUPT);
	play_damage(w, play_slot_at(hb.slot) + 100);
	play_leave_all(w);
}

ATF_TC_WITHOUT_HEAD(only_the_mark_that_was_seen_is_taken);
ATF_TC_BODY(only_the_mark_that_was_seen_is_taken, tc)
{
	(void)tc;
	run(1, play_unmark);
}

/* Host 1 orders; the sentence must hold `words`. */
static int
forget(struct world *w, const char *name, const char *words)
{
	char why[HOST_WHY_SIZE] = "";
	unsigned slots = 0;
	int rc = host_forget(w->host[1].host, name, true, &slots, why);

	if (rc < 0 && (words == NULL || strstr(why, words) == NULL))
		world_fail(w, "forget %s: %s: %s", name, vmfs_strerror(rc),
		    why);
	WORLD_CHECK(w, rc < 0 || slots > 0);
	return rc;
}

/* A slot at large, of a host of that name and another identity. */
static unsigned
put_at_large(struct world *w, const char *name, unsigned slot)
{
	struct heartbeat hb = play_stranger(w, slot);

	hb.state = SLOT_FREE;
	hb.incarnation = 2;
	hb.recoverer_incarnation = 1;
	(void)snprintf(hb.name, sizeof(hb.name), "%s", name);
	play_poke_slot(w, &hb);
	return slot;
}

static bool
is_marked(struct world *w, unsigned slot)
{
	struct heartbeat hb = { .slot = slot };

	WORLD_CHECK(w, slot_peek(w->host[1].host, slot, &hb) == 0);
	return slot_at_large(&hb);
}

/*
 * Host 0 was fenced, is back in another slot and could not clear its mark.  A
 * host that had its name before, and a third, are at large as well.
 */
static void
play_forget_some(struct world *w)
{
	unsigned old = put_at_large(w, "host0", 200);
	unsigned other = put_at_large(w, "esx7", 201), back;

	if (!play_join_all(w))
		return;
	back = w->host[0].host->paths.slot;
	world_crash(w, 0);
	world_boot(w, 0);
	/* Ends its past; the compare-and-write after that clears the mark. */
	w->lun.strike = (struct sim_strike){
		.result = -EIO, .ops = 1u << DISK_CAW, .skip = 2,
		.times = 1,
	};
	WORLD_CHECK(w, world_join(w, 0) == 0);
	WORLD_CHECK(w, w->lun.strike.seen == 3 && is_marked(w, back));
	w->lun.strike = (struct sim_strike){ 0 };
	play_let_pulse(w);
	WORLD_CHECK(w, forget(w, "esx9", "\"esx7\"") == -ENOENT);
	/* The one that does not come back is meant. */
	WORLD_CHECK(w, forget(w, "host0", NULL) == 0);
	WORLD_CHECK(w, !is_marked(w, old));
	WORLD_CHECK(w, is_marked(w, other) && is_marked(w, back));
	play_let_pulse(w);
	WORLD_CHECK(w, forget(w, "host0", "is a member") ==
	    -VMFS_EINUSE);
	WORLD_CHECK(w, forget(w, "esx7", NULL) == 0);
	WORLD_CHECK(w, host_status(w->host[0].host) == HOST_OK);
	/* It takes its own mark away when it comes the next time. */
	WORLD_CHECK(w, world_leave(w, 0) == 0 && world_join(w, 0) == 0);
	WORLD_CHECK(w, !is_marked(w, back));
	play_leave_all(w);
	WORLD_CHECK(w, w->lun.reserved == 0);
}

ATF_TC_WITHOUT_HEAD(only_the_one_that_is_away_is_forgotten);
ATF_TC_BODY(only_the_one_that_is_away_is_forgotten, tc)
{
	(void)tc;
	run(2, play_forget_some);
}

/* ---- the slot of a recoverer ---- */

static void
play_damaged_recoverer(struct world *w)
{
	struct lock_grant a, b;
	unsigned first;
	uint64_t at;

	if (!play_join_all(w))
		return;
	WORLD_CHECK(w, play_lock(w, 0, LOCK_EXCLUSIVE, 0, &a) == 0);
	first = play_slot_of(w, 0);
	at = play_slot_at(play_slot_of(w, 1));
	world_crash(w, 0);
	play_mark(w, 1, first);
	world_crash(w, 1);
	play_damage(w, at + 100);
	/* Is he still at it?  Nobody can tell. */
	WORLD_CHECK(w, play_lock(w, 2, LOCK_EXCLUSIVE,
	    2 * (uint64_t)w->super.timers.fence_ms, &b) == -VMFS_ELOCKED);
	WORLD_CHECK(w, play_peek_slot(w, first).state == SLOT_RECOVERING);
	play_damage(w, at + 100);
	WORLD_CHECK(w, play_lock(w, 2, LOCK_EXCLUSIVE, TAKEOVER_MS, &b) == 0);
	WORLD_CHECK(w, play_unlock(w, 2, &b) == 0);
	play_leave_all(w);
}

ATF_TC_WITHOUT_HEAD(a_recoverer_with_a_damaged_slot_is_waited_for);
ATF_TC_BODY(a_recoverer_with_a_damaged_slot_is_waited_for, tc)
{
	(void)tc;
	run(3, play_damaged_recoverer);
}

static bool comes_back;

/* It left, came back to its slot and stands still: the recovery is nobody's. */
static void
play_recoverer_is_back(struct world *w)
{
	struct lock_grant a, b;
	unsigned first, second;

	if (!play_join_all(w))
		return;
	WORLD_CHECK(w, play_lock(w, 0, LOCK_EXCLUSIVE, 0, &a) == 0);
	first = play_slot_of(w, 0);
	second = play_slot_of(w, 1);
	world_crash(w, 0);
	world_lose_paths(w, 2);
	play_mark(w, 1, first);
	WORLD_CHECK(w, world_leave(w, 1) == 0);
	if (comes_back) {
		WORLD_CHECK(w, world_join(w, 1) == 0);
		WORLD_CHECK(w, play_slot_of(w, 1) == second);
		world_pause(w, 1);
	}
	WORLD_CHECK(w, play_peek_slot(w, first).state == SLOT_RECOVERING);
	world_heal_paths(w, 2);
	/* Whether it lives does not matter: it began as another. */
	WORLD_CHECK(w, play_lock(w, 2, LOCK_EXCLUSIVE,
	    w->super.timers.freeze_ms, &b) == 0);
	WORLD_CHECK(w, play_unlock(w, 2, &b) == 0);
	if (comes_back)
		world_resume(w, 1);
	play_leave_all(w);
}

ATF_TC_WITHOUT_HEAD(a_recovery_goes_on_when_its_host_has_gone);
ATF_TC_BODY(a_recovery_goes_on_when_its_host_has_gone, tc)
{
	(void)tc;
	comes_back = false;
	run(3, play_recoverer_is_back);
	comes_back = true;
	run(3, play_recoverer_is_back);
}

/* Who recovered the first has died and is recovered by one that is away. */
static void
play_chain(struct world *w)
{
	struct lock_grant a, b;
	unsigned first, second;

	if (!play_join_all(w))
		return;
	WORLD_CHECK(w, play_lock(w, 0, LOCK_EXCLUSIVE, 0, &a) == 0);
	first = play_slot_of(w, 0);
	second = play_slot_of(w, 1);
	world_crash(w, 0);
	play_mark(w, 1, first);
	world_crash(w, 1);
	world_lose_paths(w, 2);
	play_mark(w, 2, second);
	/* The second is in good hands, the first in nobody's. */
	WORLD_CHECK(w, play_lock(w, 3, LOCK_EXCLUSIVE,
	    w->super.timers.freeze_ms, &b) == 0);
	WORLD_CHECK(w, play_peek_slot(w, second).state == SLOT_RECOVERING);
	WORLD_CHECK(w, play_unlock(w, 3, &b) == 0);
	world_heal_paths(w, 2);
	WORLD_CHECK(w, world_wait(w, play_is_ok, 2, 30000));
	play_leave_all(w);
}

ATF_TC_WITHOUT_HEAD(a_recoverer_in_recovery_recovers_nobody);
ATF_TC_BODY(a_recoverer_in_recovery_recovers_nobody, tc)
{
	(void)tc;
	run(4, play_chain);
}

/* ---- who repairs ---- */

/* Only one slot has no journal, or what lies behind its record is sound. */
static void
play_repair(struct world *w)
{
	bool whole = w->lun.info.block_size == BLOCK_SIZE;

	for (unsigned i = 0; i < SLOTS_MAX; i++) {
		struct heartbeat hb = play_peek_slot(w, i);

		if (i == UNUSED_SLOT)
			continue;
		hb.journal_block = LOCK_BLOCK;
		hb.journal_blocks = w->super.journal_blocks;
		if (whole)
			play_damage(w, play_slot_at(i) + LOCK_RECORD_SIZE + 70);
		else
			play_poke_slot(w, &hb);
	}
	w->host[0].tool = true;
	if (play_join_all(w))
		WORLD_CHECK(w, play_slot_of(w, 0) == UNUSED_SLOT);
	play_leave_all(w);
}

ATF_TC_WITHOUT_HEAD(who_repairs_joins_in_a_slot_that_needs_no_repair);
ATF_TC_BODY(who_repairs_joins_in_a_slot_that_needs_no_repair, tc)
{
	struct world_conf conf = { .hosts = 1, .protocol = LOCK_ATS_PR };

	(void)tc;
	play_seeds(conf, SEEDS, play_repair);
	conf.block_size = BLOCK_SIZE;
	play_seeds(conf, SEEDS, play_repair);
}

ATF_TP_ADD_TCS(tp)
{
	ATF_TP_ADD_TC(tp, who_has_lost_his_slot_stops_and_leaves_it_alone);
	ATF_TP_ADD_TC(tp, a_lost_slot_is_shown_as_anothers);
	ATF_TP_ADD_TC(tp, a_slot_that_cannot_be_freed_is_taken_over);
	ATF_TP_ADD_TC(tp, own_pulses_that_land_late_end_nobody);
	ATF_TP_ADD_TC(tp, steps_that_slots_do_not_have_are_not_taken);
	ATF_TP_ADD_TC(tp, slots_and_hosts_have_the_moves_of_the_document);
	ATF_TP_ADD_TC(tp, who_dies_while_stopping_is_taken_over);
	ATF_TP_ADD_TC(tp, what_has_changed_meanwhile_is_not_taken_over);
	ATF_TP_ADD_TC(tp, without_the_second_look_nothing_is_replayed);
	ATF_TP_ADD_TC(tp, a_victims_superblock_is_read_before_its_journal);
	ATF_TP_ADD_TC(tp, only_the_mark_that_was_seen_is_taken);
	ATF_TP_ADD_TC(tp, only_the_one_that_is_away_is_forgotten);
	ATF_TP_ADD_TC(tp, a_recoverer_with_a_damaged_slot_is_waited_for);
	ATF_TP_ADD_TC(tp, a_recovery_goes_on_when_its_host_has_gone);
	ATF_TP_ADD_TC(tp, a_recoverer_in_recovery_recovers_nobody);
	ATF_TP_ADD_TC(tp, who_repairs_joins_in_a_slot_that_needs_no_repair);
	return atf_no_error();
}
