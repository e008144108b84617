/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Accounts of quotas.  What a file holds follows from its map, what an account
 * has given from its files: numbers are made anew.  Only the limit has no
 * second source: a quota whose account is damaged is gone, and it is said so.
 */
#include <stdlib.h>

#include "libvmfs/base/cleanup.h"
#include "libvmfs/check/check_priv.h"

static int
account_add(struct check *c, uint64_t ino, const struct inode_info *i)
{
	struct check_account *grown;

	if (c->accounts == c->accounts_max) {
		c->accounts_max = c->accounts_max == 0 ? 16 :
		    c->accounts_max * 2;
		grown = reallocarray(c->account, c->accounts_max,
		    sizeof(*grown));
		if (grown == NULL)
			return -ENOMEM;
		c->account = grown;
	}
	c->account[c->accounts++] = (struct check_account){
		.ino = ino, .generation = i->generation, .dir = i->parent,
		.used = i->policy.used,
	};
	return 0;
}

/* `before` names nothing, or another one, as the next account. */
static int
next_set(struct check *c, uint64_t before, uint64_t next, uint8_t *buf)
{
	struct inode_info i;
	int rc;

	if (!check_again(c))
		return 0;
	rc = check_block(c, before, BLOCK_INODE, buf);
	if (rc == 0)
		rc = inode_decode(buf, &i);
	if (rc != 0)
		return rc;
	i.policy.next = next;
	return check_inode_put(c, before, buf, &i);
}

static int
next_get(struct check *c, uint64_t ino, uint8_t *buf, struct inode_info *ret_i)
{
	int rc;

	if (ino == 0 || ino >= c->super.blocks)
		return -VMFS_ECORRUPT;
	rc = check_block(c, ino, BLOCK_INODE, buf);
	return rc != 0 ? rc : inode_decode(buf, ret_i);
}

int
check_accounts(struct check *c, uint8_t *buf)
{
	uint64_t before = c->super.root_ino, at;
	struct inode_info i;
	int rc;

	rc = next_get(c, before, buf, &i);
	if (rc != 0)
		return rc == -VMFS_ECORRUPT ? 0 : rc;
	for (at = i.policy.next; at != 0; at = i.policy.next) {
		rc = next_get(c, at, buf, &i);
		if (rc != 0 && rc != -VMFS_ECORRUPT)
			return rc;
		if (rc != 0 || i.type != INODE_QUOTA || check_mark_meta(c, at,
		    BLOCK_INODE, "the list of quotas") != MARK_NEW)
			break;
		rc = check_lock(c, at, buf, "a quota");
		if (rc == 0)
			rc = account_add(c, at, &i);
		if (rc != 0)
			return rc;
		before = at;
	}
	if (at == 0)
		return 0;
	check_report(c, CHECK_QUOTA, CHECK_DAMAGE, at, c->conf->repair,
	    "the list of quotas is broken at block %llu: a quota that is lost "
	    "has to be set again (vmfsctl quota set)",
	    (unsigned long long)at);
	return next_set(c, before, 0, buf);
}

int
check_account_lost(struct check *c, uint64_t ino, uint8_t *buf,
    struct inode_info *i)
{
	cleanup_free uint8_t *root = disk_buf_alloc(BLOCK_SIZE);
	struct inode_info r;
	int rc;

	if (root == NULL)
		return -ENOMEM;
	rc = next_get(c, c->super.root_ino, root, &r);
	if (rc != 0)
		return rc == -VMFS_ECORRUPT ? 0 : rc;
	check_report(c, CHECK_QUOTA, CHECK_HARMLESS, ino, c->conf->repair,
	    "the account of a quota (block %llu) is in no list",
	    (unsigned long long)ino);
	if (!c->conf->repair)
		return 0;
	i->policy.next = r.policy.next;
	rc = check_inode_put(c, ino, buf, i);
	return rc != 0 ? rc : next_set(c, c->super.root_ino, ino, root);
}

static struct check_account *
account_of(struct check *c, const struct inode_policy *p)
{
	for (size_t k = 0; k < c->accounts; k++)
		if (c->account[k].ino == p->account &&
		    c->account[k].generation == p->generation)
			return &c->account[k];
	return NULL;
}

