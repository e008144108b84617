/* SPDX-License-Identifier: BSD-2-Clause */
/* Error convention of the whole tree: 0 or negative, see libvmfs/vmfs.h. */
#ifndef VMFS_BASE_ERR_H
#define VMFS_BASE_ERR_H

#include <errno.h>

#include "libvmfs/vmfs.h"

#define MUST_CHECK __attribute__((warn_unused_result))
#define PRINTF_LIKE(f, a) __attribute__((format(printf, f, a)))

#endif
