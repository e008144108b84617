/* SPDX-License-Identifier: BSD-2-Clause */
/* Processors as the kernel counts them. */
#ifndef VMFS_ENV_CPUS_H
#define VMFS_ENV_CPUS_H

#include "libvmfs/base/err.h"

/*
 * Those that this kernel may ever have (num_possible_cpus()): sysconf(3) only
 * knows of those that are there.  Negative errno when it does not tell.
 */
int cpus_possible(unsigned *ret_n) MUST_CHECK;
/* How many a list of the kernel has, such as "0-3,8"; -EINVAL: it is none. */
int cpus_count(const char *list, unsigned *ret_n) MUST_CHECK;
/*
 * The calling thread stays on those of [first, first + n) that the process's
 * first thread may use; where it is when there are none of them.
 */
void cpus_stay(unsigned first, unsigned n);
/* It may go wherever that one may. */
void cpus_roam(void);

#endif
