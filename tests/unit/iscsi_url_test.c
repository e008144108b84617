/* SPDX-License-Identifier: BSD-2-Clause */
/* iscsi:// URLs: a table of good ones, a table of bad ones, secrets. */
#include <atf-c.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "iscsi/disk_libiscsi_url.h"

static const struct {
	const char *url;
	const char *user, *secret, *host;
	uint16_t port;
	const char *target;
	int lun;
	const char *name;
} good[] = {
	{ "iscsi://10.0.0.1/iqn.2026-01.a:b/0", "", "", "10.0.0.1", 3260,
	    "iqn.2026-01.a:b", 0, "iscsi://10.0.0.1:3260/iqn.2026-01.a:b/0" },
	{ "iscsi://box:860/iqn.a/16383", "", "", "box", 860, "iqn.a", 16383,
	    "iscsi://box:860/iqn.a/16383" },
	{ "iscsi://[::1]/eui.02004567a425678d/1", "", "", "::1", 3260,
	    "eui.02004567a425678d", 1,
	    "iscsi://[::1]:3260/eui.02004567a425678d/1" },
	{ "iscsi://[fe80::1]:3261/naa.5/7", "", "", "fe80::1", 3261, "naa.5",
	    7, "iscsi://[fe80::1]:3261/naa.5/7" },
	{ "iscsi://joe%secretsecret12@h/iqn.a/1", "joe", "secretsecret12",
	    "h", 3260, "iqn.a", 1, "iscsi://joe@h:3260/iqn.a/1" },
	{ "iscsi://joe%a%40b%2fc%25d@h/iqn.a/1", "joe", "a@b/c%d", "h", 3260,
	    "iqn.a", 1, "iscsi://joe@h:3260/iqn.a/1" },
	{ "iscsi://joe%p@ss@h/iqn.a/1", "joe", "p@ss", "h", 3260, "iqn.a", 1,
	    "iscsi://joe@h:3260/iqn.a/1" },
	{ "iscsi://h/iqn.x%3Ay%2fz/2", "", "", "h", 3260, "iqn.x:y/z", 2,
	    "iscsi://h:3260/iqn.x:y/z/2" },
};

/* ---- several portals ---- */

ATF_TC_WITHOUT_HEAD(portals_with_commas_are_urls_of_their_own);
ATF_TC_BODY(portals_with_commas_are_urls_of_their_own, tc)
{
	struct lurl u[3];
	unsigned n = 0;

	(void)tc;
	ATF_REQUIRE_EQ(0, lurl_parse_list("iscsi://joe%s,x@a:1,[::1],b/iqn.a/3",
	    u, 3, &n));
	ATF_REQUIRE_EQ(3, n);
	ATF_CHECK_STREQ("iscsi://joe@a:1/iqn.a/3", u[0].name);
	ATF_CHECK_STREQ("iscsi://joe@[::1]:3260/iqn.a/3", u[1].name);
	ATF_CHECK_STREQ("iscsi://joe@b:3260/iqn.a/3", u[2].name);
	ATF_CHECK_STREQ("s,x", u[2].secret);
}

ATF_TC_WITHOUT_HEAD(lists_of_portals_have_limits);
ATF_TC_BODY(lists_of_portals_have_limits, tc)
{
	struct lurl u[2];
	unsigned n = 7;

	(void)tc;
	ATF_CHECK_EQ(-E2BIG, lurl_parse_list("iscsi://a,b,c/iqn.a/0", u, 2,
	    &n));
	ATF_CHECK_EQ(-EINVAL, lurl_parse_list("iscsi://a,,c/iqn.a/0", u, 2,
	    &n));
	ATF_CHECK_EQ(-EINVAL, lurl_parse_list("iscsi://a,/iqn.a/0", u, 2, &n));
	ATF_CHECK_EQ(-EINVAL, lurl_parse("iscsi://a,b/iqn.a/0", u));
	ATF_CHECK_EQ(7, n);
}

static const char *const bad[] = {
	"", "iscsi://", "iscsi:///", "iscsi://h", "iscsi://h/iqn.a",
	"iscsi://h/iqn.a/", "iscsi://h/iqn.a/x", "iscsi://h/iqn.a/-1",
	"iscsi://h/iqn.a/16384", "iscsi://h/iqn.a/1/", "iscsi://h//1",
	"iscsi:///iqn.a/1", "iscsi://h/foo/1", "iscsi://h:/iqn.a/1",
	"iscsi://h:0/iqn.a/1", "iscsi://h:65536/iqn.a/1",
	"iscsi://h:3260x/iqn.a/1", "iscsi://[::1/iqn.a/1",
	"iscsi://[::1]x/iqn.a/1", "iscsi://[]/iqn.a/1", "iscsi://::1/iqn.a/1",
	"iscsi://h/iqn.a%/1", "iscsi://h/iqn.a%4/1", "iscsi://h/iqn.a%zz/1",
	"iscsi://h/iqn.a%00/1", "iscsi://@h/iqn.a/1", "iscsi://%x@h/iqn.a/1",
	"iscsi://joe%@h/iqn.a/1", "iscsi://joe@h/iqn.a/1",
	"http://h/iqn.a/1", "/dev/sda",
};

