/* SPDX-License-Identifier: BSD-2-Clause */
/* What a dead process has noted of its requests. */
#include <atf-c.h>
#include <linux/fuse.h>
#include <string.h>
#include <sys/mman.h>

#include "fuse/fuse_keep.h"

static struct fuse_keep *
keep_new(void)
{
	void *p;

	ATF_REQUIRE_EQ(hugepage_map(sizeof(struct fuse_keep), -1, &p), 0);
	return p;
}

static void
keep_free(struct fuse_keep *k)
{
	ATF_REQUIRE_EQ(munmap(k, sizeof(*k)), 0);
}

ATF_TC_WITHOUT_HEAD(what_was_not_replayed_is_not_done_for_good);
ATF_TC_BODY(what_was_not_replayed_is_not_done_for_good, tc)
{
	struct fuse_keep *k = keep_new();

	k->note[3].lsn = 100;
	k->note[FUSE_KEEP_REQUESTS - 1].lsn = 101;
	fuse_keep_replayed(k, 100);
	/* The next process has replayed more, and nothing of these. */
	fuse_keep_replayed(k, 200);
	ATF_CHECK_EQ(k->note[3].lsn, 0);
	ATF_CHECK_EQ(k->note[FUSE_KEEP_REQUESTS - 1].lsn, 0);
	keep_free(k);
}

ATF_TC_WITHOUT_HEAD(what_was_replayed_stays_done);
ATF_TC_BODY(what_was_replayed_stays_done, tc)
{
	struct fuse_keep *k = keep_new();

	k->note[0] = (struct fs_note){ .lsn = 99, .ino = 7 };
	fuse_keep_replayed(k, 100);
	ATF_CHECK_EQ(k->note[0].lsn, 99);
	ATF_CHECK_EQ(k->note[0].ino, 7);
	keep_free(k);
}

ATF_TC_WITHOUT_HEAD(notes_of_writes_have_no_stamp);
ATF_TC_BODY(notes_of_writes_have_no_stamp, tc)
{
	struct fuse_keep *k = keep_new();

	k->note[0].lsn = NOTE_OFFSET;
	k->note[1].lsn = NOTE_WRITTEN;
	fuse_keep_replayed(k, 100);
	ATF_CHECK_EQ(k->note[0].lsn, NOTE_OFFSET);
	ATF_CHECK_EQ(k->note[1].lsn, NOTE_WRITTEN);
	keep_free(k);
}

static unsigned
pages_there(struct fuse_keep *k, unsigned i)
{
	unsigned char there[FUSE_KEEP_MESSAGE / FUSE_KEEP_PAGE];
	unsigned n = 0;

	ATF_REQUIRE_EQ(mincore(fuse_keep_message(k, i), FUSE_KEEP_MESSAGE,
	    there), 0);
	for (unsigned p = 0; p < sizeof(there); p++)
		n += there[p] & 1;
	return n;
}

ATF_TC_WITHOUT_HEAD(pages_are_there_before_a_request_is);
ATF_TC_BODY(pages_are_there_before_a_request_is, tc)
{
	struct fuse_keep *k = keep_new();

	fuse_keep_touch(k, 5, FUSE_KEEP_MESSAGE);
	ATF_CHECK_EQ(pages_there(k, 5), FUSE_KEEP_MESSAGE / FUSE_KEEP_PAGE);
	fuse_keep_touch(k, 7, FUSE_KEEP_SHORT);
	ATF_CHECK_EQ(pages_there(k, 7), FUSE_KEEP_SHORT / FUSE_KEEP_PAGE);
	ATF_CHECK_EQ(pages_there(k, 6), 0);
	keep_free(k);
}

