/* SPDX-License-Identifier: BSD-2-Clause */
/* Readers without a hold of their own, beside those who have the lock. */
#include <atf-c.h>

#include "tests/unit/core_fast_rig.h"

static int
read_first_block(struct step *t)
{
	size_t n;

	return fs_file_read(t->c->f, 0, t->block, BLOCK_SIZE, &n);
}

static enum lock_mode
mode_on_lun(struct rig *r, uint64_t ino)
{
	struct lockops *l = r->f.locks;
	struct lock_holder h = { 0 };

	ATF_REQUIRE_EQ(0, l->vt->query(l, ino, &h));
	return h.mode;
}

/* A disk that several hosts may write; nothing of its map is known. */
static void
multi_up(struct crowd *c, struct slow *s)
{
	fast_up(c, s, 1);
	rig_close(c->f);
	ATF_REQUIRE_EQ(0, fs_set_multi_writer(c->r->fs, c->ino, true, NULL));
	rig_remount(c->r);
	c->f = rig_open(c->r, c->ino, FS_READ);
}

/* ---- a change that is refused ---- */

static bool waited;

/* Another host has the disk open as one of its writers, all the time. */
static int
others_write(struct lockops *l, uint64_t addr, enum lock_mode mode,
    unsigned flags, uint64_t deadline_ns, struct lock_grant *ret_g,
    struct lock_holder *ret_holder)
{
	if (mode == LOCK_MULTI_WRITER)
		return acquire_really(l, addr, mode, flags, deadline_ns,
		    ret_g, ret_holder);
	waited |= (flags & LOCK_NOWAIT) == 0;
	return -VMFS_ELOCKED;
}

static int
set_mode(struct rig *r, uint64_t ino)
{
	struct fs_attr a = { .mode = 0640 };

	return fs_setattr(r->fs, ino, 0, FS_SET_MODE, &a, &a, NULL);
}

static void
refused(struct rig *r)
{
	struct crowd c = { .r = r };
	struct slow s;
	struct step a = { .c = &c, .s = &s };
	struct fs_file *w;

	multi_up(&c, &s);
	w = rig_open(r, c.ino, FS_READ | FS_WRITE);
	rig_expect(c.f, 0, BLOCK_SIZE, 1);
	step_begin_held(&a, read_first_block, DISK_READ);
	rig_close(w);
	waited = false;
	acquire_by(&r->f, others_write);
	ATF_CHECK_EQ(-VMFS_ELOCKED, set_mode(r, c.ino));
	ATF_CHECK(!waited);
	ATF_CHECK_EQ(LOCK_MULTI_WRITER, mode_on_lun(r, c.ino));
	step_let_go(&a);
	acquire_as_before(&r->f);
	ATF_CHECK_EQ(1, a.block[0]);
	fast_down(&c, &s);
}

ATF_TC_WITHOUT_HEAD(readers_keep_their_lock_when_a_change_is_refused);
ATF_TC_BODY(readers_keep_their_lock_when_a_change_is_refused, tc)
{
	rig_run(256 * MIB, refused);
}

/* ---- a lock that changes ---- */

static enum lock_mode awaited;
static struct step *first, *second;

/* Both read what lies on the LUN while the lock is on its way. */
static int
acquire_slowly(struct lockops *l, uint64_t addr, enum lock_mode mode,
    unsigned flags, uint64_t deadline_ns, struct lock_grant *ret_g,
    struct lock_holder *ret_holder)
{
	if (mode == awaited) {
		awaited = LOCK_FREE;
		disk_submit(first->s->below, first->held);
		for (unsigned i = 0; i < 500 && second->block[0] == 0; i++)
			fiber_sleep(NSEC_PER_MSEC / 10);
	}
	return acquire_really(l, addr, mode, flags, deadline_ns, ret_g,
	    ret_holder);
}

/* Both wait for the same block of metadata. */
static void
readers_begin(struct step *a, struct step *b)
{
	step_begin_held(a, read_first_block, DISK_READ);
	step_begin(b, read_first_block);
	fiber_sleep(NSEC_PER_MSEC);
	ATF_REQUIRE(!b->done);
	first = a;
	second = b;
}

static void
readers_end(struct step *a, struct step *b)
{
	step_wait(&a->done);
	step_wait(&b->done);
	ATF_CHECK_EQ(1, a->block[0]);
	ATF_CHECK_EQ(1, b->block[0]);
}

static void
becomes_exclusive(struct rig *r)
{
	struct crowd c = { .r = r };
	struct slow s;
	struct step a = { .c = &c, .s = &s }, b = { .c = &c, .s = &s };
	struct fs_file *w;

	multi_up(&c, &s);
	w = rig_open(r, c.ino, FS_READ | FS_WRITE);
	readers_begin(&a, &b);
	rig_close(w);
	acquire_by(&r->f, acquire_slowly);
	awaited = LOCK_EXCLUSIVE;
	ATF_CHECK_EQ(0, set_mode(r, c.ino));
	acquire_as_before(&r->f);
	readers_end(&a, &b);
	ATF_CHECK(!fs_is_damaged(r->fs, c.ino));
	fast_down(&c, &s);
}

