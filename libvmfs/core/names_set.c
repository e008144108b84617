/* SPDX-License-Identifier: BSD-2-Clause */
/* Locking several inodes at once, and the inode that loses its name. */
#include <stdlib.h>

#include "libvmfs/core/names_set.h"

void
names_set_add(struct names_set *s, uint64_t ino)
{
	unsigned i = 0;

	while (i < s->count && s->ino[i] < ino)
		i++;
	if (ino == 0 || (i < s->count && s->ino[i] == ino))
		return;
	memmove(&s->ino[i + 1], &s->ino[i], (s->count - i) * sizeof(*s->ino));
	s->ino[i] = ino;
	s->count++;
}

int
names_set_lock(struct names_set *s, struct fs *fs)
{
	int r;

	for (s->held = 0; s->held < s->count; s->held++) {
		r = inode_take(fs, s->ino[s->held], LOCK_EXCLUSIVE, true,
		    &s->ip[s->held], NULL);
		if (r != 0)
			return names_set_unlock(s, r);
		content_lock(s->ip[s->held]);
	}
	return 0;
}

struct inode *
names_set_get(const struct names_set *s, uint64_t ino)
{
	for (unsigned i = 0; i < s->held; i++)
		if (s->ino[i] == ino)
			return s->ip[i];
	return NULL;
}

int
names_set_unlock(struct names_set *s, int r)
{
	while (s->held > 0) {
		struct inode *ip = s->ip[--s->held];

		content_unlock(ip);
		r = inode_give(ip, LOCK_EXCLUSIVE, r);
	}
	return r;
}

int
names_find(struct inode *dip, const char *name, struct dirent *ret_e)
{
	if (dip->info.type != INODE_DIR)
		return -ENOTDIR;
	return dir_find(dip, &dip->info, true, name, ret_e);
}

/* ---- the inode that loses its name ---- */

static bool
has_other_names(const struct inode *ip)
{
	return ip->info.type != INODE_DIR && ip->info.nlink > 1;
}

static int
victim_hold_snapshots(struct victim *v)
{
	struct inode *ip = v->ip, *sp;
	int r;

	r = kin_load(ip);
	if (r != 0)
		return r;
	v->snap = calloc(ip->n_kin + 1, sizeof(*v->snap));
	if (v->snap == NULL)
		return -ENOMEM;
	for (unsigned i = 0; i < ip->n_kin; i++) {
		if (ip->kin[i].origin)
			continue;
		r = inode_take(ip->fs, ip->kin[i].ino, LOCK_EXCLUSIVE, false,
		    &sp, NULL);
		if (r == -ESTALE)
			continue;	/* freed; its name follows */
		if (r != 0)
			return r;
		r = sp->info.clones > 0 ? -EBUSY : opens_bar(sp);
		if (r != 0)
			return inode_give(sp, LOCK_EXCLUSIVE, r);
		v->snap[v->n_snap++] = sp;
	}
	return 0;
}

/* For what is gone at once: whoever keeps files open without a name stops
 * nobody else who makes room. */
#define ORPHANS_KEPT 64u

int
victim_take(struct fs *fs, const struct dirent *e, struct victim *v,
    struct lock_holder *ret_holder)
{
	int r;

	r = inode_take(fs, e->ino, LOCK_EXCLUSIVE, false, &v->ip, ret_holder);
	if (r != 0)
		return r;
	if (v->ip->info.generation != e->generation) {
		/* A number used again: the entry is stale, its inode not. */
		r = inode_give(v->ip, LOCK_EXCLUSIVE, 0);
		v->ip = NULL;
		return r != 0 ? r : -ESTALE;
	}
	if (v->ip->info.snapshots == 0 || has_other_names(v->ip))
		return 0;
	if (v->wait)
		snaps_lock(v->ip);
	v->busy = !v->wait && !snaps_trylock(v->ip);
	if (v->busy)
		return -EAGAIN;
	v->snaps_locked = true;
	r = victim_hold_snapshots(v);
	if (r != 0)
		victim_finish(v, false);
	return r;
}

int
victim_unlink(struct txn *t, struct victim *v)
{
	struct inode *ip = v->ip;
	int r;

	if (ip == NULL)
		return 0;
	if (has_other_names(ip)) {
		ip->info.nlink--;
		ip->info.ctime_ns = fs_now_ns(ip->fs);
		return inode_store(t, ip);
	}
	/* The other name went since victim_take. */
	if (ip->info.snapshots > 0 && !v->snaps_locked)
		return -EBUSY;
	if (opens_any(ip) && orphan_room(ip->fs->ds) <= ORPHANS_KEPT)
		return -EBUSY;
	r = orphan_add(t, ip->ino);
	if (r != 0)
		return r;
	ip->info.nlink = 0;
	ip->info.flags |= INODE_DELETING;
	ip->info.ctime_ns = fs_now_ns(ip->fs);
	for (unsigned i = 0; i < v->n_snap && r == 0; i++) {
		v->snap[i]->info.flags |= INODE_DELETING;
		r = inode_store(t, v->snap[i]);
	}
	return r != 0 ? r : inode_store(t, ip);
}

void
victim_finish(struct victim *v, bool done)
{
	struct inode *ip = v->ip;
	struct log *log;
	uint64_t ino;
	int r = 0;

	if (ip == NULL)
		return;
	log = ds_env(ip->fs->ds)->log;
	ino = ip->ino;
	if (v->busy) {
		snaps_lock(ip);
		v->snaps_locked = true;
	}
	for (unsigned i = 0; i < v->n_snap; i++) {
		opens_unbar(v->snap[i]);
		r = inode_give(v->snap[i], LOCK_EXCLUSIVE, r);
	}
	free(v->snap);
	if (v->snaps_locked)
		snaps_unlock(ip);
	done = done && ip->info.nlink == 0;
	if (done && opens_any(ip))
		ip->unlinked = true;	/* the last close goes on */
	else if (done)
		r = inode_destroy(ip);
	else
		r = inode_give(ip, LOCK_EXCLUSIVE, r);
	/* The name is gone; the rest is in the orphan list. */
	if (r != 0)
		log_debug(log, "fs: deletion put off inode=%llu error=%s",
		    (unsigned long long)ino, vmfs_strerror(r));
	*v = (struct victim){ 0 };
}
