/* SPDX-License-Identifier: BSD-2-Clause */
/* Passes bytes on, reading the headers of what the initiator sends. */
#include "tests/interop/cut_proxy.h"

#include <arpa/inet.h>
#include <atf-c.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "libvmfs/base/be.h"

#define BHS_SIZE 48

/* Where in the initiator's stream we are. */
struct stream {
	uint8_t bhs[BHS_SIZE];
	size_t have;
	size_t skip;	/* bytes of the data segment still to come */
	unsigned seen;	/* commands that could be cut */
};

static int
listen_any(uint16_t *ret_port)
{
	struct sockaddr_in a = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(a);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	ATF_REQUIRE(fd >= 0);
	ATF_REQUIRE(bind(fd, (struct sockaddr *)&a, sizeof(a)) == 0);
	ATF_REQUIRE(listen(fd, 8) == 0);
	ATF_REQUIRE(getsockname(fd, (struct sockaddr *)&a, &len) == 0);
	*ret_port = ntohs(a.sin_port);
	return fd;
}

static int
connect_to(const char *portal)
{
	struct sockaddr_in a = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
		.sin_port = htons((uint16_t)atoi(strrchr(portal, ':') + 1)) };
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	if (fd < 0 || connect(fd, (struct sockaddr *)&a, sizeof(a)) != 0)
		_exit(1);
	return fd;
}

/* SCSI Command PDU (RFC 7143 11.3) of the opcode waited for, with data. */
static bool
is_cut(const uint8_t *bhs, int opcode)
{
	return (bhs[0] & 0x3f) == 0x01 && (opcode == CUT_ANY ||
	    (bhs[32] == opcode && be32_load(bhs + 20) != 0));
}

/* True when the bytes complete the header of the command to cut at. */
static bool
scan(struct stream *s, const uint8_t *p, size_t len, const struct cut *c)
{
	for (size_t i = 0; i < len; i++) {
		if (s->skip > 0) {
			s->skip--;
			continue;
		}
		s->bhs[s->have++] = p[i];
		if (s->have < BHS_SIZE)
			continue;
		s->have = 0;
		s->skip = (size_t)s->bhs[5] << 16 | (size_t)s->bhs[6] << 8 |
		    s->bhs[7];
		s->skip = (s->skip + 3) / 4 * 4 + 4u * s->bhs[4];
		if (is_cut(s->bhs, c->opcode) && s->seen++ == c->skip)
			return true;
	}
	return false;
}

static bool
write_all(int fd, const uint8_t *p, size_t len)
{
	while (len > 0) {
		ssize_t n = write(fd, p, len);

		if (n <= 0)
			return false;
		p += n;
		len -= (size_t)n;
	}
	return true;
}

struct link {
	int client, target;
	struct stream s;
	const struct cut *c;
	bool cut;
};

static bool
from_client(struct link *l)
{
	uint8_t buf[65536];
	ssize_t n = read(l->client, buf, sizeof(buf));

	if (n <= 0)
		return false;
	if (!l->cut)
		l->cut = scan(&l->s, buf, (size_t)n, l->c);
	if (l->cut && l->c->how != CUT_ANSWER)
		return false;
	return write_all(l->target, buf, (size_t)n);
}

static bool
from_target(struct link *l)
{
	uint8_t buf[65536];
	ssize_t n = read(l->target, buf, sizeof(buf));

	return n > 0 && !l->cut && write_all(l->client, buf, (size_t)n);
}

static void
serve(int client, int target, const struct cut *c)
{
	struct pollfd fds[2] = { { client, POLLIN, 0 }, { target, POLLIN, 0 } };
	struct link l = { .client = client, .target = target, .c = c };
	bool on = true;
	uint8_t byte;

	while (on && poll(fds, 2, -1) > 0) {
		if (fds[0].revents != 0)
			on = from_client(&l);
		if (on && fds[1].revents != 0)
			on = from_target(&l);
	}
	/* Until the initiator loses patience. */
	if (l.cut && c->how == CUT_STALL)
		while (read(client, &byte, 1) > 0)
			;
	close(client);
	close(target);
}

/* In a process of its own. */
static void
accepted(int client, const char *portal, const struct cut *c)
{
	if (fork() == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		serve(client, connect_to(portal), c);
		_exit(0);
	}
	close(client);
}

void
cut_proxy_start(struct cut_proxy *p, const char *portal,
    const struct cut *cuts)
{
	int fd = listen_any(&p->port);

	p->pid = fork();
	ATF_REQUIRE(p->pid >= 0);
	if (p->pid != 0) {
		/* Here as well: whoever comes second finds it done. */
		(void)setpgid(p->pid, p->pid);
		close(fd);
		return;
	}
	(void)setpgid(0, 0);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGCHLD, SIG_IGN);
	for (;;) {
		int client = accept(fd, NULL, NULL);

		if (client < 0)
			_exit(1);
		accepted(client, portal, cuts);
		if (cuts->opcode != CUT_NEVER)
			cuts++;
	}
}

void
cut_proxy_stop(struct cut_proxy *p)
{
	kill(-p->pid, SIGKILL);
	waitpid(p->pid, NULL, 0);
}

void
cut_proxy_freeze(struct cut_proxy *p)
{
	kill(-p->pid, SIGSTOP);
}

void
cut_proxy_thaw(struct cut_proxy *p)
{
	kill(-p->pid, SIGCONT);
}
