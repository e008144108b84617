/* SPDX-License-Identifier: BSD-2-Clause */
/* vmfsctl's options as a table; see vmfsctl_options.h. */
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "vmfsd/ctl_client.h"
#include "vmfsd/vmfsctl_options.h"

/* What vmfsctl does itself; PASS: an argument of the command. */
enum special {
	PASS, CONTROL, JSON, NO_HEADER, PARSABLE, INTERVAL, RATE, BACKGROUND,
	HELP, VERSION,
};

static const struct row {
	char letter;			/* 0: none */
	enum special what;
	const char *name;
	const char *value;		/* NULL: a flag */
	unsigned long max;		/* of a number; 0: a text */
	/* "NOUN VERB" or "NOUN" for all its verbs, with commas; NULL: all */
	const char *verbs;
	const char *help;
} rows[] = {
	{ 'c', CONTROL, "control", "SOCKET", 0, NULL,
	    "control socket of vmfsd\n(default: $VMFSD_CONTROL, else\n"
	    CTL_SOCKET_DEFAULT ")" },
	{ 'j', JSON, "json", NULL, 0, NULL, "print the answer as JSON" },
	{ 'H', NO_HEADER, "no-header", NULL, 0, NULL,
	    "tabs between columns, no titles" },
	{ 'p', PARSABLE, "parsable", NULL, 0, NULL,
	    "sizes in bytes, times in microseconds" },
	{ 'f', PASS, "force", NULL, 0,
	    "ds unmount,ds extent add,host fence,host forget,target,lun,acl,"
	    "portal,reload,disk resize,disk detach,disk rm",
	    "ds unmount: although files are open;\n"
	    "host fence: although it pulses;\n"
	    "host forget: it is gone for good;\n"
	    "target, lun, acl, reload: although in use;\n"
	    "ds extent add: although it is not empty;\n"
	    "disk detach: although a guest uses it;\n"
	    "disk rm: although it is in use on this host;\n"
	    "disk resize: smaller than it is" },
	{ 'n', PASS, "dry-run", NULL, 0, "reload",
	    "reload: only show what would be done" },
	{ 'i', INTERVAL, "interval", "S", 3600,
	    "lun stats,session stats,disk stats",
	    "stats: over so many seconds (default 1);\n"
	    "0: since the LUN, disk or session began" },
	{ 0, RATE, "rate", "MIB", 65536, "ds scrub",
	    "ds scrub: reads so much a second (16); 0: all" },
	{ 0, PASS, "format", "FORMAT", 0,
	    "disk create,disk convert,disk export,disk import",
	    "disk create, convert: thin, zeroedthick or\n"
	    "eagerzeroedthick; export, import: raw, qcow2,\n"
	    "qcow2-zip, vmdk, vmdk-stream, vdi, vhdx or vpc" },
	{ 0, PASS, "eager", NULL, 0, "disk create",
	    "disk create: --format=eagerzeroedthick" },
	{ 0, PASS, "key", "NAME", 0,
	    "disk create,disk import,disk rekey,disk clone",
	    "disk create, import, rekey, clone --full: a file of\n"
	    "this host's keys; none: clear (clone)" },
	{ 0, PASS, "full", NULL, 0, "disk clone",
	    "disk clone: with space of its own" },
	{ 0, PASS, "defer", NULL, 0, "disk rm",
	    "disk rm: when the last clone goes" },
	{ 0, PASS, "name", "NAME", 0, "disk snapshot",
	    "disk snapshot: of several disks at one moment" },
	{ 0, BACKGROUND, "background", NULL, 0, "disk,ds extent evacuate",
	    "do not wait for a task; see task ls" },
	{ 0, PASS, "keep", NULL, 0, "ds resignature",
	    "ds resignature: it is no copy, it has moved" },
	{ 0, PASS, "sharing", "HOW", 0, "disk set",
	    "disk set: multi-writer or none" },
	{ 0, PASS, "limit", "SIZE", 0, "quota set",
	    "quota set: of a directory and all below; none" },
	{ 0, PASS, "reserve", "SIZE", 0, "quota set",
	    "quota set: what others cannot take; none" },
	{ 0, PASS, "iops", "N", 0, "disk set",
	    "disk set: at most so many requests a second" },
	{ 0, PASS, "bandwidth", "SIZE", 0, "disk set",
	    "disk set: at most so many bytes a second" },
	{ 0, PASS, "shares", "N", 0, "disk set",
	    "disk set: its part of a busy LUN (1000)" },
	{ 0, PASS, "socket", "PATH", 0, "disk attach",
	    "disk attach: where the hypervisor connects" },
	{ 0, PASS, "queues", "N", 16, "disk attach",
	    "disk attach: queues of the device (4)" },
	{ 0, PASS, "incoming", NULL, 0, "disk attach",
	    "disk attach: a guest migrates here" },
	{ 0, PASS, "nbd", NULL, 0, "disk attach",
	    "disk attach: by NBD instead of vhost-user" },
	{ 0, PASS, "listen", "WHERE", 0, "disk attach",
	    "... where its clients connect: ADDRESS:PORT,\n"
	    "or the path of a socket" },
	{ 0, PASS, "tls", "DIRECTORY", 0, "disk attach",
	    "... with TLS: certificates or keys are there" },
	{ 0, PASS, "insecure", NULL, 0, "disk attach",
	    "... without it, whoever can connect" },
	{ 0, PASS, "readonly", NULL, 0, "disk attach",
	    "disk attach: for reading only, not locked" },
	{ 0, PASS, "to", "HOST", 0, "disk handover",
	    "disk handover: it goes there, and nowhere else" },
	{ 0, PASS, "for", "SECONDS", 86400, "disk handover,session logout",
	    "... if it is taken within that time (60);\n"
	    "session logout: what initiators get (10)" },
	{ 0, PASS, "cancel", NULL, 0, "disk handover",
	    "disk handover: not any more" },
	{ 'h', HELP, "help", NULL, 0, NULL,
	    "show this, or the help of one command" },
	{ 'V', VERSION, "version", NULL, 0, NULL, "show the version" },
};
#define ROWS (sizeof(rows) / sizeof(*rows))
_Static_assert(ROWS < 64, "settings.used has a bit for each");

