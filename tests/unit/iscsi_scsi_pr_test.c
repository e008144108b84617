/* SPDX-License-Identifier: BSD-2-Clause */
/* Reservations, old and persistent, of the SCSI device server. */
#include <atf-c.h>
#include <string.h>

#include "libvmfs/base/be.h"
#include "tests/unit/scsi_rig.h"

enum {
	REGISTER, RESERVE, RELEASE, CLEAR, PREEMPT, PREEMPT_AND_ABORT,
	REGISTER_AND_IGNORE,
};
enum { WE = 1, EA = 3, WERO = 5, EARO = 6, WEAR = 7, EAAR = 8 };

static uint8_t block[RIG_BLOCK];

static uint32_t
write_one(struct scsi_nexus *n)
{
	return rig_write(n, 1, 1, block);
}

static uint32_t
read_one(struct scsi_nexus *n)
{
	uint8_t buf[RIG_BLOCK];

	return rig_read(n, 1, 1, buf);
}

/* MODE SENSE(6), or (10), of all pages. */
static uint32_t
modes(struct scsi_nexus *n, uint8_t opcode)
{
	uint8_t cdb[10] = { opcode, 0, 0x3f, 0, 255, [8] = 255 };
	uint8_t buf[255];
	size_t len;

	return rig_cmd_in(n, cdb, opcode == 0x1a ? 6 : 10, buf, sizeof(buf),
	    &len);
}

/* Hosts 0 and 1 register keys 0xa and 0xb, host 0 reserves. */
static void
reserve(struct rig *r, uint8_t type)
{
	ATF_REQUIRE_EQ(RIG_GOOD,
	    rig_pr_out(r->nexus[0], REGISTER, 0, 0, 0xa));
	ATF_REQUIRE_EQ(RIG_GOOD,
	    rig_pr_out(r->nexus[1], REGISTER, 0, 0, 0xb));
	ATF_REQUIRE_EQ(RIG_GOOD,
	    rig_pr_out(r->nexus[0], RESERVE, type, 0xa, 0));
}

static size_t
pr_in(struct scsi_nexus *n, uint8_t action, uint8_t *buf, size_t size)
{
	uint8_t cdb[10] = { 0x5e, action };
	size_t len;

	be16_store(cdb + 7, (uint16_t)size);
	ATF_REQUIRE_EQ(RIG_GOOD, rig_cmd_in(n, cdb, 10, buf, size, &len));
	return len;
}

static unsigned
key_count(struct rig *r)
{
	uint8_t buf[256];

	pr_in(r->nexus[2], 0, buf, sizeof(buf));
	return be32_load(buf + 4) / 8;
}

/* ---- who may do what ---- */

static void
types_keep_out_whom_they_should(struct rig *r)
{
	static const struct {
		uint8_t type;
		uint32_t write_reg, read_reg, write_other, read_other;
	} want[] = {
		{ WE, RIG_CONFLICT, 0, RIG_CONFLICT, 0 },
		{ EA, RIG_CONFLICT, RIG_CONFLICT, RIG_CONFLICT, RIG_CONFLICT },
		{ WERO, 0, 0, RIG_CONFLICT, 0 },
		{ EARO, 0, 0, RIG_CONFLICT, RIG_CONFLICT },
		{ WEAR, 0, 0, RIG_CONFLICT, 0 },
		{ EAAR, 0, 0, RIG_CONFLICT, RIG_CONFLICT },
	};

	for (size_t i = 0; i < sizeof(want) / sizeof(want[0]); i++) {
		reserve(r, want[i].type);
		ATF_CHECK_EQ(RIG_GOOD, write_one(r->nexus[0]));
		ATF_CHECK_EQ(RIG_GOOD, read_one(r->nexus[0]));
		ATF_CHECK_EQ(want[i].write_reg, write_one(r->nexus[1]));
		ATF_CHECK_EQ(want[i].read_reg, read_one(r->nexus[1]));
		ATF_CHECK_EQ(want[i].write_other, write_one(r->nexus[2]));
		ATF_CHECK_EQ(want[i].read_other, read_one(r->nexus[2]));
		/* SPC-4 table 45: as to read. */
		ATF_CHECK_EQ(want[i].read_reg, modes(r->nexus[1], 0x1a));
		ATF_CHECK_EQ(want[i].read_other, modes(r->nexus[2], 0x1a));
		ATF_CHECK_EQ(want[i].read_other, modes(r->nexus[2], 0x5a));
		ATF_CHECK_EQ(RIG_GOOD, rig_tur(r->nexus[2]));
		ATF_REQUIRE_EQ(RIG_GOOD,
		    rig_pr_out(r->nexus[0], CLEAR, 0, 0xa, 0));
		ATF_CHECK_EQ(0x062a03, rig_tur(r->nexus[1]));
	}
}

