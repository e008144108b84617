/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The ring of commits: where the next one goes, and what is not needed any
 * more.  Replay is in recover.c.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "libvmfs/base/cleanup.h"
#include "libvmfs/core/ds_priv.h"

static uint32_t
ring_blocks(const struct journal *j)
{
	return j->blocks - JOURNAL_FIRST_BLOCK;
}

/* A third fits wherever an empty ring's position is, with room to spare. */
uint32_t
journal_max_commit(const struct journal *j)
{
	return ring_blocks(j) / 3;
}

/*
 * Position for `blocks` more, 0 when there is no room.  pos == tail_pos means
 * empty or full; sequences tell which.
 */
static uint32_t
place(const struct journal *j, uint32_t pos, bool empty, uint32_t blocks)
{
	if (!empty && pos <= j->tail_pos)
		return pos + blocks <= j->tail_pos ? pos : 0;
	if (pos + blocks <= j->blocks)
		return pos;
	/* Wrap; what lies before the tail must stay. */
	return JOURNAL_FIRST_BLOCK + blocks <=
	    (empty ? j->blocks : j->tail_pos) ? JOURNAL_FIRST_BLOCK : 0;
}

static bool
is_empty(const struct journal *j)
{
	return j->sequence == j->tail_sequence;
}

bool
journal_fits(const struct journal *j, uint32_t blocks)
{
	return place(j, j->pos, is_empty(j), blocks) != 0;
}

bool
journal_fits_after(const struct journal *j, uint32_t blocks)
{
	struct journal after = *j;
	uint32_t at = place(j, j->pos, is_empty(j), blocks);

	if (at == 0)
		return false;
	/* In an empty ring, the commit itself is the new tail. */
	if (is_empty(j) && at != j->pos)
		after.tail_pos = j->pos;
	after.pos = at + blocks;
	return place(&after, after.pos, false, journal_max_commit(j)) != 0;
}

bool
journal_half_full(const struct journal *j)
{
	uint32_t used = j->pos >= j->tail_pos ? j->pos - j->tail_pos :
	    ring_blocks(j) - (j->tail_pos - j->pos);

	return !is_empty(j) && used > ring_blocks(j) / 2;
}

static int
write_at(struct ds *ds, uint32_t pos, const void *buf, size_t len)
{
	return disk_write(ds->conf.disk, (ds->journal.base + pos) <<
	    BLOCK_SHIFT, buf, len, DISK_FUA);
}

static void
seal(struct ds *ds, uint8_t *buf, struct journal_commit *c)
{
	struct journal *j = &ds->journal;

	c->incarnation = ds->conf.locks->incarnation;
	c->sequence = j->sequence++;
	c->prev_crc = j->prev_crc;
	journal_commit_encode(buf, &ds->super.uuid, c);
	j->prev_crc = c->crc;
}

/* Durable before the commit at the start of the ring: a reader that misses
 * it would end the log here. */
static int
write_wrap(struct ds *ds)
{
	cleanup_free uint8_t *buf = disk_buf_alloc(BLOCK_SIZE);
	struct journal_commit c = {
		.length = sizeof(struct journal_commit_disk),
		.flags = JOURNAL_WRAP,
		.lsn = ds->conf.locks->lsn,
	};

	if (buf == NULL)
		return -ENOMEM;
	seal(ds, buf, &c);
	return write_at(ds, ds->journal.pos, buf, BLOCK_SIZE);
}

int
journal_append(struct ds *ds, uint8_t *buf, struct journal_commit *c)
{
	struct journal *j = &ds->journal;
	uint32_t blocks = (c->length + BLOCK_SIZE - 1) / BLOCK_SIZE;
	uint32_t at = place(j, j->pos, is_empty(j), blocks);
	int r;

	assert(at != 0);	/* commit_fits has seen to it */
	if (at != j->pos) {
		r = j->pos < j->blocks ? write_wrap(ds) : 0;
		if (r < 0)
			return r;
		j->pos = at;
	}
	seal(ds, buf, c);
	r = write_at(ds, at, buf, (size_t)blocks * BLOCK_SIZE);
	if (r < 0)
		return r;
	j->pos = at + blocks;
	return 0;
}

/* Where replay begins. */
struct tail {
	uint32_t pos;
	uint64_t sequence;
	uint32_t crc;
};

