/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Fencing by persistent reservations: Write Exclusive - All Registrants, so
 * that it survives any holder; PREEMPT AND ABORT of the victim's key, whose
 * incarnation part makes it new at every mount (SPC-4 5.13).
 */
#include <stdlib.h>

#include "libvmfs/core/extents.h"
#include "locking/fence.h"

#define TRIES 8
#define UNKNOWN_TRIES 3

/* A unit attention says that nothing was executed; and to look is no harm. */
static bool
ask_again(int rc, int *unknown)
{
	*unknown += rc == -VMFS_EUNKNOWN;
	return rc == -VMFS_EATTENTION ||
	    (rc == -VMFS_EUNKNOWN && *unknown < UNKNOWN_TRIES);
}

static int
pr_out(struct disk *d, enum disk_pr_action action, uint64_t key,
    uint64_t sa_key)
{
	int rc = 0;

	for (int i = 0; i < TRIES; i++) {
		struct disk_pr pr = {
			.action = action, .type = DISK_PR_WRITE_EXCLUSIVE_AR,
			.key = key, .sa_key = sa_key, .aptpl = true,
		};

		rc = disk_pr_out(d, &pr);
		if (rc != -VMFS_EATTENTION)
			break;
	}
	return rc;
}

/* Reads all keys; the caller frees. */
static int
read_keys(struct disk *d, uint64_t **ret_keys, size_t *ret_n)
{
	size_t max = 2 * SLOTS_MAX;
	int rc = 0, unknown = 0;

	for (int i = 0; i < TRIES; i++) {
		uint64_t *keys = calloc(max, sizeof(*keys));
		struct disk_pr pr = { .keys = keys, .keys_max = max };

		if (keys == NULL)
			return -ENOMEM;
		rc = disk_pr_read_keys(d, &pr);
		if (rc == 0 && pr.keys_count <= max) {
			*ret_keys = keys;
			*ret_n = pr.keys_count;
			return 0;
		}
		free(keys);
		if (rc == 0)
			max = pr.keys_count + SLOTS_MAX;
		else if (!ask_again(rc, &unknown))
			break;
	}
	return rc == 0 ? -EOVERFLOW : rc;
}

struct presence {
	bool own, other;
};

static int
look_for(struct disk *d, uint64_t own, uint64_t other,
    struct presence *ret_p)
{
	struct presence p = { 0 };
	uint64_t *keys = NULL;
	size_t n = 0;
	int rc = read_keys(d, &keys, &n);

	if (rc < 0)
		return rc;
	for (size_t i = 0; i < n; i++) {
		p.own |= keys[i] == own;
		p.other |= keys[i] == other;
	}
	free(keys);
	*ret_p = p;
	return 0;
}

static int
enter_path(struct disk *d, uint64_t key, bool *replaced)
{
	int rc = pr_out(d, DISK_PR_REGISTER, 0, key);

	/* A crashed predecessor left its key on this path: replace it.  It
	 * is not ours to use again, but a new incarnation's takes its place. */
	*replaced |= rc == -VMFS_ECONFLICT;
	for (int i = 0; i < UNKNOWN_TRIES && (rc == -VMFS_ECONFLICT ||
	    rc == -VMFS_EUNKNOWN); i++)
		rc = pr_out(d, DISK_PR_REGISTER_IGNORE, 0, key);
	return rc;
}

static void
leave_path(struct disk *d, uint64_t key)
{
	/* A key that stays after all does no harm: no slot names it. */
	for (int i = 0; i < UNKNOWN_TRIES; i++)
		if (pr_out(d, DISK_PR_REGISTER, key, 0) != -VMFS_EUNKNOWN)
			return;
}

/*
 * The reservation ends with its last registrant.  While a fenced host is at
 * large our key stays on the LUN after us; the next member that joins, or the
 * fenced host itself, clears up.
 */
static void
pr_leave(const struct fence_paths *p, bool at_large)
{
	uint64_t key = heartbeat_pr_key(p->slot, p->incarnation);
	struct disk *lun[EXTENTS_SEEN_MAX];

	if (at_large)
		return;
	if (p->hb_lun != p->lun)
		leave_path(p->hb_lun, key);
	for (unsigned i = extents_luns(p->lun, lun); i-- > 0; )
		leave_path(lun[i], key);
}

static int
read_reservation(struct disk *d, struct disk_pr *pr)
{
	int rc = 0, unknown = 0;

	for (int i = 0; i < TRIES; i++) {
		rc = disk_pr_read_reservation(d, pr);
		if (!ask_again(rc, &unknown))
			break;
	}
	return rc;
}

static int
reserve(struct disk *lun, uint64_t key, char why[WHY_SIZE])
{
	struct disk_pr pr = { 0 };
	int rc = -VMFS_ECONFLICT, unknown = 0;

	/* Who stood in the way may have gone before we could look. */
	for (int i = 0; i < TRIES && !pr.reserved; i++) {
		rc = pr_out(lun, DISK_PR_RESERVE, key, 0);
		if (ask_again(rc, &unknown))
			continue;
		if (rc != -VMFS_ECONFLICT)
			return rc;
		rc = read_reservation(lun, &pr);
		if (rc < 0)
			return rc;
		rc = -VMFS_ECONFLICT;
	}
	if (!pr.reserved)
		return rc;
	if (pr.type == DISK_PR_WRITE_EXCLUSIVE_AR)
		return 0;
	why_say(why, "another program holds a "
	    "persistent reservation of type %u on LUN %s; stop it, or clear "
	    "the reservation with sg_persist", (unsigned)pr.type,
	    lun->info.name);
	return -EBUSY;
}

