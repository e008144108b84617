/* SPDX-License-Identifier: BSD-2-Clause */
/* What a command does at the simulated LUN. */
#include <endian.h>
#include <stdlib.h>
#include <string.h>

#include "libvmfs/base/crc32c.h"
#include "libvmfs/base/units.h"
#include "libvmfs/format/heartbeat.h"
#include "libvmfs/format/journal.h"
#include "tests/sim/sim_op.h"

/* A slow command waits for most of its time; then it writes. */
#define TEAR_NS NSEC_PER_MSEC

/* One write not flushed yet. */
struct dirty {
	struct list node;
	uint64_t offset, length;
	uint8_t data[];
};

static const struct disk_sense sense_conflict = { .status = 0x18 };

static void
touch(struct sim_lun *l, uint64_t offset, uint64_t length)
{
	for (uint64_t b = offset / 4096; b <= (offset + length - 1) / 4096; b++)
		l->touched[b / 8] |= (uint8_t)(1u << b % 8);
}

static int
land(const struct sim_op *op, uint64_t offset, const uint8_t *data,
    uint64_t length)
{
	struct sim_lun *l = op->lun;
	struct dirty *d;

	if (l->landed != NULL)
		l->landed(l->landed_arg, op->nexus, offset, data, length);
	memcpy(l->now + offset, data, length);
	touch(l, offset, length);
	if ((op->flags & DISK_FUA) != 0) {
		memcpy(l->stable + offset, data, length);
		return 0;
	}
	l->nexus[op->nexus].unflushed = true;
	d = malloc(sizeof(*d) + length);
	if (d == NULL)
		return -ENOMEM;
	d->offset = offset;
	d->length = length;
	memcpy(d->data, data, length);
	list_add_tail(&l->dirty, &d->node);
	return 0;
}

static int
put(const struct sim_op *op)
{
	return land(op, op->offset, op->data, op->length);
}

void
sim_dirty_drop(struct sim_lun *l)
{
	struct list *node;

	while ((node = list_pop(&l->dirty)) != NULL)
		free(list_entry(node, struct dirty, node));
}

static int
flush(struct sim_lun *l)
{
	struct list *node;

	l->flushes++;
	for (unsigned i = 0; i < SIM_NEXUS_MAX; i++)
		l->nexus[i].unflushed = false;
	while ((node = list_pop(&l->dirty)) != NULL) {
		struct dirty *d = list_entry(node, struct dirty, node);

		memcpy(l->stable + d->offset, d->data, d->length);
		free(d);
	}
	return 0;
}

void
sim_lun_forget(struct sim_lun *l)
{
	struct list *node;

	while ((node = list_pop(&l->dirty)) != NULL) {
		struct dirty *d = list_entry(node, struct dirty, node);

		if (sim_chance(l->sim, 500000))
			memcpy(l->stable + d->offset, d->data, d->length);
		free(d);
	}
	for (uint64_t b = 0; b < l->info.size_bytes / 4096; b++)
		if (l->touched[b / 8] & 1u << b % 8)
			memcpy(l->now + b * 4096, l->stable + b * 4096, 4096);
}

void
sim_lun_copy(const struct sim_lun *from, struct sim_lun *to, bool power_loss)
{
	const uint8_t *image = power_loss ? from->stable : from->now;

	for (uint64_t b = 0; b < from->info.size_bytes / 4096; b++)
		if (from->touched[b / 8] & 1u << b % 8) {
			memcpy(to->now + b * 4096, image + b * 4096, 4096);
			touch(to, b * 4096, 4096);
		}
	list_for_each(node, next, power_loss ? &from->dirty : &to->dirty) {
		const struct dirty *d = list_entry(node, struct dirty, node);

		if (sim_chance(to->sim, 500000))
			memcpy(to->now + d->offset, d->data, d->length);
	}
	memcpy(to->touched, from->touched, from->info.size_bytes / 4096 / 8);
	for (uint64_t b = 0; b < to->info.size_bytes / 4096; b++)
		if (to->touched[b / 8] & 1u << b % 8)
			memcpy(to->stable + b * 4096, to->now + b * 4096,
			    4096);
}

