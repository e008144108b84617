/* SPDX-License-Identifier: BSD-2-Clause */
/* The FUSE mount of a datastore.  Both block: not on a reactor. */
#ifndef VMFS_VMFSD_DS_FUSE_H
#define VMFS_VMFSD_DS_FUSE_H

#include "vmfsd/datastore.h"

/* Mounts what is open, or goes on with what a dead process had mounted; d->why
 * on failure. */
int ds_fuse_up(struct datastore *d) MUST_CHECK;
/* What could not be gone on with stays, for the next try. */
void ds_fuse_down(struct datastore *d);

#endif
