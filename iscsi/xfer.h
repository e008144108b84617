/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Collecting the data of one write command: immediate and unsolicited data,
 * then Ready To Transfer by Ready To Transfer, with every number checked
 * (RFC 7143 4.2.4, 11.7, 11.8).  DataPDUInOrder and DataSequenceInOrder are
 * always Yes, so the bytes come in order.  No I/O.
 */
#ifndef VMFS_ISCSI_XFER_H
#define VMFS_ISCSI_XFER_H

#include <stdbool.h>
#include <stdint.h>

#include "iscsi/pdu.h"
#include "libvmfs/base/err.h"

#define XFER_BURSTS_MAX 8	/* R2Ts of one command in flight */

/* One R2T and how far its data came. */
struct xfer_burst {
	uint32_t ttt;
	uint32_t r2tsn;
	uint32_t offset, len, done;
	uint32_t datasn;	/* expected next */
};

struct xfer {
	uint32_t want;		/* bytes to collect in all */
	uint32_t received;	/* from 0 without gap */
	uint32_t first_max;	/* unsolicited bytes allowed, with immediate */
	bool unsolicited;	/* the unsolicited sequence is open */
	uint32_t unsolicited_sn;
	uint32_t asked;		/* bytes received or asked for by R2T */
	uint32_t r2tsn;
	struct xfer_burst bursts[XFER_BURSTS_MAX];	/* oldest first */
	unsigned burst_count;
};

/*
 * A command came with `immediate` bytes; `more`: its F bit is clear, so
 * unsolicited Data-Out follows.  first_max as negotiated, cut to the expected
 * length.  -VMFS_EPROTO when the immediate data is more than that.
 */
int xfer_init(struct xfer *x, uint32_t want, uint32_t immediate,
    uint32_t first_max, bool more) MUST_CHECK;

/*
 * A Data-Out header: -VMFS_EPROTO when DataSN, tag, offset, length or F bit
 * are not what must come next.  Call before its data is read.
 */
int xfer_data_out(struct xfer *x, const struct iscsi_bhs_data *d) MUST_CHECK;

/* The next R2T to send, at most `outstanding` open; false: none now. */
bool xfer_next_r2t(struct xfer *x, uint32_t max_burst, unsigned outstanding,
    uint32_t ttt, struct xfer_burst *ret_b);

/* All that was asked for is here. */
bool xfer_complete(const struct xfer *x);

#endif
