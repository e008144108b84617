/* SPDX-License-Identifier: BSD-2-Clause */
/* The upper half as a whole: open, close, space. */
#include <stdlib.h>

#include "libvmfs/base/units.h"
#include "libvmfs/core/fs_impl.h"

#define FEATURE_WAIT_NS (15 * NSEC_PER_SEC)
#define FEATURE_POLL_NS (100 * NSEC_PER_MSEC)

int
fs_open(struct ds *ds, struct fs **ret_fs)
{
	return fs_open_again(ds, NULL, NULL, ret_fs);
}

int
fs_open_again(struct ds *ds, bool (*is_open)(void *arg, uint64_t ino),
    void *arg, struct fs **ret_fs)
{
	struct fs *fs = calloc(1, sizeof(*fs));
	int r;

	if (fs == NULL)
		return -ENOMEM;
	fs->ds = ds;
	list_init(&fs->inodes);
	list_init(&fs->files);
	list_init(&fs->notings);
	fiber_cond_init(&fs->told);
	fs->pacer = pacer_new(ds_env(ds)->sched, 0);
	fs->turners.limit = CIPHER_TURNERS;
	if (fs->pacer == NULL) {
		free(fs);
		return -ENOMEM;
	}
	ds_on_damage(ds, fs_damage_owner, fs);
	r = ds_readonly(ds) ? 0 : fs_reap_orphans(fs, is_open, arg);
	if (r != 0) {
		fs_damage_end(fs);
		free(fs->damaged);
		pacer_free(fs->pacer);
		free(fs);
		return r;
	}
	*ret_fs = fs;
	return 0;
}

void
fs_note_begin(struct fs *fs, struct fs_noting *n, struct fs_note *note)
{
	n->fiber = fiber_self();
	n->note = note;
	list_init(&n->node);
	list_add_tail(&fs->notings, &n->node);
}

void
fs_note_end(struct fs_noting *n)
{
	list_del(&n->node);
}

void
fs_noted(struct fs *fs, uint64_t ino)
{
	list_for_each(node, tmp, &fs->notings) {
		struct fs_noting *n = list_entry(node, struct fs_noting, node);

		if (n->fiber != fiber_self())
			continue;
		n->note->ino = ino;
		n->note->lsn = ds_locks(fs->ds)->lsn;
	}
}

int
fs_close(struct fs *fs)
{
	int r = 0, e;

	while (!list_empty(&fs->files)) {
		e = fs_file_close(list_entry(fs->files.next, struct fs_file,
		    node));
		if (r == 0)
			r = e;
	}
	fs_damage_end(fs);
	/* Whatever is left was lost with its lock. */
	list_for_each(n, tmp, &fs->inodes) {
		struct inode *ip = list_entry(n, struct inode, node);

		ip->refs = 1;
		inode_unref(ip);
	}
	pacer_free(fs->pacer);
	free(fs->damaged);
	quota_reserved_forget(fs);
	free(fs);
	return r;
}

struct ds *
fs_ds(const struct fs *fs)
{
	return fs->ds;
}

uint64_t
fs_root(const struct fs *fs)
{
	return ds_super(fs->ds)->root_ino;
}

/* The quota is what there is, as long as the datastore has that much. */
static void
statfs_quota(const struct fs_quota *q, struct fs_statfs *s)
{
	uint64_t left = q->used < q->limit ? q->limit - q->used : 0;

	if (q->limit == 0)
		return;
	s->total_bytes = q->limit;
	if (left < s->free_bytes)
		s->free_bytes = left;
}

