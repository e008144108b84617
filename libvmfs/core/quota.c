/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Quotas where space is taken and given back.  A file takes credit from the
 * account of its directory, in pieces, and then writes without looking at it:
 * both change in one transaction, under the locks of both, so that after a
 * crash anywhere the account's `used` is the credit of all its files.  What a
 * file holds never exceeds its credit.
 *
 * The lock of an account is the last that is waited for: whoever has it waits
 * for no other, and no transaction is open meanwhile.
 */
#include <stdlib.h>

#include "libvmfs/base/units.h"
#include "libvmfs/core/fs_impl.h"

#define PIECE_MAX 1024u		/* chunks: 64 MiB */
#define PIECE_OF_FILE 8u	/* a file takes so much of what it holds ... */
#define PIECE_OF_LEFT 32u	/* ... and of what the account has left */
#define IDLE_FILES 16u		/* of this host that are asked for theirs */

#define RESERVED_LIFE_NS (2 * NSEC_PER_SEC)
#define NEAR (64 * MIB)		/* to what is reserved: look closely */

/* Credit that nothing needs: what the holders of promises may still take is
 * not among it. */
static uint64_t
idle(const struct inode *ip)
{
	const struct inode_policy *p = &ip->info.policy;
	uint64_t spoken = p->held + ip->promised;

	return p->credit > spoken ? p->credit - spoken : 0;
}

static void
forget(struct inode *ip)
{
	ip->info.policy = (struct inode_policy){ 0 };
	ip->times_dirty = true;
}

static bool
is_account(const struct inode_info *i, const struct inode_policy *p)
{
	return i->type == INODE_QUOTA && i->generation == p->generation &&
	    (i->flags & INODE_DELETING) == 0;
}

/* The account of ip->info.policy, held exclusively.  -ESTALE: it is no more. */
static int
quota_account_take(struct inode *ip, struct inode **ret_ap)
{
	const struct inode_policy p = ip->info.policy;
	struct inode_info i;
	struct inode *ap;
	int r;

	/* Its block may be anything by now: no lock before a look. */
	r = inode_glance(ip->fs, p.account, &i);
	if (r == 0 && !is_account(&i, &p))
		r = -ESTALE;
	if (r == 0)
		r = inode_take(ip->fs, p.account, LOCK_EXCLUSIVE, true, &ap,
		    NULL);
	if (r != 0)
		return r == -VMFS_ECORRUPT ? -ESTALE : r;
	if (!is_account(&ap->info, &p))
		return inode_give(ap, LOCK_EXCLUSIVE, -ESTALE);
	*ret_ap = ap;
	return 0;
}

/* The end of a transaction that moved credit between two inodes. */
static int
pair_store(struct txn *t, struct inode *a, struct inode *b)
{
	int r = inode_store(t, a), e = inode_store(t, b);

	txn_end(t);
	return r != 0 ? r : e;
}

/* How much to take at once, of at least `want`. */
static uint64_t
piece(const struct inode *ip, uint64_t want, uint64_t left)
{
	uint64_t n = ip->info.policy.held / PIECE_OF_FILE;

	if (n > PIECE_MAX)
		n = PIECE_MAX;
	if (n > left / PIECE_OF_LEFT)
		n = left / PIECE_OF_LEFT;
	if (n < want)
		n = want;
	return n < left ? n : left;
}

/* Perhaps less, when the account has no more. */
static int
credit_from_account(struct inode *ip, uint64_t want)
{
	struct inode_policy *p;
	struct inode *ap;
	uint64_t n, left = UINT64_MAX;
	struct txn *t;
	int r;

	r = quota_account_take(ip, &ap);
	if (r != 0)
		return r;
	p = &ap->info.policy;
	if (p->limit != 0)
		left = p->used < p->limit ? p->limit - p->used : 0;
	n = piece(ip, want, left);
	if (n > 0)
		r = txn_begin(ip->fs->ds, 2, &t);
	if (n > 0 && r == 0) {
		p->used += n;
		ip->info.policy.credit += n;
		r = pair_store(t, ap, ip);
	}
	return inode_give(ap, LOCK_EXCLUSIVE, r);
}

