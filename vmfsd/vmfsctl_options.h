/* SPDX-License-Identifier: BSD-2-Clause */
/* vmfsctl: its options, and which commands take them. */
#ifndef VMFS_VMFSD_VMFSCTL_OPTIONS_H
#define VMFS_VMFSD_VMFSCTL_OPTIONS_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "vmfsd/vmfsctl_verbs.h"

struct settings {
	const char *control;
	unsigned table_flags;
	unsigned interval_s;
	unsigned rate_mib;	/* ds scrub, a second; 0: no limit */
	bool json, help, background;
	json_t *given;		/* options that the daemon takes */
	uint64_t used;		/* bit n: the n-th of the table was given */
	json_t *args;		/* and all that it gets */
};

/* Sets optind; ends the program at one that is wrong. */
void settings_parse(struct settings *s, int argc, char **argv);
/*
 * Ends the program when one was given that the command does not take: what
 * somebody thinks to be a dry run must not be one that does it.
 */
void settings_check(const struct settings *s, const struct verb *v);
/* Those of a command, or with NULL all. */
void options_print(FILE *out, const struct verb *v);

#endif
