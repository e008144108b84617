/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Lock port: how the file system takes the on-disk locks of DESIGN L2.  The
 * locking/ directory implements it for hosts, lock_local.c for tools that own
 * the LUN alone.  All calls run on the datastore's scheduler and suspend.
 */
#ifndef VMFS_CORE_LOCKOPS_H
#define VMFS_CORE_LOCKOPS_H

#include <stdbool.h>
#include <stdint.h>

#include "libvmfs/base/uuid.h"
#include "libvmfs/format/heartbeat.h"
#include "libvmfs/format/lockrec.h"

/* A lock we hold.  Zero-initialised: none. */
struct lock_grant {
	uint64_t addr;		/* block number of the lockable block */
	enum lock_mode mode;	/* LOCK_FREE: not held */
	uint64_t version;
};

enum holder_state {
	HOLDER_LIVE,		/* its heartbeat was seen to change lately */
	HOLDER_SUSPECT,		/* silent; to be fenced when the time is up */
	HOLDER_RECOVERING,	/* fenced, its journal is being replayed */
	HOLDER_DEAD,		/* its incarnation is over: break the lock */
	HOLDER_SELF,
};

/* Who stands in the way (L10). */
struct lock_holder {
	enum lock_mode mode;	/* LOCK_FREE: nobody */
	enum holder_state state;
	unsigned slot;		/* exclusive holder, or lowest shared one */
	unsigned count;		/* holders */
	uint64_t incarnation, version;
	struct uuid host;
	char name[HOST_NAME_MAX_BYTES + 1];
	uint64_t since_us;	/* wall clock of the holder */
	uint64_t silent_ms;	/* since its heartbeat last changed for us */
	uint64_t fence_in_ms;	/* SUSPECT: until we fence it */
	bool stuck;		/* we tried to take it over and cannot yet */
	unsigned by;		/* who on this host: FS_BY_... of fs.h, or 0 */
	/* Who hands it over to that host, which has not taken it yet; "": it
	 * holds it. */
	char from[HOST_NAME_MAX_BYTES + 1];
};

enum {
	/* Fail at once with -VMFS_ELOCKED when a live host holds it.  Without:
	 * wait for it until deadline_ns.  Dead holders are always broken; a
	 * suspect one is waited for in neither case beyond the deadline. */
	LOCK_NOWAIT = 1 << 0,
	/* We have it, alone on this host (*ret_g), and want it in another
	 * mode; when it was exclusive, all that it covers is checkpointed: it
	 * becomes that at once, so that nobody had it in between, or stays as
	 * it is (-VMFS_ELOCKED).  After any other error it is lost. */
	LOCK_CHANGE = 1 << 1,
};

#define LOCKOPS_WHY 256
struct lockops;
struct super;
struct disk;
struct lockops_vt {
	/*
	 * Takes the lock at addr.  On success the record's LSN is merged into
	 * lockops.lsn.  -VMFS_ELOCKED: *ret_holder tells who has it (may be
	 * NULL).  -VMFS_EFENCED: we are no longer a member.
	 */
	int (*acquire)(struct lockops *l, uint64_t addr, enum lock_mode mode,
	    unsigned flags, uint64_t deadline_ns, struct lock_grant *ret_g,
	    struct lock_holder *ret_holder);
	/*
	 * Writes a new record, held exclusively by us, into a block that the
	 * caller has just allocated.  The version is larger than any the block
	 * ever had: max(old + 1, lockops.lsn).
	 */
	int (*create)(struct lockops *l, uint64_t addr,
	    struct lock_grant *ret_g);
	/* Everything covered must be checkpointed before.  Clears *g, also
	 * when the outcome of the write is an error. */
	int (*release)(struct lockops *l, struct lock_grant *g);
	/* Reads the record; holder->mode LOCK_FREE when nobody has it. */
	int (*query)(struct lockops *l, uint64_t addr,
	    struct lock_holder *ret_holder);
	/* Records in our slot where our journal is (a new one was made). */
	int (*set_journal)(struct lockops *l, uint64_t block, uint32_t blocks);
	/*
	 * Asks the other members to give back space that they lease and do not
	 * use.  Returns when that can be seen; the answer is a cluster whose
	 * lock can be had, some pulses later.  -EOPNOTSUPP: there are none who
	 * would understand.
	 */
	int (*ask_space)(struct lockops *l);
	/* We go by this superblock now: tells the other members. */
	int (*set_super)(struct lockops *l, const struct super *s);
	/*
	 * Makes us one that can be fenced on a further LUN, before its first
	 * use; why (LOCKOPS_WHY) gets a sentence.  None of our take-overs goes
	 * on meanwhile.  del_lun: after its last use.
	 */
	int (*add_lun)(struct lockops *l, struct disk *lun, char *why);
	void (*del_lun)(struct lockops *l, struct disk *lun);
};

struct lockops {
	const struct lockops_vt *vt;
	uint64_t lsn;		/* Lamport clock of this host, see journal.h */
	unsigned slot;		/* ours */
	uint64_t incarnation;	/* ours */
	uint64_t journal_block;	/* of our slot; 0: none yet */
	uint32_t journal_blocks;
	/* Newest superblock that a member has told of, and the newest that all
	 * live ones, we among them, go by; as far as was seen. */
	uint64_t super_seen, super_all;
	uint64_t super_told;		/* the one that the others know of us */
	uint64_t space_asked;	/* +1 each time another member asks for space */
	/* Other members that are silent or being taken over: what they lease
	 * comes free when that is over. */
	unsigned dying;
};

struct disk;
struct env;
/*
 * For mkfs, fsck and tests of the core: plays slot 0, incarnation 1, on a LUN
 * that nobody else uses; records are written with plain writes.  Free with
 * lock_local_free.
 */
int lock_local_new(struct env *env, struct disk *disk,
    const struct super *super, struct lockops **ret_l) MUST_CHECK;
/*
 * Another slot and incarnation: who comes after one that died.  All other
 * incarnations are dead, and their journals have been replayed.
 */
int lock_local_new_as(struct env *env, struct disk *disk,
    const struct super *super, unsigned slot, uint64_t incarnation,
    struct lockops **ret_l) MUST_CHECK;
void lock_local_free(struct lockops *l);

#endif
