/* SPDX-License-Identifier: BSD-2-Clause */
/* One line of JSON a take-over; a later admin reads it with jq. */
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vmfsd/takeover_log.h"

#define FILE_MAX (1 << 20)

static const char *
result_name(const struct takeover_report *r)
{
	if (r->result == 0)
		return "done";
	return r->result == -EINPROGRESS ? "under way" : "not yet";
}

static json_t *
steps_json(const struct takeover_report *r)
{
	json_t *steps = json_object();

	for (int i = 0; i < TAKEOVER_STEPS; i++)
		if (r->at_us[i] != 0)
			(void)json_object_set_new(steps,
			    takeover_step_name((enum takeover_step)i),
			    json_integer((json_int_t)r->at_us[i]));
	return steps;
}

static uint64_t
first_step(const struct takeover_report *r)
{
	for (int i = 0; i < TAKEOVER_STEPS; i++)
		if (r->at_us[i] != 0)
			return r->at_us[i];
	return 0;
}

static void
add_number(json_t *o, const char *key, uint64_t n)
{
	(void)json_object_set_new(o, key, json_integer((json_int_t)n));
}

json_t *
takeover_json(const struct takeover_report *r)
{
	json_t *o = json_pack("{s:I, s:s, s:i, s:I, s:s, s:s, s:s, s:s, s:s}",
	    "time_us", (json_int_t)first_step(r), "host", r->name,
	    "slot", (int)r->slot, "incarnation", (json_int_t)r->incarnation,
	    "cause", takeover_cause_name(r->cause), "by", r->by,
	    "network", member_word_name(r->net), "result", result_name(r),
	    "why", r->result != 0 ? r->why : "");

	add_number(o, "silent_ms", r->silent_ms);
	(void)json_object_set_new(o, "steps_us", steps_json(r));
	/* Of another's work only this was seen. */
	if (r->cause == TAKEOVER_SEEN)
		return o;
	add_number(o, "tries", r->tries);
	add_number(o, "fence_ms", r->fence_ms);
	add_number(o, "replay_ms", r->replay_ms);
	add_number(o, "records", r->replay.records);
	add_number(o, "applied", r->replay.applied);
	return o;
}

static int
open_file(const char *dir)
{
	char path[PATH_MAX], old[PATH_MAX + 8];
	struct stat st;
	int fd;

	(void)snprintf(path, sizeof(path), "%s/takeovers.json", dir);
	(void)snprintf(old, sizeof(old), "%s.old", path);
	if (stat(path, &st) == 0 && st.st_size > FILE_MAX &&
	    rename(path, old) < 0)
		return -errno;
	fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	return fd < 0 ? -errno : fd;
}

int
takeover_log_append(const char *dir, const char *datastore,
    const struct takeover_report *r)
{
	json_t *o = takeover_json(r);
	FILE *f;
	int rc, fd = open_file(dir);

	if (fd < 0) {
		json_decref(o);
		return fd;
	}
	f = fdopen(fd, "a");
	if (f == NULL) {
		rc = -errno;
		(void)close(fd);
		json_decref(o);
		return rc;
	}
	(void)json_object_set_new(o, "datastore", json_string(datastore));
	rc = json_dumpf(o, f, JSON_COMPACT) < 0 || fputc('\n', f) == EOF ?
	    -EIO : 0;
	json_decref(o);
	return fclose(f) != 0 ? -EIO : rc;
}
