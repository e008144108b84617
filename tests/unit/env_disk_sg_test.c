/* SPDX-License-Identifier: BSD-2-Clause */
/* SCSI block devices, by a device that answers from a script. */
#include <atf-c.h>
#include <stdlib.h>
#include <string.h>

#include "libvmfs/base/units.h"
#include "libvmfs/env/disk_sg_impl.h"

#define SIZE (4 * MIB)
#define SENT_MAX 32

/* A device: how it answers, and what it was sent. */
static struct {
	const char *vendor;
	uint8_t type;
	bool no_fua;		/* refuses the FUA bit */
	bool forgets;		/* reservations, without power */
	bool no_rsoc;		/* no REPORT SUPPORTED OPERATION CODES */
	uint8_t absent[4];	/* opcodes it does not have */
	uint8_t max_caw;
	uint32_t max_unmap;
	uint64_t max_same;
	uint8_t provisioning;	/* VPD B2h byte 5 */
	unsigned attentions;	/* pending */
	bool lba_status;	/* knows GET LBA STATUS */
	/* the answer to the next commands that are no discovery */
	int io_error;
	uint8_t status;
	uint16_t host_status;
	uint8_t sense[32];
	uint8_t sense_len;
	uint8_t reply[128];
	uint32_t reply_len;
	unsigned busy;
} dev;

static struct {
	uint8_t cdb[16];
	uint8_t cdb_len;
	int direction;
	uint32_t data_len;
	uint8_t data[2048];
} sent[SENT_MAX];
static unsigned n_sent;

static void
answer(struct sg_io_hdr *h, const void *data, size_t len)
{
	size_t n = len < h->dxfer_len ? len : h->dxfer_len;

	memcpy(h->dxferp, data, n);
	h->resid = (int)(h->dxfer_len - n);
}

static void
answer_sense(struct sg_io_hdr *h, uint8_t key, uint8_t asc, uint8_t ascq)
{
	uint8_t sense[18] = { 0x70, 0, key, 0, 0, 0, 0, 10 };

	sense[12] = asc;
	sense[13] = ascq;
	h->status = 0x02;
	memcpy(h->sbp, sense, sizeof(sense));
	h->sb_len_wr = sizeof(sense);
	h->resid = (int)h->dxfer_len;
}

static bool
opcode_absent(uint8_t opcode)
{
	return memchr(dev.absent, opcode, sizeof(dev.absent)) != NULL;
}

static void
put_be(uint8_t *p, unsigned n, uint64_t v)
{
	while (n-- > 0) {
		p[n] = (uint8_t)v;
		v >>= 8;
	}
}

static void
answer_vpd(struct sg_io_hdr *h, uint8_t page)
{
	static const uint8_t naa[8] = {
		0x60, 0x01, 0x40, 0x5a, 0xbc, 0xde, 0xf0, 0x12,
	};
	uint8_t r[64] = { 0, page, 0, 60 };

	switch (page) {
	case 0xb0:
		r[5] = dev.max_caw;
		put_be(r + 20, 4, dev.max_unmap);
		put_be(r + 28, 4, 16);
		put_be(r + 36, 8, dev.max_same);
		answer(h, r, 64);
		break;
	case 0xb2:
		r[3] = 4;
		r[5] = dev.provisioning;
		answer(h, r, 8);
		break;
	case 0x83:
		/* a T10 vendor name, then a NAA name */
		r[3] = 24;
		memcpy(r + 4, "\x02\x01\x00\x08VENDOR  \x01\x03\x00\x08", 16);
		memcpy(r + 20, naa, sizeof(naa));
		answer(h, r, 28);
		break;
	default:
		answer_sense(h, 5, 0x24, 0);
	}
}

static void
answer_inquiry(struct sg_io_hdr *h)
{
	uint8_t r[36] = { dev.type, 0, 6, 2, 31 };

	if ((h->cmdp[1] & 1) != 0) {
		answer_vpd(h, h->cmdp[2]);
		return;
	}
	memcpy(r + 8, dev.vendor, 8);
	answer(h, r, sizeof(r));
}

