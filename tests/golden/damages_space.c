/* SPDX-License-Identifier: BSD-2-Clause */
/* Damage to superblocks, slots, journals, clusters and metachunks. */
#include <stdlib.h>
#include <string.h>

#include "tests/golden/damage_util.h"

/* ---- superblock ---- */

static void
super_copy0_flipped(struct volume *v, struct disk *d)
{
	(void)v;
	dmg_flip(d, SUPER_BLOCK_0, 200);
}

static void
super_copy1_zeroed(struct volume *v, struct disk *d)
{
	(void)v;
	dmg_zero(d, SUPER_BLOCK_1);
}

static void
super_copies_0_and_1_lost(struct volume *v, struct disk *d)
{
	(void)v;
	dmg_zero(d, SUPER_BLOCK_0);
	dmg_flip(d, SUPER_BLOCK_1, 4000);
}

static void
super_copy2_of_another_volume(struct volume *v, struct disk *d)
{
	dmg_foreign(v, d, v->super.copy2_block);
}

static void
super_copy2_stale(struct volume *v, struct disk *d)
{
	struct super s = v->super;
	uint8_t buf[BLOCK_SIZE];

	s.generation++;
	super_encode(buf, SUPER_BLOCK_0, &s);
	dmg_put(d, SUPER_BLOCK_0, buf);
	super_encode(buf, SUPER_BLOCK_1, &s);
	dmg_put(d, SUPER_BLOCK_1, buf);
}

static void
super_copy_of_another_place(struct volume *v, struct disk *d)
{
	(void)v;
	dmg_copy(d, SUPER_BLOCK_1, SUPER_BLOCK_0);
}

/* ---- slots ---- */

static void
slot_record_flipped(struct volume *v, struct disk *d)
{
	(void)v;
	dmg_flip(d, SLOT0, 40);
}

static void
slot_record_of_another_slot(struct volume *v, struct disk *d)
{
	uint8_t a[BLOCK_SIZE], b[BLOCK_SIZE];

	(void)v;
	dmg_get(d, SLOT0, a);
	dmg_get(d, SLOT0 + 7, b);
	memcpy(b, a, LOCK_RECORD_SIZE);
	dmg_put(d, SLOT0 + 7, b);
}

static void
slot_record_lost_with_a_full_journal(struct volume *v, struct disk *d)
{
	volume_crash(v, d);
	dmg_flip(d, SLOT0, 50);
}

static void
slot_never_used_is_flipped(struct volume *v, struct disk *d)
{
	(void)v;
	dmg_flip(d, SLOT0 + 200, 100);
}

static void
slot_of_a_dead_host(struct volume *v, struct disk *d)
{
	volume_crash(v, d);
}

static void
slot_info_flipped(struct volume *v, struct disk *d)
{
	(void)v;
	dmg_flip(d, SLOT0, 700);
}

static void
slot_info_zeroed(struct volume *v, struct disk *d)
{
	uint8_t buf[BLOCK_SIZE];

	(void)v;
	dmg_get(d, SLOT0, buf);
	memset(buf + LOCK_RECORD_SIZE, 0, BLOCK_SIZE - LOCK_RECORD_SIZE);
	dmg_put(d, SLOT0, buf);
}

static void
slot_edit(struct volume *v, struct disk *d, uint32_t orphans,
    uint64_t orphan, uint64_t remote)
{
	uint8_t buf[BLOCK_SIZE];
	struct slot_info_disk *s = (void *)(buf + LOCK_RECORD_SIZE);

	dmg_open_block(v, d, SLOT0, buf);
	s->orphans = le32(orphans);
	s->orphan[0] = le64(orphan);
	s->remote_free = le64(remote);
	dmg_seal(v, d, SLOT0, BLOCK_SLOT, buf);
}

static void
slot_counts_too_many_orphans(struct volume *v, struct disk *d)
{
	slot_edit(v, d, 500, 1, 0);
}

static void
slot_orphan_is_out_of_range(struct volume *v, struct disk *d)
{
	slot_edit(v, d, 1, v->super.blocks + 5, 0);
}

static void
slot_orphan_is_data(struct volume *v, struct disk *d)
{
	slot_edit(v, d, 1, dmg_data_block(v, d), 0);
}

static void
slot_remote_free_is_data(struct volume *v, struct disk *d)
{
	slot_edit(v, d, 0, 0, dmg_data_block(v, d));
}

static void
slot_remote_free_is_an_inode(struct volume *v, struct disk *d)
{
	slot_edit(v, d, 0, 0, v->twin);
}

static void
journal_head_flipped(struct volume *v, struct disk *d)
{
	dmg_flip(d, v->journal, 70);
}

static void
journal_heads_zeroed(struct volume *v, struct disk *d)
{
	dmg_zero(d, v->journal);
	dmg_zero(d, v->journal + 1);
}

static void
journal_of_a_dead_host_lost(struct volume *v, struct disk *d)
{
	volume_crash(v, d);
	journal_heads_zeroed(v, d);
}

