/* SPDX-License-Identifier: BSD-2-Clause */
/* A multipath disk over legs whose target ports tell what the test wants. */
#include <atf-c.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "iscsi/mpath.h"
#include "libvmfs/base/units.h"
#include "tests/sim/sim_disk.h"

#define LEGS 3
#define LUN_BYTES (1 << 20)
#define BLOCK 512

/* One leg: a nexus of the LUN behind a port with an access state. */
struct port {
	struct disk disk;	/* what the multipath disk has opened */
	struct disk *below;
	unsigned index;
	uint8_t access;
	bool preferred;
	unsigned served;	/* requests that got to the LUN */
	struct disk_sense next;	/* answer to the next request, once */
	unsigned expected;	/* resets that it was told to expect */
	unsigned drops;		/* sessions that it was told to end */
	uint64_t look_ns;	/* how long a look takes */
	bool away;		/* cannot be opened as yet */
	unsigned lacks, gains;	/* DISK_CAP_* */
};

static struct {
	struct sim sim;
	struct env env;
	struct sim_lun lun;
	struct port port[LEGS];
	struct disk *d;
	unsigned legs;
	unsigned resets;
	uint64_t reset_ns;	/* how long one takes */
	bool refuse_reset;
	void (*body)(void);
} rig;

static struct port *
port_of(struct disk *d)
{
	return container_of(d, struct port, disk);
}

static enum path_state *
path(unsigned i)
{
	return &rig.lun.nexus[i].path;
}

static void
port_submit(struct disk *d, struct disk_req *req)
{
	struct port *p = port_of(d);

	if (p->next.status != 0 || p->access > MPATH_NON_OPTIMIZED) {
		/* LOGICAL UNIT NOT ACCESSIBLE, TARGET PORT IN STANDBY STATE */
		static const struct disk_sense standby = { .status = 2,
			.key = 2, .asc = 0x04, .ascq = 0x0b };

		req->sense = p->next.status != 0 ? p->next : standby;
		p->next.status = 0;
		disk_complete(req, req->sense.key == 6 ? -VMFS_EATTENTION :
		    -EIO);
		return;
	}
	p->served++;
	p->below->ops->submit(p->below, req);
}

static void
port_close(struct disk *d)
{
	disk_close(port_of(d)->below);
}

static const struct disk_ops port_ops = {
	.submit = port_submit,
	.close = port_close,
};

static int
leg_open(void *arg, struct disk **ret_d)
{
	struct port *p = arg;
	int rc;

	if (p->away)
		return -ETIMEDOUT;
	rc = sim_disk_open(&rig.lun, p->index, &p->below);
	p->disk.ops = &port_ops;
	p->disk.info = p->below->info;
	p->disk.info.caps &= ~p->lacks;
	p->disk.info.caps |= p->gains;
	*ret_d = &p->disk;
	return rc;
}

static bool
leg_alive(struct disk *d, uint64_t *ret_epoch)
{
	unsigned i = port_of(d)->index;

	*ret_epoch = rig.lun.nexus[i].sessions + 1;
	return *path(i) != PATH_LOST;
}

static int
leg_look(struct disk *d, struct mpath_look *ret_look)
{
	const struct port *p = port_of(d);

	fiber_sleep(p->look_ns);
	*ret_look = (struct mpath_look){ .access = p->access,
		.group = p->index + 1, .preferred = p->preferred };
	if (*path(p->index) == PATH_CUT)
		return -VMFS_EGONE;
	return *path(p->index) == PATH_LOST ? -ENOTCONN : 0;
}

static int
leg_reset(struct disk *d)
{
	(void)d;
	if (rig.refuse_reset)
		return -EOPNOTSUPP;
	fiber_sleep(rig.reset_ns);
	rig.resets++;
	for (unsigned i = 0; i < rig.legs; i++)
		sim_path_exorcise(&rig.lun, i);
	return 0;
}

static void
leg_expect_reset(struct disk *d)
{
	port_of(d)->expected++;
}

static void
leg_drop(struct disk *d)
{
	struct port *p = port_of(d);

	p->drops++;
	sim_path_lose(&rig.lun, p->index);
	sim_path_heal(&rig.lun, p->index);
}

