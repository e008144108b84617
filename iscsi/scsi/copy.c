/* SPDX-License-Identifier: BSD-2-Clause */
/* Books of copy operations, and commands of the device server's own. */
#include "iscsi/scsi/copy.h"

#include <stdlib.h>
#include <string.h>

#include "iscsi/scsi/cmd.h"
#include "libvmfs/base/be.h"

enum { RANGE_LEN = 16 };

/* ---- books ---- */

struct copy_op *
copy_op_find(struct scsi_itl *itl, uint32_t list_id)
{
	for (unsigned i = 0; i < COPY_OPS_MAX; i++) {
		struct copy_op *op = &itl->copies[i];

		if (op->valid && op->list_id == list_id)
			return op;
	}
	return NULL;
}

/* The place of an older one of the same id, a free one, or the oldest that is
 * done; NULL when all are at work. */
static struct copy_op *
op_place(struct scsi_itl *itl, uint32_t list_id)
{
	struct copy_op *place = copy_op_find(itl, list_id);

	if (place != NULL)
		return place;
	for (unsigned i = 0; i < COPY_OPS_MAX; i++) {
		struct copy_op *op = &itl->copies[i];

		if (!op->valid)
			return op;
		if (!op->running &&
		    (place == NULL || op->sequence < place->sequence))
			place = op;
	}
	return place;
}

/* A task of copy_background finds what its parent has begun. */
static bool
op_is_mine(const struct scsi_cmd *c, const struct copy_op *op)
{
	return c->inner && op->background && op->cmd == NULL;
}

struct copy_op *
copy_op_begin(struct scsi_cmd *c, uint32_t list_id, bool keep,
    struct copy_op *scratch)
{
	struct copy_op *op = keep ? op_place(c->itl, list_id) : scratch;
	bool background = false;

	if (op == NULL) {
		scsi_cmd_fail(c, SENSE_INSUFFICIENT_RESOURCES);
		return NULL;
	}
	if (keep && op->running) {
		if (!op_is_mine(c, op)) {
			scsi_cmd_fail(c, SENSE_OPERATION_IN_PROGRESS);
			return NULL;
		}
		background = true;
	}
	*op = (struct copy_op){
		.valid = true, .running = true, .background = background,
		.action = c->op->service, .list_id = list_id,
		.sequence = ++c->itl->copies_sequence, .cmd = c,
	};
	return op;
}

void
copy_op_end(struct copy_op *op, struct scsi_cmd *c)
{
	op->running = false;
	op->cmd = NULL;
	op->terminated = c->aborted;
	op->status = c->aborted ? SCSI_TASK_ABORTED : c->task->status;
	op->sense = c->sense;
}

/* ---- background ---- */

struct copy_job {
	struct scsi_task task;
	struct scsi_itl *itl;
	uint32_t list_id;
	uint8_t list[];
};

/* Also when it was refused before its handler ran. */
static void
job_done(struct scsi_task *t)
{
	struct copy_job *job = container_of(t, struct copy_job, task);
	struct copy_op *op = copy_op_find(job->itl, job->list_id);

	if (op != NULL && op->running && t->cmd != NULL)
		copy_op_end(op, t->cmd);
	scsi_task_fini(t);
	free(job);
}

bool
copy_background(struct scsi_cmd *c, uint32_t list_id, size_t at,
    uint8_t bits)
{
	const struct scsi_task *parent = c->task;
	size_t len = parent->data_out_wanted;
	struct copy_op *op = copy_op_begin(c, list_id, true, NULL);
	struct copy_job *job;

	if (op == NULL)
		return true;
	job = calloc(1, sizeof(*job) + len);
	if (job == NULL) {
		op->valid = op->running = false;
		return scsi_cmd_status(c, SCSI_BUSY);
	}
	op->background = true;
	op->cmd = NULL;
	job->itl = c->itl;
	job->list_id = list_id;
	memcpy(job->list, parent->data_out, len);
	job->list[at] &= (uint8_t)~bits;
	job->task = (struct scsi_task){
		.nexus = c->nexus, .tag = parent->tag,
		.attr = SCSI_ATTR_SIMPLE, .cdb_len = c->op->len,
		.dir_out = true, .edtl = len, .data_out = job->list,
		.data_out_len = len, .done = job_done,
	};
	memcpy(job->task.lun, parent->lun, sizeof(job->task.lun));
	memcpy(job->task.cdb, parent->cdb, c->op->len);
	scsi_task_submit_inner(&job->task);
	return true;
}

