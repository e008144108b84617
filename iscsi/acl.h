/* SPDX-License-Identifier: BSD-2-Clause */
/* Who may log in: initiator name patterns and CHAP secrets.  Default deny. */
#ifndef VMFS_ISCSI_ACL_H
#define VMFS_ISCSI_ACL_H

#include <stdbool.h>

#include "iscsi/login_fsm.h"
#include "libvmfs/base/err.h"
#include "libvmfs/base/list.h"

#define ACL_SECRET_MIN 12	/* RFC 7143 9.2.1: 96 bits */
#define ACL_SECRET_MAX 255

/* A name and secret of ours; NULL user: none. */
struct acl_chap {
	char *user, *secret;
};

struct iscsi_chap;
struct scsi_view;

/* One entry: initiators that match `pattern`, and their proofs. */
struct acl_entry {
	struct list node;
	char *pattern;
	struct acl_chap in, out;
	struct scsi_view *view;		/* NULL: all */
};

/* '*' stands for any characters; everything else for itself. */
bool acl_match(const char *pattern, const char *name);

/*
 * Copies in and out (either may be NULL, or have a NULL user).  -EINVAL for a
 * secret of a wrong length, out without in, or the same secret both ways
 * (RFC 7143 9.2.1); -ENOMEM.
 */
int acl_chap_set(struct acl_chap *in, struct acl_chap *out,
    const struct iscsi_chap *new_in, const struct iscsi_chap *new_out)
    MUST_CHECK;
void acl_chap_fini(struct acl_chap *c);

/* An exact pattern given again replaces its entry. */
int acl_add(struct list *acl, const char *pattern,
    const struct iscsi_chap *in, const struct iscsi_chap *out) MUST_CHECK;
/* What those of an entry see; copied, NULL: all.  -ENOENT, -ENOMEM. */
int acl_show(struct list *acl, const char *pattern,
    const struct scsi_view *view) MUST_CHECK;
void acl_swap(struct list *a, struct list *b);
/* First an exact match, then the first pattern; NULL: denied. */
const struct acl_entry *acl_find(const struct list *acl, const char *name);
void acl_fini(struct list *acl);

/* Secrets in the form the login takes. */
struct login_auth acl_auth(const struct acl_chap *in,
    const struct acl_chap *out);

#endif