/* What another file of this host has and does not need. */
static int
credit_from_file(struct inode *ip, uint64_t ino, uint64_t want)
{
	struct inode *o;
	struct txn *t;
	uint64_t n;
	int r;

	r = inode_take(ip->fs, ino, LOCK_EXCLUSIVE, false, &o, NULL);
	if (r != 0)
		return r == -VMFS_EFENCED ? r : 0;
	r = txn_begin(ip->fs->ds, 2, &t);
	if (r == 0) {
		n = idle(o) < want ? idle(o) : want;
		if (o->info.policy.account != ip->info.policy.account)
			n = 0;
		o->info.policy.credit -= n;
		ip->info.policy.credit += n;
		r = pair_store(t, o, ip);
	}
	return inode_give(o, LOCK_EXCLUSIVE, r);
}

static int
credit_from_files(struct inode *ip, uint64_t want)
{
	uint64_t ino[IDLE_FILES];
	unsigned n = 0;
	int r = 0;

	list_for_each(node, tmp, &ip->fs->inodes) {
		struct inode *o = list_entry(node, struct inode, node);

		if (n < IDLE_FILES && o != ip && o->ex > 0 && idle(o) > 0 &&
		    o->info.policy.account == ip->info.policy.account &&
		    (o->info.type == INODE_FILE || o->info.type == INODE_DISK))
			ino[n++] = o->ino;
	}
	for (unsigned i = 0; i < n && r == 0 && idle(ip) < want; i++)
		r = credit_from_file(ip, ino[i], want - idle(ip));
	return r;
}

static int
refuse(struct inode *ip)
{
	struct log *log = ds_env(ip->fs->ds)->log;

	if (!ip->over_quota)
		log_info(log, "core: no space left in the quota of its "
		    "directory inode=%llu account=%llu",
		    (unsigned long long)ip->ino,
		    (unsigned long long)ip->info.policy.account);
	ip->over_quota = true;
	/* A hypervisor stops its guest for ENOSPC alone. */
	return ip->info.type == INODE_DISK ? -ENOSPC : -EDQUOT;
}

static int
get_locked(struct inode *ip, uint64_t need, uint64_t want,
    struct quota_use *ret_u)
{
	int r = 0;

	if (idle(ip) < want)
		r = credit_from_account(ip, want - idle(ip));
	if (r == -ESTALE) {
		forget(ip);
		*ret_u = (struct quota_use){ .n = want };
		return 0;
	}
	/* Its lock could not be had: what there is may do. */
	if (r == -VMFS_ELOCKED)
		r = 0;
	if (r == 0 && idle(ip) < need)
		r = credit_from_files(ip, need);
	if (r == 0 && idle(ip) < need)
		r = refuse(ip);
	if (r != 0)
		return r;
	ip->over_quota = false;
	ret_u->n = idle(ip) < want ? idle(ip) : want;
	ret_u->promised = ret_u->n;
	ip->promised += ret_u->n;
	return 0;
}

/* ---- what is reserved for others ---- */

static bool
reserved_add(void *arg, const struct fs_quota *q)
{
	struct fs *fs = arg;
	struct reserved *grown;
	uint64_t bytes = q->reserve > q->used ? q->reserve - q->used : 0;

	if (bytes == 0)
		return true;
	grown = reallocarray(fs->reserved, fs->n_reserved + 1, sizeof(*grown));
	if (grown == NULL)
		return false;
	grown[fs->n_reserved++] = (struct reserved){ q->account, bytes };
	fs->reserved = grown;
	fs->reserved_sum += bytes;
	return true;
}

void
quota_reserved_forget(struct fs *fs)
{
	free(fs->reserved);
	fs->reserved = NULL;
	fs->n_reserved = 0;
	fs->reserved_sum = fs->reserved_until_ns = 0;
}

