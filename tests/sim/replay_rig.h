/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Journals of dead hosts that are damaged, or say what they must not.  A replay
 * does what is whole and refuses what has a hole; it never writes where it has
 * no right to.  What it refuses stays locked until the journal is whole again,
 * and then nothing that was flushed is missing.
 */
#ifndef VMFS_SIM_REPLAY_RIG_H
#define VMFS_SIM_REPLAY_RIG_H

#include "tests/sim/sim_log.h"

#define REPLAY_ROUNDS 6u	/* chunks written, each flushed: commits */

struct replay_rig {
	struct sim_log log;		/* of the dead host */
	uint64_t ino;			/* of its disk, which it had locked */
	/* Set by spoil: a block, or 0, that is not to be changed ... */
	uint64_t target;
	uint8_t target_was[BLOCK_SIZE];
	bool want_applied;	/* ... or is to have bytes of 0x77 */
	bool until_mended;	/* ... while the replay is refused */
	struct recover_report replayed;
};
extern struct replay_rig rig;

/*
 * A host writes and dies; spoil changes its journal; another takes over.
 * refused: that fails, its locks stay, and when what was saved is back it
 * succeeds.  Then so many rounds are on the disk.
 */
void replay_run(const char *what, void (*spoil)(struct sim_log *l),
    bool refused, unsigned rounds);
/* Blocks as they are come back when the replay was refused. */
void replay_save(struct sim_log *l, uint64_t block, size_t blocks);

#endif
