/* SPDX-License-Identifier: BSD-2-Clause */
/* Soft thresholds of thin units, see thin.h. */
#include "iscsi/scsi/thin.h"

#include <inttypes.h>

#include "iscsi/scsi/cmd.h"
#include "libvmfs/base/be.h"
#include "libvmfs/base/log.h"

/* Others take from the pool as well: looked at after so much at the latest. */
#define LOOK_MAX ((uint64_t)16 << 20)
/* A pool that gets emptier by less than this does not count as emptier. */
#define REARM_SHARE 20			/* one part in so many of the pool */

enum { DESCRIPTOR_AT = 16, ENABLED = 0x80, RESOURCE_AVAILABLE = 0x01 };
enum { LOG_AVAILABLE = 0x0001, LOG_USED = 0x0002, LOG_LEN = 8 };
enum { LOG_BINARY_LIST = 0x03, SCOPE_SHARED = 0x02 };

static uint32_t
sets_of(uint64_t bytes)
{
	uint64_t sets = bytes / THIN_SET_BYTES;

	return sets < UINT32_MAX ? (uint32_t)sets : UINT32_MAX;
}

/* True: something is different now. */
static bool
threshold_set(struct thin *t, bool enabled, uint32_t threshold)
{
	if (enabled == t->enabled && threshold == t->threshold)
		return false;
	t->enabled = enabled;
	t->threshold = threshold;
	t->reached = false;
	t->until_look = 0;
	return true;
}

/* Of a pool of so many bytes; what is configured lasts. */
static bool
configure(struct thin *t, uint64_t size, unsigned percent,
    const struct scsi_lu_settings *s)
{
	bool set = s != NULL && s->threshold_set, changed;

	if (percent == 0 || percent > 100)
		percent = THIN_WARN_PERCENT;
	changed = threshold_set(t, !set || s->threshold_on, set ?
	    sets_of(s->threshold_free) : sets_of(size / 100 * (100 - percent)));
	t->saved = set;
	t->saved_enabled = t->enabled;
	t->saved_threshold = t->threshold;
	return changed;
}

void
thin_init(struct scsi_lu *lu, unsigned percent,
    const struct scsi_lu_settings *s)
{
	struct disk_space space;

	if (!lu->thin || disk_space(lu->disk, &space) < 0)
		return;
	lu->pool.pool = true;
	(void)configure(&lu->pool, space.size, percent, s);
}

void
thin_set(struct scsi_lu *lu, unsigned percent,
    const struct scsi_lu_settings *s)
{
	struct disk_space space;

	if (!lu->pool.pool || disk_space(lu->disk, &space) < 0)
		return;
	shared_enter(&lu->lock);
	if (configure(&lu->pool, space.size, percent, s))
		ua_add_all(lu, SENSE_MODE_CHANGED, NULL);
	shared_leave(&lu->lock);
}

void
thin_settings(const struct thin *t, struct scsi_lu_settings *s)
{
	s->threshold_set = t->saved;
	s->threshold_on = t->saved_enabled;
	s->threshold_free = t->saved_threshold * THIN_SET_BYTES;
}

uint8_t
thin_exponent(const struct scsi_lu *lu)
{
	uint8_t exponent = 0;

	while (lu->pool.pool &&
	    (uint64_t)lu->block_size << exponent < THIN_SET_BYTES)
		exponent++;
	return exponent;
}

/* ---- watching ---- */

/* With the unit's lock. */
static void
threshold_check(struct scsi_lu *lu, const struct disk_space *space)
{
	uint32_t available = sets_of(space->available);
	uint32_t room = sets_of(space->size / REARM_SHARE);
	struct thin *t = &lu->pool;

	if (t->enabled && !t->reached && available < t->threshold) {
		t->reached = true;
		log_warn(lu->env->log, "scsi: pool gets full lu=%s "
		    "available=%" PRIu64 " size=%" PRIu64, lu->serial,
		    space->available, space->size);
		ua_add_all(lu, SENSE_THIN_THRESHOLD, NULL);
	} else if (t->reached && available >= t->threshold + room) {
		t->reached = false;
	}
}

static void
look(struct scsi_lu *lu)
{
	struct disk_space space;
	uint64_t next = LOOK_MAX, line;

	if (disk_space(lu->disk, &space) < 0)
		return;
	shared_enter(&lu->lock);
	threshold_check(lu, &space);
	line = lu->pool.threshold * THIN_SET_BYTES;
	shared_leave(&lu->lock);
	if (space.available >= line && space.available - line < next)
		next = space.available - line;
	lu->pool.until_look = (int64_t)(next > THIN_SET_BYTES ? next :
	    THIN_SET_BYTES);
}

void
thin_wrote(const struct scsi_cmd *c)
{
	struct thin *t = &c->lu->pool;
	int64_t bytes = (int64_t)c->written_bytes;
	bool full = c->task->status == SCSI_CHECK_CONDITION &&
	    c->sense.code == SENSE_SPACE_FAILED;

	if (full || (bytes > 0 &&
	    atomic_fetch_sub(&t->until_look, bytes) <= bytes))
		look(c->lu);
}

/* ---- pages ---- */

/* One descriptor: soft, of what is available, armed while that falls. */
void
thin_page_encode(const struct scsi_lu *lu, enum thin_values values, uint8_t *p)
{
	const struct thin *t = &lu->pool;
	bool saved = values == THIN_SAVED;
	uint8_t *d = p + DESCRIPTOR_AT;

	if (values == THIN_CHANGEABLE) {
		d[0] = ENABLED;
		be32_store(d + 4, UINT32_MAX);
		return;
	}
	d[0] = (saved ? t->saved_enabled : t->enabled) ? ENABLED : 0;
	d[1] = RESOURCE_AVAILABLE;
	be32_store(d + 4, saved ? t->saved_threshold : t->threshold);
}

bool
thin_page_apply(struct scsi_lu *lu, const uint8_t *p)
{
	const uint8_t *d = p + DESCRIPTOR_AT;

	return threshold_set(&lu->pool, d[0] & ENABLED, be32_load(d + 4));
}

void
thin_page_save(struct scsi_lu *lu)
{
	struct thin *t = &lu->pool;

	if (t->saved_enabled == t->enabled &&
	    t->saved_threshold == t->threshold)
		return;
	t->saved = true;
	t->saved_enabled = t->enabled;
	t->saved_threshold = t->threshold;
	lu->on_setting(lu->on_setting_arg);
}

static size_t
count_encode(uint8_t *p, uint16_t code, uint64_t bytes)
{
	be16_store(p, code);
	p[2] = LOG_BINARY_LIST;
	p[3] = LOG_LEN;
	be32_store(p + 4, sets_of(bytes));
	p[8] = SCOPE_SHARED;
	return 4 + LOG_LEN;
}

/* Of the whole pool, which may have other users. */
size_t
thin_log_encode(const struct scsi_lu *lu, uint16_t from, uint8_t *p)
{
	struct disk_space space;
	size_t len = 0;

	if (!lu->pool.pool || disk_space(lu->disk, &space) < 0)
		return 0;
	if (from <= LOG_AVAILABLE)
		len += count_encode(p, LOG_AVAILABLE, space.available);
	if (from <= LOG_USED)
		len += count_encode(p + len, LOG_USED,
		    space.size - space.available);
	return len;
}
