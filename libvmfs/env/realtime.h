/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Protection of a thread against starvation: processor time before all
 * ordinary threads of the machine, memory that is not paged out.  Both need
 * rights (CAP_SYS_NICE or RLIMIT_RTPRIO, CAP_IPC_LOCK or RLIMIT_MEMLOCK); what
 * is not granted is done without.
 */
#ifndef VMFS_ENV_REALTIME_H
#define VMFS_ENV_REALTIME_H

enum realtime_cpu {
	REALTIME_CPU_NONE,	/* as every other thread */
	REALTIME_CPU_NICE,	/* a better share, no guarantee */
	REALTIME_CPU_FIRST,	/* SCHED_RR: before all ordinary threads */
};

enum realtime_memory {
	REALTIME_MEMORY_NONE,
	REALTIME_MEMORY_STACK,	/* what realtime_stack was called for */
	REALTIME_MEMORY_ALL,	/* of the process, as it is touched */
};

struct realtime {
	enum realtime_cpu cpu;
	enum realtime_memory memory;
};

/*
 * For the calling thread and, where it may, the memory of the process.
 * Threads that it starts later are ordinary ones.
 */
void realtime_enter(struct realtime *ret_rt);
/*
 * Touches the stack that the calling thread or fiber will need.  After
 * realtime_enter on this thread also locks it, where not all memory is locked.
 */
void realtime_stack(void);
/* "realtime", "nice", "ordinary"; "all", "stack", "none". */
const char *realtime_cpu_name(enum realtime_cpu cpu);
const char *realtime_memory_name(enum realtime_memory memory);

#endif
