/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * EXTENDED COPY(LID4) and (LID1), SPC-4 6.4 and 6.5, of blocks between units
 * that the nexus sees.
 *
 * Each step is a READ(16) and a WRITE(16) that the device server submits for
 * the nexus.  So reservations, write protection, range locks, PREEMPT AND
 * ABORT and resets on either unit hold for a copy without another word.
 */
#include "iscsi/scsi/xcopy.h"

#include <string.h>

#include "iscsi/scsi/cmd.h"
#include "iscsi/scsi/copy.h"
#include "libvmfs/base/be.h"

enum { LID1_HEAD = 16, LID4_HEAD = 48, TARGET_LEN = 32, SEGMENT_LEN = 28 };
/* PARAMETER LIST FORMAT, G_SENSE and IMMED, fixed fields; SPC-4 6.4.2. */
enum { LID4_FORMAT = 0x01, LID4_HEADER_CSCD = 0xff, LID4_IMMED = 0x01 };
/* LU ID TYPE beside it counts no more since SPC-4. */
enum { TARGET_NUL = 0x20 };
enum { SEGMENT_DC = 0x02 };
enum { NAME_NAA = 3, NAA_LEN = 16 };
enum { LIST_ID_NONE = 3 };		/* LIST ID USAGE: nothing is kept */
#define COPY_STEP ((uint64_t)1 << 20)

/* A parameter list that has been found whole. */
struct copy {
	size_t head;
	uint32_t list_id;
	uint8_t usage;			/* LIST ID USAGE */
	const uint8_t *targets;
	unsigned target_count;
	const uint8_t *segments;
	unsigned segment_count;
	struct copy_op *op;
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
			    (uint16_t)(copy->head + i * TARGET_LEN + 7));
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

/* Lengths of the three parts behind the head. */
struct list_lengths {
	uint64_t targets, segments, inline_data;
};

static struct list_lengths
head_decode_lid1(const uint8_t *p, struct copy *copy)
{
	copy->list_id = p[0];
	return (struct list_lengths){
		be16_load(p + 2), be32_load(p + 8), be32_load(p + 12),
	};
}

/* False: sense is set. */
static bool
head_decode_lid4(struct scsi_cmd *c, const uint8_t *p, struct copy *copy,
    struct list_lengths *ret_lengths)
{
	copy->list_id = be32_load(p + 20);
	if (p[0] != LID4_FORMAT)
		scsi_cmd_bad_parameter(c, 0);
	else if (be16_load(p + 2) != TARGET_LEN)
		scsi_cmd_bad_parameter(c, 2);
	else if (p[16] != LID4_HEADER_CSCD)
		scsi_cmd_bad_parameter(c, 16);
	else if (copy->usage == LIST_ID_NONE && copy->list_id != 0)
		scsi_cmd_bad_parameter(c, 20);
	else {
		*ret_lengths = (struct list_lengths){
			be16_load(p + 42), be16_load(p + 44),
			be16_load(p + 46),
		};
		return true;
	}
	return false;
}

