/* SPDX-License-Identifier: BSD-2-Clause */
/* What other threads are told of a file, and the gate in front of it. */
#include <atf-c.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

#include "libvmfs/base/units.h"
#include "libvmfs/core/view.h"
#include "libvmfs/env/reactor.h"

#define CHUNK(n) ((uint64_t)(n) * CHUNK_SIZE)

static struct view *
view(void)
{
	struct view *v = view_new(sched_current(), MIB);

	ATF_REQUIRE(v != NULL);
	view_set_size(v, GIB);
	return v;
}

static void
learn(struct view *v, uint64_t off, enum map_state state, uint64_t own,
    uint64_t base, uint16_t valid, bool writable)
{
	const struct view_entry e = {
		.state = state, .writable = writable,
		.c = { .own = own, .base = base, .valid = valid },
	};

	view_learn(v, off, &e);
}

static void
expect(struct view *v, uint64_t off, uint64_t len, bool write, unsigned n,
    const struct view_part *want)
{
	struct view_part p[VIEW_PARTS_MAX];

	ATF_CHECK_EQ(n, view_find(v, off, len, write, p));
	for (unsigned i = 0; i < n; i++) {
		ATF_CHECK_EQ(want[i].data, p[i].data);
		ATF_CHECK_EQ(want[i].phys, p[i].phys);
		ATF_CHECK_EQ(want[i].len, p[i].len);
	}
}

ATF_TC_WITHOUT_HEAD(a_contiguous_MiB_is_one_part);
ATF_TC_BODY(a_contiguous_MiB_is_one_part, tc)
{
	struct view *v = view();

	learn(v, 5 * MIB, MAP_HUGE, 100, 0, 0xffff, true);
	learn(v, 6 * MIB, MAP_HUGE, 116, 0, 0xffff, false);
	expect(v, 5 * MIB + 512, MIB, false, 1, &(struct view_part){
	    true, CHUNK(100) + 512, MIB });
	expect(v, 5 * MIB, MIB, true, 1, &(struct view_part){
	    true, CHUNK(100), MIB });
	/* The second is shared. */
	expect(v, 5 * MIB + 512, MIB, true, 0, NULL);
	view_free(v);
}

ATF_TC_WITHOUT_HEAD(a_shattered_chunk_is_read_from_where_each_block_is);
ATF_TC_BODY(a_shattered_chunk_is_read_from_where_each_block_is, tc)
{
	struct view *v = view();

	learn(v, CHUNK_SIZE, MAP_SPLIT, 7, 9, 0x0002, true);
	learn(v, CHUNK(2), MAP_SPLIT, 8, 0, 0x0001, true);
	expect(v, CHUNK_SIZE, 3 * BLOCK_SIZE, false, 3, (struct view_part[]){
	    { true, CHUNK(9), BLOCK_SIZE },
	    { true, CHUNK(7) + BLOCK_SIZE, BLOCK_SIZE },
	    { true, CHUNK(9) + 2ull * BLOCK_SIZE, BLOCK_SIZE } });
	expect(v, CHUNK(2), 2 * BLOCK_SIZE, false, 2, (struct view_part[]){
	    { true, CHUNK(8), BLOCK_SIZE }, { false, 0, BLOCK_SIZE } });
	view_free(v);
}

ATF_TC_WITHOUT_HEAD(only_what_was_written_is_written_in_place);
ATF_TC_BODY(only_what_was_written_is_written_in_place, tc)
{
	struct view *v = view();

	learn(v, 0, MAP_SPLIT, 7, 0, 0x0003, true);
	learn(v, MIB, MAP_HOLE, 0, 0, 0, true);
	expect(v, 0, 2 * BLOCK_SIZE, true, 1, &(struct view_part){
	    true, CHUNK(7), 2 * BLOCK_SIZE });
	expect(v, 0, 3 * BLOCK_SIZE, true, 0, NULL);
	expect(v, MIB, BLOCK_SIZE, true, 0, NULL);
	expect(v, MIB, BLOCK_SIZE, false, 1, &(struct view_part){
	    false, 0, BLOCK_SIZE });
	view_free(v);
}

ATF_TC_WITHOUT_HEAD(what_is_forgotten_is_unknown);
ATF_TC_BODY(what_is_forgotten_is_unknown, tc)
{
	struct view *v = view();

	learn(v, 0, MAP_HUGE, 16, 0, 0xffff, true);
	learn(v, MIB, MAP_SPLIT, 7, 0, 0xffff, true);
	learn(v, 2 * MIB, MAP_HUGE, 48, 0, 0xffff, true);
	view_forget(v, 700, 2 * MIB - 700);
	expect(v, 0, 512, false, 0, NULL);
	expect(v, MIB, 512, false, 0, NULL);
	expect(v, 2 * MIB, 512, true, 1, &(struct view_part){
	    true, CHUNK(48), 512 });
	view_forget(v, 0, UINT64_MAX);
	expect(v, 2 * MIB, 512, true, 0, NULL);
	view_free(v);
}

ATF_TC_WITHOUT_HEAD(a_MiB_that_was_split_can_be_one_again);
ATF_TC_BODY(a_MiB_that_was_split_can_be_one_again, tc)
{
	struct view *v = view();

	learn(v, CHUNK(3), MAP_SPLIT, 7, 0, 0xffff, true);
	learn(v, 0, MAP_HUGE, 32, 0, 0xffff, true);
	expect(v, 0, MIB, true, 1, &(struct view_part){
	    true, CHUNK(32), MIB });
	view_free(v);
}

