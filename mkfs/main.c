/* SPDX-License-Identifier: BSD-2-Clause */
/* mkfs.vmfs: checks a LUN and makes a datastore on it. */
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "iscsi/disk_libiscsi.h"
#include "libvmfs/base/lun_text.h"
#include "libvmfs/base/units.h"
#include "libvmfs/core/extents.h"
#include "libvmfs/core/volume.h"
#include "libvmfs/env/reactor.h"
#include "locking/host.h"
#include "locking/lease.h"
#include "mkfs/further.h"
#include "mkfs/options.h"
#include "mkfs/probe.h"

struct run {
	struct options options;
	struct log log;
	struct env env;
	struct disk *disk;
	struct super super;
	char name[LUN_TEXT_SIZE];
};

static int PRINTF_LIKE(2, 3)
refuse(int error, const char *fmt, ...)
{
	va_list ap;

	fputs("mkfs.vmfs: ", stderr);
	va_start(ap, fmt);
	(void)vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	return error;
}

/* ---- what stands in the way ---- */

static int
check_size(struct run *r)
{
	uint64_t size = r->disk->info.size_bytes;
	char have[SIZE_TEXT_SIZE], need[SIZE_TEXT_SIZE];

	if (size < MKDS_SIZE_MIN)
		return refuse(-ENOSPC, "'%s' has %s; a datastore needs at "
		    "least %s", r->name, size_text(size, have),
		    size_text(MKDS_SIZE_MIN, need));
	if (size < r->options.size_min)
		return refuse(-ENOSPC, "'%s' has %s, less than the %s of "
		    "--size-check; is this the right LUN?", r->name,
		    size_text(size, have), size_text(r->options.size_min,
		    need));
	if ((r->disk->info.caps & DISK_CAP_READONLY) != 0 &&
	    !r->options.dry_run)
		return refuse(-EROFS, "'%s' is read-only", r->name);
	return 0;
}

/* No option overrides a host that is alive. */
static int
check_hosts(struct run *r, const struct super *old)
{
	char names[512] = "";
	unsigned alive;
	int rc = hosts_alive(&r->env, r->disk, old, &alive, names,
	    sizeof(names));

	if (rc < 0)
		return refuse(rc, "cannot read the hosts on '%s': %s", r->name,
		    vmfs_strerror(rc));
	if (alive > 0)
		return refuse(-VMFS_EINUSE, "'%s' is in use: datastore '%s' is "
		    "mounted by %u host(s): %s; unmount it there first "
		    "(--force does not change this)", r->name, old->label,
		    alive, names);
	return 0;
}

/* Its hosts are on another LUN: whether they live cannot be seen here. */
static int
check_extent(struct run *r)
{
	struct extent_info e = { .label = "" };

	if (r->options.force)
		return 0;
	if (extent_read(r->disk, &e) < 0)
		(void)snprintf(e.label, sizeof(e.label), "(damaged)");
	return refuse(-EEXIST, "'%s' is an extent of the datastore '%s'; "
	    "--force destroys all that lies on it, whoever uses it", r->name,
	    e.label);
}

static int
check_datastore(struct run *r)
{
	struct super old = { 0 };
	char uuid[UUID_TEXT_SIZE];
	int rc = super_read(r->disk, &old);

	if (rc == -VMFS_ENOTVMFS)
		return 0;
	if (rc == -VMFS_EFURTHER)
		return check_extent(r);
	if (rc == 0 || (rc == -VMFS_EFEATURE && !uuid_is_null(&old.uuid))) {
		int rc2 = check_hosts(r, &old);

		if (rc2 < 0)
			return rc2;
	} else if (rc != -VMFS_ECORRUPT && rc != -ERANGE &&
	    rc != -VMFS_EFEATURE) {
		return refuse(rc, "cannot read '%s': %s", r->name,
		    vmfs_strerror(rc));
	}
	if (r->options.force)
		return 0;
	return refuse(-EEXIST, "'%s' carries a datastore already (label '%s', "
	    "%s%s); --force destroys it and all disks on it", r->name,
	    old.label, uuid_text(super_uuid(&old), uuid),
	    rc < 0 ? ", damaged or of another version" : "");
}

static int
check_content(struct run *r)
{
	const char *what = NULL;
	int rc = check_datastore(r);

	if (rc < 0 || r->options.force)
		return rc;
	rc = probe_disk(r->disk, &what);
	if (rc < 0)
		return refuse(rc, "cannot read '%s': %s", r->name,
		    vmfs_strerror(rc));
	if (what != NULL)
		return refuse(-EEXIST, "'%s' carries something already: %s; "
		    "--force destroys it", r->name, what);
	return 0;
}

