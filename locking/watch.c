/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Watch over the other hosts: all slots in one read per pulse.  What counts is
 * whether an image changed, timed on our own clock (L1); the owner's published
 * timers tell how long silence may last.
 */
#include <stdlib.h>
#include <string.h>

#include "locking/host_int.h"

#define TABLE_BYTES ((size_t)SLOTS_MAX * BLOCK_SIZE)
#define TRIES 3
#define WORDS_PER_PULSE 20

/* A part of the table. */
static int
part_read(struct disk *lun, uint8_t *table, size_t at, size_t len)
{
	int rc = 0;

	for (int i = 0; i < TRIES; i++) {
		rc = disk_read(lun, (uint64_t)SLOT_TABLE_BLOCK * BLOCK_SIZE +
		    at, table + at, len);
		if (rc != -VMFS_EATTENTION && rc != -VMFS_EUNKNOWN)
			break;
	}
	return rc;
}

/* Those that are not whole, once more after a pause. */
static int
torn_read(struct disk *lun, uint8_t *table, unsigned look)
{
	bool paused = false;
	int rc = 0;

	for (size_t at = 0; at < TABLE_BYTES && rc == 0; at += BLOCK_SIZE) {
		if (record_is_whole(table + at))
			continue;
		if (!paused)
			record_pause(look);
		paused = true;
		rc = part_read(lun, table, at, BLOCK_SIZE);
	}
	return rc;
}

int
slots_read(struct disk *lun, void *table)
{
	size_t step = TABLE_BYTES;
	int rc = 0;

	if (lun->info.max_transfer != 0 && lun->info.max_transfer < step)
		step = lun->info.max_transfer / BLOCK_SIZE * BLOCK_SIZE;
	if (step == 0)
		step = BLOCK_SIZE;
	for (size_t at = 0; at < TABLE_BYTES && rc == 0; at += step)
		rc = part_read(lun, table, at, TABLE_BYTES - at < step ?
		    TABLE_BYTES - at : step);
	for (unsigned i = 1; i < RECORD_LOOKS && rc == 0; i++)
		rc = torn_read(lun, table, i);
	return rc;
}

/* For space, since we looked last; it may have joined meanwhile. */
static bool
has_asked(const struct heartbeat *before, const struct heartbeat *now)
{
	return now->space_asked > (now->incarnation == before->incarnation ?
	    before->space_asked : 0);
}

static void
note(struct host *h, unsigned slot, uint64_t now)
{
	struct seen *s = &h->watch.seen[slot];
	const uint8_t *image = h->watch.table + (size_t)slot * BLOCK_SIZE;
	struct heartbeat before = s->rec;
	bool knew = s->known;

	if ((s->known || s->corrupt) &&
	    memcmp(s->image, image, sizeof(s->image)) == 0)
		return;
	memcpy(s->image, image, sizeof(s->image));
	s->known = heartbeat_decode(image, &h->super.uuid, slot, &s->rec) == 0;
	if (knew && s->known && slot != h->paths.slot && has_asked(&before,
	    &s->rec))
		h->locks.space_asked++;
	if (knew && s->known)
		history_saw(h, &before, &s->rec,
		    (now - s->changed_ns) / NSEC_PER_MSEC);
	if (!s->known && !s->corrupt)
		log_error(h->env->log, "watch: slot damaged slot=%u", slot);
	s->corrupt = !s->known;
	s->changed_ns = now;
	s->stuck_told = false;
	s->again_ns = 0;
}

/* Times all others anew, after we could not look. */
static void
watch_rebase(struct host *h)
{
	uint64_t now = env_now(h->env);

	for (unsigned i = 0; i < SLOTS_MAX; i++)
		h->watch.seen[i].changed_ns = now;
}

/* Which superblocks the members go by: all who can still write, also one whose
 * slot is damaged by now. */
static void
note_supers(struct host *h)
{
	uint64_t seen = 0, all = UINT64_MAX;

	for (unsigned i = 0; i < SLOTS_MAX; i++) {
		const struct seen *s = &h->watch.seen[i];

		if (s->rec.state == SLOT_FREE ||
		    s->rec.state == SLOT_RECOVERING)
			continue;
		if (s->rec.super_generation > seen)
			seen = s->rec.super_generation;
		if (s->rec.super_generation < all)
			all = s->rec.super_generation;
	}
	h->locks.super_seen = h->met_super > seen ? h->met_super : seen;
	h->locks.super_all = seen == 0 ? 0 : all;
}

