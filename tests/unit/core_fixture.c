/* SPDX-License-Identifier: BSD-2-Clause */
/* See core_fixture.h. */
#include <atf-c.h>
#include <stdlib.h>
#include <string.h>

#include "libvmfs/core/volume.h"
#include "libvmfs/format/cluster.h"
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
	*ret_r = (struct recover_report) { 0 };
	/* It did not get that far. */
	if (dead.journal_block == 0)
		return 0;
	return recover_journal(&f->env, disk, &f->super, &dead, ret_r);
}

static const struct lockops_vt *real_locks;

void
acquire_by(struct fixture *f, acquire_fn *fn)
{
	static struct lockops_vt vt;

	real_locks = f->locks->vt;
	vt = *real_locks;
	vt.acquire = fn;
	f->locks->vt = &vt;
}

int
acquire_really(struct lockops *l, uint64_t addr, enum lock_mode mode,
    unsigned flags, uint64_t deadline_ns, struct lock_grant *ret_g,
    struct lock_holder *ret_holder)
{
	return real_locks->acquire(l, addr, mode, flags, deadline_ns, ret_g,
	    ret_holder);
}

void
acquire_as_before(struct fixture *f)
{
	f->locks->vt = real_locks;
}

/* Adds what the head at `chunk`, if it is one, says. */
static void
count_head(struct fixture *f, struct disk *disk, uint64_t chunk,
    uint64_t owner, struct cluster_info *sum)
{
	uint8_t *buf = disk_buf_alloc(BLOCK_SIZE);
	struct metachunk_info mc;
	struct block_hdr h;

	ATF_REQUIRE_EQ(disk_read(disk, chunk << CHUNK_SHIFT, buf, BLOCK_SIZE),
	    0);
	if (block_hdr_decode(buf, BLOCK_METACHUNK, &f->super.uuid,
	    chunk * CHUNK_BLOCKS, &h) == 0 && h.owner == owner) {
		ATF_REQUIRE_EQ(metachunk_decode(buf, &mc), 0);
		if (mc.used != 0) {
			sum->metachunks++;
			sum->free_meta_blocks += CHUNK_BLOCKS -
			    (uint32_t)__builtin_popcount(mc.used);
		}
	}
	free(buf);
}

static uint64_t
check_cluster(struct fixture *f, struct disk *disk, uint64_t cluster)
{
	uint64_t addr = volume_cluster_block(&f->super, cluster);
	uint64_t first = cluster * (f->super.cluster_blocks / CHUNK_BLOCKS);
	uint8_t *buf = disk_buf_alloc(BLOCK_SIZE);
	struct cluster_info c, sum = { 0 };
	struct block_hdr h;

	ATF_REQUIRE_EQ(disk_read(disk, addr << BLOCK_SHIFT, buf, BLOCK_SIZE),
	    0);
	ATF_REQUIRE_EQ(block_hdr_decode(buf, BLOCK_CLUSTER, &f->super.uuid,
	    addr, &h), 0);
	ATF_REQUIRE_EQ(cluster_decode(buf, cluster, &c), 0);
	for (uint32_t i = 0; i < c.chunks; i++)
		if (cluster_pair_meta(buf, i / 2) &&
		    cluster_chunk_used(buf, i))
			count_head(f, disk, first + i, addr, &sum);
	ATF_REQUIRE_EQ(c.metachunks, sum.metachunks);
	ATF_REQUIRE_EQ(c.free_meta_blocks, sum.free_meta_blocks);
	free(buf);
	return c.free_chunks;
}

uint64_t
fixture_check_space(struct fixture *f, struct disk *disk)
{
	uint64_t chunks = 0;

	for (uint64_t i = 0; i < volume_clusters(&f->super); i++)
		chunks += check_cluster(f, disk, i);
	return chunks;
}
