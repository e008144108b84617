/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Who may write a file that is open in the mount, and the locks of fcntl(2) and
 * flock(2), which hold for programs of all hosts.
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
 *
 * On virtual disks the bytes are QEMU's (its block/file-posix.c): who has byte
 * 101 locked, for reading, may write; 201: lets nobody else write.  A lock of 101
 * is granted even when another host has the disk, but does not let write, and
 * F_GETLK, by which QEMU then looks for others, tells of the other host's: so the
 * refusal is in QEMU's own words.  Before that there are 5 s for a disk whose
 * guest is on its way here.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <sys/file.h>

#include "fuse/mount_impl.h"
#include "fuse/ranges.h"
#include "fuse/refusal.h"
#include "libvmfs/base/units.h"

/* How long a disk is waited for that another host is about to give up. */
#define HANDOVER_NS (5 * NSEC_PER_SEC)

/* fuse_keep_handle.may */
#define MAY_CLAIM 1u
#define MAY_WRITE 2u
/* Programs that wait leave requests for those that unlock. */
#define LOCKERS_MAX (FUSE_KEEP_REQUESTS / 2)

#define QEMU_FIRST 100u
#define QEMU_LAST 299u
#define QEMU_WRITES 101u
#define QEMU_ALONE 201u

struct file_locks {
	struct list node;	/* in fuse_mount.locked */
	uint64_t ino;
	uint32_t generation;
	unsigned refs;
	bool disk;
	bool local;		/* multi-writer disk, or mounted read-only */
	struct fiber_mutex mutex;	/* all below, but for file_use */
	struct ranges ranges;
	struct list handles;
	struct fs_file *ex, *sh;	/* what this host has; NULL */
	unsigned users;			/* of ex, just now ... */
	struct fiber_cond idle;		/* ... became 0 */
	struct fiber_cond changed;	/* locks have gone */
};

/* ---- the table ---- */

static int
get(struct fuse_mount *m, struct handle *h, const struct fs_attr *a)
{
	struct file_locks *l;

	list_for_each(node, tmp, &m->locked) {
		l = list_entry(node, struct file_locks, node);
		if (l->ino == a->ino && l->generation == a->generation)
			goto out;
	}
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
	list_add(&m->locked, &l->node);
out:
	l->refs++;
	list_add(&l->handles, &h->same);
	h->locks = l;
	return 0;
}

static void
put(struct file_locks *l)
{
	if (--l->refs > 0)
		return;
	list_del(&l->node);
	ranges_fini(&l->ranges);
	free(l);
}

/* ---- what the cluster has to grant ---- */

static unsigned
strength(enum lock_mode mode)
{
	return mode == LOCK_EXCLUSIVE ? 2 : mode == LOCK_SHARED ? 1 : 0;
}

static bool
covers(const struct range_lock *r, uint64_t byte)
{
	return r->start <= byte && r->end >= byte;
}

static enum lock_mode
need_of(const struct file_locks *l, const struct range_lock *r)
{
	const struct handle *h = r->by;

	if (l->local)
		return LOCK_FREE;
	if (r->write)
		return LOCK_EXCLUSIVE;
	if (!l->disk || r->start < QEMU_FIRST || r->end > QEMU_LAST)
		return LOCK_SHARED;
	/* By any open file: QEMU asks by the one for reading first. */
	if (covers(r, QEMU_WRITES))
		return LOCK_EXCLUSIVE;
	return !h->writable && covers(r, QEMU_ALONE) ? LOCK_SHARED : LOCK_FREE;
}

static enum lock_mode
stronger(enum lock_mode a, enum lock_mode b)
{
	return strength(a) > strength(b) ? a : b;
}

static enum lock_mode
need(const struct file_locks *l)
{
	enum lock_mode most = LOCK_FREE;

	list_for_each(node, tmp, &l->handles)
		if (list_entry(node, struct handle, same)->claim)
			return LOCK_EXCLUSIVE;
	list_for_each(node, tmp, &l->ranges.locks)
		most = stronger(most, need_of(l,
		    list_entry(node, struct range_lock, node)));
	return most;
}

static enum lock_mode
have(const struct file_locks *l)
{
	return l->ex != NULL ? LOCK_EXCLUSIVE :
	    l->sh != NULL ? LOCK_SHARED : LOCK_FREE;
}

static int
raise_to(struct fuse_mount *m, struct file_locks *l, enum lock_mode mode,
    struct lock_holder *holder)
{
	unsigned flags = (unsigned)FS_READ |
	    (mode == LOCK_EXCLUSIVE ? FS_WRITE | FS_BY_MOUNT : FS_SHARED);

