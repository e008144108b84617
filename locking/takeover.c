/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Take-over of a dead incarnation (L4, L8).  The order is the safety argument:
 *
 *   1 fence      the victim provably cannot write any more
 *   2 mark       slot -> RECOVERING, incarnation + 1: one survivor wins, a
 *                late pulse of the victim miscompares
 *   3 look again a path of the victim that came up between 1 and 2 may have
 *                registered its key once more: fenced again.  What registers
 *                after 2 finds its slot taken and steps back
 *   4 replay     the journal of the old incarnation, idempotent
 *   5 free       slot -> FREE: only now its locks can be broken
 *
 * A recoverer that dies leaves RECOVERING behind; another host, once the
 * recoverer's own incarnation is over, marks the slot as its own and starts
 * over at 3.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "locking/host_int.h"

struct takeover {
	struct host *h;
	struct caw caw;
	struct heartbeat now;		/* the slot as last read */
	struct takeover_report report;
};

static uint64_t
elapsed_ms(struct host *h, uint64_t since_ns)
{
	return (env_now(h->env) - since_ns) / NSEC_PER_MSEC;
}

/* Only while our own lease is good: a sleeper must not act on old news. */
static int
check_ourselves(struct host *h)
{
	switch (guard_status(&h->guard)) {
	case HOST_OK:
		return guard_lease_good(&h->guard, h->env->sched) ? 0 :
		    -EAGAIN;
	case HOST_FROZEN:
		return -EAGAIN;
	case HOST_FENCED:
	case HOST_LEFT:
		break;
	}
	return -VMFS_EFENCED;
}

static int
fence(struct takeover *t, const struct heartbeat *victim)
{
	struct host *h = t->h;
	struct seen *s = &h->watch.seen[victim->slot];
	char why[WHY_SIZE] = "";
	uint64_t start = env_now(h->env);
	int rc = h->fence->prove(&h->paths, victim,
	    t->report.silent_ms, why);

	t->report.fence_ms += elapsed_ms(h, start);
	if (rc == -VMFS_EFENCED) {
		guard_doubt(&h->guard, "the own reservation key is gone");
		return rc;
	}
	if (rc < 0 && !s->stuck_told) {
		s->stuck_told = true;
		log_warn(h->env->log, "takeover: cannot fence slot=%u "
		    "host=\"%s\" silent_ms=%llu error=\"%s\" why=\"%s\"",
		    victim->slot, victim->name,
		    (unsigned long long)t->report.silent_ms,
		    vmfs_strerror(rc), why);
	}
	return rc;
}

/* Is the slot still what was judged? */
static bool
same_incarnation(const struct heartbeat *a, const struct heartbeat *b)
{
	return a->state == b->state && a->incarnation == b->incarnation &&
	    uuid_equal(&a->host, &b->host);
}

/* Makes us the recoverer of t->now. */
static int
mark(struct takeover *t)
{
	struct host *h = t->h;
	struct heartbeat next = t->now;
	int rc;

	/* A recovery that goes on is still that of the same incarnation. */
	if (next.state != SLOT_RECOVERING)
		next.incarnation++;
	next.state = SLOT_RECOVERING;
	next.recoverer = h->paths.slot;
	next.recoverer_incarnation = h->paths.incarnation;
	rc = slot_store(h, &t->caw, &next);
	if (rc == 0)
		t->now = next;
	return rc == -VMFS_EMISCOMPARE ? -EAGAIN : rc;
}

/* Did a key of the incarnation that is over come back before the mark? */
static int
look_again(struct takeover *t)
{
	struct heartbeat gone = t->now;

	/* What time has proven stays proven; there are no keys. */
	if (lease_by_time(t->h->super.protocol))
		return 0;
	gone.incarnation--;
	return fence(t, &gone);
}

static int
replay(struct takeover *t)
{
	struct host *h = t->h;
	struct heartbeat dead = t->now;
	uint64_t start = env_now(h->env);
	int rc = 0;

	dead.incarnation--;	/* as the dead host left it */
	if (dead.journal_block != 0)
		rc = recover_journal(h->env, &h->guard.disk, &h->super, &dead,
		    &t->report.replay);
	t->report.replay_ms = elapsed_ms(h, start);
	if (rc < 0)
		log_error(h->env->log, "takeover: replay failed slot=%u "
		    "host=\"%s\" incarnation=%llu error=\"%s\"; its locks stay "
		    "until it succeeds", dead.slot, dead.name,
		    (unsigned long long)dead.incarnation, vmfs_strerror(rc));
	else
		host_saw_lsn(h, t->report.replay.last_lsn);
	return rc;
}

static int
finish(struct takeover *t)
{
	struct heartbeat next = t->now;
	int rc;

	next.state = SLOT_FREE;
	/* Whoever breaks a lock of the dead goes on behind its clock. */
	if (t->report.replay.last_lsn > next.lsn)
		next.lsn = t->report.replay.last_lsn;
	rc = slot_store(t->h, &t->caw, &next);
	return rc == -VMFS_EMISCOMPARE ? -EAGAIN : rc;
}

static int
take(struct takeover *t, const struct heartbeat *victim)
{
	struct host *h = t->h;
	int rc = check_ourselves(h);

	if (rc == 0 && victim->state != SLOT_RECOVERING)
		rc = fence(t, victim);
	if (rc == 0)
		rc = slot_load(h, &t->caw, victim->slot, &t->now);
	if (rc == 0 && !same_incarnation(&t->now, victim))
		rc = -EAGAIN;
	if (rc == 0)
		rc = mark(t);
	if (rc == 0)
		rc = look_again(t);
	if (rc == 0)
		rc = replay(t);
	if (rc == 0)
		rc = finish(t);
	return rc;
}

int
takeover_run(struct host *h, unsigned slot, const struct heartbeat *seen)
{
	struct heartbeat victim = *seen;
	struct takeover t = { .h = h };
	int rc;

	rc = caw_init(&t.caw, &h->guard.disk, SLOT_TABLE_BLOCK + slot,
	    h->super.sector_size);
	if (rc < 0)
		return rc;
	fiber_mutex_lock(&h->taking);
	t.report.slot = slot;
	t.report.incarnation = victim.state == SLOT_RECOVERING ?
	    victim.incarnation - 1 : victim.incarnation;
	(void)snprintf(t.report.name, sizeof(t.report.name), "%s",
	    victim.name);
	(void)watch_judge(h, slot, &t.report.silent_ms, &(uint64_t){ 0 });
	t.report.net = h->member->ops->word(h->member, &victim.host);
	rc = take(&t, &victim);
	if (rc == 0) {
		h->report = t.report;
		h->has_report = true;
		log_info(h->env->log, "takeover: done slot=%u host=\"%s\" "
		    "incarnation=%llu silent_ms=%llu network=\"%s\" "
		    "fence_ms=%llu replay_ms=%llu applied=%llu", slot,
		    t.report.name, (unsigned long long)t.report.incarnation,
		    (unsigned long long)t.report.silent_ms,
		    member_word_name(t.report.net),
		    (unsigned long long)t.report.fence_ms,
		    (unsigned long long)t.report.replay_ms,
		    (unsigned long long)t.report.replay.applied);
	}
	fiber_mutex_unlock(&h->taking);
	caw_fini(&t.caw);
	return rc;
}
