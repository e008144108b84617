/* SPDX-License-Identifier: BSD-2-Clause */
/* Resets by others, and reservations of SCSI-2, which end with them. */
#include <iscsi/iscsi.h>
#include <stdlib.h>
#include <string.h>

#include "libvmfs/base/units.h"
#include "tests/interop/cut_proxy.h"
#include "tests/interop/self_peer.h"

/* ---- attentions about resets ---- */

/* LOGICAL UNIT RESET of LUN 0 by a third initiator. */
static void
reset_lun(void)
{
	struct iscsi_context *ctx = iscsi_create_context("iqn.2026-01.t:third");

	ATF_REQUIRE(ctx != NULL);
	ATF_REQUIRE_EQ(0, iscsi_set_targetname(ctx, IQN));
	iscsi_set_session_type(ctx, ISCSI_SESSION_NORMAL);
	ATF_REQUIRE_EQ(0, iscsi_full_connect_sync(ctx, peer.portal, 0));
	ATF_REQUIRE_EQ(0, iscsi_task_mgmt_lun_reset_sync(ctx, 0));
	ATF_REQUIRE_EQ(0, iscsi_logout_sync(ctx));
	iscsi_destroy_context(ctx);
}

SELF_CASE(a_write_after_a_reset_is_told_and_not_repeated)
{
	struct disk *d = peer_lun(0);
	uint8_t *p = pattern(512, 1), *zero = disk_buf_alloc(512);
	struct iovec iov = { p, 512 };
	struct disk_req req = { .op = DISK_WRITE, .length = 512, .iov = &iov,
		.iovcnt = 1 };

	reset_lun();
	ATF_CHECK_EQ(-VMFS_EATTENTION, disk_run(d, &req));
	ATF_CHECK_EQ(0x29, req.sense.asc);
	ATF_CHECK(holds(d, 0, zero, 512));
	ATF_CHECK_EQ(0, disk_run(d, &req));
	free(zero);
	free(p);
	disk_close(d);
}

SELF_CASE(a_compare_and_write_after_a_reset_is_told_too)
{
	struct disk *d = peer_lun(0);
	uint8_t *p = pattern(512, 1), *zero = disk_buf_alloc(512);

	reset_lun();
	ATF_CHECK_EQ(-VMFS_EATTENTION, disk_caw(d, 0, zero, p, 512));
	ATF_CHECK_EQ(0, disk_caw(d, 0, zero, p, 512));
	free(zero);
	free(p);
	disk_close(d);
}

SELF_CASE(a_read_after_a_reset_is_repeated)
{
	struct disk *d = peer_lun(0);
	uint8_t *p = disk_buf_alloc(512);

	reset_lun();
	ATF_CHECK_EQ(0, disk_read(d, 0, p, 512));
	free(p);
	disk_close(d);
}

/* ---- RESERVE of SCSI-2 ---- */

static int
plain(struct disk *d, enum disk_op op)
{
	struct disk_req req = { .op = op };

	return disk_run(d, &req);
}

/* The reservation goes when the target has seen the end of the session. */
static void
reserve_when_free(struct disk *d)
{
	int rc;

	for (;;) {
		rc = plain(d, DISK_RESERVE);
		if (rc != -VMFS_ECONFLICT)
			break;
		fiber_sleep(10 * NSEC_PER_MSEC);
	}
	ATF_REQUIRE_EQ(0, rc);
}

static struct cut_proxy section_proxy;

/* Between the steps of a's section its session is lost. */
static void
section_body(void)
{
	struct disk *a = NULL, *b = peer_lun(0);
	uint8_t *pa = pattern(4096, 2), *pb = pattern(4096, 3);
	char what[200];

	snprintf(what, sizeof(what), "127.0.0.1:%u/" IQN "/0",
	    section_proxy.port);
	ATF_REQUIRE_EQ(0, lun_at(what, &a));
	ATF_REQUIRE_EQ(0, plain(a, DISK_RESERVE));
	ATF_CHECK_EQ(-VMFS_ECONFLICT, disk_write(b, 0, pb, 4096, 0));
	ATF_CHECK_EQ(-VMFS_EUNKNOWN, disk_write(a, 65536, pa, 4096,
	    DISK_RESERVED));
	reserve_when_free(b);
	ATF_REQUIRE_EQ(0, disk_write(b, 0, pb, 4096, DISK_RESERVED));
	ATF_REQUIRE_EQ(0, plain(b, DISK_RELEASE));
	ATF_CHECK_EQ(-VMFS_EATTENTION, disk_write(a, 0, pa, 4096,
	    DISK_RESERVED));
	ATF_CHECK(holds(b, 0, pb, 4096));
	ATF_REQUIRE_EQ(0, plain(a, DISK_RELEASE));
	ATF_REQUIRE_EQ(0, plain(a, DISK_RESERVE));
	ATF_CHECK_EQ(0, disk_write(a, 0, pa, 4096, DISK_RESERVED));
	ATF_REQUIRE_EQ(0, plain(a, DISK_RELEASE));
	ATF_CHECK_EQ(-VMFS_EATTENTION, disk_write(a, 0, pb, 4096,
	    DISK_RESERVED));
	disk_close(a);
	disk_close(b);
	free(pa);
	free(pb);
}

