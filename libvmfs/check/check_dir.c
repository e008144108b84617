/* SPDX-License-Identifier: BSD-2-Clause */
/* Directories: every block sound, every entry names what it says. */
#include <stdlib.h>
#include <string.h>

#include "libvmfs/base/cleanup.h"
#include "libvmfs/check/check_priv.h"
#include "libvmfs/format/dirent.h"

struct dir_walk {
	struct check_walk *w;
	const struct check_todo *t;	/* the directory */
	uint32_t seed, entries, subdirs;
};

/* Does the name belong where it stands? */
static bool
name_fits(const struct dir_walk *d, const struct dirent *e,
    const struct dir_leaf_disk *l)
{
	uint32_t hash = dirent_hash(d->seed, e->name, e->name_len);

	return l == NULL || l->prefix_bits == 0 ||
	    (hash ^ le32_get(l->prefix)) >> (32 - l->prefix_bits) == 0;
}

static int
dir_entry(struct dir_walk *d, uint64_t block, const struct dirent *e)
{
	struct check *c = d->w->c;
	struct check_ino *n = check_ino_get(c, e->ino);
	struct check_todo proto = {
		.ino = e->ino, .generation = e->generation,
		.type = (enum inode_type)e->type, .dir = d->t->ino,
		.holder = block,
	};

	if (n == NULL)
		return -ENOMEM;
	n->names++;
	d->entries++;
	d->subdirs += e->type == INODE_DIR;
	return check_walk_add(d->w, d->t->path, e->name, e->name_len, &proto);
}

/* Bytes [at, end) go. */
static void
list_cut(uint8_t *data, size_t *used, size_t at, size_t end)
{
	memmove(data + at, data + end, *used - end);
	memset(data + *used - (end - at), 0, end - at);
	*used -= end - at;
}

/*
 * Packed entries of the inode (l NULL) or of a leaf; *used is where sense
 * ends, *ret_changed when something behind it was cut off.
 */
static int
check_dir_entries(struct dir_walk *d, uint64_t block, uint8_t *data,
    size_t *used, const struct dir_leaf_disk *l, bool *ret_changed)
{
	struct check *c = d->w->c;
	size_t pos = 0, at = 0;
	struct dirent e;
	int rc;

	for (; (rc = dirent_next(data, *used, &pos, &e)) == 0; at = pos) {
		bool fits = name_fits(d, &e, l);

		if (!fits)
			check_report(c, CHECK_DIR_ENTRY, CHECK_DAMAGE, block,
			    c->conf->repair, "a name in directory %s stands "
			    "where nobody looks for it: %.*s", d->t->path,
			    (int)e.name_len, e.name);
		if (!fits && c->conf->repair) {
			list_cut(data, used, at, pos);
			pos = at;
			*ret_changed = true;
			continue;
		}
		rc = dir_entry(d, block, &e);
		if (rc != 0)
			return rc;
	}
	if (rc != -VMFS_ECORRUPT)
		return 0;
	check_report(c, CHECK_DIR, CHECK_DAMAGE, block, c->conf->repair,
	    "the entries of directory %s in block %llu make no sense from "
	    "byte %zu on", d->t->path, (unsigned long long)block, pos);
	if (c->conf->repair) {
		memset(data + pos, 0, *used - pos);
		*used = pos;
		*ret_changed = true;
	}
	return 0;
}

/* 1: the caller takes the pointer to it away. */
static int
check_dir_damaged(struct dir_walk *d, uint64_t block)
{
	check_report(d->w->c, CHECK_DIR, CHECK_DAMAGE, block,
	    d->w->c->conf->repair, "block %llu of directory %s is damaged: "
	    "the names in it are lost", (unsigned long long)block,
	    d->t->path);
	return 1;
}

/* Where a block stands in the tree. */
struct dir_place {
	unsigned depth;		/* 4: in a chain of leaves */
	uint32_t prefix;	/* hash bits that led here */
};

static int check_dir_child(struct dir_walk *d, uint64_t block,
    const struct dir_place *at);

