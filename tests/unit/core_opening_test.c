/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * An open and a change that must not be beside it, each begun while the other
 * one waits: for each request of the LUN in turn, for the journal, for a key.
 * Whoever is second either sees what the first has left, or is refused.
 */
#include <atf-c.h>
#include <stdio.h>
#include <string.h>

#include "libvmfs/core/ds.h"
#include "tests/unit/core_fast_rig.h"

#define STOPS_MAX 100u

struct race;

struct kind {
	bool secret;			/* the disk has a key */
	unsigned flags;			/* of the open; 0: of a clone */
	void (*up)(struct race *x);	/* from a disk full of 1, open */
	int (*change)(struct race *x);
	/* Both are through. */
	void (*check)(struct race *x);
};

struct race {
	struct crowd c;
	struct slow s;
	const struct kind *kind;
	struct step change, open, commit;
	uint64_t ino;			/* to be opened */
	struct fs_snapshot snap;
	struct inode_crypt crypt;
	struct fs_file *f;
	struct txn *txn;
	int changed, opened, read;
	uint8_t seen;
	bool park, parked, no_key;
};

/* ---- where the first one stops ---- */

enum stop { AT_READ, AT_WRITE, AT_JOURNAL, AT_KEY };

static int
find_key(void *arg, const uint8_t *id, struct wrapping_key *ret_k)
{
	struct race *x = arg;

	if (memcmp(id, rig_key[0].id, sizeof(rig_key[0].id)) != 0)
		return -ENOKEY;
	while (x->park) {
		x->parked = true;
		fiber_sleep(NSEC_PER_MSEC / 10);
	}
	*ret_k = rig_key[0];
	return x->no_key ? -ENOKEY : 0;
}

static int
commit_step(struct step *t)
{
	return ds_commit(t->c->r->f.ds);
}

/* Until another one waits for what is stopped, or has ended. */
static void
step_linger(const struct step *t)
{
	for (unsigned i = 0; i < 50 && !t->done; i++)
		fiber_sleep(NSEC_PER_MSEC / 5);
}

/* At its n-th request. */
static bool
stop_at_lun(struct race *x, struct step *t, enum disk_op op, unsigned n)
{
	x->s.op = op;
	for (unsigned i = 0;; i++) {
		while (x->s.held == NULL && !t->done)
			fiber_sleep(NSEC_PER_MSEC / 10);
		t->held = x->s.held;
		x->s.held = NULL;
		if (t->held == NULL || i == n)
			break;
		x->s.hold = true;
		disk_submit(x->s.below, t->held);
	}
	x->s.hold = false;
	return t->held != NULL;
}

static bool
begin_stopped(struct race *x, struct step *t, int (*fn)(struct step *t),
    enum stop at, unsigned n)
{
	x->s.op = at == AT_READ ? DISK_READ : DISK_WRITE;
	x->s.hold = at == AT_READ || at == AT_WRITE;
	x->park = at == AT_KEY;
	if (at == AT_JOURNAL) {
		ATF_REQUIRE_EQ(0, txn_begin(x->c.r->f.ds, 1, &x->txn));
		step_begin(&x->commit, commit_step);
		step_expect_waits(&x->commit);
	}
	step_begin(t, fn);
	if (at == AT_READ || at == AT_WRITE)
		return stop_at_lun(x, t, x->s.op, n);
	while (at == AT_KEY && !x->parked && !t->done)
		fiber_sleep(NSEC_PER_MSEC / 10);
	if (at == AT_JOURNAL)
		step_linger(t);
	return n == 0 && !t->done;
}

static void
let_go(struct race *x, struct step *t)
{
	x->park = false;
	if (x->txn != NULL) {
		txn_end(x->txn);
		step_wait(&x->commit.done);
	}
	if (t->held != NULL)
		disk_submit(x->s.below, t->held);
	step_wait(&t->done);
}

/* ---- a race ---- */

static int
open_clone(struct race *x)
{
	struct rig *r = x->c.r;
	struct fs_attr a;
	int e = fs_clone(r->fs, x->ino, r->root, "end", 0600, 0, 0, &a, NULL);

	return e != 0 ? e : fs_file_open(r->fs, a.ino, 0, FS_READ, &x->f, NULL);
}

static int
open_step(struct step *t)
{
	struct race *x = container_of(t->c, struct race, c);
	size_t n = 0;

	x->opened = x->kind->flags == 0 ? open_clone(x) : fs_file_open(
	    t->c->r->fs, x->ino, 0, x->kind->flags, &x->f, NULL);
	if (x->opened == 0)
		x->read = fs_file_read(x->f, 0, &x->seen, 1, &n);
	return 0;
}

