/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Keeps an iSCSI LUN busy through libiscsi: so many sessions, a thread each,
 * so many commands of one size in flight in each session.  Prints
 *
 *	OPS_PER_SECOND CLIENT_CPU_S TARGET_CPU_S OPS
 *
 * the CPU seconds of the measured time, the target's by -p PID.
 */
#include <errno.h>
#include <iscsi/iscsi.h>
#include <iscsi/scsi-lowlevel.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench/now.h"

#define SESSIONS_MAX 64
#define DEPTH_MAX 512
#define WARM_UP_S 0.2

struct load {
	const char *url;
	uint32_t size;		/* of a command, bytes */
	unsigned depth, sessions;
	double seconds;
	bool write;
	bool sequential;
	pid_t target;		/* 0: its CPU time is not asked for */
	atomic_uint ready;	/* sessions logged in */
	atomic_bool go, measuring, stop;
};

struct slot {
	struct session *session;
	struct scsi_iovec iov;
};

struct session {
	struct load *load;
	unsigned number;
	struct iscsi_context *iscsi;
	int lun;
	uint32_t block_size;
	uint64_t places;	/* that a command can go to */
	uint64_t next;		/* place, or state of the generator */
	unsigned in_flight;
	atomic_ulong ops;	/* since measuring began */
	pthread_t thread;
	struct slot slots[DEPTH_MAX];
};

static void
die(const char *what, const char *why)
{
	fprintf(stderr, "iscsi_load: %s: %s\n", what, why);
	exit(1);
}

/* User and system time of a process, 0 when it is gone. */
static double
cpu_of(pid_t pid)
{
	char path[64], line[1024];
	unsigned long user = 0, kernel = 0;
	const char *after;
	FILE *f;

	if (pid == 0)
		return 0;
	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	f = fopen(path, "re");
	if (f == NULL)
		die(path, strerror(errno));
	after = fgets(line, sizeof(line), f) ? strrchr(line, ')') : NULL;
	fclose(f);
	if (after == NULL || sscanf(after, ") %*c %*d %*d %*d %*d %*d %*u "
	    "%*u %*u %*u %*u %lu %lu", &user, &kernel) != 2)
		die(path, "not as expected");
	return (double)(user + kernel) / (double)sysconf(_SC_CLK_TCK);
}

/* Sequential, or xorshift64. */
static uint64_t
place(struct session *s)
{
	if (s->load->sequential)
		return s->next++ % s->places;
	s->next ^= s->next << 13;
	s->next ^= s->next >> 7;
	s->next ^= s->next << 17;
	return s->next % s->places;
}

static void issue(struct slot *slot);

static void
done(struct iscsi_context *iscsi, int status, void *data, void *private)
{
	struct slot *slot = private;
	struct session *s = slot->session;

	if (status != SCSI_STATUS_GOOD)
		die("command failed", iscsi_get_error(iscsi));
	scsi_free_scsi_task(data);
	s->in_flight--;
	if (atomic_load_explicit(&s->load->measuring, memory_order_relaxed))
		atomic_fetch_add_explicit(&s->ops, 1, memory_order_relaxed);
	if (!atomic_load_explicit(&s->load->stop, memory_order_relaxed))
		issue(slot);
}

static void
issue(struct slot *slot)
{
	struct session *s = slot->session;
	uint64_t lba = place(s) * (s->load->size / s->block_size);
	struct scsi_task *task;

	if (s->load->write)
		task = iscsi_write16_iov_task(s->iscsi, s->lun, lba, NULL,
		    s->load->size, (int)s->block_size, 0, 0, 0, 0, 0, done,
		    slot, &slot->iov, 1);
	else
		task = iscsi_read16_iov_task(s->iscsi, s->lun, lba,
		    s->load->size, (int)s->block_size, 0, 0, 0, 0, 0, done,
		    slot, &slot->iov, 1);
	if (task == NULL)
		die("cannot queue a command", iscsi_get_error(s->iscsi));
	s->in_flight++;
}

static void
serve(struct session *s)
{
	while (s->in_flight > 0) {
		struct pollfd p = { .fd = iscsi_get_fd(s->iscsi),
			.events = (short)iscsi_which_events(s->iscsi) };

		/* A socket that has room most likely still has it. */
		if ((p.events & POLLOUT) != 0) {
			p.revents = POLLOUT;
			if (iscsi_service(s->iscsi, p.revents) < 0)
				die("session", iscsi_get_error(s->iscsi));
			p.events = (short)iscsi_which_events(s->iscsi);
		}
		if (poll(&p, 1, -1) < 0 && errno != EINTR)
			die("poll", strerror(errno));
		if (iscsi_service(s->iscsi, p.revents) < 0)
			die("session", iscsi_get_error(s->iscsi));
	}
}

