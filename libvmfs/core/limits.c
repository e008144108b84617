/* SPDX-License-Identifier: BSD-2-Clause */
/* Limits and counters of files, for those who set and show them. */
#include "libvmfs/core/fs_impl.h"

static bool
limits_possible(const struct inode_limits *l)
{
	return (l->iops == 0 || l->iops >= METER_IOPS_MIN) &&
	    (l->kibps == 0 || l->kibps >= METER_KIBPS_MIN) &&
	    l->shares <= METER_SHARES_MAX;
}

static int
limits_store(struct inode *ip, const struct inode_limits *l)
{
	struct inode_limits old = ip->info.limits;
	struct txn *t;
	int r;

	if (ip->info.type != INODE_DISK)
		return -EINVAL;
	r = txn_begin(ip->fs->ds, 1, &t);
	if (r != 0)
		return r;
	ip->info.limits = *l;
	r = inode_store(t, ip);
	if (r != 0)
		ip->info.limits = old;
	txn_end(t);
	if (r == 0 && ip->meter != NULL)
		meter_limit(ip->meter, l);
	return r;
}

int
fs_set_limits(struct fs *fs, uint64_t ino, const struct inode_limits *l,
    struct lock_holder *ret_holder)
{
	struct inode *ip;
	int r = limits_possible(l) ? fs_writable(fs) : -EINVAL;

	if (r == 0)
		r = fs_need_feature(fs, 0, FEATURE_RO_COMPAT_LIMITS);
	if (r == 0)
		r = inode_take(fs, ino, LOCK_EXCLUSIVE, false, &ip,
		    ret_holder);
	if (r != 0)
		return r;
	r = limits_store(ip, l);
	return inode_give(ip, LOCK_EXCLUSIVE, r);
}

void
fs_each_stats(struct fs *fs, bool (*fn)(void *arg, uint64_t ino,
    const struct io_stats *st, uint64_t age_ns), void *arg)
{
	struct io_stats st;

	list_for_each(n, tmp, &fs->inodes) {
		struct inode *ip = list_entry(n, struct inode, node);

		if (ip->opens == 0 || ip->meter == NULL)
			continue;
		meter_stats(ip->meter, &st);
		if (!fn(arg, ip->ino, &st,
		    meter_age_ns(ip->meter)))
			return;
	}
}
