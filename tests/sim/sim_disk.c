/* SPDX-License-Identifier: BSD-2-Clause */
/* The flight of commands between hosts and the simulated LUN. */
#include <stdlib.h>
#include <string.h>

#include "libvmfs/base/units.h"
#include "tests/sim/sim_op.h"

#define LATENCY_MIN_NS (20 * (uint64_t)1000)
#define LATENCY_SPAN_NS (400 * (uint64_t)1000)
#define PATH_TIMEOUT_NS (500 * NSEC_PER_MSEC)

struct sim_disk {
	struct disk disk;
	struct sim_lun *lun;
	unsigned nexus;
};

static uint64_t
latency(struct sim_lun *l)
{
	return LATENCY_MIN_NS + sim_below(l->sim, LATENCY_SPAN_NS);
}

/* How long the LUN takes for a command that it has accepted. */
static uint64_t
execution(const struct sim_op *op)
{
	struct sim_lun *l = op->lun;
	uint64_t ns = latency(l);

	if (op->op == DISK_UNMAP && l->faults.unmap_ns > 0)
		ns += sim_below(l->sim, l->faults.unmap_ns);
	if (sim_chance(l->sim, l->faults.slow_ppm))
		ns += sim_below(l->sim, l->faults.slow_ns + 1);
	return ns;
}

static void
op_free(struct sim_op *op)
{
	sched_timer_cancel(&op->lun->sim->sched, &op->timer);
	for (unsigned i = 0; op->aborts && i < SIM_NEXUS_MAX; i++)
		if (op->lun->nexus[i].aborter == op)
			op->lun->nexus[i].aborter = NULL;
	if (!op->returning)
		op->lun->nexus[op->nexus].in_flight--;
	list_del(&op->node);
	free(op->data);
	free(op->expect);
	free(op);
}

/* The host gets its answer; the command may live on without it. */
static void
answer(struct sim_op *op, int result)
{
	struct disk_req *req = op->req;

	op->req = NULL;
	if (req == NULL)
		return;
	/* Told now, not before: until then no flush succeeds. */
	if (op->op == DISK_FLUSH && result == -EIO)
		op->lun->nexus[op->nexus].cache_lost = false;
	req->sense = op->sense;
	disk_complete(req, result);
}

/* Holds are locks of a file: no wire loses them or their status. */
static bool
is_hold(enum disk_op op)
{
	return op == DISK_HOLD || op == DISK_UNHOLD || op == DISK_HOLD_TEST;
}

/* A status that the fault plan spoils. */
static int
spoil(struct sim_op *op)
{
	const struct sim_faults *f = &op->lun->faults;

	if (op->result != 0 || is_hold(op->op))
		return op->result;
	if (sim_chance(op->lun->sim, f->status_lost_ppm))
		return -VMFS_EUNKNOWN;
	if (op->op == DISK_CAW && sim_chance(op->lun->sim, f->miscompare_ppm))
		return -VMFS_EMISCOMPARE;
	return 0;
}

static void
op_arm(struct sim_op *op, uint64_t after_ns)
{
	struct sim *sim = op->lun->sim;

	if (sched_timer_arm(&sim->sched, &op->timer,
	    sim->now_ns + after_ns) < 0)
		abort();
}

static void
op_step(void *arg)
{
	struct sim_op *op = arg;

	if (!op->accepted && !op->applied && sim_op_accept(op)) {
		op_arm(op, execution(op));
		return;
	}
	if (op->accepted && !op->applied) {
		sim_op_apply(op);
		if (op->aborts && op->lun->faults.abort_ns > 0) {
			op_arm(op, sim_below(op->lun->sim,
			    op->lun->faults.abort_ns));
			return;
		}
		op->lun->late += op->req == NULL;
		if ((op->op == DISK_WRITE || op->op == DISK_UNMAP) &&
		    op->result == 0 &&
		    sim_chance(op->lun->sim, op->lun->faults.twice_ppm)) {
			op->applied = false;
			op_arm(op, execution(op));
			return;
		}
	}
	if (op->aborts)
		sim_op_abort_others(op);
	if (!op->returning) {
		op->returning = true;
		op->lun->nexus[op->nexus].in_flight--;
		op_arm(op, latency(op->lun));
		return;
	}
	if (op->lun->nexus[op->nexus].path == PATH_PAUSED) {
		op->withheld = true;
		return;
	}
	answer(op, spoil(op));
	op_free(op);
}

