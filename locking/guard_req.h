/* SPDX-License-Identifier: BSD-2-Clause */
/* Between guard.c (states) and guard_req.c (requests). */
#ifndef VMFS_LOCKING_GUARD_REQ_H
#define VMFS_LOCKING_GUARD_REQ_H

#include "locking/guard.h"

extern const struct disk_ops guard_disk_ops, guard_replay_ops;

/* Sends every waiting request to its own thread to try again. */
void guard_release_parked(struct guard *g);

#endif
