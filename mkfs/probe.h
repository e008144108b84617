/* SPDX-License-Identifier: BSD-2-Clause */
/* What a LUN carries already, by well-known magic numbers. */
#ifndef VMFS_MKFS_PROBE_H
#define VMFS_MKFS_PROBE_H

#include <stddef.h>

#include "libvmfs/env/disk.h"

#define PROBE_BYTES ((size_t)(1024 + 256) << 10)	/* looked at */

/* Reads and probes; *ret_what NULL when nothing was found.  Suspends. */
int probe_disk(struct disk *d, const char **ret_what) MUST_CHECK;

#endif
