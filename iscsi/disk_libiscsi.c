/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * struct disk on a session: requests become SCSI commands.
 *
 * A request is cut into commands the LUN takes; OP_WINDOW of them are under
 * way at a time.  Requests of other reactors come and go by sched_post.
 */
#include "iscsi/disk_libiscsi.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "iscsi/disk_libiscsi_probe.h"
#include "iscsi/disk_libiscsi_sess.h"
#include "libvmfs/base/be.h"
#include "libvmfs/base/cleanup.h"
#include "libvmfs/base/units.h"

#define OP_WINDOW 8
#define TRANSFER_MAX MIB	/* bytes of one READ or WRITE */
#define RANGE_MAX (16 * MIB)	/* bytes of one UNMAP or WRITE SAME */
#define TIMEOUT_DEFAULT_MS 8000
#define PR_IN_SIZE 8192		/* 1023 keys */
#define ISID_RANDOM_MASK 0xffffff

struct ldisk {
	struct disk disk;
	struct env *env;
	struct sched *home;
	struct lsess *sess;
	struct lprobe lun;
	bool write_same;	/* until the LUN says it has none */
	/*
	 * Writes that the LUN has acknowledged, and how many of them a flush
	 * has made durable.  A log-in that finds the cache gone counts as a
	 * loss; the flush that would have covered it must fail.
	 */
	uint64_t written, durable;
	unsigned losses, losses_told;
};

/* A disk request on its way. */
struct op {
	struct sched_work work;
	struct ldisk *d;
	struct disk_req *req;
	uint64_t next;		/* bytes already cut into commands */
	unsigned active;	/* commands under way */
	bool flush_after;	/* FUA on a LUN that has none */
	uint64_t covers;	/* FLUSH: writes acknowledged before it */
	unsigned losses;	/* of the disk when it began */
	int result;
	struct disk_sense sense;
};

struct chunk {
	struct lcmd cmd;
	struct op *op;
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
	struct ldisk *d = op->d;

	if (op->losses != d->losses || d->losses_told != d->losses) {
		d->losses_told = d->losses;
		op->result = -EIO;
	} else if (op->covers > d->durable) {
		d->durable = op->covers;
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
		op->d->written += !fua;
		break;
	case DISK_UNMAP:
	case DISK_WRITE_ZEROES:
		op->d->written++;
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
	default:
		return 0;
	}
}

