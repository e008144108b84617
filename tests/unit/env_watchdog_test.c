/* SPDX-License-Identifier: BSD-2-Clause */
/* What a watchdog device gets to read; a plain file stands for it. */
#include <atf-c.h>
#include <stdio.h>
#include <string.h>

#include "libvmfs/env/watchdog.h"

#define DEVICE "dog"

static void
make_device(void)
{
	FILE *f = fopen(DEVICE, "w");

	ATF_REQUIRE(f != NULL);
	ATF_REQUIRE_EQ(0, fclose(f));
}

static size_t
received(char *buf, size_t size)
{
	FILE *f = fopen(DEVICE, "r");
	size_t n;

	ATF_REQUIRE(f != NULL);
	n = fread(buf, 1, size, f);
	ATF_REQUIRE_EQ(0, fclose(f));
	return n;
}

ATF_TC_WITHOUT_HEAD(a_pet_is_a_byte_and_a_disarm_the_magic_one);
ATF_TC_BODY(a_pet_is_a_byte_and_a_disarm_the_magic_one, tc)
{
	struct watchdog *w;
	char got[8];

	make_device();
	ATF_REQUIRE_EQ(0, watchdog_dev_open(DEVICE, 30000, &w));
	ATF_CHECK_EQ(0, watchdog_pet(w));
	ATF_CHECK_EQ(0, watchdog_pet(w));
	ATF_CHECK_EQ(2, received(got, sizeof(got)));
	ATF_CHECK(memchr(got, 'V', 2) == NULL);
	watchdog_close(w, true);
	ATF_REQUIRE_EQ(3, received(got, sizeof(got)));
	ATF_CHECK_EQ('V', got[2]);
}

ATF_TC_WITHOUT_HEAD(a_close_without_disarm_leaves_it_armed);
ATF_TC_BODY(a_close_without_disarm_leaves_it_armed, tc)
{
	struct watchdog *w;
	char got[8];

	make_device();
	ATF_REQUIRE_EQ(0, watchdog_dev_open(DEVICE, 30000, &w));
	ATF_CHECK_EQ(0, watchdog_pet(w));
	watchdog_close(w, false);
	ATF_REQUIRE_EQ(1, received(got, sizeof(got)));
	ATF_CHECK(got[0] != 'V');
}

ATF_TC_WITHOUT_HEAD(a_device_that_tells_nothing_has_no_timeout_to_rely_on);
ATF_TC_BODY(a_device_that_tells_nothing_has_no_timeout_to_rely_on, tc)
{
	struct watchdog *w;

	make_device();
	ATF_REQUIRE_EQ(0, watchdog_dev_open(DEVICE, 30000, &w));
	ATF_CHECK_EQ(0, w->timeout_ms);
	ATF_CHECK(!w->can_disarm);
	ATF_CHECK_STREQ(DEVICE, w->name);
	watchdog_close(w, true);
}

ATF_TC_WITHOUT_HEAD(a_missing_device_is_an_error);
ATF_TC_BODY(a_missing_device_is_an_error, tc)
{
	struct watchdog *w = NULL;

	ATF_CHECK_EQ(-ENOENT, watchdog_dev_open("nowhere/dog", 1, &w));
	ATF_CHECK(w == NULL);
}

ATF_TP_ADD_TCS(tp)
{
	ATF_TP_ADD_TC(tp, a_pet_is_a_byte_and_a_disarm_the_magic_one);
	ATF_TP_ADD_TC(tp, a_close_without_disarm_leaves_it_armed);
	ATF_TP_ADD_TC(tp,
	    a_device_that_tells_nothing_has_no_timeout_to_rely_on);
	ATF_TP_ADD_TC(tp, a_missing_device_is_an_error);
	return atf_no_error();
}
