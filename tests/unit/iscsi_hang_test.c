/* SPDX-License-Identifier: BSD-2-Clause */
/* A LUN that hangs, and the sessions that meet it. */
#include <atf-c.h>
#include <stdio.h>
#include <string.h>

#include "iscsi/disk_libiscsi_impl.h"
#include "iscsi/scsi/lu.h"
#include "libvmfs/base/be.h"
#include "libvmfs/base/units.h"
#include "libvmfs/env/reactor.h"
#include "tests/unit/gate_disk.h"
#include "tests/unit/iscsi_rig.h"

#define ME "iqn.2026-11.io.vmfsd:me"
#define KEYS "SessionType=Normal\0InitialR2T=No\0"

/* LUN 1, of the server's thread. */
static struct {
	struct env env;
	struct disk *mem;
	struct gate_disk gate;
	struct scsi_lu *lu;
} hung;

static int
hung_map(struct iscsi_server *s, void *arg)
{
	static const struct scsi_lu_conf conf = { .serial = "hung" };
	int r;

	(void)arg;
	env_posix_init(&hung.env, sched_current(), NULL);
	r = disk_mem_open(1 << 20, 512, &hung.mem);
	if (r == 0) {
		gate_disk_init(&hung.gate, hung.mem);
		gate_disk_close(&hung.gate, 0, 256, 1);
		r = scsi_lu_new(&hung.env, &hung.gate.disk, &conf, &hung.lu);
	}
	return r == 0 ? scsi_target_map(iscsi_server_target(s, RIG_IQN), 1,
	    hung.lu) : r;
}

static int
hung_count(struct iscsi_server *s, void *arg)
{
	(void)s;
	(void)arg;
	return (int)hung.gate.count;
}

static int
hung_held_back(struct iscsi_server *s, void *arg)
{
	unsigned n;

	(void)s;
	(void)arg;
	shared_enter(&hung.lu->lock);
	n = hung.lu->held_back;
	shared_leave(&hung.lu->lock);
	return (int)n;
}

static int
hung_let_go(struct iscsi_server *s, void *arg)
{
	(void)s;
	(void)arg;
	gate_disk_open(&hung.gate);
	return 0;
}

static int
hung_unmap(struct iscsi_server *s, void *arg)
{
	int r = scsi_target_unmap(iscsi_server_target(s, RIG_IQN), 1);

	(void)arg;
	if (r == 0) {
		scsi_lu_free(hung.lu);
		disk_close(hung.mem);
	}
	return r;
}

static struct rig_conn *
login(void)
{
	struct rig_conn *c = rig_connect();

	ATF_REQUIRE_EQ(0, rig_login_as(c, ME, RIG_IQN, 7, 0, KEYS,
	    sizeof(KEYS) - 1));
	return c;
}

/* A command to LUN 1; its data are zeroes. */
static void
start(struct rig_conn *c, const uint8_t cdb[16], uint32_t out)
{
	static const uint8_t zero[512];
	union iscsi_bhs bhs = rig_cmd(c, out > 0 ? 0x20 : 0, out, cdb);

	bhs.any.lun[1] = 1;
	rig_send(c, &bhs, zero, out);
}

static void
start_tmf(struct rig_conn *c, uint8_t function)
{
	union iscsi_bhs bhs = rig_request(c, ISCSI_TMF_REQ);

	bhs.tmf.function = (uint8_t)(0x80 | function);
	bhs.tmf.lun[1] = 1;
	rig_send(c, &bhs, NULL, 0);
}

/* A session whose write to LUN 1 hangs. */
static struct rig_conn *
hung_session(void)
{
	static const uint8_t tur[16], write[16] = { 0x2a, [8] = 1 };
	struct rig_conn *c = login();

	start(c, tur, 0);
	rig_expect(c, ISCSI_SCSI_RSP);
	start(c, write, 512);
	while (rig_do(hung_count, NULL) != 1)
		continue;
	return c;
}

static void
rig_begin(void)
{
	static const struct rig_conf conf = { .targets = 0 };

	rig_start(&conf);
	ATF_REQUIRE_EQ(0, rig_do(hung_map, NULL));
}

static void
rig_end(void)
{
	ATF_CHECK_EQ(0, rig_do(hung_unmap, NULL));
	rig_stop();
}

/* The new session works on LUN 0 while LUN 1 hangs, and then on that. */
static void
new_session_works(struct rig_conn *old)
{
	static const uint8_t tur[16];
	struct rig_conn *c = login();

	ATF_CHECK(rig_closed(old));
	rig_close(old);
	ATF_CHECK_EQ(0, rig_ready(c));
	start(c, tur, 0);
	ATF_CHECK_EQ(1, rig_do(hung_count, NULL));
	ATF_CHECK_EQ(0, rig_ready(c));
	ATF_REQUIRE_EQ(0, rig_do(hung_let_go, NULL));
	rig_expect(c, ISCSI_SCSI_RSP);
	/* Of the new nexus, and perhaps of a reset. */
	for (int i = 0; i < 2 && c->bhs.rsp.status == 2; i++) {
		start(c, tur, 0);
		rig_expect(c, ISCSI_SCSI_RSP);
	}
	ATF_CHECK_EQ(0, c->bhs.rsp.status);
	rig_close(c);
}

