/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Threads that read and write a disk past its owner, while the owner makes and
 * deletes snapshots, punches, and others write by way of it.
 */
#include <atf-c.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libvmfs/base/cleanup.h"
#include "tests/unit/core_fs_rig.h"

#define SIZE (2 * MIB)
#define THREADS 4u
#define FIBERS 3u			/* of each */
#define CREW (THREADS * FIBERS)
#define STEPS 5000u
#define DELAY_NS 100000u

/* ---- a LUN that takes its time, each request another ---- */

struct slow {
	struct disk disk;
	struct disk *below;
	pthread_mutex_t lock;		/* disk_mem is one thread's */
	_Atomic unsigned seed;
	/* The next request of this kind for data is held, or fails. */
	bool hold, fail;
	enum disk_op op;
	struct disk_req *held;
};

struct slow_req {
	struct slow *s;
	struct disk_req *req;
	struct sched_timer timer;
};

static void
slow_pass(void *arg)
{
	struct slow_req *q = arg;
	struct slow *s = q->s;
	struct disk_req *req = q->req;

	free(q);
	ATF_REQUIRE_EQ(0, pthread_mutex_lock(&s->lock));
	disk_submit(s->below, req);
	ATF_REQUIRE_EQ(0, pthread_mutex_unlock(&s->lock));
}

static void
slow_submit(struct disk *d, struct disk_req *req)
{
	struct slow *s = container_of(d, struct slow, disk);
	struct sched *sched = sched_current();
	struct slow_req *q = calloc(1, sizeof(*q));
	unsigned r = atomic_fetch_add(&s->seed, 1) * 2654435761u >> 16;

	if ((s->hold || s->fail) && req->op == s->op) {
		if (s->fail)
			disk_complete(req, -EIO);
		else
			s->held = req;
		s->hold = s->fail = false;
		free(q);
		return;
	}
	ATF_REQUIRE(q != NULL);
	q->s = s;
	q->req = req;
	q->timer = (struct sched_timer){ .fn = slow_pass, .arg = q };
	ATF_REQUIRE_EQ(0, sched_timer_arm(sched, &q->timer,
	    sched_now(sched) + r % DELAY_NS));
}

static void
slow_close(struct disk *d)
{
	(void)d;
}

static const struct disk_ops slow_ops = {
	.submit = slow_submit, .close = slow_close,
};

/* ---- the crew ---- */

struct crowd {
	struct rig *r;
	struct fs_file *f;
	uint64_t ino;
	uint8_t *bytes;
	_Atomic unsigned running, fast, slow;
};

struct worker {
	struct crowd *c;
	unsigned id;
	struct prng p;
};

/* One request of another thread, perhaps by way of the owner. */
struct call {
	struct crowd *c;
	struct disk_req req;
	struct iovec iov;
	struct sched *home;
	struct fiber *fiber;
	struct sched_work work;
	bool done, punch;
};

static void
call_end(void *arg)
{
	struct call *k = arg;

	k->done = true;
	fiber_unpark(k->fiber);
}

static void
owner_fiber(void *arg)
{
	struct call *k = arg;
	struct fs_file *f = k->c->f;
	size_t n;

	if (k->punch)
		ATF_REQUIRE_EQ(0, fs_file_punch(f, k->req.offset,
		    k->req.length));
	else if (k->req.op == DISK_WRITE)
		ATF_REQUIRE_EQ(0, fs_file_write(f, k->req.offset,
		    k->iov.iov_base, k->req.length));
	else
		ATF_REQUIRE_EQ(0, fs_file_read(f, k->req.offset,
		    k->iov.iov_base, k->req.length, &n));
	k->work.fn = call_end;
	sched_post(k->home, &k->work);
}

static void
owner_begin(void *arg)
{
	ATF_REQUIRE_EQ(0, sched_spawn(sched_current(), "call", owner_fiber,
	    arg));
}

