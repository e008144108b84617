/* SPDX-License-Identifier: BSD-2-Clause */
/* See fsx.h. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "tests/crash/fsx.h"
#include "tests/crash/verify.h"
#include "tests/sim/sim_sched.h"

#define LOOK_AT_ALL 64u		/* operations between looks at everything */
#define PROGRESS 10000u

void
fsx_fail(struct fsx *x, const char *what)
{
	if (x->result < 0)
		return;
	x->result = -EPROTO;
	(void)snprintf(x->problem, sizeof(x->problem), "operation %" PRIu64
	    ", %s: %s", x->totals.ops, x->script.deeds > 0 ?
	    x->script.deed[0].what : "none", what);
}

/* The operations that take long or settle everything come less often. */
static unsigned
choose(struct fsx *x)
{
	static const char *const rare[] = {
		"checkpoint", "keep", "remount", "move", "takeover",
	};
	unsigned op = (unsigned)prng_below(&x->prng, script_ops());

	for (size_t i = 0; i < sizeof(rare) / sizeof(rare[0]); i++)
		if (strcmp(script_op_name(op), rare[i]) == 0 &&
		    prng_below(&x->prng, 4) != 0)
			return choose(x);
	if (x->script.truth.space.names > TRUTH_NAMES - 4 &&
	    strcmp(script_op_name(op), "create") == 0)
		return choose(x);
	return op;
}

/* The deed is done: the promise has it, and what it changed shows. */
static void
judge(struct fsx *x, bool all)
{
	struct script *s = &x->script;
	struct deed *d = &s->deed[0];
	char what[400];

	promise_begin(&x->promise, d);
	if (!promise_end(&x->promise, d))
		fsx_fail(x, "a survivor found what must not be");
	else if (verify_live(s, &x->promise, all ? NULL : d, what,
	    sizeof(what)) < 0)
		fsx_fail(x, what);
	deed_fini(d);
	s->deeds = 0;
}

static void
one(struct fsx *x)
{
	unsigned op = choose(x);
	bool takeover = strcmp(script_op_name(op), "takeover") == 0;

	x->totals.ops++;
	x->totals.takeovers += takeover;
	if (script_op(&x->script, op) < 0)
		fsx_fail(x, x->script.problem);
	else
		judge(x, takeover || x->totals.ops % LOOK_AT_ALL == 0);
	if (x->result == 0 && x->totals.ops % x->conf.fsck == 0) {
		x->totals.checks++;
		if (x->check(x) < 0)
			fsx_fail(x, "fsck");
	}
	if (x->conf.progress != NULL && x->totals.ops % PROGRESS == 0) {
		fprintf(x->conf.progress, "seed %" PRIu64 ": %" PRIu64
		    " operations, %" PRIu64 " take-overs\n", x->conf.seed,
		    x->totals.ops, x->totals.takeovers);
		fflush(x->conf.progress);
	}
}

void
fsx_play(struct fsx *x)
{
	struct script *s = &x->script;

	if (script_start(s) < 0)
		fsx_fail(x, s->problem);
	else
		judge(x, true);
	/* From now on only the promise remembers. */
	s->lun.events = NULL;
	s->full = s->variant.tight;
	s->variant.tight = true;
	while (x->result == 0 && x->totals.ops < x->conf.ops)
		one(x);
	if (x->result == 0 && x->check(x) < 0)
		fsx_fail(x, "fsck at the end");
	if (x->end(x) < 0)
		fsx_fail(x, "the unmount at the end");
}

/* ---- one host ---- */

static int
box_check(struct fsx *x)
{
	struct script *s = &x->script;
	char what[400];
	int r = script_close_disk(s), e = box_unmount(&s->box);

	if (r == 0 && e == 0)
		r = verify_unused(&s->box.env, s->box.disk, false, what,
		    sizeof(what));
	if (r == -EPROTO)
		fsx_fail(x, what);
	if (r == 0 && e == 0)
		r = box_mount(&s->box, s->slot, ++s->incarnation[s->slot],
		    s->variant.discard);
	return r == 0 && e == 0 ? script_open_disk(s) : -EIO;
}

static int
box_end(struct fsx *x)
{
	if (x->script.box.locks != NULL)
		box_kill(&x->script.box);
	return 0;
}

static void
box_main(void *arg)
{
	fsx_play(arg);
}

static void
fsx_box(struct fsx *x)
{
	struct sim *sim = calloc(1, sizeof(*sim));

	if (sim == NULL)
		abort();
	x->check = box_check;
	x->end = box_end;
	sim_init(sim, x->conf.seed);
	if (sim_run(sim, UINT64_MAX / 2, box_main, x) != SIM_DONE)
		fsx_fail(x, "nothing goes on any more");
	sim_fini(sim);
	free(sim);
}

int
fsx_run(const struct fsx_conf *conf, struct fsx_totals *ret_totals,
    char *problem, size_t size)
{
	struct fsx *x = calloc(1, sizeof(*x));
	int r;

	if (x == NULL)
		return -ENOMEM;
	x->conf = *conf;
	prng_seed(&x->prng, conf->seed);
	script_init(&x->script, "fsx", conf->seed);
	if (conf->hosts == 1)
		fsx_box(x);
	else
		fsx_hosts(x);
	if (x->result < 0)
		(void)snprintf(problem, size, "%s\nreproduce: tests/crash/"
		    "vmfs-fsx --seed %" PRIu64 " --hosts %u --fsck %" PRIu64
		    " --ops %" PRIu64, x->problem, conf->seed, conf->hosts,
		    conf->fsck, x->totals.ops);
	*ret_totals = x->totals;
	r = x->result;
	promise_fini(&x->promise);
	script_fini(&x->script);
	free(x);
	return r;
}
