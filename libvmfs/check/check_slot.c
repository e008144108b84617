/* SPDX-License-Identifier: BSD-2-Clause */
/* Heartbeat slots: their records, journals and lists. */
#include <stdlib.h>
#include <string.h>

#include "libvmfs/base/cleanup.h"
#include "libvmfs/check/check_priv.h"
#include "libvmfs/core/recover.h"
#include "libvmfs/format/journal.h"

/* What a damaged record may have been ahead of all that is known of it. */
#define INCARNATION_MARGIN (1u << 16)
#define SCAN_AHEAD 64u

/* The record of the member that checks beats; nobody else writes to it. */
static bool
may_write(const struct check *c, unsigned slot)
{
	return c->conf->repair && (int)slot != c->conf->own_slot;
}

/* The journal's chunks are in use, and nothing in the tree names them. */
static int
check_slot_journal(struct check *c, struct heartbeat *hb, uint8_t *block)
{
	uint64_t first = hb->journal_block / CHUNK_BLOCKS;
	uint64_t end;

	if (hb->journal_block == 0)
		return 0;
	end = (hb->journal_block + hb->journal_blocks + CHUNK_BLOCKS - 1) /
	    CHUNK_BLOCKS;
	if (check_mark_chunks(c, first, end - first, true) == 0)
		return 0;
	check_report(c, CHECK_SLOT, CHECK_DAMAGE, SLOT_TABLE_BLOCK + hb->slot,
	    may_write(c, hb->slot), "the journal of slot %u (%s) lies where "
	    "it cannot be, at block %llu: the slot gets a new one", hb->slot,
	    hb->name, (unsigned long long)hb->journal_block);
	if (!may_write(c, hb->slot))
		return 0;
	hb->journal_block = 0;
	hb->journal_blocks = 0;
	heartbeat_encode(block, &c->super.uuid, hb);
	return check_write_sector(c, SLOT_TABLE_BLOCK + hb->slot, block);
}

/* All that is whole; what lies behind a hole is given up. */
static int
replay(struct check *c, const struct heartbeat *dead,
    struct recover_report *rep)
{
	int rc;

	rc = recover_journal(c->conf->env, c->conf->disk, &c->super, dead,
	    rep);
	if (rc == -VMFS_ECORRUPT)
		rc = recover_journal_cut(c->conf->env, c->conf->disk,
		    &c->super, dead, rep);
	check_ahead_forget(c);
	return rc;
}

/* Neither head of the journal is sound: nothing says what is to be replayed. */
static int
check_journal_lost(struct check *c, struct heartbeat *hb, uint8_t *block)
{
	check_report(c, CHECK_SLOT_DIRTY, CHECK_DAMAGE,
	    SLOT_TABLE_BLOCK + hb->slot, c->conf->repair, "host %s (slot %u) "
	    "died and its journal is damaged: what it had flushed and not yet "
	    "put in its place is lost", hb->name, hb->slot);
	if (!c->conf->repair)
		return 0;
	if (hb->state != SLOT_RECOVERING)
		hb->incarnation++;
	hb->state = SLOT_FREE;
	hb->journal_block = 0;
	hb->journal_blocks = 0;
	heartbeat_encode(block, &c->super.uuid, hb);
	return check_write_sector(c, SLOT_TABLE_BLOCK + hb->slot, block);
}