/* It becomes one while others use the messages beside it. */
ATF_TC_WITHOUT_HEAD(no_message_is_in_the_huge_page_of_another);
ATF_TC_BODY(no_message_is_in_the_huge_page_of_another, tc)
{
	struct fuse_keep *k = keep_new();

	for (unsigned i = 0; i < FUSE_KEEP_HUGE; i++) {
		ATF_CHECK_EQ((uintptr_t)fuse_keep_message(k, i) % HUGEPAGE, 0);
		ATF_CHECK(fuse_keep_message(k, i + 1) >=
		    fuse_keep_message(k, i) + HUGEPAGE);
	}
	for (unsigned i = FUSE_KEEP_HUGE + 1; i < FUSE_KEEP_REQUESTS; i++)
		ATF_CHECK_EQ(fuse_keep_message(k, i),
		    fuse_keep_message(k, i - 1) + FUSE_KEEP_MESSAGE);
	keep_free(k);
}

static void
message(struct fuse_keep *k, unsigned i, uint64_t unique, uint32_t opcode)
{
	struct fuse_in_header *h = fuse_keep_header(k, i);

	h->len = FUSE_KEEP_HEADERS;
	h->unique = unique;
	h->opcode = opcode;
}

ATF_TC_WITHOUT_HEAD(requests_are_done_again_by_their_age);
ATF_TC_BODY(requests_are_done_again_by_their_age, tc)
{
	struct fuse_keep *k = keep_new();
	unsigned left[FUSE_KEEP_REQUESTS];

	message(k, 7, 10, FUSE_WRITE);
	message(k, 2, 14, FUSE_FLUSH);
	message(k, 0, 12, FUSE_OPEN);
	message(k, 1, 8, FUSE_INIT);
	ATF_REQUIRE_EQ(fuse_keep_left(k, left), 3);
	ATF_CHECK_EQ(left[0], 7);
	ATF_CHECK_EQ(left[1], 0);
	ATF_CHECK_EQ(left[2], 2);
	keep_free(k);
}

/* What was closed already has a number that is free. */
ATF_TC_WITHOUT_HEAD(handles_are_given_up_before_one_is_opened);
ATF_TC_BODY(handles_are_given_up_before_one_is_opened, tc)
{
	struct fuse_keep *k = keep_new();
	unsigned left[FUSE_KEEP_REQUESTS];

	message(k, 0, 10, FUSE_OPEN);
	message(k, 1, 12, FUSE_RELEASE);
	ATF_REQUIRE_EQ(fuse_keep_left(k, left), 2);
	ATF_CHECK_EQ(left[0], 1);
	ATF_CHECK_EQ(left[1], 0);
	keep_free(k);
}

ATF_TC_WITHOUT_HEAD(init_that_was_only_read_is_found);
ATF_TC_BODY(init_that_was_only_read_is_found, tc)
{
	struct fuse_keep *k = keep_new();
	struct fuse_in_header *h = fuse_keep_header(k, 9);
	uint32_t len = sizeof(*h) + sizeof(struct fuse_init_in);

	fuse_keep_find_init(k);
	ATF_CHECK_EQ(atomic_load(&k->init_size), 0);
	*h = (struct fuse_in_header){
		.opcode = FUSE_INIT, .len = len, .unique = 2,
	};
	memset(h + 1, 7, sizeof(struct fuse_init_in));
	fuse_keep_find_init(k);
	ATF_CHECK_EQ(atomic_load(&k->init_size), len);
	ATF_CHECK_EQ(memcmp(k->init, h, len), 0);
	/* The message may stand there for long. */
	h->unique = 4;
	fuse_keep_find_init(k);
	ATF_CHECK(memcmp(k->init, h, len) != 0);
	keep_free(k);
}

ATF_TP_ADD_TCS(tp)
{
	ATF_TP_ADD_TC(tp, what_was_not_replayed_is_not_done_for_good);
	ATF_TP_ADD_TC(tp, what_was_replayed_stays_done);
	ATF_TP_ADD_TC(tp, notes_of_writes_have_no_stamp);
	ATF_TP_ADD_TC(tp, pages_are_there_before_a_request_is);
	ATF_TP_ADD_TC(tp, no_message_is_in_the_huge_page_of_another);
	ATF_TP_ADD_TC(tp, requests_are_done_again_by_their_age);
	ATF_TP_ADD_TC(tp, handles_are_given_up_before_one_is_opened);
	ATF_TP_ADD_TC(tp, init_that_was_only_read_is_found);
	return atf_no_error();
}
