/* SPDX-License-Identifier: BSD-2-Clause */
/* Joining and leaving a datastore. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libvmfs/core/extents.h"
#include "locking/host_int.h"
#include "locking/reserve.h"

#define RECLAIM_TRIES 20
#define RECLAIM_PAUSE_NS (50 * NSEC_PER_MSEC)

/* ---- what the guard asks and tells ---- */

/* Reads the own slot past the guard: is it still ours? */
int
host_check_slot(struct host *h, char why[WHY_SIZE])
{
	struct heartbeat hb;
	struct caw c;
	int rc = caw_init(&c, h->lun, SLOT_TABLE_BLOCK + h->paths.slot,
	    h->super.sector_size);

	if (rc < 0)
		return rc;
	rc = slot_load(h, &c, h->paths.slot, &hb);
	caw_fini(&c);
	if (rc == -VMFS_EGONE)
		why_say(why, "LUN %s is permanently "
		    "gone", h->lun->info.name);
	if (rc < 0 && rc != -VMFS_ECORRUPT)
		return rc;
	if (rc < 0 || hb.state == SLOT_FREE || hb.state == SLOT_RECOVERING ||
	    hb.incarnation != h->paths.incarnation ||
	    !uuid_equal(&hb.host, &h->conf.host)) {
		why_say(why, "%s", "the own heartbeat "
		    "slot was taken by another host: this incarnation is over");
		return -VMFS_EFENCED;
	}
	return 0;
}

/*
 * Paths that came up late get our key, and carry writes only if the slot is
 * ours after that: before, a survivor may have fenced us, and would not see
 * a key that came back.  One that fences us now sees it when it looks again
 * behind its mark (takeover.c).
 */
static int
admit_late(struct host *h, char why[WHY_SIZE])
{
	int rc;

	h->fence->late_enter(&h->paths);
	rc = host_check_slot(h, why);
	h->fence->late_settle(&h->paths, rc == 0);
	return rc;
}

static int
validate(void *arg, char why[WHY_SIZE])
{
	struct host *h = arg;
	int rc = host_check_slot(h, why);

	/* A further LUN may leave meanwhile. */
	extents_hold(h->lun);
	if (rc == 0)
		rc = h->fence->check_self(&h->paths, why);
	if (rc == 0 && h->fence->late_enter != NULL && host_has_late(h))
		rc = admit_late(h, why);
	extents_release(h->lun);
	return rc;
}

static void
on_status(void *arg, enum host_status status, const char *why)
{
	struct host *h = arg;

	if (h->conf.on_status != NULL && !h->stopping)
		h->conf.on_status(h->conf.arg, status, why);
}

/* ---- joining ---- */

int
host_check_disk(const struct host *h, const struct disk *d,
    char why[WHY_SIZE])
{
	if ((d->info.caps & DISK_CAP_READONLY) != 0) {
		why_say(why, "LUN %s is read-only",
		    d->info.name);
		return -EROFS;
	}
	if ((d->info.caps & h->fence->caps) != h->fence->caps) {
		why_say(why, "the datastore's lock "
		    "protocol needs %s, which LUN %s does not offer",
		    h->fence->needs, d->info.name);
		return -EOPNOTSUPP;
	}
	if (d->info.block_size > h->super.sector_size) {
		why_say(why, "LUN %s has sectors of %u "
		    "bytes, the datastore was made for %u", d->info.name,
		    d->info.block_size, h->super.sector_size);
		return -EOPNOTSUPP;
	}
	return 0;
}

/* Whoever fences us looks on every LUN, and so do we. */
static int
check_extents(struct host *h, char why[WHY_SIZE])
{
	if (h->super.extents == 1 || extents_is(h->lun))
		return 0;
	why_say(why, "the datastore has %u LUNs", h->super.extents);
	return -EOPNOTSUPP;
}

