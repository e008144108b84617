/* SPDX-License-Identifier: BSD-2-Clause */
/* Heartbeat slots: states, claim, release. */
#include <string.h>

#include "locking/host_int.h"

#define FREE_TRIES 4

static const bool moves[4][4] = {
	/* To itself: its last owner is no longer at large. */
	[SLOT_FREE] = { [SLOT_FREE] = true, [SLOT_LIVE] = true },
	[SLOT_LIVE] = { [SLOT_LIVE] = true, [SLOT_STOPPING] = true,
	    [SLOT_FREE] = true, [SLOT_RECOVERING] = true },
	[SLOT_STOPPING] = { [SLOT_STOPPING] = true, [SLOT_FREE] = true,
	    [SLOT_RECOVERING] = true },
	/* To itself: another host goes on with the recovery. */
	[SLOT_RECOVERING] = { [SLOT_RECOVERING] = true, [SLOT_FREE] = true },
};

bool
slot_move_ok(enum slot_state from, enum slot_state to)
{
	return (unsigned)from < 4 && (unsigned)to < 4 && moves[from][to];
}

int
slot_load(struct host *h, struct caw *c, unsigned slot,
    struct heartbeat *ret_hb)
{
	int rc = caw_load(c);

	return rc < 0 ? rc :
	    heartbeat_decode(c->old, &h->super.uuid, slot, ret_hb);
}

int
slot_store(struct host *h, struct caw *c, struct heartbeat *next)
{
	struct heartbeat old;
	int rc = heartbeat_decode(c->old, &h->super.uuid, next->slot, &old);

	if (rc < 0)
		return rc;
	/* Somebody else has moved it to where this step does not start. */
	if (!slot_move_ok(old.state, next->state))
		return -VMFS_EMISCOMPARE;
	next->nonce = env_random_u64(h->env);
	heartbeat_encode(c->image, &h->super.uuid, next);
	return caw_commit(c);
}

int
slot_peek(struct host *h, unsigned slot, struct heartbeat *ret_hb)
{
	struct caw c;
	int rc = caw_init(&c, &h->guard.disk, SLOT_TABLE_BLOCK + slot,
	    h->super.sector_size);

	if (rc < 0)
		return rc;
	rc = slot_load(h, &c, slot, ret_hb);
	caw_fini(&c);
	return rc;
}

bool
slot_at_large(const struct heartbeat *hb)
{
	return hb->state == SLOT_RECOVERING ||
	    (hb->state == SLOT_FREE && hb->recoverer_incarnation != 0);
}

bool
slot_was_ours(const struct host *h, const struct heartbeat *hb)
{
	return uuid_equal(&hb->host, &h->conf.host) &&
	    uuid_equal(&hb->machine, &h->conf.machine);
}

/*
 * How good a free slot is: our last one, one that has a journal already, any;
 * that of a fenced host last, because it tells that the host is at large.  Who
 * repairs takes one without a journal: its own it could not repair.
 */
static int
score(const struct host *h, const struct heartbeat *hb)
{
	if (slot_was_ours(h, hb))
		return 3;
	if (slot_at_large(hb))
		return 0;
	return (hb->journal_block != 0) != h->conf.repairs ? 2 : 1;
}

/* Whether a crash left deletions there: only who has the slot ends them.  The
 * block may be damaged, then it is chosen in vain. */
static bool
has_orphans(const struct host *h, unsigned slot)
{
	const struct slot_info_disk *d = (const void *)(h->watch.table +
	    (size_t)slot * BLOCK_SIZE + LOCK_RECORD_SIZE);

	return le32_get(d->orphans) != 0;
}

/* Equal ones are chosen by chance, so that joiners seldom meet. */
static int
pick(struct host *h, unsigned *ret_slot)
{
	unsigned start = (unsigned)(env_random_u64(h->env) % SLOTS_MAX);
	int best = -1;

	for (unsigned i = 0; i < SLOTS_MAX; i++) {
		unsigned slot = (start + i) % SLOTS_MAX;
		const struct seen *s = &h->watch.seen[slot];
		int good;

		if (!s->known || s->rec.state != SLOT_FREE)
			continue;
		good = 2 * score(h, &s->rec) + has_orphans(h, slot);
		if (good > best) {
			best = good;
			*ret_slot = slot;
		}
	}
	return best < 0 ? -ENOSPC : 0;
}

