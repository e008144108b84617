/* SPDX-License-Identifier: BSD-2-Clause */
/* Names that go: unlink, rmdir, rename. */
#include "libvmfs/core/names_set.h"

#define NAME_BLOCKS 48u
#define NAME_META 12u
#define DEPTH_MAX 4096u
#define NAME_TRIES 8u

static void
dir_touch(struct inode *dip)
{
	dip->info.mtime_ns = dip->info.ctime_ns = fs_now_ns(dip->fs);
}

static int
unlink_txn(struct inode *dip, const char *name, struct victim *v)
{
	struct dir_slot *slot;
	struct txn *t;
	int r;

	/* Behind victim_unlink nothing may fail. */
	r = dir_hold(dip, name, &slot);
	if (r != 0)
		return r;
	r = txn_begin(dip->fs->ds, NAME_BLOCKS + v->n_snap, &t);
	if (r != 0)
		goto out;
	r = victim_unlink(t, v);
	if (r == 0)
		r = dir_remove(t, dip, name);
	if (r == 0) {
		if (v->ip != NULL && v->ip->info.type == INODE_DIR)
			dip->info.nlink--;
		dir_touch(dip);
		r = inode_store(t, dip);
	}
	if (r == 0)
		fs_noted(dip->fs, 0);
	txn_end(t);
out:
	dir_let_go(slot);
	return r;
}

static int
unlink_locked(struct inode *dip, const char *name, struct victim *v,
    struct lock_holder *holder)
{
	struct dirent e;
	int r;

	r = names_find(dip, name, &e);
	if (r == 0 && e.type == INODE_DIR)
		r = -EISDIR;
	if (r == 0)
		r = victim_take(dip->fs, &e, v, holder);
	if (r == -ESTALE)
		r = 0;		/* an entry without an inode goes alone */
	return r != 0 ? r : unlink_txn(dip, name, v);
}

/* The snapshots of what is about to lose its name. */
static int
victim_thin(struct fs *fs, const struct fs_attr *a, struct lock_holder *holder)
{
	if (a->snapshots <= VICTIM_SNAPSHOTS || a->nlink > 1)
		return 0;
	return snapshot_thin(fs, a->ino, VICTIM_SNAPSHOTS, NULL, holder);
}

static int
unlink_once(struct fs *fs, uint64_t dir, const char *name, bool wait,
    struct lock_holder *holder)
{
	struct names_set s = { 0 };
	struct victim v = { .wait = wait };
	int r;

	names_set_add(&s, dir);
	r = names_set_lock(&s, fs);
	if (r != 0)
		return r;
	r = unlink_locked(s.ip[0], name, &v, holder);
	r = names_set_unlock(&s, r);
	victim_finish(&v, r == 0);
	return r;
}

int
fs_unlink(struct fs *fs, uint64_t dir, const char *name,
    struct lock_holder *ret_holder)
{
	struct fs_attr a;
	int r;

	r = fs_writable(fs);
	if (r == 0)
		r = name_check(name);
	if (r == 0 && fs_lookup(fs, dir, name, &a) == 0)
		r = victim_thin(fs, &a, ret_holder);
	if (r == 0)
		r = -EAGAIN;
	for (unsigned i = 1; i <= NAME_TRIES && r == -EAGAIN; i++)
		r = unlink_once(fs, dir, name, i == NAME_TRIES, ret_holder);
	return r;
}

/* Entry of a name, before its locks are taken. */
static int
glance(struct fs *fs, uint64_t dir, const char *name, struct fs_attr *ret_a)
{
	int r = fs_lookup(fs, dir, name, ret_a);

	if (r == -ENOENT) {
		*ret_a = (struct fs_attr){ 0 };
		return 0;
	}
	return r;
}

