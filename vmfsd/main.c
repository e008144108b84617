/* SPDX-License-Identifier: BSD-2-Clause */
/* vmfsd: puts the pieces together, waits for signals, takes them apart. */
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "locking/watchdog.h"
#include "vmfsd/background.h"
#include "vmfsd/box_keep.h"
#include "vmfsd/control.h"
#include "vmfsd/keep.h"
#include "vmfsd/log_open.h"
#include "vmfsd/membership.h"
#include "vmfsd/options.h"
#include "vmfsd/retry.h"
#include "vmfsd/supervise.h"

/* A shutdown that hangs on a dead LUN ends like a crash, which is safe:
 * the others replay this host's journal. */
#define SHUTDOWN_LIMIT_S 60
/* After a signal that comes while something is being unmounted already. */
#define HURRY_LIMIT_S 10
#define EXIT_CONFIG 2

struct program {
	struct options options;
	struct conf_kept kept;	/* by the worker before this one */
	struct conf conf;
	struct log log;
	struct env env;
	struct daemon daemon;
	struct control *control;
	struct membership membership;
	struct retry retry;
	struct box_keeper keeper;
	int signal_fd, event_fd, ready_fd;
	bool worker;		/* of a supervisor, whose is the pidfile */
	bool successor;		/* of a worker that told what it had */
};

static void
complain(struct program *p, const char *why)
{
	/* Who started us must see it also when the log is elsewhere. */
	if (p->options.log_file != NULL)
		fprintf(stderr, "vmfsd: %s\n", why);
	log_error(&p->log, "vmfsd: %s", why);
}

/* ---- start ---- */

/* Before any thread, so that all inherit the mask. */
static int
catch_signals(struct program *p)
{
	sigset_t set;

	(void)signal(SIGPIPE, SIG_IGN);
	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGTERM);
	(void)sigaddset(&set, SIGINT);
	(void)sigaddset(&set, SIGHUP);
	(void)pthread_sigmask(SIG_BLOCK, &set, NULL);
	p->signal_fd = signalfd(-1, &set, SFD_CLOEXEC);
	p->event_fd = eventfd(0, EFD_CLOEXEC);
	return p->signal_fd < 0 || p->event_fd < 0 ? -errno : 0;
}

static int
write_pidfile(struct program *p)
{
	FILE *f;
	int rc;

	if (p->options.pidfile == NULL || p->worker)
		return 0;
	f = fopen(p->options.pidfile, "we");
	if (f != NULL && fprintf(f, "%d\n", (int)getpid()) > 0 &&
	    fclose(f) == 0)
		return 0;
	rc = -errno;
	fprintf(stderr, "vmfsd: cannot write '%s': %s\n", p->options.pidfile,
	    strerror(-rc));
	return rc;
}

static void
some_unmounted(void *arg)
{
	struct program *p = arg;
	uint64_t one = 1;

	if (write(p->event_fd, &one, sizeof(one)) != sizeof(one))
		log_warn(&p->log, "vmfsd: event lost: %s", strerror(errno));
}

static int
open_watchdog(void *arg, struct watchdog **ret_w)
{
	const struct conf *conf = arg;
	unsigned ms = conf->watchdog_ms != 0 ? conf->watchdog_ms :
	    WATCHDOG_TIMEOUT_MS;

	return strcmp(conf->watchdog, "process") == 0 ?
	    watchdog_process_open(ms, ret_w) :
	    watchdog_dev_open(conf->watchdog, ms, ret_w);
}

static int
share_watchdog(struct program *p)
{
	struct watchdog_share_conf conf = {
		.open = open_watchdog, .arg = &p->conf,
		.name = p->conf.watchdog, .log = &p->log,
	};

	return conf.name == NULL ? 0 :
	    watchdog_share_new(&conf, &p->daemon.datastores.watchdog);
}

