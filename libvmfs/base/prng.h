/* SPDX-License-Identifier: BSD-2-Clause */
/* Seeded generator (xoshiro256**) for simulation, jitter and tests. */
#ifndef VMFS_BASE_PRNG_H
#define VMFS_BASE_PRNG_H

#include <stddef.h>
#include <stdint.h>

struct prng {
	uint64_t s[4];
};

void prng_seed(struct prng *p, uint64_t seed);
uint64_t prng_u64(struct prng *p);
/* Uniform in [0, bound); bound > 0. */
uint64_t prng_below(struct prng *p, uint64_t bound);
void prng_fill(struct prng *p, void *buf, size_t len);

#endif
