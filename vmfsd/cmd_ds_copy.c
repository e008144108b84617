/* SPDX-License-Identifier: BSD-2-Clause */
/* The command that makes a copied LUN a datastore of its own. */
#include <stdio.h>
#include <string.h>

#include "libvmfs/base/lun_text.h"
#include "vmfsd/cmd.h"
#include "vmfsd/lun_copy.h"

/* The LUN of a datastore of ours when it is the name of one. */
static int
find_lun(struct daemon *dm, const char *name, char *lun, size_t size,
    char *msg)
{
	struct datastore *d;
	bool mounted;

	(void)snprintf(lun, size, "%s", name);
	if (datastore_get(&dm->datastores, name, false, &d) < 0)
		return 0;
	mounted = atomic_load(&d->state) != DATASTORE_UNMOUNTED;
	(void)snprintf(lun, size, "%s", d->lun);
	datastore_put(d);
	if (!mounted)
		return 0;
	(void)snprintf(msg, CTL_MESSAGE_SIZE, "datastore '%s' is mounted; "
	    "unmount it first, on all hosts", name);
	return -VMFS_EINUSE;
}

static json_t *
answer(const struct resign *r)
{
	char before[UUID_TEXT_SIZE], after[UUID_TEXT_SIZE];
	char lun[LUN_TEXT_SIZE];

	return json_pack("{s:{s:s, s:s, s:s, s:s, s:s, s:s}}", "volume",
	    "lun", lun_text(r->lun, lun),
	    "label", r->after.label, "label_before", r->before.label,
	    "uuid", uuid_text(super_uuid(&r->after), after),
	    "uuid_before", uuid_text(super_uuid(&r->before), before),
	    "lun_serial", r->after.lun_serial);
}

static int
cmd_ds_resignature(struct daemon *dm, json_t *args, json_t **ret_result,
    char *msg)
{
	char lun[4096], why[DATASTORE_WHY_SIZE];
	struct resign r = { .lun = lun };
	const char *name;
	int keep = 0, rc = cmd_string(args, "lun", &name, msg);

	(void)json_unpack(args, "{s?s, s?b}", "label", &r.label, "keep",
	    &keep);
	r.keep = keep != 0;
	if (rc == 0)
		rc = find_lun(dm, name, lun, sizeof(lun), msg);
	if (rc < 0)
		return rc;
	rc = lun_resign(&dm->datastores, &r, why);
	if (rc < 0) {
		(void)snprintf(msg, CTL_MESSAGE_SIZE, "%s", why);
		return rc;
	}
	log_info(dm->log, "datastore: lun=%s label=\"%s\" %s",
	    lun_text(lun, (char[LUN_TEXT_SIZE]){ 0 }), r.after.label, r.keep ?
	    "has moved" : "is a datastore of its own");
	*ret_result = answer(&r);
	return 0;
}

const struct command commands_ds_copy[] = {
	{ "ds.resignature", cmd_ds_resignature },
	{ NULL, NULL },
};
