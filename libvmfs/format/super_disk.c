/* SPDX-License-Identifier: BSD-2-Clause */
/* Bytes of the superblock. */
#include <string.h>

#include "libvmfs/format/cluster.h"
#include "libvmfs/format/extent.h"
#include "libvmfs/format/journal.h"
#include "libvmfs/format/super.h"

static const char *const protocol_names[] = {
	[LOCK_ATS_PR] = "ATS + persistent reservations",
	[LOCK_ATS_WATCHDOG] = "ATS + watchdog",
	[LOCK_RESERVE] = "SCSI-2 RESERVE",
	[LOCK_FILE] = "file locks of one machine",
};

const char *
lock_protocol_name(enum lock_protocol p)
{
	if (p < LOCK_ATS_PR || p > LOCK_FILE)
		return "?";
	return protocol_names[p];
}

const struct uuid *
super_uuid(const struct super *s)
{
	return uuid_is_null(&s->new_uuid) ? &s->uuid : &s->new_uuid;
}

static bool
power_of_two_within(uint32_t v, uint32_t min, uint32_t max)
{
	return v >= min && v <= max && (v & (v - 1)) == 0;
}

/* The timers' order is what makes fencing safe (L4, L6, L9). */
static bool
timers_are_valid(const struct timers *t)
{
	return t->pulse_ms > 0 && t->pulse_ms < t->freeze_ms &&
	    t->io_ms > 0 && t->io_ms <= t->freeze_ms &&
	    t->freeze_ms < t->fence_ms && t->fence_hint_ms > t->pulse_ms &&
	    t->fence_hint_ms <= t->fence_ms;
}

static bool
has_extents(const struct super *s)
{
	return (s->incompat & FEATURE_INCOMPAT_EXTENTS) != 0;
}

/* Extent i begins at or behind `next`, the end of the one before. */
static bool
extent_is_valid(const struct super *s, unsigned i, uint64_t next)
{
	const struct super_extent *e = &s->extent[i];

	if (e->first_block < next || e->first_block >= s->blocks ||
	    e->blocks == 0 || e->blocks > s->blocks - e->first_block)
		return false;
	if (i == 0)
		return e->first_block == 0 && e->lun_block == 0 &&
		    e->flags == 0;
	return e->first_block % s->cluster_blocks == 0 &&
	    e->lun_block == EXTENT_FRONT_BLOCKS &&
	    (e->flags & ~(unsigned)EXTENT_FLAGS_KNOWN) == 0 &&
	    !uuid_is_null(&e->uuid);
}

static bool
extents_are_valid(const struct super *s)
{
	uint64_t next = 0;

	if (s->extents == 0 || s->extents > SUPER_EXTENTS_MAX ||
	    (s->extents > 1 && !has_extents(s)))
		return false;
	for (unsigned i = 0; i < s->extents; i++) {
		if (!extent_is_valid(s, i, next))
			return false;
		next = s->extent[i].first_block + s->extent[i].blocks;
	}
	/* What belongs to the volume as such lies on the first LUN. */
	return (has_extents(s) || next == s->blocks) &&
	    s->copy2_block < s->extent[0].blocks &&
	    s->root_ino < s->extent[0].blocks;
}

/* The extent that has all of these blocks, or NULL. */
static const struct super_extent *
extent_of(const struct super *s, uint64_t block, uint64_t count)
{
	for (unsigned i = 0; i < s->extents; i++) {
		const struct super_extent *e = &s->extent[i];

		if (block >= e->first_block &&
		    block - e->first_block < e->blocks)
			return count <= e->blocks - (block - e->first_block) ?
			    e : NULL;
	}
	return NULL;
}

static uint64_t
clusters_of(const struct super *s, uint64_t blocks)
{
	return blocks / s->cluster_blocks + (blocks % s->cluster_blocks != 0);
}

/* Table and clusters lie on one LUN: without it, both are gone. */
static bool
segment_is_valid(const struct super *s, const struct super_segment *g)
{
	const struct super_extent *e = extent_of(s, g->table_block,
	    g->clusters);
	uint64_t end;

	if (e == NULL || g->clusters == 0)
		return false;
	end = e->first_block / s->cluster_blocks + clusters_of(s, e->blocks);
	return g->first_cluster >= e->first_block / s->cluster_blocks &&
	    g->first_cluster < end && g->clusters <= end - g->first_cluster;
}

