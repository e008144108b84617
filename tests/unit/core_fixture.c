/* SPDX-License-Identifier: BSD-2-Clause */
/* See core_fixture.h. */
#include <atf-c.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/core_fixture.h"

void
fixture_run(int (*fn)(void *arg), void *arg)
{
	ATF_REQUIRE_EQ(reactor_run_main(fn, arg), 0);
}

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
fixture_init(struct fixture *f, struct disk *disk, bool make)
{
	const struct mkds_conf conf = { .label = "test" };

	memset(f, 0, sizeof(*f));
	prng_seed(&f->prng, 1);
	f->env = (struct env) {
		.sched = sched_current(),
		.random = seeded_random,
		.wall_us = fixed_wall_us,
		.arg = &f->prng,
	};
	f->disk = disk;
	if (make) {
		ATF_REQUIRE_EQ(mkds_plan(&disk->info, &conf, &f->super), 0);
		ATF_REQUIRE_EQ(mkds_write(&f->env, disk, &conf, &f->super), 0);
	} else {
		ATF_REQUIRE_EQ(super_read(disk, &f->super), 0);
	}
	/* Long: tests say themselves when there is a checkpoint. */
	f->conf.checkpoint_ms = 3600 * 1000;
}

int
fixture_mount(struct fixture *f)
{
	int r;

	r = lock_local_new(&f->env, f->disk, &f->super, &f->locks);
	if (r < 0)
		return r;
	f->conf.env = &f->env;
	f->conf.disk = f->disk;
	f->conf.locks = f->locks;
	r = ds_open(&f->conf, &f->ds);
	if (r < 0) {
		lock_local_free(f->locks);
		f->locks = NULL;
	}
	return r;
}

int
fixture_umount(struct fixture *f)
{
	int r = ds_close(f->ds);

	lock_local_free(f->locks);
	f->ds = NULL;
	f->locks = NULL;
	return r;
}

void
fixture_crash(struct fixture *f)
{
	ds_abandon(f->ds);
	ATF_REQUIRE_EQ(fixture_umount(f), -VMFS_EFENCED);
}

int
fixture_recover(struct fixture *f, struct disk *disk,
    struct recover_report *ret_r)
{
	struct lockops *l;
	struct heartbeat dead = { .incarnation = 1 };
	int r;

	r = lock_local_new(&f->env, disk, &f->super, &l);
	if (r < 0)
		return r;
	dead.journal_block = l->journal_block;
	dead.journal_blocks = l->journal_blocks;
	lock_local_free(l);
	return recover_journal(&f->env, disk, &f->super, &dead, ret_r);
}
