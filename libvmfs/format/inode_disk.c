/* SPDX-License-Identifier: BSD-2-Clause */
/* Bytes of inodes and snapshot tables. */
#include <string.h>

#include "libvmfs/format/inode.h"
#include "libvmfs/format/mapnode.h"

#define FLAGS_KNOWN ((uint32_t)(INODE_INLINE | INODE_DELETING | \
	INODE_CLONE | INODE_MULTI_WRITER))

static bool
reserved_are_zero(const struct inode_disk *d)
{
	return d->reserved0 == 0 &&
	    bytes_are_zero(d->reserved1, sizeof(d->reserved1)) &&
	    bytes_are_zero(d->reserved2, sizeof(d->reserved2)) &&
	    le16_get(d->crypt.reserved) == 0 &&
	    le32_get(d->crypt.reserved1) == 0;
}

/* Only what can hold data, or leads to it, has to do with an account. */
static bool
policy_is_valid(const struct inode_info *i)
{
	const struct inode_policy *p = &i->policy;

	switch (i->type) {
	case INODE_QUOTA:
		return i->map.block == 0 && i->dir_root == 0;
	case INODE_DIR:
		return p->held <= 1 && p->credit == 0;
	case INODE_FILE:
	case INODE_DISK:
		return p->account != 0 || (p->held == 0 && p->credit == 0 &&
		    p->generation == 0);
	default:
		return p->account == 0 && p->held == 0 && p->credit == 0 &&
		    p->generation == 0;
	}
}

static bool
map_is_valid(const struct map_root *m)
{
	if (m->level > MAP_LEVEL_MAX || m->birth > EPOCH_MAX)
		return false;
	return m->block == 0 || m->level >= 1;
}

static bool
epochs_are_valid(const struct inode_info *i)
{
	return i->epoch <= EPOCH_MAX && i->snap_epoch <= EPOCH_MAX &&
	    i->fork_epoch <= EPOCH_MAX && i->origin_epoch <= EPOCH_MAX;
}

static bool
crypt_is_valid(const struct inode_info *i)
{
	const struct inode_crypt *c = &i->crypt;
	bool key = !bytes_are_zero(c->key_id, sizeof(c->key_id)) ||
	    !bytes_are_zero(c->wrapped, sizeof(c->wrapped));

	switch (c->cipher) {
	case CIPHER_NONE:
		return !key;
	case CIPHER_AES_256_XTS:
		return i->type == INODE_DISK ? key :
		    i->type == INODE_SNAPSHOT && !key;
	}
	return false;
}

static bool
limits_are_valid(const struct inode_info *i)
{
	const struct inode_limits *l = &i->limits;

	return i->type == INODE_DISK ||
	    (l->iops == 0 && l->kibps == 0 && l->shares == 0);
}

static void
load_crypt(const struct inode_crypt_disk *d, struct inode_crypt *c)
{
	c->cipher = (enum inode_cipher)le16_get(d->cipher);
	memcpy(c->key_id, d->key_id, sizeof(c->key_id));
	memcpy(c->wrapped, d->wrapped, sizeof(c->wrapped));
}

static void
store_crypt(struct inode_crypt_disk *d, const struct inode_crypt *c)
{
	d->cipher = le16((uint16_t)c->cipher);
	memcpy(d->key_id, c->key_id, sizeof(d->key_id));
	memcpy(d->wrapped, c->wrapped, sizeof(d->wrapped));
}

static int
inode_check(const struct inode_disk *d, const struct inode_info *i)
{
	if (le16_get(d->type) > INODE_QUOTA || i->mode > 07777 ||
	    (i->flags & ~FLAGS_KNOWN) != 0 || i->size > INT64_MAX ||
	    i->inline_size > INODE_INLINE_MAX || !map_is_valid(&i->map) ||
	    !epochs_are_valid(i) || !policy_is_valid(i) ||
	    !reserved_are_zero(d) || !crypt_is_valid(i) ||
	    !limits_are_valid(i))
		return -VMFS_ECORRUPT;
	if ((i->flags & INODE_INLINE) != 0 && i->map.block != 0)
		return -VMFS_ECORRUPT;
	if ((i->flags & INODE_MULTI_WRITER) != 0 && i->type != INODE_DISK)
		return -VMFS_ECORRUPT;
	return 0;
}

static void
load_tree(const struct inode_disk *d, struct inode_info *i)
{
	i->map.block = le48_get(d->map_block);
	i->map.level = d->map_level;
	i->map.birth = le32_get(d->map_birth);
	i->epoch = le32_get(d->epoch);
	i->snap_epoch = le32_get(d->snap_epoch);
	i->fork_epoch = le32_get(d->fork_epoch);
	i->origin_epoch = le32_get(d->origin_epoch);
	i->next_snapshot_id = le32_get(d->next_snapshot_id);
	i->snapshots = le32_get(d->snapshots);
	i->clones = le32_get(d->clones);
	i->snaptab = le64_get(d->snaptab);
	i->disk = le64_get(d->disk);
	i->base_snapshot = le64_get(d->base_snapshot);
	i->origin_disk = le64_get(d->origin_disk);
	i->origin_snapshot = le64_get(d->origin_snapshot);
}