static int
prepare_serving(struct program *p)
{
	struct serving_conf conf = {
		.threads = p->conf.guest_threads,
		.none = p->conf.no_guest_threads,
		.no_busy_wait = p->conf.no_guest_busy_wait, .log = &p->log,
	};

	p->daemon.datastores.serving = serving_new(&conf);
	return p->daemon.datastores.serving != NULL ? 0 : -ENOMEM;
}

/* LUNs of the target may be virtual disks of our datastores; and what a crash
 * has cut short goes on. */
static void
use_datastores(void *arg)
{
	struct daemon *d = arg;

	(void)pthread_mutex_lock(&d->box.mutex);
	exports_retry(&d->exports);
	(void)pthread_mutex_unlock(&d->box.mutex);
	tasks_resume(d);
}

static int
close_virtual_disks(void *arg, const char *name, bool force, char *why)
{
	struct daemon *d = arg;
	int rc;

	(void)pthread_mutex_lock(&d->box.mutex);
	rc = exports_let_go(&d->exports, name, force, why, DATASTORE_WHY_SIZE);
	(void)pthread_mutex_unlock(&d->box.mutex);
	return rc;
}

static int
start_identity(struct program *p)
{
	char why[IDENTITY_WHY_SIZE] = "";
	struct daemon *d = &p->daemon;
	int rc;

	env_posix_init(&p->env, NULL, &p->log);
	d->log = &p->log;
	d->control = p->conf.control;
	d->identity.lock_fd = -1;
	rc = identity_open(&p->env, p->conf.host_dir, p->conf.host_name,
	    &d->identity, why);
	if (rc < 0)
		complain(p, why);
	tasks_init(&p->daemon.tasks);
	datastores_init(&d->datastores, &p->log, &d->identity,
	    p->conf.initiator);
	d->datastores.dir = p->conf.host_dir;
	d->datastores.on_unmounted = some_unmounted;
	d->datastores.arg = p;
	d->datastores.users = d;
	d->datastores.on_mounted = use_datastores;
	d->datastores.before_unmount = close_virtual_disks;
	if (rc == 0)
		rc = prepare_serving(p);
	return rc < 0 ? rc : share_watchdog(p);
}

static int
start_membership(struct program *p)
{
	struct daemon *d = &p->daemon;
	int rc;

	if (!p->conf.corosync)
		return 0;
	rc = membership_start(&p->membership, &d->identity.host, &p->log);
	if (rc < 0)
		complain(p, "cannot start a thread for corosync");
	d->datastores.member = p->membership.member;
	return rc;
}

static int
mount_one(struct program *p, const char *name, bool left)
{
	char why[DATASTORE_WHY_SIZE] = "";
	int rc = (left ? datastore_go_on : datastore_mount)
	    (&p->daemon.datastores, name, why);

	/* The log has it already. */
	if (rc < 0 && p->options.log_file != NULL)
		fprintf(stderr, "vmfsd: %s\n", why);
	return rc;
}

/* Not all are in the list: somebody has mounted them by mount.vmfs. */
static int
add_left(struct datastores *all, const char *name, struct datastore **ret_d)
{
	int rc = ds_keep_adopt(all, name, ret_d);

	if (rc == 0)
		return 0;
	log_error(all->log, "datastore: %s: not mounted again: %s", name,
	    vmfs_strerror(rc));
	ds_keep_give_up(name);
	return rc;
}

/* Those that the process before us had; how many failed. */
static unsigned
mount_left(struct program *p)
{
	struct datastores *all = &p->daemon.datastores;
	char name[KEEP_NAME_MAX];
	unsigned failed = 0;

	for (unsigned at = 0; ds_keep_next(&at, name);) {
		struct datastore *d;

		if (add_left(all, name, &d) < 0)
			continue;
		datastore_want(all, name);
		failed += mount_one(p, name, true) < 0;
		datastore_unref(d);
	}
	return failed;
}