int
fs_rmdir(struct fs *fs, uint64_t dir, const char *name)
{
	struct names_set s = { 0 };
	struct victim v = { 0 };
	struct fs_attr a;
	struct dirent e;
	int r;

	r = fs_writable(fs);
	if (r == 0)
		r = name_check(name);
	if (r == 0)
		r = fs_lookup(fs, dir, name, &a);
	if (r != 0)
		return r;
	if (a.type != INODE_DIR)
		return -ENOTDIR;
	names_set_add(&s, dir);
	names_set_add(&s, a.ino);
	r = names_set_lock(&s, fs);
	if (r != 0)
		return r;
	r = names_find(names_set_get(&s, dir), name, &e);
	if (r == 0 && e.ino != a.ino)
		r = -ENOENT;	/* it was replaced meanwhile */
	if (r == 0 && names_set_get(&s, a.ino)->info.dir_entries > 0)
		r = -ENOTEMPTY;
	if (r == 0 && names_set_get(&s, a.ino)->info.policy.held != 0)
		r = -EBUSY;
	if (r == 0)
		r = victim_take(fs, &e, &v, NULL);
	if (r == 0)
		r = unlink_txn(names_set_get(&s, dir), name, &v);
	r = names_set_unlock(&s, r);
	victim_finish(&v, r == 0);
	return r;
}

/* ---- rename ---- */

struct rename {
	struct fs *fs;
	uint64_t dir, new_dir;
	const char *name, *new_name;
	unsigned flags;
	struct lock_holder *holder;
	bool wait;			/* see struct victim */
	struct fs_attr from, to;	/* as seen before; ino 0: none */
	struct names_set s;
	struct victim v;
};

/* The directory `at` must not lie in the one that moves. */
static int
loop_check(struct rename *m, const struct fs_attr *moves, uint64_t at)
{
	struct reader rd;
	struct inode *ip;
	int r;

	if (moves->type != INODE_DIR || m->dir == m->new_dir)
		return 0;
	for (unsigned i = 0; i < DEPTH_MAX; i++) {
		if (at == moves->ino)
			return -EINVAL;
		if (at == fs_root(m->fs))
			return 0;
		r = inode_ref(m->fs, at, &ip);
		if (r != 0)
			return r;
		reader_init(&rd, ip);
		while ((r = reader_begin(&rd)) == 0) {
			at = rd.info.parent;
			if (!reader_again(&rd, &r))
				break;
		}
		inode_unref(ip);
		if (r != 0)
			return r;
	}
	return -ELOOP;
}

static int
types_check(struct rename *m)
{
	struct inode *old = names_set_get(&m->s, m->to.ino);

	if (m->to.ino == 0)
		return 0;
	if (m->flags & FS_RENAME_NOREPLACE)
		return -EEXIST;
	if (m->from.type == INODE_DIR && m->to.type != INODE_DIR)
		return -ENOTDIR;
	if (m->from.type != INODE_DIR && m->to.type == INODE_DIR)
		return -EISDIR;
	if (old != NULL && old->info.dir_entries > 0)
		return -ENOTEMPTY;
	return old != NULL && old->info.policy.held != 0 ? -EBUSY : 0;
}

/* What a file holds stays with the account that counts it. */
static int
quota_check(struct rename *m, const struct fs_attr *moved, uint64_t from,
    uint64_t to)
{
	uint64_t account = moved->own_account ? 0 : moved->account;
	uint64_t there = names_set_get(&m->s, to)->info.policy.account;

	if (account == there ||
	    names_set_get(&m->s, from)->info.policy.account == there)
		return 0;
	return -EXDEV;
}

static int
links_update(struct txn *t, struct rename *m, struct inode *dip,
    struct inode *ndip)
{
	struct inode *moved = names_set_get(&m->s, m->from.ino);
	int r = 0;

	if (m->from.type == INODE_DIR) {
		dip->info.nlink--;
		ndip->info.nlink++;
		if (m->to.ino != 0)
			ndip->info.nlink--;
	}
	if (moved != NULL && moved->info.parent != m->new_dir) {
		moved->info.parent = m->new_dir;
		r = inode_store(t, moved);
	}
	dir_touch(dip);
	dir_touch(ndip);
	if (r == 0)
		r = inode_store(t, dip);
	if (r == 0 && ndip != dip)
		r = inode_store(t, ndip);
	return r;
}

