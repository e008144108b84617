/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Locks of fcntl(2) and flock(2), which hold for programs of all hosts: each
 * needs the cluster's lock of the whole file in some way.
 *
 * On virtual disks the bytes are QEMU's (its block/file-posix.c): who has byte
 * 101 locked, for reading, may write; 201: lets nobody else write.  A lock of
 * 101 is granted even when another host has the disk, but does not let write,
 * and F_GETLK, by which QEMU then looks for others, tells of the other host's:
 * so the refusal is in QEMU's own words.  Before that there are 5 s for a disk
 * whose guest is on its way here.
 */
#include <fcntl.h>
#include <sys/file.h>

#include "fuse/cluster_lock.h"
#include "fuse/refusal.h"
#include "libvmfs/base/units.h"

/* How long a disk is waited for that another host is about to give up. */
#define HANDOVER_NS (5 * NSEC_PER_SEC)

static struct range_lock
range_of(fuse_req_t req, struct handle *h, const struct fuse_file_info *fi,
    const struct flock *lock)
{
	uint64_t start = (uint64_t)lock->l_start;

	return (struct range_lock){
		.start = start,
		.end = lock->l_len == 0 ? RANGE_END :
		    start + (uint64_t)lock->l_len - 1,
		.owner = fi->lock_owner, .by = h, .handle = h->number,
		.pid = lock->l_pid, .uid = fuse_req_ctx(req)->uid,
		.write = lock->l_type == F_WRLCK,
	};
}

/* What has been opened for reading gets its table with the first lock. */
static int
locks_of(struct fuse_mount *m, struct handle *h)
{
	struct fs_attr a;
	int rc;

	if (h->locks != NULL)
		return 0;
	rc = fs_file_attr(h->file, &a);
	if (rc < 0 || h->locks != NULL)
		return rc;
	return file_locks_get(m, h, &a);
}

/* Under the mutex. */
static int
lock_by_mutex(struct fuse_mount *m, struct file_locks *l,
    const struct range_lock *want, struct lock_holder *holder)
{
	enum lock_mode mode = cluster_lock_need_of(l, want);
	struct handle *h = want->by;
	int rc = 0, e;

	if (ranges_conflict(&l->ranges, want) != NULL)
		return -EAGAIN;
	if (!l->disk || mode == LOCK_EXCLUSIVE)
		h->claim = false;
	/* Nobody relies on the claim any more: others may read, too. */
	if (mode == LOCK_SHARED && cluster_lock_have(l) == LOCK_EXCLUSIVE)
		rc = cluster_lock_settle(l);
	if (rc == 0)
		rc = cluster_lock_raise(m, l, lock_stronger(mode,
		    cluster_lock_need(l)), holder);
	if (rc == 0)
		rc = ranges_set(&l->ranges, want, false);
	if (rc == 0 && mode == LOCK_EXCLUSIVE)
		h->granted = true;
	/* Who wrote may only read from now on. */
	if (rc == 0 && !want->write)
		fiber_cond_broadcast(&l->changed);
	e = cluster_lock_adjust(l);
	return rc != 0 ? rc : e;
}

/* -EAGAIN: a program of this host has it; -VMFS_ELOCKED: another host. */
static int
lock_once(struct fuse_mount *m, struct file_locks *l,
    const struct range_lock *want, struct lock_holder *holder)
{
	int rc;

	fiber_mutex_lock(&l->mutex);
	rc = lock_by_mutex(m, l, want, holder);
	fiber_mutex_unlock(&l->mutex);
	return rc;
}

static int
unlock(struct file_locks *l, const struct range_lock *want)
{
	int rc;

	fiber_mutex_lock(&l->mutex);
	rc = ranges_set(&l->ranges, want, true);
	if (rc == 0)
		rc = cluster_lock_gone(l);
	fiber_mutex_unlock(&l->mutex);
	return rc;
}

/* Without the cluster's lock, which QEMU then asks for. */
static int
lock_for_qemu(struct file_locks *l, const struct range_lock *want)
{
	int rc;

	fiber_mutex_lock(&l->mutex);
	rc = ranges_conflict(&l->ranges, want) != NULL ? -EAGAIN :
	    ranges_set(&l->ranges, want, false);
	fiber_mutex_unlock(&l->mutex);
	return rc;
}

static int
lock_at_once(fuse_req_t req, struct file_locks *l,
    const struct range_lock *want, struct lock_holder *holder)
{
	bool qemus = l->disk && !want->write && want->start >= QEMU_FIRST &&
	    want->end <= QEMU_LAST;
	/* libvirt tries its own for writing thousands of times. */
	bool hopes = qemus && cluster_lock_need_of(l, want) == LOCK_EXCLUSIVE;
	struct patience p = { 0 };
	int rc;

	do
		rc = lock_once(mount_of(req), l, want, holder);
	while (rc == -VMFS_ELOCKED && hopes &&
	    patience_wait(req, &p, HANDOVER_NS, &l->changed));
	if (rc == -VMFS_ELOCKED && qemus)
		rc = lock_for_qemu(l, want);
	return rc == -VMFS_ELOCKED ? -EAGAIN : rc;
}

