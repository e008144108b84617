/* SPDX-License-Identifier: BSD-2-Clause */
/* Configuration of the server: names, access, portals. */
#include <atf-c.h>
#include <string.h>

#include "iscsi/portal.h"
#include "iscsi/target.h"
#include "libvmfs/env/net.h"
#include "libvmfs/env/reactor.h"

#define IQN "iqn.2026-11.io.vmfsd:a"

static struct env env;
static struct iscsi_server *S;

static int
with_server(void *arg)
{
	void (**body)(void) = arg;

	env_posix_init(&env, sched_current(), NULL);
	ATF_REQUIRE_EQ(0, iscsi_server_new(&env, NULL, &S));
	(*body)();
	iscsi_server_free(S);
	return 0;
}

#define SERVER_TC(name)							\
static void name##_body(void);						\
ATF_TC_WITHOUT_HEAD(name);						\
ATF_TC_BODY(name, tc)							\
{									\
	void (*body)(void) = name##_body;				\
	ATF_CHECK_EQ(0, reactor_run_main(with_server, &body));		\
}									\
static void								\
name##_body(void)

SERVER_TC(target_name_is_taken_once)
{
	struct scsi_target *t = NULL;

	ATF_CHECK_EQ(0, iscsi_server_add_target(S, IQN, &t));
	ATF_CHECK_STREQ(IQN, scsi_target_iqn(t));
	ATF_CHECK_EQ(-EEXIST, iscsi_server_add_target(S, IQN, &t));
}

SERVER_TC(redirection_needs_a_target_and_an_address)
{
	struct scsi_target *t;

	ATF_CHECK_EQ(-ENOENT, iscsi_server_redirect(S, IQN, "10.0.0.1"));
	ATF_REQUIRE_EQ(0, iscsi_server_add_target(S, IQN, &t));
	ATF_CHECK_EQ(0, iscsi_server_redirect(S, IQN, "[fd00::1]:3260"));
	ATF_CHECK_EQ(0, iscsi_server_redirect(S, IQN, NULL));
	ATF_CHECK_EQ(-EINVAL, iscsi_server_redirect(S, IQN, ""));
	ATF_CHECK_EQ(-EINVAL, iscsi_server_redirect(S, IQN, "10.0.0.1,1"));
	ATF_CHECK_EQ(-EINVAL, iscsi_server_redirect(S, IQN, "a b"));
}

SERVER_TC(target_name_has_a_length)
{
	struct scsi_target *t;
	char name[SCSI_NAME_MAX + 1];

	memset(name, 'n', SCSI_NAME_MAX);
	name[SCSI_NAME_MAX] = '\0';
	ATF_CHECK_EQ(-EINVAL, iscsi_server_add_target(S, "", &t));
	ATF_CHECK_EQ(-EINVAL, iscsi_server_add_target(S, name, &t));
}

SERVER_TC(access_needs_a_target_and_a_strong_secret)
{
	static const struct iscsi_chap weak = { "user", "short" };
	struct scsi_target *t;

	ATF_CHECK_EQ(-ENOENT, iscsi_server_allow(S, IQN, "*", NULL, NULL));
	ATF_REQUIRE_EQ(0, iscsi_server_add_target(S, IQN, &t));
	ATF_CHECK_EQ(-EINVAL, iscsi_server_allow(S, IQN, "*", &weak, NULL));
	ATF_CHECK_EQ(-EINVAL, iscsi_server_discovery_auth(S, &weak, NULL));
	ATF_CHECK_EQ(0, iscsi_server_allow(S, IQN, "*", NULL, NULL));
}

/* What discovery tells of each kind of portal. */
ATF_TC_WITHOUT_HEAD(portals_are_told_to_those_who_reach_them);
ATF_TC_BODY(portals_are_told_to_those_who_reach_them, tc)
{
	static const struct {
		const char *portal, *local, *told;
	} cases[] = {
		{ "10.0.0.1:3260", "10.0.0.1:3260", "10.0.0.1:3260" },
		{ "10.0.1.1:3261", "10.0.0.1:3260", "10.0.1.1:3261" },
		{ "[fd00::1]:3260", "10.0.0.1:3260", "[fd00::1]:3260" },
		{ "0.0.0.0:3261", "10.0.0.1:3260", "10.0.0.1:3261" },
		{ "[::]:3261", "[fd00::1]:3260", "[fd00::1]:3261" },
		{ "[::]:3261", "10.0.0.1:3260", "10.0.0.1:3261" },
		{ "0.0.0.0:3261", "[fd00::1]:3260", NULL },
		{ "127.0.0.1:3261", "127.0.0.2:3260", "127.0.0.1:3261" },
		{ "127.0.0.1:3261", "10.0.0.1:3260", NULL },
		{ "[::1]:3261", "[fd00::1]:3260", NULL },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char told[NET_ADDR_TEXT];
		bool r = portal_told(cases[i].portal, cases[i].local, told);

		ATF_CHECK_EQ_MSG(cases[i].told != NULL, r, "case %zu", i);
		if (r && cases[i].told)
			ATF_CHECK_STREQ(cases[i].told, told);
	}
}

SERVER_TC(portal_is_told_with_its_port)
{
	char addr[NET_ADDR_TEXT] = "", again[NET_ADDR_TEXT];

	ATF_REQUIRE_EQ(0, iscsi_server_listen(S, "127.0.0.1:0", addr));
	ATF_CHECK_EQ(0, strncmp("127.0.0.1:", addr, 10));
	ATF_CHECK(strcmp("127.0.0.1:0", addr) != 0);
	ATF_CHECK_EQ(-EADDRINUSE, iscsi_server_listen(S, addr, again));
	ATF_CHECK_EQ(-EINVAL, iscsi_server_listen(S, "not an address", again));
}

SERVER_TC(dropping_what_is_not_there_says_so)
{
	ATF_CHECK_EQ(-ENOENT, iscsi_server_drop_session(S, NULL, 7));
	ATF_CHECK_EQ(-ENOENT, iscsi_server_drop_session(S, "iqn.x", 0));
	ATF_CHECK_EQ(-EINVAL, iscsi_server_drop_session(S, NULL, 0));
}

ATF_TP_ADD_TCS(tp)
{
	ATF_TP_ADD_TC(tp, target_name_is_taken_once);
	ATF_TP_ADD_TC(tp, redirection_needs_a_target_and_an_address);
	ATF_TP_ADD_TC(tp, target_name_has_a_length);
	ATF_TP_ADD_TC(tp, access_needs_a_target_and_a_strong_secret);
	ATF_TP_ADD_TC(tp, portals_are_told_to_those_who_reach_them);
	ATF_TP_ADD_TC(tp, portal_is_told_with_its_port);
	ATF_TP_ADD_TC(tp, dropping_what_is_not_there_says_so);
	return atf_no_error();
}
