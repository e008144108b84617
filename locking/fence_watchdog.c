/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Fencing by time (L5), for LUNs that cannot fence: nobody is silenced, but a
 * host that has been silent for long enough is proven to be unable to write.
 * After its last good pulse it submits I/O until its lease is over; if it is
 * stuck between the look at the lease and the submission, its watchdog is not
 * petted any more and resets the machine; what was submitted has a bounded
 * life (lease_proof_ms).  The network's word shortens nothing here.
 */
#include <inttypes.h>

#include "locking/fence.h"
#include "locking/lease.h"

static int
time_enter(struct fence_paths *p, char why[WHY_SIZE])
{
	(void)p;
	(void)why;
	return 0;
}

static void
time_leave(const struct fence_paths *p, bool at_large)
{
	(void)p;
	(void)at_large;
}

/* A process of this machine that ended before we began: only what it had in
 * flight can still land. */
static bool
is_own_past(const struct fence_paths *p, const struct heartbeat *victim)
{
	return uuid_equal(&victim->host, &p->self->host) &&
	    uuid_equal(&victim->machine, &p->self->machine);
}

static int
time_prove(const struct fence_paths *p, const struct heartbeat *victim,
    uint64_t silent_ms, char why[WHY_SIZE])
{
	uint64_t need = is_own_past(p, victim) ? p->timers->bound_ms :
	    lease_proof_ms(p->timers);

	if (silent_ms >= need)
		return 0;
	why_say(why, "host \"%s\" has been silent for %" PRIu64 " ms, but "
	    "only %" PRIu64 " ms prove that it cannot write: the LUN has no "
	    "persistent reservations", victim->name, silent_ms, need);
	return -VMFS_EINUSE;
}

static int
time_check_self(const struct fence_paths *p, char why[WHY_SIZE])
{
	/* The slot tells; the LUN keeps nothing else of us. */
	(void)p;
	(void)why;
	return 0;
}

static int
time_look(struct disk *lun, unsigned slot, bool *ret_certain)
{
	(void)lun;
	(void)slot;
	*ret_certain = false;
	return -VMFS_EINUSE;
}

const struct fence_ops fence_watchdog = {
	.protocol = LOCK_ATS_WATCHDOG,
	.caps = DISK_CAP_CAW,
	.needs = "COMPARE AND WRITE",
	.needs_watchdog = true,
	.enter = time_enter,
	.leave = time_leave,
	.prove = time_prove,
	.check_self = time_check_self,
	.look = time_look,
};

/*
 * Never beside persistent reservations: a registrant's RESERVE succeeds and
 * locks nothing (SPC-2 5.5.1).
 */
static int
reserve_enter(struct fence_paths *p, char why[WHY_SIZE])
{
	uint64_t key;
	struct disk_pr pr = { .keys = &key, .keys_max = 1 };
	int rc;

	if ((p->lun->info.caps & DISK_CAP_PR) == 0)
		return 0;
	rc = disk_pr_read_keys(p->lun, &pr);
	if (rc == -VMFS_EATTENTION)
		rc = disk_pr_read_keys(p->lun, &pr);
	if (rc < 0 || pr.keys_count == 0)
		return rc;
	why_say(why, "LUN %s has persistent reservations registered, beside "
	    "which RESERVE locks nothing; clear them with sg_persist",
	    p->lun->info.name);
	return -EBUSY;
}

const struct fence_ops fence_reserve = {
	.protocol = LOCK_RESERVE,
	.caps = DISK_CAP_RESERVE,
	.needs = "SCSI-2 RESERVE",
	.needs_watchdog = true,
	.enter = reserve_enter,
	.leave = time_leave,
	.prove = time_prove,
	.check_self = time_check_self,
	.look = time_look,
};
