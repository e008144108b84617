/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Life of a command: submitted, perhaps held back by an ORDERED one, checked,
 * run, finished.  The order of the checks is that of SAM-5 5.3.3: what the
 * unit does not know at all, unit attentions, reservations, the rest.
 */
#include <stdlib.h>
#include <string.h>

#include "iscsi/scsi/cmd.h"
#include "iscsi/scsi/rod.h"
#include "libvmfs/env/iobuf.h"

static void cmd_start_work(void *arg);

/* ---- ordering, SAM-5 8.6 ---- */

static bool
cmd_is_ordered(const struct scsi_cmd *c)
{
	return c->task->attr == SCSI_ATTR_ORDERED;
}

/* Goes past ORDERED tasks. */
static bool
cmd_is_free(const struct scsi_cmd *c)
{
	return c->inner || c->task->attr == SCSI_ATTR_HEAD;
}

/*
 * Whether tasks of an earlier session of the same I_T nexus are still at work
 * here: what was sent before the session was lost must not land behind what is
 * sent after it (doc/PROTOCOL.md).  REPORT LUNS finds the other units, also
 * when this one does not answer any more.
 */
static bool
cmd_haunted(const struct scsi_cmd *c)
{
	if (c->op != NULL && (c->op->run == scsi_report_luns ||
	    c->op->run == scsi_request_sense))
		return false;
	list_for_each(node, tmp, &c->lu->cmds) {
		const struct scsi_cmd *g =
		    list_entry(node, struct scsi_cmd, node);

		if (g->ghost && g->nexus != c->nexus && nexus_is(c->nexus,
		    g->nexus->port, g->nexus->target_port))
			return true;
	}
	return false;
}

static bool
cmd_may_start(const struct scsi_cmd *c)
{
	if (c->lu->ghosts > 0 && cmd_haunted(c))
		return false;
	if (cmd_is_free(c))
		return true;
	if (cmd_is_ordered(c))
		return c->lu->cmds.next == &c->node;
	return c->lu->ordered == 0;
}

/* The command goes on on its own scheduler. */
static void
cmd_kick_off(struct scsi_cmd *c)
{
	c->lu->held_back--;
	c->state = CMD_STARTING;
	c->kick = (struct sched_work){ .fn = cmd_start_work, .arg = c };
	sched_post(c->sched, &c->kick);
}

/* Starts what no longer has an ORDERED task, or being one, any task before,
 * nor a ghost. */
static void
lu_start_held_back(struct scsi_lu *lu)
{
	bool behind = false;

	list_for_each(node, tmp, &lu->cmds) {
		struct scsi_cmd *c = list_entry(node, struct scsi_cmd, node);
		bool ordered = cmd_is_ordered(c);

		if (c->state == CMD_HELD_BACK &&
		    (cmd_is_free(c) || (!behind &&
		    (!ordered || lu->cmds.next == node))) &&
		    (lu->ghosts == 0 || !cmd_haunted(c)))
			cmd_kick_off(c);
		behind |= ordered;
	}
}

/* RESERVE(6) of a nexus that is gone ends with its last task. */
static void
ghost_leave(struct scsi_lu *lu, const struct scsi_cmd *c)
{
	lu->ghosts--;
	list_for_each(node, tmp, &lu->cmds)
		if (list_entry(node, struct scsi_cmd, node)->nexus == c->nexus)
			return;
	if (lu->reserved_by == c->nexus)
		lu->reserved_by = NULL;
}

/* ---- books; with the unit's lock ---- */

/* Reads of tokens have no initiator's. */
static struct io_stats *
cmd_stats(const struct scsi_cmd *c)
{
	return c->task->rod != NULL ? &c->lu->stats : &c->itl->stats;
}

static void
cmd_count_end(const struct scsi_cmd *c)
{
	struct io_stats *st = cmd_stats(c);
	uint64_t ns;

	st->read_bytes += c->read_bytes;
	st->write_bytes += c->written_bytes;
	if (!c->admitted)
		return;
	ns = sched_now(c->sched) - c->start_ns;
	if (c->op->run == scsi_read) {
		st->read_ns += ns;
		st->read_latency[io_latency_bucket(ns)]++;
	} else if (c->op->flags & OP_WRITES) {
		st->write_ns += ns;
		st->write_latency[io_latency_bucket(ns)]++;
	}
}

