/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Further LUNs of a datastore: found by the configuration, else where the
 * datastore itself has noted them, and never taken for what they are not.  All
 * of it runs on the owner's fibers.
 */
#ifndef VMFS_VMFSD_DS_EXTENTS_H
#define VMFS_VMFSD_DS_EXTENTS_H

#include "vmfsd/datastore.h"

/*
 * Before the join: d->disk becomes the disk of all LUNs that d->super has.  One
 * that is missing is logged; the datastore is mounted without what is there.
 * Suspends.
 */
int ds_extents_bring(struct datastore *d) MUST_CHECK;
/* For struct ds_conf.  While mounted a LUN is opened beside other work, and
 * -EAGAIN says so. */
int ds_extents_find(void *arg, const struct super *s, unsigned i,
    struct disk **ret_lun) MUST_CHECK;
/* Before what it works with goes.  Suspends. */
void ds_extents_stop(struct datastore *d);

#endif
