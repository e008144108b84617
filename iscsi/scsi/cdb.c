/* SPDX-License-Identifier: BSD-2-Clause */
/* The table of commands and what can be said of a CDB without running it. */
#include "iscsi/scsi/cdb.h"

#include "iscsi/scsi/cmd.h"
#include "libvmfs/base/be.h"

#define READ_FLAGS OP_MEDIUM
/* READ and WRITE go without fiber and lock, straight to the disk. */
#define PLAIN_READ (OP_MEDIUM | OP_UNLOCKED)
#define PLAIN_WRITE (PLAIN_READ | OP_WRITES)
#define WRITE_FLAGS (OP_MEDIUM | OP_WRITES)
#define NO_LU_FLAGS (OP_NO_UA | OP_NO_LU | OP_SANITIZING)
/* Has ATOMIC BOUNDARY where others have the upper half of the length. */
#define WRITE_ATOMIC 0x9c

/* Sorted by operation code, then service action. */
static const struct cdb_op table[] = {
	{ 0x00, 0, 6, OP_MEDIUM, ACCESS_STATUS, OUT_NONE, "TEST UNIT READY",
	    scsi_test_unit_ready, { 0x00, 0, 0, 0, 0, 0x04 } },
	{ 0x03, 0, 6, NO_LU_FLAGS, ACCESS_FREE, OUT_NONE,
	    "REQUEST SENSE", scsi_request_sense,
	    { 0x03, 0x01, 0, 0, 0xff, 0x04 } },
	{ 0x08, 0, 6, PLAIN_READ, ACCESS_READ, OUT_NONE, "READ(6)", scsi_read,
	    { 0x08, 0x1f, 0xff, 0xff, 0xff, 0x04 } },
	{ 0x0a, 0, 6, PLAIN_WRITE, ACCESS_WRITE, OUT_EXTENT, "WRITE(6)",
	    scsi_write, { 0x0a, 0x1f, 0xff, 0xff, 0xff, 0x04 } },
	{ 0x12, 0, 6, NO_LU_FLAGS, ACCESS_FREE, OUT_NONE, "INQUIRY",
	    scsi_inquiry, { 0x12, 0x01, 0xff, 0xff, 0xff, 0x04 } },
	{ 0x15, 0, 6, 0, ACCESS_WRITE, OUT_LIST8, "MODE SELECT(6)",
	    scsi_mode_select, { 0x15, 0x11, 0, 0, 0xff, 0x04 } },
	{ 0x16, 0, 6, 0, ACCESS_FREE, OUT_NONE, "RESERVE(6)", scsi_reserve,
	    { 0x16, 0, 0, 0, 0, 0x04 } },
	{ 0x17, 0, 6, 0, ACCESS_FREE, OUT_NONE, "RELEASE(6)", scsi_release,
	    { 0x17, 0, 0, 0, 0, 0x04 } },
	{ 0x1a, 0, 6, 0, ACCESS_READ, OUT_NONE, "MODE SENSE(6)",
	    scsi_mode_sense, { 0x1a, 0x08, 0xff, 0xff, 0xff, 0x04 } },
	{ 0x1b, 0, 6, OP_FIBER, ACCESS_WRITE, OUT_NONE, "START STOP UNIT",
	    scsi_start_stop, { 0x1b, 0x01, 0, 0x0f, 0xf7, 0x04 } },
	{ 0x1d, 0, 6, 0, ACCESS_WRITE, OUT_NONE, "SEND DIAGNOSTIC",
	    scsi_send_diagnostic, { 0x1d, 0xf7, 0, 0xff, 0xff, 0x04 } },
	{ 0x1e, 0, 6, OP_REMOVABLE, ACCESS_STATUS, OUT_NONE,
	    "PREVENT ALLOW MEDIUM REMOVAL", scsi_prevent_allow,
	    { 0x1e, 0, 0, 0, 0x03, 0x04 } },
	{ 0x25, 0, 10, OP_MEDIUM, ACCESS_FREE, OUT_NONE, "READ CAPACITY(10)",
	    scsi_read_capacity10,
	    { 0x25, 0, 0xff, 0xff, 0xff, 0xff, 0, 0, 0x01, 0x04 } },
	{ 0x28, 0, 10, PLAIN_READ, ACCESS_READ, OUT_NONE, "READ(10)",
	    scsi_read, { 0x28, 0xfa, 0xff, 0xff, 0xff, 0xff, 0x1f, 0xff, 0xff,
	    0x04 } },
	{ 0x2a, 0, 10, PLAIN_WRITE, ACCESS_WRITE, OUT_EXTENT, "WRITE(10)",
	    scsi_write, { 0x2a, 0xfa, 0xff, 0xff, 0xff, 0xff, 0x1f, 0xff, 0xff,
	    0x04 } },
	{ 0x2e, 0, 10, WRITE_FLAGS | OP_FIBER, ACCESS_WRITE, OUT_EXTENT,
	    "WRITE AND VERIFY(10)", scsi_write_and_verify,
	    { 0x2e, 0xf6, 0xff, 0xff, 0xff, 0xff, 0x1f, 0xff, 0xff, 0x04 } },
	{ 0x2f, 0, 10, READ_FLAGS | OP_FIBER, ACCESS_READ, OUT_VERIFY,
	    "VERIFY(10)", scsi_verify,
	    { 0x2f, 0xf6, 0xff, 0xff, 0xff, 0xff, 0x1f, 0xff, 0xff, 0x04 } },
	{ 0x34, 0, 10, READ_FLAGS, ACCESS_READ, OUT_NONE, "PRE-FETCH(10)",
	    scsi_prefetch,
	    { 0x34, 0x02, 0xff, 0xff, 0xff, 0xff, 0x1f, 0xff, 0xff, 0x04 } },
	{ 0x35, 0, 10, PLAIN_READ, ACCESS_WRITE, OUT_NONE,
	    "SYNCHRONIZE CACHE(10)", scsi_synchronize_cache,
	    { 0x35, 0x02, 0xff, 0xff, 0xff, 0xff, 0x1f, 0xff, 0xff, 0x04 } },
	{ 0x37, 0, 10, OP_MEDIUM, ACCESS_READ, OUT_NONE,
	    "READ DEFECT DATA(10)", scsi_read_defects,
	    { 0x37, 0, 0x1f, 0, 0, 0, 0, 0xff, 0xff, 0x04 } },
	{ 0x41, 0, 10, WRITE_FLAGS | OP_FIBER, ACCESS_WRITE, OUT_SAME,
	    "WRITE SAME(10)", scsi_write_same,
	    { 0x41, 0xf8, 0xff, 0xff, 0xff, 0xff, 0x1f, 0xff, 0xff, 0x04 } },
	{ 0x42, 0, 10, WRITE_FLAGS | OP_FIBER | OP_THIN, ACCESS_WRITE,
	    OUT_LIST16, "UNMAP", scsi_unmap,
	    { 0x42, 0x01, 0, 0, 0, 0, 0x1f, 0xff, 0xff, 0x04 } },
#define SANITIZE(sa, more, out, name) \
	{ 0x48, sa, 10, OP_SERVICE | WRITE_FLAGS | OP_FIBER | OP_SANITIZE | \
	    (more), ACCESS_WRITE, out, name, scsi_sanitize, \
	    { 0x48, 0xbf, 0, 0, 0, 0, 0, 0xff, 0xff, 0x04 } }
	SANITIZE(0x01, 0, OUT_LIST16, "SANITIZE OVERWRITE"),
	SANITIZE(0x02, OP_THIN, OUT_LIST16, "SANITIZE BLOCK ERASE"),
	SANITIZE(0x03, OP_CRYPTO, OUT_LIST16, "SANITIZE CRYPTO ERASE"),
	SANITIZE(0x1f, 0, OUT_LIST16, "SANITIZE EXIT FAILURE MODE"),
	{ 0x4d, 0, 10, OP_SANITIZING, ACCESS_STATUS, OUT_NONE, "LOG SENSE",
	    scsi_log_sense,
	    { 0x4d, 0x01, 0xff, 0xff, 0, 0xff, 0xff, 0xff, 0xff, 0x04 } },
	{ 0x55, 0, 10, 0, ACCESS_WRITE, OUT_LIST16, "MODE SELECT(10)",
	    scsi_mode_select, { 0x55, 0x11, 0, 0, 0, 0, 0, 0xff, 0xff, 0x04 } },
	{ 0x56, 0, 10, 0, ACCESS_FREE, OUT_NONE, "RESERVE(10)", scsi_reserve,
	    { 0x56, 0, 0, 0, 0, 0, 0, 0, 0, 0x04 } },
	{ 0x57, 0, 10, 0, ACCESS_FREE, OUT_NONE, "RELEASE(10)", scsi_release,
	    { 0x57, 0, 0, 0, 0, 0, 0, 0, 0, 0x04 } },
	{ 0x5a, 0, 10, 0, ACCESS_READ, OUT_NONE, "MODE SENSE(10)",
	    scsi_mode_sense,
	    { 0x5a, 0x18, 0xff, 0xff, 0, 0, 0, 0xff, 0xff, 0x04 } },
#define PR_IN(sa, name) \
	{ 0x5e, sa, 10, OP_SERVICE | OP_FIBER, ACCESS_STATUS, OUT_NONE, name, \
	    scsi_pr_in, { 0x5e, 0x1f, 0, 0, 0, 0, 0, 0xff, 0xff, 0x04 } }
	PR_IN(0x00, "PERSISTENT RESERVE IN READ KEYS"),
	PR_IN(0x01, "PERSISTENT RESERVE IN READ RESERVATION"),
	PR_IN(0x02, "PERSISTENT RESERVE IN REPORT CAPABILITIES"),
	PR_IN(0x03, "PERSISTENT RESERVE IN READ FULL STATUS"),
#define PR_OUT(sa, name) \
	{ 0x5f, sa, 10, OP_SERVICE | OP_FIBER, ACCESS_STATUS, OUT_LIST32, \
	    name, scsi_pr_out, { 0x5f, 0x1f, 0xff, 0, 0, 0xff, 0xff, 0xff, \
	    0xff, 0x04 } }
	PR_OUT(0x00, "PERSISTENT RESERVE OUT REGISTER"),
	PR_OUT(0x01, "PERSISTENT RESERVE OUT RESERVE"),
	PR_OUT(0x02, "PERSISTENT RESERVE OUT RELEASE"),
	PR_OUT(0x03, "PERSISTENT RESERVE OUT CLEAR"),
	PR_OUT(0x04, "PERSISTENT RESERVE OUT PREEMPT"),
	PR_OUT(0x05, "PERSISTENT RESERVE OUT PREEMPT AND ABORT"),
	PR_OUT(0x06, "PERSISTENT RESERVE OUT REGISTER AND IGNORE"),
	PR_OUT(0x07, "PERSISTENT RESERVE OUT REGISTER AND MOVE"),
#define EXTENDED_COPY(sa, name) \
	{ 0x83, sa, 16, OP_SERVICE | OP_MEDIUM | OP_FIBER, ACCESS_WRITE, \
	    OUT_LIST32_10, name, scsi_extended_copy, { 0x83, 0x1f, 0, 0, 0, \
	    0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0, 0x04 } }
	EXTENDED_COPY(0x00, "EXTENDED COPY(LID1)"),
	EXTENDED_COPY(0x01, "EXTENDED COPY(LID4)"),
	{ 0x83, 0x10, 16, OP_SERVICE | OP_MEDIUM | OP_FIBER, ACCESS_READ,
	    OUT_LIST32_10, "POPULATE TOKEN", scsi_populate_token,
	    { 0x83, 0x1f, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0xff, 0xff,
	    0xff, 0xff, 0x1f, 0x04 } },
	{ 0x83, 0x11, 16, OP_SERVICE | OP_MEDIUM | OP_FIBER, ACCESS_WRITE,
	    OUT_LIST32_10, "WRITE USING TOKEN", scsi_write_using_token,
	    { 0x83, 0x1f, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0xff, 0xff,
	    0xff, 0xff, 0x1f, 0x04 } },
	{ 0x83, 0x1c, 16, OP_SERVICE, ACCESS_STATUS, OUT_NONE,
	    "COPY OPERATION ABORT", scsi_copy_operation_abort,
	    { 0x83, 0x1f, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0, 0, 0,
	    0x04 } },
#define COPY_RESULTS(sa, access, mask, run, name) \
	{ 0x84, sa, 16, OP_SERVICE, access, OUT_NONE, name, run, \
	    { 0x84, 0x1f, mask, mask, mask, mask, 0, 0, 0, 0, \
	    0xff, 0xff, 0xff, 0xff, 0, 0x04 } }
	{ 0x84, 0x00, 16, OP_SERVICE, ACCESS_READ, OUT_NONE,
	    "RECEIVE COPY STATUS(LID1)", scsi_receive_copy_results,
	    { 0x84, 0x1f, 0xff, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff,
	    0, 0x04 } },
	COPY_RESULTS(0x03, ACCESS_READ, 0, scsi_receive_copy_results,
	    "RECEIVE COPY OPERATING PARAMETERS"),
	COPY_RESULTS(0x05, ACCESS_STATUS, 0xff, scsi_receive_copy_results,
	    "RECEIVE COPY STATUS(LID4)"),
	COPY_RESULTS(0x07, ACCESS_STATUS, 0xff, scsi_receive_copy_results,
	    "RECEIVE ROD TOKEN INFORMATION"),
	COPY_RESULTS(0x08, ACCESS_STATUS, 0, scsi_report_all_tokens,
	    "REPORT ALL ROD TOKENS"),
	{ 0x88, 0, 16, PLAIN_READ, ACCESS_READ, OUT_NONE, "READ(16)",
	    scsi_read, { 0x88, 0xfa, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
	    0xff, 0xff, 0xff, 0xff, 0xff, 0x1f, 0x04 } },
	{ 0x89, 0, 16, WRITE_FLAGS | OP_FIBER, ACCESS_WRITE, OUT_CAW,
	    "COMPARE AND WRITE", scsi_compare_and_write,
	    { 0x89, 0xfa, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
	    0, 0, 0, 0xff, 0x1f, 0x04 } },
	{ 0x8a, 0, 16, PLAIN_WRITE, ACCESS_WRITE, OUT_EXTENT, "WRITE(16)",
	    scsi_write, { 0x8a, 0xfa, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
	    0xff, 0xff, 0xff, 0xff, 0xff, 0x1f, 0x04 } },
	{ 0x8b, 0, 16, WRITE_FLAGS | OP_FIBER, ACCESS_WRITE, OUT_EXTENT,
	    "ORWRITE(16)", scsi_orwrite,
	    { 0x8b, 0xfa, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
	    0xff, 0xff, 0xff, 0xff, 0x1f, 0x04 } },
	{ 0x8e, 0, 16, WRITE_FLAGS | OP_FIBER, ACCESS_WRITE, OUT_EXTENT,
	    "WRITE AND VERIFY(16)", scsi_write_and_verify,
	    { 0x8e, 0xf6, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
	    0xff, 0xff, 0xff, 0xff, 0x1f, 0x04 } },
	{ 0x8f, 0, 16, READ_FLAGS | OP_FIBER, ACCESS_READ, OUT_VERIFY,
	    "VERIFY(16)", scsi_verify,
	    { 0x8f, 0xf6, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
	    0xff, 0xff, 0xff, 0xff, 0x1f, 0x04 } },
	{ 0x90, 0, 16, READ_FLAGS, ACCESS_READ, OUT_NONE, "PRE-FETCH(16)",
	    scsi_prefetch,
	    { 0x90, 0x02, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
	    0xff, 0xff, 0xff, 0xff, 0x1f, 0x04 } },
	{ 0x91, 0, 16, PLAIN_READ, ACCESS_WRITE, OUT_NONE,
	    "SYNCHRONIZE CACHE(16)", scsi_synchronize_cache,
	    { 0x91, 0x02, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
	    0xff, 0xff, 0xff, 0xff, 0x1f, 0x04 } },
	{ 0x93, 0, 16, WRITE_FLAGS | OP_FIBER, ACCESS_WRITE, OUT_SAME,
	    "WRITE SAME(16)", scsi_write_same,
	    { 0x93, 0xf9, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
	    0xff, 0xff, 0xff, 0xff, 0x1f, 0x04 } },
	{ 0x9c, 0, 16, PLAIN_WRITE | OP_ATOMIC, ACCESS_WRITE, OUT_EXTENT,
	    "WRITE ATOMIC(16)", scsi_write_atomic,
	    { 0x9c, 0xf8, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
	    0, 0, 0xff, 0xff, 0x1f, 0x04 } },
	{ 0x9e, 0x10, 16, OP_SERVICE | OP_MEDIUM, ACCESS_FREE, OUT_NONE,
	    "READ CAPACITY(16)", scsi_read_capacity16,
	    { 0x9e, 0x1f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
	    0xff, 0xff, 0xff, 0xff, 0x01, 0x04 } },
	{ 0x9e, 0x12, 16, OP_SERVICE | OP_MEDIUM | OP_FIBER, ACCESS_READ,
	    OUT_NONE, "GET LBA STATUS", scsi_get_lba_status,
	    { 0x9e, 0x1f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
	    0xff, 0xff, 0xff, 0xff, 0, 0x04 } },
	{ 0xa0, 0, 12, NO_LU_FLAGS | OP_UNLOCKED, ACCESS_FREE,
	    OUT_NONE, "REPORT LUNS", scsi_report_luns,
	    { 0xa0, 0, 0xff, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0, 0x04 } },
	{ 0xa3, 0x0a, 12, OP_SERVICE | OP_SANITIZING, ACCESS_STATUS, OUT_NONE,
	    "REPORT TARGET PORT GROUPS", scsi_report_groups,
	    { 0xa3, 0xff, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0, 0x04 } },
	{ 0xa3, 0x0c, 12, OP_SERVICE | OP_SANITIZING, ACCESS_READ, OUT_NONE,
	    "REPORT SUPPORTED OPERATION CODES", scsi_report_opcodes,
	    { 0xa3, 0x1f, 0x87, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0,
	    0x04 } },
	{ 0xa3, 0x0d, 12, OP_SERVICE | OP_SANITIZING, ACCESS_READ, OUT_NONE,
	    "REPORT SUPPORTED TASK MANAGEMENT FUNCTIONS", scsi_report_tmfs,
	    { 0xa3, 0x1f, 0x80, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0, 0x04 } },
	{ 0xa4, 0x0a, 12, OP_SERVICE, ACCESS_WRITE, OUT_LIST32_6,
	    "SET TARGET PORT GROUPS", scsi_set_groups,
	    { 0xa4, 0x1f, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0, 0x04 } },
	{ 0xa8, 0, 12, PLAIN_READ, ACCESS_READ, OUT_NONE, "READ(12)",
	    scsi_read, { 0xa8, 0xfa, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
	    0xff, 0x1f, 0x04 } },
	{ 0xaa, 0, 12, PLAIN_WRITE, ACCESS_WRITE, OUT_EXTENT, "WRITE(12)",
	    scsi_write, { 0xaa, 0xfa, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
	    0xff, 0x1f, 0x04 } },
	{ 0xae, 0, 12, WRITE_FLAGS | OP_FIBER, ACCESS_WRITE, OUT_EXTENT,
	    "WRITE AND VERIFY(12)", scsi_write_and_verify,
	    { 0xae, 0xf6, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
	    0x1f, 0x04 } },
	{ 0xaf, 0, 12, READ_FLAGS | OP_FIBER, ACCESS_READ, OUT_VERIFY,
	    "VERIFY(12)", scsi_verify,
	    { 0xaf, 0xf6, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
	    0x1f, 0x04 } },
	{ 0xb7, 0, 12, OP_MEDIUM, ACCESS_READ, OUT_NONE,
	    "READ DEFECT DATA(12)", scsi_read_defects,
	    { 0xb7, 0x1f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0,
	    0x04 } },
};

