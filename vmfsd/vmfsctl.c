/* SPDX-License-Identifier: BSD-2-Clause */
/* vmfsctl: asks the running vmfsd. */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "vmfsd/ctl_client.h"
#include "vmfsd/rates.h"
#include "vmfsd/vmfsctl_task.h"
#include "vmfsd/vmfsctl_upgrade.h"
#include "vmfsd/vmfsctl_verbs.h"

struct settings {
	const char *control;
	unsigned table_flags;
	unsigned interval_s;
	unsigned rate_mib;	/* ds scrub, a second; 0: no limit */
	bool json, help, background;
	json_t *given;		/* options that the daemon takes */
	json_t *args;		/* and all that it gets */
};

/* ---- help ---- */

static const char options_text[] =
"options:\n"
"  -c, --control=SOCKET  control socket of vmfsd\n"
"                        (default: $VMFSD_CONTROL, else\n"
"                        " CTL_SOCKET_DEFAULT ")\n"
"  -j, --json            print the answer as JSON\n"
"  -H, --no-header       tabs between columns, no titles\n"
"  -p, --parsable        sizes in bytes, times in microseconds\n"
"  -f, --force           ds unmount: although files are open;\n"
"                        host fence: although it pulses;\n"
"                        host forget: it is gone for good;\n"
"                        target, lun, acl, reload: although in use;\n"
"                        disk resize: smaller than it is\n"
"  -n, --dry-run         reload: only show what would be done\n"
"  -i, --interval=S      stats: over so many seconds (default 1);\n"
"                        0: since the LUN or session began\n"
"      --rate=MIB        ds scrub: reads so much a second (16); 0: all\n"
"      --format=FORMAT   disk create, convert: thin, zeroedthick or\n"
"                        eagerzeroedthick; export, import: raw, qcow2,\n"
"                        qcow2-zip, vmdk, vmdk-stream, vdi, vhdx or vpc\n"
"      --eager           disk create: the same as the last one\n"
"      --key=NAME        disk create, import, rekey, clone --full: a file of\n"
"                        this host's keys; none: clear (clone)\n"
"      --full            disk clone: with space of its own\n"
"      --defer           disk rm: when the last clone goes\n"
"      --name=NAME       disk snapshot: of several disks at one moment\n"
"      --background      do not wait for a task; see task ls\n"
"      --keep            ds resignature: it is no copy, it has moved\n"
"      --sharing=HOW     disk set: multi-writer or none\n"
"      --limit=SIZE      quota set: of a directory and all below; none\n"
"      --reserve=SIZE    quota set: what others cannot take; none\n"
"      --iops=N          disk set: at most so many requests a second\n"
"      --bandwidth=SIZE  disk set: at most so many bytes a second\n"
"      --shares=N        disk set: its part of a busy LUN (1000)\n"
"      --socket=PATH     disk attach: where the hypervisor connects\n"
"      --queues=N        disk attach: queues of the device (4)\n"
"      --incoming        disk attach: a guest migrates here\n"
"      --nbd             disk attach: by NBD instead of vhost-user\n"
"      --listen=WHERE    ... where its clients connect: ADDRESS:PORT,\n"
"                        or the path of a socket\n"
"      --tls=DIRECTORY   ... with TLS: certificates or keys are there\n"
"      --insecure        ... without it, whoever can connect\n"
"      --readonly        disk attach: for reading only, not locked\n"
"      --to=HOST         disk handover: it goes there, and nowhere else\n"
"      --for=SECONDS     ... if it is taken within that time (60);\n"
"                        session logout: what initiators get (10)\n"
"      --cancel          disk handover: not any more\n"
"  -h, --help            show this, or the help of one command\n"
"  -V, --version         show the version\n"
"\n"
"exit status: 0 done, 1 failed, 2 usage, 3 not found, 4 locked or busy,\n"
"6 done, but a datastore is frozen, fenced, lost, damaged or failed to\n"
"  mount, part of a reload was refused, or a quota is incomplete\n";

static void
print_usage(FILE *out)
{
	fputs("usage: vmfsctl [options] NOUN VERB [arguments]\n\ncommands:\n", out);
	for (const struct verb *v = verbs; v->noun != NULL; v++) {
		int n = fprintf(out, "  %s%s%s%s%s", v->noun,
		    *v->verb != '\0' ? " " : "", v->verb,
		    *v->usage != '\0' ? " " : "", v->usage);

		fprintf(out, "%*s%s\n", n < 44 ? 44 - n : 1, "", v->help);
	}
	fprintf(out, "\n%s", options_text);
}

