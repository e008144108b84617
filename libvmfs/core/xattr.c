/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Extended attributes.  All of an inode are in one block; a change writes that
 * anew, in one transaction with the inode.
 */
#include <stdlib.h>

#include "libvmfs/core/xattr.h"

#define XATTR_BLOCKS 4u

/* ---- the list ---- */

static bool
is_named(const struct xattr *x, const char *name)
{
	return x->name_len == strlen(name) &&
	    memcmp(x->name, name, x->name_len) == 0;
}

/* *ret_at is where it stands. */
static int
list_find(const struct xattr_list *l, const char *name, size_t *ret_at,
    struct xattr *ret_x)
{
	size_t pos = 0;
	int r;

	for (*ret_at = 0; (r = xattr_next(l->data, l->used, &pos,
	    ret_x)) == 0; *ret_at = pos)
		if (is_named(ret_x, name))
			return 0;
	return r == -ENOENT ? -ENODATA : r;
}

static void
list_cut(struct xattr_list *l, size_t at, size_t size)
{
	memmove(l->data + at, l->data + at + size, l->used - at - size);
	l->used -= size;
	memset(l->data + l->used, 0, size);
}

static int
list_set(struct xattr_list *l, const struct xattr *new, unsigned flags)
{
	char name[XATTR_NAME_MAX + 1] = "";
	size_t size = xattr_size(new->name_len, new->value_len), old = 0, at;
	struct xattr x;
	int r;

	memcpy(name, new->name, new->name_len);
	r = list_find(l, name, &at, &x);
	if (r != 0 && r != -ENODATA)
		return r;
	if (r == 0 && (flags & FS_XATTR_CREATE))
		return -EEXIST;
	if (r == -ENODATA && (flags & FS_XATTR_REPLACE))
		return -ENODATA;
	if (r == 0)
		old = xattr_size(x.name_len, x.value_len);
	if (size > XATTR_ROOM)
		return -E2BIG;
	if (size > XATTR_ROOM - (l->used - old))
		return -ENOSPC;
	if (old > 0)
		list_cut(l, at, old);
	xattr_put(l->data, l->used, new);
	l->used += size;
	return 0;
}

static int
list_remove(struct xattr_list *l, const char *name)
{
	struct xattr x;
	size_t at;
	int r;

	r = list_find(l, name, &at, &x);
	if (r == 0)
		list_cut(l, at, xattr_size(x.name_len, x.value_len));
	return r;
}

/* ---- blocks ---- */

static int
list_load(struct inode *ip, bool locked, const struct inode_info *info,
    struct xattr_list *ret_l)
{
	const struct xattr_disk *d;
	struct nref n;
	int r;

	*ret_l = (struct xattr_list){ .used = 0 };
	if (info->xattr == 0)
		return 0;
	r = node_get(ip, locked, info->xattr, BLOCK_XATTR, UINT32_MAX, &n);
	if (r != 0)
		return r;
	r = xattr_check(n.data);
	if (r == 0) {
		d = (const void *)n.data;
		ret_l->used = le16_get(d->used);
		memcpy(ret_l->data, d->data, ret_l->used);
	}
	node_put(&n);
	return r;
}

static void
block_fill(struct txn *t, struct mblk *b, const struct xattr_list *l)
{
	struct xattr_disk *d = (void *)b->data;

	d->used = le16((uint16_t)l->used);
	memcpy(d->data, l->data, sizeof(d->data));
	mb_dirty(t, b, sizeof(d->hdr), BLOCK_SIZE - sizeof(d->hdr));
}

int
xattr_make(struct txn *t, const struct lock_grant *g,
    const struct xattr_list *l, uint64_t *ret_block)
{
	struct mblk *b;
	uint64_t block;
	int r;

	r = alloc_meta(t, g->addr, BLOCK_XATTR, &block);
	if (r != 0)
		return r;
	r = mb_new(t, g, block, BLOCK_XATTR, &b);
	if (r != 0) {
		int e = meta_free(t, block);

		return e != 0 ? e : r;
	}
	block_fill(t, b, l);
	mb_put(b);
	*ret_block = block;
	return 0;
}

