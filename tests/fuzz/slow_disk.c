/* SPDX-License-Identifier: BSD-2-Clause */
/* See slow_disk.h. */
#include <stdlib.h>

#include "libvmfs/base/units.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/slow_disk.h"

struct slow_disk {
	struct disk disk;
	struct disk *below;
	struct sim *sim;
	unsigned late_ppm, error_ppm;
};

struct pending {
	struct sched_timer timer;
	struct slow_disk *disk;
	struct disk_req *req;
};

static void
go_on(struct slow_disk *d, struct disk_req *req)
{
	if (sim_chance(d->sim, d->error_ppm))
		disk_complete(req, -EIO);
	else
		d->below->ops->submit(d->below, req);
}

static void
time_is_up(void *arg)
{
	struct pending *p = arg;

	go_on(p->disk, p->req);
	free(p);
}

static void
slow_submit(struct disk *disk, struct disk_req *req)
{
	struct slow_disk *d = container_of(disk, struct slow_disk, disk);
	uint64_t ms = 1 + sim_below(d->sim, 100);
	struct pending *p;

	if (!sim_chance(d->sim, d->late_ppm)) {
		go_on(d, req);
		return;
	}
	p = calloc(1, sizeof(*p));
	FUZZ_CHECK(p != NULL);
	p->disk = d;
	p->req = req;
	p->timer.fn = time_is_up;
	p->timer.arg = p;
	FUZZ_CHECK(sched_timer_arm(&d->sim->sched, &p->timer,
	    d->sim->now_ns + ms * NSEC_PER_MSEC) == 0);
}

static void
slow_close(struct disk *disk)
{
	struct slow_disk *d = container_of(disk, struct slow_disk, disk);

	disk_close(d->below);
	free(d);
}

struct disk *
slow_disk_new(struct sim *sim, struct disk *below, unsigned late_ppm,
    unsigned error_ppm)
{
	static const struct disk_ops ops = {
		.submit = slow_submit, .close = slow_close,
	};
	struct slow_disk *d = calloc(1, sizeof(*d));

	FUZZ_CHECK(d != NULL);
	d->disk.ops = &ops;
	d->disk.info = below->info;
	d->below = below;
	d->sim = sim;
	d->late_ppm = late_ppm;
	d->error_ppm = error_ppm;
	return &d->disk;
}
