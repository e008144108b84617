/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which virtual disks are LUNs, for the next process: by then a path may name
 * another disk.  It is kept in the table of what is attached (attach_keep).
 *
 * All of this runs on the fibers of the datastore's owner.
 */
#ifndef VMFS_VMFSD_LUN_KEEP_H
#define VMFS_VMFSD_LUN_KEEP_H

#include "vmfsd/attach.h"

/* It is that of a LUN. */
bool lun_keep_is(const struct attach_keep *k);
/*
 * Before anybody else can open a file the disks are held that a dead process
 * had, each until its LUN is open again, or until let go.  Both suspend.
 */
void lun_keep_hold(struct datastore *d);
void lun_keep_let_go(struct datastore *d);
/* The source is to be opened: what a dead process had by that name, with ino,
 * generation and disk_ino of *ret_a; NULL: nothing. */
struct attach_keep *lun_keep_left(struct datastore *d, const char *source,
    struct attachment *ret_a);
/* It is open, that which was left or, with NULL, another one; NULL: nobody will
 * know of it.  Suspends. */
struct attach_keep *lun_keep_opened(struct datastore *d, const char *source,
    const struct attachment *a, struct attach_keep *left);
/* Before it is closed; k may be NULL. */
void lun_keep_closed(struct datastore *d, struct attach_keep *k);
/* What was left by that name is not to be opened any more; and NULL: what
 * nobody has asked for.  Suspends. */
void lun_keep_forget(struct datastore *d, const char *source);

#endif
