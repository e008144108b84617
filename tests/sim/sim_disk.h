/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One simulated LUN and the paths (I_T nexuses) to it.
 *
 * A command takes effect at a moment the seed chooses and its status returns
 * later still.  Writes lie in a volatile cache until a flush.  A path can be
 * cut (its host is dead) or lost (it comes back); what was in flight is lost,
 * or lands later, also long after other hosts have noticed, unless PREEMPT AND
 * ABORT ends it.
 */
#ifndef VMFS_SIM_DISK_H
#define VMFS_SIM_DISK_H

#include "libvmfs/env/disk.h"
#include "tests/sim/sim_sched.h"

#define SIM_NEXUS_MAX 520
#define SIM_HOLDS_MAX 8

struct sim_faults {
	unsigned flip_ppm;	/* of reads: a bit of metadata comes wrong */
	unsigned status_lost_ppm;	/* done, but the status gets lost */
	unsigned miscompare_ppm;	/* CAW done, reported as MISCOMPARE */
	unsigned slow_ppm;		/* takes up to slow_ns */
	uint64_t slow_ns;
	uint64_t unmap_ns;		/* how long an UNMAP may take */
	uint64_t late_ns;		/* how late cut writes may land */
	uint64_t abort_ns;		/* PREEMPT AND ABORT: between the end of
					 * the keys and that of the commands */
	unsigned lost_ppm;		/* never gets there, and no answer */
	unsigned read_error_ppm;
	unsigned twice_ppm;		/* a write, UNMAP is done once more before
					 * its status goes back */
	unsigned torn_ppm;		/* a read beside a write brings bytes of
					 * both: a file has no atomic sectors */
};

/* Errors on purpose: of the commands of some nexuses that are of some kinds,
 * the first `skip` pass, the next `times` end with `result`. */
struct sim_strike {
	int result;			/* 0: none */
	bool done;			/* executed all the same */
	unsigned first, last;		/* nexuses */
	unsigned ops;			/* mask of 1u << enum disk_op */
	uint64_t at;			/* only there, a byte; 0: anywhere */
	uint64_t torn;			/* reads of this byte bring another there
					 * instead; 0: none */
	uint64_t skip, times;
	uint64_t seen;			/* commands that it fits */
};

enum path_state {
	PATH_UP,
	PATH_LOST,
	PATH_CUT,
	/* The host sleeps: what it sends, leaves it when it wakes up. */
	PATH_PAUSED,
};

struct sim_nexus {
	uint64_t key;			/* 0: not registered */
	enum path_state path;
	uint64_t sessions;		/* after losses */
	const void *aborter;		/* command that has still to end its */
	uint64_t reserved;		/* of which RESERVE was; 0: none */
	uint16_t attention;		/* ASC << 8 | ASCQ pending; 0: none */
	bool unflushed;			/* has writes in the LUN's cache */
	bool cache_lost;		/* and they are gone: next flush fails,
					 * as the initiator makes it */
	unsigned in_flight;		/* commands the LUN may yet execute */
	uint64_t holds[SIM_HOLDS_MAX];
	unsigned n_holds;
};

struct sim_lun {
	struct sim *sim;
	struct disk_info info;
	struct sim_faults faults;
	struct sim_strike strike;
	uint8_t *now;			/* what reads see */
	uint8_t *stable;		/* what survives the LUN's power loss */
	uint8_t *touched;		/* a bit for each block ever written */
	bool pool_full;			/* writes fail with -ENOSPC */
	struct list dirty;		/* writes since the last flush */
	struct list ops;		/* in flight */
	struct sim_nexus nexus[SIM_NEXUS_MAX];
	enum disk_pr_type reserved;	/* 0: no reservation */
	bool scsi2;			/* RESERVE(6) is in force ... */
	unsigned scsi2_nexus;		/* ... of this nexus */
	uint32_t generation;
	/* Sees each write that takes effect; may be NULL. */
	void (*landed)(void *arg, unsigned nexus, uint64_t offset,
	    const uint8_t *data, uint64_t length);
	/* Sees each request a host sends; may be NULL. */
	void (*sent)(void *arg, unsigned nexus, const struct disk_req *req);
	void *landed_arg;		/* of both */
	/* Sees each key that a nexus registers; may be NULL. */
	void (*registered)(void *arg, unsigned nexus, uint64_t key);
	void *registered_arg;
	/* counters */
	uint64_t aborted, late, preempts, flushes, flips, torn, unmaps;
};

int sim_lun_init(struct sim_lun *l, struct sim *sim, uint64_t size,
    uint32_t block_size, unsigned caps) MUST_CHECK;
void sim_lun_fini(struct sim_lun *l);
/* The LUN loses power: what was not flushed is kept or lost by the seed, what
 * was in flight is lost, and each nexus that had unflushed writes learns it. */
void sim_lun_power_loss(struct sim_lun *l);
/* LOGICAL UNIT RESET: ends all commands, and tells all but the one who asked. */
void sim_lun_reset(struct sim_lun *l, unsigned nexus);
/* A unit attention for every nexus. */
void sim_lun_attention(struct sim_lun *l, uint8_t asc, uint8_t ascq);
/* The image after a power loss now, or as reads see it; into another LUN that
 * is fresh and of the same size. */
void sim_lun_copy(const struct sim_lun *from, struct sim_lun *to,
    bool power_loss);
/* A path to the LUN; freed by disk_close. */
int sim_disk_open(struct sim_lun *l, unsigned nexus, struct disk **ret_d)
    MUST_CHECK;
/* Its host dies: nothing new gets through, ever. */
void sim_path_cut(struct sim_lun *l, unsigned nexus);
/* All paths down, and up again: what was in flight has ended by then. */
void sim_path_lose(struct sim_lun *l, unsigned nexus);
void sim_path_heal(struct sim_lun *l, unsigned nexus);
/* What a lost path left in flight ends, as by a log-in from elsewhere. */
void sim_path_exorcise(struct sim_lun *l, unsigned nexus);
/*
 * Its host is paused between the decision to send and the sending, the worst
 * place: commands stay with the host, answers with the LUN, until it resumes.
 */
void sim_path_pause(struct sim_lun *l, unsigned nexus);
void sim_path_resume(struct sim_lun *l, unsigned nexus);
/* The session of a path that is up ends: what had not left the host yet goes
 * out in the next one, within within_ns. */
void sim_path_relogin(struct sim_lun *l, unsigned nexus, uint64_t within_ns);
/* A cut nexus may be used by the next boot of its host. */
void sim_path_reset(struct sim_lun *l, unsigned nexus);

#endif
