/* SPDX-License-Identifier: BSD-2-Clause */
/* What an admin orders: end a host that is gone, forget one for good. */
#include <stdio.h>
#include <string.h>

#include "libvmfs/base/units.h"
#include "locking/lock_int.h"
#include "locking/why.h"

enum found {
	FOUND_SELF,
	FOUND_MEMBER,		/* live or stopping */
	FOUND_RECOVERING,
	FOUND_AT_LARGE,
	FOUND_KINDS,
};

/* The slots of one name; of each kind the longest silent. */
struct finding {
	unsigned count[FOUND_KINDS];
	unsigned slot[FOUND_KINDS];
};

static enum found
kind_of(const struct host *h, unsigned slot)
{
	const struct seen *s = &h->watch.seen[slot];

	if (!s->known)
		return FOUND_KINDS;
	if (slot == h->paths.slot)
		return FOUND_SELF;
	switch (s->rec.state) {
	case SLOT_LIVE:
	case SLOT_STOPPING:
		return FOUND_MEMBER;
	case SLOT_RECOVERING:
		return FOUND_RECOVERING;
	case SLOT_FREE:
		break;
	}
	return slot_at_large(&s->rec) ? FOUND_AT_LARGE : FOUND_KINDS;
}

static void
find(const struct host *h, const char *name, struct finding *ret_f)
{
	const struct seen *seen = h->watch.seen;
	struct finding f = { { 0 }, { 0 } };

	for (unsigned i = 0; i < SLOTS_MAX; i++) {
		enum found k = kind_of(h, i);

		if (k == FOUND_KINDS || strcmp(seen[i].rec.name, name) != 0)
			continue;
		if (f.count[k]++ == 0 ||
		    seen[i].changed_ns < seen[f.slot[k]].changed_ns)
			f.slot[k] = i;
	}
	*ret_f = f;
}

/* "no host ...; there are esx1, esx2"; at_large: names of those alone. */
static int
say_unknown(const struct host *h, const char *name, bool at_large, char *why)
{
	size_t at;
	bool any = false;

	why_say(why, "no host \"%s\"%s; there %s", name, at_large ?
	    " was fenced here and has not come back" :
	    " has this datastore mounted", at_large ? "is" : "are");
	at = strlen(why);
	for (unsigned i = 0; i < SLOTS_MAX && at < WHY_SIZE; i++) {
		enum found k = kind_of(h, i);

		if (k == FOUND_KINDS || (at_large && k != FOUND_AT_LARGE))
			continue;
		(void)snprintf(why + at, WHY_SIZE - at, "%s \"%s\"",
		    any ? "," : "", h->watch.seen[i].rec.name);
		at += strlen(why + at);
		any = true;
	}
	if (!any)
		(void)snprintf(why + at, WHY_SIZE - at, " none");
	return -ENOENT;
}

static int
say_blind(char *why)
{
	why_say(why, "this host cannot reach the LUN at the moment, "
	    "or lost its rights: see vmfsctl ds ls");
	return -EBUSY;
}

/* Only who is in order himself, and sees, may judge others. */
static int
look_around(struct host *h, char *why)
{
	return host_in_order(h) && watch_read(h) == 0 ? 0 : say_blind(why);
}

int
admin_member(struct host *h, const char *name, unsigned *ret_slot, char *why)
{
	struct finding f;
	int rc = look_around(h, why);

	if (rc < 0)
		return rc;
	find(h, name, &f);
	if (f.count[FOUND_MEMBER] > 0) {
		*ret_slot = f.slot[FOUND_MEMBER];
		return 0;
	}
	if (f.count[FOUND_SELF] == 0)
		return say_unknown(h, name, false, why);
	why_say(why, "this is host \"%s\"", name);
	return -ENOENT;
}

/* ---- fence ---- */

static uint64_t
two_pulses(const struct host *h, const struct heartbeat *victim)
{
	uint64_t theirs = victim->timers.pulse_ms * NSEC_PER_MSEC;

	return 2 * (theirs > h->lease.pulse_ns ? theirs : h->lease.pulse_ns);
}