static void
node_ahead(struct check *c, const struct dir_node_disk *n)
{
	uint64_t blocks[DIR_NODE_FANOUT], before = 0;
	unsigned k = 0;

	for (unsigned i = 0; i < DIR_NODE_FANOUT; i++) {
		uint64_t child = le64_get(n->child[i]);

		if (child != before)
			blocks[k++] = child;
		before = child;
	}
	check_read_ahead(c, blocks, k);
}

static int
check_dir_node(struct dir_walk *d, uint64_t block, const struct dir_place *at,
    struct dir_node_disk *n)
{
	struct dir_place below = { .depth = at->depth + 1 };
	bool changed = false;
	uint64_t before = 0;
	int rc = 0;

	if (at->depth > 3 || n->depth != at->depth ||
	    le32_get(n->prefix) != at->prefix)
		return check_dir_damaged(d, block);
	node_ahead(d->w->c, n);
	/* Neighbours that share a leaf follow each other. */
	for (unsigned i = 0; i < DIR_NODE_FANOUT && rc >= 0; i++) {
		uint64_t child = le64_get(n->child[i]);

		below.prefix = at->prefix | i << (24 - 8 * at->depth);
		if (child != 0 && child != before)
			rc = check_dir_child(d, child, &below);
		before = child;
		if (rc != 1 || !d->w->c->conf->repair)
			continue;
		for (unsigned k = i; k < DIR_NODE_FANOUT; k++)
			if (le64_get(n->child[k]) == child)
				n->child[k] = le64(0);
		before = 0;
		changed = true;
		rc = 0;
	}
	if (rc < 0)
		return rc;
	return changed ? check_rewrite(d->w->c, block, BLOCK_DIR_NODE, n) : 0;
}

/* A leaf serves as many children of its node as its prefix leaves open. */
static bool
leaf_fits(const struct dir_leaf_disk *l, const struct dir_place *at)
{
	unsigned bits = l->prefix_bits < 8 * at->depth ? l->prefix_bits :
	    8 * at->depth;

	if (l->prefix_bits > 32 || l->prefix_bits + 8u < 8 * at->depth ||
	    (at->depth == 4 ? 0 : l->prefix_bits > 8 * at->depth))
		return false;
	return bits == 0 ||
	    (le32_get(l->prefix) ^ at->prefix) >> (32 - bits) == 0;
}

/* 1: it is of another directory, and goes. */
static int
check_dir_owner(struct dir_walk *d, uint64_t block, enum block_type type,
    uint8_t *buf)
{
	struct block_hdr_disk *h = (void *)buf;
	uint64_t owner = le64_get(h->owner);
	struct check *c = d->w->c;

	if (owner == d->t->ino)
		return 0;
	if (check_inode_exists(c, owner))
		return check_dir_damaged(d, block);
	check_report(c, CHECK_DIR, CHECK_HARMLESS, block, c->conf->repair,
	    "block %llu of directory %s says that it is of inode %llu, which "
	    "does not exist", (unsigned long long)block, d->t->path,
	    (unsigned long long)owner);
	if (!c->conf->repair)
		return 0;
	h->owner = le64(d->t->ino);
	return check_rewrite(c, block, type, buf);
}

/* Reads a block.  1: it is not part of the directory. */
static int
check_dir_block(struct dir_walk *d, uint64_t block, uint8_t *buf,
    enum block_type *ret_type)
{
	const struct block_hdr_disk *h = (const void *)buf;
	enum block_type type;
	int rc;

