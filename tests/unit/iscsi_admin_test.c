/* SPDX-License-Identifier: BSD-2-Clause */
/* Changes to a server while initiators are logged in. */
#include <atf-c.h>
#include <pthread.h>
#include <string.h>

#include "iscsi/scsi/scsi.h"
#include "libvmfs/env/net.h"
#include "tests/unit/iscsi_rig.h"

#define OTHER_IQN RIG_IQN ".0"
#define ME "iqn.2026-11.test:me"

static const struct rig_conf one_more = { .targets = 1 };

static struct rig_conn *
login_as(const char *initiator, const char *target, unsigned *ret_status)
{
	struct rig_conn *c = rig_connect();

	*ret_status = rig_login_as(c, initiator, target, 1, 0, "", 0);
	return c;
}

static struct rig_conn *
must_login(const char *initiator, const char *target)
{
	unsigned status;
	struct rig_conn *c = login_as(initiator, target, &status);

	ATF_REQUIRE_EQ(0, status);
	return c;
}

static unsigned
try_login(const char *initiator, const char *target)
{
	unsigned status;

	rig_close(login_as(initiator, target, &status));
	return status;
}

static int
remove_target(struct iscsi_server *s, void *arg)
{
	return iscsi_server_remove_target(s, arg);
}

static int
allow_none(struct iscsi_server *s, void *arg)
{
	return iscsi_server_set_access(s, arg, NULL, 0);
}

static int
allow_me(struct iscsi_server *s, void *arg)
{
	struct iscsi_access a = { .initiator = ME, .view = arg };

	return iscsi_server_set_access(s, RIG_IQN, &a, 1);
}

static int
kill_all(struct iscsi_server *s, void *arg)
{
	return iscsi_server_kill_session(s, arg, 0);
}

ATF_TC_WITHOUT_HEAD(target_removed_ends_its_sessions_only);
ATF_TC_BODY(target_removed_ends_its_sessions_only, tc)
{
	char iqn[] = OTHER_IQN;
	struct rig_conn *there, *here;

	(void)tc;
	rig_start(&one_more);
	there = must_login(ME, OTHER_IQN);
	here = must_login(ME, RIG_IQN);
	ATF_CHECK_EQ(0, rig_do(remove_target, iqn));
	rig_expect(there, ISCSI_ASYNC);
	ATF_CHECK(rig_closed(there));
	ATF_CHECK_EQ(SCSI_GOOD, rig_ready(here));
	ATF_CHECK_EQ(0x0203, try_login(ME, OTHER_IQN));
	ATF_CHECK_EQ(-ENOENT, rig_do(remove_target, iqn));
	rig_close(there);
	rig_close(here);
	rig_stop();
}

ATF_TC_WITHOUT_HEAD(access_withdrawn_ends_the_session);
ATF_TC_BODY(access_withdrawn_ends_the_session, tc)
{
	char iqn[] = RIG_IQN;
	struct rig_conn *me, *other;

	(void)tc;
	rig_start(&one_more);
	me = must_login(ME, RIG_IQN);
	other = must_login("iqn.2026-11.test:other", RIG_IQN);
	ATF_CHECK_EQ(0, rig_do(allow_me, NULL));
	rig_expect(other, ISCSI_ASYNC);
	ATF_CHECK(rig_closed(other));
	ATF_CHECK_EQ(SCSI_GOOD, rig_ready(me));
	ATF_CHECK_EQ(0x0202, try_login("iqn.2026-11.test:other", RIG_IQN));
	ATF_CHECK_EQ(0, rig_do(allow_none, iqn));
	rig_expect(me, ISCSI_ASYNC);
	ATF_CHECK_EQ(0x0202, try_login(ME, RIG_IQN));
	rig_close(me);
	rig_close(other);
	rig_stop();
}

/* Its status, or the sense key and codes. */
static uint32_t
run(struct rig_conn *c, union iscsi_bhs bhs, const void *data, uint32_t len)
{
	rig_send(c, &bhs, data, len);
	while (rig_recv(c) == 0 && iscsi_opcode(&c->bhs) != ISCSI_SCSI_RSP)
		;
	if (c->bhs.rsp.status != SCSI_CHECK_CONDITION)
		return c->bhs.rsp.status;
	return (uint32_t)(c->data[4] & 0x0f) << 16 |
	    (uint32_t)c->data[14] << 8 | c->data[15];
}

