/* SPDX-License-Identifier: BSD-2-Clause */
/* See scrub.h. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libvmfs/base/cleanup.h"
#include "libvmfs/base/units.h"
#include "libvmfs/check/check_priv.h"
#include "libvmfs/check/scrub.h"
#include "libvmfs/core/extents.h"
#include "libvmfs/core/volume.h"
#include "libvmfs/format/dirent.h"
#include "libvmfs/format/mapnode.h"
#include "libvmfs/format/xattr.h"

/* A block whose owner writes it now is whole before the next checkpoint. */
#define LOOKS 6u
#define LOOK_AGAIN_NS (500 * NSEC_PER_MSEC)
/* So many damaged blocks are looked at that often; then it is no chance. */
#define PATIENCE 16u

struct step {
	struct scrub *s;
	const struct super *super;
	uint64_t cluster;
	uint8_t *head, *buf;
};

/* ---- what a sound block is ---- */

static int
lock_is_sound(const struct super *s, uint64_t block, const void *buf)
{
	struct lockrec l;

	return lockrec_decode(buf, &s->uuid, block, &l);
}

static int
map_is_sound(const struct map_node_disk *d)
{
	/* Its level is known to its parent alone: an entry has to fit one. */
	for (unsigned i = 0; i < MAP_FANOUT; i++) {
		struct map_entry e;

		if (map_entry_get(&d->entry[i], 1, &e) != 0 &&
		    map_entry_get(&d->entry[i], 2, &e) != 0)
			return -VMFS_ECORRUPT;
	}
	return 0;
}

static int
leaf_is_sound(const struct dir_leaf_disk *l)
{
	size_t used = le16_get(l->used), pos = 0;
	struct dirent e;
	int rc;

	if (used > sizeof(l->data) || l->prefix_bits > 32)
		return -VMFS_ECORRUPT;
	while ((rc = dirent_next(l->data, used, &pos, &e)) == 0)
		;
	return rc == -ENOENT ? 0 : rc;
}

static int
table_is_sound(const struct snaptab_disk *d)
{
	struct snaptab_entry e;
	int rc = 0;

	for (unsigned i = 0; i < SNAPTAB_ENTRIES && rc == 0; i++)
		rc = snaptab_entry_get(&d->entry[i], &e);
	return rc;
}

static int
content_is_sound(const struct step *p, uint64_t block, enum block_type type,
    const uint8_t *buf)
{
	struct cluster_info cluster;
	struct metachunk_info mc;
	struct inode_info i;
	int rc;

	switch (type) {
	case BLOCK_CLUSTER:
		rc = lock_is_sound(p->super, block, buf);
		return rc != 0 ? rc :
		    cluster_decode(buf, p->cluster, &cluster);
	case BLOCK_INODE:
		rc = lock_is_sound(p->super, block, buf);
		return rc != 0 ? rc : inode_decode(buf, &i);
	case BLOCK_METACHUNK:
		return metachunk_decode(buf, &mc);
	case BLOCK_MAP_NODE:
		return map_is_sound((const void *)buf);
	case BLOCK_DIR_LEAF:
		return leaf_is_sound((const void *)buf);
	case BLOCK_SNAPTAB:
		return table_is_sound((const void *)buf);
	case BLOCK_XATTR:
		return xattr_check(buf);
	case BLOCK_REMOTE_FREE:
		return remote_free_check(buf);
	default:
		return 0;
	}
}

/* ---- looking ---- */

static int
read_once(struct step *p, uint64_t block, enum block_type type, void *buf)
{
	struct disk *disk = ds_disk(fs_ds(p->s->fs));
	struct block_hdr h;
	int rc;

	rc = disk_read(disk, block * BLOCK_SIZE, buf, BLOCK_SIZE);
	p->s->blocks++;
	p->s->bytes += BLOCK_SIZE;
	if (rc == 0)
		rc = block_hdr_decode(buf, type, &p->super->uuid, block, &h);
	return rc != 0 ? rc : content_is_sound(p, block, type, buf);
}

