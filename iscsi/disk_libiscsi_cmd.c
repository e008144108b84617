/* SPDX-License-Identifier: BSD-2-Clause */
/* CDBs, parameter lists and the meaning of sense data for the initiator. */
#include "iscsi/disk_libiscsi_cmd.h"

#include <string.h>

#include "libvmfs/base/be.h"
#include "libvmfs/env/lba_status.h"

enum {
	STATUS_GOOD = 0x00,
	STATUS_CHECK = 0x02,
	STATUS_CONFLICT = 0x18,

	KEY_NONE = 0x0,
	KEY_RECOVERED = 0x1,
	KEY_ILLEGAL = 0x5,
	KEY_ATTENTION = 0x6,
	KEY_PROTECT = 0x7,
	KEY_ABORTED = 0xb,
	KEY_MISCOMPARE = 0xe,
};

static struct lcdb
cdb16(uint8_t opcode, uint8_t flags, uint64_t lba, uint32_t count)
{
	struct lcdb c = { .len = 16 };

	c.b[0] = opcode;
	c.b[1] = flags;
	be64_store(c.b + 2, lba);
	be32_store(c.b + 10, count);
	return c;
}

struct lcdb
lcdb_read16(uint64_t lba, uint32_t blocks, uint32_t block_size)
{
	struct lcdb c = cdb16(0x88, 0, lba, blocks);

	c.dir = LCDB_IN;
	c.xfer = blocks * block_size;
	return c;
}

struct lcdb
lcdb_write16(uint64_t lba, uint32_t blocks, uint32_t block_size, uint8_t flags)
{
	struct lcdb c = cdb16(0x8a, flags, lba, blocks);

	c.dir = LCDB_OUT;
	c.xfer = blocks * block_size;
	return c;
}

struct lcdb
lcdb_caw(uint64_t lba, uint8_t blocks, uint32_t block_size, uint8_t flags)
{
	struct lcdb c = cdb16(0x89, flags, lba, blocks);

	/* Even without a block: istgt ends a session without the W bit. */
	c.dir = LCDB_OUT;
	c.xfer = 2 * blocks * block_size;
	return c;
}

struct lcdb
lcdb_sync16(void)
{
	return cdb16(0x91, 0, 0, 0);
}

struct lcdb
lcdb_write_same16(uint64_t lba, uint32_t blocks, uint32_t block_size,
    uint8_t flags)
{
	struct lcdb c = cdb16(LCDB_WRITE_SAME16, flags, lba, blocks);

	c.dir = LCDB_OUT;
	c.xfer = block_size;
	return c;
}

struct lcdb
lcdb_unmap(uint64_t lba, uint32_t blocks, uint8_t *list)
{
	struct lcdb c = { .b = { 0x42 }, .len = 10, .dir = LCDB_OUT,
		.xfer = LCDB_UNMAP_LIST };

	be16_store(c.b + 7, LCDB_UNMAP_LIST);
	memset(list, 0, LCDB_UNMAP_LIST);
	be16_store(list, LCDB_UNMAP_LIST - 2);
	be16_store(list + 2, 16);
	be64_store(list + 8, lba);
	be32_store(list + 16, blocks);
	return c;
}

struct lcdb
lcdb_read_capacity16(void)
{
	struct lcdb c = { .b = { 0x9e, 0x10 }, .len = 16, .dir = LCDB_IN,
		.xfer = 32 };

	be32_store(c.b + 10, c.xfer);
	return c;
}

struct lcdb
lcdb_lba_status(uint64_t lba, uint32_t len)
{
	struct lcdb c = { .len = 16, .dir = LCDB_IN, .xfer = len };

	lba_status_cdb(c.b, lba, len);
	return c;
}

struct lcdb
lcdb_test_unit_ready(void)
{
	return (struct lcdb){ .len = 6 };
}

struct lcdb
lcdb_inquiry(bool evpd, uint8_t page, uint16_t len)
{
	struct lcdb c = { .b = { 0x12, evpd, page }, .len = 6, .dir = LCDB_IN,
		.xfer = len };

	be16_store(c.b + 3, len);
	return c;
}

