/* SPDX-License-Identifier: BSD-2-Clause */
/* SANITIZE (SBC-3 5.24): the command, and who may come in meanwhile. */
#include "iscsi/scsi/sanitize.h"

#include <string.h>

#include "iscsi/scsi/cmd.h"
#include "iscsi/scsi/rod.h"
#include "libvmfs/base/be.h"
#include "libvmfs/base/log.h"

enum { BIT_IMMED = 0x80, BIT_ZNR = 0x40, BIT_AUSE = 0x20 };
enum { OVERWRITE_HEAD = 4 };

int
sanitize_save(struct scsi_lu *lu, enum sanitize_state state,
    const struct sanitize_job *job)
{
	uint8_t image[SANITIZE_IMAGE_MAX];
	size_t len = sanitize_image_encode(state, job, image);

	return lu->sanitize.save(lu->sanitize.save_arg, image, len);
}

int
sanitize_load(struct scsi_lu *lu, const struct scsi_lu_conf *conf)
{
	struct sanitize *sz = &lu->sanitize;
	int rc;

	sz->save = conf->sanitize_save;
	sz->save_arg = conf->sanitize_save_arg;
	if (conf->sanitize_image == NULL)
		return 0;
	rc = sanitize_image_decode(conf->sanitize_image,
	    conf->sanitize_image_len, &sz->state, &sz->job);
	if (rc == 0 && sz->state == SANITIZE_FAILED)
		log_warn(lu->env->log, "scsi: lu=%s is closed: SANITIZE "
		    "failed, until another one succeeds", lu->serial);
	if (rc != 0 || sz->state != SANITIZE_RUNNING)
		return rc;
	/* What cannot be finished stays closed. */
	log_warn(lu->env->log, "scsi: lu=%s is closed: it was being "
	    "sanitized", lu->serial);
	if (lu->readonly || sz->save == NULL)
		sz->state = SANITIZE_FAILED;
	else
		sanitize_start(lu);
	return 0;
}

const char *
scsi_lu_sanitize(struct scsi_lu *lu, unsigned *ret_percent)
{
	static const char *const names[] = { "none", "running", "failed" };
	enum sanitize_state state;

	shared_enter(&lu->lock);
	state = lu->sanitize.state;
	*ret_percent = lu->sanitize.progress * 100U / 65535;
	shared_leave(&lu->lock);
	return names[state];
}

/* ---- meanwhile ---- */

void
sanitize_sense(const struct scsi_lu *lu, struct scsi_sense *s)
{
	const struct sanitize *sz = &lu->sanitize;

	if (sz->state == SANITIZE_FAILED)
		s->code = SENSE_SANITIZE_FAILED;
	if (sz->state != SANITIZE_RUNNING)
		return;
	s->code = SENSE_SANITIZING;
	s->progress_valid = true;
	s->progress = sz->progress;
}

bool
sanitize_admits(struct scsi_cmd *c)
{
	const struct sanitize *sz = &c->lu->sanitize;

	if (sz->state == SANITIZE_NONE || (c->op->flags & OP_SANITIZING) ||
	    (sz->state == SANITIZE_FAILED && (c->op->flags & OP_SANITIZE)))
		return true;
	scsi_cmd_status(c, SCSI_CHECK_CONDITION);
	c->sense = (struct scsi_sense){ 0 };
	sanitize_sense(c->lu, &c->sense);
	return false;
}

/* ---- command ---- */

/* OVERWRITE's parameter list, SBC-3 5.24.2.2.  False: sense is set. */
static bool
overwrite_decode(struct scsi_cmd *c, struct sanitize_job *job)
{
	const uint8_t *p = c->task->data_out;
	size_t len = c->task->data_out_wanted;

	if (len <= OVERWRITE_HEAD ||
	    len > OVERWRITE_HEAD + c->lu->block_size) {
		scsi_cmd_bad_cdb(c, 7);
		return false;
	}
	job->invert = p[0] & 0x80;
	job->passes = p[0] & 0x1f;
	job->pattern_len = be16_load(p + 2);
	if ((p[0] & 0x60) || job->passes == 0)		/* TEST, COUNT */
		scsi_cmd_bad_parameter(c, 0);
	else if (p[1] != 0)
		scsi_cmd_bad_parameter(c, 1);
	else if (job->pattern_len == 0 ||
	    job->pattern_len != len - OVERWRITE_HEAD)
		scsi_cmd_bad_parameter(c, 2);
	else {
		memcpy(job->pattern, p + OVERWRITE_HEAD, job->pattern_len);
		return true;
	}
	return false;
}