static void
print_verb_usage(FILE *out, const struct verb *v)
{
	fprintf(out, "usage: vmfsctl [options] %s %s %s\n\n  %s\n\n%s", v->noun,
	    v->verb, v->usage, v->help, options_text);
}

static _Noreturn void
usage_error(const char *what, const char *arg)
{
	fprintf(stderr, "vmfsctl: %s '%s'\ntry 'vmfsctl --help'\n", what, arg);
	exit(CTL_EXIT_USAGE);
}

/* ---- arguments ---- */

/* How many arguments the verb is, if these are it. */
static int
verb_words(const struct verb *v, int argc, char **argv)
{
	const char *space = strchr(v->verb, ' ');

	if (*v->verb == '\0')
		return 1;
	if (space == NULL)
		return argc > 1 && strcmp(v->verb, argv[1]) == 0 ? 2 : 0;
	return argc > 2 && strlen(argv[1]) == (size_t)(space - v->verb) &&
	    strncmp(v->verb, argv[1], strlen(argv[1])) == 0 &&
	    strcmp(space + 1, argv[2]) == 0 ? 3 : 0;
}

static const struct verb *
find_verb(int argc, char **argv, int *ret_words)
{
	const char *noun = argv[0], *verb = argc > 1 ? argv[1] : NULL;
	bool noun_known = false;

	for (const struct verb *v = verbs; v->noun != NULL; v++) {
		if (strcmp(v->noun, noun) != 0)
			continue;
		noun_known = true;
		*ret_words = verb_words(v, argc, argv);
		if (*ret_words > 0)
			return v;
	}
	if (!noun_known)
		usage_error("unknown command", noun);
	usage_error(verb != NULL ? "unknown verb" : "no verb behind",
	    verb != NULL ? verb : noun);
}

static json_t *
value_of(const char *key, const char *text)
{
	char *end;
	long n;

	if (strcmp(key, "tsih") != 0)
		return json_string(text);
	n = strtol(text, &end, 10);
	if (*text == '\0' || *end != '\0' || n < 0 || n > 65535)
		usage_error("not a session number:", text);
	return json_integer(n);
}

/* "NAME..." takes all that comes, as a list. */
static bool
rest_of(json_t *args, const char *key, char **argv, int argc)
{
	size_t len = strlen(key);
	json_t *all;

	if (len < 3 || strcmp(key + len - 3, "...") != 0)
		return false;
	all = json_array();
	for (int i = 0; i < argc; i++)
		(void)json_array_append_new(all, json_string(argv[i]));
	(void)json_object_setn_new(args, key, len - 3, all);
	return true;
}

/* "disk snapshot --name=N DISK...": all arguments are disks. */
static bool
group_of(const struct settings *s, json_t *args, const struct verb *v,
    char **argv, int argc)
{
	if (strcmp(v->noun, "disk") != 0 || strcmp(v->verb, "snapshot") != 0 ||
	    json_object_get(s->given, "name") == NULL || argc == 0)
		return false;
	(void)rest_of(args, "paths...", argv, argc);
	(void)json_object_set_new(args, "path", json_string(argv[0]));
	return true;
}

/* How many were taken. */
static int
take_args(json_t *args, const struct verb *v, int argc, char **argv)
{
	int i;

	for (i = 0; i < argc; i++) {
		if (i == VERB_KEYS_MAX || v->keys[i] == NULL)
			usage_error("unexpected argument", argv[i]);
		if (rest_of(args, v->keys[i], argv + i, argc - i))
			return argc;
		(void)json_object_set_new(args, v->keys[i],
		    value_of(v->keys[i], argv[i]));
	}
	return i;
}

static json_t *
build_args(struct settings *s, const struct verb *v, int argc, char **argv)
{
	json_t *args = s->args = json_object();

	if (!group_of(s, args, v, argv, argc) &&
	    take_args(args, v, argc, argv) < v->required) {
		fprintf(stderr, "vmfsctl: usage: vmfsctl %s %s %s\n", v->noun,
		    v->verb, v->usage);
		exit(CTL_EXIT_USAGE);
	}
	(void)json_object_update(args, s->given);
	return args;
}

enum {
	OPT_FORMAT = 512, OPT_FULL, OPT_NAME, OPT_BACKGROUND, OPT_DEFER,
	OPT_EAGER = 256, OPT_KEEP, OPT_SHARING, OPT_SOCKET, OPT_INCOMING,
	OPT_QUEUES, OPT_RATE, OPT_KEY, OPT_NBD, OPT_LISTEN, OPT_TLS,
	OPT_INSECURE, OPT_READONLY, OPT_LIMIT, OPT_RESERVE, OPT_IOPS,
	OPT_BANDWIDTH, OPT_SHARES, OPT_TO, OPT_FOR, OPT_CANCEL,
};

