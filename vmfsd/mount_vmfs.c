/* SPDX-License-Identifier: BSD-2-Clause */
/* mount.vmfs: one datastore, by a vmfsd that runs or by one of its own. */
#include <getopt.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "vmfsd/conf.h"
#include "vmfsd/ctl_client.h"
#include "vmfsd/lun_label.h"

#define EXIT_MOUNT_USAGE 1	/* statuses of mount(8) */
#define EXIT_MOUNT_FAILED 32
#define DIR_DEFAULT "/var/lib/vmfsd"

struct request {
	const char *lun, *dir;
	char mount[PATH_MAX];		/* dir as an absolute path */
	char *name, *host_dir, *control, *initiator, *ds, *log_file;
	const char *dir_name;		/* last part of mount */
	char socket[PATH_MAX];
	bool readonly, fake;
};

static const char usage_text[] =
"usage: mount.vmfs [options] LUN DIR\n"
"\n"
"Mounts the datastore on LUN (a path or an iscsi:// URL) on directory DIR.\n"
"A running vmfsd takes it when its control socket answers; else one is\n"
"started that ends when the datastore is unmounted.  Also installed as\n"
"mount.fuse.vmfs, for mount -t fuse.vmfs.\n"
"\n"
"  -f, --fake      do everything but mount\n"
"  -n              for mount(8); no effect\n"
"  -o OPTIONS      comma separated:\n"
"                    ro              read-only\n"
"                    ds=NAME         name for vmfsctl (default: label of the\n"
"                                    datastore, else last part of DIR)\n"
"                    name=HOST       name of this host\n"
"                    dir=DIR         identity of this host\n"
"                    control=SOCKET  control socket (default: DIR/control.sock\n"
"                                    when dir is given)\n"
"                    initiator=IQN   iSCSI name of this host\n"
"                    log=FILE        log file of a vmfsd that is started\n"
"  -r, --read-only same as -o ro\n"
"  -s, -v          for mount(8); no effect\n"
"  -h, --help      show this\n"
"  -V, --version   show the version\n";

static _Noreturn void PRINTF_LIKE(2, 3)
fail(int status, const char *fmt, ...)
{
	va_list ap;

	fputs("mount.vmfs: ", stderr);
	va_start(ap, fmt);
	(void)vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	exit(status);
}

/* ---- options ---- */

/* What mount(8) and fstab add and what says nothing to us. */
static bool
is_ignored(const char *o)
{
	static const char *const words[] = {
		"rw", "defaults", "auto", "noauto", "nofail", "_netdev",
		"user", "nouser", "users", "owner", "group", "dev", "nodev",
		"suid", "nosuid", "exec", "noexec", "async", "relatime",
		"noatime", "nodiratime", "strictatime", "allow_other",
		"default_permissions",
	};

	if (strncmp(o, "x-", 2) == 0 || strncmp(o, "comment=", 8) == 0)
		return true;
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (strcmp(o, words[i]) == 0)
			return true;
	return false;
}

static void
set_option(struct request *r, char *o)
{
	struct {
		const char *key;
		char **field;
	} const keys[] = {
		{ "name=", &r->name }, { "dir=", &r->host_dir },
		{ "control=", &r->control }, { "initiator=", &r->initiator },
		{ "ds=", &r->ds }, { "log=", &r->log_file },
	};

	if (strcmp(o, "ro") == 0) {
		r->readonly = true;
		return;
	}
	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		size_t len = strlen(keys[i].key);

		if (strncmp(o, keys[i].key, len) == 0) {
			*keys[i].field = o + len;
			return;
		}
	}
	if (!is_ignored(o))
		fail(EXIT_MOUNT_USAGE, "unknown option '%s'; see mount.vmfs "
		    "--help", o);
}

static void
parse_options(struct request *r, int argc, char **argv)
{
	static const struct option long_options[] = {
		{ "fake", no_argument, NULL, 'f' },
		{ "read-only", no_argument, NULL, 'r' },
		{ "help", no_argument, NULL, 'h' },
		{ "version", no_argument, NULL, 'V' },
		{ NULL, 0, NULL, 0 },
	};
	char *save = NULL;
	int opt;

	while ((opt = getopt_long(argc, argv, "fnrsvo:t:N:hV", long_options,
	    NULL)) != -1) {
		switch (opt) {
		case 'f':
			r->fake = true;
			break;
		case 'r':
			r->readonly = true;
			break;
		case 'o':
			for (char *o = strtok_r(optarg, ",", &save); o != NULL;
			    o = strtok_r(NULL, ",", &save))
				set_option(r, o);
			break;
		case 'h':
			fputs(usage_text, stdout);
			exit(0);
		case 'V':
			puts("mount.vmfs " VMFS_VERSION);
			exit(0);
		case '?':
			fputs("try 'mount.vmfs --help'\n", stderr);
			exit(EXIT_MOUNT_USAGE);
		default:
			break;
		}
	}
	if (argc - optind != 2)
		fail(EXIT_MOUNT_USAGE, "expected LUN and DIR; see mount.vmfs "
		    "--help");
	r->lun = argv[optind];
	r->dir = argv[optind + 1];
}

