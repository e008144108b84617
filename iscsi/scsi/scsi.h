/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The SCSI device server: what iscsi/ (the transport) and vmfsd (the
 * configuration) see of it.  A nexus and its tasks live on the scheduler that
 * opened the nexus; nexuses of several schedulers may share targets and units.
 *
 *   scsi_target   one SCSI target device: LUNs and their access lists
 *   scsi_lu       one logical unit over a struct disk; may be mapped in
 *                 several targets and under several numbers
 *   scsi_nexus    one I_T nexus: a session of an initiator port
 *   scsi_task     one command, from CDB to status
 */
#ifndef VMFS_ISCSI_SCSI_SCSI_H
#define VMFS_ISCSI_SCSI_SCSI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "libvmfs/base/err.h"
#include "libvmfs/base/io_stats.h"
#include "libvmfs/base/list.h"
#include "libvmfs/base/uuid.h"
#include "libvmfs/env/disk.h"
#include "libvmfs/env/env.h"

#define SCSI_CDB_MAX 32		/* longest CDB taken, AHS included */
#define SCSI_SENSE_MAX 96
#define SCSI_LUNS_MAX 256	/* LUNs of one target, numbers 0..255 */
#define SCSI_NAME_MAX 224	/* iSCSI name, RFC 7143 4.2.7.1 */
#define SCSI_GROUPS_MAX 16	/* target port groups of a box */

struct scsi_target;
struct scsi_lu;
struct scsi_nexus;

/* ---- logical units ---- */

/* What became of a command that writes. */
enum scsi_change_fate {
	SCSI_CHANGE_REFUSED,	/* by a check: nothing was done */
	SCSI_CHANGE_ACCEPTED,
	SCSI_CHANGE_ABORTED,	/* accepted, then ended: done or not */
};

/* A command that could change medium or reservations, as it ended. */
struct scsi_change {
	const char *initiator_port, *target;
	unsigned lun;
	const char *command;
	uint64_t lba, blocks;	/* 0 for PERSISTENT RESERVE OUT */
	uint64_t key, sa_key;	/* of PERSISTENT RESERVE OUT */
	uint8_t status;		/* enum scsi_status */
	enum scsi_change_fate fate;
};

/* What initiators and administrators change of a unit, and is to last. */
struct scsi_lu_settings {
	uint8_t access[SCSI_GROUPS_MAX]; /* by port group; SPC-4 table 307 */
	bool threshold_set;		/* else the warn_percent of the unit */
	bool threshold_on;
	uint64_t threshold_free;	/* bytes available; whole MiB count */
};

struct scsi_lu_conf {
	const char *serial;	/* VPD 80h; NULL: derived from uuid */
	struct uuid uuid;	/* names the unit in VPD 83h (NAA 6) */
	const char *vendor;	/* NULL: "VMFSD" */
	const char *product;	/* NULL: "VIRTUAL-DISK" */
	bool readonly;
	bool thin;		/* advertise LBPME/UNMAP */
	bool removable;
	/* WRITE SAME of 0 blocks means "to the end" (WSNZ = 0), and of any
	 * length is done; else 0 is refused and the length limited. */
	bool same_to_end;
	uint32_t block_size;	/* 0: the disk's */
	/* Pool in use at which initiators are told, where the disk knows
	 * its space: 1 to 100; 0: 80. */
	unsigned warn_percent;
	const struct scsi_lu_settings *settings;	/* NULL: all zero */
	/*
	 * An initiator has changed a setting that is to last.  On any
	 * reactor, with the unit locked: must not suspend nor call back.
	 * NULL: nothing lasts.
	 */
	void (*on_setting)(void *arg);
	void *on_setting_arg;
	/* Changes when acknowledged writes that were not flushed may be gone
	 * (a reboot); told to initiators, 0: not told. */
	uint64_t cache_id;
	/*
	 * Keeps the image of reservations made with APTPL where it outlives
	 * the program: durable when it returns 0.  The image is the caller's.
	 * Suspends.  NULL: APTPL is refused.
	 */
	int (*pr_save)(void *arg, const void *image, size_t len);
	void *pr_save_arg;
	/*
	 * The same for the image of a SANITIZE under way: with it the
	 * operation goes on when the unit is made anew.  NULL: there is no
	 * SANITIZE.
	 */
	int (*sanitize_save)(void *arg, const void *image, size_t len);
	void *sanitize_save_arg;
	const void *sanitize_image;
	size_t sanitize_image_len;
	/*
	 * Told of each command that could change medium or reservations when
	 * it has ended: what it did it has done, and its initiator does not
	 * know yet.  On any reactor, with the unit locked: must not suspend
	 * nor call back.  NULL: nobody asks.
	 */
	void (*on_change)(void *arg, const struct scsi_change *ch);
	void *on_change_arg;
	const void *pr_image;	/* saved last, NULL for none ... */
	size_t pr_image_len;	/* ... of so many bytes */
};

