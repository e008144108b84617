/* SPDX-License-Identifier: BSD-2-Clause */
/* On which terms a host becomes a member, and what else uses the LUN. */
#include <stdlib.h>

#include "tests/sim/play.h"

#define SEEDS 10

/* ---- refused before anything is written ---- */

static void
read_only(struct world *w)
{
	w->lun.info.caps |= DISK_CAP_READONLY;
}

static void
without_pr(struct world *w)
{
	w->lun.info.caps &= ~(unsigned)DISK_CAP_PR;
}

static void
large_sectors(struct world *w)
{
	w->lun.info.block_size = 4096;
}

static void
unknown_protocol(struct world *w)
{
	w->super.protocol = (enum lock_protocol)99;
}

static void
timers_without_margin(struct world *w)
{
	w->super.timers.fence_ms = w->super.timers.freeze_ms;
}

static void
timers_without_proof(struct world *w)
{
	w->super.timers.watchdog_ms = 0;
}

static void
without_watchdog(struct world *w)
{
	w->host[0].no_watchdog = true;
}

static const struct term {
	enum lock_protocol protocol;
	void (*spoil)(struct world *w);
	int rc;
	const char *words;
} terms[] = {
	{ LOCK_ATS_PR, read_only, -EROFS, "is read-only" },
	{ LOCK_ATS_PR, without_pr, -EOPNOTSUPP, "persistent reservations" },
	{ LOCK_ATS_PR, large_sectors, -EOPNOTSUPP, "sectors of 4096 bytes" },
	{ LOCK_ATS_PR, unknown_protocol, -EOPNOTSUPP, "does not know" },
	{ LOCK_ATS_PR, timers_without_margin, -EINVAL, "do not fit together" },
	{ LOCK_ATS_WATCHDOG, timers_without_proof, -EINVAL,
	    "do not fit together" },
	{ LOCK_ATS_WATCHDOG, without_watchdog, -EOPNOTSUPP,
	    "every host needs a watchdog" },
	{ LOCK_RESERVE, without_watchdog, -EOPNOTSUPP,
	    "every host needs a watchdog" },
};
static const struct term *term;

static void
count_changes(void *arg, unsigned nexus, const struct disk_req *req)
{
	struct world *w = arg;

	if (req->op != DISK_READ)
		world_fail(w, "nexus %u sends %d", nexus, (int)req->op);
}

static void
play_refused(struct world *w)
{
	int rc;

	term->spoil(w);
	w->lun.sent = count_changes;
	w->lun.landed_arg = w;
	rc = world_join(w, 0);
	if (rc != term->rc || strstr(w->host[0].why, term->words) == NULL)
		world_fail(w, "%s: %s", vmfs_strerror(rc), w->host[0].why);
}

ATF_TC_WITHOUT_HEAD(what_does_not_fit_is_refused_before_anything_is_written);
ATF_TC_BODY(what_does_not_fit_is_refused_before_anything_is_written, tc)
{
	(void)tc;
	for (size_t i = 0; i < sizeof(terms) / sizeof(*terms); i++) {
		term = &terms[i];
		play_seeds((struct world_conf){ .hosts = 1,
		    .protocol = term->protocol }, 1, play_refused);
	}
}

/* ---- one timing table for all ---- */

static unsigned which_timer;

static void
change_timer(struct timers *t)
{
	switch (which_timer) {
	case 0:
		t->pulse_ms--;
		return;
	case 1:
		t->io_ms--;
		return;
	case 2:
		t->freeze_ms++;
		return;
	case 3:
		t->fence_ms++;
		return;
	default:
		t->fence_hint_ms++;
	}
}

static void
play_other_timers(struct world *w)
{
	WORLD_CHECK(w, world_join(w, 0) == 0);
	change_timer(&w->super.timers);
	WORLD_CHECK(w, world_join(w, 1) == -VMFS_EINUSE);
	WORLD_CHECK(w, strstr(w->host[1].why, "by other timers") != NULL &&
	    strstr(w->host[1].why, "\"host0\"") != NULL);
	if (world_failed(w))
		return;
	/* Its own past is about to end: it does not matter how that ran. */
	world_crash(w, 0);
	world_boot(w, 0);
	WORLD_CHECK(w, world_join(w, 0) == 0);
	WORLD_CHECK(w, world_join(w, 1) == 0);
	play_leave_all(w);
}