static uint32_t
medium(struct scsi_nexus *n, uint8_t opcode, uint8_t how)
{
	uint8_t cdb[6] = { opcode, 0, 0, 0, how };

	return rig_cmd(n, cdb, 6, NULL, 0);
}

static void
set_removable(struct rig *r)
{
	r->conf.removable = true;
}

/* To load the medium, or to let go of it, takes nothing from the holder. */
static void
medium_is_the_holders(struct rig *r)
{
	struct scsi_nexus *other = r->nexus[2];

	reserve(r, WE);
	ATF_CHECK_EQ(RIG_CONFLICT, medium(other, 0x1b, 0x02));
	ATF_CHECK_EQ(RIG_CONFLICT, medium(other, 0x1b, 0x00));
	ATF_CHECK_EQ(RIG_CONFLICT, medium(other, 0x1b, 0x31));
	ATF_CHECK_EQ(RIG_CONFLICT, medium(other, 0x1e, 0x01));
	ATF_CHECK_EQ(RIG_GOOD, medium(other, 0x1b, 0x01));
	ATF_CHECK_EQ(RIG_GOOD, medium(other, 0x1b, 0x03));
	ATF_CHECK_EQ(RIG_GOOD, medium(other, 0x1e, 0x00));
	ATF_CHECK_EQ(RIG_GOOD, medium(r->nexus[0], 0x1e, 0x01));
	ATF_CHECK_EQ(0x055302, medium(r->nexus[0], 0x1b, 0x02));
}

static void
wrong_keys_conflict(struct rig *r)
{
	reserve(r, WE);
	ATF_CHECK_EQ(RIG_CONFLICT,
	    rig_pr_out(r->nexus[0], REGISTER, 0, 0x9, 1));
	ATF_CHECK_EQ(RIG_CONFLICT,
	    rig_pr_out(r->nexus[0], RELEASE, WE, 0x9, 0));
	ATF_CHECK_EQ(RIG_CONFLICT, rig_pr_out(r->nexus[2], RESERVE, WE, 0, 0));
	ATF_CHECK_EQ(RIG_CONFLICT,
	    rig_pr_out(r->nexus[1], RESERVE, WE, 0xb, 0));
	ATF_CHECK_EQ(0x052604, rig_pr_out(r->nexus[0], RELEASE, EA, 0xa, 0));
	ATF_CHECK_EQ(RIG_GOOD,
	    rig_pr_out(r->nexus[1], REGISTER_AND_IGNORE, 0, 0x77, 0xc));
}

/* ---- unit attentions ---- */

static void
release_tells_other_registrants_only(struct rig *r)
{
	reserve(r, WERO);
	ATF_REQUIRE_EQ(RIG_GOOD,
	    rig_pr_out(r->nexus[0], RELEASE, WERO, 0xa, 0));
	ATF_CHECK_EQ(RIG_GOOD, rig_tur(r->nexus[0]));
	ATF_CHECK_EQ(0x062a04, rig_tur(r->nexus[1]));
	ATF_CHECK_EQ(RIG_GOOD, rig_tur(r->nexus[1]));
	ATF_CHECK_EQ(RIG_GOOD, rig_tur(r->nexus[2]));
}

static void
holder_unregistering_releases(struct rig *r)
{
	uint8_t buf[64];

	reserve(r, EARO);
	ATF_REQUIRE_EQ(RIG_GOOD, rig_pr_out(r->nexus[0], REGISTER, 0, 0xa, 0));
	ATF_CHECK_EQ(RIG_GOOD, rig_tur(r->nexus[0]));
	ATF_CHECK_EQ(0x062a04, rig_tur(r->nexus[1]));
	ATF_CHECK_EQ(8, pr_in(r->nexus[0], 1, buf, sizeof(buf)));
}

