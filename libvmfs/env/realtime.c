/* SPDX-License-Identifier: BSD-2-Clause */
/* Priority and locked memory for threads that must not starve. */
#include <linux/capability.h>
#include <sched.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "libvmfs/env/realtime.h"

/* Lowest of the real-time ones: kernel threads that serve disks and network
 * stand above it. */
#define PRIORITY 1
#define NICE (-10)
/* A pulse uses less than half; a fiber has 128 KiB. */
#define STACK_TOUCHED ((size_t)48 << 10)

/* Of the calling thread. */
static _Thread_local struct realtime granted;

const char *
realtime_cpu_name(enum realtime_cpu cpu)
{
	switch (cpu) {
	case REALTIME_CPU_FIRST:
		return "realtime";
	case REALTIME_CPU_NICE:
		return "nice";
	case REALTIME_CPU_NONE:
		break;
	}
	return "ordinary";
}

const char *
realtime_memory_name(enum realtime_memory memory)
{
	switch (memory) {
	case REALTIME_MEMORY_ALL:
		return "all";
	case REALTIME_MEMORY_STACK:
		return "stack";
	case REALTIME_MEMORY_NONE:
		break;
	}
	return "none";
}

static enum realtime_cpu
raise_priority(void)
{
	struct sched_param param = { .sched_priority = PRIORITY };
	id_t self = (id_t)syscall(SYS_gettid);

	if (sched_setscheduler(0, SCHED_RR | SCHED_RESET_ON_FORK,
	    &param) == 0)
		return REALTIME_CPU_FIRST;
	return setpriority(PRIO_PROCESS, self, NICE) == 0 ?
	    REALTIME_CPU_NICE : REALTIME_CPU_NONE;
}

/* Has the process a right that lies above the limits? */
static bool
capable(unsigned cap)
{
	struct __user_cap_header_struct head = {
		.version = _LINUX_CAPABILITY_VERSION_3,
	};
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3];

	if (syscall(SYS_capget, &head, data) < 0)
		return false;
	return (data[cap / 32].effective & 1u << cap % 32) != 0;
}

/*
 * Pages are locked when they are touched, so that caches and stacks cost what
 * they use.  Under a limit MCL_FUTURE would make later mappings fail, which is
 * worse than what it helps against.
 */
static enum realtime_memory
lock_memory(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_MEMLOCK, &limit) < 0)
		return REALTIME_MEMORY_NONE;
	if ((limit.rlim_cur == RLIM_INFINITY || capable(CAP_IPC_LOCK)) &&
	    mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT) == 0)
		return REALTIME_MEMORY_ALL;
	return limit.rlim_cur >= 4 * STACK_TOUCHED ? REALTIME_MEMORY_STACK :
	    REALTIME_MEMORY_NONE;
}

void
realtime_enter(struct realtime *ret_rt)
{
	granted = (struct realtime){
		.memory = lock_memory(), .cpu = raise_priority(),
	};
	realtime_stack();
	*ret_rt = granted;
}

/* Not inlined: its frame is what is touched. */
__attribute__((noinline)) void
realtime_stack(void)
{
	char room[STACK_TOUCHED];
	/* The compiler must not see that nobody reads it. */
	char *volatile p = room;

	memset(p, 0, sizeof(room));
	/* Best effort: a limit may be in the way. */
	if (granted.memory == REALTIME_MEMORY_STACK)
		(void)!mlock(p, sizeof(room));
}
