/* SPDX-License-Identifier: BSD-2-Clause */
/* Commands that change a mounted datastore as a whole. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "libvmfs/base/units.h"
#include "vmfsd/call.h"
#include "vmfsd/cmd.h"

struct set_call {
	struct datastore *d;
	const char *label;	/* NULL: grow */
	char *msg;
	struct lock_holder holder;
	uint64_t before, after, lun;	/* bytes */
};

static int
say(struct set_call *c, int error, const char *fmt, ...) PRINTF_LIKE(3, 4);

static int
say(struct set_call *c, int error, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(c->msg, CTL_MESSAGE_SIZE, fmt, ap);
	va_end(ap);
	return error;
}

/* An earlier LUN that has become larger to no use; its extent's number, or
 * -1. */
static int
grown_extent(const struct ds *ds, uint64_t *ret_more)
{
	const struct super *s = ds_super(ds);

	for (unsigned i = 0; i + 1 < s->extents; i++) {
		const struct super_extent *e = &s->extent[i];
		const struct disk *lun = ds_extent_lun(ds, i);
		uint64_t end = (e->lun_block + e->blocks) << BLOCK_SHIFT;

		/* Less than a cluster would not be used of any. */
		if (lun == NULL || lun->info.size_bytes <
		    end + ((uint64_t)s->cluster_blocks << BLOCK_SHIFT))
			continue;
		*ret_more = lun->info.size_bytes - end;
		return (int)i;
	}
	return -1;
}

static int
no_data(struct set_call *c)
{
	const struct super *s = ds_super(c->d->ds);
	unsigned last = s->extents - 1;
	const char *name = c->d->name;
	char size[SIZE_TEXT_SIZE];
	uint64_t more;
	int i = grown_extent(c->d->ds, &more);

	if (s->extent[last].first_block + s->extent[last].blocks < s->blocks)
		return say(c, -ENODATA, "the LUN that was added last to "
		    "datastore '%s' has left, and only that one could have "
		    "grown; add another LUN by vmfsctl ds extent add", name);
	if (i >= 0)
		return say(c, -ENODATA, "the LUN of extent %u of datastore "
		    "'%s', the only one that can grow, has no more than "
		    "before; that of extent %d has %s more, which cannot be "
		    "used: the addresses behind it are those of a LUN that "
		    "was added later; make that of extent %u larger, or add "
		    "another LUN by vmfsctl ds extent add", last, name, i,
		    size_text(more, size), last);
	if (last > 0)
		return say(c, -ENODATA, "the LUN of extent %u of datastore "
		    "'%s', the only one that can grow, has no more than "
		    "before; make it larger first (vmfsctl lun resize on the "
		    "box that exports it)", last, name);
	return say(c, -ENODATA, "the LUN of datastore '%s' has no more "
	    "than the %s that the datastore has; make the LUN larger "
	    "first (vmfsctl lun resize on the box that exports it)",
	    name, size_text(c->before, size));
}

static int
refused(struct set_call *c, int error)
{
	const char *name = c->d->name;

	switch (error) {
	case -ENODATA:
		return no_data(c);
	case -VMFS_EINUSE:
		return say(c, error, "a host has not yet taken note of the "
		    "last change of datastore '%s'; see vmfsctl host ls %s, "
		    "and try again when all of them are alive", name, name);
	case -VMFS_ELOCKED:
		return say(c, error, "host '%s' holds the lock of the root "
		    "directory of datastore '%s'; try again in a moment",
		    c->holder.name, name);
	case -VMFS_ELIMIT:
		return say(c, error, "datastore '%s' has grown so often that "
		    "its superblock has no room for one more time", name);
	case -EROFS:
		return say(c, error, "datastore '%s' is mounted read-only",
		    name);
	case -EINVAL:
		return say(c, error, "a label has 1 to %u bytes",
		    SUPER_LABEL_MAX);
	default:
		return say(c, error, "datastore '%s' was not changed: %s",
		    name, vmfs_strerror(error));
	}
}

static int
try_once(struct set_call *c)
{
	return c->label != NULL ?
	    fs_set_label(c->d->fs, c->label, &c->holder) :
	    fs_grow(c->d->fs, &c->holder);
}

/* Without what has left: its addresses are not used again. */
static uint64_t
bytes_of(const struct super *s)
{
	uint64_t blocks = 0;

	for (unsigned i = 0; i < s->extents; i++)
		blocks += s->extent[i].blocks;
	return blocks << BLOCK_SHIFT;
}

static int
run_set(void *arg)
{
	struct set_call *c = arg;
	const struct super *s = ds_super(c->d->ds);
	int rc;

	c->before = bytes_of(s);
	rc = try_once(c);
	for (int i = 0; i < CMD_PULSES_MAX && rc == -VMFS_EINUSE; i++) {
		fiber_sleep(s->timers.pulse_ms * NSEC_PER_MSEC);
		rc = try_once(c);
	}
	c->after = bytes_of(s);
	c->lun = cmd_lun_bytes(c->d);
	/* Another host was faster. */
	if (rc == -ENODATA && c->after > c->before)
		rc = 0;
	if (rc < 0)
		return refused(c, rc);
	if (c->label == NULL)
		cmd_wait_for_space(c->d);
	return 0;
}

static int
set_on(struct daemon *dm, json_t *args, struct set_call *c, char *msg)
{
	int rc = cmd_datastore(dm, args, true, &c->d, msg);

	if (rc < 0)
		return rc;
	c->msg = msg;
	rc = cmd_answers(c->d, msg);
	if (rc == 0)
		rc = call_on(c->d->env.sched, run_set, c);
	if (rc == 0 && c->label != NULL)
		log_info(dm->log, "datastore: %s: label=\"%s\"", c->d->name,
		    c->label);
	else if (rc == 0)
		log_info(dm->log, "datastore: %s: grown from %llu to %llu "
		    "bytes", c->d->name, (unsigned long long)c->before,
		    (unsigned long long)c->after);
	datastore_put(c->d);
	return rc;
}

static int
cmd_ds_grow(struct daemon *dm, json_t *args, json_t **ret_result, char *msg)
{
	struct set_call c = { .label = NULL };
	int rc = set_on(dm, args, &c, msg);

	if (rc < 0)
		return rc;
	*ret_result = json_pack("{s:{s:s, s:I, s:I, s:I}}", "grown",
	    "name", json_string_value(json_object_get(args, "name")),
	    "before", (json_int_t)c.before, "capacity", (json_int_t)c.after,
	    "lun_size", (json_int_t)c.lun);
	return 0;
}

static int
cmd_ds_label(struct daemon *dm, json_t *args, json_t **ret_result, char *msg)
{
	struct set_call c = { .label = NULL };
	int rc = cmd_string(args, "label", &c.label, msg);

	(void)ret_result;
	if (rc == 0 && !cmd_is_line(c.label)) {
		(void)snprintf(msg, CTL_MESSAGE_SIZE, "a label has no control "
		    "characters");
		return -EINVAL;
	}
	return rc < 0 ? rc : set_on(dm, args, &c, msg);
}

const struct command commands_ds_set[] = {
	{ "ds.grow", cmd_ds_grow },
	{ "ds.label", cmd_ds_label },
	{ NULL, NULL },
};
