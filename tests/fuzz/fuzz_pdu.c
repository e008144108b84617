/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Headers of PDUs: checks, additional header segments, the sequence of
 * Data-Out and R2T, the command window.
 */
#include <stdlib.h>
#include <string.h>

#include "iscsi/pdu.h"
#include "iscsi/scsi/scsi.h"
#include "iscsi/window.h"
#include "iscsi/xfer.h"
#include "tests/fuzz/fuzz.h"

static void
header(struct fuzz_in *in)
{
	uint8_t cdb[SCSI_CDB_MAX] = { 0 }, digest[ISCSI_DIGEST_SIZE];
	uint32_t max = fuzz_u32(in) & 0xffffff;
	enum iscsi_reject reason = 0;
	union iscsi_bhs bhs;
	struct iovec iov;
	size_t len, cdb_len = 0;
	uint8_t *ahs;

	fuzz_fill(in, bhs.raw, sizeof(bhs.raw));
	if (iscsi_bhs_check(&bhs, max, &reason) == 0) {
		FUZZ_CHECK(iscsi_data_len(&bhs) <= max);
		FUZZ_CHECK((bhs.any.opcode & ISCSI_OPCODE_MASK) < 0x20);
	} else {
		FUZZ_CHECK(reason != 0);
	}
	FUZZ_CHECK(iscsi_opcode_name(bhs.any.opcode)[0] != '\0');
	len = iscsi_ahs_len(&bhs);
	ahs = fuzz_take(in, len);
	memcpy(cdb, bhs.cmd.cdb, sizeof(bhs.cmd.cdb));
	if (iscsi_ahs_cdb(ahs, len, cdb, sizeof(cdb), &cdb_len) == 0) {
		FUZZ_CHECK(cdb_len >= 16 && cdb_len <= sizeof(cdb));
		FUZZ_CHECK(memcmp(cdb, bhs.cmd.cdb, 16) == 0);
	} else {
		FUZZ_CHECK(cdb_len == 0);
	}
	iov = (struct iovec){ ahs, len };
	iscsi_digest(&iov, 1, digest);
	free(ahs);
}

/* ---- data-out ---- */

static void
xfer_holds(const struct xfer *x, uint32_t limit)
{
	uint32_t at = x->received;

	/* All that may be stored: what was asked for or allowed unasked. */
	FUZZ_CHECK(x->received <= limit);
	FUZZ_CHECK(x->burst_count <= XFER_BURSTS_MAX);
	for (unsigned i = 0; i < x->burst_count; i++) {
		const struct xfer_burst *b = &x->bursts[i];

		FUZZ_CHECK(b->offset + b->done == at || i > 0);
		FUZZ_CHECK(b->done <= b->len);
		FUZZ_CHECK((uint64_t)b->offset + b->len <= x->want);
		FUZZ_CHECK(i == 0 ||
		    b->offset == b[-1].offset + b[-1].len);
		FUZZ_CHECK(i == 0 || b->r2tsn == b[-1].r2tsn + 1);
	}
	if (xfer_complete(x))
		FUZZ_CHECK(x->received >= x->want);
}

/* A header that is right but for what `wrong` spoils. */
static void
data_header(struct fuzz_in *in, const struct xfer *x,
    struct iscsi_bhs_data *ret_d)
{
	const struct xfer_burst *b = &x->bursts[0];
	bool asked = x->burst_count > 0;
	uint8_t wrong = fuzz_u8(in);
	uint32_t len = fuzz_u16(in);

	*ret_d = (struct iscsi_bhs_data){
		.data_len = be24(len),
		.ttt = be32(asked ? b->ttt : ISCSI_NO_TAG),
		.datasn = be32(asked ? b->datasn : x->unsolicited_sn),
		.offset = be32(x->received),
		.flags = wrong & 0x80,
	};
	if (asked && (wrong & 0x40))
		ret_d->flags = b->done + len == b->len ? ISCSI_FLAG_FINAL : 0;
	if (wrong & 1)
		ret_d->ttt = be32(fuzz_u32(in));
	if (wrong & 2)
		ret_d->datasn = be32(fuzz_u8(in));
	if (wrong & 4)
		ret_d->offset = be32(fuzz_u32(in));
	if (wrong & 8)
		ret_d->data_len = be24(fuzz_u32(in) & 0xffffff);
}

static void
data_out(struct fuzz_in *in)
{
	uint32_t want = fuzz_u32(in) & 0xffffff;
	uint32_t immediate = fuzz_u16(in), first = fuzz_u16(in);
	uint32_t burst = 512 + fuzz_u16(in);
	uint32_t limit = want > first ? want : first;
	unsigned outstanding = fuzz_u8(in);
	uint32_t ttt = fuzz_u32(in);
	struct iscsi_bhs_data d;
	struct xfer_burst b;
	struct xfer x;

	if (xfer_init(&x, want, immediate, first, outstanding & 1) < 0) {
		FUZZ_CHECK(immediate > first);
		return;
	}
	while (in->left > 0) {
		if (fuzz_u8(in) & 1) {
			if (xfer_next_r2t(&x, burst, outstanding, ttt++, &b))
				FUZZ_CHECK(b.len > 0 && b.len <= burst);
		} else {
			struct xfer before = x;

			data_header(in, &x, &d);
			if (xfer_data_out(&x, &d) < 0)
				FUZZ_CHECK(memcmp(&before, &x,
				    sizeof(x)) == 0);
		}
		xfer_holds(&x, limit);
	}
}

static void
window(struct fuzz_in *in)
{
	struct cmd_window w = {
		.exp = fuzz_u32(in), .max = 1 + fuzz_u8(in),
	};
	uint32_t max = cmd_window_max(&w), exp = w.exp;

	while (in->left > 0) {
		uint8_t op = fuzz_u8(in);

		if ((op & 1) && w.in_flight > 0)
			w.in_flight--;
		else if (cmd_window_take(&w, op & 2 ? w.exp :
		    w.exp + fuzz_u32(in)) == CMD_TAKE)
			w.in_flight++;
		FUZZ_CHECK(w.in_flight <= w.max);
		FUZZ_CHECK(!iscsi_sn_before(w.exp, exp));
		FUZZ_CHECK(!iscsi_sn_before(cmd_window_max(&w), max));
		exp = w.exp;
		max = cmd_window_max(&w);
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_in in = { data, size };

	switch (fuzz_u8(&in) % 3) {
	case 0:
		header(&in);
		break;
	case 1:
		data_out(&in);
		break;
	default:
		window(&in);
		break;
	}
	return 0;
}