	if (strength(have(l)) >= strength(mode))
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

/* Gives back what nobody needs.  Not weaker than it was while a lock is left:
 * there would be a moment without any. */
static int
settle(struct file_locks *l)
{
	struct fs_file *ex = l->ex, *sh = l->sh;
	int rc = 0, e = 0;

	if (need(l) != LOCK_FREE)
		return 0;
	l->ex = l->sh = NULL;
	while (l->users > 0)
		fiber_cond_wait(&l->idle);
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

		if (r->by == h && need_of(l, r) == LOCK_EXCLUSIVE)
			return true;
	}
	return false;
}

/* For the process after this one. */
static void
note(const struct handle *h)
{
	atomic_store(&h->mount->conf.keep->handle[h->number].may,
	    (h->claim ? MAY_CLAIM : 0) | (h->granted ? MAY_WRITE : 0));
}

/* Locks have come or gone, or did not come. */
static int
adjust(struct file_locks *l)
{
	list_for_each(node, tmp, &l->handles) {
		struct handle *h = list_entry(node, struct handle, same);
		bool writes = l->ex != NULL && has_write_lock(l, h);

		/* Programs may write files between their locks. */
		h->granted = h->claim || writes || (h->granted && !l->disk);
		h->told = h->told && !h->granted;
		note(h);
	}
	handles_keep(l);
	return settle(l);
}

static int
gone(struct file_locks *l)
{
	fiber_cond_broadcast(&l->changed);
	return adjust(l);
}

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
		rc = get(m, h, &a);
	if (rc == 0 && !a.multi_writer)
		rc = open_to_read(m, h, a.generation);
	if (rc < 0) {
		(void)!fs_file_close(f);
		return rc;
	}
	h->granted = true;
	if (a.multi_writer) {
		h->file = f;
		return 0;
	}
	l = h->locks;
	fiber_mutex_lock(&l->mutex);
	h->claim = true;
	note(h);
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
		rc = get(m, h, &a);
	return rc < 0 ? rc : open_to_read(m, h, a.generation);
}

int
locks_open(fuse_req_t req, struct handle *h, int open_flags,
    struct lock_holder *ret_holder)
{
	struct fs_file *f;
	int rc;

	h->writable = (open_flags & O_ACCMODE) != O_RDONLY ||
	    (open_flags & O_TRUNC) != 0;
	if (!h->writable)
		return open_to_read(mount_of(req), h, 0);
	rc = open_to_write(req, h, open_flags, ret_holder);
	if (rc < 0 || (open_flags & O_TRUNC) == 0 || !h->granted)
		return rc;
	rc = file_use(req, h, true, &f, ret_holder);
	if (rc == 0) {
		rc = fs_file_truncate(f, 0);
		file_done(h, f);
	}
	return rc;
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
		note(h);
		list_del(&h->same);
		rc = gone(l);
		fiber_mutex_unlock(&l->mutex);
		h->locks = NULL;
		put(l);
	}
	h->file = NULL;
	if (f != NULL)
		e = fs_file_close(f);
	return rc != 0 ? rc : e;
}

/* ---- reading and writing ---- */

static int
who_has_it(struct fuse_mount *m, const struct file_locks *l,
    struct lock_holder *ret_holder)
{
	struct lockops *ops = ds_locks(fs_ds(m->conf.fs));

	return ops->vt->query(ops, l->ino, ret_holder);
}

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
		rc = raise_to(m, l, LOCK_EXCLUSIVE, holder);
		h->claim = h->claim || rc == 0;
		note(h);
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
		rc = who_has_it(mount_of(req), l, ret_holder);
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

/* ---- locks of programs ---- */

