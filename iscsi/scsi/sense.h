/* SPDX-License-Identifier: BSD-2-Clause */
/* Sense data: the codes this device server reports, and their two formats. */
#ifndef VMFS_ISCSI_SCSI_SENSE_H
#define VMFS_ISCSI_SCSI_SENSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SENSE_CODE(key, asc, ascq) \
	((uint32_t)(key) << 16 | (uint32_t)(asc) << 8 | (uint32_t)(ascq))
#define SENSE_KEY(code) ((uint8_t)((code) >> 16))
#define SENSE_ASC(code) ((uint8_t)((code) >> 8))
#define SENSE_ASCQ(code) ((uint8_t)(code))

/* Sense key, ADDITIONAL SENSE CODE and qualifier (SPC-4 4.5.6, annex F.2). */
enum scsi_sense_code {
	SENSE_NONE = 0,
	SENSE_NO_MEDIUM = SENSE_CODE(0x2, 0x3a, 0x00),
	SENSE_STOPPED = SENSE_CODE(0x2, 0x04, 0x02),
	SENSE_LU_COMMUNICATION = SENSE_CODE(0x2, 0x08, 0x00),
	SENSE_WRITE_ERROR = SENSE_CODE(0x3, 0x0c, 0x00),
	SENSE_READ_ERROR = SENSE_CODE(0x3, 0x11, 0x00),
	SENSE_OUTCOME_UNKNOWN = SENSE_CODE(0x4, 0x08, 0x01),
	SENSE_TARGET_FAILURE = SENSE_CODE(0x4, 0x44, 0x00),
	SENSE_PARAMETER_LIST_LENGTH = SENSE_CODE(0x5, 0x1a, 0x00),
	SENSE_INVALID_OPCODE = SENSE_CODE(0x5, 0x20, 0x00),
	SENSE_LBA_OUT_OF_RANGE = SENSE_CODE(0x5, 0x21, 0x00),
	SENSE_INVALID_CDB_FIELD = SENSE_CODE(0x5, 0x24, 0x00),
	SENSE_LUN_NOT_SUPPORTED = SENSE_CODE(0x5, 0x25, 0x00),
	SENSE_INVALID_PARAMETER_FIELD = SENSE_CODE(0x5, 0x26, 0x00),
	SENSE_INVALID_RELEASE = SENSE_CODE(0x5, 0x26, 0x04),
	SENSE_SAVING_NOT_SUPPORTED = SENSE_CODE(0x5, 0x39, 0x00),
	SENSE_REMOVAL_PREVENTED = SENSE_CODE(0x5, 0x53, 0x02),
	SENSE_NO_REGISTRATION_RESOURCES = SENSE_CODE(0x5, 0x55, 0x04),
	SENSE_DATA_OUT_LENGTH = SENSE_CODE(0x5, 0x0e, 0x03),
	SENSE_MEDIUM_CHANGED = SENSE_CODE(0x6, 0x28, 0x00),
	SENSE_POWER_ON = SENSE_CODE(0x6, 0x29, 0x00),
	SENSE_BUS_RESET = SENSE_CODE(0x6, 0x29, 0x02),
	SENSE_DEVICE_RESET = SENSE_CODE(0x6, 0x29, 0x03),
	SENSE_MODE_CHANGED = SENSE_CODE(0x6, 0x2a, 0x01),
	SENSE_RESERVATIONS_PREEMPTED = SENSE_CODE(0x6, 0x2a, 0x03),
	SENSE_RESERVATIONS_RELEASED = SENSE_CODE(0x6, 0x2a, 0x04),
	SENSE_REGISTRATIONS_PREEMPTED = SENSE_CODE(0x6, 0x2a, 0x05),
	SENSE_CAPACITY_CHANGED = SENSE_CODE(0x6, 0x2a, 0x09),
	SENSE_COMMANDS_CLEARED = SENSE_CODE(0x6, 0x2f, 0x00),
	SENSE_LUNS_CHANGED = SENSE_CODE(0x6, 0x3f, 0x0e),
	SENSE_TOO_MANY_TARGETS = SENSE_CODE(0x5, 0x26, 0x06),
	SENSE_TARGET_TYPE = SENSE_CODE(0x5, 0x26, 0x07),
	SENSE_TOO_MANY_SEGMENTS = SENSE_CODE(0x5, 0x26, 0x08),
	SENSE_SEGMENT_TYPE = SENSE_CODE(0x5, 0x26, 0x09),
	SENSE_WRITE_PROTECTED = SENSE_CODE(0x7, 0x27, 0x00),
	SENSE_SOFTWARE_WRITE_PROTECTED = SENSE_CODE(0x7, 0x27, 0x02),
	SENSE_SPACE_FAILED = SENSE_CODE(0x7, 0x27, 0x07),
	SENSE_COPY_ABORTED = SENSE_CODE(0xa, 0x00, 0x00),
	SENSE_COPY_UNREACHABLE = SENSE_CODE(0xa, 0x08, 0x04),
	SENSE_COPY_DEVICE_FAILURE = SENSE_CODE(0xa, 0x0d, 0x01),
	SENSE_MISCOMPARE = SENSE_CODE(0xe, 0x1d, 0x00),
};

/* What goes with a code. */
struct scsi_sense {
	uint32_t code;
	bool info_valid;
	uint64_t info;		/* INFORMATION */
	bool field_valid;	/* ILLEGAL REQUEST: byte `field` is wrong ... */
	bool field_in_cdb;	/* ... of the CDB, else of the data-out */
	uint16_t field;
};

/*
 * Writes current sense data, descriptor format (72h) or fixed (70h), into buf
 * of SCSI_SENSE_MAX bytes; returns its length (SPC-4 4.5.2, 4.5.3).
 */
size_t scsi_sense_encode(const struct scsi_sense *s, bool descriptor,
    uint8_t *buf);

#endif
