/* SPDX-License-Identifier: BSD-2-Clause */
/* What a SCSI disk says about itself: INQUIRY, VPD pages, opcodes. */
#include <stdio.h>
#include <string.h>

#include "libvmfs/base/be.h"
#include "libvmfs/env/disk_sg_impl.h"
#include "libvmfs/env/lba_status.h"

#define REPLY_SIZE 512
/* A new session gets one unit attention per event since the last one. */
#define ATTENTION_RETRIES 16

struct reply {
	uint8_t b[REPLY_SIZE];
	uint32_t len;		/* received; the rest is zero */
};

/* A command that only asks; unit attentions mean nothing to it. */
static int
ask(struct disk_sg *s, const uint8_t *cdb, size_t cdb_len, uint32_t len,
    struct reply *r)
{
	struct disk_sense sense;
	int rc = -VMFS_EATTENTION;

	for (unsigned i = 0; i < ATTENTION_RETRIES &&
	    rc == -VMFS_EATTENTION; i++) {
		struct sg_data data = {
			.direction = SG_DXFER_FROM_DEV,
			.buf = r->b,
			.len = len,
		};

		memset(r, 0, sizeof(*r));
		rc = sg_command(s, cdb, cdb_len, &data, &sense);
		r->len = data.received;
	}
	return rc;
}

/* INQUIRY, SPC-4 6.4; page < 0: standard data. */
static int
inquiry(struct disk_sg *s, int page, struct reply *r)
{
	uint32_t len = page < 0 ? 36 : REPLY_SIZE;
	uint8_t cdb[6] = { 0x12, page < 0 ? 0 : 0x01 };

	cdb[2] = page < 0 ? 0 : (uint8_t)page;
	be16_store(cdb + 3, (uint16_t)len);
	return ask(s, cdb, sizeof(cdb), len, r);
}

/* A VPD page, checked; its bytes beyond the end read zero. */
static int
vpd(struct disk_sg *s, uint8_t page, struct reply *r)
{
	int rc = inquiry(s, page, r);
	uint32_t end;

	if (rc < 0)
		return rc;
	end = be16_load(r->b + 2) + 4U;
	if (r->len < 4 || r->b[1] != page)
		return -EOPNOTSUPP;
	if (end < r->len) {
		memset(r->b + end, 0, r->len - end);
		r->len = end;
	}
	return 0;
}

/*
 * REPORT SUPPORTED OPERATION CODES, SPC-4 6.35: 1 yes, 0 no, or negative when
 * the device cannot tell.  action < 0: the opcode has none.
 */
static int
opcode_supported(struct disk_sg *s, uint8_t opcode, int action)
{
	uint8_t cdb[12] = { 0xa3, 0x0c, action < 0 ? 0x01 : 0x02, opcode };
	struct reply r;
	unsigned support;
	int rc;

	if (action >= 0)
		be16_store(cdb + 4, (uint16_t)action);
	be32_store(cdb + 6, 64);
	rc = ask(s, cdb, sizeof(cdb), 64, &r);
	if (rc < 0)
		return rc;
	support = r.b[1] & 0x07;
	if (r.len < 4 || support == 0)
		return -EOPNOTSUPP;
	return support == 3 || support == 5;
}

/* Block limits, SBC-4 6.6.4. */
static void
discover_limits(struct disk_sg *s)
{
	struct disk_info *info = &s->disk.info;
	uint64_t granularity;
	struct reply r;

	info->max_caw = 0;
	if (vpd(s, 0xb0, &r) < 0)
		return;
	info->max_caw = r.b[5] * info->block_size;
	s->max_unmap_blocks = be32_load(r.b + 20);
	s->max_same_blocks = be64_load(r.b + 36);
	granularity = (uint64_t)be32_load(r.b + 28) * info->block_size;
	info->unmap_granularity = granularity <= UINT32_MAX ?
	    (uint32_t)granularity : 0;
}

/* Whether it answers, for a block: of no use to guess. */
static bool
tells_lba_status(struct disk_sg *s)
{
	uint8_t cdb[16];
	struct reply r;

	lba_status_cdb(cdb, s->first_lba, 24);
	return ask(s, cdb, sizeof(cdb), 24, &r) == 0 && r.len == 24;
}