static void
journal_is_out_of_range(struct volume *v, struct disk *d)
{
	uint8_t buf[BLOCK_SIZE];
	struct heartbeat hb;

	dmg_get(d, SLOT0, buf);
	if (heartbeat_decode(buf, &v->super.uuid, 0, &hb) != 0)
		dmg_die("is no slot", SLOT0);
	hb.journal_block = v->super.blocks + 16;
	heartbeat_encode(buf, &v->super.uuid, &hb);
	dmg_put(d, SLOT0, buf);
}

/* ---- clusters ---- */

static void
cluster_flipped(struct volume *v, struct disk *d)
{
	(void)v;
	dmg_flip(d, CLUSTER0, 700);
}

static void
cluster_zeroed(struct volume *v, struct disk *d)
{
	(void)v;
	dmg_zero(d, CLUSTER0);
}

static void
cluster_lock_flipped(struct volume *v, struct disk *d)
{
	(void)v;
	dmg_flip(d, CLUSTER0, 50);
}

static void
cluster_of_another_place(struct volume *v, struct disk *d)
{
	(void)v;
	dmg_copy(d, CLUSTER0 + 1, CLUSTER0);
}

static void
cluster_of_another_volume(struct volume *v, struct disk *d)
{
	dmg_foreign(v, d, CLUSTER0);
}

static void
cluster_stale(struct volume *v, struct disk *d)
{
	dmg_stale(v, d, CLUSTER0);
}

static struct cluster_disk *
cluster_open(struct volume *v, struct disk *d, uint8_t *buf)
{
	dmg_open_block(v, d, CLUSTER0, buf);
	return (void *)(buf + LOCK_RECORD_SIZE);
}

static void
cluster_counts_are_wrong(struct volume *v, struct disk *d)
{
	uint8_t buf[BLOCK_SIZE];
	struct cluster_disk *k = cluster_open(v, d, buf);

	k->free_chunks = le32(le32_get(k->free_chunks) + 3);
	dmg_seal(v, d, CLUSTER0, BLOCK_CLUSTER, buf);
}

static void
cluster_meta_counts_are_wrong(struct volume *v, struct disk *d)
{
	uint8_t buf[BLOCK_SIZE];
	struct cluster_disk *k = cluster_open(v, d, buf);

	k->free_meta_blocks = le32(le32_get(k->free_meta_blocks) - 1);
	dmg_seal(v, d, CLUSTER0, BLOCK_CLUSTER, buf);
}

static void
cluster_bitmap_all_free(struct volume *v, struct disk *d)
{
	uint8_t buf[BLOCK_SIZE];
	struct cluster_disk *k = cluster_open(v, d, buf);

	memset(k->used, 0, sizeof(k->used));
	k->free_chunks = k->chunks;
	dmg_seal(v, d, CLUSTER0, BLOCK_CLUSTER, buf);
}

static void
cluster_bitmap_all_used(struct volume *v, struct disk *d)
{
	uint8_t buf[BLOCK_SIZE];
	struct cluster_disk *k = cluster_open(v, d, buf);

	memset(k->used, 0xff, le32_get(k->chunks) / 8);
	k->free_chunks = le32(0);
	dmg_seal(v, d, CLUSTER0, BLOCK_CLUSTER, buf);
}

static void
cluster_knows_no_metachunks(struct volume *v, struct disk *d)
{
	uint8_t buf[BLOCK_SIZE];
	struct cluster_disk *k = cluster_open(v, d, buf);

	memset(k->meta, 0, sizeof(k->meta));
	k->metachunks = k->free_meta_blocks = le32(0);
	dmg_seal(v, d, CLUSTER0, BLOCK_CLUSTER, buf);
}

static void
cluster_number_is_wrong(struct volume *v, struct disk *d)
{
	uint8_t buf[BLOCK_SIZE];
	struct cluster_disk *k = cluster_open(v, d, buf);

	k->cluster = le64(3);
	dmg_seal(v, d, CLUSTER0, BLOCK_CLUSTER, buf);
}

static void
clusters_all_flipped(struct volume *v, struct disk *d)
{
	uint64_t n = (v->super.blocks + v->super.cluster_blocks - 1) /
	    v->super.cluster_blocks;

	for (uint64_t i = 0; i < n; i++)
		dmg_flip(d, CLUSTER0 + i, 700);
}

/* ---- metachunks ---- */

static void
metachunk_flipped(struct volume *v, struct disk *d)
{
	dmg_flip(d, dmg_metachunk(v->dir), 64);
}

static void
metachunk_zeroed(struct volume *v, struct disk *d)
{
	dmg_zero(d, dmg_metachunk(v->dir));
}

static void
metachunk_of_another_volume(struct volume *v, struct disk *d)
{
	dmg_foreign(v, d, dmg_metachunk(v->dir));
}

