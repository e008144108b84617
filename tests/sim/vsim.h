/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One run of the simulator: hosts with guests that write, snapshot, clone and
 * delete disks of one datastore, and everything that the seed's plan does to
 * them.
 *
 *   plan.c      which faults, how often, from the seed
 *   guest.c     what a host's guest does and checks
 *   trouble.c   what happens to hosts and LUN
 *   rot.c       metadata that rots
 *   image.c     the LUN as a crash would leave it, checked by fsck
 *   vsim.c      the run: safety phase, liveness phase, last look
 */
#ifndef VMFS_SIM_VSIM_H
#define VMFS_SIM_VSIM_H

#include "libvmfs/core/fs.h"
#include "tests/sim/judge.h"
#include "tests/sim/oracle.h"
#include "tests/sim/world.h"

/* Kinds of trouble, each with its own switch. */
enum trouble {
	TROUBLE_CRASH,
	TROUBLE_LEAVE,		/* and mount again later */
	TROUBLE_PATHS,		/* both paths of a host */
	TROUBLE_DATA_PATH,
	TROUBLE_PULSE_PATH,
	TROUBLE_PAUSE,		/* up to 10 minutes */
	TROUBLE_STARVE,		/* only the pulse sleeps */
	TROUBLE_OUTAGE,		/* all paths of all hosts */
	TROUBLE_POWER,		/* the LUN loses its cache */
	TROUBLE_ATTENTION,	/* unit attentions for all */
	TROUBLE_POOL,		/* the thin pool is full for a while */
	TROUBLE_TWIN,		/* another host with the UUID of one */
	TROUBLE_IMAGE,		/* none: fsck looks at a crash image */
	TROUBLE_SESSION,	/* one session after the other is renewed */
	TROUBLE_STRIKE,		/* one host's next commands of a kind fail */
	TROUBLE_ROT,		/* a bit of a metadata block flips at rest */
	/* Of commands; the plan gives their rates. */
	TROUBLE_STATUS,		/* done, status lost */
	TROUBLE_MISCOMPARE,
	TROUBLE_SLOW,
	TROUBLE_LOST,		/* never arrives */
	TROUBLE_TWICE,
	TROUBLE_READ,		/* read errors */
	TROUBLE_NETWORK,	/* the membership lies */
	TROUBLE_FLIP,		/* a bit of it, only in what a read brings */
	TROUBLE_DRIFT,		/* clocks of hosts have rates of their own */
	TROUBLE_KINDS,
};
#define TROUBLE_BIT(k) (1u << (k))
#define TROUBLE_EVENTS TROUBLE_STATUS	/* those before it are events */
#define TROUBLE_ALL (TROUBLE_BIT(TROUBLE_KINDS) - 1)

struct vsim_conf {
	uint64_t seed;
	unsigned hosts;		/* 0: by the seed, 2 to 6 */
	uint64_t ops;		/* of all guests together */
	int protocol;		/* enum lock_protocol; -1: by the seed */
	unsigned troubles;	/* mask of those that may happen */
};

struct guest {
	struct vsim *v;
	unsigned host;
	struct fiber *fiber;
	uint8_t *buf;
	bool stop, running;
	bool sick;		/* its datastore stopped after an I/O error */
	bool crashed;
};

#define ROTS 16u			/* sectors that are rotten at once */
#define ROT_SECTOR 512u
struct rot {
	uint64_t at;		/* byte of the LUN */
	uint64_t until_ns;	/* mended then; 0: none */
	uint8_t was[ROT_SECTOR], is[ROT_SECTOR];
};

struct vsim_totals {
	uint64_t runs, ops, troubles[TROUBLE_KINDS], images, leaky_images,
	    takeovers, fences, virtual_ns, events, flips, torn, damaged, unmaps;
};

struct vsim {
	struct world w;
	struct vsim_conf conf;
	unsigned mask;		/* troubles of this run */
	struct world_conf wc;
	struct oracle oracle;
	struct judge judge;
	struct guest guest[WORLD_HOSTS_MAX];
	uint64_t ops;
	bool calm;		/* liveness phase: no error is excused */
	/* Guests think, and troubles last, so much longer: take-overs take
	 * their time. */
	unsigned slow;
	struct rot rot[ROTS];
	uint64_t rot_ended_ns;	/* the last one; 0: never */
	struct vsim_totals totals;
};

/* plan.c */
extern const char *const trouble_name[TROUBLE_KINDS];
void plan_make(struct vsim *v);

/* guest.c; on failure the world has failed. */
void guest_start(struct vsim *v, unsigned host);
/* Asks it to close its disk and end, and waits.  Suspends. */
void guest_stop(struct vsim *v, unsigned host);
/* Reads all disks and snapshots on the host, which has nothing open. */
void guest_look_at_all(struct vsim *v, unsigned host);

/* trouble.c; all suspend. */
void trouble_one(struct vsim *v);
/* Ends whatever troubles the host. */
void trouble_relieve(struct vsim *v, unsigned host);
void trouble_quit(struct vsim *v, unsigned host);
void trouble_enter(struct vsim *v, unsigned host);

/* rot.c */
void rot_begin(struct vsim *v);
/* Those whose time is over, or all. */
void rot_mend(struct vsim *v, bool all);
/* Is anything rotten?  Or may somebody still feel that it was, or meet what
 * only comes wrong? */
bool rot_now(const struct vsim *v);
bool rot_felt(const struct vsim *v);

/* image.c: replays and checks a copy of the LUN, twice. */
void image_check(struct vsim *v, bool power_loss);

/*
 * One run; *ret_hash is that of its trace.  0, or -EPROTO with the sentence in
 * v->w.problem.  Totals are added up in *totals.
 */
int vsim_run(struct vsim *v, const struct vsim_conf *conf,
    struct vsim_totals *totals, uint64_t *ret_hash);

#endif
