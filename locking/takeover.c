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
#include <stdlib.h>
#include <string.h>

#include "libvmfs/core/ds.h"
#include "libvmfs/core/extents.h"
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

static void
step(struct takeover *t, enum takeover_step s)
{
	if (t->report.at_us[s] != 0)
		return;
	t->report.at_us[s] = t->h->env->wall_us(t->h->env);
	log_info(t->h->env->log, "takeover: step=%s slot=%u host=\"%s\" "
	    "incarnation=%llu cause=\"%s\"", takeover_step_name(s),
	    t->report.slot, t->report.name,
	    (unsigned long long)t->report.incarnation,
	    takeover_cause_name(t->report.cause));
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
heed(struct host *h, int rc)
{
	if (rc == -VMFS_EFENCED)
		guard_doubt(&h->guard, "the own reservation key is gone");
	return rc;
}

/*
 * Whoever ended the victim's commands goes on and is seen to.  If not, what the
 * LUN had accepted is over after the longest life of an I/O.
 */
static int
outlast(struct takeover *t, const struct heartbeat *victim)
{
	struct host *h = t->h;
	struct seen *s = &h->watch.seen[victim->slot];

	if (s->silenced != victim->incarnation) {
		s->silenced = victim->incarnation;
		s->silenced_ns = env_now(h->env);
		log_info(h->env->log, "takeover: another host fences slot=%u "
		    "host=\"%s\"", victim->slot, victim->name);
	}
	return elapsed_ms(h, s->silenced_ns) >= LEASE_BOUND_MS ? 0 : -EAGAIN;
}

/*
 * The victim may have a write on its way to any LUN of the datastore: proof is
 * what all of them say, by the newest superblock.  None is added meanwhile that
 * anybody allocates on: for that we have to tell that we know it (host_lun.c).
 */
static int
has_all_luns(struct host *h, char why[WHY_SIZE])
{
	struct super s;
	int rc = super_read(h->lun, &s);

	/* All copies are damaged: what we know is what the victim knew, or its
	 * journal is not replayed before they can be read (follow_super). */
	if (rc == -VMFS_ECORRUPT || rc == -VMFS_ENOTVMFS)
		s = h->super;
	else if (rc < 0 && rc != -ERANGE)
		return rc;
	/* Whoever has added one may be the one who died. */
	if (s.generation > h->met_super)
		h->met_super = s.generation;
	for (unsigned i = 1; i < s.extents; i++) {
		if (extents_has(h->lun, &s.extent[i].uuid))
			continue;
		why_say(why, "extent %u of the datastore is missing on this "
		    "host, and a dead host may still write there; bring its "
		    "LUN back (vmfsctl ds extent ls)", i);
		return -VMFS_EINUSE;
	}
	return 0;
}

static int
prove(struct takeover *t, const struct heartbeat *victim)
{
	struct host *h = t->h;
	int rc = h->fence->needs_luns ? has_all_luns(h, t->report.why) : 0;

	return rc < 0 ? rc : h->fence->prove(&h->paths, victim,
	    t->report.silent_ms, t->report.why);
}

static int
fence(struct takeover *t, const struct heartbeat *victim)
{
	struct host *h = t->h;
	struct seen *s = &h->watch.seen[victim->slot];
	char *why = t->report.why;
	uint64_t start = env_now(h->env);
	int rc = prove(t, victim);

	if (rc == 0)
		step(t, TAKEOVER_FENCED);
	t->report.fence_ms += elapsed_ms(h, start);
	if (rc == -EINPROGRESS)
		return outlast(t, victim);
	s->silenced = 0;
	if (heed(h, rc) < 0 && rc != -VMFS_EFENCED && !s->stuck_told) {
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
	if (rc == 0) {
		t->now = next;
		step(t, TAKEOVER_MARKED);
	}
	return rc == -VMFS_EMISCOMPARE ? -EAGAIN : rc;
}

/* Did a key of the incarnation that is over come back before the mark? */
static int
look_again(struct takeover *t)
{
	struct host *h = t->h;
	const struct seen *s = &h->watch.seen[t->now.slot];
	struct heartbeat gone = t->now;
	char why[WHY_SIZE] = "";
	bool back = false;
	int rc;

	/* What time has proven stays proven; there are no keys. */
	if (lease_by_time(h->super.protocol))
		return 0;
	gone.incarnation--;
	if (h->fence->came_back == NULL)
		return fence(t, &gone);
	rc = has_all_luns(h, t->report.why);
	if (rc == 0)
		rc = h->fence->came_back(&h->paths, &gone, &back, why);
	if (rc < 0)
		return heed(h, rc);
	if (!back)
		return s->silenced == gone.incarnation ? outlast(t, &gone) : 0;
	return fence(t, &gone);
}

/* The dead knew space that the volume has got since we looked. */
static int
follow_super(struct host *h, uint64_t generation)
{
	struct super s;
	unsigned copies;
	int rc;

	if (generation <= h->super.generation)
		return 0;
	rc = super_reload(&h->guard.disk, &s, &copies);
	if (rc == 0 && s.generation > h->super.generation)
		host_set_super(h, &s);
	return rc;
}

static int
replay(struct takeover *t)
{
	struct host *h = t->h;
	struct heartbeat dead = t->now;
	uint64_t start = env_now(h->env);
	int rc = follow_super(h, dead.super_generation);

	dead.incarnation--;	/* as the dead host left it */
	if (rc == 0 && dead.journal_block != 0)
		rc = recover_journal(h->env, &h->guard.replay, &h->super, &dead,
		    &t->report.replay);
	t->report.replay_ms = elapsed_ms(h, start);
	if (rc < 0)
		why_say(t->report.why, "its journal cannot be replayed: %s; its "
		    "locks stay until it can", vmfs_strerror(rc));
	if (rc < 0)
		log_error(h->env->log, "takeover: replay failed slot=%u "
		    "host=\"%s\" incarnation=%llu error=\"%s\"; its locks stay "
		    "until it succeeds", dead.slot, dead.name,
		    (unsigned long long)dead.incarnation, vmfs_strerror(rc));
	else
		host_saw_lsn(h, t->report.replay.last_lsn);
	if (rc == 0)
		step(t, TAKEOVER_REPLAYED);
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
	if (rc == 0)
		step(t, TAKEOVER_FREED);
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

static void
begin(struct takeover *t, const struct heartbeat *victim,
    enum takeover_cause cause)
{
	struct host *h = t->h;
	struct takeover_report *r = &t->report;

	r->slot = victim->slot;
	r->cause = cause;
	r->incarnation = victim->incarnation;
	if (victim->state == SLOT_RECOVERING) {
		r->incarnation--;
		r->cause = TAKEOVER_RESUMED;
	}
	memcpy(r->name, victim->name, sizeof(r->name));
	memcpy(r->by, h->name, sizeof(r->by));
	(void)watch_judge(h, victim->slot, &r->silent_ms, &(uint64_t){ 0 });
	r->net = h->member->ops->word(h->member, &victim->host);
	r->at_us[TAKEOVER_BEGUN] = h->env->wall_us(h->env);
}

static void
tell(const struct takeover *t)
{
	const struct takeover_report *r = &t->report;

	log_info(t->h->env->log, "takeover: done slot=%u host=\"%s\" "
	    "incarnation=%llu silent_ms=%llu network=\"%s\" "
	    "fence_ms=%llu replay_ms=%llu applied=%llu", r->slot,
	    r->name, (unsigned long long)r->incarnation,
	    (unsigned long long)r->silent_ms, member_word_name(r->net),
	    (unsigned long long)r->fence_ms, (unsigned long long)r->replay_ms,
	    (unsigned long long)r->replay.applied);
}

int
takeover_run(struct host *h, unsigned slot, const struct heartbeat *seen,
    enum takeover_cause cause, struct takeover_report *ret_r)
{
	struct heartbeat victim = *seen;
	struct takeover t = { .h = h };
	int rc;

	rc = caw_init(&t.caw, &h->guard.disk, SLOT_TABLE_BLOCK + slot,
	    h->super.sector_size);
	if (rc < 0)
		return rc;
	fiber_mutex_lock(&h->taking);
	begin(&t, &victim, cause);
	rc = take(&t, &victim);
	t.report.result = rc;
	if (rc < 0 && t.report.why[0] == '\0')
		why_say(t.report.why, "%s", vmfs_strerror(rc));
	if (rc == 0)
		tell(&t);
	/* Another host is at it: what it does will be seen. */
	if (rc != -EAGAIN)
		history_put(h, &t.report);
	fiber_mutex_unlock(&h->taking);
	caw_fini(&t.caw);
	if (ret_r != NULL)
		*ret_r = t.report;
	return rc;
}