static void
count_dying(struct host *h)
{
	uint64_t silent_ms, unused;

	h->locks.dying = 0;
	for (unsigned i = 0; i < SLOTS_MAX; i++) {
		const struct seen *s = &h->watch.seen[i];
		enum holder_state state;

		if (!s->known || i == h->paths.slot ||
		    s->rec.state == SLOT_FREE)
			continue;
		state = watch_judge(h, i, &silent_ms, &unused);
		h->locks.dying += state == HOLDER_RECOVERING ||
		    silent_ms > s->rec.timers.pulse_ms * 3 / 2;
	}
}

static int
read_and_note(struct host *h)
{
	struct watch *w = &h->watch;
	uint64_t submitted = env_now(h->env), done;
	int rc = slots_read(h->lun, w->table);

	if (rc < 0)
		return rc;
	done = env_now(h->env);
	for (unsigned i = 0; i < SLOTS_MAX; i++)
		note(h, i, done);
	note_supers(h);
	/* Silence while we could not look is no silence (L7). */
	if (w->done_ns != 0 && done - w->done_ns > h->lease.blind_ns)
		watch_rebase(h);
	w->sampled_ns = submitted;
	w->done_ns = done;
	count_dying(h);
	return 0;
}

int
watch_read(struct host *h)
{
	int rc;

	fiber_mutex_lock(&h->watch.reading);
	rc = read_and_note(h);
	fiber_mutex_unlock(&h->watch.reading);
	return rc;
}

/* How long the image is known to have been the same. */
static uint64_t
silence(const struct watch *w, const struct seen *s)
{
	return w->sampled_ns > s->changed_ns ?
	    w->sampled_ns - s->changed_ns : 0;
}

/* Silence after which the owner of a slot is fenced. */
static uint64_t
patience(const struct host *h, const struct seen *s)
{
	struct lease theirs = lease_of(&s->rec.timers);
	uint64_t fence = theirs.fence_ns > h->lease.fence_ns ?
	    theirs.fence_ns : h->lease.fence_ns;

	/* Our own past cannot send any more; what it sent has an end. */
	if (lease_by_time(h->super.protocol))
		return uuid_equal(&s->rec.host, &h->conf.host) ?
		    h->super.timers.bound_ms * NSEC_PER_MSEC : fence;
	if (h->lease.fence_hint_ns < fence &&
	    h->member->ops->word(h->member, &s->rec.host) == MEMBER_GONE)
		return h->lease.fence_hint_ns;
	return fence;
}

enum holder_state
watch_judge(const struct host *h, unsigned slot, uint64_t *ret_silent_ms,
    uint64_t *ret_fence_in_ms)
{
	const struct seen *s = &h->watch.seen[slot];
	uint64_t silent = silence(&h->watch, s), limit;

	*ret_silent_ms = silent / NSEC_PER_MSEC;
	*ret_fence_in_ms = 0;
	if (!s->known || s->rec.state == SLOT_FREE)
		return HOLDER_DEAD;
	if (slot == h->paths.slot &&
	    s->rec.incarnation == h->paths.incarnation) {
		*ret_silent_ms = 0;
		return HOLDER_SELF;
	}
	if (s->rec.state == SLOT_RECOVERING)
		return HOLDER_RECOVERING;
	if (silent < h->lease.freeze_ns)
		return HOLDER_LIVE;
	limit = patience(h, s);
	/* Zero means "not suspect": it is at least about to happen. */
	*ret_fence_in_ms = silent < limit ?
	    (limit - silent) / NSEC_PER_MSEC + 1 : 1;
	return HOLDER_SUSPECT;
}

/* May the recovery of this slot be taken over? */
static bool
recovery_orphaned(const struct host *h, const struct seen *s)
{
	const struct seen *r;

	assert(s->rec.recoverer < SLOTS_MAX);
	if (s->rec.recoverer == h->paths.slot)
		return true;	/* ours, failed; or of our slot's last owner */
	r = &h->watch.seen[s->rec.recoverer];
	return r->known && (r->rec.state == SLOT_FREE ||
	    r->rec.state == SLOT_RECOVERING ||
	    r->rec.incarnation > s->rec.recoverer_incarnation);
}

