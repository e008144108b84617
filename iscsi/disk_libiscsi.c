/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * struct disk on a session: requests become SCSI commands.
 *
 * A request is cut into commands the LUN takes; OP_WINDOW of them are under
 * way at a time.  Requests of other reactors come and go by sched_post.
 */
#include <stdlib.h>

#include "iscsi/disk_libiscsi_disk.h"
#include "libvmfs/base/units.h"
#include "libvmfs/env/lba_status.h"

#define OP_WINDOW 8
#define TRANSFER_MAX MIB	/* bytes of one READ or WRITE */
#define RANGE_MAX (16 * MIB)	/* bytes of one UNMAP or WRITE SAME */
#define PR_IN_SIZE 8192		/* 1023 keys */
#define FLUSHES_MAX 10		/* each but the last met a unit attention */

/* What follows when all of a request was executed. */
enum behind {
	BEHIND_NOTHING,
	BEHIND_FLUSH,		/* FUA on a LUN that has none */
	BEHIND_MODES,		/* which a reservation may hide no longer */
};

/* A disk request on its way. */
struct op {
	struct sched_work work;
	struct ldisk *d;
	struct disk_req *req;
	uint64_t next;		/* bytes already cut into commands */
	unsigned active;	/* commands under way */
	enum behind behind;	/* still to be sent */
	unsigned flushes;	/* sent behind it */
	uint64_t covers;	/* FLUSH: writes acknowledged before it */
	unsigned losses;	/* of the disk when it began */
	int result;
	struct disk_sense sense;
};

struct chunk {
	struct lcmd cmd;
	struct op *op;
	enum behind behind;	/* NOTHING: the request itself */
	uint64_t offset;	/* within the request */
	uint8_t *data;		/* of our own, freed with the chunk */
	struct iovec iov[];
};

static void op_more(struct op *op);

/* ---- completion ---- */

static void
op_deliver(void *arg)
{
	struct op *op = arg;
	struct disk_req *req = op->req;

	req->result = op->result;
	req->sense = op->sense;
	free(op);
	req->done(req);
}

static void
op_post(struct op *op)
{
	op->work.fn = op_deliver;
	op->work.arg = op;
	sched_post(op->req->home, &op->work);
}

/* A flush that spans a loss, or is the first after one, has not kept what it
 * promises. */
static void
account_flush(struct op *op)
{
	struct ldisk_account *a = op->d->account;

	if (op->losses != a->losses || a->losses_told != a->losses) {
		a->losses_told = a->losses;
		op->result = -EIO;
	} else if (op->covers > a->durable) {
		a->durable = op->covers;
	}
}

static void
note_reservation(struct op *op)
{
	struct ldisk *d = op->d;

	if (op->req->op == DISK_RESERVE && op->result == 0) {
		d->reserved = lsess_nexus(d->sess);
		lsess_hold(d->sess);
	} else if (op->req->op == DISK_RELEASE) {
		d->reserved = 0;
	}
}

static void
account(struct op *op)
{
	bool fua = (op->req->flags & DISK_FUA) != 0;

	if (op->result < 0)
		return;
	switch (op->req->op) {
	case DISK_WRITE:
	case DISK_CAW:
		op->d->account->written += !fua;
		break;
	case DISK_UNMAP:
	case DISK_WRITE_ZEROES:
		op->d->account->written++;
		break;
	case DISK_FLUSH:
		account_flush(op);
		break;
	default:
		break;
	}
}

static void
op_finish(struct op *op)
{
	note_reservation(op);
	account(op);
	if (op->req->home == op->d->home)
		op_deliver(op);
	else
		op_post(op);
}

/* The first error counts, but "unknown" more than any other. */
static void
op_note(struct op *op, int result, const struct disk_sense *sense)
{
	if (result == 0 || op->result == -VMFS_EUNKNOWN)
		return;
	if (op->result == 0 || result == -VMFS_EUNKNOWN) {
		op->result = result;
		if (sense != NULL)
			op->sense = *sense;
	}
}

/* ---- answers ---- */

/* The next command asks for what this answer does not tell. */
static int
map_answer(struct chunk *c)
{
	struct op *op = c->op;
	uint32_t bs = op->d->lun.block_size;
	uint64_t first = op->req->offset / bs;
	uint64_t lba = first + c->offset / bs;
	int rc = lba_status_add(c->data, c->cmd.received, bs,
	    first + op->req->length / bs, &lba, op->req->map);

	op->next = (lba - first) * bs;
	return rc;
}

