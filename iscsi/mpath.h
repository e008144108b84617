/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Several paths to one LUN as one struct disk.
 *
 * Each path is a disk of its own (a leg: one iSCSI session).  Requests go to
 * the legs with the best access state, the one with the least to do first.
 * When a leg breaks, what it carried is sent again on another one, but not
 * before the target has provably forgotten it: a write that a dead path left
 * behind could otherwise land on top of a newer one, even of another host.
 * Until then nothing at all is sent (doc/adr/0005-ghost-writes.md).
 *
 *   leg state   carries              becomes
 *   lost        nothing              checking: its session is back
 *   checking    nothing              active, standby, late
 *   active      everything           lost; checking: access or key in doubt
 *   standby     registrations        as active
 *   late        reads, if no other   probation: registered by the key's owner
 *   probation   reads, if no other   active: admitted; late: revoked
 *   refused     nothing              checking: another LUN, looked at again
 *
 * Everything runs on the reactor that called mpath_open; requests of others
 * come and go by sched_post.  The layer knows nothing of iSCSI.
 */
#ifndef VMFS_ISCSI_MPATH_H
#define VMFS_ISCSI_MPATH_H

#include "libvmfs/env/disk.h"
#include "libvmfs/env/env.h"

#define MPATH_LEGS_MAX 8

/* Asymmetric access states, SPC-4 table 311. */
enum mpath_access {
	MPATH_OPTIMIZED = 0x0,
	MPATH_NON_OPTIMIZED = 0x1,
	MPATH_STANDBY = 0x2,
	MPATH_UNAVAILABLE = 0x3,
	MPATH_LBA_DEPENDENT = 0x4,
	MPATH_OFFLINE = 0xe,
	MPATH_TRANSITIONING = 0xf,
};

enum mpath_state {
	MPATH_LOST,
	MPATH_CHECKING,
	MPATH_ACTIVE,
	MPATH_INACTIVE,		/* standby, unavailable, in transition */
	MPATH_LATE,
	MPATH_PROBATION,
	MPATH_REFUSED,
	MPATH_LESSER,		/* refused: the LUN cannot do by it what it can
				 * by the others */
};

/* What the LUN says on a leg. */
struct mpath_look {
	uint8_t access;		/* enum mpath_access */
	bool preferred;
	unsigned group;		/* 0: not told */
	/* A unit attention about reservations that was met; else zero. */
	struct disk_sense attention;
};

struct mpath_leg_ops {
	/* Opens the leg; its commands must not wait for a lost path but end
	 * with -ENOTCONN (not sent) or -VMFS_EUNKNOWN.  Suspends. */
	int (*open)(void *arg, struct disk **ret_d);
	/* Is there a session?  *ret_epoch grows with each new one, which means
	 * that the commands of all older ones have ended. */
	bool (*alive)(struct disk *d, uint64_t *ret_epoch);
	/* -ENOTCONN, -VMFS_EUNKNOWN or 0.  Suspends. */
	int (*look)(struct disk *d, struct mpath_look *ret_look);
	/* Ends all commands of all legs and hosts on the LUN.  Suspends. */
	int (*reset)(struct disk *d);
	/* The next unit attention of a reset needs no mention. */
	void (*expect_reset)(struct disk *d);
	/* Ends the commands that `dead` left, through d.  -EOPNOTSUPP: its
	 * target port cannot be reached from there.  Suspends. */
	int (*reinstate)(struct disk *d, struct disk *dead);
	/* Ends its session, with what the LUN keeps for that; another follows.
	 * Commands on their way are lost.  Without one it does nothing. */
	void (*drop)(struct disk *d);
};

struct mpath_leg_conf {
	const struct mpath_leg_ops *ops;
	void *arg;		/* of open; the caller's, outlives the disk */
	const char *portal;	/* for people */
};

struct mpath_conf {
	const char *name;	/* of the whole, for people */
	struct mpath_leg_conf legs[MPATH_LEGS_MAX];
	unsigned count;
	uint32_t timeout_ms;	/* a request waits so long for a path */
	void (*closed)(void *arg);	/* all legs are closed; may be NULL */
	void *arg;
};

/*
 * Opens all legs at once and waits for the first answer of each; one good leg
 * is enough.  -EXDEV: they show different LUNs; -ENOTUNIQ: the LUN has no
 * identity by which paths could be compared; else the error of the first leg.
 * Legs that are away are tried again for ever; one that comes
 * later takes nothing away from what the LUN can do.  `closed` is called only for a
 * disk that was opened.  Suspends.
 */
int mpath_open(struct env *env, const struct mpath_conf *conf,
    struct disk **ret_d) MUST_CHECK;

const char *mpath_state_name(enum mpath_state s);
const char *mpath_access_name(uint8_t access);

#endif