/* Takes c out of the task set. */
static void
lu_leave(struct scsi_lu *lu, struct scsi_cmd *c)
{
	list_del(&c->node);
	if (cmd_is_ordered(c))
		lu->ordered--;
	range_release(&c->range);
	cmd_count_end(c);
	if (c->ghost)
		ghost_leave(lu, c);
	if (lu->held_back > 0)
		lu_start_held_back(lu);
	shared_broadcast(&lu->left);
}

/* ---- end ---- */

static void
cmd_set_result(struct scsi_cmd *c)
{
	struct scsi_task *t = c->task;

	if (c->aborted && c->abort_told && c->itl->gone) {
		scsi_cmd_fail(c, SENSE_LUN_NOT_SUPPORTED);
	} else if (c->aborted) {
		t->status = SCSI_TASK_ABORTED;
		t->aborted = !c->abort_told;
	}
	if (t->status == SCSI_CHECK_CONDITION)
		t->sense_len = scsi_sense_encode(&c->sense,
		    c->lu != NULL && c->lu->descriptor_sense, t->sense);
	if (t->status != SCSI_GOOD && t->status != SCSI_CONDITION_MET) {
		t->data_in_len = 0;
		if (c->lu != NULL)
			cmd_stats(c)->errors++;
	}
}

static void
task_end(struct scsi_task *t, struct scsi_nexus *n)
{
	t->done(t);
	nexus_drop(n);
}

void
scsi_cmd_finish(struct scsi_cmd *c)
{
	struct scsi_lu *lu = c->lu;

	if (lu != NULL && lu->pool.pool)
		thin_wrote(c);
	if (lu != NULL)
		shared_enter(&lu->lock);
	cmd_set_result(c);
	if (lu != NULL) {
		if (lu->on_change != NULL)
			scsi_observe(c);
		lu_leave(lu, c);
		shared_leave(&lu->lock);
	}
	task_end(c->task, c->nexus);
}

static void
cmd_finish_work(void *arg)
{
	scsi_cmd_finish(arg);
}

/* Ends it soon, from the scheduler's loop. */
static void
scsi_cmd_post(struct scsi_cmd *c)
{
	c->task->work.fn = cmd_finish_work;
	c->task->work.arg = c;
	sched_post(c->sched, &c->task->work);
}

/* ---- start ---- */

static void
cmd_fiber(void *arg)
{
	struct scsi_cmd *c = arg;

	if (!c->aborted)
		c->op->run(c);
	scsi_cmd_finish(c);
}

static void
cmd_count(const struct scsi_cmd *c)
{
	struct io_stats *st = cmd_stats(c);

	if (c->op->run == scsi_read)
		st->reads++;
	else if (c->op->flags & OP_WRITES)
		st->writes++;
	else
		st->other++;
}

/* Runs a handler without the unit's lock. */
static void
cmd_run(struct scsi_cmd *c)
{
	if (c->op->flags & OP_FIBER) {
		if (sched_spawn(c->sched, c->op->name, cmd_fiber, c) == 0)
			return;
		scsi_cmd_status(c, SCSI_BUSY);
	} else if (!c->op->run(c)) {
		return;
	}
	scsi_cmd_post(c);
}

static bool
cmd_lu_ready(struct scsi_cmd *c)
{
	const struct scsi_lu *lu = c->lu;
	bool readonly = lu->readonly || c->itl->readonly;

	if (!sanitize_admits(c))
		return false;
	if ((c->op->flags & OP_MEDIUM) && lu->ejected)
		scsi_cmd_fail(c, SENSE_NO_MEDIUM);
	else if ((c->op->flags & OP_WRITES) && readonly)
		scsi_cmd_fail(c, SENSE_WRITE_PROTECTED);
	else if ((c->op->flags & OP_WRITES) && lu->software_write_protect)
		scsi_cmd_fail(c, SENSE_SOFTWARE_WRITE_PROTECTED);
	else
		return true;
	return false;
}

static bool
cmd_conflicts(const struct scsi_cmd *c)
{
	if (c->task->rod != NULL)
		return rod_conflicts(c->task->rod);
	return scsi_reserve_conflicts(c) ||
	    pr_conflicts(&c->lu->pr, c->nexus,
	    cdb_access(c->op, c->task->cdb));
}

