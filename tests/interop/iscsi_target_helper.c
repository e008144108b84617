/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Serves memory or file LUNs over iSCSI on a free port of 127.0.0.1 until
 * standard input ends.  For tests; prints its portal and targets, then serves.
 * A digit of the input is an access state of all LUNs; a line says that it is.
 */
#include <err.h>
#include <getopt.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "iscsi/disk_crypt.h"
#include "iscsi/target.h"
#include "libvmfs/base/units.h"
#include "libvmfs/env/net.h"
#include "libvmfs/env/reactor.h"
#include "tests/interop/slow_disk.h"

#define LUNS_MAX 16
#define THREADS_MAX 16

static const struct option options[] = {
	{ "allow", required_argument, NULL, 'a' },
	{ "block-size", required_argument, NULL, 'b' },
	{ "cache-id", required_argument, NULL, 'C' },
	{ "chap", required_argument, NULL, 'c' },
	{ "encrypted", no_argument, NULL, 'E' },
	{ "discovery-chap", required_argument, NULL, 'd' },
	{ "file", required_argument, NULL, 'f' },
	{ "help", no_argument, NULL, 'h' },
	{ "iqn", required_argument, NULL, 'i' },
	{ "mutual", required_argument, NULL, 'm' },
	{ "nop-interval", required_argument, NULL, 'n' },
	{ "listen", required_argument, NULL, 'l' },
	{ "login-timeout", required_argument, NULL, 't' },
	{ "ram", required_argument, NULL, 'r' },
	{ "redirect", required_argument, NULL, 'M' },
	{ "readonly", no_argument, NULL, 'o' },
	{ "removable", no_argument, NULL, 'R' },
	{ "sessions", required_argument, NULL, 's' },
	{ "size", required_argument, NULL, 'r' },
	{ "thick", no_argument, NULL, 'T' },
	{ "same-to-end", no_argument, NULL, 'e' },
	{ "threads", required_argument, NULL, 'w' },
	{ "uuid", required_argument, NULL, 'u' },
	{ "verbose", no_argument, NULL, 'v' },
	{ "write-rate", required_argument, NULL, 'W' },
	{ NULL, 0, NULL, 0 },
};

static const char help[] =
"usage: iscsi_target_helper [option]...\n"
"  --ram, --size SIZE      a LUN in memory (default: one of 64 MiB)\n"
"  --file PATH             a LUN on a file or block device\n"
"  --block-size N          of memory LUNs that follow, 512 or 4096\n"
"  --readonly --removable --thick --same-to-end --encrypted   of all LUNs\n"
"  --write-rate SIZE       that all LUNs take a second at most\n"
"  --uuid UUID             of the first LUN (default: random)\n"
"  --cache-id N            of all LUNs; 0: none\n"
"  --iqn NAME              of the target\n"
"  --allow PATTERN         initiators that may log in (default: *)\n"
"  --chap USER:SECRET      initiators must prove\n"
"  --mutual USER:SECRET    we prove\n"
"  --discovery-chap USER:SECRET\n"
"  --listen PORTAL         default 127.0.0.1:0\n"
"  --redirect ADDRESS      where initiators are sent to log in\n"
"  --login-timeout S  --nop-interval S  --sessions N\n"
"  --threads N             that serve connections (default: 2)\n"
"  --verbose               log to standard error\n";

static struct {
	const char *iqn, *allow, *listen, *redirect;
	struct iscsi_chap in, out, discovery;
	struct iscsi_limits limits;
	struct lun_conf {
		const char *path;	/* NULL: memory */
		uint64_t size;
		uint32_t block_size;
	} luns[LUNS_MAX];
	unsigned lun_count;
	struct scsi_lu_conf lu;
	unsigned threads;
	uint64_t write_rate;
	bool encrypted, verbose;
} conf = {
	.iqn = "iqn.2026-11.io.vmfsd:test", .allow = "*",
	.listen = "127.0.0.1:0", .lu = { .thin = true }, .threads = 2,
};

