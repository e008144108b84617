/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The data of encrypted disks: each block of the disk is a unit of AES-256-XTS
 * under its number, wherever it lies.  So what snapshots, clones and moves do
 * with chunks needs no key.  Encrypted are blocks that hold something: a hole
 * is seen to be one.
 */
#include <stdlib.h>

#include "libvmfs/core/fs_impl.h"

struct cipher {
	uint32_t generation;		/* of the inode */
	struct xts *in, *out;		/* to the LUN, from it */
};

static int
key_of(struct fs *fs, const struct inode_crypt *c,
    uint8_t ret_data_key[DATA_KEY_SIZE])
{
	struct wrapping_key k;
	int r;

	if (fs->keys.find == NULL)
		return -ENOKEY;
	r = fs->keys.find(fs->keys.arg, c->key_id, &k);
	if (r == 0)
		r = data_key_unwrap(&k, c->wrapped, ret_data_key);
	explicit_bzero(&k, sizeof(k));
	return r;
}

static void
cipher_free(struct cipher *c)
{
	if (c == NULL)
		return;
	xts_free(c->in);
	xts_free(c->out);
	free(c);
}

static int
cipher_new(const uint8_t data_key[DATA_KEY_SIZE], struct cipher **ret_c)
{
	struct cipher *c = calloc(1, sizeof(*c));
	uint8_t key[XTS_KEY_SIZE];
	int r;

	if (c == NULL)
		return -ENOMEM;
	r = data_key_xts(data_key, key);
	if (r == 0)
		r = xts_new(key, true, &c->in);
	if (r == 0)
		r = xts_new(key, false, &c->out);
	explicit_bzero(key, sizeof(key));
	if (r != 0) {
		cipher_free(c);
		return r;
	}
	*ret_c = c;
	return 0;
}

/* Of a snapshot it is its disk's. */
static int
crypt_of(struct fs *fs, const struct inode_info *info,
    struct inode_crypt *ret_c)
{
	struct inode *ip;
	struct inode_info disk;
	int r;

	if (info->type != INODE_SNAPSHOT) {
		*ret_c = info->crypt;
		return 0;
	}
	r = inode_ref(fs, info->disk, &ip);
	if (r != 0)
		return r;
	r = inode_peek(ip, &disk);
	inode_unref(ip);
	if (r == 0 && disk.crypt.cipher != info->crypt.cipher)
		r = -VMFS_ECORRUPT;
	if (r == 0)
		*ret_c = disk.crypt;
	return r;
}

int
cipher_open(struct inode *ip, const struct inode_info *info)
{
	uint8_t data_key[DATA_KEY_SIZE];
	struct cipher *c = NULL;
	struct inode_crypt crypt;
	int r;

	/* Another host may have given the number to another disk. */
	if (ip->cipher != NULL && ip->cipher->generation != info->generation) {
		if (ip->opens > 0)
			return -EBUSY;
		cipher_close(ip);
	}
	if (!is_encrypted(info) || ip->cipher != NULL)
		return 0;
	r = crypt_of(ip->fs, info, &crypt);
	if (r == 0)
		r = key_of(ip->fs, &crypt, data_key);
	if (r == 0)
		r = cipher_new(data_key, &c);
	explicit_bzero(data_key, sizeof(data_key));
	if (r != 0)
		return r;
	/* Another open may have been faster. */
	if (ip->cipher != NULL) {
		cipher_free(c);
		return ip->cipher->generation == info->generation ? 0 : -EBUSY;
	}
	c->generation = info->generation;
	ip->cipher = c;
	return 0;
}

void
cipher_close(struct inode *ip)
{
	cipher_free(ip->cipher);
	ip->cipher = NULL;
}

bool
cipher_fits(const struct inode *ip)
{
	const struct cipher *c = ip->cipher;

	return is_encrypted(&ip->info) ? c != NULL &&
	    c->generation == ip->info.generation : c == NULL;
}

static int
turn(struct xts *x, uint64_t off, const uint8_t *src, uint8_t *dst, size_t len)
{
	int r = 0;

	for (size_t i = 0; i < len && r == 0; i += BLOCK_SIZE)
		r = xts_turn(x, (off + i) / BLOCK_SIZE, src + i, dst + i,
		    BLOCK_SIZE);
	return r;
}

int
cipher_encrypt(struct inode *ip, uint64_t off, const void *src, void *dst,
    size_t len)
{
	return ip->cipher == NULL ? -ENOKEY :
	    turn(ip->cipher->in, off, src, dst, len);
}

int
cipher_decrypt(struct inode *ip, uint64_t off, const void *src, void *dst,
    size_t len)
{
	return ip->cipher == NULL ? -ENOKEY :
	    turn(ip->cipher->out, off, src, dst, len);
}

int
cipher_inherit(struct inode *sp, struct inode_crypt *ret_c)
{
	return crypt_of(sp->fs, &sp->info, ret_c);
}

void
fs_set_keys(struct fs *fs, const struct fs_keys *keys)
{
	fs->keys = *keys;
}

/* ---- changes ---- */

