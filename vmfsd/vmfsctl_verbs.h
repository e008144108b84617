/* SPDX-License-Identifier: BSD-2-Clause */
/* The commands of vmfsctl as a table. */
#ifndef VMFS_VMFSD_VMFSCTL_VERBS_H
#define VMFS_VMFSD_VMFSCTL_VERBS_H

#include "vmfsd/table.h"

#define VERB_KEYS_MAX 4

/* "NOUN.VERB" is the command of the control protocol; a verb may be "", or two
 * words, with a dot between them there. */
struct verb {
	const char *noun, *verb;
	const char *usage;		/* of its arguments */
	const char *help;
	/* Arguments in order; one that ends with "..." takes all the rest. */
	const char *keys[VERB_KEYS_MAX];
	int required;			/* how many of them */
	const char *body;		/* member of the result to show */
	const struct column *columns;	/* NULL: nothing to show */
};

/* Ends with a NULL noun. */
extern const struct verb verbs[];

#endif
