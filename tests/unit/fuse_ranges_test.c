/* SPDX-License-Identifier: BSD-2-Clause */
/* Locked ranges of one file against a model that keeps a word for each byte. */
#include <atf-c.h>
#include <stdlib.h>
#include <string.h>

#include "fuse/ranges.h"
#include "libvmfs/base/prng.h"

static struct range_kept kept[RANGES_MAX + 64];

static void
init(struct ranges *t, struct range_keep *k)
{
	memset(kept, 0, sizeof(kept));
	*k = (struct range_keep){ .slot = kept };
	ATF_REQUIRE_EQ(0, share_init(&k->share,
	    sizeof(kept) / sizeof(kept[0])));
	ranges_init(t, k);
}

static void
fini(struct ranges *t)
{
	ranges_fini(t);
	share_fini(&t->keep->share);
}

static unsigned
kept_count(void)
{
	unsigned n = 0;

	for (unsigned i = 0; i < sizeof(kept) / sizeof(kept[0]); i++)
		n += kept[i].used != RANGE_FREE;
	return n;
}

#define OWNERS 3u
#define BYTES 24u

static struct range_lock
want(uint64_t owner, uint64_t start, uint64_t end, bool write)
{
	static int file[OWNERS + 1];

	return (struct range_lock){
		.start = start, .end = end, .owner = owner, .write = write,
		.by = &file[owner], .pid = (pid_t)(100 + owner),
	};
}

static void
lock(struct ranges *t, struct range_lock w)
{
	ATF_REQUIRE(ranges_conflict(t, &w) == NULL);
	ATF_REQUIRE_EQ(0, ranges_set(t, &w, false));
}

static bool
refused(const struct ranges *t, struct range_lock w)
{
	return ranges_conflict(t, &w) != NULL;
}

ATF_TC_WITHOUT_HEAD(only_readers_may_overlap);
ATF_TC_BODY(only_readers_may_overlap, tc)
{
	struct range_keep k;
	struct ranges t;

	(void)tc;
	init(&t, &k);
	lock(&t, want(1, 10, 19, false));
	lock(&t, want(2, 15, 30, false));
	ATF_CHECK(refused(&t, want(3, 19, 19, true)));
	ATF_CHECK(refused(&t, want(1, 0, RANGE_END, true)));
	ATF_CHECK(!refused(&t, want(3, 31, RANGE_END, true)));
	ATF_CHECK(!refused(&t, want(1, 0, 14, true)));
	fini(&t);
}

ATF_TC_WITHOUT_HEAD(flock_and_fcntl_do_not_see_each_other);
ATF_TC_BODY(flock_and_fcntl_do_not_see_each_other, tc)
{
	struct range_lock w = want(1, 0, RANGE_END, true);
	struct range_keep k;
	struct ranges t;

	(void)tc;
	init(&t, &k);
	w.flock = true;
	lock(&t, w);
	lock(&t, want(2, 0, RANGE_END, true));
	w.owner = 2;
	ATF_CHECK(refused(&t, w));
	/* A process that closes any of its files loses those of fcntl. */
	ATF_CHECK(!ranges_owned(&t, 1));
	ranges_drop_owner(&t, 2);
	ATF_CHECK(!refused(&t, want(3, 0, 0, true)));
	ATF_CHECK(refused(&t, w));
	ranges_drop_by(&t, want(1, 0, 0, true).by);
	ATF_CHECK(!refused(&t, w));
	ATF_CHECK_EQ(0, t.count);
	fini(&t);
}

ATF_TC_WITHOUT_HEAD(a_program_cannot_fill_the_memory);
ATF_TC_BODY(a_program_cannot_fill_the_memory, tc)
{
	struct range_lock w;
	struct range_keep k;
	struct ranges t;
	int rc = 0;

	(void)tc;
	init(&t, &k);
	lock(&t, want(1, 0, RANGE_END, false));
	/* Each takes a byte out of the last range. */
	for (uint64_t i = 0; i < 2 * RANGES_MAX && rc == 0; i++) {
		w = want(1, 2 * i + 1, 2 * i + 1, false);
		rc = ranges_set(&t, &w, true);
	}
	ATF_CHECK_EQ(-ENOLCK, rc);
	ATF_CHECK_EQ(RANGES_MAX, t.count);
	w = want(2, 0, 0, false);
	ATF_CHECK_EQ(-ENOLCK, ranges_set(&t, &w, false));
	ATF_CHECK_EQ(RANGES_MAX, kept_count());
	/* The way back is open. */
	w = want(1, 0, RANGE_END, false);
	ATF_CHECK_EQ(0, ranges_set(&t, &w, true));
	ATF_CHECK_EQ(0, t.count);
	fini(&t);
}

