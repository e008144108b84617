/* SPDX-License-Identifier: BSD-2-Clause */
/* A snapshot goes while others still read what it had. */
#include <atf-c.h>
#include <stdio.h>

#include "tests/unit/core_fast_rig.h"

static struct fs_snapshot doomed;

static void
doomed_make(struct crowd *c)
{
	ATF_REQUIRE_EQ(0, fs_snapshot_create(c->r->fs, c->ino, "s", &doomed,
	    NULL));
}

static int
doomed_delete(struct step *t)
{
	return fs_snapshot_delete(t->c->r->fs, t->c->ino, doomed.id, NULL);
}

/* The head gave the chunk up while the snapshot had it, and waited for nobody. */
static void
deletion(struct rig *r, int (*read)(struct step *t))
{
	struct crowd c = { .r = r };
	struct slow s;
	struct step a = { .c = &c, .s = &s }, b = { .c = &c, .s = &s };

	fast_up(&c, &s, 1);
	doomed_make(&c);
	rig_expect(c.f, 0, FAST_SIZE, 1);
	step_begin_held(&a, read, DISK_READ);
	rig_fill(c.f, 0, CHUNK_SIZE, 2);
	step_begin(&b, doomed_delete);
	step_expect_waits(&b);
	step_let_go(&a);
	step_wait(&b.done);
	ATF_CHECK_EQ(1, a.block[0]);
	rig_expect(c.f, 0, CHUNK_SIZE, 2);
	fast_down(&c, &s);
}

static int
read_past_the_owner(struct step *t)
{
	fast_transfer(t->c, DISK_READ, CHUNK_SIZE - BLOCK_SIZE, t->block,
	    BLOCK_SIZE);
	return 0;
}

static void
deletion_fast(struct rig *r)
{
	deletion(r, read_past_the_owner);
}

ATF_TC_WITHOUT_HEAD(a_deletion_waits_for_readers_of_the_head);
ATF_TC_BODY(a_deletion_waits_for_readers_of_the_head, tc)
{
	rig_run(256 * MIB, deletion_fast);
}

static int
read_by_owner(struct step *t)
{
	size_t n;

	return fs_file_read(t->c->f, CHUNK_SIZE - BLOCK_SIZE, t->block,
	    BLOCK_SIZE, &n);
}

static void
deletion_owner(struct rig *r)
{
	deletion(r, read_by_owner);
}

ATF_TC_WITHOUT_HEAD(a_deletion_waits_for_readers_by_the_owner);
ATF_TC_BODY(a_deletion_waits_for_readers_by_the_owner, tc)
{
	rig_run(256 * MIB, deletion_owner);
}

static int diffed;

static bool
diff_seen(void *arg, uint64_t offset, uint64_t len, bool data)
{
	(void)arg;
	(void)offset;
	(void)len;
	(void)data;
	return true;
}

static int
diff_doomed(struct step *t)
{
	diffed = fs_diff(t->c->r->fs, doomed.ino, t->c->ino, diff_seen, NULL);
	return 0;
}

/* What it had is something else by now. */
static void
reuse(struct crowd *c)
{
	struct fs_snapshot more;
	char name[16];

	ATF_REQUIRE_EQ(0, ds_checkpoint(c->r->f.ds, 0));
	for (unsigned i = 0; i < 20; i++) {
		(void)snprintf(name, sizeof(name), "m%u", i);
		ATF_REQUIRE_EQ(0, fs_snapshot_create(c->r->fs, c->ino, name,
		    &more, NULL));
		rig_fill(c->f, 0, CHUNK_SIZE, 3);
		(void)rig_create(c->r, name, INODE_FILE, 0);
	}
}

static void
diff_beside_deletion(struct rig *r)
{
	struct crowd c = { .r = r };
	struct slow s;
	struct step d = { .c = &c, .s = &s };
	uint8_t byte = 5;

	fast_up(&c, &s, 1);
	doomed_make(&c);
	rig_fill(c.f, 0, CHUNK_SIZE, 2);
	ATF_REQUIRE_EQ(0, ds_checkpoint(r->f.ds, 0));
	/* It has read the one inode, and waits for the LUN to read the other. */
	step_begin(&d, diff_doomed);
	fiber_yield();
	fiber_yield();
	s.held = NULL;
	s.op = DISK_READ;
	s.hold = true;
	while (s.held == NULL)
		fiber_sleep(NSEC_PER_MSEC / 10);
	d.held = s.held;
	ATF_REQUIRE_EQ(0, doomed_delete(&d));
	reuse(&c);
	step_let_go(&d);
	ATF_CHECK_EQ_MSG(-ENOENT, diffed, "%s", vmfs_strerror(diffed));
	ATF_CHECK_EQ_MSG(0, fs_file_write(c.f, 0, &byte, 1),
	    "the disk cannot be written any more");
	fast_down(&c, &s);
}

ATF_TC_WITHOUT_HEAD(differences_with_what_is_deleted_are_no_damage);
ATF_TC_BODY(differences_with_what_is_deleted_are_no_damage, tc)
{
	rig_run(256 * MIB, diff_beside_deletion);
}

ATF_TP_ADD_TCS(tp)
{
	ATF_TP_ADD_TC(tp, a_deletion_waits_for_readers_of_the_head);
	ATF_TP_ADD_TC(tp, a_deletion_waits_for_readers_by_the_owner);
	ATF_TP_ADD_TC(tp, differences_with_what_is_deleted_are_no_damage);
	return atf_no_error();
}
