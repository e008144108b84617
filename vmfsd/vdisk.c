/* SPDX-License-Identifier: BSD-2-Clause */
/* Descriptor and extent of a virtual disk, found and made together. */
#include <stdio.h>
#include <string.h>

#include "libvmfs/vmdk/descriptor.h"
#include "vmfsd/disk_key.h"

#define FLAT_SUFFIX "-flat.vmdk"
#define VMDK_SUFFIX ".vmdk"

static bool
ends_with(const char *name, const char *suffix)
{
	size_t len = strlen(name), tail = strlen(suffix);

	return len > tail && strcmp(name + len - tail, suffix) == 0;
}

bool
vdisk_is_flat(const char *name)
{
	return ends_with(name, FLAT_SUFFIX);
}

bool
vdisk_descriptor_name(const char *flat, char *buf, size_t size)
{
	int stem = (int)(strlen(flat) - strlen(FLAT_SUFFIX));

	if (!vdisk_is_flat(flat))
		return false;
	return snprintf(buf, size, "%.*s" VMDK_SUFFIX, stem, flat) < (int)size;
}

/* Names the other half too when it is there. */
static int
find_halves(struct fs *fs, const char *name, struct vdisk *v)
{
	struct fs_attr a;
	char other[256];
	int rc;

	if (vdisk_is_flat(name)) {
		if (vdisk_descriptor_name(name, other, sizeof(other)) &&
		    fs_lookup(fs, v->dir, other, &a) == 0)
			(void)snprintf(v->descriptor, sizeof(v->descriptor),
			    "%s", other);
	} else if (ends_with(name, VMDK_SUFFIX) &&
	    vmdk_flat_name(name, other, sizeof(other)) == 0) {
		rc = fs_lookup(fs, v->dir, other, &v->attr);
		if (rc == 0) {
			(void)snprintf(v->flat, sizeof(v->flat), "%s", other);
			(void)snprintf(v->descriptor, sizeof(v->descriptor),
			    "%s", name);
			return fs_lookup(fs, v->dir, name, &a) == 0 ? 0 :
			    -ENOENT;
		}
		if (rc != -ENOENT)
			return rc;
	}
	(void)snprintf(v->flat, sizeof(v->flat), "%s", name);
	return fs_lookup(fs, v->dir, name, &v->attr);
}

int
vdisk_find(struct fs_call *c, const char *path, struct vdisk *ret_v)
{
	struct vdisk v = { 0 };
	struct cmd_path p = { 0 };
	struct fs_attr dir;
	char text[4200];
	int rc;

	(void)snprintf(text, sizeof(text), "x:%s", path);
	rc = cmd_path_parse(text, false, &p, c->msg);
	if (rc == 0 && p.name[0] == '\0')
		return cmd_fail(c, -EINVAL, "which disk; expected %s:/PATH.vmdk",
		    c->d->name);
	if (rc == 0)
		rc = cmd_resolve(c, p.dir, &dir);
	if (rc < 0)
		return rc;
	v.dir = dir.ino;
	rc = find_halves(c->d->fs, p.name, &v);
	if (rc == -ENOENT && strchr(p.name, '@') != NULL)
		return cmd_fail(c, rc, "%s: no such disk; what comes behind "
		    "'@' is a snapshot, and this command is for whole disks",
		    path);
	if (rc < 0)
		return cmd_refuse(c, rc, path);
	if (v.attr.type != INODE_DISK && v.attr.type != INODE_FILE)
		return cmd_fail(c, -EINVAL, "%s is no disk", path);
	*ret_v = v;
	return 0;
}

int
vdisk_open(struct fs_call *c, const struct fs_attr *a, struct fs_file **ret_f)
{
	return fs_file_reopen(c->d->fs, a->ino, a->generation,
	    FS_READ | FS_WRITE, ret_f);
}

int
vdisk_make(struct fs_call *c, uint64_t dir, uint64_t size,
    const struct fs_attr *like, struct fs_file **ret_f)
{
	struct fs_attr a;
	struct fs_file *f;
	int rc = fs_create(c->d->fs, dir, NULL, INODE_DISK, like->mode,
	    like->uid, like->gid, size, &a), rc2;

	if (rc < 0)
		return rc;
	rc = disk_encrypt(c, a.ino);
	/* It goes when it is closed. */
	rc2 = vdisk_open(c, &a, &f);
	if (rc < 0 && rc2 == 0)
		(void)!fs_file_close(f);
	if (rc == 0 && rc2 == 0)
		*ret_f = f;
	return rc < 0 ? rc : rc2;
}

int
vdisk_show(struct fs_call *c, struct fs_file *f, uint64_t dir,
    const char *flat)
{
	int rc = fs_file_flush(f);

	if (rc == 0)
		rc = fs_file_link(f, dir, flat);
	if (rc == -EEXIST)
		return cmd_fail(c, rc, "%s has been made meanwhile", flat);
	return rc;
}

static int
fill_file(struct fs *fs, uint64_t ino, const char *text, size_t len)
{
	struct fs_file *f;
	int rc2, rc = fs_file_open(fs, ino, 0, FS_WRITE | FS_TRUNC, &f, NULL);

	if (rc < 0)
		return rc;
	rc = fs_file_write(f, 0, text, len);
	rc2 = fs_file_close(f);
	return rc < 0 ? rc : rc2;
}

