/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Options of a LUN that initiators can change, as the configuration has them:
 * access states of port groups, threshold of the pool.
 */
#ifndef VMFS_VMFSD_LUN_SETTINGS_H
#define VMFS_VMFSD_LUN_SETTINGS_H

#include "vmfsd/conf.h"

/* Number of an access state (SPC-4 table 307); negative: no such name. */
int lun_access_state(const char *name);
/* The reverse, of 0 to 3. */
const char *lun_access_name(unsigned state);
/*
 * Takes an option "group.N=STATE", "warn=PERCENT", "warn=off",
 * "warn-free=SIZE" or "pool=SIZE".  -ENOENT: it is none of these; -EINVAL with
 * what is expected in why.
 */
int lun_setting_parse(const char *option, struct conf_lun *l, char *why,
    size_t why_size) MUST_CHECK;
/*
 * The line of a LUN with these settings in place of what it says, to be freed
 * by the caller; what initiators have not changed stays as it stands.  -ENOMEM.
 */
int lun_settings_text(const struct conf_lun *l,
    const struct scsi_lu_settings *s, char **ret_text) MUST_CHECK;

#endif