int
inode_decode(const void *block, struct inode_info *ret_i)
{
	const struct inode_disk *d = block;
	struct inode_info i = {
		.generation = le32_get(d->generation),
		.type = (enum inode_type)le16_get(d->type),
		.mode = le16_get(d->mode),
		.uid = le32_get(d->uid),
		.gid = le32_get(d->gid),
		.nlink = le32_get(d->nlink),
		.flags = le32_get(d->flags),
		.size = le64_get(d->size),
		.chunks = le64_get(d->chunks),
		.atime_ns = le64_get(d->atime_ns),
		.mtime_ns = le64_get(d->mtime_ns),
		.ctime_ns = le64_get(d->ctime_ns),
		.btime_ns = le64_get(d->btime_ns),
		.parent = le64_get(d->parent),
		.dir_entries = le32_get(d->dir_entries),
		.dir_seed = le32_get(d->dir_seed),
		.dir_root = le64_get(d->dir_root),
		.inline_size = le16_get(d->inline_size),
		.xattr = le64_get(d->xattr),
		.policy = {
			.account = le64_get(d->policy.account),
			.held = le64_get(d->policy.held),
			.credit = le64_get(d->policy.credit),
			.generation = le64_get(d->policy.link),
		},
		.limits = {
			.iops = le32_get(d->limit_iops),
			.kibps = le32_get(d->limit_kibps),
			.shares = le32_get(d->shares),
		},
	};
	int r;

	load_tree(d, &i);
	load_crypt(&d->crypt, &i.crypt);
	r = inode_check(d, &i);
	if (r < 0)
		return r;
	*ret_i = i;
	return 0;
}

static void
store_tree(struct inode_disk *d, const struct inode_info *i)
{
	d->map_block = le48(i->map.block);
	d->map_level = (uint8_t)i->map.level;
	d->map_birth = le32(i->map.birth);
	d->epoch = le32(i->epoch);
	d->snap_epoch = le32(i->snap_epoch);
	d->fork_epoch = le32(i->fork_epoch);
	d->origin_epoch = le32(i->origin_epoch);
	d->next_snapshot_id = le32(i->next_snapshot_id);
	d->snapshots = le32(i->snapshots);
	d->clones = le32(i->clones);
	d->snaptab = le64(i->snaptab);
	d->disk = le64(i->disk);
	d->base_snapshot = le64(i->base_snapshot);
	d->origin_disk = le64(i->origin_disk);
	d->origin_snapshot = le64(i->origin_snapshot);
}

void
inode_encode(void *block, const struct inode_info *i)
{
	struct inode_disk *d = block;

	d->generation = le32(i->generation);
	d->type = le16((uint16_t)i->type);
	d->mode = le16(i->mode);
	d->uid = le32(i->uid);
	d->gid = le32(i->gid);
	d->nlink = le32(i->nlink);
	d->flags = le32(i->flags);
	d->size = le64(i->size);
	d->chunks = le64(i->chunks);
	d->atime_ns = le64(i->atime_ns);
	d->mtime_ns = le64(i->mtime_ns);
	d->ctime_ns = le64(i->ctime_ns);
	d->btime_ns = le64(i->btime_ns);
	d->parent = le64(i->parent);
	store_tree(d, i);
	store_crypt(&d->crypt, &i->crypt);
	d->limit_iops = le32(i->limits.iops);
	d->limit_kibps = le32(i->limits.kibps);
	d->shares = le32(i->limits.shares);
	d->dir_entries = le32(i->dir_entries);
	d->dir_seed = le32(i->dir_seed);
	d->dir_root = le64(i->dir_root);
	d->inline_size = le16((uint16_t)i->inline_size);
	d->xattr = le64(i->xattr);
	d->policy.account = le64(i->policy.account);
	d->policy.held = le64(i->policy.held);
	d->policy.credit = le64(i->policy.credit);
	d->policy.link = le64(i->policy.generation);
}

int
snaptab_entry_get(const struct snaptab_entry_disk *d,
    struct snaptab_entry *ret_e)
{
	struct snaptab_entry e = {
		.ino = le64_get(d->ino),
		.parent = le64_get(d->parent),
		.created_us = le64_get(d->created_us),
		.id = le32_get(d->id),
		.epoch = le32_get(d->epoch),
		.flags = le32_get(d->flags),
	};

	memcpy(e.name, d->name, sizeof(e.name));
	/* Also of an entry that is not used: the name is a string. */
	if (le32_get(d->reserved) != 0 || e.name[SNAPTAB_NAME_MAX] != '\0' ||
	    !bytes_are_zero(d->reserved1, sizeof(d->reserved1)))
		return -VMFS_ECORRUPT;
	if (e.ino != 0 && (e.id == 0 || e.epoch > EPOCH_MAX ||
	    e.name[0] == '\0'))
		return -VMFS_ECORRUPT;
	*ret_e = e;
	return 0;
}

void
snaptab_entry_put(struct snaptab_entry_disk *d, const struct snaptab_entry *e)
{
	memset(d, 0, sizeof(*d));
	d->ino = le64(e->ino);
	d->parent = le64(e->parent);
	d->id = le32(e->id);
	d->epoch = le32(e->epoch);
	d->created_us = le64(e->created_us);
	d->flags = le32(e->flags);
	memcpy(d->name, e->name, strnlen(e->name, SNAPTAB_NAME_MAX));
}
