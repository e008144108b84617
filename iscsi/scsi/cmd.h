/* SPDX-License-Identifier: BSD-2-Clause */
/* A command while the device server has it, and what handlers use. */
#ifndef VMFS_ISCSI_SCSI_CMD_H
#define VMFS_ISCSI_SCSI_CMD_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "iscsi/scsi/cdb.h"
#include "iscsi/scsi/lu.h"
#include "iscsi/scsi/nexus.h"
#include "iscsi/scsi/range.h"
#include "iscsi/scsi/scsi.h"
#include "iscsi/scsi/sense.h"
#include "libvmfs/env/disk.h"

/*
 * A command runs on the scheduler it was submitted on, its own.  What others
 * do to it (abort it, let it go on) they do under the lock of its unit, and
 * then wake it there.
 */
enum cmd_state {
	CMD_HELD_BACK,		/* an earlier task must end first (ORDERED) */
	CMD_STARTING,		/* no longer; its scheduler has been told */
	CMD_RUNNING,
};

struct scsi_cmd {
	struct scsi_task *task;
	struct scsi_nexus *nexus;
	struct scsi_target *target;	/* of the nexus, and outlives it */
	struct scsi_itl *itl;		/* NULL: LUN without a unit */
	struct scsi_lu *lu;		/* likewise */
	const struct cdb_op *op;	/* NULL: unknown */
	bool op_known;			/* operation code exists */
	bool inner;			/* see scsi_task_submit_inner */
	bool admitted;			/* past all checks of cmd_check */
	struct sched *sched;		/* its own */
	struct list node;		/* on lu->cmds */
	enum cmd_state state;		/* under the unit's lock */
	atomic_bool aborted;		/* start no more I/O, end soon */
	bool abort_told;		/* ends with TASK ABORTED, not silent */
	bool ghost;			/* its nexus is gone, see cmd_haunted */
	struct scsi_sense sense;

	struct range_lock range;
	bool range_decided;
	struct fiber *fiber;		/* waits for range */
	/* Posted by others; at most one is under way. */
	struct sched_work kick;
	uint64_t read_bytes, written_bytes;	/* for the books, at the end */
	uint64_t start_ns;		/* sched_now scale */

	/* READ, WRITE, SYNCHRONIZE CACHE without a fiber. */
	struct disk_req req;
	struct iovec iov;
	uint8_t *data;
	uint64_t offset, left;		/* bytes */
	struct nexus_data *held;	/* its data-in is counted there ... */
	uint64_t buffered;		/* ... with so many bytes */
};

/* ---- results; each returns true so that a handler can return it ---- */

bool scsi_cmd_status(struct scsi_cmd *c, enum scsi_status status);
bool scsi_cmd_fail(struct scsi_cmd *c, uint32_t code);
/* INVALID FIELD IN CDB / IN PARAMETER LIST with the field pointer. */
bool scsi_cmd_bad_cdb(struct scsi_cmd *c, uint16_t byte);
bool scsi_cmd_bad_parameter(struct scsi_cmd *c, uint16_t byte);
/* Sense for a failed disk request. */
bool scsi_cmd_disk_failed(struct scsi_cmd *c, const struct disk_req *req);

/* ---- data-in ---- */

/* Zeroed buffer for an answer; NULL: status is set, return true. */
uint8_t *scsi_cmd_reply(struct scsi_cmd *c, size_t size);
/* len bytes of it are valid, the initiator takes at most allocation. */
bool scsi_cmd_replied(struct scsi_cmd *c, size_t len, size_t allocation);

/* ---- checks ---- */

/* False: sense is set (LOGICAL BLOCK ADDRESS OUT OF RANGE). */
bool scsi_cmd_in_range(struct scsi_cmd *c, uint64_t lba, uint64_t blocks);
/*
 * Extent of a READ-like CDB: in range, no longer than SCSI_TRANSFER_MAX and
 * without protection information.  False: sense is set.
 */
bool scsi_cmd_extent(struct scsi_cmd *c, uint64_t *ret_lba,
    uint32_t *ret_blocks);

/* ---- running ---- */

/*
 * Submits a task of the device server itself, on behalf of one of the nexus.
 * It is in the task set of its unit like any other, but leaves unit attentions
 * to the initiator and goes past ORDERED tasks.
 */
void scsi_task_submit_inner(struct scsi_task *t);
/* Ends a command whose handler returned false.  Not from within submit. */
void scsi_cmd_finish(struct scsi_cmd *c);
/*
 * Asks a command to end: one that waits ends soon, I/O in flight is awaited.
 * told: its initiator hears TASK ABORTED (it did not ask itself; TAS = 1).
 * The unit's lock is held.
 */
void scsi_cmd_abort(struct scsi_cmd *c, bool told);
/* Aborts a command whose nexus is lost; likewise with the unit's lock. */
void scsi_cmd_give_up(struct scsi_cmd *c);
/*
 * Suspends until no aborted command but `self` (may be NULL) is left in the
 * task set.  The unit's lock is held, and is left meanwhile.
 */
