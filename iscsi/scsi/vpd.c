/* SPDX-License-Identifier: BSD-2-Clause */
/* Vital product data: SPC-4 7.8, SBC-3 6.6. */
#include <string.h>

#include "iscsi/scsi/cmd.h"
#include "libvmfs/base/be.h"

#define VPD_MAX 1024

/* Writes the page from byte 4 on, returns its PAGE LENGTH. */
typedef size_t vpd_fn(const struct scsi_cmd *c, uint8_t *p);

/* ---- 80h, 83h: names ---- */

static size_t
vpd_serial(const struct scsi_cmd *c, uint8_t *p)
{
	size_t len = strlen(c->lu->serial);

	memcpy(p, c->lu->serial, len);
	return len;
}

enum { CODE_BINARY = 1, CODE_ASCII = 2, CODE_UTF8 = 3 };
enum { ASSOC_LU = 0x00, ASSOC_PORT = 0x10, ASSOC_TARGET = 0x20 };
enum {
	NAME_T10 = 1, NAME_NAA = 3, NAME_RELATIVE_PORT = 4,
	NAME_PORT_GROUP = 5, NAME_SCSI = 8, NAME_UUID = 10,
};
#define PROTOCOL_ISCSI 0x5

/* Head of a designation descriptor, SPC-4 7.8.6.1; returns its body. */
static uint8_t *
designator(uint8_t *p, uint8_t code, uint8_t assoc, uint8_t type, size_t len)
{
	p[0] = (uint8_t)((assoc != ASSOC_LU ? PROTOCOL_ISCSI << 4 : 0) | code);
	p[1] = (uint8_t)((assoc != ASSOC_LU ? 0x80 : 0) | assoc | type);
	p[3] = (uint8_t)len;
	return p + 4;
}

/*
 * NAA 6 from the UUID.  The company id is one with the locally assigned bit,
 * as we own none: uniqueness comes from 100 random bits of the UUID.
 */
void
lu_naa(const struct scsi_lu *lu, uint8_t ret_naa[16])
{
	memcpy(ret_naa, lu->uuid.b, 16);
	ret_naa[0] = 0x60;
	ret_naa[1] = 0x25;
	ret_naa[2] = 0x64;
	ret_naa[3] = (uint8_t)(0xd0 | (lu->uuid.b[3] & 0x0f));
}

static size_t
name_naa(const struct scsi_lu *lu, uint8_t *p)
{
	lu_naa(lu, designator(p, CODE_BINARY, ASSOC_LU, NAME_NAA, 16));
	return 4 + 16;
}

static size_t
name_t10(const struct scsi_lu *lu, uint8_t *p)
{
	size_t len = 8 + strlen(lu->serial);
	uint8_t *b = designator(p, CODE_ASCII, ASSOC_LU, NAME_T10, len);

	memset(b, ' ', 8);
	memcpy(b, lu->vendor, strlen(lu->vendor));
	memcpy(b + 8, lu->serial, len - 8);
	return 4 + len;
}

static size_t
name_uuid(const struct scsi_lu *lu, uint8_t *p)
{
	uint8_t *b = designator(p, CODE_BINARY, ASSOC_LU, NAME_UUID, 18);

	b[0] = 0x10;
	memcpy(b + 2, lu->uuid.b, 16);
	return 4 + 18;
}

/* A group has one port, with its number. */
static size_t
name_port_number(uint8_t type, unsigned number, uint8_t *p)
{
	uint8_t *b = designator(p, CODE_BINARY, ASSOC_PORT, type, 4);

	be16_store(b + 2, (uint16_t)number);
	return 4 + 4;
}

/* SCSI name string: NUL, then padded to a multiple of four. */
static size_t
name_scsi(const char *name, uint8_t assoc, uint8_t *p)
{
	size_t name_len = strlen(name);
	size_t len = (name_len + 1 + 3) & ~(size_t)3;
	uint8_t *b = designator(p, CODE_UTF8, assoc, NAME_SCSI, len);

	memcpy(b, name, name_len);
	return 4 + len;
}

static size_t
vpd_identification(const struct scsi_cmd *c, uint8_t *p)
{
	const struct scsi_nexus *n = c->nexus;
	unsigned group = n->group;
	size_t len = 0;

	len += name_naa(c->lu, p + len);
	len += name_t10(c->lu, p + len);
	len += name_uuid(c->lu, p + len);
	len += name_port_number(NAME_RELATIVE_PORT, group, p + len);
	len += name_port_number(NAME_PORT_GROUP, group, p + len);
	len += name_scsi(n->target_port, ASSOC_PORT, p + len);
	len += name_scsi(n->target->iqn, ASSOC_TARGET, p + len);
	return len;
}

