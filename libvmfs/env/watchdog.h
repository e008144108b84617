/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Watchdog port: something that resets this machine unless it is petted in
 * time.  The production adapter is a Linux watchdog device, real or softdog
 * (Documentation/watchdog/watchdog-api.rst).  It is armed while it is open.
 */
#ifndef VMFS_ENV_WATCHDOG_H
#define VMFS_ENV_WATCHDOG_H

#include <stdbool.h>
#include <stddef.h>

#include "libvmfs/base/err.h"

struct watchdog;
struct watchdog_ops {
	/* The countdown starts anew.  Does not block. */
	int (*pet)(struct watchdog *w);
	/* Frees w.  Without disarm the machine is reset when time is up. */
	void (*close)(struct watchdog *w, bool disarm);
};
struct watchdog {
	const struct watchdog_ops *ops;
	/* From the last pet to the reset; 0: the device does not tell, so
	 * nobody may build on it. */
	unsigned timeout_ms;
	bool can_disarm;	/* a close with disarm really ends it */
	char name[64];		/* the device's own, or its path */
};

static inline int
watchdog_pet(struct watchdog *w)
{
	return w->ops->pet(w);
}

/* NULL is fine. */
static inline void
watchdog_close(struct watchdog *w, bool disarm)
{
	if (w != NULL)
		w->ops->close(w, disarm);
}

/*
 * Opens and thereby arms a watchdog device, and asks it for timeout_ms
 * (rounded up to seconds; the device may choose another).  -EBUSY: another
 * program has it, often systemd (RuntimeWatchdogSec).  Errors of open(2).
 */
int watchdog_dev_open(const char *path, unsigned timeout_ms,
    struct watchdog **ret_w) MUST_CHECK;
/*
 * A child process that kills this one (watchdog_process.c): for machines
 * without a device.  Errors of fork(2) and pipe(2).
 */
int watchdog_process_open(unsigned timeout_ms, struct watchdog **ret_w)
    MUST_CHECK;

#endif
