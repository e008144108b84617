/* SPDX-License-Identifier: BSD-2-Clause */
/* CRC32C by ISA-L, which picks the instructions of the CPU at run time. */
#include <isa-l/crc.h>

#include "libvmfs/base/crc32c.h"

/* ISA-L takes the length as an int. */
#define CRC_PIECE ((size_t)1 << 30)

uint32_t
crc32c(uint32_t crc, const void *buf, size_t len)
{
	/* The prototype lacks const; the function only reads. */
	unsigned char *p = (unsigned char *)(uintptr_t)buf;

	/* crc32_iscsi inverts neither its start value nor its result. */
	crc = ~crc;
	while (len > 0) {
		size_t n = len < CRC_PIECE ? len : CRC_PIECE;

		crc = crc32_iscsi(p, (int)n, crc);
		p += n;
		len -= n;
	}
	return ~crc;
}
