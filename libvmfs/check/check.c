/* SPDX-License-Identifier: BSD-2-Clause */
/* The order of a check, its findings, and the tables its phases share. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libvmfs/base/cleanup.h"
#include "libvmfs/check/check_priv.h"
#include "libvmfs/core/volume.h"

#define INO_TABLE_MIN 1024u
#define SAID_MIN 256u
#define PASSES_MAX 12u

static const char *const rule_names[CHECK_RULES] = {
	[CHECK_SUPER_COPY] = "super-copy",
	[CHECK_EXTENT] = "extent",
	[CHECK_SLOT] = "slot",
	[CHECK_SLOT_DIRTY] = "slot-dirty",
	[CHECK_CLUSTER] = "cluster",
	[CHECK_CLUSTER_COUNT] = "cluster-count",
	[CHECK_METACHUNK] = "metachunk",
	[CHECK_INODE] = "inode",
	[CHECK_LOCK] = "lock",
	[CHECK_INODE_LOST] = "inode-lost",
	[CHECK_NLINK] = "nlink",
	[CHECK_DIR] = "directory",
	[CHECK_DIR_ENTRY] = "directory-entry",
	[CHECK_MAP] = "map",
	[CHECK_MAP_RANGE] = "map-range",
	[CHECK_MAP_SHARED] = "map-shared",
	[CHECK_SNAPSHOT] = "snapshot",
	[CHECK_PIN] = "pin",
	[CHECK_XATTR] = "xattr",
	[CHECK_SPACE_LEAK] = "space-leak",
	[CHECK_SPACE_FREE] = "space-free",
	[CHECK_QUOTA] = "quota",
};

const char *
check_rule_name(enum check_rule r)
{
	return (unsigned)r < CHECK_RULES ? rule_names[r] : "unknown";
}

static uint64_t
said_hash(enum check_rule rule, bool fixed, const char *text)
{
	uint64_t h = 0xcbf29ce484222325ull ^ (unsigned)rule ^
	    (uint64_t)fixed << 8;

	for (; *text != '\0'; text++)
		h = (h ^ (unsigned char)*text) * 0x100000001b3ull;
	return h != 0 ? h : 1;
}

/* The place of h among what was said, or where it belongs. */
static uint64_t *
said_slot(uint64_t *said, size_t max, uint64_t h)
{
	size_t i = (size_t)h & (max - 1);

	while (said[i] != 0 && said[i] != h)
		i = (i + 1) & (max - 1);
	return &said[i];
}

/* Without memory it is rather said twice. */
static bool
said_before(struct check_memory *m, uint64_t h)
{
	if (m->said_count * 2 >= m->said_max) {
		size_t max = m->said_max == 0 ? SAID_MIN : m->said_max * 2;
		uint64_t *said = calloc(max, sizeof(*said));

		if (said == NULL)
			return false;
		for (size_t i = 0; i < m->said_max; i++)
			if (m->said[i] != 0)
				*said_slot(said, max, m->said[i]) =
				    m->said[i];
		free(m->said);
		m->said = said;
		m->said_max = max;
	}
	if (*said_slot(m->said, m->said_max, h) == h)
		return true;
	*said_slot(m->said, m->said_max, h) = h;
	m->said_count++;
	return false;
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
	/* A later pass sees again what an earlier one left. */
	if (said_before(c->memory, said_hash(rule, fixed, text)))
		return fixed;
	if (severity != CHECK_NOTE) {
		c->res->found++;
		c->res->fixed += fixed;
		c->res->damage += severity == CHECK_DAMAGE && !fixed;
	}
	c->conf->finding(c->conf->arg, &f);
	return fixed;
}

bool
check_again(struct check *c)
{
	c->again |= c->conf->repair;
	return c->conf->repair;
}