static int
cannot_register(const struct disk *lun, int rc, char why[WHY_SIZE])
{
	if (why[0] == '\0')
		why_say(why, "cannot register for "
		    "persistent reservations on LUN %s: %s", lun->info.name,
		    vmfs_strerror(rc));
	return rc;
}

/* hb_lun: another path to the same LUN, or NULL. */
static int
enter_one(struct disk *lun, struct disk *hb_lun, uint64_t key, bool *replaced,
    char why[WHY_SIZE])
{
	int rc = enter_path(lun, key, replaced);

	if (rc == 0 && hb_lun != NULL)
		rc = enter_path(hb_lun, key, replaced);
	if (rc == 0)
		rc = reserve(lun, key, why);
	return rc < 0 ? cannot_register(lun, rc, why) : 0;
}

static int
pr_enter(struct fence_paths *p, char why[WHY_SIZE])
{
	uint64_t key = heartbeat_pr_key(p->slot, p->incarnation);
	struct disk *lun[EXTENTS_SEEN_MAX];
	unsigned n = extents_luns(p->lun, lun);
	bool all = true;
	int rc = 0;

	for (unsigned i = 0; i < n && rc == 0; i++) {
		bool replaced = false;

		rc = enter_one(lun[i], i == 0 && p->hb_lun != p->lun ?
		    p->hb_lun : NULL, key, &replaced, why);
		all = all && replaced;
	}
	/* On each LUN, or nothing is known of our past's commands there. */
	p->replaced |= rc == 0 && all;
	if (rc < 0)
		pr_leave(p, false);
	return rc;
}

static int
pr_enter_lun(const struct fence_paths *p, struct disk *lun,
    char why[WHY_SIZE])
{
	uint64_t key = heartbeat_pr_key(p->slot, p->incarnation);
	bool replaced = false;
	int rc = enter_one(lun, NULL, key, &replaced, why);

	if (rc < 0)
		leave_path(lun, key);
	return rc;
}

static void
pr_leave_lun(const struct fence_paths *p, struct disk *lun)
{
	leave_path(lun, heartbeat_pr_key(p->slot, p->incarnation));
}

/* Own key gone: somebody preempted us. */
static int
we_are_out(char why[WHY_SIZE])
{
	why_say(why, "%s", "this host's reservation key "
	    "is no longer registered: another host has fenced it");
	return -VMFS_EFENCED;
}

static int
is_back(const struct fence_paths *p, struct disk *lun,
    const struct heartbeat *victim, bool *ret_back, char why[WHY_SIZE])
{
	uint64_t own = heartbeat_pr_key(p->slot, p->incarnation);
	uint64_t key = heartbeat_pr_key(victim->slot, victim->incarnation);
	struct presence seen;
	int rc = look_for(lun, own, key, &seen);

	if (rc < 0)
		return rc;
	if (!seen.own)
		return we_are_out(why);
	*ret_back = seen.other;
	return 0;
}

static int
pr_came_back(const struct fence_paths *p, const struct heartbeat *victim,
    bool *ret_back, char why[WHY_SIZE])
{
	struct disk *lun[EXTENTS_SEEN_MAX];
	unsigned n = extents_luns(p->lun, lun);
	bool back = false, one;
	int rc = 0;

	for (unsigned i = 0; i < n && rc == 0; i++) {
		rc = is_back(p, lun[i], victim, &one, why);
		back |= rc == 0 && one;
	}
	if (rc == 0)
		*ret_back = back;
	return rc;
}

/*
 * Only GOOD to our own PREEMPT AND ABORT says that the victim's commands have
 * ended.  A key that is gone for another reason - somebody was faster, our
 * status was lost - says only that no more of them are accepted.
 */
static int
prove_on(const struct fence_paths *p, struct disk *lun,
    const struct heartbeat *victim, char why[WHY_SIZE])
{
	uint64_t own = heartbeat_pr_key(p->slot, p->incarnation);
	uint64_t key = heartbeat_pr_key(victim->slot, victim->incarnation);
	bool there, ours;
	int rc = is_back(p, lun, victim, &there, why);

	if (rc < 0)
		return rc;
	/* In a nexus that is ours now nothing of our past is left. */
	if (!there)
		return p->replaced &&
		    uuid_equal(&victim->host, &p->self->host) ? 0 :
		    -EINPROGRESS;
	rc = pr_out(lun, DISK_PR_PREEMPT_AND_ABORT, own, key);
	if (rc < 0 && rc != -VMFS_ECONFLICT && rc != -VMFS_EUNKNOWN)
		return rc;
	ours = rc == 0;
	rc = is_back(p, lun, victim, &there, why);
	if (rc < 0)
		return rc;
	if (!there)
		return ours ? 0 : -EINPROGRESS;
	why_say(why, "the LUN still lists the key "
	    "0x%016llx of host \"%s\" after PREEMPT AND ABORT",
	    (unsigned long long)key, victim->name);
	return -VMFS_EINUSE;
}

