/* SPDX-License-Identifier: BSD-2-Clause */
/* What fsck.vmfs prints: findings, progress and the summary, text or JSON. */
#ifndef VMFS_FSCK_REPORT_H
#define VMFS_FSCK_REPORT_H

#include <stdio.h>

#include <stdbool.h>

#include "libvmfs/check/check.h"

struct report {
	bool json;
	bool progress;		/* bar on stderr */
	uint64_t printed;
	unsigned last_permille;
	/* While it is held back; else NULL: stdout. */
	FILE *held;
	char *text;
	size_t text_size;
};

/* What is reported waits: for report_release, which prints it, or report_drop,
 * which forgets it. */
void report_hold(struct report *r);
void report_release(struct report *r);
void report_drop(struct report *r);

/* Callbacks for struct check_conf; arg is the struct report. */
void report_finding(void *arg, const struct check_finding *f);
void report_progress(void *arg, const char *phase, unsigned permille);

void report_begin(struct report *r, const char *lun);
void report_end(struct report *r, const char *lun,
    const struct check_result *res, bool repair);

#endif