/* Commands that never reach the LUN: the host waits for its time-out. */
static void
op_timeout(void *arg)
{
	struct sim_op *op = arg;

	answer(op, op->lun->nexus[op->nexus].path == PATH_CUT ? -VMFS_EGONE :
	    -VMFS_EUNKNOWN);
	op_free(op);
}

void
sim_ops_abort(struct sim_lun *l, unsigned nexus)
{
	list_for_each(node, next, &l->ops) {
		struct sim_op *op = list_entry(node, struct sim_op, node);

		if (op->nexus != nexus || op->applied || op->unsent ||
		    op->timer.fn == op_timeout)
			continue;
		l->aborted++;
		if (op->req == NULL) {
			op_free(op);
			continue;
		}
		/* TAS = 0: no status, the initiator times out. */
		op->timer.fn = op_timeout;
		op_arm(op, PATH_TIMEOUT_NS);
	}
}

static uint8_t *
gather(const struct disk_req *req)
{
	uint8_t *data = malloc(req->length), *p = data;

	if (data == NULL)
		abort();
	for (int i = 0; i < req->iovcnt; i++) {
		memcpy(p, req->iov[i].iov_base, req->iov[i].iov_len);
		p += req->iov[i].iov_len;
	}
	return data;
}

static struct sim_op *
op_new(struct sim_lun *l, unsigned nexus, struct disk_req *req)
{
	struct sim_op *op = calloc(1, sizeof(*op));

	if (op == NULL)
		abort();
	*op = (struct sim_op){
		.lun = l, .req = req, .nexus = nexus, .op = req->op,
		.flags = req->flags, .offset = req->offset,
		.length = req->length, .id = req->id,
		.timer = { .fn = op_step, .arg = op },
	};
	if (req->op == DISK_WRITE || req->op == DISK_CAW)
		op->data = gather(req);
	if (req->op == DISK_CAW) {
		op->expect = malloc(req->length);
		if (op->expect == NULL)
			abort();
		memcpy(op->expect, req->expect, req->length);
	}
	if (req->pr != NULL)
		op->pr = *req->pr;
	list_add_tail(&l->ops, &op->node);
	l->nexus[nexus].in_flight++;
	return op;
}

static void
sim_submit(struct disk *disk, struct disk_req *req)
{
	struct sim_disk *d = container_of(disk, struct sim_disk, disk);
	struct sim_lun *l = d->lun;
	struct sim_op *op;

	if (l->sent != NULL)
		l->sent(l->landed_arg, d->nexus, req);
	op = op_new(l, d->nexus, req);
	switch (l->nexus[d->nexus].path) {
	case PATH_UP:
		if (!is_hold(req->op) && sim_chance(l->sim,
		    l->faults.lost_ppm)) {
			op->timer.fn = op_timeout;
			op_arm(op, PATH_TIMEOUT_NS);
			return;
		}
		op_arm(op, latency(l));
		return;
	case PATH_LOST:
		op->timer.fn = op_timeout;
		op_arm(op, sim_below(l->sim, PATH_TIMEOUT_NS));
		return;
	case PATH_CUT:
		op->timer.fn = op_timeout;
		op_arm(op, LATENCY_MIN_NS);
		return;
	case PATH_PAUSED:
		op->unsent = true;
		return;
	}
}

