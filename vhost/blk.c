/* SPDX-License-Identifier: BSD-2-Clause */
/* Requests of a virtio-blk device (virtio 1.2 section 5.2) on a disk. */
#include <linux/virtio_blk.h>
#include <linux/virtio_config.h>
#include <stdlib.h>
#include <string.h>

#include "libvmfs/base/units.h"
#include "vhost/impl.h"

#define SECTOR 512u
#define SEG_MAX 126u		/* a queue of 128 without header and status */
#define SEG_SIZE_MAX (128u << 10)	/* all of them: below 16 MiB */
#define RANGES_MAX 16u		/* of one DISCARD or WRITE ZEROES */
#define RANGE_SECTORS_MAX (1u << 21)	/* 1 GiB each */
#define SPACE_WAIT_NS NSEC_PER_SEC

static bool
readonly(const struct vhost_export *e)
{
	return (e->conf.disk->info.caps & DISK_CAP_READONLY) != 0;
}

uint64_t
blk_features(const struct vhost_export *e)
{
	uint64_t f = 1ull << VIRTIO_F_VERSION_1 |
	    1ull << VIRTIO_RING_F_INDIRECT_DESC |
	    1ull << VIRTIO_RING_F_EVENT_IDX |
	    1ull << VHOST_F_LOG_ALL | 1ull << VHOST_USER_F_PROTOCOL_FEATURES |
	    1ull << VIRTIO_BLK_F_SIZE_MAX |
	    1ull << VIRTIO_BLK_F_SEG_MAX | 1ull << VIRTIO_BLK_F_BLK_SIZE |
	    1ull << VIRTIO_BLK_F_FLUSH | 1ull << VIRTIO_BLK_F_TOPOLOGY |
	    1ull << VIRTIO_BLK_F_MQ;

	if (readonly(e) && e->conf.own == NULL)
		return f | 1ull << VIRTIO_BLK_F_RO;
	return f | 1ull << VIRTIO_BLK_F_DISCARD |
	    1ull << VIRTIO_BLK_F_WRITE_ZEROES;
}

void
blk_config(const struct vhost_export *e, struct virtio_blk_config *ret_c)
{
	const struct disk_info *i = &e->disk->info;
	uint32_t align = i->unmap_granularity > SECTOR ? 4096 / SECTOR : 1;

	*ret_c = (struct virtio_blk_config){
		.capacity = i->size_bytes / SECTOR,
		.size_max = SEG_SIZE_MAX,
		.seg_max = SEG_MAX,
		.blk_size = i->block_size,
		.num_queues = (uint16_t)e->conf.queues,
		.max_discard_sectors = RANGE_SECTORS_MAX,
		.max_discard_seg = RANGES_MAX,
		.discard_sector_alignment = align,
		.max_write_zeroes_sectors = RANGE_SECTORS_MAX,
		.max_write_zeroes_seg = RANGES_MAX,
		.write_zeroes_may_unmap = 1,
	};
	for (uint32_t size = i->block_size; size < i->phys_block_size;
	    size *= 2)
		ret_c->physical_block_exp++;
	ret_c->min_io_size = (uint16_t)(i->phys_block_size / i->block_size);
}

/* ---- bytes of a chain ---- */

/* Moves up to len bytes from the front of iov[0..n) to buf. */
static size_t
take_front(struct iovec *iov, unsigned n, void *buf, size_t len)
{
	uint8_t *to = buf;
	size_t done = 0;

	for (unsigned i = 0; i < n && done < len; i++) {
		size_t part = iov[i].iov_len < len - done ? iov[i].iov_len :
		    len - done;

		memcpy(to + done, iov[i].iov_base, part);
		iov[i].iov_base = (uint8_t *)iov[i].iov_base + part;
		iov[i].iov_len -= part;
		done += part;
	}
	return done;
}

static uint64_t
bytes_of(const struct iovec *iov, unsigned n)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < n; i++)
		sum += iov[i].iov_len;
	return sum;
}

