/* SPDX-License-Identifier: BSD-2-Clause */
/* Holding writes back. */
#include <atf-c.h>

#include "libvmfs/format/layout.h"
#include "tests/unit/gate_disk.h"

static void
gate_submit(struct disk *d, struct disk_req *req)
{
	struct gate_disk *g = (struct gate_disk *)(void *)d;
	uint64_t from = g->first * BLOCK_SIZE;
	uint64_t to = from + g->blocks * BLOCK_SIZE;

	if (g->left > 0 && req->op == DISK_WRITE && req->offset < to &&
	    req->offset + req->length > from) {
		ATF_REQUIRE(g->count < GATE_HELD_MAX);
		g->held[g->count++] = req;
		g->left--;
		return;
	}
	disk_submit(g->below, req);
}

static void
gate_done(struct disk *d)
{
	(void)d;
}

static const struct disk_ops gate_ops = {
	.submit = gate_submit,
	.close = gate_done,
};

void
gate_disk_init(struct gate_disk *g, struct disk *below)
{
	*g = (struct gate_disk){
		.disk = { .ops = &gate_ops, .info = below->info },
		.below = below,
	};
}

void
gate_disk_close(struct gate_disk *g, uint64_t first, uint64_t blocks,
    unsigned most)
{
	g->first = first;
	g->blocks = blocks;
	g->left = most;
}

void
gate_disk_open(struct gate_disk *g)
{
	g->blocks = 0;
	for (unsigned i = 0; i < g->count; i++)
		disk_submit(g->below, g->held[i]);
	g->count = 0;
}
