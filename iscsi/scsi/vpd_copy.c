/* SPDX-License-Identifier: BSD-2-Clause */
/* VPD page 8Fh, Third-party Copy: SPC-4 7.8.17, SBC-4 6.6.9. */
#include <string.h>

#include "iscsi/scsi/cmd.h"
#include "iscsi/scsi/rod.h"
#include "iscsi/scsi/xcopy.h"
#include "libvmfs/base/be.h"

enum {
	DESCRIPTOR_BLOCK_LIMITS = 0x0000, DESCRIPTOR_COMMANDS = 0x0001,
	DESCRIPTOR_PARAMETERS = 0x0004, DESCRIPTOR_SUPPORTED = 0x0008,
	DESCRIPTOR_TOKEN_FEATURES = 0x0106, DESCRIPTOR_ROD_TYPES = 0x0108,
	DESCRIPTOR_GENERAL = 0x8001,
};
enum { TYPE_LEN = 64, FEATURES_LEN = 44, BLOCK_FEATURES_LEN = 48 };
enum { TOKEN_IN = 0x02, TOKEN_OUT = 0x01 };

/* Head of a third-party copy descriptor; returns its body. */
static uint8_t *
descriptor(uint8_t *p, uint16_t type, size_t len)
{
	be16_store(p, type);
	be16_store(p + 2, (uint16_t)len);
	return p + 4;
}

static uint8_t *
block_limits(const struct scsi_cmd *c, uint8_t *p)
{
	uint8_t *b = descriptor(p, DESCRIPTOR_BLOCK_LIMITS, 32);
	uint32_t bs = c->lu->block_size;

	be16_store(b + 6, ROD_RANGES_MAX);
	be32_store(b + 8, ROD_TIMEOUT_MAX_S);
	be32_store(b + 12, ROD_TIMEOUT_S);
	be64_store(b + 16, ROD_BYTES_MAX / bs);
	be64_store(b + 24, ROD_BYTES_OPTIMAL / bs);
	return b + 32;
}

/* As the table of commands has them. */
static uint8_t *
commands(uint8_t *p)
{
	static const uint8_t opcodes[] = { 0x83, 0x84 };
	size_t count;
	const struct cdb_op *ops = cdb_table(&count);
	uint8_t *at = p + 5;

	for (size_t i = 0; i < sizeof(opcodes); i++) {
		uint8_t *head = at;

		*at++ = opcodes[i];
		at++;
		for (size_t k = 0; k < count; k++) {
			if (ops[k].opcode == opcodes[i])
				*at++ = ops[k].service;
		}
		head[1] = (uint8_t)(at - head - 2);
	}
	p[4] = (uint8_t)(at - p - 5);
	while ((at - p) % 4 != 0)
		at++;
	(void)descriptor(p, DESCRIPTOR_COMMANDS, (size_t)(at - p) - 4);
	return at;
}

/* Tokens of this box are good in all its targets, others' are not. */
static uint8_t *
token_features(uint8_t *p)
{
	uint8_t *b = descriptor(p, DESCRIPTOR_TOKEN_FEATURES,
	    FEATURES_LEN + BLOCK_FEATURES_LEN);
	uint8_t *f = b + FEATURES_LEN;

	be32_store(b + 12, ROD_TIMEOUT_S);	/* minimum lifetime */
	be32_store(b + 16, ROD_TIMEOUT_MAX_S);	/* maximum lifetime */
	be32_store(b + 20, ROD_TIMEOUT_MAX_S);	/* maximum inactivity */
	be16_store(b + 42, BLOCK_FEATURES_LEN);
	be16_store(f + 2, BLOCK_FEATURES_LEN - 4);
	be16_store(f + 6, 1);			/* granularity, blocks */
	be64_store(f + 8, ROD_BYTES_MAX);
	be64_store(f + 16, ROD_BYTES_OPTIMAL);
	be64_store(f + 24, ROD_BYTES_OPTIMAL);
	be64_store(f + 32, ROD_BYTES_OPTIMAL);
	return f + BLOCK_FEATURES_LEN;
}

static uint8_t *
rod_types(uint8_t *p)
{
	static const struct {
		uint32_t type;
		uint8_t use;
	} types[] = {
		{ ROD_PIT_DEFAULT, TOKEN_OUT },
		{ ROD_PIT_VULNERABLE, TOKEN_IN | TOKEN_OUT },
		{ ROD_PIT_ANY, TOKEN_OUT },
		{ ROD_ZERO, TOKEN_IN },
	};
	size_t count = sizeof(types) / sizeof(types[0]);
	uint8_t *b = descriptor(p, DESCRIPTOR_ROD_TYPES, 4 + count * TYPE_LEN);

	be16_store(b + 2, (uint16_t)(count * TYPE_LEN));
	b += 4;
	for (size_t i = 0; i < count; i++, b += TYPE_LEN) {
		be32_store(b, types[i].type);
		b[4] = types[i].use;
	}
	return b;
}

size_t
vpd_copy(const struct scsi_cmd *c, uint8_t *p)
{
	uint8_t *b, *at = block_limits(c, p);

	at = commands(at);
	b = descriptor(at, DESCRIPTOR_PARAMETERS, 28);
	be16_store(b + 4, COPY_TARGETS_MAX);
	be16_store(b + 6, COPY_SEGMENTS_MAX);
	be32_store(b + 8, COPY_LIST_MAX);
	b = descriptor(b + 28, DESCRIPTOR_SUPPORTED, 4);
	b[0] = 2;
	b[1] = COPY_SEGMENT_BLOCK;
	b[2] = COPY_TARGET_IDENT;
	at = token_features(b + 4);
	at = rod_types(at);
	b = descriptor(at, DESCRIPTOR_GENERAL, 32);
	be32_store(b, COPY_CONCURRENT_MAX);
	be32_store(b + 4, COPY_CONCURRENT_MAX);
	be32_store(b + 8, 65535 * c->lu->block_size);
	b[12] = 9;				/* granularity, log 2 */
	return (size_t)(b + 32 - p);
}
