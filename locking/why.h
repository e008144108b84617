/* SPDX-License-Identifier: BSD-2-Clause */
/* Sentences for the admin, cut to a fixed size. */
#ifndef VMFS_LOCKING_WHY_H
#define VMFS_LOCKING_WHY_H

#include "libvmfs/base/err.h"

#define WHY_SIZE 256

/* `why` holds WHY_SIZE bytes. */
void why_say(char *why, const char *fmt, ...) PRINTF_LIKE(2, 3);

#endif