/* Unit attention and reservations.  False: status is set. */
static bool
cmd_admitted(struct scsi_cmd *c)
{
	uint32_t ua;

	lu_check_size(c->lu);
	if (!c->inner && (c->op == NULL || !(c->op->flags & OP_NO_UA))) {
		ua = ua_take(&c->itl->ua);
		if (ua != SENSE_NONE) {
			scsi_cmd_fail(c, ua);
			return false;
		}
	}
	if (c->op == NULL)
		return true;
	if (cmd_conflicts(c)) {
		c->nexus->conflicts++;
		scsi_cmd_status(c, SCSI_RESERVATION_CONFLICT);
		return false;
	}
	return true;
}

/* Parameter lists must be there; one block and CAW must be exact. */
static bool
cmd_data_out_complete(struct scsi_cmd *c)
{
	const struct scsi_task *t = c->task;
	bool exact = c->op->out == OUT_SAME || c->op->out == OUT_CAW;
	bool list = c->op->out >= OUT_LIST8;

	if (exact && (t->data_out_len != t->data_out_wanted ||
	    (t->dir_out && t->edtl != t->data_out_wanted))) {
		scsi_cmd_bad_cdb(c, c->op->len == 16 ? 13 : 8);
		return false;
	}
	if (list && t->data_out_len < t->data_out_wanted) {
		scsi_cmd_fail(c, SENSE_DATA_OUT_LENGTH);
		return false;
	}
	return true;
}

/* LUN 0 tells of the others also as long as it is not there. */
static bool
cmd_awaits_lu(const struct scsi_cmd *c)
{
	int lun = scsi_lun_decode(c->task->lun);

	if (lun == 0 && c->op != NULL && c->op->run == scsi_report_luns)
		return false;
	return lun >= 0 && nexus_awaits(c->nexus, (unsigned)lun);
}

/* False: status is set. */
static bool
cmd_check(struct scsi_cmd *c)
{
	const struct scsi_task *t = c->task;

	if (c->lu == NULL && cmd_awaits_lu(c)) {
		scsi_cmd_status(c, SCSI_BUSY);
		return false;
	}
	if (c->lu == NULL ? c->op == NULL || !(c->op->flags & OP_NO_LU) :
	    c->itl->gone) {
		scsi_cmd_fail(c, SENSE_LUN_NOT_SUPPORTED);
		return false;
	}
	if (c->lu != NULL && !cmd_admitted(c))
		return false;
	if (c->op == NULL) {
		if (c->op_known)
			scsi_cmd_bad_cdb(c, 1);
		else
			scsi_cmd_fail(c, SENSE_INVALID_OPCODE);
		return false;
	}
	/* Auto contingent allegiance (NACA) is not offered. */
	if (t->cdb_len < c->op->len || (t->cdb[c->op->len - 1] & 0x04)) {
		scsi_cmd_bad_cdb(c, (uint16_t)(c->op->len - 1));
		return false;
	}
	return (c->lu == NULL || (alua_admits(c) && cmd_lu_ready(c))) &&
	    cmd_data_out_complete(c);
}

/* Checks the command, and runs it if that can be done at once.  True: it is
 * still to be run. */
static bool
cmd_begin(struct scsi_cmd *c)
{
	c->state = CMD_RUNNING;
	if (!cmd_check(c))
		return false;
	c->admitted = true;
	if (c->lu != NULL)
		cmd_count(c);
	if (c->op->flags & (OP_FIBER | OP_UNLOCKED))
		return true;
	(void)c->op->run(c);
	return false;
}

/* Leaves the unit's lock, which is held. */
static void
cmd_start(struct scsi_cmd *c)
{
	bool run = !c->aborted && cmd_begin(c);

	if (c->lu != NULL)
		shared_leave(&c->lu->lock);
	if (run)
		cmd_run(c);
	else
		scsi_cmd_post(c);
}

static void
cmd_start_work(void *arg)
{
	struct scsi_cmd *c = arg;

	shared_enter(&c->lu->lock);
	cmd_start(c);
}

