/* SPDX-License-Identifier: BSD-2-Clause */
/* See box.h. */
#include <string.h>

#include "libvmfs/base/units.h"
#include "libvmfs/core/mkds.h"
#include "libvmfs/core/recover.h"
#include "tests/crash/box.h"

#define NEVER_MS (24u * 3600 * 1000)	/* until the housekeeper comes */

static void
seeded_random(struct env *env, void *buf, size_t len)
{
	prng_fill(env->arg, buf, len);
}

static uint64_t
fixed_wall_us(struct env *env)
{
	(void)env;
	return 1700000000000000;
}

void
box_init(struct box *b, struct disk *disk, uint64_t seed)
{
	memset(b, 0, sizeof(*b));
	prng_seed(&b->prng, seed);
	b->env = (struct env){
		.sched = sched_current(),
		.random = seeded_random,
		.wall_us = fixed_wall_us,
		.arg = &b->prng,
	};
	b->disk = disk;
}

int
box_mkfs(struct box *b)
{
	const struct mkds_conf conf = { .label = "crash" };
	int r = mkds_plan(&b->disk->info, &conf, &b->super);

	return r < 0 ? r : mkds_write(&b->env, b->disk, &conf, &b->super);
}

int
box_mount(struct box *b, unsigned slot, uint64_t incarnation, bool discard)
{
	struct ds_conf conf = {
		.env = &b->env, .disk = b->disk, .checkpoint_ms = NEVER_MS,
		.discard = discard,
	};
	int r = super_read(b->disk, &b->super);

	if (r == 0)
		r = lock_local_new_as(&b->env, b->disk, &b->super, slot,
		    incarnation, &b->locks);
	if (r < 0)
		return r;
	conf.locks = b->locks;
	r = ds_open(&conf, &b->ds);
	if (r == 0) {
		r = fs_open(b->ds, &b->fs);
		if (r < 0)
			(void)!ds_close(b->ds);
	}
	if (r < 0) {
		lock_local_free(b->locks);
		b->locks = NULL;
	}
	return r;
}

int
box_unmount(struct box *b)
{
	int r = fs_close(b->fs), e = ds_close(b->ds);

	lock_local_free(b->locks);
	b->locks = NULL;
	return r < 0 ? r : e;
}

void
box_keep(void)
{
	fiber_sleep((NEVER_MS + 1000u) * NSEC_PER_MSEC);
}

void
box_kill(struct box *b)
{
	ds_abandon(b->ds);
	/* That it cannot close in good order is what was asked for. */
	(void)!box_unmount(b);
}

int
box_replay(struct box *b, unsigned slot, uint64_t incarnation)
{
	struct heartbeat dead = { .slot = slot, .incarnation = incarnation };
	struct recover_report report;
	struct lockops *l;
	int r = super_read(b->disk, &b->super);

	if (r == 0)
		r = lock_local_new_as(&b->env, b->disk, &b->super, slot,
		    incarnation, &l);
	if (r < 0)
		return r;
	dead.journal_block = l->journal_block;
	dead.journal_blocks = l->journal_blocks;
	lock_local_free(l);
	return recover_journal(&b->env, b->disk, &b->super, &dead, &report);
}
