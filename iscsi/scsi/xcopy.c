/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * EXTENDED COPY(LID1), SPC-4 6.4, of blocks between units of one target.
 *
 * Each step is a READ(16) and a WRITE(16) that the device server submits for
 * the nexus.  So reservations, write protection, range locks, PREEMPT AND
 * ABORT and resets on either unit hold for a copy without another word.
 */
#include "iscsi/scsi/xcopy.h"

#include <string.h>

#include "iscsi/scsi/cmd.h"
#include "libvmfs/base/be.h"

enum { HEAD_LEN = 16, TARGET_LEN = 32, SEGMENT_LEN = 28 };
/* LU ID TYPE beside it counts no more since SPC-4. */
enum { TARGET_NUL = 0x20 };
enum { SEGMENT_DC = 0x02 };
enum { NAME_NAA = 3, NAA_LEN = 16 };
enum { LIST_ID_NONE = 3 };		/* LIST ID USAGE: nothing is kept */
#define COPY_STEP ((uint64_t)1 << 20)

/* A parameter list that has been found whole. */
struct copy {
	const uint8_t *targets;
	unsigned target_count;
	const uint8_t *segments;
	unsigned segment_count;
	struct copy_result result;
};

/* One end of a segment. */
struct copy_end {
	unsigned lun;
	const struct scsi_lu *lu;
	uint64_t lba;
};

/* ---- parameter list ---- */

static bool
targets_check(struct scsi_cmd *c, const struct copy *copy)
{
	for (unsigned i = 0; i < copy->target_count; i++) {
		const uint8_t *d = copy->targets + i * TARGET_LEN;

		if (d[0] != COPY_TARGET_IDENT)
			scsi_cmd_fail(c, SENSE_TARGET_TYPE);
		else if (d[7] > 20)
			scsi_cmd_bad_parameter(c,
			    (uint16_t)(HEAD_LEN + i * TARGET_LEN + 7));
		else
			continue;
		return false;
	}
	return true;
}

/* Segments have one length; the first of another type ends the look. */
static bool
segments_check(struct scsi_cmd *c, const struct copy *copy, size_t len)
{
	for (size_t at = 0; at < len; at += SEGMENT_LEN) {
		const uint8_t *d = copy->segments + at;

		if (d[0] != COPY_SEGMENT_BLOCK) {
			scsi_cmd_fail(c, SENSE_SEGMENT_TYPE);
			return false;
		}
		if (len - at < SEGMENT_LEN ||
		    be16_load(d + 2) != SEGMENT_LEN - 4) {
			scsi_cmd_fail(c, SENSE_PARAMETER_LIST_LENGTH);
			return false;
		}
	}
	return true;
}

/* False: sense is set. */
static bool
list_decode(struct scsi_cmd *c, struct copy *ret_copy)
{
	const uint8_t *p = c->task->data_out;
	size_t len = c->task->data_out_wanted, targets_len;
	uint64_t segments_len, inline_len;

	if (len < HEAD_LEN) {
		scsi_cmd_fail(c, SENSE_PARAMETER_LIST_LENGTH);
		return false;
	}
	targets_len = be16_load(p + 2);
	segments_len = be32_load(p + 8);
	inline_len = be32_load(p + 12);
	if (targets_len % TARGET_LEN != 0 ||
	    targets_len + segments_len > COPY_LIST_MAX ||
	    len - HEAD_LEN < targets_len + segments_len + inline_len) {
		scsi_cmd_fail(c, SENSE_PARAMETER_LIST_LENGTH);
		return false;
	}
	*ret_copy = (struct copy){
		.targets = p + HEAD_LEN,
		.target_count = (unsigned)(targets_len / TARGET_LEN),
		.segments = p + HEAD_LEN + targets_len,
		.segment_count = (unsigned)(segments_len / SEGMENT_LEN),
		.result = { .valid = true, .running = true, .list_id = p[0] },
	};
	if (ret_copy->target_count > COPY_TARGETS_MAX)
		scsi_cmd_fail(c, SENSE_TOO_MANY_TARGETS);
	else if (ret_copy->segment_count > COPY_SEGMENTS_MAX)
		scsi_cmd_fail(c, SENSE_TOO_MANY_SEGMENTS);
	else
		return targets_check(c, ret_copy) &&
		    segments_check(c, ret_copy, segments_len);
	return false;
}

/* ---- ends of a segment ---- */

static bool
target_is(const uint8_t *d, const struct scsi_lu *lu)
{
	uint8_t naa[NAA_LEN];

	lu_naa(lu, naa);
	return (d[5] & 0x3f) == NAME_NAA && d[7] == NAA_LEN &&
	    memcmp(d + 8, naa, NAA_LEN) == 0;
}

/* Only units that the nexus sees can be named.  False: sense is set. */
static bool
end_find(struct scsi_cmd *c, const struct copy *copy, unsigned index,
    uint64_t lba, struct copy_end *ret_end)
{
	const uint8_t *d = copy->targets + index * TARGET_LEN;

	if (index >= copy->target_count || (d[1] & TARGET_NUL)) {
		scsi_cmd_fail(c, SENSE_COPY_UNREACHABLE);
		return false;
	}
	for (unsigned lun = 0; lun < SCSI_LUNS_MAX; lun++) {
		const struct scsi_itl *itl = c->nexus->itls[lun];

		if (itl == NULL || !target_is(d, itl->lu))
			continue;
		if (be24_load(d + 29) != itl->lu->block_size)
			break;
		*ret_end = (struct copy_end){ lun, itl->lu, lba };
		return true;
	}
	scsi_cmd_fail(c, SENSE_COPY_UNREACHABLE);
	return false;
}