/* ---- which command takes it ---- */

static bool
takes(const struct verb *v, const struct row *r)
{
	char whole[64];

	if (r->verbs == NULL || v == NULL)
		return true;
	(void)snprintf(whole, sizeof(whole), "%s %s", v->noun, v->verb);
	for (const char *at = r->verbs; *at != '\0';) {
		size_t len = strcspn(at, ",");

		if ((strlen(v->noun) == len &&
		    strncmp(at, v->noun, len) == 0) ||
		    (strlen(whole) == len && strncmp(at, whole, len) == 0))
			return true;
		at += len + (at[len] == ',');
	}
	return false;
}

void
settings_check(const struct settings *s, const struct verb *v)
{
	for (size_t i = 0; i < ROWS; i++)
		if ((s->used >> i & 1) != 0 && !takes(v, &rows[i])) {
			fprintf(stderr, "vmfsctl: %s%s%s has no option --%s\n"
			    "try 'vmfsctl %s%s%s --help'\n", v->noun,
			    *v->verb != '\0' ? " " : "", v->verb,
			    rows[i].name, v->noun,
			    *v->verb != '\0' ? " " : "", v->verb);
			exit(CTL_EXIT_USAGE);
		}
}

/* ---- help ---- */

#define HELP_COLUMN 24

