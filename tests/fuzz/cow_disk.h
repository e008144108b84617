/* SPDX-License-Identifier: BSD-2-Clause */
/* A disk in memory that can be copied at no cost: the copy's writes are lost. */
#ifndef TESTS_FUZZ_COW_DISK_H
#define TESTS_FUZZ_COW_DISK_H

#include "libvmfs/env/disk.h"

/* A new disk of zeroes; both end the program when there is no memory. */
struct disk *cow_disk_new(uint64_t size);
/* The same content; what is written to it is written nowhere else.  The
 * original must not be written meanwhile, and outlives it. */
struct disk *cow_disk_copy(struct disk *d);

#endif