static int
rename_in(struct txn *t, struct rename *m, const struct dirent *e)
{
	struct inode *dip = names_set_get(&m->s, m->dir);
	struct inode *ndip = names_set_get(&m->s, m->new_dir);
	struct dirent n = *e;
	int r;

	n.name = m->new_name;
	n.name_len = strlen(m->new_name);
	r = victim_unlink(t, &m->v);
	if (r == 0 && m->to.ino != 0)
		r = dir_replace(t, ndip, m->new_name, &n);
	else if (r == 0)
		r = dir_insert(t, ndip, &n);
	if (r == 0)
		r = dir_remove(t, dip, m->name);
	if (r == 0)
		r = links_update(t, m, dip, ndip);
	return r;
}

/* The hosts that have it open find it by its name again. */
static int
shared_check(struct rename *m, const struct fs_attr *moves)
{
	struct lockops *l = ds_locks(m->fs->ds);
	struct lock_holder h;
	int r;

	if (!moves->multi_writer)
		return 0;
	r = l->vt->query(l, moves->ino, &h);
	if (r != 0 || h.mode == LOCK_FREE || h.state == HOLDER_DEAD)
		return r;
	if (m->holder != NULL)
		*m->holder = h;
	return -VMFS_ELOCKED;
}

/* ---- two names change places ---- */

static uint32_t
is_dir(const struct fs_attr *a)
{
	return a->type == INODE_DIR;
}

/* A directory that moves says where it is. */
static int
parent_store(struct txn *t, struct rename *m, const struct fs_attr *moves,
    uint64_t dir)
{
	struct inode *ip = names_set_get(&m->s, moves->ino);

	if (ip == NULL || ip->info.parent == dir)
		return 0;
	ip->info.parent = dir;
	return inode_store(t, ip);
}

static int
exchange_in(struct txn *t, struct rename *m, const struct dirent *e,
    const struct dirent *o)
{
	struct inode *dip = names_set_get(&m->s, m->dir);
	struct inode *ndip = names_set_get(&m->s, m->new_dir);
	int r;

	r = dir_replace(t, dip, m->name, o);
	if (r == 0)
		r = dir_replace(t, ndip, m->new_name, e);
	if (r == 0)
		r = parent_store(t, m, &m->from, m->new_dir);
	if (r == 0)
		r = parent_store(t, m, &m->to, m->dir);
	if (r != 0)
		return r;
	dip->info.nlink += is_dir(&m->to) - is_dir(&m->from);
	ndip->info.nlink += is_dir(&m->from) - is_dir(&m->to);
	dir_touch(dip);
	dir_touch(ndip);
	r = inode_store(t, dip);
	return r != 0 || ndip == dip ? r : inode_store(t, ndip);
}

/* Both names, as far as they are there, are in memory: what has begun ends. */
static int
names_hold(struct rename *m, struct dir_slot **ret_from,
    struct dir_slot **ret_to)
{
	struct dir_slot *from, *to = NULL;
	int r;

	r = dir_hold(names_set_get(&m->s, m->dir), m->name, &from);
	if (r != 0)
		return r;
	if (m->to.ino != 0)
		r = dir_hold(names_set_get(&m->s, m->new_dir), m->new_name,
		    &to);
	if (r != 0) {
		dir_let_go(from);
		return r;
	}
	*ret_from = from;
	*ret_to = to;
	return 0;
}

/* `o`: what changes places with e; NULL: e moves. */
static int
rename_txn(struct rename *m, const struct dirent *e, const struct dirent *o)
{
	struct dir_slot *from, *to;
	struct txn *t;
	int r;

	r = names_hold(m, &from, &to);
	if (r != 0)
		return r;
	r = txn_begin(m->fs->ds, NAME_BLOCKS + m->v.n_snap, &t);
	if (r == 0) {
		r = o != NULL ? exchange_in(t, m, e, o) : rename_in(t, m, e);
		if (r == 0)
			fs_noted(m->fs, 0);
		txn_end(t);
	}
	dir_let_go(from);
	dir_let_go(to);
	return r;
}

static int
exchange_locked(struct rename *m, const struct dirent *e,
    const struct dirent *o)
{
	int r;

	if (o->ino == 0)
		return -ENOENT;
	r = quota_check(m, &m->from, m->dir, m->new_dir);
	if (r == 0)
		r = quota_check(m, &m->to, m->new_dir, m->dir);
	if (r == 0)
		r = shared_check(m, &m->from);
	if (r == 0)
		r = shared_check(m, &m->to);
	if (r == 0)
		r = loop_check(m, &m->from, m->new_dir);
	if (r == 0)
		r = loop_check(m, &m->to, m->dir);
	return r != 0 ? r : rename_txn(m, e, o);
}

