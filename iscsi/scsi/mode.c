/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * MODE SENSE and MODE SELECT, SPC-4 6.11 to 6.14.  Of all pages only D_SENSE
 * and SWP of the control page and the threshold of thin provisioning can be
 * changed, and only the latter saved.
 */
#include <string.h>

#include "iscsi/scsi/cmd.h"
#include "libvmfs/base/be.h"

enum { PC_CURRENT = 0, PC_CHANGEABLE = 1, PC_DEFAULT = 2, PC_SAVED = 3 };
enum { PAGE_ALL = 0x3f, SUBPAGE_ALL = 0xff, SUBPAGE_PROVISIONING = 0x02 };
enum { CONTROL_D_SENSE = 0x04, CONTROL_SWP = 0x08, CONTROL_TAS = 0x40 };
#define PAGE_CONTROL 0x0a
#define MODE_MAX 256

enum { PAGE_SPF = 0x40, PAGE_PS = 0x80 };
enum { SELECT_SP = 0x01, SELECT_PF = 0x10 };

/* One page with its head, of two bytes or with a subpage four. */
struct mode_page {
	uint8_t code, sub;
	uint8_t len;		/* bytes after the head */
	void (*encode)(const struct scsi_lu *lu, uint8_t pc, uint8_t *p);
};

static void
page_recovery(const struct scsi_lu *lu, uint8_t pc, uint8_t *p)
{
	(void)lu;
	if (pc != PC_CHANGEABLE)
		p[2] = 0x80;		/* AWRE */
}

/* WCE: written data may be volatile until SYNCHRONIZE CACHE or FUA. */
static void
page_caching(const struct scsi_lu *lu, uint8_t pc, uint8_t *p)
{
	(void)lu;
	if (pc != PC_CHANGEABLE)
		p[2] = 0x04;
}

static void
page_control(const struct scsi_lu *lu, uint8_t pc, uint8_t *p)
{
	if (pc == PC_CHANGEABLE) {
		p[2] = CONTROL_D_SENSE;
		p[4] = CONTROL_SWP;
		return;
	}
	p[3] = 0x10;			/* unrestricted reordering */
	p[5] = CONTROL_TAS;
	if (pc == PC_CURRENT) {
		p[2] = lu->descriptor_sense ? CONTROL_D_SENSE : 0;
		p[4] = lu->software_write_protect ? CONTROL_SWP : 0;
	}
}

static void
page_exceptions(const struct scsi_lu *lu, uint8_t pc, uint8_t *p)
{
	(void)lu;
	if (pc != PC_CHANGEABLE)
		p[2] = 0x08;		/* DEXCPT: there are none */
}

/* SBC-4 6.5.9. */
static void
page_provisioning(const struct scsi_lu *lu, uint8_t pc, uint8_t *p)
{
	thin_page_encode(lu, pc == PC_CHANGEABLE ? THIN_CHANGEABLE :
	    pc == PC_SAVED ? THIN_SAVED : THIN_CURRENT, p);
}

static const struct mode_page pages[] = {
	{ 0x01, 0, 0x0a, page_recovery },
	{ 0x08, 0, 0x12, page_caching },
	{ PAGE_CONTROL, 0, 0x0a, page_control },
	{ 0x1c, 0, 0x0a, page_exceptions },
	{ 0x1c, SUBPAGE_PROVISIONING, THIN_PAGE_LEN, page_provisioning },
};
#define PAGES (sizeof(pages) / sizeof(pages[0]))

static size_t
page_head(const struct mode_page *page)
{
	return page->sub != 0 ? 4 : 2;
}

static bool
page_present(const struct scsi_lu *lu, const struct mode_page *page)
{
	return page->sub != SUBPAGE_PROVISIONING || lu->pool.pool;
}

/* PS, SPC-4 7.5.1. */
static bool
page_saveable(const struct scsi_lu *lu, const struct mode_page *page)
{
	return page->sub == SUBPAGE_PROVISIONING && lu->on_setting != NULL;
}

static bool
page_wanted(const struct mode_page *page, uint8_t code, uint8_t sub)
{
	return (code == PAGE_ALL || code == page->code) &&
	    (sub == SUBPAGE_ALL || sub == page->sub);
}

/* ---- MODE SENSE ---- */

static size_t
pages_encode(const struct scsi_lu *lu, uint8_t code, uint8_t sub, uint8_t pc,
    uint8_t *p)
{
	size_t len = 0;

	for (size_t i = 0; i < PAGES; i++) {
		const struct mode_page *page = &pages[i];
		uint8_t *q = p + len;

		if (!page_present(lu, page) || !page_wanted(page, code, sub))
			continue;
		q[0] = page->code;
		if (page->sub == 0) {
			q[1] = page->len;
		} else {
			q[0] |= PAGE_SPF;
			q[1] = page->sub;
			be16_store(q + 2, page->len);
		}
		q[0] |= page_saveable(lu, page) ? PAGE_PS : 0;
		page->encode(lu, pc, q);
		len += page_head(page) + page->len;
	}
	return len;
}