static void
answer_rsoc(struct sg_io_hdr *h)
{
	uint8_t r[4] = { 0, 3 };

	if (dev.no_rsoc) {
		answer_sense(h, 5, 0x20, 0);
		return;
	}
	if (opcode_absent(h->cmdp[3]))
		r[1] = 1;
	answer(h, r, sizeof(r));
}

static void
record(const struct sg_io_hdr *h)
{
	ATF_REQUIRE(n_sent < SENT_MAX);
	memcpy(sent[n_sent].cdb, h->cmdp, h->cmd_len);
	sent[n_sent].cdb_len = h->cmd_len;
	sent[n_sent].direction = h->dxfer_direction;
	sent[n_sent].data_len = h->dxfer_len;
	if (h->dxfer_direction == SG_DXFER_TO_DEV)
		memcpy(sent[n_sent].data, h->dxferp,
		    h->dxfer_len < 2048 ? h->dxfer_len : 2048);
	n_sent++;
}

static bool discovering;

static int
script_io(void *arg, struct sg_io_hdr *h)
{
	ATF_CHECK_EQ(&dev, arg);
	ATF_CHECK_EQ('S', h->interface_id);
	if (dev.attentions > 0) {
		dev.attentions--;
		answer_sense(h, 6, 0x29, 0);
		return 0;
	}
	if (h->cmdp[0] == 0x12) {
		answer_inquiry(h);
		return 0;
	}
	if (h->cmdp[0] == 0xa3) {
		answer_rsoc(h);
		return 0;
	}
	if (discovering && h->cmdp[0] == 0x9e) {
		if (dev.lba_status)
			answer(h, "\0\0\0\x14\0\0\0\0\0\0\0\0\0\0\0\0"
			    "\0\0\0\1\0\0\0\0", 24);
		else
			answer_sense(h, 5, 0x20, 0);
		return 0;
	}
	if (discovering) {
		if (opcode_absent(h->cmdp[0]))
			answer_sense(h, 5, 0x20, 0);
		else
			answer(h, dev.forgets ? "\0\x08\0\0\0\0\0\0" :
			    "\0\x08\x01\0\0\0\0\0", 8);
		return 0;
	}
	record(h);
	if (dev.no_fua && h->cmdp[0] == 0x89 && h->cmdp[1] != 0) {
		answer_sense(h, 5, 0x24, 0);
		return 0;
	}
	if (dev.io_error < 0)
		return dev.io_error;
	h->status = dev.busy > 0 ? 0x08 : dev.status;
	dev.busy -= dev.busy > 0;
	h->host_status = dev.host_status;
	memcpy(h->sbp, dev.sense, dev.sense_len);
	h->sb_len_wr = dev.sense_len;
	if (h->dxfer_direction == SG_DXFER_FROM_DEV)
		answer(h, dev.reply, dev.reply_len);
	return 0;
}

static struct disk *D;

static void
dev_init(void)
{
	memset(&dev, 0, sizeof(dev));
	dev.vendor = "ACME    ";
	dev.max_caw = 8;
	dev.max_unmap = 1000;
	dev.max_same = 3000;
	dev.provisioning = 0xe4;
}

static int
open_sg(uint64_t start)
{
	struct disk *mem;
	int rc;

	ATF_REQUIRE_EQ(0, disk_mem_open(SIZE, 512, &mem));
	discovering = true;
	rc = disk_sg_open(mem, start, script_io, &dev, &D);
	discovering = false;
	if (rc < 0)
		disk_close(mem);
	return rc;
}

static int
with_device(void *arg)
{
	void (**body)(void) = arg;

	dev_init();
	ATF_REQUIRE_EQ(0, open_sg(0));
	(*body)();
	disk_close(D);
	return 0;
}

static int
without_device(void *arg)
{
	void (**body)(void) = arg;

	dev_init();
	(*body)();
	return 0;
}

