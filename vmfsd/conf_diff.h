/* SPDX-License-Identifier: BSD-2-Clause */
/* What has to be done to come from one configuration to another. */
#ifndef VMFS_VMFSD_CONF_DIFF_H
#define VMFS_VMFSD_CONF_DIFF_H

#include "vmfsd/conf.h"

#define CONF_CHANGE_TEXT 640

enum conf_change_kind {
	CHANGE_LUN_REMOVE,
	CHANGE_TARGET_REMOVE,
	CHANGE_PORTAL_REMOVE,
	CHANGE_PORTAL_ADD,
	CHANGE_PORTAL_SETTINGS,	/* limits, secrets of discovery */
	CHANGE_TARGET_ADD,
	CHANGE_LUN,		/* its source or options */
	CHANGE_LUN_ADD,
	CHANGE_LUN_SETTINGS,	/* options that need no new unit */
	CHANGE_ACCESS,		/* allow lines, secrets, redirect of a target */
	CHANGE_RESTART,		/* what only a restart changes */
	CHANGE_DATASTORE_ADD,	/* so is that; mount.vmfs does it meanwhile */
};

struct conf_change {
	enum conf_change_kind kind;
	char name[256];			/* of target or portal */
	unsigned lun;
	char text[CONF_CHANGE_TEXT];	/* for people */
	int result;			/* after conf_apply */
	char why[CONF_CHANGE_TEXT];	/* when it is negative */
};

struct conf_changes {
	struct conf_change *at;
	size_t count;
};

/*
 * From `now` to `next`, in the order of kinds above, which is one that can be
 * carried out.  -ENOMEM.
 */
int conf_diff(const struct conf *now, const struct conf *next,
    struct conf_changes *ret_c) MUST_CHECK;
/* Sections outside the target that differ; added behind the others. */
int conf_diff_restart(const struct conf *now, const struct conf *next,
    struct conf_changes *c) MUST_CHECK;
void conf_changes_fini(struct conf_changes *c);

struct conf_target *conf_find_target(struct conf *c, const char *iqn);
/* All options but the settings, which a unit can change. */
bool conf_same_options(const struct conf_lun *a, const struct conf_lun *b);
struct conf_lun *conf_find_lun(struct conf_target *t, unsigned number);

#endif
