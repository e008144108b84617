/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Copies that move no data.  Between disks that can share space a step is a
 * READ(16) on the source, which keeps source and disk in use and is checked as
 * any read is, and within it a WRITE(16) on the destination, whose disk takes
 * the blocks over (DISK_SHARE).  The read takes no range: what it shares is of
 * one moment for each MiB.
 */
#include <string.h>

#include "iscsi/scsi/cmd.h"
#include "iscsi/scsi/copy.h"
#include "libvmfs/base/be.h"

enum { SAME_UNMAP_NDOB = 0x09 };

struct copy_share {
	struct scsi_task write;
	struct scsi_cmd *read;		/* waits for it */
	struct disk *from;
	uint64_t shared;		/* bytes */
};

/* ---- the write ---- */

static void
share_done(struct disk_req *req)
{
	struct scsi_cmd *c = req->arg;

	if (req->result == 0)
		c->task->share->shared = c->written_bytes = req->shared;
	else if (req->result != -EOPNOTSUPP)
		scsi_cmd_disk_failed(c, req);
	scsi_cmd_finish(c);
}

static void
share_decided(void *arg)
{
	struct scsi_cmd *c = arg;

	if (c->aborted)
		scsi_cmd_finish(c);
	else
		disk_submit(c->lu->disk, &c->req);
}

bool
copy_share_write(struct scsi_cmd *c, uint64_t lba, uint32_t blocks)
{
	uint32_t bs = c->lu->block_size;

	c->req = (struct disk_req){
		.op = DISK_SHARE, .offset = lba * bs,
		.length = (uint64_t)blocks * bs,
		.from = c->task->share->from, .done = share_done, .arg = c,
	};
	c->range.start = lba;
	c->range.count = blocks;
	switch (scsi_cmd_range(c, share_decided)) {
	case 0:
		disk_submit(c->lu->disk, &c->req);
		return false;
	case -EAGAIN:
		return false;
	default:
		return true;
	}
}

/* ---- the read around it ---- */

static void
write_done(struct scsi_task *t)
{
	struct copy_share *s = container_of(t, struct copy_share, write);

	scsi_cmd_finish(s->read);
}

bool
copy_share_read(struct scsi_cmd *c)
{
	struct copy_share *s = c->task->share;

	s->read = c;
	s->from = c->lu->disk;
	scsi_task_submit_inner(&s->write);
	return false;
}

/* ---- the copy ---- */

static bool
share_possible(const struct copy_end *from, const struct copy_end *to)
{
	return from->lu != to->lu &&
	    (from->lu->caps & DISK_CAP_SHARE) != 0 &&
	    (to->lu->caps & DISK_CAP_SHARE) != 0 &&
	    from->lba * from->lu->block_size == to->lba * to->lu->block_size;
}

static void
share_prepare(struct copy_share *s, struct scsi_cmd *c,
    const struct copy_end *to, uint64_t bytes)
{
	s->write = (struct scsi_task){
		.nexus = c->nexus, .tag = c->task->tag,
		.attr = SCSI_ATTR_SIMPLE, .lun[1] = (uint8_t)to->lun,
		.cdb = { 0x8a }, .cdb_len = 16, .dir_out = true,
		.done = write_done, .share = s,
	};
	be64_store(s->write.cdb + 2, to->lba);
	be32_store(s->write.cdb + 10,
	    (uint32_t)(bytes / to->lu->block_size));
}

static bool
share_run(struct scsi_cmd *c, const struct copy_end *from,
    const struct copy_end *to, uint64_t bytes, uint64_t *ret_shared)
{
	struct copy_share s = { .shared = 0 };
	struct copy_inner i = { .task.share = &s }, w = { .done = true };
	bool ok;

	share_prepare(&s, c, to, bytes);
	copy_inner_run(c, &i, 0x88, 0, from->lun, from->rod, from->lba,
	    (uint32_t)(bytes / from->lu->block_size));
	w.task = s.write;
	ok = i.task.status == SCSI_GOOD && s.write.status == SCSI_GOOD;
	if (!ok)
		copy_inner_failed(c, i.task.status != SCSI_GOOD ? &i : &w);
	scsi_task_fini(&s.write);
	copy_inner_fini(&i);
	*ret_shared = s.shared;
	return ok;
}

bool
copy_share_try(struct scsi_cmd *c, const struct copy_end *from,
    const struct copy_end *to, uint64_t bytes, uint64_t *step,
    uint64_t *ret_shared)
{
	uint64_t at = to->lba * to->lu->block_size;

	*ret_shared = 0;
	if (!share_possible(from, to))
		return true;
	if (at % DISK_SHARE_UNIT != 0) {
		if (*step > DISK_SHARE_UNIT - at % DISK_SHARE_UNIT)
			*step = DISK_SHARE_UNIT - at % DISK_SHARE_UNIT;
		return true;
	}
	if (bytes > SCSI_TRANSFER_MAX)
		bytes = SCSI_TRANSFER_MAX;
	bytes -= bytes % DISK_SHARE_UNIT;
	return bytes == 0 || share_run(c, from, to, bytes, ret_shared);
}

/* ---- data ---- */

static bool
is_zero(const uint8_t *p, uint64_t len)
{
	return p[0] == 0 && memcmp(p, p + 1, len - 1) == 0;
}

bool
copy_put(struct scsi_cmd *c, const struct copy_end *to, uint64_t bytes,
    const uint8_t *data)
{
	bool hole = to->lu->thin && is_zero(data, bytes);
	struct copy_inner i = { .fiber = NULL };
	bool ok;

	if (!hole) {
		i.task.data_out = data;
		i.task.data_out_len = bytes;
	}
	copy_inner_run(c, &i, hole ? 0x93 : 0x8a, hole ? SAME_UNMAP_NDOB : 0,
	    to->lun, NULL, to->lba, (uint32_t)(bytes / to->lu->block_size));
	ok = i.task.status == SCSI_GOOD;
	if (!ok)
		copy_inner_failed(c, &i);
	copy_inner_fini(&i);
	return ok;
}