/* The status is the last byte that we may write. */
static bool
take_status(struct vreq *rq)
{
	struct chain *c = &rq->chain;
	struct iovec *last;

	if (c->ins == 0)
		return false;
	last = &c->iov[c->outs + c->ins - 1];
	last->iov_len--;
	rq->status = (uint8_t *)last->iov_base + last->iov_len;
	if (last->iov_len == 0)
		c->ins--;
	return true;
}

/* ---- the end of a request ---- */

static void
count(struct vreq *rq)
{
	struct vhost_info *s = &rq->q->s->e->stats;

	switch (rq->disk.op) {
	case DISK_READ:
		tell_add(&s->reads, 1);
		tell_add(&s->read_bytes, rq->disk.length);
		break;
	case DISK_WRITE:
		tell_add(&s->writes, 1);
		tell_add(&s->written_bytes, rq->disk.length);
		break;
	default:
		tell_add(&s->others, 1);
	}
}

static void
under_way(struct vreq *rq, bool begins)
{
	struct vhost_export *e = rq->q->s->e;

	if (begins) {
		e->under_way += rq->disk.length;
		return;
	}
	e->under_way -= rq->disk.length;
	fiber_cond_broadcast(&e->room);
}

/* From the first time that there is no space until it ends. */
static void
waits(struct vreq *rq, bool begins)
{
	struct vhost_export *e = rq->q->s->e;

	if (rq->waits == begins)
		return;
	rq->waits = begins;
	if (!begins)
		__atomic_sub_fetch(&e->stats.waiting, 1, __ATOMIC_RELAXED);
	else if (__atomic_fetch_add(&e->stats.waiting, 1,
	    __ATOMIC_RELAXED) == 0)
		log_warn(e->conf.log, "vhost: the datastore is full; the "
		    "guest's writes wait until space is freed disk=%s",
		    e->name);
}

/* Of one without space: its queue stops. */
static void
give_up(struct vreq *rq)
{
	waits(rq, false);
	if (rq->q->dropping)
		queue_drop(rq);
	else
		queue_done(rq, VIRTIO_BLK_S_IOERR);
}

static void
submit_again(void *arg)
{
	struct vreq *rq = arg;

	if (rq->q->stopping) {
		give_up(rq);
		return;
	}
	under_way(rq, true);
	disk_submit(rq->q->s->e->disk, &rq->disk);
}

/* A guest has no way to wait for space, so it waits here; what it reads or
 * frees meanwhile is not to wait behind. */
static bool
wait_for_space(struct vreq *rq)
{
	struct sched *s = sched_current();

	if (rq->q->stopping && !rq->q->dropping)
		return false;
	rq->again.fn = submit_again;
	rq->again.arg = rq;
	if (sched_timer_arm(s, &rq->again, sched_now(s) + SPACE_WAIT_NS) < 0)
		return false;
	under_way(rq, false);
	waits(rq, true);
	return true;
}

static void
dirty_data(const struct vreq *rq)
{
	const struct chain *c = &rq->chain;

	if (rq->q->s->mem.log == NULL)
		return;
	for (unsigned i = 0; i < c->ins; i++)
		vhost_mem_dirty_at(&rq->q->s->mem,
		    c->iov[c->outs + i].iov_base,
		    c->iov[c->outs + i].iov_len);
}

static void
note_safety(struct vreq *rq)
{
	struct vsession *s = rq->q->s;

	if (rq->disk.op == DISK_FLUSH && rq->disk.result == 0)
		session_flushed(s, rq->covers);
	else if (rq->disk.op != DISK_READ)
		session_changed(s);
}

static void
done(struct disk_req *d)
{
	struct vreq *rq = container_of(d, struct vreq, disk);

	if (d->result == -ENOSPC && wait_for_space(rq))
		return;
	under_way(rq, false);
	waits(rq, false);
	count(rq);
	note_safety(rq);
	if (d->op == DISK_READ)
		dirty_data(rq);
	if (d->result == 0)
		queue_done(rq, VIRTIO_BLK_S_OK);
	else
		queue_done(rq, d->result == -EOPNOTSUPP ?
		    VIRTIO_BLK_S_UNSUPP : VIRTIO_BLK_S_IOERR);
}