	rc = check_block(d->w->c, block, 0, buf);
	if (rc == -VMFS_ECORRUPT)
		return check_dir_damaged(d, block);
	if (rc != 0)
		return rc;
	type = (enum block_type)le16_get(h->type);
	if (type != BLOCK_DIR_NODE && type != BLOCK_DIR_LEAF)
		return check_dir_damaged(d, block);
	rc = check_dir_owner(d, block, type, buf);
	if (rc != 0)
		return rc;
	*ret_type = type;
	switch (check_mark_meta(d->w->c, block, type, d->t->path)) {
	case MARK_NEW:
		break;
	case MARK_NOWHERE:
		return check_dir_damaged(d, block);
	case MARK_AGAIN:
		check_report(d->w->c, CHECK_DIR, CHECK_DAMAGE, block,
		    d->w->c->conf->repair, "block %llu of directory %s is used "
		    "twice", (unsigned long long)block, d->t->path);
		return 1;
	}
	return 0;
}

static bool
leaf_sound(const struct dir_leaf_disk *l, const struct dir_place *at)
{
	return le16_get(l->used) <= sizeof(l->data) && at->depth > 0 &&
	    leaf_fits(l, at) && (le64_get(l->next) == 0 ||
	    l->prefix_bits == 32);
}

/* The leaf behind another one.  1: it is not part of the directory. */
static int
chain_next(struct dir_walk *d, uint64_t block, uint32_t prefix, uint8_t *buf)
{
	const struct dir_place at = { .depth = 4, .prefix = prefix };
	enum block_type type;
	int rc;

	rc = check_dir_block(d, block, buf, &type);
	if (rc == 0 && (type != BLOCK_DIR_LEAF ||
	    !leaf_sound((const void *)buf, &at)))
		rc = check_dir_damaged(d, block);
	return rc;
}

/* What is in a leaf; *ret_next is what the caller goes on with, in `behind`. */
static int
check_dir_leaf(struct dir_walk *d, uint64_t block, uint32_t prefix,
    struct dir_leaf_disk *l, uint8_t *behind, uint64_t *ret_next)
{
	uint64_t next = le64_get(l->next);
	size_t used = le16_get(l->used);
	bool changed = false;
	int rc;

	rc = check_dir_entries(d, block, l->data, &used, l, &changed);
	l->used = le16((uint16_t)used);
	if (rc == 0 && next != 0)
		rc = chain_next(d, next, prefix, behind);
	*ret_next = rc == 0 ? next : 0;
	if (rc == 1 && d->w->c->conf->repair) {
		l->next = le64(0);
		changed = true;
	}
	if (rc < 0)
		return rc;
	return changed ? check_rewrite(d->w->c, block, BLOCK_DIR_LEAF, l) : 0;
}

/* A loop: who may make files makes chains of any length. */
static int
check_dir_chain(struct dir_walk *d, uint64_t block, const struct dir_place *at,
    uint8_t *leaf)
{
	cleanup_free uint8_t *other = disk_buf_alloc(BLOCK_SIZE);
	uint8_t *behind = other;
	int rc = 0;

	if (other == NULL)
		return -ENOMEM;
	if (!leaf_sound((const void *)leaf, at))
		return check_dir_damaged(d, block);
	while (block != 0 && rc == 0) {
		uint8_t *l = leaf;

		rc = check_dir_leaf(d, block, at->prefix, (void *)l, behind,
		    &block);
		leaf = behind;
		behind = l;
	}
	return rc;
}

/* 1: it is not part of the directory. */
static int
check_dir_child(struct dir_walk *d, uint64_t block,
    const struct dir_place *at)
{
	cleanup_free uint8_t *buf = disk_buf_alloc(BLOCK_SIZE);
	enum block_type type;
	int rc;

	if (buf == NULL)
		return -ENOMEM;
	rc = check_dir_block(d, block, buf, &type);
	if (rc != 0)
		return rc;
	return type == BLOCK_DIR_NODE ?
	    check_dir_node(d, block, at, (void *)buf) :
	    check_dir_chain(d, block, at, buf);
}