void
options_print(FILE *out, const struct verb *v)
{
	fputs("options:\n", out);
	for (const struct row *r = rows; r < rows + ROWS; r++) {
		char letter[] = { '-', r->letter, ',', '\0' };
		int n;

		if (!takes(v, r))
			continue;
		n = fprintf(out, "  %3s --%s%s%s",
		    r->letter != 0 ? letter : "", r->name,
		    r->value != NULL ? "=" : "",
		    r->value != NULL ? r->value : "");
		for (const char *at = r->help; *at != '\0'; n = 0) {
			int len = (int)strcspn(at, "\n");

			fprintf(out, "%*s%.*s\n", HELP_COLUMN - n, "", len,
			    at);
			at += len + (at[len] == '\n');
		}
	}
}

/* ---- what was given ---- */

static _Noreturn void
give_up(void)
{
	fputs("try 'vmfsctl --help'\n", stderr);
	exit(CTL_EXIT_USAGE);
}

/* The daemon knows what the least is. */
static unsigned
number(const struct row *r, const char *text)
{
	char *end;
	unsigned long n = strtoul(text, &end, 10);

	if (*text < '0' || *text > '9' || *end != '\0' || n > r->max) {
		fprintf(stderr, "vmfsctl: --%s='%s': expected a number, "
		    "at most %lu\n", r->name, text, r->max);
		give_up();
	}
	return (unsigned)n;
}

static void
pass_on(struct settings *s, const struct row *r)
{
	char key[32];
	json_t *value;

	(void)snprintf(key, sizeof(key), "%s", r->name);
	for (char *p = strchr(key, '-'); p != NULL; p = strchr(p, '-'))
		*p = '_';
	if (r->max > 0)
		value = json_integer((json_int_t)number(r, optarg));
	else
		value = optarg != NULL ? json_string(optarg) : json_true();
	if (value == NULL) {
		fprintf(stderr, "vmfsctl: --%s: not UTF-8\n", r->name);
		give_up();
	}
	(void)json_object_set_new(s->given, key, value);
}

static void
take(struct settings *s, const struct row *r)
{
	s->used |= (uint64_t)1 << (r - rows);
	switch (r->what) {
	case PASS:
		pass_on(s, r);
		break;
	case CONTROL:
		s->control = optarg;
		break;
	case JSON:
		s->json = true;
		break;
	case NO_HEADER:
		s->table_flags |= TABLE_NO_HEADER;
		break;
	case PARSABLE:
		s->table_flags |= TABLE_EXACT;
		break;
	case INTERVAL:
		s->interval_s = number(r, optarg);
		break;
	case RATE:
		s->rate_mib = number(r, optarg);
		break;
	case BACKGROUND:
		s->background = true;
		break;
	case HELP:
		s->help = true;
		break;
	case VERSION:
		puts("vmfsctl " VMFS_VERSION);
		exit(0);
	}
}

/* For getopt: a long option is its row and NAMED. */
#define NAMED 256

static void
fill(struct option *named, char *letters)
{
	for (size_t i = 0; i < ROWS; i++) {
		named[i] = (struct option){
			.name = rows[i].name, .val = NAMED + (int)i,
			.has_arg = rows[i].value != NULL ? required_argument :
			    no_argument,
		};
		if (rows[i].letter == 0)
			continue;
		*letters++ = rows[i].letter;
		if (rows[i].value != NULL)
			*letters++ = ':';
	}
}

void
settings_parse(struct settings *s, int argc, char **argv)
{
	struct option named[ROWS + 1] = { 0 };
	char letters[2 * ROWS + 1] = "";
	const char *env = getenv("VMFSD_CONTROL");
	int opt;

	*s = (struct settings){
		.interval_s = 1, .rate_mib = 16, .given = json_object(),
		.control = env != NULL && *env != '\0' ? env :
		    CTL_SOCKET_DEFAULT,
	};
	fill(named, letters);
	while ((opt = getopt_long(argc, argv, letters, named, NULL)) != -1) {
		size_t i = 0;

		while (opt < NAMED && i < ROWS && rows[i].letter != opt)
			i++;
		if (opt >= NAMED)
			i = (size_t)(opt - NAMED);
		if (i == ROWS)
			give_up();
		take(s, &rows[i]);
	}
}