ATF_TC_WITHOUT_HEAD(members_run_by_the_same_timers);
ATF_TC_BODY(members_run_by_the_same_timers, tc)
{
	(void)tc;
	for (which_timer = 0; which_timer < 5; which_timer++)
		play_seeds((struct world_conf){ .hosts = 2,
		    .protocol = LOCK_ATS_PR }, SEEDS, play_other_timers);
}

/* Without a time of its own the network's word shortens nothing. */
static void
play_no_hint(struct world *w)
{
	struct lock_grant a, b;

	w->super.timers.fence_hint_ms = 0;
	if (!play_join_all(w))
		return;
	WORLD_CHECK(w, play_lock(w, 0, LOCK_EXCLUSIVE, 0, &a) == 0);
	world_crash(w, 0);
	WORLD_CHECK(w, play_lock(w, 1, LOCK_EXCLUSIVE,
	    w->super.timers.freeze_ms, &b) == -VMFS_ELOCKED);
	WORLD_CHECK(w, w->lun.preempts == 0);
	WORLD_CHECK(w, play_lock(w, 1, LOCK_EXCLUSIVE, TAKEOVER_MS, &b) == 0);
	WORLD_CHECK(w, play_unlock(w, 1, &b) == 0);
	play_leave_all(w);
}

ATF_TC_WITHOUT_HEAD(without_a_hint_time_the_network_hastens_nothing);
ATF_TC_BODY(without_a_hint_time_the_network_hastens_nothing, tc)
{
	(void)tc;
	play_seeds((struct world_conf){ .hosts = 2, .protocol = LOCK_ATS_PR,
	    .net = NET_SAYS_GONE }, SEEDS, play_no_hint);
}

/* ---- a table that is full ---- */

static void
fill_table(struct world *w, unsigned left_free)
{
	for (unsigned i = left_free; i < SLOTS_MAX; i++) {
		struct heartbeat hb = play_stranger(w, i);

		play_poke_slot(w, &hb);
	}
}

static void
play_full(struct world *w)
{
	fill_table(w, 0);
	WORLD_CHECK(w, world_join(w, 0) == -ENOSPC);
	WORLD_CHECK(w, strstr(w->host[0].why, "all 256 host slots") != NULL);
	for (unsigned i = 0; i < 4; i++)
		WORLD_CHECK(w, w->lun.nexus[i].key == 0 &&
		    w->lun.nexus[i].n_holds == 0);
}

struct joiner {
	struct world *w;
	unsigned host;
	int rc;
	bool done;
};

static void
joiner_main(void *arg)
{
	struct joiner *j = arg;

	j->rc = world_join(j->w, j->host);
	j->done = true;
}

/* Two come at once, there is one slot. */
static void
play_last_slot(struct world *w)
{
	struct joiner j[2];
	unsigned winner;

	fill_table(w, 1);
	for (unsigned i = 0; i < 2; i++) {
		j[i] = (struct joiner){ .w = w, .host = i };
		WORLD_CHECK(w, sched_spawn(&w->sim.sched, "joiner",
		    joiner_main, &j[i]) == 0);
		fiber_sleep(sim_below(&w->sim, 2 * NSEC_PER_MSEC));
	}
	while (!j[0].done || !j[1].done)
		fiber_sleep(NSEC_PER_MSEC);
	winner = j[1].rc == 0;
	WORLD_CHECK(w, j[winner].rc == 0 && j[!winner].rc == -ENOSPC);
	if (world_failed(w))
		return;
	WORLD_CHECK(w, play_slot_of(w, winner) == 0);
	play_let_pulse(w);
	WORLD_CHECK(w, play_is_ok(w, winner));
	WORLD_CHECK(w, world_leave(w, winner) == 0);
	WORLD_CHECK(w, world_join(w, !winner) == 0);
	WORLD_CHECK(w, world_leave(w, !winner) == 0);
}

