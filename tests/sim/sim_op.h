/* SPDX-License-Identifier: BSD-2-Clause */
/* Between sim_disk.c (flight) and sim_op.c (effect). */
#ifndef VMFS_SIM_OP_H
#define VMFS_SIM_OP_H

#include "tests/sim/sim_disk.h"

/* A command in flight.  Its data is its own: the host may die before. */
struct sim_op {
	struct list node;
	struct sim_lun *lun;
	struct disk_req *req;	/* NULL: its host does not wait any more */
	struct sched_timer timer;
	unsigned nexus;
	enum disk_op op;
	unsigned flags;
	uint64_t offset, length;
	uint8_t *data, *expect;
	struct disk_pr pr;
	uint64_t id;
	bool accepted;		/* the LUN has checked its right to run */
	bool applied;
	int struck;		/* result that a strike makes of success */
	bool torn;		/* by a strike */
	bool aborts;		/* has still to end commands of others */
	bool returning;		/* its status is on the way back */
	bool unsent;		/* still at its paused host */
	bool withheld;		/* executed; its paused host has no answer */
	int result;
	struct disk_sense sense;
};

/*
 * The command arrives: attentions and reservations are looked at now, and not
 * again.  False: refused, result and sense are set.
 */
bool sim_op_accept(struct sim_op *op);
/* The command takes effect; sets the result. */
void sim_op_apply(struct sim_op *op);
/* Second part of a PREEMPT AND ABORT. */
void sim_op_abort_others(struct sim_op *op);
/* Ends commands of a nexus that are not executed yet. */
void sim_ops_abort(struct sim_lun *l, unsigned nexus);
/* The LUN's cache is gone: each write that was not flushed is kept or lost. */
void sim_lun_forget(struct sim_lun *l);
/* Forgets the writes that were not flushed. */
void sim_dirty_drop(struct sim_lun *l);

#endif
