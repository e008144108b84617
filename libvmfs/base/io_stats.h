/* SPDX-License-Identifier: BSD-2-Clause */
/* What a disk has done for those who use it: counts, bytes, latencies. */
#ifndef VMFS_BASE_IO_STATS_H
#define VMFS_BASE_IO_STATS_H

#include <stdint.h>

/* Less than 1 microsecond, less than 2, 4, 8 ...; the last one has the rest. */
#define IO_LATENCY_BUCKETS 24u

struct io_stats {
	uint64_t reads, writes, other, errors;	/* commands */
	uint64_t read_bytes, write_bytes;
	/* From submission to answer: sums, and how many took how long. */
	uint64_t read_ns, write_ns;
	uint64_t read_latency[IO_LATENCY_BUCKETS];
	uint64_t write_latency[IO_LATENCY_BUCKETS];
};

unsigned io_latency_bucket(uint64_t ns);
void io_stats_add(struct io_stats *to, const struct io_stats *s);

#endif
