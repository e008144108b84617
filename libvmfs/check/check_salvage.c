/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Inodes that are damaged, and that a name says the type of.  What their blocks
 * on the LUN say, which owner they have and which of them nothing else
 * reaches, is what such an inode pointed to: a directory gets its names back, a
 * disk its map and snapshots.  Where that is not one tree the name goes.
 */
#include <stdlib.h>
#include <string.h>

#include "libvmfs/base/cleanup.h"
#include "libvmfs/base/units.h"
#include "libvmfs/check/check_priv.h"
#include "libvmfs/format/mapnode.h"

/* Blocks of one owner and type that are in use and that nothing reached. */
struct strays {
	uint64_t *block;
	bool *inner;		/* another of them points to it */
	size_t count, max;
};

static void
strays_free(struct strays *s)
{
	free(s->block);
	free(s->inner);
}

static int
strays_add(struct strays *s, uint64_t block)
{
	if (s->count == s->max) {
		size_t max = s->max * 2 + 16;
		uint64_t *b = reallocarray(s->block, max, sizeof(*b));
		bool *inner;

		if (b == NULL)
			return -ENOMEM;
		s->block = b;
		inner = reallocarray(s->inner, max, sizeof(*inner));
		if (inner == NULL)
			return -ENOMEM;
		s->inner = inner;
		s->max = max;
	}
	s->inner[s->count] = false;
	s->block[s->count++] = block;
	return 0;
}

static int
strays_find(struct check *c, uint64_t owner, enum block_type type,
    uint8_t *buf, struct strays *s)
{
	const struct block_hdr_disk *h = (const void *)buf;
	int rc = 0;

	for (size_t k = 0; k < c->mc_count && rc == 0; k++) {
		for (unsigned i = 1; i < CHUNK_BLOCKS && rc == 0; i++) {
			uint64_t b = c->mc[k].chunk * CHUNK_BLOCKS + i;

			if (c->mc[k].type[i] != type ||
			    !(c->mc[k].used >> i & 1) ||
			    (c->mc[k].found >> i & 1))
				continue;
			rc = check_block(c, b, type, buf);
			if (rc == 0 && le64_get(h->owner) == owner)
				rc = strays_add(s, b);
			else if (rc == -VMFS_ECORRUPT)
				rc = 0;
		}
	}
	return rc;
}

static void
strays_mark(struct strays *s, uint64_t block)
{
	for (size_t i = 0; i < s->count; i++)
		if (s->block[i] == block)
			s->inner[i] = true;
}

/* The one that no other points to; 0: none or several. */
static uint64_t
strays_top(const struct strays *s)
{
	uint64_t top = 0;

	for (size_t i = 0; i < s->count; i++) {
		if (s->inner[i])
			continue;
		if (top != 0)
			return 0;
		top = s->block[i];
	}
	return top;
}

/* ---- maps ---- */

static bool
is_upper(const struct map_node_disk *d)
{
	for (unsigned i = 0; i < MAP_FANOUT; i++)
		if (d->entry[i].state == MAP_CHILD)
			return true;
	return false;
}

/* What a tree of nodes says of the file that it is of. */
struct extent {
	uint64_t end;		/* of what is mapped */
	uint32_t birth;		/* newest */
	uint64_t owner;		/* of a node that is not the file's own */
};

static int
extent_of(struct check *c, uint64_t ino, uint64_t block, unsigned level,
    uint64_t offset, struct extent *x)
{
	cleanup_free struct map_node_disk *d = disk_buf_alloc(BLOCK_SIZE);
	unsigned shift = map_entry_shift(level);
	int rc;

	if (d == NULL)
		return -ENOMEM;
	rc = check_block(c, block, BLOCK_MAP_NODE, d);
	if (rc == 0 && le64_get(d->hdr.owner) != ino)
		x->owner = le64_get(d->hdr.owner);
	for (unsigned i = 0; i < MAP_FANOUT && rc == 0; i++) {
		uint64_t at = offset + ((uint64_t)i << shift);
		struct map_entry e;

		if (map_entry_get(&d->entry[i], level, &e) != 0 ||
		    e.state == MAP_HOLE)
			continue;
		if (e.birth > x->birth)
			x->birth = e.birth;
		if (e.state == MAP_CHILD)
			rc = extent_of(c, ino, e.block, level - 1, at, x);
		else if (at + (1ull << shift) > x->end)
			x->end = at + (1ull << shift);
	}
	for (unsigned g = 0; g < MAP_GROUPS && rc == 0 && level == 1; g++)
		if (le32_get(d->u.group[g].birth) > x->birth)
			x->birth = le32_get(d->u.group[g].birth);
	/* Damage below is found, and its range named, by the next pass. */
	return rc == -VMFS_ECORRUPT ? 0 : rc;
}

