/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Representations of data (SPC-4 5.17.6): ranges of blocks of a unit, known by
 * a token that whoever has it may copy from, through any LUN of the box.
 *
 * They are points in time in their cheapest form, "change vulnerable": a
 * write to one of the blocks cancels the token.  What changes a disk without
 * passing by this target is not seen.
 */
#ifndef VMFS_ISCSI_SCSI_ROD_H
#define VMFS_ISCSI_SCSI_ROD_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "iscsi/scsi/copy.h"
#include "iscsi/scsi/nexus.h"
#include "libvmfs/base/list.h"
#include "libvmfs/env/shared.h"

/* Limits that VPD 8Fh tells. */
#define ROD_TOKEN_LEN 512
#define ROD_MANAGEMENT_LEN 96		/* header and body of a token */
#define ROD_RANGES_MAX 256U
#define ROD_BYTES_MAX ((uint64_t)4 << 30)	/* of one token */
#define ROD_BYTES_OPTIMAL ((uint64_t)64 << 20)
#define ROD_TIMEOUT_MAX_S 3600U
#define ROD_TIMEOUT_S 60U
#define ROD_TOKENS_MAX 1024U		/* of the box */
#define ROD_TOKENS_PORT_MAX 256U	/* of one initiator port */

/* ROD TYPE, SPC-4 table 110 and SBC-3 4.28.4. */
#define ROD_PIT_DEFAULT 0x00800000U
#define ROD_PIT_VULNERABLE 0x00800001U
#define ROD_PIT_ANY 0x0080ffffU
#define ROD_ZERO 0xffff0001U

enum rod_state { ROD_VALID, ROD_CANCELLED, ROD_DELETED, ROD_REVOKED };

struct rod {
	struct rod_store *store;
	struct list node;		/* on store->rods */
	struct list lu_node;		/* on lu->rods while it is valid */
	uint64_t id;
	uint8_t token[ROD_TOKEN_LEN];
	struct scsi_lu *lu;		/* NULL when the unit is gone */
	_Atomic int state;		/* enum rod_state */
	/* Who made it: reads are in his name. */
	char port[SCSI_PORT_NAME_SIZE], target[SCSI_PORT_NAME_SIZE];
	struct copy_range *ranges;
	unsigned range_count;
	uint64_t first, end;		/* blocks, around all of them */
	uint64_t bytes;
	uint64_t timeout_ns, used_ns;	/* sched_now scale */
	unsigned users;
};

/* All tokens of the box.  Its lock is taken before that of a unit. */
struct rod_store {
	struct shared_lock lock;
	struct shared_cond idle;	/* a user left */
	struct list rods;		/* oldest first */
	unsigned count;
	uint64_t last_id;
	struct scsi_itl *reader;	/* stands for who reads by token */
	atomic_uint refs;
};

/* One reference; NULL: no memory. */
struct rod_store *rod_store_new(struct env *env);
struct rod_store *rod_store_ref(struct rod_store *s);
/* NULL is fine. */
void rod_store_drop(struct rod_store *s);

/*
 * A token of c's unit for its initiator, whose oldest is cancelled when he has
 * too many; takes ranges in any case.  -ENOSPC: the box has too many; -ENOMEM.
 */
int rod_create(struct scsi_cmd *c, uint32_t type, struct copy_range *ranges,
    unsigned count, uint64_t bytes, uint32_t timeout_s, uint64_t *ret_id)
    MUST_CHECK;
/* The token itself; -ENOENT when it is no longer known. */
int rod_token(struct rod_store *s, uint64_t id, uint8_t ret_token[512])
    MUST_CHECK;
/*
 * What a token stands for, which may be used until rod_put; or the sense code
 * (SPC-4 5.17.6.5.2.3).  Not for the zero token.
 */
uint32_t rod_get(struct rod_store *s, uint64_t now,
    const uint8_t token[ROD_TOKEN_LEN], struct rod **ret_rod);
void rod_put(struct rod_store *s, struct rod *rod, uint64_t now, bool delete);
/* SENSE_NONE while the token is good. */
uint32_t rod_sense(const struct rod *rod);
/* Management tokens of a unit into p, which has room for ROD_TOKENS_MAX;
 * returns their bytes. */
size_t rods_report(struct rod_store *s, const struct scsi_lu *lu,
    uint64_t now, uint8_t *p);

/* Blocks of lu are to be written; its lock is held. */
void rods_written(struct scsi_lu *lu, uint64_t lba, uint64_t blocks);
/* The unit goes away: its tokens are revoked.  Suspends while one is read. */
void rods_forget(struct rod_store *s, struct scsi_lu *lu);
/* Whether reservations keep who made it from reading; the unit's lock is
 * held. */
bool rod_conflicts(const struct rod *rod);

#endif