/* On every LUN: it may have a write on its way to any of them (L4). */
static int
pr_prove(const struct fence_paths *p, const struct heartbeat *victim,
    uint64_t silent_ms, char why[WHY_SIZE])
{
	struct disk *lun[EXTENTS_SEEN_MAX];
	unsigned n = extents_luns(p->lun, lun);
	int rc = 0, one;

	(void)silent_ms;
	for (unsigned i = 0; i < n; i++) {
		one = prove_on(p, lun[i], victim, why);
		if (one == -VMFS_EFENCED)
			return one;
		/* What cannot be told weighs more than what takes time. */
		if (one < 0 && (rc == 0 || rc == -EINPROGRESS))
			rc = one;
	}
	return rc;
}

#define KEY_INCARNATION_MASK 0xffffffffffull

static void
sweep_one(const struct fence_paths *p, struct disk *lun,
    bool (*over)(void *arg, unsigned slot, uint64_t incarnation), void *arg)
{
	uint64_t own = heartbeat_pr_key(p->slot, p->incarnation);
	uint64_t *keys = NULL;
	size_t n = 0;

	if (read_keys(lun, &keys, &n) < 0)
		return;
	for (size_t i = 0; i < n; i++) {
		unsigned slot = (unsigned)(keys[i] >> 40) & 0xff;
		uint64_t inc = keys[i] & KEY_INCARNATION_MASK;

		if (keys[i] == own || heartbeat_pr_key(slot, inc) != keys[i] ||
		    !over(arg, slot, inc))
			continue;
		/* Another member may be faster, and the next one tries
		 * again. */
		if (pr_out(lun, DISK_PR_PREEMPT_AND_ABORT, own, keys[i]) == 0)
			log_info(p->log, "fence: stale key removed "
			    "key=0x%016llx", (unsigned long long)keys[i]);
	}
	free(keys);
}

static void
pr_sweep(const struct fence_paths *p,
    bool (*over)(void *arg, unsigned slot, uint64_t incarnation), void *arg)
{
	struct disk *lun[EXTENTS_SEEN_MAX];
	unsigned n = extents_luns(p->lun, lun);

	for (unsigned i = 0; i < n; i++)
		sweep_one(p, lun[i], over, arg);
}

static int
pr_check_self(const struct fence_paths *p, char why[WHY_SIZE])
{
	uint64_t own = heartbeat_pr_key(p->slot, p->incarnation);
	struct disk *lun[EXTENTS_SEEN_MAX];
	unsigned n = extents_luns_well(p->lun, lun);
	struct presence seen;
	int rc;

	for (unsigned i = 0; i < n; i++) {
		rc = look_for(lun[i], own, own, &seen);
		/* A further LUN that does not answer takes no writes either,
		 * and the others go on. */
		if (rc < 0 && i == 0)
			return rc;
		if (rc == 0 && !seen.own)
			return we_are_out(why);
	}
	return 0;
}

/* What fails here is still late afterwards, and tried again. */
static void
late_all(const struct fence_paths *p, enum disk_pr_action action)
{
	uint64_t key = heartbeat_pr_key(p->slot, p->incarnation);
	struct disk *lun[EXTENTS_SEEN_MAX];

	for (unsigned i = extents_luns(p->lun, lun); i-- > 0; )
		if (i == 0 || disk_late(lun[i]) > 0)
			(void)pr_out(lun[i], action, 0, key);
	if (p->hb_lun != p->lun)
		(void)pr_out(p->hb_lun, action, 0, key);
}

static void
pr_late_enter(const struct fence_paths *p)
{
	late_all(p, DISK_PR_LATE_REGISTER);
}

static void
pr_late_settle(const struct fence_paths *p, bool admit)
{
	late_all(p, admit ? DISK_PR_LATE_ADMIT : DISK_PR_LATE_REVOKE);
}

static int
pr_look(struct disk *lun, unsigned slot, bool *ret_certain)
{
	(void)lun;
	(void)slot;
	/* A key outlives its host: the pulse has to tell. */
	*ret_certain = false;
	return -VMFS_EINUSE;
}

const struct fence_ops fence_pr = {
	.protocol = LOCK_ATS_PR,
	.caps = DISK_CAP_CAW | DISK_CAP_PR,
	.needs = "COMPARE AND WRITE and persistent reservations with PREEMPT "
	    "AND ABORT",
	.enter = pr_enter,
	.leave = pr_leave,
	.enter_lun = pr_enter_lun,
	.leave_lun = pr_leave_lun,
	.needs_luns = true,
	.sweep = pr_sweep,
	.prove = pr_prove,
	.came_back = pr_came_back,
	.check_self = pr_check_self,
	.late_enter = pr_late_enter,
	.late_settle = pr_late_settle,
	.look = pr_look,
};
