/* SPDX-License-Identifier: BSD-2-Clause */
/* Registrations for other initiator ports and for all target ports. */
#include <atf-c.h>
#include <string.h>

#include "libvmfs/base/be.h"
#include "tests/unit/scsi_rig.h"

enum {
	REGISTER, RESERVE, RELEASE, CLEAR, PREEMPT, PREEMPT_AND_ABORT,
	REGISTER_AND_IGNORE,
};
enum { WE = 1, WERO = 5 };
enum { APTPL = 0x01, ALL_TG_PT = 0x04, SPEC_I_PT = 0x08 };

#define HOST(n) "iqn.2026-01.org.example:host" n
#define PORT(n) HOST(n) ",i,0x00023d00000" n
#define ID_LEN 52

static uint8_t block[RIG_BLOCK];

static uint32_t
write_one(struct scsi_nexus *n)
{
	return rig_write(n, 1, 1, block);
}

/* Registers with flags and the ports (a NULL ends them) of SPEC_I_PT. */
static uint32_t
register_flags(struct scsi_nexus *n, uint8_t action, uint8_t flags,
    uint64_t key, uint64_t new_key, const char *const *ports)
{
	uint8_t cdb[10] = { 0x5f, action }, list[28 + 4 * ID_LEN] = { 0 };
	size_t len = 24;

	be64_store(list, key);
	be64_store(list + 8, new_key);
	list[20] = flags;
	if (ports != NULL) {
		len = 28;
		for (; *ports != NULL; ports++, len += ID_LEN) {
			list[len] = strstr(*ports, ",i,") ? 0x45 : 0x05;
			be16_store(list + len + 2, ID_LEN - 4);
			strcpy((char *)list + len + 4, *ports);
		}
		be32_store(list + 24, (uint32_t)(len - 28));
	}
	cdb[8] = (uint8_t)len;
	return rig_cmd(n, cdb, 10, list, len);
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

/* ---- SPEC_I_PT ---- */

static void
named_ports_are_registered(struct rig *r)
{
	static const char *const ports[] = { PORT("1"), PORT("1"), PORT("0"),
	    NULL };

	ATF_REQUIRE_EQ(RIG_GOOD, register_flags(r->nexus[0], REGISTER,
	    SPEC_I_PT, 0, 0xa, ports));
	ATF_CHECK_EQ(2, key_count(r));
	ATF_REQUIRE_EQ(RIG_GOOD,
	    rig_pr_out(r->nexus[0], RESERVE, WERO, 0xa, 0));
	ATF_CHECK_EQ(RIG_GOOD, write_one(r->nexus[1]));
	ATF_CHECK_EQ(RIG_CONFLICT, write_one(r->nexus[2]));
	ATF_CHECK_EQ(RIG_GOOD, rig_pr_out(r->nexus[1], REGISTER, 0, 0xa, 0));
	ATF_CHECK_EQ(RIG_CONFLICT, write_one(r->nexus[1]));
}

/* The port need not be logged in yet. */
static void
a_port_to_come_is_registered(struct rig *r)
{
	static const char *const ports[] = { PORT("7"), NULL };
	struct scsi_nexus *n;

	ATF_REQUIRE_EQ(RIG_GOOD, register_flags(r->nexus[0], REGISTER,
	    SPEC_I_PT, 0, 0xa, ports));
	ATF_REQUIRE_EQ(RIG_GOOD,
	    rig_pr_out(r->nexus[0], RESERVE, WERO, 0xa, 0));
	ATF_REQUIRE_EQ(0, scsi_nexus_open(r->target, HOST("7"), PORT("7"),
	    &n));
	ATF_CHECK_EQ(0x062900, rig_tur(n));
	ATF_CHECK_EQ(RIG_GOOD, write_one(n));
	scsi_nexus_close(n);
}

static void
a_device_stands_for_its_ports(struct rig *r)
{
	static const char *const ports[] = { HOST("1"), NULL };
	static const char *const absent[] = { HOST("8"), NULL };

	ATF_CHECK_EQ(0x052600, register_flags(r->nexus[0], REGISTER,
	    SPEC_I_PT, 0, 0xa, absent));
	ATF_CHECK_EQ(0, key_count(r));
	ATF_REQUIRE_EQ(RIG_GOOD, register_flags(r->nexus[0], REGISTER,
	    SPEC_I_PT, 0, 0xa, ports));
	ATF_REQUIRE_EQ(RIG_GOOD,
	    rig_pr_out(r->nexus[0], RESERVE, WERO, 0xa, 0));
	ATF_CHECK_EQ(RIG_GOOD, write_one(r->nexus[1]));
}

static void
all_or_none_are_registered(struct rig *r)
{
	static const char *const ports[] = { PORT("1"), PORT("2"), NULL };

	ATF_REQUIRE_EQ(RIG_GOOD,
	    rig_pr_out(r->nexus[2], REGISTER, 0, 0, 0xc));
	ATF_CHECK_EQ(0x052600, register_flags(r->nexus[0], REGISTER,
	    SPEC_I_PT, 0, 0xa, ports));
	ATF_CHECK_EQ(1, key_count(r));
}

static void
bad_port_lists_are_refused(struct rig *r)
{
	static const char *const ports[] = { PORT("1"), NULL };
	uint8_t cdb[10] = { 0x5f, 0, 0, 0, 0, 0, 0, 0, 28 + ID_LEN };
	uint8_t list[28 + ID_LEN] = { [15] = 0xa, [20] = SPEC_I_PT };

	/* Not with IGNORE, not of a nexus that is registered. */
	ATF_CHECK_EQ(0x052600, register_flags(r->nexus[0],
	    REGISTER_AND_IGNORE, SPEC_I_PT, 0, 0xa, ports));
	ATF_REQUIRE_EQ(RIG_GOOD,
	    rig_pr_out(r->nexus[2], REGISTER, 0, 0, 0xc));
	ATF_CHECK_EQ(0x052600, register_flags(r->nexus[2], REGISTER,
	    SPEC_I_PT, 0xc, 0xc, ports));
	/* The length of the list, the form of a name. */
	list[27] = ID_LEN - 1;
	ATF_CHECK_EQ(0x051a00, rig_cmd(r->nexus[0], cdb, 10, list,
	    sizeof(list)));
	list[27] = ID_LEN;
	list[28] = 0x45;
	list[31] = ID_LEN - 4;
	ATF_CHECK_EQ(0x052600, rig_cmd(r->nexus[0], cdb, 10, list,
	    sizeof(list)));
	memset(list + 32, 'x', ID_LEN - 4);
	ATF_CHECK_EQ(0x052600, rig_cmd(r->nexus[0], cdb, 10, list,
	    sizeof(list)));
	strcpy((char *)list + 32, PORT("1"));
	list[31] = ID_LEN;
	ATF_CHECK_EQ(0x052600, rig_cmd(r->nexus[0], cdb, 10, list,
	    sizeof(list)));
	list[31] = ID_LEN - 4;
	list[20] = 0;
	ATF_CHECK_EQ(0x051a00, rig_cmd(r->nexus[0], cdb, 10, list,
	    sizeof(list)));
	ATF_CHECK_EQ(1, key_count(r));
}

/* ---- ALL_TG_PT ---- */

/* Host 0 once more, by the second target port. */
static struct scsi_nexus *
by_second_port(struct rig *r)
{
	struct scsi_nexus *n;

	ATF_REQUIRE_EQ(0, scsi_nexus_open(r->target, HOST("0"), PORT("0"),
	    &n));
	scsi_nexus_set_group(n, 2);
	ATF_REQUIRE_EQ(0x062900, rig_tur(n));
	return n;
}

static void
a_registration_is_of_one_target_port(struct rig *r)
{
	struct scsi_nexus *n = by_second_port(r);
	uint8_t buf[512];

	ATF_REQUIRE_EQ(RIG_GOOD,
	    rig_pr_out(r->nexus[0], REGISTER, 0, 0, 0xa));
	ATF_REQUIRE_EQ(RIG_GOOD,
	    rig_pr_out(r->nexus[0], RESERVE, WERO, 0xa, 0));
	ATF_CHECK_EQ(RIG_CONFLICT, write_one(n));
	ATF_REQUIRE_EQ(RIG_GOOD, rig_pr_out(n, REGISTER, 0, 0, 0xa));
	ATF_CHECK_EQ(RIG_GOOD, write_one(n));
	ATF_CHECK_EQ(2, key_count(r));
	pr_in(n, 3, buf, sizeof(buf));
	ATF_CHECK_EQ(1, be16_load(buf + 8 + 18));
	ATF_CHECK_EQ(2, be16_load(buf + 8 + 24 + be32_load(buf + 8 + 20) +
	    18));
	scsi_nexus_close(n);
}

static void
all_target_ports_are_registered(struct rig *r)
{
	struct scsi_nexus *n = by_second_port(r);
	uint8_t buf[512];

	ATF_REQUIRE_EQ(RIG_GOOD, register_flags(r->nexus[0], REGISTER,
	    ALL_TG_PT, 0, 0xa, NULL));
	ATF_REQUIRE_EQ(RIG_GOOD,
	    rig_pr_out(r->nexus[0], RESERVE, WERO, 0xa, 0));
	ATF_CHECK_EQ(RIG_GOOD, write_one(n));
	ATF_CHECK_EQ(RIG_CONFLICT, write_one(r->nexus[1]));
	ATF_CHECK_EQ(1, key_count(r));
	pr_in(n, 3, buf, sizeof(buf));
	ATF_CHECK_EQ(0x03, buf[8 + 12]);
	ATF_CHECK_EQ(0, be16_load(buf + 8 + 18));
	/* It goes as a whole, by whichever port. */
	ATF_REQUIRE_EQ(RIG_GOOD, rig_pr_out(n, REGISTER, 0, 0xa, 0));
	ATF_CHECK_EQ(0, key_count(r));
	scsi_nexus_close(n);
}

static void
all_target_ports_replace_single_ones(struct rig *r)
{
	struct scsi_nexus *n = by_second_port(r);

	ATF_REQUIRE_EQ(RIG_GOOD,
	    rig_pr_out(r->nexus[0], REGISTER, 0, 0, 0xa));
	ATF_REQUIRE_EQ(RIG_GOOD, rig_pr_out(n, REGISTER, 0, 0, 0xa));
	ATF_REQUIRE_EQ(RIG_GOOD, rig_pr_out(n, RESERVE, WE, 0xa, 0));
	ATF_CHECK_EQ(RIG_CONFLICT, write_one(r->nexus[0]));
	ATF_REQUIRE_EQ(RIG_GOOD, register_flags(r->nexus[0],
	    REGISTER_AND_IGNORE, ALL_TG_PT, 0, 0xd, NULL));
	ATF_CHECK_EQ(1, key_count(r));
	/* The reservation is still there, now of both ports. */
	ATF_CHECK_EQ(RIG_GOOD, write_one(r->nexus[0]));
	ATF_CHECK_EQ(RIG_GOOD, write_one(n));
	ATF_CHECK_EQ(RIG_CONFLICT, write_one(r->nexus[1]));
	scsi_nexus_close(n);
}

static void
preempt_and_abort_finds_tasks_of_all_ports(struct rig *r)
{
	struct scsi_nexus *n = by_second_port(r);
	struct rig_task w, p;

	ATF_REQUIRE_EQ(RIG_GOOD, register_flags(r->nexus[0], REGISTER,
	    ALL_TG_PT, 0, 0xa, NULL));
	ATF_REQUIRE_EQ(RIG_GOOD,
	    rig_pr_out(r->nexus[1], REGISTER, 0, 0, 0xb));
	ATF_REQUIRE_EQ(RIG_GOOD,
	    rig_pr_out(r->nexus[1], RESERVE, WERO, 0xb, 0));
	r->disk.hold = true;
	rig_start(&w, n, rig_cdb16(0x8a, 9, 1), 16, block, RIG_BLOCK);
	rig_settle();
	rig_pr_out_start(&p, r->nexus[1], PREEMPT_AND_ABORT, WERO, 0xb, 0xa);
	rig_settle();
	ATF_CHECK(!p.done);
	rig_disk_let_go(r);
	rig_wait(&p);
	ATF_CHECK(w.done);
	ATF_CHECK_EQ(SCSI_TASK_ABORTED, rig_result(&w));
	rig_fini(&w);
	rig_fini(&p);
	ATF_CHECK_EQ(0x062a05, rig_tur(n));
	ATF_CHECK_EQ(0x062a05, rig_tur(r->nexus[0]));
	ATF_CHECK_EQ(RIG_CONFLICT, write_one(n));
	scsi_nexus_close(n);
}

/* ---- APTPL ---- */

static uint8_t image[2048];
static size_t image_len;

static int
save(void *arg, const void *p, size_t len)
{
	(void)arg;
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

static void
image_keeps_target_ports(struct rig *r)
{
	static const char *const ports[] = { PORT("1"), NULL };
	struct scsi_target *target;
	struct scsi_nexus *n;
	struct scsi_lu *again;

	ATF_REQUIRE_EQ(RIG_GOOD, register_flags(r->nexus[0], REGISTER,
	    ALL_TG_PT | SPEC_I_PT | APTPL, 0, 0xa, ports));
	ATF_REQUIRE_EQ(RIG_GOOD,
	    rig_pr_out(r->nexus[0], RESERVE, WERO, 0xa, 0));
	r->conf.pr_image = image;
	r->conf.pr_image_len = image_len;
	ATF_REQUIRE_EQ(0,
	    scsi_lu_new(&r->env, &r->disk.disk, &r->conf, &again));
	ATF_REQUIRE_EQ(0, scsi_target_new(&r->env, RIG_IQN, &target));
	ATF_REQUIRE_EQ(0, scsi_target_map(target, 0, again));
	for (unsigned group = 1; group <= 3; group++) {
		ATF_REQUIRE_EQ(0, scsi_nexus_open(target, HOST("1"),
		    PORT("1"), &n));
		scsi_nexus_set_group(n, group);
		ATF_CHECK_EQ(0x062900, rig_tur(n));
		ATF_CHECK_EQ(RIG_GOOD, write_one(n));
		scsi_nexus_close(n);
	}
	ATF_REQUIRE_EQ(0, scsi_nexus_open(target, HOST("2"), PORT("2"), &n));
	ATF_CHECK_EQ(0x062900, rig_tur(n));
	ATF_CHECK_EQ(RIG_CONFLICT, write_one(n));
	scsi_nexus_close(n);
	scsi_target_free(target);
	scsi_lu_free(again);
}

RIG_TEST(spec, NULL, named_ports_are_registered,
    "SPEC_I_PT registers the ports that are named, once")
RIG_TEST(spec_to_come, NULL, a_port_to_come_is_registered,
    "SPEC_I_PT registers a port before it logs in")
RIG_TEST(spec_device, NULL, a_device_stands_for_its_ports,
    "a device's name stands for its ports that are logged in")
RIG_TEST(spec_all_or_none, NULL, all_or_none_are_registered,
    "SPEC_I_PT registers all ports or none")
RIG_TEST(spec_bad, NULL, bad_port_lists_are_refused,
    "bad lists of ports are refused")
RIG_TEST(one_port, NULL, a_registration_is_of_one_target_port,
    "a registration is good at its target port only")
RIG_TEST(all_ports, NULL, all_target_ports_are_registered,
    "with ALL_TG_PT a registration is good at all target ports")
RIG_TEST(all_ports_replace, NULL, all_target_ports_replace_single_ones,
    "a registration for all target ports takes the place of others")
RIG_TEST(all_ports_abort, NULL, preempt_and_abort_finds_tasks_of_all_ports,
    "PREEMPT AND ABORT waits for tasks of all target ports")
RIG_TEST(image, set_save, image_keeps_target_ports,
    "the image of APTPL keeps target ports")

ATF_TP_ADD_TCS(tp)
{
	ATF_TP_ADD_TC(tp, spec);
	ATF_TP_ADD_TC(tp, spec_to_come);
	ATF_TP_ADD_TC(tp, spec_device);
	ATF_TP_ADD_TC(tp, spec_all_or_none);
	ATF_TP_ADD_TC(tp, spec_bad);
	ATF_TP_ADD_TC(tp, one_port);
	ATF_TP_ADD_TC(tp, all_ports);
	ATF_TP_ADD_TC(tp, all_ports_replace);
	ATF_TP_ADD_TC(tp, all_ports_abort);
	ATF_TP_ADD_TC(tp, image);
	return atf_no_error();
}