static int
lock_patiently(fuse_req_t req, struct file_locks *l,
    const struct range_lock *want, struct lock_holder *holder)
{
	struct patience p = { 0 };
	/* As flock(2) has it: two that have it shared and both want it alone
	 * would wait for each other. */
	bool lets_go = want->flock;
	int rc = lock_once(mount_of(req), l, want, holder);

	while ((rc == -VMFS_ELOCKED || rc == -EAGAIN) &&
	    patience_wait(req, &p, UINT64_MAX, &l->changed)) {
		rc = lets_go ? unlock(l, want) : 0;
		lets_go = false;
		if (rc == 0)
			rc = lock_once(mount_of(req), l, want, holder);
	}
	if (rc == -VMFS_ELOCKED || rc == -EAGAIN)
		return fuse_req_interrupted(req) ? -EINTR : -ENOLCK;
	return rc;
}

/* Of the caller's groups a request names one. */
static bool
could_write(fuse_req_t req, const struct fs_attr *a)
{
	const struct fuse_ctx *ctx = fuse_req_ctx(req);

	if (ctx->uid == 0)
		return true;
	if (ctx->uid == a->uid)
		return (a->mode & S_IWUSR) != 0;
	return (a->mode & (ctx->gid == a->gid ? S_IWGRP : S_IWOTH)) != 0;
}

/*
 * A lock that other hosts cannot write or remove the file beside: by an open
 * file for reading as well, as flock(2) has it and as QEMU does, but only for
 * who could do that himself.
 */
static int
check_right(fuse_req_t req, const struct range_lock *want)
{
	struct handle *h = want->by;
	struct fs_attr a;
	int rc;

	if (h->writable ||
	    cluster_lock_need_of(h->locks, want) != LOCK_EXCLUSIVE)
		return 0;
	rc = fs_file_attr(h->file, &a);
	return rc != 0 ? rc : could_write(req, &a) ? 0 : -EBADF;
}

static void
set_lock(fuse_req_t req, const struct range_lock *want, bool off, bool wait)
{
	struct handle *h = want->by;
	struct lock_holder holder = { .mode = LOCK_FREE };
	struct fuse_mount *m = mount_of(req);
	int rc = locks_of(m, h);

	if (rc == 0 && !off)
		rc = check_right(req, want);
	if (rc == 0)
		rc = off ? unlock(h->locks, want) :
		    wait ? lock_patiently(req, h->locks, want, &holder) :
		    lock_at_once(req, h->locks, want, &holder);
	if (rc == -ENOLCK)
		share_tell(m, &m->range_keep.share, want->uid, "locks");
	if (rc < 0)
		reply_error(req, rc, "lock", h->ino, NULL, &holder);
	else
		(void)fuse_reply_err(req, 0);
}

void
op_setlk(fuse_req_t req, fuse_ino_t node, struct fuse_file_info *fi,
    struct flock *lock, int sleep)
{
	struct handle *h = handle_get(req, fi);
	struct range_lock want;

	(void)node;
	if (h == NULL)
		return;
	want = range_of(req, h, fi, lock);
	set_lock(req, &want, lock->l_type == F_UNLCK, sleep != 0);
}

void
op_flock(fuse_req_t req, fuse_ino_t node, struct fuse_file_info *fi, int op)
{
	struct handle *h = handle_get(req, fi);
	struct range_lock want = {
		.end = RANGE_END, .owner = fi->lock_owner, .by = h,
		.uid = fuse_req_ctx(req)->uid, .write = (op & LOCK_EX) != 0,
		.flock = true,
	};

	(void)node;
	if (h == NULL)
		return;
	want.handle = h->number;
	set_lock(req, &want, (op & LOCK_UN) != 0, (op & LOCK_NB) == 0);
}

void
locks_flush(struct handle *h, uint64_t owner)
{
	const struct fuse_keep_handle *k =
	    &h->mount->conf.keep->handle[h->number];
	/* The locks may be of another open file: h->locks can be NULL. */
	struct file_locks *l = file_locks_find(h->mount, k->ino,
	    k->generation);

	if (l == NULL || !ranges_owned(&l->ranges, owner))
		return;
	l->refs++;
	fiber_mutex_lock(&l->mutex);
	ranges_drop_owner(&l->ranges, owner);
	/* What it could not write RELEASE will say again. */
	(void)!cluster_lock_gone(l);
	fiber_mutex_unlock(&l->mutex);
	file_locks_put(l);
}

/* ---- who is in the way ---- */

