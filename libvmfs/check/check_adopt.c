/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Names for what has none, through the core: the name it had, where a block of
 * its directory was left, else its number in /lost+found.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libvmfs/check/check_priv.h"
#include "libvmfs/core/fs.h"

#define LOST_FOUND "lost+found"

struct adopt {
	struct check *c;
	struct fs *fs;
	uint64_t dir;		/* /lost+found; 0: not yet needed */
};

static int
lost_found(struct adopt *a)
{
	uint64_t root = fs_root(a->fs);
	struct fs_attr attr;
	int rc;

	if (a->dir != 0)
		return 0;
	rc = fs_lookup(a->fs, root, LOST_FOUND, &attr);
	if (rc == -ENOENT)
		rc = fs_create(a->fs, root, LOST_FOUND, INODE_DIR, 0700, 0, 0,
		    0, &attr);
	if (rc == 0 && attr.type != INODE_DIR)
		rc = -ENOTDIR;
	if (rc == 0)
		a->dir = attr.ino;
	return rc;
}

static void
adopted(struct adopt *a, uint64_t ino, const char *where, const char *name)
{
	check_report(a->c, CHECK_INODE_LOST, CHECK_DAMAGE, ino, true,
	    "inode %llu had no name: it is now %s%s%s",
	    (unsigned long long)ino, where, where[0] == '/' ? "/" : " ", name);
}

/* Its old name: in a directory that is there and has none like it. */
static int
adopt_by_name(struct adopt *a, uint64_t ino)
{
	struct list *names = &a->c->memory->names;
	char where[48];

	list_for_each(node, tmp, names) {
		struct check_name *n = list_entry(node, struct check_name,
		    node);
		const struct check_ino *d = check_ino_get(a->c, n->dir);

		if (n->ino != ino || d == NULL || !d->walked || n->dir == ino ||
		    fs_adopt(a->fs, ino, n->dir, n->name) != 0)
			continue;
		snprintf(where, sizeof(where), "in directory %llu again as",
		    (unsigned long long)n->dir);
		adopted(a, ino, where, n->name);
		return 0;
	}
	return -ENOENT;
}

static int
adopt_one(struct adopt *a, uint64_t ino)
{
	char name[32];
	int rc;

	rc = adopt_by_name(a, ino);
	if (rc == 0)
		return 0;
	rc = lost_found(a);
	snprintf(name, sizeof(name), "#%llu", (unsigned long long)ino);
	if (rc == 0)
		rc = fs_adopt(a->fs, ino, a->dir, name);
	if (rc == 0)
		adopted(a, ino, "/" LOST_FOUND, name);
	else
		check_report(a->c, CHECK_INODE_LOST, CHECK_DAMAGE, ino, false,
		    "inode %llu could not be named in /" LOST_FOUND ": %s",
		    (unsigned long long)ino, vmfs_strerror(rc));
	return rc;
}

/* Those that no other lost inode names, in the order of their numbers. */
static int
adopt_all(struct adopt *a)
{
	struct check *c = a->c;
	int done = 0;

	for (size_t k = 0; k < c->mc_count; k++) {
		for (unsigned i = 1; i < CHUNK_BLOCKS; i++) {
			uint64_t ino = c->mc[k].chunk * CHUNK_BLOCKS + i;
			const struct check_ino *n;

			if (c->mc[k].type[i] != BLOCK_INODE ||
			    (n = check_ino_get(c, ino)) == NULL || !n->lost ||
			    n->names > 0)
				continue;
			done += adopt_one(a, ino) == 0;
		}
	}
	return done;
}

static int
adopt_on(struct check *c, struct lockops *locks)
{
	const struct ds_conf conf = {
		.env = c->conf->env, .disk = c->conf->disk, .locks = locks,
		.extents = c->conf->extents,
	};
	struct adopt a = { .c = c };
	struct ds *ds;
	int rc, close;

	rc = ds_open(&conf, &ds);
	if (rc != 0)
		return rc;
	rc = fs_open(ds, &a.fs);
	if (rc == 0) {
		/* Without progress another pass would only say it again. */
		c->again = adopt_all(&a) > 0;
		rc = fs_close(a.fs);
	}
	close = ds_close(ds);
	return rc != 0 ? rc : close;
}

int
check_adopt(struct check *c)
{
	struct lockops *own = NULL;
	int rc = 0;

	if (c->conf->locks == NULL)
		rc = lock_local_new(c->conf->env, c->conf->disk, &c->super,
		    &own);
	if (rc == 0)
		rc = adopt_on(c, own != NULL ? own : c->conf->locks);
	lock_local_free(own);
	if (rc == -VMFS_EFENCED || rc == -VMFS_EGONE || rc == -EIO)
		return rc;
	if (rc != 0)
		check_report(c, CHECK_INODE_LOST, CHECK_DAMAGE, 0, false,
		    "lost inodes could not be named: %s", vmfs_strerror(rc));
	return 0;
}