static unsigned
patience(const struct step *p)
{
	return p->s->damaged < PATIENCE ? LOOKS : 2;
}

static void
found(struct step *p, uint64_t block, enum block_type type, uint64_t owner,
    const char *object)
{
	char text[4352];
	const struct scrub_finding f = {
		.block = block, .type = type, .owner = owner,
		.object = object, .text = text,
	};

	(void)snprintf(text, sizeof(text), "%s block %llu of %s is damaged",
	    block_type_name(type), (unsigned long long)block, object);
	p->s->damaged++;
	p->s->finding(p->s->arg, &f);
}

/* The owner that a damaged block's own bytes tell, if they still can. */
static uint64_t
owner_in(const struct step *p, uint64_t block, enum block_type type,
    const uint8_t *buf)
{
	const struct block_hdr_disk *h = (const void *)(buf +
	    block_hdr_offset(type));

	if (type == BLOCK_INODE)
		return block;
	if (le32_get(h->magic) != BLOCK_MAGIC || le64_get(h->addr) != block ||
	    !volume_has_block(p->super, le64_get(h->owner)))
		return 0;
	return le64_get(h->owner);
}

/* An inode's block is damaged: it stays as it is, all else goes on. */
static int
found_in_object(struct step *p, uint64_t block, enum block_type type)
{
	struct fs *fs = p->s->fs;
	uint64_t owner = owner_in(p, block, type, p->buf);
	char path[4096];
	int rc = 0;

	if (owner == 0 || fs_path(fs, owner, path, sizeof(path)) != 0)
		(void)snprintf(path, sizeof(path), owner != 0 ?
		    "inode %llu" : "an object that it does not name",
		    (unsigned long long)owner);
	if (owner >= SLOT_TABLE_BLOCK + SLOTS_MAX)
		rc = fs_set_damaged(fs, owner);
	found(p, block, type, owner, path);
	return rc;
}

/* Is the block still in use, by the head as it is now? */
static bool
in_use(struct step *p, uint64_t chunk, unsigned i, enum block_type type)
{
	const struct metachunk_disk *d = (const void *)p->head;

	return read_once(p, chunk * CHUNK_BLOCKS, BLOCK_METACHUNK,
	    p->head) == 0 && (le16_get(d->used) >> i & 1) &&
	    d->type[i] == type;
}

static int
scrub_block(struct step *p, uint64_t chunk, unsigned i)
{
	const struct metachunk_disk *d = (const void *)p->head;
	enum block_type type = (enum block_type)d->type[i];
	uint64_t block = chunk * CHUNK_BLOCKS + i;
	int rc = -VMFS_ECORRUPT;

	for (unsigned n = 0; rc == -VMFS_ECORRUPT && n < patience(p); n++) {
		if (n > 0)
			fiber_sleep(LOOK_AGAIN_NS);
		if (n > 0 && !in_use(p, chunk, i, type))
			return 0;
		rc = read_once(p, block, type, p->buf);
	}
	return rc == -VMFS_ECORRUPT ? found_in_object(p, block, type) : rc;
}

/* 0: read; -ENOENT: the chunk is no metachunk. */
static int
scrub_metachunk(struct step *p, uint64_t chunk)
{
	const struct metachunk_disk *d = (const void *)p->head;
	int rc;

	rc = read_once(p, chunk * CHUNK_BLOCKS, BLOCK_METACHUNK, p->head);
	if (rc == -VMFS_ECORRUPT || (rc == 0 && le16_get(d->used) == 0))
		return -ENOENT;
	for (unsigned i = 1; i < CHUNK_BLOCKS && rc == 0; i++)
		if (le16_get(d->used) >> i & 1)
			rc = scrub_block(p, chunk, i);
	return rc;
}

static int
scrub_pair(struct step *p, uint64_t chunk, bool has_second)
{
	int a, b;

	a = scrub_metachunk(p, chunk);
	if (a != 0 && a != -ENOENT)
		return a;
	b = has_second ? scrub_metachunk(p, chunk + 1) : -ENOENT;
	return b != 0 && b != -ENOENT ? b : a == 0 || b == 0 ? 0 : -ENOENT;
}

