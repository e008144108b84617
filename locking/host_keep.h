/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the next process of this host needs to go on as the same incarnation
 * when this one dies: memory that outlives it (doc/LOCKING.md, section 4).
 *
 * Whoever hands it over guarantees that the process that wrote it has been
 * waited for.  It is written by one thread; a death between two stores leaves
 * one lock more than there is, never one less.
 */
#ifndef VMFS_LOCKING_HOST_KEEP_H
#define VMFS_LOCKING_HOST_KEEP_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "libvmfs/base/uuid.h"

#define HOST_KEEP_LOCKS 32767u

struct host_keep {
	_Atomic uint32_t member;	/* 1: the rest tells of a membership */
	uint32_t slot;
	uint64_t incarnation;
	struct uuid volume;
	/* Locks that are held, or perhaps; 0: a free entry.  What has no room
	 * stays locked for others until this host leaves. */
	uint64_t lock[HOST_KEEP_LOCKS];
};

/* Both do not suspend; NULL is fine. */
void host_keep_lock(struct host_keep *k, uint64_t addr, uint32_t *ret_index);
void host_keep_unlock(struct host_keep *k, uint32_t index);

#endif
