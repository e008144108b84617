/* SPDX-License-Identifier: BSD-2-Clause */
/* Findings and summary of fsck.vmfs as text or as one JSON object. */
#include <stdio.h>
#include <stdlib.h>

#include "fsck/report.h"
#include "libvmfs/base/units.h"
#include "libvmfs/base/utf8.h"

static FILE *
out_of(const struct report *r)
{
	return r->held != NULL ? r->held : stdout;
}

void
report_hold(struct report *r)
{
	/* Without memory it is told at once. */
	r->held = open_memstream(&r->text, &r->text_size);
}

void
report_drop(struct report *r)
{
	if (r->held == NULL)
		return;
	(void)fclose(r->held);
	r->held = NULL;
	free(r->text);
	r->text = NULL;
	r->printed = 0;
}

void
report_release(struct report *r)
{
	if (r->held == NULL)
		return;
	(void)fflush(r->held);
	(void)fwrite(r->text, 1, r->text_size, stdout);
	report_drop(r);
}

static const char *
severity_name(enum check_severity s)
{
	return s == CHECK_NOTE ? "note" :
	    s == CHECK_HARMLESS ? "harmless" : "damage";
}

static void
json_character(FILE *out, const char *s, size_t n)
{
	if (*s == '"' || *s == '\\')
		fprintf(out, "\\%c", *s);
	else if ((unsigned char)*s < 0x20)
		fprintf(out, "\\u%04x", (unsigned)*s);
	else
		fwrite(s, n, 1, out);
}

/* Anybody may have chosen the names in it: JSON takes nothing but UTF-8, and a
 * terminal does what control characters say. */
static void
put_text(FILE *out, const char *s, bool json)
{
	for (size_t n; *s != '\0'; s += n > 0 ? n : 1) {
		uint32_t c = 0;

		n = utf8_character(s, &c);
		if (n > 0 && json)
			json_character(out, s, n);
		else if (n == 0 || c < 0x20 || (c >= 0x7f && c < 0xa0))
			putc('?', out);
		else
			fwrite(s, n, 1, out);
	}
}

static void
json_string(FILE *out, const char *s)
{
	putc('"', out);
	put_text(out, s, true);
	putc('"', out);
}

void
report_finding(void *arg, const struct check_finding *f)
{
	struct report *r = arg;
	FILE *out = out_of(r);

	if (r->json) {
		fprintf(out, "%s{\"rule\":\"%s\",\"severity\":\"%s\",\"block\":%llu,"
		    "\"fixed\":%s,\"text\":", r->printed > 0 ? "," : "",
		    check_rule_name(f->rule), severity_name(f->severity),
		    (unsigned long long)f->block, f->fixed ? "true" : "false");
		json_string(out, f->text);
		putc('}', out);
	} else {
		fprintf(out, "%s: ", check_rule_name(f->rule));
		put_text(out, f->text, false);
		fprintf(out, "%s\n", f->severity == CHECK_NOTE ? "" :
		    f->fixed ? " [fixed]" : " [not fixed]");
	}
	r->printed++;
}

void
report_progress(void *arg, const char *phase, unsigned permille)
{
	struct report *r = arg;

	if (!r->progress || (permille == r->last_permille && permille != 0))
		return;
	r->last_permille = permille;
	fprintf(stderr, "\rfsck.vmfs: %-12s %3u %%", phase, permille / 10);
	if (permille >= 1000)
		fputs("\r\033[K", stderr);
	fflush(stderr);
}

void
report_begin(struct report *r, const char *lun)
{
	FILE *out = out_of(r);

	if (!r->json)
		return;
	fprintf(out, "{\"schema\":1,\"lun\":");
	json_string(out, lun);
	fprintf(out, ",\"findings\":[");
}

static void
report_json_end(FILE *out, const struct check_result *res)
{
	char uuid[UUID_TEXT_SIZE];

	fprintf(out, "],\"label\":");
	json_string(out, res->super.label);
	fprintf(out, ",\"uuid\":\"%s\",\"found\":%llu,\"fixed\":%llu,"
	    "\"damage\":%llu,\"files\":%llu,\"directories\":%llu,"
	    "\"disks\":%llu,\"snapshots\":%llu,\"total_bytes\":%llu,"
	    "\"used_bytes\":%llu,\"metadata_bytes\":%llu}\n",
	    uuid_text(super_uuid(&res->super), uuid), (unsigned long long)res->found,
	    (unsigned long long)res->fixed, (unsigned long long)res->damage,
	    (unsigned long long)res->files, (unsigned long long)res->dirs,
	    (unsigned long long)res->disks, (unsigned long long)res->snapshots,
	    (unsigned long long)res->total_bytes,
	    (unsigned long long)res->used_bytes,
	    (unsigned long long)res->meta_bytes);
}

void
report_end(struct report *r, const char *lun, const struct check_result *res,
    bool repair)
{
	FILE *out = out_of(r);
	char used[SIZE_TEXT_SIZE], total[SIZE_TEXT_SIZE], meta[SIZE_TEXT_SIZE];

	if (r->json) {
		report_json_end(out, res);
		return;
	}
	fprintf(out, "%s: datastore \"%s\": %llu directories, %llu files, %llu disks,"
	    " %llu snapshots; %s of %s used, %s of it metadata\n", lun,
	    res->super.label, (unsigned long long)res->dirs,
	    (unsigned long long)res->files, (unsigned long long)res->disks,
	    (unsigned long long)res->snapshots,
	    size_text(res->used_bytes, used), size_text(res->total_bytes, total),
	    size_text(res->meta_bytes, meta));
	if (res->found == 0)
		fprintf(out, "%s: clean\n", lun);
	else if (res->found == res->fixed)
		fprintf(out, "%s: %llu problems, all repaired\n", lun,
		    (unsigned long long)res->found);
	else
		fprintf(out, "%s: %llu problems, %llu repaired, %llu left%s\n", lun,
		    (unsigned long long)res->found,
		    (unsigned long long)res->fixed,
		    (unsigned long long)(res->found - res->fixed),
		    repair ? "" : "; run fsck.vmfs -y to repair what can be");
}