/* The cluster's block as it is on the LUN, sound; 1: it is damaged. */
static int
cluster_get(struct step *p, uint64_t block, uint8_t *buf)
{
	char object[48];
	int rc = -VMFS_ECORRUPT;

	for (unsigned n = 0; rc == -VMFS_ECORRUPT && n < patience(p); n++) {
		if (n > 0)
			fiber_sleep(LOOK_AGAIN_NS);
		rc = read_once(p, block, BLOCK_CLUSTER, buf);
	}
	if (rc != -VMFS_ECORRUPT)
		return rc;
	(void)snprintf(object, sizeof(object), "cluster %llu",
	    (unsigned long long)p->cluster);
	found(p, block, BLOCK_CLUSTER, block, object);
	return 1;
}

/* Neither chunk of a pair has a head, and the cluster keeps saying so. */
static int
pair_again(struct step *p, uint64_t block, uint32_t pair, uint64_t chunk,
    bool has_second, uint8_t *buf)
{
	char object[48];
	int rc = -ENOENT;

	for (unsigned n = 1; rc == -ENOENT && n < patience(p); n++) {
		fiber_sleep(LOOK_AGAIN_NS);
		rc = cluster_get(p, block, buf);
		if (rc != 0)
			return rc;
		if (!cluster_pair_meta(buf, pair))
			return 0;
		rc = scrub_pair(p, chunk, has_second);
	}
	if (rc != -ENOENT)
		return rc;
	(void)snprintf(object, sizeof(object), "cluster %llu",
	    (unsigned long long)p->cluster);
	found(p, chunk * CHUNK_BLOCKS, BLOCK_METACHUNK, block, object);
	return 0;
}

static int
scrub_cluster(struct step *p)
{
	cleanup_free uint8_t *buf = disk_buf_alloc(BLOCK_SIZE);
	const struct cluster_disk *d = (const void *)(buf + LOCK_RECORD_SIZE);
	uint64_t block = check_cluster_block(p->super, p->cluster);
	uint64_t first = p->cluster *
	    (p->super->cluster_blocks / CHUNK_BLOCKS);
	int rc;

	if (buf == NULL)
		return -ENOMEM;
	rc = block == 0 ? 0 : cluster_get(p, block, buf);
	if (rc != 0 || block == 0)
		return rc > 0 ? 0 : rc;
	for (uint32_t pair = 0; rc == 0 && 2 * pair < le32_get(d->chunks);
	    pair++) {
		uint64_t chunk = first + 2ull * pair;
		bool second = 2 * pair + 1 < le32_get(d->chunks);

		if (!cluster_pair_meta(buf, pair))
			continue;
		rc = scrub_pair(p, chunk, second);
		if (rc == -ENOENT)
			rc = pair_again(p, block, pair, chunk, second, buf);
	}
	return rc > 0 ? 0 : rc;
}

/* ---- the first step ---- */

static int
scrub_super(struct step *p, uint64_t block)
{
	struct super s;
	int rc = -VMFS_ECORRUPT;

	for (unsigned n = 0; rc == -VMFS_ECORRUPT && n < patience(p); n++) {
		if (n > 0)
			fiber_sleep(LOOK_AGAIN_NS);
		rc = read_once(p, block, BLOCK_SUPER, p->buf);
		if (rc == 0)
			rc = super_decode(p->buf, block, &s);
	}
	if (rc != -VMFS_ECORRUPT)
		return rc;
	found(p, block, BLOCK_SUPER, 0, "the superblock");
	return 0;
}

