/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A host's membership of one datastore: slot, heartbeat, guard, locks, watch
 * over the others, take-over.  doc/LOCKING.md has the protocol and why it is
 * safe.
 */
#ifndef VMFS_LOCKING_HOST_H
#define VMFS_LOCKING_HOST_H

#include <stdbool.h>
#include <stdint.h>

#include "libvmfs/base/err.h"
#include "libvmfs/core/lockops.h"
#include "libvmfs/core/recover.h"
#include "libvmfs/env/disk.h"
#include "libvmfs/env/env.h"
#include "locking/member.h"

struct host;
struct takeover_report;
struct watchdog_share;
struct host_keep;
struct softlog;

#define HOST_WHY_SIZE 256	/* of sentences for the admin */

enum host_status {
	HOST_OK,
	HOST_FROZEN,		/* own pulse too old: I/O waits (L6, L7) */
	HOST_FENCED,		/* foreign incarnation or conflict: all fails */
	HOST_LEFT,
};

struct host_conf {
	const char *name;	/* shown to people; unique among live hosts */
	struct uuid host;	/* lasting identity */
	struct uuid machine, boot;
	/*
	 * home: names something that this process has locked, on this boot,
	 * against all others: a slot of that home and of another process is
	 * our past.  process: unlike that of any other.  0: nothing is locked.
	 */
	uint64_t home, process;
	/* It checks and repairs: it wants a slot that nobody has to repair, and
	 * has no use for a journal. */
	bool repairs;
	struct member *member;	/* what the network says; NULL: nothing */
	/*
	 * Both called on conf->env's scheduler.  fenced: abandon the datastore;
	 * a remount (new host_join) is possible after host_leave.
	 */
	void (*on_status)(void *arg, enum host_status status, const char *why);
	/*
	 * A take-over has ended, or could not be done at its first try; also
	 * those of other hosts.  May be NULL; must not suspend.
	 */
	void (*on_takeover)(void *arg, const struct takeover_report *r);
	void *arg;
	/* NULL: none; outlives the host. */
	struct watchdog_share *watchdog;
	/*
	 * Memory that outlives the process (host_keep.h); NULL: none.  When it
	 * tells of a membership whose process has died, that is gone on with
	 * where it can be proven to be over: see host_resumed.
	 */
	struct host_keep *keep;
	struct softlog *soft;	/* the same, of the file system; NULL */
};

/*
 * Joins the datastore on `lun`: checks superblock, protocol, timers; registers
 * for persistent reservations or takes the file's hold; reclaims an own stale
 * incarnation (replaying its journal); takes a slot; starts the heartbeat.
 *
 * env is the datastore's scheduler; hb_env the heartbeat's (R4), which may be
 * the same in the simulator; hb_lun is the heartbeat's own path to the LUN,
 * or the same disk where hb_env is env.  Disks stay the caller's and outlive
 * the host.
 * Suspends.  -VMFS_EINUSE: a live host of that name or UUID is a member;
 * -ENOSPC: all slots taken; `why` (256 bytes) gets the sentence for the admin.
 */
int host_join(struct env *env, struct env *hb_env, struct disk *lun,
    struct disk *hb_lun, const struct super *super,
    const struct host_conf *conf, struct host **ret_h, char *why) MUST_CHECK;
/*
 * Leaves in good order (slot free, key unregistered) or, when fenced or
 * `crash`, just stops.  The datastore must be closed.  Frees h.  Suspends.
 */
int host_leave(struct host *h, bool crash);
/*
 * Nothing that is done after this reaches the LUN: what is held there stays,
 * as if the process had died.  What is open can be closed then, before
 * host_leave with `crash`.  Suspends.
 */
void host_fall_silent(struct host *h);

/*
 * Does it go on as the incarnation that a dead process had?  Then its locks are
 * still its own, and what it had not committed has been replayed.  Locks that
 * nobody has taken again when host_resume_done is called are given back.  Does
 * not suspend, both.
 */
bool host_resumed(const struct host *h);
void host_resume_done(struct host *h);

/* The LUN behind the lease check (L6): give this to ds_open.  It stays valid
 * until host_leave. */
struct disk *host_disk(struct host *h);
struct lockops *host_locks(struct host *h);
enum host_status host_status(const struct host *h);
/* What its I/O gets when it is fenced: -VMFS_EFENCED, or -VMFS_EGONE when the
 * LUN is permanently gone. */
int host_error(const struct host *h);

/* ---- what admins see ---- */

struct host_info {
	unsigned slot;
	enum slot_state state;
	enum holder_state seen;	/* as this host judges it */
	bool self;
	/* This host is not in order and hears nobody: seen is what was, and
	 * silent_ms counts from its last look. */
	bool unheard;
	struct uuid host;
	char name[HOST_NAME_MAX_BYTES + 1];
	uint64_t incarnation, pulse;
	/* Wall clock: mounted, or with SLOT_FREE and SLOT_RECOVERING its end,
	 * when this host has seen that (0). */
	uint64_t since_us;
	uint64_t silent_ms;	/* since its image last changed, for us */
	uint64_t fence_in_ms;	/* 0: not suspect */
	enum member_word net;
	uint64_t pr_key;
	/* SLOT_FREE: it was fenced and has not come back (host_forget). */
	bool at_large;
	/* "" or who replays, or has fenced the one at large */
	char recoverer[HOST_NAME_MAX_BYTES + 1];
	char stuck[HOST_WHY_SIZE];	/* "" or why its take-over fails */
};
/* Every slot that is taken or whose host is at large, from the last read of
 * the table. */