static int
compare_and_write(struct sim_op *op)
{
	if (memcmp(op->lun->now + op->offset, op->expect, op->length) != 0)
		return -VMFS_EMISCOMPARE;
	op->flags |= DISK_FUA;
	return put(op);
}

static int
zeroes(struct sim_op *op)
{
	op->data = calloc(1, op->length);
	return op->data == NULL ? -ENOMEM : put(op);
}

/*
 * What a LUN without LBPRZ may read as what it has forgotten: zeroes, what it
 * was, what it was at the last flush, anything.
 */
static int
forget(const struct sim_op *op, uint64_t at, uint64_t length)
{
	struct sim_lun *l = op->lun;
	uint64_t kind = sim_below(l->sim, 4);
	uint8_t *data;
	int rc;

	if (kind == 0)
		return 0;
	data = calloc(1, length);
	if (data == NULL)
		return -ENOMEM;
	if (kind == 1)
		memcpy(data, l->stable + at, length);
	else if (kind == 2)
		memset(data, (int)sim_below(l->sim, 256), length);
	rc = land(op, at, data, length);
	free(data);
	return rc;
}

/* Whole units only; the rest is a hint that is not taken. */
static int
unmap(const struct sim_op *op)
{
	uint64_t unit = op->lun->info.unmap_granularity;
	uint64_t at = (op->offset + unit - 1) / unit * unit;
	int rc = 0;

	op->lun->unmaps++;
	for (; at + unit <= op->offset + op->length && rc == 0; at += unit)
		rc = forget(op, at, unit);
	return rc;
}

static bool
any_key(const struct sim_lun *l)
{
	for (unsigned i = 0; i < SIM_NEXUS_MAX; i++)
		if (l->nexus[i].key != 0)
			return true;
	return false;
}

static int
pr_register(struct sim_op *op, bool ignore)
{
	struct sim_lun *l = op->lun;
	struct sim_nexus *n = &l->nexus[op->nexus];

	if (!ignore && n->key != op->pr.key)
		return -VMFS_ECONFLICT;
	n->key = op->pr.sa_key;
	if (l->registered != NULL)
		l->registered(l->registered_arg, op->nexus, n->key);
	l->generation++;
	/* All Registrants: it ends with the last of them. */
	if (!any_key(l))
		l->reserved = 0;
	return 0;
}

void
sim_op_abort_others(struct sim_op *op)
{
	struct sim_lun *l = op->lun;

	op->aborts = false;
	for (unsigned i = 0; i < SIM_NEXUS_MAX; i++) {
		if (l->nexus[i].aborter != op)
			continue;
		l->nexus[i].aborter = NULL;
		sim_ops_abort(l, i);
	}
}

static int
pr_preempt(struct sim_op *op, bool abort)
{
	struct sim_lun *l = op->lun;
	bool found = false;

	for (unsigned i = 0; i < SIM_NEXUS_MAX; i++) {
		struct sim_nexus *n = &l->nexus[i];

		if (n->key == 0 || n->key != op->pr.sa_key)
			continue;
		found = true;
		n->key = 0;
		if (i != op->nexus)
			n->attention = 0x2a05;
		n->aborter = abort ? op : NULL;
	}
	op->aborts = abort;
	if (!found)
		return -VMFS_ECONFLICT;
	l->preempts++;
	l->generation++;
	return 0;
}

static int
pr_out(struct sim_op *op)
{
	struct sim_lun *l = op->lun;
	const struct sim_nexus *n = &l->nexus[op->nexus];

	if (op->pr.action == DISK_PR_REGISTER)
		return pr_register(op, false);
	if (op->pr.action == DISK_PR_REGISTER_IGNORE)
		return pr_register(op, true);
	if (n->key == 0 || n->key != op->pr.key)
		return -VMFS_ECONFLICT;
	switch (op->pr.action) {
	case DISK_PR_RESERVE:
		if (l->reserved != 0 && l->reserved != op->pr.type)
			return -VMFS_ECONFLICT;
		l->reserved = op->pr.type;
		return 0;
	case DISK_PR_PREEMPT:
		return pr_preempt(op, false);
	case DISK_PR_PREEMPT_AND_ABORT:
		return pr_preempt(op, true);
	case DISK_PR_REGISTER:
	case DISK_PR_REGISTER_IGNORE:
	case DISK_PR_RELEASE:
	case DISK_PR_CLEAR:
	case DISK_PR_LATE_REGISTER:
	case DISK_PR_LATE_ADMIT:
	case DISK_PR_LATE_REVOKE:
		break;
	}
	return -EOPNOTSUPP;
}