static const enum lock_protocol protocols[] = {
	LOCK_ATS_PR, LOCK_FILE, LOCK_ATS_WATCHDOG, LOCK_RESERVE,
};

static void
all_protocols(unsigned hosts, unsigned seeds, void (*play)(struct world *w))
{
	for (unsigned i = 0; i < 4; i++)
		play_seeds((struct world_conf){ .hosts = hosts,
		    .protocol = protocols[i] }, seeds, play);
}

ATF_TC_WITHOUT_HEAD(a_full_table_takes_nobody_else);
ATF_TC_BODY(a_full_table_takes_nobody_else, tc)
{
	(void)tc;
	all_protocols(2, 3, play_full);
}

ATF_TC_WITHOUT_HEAD(the_last_slot_goes_to_one_of_two);
ATF_TC_BODY(the_last_slot_goes_to_one_of_two, tc)
{
	(void)tc;
	all_protocols(2, 3 * SEEDS, play_last_slot);
}

/* ---- the machine is another, the name and the rest are the same ---- */

/* Its mark says that a clone of ours was fenced, and may yet wake up. */
static void
play_clone_at_large(struct world *w)
{
	struct heartbeat hb = play_stranger(w, 7);

	hb.state = SLOT_FREE;
	hb.incarnation = 2;
	hb.recoverer = 8;
	hb.recoverer_incarnation = 1;
	hb.host = w->host[0].uuid;
	play_poke_slot(w, &hb);
	if (!play_join_all(w))
		return;
	WORLD_CHECK(w, play_slot_of(w, 0) != 7);
	play_let_pulse(w);
	play_leave_all(w);
	WORLD_CHECK(w, play_peek_slot(w, 7).recoverer_incarnation == 1);
	WORLD_CHECK(w, w->lun.reserved != 0);
	/* Ours would be home. */
	hb.machine = w->host[0].machine;
	play_poke_slot(w, &hb);
	if (!play_join_all(w))
		return;
	play_leave_all(w);
	WORLD_CHECK(w, play_peek_slot(w, 7).recoverer_incarnation == 0);
	WORLD_CHECK(w, w->lun.reserved == 0);
}

ATF_TC_WITHOUT_HEAD(a_fenced_clone_stays_at_large);
ATF_TC_BODY(a_fenced_clone_stays_at_large, tc)
{
	(void)tc;
	play_seeds((struct world_conf){ .hosts = 1, .protocol = LOCK_ATS_PR },
	    SEEDS, play_clone_at_large);
}

/* ---- one's own past ---- */

/* Others end it while we listen whether it lives. */
static void
play_past_ended(struct world *w)
{
	unsigned slot;

	w->host[0].home = 0;
	if (!play_join_all(w))
		return;
	slot = play_slot_of(w, 0);
	world_crash(w, 0);
	fiber_sleep((w->super.timers.fence_ms - w->super.timers.pulse_ms) *
	    NSEC_PER_MSEC);
	world_restart(w, 0);
	WORLD_CHECK(w, world_join(w, 0) == 0);
	if (world_failed(w))
		return;
	WORLD_CHECK(w, w->host[1].takeovers == 1);
	WORLD_CHECK(w, play_slot_of(w, 0) == slot);
	play_let_pulse(w);
	WORLD_CHECK(w, play_is_ok(w, 0));
	play_leave_all(w);
	WORLD_CHECK(w, w->lun.reserved == 0);
}

ATF_TC_WITHOUT_HEAD(a_past_that_others_have_ended_leaves_its_slot);
ATF_TC_BODY(a_past_that_others_have_ended_leaves_its_slot, tc)
{
	(void)tc;
	play_seeds((struct world_conf){ .hosts = 2, .protocol = LOCK_ATS_PR },
	    SEEDS, play_past_ended);
}

