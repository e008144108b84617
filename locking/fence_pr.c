/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Fencing by persistent reservations: Write Exclusive - All Registrants, so
 * that it survives any holder; PREEMPT AND ABORT of the victim's key, whose
 * incarnation part makes it new at every mount (SPC-4 5.13).
 */
#include <stdio.h>
#include <stdlib.h>

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

	if (at_large)
		return;
	if (p->hb_lun != p->lun)
		leave_path(p->hb_lun, key);
	leave_path(p->lun, key);
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
reserve(const struct fence_paths *p, uint64_t key, char why[WHY_SIZE])
{
	struct disk_pr pr = { 0 };
	int rc = -VMFS_ECONFLICT, unknown = 0;

	/* Who stood in the way may have gone before we could look. */
	for (int i = 0; i < TRIES && !pr.reserved; i++) {
		rc = pr_out(p->lun, DISK_PR_RESERVE, key, 0);
		if (ask_again(rc, &unknown))
			continue;
		if (rc != -VMFS_ECONFLICT)
			return rc;
		rc = read_reservation(p->lun, &pr);
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
	    p->lun->info.name);
	return -EBUSY;
}

static int
pr_enter(struct fence_paths *p, char why[WHY_SIZE])
{
	uint64_t key = heartbeat_pr_key(p->slot, p->incarnation);
	int rc = enter_path(p->lun, key, &p->replaced);

	if (rc == 0 && p->hb_lun != p->lun)
		rc = enter_path(p->hb_lun, key, &p->replaced);
	if (rc == 0)
		rc = reserve(p, key, why);
	if (rc == 0)
		return 0;
	if (why[0] == '\0')
		why_say(why, "cannot register for "
		    "persistent reservations on LUN %s: %s", p->lun->info.name,
		    vmfs_strerror(rc));
	pr_leave(p, false);
	return rc;
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
pr_came_back(const struct fence_paths *p, const struct heartbeat *victim,
    bool *ret_back, char why[WHY_SIZE])
{
	uint64_t own = heartbeat_pr_key(p->slot, p->incarnation);
	uint64_t key = heartbeat_pr_key(victim->slot, victim->incarnation);
	struct presence seen;
	int rc = look_for(p->lun, own, key, &seen);

	if (rc < 0)
		return rc;
	if (!seen.own)
		return we_are_out(why);
	*ret_back = seen.other;
	return 0;
}

/*
 * Only GOOD to our own PREEMPT AND ABORT says that the victim's commands have
 * ended.  A key that is gone for another reason - somebody was faster, our
 * status was lost - says only that no more of them are accepted.
 */
static int
pr_prove(const struct fence_paths *p, const struct heartbeat *victim,
    uint64_t silent_ms, char why[WHY_SIZE])
{
	uint64_t own = heartbeat_pr_key(p->slot, p->incarnation);
	uint64_t key = heartbeat_pr_key(victim->slot, victim->incarnation);
	bool there, ours;
	int rc = pr_came_back(p, victim, &there, why);

	(void)silent_ms;
	if (rc < 0)
		return rc;
	/* In a nexus that is ours now nothing of our past is left. */
	if (!there)
		return p->replaced &&
		    uuid_equal(&victim->host, &p->self->host) ? 0 :
		    -EINPROGRESS;
	rc = pr_out(p->lun, DISK_PR_PREEMPT_AND_ABORT, own, key);
	if (rc < 0 && rc != -VMFS_ECONFLICT && rc != -VMFS_EUNKNOWN)
		return rc;
	ours = rc == 0;
	rc = pr_came_back(p, victim, &there, why);
	if (rc < 0)
		return rc;
	if (!there)
		return ours ? 0 : -EINPROGRESS;
	why_say(why, "the LUN still lists the key "
	    "0x%016llx of host \"%s\" after PREEMPT AND ABORT",
	    (unsigned long long)key, victim->name);
	return -VMFS_EINUSE;
}

#define KEY_INCARNATION_MASK 0xffffffffffull

static void
pr_sweep(const struct fence_paths *p,
    bool (*over)(void *arg, unsigned slot, uint64_t incarnation), void *arg)
{
	uint64_t own = heartbeat_pr_key(p->slot, p->incarnation);
	uint64_t *keys = NULL;
	size_t n = 0;

	if (read_keys(p->lun, &keys, &n) < 0)
		return;
	for (size_t i = 0; i < n; i++) {
		unsigned slot = (unsigned)(keys[i] >> 40) & 0xff;
		uint64_t inc = keys[i] & KEY_INCARNATION_MASK;

		if (keys[i] == own || heartbeat_pr_key(slot, inc) != keys[i] ||
		    !over(arg, slot, inc))
			continue;
		/* Another member may be faster, and the next one tries
		 * again. */
		if (pr_out(p->lun, DISK_PR_PREEMPT_AND_ABORT, own,
		    keys[i]) == 0)
			log_info(p->log, "fence: stale key removed "
			    "key=0x%016llx", (unsigned long long)keys[i]);
	}
	free(keys);
}

static int
pr_check_self(const struct fence_paths *p, char why[WHY_SIZE])
{
	uint64_t own = heartbeat_pr_key(p->slot, p->incarnation);
	struct presence seen;
	int rc = look_for(p->lun, own, own, &seen);

	if (rc < 0)
		return rc;
	return seen.own ? 0 : we_are_out(why);
}

/* What fails here is still late afterwards, and tried again. */
static void
late_all(const struct fence_paths *p, enum disk_pr_action action)
{
	uint64_t key = heartbeat_pr_key(p->slot, p->incarnation);

	(void)pr_out(p->lun, action, 0, key);
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
	.sweep = pr_sweep,
	.prove = pr_prove,
	.came_back = pr_came_back,
	.check_self = pr_check_self,
	.late_enter = pr_late_enter,
	.late_settle = pr_late_settle,
	.look = pr_look,
};