/* Of 83h/1Ch, SPC-4 6.3: ends the command at work for the list. */
bool
scsi_copy_operation_abort(struct scsi_cmd *c)
{
	struct copy_op *op = copy_op_find(c->itl,
	    be32_load(c->task->cdb + 2));

	if (op == NULL || !op->running)
		return scsi_cmd_bad_cdb(c, 2);
	if (op->cmd != NULL)
		scsi_cmd_abort(op->cmd, true);
	return true;
}

/* ---- commands of our own ---- */

static void
inner_done(struct scsi_task *t)
{
	struct copy_inner *i = container_of(t, struct copy_inner, task);

	i->done = true;
	fiber_unpark(i->fiber);
}

void
copy_inner_run(struct scsi_cmd *c, struct copy_inner *i, uint8_t opcode,
    uint8_t flags, unsigned lun, struct rod *rod, uint64_t lba,
    uint32_t blocks)
{
	struct scsi_task *t = &i->task;

	i->fiber = fiber_self();
	i->done = false;
	t->nexus = c->nexus;
	t->lun[1] = (uint8_t)lun;
	t->rod = rod;
	t->tag = c->task->tag;
	t->cdb[0] = opcode;
	t->cdb[1] = flags;
	t->cdb_len = 16;
	be64_store(t->cdb + 2, lba);
	be32_store(t->cdb + 10, blocks);
	t->edtl = t->data_out_len;
	t->dir_out = t->data_out != NULL;
	t->done = inner_done;
	scsi_task_submit_inner(t);
	while (!i->done)
		fiber_park();
}

void
copy_inner_fini(struct copy_inner *i)
{
	scsi_task_fini(&i->task);
}

bool
copy_inner_failed(struct scsi_cmd *c, const struct copy_inner *i)
{
	const struct scsi_cmd *inner = i->task.cmd;

	if (i->task.status == SCSI_CHECK_CONDITION && inner != NULL &&
	    SENSE_KEY(inner->sense.code) == SENSE_KEY(SENSE_SPACE_FAILED))
		return scsi_cmd_fail(c, inner->sense.code);
	return scsi_cmd_fail(c, SENSE_COPY_DEVICE_FAILURE);
}

/* ---- ranges ---- */

static int
range_order(const void *a, const void *b)
{
	const struct copy_range *x = a, *y = b;

	return x->lba < y->lba ? -1 : x->lba > y->lba;
}

/* Of `sorted`, which is put into order. */
static bool
ranges_overlap(struct copy_range *sorted, unsigned count)
{
	uint64_t end = 0;

	qsort(sorted, count, sizeof(*sorted), range_order);
	for (unsigned i = 0; i < count; i++) {
		if (sorted[i].blocks == 0)
			continue;
		if (sorted[i].lba < end)
			return true;
		end = sorted[i].lba + sorted[i].blocks;
	}
	return false;
}

unsigned
copy_ranges_count(struct scsi_cmd *c, size_t at, unsigned max)
{
	size_t len = c->task->data_out_wanted - at;
	size_t told = be16_load(c->task->data_out + at - 2);

	if (told < RANGE_LEN || len < RANGE_LEN) {
		scsi_cmd_bad_parameter(c, (uint16_t)(at - 2));
		return 0;
	}
	if (told > len)
		told = len;
	if (told / RANGE_LEN <= max)
		return (unsigned)(told / RANGE_LEN);
	scsi_cmd_fail(c, SENSE_TOO_MANY_SEGMENTS);
	return 0;
}

int
copy_ranges(struct scsi_cmd *c, size_t at, unsigned count,
    struct copy_range **ret_ranges, uint64_t *ret_blocks)
{
	const uint8_t *p = c->task->data_out + at;
	struct copy_range *r = calloc(2 * (size_t)count, sizeof(*r));
	uint64_t blocks = 0;

	if (r == NULL) {
		scsi_cmd_status(c, SCSI_BUSY);
		return -ENOMEM;
	}
	for (unsigned i = 0; i < count; i++, p += RANGE_LEN) {
		r[i] = (struct copy_range){ be64_load(p), be32_load(p + 8) };
		if (!scsi_cmd_in_range(c, r[i].lba, r[i].blocks)) {
			free(r);
			return -EINVAL;
		}
		blocks += r[i].blocks;
	}
	memcpy(r + count, r, count * sizeof(*r));
	if (ranges_overlap(r + count, count)) {
		free(r);
		scsi_cmd_bad_parameter(c, (uint16_t)at);
		return -EINVAL;
	}
	*ret_ranges = r;
	*ret_blocks = blocks;
	return 0;
}
