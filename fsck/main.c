/* SPDX-License-Identifier: BSD-2-Clause */
/* fsck.vmfs: checks a datastore that no host has mounted, and repairs it. */
#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fsck/luns.h"
#include "fsck/report.h"
#include "fsck/undo.h"
#include "iscsi/disk_libiscsi.h"
#include "libvmfs/base/lun_text.h"
#include "libvmfs/core/ds.h"
#include "libvmfs/core/extents.h"
#include "libvmfs/env/reactor.h"
#include "locking/host.h"

/* Exit bits of fsck(8). */
enum {
	EXIT_FIXED = 1,
	EXIT_LEFT = 4,
	EXIT_FAILED = 8,
	EXIT_USAGE = 16,
};

enum { MODE_NO = 1, MODE_YES = 2, MODE_PREEN = 4 };

struct options {
	const char *lun, *initiator;
	char **further;		/* names of further LUNs */
	int n_further;
	const char *undo;	/* file to write */
	const char *rollback;	/* file to go back by */
	unsigned modes;		/* of MODE_*, what was given */
	bool repair, preen, force;
	struct report report;
	int status;
};

struct session {
	struct options *opt;
	struct env env;
	struct log log;
	struct disk *lun;		/* of all LUNs */
	struct disk *over[SUPER_EXTENTS_MAX];	/* each LUN, for undo */
	struct super super;
	struct host *host;	/* while repairing */
	uint64_t damage;	/* that the last check left */
};

static void
usage(FILE *to)
{
	fputs("usage: fsck.vmfs [options] LUN [LUN...]\n"
	    "       fsck.vmfs --rollback FILE LUN [LUN...]\n"
	    "Checks the datastore on LUN (a file, a block device or\n"
	    "iscsi://[user[%secret]@]portal[:port][,portal...]/iqn/lun).  Its\n"
	    "further LUNs are those named behind it, or those it has notes of.\n\n"
	    "  -n, --no             check only, write nothing (the default)\n"
	    "  -y, --yes            repair everything that can be repaired\n"
	    "  -p, --preen          repair what costs nobody anything, else nothing\n"
	    "      --undo FILE      keep in FILE what repairs overwrite\n"
	    "      --rollback FILE  undo them: put back what FILE has\n"
	    "  -f, --force          every run is a full check; --rollback of a run\n"
	    "                       that was cut short\n"
	    "  -C, --progress       show progress even without a terminal\n"
	    "      --initiator IQN  iSCSI name to log in with\n"
	    "      --json           report as one JSON object\n"
	    "  -h, --help           this text\n"
	    "  -V, --version        version\n\n"
	    "Exit status: 0 clean, 1 problems repaired, 4 problems left, 8 failed,\n"
	    "16 usage; see fsck.vmfs(8).\n", to);
}

/* Nobody is to guess which of two counts. */
static int
settle_mode(struct options *o)
{
	const char *why = NULL;

	if ((o->modes & (o->modes - 1)) != 0)
		why = "only one of -n, -y and -p";
	else if (o->undo != NULL && (o->modes != MODE_YES ||
	    o->rollback != NULL))
		why = "--undo goes with -y";
	else if (o->rollback != NULL && o->modes != 0)
		why = "--rollback goes without -n, -y and -p";
	if (why != NULL) {
		fprintf(stderr, "fsck.vmfs: %s\n", why);
		return -EINVAL;
	}
	o->repair = o->modes == MODE_YES || o->modes == MODE_PREEN;
	o->preen = o->modes == MODE_PREEN;
	return 0;
}

