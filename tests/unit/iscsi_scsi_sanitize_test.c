/* SPDX-License-Identifier: BSD-2-Clause */
/* SANITIZE: what is left, who is kept out, what survives whom. */
#include <atf-c.h>
#include <string.h>

#include "iscsi/scsi/sanitize.h"
#include "libvmfs/base/be.h"
#include "tests/unit/scsi_rig.h"

#define IN_PROGRESS 0x02041bU
#define FAILED 0x033103U
enum { IMMED = 0x80, AUSE = 0x20 };

static uint8_t buf[RIG_BLOCKS * RIG_BLOCK];

/* ---- the image ---- */

static uint8_t image[SANITIZE_IMAGE_MAX];
static size_t image_len;
static unsigned saves, save_fails_at;
static uint64_t *writes_at_save;

static int
save(void *arg, const void *p, size_t len)
{
	const struct rig *r = arg;

	if (++saves == save_fails_at)
		return -EIO;
	ATF_REQUIRE(len <= sizeof(image));
	memcpy(image, p, len);
	image_len = len;
	if (writes_at_save != NULL)
		*writes_at_save++ = r->disk.writes;
	return 0;
}

static unsigned
saved_state(void)
{
	return image[8];
}

static void
set_up(struct rig *r)
{
	r->conf.sanitize_save = save;
	r->conf.sanitize_save_arg = r;
	saves = save_fails_at = 0;
	memset(image, 0xff, sizeof(image));
}

/* ---- commands ---- */

static uint8_t list[4 + RIG_BLOCK];

/* A pattern of 3 bytes. */
static const uint8_t *
overwrite_cdb(uint8_t flags, uint8_t how)
{
	static uint8_t cdb[10];

	cdb[0] = 0x48;
	cdb[1] = flags | SANITIZE_OVERWRITE;
	cdb[8] = 7;
	list[0] = how;
	list[3] = 3;
	memcpy(list + 4, "abc", 3);
	return cdb;
}

static uint32_t
overwrite(struct rig *r, uint8_t flags, uint8_t how)
{
	return rig_cmd(r->nexus[0], overwrite_cdb(flags, how), 10, list, 7);
}

static uint32_t
sanitize(struct rig *r, uint8_t service)
{
	uint8_t cdb[10] = { 0x48, service };

	return rig_cmd(r->nexus[0], cdb, 10, NULL, 0);
}

/* Until the unit lets commands in again. */
static uint32_t
ready(struct scsi_nexus *n)
{
	uint32_t result;

	do {
		fiber_yield();
		result = rig_tur(n);
	} while (result == IN_PROGRESS);
	return result;
}

static void
check_pattern(struct disk *d, uint8_t invert)
{
	ATF_REQUIRE_EQ(0, disk_read(d, 0, buf, sizeof(buf)));
	for (size_t i = 0; i < sizeof(buf); i++)
		ATF_REQUIRE_EQ(("abc"[i % RIG_BLOCK % 3] ^ invert) & 0xff,
		    buf[i]);
}

/* ---- tests ---- */

static void
every_block_has_the_pattern(struct rig *r)
{
	ATF_REQUIRE_EQ(RIG_GOOD, overwrite(r, 0, 1));
	check_pattern(r->disk.below, 0);
	ATF_REQUIRE_EQ(RIG_GOOD, overwrite(r, 0, 0x80 | 4));
	check_pattern(r->disk.below, 0xff);
	ATF_CHECK_EQ(SANITIZE_NONE, saved_state());
	ATF_CHECK_EQ(RIG_GOOD, rig_read(r->nexus[1], 0, 1, buf));
}

/* "Running" before the first write, "none" after the last. */
static void
image_is_written_before_and_after(struct rig *r)
{
	uint64_t writes[2];

	writes_at_save = writes;
	ATF_REQUIRE_EQ(RIG_GOOD, overwrite(r, 0, 1));
	writes_at_save = NULL;
	ATF_CHECK_EQ(2, saves);
	ATF_CHECK_EQ(0, writes[0]);
	ATF_CHECK_EQ(r->disk.writes, writes[1]);
}

