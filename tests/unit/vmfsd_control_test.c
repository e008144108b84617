/* SPDX-License-Identifier: BSD-2-Clause */
/* The control socket: what a client cannot keep from ending. */
#include <atf-c.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "vmfsd/control.h"

#define SOCKET "control.sock"
#define STOP_MAX_S 40		/* longer is for ever */

static struct log test_log;
static struct daemon test_daemon;

static struct control *
start(void)
{
	char why[CTL_MESSAGE_SIZE];
	struct control *c;

	test_log = (struct log){ LOG_LEVEL_DEBUG, log_sink_stderr, NULL };
	test_daemon = (struct daemon){ .log = &test_log, .control = SOCKET };
	ATF_REQUIRE_EQ(0, control_start(&test_daemon, &c, why));
	return c;
}

static int
client(void)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX, .sun_path = SOCKET };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);

	ATF_REQUIRE(fd >= 0);
	ATF_REQUIRE_EQ(0, connect(fd, (struct sockaddr *)&sa, sizeof(sa)));
	return fd;
}

/* Until no request is taken any more, as none of the answers is. */
static void
ask_and_never_read(int fd)
{
	static const char line[] = "{\"cmd\":\"none\"}\n";
	struct pollfd p = { .fd = fd, .events = POLLOUT };
	size_t at = 0;
	ssize_t n;

	while (poll(&p, 1, 1000) == 1) {
		n = send(fd, line + at, sizeof(line) - 1 - at, MSG_NOSIGNAL);
		if (n > 0)
			at = (at + (size_t)n) % (sizeof(line) - 1);
		else
			ATF_REQUIRE_EQ(EAGAIN, errno);
	}
}

ATF_TC_WITHOUT_HEAD(client_that_takes_no_answers_does_not_keep_a_stop);
ATF_TC_BODY(client_that_takes_no_answers_does_not_keep_a_stop, tc)
{
	struct control *c = start();
	int fd = client();

	(void)tc;
	ask_and_never_read(fd);
	(void)alarm(STOP_MAX_S);
	control_stop(c);
	(void)alarm(0);
	ATF_CHECK_EQ(0, close(fd));
}

ATF_TP_ADD_TCS(tp)
{
	ATF_TP_ADD_TC(tp, client_that_takes_no_answers_does_not_keep_a_stop);
	return atf_no_error();
}
