/* SPDX-License-Identifier: BSD-2-Clause */
/* A host's journal as it lies on the simulated LUN, to be read and spoilt. */
#ifndef VMFS_SIM_LOG_H
#define VMFS_SIM_LOG_H

#include "libvmfs/format/heartbeat.h"
#include "libvmfs/format/journal.h"
#include "tests/sim/world.h"

#define SIM_LOG_MAX 256u
#define SIM_COMMIT_BLOCKS 2u

struct sim_log {
	struct world *w;
	struct heartbeat hb;		/* of its slot */
	unsigned copy;			/* the head that rules, 0 or 1 */
	struct journal_head head;
	unsigned count;			/* commits that a replay would find */
	uint32_t pos[SIM_LOG_MAX + 1];	/* the last: where the next would go */
	struct journal_commit c[SIM_LOG_MAX];
};

/* The block as reads see it. */
uint8_t *sim_block(struct world *w, uint64_t block);
/* The journal of the slot that names the host; the world fails without. */
void sim_log_read(struct world *w, const char *host, struct sim_log *ret_l);
/* That of a slot; no commits when no head is whole. */
void sim_log_of(struct world *w, const struct heartbeat *hb,
    struct sim_log *ret_l);
/* Commit i, in its place; all of its blocks follow each other. */
uint8_t *sim_log_at(const struct sim_log *l, unsigned i);
/* A commit that nobody made. */
struct sim_commit {
	uint8_t buf[SIM_COMMIT_BLOCKS * BLOCK_SIZE];
	size_t length;
};
void sim_commit_init(struct sim_commit *k);
void sim_commit_add(struct sim_commit *k, const struct journal_record *r);
/* Whole, with the stamp lsn, behind the last one; SIM_COMMIT_BLOCKS from there
 * on are written. */
void sim_log_append(const struct sim_log *l, struct sim_commit *k,
    uint64_t lsn);

#endif
