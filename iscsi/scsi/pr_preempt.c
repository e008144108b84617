/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * PREEMPT and PREEMPT AND ABORT (SPC-4 5.13.11.2.4, 5.13.11.2.6).
 *
 * PREEMPT AND ABORT is what fencing rests on: when it answers, no command of
 * a preempted nexus is left that could still write (scsi_pr_out waits).
 */
#include <inttypes.h>

#include "iscsi/scsi/cmd.h"
#include "libvmfs/base/log.h"

/* Whether PREEMPT with this key removes the registration. */
static bool
is_victim(const struct pr_registration *r, const struct pr_registration *self,
    uint64_t key, bool all)
{
	return r != self && (all || r->key == key);
}

static void
abort_tasks_of(struct scsi_lu *lu, const struct pr_registration *r,
    const struct scsi_cmd *self)
{
	list_for_each(node, tmp, &lu->cmds) {
		struct scsi_cmd *c = list_entry(node, struct scsi_cmd, node);

		if (c != self && pr_covers(r, c->nexus))
			scsi_cmd_abort(c, true);
	}
}

/* Removes the victims; their number is returned. */
static unsigned
victims_remove(struct scsi_cmd *c, const struct pr_registration *self,
    uint64_t key, bool all, bool abort)
{
	struct scsi_lu *lu = c->lu;
	unsigned count = 0;

	list_for_each(node, tmp, &lu->pr.registrations) {
		struct pr_registration *r =
		    list_entry(node, struct pr_registration, node);

		if (!is_victim(r, self, key, all))
			continue;
		pr_ua(lu, r, SENSE_REGISTRATIONS_PREEMPTED);
		if (abort)
			abort_tasks_of(lu, r, c);
		log_info(lu->env->log, "scsi: preempted lu=%s initiator=%s "
		    "key=%#" PRIx64 " by=%s", lu->serial, r->port, r->key,
		    c->nexus->port);
		if (lu->pr.holder == r)
			lu->pr.holder = NULL;
		pr_remove(lu, r);
		count++;
	}
	return count;
}

/* The preempting nexus holds it now, with a type of its choice. */
static void
take_over(struct scsi_cmd *c, struct pr_registration *self, enum pr_type type)
{
	struct pr_state *pr = &c->lu->pr;

	if (pr->type != PR_NONE && pr->type != type)
		pr_ua_others(c->lu, self, SENSE_RESERVATIONS_RELEASED);
	pr->type = type;
	pr->holder = pr_all_registrants(type) ? NULL : self;
}

bool
pr_preempt(struct scsi_cmd *c, struct pr_registration *self, uint64_t key,
    enum pr_type type, bool abort)
{
	struct pr_state *pr = &c->lu->pr;
	bool all = key == 0 && pr_all_registrants(pr->type);
	bool take = all || (pr->holder != NULL && pr->holder->key == key);
	enum pr_type old = pr->type;
	unsigned victims;

	if (key == 0 && !all)
		return scsi_cmd_bad_parameter(c, 8);
	victims = victims_remove(c, self, key, all, abort);
	if (victims == 0 && !take)
		return scsi_cmd_status(c, SCSI_RESERVATION_CONFLICT);
	pr->generation++;
	if (take) {
		/* The removal of the holder must not have ended it unseen. */
		pr->type = old;
		take_over(c, self, type);
	}
	return true;
}
