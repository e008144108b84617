/* SPDX-License-Identifier: BSD-2-Clause */
/* Starts and kills iscsi_target_helper. */
#include "tests/interop/target_peer.h"

#include <atf-c.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define DEADLINE_S 30

struct target_peer peer;

static void
run_target(int out, const char *const *args)
{
	const char *argv[16];
	char program[512];
	int in[2], n = 0;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	/* It serves until its input ends: never, until it is killed. */
	if (pipe(in) != 0)
		_exit(126);
	dup2(in[0], STDIN_FILENO);
	dup2(out, STDOUT_FILENO);
	snprintf(program, sizeof(program),
	    "%s/tests/interop/iscsi_target_helper",
	    getenv("VMFS_BUILDDIR"));
	argv[n++] = program;
	for (; *args != NULL; args++)
		argv[n++] = *args;
	argv[n] = NULL;
	execv(program, (char *const *)(uintptr_t)argv);
	_exit(127);
}

void
target_kill(void)
{
	kill(peer.pid, SIGKILL);
	waitpid(peer.pid, NULL, 0);
}

static bool
target_try(const char *const *args)
{
	int out[2];
	bool told;
	FILE *f;

	ATF_REQUIRE(pipe(out) == 0);
	peer.pid = fork();
	ATF_REQUIRE(peer.pid >= 0);
	if (peer.pid == 0)
		run_target(out[1], args);
	close(out[1]);
	f = fdopen(out[0], "r");
	told = fgets(peer.portal, sizeof(peer.portal), f) != NULL;
	peer.portal[strcspn(peer.portal, "\n")] = '\0';
	fclose(f);
	return told;
}

void
target_start(const char *const *args)
{
	time_t end = time(NULL) + DEADLINE_S;

	while (!target_try(args)) {
		target_kill();
		ATF_REQUIRE_MSG(time(NULL) < end, "the target does not start");
		usleep(5000);
	}
}
