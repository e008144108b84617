/* SPDX-License-Identifier: BSD-2-Clause */
/* PERSISTENT RESERVE IN, SPC-4 6.15. */
#include <stdlib.h>
#include <string.h>

#include "iscsi/scsi/cmd.h"
#include "libvmfs/base/be.h"

enum { READ_KEYS, READ_RESERVATION, REPORT_CAPABILITIES, READ_FULL_STATUS };
enum { HEAD_LEN = 8, STATUS_LEN = 24 };

static size_t
keys_encode(const struct pr_state *pr, uint8_t *p)
{
	size_t len = 0;

	list_for_each(node, tmp, &pr->registrations) {
		be64_store(p + len,
		    list_entry(node, struct pr_registration, node)->key);
		len += 8;
	}
	return len;
}

static size_t
reservation_encode(const struct pr_state *pr, uint8_t *p)
{
	if (pr->type == PR_NONE)
		return 0;
	if (pr->holder != NULL)
		be64_store(p, pr->holder->key);
	p[13] = (uint8_t)pr->type;
	return 16;
}

/* Of "iqn...,t,0x0001": one is good at all ports, another tells its number. */
static void
target_port_encode(const struct pr_registration *r, uint8_t *d)
{
	const char *number = strstr(r->target, ",t,0x");

	if (r->target[0] == '\0')
		d[12] |= 0x02;		/* ALL_TG_PT */
	else if (number != NULL)
		be16_store(d + 18, (uint16_t)strtoul(number + 5, NULL, 16));
}

static size_t
full_status_encode(const struct pr_state *pr, uint8_t *p)
{
	size_t len = 0;

	list_for_each(node, tmp, &pr->registrations) {
		const struct pr_registration *r =
		    list_entry(node, struct pr_registration, node);
		uint8_t *d = p + len;
		size_t id_len;

		be64_store(d, r->key);
		if (pr_is_holder(pr, r)) {
			d[12] = 0x01;
			d[13] = (uint8_t)pr->type;
		}
		target_port_encode(r, d);
		id_len = pr_transport_id_encode(r->port, d + STATUS_LEN);
		be32_store(d + 20, (uint32_t)id_len);
		len += STATUS_LEN + id_len;
	}
	return len;
}

static bool
report_capabilities(struct scsi_cmd *c, size_t allocation)
{
	uint8_t *p = scsi_cmd_reply(c, 8);

	if (p == NULL)
		return true;
	be16_store(p, 8);
	p[2] = 0x10 | 0x08 | 0x04;	/* CRH (reserve.c), SIP_C, ATP_C */
	if (c->lu->pr.save != NULL)
		p[2] |= 0x01;		/* PTPL_C */
	p[3] = 0x80;			/* TMV: the type mask is valid */
	if (c->lu->pr.aptpl)
		p[3] |= 0x01;		/* PTPL_A */
	p[4] = 0x80 | 0x40 | 0x20 | 0x08 | 0x02;
	p[5] = 0x01;
	return scsi_cmd_replied(c, 8, allocation);
}

static bool
pr_in_run(struct scsi_cmd *c)
{
	const struct pr_state *pr = &c->lu->pr;
	size_t allocation = be16_load(c->task->cdb + 7);
	size_t len, room;
	uint8_t *p;

	if (c->op->service == REPORT_CAPABILITIES)
		return report_capabilities(c, allocation);
	room = (size_t)pr->count * (STATUS_LEN + 4 + SCSI_PORT_NAME_SIZE + 4);
	p = scsi_cmd_reply(c, HEAD_LEN + 16 + room);
	if (p == NULL)
		return true;
	if (c->op->service == READ_KEYS)
		len = keys_encode(pr, p + HEAD_LEN);
	else if (c->op->service == READ_RESERVATION)
		len = reservation_encode(pr, p + HEAD_LEN);
	else
		len = full_status_encode(pr, p + HEAD_LEN);
	be32_store(p, pr->generation);
	be32_store(p + 4, (uint32_t)len);
	return scsi_cmd_replied(c, HEAD_LEN + len, allocation);
}

bool
scsi_pr_in(struct scsi_cmd *c)
{
	struct scsi_lu *lu = c->lu;

	shared_enter(&lu->lock);
	if (pr_wait(c))
		(void)pr_in_run(c);
	shared_leave(&lu->lock);
	return true;
}