static int
change_step(struct step *t)
{
	struct race *x = container_of(t->c, struct race, c);

	x->changed = x->kind->change(x);
	return 0;
}

static void
race_up(struct race *x, struct rig *r, const struct kind *kind)
{
	*x = (struct race){ .kind = kind, .c = { .r = r,
		.secret = kind->secret } };
	x->change.c = x->open.c = x->commit.c = &x->c;
	fast_up(&x->c, &x->s, 1);
	x->ino = x->c.ino;
	kind->up(x);
	fs_set_keys(r->fs, &(struct fs_keys){ .find = find_key, .arg = x });
}

static void
race_down(struct race *x)
{
	struct fs_attr a;

	x->c.f = x->f;
	if (x->f == NULL)
		x->c.f = rig_open(x->c.r, rig_create(x->c.r, "end", INODE_FILE,
		    0), FS_READ);
	fast_down(&x->c, &x->s);
	if (fs_lookup(x->c.r->fs, x->c.r->root, "end", &a) == 0)
		rig_unlink(x->c.r, "end");
	if (fs_lookup(x->c.r->fs, x->c.r->root, "d", &a) == 0)
		rig_unlink(x->c.r, "d");
}

/* False: the first one does not wait so often. */
static bool
race_run(struct rig *r, const struct kind *kind, bool open_first, enum stop at,
    unsigned n)
{
	static struct race x;		/* too large for a fiber's stack */
	struct step *first = open_first ? &x.open : &x.change;
	struct step *second = open_first ? &x.change : &x.open;
	bool stopped;

	race_up(&x, r, kind);
	stopped = begin_stopped(&x, first, open_first ? open_step :
	    change_step, at, n);
	step_begin(second, open_first ? change_step : open_step);
	step_linger(second);
	let_go(&x, first);
	step_wait(&second->done);
	printf("%s first, stop %d.%u: changed %d, opened %d, read %d\n",
	    open_first ? "open" : "change", at, n, x.changed, x.opened,
	    x.read);
	kind->check(&x);
	race_down(&x);
	return stopped;
}

static void
race_each(struct rig *r, const struct kind *kind, bool open_first,
    enum stop at)
{
	unsigned n = 0;

	while (race_run(r, kind, open_first, at, n))
		ATF_REQUIRE(++n < STOPS_MAX);
	ATF_CHECK_MSG(n > 0, "it has not waited");
}

static void
race_cold(struct race *x)
{
	rig_close(x->c.f);
	rig_remount(x->c.r);
}

/* What was opened is what it was when it was opened, to its end. */
static void
expect_all(struct race *x, uint8_t v)
{
	ATF_REQUIRE_EQ(0, x->opened);
	ATF_REQUIRE_EQ(0, x->read);
	ATF_CHECK_EQ_MSG(v, x->seen, "read as %u", x->seen);
	rig_expect(x->f, 0, FAST_SIZE, v);
}

/* ---- a snapshot is deleted ---- */

static void
deletion_up(struct race *x)
{
	ATF_REQUIRE_EQ(0, fs_snapshot_create(x->c.r->fs, x->c.ino, "s",
	    &x->snap, NULL));
	rig_fill(x->c.f, 0, FAST_SIZE, 2);
	race_cold(x);
	x->ino = x->snap.ino;
}

static int
deletion_change(struct race *x)
{
	return fs_snapshot_delete(x->c.r->fs, x->c.ino, x->snap.id, NULL);
}

static void
deletion_check(struct race *x)
{
	if (x->changed == 0) {
		ATF_CHECK_MSG(x->opened == -ENOENT || x->opened == -ESTALE,
		    "opened: %d", x->opened);
		return;
	}
	ATF_REQUIRE_EQ(-EBUSY, x->changed);
	expect_all(x, 1);
}

static const struct kind deletion = { false, FS_READ, deletion_up,
	deletion_change, deletion_check };
static const struct kind deletion_secret = { true, FS_READ, deletion_up,
	deletion_change, deletion_check };

static void
deletion_first(struct rig *r)
{
	race_each(r, &deletion, false, AT_READ);
	race_each(r, &deletion, false, AT_WRITE);
	race_each(r, &deletion, false, AT_JOURNAL);
}