struct lcdb
lcdb_mode_sense6(uint8_t page, uint8_t len)
{
	return (struct lcdb){ .b = { 0x1a, 0, page, 0, len }, .len = 6,
		.dir = LCDB_IN, .xfer = len };
}

struct lcdb
lcdb_reserve6(void)
{
	return (struct lcdb){ .b = { 0x16 }, .len = 6 };
}

struct lcdb
lcdb_release6(void)
{
	return (struct lcdb){ .b = { 0x17 }, .len = 6 };
}

struct lcdb
lcdb_report_port_groups(uint32_t len)
{
	struct lcdb c = { .b = { 0xa3, 0x0a }, .len = 12, .dir = LCDB_IN,
		.xfer = len };

	be32_store(c.b + 6, len);
	return c;
}

struct lcdb
lcdb_pr_in(uint8_t service_action, uint16_t len)
{
	struct lcdb c = { .b = { 0x5e, service_action }, .len = 10,
		.dir = LCDB_IN, .xfer = len };

	be16_store(c.b + 7, len);
	return c;
}

struct lcdb
lcdb_pr_out(const struct disk_pr *pr, uint8_t *list)
{
	struct lcdb c = { .b = { 0x5f, (uint8_t)pr->action,
		(uint8_t)pr->type }, .len = 10, .dir = LCDB_OUT,
		.xfer = LCDB_PR_LIST };

	be32_store(c.b + 5, LCDB_PR_LIST);
	memset(list, 0, LCDB_PR_LIST);
	be64_store(list, pr->key);
	be64_store(list + 8, pr->sa_key);
	list[20] = pr->aptpl;
	return c;
}

static void
parse_descriptors(const uint8_t *data, size_t len, struct disk_sense *sense)
{
	for (size_t at = 8; at + 12 <= len; at += 2u + data[at + 1]) {
		if (data[at] == 0 && (data[at + 2] & 0x80) != 0) {
			sense->info = be64_load(data + at + 4);
			return;
		}
	}
}

void
lsense_parse(const uint8_t *data, size_t len, struct disk_sense *sense)
{
	if (len < 1)
		return;
	switch (data[0] & 0x7f) {
	case 0x70:
	case 0x71:
		if (len > 2)
			sense->key = data[2] & 0x0f;
		if (len > 13) {
			sense->asc = data[12];
			sense->ascq = data[13];
		}
		if (len > 6 && (data[0] & 0x80) != 0)
			sense->info = be32_load(data + 3);
		break;
	case 0x72:
	case 0x73:
		if (len > 3) {
			sense->key = data[1] & 0x0f;
			sense->asc = data[2];
			sense->ascq = data[3];
		}
		parse_descriptors(data, len, sense);
		break;
	}
}

/*
 * What "gone for good" looks like: LOGICAL UNIT NOT SUPPORTED, NOT CONFIGURED,
 * FAILED SELF-CONFIGURATION, FAILURE, FAILED SELF-TEST.
 */
static bool
is_permanent_loss(uint8_t key, uint8_t asc, uint8_t ascq)
{
	static const uint8_t lost[][3] = {
		{ 0x5, 0x25, 0x00 }, { 0x5, 0x68, 0x00 }, { 0x4, 0x4c, 0x00 },
		{ 0x4, 0x3e, 0x01 }, { 0x4, 0x3e, 0x03 },
	};

	for (size_t i = 0; i < sizeof(lost) / sizeof(lost[0]); i++)
		if (lost[i][0] == key && lost[i][1] == asc &&
		    lost[i][2] == ascq)
			return true;
	return false;
}

static int
check_condition_result(const struct disk_sense *s)
{
	if (is_permanent_loss(s->key, s->asc, s->ascq))
		return -VMFS_EGONE;
	switch (s->key) {
	case KEY_NONE:
	case KEY_RECOVERED:
		return 0;
	case KEY_ILLEGAL:
		return s->asc == 0x20 ? -EOPNOTSUPP : -EINVAL;
	case KEY_ATTENTION:
		return -VMFS_EATTENTION;
	case KEY_PROTECT:
		return s->asc == 0x27 && s->ascq == 0x07 ? -ENOSPC : -EROFS;
	case KEY_ABORTED:
		return -VMFS_EUNKNOWN;
	case KEY_MISCOMPARE:
		return -VMFS_EMISCOMPARE;
	default:
		return -EIO;
	}
}

