/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Threads that read and write a disk past its owner, while the owner makes and
 * deletes snapshots, punches, and others write by way of it.
 */
#include <atf-c.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libvmfs/base/cleanup.h"
#include "tests/unit/core_fast_rig.h"

#define THREADS 4u
#define FIBERS 3u			/* of each */
#define CREW (THREADS * FIBERS)
#define STEPS 5000u
/* Two threads encrypt one, and there are more than can have a helper. */
#define LARGE_STEPS 500u
#define LARGE_MIN 32u			/* blocks */
#define LARGE_ROOM 40u			/* of each of the crew */

/* ---- the crew ---- */

struct worker {
	struct crowd *c;
	unsigned id;
	struct prng p;
};

static void
text_make(struct prng *p, uint8_t *at, size_t len)
{
	prng_fill(p, at, len);
	for (size_t i = 0; i < len; i += 512)
		memcpy(at + i, FAST_TEXT, 32);
}

/* Blocks go round by twos: chunks are shared by all, blocks by nobody. */
static void
worker_step(struct worker *w)
{
	uint64_t pairs = FAST_SIZE / BLOCK_SIZE / 2 / CREW;
	uint64_t off = (prng_below(&w->p, pairs) * CREW + w->id) * 2 *
	    BLOCK_SIZE;
	size_t len = (1 + prng_below(&w->p, 2)) * (size_t)BLOCK_SIZE;
	uint8_t *at = w->c->bytes + off;
	cleanup_free uint8_t *buf = disk_buf_alloc(len);

	switch (prng_below(&w->p, 40)) {
	case 0:
		memset(at, 0, len);
		fast_transfer(w->c, DISK_UNMAP, off, NULL, len);
		break;
	case 1:			/* a part of the last block, by sectors */
		off += len - 1024;
		text_make(&w->p, at + len - 1024, 512);
		fast_transfer(w->c, DISK_WRITE, off, at + len - 1024, 512);
		break;
	case 2 ... 14:
		fast_transfer(w->c, DISK_READ, off, buf, len);
		ATF_REQUIRE_MSG(memcmp(buf, at, len) == 0, "read by %u at "
		    "%llu is not what was written", w->id,
		    (unsigned long long)off);
		break;
	default:
		text_make(&w->p, at, len);
		memcpy(buf, at, len);
		fast_transfer(w->c, DISK_WRITE, off, buf, len);
	}
}

/* Anywhere in a room of its own. */
static void
large_step(struct worker *w)
{
	uint64_t first = prng_below(&w->p, LARGE_ROOM - LARGE_MIN);
	uint64_t off = (w->id * LARGE_ROOM + first) * BLOCK_SIZE;
	size_t len = (LARGE_MIN + prng_below(&w->p, LARGE_ROOM - LARGE_MIN -
	    first + 1)) * BLOCK_SIZE;
	uint8_t *at = w->c->bytes + off;
	cleanup_free uint8_t *buf = disk_buf_alloc(len);

	if (prng_below(&w->p, 2) == 0) {
		fast_transfer(w->c, DISK_READ, off, buf, len);
		ATF_REQUIRE(memcmp(buf, at, len) == 0);
		return;
	}
	text_make(&w->p, at, len);
	memcpy(buf, at, len);
	fast_transfer(w->c, DISK_WRITE, off, buf, len);
	/* What is a guest's stays as it is. */
	ATF_REQUIRE(memcmp(buf, at, len) == 0);
}

static void
worker_fiber(void *arg)
{
	struct worker *w = arg;

	for (unsigned i = 0; w->c->large && i < LARGE_STEPS; i++)
		large_step(w);
	for (unsigned i = 0; !w->c->large && i < STEPS; i++)
		worker_step(w);
	atomic_fetch_sub(&w->c->running, 1);
}

static void
worker_begin(void *arg)
{
	struct worker *w = arg;

	for (unsigned i = 0; i < FIBERS; i++)
		ATF_REQUIRE_EQ(0, sched_spawn(sched_current(), "worker",
		    worker_fiber, &w[i]));
}

/* ---- the owner ---- */

static void
snapshot_read(struct crowd *c, uint64_t ino, uint8_t *buf)
{
	struct fs_file *f = rig_open(c->r, ino, FS_READ);
	size_t n;

	ATF_REQUIRE_EQ(0, fs_file_read(f, 0, buf, FAST_SIZE, &n));
	ATF_REQUIRE_EQ(FAST_SIZE, n);
	rig_close(f);
}

