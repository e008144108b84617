/* SPDX-License-Identifier: BSD-2-Clause */
/* See lun_row.h. */
#include <stdio.h>
#include <string.h>

#include "libvmfs/base/lun_text.h"
#include "vmfsd/lun_row.h"
#include "vmfsd/lun_settings.h"

static void
set(json_t *row, const char *key, json_t *value)
{
	(void)json_object_set_new(row, key, value);
}

static json_t *
number(uint64_t n)
{
	return json_integer((json_int_t)n);
}

static void
add_registration(void *arg, const char *port, uint64_t key, bool holder)
{
	char text[24];

	(void)snprintf(text, sizeof(text), "0x%016llx",
	    (unsigned long long)key);
	(void)json_array_append_new(arg, json_pack("{s:s, s:s, s:b}",
	    "initiator_port", port, "key", text, "holder", holder));
}

static const char *
sanitize_text(struct scsi_lu *lu, char text[32])
{
	unsigned percent;
	const char *state = scsi_lu_sanitize(lu, &percent);

	if (strcmp(state, "running") != 0)
		return state;
	(void)snprintf(text, 32, "running %u%%", percent);
	return text;
}

/* The one thing about the LUN that its user would be told first. */
static json_t *
status_text(const char *sanitize, const struct scsi_lu_info *i)
{
	if (strcmp(sanitize, "none") != 0)
		return json_sprintf("sanitize %s", sanitize);
	return json_string(i->ejected ? "ejected" : "ok");
}

static void
row_unit(json_t *row, const struct export_lun *x)
{
	const struct disk_info *info = &x->disk->info;
	struct scsi_lu_info i;
	struct io_stats st;
	json_t *regs = json_array();
	char text[32];
	const char *sanitize = sanitize_text(x->lu, text);

	scsi_lu_info(x->lu, &i);
	scsi_lu_stats(x->lu, &st);
	scsi_lu_registrations(x->lu, add_registration, regs);
	set(row, "kind", json_string(info->kind));
	set(row, "size", number(info->size_bytes));
	set(row, "block_size", number(i.block_size));
	set(row, "wwn", json_string(i.wwn));
	set(row, "reads", number(st.reads));
	set(row, "writes", number(st.writes));
	set(row, "errors", number(st.errors));
	set(row, "registrations", regs);
	set(row, "sanitize", json_string(sanitize));
	set(row, "status", status_text(sanitize, &i));
}

json_t *
lun_row(const char *iqn, const struct conf_lun *l, const struct export_lun *x)
{
	char source[LUN_TEXT_SIZE];
	json_t *row = json_pack("{s:s, s:i, s:s, s:b, s:b}", "target", iqn,
	    "lun", (int)l->number, "source", lun_text(l->source, source),
	    "readonly", l->readonly, "thin", l->thin);

	if (x != NULL)
		row_unit(row, x);
	else
		set(row, "status", json_string("waits for its disk"));
	return row;
}

/* ---- all of it ---- */

static json_t *
access_json(const struct scsi_lu_info *i, char *text, size_t size)
{
	json_t *list = json_array();
	size_t used = 0;

	text[0] = '\0';
	for (unsigned g = 0; g < SCSI_GROUPS_MAX; g++) {
		const char *name = lun_access_name(i->access[g]);

		(void)json_array_append_new(list, json_pack("{s:i, s:s}",
		    "group", (int)g + 1, "state", name));
		if (i->access[g] != 0 && used < size)
			used += (size_t)snprintf(text + used, size - used,
			    "group %u %s, ", g + 1, name);
	}
	if (used < size)
		(void)snprintf(text + used, size - used, "%s",
		    used > 0 ? "others optimized" : "optimized");
	return list;
}

static void
record_pool(json_t *row, const struct scsi_lu_info *i, struct disk *disk)
{
	struct disk_space space;

	if (!i->pool || disk_space(disk, &space) < 0)
		return;
	set(row, "pool_size", number(space.size));
	set(row, "pool_available", number(space.available));
	set(row, "used", number(space.used));
	if (i->warns)
		set(row, "warn_free", number(i->warn_free));
}

/* "PORT KEY", the holder marked, in one text. */
static json_t *
registration_names(const json_t *regs)
{
	json_t *text = json_string(""), *one;
	size_t i;

	json_array_foreach(regs, i, one) {
		json_t *longer = json_sprintf("%s%s%s %s%s",
		    json_string_value(text), i > 0 ? ", " : "",
		    json_string_value(json_object_get(one, "initiator_port")),
		    json_string_value(json_object_get(one, "key")),
		    json_is_true(json_object_get(one, "holder")) ?
		    " (holder)" : "");

		json_decref(text);
		text = longer;
	}
	return text;
}

json_t *
lun_record(const char *iqn, const struct conf_lun *l,
    const struct export_lun *x)
{
	json_t *row = lun_row(iqn, l, x);
	const char *options = strchr(l->text, ',');
	struct scsi_lu_info i;
	char access[512];

	set(row, "options", json_string(options != NULL ? options + 1 : ""));
	if (x == NULL)
		return row;
	scsi_lu_info(x->lu, &i);
	set(row, "serial", json_string(i.serial));
	set(row, "physical_block_size", number(i.phys_block_size));
	set(row, "access", access_json(&i, access, sizeof(access)));
	set(row, "access_names", json_string(access));
	set(row, "reservation", json_string(i.reservation != NULL ?
	    i.reservation : "none"));
	set(row, "registration_names", registration_names(
	    json_object_get(row, "registrations")));
	record_pool(row, &i, x->disk);
	return row;
}