static bool
segments_are_valid(const struct super *s)
{
	uint64_t next = 0, clusters = 0, found = 0;

	if (s->segments == 0 || s->segments > SUPER_SEGMENTS_MAX)
		return false;
	for (unsigned i = 0; i < s->extents; i++)
		clusters += clusters_of(s, s->extent[i].blocks);
	for (unsigned i = 0; i < s->segments; i++) {
		const struct super_segment *g = &s->segment[i];

		if (g->first_cluster < next || !segment_is_valid(s, g))
			return false;
		next = g->first_cluster + g->clusters;
		found += g->clusters;
	}
	/* They do not overlap: so none is missing. */
	return found == clusters;
}

/* A copy there would be written over the block of a cluster. */
static bool
copy2_is_in_table(const struct super *s)
{
	for (unsigned i = 0; i < s->segments; i++)
		if (s->copy2_block >= s->segment[i].table_block &&
		    s->copy2_block - s->segment[i].table_block <
		    s->segment[i].clusters)
			return true;
	return false;
}

static int
super_check(const struct super *s)
{
	if ((s->sector_size != 512 && s->sector_size != 4096) ||
	    s->blocks < CLUSTER_TABLE_BLOCK || s->blocks > UINT64_MAX >> 16 ||
	    !power_of_two_within(s->cluster_blocks,
	    CLUSTER_CHUNKS_MIN * CHUNK_BLOCKS,
	    CLUSTER_CHUNKS_MAX * CHUNK_BLOCKS) ||
	    s->journal_blocks < JOURNAL_BLOCKS_MIN ||
	    s->journal_blocks > JOURNAL_BLOCKS_MAX ||
	    s->journal_blocks % CHUNK_BLOCKS != 0)
		return -VMFS_ECORRUPT;
	if (s->copy2_block <= CLUSTER_TABLE_BLOCK ||
	    s->copy2_block >= s->blocks || s->root_ino >= s->blocks ||
	    s->protocol < LOCK_ATS_PR || s->protocol > LOCK_FILE ||
	    s->prev_blocks > s->blocks || s->prev_blocks % CHUNK_BLOCKS != 0)
		return -VMFS_ECORRUPT;
	if (uuid_is_null(&s->new_uuid) ==
	    ((s->incompat & FEATURE_INCOMPAT_RESIGNED) != 0))
		return -VMFS_ECORRUPT;
	if (!timers_are_valid(&s->timers) || !extents_are_valid(s) ||
	    !segments_are_valid(s) || copy2_is_in_table(s))
		return -VMFS_ECORRUPT;
	return 0;
}

static void
load_tables(const struct super_disk *d, struct super *s)
{
	s->extents = le16_get(d->extents);
	s->segments = le16_get(d->segments);
	for (unsigned i = 0; i < s->extents && i < SUPER_EXTENTS_MAX; i++) {
		memcpy(s->extent[i].uuid.b, d->extent[i].uuid, 16);
		s->extent[i].first_block = le64_get(d->extent[i].first_block);
		s->extent[i].blocks = le64_get(d->extent[i].blocks);
		s->extent[i].lun_block = le64_get(d->extent[i].lun_block);
		s->extent[i].flags = d->extent_flags[i];
	}
	for (unsigned i = 0; i < s->segments && i < SUPER_SEGMENTS_MAX; i++) {
		const struct super_segment_disk *g = &d->segment[i];

		s->segment[i].first_cluster = le64_get(g->first_cluster);
		s->segment[i].clusters = le64_get(g->clusters);
		s->segment[i].table_block = le64_get(g->table_block);
	}
}

static void
load(const struct super_disk *d, struct super *s)
{
	*s = (struct super) {
		.version = le32_get(d->version),
		.sector_size = le32_get(d->sector_size),
		.generation = le64_get(d->generation),
		.compat = le64_get(d->compat),
		.ro_compat = le64_get(d->ro_compat),
		.incompat = le64_get(d->incompat),
		.blocks = le64_get(d->blocks),
		.copy2_block = le64_get(d->copy2_block),
		.root_ino = le64_get(d->root_ino),
		.created_us = le64_get(d->created_us),
		.prev_blocks = le64_get(d->prev_blocks),
		.cluster_blocks = le32_get(d->cluster_blocks),
		.journal_blocks = le32_get(d->journal_blocks),
		.protocol = (enum lock_protocol)le16_get(d->lock_protocol),
		.timers = {
			.pulse_ms = le32_get(d->pulse_ms),
			.io_ms = le32_get(d->io_ms),
			.freeze_ms = le32_get(d->freeze_ms),
			.fence_ms = le32_get(d->fence_ms),
			.fence_hint_ms = le32_get(d->fence_hint_ms),
			.watchdog_ms = le32_get(d->watchdog_ms),
			.bound_ms = le32_get(d->bound_ms),
		},
	};
	memcpy(s->uuid.b, d->uuid, sizeof(d->uuid));
	memcpy(s->new_uuid.b, d->new_uuid, sizeof(d->new_uuid));
	memcpy(s->label, d->label, sizeof(d->label));
	memcpy(s->lun_serial, d->lun_serial, sizeof(d->lun_serial));
	load_tables(d, s);
}

