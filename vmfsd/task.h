/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Long work of this process: each runs on a thread of its own, tells how far
 * it is and can be cancelled.  What ended is remembered for a while.
 */
#ifndef VMFS_VMFSD_TASK_H
#define VMFS_VMFSD_TASK_H

#include <jansson.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "libvmfs/base/err.h"
#include "libvmfs/base/list.h"
#include "libvmfs/core/fs.h"

#define TASKS_KEPT 64u

struct tasks {
	pthread_mutex_t mutex;
	pthread_cond_t ended;
	struct list list;	/* by when they began or ended */
	unsigned next_id, running, ended_count;
};

struct task;
struct daemon;
struct datastore;
struct fs_call;

void tasks_init(struct tasks *all);
/* Nothing may run any more. */
void tasks_fini(struct tasks *all);
/*
 * Cancels what runs on the datastore (NULL: on any) and waits for its end;
 * unless `force`, refuses when there is something: -EBUSY with why
 * (CTL_MESSAGE_SIZE).
 */
int tasks_stop(struct tasks *all, const char *ds, bool force, char *why)
    MUST_CHECK;

/* How a task's work is done. */
enum task_place {
	TASK_FIBER = 0,		/* run on a fiber of the datastore */
	TASK_THREAD = 1,	/* run on the task's thread, which may block */
	TASK_SNAPSHOT = 2,	/* its path may name a snapshot */
};
/*
 * Starts run as a task of the daemon: args["path"] is parsed and the datastore
 * locked as by cmd_fs.  *ret_result is {"task": ID}.  `what` is static.
 */
int task_start(struct daemon *dm, const char *what, json_t *args,
    enum task_place place, int (*run)(struct fs_call *c),
    json_t **ret_result, char *msg) MUST_CHECK;
/*
 * The same for what nobody asked for: it is cancelled, not in the way, when
 * the datastore is to be unmounted.
 */
void task_start_quiet(struct daemon *dm, const char *what, const char *path,
    int (*run)(struct fs_call *c));
/* Deletions of snapshots that a crash cut short go on, on all datastores. */
void tasks_resume(struct daemon *dm);
/* Where it works: it ends when that is unmounted from outside. */
void task_on(struct task *t, struct datastore *d);
/* For struct fs_progress with a struct task, which may be NULL.  Any thread. */
bool task_step(void *task, uint64_t done, uint64_t total);
static inline struct fs_progress
task_progress(struct task *t)
{
	return (struct fs_progress){ task_step, t };
}

#endif
