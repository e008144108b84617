/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef VMFS_BENCH_NOW_H
#define VMFS_BENCH_NOW_H

#include <time.h>

/* Seconds of one of the kernel's clocks. */
static inline double
now(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

#endif