/* Options that become arguments of the command as they are. */
static const struct passed {
	int opt;
	const char *key;
	unsigned long max;		/* of a number; 0: a flag or a text */
} passed[] = {
	{ 'f', "force", 0 },
	{ 'n', "dry_run", 0 },
	{ OPT_EAGER, "eager", 0 },
	{ OPT_FORMAT, "format", 0 },
	{ OPT_FULL, "full", 0 },
	{ OPT_KEY, "key", 0 },
	{ OPT_IOPS, "iops", 0 },
	{ OPT_BANDWIDTH, "bandwidth", 0 },
	{ OPT_SHARES, "shares", 0 },
	{ OPT_DEFER, "defer", 0 },
	{ OPT_NAME, "name", 0 },
	{ OPT_KEEP, "keep", 0 },
	{ OPT_INCOMING, "incoming", 0 },
	{ OPT_SHARING, "sharing", 0 },
	{ OPT_SOCKET, "socket", 0 },
	{ OPT_QUEUES, "queues", 16 },
	{ OPT_NBD, "nbd", 0 },
	{ OPT_LISTEN, "listen", 0 },
	{ OPT_TLS, "tls", 0 },
	{ OPT_INSECURE, "insecure", 0 },
	{ OPT_READONLY, "readonly", 0 },
	{ OPT_LIMIT, "limit", 0 },
	{ OPT_RESERVE, "reserve", 0 },
	{ OPT_TO, "to", 0 },
	{ OPT_FOR, "for", 86400 },
	{ OPT_CANCEL, "cancel", 0 },
	{ 0, NULL, 0 },
};

static const struct option long_options[] = {
	{ "control", required_argument, NULL, 'c' },
	{ "json", no_argument, NULL, 'j' },
	{ "no-header", no_argument, NULL, 'H' },
	{ "parsable", no_argument, NULL, 'p' },
	{ "force", no_argument, NULL, 'f' },
	{ "interval", required_argument, NULL, 'i' },
	{ "dry-run", no_argument, NULL, 'n' },
	{ "rate", required_argument, NULL, OPT_RATE },
	{ "eager", no_argument, NULL, OPT_EAGER },
	{ "format", required_argument, NULL, OPT_FORMAT },
	{ "full", no_argument, NULL, OPT_FULL },
	{ "key", required_argument, NULL, OPT_KEY },
	{ "iops", required_argument, NULL, OPT_IOPS },
	{ "bandwidth", required_argument, NULL, OPT_BANDWIDTH },
	{ "shares", required_argument, NULL, OPT_SHARES },
	{ "defer", no_argument, NULL, OPT_DEFER },
	{ "name", required_argument, NULL, OPT_NAME },
	{ "background", no_argument, NULL, OPT_BACKGROUND },
	{ "keep", no_argument, NULL, OPT_KEEP },
	{ "sharing", required_argument, NULL, OPT_SHARING },
	{ "socket", required_argument, NULL, OPT_SOCKET },
	{ "incoming", no_argument, NULL, OPT_INCOMING },
	{ "queues", required_argument, NULL, OPT_QUEUES },
	{ "nbd", no_argument, NULL, OPT_NBD },
	{ "listen", required_argument, NULL, OPT_LISTEN },
	{ "tls", required_argument, NULL, OPT_TLS },
	{ "insecure", no_argument, NULL, OPT_INSECURE },
	{ "readonly", no_argument, NULL, OPT_READONLY },
	{ "limit", required_argument, NULL, OPT_LIMIT },
	{ "reserve", required_argument, NULL, OPT_RESERVE },
	{ "to", required_argument, NULL, OPT_TO },
	{ "for", required_argument, NULL, OPT_FOR },
	{ "cancel", no_argument, NULL, OPT_CANCEL },
	{ "help", no_argument, NULL, 'h' },
	{ "version", no_argument, NULL, 'V' },
	{ NULL, 0, NULL, 0 },
};

/* 0 to max. */
static unsigned
number(const char *what, const char *text, unsigned long max)
{
	char *end;
	unsigned long n = strtoul(text, &end, 10);

	if (*text < '0' || *text > '9' || *end != '\0' || n > max) {
		fprintf(stderr, "vmfsctl: not 0 to %lu %s: '%s'\n", max, what,
		    text);
		exit(CTL_EXIT_USAGE);
	}
	return (unsigned)n;
}