/* Written in turn, so that a torn one leaves the other. */
static int
write_head(struct ds *ds, const struct tail *t)
{
	cleanup_free uint8_t *buf = disk_buf_alloc(BLOCK_SIZE);
	struct journal *j = &ds->journal;
	uint32_t copy = ++j->head_sequence & 1;
	struct journal_head h = {
		.addr = j->base + copy,
		.incarnation = ds->conf.locks->incarnation,
		.head_sequence = j->head_sequence,
		.tail_block = t->pos < j->blocks ? t->pos : JOURNAL_FIRST_BLOCK,
		.tail_sequence = t->sequence,
		.tail_prev_crc = t->crc,
		.blocks = j->blocks,
	};

	if (buf == NULL)
		return -ENOMEM;
	journal_head_encode(buf, &ds->super.uuid,
	    SLOT_TABLE_BLOCK + ds->conf.locks->slot, ds->conf.locks->lsn, &h);
	return write_at(ds, copy, buf, BLOCK_SIZE);
}

int
journal_move_tail(struct ds *ds, uint32_t pos, uint64_t sequence, uint32_t crc)
{
	struct journal *j = &ds->journal;
	struct tail t = { .pos = pos, .sequence = sequence, .crc = crc };
	int r;

	if (sequence == j->tail_sequence)
		return 0;
	/* Commits go on meanwhile: the room is ours only when the head on the
	 * LUN says so. */
	r = write_head(ds, &t);
	if (r < 0)
		return r;
	j->tail_pos = t.pos;
	j->tail_sequence = t.sequence;
	j->tail_crc = t.crc;
	return 0;
}

int
journal_head_read(struct disk *disk, const struct uuid *volume,
    uint64_t base, uint32_t blocks, struct journal_head *ret_h)
{
	cleanup_free uint8_t *buf = disk_buf_alloc(BLOCK_SIZE);
	struct journal_head h, best = { 0 };
	int r, error = -VMFS_ECORRUPT;
	bool found = false;

	if (buf == NULL)
		return -ENOMEM;
	for (unsigned i = 0; i < JOURNAL_FIRST_BLOCK; i++) {
		r = disk_read(disk, (base + i) << BLOCK_SHIFT, buf, BLOCK_SIZE);
		if (r < 0) {
			error = r;
			continue;
		}
		r = journal_head_decode(buf, volume, base + i, &h);
		if (r < 0 || h.blocks != blocks)
			continue;
		if (!found || h.head_sequence > best.head_sequence)
			best = h;
		found = true;
	}
	/* One unreadable copy may be the newer one. */
	if (!found || error != -VMFS_ECORRUPT)
		return error;
	*ret_h = best;
	return 0;
}

/* A fresh log behind what was replayed; sequences go on, so that no old
 * commit can follow ours. */
static int
start_log(struct ds *ds, const struct journal_head *h)
{
	struct journal *j = &ds->journal;
	struct tail t = {
		.pos = (uint32_t)h->tail_block, .sequence = h->tail_sequence,
		.crc = h->tail_prev_crc,
	};
	int r = 0;

	j->head_sequence = h->head_sequence;
	j->pos = j->tail_pos = (uint32_t)h->tail_block;
	j->sequence = j->tail_sequence = h->tail_sequence;
	j->prev_crc = j->tail_crc = h->tail_prev_crc;
	/* Both copies: neither may still carry an old incarnation. */
	for (unsigned i = 0; r == 0 && i < JOURNAL_FIRST_BLOCK; i++)
		r = write_head(ds, &t);
	return r;
}

/* Is there a commit at the tail, by the incarnation of the head? */
static int
check_replayed(struct ds *ds, const struct journal_head *h)
{
	cleanup_free uint8_t *buf = disk_buf_alloc(BLOCK_SIZE);
	struct journal_commit c;
	int r;

	if (buf == NULL)
		return -ENOMEM;
	r = disk_read(ds->conf.disk,
	    (ds->journal.base + h->tail_block) << BLOCK_SHIFT, buf,
	    BLOCK_SIZE);
	if (r < 0)
		return r;
	r = journal_commit_decode(buf, &ds->super.uuid,
	    (size_t)h->blocks * BLOCK_SIZE, &c);
	if (r < 0 || c.incarnation != h->incarnation ||
	    c.sequence != h->tail_sequence || c.prev_crc != h->tail_prev_crc)
		return 0;
	/* The header stands; if the rest is torn, replay says so. */
	log_error(ds->conf.env->log, "core: journal not replayed block=%llu "
	    "incarnation=%llu: run fsck.vmfs",
	    (unsigned long long)ds->journal.base,
	    (unsigned long long)h->incarnation);
	return -EUCLEAN;
}