/* A slot whose host died: replay, and free the slot when we may write. */
static int
check_slot_dead(struct check *c, struct heartbeat *hb, uint8_t *block)
{
	struct recover_report rep = { .commits = 0 };
	struct heartbeat dead = *hb;
	int rc = 0;

	if (hb->state == SLOT_RECOVERING)
		dead.incarnation--;
	if (hb->journal_block != 0)
		rc = replay(c, &dead, &rep);
	/* What it had not put in its place is lost: the rest is checked. */
	if (rc == -VMFS_ECORRUPT)
		return check_journal_lost(c, hb, block);
	if (rc != 0)
		return rc;
	if (rep.last_lsn > c->memory->max_lsn)
		c->memory->max_lsn = rep.last_lsn;
	if (rep.cut)
		check_report(c, CHECK_SLOT_DIRTY, CHECK_DAMAGE,
		    SLOT_TABLE_BLOCK + hb->slot, c->conf->repair, "the journal "
		    "of host %s (slot %u) is damaged: changes that the host "
		    "had acknowledged are lost", hb->name, hb->slot);
	check_report(c, CHECK_SLOT_DIRTY, CHECK_NOTE,
	    SLOT_TABLE_BLOCK + hb->slot, c->conf->repair, "host %s (slot %u) "
	    "did not leave in good order: journal replayed%s, %llu commits, "
	    "%llu records", hb->name, hb->slot,
	    c->conf->repair ? "" : " in memory only",
	    (unsigned long long)rep.commits, (unsigned long long)rep.applied);
	if (!c->conf->repair)
		return 0;
	/* The replay may have changed what lies behind the record. */
	rc = disk_read(c->conf->disk,
	    (uint64_t)(SLOT_TABLE_BLOCK + hb->slot) * BLOCK_SIZE, block,
	    BLOCK_SIZE);
	if (rc != 0)
		return rc;
	if (hb->state != SLOT_RECOVERING)
		hb->incarnation++;
	hb->state = SLOT_FREE;
	heartbeat_encode(block, &c->super.uuid, hb);
	return check_write_sector(c, SLOT_TABLE_BLOCK + hb->slot, block);
}

/* ---- a record that is damaged ---- */

struct found_journal {
	uint64_t slot_block;
	struct journal_head head;
	uint64_t block;		/* 0: not found */
};

/* Heads of journals stand at the start of a chunk. */
static int
journal_scan_chunks(struct check *c, const uint64_t *blocks, unsigned n,
    uint8_t *buf, struct found_journal *f)
{
	const struct block_hdr_disk *h = (const void *)buf;
	int rc = 0;

	check_read_ahead(c, blocks, n);
	for (unsigned i = 0; i < n && rc == 0; i++) {
		for (unsigned copy = 0; copy < 2; copy++) {
			struct journal_head head;

			/* The second copy only of what has a first. */
			if (copy == 1 && f->block != blocks[i])
				break;
			rc = check_block(c, blocks[i] + copy,
			    BLOCK_JOURNAL_HEAD, buf);
			if (rc == 0 && le64_get(h->owner) == f->slot_block)
				rc = journal_head_decode(buf, &c->super.uuid,
				    blocks[i] + copy, &head);
			else if (rc == 0)
				rc = -VMFS_ECORRUPT;
			if (rc != 0)
				break;
			if (f->block != 0 && head.head_sequence <
			    f->head.head_sequence)
				continue;
			f->head = head;
			f->block = blocks[i];
		}
		rc = rc == -VMFS_ECORRUPT ? 0 : rc;
	}
	return rc;
}

/* Looks at the first block of every chunk in use: only where a record is lost
 * is that worth its time. */
static int
journal_find(struct check *c, struct found_journal *f)
{
	uint32_t per = c->super.cluster_blocks / CHUNK_BLOCKS;
	cleanup_free uint8_t *cluster = disk_buf_alloc(BLOCK_SIZE);
	cleanup_free uint8_t *buf = disk_buf_alloc(BLOCK_SIZE);
	uint64_t blocks[SCAN_AHEAD], b;
	int rc = 0;

	if (cluster == NULL || buf == NULL)
		return -ENOMEM;
	for (uint64_t n = 0; rc == 0 && f->block == 0 &&
	    (b = check_cluster_block(&c->super, n)) != 0; n++) {
		unsigned k = 0;

		rc = check_block(c, b, BLOCK_CLUSTER, cluster);
		if (rc == -VMFS_ECORRUPT) {
			rc = 0;
			continue;
		}
		for (uint32_t i = 0; i < per && rc == 0; i++) {
			if (!cluster_chunk_used(cluster, i))
				continue;
			blocks[k++] = (n * per + i) * CHUNK_BLOCKS;
			if (k < SCAN_AHEAD)
				continue;
			rc = journal_scan_chunks(c, blocks, k, buf, f);
			k = 0;
		}
		if (rc == 0)
			rc = journal_scan_chunks(c, blocks, k, buf, f);
	}
	return rc;
}

/*
 * A free slot with the journal that names it as its owner, and an incarnation
 * that none of its locks can carry.
 */
