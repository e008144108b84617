/* SPDX-License-Identifier: BSD-2-Clause */
/* Targets and I_T nexuses, as the device server sees them. */
#ifndef VMFS_ISCSI_SCSI_NEXUS_H
#define VMFS_ISCSI_SCSI_NEXUS_H

#include <stdatomic.h>
#include <stdbool.h>

#include "iscsi/scsi/copy.h"
#include "iscsi/scsi/scsi.h"
#include "iscsi/scsi/ua.h"
#include "libvmfs/base/list.h"
#include "libvmfs/env/shared.h"

/* "iqn...,i,0x<isid>" and the NUL. */
#define SCSI_PORT_NAME_SIZE (SCSI_NAME_MAX + 24)

/*
 * Data-in that commands of one target, and of one nexus, may hold until it is
 * sent: what initiators can make us allocate is bounded, whatever they ask for
 * at once.  A little a nexus has whatever the others hold.
 */
#define TARGET_BUFFERED_MAX ((uint64_t)512 << 20)
#define NEXUS_BUFFERED_MAX ((uint64_t)128 << 20)
#define NEXUS_BUFFERED_FREE ((uint64_t)1 << 20)

struct scsi_target {
	struct env *env;
	/* Bytes beyond NEXUS_BUFFERED_FREE of each; TARGET_BUFFERED_MAX. */
	_Atomic uint64_t buffered;
	char iqn[SCSI_NAME_MAX + 1];
	/* Guards all below; taken before that of a unit. */
	struct shared_lock lock;
	struct scsi_lu *luns[SCSI_LUNS_MAX];
	bool awaited[SCSI_LUNS_MAX];	/* where there is none */
	struct list nexuses;
	struct rod_store *rods;		/* of the box */
	_Atomic uint32_t groups;	/* target port groups; bit 0: 1 */
};

/*
 * One nexus and one of its logical units.  The unit's lock guards the list,
 * the unit attentions, what the nexus may do and the counters; the rest is of
 * the nexus' scheduler.  It lives as long as the nexus, also when the nexus
 * lost the unit, because a command may just have looked it up.
 */
struct scsi_itl {
	struct list lu_node;		/* on lu->itls */
	struct list gone_node;		/* on nexus->gone */
	struct scsi_nexus *nexus;
	struct scsi_lu *lu;
	struct ua_queue ua;
	bool readonly;			/* by this nexus */
	bool gone;			/* the nexus lost the unit */
	struct io_stats stats;
	bool prevents_removal;
	struct copy_op copies[COPY_OPS_MAX];
	uint64_t copies_sequence;	/* operations begun */
};

/*
 * What the tasks of a nexus hold; outlives it, as they may.  Of the nexus'
 * scheduler.
 */
struct nexus_data {
	struct scsi_target *target;
	uint64_t bytes;
	unsigned users;		/* tasks that hold some, and the nexus */
};
/* False: too much is held already.  Else to be dropped. */
bool nexus_data_take(struct nexus_data *d, uint64_t bytes);
void nexus_data_drop(struct nexus_data *d, uint64_t bytes);

struct scsi_nexus {
	struct list node;		/* on target->nexuses */
	struct scsi_target *target;
	char name[SCSI_NAME_MAX + 1];
	char port[SCSI_PORT_NAME_SIZE];
	char target_port[SCSI_PORT_NAME_SIZE];	/* "iqn...,t,0x0001" */
	unsigned group;				/* of that port, 1 and on */
	/* Set under the target's lock, read without. */
	_Atomic(struct scsi_itl *) itls[SCSI_LUNS_MAX];
	bool closing;			/* scsi_nexus_abort was called */
	struct list gone;		/* itls; under the target's lock */
	struct scsi_view view;		/* likewise */
	unsigned pending;		/* tasks and functions not done */
	struct fiber_cond idle;		/* broadcast when pending gets 0 */
	uint64_t conflicts;
	struct nexus_data *data;
};

/*
 * What the nexus sees under a number where it has no unit: one that is to come,
 * or has come just now?  Takes the target's lock.
 */
bool nexus_awaits(struct scsi_nexus *n, unsigned number);
/* Keeps scsi_nexus_close waiting between the two. */
void nexus_hold(struct scsi_nexus *n);
void nexus_drop(struct scsi_nexus *n);
/* Whether the nexus joins these two ports: how reservations know it again. */
bool nexus_is(const struct scsi_nexus *n, const char *initiator_port,
    const char *target_port);
/* LUN number of the 8-byte field (SAM-5 4.7), or -1 when no such form. */
int scsi_lun_decode(const uint8_t lun[8]);

#endif