static struct range_lock
range_of(struct handle *h, const struct fuse_file_info *fi,
    const struct flock *lock)
{
	uint64_t start = (uint64_t)lock->l_start;

	return (struct range_lock){
		.start = start,
		.end = lock->l_len == 0 ? RANGE_END :
		    start + (uint64_t)lock->l_len - 1,
		.owner = fi->lock_owner, .by = h, .handle = h->number,
		.pid = lock->l_pid, .write = lock->l_type == F_WRLCK,
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
	return get(m, h, &a);
}

/* -EAGAIN: a program of this host has it; -VMFS_ELOCKED: another host. */
static int
lock_once(struct fuse_mount *m, struct file_locks *l,
    const struct range_lock *want, struct lock_holder *holder)
{
	enum lock_mode mode = need_of(l, want);
	struct handle *h = want->by;
	int rc = 0, e;

	if (ranges_conflict(&l->ranges, want) != NULL)
		return -EAGAIN;
	if (!l->disk || mode == LOCK_EXCLUSIVE)
		h->claim = false;
	/* Nobody relies on the claim any more: others may read, too. */
	if (mode == LOCK_SHARED && have(l) == LOCK_EXCLUSIVE)
		rc = settle(l);
	if (rc == 0)
		rc = raise_to(m, l, stronger(mode, need(l)), holder);
	if (rc == 0)
		rc = ranges_set(&l->ranges, want, false);
	if (rc == 0 && mode == LOCK_EXCLUSIVE)
		h->granted = true;
	/* Who wrote may only read from now on. */
	if (rc == 0 && !want->write)
		fiber_cond_broadcast(&l->changed);
	e = adjust(l);
	return rc != 0 ? rc : e;
}

static int
lock_patiently(fuse_req_t req, struct file_locks *l,
    const struct range_lock *want, bool wait, struct lock_holder *holder)
{
	bool polite = l->disk && !want->write;
	bool hopes = l->disk && need_of(l, want) == LOCK_EXCLUSIVE;
	uint64_t most = wait ? UINT64_MAX : hopes ? HANDOVER_NS : 0;
	struct patience p = { 0 };
	bool go_on;
	int rc;

	do {
		fiber_mutex_lock(&l->mutex);
		rc = lock_once(mount_of(req), l, want, holder);
		fiber_mutex_unlock(&l->mutex);
		go_on = rc == -VMFS_ELOCKED || (rc == -EAGAIN && wait);
	} while (go_on && patience_wait(req, &p, most, &l->changed));
	if (rc == -VMFS_ELOCKED && polite) {
		fiber_mutex_lock(&l->mutex);
		rc = ranges_conflict(&l->ranges, want) != NULL ? -EAGAIN :
		    ranges_set(&l->ranges, want, false);
		fiber_mutex_unlock(&l->mutex);
	}
	if (go_on && wait && rc < 0)
		return fuse_req_interrupted(req) ? -EINTR : -ENOLCK;
	return rc == -VMFS_ELOCKED ? -EAGAIN : rc;
}

static int
lock_in_the_end(fuse_req_t req, struct file_locks *l,
    const struct range_lock *want, struct lock_holder *holder)
{
	struct fuse_mount *m = mount_of(req);
	int rc;

	if (m->lockers >= LOCKERS_MAX)
		return -ENOLCK;
	m->lockers++;
	rc = lock_patiently(req, l, want, true, holder);
	m->lockers--;
	return rc;
}

static int
unlock(struct file_locks *l, const struct range_lock *want)
{
	int rc;

	fiber_mutex_lock(&l->mutex);
	rc = ranges_set(&l->ranges, want, true);
	if (rc == 0)
		rc = gone(l);
	fiber_mutex_unlock(&l->mutex);
	return rc;
}

static void
set_lock(fuse_req_t req, const struct range_lock *want, bool off, bool wait)
{
	struct handle *h = want->by;
	struct lock_holder holder = { .mode = LOCK_FREE };
	int rc = locks_of(mount_of(req), h);

	if (rc == 0)
		rc = off ? unlock(h->locks, want) :
		    wait ? lock_in_the_end(req, h->locks, want, &holder) :
		    lock_patiently(req, h->locks, want, false, &holder);
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
	want = range_of(h, fi, lock);
	set_lock(req, &want, lock->l_type == F_UNLCK, sleep != 0);
}

void
op_flock(fuse_req_t req, fuse_ino_t node, struct fuse_file_info *fi, int op)
{
	struct handle *h = handle_get(req, fi);
	struct range_lock want = {
		.end = RANGE_END, .owner = fi->lock_owner, .by = h,
		.write = (op & LOCK_EX) != 0, .flock = true,
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
	struct file_locks *l = h->locks;

	if (l == NULL || !ranges_owned(&l->ranges, owner))
		return;
	fiber_mutex_lock(&l->mutex);
	ranges_drop_owner(&l->ranges, owner);
	/* What it could not write RELEASE will say again. */
	(void)gone(l);
	fiber_mutex_unlock(&l->mutex);
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
	return want->write && (covers(want, QEMU_ALONE) ||
	    (!shared && covers(want, QEMU_WRITES))) ? F_RDLCK : F_UNLCK;
}

static int
look_abroad(struct fuse_mount *m, struct file_locks *l,
    const struct range_lock *want, struct lock_holder *holder, int *ret_type)
{
	int rc;

	if (l->local)
		return 0;
	/* What could not be had before may be free by now. */
	rc = raise_to(m, l, need(l), holder);
	if (rc == 0)
		rc = adjust(l);
	if ((rc < 0 && rc != -VMFS_ELOCKED) || have(l) == LOCK_EXCLUSIVE)
		return rc;
	rc = who_has_it(m, l, holder);
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
	want = range_of(h, fi, lock);
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
		rc = get(h->mount, h, &a);
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

static void
have_again(struct fuse_mount *m, struct file_locks *l)
{
	int rc = raise_to(m, l, need(l), NULL);

	if (rc < 0 && rc != -VMFS_ELOCKED)
		log_error(m->log, "fuse: %s: inode %llu cannot be written any "
		    "more: %s", m->datastore, (unsigned long long)l->ino,
		    vmfs_strerror(rc));
	if (rc < 0)
		list_for_each(node, tmp, &l->handles)
			list_entry(node, struct handle, same)->claim = false;
	rc = adjust(l);
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
