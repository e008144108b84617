/* SPDX-License-Identifier: BSD-2-Clause */
/* Journals on the simulated LUN. */
#include <assert.h>
#include <string.h>

#include "tests/sim/sim_log.h"

uint8_t *
sim_block(struct world *w, uint64_t block)
{
	return w->lun.now + block * BLOCK_SIZE;
}

static void
find_slot(struct world *w, const char *host, struct heartbeat *ret_hb)
{
	for (unsigned slot = 0; slot < SLOTS_MAX; slot++)
		if (heartbeat_decode(sim_block(w, SLOT_TABLE_BLOCK + slot),
		    &w->super.uuid, slot, ret_hb) == 0 &&
		    strcmp(ret_hb->name, host) == 0 &&
		    ret_hb->journal_block != 0)
			return;
	world_fail(w, "no slot of %s has a journal", host);
}

static void
find_head(struct sim_log *l)
{
	struct journal_head h;

	for (unsigned i = 0; i < JOURNAL_FIRST_BLOCK; i++) {
		uint64_t addr = l->hb.journal_block + i;

		if (journal_head_decode(sim_block(l->w, addr),
		    &l->w->super.uuid, addr, &h) < 0 ||
		    h.head_sequence < l->head.head_sequence)
			continue;
		l->head = h;
		l->copy = i;
	}
}

uint8_t *
sim_log_at(const struct sim_log *l, unsigned i)
{
	return sim_block(l->w, l->hb.journal_block + l->pos[i]);
}

static bool
follows(const struct sim_log *l, struct journal_commit *c)
{
	const uint8_t *at = sim_log_at(l, l->count);
	uint32_t crc = l->count == 0 ? l->head.tail_prev_crc :
	    l->c[l->count - 1].crc;

	return journal_commit_decode(at, &l->w->super.uuid,
	    (size_t)(l->head.blocks - l->pos[l->count]) * BLOCK_SIZE, c) == 0 &&
	    c->incarnation == l->head.incarnation && c->prev_crc == crc &&
	    c->sequence == l->head.tail_sequence + l->count &&
	    journal_commit_check(at, c) == 0;
}

void
sim_log_read(struct world *w, const char *host, struct sim_log *ret_l)
{
	struct heartbeat hb = { 0 };

	memset(ret_l, 0, sizeof(*ret_l));
	find_slot(w, host, &hb);
	if (!world_failed(w))
		sim_log_of(w, &hb, ret_l);
}

void
sim_log_of(struct world *w, const struct heartbeat *hb, struct sim_log *ret_l)
{
	struct journal_commit c;
	struct sim_log *l = ret_l;

	memset(l, 0, sizeof(*l));
	l->w = w;
	l->hb = *hb;
	find_head(l);
	if (l->head.blocks == 0)
		return;
	l->pos[0] = (uint32_t)l->head.tail_block;
	while (l->count < SIM_LOG_MAX && follows(l, &c)) {
		uint32_t next = l->pos[l->count] +
		    (c.length + BLOCK_SIZE - 1) / BLOCK_SIZE;

		if ((c.flags & JOURNAL_WRAP) != 0 || next >= l->head.blocks)
			next = JOURNAL_FIRST_BLOCK;
		l->c[l->count++] = c;
		l->pos[l->count] = next;
	}
}

void
sim_commit_init(struct sim_commit *k)
{
	memset(k, 0, sizeof(*k));
	k->length = sizeof(struct journal_commit_disk);
}

void
sim_commit_add(struct sim_commit *k, const struct journal_record *r)
{
	assert(k->length + journal_record_put(NULL, 0, r) <= sizeof(k->buf));
	k->length += journal_record_put(k->buf, k->length, r);
}

void
sim_log_append(const struct sim_log *l, struct sim_commit *k, uint64_t lsn)
{
	struct journal_commit c = {
		.incarnation = l->head.incarnation,
		.sequence = l->head.tail_sequence + l->count,
		.prev_crc = l->count == 0 ? l->head.tail_prev_crc :
		    l->c[l->count - 1].crc,
		.length = (uint32_t)k->length, .lsn = lsn,
	};

	assert(l->pos[l->count] + SIM_COMMIT_BLOCKS <= l->head.blocks);
	journal_commit_encode(k->buf, &l->w->super.uuid, &c);
	memcpy(sim_log_at(l, l->count), k->buf, sizeof(k->buf));
}