static void
bad_parameters_are_refused(struct rig *r)
{
	uint8_t cdb[10];

	memcpy(cdb, overwrite_cdb(0, 1), 10);
	for (unsigned i = 2; i < 7; i++) {
		cdb[i] = 1;
		ATF_CHECK_EQ(0x052400, rig_cmd(r->nexus[0], cdb, 10, list, 7));
		cdb[i] = 0;
	}
	cdb[8] = 4;
	ATF_CHECK_EQ(0x052400, rig_cmd(r->nexus[0], cdb, 10, list, 4));
	cdb[8] = 8;
	ATF_CHECK_EQ(0x052600, rig_cmd(r->nexus[0], cdb, 10, list, 8));
	ATF_CHECK_EQ(0x052600, overwrite(r, 0, 0));
	ATF_CHECK_EQ(0x052600, overwrite(r, 0, 0x21));
	ATF_CHECK_EQ(0x052400, overwrite(r, 0x40, 1));
	ATF_CHECK_EQ(0x052400, sanitize(r, 0x0f));
	ATF_CHECK_EQ(0, r->disk.writes);
	ATF_CHECK_EQ(0, saves);
}

static void
others_are_refused_meanwhile(struct rig *r)
{
	static const uint8_t sense[6] = { 0x03, 0, 0, 0, 96 };
	static const uint8_t inquiry[6] = { 0x12, 0, 0, 0, 96 };
	static const uint8_t luns[12] = { 0xa0, [9] = 64 };
	struct rig_task t;
	unsigned percent;
	size_t len;

	r->disk.disk.info.max_transfer = 64 * 1024;
	r->disk.hold = true;
	ATF_REQUIRE_EQ(RIG_GOOD, overwrite(r, IMMED, 1));
	rig_settle();
	rig_disk_let_go_one(r, 0);
	rig_settle();
	rig_disk_let_go_one(r, 0);
	rig_settle();
	ATF_CHECK_EQ(IN_PROGRESS, rig_tur(r->nexus[1]));
	ATF_CHECK_EQ(IN_PROGRESS, rig_read(r->nexus[0], 0, 1, buf));
	ATF_CHECK_EQ(IN_PROGRESS, rig_write(r->nexus[1], 0, 1, buf));
	ATF_CHECK_EQ(IN_PROGRESS, sanitize(r, SANITIZE_BLOCK_ERASE));
	ATF_CHECK_EQ(RIG_GOOD, rig_cmd_in(r->nexus[1], inquiry, 6, buf, 96,
	    &len));
	ATF_CHECK_EQ(RIG_GOOD, rig_cmd_in(r->nexus[1], luns, 12, buf, 64,
	    &len));
	ATF_REQUIRE_EQ(RIG_GOOD, rig_cmd_in(r->nexus[1], sense, 6, buf, 96,
	    &len));
	ATF_CHECK_EQ(0x02, buf[2]);
	ATF_CHECK_EQ(0x041b, be16_load(buf + 12));
	/* The second of 16 writes is done. */
	ATF_CHECK_EQ(0x80, buf[15]);
	ATF_CHECK_EQ(65535 / 16, be16_load(buf + 16));
	rig_start(&t, r->nexus[2], rig_cdb16(0x88, 0, 1), 16, NULL, 0);
	rig_wait(&t);
	ATF_CHECK_EQ(65535 / 16, be16_load(t.task.sense + 16));
	rig_fini(&t);
	ATF_CHECK_STREQ("running", scsi_lu_sanitize(r->lu, &percent));
	ATF_CHECK_EQ(100 / 16, percent);
	rig_disk_let_go(r);
	ATF_CHECK_EQ(RIG_GOOD, ready(r->nexus[1]));
	check_pattern(r->disk.below, 0);
}

