/* SPDX-License-Identifier: BSD-2-Clause */
/* A cluster in one process: one LUN, several hosts, one seed. */
#ifndef VMFS_SIM_WORLD_H
#define VMFS_SIM_WORLD_H

#include "libvmfs/core/mkds.h"
#include "locking/host.h"
#include "tests/sim/sim_disk.h"

#define WORLD_HOSTS_MAX 256

/* What the network says, true or not. */
enum world_net {
	NET_SILENT,
	NET_SAYS_UP,		/* of everybody, dead or alive */
	NET_SAYS_GONE,
	NET_CHATTERS,		/* any of the three each time it is asked */
};

struct world;
struct world_host {
	struct world *world;
	unsigned index;
	struct env env;
	struct disk *lun, *hb_lun;
	struct host *host;		/* NULL: not a member */
	struct ds *ds;			/* NULL: not mounted */
	struct fs *fs;
	struct uuid uuid, machine, boot;
	uint64_t home, process;
	char name[16];
	char why[256];			/* of the last refused join */
	enum host_status status;	/* last one told */
	unsigned frozen_times, fenced_times;
	unsigned takeovers, takeover_troubles;	/* told */
	struct watchdog_share *watchdog;	/* of the next join; NULL: none */
	bool no_watchdog;		/* not even where the protocol asks */
	/* The next join is a tool's, such as fsck's: one disk for all, nobody
	 * to tell, no network. */
	bool tool;
	bool lacks_further;		/* it does not find that LUN */
	struct host_keep *keep;		/* outlive its processes; NULL */
	struct softlog *soft;
};

struct world {
	struct sim sim;
	struct sim_lun lun;
	struct sim_lun further;		/* with world_conf.further_bytes */
	bool has_further;
	struct super super;
	enum world_net net;
	struct member member;		/* of all hosts, as w->net says */
	struct log log;
	struct env env;			/* of mkfs */
	unsigned hosts, paths;
	bool discard;
	uint64_t discard_rate;
	struct world_host host[WORLD_HOSTS_MAX];
	struct sim_clock clock[SIM_CLOCKS_MAX];	/* of hosts, if they drift */
	uint64_t seed;
	char problem[256];		/* first thing that went wrong */
	void (*play)(struct world *w);
	/* Set by the first world_mount: drops what is mounted. */
	void (*abandon)(struct world_host *wh);
	void (*unmount_dead)(struct world_host *wh);
};

struct world_conf {
	uint64_t seed;
	unsigned hosts;
	unsigned paths;			/* of each host, 1 (or 0) or 2 */
	enum lock_protocol protocol;
	uint32_t block_size;		/* 0: 512 */
	enum world_net net;
	struct sim_faults faults;	/* from the first mount on */
	uint64_t limit_ns;		/* virtual; 0: one hour */
	uint64_t lun_bytes;		/* 0: 256 MiB */
	/* Clocks gain or lose up to it; 0: all hosts have the same. */
	unsigned drift_ppm;
	uint32_t unmap_granularity;	/* bytes; 0: 4096 */
	uint64_t discard_rate;		/* of each host; 0: no limit */
	bool no_discard;		/* hosts tell the LUN nothing */
	uint64_t further_bytes;		/* another LUN that is free; 0: none */
	/* What the LUN says it has until lun.info.size_bytes is set to
	 * lun_bytes; 0: all. */
	uint64_t first_bytes;
};

/*
 * Makes a LUN with a datastore, runs play(w) in a fiber, and tells the trace
 * hash.  0, or -EPROTO with the sentence in w->problem.  Lines of the log go
 * to stderr when WORLD_LOG is in the environment.
 */
int world_run(struct world *w, const struct world_conf *conf,
    void (*play)(struct world *w), uint64_t *ret_hash);

/* ---- in play ---- */

/* Notes the first problem; printf. */
void world_fail(struct world *w, const char *fmt, ...) PRINTF_LIKE(2, 3);
bool world_failed(const struct world *w);
#define WORLD_CHECK(w, cond)						\
	do {								\
		if (!(cond))						\
			world_fail((w), "%s:%d: %s", __FILE__,		\
			    __LINE__, #cond);				\
	} while (0)

/* A way of host i to the further LUN. */
int world_open_further(struct world *w, unsigned i, struct disk **ret_d);
/* For ds_conf.find_extent; arg: struct world_host. */
int world_find_extent(void *arg, const struct super *s, unsigned e,
    struct disk **ret_lun);

/*
 * Runs fn on the host's own scheduler, where all that touches its datastore has
 * to run; its result.  Suspends.
 */
int world_call(struct world *w, unsigned i, int (*fn)(struct world *w,
    unsigned i));

/*
 * Joined and with the file system open, and back; world_crash and what fences
 * a host take care of both.  Need the program to link world_fs.  Suspend.
 */
int world_mount(struct world *w, unsigned i);
int world_unmount(struct world *w, unsigned i);
/* The world fails when it cannot be mounted: false. */
bool world_has_mounted(struct world *w, unsigned i);
/* A new file in the root of host i's, open to read and write; NULL: the world
 * fails. */
struct fs_file *world_create(struct world *w, unsigned i, const char *name);

/* Both suspend.  The result of host_join; the sentence is in host[i].why. */
int world_join(struct world *w, unsigned i);
int world_leave(struct world *w, unsigned i);
/* The same when its journal could not be emptied: others replay it. */
int world_leave_dirty(struct world *w, unsigned i);
/*
 * The host dies: its paths are cut, its fibers drain.  Fibers of the play that
 * use the host must have ended: world_crash_begin cuts first, so that they do.
 */
void world_crash_begin(struct world *w, unsigned i);
/* Suspends. */
void world_crash(struct world *w, unsigned i);
/* A crashed host is started anew: new boot id, paths up. */
void world_boot(struct world *w, unsigned i);
/* Only its process is started anew, where the last one was. */
void world_restart(struct world *w, unsigned i);
void world_lose_paths(struct world *w, unsigned i);
void world_heal_paths(struct world *w, unsigned i);
/* One of two: of data and heartbeat. */
void world_lose_path(struct world *w, unsigned i, unsigned path);
void world_heal_path(struct world *w, unsigned i, unsigned path);
void world_pause(struct world *w, unsigned i);
void world_resume(struct world *w, unsigned i);
/* Polls until cond(w, i) or virtual time is up; false then.  Suspends. */
bool world_wait(struct world *w, bool (*cond)(struct world *w, unsigned i),
    unsigned i, uint64_t ms);

#endif