ATF_TC_WITHOUT_HEAD(a_snapshot_that_goes_is_not_opened);
ATF_TC_BODY(a_snapshot_that_goes_is_not_opened, tc)
{
	rig_run(256 * MIB, deletion_first);
}

static void
deletion_second(struct rig *r)
{
	race_each(r, &deletion, true, AT_READ);
	race_each(r, &deletion_secret, true, AT_KEY);
}

ATF_TC_WITHOUT_HEAD(a_snapshot_being_opened_is_not_deleted);
ATF_TC_BODY(a_snapshot_being_opened_is_not_deleted, tc)
{
	rig_run(256 * MIB, deletion_second);
}

/* ---- a disk is unlinked ---- */

static int
unlink_change(struct race *x)
{
	return fs_unlink(x->c.r->fs, x->c.r->root, "d", NULL);
}

/* What has no name is whole to its last close. */
static void
unlink_check(struct race *x)
{
	ATF_REQUIRE_EQ(0, x->changed);
	if (x->opened == -ESTALE)
		return;
	expect_all(x, 1);
	rig_create(x->c.r, "end", INODE_FILE, 0);
	rig_fill(x->f, 0, BLOCK_SIZE, 3);
	rig_expect(x->f, 0, BLOCK_SIZE, 3);
}

static const struct kind unlinking = { false, FS_READ | FS_WRITE, race_cold,
	unlink_change, unlink_check };
static const struct kind unlinking_secret = { true, FS_READ | FS_WRITE,
	race_cold, unlink_change, unlink_check };

/* With its snapshot, which is opened. */
static const struct kind unlinking_both = { false, FS_READ, deletion_up,
	unlink_change, deletion_check };
static const struct kind unlinking_both_secret = { true, FS_READ, deletion_up,
	unlink_change, deletion_check };

static void
unlink_first(struct rig *r)
{
	race_each(r, &unlinking, false, AT_READ);
	race_each(r, &unlinking, false, AT_WRITE);
	race_each(r, &unlinking, false, AT_JOURNAL);
	race_each(r, &unlinking_both, false, AT_READ);
	race_each(r, &unlinking_both, false, AT_WRITE);
	race_each(r, &unlinking_both, false, AT_JOURNAL);
}

ATF_TC_WITHOUT_HEAD(a_disk_that_goes_is_opened_whole_or_not);
ATF_TC_BODY(a_disk_that_goes_is_opened_whole_or_not, tc)
{
	rig_run(256 * MIB, unlink_first);
}

static void
unlink_second(struct rig *r)
{
	race_each(r, &unlinking, true, AT_READ);
	race_each(r, &unlinking_secret, true, AT_KEY);
	race_each(r, &unlinking_both, true, AT_READ);
	race_each(r, &unlinking_both_secret, true, AT_KEY);
}

ATF_TC_WITHOUT_HEAD(a_disk_being_opened_is_not_destroyed);
ATF_TC_BODY(a_disk_being_opened_is_not_destroyed, tc)
{
	rig_run(256 * MIB, unlink_second);
}

static void
last_close_up(struct race *x)
{
	rig_unlink(x->c.r, "d");
}

static int
last_close_change(struct race *x)
{
	return fs_file_close(x->c.f);
}

static const struct kind last_close = { false, FS_READ | FS_WRITE,
	last_close_up, last_close_change, unlink_check };

static void
last_closes(struct rig *r)
{
	race_each(r, &last_close, false, AT_WRITE);
	race_each(r, &last_close, false, AT_JOURNAL);
}

ATF_TC_WITHOUT_HEAD(what_the_last_close_ends_is_not_opened_any_more);
ATF_TC_BODY(what_the_last_close_ends_is_not_opened_any_more, tc)
{
	rig_run(256 * MIB, last_closes);
}

/* The unlink has left it to an open that fails. */
static void
ended_by_failure(struct rig *r)
{
	static struct race x;
	uint64_t before;

	race_up(&x, r, &unlinking_secret);
	before = rig_free_bytes(r);
	x.no_key = true;
	ATF_REQUIRE(begin_stopped(&x, &x.open, open_step, AT_KEY, 0));
	ATF_REQUIRE_EQ(0, unlink_change(&x));
	ATF_CHECK_EQ(before, rig_free_bytes(r));
	let_go(&x, &x.open);
	ATF_CHECK_EQ(-ENOKEY, x.opened);
	ATF_REQUIRE_EQ(0, ds_checkpoint(r->f.ds, 0));
	ATF_CHECK(rig_free_bytes(r) >= before + FAST_SIZE);
	race_down(&x);
}