const struct cdb_op *
cdb_table(size_t *ret_count)
{
	*ret_count = sizeof(table) / sizeof(table[0]);
	return table;
}

bool
cdb_op_present(const struct cdb_op *op, const struct scsi_lu *lu)
{
	if (lu == NULL)
		return op->flags & OP_NO_LU;
	return (!(op->flags & OP_THIN) || lu->thin) &&
	    (!(op->flags & OP_REMOVABLE) || lu->removable) &&
	    (!(op->flags & OP_ATOMIC) || lu->atomic_blocks_max > 0) &&
	    (!(op->flags & OP_SANITIZE) || lu->sanitize.save != NULL) &&
	    (!(op->flags & OP_CRYPTO) ||
	    (lu->caps & DISK_CAP_CRYPTO_ERASE)) &&
	    (op->out != OUT_CAW || lu->caw_blocks_max > 0);
}

/* First entry with the operation code, or one past the end. */
static size_t
table_find(uint8_t opcode)
{
	size_t low = 0, high = sizeof(table) / sizeof(table[0]);

	while (low < high) {
		size_t mid = (low + high) / 2;

		if (table[mid].opcode < opcode)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

const struct cdb_op *
cdb_lookup(const struct scsi_lu *lu, const uint8_t *cdb, size_t len,
    bool *ret_known)
{
	uint8_t service = len > 1 ? cdb[1] & 0x1f : 0;
	bool known = false;

	for (size_t i = table_find(cdb[0]);
	    i < sizeof(table) / sizeof(table[0]) && table[i].opcode == cdb[0];
	    i++) {
		const struct cdb_op *op = &table[i];

		if (!cdb_op_present(op, lu))
			continue;
		known = true;
		if (!(op->flags & OP_SERVICE) || op->service == service) {
			*ret_known = true;
			return op;
		}
	}
	*ret_known = known;
	return NULL;
}

void
cdb_extent(const uint8_t *cdb, uint64_t *ret_lba, uint32_t *ret_blocks)
{
	switch (cdb[0] >> 5) {
	case 0:
		*ret_lba = be24_load(cdb + 1) & 0x1fffff;
		*ret_blocks = cdb[4] != 0 ? cdb[4] : 256;
		break;
	case 4:
		*ret_lba = be64_load(cdb + 2);
		*ret_blocks = cdb[0] == WRITE_ATOMIC ? be16_load(cdb + 12) :
		    be32_load(cdb + 10);
		break;
	case 5:
		*ret_lba = be32_load(cdb + 2);
		*ret_blocks = be32_load(cdb + 6);
		break;
	default:
		*ret_lba = be32_load(cdb + 2);
		*ret_blocks = be16_load(cdb + 7);
		break;
	}
}

/* SBC-4 table 13 has two rows for each of these. */
enum scsi_access
cdb_access(const struct cdb_op *op, const uint8_t *cdb)
{
	bool start = (cdb[4] & 0xf1) == 0x01;	/* no POWER CONDITION */

	if (op->run == scsi_start_stop && start)
		return ACCESS_STATUS;
	if (op->run == scsi_prevent_allow && (cdb[4] & 0x03) != 0)
		return ACCESS_WRITE;
	return op->access;
}

static uint64_t
verify_out_blocks(const uint8_t *cdb, uint32_t blocks)
{
	switch ((cdb[1] >> 1) & 3) {
	case 1:
		return blocks;
	case 3:
		return blocks != 0;
	default:
		return 0;
	}
}

uint64_t
cdb_out_length(const struct cdb_op *op, const struct scsi_lu *lu,
    const uint8_t *cdb)
{
	uint64_t bs = lu->block_size;
	uint64_t lba;
	uint32_t blocks;

	cdb_extent(cdb, &lba, &blocks);
	switch (op->out) {
	case OUT_EXTENT:
		return blocks * bs;
	case OUT_VERIFY:
		return verify_out_blocks(cdb, blocks) * bs;
	case OUT_SAME:
		return op->len == 16 && (cdb[1] & 0x01) ? 0 : bs;
	case OUT_CAW:
		return 2 * cdb[13] * bs;
	case OUT_LIST8:
		return cdb[4];
	case OUT_LIST16:
		return be16_load(cdb + 7);
	case OUT_LIST32:
		return be32_load(cdb + 5);
	case OUT_LIST32_6:
		return be32_load(cdb + 6);
	case OUT_LIST32_10:
		return be32_load(cdb + 10);
	default:
		return 0;
	}
}

uint64_t
scsi_cdb_out_length(const struct scsi_nexus *n, const uint8_t lun[8],
    const uint8_t *cdb, size_t cdb_len)
{
	int number = scsi_lun_decode(lun);
	/* Once: another thread may take it away, and only from there. */
	const struct scsi_itl *itl = number < 0 ? NULL : n->itls[number];
	const struct cdb_op *op;
	const struct scsi_lu *lu;
	bool known;

	if (itl == NULL || cdb_len == 0)
		return 0;
	lu = itl->lu;
	op = cdb_lookup(lu, cdb, cdb_len, &known);
	if (op == NULL || cdb_len < op->len)
		return 0;
	return cdb_out_length(op, lu, cdb);
}
