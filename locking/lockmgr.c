/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Lock manager: the lock port of the core over lock records on the LUN.  A
 * record is taken and given by one compare-and-write; locks of incarnations
 * that are over are broken when somebody wants them, not before.
 */
#include <stdlib.h>
#include <string.h>

#include "locking/lock_int.h"

/* A waiter polls after 1/64 of a pulse at first, at most after 1/4. */
#define POLL_FIRST_DIV 64
#define POLL_LAST_DIV 4
/* Who loses a race for a shared record tries again after a random part of
 * 1/2048 of a pulse, of twice that the next time, at most of 1/16. */
#define RACE_FIRST_DIV 2048
#define RACE_DOUBLE_MAX 7u

/* A lock this host holds or is about to take; one per address. */
struct held {
	struct list node;
	uint64_t addr, version;
	enum lock_mode mode;
	unsigned refs;		/* shared modes: local users */
	bool busy;		/* being taken or released */
	uint32_t kept;		/* in the table that outlives us */
};

static struct lockmgr *
lm_of(struct lockops *l)
{
	return &container_of(l, struct host, locks)->lm;
}

static struct list *
bucket(struct lockmgr *lm, uint64_t addr)
{
	return &lm->bucket[(addr * 0x9e3779b97f4a7c15ull) >> 56];
}

static struct held *
held_find(struct lockmgr *lm, uint64_t addr)
{
	struct list *head = bucket(lm, addr);

	list_for_each(node, next, head) {
		struct held *e = list_entry(node, struct held, node);

		if (e->addr == addr)
			return e;
	}
	return NULL;
}

static void
held_drop(struct lockmgr *lm, struct held *e)
{
	host_keep_unlock(lm->keep, e->kept);
	list_del(&e->node);
	free(e);
	fiber_cond_broadcast(&lm->changed);
}

/*
 * Nobody here has the lock, but the LUN may still say so: an error hid what
 * became of the record.  Others must not wait for it until we leave.
 */
static void
held_astray(struct host *h, struct held *e, int error)
{
	struct lockmgr *lm = &h->lm;

	/* Who has fallen silent means to keep them. */
	if (!h->stopping)
		log_warn(h->env->log, "lock: not given back yet addr=%llu "
		    "error=\"%s\"", (unsigned long long)e->addr,
		    vmfs_strerror(error));
	list_del(&e->node);
	list_add_tail(&lm->strays, &e->node);
	fiber_cond_broadcast(&lm->changed);
}

/* Whoever wants it again takes it as it is. */
static void
stray_forget(struct lockmgr *lm, uint64_t addr)
{
	list_for_each(node, next, &lm->strays) {
		struct held *e = list_entry(node, struct held, node);

		if (e->addr == addr)
			held_drop(lm, e);
	}
}

static bool
shareable(enum lock_mode mode)
{
	return mode == LOCK_SHARED || mode == LOCK_MULTI_WRITER;
}

static void
holder_self(struct host *h, const struct held *e, struct lock_holder *ret_h)
{
	*ret_h = (struct lock_holder){
		.mode = e->mode, .state = HOLDER_SELF, .slot = h->locks.slot,
		.count = 1, .incarnation = h->locks.incarnation,
		.version = e->version, .host = h->conf.host,
	};
	memcpy(ret_h->name, h->name, sizeof(ret_h->name));
}

/*
 * The local half: several users of one shared lock need no I/O, users of an
 * exclusive one take turns.  *ret_e is ours to fill and busy, or NULL when *g
 * was granted at once.
 */
static int
acquire_local(struct host *h, uint64_t addr, enum lock_mode mode,
    unsigned flags, uint64_t deadline_ns, struct lock_grant *g,
    struct lock_holder *holder, struct held **ret_e)
{
	struct lockmgr *lm = &h->lm;
	struct held *e;

	while ((e = held_find(lm, addr)) != NULL) {
		if (!e->busy && e->mode == mode && shareable(mode)) {
			e->refs++;
			*g = (struct lock_grant){ addr, mode, e->version };
			*ret_e = NULL;
			return 0;
		}
		holder_self(h, e, holder);
		if (!e->busy && (flags & LOCK_NOWAIT) != 0)
			return -VMFS_ELOCKED;
		if (!fiber_cond_wait_until(&lm->changed, deadline_ns))
			return -VMFS_ELOCKED;
	}
	stray_forget(lm, addr);
	e = calloc(1, sizeof(*e));
	if (e == NULL)
		return -ENOMEM;
	*e = (struct held){ .addr = addr, .mode = mode, .busy = true };
	host_keep_lock(lm->keep, addr, &e->kept);
	list_add_tail(bucket(lm, addr), &e->node);
	*ret_e = e;
	return 0;
}