static int
say_alive(const struct host *h, const struct heartbeat *victim, uint64_t ns,
    char *why)
{
	why_say(why, "host \"%s\" is alive, it pulsed %llu.%llu s ago: "
	    "unmount there or switch it off%s", victim->name,
	    (unsigned long long)(ns / NSEC_PER_SEC),
	    (unsigned long long)(ns / (NSEC_PER_SEC / 10) % 10),
	    lease_by_time(h->super.protocol) ? "; only silence ends it: this "
	    "LUN cannot fence" : ", or use --force: its I/O fails then");
	return -VMFS_EINUSE;
}

/* Until the victim has missed a pulse.  -VMFS_EINUSE: it has not. */
static int
listen(struct host *h, const struct heartbeat *victim, char *why)
{
	const struct seen *s = &h->watch.seen[victim->slot];
	struct heartbeat now;
	uint64_t before;
	int rc;

	for (;;) {
		before = env_now(h->env);
		if (before - s->changed_ns >= two_pulses(h, victim) &&
		    s->rec.nonce == victim->nonce)
			return 0;
		fiber_sleep(h->lease.retry_ns);
		/* Else the look waits until the LUN is back. */
		if (!host_in_order(h))
			return say_blind(why);
		rc = slot_peek(h, victim->slot, &now);
		if (rc < 0)
			return rc;
		if (now.nonce != victim->nonce)
			return say_alive(h, victim, env_now(h->env) - before,
			    why);
	}
}

/* Whom does the admin mean, and may he be fenced? */
static int
choose(struct host *h, const char *name, struct heartbeat *ret_victim,
    char *why)
{
	struct finding f;

	find(h, name, &f);
	if (f.count[FOUND_MEMBER] > 0) {
		*ret_victim = h->watch.seen[f.slot[FOUND_MEMBER]].rec;
		return 0;
	}
	if (f.count[FOUND_RECOVERING] > 0) {
		why_say(why, "host \"%s\" is fenced already, its journal is "
		    "being replayed: see vmfsctl host ls", name);
		return -EBUSY;
	}
	if (f.count[FOUND_SELF] > 0) {
		why_say(why, "host \"%s\" is this one: to leave the datastore "
		    "use vmfsctl ds unmount", name);
		return -EINVAL;
	}
	if (f.count[FOUND_AT_LARGE] > 0) {
		why_say(why, "host \"%s\" was fenced already and has not come "
		    "back: nothing waits for it", name);
		return -ENOENT;
	}
	return say_unknown(h, name, false, why);
}

static int
end(struct host *h, const struct heartbeat *victim,
    struct takeover_report *ret_r, char *why)
{
	int rc = takeover_run(h, victim->slot, victim, TAKEOVER_ADMIN, ret_r);

	if (rc == -EAGAIN) {
		why_say(why, "the slot of host \"%s\" has just changed: it "
		    "left, or another host takes it over; see vmfsctl host ls",
		    victim->name);
		return -EBUSY;
	}
	if (rc < 0)
		why_say(why, "cannot take over host \"%s\": %s%s",
		    victim->name, ret_r->why,
		    lease_by_time(h->super.protocol) ?
		    "; it is taken over then by itself" : "");
	return rc;
}

/* host ls is asked next; by itself it shows it only at the next pulse. */
static void
show_end(struct host *h)
{
	if (host_in_order(h))
		(void)!watch_read(h);
}

int
host_fence(struct host *h, const char *name, bool force,
    struct takeover_report *ret_r, char *why)
{
	struct takeover_report r = { .result = -EAGAIN };
	struct heartbeat victim;
	int rc;

