/* SPDX-License-Identifier: BSD-2-Clause */
/* Waiting for what another host is about to let go of. */
#include "fuse/mount_impl.h"
#include "libvmfs/base/units.h"

#define RELEASE_NS NSEC_PER_SEC
#define HANDOVER_NS (5 * NSEC_PER_SEC)
#define POLL_NS (20 * NSEC_PER_MSEC)

static bool
wait_again(fuse_req_t req, struct patience *p, int rc, uint64_t most_ns)
{
	struct sched *s = sched_current();

	if (rc != -VMFS_ELOCKED || fuse_req_interrupted(req))
		return false;
	if (p->deadline_ns == 0)
		p->deadline_ns = sched_now(s) + most_ns;
	if (sched_now(s) >= p->deadline_ns)
		return false;
	fiber_sleep(POLL_NS);
	return true;
}

bool
patience_left(fuse_req_t req, struct patience *p, int rc)
{
	return wait_again(req, p, rc, RELEASE_NS);
}

bool
patience_left_long(fuse_req_t req, struct patience *p, int rc)
{
	return wait_again(req, p, rc, HANDOVER_NS);
}