ATF_TC_WITHOUT_HEAD(reinstatement_does_not_wait_for_a_hung_lun);
ATF_TC_BODY(reinstatement_does_not_wait_for_a_hung_lun, tc)
{
	(void)tc;
	rig_begin();
	new_session_works(hung_session());
	rig_end();
}

/* What an initiator does before it gives a session up. */
ATF_TC_WITHOUT_HEAD(nor_for_a_reset_that_waits_for_it);
ATF_TC_BODY(nor_for_a_reset_that_waits_for_it, tc)
{
	struct rig_conn *c;

	(void)tc;
	rig_begin();
	c = hung_session();
	start_tmf(c, 1);
	start_tmf(c, 5);
	new_session_works(c);
	rig_end();
}

ATF_TC_WITHOUT_HEAD(nor_for_a_logout_that_waits_for_it);
ATF_TC_BODY(nor_for_a_logout_that_waits_for_it, tc)
{
	struct rig_conn *c;
	union iscsi_bhs bhs;

	(void)tc;
	rig_begin();
	c = hung_session();
	bhs = rig_request(c, ISCSI_LOGOUT_REQ);
	bhs.logout.reason = 0x80;
	rig_send(c, &bhs, NULL, 0);
	new_session_works(c);
	rig_end();
}

/* ---- our initiator, which gives up a path ---- */

struct reinstatement {
	struct lsess *old;
	bool written, ended;
	int rc;
};

static void
written(struct lcmd *c)
{
	struct reinstatement *re = c->arg;

	re->written = true;
}

static void
reinstate(void *arg)
{
	struct reinstatement *re = arg;

	re->rc = lsess_reinstate(re->old, re->old);
	re->ended = true;
}

static struct lsess *
initiator_open(struct env *env)
{
	static const struct lsess_conf conf = {
		.initiator = ME, .isid_random = 7, .timeout_ms = 60000,
	};
	struct lsess *s = NULL;
	struct lurl url;
	char text[120];

	env_posix_init(env, sched_current(), NULL);
	(void)snprintf(text, sizeof(text), "iscsi://127.0.0.1:%u/" RIG_IQN
	    "/1", rig_port());
	ATF_REQUIRE_EQ(0, lurl_parse(text, &url));
	ATF_REQUIRE_EQ(0, lsess_open(env, &url, &conf, &s));
	return s;
}

static int
initiator_main(void *arg)
{
	static uint8_t zero[512];
	struct iovec iov = { zero, sizeof(zero) };
	struct env env;
	struct reinstatement re = { .old = initiator_open(&env) };
	struct lcmd write = {
		.cdb = lcdb_write16(0, 1, 512, false), .iov = &iov,
		.iovcnt = 1, .retry_attention = true, .done = written,
		.arg = &re,
	};

	(void)arg;
	lsess_submit(re.old, &write);
	while (rig_do(hung_count, NULL) != 1)
		fiber_sleep(NSEC_PER_MSEC);
	re.old->closing = true;		/* it does not come back by itself */
	ATF_REQUIRE_EQ(0, sched_spawn(sched_current(), "reinstate", reinstate,
	    &re));
	while (!re.ended && rig_do(hung_held_back, NULL) != 1)
		fiber_sleep(NSEC_PER_MSEC);
	ATF_CHECK(!re.ended);
	ATF_REQUIRE_EQ(0, rig_do(hung_let_go, NULL));
	while (!re.ended || !re.written)
		fiber_sleep(NSEC_PER_MSEC);
	ATF_CHECK_EQ(0, re.rc);
	ATF_CHECK_EQ(-VMFS_EUNKNOWN, write.result);
	lsess_close(re.old);
	return 0;
}

ATF_TC_WITHOUT_HEAD(a_lost_path_is_given_up_when_its_write_has_ended);
ATF_TC_BODY(a_lost_path_is_given_up_when_its_write_has_ended, tc)
{
	(void)tc;
	rig_begin();
	ATF_REQUIRE_EQ(0, reactor_run_main(initiator_main, NULL));
	rig_end();
}

ATF_TP_ADD_TCS(tp)
{
	ATF_TP_ADD_TC(tp, reinstatement_does_not_wait_for_a_hung_lun);
	ATF_TP_ADD_TC(tp, nor_for_a_reset_that_waits_for_it);
	ATF_TP_ADD_TC(tp, nor_for_a_logout_that_waits_for_it);
	ATF_TP_ADD_TC(tp, a_lost_path_is_given_up_when_its_write_has_ended);
	return atf_no_error();
}
