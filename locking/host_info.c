/* SPDX-License-Identifier: BSD-2-Clause */
/* What others ask a host: its disk, its locks, what it sees. */
#include <stdio.h>
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

static void
describe(const struct host *h, unsigned slot, struct host_info *ret_i)
{
	const struct seen *s = &h->watch.seen[slot];
	struct host_info i = {
		.slot = slot, .state = s->rec.state, .host = s->rec.host,
		.incarnation = s->rec.incarnation, .pulse = s->rec.pulse,
		.mounted_us = s->rec.mounted_us, .pr_key = s->rec.pr_key,
	};

	memcpy(i.name, s->rec.name, sizeof(i.name));
	i.seen = watch_judge(h, slot, &i.silent_ms, &i.fence_in_ms);
	i.self = i.seen == HOLDER_SELF;
	i.net = h->member->ops->word(h->member, &i.host);
	if (i.state == SLOT_RECOVERING && s->rec.recoverer < SLOTS_MAX)
		memcpy(i.recoverer, h->watch.seen[s->rec.recoverer].rec.name,
		    sizeof(i.recoverer));
	*ret_i = i;
}

void
host_list(struct host *h, void (*fn)(void *arg, const struct host_info *i),
    void *arg)
{
	for (unsigned i = 0; i < SLOTS_MAX; i++) {
		struct host_info info;

		if (!h->watch.seen[i].known ||
		    h->watch.seen[i].rec.state == SLOT_FREE)
			continue;
		describe(h, i, &info);
		fn(arg, &info);
	}
}

bool
host_last_takeover(const struct host *h, struct takeover_report *ret_r)
{
	if (h->has_report)
		*ret_r = h->report;
	return h->has_report;
}

/* Clears what the dead hold; -VMFS_ELOCKED while one stands in the way. */
static int
break_once(struct host *h, struct caw *c, uint64_t addr,
    struct lock_holder *ret_holder)
{
	struct lockrec rec;
	int rc = caw_load(c);

	if (rc == 0)
		rc = lockrec_decode(c->old, &h->super.uuid, addr, &rec);
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
