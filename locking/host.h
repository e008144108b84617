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
struct watchdog_share;

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
	struct member *member;	/* what the network says; NULL: nothing */
	/*
	 * Both called on conf->env's scheduler.  fenced: abandon the datastore;
	 * a remount (new host_join) is possible after host_leave.
	 */
	void (*on_status)(void *arg, enum host_status status, const char *why);
	void *arg;
	/* NULL: none; outlives the host. */
	struct watchdog_share *watchdog;
};

/*
 * Joins the datastore on `lun`: checks superblock, protocol, timers; registers
 * for persistent reservations or takes the file's hold; reclaims an own stale
 * incarnation (replaying its journal); takes a slot; starts the heartbeat.
 *
 * env is the datastore's scheduler; hb_env the heartbeat's (R4), which may be
 * the same in the simulator; hb_lun is the heartbeat's own path to the LUN
 * (may be the same disk).  Disks stay the caller's and outlive the host.
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

/* The LUN behind the lease check (L6): give this to ds_open.  It stays valid
 * until host_leave. */
struct disk *host_disk(struct host *h);
struct lockops *host_locks(struct host *h);
enum host_status host_status(const struct host *h);

/* ---- what admins see ---- */

struct host_info {
	unsigned slot;
	enum slot_state state;
	enum holder_state seen;	/* as this host judges it */
	bool self;
	struct uuid host;
	char name[HOST_NAME_MAX_BYTES + 1];
	uint64_t incarnation, pulse, mounted_us;
	uint64_t silent_ms;	/* since its image last changed, for us */
	uint64_t fence_in_ms;	/* 0: not suspect */
	enum member_word net;
	uint64_t pr_key;
	char recoverer[HOST_NAME_MAX_BYTES + 1];	/* "" or who replays */
};
/* Every slot that is not free, from the last read of the table. */
void host_list(struct host *h,
    void (*fn)(void *arg, const struct host_info *i), void *arg);
/*
 * Breaks a lock whose holder is provably dead; -VMFS_ELOCKED while the holder
 * is alive, with *ret_holder.  Suspends.
 */
int host_lock_break(struct host *h, uint64_t addr,
    struct lock_holder *ret_holder) MUST_CHECK;

/* What a take-over did, for the log and `vmfsctl host ls`. */
struct takeover_report {
	unsigned slot;
	char name[HOST_NAME_MAX_BYTES + 1];
	uint64_t incarnation;
	uint64_t silent_ms;	/* before it was fenced */
	enum member_word net;	/* what the network said then */
	uint64_t fence_ms, replay_ms;
	struct recover_report replay;
};
/* The last take-over by this host; false when there was none. */
bool host_last_takeover(const struct host *h, struct takeover_report *ret_r);

/*
 * Reads the slot table twice, a little more than a pulse apart, and tells
 * which hosts are alive on the LUN: for mkfs and fsck, which are no members.
 * *ret_alive is the count; names (size bytes) lists them.  Suspends.
 */
int hosts_alive(struct env *env, struct disk *lun, const struct super *super,
    unsigned *ret_alive, char *names, size_t size) MUST_CHECK;

#endif
