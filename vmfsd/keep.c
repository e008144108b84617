/* SPDX-License-Identifier: BSD-2-Clause */
/* The worker's end of the supervisor's socket. */
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>

#include "vmfsd/keep.h"
#include "vmfsd/supervise.h"

#define LEFT_MAX 4096

struct left {
	char name[KEEP_NAME_MAX];
	int fd;
};

static struct {
	int socket;
	struct left *left;
	unsigned count;
	pthread_mutex_t mutex;		/* left */
} keep = { .socket = -1, .mutex = PTHREAD_MUTEX_INITIALIZER };

static int
hide(int fd)
{
	return fcntl(fd, F_SETFD, FD_CLOEXEC) < 0 ? -errno : 0;
}

/* "name=number,name=number" */
static void
take_over(char *text)
{
	char *next = NULL;

	keep.left = calloc(LEFT_MAX, sizeof(*keep.left));
	for (char *one = strtok_r(text, ",", &next); one != NULL;
	    one = strtok_r(NULL, ",", &next)) {
		struct left *l = &keep.left[keep.count];
		char *eq = strchr(one, '=');

		if (keep.left == NULL || keep.count == LEFT_MAX || eq == NULL)
			return;
		l->fd = atoi(eq + 1);
		(void)snprintf(l->name, sizeof(l->name), "%.*s",
		    (int)(eq - one), one);
		if (hide(l->fd) == 0)
			keep.count++;
	}
}

bool
keep_open(void)
{
	const char *socket = getenv(SUPERVISE_SOCKET);
	char *kept = getenv(SUPERVISE_KEPT);

	/* A supervisor reads for itself what the one before it has kept. */
	if (socket == NULL && getenv(SUPERVISE_LAYOUT) == NULL)
		return false;
	keep.socket = socket != NULL ? atoi(socket) : -1;
	if (hide(keep.socket) < 0)
		keep.socket = -1;
	if (kept != NULL)
		take_over(kept);
	/* None of our children is a worker. */
	(void)unsetenv(SUPERVISE_SOCKET);
	(void)unsetenv(SUPERVISE_KEPT);
	/* Not "exe", by which we were run. */
	(void)prctl(PR_SET_NAME, "vmfsd");
	return keep.socket >= 0;
}

bool
keep_is_worker(void)
{
	return keep.socket >= 0;
}

static int
tell(const char *verb, const char *name, int fd)
{
	char text[KEEP_NAME_MAX + 16];
	union {
		struct cmsghdr align;
		char buf[CMSG_SPACE(sizeof(int))];
	} control = { 0 };
	struct iovec iov = { .iov_base = text };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };

	if (keep.socket < 0)
		return -EOPNOTSUPP;
	iov.iov_len = (size_t)snprintf(text, sizeof(text), "%s%s%s", verb,
	    name != NULL ? " " : "", name != NULL ? name : "");
	if (iov.iov_len >= sizeof(text))
		return -ENAMETOOLONG;
	if (fd >= 0) {
		struct cmsghdr *c = &control.align;

		msg.msg_control = &control;
		msg.msg_controllen = sizeof(control);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(c), &fd, sizeof(fd));
	}
	while (sendmsg(keep.socket, &msg, MSG_NOSIGNAL) < 0)
		if (errno != EINTR)
			return -errno;
	return 0;
}

int
keep_put(const char *name, int fd)
{
	return tell("put", name, fd);
}

static int
find(const char *name, bool take, int *ret_fd)
{
	int rc = -ENOENT;

	(void)pthread_mutex_lock(&keep.mutex);
	for (unsigned i = 0; i < keep.count && rc < 0; i++) {
		struct left *l = &keep.left[i];

		if (l->fd < 0 || strcmp(l->name, name) != 0)
			continue;
		*ret_fd = l->fd;
		if (take)
			l->fd = -1;
		rc = 0;
	}
	(void)pthread_mutex_unlock(&keep.mutex);
	return rc;
}

int
keep_take(const char *name, int *ret_fd)
{
	return find(name, true, ret_fd);
}

int
keep_look(const char *name, int *ret_fd)
{
	return find(name, false, ret_fd);
}

bool
keep_next(const char *prefix, unsigned *at, char ret_name[KEEP_NAME_MAX])
{
	size_t len = strlen(prefix);
	bool found = false;

	(void)pthread_mutex_lock(&keep.mutex);
	while (*at < keep.count && !found) {
		const struct left *l = &keep.left[(*at)++];

		found = l->fd >= 0 && strncmp(l->name, prefix, len) == 0;
		if (found)
			strcpy(ret_name, l->name + len);
	}
	(void)pthread_mutex_unlock(&keep.mutex);
	return found;
}

void
keep_drop(const char *name)
{
	/* Without a supervisor there is nothing to drop. */
	(void)!tell("drop", name, -1);
}

void
keep_ready(void)
{
	(void)!tell("ready", NULL, -1);
}

void
keep_ends(void)
{
	(void)!tell("ends", NULL, -1);
}

int
keep_upgrade(void)
{
	return tell("upgrade", NULL, -1);
}