static void
all_registrants_reservation_ends_with_the_last(struct rig *r)
{
	uint8_t buf[64];

	reserve(r, WEAR);
	ATF_REQUIRE_EQ(RIG_GOOD, rig_pr_out(r->nexus[0], REGISTER, 0, 0xa, 0));
	ATF_CHECK_EQ(RIG_CONFLICT, write_one(r->nexus[0]));
	ATF_CHECK_EQ(RIG_GOOD, write_one(r->nexus[1]));
	ATF_CHECK_EQ(24, pr_in(r->nexus[0], 1, buf, sizeof(buf)));
	ATF_CHECK_EQ(0, be64_load(buf + 8));
	ATF_REQUIRE_EQ(RIG_GOOD, rig_pr_out(r->nexus[1], REGISTER, 0, 0xb, 0));
	ATF_CHECK_EQ(RIG_GOOD, write_one(r->nexus[0]));
}

/* ---- preempting ---- */

static void
preempt_takes_the_reservation(struct rig *r)
{
	uint8_t buf[64];

	reserve(r, WE);
	ATF_REQUIRE_EQ(RIG_GOOD,
	    rig_pr_out(r->nexus[1], PREEMPT, EARO, 0xb, 0xa));
	ATF_CHECK_EQ(0x062a05, rig_tur(r->nexus[0]));
	ATF_CHECK_EQ(RIG_CONFLICT, write_one(r->nexus[0]));
	ATF_CHECK_EQ(RIG_GOOD, write_one(r->nexus[1]));
	ATF_CHECK_EQ(24, pr_in(r->nexus[1], 1, buf, sizeof(buf)));
	ATF_CHECK_EQ(0xb, be64_load(buf + 8));
	ATF_CHECK_EQ(EARO, buf[21]);
	ATF_CHECK_EQ(1, key_count(r));
}

static void
preempt_of_an_unknown_key_conflicts(struct rig *r)
{
	reserve(r, WE);
	ATF_CHECK_EQ(RIG_CONFLICT,
	    rig_pr_out(r->nexus[1], PREEMPT, WE, 0xb, 0x99));
	ATF_CHECK_EQ(0x052600, rig_pr_out(r->nexus[1], PREEMPT, WE, 0xb, 0));
	ATF_CHECK_EQ(2, key_count(r));
}

static void
preempt_and_abort_waits_for_writes_in_flight(struct rig *r)
{
	struct rig_task w, p;

	reserve(r, WERO);
	r->disk.hold = true;
	rig_start(&w, r->nexus[0], rig_cdb16(0x8a, 9, 1), 16, block, RIG_BLOCK);
	rig_pr_out_start(&p, r->nexus[1], PREEMPT_AND_ABORT, WERO, 0xb, 0xa);
	rig_settle();
	ATF_CHECK(!w.done);
	ATF_CHECK(!p.done);
	rig_disk_let_go(r);
	rig_wait(&p);
	ATF_CHECK_EQ(RIG_GOOD, rig_result(&p));
	ATF_CHECK(w.done);
	ATF_CHECK_EQ(SCSI_TASK_ABORTED, rig_result(&w));
	ATF_CHECK(!w.task.aborted);
	rig_fini(&w);
	rig_fini(&p);
	ATF_CHECK_EQ(0x062a05, rig_tur(r->nexus[0]));
	ATF_CHECK_EQ(RIG_CONFLICT, write_one(r->nexus[0]));
}

static void
abort_main(void *arg)
{
	(void)scsi_tmf(arg, SCSI_TMF_ABORT_TASK_SET, rig_lun0, 0);
}

/*
 * Whoever finds the key gone, or conflicts with who was faster, takes it for
 * proof that nothing of the victim can land; even when the fencer itself has
 * gone meanwhile.
 */
static void
a_key_is_gone_when_its_writes_are(struct rig *r)
{
	struct rig_task w, p, keys, other;
	uint8_t cdb[16] = { 0x5e, [8] = 64 };

	reserve(r, WERO);
	r->disk.hold = true;
	rig_start(&w, r->nexus[0], rig_cdb16(0x8a, 9, 1), 16, block, RIG_BLOCK);
	rig_pr_out_start(&p, r->nexus[1], PREEMPT_AND_ABORT, WERO, 0xb, 0xa);
	rig_settle();
	rig_start(&keys, r->nexus[2], cdb, 10, NULL, 0);
	rig_pr_out_start(&other, r->nexus[2], REGISTER, WERO, 0, 0xc);
	rig_settle();
	ATF_CHECK(!keys.done);
	ATF_CHECK(!other.done);
	ATF_REQUIRE_EQ(0, sched_spawn(sched_current(), "abort", abort_main,
	    r->nexus[1]));
	rig_settle();
	ATF_CHECK(!keys.done);
	ATF_CHECK(!other.done);
	rig_disk_let_go(r);
	rig_wait(&keys);
	rig_wait(&other);
	rig_wait(&p);
	ATF_CHECK(w.done);
	ATF_CHECK_EQ(RIG_GOOD, rig_result(&keys));
	ATF_CHECK_EQ(8, be32_load((uint8_t *)keys.task.data_in + 4));
	ATF_CHECK_EQ(RIG_GOOD, rig_result(&other));
	rig_fini(&w);
	rig_fini(&p);
	rig_fini(&keys);
	rig_fini(&other);
}