ATF_TC_WITHOUT_HEAD(good_urls_are_taken_apart);
ATF_TC_BODY(good_urls_are_taken_apart, tc)
{
	(void)tc;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		struct lurl u;

		ATF_REQUIRE_EQ_MSG(0, lurl_parse(good[i].url, &u), "%s",
		    good[i].url);
		ATF_CHECK_STREQ(good[i].user, u.user);
		ATF_CHECK_STREQ(good[i].secret, u.secret);
		ATF_CHECK_STREQ(good[i].host, u.host);
		ATF_CHECK_EQ(good[i].port, u.port);
		ATF_CHECK_STREQ(good[i].target, u.target);
		ATF_CHECK_EQ(good[i].lun, u.lun);
		ATF_CHECK_STREQ(good[i].name, u.name);
	}
}

ATF_TC_WITHOUT_HEAD(bad_urls_are_refused_and_leave_the_result_alone);
ATF_TC_BODY(bad_urls_are_refused_and_leave_the_result_alone, tc)
{
	(void)tc;
	unsetenv("LIBISCSI_CHAP_PASSWORD");
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct lurl u = { .lun = 4711 };

		ATF_CHECK_EQ_MSG(-EINVAL, lurl_parse(bad[i], &u), "%s", bad[i]);
		ATF_CHECK_EQ(4711, u.lun);
	}
}

ATF_TC_WITHOUT_HEAD(parts_too_long_are_refused);
ATF_TC_BODY(parts_too_long_are_refused, tc)
{
	char url[1024], part[400];
	struct lurl u;

	(void)tc;
	memset(part, 'a', sizeof(part) - 1);
	part[sizeof(part) - 1] = '\0';
	snprintf(url, sizeof(url), "iscsi://h/iqn.%s/1", part);
	ATF_CHECK_EQ(-EINVAL, lurl_parse(url, &u));
	snprintf(url, sizeof(url), "iscsi://%s/iqn.a/1", part);
	ATF_CHECK_EQ(-EINVAL, lurl_parse(url, &u));
	snprintf(url, sizeof(url), "iscsi://joe%%%s@h/iqn.a/1", part);
	ATF_CHECK_EQ(-EINVAL, lurl_parse(url, &u));
	/* Each part fits, the name as a whole is cut. */
	snprintf(url, sizeof(url), "iscsi://%.200s/iqn.%.200s/1", part, part);
	ATF_REQUIRE_EQ(0, lurl_parse(url, &u));
	ATF_CHECK_EQ(sizeof(u.name) - 1, strlen(u.name));
}

ATF_TC_WITHOUT_HEAD(secret_comes_from_the_environment);
ATF_TC_BODY(secret_comes_from_the_environment, tc)
{
	struct lurl u;

	(void)tc;
	setenv("LIBISCSI_CHAP_PASSWORD", "from%environment", 1);
	ATF_REQUIRE_EQ(0, lurl_parse("iscsi://joe@h/iqn.a/1", &u));
	ATF_CHECK_STREQ("joe", u.user);
	ATF_CHECK_STREQ("from%environment", u.secret);
}

ATF_TC_WITHOUT_HEAD(secret_comes_from_the_first_line_of_a_file);
ATF_TC_BODY(secret_comes_from_the_first_line_of_a_file, tc)
{
	char url[512], dir[256];
	struct lurl u;

	(void)tc;
	atf_utils_create_file("secret", "in the file\nnot this\n");
	ATF_REQUIRE(getcwd(dir, sizeof(dir)) != NULL);
	snprintf(url, sizeof(url), "iscsi://joe%%@%s/secret@h/iqn.a/1", dir);
	ATF_REQUIRE_EQ(0, lurl_parse(url, &u));
	ATF_CHECK_STREQ("joe", u.user);
	ATF_CHECK_STREQ("in the file", u.secret);
	ATF_CHECK_STREQ("iscsi://joe@h:3260/iqn.a/1", u.name);
	ATF_CHECK_EQ(-ENOENT, lurl_parse(
	    "iscsi://joe%@/no/such/file@h/iqn.a/1", &u));
}

ATF_TC_WITHOUT_HEAD(secret_is_found_where_it_stands);
ATF_TC_BODY(secret_is_found_where_it_stands, tc)
{
	static const char *const none[] = {
		"iscsi://h/iqn.x%3Ay@z/2", "iscsi://joe@h/iqn.a/1",
		"/dev/joe%a@b/c/0", "iscsi://joe%s@h", "iscsi://",
	};
	const char url[] = "iscsi://joe%@/a/b%25@c@h,[::1]/iqn.a%40@b/1";
	size_t len = 0;

	(void)tc;
	ATF_CHECK_EQ(url + 11, lurl_secret(url, &len));
	ATF_CHECK_EQ(strlen("%@/a/b%25@c"), len);
	for (size_t i = 0; i < sizeof(none) / sizeof(none[0]); i++)
		ATF_CHECK_EQ(NULL, lurl_secret(none[i], &len));
}

ATF_TP_ADD_TCS(tp)
{
	ATF_TP_ADD_TC(tp, secret_is_found_where_it_stands);
	ATF_TP_ADD_TC(tp, portals_with_commas_are_urls_of_their_own);
	ATF_TP_ADD_TC(tp, lists_of_portals_have_limits);
	ATF_TP_ADD_TC(tp, good_urls_are_taken_apart);
	ATF_TP_ADD_TC(tp, bad_urls_are_refused_and_leave_the_result_alone);
	ATF_TP_ADD_TC(tp, parts_too_long_are_refused);
	ATF_TP_ADD_TC(tp, secret_comes_from_the_environment);
	ATF_TP_ADD_TC(tp, secret_comes_from_the_first_line_of_a_file);
	return atf_no_error();
}
