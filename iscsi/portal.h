/* SPDX-License-Identifier: BSD-2-Clause */
/* Portals: where the server listens. */
#ifndef VMFS_ISCSI_PORTAL_H
#define VMFS_ISCSI_PORTAL_H

#include "iscsi/server.h"

/* Their fibers end and unlink them soon; never suspends. */
void portals_close(struct iscsi_server *s);

#endif