#define SG_TC(name, with)						\
static void name##_body(void);						\
ATF_TC_WITHOUT_HEAD(name);						\
ATF_TC_BODY(name, tc)							\
{									\
	void (*body)(void) = name##_body;				\
	ATF_CHECK_EQ(0, reactor_run_main(with, &body));			\
}									\
static void								\
name##_body(void)

/* The i-th command sent, against its bytes. */
static void
check_cdb(unsigned i, const void *cdb, size_t len)
{
	ATF_REQUIRE(i < n_sent);
	ATF_CHECK_EQ(len, sent[i].cdb_len);
	ATF_CHECK_EQ_MSG(0, memcmp(cdb, sent[i].cdb, len), "cdb %u", i);
}

SG_TC(capabilities_are_discovered, with_device)
{
	ATF_CHECK_STREQ("sg", D->info.kind);
	ATF_CHECK_EQ(DISK_CAP_CAW | DISK_CAP_PR | DISK_CAP_UNMAP, D->info.caps);
	ATF_CHECK_EQ(8 * 512, D->info.max_caw);
	ATF_CHECK_EQ(16 * 512, D->info.unmap_granularity);
	ATF_CHECK_STREQ("naa.6001405abcdef012", D->info.serial);
	ATF_CHECK_EQ(SIZE, D->info.size_bytes);
	ATF_CHECK_EQ(0, n_sent);
}

static unsigned
caps_of_device(void)
{
	unsigned caps;

	ATF_REQUIRE_EQ(0, open_sg(0));
	caps = D->info.caps;
	disk_close(D);
	return caps;
}

SG_TC(missing_commands_are_missing_capabilities, without_device)
{
	dev.absent[0] = 0x89;
	ATF_CHECK_EQ(DISK_CAP_PR | DISK_CAP_UNMAP, caps_of_device());
	dev.absent[0] = 0x5f;
	ATF_CHECK_EQ(DISK_CAP_CAW | DISK_CAP_UNMAP, caps_of_device());
	dev.max_caw = 0;
	dev.provisioning = 0;
	ATF_CHECK_EQ(0, caps_of_device());
}

SG_TC(map_of_a_device_is_a_capability, without_device)
{
	dev.lba_status = true;
	ATF_CHECK(caps_of_device() & DISK_CAP_MAP);
	/* Unmapped blocks that may read anything are no holes. */
	dev.provisioning = 0xe0;
	ATF_CHECK_EQ(0, caps_of_device() & DISK_CAP_MAP);
}

/* A device with `count` descriptors: blocks and status of each. */
static void
reply_status(uint64_t lba, unsigned count, const uint8_t (*d)[2])
{
	memset(dev.reply, 0, sizeof(dev.reply));
	put_be(dev.reply, 4, 4 + 16 * count);
	for (unsigned i = 0; i < count; i++) {
		put_be(dev.reply + 8 + 16 * i, 8, lba);
		put_be(dev.reply + 16 + 16 * i, 4, d[i][0]);
		dev.reply[20 + 16 * i] = d[i][1];
		lba += d[i][0];
	}
	dev.reply_len = 8 + 16 * count;
}

SG_TC(map_is_that_of_the_device, without_device)
{
	/* From 2 blocks before to 40 behind what is asked for; anchored. */
	static const uint8_t parts[][2] = {
		{ 10, 0 }, { 16, 1 }, { 8, 2 }, { 80, 1 },
	};
	struct disk_extent e[4];
	struct disk_map map = { .extents = e, .max = 4 };

	dev.lba_status = true;
	ATF_REQUIRE_EQ(0, open_sg(2048 * 512));
	reply_status(2048 + 98, 4, parts);
	ATF_REQUIRE_EQ(0, disk_map(D, 100 * 512, 72 * 512, &map));
	check_cdb(0, "\x9e\x12\0\0\0\0\0\0\x08\x64\0\0\x10\x08\0\0", 16);
	ATF_REQUIRE_EQ(4, map.count);
	ATF_CHECK(e[0].allocated && e[0].length == 8 * 512);
	ATF_CHECK(!e[1].allocated && e[1].length == 16 * 512);
	ATF_CHECK(e[2].allocated && e[2].length == 8 * 512);
	ATF_CHECK(!e[3].allocated && e[3].length == 40 * 512);
	map = (struct disk_map){ .extents = e, .max = 2 };
	ATF_REQUIRE_EQ(0, disk_map(D, 100 * 512, 72 * 512, &map));
	ATF_CHECK_EQ(2, map.count);
	disk_close(D);
}

