/* SPDX-License-Identifier: BSD-2-Clause */
/* The store of tokens, see rod.h. */
#include "iscsi/scsi/rod.h"

#include <stdlib.h>
#include <string.h>

#include "iscsi/scsi/cmd.h"
#include "iscsi/scsi/xcopy.h"
#include "libvmfs/base/be.h"
#include "libvmfs/base/units.h"

/* ROD token format, SPC-4 tables 111 and 112. */
enum {
	TOKEN_LENGTH_AT = 6, TOKEN_ID_AT = 8, TOKEN_CREATOR_AT = 16,
	TOKEN_BYTES_AT = 48, TOKEN_DEVICE_AT = 96, TOKEN_TARGET_AT = 128,
	TOKEN_SECRET_AT = 256,
};
enum { TARGET_NAME_MAX = TOKEN_SECRET_AT - TOKEN_TARGET_AT - 4 };

struct rod_store *
rod_store_new(struct env *env)
{
	struct rod_store *s = calloc(1, sizeof(*s));

	if (s != NULL)
		s->reader = calloc(1, sizeof(*s->reader));
	if (s == NULL || s->reader == NULL) {
		free(s);
		return NULL;
	}
	shared_lock_init(&s->lock);
	shared_cond_init(&s->idle);
	list_init(&s->rods);
	s->last_id = env_random_u64(env);
	s->refs = 1;
	return s;
}

struct rod_store *
rod_store_ref(struct rod_store *s)
{
	atomic_fetch_add(&s->refs, 1);
	return s;
}

/* Both locks are held, or nobody else has the store. */
static void
rod_free(struct rod_store *s, struct rod *rod)
{
	list_del(&rod->lu_node);
	list_del(&rod->node);
	s->count--;
	free(rod->ranges);
	free(rod);
}

void
rod_store_drop(struct rod_store *s)
{
	if (s == NULL || atomic_fetch_sub(&s->refs, 1) != 1)
		return;
	list_for_each(node, tmp, &s->rods)
		rod_free(s, list_entry(node, struct rod, node));
	shared_lock_fini(&s->lock);
	free(s->reader);
	free(s);
}

/* ---- making ---- */

static void
token_encode(struct scsi_cmd *c, uint32_t type, struct rod *rod)
{
	struct env *env = c->lu->env;
	const char *iqn = c->target->iqn;
	size_t name_len = (strlen(iqn) + 1 + 3) & ~(size_t)3;
	uint8_t *p = rod->token, *creator = p + TOKEN_CREATOR_AT;
	uint8_t *device = p + TOKEN_DEVICE_AT, *target = p + TOKEN_TARGET_AT;

	be32_store(p, type);
	be16_store(p + TOKEN_LENGTH_AT, ROD_TOKEN_LEN - 8);
	be64_store(p + TOKEN_ID_AT, rod->id);
	creator[0] = COPY_TARGET_IDENT;
	creator[4] = 0x01;			/* binary */
	creator[5] = 0x03;			/* NAA */
	creator[7] = 16;
	lu_naa(c->lu, creator + 8);
	be24_store(creator + 29, c->lu->block_size);
	be64_store(p + TOKEN_BYTES_AT + 8, rod->bytes);
	be32_store(device, c->lu->block_size);	/* as READ CAPACITY(16) */
	device[5] = (uint8_t)lu_physical_exponent(c->lu);
	if (c->lu->thin)
		device[6] = 0x80 | 0x40;
	if (name_len <= TARGET_NAME_MAX) {
		target[0] = 0x53;		/* iSCSI, UTF-8 */
		target[1] = 0x80 | 0x20 | 0x08;	/* target's name string */
		target[3] = (uint8_t)name_len;
		memcpy(target + 4, iqn, strlen(iqn));
	}
	env->random(env, p + TOKEN_SECRET_AT,
	    ROD_TOKEN_LEN - TOKEN_SECRET_AT);
}

static bool
rod_expired(const struct rod *rod, uint64_t now)
{
	return rod->users == 0 && now > rod->used_ns &&
	    now - rod->used_ns > rod->timeout_ns;
}

/* Takes it off the list that writes look at; the store is locked. */
static void
rod_unwatch(struct rod *rod)
{
	if (rod->lu == NULL)
		return;
	shared_enter(&rod->lu->lock);
	list_del(&rod->lu_node);
	list_init(&rod->lu_node);
	shared_leave(&rod->lu->lock);
}

/* What became of a token is remembered for twice its time (SPC-4 5.17.6.7),
 * or until the place is needed. */