static void
metachunk_of_another_place(struct volume *v, struct disk *d)
{
	dmg_copy(d, dmg_metachunk(v->disk_ino), dmg_metachunk(v->dir));
}

static void
metachunk_stale(struct volume *v, struct disk *d)
{
	/* The blocks that the clone's last write got. */
	dmg_stale(v, d, dmg_metachunk(dmg_map_root(v, d, v->clone)));
}

static void
metachunk_has_another_owner(struct volume *v, struct disk *d)
{
	dmg_disown(v, d, dmg_metachunk(v->dir), CLUSTER0 + 2);
}

static struct metachunk_disk *
metachunk_open(struct volume *v, struct disk *d, uint8_t *buf)
{
	dmg_open_block(v, d, dmg_metachunk(v->twin), buf);
	return (void *)buf;
}

static void
metachunk_block_marked_free(struct volume *v, struct disk *d)
{
	unsigned i = (unsigned)(v->twin % CHUNK_BLOCKS);
	uint8_t buf[BLOCK_SIZE];
	struct metachunk_disk *m = metachunk_open(v, d, buf);

	m->used = le16((uint16_t)(le16_get(m->used) & ~(1u << i)));
	m->type[i] = 0;
	dmg_seal(v, d, dmg_metachunk(v->twin), BLOCK_METACHUNK, buf);
}

static void
metachunk_block_of_wrong_type(struct volume *v, struct disk *d)
{
	uint8_t buf[BLOCK_SIZE];
	struct metachunk_disk *m = metachunk_open(v, d, buf);

	m->type[v->twin % CHUNK_BLOCKS] = BLOCK_MAP_LEAF;
	dmg_seal(v, d, dmg_metachunk(v->twin), BLOCK_METACHUNK, buf);
}

/* Blocks that nothing uses are marked used. */
static void
metachunk_block_leaked(struct volume *v, struct disk *d)
{
	uint64_t n = v->super.blocks / CHUNK_BLOCKS;
	uint8_t buf[BLOCK_SIZE];
	struct metachunk_disk *m = (void *)buf;
	struct block_hdr h;

	while (n-- > 0) {
		uint64_t b = n * CHUNK_BLOCKS;

		dmg_get(d, b, buf);
		if (block_hdr_decode(buf, BLOCK_METACHUNK, &v->super.uuid, b,
		    &h) != 0 || le16_get(m->used) == 0 ||
		    le16_get(m->used) == 0xffff)
			continue;
		for (unsigned i = 1; i < CHUNK_BLOCKS; i++)
			if (m->type[i] == 0)
				m->type[i] = BLOCK_MAP_LEAF;
		m->used = le16(0xffff);
		dmg_seal(v, d, b, BLOCK_METACHUNK, buf);
		return;
	}
	dmg_die("no metachunk has room", 0);
}

const struct damage damages_space[] = {
	D(super_copy0_flipped, 0),
	D(super_copy1_zeroed, 0),
	D(super_copies_0_and_1_lost, 0),
	D(super_copy2_of_another_volume, 0),
	D(super_copy2_stale, 0),
	D(super_copy_of_another_place, 0),
	D(slot_record_flipped, 0),
	D(slot_record_of_another_slot, 0),
	D(slot_record_lost_with_a_full_journal, 0),
	D(slot_never_used_is_flipped, 0),
	D(slot_of_a_dead_host, 0),
	D(slot_info_flipped, 0),
	D(slot_info_zeroed, 0),
	D(slot_counts_too_many_orphans, 0),
	D(slot_orphan_is_out_of_range, 0),
	D(slot_orphan_is_data, 0),
	D(slot_remote_free_is_data, 0),
	D(slot_remote_free_is_an_inode, 0),
	D(journal_head_flipped, 0),
	D(journal_heads_zeroed, 0),
	D(journal_of_a_dead_host_lost, 0),
	D(journal_is_out_of_range, 0),
	D(cluster_flipped, 0),
	D(cluster_zeroed, 0),
	D(cluster_lock_flipped, 0),
	D(cluster_of_another_place, 0),
	D(cluster_of_another_volume, 0),
	D(cluster_stale, 0),
	D(cluster_counts_are_wrong, 0),
	D(cluster_meta_counts_are_wrong, 0),
	D(cluster_bitmap_all_free, 0),
	D(cluster_bitmap_all_used, 0),
	D(cluster_knows_no_metachunks, 0),
	D(cluster_number_is_wrong, 0),
	D(clusters_all_flipped, 0),
	D(metachunk_flipped, 0),
	D(metachunk_zeroed, 0),
	D(metachunk_of_another_volume, 0),
	D(metachunk_of_another_place, 0),
	D(metachunk_stale, 0),
	D(metachunk_has_another_owner, 0),
	D(metachunk_block_marked_free, 0),
	D(metachunk_block_of_wrong_type, 0),
	D(metachunk_block_leaked, 0),
	{ NULL, NULL, 0, 0 },
};