/* Every leg has a target port of its own. */
static int
leg_reinstate(struct disk *d, struct disk *dead)
{
	(void)d;
	(void)dead;
	return -EOPNOTSUPP;
}

static const struct mpath_leg_ops leg_ops = {
	.open = leg_open, .alive = leg_alive, .look = leg_look,
	.reset = leg_reset, .expect_reset = leg_expect_reset,
	.reinstate = leg_reinstate, .drop = leg_drop,
};

static void
rig_main(void *arg)
{
	struct mpath_conf conf = { .name = "legs", .count = rig.legs,
		.timeout_ms = 4000 };

	(void)arg;
	for (unsigned i = 0; i < rig.legs; i++) {
		rig.port[i].index = i;
		conf.legs[i] = (struct mpath_leg_conf){ .ops = &leg_ops,
			.arg = &rig.port[i], .portal = "port" };
	}
	ATF_REQUIRE_EQ(0, mpath_open(&rig.env, &conf, &rig.d));
	rig.body();
	disk_close(rig.d);
}

static void
rig_run(unsigned legs, void (*body)(void))
{
	rig.legs = legs;
	rig.body = body;
	sim_init(&rig.sim, 1);
	sim_env_init(&rig.sim, &rig.env, NULL);
	ATF_REQUIRE_EQ(0, sim_lun_init(&rig.lun, &rig.sim, LUN_BYTES, BLOCK,
	    DISK_CAP_CAW | DISK_CAP_PR | DISK_CAP_RESERVE));
	ATF_CHECK_EQ(SIM_DONE, sim_run(&rig.sim, 3600 * NSEC_PER_SEC,
	    rig_main, NULL));
	sim_lun_fini(&rig.lun);
	sim_fini(&rig.sim);
}

static int
put_with(uint8_t fill, unsigned flags)
{
	uint8_t buf[BLOCK];

	memset(buf, fill, sizeof(buf));
	return disk_write(rig.d, 0, buf, sizeof(buf), flags);
}

static int
put(uint8_t fill)
{
	return put_with(fill, 0);
}

/* ---- access states ---- */

static void
prefers_optimized(void)
{
	for (int i = 0; i < 10; i++)
		ATF_CHECK_EQ(0, put(1));
	ATF_CHECK_EQ(0, rig.port[0].served);
	ATF_CHECK_EQ(10, rig.port[1].served);
	ATF_CHECK_EQ(0, rig.port[2].served);
	sim_path_lose(&rig.lun, 1);
	ATF_CHECK_EQ(0, put(2));
	ATF_CHECK_EQ(1, rig.port[0].served);
	ATF_CHECK_EQ(0, rig.port[2].served);
}

ATF_TC_WITHOUT_HEAD(optimized_legs_come_first_and_standby_ones_never);
ATF_TC_BODY(optimized_legs_come_first_and_standby_ones_never, tc)
{
	(void)tc;
	rig.port[0].access = MPATH_NON_OPTIMIZED;
	rig.port[2].access = MPATH_STANDBY;
	rig_run(3, prefers_optimized);
}

static void
standby_sense(void)
{
	ATF_CHECK_EQ(0, put(1));
	ATF_CHECK_EQ(1, rig.port[0].served);
	/* The target turns its ports over. */
	rig.port[0].access = MPATH_STANDBY;
	rig.port[1].access = MPATH_OPTIMIZED;
	ATF_CHECK_EQ(0, put(2));
	ATF_CHECK_EQ(1, rig.port[0].served);
	ATF_CHECK_EQ(1, rig.port[1].served);
	ATF_CHECK_EQ(2, rig.lun.now[0]);
}

ATF_TC_WITHOUT_HEAD(a_leg_that_becomes_standby_is_left_without_an_error);
ATF_TC_BODY(a_leg_that_becomes_standby_is_left_without_an_error, tc)
{
	(void)tc;
	rig.port[1].access = MPATH_STANDBY;
	rig_run(2, standby_sense);
}

static void
access_changed(void)
{
	ATF_CHECK_EQ(0, put(1));
	ATF_CHECK_EQ(1, rig.port[0].served);
	rig.port[0].access = MPATH_NON_OPTIMIZED;
	/* ASYMMETRIC ACCESS STATE CHANGED */
	rig.port[0].next = (struct disk_sense){ .status = 2, .key = 6,
		.asc = 0x2a, .ascq = 0x06 };
	ATF_CHECK_EQ(0, put(2));
	ATF_CHECK_EQ(0, put(3));
	ATF_CHECK_EQ(1, rig.port[0].served);
	ATF_CHECK_EQ(2, rig.port[1].served);
}