static int
check_terms(struct host *h, char why[WHY_SIZE])
{
	const struct timers *t = &h->super.timers;
	int rc;

	h->fence = fence_of(h->super.protocol, why);
	if (h->fence == NULL)
		return -EOPNOTSUPP;
	if (!lease_timers_ok(t, h->super.protocol)) {
		why_say(why, "the datastore's timers do "
		    "not fit together (pulse %u, I/O %u, freeze %u, fence %u, "
		    "hint %u ms)", t->pulse_ms, t->io_ms, t->freeze_ms,
		    t->fence_ms, t->fence_hint_ms);
		return -EINVAL;
	}
	if (h->fence->needs_watchdog && h->conf.watchdog == NULL) {
		why_say(why, "the datastore's lock protocol is \"%s\": its LUN "
		    "cannot fence a host that hangs, so every host needs a "
		    "watchdog; set watchdog = /dev/watchdog in vmfsd.conf (or "
		    "process, which ends vmfsd alone)",
		    lock_protocol_name(h->super.protocol));
		return -EOPNOTSUPP;
	}
	rc = host_check_disk(h, h->lun, why);
	if (rc == 0)
		rc = host_check_disk(h, h->hb_lun, why);
	return rc < 0 ? rc : check_extents(h, why);
}

static bool
timers_equal(const struct timers *a, const struct timers *b)
{
	return a->pulse_ms == b->pulse_ms && a->io_ms == b->io_ms &&
	    a->freeze_ms == b->freeze_ms && a->fence_ms == b->fence_ms &&
	    a->fence_hint_ms == b->fence_hint_ms;
}

/* All members run by the same timers (L9). */
static int
check_timers(struct host *h, char why[WHY_SIZE])
{
	for (unsigned i = 0; i < SLOTS_MAX; i++) {
		const struct seen *s = &h->watch.seen[i];

		/* Those of our own past are about to end. */
		if (!s->known || s->rec.state == SLOT_FREE ||
		    uuid_equal(&s->rec.host, &h->conf.host) ||
		    timers_equal(&s->rec.timers, &h->super.timers))
			continue;
		why_say(why, "host \"%s\" (slot %u) runs "
		    "by other timers than the superblock's; unmount the "
		    "datastore there first", s->rec.name, i);
		return -VMFS_EINUSE;
	}
	return 0;
}

/* It must end a host that is stuck within the time that others allow it. */
static int
check_watchdog(const struct host *h, char why[WHY_SIZE])
{
	unsigned ms = watchdog_timeout_ms(h->conf.watchdog);

	if (!h->fence->needs_watchdog ||
	    (ms != 0 && ms <= h->super.timers.watchdog_ms))
		return 0;
	why_say(why, "watchdog %s resets after %u ms (0: it does not tell), "
	    "the datastore's protocol counts on %u ms; make it shorter, or "
	    "make the datastore with --timers=watchdog=",
	    watchdog_name(h->conf.watchdog), ms, h->super.timers.watchdog_ms);
	return -EOPNOTSUPP;
}

static int
enter_watchdog(struct host *h, char why[WHY_SIZE])
{
	int rc;

	if (h->conf.watchdog == NULL)
		return 0;
	h->petter = (struct petter){
		.env = h->beat.env, .guard = &h->guard,
		.share = h->conf.watchdog,
		.every_ns = h->lease.pulse_ns,
	};
	rc = watchdog_enter(h->conf.watchdog, &h->petter.lease,
	    h->claimed_ns + h->lease.freeze_ns, why);
	if (rc < 0)
		return rc;
	h->watched = true;
	h->beat.petter = &h->petter;
	return check_watchdog(h, why);
}

static int
start(struct host *h, char why[WHY_SIZE])
{
	struct guard_conf conf = {
		.env = h->env, .below = h->lun,
		.freeze_ns = h->lease.freeze_ns,
		.retry_ns = h->lease.retry_ns,
		.conflicts_pass = h->super.protocol == LOCK_RESERVE,
		.validate = validate, .on_status = on_status, .arg = h,
	};
	int rc = guard_start(&h->guard, &conf);

	if (rc < 0)
		return rc;
	h->guarded = true;
	guard_pulse(&h->guard, h->claimed_ns);
	rc = enter_watchdog(h, why);
	if (rc == 0)
		rc = beat_start(&h->beat);
	if (rc < 0)
		return rc;
	h->beating = true;
	return 0;
}

