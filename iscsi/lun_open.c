/* SPDX-License-Identifier: BSD-2-Clause */
/* A LUN by whatever name the user gives it. */
#include <string.h>

#include "iscsi/disk_libiscsi.h"

int
lun_open(struct env *env, const char *name, unsigned disk_open_flags,
    const struct disk_libiscsi_conf *conf, struct disk **ret_d)
{
	struct disk *d;
	int rc;

	if (strncmp(name, "iscsi://", 8) != 0)
		return disk_file_open(name, disk_open_flags, ret_d);
	rc = disk_libiscsi_open(env, name, conf, &d);
	if (rc < 0)
		return rc;
	if ((disk_open_flags & DISK_OPEN_READONLY) != 0)
		d->info.caps |= DISK_CAP_READONLY;
	*ret_d = d;
	return 0;
}