static int
scrub_slot(struct step *p, unsigned slot)
{
	uint64_t block = SLOT_TABLE_BLOCK + slot;
	struct heartbeat hb;
	char object[32];
	int rc = -VMFS_ECORRUPT;

	for (unsigned n = 0; rc == -VMFS_ECORRUPT && n < patience(p); n++) {
		if (n > 0)
			fiber_sleep(LOOK_AGAIN_NS);
		rc = read_once(p, block, BLOCK_SLOT, p->buf);
		if (rc == 0)
			rc = slot_info_check(p->buf);
		if (rc == 0)
			rc = heartbeat_decode(p->buf, &p->super->uuid, slot,
			    &hb);
	}
	if (rc != -VMFS_ECORRUPT)
		return rc;
	(void)snprintf(object, sizeof(object), "slot %u", slot);
	found(p, block, BLOCK_SLOT, block, object);
	return 0;
}

/* A block that says which extent a LUN is; its number is of that LUN. */
static int
scrub_extent_copy(struct step *p, unsigned i, struct disk *lun,
    uint64_t block)
{
	const struct super_extent *x = &p->super->extent[i];
	struct extent_info e;
	char object[48];
	int rc = disk_read(lun, block * BLOCK_SIZE, p->buf, BLOCK_SIZE);

	p->s->blocks++;
	p->s->bytes += BLOCK_SIZE;
	if (rc == 0)
		rc = extent_decode(p->buf, block, &e);
	if (rc == 0 && uuid_equal(&e.volume, &p->super->uuid) &&
	    uuid_equal(&e.uuid, &x->uuid) && e.first_block == x->first_block)
		return 0;
	if (rc != 0 && rc != -VMFS_ENOTVMFS && rc != -VMFS_ECORRUPT)
		return rc;
	(void)snprintf(object, sizeof(object), "the LUN of extent %u", i);
	found(p, block, BLOCK_EXTENT, 0, object);
	return 0;
}

static int
scrub_extent(struct step *p, unsigned i)
{
	struct disk *lun = ds_extent_lun(fs_ds(p->s->fs), i);
	struct extent_info note;
	char object[64];
	int rc;

	/* Who lacks it says so elsewhere. */
	if (lun == NULL)
		return 0;
	rc = scrub_extent_copy(p, i, lun, EXTENT_COPY_0);
	if (rc == 0)
		rc = scrub_extent_copy(p, i, lun, EXTENT_COPY_1);
	if (rc == 0)
		rc = extent_note_read(ds_disk(fs_ds(p->s->fs)), p->super, i,
		    &note);
	if (rc != -ENOENT)
		return rc;
	(void)snprintf(object, sizeof(object), "the first LUN's note of "
	    "extent %u", i);
	found(p, EXTENT_NOTE_BLOCK, BLOCK_EXTENT, 0, object);
	return 0;
}

static int
scrub_front(struct step *p)
{
	const uint64_t copies[] = {
		SUPER_BLOCK_0, SUPER_BLOCK_1, p->super->copy2_block,
	};
	int rc = 0;

	for (unsigned i = 0; i < 3 && rc == 0; i++)
		rc = scrub_super(p, copies[i]);
	for (unsigned i = 0; i < SLOTS_MAX && rc == 0; i++)
		rc = scrub_slot(p, i);
	for (unsigned i = 1; i < p->super->extents && rc == 0; i++)
		rc = scrub_extent(p, i);
	return rc;
}

uint64_t
scrub_steps(const struct fs *fs)
{
	const struct super *s = ds_super(fs_ds(fs));

	return 1 + volume_clusters(s);
}

int
scrub_step(struct scrub *s, uint64_t step)
{
	cleanup_free uint8_t *head = disk_buf_alloc(BLOCK_SIZE);
	cleanup_free uint8_t *buf = disk_buf_alloc(BLOCK_SIZE);
	struct step p = {
		.s = s, .super = ds_super(fs_ds(s->fs)), .head = head,
		.buf = buf,
	};

	s->blocks = s->bytes = s->damaged = 0;
	if (head == NULL || buf == NULL)
		return -ENOMEM;
	if (step == 0)
		return scrub_front(&p);
	p.cluster = step - 1;
	return scrub_cluster(&p);
}
