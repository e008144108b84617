/* SPDX-License-Identifier: BSD-2-Clause */
/* INQUIRY, READ CAPACITY, MODE SENSE and harmless trials of a LUN. */
#include "iscsi/disk_libiscsi_probe.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "libvmfs/base/be.h"

#define ATTENTIONS_MAX 10	/* at the first log-in */
#define VPD_SIZE 255
#define SERIAL_SIZE 64
/* Vendor-specific bytes of our own target, see doc/PROTOCOL.md. */
#define CACHE_TAG_AT 36
#define CACHE_TAG "VMFSDB1"
#define CACHE_TAG_SIZE 8	/* with the NUL */

enum {
	VPD_SERIAL = 0x80,
	VPD_IDENTIFICATION = 0x83,
	VPD_LIMITS = 0xb0,
	VPD_PROVISIONING = 0xb2,
	PR_REPORT_CAPABILITIES = 2,
};

static int
run(struct lsess *s, struct lcdb cdb, void *data, struct lcmd *c)
{
	struct iovec iov = { data, cdb.xfer };

	*c = (struct lcmd){ .cdb = cdb, .iov = &iov, .iovcnt = 1,
		.internal = true };
	if (data != NULL)
		memset(data, 0, cdb.xfer);
	return lsess_run(s, c);
}

/* Reservations are news for the user. */
static int
run_keeping_news(struct lsess *s, struct lcdb cdb, void *data, struct lcmd *c,
    struct disk_sense *news)
{
	int rc = -VMFS_EATTENTION;

	for (int i = 0; i < ATTENTIONS_MAX && rc == -VMFS_EATTENTION; i++) {
		rc = run(s, cdb, data, c);
		if (lsense_is_reservation(&c->sense))
			*news = c->sense;
	}
	return rc;
}

/* For the first log-in only: unit attentions are news of the past. */
static int
run_past_attentions(struct lsess *s, struct lcdb cdb, void *data,
    struct lcmd *c)
{
	struct disk_sense past;

	return run_keeping_news(s, cdb, data, c, &past);
}

/* Errors that mean the session, not that the LUN lacks something. */
static bool
is_transport(int rc)
{
	return rc == -VMFS_EUNKNOWN || rc == -ENOTCONN || rc == -ENOMEM;
}

static int
inquiry_standard(struct lsess *s, struct lcache_id *ret_id)
{
	uint8_t data[CACHE_TAG_AT + CACHE_TAG_SIZE + 8];
	struct lcmd c;
	int rc = run_past_attentions(s, lcdb_inquiry(false, 0, sizeof(data)),
	    data, &c);

	if (rc == -VMFS_EGONE)
		return -ENXIO;
	if (rc < 0)
		return rc;
	/* Peripheral qualifier and device type, SPC-4 6.4.2. */
	if (data[0] >> 5 != 0)
		return -ENXIO;
	ret_id->known = c.received == sizeof(data) &&
	    memcmp(data + CACHE_TAG_AT, CACHE_TAG, CACHE_TAG_SIZE) == 0;
	ret_id->id = be64_load(data + CACHE_TAG_AT + CACHE_TAG_SIZE);
	return (data[0] & 0x1f) == 0 ? 0 : -ENOTBLK;
}

static int
test_ready(struct lsess *s)
{
	struct lcmd c;
	int rc = run_past_attentions(s, lcdb_test_unit_ready(), NULL, &c);

	return rc == -VMFS_EGONE ? -ENXIO : is_transport(rc) ? rc : 0;
}

int
lprobe_capacity(struct lsess *s, struct lprobe *p, struct disk_sense *news)
{
	uint8_t data[32];
	struct lcmd c;
	uint32_t size;
	int rc = run_keeping_news(s, lcdb_read_capacity16(), data, &c, news);

	if (rc < 0)
		return rc;
	size = be32_load(data + 8);
	if (c.received < 16 || size < 512 || size > 4096 ||
	    (size & (size - 1)) != 0 ||
	    be64_load(data) >= (UINT64_MAX >> 13))
		return -VMFS_EPROTO;
	p->blocks = be64_load(data) + 1;
	p->block_size = size;
	p->phys_block_size = size << (data[13] & 0x0f);
	/* LBPME and LBPRZ, SBC-4 5.20.2 */
	p->thin = (data[14] & 0x80) != 0;
	p->write_same_unmap = p->unmapped_zero = (data[14] & 0xc0) == 0xc0;
	return 0;
}

static int
probe_capacity(struct lsess *s, struct lprobe *p)
{
	struct disk_sense past;

	return lprobe_capacity(s, p, &past);
}

/* A page the LUN does not have leaves zeroes. */
static int
vpd(struct lsess *s, uint8_t page, uint8_t data[VPD_SIZE])
{
	struct lcmd c;
	int rc = run(s, lcdb_inquiry(true, page, VPD_SIZE), data, &c);

	if (is_transport(rc))
		return rc;
	if (rc < 0 || c.received < 4 || data[1] != page)
		memset(data, 0, VPD_SIZE);
	return 0;
}