static void
pass_on(struct settings *s, int opt)
{
	const struct passed *p = passed;
	json_t *value;

	while (p->key != NULL && p->opt != opt)
		p++;
	if (p->key == NULL) {
		fputs("try 'vmfsctl --help'\n", stderr);
		exit(CTL_EXIT_USAGE);
	}
	if (p->max > 0)
		value = json_integer((json_int_t)number(p->key, optarg,
		    p->max));
	else
		value = optarg != NULL ? json_string(optarg) : json_true();
	(void)json_object_set_new(s->given, p->key, value);
}

static void
parse_options(struct settings *s, int argc, char **argv)
{
	const char *env = getenv("VMFSD_CONTROL");
	int opt;

	*s = (struct settings){
		.interval_s = 1, .rate_mib = 16, .given = json_object(),
		.control = env != NULL && *env != '\0' ? env :
		    CTL_SOCKET_DEFAULT,
	};
	while ((opt = getopt_long(argc, argv, "c:i:jHpfnhV", long_options,
	    NULL)) != -1) {
		switch (opt) {
		case 'c':
			s->control = optarg;
			break;
		case 'j':
			s->json = true;
			break;
		case 'H':
			s->table_flags |= TABLE_NO_HEADER;
			break;
		case 'p':
			s->table_flags |= TABLE_EXACT;
			break;
		case 'i':
			s->interval_s = number("seconds", optarg, 3600);
			break;
		case OPT_BACKGROUND:
			s->background = true;
			break;
		case OPT_RATE:
			s->rate_mib = number("MiB a second", optarg, 65536);
			break;
		case 'h':
			s->help = true;
			break;
		case 'V':
			puts("vmfsctl " VMFS_VERSION);
			exit(0);
		default:
			pass_on(s, opt);
		}
	}
}

/* ---- answers ---- */

static enum ctl_exit
print_failure(const json_t *answer)
{
	const char *code = json_string_value(json_object_get(answer, "error"));
	const char *msg = json_string_value(json_object_get(answer, "message"));

	fprintf(stderr, "vmfsctl: %s\n", msg != NULL ? msg : "failed");
	return code != NULL ? ctl_exit_of(code) : CTL_EXIT_FAILED;
}

static bool
degraded(const json_t *object)
{
	const char *s = json_string_value(json_object_get(object, "status"));

	return s != NULL && (strcmp(s, "frozen") == 0 ||
	    strcmp(s, "fenced") == 0 || strcmp(s, "lost") == 0 ||
	    strcmp(s, "damaged") == 0 || strcmp(s, "failed") == 0 ||
	    strcmp(s, "refused") == 0 || strcmp(s, "missing") == 0 ||
	    strcmp(s, "incomplete") == 0);
}

static enum ctl_exit
print_result(const struct settings *s, const struct verb *v,
    const json_t *result)
{
	const json_t *body = v->body != NULL ?
	    json_object_get(result, v->body) : result, *row;
	bool bad = degraded(result) || degraded(body);
	size_t i;

	if (s->json) {
		(void)json_dumpf(result, stdout, JSON_INDENT(2));
		putchar('\n');
	} else if (v->columns != NULL && json_is_array(body)) {
		table_print(stdout, v->columns, body, s->table_flags);
	} else if (v->columns != NULL) {
		record_print(stdout, v->columns, body, s->table_flags);
	}
	json_array_foreach(body, i, row)
		bad = bad || degraded(row);
	return bad ? CTL_EXIT_DEGRADED : CTL_EXIT_OK;
}

/* NULL: nobody answers, and that has been said. */
static json_t *
ask(const struct settings *s, const struct verb *v, json_t *args)
{
	char cmd[64];
	json_t *answer;
	int rc;

	(void)snprintf(cmd, sizeof(cmd), "%s%s%s", v->noun,
	    *v->verb != '\0' ? "." : "", v->verb);
	for (char *p = strchr(cmd, ' '); p != NULL; p = strchr(p, ' '))
		*p = '.';
	rc = ctl_request(s->control, cmd, args, &answer);
	if (rc == 0)
		return answer;
	fprintf(stderr, "vmfsctl: no vmfsd answers on '%s': %s; start "
	    "vmfsd, or name its socket by --control\n", s->control,
	    vmfs_strerror(rc));
	return NULL;
}

