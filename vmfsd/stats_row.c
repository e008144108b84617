/* SPDX-License-Identifier: BSD-2-Clause */
/* Counters as rates_add knows them. */
#include "vmfsd/stats_row.h"

static void
set(json_t *row, const char *key, uint64_t value)
{
	(void)json_object_set_new(row, key, json_integer((json_int_t)value));
}

static void
set_latency(json_t *row, const char *key,
    const uint64_t latency[IO_LATENCY_BUCKETS])
{
	json_t *list = json_array();

	for (unsigned i = 0; i < IO_LATENCY_BUCKETS; i++)
		(void)json_array_append_new(list,
		    json_integer((json_int_t)latency[i]));
	(void)json_object_set_new(row, key, list);
}

void
stats_row_set(json_t *row, const struct io_stats *st)
{
	set(row, "reads", st->reads);
	set(row, "writes", st->writes);
	set(row, "other", st->other);
	set(row, "errors", st->errors);
	set(row, "read_bytes", st->read_bytes);
	set(row, "write_bytes", st->write_bytes);
	set(row, "read_ns", st->read_ns);
	set(row, "write_ns", st->write_ns);
	set_latency(row, "read_latency", st->read_latency);
	set_latency(row, "write_latency", st->write_latency);
}
