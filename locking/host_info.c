/* SPDX-License-Identifier: BSD-2-Clause */
/* What others ask a host: its disk, its locks, what it sees. */
#include <stdlib.h>
#include <string.h>

#include "locking/lock_int.h"

struct disk *
host_disk(struct host *h)
{
	return &h->guard.disk;
}

struct lockops *
host_locks(struct host *h)
{
	return &h->locks;
}

enum host_status
host_status(const struct host *h)
{
	return guard_status(&h->guard);
}

void
recoverer_name(const struct host *h, const struct heartbeat *hb,
    char ret_name[HOST_NAME_MAX_BYTES + 1])
{
	const struct heartbeat *r;

	ret_name[0] = '\0';
	if (hb->recoverer_incarnation == 0 || hb->recoverer >= SLOTS_MAX)
		return;
	r = &h->watch.seen[hb->recoverer].rec;
	/* Whoever ended it left the name there. */
	if (r->incarnation == hb->recoverer_incarnation ||
	    (r->incarnation == hb->recoverer_incarnation + 1 &&
	    (r->state == SLOT_RECOVERING || r->state == SLOT_FREE)))
		memcpy(ret_name, r->name, sizeof(r->name));
}

int
host_error(const struct host *h)
{
	return atomic_load(&h->guard.error);
}

static void
describe(const struct host *h, unsigned slot, struct host_info *ret_i)
{
	const struct seen *s = &h->watch.seen[slot];
	const struct takeover_report *pending;
	struct host_info i = {
		.slot = slot, .state = s->rec.state, .host = s->rec.host,
		.incarnation = s->rec.incarnation, .pulse = s->rec.pulse,
		.since_us = s->rec.mounted_us, .pr_key = s->rec.pr_key,
	};

	memcpy(i.name, s->rec.name, sizeof(i.name));
	i.seen = watch_judge(h, slot, &i.silent_ms, &i.fence_in_ms);
	i.self = i.seen == HOLDER_SELF;
	i.unheard = !i.self && guard_status(&h->guard) != HOST_OK;
	if (i.unheard) {
		i.silent_ms = (env_now(h->env) - h->watch.sampled_ns) /
		    NSEC_PER_MSEC;
		i.fence_in_ms = 0;
	}
	i.net = h->member->ops->word(h->member, &i.host);
	/* A fenced host looks no more: it cannot see its recovery end. */
	if (guard_status(&h->guard) == HOST_FENCED && slot == h->paths.slot)
		i.state = SLOT_FREE;
	i.at_large = i.state == SLOT_FREE && slot_at_large(&s->rec);
	if (slot_at_large(&s->rec))
		recoverer_name(h, &s->rec, i.recoverer);
	if (slot_at_large(&s->rec))
		i.since_us = history_end(h, slot, i.incarnation - 1);
	pending = history_pending(h, slot, i.state == SLOT_RECOVERING ?
	    i.incarnation - 1 : i.incarnation);
	/* One that pulses again is not to be taken over any more. */
	if (pending != NULL && i.seen != HOLDER_LIVE)
		memcpy(i.stuck, pending->why, sizeof(i.stuck));
	*ret_i = i;
}

void
host_list(struct host *h, void (*fn)(void *arg, const struct host_info *i),
    void *arg)
{
	for (unsigned i = 0; i < SLOTS_MAX; i++) {
		struct host_info info;

		if (!h->watch.seen[i].known ||
		    (h->watch.seen[i].rec.state == SLOT_FREE &&
		    !slot_at_large(&h->watch.seen[i].rec)))
			continue;
		describe(h, i, &info);
		fn(arg, &info);
	}
}

/* Clears what the dead hold; -VMFS_ELOCKED while one stands in the way. */
static int
break_once(struct host *h, struct caw *c, uint64_t addr,
    struct lock_holder *ret_holder)
{
	struct lockrec rec;
	int rc = lock_load(h, c, addr, &rec);

	if (rc == 0)
		rc = lock_describe(h, &rec, ret_holder);
	if (rc < 0)
		return rc;
	if (rec.mode == LOCK_FREE)
		return 0;
	if (ret_holder->mode != LOCK_FREE && ret_holder->state != HOLDER_DEAD)
		return -VMFS_ELOCKED;
	rec = (struct lockrec){
		.addr = addr, .version = rec.version + 1,
		.nonce = env_random_u64(h->env),
		.lsn = rec.lsn > h->locks.lsn ? rec.lsn : h->locks.lsn,
	};
	lockrec_encode(c->image, &h->super.uuid, &rec);
	return caw_commit(c);
}

int
host_lock_break(struct host *h, uint64_t addr, struct lock_holder *ret_holder)
{
	struct caw c;
	int rc = caw_init(&c, &h->guard.disk, addr, h->super.sector_size);

	if (rc < 0)
		return rc;
	do
		rc = break_once(h, &c, addr, ret_holder);
	while (rc == -VMFS_EMISCOMPARE);
	caw_fini(&c);
	return rc;
}

int
host_lock_holders(struct host *h, uint64_t addr,
    void (*fn)(void *arg, const struct lock_holder *one), void *arg)
{
	struct lockrec rec;
	struct caw c;
	int rc = caw_init(&c, &h->guard.disk, addr, h->super.sector_size);

	if (rc < 0)
		return rc;
	rc = lock_load(h, &c, addr, &rec);
	caw_fini(&c);
	return rc < 0 ? rc : lock_each(h, &rec, fn, arg);
}