/* ---- doing it ---- */

static int
check_timers(const struct super *s)
{
	const struct timers *t = &s->timers;

	if (lease_timers_ok(t, s->protocol) &&
	    (!lease_by_time(s->protocol) || lease_keeps_time(t)))
		return 0;
	if (lease_by_time(s->protocol))
		return refuse(-EINVAL, "--timers: with the protocol '%s' fence "
		    "and hint are at least pulse + freeze + watchdog + bound, "
		    "%llu ms, and 0.2 %% more than the last three, for clocks "
		    "that go wrong", lock_protocol_name(s->protocol),
		    (unsigned long long)lease_proof_ms(t));
	return refuse(-EINVAL, "--timers: pulse=%u,io=%u,freeze=%u,fence=%u,"
	    "hint=%u do not hold pulse + io <= freeze, freeze + pulse < fence "
	    "and hint >= 2 * pulse", t->pulse_ms, t->io_ms, t->freeze_ms,
	    t->fence_ms, t->fence_hint_ms);
}

static int
make_plan(struct run *r)
{
	int rc = mkds_plan(&r->disk->info, &r->options.conf, &r->super);

	if (rc == -EOPNOTSUPP)
		return refuse(rc, "'%s' (%s) cannot do the locking that "
		    "--protocol asks for, or none at all: it needs COMPARE AND "
		    "WRITE, or SCSI-2 RESERVE and sectors of 512 bytes",
		    r->name, r->disk->info.kind);
	if (rc == -EINVAL)
		return refuse(rc, "these sizes of journal and cluster do not "
		    "fit '%s': a cluster is a power of two from 16 MiB to "
		    "1 GiB, a journal has 1 to 64 MiB and at most half a "
		    "cluster", r->name);
	if (rc < 0)
		return refuse(rc, "cannot plan a datastore on '%s': %s",
		    r->name, vmfs_strerror(rc));
	return check_timers(&r->super);
}

static void
show_progress(void *arg, uint64_t done, uint64_t total)
{
	(void)arg;
	fprintf(stderr, "\rwriting metadata %3u %%",
	    (unsigned)(total > 0 ? done * 100 / total : 100));
	if (done >= total)
		fputc('\n', stderr);
}

static int
explain_write(struct run *r, int error)
{
	struct super left;

	if (error == -VMFS_ECONFLICT)
		return refuse(error, "'%s' is reserved for the hosts of its "
		    "datastore: one that was fenced, or died, could still "
		    "write. Let it mount and unmount once. If it is gone for "
		    "good, mount the datastore on another host, run vmfsctl "
		    "host ls and vmfsctl host forget there, and unmount",
		    r->name);
	return refuse(error, "writing to '%s' failed: %s; %s", r->name,
	    vmfs_strerror(error), super_read(r->disk, &left) == 0 ?
	    "the datastore that was on it is still there" :
	    "the LUN carries no datastore now");
}

static int
write_datastore(struct run *r)
{
	int rc;

	if (r->options.dry_run)
		return 0;
	if (isatty(STDERR_FILENO) && !r->options.json)
		r->options.conf.progress = show_progress;
	rc = mkds_write(&r->env, r->disk, &r->options.conf, &r->super);
	return rc < 0 ? explain_write(r, rc) : 0;
}

/* ---- further LUNs ---- */

static int
open_lun(struct run *r, const char *lun)
{
	struct disk_libiscsi_conf conf = { .initiator = r->options.initiator };
	char why[512];
	int rc = lun_open(&r->env, lun, DISK_OPEN_EXCLUSIVE, &conf, &r->disk);

	(void)lun_text(lun, r->name);
	return rc < 0 ? refuse(rc, "%s", lun_open_text(lun, rc, why,
	    sizeof(why))) : 0;
}

/* Each on its own: nothing is written before all have been looked at. */
static int
check_further(struct run *r)
{
	int rc = 0;

	for (int i = 0; i < r->options.n_further && rc == 0; i++) {
		rc = open_lun(r, r->options.further[i]);
		if (rc < 0)
			return rc;
		rc = check_content(r);
		disk_close(r->disk);
		r->disk = NULL;
	}
	return rc;
}

/* By which hosts find it, whatever their directory is. */
static const char *
place_of(const struct run *r, const char *lun, char path[PATH_MAX])
{
	return strncmp(lun, "iscsi://", 8) != 0 && realpath(lun, path) != NULL ?
	    path : r->name;
}

