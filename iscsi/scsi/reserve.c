/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * RESERVE and RELEASE (6) and (10), SPC-2 7.21, 7.17, with the rules for
 * units that know persistent reservations as well (SPC-2 5.5.1: a registrant
 * gets GOOD and nothing happens, others a conflict).
 */
#include "iscsi/scsi/cmd.h"

bool
scsi_reserve_conflicts(const struct scsi_cmd *c)
{
	const struct scsi_nexus *holder = c->lu->reserved_by;

	return holder != NULL && holder != c->nexus &&
	    c->op->access != ACCESS_FREE;
}

static bool
reserve_form_ok(struct scsi_cmd *c)
{
	/* Third party, extents, long identifiers: obsolete. */
	if (c->task->cdb[1] & 0x1f) {
		scsi_cmd_bad_cdb(c, 1);
		return false;
	}
	return true;
}

bool
scsi_reserve(struct scsi_cmd *c)
{
	struct scsi_lu *lu = c->lu;

	if (!reserve_form_ok(c))
		return true;
	if (lu->pr.count > 0)
		return scsi_cmd_status(c, pr_find(&lu->pr, c->nexus) != NULL ?
		    SCSI_GOOD : SCSI_RESERVATION_CONFLICT);
	if (lu->reserved_by != NULL && lu->reserved_by != c->nexus)
		return scsi_cmd_status(c, SCSI_RESERVATION_CONFLICT);
	lu->reserved_by = c->nexus;
	return scsi_cmd_status(c, SCSI_GOOD);
}

/* Of what another holds: GOOD without effect. */
bool
scsi_release(struct scsi_cmd *c)
{
	struct scsi_lu *lu = c->lu;

	if (!reserve_form_ok(c))
		return true;
	if (lu->pr.count > 0 && pr_find(&lu->pr, c->nexus) == NULL)
		return scsi_cmd_status(c, SCSI_RESERVATION_CONFLICT);
	if (lu->reserved_by == c->nexus)
		lu->reserved_by = NULL;
	return scsi_cmd_status(c, SCSI_GOOD);
}
