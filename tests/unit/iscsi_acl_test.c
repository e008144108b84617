/* SPDX-License-Identifier: BSD-2-Clause */
/* Access lists: patterns, default deny, secrets. */
#include <atf-c.h>
#include <string.h>

#include "iscsi/acl.h"
#include "iscsi/target.h"

static const struct iscsi_chap SHORT = { "u", "elevenbytes" };
static const struct iscsi_chap ONE = { "one", "secret-of-twelve" };
static const struct iscsi_chap TWO = { "two", "another-secret-12" };

ATF_TC_WITHOUT_HEAD(patterns_match_as_globs);
ATF_TC_BODY(patterns_match_as_globs, tc)
{
	ATF_CHECK(acl_match("iqn.a", "iqn.a"));
	ATF_CHECK(!acl_match("iqn.a", "iqn.ab"));
	ATF_CHECK(!acl_match("iqn.ab", "iqn.a"));
	ATF_CHECK(acl_match("*", "anything"));
	ATF_CHECK(acl_match("iqn.*:host*", "iqn.2026:x:host9"));
	ATF_CHECK(!acl_match("iqn.*:host", "iqn.2026:hos"));
	ATF_CHECK(acl_match("a*", "a"));
	ATF_CHECK(!acl_match("", "a"));
}

ATF_TC_WITHOUT_HEAD(empty_list_denies);
ATF_TC_BODY(empty_list_denies, tc)
{
	struct list acl = LIST_INIT(acl);

	ATF_CHECK(acl_find(&acl, "iqn.a") == NULL);
}

ATF_TC_WITHOUT_HEAD(exact_name_beats_pattern);
ATF_TC_BODY(exact_name_beats_pattern, tc)
{
	struct list acl = LIST_INIT(acl);

	ATF_REQUIRE_EQ(0, acl_add(&acl, "iqn.*", NULL, NULL));
	ATF_REQUIRE_EQ(0, acl_add(&acl, "iqn.a", &ONE, NULL));
	ATF_CHECK_STREQ("one", acl_find(&acl, "iqn.a")->in.user);
	ATF_CHECK(acl_find(&acl, "iqn.b")->in.user == NULL);
	ATF_CHECK(acl_find(&acl, "eui.b") == NULL);
	acl_fini(&acl);
}

ATF_TC_WITHOUT_HEAD(same_pattern_again_replaces_the_secret);
ATF_TC_BODY(same_pattern_again_replaces_the_secret, tc)
{
	struct list acl = LIST_INIT(acl);

	ATF_REQUIRE_EQ(0, acl_add(&acl, "iqn.a", &ONE, NULL));
	ATF_REQUIRE_EQ(0, acl_add(&acl, "iqn.a", &TWO, &ONE));
	ATF_CHECK_STREQ("two", acl_find(&acl, "iqn.a")->in.user);
	acl_fini(&acl);
}

ATF_TC_WITHOUT_HEAD(weak_secrets_are_refused);
ATF_TC_BODY(weak_secrets_are_refused, tc)
{
	struct list acl = LIST_INIT(acl);

	ATF_CHECK_EQ(-EINVAL, acl_add(&acl, "a", &SHORT, NULL));
	ATF_CHECK_EQ(-EINVAL, acl_add(&acl, "a", &ONE, &SHORT));
	ATF_CHECK_EQ(-EINVAL, acl_add(&acl, "a", &ONE, &ONE));
	ATF_CHECK_EQ(-EINVAL, acl_add(&acl, "a", NULL, &ONE));
	ATF_CHECK(list_empty(&acl));
}

ATF_TP_ADD_TCS(tp)
{
	ATF_TP_ADD_TC(tp, patterns_match_as_globs);
	ATF_TP_ADD_TC(tp, empty_list_denies);
	ATF_TP_ADD_TC(tp, exact_name_beats_pattern);
	ATF_TP_ADD_TC(tp, same_pattern_again_replaces_the_secret);
	ATF_TP_ADD_TC(tp, weak_secrets_are_refused);
	return atf_no_error();
}