static int
read_answer(struct chunk *c)
{
	struct disk_req *req = c->op->req;

	switch (req->op) {
	case DISK_READ:
		return c->cmd.received == c->cmd.cdb.xfer ? 0 : -EIO;
	case DISK_PR_READ_KEYS:
		return lpr_parse_keys(c->data, c->cmd.received, req->pr);
	case DISK_PR_READ_RESERVATION:
		return lpr_parse_reservation(c->data, c->cmd.received,
		    req->pr);
	case DISK_MAP:
		return map_answer(c);
	default:
		return 0;
	}
}

/*
 * The request was executed.  Nothing may say that it was not, unless a second
 * time does no harm: a COMPARE AND WRITE would meet its own image.
 */
static int
behind_result(const struct op *op, enum behind what, int rc)
{
	if (what == BEHIND_MODES)
		return 0;
	return what == BEHIND_FLUSH && rc < 0 && (op->req->op == DISK_CAW ||
	    (op->req->flags & DISK_RESERVED) != 0) ? -VMFS_EUNKNOWN : rc;
}

static int
behind_answer(struct chunk *c)
{
	struct op *op = c->op;
	struct ldisk *d = op->d;
	int rc = c->cmd.result;

	if (rc == -VMFS_EATTENTION && lsense_is_reservation(&c->cmd.sense))
		d->attention = c->cmd.sense;
	if (rc == -VMFS_EATTENTION && c->behind == BEHIND_FLUSH &&
	    op->flushes < FLUSHES_MAX) {
		op->behind = BEHIND_FLUSH;
		return 0;
	}
	/* Write protection that is seen only now, writes will meet. */
	if (rc == 0 && c->behind == BEHIND_MODES)
		lprobe_modes(&d->lun, c->data, c->cmd.received);
	return behind_result(op, c->behind, rc);
}

static void
chunk_done(struct lcmd *cmd)
{
	struct chunk *c = container_of(cmd, struct chunk, cmd);
	struct op *op = c->op;
	int rc = cmd->result;

	op->active--;
	/* What comes behind the write of a section needs no reservation. */
	if (cmd->nexus != 0 && cmd->cdb.dir == LCDB_OUT)
		lsess_let_go(op->d->sess);
	if (c->behind != BEHIND_NOTHING) {
		rc = behind_answer(c);
	} else if (rc == 0) {
		rc = read_answer(c);
	} else if (cmd->cdb.b[0] == LCDB_WRITE_SAME16 &&
	    (rc == -EOPNOTSUPP || rc == -EINVAL)) {
		/* No WRITE SAME here: once more from there, as writes. */
		op->d->write_same = false;
		if (c->offset < op->next)
			op->next = c->offset;
		rc = 0;
	}
	op_note(op, rc, &cmd->sense);
	free(c->data);
	free(c);
	op_more(op);
}

/* ---- commands ---- */

static struct chunk *
chunk_new(struct op *op, int iovcnt, size_t data_len)
{
	struct chunk *c = calloc(1, sizeof(*c) +
	    (size_t)iovcnt * sizeof(c->iov[0]));

	if (c == NULL)
		return NULL;
	c->op = op;
	c->offset = op->next;
	c->cmd.iov = c->iov;
	c->cmd.done = chunk_done;
	if (data_len > 0) {
		c->data = calloc(1, data_len);
		if (c->data == NULL) {
			free(c);
			return NULL;
		}
		c->iov[0] = (struct iovec){ c->data, data_len };
		c->cmd.iovcnt = 1;
	}
	return c;
}

/* Adds the part [offset, offset + len) of the request's buffers. */
static void
chunk_add_iov(struct chunk *c, uint64_t offset, uint64_t len)
{
	const struct disk_req *req = c->op->req;

	for (int i = 0; i < req->iovcnt && len > 0; i++) {
		size_t have = req->iov[i].iov_len;
		size_t take;

		if (offset >= have) {
			offset -= have;
			continue;
		}
		take = have - offset < len ? (size_t)(have - offset) :
		    (size_t)len;
		c->iov[c->cmd.iovcnt++] = (struct iovec){
			(char *)req->iov[i].iov_base + offset, take };
		offset = 0;
		len -= take;
	}
}