/*
 * Does not own the disk, which must outlive the unit.  -EINVAL for a block
 * size that does not fit, -VMFS_ECORRUPT for a damaged pr_image or
 * sanitize_image.
 */
int scsi_lu_new(struct env *env, struct disk *disk,
    const struct scsi_lu_conf *conf, struct scsi_lu **ret_lu) MUST_CHECK;
/*
 * Only when no target maps it any more.  The disk is the caller's again; the
 * unit is forgotten when the last nexus that saw it closes.
 * Suspends while a copy still reads from it through a token or a SANITIZE
 * stops; on the scheduler of env.
 */
void scsi_lu_free(struct scsi_lu *lu);
/*
 * Reads the size of the disk again; initiators hear of a change by CAPACITY
 * DATA HAS CHANGED.  Errors of disk_refresh.  Suspends.
 */
int scsi_lu_refresh(struct scsi_lu *lu) MUST_CHECK;
/* What is to last of the unit's settings.  Any thread. */
void scsi_lu_settings(struct scsi_lu *lu, struct scsi_lu_settings *ret_s);
/* Changes them; initiators hear of it by unit attentions.  Any thread. */
void scsi_lu_set(struct scsi_lu *lu, const struct scsi_lu_settings *s,
    unsigned warn_percent);
/*
 * Changes the asymmetric access state (SPC-4 table 307, 0 to 3) of the unit
 * through a target port group; initiators hear of it by a unit attention.
 * -EINVAL.  Any thread.
 */
int scsi_lu_set_access(struct scsi_lu *lu, unsigned group, unsigned state)
    MUST_CHECK;

/* ---- targets ---- */

int scsi_target_new(struct env *env, const char *iqn,
    struct scsi_target **ret_t) MUST_CHECK;
/*
 * Tokens of copies that t makes are good in `with` as well.  Before anything
 * is mapped in t.
 */
void scsi_target_share(struct scsi_target *t, struct scsi_target *with);
/*
 * Its target port groups, each with one port; bit n of the set stands for
 * number n + 1.  Without this: number 1.
 */
void scsi_target_set_groups(struct scsi_target *t, uint32_t groups);
/* Only when no nexus is left. */
void scsi_target_free(struct scsi_target *t);
const char *scsi_target_iqn(const struct scsi_target *t);
/* -EEXIST when the number is taken, -EINVAL above 255. */
int scsi_target_map(struct scsi_target *t, unsigned lun, struct scsi_lu *lu)
    MUST_CHECK;
/*
 * Takes a unit away.  Commands on it end with LOGICAL UNIT NOT SUPPORTED, and
 * when this returns none of them can reach the disk any more; the nexuses hear
 * REPORTED LUNS DATA HAS CHANGED on their other units.  -ENOENT when nothing
 * is mapped.  Suspends.
 */
int scsi_target_unmap(struct scsi_target *t, unsigned lun) MUST_CHECK;
/*
 * A unit is to be mapped there that is not ready yet, or is not to come after
 * all.  Until then its number is reported and commands to it end with BUSY, so
 * that initiators try again: what is not supported they give up.  Mapping and
 * taking away end that, too.
 */
void scsi_target_await(struct scsi_target *t, unsigned lun, bool awaited);
/* NULL when nothing is mapped there. */
struct scsi_lu *scsi_target_lu(const struct scsi_target *t, unsigned lun);

/* ---- nexuses ---- */