/* The fate of what is in flight on a path that goes down. */
static void
strand(struct sim_lun *l, unsigned nexus, int result)
{
	list_for_each(node, next, &l->ops) {
		struct sim_op *op = list_entry(node, struct sim_op, node);

		if (op->nexus != nexus || op->timer.fn == op_timeout)
			continue;
		answer(op, result);
		if (op->applied || op->unsent || sim_chance(l->sim, 500000))
			op_free(op);
		else
			op_arm(op, sim_below(l->sim, l->faults.late_ns + 1));
	}
}

/* The answer of a paused host's command died with the LUN's power. */
static void
withhold_unknown(struct sim_op *op)
{
	sched_timer_cancel(&op->lun->sim->sched, &op->timer);
	if (!op->returning)
		op->lun->nexus[op->nexus].in_flight--;
	op->returning = op->applied = op->accepted = op->withheld = true;
	op->result = -VMFS_EUNKNOWN;
}

void
sim_lun_power_loss(struct sim_lun *l)
{
	sim_trace(l->sim, 0xb007, 0, 0);
	list_for_each(node, next, &l->ops) {
		struct sim_op *op = list_entry(node, struct sim_op, node);

		if (op->unsent || op->timer.fn == op_timeout)
			continue;
		if (l->nexus[op->nexus].path == PATH_PAUSED) {
			withhold_unknown(op);
			continue;
		}
		answer(op, -VMFS_EUNKNOWN);
		op_free(op);
	}
	sim_lun_forget(l);
	for (unsigned i = 0; i < SIM_NEXUS_MAX; i++) {
		l->nexus[i].cache_lost |= l->nexus[i].unflushed;
		l->nexus[i].unflushed = false;
	}
}

void
sim_lun_attention(struct sim_lun *l, uint8_t asc, uint8_t ascq)
{
	sim_trace(l->sim, 0xa77, asc, ascq);
	for (unsigned i = 0; i < SIM_NEXUS_MAX; i++)
		if (l->nexus[i].attention == 0)
			l->nexus[i].attention = (uint16_t)(asc << 8 | ascq);
}

void
sim_lun_reset(struct sim_lun *l, unsigned nexus)
{
	uint16_t kept = l->nexus[nexus].attention;

	for (unsigned i = 0; i < SIM_NEXUS_MAX; i++)
		sim_ops_abort(l, i);
	l->scsi2 = false;
	sim_lun_attention(l, 0x29, 0x03);
	l->nexus[nexus].attention = kept;
	/* Who asked needs no telling. */
	l->nexus[nexus].reserved = 0;
}

void
sim_path_cut(struct sim_lun *l, unsigned nexus)
{
	sim_trace(l->sim, 0xc07, nexus, 0);
	l->nexus[nexus].path = PATH_CUT;
	strand(l, nexus, -VMFS_EGONE);
}

void
sim_path_lose(struct sim_lun *l, unsigned nexus)
{
	sim_trace(l->sim, 0x105e, nexus, 0);
	l->nexus[nexus].path = PATH_LOST;
	strand(l, nexus, -VMFS_EUNKNOWN);
}

void
sim_path_exorcise(struct sim_lun *l, unsigned nexus)
{
	if (l->scsi2_nexus == nexus)
		l->scsi2 = false;
	list_for_each(node, next, &l->ops) {
		struct sim_op *op = list_entry(node, struct sim_op, node);

		if (op->nexus == nexus && op->req == NULL)
			op_free(op);
	}
}

void
sim_path_heal(struct sim_lun *l, unsigned nexus)
{
	sim_trace(l->sim, 0x4ea1, nexus, 0);
	/* A new session ends the commands of the old one. */
	sim_path_exorcise(l, nexus);
	l->nexus[nexus].sessions++;
	l->nexus[nexus].path = PATH_UP;
}

