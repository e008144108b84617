/* SPDX-License-Identifier: BSD-2-Clause */
/* What a lock record means: who holds it, and may it be broken? */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libvmfs/base/cleanup.h"
#include "locking/lock_int.h"

int
lock_load(struct host *h, struct caw *c, uint64_t addr,
    struct lockrec *ret_rec)
{
	int rc = caw_load(c);

	return rc < 0 ? rc :
	    lockrec_decode(c->old, &h->super.uuid, addr, ret_rec);
}

/* watch_judge for hb, read after the table: where that differs it has pulsed. */
static enum holder_state
judge_read(const struct host *h, const struct heartbeat *hb,
    uint64_t *ret_silent_ms, uint64_t *ret_fence_in_ms)
{
	const struct seen *s = &h->watch.seen[hb->slot];

	if (!s->known || s->rec.nonce == hb->nonce ||
	    hb->slot == h->paths.slot)
		return watch_judge(h, hb->slot, ret_silent_ms,
		    ret_fence_in_ms);
	*ret_silent_ms = *ret_fence_in_ms = 0;
	return HOLDER_LIVE;
}

/* The incarnation `inc` of another host against what its slot says now. */
static enum holder_state
judge_slot(const struct host *h, const struct heartbeat *hb, uint64_t inc)
{
	uint64_t silent, fence_in;

	if (hb->state == SLOT_RECOVERING && hb->incarnation <= inc + 1)
		return HOLDER_RECOVERING;
	if (hb->incarnation > inc)
		return HOLDER_DEAD;
	/* It left in good order, so it can not hold anything. */
	if (hb->incarnation == inc && hb->state == SLOT_FREE)
		return HOLDER_DEAD;
	return judge_read(h, hb, &silent, &fence_in) ==
	    HOLDER_SUSPECT ? HOLDER_SUSPECT : HOLDER_LIVE;
}

/* Of beat.rec this thread may see only what never changes. */
static struct heartbeat
own_slot(const struct host *h)
{
	struct heartbeat hb = {
		.slot = h->paths.slot, .state = SLOT_LIVE,
		.incarnation = h->paths.incarnation, .host = h->conf.host,
	};

	memcpy(hb.name, h->name, sizeof(hb.name));
	return hb;
}

/* State of the incarnation that holds something.  *ret_hb is its slot, read
 * freshly.  Suspends. */
static int
holder_judge(struct host *h, unsigned slot, uint64_t incarnation,
    enum holder_state *ret_state, struct heartbeat *ret_hb)
{
	int rc;

	assert(slot < SLOTS_MAX);
	if (slot == h->paths.slot) {
		/* Ours: whoever had the slot before was recovered then. */
		*ret_hb = own_slot(h);
		*ret_state = incarnation >= h->paths.incarnation ?
		    HOLDER_SELF : HOLDER_DEAD;
		return 0;
	}
	rc = slot_peek(h, slot, ret_hb);
	if (rc == 0)
		*ret_state = judge_slot(h, ret_hb, incarnation);
	return rc;
}

/* Marks carry no incarnation, only its remainder. */
static enum holder_state
judge_mark(const struct host *h, const struct heartbeat *hb, uint8_t mark)
{
	uint64_t inc = hb->incarnation;

	if (hb->slot == h->paths.slot)
		return mark == lockrec_holder_mark(h->paths.incarnation) ?
		    HOLDER_SELF : HOLDER_DEAD;
	if (hb->state == SLOT_RECOVERING)
		return inc > 0 && mark == lockrec_holder_mark(inc - 1) ?
		    HOLDER_RECOVERING : HOLDER_DEAD;
	if (mark != lockrec_holder_mark(inc))
		return HOLDER_DEAD;
	return judge_slot(h, hb, inc);
}

static void
fill_from_slot(struct host *h, const struct heartbeat *hb,
    struct lock_holder *ret_h)
{
	bool over = ret_h->state == HOLDER_RECOVERING;

	(void)judge_read(h, hb, &ret_h->silent_ms, &ret_h->fence_in_ms);
	if (ret_h->state != HOLDER_SUSPECT)
		ret_h->fence_in_ms = 0;
	ret_h->stuck = (over || ret_h->state == HOLDER_SUSPECT) &&
	    history_stuck(h, hb->slot, hb->incarnation - over);
}

/* Who offers it; *ret_state of that host. */
static int
describe_offer(struct host *h, const struct lockrec *rec,
    struct lock_holder *holder, enum holder_state *ret_state)
{
	struct heartbeat hb;
	int rc = holder_judge(h, rec->from_slot, rec->from_incarnation,
	    ret_state, &hb);

	if (rc < 0)
		return rc;
	(void)snprintf(holder->from, sizeof(holder->from), "%s",
	    hb.name[0] != '\0' ? hb.name : "(unnamed)");
	return 0;
}

