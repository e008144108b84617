/* SPDX-License-Identifier: BSD-2-Clause */
/* vmfsctl: waiting for tasks, and pipes of its own for streams. */
#ifndef VMFS_VMFSD_VMFSCTL_TASK_H
#define VMFS_VMFSD_VMFSCTL_TASK_H

#include <jansson.h>
#include <stdbool.h>
#include <sys/types.h>

/* "-" as a file of args: a named pipe that a child copies from or to. */
struct pipe_child {
	pid_t pid;		/* 0: none */
	char dir[64], path[80];
};
/*
 * When the answer began a task: waits for its end, with its progress on a
 * terminal, and returns the answer of the whole command; else `answer`.  An
 * interruption goes on to the task when its data comes through the pipe.
 */
json_t *task_wait(const char *socket_path, json_t *answer,
    const struct pipe_child *p);

/*
 * args["file"] becomes a whole path.  `out`: to stdout, else from stdin.  Ends
 * the program when there is no room for a pipe.
 */
void pipe_begin(struct pipe_child *p, json_t *args, bool out);
/* done: all has gone through, or nothing will. */
void pipe_end(struct pipe_child *p, bool done);

#endif