/* False: sense is set. */
static bool
job_decode(struct scsi_cmd *c, struct sanitize_job *job)
{
	const uint8_t *cdb = c->task->cdb;

	*job = (struct sanitize_job){
		.service = cdb[1] & 0x1f, .unrestricted = cdb[1] & BIT_AUSE,
	};
	if (cdb[1] & BIT_ZNR) {
		scsi_cmd_bad_cdb(c, 1);
		return false;
	}
	for (uint16_t i = 2; i < 7; i++) {
		if (cdb[i] != 0) {
			scsi_cmd_bad_cdb(c, i);
			return false;
		}
	}
	if (job->service == SANITIZE_OVERWRITE)
		return overwrite_decode(c, job);
	if (be16_load(cdb + 7) != 0) {
		scsi_cmd_bad_cdb(c, 7);
		return false;
	}
	return true;
}

/* Ends all other commands.  With the unit's lock; suspends. */
static void
abort_others(struct scsi_cmd *self)
{
	struct scsi_lu *lu = self->lu;

	list_for_each(node, tmp, &lu->cmds) {
		struct scsi_cmd *c = list_entry(node, struct scsi_cmd, node);

		if (c != self &&
		    (c->op == NULL || !(c->op->flags & OP_SANITIZING)))
			scsi_cmd_abort(c, true);
	}
	shared_broadcast(&lu->left);
	scsi_lu_drain(lu, self);
}

/*
 * Closes the unit, has its commands end, and writes down what is to be done.
 * False: status is set, all is as it was.  With the unit's lock, which is left
 * meanwhile.
 */
static bool
job_prepare(struct scsi_cmd *c, const struct sanitize_job *job)
{
	struct sanitize *sz = &c->lu->sanitize;
	enum sanitize_state before = sz->state;
	int rc;

	sz->state = SANITIZE_RUNNING;
	sz->progress = 0;
	abort_others(c);
	if (!c->aborted) {
		rods_written(c->lu, 0, c->lu->blocks);
		shared_leave(&c->lu->lock);
		rc = sanitize_save(c->lu, SANITIZE_RUNNING, job);
		/* It may be there all the same, and must not be obeyed. */
		if (rc != 0 && sanitize_save(c->lu, before, &sz->job) != 0)
			before = SANITIZE_FAILED;
		shared_enter(&c->lu->lock);
		if (rc == 0)
			return true;
		scsi_cmd_fail(c, SENSE_TARGET_FAILURE);
	}
	sz->state = before;
	return false;
}

/* The operation goes on when who waits for it is aborted. */
static void
job_wait(struct scsi_cmd *c, unsigned ended)
{
	struct sanitize *sz = &c->lu->sanitize;

	while (sz->ended == ended && !c->aborted)
		shared_wait(&c->lu->left, &c->lu->lock);
	if (sz->ended != ended && sz->state == SANITIZE_FAILED)
		scsi_cmd_fail(c, SENSE_SANITIZE_FAILED);
}

static void
job_run(struct scsi_cmd *c, const struct sanitize_job *job)
{
	struct sanitize *sz = &c->lu->sanitize;
	unsigned ended = sz->ended;

	/* Another one came first; or it would loosen a failure's rule. */
	if (sz->state != SANITIZE_FAILED && !sanitize_admits(c))
		return;
	if (sz->state == SANITIZE_FAILED && job->unrestricted &&
	    !sz->job.unrestricted) {
		scsi_cmd_bad_cdb(c, 1);
		return;
	}
	if (!job_prepare(c, job))
		return;
	sz->job = *job;
	sanitize_start(c->lu);
	if (!(c->task->cdb[1] & BIT_IMMED))
		job_wait(c, ended);
}

/*
 * A failure of an operation without AUSE is left by another one only.  The
 * unit stays closed until the image says so.  With the unit's lock, which is
 * left meanwhile.
 */
static void
failure_exit(struct scsi_cmd *c)
{
	struct sanitize *sz = &c->lu->sanitize;
	int rc;

	if (sz->state == SANITIZE_RUNNING) {
		(void)sanitize_admits(c);
		return;
	}
	if (sz->state == SANITIZE_NONE)
		return;
	if (!sz->job.unrestricted) {
		scsi_cmd_bad_cdb(c, 1);
		return;
	}
	sz->state = SANITIZE_RUNNING;
	shared_leave(&c->lu->lock);
	rc = sanitize_save(c->lu, SANITIZE_NONE, &sz->job);
	shared_enter(&c->lu->lock);
	sz->state = rc == 0 ? SANITIZE_NONE : SANITIZE_FAILED;
	if (rc != 0)
		scsi_cmd_fail(c, SENSE_TARGET_FAILURE);
}

bool
scsi_sanitize(struct scsi_cmd *c)
{
	struct sanitize_job job;

	if (!job_decode(c, &job))
		return true;
	shared_enter(&c->lu->lock);
	if (job.service == SANITIZE_EXIT_FAILURE_MODE)
		failure_exit(c);
	else
		job_run(c, &job);
	shared_leave(&c->lu->lock);
	return true;
}