/* A write that waits for a CAW of its blocks has not begun: it never does. */
static void
preempt_and_abort_kills_what_has_not_begun(struct rig *r)
{
	static uint8_t pair[2 * RIG_BLOCK];
	struct rig_task c, w, p;
	uint8_t cdb[16];

	reserve(r, WERO);
	r->disk.hold = true;
	memcpy(cdb, rig_cdb16(0x89, 9, 0), 16);
	cdb[13] = 1;
	rig_start(&c, r->nexus[1], cdb, 16, pair, sizeof(pair));
	rig_settle();
	rig_start(&w, r->nexus[0], rig_cdb16(0x8a, 9, 1), 16, block, RIG_BLOCK);
	rig_settle();
	ATF_REQUIRE_EQ(1, r->disk.held_count);
	rig_pr_out_start(&p, r->nexus[1], PREEMPT_AND_ABORT, WERO, 0xb, 0xa);
	rig_wait(&p);
	ATF_CHECK(w.done);
	ATF_CHECK_EQ(SCSI_TASK_ABORTED, rig_result(&w));
	rig_disk_let_go(r);
	rig_wait(&c);
	rig_settle();
	ATF_CHECK_EQ(1, r->disk.writes);
	rig_fini(&c);
	rig_fini(&w);
	rig_fini(&p);
}

/* ---- life ---- */

static void
registration_survives_the_session(struct rig *r)
{
	struct scsi_nexus *n;

	reserve(r, WE);
	scsi_nexus_close(r->nexus[0]);
	ATF_CHECK_EQ(RIG_CONFLICT, write_one(r->nexus[1]));
	ATF_REQUIRE_EQ(0, scsi_nexus_open(r->target,
	    "iqn.2026-01.org.example:host0",
	    "iqn.2026-01.org.example:host0,i,0x00023d000000", &n));
	r->nexus[0] = n;
	ATF_CHECK_EQ(0x062900, rig_tur(n));
	ATF_CHECK_EQ(RIG_GOOD, write_one(n));
}

static void
registration_survives_a_reset(struct rig *r)
{
	reserve(r, WE);
	ATF_REQUIRE_EQ(SCSI_TMF_COMPLETE, scsi_tmf(r->nexus[1],
	    SCSI_TMF_LOGICAL_UNIT_RESET, rig_lun0, 0));
	ATF_CHECK_EQ(0x062903, rig_tur(r->nexus[1]));
	ATF_CHECK_EQ(RIG_CONFLICT, write_one(r->nexus[1]));
}

static void
full_status_names_ports(struct rig *r)
{
	uint8_t buf[512];
	size_t len;

	reserve(r, WE);
	len = pr_in(r->nexus[2], 3, buf, sizeof(buf));
	ATF_REQUIRE(len > 8 + 28 + 46);
	ATF_CHECK_EQ(0xa, be64_load(buf + 8));
	ATF_CHECK_EQ(1, buf[8 + 12] & 1);
	ATF_CHECK_EQ(WE, buf[8 + 13]);
	ATF_CHECK_EQ(0x45, buf[8 + 24]);
	ATF_CHECK_STREQ("iqn.2026-01.org.example:host0,i,0x00023d000000",
	    (char *)buf + 8 + 28);
	ATF_CHECK_EQ(len, be32_load(buf + 4) + 8);
}