static int
read_keys(struct sim_op *op)
{
	struct disk_pr *pr = op->req != NULL ? op->req->pr : NULL;

	if (pr == NULL)
		return 0;
	pr->generation = op->lun->generation;
	pr->keys_count = 0;
	for (unsigned i = 0; i < SIM_NEXUS_MAX; i++) {
		if (op->lun->nexus[i].key == 0)
			continue;
		if (pr->keys_count < pr->keys_max)
			pr->keys[pr->keys_count] = op->lun->nexus[i].key;
		pr->keys_count++;
	}
	return 0;
}

static int
read_reservation(struct sim_op *op)
{
	struct disk_pr *pr = op->req != NULL ? op->req->pr : NULL;

	if (pr == NULL)
		return 0;
	pr->reserved = op->lun->reserved != 0;
	pr->type = op->lun->reserved;
	return 0;
}

/* A dead host's hold lasts as long as commands of it may yet land. */
static bool
holds(const struct sim_nexus *n, uint64_t id)
{
	if (n->path == PATH_CUT && n->in_flight == 0)
		return false;
	for (unsigned i = 0; i < n->n_holds; i++)
		if (n->holds[i] == id)
			return true;
	return false;
}

static int
hold_test(const struct sim_lun *l, uint64_t id, unsigned except)
{
	for (unsigned i = 0; i < SIM_NEXUS_MAX; i++)
		if (i != except && holds(&l->nexus[i], id))
			return -VMFS_EINUSE;
	return 0;
}

static int
hold(struct sim_op *op)
{
	struct sim_nexus *n = &op->lun->nexus[op->nexus];
	int rc = hold_test(op->lun, op->id, op->nexus);

	if (rc == 0 && n->n_holds == SIM_HOLDS_MAX)
		rc = -ENOLCK;
	if (rc == 0)
		n->holds[n->n_holds++] = op->id;
	return rc;
}

static int
unhold(struct sim_op *op)
{
	struct sim_nexus *n = &op->lun->nexus[op->nexus];

	for (unsigned i = 0; i < n->n_holds; i++)
		if (n->holds[i] == op->id)
			n->holds[i] = n->holds[--n->n_holds];
	return 0;
}

static bool
changes(enum disk_op op)
{
	return op == DISK_WRITE || op == DISK_WRITE_ZEROES ||
	    op == DISK_UNMAP || op == DISK_CAW;
}

/* By its looks. */
static bool
is_metadata(const uint8_t *block)
{
	static const uint32_t magic[] = {
		BLOCK_MAGIC, LOCKREC_MAGIC, HEARTBEAT_MAGIC,
		JOURNAL_COMMIT_MAGIC,
	};
	uint32_t m;

	memcpy(&m, block, sizeof(m));
	for (size_t i = 0; i < sizeof(magic) / sizeof(magic[0]); i++)
		if (le32toh(m) == magic[i])
			return true;
	return false;
}

/* The bytes of a read from `at` on, which has length bytes of them. */
static void
bring(const struct sim_op *op, uint64_t at, const uint8_t *p, uint64_t length)
{
	uint64_t skip = at - op->offset;

	for (int i = 0; i < op->req->iovcnt && length > 0; i++) {
		const struct iovec *v = &op->req->iov[i];
		uint64_t n;

		if (skip >= v->iov_len) {
			skip -= v->iov_len;
			continue;
		}
		n = v->iov_len - skip < length ? v->iov_len - skip : length;
		memcpy((uint8_t *)v->iov_base + skip, p, n);
		skip = 0;
		p += n;
		length -= n;
	}
}

static bool
brings(const struct sim_op *op, uint64_t at)
{
	return op->op == DISK_READ && at >= op->offset &&
	    at < op->offset + op->length;
}