static struct {
	struct env env;
	struct log log;
	struct slow_disk slow[LUNS_MAX];
	struct disk *disks[LUNS_MAX];
	struct scsi_lu *lus[LUNS_MAX];
	struct reactor *workers[THREADS_MAX];
	struct iscsi_server *server;
	struct scsi_target *target;
} run;

static void
must(int r, const char *what)
{
	if (r < 0)
		errx(1, "%s: %s", what, vmfs_strerror(r));
}

/* ---- command line ---- */

static void
chap_option(struct iscsi_chap *c, char *arg)
{
	char *colon = strchr(arg, ':');

	if (!colon)
		errx(2, "%s: not USER:SECRET", arg);
	*colon = '\0';
	c->user = arg;
	c->secret = colon + 1;
}

static void
lun_option(const char *path, const char *size, uint32_t block_size)
{
	struct lun_conf *l = &conf.luns[conf.lun_count];

	if (conf.lun_count == LUNS_MAX)
		errx(2, "more than %d LUNs", LUNS_MAX);
	l->path = path;
	l->block_size = block_size;
	if (size && size_parse(size, &l->size) < 0)
		errx(2, "%s: not a size", size);
	conf.lun_count++;
}

static unsigned
number_option(const char *arg)
{
	char *end;
	unsigned long n = strtoul(arg, &end, 10);

	if (!*arg || *end || n > 1000000)
		errx(2, "%s: not a number", arg);
	return (unsigned)n;
}

static void
parse_option(int opt, uint32_t *block_size)
{
	switch (opt) {
	case 'a': conf.allow = optarg; break;
	case 'b': *block_size = number_option(optarg); break;
	case 'c': chap_option(&conf.in, optarg); break;
	case 'C': conf.lu.cache_id = number_option(optarg); break;
	case 'd': chap_option(&conf.discovery, optarg); break;
	case 'e': conf.lu.same_to_end = true; break;
	case 'E': conf.encrypted = true; break;
	case 'f': lun_option(optarg, NULL, 0); break;
	case 'i': conf.iqn = optarg; break;
	case 'l': conf.listen = optarg; break;
	case 'M': conf.redirect = optarg; break;
	case 'm': chap_option(&conf.out, optarg); break;
	case 'n': conf.limits.nop_interval_s = number_option(optarg); break;
	case 'o': conf.lu.readonly = true; break;
	case 'r': lun_option(NULL, optarg, *block_size); break;
	case 'R': conf.lu.removable = true; break;
	case 's': conf.limits.sessions_max = number_option(optarg); break;
	case 't': conf.limits.login_timeout_s = number_option(optarg); break;
	case 'T': conf.lu.thin = false; break;
	case 'u':
		if (uuid_parse(optarg, &conf.lu.uuid) < 0)
			errx(2, "%s: not a UUID", optarg);
		break;
	case 'v': conf.verbose = true; break;
	case 'W':
		if (size_parse(optarg, &conf.write_rate) < 0)
			errx(2, "%s: not a size", optarg);
		break;
	case 'w':
		conf.threads = number_option(optarg);
		if (conf.threads > THREADS_MAX)
			errx(2, "more than %d threads", THREADS_MAX);
		break;
	case 'h': fputs(help, stdout); exit(0);
	default: fputs(help, stderr); exit(2);
	}
}

static void
parse_options(int argc, char **argv)
{
	uint32_t block_size = 512;
	int opt;

	while ((opt = getopt_long(argc, argv, "", options, NULL)) != -1)
		parse_option(opt, &block_size);
	if (optind != argc)
		errx(2, "%s: not an option", argv[optind]);
	if (conf.lun_count == 0)
		lun_option(NULL, "64M", block_size);
}

/* ---- serving ---- */

/* Serves until its input ends: nothing has to outlive it. */
static int
no_save(void *arg, const void *image, size_t len)
{
	(void)arg;
	(void)image;
	(void)len;
	return 0;
}

static void
encrypt(struct disk **d)
{
	uint8_t key[DISK_CRYPT_KEY_SIZE];
	struct disk_crypt_conf c = { .key = key, .save = no_save };

	run.env.random(&run.env, key, sizeof(key));
	must(disk_crypt_open(&run.env, *d, &c, d), "encryption");
}