/* A write in flight: it ends, then the first block changes. */
static void
commands_in_flight_end_first(struct rig *r)
{
	struct rig_task write, erase;

	r->disk.hold = true;
	rig_start(&write, r->nexus[1], rig_cdb16(0x8a, 0, 1), 16, buf,
	    RIG_BLOCK);
	rig_settle();
	rig_start(&erase, r->nexus[0], overwrite_cdb(0, 1), 10, list, 7);
	rig_settle();
	ATF_CHECK_EQ(1, r->disk.held_count);
	ATF_CHECK_EQ(IN_PROGRESS, rig_tur(r->nexus[2]));
	ATF_CHECK_EQ(0, saves);
	rig_disk_let_go(r);
	rig_wait(&write);
	ATF_CHECK_EQ(SCSI_TASK_ABORTED, rig_result(&write));
	rig_wait(&erase);
	ATF_CHECK_EQ(RIG_GOOD, rig_result(&erase));
	rig_fini(&write);
	rig_fini(&erase);
	check_pattern(r->disk.below, 0);
}

static void
operation_outlives_its_command(struct rig *r)
{
	struct rig_task t;

	r->disk.hold = true;
	rig_start(&t, r->nexus[0], overwrite_cdb(0, 1), 10, list, 7);
	rig_settle();
	ATF_CHECK_EQ(SCSI_TMF_COMPLETE, scsi_tmf(r->nexus[0],
	    SCSI_TMF_ABORT_TASK, rig_lun0, t.task.tag));
	rig_wait(&t);
	rig_fini(&t);
	ATF_CHECK_EQ(SCSI_TMF_COMPLETE, scsi_tmf(r->nexus[1],
	    SCSI_TMF_LOGICAL_UNIT_RESET, rig_lun0, 0));
	ATF_CHECK_EQ(0x062903, rig_tur(r->nexus[2]));
	ATF_CHECK_EQ(IN_PROGRESS, rig_tur(r->nexus[2]));
	rig_disk_let_go(r);
	ATF_CHECK_EQ(RIG_GOOD, ready(r->nexus[2]));
	check_pattern(r->disk.below, 0);
}

static void
failure_closes_until_the_next_success(struct rig *r)
{
	r->disk.error = -EIO;
	ATF_CHECK_EQ(FAILED, overwrite(r, 0, 1));
	r->disk.error = 0;
	ATF_CHECK_EQ(SANITIZE_FAILED, saved_state());
	ATF_CHECK_EQ(FAILED, rig_read(r->nexus[1], 0, 1, buf));
	ATF_CHECK_EQ(0x052400, sanitize(r, SANITIZE_EXIT_FAILURE_MODE));
	ATF_CHECK_EQ(0x052400, overwrite(r, AUSE, 1));
	ATF_CHECK_EQ(FAILED, rig_tur(r->nexus[1]));
	ATF_CHECK_EQ(RIG_GOOD, sanitize(r, SANITIZE_BLOCK_ERASE));
	ATF_CHECK_EQ(RIG_GOOD, rig_read(r->nexus[1], 0, 1, buf));
	ATF_CHECK_EQ(SANITIZE_NONE, saved_state());
}

/* A few unit attentions of the disk below, as after its restart. */
static void
set_attentions(struct rig *r)
{
	struct disk_fault *f;

	set_up(r);
	ATF_REQUIRE_EQ(0, disk_fault_open(r->disk.below, &f));
	f->op = DISK_WRITE;
	f->error = -VMFS_EATTENTION;
	f->repeat = 3;
	r->disk.below = &f->disk;
}

static void
attentions_of_the_disk_are_no_failure(struct rig *r)
{
	ATF_REQUIRE_EQ(RIG_GOOD, overwrite(r, 0, 1));
	check_pattern(r->disk.below, 0);
}

static void
failure_with_ause_can_be_left(struct rig *r)
{
	r->disk.error = -EIO;
	ATF_CHECK_EQ(FAILED, overwrite(r, AUSE, 1));
	r->disk.error = 0;
	ATF_CHECK_EQ(FAILED, rig_tur(r->nexus[1]));
	save_fails_at = saves + 1;
	ATF_CHECK_EQ(0x044400, sanitize(r, SANITIZE_EXIT_FAILURE_MODE));
	ATF_CHECK_EQ(FAILED, rig_tur(r->nexus[1]));
	ATF_CHECK_EQ(RIG_GOOD, sanitize(r, SANITIZE_EXIT_FAILURE_MODE));
	ATF_CHECK_EQ(RIG_GOOD, rig_tur(r->nexus[1]));
	ATF_CHECK_EQ(SANITIZE_NONE, saved_state());
	ATF_CHECK_EQ(RIG_GOOD, sanitize(r, SANITIZE_EXIT_FAILURE_MODE));
}