int
fs_statfs(struct fs *fs, uint64_t ino, struct fs_statfs *ret_s)
{
	struct fs_quota q = { .account = 0 };
	struct ds_space s;
	uint64_t others;
	int r;

	r = ds_space(fs->ds, &s);
	if (r == 0 && ino != 0)
		r = fs_quota_get(fs, ino, &q);
	if (r == 0 || r == -ENOENT)
		r = quota_reserved(fs, q.account, &others);
	if (r != 0)
		return r;
	if (others > s.free_bytes)
		others = s.free_bytes;
	/* Inodes come from free space as needed: no count is kept. */
	*ret_s = (struct fs_statfs){
		.total_bytes = s.total_bytes,
		.free_bytes = s.free_bytes - others,
		.reserved_bytes = others,
	};
	statfs_quota(&q, ret_s);
	return 0;
}

/* One at a time, of all hosts and of this one. */
static int
change_super(struct fs *fs, int (*fn)(struct ds *ds, void *arg), void *arg,
    struct lock_holder *ret_holder)
{
	struct inode *ip;
	int r;

	r = inode_take(fs, fs_root(fs), LOCK_EXCLUSIVE, true, &ip, ret_holder);
	if (r != 0)
		return r;
	content_lock(ip);
	r = fn(fs->ds, arg);
	content_unlock(ip);
	return inode_give(ip, LOCK_EXCLUSIVE, r);
}

static int
grow(struct ds *ds, void *arg)
{
	(void)arg;
	return ds_grow(ds);
}

int
fs_grow(struct fs *fs, struct lock_holder *ret_holder)
{
	return change_super(fs, grow, NULL, ret_holder);
}

struct label {
	const char *text;
};

static int
set_label(struct ds *ds, void *arg)
{
	return ds_set_label(ds, ((const struct label *)arg)->text);
}

int
fs_set_label(struct fs *fs, const char *label, struct lock_holder *ret_holder)
{
	struct label l = { label };

	return change_super(fs, set_label, &l, ret_holder);
}

struct features {
	uint64_t incompat, ro_compat;
};

static int
set_features(struct ds *ds, void *arg)
{
	const struct features *f = arg;

	return ds_set_features(ds, f->incompat, f->ro_compat);
}

int
fs_need_feature(struct fs *fs, uint64_t incompat, uint64_t ro_compat)
{
	struct features f = { incompat, ro_compat };
	const struct super *s = ds_super(fs->ds);
	struct env *env = ds_env(fs->ds);
	uint64_t deadline = env_now(env) + FEATURE_WAIT_NS;
	int r;

	if ((s->incompat & incompat) == incompat &&
	    (s->ro_compat & ro_compat) == ro_compat)
		return 0;
	/* Others see the change before in their next pulses. */
	for (;;) {
		r = change_super(fs, set_features, &f, NULL);
		if (r != -VMFS_EINUSE || env_now(env) >= deadline)
			return r;
		fiber_sleep(FEATURE_POLL_NS);
	}
}

struct further {
	struct disk *lun;	/* NULL: it is owned by the datastore now */
	const char *place;
	char *why;
};

static int
extent_add(struct ds *ds, void *arg)
{
	struct further *f = arg;
	struct disk *lun = f->lun;

	f->lun = NULL;
	return ds_extent_add(ds, lun, f->place, f->why);
}

int
fs_extent_add(struct fs *fs, struct disk *lun, const char *place, char *why,
    struct lock_holder *ret_holder)
{
	struct further f = { lun, place, why };
	int r = change_super(fs, extent_add, &f, ret_holder);

	disk_close(f.lun);
	return r;
}

struct leave {
	unsigned extent;
	bool leave;
};

static int
extent_leave(struct ds *ds, void *arg)
{
	const struct leave *l = arg;

	return ds_extent_leave(ds, l->extent, l->leave);
}

int
fs_extent_leave(struct fs *fs, unsigned i, bool leave,
    struct lock_holder *ret_holder)
{
	struct leave l = { i, leave };

	return change_super(fs, extent_leave, &l, ret_holder);
}

static int
extent_rm(struct ds *ds, void *arg)
{
	return ds_extent_rm(ds, *(const unsigned *)arg);
}

int
fs_extent_rm(struct fs *fs, unsigned i, struct lock_holder *ret_holder)
{
	return change_super(fs, extent_rm, &i, ret_holder);
}
