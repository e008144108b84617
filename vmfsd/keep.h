/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What outlives a worker: descriptors that its supervisor keeps by name
 * (supervise.h).  They are memory that both map, and connections of the kernel
 * and of hypervisors.  Any thread; nothing here suspends a fiber, and none
 * waits for the supervisor.
 */
#ifndef VMFS_VMFSD_KEEP_H
#define VMFS_VMFSD_KEEP_H

#include <stdbool.h>

#include "libvmfs/base/err.h"

#define KEEP_NAME_MAX 80

/* Takes what the supervisor hands over, before any thread.  True: there is
 * one, and this process is its worker. */
bool keep_open(void);
bool keep_is_worker(void);
/*
 * Leaves a copy of fd with the supervisor, instead of what had the name.
 * -EOPNOTSUPP: there is no supervisor.
 */
int keep_put(const char *name, int fd) MUST_CHECK;
/* What a predecessor left; it is the caller's from then on.  -ENOENT. */
int keep_take(const char *name, int *ret_fd) MUST_CHECK;
/* The same, but it stays where it is. */
int keep_look(const char *name, int *ret_fd) MUST_CHECK;
/* The next of those with a name that begins so, from *at on, and the rest of its
 * name. */
bool keep_next(const char *prefix, unsigned *at, char ret_name[KEEP_NAME_MAX]);
/* The supervisor closes its copy, if it has one. */
void keep_drop(const char *name);
/* Everything is up: a death of this worker from now on is a pause. */
void keep_ready(void);
/* It ends because it was told to: it has no successor. */
void keep_ends(void);
/* Another worker shall go on, of the program as it is on the disk now. */
int keep_upgrade(void) MUST_CHECK;

#endif
