/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Who are we?  Before a host joins: is a slot our own past, which we may end
 * at once, or is another machine alive under our name or identity?
 */
#include <stdlib.h>
#include <string.h>

#include "locking/host_int.h"

enum kinship {
	KIN_NONE,
	KIN_NAMESAKE,		/* other host of our name */
	KIN_TWIN,		/* our UUID on another machine */
	KIN_SAME_BOOT,		/* us, on this boot: another process, or past */
	KIN_PAST,		/* us, before machine or process started anew */
};

static const char *
kinship_advice(enum kinship k)
{
	switch (k) {
	case KIN_NAMESAKE:
		return "another live host has this name; give this host a name "
		    "of its own";
	case KIN_TWIN:
		return "another live machine has this host's UUID (a cloned "
		    "system?); give this host an identity of its own";
	case KIN_SAME_BOOT:
		return "this host has already mounted the datastore; unmount it "
		    "there first";
	case KIN_PAST:
	case KIN_NONE:
		break;
	}
	return "";
}

/* Left by a process that held what we hold now, and so has ended? */
static bool
home_was_left(const struct host *h, const struct heartbeat *hb)
{
	return h->conf.home != 0 && hb->home == h->conf.home &&
	    hb->process != h->conf.process;
}

static enum kinship
kinship(const struct host *h, const struct heartbeat *hb)
{
	if (hb->state != SLOT_LIVE && hb->state != SLOT_STOPPING)
		return KIN_NONE;
	if (!uuid_equal(&hb->host, &h->conf.host))
		return strcmp(hb->name, h->name) == 0 ? KIN_NAMESAKE : KIN_NONE;
	if (!uuid_equal(&hb->machine, &h->conf.machine))
		return KIN_TWIN;
	return uuid_equal(&hb->boot, &h->conf.boot) &&
	    !home_was_left(h, hb) ? KIN_SAME_BOOT : KIN_PAST;
}

static enum kinship
kin_of_slot(const struct host *h, unsigned slot)
{
	const struct seen *s = &h->watch.seen[slot];

	return s->known ? kinship(h, &s->rec) : KIN_NONE;
}

static int
refuse(const struct host *h, unsigned slot, char why[WHY_SIZE])
{
	const struct heartbeat *hb = &h->watch.seen[slot].rec;

	why_say(why, "host \"%s\" (slot %u) is a "
	    "member of the datastore: %s", hb->name, slot,
	    kinship_advice(kinship(h, hb)));
	return -VMFS_EINUSE;
}

/* Is it clear without waiting?  0 not alive, -VMFS_EINUSE alive, -EAGAIN. */
static int
decide_now(const struct host *h, unsigned slot, enum kinship k)
{
	bool certain;
	int rc;

	if (k == KIN_PAST)
		return 0;
	rc = h->fence->look(h->lun, slot, &certain);
	return rc == -VMFS_EINUSE && !certain ? -EAGAIN : rc;
}

/*
 * Those undecided: listens for their pulses.  A process of this machine that
 * was started again shall not wait long; twins are rare, and a live one may
 * be slow.
 */
static int
listen(struct host *h, const bool undecided[SLOTS_MAX],
    char why[WHY_SIZE])
{
	uint64_t pulse[SLOTS_MAX], wait = 0;
	int rc;

	for (unsigned i = 0; i < SLOTS_MAX; i++) {
		uint64_t ns = kin_of_slot(h, i) == KIN_SAME_BOOT ?
		    h->lease.listen_ns : h->lease.freeze_ns;

		pulse[i] = h->watch.seen[i].rec.pulse;
		if (undecided[i] && ns > wait)
			wait = ns;
	}
	fiber_sleep(wait);
	rc = watch_read(h);
	if (rc < 0)
		return rc;
	for (unsigned i = 0; i < SLOTS_MAX; i++)
		if (undecided[i] && h->watch.seen[i].rec.pulse != pulse[i] &&
		    kin_of_slot(h, i) != KIN_NONE)
			return refuse(h, i, why);
	return 0;
}

int
identity_check(struct host *h, bool ret_stale[SLOTS_MAX],
    char why[WHY_SIZE])
{
	bool undecided[SLOTS_MAX] = { false }, wait = false;

	for (unsigned i = 0; i < SLOTS_MAX; i++) {
		enum kinship k = kin_of_slot(h, i);
		int rc;

		ret_stale[i] = k != KIN_NONE && k != KIN_NAMESAKE;
		if (k == KIN_NONE)
			continue;
		rc = decide_now(h, i, k);
		if (rc == -VMFS_EINUSE)
			return refuse(h, i, why);
		if (rc < 0 && rc != -EAGAIN)
			return rc;
		undecided[i] = rc == -EAGAIN;
		wait |= undecided[i];
	}
	return wait ? listen(h, undecided, why) : 0;
}

int
identity_confirm(struct host *h, const bool stale[SLOTS_MAX],
    char why[WHY_SIZE])
{
	uint64_t before[SLOTS_MAX];
	bool dead[SLOTS_MAX];
	int rc;

	for (unsigned i = 0; i < SLOTS_MAX; i++) {
		before[i] = h->watch.seen[i].rec.incarnation;
		dead[i] = stale[i] || kin_of_slot(h, i) == KIN_NAMESAKE;
	}
	rc = watch_read(h);
	for (unsigned i = 0; i < SLOTS_MAX && rc == 0; i++) {
		if (i == h->paths.slot || kin_of_slot(h, i) == KIN_NONE)
			continue;
		/* One that was here before and was found dead. */
		if (dead[i] &&
		    before[i] == h->watch.seen[i].rec.incarnation)
			continue;
		/* Both claimed at once: who sees the other steps back. */
		return refuse(h, i, why);
	}
	return rc;
}