static void
complete(struct request *r)
{
	char lun[PATH_MAX];
	const char *slash;

	if (realpath(r->dir, r->mount) == NULL)
		fail(EXIT_MOUNT_FAILED, "mount point '%s': %s", r->dir,
		    strerror(errno));
	/* The daemon's directory is not ours. */
	if (strncmp(r->lun, "iscsi://", 8) != 0) {
		if (realpath(r->lun, lun) == NULL)
			fail(EXIT_MOUNT_FAILED, "LUN '%s': %s", r->lun,
			    strerror(errno));
		r->lun = strdup(lun);
	}
	slash = strrchr(r->mount, '/');
	r->dir_name = slash[1] != '\0' ? slash + 1 : "root";
	if (r->ds != NULL && !conf_name_ok(r->ds))
		fail(EXIT_MOUNT_USAGE, "'%s' cannot be the name of a "
		    "datastore; give one by -o ds=NAME", r->ds);
	if (r->control != NULL)
		(void)snprintf(r->socket, sizeof(r->socket), "%s", r->control);
	else if (r->host_dir != NULL)
		(void)snprintf(r->socket, sizeof(r->socket),
		    "%s/control.sock", r->host_dir);
	else
		(void)snprintf(r->socket, sizeof(r->socket), "%s",
		    CTL_SOCKET_DEFAULT);
}

/* ---- a vmfsd that runs ---- */

static bool
daemon_answers(const struct request *r)
{
	json_t *answer;
	const char *host;

	if (ctl_request(r->socket, "ping", NULL, &answer) < 0)
		return false;
	host = json_string_value(json_object_get(
	    json_object_get(answer, "result"), "host"));
	if (r->name != NULL && (host == NULL || strcmp(host, r->name) != 0))
		fail(EXIT_MOUNT_FAILED, "the vmfsd on '%s' is host '%s', not "
		    "'%s'; give this one a directory of its own (-o dir=DIR)",
		    r->socket, host != NULL ? host : "?", r->name);
	json_decref(answer);
	return true;
}

static int
hand_over(const struct request *r)
{
	json_t *answer, *args = json_pack("{s:s, s:s, s:s, s:b}",
	    r->ds != NULL ? "name" : "else_name",
	    r->ds != NULL ? r->ds : r->dir_name,
	    "lun", r->lun, "mount", r->mount, "readonly", r->readonly);
	int rc = ctl_request(r->socket, "ds.mount", args, &answer);

	json_decref(args);
	if (rc < 0)
		fail(EXIT_MOUNT_FAILED, "vmfsd on '%s': %s", r->socket,
		    vmfs_strerror(rc));
	if (!json_is_true(json_object_get(answer, "ok")))
		fail(EXIT_MOUNT_FAILED, "%s", json_string_value(
		    json_object_get(answer, "message")));
	json_decref(answer);
	return 0;
}

/* ---- a vmfsd of its own ---- */

/* A LUN that cannot be read is vmfsd's to complain about. */
static const char *
name_of(const struct request *r)
{
	static char label[SUPER_LABEL_MAX + 1];
	const char *name = r->ds;

	if (name == NULL && lun_label(r->lun, r->initiator, NULL, label) == 0)
		name = label;
	if (name == NULL)
		name = r->dir_name;
	if (!conf_name_ok(name))
		fail(EXIT_MOUNT_USAGE, "'%s' cannot be the name of a "
		    "datastore; give one by -o ds=NAME", name);
	return name;
}

/* In memory, so that no secret of a URL gets into an argument list. */
static int
write_config(const struct request *r)
{
	int fd = memfd_create("vmfsd.conf", 0);

	if (fd < 0)
		fail(EXIT_MOUNT_FAILED, "memfd_create: %s", strerror(errno));
	dprintf(fd, "[host]\n");
	if (r->name != NULL)
		dprintf(fd, "name = %s\n", r->name);
	dprintf(fd, "dir = %s\n",
	    r->host_dir != NULL ? r->host_dir : DIR_DEFAULT);
	if (r->initiator != NULL)
		dprintf(fd, "initiator = %s\n", r->initiator);
	dprintf(fd, "[control]\nsocket = %s\n", r->socket);
	dprintf(fd, "[datastore %s]\nlun = %s\nmount = %s\noptions = %s\n",
	    name_of(r), r->lun, r->mount, r->readonly ? "ro" : "rw");
	return fd;
}

/* Beside us, as in a build tree, else by PATH. */
static void
exec_vmfsd(char **argv)
{
	char path[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - 7);
	char *slash;

	if (n > 0) {
		path[n] = '\0';
		slash = strrchr(path, '/');
		memcpy(slash + 1, "vmfsd", sizeof("vmfsd"));
		(void)execv(path, argv);
	}
	(void)execvp("vmfsd", argv);
	fprintf(stderr, "mount.vmfs: cannot run vmfsd: %s\n", strerror(errno));
	_exit(EXIT_MOUNT_FAILED);
}

static int
start_vmfsd(const struct request *r)
{
	int status, fd = write_config(r);
	char config[32], log_file[PATH_MAX + 16];
	char *argv[] = {
		"vmfsd", "--daemon", "--supervise", "--exit-on-unmount",
		"--config", config, NULL, NULL,
	};
	pid_t child;

	(void)snprintf(config, sizeof(config), "/dev/fd/%d", fd);
	if (r->log_file != NULL) {
		(void)snprintf(log_file, sizeof(log_file), "--log-file=%s",
		    r->log_file);
		argv[6] = log_file;
	}
	child = fork();
	if (child < 0)
		fail(EXIT_MOUNT_FAILED, "fork: %s", strerror(errno));
	if (child == 0)
		exec_vmfsd(argv);
	while (waitpid(child, &status, 0) < 0 && errno == EINTR)
		;
	/* vmfsd has said why on our stderr. */
	return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 :
	    EXIT_MOUNT_FAILED;
}

int
main(int argc, char **argv)
{
	static struct request r;

	parse_options(&r, argc, argv);
	complete(&r);
	if (r.fake)
		return 0;
	return daemon_answers(&r) ? hand_over(&r) : start_vmfsd(&r);
}