static int
probe_limits(struct lsess *s, struct lprobe *p)
{
	uint8_t d[VPD_SIZE];
	int rc = vpd(s, VPD_LIMITS, d);

	if (rc < 0)
		return rc;
	p->max_caw_blocks = d[5];
	p->max_transfer_blocks = be32_load(d + 8);
	p->max_unmap_blocks = be32_load(d + 20);
	p->unmap_granularity = be32_load(d + 28);
	p->max_write_same_blocks = be64_load(d + 36);
	rc = vpd(s, VPD_PROVISIONING, d);
	if (rc < 0)
		return rc;
	if ((d[5] & 0x80) != 0 && p->max_unmap_blocks > 0)
		p->caps |= DISK_CAP_UNMAP;
	if ((d[5] & 0x40) == 0)
		p->write_same_unmap = false;
	return 0;
}

/* The caching page (SBC-4 6.4.5) among all pages; without it: volatile. */
static bool
has_volatile_cache(const uint8_t *d, size_t len)
{
	size_t end = 1u + d[0] < len ? 1u + d[0] : len;

	for (size_t at = 4u + d[3]; at + 3 <= end; at += 2u + d[at + 1])
		if ((d[at] & 0x3f) == 0x08)
			return (d[at + 2] & 0x04) != 0;
	return true;
}

void
lprobe_modes(struct lprobe *p, const uint8_t *d, size_t len)
{
	p->modes_hidden = false;
	if (len < 4)
		return;
	p->volatile_cache = has_volatile_cache(d, len);
	/* WP and DPOFUA, SBC-4 6.4.1 */
	if ((d[2] & 0x80) != 0)
		p->caps |= DISK_CAP_READONLY;
	p->fua = (d[2] & 0x10) != 0;
}

static int
probe_mode(struct lsess *s, struct lprobe *p)
{
	uint8_t d[LPROBE_MODES];
	struct lcmd c;
	int rc = run_past_attentions(s, lcdb_mode_sense6(LPROBE_PAGES,
	    LPROBE_MODES), d, &c);

	p->volatile_cache = true;
	if (is_transport(rc))
		return rc;
	p->modes_hidden = rc == -VMFS_ECONFLICT;
	if (rc == 0)
		lprobe_modes(p, d, c.received);
	return 0;
}

/* A map is of use when what is not in it reads zeroes. */
static int
probe_map(struct lsess *s, struct lprobe *p)
{
	uint8_t d[24];
	struct lcmd c;
	int rc;

	if (!p->unmapped_zero)
		return 0;
	rc = run_past_attentions(s, lcdb_lba_status(0, sizeof(d)), d, &c);
	if (is_transport(rc))
		return rc;
	if (rc == 0 && c.received == sizeof(d))
		p->caps |= DISK_CAP_MAP;
	return 0;
}

static int
probe_caw(struct lsess *s, struct lprobe *p)
{
	struct lcmd c;
	int rc;

	if (p->max_caw_blocks == 0)
		return 0;
	rc = run_past_attentions(s, lcdb_caw(0, 0, p->block_size, 0), NULL, &c);
	if (is_transport(rc))
		return rc;
	if (rc == -EOPNOTSUPP)
		p->max_caw_blocks = 0;
	else
		p->caps |= DISK_CAP_CAW;
	return 0;
}

static int
probe_reservations(struct lsess *s, struct lprobe *p)
{
	struct disk_pr pr = { .action = DISK_PR_PREEMPT_AND_ABORT,
		.type = DISK_PR_WRITE_EXCLUSIVE_AR,
		.key = UINT64_C(0x7072ffffffffffff),
		.sa_key = UINT64_C(0x7072fffffffffffe) };
	uint8_t d[LCDB_PR_LIST];
	struct lcmd c;
	struct lcdb cdb;
	struct iovec iov = { d, sizeof(d) };
	int rc;

	rc = run_past_attentions(s, lcdb_pr_in(PR_REPORT_CAPABILITIES, 8), d,
	    &c);
	if (is_transport(rc))
		return rc;
	/* Registrations that a restart of the target takes away, PTPL_C = 0,
	 * would let a fenced host in again. */
	if (rc == 0 && c.received >= 4 && (d[2] & 0x01) != 0) {
		/* From a nexus that is not registered: must be refused. */
		cdb = lcdb_pr_out(&pr, d);
		c = (struct lcmd){ .cdb = cdb, .iov = &iov, .iovcnt = 1,
			.internal = true };
		rc = lsess_run(s, &c);
		if (is_transport(rc))
			return rc;
		if (rc == -VMFS_ECONFLICT)
			p->caps |= DISK_CAP_PR;
	}
	rc = run_past_attentions(s, lcdb_release6(), NULL, &c);
	if (is_transport(rc))
		return rc;
	if (rc == 0 || rc == -VMFS_ECONFLICT)
		p->caps |= DISK_CAP_RESERVE;
	return 0;
}

