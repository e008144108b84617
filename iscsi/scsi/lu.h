/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A logical unit: its disk, its task set and its state.  Commands of several
 * reactors run on it at once.
 */
#ifndef VMFS_ISCSI_SCSI_LU_H
#define VMFS_ISCSI_SCSI_LU_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "iscsi/scsi/alua.h"
#include "iscsi/scsi/pr.h"
#include "iscsi/scsi/range.h"
#include "iscsi/scsi/sanitize.h"
#include "iscsi/scsi/scsi.h"
#include "iscsi/scsi/thin.h"
#include "libvmfs/base/list.h"
#include "libvmfs/env/shared.h"

/* Limits that VPD B0h tells and the commands enforce. */
#define LU_CAW_BLOCKS_MAX 128
#define LU_UNMAP_DESCRIPTORS_MAX 256
#define LU_UNMAP_BLOCKS_MAX (1U << 20)
#define LU_WRITE_SAME_BLOCKS_MAX 65535U

struct scsi_lu {
	struct env *env;
	/* May be closed as soon as no command is in the task set, while others
	 * still have the unit: they do without it. */
	struct disk *disk;
	unsigned caps;			/* DISK_CAP_* of it */
	char serial[64];
	char vendor[9];
	char product[17];
	struct uuid uuid;
	bool readonly;
	uint64_t cache_id;
	bool thin;
	bool removable;
	uint32_t block_size;
	_Atomic uint64_t blocks;
	uint32_t caw_blocks_max;
	uint32_t atomic_blocks_max;	/* 0: no WRITE ATOMIC */
	bool same_to_end;		/* WRITE SAME of 0 blocks: to the end */
	unsigned mappings;		/* LUNs of all targets */
	atomic_uint refs;		/* its owner, and each itl */

	/* Guards all below, and the unit attentions of the itls. */
	struct shared_lock lock;
	struct list itls;
	struct list cmds;		/* task set, in order of arrival */
	unsigned ordered;		/* ORDERED tasks among them */
	unsigned held_back;		/* tasks that wait for ordering */
	unsigned ghosts;		/* tasks whose nexus is gone */
	struct shared_cond left;	/* a task left, a PR OUT ended */
	struct range_set ranges;
	struct list rods;		/* valid ones of this unit, rod.h */
	struct rod_store *rod_store;	/* set when first mapped */

	/* Control mode page, changeable bits. */
	bool descriptor_sense;
	bool software_write_protect;
	bool ejected;
	const struct scsi_nexus *reserved_by;	/* RESERVE(6), RESERVE(10) */
	struct pr_state pr;
	struct alua alua;
	struct thin pool;
	struct io_stats stats;	/* of the itls that are no more */
	struct sanitize sanitize;
	void (*on_setting)(void *arg);
	void *on_setting_arg;
	void (*on_change)(void *arg, const struct scsi_change *ch);
	void *on_change_arg;
};

void lu_ref(struct scsi_lu *lu);
/* Frees it after the last one. */
void lu_unref(struct scsi_lu *lu);

/* All of these with the lock held.
 *
 * Takes a new size of the disk over and raises CAPACITY DATA HAS CHANGED. */
void lu_check_size(struct scsi_lu *lu);
/* Longest WRITE SAME, blocks. */
uint64_t lu_write_same_max(const struct scsi_lu *lu);
/* Bytes per physical block over bytes per logical, as an exponent of two. */
unsigned lu_physical_exponent(const struct scsi_lu *lu);
/* NAA designator (VPD 83h): how EXTENDED COPY names the unit. */
void lu_naa(const struct scsi_lu *lu, uint8_t ret_naa[16]);
/* Whether somebody's PREVENT ALLOW MEDIUM REMOVAL is in force. */
bool lu_removal_prevented(const struct scsi_lu *lu);
/* Takes back what a reset does (SAM-5 6.3.3), not persistent reservations. */
void lu_reset_state(struct scsi_lu *lu);

#endif