static void
bad_parameter_lists_are_refused(struct rig *r)
{
	uint8_t cdb[10] = { 0x5f, 0, 0, 0, 0, 0, 0, 0, 23 };
	uint8_t list[24] = { 0 };

	ATF_CHECK_EQ(0x051a00, rig_cmd(r->nexus[0], cdb, 10, list, 23));
	cdb[8] = 24;
	ATF_CHECK_EQ(0x050e03, rig_cmd(r->nexus[0], cdb, 10, list, 8));
	list[20] = 0x01;
	ATF_CHECK_EQ(0x052600, rig_cmd(r->nexus[0], cdb, 10, list, 24));
	cdb[1] = 0x1f;
	ATF_CHECK_EQ(0x052400, rig_cmd(r->nexus[0], cdb, 10, list, 24));
}

/* ---- REGISTER AND MOVE ---- */

static uint32_t
move_to(struct scsi_nexus *n, const char *port, uint64_t key, uint64_t new_key,
    bool unregister)
{
	uint8_t cdb[10] = { 0x5f, 7, WE };
	uint8_t list[24 + 52] = { [17] = unregister ? 0x02 : 0, [19] = 1 };

	cdb[8] = sizeof(list);
	be64_store(list, key);
	be64_store(list + 8, new_key);
	be32_store(list + 20, 52);
	list[24] = 0x45;
	be16_store(list + 26, 48);
	memcpy(list + 28, port, strlen(port) + 1);
	return rig_cmd(n, cdb, 10, list, sizeof(list));
}

static void
reservation_can_be_moved(struct rig *r)
{
	static const char port[] =
	    "iqn.2026-01.org.example:host2,i,0x00023d000002";

	reserve(r, WE);
	ATF_CHECK_EQ(RIG_CONFLICT, move_to(r->nexus[1], port, 0xb, 0xd, true));
	ATF_CHECK_EQ(RIG_CONFLICT, move_to(r->nexus[0], port, 0xb, 0xd, true));
	ATF_CHECK_EQ(0x052600, move_to(r->nexus[0], port, 0xa, 0, true));
	ATF_CHECK_EQ(0x052600, move_to(r->nexus[0], "host2", 0xa, 0xd, true));
	ATF_CHECK_EQ(0x052600, move_to(r->nexus[0],
	    "iqn.2026-01.org.example:host0,i,0x00023d000000", 0xa, 0xd, true));
	ATF_REQUIRE_EQ(RIG_GOOD, move_to(r->nexus[0], port, 0xa, 0xd, true));
	ATF_CHECK_EQ(RIG_GOOD, write_one(r->nexus[2]));
	ATF_CHECK_EQ(RIG_CONFLICT, write_one(r->nexus[0]));
	ATF_CHECK_EQ(2, key_count(r));
	ATF_CHECK_EQ(RIG_GOOD, rig_pr_out(r->nexus[2], RELEASE, WE, 0xd, 0));
}

/* ---- APTPL ---- */

static uint8_t image[2048];
static size_t image_len;
static int save_error;

static int
save(void *arg, const void *p, size_t len)
{
	(void)arg;
	if (save_error != 0)
		return save_error;
	ATF_REQUIRE(len <= sizeof(image));
	memcpy(image, p, len);
	image_len = len;
	return 0;
}

static void
set_save(struct rig *r)
{
	r->conf.pr_save = save;
}

static uint32_t
register_aptpl(struct scsi_nexus *n, uint64_t key)
{
	static const uint8_t cdb[10] = { 0x5f, 6, 0, 0, 0, 0, 0, 0, 24, 0 };
	uint8_t list[24] = { [20] = 0x01 };

	be64_store(list + 8, key);
	return rig_cmd(n, cdb, 10, list, sizeof(list));
}

struct found {
	unsigned count, holders;
	uint64_t keys;
};

static void
count_registration(void *arg, const char *port, uint64_t key, bool holder)
{
	struct found *f = arg;

	ATF_CHECK(strstr(port, ",i,0x") != NULL);
	f->count++;
	f->holders += holder;
	f->keys += key;
}

static void
aptpl_image_brings_reservations_back(struct rig *r)
{
	struct found f = { 0 };
	struct scsi_lu *again;

	ATF_REQUIRE_EQ(RIG_GOOD, register_aptpl(r->nexus[0], 0xa));
	ATF_REQUIRE_EQ(RIG_GOOD, register_aptpl(r->nexus[1], 0xb));
	ATF_REQUIRE_EQ(RIG_GOOD,
	    rig_pr_out(r->nexus[1], RESERVE, WE, 0xb, 0));
	r->conf.pr_image = image;
	r->conf.pr_image_len = image_len;
	ATF_REQUIRE_EQ(0,
	    scsi_lu_new(&r->env, &r->disk.disk, &r->conf, &again));
	scsi_lu_registrations(again, count_registration, &f);
	ATF_CHECK_EQ(2, f.count);
	ATF_CHECK_EQ(1, f.holders);
	ATF_CHECK_EQ(0x15, f.keys);
	scsi_lu_free(again);
}

