/* SPDX-License-Identifier: BSD-2-Clause */
/* Superblock copies and heartbeat slots. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libvmfs/base/cleanup.h"
#include "libvmfs/check/check_priv.h"
#include "libvmfs/core/ds.h"
#include "libvmfs/core/recover.h"

static int
check_super_copy(struct check *c, unsigned n, uint64_t block, void *buf)
{
	struct super s;
	int rc;

	rc = disk_read(c->conf->disk, block * BLOCK_SIZE, buf, BLOCK_SIZE);
	if (rc == 0)
		rc = super_decode(buf, block, &s);
	if (rc == 0 && uuid_equal(&s.uuid, &c->super.uuid) &&
	    s.generation == c->super.generation)
		return 0;
	if (c->conf->repair) {
		super_encode(buf, block, &c->super);
		rc = disk_write(c->conf->disk, block * BLOCK_SIZE, buf,
		    BLOCK_SIZE, 0);
		if (rc != 0)
			return rc;
	}
	check_report(c, CHECK_SUPER_COPY, CHECK_HARMLESS, block,
	    c->conf->repair, "superblock copy %u at block %llu is damaged or "
	    "out of date; the other copies are good", n,
	    (unsigned long long)block);
	return 0;
}

int
check_supers(struct check *c)
{
	cleanup_free uint8_t *buf = disk_buf_alloc(BLOCK_SIZE);
	uint64_t copy[3];
	int rc;

	if (buf == NULL)
		return -ENOMEM;
	check_progress(c, "superblocks", 0);
	rc = super_read(c->conf->disk, &c->super);
	if (rc != 0)
		return rc;
	copy[0] = SUPER_BLOCK_0;
	copy[1] = SUPER_BLOCK_1;
	copy[2] = c->super.copy2_block;
	for (unsigned i = 0; i < 3 && rc == 0; i++)
		rc = check_super_copy(c, i, copy[i], buf);
	return rc;
}

/* The journal's chunks are in use, and nothing in the tree names them. */
static void
check_slot_journal(struct check *c, const struct heartbeat *hb)
{
	char object[96];
	uint64_t first = hb->journal_block / CHUNK_BLOCKS;
	uint64_t end;

	if (hb->journal_block == 0)
		return;
	snprintf(object, sizeof(object), "the journal of slot %u (%s)",
	    hb->slot, hb->name);
	end = (hb->journal_block + hb->journal_blocks + CHUNK_BLOCKS - 1) /
	    CHUNK_BLOCKS;
	check_mark_chunks(c, first, end - first, true, 0, object);
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
		rc = recover_journal(c->conf->env, c->conf->disk, &c->super,
		    &dead, &rep);
	if (rc == -VMFS_ECORRUPT)
		rc = recover_journal_cut(c->conf->env, c->conf->disk,
		    &c->super, &dead, &rep);
	if (rc != 0) {
		check_report(c, CHECK_SLOT_DIRTY, CHECK_DAMAGE,
		    SLOT_TABLE_BLOCK + hb->slot, false, "host %s (slot %u) "
		    "died and its journal cannot be replayed: %s", hb->name,
		    hb->slot, vmfs_strerror(rc));
		return 0;
	}
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
	return disk_write(c->conf->disk,
	    (uint64_t)(SLOT_TABLE_BLOCK + hb->slot) * BLOCK_SIZE, block,
	    c->super.sector_size == BLOCK_SIZE ? BLOCK_SIZE : LOCK_RECORD_SIZE,
	    DISK_FUA);
}

static int
check_slot(struct check *c, unsigned slot, uint8_t *block)
{
	struct heartbeat hb;
	int rc;

	rc = heartbeat_decode(block, &c->super.uuid, slot, &hb);
	if (rc != 0) {
		check_report(c, CHECK_SLOT, CHECK_DAMAGE,
		    SLOT_TABLE_BLOCK + slot, false, "heartbeat slot %u is "
		    "damaged: no host can take it, and what its host held "
		    "stays locked", slot);
		return 0;
	}
	if (hb.state != SLOT_FREE && (int)slot != c->conf->own_slot)
		rc = check_slot_dead(c, &hb, block);
	if (rc == 0)
		check_slot_journal(c, &hb);
	return rc;
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
