/* SPDX-License-Identifier: BSD-2-Clause */
/* Unit attention conditions of one I_T_L nexus, SAM-5 5.14. */
#ifndef VMFS_ISCSI_SCSI_UA_H
#define VMFS_ISCSI_SCSI_UA_H

#include <stdbool.h>
#include <stdint.h>

#define UA_QUEUE_MAX 8

struct ua_queue {
	uint32_t codes[UA_QUEUE_MAX];	/* enum scsi_sense_code, oldest first */
	unsigned count;
};

struct scsi_lu;
struct scsi_nexus;

/*
 * Queues a condition once.  A reset or power on replaces what it implies; a
 * full queue, which that makes rare, loses its oldest.
 */
void ua_add(struct ua_queue *q, uint32_t code);
/* Oldest condition, taken off the queue; SENSE_NONE when there is none. */
uint32_t ua_take(struct ua_queue *q);
/* Drops one condition, if queued. */
void ua_clear(struct ua_queue *q, uint32_t code);

/* For every nexus of the unit but `except` (may be NULL). */
void ua_add_all(struct scsi_lu *lu, uint32_t code,
    const struct scsi_nexus *except);

#endif
