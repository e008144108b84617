/* SPDX-License-Identifier: BSD-2-Clause */
/* SCSI commands by SG_IO, and what their status and sense data mean. */
#include <string.h>
#include <time.h>

#include "libvmfs/base/be.h"
#include "libvmfs/env/disk_file_impl.h"
#include "libvmfs/env/disk_sg_impl.h"

#define COMMAND_TIMEOUT_MS 20000
#define SENSE_SIZE 96
#define BUSY_RETRIES 50
#define BUSY_PAUSE_NS 20000000

/* Status byte (SAM-5 5.3.1). */
enum {
	STATUS_GOOD = 0x00,
	STATUS_CHECK_CONDITION = 0x02,
	STATUS_CONDITION_MET = 0x04,
	STATUS_BUSY = 0x08,
	STATUS_RESERVATION_CONFLICT = 0x18,
	STATUS_TASK_SET_FULL = 0x28,
	STATUS_TASK_ABORTED = 0x40,
};

/* Host byte (linux/include/scsi/scsi_status.h), as far as it decides. */
enum {
	HOST_OK = 0x00,
	HOST_BAD_TARGET = 0x04,
	HOST_NEXUS_FAILURE = 0x11,
	HOST_ALLOC_FAILURE = 0x12,
	HOST_MEDIUM_ERROR = 0x13,
};
#define DRIVER_TIMEOUT 0x06

#define ANY (-1)

/* First match counts; ANY matches all. */
static const struct {
	int key, asc, ascq;
	int result;
} sense_results[] = {
	{ 0x0, ANY, ANY, 0 },			/* NO SENSE */
	{ 0x1, ANY, ANY, 0 },			/* RECOVERED ERROR */
	{ 0x2, 0x3a, ANY, -VMFS_EGONE },	/* medium not present */
	{ 0x2, ANY, ANY, -VMFS_EATTENTION },	/* NOT READY (yet) */
	{ 0x3, ANY, ANY, -EIO },		/* MEDIUM ERROR */
	{ 0x4, 0x3e, 0x01, -VMFS_EGONE },	/* logical unit failure */
	{ 0x4, 0x3e, 0x03, -VMFS_EGONE },	/* failed self-test */
	{ 0x4, 0x4c, 0x00, -VMFS_EGONE },	/* failed self-configuration */
	{ 0x4, ANY, ANY, -EIO },		/* HARDWARE ERROR */
	{ 0x5, 0x20, 0x00, -EOPNOTSUPP },	/* invalid operation code */
	{ 0x5, 0x25, 0x00, -VMFS_EGONE },	/* LUN not supported */
	{ 0x5, ANY, ANY, -EINVAL },		/* ILLEGAL REQUEST */
	{ 0x6, ANY, ANY, -VMFS_EATTENTION },	/* UNIT ATTENTION */
	{ 0x7, 0x27, 0x07, -ENOSPC },		/* space allocation failed */
	{ 0x7, ANY, ANY, -EROFS },		/* DATA PROTECT */
	{ 0xb, ANY, ANY, -VMFS_EUNKNOWN },	/* ABORTED COMMAND */
	{ 0xe, ANY, ANY, -VMFS_EMISCOMPARE },	/* MISCOMPARE */
};

static int
sense_result(const struct disk_sense *sense)
{
	for (size_t i = 0; i < sizeof(sense_results) /
	    sizeof(*sense_results); i++) {
		if (sense_results[i].key == sense->key &&
		    (sense_results[i].asc == ANY ||
		    sense_results[i].asc == sense->asc) &&
		    (sense_results[i].ascq == ANY ||
		    sense_results[i].ascq == sense->ascq))
			return sense_results[i].result;
	}
	return -EIO;
}

/* Descriptor format, SPC-4 4.5.2. */
static void
parse_descriptors(const uint8_t *p, size_t len, struct disk_sense *sense)
{
	size_t at = 8, end = len < 8 ? 0 : (size_t)8 + p[7];

	sense->key = p[1] & 0x0f;
	sense->asc = p[2];
	sense->ascq = p[3];
	if (end > len)
		end = len;
	for (; at + 2 <= end; at += (size_t)2 + p[at + 1])
		/* INFORMATION, valid */
		if (p[at] == 0 && at + 12 <= end && (p[at + 2] & 0x80) != 0)
			sense->info = be64_load(p + at + 4);
}

