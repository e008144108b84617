/* SPDX-License-Identifier: BSD-2-Clause */
/* A virtual disk of a datastore that this process has mounted, for other
 * threads: as a LUN, or for those that serve guests. */
#ifndef VMFS_VMFSD_DISK_DS_H
#define VMFS_VMFSD_DISK_DS_H

#include "libvmfs/env/disk.h"
#include "vmfsd/datastore.h"

#define DISK_DS_PREFIX "vdisk:"
/* How long to wait for this host's mount to close what a program has closed. */
#define DISK_DS_CLOSE_NS (2 * NSEC_PER_SEC)

/*
 * The same disk of fs_file_disk for requests from any reactor, which go past
 * `owner` where they can; closed with it.  -ENOMEM.
 */
int disk_ds_far(struct disk *below, struct sched *owner, struct disk **ret_d)
    MUST_CHECK;

/* Whether a source is one, and of that datastore (NULL: of any). */
bool disk_ds_is(const char *source, const char *datastore);

/*
 * Opens "vdisk:DATASTORE:/PATH[@SNAPSHOT]"; snapshots only for reading.
 * Requests may come from any reactor; they run on the datastore's.  It must be
 * closed before the datastore is unmounted.  -ENODEV: not mounted (or just
 * being so); -VMFS_ELOCKED: in use, on another host or here.  What a dead
 * process had open by that name is the same disk again, wherever its path
 * leads to by now; -ESTALE: that is gone.  `why` (CTL_MESSAGE_SIZE) is the
 * sentence for the admin.  Suspends.
 */
int disk_ds_open(struct datastores *all, const char *source, unsigned flags,
    char *why, struct disk **ret_d) MUST_CHECK;
/* Nobody opens again what a dead process had by that name.  Suspends. */
void disk_ds_forget(struct datastores *all, const char *source);

#endif