/* ---- 86h ---- */

static size_t
vpd_extended(const struct scsi_cmd *c, uint8_t *p)
{
	(void)c;
	p[1] = 0x07;		/* HEADSUP, ORDSUP, SIMPSUP */
	p[2] = 0x01;		/* V_SUP: volatile cache */
	p[3] = 0x01;		/* LUICLR: unit attentions per nexus */
	return 0x3c;
}

/* ---- B0h, B1h, B2h ---- */

static uint32_t
blocks_of(const struct scsi_lu *lu, uint64_t bytes)
{
	return (uint32_t)(bytes / lu->block_size);
}

static size_t
vpd_block_limits(const struct scsi_cmd *c, uint8_t *p)
{
	const struct scsi_lu *lu = c->lu;
	uint32_t phys_blocks = 1U << lu_physical_exponent(lu);
	uint32_t granularity =
	    blocks_of(lu, lu->disk->info.unmap_granularity);

	p[0] = lu->same_to_end ? 0x00 : 0x01;	/* WSNZ */
	p[1] = (uint8_t)lu->caw_blocks_max;
	be16_store(p + 2, (uint16_t)phys_blocks);
	be32_store(p + 4, blocks_of(lu, SCSI_TRANSFER_MAX));
	be32_store(p + 8, blocks_of(lu, SCSI_TRANSFER_MAX / 16));
	/* MAXIMUM WRITE SAME LENGTH; 0: no limit is told */
	be64_store(p + 32, lu->same_to_end ? 0 : lu_write_same_max(lu));
	if (lu->atomic_blocks_max > 0) {
		/* Length, alignment, granularity; no atomic boundaries. */
		be32_store(p + 40, lu->atomic_blocks_max);
		be32_store(p + 44, phys_blocks);
		be32_store(p + 48, phys_blocks);
	}
	if (lu->thin) {
		be32_store(p + 16, LU_UNMAP_BLOCKS_MAX);
		be32_store(p + 20, LU_UNMAP_DESCRIPTORS_MAX);
		be32_store(p + 24, granularity > phys_blocks ? granularity :
		    phys_blocks);
		be32_store(p + 28, 0x80000000);	/* UGAVALID, aligned at 0 */
	}
	return 0x3c;
}

static size_t
vpd_characteristics(const struct scsi_cmd *c, uint8_t *p)
{
	const struct scsi_lu *lu = c->lu;

	be16_store(p, 0x0001);		/* does not rotate */
	/* WABEREQ, WACEREQ: what BLOCK and CRYPTO ERASE leave can be read. */
	if (lu->sanitize.save != NULL && lu->thin)
		p[3] |= 0x40;
	if (lu->sanitize.save != NULL &&
	    (lu->caps & DISK_CAP_CRYPTO_ERASE))
		p[3] |= 0x10;
	return 0x3c;
}

static size_t
vpd_provisioning(const struct scsi_cmd *c, uint8_t *p)
{
	p[0] = thin_exponent(c->lu);
	if (c->lu->thin) {
		/* LBPU, LBPWS, LBPWS10; LBPRZ: unmapped blocks read zeroes */
		p[1] = 0x80 | 0x40 | 0x20 | 0x04;
		p[2] = 0x02;		/* thin provisioned */
	}
	return 4;
}

/* ---- the list ---- */

static size_t vpd_supported(const struct scsi_cmd *c, uint8_t *p);

static const struct {
	uint8_t page;
	vpd_fn *encode;
} pages[] = {
	{ 0x00, vpd_supported },
	{ 0x80, vpd_serial },
	{ 0x83, vpd_identification },
	{ 0x86, vpd_extended },
	{ 0x8f, vpd_copy },
	{ 0xb0, vpd_block_limits },
	{ 0xb1, vpd_characteristics },
	{ 0xb2, vpd_provisioning },
};
#define PAGES (sizeof(pages) / sizeof(pages[0]))

static size_t
vpd_supported(const struct scsi_cmd *c, uint8_t *p)
{
	(void)c;
	for (size_t i = 0; i < PAGES; i++)
		p[i] = pages[i].page;
	return PAGES;
}

bool
scsi_vpd(struct scsi_cmd *c, uint8_t page, size_t allocation)
{
	for (size_t i = 0; i < PAGES; i++) {
		uint8_t *p;
		size_t len;

		if (pages[i].page != page)
			continue;
		p = scsi_cmd_reply(c, VPD_MAX);
		if (p == NULL)
			return true;
		len = pages[i].encode(c, p + 4);
		p[1] = page;
		be16_store(p + 2, (uint16_t)len);
		return scsi_cmd_replied(c, 4 + len, allocation);
	}
	return scsi_cmd_bad_cdb(c, 2);
}
