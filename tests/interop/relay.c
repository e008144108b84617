/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A path that a script can cut: passes a portal on until it is killed.  Prints
 * its port and the process group to stop (a path that swallows) or to kill.
 */
#include <err.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "tests/interop/cut_proxy.h"

int
main(int argc, char **argv)
{
	static const struct cut uncut[] = { { CUT_NEVER, CUT_CLOSE, 0 } };
	struct cut_proxy p;

	if (argc != 2)
		errx(2, "usage: relay ADDRESS:PORT");
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	cut_proxy_start(&p, argv[1], uncut);
	printf("%u %d\n", p.port, (int)p.pid);
	fflush(stdout);
	(void)waitpid(p.pid, NULL, 0);
	return 0;
}
