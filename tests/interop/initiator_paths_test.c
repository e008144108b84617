/* SPDX-License-Identifier: BSD-2-Clause */
/* Two paths to one LUN of our own target; proxies cut and stop them. */
#include <atf-c.h>
#include <iscsi/iscsi.h>
#include <iscsi/scsi-lowlevel.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "iscsi/mpath.h"
#include "libvmfs/base/be.h"
#include "libvmfs/base/units.h"
#include "libvmfs/env/sched.h"
#include "tests/interop/cut_proxy.h"
#include "tests/interop/initiator_rig.h"
#include "tests/interop/target_peer.h"

#define IQN "iqn.2026-11.io.vmfsd:test"
#define DEADLINE_S 30
#define KEY UINT64_C(0x564d000000000001)
#define OTHER_KEY UINT64_C(0x564d010000000001)
#define PR_OUT 0x5f

static struct cut_proxy proxy[2];
static const struct cut uncut[] = { { CUT_NEVER, CUT_CLOSE, 0 } };

static const char *const memory_lun[] = { "--ram", "64M", NULL };

static void
two_proxies(const struct cut *first)
{
	target_start(memory_lun);
	cut_proxy_start(&proxy[0], peer.portal, first);
	cut_proxy_start(&proxy[1], peer.portal, uncut);
}

/* The LUN through both; a direct path for who looks at it from aside. */
static struct disk *
open_both(void)
{
	struct disk *d = NULL;
	char what[200];

	snprintf(what, sizeof(what), "127.0.0.1:%u,127.0.0.1:%u/" IQN "/0",
	    proxy[0].port, proxy[1].port);
	ATF_REQUIRE_EQ(0, lun_at(what, &d));
	return d;
}

static struct disk *
open_direct(void)
{
	struct disk *d = NULL;
	char what[200];

	snprintf(what, sizeof(what), "%s/" IQN "/0", peer.portal);
	ATF_REQUIRE_EQ(0, lun_at(what, &d));
	return d;
}

static const char *
state(struct disk *d, unsigned i)
{
	struct disk_path p[2];

	ATF_REQUIRE_EQ(2, disk_paths(d, p, 2));
	return p[i].state;
}

static bool
becomes(struct disk *d, unsigned i, const char *want)
{
	time_t end = time(NULL) + DEADLINE_S;

	while (strcmp(state(d, i), want) != 0) {
		if (time(NULL) > end)
			return false;
		fiber_sleep(10 * NSEC_PER_MSEC);
	}
	return true;
}