/* Nothing that was under way when it was made changes it afterwards. */
static void
snapshot_round(struct crowd *c, uint8_t *first, uint8_t *then)
{
	struct fs_snapshot s;

	ATF_REQUIRE_EQ(0, fs_snapshot_create(c->r->fs, c->ino, "s", &s, NULL));
	snapshot_read(c, s.ino, first);
	fiber_sleep(2 * NSEC_PER_MSEC);
	snapshot_read(c, s.ino, then);
	ATF_REQUIRE_MSG(memcmp(first, then, FAST_SIZE) == 0,
	    "a snapshot has changed");
	ATF_REQUIRE_EQ(0, fs_snapshot_delete(c->r->fs, c->ino, s.id, NULL));
	if (c->secret)
		ATF_REQUIRE_EQ(0, fs_rekey(c->r->fs, c->ino,
		    &rig_key[++c->keys_used % 2], NULL));
	fiber_sleep(20 * NSEC_PER_MSEC);
}

static void
crew_run(struct crowd *c)
{
	cleanup_free uint8_t *first = malloc(FAST_SIZE), *then = malloc(FAST_SIZE);
	struct reactor *t[THREADS];
	struct sched_work work[THREADS];
	struct worker w[CREW];

	atomic_store(&c->running, CREW);
	for (unsigned i = 0; i < CREW; i++) {
		w[i] = (struct worker){ .c = c, .id = i };
		prng_seed(&w[i].p, i);
	}
	for (unsigned i = 0; i < THREADS; i++) {
		work[i] = (struct sched_work){ .fn = worker_begin,
			.arg = &w[i * FIBERS] };
		ATF_REQUIRE_EQ(0, reactor_new("crew", &t[i]));
		ATF_REQUIRE_EQ(0, reactor_start(t[i]));
		sched_post(reactor_sched(t[i]), &work[i]);
	}
	while (atomic_load(&c->running) > 0)
		snapshot_round(c, first, then);
	for (unsigned i = 0; i < THREADS; i++) {
		reactor_stop(t[i]);
		reactor_join(t[i]);
		reactor_free(t[i]);
	}
}

static void
crowd_run(struct crowd *c, struct slow *s)
{
	struct rig *r = c->r;
	uint8_t *buf = malloc(FAST_SIZE);
	size_t n;

	c->bytes = calloc(1, FAST_SIZE);
	fast_up(c, s, 0);
	crew_run(c);
	/* What the test is about has happened. */
	ATF_CHECK(atomic_load(&c->fast) > (c->large ? 500 : 5000) &&
	    atomic_load(&c->slow) > (c->large ? 10 : 5000));
	printf("fast %u slow %u\n", c->fast, c->slow);
	fast_down(c, s);
	rig_keys(r->fs, 3);
	c->f = rig_open(r, c->ino, FS_READ);
	ATF_REQUIRE_EQ(0, fs_file_read(c->f, 0, buf, FAST_SIZE, &n));
	ATF_CHECK(memcmp(buf, c->bytes, FAST_SIZE) == 0);
	rig_close(c->f);
	free(c->bytes);
	free(buf);
}

static void
crowded(struct rig *r)
{
	struct crowd c = { .r = r };
	struct slow s;

	crowd_run(&c, &s);
	ATF_CHECK(s.clear > 5000);
}

ATF_TC_WITHOUT_HEAD(threads_and_the_owner_do_not_harm_each_other);
ATF_TC_BODY(threads_and_the_owner_do_not_harm_each_other, tc)
{
	rig_run(256 * MIB, crowded);
}

static void
crowd_keeps_secret(struct rig *r, bool large)
{
	struct crowd c = { .r = r, .secret = true, .large = large };
	struct slow s;

	crowd_run(&c, &s);
	ATF_CHECK_EQ(0u, s.clear);
	ATF_CHECK(c.keys_used > 0);
}

static void
crowded_secret(struct rig *r)
{
	crowd_keeps_secret(r, false);
}

ATF_TC_WITHOUT_HEAD(nor_do_they_show_what_is_encrypted);
ATF_TC_BODY(nor_do_they_show_what_is_encrypted, tc)
{
	rig_run(256 * MIB, crowded_secret);
}

static void
crowded_large(struct rig *r)
{
	crowd_keeps_secret(r, true);
}

