/* SPDX-License-Identifier: BSD-2-Clause */
/* See core_fast_rig.h. */
#include <atf-c.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/core_fast_rig.h"

#define DELAY_NS 100000u
#define PIECES 3

/* ---- a LUN that takes its time, each request another ---- */

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
clear_count(struct slow *s, const struct disk_req *req)
{
	for (int i = 0; i < req->iovcnt; i++) {
		const char *p = req->iov[i].iov_base;

		for (size_t at = 0; at < req->iov[i].iov_len; at += 512)
			if (memcmp(p + at, FAST_TEXT, 32) == 0)
				atomic_fetch_add(&s->clear, 1);
	}
}

static void
slow_submit(struct disk *d, struct disk_req *req)
{
	struct slow *s = container_of(d, struct slow, disk);
	struct sched *sched = sched_current();
	struct slow_req *q = calloc(1, sizeof(*q));
	unsigned r = atomic_fetch_add(&s->seed, 1) * 2654435761u >> 16;

	if (req->op == DISK_WRITE)
		clear_count(s, req);
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

/* ---- requests ---- */

/* One request of another thread, perhaps by way of the owner. */
struct call {
	struct crowd *c;
	struct disk_req req;
	struct iovec iov[PIECES];	/* neighbours */
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
		    k->iov[0].iov_base, k->req.length));
	else
		ATF_REQUIRE_EQ(0, fs_file_read(f, k->req.offset,
		    k->iov[0].iov_base, k->req.length, &n));
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

void
fast_transfer(struct crowd *c, enum disk_op op, uint64_t off, uint8_t *buf,
    size_t len)
{
	size_t first = (off / BLOCK_SIZE * 512) % len, then = len - first;
	struct call k = {
		.c = c, .home = sched_current(), .fiber = fiber_self(),
		.punch = op == DISK_UNMAP,
		.iov = { { buf, first }, { buf + first, then > 512 ? 512 :
		    then } },
		.req = { .op = op, .offset = off, .length = len,
		    .iovcnt = PIECES, .done = fast_end },
	};

	then -= k.iov[1].iov_len;
	k.iov[2] = (struct iovec){ buf + len - then, then };
	k.req.iov = k.iov;
	k.req.arg = &k;
	if (!fs_file_fast(c->f, &k.req, by_owner))
		by_owner(&k.req);
	while (!k.done)
		fiber_park();
}

/* ---- the disk ---- */

void
fast_up(struct crowd *c, struct slow *s, uint8_t v)
{
	struct rig *r = c->r;

	*s = (struct slow){ .disk = { &slow_ops, r->f.disk->info },
		.below = r->f.disk };
	ATF_REQUIRE_EQ(0, pthread_mutex_init(&s->lock, NULL));
	rig_umount(r);
	r->f.disk = r->f.conf.disk = &s->disk;
	rig_mount(r);
	c->ino = rig_create(r, "d", INODE_DISK, FAST_SIZE);
	rig_keys(r->fs, 3);
	if (c->secret)
		ATF_REQUIRE_EQ(0, fs_encrypt(r->fs, c->ino, &rig_key[0],
		    NULL));
	c->f = rig_open(r, c->ino, FS_READ | FS_WRITE);
	rig_fill(c->f, 0, FAST_SIZE, v);
	rig_expect(c->f, 0, FAST_SIZE, v);
}

void
fast_down(struct crowd *c, struct slow *s)
{
	rig_close(c->f);
	rig_umount(c->r);
	c->r->f.disk = c->r->f.conf.disk = s->below;
	rig_mount(c->r);
	ATF_REQUIRE_EQ(0, pthread_mutex_destroy(&s->lock));
}

/* ---- one thing at a time ---- */

static void
step_fiber(void *arg)
{
	struct step *t = arg;

	ATF_REQUIRE_EQ(0, t->fn(t));
	t->done = true;
}

void
step_wait(const bool *what)
{
	while (!*what)
		fiber_sleep(NSEC_PER_MSEC / 10);
}

void
step_begin(struct step *t, int (*fn)(struct step *t))
{
	t->done = false;
	t->fn = fn;
	ATF_REQUIRE_EQ(0, sched_spawn(sched_current(), "step", step_fiber, t));
}

void
step_begin_held(struct step *t, int (*fn)(struct step *t), enum disk_op op)
{
	struct slow *s = t->s;

	s->held = NULL;
	s->op = op;
	s->hold = true;
	step_begin(t, fn);
	while (s->held == NULL)
		fiber_sleep(NSEC_PER_MSEC / 10);
	t->held = s->held;
}

void
step_let_go(struct step *t)
{
	disk_submit(t->s->below, t->held);
	step_wait(&t->done);
}

void
step_expect_waits(struct step *t)
{
	for (unsigned i = 0; i < 50; i++)
		fiber_sleep(NSEC_PER_MSEC / 5);
	ATF_CHECK(!t->done);
}