/* What has outlived a worker is as it was. */
static int
add_listed(struct program *p, const struct conf_datastore *conf)
{
	struct conf_datastore as = *conf;
	struct ds_keep_how how;

	if (ds_keep_how(conf->name, &how) == 0) {
		as.lun = how.lun;
		as.mount = how.mount;
		as.readonly = how.readonly;
		if (strcmp(as.lun, conf->lun) != 0 ||
		    strcmp(as.mount, conf->mount) != 0 ||
		    as.readonly != conf->readonly)
			log_warn(&p->log, "datastore: %s: stays mounted on "
			    "'%s' as it was until vmfsd is started again; the "
			    "configuration says something else", conf->name,
			    as.mount);
	}
	return datastore_add(&p->daemon.datastores, &as, NULL);
}

/* Does this process go on where another one has died? */
static bool
something_is_left(void)
{
	char name[KEEP_NAME_MAX];
	unsigned at = 0;

	return ds_keep_next(&at, name);
}

/*
 * One that cannot be mounted keeps nothing else from being served.  A process
 * that ends with the last unmount is for what is mounted when it starts: that
 * must succeed, and what was unmounted later is not for its successors.
 */
static int
mount_listed(struct program *p, const bool *left, bool starts,
    unsigned *failed)
{
	struct datastores *all = &p->daemon.datastores;
	const struct conf *conf = &p->conf;

	for (size_t i = 0; i < conf->datastores; i++) {
		int rc;

		if (conf->datastore[i].noauto || left[i])
			continue;
		rc = mount_one(p, conf->datastore[i].name, false);
		if (rc < 0)
			datastore_want(all, conf->datastore[i].name);
		*failed += rc < 0;
		if (rc < 0 && starts)
			return rc;
	}
	return 0;
}

/* Answers while the datastores are mounted, which may take a while. */
static int
answer(struct program *p, bool told)
{
	char why[CTL_MESSAGE_SIZE] = "";
	int rc = control_start(&p->daemon, &p->control, why);

	if (rc < 0 && !told)
		complain(p, why[0] != '\0' ? why : vmfs_strerror(rc));
	return rc;
}

static unsigned
look_again(void *arg, const atomic_bool *stop)
{
	struct program *p = arg;
	struct daemon *d = &p->daemon;
	unsigned left;

	(void)pthread_mutex_lock(&d->box.mutex);
	left = exports_look_again(&d->exports);
	(void)pthread_mutex_unlock(&d->box.mutex);
	if (p->control == NULL)
		left += answer(p, true) < 0;
	return left + datastores_retry(&d->datastores, stop);
}

/*
 * First what is left: another section may be for the same LUN or directory by
 * now, and must find it in use.  Of a predecessor that told what it had that
 * is all: the rest was unmounted, or nobody has asked for it.
 */
static int
mount_all(struct program *p)
{
	const struct conf *conf = &p->conf;
	bool goes_on = p->daemon.exports.goes_on;
	bool starts = p->options.exit_on_unmount && !goes_on;
	bool only_left = p->successor || (p->options.exit_on_unmount && goes_on);
	bool left[CONF_LIST_MAX];
	unsigned failed;
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < conf->datastores; i++) {
		left[i] = ds_keep_is_left(conf->datastore[i].name);
		rc = add_listed(p, &conf->datastore[i]);
	}
	if (rc < 0)
		return rc;
	failed = mount_left(p);
	if (!only_left)
		rc = mount_listed(p, left, starts, &failed);
	/* The last one may have gone just before this process came. */
	if (only_left)
		some_unmounted(p);
	if (rc < 0)
		return rc;
	if (failed > 0)
		log_warn(&p->log, "vmfsd: going on without %u datastore(s); "
		    "vmfsctl ds ls tells why; their mount is tried again",
		    failed);
	if (failed == 0 && !goes_on)
		return 0;
	rc = retry_start(&p->retry, look_again, p);
	if (rc < 0 && goes_on) {
		log_warn(&p->log, "vmfsd: no thread that tries again what is "
		    "away: %s; use vmfsctl ds mount, or vmfsctl reload",
		    vmfs_strerror(rc));
		rc = 0;
	}
	return rc;
}

