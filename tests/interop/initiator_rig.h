/* SPDX-License-Identifier: BSD-2-Clause */
/* What the initiator's tests share: a reactor, LUNs by URL, patterns. */
#ifndef VMFS_TESTS_INTEROP_INITIATOR_RIG_H
#define VMFS_TESTS_INTEROP_INITIATOR_RIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "libvmfs/env/disk.h"

/* Runs fn as a fiber of a reactor on this thread; its log goes to stderr when
 * RIG_LOG is in the environment. */
void run_body(void (*fn)(void));

/* disk_libiscsi_open of "iscsi://" and `what`, with a time-out of 3 s. */
int lun_at(const char *what, struct disk **ret_d);

/* len bytes that depend on the seed; free() them. */
uint8_t *pattern(size_t len, uint64_t seed);
bool holds(struct disk *d, uint64_t offset, const uint8_t *want, size_t len);
/* Reads until it works again; false after half a minute. */
bool comes_back(struct disk *d);

#endif