/* Of another host, that `want` cannot be beside; F_UNLCK: none. */
static int
foreign_type(const struct file_locks *l, const struct range_lock *want,
    const struct lock_holder *holder)
{
	bool shared = holder->mode == LOCK_SHARED;

	if (holder->mode == LOCK_FREE || holder->state == HOLDER_DEAD ||
	    holder->state == HOLDER_SELF)
		return F_UNLCK;
	if (!l->disk)
		return !shared ? F_WRLCK : want->write ? F_RDLCK : F_UNLCK;
	/* As if its programs were QEMUs. */
	return want->write && (range_covers(want, QEMU_ALONE) ||
	    (!shared && range_covers(want, QEMU_WRITES))) ? F_RDLCK : F_UNLCK;
}

static int
look_abroad(struct fuse_mount *m, struct file_locks *l,
    const struct range_lock *want, struct lock_holder *holder, int *ret_type)
{
	int rc;

	if (l->local)
		return 0;
	/* What could not be had before may be free by now. */
	rc = cluster_lock_raise(m, l, cluster_lock_need(l), holder);
	if (rc == 0)
		rc = cluster_lock_adjust(l);
	if ((rc < 0 && rc != -VMFS_ELOCKED) ||
	    cluster_lock_have(l) == LOCK_EXCLUSIVE)
		return rc;
	rc = cluster_lock_holder(m, l, holder);
	if (rc == 0)
		*ret_type = foreign_type(l, want, holder);
	return rc;
}

static void
log_refusal(struct fuse_mount *m, const struct handle *h,
    const struct lock_holder *holder)
{
	const char *name = name_hint_get(&m->hints, h->ino);
	char text[REFUSAL_SIZE];

	log_warn(m->log, "fuse: %s: lock refused: %s", m->datastore,
	    refusal_text(name != NULL ? name : "a disk", holder,
		&ds_super(fs_ds(m->conf.fs))->timers, text));
}

void
op_getlk(fuse_req_t req, fuse_ino_t node, struct fuse_file_info *fi,
    struct flock *lock)
{
	struct fuse_mount *m = mount_of(req);
	struct lock_holder holder = { .mode = LOCK_FREE };
	struct handle *h = handle_get(req, fi);
	const struct range_lock *r;
	struct range_lock want;
	int type = F_UNLCK, rc;

	(void)node;
	if (h == NULL)
		return;
	want = range_of(req, h, fi, lock);
	rc = locks_of(m, h);
	if (rc < 0) {
		reply_error(req, rc, "lock", h->ino, NULL, &holder);
		return;
	}
	fiber_mutex_lock(&h->locks->mutex);
	r = ranges_conflict(&h->locks->ranges, &want);
	if (r != NULL)
		*lock = (struct flock){
			.l_type = r->write ? F_WRLCK : F_RDLCK,
			.l_whence = SEEK_SET, .l_start = (off_t)r->start,
			.l_len = r->end == RANGE_END ? 0 :
			    (off_t)(r->end - r->start + 1),
			.l_pid = r->pid,
		};
	else
		rc = look_abroad(m, h->locks, &want, &holder, &type);
	fiber_mutex_unlock(&h->locks->mutex);
	if (r == NULL)
		*lock = (struct flock){ .l_type = (short)type };
	if (r == NULL && type != F_UNLCK && h->locks->disk)
		log_refusal(m, h, &holder);
	if (rc < 0)
		reply_error(req, rc, "lock", h->ino, NULL, &holder);
	else
		(void)fuse_reply_lock(req, lock);
}

/* ---- after another process ---- */

static void
have_again(struct fuse_mount *m, struct file_locks *l)
{
	int rc = cluster_lock_raise(m, l, cluster_lock_need(l), NULL);

	if (rc < 0 && rc != -VMFS_ELOCKED)
		log_error(m->log, "fuse: %s: inode %llu cannot be written any "
		    "more: %s", m->datastore, (unsigned long long)l->ino,
		    vmfs_strerror(rc));
	if (rc < 0)
		list_for_each(node, tmp, &l->handles)
			list_entry(node, struct handle, same)->claim = false;
	rc = cluster_lock_adjust(l);
	if (rc < 0)
		log_error(m->log, "fuse: %s: inode %llu: %s", m->datastore,
		    (unsigned long long)l->ino, vmfs_strerror(rc));
}

int
locks_restore(struct fuse_mount *m)
{
	int rc = 0;

	for (uint32_t i = 0; i < FUSE_KEEP_LOCKS && rc == 0; i++) {
		struct range_kept *kept = &m->range_keep.slot[i];
		uint32_t used = atomic_load(&kept->used);
		struct handle *h = kept->handle < FUSE_KEEP_HANDLES ?
		    m->handle[kept->handle] : NULL;

		if (used == RANGE_FREE)
			continue;
		if (used != RANGE_USED || h == NULL || h->file == NULL) {
			atomic_store(&kept->used, RANGE_FREE);
			continue;
		}
		rc = locks_of(m, h);
		if (rc == 0)
			rc = ranges_restore(&h->locks->ranges, kept, h);
	}
	list_for_each(node, tmp, &m->locked)
		have_again(m, list_entry(node, struct file_locks, node));
	return rc;
}