static void
chunk_done(struct lcmd *cmd)
{
	struct chunk *c = container_of(cmd, struct chunk, cmd);
	struct op *op = c->op;
	int rc = cmd->result;

	op->active--;
	if (rc == 0) {
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
cut_flush_after(struct op *op)
{
	struct chunk *c = chunk_new(op, 0, 0);

	op->flush_after = false;
	if (c != NULL)
		c->cmd.cdb = lcdb_sync16();
	return c;
}

/* Sends what may be sent; the last command to end finishes the request. */
static void
op_more(struct op *op)
{
	struct chunk *c;

	while (op->active < OP_WINDOW) {
		if (op_has_more(op)) {
			c = op_table[op->req->op].cut(op);
			if (!op_table[op->req->op].ranged)
				op->next = 1;
		} else if (op->flush_after && op->active == 0 &&
		    op->result == 0) {
			c = cut_flush_after(op);
		} else {
			break;
		}
		if (c == NULL) {
			op_note(op, -ENOMEM, NULL);
			break;
		}
		op->active++;
		lsess_submit(op->d->sess, &c->cmd);
	}
	if (op->active == 0)
		op_finish(op);
}

static void
op_start(void *arg)
{
	struct op *op = arg;

	op->flush_after = (op->req->flags & DISK_FUA) != 0 &&
	    !op->d->lun.fua &&
	    (op->req->op == DISK_WRITE || op->req->op == DISK_CAW);
	op->covers = op->d->written;
	op->losses = op->d->losses;
	if (op_table[op->req->op].cut == NULL)
		op->result = -EOPNOTSUPP;
	/* Counts as a command: done never runs within submit. */
	op->active = 1;
	op_more(op);
	if (--op->active == 0) {
		account(op);
		op_post(op);
	}
}

static void
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

/* ---- calls that suspend, from whatever reactor ---- */

struct call {
	struct ldisk *d;
	int (*fn)(struct ldisk *d);
	int result;
	struct sched *from;
	struct fiber *waiter;
	struct sched_work work;
};

static void
call_return(void *arg)
{
	struct call *c = arg;
	struct fiber *f = c->waiter;

	c->waiter = NULL;
	fiber_unpark(f);
}

static void
call_reply(struct call *c)
{
	c->work.fn = call_return;
	sched_post(c->from, &c->work);
}

static void
call_fiber(void *arg)
{
	struct call *c = arg;

	c->result = c->fn(c->d);
	call_reply(c);
}

static void
call_arrive(void *arg)
{
	struct call *c = arg;

	c->result = sched_spawn(c->d->home, "iscsi-call", call_fiber, c);
	if (c->result < 0)
		call_reply(c);
}

/* Runs fn(d) in a fiber of the disk's reactor.  Suspends. */
static int
call_home(struct ldisk *d, int (*fn)(struct ldisk *d))
{
	struct call c = { .d = d, .fn = fn, .from = sched_current(),
		.waiter = fiber_self() };

	if (c.from == d->home)
		return fn(d);
	c.work.fn = call_arrive;
	c.work.arg = &c;
	sched_post(d->home, &c.work);
	while (c.waiter != NULL)
		fiber_park();
	return c.result;
}

static void
info_set_size(struct disk_info *info, const struct lprobe *lun)
{
	info->size_bytes = lun->blocks * lun->block_size;
	info->phys_block_size = lun->phys_block_size;
}

static int
refresh_home(struct ldisk *d)
{
	struct lprobe now = d->lun;
	int rc = lprobe_capacity(d->sess, &now);

	if (rc < 0)
		return rc;
	if (now.block_size != d->lun.block_size)
		return -VMFS_EGONE;
	d->lun.blocks = now.blocks;
	info_set_size(&d->disk.info, &d->lun);
	return 0;
}

static int
ldisk_refresh(struct disk *disk)
{
	return call_home(container_of(disk, struct ldisk, disk),
	    refresh_home);
}

static int
close_home(struct ldisk *d)
{
	lsess_close(d->sess);
	return 0;
}

static void
ldisk_close(struct disk *disk)
{
	struct ldisk *d = container_of(disk, struct ldisk, disk);

	/* Without memory for a fiber there the session outlives its disk. */
	if (call_home(d, close_home) < 0)
		return;
	free(d);
}

static const struct disk_ops ldisk_ops = {
	.submit = ldisk_submit,
	.refresh = ldisk_refresh,
	.close = ldisk_close,
};

/* ---- open ---- */

/* The session was lost: did the target lose writes it had acknowledged? */
static void
check_cache(struct ldisk *d, const struct lcache_id *now)
{
	bool same = now->known && d->lun.cache.known &&
	    now->id == d->lun.cache.id;
	uint64_t lost = d->written - d->durable;

	d->lun.cache = *now;
	if (!d->lun.volatile_cache || same || lost == 0)
		return;
	d->losses++;
	d->durable = d->written;
	log_error(d->env->log, "iscsi: lun=%s was away and may have lost its "
	    "write cache: %llu acknowledged writes were not flushed; the next "
	    "flush fails", d->disk.info.name, (unsigned long long)lost);
}

static int
same_lun(void *arg)
{
	struct ldisk *d = arg;
	char serial[sizeof(d->lun.serial)];
	struct lcache_id now;
	int rc = lprobe_identity(d->sess, serial, &now);

	if (rc < 0)
		return rc;
	if (strcmp(serial, d->lun.serial) != 0)
		return -VMFS_EGONE;
	check_cache(d, &now);
	return 0;
}

/* iqn.2026-11.io.vmfsd:<hostname>, with what a node name may hold. */
static void
default_initiator(char name[224])
{
	char host[65] = "";
	size_t n;

	if (gethostname(host, sizeof(host) - 1) < 0 || host[0] == '\0')
		strcpy(host, "localhost");
	n = (size_t)snprintf(name, 224, "iqn.2026-11.io.vmfsd:");
	for (const char *p = host; *p != '\0'; p++)
		name[n++] = isalnum((unsigned char)*p) || *p == '.' ?
		    (char)tolower((unsigned char)*p) : '-';
	name[n] = '\0';
}

static void
info_fill(struct ldisk *d, const struct lurl *url)
{
	struct disk_info *info = &d->disk.info;

	info->block_size = d->lun.block_size;
	info_set_size(info, &d->lun);
	info->max_caw = d->lun.max_caw_blocks * d->lun.block_size;
	info->unmap_granularity = d->lun.unmap_granularity *
	    d->lun.block_size;
	info->caps = d->lun.caps;
	strcpy(info->kind, "iscsi");
	memcpy(info->name, url->name, sizeof(info->name));
	memcpy(info->serial, d->lun.serial, sizeof(info->serial));
}

static int
open_session(struct ldisk *d, const struct lurl *url,
    const struct disk_libiscsi_conf *conf)
{
	static const struct disk_libiscsi_conf defaults = { 0 };
	char initiator[224];
	struct lsess_conf sc = { .verify = same_lun, .arg = d };
	uint64_t isid;

	if (conf == NULL)
		conf = &defaults;
	isid = conf->isid != 0 ? conf->isid : env_random_u64(d->env);
	default_initiator(initiator);
	sc.initiator = conf->initiator != NULL ? conf->initiator : initiator;
	sc.isid_qualifier = (uint16_t)isid;
	sc.isid_random = (uint32_t)(isid >> 16) & ISID_RANDOM_MASK;
	sc.timeout_ms = conf->timeout_ms != 0 ? conf->timeout_ms :
	    TIMEOUT_DEFAULT_MS;
	return lsess_open(d->env, url, &sc, &d->sess);
}

int
disk_libiscsi_open(struct env *env, const char *name,
    const struct disk_libiscsi_conf *conf, struct disk **ret_d)
{
	struct lurl url;
	struct ldisk *d;
	int rc = lurl_parse(name, &url);

	if (rc < 0)
		return rc;
	d = calloc(1, sizeof(*d));
	if (d == NULL)
		return -ENOMEM;
	d->env = env;
	d->home = sched_current();
	d->disk.ops = &ldisk_ops;
	d->write_same = true;
	rc = open_session(d, &url, conf);
	if (rc == 0)
		rc = lprobe_lun(d->sess, &d->lun);
	if (rc < 0) {
		lsess_close(d->sess);
		free(d);
	} else {
		info_fill(d, &url);
		*ret_d = &d->disk;
	}
	explicit_bzero(&url, sizeof(url));
	return rc;
}
