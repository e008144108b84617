/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Templates that go when their last clone does: without its name such a disk
 * waits in a directory of its own, which is looked through whenever a clone
 * went or stands alone, and at each mount.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vmfsd/cmd_disk.h"

#define DEFERRED_DIR ".deferred"

static int
deferred_dir(struct fs *fs, uint64_t *ret_dir)
{
	struct fs_attr a;
	int rc = fs_lookup(fs, fs_root(fs), DEFERRED_DIR, &a);

	if (rc == -ENOENT)
		rc = fs_create(fs, fs_root(fs), DEFERRED_DIR, INODE_DIR, 0700,
		    0, 0, 0, &a);
	if (rc == 0)
		*ret_dir = a.ino;
	return rc;
}

int
disk_defer(struct fs_call *c, const struct vdisk *v)
{
	struct fs *fs = c->d->fs;
	uint64_t dir = 0;
	char name[48];
	int rc = deferred_dir(fs, &dir);

	(void)snprintf(name, sizeof(name), "%" PRIu64 "-flat.vmdk",
	    v->attr.ino);
	if (rc == 0)
		rc = fs_rename(fs, v->dir, v->flat, dir, name,
		    FS_RENAME_NOREPLACE, &c->holder);
	if (rc == 0 && v->descriptor[0] != '\0')
		rc = fs_unlink(fs, v->dir, v->descriptor, &c->holder);
	if (rc == 0)
		c->result = json_pack("{s:s}", "deferred", name);
	return rc;
}

struct waiting {
	char (*name)[256];
	unsigned count;
};

static bool
add_waiting(void *arg, const struct fs_dirent *e)
{
	struct waiting *w = arg;
	char (*grown)[256] = reallocarray(w->name, w->count + 1,
	    sizeof(*grown));

	if (grown == NULL)
		return false;
	w->name = grown;
	(void)snprintf(w->name[w->count++], sizeof(*w->name), "%s", e->name);
	return true;
}

void
disk_deferred_reap(struct fs_call *c)
{
	struct fs *fs = c->d->fs;
	struct waiting w = { 0 };
	struct fs_attr a;

	if (fs_lookup(fs, fs_root(fs), DEFERRED_DIR, &a) == 0 &&
	    fs_readdir(fs, a.ino, 0, add_waiting, &w) == 0)
		for (unsigned i = 0; i < w.count; i++)
			if (fs_unlink(fs, a.ino, w.name[i], NULL) == 0)
				log_info(c->d->all->log, "datastore: %s: "
				    "template %s removed, its last clone is "
				    "gone", c->d->name, w.name[i]);
	free(w.name);
}
