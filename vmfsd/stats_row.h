/* SPDX-License-Identifier: BSD-2-Clause */
/* Counters in an answer; vmfsctl makes rates of them (rates.h). */
#ifndef VMFS_VMFSD_STATS_ROW_H
#define VMFS_VMFSD_STATS_ROW_H

#include <jansson.h>

#include "libvmfs/base/io_stats.h"

void stats_row_set(json_t *row, const struct io_stats *st);

#endif
