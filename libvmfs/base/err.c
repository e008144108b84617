/* SPDX-License-Identifier: BSD-2-Clause */
/* Texts of the error codes. */
#include <string.h>

#include "libvmfs/base/err.h"

static const struct {
	int code;
	const char *text;
} vmfs_errors[] = {
	{ VMFS_ECORRUPT, "a block failed its checks" },
	{ VMFS_EFENCED, "this host was fenced and lost its right to write" },
	{ VMFS_ELOCKED, "locked by another live host" },
	{ VMFS_EMISCOMPARE, "compare-and-write found other bytes" },
	{ VMFS_ELIMIT, "a limit of the format is reached" },
	{ VMFS_ECONFLICT, "SCSI reservation conflict" },
	{ VMFS_EUNKNOWN, "outcome of the command is unknown" },
	{ VMFS_EATTENTION, "unit attention; the command was not executed" },
	{ VMFS_EFEATURE, "uses features this version does not know" },
	{ VMFS_ENOTVMFS, "no datastore here" },
	{ VMFS_EINUSE, "in use by a live host or another owner" },
	{ VMFS_EAUTH, "log-in refused: user or secret is wrong" },
	{ VMFS_EGONE, "the LUN is permanently gone" },
	{ VMFS_ESTALE_VOLUME, "replica: the same volume is on two LUNs" },
	{ VMFS_ECONFIG, "configuration line not understood" },
	{ VMFS_EPROTO, "the peer broke the protocol" },
	{ VMFS_EEXTENT, "it lies on a LUN (extent) of the datastore that is "
	    "missing" },
	{ VMFS_EFURTHER, "a further LUN (extent) of a datastore" },
	{ VMFS_EINITIATOR, "the target does not allow this initiator" },
	{ VMFS_ENOTARGET, "the portal has no such target" },
};

const char *
vmfs_strerror(int error)
{
	const char *text;

	/* Both signs are taken: callers also hold plain errno values. */
	if (error < -VMFS_ENOTARGET || error > VMFS_ENOTARGET)
		return "unknown error";
	if (error < 0)
		error = -error;
	if (error == 0)
		return "success";
	for (size_t i = 0; i < sizeof(vmfs_errors) / sizeof(*vmfs_errors); i++)
		if (vmfs_errors[i].code == error)
			return vmfs_errors[i].text;
	text = strerrordesc_np(error);
	return text != NULL ? text : "unknown error";
}