/* Contiguous chunks, marked in the cluster's block at once: there is no
 * journal yet that could say so. */
static int
find_home(const struct lease *l, uint32_t chunks, uint32_t *ret_first)
{
	uint32_t run = 0;

	for (uint32_t i = 0; i < l->info.chunks; i++) {
		run = bitmap_get(l->busy, i) || bitmap_get(l->avoid, i) ? 0 :
		    run + 1;
		if (run == chunks) {
			*ret_first = i + 1 - chunks;
			return 0;
		}
	}
	return -ENOSPC;
}

static int
write_cluster(struct ds *ds, struct lease *l)
{
	cleanup_free uint8_t *buf = disk_buf_alloc(BLOCK_SIZE);
	struct mb *mb = mb_of(l->b);
	struct shadow s = {
		.mb = mb,
		.hdr = {
			.type = BLOCK_CLUSTER,
			.addr = l->b->addr,
			.owner = l->b->addr,
			.lockver = l->grant.version,
			.lsn = ++ds->conf.locks->lsn,
		},
		.data = buf,
	};
	int r;

	if (buf == NULL)
		return -ENOMEM;
	memcpy(buf, l->b->data, BLOCK_SIZE);
	r = writeback_run(ds, &s, 1);
	return r < 0 ? r : disk_flush(ds->conf.disk);
}

static int
make_in(struct ds *ds, struct lease *l, uint32_t blocks)
{
	uint32_t chunks = blocks / CHUNK_BLOCKS, first;
	int r;

	r = find_home(l, chunks, &first);
	if (r < 0)
		return r;
	for (uint32_t i = first; i < first + chunks; i++) {
		cluster_chunk_set_used(l->b->data, i, true);
		bitmap_put(l->busy, i, true);
	}
	l->n_free -= chunks;
	l->info.free_chunks -= chunks;
	cluster_encode(l->b->data, &l->info);
	ds->journal.base = (l->first_chunk + first) * CHUNK_BLOCKS;
	return write_cluster(ds, l);
}

/* In a cluster that we have already, or another one. */
static int
find_and_make(struct ds *ds, uint32_t blocks)
{
	struct lease *l;
	int r = -ENOSPC;

	/* Without its journal a host could do nothing at all. */
	list_for_each(node, tmp, &ds->leases) {
		l = list_entry(node, struct lease, link);
		if (!lease_is_on_first(ds, l))
			continue;
		r = make_in(ds, l, blocks);
		if (r != -ENOSPC)
			return r;
	}
	while (r == -ENOSPC && ds->n_leases < LEASES_MAX) {
		r = lease_more_first(ds, blocks / CHUNK_BLOCKS, &l);
		if (r < 0)
			return r;
		r = make_in(ds, l, blocks);
	}
	return r;
}

static int
journal_make(struct ds *ds)
{
	struct journal_head h = {
		.tail_block = JOURNAL_FIRST_BLOCK,
		.tail_sequence = 1,
	};
	uint32_t blocks = ds->super.journal_blocks;
	int r;

	ds->journal.blocks = blocks;
	r = find_and_make(ds, blocks);
	if (r == 0)
		r = start_log(ds, &h);
	if (r == 0)
		r = ds->conf.locks->vt->set_journal(ds->conf.locks,
		    ds->journal.base, blocks);
	return r;
}

int
journal_open(struct ds *ds)
{
	struct lockops *locks = ds->conf.locks;
	struct journal_head h;
	int r;

	if (locks->journal_block == 0)
		return journal_make(ds);
	ds->journal.base = locks->journal_block;
	ds->journal.blocks = locks->journal_blocks;
	r = journal_head_read(ds->conf.disk, &ds->super.uuid,
	    locks->journal_block, locks->journal_blocks, &h);
	if (r == 0)
		r = check_replayed(ds, &h);
	if (r == 0)
		r = start_log(ds, &h);
	return r;
}