static void
flip_bit(const struct sim_op *op, uint64_t at)
{
	uint8_t byte = op->lun->now[at] ^
	    (uint8_t)(1u << sim_below(op->lun->sim, 8));

	bring(op, at, &byte, 1);
}

/* What checksums cover, and on its way only. */
static void
flip(struct sim_op *op)
{
	uint64_t first = op->offset / BLOCK_SIZE * BLOCK_SIZE;
	uint64_t blocks = (op->offset + op->length - first + BLOCK_SIZE - 1) /
	    BLOCK_SIZE;
	uint64_t block = first + sim_below(op->lun->sim, blocks) * BLOCK_SIZE;
	uint64_t at = block + sim_below(op->lun->sim, BLOCK_SIZE);

	if (!is_metadata(op->lun->now + block) || !brings(op, at))
		return;
	op->lun->flips++;
	flip_bit(op, at);
}

/* The beginning of what w is about to change, and not yet the rest of it. */
static void
tear(struct sim_op *op, const struct sim_op *w)
{
	const uint8_t *now = op->lun->now + w->offset;
	uint64_t length = sim_below(op->lun->sim, w->length);
	uint64_t end = op->offset + op->length;

	if ((w->op == DISK_CAW && memcmp(now, w->expect, w->length) != 0) ||
	    memcmp(now + length, w->data + length, w->length - length) == 0)
		return;
	if (length > end - w->offset)
		length = end - w->offset;
	op->lun->torn++;
	bring(op, w->offset, w->data, length);
}

static void
tear_all(struct sim_op *op)
{
	struct sim_lun *l = op->lun;

	if (op->torn)
		flip_bit(op, l->strike.torn);
	if (l->faults.torn_ppm == 0)
		return;
	list_for_each(node, next, &l->ops) {
		const struct sim_op *w = list_entry(node, struct sim_op, node);

		if ((w->op == DISK_WRITE || w->op == DISK_CAW) &&
		    w->accepted && !w->applied && brings(op, w->offset) &&
		    w->timer.deadline_ns < l->sim->now_ns + TEAR_NS &&
		    sim_chance(l->sim, l->faults.torn_ppm))
			tear(op, w);
	}
}

static void
give(struct sim_op *op)
{
	if (op->req == NULL)
		return;
	bring(op, op->offset, op->lun->now + op->offset, op->length);
	if (sim_chance(op->lun->sim, op->lun->faults.flip_ppm))
		flip(op);
	tear_all(op);
}

static int
execute(struct sim_op *op)
{
	struct sim_nexus *n = &op->lun->nexus[op->nexus];

	switch (op->op) {
	case DISK_READ:
		if (sim_chance(op->lun->sim, op->lun->faults.read_error_ppm))
			return -EIO;
		give(op);
		return 0;
	case DISK_WRITE:
		return put(op);
	case DISK_FLUSH:
		if (n->cache_lost)
			return -EIO;
		return flush(op->lun);
	case DISK_WRITE_ZEROES:
		return zeroes(op);
	case DISK_UNMAP:
		return unmap(op);
	case DISK_CAW:
		return compare_and_write(op);
	case DISK_PR_OUT:
		return pr_out(op);
	case DISK_PR_READ_KEYS:
		return read_keys(op);
	case DISK_PR_READ_RESERVATION:
		return read_reservation(op);
	case DISK_HOLD:
		return hold(op);
	case DISK_UNHOLD:
		return unhold(op);
	case DISK_HOLD_TEST:
		return hold_test(op->lun, op->id, SIM_NEXUS_MAX);
	case DISK_RESERVE:
		op->lun->scsi2 = true;
		op->lun->scsi2_nexus = op->nexus;
		n->reserved = n->sessions + 1;
		return 0;
	case DISK_RELEASE:
		n->reserved = 0;
		if (op->lun->scsi2_nexus == op->nexus)
			op->lun->scsi2 = false;
		return 0;
	case DISK_MAP:
	case DISK_CRYPTO_ERASE:
	case DISK_SHARE:
		break;
	}
	return -EOPNOTSUPP;
}