static void
damaged_aptpl_image_is_refused(struct rig *r)
{
	struct scsi_lu *again;

	ATF_REQUIRE_EQ(RIG_GOOD, register_aptpl(r->nexus[0], 0xa));
	r->conf.pr_image = image;
	for (size_t i = 0; i < image_len; i++) {
		image[i] ^= 0x10;
		r->conf.pr_image_len = image_len;
		ATF_CHECK_EQ(-VMFS_ECORRUPT, scsi_lu_new(&r->env,
		    &r->disk.disk, &r->conf, &again));
		image[i] ^= 0x10;
		r->conf.pr_image_len = i;
		ATF_CHECK_EQ(-VMFS_ECORRUPT, scsi_lu_new(&r->env,
		    &r->disk.disk, &r->conf, &again));
	}
}

static void
without_aptpl_nothing_is_saved(struct rig *r)
{
	struct found f = { 0 };
	struct scsi_lu *again;

	reserve(r, WE);
	ATF_CHECK_EQ(0, image_len);
	ATF_REQUIRE_EQ(RIG_GOOD, register_aptpl(r->nexus[0], 0xa));
	ATF_CHECK(image_len > 0);
	ATF_REQUIRE_EQ(RIG_GOOD,
	    rig_pr_out(r->nexus[0], REGISTER, 0, 0xa, 0xc));
	r->conf.pr_image = image;
	r->conf.pr_image_len = image_len;
	ATF_REQUIRE_EQ(0,
	    scsi_lu_new(&r->env, &r->disk.disk, &r->conf, &again));
	scsi_lu_registrations(again, count_registration, &f);
	ATF_CHECK_EQ(0, f.count);
	scsi_lu_free(again);
}

static void
failed_save_is_told(struct rig *r)
{
	save_error = -EIO;
	ATF_CHECK_EQ(0x044400, register_aptpl(r->nexus[0], 0xa));
	save_error = 0;
	ATF_CHECK_EQ(RIG_GOOD, register_aptpl(r->nexus[0], 0xa));
}

/* ---- RESERVE(6) ---- */

static void
reserve6_keeps_others_out(struct rig *r)
{
	static const uint8_t res[6] = { 0x16 }, rel[6] = { 0x17 };
	static const uint8_t inquiry[6] = { 0x12, 0, 0, 0, 96 };
	uint8_t buf[256];
	size_t len;

	ATF_REQUIRE_EQ(RIG_GOOD, rig_cmd(r->nexus[0], res, 6, NULL, 0));
	ATF_CHECK_EQ(RIG_CONFLICT, rig_cmd(r->nexus[1], res, 6, NULL, 0));
	ATF_CHECK_EQ(RIG_CONFLICT, rig_tur(r->nexus[1]));
	ATF_CHECK_EQ(RIG_CONFLICT, read_one(r->nexus[1]));
	ATF_CHECK_EQ(RIG_CONFLICT, modes(r->nexus[1], 0x1a));
	ATF_CHECK_EQ(RIG_CONFLICT, modes(r->nexus[1], 0x5a));
	ATF_CHECK_EQ(RIG_CONFLICT, rig_pr_out(r->nexus[1], REGISTER, 0, 0, 1));
	ATF_CHECK_EQ(RIG_GOOD,
	    rig_cmd_in(r->nexus[1], inquiry, 6, buf, sizeof(buf), &len));
	ATF_CHECK_EQ(RIG_GOOD, rig_cmd(r->nexus[1], rel, 6, NULL, 0));
	ATF_CHECK_EQ(RIG_CONFLICT, rig_tur(r->nexus[1]));
	ATF_CHECK_EQ(RIG_GOOD, rig_cmd(r->nexus[0], rel, 6, NULL, 0));
	ATF_CHECK_EQ(RIG_GOOD, write_one(r->nexus[1]));
}

static void
reserve6_ends_with_the_session(struct rig *r)
{
	static const uint8_t res[6] = { 0x16 };

	ATF_REQUIRE_EQ(RIG_GOOD, rig_cmd(r->nexus[0], res, 6, NULL, 0));
	scsi_nexus_close(r->nexus[0]);
	r->nexus[0] = NULL;
	ATF_CHECK_EQ(RIG_GOOD, rig_tur(r->nexus[1]));
}