int
quota_reserved(struct fs *fs, uint64_t account, uint64_t *ret_bytes)
{
	uint64_t now = env_now(ds_env(fs->ds)), sum;
	int r = 0;

	if (now >= fs->reserved_until_ns) {
		quota_reserved_forget(fs);
		/* Others take this one for good meanwhile. */
		fs->reserved_until_ns = now + RESERVED_LIFE_NS;
		r = fs_quota_each(fs, reserved_add, fs);
		/* A damaged account is no reason to write nothing. */
		if (r == -VMFS_ECORRUPT || r == -ESTALE)
			r = 0;
	}
	sum = fs->reserved_sum;
	for (unsigned i = 0; i < fs->n_reserved; i++)
		if (fs->reserved[i].account == account)
			sum -= fs->reserved[i].bytes;
	*ret_bytes = sum;
	return r;
}

/* Does so much leave what others have reserved? */
static int
leave_reserved(struct inode *ip, uint64_t chunks)
{
	struct ds *ds = ip->fs->ds;
	struct ds_space s;
	uint64_t others;
	int r;

	r = quota_reserved(ip->fs, ip->info.policy.account, &others);
	if (r != 0 || others == 0)
		return r;
	others += chunks * CHUNK_SIZE;
	r = ds_space(ds, &s);
	if (r == 0 && s.free_bytes < others + NEAR)
		r = ds_space_now(ds, &s);
	return r != 0 ? r : s.free_bytes < others ? -ENOSPC : 0;
}

int
quota_get(struct inode *ip, uint64_t need, uint64_t want,
    struct quota_use *ret_u)
{
	int r;

	*ret_u = (struct quota_use){ .n = want };
	r = need > 0 ? leave_reserved(ip, need) : 0;
	if (r != 0 || ip->info.policy.account == 0)
		return r;
	fiber_mutex_lock(&ip->credit);
	r = get_locked(ip, need, want, ret_u);
	fiber_mutex_unlock(&ip->credit);
	return r;
}

void
quota_put(struct inode *ip, struct quota_use *u)
{
	ip->promised -= u->promised;
	u->promised = 0;
}

void
quota_took(struct inode *ip, uint64_t chunks)
{
	if (ip->info.policy.account != 0)
		ip->info.policy.held += chunks;
}

void
quota_freed(struct inode *ip, uint64_t chunks)
{
	struct inode_policy *p = &ip->info.policy;

	if (p->account != 0)
		p->held -= chunks < p->held ? chunks : p->held;
}

static int
settle_locked(struct inode *ip, uint64_t keep)
{
	struct inode_policy *p;
	struct inode *ap;
	struct txn *t;
	uint64_t n;
	int r;

	r = quota_account_take(ip, &ap);
	if (r == -ESTALE) {
		forget(ip);
		return 0;
	}
	if (r != 0)
		return r;
	p = &ap->info.policy;
	r = txn_begin(ip->fs->ds, 2, &t);
	if (r == 0) {
		n = idle(ip) > keep ? idle(ip) - keep : 0;
		ip->info.policy.credit -= n;
		p->used -= n < p->used ? n : p->used;
		r = pair_store(t, ap, ip);
	}
	return inode_give(ap, LOCK_EXCLUSIVE, r);
}

int
quota_settle(struct inode *ip, bool all)
{
	uint64_t keep = all ? 0 : PIECE_MAX;
	int r = 0;

	if (ip->info.policy.account == 0 || idle(ip) <= 2 * keep)
		return 0;
	fiber_mutex_lock(&ip->credit);
	if (idle(ip) > keep)
		r = settle_locked(ip, keep);
	fiber_mutex_unlock(&ip->credit);
	return r;
}

void
quota_inherit(const struct inode *dip, struct inode_info *info)
{
	const struct inode_policy *p = &dip->info.policy;

	if (p->account == 0 || dip->ino == fs_root(dip->fs))
		return;
	info->policy = (struct inode_policy){
		.account = p->account, .generation = p->generation,
	};
}