static int
slot_rebuild(struct check *c, unsigned slot, uint8_t *block,
    struct heartbeat *ret_hb)
{
	struct found_journal f = { .slot_block = SLOT_TABLE_BLOCK + slot };
	struct heartbeat hb = { .slot = slot, .timers = c->super.timers };
	struct recover_report rep = { .commits = 0 };
	struct block_hdr h = { .lockver = 0 };
	int rc;

	if (block_hdr_decode(block, BLOCK_SLOT, &c->super.uuid,
	    SLOT_TABLE_BLOCK + slot, &h) == 0)
		hb.incarnation = h.lockver;
	rc = journal_find(c, &f);
	if (rc != 0)
		return rc;
	if (f.block != 0) {
		hb.journal_block = f.block;
		hb.journal_blocks = f.head.blocks;
		hb.incarnation = f.head.incarnation;
		rc = replay(c, &hb, &rep);
		if (rc == -VMFS_ECORRUPT)
			hb.journal_block = hb.journal_blocks = 0;
		else if (rc != 0)
			return rc;
	}
	if (h.lockver > hb.incarnation)
		hb.incarnation = h.lockver;
	hb.incarnation += INCARNATION_MARGIN;
	hb.lsn = rep.last_lsn > c->memory->max_lsn ? rep.last_lsn :
	    c->memory->max_lsn;
	check_report(c, CHECK_SLOT, CHECK_DAMAGE, SLOT_TABLE_BLOCK + slot,
	    may_write(c, slot), "heartbeat slot %u is damaged: no host can "
	    "take it, and what its host held stays locked; %s", slot,
	    f.block == 0 ? "no journal of it was found" :
	    rep.cut ? "its journal is damaged, too: changes that it had "
	    "acknowledged are lost" :
	    rep.commits > 0 ? "its journal was found and replayed" :
	    "its journal was found, with nothing to replay");
	*ret_hb = hb;
	if (!may_write(c, slot))
		return 0;
	/* The replay may have changed what lies behind the record. */
	rc = check_read(c, SLOT_TABLE_BLOCK + slot, block);
	if (rc != 0)
		return rc;
	heartbeat_encode(block, &c->super.uuid, &hb);
	return check_write_sector(c, SLOT_TABLE_BLOCK + slot, block);
}

/* Orphans and remote frees: without them the space is found as unused. */
static int
check_slot_info(struct check *c, unsigned slot, uint8_t *block)
{
	uint64_t b = SLOT_TABLE_BLOCK + slot;
	bool may = may_write(c, slot) || (c->conf->repair &&
	    c->super.sector_size < BLOCK_SIZE);
	struct block_hdr h;

	if (block_hdr_decode(block, BLOCK_SLOT, &c->super.uuid, b, &h) == 0 &&
	    slot_info_check(block) == 0)
		return 0;
	check_report(c, CHECK_SLOT, CHECK_DAMAGE, b, may, "the slot info of "
	    "slot %u is damaged: what it listed for deletion is looked for",
	    slot);
	memset(block + LOCK_RECORD_SIZE, 0, BLOCK_SIZE - LOCK_RECORD_SIZE);
	return may ? check_write_new(c, b, BLOCK_SLOT, b, block) : 0;
}

/* A slot is free only when its log is empty: a commit there was forgotten. */
static int
check_journal_rest(struct check *c, const struct heartbeat *hb,
    const struct journal_head *head, uint8_t *buf)
{
	struct recover_report rep = { .commits = 0 };
	struct heartbeat dead = *hb;
	struct journal_commit k;
	int rc;

	if (head->tail_block >= hb->journal_blocks)
		return 0;
	rc = check_read(c, hb->journal_block + head->tail_block, buf);
	if (rc != 0 || journal_commit_decode(buf, &c->super.uuid,
	    (size_t)(hb->journal_blocks - head->tail_block) * BLOCK_SIZE,
	    &k) != 0 || k.incarnation != head->incarnation ||
	    k.sequence != head->tail_sequence ||
	    k.prev_crc != head->tail_prev_crc)
		return rc;
	if (dead.incarnation < head->incarnation)
		dead.incarnation = head->incarnation;
	rc = replay(c, &dead, &rep);
	if (rc != 0)
		return rc == -VMFS_ECORRUPT ? 0 : rc;
	check_report(c, CHECK_SLOT_DIRTY, CHECK_NOTE, SLOT_TABLE_BLOCK +
	    hb->slot, c->conf->repair, "slot %u is free and its journal was "
	    "not empty: replayed, %llu commits, %llu records", hb->slot,
	    (unsigned long long)rep.commits, (unsigned long long)rep.applied);
	return 0;
}