static void
store_reap(struct rod_store *s, uint64_t now)
{
	bool full = s->count >= ROD_TOKENS_MAX;

	list_for_each(node, tmp, &s->rods) {
		struct rod *rod = list_entry(node, struct rod, node);
		bool dead = rod->state != ROD_VALID || rod_expired(rod, now);

		if (rod->users > 0 || !dead ||
		    (!full && now <= rod->used_ns + 2 * rod->timeout_ns))
			continue;
		rod_unwatch(rod);
		rod_free(s, rod);
	}
}

/* An initiator with too many loses the oldest that is not in use. */
static void
store_reclaim(struct rod_store *s, const char *port)
{
	struct rod *oldest = NULL;
	unsigned mine = 0;
	int valid = ROD_VALID;

	list_for_each(node, tmp, &s->rods) {
		struct rod *rod = list_entry(node, struct rod, node);

		if (rod->state != ROD_VALID || strcmp(rod->port, port) != 0)
			continue;
		mine++;
		if (oldest == NULL && rod->users == 0)
			oldest = rod;
	}
	if (mine < ROD_TOKENS_PORT_MAX || oldest == NULL)
		return;
	atomic_compare_exchange_strong(&oldest->state, &valid, ROD_CANCELLED);
	rod_unwatch(oldest);
}

/* So that most writes need not look at the ranges. */
static void
rod_bounds(struct rod *rod)
{
	rod->first = UINT64_MAX;
	for (unsigned i = 0; i < rod->range_count; i++) {
		const struct copy_range *r = &rod->ranges[i];

		if (r->lba < rod->first)
			rod->first = r->lba;
		if (r->lba + r->blocks > rod->end)
			rod->end = r->lba + r->blocks;
	}
}

static void
store_add(struct rod_store *s, struct scsi_cmd *c, uint32_t type,
    struct rod *rod)
{
	rod->id = ++s->last_id;
	if (rod->id == 0)
		rod->id = ++s->last_id;
	token_encode(c, type, rod);
	list_add_tail(&s->rods, &rod->node);
	s->count++;
	shared_enter(&c->lu->lock);
	list_add_tail(&c->lu->rods, &rod->lu_node);
	shared_leave(&c->lu->lock);
}

int
rod_create(struct scsi_cmd *c, uint32_t type, struct copy_range *ranges,
    unsigned count, uint64_t bytes, uint32_t timeout_s, uint64_t *ret_id)
{
	struct rod_store *s = c->lu->rod_store;
	struct rod *rod = calloc(1, sizeof(*rod));
	uint64_t now = sched_now(c->sched);
	int rc = -ENOSPC;

	if (rod == NULL) {
		free(ranges);
		return -ENOMEM;
	}
	rod->store = s;
	rod->ranges = ranges;
	rod->range_count = count;
	rod_bounds(rod);
	rod->bytes = bytes;
	rod->lu = c->lu;
	rod->timeout_ns = timeout_s * NSEC_PER_SEC;
	rod->used_ns = now;
	strcpy(rod->port, c->nexus->port);
	strcpy(rod->target, c->nexus->target_port);
	shared_enter(&s->lock);
	store_reclaim(s, rod->port);
	store_reap(s, now);
	if (s->count < ROD_TOKENS_MAX) {
		store_add(s, c, type, rod);
		*ret_id = rod->id;
		rc = 0;
	}
	shared_leave(&s->lock);
	if (rc != 0) {
		free(rod->ranges);
		free(rod);
	}
	return rc;
}

/* ---- using ---- */

static struct rod *
store_find(const struct rod_store *s, uint64_t id)
{
	list_for_each(node, tmp, &s->rods) {
		struct rod *rod = list_entry(node, struct rod, node);

		if (rod->id == id)
			return rod;
	}
	return NULL;
}

int
rod_token(struct rod_store *s, uint64_t id, uint8_t ret_token[512])
{
	const struct rod *rod;

	shared_enter(&s->lock);
	rod = store_find(s, id);
	if (rod != NULL)
		memcpy(ret_token, rod->token, ROD_TOKEN_LEN);
	shared_leave(&s->lock);
	return rod != NULL ? 0 : -ENOENT;
}

/* In a time that tells nothing of where they differ. */
static bool
token_same(const uint8_t *a, const uint8_t *b)
{
	uint8_t differ = 0;

	for (size_t i = 0; i < ROD_TOKEN_LEN; i++)
		differ |= a[i] ^ b[i];
	return differ == 0;
}

uint32_t
rod_sense(const struct rod *rod)
{
	switch (atomic_load(&rod->state)) {
	case ROD_VALID:
		return SENSE_NONE;
	case ROD_CANCELLED:
		return SENSE_TOKEN_CANCELLED;
	case ROD_DELETED:
		return SENSE_TOKEN_DELETED;
	default:
		return SENSE_TOKEN_REVOKED;
	}
}

