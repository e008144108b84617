/* SPDX-License-Identifier: BSD-2-Clause */
/* A call that runs on the reactor that owns something. */
#ifndef VMFS_ISCSI_HOME_CALL_H
#define VMFS_ISCSI_HOME_CALL_H

#include "libvmfs/env/sched.h"

/* Runs fn(arg) in a fiber of `home` and returns its result; -ENOMEM when there
 * can be none.  Suspends. */
int home_call(struct sched *home, int (*fn)(void *arg), void *arg) MUST_CHECK;

#endif
