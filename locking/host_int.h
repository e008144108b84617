/* SPDX-License-Identifier: BSD-2-Clause */
/* struct host as the files of locking/ see it; others use host.h. */
#ifndef VMFS_LOCKING_HOST_INT_H
#define VMFS_LOCKING_HOST_INT_H

#include "locking/fence.h"
#include "locking/guard.h"
#include "locking/heartbeat.h"
#include "locking/host.h"
#include "locking/host_keep.h"
#include "locking/lease.h"
#include "locking/member.h"

/* One slot as this host last saw it. */
struct seen {
	uint8_t image[LOCK_RECORD_SIZE];
	struct heartbeat rec;
	bool known;		/* rec was decoded */
	bool corrupt;
	uint64_t changed_ns;	/* own clock: image first seen as it is */
	bool stuck_told;	/* that fencing fails was logged */
	uint64_t again_ns;	/* after a failure: not before */
	/* This incarnation can begin nothing since then, but nobody told us
	 * that what it had begun is over. */
	uint64_t silenced, silenced_ns;
};

struct watch {
	uint8_t *table;		/* SLOTS_MAX blocks */
	struct seen seen[SLOTS_MAX];
	uint64_t sampled_ns;	/* submission of the last good read */
	uint64_t done_ns;	/* its completion; 0: none yet */
	struct fiber_cond wake;
	struct fiber_mutex reading;	/* one watch_read at a time */
	bool running;
};

/* Ring; the newest is at (next - 1). */
struct history {
	struct takeover_report entry[TAKEOVERS_KEPT];
	unsigned next, used;
};

#define HELD_BUCKETS 256u
struct lockmgr {
	struct list bucket[HELD_BUCKETS];	/* struct held */
	struct list strays;		/* struct held: see lockmgr_tidy */
	struct list heirs;		/* see handover.c */
	struct fiber_cond changed;
	struct fiber_mutex journal;	/* one order for the beat at a time */
	struct host_keep *keep;		/* NULL: nothing outlives us */
	uint64_t tries, lost;		/* compare-and-writes of records */
};

struct host {
	struct lockops locks;		/* first what others point to */
	struct guard guard;
	struct env *env;
	struct disk *lun, *hb_lun;
	struct disk *wrapped[2];	/* of LOCK_RESERVE */
	struct super super;
	struct host_conf conf;
	char name[HOST_NAME_MAX_BYTES + 1];
	struct lease lease;
	const struct fence_ops *fence;
	struct member *member;
	struct fence_paths paths;
	struct beat beat;
	struct petter petter;		/* with conf.watchdog */
	struct watch watch;
	struct lockmgr lm;
	struct fiber_mutex taking;	/* one take-over at a time */
	uint64_t met_super;	/* generation on the LUN that nobody lives to
				 * tell of */
	struct history history;
	bool stopping;
	bool entered, beating, guarded, watched; /* what host_leave has to undo */
	bool resumed;			/* as a dead process's incarnation */
	bool resuming;			/* strays may be wanted yet */
	uint64_t mounted_us;
	uint64_t claimed_ns;		/* submission of the first pulse */
};

/* ---- watch.c ---- */

/* Reads all slots into `table` (SLOTS_MAX blocks).  Suspends. */
int slots_read(struct disk *lun, void *table) MUST_CHECK;
/* Reads the table and notes what changed; decides nothing.  Suspends. */
int watch_read(struct host *h) MUST_CHECK;
int watch_start(struct host *h) MUST_CHECK;
void watch_stop(struct host *h);
/* How this host judges the owner of a slot, from the last read. */
enum holder_state watch_judge(const struct host *h, unsigned slot,
    uint64_t *ret_silent_ms, uint64_t *ret_fence_in_ms);

/* ---- slot.c ---- */

/* Does the state machine of slots have this edge? */
bool slot_move_ok(enum slot_state from, enum slot_state to);
/* Reads one slot through d; c is initialised for it.  Suspends. */
int slot_load(struct host *h, struct caw *c, unsigned slot,
    struct heartbeat *ret_hb) MUST_CHECK;
/* Writes `next` over what c loaded; its nonce is made here.  Suspends. */
int slot_store(struct host *h, struct caw *c, struct heartbeat *next)
    MUST_CHECK;
/* Reads a slot freshly through the guard.  Suspends. */
int slot_peek(struct host *h, unsigned slot, struct heartbeat *ret_hb)
    MUST_CHECK;
/* Enters and claims a free slot as LIVE; fills h->beat.  Suspends. */
int slot_claim(struct host *h, char why[WHY_SIZE]) MUST_CHECK;
/*
 * Was its last owner fenced and not seen since?  It may be asleep with a write
 * in its hands, which only the reservation keeps out: that must stay.
 */
bool slot_at_large(const struct heartbeat *hb);
/* Was its last owner this host?  A clone of it on another machine was not. */
bool slot_was_ours(const struct host *h, const struct heartbeat *hb);
/*
 * The owner of `seen`, a slot at large, is so no more.  0 also when the slot
 * has moved on meanwhile: then nothing was changed.  Suspends.
 */
