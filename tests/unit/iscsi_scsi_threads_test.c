/* SPDX-License-Identifier: BSD-2-Clause */
/* One logical unit used by nexuses of several reactors at once. */
#include <atf-c.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "iscsi/scsi/scsi.h"
#include "libvmfs/base/be.h"
#include "libvmfs/base/units.h"
#include "libvmfs/env/reactor.h"
#include "libvmfs/env/shared.h"

#define HOSTS 3U
#define STEPS 400U
#define BLOCK 512U
/* With a host that has no processor for a while. */
#define PATIENCE_NS (120 * NSEC_PER_SEC)

struct cluster;

struct host {
	struct cluster *cluster;
	struct reactor *reactor;
	struct env env;
	struct scsi_nexus *nexus;
	unsigned index;
	uint64_t key;		/* registered now; 0: preempted */
	unsigned conflicts;
	uint8_t lun;
};

struct cluster {
	struct env env;
	struct disk *disk;
	struct scsi_lu *lu;
	struct scsi_target *target;
	struct host host[HOSTS];
	int (*play)(struct host *h);
	unsigned without;	/* capabilities taken from the disk */
	struct shared_lock lock;
	struct shared_cond ended;
	unsigned running;
	int problem;		/* the line of the first */
	uint32_t counter;	/* in block 0 at the end */
	/* Of PREEMPT AND ABORT: nothing of these keys is in flight. */
	atomic_uint fence_step[HOSTS];
};

struct call {
	struct scsi_task task;
	struct fiber *fiber;
	bool done;
};

#define CHECK(cond) do { if (!(cond)) return __LINE__; } while (0)

static void
call_done(struct scsi_task *t)
{
	struct call *c = container_of(t, struct call, task);

	c->done = true;
	fiber_unpark(c->fiber);
}

/* Status, or key << 16 | asc << 8 | ascq; data-in goes to `in`. */
static uint32_t
run(struct host *h, const uint8_t *cdb, size_t cdb_len, const void *out,
    size_t out_len, void *in, size_t in_len)
{
	struct call c = { .fiber = fiber_self() };
	struct scsi_task *t = &c.task;
	uint32_t result;

	t->nexus = h->nexus;
	t->lun[1] = h->lun;
	memcpy(t->cdb, cdb, cdb_len);
	t->cdb_len = cdb_len;
	t->dir_in = in_len > 0;
	t->dir_out = out_len > 0;
	t->edtl = in_len + out_len;
	t->data_out = out;
	t->data_out_len = out_len;
	t->done = call_done;
	scsi_task_submit(t);
	while (!c.done)
		fiber_park();
	result = t->status == SCSI_CHECK_CONDITION ?
	    (uint32_t)((t->sense[2] & 0x0f) << 16 | t->sense[12] << 8 |
	    t->sense[13]) : t->status;
	if (t->status == SCSI_GOOD && in_len > 0)
		memcpy(in, t->data_in,
		    t->data_in_len < in_len ? t->data_in_len : in_len);
	scsi_task_fini(t);
	return result;
}

static uint32_t
rw_blocks(struct host *h, bool write, uint32_t lba, uint8_t blocks, void *buf)
{
	uint8_t cdb[10] = { write ? 0x2a : 0x28 };
	size_t len = blocks * BLOCK;

	be32_store(cdb + 2, lba);
	cdb[8] = blocks;
	return write ? run(h, cdb, 10, buf, len, NULL, 0) :
	    run(h, cdb, 10, NULL, 0, buf, len);
}

static uint32_t
rw(struct host *h, bool write, uint32_t lba, void *buf)
{
	return rw_blocks(h, write, lba, 1, buf);
}

static uint32_t
caw_blocks(struct host *h, uint32_t lba, uint8_t blocks, const uint8_t *both)
{
	uint8_t cdb[16] = { 0x89 };

	be32_store(cdb + 6, lba);
	cdb[13] = blocks;
	return run(h, cdb, 16, both, 2UL * blocks * BLOCK, NULL, 0);
}

