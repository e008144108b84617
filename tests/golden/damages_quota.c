/* SPDX-License-Identifier: BSD-2-Clause */
/* Damage to accounts of quotas, and to what files say of them. */
#include <string.h>

#include "tests/golden/damage_util.h"

static void
change(struct volume *v, struct disk *d, uint64_t ino,
    void (*fn)(struct volume *v, struct inode_info *i))
{
	uint8_t buf[BLOCK_SIZE];
	struct inode_info i;

	dmg_info_get(v, d, ino, buf, &i);
	fn(v, &i);
	dmg_info_put(v, d, ino, buf, &i);
}

static void
quota_account_flipped(struct volume *v, struct disk *d)
{
	dmg_flip(d, v->account, 833);
}

static void
quota_account_lock_flipped(struct volume *v, struct disk *d)
{
	dmg_flip(d, v->account, 40);
}

/* The newest is first in the list: this one stands behind it. */
static void
quota_last_account_zeroed(struct volume *v, struct disk *d)
{
	dmg_zero(d, v->account2);
}

static void
uses_more(struct volume *v, struct inode_info *i)
{
	(void)v;
	i->policy.used += 7;
}

static void
quota_account_counts_wrong(struct volume *v, struct disk *d)
{
	change(v, d, v->account, uses_more);
}

static void
holds_more(struct volume *v, struct inode_info *i)
{
	(void)v;
	i->policy.held += 3;
}

static void
quota_file_counts_wrong(struct volume *v, struct disk *d)
{
	change(v, d, v->counted, holds_more);
}

static void
has_no_credit(struct volume *v, struct inode_info *i)
{
	(void)v;
	i->policy.credit = 1;
}

static void
quota_file_without_credit(struct volume *v, struct disk *d)
{
	change(v, d, v->counted, has_no_credit);
}

static void
is_of_another(struct volume *v, struct inode_info *i)
{
	(void)v;
	i->policy.generation++;
}

static void
quota_file_of_an_account_that_is_gone(struct volume *v, struct disk *d)
{
	change(v, d, v->counted, is_of_another);
}

static void
names_itself(struct volume *v, struct inode_info *i)
{
	i->policy.next = v->account;
}

static void
quota_list_is_a_circle(struct volume *v, struct disk *d)
{
	change(v, d, v->account, names_itself);
}

static void
names_none(struct volume *v, struct inode_info *i)
{
	(void)v;
	i->policy.next = 0;
}

static void
quota_list_is_lost(struct volume *v, struct disk *d)
{
	change(v, d, v->super.root_ino, names_none);
}

static void
names_a_file(struct volume *v, struct inode_info *i)
{
	i->policy.next = v->big;
}

static void
quota_list_names_a_file(struct volume *v, struct disk *d)
{
	change(v, d, v->super.root_ino, names_a_file);
}

static void
owns_it_no_more(struct volume *v, struct inode_info *i)
{
	(void)v;
	i->policy.held = 0;
}

static void
quota_of_no_directory(struct volume *v, struct disk *d)
{
	change(v, d, v->limited, owns_it_no_more);
}

const struct damage damages_quota[] = {
	D(quota_account_flipped, 0),
	D(quota_account_lock_flipped, 0),
	D(quota_last_account_zeroed, 0),
	D(quota_account_counts_wrong, 0),
	D(quota_file_counts_wrong, 0),
	D(quota_file_without_credit, 0),
	D(quota_file_of_an_account_that_is_gone, 0),
	D(quota_list_is_a_circle, 0),
	D(quota_list_is_lost, 0),
	D(quota_list_names_a_file, 0),
	D(quota_of_no_directory, 0),
	{ NULL, NULL, 0, 0 },
};
