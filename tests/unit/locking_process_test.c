/* SPDX-License-Identifier: BSD-2-Clause */
/* Real processes on one file LUN: turns, kill -9, a stopped holder. */
#include <atf-c.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "libvmfs/base/units.h"
#include "libvmfs/core/ds.h"
#include "libvmfs/core/mkds.h"
#include "libvmfs/env/reactor.h"
#include "locking/host.h"

#define LUN "lun"
#define LUN_BYTES (64 * MIB)
#define LOCK_BLOCK 15000u
#define COUNTER_BLOCK 15001u
#define TURNS 20
#define DEADLINE_NS (60 * NSEC_PER_SEC)

/* One process's membership. */
struct party {
	struct env env, hb_env;
	struct reactor *hb;
	struct disk *lun, *hb_lun;
	struct super super;
	struct host *host;
	char name[16];
	/* What the process does as a member; its exit status. */
	int (*work)(struct party *m);
	int report[2], go[2];	/* pipes: to the parent, from the parent */
};

static int
make_main(void *arg)
{
	struct mkds_conf mk = {
		.protocol = LOCK_FILE,
		.timers = { .pulse_ms = 100, .io_ms = 300, .freeze_ms = 400,
		    .fence_ms = 600, .fence_hint_ms = 300 },
	};
	struct super super;
	struct disk *d = NULL;
	struct env env;
	int rc;

	(void)arg;
	env_posix_init(&env, sched_current(), NULL);
	env_uuid(&env, &mk.uuid);
	rc = disk_file_open(LUN, 0, &d);
	if (rc == 0)
		rc = mkds_plan(&d->info, &mk, &super);
	if (rc == 0)
		rc = mkds_write(&env, d, &mk, &super);
	disk_close(d);
	return rc;
}

static void
expect_exit(pid_t pid)
{
	int status;

	ATF_REQUIRE_EQ(pid, waitpid(pid, &status, 0));
	ATF_REQUIRE(WIFEXITED(status));
	ATF_CHECK_EQ(0, WEXITSTATUS(status));
}

/* This process never runs a reactor: its helper threads do not survive the
 * forks that follow. */
static pid_t
spawn_plain(int (*fn)(void *arg))
{
	pid_t pid = fork();

	ATF_REQUIRE(pid >= 0);
	if (pid == 0)
		_exit(reactor_run_main(fn, NULL) < 0 ? 1 : 0);
	return pid;
}

