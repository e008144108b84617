/* SPDX-License-Identifier: BSD-2-Clause */
/* The configuration is changed line by line. */
#include <atf-c.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vmfsd/conf_edit.h"

#define IQN "iqn.2026-11.test:box"

static const char base[] =
    "# the box\n"
    "[portal]\n"
    "listen = 10.0.0.1\n"
    "\n"
    "# fast disks\n"
    "[target iqn.2026-11.test:box]\n"
    "lun.0 = /srv/a,thin\n"
    "  # the second\n"
    "lun.1=/srv/b\n"
    "allow = iqn.x:*\n"
    "\n"
    "; slow disks\n"
    "; and old\n"
    "[target iqn.2026-11.test:old]\n"
    "allow = iqn.y";

/* Applies and compares: `from` (once in base) became `to`. */
static void
check(struct conf_edit e, const char *from, const char *to)
{
	const char *at = strstr(base, from);
	char want[2048], *got = NULL;

	ATF_REQUIRE(at != NULL);
	snprintf(want, sizeof(want), "%.*s%s%s", (int)(at - base), base, to,
	    at + strlen(from));
	ATF_REQUIRE_EQ(0, conf_edit(base, &e, &got));
	ATF_CHECK_STREQ(want, got);
	free(got);
}

static int
fails(struct conf_edit e)
{
	char *got = NULL;
	int rc = conf_edit(base, &e, &got);

	ATF_CHECK(got == NULL);
	return rc;
}

#define TARGET .section = "target", .argument = IQN

ATF_TC_WITHOUT_HEAD(line_is_added_beside_its_like);
ATF_TC_BODY(line_is_added_beside_its_like, tc)
{
	(void)tc;
	check((struct conf_edit){ CONF_EDIT_ADD, TARGET, .key = "lun.2",
	    .value = "ram:1G" }, "lun.1=/srv/b\n",
	    "lun.1=/srv/b\nlun.2 = ram:1G\n");
	check((struct conf_edit){ CONF_EDIT_ADD, TARGET, .key = "chap",
	    .value = "bob" }, "allow = iqn.x:*\n",
	    "allow = iqn.x:*\nchap = bob\n");
	check((struct conf_edit){ CONF_EDIT_ADD, .section = "portal",
	    .key = "listen", .value = "[::1]:3260" }, "listen = 10.0.0.1\n",
	    "listen = 10.0.0.1\nlisten = [::1]:3260\n");
}

ATF_TC_WITHOUT_HEAD(line_is_replaced_in_place);
ATF_TC_BODY(line_is_replaced_in_place, tc)
{
	(void)tc;
	check((struct conf_edit){ CONF_EDIT_SET, TARGET, .key = "lun.0",
	    .value = "/srv/a" }, "lun.0 = /srv/a,thin\n", "lun.0 = /srv/a\n");
	check((struct conf_edit){ CONF_EDIT_SET, TARGET, .key = "allow",
	    .value = "iqn.x:*,ro", .match = "iqn.x:*" },
	    "allow = iqn.x:*\n", "allow = iqn.x:*,ro\n");
	check((struct conf_edit){ CONF_EDIT_SET, TARGET, .key = "chap",
	    .value = "bob" }, "allow = iqn.x:*\n",
	    "allow = iqn.x:*\nchap = bob\n");
}

ATF_TC_WITHOUT_HEAD(line_to_change_must_be_there);
ATF_TC_BODY(line_to_change_must_be_there, tc)
{
	(void)tc;
	check((struct conf_edit){ CONF_EDIT_CHANGE, TARGET, .key = "lun.0",
	    .value = "/srv/a" }, "lun.0 = /srv/a,thin\n", "lun.0 = /srv/a\n");
	check((struct conf_edit){ CONF_EDIT_CHANGE, TARGET, .key = "allow",
	    .value = "iqn.x:*,ro", .match = "iqn.x:*" },
	    "allow = iqn.x:*\n", "allow = iqn.x:*,ro\n");
	ATF_CHECK_EQ(-ENOENT, fails((struct conf_edit){ CONF_EDIT_CHANGE,
	    TARGET, .key = "lun.7", .value = "/srv/a" }));
	ATF_CHECK_EQ(-ENOENT, fails((struct conf_edit){ CONF_EDIT_CHANGE,
	    TARGET, .key = "allow", .value = "iqn.x", .match = "iqn.x" }));
	ATF_CHECK_EQ(-ENOENT, fails((struct conf_edit){ CONF_EDIT_CHANGE,
	    .section = "new", .key = "x", .value = "y" }));
}