/* ---- by chance ---- */

static char model[OWNERS + 1][BYTES];	/* 0, 'r', 'w' */

static bool
model_refuses(const struct range_lock *w)
{
	for (uint64_t o = 1; o <= OWNERS; o++)
		for (uint64_t b = w->start; b <= w->end && b < BYTES; b++)
			if (o != w->owner && model[o][b] != 0 &&
			    (w->write || model[o][b] == 'w'))
				return true;
	return false;
}

static void
model_set(const struct range_lock *w, char c)
{
	for (uint64_t b = w->start; b <= w->end && b < BYTES; b++)
		model[w->owner][b] = c;
}

static void
compare(const struct ranges *t)
{
	ATF_REQUIRE_EQ(t->count, kept_count());
	for (uint64_t b = 0; b < BYTES; b++) {
		for (int write = 0; write < 2; write++) {
			/* Somebody who has none. */
			struct range_lock w = want(0, b, b, write);

			ATF_REQUIRE_EQ(model_refuses(&w), refused(t, w));
		}
	}
}

/* It finds what the one before it has left. */
static void
next_process(struct ranges *t, struct range_keep *k)
{
	unsigned count = k->share.count;

	fini(t);
	ATF_REQUIRE_EQ(0, share_init(&k->share, count));
	ranges_init(t, k);
	for (unsigned i = 0; i < count; i++)
		if (k->slot[i].used == RANGE_USED)
			ATF_REQUIRE_EQ(0, ranges_restore(t, &k->slot[i],
			    want(k->slot[i].owner, 0, 0, false).by));
	compare(t);
}

ATF_TC_WITHOUT_HEAD(ranges_split_and_join_as_the_model_says);
ATF_TC_BODY(ranges_split_and_join_as_the_model_says, tc)
{
	struct prng p;
	struct range_keep k;
	struct ranges t;

	(void)tc;
	prng_seed(&p, 7);
	init(&t, &k);
	for (int i = 0; i < 20000; i++) {
		uint64_t a = prng_u64(&p) % BYTES, b = prng_u64(&p) % BYTES;
		struct range_lock w = want(1 + prng_u64(&p) % OWNERS,
		    a < b ? a : b, a < b ? b : a, prng_u64(&p) % 2);
		bool unlock = prng_u64(&p) % 3 == 0;

		ATF_REQUIRE_EQ(model_refuses(&w), refused(&t, w));
		if (!unlock && refused(&t, w))
			continue;
		ATF_REQUIRE_EQ(0, ranges_set(&t, &w, unlock));
		model_set(&w, unlock ? 0 : w.write ? 'w' : 'r');
		compare(&t);
		if (i % 16 == 0)
			next_process(&t, &k);
	}
	for (uint64_t o = 1; o <= OWNERS; o++)
		ranges_drop_owner(&t, o);
	ATF_CHECK_EQ(0, t.count);
	ATF_CHECK_EQ(0, kept_count());
	fini(&t);
}

ATF_TC_WITHOUT_HEAD(without_room_nothing_changes);
ATF_TC_BODY(without_room_nothing_changes, tc)
{
	struct range_lock w = want(2, 30, 30, true);
	struct range_keep k;
	struct ranges t;

	(void)tc;
	init(&t, &k);
	k.share.count = 2;
	lock(&t, want(1, 10, 20, true));
	lock(&t, want(1, 22, 22, true));
	ATF_CHECK_EQ(-ENOLCK, ranges_set(&t, &w, false));
	w = want(1, 15, 15, true);
	ATF_CHECK_EQ(-ENOLCK, ranges_set(&t, &w, true));
	ATF_CHECK(refused(&t, want(2, 15, 15, true)));
	ATF_CHECK_EQ(2, kept_count());
	w = want(1, 15, 20, true);
	ATF_CHECK_EQ(0, ranges_set(&t, &w, true));
	ATF_CHECK(!refused(&t, want(2, 15, 15, true)));
	fini(&t);
}

ATF_TP_ADD_TCS(tp)
{
	ATF_TP_ADD_TC(tp, only_readers_may_overlap);
	ATF_TP_ADD_TC(tp, flock_and_fcntl_do_not_see_each_other);
	ATF_TP_ADD_TC(tp, a_program_cannot_fill_the_memory);
	ATF_TP_ADD_TC(tp, without_room_nothing_changes);
	ATF_TP_ADD_TC(tp, ranges_split_and_join_as_the_model_says);
	return atf_no_error();
}