ATF_TC_WITHOUT_HEAD(nor_of_long_requests_that_helpers_have_a_part_of);
ATF_TC_BODY(nor_of_long_requests_that_helpers_have_a_part_of, tc)
{
	rig_run(256 * MIB, crowded_large);
}

/* ---- what waits for what ---- */

static int
write_first_block(struct step *t)
{
	fast_transfer(t->c, DISK_WRITE, 0, t->block, BLOCK_SIZE);
	return 0;
}

static int
read_last_block(struct step *t)
{
	fast_transfer(t->c, DISK_READ, CHUNK_SIZE - BLOCK_SIZE, t->block,
	    BLOCK_SIZE);
	return 0;
}

static int
make_snapshot(struct step *t)
{
	struct fs_snapshot s;

	return fs_snapshot_create(t->c->r->fs, t->c->ino, "s", &s, NULL);
}

static int
punch_all(struct step *t)
{
	return fs_file_punch(t->c->f, 0, FAST_SIZE);
}

static int
truncate_all(struct step *t)
{
	return fs_file_truncate(t->c->f, 0);
}

static void
change_waits(struct rig *r, int (*change)(struct step *t))
{
	struct crowd c = { .r = r };
	struct slow s;
	struct step w = { .c = &c, .s = &s }, t = { .c = &c, .s = &s };

	fast_up(&c, &s, 1);
	step_begin_held(&w, write_first_block, DISK_WRITE);
	ATF_REQUIRE_EQ(0, c.slow);
	step_begin(&t, change);
	step_expect_waits(&t);
	step_let_go(&w);
	step_wait(&t.done);
	fast_down(&c, &s);
}

static void
snapshot_waits(struct rig *r)
{
	change_waits(r, make_snapshot);
}

ATF_TC_WITHOUT_HEAD(a_snapshot_waits_for_a_write_under_way);
ATF_TC_BODY(a_snapshot_waits_for_a_write_under_way, tc)
{
	rig_run(256 * MIB, snapshot_waits);
}

static void
punch_waits(struct rig *r)
{
	change_waits(r, punch_all);
}

ATF_TC_WITHOUT_HEAD(a_punch_waits_for_a_write_under_way);
ATF_TC_BODY(a_punch_waits_for_a_write_under_way, tc)
{
	rig_run(256 * MIB, punch_waits);
}

static void
truncate_waits(struct rig *r)
{
	change_waits(r, truncate_all);
}

ATF_TC_WITHOUT_HEAD(a_truncate_waits_for_a_write_under_way);
ATF_TC_BODY(a_truncate_waits_for_a_write_under_way, tc)
{
	rig_run(256 * MIB, truncate_waits);
}

/* From the middle of a block that is there into one that is not. */
static int
write_across(struct step *t)
{
	return fs_file_write(t->c->f, BLOCK_SIZE / 2, t->block, BLOCK_SIZE);
}

static int
write_half(struct step *t)
{
	fast_transfer(t->c, DISK_WRITE, 0, t->block, BLOCK_SIZE / 2);
	return 0;
}

static void
merge(struct rig *r)
{
	struct crowd c = { .r = r };
	struct slow s;
	struct step a = { .c = &c, .s = &s }, b = { .c = &c, .s = &s };

	fast_up(&c, &s, 1);
	ATF_REQUIRE_EQ(0, fs_file_punch(c.f, BLOCK_SIZE, BLOCK_SIZE));
	rig_expect(c.f, 0, BLOCK_SIZE, 1);
	memset(a.block, 2, BLOCK_SIZE);
	memset(b.block, 3, BLOCK_SIZE);
	step_begin_held(&a, write_across, DISK_WRITE);
	step_begin(&b, write_half);
	for (unsigned i = 0; i < 50 && !b.done; i++)
		fiber_sleep(NSEC_PER_MSEC / 5);
	step_let_go(&a);
	step_wait(&b.done);
	rig_expect(c.f, 0, BLOCK_SIZE / 2, 3);
	rig_expect(c.f, BLOCK_SIZE / 2, BLOCK_SIZE, 2);
	fast_down(&c, &s);
}

ATF_TC_WITHOUT_HEAD(a_write_beside_a_merge_is_not_lost);
ATF_TC_BODY(a_write_beside_a_merge_is_not_lost, tc)
{
	rig_run(256 * MIB, merge);
}