static uint64_t
min_u64(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* How much of the request the next command takes, in bytes. */
static uint64_t
chunk_size(const struct op *op, uint64_t max, uint64_t lun_blocks)
{
	uint64_t left = op->req->length - op->next;

	if (lun_blocks > 0)
		max = min_u64(max, lun_blocks * op->d->lun.block_size);
	return min_u64(left, max);
}

static uint8_t
fua_flag(const struct op *op)
{
	return (op->req->flags & DISK_FUA) != 0 && op->d->lun.fua ?
	    LCDB_FUA : 0;
}

static struct chunk *
cut_transfer(struct op *op)
{
	const struct lprobe *lun = &op->d->lun;
	uint64_t len = chunk_size(op, TRANSFER_MAX, lun->max_transfer_blocks);
	uint64_t lba = (op->req->offset + op->next) / lun->block_size;
	uint32_t blocks = (uint32_t)(len / lun->block_size);
	struct chunk *c = chunk_new(op, op->req->iovcnt, 0);

	if (c == NULL)
		return NULL;
	if (op->req->op == DISK_READ) {
		c->cmd.cdb = lcdb_read16(lba, blocks, lun->block_size);
		c->cmd.retry_attention = true;
	} else {
		c->cmd.cdb = lcdb_write16(lba, blocks, lun->block_size,
		    fua_flag(op));
	}
	if ((op->req->flags & DISK_RESERVED) != 0)
		c->cmd.nexus = op->d->reserved;
	chunk_add_iov(c, op->next, len);
	op->next += len;
	return c;
}

static struct chunk *
cut_zeroes(struct op *op)
{
	const struct lprobe *lun = &op->d->lun;
	bool same = op->d->write_same;
	uint64_t len = same ?
	    chunk_size(op, RANGE_MAX, lun->max_write_same_blocks) :
	    chunk_size(op, TRANSFER_MAX, lun->max_transfer_blocks);
	uint64_t lba = (op->req->offset + op->next) / lun->block_size;
	uint32_t blocks = (uint32_t)(len / lun->block_size);
	bool unmap = (op->req->flags & DISK_MAY_UNMAP) != 0 &&
	    lun->write_same_unmap;
	struct chunk *c = chunk_new(op, 1, same ? lun->block_size : len);

	if (c == NULL)
		return NULL;
	c->cmd.cdb = same ? lcdb_write_same16(lba, blocks, lun->block_size,
	    unmap ? LCDB_WS_UNMAP : 0) :
	    lcdb_write16(lba, blocks, lun->block_size, 0);
	op->next += len;
	return c;
}

static struct chunk *
cut_unmap(struct op *op)
{
	const struct lprobe *lun = &op->d->lun;
	uint64_t len = chunk_size(op, RANGE_MAX, lun->max_unmap_blocks);
	struct chunk *c = chunk_new(op, 1, LCDB_UNMAP_LIST);

	if (c == NULL)
		return NULL;
	c->cmd.cdb = lcdb_unmap((op->req->offset + op->next) /
	    lun->block_size, (uint32_t)(len / lun->block_size), c->data);
	op->next += len;
	return c;
}

static struct chunk *
cut_caw(struct op *op)
{
	const struct lprobe *lun = &op->d->lun;
	struct disk_req *req = op->req;
	struct chunk *c = chunk_new(op, 1 + req->iovcnt, 0);

	if (c == NULL)
		return NULL;
	c->cmd.cdb = lcdb_caw(req->offset / lun->block_size,
	    (uint8_t)(req->length / lun->block_size), lun->block_size,
	    fua_flag(op));
	c->iov[0] = (struct iovec){ (void *)(uintptr_t)req->expect,
		req->length };
	c->cmd.iovcnt = 1;
	chunk_add_iov(c, 0, req->length);
	return c;
}

/* One at a time: how much an answer tells is not known before. */
static struct chunk *
cut_map(struct op *op)
{
	struct disk_req *req = op->req;
	struct chunk *c = chunk_new(op, 1, LBA_STATUS_SIZE);

	if (c == NULL)
		return NULL;
	if (op->next == 0)
		req->map->count = 0;
	c->cmd.cdb = lcdb_lba_status((req->offset + op->next) /
	    op->d->lun.block_size, LBA_STATUS_SIZE);
	c->cmd.retry_attention = true;
	op->next = req->length;
	return c;
}

/* Operations that are one command, whatever the length. */
static struct chunk *
cut_single(struct op *op)
{
	struct disk_req *req = op->req;
	size_t data_len = req->op == DISK_PR_OUT ? LCDB_PR_LIST :
	    req->op == DISK_PR_READ_KEYS ||
	    req->op == DISK_PR_READ_RESERVATION ? PR_IN_SIZE : 0;
	struct chunk *c = chunk_new(op, 1, data_len);

	if (c == NULL)
		return NULL;
	switch (req->op) {
	case DISK_RESERVE:
		c->cmd.cdb = lcdb_reserve6();
		break;
	case DISK_RELEASE:
		lsess_let_go(op->d->sess);
		c->cmd.cdb = lcdb_release6();
		break;
	case DISK_PR_OUT:
		c->cmd.cdb = lcdb_pr_out(req->pr, c->data);
		break;
	case DISK_PR_READ_KEYS:
		c->cmd.cdb = lcdb_pr_in(0, PR_IN_SIZE);
		break;
	case DISK_PR_READ_RESERVATION:
		c->cmd.cdb = lcdb_pr_in(1, PR_IN_SIZE);
		break;
	default:
		c->cmd.cdb = lcdb_sync16();
		break;
	}
	return c;
}

static const struct {
	struct chunk *(*cut)(struct op *op);
	bool ranged;		/* goes on until `length` is covered */
} op_table[] = {
	[DISK_READ] = { cut_transfer, true },
	[DISK_WRITE] = { cut_transfer, true },
	[DISK_FLUSH] = { cut_single, false },
	[DISK_UNMAP] = { cut_unmap, true },
	[DISK_WRITE_ZEROES] = { cut_zeroes, true },
	[DISK_CAW] = { cut_caw, false },
	[DISK_RESERVE] = { cut_single, false },
	[DISK_RELEASE] = { cut_single, false },
	[DISK_PR_OUT] = { cut_single, false },
	[DISK_PR_READ_KEYS] = { cut_single, false },
	[DISK_PR_READ_RESERVATION] = { cut_single, false },
	[DISK_HOLD_TEST] = { NULL, false },
	[DISK_MAP] = { cut_map, true },
	[DISK_CRYPTO_ERASE] = { NULL, false },
	[DISK_SHARE] = { NULL, false },
};

static bool
op_has_more(const struct op *op)
{
	if (op->result < 0)
		return false;
	if (op_table[op->req->op].ranged)
		return op->next < op->req->length;
	return op->next == 0;
}

static struct chunk *
cut_behind(struct op *op, enum behind what)
{
	bool modes = what == BEHIND_MODES;
	struct chunk *c = chunk_new(op, modes, modes ? LPROBE_MODES : 0);

	op->behind = BEHIND_NOTHING;
	op->flushes += !modes;
	if (c == NULL)
		return NULL;
	c->behind = what;
	c->cmd.cdb = modes ? lcdb_mode_sense6(LPROBE_PAGES, LPROBE_MODES) :
	    lcdb_sync16();
	c->cmd.retry_attention = modes;
	return c;
}

static bool
reservation_gone(const struct op *op)
{
	return (op->req->flags & DISK_RESERVED) != 0 &&
	    op->d->reserved != lsess_nexus(op->d->sess);
}

/* Sends what may be sent; the last command to end finishes the request. */
static void
op_more(struct op *op)
{
	struct chunk *c;

	if (op_has_more(op) && reservation_gone(op))
		op_note(op, -VMFS_EATTENTION, NULL);
	while (op->active < OP_WINDOW) {
		enum behind what = BEHIND_NOTHING;

		if (op_has_more(op)) {
			c = op_table[op->req->op].cut(op);
			if (!op_table[op->req->op].ranged)
				op->next = 1;
		} else if (op->behind != BEHIND_NOTHING && op->active == 0 &&
		    op->result == 0) {
			what = op->behind;
			c = cut_behind(op, what);
		} else {
			break;
		}
		if (c == NULL) {
			op_note(op, behind_result(op, what, -ENOMEM), NULL);
			break;
		}
		op->active++;
		lsess_submit(op->d->sess, &c->cmd);
	}
	if (op->active == 0)
		op_finish(op);
}

/* Met behind another request, but meant for the user. */
static void
tell_attention(struct op *op)
{
	struct disk_sense *s = &op->d->attention;

	if (s->status == 0)
		return;
	op_note(op, -VMFS_EATTENTION, s);
	s->status = 0;
}

static enum behind
what_follows(const struct ldisk *d, const struct disk_req *req)
{
	switch (req->op) {
	case DISK_WRITE:
	case DISK_CAW:
		return (req->flags & DISK_FUA) != 0 && !d->lun.fua ?
		    BEHIND_FLUSH : BEHIND_NOTHING;
	case DISK_PR_OUT:
	case DISK_RELEASE:
		return d->lun.modes_hidden ? BEHIND_MODES : BEHIND_NOTHING;
	default:
		return BEHIND_NOTHING;
	}
}

static void
op_start(void *arg)
{
	struct op *op = arg;

	op->behind = what_follows(op->d, op->req);
	op->covers = op->d->account->written;
	op->losses = op->d->account->losses;
	if (op_table[op->req->op].cut == NULL)
		op->result = -EOPNOTSUPP;
	else
		tell_attention(op);
	/* Counts as a command: done never runs within submit. */
	op->active = 1;
	op_more(op);
	if (--op->active == 0) {
		account(op);
		op_post(op);
	}
}

void
ldisk_submit(struct disk *disk, struct disk_req *req)
{
	struct ldisk *d = container_of(disk, struct ldisk, disk);
	struct op *op = calloc(1, sizeof(*op));

	if (op == NULL) {
		disk_complete(req, -ENOMEM);
		return;
	}
	op->d = d;
	op->req = req;
	if (req->home == d->home) {
		op_start(op);
	} else {
		op->work.fn = op_start;
		op->work.arg = op;
		sched_post(d->home, &op->work);
	}
}
