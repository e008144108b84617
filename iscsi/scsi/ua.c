/* SPDX-License-Identifier: BSD-2-Clause */
/* Unit attention queues. */
#include "iscsi/scsi/ua.h"

#include <string.h>

#include "iscsi/scsi/lu.h"
#include "iscsi/scsi/nexus.h"
#include "iscsi/scsi/sense.h"

static void
ua_remove_at(struct ua_queue *q, unsigned i)
{
	q->count--;
	memmove(&q->codes[i], &q->codes[i + 1],
	    (q->count - i) * sizeof(q->codes[0]));
}

void
ua_clear(struct ua_queue *q, uint32_t code)
{
	for (unsigned i = 0; i < q->count; i++) {
		if (q->codes[i] == code) {
			ua_remove_at(q, i);
			return;
		}
	}
}

void
ua_add(struct ua_queue *q, uint32_t code)
{
	if (SENSE_ASC(code) == SENSE_ASC(SENSE_POWER_ON))
		q->count = 0;
	for (unsigned i = 0; i < q->count; i++) {
		if (q->codes[i] == code)
			return;
	}
	if (q->count == UA_QUEUE_MAX)
		ua_remove_at(q, 0);
	q->codes[q->count++] = code;
}

uint32_t
ua_take(struct ua_queue *q)
{
	uint32_t code;

	if (q->count == 0)
		return SENSE_NONE;
	code = q->codes[0];
	ua_remove_at(q, 0);
	return code;
}

void
ua_add_all(struct scsi_lu *lu, uint32_t code, const struct scsi_nexus *except)
{
	list_for_each(node, tmp, &lu->itls) {
		struct scsi_itl *itl =
		    list_entry(node, struct scsi_itl, lu_node);

		if (itl->nexus != except)
			ua_add(&itl->ua, code);
	}
}