/* A reservation goes with its nexus, once the commands of that have ended. */
static void
scsi2_expire(struct sim_lun *l)
{
	const struct sim_nexus *n = &l->nexus[l->scsi2_nexus];

	if (!l->scsi2 || n->path == PATH_UP || n->path == PATH_PAUSED)
		return;
	list_for_each(node, next, &l->ops) {
		const struct sim_op *op = list_entry(node, struct sim_op, node);

		if (op->nexus == l->scsi2_nexus && op->accepted &&
		    !op->applied)
			return;
	}
	l->scsi2 = false;
}

static bool
scsi2_conflict(const struct sim_op *op)
{
	scsi2_expire(op->lun);
	return op->lun->scsi2 && op->lun->scsi2_nexus != op->nexus &&
	    op->op != DISK_RELEASE && op->op != DISK_HOLD &&
	    op->op != DISK_UNHOLD && op->op != DISK_HOLD_TEST;
}

static void
trace(const struct sim_op *op)
{
	if (op->op != DISK_READ)
		sim_trace(op->lun->sim, (uint64_t)op->op << 32 | op->nexus,
		    op->offset ^ op->length << 40 ^ (uint64_t)-op->result,
		    op->data != NULL ?
		    crc32c(0, op->data, op->length) : op->id);
}

static bool
strikes(struct sim_op *op)
{
	struct sim_strike *s = &op->lun->strike;

	if ((s->result == 0 && s->torn == 0) || op->req == NULL ||
	    op->nexus < s->first || op->nexus > s->last ||
	    (s->ops & 1u << op->op) == 0 ||
	    (s->at != 0 && s->at != op->offset) ||
	    (s->torn != 0 && !brings(op, s->torn)))
		return false;
	s->seen++;
	return s->seen > s->skip && s->seen <= s->skip + s->times;
}

/* What the strike says instead of the LUN. */
static void
struck(struct sim_op *op, int result)
{
	op->result = result;
	if (result == -VMFS_ECONFLICT)
		op->sense = sense_conflict;
	else if (result == -VMFS_EATTENTION)
		op->sense = (struct disk_sense){
			.status = 0x02, .key = 0x06, .asc = 0x29,
		};
}

bool
sim_op_accept(struct sim_op *op)
{
	struct sim_lun *l = op->lun;
	struct sim_nexus *n = &l->nexus[op->nexus];
	bool hit = strikes(op);

	op->torn = hit && l->strike.torn != 0;
	hit = hit && !op->torn;
	if (hit && l->strike.done)
		op->struck = l->strike.result;
	if (hit && !l->strike.done) {
		struck(op, l->strike.result);
	} else if (n->attention != 0 && op->req != NULL) {
		op->result = -VMFS_EATTENTION;
		op->sense = (struct disk_sense){
			.status = 0x02, .key = 0x06,
			.asc = (uint8_t)(n->attention >> 8),
			.ascq = (uint8_t)n->attention,
		};
		/* The initiator, which has heard of a reset. */
		if (op->sense.asc == 0x29)
			n->reserved = 0;
		n->attention = 0;
	} else if ((op->flags & DISK_RESERVED) != 0 &&
	    n->reserved != n->sessions + 1) {
		/* Of the initiator, which does not send it. */
		op->result = -VMFS_EATTENTION;
	} else if (l->pool_full && op->op == DISK_WRITE) {
		op->result = -ENOSPC;
	} else if (scsi2_conflict(op)) {
		op->result = -VMFS_ECONFLICT;
		op->sense = sense_conflict;
	} else if (changes(op->op) && l->reserved != 0 && n->key == 0) {
		op->result = -VMFS_ECONFLICT;
		op->sense = sense_conflict;
	} else {
		op->accepted = true;
		return true;
	}
	op->applied = true;
	trace(op);
	return false;
}

void
sim_op_apply(struct sim_op *op)
{
	op->applied = true;
	op->result = execute(op);
	if (op->struck != 0 && op->result == 0)
		struck(op, op->struck);
	if (op->result == -VMFS_ECONFLICT)
		op->sense = sense_conflict;
	trace(op);
}