static uint32_t
caw(struct host *h, uint32_t lba, const uint8_t both[2 * BLOCK])
{
	return caw_blocks(h, lba, 1, both);
}

static uint32_t
pr_out(struct host *h, uint8_t action, uint64_t key, uint64_t sa_key)
{
	uint8_t cdb[10] = { 0x5f, action, 7, 0, 0, 0, 0, 0, 24 };
	uint8_t list[24] = { 0 };

	be64_store(list, key);
	be64_store(list + 8, sa_key);
	return run(h, cdb, 10, list, sizeof(list), NULL, 0);
}

/* ---- a cluster of reactors ---- */

static void
host_main(void *arg)
{
	static const uint8_t tur[6] = { 0 };
	struct host *h = arg;
	struct cluster *c = h->cluster;
	char name[64], port[96];
	int problem = __LINE__;

	snprintf(name, sizeof(name), "iqn.2026-01.org.example:h%u", h->index);
	snprintf(port, sizeof(port), "%s,i,0x00023d00000%u", name, h->index);
	if (scsi_nexus_open(c->target, name, port, &h->nexus) == 0) {
		(void)run(h, tur, 6, NULL, 0, NULL, 0);
		problem = c->play(h);
		scsi_nexus_close(h->nexus);
	}
	shared_enter(&c->lock);
	if (c->problem == 0)
		c->problem = problem;
	c->running--;
	shared_broadcast(&c->ended);
	shared_leave(&c->lock);
}

static void
host_spawn(void *arg)
{
	struct host *h = arg;

	if (sched_spawn(h->env.sched, "host", host_main, h) < 0)
		abort();
}

static void
cluster_run(struct cluster *c)
{
	struct sched_work work[HOSTS];

	c->running = HOSTS;
	for (unsigned i = 0; i < HOSTS; i++) {
		struct host *h = &c->host[i];

		h->cluster = c;
		h->index = i;
		ATF_REQUIRE_EQ(0, reactor_new("host", &h->reactor));
		env_posix_init(&h->env, reactor_sched(h->reactor), NULL);
		ATF_REQUIRE_EQ(0, reactor_start(h->reactor));
		work[i] = (struct sched_work){ .fn = host_spawn, .arg = h };
		sched_post(h->env.sched, &work[i]);
	}
	shared_enter(&c->lock);
	while (c->running > 0)
		shared_wait(&c->ended, &c->lock);
	shared_leave(&c->lock);
	for (unsigned i = 0; i < HOSTS; i++) {
		reactor_stop(c->host[i].reactor);
		reactor_join(c->host[i].reactor);
		reactor_free(c->host[i].reactor);
	}
}

static int
cluster_main(void *arg)
{
	struct cluster *c = arg;
	struct scsi_lu_conf conf = { .thin = true };
	uint8_t block[BLOCK];

	env_posix_init(&c->env, sched_current(), NULL);
	env_uuid(&c->env, &conf.uuid);
	shared_lock_init(&c->lock);
	shared_cond_init(&c->ended);
	ATF_REQUIRE_EQ(0, disk_mem_open(1 << 20, BLOCK, &c->disk));
	c->disk->info.caps &= ~c->without;
	ATF_REQUIRE_EQ(0, scsi_lu_new(&c->env, c->disk, &conf, &c->lu));
	ATF_REQUIRE_EQ(0, scsi_target_new(&c->env,
	    "iqn.2026-01.org.example:disk", &c->target));
	ATF_REQUIRE_EQ(0, scsi_target_map(c->target, 0, c->lu));
	cluster_run(c);
	ATF_REQUIRE_EQ(0, disk_read(c->disk, 0, block, sizeof(block)));
	c->counter = be32_load(block);
	scsi_target_free(c->target);
	scsi_lu_free(c->lu);
	disk_close(c->disk);
	return 0;
}

static void
cluster_play(struct cluster *c, int (*play)(struct host *h))
{
	c->play = play;
	ATF_REQUIRE_EQ(0, reactor_run_main(cluster_main, c));
	ATF_CHECK_EQ_MSG(0, c->problem, "line %d", c->problem);
}

