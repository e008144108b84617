/* SPDX-License-Identifier: BSD-2-Clause */
/* Writes wait in a fiber for their turn; all else passes. */
#include "tests/interop/slow_disk.h"

#include <err.h>
#include <stdatomic.h>

/* Takes `bytes` from what the rate allows; when that is. */
static uint64_t
turn(struct slow_disk *s, uint64_t bytes)
{
	uint64_t now = sched_now(sched_current());
	uint64_t at = atomic_load(&s->free_at), start;

	do
		start = at > now ? at : now;
	while (!atomic_compare_exchange_weak(&s->free_at, &at,
	    start + bytes * 1000000000 / s->rate));
	return start;
}

static void
write_fiber(void *arg)
{
	struct disk_req *req = arg;
	struct slow_disk *s = req->priv[0];
	uint64_t start = turn(s, req->length);
	uint64_t now = sched_now(sched_current());

	if (start > now)
		fiber_sleep(start - now);
	disk_submit(s->below, req);
}

static void
slow_submit(struct disk *d, struct disk_req *req)
{
	struct slow_disk *s = container_of(d, struct slow_disk, disk);

	if (req->op != DISK_WRITE) {
		disk_submit(s->below, req);
		return;
	}
	req->priv[0] = s;
	if (sched_spawn(sched_current(), "slow", write_fiber, req) < 0)
		errx(1, "no fiber");
}

static void
slow_close(struct disk *d)
{
	struct slow_disk *s = container_of(d, struct slow_disk, disk);

	disk_close(s->below);
}

struct disk *
slow_disk_init(struct slow_disk *s, uint64_t rate)
{
	static const struct disk_ops ops = {
		.submit = slow_submit, .close = slow_close,
	};

	s->rate = rate;
	s->disk = (struct disk){ .ops = &ops, .info = s->below->info };
	return &s->disk;
}
