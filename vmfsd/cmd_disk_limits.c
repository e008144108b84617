/* SPDX-License-Identifier: BSD-2-Clause */
/* Limits, shares and counters of disks. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libvmfs/base/units.h"
#include "libvmfs/core/meter.h"
#include "vmfsd/cmd_disk.h"
#include "vmfsd/stats_row.h"

/* ---- disk set ---- */

static const char *
given(const struct fs_call *c, const char *key)
{
	return json_string_value(json_object_get(c->args, key));
}

bool
disk_limits_given(const struct fs_call *c)
{
	return given(c, "iops") != NULL || given(c, "bandwidth") != NULL ||
	    given(c, "shares") != NULL;
}

/* 0, or min to max. */
static int
wanted(struct fs_call *c, const char *key, uint32_t min, uint32_t max,
    uint32_t *n)
{
	const char *text = given(c, key);
	unsigned long long v;
	char *stop;

	if (text == NULL)
		return 0;
	v = strtoull(text, &stop, 10);
	if (*text < '0' || *text > '9' || *stop != '\0' || v > max ||
	    (v > 0 && v < min))
		return cmd_fail(c, -EINVAL, "--%s='%.40s': expected %u to %u, "
		    "or 0 for %s", key, text, min, max,
		    strcmp(key, "shares") == 0 ? "the default" : "no limit");
	*n = (uint32_t)v;
	return 0;
}

static int
wanted_bandwidth(struct fs_call *c, uint32_t *kibps)
{
	const char *text = given(c, "bandwidth");
	uint64_t bytes;

	if (text == NULL)
		return 0;
	if (size_parse(text, &bytes) < 0 || bytes / KIB > UINT32_MAX ||
	    (bytes > 0 && bytes / KIB < METER_KIBPS_MIN))
		return cmd_fail(c, -EINVAL, "--bandwidth='%.40s': expected 1M "
		    "or more bytes a second, as in 100M, or 0 for no limit",
		    text);
	*kibps = (uint32_t)(bytes / KIB);
	return 0;
}

int
disk_limits_wanted(struct fs_call *c, struct inode_limits *l)
{
	int rc = wanted(c, "iops", METER_IOPS_MIN, UINT32_MAX, &l->iops);

	if (rc == 0)
		rc = wanted_bandwidth(c, &l->kibps);
	if (rc == 0)
		rc = wanted(c, "shares", 1, METER_SHARES_MAX, &l->shares);
	return rc;
}

int
disk_limits_set(struct fs_call *c, const struct vdisk *v,
    const struct inode_limits *l)
{
	int rc = fs_set_limits(c->d->fs, v->attr.ino, l, &c->holder);

	if (rc == -EINVAL)
		return cmd_fail(c, rc, "%s is a plain file; only a disk made "
		    "by vmfsctl disk create has limits", c->path.path);
	return rc < 0 ? cmd_refuse(c, rc, v->flat) : 0;
}

void
disk_limits_show(const struct fs_attr *a, json_t *row)
{
	const struct inode_limits *l = &a->limits;

	(void)json_object_set_new(row, "iops_limit",
	    l->iops > 0 ? json_integer(l->iops) : json_null());
	(void)json_object_set_new(row, "bandwidth_limit", l->kibps > 0 ?
	    json_integer((json_int_t)(l->kibps * KIB)) : json_null());
	(void)json_object_set_new(row, "shares", json_integer(l->shares > 0 ?
	    l->shares : METER_SHARES_DEFAULT));
}

/* ---- disk stats ---- */

#define ROWS_MAX 4096u

struct reading {
	uint64_t ino, age_ns;
	struct io_stats st;
};

struct readings {
	struct reading *one;
	unsigned count;
};

static bool
add_reading(void *arg, uint64_t ino, const struct io_stats *st,
    uint64_t age_ns)
{
	struct readings *r = arg;

	if (r->count == ROWS_MAX)
		return false;
	r->one[r->count++] = (struct reading){ ino, age_ns, *st };
	return true;
}

static void
add_row(struct fs_call *c, json_t *rows, uint64_t now_us,
    const struct reading *r)
{
	char path[4352], name[4352], id[64];
	json_t *row;

	/* It may just have lost its name. */
	if (fs_path(c->d->fs, r->ino, path, sizeof(path)) < 0)
		return;
	if (!vdisk_descriptor_name(path, name, sizeof(name)))
		(void)snprintf(name, sizeof(name), "%s", path);
	(void)snprintf(id, sizeof(id), "%llu", (unsigned long long)r->ino);
	row = json_pack("{s:s, s:o, s:I}", "id", id, "disk", ctl_text(name),
	    "since_us", (json_int_t)(now_us - r->age_ns / 1000));
	stats_row_set(row, &r->st);
	(void)json_array_append_new(rows, row);
}

static int
run_stats(struct fs_call *c)
{
	struct readings r = { .one = calloc(ROWS_MAX, sizeof(*r.one)) };
	uint64_t now_us = c->d->env.wall_us(&c->d->env);
	json_t *rows = json_array();

	if (r.one == NULL) {
		json_decref(rows);
		return -ENOMEM;
	}
	fs_each_stats(c->d->fs, add_reading, &r);
	for (unsigned i = 0; i < r.count; i++)
		add_row(c, rows, now_us, &r.one[i]);
	free(r.one);
	c->result = json_pack("{s:I, s:o}", "at_us",
	    (json_int_t)now_us, "stats", rows);
	return 0;
}

int
cmd_disk_stats(struct daemon *dm, json_t *args, json_t **ret_result, char *msg)
{
	return cmd_fs(dm, args, ret_result, msg, false, run_stats);
}