/* ---- tests ---- */

/* Adds 1 to the number in block 0, STEPS times, by compare and write. */
static int
count_up(struct host *h)
{
	uint8_t both[2 * BLOCK], plain[BLOCK];
	unsigned done = 0;
	uint32_t r;

	while (done < STEPS) {
		CHECK(rw(h, false, 0, both) == SCSI_GOOD);
		memcpy(both + BLOCK, both, BLOCK);
		be32_store(both + BLOCK, be32_load(both) + 1);
		r = caw(h, 0, both);
		CHECK(r == SCSI_GOOD || r == 0x0e1d00);
		done += r == SCSI_GOOD;
		/* Blocks of their own, beside. */
		memset(plain, (int)(done + h->index), sizeof(plain));
		CHECK(rw(h, true, 1 + h->index, plain) == SCSI_GOOD);
		memset(both, 0, BLOCK);
		CHECK(rw(h, false, 1 + h->index, both) == SCSI_GOOD);
		CHECK(memcmp(both, plain, BLOCK) == 0);
	}
	return 0;
}

ATF_TC(compare_and_write_of_several_reactors_loses_no_step);
ATF_TC_HEAD(compare_and_write_of_several_reactors_loses_no_step, tc)
{
	atf_tc_set_md_var(tc, "descr", "hosts count up one block together");
}
ATF_TC_BODY(compare_and_write_of_several_reactors_loses_no_step, tc)
{
	struct cluster c = { .running = 0 };

	(void)tc;
	cluster_play(&c, count_up);
	ATF_CHECK_EQ(HOSTS * STEPS, c.counter);
}

/* Blocks that are written together, each full of one number. */
#define SWAPPED 8U

static void
swapped_fill(uint8_t *p, uint32_t v)
{
	for (size_t at = 0; at < SWAPPED * BLOCK; at += 4)
		be32_store(p + at, v);
}

static bool
swapped_is(const uint8_t *p, uint32_t v)
{
	for (size_t at = 0; at < SWAPPED * BLOCK; at += 4) {
		if (be32_load(p + at) != v)
			return false;
	}
	return true;
}

/* Turns n into n + 1 where n is even. */
static int
swap_even(struct host *h)
{
	uint8_t both[2 * SWAPPED * BLOCK];

	while (atomic_load(&h->cluster->fence_step[0]) == 0) {
		uint32_t n, r;

		CHECK(rw_blocks(h, false, 0, SWAPPED, both) == SCSI_GOOD);
		n = be32_load(both);
		CHECK(swapped_is(both, n));
		swapped_fill(both + SWAPPED * BLOCK, n | 1);
		r = caw_blocks(h, 0, SWAPPED, both);
		CHECK(r == SCSI_GOOD || r == 0x0e1d00);
		h->conflicts += r != SCSI_GOOD;
	}
	return 0;
}

/* Writes even numbers: none may be lost to a compare and write of the last. */
static int
write_even(struct host *h)
{
	uint8_t buf[SWAPPED * BLOCK];
	int problem = 0;

	for (uint32_t n = 2; n < 200 * STEPS && problem == 0; n += 2) {
		swapped_fill(buf, n);
		if (rw_blocks(h, true, 0, SWAPPED, buf) != SCSI_GOOD ||
		    rw_blocks(h, false, 0, SWAPPED, buf) != SCSI_GOOD)
			problem = __LINE__;
		else if (!swapped_is(buf, n) && !swapped_is(buf, n | 1))
			problem = __LINE__;
	}
	atomic_store(&h->cluster->fence_step[0], 1);
	return problem;
}

static int
swap_or_write(struct host *h)
{
	return h->index > 0 ? swap_even(h) : write_even(h);
}

ATF_TC(compare_and_write_of_many_blocks_loses_no_plain_write);
ATF_TC_HEAD(compare_and_write_of_many_blocks_loses_no_plain_write, tc)
{
	atf_tc_set_md_var(tc, "descr", "blocks are swapped as a whole, or not");
}
ATF_TC_BODY(compare_and_write_of_many_blocks_loses_no_plain_write, tc)
{
	struct cluster c = { .without = DISK_CAP_CAW };

	(void)tc;
	cluster_play(&c, swap_or_write);
}

