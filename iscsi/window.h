/* SPDX-License-Identifier: BSD-2-Clause */
/* The command window of a session (RFC 7143 4.2.2.1).  No I/O. */
#ifndef VMFS_ISCSI_WINDOW_H
#define VMFS_ISCSI_WINDOW_H

#include <stdint.h>

#include "iscsi/pdu.h"

struct cmd_window {
	uint32_t exp;		/* ExpCmdSN */
	unsigned in_flight;	/* commands taken and not yet answered */
	unsigned max;
};

enum cmd_verdict {
	CMD_TAKE,
	CMD_IGNORE,		/* a duplicate, or beyond MaxCmdSN */
	CMD_GAP,		/* inside, but commands before it are missing */
};

/* MaxCmdSN; never falls, whatever starts and ends. */
static inline uint32_t
cmd_window_max(const struct cmd_window *w)
{
	return w->exp + (w->max - w->in_flight) - 1;
}

/* What to do with a non-immediate request; CMD_TAKE moves ExpCmdSN. */
static inline enum cmd_verdict
cmd_window_take(struct cmd_window *w, uint32_t cmdsn)
{
	if (iscsi_sn_before(cmdsn, w->exp) ||
	    iscsi_sn_before(cmd_window_max(w), cmdsn))
		return CMD_IGNORE;
	if (cmdsn != w->exp)
		return CMD_GAP;
	w->exp++;
	return CMD_TAKE;
}

#endif