static void
acquired(struct host *h, struct held *e, uint64_t version,
    struct lock_grant *ret_g)
{
	e->busy = false;
	e->refs = 1;
	e->version = version;
	handover_over(h, e->addr);
	*ret_g = (struct lock_grant){ e->addr, e->mode, version };
	fiber_cond_broadcast(&h->lm.changed);
}

static int
commit(struct host *h, struct caw *c, const struct lockrec *rec)
{
	int rc;

	lockrec_encode(c->image, &h->super.uuid, rec);
	h->lm.tries++;
	rc = caw_commit(c);
	h->lm.lost += rc == -VMFS_EMISCOMPARE;
	return rc;
}

static void
race_lost(struct host *h, unsigned *times)
{
	uint64_t span = (h->lease.pulse_ns / RACE_FIRST_DIV) << *times;

	if (*times < RACE_DOUBLE_MAX)
		(*times)++;
	fiber_sleep(env_random_u64(h->env) % (span + 1));
}

/* One attempt on the LUN.  -EAGAIN: lost a race, try again at once. */
static int
acquire_once(struct host *h, struct caw *c, uint64_t addr,
    enum lock_mode mode, struct lockrec *ret_rec, struct lock_holder *holder)
{
	struct lockrec rec;
	int rc = lock_load(h, c, addr, &rec);

	if (rc == 0)
		rc = lock_judge(h, &rec, mode, holder);
	if (rc < 0)
		return rc;
	host_saw_lsn(h, rec.lsn);
	lock_stamp(h, &rec, mode);
	host_saw_lsn(h, rec.version);
	rc = commit(h, c, &rec);
	if (rc == 0)
		*ret_rec = rec;
	return rc == -VMFS_EMISCOMPARE ? -EAGAIN : rc;
}

/* Should a blocked caller give up now? */
static bool
give_up(struct host *h, unsigned flags, uint64_t deadline_ns,
    const struct lock_holder *holder)
{
	if (env_now(h->env) >= deadline_ns)
		return true;
	return (flags & LOCK_NOWAIT) != 0 && holder->state == HOLDER_LIVE;
}

static int
acquire_disk(struct host *h, uint64_t addr, enum lock_mode mode,
    unsigned flags, uint64_t deadline_ns, struct lockrec *ret_rec,
    struct lock_holder *holder)
{
	uint64_t wait = h->lease.pulse_ns / POLL_FIRST_DIV;
	unsigned lost = 0;
	struct caw c;
	int rc = caw_init(&c, &h->guard.disk, addr, h->super.sector_size);

	if (rc < 0)
		return rc;
	for (;;) {
		uint64_t now;

		rc = acquire_once(h, &c, addr, mode, ret_rec, holder);
		if (rc == -EAGAIN) {
			race_lost(h, &lost);
			continue;
		}
		if (rc != -VMFS_ELOCKED ||
		    give_up(h, flags, deadline_ns, holder))
			break;
		now = env_now(h->env);
		wait += env_random_u64(h->env) % (wait / 2 + 1);
		if (wait > h->lease.pulse_ns / POLL_LAST_DIV)
			wait = h->lease.pulse_ns / POLL_LAST_DIV;
		fiber_sleep(wait < deadline_ns - now ? wait :
		    deadline_ns - now);
	}
	caw_fini(&c);
	return rc;
}

/* From one mode to another by one compare-and-write: no gap. */
static int
change(struct host *h, uint64_t addr, enum lock_mode mode, unsigned flags,
    uint64_t deadline_ns, struct lock_grant *ret_g,
    struct lock_holder *ret_holder)
{
	struct held *e = held_find(&h->lm, addr);
	struct lock_holder holder = { 0 };
	struct lockrec rec;
	int rc;

	if (e == NULL || e->busy || e->mode == mode || e->refs != 1)
		return -EINVAL;
	e->busy = true;
	rc = acquire_disk(h, addr, mode, flags, deadline_ns, &rec, &holder);
	if (rc == 0) {
		e->mode = mode;
		acquired(h, e, rec.version, ret_g);
	} else if (rc == -VMFS_ELOCKED) {
		e->busy = false;
		fiber_cond_broadcast(&h->lm.changed);
		if (ret_holder != NULL)
			*ret_holder = holder;
	} else {
		held_astray(h, e, rc);
	}
	return rc;
}

static int
lm_acquire(struct lockops *l, uint64_t addr, enum lock_mode mode,
    unsigned flags, uint64_t deadline_ns, struct lock_grant *ret_g,
    struct lock_holder *ret_holder)
{
	struct host *h = container_of(l, struct host, locks);
	struct lock_holder holder = { 0 };
	struct lockrec rec;
	struct held *e;
	int rc;