static int
list_store_in(struct txn *t, struct inode *ip, const struct xattr_list *l)
{
	struct mblk *b;
	int r;

	if (l->used == 0 && ip->info.xattr != 0) {
		r = meta_free(t, ip->info.xattr);
		if (r == 0)
			ip->info.xattr = 0;
	} else if (l->used == 0) {
		r = 0;
	} else if (ip->info.xattr == 0) {
		r = xattr_make(t, &ip->grant, l, &ip->info.xattr);
	} else {
		r = mb_read(ip->fs->ds, &ip->grant, ip->info.xattr,
		    BLOCK_XATTR, &b);
		if (r == 0) {
			block_fill(t, b, l);
			mb_put(b);
		}
	}
	if (r != 0)
		return r;
	ip->info.ctime_ns = fs_now_ns(ip->fs);
	r = inode_store(t, ip);
	if (r == 0)
		fs_noted(ip->fs, 0);
	return r;
}

static int
list_store(struct inode *ip, const struct xattr_list *l)
{
	struct txn *t;
	int r;

	r = txn_begin(ip->fs->ds, XATTR_BLOCKS, &t);
	if (r != 0)
		return r;
	r = list_store_in(t, ip, l);
	txn_end(t);
	return r;
}

int
xattr_free(struct inode *ip)
{
	const struct xattr_list none = { .used = 0 };

	return ip->info.xattr != 0 ? list_store(ip, &none) : 0;
}

int
xattr_strip(struct inode *ip, const char *name)
{
	cleanup_free struct xattr_list *l = NULL;
	int r = 0;

	if (ip->info.xattr == 0)
		return 0;
	l = malloc(sizeof(*l));
	if (l == NULL)
		return -ENOMEM;
	/* Mostly it is not there, which is seen beside other writers. */
	fiber_rwlock_rdlock(&ip->content);
	r = list_load(ip, true, &ip->info, l);
	fiber_rwlock_unlock(&ip->content);
	if (r == 0)
		r = list_remove(l, name);
	if (r != 0)
		return r == -ENODATA ? 0 : r;
	content_lock(ip);
	r = list_load(ip, true, &ip->info, l);
	if (r == 0)
		r = list_remove(l, name);
	if (r == 0)
		r = list_store(ip, l);
	content_unlock(ip);
	return r == -ENODATA ? 0 : r;
}

/* ---- readers ---- */

int
xattr_load(struct fs *fs, uint64_t ino, struct xattr_list *ret_l)
{
	struct reader rd;
	struct inode *ip;
	int r;

	r = inode_ref(fs, ino, &ip);
	if (r != 0)
		return r;
	reader_init(&rd, ip);
	rd.content = true;
	while ((r = reader_begin(&rd)) == 0) {
		if (rd.locked)
			fiber_rwlock_rdlock(&ip->content);
		r = list_load(ip, rd.locked, rd.locked ? &ip->info : &rd.info,
		    ret_l);
		if (rd.locked)
			fiber_rwlock_unlock(&ip->content);
		if (!reader_again(&rd, &r))
			break;
	}
	inode_unref(ip);
	return r;
}

/* user.x, trusted.x, security.x; access lists are none of them. */
static int
name_is_possible(const struct fs *fs, const char *name)
{
	static const char *const spaces[] = { "user.", "trusted.",
	    "security." };
	size_t len = strlen(name);

	if (len > XATTR_NAME_MAX)
		return -ERANGE;
	for (unsigned i = 0; i < 3; i++)
		if (strncmp(name, spaces[i], strlen(spaces[i])) == 0)
			return len == strlen(spaces[i]) ? -EINVAL :
			    fs_has_attrs(fs) ? 0 : -EOPNOTSUPP;
	return -EOPNOTSUPP;
}