ATF_TC_WITHOUT_HEAD(an_attention_about_access_is_heeded_and_not_told);
ATF_TC_BODY(an_attention_about_access_is_heeded_and_not_told, tc)
{
	(void)tc;
	rig_run(2, access_changed);
}

static void
preempted(void)
{
	rig.port[0].next = (struct disk_sense){ .status = 2, .key = 6,
		.asc = 0x2a, .ascq = 0x05 };
	ATF_CHECK_EQ(-VMFS_EATTENTION, put(1));
	ATF_CHECK_EQ(0, rig.lun.now[0]);
	ATF_CHECK_EQ(0, rig.port[0].served + rig.port[1].served);
}

ATF_TC_WITHOUT_HEAD(an_attention_about_registrations_is_told_and_ends_the_write);
ATF_TC_BODY(an_attention_about_registrations_is_told_and_ends_the_write, tc)
{
	(void)tc;
	rig_run(2, preempted);
}

/* ---- a LUN that is no more ---- */

/* The target ends its sessions and takes the LUN away: no command of the user
 * hears of it, only the look at a path that is back. */
static void
taken_away(void)
{
	uint64_t before;

	for (unsigned i = 0; i < 2; i++)
		sim_path_lose(&rig.lun, i);
	ATF_CHECK_EQ(-VMFS_EUNKNOWN, put(1));
	for (unsigned i = 0; i < 2; i++) {
		sim_path_heal(&rig.lun, i);
		sim_path_cut(&rig.lun, i);
	}
	fiber_sleep(NSEC_PER_SEC);
	before = rig.sim.now_ns;
	ATF_CHECK_EQ(-VMFS_EGONE, put(2));
	ATF_CHECK(rig.sim.now_ns - before < NSEC_PER_SEC);
}

ATF_TC_WITHOUT_HEAD(that_the_lun_is_gone_is_told_when_only_a_look_says_so);
ATF_TC_BODY(that_the_lun_is_gone_is_told_when_only_a_look_says_so, tc)
{
	(void)tc;
	rig_run(2, taken_away);
}

/* The other path may yet have the LUN. */
static void
taken_away_on_one(void)
{
	for (unsigned i = 0; i < 2; i++)
		sim_path_lose(&rig.lun, i);
	ATF_CHECK_EQ(-VMFS_EUNKNOWN, put(1));
	sim_path_heal(&rig.lun, 0);
	sim_path_cut(&rig.lun, 0);
	fiber_sleep(NSEC_PER_SEC);
	ATF_CHECK_EQ(-VMFS_EUNKNOWN, put(2));
	sim_path_heal(&rig.lun, 1);
	ATF_CHECK_EQ(0, put(3));
}

ATF_TC_WITHOUT_HEAD(a_lun_gone_on_one_path_is_waited_for_on_the_other);
ATF_TC_BODY(a_lun_gone_on_one_path_is_waited_for_on_the_other, tc)
{
	(void)tc;
	rig_run(2, taken_away_on_one);
}

/* ---- ghosts behind ports of their own ---- */

static void
lose_with_a_write(void *arg)
{
	(void)arg;
	fiber_sleep(NSEC_PER_MSEC);
	rig.lun.faults.slow_ppm = 0;
	sim_path_lose(&rig.lun, 0);
}

static void
leave_a_write_behind(void)
{
	rig.lun.faults = (struct sim_faults){ .slow_ppm = 1000000,
		.slow_ns = 3 * NSEC_PER_SEC, .late_ns = 30 * NSEC_PER_SEC };
	ATF_REQUIRE_EQ(0, sched_spawn(&rig.sim.sched, "lose",
	    lose_with_a_write, NULL));
}

static void
resets(void)
{
	leave_a_write_behind();
	ATF_CHECK_EQ(0, put(1));
	ATF_CHECK_EQ(1, rig.resets);
	ATF_CHECK_EQ(1, rig.port[0].expected);
	ATF_CHECK_EQ(0, put(2));
	fiber_sleep(60 * NSEC_PER_SEC);
	ATF_CHECK_EQ(2, rig.lun.now[0]);
	ATF_CHECK_EQ(1, rig.resets);
}