static uint32_t
store_get(struct rod_store *s, uint64_t now, const uint8_t *token,
    struct rod **ret_rod)
{
	struct rod *rod = store_find(s, be64_load(token + TOKEN_ID_AT));
	uint32_t sense;

	if (rod == NULL || !token_same(rod->token, token))
		return SENSE_TOKEN_UNKNOWN;
	sense = rod_sense(rod);
	if (sense == SENSE_NONE && rod_expired(rod, now))
		sense = SENSE_TOKEN_EXPIRED;
	if (sense == SENSE_NONE) {
		rod->users++;
		*ret_rod = rod;
	}
	return sense;
}

uint32_t
rod_get(struct rod_store *s, uint64_t now,
    const uint8_t token[ROD_TOKEN_LEN], struct rod **ret_rod)
{
	uint32_t sense, type = be32_load(token);

	if (be16_load(token + TOKEN_LENGTH_AT) != ROD_TOKEN_LEN - 8)
		return SENSE_TOKEN_LENGTH;
	if (type != ROD_PIT_VULNERABLE)
		return SENSE_TOKEN_TYPE;
	shared_enter(&s->lock);
	sense = store_get(s, now, token, ret_rod);
	shared_leave(&s->lock);
	return sense;
}

void
rod_put(struct rod_store *s, struct rod *rod, uint64_t now, bool delete)
{
	int valid = ROD_VALID;

	shared_enter(&s->lock);
	rod->used_ns = now;
	rod->users--;
	if (delete)
		atomic_compare_exchange_strong(&rod->state, &valid,
		    ROD_DELETED);
	if (rod->state != ROD_VALID)
		rod_unwatch(rod);
	shared_broadcast(&s->idle);
	shared_leave(&s->lock);
}

size_t
rods_report(struct rod_store *s, const struct scsi_lu *lu, uint64_t now,
    uint8_t *p)
{
	size_t len = 0;

	shared_enter(&s->lock);
	list_for_each(node, tmp, &s->rods) {
		const struct rod *rod = list_entry(node, struct rod, node);

		if (rod->lu != lu || rod->state != ROD_VALID ||
		    rod_expired(rod, now))
			continue;
		memcpy(p + len, rod->token, ROD_MANAGEMENT_LEN);
		len += ROD_MANAGEMENT_LEN;
	}
	shared_leave(&s->lock);
	return len;
}

/* ---- what ends them ---- */

static bool
rod_has(const struct rod *rod, uint64_t lba, uint64_t blocks)
{
	if (lba >= rod->end || rod->first >= lba + blocks)
		return false;
	for (unsigned i = 0; i < rod->range_count; i++) {
		const struct copy_range *r = &rod->ranges[i];

		if (lba < r->lba + r->blocks && r->lba < lba + blocks)
			return true;
	}
	return false;
}

void
rods_written(struct scsi_lu *lu, uint64_t lba, uint64_t blocks)
{
	list_for_each(node, tmp, &lu->rods) {
		struct rod *rod = list_entry(node, struct rod, lu_node);
		int valid = ROD_VALID;

		if (!rod_has(rod, lba, blocks))
			continue;
		atomic_compare_exchange_strong(&rod->state, &valid,
		    ROD_CANCELLED);
		list_del(&rod->lu_node);
		list_init(&rod->lu_node);
	}
}

static bool
store_uses(const struct rod_store *s, const struct scsi_lu *lu)
{
	list_for_each(node, tmp, &s->rods) {
		const struct rod *rod = list_entry(node, struct rod, node);

		if (rod->lu == lu && rod->users > 0)
			return true;
	}
	return false;
}

void
rods_forget(struct rod_store *s, struct scsi_lu *lu)
{
	shared_enter(&s->lock);
	list_for_each(node, tmp, &s->rods) {
		struct rod *rod = list_entry(node, struct rod, node);
		int valid = ROD_VALID;

		if (rod->lu != lu)
			continue;
		atomic_compare_exchange_strong(&rod->state, &valid,
		    ROD_REVOKED);
		rod_unwatch(rod);
	}
	while (store_uses(s, lu))
		shared_wait(&s->idle, &s->lock);
	list_for_each(node, tmp, &s->rods) {
		struct rod *rod = list_entry(node, struct rod, node);

		if (rod->lu == lu)
			rod->lu = NULL;
	}
	shared_leave(&s->lock);
}

bool
rod_conflicts(const struct rod *rod)
{
	const struct scsi_nexus *holder = rod->lu->reserved_by;

	return (holder != NULL &&
	    !nexus_is(holder, rod->port, rod->target)) ||
	    pr_conflicts_port(&rod->lu->pr, rod->port, rod->target,
	    ACCESS_READ);
}
