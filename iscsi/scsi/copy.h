/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Third-party copy, SPC-4 5.17: the books of copy operations and the commands
 * that the device server gives itself for them.
 */
#ifndef VMFS_ISCSI_SCSI_COPY_H
#define VMFS_ISCSI_SCSI_COPY_H

#include <stdbool.h>
#include <stdint.h>

#include "iscsi/scsi/scsi.h"
#include "iscsi/scsi/sense.h"

/* Service actions of 83h that originate or end copy operations. */
enum copy_action {
	COPY_LID1 = 0x00,
	COPY_LID4 = 0x01,
	COPY_POPULATE_TOKEN = 0x10,
	COPY_WRITE_USING_TOKEN = 0x11,
	COPY_OPERATION_ABORT = 0x1c,
};

/* One copy operation, and what can be asked of it (SPC-4 6.24).  Of the
 * scheduler of its nexus. */
struct copy_op {
	bool valid, running;
	bool background;		/* answered before it is done */
	bool terminated;		/* aborted */
	bool partial;			/* less than asked for, no error */
	uint8_t action;			/* enum copy_action */
	uint32_t list_id;
	uint32_t unit;			/* of the count, bytes; 0: bytes */
	uint64_t sequence;		/* age */
	uint16_t segments;		/* processed */
	uint16_t counter;		/* commands done for it */
	uint64_t bytes;			/* done */
	enum scsi_status status;
	struct scsi_sense sense;
	uint64_t rod;			/* token made, 0: none */
	struct scsi_cmd *cmd;		/* at work, NULL when done */
};
#define COPY_OPS_MAX 16			/* of an I_T_L nexus */

struct scsi_itl;

/* NULL: none of this list identifier. */
struct copy_op *copy_op_find(struct scsi_itl *itl, uint32_t list_id);
/*
 * Books for the operation of c; scratch (the caller's) when nothing is to be
 * kept.  NULL: sense is set, as the list identifier is in use or there are too
 * many operations.
 */
struct copy_op *copy_op_begin(struct scsi_cmd *c, uint32_t list_id,
    bool keep, struct copy_op *scratch);
/* With status and sense of c. */
void copy_op_end(struct copy_op *op, struct scsi_cmd *c);
/*
 * IMMED: answers c with GOOD, and has its command run as a task of the device
 * server; bits of byte `at` of the parameter list are cleared.  Always true.
 */
bool copy_background(struct scsi_cmd *c, uint32_t list_id, size_t at,
    uint8_t bits);

/* A command that the device server gives itself. */
struct copy_inner {
	struct scsi_task task;
	struct fiber *fiber;
	bool done;
};

struct rod;

/*
 * Runs READ(16), WRITE(16) or WRITE SAME(16) of blocks for c on a LUN of its
 * nexus, or on the unit of `rod` in the name of who made that.  `flags` is
 * byte 1 of the CDB, task.data_out of i is set for writes.  Suspends; i needs
 * copy_inner_fini.
 */
void copy_inner_run(struct scsi_cmd *c, struct copy_inner *i, uint8_t opcode,
    uint8_t flags, unsigned lun, struct rod *rod, uint64_t lba,
    uint32_t blocks);
void copy_inner_fini(struct copy_inner *i);
/* The inner command failed: c gets its sense when that says something of the
 * medium, else THIRD PARTY DEVICE FAILURE.  Returns true. */
bool copy_inner_failed(struct scsi_cmd *c, const struct copy_inner *i);

/* One end of a copy: blocks of a LUN of the nexus or, with `rod`, of the unit
 * of a token. */
struct copy_end {
	unsigned lun;
	struct rod *rod;
	const struct scsi_lu *lu;
	uint64_t lba;
};

/*
 * Has the destination's disk take the blocks over from the source's without
 * copying, where both can do that (DISK_SHARE): up to `bytes`, *ret_shared of
 * them, 0 when they are to be copied.  *step, which is how much the caller would
 * copy, is cut so that the next piece may be shared.  False: sense is set.
 * Suspends.
 */
bool copy_share_try(struct scsi_cmd *c, const struct copy_end *from,
    const struct copy_end *to, uint64_t bytes, uint64_t *step,
    uint64_t *ret_shared);
/* A READ(16) and a WRITE(16) of such a step, instead of data. */
bool copy_share_read(struct scsi_cmd *c);
bool copy_share_write(struct scsi_cmd *c, uint64_t lba, uint32_t blocks);

/*
 * Writes bytes of data at an end, zeroes to a thin unit as a hole.  False: sense
 * is set.  Suspends.
 */
bool copy_put(struct scsi_cmd *c, const struct copy_end *to, uint64_t bytes,
    const uint8_t *data);

/* Block device range descriptors, SBC-4 5.12.3. */
struct copy_range {
	uint64_t lba;
	uint32_t blocks;
};
/* How many whole ones the parameter list has at `at`, behind their length, which
 * it reaches at least.  0: sense is set, as there are none or more than max. */
unsigned copy_ranges_count(struct scsi_cmd *c, size_t at, unsigned max);
/*
 * `count` of them from the parameter list at `at`.  -EINVAL: sense is set, as
 * one is beyond the end or two overlap.  -ENOMEM: status is set.  The caller
 * frees.
 */
int copy_ranges(struct scsi_cmd *c, size_t at, unsigned count,
    struct copy_range **ret_ranges, uint64_t *ret_blocks) MUST_CHECK;

#endif