ATF_TC_WITHOUT_HEAD(what_another_port_has_left_is_ended_by_a_reset);
ATF_TC_BODY(what_another_port_has_left_is_ended_by_a_reset, tc)
{
	(void)tc;
	rig_run(2, resets);
}

struct raw {
	struct disk_req req;
	struct iovec iov;
	uint8_t buf[BLOCK];
	struct raw *next;	/* submitted by done */
	bool ended;
};

static void
raw_done(struct disk_req *req)
{
	struct raw *r = req->arg;

	r->ended = true;
	if (r->next != NULL)
		disk_submit(rig.d, &r->next->req);
}

static void
raw_init(struct raw *r, enum disk_op op)
{
	*r = (struct raw){ .req = { .op = op, .length = BLOCK, .iovcnt = 1,
		.done = raw_done, .arg = r } };
	r->iov = (struct iovec){ r->buf, BLOCK };
	r->req.iov = &r->iov;
}

/* Their time is up while a reset is at work; then there is a path. */
static void
submits_at_the_end_of_another(void)
{
	struct raw w, r, last;

	raw_init(&w, DISK_WRITE);
	raw_init(&r, DISK_READ);
	raw_init(&last, DISK_READ);
	w.next = &last;
	rig.reset_ns = 10 * NSEC_PER_SEC;
	leave_a_write_behind();
	disk_submit(rig.d, &w.req);
	fiber_sleep(NSEC_PER_SEC);
	disk_submit(rig.d, &r.req);
	while (!w.ended || !r.ended || !last.ended)
		fiber_sleep(NSEC_PER_SEC);
	ATF_CHECK_EQ(-VMFS_EUNKNOWN, w.req.result);
	ATF_CHECK_EQ(-VMFS_EUNKNOWN, r.req.result);
	ATF_CHECK_EQ(0, last.req.result);
}

ATF_TC_WITHOUT_HEAD(who_hears_that_time_is_up_may_submit_again);
ATF_TC_BODY(who_hears_that_time_is_up_may_submit_again, tc)
{
	(void)tc;
	rig_run(2, submits_at_the_end_of_another);
}

static void
waits(void)
{
	uint8_t buf[BLOCK];

	rig.refuse_reset = true;
	leave_a_write_behind();
	ATF_CHECK_EQ(-VMFS_EUNKNOWN, put(1));
	/* Not even a read: it might come before what is still on its way. */
	ATF_CHECK_EQ(-VMFS_EUNKNOWN, disk_read(rig.d, 0, buf, sizeof(buf)));
	sim_path_heal(&rig.lun, 0);
	fiber_sleep(NSEC_PER_SEC);
	ATF_CHECK_EQ(0, put(2));
	fiber_sleep(60 * NSEC_PER_SEC);
	ATF_CHECK_EQ(2, rig.lun.now[0]);
}

ATF_TC_WITHOUT_HEAD(without_a_reset_io_waits_for_the_lost_path);
ATF_TC_BODY(without_a_reset_io_waits_for_the_lost_path, tc)
{
	(void)tc;
	rig_run(2, waits);
}

static void
reads_only(void)
{
	uint8_t buf[BLOCK];

	leave_a_write_behind();
	ATF_CHECK_EQ(0, disk_read(rig.d, 0, buf, sizeof(buf)));
	ATF_CHECK_EQ(0, rig.resets);
}

ATF_TC_WITHOUT_HEAD(a_read_left_in_a_lost_path_needs_no_reset);
ATF_TC_BODY(a_read_left_in_a_lost_path_needs_no_reset, tc)
{
	(void)tc;
	rig_run(2, reads_only);
}

/* ---- a fence of unknown outcome ---- */

static void
blink(void *arg)
{
	(void)arg;
	fiber_sleep(NSEC_PER_MSEC);
	rig.lun.faults.slow_ppm = 0;
	sim_path_lose(&rig.lun, 0);
	sim_path_heal(&rig.lun, 0);
}

