/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The file or pipe of an export or import.  The task's thread waits for pipes,
 * as long as the task is not cancelled: who holds the other end may stand still
 * for ever.
 */
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vmfsd/disk_stream.h"

#define LOOK_MS 100

static int
failed(struct stream *s, const char *what)
{
	int error = -errno;

	return cmd_fail(s->c, error, "cannot %s '%.400s': %s", what, s->name,
	    strerror(-error));
}

static bool
go_on(struct stream *s)
{
	return task_step(s->c->task, s->off, s->size);
}

static int
named(struct stream *s)
{
	int rc = cmd_string(s->c->args, "file", &s->name, s->c->msg);

	if (rc == 0 && s->name[0] != '/')
		rc = cmd_fail(s->c, -EINVAL, "'%.400s': vmfsd needs the whole "
		    "path of a file", s->name);
	s->file = s->name;
	return rc;
}

/* A pipe that nobody reads yet cannot be opened. */
static int
open_it(struct stream *s, int flags)
{
	struct stat st;

	while ((s->fd = open(s->file, flags | O_NONBLOCK | O_CLOEXEC,
	    0600)) < 0 && errno == ENXIO && stat(s->file, &st) == 0 &&
	    S_ISFIFO(st.st_mode)) {
		if (!go_on(s))
			return -ECANCELED;
		(void)poll(NULL, 0, LOOK_MS);
	}
	if (s->fd < 0 || fstat(s->fd, &st) < 0)
		return failed(s, "open");
	s->sparse = S_ISREG(st.st_mode);
	s->pipe = !s->sparse && !S_ISBLK(st.st_mode);
	return 0;
}

int
disk_stream_open(struct stream *s)
{
	struct stat st;
	int rc = named(s);

	if (rc == 0)
		rc = open_it(s, O_RDONLY);
	if (rc == 0 && s->sparse && fstat(s->fd, &st) == 0)
		s->size = (uint64_t)st.st_size;
	return rc;
}

/* Nobody takes a part for the whole; and another export to the same file, or
 * one that plants links here, does not know what it is called. */
static int
open_part(struct stream *s)
{
	char *part;

	if (asprintf(&part, "%s.part-XXXXXX", s->name) < 0)
		return -ENOMEM;
	s->fd = mkostemp(part, O_CLOEXEC);
	if (s->fd < 0) {
		free(part);
		return failed(s, "make");
	}
	s->file = s->part = part;
	s->sparse = true;
	return 0;
}

/* A pipe, a device, what a link leads to. */
static int
open_there(struct stream *s)
{
	int rc = open_it(s, O_WRONLY | O_CREAT);

	if (rc == 0 && s->sparse && (flock(s->fd, LOCK_EX | LOCK_NB) < 0 ||
	    ftruncate(s->fd, 0) < 0))
		rc = failed(s, "have");
	return rc;
}

int
disk_stream_create(struct stream *s)
{
	struct stat st;
	int rc = named(s);

	if (rc < 0)
		return rc;
	rc = lstat(s->name, &st) < 0 || S_ISREG(st.st_mode) ? open_part(s) :
	    open_there(s);
	if (rc == 0 && s->sparse && ftruncate(s->fd, (off_t)s->size) < 0)
		rc = failed(s, "make");
	return rc;
}

/* Until there is something, or room for something. */
static int
ready(struct stream *s, short events)
{
	for (;;) {
		struct pollfd p = { .fd = s->fd, .events = events };
		int n = poll(&p, 1, LOOK_MS);

		if (!go_on(s))
			return -ECANCELED;
		if (n > 0)
			return 0;
		if (n < 0 && errno != EINTR)
			return failed(s, "wait for");
	}
}

int
disk_stream_write(struct stream *s)
{
	size_t done = 0;
	int rc;

	if (s->sparse && !s->data)
		return 0;
	while (done < s->len) {
		ssize_t n;

		rc = ready(s, POLLOUT);
		if (rc < 0)
			return rc;
		n = s->sparse ? pwrite(s->fd, s->buf + done, s->len - done,
		    (off_t)(s->off + done)) :
		    write(s->fd, s->buf + done, s->len - done);
		if (n < 0 && errno != EINTR && errno != EAGAIN)
			return failed(s, "write");
		if (n > 0)
			done += (size_t)n;
	}
	return 0;
}

int
disk_stream_read(struct stream *s)
{
	int rc;

	s->len = 0;
	while (s->len < STREAM_STEP) {
		ssize_t n;

		rc = ready(s, POLLIN);
		if (rc < 0)
			return rc;
		n = read(s->fd, s->buf + s->len, STREAM_STEP - s->len);
		if (n == 0)
			break;
		if (n < 0 && errno != EINTR && errno != EAGAIN)
			return failed(s, "read");
		if (n > 0)
			s->len += (size_t)n;
	}
	return 0;
}

int
disk_stream_close(struct stream *s, int rc)
{
	/* Not of pipes. */
	if (rc == 0 && s->fd >= 0 && fsync(s->fd) < 0 && errno != EINVAL &&
	    errno != EROFS)
		rc = failed(s, "write");
	if (s->fd >= 0 && close(s->fd) < 0 && rc == 0)
		rc = failed(s, "write");
	if (s->part != NULL && rc == 0 && rename(s->part, s->name) < 0)
		rc = failed(s, "make");
	if (s->part != NULL && rc < 0)
		(void)unlink(s->part);
	free(s->part);
	return rc;
}
