/* SPDX-License-Identifier: BSD-2-Clause */
/* LOG SENSE, SPC-4 6.8: the pages, none of which can be saved or changed. */
#include <string.h>

#include "iscsi/scsi/cmd.h"
#include "libvmfs/base/be.h"

#define LOG_MAX 1024U
enum { SUBPAGE_ALL = 0xff, BIT_SPF = 0x40 };
/* Parameter control byte: a list of binary values, SPC-4 7.3.2.2.2.5. */
#define PARAMETER_BINARY_LIST 0x03

/* Parameters with a code of at least `from`; their length. */
typedef size_t log_fn(const struct scsi_lu *lu, uint16_t from, uint8_t *p);

static uint8_t *
parameter(uint8_t *p, uint16_t code, uint8_t len)
{
	be16_store(p, code);
	p[2] = PARAMETER_BINARY_LIST;
	p[3] = len;
	return p + 4;
}

/* ---- 0Dh: temperature, SPC-4 7.3.20 ---- */

/* What a unit is stored on may be warm: not known. */
#define TEMPERATURE_UNKNOWN 0xff

static size_t
log_temperature(const struct scsi_lu *lu, uint16_t from, uint8_t *p)
{
	size_t len = 0;

	(void)lu;
	/* 0: now, 1: the highest for lasting use. */
	for (uint16_t code = from; code <= 1; code++) {
		parameter(p + len, code, 2)[1] = TEMPERATURE_UNKNOWN;
		len += 4 + 2;
	}
	return len;
}

/* ---- 0Ch: logical block provisioning, SBC-4 6.4.6 ---- */

static size_t
log_provisioning(const struct scsi_lu *lu, uint16_t from, uint8_t *p)
{
	return thin_log_encode(lu, from, p);
}

/* ---- 2Fh: informational exceptions, SPC-4 7.3.8 ---- */

static size_t
log_exceptions(const struct scsi_lu *lu, uint16_t from, uint8_t *p)
{
	(void)lu;
	if (from > 0)
		return 0;
	/* No additional sense, that is no exception. */
	parameter(p, 0, 4)[2] = TEMPERATURE_UNKNOWN;
	return 4 + 4;
}

/* ---- the list ---- */

static log_fn log_supported;

static const struct {
	uint8_t page;
	uint16_t last;		/* parameter code */
	log_fn *encode;
} pages[] = {
	{ 0x00, UINT16_MAX, log_supported },
	{ 0x0c, 2, log_provisioning },
	{ 0x0d, 1, log_temperature },
	{ 0x2f, 0, log_exceptions },
};
#define PAGES (sizeof(pages) / sizeof(pages[0]))

static bool
page_present(const struct scsi_lu *lu, uint8_t page)
{
	return page != 0x0c || lu->pool.pool;
}

static size_t
log_supported(const struct scsi_lu *lu, uint16_t from, uint8_t *p)
{
	size_t len = 0;

	(void)from;
	for (size_t i = 0; i < PAGES; i++) {
		if (page_present(lu, pages[i].page))
			p[len++] = pages[i].page;
	}
	return len;
}

/* Each page, and itself, which is the only one with a subpage. */
static size_t
supported_subpages(const struct scsi_lu *lu, uint8_t *p)
{
	size_t len = 0;

	for (size_t i = 0; i < PAGES; i++) {
		if (!page_present(lu, pages[i].page))
			continue;
		p[len] = pages[i].page;
		len += 2;
		if (pages[i].page != 0)
			continue;
		p[len + 1] = SUBPAGE_ALL;
		len += 2;
	}
	return len;
}

static bool
log_reply(struct scsi_cmd *c, uint8_t page, size_t i)
{
	const uint8_t *cdb = c->task->cdb;
	uint8_t *p = scsi_cmd_reply(c, LOG_MAX);
	bool subpages = cdb[3] == SUBPAGE_ALL;
	size_t len;

	if (p == NULL)
		return true;
	len = subpages ? supported_subpages(c->lu, p + 4) :
	    pages[i].encode(c->lu, be16_load(cdb + 5), p + 4);
	p[0] = page | (subpages ? BIT_SPF : 0);
	p[1] = cdb[3];
	be16_store(p + 2, (uint16_t)len);
	return scsi_cmd_replied(c, 4 + len, be16_load(cdb + 7));
}

bool
scsi_log_sense(struct scsi_cmd *c)
{
	const uint8_t *cdb = c->task->cdb;
	uint8_t page = cdb[2] & 0x3f;
	size_t i = 0;

	if (cdb[1] & 0x01)		/* SP: nothing can be saved */
		return scsi_cmd_bad_cdb(c, 1);
	while (i < PAGES && pages[i].page != page)
		i++;
	if (i == PAGES || !page_present(c->lu, page))
		return scsi_cmd_bad_cdb(c, 2);
	if (cdb[3] != 0 && (cdb[3] != SUBPAGE_ALL || page != 0))
		return scsi_cmd_bad_cdb(c, 3);
	if (be16_load(cdb + 5) > pages[i].last)
		return scsi_cmd_bad_cdb(c, 5);
	return log_reply(c, page, i);
}
