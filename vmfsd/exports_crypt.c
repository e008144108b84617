/* SPDX-License-Identifier: BSD-2-Clause */
/* Units that are encrypted, and where their keys come from. */
#include <stdio.h>
#include <string.h>

#include "libvmfs/base/cleanup.h"
#include "libvmfs/base/lun_text.h"
#include "libvmfs/base/units.h"
#include "vmfsd/exports_impl.h"
#include "vmfsd/key_store.h"

/* What partition tables and file systems need to be one is in here. */
#define LOOK_BYTES MIB

/* 1: nothing has been written to the disk, as far as its beginning tells. */
static int
is_blank(struct disk *d)
{
	size_t len = d->info.size_bytes < LOOK_BYTES ?
	    (size_t)d->info.size_bytes : LOOK_BYTES;
	cleanup_free uint8_t *buf = disk_buf_alloc(len);
	int rc = buf != NULL ? disk_read(d, 0, buf, len) : -ENOMEM;

	if (rc < 0)
		return rc;
	return buf[0] == 0 && memcmp(buf, buf + 1, len - 1) == 0;
}

static int
unusable(struct exports *e, const struct export_lun *x, const char *source,
    int error)
{
	(void)snprintf(e->why, sizeof(e->why), "the key of '%s' in '%s' cannot "
	    "be used: %s; bring the file back from a backup", source,
	    x->key.path, vmfs_strerror(error));
	return error;
}

/*
 * The file of the key is called after the source: where that has another name
 * now, as a device can get by itself, the data is that of another key, and
 * what is written under a new one is lost with it.
 */
static int
first_key(struct exports *e, struct export_lun *x, const char *source,
    uint8_t *key)
{
	int rc = is_blank(x->disk);

	if (rc > 0) {
		rc = key_store_make(&x->key, &e->env, key);
		if (rc < 0)
			return unusable(e, x, source, rc);
		log_warn(e->log, "target: '%s' is encrypted under a new key, "
		    "'%s'; make a backup of that file", source, x->key.path);
		return 0;
	}
	if (rc < 0) {
		(void)snprintf(e->why, sizeof(e->why), "cannot read '%s' for "
		    "its first key: %s", source, vmfs_strerror(rc));
		return rc;
	}
	(void)snprintf(e->why, sizeof(e->why), "'%s' has data and no key: if "
	    "it was encrypted under another name, give '%s' the key-* file "
	    "that it had then, or one from a backup; to begin anew without the "
	    "data, write zeroes over its first MiB", source, x->key.path);
	return -ENOKEY;
}

int
export_encrypt(struct exports *e, struct export_lun *x)
{
	uint8_t key[DISK_CRYPT_KEY_SIZE];
	char text[LUN_TEXT_SIZE];
	const char *source = lun_text(x->conf->source, text);
	struct disk_crypt_conf conf = {
		.key = key, .save = key_store_save, .save_arg = &x->key,
	};
	int rc = key_store_open(&x->key, e->conf->host_dir, &x->uuid, key);

	if (rc == -ENOKEY)
		rc = first_key(e, x, source, key);
	else if (rc < 0)
		rc = unusable(e, x, source, rc);
	if (rc == 0) {
		rc = disk_crypt_open(&e->env, x->disk, &conf, &x->disk);
		if (rc < 0)
			rc = unusable(e, x, source, rc);
	}
	explicit_bzero(key, sizeof(key));
	return rc;
}
