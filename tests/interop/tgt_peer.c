/* SPDX-License-Identifier: BSD-2-Clause */
/* Starts, sets up and kills a tgtd of its own. */
#include "tests/interop/tgt_peer.h"

#include <arpa/inet.h>
#include <atf-c.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "libvmfs/base/err.h"

#define DEADLINE_S 30

uint16_t
tgt_free_port(void)
{
	struct sockaddr_in a = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(a);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	ATF_REQUIRE(fd >= 0);
	ATF_REQUIRE(bind(fd, (struct sockaddr *)&a, sizeof(a)) == 0);
	ATF_REQUIRE(getsockname(fd, (struct sockaddr *)&a, &len) == 0);
	close(fd);
	return ntohs(a.sin_port);
}

static bool PRINTF_LIKE(2, 3)
adm(const struct tgt_peer *t, const char *fmt, ...)
{
	char line[512], args[400];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(args, sizeof(args), fmt, ap);
	va_end(ap);
	snprintf(line, sizeof(line), "tgtadm -C %d --lld iscsi %s "
	    ">/dev/null 2>&1", t->control, args);
	return system(line) == 0;
}

static void
target_add(const struct tgt_peer *t, int tid, const char *name)
{
	char dir[256];

	ATF_REQUIRE(getcwd(dir, sizeof(dir)) != NULL);
	ATF_REQUIRE(adm(t, "--op new --mode target --tid %d "
	    "-T iqn.2026-01.peer:%s", tid, name));
	ATF_REQUIRE(adm(t, "--op new --mode logicalunit --tid %d --lun 1 "
	    "-b %s/%s.img", tid, dir, name));
	ATF_REQUIRE(adm(t, "--op update --mode logicalunit --tid %d --lun 1 "
	    "--params thin_provisioning=1", tid));
	ATF_REQUIRE(adm(t, "--op bind --mode target --tid %d -I ALL", tid));
}

static void
setup(const struct tgt_peer *t)
{
	target_add(t, 1, "thin");
	target_add(t, 2, "thin2");
	target_add(t, 3, "chap");
	ATF_REQUIRE(adm(t, "--op new --mode account --user %s --password %s",
	    TGT_USER, TGT_SECRET));
	ATF_REQUIRE(adm(t, "--op bind --mode account --tid 3 --user %s",
	    TGT_USER));
}

static void
run_tgtd(const struct tgt_peer *t)
{
	char portal[64], control[16];
	int log = open("tgtd.log", O_WRONLY | O_CREAT | O_APPEND, 0600);

	/* Not to outlive a test case that failed. */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	dup2(log, STDOUT_FILENO);
	dup2(log, STDERR_FILENO);
	snprintf(portal, sizeof(portal), "portal=127.0.0.1:%u", t->port);
	snprintf(control, sizeof(control), "%d", t->control);
	execlp("tgtd", "tgtd", "-f", "-C", control, "-t", "2", "--iscsi",
	    portal, (char *)NULL);
	_exit(127);
}

static void
launch(struct tgt_peer *t)
{
	time_t end = time(NULL) + DEADLINE_S;

	t->pid = fork();
	ATF_REQUIRE(t->pid >= 0);
	if (t->pid == 0)
		run_tgtd(t);
	while (!adm(t, "--op show --mode target")) {
		ATF_REQUIRE_EQ_MSG(0, waitpid(t->pid, NULL, WNOHANG),
		    "tgtd ended, see tgtd.log");
		ATF_REQUIRE_MSG(time(NULL) < end, "tgtd does not start");
		usleep(20000);
	}
	setup(t);
}

void
tgt_start(struct tgt_peer *t)
{
	static const char *const images[] = { "thin.img", "thin2.img",
		"chap.img" };

	for (size_t i = 0; i < sizeof(images) / sizeof(images[0]); i++) {
		int fd = open(images[i], O_RDWR | O_CREAT, 0600);

		ATF_REQUIRE(fd >= 0 && ftruncate(fd, 64 << 20) == 0);
		close(fd);
	}
	t->port = tgt_free_port();
	/* tgtd takes 15 bits: distinct for all ephemeral ports. */
	t->control = t->port & 0x7fff;
	launch(t);
}

void
tgt_kill(struct tgt_peer *t)
{
	kill(t->pid, SIGKILL);
	waitpid(t->pid, NULL, 0);
}

void
tgt_restart(struct tgt_peer *t)
{
	launch(t);
}

void
tgt_freeze(const struct tgt_peer *t)
{
	ATF_REQUIRE(kill(t->pid, SIGSTOP) == 0);
}

void
tgt_thaw(const struct tgt_peer *t)
{
	ATF_REQUIRE(kill(t->pid, SIGCONT) == 0);
}