static int
start(struct program *p)
{
	struct daemon *d = &p->daemon;
	int rc = start_identity(p);

	if (rc < 0)
		return rc;
	rc = start_membership(p);
	if (rc < 0)
		return rc;
	box_init(&d->box, options_config(&p->options), &p->kept, &d->exports,
	    &p->log);
	rc = box_keeper_start(&p->keeper, &d->box);
	if (rc < 0)
		return rc;
	rc = exports_start(&d->exports, &p->conf, &d->identity,
	    &d->datastores, &p->log);
	if (rc < 0) {
		complain(p, d->exports.why);
		return rc;
	}
	box_leave(&d->box);
	rc = answer(p, false);
	if (rc < 0 && !d->exports.goes_on)
		return rc;
	rc = mount_all(p);
	if (rc == 0)
		rc = write_pidfile(p);
	return rc;
}

/* ---- stop ---- */

static void
give_up(int sig)
{
	static const char text[] = "vmfsd: stopping takes too long, ending as "
	    "after a crash: the journal is replayed later\n";

	(void)sig;
	(void)!write(STDERR_FILENO, text, sizeof(text) - 1);
	_exit(1);
}

static int
stop(struct program *p)
{
	struct daemon *d = &p->daemon;
	char why[CTL_MESSAGE_SIZE];
	unsigned failed;

	(void)signal(SIGALRM, give_up);
	(void)alarm(SHUTDOWN_LIMIT_S);
	/* Which may be about to make the control socket. */
	retry_stop(&p->retry);
	control_stop(p->control);
	box_keeper_stop(&p->keeper);
	(void)!tasks_stop(&d->tasks, NULL, true, why);
	failed = datastores_unmount_all(&d->datastores);
	watchdog_share_free(d->datastores.watchdog);
	datastores_fini(&d->datastores);
	membership_stop(&p->membership);
	exports_stop(&d->exports);
	box_fini(&d->box);
	tasks_fini(&d->tasks);
	identity_close(&d->identity);
	if (p->options.pidfile != NULL && !p->worker)
		(void)unlink(p->options.pidfile);
	log_info(&p->log, "vmfsd: stopped");
	return failed > 0 ? 1 : 0;
}

static volatile sig_atomic_t hurried;	/* signal that came during reap */

static void
hurry(int sig)
{
	hurried = sig;
	(void)alarm(HURRY_LIMIT_S);
}

/*
 * After an umount(8).  It waits for a LUN that is away, as all I/O does (L7);
 * a signal must be able to end the program all the same.
 */
static void
reap(struct program *p)
{
	sigset_t set, before;

	(void)signal(SIGALRM, give_up);
	(void)signal(SIGTERM, hurry);
	(void)signal(SIGINT, hurry);
	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGTERM);
	(void)sigaddset(&set, SIGINT);
	(void)pthread_sigmask(SIG_UNBLOCK, &set, &before);
	datastores_reap(&p->daemon.datastores);
	(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
}

/* The log has each change. */
static void
reload(struct program *p)
{
	char why[BOX_WHY_SIZE];
	struct conf_changes c;

	if (box_reload(&p->daemon.box, false, false, &c, why) < 0)
		log_warn(&p->log, "vmfsd: not reloaded: %s", why);
	else
		conf_changes_fini(&c);
}