static void
member_leaves(struct check *c, uint64_t ino, struct inode_info *i,
    bool *changed)
{
	check_report(c, CHECK_QUOTA, CHECK_HARMLESS, ino, c->conf->repair,
	    "inode %llu belongs to quota %llu, which is lost",
	    (unsigned long long)ino, (unsigned long long)i->policy.account);
	i->policy = (struct inode_policy){ 0 };
	*changed = true;
}

/* More credit than it needs is what a crash leaves. */
static void
member_counts(struct check *c, const struct check_ino *n, struct inode_info *i,
    bool *changed)
{
	struct inode_policy *p = &i->policy;

	if (p->held != n->held) {
		check_report(c, CHECK_QUOTA, CHECK_HARMLESS, n->ino,
		    c->conf->repair, "inode %llu counts %llu chunks in its "
		    "quota, holds %llu", (unsigned long long)n->ino,
		    (unsigned long long)p->held, (unsigned long long)n->held);
		p->held = n->held;
		*changed = true;
	}
	if (p->credit >= p->held)
		return;
	check_report(c, CHECK_QUOTA, CHECK_HARMLESS, n->ino, c->conf->repair,
	    "inode %llu has credit for %llu chunks, holds %llu",
	    (unsigned long long)n->ino, (unsigned long long)p->credit,
	    (unsigned long long)p->held);
	p->credit = p->held;
	*changed = true;
}

void
check_member(struct check *c, const struct check_ino *n, struct inode_info *i,
    bool *changed)
{
	struct check_account *a;

	if (i->policy.account == 0 || n->ino == c->super.root_ino)
		return;
	a = account_of(c, &i->policy);
	if (a == NULL) {
		member_leaves(c, n->ino, i, changed);
		return;
	}
	if (i->type != INODE_DIR) {
		member_counts(c, n, i, changed);
		a->sum += i->policy.credit;
	} else if (i->policy.held != 0) {
		a->claimed = true;
		a->dir = n->ino;
	}
}

/* Nobody could change it any more: it goes, and with it its members' marks. */
static int
account_drop(struct check *c, size_t k, uint8_t *buf)
{
	uint64_t before = k == 0 ? c->super.root_ino : c->account[k - 1].ino;
	struct inode_info i;
	int rc;

	check_report(c, CHECK_QUOTA, CHECK_HARMLESS, c->account[k].ino,
	    c->conf->repair, "quota %llu is of directory %llu, which does not "
	    "have it: it is removed", (unsigned long long)c->account[k].ino,
	    (unsigned long long)c->account[k].dir);
	if (!c->conf->repair)
		return 0;
	rc = next_get(c, c->account[k].ino, buf, &i);
	if (rc != 0)
		return rc;
	/* Else it would be put into the list again. */
	i.flags |= INODE_DELETING;
	i.nlink = 0;
	rc = check_inode_put(c, c->account[k].ino, buf, &i);
	return rc != 0 ? rc : next_set(c, before, i.policy.next, buf);
}

static int
account_count(struct check *c, const struct check_account *a, uint8_t *buf)
{
	struct inode_info i;
	int rc;

	rc = next_get(c, a->ino, buf, &i);
	if (rc != 0)
		return rc;
	if (i.parent == a->dir && a->used == a->sum)
		return 0;
	check_report(c, CHECK_QUOTA, CHECK_HARMLESS, a->ino, c->conf->repair,
	    "quota %llu of directory %llu counts %llu chunks of directory %llu,"
	    " its files have %llu", (unsigned long long)a->ino,
	    (unsigned long long)a->dir, (unsigned long long)a->used,
	    (unsigned long long)i.parent, (unsigned long long)a->sum);
	i.parent = a->dir;
	i.policy.used = a->sum;
	return c->conf->repair ? check_inode_put(c, a->ino, buf, &i) : 0;
}

int
check_account_sums(struct check *c, uint8_t *buf)
{
	int rc = 0;

	/* From the last: what is behind one that goes is right by then. */
	for (size_t k = c->accounts; k-- > 0 && rc == 0;)
		rc = c->account[k].claimed ?
		    account_count(c, &c->account[k], buf) :
		    account_drop(c, k, buf);
	return rc;
}
