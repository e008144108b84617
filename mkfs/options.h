/* SPDX-License-Identifier: BSD-2-Clause */
/* The command line of mkfs.vmfs. */
#ifndef VMFS_MKFS_OPTIONS_H
#define VMFS_MKFS_OPTIONS_H

#include <stdbool.h>

#include "libvmfs/core/mkds.h"

#define EXIT_MKFS_FAILED 1
#define EXIT_MKFS_USAGE 2

struct options {
	const char *lun, *initiator;
	char **further;		/* names of further LUNs */
	int n_further;
	uint64_t size_min;	/* --size-check: bytes the LUN must have */
	struct mkds_conf conf;
	bool force, json, dry_run;
};

/* Handles --help and --version; exits with status 2 on usage errors. */
void options_parse(struct options *o, int argc, char **argv);

#endif
