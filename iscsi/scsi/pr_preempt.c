/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * PREEMPT and PREEMPT AND ABORT (SPC-4 5.13.11.2.4, 5.13.11.2.6) and REGISTER
 * AND MOVE (5.13.8).
 *
 * PREEMPT AND ABORT is what fencing rests on: when it answers, no command of
 * a preempted nexus is left that could still write (scsi_pr_out waits).
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "iscsi/scsi/cmd.h"
#include "libvmfs/base/be.h"
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

		if (c != self && nexus_is(c->nexus, r->port, r->target))
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

/* ---- REGISTER AND MOVE ---- */

enum { MOVE_HEAD_LEN = 24, MOVE_APTPL = 0x01, MOVE_UNREG = 0x02 };

/*
 * Initiator port name of an iSCSI TransportID of len bytes: "iqn,i,0xisid"
 * copied with its NUL.  False when it is another form.
 */
static bool
transport_id_decode(const uint8_t *p, size_t len,
    char name[SCSI_PORT_NAME_SIZE])
{
	size_t name_len;

	if (len < 24 || p[0] != (0x40 | 0x05) ||
	    (size_t)be16_load(p + 2) + 4 != len)
		return false;
	name_len = strnlen((const char *)p + 4, len - 4);
	if (name_len == 0 || name_len >= SCSI_PORT_NAME_SIZE ||
	    name_len == len - 4)
		return false;
	memcpy(name, p + 4, name_len + 1);
	return strstr(name, ",i,0x") != NULL;
}

static bool
move_check(struct scsi_cmd *c, const struct pr_registration *self,
    const uint8_t *p)
{
	struct pr_state *pr = &c->lu->pr;

	if (self == NULL || self->key != be64_load(p) ||
	    pr_all_registrants(pr->type))
		scsi_cmd_status(c, SCSI_RESERVATION_CONFLICT);
	else if (!pr_is_holder(pr, self))
		scsi_cmd_status(c, SCSI_RESERVATION_CONFLICT);
	else if ((c->task->cdb[2] >> 4) != 0 ||
	    (c->task->cdb[2] & 0x0f) != pr->type)
		scsi_cmd_bad_cdb(c, 2);
	else if (be64_load(p + 8) == 0)
		scsi_cmd_bad_parameter(c, 8);
	else if ((p[17] & MOVE_APTPL) && pr->save == NULL)
		scsi_cmd_bad_parameter(c, 17);
	else if (be16_load(p + 18) != 1)
		scsi_cmd_bad_parameter(c, 18);
	else
		return true;
	return false;
}

bool
pr_register_and_move(struct scsi_cmd *c)
{
	struct pr_state *pr = &c->lu->pr;
	struct pr_registration *self = pr_find(pr, c->nexus), *to;
	const uint8_t *p = c->task->data_out;
	size_t len = c->task->data_out_wanted;
	char port[SCSI_PORT_NAME_SIZE];

	if (len < MOVE_HEAD_LEN ||
	    be32_load(p + 20) != len - MOVE_HEAD_LEN)
		return scsi_cmd_fail(c, SENSE_PARAMETER_LIST_LENGTH);
	if (!move_check(c, self, p))
		return true;
	if (!transport_id_decode(p + MOVE_HEAD_LEN, len - MOVE_HEAD_LEN,
	    port) || strcmp(port, self->port) == 0)
		return scsi_cmd_bad_parameter(c, MOVE_HEAD_LEN);
	to = pr_find_port(pr, port, self->target);
	if (to == NULL && pr_add(pr, port, self->target, 0, &to) != 0)
		return scsi_cmd_fail(c, SENSE_NO_REGISTRATION_RESOURCES);
	to->key = be64_load(p + 8);
	pr->holder = to;
	pr->aptpl = p[17] & MOVE_APTPL;
	pr->generation++;
	if (p[17] & MOVE_UNREG)
		pr_remove(c->lu, self);
	return true;
}