static int
describe_exclusive(struct host *h, const struct lockrec *rec,
    struct lock_holder *ret_h)
{
	enum holder_state from;
	struct lock_holder holder = {
		.mode = rec->mode, .slot = rec->slot, .count = 1,
		.incarnation = rec->incarnation, .version = rec->version,
		.host = rec->host, .since_us = rec->since_us,
	};
	struct heartbeat hb;
	int rc = holder_judge(h, rec->slot, rec->incarnation, &holder.state,
	    &hb);

	if (rc < 0)
		return rc;
	host_saw_lsn(h, hb.lsn);
	memcpy(holder.name, rec->name, sizeof(holder.name));
	fill_from_slot(h, &hb, &holder);
	if (rec->offered)
		rc = describe_offer(h, rec, &holder, &from);
	if (rc == 0)
		*ret_h = holder;
	return rc;
}

/*
 * Who was offered it may have it, who offers it may have it back.  For all
 * others it is held until one of the two is over.
 */
static int
judge_offer(struct host *h, const struct lockrec *rec,
    struct lock_holder *ret_h)
{
	enum holder_state from;
	int rc = describe_exclusive(h, rec, ret_h);

	if (rc == 0)
		rc = describe_offer(h, rec, ret_h, &from);
	if (rc < 0)
		return rc;
	return from == HOLDER_SELF || from == HOLDER_DEAD ||
	    ret_h->state == HOLDER_SELF || ret_h->state == HOLDER_DEAD ? 0 :
	    -VMFS_ELOCKED;
}

/* How much a holder stands in the way; the worst one is shown. */
static int
weight(enum holder_state s)
{
	switch (s) {
	case HOLDER_LIVE:
		return 4;
	case HOLDER_SUSPECT:
		return 3;
	case HOLDER_RECOVERING:
		return 2;
	case HOLDER_SELF:
		return 1;
	case HOLDER_DEAD:
		break;
	}
	return 0;
}

/* Reading the whole table is cheaper than so many of its slots. */
#define PEEK_MAX 8u

/* The table of slots when rec has many holders, NULL when it has few. */
static int
table_for(struct host *h, const struct lockrec *rec, uint8_t **ret_table)
{
	cleanup_free uint8_t *table = NULL;
	unsigned holders = 0;
	int rc;

	for (unsigned i = 0; i < SLOTS_MAX; i++)
		holders += rec->holder[i] != 0;
	if (holders > PEEK_MAX) {
		table = disk_buf_alloc((size_t)SLOTS_MAX * BLOCK_SIZE);
		if (table == NULL)
			return -ENOMEM;
		rc = slots_read(&h->guard.disk, table);
		if (rc < 0)
			return rc;
	}
	*ret_table = take_ptr(table);
	return 0;
}

static int
slot_look(struct host *h, const uint8_t *table, unsigned slot,
    struct heartbeat *ret_hb)
{
	if (slot == h->paths.slot) {
		*ret_hb = own_slot(h);
		return 0;
	}
	return table == NULL ? slot_peek(h, slot, ret_hb) :
	    heartbeat_decode(table + (size_t)slot * BLOCK_SIZE,
	    &h->super.uuid, slot, ret_hb);
}

/* The mark of a host that is over: is the slot still as it was left? */
static bool
left_by(const struct heartbeat *hb, uint8_t mark)
{
	return hb->state != SLOT_LIVE && hb->state != SLOT_STOPPING &&
	    (mark == lockrec_holder_mark(hb->incarnation) ||
	    (hb->incarnation > 0 &&
	    mark == lockrec_holder_mark(hb->incarnation - 1)));
}

static struct lock_holder
holder_of(struct host *h, const struct lockrec *rec,
    const struct heartbeat *hb)
{
	uint8_t mark = rec->holder[hb->slot];
	struct lock_holder one = {
		.mode = rec->mode, .slot = hb->slot, .count = 1,
		.version = rec->version, .since_us = rec->since_us,
		.state = judge_mark(h, hb, mark),
		.incarnation = hb->incarnation, .host = hb->host,
	};

	if (one.state != HOLDER_DEAD || left_by(hb, mark))
		memcpy(one.name, hb->name, sizeof(one.name));
	if (one.state != HOLDER_DEAD && one.state != HOLDER_SELF)
		fill_from_slot(h, hb, &one);
	return one;
}

/* Calls fn for each mark of a shared record, also those of the dead. */
static int
each_mark(struct host *h, const struct lockrec *rec,
    void (*fn)(void *arg, const struct lock_holder *one), void *arg)
{
	cleanup_free uint8_t *table = NULL;
	int rc = table_for(h, rec, &table);

	for (unsigned i = 0; i < SLOTS_MAX && rc == 0; i++) {
		struct lock_holder one;
		struct heartbeat hb;

		if (rec->holder[i] == 0)
			continue;
		rc = slot_look(h, table, i, &hb);
		if (rc < 0)
			break;
		one = holder_of(h, rec, &hb);
		if (one.state == HOLDER_DEAD)
			host_saw_lsn(h, hb.lsn);
		fn(arg, &one);
	}
	return rc;
}

static void
keep_worst(void *arg, const struct lock_holder *one)
{
	struct lock_holder *worst = arg;
	unsigned count = worst->count + (one->state != HOLDER_DEAD);

	if (weight(one->state) > weight(worst->state))
		*worst = *one;
	worst->count = count;
}