ATF_TC_WITHOUT_HEAD(nothing_is_found_behind_the_end);
ATF_TC_BODY(nothing_is_found_behind_the_end, tc)
{
	struct view *v = view();

	learn(v, 0, MAP_HUGE, 16, 0, 0xffff, true);
	view_set_size(v, 5000);
	expect(v, 4096, 904, false, 1, &(struct view_part){
	    true, CHUNK(16) + 4096, 904 });
	expect(v, 4096, 905, false, 0, NULL);
	expect(v, UINT64_MAX - 100, 200, false, 0, NULL);
	learn(v, UINT64_MAX - MIB, MAP_HUGE, 16, 0, 0xffff, true);
	view_set_size(v, UINT64_MAX);
	expect(v, UINT64_MAX - MIB, 512, false, 0, NULL);
	view_free(v);
}

/* ---- the gate ---- */

struct guest {
	struct view *v;
	_Atomic bool inside, closing, out;
};

static void *
guest_thread(void *arg)
{
	struct guest *g = arg;

	ATF_REQUIRE(view_enter(g->v));
	atomic_store(&g->inside, true);
	while (!atomic_load(&g->closing))
		sched_yield();
	/* Until nobody else gets in the owner has not closed it. */
	while (view_enter(g->v)) {
		view_leave(g->v);
		sched_yield();
	}
	atomic_store(&g->out, true);
	view_leave(g->v);
	return NULL;
}

static int
gate_main(void *arg)
{
	struct guest g = { .v = view() };
	pthread_t t;

	(void)arg;
	ATF_REQUIRE_EQ(0, pthread_create(&t, NULL, guest_thread, &g));
	while (!atomic_load(&g.inside))
		sched_yield();
	atomic_store(&g.closing, true);
	view_close(g.v);
	ATF_CHECK(atomic_load(&g.out));
	view_close(g.v);
	view_open(g.v);
	ATF_CHECK(!view_enter(g.v));
	view_open(g.v);
	ATF_REQUIRE(view_enter(g.v));
	view_leave(g.v);
	ATF_REQUIRE_EQ(0, pthread_join(t, NULL));
	view_free(g.v);
	return 0;
}

ATF_TC_WITHOUT_HEAD(a_closed_gate_has_nobody_behind_it);
ATF_TC_BODY(a_closed_gate_has_nobody_behind_it, tc)
{
	for (unsigned i = 0; i < 100; i++)
		ATF_REQUIRE_EQ(0, reactor_run_main(gate_main, NULL));
}

ATF_TC_WITHOUT_HEAD(a_write_is_told_once);
ATF_TC_BODY(a_write_is_told_once, tc)
{
	struct view *v = view();

	ATF_CHECK_EQ(0, view_written(v));
	view_wrote(v, 77);
	ATF_CHECK_EQ(77, view_written(v));
	ATF_CHECK_EQ(0, view_written(v));
	view_free(v);
}

/* The largest disk has 62 TiB. */
ATF_TC_WITHOUT_HEAD(the_end_of_the_largest_disk_is_known);
ATF_TC_BODY(the_end_of_the_largest_disk_is_known, tc)
{
	struct view *v = view();

	view_set_size(v, 64 * TIB);
	learn(v, 64 * TIB - MIB, MAP_HUGE, 100, 0, 0xffff, true);
	expect(v, 64 * TIB - MIB, MIB, true, 1, &(struct view_part){
	    true, CHUNK(100), MIB });
	/* And nothing is written behind the table. */
	view_set_size(v, 65 * TIB);
	learn(v, 64 * TIB, MAP_HUGE, 200, 0, 0xffff, true);
	expect(v, 64 * TIB, MIB, true, 0, NULL);
	view_free(v);
}

ATF_TC_WITHOUT_HEAD(a_table_that_has_grown_too_large_begins_anew);
ATF_TC_BODY(a_table_that_has_grown_too_large_begins_anew, tc)
{
	struct view *v = view();
	uint64_t off;

	view_set_size(v, 64 * TIB);
	/* A node of 2 KiB each: half of them fit. */
	for (unsigned i = 0; i < 1024; i++)
		learn(v, i * 256 * MIB, MAP_HUGE, 100, 0, 0xffff, true);
	off = 1023ull * 256 * MIB;
	expect(v, off, MIB, true, 1, &(struct view_part){
	    true, CHUNK(100), MIB });
	expect(v, 0, MIB, true, 0, NULL);
	view_free(v);
}

ATF_TP_ADD_TCS(tp)
{
	ATF_TP_ADD_TC(tp, a_contiguous_MiB_is_one_part);
	ATF_TP_ADD_TC(tp, a_shattered_chunk_is_read_from_where_each_block_is);
	ATF_TP_ADD_TC(tp, only_what_was_written_is_written_in_place);
	ATF_TP_ADD_TC(tp, what_is_forgotten_is_unknown);
	ATF_TP_ADD_TC(tp, a_MiB_that_was_split_can_be_one_again);
	ATF_TP_ADD_TC(tp, nothing_is_found_behind_the_end);
	ATF_TP_ADD_TC(tp, a_closed_gate_has_nobody_behind_it);
	ATF_TP_ADD_TC(tp, a_write_is_told_once);
	ATF_TP_ADD_TC(tp, the_end_of_the_largest_disk_is_known);
	ATF_TP_ADD_TC(tp, a_table_that_has_grown_too_large_begins_anew);
	return atf_no_error();
}