ATF_TC_WITHOUT_HEAD(an_open_that_fails_ends_what_was_unlinked_meanwhile);
ATF_TC_BODY(an_open_that_fails_ends_what_was_unlinked_meanwhile, tc)
{
	rig_run(256 * MIB, ended_by_failure);
}

/* ---- a snapshot is cloned ---- */

static const struct kind cloning = { false, 0, deletion_up, deletion_change,
	deletion_check };
static const struct kind cloning_both = { false, 0, deletion_up,
	unlink_change, deletion_check };

static void
clone_first(struct rig *r)
{
	race_each(r, &cloning, true, AT_READ);
	race_each(r, &cloning, true, AT_WRITE);
	race_each(r, &cloning, true, AT_JOURNAL);
	race_each(r, &cloning_both, true, AT_READ);
	race_each(r, &cloning_both, true, AT_JOURNAL);
}

ATF_TC_WITHOUT_HEAD(a_snapshot_being_cloned_is_not_deleted);
ATF_TC_BODY(a_snapshot_being_cloned_is_not_deleted, tc)
{
	rig_run(256 * MIB, clone_first);
}

static void
clone_second(struct rig *r)
{
	race_each(r, &cloning, false, AT_READ);
	race_each(r, &cloning, false, AT_WRITE);
	race_each(r, &cloning, false, AT_JOURNAL);
	race_each(r, &cloning_both, false, AT_READ);
	race_each(r, &cloning_both, false, AT_JOURNAL);
}

ATF_TC_WITHOUT_HEAD(a_snapshot_that_goes_is_not_cloned);
ATF_TC_BODY(a_snapshot_that_goes_is_not_cloned, tc)
{
	rig_run(256 * MIB, clone_second);
}

/* ---- a disk is reverted ---- */

static void
revert_up(struct race *x)
{
	deletion_up(x);
	x->ino = x->c.ino;
}

static int
revert_change(struct race *x)
{
	return fs_snapshot_revert(x->c.r->fs, x->c.ino, x->snap.id, NULL);
}

static void
revert_check(struct race *x)
{
	ATF_REQUIRE(x->changed == 0 || x->changed == -EBUSY);
	expect_all(x, x->changed == 0 ? 1 : 2);
}

static const struct kind reverting = { false, FS_READ | FS_WRITE, revert_up,
	revert_change, revert_check };
static const struct kind reverting_read = { false, FS_READ, revert_up,
	revert_change, revert_check };
static const struct kind reverting_secret = { true, FS_READ | FS_WRITE,
	revert_up, revert_change, revert_check };

static void
revert_first(struct rig *r)
{
	race_each(r, &reverting, false, AT_READ);
	race_each(r, &reverting, false, AT_JOURNAL);
	race_each(r, &reverting_read, false, AT_READ);
	race_each(r, &reverting_read, false, AT_WRITE);
}

ATF_TC_WITHOUT_HEAD(what_is_reverted_is_opened_afterwards);
ATF_TC_BODY(what_is_reverted_is_opened_afterwards, tc)
{
	rig_run(256 * MIB, revert_first);
}

static void
revert_second(struct rig *r)
{
	race_each(r, &reverting, true, AT_READ);
	race_each(r, &reverting_read, true, AT_READ);
	race_each(r, &reverting_secret, true, AT_KEY);
}

ATF_TC_WITHOUT_HEAD(what_is_being_opened_is_not_reverted);
ATF_TC_BODY(what_is_being_opened_is_not_reverted, tc)
{
	rig_run(256 * MIB, revert_second);
}

/* ---- a disk gets several writers ---- */

static int
sharing_change(struct race *x)
{
	return fs_set_multi_writer(x->c.r->fs, x->c.ino, true, NULL);
}

/* Who opens it is one of several, or alone. */
static void
sharing_check(struct race *x)
{
	ATF_REQUIRE(x->changed == 0 || x->changed == -VMFS_ELOCKED);
	expect_all(x, 1);
	ATF_CHECK_EQ(x->changed == 0 ? -EOPNOTSUPP : 0,
	    fs_file_punch(x->f, 0, MIB));
}

static const struct kind sharing = { false, FS_READ | FS_WRITE, race_cold,
	sharing_change, sharing_check };

