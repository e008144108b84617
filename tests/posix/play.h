/* SPDX-License-Identifier: BSD-2-Clause */
/* A case while it is played. */
#ifndef TESTS_POSIX_PLAY_H
#define TESTS_POSIX_PLAY_H

#include <fcntl.h>

#include "tests/posix/posix.h"

#define FILES 4
#define PATH_SIZE 4096

struct file {
	struct posix_host *host;	/* NULL: not open */
	void *f;
};

struct play {
	const struct posix_run *r;
	const struct posix_case *c;
	const struct posix_step *step;
	struct posix_host *host;	/* whose turn it is */
	unsigned hosts, turn;
	char path[2][PATH_SIZE];
	struct file file[FILES];
	struct posix_stat mark[4];
};

#define VT(p, fn, ...) \
	(p)->host->vt->fn((p)->host, __VA_ARGS__)

/* Says what is wrong; -EPROTO. */
int posix_wrong(struct play *p, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* ---- attrs.c ---- */

int posix_attr_change(struct play *p, const struct posix_step *s);
int posix_attr_look(struct play *p, const struct posix_step *s);

/* ---- dirs.c ---- */

int posix_dir_change(struct play *p, const struct posix_step *s);
int posix_dir_look(struct play *p, const struct posix_step *s);
int posix_remove_all(struct play *p, const char *path);

#endif