/* Not obeyed, now or after a restart. */
static void
what_cannot_be_saved_is_not_begun(struct rig *r)
{
	save_fails_at = 1;
	ATF_CHECK_EQ(0x044400, overwrite(r, 0, 1));
	ATF_CHECK_EQ(0, r->disk.writes);
	ATF_CHECK_EQ(RIG_GOOD, rig_tur(r->nexus[1]));
	ATF_CHECK_EQ(SANITIZE_NONE, saved_state());
}

/* The next start would erase what is written from now on. */
static void
end_that_cannot_be_saved_keeps_it_closed(struct rig *r)
{
	save_fails_at = 2;
	ATF_CHECK_EQ(FAILED, overwrite(r, 0, 1));
	ATF_CHECK_EQ(FAILED, rig_write(r->nexus[1], 0, 1, buf));
	ATF_CHECK_EQ(SANITIZE_RUNNING, saved_state());
	ATF_CHECK_EQ(RIG_GOOD, overwrite(r, 0, 1));
	ATF_CHECK_EQ(RIG_GOOD, rig_write(r->nexus[1], 0, 1, buf));
}

static struct {
	unsigned zeroed;	/* bytes written */
	unsigned order;		/* of the last write over deallocation */
} erased;

static void
erase_seen(const struct disk_req *req)
{
	if (req->op == DISK_WRITE) {
		erased.zeroed += (unsigned)req->length;
		erased.order *= 2;
	}
	if (req->op == DISK_WRITE_ZEROES && (req->flags & DISK_MAY_UNMAP))
		erased.order++;
}

/* Allocated bytes are written over before their space is given back. */
static void
block_erase_writes_over_and_deallocates(struct rig *r)
{
	struct disk_extent e[1];
	struct disk_map map = { .extents = e, .max = 1 };

	memset(buf, 'x', RIG_BLOCK);
	ATF_REQUIRE_EQ(RIG_GOOD, rig_write(r->nexus[0], 1000, 1, buf));
	r->disk.on_forward = erase_seen;
	memset(&erased, 0, sizeof(erased));
	ATF_REQUIRE_EQ(RIG_GOOD, sanitize(r, SANITIZE_BLOCK_ERASE));
	r->disk.on_forward = NULL;
	ATF_CHECK_EQ(4096, erased.zeroed);
	ATF_CHECK_EQ(1, erased.order);
	ATF_REQUIRE_EQ(0, disk_map(r->disk.below, 0, sizeof(buf), &map));
	ATF_CHECK(!e[0].allocated && e[0].length == sizeof(buf));
}

static void
protection_and_reservations_hold(struct rig *r)
{
	static const uint8_t reserve[6] = { 0x16 }, release[6] = { 0x17 };
	static const uint8_t select[6] = { 0x15, 0x10, 0, 0, 16 };
	uint8_t page[16] = { 0, 0, 0, 0, 0x0a, 0x0a, 0, 0x10, 0x08, 0x40 };

	ATF_REQUIRE_EQ(RIG_GOOD, rig_cmd(r->nexus[1], reserve, 6, NULL, 0));
	ATF_CHECK_EQ(RIG_CONFLICT, overwrite(r, 0, 1));
	ATF_REQUIRE_EQ(RIG_GOOD, rig_cmd(r->nexus[1], release, 6, NULL, 0));
	ATF_REQUIRE_EQ(RIG_GOOD, rig_cmd(r->nexus[0], select, 6, page, 16));
	ATF_CHECK_EQ(0x072702, overwrite(r, 0, 1));
	ATF_CHECK_EQ(0x072702, sanitize(r, SANITIZE_BLOCK_ERASE));
	ATF_CHECK_EQ(0, saves);
}

static void
set_thick(struct rig *r)
{
	set_up(r);
	r->conf.thin = false;
}

static void
thick_units_have_no_block_erase(struct rig *r)
{
	ATF_CHECK_EQ(0x052400, sanitize(r, SANITIZE_BLOCK_ERASE));
	ATF_CHECK_EQ(RIG_GOOD, overwrite(r, 0, 1));
}