/* SBC-3 6.4.2. */
static size_t
block_descriptor_encode(const struct scsi_lu *lu, bool longlba, uint8_t *p)
{
	uint32_t blocks = lu->blocks > UINT32_MAX ? UINT32_MAX :
	    (uint32_t)lu->blocks;

	if (longlba) {
		be64_store(p, lu->blocks);
		be32_store(p + 12, lu->block_size);
		return 16;
	}
	be32_store(p, blocks);
	be24_store(p + 5, lu->block_size);
	return 8;
}

/* WP and DPOFUA, SBC-3 6.4.1. */
static uint8_t
device_specific(const struct scsi_cmd *c)
{
	const struct scsi_lu *lu = c->lu;
	bool wp = lu->readonly || c->itl->readonly ||
	    lu->software_write_protect;

	return (uint8_t)(0x10 | (wp ? 0x80 : 0));
}

static bool
mode_reply(struct scsi_cmd *c, uint8_t code, uint8_t pc)
{
	const uint8_t *cdb = c->task->cdb;
	bool ten = c->op->len == 10;
	bool longlba = ten && (cdb[1] & 0x10);
	size_t head = ten ? 8 : 4;
	size_t len = head, bd = 0;
	uint8_t *p = scsi_cmd_reply(c, MODE_MAX);

	if (p == NULL)
		return true;
	if (!(cdb[1] & 0x08))
		bd = block_descriptor_encode(c->lu, longlba, p + head);
	len += bd;
	len += pages_encode(c->lu, code, cdb[3], pc, p + len);
	if (ten) {
		be16_store(p, (uint16_t)(len - 2));
		p[3] = device_specific(c);
		p[4] = longlba;
		be16_store(p + 6, (uint16_t)bd);
	} else {
		p[0] = (uint8_t)(len - 1);
		p[2] = device_specific(c);
		p[3] = (uint8_t)bd;
	}
	return scsi_cmd_replied(c, len, ten ? be16_load(cdb + 7) : cdb[4]);
}

bool
scsi_mode_sense(struct scsi_cmd *c)
{
	const uint8_t *cdb = c->task->cdb;
	uint8_t code = cdb[2] & 0x3f, pc = cdb[2] >> 6;
	bool known = false, sub_known = false, saveable = true;

	for (size_t i = 0; i < PAGES; i++) {
		if (!page_present(c->lu, &pages[i]))
			continue;
		known |= page_wanted(&pages[i], code, SUBPAGE_ALL);
		if (!page_wanted(&pages[i], code, cdb[3]))
			continue;
		sub_known = true;
		saveable &= page_saveable(c->lu, &pages[i]);
	}
	if (!known)
		return scsi_cmd_bad_cdb(c, 2);
	if (!sub_known || (code == PAGE_ALL && cdb[3] != 0 &&
	    cdb[3] != SUBPAGE_ALL))
		return scsi_cmd_bad_cdb(c, 3);
	if (pc == PC_SAVED && !saveable)
		return scsi_cmd_fail(c, SENSE_SAVING_NOT_SUPPORTED);
	return mode_reply(c, code, pc);
}

/* ---- MODE SELECT ---- */

/* Whether p differs from the current page only where the mask lets it. */
static bool
page_acceptable(const struct scsi_lu *lu, const struct mode_page *page,
    const uint8_t *p)
{
	uint8_t now[64] = { 0 }, mask[64] = { 0 };

	page->encode(lu, PC_CURRENT, now);
	page->encode(lu, PC_CHANGEABLE, mask);
	for (size_t i = page_head(page); i < page_head(page) + page->len; i++) {
		if ((p[i] ^ now[i]) & ~mask[i])
			return false;
	}
	return true;
}

/* Bytes of the page at p, of which `left` are there, head included; 0: the
 * head is not all there. */
static size_t
page_size(const uint8_t *p, size_t left)
{
	if (left < 2)
		return 0;
	if (!(p[0] & PAGE_SPF))
		return 2U + p[1];
	return left < 4 ? 0 : 4U + be16_load(p + 2);
}