static bool
is_due(const struct host *h, unsigned slot)
{
	const struct seen *s = &h->watch.seen[slot];

	if (!s->known || slot == h->paths.slot ||
	    env_now(h->env) < s->again_ns)
		return false;
	switch (s->rec.state) {
	case SLOT_FREE:
		return false;
	case SLOT_RECOVERING:
		return recovery_orphaned(h, s);
	case SLOT_LIVE:
	case SLOT_STOPPING:
		break;
	}
	return silence(&h->watch, s) >= patience(h, s);
}

/* When the next owner may have been silent for long enough. */
static uint64_t
next_due(const struct host *h)
{
	const struct watch *w = &h->watch;
	uint64_t due = UINT64_MAX;

	for (unsigned i = 0; i < SLOTS_MAX; i++) {
		const struct seen *s = &w->seen[i];

		if (!s->known || i == h->paths.slot ||
		    (s->rec.state != SLOT_LIVE &&
		    s->rec.state != SLOT_STOPPING) ||
		    silence(w, s) < h->lease.pulse_ns)
			continue;
		if (s->changed_ns + patience(h, s) < due)
			due = s->changed_ns + patience(h, s);
	}
	return due;
}

/* A pulse from now, or sooner when somebody's time is up. */
static uint64_t
next_look(struct host *h)
{
	uint64_t now = env_now(h->env), wait = h->lease.pulse_ns;
	uint64_t due = next_due(h);

	wait -= env_random_u64(h->env) % (wait / 10 + 1);
	return due > now && due < now + wait ? due : now + wait;
}

static int
take_over(struct host *h, unsigned slot)
{
	const struct heartbeat *hb = &h->watch.seen[slot].rec;

	return takeover_run(h, slot, hb, uuid_equal(&hb->host,
	    &h->conf.host) ? TAKEOVER_OWN_PAST : TAKEOVER_SILENCE, NULL);
}

static void
act(struct host *h)
{
	for (unsigned i = 0; i < SLOTS_MAX && !h->stopping; i++) {
		struct seen *s = &h->watch.seen[i];

		/* Only a host that is itself in order may judge others. */
		if (guard_status(&h->guard) != HOST_OK)
			return;
		if (is_due(h, i) && take_over(h, i) < 0)
			s->again_ns = env_now(h->env) + h->lease.pulse_ns;
	}
}

/*
 * Until `next`.  While somebody is silent the network is asked more often,
 * which costs no I/O: its word may come when his time is up already.
 */
static void
rest(struct host *h, uint64_t next)
{
	uint64_t step = h->lease.pulse_ns / WORDS_PER_PULSE;
	bool late = next_due(h) <= env_now(h->env);

	while (!h->stopping && env_now(h->env) < next) {
		uint64_t due = next_due(h), until = env_now(h->env) + step;

		if (!late && due <= env_now(h->env))
			return;
		if (late || due == UINT64_MAX || until > next)
			until = next;
		(void)fiber_cond_wait_until(&h->watch.wake, until);
	}
}

static void
watch_main(void *arg)
{
	struct host *h = arg;
	struct watch *w = &h->watch;
	enum host_status before = HOST_OK;

	while (!h->stopping) {
		uint64_t next;
		enum host_status now = guard_status(&h->guard);

		if (now == HOST_FENCED)
			break;
		if (now != HOST_OK || before != HOST_OK) {
			watch_rebase(h);
			w->done_ns = 0;
		}
		before = now;
		if (watch_read(h) < 0) {
			next = env_now(h->env) + h->lease.retry_ns;
		} else {
			act(h);
			if (guard_status(&h->guard) == HOST_OK)
				lockmgr_tidy(h);
			next = next_look(h);
		}
		if (host_has_late(h))
			guard_doubt(&h->guard, "a path came up that is not "
			    "registered");
		rest(h, next);
	}
	w->running = false;
	fiber_cond_broadcast(&w->wake);
}

int
watch_start(struct host *h)
{
	int rc;

	h->watch.running = true;
	rc = sched_spawn(h->env->sched, "watch", watch_main, h);
	if (rc < 0)
		h->watch.running = false;
	return rc;
}

void
watch_stop(struct host *h)
{
	assert(h->stopping);
	while (h->watch.running) {
		fiber_cond_broadcast(&h->watch.wake);
		fiber_cond_wait(&h->watch.wake);
	}
}