SG_TC(map_that_says_nothing_is_an_error, without_device)
{
	static const uint8_t none[][2] = { { 0, 1 } }, part[][2] = { { 9, 1 } };
	struct disk_extent e[4];
	struct disk_map map = { .extents = e, .max = 4 };

	dev.lba_status = true;
	ATF_REQUIRE_EQ(0, open_sg(0));
	reply_status(0, 1, none);
	ATF_CHECK_EQ(-VMFS_EPROTO, disk_map(D, 0, SIZE, &map));
	reply_status(1, 1, part);
	ATF_CHECK_EQ(-VMFS_EPROTO, disk_map(D, 0, SIZE, &map));
	dev.reply_len = 6;
	ATF_CHECK_EQ(-VMFS_EPROTO, disk_map(D, 0, SIZE, &map));
	/* Of the second answer nothing is new. */
	reply_status(0, 1, part);
	ATF_CHECK_EQ(-VMFS_EPROTO, disk_map(D, 0, SIZE, &map));
	disk_close(D);
}

SG_TC(reservations_that_power_takes_away_do_not_count, without_device)
{
	dev.forgets = true;
	ATF_CHECK_EQ(DISK_CAP_CAW | DISK_CAP_UNMAP, caps_of_device());
}

SG_TC(old_device_is_asked_by_trial, without_device)
{
	dev.no_rsoc = true;
	ATF_CHECK_EQ(DISK_CAP_CAW | DISK_CAP_PR | DISK_CAP_UNMAP, caps_of_device());
	dev.absent[0] = 0x5e;
	ATF_CHECK_EQ(DISK_CAP_CAW | DISK_CAP_UNMAP, caps_of_device());
}

SG_TC(attentions_do_not_disturb_discovery, without_device)
{
	dev.attentions = 3;
	ATF_CHECK_EQ(DISK_CAP_CAW | DISK_CAP_PR | DISK_CAP_UNMAP, caps_of_device());
}

SG_TC(ata_disks_and_other_devices_are_declined, without_device)
{
	dev.vendor = "ATA     ";
	ATF_CHECK_EQ(-EOPNOTSUPP, open_sg(0));
	dev.vendor = "ACME    ";
	dev.type = 0x05;
	ATF_CHECK_EQ(-EOPNOTSUPP, open_sg(0));
}

SG_TC(data_takes_the_block_layer, with_device)
{
	char a[512], b[512];

	memset(a, 'a', sizeof(a));
	ATF_CHECK_EQ(0, disk_write(D, 1024, a, 512, DISK_FUA));
	ATF_CHECK_EQ(0, disk_flush(D));
	ATF_CHECK_EQ(0, disk_read(D, 1024, b, 512));
	ATF_CHECK_EQ(0, memcmp(a, b, 512));
	ATF_CHECK_EQ(0, n_sent);
}

SG_TC(caw_sends_both_images, with_device)
{
	char old[1024], new[1024];
	struct iovec iov[] = { { new, 1000 }, { new + 1000, 24 } };
	struct disk_req req = {
		.op = DISK_CAW, .flags = DISK_FUA, .offset = 0x1234 * 512,
		.length = 1024, .iov = iov, .iovcnt = 2, .expect = old,
	};

	memset(old, 'o', sizeof(old));
	memset(new, 'n', sizeof(new));
	ATF_CHECK_EQ(0, disk_run(D, &req));
	check_cdb(0, "\x89\x08\0\0\0\0\0\0\x12\x34\0\0\0\x02\0\0", 16);
	ATF_CHECK_EQ(SG_DXFER_TO_DEV, sent[0].direction);
	ATF_CHECK_EQ(2048, sent[0].data_len);
	ATF_CHECK_EQ(0, memcmp(sent[0].data, old, 1024));
	ATF_CHECK_EQ(0, memcmp(sent[0].data + 1024, new, 1024));
	ATF_CHECK_EQ(0, disk_caw(D, 0, old, new, 512));
	check_cdb(1, "\x89\x08\0\0\0\0\0\0\0\0\0\0\0\x01\0\0", 16);
}