/* Its last block: then nothing of what lies below is needed any more. */
static int
fill_chunk(struct step *t)
{
	return fs_file_write(t->c->f, CHUNK_SIZE - BLOCK_SIZE, t->block,
	    BLOCK_SIZE);
}

static void
drain(struct rig *r)
{
	struct crowd c = { .r = r };
	struct slow s;
	struct step a = { .c = &c, .s = &s }, b = { .c = &c, .s = &s };
	struct fs_snapshot snap;

	fast_up(&c, &s, 1);
	ATF_REQUIRE_EQ(0, fs_snapshot_create(r->fs, c.ino, "s", &snap, NULL));
	rig_fill(c.f, 0, CHUNK_SIZE - BLOCK_SIZE, 2);
	ATF_REQUIRE_EQ(0, fs_snapshot_delete(r->fs, c.ino, snap.id, NULL));
	rig_expect(c.f, CHUNK_SIZE - BLOCK_SIZE, BLOCK_SIZE, 1);
	step_begin_held(&a, read_last_block, DISK_READ);
	ATF_REQUIRE_EQ(0, c.slow);
	step_begin(&b, fill_chunk);
	step_expect_waits(&b);
	step_let_go(&a);
	step_wait(&b.done);
	ATF_CHECK_EQ(1, a.block[0]);
	fast_down(&c, &s);
}

ATF_TC_WITHOUT_HEAD(space_is_given_up_when_its_readers_are_through);
ATF_TC_BODY(space_is_given_up_when_its_readers_are_through, tc)
{
	rig_run(256 * MIB, drain);
}

static void
lock_ends(struct rig *r)
{
	struct crowd c = { .r = r };
	struct fs_file *f;
	struct slow s;

	fast_up(&c, &s, 1);
	f = rig_open(r, c.ino, FS_READ);
	rig_close(c.f);
	/* Another host may write it now. */
	ATF_CHECK(!rig_fast_read(f, 0, BLOCK_SIZE));
	rig_close(f);
	c.f = rig_open(r, c.ino, FS_READ | FS_WRITE);
	fast_down(&c, &s);
}

ATF_TC_WITHOUT_HEAD(nothing_is_known_when_the_lock_has_ended);
ATF_TC_BODY(nothing_is_known_when_the_lock_has_ended, tc)
{
	rig_run(256 * MIB, lock_ends);
}

static int
make_clone(struct step *t)
{
	struct fs_attr snap, a;
	struct rig *r = t->c->r;
	int e = fs_file_attr(t->c->f, &snap);

	return e != 0 ? e : fs_clone(r->fs, snap.ino, r->root, "c", 0600, 0,
	    0, &a, NULL);
}

/* It looks at each moment when the LUN is flushed. */
static void
read_meanwhile(struct step *t, int (*fn)(struct step *t))
{
	struct slow *s = t->s;
	struct disk_req *held;

	s->op = DISK_FLUSH;
	s->held = NULL;
	s->hold = true;
	step_begin(t, fn);
	for (;;) {
		while (s->held == NULL && !t->done)
			fiber_sleep(NSEC_PER_MSEC / 10);
		held = s->held;
		s->held = NULL;
		s->hold = !t->done;
		if (held == NULL)
			return;
		rig_expect(t->c->f, 0, BLOCK_SIZE, 1);
		disk_submit(s->below, held);
	}
}

static int
join_writers(struct step *t)
{
	t->opened = rig_open(t->c->r, t->c->ino, FS_READ | FS_WRITE);
	return 0;
}

static void
lock_changes(struct rig *r)
{
	struct crowd c = { .r = r };
	struct fs_attr a = { .mode = 0640 };
	struct slow s;
	struct step t = { .c = &c, .s = &s };

	fast_up(&c, &s, 1);
	rig_close(c.f);
	ATF_REQUIRE_EQ(0, fs_set_multi_writer(r->fs, c.ino, true, NULL));
	c.f = rig_open(r, c.ino, FS_READ | FS_SHARED);
	/* Leaves it exclusive, with something to be checkpointed. */
	ATF_REQUIRE_EQ(0, fs_setattr(r->fs, c.ino, 0, FS_SET_MODE, &a, &a,
	    NULL));
	rig_expect(c.f, 0, BLOCK_SIZE, 1);
	ATF_REQUIRE(rig_fast_read(c.f, 0, BLOCK_SIZE));
	read_meanwhile(&t, join_writers);
	/* No other host has had it for a moment. */
	ATF_CHECK(rig_fast_read(c.f, 0, BLOCK_SIZE));
	rig_close(t.opened);
	fast_down(&c, &s);
}

