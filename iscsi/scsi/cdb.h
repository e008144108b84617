/* SPDX-License-Identifier: BSD-2-Clause */
/* The table of commands: everything about a CDB but what it does. */
#ifndef VMFS_ISCSI_SCSI_CDB_H
#define VMFS_ISCSI_SCSI_CDB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "iscsi/scsi/pr.h"

struct scsi_cmd;
struct scsi_lu;

enum cdb_flag {
	OP_WRITES = 1 << 0,	/* refused by a write-protected unit */
	OP_MEDIUM = 1 << 1,	/* needs a medium loaded */
	OP_FIBER = 1 << 2,	/* handler suspends: gets a fiber, and runs
				 * without the unit's lock */
	OP_NO_UA = 1 << 3,	/* goes past unit attentions, SAM-5 5.14 */
	OP_NO_LU = 1 << 4,	/* answered for LUNs without a unit as well */
	OP_THIN = 1 << 5,	/* only on thin units */
	OP_REMOVABLE = 1 << 6,	/* only on units with removable medium */
	OP_SERVICE = 1 << 7,	/* SERVICE ACTION in byte 1, bits 4 to 0 */
	OP_UNLOCKED = 1 << 8,	/* handler runs without the unit's lock */
	OP_ATOMIC = 1 << 9,	/* only where the disk writes atomically */
	OP_SANITIZE = 1 << 10,	/* only on units that can; is let in after a
				 * sanitize operation failed */
	OP_SANITIZING = 1 << 11, /* is let in during and after it as well */
	OP_CRYPTO = 1 << 12,	/* only on disks with a key to forget */
};

/* Where a CDB says how much data-out it wants. */
enum cdb_out {
	OUT_NONE,
	OUT_EXTENT,		/* TRANSFER LENGTH blocks */
	OUT_VERIFY,		/* by BYTCHK: none, all or one block */
	OUT_SAME,		/* one block, none with NDOB */
	OUT_CAW,		/* twice NUMBER OF LOGICAL BLOCKS */
	OUT_LIST8,		/* bytes in byte 4 */
	OUT_LIST16,		/* bytes in bytes 7 and 8 */
	OUT_LIST32,		/* bytes in bytes 5 to 8 */
	OUT_LIST32_6,		/* bytes in bytes 6 to 9 */
	OUT_LIST32_10,		/* bytes in bytes 10 to 13 */
};

struct cdb_op {
	uint8_t opcode;
	uint8_t service;	/* with OP_SERVICE */
	uint8_t len;
	uint16_t flags;		/* enum cdb_flag */
	enum scsi_access access;
	enum cdb_out out;
	const char *name;
	/*
	 * True: finished, status and sense are set.  False: scsi_cmd_finish
	 * follows.
	 */
	bool (*run)(struct scsi_cmd *c);
	uint8_t usage[16];	/* bits of the CDB that mean something */
};

/* All commands, for REPORT SUPPORTED OPERATION CODES. */
const struct cdb_op *cdb_table(size_t *ret_count);
/* Whether a unit has the command. */
bool cdb_op_present(const struct cdb_op *op, const struct scsi_lu *lu);
/*
 * The command of a CDB of len >= 1 bytes; NULL when there is none.  Then
 * *ret_known tells whether at least its operation code exists.
 */
const struct cdb_op *cdb_lookup(const struct scsi_lu *lu, const uint8_t *cdb,
    size_t len, bool *ret_known);
/* LOGICAL BLOCK ADDRESS and TRANSFER LENGTH, by the group of the operation
 * code (SPC-4 4.2.5.1); READ(6) and WRITE(6) say 256 by 0. */
void cdb_extent(const uint8_t *cdb, uint64_t *ret_lba, uint32_t *ret_blocks);
/* What the CDB does to the medium: mostly what its row says. */
enum scsi_access cdb_access(const struct cdb_op *op, const uint8_t *cdb);
/* Bytes of data-out the CDB asks for. */
uint64_t cdb_out_length(const struct cdb_op *op, const struct scsi_lu *lu,
    const uint8_t *cdb);

#endif