static int
options_parse(struct options *o, int argc, char **argv)
{
	enum { OPT_JSON = 256, OPT_INITIATOR, OPT_UNDO, OPT_ROLLBACK };
	static const struct option longs[] = {
		{ "no", no_argument, NULL, 'n' },
		{ "yes", no_argument, NULL, 'y' },
		{ "preen", no_argument, NULL, 'p' },
		{ "force", no_argument, NULL, 'f' },
		{ "progress", no_argument, NULL, 'C' },
		{ "initiator", required_argument, NULL, OPT_INITIATOR },
		{ "json", no_argument, NULL, OPT_JSON },
		{ "undo", required_argument, NULL, OPT_UNDO },
		{ "rollback", required_argument, NULL, OPT_ROLLBACK },
		{ "help", no_argument, NULL, 'h' },
		{ "version", no_argument, NULL, 'V' },
		{ NULL, 0, NULL, 0 },
	};
	int c;

	while ((c = getopt_long(argc, argv, "nypfChV", longs, NULL)) != -1) {
		switch (c) {
		case 'n':
			o->modes |= MODE_NO;
			break;
		case 'y':
			o->modes |= MODE_YES;
			break;
		case 'p':
			o->modes |= MODE_PREEN;
			break;
		case 'f':
			o->force = true;
			break;
		case 'C':
			o->report.progress = true;
			break;
		case OPT_INITIATOR:
			o->initiator = optarg;
			break;
		case OPT_UNDO:
			o->undo = optarg;
			break;
		case OPT_ROLLBACK:
			o->rollback = optarg;
			break;
		case OPT_JSON:
			o->report.json = true;
			break;
		case 'h':
			usage(stdout);
			exit(0);
		case 'V':
			puts("fsck.vmfs " VMFS_VERSION);
			exit(0);
		default:
			return -EINVAL;
		}
	}
	if (argc - optind < 1) {
		fputs("fsck.vmfs: a LUN is expected, its first one\n",
		    stderr);
		return -EINVAL;
	}
	o->lun = argv[optind];
	o->further = argv + optind + 1;
	o->n_further = argc - optind - 1;
	return settle_mode(o);
}

static int
fail(const struct session *s, int error, const char *what)
{
	fprintf(stderr, "fsck.vmfs: %s: %s: %s\n", s->opt->lun, what,
	    vmfs_strerror(error));
	s->opt->status = EXIT_FAILED;
	return error;
}

/* For sentences that name the LUN and the reason. */
static int
refuse(const struct session *s, int error, const char *sentence)
{
	fprintf(stderr, "fsck.vmfs: %s\n", sentence);
	s->opt->status = EXIT_FAILED;
	return error;
}

/* Nobody may be alive on it: a moving target looks damaged. */
static int
refuse_alive(struct session *s)
{
	char names[512];
	unsigned alive = 0;
	int rc;

	rc = hosts_alive(&s->env, s->lun, &s->super, &alive, names,
	    sizeof(names));
	if (rc != 0)
		return fail(s, rc, "cannot read the heartbeats");
	if (alive == 0)
		return 0;
	fprintf(stderr, "fsck.vmfs: %s: datastore \"%s\" is in use by %u host%s"
	    " (%s); unmount it there first\n", s->opt->lun, s->super.label,
	    alive, alive == 1 ? "" : "s", names);
	s->opt->status = EXIT_FAILED;
	return -VMFS_EINUSE;
}

static void
check_status(struct session *s, const struct check_result *res)
{
	if (res->found > res->fixed)
		s->opt->status |= EXIT_LEFT;
	if (res->fixed > 0)
		s->opt->status |= EXIT_FIXED;
}

static int
check_on(struct session *s, struct disk *disk, struct lockops *locks)
{
	struct options *o = s->opt;
	bool repair = locks != NULL;
	struct check_conf conf = {
		.env = &s->env, .disk = disk, .extents = s->lun,
		.repair = repair,
		.own_slot = locks == NULL ? -1 : (int)locks->slot,
		.locks = locks, .finding = report_finding,
		.progress = report_progress, .arg = &o->report,
	};
	struct check_result res;
	int rc;

	report_begin(&o->report, o->lun);
	rc = check_run(&conf, &res);
	if (rc != 0)
		return fail(s, rc, "the check could not be finished");
	report_end(&o->report, o->lun, &res, repair);
	s->damage = res.damage;
	check_status(s, &res);
	return 0;
}

static int
check_only(struct session *s)
{
	struct disk *overlay;
	int rc;

	rc = disk_overlay_open(s->lun, &overlay);
	if (rc != 0)
		return fail(s, rc, "no memory");
	rc = check_on(s, overlay, NULL);
	disk_close(overlay);
	return rc;
}

/* ---- repair: as a member, so that dead hosts are fenced and replayed ---- */

static void
on_status(void *arg, enum host_status status, const char *why)
{
	struct session *s = arg;

	if (status == HOST_FENCED)
		fprintf(stderr, "fsck.vmfs: %s: fenced by another host: %s\n",
		    s->opt->lun, why);
}

static void
count_others(void *arg, const struct host_info *i)
{
	unsigned *others = arg;

	/* One at large is recovered, however long it does not come back. */
	*others += !i->self && !i->at_large;
}

