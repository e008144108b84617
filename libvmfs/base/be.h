/* SPDX-License-Identifier: BSD-2-Clause */
/* Big-endian integers as SCSI and iSCSI put them on the wire; see le.h. */
#ifndef VMFS_BASE_BE_H
#define VMFS_BASE_BE_H

#include <stdint.h>

typedef struct { uint8_t b[2]; } be16_t;
typedef struct { uint8_t b[3]; } be24_t;
typedef struct { uint8_t b[4]; } be32_t;
typedef struct { uint8_t b[8]; } be64_t;

#define VMFS_BE_DEFINE(name, n, type)					\
static inline type							\
name##_load(const uint8_t *p)						\
{									\
	type v = 0;							\
	for (unsigned i = 0; i < (n); i++)				\
		v = (type)((type)(v << 8) | p[i]);			\
	return v;							\
}									\
static inline void							\
name##_store(uint8_t *p, type v)					\
{									\
	for (unsigned i = 0; i < (n); i++)				\
		p[(n) - 1 - i] = (uint8_t)(v >> (8 * i));		\
}									\
static inline type							\
name##_get(name##_t d)							\
{									\
	return name##_load(d.b);					\
}									\
static inline name##_t							\
name(type v)								\
{									\
	name##_t d;							\
	name##_store(d.b, v);						\
	return d;							\
}

/*
 * be32_get(h->x) / h->x = be32(v) for struct members, be32_load(p) /
 * be32_store(p, v) for fields of a CDB or parameter list.
 */
VMFS_BE_DEFINE(be16, 2, uint16_t)
VMFS_BE_DEFINE(be24, 3, uint32_t)
VMFS_BE_DEFINE(be32, 4, uint32_t)
VMFS_BE_DEFINE(be64, 8, uint64_t)

#endif
