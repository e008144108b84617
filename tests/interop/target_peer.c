/* SPDX-License-Identifier: BSD-2-Clause */
/* Starts and kills iscsi_target_helper. */
#include "tests/interop/target_peer.h"

#include <atf-c.h>
#include <fcntl.h>
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
run_target(int in, int out, const char *const *args)
{
	const char *argv[16];
	char program[512];
	int n = 0;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	dup2(in, STDIN_FILENO);
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
	close(peer.orders);
	fclose(peer.answers);
}

static bool
target_try(const char *const *args)
{
	int in[2], out[2];
	bool told;

	ATF_REQUIRE(pipe2(in, O_CLOEXEC) == 0 && pipe2(out, O_CLOEXEC) == 0);
	peer.pid = fork();
	ATF_REQUIRE(peer.pid >= 0);
	if (peer.pid == 0)
		run_target(in[0], out[1], args);
	close(in[0]);
	close(out[1]);
	peer.orders = in[1];
	peer.answers = fdopen(out[0], "r");
	told = fgets(peer.portal, sizeof(peer.portal), peer.answers) != NULL;
	peer.portal[strcspn(peer.portal, "\n")] = '\0';
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

void
target_access(unsigned state)
{
	char order = (char)('0' + state), answer[8];

	ATF_REQUIRE_EQ(1, write(peer.orders, &order, 1));
	ATF_REQUIRE(fgets(answer, sizeof(answer), peer.answers) != NULL);
	ATF_REQUIRE_EQ(order, answer[0]);
}