static int
add_further(struct run *r)
{
	struct disk *first = r->disk;
	char why[LOCKOPS_WHY] = "", path[PATH_MAX];
	int rc = 0;

	for (int i = 0; i < r->options.n_further && rc == 0; i++) {
		const char *lun = r->options.further[i];

		rc = open_lun(r, lun);
		if (rc == 0)
			rc = further_add(&r->env, first, r->disk,
			    place_of(r, lun, path), &r->super, why);
		if (rc < 0)
			(void)refuse(rc, "'%s' was not added: %s; the "
			    "datastore was made without it, see vmfsctl ds "
			    "extent add", r->name, why[0] != '\0' ? why :
			    rc == -ENOSPC ? "it is too small, 17 MiB are the "
			    "least" : vmfs_strerror(rc));
	}
	r->disk = first;
	(void)lun_text(r->options.lun, r->name);
	return rc;
}

static void
print_json_string(const char *key, const char *value)
{
	printf(",\n  \"%s\": \"", key);
	for (const unsigned char *p = (const unsigned char *)value; *p; p++) {
		if (*p == '"' || *p == '\\' || *p < ' ')
			printf("\\u%04x", *p);
		else
			putchar(*p);
	}
	putchar('"');
}

static void
print_json(const struct run *r)
{
	const struct super *s = &r->super;
	char uuid[UUID_TEXT_SIZE];

	printf("{\n  \"api\": 1");
	print_json_string("lun", r->name);
	print_json_string("label", s->label);
	print_json_string("uuid", uuid_text(super_uuid(s), uuid));
	print_json_string("protocol", lock_protocol_name(s->protocol));
	printf(",\n  \"size\": %llu,\n  \"cluster\": %llu,\n  \"journal\": "
	    "%llu,\n  \"timers\": {\"pulse_ms\": %u, \"io_ms\": %u, "
	    "\"freeze_ms\": %u, \"fence_ms\": %u},\n  \"dry_run\": %s\n}\n",
	    (unsigned long long)(volume_space(s) * BLOCK_SIZE),
	    (unsigned long long)s->cluster_blocks * BLOCK_SIZE,
	    (unsigned long long)s->journal_blocks * BLOCK_SIZE,
	    s->timers.pulse_ms, s->timers.io_ms, s->timers.freeze_ms,
	    s->timers.fence_ms, r->options.dry_run ? "true" : "false");
}

static void
print_text(const struct run *r)
{
	const struct super *s = &r->super;
	char uuid[UUID_TEXT_SIZE], size[SIZE_TEXT_SIZE];

	printf("%s '%s' on %s\n", r->options.dry_run ?
	    "would make datastore" : "datastore", s->label, r->name);
	if (!r->options.dry_run)
		printf("  uuid      %s\n", uuid_text(super_uuid(s), uuid));
	printf("  size      %s\n", size_text(volume_space(s) * BLOCK_SIZE,
	    size));
	if (r->options.n_further > 0)
		printf("  luns      %d\n", r->options.n_further + 1);
	printf("  clusters  %s each\n",
	    size_text((uint64_t)s->cluster_blocks * BLOCK_SIZE, size));
	printf("  journals  %s each\n",
	    size_text((uint64_t)s->journal_blocks * BLOCK_SIZE, size));
	printf("  locking   %s\n", lock_protocol_name(s->protocol));
	printf("  timers    a dead host is fenced after %u.%u s\n",
	    s->timers.fence_ms / 1000, s->timers.fence_ms % 1000 / 100);
	if (s->protocol != LOCK_ATS_PR && s->protocol != LOCK_FILE)
		printf("  note      the LUN cannot fence: every host needs a "
		    "watchdog (vmfsd.conf)\n");
}

static int
run_fiber(void *arg)
{
	struct run *r = arg;
	int rc;

	r->log = (struct log){
		.level = LOG_LEVEL_ERROR, .sink = log_sink_stderr,
	};
	env_posix_init(&r->env, sched_current(), &r->log);
	rc = check_further(r);
	if (rc == 0)
		rc = open_lun(r, r->options.lun);
	if (rc < 0)
		return rc;
	rc = check_size(r);
	if (rc == 0)
		rc = check_content(r);
	if (rc == 0)
		rc = make_plan(r);
	if (rc == 0)
		rc = write_datastore(r);
	if (rc == 0 && !r->options.dry_run)
		rc = add_further(r);
	disk_close(r->disk);
	return rc;
}

int
main(int argc, char **argv)
{
	static struct run r;

	options_parse(&r.options, argc, argv);
	(void)lun_text(r.options.lun, r.name);
	if (reactor_run_main(run_fiber, &r) < 0)
		return EXIT_MKFS_FAILED;
	if (r.options.json)
		print_json(&r);
	else
		print_text(&r);
	return 0;
}