#define PATHS_CASE_CUT(name, cuts)					\
static void name##_body(void);						\
ATF_TC_WITHOUT_HEAD(name);						\
ATF_TC_BODY(name, tc)							\
{									\
	(void)tc;							\
	two_proxies(cuts);						\
	run_body(name##_body);						\
	cut_proxy_stop(&proxy[0]);					\
	cut_proxy_stop(&proxy[1]);					\
	target_kill();							\
}									\
static void name##_body(void)
#define PATHS_CASE(name) PATHS_CASE_CUT(name, uncut)

/* ---- failover ---- */

struct writer {
	struct disk *d;
	unsigned rounds;
	bool stop, ended;
	int rc;
};

#define WRITER_BYTES 65536u

/* Writes, flushes, reads back. */
static void
writer_main(void *arg)
{
	struct writer *w = arg;

	while (!w->stop && w->rc == 0) {
		uint64_t at = w->rounds % 16 * WRITER_BYTES;
		uint8_t *p = pattern(WRITER_BYTES, w->rounds);

		w->rc = disk_write(w->d, at, p, WRITER_BYTES, 0);
		if (w->rc == 0 && w->rounds % 4 == 0)
			w->rc = disk_flush(w->d);
		if (w->rc == 0 && !holds(w->d, at, p, WRITER_BYTES))
			w->rc = -EBADMSG;
		free(p);
		w->rounds++;
	}
	w->ended = true;
}

static void
writer_reaches(struct writer *w, unsigned rounds)
{
	time_t end = time(NULL) + DEADLINE_S;

	while (w->rounds < rounds && w->rc == 0 && time(NULL) < end)
		fiber_sleep(NSEC_PER_MSEC);
	ATF_CHECK_EQ(0, w->rc);
	ATF_CHECK(w->rounds >= rounds);
}

static void
writer_stop(struct writer *w)
{
	w->stop = true;
	while (!w->ended)
		fiber_sleep(NSEC_PER_MSEC);
}

PATHS_CASE(a_path_that_is_cut_costs_a_writer_no_error)
{
	struct disk *d = open_both();
	struct writer w = { .d = d };

	ATF_REQUIRE_EQ(0, sched_spawn(sched_current(), "writer", writer_main,
	    &w));
	writer_reaches(&w, 20);
	cut_proxy_stop(&proxy[0]);
	writer_reaches(&w, w.rounds + 40);
	ATF_CHECK_STREQ("lost", state(d, 0));
	ATF_CHECK_STREQ("active", state(d, 1));
	writer_stop(&w);
	ATF_CHECK_EQ(0, disk_flush(d));
	disk_close(d);
	cut_proxy_start(&proxy[0], peer.portal, uncut);
}

/* The nightmare: the dead path had swallowed a write and lets go of it when
 * its block has long been written anew. */
PATHS_CASE(a_write_left_in_a_dead_path_never_lands)
{
	struct disk *d = open_both();
	uint8_t *old = pattern(4096, 1), *new = pattern(4096, 2);

	ATF_REQUIRE_EQ(0, disk_write(d, 0, new, 4096, 0));
	cut_proxy_freeze(&proxy[0]);
	ATF_CHECK_EQ(0, disk_write(d, 0, old, 4096, 0));
	ATF_CHECK_EQ(0, disk_write(d, 0, new, 4096, 0));
	cut_proxy_thaw(&proxy[0]);
	ATF_CHECK(becomes(d, 0, "active"));
	ATF_CHECK(holds(d, 0, new, 4096));
	free(old);
	free(new);
	disk_close(d);
}

/* The nexus of the dead path is closed; other hosts notice nothing. */
PATHS_CASE(failover_does_not_reset_the_lun_of_others)
{
	struct disk *d = open_both(), *other = open_direct();
	uint8_t *p = pattern(512, 1);

	cut_proxy_freeze(&proxy[0]);
	ATF_CHECK_EQ(0, disk_write(d, 0, p, 512, 0));
	ATF_CHECK_EQ(0, disk_write(other, 512, p, 512, 0));
	cut_proxy_thaw(&proxy[0]);
	free(p);
	disk_close(other);
	disk_close(d);
}

PATHS_CASE(io_goes_on_when_one_of_two_cut_paths_is_back)
{
	struct disk *d = open_both();
	uint8_t *p = pattern(4096, 3);

	cut_proxy_freeze(&proxy[0]);
	cut_proxy_freeze(&proxy[1]);
	ATF_CHECK_EQ(-VMFS_EUNKNOWN, disk_write(d, 0, p, 4096, 0));
	cut_proxy_thaw(&proxy[1]);
	ATF_CHECK(comes_back(d));
	ATF_CHECK_EQ(0, disk_write(d, 0, p, 4096, 0));
	ATF_CHECK(holds(d, 0, p, 4096));
	cut_proxy_thaw(&proxy[0]);
	ATF_CHECK(becomes(d, 0, "active"));
	free(p);
	disk_close(d);
}

/* ---- identity ---- */

PATHS_CASE(portals_of_different_luns_are_refused)
{
	struct target_peer first = peer, second;
	struct disk *d = NULL;
	char what[200];

	target_start(memory_lun);
	second = peer;
	snprintf(what, sizeof(what), "%s,%s/" IQN "/0", first.portal,
	    second.portal);
	ATF_CHECK_EQ(-EXDEV, lun_at(what, &d));
	target_kill();
	peer = first;
}

PATHS_CASE(one_portal_that_answers_is_enough)
{
	struct disk *d;

	cut_proxy_stop(&proxy[0]);
	d = open_both();
	ATF_CHECK(comes_back(d));
	ATF_CHECK_STREQ("lost", state(d, 0));
	disk_close(d);
	cut_proxy_start(&proxy[0], peer.portal, uncut);
}

/* ---- registrations ---- */

static int
pr(struct disk *d, enum disk_pr_action action, uint64_t key, uint64_t sa_key)
{
	struct disk_pr p = { .action = action, .key = key, .sa_key = sa_key,
		.type = DISK_PR_WRITE_EXCLUSIVE_AR };

	return disk_pr_out(d, &p);
}

static size_t
key_count(struct disk *d)
{
	uint64_t keys[8];
	struct disk_pr p = { .keys = keys, .keys_max = 8 };

	ATF_REQUIRE_EQ(0, disk_pr_read_keys(d, &p));
	return p.keys_count;
}

/* Descriptors of READ FULL STATUS (SPC-4 6.13.5) with the key. */
static unsigned
nexuses_with(uint64_t key)
{
	struct iscsi_context *ctx = iscsi_create_context("iqn.2026-01.t:third");
	struct scsi_task *t;
	const uint8_t *p;
	unsigned n = 0;
	size_t end;

	ATF_REQUIRE(ctx != NULL);
	ATF_REQUIRE_EQ(0, iscsi_set_targetname(ctx, IQN));
	iscsi_set_session_type(ctx, ISCSI_SESSION_NORMAL);
	ATF_REQUIRE_EQ(0, iscsi_full_connect_sync(ctx, peer.portal, 0));
	t = iscsi_persistent_reserve_in_sync(ctx, 0,
	    SCSI_PERSISTENT_RESERVE_READ_FULL_STATUS, 4096);
	ATF_REQUIRE(t != NULL && t->status == SCSI_STATUS_GOOD);
	p = t->datain.data;
	end = 8 + be32_load(p + 4);
	ATF_REQUIRE(end <= (size_t)t->datain.size);
	for (size_t at = 8; at + 24 <= end; at += 24 + be32_load(p + at + 20))
		n += be64_load(p + at) == key;
	scsi_free_scsi_task(t);
	ATF_REQUIRE_EQ(0, iscsi_logout_sync(ctx));
	iscsi_destroy_context(ctx);
	return n;
}

PATHS_CASE(a_key_is_registered_on_every_path)
{
	struct disk *d = open_both();

	ATF_CHECK_EQ(0, pr(d, DISK_PR_REGISTER, 0, KEY));
	ATF_CHECK_EQ(2, nexuses_with(KEY));
	ATF_CHECK_EQ(0, pr(d, DISK_PR_REGISTER, KEY, 0));
	ATF_CHECK_EQ(0, nexuses_with(KEY));
	disk_close(d);
}

PATHS_CASE(a_registered_path_that_was_away_carries_writes_again)
{
	struct disk *d = open_both();
	uint8_t *p = pattern(512, 1);

	ATF_REQUIRE_EQ(0, pr(d, DISK_PR_REGISTER, 0, KEY));
	ATF_REQUIRE_EQ(0, pr(d, DISK_PR_RESERVE, KEY, 0));
	cut_proxy_freeze(&proxy[0]);
	ATF_CHECK_EQ(0, disk_write(d, 0, p, 512, 0));
	cut_proxy_thaw(&proxy[0]);
	ATF_CHECK(becomes(d, 0, "active"));
	cut_proxy_freeze(&proxy[1]);
	ATF_CHECK_EQ(0, disk_write(d, 0, p, 512, 0));
	cut_proxy_thaw(&proxy[1]);
	ATF_CHECK_EQ(2, nexuses_with(KEY));
	free(p);
	disk_close(d);
}

/* Registered while the second path was away. */
static struct disk *
with_late_path(void)
{
	struct disk *d;

	cut_proxy_freeze(&proxy[1]);
	d = open_both();
	ATF_REQUIRE_EQ(0, pr(d, DISK_PR_REGISTER, 0, KEY));
	ATF_REQUIRE_EQ(0, pr(d, DISK_PR_RESERVE, KEY, 0));
	cut_proxy_thaw(&proxy[1]);
	ATF_CHECK(becomes(d, 1, "not registered"));
	ATF_CHECK_EQ(1, disk_late(d));
	return d;
}

PATHS_CASE(a_late_path_carries_nothing_until_it_is_admitted)
{
	struct disk *d = with_late_path();

	ATF_CHECK_EQ(1, nexuses_with(KEY));
	ATF_CHECK_EQ(0, pr(d, DISK_PR_LATE_REGISTER, 0, KEY));
	ATF_CHECK_EQ(2, nexuses_with(KEY));
	ATF_CHECK_STREQ("being registered", state(d, 1));
	ATF_CHECK_EQ(0, pr(d, DISK_PR_LATE_ADMIT, 0, KEY));
	ATF_CHECK_STREQ("active", state(d, 1));
	ATF_CHECK_EQ(0, disk_late(d));
	disk_close(d);
}

PATHS_CASE(a_late_path_that_is_not_admitted_loses_its_key)
{
	struct disk *d = with_late_path();
	uint8_t *p = pattern(512, 1);

	ATF_CHECK_EQ(0, pr(d, DISK_PR_LATE_REGISTER, 0, KEY));
	cut_proxy_freeze(&proxy[0]);
	ATF_CHECK_EQ(-VMFS_EUNKNOWN, disk_write(d, 0, p, 512, 0));
	cut_proxy_thaw(&proxy[0]);
	ATF_CHECK(becomes(d, 0, "active"));
	ATF_CHECK_EQ(0, pr(d, DISK_PR_LATE_REVOKE, 0, KEY));
	ATF_CHECK_EQ(1, nexuses_with(KEY));
	free(p);
	disk_close(d);
}

/* ---- fencing ---- */

PATHS_CASE(a_fenced_host_is_shut_out_on_all_its_paths)
{
	struct disk *d = open_both(), *other = open_direct();
	uint8_t *p = pattern(512, 1), *zero = disk_buf_alloc(512);

	ATF_REQUIRE_EQ(0, pr(d, DISK_PR_REGISTER, 0, KEY));
	ATF_REQUIRE_EQ(0, pr(other, DISK_PR_REGISTER, 0, OTHER_KEY));
	ATF_REQUIRE_EQ(0, pr(other, DISK_PR_RESERVE, OTHER_KEY, 0));
	ATF_CHECK_EQ(3, key_count(d));
	ATF_REQUIRE_EQ(0, pr(other, DISK_PR_PREEMPT_AND_ABORT, OTHER_KEY,
	    KEY));
	ATF_CHECK_EQ(-VMFS_EATTENTION, disk_write(d, 0, p, 512, 0));
	ATF_CHECK_EQ(-VMFS_ECONFLICT, disk_write(d, 0, p, 512, 0));
	ATF_CHECK(disk_write(d, 0, p, 512, 0) < 0);
	ATF_CHECK(becomes(d, 0, "not registered"));
	ATF_CHECK(holds(other, 0, zero, 512));
	ATF_CHECK_EQ(1, key_count(other));
	free(p);
	free(zero);
	disk_close(other);
	disk_close(d);
}

/* The third: the first is the probe of what the LUN can do. */
static const struct cut cut_the_fence[] = {
	{ PR_OUT, CUT_ANSWER, 2 }, { CUT_NEVER, CUT_CLOSE, 0 },
};

/* Nobody knows whether its abort has ended: a reset makes up for it. */
PATHS_CASE_CUT(a_fence_whose_answer_is_lost_ends_with_a_reset, cut_the_fence)
{
	struct disk *d = open_both(), *other = open_direct();
	uint8_t *p = pattern(512, 1);
	struct iovec iov = { p, 512 };
	struct disk_req req = { .op = DISK_WRITE, .length = 512, .iov = &iov,
		.iovcnt = 1 };

	ATF_REQUIRE_EQ(0, pr(other, DISK_PR_REGISTER, 0, OTHER_KEY));
	ATF_REQUIRE_EQ(0, pr(d, DISK_PR_REGISTER, 0, KEY));
	ATF_CHECK_EQ(-VMFS_EUNKNOWN, pr(d, DISK_PR_PREEMPT_AND_ABORT, KEY,
	    OTHER_KEY));
	ATF_CHECK_EQ(2, key_count(d));
	ATF_CHECK_EQ(-VMFS_EATTENTION, disk_run(other, &req));
	ATF_CHECK(req.sense.asc == 0x29 || req.sense.asc == 0x2a);
	ATF_CHECK_EQ(0, disk_write(d, 0, p, 512, 0));
	free(p);
	disk_close(other);
	disk_close(d);
}

/* ---- RESERVE of SCSI-2 ---- */

static int
plain(struct disk *d, enum disk_op op)
{
	struct disk_req req = { .op = op };

	return disk_run(d, &req);
}

static bool
can_reserve(struct disk *d)
{
	time_t end = time(NULL) + DEADLINE_S;

	while (plain(d, DISK_RESERVE) != 0) {
		if (time(NULL) > end)
			return false;
		fiber_sleep(10 * NSEC_PER_MSEC);
	}
	return true;
}

/* In standby a port takes no RELEASE: the reservation goes with its session. */
PATHS_CASE(a_reservation_does_not_outlive_its_section_in_standby)
{
	struct disk *d = open_both(), *other = open_direct();

	ATF_REQUIRE_EQ(0, plain(d, DISK_RESERVE));
	target_access(MPATH_STANDBY);
	/* The other path is in standby as well. */
	ATF_CHECK_EQ(-VMFS_EUNKNOWN, plain(d, DISK_RELEASE));
	target_access(MPATH_OPTIMIZED);
	ATF_CHECK(can_reserve(other));
	disk_close(other);
	disk_close(d);
}

ATF_TP_ADD_TCS(tp)
{
	ATF_TP_ADD_TC(tp, a_path_that_is_cut_costs_a_writer_no_error);
	ATF_TP_ADD_TC(tp, a_write_left_in_a_dead_path_never_lands);
	ATF_TP_ADD_TC(tp, failover_does_not_reset_the_lun_of_others);
	ATF_TP_ADD_TC(tp, io_goes_on_when_one_of_two_cut_paths_is_back);
	ATF_TP_ADD_TC(tp, portals_of_different_luns_are_refused);
	ATF_TP_ADD_TC(tp, one_portal_that_answers_is_enough);
	ATF_TP_ADD_TC(tp, a_key_is_registered_on_every_path);
	ATF_TP_ADD_TC(tp,
	    a_registered_path_that_was_away_carries_writes_again);
	ATF_TP_ADD_TC(tp, a_late_path_carries_nothing_until_it_is_admitted);
	ATF_TP_ADD_TC(tp, a_late_path_that_is_not_admitted_loses_its_key);
	ATF_TP_ADD_TC(tp, a_fenced_host_is_shut_out_on_all_its_paths);
	ATF_TP_ADD_TC(tp, a_fence_whose_answer_is_lost_ends_with_a_reset);
	ATF_TP_ADD_TC(tp,
	    a_reservation_does_not_outlive_its_section_in_standby);
	return atf_no_error();
}