/*
 * Looks at all holders of a shared record.  *ret_h is the lowest of those that
 * stand in the way most, with mode LOCK_FREE when all are dead.
 */
static int
describe_shared(struct host *h, const struct lockrec *rec,
    struct lock_holder *ret_h)
{
	struct lock_holder worst = {
		.mode = LOCK_FREE, .state = HOLDER_DEAD,
		.version = rec->version, .since_us = rec->since_us,
	};
	int rc = each_mark(h, rec, keep_worst, &worst);

	if (rc == 0)
		*ret_h = worst;
	return rc;
}

int
lock_each(struct host *h, const struct lockrec *rec,
    void (*fn)(void *arg, const struct lock_holder *one), void *arg)
{
	struct lock_holder one;
	int rc;

	if (rec->mode == LOCK_FREE)
		return 0;
	if (rec->mode != LOCK_EXCLUSIVE)
		return each_mark(h, rec, fn, arg);
	rc = describe_exclusive(h, rec, &one);
	if (rc == 0)
		fn(arg, &one);
	return rc;
}

int
lock_describe(struct host *h, const struct lockrec *rec,
    struct lock_holder *ret_h)
{
	switch (rec->mode) {
	case LOCK_FREE:
		break;
	case LOCK_EXCLUSIVE:
		return describe_exclusive(h, rec, ret_h);
	case LOCK_SHARED:
	case LOCK_MULTI_WRITER:
		return describe_shared(h, rec, ret_h);
	}
	*ret_h = (struct lock_holder){ .version = rec->version };
	return 0;
}

int
lock_judge(struct host *h, const struct lockrec *rec, enum lock_mode mode,
    struct lock_holder *ret_h)
{
	int rc;

	if (rec->mode == LOCK_FREE)
		return 0;
	if (rec->offered)
		return judge_offer(h, rec, ret_h);
	/* Who joins need not know the others, of whom there may be many. */
	if (rec->mode == mode && mode != LOCK_EXCLUSIVE)
		return 0;
	rc = rec->mode == LOCK_EXCLUSIVE ? describe_exclusive(h, rec, ret_h) :
	    describe_shared(h, rec, ret_h);
	if (rc < 0)
		return rc;
	/*
	 * SELF: a record of ours that we do not know as held, left by a
	 * release whose outcome was an error.
	 */
	return ret_h->mode == LOCK_FREE || ret_h->state == HOLDER_DEAD ||
	    ret_h->state == HOLDER_SELF ? 0 : -VMFS_ELOCKED;
}

static void
renew(struct host *h, struct lockrec *rec)
{
	rec->version++;
	rec->nonce = env_random_u64(h->env);
}

void
lock_stamp(struct host *h, struct lockrec *rec, enum lock_mode mode)
{
	bool join = rec->mode == mode && mode != LOCK_EXCLUSIVE;

	renew(h, rec);
	if (!join) {
		memset(rec->holder, 0, sizeof(rec->holder));
		rec->since_us = h->env->wall_us(h->env);
	}
	/* It may have been ours: then that lets go of it, as lock_unstamp. */
	if (rec->mode == LOCK_EXCLUSIVE && mode != LOCK_EXCLUSIVE &&
	    rec->lsn < h->locks.lsn)
		rec->lsn = h->locks.lsn;
	rec->offered = false;
	rec->mode = mode;
	rec->slot = 0;
	rec->incarnation = 0;
	memset(&rec->host, 0, sizeof(rec->host));
	memset(rec->name, 0, sizeof(rec->name));
	if (mode == LOCK_EXCLUSIVE) {
		rec->slot = h->paths.slot;
		rec->incarnation = h->paths.incarnation;
		rec->host = h->conf.host;
		memcpy(rec->name, h->name, sizeof(rec->name));
	} else {
		rec->holder[h->paths.slot] =
		    lockrec_holder_mark(h->paths.incarnation);
	}
}

static bool
others_left(const struct lockrec *rec)
{
	for (unsigned i = 0; i < SLOTS_MAX; i++)
		if (rec->holder[i] != 0)
			return true;
	return false;
}

bool
lock_unstamp(struct host *h, struct lockrec *rec)
{
	unsigned me = h->paths.slot;

	if (rec->mode == LOCK_EXCLUSIVE) {
		if (rec->slot != me || rec->offered ||
		    rec->incarnation != h->paths.incarnation)
			return false;
	} else if (rec->mode == LOCK_FREE || rec->holder[me] !=
	    lockrec_holder_mark(h->paths.incarnation)) {
		return false;
	} else {
		rec->holder[me] = 0;
	}
	renew(h, rec);
	if (rec->mode == LOCK_EXCLUSIVE || !others_left(rec)) {
		*rec = (struct lockrec){
			.addr = rec->addr, .version = rec->version,
			.nonce = rec->nonce, .lsn = rec->lsn,
		};
	}
	if (rec->lsn < h->locks.lsn)
		rec->lsn = h->locks.lsn;
	return true;
}