	why[0] = '\0';
	rc = look_around(h, why);
	if (rc == 0)
		rc = choose(h, name, &victim, why);
	/* Nothing makes up for silence where time is the proof. */
	if (rc == 0 && (!force || lease_by_time(h->super.protocol)))
		rc = listen(h, &victim, why);
	if (rc < 0 && why[0] == '\0')
		why_say(why, "cannot look whether host \"%s\" is alive: %s",
		    name, vmfs_strerror(rc));
	if (rc < 0)
		return rc;
	log_warn(h->env->log, "host: an admin ends host=\"%s\" slot=%u "
	    "incarnation=%llu%s", victim.name, victim.slot,
	    (unsigned long long)victim.incarnation, force ? " by force" : "");
	rc = end(h, &victim, &r, why);
	if (rc < 0)
		return rc;
	show_end(h);
	*ret_r = r;
	return 0;
}

/* ---- forget ---- */

static int
explain_danger(const char *name, char *why)
{
	why_say(why, "if host \"%s\" only sleeps (paused, cut off) and wakes "
	    "up when no host has this datastore mounted, its last writes "
	    "damage what is on the LUN then; is it switched off, or installed "
	    "anew, for good? Then use --force", name);
	return -EPERM;
}

/* Is a member now what the mark says to be at large? */
static bool
is_back(const struct host *h, const struct heartbeat *marked)
{
	for (unsigned i = 0; i < SLOTS_MAX; i++) {
		enum found k = kind_of(h, i);

		if ((k == FOUND_SELF || k == FOUND_MEMBER) &&
		    uuid_equal(&h->watch.seen[i].rec.host, &marked->host))
			return true;
	}
	return false;
}

static int
may_forget(struct host *h, const char *name, bool force, char *why)
{
	struct finding f;
	bool member;

	find(h, name, &f);
	member = f.count[FOUND_SELF] + f.count[FOUND_MEMBER] > 0;
	if (f.count[FOUND_RECOVERING] > 0) {
		why_say(why, "the journal of host \"%s\" is being replayed: "
		    "try again when vmfsctl host ls shows it as fenced", name);
		return -EBUSY;
	}
	if (member && (f.count[FOUND_AT_LARGE] == 0 ||
	    is_back(h, &h->watch.seen[f.slot[FOUND_AT_LARGE]].rec))) {
		why_say(why, "host \"%s\" is a member of the datastore: unmount "
		    "there, or end it with vmfsctl host fence when it is gone",
		    name);
		return -VMFS_EINUSE;
	}
	if (f.count[FOUND_AT_LARGE] == 0)
		return say_unknown(h, name, true, why);
	/* The others have proven that nothing of it can land any more. */
	if (!force && h->super.protocol == LOCK_ATS_PR)
		return explain_danger(name, why);
	return 0;
}

static int
forget_all(struct host *h, const char *name, unsigned *ret_slots)
{
	unsigned slots = 0;
	int rc;

	for (unsigned i = 0; i < SLOTS_MAX; i++) {
		const struct heartbeat hb = h->watch.seen[i].rec;

		if (kind_of(h, i) != FOUND_AT_LARGE ||
		    strcmp(hb.name, name) != 0 || is_back(h, &hb))
			continue;
		rc = slot_unmark(h, &hb);
		if (rc < 0)
			return rc;
		slots++;
		log_warn(h->env->log, "host: an admin forgets host=\"%s\" "
		    "slot=%u incarnation=%llu", hb.name, i,
		    (unsigned long long)hb.incarnation - 1);
	}
	*ret_slots = slots;
	return 0;
}

int
host_forget(struct host *h, const char *name, bool force,
    unsigned *ret_slots, char *why)
{
	int rc = look_around(h, why);

	if (rc == 0)
		rc = may_forget(h, name, force, why);
	if (rc < 0)
		return rc;
	rc = forget_all(h, name, ret_slots);
	if (rc == 0) {
		/* Keys that members left behind for its sake. */
		fiber_mutex_lock(&h->taking);
		rc = host_sweep(h);
		fiber_mutex_unlock(&h->taking);
		show_end(h);
	}
	if (rc < 0)
		why_say(why, "cannot forget host \"%s\": %s", name,
		    vmfs_strerror(rc));
	return rc;
}