SG_TC(caw_without_fua_is_followed_by_a_flush, with_device)
{
	char b[512] = { 0 };

	dev.no_fua = true;
	ATF_CHECK_EQ(0, disk_caw(D, 0, b, b, 512));
	check_cdb(0, "\x89\x08\0\0\0\0\0\0\0\0\0\0\0\x01\0\0", 16);
	check_cdb(1, "\x89\0\0\0\0\0\0\0\0\0\0\0\0\x01\0\0", 16);
	check_cdb(2, "\x91\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 16);
}

SG_TC(partition_addresses_are_shifted, without_device)
{
	char b[512] = { 0 };

	ATF_REQUIRE_EQ(0, open_sg(2048 * 512));
	ATF_CHECK_EQ(0, disk_caw(D, 512, b, b, 512));
	check_cdb(0, "\x89\x08\0\0\0\0\0\0\x08\x01\0\0\0\x01\0\0", 16);
	ATF_CHECK_EQ(0, disk_unmap(D, 1024, 512));
	ATF_CHECK_EQ(0, memcmp(sent[1].data + 8,
	    "\0\0\0\0\0\0\x08\x02\0\0\0\x01", 12));
	ATF_CHECK_EQ(0, disk_write_zeroes(D, 512, 512, 0));
	check_cdb(2, "\x93\0\0\0\0\0\0\0\x08\x01\0\0\0\x01\0\0", 16);
	disk_close(D);
}

SG_TC(pr_out_carries_keys_and_type, with_device)
{
	struct disk_pr pr = {
		.action = DISK_PR_PREEMPT_AND_ABORT,
		.type = DISK_PR_WRITE_EXCLUSIVE_RO,
		.key = 0x1122334455667788, .sa_key = 0x99aabbccddeeff00,
		.aptpl = true,
	};

	ATF_CHECK_EQ(0, disk_pr_out(D, &pr));
	check_cdb(0, "\x5f\x05\x05\0\0\0\0\0\x18\0", 10);
	ATF_CHECK_EQ(24, sent[0].data_len);
	ATF_CHECK_EQ(0, memcmp(sent[0].data,
	    "\x11\x22\x33\x44\x55\x66\x77\x88\x99\xaa\xbb\xcc\xdd\xee\xff\0"
	    "\0\0\0\0\x01\0\0\0", 24));
}

static void
reply_with(const void *bytes, uint32_t len)
{
	memcpy(dev.reply, bytes, len);
	dev.reply_len = len;
}

SG_TC(keys_are_read, with_device)
{
	uint64_t keys[2] = { 0 };
	struct disk_pr pr = { .keys = keys, .keys_max = 2 };

	reply_with("\0\0\0\x09\0\0\0\x10"
	    "\0\0\0\0\0\0\0\x01\0\0\0\0\0\0\0\x02", 24);
	ATF_CHECK_EQ(0, disk_pr_read_keys(D, &pr));
	check_cdb(0, "\x5e\0\0\0\0\0\0\0\x18\0", 10);
	ATF_CHECK_EQ(9, pr.generation);
	ATF_CHECK_EQ(2, pr.keys_count);
	ATF_CHECK_EQ(1, keys[0]);
	ATF_CHECK_EQ(2, keys[1]);
}

SG_TC(more_keys_than_room_are_counted, with_device)
{
	uint64_t key = 0;
	struct disk_pr pr = { .keys = &key, .keys_max = 1 };

	reply_with("\0\0\0\x09\0\0\0\x18\0\0\0\0\0\0\0\x07", 16);
	ATF_CHECK_EQ(0, disk_pr_read_keys(D, &pr));
	ATF_CHECK_EQ(3, pr.keys_count);
	ATF_CHECK_EQ(7, key);
}

SG_TC(short_answers_are_errors, with_device)
{
	uint64_t keys[4];
	struct disk_pr pr = { .keys = keys, .keys_max = 4 };

	reply_with("\0\0\0\x09", 4);
	ATF_CHECK_EQ(-EIO, disk_pr_read_keys(D, &pr));
	reply_with("\0\0\0\x09\0\0\0\x10\0\0\0\0\0\0\0\x07", 16);
	ATF_CHECK_EQ(-EIO, disk_pr_read_keys(D, &pr));
	ATF_CHECK_EQ(-EIO, disk_pr_read_reservation(D, &pr));
}

SG_TC(reservation_is_read, with_device)
{
	uint64_t key = 0;
	struct disk_pr pr = { .keys = &key, .keys_max = 1 };

	reply_with("\0\0\0\x03\0\0\0\x10\0\0\0\0\0\0\xab\xcd\0\0\0\0\0\x07\0\0",
	    24);
	ATF_CHECK_EQ(0, disk_pr_read_reservation(D, &pr));
	check_cdb(0, "\x5e\x01\0\0\0\0\0\0\x18\0", 10);
	ATF_CHECK(pr.reserved);
	ATF_CHECK_EQ(0xabcd, key);
	ATF_CHECK_EQ(DISK_PR_WRITE_EXCLUSIVE_AR, pr.type);
	reply_with("\0\0\0\x04\0\0\0\0", 8);
	ATF_CHECK_EQ(0, disk_pr_read_reservation(D, &pr));
	ATF_CHECK(!pr.reserved);
	ATF_CHECK_EQ(4, pr.generation);
}

SG_TC(unmap_is_cut_to_the_limit, with_device)
{
	ATF_CHECK_EQ(0, disk_unmap(D, 8 * 512, 1500 * 512));
	ATF_CHECK_EQ(2, n_sent);
	check_cdb(0, "\x42\0\0\0\0\0\0\0\x18\0", 10);
	ATF_CHECK_EQ(0, memcmp(sent[0].data, "\0\x16\0\x10\0\0\0\0"
	    "\0\0\0\0\0\0\0\x08\0\0\x03\xe8\0\0\0\0", 24));
	ATF_CHECK_EQ(0, memcmp(sent[1].data + 8,
	    "\0\0\0\0\0\0\x03\xf0\0\0\x01\xf4", 12));
}

SG_TC(zeroes_are_written_by_write_same, with_device)
{
	static const uint8_t zero[512];

	ATF_CHECK_EQ(0, disk_write_zeroes(D, 512, 4000 * 512,
	    DISK_MAY_UNMAP));
	ATF_CHECK_EQ(2, n_sent);
	check_cdb(0, "\x93\x08\0\0\0\0\0\0\0\x01\0\0\x0b\xb8\0\0", 16);
	check_cdb(1, "\x93\x08\0\0\0\0\0\0\x0b\xb9\0\0\x03\xe8\0\0", 16);
	ATF_CHECK_EQ(512, sent[0].data_len);
	ATF_CHECK_EQ(0, memcmp(sent[0].data, zero, 512));
	ATF_CHECK_EQ(0, disk_write_zeroes(D, 0, 512, 0));
	check_cdb(2, "\x93\0\0\0\0\0\0\0\0\0\0\0\0\x01\0\0", 16);
}

static void
sense_fixed(uint8_t key, uint8_t asc, uint8_t ascq)
{
	uint8_t sense[18] = { 0x70, 0, key, 0, 0, 0, 0, 10 };

	sense[12] = asc;
	sense[13] = ascq;
	memcpy(dev.sense, sense, sizeof(sense));
	dev.sense_len = sizeof(sense);
	dev.status = 0x02;
}

SG_TC(refused_write_same_falls_back_to_the_block_layer, with_device)
{
	char b[512];

	memset(b, 'x', sizeof(b));
	ATF_CHECK_EQ(0, disk_write(D, 0, b, 512, 0));
	sense_fixed(5, 0x24, 0);
	ATF_CHECK_EQ(0, disk_write_zeroes(D, 0, 512, 0));
	ATF_CHECK_EQ(1, n_sent);
	ATF_CHECK_EQ(0, disk_read(D, 0, b, 512));
	ATF_CHECK_EQ(0, b[0]);
}

static struct disk_req caw_req;

static int
caw_result(void)
{
	static char b[512];
	static struct iovec iov = { b, 512 };

	caw_req = (struct disk_req){
		.op = DISK_CAW, .length = 512, .iov = &iov, .iovcnt = 1,
		.expect = b,
	};
	n_sent = 0;
	return disk_run(D, &caw_req);
}

SG_TC(sense_keys_have_their_results, with_device)
{
	static const struct {
		uint8_t key, asc, ascq;
		int result;
	} cases[] = {
		{ 0x1, 0x00, 0x00, 0 },
		{ 0x2, 0x04, 0x0a, -VMFS_EATTENTION },
		{ 0x2, 0x3a, 0x00, -VMFS_EGONE },
		{ 0x3, 0x11, 0x00, -EIO },
		{ 0x4, 0x44, 0x00, -EIO },
		{ 0x4, 0x3e, 0x01, -VMFS_EGONE },
		{ 0x5, 0x20, 0x00, -EOPNOTSUPP },
		{ 0x5, 0x21, 0x00, -EINVAL },
		{ 0x5, 0x25, 0x00, -VMFS_EGONE },
		{ 0x6, 0x2a, 0x03, -VMFS_EATTENTION },
		{ 0x7, 0x27, 0x07, -ENOSPC },
		{ 0x7, 0x27, 0x00, -EROFS },
		{ 0xb, 0x00, 0x00, -VMFS_EUNKNOWN },
		{ 0xe, 0x1d, 0x00, -VMFS_EMISCOMPARE },
		{ 0xd, 0x00, 0x00, -EIO },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		sense_fixed(cases[i].key, cases[i].asc, cases[i].ascq);
		ATF_CHECK_EQ_MSG(cases[i].result, caw_result(),
		    "sense %x/%02x/%02x", cases[i].key, cases[i].asc,
		    cases[i].ascq);
		ATF_CHECK_EQ(cases[i].key, caw_req.sense.key);
		ATF_CHECK_EQ(cases[i].asc, caw_req.sense.asc);
		ATF_CHECK_EQ(cases[i].ascq, caw_req.sense.ascq);
		ATF_CHECK_EQ(1, n_sent);
	}
}

SG_TC(miscompare_offset_is_read_from_both_formats, with_device)
{
	sense_fixed(0xe, 0x1d, 0);
	memcpy(dev.sense, "\xf0\0\x0e\0\0\x01\x20", 7);
	ATF_CHECK_EQ(-VMFS_EMISCOMPARE, caw_result());
	ATF_CHECK_EQ(0x120, caw_req.sense.info);
	/* an unknown descriptor, then INFORMATION */
	memcpy(dev.sense, "\x72\x0e\x1d\0\0\0\0\x10\x0c\x02\0\0"
	    "\0\x0a\x80\0\0\0\0\0\0\0\0\x7b", 24);
	dev.sense_len = 24;
	ATF_CHECK_EQ(-VMFS_EMISCOMPARE, caw_result());
	ATF_CHECK_EQ(0x7b, caw_req.sense.info);
	/* INFORMATION cut off */
	dev.sense_len = 20;
	ATF_CHECK_EQ(-VMFS_EMISCOMPARE, caw_result());
	ATF_CHECK_EQ(0, caw_req.sense.info);
	/* not valid */
	sense_fixed(0xe, 0x1d, 0);
	memcpy(dev.sense, "\x70\0\x0e\0\0\x01\x20", 7);
	ATF_CHECK_EQ(-VMFS_EMISCOMPARE, caw_result());
	ATF_CHECK_EQ(0, caw_req.sense.info);
}

SG_TC(statuses_have_their_results, with_device)
{
	dev.status = 0x18;
	ATF_CHECK_EQ(-VMFS_ECONFLICT, caw_result());
	ATF_CHECK_EQ(0x18, caw_req.sense.status);
	dev.status = 0x40;
	ATF_CHECK_EQ(-VMFS_EUNKNOWN, caw_result());
	dev.status = 0x30;
	ATF_CHECK_EQ(-EIO, caw_result());
	/* CHECK CONDITION without sense data */
	dev.status = 0x02;
	ATF_CHECK_EQ(-EIO, caw_result());
	dev.status = 0;
	dev.busy = 2;
	ATF_CHECK_EQ(0, caw_result());
	ATF_CHECK_EQ(3, n_sent);
}

SG_TC(lost_transport_leaves_the_outcome_unknown, with_device)
{
	static const uint16_t unknown[] = { 0x01, 0x03, 0x08, 0x0e, 0x0f };

	for (size_t i = 0; i < 5; i++) {
		dev.host_status = unknown[i];
		ATF_CHECK_EQ(-VMFS_EUNKNOWN, caw_result());
	}
	dev.host_status = 0x04;
	ATF_CHECK_EQ(-VMFS_EGONE, caw_result());
	dev.host_status = 0;
	dev.io_error = -ENODEV;
	ATF_CHECK_EQ(-VMFS_EGONE, caw_result());
	dev.io_error = -ENOMEM;
	ATF_CHECK_EQ(-ENOMEM, caw_result());
}

SG_TC(attention_is_reported_not_retried, with_device)
{
	sense_fixed(6, 0x2a, 0x03);
	ATF_CHECK_EQ(-VMFS_EATTENTION, caw_result());
	ATF_CHECK_EQ(1, n_sent);
	ATF_CHECK_EQ(0x2a, caw_req.sense.asc);
}

ATF_TP_ADD_TCS(tp)
{
	ATF_TP_ADD_TC(tp, capabilities_are_discovered);
	ATF_TP_ADD_TC(tp, missing_commands_are_missing_capabilities);
	ATF_TP_ADD_TC(tp, map_of_a_device_is_a_capability);
	ATF_TP_ADD_TC(tp, map_is_that_of_the_device);
	ATF_TP_ADD_TC(tp, map_that_says_nothing_is_an_error);
	ATF_TP_ADD_TC(tp, reservations_that_power_takes_away_do_not_count);
	ATF_TP_ADD_TC(tp, old_device_is_asked_by_trial);
	ATF_TP_ADD_TC(tp, attentions_do_not_disturb_discovery);
	ATF_TP_ADD_TC(tp, ata_disks_and_other_devices_are_declined);
	ATF_TP_ADD_TC(tp, data_takes_the_block_layer);
	ATF_TP_ADD_TC(tp, caw_sends_both_images);
	ATF_TP_ADD_TC(tp, caw_without_fua_is_followed_by_a_flush);
	ATF_TP_ADD_TC(tp, partition_addresses_are_shifted);
	ATF_TP_ADD_TC(tp, pr_out_carries_keys_and_type);
	ATF_TP_ADD_TC(tp, keys_are_read);
	ATF_TP_ADD_TC(tp, more_keys_than_room_are_counted);
	ATF_TP_ADD_TC(tp, short_answers_are_errors);
	ATF_TP_ADD_TC(tp, reservation_is_read);
	ATF_TP_ADD_TC(tp, unmap_is_cut_to_the_limit);
	ATF_TP_ADD_TC(tp, zeroes_are_written_by_write_same);
	ATF_TP_ADD_TC(tp, refused_write_same_falls_back_to_the_block_layer);
	ATF_TP_ADD_TC(tp, sense_keys_have_their_results);
	ATF_TP_ADD_TC(tp, miscompare_offset_is_read_from_both_formats);
	ATF_TP_ADD_TC(tp, statuses_have_their_results);
	ATF_TP_ADD_TC(tp, lost_transport_leaves_the_outcome_unknown);
	ATF_TP_ADD_TC(tp, attention_is_reported_not_retried);
	return atf_no_error();
}