void
sim_path_relogin(struct sim_lun *l, unsigned nexus, uint64_t within_ns)
{
	if (l->nexus[nexus].path != PATH_UP)
		return;
	sim_trace(l->sim, 0x1061, nexus, 0);
	list_for_each(node, next, &l->ops) {
		struct sim_op *op = list_entry(node, struct sim_op, node);

		if (op->nexus != nexus || op->timer.fn == op_timeout)
			continue;
		if (!op->accepted && !op->applied) {
			op_arm(op, sim_below(l->sim, within_ns));
			continue;
		}
		answer(op, -VMFS_EUNKNOWN);
		op_free(op);
	}
	sim_path_heal(l, nexus);
}

void
sim_path_pause(struct sim_lun *l, unsigned nexus)
{
	sim_trace(l->sim, 0x9a05e, nexus, 0);
	l->nexus[nexus].path = PATH_PAUSED;
}

void
sim_path_resume(struct sim_lun *l, unsigned nexus)
{
	sim_trace(l->sim, 0x60, nexus, 0);
	l->nexus[nexus].path = PATH_UP;
	list_for_each(node, next, &l->ops) {
		struct sim_op *op = list_entry(node, struct sim_op, node);

		if (op->nexus != nexus || (!op->unsent && !op->withheld))
			continue;
		op->unsent = op->withheld = false;
		op_arm(op, latency(l));
	}
}

void
sim_path_reset(struct sim_lun *l, unsigned nexus)
{
	l->nexus[nexus].n_holds = 0;
	l->nexus[nexus].attention = 0;
	l->nexus[nexus].unflushed = l->nexus[nexus].cache_lost = false;
	sim_path_heal(l, nexus);
}

static void
sim_close(struct disk *disk)
{
	struct sim_disk *d = container_of(disk, struct sim_disk, disk);
	struct sim_nexus *n = &d->lun->nexus[d->nexus];

	/* Of a host that died the last commands still hold. */
	if (n->path != PATH_CUT)
		n->n_holds = 0;
	if (n->path == PATH_UP && d->lun->scsi2_nexus == d->nexus)
		d->lun->scsi2 = false;
	free(d);
}

static int
sim_refresh(struct disk *disk)
{
	struct sim_disk *d = container_of(disk, struct sim_disk, disk);

	if (d->lun->nexus[d->nexus].path != PATH_UP)
		return -VMFS_EUNKNOWN;
	d->disk.info.size_bytes = d->lun->info.size_bytes;
	return 0;
}

static const struct disk_ops sim_disk_ops = {
	.submit = sim_submit,
	.refresh = sim_refresh,
	.close = sim_close,
};

int
sim_disk_open(struct sim_lun *l, unsigned nexus, struct disk **ret_d)
{
	struct sim_disk *d = calloc(1, sizeof(*d));

	if (d == NULL)
		return -ENOMEM;
	d->disk.ops = &sim_disk_ops;
	d->disk.info = l->info;
	d->lun = l;
	d->nexus = nexus;
	*ret_d = &d->disk;
	return 0;
}

int
sim_lun_init(struct sim_lun *l, struct sim *sim, uint64_t size,
    uint32_t block_size, unsigned caps)
{
	*l = (struct sim_lun){ .sim = sim };
	list_init(&l->dirty);
	list_init(&l->ops);
	l->info = (struct disk_info){
		.size_bytes = size, .block_size = block_size,
		.phys_block_size = 4096, .max_caw = 4096, .caps = caps,
		.unmap_granularity = 4096,
		.kind = "sim", .name = "sim:lun", .serial = "sim",
	};
	l->now = calloc(1, size);
	l->stable = calloc(1, size);
	l->touched = calloc(1, size / 4096 / 8 + 1);
	if (l->now == NULL || l->stable == NULL || l->touched == NULL) {
		sim_lun_fini(l);
		return -ENOMEM;
	}
	return 0;
}

void
sim_lun_fini(struct sim_lun *l)
{
	list_for_each(node, next, &l->ops)
		op_free(list_entry(node, struct sim_op, node));
	sim_dirty_drop(l);
	free(l->now);
	free(l->stable);
	free(l->touched);
	l->touched = NULL;
	l->now = l->stable = NULL;
}
