/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A disk that takes its time on the simulator's clock, ends requests in any
 * order, and now and then with an error: what makes commands meet.
 */
#ifndef TESTS_FUZZ_SLOW_DISK_H
#define TESTS_FUZZ_SLOW_DISK_H

#include "libvmfs/env/disk.h"
#include "tests/sim/sim_sched.h"

/*
 * Over `below`, which it owns.  Of a million requests so many are late, by up
 * to 100 ms, and fail.
 */
struct disk *slow_disk_new(struct sim *sim, struct disk *below,
    unsigned late_ppm, unsigned error_ppm);

#endif