int
lsense_result(const struct disk_sense *sense)
{
	switch (sense->status) {
	case STATUS_GOOD:
		return 0;
	case STATUS_CHECK:
		return check_condition_result(sense);
	case STATUS_CONFLICT:
		return -VMFS_ECONFLICT;
	default:
		/* BUSY and the like past their retries, TASK ABORTED. */
		return -VMFS_EUNKNOWN;
	}
}

bool
lsense_is_reservation(const struct disk_sense *s)
{
	return s->status == STATUS_CHECK && s->key == KEY_ATTENTION &&
	    s->asc == 0x2a && s->ascq >= 0x03 && s->ascq <= 0x05;
}

bool
lsense_is_reset(const struct disk_sense *s)
{
	return s->status == STATUS_CHECK && s->key == KEY_ATTENTION &&
	    s->asc == 0x29;
}

/* ---- target ports ---- */

enum {
	ASSOC_MASK = 0x30,
	ASSOC_PORT = 0x10,
	NAME_PORT_GROUP = 0x5,
	NAME_SCSI = 0x8,
};

static void
take_designator(const uint8_t *d, struct lport *p)
{
	size_t len = d[3];

	if ((d[1] & ASSOC_MASK) != ASSOC_PORT)
		return;
	if ((d[1] & 0x0f) == NAME_PORT_GROUP && len >= 4)
		p->group = be16_load(d + 6);
	if ((d[1] & 0x0f) == NAME_SCSI && len < sizeof(p->name)) {
		memcpy(p->name, d + 4, len);
		p->name[len] = '\0';
	}
}

void
lport_parse_page83(const uint8_t *data, size_t len, struct lport *ret_port)
{
	struct lport p = { 0 };
	size_t end;

	if (len >= 4) {
		end = 4u + be16_load(data + 2);
		if (end > len)
			end = len;
		for (size_t at = 4; at + 4 <= end && at + 4 + data[at + 3] <=
		    end; at += 4u + data[at + 3])
			take_designator(data + at, &p);
	}
	*ret_port = p;
}

int
lport_parse_groups(const uint8_t *data, size_t len, unsigned group,
    uint8_t *ret_access, bool *ret_preferred)
{
	size_t end;

	if (len < 4)
		return -VMFS_EPROTO;
	end = 4 + (size_t)be32_load(data);
	if (end > len)
		end = len;
	for (size_t at = 4; at + 8 <= end; at += 8 + 4u * data[at + 7]) {
		if (be16_load(data + at + 2) != group)
			continue;
		*ret_access = data[at] & 0x0f;
		*ret_preferred = (data[at] & 0x80) != 0;
		return 0;
	}
	return -ENOENT;
}

int
lpr_parse_keys(const uint8_t *data, size_t len, struct disk_pr *pr)
{
	uint32_t bytes;

	if (len < 8)
		return -VMFS_EPROTO;
	bytes = be32_load(data + 4);
	if (bytes % 8 != 0)
		return -VMFS_EPROTO;
	pr->generation = be32_load(data);
	pr->keys_count = bytes / 8;
	for (size_t i = 0; i < pr->keys_count && i < pr->keys_max; i++) {
		if (8 + (i + 1) * 8 > len)
			return -VMFS_EPROTO;
		pr->keys[i] = be64_load(data + 8 + i * 8);
	}
	return 0;
}

int
lpr_parse_reservation(const uint8_t *data, size_t len, struct disk_pr *pr)
{
	uint32_t bytes;

	if (len < 8)
		return -VMFS_EPROTO;
	bytes = be32_load(data + 4);
	pr->generation = be32_load(data);
	pr->reserved = bytes >= 16;
	pr->keys_count = pr->reserved;
	if (!pr->reserved)
		return 0;
	if (len < 24)
		return -VMFS_EPROTO;
	pr->type = data[21] & 0x0f;
	if (pr->keys_max > 0)
		pr->keys[0] = be64_load(data + 8);
	return 0;
}