/*
 * Host 0 fences the others again and again; they register anew and go on.
 * A write that was refused must not have changed the block.
 */
static int
fence_others(struct host *h)
{
	struct cluster *c = h->cluster;
	uint64_t give_up;

	CHECK(pr_out(h, 0, 0, 1) == SCSI_GOOD);
	CHECK(pr_out(h, 1, 1, 0) == SCSI_GOOD);
	give_up = sched_now(h->env.sched) + PATIENCE_NS;
	for (unsigned step = 1; step <= STEPS; step++) {
		unsigned victim = 1 + step % (HOSTS - 1);
		uint32_t r = pr_out(h, 5, 1, victim + 100);
		uint8_t before[BLOCK], after[BLOCK];

		CHECK(r == SCSI_GOOD || r == SCSI_RESERVATION_CONFLICT);
		if (r != SCSI_GOOD) {
			/* Not registered yet. */
			CHECK(sched_now(h->env.sched) < give_up);
			step--;
			fiber_yield();
			continue;
		}
		/* Registers again only when it is told. */
		CHECK(rw(h, false, victim, before) == SCSI_GOOD);
		fiber_yield();
		CHECK(rw(h, false, victim, after) == SCSI_GOOD);
		CHECK(memcmp(before, after, BLOCK) == 0);
		atomic_fetch_add(&c->fence_step[victim], 1);
		give_up = sched_now(h->env.sched) + PATIENCE_NS;
	}
	return 0;
}

static int
write_until_the_end(struct host *h)
{
	atomic_uint *step = &h->cluster->fence_step[h->index];
	uint8_t block[BLOCK];
	unsigned seen = 0;

	for (uint32_t n = 0;; n++) {
		unsigned now = atomic_load(step);
		uint32_t r;

		if (now == UINT32_MAX)
			return 0;
		if (h->key == 0 && (n == 0 || now != seen)) {
			seen = now;
			/* First what the preemption left to be told. */
			do
				r = pr_out(h, 6, 0, h->index + 100);
			while ((r >> 16) == 0x06);
			/* Aborted: fenced again; the next step comes. */
			CHECK(r == SCSI_GOOD || r == SCSI_TASK_ABORTED);
			h->key = r == SCSI_GOOD ? h->index + 100 : 0;
			continue;
		}
		memset(block, (int)n, sizeof(block));
		r = rw(h, true, h->index, block);
		if (r == SCSI_RESERVATION_CONFLICT || r == SCSI_TASK_ABORTED ||
		    r == 0x062a05) {
			h->key = 0;
			h->conflicts++;
			fiber_yield();
			continue;
		}
		CHECK(r == SCSI_GOOD || (r >> 16) == 0x06);
	}
}

static int
fence_or_write(struct host *h)
{
	int problem;

	if (h->index > 0)
		return write_until_the_end(h);
	problem = fence_others(h);
	for (unsigned i = 1; i < HOSTS; i++)
		atomic_store(&h->cluster->fence_step[i], UINT32_MAX);
	return problem;
}

ATF_TC(nothing_lands_after_a_fence_from_another_reactor);
ATF_TC_HEAD(nothing_lands_after_a_fence_from_another_reactor, tc)
{
	atf_tc_set_md_var(tc, "descr",
	    "PREEMPT AND ABORT waits for the writes of other threads");
}
ATF_TC_BODY(nothing_lands_after_a_fence_from_another_reactor, tc)
{
	struct cluster c = { .running = 0 };

	(void)tc;
	cluster_play(&c, fence_or_write);
	ATF_CHECK(c.host[1].conflicts > 0);
}

/*
 * Host 0 shows a second unit and takes it away again, with its disk; the
 * others use it all the time.
 */
