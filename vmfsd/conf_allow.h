/* SPDX-License-Identifier: BSD-2-Clause */
/* What stands behind "allow =": who, and what is shown. */
#ifndef VMFS_VMFSD_CONF_ALLOW_H
#define VMFS_VMFSD_CONF_ALLOW_H

#include "iscsi/scsi/scsi.h"
#include "libvmfs/base/err.h"

/* A user and the file with the secret; "" for none. */
struct conf_allow_chap {
	char user[256], file[1024];
};

struct conf_allow {
	char pattern[SCSI_NAME_MAX + 1];
	struct conf_allow_chap in, out;
	bool all;			/* everything, for reading and writing */
	struct scsi_view view;
};

/*
 * "PATTERN[,readonly][,M=N[:ro]]...": with M=N the target's LUN N is seen as
 * M, and nothing else is; also chap=USER, chap-secret-file=FILE, mutual=USER,
 * mutual-secret-file=FILE.  -EINVAL with what is wrong in why.
 */
int conf_allow_parse(const char *text, struct conf_allow *ret_a, char *why,
    size_t why_size) MUST_CHECK;
/* The options of such a text that say what is seen; "all" for none. */
void conf_allow_sees(const char *text, char *buf, size_t size);

#endif