/* Logical block provisioning, SBC-4 6.6.6. */
static void
discover_provisioning(struct disk_sg *s)
{
	struct reply r;
	bool lbpu, lbpws, reads_zero;

	if (vpd(s, 0xb2, &r) < 0)
		return;
	lbpu = (r.b[5] & 0x80) != 0;
	lbpws = (r.b[5] & 0x40) != 0;
	reads_zero = (r.b[5] & 0x04) != 0;
	if (lbpu)
		s->disk.info.caps |= DISK_CAP_UNMAP;
	/* Type 1: each block has its space all the same. */
	s->disk.info.thin = lbpu && (r.b[6] & 0x07) != 1;
	s->unmap_zeroes = lbpws && reads_zero;
	if (reads_zero && tells_lba_status(s))
		s->disk.info.caps |= DISK_CAP_MAP;
}

/*
 * REPORT CAPABILITIES, SPC-4 6.15.4.  Registrations that the device forgets
 * when it loses power, PTPL_C = 0, would let a fenced host in again.
 */
static bool
keeps_reservations(struct disk_sg *s)
{
	uint8_t cdb[10] = { 0x5e, 0x02 };
	struct reply r;

	be16_store(cdb + 7, 8);
	return ask(s, cdb, sizeof(cdb), 8, &r) == 0 && r.len == 8 &&
	    (r.b[2] & 0x01) != 0;
}

/*
 * No RESERVE of SCSI-2 here: the kernel logs in again and sends writes again
 * without a word, and the reservation has gone with the lost session.
 */
static void
discover_reservations(struct disk_sg *s)
{
	/* Fencing needs PREEMPT AND ABORT. */
	int abort_action = opcode_supported(s, 0x5f,
	    DISK_PR_PREEMPT_AND_ABORT);

	if (abort_action != 0 && keeps_reservations(s))
		s->disk.info.caps |= DISK_CAP_PR;
}

/* The NAA or EUI-64 name of the LUN (SPC-4 7.8.6), else its serial number. */
static void
discover_identity(struct disk_sg *s)
{
	char *text = s->disk.info.serial;
	size_t size = sizeof(s->disk.info.serial);
	struct reply r;

	if (vpd(s, 0x83, &r) == 0) {
		for (size_t at = 4; at + 4 <= r.len; at += 4U + r.b[at + 3]) {
			const uint8_t *d = r.b + at;
			size_t n = d[3], used;

			/* binary, of the logical unit, EUI-64 or NAA */
			if ((d[0] & 0x0f) != 1 || (d[1] & 0x30) != 0 ||
			    ((d[1] & 0x0f) != 2 && (d[1] & 0x0f) != 3) ||
			    n > 16 || at + 4 + n > r.len)
				continue;
			used = (size_t)snprintf(text, size, "%s.",
			    (d[1] & 0x0f) == 3 ? "naa" : "eui");
			for (size_t i = 0; i < n; i++)
				used += (size_t)snprintf(text + used,
				    size - used, "%02x", d[4 + i]);
			return;
		}
	}
	if (vpd(s, 0x80, &r) == 0 && r.len > 4) {
		size_t n = r.len - 4 < size - 1 ? r.len - 4 : size - 1;

		memcpy(text, r.b + 4, n);
		text[n] = '\0';
	}
}

int
sg_discover(struct disk_sg *s)
{
	struct disk_info *info = &s->disk.info;
	struct reply r;

	if (inquiry(s, -1, &r) < 0 || r.len < 36)
		return -EOPNOTSUPP;
	/* Device type 0, connected: a disk (SPC-4 6.4.2). */
	if (r.b[0] != 0)
		return -EOPNOTSUPP;
	/* Behind libata's translation (SAT) there is no second host. */
	if (memcmp(r.b + 8, "ATA     ", 8) == 0)
		return -EOPNOTSUPP;
	info->caps &= DISK_CAP_READONLY;
	discover_limits(s);
	discover_identity(s);
	if ((info->caps & DISK_CAP_READONLY) != 0)
		return 0;
	if (info->max_caw > 0 && opcode_supported(s, 0x89, -1) != 0)
		info->caps |= DISK_CAP_CAW;
	discover_provisioning(s);
	discover_reservations(s);
	s->write_same = opcode_supported(s, 0x93, -1) > 0;
	return 0;
}