/* ---- its beginning ---- */

static void
submit(struct vreq *rq, enum disk_op op, uint64_t offset, uint64_t length)
{
	rq->disk.op = op;
	rq->disk.offset = offset;
	rq->disk.length = length;
	rq->disk.done = done;
	under_way(rq, true);
	disk_submit(rq->q->s->e->disk, &rq->disk);
}

static bool
in_disk(const struct vhost_export *e, uint64_t sector, uint64_t bytes)
{
	uint64_t size = e->disk->info.size_bytes;

	return bytes % SECTOR == 0 && bytes <= size &&
	    sector <= (size - bytes) / SECTOR;
}

/* Empty pieces are left out: disks do not expect them. */
static void
set_data(struct vreq *rq, struct iovec *iov, unsigned n)
{
	unsigned kept = 0;

	for (unsigned i = 0; i < n; i++)
		if (iov[i].iov_len > 0)
			iov[kept++] = iov[i];
	rq->disk.iov = iov;
	rq->disk.iovcnt = (int)kept;
}

static void
transfer(struct vreq *rq, bool write, uint64_t sector)
{
	struct vhost_export *e = rq->q->s->e;
	struct chain *c = &rq->chain;
	struct iovec *iov = write ? c->iov : c->iov + c->outs;
	unsigned n = write ? c->outs : c->ins;
	uint64_t bytes = bytes_of(iov, n);

	if (bytes == 0 || !in_disk(e, sector, bytes) ||
	    (e->disk->info.max_transfer != 0 &&
	    bytes > e->disk->info.max_transfer)) {
		queue_done(rq, VIRTIO_BLK_S_IOERR);
		return;
	}
	rq->written = write ? 1 : (uint32_t)bytes + 1;
	set_data(rq, iov, n);
	submit(rq, write ? DISK_WRITE : DISK_READ, sector * SECTOR, bytes);
}

static void
flush(struct vreq *rq)
{
	struct vsession *s = rq->q->s;

	if (s->lost_writes) {
		queue_done(rq, VIRTIO_BLK_S_IOERR);
		return;
	}
	rq->covers = s->acknowledged;
	submit(rq, DISK_FLUSH, 0, 0);
}

static void
tell_serial(struct vreq *rq)
{
	const struct vhost_conf *conf = &rq->q->s->e->conf;
	struct chain *c = &rq->chain;
	size_t done_bytes = 0;

	for (unsigned i = 0; i < c->ins; i++) {
		struct iovec *v = &c->iov[c->outs + i];
		size_t n = VHOST_SERIAL_SIZE - done_bytes;

		n = v->iov_len < n ? v->iov_len : n;
		memcpy(v->iov_base, conf->serial + done_bytes, n);
		vhost_mem_dirty_at(&rq->q->s->mem, v->iov_base, n);
		done_bytes += n;
	}
	rq->written = (uint32_t)done_bytes + 1;
	queue_done(rq, VIRTIO_BLK_S_OK);
}

/* ---- ranges: a fiber, one after the other ---- */

/* Suspends for as long as there is no space, unless its queue stops. */
static int
write_zeroes(struct vreq *rq, uint64_t offset, uint64_t bytes, unsigned flags)
{
	struct disk *d = rq->q->s->e->disk;
	int rc;

	while ((rc = disk_write_zeroes(d, offset, bytes, flags)) == -ENOSPC &&
	    !rq->q->stopping) {
		waits(rq, true);
		fiber_sleep(SPACE_WAIT_NS);
	}
	return rc;
}

