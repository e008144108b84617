/* SPDX-License-Identifier: BSD-2-Clause */
/* Tables of locks of files, and the cluster's lock that stands behind each. */
#include <stdlib.h>

#include "fuse/cluster_lock.h"

/* ---- the table ---- */

struct file_locks *
file_locks_find(struct fuse_mount *m, uint64_t ino, uint32_t generation)
{
	list_for_each(node, tmp, &m->locked) {
		struct file_locks *l = list_entry(node, struct file_locks, node);

		if (l->ino == ino && l->generation == generation)
			return l;
	}
	return NULL;
}

int
file_locks_get(struct fuse_mount *m, struct handle *h, const struct fs_attr *a)
{
	struct file_locks *l = file_locks_find(m, a->ino, a->generation);

	if (l != NULL)
		goto out;
	l = calloc(1, sizeof(*l));
	if (l == NULL)
		return -ENOMEM;
	*l = (struct file_locks){
		.ino = a->ino, .generation = a->generation,
		.disk = a->type == INODE_DISK,
		.local = a->multi_writer || m->conf.readonly,
	};
	fiber_mutex_init(&l->mutex);
	ranges_init(&l->ranges, &m->range_keep);
	list_init(&l->handles);
	fiber_cond_init(&l->idle);
	fiber_cond_init(&l->changed);
	append_init(&l->append);
	list_add(&m->locked, &l->node);
out:
	l->refs++;
	list_add(&l->handles, &h->same);
	h->locks = l;
	return 0;
}

void
file_locks_put(struct file_locks *l)
{
	if (--l->refs > 0)
		return;
	list_del(&l->node);
	ranges_fini(&l->ranges);
	free(l);
}

/* ---- what the cluster has to grant ---- */

static unsigned
lock_strength(enum lock_mode mode)
{
	return mode == LOCK_EXCLUSIVE ? 2 : mode == LOCK_SHARED ? 1 : 0;
}

enum lock_mode
cluster_lock_need_of(const struct file_locks *l, const struct range_lock *r)
{
	const struct handle *h = r->by;

	if (l->local)
		return LOCK_FREE;
	if (r->write)
		return LOCK_EXCLUSIVE;
	if (!l->disk || r->start < QEMU_FIRST || r->end > QEMU_LAST)
		return LOCK_SHARED;
	/* By any open file: QEMU asks by the one for reading first. */
	if (range_covers(r, QEMU_WRITES))
		return LOCK_EXCLUSIVE;
	return !h->writable && range_covers(r, QEMU_ALONE) ? LOCK_SHARED :
	    LOCK_FREE;
}

enum lock_mode
lock_stronger(enum lock_mode a, enum lock_mode b)
{
	return lock_strength(a) > lock_strength(b) ? a : b;
}

enum lock_mode
cluster_lock_need(const struct file_locks *l)
{
	enum lock_mode most = LOCK_FREE;

	list_for_each(node, tmp, &l->handles)
		if (list_entry(node, struct handle, same)->claim)
			return LOCK_EXCLUSIVE;
	list_for_each(node, tmp, &l->ranges.locks)
		most = lock_stronger(most, cluster_lock_need_of(l,
		    list_entry(node, struct range_lock, node)));
	return most;
}

enum lock_mode
cluster_lock_have(const struct file_locks *l)
{
	return l->ex != NULL ? LOCK_EXCLUSIVE :
	    l->sh != NULL ? LOCK_SHARED : LOCK_FREE;
}

int
cluster_lock_raise(struct fuse_mount *m, struct file_locks *l,
    enum lock_mode mode, struct lock_holder *holder)
{
	unsigned flags = (unsigned)FS_READ |
	    (mode == LOCK_EXCLUSIVE ? FS_WRITE | FS_BY_MOUNT : FS_SHARED);

	if (lock_strength(cluster_lock_have(l)) >= lock_strength(mode))
		return 0;
	return fs_file_open(m->conf.fs, l->ino, l->generation, flags,
	    mode == LOCK_EXCLUSIVE ? &l->ex : &l->sh, holder);
}

/* Other threads have what they use by l->ex, or by a right that has gone. */
static void
handles_keep(struct file_locks *l)
{
	list_for_each(node, tmp, &l->handles) {
		struct handle *h = list_entry(node, struct handle, same);

		if (h->fast_writes && (l->ex == NULL || !h->granted))
			handle_keep(h);
	}
}

int
cluster_lock_settle(struct file_locks *l)
{
	struct fs_file *ex = l->ex, *sh = l->sh;
	int rc = 0, e = 0;

	if (cluster_lock_need(l) != LOCK_FREE)
		return 0;
	l->ex = l->sh = NULL;
	while (l->users > 0)
		fiber_cond_wait(&l->idle);
	append_forget(&l->append);
	handles_keep(l);
	if (ex != NULL)
		rc = fs_file_close(ex);
	if (sh != NULL)
		e = fs_file_close(sh);
	return rc != 0 ? rc : e;
}

static bool
has_write_lock(const struct file_locks *l, const struct handle *h)
{
	list_for_each(node, tmp, &l->ranges.locks) {
		const struct range_lock *r =
		    list_entry(node, struct range_lock, node);

		if (r->by == h && cluster_lock_need_of(l, r) == LOCK_EXCLUSIVE)
			return true;
	}
	return false;
}

void
cluster_lock_note(const struct handle *h)
{
	atomic_store(&h->mount->conf.keep->handle[h->number].may,
	    (h->claim ? MAY_CLAIM : 0) | (h->granted ? MAY_WRITE : 0));
}

int
cluster_lock_adjust(struct file_locks *l)
{
	list_for_each(node, tmp, &l->handles) {
		struct handle *h = list_entry(node, struct handle, same);
		bool writes = l->ex != NULL && has_write_lock(l, h);

		/* Programs may write files between their locks. */
		h->granted = h->claim || writes || (h->granted && !l->disk);
		h->told = h->told && !h->granted;
		cluster_lock_note(h);
	}
	handles_keep(l);
	return cluster_lock_settle(l);
}

int
cluster_lock_gone(struct file_locks *l)
{
	fiber_cond_broadcast(&l->changed);
	return cluster_lock_adjust(l);
}

int
cluster_lock_holder(struct fuse_mount *m, const struct file_locks *l,
    struct lock_holder *ret_holder)
{
	struct lockops *ops = ds_locks(fs_ds(m->conf.fs));

	return ops->vt->query(ops, l->ino, ret_holder);
}
