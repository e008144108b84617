/* SPDX-License-Identifier: BSD-2-Clause */
/* Sentences about LUNs that cannot be used. */
#include <stdio.h>
#include <string.h>

#include "libvmfs/base/lun_text.h"

char *
lun_text(const char *lun, char text[LUN_TEXT_SIZE])
{
	static const char scheme[] = "iscsi://";
	const char *at, *percent;

	(void)snprintf(text, LUN_TEXT_SIZE, "%s", lun);
	if (strncmp(lun, scheme, strlen(scheme)) != 0)
		return text;
	percent = strchr(lun, '%');
	/* A secret may have one, too. */
	at = percent != NULL ? strrchr(percent, '@') : NULL;
	if (at != NULL)
		(void)snprintf(text, LUN_TEXT_SIZE, "%.*s%s",
		    (int)(percent - lun), lun, at);
	return text;
}

struct advice {
	int error;
	const char *text;
};

static const struct advice open_advice[] = {
	{ -ENOENT, "there is no such file or device" },
	{ -ENODATA, "it is empty, or too small to be a LUN" },
	{ -EACCES, "permission denied; run as root" },
	{ -EPERM, "permission denied; run as root" },
	{ -EBUSY, "it is mounted or in use; unmount it and stop what uses it" },
	{ -VMFS_EINUSE,
	    "it is mounted or in use; unmount it and stop what uses it" },
	{ -ECONNREFUSED,
	    "nothing listens at that portal; is the target running?" },
	{ -ETIMEDOUT, "the portal does not answer; check network and address" },
	{ -EHOSTUNREACH, "the portal cannot be reached; check the network" },
	{ -VMFS_EAUTH, "the target refused the log-in; check the CHAP user and "
	    "secret" },
	{ -VMFS_EINITIATOR, "the target does not allow this initiator; check "
	    "the name it has there and here (by default "
	    "iqn.2026-11.io.vmfsd:HOSTNAME)" },
	{ -VMFS_ENOTARGET, "there is no such target at that portal, or not for "
	    "this initiator" },
	{ -ENXIO, "the target has no such LUN for this initiator" },
	{ -EINVAL, "expected a path or "
	    "iscsi://[user[%secret]@]portal[:port][,portal...]/iqn/lun" },
	{ -EXDEV, "its portals show different LUNs; name only portals of one "
	    "target" },
	{ -ENOTUNIQ, "it has no serial number or name by which its paths could "
	    "be told from those of another LUN; use one portal" },
	{ -E2BIG, "it has more than 8 portals" },
	{ -EROFS, "it is read-only" },
	{ 0, NULL },
};

static const struct advice super_advice[] = {
	{ -VMFS_ENOTVMFS,
	    "it carries no datastore; mkfs.vmfs makes one" },
	{ -VMFS_ECORRUPT,
	    "every copy of its superblock is damaged; run fsck.vmfs" },
	{ -VMFS_EFURTHER, "it is a further LUN (extent) of a datastore; name "
	    "the datastore's first LUN" },
	{ -VMFS_EFEATURE, "the datastore uses features that this version does "
	    "not know; install a newer vmfsd on this host" },
	{ -ERANGE, "it is smaller than the datastore it carries; give the LUN "
	    "its old size back" },
	{ 0, NULL },
};

static char *
format(const struct advice *table, const char *what, const char *lun,
    int error, char *buf, size_t size)
{
	char name[LUN_TEXT_SIZE];

	while (table->text != NULL && table->error != error)
		table++;
	(void)snprintf(buf, size, "cannot %s '%s': %s", what,
	    lun_text(lun, name),
	    table->text != NULL ? table->text : vmfs_strerror(error));
	return buf;
}

char *
lun_open_text(const char *lun, int error, char *buf, size_t size)
{
	return format(open_advice, "open", lun, error, buf, size);
}

char *
lun_super_text(const char *lun, int error, char *buf, size_t size)
{
	return format(super_advice, "use", lun, error, buf, size);
}