RIG_TEST(types, NULL, types_keep_out_whom_they_should,
    "each type keeps out whom it should")
RIG_TEST(medium_loading, set_removable, medium_is_the_holders,
    "a reserved medium can be loaded, not locked or ejected, by others")
RIG_TEST(keys, NULL, wrong_keys_conflict, "a wrong key is a conflict")
RIG_TEST(release_ua, NULL, release_tells_other_registrants_only,
    "a release is told to other registrants only")
RIG_TEST(unregister, NULL, holder_unregistering_releases,
    "the reservation ends when its holder unregisters")
RIG_TEST(all_registrants, NULL, all_registrants_reservation_ends_with_the_last,
    "an all registrants reservation ends with the last of them")
RIG_TEST(preempt, NULL, preempt_takes_the_reservation,
    "PREEMPT takes the reservation over")
RIG_TEST(preempt_unknown, NULL, preempt_of_an_unknown_key_conflicts,
    "PREEMPT of an unknown key is a conflict")
RIG_TEST(preempt_abort_waits, NULL,
    preempt_and_abort_waits_for_writes_in_flight,
    "PREEMPT AND ABORT waits for writes in flight")
RIG_TEST(preempt_abort_hides, NULL, a_key_is_gone_when_its_writes_are,
    "a preempted key is seen to be gone when its writes have ended")
RIG_TEST(preempt_abort_kills, NULL, preempt_and_abort_kills_what_has_not_begun,
    "PREEMPT AND ABORT kills writes that have not begun")
RIG_TEST(relogin, NULL, registration_survives_the_session,
    "a registration survives its session")
RIG_TEST(reset, NULL, registration_survives_a_reset,
    "a registration survives a reset")
RIG_TEST(full_status, NULL, full_status_names_ports,
    "READ FULL STATUS names the ports")
RIG_TEST(bad_lists, NULL, bad_parameter_lists_are_refused,
    "bad parameter lists are refused")
RIG_TEST(move, NULL, reservation_can_be_moved,
    "REGISTER AND MOVE hands the reservation over")
RIG_TEST(aptpl, set_save, aptpl_image_brings_reservations_back,
    "the APTPL image brings reservations back")
RIG_TEST(aptpl_damaged, set_save, damaged_aptpl_image_is_refused,
    "a damaged APTPL image is refused")
RIG_TEST(aptpl_off, set_save, without_aptpl_nothing_is_saved,
    "without APTPL nothing is saved")
RIG_TEST(aptpl_error, set_save, failed_save_is_told,
    "the initiator hears that saving failed")
RIG_TEST(reserve6, NULL, reserve6_keeps_others_out,
    "RESERVE(6) keeps others out")
RIG_TEST(reserve6_session, NULL, reserve6_ends_with_the_session,
    "RESERVE(6) ends with the session")

ATF_TP_ADD_TCS(tp)
{
	ATF_TP_ADD_TC(tp, types);
	ATF_TP_ADD_TC(tp, medium_loading);
	ATF_TP_ADD_TC(tp, keys);
	ATF_TP_ADD_TC(tp, release_ua);
	ATF_TP_ADD_TC(tp, unregister);
	ATF_TP_ADD_TC(tp, all_registrants);
	ATF_TP_ADD_TC(tp, preempt);
	ATF_TP_ADD_TC(tp, preempt_unknown);
	ATF_TP_ADD_TC(tp, preempt_abort_waits);
	ATF_TP_ADD_TC(tp, preempt_abort_hides);
	ATF_TP_ADD_TC(tp, preempt_abort_kills);
	ATF_TP_ADD_TC(tp, relogin);
	ATF_TP_ADD_TC(tp, reset);
	ATF_TP_ADD_TC(tp, full_status);
	ATF_TP_ADD_TC(tp, bad_lists);
	ATF_TP_ADD_TC(tp, move);
	ATF_TP_ADD_TC(tp, aptpl);
	ATF_TP_ADD_TC(tp, aptpl_damaged);
	ATF_TP_ADD_TC(tp, aptpl_off);
	ATF_TP_ADD_TC(tp, aptpl_error);
	ATF_TP_ADD_TC(tp, reserve6);
	ATF_TP_ADD_TC(tp, reserve6_session);
	return atf_no_error();
}