/* Suspends until the locking code has taken over every dead host. */
static void
wait_recovered(struct session *s)
{
	bool said = false;

	for (;;) {
		unsigned others = 0;

		host_list(s->host, count_others, &others);
		if (others == 0 || host_status(s->host) == HOST_FENCED)
			return;
		if (!said)
			fprintf(stderr, "fsck.vmfs: %s: %u host%s did not leave"
			    " in good order; fencing and replaying, at most "
			    "%u s\n", s->opt->lun, others,
			    others == 1 ? "" : "s",
			    (s->super.timers.fence_ms + 4 *
			    s->super.timers.pulse_ms) / 1000 + 1);
		said = true;
		fiber_sleep(s->super.timers.pulse_ms * 250000ull);
	}
}

static int
check_and_repair(struct session *s)
{
	struct host_conf conf = {
		.repairs = true, .on_status = on_status, .arg = s,
	};
	char name[HOST_NAME_MAX_BYTES + 1], why[256] = "";
	int rc;

	snprintf(name, sizeof(name), "fsck-%d", (int)getpid());
	conf.name = name;
	env_uuid(&s->env, &conf.host);
	env_uuid(&s->env, &conf.machine);
	env_uuid(&s->env, &conf.boot);
	rc = host_join(&s->env, &s->env, s->lun, s->lun, &s->super, &conf,
	    &s->host, why);
	if (rc != 0)
		return fail(s, rc, why[0] != '\0' ? why : "cannot join");
	wait_recovered(s);
	rc = check_on(s, host_disk(s->host), host_locks(s->host));
	if (host_leave(s->host, false) != 0 && rc == 0)
		rc = fail(s, -EIO, "could not leave in good order");
	return rc;
}

/*
 * A look first, that writes nothing.  When data or names are at stake nothing
 * is repaired: somebody has to decide that.  What it found and what was done
 * about it are told by one report.
 */
static int
preen(struct session *s)
{
	struct report *r = &s->opt->report;
	int rc;

	report_hold(r);
	rc = check_only(s);
	if (rc == 0 && s->damage == 0 && r->printed > 0) {
		report_drop(r);
		s->opt->status = 0;
		return check_and_repair(s);
	}
	report_release(r);
	if (s->damage > 0)
		fprintf(stderr, "fsck.vmfs: %s: nothing was repaired: data or "
		    "names are at stake; look at the findings, keep what can "
		    "be read, then run fsck.vmfs -y\n", s->opt->lun);
	return rc;
}

static int
undo_fail(struct session *s, unsigned i, int error)
{
	char path[PATH_MAX];

	undo_path(s->opt->undo, i, path, sizeof(path));
	return fail(s, error, path);
}

static int
undo_begin_all(struct session *s)
{
	char path[PATH_MAX];
	int rc = 0;

	for (unsigned i = 0; i < s->super.extents; i++) {
		undo_path(s->opt->undo, i, path, sizeof(path));
		rc = undo_begin(s->over[i], path, super_uuid(&s->super));
		if (rc == 0)
			continue;
		fail(s, rc, path);
		while (i-- > 0) {
			undo_path(s->opt->undo, i, path, sizeof(path));
			(void)unlink(path);
		}
		break;
	}
	return rc;
}

/* All that is written while we are a member, heartbeats, too: afterwards each
 * LUN is what it was. */
static int
check_with_undo(struct session *s)
{
	int rc = undo_begin_all(s), e;

	if (rc != 0)
		return rc;
	rc = check_and_repair(s);
	for (unsigned i = 0; i < s->super.extents; i++) {
		e = undo_finish(s->over[i]);
		if (e != 0)
			rc = undo_fail(s, i, e);
	}
	return rc;
}

static int
not_rolled_back(struct session *s, int error)
{
	const char *why = s->opt->rollback;

	switch (error) {
	case -VMFS_EMISCOMPARE:
		why = "not rolled back: this is not the LUN that the undo file "
		    "is of, or it was written since";
		break;
	case -VMFS_ENOTVMFS:
		why = "not rolled back: the run that wrote the undo file did "
		    "not end, and there is no superblock that tells whether "
		    "this is its LUN";
		break;
	case -VMFS_EEXTENT:
		why = "not rolled back: there are undo files of more LUNs than "
		    "the superblock tells of";
		break;
	case -EAGAIN:
		why = "not rolled back: the run that wrote the undo file did "
		    "not end; if nothing has used the LUN since, add --force";
		break;
	default:
		break;
	}
	return fail(s, error, why);
}