/* False: sense is set. */
static bool
list_decode(struct scsi_cmd *c, struct copy *copy)
{
	const uint8_t *p = c->task->data_out;
	size_t len = c->task->data_out_wanted;
	bool lid4 = c->op->service == COPY_LID4;
	struct list_lengths l;

	copy->head = lid4 ? LID4_HEAD : LID1_HEAD;
	if (len < copy->head)
		return !scsi_cmd_fail(c, SENSE_PARAMETER_LIST_LENGTH);
	copy->usage = (p[1] >> 3) & 3;
	if (!lid4)
		l = head_decode_lid1(p, copy);
	else if (!head_decode_lid4(c, p, copy, &l))
		return false;
	if (l.targets % TARGET_LEN != 0 ||
	    l.targets + l.segments > COPY_LIST_MAX ||
	    len - copy->head < l.targets + l.segments + l.inline_data)
		return !scsi_cmd_fail(c, SENSE_PARAMETER_LIST_LENGTH);
	copy->targets = p + copy->head;
	copy->target_count = (unsigned)(l.targets / TARGET_LEN);
	copy->segments = copy->targets + l.targets;
	copy->segment_count = (unsigned)(l.segments / SEGMENT_LEN);
	if (copy->target_count > COPY_TARGETS_MAX)
		return !scsi_cmd_fail(c, SENSE_TOO_MANY_TARGETS);
	if (copy->segment_count > COPY_SEGMENTS_MAX)
		return !scsi_cmd_fail(c, SENSE_TOO_MANY_SEGMENTS);
	return targets_check(c, copy) && segments_check(c, copy, l.segments);
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
		*ret_end = (struct copy_end){
			.lun = lun, .lu = itl->lu, .lba = lba,
		};
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

static struct copy_end
end_at(const struct copy_end *e, uint64_t at)
{
	struct copy_end moved = *e;

	moved.lba += at / e->lu->block_size;
	return moved;
}

/* READ(16) and a write.  False: sense is set, or the command is aborted. */
static bool
copy_step(struct scsi_cmd *c, const struct copy_end *from,
    const struct copy_end *to, uint64_t bytes)
{
	struct copy_inner in = { .fiber = NULL };
	bool ok;

	copy_inner_run(c, &in, 0x88, 0, from->lun, NULL, from->lba,
	    (uint32_t)(bytes / from->lu->block_size));
	ok = in.task.status == SCSI_GOOD;
	if (!ok)
		copy_inner_failed(c, &in);
	else if (c->aborted)
		ok = false;
	else
		ok = copy_put(c, to, bytes, in.task.data_in);
	copy_inner_fini(&in);
	return ok && !c->aborted;
}

/*
 * Shares or copies the next piece of a segment of which `done` bytes are done,
 * backwards where the blocks overlap so that a forward copy would eat them.
 */
static bool
copy_piece(struct scsi_cmd *c, const struct copy_end *from,
    const struct copy_end *to, uint64_t done, uint64_t bytes,
    uint64_t *ret_step)
{
	uint64_t step = bytes - done < COPY_STEP ? bytes - done : COPY_STEP;
	bool backwards = from->lu == to->lu && from->lba < to->lba;
	uint64_t at = backwards ? bytes - done - step : done, shared;
	struct copy_end source = end_at(from, at), place = end_at(to, at);

	if (!copy_share_try(c, &source, &place, bytes - done, &step, &shared))
		return false;
	*ret_step = shared > 0 ? shared : step;
	return shared > 0 ? !c->aborted : copy_step(c, &source, &place, step);
}

static bool
segment_copy(struct scsi_cmd *c, struct copy *copy, const uint8_t *d)
{
	struct copy_end from, to;
	uint64_t bytes, done = 0, step;

	if (!end_find(c, copy, be16_load(d + 4), be64_load(d + 12), &from) ||
	    !end_find(c, copy, be16_load(d + 6), be64_load(d + 20), &to))
		return false;
	bytes = (uint64_t)be16_load(d + 10) *
	    (d[1] & SEGMENT_DC ? to.lu : from.lu)->block_size;
	if (!end_holds(&from, bytes) || !end_holds(&to, bytes) ||
	    bytes % to.lu->block_size != 0 || bytes % from.lu->block_size != 0)
		return !scsi_cmd_fail(c, SENSE_COPY_ABORTED);
	while (done < bytes) {
		if (!copy_piece(c, &from, &to, done, bytes, &step))
			return false;
		done += step;
		copy->op->bytes += step;
		copy->op->counter = (uint16_t)(copy->op->counter + 2);
	}
	return true;
}

bool
scsi_extended_copy(struct scsi_cmd *c)
{
	struct copy copy = { .head = 0 };
	struct copy_op scratch;
	bool ok = true;

	if (c->task->data_out_wanted == 0)
		return true;
	if (!list_decode(c, &copy))
		return true;
	if (c->op->service == COPY_LID4 && copy.usage != LIST_ID_NONE &&
	    (c->task->data_out[15] & LID4_IMMED))
		return copy_background(c, copy.list_id, 15, LID4_IMMED);
	copy.op = copy_op_begin(c, copy.list_id, copy.usage != LIST_ID_NONE,
	    &scratch);
	if (copy.op == NULL)
		return true;
	for (unsigned i = 0; i < copy.segment_count && ok; i++) {
		ok = segment_copy(c, &copy, copy.segments + i * SEGMENT_LEN);
		copy.op->segments = (uint16_t)(copy.op->segments + ok);
	}
	copy_op_end(copy.op, c);
	return true;
}
