/* SPDX-License-Identifier: BSD-2-Clause */
/* Reads a superblock on a reactor of its own. */
#include <string.h>

#include "iscsi/disk_libiscsi.h"
#include "libvmfs/core/ds.h"
#include "libvmfs/env/reactor.h"
#include "vmfsd/call.h"
#include "vmfsd/conf.h"
#include "vmfsd/lun_label.h"

struct look {
	struct env env;
	const char *lun, *initiator;
	struct super super;
};

static int
read_super(void *arg)
{
	struct look *l = arg;
	struct disk_libiscsi_conf conf = { .initiator = l->initiator };
	struct disk *d;
	int rc = lun_open(&l->env, l->lun, DISK_OPEN_READONLY, &conf, &d);

	if (rc < 0)
		return rc;
	rc = super_read(d, &l->super);
	disk_close(d);
	return rc;
}

int
lun_label(const char *lun, const char *initiator, struct log *log,
    char ret_label[SUPER_LABEL_MAX + 1])
{
	struct look l = { .lun = lun, .initiator = initiator };
	struct reactor *r;
	int rc = reactor_new("label", &r);

	if (rc < 0)
		return rc;
	rc = reactor_start(r);
	if (rc == 0) {
		env_posix_init(&l.env, reactor_sched(r), log);
		rc = call_on(l.env.sched, read_super, &l);
		reactor_stop(r);
		reactor_join(r);
	}
	reactor_free(r);
	if (rc == 0 && !conf_name_ok(l.super.label))
		rc = -ENOENT;
	if (rc == 0)
		memcpy(ret_label, l.super.label, sizeof(l.super.label));
	return rc;
}
