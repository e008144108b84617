/* SPDX-License-Identifier: BSD-2-Clause */
/* Options of vmfsd and how they meet the configuration file. */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "vmfsd/ctl_msg.h"
#include "vmfsd/options.h"

#define CONFIG_DEFAULT VMFS_SYSCONFDIR "/vmfsd/vmfsd.conf"
#define DIR_DEFAULT "/var/lib/vmfsd"
#define EXIT_USAGE 2

static const char usage_text[] =
"usage: vmfsd [options]\n"
"\n"
"Serves what its configuration names: datastores mounted on this host, LUNs\n"
"exported by iSCSI, or both.  Runs in the foreground and logs to stderr.\n"
"\n"
"  -c, --config=FILE      configuration (default " CONFIG_DEFAULT ")\n"
"  -t, --check-config     check the configuration and exit\n"
"  -d, --daemon           go to the background when everything is up\n"
"      --pidfile=FILE     write the process id there\n"
"      --log-file=FILE    append the log to FILE\n"
"      --log-level=LEVEL  error, warn, info (default) or debug\n"
"      --host=NAME        name of this host (default: the host name)\n"
"      --dir=DIR          identity of this host (default " DIR_DEFAULT ")\n"
"      --initiator=IQN    iSCSI name of this host\n"
"      --control=SOCKET   control socket (default " CTL_SOCKET_DEFAULT ")\n"
"      --supervise        a second process starts the one that works again when\n"
"                         it dies: open files and locks stay\n"
"      --exit-on-unmount  end when the last datastore is unmounted\n"
"  -h, --help             show this\n"
"  -V, --version          show the version\n";

enum {
	OPT_PIDFILE = 256, OPT_LOG_FILE, OPT_LOG_LEVEL, OPT_HOST, OPT_DIR,
	OPT_INITIATOR, OPT_CONTROL, OPT_EXIT_ON_UNMOUNT, OPT_SUPERVISE,
};

static const struct option long_options[] = {
	{ "config", required_argument, NULL, 'c' },
	{ "check-config", no_argument, NULL, 't' },
	{ "daemon", no_argument, NULL, 'd' },
	{ "pidfile", required_argument, NULL, OPT_PIDFILE },
	{ "log-file", required_argument, NULL, OPT_LOG_FILE },
	{ "log-level", required_argument, NULL, OPT_LOG_LEVEL },
	{ "host", required_argument, NULL, OPT_HOST },
	{ "dir", required_argument, NULL, OPT_DIR },
	{ "initiator", required_argument, NULL, OPT_INITIATOR },
	{ "control", required_argument, NULL, OPT_CONTROL },
	{ "exit-on-unmount", no_argument, NULL, OPT_EXIT_ON_UNMOUNT },
	{ "supervise", no_argument, NULL, OPT_SUPERVISE },
	{ "help", no_argument, NULL, 'h' },
	{ "version", no_argument, NULL, 'V' },
	{ NULL, 0, NULL, 0 },
};

static enum log_level
parse_level(const char *text)
{
	for (enum log_level l = LOG_LEVEL_ERROR; l <= LOG_LEVEL_DEBUG; l++)
		if (strcmp(log_level_name(l), text) == 0)
			return l;
	fprintf(stderr, "vmfsd: --log-level='%s': expected error, warn, info "
	    "or debug\n", text);
	exit(EXIT_USAGE);
}

static void
set_option(struct options *o, int opt)
{
	switch (opt) {
	case 'c':
		o->config = optarg;
		break;
	case 't':
		o->check_config = true;
		break;
	case 'd':
		o->daemonize = true;
		break;
	case OPT_PIDFILE:
		o->pidfile = optarg;
		break;
	case OPT_LOG_FILE:
		o->log_file = optarg;
		break;
	case OPT_LOG_LEVEL:
		o->level = parse_level(optarg);
		break;
	case OPT_HOST:
		o->host = optarg;
		break;
	case OPT_DIR:
		o->dir = optarg;
		break;
	case OPT_INITIATOR:
		o->initiator = optarg;
		break;
	case OPT_CONTROL:
		o->control = optarg;
		break;
	case OPT_EXIT_ON_UNMOUNT:
		o->exit_on_unmount = true;
		break;
	case OPT_SUPERVISE:
		o->supervise = true;
		break;
	case 'h':
		fputs(usage_text, stdout);
		exit(0);
	case 'V':
		puts("vmfsd " VMFS_VERSION);
		exit(0);
	default:
		fputs("try 'vmfsd --help'\n", stderr);
		exit(EXIT_USAGE);
	}
}