/* The kernel is at its last write for long: we join, its locks wait. */
static void
play_past_in_flight(struct world *w)
{
	struct sim_nexus *dying = &w->lun.nexus[0], before;
	const struct world_host *past = &w->host[0];
	struct lock_grant a, b;

	WORLD_CHECK(w, world_join(w, 0) == 0);
	WORLD_CHECK(w, play_lock(w, 0, LOCK_EXCLUSIVE, 0, &a) == 0);
	before = *dying;
	world_crash(w, 0);
	memcpy(dying->holds, before.holds, sizeof(before.holds));
	dying->n_holds = before.n_holds;
	dying->path = PATH_LOST;
	w->host[1].uuid = past->uuid;
	w->host[1].machine = past->machine;
	w->host[1].boot = past->boot;
	w->host[1].home = past->home;
	WORLD_CHECK(w, world_join(w, 1) == 0);
	if (world_failed(w))
		return;
	WORLD_CHECK(w, play_lock(w, 1, LOCK_EXCLUSIVE, 10000, &b) ==
	    -VMFS_ELOCKED);
	world_boot(w, 0);	/* its hold goes */
	WORLD_CHECK(w, play_lock(w, 1, LOCK_EXCLUSIVE, TAKEOVER_MS, &b) == 0);
	WORLD_CHECK(w, play_unlock(w, 1, &b) == 0);
	play_leave_all(w);
}

ATF_TC_WITHOUT_HEAD(the_locks_of_a_past_wait_for_its_last_write);
ATF_TC_BODY(the_locks_of_a_past_wait_for_its_last_write, tc)
{
	(void)tc;
	play_seeds((struct world_conf){ .hosts = 2, .protocol = LOCK_FILE },
	    SEEDS, play_past_in_flight);
}

/* ---- others at the LUN's reservations ---- */

#define FOREIGN 100u		/* a nexus of no host */

static void
play_foreign_reservation(struct world *w)
{
	w->lun.nexus[FOREIGN].key = 0x1234;
	w->lun.reserved = DISK_PR_WRITE_EXCLUSIVE;
	WORLD_CHECK(w, world_join(w, 0) == -EBUSY);
	WORLD_CHECK(w, strstr(w->host[0].why, "another program holds") !=
	    NULL);
	WORLD_CHECK(w, w->lun.nexus[0].key == 0 && w->lun.nexus[1].key == 0);
	w->lun.reserved = 0;
	WORLD_CHECK(w, world_join(w, 0) == 0);
	/* Its key is not ours to remove. */
	play_let_pulse(w);
	WORLD_CHECK(w, w->lun.nexus[FOREIGN].key == 0x1234);
	play_leave_all(w);
}

ATF_TC_WITHOUT_HEAD(a_reservation_of_another_program_is_respected);
ATF_TC_BODY(a_reservation_of_another_program_is_respected, tc)
{
	(void)tc;
	play_seeds((struct world_conf){ .hosts = 1, .protocol = LOCK_ATS_PR },
	    SEEDS, play_foreign_reservation);
}

/* It conflicts with RESERVE and is gone when we look. */
static void
play_gone_reservation(struct world *w)
{
	w->lun.strike = (struct sim_strike){
		.result = -VMFS_ECONFLICT, .ops = 1u << DISK_PR_OUT,
		.skip = 1, .times = 1,
	};
	WORLD_CHECK(w, world_join(w, 0) == 0);
	WORLD_CHECK(w, w->lun.strike.seen > 2);
	WORLD_CHECK(w, w->lun.reserved == DISK_PR_WRITE_EXCLUSIVE_AR);
	play_leave_all(w);
}

ATF_TC_WITHOUT_HEAD(a_reservation_that_has_just_ended_is_no_obstacle);
ATF_TC_BODY(a_reservation_that_has_just_ended_is_no_obstacle, tc)
{
	(void)tc;
	play_seeds((struct world_conf){ .hosts = 1, .protocol = LOCK_ATS_PR },
	    SEEDS, play_gone_reservation);
}

static int answer, expected;
static uint64_t answers, skipped;

