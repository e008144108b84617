/* SPDX-License-Identifier: BSD-2-Clause */
/* The order of a check, its findings, and the tables its phases share. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libvmfs/check/check_priv.h"

#define INO_TABLE_MIN 1024u

static const char *const rule_names[CHECK_RULES] = {
	[CHECK_SUPER_COPY] = "super-copy",
	[CHECK_SLOT] = "slot",
	[CHECK_SLOT_DIRTY] = "slot-dirty",
	[CHECK_CLUSTER] = "cluster",
	[CHECK_CLUSTER_COUNT] = "cluster-count",
	[CHECK_METACHUNK] = "metachunk",
	[CHECK_INODE] = "inode",
	[CHECK_INODE_LOST] = "inode-lost",
	[CHECK_NLINK] = "nlink",
	[CHECK_DIR] = "directory",
	[CHECK_DIR_ENTRY] = "directory-entry",
	[CHECK_MAP] = "map",
	[CHECK_MAP_RANGE] = "map-range",
	[CHECK_MAP_SHARED] = "map-shared",
	[CHECK_SNAPSHOT] = "snapshot",
	[CHECK_PIN] = "pin",
	[CHECK_SPACE_LEAK] = "space-leak",
	[CHECK_SPACE_FREE] = "space-free",
};

const char *
check_rule_name(enum check_rule r)
{
	return (unsigned)r < CHECK_RULES ? rule_names[r] : "unknown";
}

bool
check_report(struct check *c, enum check_rule rule,
    enum check_severity severity, uint64_t block, bool fixed, const char *fmt,
    ...)
{
	char text[512];
	struct check_finding f = {
		.rule = rule, .severity = severity, .block = block,
		.fixed = fixed, .text = text,
	};
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (severity != CHECK_NOTE) {
		c->res->found++;
		c->res->fixed += fixed;
		c->res->damage += severity == CHECK_DAMAGE && !fixed;
	}
	c->conf->finding(c->conf->arg, &f);
	return fixed;
}

void
check_progress(struct check *c, const char *phase, unsigned permille)
{
	if (c->conf->progress != NULL)
		c->conf->progress(c->conf->arg, phase, permille);
}

int
check_block(struct check *c, uint64_t block, enum block_type type, void *buf)
{
	struct block_hdr h;
	int rc;

	if (block == 0 || block >= c->super.blocks)
		return -VMFS_ECORRUPT;
	rc = disk_read(c->conf->disk, block * BLOCK_SIZE, buf, BLOCK_SIZE);
	if (rc != 0)
		return rc;
	return block_hdr_decode(buf, type, &c->super.uuid, block, &h);
}

int
check_rewrite(struct check *c, uint64_t block, enum block_type type, void *buf)
{
	const struct block_hdr_disk *d = (const void *)((uint8_t *)buf +
	    block_hdr_offset(type));
	struct block_hdr h = {
		.type = type, .addr = block, .owner = le64_get(d->owner),
		.lockver = le64_get(d->lockver), .lsn = le64_get(d->lsn),
	};

	block_hdr_encode(buf, &h, &c->super.uuid);
	return disk_write(c->conf->disk, block * BLOCK_SIZE, buf, BLOCK_SIZE,
	    0);
}

struct check_metachunk *
check_metachunk_of(struct check *c, uint64_t block)
{
	uint64_t chunk = block / CHUNK_BLOCKS;
	size_t lo = 0, hi = c->mc_count;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (c->mc[mid].chunk == chunk)
			return &c->mc[mid];
		if (c->mc[mid].chunk < chunk)
			lo = mid + 1;
		else
			hi = mid;
	}
	return NULL;
}

bool
check_mark_meta(struct check *c, uint64_t block, enum block_type type,
    const char *object)
{
	struct check_metachunk *m = check_metachunk_of(c, block);
	unsigned i = (unsigned)(block % CHUNK_BLOCKS);
	uint16_t bit = (uint16_t)(1u << i);

	if (m == NULL) {
		check_report(c, CHECK_SPACE_FREE, CHECK_DAMAGE, block, false,
		    "%s uses metadata block %llu, which lies in no metachunk",
		    object, (unsigned long long)block);
		return false;
	}
	if (m->found & bit)
		return false;
	m->found = (uint16_t)(m->found | bit);
	m->retyped |= m->type[i] != type;
	if (!(m->used & bit))
		check_report(c, CHECK_SPACE_FREE, CHECK_DAMAGE, block,
		    c->conf->repair,
		    "%s uses metadata block %llu, which is marked free",
		    object, (unsigned long long)block);
	else if (m->type[i] != type)
		check_report(c, CHECK_METACHUNK, CHECK_HARMLESS, block,
		    c->conf->repair,
		    "metadata block %llu of %s is listed as type %u, is %u",
		    (unsigned long long)block, object, m->type[i], type);
	m->type[i] = (uint8_t)type;
	return true;
}

void
check_mark_chunks(struct check *c, uint64_t chunk, uint64_t count, bool alone,
    uint64_t block, const char *object)
{
	if (chunk == 0 || chunk >= c->chunks || count > c->chunks - chunk) {
		check_report(c, CHECK_MAP_RANGE, CHECK_DAMAGE, block, false,
		    "%s maps chunks %llu+%llu, outside of the volume", object,
		    (unsigned long long)chunk, (unsigned long long)count);
		return;
	}
	for (uint64_t i = chunk; i < chunk + count; i++) {
		if (bit_get(c->alone, i) || (alone && bit_get(c->seen, i))) {
			check_report(c, CHECK_MAP_SHARED, CHECK_DAMAGE, block,
			    false, "%s and another object both claim chunk "
			    "%llu (%llu of them are not listed)", object,
			    (unsigned long long)i,
			    (unsigned long long)(chunk + count - i - 1));
			break;
		}
		bit_set(c->seen, i);
		if (alone)
			bit_set(c->alone, i);
	}
}

static size_t
ino_slot(const struct check *c, uint64_t ino)
{
	size_t i = (size_t)(ino * 0x9e3779b97f4a7c15ull) & (c->ino_max - 1);

	while (c->ino[i].ino != 0 && c->ino[i].ino != ino)
		i = (i + 1) & (c->ino_max - 1);
	return i;
}

static int
ino_grow(struct check *c)
{
	struct check_ino *old = c->ino;
	size_t old_max = c->ino_max;

	c->ino_max = old_max == 0 ? INO_TABLE_MIN : old_max * 2;
	c->ino = calloc(c->ino_max, sizeof(*c->ino));
	if (c->ino == NULL) {
		c->ino = old;
		c->ino_max = old_max;
		return -ENOMEM;
	}
	for (size_t i = 0; i < old_max; i++) {
		if (old[i].ino != 0)
			c->ino[ino_slot(c, old[i].ino)] = old[i];
	}
	free(old);
	return 0;
}

struct check_ino *
check_ino_get(struct check *c, uint64_t ino)
{
	size_t i;

	if (c->ino_count * 2 >= c->ino_max && ino_grow(c) != 0)
		return NULL;
	i = ino_slot(c, ino);
	if (c->ino[i].ino == 0) {
		c->ino[i].ino = ino;
		c->ino_count++;
	}
	return &c->ino[i];
}

uint64_t
check_cluster_block(const struct super *s, uint64_t cluster)
{
	for (unsigned i = 0; i < s->segments; i++) {
		const struct super_segment *g = &s->segment[i];

		if (cluster >= g->first_cluster &&
		    cluster - g->first_cluster < g->clusters)
			return g->table_block + cluster - g->first_cluster;
	}
	return 0;
}

static int
check_alloc(struct check *c)
{
	size_t bytes;

	c->chunks = c->super.blocks / CHUNK_BLOCKS;
	bytes = (size_t)(c->chunks / 8 + 1);
	c->used = calloc(1, bytes);
	c->seen = calloc(1, bytes);
	c->alone = calloc(1, bytes);
	c->recount = calloc(1, bytes);
	c->unknown = calloc(1, bytes);
	return c->used != NULL && c->seen != NULL && c->alone != NULL &&
	    c->recount != NULL && c->unknown != NULL ? 0 : -ENOMEM;
}

int
check_run(const struct check_conf *conf, struct check_result *ret_r)
{
	static int (*const phase[])(struct check *c) = {
		check_slots, check_clusters, check_tree, check_space,
	};
	struct check_result res = { .found = 0 };
	struct check c = { .conf = conf, .res = &res };
	int rc;

	rc = check_supers(&c);
	if (rc == 0)
		rc = check_alloc(&c);
	for (size_t i = 0; i < 4 && rc == 0; i++)
		rc = phase[i](&c);
	if (rc == 0 && conf->repair)
		rc = disk_flush(conf->disk);
	free(c.used);
	free(c.seen);
	free(c.alone);
	free(c.recount);
	free(c.unknown);
	free(c.mc);
	free(c.ino);
	if (rc != 0)
		return rc;
	check_progress(&c, "done", 1000);
	res.super = c.super;
	*ret_r = res;
	return 0;
}