static void
sharing_both(struct rig *r)
{
	race_each(r, &sharing, false, AT_READ);
	race_each(r, &sharing, false, AT_WRITE);
	race_each(r, &sharing, false, AT_JOURNAL);
	race_each(r, &sharing, true, AT_READ);
}

ATF_TC_WITHOUT_HEAD(nobody_has_alone_what_is_shared);
ATF_TC_BODY(nobody_has_alone_what_is_shared, tc)
{
	rig_run(256 * MIB, sharing_both);
}

/* ---- a disk gets a key ---- */

static void
encrypt_up(struct race *x)
{
	x->ino = rig_create(x->c.r, "end", INODE_DISK, FAST_SIZE);
	race_cold(x);
}

static int
encrypt_change(struct race *x)
{
	return fs_encrypt(x->c.r->fs, x->ino, &rig_key[0], NULL);
}

static void
encrypt_check(struct race *x)
{
	struct fs_attr a;

	ATF_REQUIRE(x->changed == 0 || x->changed == -EBUSY);
	expect_all(x, 0);
	ATF_REQUIRE_EQ(0, fs_file_attr(x->f, &a));
	ATF_CHECK_EQ(x->changed == 0, a.encrypted);
	rig_fill(x->f, 0, BLOCK_SIZE, 3);
	rig_expect(x->f, 0, BLOCK_SIZE, 3);
}

static const struct kind encrypting = { false, FS_READ | FS_WRITE, encrypt_up,
	encrypt_change, encrypt_check };

static void
restore_up(struct race *x)
{
	uint64_t lost = rig_create(x->c.r, "end", INODE_DISK, FAST_SIZE);

	ATF_REQUIRE_EQ(0, fs_encrypt(x->c.r->fs, lost, &rig_key[0], NULL));
	ATF_REQUIRE_EQ(0, fs_key_copy(x->c.r->fs, lost, &x->crypt));
	rig_unlink(x->c.r, "end");
	encrypt_up(x);
}

static int
restore_change(struct race *x)
{
	return fs_key_restore(x->c.r->fs, x->ino, &x->crypt, NULL);
}

static const struct kind restoring = { false, FS_READ | FS_WRITE, restore_up,
	restore_change, encrypt_check };

static void
key_first(struct rig *r)
{
	race_each(r, &encrypting, false, AT_READ);
	race_each(r, &encrypting, false, AT_WRITE);
	race_each(r, &encrypting, false, AT_JOURNAL);
	race_each(r, &restoring, false, AT_READ);
	race_each(r, &restoring, false, AT_JOURNAL);
	race_each(r, &restoring, false, AT_KEY);
}

ATF_TC_WITHOUT_HEAD(who_opens_what_gets_a_key_has_it);
ATF_TC_BODY(who_opens_what_gets_a_key_has_it, tc)
{
	rig_run(256 * MIB, key_first);
}

static void
key_second(struct rig *r)
{
	race_each(r, &encrypting, true, AT_READ);
	race_each(r, &restoring, true, AT_READ);
}

ATF_TC_WITHOUT_HEAD(what_is_being_opened_gets_no_key);
ATF_TC_BODY(what_is_being_opened_gets_no_key, tc)
{
	rig_run(256 * MIB, key_second);
}

ATF_TP_ADD_TCS(tp)
{
	ATF_TP_ADD_TC(tp, a_snapshot_that_goes_is_not_opened);
	ATF_TP_ADD_TC(tp, a_snapshot_being_opened_is_not_deleted);
	ATF_TP_ADD_TC(tp, a_disk_that_goes_is_opened_whole_or_not);
	ATF_TP_ADD_TC(tp, a_disk_being_opened_is_not_destroyed);
	ATF_TP_ADD_TC(tp, what_the_last_close_ends_is_not_opened_any_more);
	ATF_TP_ADD_TC(tp, an_open_that_fails_ends_what_was_unlinked_meanwhile);
	ATF_TP_ADD_TC(tp, a_snapshot_being_cloned_is_not_deleted);
	ATF_TP_ADD_TC(tp, a_snapshot_that_goes_is_not_cloned);
	ATF_TP_ADD_TC(tp, what_is_reverted_is_opened_afterwards);
	ATF_TP_ADD_TC(tp, what_is_being_opened_is_not_reverted);
	ATF_TP_ADD_TC(tp, nobody_has_alone_what_is_shared);
	ATF_TP_ADD_TC(tp, who_opens_what_gets_a_key_has_it);
	ATF_TP_ADD_TC(tp, what_is_being_opened_gets_no_key);
	return atf_no_error();
}
