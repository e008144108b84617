/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The LUN as it would be found if every host died at this moment, and perhaps
 * the LUN lost power, too: journals are replayed, nothing may be wrong (I5,
 * I6), and a second look finds nothing that the first one left.
 */
#include <stdlib.h>

#include "libvmfs/base/units.h"
#include "libvmfs/check/check.h"
#include "tests/sim/vsim.h"

struct image {
	struct vsim *v;
	struct sim sim;
	struct sim_lun lun;
	struct env env;
	unsigned round;
	unsigned leaks;
};

static void
finding(void *arg, const struct check_finding *f)
{
	struct image *im = arg;

	if (f->severity == CHECK_NOTE)
		return;
	/* Space that is lost until somebody runs fsck: counted, not failed. */
	if (f->severity == CHECK_HARMLESS) {
		log_info(im->v->w.env.log, "sim: look=%u rule=%s text=\"%s\"",
		    im->round, check_rule_name(f->rule), f->text);
		im->leaks++;
		return;
	}
	world_fail(&im->v->w, "I5: look %u at a crash image: %s: %s",
	    im->round, check_rule_name(f->rule), f->text);
}

static void
check_main(void *arg)
{
	struct image *im = arg;
	struct check_conf conf = {
		.env = &im->env, .repair = true, .own_slot = -1,
		.finding = finding, .arg = im,
	};
	struct check_result res;
	int rc = sim_disk_open(&im->lun, 0, &conf.disk);

	for (im->round = 1; rc == 0 && im->round <= 2; im->round++) {
		rc = check_run(&conf, &res);
		if (rc < 0)
			world_fail(&im->v->w, "I5: look %u at a crash image: "
			    "%s", im->round, vmfs_strerror(rc));
	}
	disk_close(conf.disk);
}

void
image_check(struct vsim *v, bool power_loss)
{
	struct image *im = calloc(1, sizeof(*im));

	if (im == NULL)
		abort();
	im->v = v;
	sim_init(&im->sim, v->conf.seed ^ v->w.sim.now_ns);
	sim_env_init(&im->sim, &im->env, NULL);
	if (sim_lun_init(&im->lun, &im->sim, v->w.lun.info.size_bytes,
	    v->w.lun.info.block_size, v->w.lun.info.caps) < 0)
		abort();
	sim_lun_copy(&v->w.lun, &im->lun, power_loss);
	if (sim_run(&im->sim, 3600 * NSEC_PER_SEC, check_main, im) !=
	    SIM_DONE)
		world_fail(&v->w, "I5: the check of a crash image hangs");
	sim_lun_fini(&im->lun);
	sim_fini(&im->sim);
	v->totals.leaky_images += im->leaks > 0;
	free(im);
	v->totals.images++;
}
