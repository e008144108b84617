/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Metadata that rots in its place: a bit of a sector flips and stays so until
 * somebody writes the sector anew, or until the end of this trouble mends it.
 * In between whoever meets it has to say that it is damaged; nothing that was
 * flushed is lost for it (I12).
 */
#include <string.h>

#include "libvmfs/base/units.h"
#include "libvmfs/core/volume.h"
#include "tests/sim/sim_log.h"
#include "tests/sim/vsim.h"

#define LASTS_NS (120 * NSEC_PER_SEC)
/* What met it may need so long to end: a replay, a cached answer. */
#define ECHO_NS (60 * NSEC_PER_SEC)
#define SCAN_BLOCKS 4096u

static uint64_t
below(struct vsim *v, uint64_t bound)
{
	return sim_below(&v->w.sim, bound);
}

static void
mend(struct vsim *v, struct rot *r)
{
	uint8_t *image[] = { v->w.lun.now, v->w.lun.stable };

	for (unsigned i = 0; i < 2; i++)
		if (memcmp(image[i] + r->at, r->is, ROT_SECTOR) == 0)
			memcpy(image[i] + r->at, r->was, ROT_SECTOR);
	r->until_ns = 0;
	v->rot_ended_ns = v->w.sim.now_ns;
}

void
rot_mend(struct vsim *v, bool all)
{
	for (unsigned i = 0; i < ROTS; i++)
		if (v->rot[i].until_ns != 0 && (all ||
		    v->rot[i].until_ns <= v->w.sim.now_ns))
			mend(v, &v->rot[i]);
}

bool
rot_now(const struct vsim *v)
{
	for (unsigned i = 0; i < ROTS; i++)
		if (v->rot[i].until_ns != 0)
			return true;
	return false;
}

bool
rot_felt(const struct vsim *v)
{
	return rot_now(v) || v->w.lun.faults.flip_ppm > 0 || (v->rot_ended_ns != 0 &&
	    v->w.sim.now_ns < v->rot_ended_ns + ECHO_NS);
}

/* ---- what may rot ---- */

static bool
is_metadata(struct vsim *v, uint64_t block)
{
	struct block_hdr h;

	return (v->w.lun.touched[block / 8] & 1u << block % 8) != 0 &&
	    block_hdr_decode(sim_block(&v->w, block), 0, &v->w.super.uuid,
	    block, &h) == 0;
}

/* The next metadata block of any kind behind a random place. */
static uint64_t
pick_any(struct vsim *v)
{
	uint64_t blocks = v->w.super.blocks, at = below(v, blocks);

	for (unsigned i = 0; i < SCAN_BLOCKS; i++)
		if (is_metadata(v, (at + i) % blocks))
			return (at + i) % blocks;
	return 0;
}

static bool
pick_slot(struct vsim *v, struct heartbeat *ret_hb)
{
	unsigned start = (unsigned)below(v, SLOTS_MAX);

	for (unsigned i = 0; i < SLOTS_MAX; i++) {
		unsigned slot = (start + i) % SLOTS_MAX;

		if (heartbeat_decode(sim_block(&v->w, SLOT_TABLE_BLOCK + slot),
		    &v->w.super.uuid, slot, ret_hb) == 0 &&
		    ret_hb->journal_block != 0)
			return true;
	}
	return false;
}

/*
 * A head, or a commit that another one follows: a last one that has rotted
 * cannot be told from one that was never finished.
 */
static uint64_t
pick_journal(struct vsim *v)
{
	static struct sim_log log;
	struct heartbeat hb;

	if (!pick_slot(v, &hb))
		return 0;
	if (below(v, 3) == 0)
		return hb.journal_block + below(v, JOURNAL_FIRST_BLOCK);
	sim_log_of(&v->w, &hb, &log);
	return log.count < 2 ? 0 : hb.journal_block +
	    log.pos[below(v, log.count - 1)];
}

static uint64_t
pick(struct vsim *v)
{
	struct heartbeat hb;

	switch (below(v, 8)) {
	case 0:
		return pick_slot(v, &hb) ? SLOT_TABLE_BLOCK + hb.slot : 0;
	case 1:
		return CLUSTER_TABLE_BLOCK +
		    below(v, volume_clusters(&v->w.super));
	case 2:
		return SUPER_BLOCK_0;
	case 3:
	case 4:
		return pick_journal(v);
	default:
		return pick_any(v);
	}
}

/* A free entry for a sector that is not rotten yet; NULL: none. */
static struct rot *
entry(struct vsim *v, uint64_t at)
{
	struct rot *free_one = NULL;

	for (unsigned i = 0; i < ROTS; i++) {
		if (v->rot[i].until_ns == 0)
			free_one = &v->rot[i];
		else if (v->rot[i].at == at)
			return NULL;
	}
	return free_one;
}

void
rot_begin(struct vsim *v)
{
	uint64_t block = pick(v), sector = below(v, BLOCK_SIZE / ROT_SECTOR);
	uint64_t at = block * BLOCK_SIZE + sector * ROT_SECTOR;
	struct sim_lun *l = &v->w.lun;
	struct rot *r = entry(v, at);

	if (r == NULL || block == 0)
		return;
	r->at = at;
	r->until_ns = v->w.sim.now_ns + 1 + below(v, LASTS_NS);
	memcpy(r->was, l->now + r->at, ROT_SECTOR);
	memcpy(r->is, r->was, ROT_SECTOR);
	r->is[below(v, ROT_SECTOR)] ^= (uint8_t)(1u << below(v, 8));
	if (memcmp(l->stable + r->at, r->was, ROT_SECTOR) == 0)
		memcpy(l->stable + r->at, r->is, ROT_SECTOR);
	memcpy(l->now + r->at, r->is, ROT_SECTOR);
	log_info(v->w.env.log, "sim: rot block=%llu sector=%llu",
	    (unsigned long long)block, (unsigned long long)sector);
	sim_trace(&v->w.sim, 0x707, block, sector);
}