/*
 * The kernel may still be at the last I/O of a process whose other locks are
 * gone: on a file LUN its hold shows that, and we wait for it a little.
 */
static int
reclaim_slot(struct host *h, unsigned slot)
{
	int rc = -VMFS_EINUSE;

	for (int i = 0; i < RECLAIM_TRIES && rc == -VMFS_EINUSE; i++) {
		if (i > 0)
			fiber_sleep(RECLAIM_PAUSE_NS);
		rc = takeover_run(h, slot, &h->watch.seen[slot].rec,
		    TAKEOVER_OWN_PAST, NULL);
	}
	return rc;
}

/* Ends our own past at once: nobody has to wait for it to be silent. */
static void
reclaim(struct host *h, const bool stale[SLOTS_MAX])
{
	/* Where time is the proof the watch does it when it has come. */
	if (lease_by_time(h->super.protocol))
		return;
	for (unsigned i = 0; i < SLOTS_MAX; i++) {
		struct seen *s = &h->watch.seen[i];

		if (!stale[i] || i == h->paths.slot)
			continue;
		/* What fails here, the watch tries again. */
		if (reclaim_slot(h, i) < 0)
			log_warn(h->env->log, "host: own stale incarnation "
			    "not ended yet slot=%u incarnation=%llu", i,
			    (unsigned long long)s->rec.incarnation);
	}
}

/* Of keys on the LUN: has the incarnation ended?  One that is about to be
 * claimed lies above its slot's. */
static bool
is_over(void *arg, unsigned slot, uint64_t incarnation)
{
	const struct host *h = arg;
	const struct seen *s = &h->watch.seen[slot];

	if (!s->known)
		return false;
	return incarnation < s->rec.incarnation ||
	    (incarnation == s->rec.incarnation && s->rec.state == SLOT_FREE);
}

int
host_sweep(struct host *h)
{
	int rc = watch_read(h);

	extents_hold(h->lun);
	if (rc == 0 && h->fence->sweep != NULL)
		h->fence->sweep(&h->paths, is_over, h);
	extents_release(h->lun);
	return rc;
}

/* Was it us, who are here now? */
static bool
is_home(const struct host *h, const struct heartbeat *hb)
{
	return slot_at_large(hb) && hb->state == SLOT_FREE &&
	    slot_was_ours(h, hb);
}

/* What we and others left on the LUN in the past. */
static void
tidy_up(struct host *h)
{
	if (host_sweep(h) < 0)
		return;
	for (unsigned i = 0; i < SLOTS_MAX; i++) {
		const struct seen *s = &h->watch.seen[i];

		if (s->known && is_home(h, &s->rec) &&
		    slot_unmark(h, &s->rec) < 0)
			return;
	}
}

/* Is anybody out there whom only the reservation keeps from writing? */
static bool
anybody_at_large(struct host *h)
{
	if (watch_read(h) < 0)
		return true;
	for (unsigned i = 0; i < SLOTS_MAX; i++)
		if (!h->watch.seen[i].known ||
		    slot_at_large(&h->watch.seen[i].rec))
			return true;
	return false;
}

/* Before there is a guard nothing is held that could be lost. */
static bool
lease_holds(void *arg)
{
	struct host *h = arg;

	return !h->guarded || (guard_status(&h->guard) == HOST_OK &&
	    guard_lease_good(&h->guard, sched_current()));
}

/* A late pulse does no harm: whoever took the slot made it another image. */
static bool
always(void *arg)
{
	(void)arg;
	return true;
}