static void
check_dir_counts(struct dir_walk *d, struct inode_info *i, bool *changed)
{
	struct check *c = d->w->c;

	if (d->entries != i->dir_entries) {
		check_report(c, CHECK_DIR, CHECK_HARMLESS, d->t->ino,
		    c->conf->repair, "directory %s counts %u entries, has %u",
		    d->t->path, i->dir_entries, d->entries);
		i->dir_entries = d->entries;
		*changed = true;
	}
	if (i->nlink != 0 && i->nlink != 2 + d->subdirs) {
		check_report(c, CHECK_NLINK, CHECK_HARMLESS, d->t->ino,
		    c->conf->repair, "directory %s counts %u links, has %u",
		    d->t->path, i->nlink, 2 + d->subdirs);
		i->nlink = 2 + d->subdirs;
		*changed = true;
	}
}

int
check_dir(struct check_walk *w, uint8_t *block, struct inode_info *i,
    const struct check_todo *t)
{
	struct inode_disk *in = (void *)block;
	struct dir_walk d = { .w = w, .t = t, .seed = i->dir_seed };
	const struct dir_place top = { .depth = 0 };
	size_t used = i->inline_size;
	bool changed = false;
	int rc;

	if (i->dir_root == 0) {
		rc = check_dir_entries(&d, t->ino, in->inline_data, &used,
		    NULL, &changed);
		i->inline_size = (unsigned)used;
	} else {
		rc = check_dir_child(&d, i->dir_root, &top);
		if (rc == 1) {
			i->dir_root = 0;
			i->inline_size = 0;
			changed = true;
			rc = 0;
		}
	}
	if (rc != 0)
		return rc;
	check_dir_counts(&d, i, &changed);
	return changed && w->c->conf->repair ?
	    check_inode_put(w->c, t->ino, block, i) : 0;
}

/* ---- taking an entry away ---- */

static bool
entry_cut(uint8_t *data, size_t *used, const struct check_todo *t)
{
	const char *name = strrchr(t->path, '/');
	size_t pos = 0, at = 0, len;
	struct dirent e;

	if (name == NULL)
		return false;
	len = strlen(++name);
	for (; dirent_next(data, *used, &pos, &e) == 0; at = pos) {
		if (e.ino != t->ino || e.name_len != len ||
		    memcmp(e.name, name, len) != 0)
			continue;
		list_cut(data, used, at, pos);
		return true;
	}
	return false;
}

static int
leaf_entry_drop(struct check *c, const struct check_todo *t, uint8_t *buf,
    bool *ret_done)
{
	struct dir_leaf_disk *l = (void *)buf;
	size_t used;
	int rc;

	rc = check_block(c, t->holder, BLOCK_DIR_LEAF, buf);
	if (rc != 0)
		return rc;
	used = le16_get(l->used);
	if (used > sizeof(l->data) || !entry_cut(l->data, &used, t))
		return 0;
	l->used = le16((uint16_t)used);
	*ret_done = true;
	return check_rewrite(c, t->holder, BLOCK_DIR_LEAF, buf);
}

/* A leaf that it leaves empty stays: the core is content with one. */
int
check_entry_drop(struct check *c, const struct check_todo *t)
{
	cleanup_free uint8_t *buf = disk_buf_alloc(BLOCK_SIZE);
	struct check_ino *n = check_ino_get(c, t->ino);
	struct inode_info i;
	bool done = false;
	size_t used;
	int rc = 0;

	if (buf == NULL || n == NULL)
		return -ENOMEM;
	if (t->holder != t->dir)
		rc = leaf_entry_drop(c, t, buf, &done);
	if (rc == 0)
		rc = check_block(c, t->dir, BLOCK_INODE, buf);
	if (rc == 0)
		rc = inode_decode(buf, &i);
	if (rc != 0)
		return rc == -VMFS_ECORRUPT ? 0 : rc;
	if (t->holder == t->dir) {
		used = i.inline_size;
		done = entry_cut(((struct inode_disk *)(void *)buf)->
		    inline_data, &used, t);
		i.inline_size = (unsigned)used;
	}
	if (!done)
		return 0;
	if (n->names > 0)
		n->names--;
	i.dir_entries--;
	if (t->type == INODE_DIR && i.nlink > 2)
		i.nlink--;
	return check_inode_put(c, t->dir, buf, &i);
}
