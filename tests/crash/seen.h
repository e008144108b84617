/* SPDX-License-Identifier: BSD-2-Clause */
/* A set of hashes. */
#ifndef TESTS_CRASH_SEEN_H
#define TESTS_CRASH_SEEN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct seen {
	uint64_t *slot;
	size_t count, size;	/* size: a power of two */
};
/* True when it was not there. */
bool seen_add(struct seen *s, uint64_t hash);
void seen_fini(struct seen *s);

#endif