static void
by_owner(struct disk_req *req)
{
	struct call *k = req->arg;

	atomic_fetch_add(&k->c->slow, 1);
	k->work = (struct sched_work){ .fn = owner_begin, .arg = k };
	sched_post(k->c->r->f.env.sched, &k->work);
}

static void
fast_end(struct disk_req *req)
{
	struct call *k = req->arg;

	ATF_REQUIRE_EQ(0, req->result);
	atomic_fetch_add(&k->c->fast, 1);
	call_end(k);
}

static void
transfer(struct crowd *c, enum disk_op op, uint64_t off, void *buf, size_t len)
{
	struct call k = {
		.c = c, .iov = { buf, len }, .home = sched_current(),
		.fiber = fiber_self(), .punch = op == DISK_UNMAP,
		.req = { .op = op, .offset = off, .length = len, .iovcnt = 1,
		    .done = fast_end },
	};

	k.req.iov = &k.iov;
	k.req.arg = &k;
	if (!fs_file_fast(c->f, &k.req, by_owner))
		by_owner(&k.req);
	while (!k.done)
		fiber_park();
}

/* Blocks go round by twos: chunks are shared by all, blocks by nobody. */
static void
worker_step(struct worker *w)
{
	uint64_t pairs = SIZE / BLOCK_SIZE / 2 / CREW;
	uint64_t off = (prng_below(&w->p, pairs) * CREW + w->id) * 2 *
	    BLOCK_SIZE;
	size_t len = (1 + prng_below(&w->p, 2)) * (size_t)BLOCK_SIZE;
	uint8_t *at = w->c->bytes + off;
	cleanup_free uint8_t *buf = disk_buf_alloc(len);

	switch (prng_below(&w->p, 40)) {
	case 0:
		memset(at, 0, len);
		transfer(w->c, DISK_UNMAP, off, NULL, len);
		break;
	case 1:			/* a part of the last block, by sectors */
		off += len - 1024;
		prng_fill(&w->p, at + len - 1024, 512);
		transfer(w->c, DISK_WRITE, off, at + len - 1024, 512);
		break;
	case 2 ... 14:
		transfer(w->c, DISK_READ, off, buf, len);
		ATF_REQUIRE_MSG(memcmp(buf, at, len) == 0, "read by %u at "
		    "%llu is not what was written", w->id,
		    (unsigned long long)off);
		break;
	default:
		prng_fill(&w->p, at, len);
		memcpy(buf, at, len);
		transfer(w->c, DISK_WRITE, off, buf, len);
	}
}

static void
worker_fiber(void *arg)
{
	struct worker *w = arg;

	for (unsigned i = 0; i < STEPS; i++)
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

	ATF_REQUIRE_EQ(0, fs_file_read(f, 0, buf, SIZE, &n));
	ATF_REQUIRE_EQ(SIZE, n);
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
	ATF_REQUIRE_MSG(memcmp(first, then, SIZE) == 0,
	    "a snapshot has changed");
	ATF_REQUIRE_EQ(0, fs_snapshot_delete(c->r->fs, c->ino, s.id, NULL));
	fiber_sleep(20 * NSEC_PER_MSEC);
}

