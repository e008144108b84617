/* SPDX-License-Identifier: BSD-2-Clause */
/* Two simulated paths as the legs of the product's multipath disk. */
#ifndef VMFS_SIM_PATHS_H
#define VMFS_SIM_PATHS_H

#include "iscsi/mpath.h"
#include "tests/sim/sim_disk.h"

/* Suspends. */
int sim_paths_open(struct env *env, struct sim_lun *l, unsigned first,
    unsigned second, struct disk **ret_d) MUST_CHECK;

#endif