void
options_parse(struct options *o, int argc, char **argv)
{
	int opt;

	*o = (struct options){ .level = LOG_LEVEL_INFO };
	while ((opt = getopt_long(argc, argv, "c:tdhV", long_options,
	    NULL)) != -1)
		set_option(o, opt);
	if (optind < argc) {
		fprintf(stderr, "vmfsd: unexpected argument '%s'\n"
		    "try 'vmfsd --help'\n", argv[optind]);
		exit(EXIT_USAGE);
	}
}

static int
override(char **field, const char *option, const char *fallback)
{
	const char *value = option != NULL ? option : fallback;

	if (value == NULL || (option == NULL && *field != NULL))
		return 0;
	free(*field);
	*field = strdup(value);
	return *field != NULL ? 0 : -ENOMEM;
}

static int
check_names(const struct conf *c)
{
	if (!conf_name_ok(c->host_name)) {
		fprintf(stderr, "vmfsd: host name '%s': expected 1 to 63 "
		    "letters, digits, '.', '_' or '-'; give one by --host\n",
		    c->host_name);
		return -VMFS_ECONFIG;
	}
	if (c->initiator != NULL && !conf_iqn_ok(c->initiator)) {
		fprintf(stderr, "vmfsd: initiator '%s' is no iSCSI name; "
		    "expected iqn.YYYY-MM.reversed.domain:name\n",
		    c->initiator);
		return -VMFS_ECONFIG;
	}
	if (c->host_dir[0] != '/' || c->control[0] != '/') {
		fprintf(stderr, "vmfsd: '%s': expected an absolute path\n",
		    c->host_dir[0] != '/' ? c->host_dir : c->control);
		return -VMFS_ECONFIG;
	}
	return 0;
}

static int
apply_options(const struct options *o, struct conf *c)
{
	char host[65] = "localhost";
	int rc;

	(void)gethostname(host, sizeof(host) - 1);
	rc = override(&c->host_name, o->host, host);
	if (rc == 0)
		rc = override(&c->host_dir, o->dir, DIR_DEFAULT);
	if (rc == 0)
		rc = override(&c->control, o->control, CTL_SOCKET_DEFAULT);
	if (rc == 0)
		rc = override(&c->initiator, o->initiator, NULL);
	return rc < 0 ? rc : check_names(c);
}

const char *
options_config(const struct options *o)
{
	return o->config != NULL ? o->config : CONFIG_DEFAULT;
}

static int
read_file(const char *path, struct conf *ret_c, char *msg)
{
	FILE *in = fopen(path, "re");
	int rc;

	if (in == NULL) {
		(void)snprintf(msg, CONF_MESSAGE_SIZE, "cannot read the "
		    "configuration '%s': %s; name another by --config", path,
		    strerror(errno));
		return -VMFS_ECONFIG;
	}
	rc = conf_read(in, path, ret_c, msg);
	(void)fclose(in);
	return rc;
}

int
options_load(const struct options *o, const struct conf_kept *kept,
    struct conf *ret_c)
{
	char msg[CONF_MESSAGE_SIZE];
	struct conf c;
	int rc = kept->text != NULL ? conf_read_text(kept->text,
	    kept->secrets, "the configuration in force", &c, msg) :
	    read_file(options_config(o), &c, msg);

	if (rc < 0) {
		fprintf(stderr, "vmfsd: %s\n", msg[0] != '\0' ? msg :
		    vmfs_strerror(rc));
		return rc;
	}
	rc = apply_options(o, &c);
	if (rc < 0) {
		conf_fini(&c);
		return rc;
	}
	*ret_c = c;
	return 0;
}