/* What the LUN says to PERSISTENT RESERVE OUT while we join, for long. */
static void
play_no_registration(struct world *w)
{
	w->lun.strike = (struct sim_strike){
		.result = answer, .ops = 1u << DISK_PR_OUT,
		.skip = skipped, .times = 100,
	};
	WORLD_CHECK(w, world_join(w, 0) == answer);
	WORLD_CHECK(w, strstr(w->host[0].why, "cannot register") != NULL);
	w->lun.strike = (struct sim_strike){ 0 };
	for (unsigned i = 0; i < SLOTS_MAX; i++)
		WORLD_CHECK(w, play_peek_slot(w, i).state == SLOT_FREE);
	WORLD_CHECK(w, world_join(w, 0) == 0);
	play_leave_all(w);
	WORLD_CHECK(w, w->lun.reserved == 0);
}

ATF_TC_WITHOUT_HEAD(who_cannot_register_claims_no_slot);
ATF_TC_BODY(who_cannot_register_claims_no_slot, tc)
{
	static const int all[] = { -EIO, -VMFS_EATTENTION, -VMFS_EUNKNOWN,
		-VMFS_ECONFLICT };

	(void)tc;
	for (unsigned i = 0; i < 8; i++) {
		answer = all[i / 2];
		/* REGISTER, or the RESERVE that follows. */
		skipped = i % 2;
		play_seeds((struct world_conf){ .hosts = 1,
		    .protocol = LOCK_ATS_PR }, 2, play_no_registration);
	}
}

/* Nobody answers who leaves: its key stays, until somebody comes. */
static void
play_key_left(struct world *w)
{
	WORLD_CHECK(w, world_join(w, 0) == 0);
	w->lun.strike = (struct sim_strike){
		.result = -VMFS_EUNKNOWN, .ops = 1u << DISK_PR_OUT,
		.last = 1, .times = 100,
	};
	WORLD_CHECK(w, world_leave(w, 0) == 0);
	w->lun.strike = (struct sim_strike){ 0 };
	WORLD_CHECK(w, w->lun.nexus[0].key != 0);
	WORLD_CHECK(w, world_join(w, 1) == 0);
	WORLD_CHECK(w, w->lun.nexus[0].key == 0 && w->lun.nexus[1].key == 0);
	play_leave_all(w);
	WORLD_CHECK(w, w->lun.reserved == 0);
}

ATF_TC_WITHOUT_HEAD(a_key_that_stayed_behind_is_removed_by_the_next);
ATF_TC_BODY(a_key_that_stayed_behind_is_removed_by_the_next, tc)
{
	(void)tc;
	play_seeds((struct world_conf){ .hosts = 2, .protocol = LOCK_ATS_PR },
	    SEEDS, play_key_left);
}

static void
play_unreadable_keys(struct world *w)
{
	struct lock_grant a, b;

	if (!play_join_all(w))
		return;
	WORLD_CHECK(w, play_lock(w, 0, LOCK_EXCLUSIVE, 0, &a) == 0);
	world_crash(w, 0);
	w->lun.strike = (struct sim_strike){
		.result = answer, .ops = 1u << DISK_PR_READ_KEYS,
		.last = 3, .times = 1000,
	};
	WORLD_CHECK(w, play_lock(w, 1, LOCK_EXCLUSIVE, 60000, &b) ==
	    -VMFS_ELOCKED);
	WORLD_CHECK(w, w->host[1].takeover_troubles == 1);
	WORLD_CHECK(w, play_peek_slot(w, play_slot_of(w, 1)).state ==
	    SLOT_LIVE);
	w->lun.strike = (struct sim_strike){ 0 };
	WORLD_CHECK(w, play_lock(w, 1, LOCK_EXCLUSIVE, TAKEOVER_MS, &b) == 0);
	WORLD_CHECK(w, w->lun.preempts == 1);
	WORLD_CHECK(w, play_unlock(w, 1, &b) == 0);
	play_leave_all(w);
}