	if (mode != LOCK_EXCLUSIVE && !shareable(mode))
		return -EINVAL;
	if ((flags & LOCK_CHANGE) != 0)
		return change(h, addr, mode, flags, deadline_ns, ret_g,
		    ret_holder);
	rc = acquire_local(h, addr, mode, flags, deadline_ns, ret_g, &holder,
	    &e);
	if (rc == 0 && e != NULL) {
		rc = acquire_disk(h, addr, mode, flags, deadline_ns, &rec,
		    &holder);
		if (rc == 0)
			acquired(h, e, rec.version, ret_g);
		else if (rc == -VMFS_ELOCKED || rc == -VMFS_ECORRUPT)
			held_drop(lm_of(l), e);
		else
			held_astray(h, e, rc);
	}
	if (rc == -VMFS_ELOCKED && ret_holder != NULL)
		*ret_holder = holder;
	return rc;
}

/* The block is ours by allocation; what lies there may be anything. */
static int
create_record(struct host *h, struct caw *c, uint64_t addr,
    struct lockrec *ret_rec)
{
	struct lockrec rec, old;
	int rc = caw_load_any(c);

	if (rc < 0)
		return rc;
	if (lockrec_decode(c->old, &h->super.uuid, addr, &old) < 0)
		old.version = 0;
	rec = (struct lockrec){ .addr = addr, .version = old.version };
	lock_stamp(h, &rec, LOCK_EXCLUSIVE);
	if (rec.version < h->locks.lsn)
		rec.version = h->locks.lsn;
	rec.lsn = h->locks.lsn;
	host_saw_lsn(h, rec.version);
	lockrec_encode(c->image, &h->super.uuid, &rec);
	rc = caw_commit(c);
	if (rc == 0)
		*ret_rec = rec;
	return rc;
}

static int
lm_create(struct lockops *l, uint64_t addr, struct lock_grant *ret_g)
{
	struct host *h = container_of(l, struct host, locks);
	struct lock_holder holder;
	struct lockrec rec;
	struct held *e;
	struct caw c;
	int rc = caw_init(&c, &h->guard.disk, addr, h->super.sector_size);

	if (rc < 0)
		return rc;
	rc = acquire_local(h, addr, LOCK_EXCLUSIVE, LOCK_NOWAIT, 0, ret_g,
	    &holder, &e);
	if (rc == 0) {
		rc = create_record(h, &c, addr, &rec);
		if (rc == 0)
			acquired(h, e, rec.version, ret_g);
		else
			held_drop(&h->lm, e);
	}
	caw_fini(&c);
	return rc;
}

/* Takes us out of the record, or our offer back.  0 also when we are not in it
 * any more.  The caller has made it busy. */
static int
give_back(struct host *h, uint64_t addr)
{
	unsigned lost = 0;
	struct lockrec rec;
	struct caw c;
	int rc = caw_init(&c, &h->guard.disk, addr, h->super.sector_size);

	if (rc < 0)
		return rc;
	do {
		rc = lock_load(h, &c, addr, &rec);
		if (rc < 0 || (!lock_unstamp(h, &rec) &&
		    !handover_withdraw(h, &rec)))
			break;
		handover_offer(h, &rec);
		rc = commit(h, &c, &rec);
		if (rc == -VMFS_EMISCOMPARE)
			race_lost(h, &lost);
	} while (rc == -VMFS_EMISCOMPARE ||
	    (rc == 0 && handover_ended(h, &rec)));
	if (rc == 0) {
		host_saw_lsn(h, rec.version);
		handover_given(h, &rec);
	}
	caw_fini(&c);
	return rc;
}

static int
lm_release(struct lockops *l, struct lock_grant *g)
{
	struct host *h = container_of(l, struct host, locks);
	struct held *e = held_find(&h->lm, g->addr);
	uint64_t addr = g->addr;
	int rc;

	if (g->mode == LOCK_FREE)
		return 0;
	*g = (struct lock_grant){ 0 };
	if (e == NULL || e->busy)
		return -EINVAL;
	if (--e->refs > 0)
		return 0;
	e->busy = true;
	rc = give_back(h, addr);
	if (rc == 0)
		held_drop(&h->lm, e);
	else
		held_astray(h, e, rc);
	return rc;
}

bool
lock_busy(struct host *h, uint64_t addr)
{
	const struct held *e = held_find(&h->lm, addr);

	return e != NULL && e->busy;
}

int
lock_take_back(struct host *h, uint64_t addr)
{
	struct lockmgr *lm = &h->lm;
	struct held *e;
	int rc;

	/* What is offered is not held: handover_over. */
	assert(held_find(lm, addr) == NULL);
	e = calloc(1, sizeof(*e));
	if (e == NULL)
		return -ENOMEM;
	stray_forget(lm, addr);
	/* The offer has its own place in the table that outlives us. */
	*e = (struct held){ .addr = addr, .busy = true,
	    .kept = HOST_KEEP_LOCKS };
	list_add_tail(bucket(lm, addr), &e->node);
	rc = give_back(h, addr);
	held_drop(lm, e);
	return rc;
}

