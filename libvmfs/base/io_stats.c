/* SPDX-License-Identifier: BSD-2-Clause */
/* Sums of counters. */
#include "libvmfs/base/io_stats.h"

unsigned
io_latency_bucket(uint64_t ns)
{
	uint64_t us = ns / 1000;
	unsigned b = us == 0 ? 0 : 64 - (unsigned)__builtin_clzll(us);

	return b < IO_LATENCY_BUCKETS ? b : IO_LATENCY_BUCKETS - 1;
}

void
io_stats_add(struct io_stats *to, const struct io_stats *s)
{
	to->reads += s->reads;
	to->writes += s->writes;
	to->other += s->other;
	to->errors += s->errors;
	to->read_bytes += s->read_bytes;
	to->write_bytes += s->write_bytes;
	to->read_ns += s->read_ns;
	to->write_ns += s->write_ns;
	for (unsigned i = 0; i < IO_LATENCY_BUCKETS; i++) {
		to->read_latency[i] += s->read_latency[i];
		to->write_latency[i] += s->write_latency[i];
	}
}