static int
crypt_store(struct inode *ip, const struct inode_crypt *c)
{
	struct inode_crypt old = ip->info.crypt;
	struct txn *t;
	int r;

	r = txn_begin(ip->fs->ds, 1, &t);
	if (r != 0)
		return r;
	ip->info.crypt = *c;
	ip->info.ctime_ns = fs_now_ns(ip->fs);
	r = inode_store(t, ip);
	if (r != 0)
		ip->info.crypt = old;
	txn_end(t);
	return r;
}

static int
crypt_wrap(const struct wrapping_key *k, const uint8_t data_key[DATA_KEY_SIZE],
    struct inode_crypt *ret_c)
{
	*ret_c = (struct inode_crypt){ .cipher = CIPHER_AES_256_XTS };
	memcpy(ret_c->key_id, k->id, sizeof(ret_c->key_id));
	return data_key_wrap(k, data_key, ret_c->wrapped);
}

/* For a disk that gets a key: see opens_bar. */
static int
clear_bar(struct inode *ip)
{
	const struct inode_info *i = &ip->info;

	if (i->type != INODE_DISK)
		return -EINVAL;
	if (is_encrypted(i))
		return -EEXIST;
	return i->flags & INODE_MULTI_WRITER ? -EBUSY : opens_bar(ip);
}

static int
encrypt_barred(struct inode *ip, const struct wrapping_key *k)
{
	struct env *env = ds_env(ip->fs->ds);
	uint8_t data_key[DATA_KEY_SIZE];
	struct inode_crypt c;
	int r;

	/* A clone without content may be a copy that has begun with a hole. */
	if (ip->info.map.block != 0 || ip->info.snapshots > 0 ||
	    ip->info.origin_snapshot != 0)
		return -ENOTEMPTY;
	env->random(env, data_key, sizeof(data_key));
	r = crypt_wrap(k, data_key, &c);
	explicit_bzero(data_key, sizeof(data_key));
	return r != 0 ? r : crypt_store(ip, &c);
}

int
fs_encrypt(struct fs *fs, uint64_t ino, const struct wrapping_key *k,
    struct lock_holder *ret_holder)
{
	struct inode *ip;
	int r;

	r = fs_need_feature(fs, FEATURE_INCOMPAT_CRYPT, 0);
	if (r == 0)
		r = inode_take(fs, ino, LOCK_EXCLUSIVE, false, &ip,
		    ret_holder);
	if (r != 0)
		return r;
	content_lock(ip);
	r = clear_bar(ip);
	if (r == 0) {
		r = encrypt_barred(ip, k);
		opens_unbar(ip);
	}
	fast_forget(ip);
	content_unlock(ip);
	return inode_give(ip, LOCK_EXCLUSIVE, r);
}

int
fs_rekey(struct fs *fs, uint64_t ino, const struct wrapping_key *k,
    struct lock_holder *ret_holder)
{
	uint8_t data_key[DATA_KEY_SIZE];
	struct inode_crypt c;
	struct inode *ip;
	int r;

	r = fs_writable(fs);
	if (r == 0)
		r = inode_take(fs, ino, LOCK_EXCLUSIVE, false, &ip,
		    ret_holder);
	if (r != 0)
		return r;
	snaps_lock(ip);
	r = ip->info.type == INODE_DISK && is_encrypted(&ip->info) ?
	    key_of(fs, &ip->info.crypt, data_key) : -EINVAL;
	if (r == 0)
		r = crypt_wrap(k, data_key, &c);
	explicit_bzero(data_key, sizeof(data_key));
	if (r == 0)
		r = crypt_store(ip, &c);
	snaps_unlock(ip);
	return inode_give(ip, LOCK_EXCLUSIVE, r);
}

int
fs_key_copy(struct fs *fs, uint64_t ino, struct inode_crypt *ret_c)
{
	struct inode_info info;
	struct inode *ip;
	int r = inode_ref(fs, ino, &ip);

	if (r != 0)
		return r;
	r = inode_peek(ip, &info);
	inode_unref(ip);
	if (r == 0)
		*ret_c = info.crypt;
	return r;
}

static int
restore_barred(struct inode *ip, const struct inode_crypt *c)
{
	uint8_t data_key[DATA_KEY_SIZE];
	int r = key_of(ip->fs, c, data_key);

	explicit_bzero(data_key, sizeof(data_key));
	return r != 0 ? r : crypt_store(ip, c);
}

int
fs_key_restore(struct fs *fs, uint64_t ino, const struct inode_crypt *c,
    struct lock_holder *ret_holder)
{
	struct inode *ip;
	int r;

	if (c->cipher != CIPHER_AES_256_XTS)
		return -EINVAL;
	r = fs_need_feature(fs, FEATURE_INCOMPAT_CRYPT, 0);
	if (r == 0)
		r = inode_take(fs, ino, LOCK_EXCLUSIVE, false, &ip,
		    ret_holder);
	if (r != 0)
		return r;
	content_lock(ip);
	r = clear_bar(ip);
	if (r == 0) {
		r = restore_barred(ip, c);
		opens_unbar(ip);
	}
	fast_forget(ip);
	content_unlock(ip);
	return inode_give(ip, LOCK_EXCLUSIVE, r);
}