static int
come_and_go(struct host *h)
{
	struct cluster *c = h->cluster;

	for (unsigned step = 0; step < STEPS; step++) {
		struct scsi_lu_conf conf = { .thin = true };
		struct scsi_lu *lu;
		struct disk *disk;

		CHECK(disk_mem_open(1 << 16, BLOCK, &disk) == 0);
		CHECK(scsi_lu_new(&h->env, disk, &conf, &lu) == 0);
		CHECK(scsi_target_map(c->target, 1, lu) == 0);
		for (unsigned i = 0; i < step % 8; i++)
			fiber_yield();
		CHECK(scsi_target_unmap(c->target, 1) == 0);
		scsi_lu_free(lu);
		disk_close(disk);
	}
	return 0;
}

static int
use_both(struct host *h)
{
	atomic_uint *end = &h->cluster->fence_step[h->index];
	uint8_t block[BLOCK];
	uint32_t r;

	while (atomic_load(end) == 0) {
		memset(block, (int)h->index, sizeof(block));
		h->lun = 1;
		r = rw(h, true, h->index, block);
		/* BUSY: it came just now. */
		CHECK(r == SCSI_GOOD || r == SCSI_BUSY || r == 0x052500 ||
		    (r >> 16) == 0x06);
		h->conflicts += r == SCSI_GOOD;
		h->lun = 0;
		r = rw(h, true, h->index, block);
		CHECK(r == SCSI_GOOD || r == 0x063f0e);
	}
	return 0;
}

/* What the others do until host 0 has done its steps. */
static int
come_and_go_beside(struct host *h, int (*other)(struct host *h))
{
	int problem;

	if (h->index > 0)
		return other(h);
	problem = come_and_go(h);
	for (unsigned i = 1; i < HOSTS; i++)
		atomic_store(&h->cluster->fence_step[i], 1);
	return problem;
}

static int
come_and_go_or_use(struct host *h)
{
	return come_and_go_beside(h, use_both);
}

ATF_TC(units_come_and_go_under_load);
ATF_TC_HEAD(units_come_and_go_under_load, tc)
{
	atf_tc_set_md_var(tc, "descr", "and other units do not notice");
}
ATF_TC_BODY(units_come_and_go_under_load, tc)
{
	struct cluster c = { .running = 0 };

	(void)tc;
	cluster_play(&c, come_and_go_or_use);
}

static int
log_in_and_out(struct host *h)
{
	atomic_uint *end = &h->cluster->fence_step[h->index];
	char name[64], port[96];
	uint8_t lun[8] = { 0, 1 };
	struct scsi_nexus *n;

	snprintf(name, sizeof(name), "iqn.2026-01.org.example:n%u", h->index);
	snprintf(port, sizeof(port), "%s,i,0x00023d00000%u", name, h->index);
	while (atomic_load(end) == 0) {
		CHECK(scsi_nexus_open(h->cluster->target, name, port, &n) == 0);
		for (unsigned i = 0; i < 100; i++)
			CHECK(scsi_cdb_out_length(n, lun,
			    (uint8_t[6]){ 0 }, 6) == 0);
		scsi_nexus_close(n);
	}
	return 0;
}

static int
come_and_go_or_log_in(struct host *h)
{
	return come_and_go_beside(h, log_in_and_out);
}

ATF_TC_WITHOUT_HEAD(units_come_and_go_while_sessions_do);
ATF_TC_BODY(units_come_and_go_while_sessions_do, tc)
{
	struct cluster c = { .running = 0 };

	(void)tc;
	cluster_play(&c, come_and_go_or_log_in);
}

ATF_TP_ADD_TCS(tp)
{
	ATF_TP_ADD_TC(tp, units_come_and_go_while_sessions_do);
	ATF_TP_ADD_TC(tp, units_come_and_go_under_load);
	ATF_TP_ADD_TC(tp,
	    compare_and_write_of_several_reactors_loses_no_step);
	ATF_TP_ADD_TC(tp,
	    compare_and_write_of_many_blocks_loses_no_plain_write);
	ATF_TP_ADD_TC(tp, nothing_lands_after_a_fence_from_another_reactor);
	return atf_no_error();
}