static void
lun_open(unsigned i)
{
	const struct lun_conf *l = &conf.luns[i];
	struct scsi_lu_conf lu = conf.lu;
	int r;

	if (l->path)
		r = disk_file_open(l->path,
		    lu.readonly ? DISK_OPEN_READONLY : 0, &run.disks[i]);
	else
		r = disk_mem_open(l->size, l->block_size, &run.disks[i]);
	must(r, l->path ? l->path : "memory LUN");
	if (conf.encrypted)
		encrypt(&run.disks[i]);
	if (conf.write_rate > 0) {
		run.slow[i].below = run.disks[i];
		run.disks[i] = slow_disk_init(&run.slow[i], conf.write_rate);
	}
	lu.sanitize_save = no_save;
	lu.pr_save = no_save;
	if (i > 0 || uuid_is_null(&lu.uuid))
		env_uuid(&run.env, &lu.uuid);
	must(scsi_lu_new(&run.env, run.disks[i], &lu, &run.lus[i]), "LUN");
	must(scsi_target_map(run.target, i, run.lus[i]), "map");
}

static void
start_worker(unsigned i)
{
	struct env env;

	must(reactor_new("worker", &run.workers[i]), "worker");
	must(reactor_start(run.workers[i]), "worker");
	env_posix_init(&env, reactor_sched(run.workers[i]), &run.log);
	must(iscsi_server_add_worker(run.server, &env), "worker");
}

static void
stop_worker(unsigned i)
{
	reactor_stop(run.workers[i]);
	reactor_join(run.workers[i]);
	reactor_free(run.workers[i]);
}

static void
serve(void)
{
	char portal[NET_ADDR_TEXT];

	must(iscsi_server_new(&run.env, &conf.limits, &run.server), "server");
	for (unsigned i = 0; i < conf.threads; i++)
		start_worker(i);
	must(iscsi_server_add_target(run.server, conf.iqn, &run.target),
	    conf.iqn);
	for (unsigned i = 0; i < conf.lun_count; i++)
		lun_open(i);
	must(iscsi_server_allow(run.server, conf.iqn, conf.allow, &conf.in,
	    &conf.out), "access");
	must(iscsi_server_redirect(run.server, conf.iqn, conf.redirect),
	    "redirection");
	must(iscsi_server_discovery_auth(run.server, &conf.discovery, NULL),
	    "discovery access");
	must(iscsi_server_listen(run.server, conf.listen, portal),
	    conf.listen);
	printf("%s\n", portal);
	fflush(stdout);
}

static void
obey(char order)
{
	if (order < '0' || order > '3')
		return;
	for (unsigned i = 0; i < conf.lun_count; i++)
		must(scsi_lu_set_access(run.lus[i], 1,
		    (unsigned)(order - '0')), "access");
	printf("%c\n", order);
	fflush(stdout);
}

static void
obey_until_end_of_input(void)
{
	char buf[64];

	for (;;) {
		ssize_t n;

		if (reactor_poll_fd(STDIN_FILENO, POLLIN | POLLHUP) < 0)
			return;
		n = read(STDIN_FILENO, buf, sizeof(buf));
		if (n <= 0)
			return;
		for (ssize_t i = 0; i < n; i++)
			obey(buf[i]);
	}
}

static int
helper_main(void *arg)
{
	(void)arg;
	env_posix_init(&run.env, sched_current(), &run.log);
	serve();
	obey_until_end_of_input();
	iscsi_server_free(run.server);
	for (unsigned i = 0; i < conf.threads; i++)
		stop_worker(i);
	for (unsigned i = 0; i < conf.lun_count; i++) {
		scsi_lu_free(run.lus[i]);
		disk_close(run.disks[i]);
	}
	return 0;
}

int
main(int argc, char **argv)
{
	parse_options(argc, argv);
	run.log = (struct log){
		.level = conf.verbose ? LOG_LEVEL_DEBUG : LOG_LEVEL_ERROR,
		.sink = log_sink_stderr,
	};
	must(reactor_run_main(helper_main, NULL), "target");
	return 0;
}
