/* SPDX-License-Identifier: BSD-2-Clause */
/* See lun_settings.h. */
#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libvmfs/base/cleanup.h"
#include "libvmfs/base/units.h"
#include "vmfsd/lun_settings.h"

#define GROUP "group."
#define WARN "warn="
#define WARN_FREE "warn-free="
#define POOL "pool="

static const char *const states[] = {
	"optimized", "non-optimized", "standby", "unavailable",
};
#define STATES (sizeof(states) / sizeof(states[0]))

int
lun_access_state(const char *name)
{
	for (size_t i = 0; i < STATES; i++)
		if (strcmp(states[i], name) == 0)
			return (int)i;
	return -1;
}

const char *
lun_access_name(unsigned state)
{
	return states[state];
}

static bool
begins(const char *text, const char *with)
{
	return strncmp(text, with, strlen(with)) == 0;
}

/* ---- parsing ---- */

static int
group_parse(const char *option, struct conf_lun *l, char *why, size_t size)
{
	const char *digits = option + strlen(GROUP);
	char *end;
	unsigned long n = strtoul(digits, &end, 10);
	int state = *end == '=' ? lun_access_state(end + 1) : -1;

	if (!isdigit((unsigned char)*digits) || n == 0 ||
	    n > SCSI_GROUPS_MAX || state < 0) {
		(void)snprintf(why, size, "'%.64s': expected group.1 to "
		    "group.%d = optimized, non-optimized, standby or "
		    "unavailable", option, SCSI_GROUPS_MAX);
		return -EINVAL;
	}
	l->settings.access[n - 1] = (uint8_t)state;
	return 0;
}

static int
warn_parse(const char *option, struct conf_lun *l, char *why, size_t size)
{
	const char *value = option + strlen(WARN);
	char *end;
	unsigned long n = strtoul(value, &end, 10);

	if (strcmp(value, "off") == 0) {
		l->settings.threshold_set = true;
		return 0;
	}
	if (!isdigit((unsigned char)*value) || n == 0 || n > 100 ||
	    (*end != '\0' && strcmp(end, "%") != 0)) {
		(void)snprintf(why, size, "%.64s: expected 1 to 100 percent, "
		    "or off", option);
		return -EINVAL;
	}
	l->warn_percent = (unsigned)n;
	return 0;
}

static int
warn_free_parse(const char *option, struct conf_lun *l, char *why, size_t size)
{
	uint64_t bytes;

	if (size_parse(option + strlen(WARN_FREE), &bytes) < 0 ||
	    bytes / MIB > UINT32_MAX) {
		(void)snprintf(why, size, "%.64s: expected the space below "
		    "which initiators are told, as 20G", option);
		return -EINVAL;
	}
	l->settings.threshold_set = l->settings.threshold_on = true;
	l->settings.threshold_free = bytes;
	return 0;
}

static int
pool_parse(const char *option, struct conf_lun *l, char *why, size_t size)
{
	uint64_t bytes;

	if (size_parse(option + strlen(POOL), &bytes) < 0 || bytes < MIB) {
		(void)snprintf(why, size, "%.64s: expected what the LUN may "
		    "take at most, as 100G", option);
		return -EINVAL;
	}
	l->pool_bytes = bytes;
	return 0;
}

int
lun_setting_parse(const char *option, struct conf_lun *l, char *why,
    size_t why_size)
{
	if (begins(option, GROUP))
		return group_parse(option, l, why, why_size);
	if (begins(option, WARN))
		return warn_parse(option, l, why, why_size);
	if (begins(option, WARN_FREE))
		return warn_free_parse(option, l, why, why_size);
	if (begins(option, POOL))
		return pool_parse(option, l, why, why_size);
	return -ENOENT;
}

/* ---- writing ---- */

/* Options that the settings replace. */
static bool
is_replaced(const char *option, const struct scsi_lu_settings *s)
{
	return begins(option, GROUP) || (s->threshold_set &&
	    (begins(option, WARN) || begins(option, WARN_FREE)));
}

static void
settings_print(FILE *out, const struct scsi_lu_settings *s)
{
	for (unsigned i = 0; i < SCSI_GROUPS_MAX; i++)
		if (s->access[i] > 0 && s->access[i] < STATES)
			(void)fprintf(out, "," GROUP "%u=%s", i + 1,
			    states[s->access[i]]);
	if (s->threshold_set && s->threshold_on)
		(void)fprintf(out, "," WARN_FREE "%" PRIu64 "M",
		    s->threshold_free / MIB);
	else if (s->threshold_set)
		(void)fputs("," WARN "off", out);
}

int
lun_settings_text(const struct conf_lun *l, const struct scsi_lu_settings *s,
    char **ret_text)
{
	cleanup_free char *copy = strdup(l->text);
	char *text = NULL, *save = NULL, *part;
	size_t size;
	FILE *out = open_memstream(&text, &size);
	bool first = true;

	if (copy == NULL || out == NULL) {
		if (out != NULL)
			(void)fclose(out);
		free(text);
		return -ENOMEM;
	}
	for (part = strtok_r(copy, ",", &save); part != NULL;
	    part = strtok_r(NULL, ",", &save)) {
		if (!first && is_replaced(part, s))
			continue;
		(void)fprintf(out, "%s%s", first ? "" : ",", part);
		first = false;
	}
	settings_print(out, s);
	if (fclose(out) != 0) {
		free(text);
		return -ENOMEM;
	}
	*ret_text = text;
	return 0;
}