int
lockmgr_stray(struct host *h, uint64_t addr, uint32_t kept)
{
	struct held *e = calloc(1, sizeof(*e));

	if (e == NULL)
		return -ENOMEM;
	*e = (struct held){ .addr = addr, .kept = kept };
	list_add_tail(&h->lm.strays, &e->node);
	return 0;
}

void
lockmgr_tidy(struct host *h)
{
	struct lockmgr *lm = &h->lm;
	unsigned n = 0;

	if (h->resuming)
		return;
	handover_tidy(h);
	list_for_each(node, next, &lm->strays)
		n++;
	/* Those that fail again go to the end. */
	while (n-- > 0 && !list_empty(&lm->strays) && !h->stopping) {
		struct held *e = list_entry(list_pop(&lm->strays),
		    struct held, node);
		int rc;

		e->busy = true;
		list_add_tail(bucket(lm, e->addr), &e->node);
		rc = give_back(h, e->addr);
		if (rc == 0 || rc == -VMFS_ECORRUPT)
			held_drop(lm, e);
		else
			held_astray(h, e, rc);
	}
}

static int
lm_query(struct lockops *l, uint64_t addr, struct lock_holder *ret_holder)
{
	struct host *h = container_of(l, struct host, locks);
	struct lockrec rec;
	struct caw c;
	int rc = caw_init(&c, &h->guard.disk, addr, h->super.sector_size);

	if (rc < 0)
		return rc;
	rc = lock_load(h, &c, addr, &rec);
	if (rc == 0)
		rc = lock_describe(h, &rec, ret_holder);
	caw_fini(&c);
	return rc;
}

static int
lm_set_journal(struct lockops *l, uint64_t block, uint32_t blocks)
{
	struct host *h = container_of(l, struct host, locks);
	int rc;

	fiber_mutex_lock(&h->lm.journal);
	rc = beat_set_journal(&h->beat, block, blocks);
	if (rc == 0) {
		l->journal_block = block;
		l->journal_blocks = blocks;
	}
	fiber_mutex_unlock(&h->lm.journal);
	return rc;
}

void
host_set_super(struct host *h, const struct super *s)
{
	/* The heartbeat's thread looks at the timers: they stay as they are. */
	h->super.generation = s->generation;
	h->super.blocks = s->blocks;
	h->super.prev_blocks = s->prev_blocks;
	h->super.segments = s->segments;
	memcpy(h->super.segment, s->segment, sizeof(s->segment));
	h->super.extents = s->extents;
	memcpy(h->super.extent, s->extent, sizeof(s->extent));
	memcpy(h->super.label, s->label, sizeof(s->label));
}

static int
lm_set_super(struct lockops *l, const struct super *s)
{
	struct host *h = container_of(l, struct host, locks);
	int rc;

	fiber_mutex_lock(&h->lm.journal);
	host_set_super(h, s);
	rc = beat_set_super(&h->beat, s->generation);
	if (rc == 0)
		l->super_told = s->generation;
	fiber_mutex_unlock(&h->lm.journal);
	return rc;
}

static int
lm_ask_space(struct lockops *l)
{
	struct host *h = container_of(l, struct host, locks);
	int rc;

	if ((h->super.ro_compat & FEATURE_RO_COMPAT_ASKS) == 0)
		return -EOPNOTSUPP;
	fiber_mutex_lock(&h->lm.journal);
	rc = beat_ask_space(&h->beat);
	fiber_mutex_unlock(&h->lm.journal);
	return rc;
}

static const struct lockops_vt lockmgr_vt = {
	.acquire = lm_acquire,
	.create = lm_create,
	.release = lm_release,
	.query = lm_query,
	.set_journal = lm_set_journal,
	.set_super = lm_set_super,
	.add_lun = lm_add_lun,
	.del_lun = lm_del_lun,
	.ask_space = lm_ask_space,
};

void
lockmgr_init(struct host *h)
{
	h->locks.vt = &lockmgr_vt;
	for (unsigned i = 0; i < HELD_BUCKETS; i++)
		list_init(&h->lm.bucket[i]);
	list_init(&h->lm.strays);
	list_init(&h->lm.heirs);
	fiber_cond_init(&h->lm.changed);
	fiber_mutex_init(&h->lm.journal);
	h->lm.keep = h->conf.keep;
}

void
lockmgr_fini(struct host *h)
{
	struct list *node;

	/* After a crash or a fence what was held stays on the LUN. */
	for (unsigned i = 0; i < HELD_BUCKETS; i++)
		while ((node = list_pop(&h->lm.bucket[i])) != NULL)
			free(list_entry(node, struct held, node));
	handover_fini(h);
	while ((node = list_pop(&h->lm.strays)) != NULL)
		free(list_entry(node, struct held, node));
}