static void
crew_run(struct crowd *c)
{
	cleanup_free uint8_t *first = malloc(SIZE), *then = malloc(SIZE);
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

/* A disk full of `v` on the slow LUN. */
static void
slow_up(struct crowd *c, struct slow *s, uint8_t v)
{
	struct rig *r = c->r;

	*s = (struct slow){ .disk = { &slow_ops, r->f.disk->info },
		.below = r->f.disk };
	ATF_REQUIRE_EQ(0, pthread_mutex_init(&s->lock, NULL));
	rig_umount(r);
	r->f.disk = r->f.conf.disk = &s->disk;
	rig_mount(r);
	c->ino = rig_create(r, "d", INODE_DISK, SIZE);
	c->f = rig_open(r, c->ino, FS_READ | FS_WRITE);
	rig_fill(c->f, 0, SIZE, v);
	rig_expect(c->f, 0, SIZE, v);
}

static void
slow_down(struct crowd *c, struct slow *s)
{
	rig_close(c->f);
	rig_umount(c->r);
	c->r->f.disk = c->r->f.conf.disk = s->below;
	rig_mount(c->r);
	ATF_REQUIRE_EQ(0, pthread_mutex_destroy(&s->lock));
}

static void
crowded(struct rig *r)
{
	struct crowd c = { .r = r, .bytes = calloc(1, SIZE) };
	uint8_t *buf = malloc(SIZE);
	struct slow s;
	size_t n;

	slow_up(&c, &s, 0);
	crew_run(&c);
	/* What the test is about has happened. */
	ATF_CHECK(atomic_load(&c.fast) > 5000 && atomic_load(&c.slow) > 5000);
	printf("fast %u slow %u\n", c.fast, c.slow);
	slow_down(&c, &s);
	c.f = rig_open(r, c.ino, FS_READ);
	ATF_REQUIRE_EQ(0, fs_file_read(c.f, 0, buf, SIZE, &n));
	ATF_CHECK(memcmp(buf, c.bytes, SIZE) == 0);
	rig_close(c.f);
	free(c.bytes);
	free(buf);
}

ATF_TC_WITHOUT_HEAD(threads_and_the_owner_do_not_harm_each_other);
ATF_TC_BODY(threads_and_the_owner_do_not_harm_each_other, tc)
{
	rig_run(256 * MIB, crowded);
}

/* ---- what waits for what ---- */

struct step {
	struct crowd *c;
	struct slow *s;
	int (*fn)(struct step *t);
	struct disk_req *held;
	uint8_t block[BLOCK_SIZE] __attribute__((aligned(BLOCK_SIZE)));
	bool done;
};

static void
step_fiber(void *arg)
{
	struct step *t = arg;

	ATF_REQUIRE_EQ(0, t->fn(t));
	t->done = true;
}

static void
step_wait(const bool *what)
{
	while (!*what)
		fiber_sleep(NSEC_PER_MSEC / 10);
}

static void
begin(struct step *t, int (*fn)(struct step *t))
{
	t->done = false;
	t->fn = fn;
	ATF_REQUIRE_EQ(0, sched_spawn(sched_current(), "step", step_fiber, t));
}

/* The next request to do `op` is held; returns when it is. */
static void
begin_held(struct step *t, int (*fn)(struct step *t), enum disk_op op)
{
	struct slow *s = t->s;

	s->held = NULL;
	s->op = op;
	s->hold = true;
	begin(t, fn);
	while (s->held == NULL)
		fiber_sleep(NSEC_PER_MSEC / 10);
	t->held = s->held;
}

static void
let_go(struct step *t)
{
	disk_submit(t->s->below, t->held);
	step_wait(&t->done);
}

static int
write_first_block(struct step *t)
{
	transfer(t->c, DISK_WRITE, 0, t->block, BLOCK_SIZE);
	return 0;
}

static int
read_last_block(struct step *t)
{
	transfer(t->c, DISK_READ, CHUNK_SIZE - BLOCK_SIZE, t->block,
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
	return fs_file_punch(t->c->f, 0, SIZE);
}

static int
truncate_all(struct step *t)
{
	return fs_file_truncate(t->c->f, 0);
}

/* What would take long enough to end if it did not wait. */
static void
expect_waits(struct step *t)
{
	for (unsigned i = 0; i < 50; i++)
		fiber_sleep(NSEC_PER_MSEC / 5);
	ATF_CHECK(!t->done);
}

static void
change_waits(struct rig *r, int (*change)(struct step *t))
{
	struct crowd c = { .r = r };
	struct slow s;
	struct step w = { .c = &c, .s = &s }, t = { .c = &c, .s = &s };

	slow_up(&c, &s, 1);
	begin_held(&w, write_first_block, DISK_WRITE);
	ATF_REQUIRE_EQ(0, c.slow);
	begin(&t, change);
	expect_waits(&t);
	let_go(&w);
	step_wait(&t.done);
	slow_down(&c, &s);
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
	transfer(t->c, DISK_WRITE, 0, t->block, BLOCK_SIZE / 2);
	return 0;
}

static void
merge(struct rig *r)
{
	struct crowd c = { .r = r };
	struct slow s;
	struct step a = { .c = &c, .s = &s }, b = { .c = &c, .s = &s };

	slow_up(&c, &s, 1);
	ATF_REQUIRE_EQ(0, fs_file_punch(c.f, BLOCK_SIZE, BLOCK_SIZE));
	rig_expect(c.f, 0, BLOCK_SIZE, 1);
	memset(a.block, 2, BLOCK_SIZE);
	memset(b.block, 3, BLOCK_SIZE);
	begin_held(&a, write_across, DISK_WRITE);
	begin(&b, write_half);
	for (unsigned i = 0; i < 50 && !b.done; i++)
		fiber_sleep(NSEC_PER_MSEC / 5);
	let_go(&a);
	step_wait(&b.done);
	rig_expect(c.f, 0, BLOCK_SIZE / 2, 3);
	rig_expect(c.f, BLOCK_SIZE / 2, BLOCK_SIZE, 2);
	slow_down(&c, &s);
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

	slow_up(&c, &s, 1);
	ATF_REQUIRE_EQ(0, fs_snapshot_create(r->fs, c.ino, "s", &snap, NULL));
	rig_fill(c.f, 0, CHUNK_SIZE - BLOCK_SIZE, 2);
	ATF_REQUIRE_EQ(0, fs_snapshot_delete(r->fs, c.ino, snap.id, NULL));
	rig_expect(c.f, CHUNK_SIZE - BLOCK_SIZE, BLOCK_SIZE, 1);
	begin_held(&a, read_last_block, DISK_READ);
	ATF_REQUIRE_EQ(0, c.slow);
	begin(&b, fill_chunk);
	expect_waits(&b);
	let_go(&a);
	step_wait(&b.done);
	ATF_CHECK_EQ(1, a.block[0]);
	slow_down(&c, &s);
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

	slow_up(&c, &s, 1);
	f = rig_open(r, c.ino, FS_READ);
	rig_close(c.f);
	/* Another host may write it now. */
	ATF_CHECK(!rig_fast_read(f, 0, BLOCK_SIZE));
	rig_close(f);
	c.f = rig_open(r, c.ino, FS_READ | FS_WRITE);
	slow_down(&c, &s);
}

ATF_TC_WITHOUT_HEAD(nothing_is_known_when_the_lock_has_ended);
ATF_TC_BODY(nothing_is_known_when_the_lock_has_ended, tc)
{
	rig_run(256 * MIB, lock_ends);
}

static const struct lockops_vt *real_locks;

/* The lock is lost, as if its record could not be written. */
static int
upgrade_fails(struct lockops *l, uint64_t addr, enum lock_mode mode,
    unsigned flags, uint64_t deadline_ns, struct lock_grant *ret_g,
    struct lock_holder *ret_holder)
{
	struct lock_grant g;
	int r;

	if ((flags & LOCK_UPGRADE) == 0)
		return real_locks->acquire(l, addr, mode, flags, deadline_ns,
		    ret_g, ret_holder);
	r = real_locks->acquire(l, addr, mode, flags, deadline_ns, &g,
	    ret_holder);
	if (r == 0)
		r = real_locks->release(l, &g);
	return r != 0 ? r : -EIO;
}

static void
lock_is_lost(struct rig *r)
{
	struct lockops_vt broken = *r->f.locks->vt;
	uint64_t ino = rig_create(r, "d", INODE_DISK, SIZE);
	struct fs_snapshot snap;
	struct fs_file *f = rig_open(r, ino, FS_READ | FS_WRITE), *g;

	rig_fill(f, 0, SIZE, 1);
	ATF_REQUIRE_EQ(0, fs_snapshot_create(r->fs, ino, "s", &snap, NULL));
	g = rig_open(r, snap.ino, FS_READ);
	rig_expect(g, 0, BLOCK_SIZE, 1);
	ATF_REQUIRE(rig_fast_read(g, 0, BLOCK_SIZE));
	real_locks = r->f.locks->vt;
	broken.acquire = upgrade_fails;
	r->f.locks->vt = &broken;
	ATF_REQUIRE_EQ(-EIO, fs_snapshot_delete(r->fs, ino, snap.id, NULL));
	r->f.locks->vt = real_locks;
	ATF_CHECK(!rig_fast_read(g, 0, BLOCK_SIZE));
	rig_close(g);
	rig_close(f);
}

ATF_TC_WITHOUT_HEAD(nothing_is_known_when_the_lock_is_lost);
ATF_TC_BODY(nothing_is_known_when_the_lock_is_lost, tc)
{
	rig_run(256 * MIB, lock_is_lost);
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
read_meanwhile(struct step *t)
{
	struct slow *s = t->s;
	struct disk_req *held;

	s->op = DISK_FLUSH;
	s->held = NULL;
	s->hold = true;
	begin(t, make_clone);
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

static void
lock_weakens(struct rig *r)
{
	struct crowd c = { .r = r };
	struct slow s;
	struct step t = { .c = &c, .s = &s };
	struct fs_snapshot snap;
	struct fs_file *f;

	slow_up(&c, &s, 1);
	f = c.f;
	ATF_REQUIRE_EQ(0, fs_snapshot_create(r->fs, c.ino, "s", &snap, NULL));
	c.f = rig_open(r, snap.ino, FS_READ);
	rig_expect(c.f, 0, BLOCK_SIZE, 1);
	ATF_REQUIRE(rig_fast_read(c.f, 0, BLOCK_SIZE));
	read_meanwhile(&t);
	/* Another host may have had it for a moment. */
	ATF_CHECK(!rig_fast_read(c.f, 0, BLOCK_SIZE));
	rig_close(c.f);
	c.f = f;
	slow_down(&c, &s);
}

ATF_TC_WITHOUT_HEAD(nothing_is_learned_while_the_lock_ends);
ATF_TC_BODY(nothing_is_learned_while_the_lock_ends, tc)
{
	rig_run(256 * MIB, lock_weakens);
}

static void
read_only(struct rig *r)
{
	struct crowd c = { .r = r };
	struct fs_file *f;
	struct slow s;

	slow_up(&c, &s, 1);
	f = rig_open(r, c.ino, FS_READ);
	ATF_CHECK(!rig_fast_write(f, 0, BLOCK_SIZE, 2));
	rig_close(f);
	/* Known to be damaged: it is not changed any more. */
	ATF_REQUIRE_EQ(0, fs_set_damaged(r->fs, c.ino));
	ATF_CHECK(!rig_fast_write(c.f, 0, BLOCK_SIZE, 2));
	slow_down(&c, &s);
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

	slow_up(&c, &s, 1);
	memset(w.block, 5, BLOCK_SIZE);
	s.op = DISK_WRITE;
	s.fail = true;
	write_first_block(&w);
	ATF_CHECK_EQ(1, c.slow);
	rig_expect(c.f, 0, BLOCK_SIZE, 5);
	slow_down(&c, &s);
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
	ATF_TP_ADD_TC(tp, nothing_is_known_when_the_lock_is_lost);
	ATF_TP_ADD_TC(tp, nothing_is_learned_while_the_lock_ends);
	ATF_TP_ADD_TC(tp, who_may_not_write_is_not_quicker);
	ATF_TP_ADD_TC(tp, what_fails_is_tried_by_the_owner);
	ATF_TP_ADD_TC(tp, threads_and_the_owner_do_not_harm_each_other);
	return atf_no_error();
}