/* ---- one name moves ---- */

static int
names_match(struct rename *m, struct dirent *ret_from, struct dirent *ret_to)
{
	int r;

	r = names_find(names_set_get(&m->s, m->dir), m->name, ret_from);
	if (r == -ENOENT || (r == 0 && ret_from->ino != m->from.ino))
		return m->from.ino == 0 ? -ENOENT : -EAGAIN;
	if (r != 0)
		return r;
	if (names_set_get(&m->s, m->new_dir)->info.nlink == 0)
		return -ENOENT;
	r = names_find(names_set_get(&m->s, m->new_dir), m->new_name, ret_to);
	if (r != 0 && r != -ENOENT)
		return r;
	return ret_to->ino != m->to.ino ? -EAGAIN : 0;
}

/* -EAGAIN: not what was seen before the locks. */
static int
rename_locked(struct rename *m)
{
	struct dirent e, o = { 0 };
	int r;

	r = names_match(m, &e, &o);
	if (r != 0)
		return r;
	if (o.ino == e.ino)
		return m->flags & FS_RENAME_NOREPLACE ? -EEXIST : 0;
	if (m->flags & FS_RENAME_EXCHANGE)
		return exchange_locked(m, &e, &o);
	r = types_check(m);
	if (r == 0)
		r = quota_check(m, &m->from, m->dir, m->new_dir);
	if (r == 0)
		r = shared_check(m, &m->from);
	if (r == 0)
		r = loop_check(m, &m->from, m->new_dir);
	if (r == 0 && o.ino != 0)
		r = victim_take(m->fs, &o, &m->v, m->holder);
	if (r == -ESTALE)
		r = 0;
	return r != 0 ? r : rename_txn(m, &e, NULL);
}

static int
rename_once(struct rename *m)
{
	int r;

	m->s = (struct names_set){ 0 };
	m->v = (struct victim){ .wait = m->wait };
	r = fs_lookup(m->fs, m->dir, m->name, &m->from);
	if (r == 0)
		r = glance(m->fs, m->new_dir, m->new_name, &m->to);
	if (r == 0 && m->flags == 0)
		r = victim_thin(m->fs, &m->to, m->holder);
	if (r != 0)
		return r;
	names_set_add(&m->s, m->dir);
	names_set_add(&m->s, m->new_dir);
	if ((m->from.type == INODE_DIR || (m->to.type == INODE_DIR &&
	    (m->flags & FS_RENAME_EXCHANGE))) && m->dir != m->new_dir) {
		/* One such move at a time, or two could make a loop. */
		names_set_add(&m->s, fs_root(m->fs));
		if (m->from.type == INODE_DIR)
			names_set_add(&m->s, m->from.ino);
	}
	if (m->to.type == INODE_DIR)
		names_set_add(&m->s, m->to.ino);
	r = names_set_lock(&m->s, m->fs);
	if (r != 0)
		return r;
	r = rename_locked(m);
	r = names_set_unlock(&m->s, r);
	victim_finish(&m->v, r == 0);
	return r;
}

int
fs_rename(struct fs *fs, uint64_t dir, const char *name, uint64_t new_dir,
    const char *new_name, unsigned flags, struct lock_holder *ret_holder)
{
	struct rename m = {
		.fs = fs, .dir = dir, .new_dir = new_dir,
		.name = name, .new_name = new_name,
		.flags = flags, .holder = ret_holder,
	};
	int r;

	r = fs_writable(fs);
	if (r == 0 && flags == (FS_RENAME_NOREPLACE | FS_RENAME_EXCHANGE))
		r = -EINVAL;
	if (r == 0)
		r = name_check(name);
	if (r == 0)
		r = name_check(new_name);
	if (r == 0)
		r = alloc_reserve(fs->ds, 0, NAME_META);
	if (r != 0 && r != -ENOSPC)
		return r;
	for (unsigned i = 1; i <= NAME_TRIES; i++) {
		m.wait = i == NAME_TRIES;
		r = rename_once(&m);
		if (r != -EAGAIN)
			return r;
	}
	return -EBUSY;
}
