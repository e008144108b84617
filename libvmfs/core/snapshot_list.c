/* SPDX-License-Identifier: BSD-2-Clause */
/* Snapshots as they are listed and found by name. */
#include <stdlib.h>

#include "libvmfs/core/fs_impl.h"

bool
snapshot_possible(enum inode_type type)
{
	return type == INODE_DISK || type == INODE_FILE;
}

void
snapshot_tell(const struct inode *ip, const struct snaptab_entry_disk *e,
    struct fs_snapshot *ret_s)
{
	*ret_s = (struct fs_snapshot){
		.ino = le64_get(e->ino),
		.id = le32_get(e->id),
		.created_us = le64_get(e->created_us),
		.is_head_base = ip->info.base_snapshot == le64_get(e->ino),
	};
	memcpy(ret_s->name, e->name, SNAPTAB_NAME_MAX);
}

struct snap_list {
	struct inode *ip;
	struct snaptab_entry_disk *e;
	unsigned count;
	int error;
};

static bool
list_collect(void *arg, const struct snaptab_entry_disk *e)
{
	struct snap_list *l = arg;
	struct snaptab_entry_disk *grown;

	if (le32_get(e->flags) & SNAPTAB_DELETING)
		return false;
	grown = (l->count & (l->count - 1)) != 0 ? l->e :
	    reallocarray(l->e, l->count == 0 ? 1 : 2 * (size_t)l->count,
	    sizeof(*grown));
	if (grown == NULL) {
		l->error = -ENOMEM;
		return true;
	}
	grown[l->count++] = *e;
	l->e = grown;
	return false;
}

static int
entry_order(const void *a, const void *b)
{
	const struct snaptab_entry_disk *x = a, *y = b;

	return le32_get(x->id) < le32_get(y->id) ? -1 : 1;
}

static int
snap_describe(struct inode *ip, const struct snaptab_entry_disk *e,
    struct fs_snapshot *ret_s)
{
	cleanup_free uint8_t *buf = disk_buf_alloc(BLOCK_SIZE);
	uint64_t ino = le64_get(e->ino);
	struct inode_info info;
	struct kin *k, *parent;
	int r;

	if (buf == NULL)
		return -ENOMEM;
	r = block_read_unlocked(ip->fs->ds, ino, BLOCK_INODE, ino, buf);
	if (r == 0)
		r = inode_decode(buf, &info);
	if (r != 0)
		return r;
	snapshot_tell(ip, e, ret_s);
	ret_s->size = info.size;
	ret_s->allocated = info.chunks * CHUNK_SIZE;
	ret_s->clones = info.clones;
	k = kin_find(ip, ino);
	if (k != NULL && !k->loaded) {
		k->root = info.map;
		k->loaded = true;
	}
	parent = kin_find(ip, le64_get(e->parent));
	ret_s->parent_id = parent != NULL ? parent->id : 0;
	return map_prune(ip, ino, &info.map, NULL, &ret_s->alone_bytes);
}

struct snap_array {
	struct fs_snapshot *s;	/* the caller frees */
	unsigned count;
};

/* All snapshots of a disk, by id. */
static int
list_get(struct inode *ip, void *arg, struct snap_array *ret)
{
	struct snap_list l = { .ip = ip };
	struct fs_snapshot *s;
	int r;

	(void)arg;
	if (!snapshot_possible(ip->info.type))
		return -EINVAL;
	r = kin_load(ip);
	if (r == 0)
		r = snaptab_each(ip, list_collect, &l);
	if (r == 0)
		r = l.error;
	s = calloc((size_t)l.count + 1, sizeof(*s));
	if (r == 0 && s == NULL)
		r = -ENOMEM;
	if (l.count > 1)
		qsort(l.e, l.count, sizeof(*l.e), entry_order);
	for (unsigned i = 0; i < l.count && r == 0; i++)
		r = snap_describe(ip, &l.e[i], &s[i]);
	free(l.e);
	if (r != 0) {
		free(s);
		return r;
	}
	*ret = (struct snap_array){ s, l.count };
	return 0;
}

/* Nobody here has the disk: read with an inode of our own. */
static int
read_unlocked(struct fs *fs, uint64_t ino, int (*get)(struct inode *ip,
    void *arg, struct snap_array *ret), void *arg, struct snap_array *ret)
{
	struct snap_array a = { 0 };
	struct reader rd;
	struct inode *ip;
	int r;

	r = inode_private(fs, ino, &ip);
	if (r != 0)
		return r;
	reader_init(&rd, ip);
	while ((r = reader_begin(&rd)) == 0) {
		free(a.s);
		a = (struct snap_array){ 0 };
		kin_forget(ip);
		ip->info = rd.info;
		r = get(ip, arg, &a);
		if (!reader_again(&rd, &r))
			break;
	}
	inode_unref(ip);
	if (r != 0) {
		free(a.s);
		return r;
	}
	*ret = a;
	return 0;
}