static void
make_lun(void)
{
	int fd = open(LUN, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	ATF_REQUIRE(fd >= 0);
	ATF_REQUIRE_EQ(0, ftruncate(fd, (off_t)LUN_BYTES));
	close(fd);
	expect_exit(spawn_plain(make_main));
}

static int
join(struct party *m)
{
	struct host_conf conf = { .name = m->name };
	char why[256];
	int rc;

	env_uuid(&m->env, &conf.host);
	env_uuid(&m->env, &conf.machine);
	env_uuid(&m->env, &conf.boot);
	rc = disk_file_open(LUN, 0, &m->lun);
	if (rc == 0)
		rc = disk_file_open(LUN, 0, &m->hb_lun);
	if (rc == 0)
		rc = super_read(m->lun, &m->super);
	if (rc == 0)
		rc = host_join(&m->env, &m->hb_env, m->lun, m->hb_lun,
		    &m->super, &conf, &m->host, why);
	if (rc < 0)
		fprintf(stderr, "%s: %s: %s\n", m->name, vmfs_strerror(rc), why);
	return rc;
}

static int
member_main(void *arg)
{
	struct party *m = arg;
	int rc;

	env_posix_init(&m->env, sched_current(), NULL);
	rc = reactor_new("pulse", &m->hb);
	if (rc < 0)
		return rc;
	env_posix_init(&m->hb_env, reactor_sched(m->hb), NULL);
	rc = reactor_start(m->hb);
	if (rc == 0)
		rc = join(m);
	if (rc == 0) {
		int left;

		rc = m->work(m);
		left = host_leave(m->host, false);
		rc = rc < 0 ? rc : left;
	}
	reactor_stop(m->hb);
	reactor_join(m->hb);
	disk_close(m->lun);
	disk_close(m->hb_lun);
	reactor_free(m->hb);
	return rc;
}

static pid_t
spawn(struct party *m, const char *name, int (*work)(struct party *m))
{
	pid_t pid;

	memset(m, 0, sizeof(*m));
	(void)snprintf(m->name, sizeof(m->name), "%s", name);
	m->work = work;
	ATF_REQUIRE_EQ(0, pipe(m->report));
	ATF_REQUIRE_EQ(0, pipe(m->go));
	pid = fork();
	ATF_REQUIRE(pid >= 0);
	if (pid == 0) {
		int rc = reactor_run_main(member_main, m);

		if (rc < 0)
			fprintf(stderr, "%s: %s\n", name, vmfs_strerror(rc));
		_exit(rc < 0 ? 1 : 0);
	}
	close(m->report[1]);
	close(m->go[0]);
	return pid;
}

/* Until the member says that it got there. */
static void
await(struct party *m)
{
	char c;

	ATF_REQUIRE_EQ(1, read(m->report[0], &c, 1));
}

/* ---- what members do ---- */

static int
take(struct party *m, uint64_t wait_ns, struct lock_grant *g,
    struct lock_holder *holder)
{
	struct lockops *l = host_locks(m->host);

	*g = (struct lock_grant){ 0 };
	return l->vt->acquire(l, LOCK_BLOCK, LOCK_EXCLUSIVE,
	    wait_ns == 0 ? LOCK_NOWAIT : 0, env_now(&m->env) + wait_ns, g,
	    holder);
}

static int
give(struct party *m, struct lock_grant *g)
{
	struct lockops *l = host_locks(m->host);

	return l->vt->release(l, g);
}

static int
say(struct party *m)
{
	return write(m->report[1], "x", 1) == 1 ? 0 : -EPIPE;
}

static int
wait_go(struct party *m)
{
	int rc = reactor_poll_fd(m->go[0], POLLIN);

	return rc < 0 ? rc : 0;
}

static int
count(struct party *m)
{
	struct disk *d = host_disk(m->host);
	uint64_t *v = disk_buf_alloc(BLOCK_SIZE);
	struct lock_grant g;
	int rc = v == NULL ? -ENOMEM : 0;

	for (int i = 0; i < TURNS && rc == 0; i++) {
		rc = take(m, DEADLINE_NS, &g, NULL);
		if (rc == 0)
			rc = disk_read(d, COUNTER_BLOCK * BLOCK_SIZE, v,
			    BLOCK_SIZE);
		fiber_yield();
		++*v;
		if (rc == 0)
			rc = disk_write(d, COUNTER_BLOCK * BLOCK_SIZE, v,
			    BLOCK_SIZE, 0);
		if (rc == 0)
			rc = give(m, &g);
	}
	free(v);
	return rc;
}

static int
hold_for_ever(struct party *m)
{
	struct lock_grant g;
	int rc = take(m, DEADLINE_NS, &g, NULL);

	if (rc == 0)
		rc = say(m);
	while (rc == 0)
		fiber_sleep(NSEC_PER_SEC);
	return rc;
}

static int
hold_until_told(struct party *m)
{
	struct lock_grant g;
	int rc = take(m, DEADLINE_NS, &g, NULL);

	if (rc == 0)
		rc = say(m);
	if (rc == 0)
		rc = wait_go(m);
	return rc == 0 ? give(m, &g) : rc;
}

static int
take_over(struct party *m)
{
	struct takeover_report report;
	struct lock_grant g;
	int rc = say(m);

	if (rc == 0)
		rc = take(m, DEADLINE_NS, &g, NULL);
	if (rc < 0)
		return rc;
	if (!host_last_takeover(m->host, &report) ||
	    strcmp(report.name, "victim") != 0)
		return -EPROTO;
	return give(m, &g);
}

/* Sees the holder fall silent and past its time, and yet gets no lock. */
static int
outwait(struct party *m)
{
	uint64_t end = env_now(&m->env) + DEADLINE_NS;
	struct takeover_report report;
	struct lock_holder holder = { 0 };
	struct lock_grant g;
	int rc;

	do {
		rc = take(m, 50 * NSEC_PER_MSEC, &g, &holder);
		if (rc != -VMFS_ELOCKED)
			return rc == 0 ? -EPROTO : rc;
		if (env_now(&m->env) > end)
			return -ETIMEDOUT;
	} while (holder.state != HOLDER_SUSPECT ||
	    holder.silent_ms < 3ull * m->super.timers.fence_ms);
	if (strcmp(holder.name, "stopped") != 0 ||
	    host_last_takeover(m->host, &report))
		return -EPROTO;
	rc = say(m);
	if (rc == 0)
		rc = take(m, DEADLINE_NS, &g, NULL);
	if (rc == 0 && host_last_takeover(m->host, &report))
		return -EPROTO;
	return rc == 0 ? give(m, &g) : rc;
}

/* ---- tests ---- */

static int
check_counter(void *arg)
{
	uint64_t *v = disk_buf_alloc(BLOCK_SIZE);
	struct disk *d = NULL;
	int rc;

	(void)arg;
	rc = v == NULL ? -ENOMEM : disk_file_open(LUN, 0, &d);
	if (rc == 0)
		rc = disk_read(d, COUNTER_BLOCK * BLOCK_SIZE, v, BLOCK_SIZE);
	if (rc == 0 && *v != 3 * TURNS)
		rc = -EPROTO;
	disk_close(d);
	free(v);
	return rc;
}

ATF_TC_WITHOUT_HEAD(processes_take_turns_under_an_exclusive_lock);
ATF_TC_BODY(processes_take_turns_under_an_exclusive_lock, tc)
{
	static const char *const names[] = { "a", "b", "c" };
	struct party m[3];
	pid_t pid[3];

	(void)tc;
	make_lun();
	for (int i = 0; i < 3; i++)
		pid[i] = spawn(&m[i], names[i], count);
	for (int i = 0; i < 3; i++)
		expect_exit(pid[i]);
	expect_exit(spawn_plain(check_counter));
}

ATF_TC_WITHOUT_HEAD(a_survivor_takes_the_lock_of_a_killed_process);
ATF_TC_BODY(a_survivor_takes_the_lock_of_a_killed_process, tc)
{
	struct party victim, survivor;
	pid_t dead, alive;
	int status;

	(void)tc;
	make_lun();
	dead = spawn(&victim, "victim", hold_for_ever);
	await(&victim);
	alive = spawn(&survivor, "survivor", take_over);
	await(&survivor);
	ATF_REQUIRE_EQ(0, kill(dead, SIGKILL));
	ATF_REQUIRE_EQ(dead, waitpid(dead, &status, 0));
	expect_exit(alive);
}

ATF_TC_WITHOUT_HEAD(a_stopped_process_keeps_its_locks);
ATF_TC_BODY(a_stopped_process_keeps_its_locks, tc)
{
	struct party stopped, waiter;
	pid_t a, b;

	(void)tc;
	make_lun();
	a = spawn(&stopped, "stopped", hold_until_told);
	await(&stopped);
	ATF_REQUIRE_EQ(0, kill(a, SIGSTOP));
	b = spawn(&waiter, "waiter", outwait);
	await(&waiter);
	ATF_REQUIRE_EQ(0, kill(a, SIGCONT));
	ATF_REQUIRE_EQ(1, write(stopped.go[1], "x", 1));
	expect_exit(a);
	expect_exit(b);
}

ATF_TP_ADD_TCS(tp)
{
	ATF_TP_ADD_TC(tp, processes_take_turns_under_an_exclusive_lock);
	ATF_TP_ADD_TC(tp, a_survivor_takes_the_lock_of_a_killed_process);
	ATF_TP_ADD_TC(tp, a_stopped_process_keeps_its_locks);
	return atf_no_error();
}
