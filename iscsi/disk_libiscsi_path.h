/* SPDX-License-Identifier: BSD-2-Clause */
/* Several portals of one iSCSI target as the paths of one disk. */
#ifndef VMFS_ISCSI_DISK_LIBISCSI_PATH_H
#define VMFS_ISCSI_DISK_LIBISCSI_PATH_H

#include "iscsi/disk_libiscsi.h"
#include "iscsi/disk_libiscsi_url.h"

/*
 * A LUN by an URL with two or more portals; each gets a session with half the
 * time-out, so that a request which a path swallowed still has time on another
 * one.  Errors as disk_libiscsi_open and mpath_open.  Suspends.
 */
int disk_libiscsi_open_paths(struct env *env, const struct lurl *urls,
    unsigned count, const struct disk_libiscsi_conf *conf,
    struct disk **ret_d) MUST_CHECK;

#endif
