/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * ds.scrub: one step of a scrub.  vmfsctl asks for one after the other, and so
 * slowly as it was told: nothing runs on when nobody waits for it.
 */
#include <stdio.h>
#include <string.h>

#include "libvmfs/check/scrub.h"
#include "vmfsd/call.h"
#include "vmfsd/cmd.h"

struct scrub_call {
	struct daemon *dm;
	struct datastore *d;
	uint64_t step, steps;
	struct scrub scrub;
	json_t *findings;
};

static void
on_finding(void *arg, const struct scrub_finding *f)
{
	struct scrub_call *c = arg;

	log_error(c->dm->log, "datastore: %s: scrub: %s", c->d->name, f->text);
	(void)json_array_append_new(c->findings, json_pack(
	    "{s:I, s:s, s:I, s:o, s:o}", "block", (json_int_t)f->block,
	    "type", block_type_name(f->type), "owner", (json_int_t)f->owner,
	    "object", ctl_text(f->object), "text", ctl_text(f->text)));
}

static int
run_step(void *arg)
{
	struct scrub_call *c = arg;

	c->steps = scrub_steps(c->d->fs);
	c->scrub.fs = c->d->fs;
	if (c->step == 0)
		log_info(c->dm->log, "datastore: %s: scrub begins",
		    c->d->name);
	return c->step < c->steps ? scrub_step(&c->scrub, c->step) : -ERANGE;
}

static int
cmd_ds_scrub(struct daemon *dm, json_t *args, json_t **ret_result, char *msg)
{
	struct scrub_call c = { .dm = dm, .findings = json_array() };
	json_int_t step = 0;
	int rc;

	(void)json_unpack(args, "{s?I}", "step", &step);
	c.step = step < 0 ? UINT64_MAX : (uint64_t)step;
	c.scrub.finding = on_finding;
	c.scrub.arg = &c;
	rc = cmd_datastore(dm, args, true, &c.d, msg);
	if (rc < 0) {
		json_decref(c.findings);
		return rc;
	}
	rc = cmd_answers(c.d, msg);
	if (rc == 0)
		rc = call_on(c.d->env.sched, run_step, &c);
	if (rc < 0 && msg[0] == '\0')
		(void)snprintf(msg, CTL_MESSAGE_SIZE, "datastore '%s' could "
		    "not be read in step %llu of a scrub: %s", c.d->name,
		    (unsigned long long)c.step, vmfs_strerror(rc));
	else if (rc == 0 && c.step + 1 == c.steps)
		log_info(dm->log, "datastore: %s: scrub ends", c.d->name);
	if (rc == 0)
		*ret_result = json_pack("{s:s, s:I, s:I, s:I, s:I, s:O}",
		    "name", c.d->name, "step", (json_int_t)c.step, "steps",
		    (json_int_t)c.steps, "blocks", (json_int_t)c.scrub.blocks,
		    "bytes", (json_int_t)c.scrub.bytes, "findings",
		    c.findings);
	json_decref(c.findings);
	datastore_put(c.d);
	return rc;
}

const struct command commands_ds_scrub[] = {
	{ "ds.scrub", cmd_ds_scrub },
	{ NULL, NULL },
};
