/* SPDX-License-Identifier: BSD-2-Clause */
/* PERSISTENT RESERVE OUT, SPC-4 6.16; see pr_register.c, pr_preempt.c. */
#include "iscsi/scsi/cmd.h"
#include "libvmfs/base/be.h"
#include "libvmfs/base/log.h"

enum {
	REGISTER, RESERVE, RELEASE, CLEAR, PREEMPT, PREEMPT_AND_ABORT,
	REGISTER_AND_IGNORE, REGISTER_AND_MOVE,
};
enum { LIST_LEN = 24 };
enum { FLAGS_AT = 20, FLAG_SPEC_I_PT = 0x08 };

struct pr_args {
	uint64_t key;		/* RESERVATION KEY */
	uint64_t new_key;	/* SERVICE ACTION RESERVATION KEY */
	unsigned scope, type;
};

static bool
conflict(struct scsi_cmd *c)
{
	return scsi_cmd_status(c, SCSI_RESERVATION_CONFLICT);
}

static bool
pr_reserve(struct scsi_cmd *c, struct pr_registration *self,
    const struct pr_args *a)
{
	struct pr_state *pr = &c->lu->pr;

	if (pr->type != PR_NONE)
		return pr_is_holder(pr, self) && a->type == pr->type ? true :
		    conflict(c);
	pr->type = (enum pr_type)a->type;
	pr->holder = pr_all_registrants(pr->type) ? NULL : self;
	return true;
}

static bool
pr_release(struct scsi_cmd *c, const struct pr_registration *self,
    const struct pr_args *a)
{
	struct pr_state *pr = &c->lu->pr;

	if (!pr_is_holder(pr, self))
		return true;
	if (a->type != pr->type)
		return scsi_cmd_fail(c, SENSE_INVALID_RELEASE);
	pr_end(c->lu, self);
	return true;
}

static bool
pr_clear(struct scsi_cmd *c, const struct pr_registration *self)
{
	struct pr_state *pr = &c->lu->pr;

	pr_ua_others(c->lu, self, SENSE_RESERVATIONS_PREEMPTED);
	pr->type = PR_NONE;
	pr->holder = NULL;
	list_for_each(node, tmp, &pr->registrations)
		pr_remove(c->lu,
		    list_entry(node, struct pr_registration, node));
	pr->generation++;
	return true;
}

/* The service actions for which the nexus must be registered. */
static bool
pr_registered_action(struct scsi_cmd *c, const struct pr_args *a)
{
	struct pr_registration *self = pr_find(&c->lu->pr, c->nexus);
	uint8_t action = c->op->service;

	if (self == NULL || self->key != a->key)
		return conflict(c);
	if (action == CLEAR)
		return pr_clear(c, self);
	if (a->scope != 0 || !pr_type_valid(a->type))
		return scsi_cmd_bad_cdb(c, 2);
	if (action == RESERVE)
		return pr_reserve(c, self, a);
	if (action == RELEASE)
		return pr_release(c, self, a);
	return pr_preempt(c, self, a->new_key, (enum pr_type)a->type,
	    action == PREEMPT_AND_ABORT);
}

static bool
pr_out_run(struct scsi_cmd *c)
{
	const uint8_t *cdb = c->task->cdb, *p = c->task->data_out;
	uint8_t action = c->op->service;
	size_t len = c->task->data_out_wanted;
	bool register_action = action == REGISTER ||
	    action == REGISTER_AND_IGNORE;
	struct pr_args a;

	if (action == REGISTER_AND_MOVE)
		return pr_register_and_move(c);
	if (len < LIST_LEN || (len > LIST_LEN &&
	    !(register_action && (p[FLAGS_AT] & FLAG_SPEC_I_PT))))
		return scsi_cmd_fail(c, SENSE_PARAMETER_LIST_LENGTH);
	a = (struct pr_args){
		.key = be64_load(p), .new_key = be64_load(p + 8),
		.scope = cdb[2] >> 4, .type = cdb[2] & 0x0f,
	};
	if (register_action)
		return pr_register(c, action == REGISTER_AND_IGNORE);
	return pr_registered_action(c, &a);
}

/* False: the command was aborted before its turn came. */
bool
pr_wait(struct scsi_cmd *c)
{
	while (c->lu->pr.busy && !c->aborted)
		shared_wait(&c->lu->left, &c->lu->lock);
	return !c->aborted;
}

/*
 * One at a time, as saving and aborting suspend; nobody sees its outcome
 * before.  A key that is gone therefore means that its nexus' tasks are, even
 * to a host that asked for neither.  When saving fails the change is in force
 * but not promised to last, and the initiator is told so.
 */
static void
pr_out_alone(struct scsi_cmd *c)
{
	struct scsi_lu *lu = c->lu;
	bool was_aptpl = lu->pr.aptpl;

	lu->pr.busy = true;
	if (pr_out_run(c) && c->task->status == SCSI_GOOD &&
	    pr_save(lu, was_aptpl) != 0)
		scsi_cmd_fail(c, SENSE_TARGET_FAILURE);
	shared_broadcast(&lu->left);
	if (c->op->service == PREEMPT_AND_ABORT)
		scsi_lu_drain(lu, c);
	lu->pr.busy = false;
	shared_broadcast(&lu->left);
}

bool
scsi_pr_out(struct scsi_cmd *c)
{
	struct scsi_lu *lu = c->lu;

	shared_enter(&lu->lock);
	if (pr_wait(c))
		pr_out_alone(c);
	log_debug(lu->env->log,
	    "scsi: pr-out lu=%s action=%u initiator=%s status=%u",
	    lu->serial, c->op->service, c->nexus->port,
	    c->task->status);
	shared_leave(&lu->lock);
	return true;
}
