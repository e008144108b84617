/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A watchdog for machines without a device: a child that kills this process
 * unless it is petted in time.  It has a session of its own, so that what
 * stops us does not stop it.  A machine that stands still as a whole, such as
 * a paused VM, takes it along: there only a device will do.
 */
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "libvmfs/env/watchdog.h"

#define DISARM 'V'
#define PET 'p'
#define PIPE_FD 3

struct watchdog_process {
	struct watchdog dog;
	int fd;
};

/* Only calls that are safe after a fork of one thread out of many. */
static void
watch(pid_t parent, int timeout_ms)
{
	struct pollfd p = { .fd = PIPE_FD, .events = POLLIN };
	char c = 0;

	for (;;) {
		int n = poll(&p, 1, timeout_ms);

		if (n < 0)
			continue;
		if (n == 0)
			(void)kill(parent, SIGKILL);
		/* End of the pipe: it has ended by itself. */
		if (n == 0 || read(PIPE_FD, &c, 1) != 1 || c == DISARM)
			_exit(0);
	}
}

static void
become_watch(int fd, pid_t parent, int timeout_ms)
{
	struct sched_param rt = { .sched_priority = 1 };

	/* The child has a child, which nobody has to wait for. */
	if (setsid() < 0 || fork() != 0)
		_exit(0);
	/* Locks of files and mounts must not live on in us. */
	if (fd != PIPE_FD)
		(void)dup2(fd, PIPE_FD);
	(void)close_range(PIPE_FD + 1, ~0U, 0);
	(void)sched_setscheduler(0, SCHED_FIFO, &rt);
	watch(parent, timeout_ms);
}

static int
process_pet(struct watchdog *dog)
{
	struct watchdog_process *w = (struct watchdog_process *)dog;
	char c = PET;
	ssize_t n = write(w->fd, &c, 1);

	/* A full pipe has plenty of pets in it. */
	return n == 1 || errno == EAGAIN ? 0 : -errno;
}

static void
process_close(struct watchdog *dog, bool disarm)
{
	struct watchdog_process *w = (struct watchdog_process *)dog;
	char c = DISARM;

	if (disarm && write(w->fd, &c, 1) != 1)
		disarm = false;
	/* Without it the pipe stays open, and time runs out. */
	if (disarm)
		(void)close(w->fd);
	free(w);
}

static const struct watchdog_ops ops = {
	.pet = process_pet,
	.close = process_close,
};

int
watchdog_process_open(unsigned timeout_ms, struct watchdog **ret_w)
{
	struct watchdog_process *w = calloc(1, sizeof(*w));
	pid_t self = getpid(), child;
	int fds[2], rc = 0;

	if (w == NULL)
		return -ENOMEM;
	if (pipe2(fds, O_CLOEXEC | O_NONBLOCK) < 0) {
		rc = -errno;
		free(w);
		return rc;
	}
	child = fork();
	if (child == 0)
		become_watch(fds[0], self, (int)timeout_ms);
	if (child < 0)
		rc = -errno;
	else
		(void)waitpid(child, NULL, 0);
	(void)close(fds[0]);
	if (rc < 0) {
		(void)close(fds[1]);
		free(w);
		return rc;
	}
	w->fd = fds[1];
	w->dog = (struct watchdog){
		.ops = &ops, .timeout_ms = timeout_ms, .can_disarm = true,
	};
	(void)snprintf(w->dog.name, sizeof(w->dog.name), "process");
	*ret_w = &w->dog;
	return 0;
}
