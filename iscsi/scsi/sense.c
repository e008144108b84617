/* SPDX-License-Identifier: BSD-2-Clause */
/* Sense data encoding, SPC-4 clause 4.5. */
#include "iscsi/scsi/sense.h"

#include <string.h>

#include "iscsi/scsi/scsi.h"
#include "libvmfs/base/be.h"

enum {
	FIXED_LEN = 18,
	DESC_HEAD_LEN = 8,
	DESC_INFO_LEN = 12,
	DESC_KEY_SPECIFIC_LEN = 8,
};
_Static_assert(DESC_HEAD_LEN + DESC_INFO_LEN + DESC_KEY_SPECIFIC_LEN <=
    SCSI_SENSE_MAX, "descriptors fit");

static bool
has_key_specific(const struct scsi_sense *s)
{
	return s->field_valid || s->progress_valid;
}

/* SENSE KEY SPECIFIC: field pointer or progress indication, SPC-4 4.5.2.4. */
static void
key_specific_encode(const struct scsi_sense *s, uint8_t *p)
{
	if (s->progress_valid) {
		p[0] = 0x80;
		be16_store(p + 1, s->progress);
		return;
	}
	p[0] = (uint8_t)(0x80 | (s->field_in_cdb ? 0x40 : 0));
	be16_store(p + 1, s->field);
}

static size_t
fixed_encode(const struct scsi_sense *s, uint8_t *buf)
{
	buf[0] = 0x70;
	buf[2] = SENSE_KEY(s->code);
	buf[7] = FIXED_LEN - 8;
	buf[12] = SENSE_ASC(s->code);
	buf[13] = SENSE_ASCQ(s->code);
	if (s->info_valid && s->info <= UINT32_MAX) {
		buf[0] |= 0x80;
		be32_store(buf + 3, (uint32_t)s->info);
	}
	if (has_key_specific(s))
		key_specific_encode(s, buf + 15);
	return FIXED_LEN;
}

static size_t
descriptor_encode(const struct scsi_sense *s, uint8_t *buf)
{
	size_t len = DESC_HEAD_LEN;

	buf[0] = 0x72;
	buf[1] = SENSE_KEY(s->code);
	buf[2] = SENSE_ASC(s->code);
	buf[3] = SENSE_ASCQ(s->code);
	if (s->info_valid) {
		uint8_t *d = buf + len;

		d[0] = 0x00;
		d[1] = DESC_INFO_LEN - 2;
		d[2] = 0x80;
		be64_store(d + 4, s->info);
		len += DESC_INFO_LEN;
	}
	if (has_key_specific(s)) {
		uint8_t *d = buf + len;

		d[0] = 0x02;
		d[1] = DESC_KEY_SPECIFIC_LEN - 2;
		key_specific_encode(s, d + 4);
		len += DESC_KEY_SPECIFIC_LEN;
	}
	buf[7] = (uint8_t)(len - DESC_HEAD_LEN);
	return len;
}

size_t
scsi_sense_encode(const struct scsi_sense *s, bool descriptor, uint8_t *buf)
{
	memset(buf, 0, SCSI_SENSE_MAX);
	return descriptor ? descriptor_encode(s, buf) : fixed_encode(s, buf);
}