static int
roll_back(struct session *s)
{
	struct options *o = s->opt;
	struct disk *lun[EXTENTS_SEEN_MAX];
	struct undo_luns luns = { .lun = lun, .n = 1 };
	struct undo_result r;
	int rc;

	(void)extents_luns(s->lun, lun);
	for (; luns.n < s->super.extents; luns.n++)
		lun[luns.n] = extents_lun(s->lun,
		    &s->super.extent[luns.n].uuid);
	if (s->super.extents > 0)
		luns.volume = super_uuid(&s->super);
	rc = undo_rollback(o->rollback, &luns, o->force, &r);
	if (rc != 0)
		return not_rolled_back(s, rc);
	printf("%s: rolled back, %llu writes, %llu KiB\n", o->lun,
	    (unsigned long long)r.records,
	    (unsigned long long)(r.bytes / 1024));
	return 0;
}

/* For undo: by its extent's number. */
static int
over_lun(void *arg, unsigned i, struct disk *lun, struct disk **ret_d)
{
	struct session *s = arg;
	int rc = undo_open(lun, &s->over[i]);

	if (rc == 0)
		*ret_d = s->over[i];
	return rc;
}

static int
find_luns(struct session *s)
{
	const struct options *o = s->opt;
	struct luns_conf conf = {
		.env = &s->env, .initiator = o->initiator, .names = o->further,
		.n = o->n_further,
		.flags = o->repair || o->rollback != NULL ? 0 :
		    DISK_OPEN_READONLY,
		.over = o->undo != NULL ? over_lun : NULL, .arg = s,
	};
	char why[LUNS_WHY_SIZE];
	int rc = luns_find(s->lun, &s->super, &conf, why);

	return rc != 0 ? refuse(s, rc, why) : 0;
}

static int
run(struct session *s)
{
	char why[LUNS_WHY_SIZE];
	int rc;

	rc = super_read(s->lun, &s->super);
	if (rc == -VMFS_ECORRUPT && s->opt->rollback == NULL)
		return fail(s, rc, "cannot read the superblock");
	if (rc != 0 && s->opt->rollback == NULL)
		return refuse(s, rc, lun_super_text(s->opt->lun, rc, why,
		    sizeof(why)));
	if (rc != 0)
		s->super.extents = 0;
	if (rc == 0 && find_luns(s) != 0)
		return -VMFS_EEXTENT;
	if (rc == 0 && refuse_alive(s) != 0)
		return -VMFS_EINUSE;
	if (s->opt->rollback != NULL)
		return roll_back(s);
	if (s->opt->undo != NULL)
		return check_with_undo(s);
	if (s->opt->preen)
		return preen(s);
	return s->opt->repair ? check_and_repair(s) : check_only(s);
}

static int
fsck_main(void *arg)
{
	struct options *o = arg;
	struct session s = { .opt = o };
	struct disk_libiscsi_conf conf = { .initiator = o->initiator };
	char why[LUNS_WHY_SIZE];
	struct disk *first;
	int rc;

	s.log = (struct log){
		.level = LOG_LEVEL_WARN, .sink = log_sink_stderr,
	};
	env_posix_init(&s.env, sched_current(), &s.log);
	rc = lun_open(&s.env, o->lun, o->repair || o->rollback != NULL ? 0 :
	    DISK_OPEN_READONLY, &conf, &first);
	if (rc != 0)
		return refuse(&s, rc, lun_open_text(o->lun, rc, why,
		    sizeof(why)));
	rc = o->undo != NULL ? over_lun(&s, 0, first, &first) : 0;
	if (rc == 0)
		rc = extents_open(first, &s.lun);
	if (rc != 0) {
		disk_close(first);
		return fail(&s, rc, "no memory");
	}
	rc = run(&s);
	disk_close(s.lun);
	return rc;
}

int
main(int argc, char **argv)
{
	struct options o = { .report.progress = isatty(STDERR_FILENO) };

	if (options_parse(&o, argc, argv) != 0) {
		usage(stderr);
		return EXIT_USAGE;
	}
	if (reactor_run_main(fsck_main, &o) != 0 && o.status == 0)
		o.status = EXIT_FAILED;
	return o.status;
}