/* The path is back at once, but had the abort ended? */
static void
fences(void)
{
	struct disk_pr mine = { .action = DISK_PR_REGISTER, .sa_key = 1 };
	struct disk_pr fence = { .action = DISK_PR_PREEMPT_AND_ABORT,
		.type = DISK_PR_WRITE_EXCLUSIVE_AR, .key = 1, .sa_key = 2 };

	rig.lun.nexus[LEGS].key = 2;
	ATF_REQUIRE_EQ(0, disk_pr_out(rig.d, &mine));
	rig.lun.faults = (struct sim_faults){ .slow_ppm = 1000000,
		.slow_ns = 3 * NSEC_PER_SEC };
	ATF_REQUIRE_EQ(0, sched_spawn(&rig.sim.sched, "blink", blink, NULL));
	ATF_CHECK_EQ(-VMFS_EUNKNOWN, disk_pr_out(rig.d, &fence));
	ATF_CHECK_EQ(0, put(1));
	ATF_CHECK_EQ(1, rig.resets);
}

ATF_TC_WITHOUT_HEAD(a_fence_of_unknown_outcome_ends_with_a_reset);
ATF_TC_BODY(a_fence_of_unknown_outcome_ends_with_a_reset, tc)
{
	(void)tc;
	rig_run(2, fences);
}

/* ---- RESERVE of SCSI-2 ---- */

static int
reserve(void)
{
	struct disk_req req = { .op = DISK_RESERVE };

	return disk_run(rig.d, &req);
}

static int
release(void)
{
	struct disk_req req = { .op = DISK_RELEASE };

	return disk_run(rig.d, &req);
}

static void
reserves(void)
{
	ATF_REQUIRE_EQ(0, reserve());
	ATF_CHECK_EQ(0, put_with(1, DISK_RESERVED));
	sim_path_lose(&rig.lun, 0);
	ATF_CHECK_EQ(-VMFS_EUNKNOWN, put_with(2, DISK_RESERVED));
	ATF_CHECK_EQ(-VMFS_EATTENTION, put_with(2, DISK_RESERVED));
	ATF_REQUIRE_EQ(0, reserve());
	ATF_CHECK_EQ(0, put_with(3, DISK_RESERVED));
	/* Back before anybody has noticed. */
	sim_path_lose(&rig.lun, 1);
	sim_path_heal(&rig.lun, 1);
	ATF_CHECK_EQ(-VMFS_EATTENTION, put_with(4, DISK_RESERVED));
	ATF_CHECK_EQ(3, rig.lun.now[0]);
	ATF_CHECK_EQ(0, put(5));
}

ATF_TC_WITHOUT_HEAD(a_reservation_is_over_with_its_leg);
ATF_TC_BODY(a_reservation_is_over_with_its_leg, tc)
{
	(void)tc;
	rig_run(2, reserves);
}

static void
read_slowly(void *arg)
{
	uint8_t buf[BLOCK];

	(void)arg;
	ATF_CHECK_EQ(0, disk_read(rig.d, 0, buf, sizeof(buf)));
}

/* The other leg has nothing to do by then, but it is not its reservation. */
static void
releases_late(void)
{
	rig.lun.faults = (struct sim_faults){ .slow_ppm = 1000000,
		.slow_ns = NSEC_PER_SEC };
	ATF_REQUIRE_EQ(0, sched_spawn(&rig.sim.sched, "read", read_slowly,
	    NULL));
	fiber_sleep(NSEC_PER_MSEC);
	rig.lun.faults = (struct sim_faults){ 0 };
	ATF_REQUIRE_EQ(0, reserve());
	ATF_CHECK(rig.lun.scsi2 && rig.lun.scsi2_nexus == 1);
	fiber_sleep(2 * NSEC_PER_SEC);
	/* REPORTED LUNS DATA HAS CHANGED */
	rig.port[1].next = (struct disk_sense){ .status = 2, .key = 6,
		.asc = 0x3f, .ascq = 0x0e };
	ATF_CHECK_EQ(-VMFS_EATTENTION, release());
	ATF_CHECK_EQ(0, release());
	ATF_CHECK(!rig.lun.scsi2);
	ATF_CHECK_EQ(0, rig.port[1].drops);
}

ATF_TC_WITHOUT_HEAD(a_release_that_was_not_heard_goes_to_the_same_leg);
ATF_TC_BODY(a_release_that_was_not_heard_goes_to_the_same_leg, tc)
{
	(void)tc;
	rig_run(2, releases_late);
}

