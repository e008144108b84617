/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Asymmetric logical unit access, SPC-4 5.15.2: each target port group has a
 * state for each unit.  All portals of a box reach the same disks, so groups
 * begin active/optimized; an initiator or an administrator changes that.
 */
#ifndef VMFS_ISCSI_SCSI_ALUA_H
#define VMFS_ISCSI_SCSI_ALUA_H

#include <stdbool.h>
#include <stdint.h>

#include "iscsi/scsi/scsi.h"

struct scsi_cmd;

/* ASYMMETRIC ACCESS STATE, SPC-4 table 307. */
enum alua_state {
	ALUA_OPTIMIZED = 0x0,
	ALUA_NON_OPTIMIZED = 0x1,
	ALUA_STANDBY = 0x2,
	ALUA_UNAVAILABLE = 0x3,
};

/* Of a unit, by group; guarded by its lock. */
struct alua {
	struct {
		uint8_t state;		/* enum alua_state */
		uint8_t cause;		/* STATUS CODE, SPC-4 table 309 */
	} groups[SCSI_GROUPS_MAX];
};

/* Whether the command may run through its port; else sense is set. */
bool alua_admits(struct scsi_cmd *c);

#endif
