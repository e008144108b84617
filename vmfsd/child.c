/* SPDX-License-Identifier: BSD-2-Clause */
/* See child.h. */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdint.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "vmfsd/child.h"

#define LOOK_MS 200

struct child {
	const struct child_conf *conf;
	pid_t pid;
	int out, err;		/* what we read; -1: at its end */
	bool ended;		/* by us */
};

extern char **environ;

/* ---- its beginning ---- */

/* The parent's ends are read without waiting. */
static int
make_pipe(int fd[2])
{
	if (pipe2(fd, O_CLOEXEC) < 0)
		return -errno;
	(void)fcntl(fd[0], F_SETFL, O_NONBLOCK);
	return 0;
}

static void
close_pipe(int fd[2])
{
	close(fd[0]);
	close(fd[1]);
}

/* Signals as a shell would give them, and nothing of our descriptors. */
static int
spawn(struct child *c, int out, int err)
{
	char *const *argv = (char *const *)(uintptr_t)c->conf->argv;
	posix_spawn_file_actions_t files;
	posix_spawnattr_t attr;
	sigset_t none, all;
	int rc;

	(void)sigemptyset(&none);
	(void)sigfillset(&all);
	(void)posix_spawnattr_init(&attr);
	(void)posix_spawnattr_setflags(&attr,
	    POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
	(void)posix_spawnattr_setsigmask(&attr, &none);
	(void)posix_spawnattr_setsigdefault(&attr, &all);
	(void)posix_spawn_file_actions_init(&files);
	rc = posix_spawn_file_actions_addopen(&files, STDIN_FILENO,
	    "/dev/null", O_RDONLY, 0);
	if (rc == 0)
		rc = posix_spawn_file_actions_adddup2(&files, out,
		    STDOUT_FILENO);
	if (rc == 0)
		rc = posix_spawn_file_actions_adddup2(&files, err,
		    STDERR_FILENO);
	if (rc == 0 && c->conf->dir > 0)
		rc = posix_spawn_file_actions_addfchdir_np(&files,
		    c->conf->dir);
	if (rc == 0)
		rc = posix_spawnp(&c->pid, argv[0], &files, &attr, argv,
		    environ);
	(void)posix_spawn_file_actions_destroy(&files);
	(void)posix_spawnattr_destroy(&attr);
	return -rc;
}

static int
begin(struct child *c)
{
	int out[2], err[2];
	int rc = make_pipe(out);

	if (rc < 0)
		return rc;
	rc = make_pipe(err);
	if (rc < 0) {
		close_pipe(out);
		return rc;
	}
	rc = spawn(c, out[1], err[1]);
	if (rc < 0) {
		close_pipe(out);
		close_pipe(err);
		return rc;
	}
	close(out[1]);
	close(err[1]);
	c->out = out[0];
	c->err = err[0];
	return 0;
}

/* ---- what it says ---- */

static void
complain(const struct child_conf *conf, const char *text, size_t len)
{
	size_t used = strlen(conf->complaint), max = conf->complaint_size - 1;

	if (len > max) {
		text += len - max;
		len = max;
	}
	if (used + len > max) {
		size_t drop = used + len - max;

		memmove(conf->complaint, conf->complaint + drop, used - drop);
		used -= drop;
	}
	memcpy(conf->complaint + used, text, len);
	conf->complaint[used + len] = '\0';
}

/* All that is there; closes at its end. */
static void
listen_to(struct child *c, int *fd)
{
	char buf[4096];
	ssize_t n;

	if (*fd < 0)
		return;
	while ((n = read(*fd, buf, sizeof(buf))) > 0) {
		if (fd == &c->err)
			complain(c->conf, buf, (size_t)n);
		else if (c->conf->output != NULL)
			c->conf->output(c->conf->arg, buf, (size_t)n);
	}
	if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
		close(*fd);
		*fd = -1;
	}
}

static void
watch(struct child *c)
{
	while (c->out >= 0 || c->err >= 0) {
		struct pollfd p[2] = {
			{ .fd = c->out, .events = POLLIN },
			{ .fd = c->err, .events = POLLIN },
		};

		(void)poll(p, 2, LOOK_MS);
		listen_to(c, &c->out);
		listen_to(c, &c->err);
		if (!c->ended && !c->conf->go_on(c->conf->arg)) {
			c->ended = true;
			(void)kill(c->pid, SIGKILL);
		}
	}
}

/* "qemu-img: no such thing\n" is a sentence already. */
static void
cut_lines(char *text)
{
	size_t len = strlen(text);

	while (len > 0 && text[len - 1] == '\n')
		text[--len] = '\0';
	for (char *p = text; *p != '\0'; p++)
		if (*p == '\n' || *p == '\r')
			*p = ' ';
}

int
child_run(const struct child_conf *conf)
{
	struct child c = { .conf = conf, .out = -1, .err = -1 };
	int status = 0, rc;

	conf->complaint[0] = '\0';
	rc = begin(&c);
	if (rc < 0)
		return rc;
	watch(&c);
	while (waitpid(c.pid, &status, 0) < 0 && errno == EINTR)
		;
	cut_lines(conf->complaint);
	if (c.ended)
		return -ECANCELED;
	return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : -EIO;
}
