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
	uint32_t entries;
};

/* Packed entries of the inode or of a leaf. */
static int
check_dir_entries(struct dir_walk *d, uint64_t block, const uint8_t *data,
    size_t used)
{
	struct check *c = d->w->c;
	size_t pos = 0;
	struct dirent e;
	int rc;

	while ((rc = dirent_next(data, used, &pos, &e)) == 0) {
		struct check_todo proto = {
			.ino = e.ino, .generation = e.generation,
			.type = (enum inode_type)e.type,
		};
		struct check_ino *n = check_ino_get(c, e.ino);

		if (n == NULL)
			return -ENOMEM;
		n->names++;
		d->entries++;
		rc = check_walk_add(d->w, d->t->path, e.name, e.name_len,
		    &proto);
		if (rc != 0)
			return rc;
	}
	if (rc == -VMFS_ECORRUPT)
		check_report(c, CHECK_DIR, CHECK_DAMAGE, block, false,
		    "the entries of directory %s in block %llu make no sense "
		    "from byte %zu on", d->t->path, (unsigned long long)block,
		    pos);
	return 0;
}

static int
check_dir_damaged(struct dir_walk *d, uint64_t block)
{
	check_report(d->w->c, CHECK_DIR, CHECK_DAMAGE, block, false,
	    "block %llu of directory %s is damaged: the names in it are lost",
	    (unsigned long long)block, d->t->path);
	return 0;
}

static int check_dir_child(struct dir_walk *d, uint64_t block,
    unsigned depth);

static int
check_dir_node(struct dir_walk *d, uint64_t block, unsigned depth,
    const struct dir_node_disk *n)
{
	uint64_t before = 0;
	int rc = 0;

	if (depth > 3 || n->depth != depth)
		return check_dir_damaged(d, block);
	/* Neighbours that share a leaf follow each other. */
	for (unsigned i = 0; i < DIR_NODE_FANOUT && rc == 0; i++) {
		uint64_t child = le64_get(n->child[i]);

		if (child != 0 && child != before)
			rc = check_dir_child(d, child, depth + 1);
		before = child;
	}
	return rc;
}

static int
check_dir_leaf(struct dir_walk *d, uint64_t block,
    const struct dir_leaf_disk *l)
{
	uint64_t next = le64_get(l->next);
	size_t used = le16_get(l->used);
	int rc;

	if (used > sizeof(l->data) || l->prefix_bits > 32)
		return check_dir_damaged(d, block);
	rc = check_dir_entries(d, block, l->data, used);
	return rc != 0 || next == 0 ? rc : check_dir_child(d, next, 4);
}

static int
check_dir_child(struct dir_walk *d, uint64_t block, unsigned depth)
{
	cleanup_free uint8_t *buf = disk_buf_alloc(BLOCK_SIZE);
	const struct block_hdr_disk *h = (const void *)buf;
	enum block_type type;
	int rc;

	if (buf == NULL)
		return -ENOMEM;
	rc = check_block(d->w->c, block, 0, buf);
	if (rc == -VMFS_ECORRUPT)
		return check_dir_damaged(d, block);
	if (rc != 0)
		return rc;
	type = (enum block_type)le16_get(h->type);
	if (type != BLOCK_DIR_NODE && type != BLOCK_DIR_LEAF)
		return check_dir_damaged(d, block);
	if (!check_mark_meta(d->w->c, block, type, d->t->path)) {
		check_report(d->w->c, CHECK_DIR, CHECK_DAMAGE, block, false,
		    "block %llu of directory %s is used twice",
		    (unsigned long long)block, d->t->path);
		return 0;
	}
	return type == BLOCK_DIR_NODE ?
	    check_dir_node(d, block, depth, (const void *)buf) :
	    check_dir_leaf(d, block, (const void *)buf);
}

int
check_dir(struct check_walk *w, const uint8_t *block,
    const struct inode_info *i, const struct check_todo *t)
{
	const struct inode_disk *in = (const void *)block;
	struct dir_walk d = { .w = w, .t = t };
	int rc;

	if (i->dir_root == 0)
		rc = check_dir_entries(&d, t->ino, in->inline_data,
		    i->inline_size);
	else
		rc = check_dir_child(&d, i->dir_root, 0);
	if (rc == 0 && d.entries != i->dir_entries)
		check_report(w->c, CHECK_DIR, CHECK_HARMLESS, t->ino, false,
		    "directory %s counts %u entries, has %u", t->path,
		    i->dir_entries, d.entries);
	return rc;
}
