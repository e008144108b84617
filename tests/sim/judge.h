/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Invariants that the LUN itself can judge, from what arrives and lands:
 *
 *   I1, I9  nothing of an incarnation lands after its slot went to recovering,
 *           and no slot goes there while its host could still write
 *   I2      lock versions only grow
 *   I8      a host whose own state is not ok sends no write
 */
#ifndef VMFS_SIM_JUDGE_H
#define VMFS_SIM_JUDGE_H

#include "tests/sim/world.h"

struct judge {
	struct world *w;
	uint64_t ended[WORLD_HOSTS_MAX];	/* incarnation taken over */
	unsigned slot[WORLD_HOSTS_MAX];		/* of the host's last claim */
	uint64_t incarnation[WORLD_HOSTS_MAX];
	uint64_t *version;			/* by block */
	uint64_t blocks;
	uint64_t takeovers, landed;
};

void judge_init(struct judge *j, struct world *w);
void judge_fini(struct judge *j);

#endif