/* ---- the copy of the key ---- */

static const char key_cipher[] = "aes-256-xts";

static void
put_hex(char *at, const uint8_t *p, size_t len)
{
	for (size_t i = 0; i < len; i++)
		(void)snprintf(at + 2 * i, 3, "%02x", p[i]);
}

static bool
take_hex(const char **at, uint8_t *p, size_t len)
{
	for (size_t i = 0; i < len; i++, *at += 2) {
		unsigned byte;
		int n = 0;

		if (sscanf(*at, "%2x%n", &byte, &n) != 1 || n != 2)
			return false;
		p[i] = (uint8_t)byte;
	}
	return true;
}

static void
key_text(const struct inode_crypt *k, char text[VMDK_KEY_SIZE])
{
	char id[2 * sizeof(k->key_id) + 1], wrapped[2 * sizeof(k->wrapped) + 1];

	put_hex(id, k->key_id, sizeof(k->key_id));
	put_hex(wrapped, k->wrapped, sizeof(k->wrapped));
	(void)snprintf(text, VMDK_KEY_SIZE, "%s:%s:%s", key_cipher, id,
	    wrapped);
}

static int
key_parse(const char *text, struct inode_crypt *ret_k)
{
	struct inode_crypt k = { .cipher = CIPHER_AES_256_XTS };
	const size_t len = strlen(key_cipher);

	if (strncmp(text, key_cipher, len) != 0 || text[len] != ':')
		return -EINVAL;
	text += len + 1;
	if (!take_hex(&text, k.key_id, sizeof(k.key_id)) || *text++ != ':' ||
	    !take_hex(&text, k.wrapped, sizeof(k.wrapped)) || *text != '\0')
		return -EINVAL;
	*ret_k = k;
	return 0;
}

/* ---- descriptors ---- */

int
vdisk_write_descriptor(struct fs_call *c, uint64_t dir, const char *name,
    uint64_t ino, const char *flat, uint64_t size, const struct fs_attr *like)
{
	struct vmdk_descriptor d = { .size_bytes = size };
	struct fs *fs = c->d->fs;
	struct inode_crypt key;
	struct fs_attr a;
	char text[2048];
	size_t len;
	int rc = fs_key_copy(fs, ino, &key);

	if (rc < 0)
		return rc;
	/* Any number but the one that means "no parent". */
	d.cid = (uint32_t)env_random_u64(&c->d->env) & 0x7fffffff;
	(void)snprintf(d.extent, sizeof(d.extent), "%s", flat);
	if (key.cipher != CIPHER_NONE)
		key_text(&key, d.key);
	rc = vmdk_descriptor_format(&d, text, sizeof(text), &len);
	if (rc == 0)
		rc = fs_create(fs, dir, name, INODE_FILE, like->mode, like->uid,
		    like->gid, 0, &a);
	if (rc < 0)
		return rc;
	rc = fill_file(fs, a.ino, text, len);
	if (rc < 0)
		(void)!fs_unlink(fs, dir, name, NULL);
	return rc;
}

static int
new_name(const struct vdisk *v, char name[256])
{
	return snprintf(name, 256, ".new-%s", v->descriptor) < 256 ? 0 :
	    -ENAMETOOLONG;
}

int
vdisk_new_descriptor(struct fs_call *c, const struct vdisk *v, uint64_t size)
{
	char name[256];
	int rc;

	if (v->descriptor[0] == '\0')
		return 0;
	rc = new_name(v, name);
	if (rc < 0)
		return rc;
	(void)!fs_unlink(c->d->fs, v->dir, name, NULL);
	return vdisk_write_descriptor(c, v->dir, name, v->attr.ino, v->flat,
	    size, &v->attr);
}

int
vdisk_use_descriptor(struct fs_call *c, const struct vdisk *v, int rc)
{
	struct fs *fs = c->d->fs;
	char name[256];

	if (v->descriptor[0] == '\0' || new_name(v, name) < 0)
		return rc;
	if (rc == 0)
		return fs_rename(fs, v->dir, name, v->dir, v->descriptor, 0,
		    &c->holder);
	(void)!fs_unlink(fs, v->dir, name, NULL);
	return rc;
}

int
vdisk_read_descriptor(struct fs_call *c, const struct vdisk *v,
    uint64_t *ret_size, struct inode_crypt *ret_key)
{
	struct vmdk_descriptor d;
	struct fs_file *f;
	struct fs_attr a;
	char text[4096];
	size_t n = 0;
	int rc2, rc;

	if (v->descriptor[0] == '\0')
		return -ENOENT;
	rc = fs_lookup(c->d->fs, v->dir, v->descriptor, &a);
	if (rc == 0)
		rc = fs_file_open(c->d->fs, a.ino, 0, FS_READ, &f, &c->holder);
	if (rc < 0)
		return rc;
	rc = fs_file_read(f, 0, text, sizeof(text), &n);
	rc2 = fs_file_close(f);
	if (rc == 0)
		rc = rc2;
	if (rc == 0)
		rc = vmdk_descriptor_parse(text, n, &d);
	*ret_key = (struct inode_crypt){ .cipher = CIPHER_NONE };
	if (rc == 0 && d.key[0] != '\0')
		rc = key_parse(d.key, ret_key);
	if (rc == 0)
		*ret_size = d.size_bytes;
	return rc;
}