static int
map_salvage(struct check *c, uint64_t ino, uint8_t *buf,
    struct map_root *ret_root, struct extent *ret_x, bool *ret_several)
{
	const struct map_node_disk *d = (const void *)buf;
	struct strays s = { .count = 0 };
	int rc;

	rc = strays_find(c, ino, BLOCK_MAP_NODE, buf, &s);
	for (size_t i = 0; i < s.count && rc == 0; i++) {
		rc = check_block(c, s.block[i], BLOCK_MAP_NODE, buf);
		for (unsigned k = 0; rc == 0 && k < MAP_FANOUT; k++)
			if (d->entry[k].state == MAP_CHILD)
				strays_mark(&s, le48_get(d->entry[k].block));
	}
	ret_root->block = strays_top(&s);
	*ret_several = s.count > 0 && ret_root->block == 0;
	if (rc == 0 && ret_root->block != 0) {
		rc = check_block(c, ret_root->block, BLOCK_MAP_NODE, buf);
		if (rc == 0) {
			ret_root->level = is_upper(d) ? d->u.info.level : 1;
			if (ret_root->level < 1 ||
			    ret_root->level > MAP_LEVEL_MAX)
				ret_root->block = 0;
		}
	}
	if (rc == 0 && ret_root->block != 0)
		rc = extent_of(c, ino, ret_root->block, ret_root->level, 0,
		    ret_x);
	strays_free(&s);
	return rc;
}

/* ---- snapshot tables ---- */

/* What the newest snapshot of a table still knows of its disk. */
static int
table_newest(struct check *c, uint64_t block, uint8_t *buf,
    struct inode_info *info, struct inode_info *ret_newest)
{
	const struct snaptab_disk *d = (const void *)buf;
	uint64_t newest = 0;
	int rc = 0;

	for (size_t n = 0; block != 0 && rc == 0 &&
	    n <= c->mc_count * CHUNK_BLOCKS; n++) {
		rc = check_block(c, block, BLOCK_SNAPTAB, buf);
		for (unsigned i = 0; rc == 0 && i < SNAPTAB_ENTRIES; i++) {
			struct snaptab_entry e;

			if (snaptab_entry_get(&d->entry[i], &e) != 0 ||
			    e.ino == 0)
				continue;
			info->snapshots++;
			if (e.id >= info->next_snapshot_id)
				info->next_snapshot_id = e.id + 1;
			if (e.epoch < info->snap_epoch && newest != 0)
				continue;
			info->snap_epoch = e.epoch;
			newest = e.ino;
		}
		block = rc == 0 ? le64_get(d->next) : 0;
	}
	if (rc == 0 && newest != 0)
		rc = check_block(c, newest, BLOCK_INODE, buf);
	if (rc == 0 && newest != 0)
		rc = inode_decode(buf, ret_newest);
	return rc == -VMFS_ECORRUPT ? 0 : rc;
}

static int
table_salvage(struct check *c, uint64_t ino, uint8_t *buf,
    struct inode_info *info, struct inode_info *ret_newest)
{
	const struct snaptab_disk *d = (const void *)buf;
	struct strays s = { .count = 0 };
	int rc;

	rc = strays_find(c, ino, BLOCK_SNAPTAB, buf, &s);
	for (size_t i = 0; i < s.count && rc == 0; i++) {
		rc = check_block(c, s.block[i], BLOCK_SNAPTAB, buf);
		if (rc == 0)
			strays_mark(&s, le64_get(d->next));
	}
	info->snaptab = strays_top(&s);
	if (rc == 0)
		rc = table_newest(c, info->snaptab, buf, info, ret_newest);
	strays_free(&s);
	return rc;
}

/* ---- inodes ---- */

static int
inode_write(struct check *c, uint64_t ino, uint8_t *buf,
    const struct inode_info *i)
{
	int rc;

	rc = check_read(c, ino, buf);
	if (rc != 0)
		return rc;
	memset(buf + LOCK_RECORD_SIZE, 0, BLOCK_SIZE - LOCK_RECORD_SIZE);
	inode_encode(buf, i);
	check_again(c);
	return check_write_new(c, ino, BLOCK_INODE, ino, buf);
}

static struct inode_info
info_new(struct check *c, const struct check_todo *t)
{
	uint64_t now_ns = c->conf->env->wall_us(c->conf->env) * 1000;

	return (struct inode_info){
		.generation = t->generation, .type = t->type, .mode = 0600,
		.nlink = 1, .parent = t->dir, .atime_ns = now_ns,
		.mtime_ns = now_ns, .ctime_ns = now_ns, .btime_ns = now_ns,
		.epoch = 1, .next_snapshot_id = 1,
	};
}

