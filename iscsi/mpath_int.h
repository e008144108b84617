/* SPDX-License-Identifier: BSD-2-Clause */
/* Shared by the files of the multipath disk: mpath{,_req,_pr,_leg,_ghost}.c */
#ifndef VMFS_ISCSI_MPATH_INT_H
#define VMFS_ISCSI_MPATH_INT_H

#include <stdatomic.h>

#include "iscsi/mpath.h"
#include "libvmfs/base/units.h"

#define MPATH_POLL_NS (200 * NSEC_PER_MSEC)
#define MPATH_LOOK_NS (2 * NSEC_PER_SEC)	/* at a leg that is not active */
#define MPATH_REOPEN_NS (3 * NSEC_PER_SEC)
#define MPATH_REFUSED_NS (30 * NSEC_PER_SEC)
#define MPATH_GRACE_NS NSEC_PER_SEC	/* before a reset: for bytes on the way */
#define MPATH_TRIES 8

struct mpath;

struct leg {
	struct mpath *mp;
	struct mpath_leg_conf conf;
	unsigned index;
	struct disk *disk;	/* NULL: never reached yet */
	enum mpath_state state;
	struct mpath_look look;
	uint64_t epoch;		/* of the session it has, or had */
	unsigned in_flight;
	bool tried;		/* opened once, with or without success */
	int error;		/* of that */
	unsigned lacks;		/* DISK_CAP_* for which it was refused */
	bool stale;		/* access or key in doubt: look again */
	/*
	 * It broke with changes on their way, which may yet land: until a newer
	 * session, a reinstatement or a reset ends them.
	 */
	bool haunted;
	uint64_t lost_ns;
	uint64_t again_ns;	/* after a check that failed: not before */
	bool gone;		/* the last check: no such LUN any more */
	/* Registered after the user joined; not to be trusted until admitted,
	 * whatever happens to its session. */
	bool unchecked;
	struct disk_sense attention;	/* to be told with the next request */
	uint64_t since_us, errors, losses;
};

/* One request on its way. */
struct mreq {
	struct disk_req req;
	struct disk_req *parent;
	struct mpath *mp;
	struct leg *leg;
	struct list node;	/* mp->waiting or mp->unknown */
	uint64_t deadline_ns;
	unsigned gone;		/* legs that say that the LUN is gone, a mask */
	unsigned tries;
	struct sched_work work;
};

struct mpath {
	struct disk disk;
	struct env *env;
	struct sched *home;
	struct mpath_conf conf;
	char name[256];
	struct leg legs[MPATH_LEGS_MAX];
	unsigned count;
	struct list waiting;	/* for a leg */
	struct list unknown;	/* ended; told when no ghost is left */
	bool killing;		/* nothing is sent */
	bool reset_due;		/* of a fence nobody knows whether it ended */
	bool reset_refused;	/* told once */
	bool opened;		/* users rely on disk.info */
	bool stopping;
	unsigned fibers;
	struct fiber_cond changed;
	struct fiber_cond drained;
	struct fiber_mutex keys;	/* one change of registrations at a time */
	uint64_t key;		/* registered by the user; 0: none ... */
	bool aptpl;		/* ... and how */
	struct leg *reserver;	/* holds the SCSI-2 reservation */
	atomic_uint late;
};

static inline struct mpath *
mpath_of(struct disk *d)
{
	return container_of(d, struct mpath, disk);
}

/* ---- mpath_leg.c ---- */

void leg_state_set(struct leg *l, enum mpath_state s);
/* It broke; `changes`: with commands on their way that change the LUN. */
void leg_lost(struct leg *l, bool changes);
/* Access state or key are in doubt. */
void leg_doubt(struct leg *l);
/* Fits for registrations and questions about them. */
bool leg_registrable(const struct leg *l);
/* Admitted, or with no key to wait for: as its access state says. */
void leg_settle(struct leg *l);
int leg_start(struct leg *l) MUST_CHECK;
/*
 * One request of the disk's own on this leg.  Unit attentions are repeated;
 * one about reservations is told with the next request of the user.  Suspends.
 */
int leg_run(struct leg *l, struct disk_req *req) MUST_CHECK;

/* ---- mpath_req.c ---- */

void mpath_submit(struct disk *d, struct disk_req *req);
/* Sends what may be sent. */
void mpath_pump(struct mpath *mp);
/* Ends requests that waited for too long or for a LUN that is gone, and those of
 * unknown outcome once nothing of them can land any more. */
void mpath_expire(struct mpath *mp);
void mreq_end(struct mreq *r, int result);
/* The same from within submit: done comes later. */
void mreq_end_soon(struct mreq *r, int result);
/* Could it change what the LUN holds, or who may? */
bool mpath_changes(enum disk_op op);
/* Is its session still the one we know?  Then the target has answered. */
bool leg_answered_all(const struct leg *l);
/* The leg that is to carry an operation now; NULL: none. */
struct leg *mpath_pick(struct mpath *mp, enum disk_op op, unsigned not);

/* ---- mpath_pr.c ---- */

/* Is it one that goes to all legs? */
bool mpath_pr_for_all(const struct disk_req *req);
void mpath_pr_start(struct mreq *r);
/* Is the user's key registered on this leg?  0, -VMFS_ECONFLICT: not.
 * Suspends. */
int mpath_pr_confirm(struct leg *l) MUST_CHECK;

/* ---- mpath_ghost.c ---- */

/* True: commands of a lost leg may yet land; nothing must be sent. */
bool mpath_haunted(const struct mpath *mp);
/* Ends them if a leg is there to do it.  Suspends. */
void mpath_exorcise(struct mpath *mp);

#endif
