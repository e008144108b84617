/* SPDX-License-Identifier: BSD-2-Clause */
#include <atf-c.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/core_mix_rig.h"

#define REGION 128u		/* sectors of one chunk */

void
set_add(struct set *s, uint32_t v)
{
	for (unsigned i = 0; i < s->n; i++)
		if (s->v[i] == v)
			return;
	if (s->n == VALUES)
		s->any = true;
	else
		s->v[s->n++] = v;
}

void
set_only(struct set *s, uint32_t v)
{
	*s = (struct set){ .v = { v }, .n = 1 };
}

void
set_join(struct set *s, const struct set *from)
{
	for (unsigned i = 0; i < from->n; i++)
		set_add(s, from->v[i]);
	s->any |= from->any;
}

static bool
has(const struct set *s, uint32_t v)
{
	for (unsigned i = 0; i < s->n; i++)
		if (s->v[i] == v)
			return true;
	return s->any;
}

uint64_t
mix_place(unsigned s)
{
	return (uint64_t)s * SECTOR +
	    (mix->wide ? s / REGION * (17 * MIB) : 0);
}

unsigned
mix_together(unsigned s, unsigned n)
{
	unsigned m = REGION - s % REGION;

	return mix->wide && m < n ? m : n;
}

void
mix_begins(unsigned s, unsigned n, uint32_t v)
{
	for (unsigned i = s; i < s + n; i++) {
		set_add(&mix->now[i], v);
		set_add(&mix->crashed[i], v);
		if (mix->is_flushing)
			set_add(&mix->flush[i], v);
		if (mix->is_snapping)
			set_add(&mix->snapping[i], v);
	}
}

void
mix_ended(unsigned s, unsigned n, uint32_t v, int rc)
{
	mix->ops++;
	mix->failed += rc != 0;
	for (unsigned i = s; i < s + n && rc == 0; i++)
		set_only(&mix->now[i], v);
}

void *
mix_pattern(unsigned n, uint32_t v)
{
	uint8_t *buf = mix_buffer((size_t)n * SECTOR);

	for (size_t i = 0; i < (size_t)n * SECTOR; i += sizeof(v))
		memcpy(buf + i, &v, sizeof(v));
	return buf;
}

static void
wrong(const char *what, unsigned s, uint32_t got, const struct set *set)
{
	fprintf(stderr, "%s: sector %u is %u, not one of", what, s, got);
	for (unsigned i = 0; i < set->n; i++)
		fprintf(stderr, " %u", set->v[i]);
	fprintf(stderr, "; the last write is %u\n", mix->stamp);
	atf_tc_fail("%s: a wrong sector", what);
}

/* The value of a sector, which is the same all over. */
static uint32_t
value(const char *what, const uint8_t *at, unsigned s)
{
	uint32_t first, v;

	memcpy(&first, at, sizeof(first));
	for (unsigned k = 0; k < SECTOR; k += sizeof(v)) {
		memcpy(&v, at + k, sizeof(v));
		if (v != first)
			atf_tc_fail("%s: sector %u is torn: %u, %u at %u",
			    what, s, first, v, k);
	}
	return first;
}

void
mix_compare(const char *what, const uint8_t *buf, unsigned s, unsigned n,
    struct set *set, bool settle)
{
	for (unsigned i = 0; i < n; i++) {
		uint32_t v = value(what, buf + (size_t)i * SECTOR, s + i);

		if (!has(&set[s + i], v))
			wrong(what, s + i, v, &set[s + i]);
		if (settle)
			set_only(&set[s + i], v);
	}
}

void
mix_compare_file(const char *what, struct fs_file *f, struct set *set,
    bool settle)
{
	uint8_t *buf = mix_buffer(SECTORS * SECTOR);
	size_t n;
	int rc = 0;

	for (unsigned s = 0, k; s < SECTORS && rc == 0; s += k) {
		k = mix_together(s, SECTORS - s);
		rc = fs_file_read(f, mix_place(s), buf + (size_t)s * SECTOR,
		    (size_t)k * SECTOR, &n);
	}
	if (rc == 0)
		mix_compare(what, buf, 0, SECTORS, set, settle);
	else
		mix->failed++;
	free(buf);
}