/* ASYMMETRIC ACCESS STATE CHANGED; the leg is looked at when RELEASE comes. */
static void
changes_reserved(void)
{
	ATF_REQUIRE_EQ(0, reserve());
	rig.port[0].look_ns = NSEC_PER_SEC;
	rig.port[0].access = MPATH_NON_OPTIMIZED;
	rig.port[0].next = (struct disk_sense){ .status = 2, .key = 6,
		.asc = 0x2a, .ascq = 0x06 };
	ATF_CHECK_EQ(-VMFS_EATTENTION, put_with(1, DISK_RESERVED));
	ATF_CHECK_EQ(0, release());
	ATF_CHECK(!rig.lun.scsi2);
	ATF_CHECK_EQ(0, rig.port[0].drops);
	ATF_CHECK_EQ(0, put(2));
}

ATF_TC_WITHOUT_HEAD(a_release_goes_to_the_leg_that_is_looked_at);
ATF_TC_BODY(a_release_goes_to_the_leg_that_is_looked_at, tc)
{
	(void)tc;
	rig_run(2, changes_reserved);
}

/* A port in standby takes no RELEASE, but its sessions stand. */
static void
stands_by_reserved(void)
{
	ATF_REQUIRE_EQ(0, reserve());
	rig.port[0].access = MPATH_STANDBY;
	ATF_CHECK_EQ(-VMFS_EATTENTION, put_with(1, DISK_RESERVED));
	ATF_CHECK_EQ(0, release());
	ATF_CHECK(!rig.lun.scsi2);
	ATF_CHECK_EQ(1, rig.port[0].drops);
	ATF_REQUIRE_EQ(0, reserve());
	ATF_CHECK_EQ(0, put_with(2, DISK_RESERVED));
	ATF_CHECK_EQ(0, release());
	ATF_CHECK_EQ(2, rig.lun.now[0]);
}

ATF_TC_WITHOUT_HEAD(a_reservation_in_standby_ends_with_its_session);
ATF_TC_BODY(a_reservation_in_standby_ends_with_its_session, tc)
{
	(void)tc;
	rig_run(2, stands_by_reserved);
}

/* So does one whose RELEASE comes as the first to hear of it, or fails. */
static void
fails_to_release(void)
{
	ATF_REQUIRE_EQ(0, reserve());
	/* HARDWARE ERROR, INTERNAL TARGET FAILURE */
	rig.port[0].next = (struct disk_sense){ .status = 2, .key = 4,
		.asc = 0x44 };
	ATF_CHECK_EQ(-EIO, release());
	ATF_CHECK(!rig.lun.scsi2);
	ATF_REQUIRE_EQ(0, reserve());
	rig.port[rig.lun.scsi2_nexus].access = MPATH_STANDBY;
	ATF_CHECK_EQ(0, release());
	ATF_CHECK(!rig.lun.scsi2);
	ATF_CHECK_EQ(0, put(1));
}

ATF_TC_WITHOUT_HEAD(a_reservation_that_is_not_released_ends_with_its_session);
ATF_TC_BODY(a_reservation_that_is_not_released_ends_with_its_session, tc)
{
	(void)tc;
	rig_run(2, fails_to_release);
}

static void
loses_a_reserved_write(void)
{
	ATF_REQUIRE_EQ(0, reserve());
	leave_a_write_behind();
	ATF_CHECK_EQ(-VMFS_EUNKNOWN, put_with(1, DISK_RESERVED));
}

ATF_TC_WITHOUT_HEAD(a_reserved_write_that_is_lost_is_not_taken_for_refused);
ATF_TC_BODY(a_reserved_write_that_is_lost_is_not_taken_for_refused, tc)
{
	(void)tc;
	rig_run(2, loses_a_reserved_write);
}

/* ---- a path that comes late and can do less ---- */

static int
swap(uint8_t from, uint8_t to)
{
	uint8_t old[BLOCK], new[BLOCK];

	memset(old, from, sizeof(old));
	memset(new, to, sizeof(new));
	return disk_caw(rig.d, 0, old, new, sizeof(new));
}