ATF_TC_WITHOUT_HEAD(without_a_look_at_the_keys_nothing_is_proven);
ATF_TC_BODY(without_a_look_at_the_keys_nothing_is_proven, tc)
{
	static const int all[] = { -EIO, -VMFS_EATTENTION, -VMFS_EUNKNOWN };

	(void)tc;
	for (unsigned i = 0; i < 3; i++) {
		answer = all[i];
		play_seeds((struct world_conf){ .hosts = 2,
		    .protocol = LOCK_ATS_PR }, 2, play_unreadable_keys);
	}
}

/* Somebody's reservation of our type stands; reading it fails at first. */
static void
play_unreadable_reservation(struct world *w)
{
	w->lun.nexus[FOREIGN].key = heartbeat_pr_key(7, 1);
	w->lun.reserved = DISK_PR_WRITE_EXCLUSIVE;
	w->lun.strike = (struct sim_strike){
		.result = answer, .ops = 1u << DISK_PR_READ_RESERVATION,
		.times = answers,
	};
	WORLD_CHECK(w, world_join(w, 0) == expected);
	WORLD_CHECK(w, w->host[0].why[0] != '\0');
	WORLD_CHECK(w, w->lun.strike.seen > 0);
	WORLD_CHECK(w, w->lun.nexus[0].key == 0 && w->lun.nexus[1].key == 0);
}

ATF_TC_WITHOUT_HEAD(a_reservation_that_cannot_be_read_is_told);
ATF_TC_BODY(a_reservation_that_cannot_be_read_is_told, tc)
{
	static const struct {
		int answer;
		uint64_t answers;
		int expected;
	} cases[] = {
		{ -EIO, 1, -EIO },
		{ -VMFS_EATTENTION, 3, -EBUSY },
		{ -VMFS_EATTENTION, 100, -VMFS_EATTENTION },
		{ -VMFS_EUNKNOWN, 2, -EBUSY },
		{ -VMFS_EUNKNOWN, 3, -VMFS_EUNKNOWN },
	};

	(void)tc;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		answer = cases[i].answer;
		answers = cases[i].answers;
		expected = cases[i].expected;
		play_seeds((struct world_conf){ .hosts = 1,
		    .protocol = LOCK_ATS_PR }, 1, play_unreadable_reservation);
	}
}

/* RESERVE of a registrant succeeds and locks nothing. */
static void
play_registered(struct world *w)
{
	w->lun.info.caps |= DISK_CAP_PR;
	w->lun.nexus[FOREIGN].key = 0x1234;
	w->lun.strike = (struct sim_strike){
		.result = answer, .ops = 1u << DISK_PR_READ_KEYS,
		.times = answers,
	};
	WORLD_CHECK(w, world_join(w, 0) == expected);
	WORLD_CHECK(w, w->host[0].why[0] != '\0');
	w->lun.strike = (struct sim_strike){ 0 };
	WORLD_CHECK(w, world_join(w, 0) == -EBUSY);
	WORLD_CHECK(w, strstr(w->host[0].why, "RESERVE locks nothing") !=
	    NULL);
	w->lun.nexus[FOREIGN].key = 0;
	WORLD_CHECK(w, world_join(w, 0) == 0);
	play_leave_all(w);
}

ATF_TC_WITHOUT_HEAD(reserve_is_not_used_beside_registered_keys);
ATF_TC_BODY(reserve_is_not_used_beside_registered_keys, tc)
{
	static const struct {
		int answer;
		uint64_t answers;
		int expected;
	} cases[] = {
		{ -EIO, 1, -EIO },
		{ -VMFS_EATTENTION, 1, -EBUSY },
		{ -VMFS_EATTENTION, 2, -VMFS_EATTENTION },
	};

	(void)tc;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		answer = cases[i].answer;
		answers = cases[i].answers;
		expected = cases[i].expected;
		play_seeds((struct world_conf){ .hosts = 1,
		    .protocol = LOCK_RESERVE }, 1, play_registered);
	}
}