/* Fixed format, SPC-4 4.5.3. */
static void
parse_fixed(const uint8_t *p, size_t len, struct disk_sense *sense)
{
	sense->key = p[2] & 0x0f;
	if (len >= 7 && (p[0] & 0x80) != 0)
		sense->info = be32_load(p + 3);
	if (len >= 14) {
		sense->asc = p[12];
		sense->ascq = p[13];
	}
}

/* Result for a status byte and sense data (SAM-5, SPC-4 4.5). */
static int
sg_result(uint8_t status, const uint8_t *sense_buf, size_t sense_len,
    struct disk_sense *sense)
{
	uint8_t format = sense_len >= 4 ? sense_buf[0] & 0x7f : 0;

	*sense = (struct disk_sense){ .status = status };
	switch (status) {
	case STATUS_GOOD:
	case STATUS_CONDITION_MET:
		return 0;
	case STATUS_RESERVATION_CONFLICT:
		return -VMFS_ECONFLICT;
	case STATUS_TASK_ABORTED:
		return -VMFS_EUNKNOWN;
	case STATUS_BUSY:
	case STATUS_TASK_SET_FULL:
		return -EBUSY;
	case STATUS_CHECK_CONDITION:
		break;
	default:
		return -EIO;
	}
	if (format == 0x72 || format == 0x73)
		parse_descriptors(sense_buf, sense_len, sense);
	else if (format == 0x70 || format == 0x71)
		parse_fixed(sense_buf, sense_len, sense);
	else
		return -EIO;	/* failed, for reasons unknown */
	/* Deferred (71h, 73h): an earlier command failed, this one stopped. */
	if (format == 0x71 || format == 0x73)
		return -EIO;
	return sense_result(sense);
}

static int
transport_result(const struct sg_io_hdr *h)
{
	if ((h->driver_status & 0x0f) == DRIVER_TIMEOUT)
		return -VMFS_EUNKNOWN;
	switch (h->host_status) {
	case HOST_OK:
		return 0;
	case HOST_BAD_TARGET:
		return -VMFS_EGONE;
	case HOST_NEXUS_FAILURE:
		return -VMFS_ECONFLICT;
	case HOST_ALLOC_FAILURE:
		return -ENOSPC;
	case HOST_MEDIUM_ERROR:
		return -EIO;
	default:
		/* Path lost, time-out, reset: who knows what was done. */
		return -VMFS_EUNKNOWN;
	}
}

static int
command_once(struct disk_sg *s, const uint8_t *cdb, size_t cdb_len,
    struct sg_data *data, struct disk_sense *sense)
{
	uint8_t cdb_copy[16] = { 0 }, sense_buf[SENSE_SIZE] = { 0 };
	struct sg_io_hdr h = {
		.interface_id = 'S',
		.dxfer_direction = data->direction,
		.cmd_len = (unsigned char)cdb_len,
		.mx_sb_len = sizeof(sense_buf),
		.dxfer_len = data->len,
		.dxferp = data->buf,
		.cmdp = cdb_copy,
		.sbp = sense_buf,
		.timeout = COMMAND_TIMEOUT_MS,
	};
	uint32_t resid;
	int rc;

	memcpy(cdb_copy, cdb, cdb_len);
	*sense = (struct disk_sense){ 0 };
	rc = s->io(s->io_arg, &h);
	if (rc < 0)
		return file_error(rc);
	resid = h.resid > 0 ? (uint32_t)h.resid : 0;
	data->received = resid < data->len ? data->len - resid : 0;
	rc = sg_result(h.status, sense_buf, h.sb_len_wr < sizeof(sense_buf) ?
	    h.sb_len_wr : sizeof(sense_buf), sense);
	return rc != 0 || h.status != 0 ? rc : transport_result(&h);
}

int
sg_command(struct disk_sg *s, const uint8_t *cdb, size_t cdb_len,
    struct sg_data *data, struct disk_sense *sense)
{
	static const struct timespec pause = { .tv_nsec = BUSY_PAUSE_NS };
	int rc = -EBUSY;

	for (unsigned i = 0; i < BUSY_RETRIES && rc == -EBUSY; i++) {
		if (i > 0)
			(void)nanosleep(&pause, NULL);
		rc = command_once(s, cdb, cdb_len, data, sense);
	}
	/* The device refused each time: nothing was executed. */
	return rc == -EBUSY ? -EIO : rc;
}
