/* SPDX-License-Identifier: BSD-2-Clause */
/* Data-Out sequencing, see xfer.h. */
#include <string.h>

#include "iscsi/xfer.h"

int
xfer_init(struct xfer *x, uint32_t want, uint32_t immediate,
    uint32_t first_max, bool more)
{
	*x = (struct xfer){
		.want = want, .received = immediate, .asked = immediate,
		.first_max = first_max, .unsolicited = more,
	};
	return immediate > first_max ? -VMFS_EPROTO : 0;
}

static int
unsolicited(struct xfer *x, const struct iscsi_bhs_data *d)
{
	uint32_t len = be24_get(d->data_len);

	if (!x->unsolicited || be32_get(d->datasn) != x->unsolicited_sn ||
	    be32_get(d->offset) != x->received ||
	    len > x->first_max - x->received)
		return -VMFS_EPROTO;
	x->unsolicited_sn++;
	x->received += len;
	x->asked = x->received;
	if (d->flags & ISCSI_FLAG_FINAL)
		x->unsolicited = false;
	return 0;
}

int
xfer_data_out(struct xfer *x, const struct iscsi_bhs_data *d)
{
	struct xfer_burst *b = &x->bursts[0];
	uint32_t len = be24_get(d->data_len);
	bool final = d->flags & ISCSI_FLAG_FINAL;

	if (be32_get(d->ttt) == ISCSI_NO_TAG)
		return unsolicited(x, d);
	if (x->burst_count == 0 || be32_get(d->ttt) != b->ttt ||
	    be32_get(d->datasn) != b->datasn ||
	    be32_get(d->offset) != b->offset + b->done ||
	    len > b->len - b->done || final != (b->done + len == b->len))
		return -VMFS_EPROTO;
	b->datasn++;
	b->done += len;
	x->received += len;
	if (final) {
		x->burst_count--;
		memmove(b, b + 1, x->burst_count * sizeof(*b));
	}
	return 0;
}

bool
xfer_next_r2t(struct xfer *x, uint32_t max_burst, unsigned outstanding,
    uint32_t ttt, struct xfer_burst *ret_b)
{
	struct xfer_burst *b = &x->bursts[x->burst_count];
	uint32_t left;

	if (outstanding > XFER_BURSTS_MAX)
		outstanding = XFER_BURSTS_MAX;
	if (x->unsolicited || x->burst_count >= outstanding ||
	    x->asked >= x->want)
		return false;
	left = x->want - x->asked;
	*b = (struct xfer_burst){
		.ttt = ttt, .r2tsn = x->r2tsn++, .offset = x->asked,
		.len = left < max_burst ? left : max_burst,
	};
	x->asked += b->len;
	x->burst_count++;
	*ret_b = *b;
	return true;
}

bool
xfer_complete(const struct xfer *x)
{
	return !x->unsolicited && x->burst_count == 0 &&
	    x->received >= x->want;
}