/* So many registrants that the list comes back cut off; the victim is last. */
static void
play_many_keys(struct world *w)
{
	struct lock_grant a, b;
	uint64_t victim;

	if (!play_join_all(w))
		return;
	for (unsigned i = 6; i < SIM_NEXUS_MAX - 2; i++)
		w->lun.nexus[i].key = 0x1000 + i;
	WORLD_CHECK(w, play_lock(w, 0, LOCK_EXCLUSIVE, 0, &a) == 0);
	victim = w->lun.nexus[0].key;
	world_crash(w, 0);
	w->lun.nexus[0].key = w->lun.nexus[1].key = 0x1000;
	w->lun.nexus[SIM_NEXUS_MAX - 1].key = victim;
	WORLD_CHECK(w, play_lock(w, 1, LOCK_EXCLUSIVE, TAKEOVER_MS, &b) == 0);
	WORLD_CHECK(w, w->lun.preempts == 1);
	WORLD_CHECK(w, w->lun.nexus[SIM_NEXUS_MAX - 1].key == 0);
	WORLD_CHECK(w, play_unlock(w, 1, &b) == 0);
	play_leave_all(w);
}

ATF_TC_WITHOUT_HEAD(a_key_behind_many_others_is_found);
ATF_TC_BODY(a_key_behind_many_others_is_found, tc)
{
	(void)tc;
	play_seeds((struct world_conf){ .hosts = 2, .protocol = LOCK_ATS_PR },
	    SEEDS, play_many_keys);
}

/* ---- a hold that cannot be had ---- */

static void
play_no_hold(struct world *w)
{
	w->lun.strike = (struct sim_strike){
		.result = -ENOLCK, .last = 1, .skip = 1, .times = 2,
		.ops = 1u << DISK_HOLD | 1u << DISK_UNHOLD,
	};
	WORLD_CHECK(w, world_join(w, 0) == -ENOLCK);
	WORLD_CHECK(w, strstr(w->host[0].why, "cannot hold slot") != NULL);
	w->lun.strike = (struct sim_strike){ 0 };
	WORLD_CHECK(w, w->lun.nexus[0].n_holds == 0);
	WORLD_CHECK(w, world_join(w, 0) == 0);
	play_leave_all(w);
}

ATF_TC_WITHOUT_HEAD(a_slot_that_cannot_be_held_is_not_claimed);
ATF_TC_BODY(a_slot_that_cannot_be_held_is_not_claimed, tc)
{
	(void)tc;
	play_seeds((struct world_conf){ .hosts = 1, .protocol = LOCK_FILE },
	    SEEDS, play_no_hold);
}

/* ---- a LUN that takes little at a time ---- */

static void
check_length(void *arg, unsigned nexus, const struct disk_req *req)
{
	struct world *w = arg;
	uint32_t max = w->lun.info.max_transfer;

	if (req->op == DISK_READ && req->length > BLOCK_SIZE &&
	    req->length > max)
		world_fail(w, "nexus %u reads %" PRIu64 " bytes", nexus,
		    req->length);
}

static uint32_t max_transfer;

static void
play_small_reads(struct world *w)
{
	struct lock_grant a, b;

	w->lun.info.max_transfer = max_transfer;
	w->lun.sent = check_length;
	w->lun.landed_arg = w;
	if (!play_join_all(w))
		return;
	WORLD_CHECK(w, play_lock(w, 0, LOCK_EXCLUSIVE, 0, &a) == 0);
	world_crash(w, 0);
	WORLD_CHECK(w, play_lock(w, 1, LOCK_EXCLUSIVE, TAKEOVER_MS, &b) == 0);
	WORLD_CHECK(w, play_unlock(w, 1, &b) == 0);
	play_leave_all(w);
	/* A part that cannot be read is not passed over. */
	w->lun.strike = (struct sim_strike){
		.result = -EIO, .ops = 1u << DISK_READ, .times = 1,
		.skip = max_transfer < MIB ? 3 : 0, .last = 3,
	};
	WORLD_CHECK(w, world_join(w, 1) == -EIO);
}

