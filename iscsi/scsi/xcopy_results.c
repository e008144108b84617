/* SPDX-License-Identifier: BSD-2-Clause */
/* RECEIVE COPY RESULTS: status of copies and what can be copied. */
#include "iscsi/scsi/cmd.h"
#include "iscsi/scsi/xcopy.h"
#include "libvmfs/base/be.h"

enum { COPY_STATUS = 0, OPERATING_PARAMETERS = 3 };
enum { STATUS_RUNNING = 0, STATUS_DONE = 1, STATUS_FAILED = 2 };
enum { STATUS_LEN = 12, PARAMETERS_LEN = 46 };

/* SPC-4 6.20.2, the count in bytes as long as that fits. */
static bool
copy_status(struct scsi_cmd *c, uint8_t list_id, size_t allocation)
{
	const struct copy_result *found = NULL;
	uint8_t *p;

	for (unsigned i = 0; i < COPY_RESULTS_MAX; i++) {
		const struct copy_result *r = &c->itl->copies[i];

		if (r->valid && r->list_id == list_id)
			found = r;
	}
	if (found == NULL)
		return scsi_cmd_bad_cdb(c, 2);
	p = scsi_cmd_reply(c, STATUS_LEN);
	if (p == NULL)
		return true;
	be32_store(p, STATUS_LEN - 4);
	p[4] = found->running ? STATUS_RUNNING :
	    found->failed ? STATUS_FAILED : STATUS_DONE;
	be16_store(p + 5, found->segments);
	p[7] = found->bytes > UINT32_MAX ? 1 : 0;	/* KiB, bytes */
	be32_store(p + 8, (uint32_t)(found->bytes > UINT32_MAX ?
	    found->bytes >> 10 : found->bytes));
	return scsi_cmd_replied(c, STATUS_LEN, allocation);
}

/* SPC-4 6.20.4. */
static bool
operating_parameters(struct scsi_cmd *c, size_t allocation)
{
	uint8_t *p = scsi_cmd_reply(c, PARAMETERS_LEN);

	if (p == NULL)
		return true;
	be32_store(p, PARAMETERS_LEN - 4);
	p[4] = 0x01;			/* SNLID: a list without id is fine */
	be16_store(p + 8, COPY_TARGETS_MAX);
	be16_store(p + 10, COPY_SEGMENTS_MAX);
	be32_store(p + 12, COPY_LIST_MAX);
	be32_store(p + 16, 65535 * c->lu->block_size);
	be16_store(p + 34, COPY_CONCURRENT_MAX);
	p[36] = COPY_CONCURRENT_MAX;
	p[37] = 9;			/* granularity, log 2 */
	p[43] = 2;
	p[44] = COPY_SEGMENT_BLOCK;
	p[45] = COPY_TARGET_IDENT;
	return scsi_cmd_replied(c, PARAMETERS_LEN, allocation);
}

bool
scsi_receive_copy_results(struct scsi_cmd *c)
{
	const uint8_t *cdb = c->task->cdb;
	size_t allocation = be32_load(cdb + 10);

	if (c->op->service == COPY_STATUS)
		return copy_status(c, cdb[2], allocation);
	return operating_parameters(c, allocation);
}