/* What an initiator sees of a target. */
struct scsi_view {
	struct {
		bool shown, readonly;
		uint8_t lun;		/* of the target */
	} luns[SCSI_LUNS_MAX];		/* by the number the initiator uses */
};
/* Everything under its own number. */
void scsi_view_all(struct scsi_view *v, bool readonly);

/*
 * A session logged in.  initiator_port is the iSCSI initiator port name
 * "iqn...,i,0x<isid>" (SPC-4 7.6.4.6), the TransportID of reservations.
 * With the same port name as a nexus that went away, its persistent
 * registrations are found again.
 */
int scsi_nexus_open(struct scsi_target *t, const char *initiator_name,
    const char *initiator_port, struct scsi_nexus **ret_n) MUST_CHECK;
/* The same for one that sees part of the target; view is copied, NULL: all. */
int scsi_nexus_open_view(struct scsi_target *t, const char *initiator_name,
    const char *initiator_port, const struct scsi_view *view,
    struct scsi_nexus **ret_n) MUST_CHECK;
/*
 * By which target port it came: that of a target port group, numbered 1 to
 * SCSI_GROUPS_MAX; 1 until this is called, before the first task.
 */
void scsi_nexus_set_group(struct scsi_nexus *n, unsigned group);
/*
 * Changes what it sees: units it loses are gone as by scsi_target_unmap, but
 * for the waiting; units it gains are new to it.  NULL: all.  Any thread while
 * the nexus is open.  -ENOMEM: some of what it should gain is missing.
 */
int scsi_nexus_set_view(struct scsi_nexus *n, const struct scsi_view *view)
    MUST_CHECK;
/*
 * I_T nexus loss: aborts its tasks and takes no more.  A later nexus of the
 * same ports finds their units held back until they have ended.  Does not
 * suspend; scsi_nexus_close must follow.
 */
void scsi_nexus_abort(struct scsi_nexus *n);
/*
 * The same, if that was not done yet: aborts its tasks (their done is called
 * with aborted set before this returns), drops RESERVE(6).  Suspends.
 */
void scsi_nexus_close(struct scsi_nexus *n);

/* ---- tasks ---- */

enum scsi_attr {
	SCSI_ATTR_UNTAGGED, SCSI_ATTR_SIMPLE, SCSI_ATTR_ORDERED,
	SCSI_ATTR_HEAD, SCSI_ATTR_ACA,
};

enum scsi_status {
	SCSI_GOOD = 0x00,
	SCSI_CHECK_CONDITION = 0x02,
	SCSI_CONDITION_MET = 0x04,
	SCSI_BUSY = 0x08,
	SCSI_RESERVATION_CONFLICT = 0x18,
	SCSI_TASK_SET_FULL = 0x28,
	SCSI_TASK_ABORTED = 0x40,
};

/*
 * The transport fills the first part, has all data-out in one buffer before
 * it submits, and keeps the task until done.
 */
struct scsi_task {
	struct scsi_nexus *nexus;
	uint8_t lun[8];		/* SAM-5 LUN field as received */
	uint64_t tag;		/* initiator task tag, for task management */
	enum scsi_attr attr;
	uint8_t cdb[SCSI_CDB_MAX];
	size_t cdb_len;		/* as received; short CDBs are refused */
	bool dir_in, dir_out;	/* R and W bits of the command PDU */
	uint64_t edtl;		/* expected data transfer length, bytes */
	const uint8_t *data_out;
	size_t data_out_len;	/* bytes really received */
	void (*done)(struct scsi_task *t);
	void *arg;

	/* Result. */
	enum scsi_status status;
	uint8_t sense[SCSI_SENSE_MAX];	/* fixed or descriptor (D_SENSE) */
	size_t sense_len;
	/*
	 * What the command returns: data_in_len valid bytes, already cut to
	 * the ALLOCATION LENGTH, not to edtl.  data_in is the task's, freed by
	 * scsi_task_fini.
	 */
	uint8_t *data_in;
	size_t data_in_len;
	size_t data_in_room;	/* it is an iobuf of so many bytes; 0: not */
	/* Bytes of data-out that the CDB asked for; the transport computes
	 * residuals from it (over- and underflow, RFC 7143 11.4.5.1). */
	uint64_t data_out_wanted;
	bool aborted;		/* by task management or nexus loss: send no
				 * response (RFC 7143 4.2.3.3) */