static void
cmd_lookup(struct scsi_cmd *c)
{
	struct scsi_task *t = c->task;
	int lun = scsi_lun_decode(t->lun);

	if (t->rod != NULL) {
		c->itl = t->rod->store->reader;
		c->lu = t->rod->lu;
	} else if (lun >= 0) {
		c->itl = c->nexus->itls[lun];
	}
	if (c->itl != NULL && t->rod == NULL)
		c->lu = c->itl->lu;
	if (t->cdb_len == 0 || t->cdb_len > SCSI_CDB_MAX)
		return;
	c->op = cdb_lookup(c->lu, t->cdb, t->cdb_len, &c->op_known);
	/* Length of a CDB is checked later: bytes not received count as 0. */
	memset(t->cdb + t->cdb_len, 0, SCSI_CDB_MAX - t->cdb_len);
	if (c->op != NULL && c->lu != NULL)
		t->data_out_wanted = cdb_out_length(c->op, c->lu, t->cdb);
}

static void
task_end_work(void *arg)
{
	struct scsi_task *t = arg;

	task_end(t, t->nexus);
}

/* Into the task set. */
static void
cmd_enter(struct scsi_cmd *c)
{
	struct scsi_lu *lu = c->lu;
	bool may;

	shared_enter(&lu->lock);
	list_add_tail(&lu->cmds, &c->node);
	if (c->nexus->closing)
		scsi_cmd_give_up(c);
	may = c->aborted || cmd_may_start(c);
	lu->ordered += cmd_is_ordered(c);
	if (may) {
		cmd_start(c);
		return;
	}
	lu->held_back++;
	c->state = CMD_HELD_BACK;
	shared_leave(&lu->lock);
}

static void
task_submit(struct scsi_task *t, bool inner)
{
	/* calloc goes past the memory that a thread has at hand. */
	struct scsi_cmd *c = malloc(sizeof(*c));

	t->status = SCSI_GOOD;
	t->sense_len = 0;
	t->data_in = NULL;
	t->data_in_len = 0;
	t->data_in_room = 0;
	t->data_out_wanted = 0;
	t->aborted = false;
	t->cmd = c;
	nexus_hold(t->nexus);
	if (c == NULL) {
		t->status = SCSI_BUSY;
		t->work.fn = task_end_work;
		t->work.arg = t;
		sched_post(sched_current(), &t->work);
		return;
	}
	*c = (struct scsi_cmd){
		.task = t, .nexus = t->nexus, .target = t->nexus->target,
		.sched = sched_current(), .inner = inner,
	};
	cmd_lookup(c);
	if (c->lu == NULL) {
		cmd_start(c);
		return;
	}
	c->start_ns = sched_now(c->sched);
	cmd_enter(c);
}

void
scsi_task_submit(struct scsi_task *t)
{
	t->rod = NULL;
	t->share = NULL;
	task_submit(t, false);
}

void
scsi_task_submit_inner(struct scsi_task *t)
{
	task_submit(t, true);
}

void
scsi_task_fini(struct scsi_task *t)
{
	if (t->data_in_room > 0)
		iobuf_put(t->data_in, t->data_in_room);
	else
		free(t->data_in);
	t->data_in = NULL;
	if (t->cmd != NULL && t->cmd->held != NULL)
		nexus_data_drop(t->cmd->held, t->cmd->buffered);
	free(t->cmd);
	t->cmd = NULL;
}

/* ---- abort ---- */

void
scsi_cmd_abort(struct scsi_cmd *c, bool told)
{
	if (c->aborted)
		return;
	c->abort_told = told;
	c->aborted = true;
	if (c->state == CMD_HELD_BACK)
		cmd_kick_off(c);
	else
		range_cancel(&c->range);
}

void
scsi_cmd_give_up(struct scsi_cmd *c)
{
	c->lu->ghosts += !c->ghost;
	c->ghost = true;
	scsi_cmd_abort(c, false);
}

static bool
lu_has_aborted(const struct scsi_lu *lu, const struct scsi_cmd *self)
{
	list_for_each(node, tmp, &lu->cmds) {
		const struct scsi_cmd *c =
		    list_entry(node, struct scsi_cmd, node);

		if (c->aborted && c != self)
			return true;
	}
	return false;
}

void
scsi_lu_drain(struct scsi_lu *lu, const struct scsi_cmd *self)
{
	while (lu_has_aborted(lu, self))
		shared_wait(&lu->left, &lu->lock);
}