/* NULL: the unit has no such page. */
static const struct mode_page *
page_find(const struct scsi_lu *lu, const uint8_t *p)
{
	uint8_t sub = p[0] & PAGE_SPF ? p[1] : 0;

	for (size_t i = 0; i < PAGES; i++) {
		if ((p[0] & 0x3f) == pages[i].code && sub == pages[i].sub &&
		    !(p[0] & PAGE_SPF) == (sub == 0) &&
		    page_present(lu, &pages[i]))
			return &pages[i];
	}
	return NULL;
}

/* False: sense is set. */
static bool
page_check(struct scsi_cmd *c, const uint8_t *p, size_t at, size_t left)
{
	const struct mode_page *page = page_find(c->lu, p);
	size_t size = page_size(p, left);

	if (page == NULL)
		scsi_cmd_bad_parameter(c, (uint16_t)at);
	else if (size != page_head(page) + page->len)
		scsi_cmd_bad_parameter(c, (uint16_t)(at + page_head(page) - 1));
	else if (left < size)
		scsi_cmd_fail(c, SENSE_PARAMETER_LIST_LENGTH);
	else if (!page_acceptable(c->lu, page, p))
		scsi_cmd_bad_parameter(c, (uint16_t)at);
	else if ((c->task->cdb[1] & SELECT_SP) && !page_saveable(c->lu, page))
		scsi_cmd_bad_cdb(c, 1);
	else
		return true;
	return false;
}

static bool
control_apply(struct scsi_lu *lu, const uint8_t *p)
{
	bool descriptor = p[2] & CONTROL_D_SENSE, swp = p[4] & CONTROL_SWP;

	if (descriptor == lu->descriptor_sense &&
	    swp == lu->software_write_protect)
		return false;
	lu->descriptor_sense = descriptor;
	lu->software_write_protect = swp;
	return true;
}

static void
page_apply(struct scsi_cmd *c, const uint8_t *p)
{
	bool changed = false;

	if ((p[0] & 0x3f) == PAGE_CONTROL)
		changed = control_apply(c->lu, p);
	else if ((p[0] & PAGE_SPF) && p[1] == SUBPAGE_PROVISIONING)
		changed = thin_page_apply(c->lu, p);
	if (changed)
		ua_add_all(c->lu, SENSE_MODE_CHANGED, c->nexus);
	if (c->task->cdb[1] & SELECT_SP)
		thin_page_save(c->lu);
}

/*
 * Header and block descriptor, of which only the present block size is taken.
 * Returns the offset of the first page, 0 with sense set.
 */
static size_t
mode_list_head(struct scsi_cmd *c, const uint8_t *p, size_t len)
{
	bool ten = c->op->len == 10;
	size_t head = ten ? 8 : 4;
	size_t bd;
	uint32_t bs;

	if (len < head) {
		scsi_cmd_fail(c, SENSE_PARAMETER_LIST_LENGTH);
		return 0;
	}
	bd = ten ? be16_load(p + 6) : p[3];
	if (bd != 0 && bd != (ten && (p[4] & 1) ? 16U : 8U)) {
		scsi_cmd_bad_parameter(c, ten ? 6 : 3);
		return 0;
	}
	if (len < head + bd) {
		scsi_cmd_fail(c, SENSE_PARAMETER_LIST_LENGTH);
		return 0;
	}
	bs = bd == 16 ? be32_load(p + head + 12) :
	    bd == 8 ? be24_load(p + head + 5) : 0;
	if (bs != 0 && bs != c->lu->block_size) {
		scsi_cmd_bad_parameter(c, (uint16_t)(head + bd - 3));
		return 0;
	}
	return head + bd;
}

bool
scsi_mode_select(struct scsi_cmd *c)
{
	const uint8_t *cdb = c->task->cdb, *p = c->task->data_out;
	size_t len = c->task->data_out_wanted;
	size_t first;

	/* Without a pool nothing can be saved. */
	if ((cdb[1] & SELECT_SP) &&
	    (!c->lu->pool.pool || c->lu->on_setting == NULL))
		return scsi_cmd_bad_cdb(c, 1);
	if (len == 0)
		return scsi_cmd_status(c, SCSI_GOOD);
	if (!(cdb[1] & SELECT_PF))
		return scsi_cmd_bad_cdb(c, 1);
	first = mode_list_head(c, p, len);
	if (first == 0)
		return true;
	/* All or nothing: look at every page before the first takes effect. */
	for (size_t at = first; at < len; at += page_size(p + at, len - at)) {
		if (page_size(p + at, len - at) == 0)
			return scsi_cmd_fail(c, SENSE_PARAMETER_LIST_LENGTH);
		if (!page_check(c, p + at, at, len - at))
			return true;
	}
	for (size_t at = first; at < len; at += page_size(p + at, len - at))
		page_apply(c, p + at);
	return scsi_cmd_status(c, SCSI_GOOD);
}