/* The one block of attributes that names it as its owner. */
static int
xattr_salvage(struct check *c, uint64_t ino, uint8_t *buf,
    struct inode_info *i)
{
	struct strays s = { .count = 0 };
	int rc = strays_find(c, ino, BLOCK_XATTR, buf, &s);

	if (rc == 0)
		i->xattr = strays_top(&s);
	strays_free(&s);
	return rc;
}

/* Its names were remembered where blocks still had them. */
static int
dir_salvage(struct check *c, const struct check_todo *t, uint8_t *buf)
{
	struct inode_info i = info_new(c, t);
	int rc = xattr_salvage(c, t->ino, buf, &i);

	if (rc != 0)
		return rc;
	i.mode = 0700;
	i.nlink = 2;
	i.flags = INODE_INLINE;
	i.dir_seed = (uint32_t)env_random_u64(c->conf->env);
	check_report(c, CHECK_INODE, CHECK_NOTE, t->ino, true, "directory %s "
	    "starts empty; what it named gets its name back where blocks of it"
	    " are left, else one in /lost+found", t->path);
	return inode_write(c, t->ino, buf, &i);
}

/*
 * The snapshot that a damaged clone came from: the only one that counts a clone
 * more than were found, if it is of the family whose nodes the map has.
 */
static int
origin_find(struct check *c, const struct extent *x, bool has_map,
    uint8_t *buf, uint64_t *ret_ino, struct inode_info *ret_i)
{
	struct inode_info i;
	int rc;

	*ret_ino = 0;
	for (size_t k = 0; k < c->ino_max; k++) {
		const struct check_ino *n = &c->ino[k];

		if (n->ino == 0 || !n->walked)
			continue;
		rc = check_block(c, n->ino, BLOCK_INODE, buf);
		if (rc == 0)
			rc = inode_decode(buf, &i);
		if (rc != 0 && rc != -VMFS_ECORRUPT)
			return rc;
		if (rc != 0 || i.type != INODE_SNAPSHOT ||
		    i.clones <= n->pins || (has_map && x->owner != 0 && x->owner != i.disk))
			continue;
		if (*ret_ino != 0) {
			*ret_ino = 0;
			return 0;
		}
		*ret_ino = n->ino;
		*ret_i = i;
	}
	return 0;
}

static void
clone_info(struct inode_info *i, uint64_t origin, const struct inode_info *s)
{
	i->flags |= INODE_CLONE;
	i->origin_snapshot = origin;
	i->origin_disk = s->disk;
	i->origin_epoch = s->epoch;
	if (i->snap_epoch < s->epoch)
		i->snap_epoch = s->epoch;
}

/* 1: there is nothing to make an inode of. */
static int
disk_salvage(struct check *c, const struct check_todo *t, uint8_t *buf)
{
	struct inode_info i = info_new(c, t), newest = { .size = 0 };
	struct extent x = { .end = 0 };
	char size[SIZE_TEXT_SIZE];
	uint64_t origin = 0;
	bool several;
	int rc;

	rc = table_salvage(c, t->ino, buf, &i, &newest);
	if (rc == 0)
		rc = map_salvage(c, t->ino, buf, &i.map, &x, &several);
	if (rc == 0)
		rc = xattr_salvage(c, t->ino, buf, &i);
	if (rc == 0 && i.snaptab == 0 && !several)
		rc = origin_find(c, &x, i.map.block != 0, buf, &origin,
		    &newest);
	if (rc != 0)
		return rc;
	if (origin != 0)
		clone_info(&i, origin, &newest);
	if (i.map.block == 0 && (several || newest.type != INODE_SNAPSHOT))
		return 1;
	i.size = x.end > newest.size ? x.end : newest.size;
	if (i.map.block == 0)
		i.map = newest.map;
	else
		i.map.birth = i.snap_epoch + 1;
	if (newest.type == INODE_SNAPSHOT) {
		i.mode = newest.mode | 0200;
		i.uid = newest.uid;
		i.gid = newest.gid;
		if (origin == 0)
			i.origin_epoch = newest.origin_epoch;
		i.flags |= newest.flags & INODE_INLINE;
	}
	i.fork_epoch = x.birth > i.snap_epoch ? x.birth : i.snap_epoch;
	if (i.fork_epoch >= EPOCH_MAX || (i.flags & INODE_INLINE) != 0)
		return 1;
	i.epoch = i.fork_epoch + 1;
	check_report(c, CHECK_INODE, CHECK_NOTE, t->ino, true, "%s is made "
	    "anew from its map, with %u snapshots; its size is taken to be %s"
	    "%s", t->path, i.snapshots, size_text(i.size, size),
	    i.type == INODE_DISK ? "; before it is written, vmfsctl disk "
	    "recover gives it what its descriptor tells" : "");
	rc = check_snaptab_flatten(c, i.snaptab);
	return rc != 0 ? rc : inode_write(c, t->ino, buf, &i);
}

