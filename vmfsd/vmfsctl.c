/* SPDX-License-Identifier: BSD-2-Clause */
/* vmfsctl: asks the running vmfsd. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "libvmfs/base/cleanup.h"
#include "libvmfs/base/units.h"
#include "vmfsd/ctl_client.h"
#include "vmfsd/rates.h"
#include "vmfsd/vmfsctl_options.h"
#include "vmfsd/vmfsctl_task.h"
#include "vmfsd/vmfsctl_upgrade.h"

/* ---- help ---- */

static void
print_statuses(FILE *out)
{
	fputs("\nexit status: 0 done, 1 failed, 2 usage, 3 not found, 4 locked "
	    "or busy,\n6 done, but a datastore is frozen, fenced, lost, damaged "
	    "or failed to\n  mount, one of its LUNs is missing, part of a reload "
	    "was refused, or a quota\n  is incomplete\n", out);
}

/* Of one noun, or of all (NULL); false: there are none. */
static bool
print_commands(FILE *out, const char *noun)
{
	bool any = false;

	for (const struct verb *v = verbs; v->noun != NULL; v++) {
		int n;

		if (noun != NULL && strcmp(v->noun, noun) != 0)
			continue;
		any = true;
		n = fprintf(out, "  %s%s%s%s%s", v->noun,
		    *v->verb != '\0' ? " " : "", v->verb,
		    *v->usage != '\0' ? " " : "", v->usage);
		fprintf(out, "%*s%s\n", n < 44 ? 44 - n : 1, "", v->help);
	}
	return any;
}

static void
print_usage(FILE *out)
{
	fputs("usage: vmfsctl [options] NOUN VERB [arguments]\n\ncommands:\n", out);
	(void)print_commands(out, NULL);
	fputc('\n', out);
	options_print(out, NULL);
	print_statuses(out);
}

static void
print_verb_usage(FILE *out, const struct verb *v)
{
	fprintf(out, "usage: vmfsctl [options] %s %s %s\n\n  %s\n\n", v->noun,
	    v->verb, v->usage, v->help);
	options_print(out, v);
	print_statuses(out);
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
	size_t len = verb != NULL ? strlen(verb) : 0;
	bool noun_known = false, more = false;
	char two[64];

	for (const struct verb *v = verbs; v->noun != NULL; v++) {
		if (strcmp(v->noun, noun) != 0)
			continue;
		noun_known = true;
		*ret_words = verb_words(v, argc, argv);
		if (*ret_words > 0)
			return v;
		more |= len > 0 && strncmp(v->verb, verb, len) == 0 &&
		    v->verb[len] == ' ';
	}
	if (!noun_known)
		usage_error("unknown command", noun);
	if (!more && verb == NULL)
		(void)print_commands(stderr, noun);
	if (!more)
		usage_error(verb != NULL ? "unknown verb" : "no verb behind",
		    verb != NULL ? verb : noun);
	(void)snprintf(two, sizeof(two), "%s %s", argc > 2 ? verb : noun,
	    argc > 2 ? argv[2] : verb);
	usage_error(argc > 2 ? "unknown verb" : "no verb behind", two);
}

static json_t *
value_of(const char *key, const char *text)
{
	json_t *value;
	char *end;
	long n;

	if (strcmp(key, "tsih") != 0) {
		value = json_string(text);
		if (value == NULL)
			usage_error("not UTF-8:", text);
		return value;
	}
	n = strtol(text, &end, 10);
	if (*text == '\0' || *end != '\0' || n < 0 || n > 65535)
		usage_error("not a session number:", text);
	return json_integer(n);
}

/* A datastore with or without the colon that stands before a directory. */
static json_t *
first_of(const struct verb *v, const char *text)
{
	size_t len = strlen(text), ds = strcspn(v->usage, " [");
	cleanup_free char *whole = malloc(len + 2);

	if (whole == NULL)
		return NULL;
	memcpy(whole, text, len + 1);
	if (ds == 3 && strncmp(v->usage, "DS:", 3) == 0 &&
	    strchr(text, ':') == NULL)
		memcpy(whole + len, ":", 2);
	if (ds == 2 && strncmp(v->usage, "DS", 2) == 0 && len > 1 &&
	    text[len - 1] == ':')
		whole[len - 1] = '\0';
	return value_of(v->keys[0], whole);
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
		(void)json_object_set_new(args, v->keys[i], i == 0 ?
		    first_of(v, argv[i]) : value_of(v->keys[i], argv[i]));
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

static json_int_t
number_in(const json_t *object, const char *key)
{
	return json_integer_value(json_object_get(object, key));
}

/* A table without rows would leave it open whether anything was read. */
static bool
print_sound(const struct verb *v, const json_t *result)
{
	char size[SIZE_TEXT_SIZE];
	const char *status = json_string_value(json_object_get(result,
	    "status"));

	if (strcmp(v->verb, "scrub") != 0 || strcmp(status, "sound") != 0)
		return false;
	printf("sound: %lld blocks, %s read\n",
	    (long long)number_in(result, "blocks"),
	    size_text((uint64_t)number_in(result, "bytes"), size));
	return true;
}

static enum ctl_exit
print_result(const struct settings *s, const struct verb *v,
    const json_t *result)
{
	const json_t *body = v->body != NULL ?
	    json_object_get(result, v->body) : result, *row;
	const char *warning = json_string_value(json_object_get(result,
	    "warning"));
	bool bad = degraded(result) || degraded(body);
	size_t i;

	if (warning != NULL)
		fprintf(stderr, "vmfsctl: %s\n", warning);
	if (s->json) {
		(void)json_dumpf(result, stdout, JSON_INDENT(2));
		putchar('\n');
	} else if (v->columns == NULL || print_sound(v, result)) {
		return bad ? CTL_EXIT_DEGRADED : CTL_EXIT_OK;
	} else if (json_is_array(body)) {
		table_print(stdout, v->columns, body, s->table_flags);
	} else {
		record_print(stdout, v->columns, body, s->table_flags);
	}
	json_array_foreach(body, i, row)
		bad = bad || degraded(row);
	return bad ? CTL_EXIT_DEGRADED : CTL_EXIT_OK;
}

/* Together 2 s. */
#define REFUSED_MAX 40
#define REFUSED_US 50000

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
	/* The successor of a worker that died listens in a moment. */
	for (int i = 0; rc == -ECONNREFUSED && i < REFUSED_MAX; i++) {
		(void)usleep(REFUSED_US);
		rc = ctl_request(s->control, cmd, args, &answer);
	}
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
	(void)json_object_set(sum, "api", json_object_get(step, "api"));
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
		answer = task_wait(s->control, answer, &pipe);
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
	if (s->help && argc == 1 && print_commands(stdout, argv[0]))
		return CTL_EXIT_OK;
	v = find_verb(argc, argv, &used);
	if (s->help) {
		print_verb_usage(stdout, v);
		return CTL_EXIT_OK;
	}
	settings_check(s, v);
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

	settings_parse(&s, argc, argv);
	status = obey(&s, argc - optind, argv + optind);
	json_decref(s.given);
	return status;
}
