/* SPDX-License-Identifier: BSD-2-Clause */
/* Rates and latencies, see rates.h. */
#include <stdio.h>
#include <string.h>

#include "vmfsd/rates.h"

static json_int_t
number(const json_t *row, const char *key)
{
	return json_integer_value(json_object_get(row, key));
}

static const json_t *
find_row(const json_t *answer, const char *id)
{
	const json_t *row;
	size_t i;

	json_array_foreach(json_object_get(answer, "stats"), i, row) {
		const char *s = json_string_value(json_object_get(row, "id"));

		if (s != NULL && id != NULL && strcmp(s, id) == 0)
			return row;
	}
	return NULL;
}

static json_int_t
bucket(const json_t *row, const char *key, size_t i)
{
	return json_integer_value(json_array_get(json_object_get(row, key),
	    i));
}

/* Bucket i has what took less than 2^i microseconds. */
static json_int_t
percentile(const json_t *before, const json_t *row, const char *key,
    json_int_t percent)
{
	size_t n = json_array_size(json_object_get(row, key));
	json_int_t all = 0, sum = 0;

	for (size_t i = 0; i < n; i++)
		all += bucket(row, key, i) - bucket(before, key, i);
	for (size_t i = 0; i < n; i++) {
		sum += bucket(row, key, i) - bucket(before, key, i);
		if (all > 0 && sum * 100 >= all * percent)
			return (json_int_t)1 << i;
	}
	return 0;
}

static void
set(json_t *row, const char *what, const char *key, json_int_t value)
{
	char name[32];

	(void)snprintf(name, sizeof(name), "%s_%s", what, key);
	(void)json_object_set_new(row, name, json_integer(value));
}

static void
add(const json_t *before, json_t *row, const char *what, json_int_t us)
{
	char count[32], bytes[32], ns[32], latency[32];
	json_int_t n, took;

	(void)snprintf(count, sizeof(count), "%ss", what);
	(void)snprintf(bytes, sizeof(bytes), "%s_bytes", what);
	(void)snprintf(ns, sizeof(ns), "%s_ns", what);
	(void)snprintf(latency, sizeof(latency), "%s_latency", what);
	n = number(row, count) - number(before, count);
	took = number(row, ns) - number(before, ns);
	us = us > 0 ? us : 1;
	set(row, what, "iops", (json_int_t)((double)n * 1e6 / (double)us));
	set(row, what, "bps", (json_int_t)((double)(number(row, bytes) -
	    number(before, bytes)) * 1e6 / (double)us));
	set(row, what, "us", n > 0 ? took / n / 1000 : 0);
	set(row, what, "p99_us", percentile(before, row, latency, 99));
}

void
rates_add(const json_t *before, json_t *now)
{
	json_t *row;
	size_t i;

	json_array_foreach(json_object_get(now, "stats"), i, row) {
		const json_t *old = find_row(before,
		    json_string_value(json_object_get(row, "id")));
		json_int_t us = number(now, "at_us") - (old != NULL ?
		    number(before, "at_us") : number(row, "since_us"));

		add(old, row, "read", us);
		add(old, row, "write", us);
	}
}