ATF_TC_WITHOUT_HEAD(a_session_sees_its_view_change);
ATF_TC_BODY(a_session_sees_its_view_change, tc)
{
	static struct scsi_view view;
	static uint8_t block[512];
	struct rig_conn *me;

	(void)tc;
	rig_start(&one_more);
	me = must_login(ME, RIG_IQN);
	ATF_CHECK_EQ(SCSI_GOOD, rig_ready(me));
	scsi_view_all(&view, true);
	ATF_CHECK_EQ(0, rig_do(allow_me, &view));
	ATF_CHECK_EQ(SCSI_GOOD, rig_ready(me));
	ATF_CHECK_EQ(0x072700, run(me, rig_rw(me, true, 0, 1), block, 512));
	memset(&view, 0, sizeof(view));
	ATF_CHECK_EQ(0, rig_do(allow_me, &view));
	ATF_CHECK_EQ(0x052500, run(me, rig_rw(me, false, 0, 1), NULL, 0));
	rig_close(me);
	/* A new one begins with it. */
	me = must_login(ME, RIG_IQN);
	ATF_CHECK_EQ(0x052500, run(me, rig_rw(me, false, 0, 1), NULL, 0));
	rig_close(me);
	rig_stop();
}

ATF_TC_WITHOUT_HEAD(killed_session_is_not_told);
ATF_TC_BODY(killed_session_is_not_told, tc)
{
	char name[] = ME;
	struct rig_conn *me;

	(void)tc;
	rig_start(&one_more);
	me = must_login(ME, RIG_IQN);
	ATF_CHECK_EQ(0, rig_do(kill_all, name));
	ATF_CHECK_EQ(-1, rig_recv(me));
	ATF_CHECK_EQ(-ENOENT, rig_do(kill_all, name));
	rig_close(me);
	rig_stop();
}

static int
drop_all(struct iscsi_server *s, void *arg)
{
	return iscsi_server_drop_session(s, arg, 0);
}

static void *
drop_me(void *arg)
{
	char name[] = ME;

	*(int *)arg = rig_do(drop_all, name);
	return NULL;
}

static struct rig_conn *
session_of_me(uint8_t isid)
{
	struct rig_conn *c = rig_connect();

	ATF_REQUIRE_EQ(0, rig_login_as(c, ME, RIG_IQN, isid, 0, "", 0));
	return c;
}

/* More answers than sockets hold: until it is closed, or reads, it stays. */
static struct rig_conn *
session_that_lingers(uint8_t isid)
{
	struct rig_conn *c = session_of_me(isid);

	ATF_REQUIRE_EQ(SCSI_GOOD, rig_ready(c));
	for (unsigned i = 0; i < 30; i++) {
		union iscsi_bhs bhs = rig_rw(c, false, 0, 2048);

		rig_send(c, &bhs, NULL, 0);
	}
	return c;
}

/* As the Linux kernel does. */
ATF_TC_WITHOUT_HEAD(dropping_does_not_wait_for_who_comes_back_at_once);
ATF_TC_BODY(dropping_does_not_wait_for_who_comes_back_at_once, tc)
{
	struct rig_conn *first, *lingers, *back;
	pthread_t admin;
	int result = -1;

	(void)tc;
	rig_start(&one_more);
	first = session_of_me(1);
	lingers = session_that_lingers(2);
	ATF_REQUIRE_EQ(0, pthread_create(&admin, NULL, drop_me, &result));
	rig_expect(first, ISCSI_ASYNC);
	back = session_of_me(3);
	rig_close(lingers);
	ATF_REQUIRE_EQ(0, pthread_join(admin, NULL));
	ATF_CHECK_EQ(0, result);
	ATF_CHECK_EQ(SCSI_GOOD, rig_ready(back));
	rig_close(first);
	rig_close(back);
	rig_stop();
}

struct asked {
	unsigned seconds;
	int result;
};

static int
ask_all(struct iscsi_server *s, void *arg)
{
	const struct asked *a = arg;

	return iscsi_server_logout_session(s, "iqn.2026-11.test:*", 0,
	    a->seconds);
}

static void *
ask_me(void *arg)
{
	struct asked *a = arg;

	a->result = rig_do(ask_all, a);
	return NULL;
}

