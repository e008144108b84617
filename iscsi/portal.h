/* SPDX-License-Identifier: BSD-2-Clause */
/* Portals: where the server listens. */
#ifndef VMFS_ISCSI_PORTAL_H
#define VMFS_ISCSI_PORTAL_H

#include <stdbool.h>

#include "iscsi/server.h"

/* Their fibers end and unlink them soon; never suspends. */
void portals_close(struct iscsi_server *s);

/* Target portal groups that there are, as scsi_target_set_groups wants them,
 * and all targets told so.  The server's lock is held. */
uint32_t portal_groups(const struct iscsi_server *s);
void portal_groups_tell(struct iscsi_server *s);


/*
 * The address that an initiator which reached us at `local` is told of a
 * portal (RFC 7143 13.8): that of the portal; where that is every address of
 * the machine, the one it has reached, with the port of the portal.  False for
 * what it cannot reach: our loopback, from elsewhere.  ret_addr takes
 * NET_ADDR_TEXT bytes.
 */
bool portal_told(const char *portal, const char *local, char *ret_addr);

#endif