/* Sections of RESERVE make up for COMPARE AND WRITE. */
static int
wrap_disks(struct host *h)
{
	struct disk_reserve_conf data = {
		.env = h->env, .below = h->lun, .may_write = lease_holds,
		.arg = h,
	};
	struct disk_reserve_conf beat = {
		.env = h->beat.env, .below = h->hb_lun, .may_write = always,
	};
	int rc = disk_reserve_open(&data, &h->wrapped[0]);

	if (h->hb_lun == h->lun)
		beat.beside = h->wrapped[0];
	if (rc == 0)
		rc = disk_reserve_open(&beat, &h->wrapped[1]);
	if (rc < 0)
		return rc;
	h->lun = h->wrapped[0];
	h->hb_lun = h->wrapped[1];
	return 0;
}

/* It is not ours, or nobody can prove that it is.  Any other error says nothing,
 * and may be gone the next time. */
static bool
is_no_more(int error)
{
	return error == -ESTALE || error == -VMFS_EMISCOMPARE ||
	    error == -VMFS_ECORRUPT;
}

static int
go_on_or_claim(struct host *h, char why[WHY_SIZE])
{
	int rc = resume_slot(h, why);

	if (is_no_more(rc)) {
		if (h->conf.keep != NULL && atomic_load(&h->conf.keep->member))
			log_warn(h->env->log, "host: cannot go on as slot %u, "
			    "incarnation %llu: %s", h->conf.keep->slot,
			    (unsigned long long)h->conf.keep->incarnation,
			    vmfs_strerror(rc));
		why[0] = '\0';
		h->paths.slot = SLOTS_MAX;
		rc = slot_claim(h, why);
	}
	if (rc == 0)
		resume_note(h);
	h->resuming = h->resumed;
	return rc;
}

/* A damaged slot may be that of a host that lives, and mends it with its next
 * pulse: before that nobody knows who it is. */
static int
read_slots(struct host *h)
{
	bool damaged = false;
	int rc = watch_read(h);

	for (unsigned i = 0; i < SLOTS_MAX; i++)
		damaged |= h->watch.seen[i].corrupt;
	if (rc < 0 || !damaged)
		return rc;
	fiber_sleep(h->lease.listen_ns);
	return watch_read(h);
}

static int
join(struct host *h, char why[WHY_SIZE])
{
	bool stale[SLOTS_MAX];
	struct heartbeat rec;
	int rc = check_terms(h, why);

	if (rc == 0 && h->super.protocol == LOCK_RESERVE)
		rc = wrap_disks(h);
	if (rc < 0)
		return rc;
	h->lease = lease_of(&h->super.timers);
	h->beat.lease = h->lease;
	h->paths = (struct fence_paths){
		.lun = h->lun, .hb_lun = h->hb_lun, .log = h->env->log,
		.slot = SLOTS_MAX, .timers = &h->super.timers,
		.self = &h->beat.rec,
	};
	rc = caw_init(&h->beat.caw, h->hb_lun, SLOT_TABLE_BLOCK,
	    h->super.sector_size);
	if (rc == 0)
		rc = read_slots(h);
	if (rc == 0)
		rc = check_timers(h, why);
	if (rc == 0)
		rc = identity_check(h, stale, why);
	if (rc == 0)
		rc = go_on_or_claim(h, why);
	if (rc < 0)
		return rc;
	h->entered = true;
	h->locks.slot = h->paths.slot;
	h->locks.incarnation = h->paths.incarnation;
	h->locks.journal_block = h->beat.rec.journal_block;
	h->locks.journal_blocks = h->beat.rec.journal_blocks;
	h->locks.super_told = h->beat.rec.super_generation;
	/* Later it is the pulse's. */
	rec = h->beat.rec;
	rc = identity_confirm(h, stale, why);
	if (rc == 0)
		rc = start(h, why);
	if (rc == 0 && h->resumed)
		rc = resume_rest(h, &rec);
	if (rc < 0)
		return rc;
	reclaim(h, stale);
	tidy_up(h);
	return watch_start(h);
}