int slot_unmark(struct host *h, const struct heartbeat *seen) MUST_CHECK;
/* Gives it back in good order; the heartbeat has ended.  Suspends. */
int slot_free(struct host *h) MUST_CHECK;

/* ---- identity.c ---- */

/* Refuses a live twin; *ret_stale gets the slots that are our own past. */
int identity_check(struct host *h, bool ret_stale[SLOTS_MAX],
    char why[WHY_SIZE]) MUST_CHECK;
/* After the claim: nobody else came at the same time as us? */
int identity_confirm(struct host *h, const bool stale[SLOTS_MAX],
    char why[WHY_SIZE]) MUST_CHECK;

/* ---- resume.c ---- */

/*
 * Enters and goes on with the slot of a dead process of ours; fills h->beat.
 * Any error: it cannot be, claim another.  Suspends.
 */
int resume_slot(struct host *h, char why[WHY_SIZE]) MUST_CHECK;
/* Behind the guard: replays the own journal, finds the locks.  rec is our slot's
 * record as we entered it: that of h->beat is the pulse's by now.  Suspends. */
int resume_rest(struct host *h, const struct heartbeat *rec) MUST_CHECK;
/* A successor may go on as us; it may not.  Do not suspend. */
void resume_note(struct host *h);
void resume_forget(struct host *h);

/* ---- takeover.c ---- */

/*
 * Fences the incarnation in `slot`, replays its journal, frees the slot.
 * -EAGAIN: somebody else is at it or the slot lives.  *ret_r (may be NULL) is
 * filled in any case.  Suspends.
 */
int takeover_run(struct host *h, unsigned slot, const struct heartbeat *victim,
    enum takeover_cause cause, struct takeover_report *ret_r) MUST_CHECK;

/* ---- history.c ---- */

/* Notes a take-over, or how one goes on that is noted already. */
void history_put(struct host *h, const struct takeover_report *r);
/* A slot was seen to change, after silent_ms: is it another's take-over? */
void history_saw(struct host *h, const struct heartbeat *before,
    const struct heartbeat *now, uint64_t silent_ms);
/* The one of that incarnation that is not done; NULL. */
const struct takeover_report *history_pending(const struct host *h,
    unsigned slot, uint64_t incarnation);

/* Did we try to take it over, and could not? */
bool history_stuck(const struct host *h, unsigned slot, uint64_t incarnation);
/* Wall clock of the end of that incarnation, when we have seen it; 0. */
uint64_t history_end(const struct host *h, unsigned slot,
    uint64_t incarnation);
/* Whom a slot that is recovered, or was, names as its recoverer; "" when his
 * slot is another's now. */
void recoverer_name(const struct host *h, const struct heartbeat *hb,
    char ret_name[HOST_NAME_MAX_BYTES + 1]);

/* ---- host.c ---- */

/* Can this LUN be used by the datastore's protocol?  0, or a sentence. */
int host_check_disk(const struct host *h, const struct disk *d,
    char why[WHY_SIZE]) MUST_CHECK;
/* Reads the own slot past the guard.  0: it is ours; -VMFS_EFENCED and
 * -VMFS_EGONE with a sentence.  Suspends. */
int host_check_slot(struct host *h, char why[WHY_SIZE]) MUST_CHECK;

/* Removes keys of incarnations that are over from the LUN.  Suspends. */
int host_sweep(struct host *h) MUST_CHECK;

/* ---- host_lun.c: lockops ---- */

int lm_add_lun(struct lockops *l, struct disk *lun, char *why) MUST_CHECK;
void lm_del_lun(struct lockops *l, struct disk *lun);

/* ---- lockmgr.c ---- */

void lockmgr_init(struct host *h);
void lockmgr_fini(struct host *h);
/* Gives back locks that an error has left with us on the LUN.  Suspends. */
void lockmgr_tidy(struct host *h);
/* A lock that a dead process of ours has left, at `kept` of its table. */
int lockmgr_stray(struct host *h, uint64_t addr, uint32_t kept) MUST_CHECK;
/* This superblock is newer than ours. */
void host_set_super(struct host *h, const struct super *s);

/* May this host act on what it knows of others? */
static inline bool
host_in_order(struct host *h)
{
	return !h->stopping && guard_status(&h->guard) == HOST_OK &&
	    guard_lease_good(&h->guard, h->env->sched);
}

/* Is there a path on which our key is not registered yet? */
static inline bool
host_has_late(const struct host *h)
{
	return disk_late(h->lun) > 0 || disk_late(h->hb_lun) > 0;
}

/* Merges a clock value into the host's Lamport clock. */
static inline void
host_saw_lsn(struct host *h, uint64_t lsn)
{
	if (lsn > h->locks.lsn)
		h->locks.lsn = lsn;
}

#endif
