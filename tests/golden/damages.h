/* SPDX-License-Identifier: BSD-2-Clause */
/* What tests/golden does to a datastore, one damage each. */
#ifndef TESTS_GOLDEN_DAMAGES_H
#define TESTS_GOLDEN_DAMAGES_H

#include "tests/golden/volume.h"

struct damage {
	const char *name;
	void (*apply)(struct volume *v, struct disk *d);
	unsigned harmed;	/* VOL_*: what cannot come back whole */
	unsigned unknown;	/* has content of another, by the damage itself;
				 * for good when it is not in `harmed` */
};

/* Each structure of doc/FORMAT.md in each way that it can be wrong; the last
 * one of a table has no name. */
extern const struct damage damages_space[], damages_tree[], damages_map[],
    damages_quota[];

#endif