ATF_TC_WITHOUT_HEAD(line_is_removed);
ATF_TC_BODY(line_is_removed, tc)
{
	(void)tc;
	check((struct conf_edit){ CONF_EDIT_REMOVE, TARGET, .key = "lun.1" },
	    "lun.1=/srv/b\n", "");
	ATF_CHECK_EQ(-ENOENT, fails((struct conf_edit){ CONF_EDIT_REMOVE,
	    TARGET, .key = "lun.7" }));
	ATF_CHECK_EQ(-ENOENT, fails((struct conf_edit){ CONF_EDIT_REMOVE,
	    TARGET, .key = "allow", .match = "iqn.x" }));
	ATF_CHECK_EQ(-ENOENT, fails((struct conf_edit){ CONF_EDIT_SET,
	    .section = "target", .argument = "iqn.no", .key = "allow",
	    .value = "x" }));
}

ATF_TC_WITHOUT_HEAD(sections_come_and_go);
ATF_TC_BODY(sections_come_and_go, tc)
{
	(void)tc;
	check((struct conf_edit){ CONF_EDIT_ADD_SECTION, .section = "target",
	    .argument = "iqn.new" }, "allow = iqn.y",
	    "allow = iqn.y\n\n[target iqn.new]\n");
	check((struct conf_edit){ CONF_EDIT_ADD, .section = "control",
	    .key = "socket", .value = "/x" }, "allow = iqn.y",
	    "allow = iqn.y\n\n[control]\nsocket = /x\n");
	check((struct conf_edit){ CONF_EDIT_ADD, .section = "target",
	    .argument = "iqn.2026-11.test:old", .key = "lun.0",
	    .value = "/x" }, "allow = iqn.y", "allow = iqn.y\nlun.0 = /x\n");
	/* Comments before the next section are of that one. */
	check((struct conf_edit){ CONF_EDIT_REMOVE_SECTION, TARGET },
	    "[target iqn.2026-11.test:box]\n"
	    "lun.0 = /srv/a,thin\n"
	    "  # the second\n"
	    "lun.1=/srv/b\n"
	    "allow = iqn.x:*\n"
	    "\n", "");
	ATF_CHECK_EQ(-EEXIST, fails((struct conf_edit){
	    CONF_EDIT_ADD_SECTION, TARGET }));
	ATF_CHECK_EQ(-ENOENT, fails((struct conf_edit){
	    CONF_EDIT_REMOVE_SECTION, .section = "target",
	    .argument = "iqn.no" }));
}

ATF_TC_WITHOUT_HEAD(an_empty_file_gets_its_first_section);
ATF_TC_BODY(an_empty_file_gets_its_first_section, tc)
{
	struct conf_edit e = { CONF_EDIT_ADD, .section = "portal",
	    .key = "listen", .value = "::" };
	char *got = NULL;

	(void)tc;
	ATF_REQUIRE_EQ(0, conf_edit("", &e, &got));
	ATF_CHECK_STREQ("[portal]\nlisten = ::\n", got);
	free(got);
}

ATF_TC_WITHOUT_HEAD(file_is_replaced_as_a_whole);
ATF_TC_BODY(file_is_replaced_as_a_whole, tc)
{
	struct stat st;
	char *text = NULL;

	(void)tc;
	atf_utils_create_file("real", "old\n");
	ATF_REQUIRE_EQ(0, chmod("real", 0640));
	ATF_REQUIRE_EQ(0, symlink("real", "conf"));
	ATF_REQUIRE_EQ(0, conf_file_prepare("conf", "new\n"));
	ATF_CHECK(atf_utils_compare_file("real", "old\n"));
	conf_file_drop("conf");
	ATF_CHECK(conf_file_commit("conf") < 0);
	ATF_REQUIRE_EQ(0, conf_file_prepare("conf", "new\n"));
	ATF_REQUIRE_EQ(0, conf_file_commit("conf"));
	ATF_REQUIRE_EQ(0, conf_file_read("conf", &text));
	ATF_CHECK_STREQ("new\n", text);
	free(text);
	ATF_REQUIRE_EQ(0, lstat("conf", &st));
	ATF_CHECK(S_ISLNK(st.st_mode));
	ATF_REQUIRE_EQ(0, stat("conf", &st));
	ATF_CHECK_EQ(0640, st.st_mode & 0777);
	ATF_CHECK(access("real.new", F_OK) < 0);
	atf_utils_create_file("empty", "%s", "");
	ATF_REQUIRE_EQ(0, conf_file_read("empty", &text));
	ATF_CHECK_STREQ("", text);
	free(text);
	ATF_CHECK_EQ(-ENOENT, conf_file_read("none", &text));
}

ATF_TP_ADD_TCS(tp)
{
	ATF_TP_ADD_TC(tp, line_is_added_beside_its_like);
	ATF_TP_ADD_TC(tp, line_is_replaced_in_place);
	ATF_TP_ADD_TC(tp, line_to_change_must_be_there);
	ATF_TP_ADD_TC(tp, line_is_removed);
	ATF_TP_ADD_TC(tp, sections_come_and_go);
	ATF_TP_ADD_TC(tp, an_empty_file_gets_its_first_section);
	ATF_TP_ADD_TC(tp, file_is_replaced_as_a_whole);
	return atf_no_error();
}
