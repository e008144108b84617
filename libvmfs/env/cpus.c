/* SPDX-License-Identifier: BSD-2-Clause */
/* Lists of processors in sysfs, and where a thread runs. */
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "libvmfs/base/cleanup.h"
#include "libvmfs/env/cpus.h"

#define CPUS_MAX 65536ul	/* far more than any kernel has */

int
cpus_count(const char *list, unsigned *ret_n)
{
	unsigned long n = 0;

	do {
		char *end;
		unsigned long first = strtoul(list, &end, 10), last = first;

		if (end == list)
			return -EINVAL;
		list = end;
		if (*list == '-') {
			last = strtoul(list + 1, &end, 10);
			if (end == list + 1)
				return -EINVAL;
			list = end;
		}
		if (last < first || last >= CPUS_MAX)
			return -EINVAL;
		n += last - first + 1;
	} while (*list++ == ',');
	if (list[-1] != '\0' && list[-1] != '\n')
		return -EINVAL;
	*ret_n = (unsigned)n;
	return 0;
}

int
cpus_possible(unsigned *ret_n)
{
	FILE *f = fopen("/sys/devices/system/cpu/possible", "re");
	cleanup_free char *line = NULL;
	size_t size = 0;
	int rc;

	if (f == NULL)
		return -errno;
	rc = getline(&line, &size, f) < 0 ? -EIO : cpus_count(line, ret_n);
	(void)fclose(f);
	return rc;
}

void
cpus_stay(unsigned first, unsigned n)
{
	size_t size = CPU_ALLOC_SIZE(CPUS_MAX);
	cleanup_free cpu_set_t *set = malloc(size);

	if (set == NULL || sched_getaffinity(getpid(), size, set) < 0)
		return;
	for (size_t i = 0; i < CPUS_MAX; i++)
		if (i < first || i - first >= n)
			CPU_CLR_S(i, size, set);
	/* The kernel refuses an empty set. */
	(void)sched_setaffinity(0, size, set);
}

void
cpus_roam(void)
{
	cpus_stay(0, CPUS_MAX);
}