/* Until a signal, or with --exit-on-unmount the last unmount. */
static void
wait_for_end(struct program *p)
{
	struct pollfd fds[2] = {
		{ .fd = p->signal_fd, .events = POLLIN },
		{ .fd = p->event_fd, .events = POLLIN },
	};
	struct signalfd_siginfo si;
	uint64_t n;

	for (;;) {
		if (poll(fds, 2, -1) < 0)
			continue;
		if ((fds[1].revents & POLLIN) != 0 &&
		    read(p->event_fd, &n, sizeof(n)) == sizeof(n))
			reap(p);
		if (hurried != 0) {
			log_info(&p->log, "vmfsd: stopping: signal %d",
			    (int)hurried);
			return;
		}
		if ((fds[0].revents & POLLIN) != 0 &&
		    read(p->signal_fd, &si, sizeof(si)) == sizeof(si)) {
			if (si.ssi_signo == SIGHUP) {
				reload(p);
				continue;
			}
			log_info(&p->log, "vmfsd: stopping: signal %u from "
			    "process %u", si.ssi_signo, si.ssi_pid);
			return;
		}
		if (p->options.exit_on_unmount &&
		    !datastores_in_use(&p->daemon.datastores))
			return;
	}
}

/* Nobody waits for a worker at its terminal but its supervisor. */
static void
tell_ready(struct program *p)
{
	if (p->options.daemonize && p->options.log_file == NULL)
		log_to_syslog(&p->log);
	if (p->ready_fd >= 0)
		background_ready(p->ready_fd);
	else if (p->options.daemonize)
		background_detach();
	keep_ready();
}

static int
run(struct program *p)
{
	bool goes_on = p->successor || something_is_left();
	int rc = log_open(&p->options, goes_on, &p->log);

	p->daemon.exports.goes_on = goes_on;
	p->ready_fd = -1;
	if (rc == 0 && p->options.daemonize && !p->worker)
		rc = p->ready_fd = background_enter();
	if (rc >= 0)
		rc = catch_signals(p);
	if (rc < 0)
		return 1;
	rc = start(p);
	/* As after a crash: the next one finds all as it was. */
	if (rc < 0 && goes_on)
		_exit(1);
	if (rc == 0) {
		log_info(&p->log, "vmfsd: ready host=%s control=%s",
		    p->conf.host_name, p->conf.control);
		tell_ready(p);
		wait_for_end(p);
		keep_ends();
	}
	return stop(p) != 0 || rc < 0 ? 1 : 0;
}

/* A supervisor asks before an upgrade. */
static bool
understands(void)
{
	const char *asked = getenv(SUPERVISE_LAYOUT);
	char ours[32];

	supervise_layout(ours);
	if (asked == NULL || strcmp(asked, ours) == 0)
		return true;
	fprintf(stderr, "vmfsd: this version cannot go on with what the "
	    "running one has open (%s, not %s)\n", ours, asked);
	return false;
}

/* What is in force, else the file.  Who only asks is to know the former. */
static int
load(struct program *p)
{
	int rc = conf_kept_take(&p->kept);

	if (rc < 0 && rc != -ENOENT)
		fprintf(stderr, "vmfsd: what is in force is not known: %s; "
		    "reading the file\n", vmfs_strerror(rc));
	p->successor = rc == 0;
	rc = options_load(&p->options, &p->kept, &p->conf);
	if (rc < 0 && p->kept.text != NULL && !p->options.check_config) {
		conf_kept_fini(&p->kept);
		rc = options_load(&p->options, &p->kept, &p->conf);
	}
	return rc;
}

int
main(int argc, char **argv)
{
	static struct program p;
	int rc;

	options_parse(&p.options, argc, argv);
	p.worker = keep_open();
	if (p.options.supervise && !p.worker && !p.options.check_config)
		return supervise(&p.options, argv);
	if (load(&p) < 0)
		return EXIT_CONFIG;
	if (p.options.check_config) {
		if (!understands())
			return EXIT_CONFIG;
		printf("the configuration is good: %zu target(s), %zu "
		    "datastore(s)\n", p.conf.targets, p.conf.datastores);
		conf_kept_fini(&p.kept);
		conf_fini(&p.conf);
		return 0;
	}
	rc = run(&p);
	conf_kept_fini(&p.kept);
	conf_fini(&p.conf);
	log_close(&p.log);
	return rc;
}