static void
without_an_image_there_is_none(struct rig *r)
{
	ATF_CHECK_EQ(0x052000, overwrite(r, 0, 1));
}

/* ---- a unit that is made anew ---- */

struct second {
	struct scsi_lu *lu;
	struct scsi_target *target;
	struct scsi_nexus *nexus;
};

static int
second_new(struct rig *r, struct second *s, bool readonly)
{
	struct scsi_lu_conf conf = {
		.uuid = r->conf.uuid, .thin = true, .readonly = readonly,
		.sanitize_save = save, .sanitize_save_arg = r,
		.sanitize_image = image, .sanitize_image_len = image_len,
	};
	int rc = scsi_lu_new(&r->env, r->disk.below, &conf, &s->lu);

	if (rc != 0)
		return rc;
	ATF_REQUIRE_EQ(0, scsi_target_new(&r->env, RIG_IQN "2", &s->target));
	ATF_REQUIRE_EQ(0, scsi_target_map(s->target, 0, s->lu));
	ATF_REQUIRE_EQ(0, scsi_nexus_open(s->target, "iqn.x:n", "iqn.x:n,i,1",
	    &s->nexus));
	ATF_REQUIRE_EQ(0x062900, rig_tur(s->nexus));
	return 0;
}

static void
second_free(struct second *s)
{
	scsi_nexus_close(s->nexus);
	scsi_target_free(s->target);
	scsi_lu_free(s->lu);
}

/* The first one is stuck in its second write: as good as killed. */
static void
operation_goes_on_in_a_new_unit(struct rig *r)
{
	struct second s;

	r->disk.disk.info.max_transfer = 64 * 1024;
	r->disk.hold = true;
	ATF_REQUIRE_EQ(RIG_GOOD, overwrite(r, IMMED, 1));
	rig_settle();
	rig_disk_let_go_one(r, 0);
	rig_settle();
	ATF_REQUIRE_EQ(SANITIZE_RUNNING, saved_state());
	ATF_REQUIRE_EQ(0, second_new(r, &s, false));
	ATF_CHECK_EQ(RIG_GOOD, ready(s.nexus));
	check_pattern(r->disk.below, 0);
	ATF_CHECK_EQ(SANITIZE_NONE, saved_state());
	second_free(&s);
	rig_disk_let_go(r);
	ATF_CHECK_EQ(RIG_GOOD, ready(r->nexus[0]));
}

static void
failure_stays_in_a_new_unit(struct rig *r)
{
	struct second s;

	r->disk.error = -EIO;
	ATF_REQUIRE_EQ(FAILED, overwrite(r, 0, 1));
	r->disk.error = 0;
	ATF_REQUIRE_EQ(0, second_new(r, &s, false));
	ATF_CHECK_EQ(FAILED, rig_read(s.nexus, 0, 1, buf));
	second_free(&s);
}

static void
read_only_unit_stays_closed(struct rig *r)
{
	struct second s;

	save_fails_at = 2;
	ATF_REQUIRE_EQ(FAILED, overwrite(r, 0, 1));
	ATF_REQUIRE_EQ(SANITIZE_RUNNING, saved_state());
	ATF_REQUIRE_EQ(0, second_new(r, &s, true));
	ATF_CHECK_EQ(FAILED, rig_read(s.nexus, 0, 1, buf));
	second_free(&s);
}

/* What is freed in the middle is still "running" in the image. */
static void
unit_that_goes_away_stops_it(struct rig *r)
{
	const struct sanitize_job job = {
		.service = SANITIZE_OVERWRITE, .passes = 31,
		.pattern_len = 1, .pattern = "x",
	};
	struct second s;

	image_len = sanitize_image_encode(SANITIZE_RUNNING, &job, image);
	ATF_REQUIRE_EQ(0, second_new(r, &s, false));
	ATF_CHECK_EQ(IN_PROGRESS, rig_tur(s.nexus));
	second_free(&s);
	ATF_CHECK_EQ(SANITIZE_RUNNING, saved_state());
	ATF_CHECK(image[12] < 31);
}