/* Counters become rates between two answers. */
static json_t *
ask_rates(const struct settings *s, const struct verb *v, json_t *args)
{
	json_t *before = NULL, *now;

	if (s->interval_s > 0) {
		before = ask(s, v, args);
		if (!json_is_true(json_object_get(before, "ok")))
			return before;
		(void)sleep(s->interval_s);
	}
	now = ask(s, v, args);
	rates_add(json_object_get(before, "result"),
	    json_object_get(now, "result"));
	json_decref(before);
	return now;
}

/* ---- scrub: step by step ---- */

static json_int_t
number_in(const json_t *object, const char *key)
{
	return json_integer_value(json_object_get(object, key));
}

/* Adds the counters and findings of a step. */
static void
scrub_add(json_t *sum, json_t *step)
{
	static const char *const keys[] = { "blocks", "bytes" };

	for (size_t i = 0; i < 2; i++)
		(void)json_object_set_new(sum, keys[i], json_integer(
		    number_in(sum, keys[i]) + number_in(step, keys[i])));
	(void)json_array_extend(json_object_get(sum, "findings"),
	    json_object_get(step, "findings"));
}

static void
scrub_pace(const struct settings *s, const json_t *step)
{
	json_int_t bytes = number_in(step, "bytes");
	json_int_t at = number_in(step, "step") + 1;
	json_int_t of = number_in(step, "steps");

	if (isatty(STDERR_FILENO) && of > 0)
		fprintf(stderr, "\rscrub: %3d %%%s", (int)(at * 100 / of),
		    at == of ? "\r\033[K" : "");
	if (s->rate_mib > 0 && at < of)
		(void)usleep((useconds_t)(bytes * 1000000 / 1048576 /
		    s->rate_mib));
}

static json_t *
ask_scrub(const struct settings *s, const struct verb *v, json_t *args)
{
	json_t *sum = json_pack("{s:I, s:I, s:[]}", "blocks", (json_int_t)0,
	    "bytes", (json_int_t)0, "findings"), *answer, *step;
	json_int_t at = 0;

	for (;;) {
		(void)json_object_set_new(args, "step", json_integer(at));
		answer = ask(s, v, args);
		if (!json_is_true(json_object_get(answer, "ok"))) {
			json_decref(sum);
			return answer;
		}
		step = json_object_get(answer, "result");
		scrub_add(sum, step);
		scrub_pace(s, step);
		if (++at >= number_in(step, "steps"))
			break;
		json_decref(answer);
	}
	(void)json_object_set(sum, "name", json_object_get(step, "name"));
	(void)json_object_set_new(sum, "status", json_string(json_array_size(
	    json_object_get(sum, "findings")) > 0 ? "damaged" : "sound"));
	(void)json_object_set_new(answer, "result", sum);
	return answer;
}

static enum ctl_exit
run(const struct settings *s, const struct verb *v, json_t *args)
{
	struct pipe_child pipe;
	enum ctl_exit status;
	json_t *answer;

	pipe_begin(&pipe, args, strcmp(v->verb, "export") == 0);
	answer = strcmp(v->verb, "stats") == 0 ? ask_rates(s, v, args) :
	    strcmp(v->verb, "upgrade") == 0 ? upgrade(s->control) :
	    strcmp(v->verb, "scrub") == 0 ? ask_scrub(s, v, args) :
	    ask(s, v, args);
	if (answer != NULL && (!s->background || pipe.pid != 0))
		answer = task_wait(s->control, answer);
	pipe_end(&pipe, json_is_true(json_object_get(answer, "ok")));
	if (answer == NULL)
		return CTL_EXIT_FAILED;
	if (json_is_true(json_object_get(answer, "ok")))
		status = print_result(s, v, json_object_get(answer, "result"));
	else
		status = print_failure(answer);
	json_decref(answer);
	return status;
}

static int
obey(struct settings *s, int argc, char **argv)
{
	const struct verb *v;
	enum ctl_exit status;
	json_t *args;
	int used;

	if (argc < 1) {
		print_usage(s->help ? stdout : stderr);
		return s->help ? CTL_EXIT_OK : CTL_EXIT_USAGE;
	}
	v = find_verb(argc, argv, &used);
	if (s->help) {
		print_verb_usage(stdout, v);
		return CTL_EXIT_OK;
	}
	args = build_args(s, v, argc - used, argv + used);
	status = run(s, v, args);
	json_decref(args);
	return (int)status;
}

int
main(int argc, char **argv)
{
	/* A wrong argument ends the program anywhere: reachable, no leak. */
	static struct settings s;
	int status;

	parse_options(&s, argc, argv);
	status = obey(&s, argc - optind, argv + optind);
	json_decref(s.given);
	return status;
}
