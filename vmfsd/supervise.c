/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The supervisor.  One thread, no LUN, no protocol: it has to outlive whatever
 * ends the worker, so it does as little as it can.
 */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "libvmfs/base/list.h"
#include "vmfsd/background.h"
#include "vmfsd/conf_kept.h"
#include "vmfsd/ds_keep.h"
#include "vmfsd/keep.h"
#include "vmfsd/log_open.h"
#include "vmfsd/supervise.h"

/* Of workers that die before they are up: then it is no accident. */
#define EARLY_DEATHS_MAX 5u
#define EARLY_PAUSE_MS 100
/* And of any within a minute. */
#define DEATHS_MAX 60u
#define MINUTE_MS 60000
/* Between two tries to start one: half of that minute. */
#define START_PAUSE_MS 500
/* Between two looks at a new program that is tried. */
#define CHECK_LOOK_MS 100
#define KEPT_TEXT_MAX 65536u

struct kept {
	struct list node;
	char name[KEEP_NAME_MAX];
	int fd;
};

struct supervisor {
	const struct options *options;
	char **argv;
	char program[4096];		/* where an upgrade finds it */
	struct log log;
	struct list kept;
	int signal_fd, ready_fd, socket;
	pid_t worker;
	pid_t checker;			/* of a new program; <= 0: none */
	uint64_t check_until_ms;
	bool was_ready;			/* once: who started us knows */
	bool ready;			/* this worker */
	bool ends, upgrading, hung_up;
	int stop_signal;		/* 0: none */
	bool reload;			/* asked for when there was no worker */
	unsigned early;			/* deaths in a row before ready */
	uint64_t death_ms[DEATHS_MAX];	/* ring */
	unsigned deaths;
};