ATF_TC_WITHOUT_HEAD(a_lock_of_many_becomes_exclusive_under_readers);
ATF_TC_BODY(a_lock_of_many_becomes_exclusive_under_readers, tc)
{
	rig_run(256 * MIB, becomes_exclusive);
}

static void
becomes_multi(struct rig *r)
{
	struct crowd c = { .r = r };
	struct slow s;
	struct step a = { .c = &c, .s = &s }, b = { .c = &c, .s = &s };
	struct fs_file *w;

	multi_up(&c, &s);
	w = rig_open(r, c.ino, FS_READ | FS_WRITE);
	readers_begin(&a, &b);
	rig_close(w);
	ATF_REQUIRE_EQ(0, set_mode(r, c.ino));
	ATF_REQUIRE_EQ(LOCK_EXCLUSIVE, mode_on_lun(r, c.ino));
	acquire_by(&r->f, acquire_slowly);
	awaited = LOCK_MULTI_WRITER;
	w = rig_open(r, c.ino, FS_READ | FS_WRITE);
	ATF_CHECK_EQ(LOCK_MULTI_WRITER, mode_on_lun(r, c.ino));
	acquire_as_before(&r->f);
	readers_end(&a, &b);
	ATF_CHECK(!fs_is_damaged(r->fs, c.ino));
	rig_close(w);
	fast_down(&c, &s);
}

ATF_TC_WITHOUT_HEAD(an_exclusive_lock_becomes_one_of_many_under_readers);
ATF_TC_BODY(an_exclusive_lock_becomes_one_of_many_under_readers, tc)
{
	rig_run(256 * MIB, becomes_multi);
}

/* ---- a lock that ends ---- */

static int
read_past_the_owner(struct step *t)
{
	fast_transfer(t->c, DISK_READ, 0, t->block, BLOCK_SIZE);
	return 0;
}

static void
ends_under_others(struct rig *r)
{
	struct crowd c = { .r = r };
	struct slow s;
	struct step a = { .c = &c, .s = &s }, b = { .c = &c, .s = &s };
	struct fs_file *w;

	fast_up(&c, &s, 1);
	w = c.f;
	c.f = rig_open(r, c.ino, FS_READ);
	step_begin_held(&a, read_first_block, DISK_READ);
	rig_close(w);
	step_begin_held(&b, read_past_the_owner, DISK_READ);
	ATF_REQUIRE_EQ(0, c.slow);
	/* The last one by the owner gives it back. */
	disk_submit(s.below, a.held);
	step_expect_waits(&a);
	ATF_CHECK_EQ(LOCK_EXCLUSIVE, mode_on_lun(r, c.ino));
	step_let_go(&b);
	step_wait(&a.done);
	ATF_CHECK_EQ(LOCK_FREE, mode_on_lun(r, c.ino));
	fast_down(&c, &s);
}

ATF_TC_WITHOUT_HEAD(a_lock_stays_for_reads_past_the_owner);
ATF_TC_BODY(a_lock_stays_for_reads_past_the_owner, tc)
{
	rig_run(256 * MIB, ends_under_others);
}

static int
close_opened(struct step *t)
{
	return fs_file_close(t->opened);
}

static int
open_again(struct step *t)
{
	return fs_file_open(t->c->r->fs, t->c->ino, 0, FS_READ | FS_WRITE,
	    &t->opened, NULL);
}

/* A reader is there whose block comes late, and the writer has closed what only
 * this host knows of; c.f is for reading now. */
static void
leave_a_reader(struct crowd *c, struct slow *s, struct step *a)
{
	struct step w = { .c = c };
	struct fs_snapshot snap;

	fast_up(c, s, 1);
	ATF_REQUIRE_EQ(0, fs_snapshot_create(c->r->fs, c->ino, "s", &snap,
	    NULL));
	w.opened = c->f;
	c->f = rig_open(c->r, c->ino, FS_READ);
	*a = (struct step){ .c = c, .s = s };
	step_begin_held(a, read_first_block, DISK_READ);
	rig_fill(w.opened, 0, BLOCK_SIZE, 2);
	/* Nobody waits for readers to close a file. */
	step_begin(&w, close_opened);
	step_wait(&w.done);
	ATF_REQUIRE_EQ(LOCK_EXCLUSIVE, mode_on_lun(c->r, c->ino));
}

static void
ends_with_a_reader(struct rig *r)
{
	struct crowd c = { .r = r };
	struct slow s;
	struct step a, b = { .c = &c, .s = &s };

	leave_a_reader(&c, &s, &a);
	step_begin(&b, read_first_block);
	step_expect_waits(&b);
	step_let_go(&a);
	step_wait(&b.done);
	ATF_CHECK_EQ(1, a.block[0]);
	ATF_CHECK_EQ(2, b.block[0]);
	ATF_CHECK_EQ(LOCK_FREE, mode_on_lun(r, c.ino));
	fast_down(&c, &s);
}