static void
damaged_image_is_refused(struct rig *r)
{
	struct second s;

	ATF_REQUIRE_EQ(RIG_GOOD, overwrite(r, 0, 1));
	for (size_t i = 0; i < image_len; i++) {
		image[i] ^= 1;
		ATF_CHECK_EQ(-VMFS_ECORRUPT, second_new(r, &s, false));
		image[i] ^= 1;
	}
	image_len--;
	ATF_CHECK_EQ(-VMFS_ECORRUPT, second_new(r, &s, false));
}

RIG_TEST(pattern, set_up, every_block_has_the_pattern,
    "OVERWRITE fills every block with the pattern")
RIG_TEST(order, set_up, image_is_written_before_and_after,
    "the image is written before the first block and after the last")
RIG_TEST(parameters, set_up, bad_parameters_are_refused,
    "bad parameters are refused")
RIG_TEST(meanwhile, set_up, others_are_refused_meanwhile,
    "other commands are refused meanwhile and hear of the progress")
RIG_TEST(in_flight, set_up, commands_in_flight_end_first,
    "commands in flight end first")
RIG_TEST(outlives, set_up, operation_outlives_its_command,
    "the operation outlives aborts and resets")
RIG_TEST(failure, set_up, failure_closes_until_the_next_success,
    "a failure closes the unit until the next success")
RIG_TEST(attentions, set_attentions, attentions_of_the_disk_are_no_failure,
    "unit attentions of the disk are no failure")
RIG_TEST(ause, set_up, failure_with_ause_can_be_left,
    "a failure with AUSE can be left")
RIG_TEST(not_begun, set_up, what_cannot_be_saved_is_not_begun,
    "what cannot be saved is not begun")
RIG_TEST(not_ended, set_up, end_that_cannot_be_saved_keeps_it_closed,
    "an end that cannot be saved keeps the unit closed")
RIG_TEST(block_erase, set_up, block_erase_writes_over_and_deallocates,
    "BLOCK ERASE writes over what is allocated, then gives it back")
RIG_TEST(allowed, set_up, protection_and_reservations_hold,
    "write protection and reservations hold")
RIG_TEST(thick, set_thick, thick_units_have_no_block_erase,
    "a thick unit has no BLOCK ERASE")
RIG_TEST(none, NULL, without_an_image_there_is_none,
    "a unit that cannot keep an image has no SANITIZE")
RIG_TEST(restart, set_up, operation_goes_on_in_a_new_unit,
    "the operation goes on after a restart")
RIG_TEST(restart_failed, set_up, failure_stays_in_a_new_unit,
    "a failure outlives a restart")
RIG_TEST(restart_readonly, set_up, read_only_unit_stays_closed,
    "what cannot be finished stays closed")
RIG_TEST(stops, set_up, unit_that_goes_away_stops_it,
    "a unit that goes away stops the operation")
RIG_TEST(damaged, set_up, damaged_image_is_refused,
    "a damaged image is refused")

ATF_TP_ADD_TCS(tp)
{
	ATF_TP_ADD_TC(tp, pattern);
	ATF_TP_ADD_TC(tp, order);
	ATF_TP_ADD_TC(tp, parameters);
	ATF_TP_ADD_TC(tp, meanwhile);
	ATF_TP_ADD_TC(tp, in_flight);
	ATF_TP_ADD_TC(tp, outlives);
	ATF_TP_ADD_TC(tp, failure);
	ATF_TP_ADD_TC(tp, attentions);
	ATF_TP_ADD_TC(tp, ause);
	ATF_TP_ADD_TC(tp, not_begun);
	ATF_TP_ADD_TC(tp, not_ended);
	ATF_TP_ADD_TC(tp, block_erase);
	ATF_TP_ADD_TC(tp, allowed);
	ATF_TP_ADD_TC(tp, thick);
	ATF_TP_ADD_TC(tp, none);
	ATF_TP_ADD_TC(tp, restart);
	ATF_TP_ADD_TC(tp, restart_failed);
	ATF_TP_ADD_TC(tp, restart_readonly);
	ATF_TP_ADD_TC(tp, stops);
	ATF_TP_ADD_TC(tp, damaged);
	return atf_no_error();
}