static int
read_any(struct fs *fs, uint64_t ino, int (*get)(struct inode *ip,
    void *arg, struct snap_array *ret), void *arg, struct snap_array *ret)
{
	struct inode *ip;
	int r;

	r = inode_ref(fs, ino, &ip);
	if (r != 0)
		return r;
	if (inode_share(ip)) {
		fiber_mutex_lock(&ip->look);
		r = get(ip, arg, ret);
		fiber_mutex_unlock(&ip->look);
		return inode_give(ip, LOCK_SHARED, r);
	}
	inode_unref(ip);
	return read_unlocked(fs, ino, get, arg, ret);
}

int
fs_snapshot_list(struct fs *fs, uint64_t ino,
    bool (*fn)(void *arg, const struct fs_snapshot *s), void *arg)
{
	struct snap_array a = { 0 };
	int r;

	r = read_any(fs, ino, list_get, NULL, &a);
	for (unsigned i = 0; r == 0 && i < a.count && fn(arg, &a.s[i]); i++)
		continue;
	free(a.s);
	return r;
}

struct snap_want {
	const char *name;
	uint32_t id;		/* 0: by name */
	struct snaptab_entry_disk e;
	bool found;
};

static bool
find_match(void *arg, const struct snaptab_entry_disk *e)
{
	struct snap_want *w = arg;

	if (le32_get(e->flags) & SNAPTAB_DELETING)
		return false;
	w->found = w->id != 0 ? le32_get(e->id) == w->id :
	    strncmp((const char *)e->name, w->name, SNAPTAB_NAME_MAX) == 0;
	if (w->found)
		w->e = *e;
	return w->found;
}

/* The one that arg (struct snap_want) asks for. */
static int
find_get(struct inode *ip, void *arg, struct snap_array *ret)
{
	struct snap_want *w = arg;
	struct fs_snapshot *s;
	int r;

	w->found = false;
	if (!snapshot_possible(ip->info.type))
		return -EINVAL;
	r = kin_load(ip);
	if (r == 0)
		r = snaptab_each(ip, find_match, w);
	if (r == 0 && !w->found)
		r = -ENOENT;
	if (r != 0)
		return r;
	s = calloc(1, sizeof(*s));
	if (s == NULL)
		return -ENOMEM;
	r = snap_describe(ip, &w->e, s);
	if (r != 0) {
		free(s);
		return r;
	}
	*ret = (struct snap_array){ s, 1 };
	return 0;
}

int
fs_snapshot_find(struct fs *fs, uint64_t ino, const char *name,
    struct fs_snapshot *ret_s)
{
	struct snap_want w = { .name = name };
	struct snap_array a = { 0 };
	unsigned long id;
	char *end;
	int r;

	if (name[0] == '#') {
		id = strtoul(name + 1, &end, 10);
		if (end == name + 1 || *end != '\0' || id == 0 ||
		    id > UINT32_MAX)
			return -ENOENT;
		w.id = (uint32_t)id;
	}
	r = read_any(fs, ino, find_get, &w, &a);
	if (r == 0)
		*ret_s = a.s[0];
	free(a.s);
	return r;
}

static int
pending_get(struct inode *ip, void *arg, struct snap_array *ret)
{
	int r = snapshot_possible(ip->info.type) ? kin_load(ip) : -EINVAL;

	(void)arg;
	ret->count = 0;
	for (unsigned i = 0; i < ip->n_kin && r == 0; i++)
		ret->count += (ip->kin[i].flags & SNAPTAB_DELETING) != 0 ||
		    snapshot_idle_copy(ip, &ip->kin[i]);
	return r;
}

int
fs_snapshot_pending(struct fs *fs, uint64_t ino, unsigned *ret_count)
{
	struct snap_array a = { 0 };
	int r = read_any(fs, ino, pending_get, NULL, &a);

	if (r == 0)
		*ret_count = a.count;
	return r;
}

static int
held_get(struct inode *ip, void *arg, struct snap_array *ret)
{
	uint64_t *chunks = arg;

	(void)ret;
	return snapshot_possible(ip->info.type) ? map_held(ip, chunks) :
	    -EINVAL;
}

int
fs_held(struct fs *fs, uint64_t ino, uint64_t *ret_bytes)
{
	struct snap_array none = { 0 };
	uint64_t chunks;
	int r = read_any(fs, ino, held_get, &chunks, &none);

	if (r == 0)
		*ret_bytes = chunks * CHUNK_SIZE;
	return r;
}
