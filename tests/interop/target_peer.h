/* SPDX-License-Identifier: BSD-2-Clause */
/* Our own target in a process of its own, for the initiator's tests. */
#ifndef VMFS_TESTS_INTEROP_TARGET_PEER_H
#define VMFS_TESTS_INTEROP_TARGET_PEER_H

#include <stdio.h>
#include <sys/types.h>

/* The one that was started last; a copy of it can be put back. */
extern struct target_peer {
	pid_t pid;
	char portal[80];
	int orders;
	FILE *answers;
} peer;

/*
 * Starts it with these arguments (NULL at the end) and waits for its portal.  A
 * killed target's port stays taken for some milliseconds: the kernel gives
 * up the sockets of its io_uring after the process is gone.
 */
void target_start(const char *const *args);
void target_kill(void);
/* Its LUNs' access state from now on, SPC-4 table 307: 0 to 3. */
void target_access(unsigned state);

#endif
