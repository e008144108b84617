/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Objects with damaged metadata: what is known to be damaged is no longer
 * changed by this host, since a change may spread the damage.  And the path of
 * an inode, which a report about it needs.
 */
#include <stdio.h>
#include <stdlib.h>

#include "libvmfs/core/fs_impl.h"

#define DEPTH_MAX 256u

bool
fs_is_damaged(const struct fs *fs, uint64_t ino)
{
	for (unsigned i = 0; i < fs->n_damaged; i++)
		if (fs->damaged[i] == ino)
			return true;
	return false;
}

bool
fs_damaged(const struct fs *fs, unsigned n, uint64_t *ret_ino)
{
	if (n >= fs->n_damaged)
		return false;
	*ret_ino = fs->damaged[n];
	return true;
}

int
fs_set_damaged(struct fs *fs, uint64_t ino)
{
	uint64_t *grown;

	if (fs_is_damaged(fs, ino))
		return 0;
	grown = reallocarray(fs->damaged, fs->n_damaged + 1, sizeof(*grown));
	if (grown == NULL)
		return -ENOMEM;
	grown[fs->n_damaged++] = ino;
	fs->damaged = grown;
	list_for_each(n, tmp, &fs->inodes) {
		struct inode *ip = list_entry(n, struct inode, node);

		if (ip->ino == ino)
			fast_forget(ip);
	}
	return 0;
}

/* The number is of a new inode. */
void
fs_damage_forget(struct fs *fs, uint64_t ino)
{
	for (unsigned i = 0; i < fs->n_damaged; i++)
		if (fs->damaged[i] == ino)
			fs->damaged[i--] = fs->damaged[--fs->n_damaged];
}

struct teller {
	struct fs *fs;
	uint64_t ino;
};

static void
tell(void *arg)
{
	struct teller *t = arg;
	struct fs *fs = t->fs;
	char path[4096];

	if (fs_path(fs, t->ino, path, sizeof(path)) != 0)
		(void)snprintf(path, sizeof(path), "inode %llu",
		    (unsigned long long)t->ino);
	log_error(ds_env(fs->ds)->log, "core: %s has damaged metadata: this "
	    "host does not change it any more; see vmfsctl ds scrub, and run "
	    "fsck.vmfs when no host has the datastore mounted", path);
	free(t);
	fs->telling--;
	fiber_cond_broadcast(&fs->told);
}

/* By a fiber of its own: who met it may have any lock. */
void
fs_damage_seen(struct fs *fs, uint64_t ino)
{
	struct teller *t;

	if (fs_is_damaged(fs, ino) || fs_set_damaged(fs, ino) != 0)
		return;
	t = malloc(sizeof(*t));
	if (t == NULL)
		return;
	*t = (struct teller){ fs, ino };
	fs->telling++;
	if (sched_spawn(ds_env(fs->ds)->sched, "damage", tell, t) == 0)
		return;
	fs->telling--;
	free(t);
}

void
fs_damage_owner(void *arg, uint64_t owner)
{
	struct fs *fs = arg;

	/* Slots and clusters have no name, and hosts of their own. */
	list_for_each(node, tmp, &fs->inodes) {
		if (list_entry(node, struct inode, node)->ino != owner)
			continue;
		fs_damage_seen(fs, owner);
		break;
	}
}

void
fs_damage_end(struct fs *fs)
{
	ds_on_damage(fs->ds, NULL, NULL);
	while (fs->telling > 0)
		fiber_cond_wait(&fs->told);
}

/* ---- paths ---- */

struct name_of {
	uint64_t ino;
	char *name;		/* 256 bytes */
	bool found;
};

static bool
name_matches(void *arg, const struct fs_dirent *e)
{
	struct name_of *n = arg;

	if (e->ino != n->ino)
		return true;
	(void)snprintf(n->name, 256, "%s", e->name);
	n->found = true;
	return false;
}

/* Where an inode says that it is named; of a damaged one what its bytes say. */
static int
parent_of(struct fs *fs, uint64_t ino, uint64_t *ret_parent,
    struct inode_info *ret_i)
{
	cleanup_free uint8_t *buf = disk_buf_alloc(BLOCK_SIZE);
	const struct inode_disk *d = (const void *)buf;
	int r;

	if (buf == NULL)
		return -ENOMEM;
	r = disk_read(ds_disk(fs->ds), ino << BLOCK_SHIFT, buf, BLOCK_SIZE);
	if (r != 0)
		return r;
	if (le32_get(d->hdr.magic) != BLOCK_MAGIC ||
	    le64_get(d->hdr.addr) != ino ||
	    le16_get(d->hdr.type) != BLOCK_INODE)
		return -ENOENT;
	if (inode_decode(buf, ret_i) != 0)
		ret_i->type = INODE_FREE;
	*ret_parent = le64_get(d->parent);
	return 0;
}

/* Puts the name, and a separator, in front of what is at *pos. */
static int
prepend(char *buf, size_t *pos, char sep, const char *name)
{
	size_t len = strlen(name);

	if (len + 1 > *pos)
		return -ENAMETOOLONG;
	*pos -= len;
	memcpy(buf + *pos, name, len);
	buf[--*pos] = sep;
	return 0;
}

static bool
snapshot_matches(void *arg, const struct fs_snapshot *s)
{
	struct name_of *n = arg;

	if (s->ino != n->ino)
		return true;
	(void)snprintf(n->name, 256, "%s", s->name);
	n->found = true;
	return false;
}

static int
one_up(struct fs *fs, uint64_t *ino, char *buf, size_t *pos)
{
	char name[256];
	struct name_of n = { .name = name };
	struct inode_info i = { .type = INODE_FREE };
	uint64_t parent;
	int r;

	r = parent_of(fs, *ino, &parent, &i);
	if (r == 0 && i.type == INODE_SNAPSHOT) {
		n.ino = *ino;
		r = fs_snapshot_list(fs, i.disk, snapshot_matches, &n);
		if (r != 0 || !n.found)
			return r != 0 ? r : -ENOENT;
		*ino = i.disk;
		return prepend(buf, pos, '@', name);
	}
	if (r == 0 && i.type == INODE_QUOTA) {
		*ino = parent;
		return prepend(buf, pos, '@', "quota");
	}
	n.ino = *ino;
	if (r == 0)
		r = fs_readdir(fs, parent, 0, name_matches, &n);
	if (r == 0 && !n.found)
		r = -ENOENT;
	if (r != 0)
		return r;
	*ino = parent;
	return prepend(buf, pos, '/', name);
}

int
fs_path(struct fs *fs, uint64_t ino, char *buf, size_t size)
{
	size_t pos = size - 1;
	int r = 0;

	buf[pos] = '\0';
	for (unsigned depth = 0; r == 0 && ino != fs_root(fs); depth++)
		r = depth < DEPTH_MAX ? one_up(fs, &ino, buf, &pos) :
		    -VMFS_ECORRUPT;
	if (r != 0)
		return r;
	if (pos == size - 1)
		buf[--pos] = '/';
	memmove(buf, buf + pos, size - pos);
	return 0;
}