void
check_progress(struct check *c, const char *phase, unsigned permille)
{
	if (c->conf->progress != NULL)
		c->conf->progress(c->conf->arg, phase, permille);
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

enum check_mark
check_mark_meta(struct check *c, uint64_t block, enum block_type type,
    const char *object)
{
	struct check_metachunk *m = check_metachunk_of(c, block);
	unsigned i = (unsigned)(block % CHUNK_BLOCKS);
	uint16_t bit = (uint16_t)(1u << i);

	if (m == NULL)
		m = check_metachunk_untold(c, block);
	if (m == NULL || i == 0)
		return MARK_NOWHERE;
	if (m->found & bit)
		return MARK_AGAIN;
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
	return MARK_NEW;
}

static bool
is_static(const struct check *c, uint64_t block)
{
	if (block < CLUSTER_TABLE_BLOCK ||
	    block / CHUNK_BLOCKS == c->super.copy2_block / CHUNK_BLOCKS)
		return true;
	for (unsigned i = 0; i < c->super.segments; i++) {
		const struct super_segment *g = &c->super.segment[i];

		if (block + CHUNK_BLOCKS > g->table_block &&
		    block < g->table_block + volume_table_blocks(&c->super, i))
			return true;
	}
	return false;
}

/* Does a chunk hold metadata?  Then a claim of data is a lie. */
static bool
is_meta(struct check *c, uint64_t chunk)
{
	return is_static(c, chunk * CHUNK_BLOCKS) ||
	    check_metachunk_of(c, chunk * CHUNK_BLOCKS) != NULL;
}

static int
claim(struct check *c, uint64_t chunk, uint64_t count, bool alone)
{
	int rc = 0;

	for (uint64_t i = chunk; i < chunk + count; i++) {
		if (!bit_get(c->alone, i) && !(alone && bit_get(c->seen, i)))
			continue;
		if (is_meta(c, i))
			return -ERANGE;
		rc = -EEXIST;
	}
	return rc;
}

/* Between the end of a LUN and the next one's first address there is nothing;
 * nor where one was that has left. */
static bool
on_one_lun(const struct check *c, uint64_t chunk, uint64_t count)
{
	int lun = volume_extent_of(&c->super, chunk * CHUNK_BLOCKS);

	return lun >= 0 && volume_extent_of(&c->super,
	    (chunk + count) * CHUNK_BLOCKS - 1) == lun;
}

int
check_mark_chunks(struct check *c, uint64_t chunk, uint64_t count, bool alone)
{
	int rc;

	if (chunk == 0 || chunk >= c->chunks || count > c->chunks - chunk ||
	    !on_one_lun(c, chunk, count))
		return -ERANGE;
	rc = claim(c, chunk, count, alone);
	/* Claimed twice it is in use, too; unless it has just moved. */
	if (rc == -ERANGE || (rc != 0 && c->memory->seen != NULL))
		return rc;
	for (uint64_t i = chunk; i < chunk + count; i++) {
		c->fresh += !bit_get(c->seen, i);
		bit_set(c->seen, i);
		if (alone)
			bit_set(c->alone, i);
	}
	return rc;
}

static int
take_chunks(struct check *c, unsigned count, uint64_t *ret_chunk)
{
	unsigned run = 0;

	for (uint64_t i = 0; i < c->chunks; i++) {
		bool busy = bit_get(c->used, i) || bit_get(c->seen, i) ||
		    bit_get(c->memory->seen, i) ||
		    !on_one_lun(c, i - run, run + 1);

		run = busy ? 0 : run + 1;
		if (run < count)
			continue;
		*ret_chunk = i + 1 - count;
		for (; run > 0; run--) {
			bit_set(c->used, i + 1 - run);
			bit_set(c->recount, (i + 1 - run) * CHUNK_BLOCKS /
			    c->super.cluster_blocks);
		}
		return check_mark_chunks(c, *ret_chunk, count, true);
	}
	return -ENOSPC;
}

int
check_copy_chunks(struct check *c, uint64_t chunk, unsigned count,
    uint64_t *ret_chunk)
{
	cleanup_free uint8_t *buf = disk_buf_alloc(CHUNK_SIZE);
	uint64_t to;
	int rc;

	if (c->memory->seen == NULL) {
		c->conflict = true;
		c->again = true;
		return -EAGAIN;
	}
	if (buf == NULL)
		return -ENOMEM;
	rc = take_chunks(c, count, &to);
	for (unsigned i = 0; i < count && rc == 0; i++) {
		rc = disk_read(c->conf->disk, (chunk + i) * CHUNK_SIZE, buf,
		    CHUNK_SIZE);
		if (rc == 0)
			rc = disk_write(c->conf->disk, (to + i) * CHUNK_SIZE,
			    buf, CHUNK_SIZE, 0);
	}
	if (rc == 0)
		*ret_chunk = to;
	return rc;
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

static void
check_free(struct check *c)
{
	while (!list_empty(&c->damaged)) {
		struct check_damaged *d = list_entry(list_pop(&c->damaged),
		    struct check_damaged, node);

		free(d->todo);
		free(d);
	}
	free(c->used);
	free(c->seen);
	free(c->alone);
	free(c->recount);
	free(c->unknown);
	free(c->mc);
	free(c->ino);
	free(c->account);
	check_ahead_fini(c);
}

/* Everything once; *ret_again when repairs have moved things. */
static int
check_pass(const struct check_conf *conf, struct check_memory *memory,
    struct check_result *res, bool *ret_again)
{
	static int (*const phase[])(struct check *c) = {
		check_slots, check_clusters, check_tree, check_space,
	};
	const size_t last = sizeof(phase) / sizeof(phase[0]) - 1;
	struct check c = { .conf = conf, .res = res, .memory = memory };
	int rc;

	list_init(&c.damaged);
	rc = check_supers(&c);
	if (rc == 0)
		rc = check_alloc(&c);
	if (rc == 0)
		rc = check_ahead_init(&c);
	/* What is to be looked at again gives back no space yet. */
	for (size_t i = 0; i <= last && rc == 0; i++)
		if (i < last || !c.again)
			rc = phase[i](&c);
	/* Not before all else is in order. */
	if (rc == 0 && c.lost && conf->repair && !c.again)
		rc = check_adopt(&c);
	if (rc == 0 && conf->repair)
		rc = disk_flush(conf->disk);
	if (c.conflict) {
		free(memory->seen);
		memory->seen = take_ptr(c.seen);
	}
	check_free(&c);
	res->super = c.super;
	*ret_again = c.again;
	return rc;
}

/* Nobody has compared space with what uses it. */
static void
report_no_end(const struct check_conf *conf, struct check_memory *memory,
    struct check_result *res)
{
	struct check c = { .conf = conf, .res = res, .memory = memory };

	check_report(&c, CHECK_SPACE_FREE, CHECK_DAMAGE, 0, false,
	    "after %u passes there was still something to repair, and which "
	    "space is in use was not looked at: run it again", PASSES_MAX);
}

int
check_run(const struct check_conf *conf, struct check_result *ret_r)
{
	struct check_memory memory = { .max_lsn = 0 };
	struct check_result res = { .found = 0 };
	struct check_name *n;
	bool again = true;
	int rc = 0;

	list_init(&memory.names);
	for (unsigned i = 0; again && rc == 0 && i < PASSES_MAX; i++) {
		res = (struct check_result){
			.found = res.found, .fixed = res.fixed,
			.damage = res.damage,
		};
		rc = check_pass(conf, &memory, &res, &again);
	}
	if (rc == 0 && again)
		report_no_end(conf, &memory, &res);
	while (!list_empty(&memory.names)) {
		n = list_entry(list_pop(&memory.names), struct check_name,
		    node);
		free(n);
	}
	free(memory.said);
	free(memory.seen);
	if (rc != 0)
		return rc;
	check_progress(&(struct check){ .conf = conf }, "done", 1000);
	*ret_r = res;
	return 0;
}