/* Of the second path. */
static void
state_is(const char *state)
{
	struct disk_path p[2];

	ATF_REQUIRE_EQ(2, disk_paths(rig.d, p, 2));
	ATF_CHECK_STREQ(state, p[1].state);
}

static void
comes_late(void)
{
	state_is("lost");
	ATF_CHECK_EQ(0, put(1));
	ATF_CHECK_EQ(0, swap(1, 2));
	rig.port[1].away = false;
	fiber_sleep(10 * NSEC_PER_SEC);
	state_is("can do less");
	ATF_CHECK_EQ(0, put(3));
	ATF_CHECK_EQ(0, swap(3, 4));
	/* It is looked at again. */
	rig.port[1].lacks = rig.port[1].gains = 0;
	fiber_sleep(40 * NSEC_PER_SEC);
	state_is("active");
	ATF_CHECK_EQ(0, swap(4, 5));
}

ATF_TC_WITHOUT_HEAD(a_path_that_comes_late_takes_nothing_away);
ATF_TC_BODY(a_path_that_comes_late_takes_nothing_away, tc)
{
	(void)tc;
	rig.port[1] = (struct port){ .away = true, .lacks = DISK_CAP_CAW };
	rig_run(2, comes_late);
}

ATF_TC_WITHOUT_HEAD(a_path_that_is_read_only_does_not_make_the_lun_so);
ATF_TC_BODY(a_path_that_is_read_only_does_not_make_the_lun_so, tc)
{
	(void)tc;
	rig.port[1] = (struct port){ .away = true,
		.gains = DISK_CAP_READONLY };
	rig_run(2, comes_late);
}

static void
can_do_less(void)
{
	ATF_CHECK_EQ(0, put(1));
	ATF_CHECK_EQ(-EOPNOTSUPP, swap(1, 2));
	state_is("active");
}

/* What all can do is what the LUN can do, when it is opened. */
ATF_TC_WITHOUT_HEAD(a_path_that_is_there_counts);
ATF_TC_BODY(a_path_that_is_there_counts, tc)
{
	(void)tc;
	rig.port[1].lacks = DISK_CAP_CAW;
	rig_run(2, can_do_less);
}

ATF_TP_ADD_TCS(tp)
{
	ATF_TP_ADD_TC(tp, a_path_that_comes_late_takes_nothing_away);
	ATF_TP_ADD_TC(tp, a_path_that_is_read_only_does_not_make_the_lun_so);
	ATF_TP_ADD_TC(tp, a_path_that_is_there_counts);
	ATF_TP_ADD_TC(tp, who_hears_that_time_is_up_may_submit_again);
	ATF_TP_ADD_TC(tp, a_reservation_is_over_with_its_leg);
	ATF_TP_ADD_TC(tp,
	    a_release_that_was_not_heard_goes_to_the_same_leg);
	ATF_TP_ADD_TC(tp, a_release_goes_to_the_leg_that_is_looked_at);
	ATF_TP_ADD_TC(tp, a_reservation_in_standby_ends_with_its_session);
	ATF_TP_ADD_TC(tp,
	    a_reservation_that_is_not_released_ends_with_its_session);
	ATF_TP_ADD_TC(tp,
	    a_reserved_write_that_is_lost_is_not_taken_for_refused);
	ATF_TP_ADD_TC(tp, a_fence_of_unknown_outcome_ends_with_a_reset);
	ATF_TP_ADD_TC(tp, optimized_legs_come_first_and_standby_ones_never);
	ATF_TP_ADD_TC(tp, a_leg_that_becomes_standby_is_left_without_an_error);
	ATF_TP_ADD_TC(tp, an_attention_about_access_is_heeded_and_not_told);
	ATF_TP_ADD_TC(tp,
	    an_attention_about_registrations_is_told_and_ends_the_write);
	ATF_TP_ADD_TC(tp, what_another_port_has_left_is_ended_by_a_reset);
	ATF_TP_ADD_TC(tp, without_a_reset_io_waits_for_the_lost_path);
	ATF_TP_ADD_TC(tp, a_read_left_in_a_lost_path_needs_no_reset);
	ATF_TP_ADD_TC(tp, that_the_lun_is_gone_is_told_when_only_a_look_says_so);
	ATF_TP_ADD_TC(tp, a_lun_gone_on_one_path_is_waited_for_on_the_other);
	return atf_no_error();
}
