/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Little-endian integers as they lie on disk.  They are byte arrays in a
 * struct: alignment 1, and `return d->size;` does not compile, so the swap
 * cannot be forgotten.
 */
#ifndef VMFS_BASE_LE_H
#define VMFS_BASE_LE_H

#include <stdint.h>

typedef struct { uint8_t b[2]; } le16_t;
typedef struct { uint8_t b[3]; } le24_t;
typedef struct { uint8_t b[4]; } le32_t;
typedef struct { uint8_t b[5]; } le40_t;
typedef struct { uint8_t b[6]; } le48_t;
typedef struct { uint8_t b[8]; } le64_t;

#define VMFS_LE_GET(p, n, type)						\
	type v = 0;							\
	for (unsigned i = 0; i < (n); i++)				\
		v = (type)(v | (type)((type)(p)[i] << (8 * i)));	\
	return v

#define VMFS_LE_DEFINE(name, n, type)					\
static inline type							\
name##_get(name##_t d)							\
{									\
	VMFS_LE_GET(d.b, n, type);					\
}									\
static inline name##_t							\
name(type v)								\
{									\
	name##_t d;							\
	for (unsigned i = 0; i < (n); i++)				\
		d.b[i] = (uint8_t)(v >> (8 * i));			\
	return d;							\
}

/* le32_get(d->x) reads; d->x = le32(v) writes; wider values are cut. */
VMFS_LE_DEFINE(le16, 2, uint16_t)
VMFS_LE_DEFINE(le24, 3, uint32_t)
VMFS_LE_DEFINE(le32, 4, uint32_t)
VMFS_LE_DEFINE(le40, 5, uint64_t)
VMFS_LE_DEFINE(le48, 6, uint64_t)
VMFS_LE_DEFINE(le64, 8, uint64_t)

#endif
