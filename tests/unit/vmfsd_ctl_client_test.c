/* SPDX-License-Identifier: BSD-2-Clause */
/* Whoever asks a daemon that just ends. */
#include <atf-c.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "vmfsd/ctl_client.h"

/* More than a socket holds: who sends it is still at it at the end. */
#define LONG (4u << 20)

static pid_t
hang_up_on_one(const char *path)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	pid_t pid;

	memcpy(sa.sun_path, path, strlen(path) + 1);
	ATF_REQUIRE(fd >= 0);
	ATF_REQUIRE_EQ(0, bind(fd, (struct sockaddr *)&sa, sizeof(sa)));
	ATF_REQUIRE_EQ(0, listen(fd, 1));
	pid = fork();
	ATF_REQUIRE(pid >= 0);
	if (pid == 0) {
		int one = accept(fd, NULL, NULL);
		char c;

		/* It has begun to send. */
		_exit(one < 0 || read(one, &c, 1) != 1);
	}
	ATF_REQUIRE_EQ(0, close(fd));
	return pid;
}

ATF_TC_WITHOUT_HEAD(a_daemon_that_ends_is_an_error);
ATF_TC_BODY(a_daemon_that_ends_is_an_error, tc)
{
	pid_t pid = hang_up_on_one("ctl");
	char *text = malloc(LONG + 1);
	json_t *args, *answer;
	int status;

	ATF_REQUIRE(text != NULL);
	memset(text, 'x', LONG);
	text[LONG] = '\0';
	args = json_pack("{s:s}", "text", text);
	free(text);
	ATF_CHECK(ctl_request("ctl", "ping", args, &answer) < 0);
	json_decref(args);
	ATF_REQUIRE_EQ(pid, waitpid(pid, &status, 0));
	ATF_CHECK_EQ(0, status);
}

ATF_TP_ADD_TCS(tp)
{
	ATF_TP_ADD_TC(tp, a_daemon_that_ends_is_an_error);
	return atf_no_error();
}