	/* Of the device server. */
	struct scsi_cmd *cmd;
	struct rod *rod;	/* read from, by a task of its own */
	struct copy_share *share;	/* shares blocks instead, copy.h */
	struct sched_work work;
};

/*
 * Longest transfer of one command, bytes; VPD B0h says so.  A CDB that asks
 * for more fails, so that a transport need not collect its data.
 */
#define SCSI_TRANSFER_MAX ((uint64_t)16 << 20)

/*
 * done follows, never from within this call; it must not suspend, and may
 * free the task after scsi_task_fini.  Blocked tasks count against limits.
 * Data-out aligned to 4 KiB (disk_buf_alloc) spares a disk a copy.
 */
void scsi_task_submit(struct scsi_task *t);
/*
 * Frees what the device server attached; the task itself is the caller's.
 * To be called while the target lives.
 */
void scsi_task_fini(struct scsi_task *t);

/*
 * How much data-out the CDB asks for and how much data-in it could return,
 * for a transport that must collect data before it submits.  Unknown
 * operation codes: 0.
 */
uint64_t scsi_cdb_out_length(const struct scsi_nexus *n, const uint8_t lun[8],
    const uint8_t *cdb, size_t cdb_len);

enum scsi_tmf {
	SCSI_TMF_ABORT_TASK = 1,	/* numbers of RFC 7143 11.5.1 */
	SCSI_TMF_ABORT_TASK_SET = 2,
	SCSI_TMF_CLEAR_ACA = 3,
	SCSI_TMF_CLEAR_TASK_SET = 4,
	SCSI_TMF_LOGICAL_UNIT_RESET = 5,
	SCSI_TMF_TARGET_WARM_RESET = 6,
	SCSI_TMF_TARGET_COLD_RESET = 7,
};

enum scsi_tmf_response {
	SCSI_TMF_COMPLETE = 0,		/* numbers of RFC 7143 11.6.1 */
	SCSI_TMF_NO_TASK = 1,
	SCSI_TMF_NO_LUN = 2,
	SCSI_TMF_NOT_SUPPORTED = 5,
	SCSI_TMF_REJECTED = 255,
};

/*
 * Carries the function out and returns when every task it names has ended:
 * writes of them can no longer reach the disk.  Suspends.
 */
enum scsi_tmf_response scsi_tmf(struct scsi_nexus *n, enum scsi_tmf function,
    const uint8_t lun[8], uint64_t tag);

/* ---- for administration ---- */

/* Of one nexus, since it logged in. */
struct scsi_nexus_stats {
	uint64_t writes;	/* commands that write, accepted */
	uint64_t conflicts;	/* any, refused for a reservation */
	struct io_stats io;	/* on all its units */
};
/* Any thread while the nexus is open. */
void scsi_nexus_stats(struct scsi_nexus *n,
    struct scsi_nexus_stats *ret_st);

/* A unit as its initiators know it. */
struct scsi_lu_info {
	char wwn[36];		/* VPD 83h, NAA 6: "0x" and 32 digits */
	char serial[64];	/* VPD 80h */
	uint32_t block_size, phys_block_size;
	bool removable, ejected;
	const char *reservation; /* type of the persistent one; NULL: none */
	bool pool;		/* there is one, and it is watched: */
	bool warns;		/* when less than so much is available */
	uint64_t warn_free;	/* bytes */
	uint8_t access[SCSI_GROUPS_MAX];	/* SPC-4 table 307 */
};
/* Any thread. */
void scsi_lu_info(struct scsi_lu *lu, struct scsi_lu_info *ret_i);
void scsi_lu_stats(struct scsi_lu *lu, struct io_stats *ret_st);
/* "none", "running" or "failed"; how much of it is done. */
const char *scsi_lu_sanitize(struct scsi_lu *lu, unsigned *ret_percent);
/* Persistent reservation state for people: calls fn once a registration,
 * with the unit locked: fn must not suspend nor call back. */
void scsi_lu_registrations(struct scsi_lu *lu,
    void (*fn)(void *arg, const char *initiator_port, uint64_t key,
    bool holder), void *arg);

#endif