static uint64_t
now_ms(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

/* ---- what is kept ---- */

static void
forget(struct supervisor *s, const char *name)
{
	list_for_each(node, tmp, &s->kept) {
		struct kept *k = list_entry(node, struct kept, node);

		if (strcmp(k->name, name) != 0)
			continue;
		list_del(&k->node);
		(void)close(k->fd);
		free(k);
	}
}

static void
keep_it(struct supervisor *s, const char *name, int fd)
{
	struct kept *k = calloc(1, sizeof(*k));

	forget(s, name);
	if (k == NULL) {
		(void)close(fd);
		return;
	}
	(void)snprintf(k->name, sizeof(k->name), "%s", name);
	k->fd = fd;
	list_add_tail(&s->kept, &k->node);
}

/* The environment of a successor, or with `only` that; in a child, or before exec
 * of our own. */
static void
hand_over(struct supervisor *s, const char *only)
{
	static char text[KEPT_TEXT_MAX];
	size_t n = 0;

	list_for_each(node, tmp, &s->kept) {
		struct kept *k = list_entry(node, struct kept, node);
		size_t room = sizeof(text) - n, len;

		if (only != NULL && strcmp(k->name, only) != 0)
			continue;
		len = (size_t)snprintf(text + n, room, "%s%s=%d",
		    n > 0 ? "," : "", k->name, k->fd);
		/* Half of a number would be another descriptor. */
		if (len >= room) {
			text[n] = '\0';
			break;
		}
		n += len;
		(void)fcntl(k->fd, F_SETFD, 0);
	}
	(void)setenv(SUPERVISE_KEPT, text, 1);
}

/* From the supervisor in whose place we are. */
static void
inherit(struct supervisor *s)
{
	char *text = getenv(SUPERVISE_KEPT), *next = NULL;

	if (text == NULL)
		return;
	s->was_ready = true;
	for (char *one = strtok_r(text, ",", &next); one != NULL;
	    one = strtok_r(NULL, ",", &next)) {
		char *eq = strchr(one, '=');

		if (eq == NULL)
			break;
		*eq = '\0';
		(void)fcntl(atoi(eq + 1), F_SETFD, FD_CLOEXEC);
		keep_it(s, one, atoi(eq + 1));
	}
	(void)unsetenv(SUPERVISE_KEPT);
}

/* ---- the worker ---- */

static _Noreturn void
become_worker(struct supervisor *s, int socket, pid_t parent)
{
	char number[16];
	sigset_t later;

	/* The worker without its supervisor would be one that nobody ends. */
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(1);
	/* Until it can take them they wait, and do not end it. */
	(void)sigemptyset(&later);
	(void)sigaddset(&later, SIGTERM);
	(void)sigaddset(&later, SIGINT);
	(void)sigaddset(&later, SIGHUP);
	(void)sigprocmask(SIG_SETMASK, &later, NULL);
	(void)fcntl(socket, F_SETFD, 0);
	(void)snprintf(number, sizeof(number), "%d", socket);
	(void)setenv(SUPERVISE_SOCKET, number, 1);
	hand_over(s, NULL);
	/* What runs here: another on the disk has not been looked at. */
	(void)execv("/proc/self/exe", s->argv);
	(void)execv(s->program, s->argv);
	_exit(127);
}

static int
start_worker(struct supervisor *s)
{
	pid_t self = getpid();
	int pair[2], rc;

	s->ready = s->ends = s->upgrading = s->hung_up = false;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return -errno;
	s->worker = fork();
	if (s->worker == 0)
		become_worker(s, pair[1], self);
	rc = -errno;
	(void)close(pair[1]);
	if (s->worker < 0) {
		(void)close(pair[0]);
		return rc;
	}
	s->socket = pair[0];
	if (s->reload)
		(void)kill(s->worker, SIGHUP);
	s->reload = false;
	return 0;
}

/* ---- its messages ---- */

static int
write_pidfile(const struct supervisor *s)
{
	const char *path = s->options->pidfile;
	FILE *f = path != NULL ? fopen(path, "we") : NULL;

	if (path == NULL)
		return 0;
	if (f != NULL && fprintf(f, "%d\n", (int)getpid()) > 0 &&
	    fclose(f) == 0)
		return 0;
	fprintf(stderr, "vmfsd: cannot write '%s': %s\n", path,
	    strerror(errno));
	return -EIO;
}

static void
became_ready(struct supervisor *s)
{
	s->ready = true;
	s->early = 0;
	if (s->was_ready)
		return;
	s->was_ready = true;
	/* As before there were two: who cannot be found is not up. */
	if (write_pidfile(s) < 0)
		(void)kill(s->worker, SIGTERM);
	else if (s->ready_fd >= 0)
		background_ready(s->ready_fd);
}

void
supervise_layout(char text[32])
{
	(void)snprintf(text, 32, "%u.%zu", DS_KEEP_VERSION,
	    sizeof(struct ds_keep));
}

/* With all that it will be run with: an option that it does not know ends it,
 * and by then nobody else is left. */
static _Noreturn void
become_check(struct supervisor *s)
{
	char layout[32], **argv;
	size_t n = 0;

	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	supervise_layout(layout);
	(void)setenv(SUPERVISE_LAYOUT, layout, 1);
	hand_over(s, CONF_KEPT_NAME);
	while (s->argv[n] != NULL)
		n++;
	argv = calloc(n + 2, sizeof(*argv));
	if (argv == NULL)
		_exit(127);
	argv[0] = s->argv[0];
	argv[1] = (char *)(uintptr_t)"--check-config";
	memcpy(argv + 2, s->argv + 1, n * sizeof(*argv));
	(void)execv(s->program, argv);
	_exit(127);
}

static void
check_ended(struct supervisor *s, bool good)
{
	if (s->ends || s->stop_signal != 0)
		return;
	if (!good) {
		log_warn(&s->log, "supervisor: no upgrade: %s does not start "
		    "with this configuration, or cannot go on with what is "
		    "open; install another and try again, or stop vmfsd and "
		    "start it", s->program);
		return;
	}
	log_info(&s->log, "supervisor: upgrade to %s", s->program);
	s->upgrading = true;
	(void)kill(s->worker, SIGKILL);
}

/* Does the program on the disk start, like our configuration, and understand
 * what is kept?  The worker may die while it is asked. */
static void
upgrade(struct supervisor *s)
{
	if (s->checker > 0 || s->upgrading)
		return;
	s->check_until_ms = now_ms() + SUPERVISE_CHECK_S * 1000;
	s->checker = fork();
	if (s->checker == 0)
		become_check(s);
	if (s->checker < 0)
		check_ended(s, false);
}

static void
look_at_check(struct supervisor *s)
{
	int status;

	if (s->checker <= 0)
		return;
	if (waitpid(s->checker, &status, WNOHANG) == s->checker) {
		s->checker = 0;
		check_ended(s, WIFEXITED(status) && WEXITSTATUS(status) == 0);
	} else if (now_ms() >= s->check_until_ms) {
		(void)kill(s->checker, SIGKILL);
	}
}

static void
obey(struct supervisor *s, char *text, int fd)
{
	char *name = strchr(text, ' ');

	if (name != NULL)
		*name++ = '\0';
	if (strcmp(text, "put") == 0 && name != NULL && fd >= 0) {
		keep_it(s, name, fd);
		return;
	}
	if (strcmp(text, "put") == 0 && name != NULL) {
		log_warn(&s->log, "supervisor: '%s' would not outlive the "
		    "worker: its descriptor did not arrive; see the limit of "
		    "open files", name);
		forget(s, name);
	}
	if (fd >= 0)
		(void)close(fd);
	if (strcmp(text, "drop") == 0 && name != NULL)
		forget(s, name);
	else if (strcmp(text, "ready") == 0)
		became_ready(s);
	else if (strcmp(text, "ends") == 0)
		s->ends = true;
	else if (strcmp(text, "upgrade") == 0)
		upgrade(s);
}

/* One message; false: there is none. */
static bool
receive(struct supervisor *s)
{
	char text[KEEP_NAME_MAX + 16];
	union {
		struct cmsghdr align;
		char buf[CMSG_SPACE(sizeof(int))];
	} control;
	struct iovec iov = { text, sizeof(text) - 1 };
	struct msghdr msg = {
		.msg_iov = &iov, .msg_iovlen = 1,
		.msg_control = &control, .msg_controllen = sizeof(control),
	};
	struct cmsghdr *c;
	int fd = -1;
	ssize_t n = recvmsg(s->socket, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);

	if (n <= 0)
		return n < 0 && errno == EINTR;
	text[n] = '\0';
	c = CMSG_FIRSTHDR(&msg);
	if (c != NULL && c->cmsg_type == SCM_RIGHTS)
		memcpy(&fd, CMSG_DATA(c), sizeof(fd));
	obey(s, text, fd);
	return true;
}

/* ---- its end ---- */

static bool
dies_too_often(struct supervisor *s, bool early)
{
	uint64_t now = now_ms(), *at = &s->death_ms[s->deaths++ % DEATHS_MAX];
	uint64_t oldest = *at;

	*at = now;
	s->early = early ? s->early + 1 : 0;
	return s->early >= EARLY_DEATHS_MAX ||
	    (s->deaths > DEATHS_MAX && now - oldest < MINUTE_MS);
}

static void
tell_end(struct supervisor *s, int status)
{
	if (WIFSIGNALED(status))
		log_warn(&s->log, "supervisor: worker %d was ended by signal "
		    "%d (%s); another goes on", (int)s->worker,
		    WTERMSIG(status), strsignal(WTERMSIG(status)));
	else
		log_warn(&s->log, "supervisor: worker %d ended with status "
		    "%d; another goes on", (int)s->worker,
		    WEXITSTATUS(status));
}

/* The supervisor itself becomes what is on the disk. */
static void
renew(struct supervisor *s)
{
	hand_over(s, NULL);
	(void)execv(s->program, s->argv);
	/* Then the old one goes on, with a new worker. */
	log_error(&s->log, "supervisor: cannot run %s: %s", s->program,
	    strerror(errno));
	(void)unsetenv(SUPERVISE_KEPT);
	list_for_each(node, tmp, &s->kept)
		(void)fcntl(list_entry(node, struct kept, node)->fd, F_SETFD,
		    FD_CLOEXEC);
}

/* False: somebody wants us to end. */
static bool
pause_a_little(struct supervisor *s, int ms)
{
	struct pollfd fd = { .fd = s->signal_fd, .events = POLLIN };
	struct signalfd_siginfo si;

	if (poll(&fd, 1, ms) != 1 ||
	    read(s->signal_fd, &si, sizeof(si)) != sizeof(si))
		return true;
	if (si.ssi_signo == SIGHUP)
		s->reload = true;
	else if (si.ssi_signo != SIGCHLD)
		s->stop_signal = (int)si.ssi_signo;
	return s->stop_signal == 0;
}

/* Once more, perhaps after a pause? */
static bool
goes_on(struct supervisor *s, bool early, int pause_ms)
{
	if (dies_too_often(s, early)) {
		log_error(&s->log, "supervisor: workers die one after the "
		    "other: giving up; look at the log, then start vmfsd "
		    "again");
		return false;
	}
	pause_ms = early ? pause_ms << s->early : pause_ms;
	return pause_ms == 0 || pause_a_little(s, pause_ms);
}

/* The machine may be short of memory or processes only for a moment. */
static int
another_worker(struct supervisor *s)
{
	int rc = start_worker(s);

	while (rc < 0 && s->was_ready) {
		log_warn(&s->log, "supervisor: cannot start a worker: %s; "
		    "trying again", vmfs_strerror(rc));
		if (!goes_on(s, false, START_PAUSE_MS))
			break;
		rc = start_worker(s);
	}
	return rc;
}

/* Is that all, with *ret_status?  Else another worker runs. */
static bool
worker_ended(struct supervisor *s, int status, int *ret_status)
{
	while (receive(s))
		;
	(void)close(s->socket);
	s->socket = -1;
	*ret_status = WIFEXITED(status) ? WEXITSTATUS(status) : 1;
	if (s->ends || s->stop_signal != 0 || !s->was_ready)
		return true;
	*ret_status = 1;
	if (s->upgrading) {
		renew(s);
	} else {
		tell_end(s, status);
		if (!goes_on(s, !s->ready, s->ready ? 0 : EARLY_PAUSE_MS))
			return true;
	}
	return another_worker(s) < 0;
}

/* ---- the loop ---- */

static bool
take_signal(struct supervisor *s, int *ret_status)
{
	struct signalfd_siginfo si;
	int status;

	if (read(s->signal_fd, &si, sizeof(si)) != sizeof(si))
		return false;
	if (si.ssi_signo != SIGCHLD) {
		if (si.ssi_signo != SIGHUP)
			s->stop_signal = (int)si.ssi_signo;
		(void)kill(s->worker, (int)si.ssi_signo);
		return false;
	}
	if (waitpid(s->worker, &status, WNOHANG) != s->worker)
		return false;
	return worker_ended(s, status, ret_status);
}

static int
watch(struct supervisor *s)
{
	int status = 1;

	for (;;) {
		struct pollfd fds[2] = {
			{ .fd = s->signal_fd, .events = POLLIN },
			{ .fd = s->hung_up ? -1 : s->socket,
			    .events = POLLIN },
		};

		look_at_check(s);
		if (poll(fds, 2, s->checker > 0 ? CHECK_LOOK_MS : -1) < 0)
			continue;
		/* A dead worker's last messages come before its successor. */
		if ((fds[1].revents & POLLIN) != 0)
			while (receive(s))
				;
		else if (fds[1].revents != 0)
			s->hung_up = true;	/* its end comes */
		if ((fds[0].revents & POLLIN) != 0 && take_signal(s, &status))
			return status;
	}
}

static int
prepare(struct supervisor *s)
{
	sigset_t set;
	ssize_t n = readlink("/proc/self/exe", s->program,
	    sizeof(s->program) - 1);

	if (n < 0)
		return -errno;
	s->program[n] = '\0';
	(void)signal(SIGPIPE, SIG_IGN);
	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGTERM);
	(void)sigaddset(&set, SIGINT);
	(void)sigaddset(&set, SIGHUP);
	(void)sigaddset(&set, SIGCHLD);
	(void)sigprocmask(SIG_BLOCK, &set, NULL);
	s->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	/* A limit may be in the way: then it can be swapped out. */
	(void)!mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT);
	return s->signal_fd < 0 ? -errno : 0;
}

int
supervise(const struct options *o, char **argv)
{
	static struct supervisor s;
	int rc;

	s = (struct supervisor){
		.options = o, .argv = argv, .ready_fd = -1, .socket = -1,
	};
	list_init(&s.kept);
	inherit(&s);
	rc = log_open(o, s.was_ready, &s.log);
	if (rc == 0 && o->daemonize && !s.was_ready)
		rc = s.ready_fd = background_enter();
	if (rc >= 0 && o->daemonize && o->log_file == NULL)
		log_to_syslog(&s.log);
	if (rc >= 0)
		rc = prepare(&s);
	if (rc >= 0)
		rc = another_worker(&s);
	if (rc < 0) {
		fprintf(stderr, "vmfsd: cannot start: %s\n",
		    vmfs_strerror(rc));
		return 1;
	}
	rc = watch(&s);
	if (s.was_ready && o->pidfile != NULL)
		(void)unlink(o->pidfile);
	log_close(&s.log);
	return rc;
}
