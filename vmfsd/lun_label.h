/* SPDX-License-Identifier: BSD-2-Clause */
/* What the datastore on a LUN is called, for who mounts it without a name. */
#ifndef VMFS_VMFSD_LUN_LABEL_H
#define VMFS_VMFSD_LUN_LABEL_H

#include "libvmfs/base/log.h"
#include "libvmfs/format/super.h"

/*
 * The label of the datastore on `lun` (path or iscsi:// URL), with a session
 * as `initiator` (NULL: the default) that ends before this returns.  -ENOENT:
 * it has none that can be the name of a datastore; else why the LUN or its
 * superblock cannot be read.  Blocks; not on a reactor.
 */
int lun_label(const char *lun, const char *initiator, struct log *log,
    char ret_label[SUPER_LABEL_MAX + 1]) MUST_CHECK;

#endif
