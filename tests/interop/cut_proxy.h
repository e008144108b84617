/* SPDX-License-Identifier: BSD-2-Clause */
/* A TCP proxy that loses iSCSI connections at chosen commands. */
#ifndef VMFS_TESTS_INTEROP_CUT_PROXY_H
#define VMFS_TESTS_INTEROP_CUT_PROXY_H

#include <stdint.h>
#include <sys/types.h>

#define CUT_ANY (-1)	/* any SCSI command */
#define CUT_NEVER (-2)

enum cut_how {
	CUT_CLOSE,	/* the command is not passed on, all is closed */
	CUT_ANSWER,	/* it is passed on; closed when the answer comes */
	CUT_STALL,	/* nothing is passed on any more */
};

/* What happens to one connection; the last entry of a list is CUT_NEVER and
 * holds for all that follow. */
struct cut {
	int opcode;	/* at a command with this opcode and data, or CUT_ */
	enum cut_how how;
	unsigned skip;	/* so many of them are passed on before */
};

struct cut_proxy {
	pid_t pid;
	uint16_t port;	/* of 127.0.0.1 */
};

/* Each connection takes the next entry; `portal` is "127.0.0.1:port". */
void cut_proxy_start(struct cut_proxy *p, const char *portal,
    const struct cut *cuts);
void cut_proxy_stop(struct cut_proxy *p);
/* What is on its way stays there until it thaws. */
void cut_proxy_freeze(struct cut_proxy *p);
void cut_proxy_thaw(struct cut_proxy *p);

#endif
