/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * disk.recover: a disk whose inode was damaged, and that fsck.vmfs made anew
 * from its map, gets back what only its descriptor still tells.
 */
#include "vmfsd/attach.h"
#include "vmfsd/cmd_disk.h"
#include "vmfsd/keyring.h"

static int
give_key(struct fs_call *c, const struct vdisk *v, const struct inode_crypt *k)
{
	char id[KEY_ID_TEXT_SIZE];
	int rc = fs_key_restore(c->d->fs, v->attr.ino, k, &c->holder);

	switch (rc) {
	case -EBUSY:
		return cmd_fail(c, rc, "%s is open; what it holds cannot be "
		    "read without its key: close it first", c->path.path);
	case -ENOKEY:
		key_id_text(k->key_id, id);
		return cmd_fail(c, rc, "%s was encrypted, and its key %s is "
		    "not in %s/keys; put the key file there and try again",
		    c->path.path, id, c->d->all->dir);
	case -EKEYREJECTED:
		return cmd_fail(c, rc, "the copy of the key in %s is damaged",
		    v->descriptor);
	default:
		return rc < 0 ? cmd_refuse(c, rc, v->flat) : 0;
	}
}

/* Never smaller: what is mapped behind the end would be lost. */
static int
give_size(struct fs_call *c, const struct vdisk *v, uint64_t size)
{
	struct fs_file *f;
	int rc2, rc = fs_file_open(c->d->fs, v->attr.ino, 0,
	    FS_READ | FS_WRITE, &f, &c->holder);

	if (rc < 0)
		return cmd_refuse(c, rc, v->flat);
	rc = fs_file_truncate(f, size);
	rc2 = fs_file_close(f);
	if (rc == 0)
		rc = rc2;
	if (rc == 0)
		attach_resized(c->d, v->attr.ino);
	return rc;
}

static int
run_recover(struct fs_call *c)
{
	struct inode_crypt key;
	struct vdisk v;
	uint64_t size;
	bool keyless, shorter;
	int rc = vdisk_find(c, c->path.path, &v);

	if (rc == 0)
		rc = vdisk_read_descriptor(c, &v, &size, &key);
	if (rc == -ENOENT || rc == -EINVAL)
		return cmd_fail(c, rc, "%s has no descriptor that could be "
		    "read", c->path.path);
	if (rc < 0)
		return rc;
	keyless = key.cipher != CIPHER_NONE && !v.attr.encrypted;
	shorter = v.attr.size < size;
	if (keyless)
		rc = give_key(c, &v, &key);
	if (rc == 0 && shorter)
		rc = give_size(c, &v, size);
	if (rc == 0)
		rc = ds_commit(c->d->ds);
	if (rc == 0)
		c->result = json_pack("{s:{s:s, s:s, s:s, s:I}}", "recovered",
		    "disk", c->path.path, "key", keyless ? "restored" :
		    v.attr.encrypted ? "there" : "none", "length",
		    shorter ? "restored" : "there", "size", (json_int_t)
		    (shorter ? size : v.attr.size));
	return rc;
}

int
cmd_disk_recover(struct daemon *dm, json_t *args, json_t **ret_result,
    char *msg)
{
	return cmd_fs(dm, args, ret_result, msg, false, run_recover);
}
