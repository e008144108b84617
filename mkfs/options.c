/* SPDX-License-Identifier: BSD-2-Clause */
/* Options of mkfs.vmfs. */
#include <ctype.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libvmfs/base/units.h"
#include "libvmfs/format/layout.h"
#include "locking/lease.h"
#include "mkfs/options.h"

static const char usage_text[] =
"usage: mkfs.vmfs [options] LUN [LUN...]\n"
"\n"
"Makes a datastore on LUN: a block device, a regular file, or\n"
"iscsi://[user[%secret]@]portal[:port][,portal...]/iqn/lun; further LUNs\n"
"become a part of it\n"
"\n"
"  -L, --label=TEXT       name of the datastore, up to 64 bytes\n"
"  -f, --force            although the LUN carries something else; never\n"
"                         while a host has it mounted\n"
"  -n, --dry-run          check and show, write nothing\n"
"  -j, --json             print the result as JSON\n"
"      --size-check=SIZE  refuse a LUN that is smaller\n"
"      --protocol=NAME    ats-pr, ats-watchdog, reserve or file\n"
"                         (default: the best the LUN can do)\n"
"      --timers=LIST      pulse=,io=,freeze=,fence=,hint= in milliseconds\n"
"                         (default: pulse=3000,io=8000,freeze=12000,\n"
"                         fence=18000,hint=7000)\n"
"      --journal=SIZE     journal of each host (default: by size)\n"
"      --cluster=SIZE     resource cluster (default: by size)\n"
"      --initiator=IQN    iSCSI name to log in by\n"
"  -h, --help             show this\n"
"  -V, --version          show the version\n";

enum {
	OPT_SIZE_CHECK = 256, OPT_PROTOCOL, OPT_TIMERS, OPT_JOURNAL,
	OPT_CLUSTER, OPT_INITIATOR,
};

static const struct option long_options[] = {
	{ "label", required_argument, NULL, 'L' },
	{ "force", no_argument, NULL, 'f' },
	{ "dry-run", no_argument, NULL, 'n' },
	{ "json", no_argument, NULL, 'j' },
	{ "size-check", required_argument, NULL, OPT_SIZE_CHECK },
	{ "protocol", required_argument, NULL, OPT_PROTOCOL },
	{ "timers", required_argument, NULL, OPT_TIMERS },
	{ "journal", required_argument, NULL, OPT_JOURNAL },
	{ "cluster", required_argument, NULL, OPT_CLUSTER },
	{ "initiator", required_argument, NULL, OPT_INITIATOR },
	{ "help", no_argument, NULL, 'h' },
	{ "version", no_argument, NULL, 'V' },
	{ NULL, 0, NULL, 0 },
};

static _Noreturn void PRINTF_LIKE(1, 2)
usage_error(const char *fmt, ...)
{
	va_list ap;

	fputs("mkfs.vmfs: ", stderr);
	va_start(ap, fmt);
	(void)vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputs("\ntry 'mkfs.vmfs --help'\n", stderr);
	exit(EXIT_MKFS_USAGE);
}

static enum lock_protocol
parse_protocol(const char *text)
{
	static const struct {
		const char *name;
		enum lock_protocol protocol;
	} names[] = {
		{ "ats-pr", LOCK_ATS_PR },
		{ "ats-watchdog", LOCK_ATS_WATCHDOG },
		{ "reserve", LOCK_RESERVE },
		{ "file", LOCK_FILE },
	};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (strcmp(names[i].name, text) == 0)
			return names[i].protocol;
	usage_error("--protocol='%s': expected ats-pr, ats-watchdog, reserve "
	    "or file", text);
}

static uint64_t
parse_size(const char *option, const char *text)
{
	uint64_t size;

	if (size_parse(text, &size) < 0)
		usage_error("%s='%s': expected a size such as 64M", option,
		    text);
	return size;
}

/* In metadata blocks; mkds_plan knows what is too much or too little. */
static uint32_t
parse_blocks(const char *option, const char *text)
{
	uint64_t size = parse_size(option, text);

	if (size == 0 || size % CHUNK_SIZE != 0 || size > GIB)
		usage_error("%s='%s': expected a multiple of 64 KiB, up to "
		    "1 GiB", option, text);
	return (uint32_t)(size / BLOCK_SIZE);
}

static void
parse_timers(char *text, struct timers *t)
{
	char *const keys[] = { "pulse", "io", "freeze", "fence", "hint",
		"watchdog", "bound", NULL };
	uint32_t *const fields[] = { &t->pulse_ms, &t->io_ms, &t->freeze_ms,
		&t->fence_ms, &t->fence_hint_ms, &t->watchdog_ms,
		&t->bound_ms };
	char *value, *end;

	while (*text != '\0') {
		char *item = text;
		int i = getsubopt(&text, keys, &value);
		unsigned long ms = 0;

		if (i >= 0 && value != NULL)
			ms = strtoul(value, &end, 10);
		if (i < 0 || value == NULL || *end != '\0' || ms == 0 ||
		    ms > LEASE_TIMER_MAX_MS)
			usage_error("--timers: '%s': expected pulse=, io=, "
			    "freeze=, fence=, hint=, watchdog= or bound= "
			    "with 1 to %d "
			    "milliseconds", item, LEASE_TIMER_MAX_MS);
		*fields[i] = (uint32_t)ms;
	}
}

static void
set_option(struct options *o, int opt)
{
	switch (opt) {
	case 'L':
		if (strlen(optarg) > SUPER_LABEL_MAX)
			usage_error("--label: longer than %d bytes",
			    SUPER_LABEL_MAX);
		for (const char *p = optarg; *p != '\0'; p++)
			if (iscntrl((unsigned char)*p))
				usage_error("--label: it has a control "
				    "character");
		o->conf.label = optarg;
		break;
	case 'f':
		o->force = true;
		break;
	case 'n':
		o->dry_run = true;
		break;
	case 'j':
		o->json = true;
		break;
	case OPT_SIZE_CHECK:
		o->size_min = parse_size("--size-check", optarg);
		break;
	case OPT_PROTOCOL:
		o->conf.protocol = parse_protocol(optarg);
		break;
	case OPT_TIMERS:
		parse_timers(optarg, &o->conf.timers);
		break;
	case OPT_JOURNAL:
		o->conf.journal_blocks = parse_blocks("--journal", optarg);
		break;
	case OPT_CLUSTER:
		o->conf.cluster_blocks = parse_blocks("--cluster", optarg);
		break;
	case OPT_INITIATOR:
		o->initiator = optarg;
		break;
	case 'h':
		fputs(usage_text, stdout);
		exit(0);
	case 'V':
		puts("mkfs.vmfs " VMFS_VERSION);
		exit(0);
	default:
		fputs("try 'mkfs.vmfs --help'\n", stderr);
		exit(EXIT_MKFS_USAGE);
	}
}

void
options_parse(struct options *o, int argc, char **argv)
{
	int opt;

	*o = (struct options){ .force = false };
	while ((opt = getopt_long(argc, argv, "L:fnjhV", long_options,
	    NULL)) != -1)
		set_option(o, opt);
	if (optind == argc)
		usage_error("which LUN?");
	if (argc - optind > SUPER_EXTENTS_MAX)
		usage_error("a datastore has at most %d LUNs",
		    SUPER_EXTENTS_MAX);
	o->lun = argv[optind];
	o->further = argv + optind + 1;
	o->n_further = argc - optind - 1;
	for (int i = optind; i < argc; i++)
		for (int k = optind; k < i; k++)
			if (strcmp(argv[i], argv[k]) == 0)
				usage_error("LUN '%s' is named twice",
				    argv[i]);
}