static struct host *
host_new(struct env *env, struct env *hb_env, struct disk *lun,
    struct disk *hb_lun, const struct super *super,
    const struct host_conf *conf)
{
	struct host *h = calloc(1, sizeof(*h));

	if (h == NULL)
		return NULL;
	h->watch.table = disk_buf_alloc((size_t)SLOTS_MAX * BLOCK_SIZE);
	if (h->watch.table == NULL) {
		free(h);
		return NULL;
	}
	h->env = env;
	h->lun = lun;
	h->hb_lun = hb_lun;
	h->super = *super;
	h->conf = *conf;
	(void)snprintf(h->name, sizeof(h->name), "%s", conf->name);
	h->conf.name = h->name;
	h->member = conf->member != NULL ? conf->member : member_static();
	h->mounted_us = env->wall_us(env);
	h->beat.env = hb_env;
	h->beat.guard = &h->guard;
	h->beat.volume = super->uuid;
	fiber_cond_init(&h->watch.wake);
	fiber_mutex_init(&h->taking);
	fiber_mutex_init(&h->watch.reading);
	lockmgr_init(h);
	return h;
}

int
host_join(struct env *env, struct env *hb_env, struct disk *lun,
    struct disk *hb_lun, const struct super *super,
    const struct host_conf *conf, struct host **ret_h, char *why)
{
	struct host *h = host_new(env, hb_env, lun, hb_lun, super, conf);
	int rc, rc2;

	if (h == NULL)
		return -ENOMEM;
	why[0] = '\0';
	rc = join(h, why);
	if (rc == 0) {
		log_info(env->log, "host: joined name=\"%s\" slot=%u "
		    "incarnation=%llu protocol=\"%s\" takeover_ms=%u", h->name,
		    h->paths.slot, (unsigned long long)h->paths.incarnation,
		    lock_protocol_name(super->protocol),
		    super->timers.fence_ms);
		*ret_h = h;
		return 0;
	}
	if (why[0] == '\0')
		why_say(why, "cannot join the datastore "
		    "on LUN %s: %s", lun->info.name, vmfs_strerror(rc));
	/* What a dead process has left is not in order before it is replayed. */
	rc2 = host_leave(h, h->resumed);
	if (rc2 < 0)
		log_warn(env->log, "host: slot not given back error=\"%s\"",
		    vmfs_strerror(rc2));
	return rc;
}

/* ---- leaving ---- */

void
host_fall_silent(struct host *h)
{
	if (h->stopping)
		return;
	h->stopping = true;
	watch_stop(h);
	if (h->beating)
		beat_stop(&h->beat);
	if (h->guarded)
		guard_stop(&h->guard, -ESHUTDOWN);
}

int
host_leave(struct host *h, bool crash)
{
	bool at_large = false;
	int rc = 0;

	/* Nothing of ours is in flight then, and nothing will be. */
	host_fall_silent(h);
	if (h->watched)
		watchdog_leave(h->conf.watchdog, &h->petter.lease);
	if (h->guarded && atomic_load(&h->guard.error) != -ESHUTDOWN)
		crash = true;	/* fenced: nothing here is ours any more */
	if (h->entered && !crash) {
		h->beat.rec.lsn = h->locks.lsn;
		at_large = anybody_at_large(h);
		resume_forget(h);
		rc = slot_free(h);
		log_info(h->env->log, "host: left name=\"%s\" slot=%u",
		    h->name, h->paths.slot);
	}
	/* A key stays where the slot stays: others must be able to fence it.
	 * A hold only says that I/O is possible, and none is any more. */
	if (h->entered && ((!crash && rc == 0) ||
	    h->fence->protocol == LOCK_FILE))
		h->fence->leave(&h->paths, at_large);
	lockmgr_fini(h);
	disk_close(h->wrapped[1]);
	disk_close(h->wrapped[0]);
	caw_fini(&h->beat.caw);
	free(h->watch.table);
	free(h);
	return rc;
}