/* ---- identity ---- */

static void
put_text(char *serial, const char *prefix, const uint8_t *text, size_t len)
{
	int n = snprintf(serial, SERIAL_SIZE, "%s", prefix);

	for (size_t i = 0; i < len && n < SERIAL_SIZE - 1; i++)
		if (isgraph(text[i]))
			serial[n++] = (char)text[i];
	serial[n] = '\0';
}

static void
put_hex(char *serial, const char *prefix, const uint8_t *bytes, size_t len)
{
	int n = snprintf(serial, SERIAL_SIZE, "%s", prefix);

	for (size_t i = 0; i < len && n + 2 < SERIAL_SIZE; i++)
		n += snprintf(serial + n, (size_t)(SERIAL_SIZE - n), "%02x",
		    bytes[i]);
}

/* The best designator of the logical unit: NAA, EUI-64, T10 (SPC-4 7.8.6). */
static void
pick_designator(const uint8_t *d, size_t len, char *serial)
{
	int best = 0;

	for (size_t at = 4; at + 4 <= len && at + 4 + d[at + 3] <= len;
	    at += 4u + d[at + 3]) {
		int type = d[at + 1] & 0x0f;

		if ((d[at + 1] & 0x30) != 0 || type < 1 || type > 3 ||
		    type <= best || d[at + 3] == 0)
			continue;
		best = type;
		if (type == 3)
			put_hex(serial, "naa.", d + at + 4, d[at + 3]);
		else if (type == 2)
			put_hex(serial, "eui.", d + at + 4, d[at + 3]);
		else
			put_text(serial, "t10.", d + at + 4, d[at + 3]);
	}
}

int
lprobe_identity(struct lsess *s, char *serial, struct lcache_id *ret_id)
{
	uint8_t d[VPD_SIZE];
	char found[SERIAL_SIZE] = "";
	int rc = inquiry_standard(s, ret_id);

	if (rc == 0)
		rc = vpd(s, VPD_IDENTIFICATION, d);
	if (rc < 0)
		return rc;
	/* Both pages keep their length in a byte pair, bounded by the read. */
	pick_designator(d, 4u + (be16_load(d + 2) < VPD_SIZE - 4 ?
	    be16_load(d + 2) : VPD_SIZE - 4), found);
	if (found[0] == '\0') {
		rc = vpd(s, VPD_SERIAL, d);
		if (rc < 0)
			return rc;
		put_text(found, "", d + 4, d[3] < VPD_SIZE - 4 ? d[3] :
		    VPD_SIZE - 4);
	}
	memcpy(serial, found, SERIAL_SIZE);
	return 0;
}

int
lprobe_lun(struct lsess *s, struct lprobe *ret_probe)
{
	static int (*const steps[])(struct lsess *, struct lprobe *) = {
		probe_capacity, probe_limits, probe_mode, probe_map,
		probe_caw, probe_reservations,
	};
	struct lprobe p = { 0 };
	int rc = inquiry_standard(s, &p.cache);

	if (rc == 0)
		rc = test_ready(s);
	if (rc == 0)
		rc = lprobe_identity(s, p.serial, &p.cache);
	for (size_t i = 0; rc == 0 && i < sizeof(steps) / sizeof(steps[0]);
	    i++)
		rc = steps[i](s, &p);
	if (rc == 0)
		*ret_probe = p;
	return rc;
}

/* ---- target port ---- */

#define GROUPS_SIZE 1024
#define TPGS_MASK 0x30		/* standard INQUIRY, byte 5 */

/* Without an answer that can be used the group counts as optimized. */
static int
probe_access(struct lsess *s, unsigned group, struct mpath_look *look)
{
	uint8_t d[GROUPS_SIZE];
	struct lcmd c;
	int rc = run_keeping_news(s, lcdb_report_port_groups(GROUPS_SIZE), d,
	    &c, &look->attention);

	if (is_transport(rc))
		return rc;
	if (rc == 0)
		(void)!lport_parse_groups(d, c.received, group, &look->access,
		    &look->preferred);
	return 0;
}

int
lprobe_port(struct lsess *s, struct lport *ret_port,
    struct mpath_look *ret_look)
{
	struct mpath_look look = { .access = MPATH_OPTIMIZED };
	uint8_t std[36], d[VPD_SIZE];
	struct lport port;
	struct lcmd c;
	int rc = run(s, lcdb_inquiry(false, 0, sizeof(std)), std, &c);

	if (rc == 0)
		rc = vpd(s, VPD_IDENTIFICATION, d);
	if (rc < 0)
		return rc;
	lport_parse_page83(d, sizeof(d), &port);
	look.group = port.group;
	if ((std[5] & TPGS_MASK) != 0)
		rc = probe_access(s, port.group, &look);
	if (rc < 0)
		return rc;
	*ret_port = port;
	*ret_look = look;
	return 0;
}
