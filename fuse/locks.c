/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Who may write a file that is open in the mount.
 *
 * Between hosts there is one lock, that of the whole file (F2).  A host has it
 * exclusively while a program has a claim, from its open for writing to its
 * close, or a lock for writing; shared while programs have locks for reading
 * only.  A claim ends with the first lock that is made by the same open file:
 * from then on the program tells by its locks when it needs the file, and
 * between them other hosts may have it.
 *
 * A file that another host has is opened all the same where a program could go
 * on by locks: O_RDWR, or an empty file, as lock files are.  It cannot be written
 * by that until it has got a lock: what was read before may be old.
 */
#include <fcntl.h>

#include "fuse/cluster_lock.h"

/* ---- open and close ---- */

static int
open_to_read(struct fuse_mount *m, struct handle *h, uint32_t generation)
{
	return fs_file_open(m->conf.fs, h->ino, generation, FS_READ, &h->file,
	    NULL);
}

/* f, exclusively ours or, of a disk with several writers, shared, is h's. */
static int
claim(struct fuse_mount *m, struct handle *h, struct fs_file *f)
{
	struct file_locks *l;
	struct fs_attr a;
	int rc = fs_file_attr(f, &a);

	if (rc == 0)
		rc = file_locks_get(m, h, &a);
	if (rc == 0 && !a.multi_writer)
		rc = open_to_read(m, h, a.generation);
	if (rc < 0) {
		(void)!fs_file_close(f);
		return rc;
	}
	if (a.multi_writer) {
		h->granted = true;
		h->file = f;
		return 0;
	}
	l = h->locks;
	fiber_mutex_lock(&l->mutex);
	/* Those who only read it may have come when it had many writers. */
	l->local = false;
	/* Both: who closes just now looks at all handles. */
	h->claim = h->granted = true;
	cluster_lock_note(h);
	if (l->ex == NULL)
		l->ex = f;
	else
		rc = fs_file_close(f);
	fiber_mutex_unlock(&l->mutex);
	return rc;
}

/* Another host has it: can the program wait for that by a lock? */
static bool
goes_by_locks(const struct fs_attr *a, int open_flags)
{
	bool overwrites = (open_flags & O_ACCMODE) != O_RDWR ||
	    (open_flags & O_TRUNC) != 0;

	return (a->type == INODE_DISK && !overwrites) ||
	    (a->type == INODE_FILE && (!overwrites || a->size == 0));
}

static int
open_to_write(fuse_req_t req, struct handle *h, int open_flags,
    struct lock_holder *holder)
{
	struct fuse_mount *m = mount_of(req);
	struct patience p = { 0 };
	struct fs_file *f;
	struct fs_attr a;
	bool by_locks;
	int rc;

	/* Who has closed a file lets go of it a moment later: that is waited
	 * for also by those who could go on by locks. */
	do {
		rc = fs_file_open(m->conf.fs, h->ino, 0,
		    (unsigned)FS_READ | FS_WRITE | FS_BY_MOUNT, &f, holder);
		if (rc != -VMFS_ELOCKED)
			return rc < 0 ? rc : claim(m, h, f);
		if (holder->state == HOLDER_SELF ||
		    fs_getattr(m->conf.fs, h->ino, &a) < 0)
			return rc;
		by_locks = goes_by_locks(&a, open_flags);
	} while (a.type != INODE_DISK ? patience_left(req, &p, rc) :
	    !by_locks && patience_left_long(req, &p, rc));
	if (by_locks)
		rc = file_locks_get(m, h, &a);
	if (rc == 0 && !a.multi_writer)
		h->locks->local = false;
	return rc < 0 ? rc : open_to_read(m, h, a.generation);
}

int
locks_open(fuse_req_t req, struct handle *h, int open_flags,
    struct lock_holder *ret_holder)
{
	h->writable = (open_flags & O_ACCMODE) != O_RDONLY ||
	    (open_flags & O_TRUNC) != 0;
	if (!h->writable)
		return open_to_read(mount_of(req), h, 0);
	return open_to_write(req, h, open_flags, ret_holder);
}

int
locks_close(struct handle *h)
{
	struct file_locks *l = h->locks;
	struct fs_file *f = h->file;
	int rc = 0, e = 0;

	if (l != NULL) {
		fiber_mutex_lock(&l->mutex);
		ranges_drop_by(&l->ranges, h);
		h->claim = h->granted = false;
		cluster_lock_note(h);
		list_del(&h->same);
		rc = cluster_lock_gone(l);
		fiber_mutex_unlock(&l->mutex);
		h->locks = NULL;
		file_locks_put(l);
	}
	h->file = NULL;
	if (f != NULL)
		e = fs_file_close(f);
	return rc != 0 ? rc : e;
}

/* ---- reading and writing ---- */

/* A file whose last lock was given back is written without one. */
static int
retake(fuse_req_t req, struct handle *h, struct lock_holder *holder)
{
	struct fuse_mount *m = mount_of(req);
	struct patience p = { 0 };
	struct file_locks *l = h->locks;
	int rc;

	do {
		fiber_mutex_lock(&l->mutex);
		rc = cluster_lock_raise(m, l, LOCK_EXCLUSIVE, holder);
		h->claim = h->claim || rc == 0;
		cluster_lock_note(h);
		fiber_mutex_unlock(&l->mutex);
	} while (patience_left_long(req, &p, rc));
	return rc;
}

int
file_use(fuse_req_t req, struct handle *h, bool write,
    struct fs_file **ret_f, struct lock_holder *ret_holder)
{
	struct file_locks *l = h->locks;
	int rc = 0;

	*ret_f = h->file;
	if (!h->writable || l->local || (!write && l->ex == NULL))
		return 0;
	if (write && !h->granted) {
		rc = cluster_lock_holder(mount_of(req), l, ret_holder);
		return rc < 0 ? rc : -VMFS_ELOCKED;
	}
	if (l->ex == NULL)
		rc = retake(req, h, ret_holder);
	if (rc == 0) {
		l->users++;
		*ret_f = l->ex;
	}
	return rc;
}

void
file_done(struct handle *h, const struct fs_file *f)
{
	if (f != h->file && --h->locks->users == 0)
		fiber_cond_broadcast(&h->locks->idle);
}

void
file_share(struct handle *h)
{
	bool alone = h->locks == NULL || h->locks->local;
	struct fs_file *ex = alone || !h->writable || !h->granted ? NULL :
	    h->locks->ex;

	handle_share(h, ex != NULL ? ex : h->file,
	    h->writable && (alone || ex != NULL));
}

/* ---- after another process ---- */

int
locks_reopen(struct handle *h, const struct fuse_keep_handle *k)
{
	struct fs *fs = h->mount->conf.fs;
	unsigned may = atomic_load(&k->may);
	struct fs_attr a;
	int rc = fs_file_reopen(fs, k->ino, k->generation, FS_READ, &h->file);

	h->writable = (k->flags & FS_WRITE) != 0;
	if (rc < 0 || !h->writable)
		return rc;
	rc = fs_file_attr(h->file, &a);
	if (rc == 0)
		rc = file_locks_get(h->mount, h, &a);
	if (rc == 0 && a.multi_writer) {
		rc = fs_file_close(h->file);
		h->file = NULL;
		if (rc == 0)
			rc = fs_file_reopen(fs, k->ino, k->generation,
			    (unsigned)FS_READ | FS_WRITE, &h->file);
	}
	h->claim = !a.multi_writer && (may & MAY_CLAIM) != 0;
	h->granted = a.multi_writer || (may & MAY_WRITE) != 0;
	if (rc < 0)
		(void)!locks_close(h);
	return rc;
}
