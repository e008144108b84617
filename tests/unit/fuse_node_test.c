/* SPDX-License-Identifier: BSD-2-Clause */
/* What the kernel knows inodes by. */
#include <atf-c.h>

#include "fuse/node.h"

static const uint64_t ino[] = {
	2, 784, UINT32_MAX, (uint64_t)UINT32_MAX + 1, ((uint64_t)1 << 40) - 1,
	(uint64_t)1 << 40, ((uint64_t)1 << 48) - 1,
};
#define INOS (sizeof(ino) / sizeof(ino[0]))

ATF_TC_WITHOUT_HEAD(the_number_comes_back);
ATF_TC_BODY(the_number_comes_back, tc)
{
	for (unsigned i = 0; i < INOS; i++) {
		ATF_CHECK_EQ(node_ino(node_make(ino[i], 0)), ino[i]);
		ATF_CHECK_EQ(node_ino(node_make(ino[i], 1)), ino[i]);
		ATF_CHECK_EQ(node_ino(node_make(ino[i], UINT32_MAX)), ino[i]);
	}
}

ATF_TC_WITHOUT_HEAD(each_use_of_a_number_is_another_node);
ATF_TC_BODY(each_use_of_a_number_is_another_node, tc)
{
	for (unsigned i = 0; i < INOS; i++)
		for (unsigned bit = 0; bit < 14; bit++) {
			uint32_t one = 0xdeadbeef, other = one ^ 1u << bit;
			uint64_t node = node_make(ino[i], one);

			ATF_CHECK(node_means(node, one));
			ATF_CHECK(!node_means(node, other));
			ATF_CHECK(node != node_make(ino[i], other));
		}
}

/* Up to 16 TiB: what somebody who wants it so cannot wait for. */
ATF_TC_WITHOUT_HEAD(short_numbers_leave_30_bits);
ATF_TC_BODY(short_numbers_leave_30_bits, tc)
{
	for (unsigned bit = 0; bit < 30; bit++)
		ATF_CHECK(!node_means(node_make(UINT32_MAX, 0), 1u << bit));
}

/* Neither nobody, nor the root, nor what was told without a generation. */
ATF_TC_WITHOUT_HEAD(no_node_is_a_number_alone);
ATF_TC_BODY(no_node_is_a_number_alone, tc)
{
	for (unsigned i = 0; i < INOS; i++) {
		ATF_CHECK(node_make(ino[i], 0) >= (uint64_t)1 << 62);
		ATF_CHECK_EQ(node_ino(ino[i]), ino[i]);
		ATF_CHECK(node_means(ino[i], 0xdeadbeef));
	}
}

ATF_TP_ADD_TCS(tp)
{
	ATF_TP_ADD_TC(tp, the_number_comes_back);
	ATF_TP_ADD_TC(tp, each_use_of_a_number_is_another_node);
	ATF_TP_ADD_TC(tp, short_numbers_leave_30_bits);
	ATF_TP_ADD_TC(tp, no_node_is_a_number_alone);
	return atf_no_error();
}
