/* SPDX-License-Identifier: BSD-2-Clause */
/* What stands behind "allow =": who, and what is shown. */
#ifndef VMFS_VMFSD_CONF_ALLOW_H
#define VMFS_VMFSD_CONF_ALLOW_H

#include "iscsi/scsi/scsi.h"
#include "libvmfs/base/err.h"

struct conf_allow {
	char pattern[SCSI_NAME_MAX + 1];
	bool all;			/* everything, for reading and writing */
	struct scsi_view view;
};

/*
 * "PATTERN[,readonly][,M=N[:ro]]...": with M=N the target's LUN N is seen as
 * M, and nothing else is.  -EINVAL with what is wrong in why.
 */
int conf_allow_parse(const char *text, struct conf_allow *ret_a, char *why,
    size_t why_size) MUST_CHECK;

#endif