/* A session that has just been asked to log out. */
static struct rig_conn *
asked_session(struct asked *a, pthread_t *ret_admin)
{
	struct rig_conn *me;

	rig_start(&one_more);
	me = session_of_me(1);
	ATF_REQUIRE_EQ(SCSI_GOOD, rig_ready(me));
	ATF_REQUIRE_EQ(0, pthread_create(ret_admin, NULL, ask_me, a));
	rig_expect(me, ISCSI_ASYNC);
	ATF_CHECK_EQ(ISCSI_ASYNC_LOGOUT, me->bhs.async.event);
	return me;
}

ATF_TC_WITHOUT_HEAD(initiators_are_asked_to_log_out);
ATF_TC_BODY(initiators_are_asked_to_log_out, tc)
{
	struct asked ask = { .seconds = 30, .result = -1 };
	struct rig_conn *me;
	union iscsi_bhs bhs;
	pthread_t admin;

	(void)tc;
	me = asked_session(&ask, &admin);
	ATF_CHECK_EQ(30, be16_get(me->bhs.async.p3));
	/* It has time for what it still has to do. */
	ATF_CHECK_EQ(SCSI_GOOD, rig_ready(me));
	bhs = rig_request(me, ISCSI_LOGOUT_REQ);
	rig_send(me, &bhs, NULL, 0);
	rig_expect(me, ISCSI_LOGOUT_RSP);
	ATF_CHECK_EQ(0, me->bhs.logout.response);
	ATF_REQUIRE_EQ(0, pthread_join(admin, NULL));
	ATF_CHECK_EQ(0, ask.result);
	ATF_CHECK(rig_closed(me));
	rig_close(me);
	rig_stop();
}

ATF_TC_WITHOUT_HEAD(who_does_not_log_out_is_dropped);
ATF_TC_BODY(who_does_not_log_out_is_dropped, tc)
{
	struct asked ask = { .seconds = 1, .result = -1 };
	struct rig_conn *me;
	pthread_t admin;

	(void)tc;
	me = asked_session(&ask, &admin);
	rig_expect(me, ISCSI_ASYNC);
	ATF_CHECK_EQ(ISCSI_ASYNC_DROP_ALL, me->bhs.async.event);
	ATF_CHECK(rig_closed(me));
	ATF_REQUIRE_EQ(0, pthread_join(admin, NULL));
	ATF_CHECK_EQ(0, ask.result);
	ATF_CHECK_EQ(-ENOENT, rig_do(ask_all, &ask));
	rig_close(me);
	rig_stop();
}

static int
portal_comes_and_goes(struct iscsi_server *s, void *arg)
{
	char addr[NET_ADDR_TEXT], again[NET_ADDR_TEXT];
	int r;

	(void)arg;
	r = iscsi_server_listen(s, "127.0.0.1:0", addr);
	/* Before and after its fiber waits. */
	r = r < 0 ? r : iscsi_server_unlisten(s, addr);
	r = r < 0 ? r : iscsi_server_listen(s, addr, again);
	if (r < 0)
		return r;
	fiber_yield();
	r = iscsi_server_unlisten(s, addr);
	return r < 0 ? r : iscsi_server_unlisten(s, addr);
}

ATF_TC_WITHOUT_HEAD(portals_come_and_go);
ATF_TC_BODY(portals_come_and_go, tc)
{
	struct rig_conn *me;

	(void)tc;
	rig_start(&one_more);
	me = must_login(ME, RIG_IQN);
	ATF_CHECK_EQ(-ENOENT, rig_do(portal_comes_and_goes, NULL));
	ATF_CHECK_EQ(SCSI_GOOD, rig_ready(me));
	rig_close(me);
	rig_stop();
}

ATF_TP_ADD_TCS(tp)
{
	ATF_TP_ADD_TC(tp, target_removed_ends_its_sessions_only);
	ATF_TP_ADD_TC(tp, access_withdrawn_ends_the_session);
	ATF_TP_ADD_TC(tp, a_session_sees_its_view_change);
	ATF_TP_ADD_TC(tp, killed_session_is_not_told);
	ATF_TP_ADD_TC(tp, dropping_does_not_wait_for_who_comes_back_at_once);
	ATF_TP_ADD_TC(tp, initiators_are_asked_to_log_out);
	ATF_TP_ADD_TC(tp, who_does_not_log_out_is_dropped);
	ATF_TP_ADD_TC(tp, portals_come_and_go);
	return atf_no_error();
}
