/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Task management, SAM-5 clause 7.  Each function marks its tasks and returns
 * when the last one of them has left the task set: I/O in flight is never
 * forgotten, so nothing of an aborted write reaches the disk afterwards.
 */
#include "iscsi/scsi/cmd.h"
#include "libvmfs/base/log.h"

/* Tasks of `only` (NULL: of all); those of others hear TASK ABORTED.  Like
 * all here with the unit's lock. */
static void
lu_mark(struct scsi_lu *lu, const struct scsi_nexus *only,
    const struct scsi_nexus *asking)
{
	list_for_each(node, tmp, &lu->cmds) {
		struct scsi_cmd *c = list_entry(node, struct scsi_cmd, node);

		if (only == NULL || c->nexus == only)
			scsi_cmd_abort(c, c->nexus != asking);
	}
	shared_broadcast(&lu->left);
}

static bool
is_of(const struct scsi_cmd *c, const struct scsi_nexus *n)
{
	return c->nexus == n ||
	    (c->ghost && nexus_is(n, c->nexus->port, c->nexus->target_port));
}

/* An aborted task of the nexus, also of an earlier session; NULL: of any. */
static bool
is_left(const struct scsi_lu *lu, const struct scsi_nexus *only)
{
	list_for_each(node, tmp, &lu->cmds) {
		const struct scsi_cmd *c =
		    list_entry(node, struct scsi_cmd, node);

		if (c->aborted && (only == NULL || is_of(c, only)))
			return true;
	}
	return false;
}

/* The lock is left while it waits. */
static void
lu_abort(struct scsi_lu *lu, const struct scsi_nexus *only,
    const struct scsi_nexus *asking)
{
	lu_mark(lu, only, asking);
	while (is_left(lu, only))
		shared_wait(&lu->left, &lu->lock);
}

static struct scsi_cmd *
task_find(const struct scsi_nexus *n, const struct scsi_lu *lu, uint64_t tag)
{
	list_for_each(node, tmp, &lu->cmds) {
		struct scsi_cmd *c = list_entry(node, struct scsi_cmd, node);

		if (c->nexus == n && c->task->tag == tag)
			return c;
	}
	return NULL;
}

/* Others that were aborted may take longer, this one's answer does not. */
static enum scsi_tmf_response
abort_task(struct scsi_nexus *n, struct scsi_lu *lu, uint64_t tag)
{
	struct scsi_cmd *c = task_find(n, lu, tag);

	if (c == NULL)
		return SCSI_TMF_NO_TASK;
	scsi_cmd_abort(c, false);
	shared_broadcast(&lu->left);
	while ((c = task_find(n, lu, tag)) != NULL && c->aborted)
		shared_wait(&lu->left, &lu->lock);
	return SCSI_TMF_COMPLETE;
}

static void
lu_reset(struct scsi_lu *lu, const struct scsi_nexus *asking, uint32_t ua)
{
	log_info(lu->env->log, "scsi: reset lu=%s by=%s", lu->serial,
	    asking->name);
	lu_abort(lu, NULL, asking);
	lu_reset_state(lu);
	ua_add_all(lu, ua, NULL);
}

/* All tasks are marked before the first unit is waited for. */
static enum scsi_tmf_response
target_reset(struct scsi_nexus *n, uint32_t ua)
{
	for (unsigned lun = 0; lun < SCSI_LUNS_MAX; lun++) {
		struct scsi_itl *itl = n->itls[lun];

		if (itl == NULL)
			continue;
		shared_enter(&itl->lu->lock);
		lu_mark(itl->lu, NULL, n);
		shared_leave(&itl->lu->lock);
	}
	for (unsigned lun = 0; lun < SCSI_LUNS_MAX; lun++) {
		struct scsi_itl *itl = n->itls[lun];

		if (itl == NULL)
			continue;
		shared_enter(&itl->lu->lock);
		lu_reset(itl->lu, n, ua);
		shared_leave(&itl->lu->lock);
	}
	return SCSI_TMF_COMPLETE;
}

static enum scsi_tmf_response
lu_function(struct scsi_nexus *n, struct scsi_lu *lu, enum scsi_tmf function,
    uint64_t tag)
{
	switch (function) {
	case SCSI_TMF_ABORT_TASK:
		return abort_task(n, lu, tag);
	case SCSI_TMF_ABORT_TASK_SET:
		lu_abort(lu, n, n);
		return SCSI_TMF_COMPLETE;
	case SCSI_TMF_CLEAR_TASK_SET:
		lu_abort(lu, NULL, n);
		return SCSI_TMF_COMPLETE;
	case SCSI_TMF_LOGICAL_UNIT_RESET:
		lu_reset(lu, n, SENSE_DEVICE_RESET);
		return SCSI_TMF_COMPLETE;
	default:
		return SCSI_TMF_NOT_SUPPORTED;
	}
}

static enum scsi_tmf_response
tmf_run(struct scsi_nexus *n, enum scsi_tmf function, const uint8_t lun[8],
    uint64_t tag)
{
	int number = scsi_lun_decode(lun);
	enum scsi_tmf_response response;
	struct scsi_itl *itl;

	switch (function) {
	case SCSI_TMF_TARGET_WARM_RESET:
		return target_reset(n, SENSE_BUS_RESET);
	case SCSI_TMF_TARGET_COLD_RESET:
		return target_reset(n, SENSE_POWER_ON);
	default:
		itl = number < 0 ? NULL : n->itls[number];
		if (itl == NULL)
			return number >= 0 && nexus_awaits(n,
			    (unsigned)number) ? SCSI_TMF_COMPLETE :
			    SCSI_TMF_NO_LUN;
		shared_enter(&itl->lu->lock);
		response = lu_function(n, itl->lu, function, tag);
		shared_leave(&itl->lu->lock);
		return response;
	}
}

enum scsi_tmf_response
scsi_tmf(struct scsi_nexus *n, enum scsi_tmf function, const uint8_t lun[8],
    uint64_t tag)
{
	enum scsi_tmf_response response;

	nexus_hold(n);
	response = tmf_run(n, function, lun, tag);
	nexus_drop(n);
	return response;
}