ATF_TC_WITHOUT_HEAD(who_reads_when_a_lock_ends_waits_for_that);
ATF_TC_BODY(who_reads_when_a_lock_ends_waits_for_that, tc)
{
	rig_run(256 * MIB, ends_with_a_reader);
}

static void
opened_again(struct rig *r)
{
	struct crowd c = { .r = r };
	struct slow s;
	struct step a, b = { .c = &c, .s = &s }, w = { .c = &c, .s = &s };

	leave_a_reader(&c, &s, &a);
	step_begin(&b, read_first_block);
	step_expect_waits(&b);
	step_begin(&w, open_again);
	step_wait(&w.done);
	step_wait(&b.done);
	ATF_CHECK_EQ(2, b.block[0]);
	step_let_go(&a);
	ATF_CHECK_EQ(LOCK_EXCLUSIVE, mode_on_lun(r, c.ino));
	rig_close(w.opened);
	ATF_CHECK_EQ(LOCK_FREE, mode_on_lun(r, c.ino));
	fast_down(&c, &s);
}

ATF_TC_WITHOUT_HEAD(who_opens_it_again_lets_readers_in);
ATF_TC_BODY(who_opens_it_again_lets_readers_in, tc)
{
	rig_run(256 * MIB, opened_again);
}

/* The LUN is as slow as never. */
static void
reader_stays(struct rig *r)
{
	struct crowd c = { .r = r };
	struct slow s;
	struct step a, b = { .c = &c, .s = &s };

	leave_a_reader(&c, &s, &a);
	step_begin(&b, read_first_block);
	step_expect_waits(&b);
	step_wait(&b.done);
	ATF_CHECK_EQ(2, b.block[0]);
	ATF_CHECK_EQ(LOCK_EXCLUSIVE, mode_on_lun(r, c.ino));
	step_let_go(&a);
	ATF_CHECK_EQ(LOCK_FREE, mode_on_lun(r, c.ino));
	fast_down(&c, &s);
}

ATF_TC_WITHOUT_HEAD(nobody_waits_for_long_for_another_reader);
ATF_TC_BODY(nobody_waits_for_long_for_another_reader, tc)
{
	rig_run(256 * MIB, reader_stays);
}

#define LOOKERS 4u

struct looker {
	struct crowd *c;
	unsigned reads;
	bool stop, ended;
};

static void
looker_fiber(void *arg)
{
	struct looker *l = arg;
	struct step t = { .c = l->c };

	while (!l->stop) {
		ATF_REQUIRE_EQ(0, read_first_block(&t));
		ATF_REQUIRE_EQ(1, t.block[0]);
		l->reads++;
	}
	l->ended = true;
}

static void
read_without_end(struct rig *r)
{
	struct crowd c = { .r = r };
	struct looker l[LOOKERS];
	struct fs_file *w;
	struct slow s;

	fast_up(&c, &s, 1);
	w = c.f;
	c.f = rig_open(r, c.ino, FS_READ);
	for (unsigned i = 0; i < LOOKERS; i++) {
		l[i] = (struct looker){ .c = &c };
		ATF_REQUIRE_EQ(0, sched_spawn(sched_current(), "look",
		    looker_fiber, &l[i]));
	}
	for (unsigned i = 0; i < LOOKERS; i++)
		while (l[i].reads < 10)
			fiber_sleep(NSEC_PER_MSEC / 10);
	rig_close(w);
	for (unsigned i = 0; i < 30000 &&
	    mode_on_lun(r, c.ino) != LOCK_FREE; i++)
		fiber_sleep(NSEC_PER_MSEC);
	ATF_CHECK_EQ(LOCK_FREE, mode_on_lun(r, c.ino));
	for (unsigned i = 0; i < LOOKERS; i++) {
		l[i].stop = true;
		step_wait(&l[i].ended);
	}
	fast_down(&c, &s);
}

ATF_TC_WITHOUT_HEAD(readers_do_not_keep_a_writers_lock);
ATF_TC_BODY(readers_do_not_keep_a_writers_lock, tc)
{
	rig_run(256 * MIB, read_without_end);
}

ATF_TP_ADD_TCS(tp)
{
	ATF_TP_ADD_TC(tp, readers_keep_their_lock_when_a_change_is_refused);
	ATF_TP_ADD_TC(tp, a_lock_of_many_becomes_exclusive_under_readers);
	ATF_TP_ADD_TC(tp,
	    an_exclusive_lock_becomes_one_of_many_under_readers);
	ATF_TP_ADD_TC(tp, a_lock_stays_for_reads_past_the_owner);
	ATF_TP_ADD_TC(tp, who_reads_when_a_lock_ends_waits_for_that);
	ATF_TP_ADD_TC(tp, who_opens_it_again_lets_readers_in);
	ATF_TP_ADD_TC(tp, nobody_waits_for_long_for_another_reader);
	ATF_TP_ADD_TC(tp, readers_do_not_keep_a_writers_lock);
	return atf_no_error();
}
