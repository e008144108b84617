/* SPDX-License-Identifier: BSD-2-Clause */
/* Sizes as users write and read them: IEC units, 1 KiB = 1024. */
#ifndef VMFS_BASE_UNITS_H
#define VMFS_BASE_UNITS_H

#include <stddef.h>
#include <stdint.h>

#include "libvmfs/base/err.h"

#define KIB ((uint64_t)1 << 10)
#define MIB ((uint64_t)1 << 20)
#define GIB ((uint64_t)1 << 30)
#define TIB ((uint64_t)1 << 40)
#define NSEC_PER_MSEC ((uint64_t)1000000)
#define NSEC_PER_SEC ((uint64_t)1000000000)

#define SIZE_TEXT_SIZE 24

/* "1.5 GiB", "512 B"; returns text. */
char *size_text(uint64_t bytes, char text[SIZE_TEXT_SIZE]);
/*
 * Accepts "4096", "64k", "64K", "64KiB", "1.5g", "1.5G", "1.5GiB", "2TiB".
 * -EINVAL for anything else, -ERANGE past 2^63 - 1.
 */
int size_parse(const char *text, uint64_t *ret_bytes) MUST_CHECK;

#endif