static void
describe(struct host *h, const struct heartbeat *old, struct heartbeat *ret_hb)
{
	struct heartbeat hb = {
		.slot = old->slot, .state = SLOT_LIVE,
		.host = h->conf.host, .machine = h->conf.machine,
		.boot = h->conf.boot, .home = h->conf.home,
		.process = h->conf.process,
		.incarnation = h->paths.incarnation,
		.mounted_us = h->mounted_us, .timers = h->super.timers,
		.super_generation = h->super.generation,
		.journal_block = old->journal_block,
		.journal_blocks = old->journal_blocks,
	};

	if (h->fence->protocol == LOCK_ATS_PR)
		hb.pr_key = heartbeat_pr_key(hb.slot, hb.incarnation);
	memcpy(hb.name, h->name, sizeof(hb.name));
	*ret_hb = hb;
}

/* Is what lies behind the record in its sector fit to be carried along? */
static bool
info_is_sound(const struct host *h, unsigned slot, const uint8_t *sector)
{
	struct block_hdr hdr;

	return !h->conf.repairs || h->super.sector_size != BLOCK_SIZE ||
	    (block_hdr_decode(sector, BLOCK_SLOT, &h->super.uuid,
	    SLOT_TABLE_BLOCK + slot, &hdr) == 0 &&
	    slot_info_check(sector) == 0);
}

/* Tries one slot.  -EAGAIN: somebody else has it, or it is not fit. */
static int
claim_one(struct host *h, unsigned slot, char why[WHY_SIZE])
{
	struct heartbeat old, hb;
	struct caw *c = &h->beat.caw;
	int rc;

	c->block = SLOT_TABLE_BLOCK + slot;
	rc = slot_load(h, c, slot, &old);
	if (rc < 0)
		return rc;
	if (old.state != SLOT_FREE || !info_is_sound(h, slot, c->old))
		return -EAGAIN;
	h->paths.slot = slot;
	h->paths.incarnation = old.incarnation + 1;
	rc = h->fence->enter(&h->paths, why);
	if (rc < 0)
		return rc == -VMFS_EINUSE ? -EAGAIN : rc;
	describe(h, &old, &hb);
	h->claimed_ns = env_now(h->env);
	rc = slot_store(h, c, &hb);
	if (rc < 0) {
		h->fence->leave(&h->paths, false);
		return rc == -VMFS_EMISCOMPARE || rc == -VMFS_ECONFLICT ?
		    -EAGAIN : rc;
	}
	h->beat.rec = hb;
	return 0;
}

int
slot_claim(struct host *h, char why[WHY_SIZE])
{
	unsigned slot;
	int rc = -EAGAIN;

	/* Where another joiner was faster there is one slot less to pick. */
	while (rc == -EAGAIN) {
		rc = pick(h, &slot);
		if (rc < 0) {
			why_say(why, "all %u host slots "
			    "of the datastore are taken; unmount it on another "
			    "host first", SLOTS_MAX);
			return rc;
		}
		rc = claim_one(h, slot, why);
		/* Seen as taken from now on, until the table says else. */
		if (rc == -EAGAIN)
			h->watch.seen[slot].known = false;
	}
	if (rc < 0 && why[0] == '\0')
		why_say(why, "cannot claim a host slot "
		    "on LUN %s: %s", h->lun->info.name, vmfs_strerror(rc));
	return rc;
}

int
slot_unmark(struct host *h, const struct heartbeat *seen)
{
	struct heartbeat hb;
	struct caw c;
	int rc = caw_init(&c, &h->guard.disk, SLOT_TABLE_BLOCK + seen->slot,
	    h->super.sector_size);

	if (rc < 0)
		return rc;
	rc = slot_load(h, &c, seen->slot, &hb);
	if (rc == 0 && hb.state == SLOT_FREE && slot_at_large(&hb) &&
	    hb.incarnation == seen->incarnation &&
	    uuid_equal(&hb.host, &seen->host)) {
		hb.recoverer = 0;
		hb.recoverer_incarnation = 0;
		rc = slot_store(h, &c, &hb);
	}
	caw_fini(&c);
	return rc == -VMFS_EMISCOMPARE ? 0 : rc;
}

int
slot_free(struct host *h)
{
	struct heartbeat hb = h->beat.rec;
	int rc = -VMFS_EMISCOMPARE;

	hb.state = SLOT_FREE;
	hb.pulse++;
	/* A pulse that an error has hidden from us is written over. */
	for (int i = 0; i < FREE_TRIES && rc == -VMFS_EMISCOMPARE; i++) {
		rc = slot_store(h, &h->beat.caw, &hb);
		if (!beat_still_ours(&h->beat))
			break;
	}
	return rc;
}