/* What the disk says stays in disk.result. */
static uint8_t
range_run(struct vreq *rq, bool zero,
    const struct virtio_blk_discard_write_zeroes *r)
{
	struct vhost_export *e = rq->q->s->e;
	uint64_t bytes = (uint64_t)r->num_sectors * SECTOR;
	unsigned flags = 0;
	int rc;

	if (!in_disk(e, r->sector, bytes) ||
	    r->num_sectors > RANGE_SECTORS_MAX)
		return VIRTIO_BLK_S_IOERR;
	/* Only WRITE ZEROES has a flag, and only one (5.2.6.2). */
	if (r->flags & ~(zero ? VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP : 0u))
		return VIRTIO_BLK_S_UNSUPP;
	if (bytes == 0)
		return VIRTIO_BLK_S_OK;
	if (r->flags & VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP)
		flags = DISK_MAY_UNMAP;
	rc = zero ? write_zeroes(rq, r->sector * SECTOR, bytes, flags) :
	    disk_unmap(e->disk, r->sector * SECTOR, bytes);
	/* A discard is a hint: it does not wait for the space that its map
	 * would take. */
	if (!zero && (rc == -EOPNOTSUPP || rc == -ENOSPC))
		rc = 0;
	rq->disk.result = rc;
	return rc == 0 ? VIRTIO_BLK_S_OK : VIRTIO_BLK_S_IOERR;
}

static void
ranges_fiber(void *arg)
{
	struct virtio_blk_discard_write_zeroes r[RANGES_MAX + 1];
	struct vreq *rq = arg;
	bool zero = rq->disk.op == DISK_WRITE_ZEROES;
	size_t n = take_front(rq->chain.iov, rq->chain.outs, r, sizeof(r));
	uint8_t status = VIRTIO_BLK_S_OK;

	if (n == 0 || n % sizeof(r[0]) != 0 || n == sizeof(r))
		status = VIRTIO_BLK_S_IOERR;
	for (size_t i = 0; status == VIRTIO_BLK_S_OK && i < n / sizeof(r[0]);
	    i++)
		status = range_run(rq, zero, &r[i]);
	session_changed(rq->q->s);
	if (rq->disk.result == -ENOSPC && rq->q->stopping) {
		give_up(rq);
		return;
	}
	waits(rq, false);
	tell_add(&rq->q->s->e->stats.others, 1);
	queue_done(rq, status);
}

static void
ranges(struct vreq *rq, enum disk_op op)
{
	rq->disk.op = op;
	if (sched_spawn(sched_current(), "vhost-ranges", ranges_fiber, rq) < 0)
		queue_done(rq, VIRTIO_BLK_S_IOERR);
}

void
blk_begin(struct vreq *rq)
{
	struct virtio_blk_outhdr h;
	struct chain *c = &rq->chain;

	rq->disk = (struct disk_req){ 0 };
	rq->written = 1;
	if (!take_status(rq)) {
		/* Nowhere to say what is wrong with it. */
		static uint8_t nowhere;

		rq->status = &nowhere;
		queue_done(rq, VIRTIO_BLK_S_IOERR);
		return;
	}
	if (take_front(c->iov, c->outs, &h, sizeof(h)) < sizeof(h)) {
		queue_done(rq, VIRTIO_BLK_S_IOERR);
		return;
	}
	switch (h.type) {
	case VIRTIO_BLK_T_IN:
	case VIRTIO_BLK_T_OUT:
		transfer(rq, h.type == VIRTIO_BLK_T_OUT, h.sector);
		break;
	case VIRTIO_BLK_T_FLUSH:
		flush(rq);
		break;
	case VIRTIO_BLK_T_GET_ID:
		tell_serial(rq);
		break;
	case VIRTIO_BLK_T_DISCARD:
		ranges(rq, DISK_UNMAP);
		break;
	case VIRTIO_BLK_T_WRITE_ZEROES:
		ranges(rq, DISK_WRITE_ZEROES);
		break;
	default:
		queue_done(rq, VIRTIO_BLK_S_UNSUPP);
	}
}
