/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Datastores of this process and their life: LUN opened twice (data and
 * heartbeat), membership, file system, FUSE mount.  Each mounted datastore has
 * an owner reactor and a heartbeat reactor of its own (R1, R4).
 *
 * Calls here come from control threads and the main thread and block.
 */
#ifndef VMFS_VMFSD_DATASTORE_H
#define VMFS_VMFSD_DATASTORE_H

#include <pthread.h>
#include <stdatomic.h>

#include "fuse/fuse_mount.h"
#include "libvmfs/env/reactor.h"
#include "locking/host.h"
#include "vmfsd/conf.h"
#include "vmfsd/ds_keep.h"
#include "vmfsd/identity.h"
#include "vmfsd/serving.h"

#define DATASTORE_WHY_SIZE 1024

enum datastore_state {
	DATASTORE_UNMOUNTED,
	DATASTORE_MOUNTED,
	DATASTORE_FROZEN,	/* LUN lost for now: I/O waits */
	DATASTORE_FENCED,	/* lost its rights: I/O fails, remount */
	DATASTORE_LOST,		/* LUN permanently gone: I/O fails */
	DATASTORE_STATES,
};

/* A further LUN is looked for while the datastore is mounted. */
struct extent_hunt {
	bool running, done;
	struct super super;
	unsigned index;
	int result, told;
	struct disk *found;
	struct fiber_cond ended;
	char why[DATASTORE_WHY_SIZE];
};

/* Of a LUN that a process has left (lun_keep.h), by its place in ds_keep. */
struct lun_kept {
	enum {
		LUN_LEFT,
		LUN_AWAITED,	/* could not be opened yet */
		LUN_OPEN,
	} state;
	struct fs_file *held;	/* until it is open; NULL */
};

struct datastore {
	struct list node;	/* in datastores.list, under its mutex */
	struct datastores *all;
	char *name, *lun, *mount;
	char *extent[SUPER_EXTENTS_MAX];	/* names of further LUNs */
	unsigned extents;
	bool readonly;
	unsigned threads;	/* of the mount; 0: by processors */
	uint64_t map_cache;	/* bytes; 0: the default */
	bool no_io_uring;	/* its requests by /dev/fuse */
	enum unmap_when unmap;	/* the LUN is told what is free ... */
	uint64_t unmap_rate;	/* ... bytes a second; 0: no limit */
	atomic_bool wanted;	/* could not be mounted at start: try again */
	/* "mounting", "unmounting": `use` is held for long; NULL. */
	_Atomic(const char *) doing;
	bool left;		/* by a dead process; perhaps not mounted yet */
	bool again;		/* where a dead process was */
	bool served;		/* who uses the mount has been answered */
	bool resumed;		/* deletions of before the mount go on */
	bool listed;		/* from the configuration: stays when unmounted */
	unsigned refs;		/* under datastores.mutex */
	/* Of the LUN that is mounted, likewise; null and "" when none is. */
	struct uuid volume;
	char serial[64];
	atomic_bool gone;	/* unmounted from outside, to be reaped */

	/* Commands hold it for reading, mount and unmount for writing. */
	pthread_rwlock_t use;
	_Atomic enum datastore_state state;
	/* The rest is set while mounted; touched on the owner's fibers. */
	struct reactor *owner, *beat;
	struct realtime beat_rt;	/* granted to the heartbeat */
	struct env env, beat_env;
	struct ds_keep *keep;		/* NULL only while not mounted */
	struct disk *disk;		/* of all LUNs: extents.h */
	struct disk *beat_disk;
	struct extent_hunt hunt;
	struct super super;
	struct host *host;	/* NULL when mounted read-only: no member */
	struct lockops *locks;
	struct ds *ds;
	struct fs *fs;
	struct fuse_mount *fuse;
	char why[DATASTORE_WHY_SIZE];	/* it is not well, or not mounted; "" */
	uint64_t since_us;		/* that is so; wall clock */
	uint64_t mounted_us;
	/* Space as last asked for; a lost LUN must not hang who lists. */
	struct fs_statfs space;
	bool space_known, space_asked, space_watched, space_stop;
	unsigned space_level;		/* see ds_space_name */
	uint64_t provisioned;		/* sizes of all files and disks */
	bool provisioned_known;
	uint64_t provisioned_until_ns;	/* not added up again before */
	struct fiber_cond space_done, space_wake;
	struct list attached;	/* struct attachment, see attach.h */
	/* Of what was attached, until it is again; NULL. */
	struct fs_file *attach_held[ATTACH_KEEP_MAX];
	_Atomic unsigned attach_waits;	/* of them, to be tried again */
	struct lun_kept lun_kept[ATTACH_KEEP_MAX];
	struct list nbd;	/* struct nbd_place, see attach_nbd.h */
	int pin_fd;		/* keeps the mount while there are some; -1 */
};

