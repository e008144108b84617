/* SPDX-License-Identifier: BSD-2-Clause */
/* Going to the background: the parent waits until the child is up. */
#ifndef VMFS_VMFSD_BACKGROUND_H
#define VMFS_VMFSD_BACKGROUND_H

#include "libvmfs/base/err.h"

/*
 * Forks; returns in the child only, with a descriptor for background_ready.
 * The parent exits with the child's status, or 0 when it is ready.  Before
 * any thread.  Negative errno when it cannot fork.
 */
int background_enter(void) MUST_CHECK;
/* Tells the parent; detaches from the terminal. */
void background_ready(int fd);
/* Standard input, output and error go nowhere. */
void background_detach(void);

#endif