static int
salvage_one(struct check *c, const struct check_todo *t, uint8_t *buf)
{
	int rc = 1;

	if (t->disk == 0 && t->type == INODE_DIR)
		return dir_salvage(c, t, buf);
	if (t->disk == 0 && (t->type == INODE_DISK || t->type == INODE_FILE))
		rc = disk_salvage(c, t, buf);
	else if (t->disk != 0)
		rc = check_snapshot_salvage(c, t, buf);
	if (rc != 1)
		return rc;
	check_report(c, CHECK_INODE, CHECK_NOTE, t->ino, true, "nothing says "
	    "what was in %s: its name is taken away", t->path);
	check_again(c);
	return check_drop(c, t);
}

int
check_salvage(struct check *c)
{
	cleanup_free uint8_t *buf = disk_buf_alloc(BLOCK_SIZE);
	int rc = 0;

	if (buf == NULL)
		return -ENOMEM;
	while (c->conf->repair && rc == 0 && !list_empty(&c->damaged)) {
		struct check_damaged *d = list_entry(list_pop(&c->damaged),
		    struct check_damaged, node);

		rc = salvage_one(c, d->todo, buf);
		free(d->todo);
		free(d);
	}
	return rc;
}

/* ---- a snapshot's inode ---- */

/* The tree of the next younger one of the disk, when it is still the same. */
static int
younger_root(struct check *c, const struct snaptab_disk *d, uint32_t epoch,
    const struct inode_info *disk, uint8_t *buf, struct inode_info *ret_i)
{
	uint32_t best = UINT32_MAX;
	struct inode_info i;

	*ret_i = *disk;
	for (unsigned k = 0; k < SNAPTAB_ENTRIES; k++) {
		struct snaptab_entry e;

		if (snaptab_entry_get(&d->entry[k], &e) != 0 || e.ino == 0 ||
		    e.epoch <= epoch || e.epoch >= best ||
		    check_block(c, e.ino, BLOCK_INODE, buf) != 0 ||
		    inode_decode(buf, &i) != 0)
			continue;
		best = e.epoch;
		*ret_i = i;
	}
	return ret_i->map.block != 0 && ret_i->map.birth <= epoch ? 0 : 1;
}

static const struct snaptab_entry_disk *
entry_of(const struct snaptab_disk *d, uint64_t ino)
{
	for (unsigned k = 0; k < SNAPTAB_ENTRIES; k++)
		if (le64_get(d->entry[k].ino) == ino)
			return &d->entry[k];
	return NULL;
}

/* 1: there is nothing to make an inode of. */
int
check_snapshot_salvage(struct check *c, const struct check_todo *t,
    uint8_t *buf)
{
	cleanup_free struct snaptab_disk *d = disk_buf_alloc(BLOCK_SIZE);
	struct inode_info i = info_new(c, t), disk, other;
	const struct snaptab_entry_disk *e;
	struct extent x = { .end = 0 };
	struct map_root root = { 0 };
	bool several;
	int rc;

	if (d == NULL)
		return -ENOMEM;
	rc = check_block(c, t->holder, BLOCK_SNAPTAB, d);
	if (rc == 0)
		rc = check_block(c, t->disk, BLOCK_INODE, buf);
	if (rc == 0)
		rc = inode_decode(buf, &disk);
	e = entry_of(d, t->ino);
	if (rc != 0 || e == NULL)
		return rc == 0 || rc == -VMFS_ECORRUPT ? 1 : rc;
	rc = map_salvage(c, t->disk, buf, &root, &x, &several);
	if (rc != 0 || several)
		return rc != 0 ? rc : 1;
	i.epoch = le32_get(e->epoch);
	rc = younger_root(c, d, i.epoch, &disk, buf, &other);
	if (root.block != 0)
		other.map = root;
	else if (rc != 0)
		return 1;
	i.map = other.map;
	if (root.block != 0)
		i.map.birth = x.birth < i.epoch ? x.birth : i.epoch;
	i.generation = (uint32_t)env_random_u64(c->conf->env) | 1;
	i.mode = disk.mode & 0555;
	i.uid = disk.uid;
	i.gid = disk.gid;
	i.parent = 0;
	i.disk = t->disk;
	i.size = disk.size > x.end ? disk.size : x.end;
	i.snap_epoch = i.fork_epoch = i.epoch > 0 ? i.epoch - 1 : 0;
	i.origin_epoch = disk.origin_epoch;
	check_report(c, CHECK_INODE, CHECK_NOTE, t->ino, true, "%s is made "
	    "anew from its map", t->path);
	return inode_write(c, t->ino, buf, &i);
}