ATF_TC_WITHOUT_HEAD(a_section_of_reserve_ends_with_its_session);
ATF_TC_BODY(a_section_of_reserve_ends_with_its_session, tc)
{
	static const struct cut cuts[] = {
		{ 0x8a, CUT_CLOSE, 0 }, { CUT_NEVER, CUT_CLOSE, 0 } };

	(void)tc;
	target_start(memory_luns);
	cut_proxy_start(&section_proxy, peer.portal, cuts);
	run_body(section_body);
	cut_proxy_stop(&section_proxy);
	target_kill();
}

struct pair {
	struct disk_req req[2];
	unsigned left;
	struct fiber *waiter;
};

static void
one_of_two(struct disk_req *req)
{
	struct pair *p = req->arg;

	if (--p->left == 0)
		fiber_unpark(p->waiter);
}

/* Both on their way before either is answered. */
static void
run_both(struct disk *d, struct pair *p)
{
	p->left = 2;
	p->waiter = fiber_self();
	for (int i = 0; i < 2; i++) {
		p->req[i].done = one_of_two;
		p->req[i].arg = p;
		disk_submit(d, &p->req[i]);
	}
	while (p->left > 0)
		fiber_park();
}

/* The target tells each session once that there was a reset, perhaps to a
 * command that has nothing to do with the section. */
SELF_CASE(a_reset_ends_a_section_whoever_hears_of_it)
{
	struct disk *d = peer_lun(0);
	uint8_t *old = pattern(4096, 1), *new = pattern(4096, 2);
	uint8_t *got = disk_buf_alloc(4096);
	struct iovec in = { got, 4096 }, out = { new, 4096 };
	struct pair p = { .req = {
		{ .op = DISK_READ, .offset = 65536, .length = 4096,
		    .iov = &in, .iovcnt = 1 },
		{ .op = DISK_WRITE, .flags = DISK_RESERVED, .length = 4096,
		    .iov = &out, .iovcnt = 1 },
	} };
	struct disk_req look = { .op = DISK_READ, .flags = DISK_RESERVED,
		.length = 4096, .iov = &in, .iovcnt = 1 };

	ATF_REQUIRE_EQ(0, disk_write(d, 0, old, 4096, 0));
	ATF_REQUIRE_EQ(0, plain(d, DISK_RESERVE));
	ATF_REQUIRE_EQ(0, disk_run(d, &look));
	reset_lun();
	run_both(d, &p);
	ATF_CHECK_EQ(0, p.req[0].result);
	ATF_CHECK_EQ(-VMFS_EATTENTION, p.req[1].result);
	ATF_CHECK(holds(d, 0, old, 4096));
	disk_close(d);
	free(old);
	free(new);
	free(got);
}

/* Others wait, but not for ever; then it is the section that may not write. */
SELF_CASE(a_section_that_stands_still_holds_nobody_up_for_long)
{
	struct disk *d = peer_lun(0);
	uint8_t *p = pattern(4096, 1);

	ATF_REQUIRE_EQ(0, plain(d, DISK_RESERVE));
	ATF_CHECK_EQ(0, disk_write(d, 4096, p, 4096, 0));
	ATF_CHECK_EQ(-VMFS_EATTENTION, disk_write(d, 0, p, 4096,
	    DISK_RESERVED));
	ATF_CHECK_EQ(0, plain(d, DISK_RELEASE));
	ATF_CHECK(holds(d, 4096, p, 4096));
	disk_close(d);
	free(p);
}

/* Commands of a section go out between others, and these go on. */
SELF_CASE(a_section_goes_on_among_other_commands)
{
	struct disk *d = peer_lun(0);
	uint8_t *a = pattern(4096, 1), *b = pattern(4096, 2);
	struct iovec first = { a, 4096 }, second = { b, 4096 };

	for (int i = 0; i < 20; i++) {
		struct pair p = { .req = {
			{ .op = DISK_WRITE, .flags = i & 1 ? DISK_RESERVED : 0,
			    .length = 4096, .iov = &first, .iovcnt = 1 },
			{ .op = DISK_WRITE, .flags = i & 1 ? 0 : DISK_RESERVED,
			    .offset = 4096, .length = 4096, .iov = &second,
			    .iovcnt = 1 },
		} };

		ATF_REQUIRE_EQ(0, plain(d, DISK_RESERVE));
		run_both(d, &p);
		ATF_CHECK_EQ(0, p.req[0].result);
		ATF_CHECK_EQ(0, p.req[1].result);
		ATF_REQUIRE_EQ(0, plain(d, DISK_RELEASE));
	}
	ATF_CHECK(holds(d, 0, a, 4096) && holds(d, 4096, b, 4096));
	disk_close(d);
	free(a);
	free(b);
}

ATF_TP_ADD_TCS(tp)
{
	ATF_TP_ADD_TC(tp, a_write_after_a_reset_is_told_and_not_repeated);
	ATF_TP_ADD_TC(tp, a_compare_and_write_after_a_reset_is_told_too);
	ATF_TP_ADD_TC(tp, a_read_after_a_reset_is_repeated);
	ATF_TP_ADD_TC(tp, a_section_of_reserve_ends_with_its_session);
	ATF_TP_ADD_TC(tp, a_reset_ends_a_section_whoever_hears_of_it);
	ATF_TP_ADD_TC(tp, a_section_that_stands_still_holds_nobody_up_for_long);
	ATF_TP_ADD_TC(tp, a_section_goes_on_among_other_commands);
	return atf_no_error();
}
