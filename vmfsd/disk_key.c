/* SPDX-License-Identifier: BSD-2-Clause */
/* Commands on keys, and what others ask of them. */
#include "vmfsd/disk_key.h"

#include <string.h>

#include "libvmfs/base/cleanup.h"
#include "libvmfs/base/units.h"
#include "libvmfs/env/reactor.h"
#include "vmfsd/keyring.h"

/* A look at the directory, on a helper thread. */
struct look {
	const char *host_dir;
	const char *name;		/* NULL: by id */
	const uint8_t *id;
	struct wrapping_key *k;
	char found[256];
	char why[KEYRING_WHY_SIZE];
};

static int
look_call(void *arg)
{
	struct look *l = arg;

	if (l->name != NULL)
		return keyring_load(l->host_dir, l->name, l->k, l->why);
	return keyring_find(l->host_dir, l->id, l->k, l->found);
}

static int
find_key(void *arg, const uint8_t id[KEY_ID_SIZE], struct wrapping_key *ret_k)
{
	struct datastore *d = arg;
	struct look l = { .host_dir = d->all->dir, .id = id, .k = ret_k };

	return offload_call(look_call, &l);
}

void
disk_keys_attach(struct datastore *d)
{
	fs_set_keys(d->fs, &(struct fs_keys){ .find = find_key, .arg = d });
}

/* -ENOENT: args["key"] is not there. */
static int
wanted_key(struct fs_call *c, struct wrapping_key *ret_k)
{
	struct look l = {
		.host_dir = c->d->all->dir, .k = ret_k,
		.name = json_string_value(json_object_get(c->args, "key")),
	};
	int rc;

	if (l.name == NULL)
		return -ENOENT;
	rc = offload_call(look_call, &l);
	return rc < 0 ? cmd_fail(c, rc == -ENOENT ? -EINVAL : rc, "%s", l.why) :
	    0;
}

int
disk_encrypt(struct fs_call *c, uint64_t ino)
{
	struct wrapping_key k;
	const char *key = json_string_value(json_object_get(c->args, "key"));
	int rc = key != NULL && strcmp(key, "none") == 0 ? -ENOENT :
	    wanted_key(c, &k);

	if (rc < 0)
		return rc == -ENOENT ? 0 : rc;
	rc = fs_encrypt(c->d->fs, ino, &k, &c->holder);
	explicit_bzero(&k, sizeof(k));
	return rc;
}

void
disk_key_show(struct fs_call *c, const struct fs_attr *a, json_t *row)
{
	char id[KEY_ID_TEXT_SIZE];
	struct wrapping_key k;
	struct look l = {
		.host_dir = c->d->all->dir, .id = a->key_id, .k = &k,
	};
	int rc;

	(void)json_object_set_new(row, "encryption",
	    json_string(a->encrypted ? "aes-256-xts" : "none"));
	if (!a->encrypted)
		return;
	rc = offload_call(look_call, &l);
	explicit_bzero(&k, sizeof(k));
	key_id_text(a->key_id, id);
	(void)json_object_set_new(row, "key_id", json_string(id));
	(void)json_object_set_new(row, "key",
	    rc == 0 ? json_string(l.found) : json_null());
}

/* ---- copies under another key ---- */

#define STEP MIB

bool
disk_key_given(const struct fs_call *c)
{
	return json_is_string(json_object_get(c->args, "key"));
}

static int
copy_step(struct fs_file *from, struct fs_file *to, uint64_t off, void *buf,
    size_t len)
{
	size_t n = 0;
	int rc = fs_file_read(from, off, buf, len, &n);

	return rc == 0 ? fs_file_write(to, off, buf, n) : rc;
}

static int
copy_data(struct fs_call *c, struct fs_file *from, struct fs_file *to,
    uint64_t size)
{
	cleanup_free void *buf = disk_buf_alloc(STEP);
	uint64_t off = 0, hole = 0;
	int rc = buf != NULL ? 0 : -ENOMEM;

	while (rc == 0 && (rc = fs_file_seek(from, hole, true, &off)) == 0) {
		rc = fs_file_seek(from, off, false, &hole);
		for (; rc == 0 && off < hole; off += STEP) {
			if (!task_step(c->task, off, size))
				return -ECANCELED;
			rc = copy_step(from, to, off, buf,
			    hole - off < STEP ? (size_t)(hole - off) : STEP);
		}
	}
	return rc == -ENXIO ? 0 : rc;
}

