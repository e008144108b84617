/* SPDX-License-Identifier: BSD-2-Clause */
/* Rates and latencies out of two readings of counters. */
#ifndef VMFS_VMFSD_RATES_H
#define VMFS_VMFSD_RATES_H

#include <jansson.h>

/*
 * Adds to each row of `now`: read_iops, write_iops, read_bps, write_bps
 * (bytes per second), and in microseconds read_us, write_us (mean), and
 * read_p99_us, write_p99_us (99 of 100 commands took less).  They are for the
 * time since `before`; with NULL, and for what is not in it, since the row's
 * counters began.  Both are answers of lun.stats or session.stats.
 */
void rates_add(const json_t *before, json_t *now);

#endif
