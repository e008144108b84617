/* SPDX-License-Identifier: BSD-2-Clause */
/* The target's parts, for those who change them while it runs. */
#ifndef VMFS_VMFSD_EXPORTS_IMPL_H
#define VMFS_VMFSD_EXPORTS_IMPL_H

#include "vmfsd/exports.h"

/*
 * All run on the target's reactor, suspend, and leave a sentence in e->why
 * when they fail, but for out of memory.
 */

/* Opens the source, unless another LUN has it, and shows it in the target. */
int export_map(struct exports *e, const struct conf_target *ct,
    const struct conf_lun *cl) MUST_CHECK;
/*
 * What the unit of a LUN is called, also when the secret of its source's URL is
 * another one now; which that takes is kept when it has been opened.
 */
int export_name(struct exports *e, const char *iqn, const struct conf_lun *cl,
    struct uuid *ret_u) MUST_CHECK;
void export_keep_name(struct exports *e, const char *iqn,
    const struct conf_lun *cl, const struct uuid *u);
/* For scsi_lu_conf. */
uint64_t export_cache_id(struct exports *e, const char *source);
/* Puts the unit's cipher on its disk. */
int export_encrypt(struct exports *e, struct export_lun *x) MUST_CHECK;
/* Settings of a LUN in place of those that its unit has. */
int export_set(struct exports *e, struct export_lun *x,
    const struct conf_lun *cl) MUST_CHECK;
/* Takes a LUN away; its source is closed with the last one.  -ENOENT. */
int export_unmap(struct exports *e, const char *iqn, unsigned number)
    MUST_CHECK;
/* Ends the sessions of a target and forgets it.  -ENOENT. */
int export_remove_target(struct exports *e, const struct conf_target *ct)
    MUST_CHECK;
/* Is a source tried again by time, or the datastore of a virtual disk not
 * mounted yet, but going to be? */
bool export_is_to_come(struct exports *e, const struct conf_lun *cl);
/* Initiators are told to try a LUN again that is not there; or that they need
 * not any more: then what a dead process had is forgotten. */
void export_await(struct exports *e, const char *iqn,
    const struct conf_lun *cl, bool awaited);
/* Adds an address, or closes the i-th. */
int export_listen(struct exports *e, const char *portal) MUST_CHECK;
int export_unlisten(struct exports *e, size_t i) MUST_CHECK;
/* All portals of the configuration; waits for a port that is in use. */
int export_listen_all(struct exports *e) MUST_CHECK;
/* Those that could not be had; how many still cannot. */
unsigned export_listen_again(struct exports *e);
/* CHAP for discovery as c has it. */
int export_discovery(struct exports *e, const struct conf *c) MUST_CHECK;
/* Who may log in to a target and what they see. */
int export_access(struct exports *e, const struct conf_target *ct) MUST_CHECK;
/* Reactors and server, when they are not there yet; any thread. */
int exports_run(struct exports *e) MUST_CHECK;

#endif