struct datastores {
	pthread_mutex_t mutex;
	struct list list;
	struct log *log;
	const struct identity *identity;
	const char *initiator;		/* NULL: the default */
	const char *dir;		/* of the host, for reports */
	struct member *member;		/* NULL: the network is not asked */
	struct watchdog_share *watchdog;	/* NULL: none */
	struct serving *serving;	/* of guests; NULL: the owners do it */
	/* A datastore was, or wants to be, unmounted.  Any thread. */
	void (*on_unmounted)(void *arg);
	void *arg;
	/*
	 * One was mounted, or stays so.  And one is to be unmounted: whoever
	 * uses it lets go, or refuses (never with force), with a sentence in
	 * why (DATASTORE_WHY_SIZE).  NULL: nobody asks.
	 */
	void (*on_mounted)(void *users);
	int (*before_unmount)(void *users, const char *name, bool force,
	    char *why);
	void *users;
};

void datastores_init(struct datastores *all, struct log *log,
    const struct identity *identity, const char *initiator);
/* Everything must be unmounted. */
void datastores_fini(struct datastores *all);
/*
 * Adds one, not mounted.  ret_held: it is not listed, and goes when nothing uses
 * or wants it; the caller does, until datastore_unref.  -EEXIST, -ENOMEM.
 */
int datastore_add(struct datastores *all, const struct conf_datastore *conf,
    struct datastore **ret_held) MUST_CHECK;
void datastore_unref(struct datastore *d);
/*
 * Finds by name and locks for a command; datastore_put unlocks.  -ENOENT: no
 * such name; -ENODEV: not mounted (with need_mounted).
 */
int datastore_get(struct datastores *all, const char *name, bool need_mounted,
    struct datastore **ret_d) MUST_CHECK;
void datastore_put(struct datastore *d);
/* The same without waiting: -EBUSY while it is mounted or unmounted. */
int datastore_try(struct datastores *all, const char *name,
    struct datastore **ret_d) MUST_CHECK;
/* Calls fn for each, with the list locked: fn must not block. */
void datastores_each(struct datastores *all,
    void (*fn)(void *arg, struct datastore *d), void *arg);

/* `why` (DATASTORE_WHY_SIZE) is the sentence for the admin on failure. */
int datastore_mount(struct datastores *all, const char *name, char *why)
    MUST_CHECK;
/* The same where a dead process has left it; what that was about to unmount is
 * only closed in order. */
int datastore_go_on(struct datastores *all, const char *name, char *why)
    MUST_CHECK;
/* Marks one as one to try again, also by a successor. */
void datastore_want(struct datastores *all, const char *name);
bool datastore_is_wanted(struct datastores *all, const char *name);
/* Tries those, until *stop; how many are left.  The log hears of one that
 * fails only when the reason is new. */
unsigned datastores_retry(struct datastores *all, const atomic_bool *stop);
/* force: although files are open; their users see ENOTCONN. */
int datastore_unmount(struct datastores *all, const char *name, bool force,
    char *why) MUST_CHECK;
/* Finishes unmounting what was unmounted from outside. */
void datastores_reap(struct datastores *all);
/* Unmounts everything; the number that would not go cleanly. */
unsigned datastores_unmount_all(struct datastores *all);
/* True while one is mounted, or tried again. */
bool datastores_in_use(struct datastores *all);
const char *datastore_state_name(enum datastore_state s);

#endif
