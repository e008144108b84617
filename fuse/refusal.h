/* SPDX-License-Identifier: BSD-2-Clause */
/* The sentence that tells an admin who holds a lock and what to do (L10). */
#ifndef VMFS_FUSE_REFUSAL_H
#define VMFS_FUSE_REFUSAL_H

#include <stddef.h>

#include "libvmfs/core/lockops.h"

#define REFUSAL_SIZE 512

/* "exclusive", "shared", ... */
const char *refusal_mode_name(enum lock_mode mode);
/* "alive", "suspect", "recovering", "dead", "this host". */
const char *refusal_state_name(enum holder_state state);
/* "2026-11-20 08:03:11" of microseconds since 1970, local time. */
#define REFUSAL_TIME_SIZE 32
char *refusal_time(uint64_t wall_us, char text[REFUSAL_TIME_SIZE]);
/*
 * "OBJECT is locked by host NAME (mode, since when, heartbeat age); what to
 * do".  Returns text.
 */
char *refusal_text(const char *object, const struct lock_holder *h,
    const struct timers *timers, char text[REFUSAL_SIZE]);

#endif
