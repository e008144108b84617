/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The target's own record of what it let initiators change: a line for each
 * command, as vmfsd.conf(5) describes under write-log.
 */
#ifndef VMFS_VMFSD_WRITE_LOG_H
#define VMFS_VMFSD_WRITE_LOG_H

#include <stdatomic.h>

#include "iscsi/scsi/scsi.h"
#include "libvmfs/env/env.h"

struct write_log {
	struct env *env;
	int fd;			/* -1: none is kept */
	_Atomic uint64_t seq;	/* lines written since the start */
	atomic_bool failed;
};

/* Appends to path; NULL: keeps none.  -errno of open(2). */
int write_log_open(struct write_log *w, struct env *env, const char *path)
    MUST_CHECK;
void write_log_close(struct write_log *w);
/* For scsi_lu_conf.on_change; arg is the log.  The line is the kernel's when
 * this returns: it outlives a kill of the process. */
void write_log_change(void *arg, const struct scsi_change *ch);

#endif