ATF_TC_WITHOUT_HEAD(the_slot_table_is_read_in_parts_that_the_lun_takes);
ATF_TC_BODY(the_slot_table_is_read_in_parts_that_the_lun_takes, tc)
{
	static const uint32_t sizes[] = { 4 * MIB, 65536 + 512, 512 };

	(void)tc;
	for (unsigned i = 0; i < 3; i++) {
		max_transfer = sizes[i];
		play_seeds((struct world_conf){ .hosts = 2,
		    .protocol = LOCK_ATS_PR }, 1, play_small_reads);
	}
}

/* ---- a tool is a member like any other ---- */

static void
play_tool(struct world *w)
{
	struct lock_grant a, b, c;

	w->host[1].tool = true;
	if (!play_join_all(w))
		return;
	WORLD_CHECK(w, play_lock(w, 0, LOCK_EXCLUSIVE, 0, &a) == 0);
	WORLD_CHECK(w, play_lock(w, 1, LOCK_EXCLUSIVE, 0, &b) ==
	    -VMFS_ELOCKED);
	world_crash(w, 0);
	WORLD_CHECK(w, play_lock(w, 1, LOCK_EXCLUSIVE, TAKEOVER_MS, &b) == 0);
	/* And who dies as a tool is taken over, too. */
	world_boot(w, 0);
	WORLD_CHECK(w, world_join(w, 0) == 0);
	world_crash(w, 1);
	WORLD_CHECK(w, play_lock(w, 0, LOCK_EXCLUSIVE, TAKEOVER_MS, &c) == 0);
	WORLD_CHECK(w, play_unlock(w, 0, &c) == 0);
	world_boot(w, 1);
	WORLD_CHECK(w, world_join(w, 1) == 0);
	play_leave_all(w);
	WORLD_CHECK(w, w->lun.reserved == 0);
}

ATF_TC_WITHOUT_HEAD(a_tool_takes_over_and_is_taken_over);
ATF_TC_BODY(a_tool_takes_over_and_is_taken_over, tc)
{
	(void)tc;
	all_protocols(2, SEEDS, play_tool);
}

ATF_TP_ADD_TCS(tp)
{
	ATF_TP_ADD_TC(tp,
	    what_does_not_fit_is_refused_before_anything_is_written);
	ATF_TP_ADD_TC(tp, members_run_by_the_same_timers);
	ATF_TP_ADD_TC(tp, without_a_hint_time_the_network_hastens_nothing);
	ATF_TP_ADD_TC(tp, a_full_table_takes_nobody_else);
	ATF_TP_ADD_TC(tp, the_last_slot_goes_to_one_of_two);
	ATF_TP_ADD_TC(tp, a_reservation_of_another_program_is_respected);
	ATF_TP_ADD_TC(tp, a_reservation_that_has_just_ended_is_no_obstacle);
	ATF_TP_ADD_TC(tp, a_fenced_clone_stays_at_large);
	ATF_TP_ADD_TC(tp, a_past_that_others_have_ended_leaves_its_slot);
	ATF_TP_ADD_TC(tp, the_locks_of_a_past_wait_for_its_last_write);
	ATF_TP_ADD_TC(tp, who_cannot_register_claims_no_slot);
	ATF_TP_ADD_TC(tp, a_key_that_stayed_behind_is_removed_by_the_next);
	ATF_TP_ADD_TC(tp, without_a_look_at_the_keys_nothing_is_proven);
	ATF_TP_ADD_TC(tp, a_reservation_that_cannot_be_read_is_told);
	ATF_TP_ADD_TC(tp, reserve_is_not_used_beside_registered_keys);
	ATF_TP_ADD_TC(tp, a_key_behind_many_others_is_found);
	ATF_TP_ADD_TC(tp, a_slot_that_cannot_be_held_is_not_claimed);
	ATF_TP_ADD_TC(tp,
	    the_slot_table_is_read_in_parts_that_the_lun_takes);
	ATF_TP_ADD_TC(tp, a_tool_takes_over_and_is_taken_over);
	return atf_no_error();
}