/* The log of a slot that is free is empty, but its heads must be sound. */
static int
check_journal_heads(struct check *c, struct heartbeat *hb, uint8_t *block)
{
	cleanup_free uint8_t *buf = disk_buf_alloc(BLOCK_SIZE);
	struct recover_report rep = { .commits = 0 };
	unsigned bad = 0, bad_copy = 0;
	struct journal_head head, newest = { .head_sequence = 0 };
	struct heartbeat dead = *hb;
	int rc;

	if (buf == NULL)
		return -ENOMEM;
	for (unsigned i = 0; i < JOURNAL_FIRST_BLOCK; i++) {
		rc = check_block(c, hb->journal_block + i, BLOCK_JOURNAL_HEAD,
		    buf);
		if (rc == 0)
			rc = journal_head_decode(buf, &c->super.uuid,
			    hb->journal_block + i, &head);
		if (rc != 0 && rc != -VMFS_ECORRUPT)
			return rc;
		if (rc == 0 && head.incarnation > dead.incarnation)
			dead.incarnation = head.incarnation;
		if (rc == 0 && head.head_sequence >= newest.head_sequence)
			newest = head;
		bad += rc != 0;
		bad_copy = rc != 0 ? i : bad_copy;
	}
	if (bad == 0)
		return check_journal_rest(c, hb, &newest, buf);
	check_report(c, CHECK_SLOT, CHECK_HARMLESS, hb->journal_block +
	    bad_copy, c->conf->repair, bad == 1 ? "a head of the journal of "
	    "slot %u is damaged; the other is good" : "both heads of the "
	    "journal of slot %u are damaged; it was empty, the slot gets a "
	    "new one", hb->slot);
	if (!c->conf->repair)
		return 0;
	/* The older head may stand before commits that have long been in
	 * their places: replay passes over them. */
	if (bad == 1)
		rc = replay(c, &dead, &rep);
	if (bad == 1 && rc != -VMFS_ECORRUPT)
		return rc;
	hb->journal_block = 0;
	hb->journal_blocks = 0;
	heartbeat_encode(block, &c->super.uuid, hb);
	return check_write_sector(c, SLOT_TABLE_BLOCK + hb->slot, block);
}

static int
check_slot(struct check *c, unsigned slot, uint8_t *block)
{
	struct heartbeat hb;
	int rc;

	rc = heartbeat_decode(block, &c->super.uuid, slot, &hb);
	if (rc != 0)
		rc = slot_rebuild(c, slot, block, &hb);
	else if (hb.state != SLOT_FREE && (int)slot != c->conf->own_slot)
		rc = check_slot_dead(c, &hb, block);
	if (rc == 0 && hb.lsn > c->memory->max_lsn &&
	    hb.lsn < UINT64_MAX / 4)
		c->memory->max_lsn = hb.lsn;
	if (rc == 0 && hb.state == SLOT_FREE && hb.journal_block != 0 &&
	    (int)slot != c->conf->own_slot)
		rc = check_journal_heads(c, &hb, block);
	if (rc == 0)
		rc = check_slot_journal(c, &hb, block);
	/* The replay may have changed it, and the rebuilding, too. */
	if (rc == 0 && (hb.state != SLOT_FREE || c->conf->repair))
		rc = check_read(c, SLOT_TABLE_BLOCK + slot, block);
	return rc != 0 ? rc : check_slot_info(c, slot, block);
}

int
check_slots(struct check *c)
{
	cleanup_free uint8_t *table = disk_buf_alloc(SLOTS_MAX * BLOCK_SIZE);
	int rc;

	if (table == NULL)
		return -ENOMEM;
	check_progress(c, "journals", 20);
	rc = disk_read(c->conf->disk, (uint64_t)SLOT_TABLE_BLOCK * BLOCK_SIZE,
	    table, SLOTS_MAX * BLOCK_SIZE);
	for (unsigned i = 0; i < SLOTS_MAX && rc == 0; i++)
		rc = check_slot(c, i, table + (size_t)i * BLOCK_SIZE);
	return rc;
}
