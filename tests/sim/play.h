/* SPDX-License-Identifier: BSD-2-Clause */
/* What plays with locks of simulated hosts have in common. */
#ifndef VMFS_SIM_PLAY_H
#define VMFS_SIM_PLAY_H

#include <atf-c.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "libvmfs/base/units.h"
#include "libvmfs/format/layout.h"
#include "locking/host_int.h"
#include "tests/sim/world.h"

#define LOCK_BLOCK 8192u	/* stands for any lockable block */
#define TAKEOVER_MS 200000u	/* longer than any protocol takes */

/* Seeds 1 to `seeds`; fails the test case with the first that fails. */
static inline void
play_seeds(struct world_conf conf, unsigned seeds,
    void (*play)(struct world *w))
{
	static struct world w;
	uint64_t hash;

	for (conf.seed = 1; conf.seed <= seeds; conf.seed++)
		if (world_run(&w, &conf, play, &hash) < 0)
			atf_tc_fail("seed %" PRIu64 ": %s", conf.seed,
			    w.problem);
}

/* True when all hosts are members. */
static inline bool
play_join_all(struct world *w)
{
	for (unsigned i = 0; i < w->hosts; i++)
		if (world_join(w, i) < 0)
			world_fail(w, "host%u: %s", i, w->host[i].why);
	return !world_failed(w);
}

static inline void
play_leave_all(struct world *w)
{
	for (unsigned i = 0; i < w->hosts; i++)
		if (w->host[i].host != NULL)
			WORLD_CHECK(w, world_leave(w, i) == 0);
}

/* ms 0: LOCK_NOWAIT. */
static inline int
play_lock(struct world *w, unsigned i, enum lock_mode mode, uint64_t ms,
    struct lock_grant *ret_g)
{
	struct lockops *l = host_locks(w->host[i].host);

	*ret_g = (struct lock_grant){ 0 };
	return l->vt->acquire(l, LOCK_BLOCK, mode, ms == 0 ? LOCK_NOWAIT : 0,
	    w->sim.now_ns + ms * NSEC_PER_MSEC, ret_g, NULL);
}

static inline int
play_unlock(struct world *w, unsigned i, struct lock_grant *g)
{
	struct lockops *l = host_locks(w->host[i].host);

	return l->vt->release(l, g);
}

static inline bool
play_is_fenced(struct world *w, unsigned i)
{
	return w->host[i].status == HOST_FENCED;
}

static inline bool
play_is_ok(struct world *w, unsigned i)
{
	return host_status(w->host[i].host) == HOST_OK;
}

/* Two looks at the table have passed. */
static inline void
play_let_pulse(struct world *w)
{
	fiber_sleep(3 * w->super.timers.pulse_ms * NSEC_PER_MSEC);
}

/* ---- behind everybody's back, at once and for good ---- */

static inline void
play_poke(struct world *w, uint64_t offset, const void *bytes, size_t size)
{
	memcpy(w->lun.now + offset, bytes, size);
	memcpy(w->lun.stable + offset, bytes, size);
}

static inline uint64_t
play_slot_at(unsigned slot)
{
	return (SLOT_TABLE_BLOCK + (uint64_t)slot) * BLOCK_SIZE;
}

static inline void
play_poke_slot(struct world *w, const struct heartbeat *hb)
{
	uint8_t image[LOCK_RECORD_SIZE];

	heartbeat_encode(image, &w->super.uuid, hb);
	play_poke(w, play_slot_at(hb->slot), image, sizeof(image));
}

static inline struct heartbeat
play_peek_slot(struct world *w, unsigned slot)
{
	struct heartbeat hb = { .slot = slot };

	WORLD_CHECK(w, heartbeat_decode(w->lun.now + play_slot_at(slot),
	    &w->super.uuid, slot, &hb) == 0);
	return hb;
}

static inline unsigned
play_slot_of(struct world *w, unsigned i)
{
	return host_locks(w->host[i].host)->slot;
}

/* Whatever lies there is not what it was; once more and it is again. */
static inline void
play_damage(struct world *w, uint64_t offset)
{
	uint8_t byte = w->lun.now[offset] ^ 0x40;

	play_poke(w, offset, &byte, 1);
}

/* A live slot of somebody else, who will never pulse. */
static inline struct heartbeat
play_stranger(struct world *w, unsigned slot)
{
	struct heartbeat hb = {
		.slot = slot, .state = SLOT_LIVE, .incarnation = 1,
		.pulse = 1, .nonce = slot + 1, .timers = w->super.timers,
		.host = { .b = { 0x77, (uint8_t)slot } },
	};

	hb.pr_key = heartbeat_pr_key(slot, 1);
	(void)snprintf(hb.name, sizeof(hb.name), "stranger%u", slot);
	return hb;
}

/* As if host `by` had begun to take over `slot`. */
static inline void
play_mark(struct world *w, unsigned by, unsigned slot)
{
	struct heartbeat hb = play_peek_slot(w, slot);
	const struct lockops *l = host_locks(w->host[by].host);

	hb.state = SLOT_RECOVERING;
	hb.incarnation++;
	hb.nonce++;
	hb.recoverer = l->slot;
	hb.recoverer_incarnation = l->incarnation;
	play_poke_slot(w, &hb);
}

#endif
