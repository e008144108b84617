/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Further LUNs of a datastore that is mounted.
 *
 * A LUN is used only by who can be fenced there: the key, or the hold, comes
 * first, then a look at the own slot.  Whoever fenced us before that did not
 * see us on this LUN, so we may not begin; whoever does it afterwards finds us.
 * Our own take-overs stand still meanwhile: each asks all LUNs that the newest
 * superblock has, and nobody uses one of which we have not told that we know it.
 */
#include "locking/host_int.h"

int
lm_add_lun(struct lockops *l, struct disk *lun, char *why)
{
	struct host *h = container_of(l, struct host, locks);
	int rc = host_check_disk(h, lun, why);

	if (rc < 0)
		return rc;
	fiber_mutex_lock(&h->taking);
	if (h->fence->enter_lun != NULL)
		rc = h->fence->enter_lun(&h->paths, lun, why);
	if (rc == 0) {
		rc = host_check_slot(h, why);
		if (rc < 0 && h->fence->leave_lun != NULL)
			h->fence->leave_lun(&h->paths, lun);
	}
	fiber_mutex_unlock(&h->taking);
	return rc;
}

void
lm_del_lun(struct lockops *l, struct disk *lun)
{
	struct host *h = container_of(l, struct host, locks);

	fiber_mutex_lock(&h->taking);
	if (h->fence->leave_lun != NULL)
		h->fence->leave_lun(&h->paths, lun);
	fiber_mutex_unlock(&h->taking);
}