static bool
end_holds(const struct copy_end *e, uint64_t bytes)
{
	return e->lba <= e->lu->blocks &&
	    bytes / e->lu->block_size <= e->lu->blocks - e->lba;
}

/* ---- copying ---- */

struct inner {
	struct scsi_task task;
	struct fiber *fiber;
	bool done;
};

static void
inner_done(struct scsi_task *t)
{
	struct inner *i = container_of(t, struct inner, task);

	i->done = true;
	fiber_unpark(i->fiber);
}

/* READ(16) or WRITE(16) of bytes at `at` bytes into the end. */
static void
inner_run(struct scsi_cmd *c, struct inner *i, uint8_t opcode,
    const struct copy_end *e, uint64_t at, uint64_t bytes)
{
	struct scsi_task *t = &i->task;

	i->fiber = fiber_self();
	i->done = false;
	t->nexus = c->nexus;
	t->lun[1] = (uint8_t)e->lun;
	t->tag = c->task->tag;
	t->cdb[0] = opcode;
	t->cdb_len = 16;
	be64_store(t->cdb + 2, e->lba + at / e->lu->block_size);
	be32_store(t->cdb + 10, (uint32_t)(bytes / e->lu->block_size));
	t->edtl = bytes;
	t->done = inner_done;
	scsi_task_submit_inner(t);
	while (!i->done)
		fiber_park();
}

/* False: sense is set, or the command is aborted. */
static bool
copy_step(struct scsi_cmd *c, const struct copy_end *from,
    const struct copy_end *to, uint64_t at, uint64_t bytes)
{
	struct inner in = { .fiber = NULL }, out = { .fiber = NULL };
	bool ok = false;

	inner_run(c, &in, 0x88, from, at, bytes);
	if (in.task.status == SCSI_GOOD && !c->aborted) {
		out.task.dir_out = true;
		out.task.data_out = in.task.data_in;
		out.task.data_out_len = bytes;
		inner_run(c, &out, 0x8a, to, at, bytes);
		ok = out.task.status == SCSI_GOOD;
		scsi_task_fini(&out.task);
	}
	scsi_task_fini(&in.task);
	if (!ok)
		scsi_cmd_fail(c, SENSE_COPY_DEVICE_FAILURE);
	return ok && !c->aborted;
}

/* Backwards where the blocks overlap so that a forward copy would eat them. */
static bool
segment_copy(struct scsi_cmd *c, struct copy *copy, const uint8_t *d)
{
	struct copy_end from, to;
	uint64_t bytes, at = 0;
	bool backwards;

	if (!end_find(c, copy, be16_load(d + 4), be64_load(d + 12), &from) ||
	    !end_find(c, copy, be16_load(d + 6), be64_load(d + 20), &to))
		return false;
	bytes = (uint64_t)be16_load(d + 10) *
	    (d[1] & SEGMENT_DC ? to.lu : from.lu)->block_size;
	if (!end_holds(&from, bytes) || !end_holds(&to, bytes) ||
	    bytes % to.lu->block_size != 0 || bytes % from.lu->block_size != 0)
		return !scsi_cmd_fail(c, SENSE_COPY_ABORTED);
	backwards = from.lu == to.lu && from.lba < to.lba;
	while (at < bytes) {
		uint64_t step = bytes - at < COPY_STEP ? bytes - at : COPY_STEP;

		if (!copy_step(c, &from, &to,
		    backwards ? bytes - at - step : at, step))
			return false;
		at += step;
		copy->result.bytes += step;
	}
	return true;
}

static bool
list_id_busy(const struct scsi_itl *itl, uint8_t list_id)
{
	for (unsigned i = 0; i < COPY_RESULTS_MAX; i++) {
		if (itl->copies[i].valid && itl->copies[i].running &&
		    itl->copies[i].list_id == list_id)
			return true;
	}
	return false;
}

/*
 * Where the result is kept: the place of an older one of the same id, or of
 * the oldest.  NULL: none is asked for, or all are running.
 */
static struct copy_result *
result_place(struct scsi_itl *itl, uint8_t list_id, uint8_t usage)
{
	struct copy_result *r;

	if (usage == LIST_ID_NONE)
		return NULL;
	for (unsigned i = 0; i < COPY_RESULTS_MAX; i++) {
		if (itl->copies[i].valid && itl->copies[i].list_id == list_id)
			return &itl->copies[i];
	}
	r = &itl->copies[itl->copies_next];
	itl->copies_next = (itl->copies_next + 1) % COPY_RESULTS_MAX;
	return r->running ? NULL : r;
}

bool
scsi_extended_copy(struct scsi_cmd *c)
{
	const uint8_t *p = c->task->data_out;
	struct copy_result *kept;
	struct copy copy;
	bool ok = true;
	uint8_t usage;

	if (c->task->data_out_wanted == 0)
		return true;
	if (!list_decode(c, &copy))
		return true;
	usage = (p[1] >> 3) & 3;
	if (usage != LIST_ID_NONE && list_id_busy(c->itl, p[0]))
		return scsi_cmd_bad_parameter(c, 0);
	kept = result_place(c->itl, p[0], usage);
	if (kept != NULL)
		*kept = copy.result;
	for (unsigned i = 0; i < copy.segment_count && ok; i++) {
		ok = segment_copy(c, &copy, copy.segments + i * SEGMENT_LEN);
		copy.result.segments += ok;
	}
	copy.result.running = false;
	copy.result.failed = !ok;
	if (kept != NULL)
		*kept = copy.result;
	return true;
}