void scsi_lu_drain(struct scsi_lu *lu, const struct scsi_cmd *self);

/*
 * Acquires c->range, whose extent is set.  0: held; -EAGAIN: `decided` runs
 * on the command's scheduler when it is held or the command is aborted;
 * -ECANCELED: aborted already.
 */
int scsi_cmd_range(struct scsi_cmd *c, void (*decided)(void *arg))
    MUST_CHECK;

/* ---- for handlers with OP_FIBER; each suspends ---- */

/* Holds c->range until the command ends.  -ECANCELED when aborted. */
int scsi_cmd_lock(struct scsi_cmd *c, uint64_t lba, uint64_t blocks,
    bool exclusive) MUST_CHECK;
/* Frees c->range early. */
void scsi_cmd_unlock(struct scsi_cmd *c);
/* One request; on failure sense is set.  -ECANCELED when aborted. */
int scsi_cmd_disk(struct scsi_cmd *c, struct disk_req *req) MUST_CHECK;
/* By steps the disk can take. */
int scsi_cmd_read(struct scsi_cmd *c, uint64_t offset, void *buf, size_t len)
    MUST_CHECK;
int scsi_cmd_write(struct scsi_cmd *c, uint64_t offset, const void *buf,
    size_t len, unsigned flags) MUST_CHECK;

/* ---- books ---- */

/* Tells lu->on_change, which is not NULL, of an ended command. */
void scsi_observe(const struct scsi_cmd *c);

/* ---- handlers, by the file that has them ---- */

/* spc.c */
bool scsi_test_unit_ready(struct scsi_cmd *c);
bool scsi_request_sense(struct scsi_cmd *c);
bool scsi_report_luns(struct scsi_cmd *c);
bool scsi_send_diagnostic(struct scsi_cmd *c);
/* inquiry.c, vpd.c */
bool scsi_inquiry(struct scsi_cmd *c);
bool scsi_vpd(struct scsi_cmd *c, uint8_t page, size_t allocation);
/* Page 8Fh from byte 4 on, at most 512 bytes; returns its PAGE LENGTH. */
size_t vpd_copy(const struct scsi_cmd *c, uint8_t *p);
/* mode.c */
bool scsi_mode_sense(struct scsi_cmd *c);
bool scsi_mode_select(struct scsi_cmd *c);
/* log.c */
bool scsi_log_sense(struct scsi_cmd *c);
/* rsoc.c */
bool scsi_report_opcodes(struct scsi_cmd *c);
bool scsi_report_tmfs(struct scsi_cmd *c);
/* reserve.c */
bool scsi_reserve(struct scsi_cmd *c);
bool scsi_release(struct scsi_cmd *c);
bool scsi_reserve_conflicts(const struct scsi_cmd *c);
/* sbc.c */
bool scsi_read_capacity10(struct scsi_cmd *c);
bool scsi_read_capacity16(struct scsi_cmd *c);
bool scsi_read_defects(struct scsi_cmd *c);
bool scsi_prefetch(struct scsi_cmd *c);
bool scsi_synchronize_cache(struct scsi_cmd *c);
bool scsi_start_stop(struct scsi_cmd *c);
bool scsi_prevent_allow(struct scsi_cmd *c);
/* sbc_map.c */
bool scsi_get_lba_status(struct scsi_cmd *c);
/* sbc_rw.c */
bool scsi_read(struct scsi_cmd *c);
bool scsi_write(struct scsi_cmd *c);
bool scsi_write_atomic(struct scsi_cmd *c);
/* sbc_verify.c */
bool scsi_verify(struct scsi_cmd *c);
bool scsi_write_and_verify(struct scsi_cmd *c);
/* sbc_same.c, sbc_unmap.c */
bool scsi_write_same(struct scsi_cmd *c);
bool scsi_unmap(struct scsi_cmd *c);
/* sanitize.c */
bool scsi_sanitize(struct scsi_cmd *c);
/* caw.c */
bool scsi_compare_and_write(struct scsi_cmd *c);
bool scsi_orwrite(struct scsi_cmd *c);
/* xcopy.c, xcopy_results.c, copy.c */
bool scsi_extended_copy(struct scsi_cmd *c);
bool scsi_receive_copy_results(struct scsi_cmd *c);
bool scsi_copy_operation_abort(struct scsi_cmd *c);
/* alua.c */
bool scsi_report_groups(struct scsi_cmd *c);
bool scsi_set_groups(struct scsi_cmd *c);
/* rod_token.c, rod_write.c */
bool scsi_populate_token(struct scsi_cmd *c);
bool scsi_report_all_tokens(struct scsi_cmd *c);
bool scsi_write_using_token(struct scsi_cmd *c);

#endif