void host_list(struct host *h,
    void (*fn)(void *arg, const struct host_info *i), void *arg);
/*
 * Breaks a lock whose holder is provably dead; -VMFS_ELOCKED while the holder
 * is alive, with *ret_holder.  Suspends.
 */
int host_lock_break(struct host *h, uint64_t addr,
    struct lock_holder *ret_holder) MUST_CHECK;

/*
 * From now on, for that long, the lock at addr goes to host `to` and no other
 * when this host gives it back; it is free when `to` has not taken it by then.
 * This host may take it back before.  -ENOENT, -EHOSTDOWN, -EBUSY with a
 * sentence in why (256 bytes).  Suspends.
 */
int host_hand_over(struct host *h, uint64_t addr, const char *to,
    uint64_t limit_ns, char *why) MUST_CHECK;
/* Before its time is up; with the call that takes the lock or gives it back, if
 * there is one.  -ESRCH: there is none to end.  Suspends. */
int host_hand_over_end(struct host *h, uint64_t addr) MUST_CHECK;
/* Has it been given back, and was not taken back? */
bool host_hand_over_offered(struct host *h, uint64_t addr);

/*
 * Calls fn for each holder of a lock, also those whose incarnation is over.
 * fn must not suspend.  Suspends.
 */
int host_lock_holders(struct host *h, uint64_t addr,
    void (*fn)(void *arg, const struct lock_holder *one), void *arg)
    MUST_CHECK;

/* ---- take-overs ---- */

enum takeover_cause {
	TAKEOVER_SILENCE,	/* its heartbeat was silent for too long */
	TAKEOVER_OWN_PAST,	/* this host before it was started anew */
	TAKEOVER_ADMIN,		/* host_fence */
	TAKEOVER_RESUMED,	/* who began it is gone, too */
	TAKEOVER_SEEN,		/* another host did it */
};
enum takeover_step {
	TAKEOVER_BEGUN,
	TAKEOVER_FENCED,	/* provably cannot write any more */
	TAKEOVER_MARKED,	/* its incarnation is over */
	TAKEOVER_REPLAYED,
	TAKEOVER_FREED,		/* its locks can be had */
	TAKEOVER_STEPS,
};
const char *takeover_cause_name(enum takeover_cause c);
const char *takeover_step_name(enum takeover_step s);

struct takeover_report {
	unsigned slot;
	char name[HOST_NAME_MAX_BYTES + 1];
	uint64_t incarnation;	/* the one that ended */
	enum takeover_cause cause;
	char by[HOST_NAME_MAX_BYTES + 1];
	uint64_t silent_ms;	/* before it was fenced */
	enum member_word net;	/* what the network said then */
	uint64_t fence_ms, replay_ms;
	struct recover_report replay;
	/* Wall clock of the end of each step; 0: not yet, or not seen. */
	uint64_t at_us[TAKEOVER_STEPS];
	unsigned tries;		/* by this host */
	/* 0: done; -EINPROGRESS: another host is at it; else it is tried again
	 * each pulse, and `why` tells what is in the way. */
	int result;
	char why[HOST_WHY_SIZE];
};
#define TAKEOVERS_KEPT 16
/* The last TAKEOVERS_KEPT since the mount, oldest first. */
void host_takeovers(const struct host *h,
    void (*fn)(void *arg, const struct takeover_report *r), void *arg);
/* The last one that this host finished; false when there was none. */
bool host_last_takeover(const struct host *h, struct takeover_report *ret_r);

/* ---- what admins order; `why` (HOST_WHY_SIZE) is the sentence ---- */

/*
 * Takes over the host of that name now, which the admin knows to be gone.  It
 * is fenced first as in any take-over, so a mistake costs that host its mount,
 * never data.  Listens until it has missed a pulse; with `force` a host that
 * pulses is fenced as well.  -ENOENT; -EINVAL: it is this host;
 * -VMFS_EINUSE: it pulses, or the fence cannot be proven; -EBUSY: it is taken
 * over already, or we cannot judge now.  Suspends.
 */
int host_fence(struct host *h, const char *name, bool force,
    struct takeover_report *ret_r, char *why) MUST_CHECK;
/*
 * Forgets that the host of that name was fenced and is at large, so that the
 * LUN does not stay reserved for its sake.  Where the reservation is what keeps
 * a sleeper out that wakes up when no member is left, the admin has to insist:
 * -EPERM without `force`.  -ENOENT; -VMFS_EINUSE: it is a member; -EBUSY: its
 * journal is being replayed, or we cannot judge now.  Suspends.
 */
int host_forget(struct host *h, const char *name, bool force,
    unsigned *ret_slots, char *why) MUST_CHECK;

/*
 * Reads the slot table twice, a little more than a pulse apart, and tells
 * which hosts are alive on the LUN: for mkfs and fsck, which are no members.
 * *ret_alive is the count; names (size bytes) lists them.  Suspends.
 */
int hosts_alive(struct env *env, struct disk *lun, const struct super *super,
    unsigned *ret_alive, char *names, size_t size) MUST_CHECK;

#endif
