/* SPDX-License-Identifier: BSD-2-Clause */
/* CRC32C (Castagnoli), the checksum of the format and of iSCSI digests. */
#ifndef VMFS_BASE_CRC32C_H
#define VMFS_BASE_CRC32C_H

#include <stddef.h>
#include <stdint.h>

/*
 * Checksum of len bytes.  `crc` is 0 to start, or the value returned for the
 * bytes before.  crc32c(0, "123456789", 9) == 0xe3069283 (RFC 7143 A.4 form).
 */
uint32_t crc32c(uint32_t crc, const void *buf, size_t len);

#endif
