/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The pool that a thin unit takes its blocks from, and the soft threshold at
 * which initiators hear that it gets full: SBC-4 4.7.3.
 */
#ifndef VMFS_ISCSI_SCSI_THIN_H
#define VMFS_ISCSI_SCSI_THIN_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct scsi_cmd;
struct scsi_lu;
struct scsi_lu_settings;

/* A threshold set, in which all counts are. */
#define THIN_SET_BYTES ((uint64_t)1 << 20)
/* Pool in use at which the threshold is unless somebody says so. */
#define THIN_WARN_PERCENT 80

struct thin {
	bool pool;			/* the disk tells its space */
	/* Guarded by the unit's lock. */
	bool enabled;
	bool reached;
	uint32_t threshold;		/* sets available */
	/* What lasts, and whether somebody has said so. */
	bool saved, saved_enabled;
	uint32_t saved_threshold;
	_Atomic int64_t until_look;	/* bytes to be written */
};

/* With the disk of a new unit; percent 0: the default; s NULL: unless this says
 * something. */
void thin_init(struct scsi_lu *lu, unsigned percent,
    const struct scsi_lu_settings *s);
/* The same while it runs.  Without the unit's lock. */
void thin_set(struct scsi_lu *lu, unsigned percent,
    const struct scsi_lu_settings *s);
/* What lasts; with the unit's lock. */
void thin_settings(const struct thin *t, struct scsi_lu_settings *s);
/* A command that wrote, or found the pool full, has ended.  Without the
 * unit's lock. */
void thin_wrote(const struct scsi_cmd *c);
/* THRESHOLD EXPONENT of VPD B2h, 0: there are no thresholds. */
uint8_t thin_exponent(const struct scsi_lu *lu);

/* Mode page 1Ch subpage 02h, from its head on; by PAGE CONTROL.  All with the
 * unit's lock. */
#define THIN_PAGE_LEN 20		/* bytes behind the head of 4 */
enum thin_values { THIN_CURRENT, THIN_CHANGEABLE, THIN_SAVED };
void thin_page_encode(const struct scsi_lu *lu, enum thin_values values,
    uint8_t *p);
/* True: something is different now. */
bool thin_page_apply(struct scsi_lu *lu, const uint8_t *p);
/* The current values are to last. */
void thin_page_save(struct scsi_lu *lu);
/* Log page 0Ch: parameters with codes of at least `from`; their length. */
size_t thin_log_encode(const struct scsi_lu *lu, uint16_t from, uint8_t *p);

#endif
