/* SPDX-License-Identifier: BSD-2-Clause */
/* Walks directories breadth first, so that depth costs no stack. */
#include <stdlib.h>
#include <string.h>
#include <stdio.h>

#include "libvmfs/base/cleanup.h"
#include "libvmfs/base/list.h"
#include "vmfsd/walk.h"

struct pending {
	struct list node;
	uint64_t dir, ino;
	enum inode_type type;
	char path[];
};

struct walk {
	struct list entries;	/* of the directory being read */
	const char *path;
	uint64_t dir;
	int error;
};

static bool
collect(void *arg, const struct fs_dirent *e)
{
	struct walk *w = arg;
	size_t size = strlen(w->path) + strlen(e->name) + 2;
	struct pending *p = malloc(sizeof(*p) + size);

	if (p == NULL) {
		w->error = -ENOMEM;
		return false;
	}
	p->dir = w->dir;
	p->ino = e->ino;
	p->type = e->type;
	(void)snprintf(p->path, size, "%s/%s",
	    strcmp(w->path, "/") == 0 ? "" : w->path, e->name);
	list_add_tail(&w->entries, &p->node);
	return true;
}

static int
read_dir(struct fs *fs, struct walk *w, uint64_t dir, const char *path)
{
	int rc;

	w->dir = dir;
	w->path = path;
	rc = fs_readdir(fs, dir, 0, collect, w);
	/* Removed since its parent was read. */
	if (rc == -ENOENT || rc == -ESTALE)
		rc = 0;
	return rc < 0 ? rc : w->error;
}

int
walk_tree(struct fs *fs, const char *path,
    int (*fn)(void *arg, const struct walk_entry *e), void *arg)
{
	struct walk w = { .error = 0 };
	struct fs_attr a;
	struct list *node;
	int rc = fs_resolve(fs, path, &a);

	list_init(&w.entries);
	if (rc == 0)
		rc = read_dir(fs, &w, a.ino, path);
	while ((node = list_pop(&w.entries)) != NULL) {
		cleanup_free struct pending *p =
		    list_entry(node, struct pending, node);
		struct walk_entry e = {
			.dir = p->dir, .ino = p->ino, .type = p->type,
			.path = p->path, .name = strrchr(p->path, '/') + 1,
		};

		if (rc == 0)
			rc = fn(arg, &e);
		if (rc == 0 && p->type == INODE_DIR)
			rc = read_dir(fs, &w, p->ino, p->path);
	}
	return rc;
}