int
fs_xattr_get(struct fs *fs, uint64_t ino, const char *name, void *buf,
    size_t size, size_t *ret_len)
{
	cleanup_free struct xattr_list *l = malloc(sizeof(*l));
	struct xattr x;
	size_t at;
	int r;

	if (l == NULL)
		return -ENOMEM;
	r = name_is_possible(fs, name);
	if (r == 0)
		r = xattr_load(fs, ino, l);
	if (r == 0)
		r = list_find(l, name, &at, &x);
	if (r != 0)
		return r;
	if (size != 0 && size < x.value_len)
		return -ERANGE;
	if (size != 0)
		memcpy(buf, x.value, x.value_len);
	*ret_len = x.value_len;
	return 0;
}

int
fs_xattr_list(struct fs *fs, uint64_t ino,
    bool (*fn)(void *arg, const char *name), void *arg)
{
	cleanup_free struct xattr_list *l = malloc(sizeof(*l));
	char name[XATTR_NAME_MAX + 1];
	struct xattr x;
	size_t pos = 0;
	int r;

	if (l == NULL)
		return -ENOMEM;
	r = xattr_load(fs, ino, l);
	while (r == 0) {
		r = xattr_next(l->data, l->used, &pos, &x);
		if (r != 0)
			break;
		memcpy(name, x.name, x.name_len);
		name[x.name_len] = '\0';
		if (!fn(arg, name))
			break;
	}
	return r == -ENOENT ? 0 : r;
}

/* ---- changes ---- */

struct edit {
	struct xattr x;		/* value NULL: remove it */
	unsigned flags;
	uint32_t generation;
};

static int
edit_held(struct inode *ip, const struct edit *e)
{
	cleanup_free struct xattr_list *l = malloc(sizeof(*l));
	int r = inode_is_meant(&ip->info, e->generation);

	if (l == NULL)
		return -ENOMEM;
	if (r == 0 && ip->info.nlink == 0)
		r = -ENOENT;
	if (r == 0)
		r = list_load(ip, true, &ip->info, l);
	if (r == 0)
		r = e->x.value == NULL ? list_remove(l, e->x.name) :
		    list_set(l, &e->x, e->flags);
	return r != 0 ? r : list_store(ip, l);
}

static int
edit(struct fs *fs, uint64_t ino, const struct edit *e,
    struct lock_holder *holder)
{
	struct fs_attr a;
	struct inode *ip;
	int r;

	r = fs_writable(fs);
	if (r == 0)
		r = name_is_possible(fs, e->x.name);
	if (r == 0)
		r = fs_getattr(fs, ino, &a);
	if (r == 0 && a.type == INODE_SNAPSHOT)
		r = -EROFS;
	if (r == 0 && e->x.value != NULL)
		r = alloc_reserve(fs->ds, 0, 2);
	if (r != 0 && r != -ENOSPC)
		return r;
	r = inode_take(fs, ino, LOCK_EXCLUSIVE, a.type == INODE_DIR, &ip,
	    holder);
	if (r != 0)
		return r;
	content_lock(ip);
	r = edit_held(ip, e);
	/* Writes may have something to take away now. */
	fast_forget(ip);
	content_unlock(ip);
	return inode_give(ip, LOCK_EXCLUSIVE, r);
}

int
fs_xattr_set(struct fs *fs, uint64_t ino, uint32_t generation,
    const char *name, const void *value, size_t len, unsigned flags,
    struct lock_holder *ret_holder)
{
	const struct edit e = {
		.x = { .name = name, .name_len = strlen(name),
			.value = len > 0 ? value : (const uint8_t *)"",
			.value_len = len },
		.flags = flags, .generation = generation,
	};

	return len > XATTR_ROOM ? -E2BIG : edit(fs, ino, &e, ret_holder);
}

int
fs_xattr_remove(struct fs *fs, uint64_t ino, uint32_t generation,
    const char *name, struct lock_holder *ret_holder)
{
	const struct edit e = {
		.x = { .name = name }, .generation = generation,
	};

	return edit(fs, ino, &e, ret_holder);
}
