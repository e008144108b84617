/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Fencing on a file LUN: every member holds a sign of life on each of its
 * descriptors of the file.  The kernel drops it with the last reference to the
 * descriptor, which I/O in flight counts as, so a hold that nobody has proves
 * that nothing of its owner can land any more.  A stopped process keeps it.
 */

#include "libvmfs/core/extents.h"
#include "locking/fence.h"

/* The heartbeat's descriptor has ids of its own. */
#define HOLD_HEARTBEAT SLOTS_MAX

/* All holds of a slot free, on each file?  0, -VMFS_EINUSE, or an error. */
static int
test_slot(struct disk *d, unsigned slot)
{
	struct disk *lun[EXTENTS_SEEN_MAX];
	unsigned n = extents_luns(d, lun);
	int rc = 0;

	for (unsigned i = 0; i < n && rc == 0; i++)
		rc = disk_hold_test(lun[i], slot);
	return rc < 0 ? rc : disk_hold_test(lun[0], HOLD_HEARTBEAT + slot);
}

static void
unhold_all(const struct fence_paths *p)
{
	struct disk *lun[EXTENTS_SEEN_MAX];

	/* An error leaves the hold to the end of the process: no harm. */
	for (unsigned i = extents_luns(p->lun, lun); i-- > 0; )
		(void)!disk_unhold(lun[i], p->slot);
}

static int
hold_all(const struct fence_paths *p)
{
	struct disk *lun[EXTENTS_SEEN_MAX];
	unsigned n = extents_luns(p->lun, lun);
	int rc = 0;

	for (unsigned i = 0; i < n && rc == 0; i++)
		rc = disk_hold(lun[i], p->slot);
	if (rc < 0)
		unhold_all(p);
	return rc;
}

static int
hold_enter(struct fence_paths *p, char why[WHY_SIZE])
{
	int rc = test_slot(p->lun, p->slot);

	if (rc == 0)
		rc = hold_all(p);
	if (rc < 0)
		return rc;
	rc = disk_hold(p->hb_lun, HOLD_HEARTBEAT + p->slot);
	if (rc < 0) {
		why_say(why, "cannot hold slot %u of "
		    "%s: %s", p->slot, p->lun->info.name, vmfs_strerror(rc));
		unhold_all(p);
	}
	return rc;
}

static int
hold_enter_lun(const struct fence_paths *p, struct disk *lun,
    char why[WHY_SIZE])
{
	int rc = disk_hold(lun, p->slot);

	if (rc < 0)
		why_say(why, "cannot hold slot %u of %s: %s", p->slot,
		    lun->info.name, vmfs_strerror(rc));
	return rc;
}

static void
hold_leave_lun(const struct fence_paths *p, struct disk *lun)
{
	(void)!disk_unhold(lun, p->slot);
}

static void
hold_leave(const struct fence_paths *p, bool at_large)
{
	/* Who has no hold has no descriptor to write through. */
	(void)at_large;
	(void)!disk_unhold(p->hb_lun, HOLD_HEARTBEAT + p->slot);
	unhold_all(p);
}

static int
hold_prove(const struct fence_paths *p, const struct heartbeat *victim,
    uint64_t silent_ms, char why[WHY_SIZE])
{
	int rc = test_slot(p->lun, victim->slot);

	(void)silent_ms;
	if (rc == -VMFS_EINUSE)
		why_say(why, "the process of host "
		    "\"%s\" still has the file open (stopped or hung?); end "
		    "that process to free its locks",
		    victim->name);
	return rc;
}

static int
hold_check_self(const struct fence_paths *p, char why[WHY_SIZE])
{
	/* Only the end of this process takes the hold away. */
	(void)p;
	(void)why;
	return 0;
}

static int
hold_look(struct disk *lun, unsigned slot, bool *ret_certain)
{
	*ret_certain = true;
	return test_slot(lun, slot);
}

const struct fence_ops fence_hold = {
	.protocol = LOCK_FILE,
	.caps = DISK_CAP_CAW | DISK_CAP_HOLD,
	.needs = "a regular file on a local file system",
	.enter = hold_enter,
	.leave = hold_leave,
	.enter_lun = hold_enter_lun,
	.leave_lun = hold_leave_lun,
	.needs_luns = true,
	.prove = hold_prove,
	.check_self = hold_check_self,
	.look = hold_look,
};

const struct fence_ops *
fence_of(enum lock_protocol protocol, char why[WHY_SIZE])
{
	switch (protocol) {
	case LOCK_ATS_PR:
		return &fence_pr;
	case LOCK_FILE:
		return &fence_hold;
	case LOCK_ATS_WATCHDOG:
		return &fence_watchdog;
	case LOCK_RESERVE:
		return &fence_reserve;
	}
	why_say(why, "this version does not know the datastore's lock "
	    "protocol %u", (unsigned)protocol);
	return NULL;
}