int
super_decode(const void *buf, uint64_t block, struct super *ret_s)
{
	const struct super_disk *d = buf;
	struct block_hdr hdr;
	struct uuid uuid;
	struct super s;
	int r;

	/* Both marks gone: something else lies there; one gone: damage. */
	if (extent_is_here(buf))
		return -VMFS_EFURTHER;
	if (memcmp(d->magic, SUPER_MAGIC, sizeof(d->magic)) != 0)
		return le32_get(d->hdr.magic) == BLOCK_MAGIC ?
		    -VMFS_ECORRUPT : -VMFS_ENOTVMFS;
	memcpy(uuid.b, d->uuid, sizeof(uuid.b));
	r = block_hdr_decode(buf, BLOCK_SUPER, &uuid, block, &hdr);
	if (r < 0)
		return r;
	load(d, &s);
	if (s.version != 1 || (s.incompat & ~FEATURE_INCOMPAT_KNOWN) != 0)
		return -VMFS_EFEATURE;
	if (le16_get(d->slots) != SLOTS_MAX ||
	    !bytes_are_zero(d->reserved0, sizeof(d->reserved0)) ||
	    !bytes_are_zero(d->reserved1, sizeof(d->reserved1)))
		return -VMFS_ECORRUPT;
	r = super_check(&s);
	if (r < 0)
		return r;
	*ret_s = s;
	return 0;
}

static void
store_tables(struct super_disk *d, const struct super *s)
{
	d->extents = le16((uint16_t)s->extents);
	d->segments = le16((uint16_t)s->segments);
	for (unsigned i = 0; i < s->extents; i++) {
		memcpy(d->extent[i].uuid, s->extent[i].uuid.b, 16);
		d->extent[i].first_block = le64(s->extent[i].first_block);
		d->extent[i].blocks = le64(s->extent[i].blocks);
		d->extent[i].lun_block = le64(s->extent[i].lun_block);
		d->extent_flags[i] = (uint8_t)s->extent[i].flags;
	}
	for (unsigned i = 0; i < s->segments; i++) {
		d->segment[i].first_cluster = le64(s->segment[i].first_cluster);
		d->segment[i].clusters = le64(s->segment[i].clusters);
		d->segment[i].table_block = le64(s->segment[i].table_block);
	}
}

void
super_encode(void *buf, uint64_t block, const struct super *s)
{
	struct super_disk *d = buf;

	memset(d, 0, sizeof(*d));
	memcpy(d->magic, SUPER_MAGIC, sizeof(d->magic));
	d->version = le32(s->version);
	d->sector_size = le32(s->sector_size);
	d->generation = le64(s->generation);
	d->compat = le64(s->compat);
	d->ro_compat = le64(s->ro_compat);
	d->incompat = le64(s->incompat);
	memcpy(d->uuid, s->uuid.b, sizeof(d->uuid));
	memcpy(d->new_uuid, s->new_uuid.b, sizeof(d->new_uuid));
	memcpy(d->label, s->label, strnlen(s->label, SUPER_LABEL_MAX));
	d->blocks = le64(s->blocks);
	d->cluster_blocks = le32(s->cluster_blocks);
	d->journal_blocks = le32(s->journal_blocks);
	d->copy2_block = le64(s->copy2_block);
	d->root_ino = le64(s->root_ino);
	d->created_us = le64(s->created_us);
	d->prev_blocks = le64(s->prev_blocks);
	d->lock_protocol = le16((uint16_t)s->protocol);
	d->slots = le16(SLOTS_MAX);
	d->pulse_ms = le32(s->timers.pulse_ms);
	d->io_ms = le32(s->timers.io_ms);
	d->freeze_ms = le32(s->timers.freeze_ms);
	d->fence_ms = le32(s->timers.fence_ms);
	d->fence_hint_ms = le32(s->timers.fence_hint_ms);
	d->watchdog_ms = le32(s->timers.watchdog_ms);
	d->bound_ms = le32(s->timers.bound_ms);
	memcpy(d->lun_serial, s->lun_serial,
	    strnlen(s->lun_serial, sizeof(d->lun_serial)));
	store_tables(d, s);
	block_hdr_encode(buf, &(struct block_hdr) {
		.type = BLOCK_SUPER,
		.addr = block,
		.lsn = s->generation,
	}, &s->uuid);
}
