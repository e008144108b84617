/* SPDX-License-Identifier: BSD-2-Clause */
/* Buffers that threads of reactors keep. */
#include <atf-c.h>
#include <stdint.h>
#include <string.h>

#include "libvmfs/base/units.h"
#include "libvmfs/env/fiber_ctx.h"
#include "libvmfs/env/hugepage.h"
#include "libvmfs/env/iobuf.h"
#include "libvmfs/env/reactor.h"

static int
sizes_main(void *arg)
{
	(void)arg;
	for (size_t len = 1; len <= 64 * MIB; len = len * 3 + 1) {
		size_t size = 0;
		char *b = iobuf_get(len, &size);

		ATF_REQUIRE(b != NULL);
		ATF_CHECK(size >= len);
		ATF_CHECK_EQ(iobuf_size(len), size);
		ATF_CHECK_EQ(0, (uintptr_t)b % 4096);
		memset(b, 'x', size);
		iobuf_put(b, size);
	}
	iobuf_put(NULL, 0);
	return 0;
}

ATF_TC_WITHOUT_HEAD(buffers_have_their_size_and_are_aligned);
ATF_TC_BODY(buffers_have_their_size_and_are_aligned, tc)
{
	ATF_CHECK_EQ(0, reactor_run_main(sizes_main, NULL));
	/* Without a reactor, too. */
	ATF_CHECK_EQ(0, sizes_main(NULL));
}

/* Two that are in use, of one size, are never one. */
static int
distinct_main(void *arg)
{
	enum { N = 600 };
	static char *b[N];
	static size_t size[N];

	(void)arg;
	for (int round = 0; round < 3; round++) {
		for (int i = 0; i < N; i++) {
			b[i] = iobuf_get(128 * KIB, &size[i]);
			ATF_REQUIRE(b[i] != NULL);
			b[i][0] = b[i][size[i] - 1] = (char)i;
		}
		for (int i = 0; i < N; i++) {
			ATF_CHECK_EQ((char)i, b[i][0]);
			ATF_CHECK_EQ((char)i, b[i][size[i] - 1]);
			iobuf_put(b[i], size[i]);
		}
	}
	return 0;
}

ATF_TC_WITHOUT_HEAD(buffers_in_use_are_distinct);
ATF_TC_BODY(buffers_in_use_are_distinct, tc)
{
	ATF_CHECK_EQ(0, reactor_run_main(distinct_main, NULL));
}

/* More than huge pages are taken for. */
static int
many_main(void *arg)
{
	enum { N = 96 };
	char *b[N];
	size_t size = 0;

	(void)arg;
	for (int i = 0; i < N; i++) {
		b[i] = iobuf_get(MIB, &size);
		ATF_REQUIRE(b[i] != NULL);
		b[i][0] = b[i][size - 1] = (char)i;
	}
	for (int i = 0; i < N; i++) {
		ATF_CHECK_EQ((char)i, b[i][0]);
		ATF_CHECK_EQ((char)i, b[i][size - 1]);
		iobuf_put(b[i], size);
	}
	return 0;
}

ATF_TC_WITHOUT_HEAD(more_than_lie_in_huge_pages_can_be_had);
ATF_TC_BODY(more_than_lie_in_huge_pages_can_be_had, tc)
{
	for (int round = 0; round < 3; round++)
		ATF_CHECK_EQ(0, reactor_run_main(many_main, NULL));
}

/* What a thread keeps is there for others when it has ended. */
static int
one_main(void *arg)
{
	char *b[2], **ret = arg;
	size_t size[2];

	for (int i = 0; i < 2; i++)
		ATF_REQUIRE((b[i] = iobuf_get(MIB, &size[i])) != NULL);
	*ret = b[0] < b[1] ? b[0] : b[1];
	for (int i = 0; i < 2; i++)
		iobuf_put(b[i], size[i]);
	return 0;
}

ATF_TC_WITHOUT_HEAD(huge_pages_of_an_ended_thread_are_used_again);
ATF_TC_BODY(huge_pages_of_an_ended_thread_are_used_again, tc)
{
	char *before, *after;

#ifdef FIBER_ASAN
	atf_tc_skip("AddressSanitizer shall see who uses a buffer given back");
#endif
	ATF_CHECK_EQ(0, reactor_run_main(one_main, &before));
	ATF_CHECK_EQ(0, (uintptr_t)before % HUGEPAGE);
	ATF_CHECK_EQ(0, reactor_run_main(one_main, &after));
	ATF_CHECK_EQ(before, after);
}

ATF_TC_WITHOUT_HEAD(impossible_size_is_refused);
ATF_TC_BODY(impossible_size_is_refused, tc)
{
	size_t size = 7;

	ATF_CHECK(iobuf_get(SIZE_MAX, &size) == NULL);
	ATF_CHECK_EQ(7, size);
}

ATF_TP_ADD_TCS(tp)
{
	ATF_TP_ADD_TC(tp, buffers_have_their_size_and_are_aligned);
	ATF_TP_ADD_TC(tp, buffers_in_use_are_distinct);
	ATF_TP_ADD_TC(tp, more_than_lie_in_huge_pages_can_be_had);
	ATF_TP_ADD_TC(tp, huge_pages_of_an_ended_thread_are_used_again);
	ATF_TP_ADD_TC(tp, impossible_size_is_refused);
	return atf_no_error();
}