static int
copy_to(struct fs_call *c, struct fs_file *in, const struct fs_snapshot *from,
    const struct fs_attr *like, uint64_t dir, const char *flat,
    struct fs_attr *ret_a)
{
	struct fs_file *out;
	int rc2, rc = vdisk_make(c, dir, from->size, like, &out);

	if (rc < 0)
		return rc;
	rc = copy_data(c, in, out, from->size);
	if (rc == 0)
		rc = vdisk_show(c, out, dir, flat);
	if (rc == 0)
		rc = fs_file_attr(out, ret_a);
	rc2 = fs_file_close(out);
	return rc < 0 ? rc : rc2;
}

int
disk_copy(struct fs_call *c, const struct fs_snapshot *from,
    const struct fs_attr *like, uint64_t dir, const char *flat,
    struct fs_attr *ret_a)
{
	struct fs_file *in;
	int rc2, rc = fs_file_open(c->d->fs, from->ino, 0, FS_READ, &in,
	    &c->holder);

	if (rc < 0)
		return rc;
	rc = copy_to(c, in, from, like, dir, flat, ret_a);
	rc2 = fs_file_close(in);
	return rc < 0 ? rc : rc2;
}

/* ---- disk.rekey ---- */

static int
run_rekey(struct fs_call *c)
{
	struct wrapping_key k;
	struct vdisk v;
	bool done;
	int rc = vdisk_find(c, c->path.path, &v);

	if (rc < 0)
		return rc;
	rc = wanted_key(c, &k);
	if (rc == -ENOENT)
		return cmd_fail(c, -EINVAL, "no key; expected --key=NAME, a "
		    "file in %s/keys", c->d->all->dir);
	if (rc < 0)
		return rc;
	rc = fs_rekey(c->d->fs, v.attr.ino, &k, &c->holder);
	explicit_bzero(&k, sizeof(k));
	if (rc == -EINVAL)
		return cmd_fail(c, rc, "%s is not encrypted; copy it by "
		    "vmfsctl disk clone --full --key", c->path.path);
	done = rc == 0;
	if (done)
		rc = vdisk_new_descriptor(c, &v, v.attr.size);
	if (rc == 0)
		rc = vdisk_use_descriptor(c, &v, 0);
	if (rc < 0 && done)
		return cmd_fail(c, rc, "%s is under the new key, but the copy "
		    "in its descriptor under the old one: %s; run the command "
		    "again", c->path.path, vmfs_strerror(rc));
	return rc < 0 ? rc : ds_commit(c->d->ds);
}

int
cmd_disk_rekey(struct daemon *dm, json_t *args, json_t **ret_result, char *msg)
{
	return cmd_fs(dm, args, ret_result, msg, false, run_rekey);
}

/* ---- key.ls ---- */

static bool
add_key(void *arg, const char *name, const struct wrapping_key *k,
    const char *why)
{
	char id[KEY_ID_TEXT_SIZE] = "";

	if (k != NULL)
		key_id_text(k->id, id);
	return json_array_append_new(arg, json_pack("{s:s, s:s, s:s}", "name",
	    name, "id", id, "note", why)) == 0;
}

static int
cmd_key_ls(struct daemon *dm, json_t *args, json_t **ret_result, char *msg)
{
	json_t *keys = json_array();
	int rc = keyring_each(dm->datastores.dir, add_key, keys);

	(void)args;
	(void)msg;
	ctl_sort(keys, "name");
	if (rc < 0)
		json_decref(keys);
	else
		*ret_result = json_pack("{s:o}", "keys", keys);
	return rc;
}

const struct command commands_key[] = {
	{ "key.ls", cmd_key_ls },
	{ NULL, NULL },
};
