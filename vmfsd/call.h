/* SPDX-License-Identifier: BSD-2-Clause */
/* Runs a function as a fiber of another thread's scheduler and waits. */
#ifndef VMFS_VMFSD_CALL_H
#define VMFS_VMFSD_CALL_H

#include "libvmfs/env/sched.h"

/*
 * Returns fn's result, or -ENOMEM when no fiber could be had.  Blocks the
 * calling thread, which must not be the scheduler's own.
 */
int call_on(struct sched *s, int (*fn)(void *arg), void *arg) MUST_CHECK;

#endif
