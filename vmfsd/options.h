/* SPDX-License-Identifier: BSD-2-Clause */
/* The command line of vmfsd. */
#ifndef VMFS_VMFSD_OPTIONS_H
#define VMFS_VMFSD_OPTIONS_H

#include <stdbool.h>

#include "libvmfs/base/log.h"
#include "vmfsd/conf_kept.h"

struct options {
	const char *config;	/* NULL: the default file */
	const char *host, *dir, *initiator, *control;	/* over the file's */
	const char *pidfile, *log_file;
	enum log_level level;
	bool daemonize, check_config, exit_on_unmount, supervise;
};

/* Handles --help and --version too; exits on usage errors (status 2). */
void options_parse(struct options *o, int argc, char **argv);
/* The file it is read from. */
const char *options_config(const struct options *o);
/* Reads the configuration, that which is kept or else the file, and puts the
 * options over it; says what is wrong on stderr and returns -VMFS_ECONFIG. */
int options_load(const struct options *o, const struct conf_kept *kept,
    struct conf *ret_c) MUST_CHECK;

#endif
