/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Signals an eventfd that a peer shares.  Flags and counter of it are the
 * peer's as well: write(2) waits for as long as the peer likes when the counter
 * is full and O_NONBLOCK gone, and it waits for a file system when it is no
 * eventfd at all.  io_uring signals the one of a ring as each request completes,
 * in the kernel and without a wait; a bell is a ring for nothing else.
 */
#ifndef VMFS_ENV_BELL_H
#define VMFS_ENV_BELL_H

#include "libvmfs/base/err.h"

struct bell;

/*
 * For the calling thread alone.  fd stays the caller's and need not stay open.
 * -EINVAL: it is no eventfd; nothing is done to it then.
 */
int bell_new(int fd, struct bell **ret_b) MUST_CHECK;
/* Neither waits nor suspends. */
void bell_ring(struct bell *b);
/* NULL is fine. */
void bell_free(struct bell *b);

/* 0, or -EINVAL when fd is no eventfd, whatever else it is. */
int bell_check(int fd) MUST_CHECK;

#endif