ATF_TC_WITHOUT_HEAD(a_disk_stays_known_while_its_lock_changes);
ATF_TC_BODY(a_disk_stays_known_while_its_lock_changes, tc)
{
	rig_run(256 * MIB, lock_changes);
}

static void
lock_weakens(struct rig *r)
{
	struct crowd c = { .r = r };
	struct slow s;
	struct step t = { .c = &c, .s = &s };
	struct fs_snapshot snap;
	struct fs_file *f;

	fast_up(&c, &s, 1);
	f = c.f;
	ATF_REQUIRE_EQ(0, fs_snapshot_create(r->fs, c.ino, "s", &snap, NULL));
	c.f = rig_open(r, snap.ino, FS_READ);
	rig_expect(c.f, 0, BLOCK_SIZE, 1);
	ATF_REQUIRE(rig_fast_read(c.f, 0, BLOCK_SIZE));
	read_meanwhile(&t, make_clone);
	ATF_CHECK(rig_fast_read(c.f, 0, BLOCK_SIZE));
	rig_close(c.f);
	c.f = f;
	fast_down(&c, &s);
}

ATF_TC_WITHOUT_HEAD(a_snapshot_stays_known_while_it_is_cloned);
ATF_TC_BODY(a_snapshot_stays_known_while_it_is_cloned, tc)
{
	rig_run(256 * MIB, lock_weakens);
}

static void
read_only(struct rig *r)
{
	struct crowd c = { .r = r };
	struct fs_file *f;
	struct slow s;

	fast_up(&c, &s, 1);
	f = rig_open(r, c.ino, FS_READ);
	ATF_CHECK(!rig_fast_write(f, 0, BLOCK_SIZE, 2));
	rig_close(f);
	/* Known to be damaged: it is not changed any more. */
	ATF_REQUIRE_EQ(0, fs_set_damaged(r->fs, c.ino));
	ATF_CHECK(!rig_fast_write(c.f, 0, BLOCK_SIZE, 2));
	fast_down(&c, &s);
}

ATF_TC_WITHOUT_HEAD(who_may_not_write_is_not_quicker);
ATF_TC_BODY(who_may_not_write_is_not_quicker, tc)
{
	rig_run(256 * MIB, read_only);
}

static void
fails(struct rig *r)
{
	struct crowd c = { .r = r };
	struct slow s;
	struct step w = { .c = &c, .s = &s };

	fast_up(&c, &s, 1);
	memset(w.block, 5, BLOCK_SIZE);
	s.op = DISK_WRITE;
	s.fail = true;
	write_first_block(&w);
	ATF_CHECK_EQ(1, c.slow);
	rig_expect(c.f, 0, BLOCK_SIZE, 5);
	fast_down(&c, &s);
}

ATF_TC_WITHOUT_HEAD(what_fails_is_tried_by_the_owner);
ATF_TC_BODY(what_fails_is_tried_by_the_owner, tc)
{
	rig_run(256 * MIB, fails);
}

ATF_TP_ADD_TCS(tp)
{
	ATF_TP_ADD_TC(tp, a_snapshot_waits_for_a_write_under_way);
	ATF_TP_ADD_TC(tp, a_punch_waits_for_a_write_under_way);
	ATF_TP_ADD_TC(tp, a_truncate_waits_for_a_write_under_way);
	ATF_TP_ADD_TC(tp, a_write_beside_a_merge_is_not_lost);
	ATF_TP_ADD_TC(tp, space_is_given_up_when_its_readers_are_through);
	ATF_TP_ADD_TC(tp, nothing_is_known_when_the_lock_has_ended);
	ATF_TP_ADD_TC(tp, a_disk_stays_known_while_its_lock_changes);
	ATF_TP_ADD_TC(tp, a_snapshot_stays_known_while_it_is_cloned);
	ATF_TP_ADD_TC(tp, who_may_not_write_is_not_quicker);
	ATF_TP_ADD_TC(tp, what_fails_is_tried_by_the_owner);
	ATF_TP_ADD_TC(tp, threads_and_the_owner_do_not_harm_each_other);
	ATF_TP_ADD_TC(tp, nor_do_they_show_what_is_encrypted);
	ATF_TP_ADD_TC(tp,
	    nor_of_long_requests_that_helpers_have_a_part_of);
	return atf_no_error();
}