static void
log_in(struct session *s)
{
	struct scsi_readcapacity16 *cap;
	struct iscsi_url *url;
	struct scsi_task *task;
	char name[64];

	snprintf(name, sizeof(name), "iqn.2026-11.io.vmfsd:load-%u",
	    s->number);
	s->iscsi = iscsi_create_context(name);
	url = s->iscsi ? iscsi_parse_full_url(s->iscsi, s->load->url) : NULL;
	if (url == NULL)
		die(s->load->url, "expected iscsi://portal/iqn/lun");
	iscsi_set_session_type(s->iscsi, ISCSI_SESSION_NORMAL);
	iscsi_set_header_digest(s->iscsi, ISCSI_HEADER_DIGEST_NONE);
	iscsi_set_targetname(s->iscsi, url->target);
	s->lun = url->lun;
	if (iscsi_full_connect_sync(s->iscsi, url->portal, url->lun) != 0)
		die(s->load->url, iscsi_get_error(s->iscsi));
	iscsi_destroy_url(url);
	task = iscsi_readcapacity16_sync(s->iscsi, s->lun);
	cap = task != NULL && task->status == SCSI_STATUS_GOOD ?
	    scsi_datain_unmarshall(task) : NULL;
	if (cap == NULL)
		die("READ CAPACITY", iscsi_get_error(s->iscsi));
	s->block_size = cap->block_length;
	s->places = (cap->returned_lba + 1) * s->block_size / s->load->size;
	scsi_free_scsi_task(task);
	if (s->places == 0 || s->load->size % s->block_size != 0)
		die(s->load->url, "the size does not fit the LUN");
}

static void *
session_main(void *arg)
{
	struct session *s = arg;
	struct load *l = s->load;

	log_in(s);
	s->next = l->sequential ? s->places / l->sessions * s->number :
	    0x9e3779b97f4a7c15u * (s->number + 1);
	atomic_fetch_add(&l->ready, 1);
	while (!atomic_load(&l->go))
		usleep(1000);
	for (unsigned i = 0; i < l->depth; i++) {
		struct slot *slot = &s->slots[i];

		slot->session = s;
		slot->iov.iov_len = l->size;
		slot->iov.iov_base = malloc(l->size);
		if (slot->iov.iov_base == NULL)
			die("buffers", strerror(ENOMEM));
		memset(slot->iov.iov_base, (int)(i + 1), l->size);
		issue(slot);
	}
	serve(s);
	iscsi_logout_sync(s->iscsi);
	iscsi_destroy_context(s->iscsi);
	return NULL;
}

static void
measure(struct load *l, const struct session *sessions)
{
	double t0, t1, cpu, target;
	unsigned long ops = 0;

	while (atomic_load(&l->ready) < l->sessions)
		usleep(1000);
	atomic_store(&l->go, true);
	usleep((useconds_t)(WARM_UP_S * 1e6));
	t0 = now(CLOCK_MONOTONIC);
	cpu = now(CLOCK_PROCESS_CPUTIME_ID);
	target = cpu_of(l->target);
	atomic_store(&l->measuring, true);
	usleep((useconds_t)(l->seconds * 1e6));
	atomic_store(&l->measuring, false);
	t1 = now(CLOCK_MONOTONIC);
	cpu = now(CLOCK_PROCESS_CPUTIME_ID) - cpu;
	target = cpu_of(l->target) - target;
	atomic_store(&l->stop, true);
	for (unsigned i = 0; i < l->sessions; i++)
		ops += atomic_load(&sessions[i].ops);
	printf("%.0f %.3f %.3f %lu\n", (double)ops / (t1 - t0), cpu, target,
	    ops);
}

static void
usage(void)
{
	fputs("usage: iscsi_load [-wS] [-s SIZE] [-d DEPTH] [-n SESSIONS]\n"
	    "           [-t SECONDS] [-p PID] URL\n"
	    "  -w  write; otherwise read        -S  sequential, not random\n"
	    "  -s  bytes of a command (4096)    -d  commands in flight (1)\n"
	    "  -n  sessions (1)                 -t  seconds measured (2)\n"
	    "  -p  process of the target, whose CPU time is wanted\n",
	    stderr);
	exit(2);
}

int
main(int argc, char **argv)
{
	static struct session sessions[SESSIONS_MAX];
	struct load l = { .size = 4096, .depth = 1, .sessions = 1,
		.seconds = 2 };

	for (int o; (o = getopt(argc, argv, "wSs:d:n:t:p:")) != -1;) {
		switch (o) {
		case 'w': l.write = true; break;
		case 'S': l.sequential = true; break;
		case 's': l.size = (uint32_t)atol(optarg); break;
		case 'd': l.depth = (unsigned)atoi(optarg); break;
		case 'n': l.sessions = (unsigned)atoi(optarg); break;
		case 't': l.seconds = atof(optarg); break;
		case 'p': l.target = (pid_t)atoi(optarg); break;
		default: usage();
		}
	}
	if (argc - optind != 1 || l.size == 0 || l.depth - 1 >= DEPTH_MAX ||
	    l.sessions - 1 >= SESSIONS_MAX || l.seconds <= 0)
		usage();
	l.url = argv[optind];
	for (unsigned i = 0; i < l.sessions; i++) {
		sessions[i].load = &l;
		sessions[i].number = i;
		if (pthread_create(&sessions[i].thread, NULL, session_main,
		    &sessions[i]) != 0)
			die("thread", "cannot start");
	}
	measure(&l, sessions);
	for (unsigned i = 0; i < l.sessions; i++)
		pthread_join(sessions[i].thread, NULL);
	return 0;
}
