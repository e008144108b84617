/* SPDX-License-Identifier: BSD-2-Clause */
/* iscsi:// URLs: what a LUN is called and how its target lets us in. */
#ifndef VMFS_ISCSI_DISK_LIBISCSI_URL_H
#define VMFS_ISCSI_DISK_LIBISCSI_URL_H

#include <stddef.h>
#include <stdint.h>

#include "libvmfs/base/err.h"

#define LURL_NAME_MAX 223	/* of a node name, RFC 7143 4.2.7.1 */
#define LURL_LUN_MAX 16383	/* flat space addressing, SAM-5 4.7.7.3 */

struct lurl {
	char user[256];			/* "" when no CHAP is wanted */
	char secret[256];
	char host[256];			/* name or address, no brackets */
	uint16_t port;
	char target[LURL_NAME_MAX + 1];
	int lun;
	char name[256];			/* the URL without its secret */
};

/*
 * iscsi://[user[%secret]@]host[:port]/iqn/lun.  %XX stands for a byte in every
 * part but the user, whose first '%' starts the secret.  A secret "@path" is
 * the first line of that file; without one the environment variable
 * LIBISCSI_CHAP_PASSWORD is taken.  -EINVAL: not such a URL, or a user without
 * any secret; the file's errno.
 */
int lurl_parse(const char *url, struct lurl *ret_url) MUST_CHECK;

#define LURL_PORTALS_MAX 8
/*
 * The same with several portals of one target, host[:port][,host[:port]]...:
 * an URL for each.  -E2BIG: more than `max`.  *ret_count is 1 or more.
 */
int lurl_parse_list(const char *url, struct lurl *ret_urls, unsigned max,
    unsigned *ret_count) MUST_CHECK;
/* Where the secret of such an URL stands, from its '%' on; NULL: it has none. */
const char *lurl_secret(const char *url, size_t *ret_len);
/* host:port or [v6]:port of one, for people. */
void lurl_portal(const struct lurl *u, char *buf, size_t size);

#endif
