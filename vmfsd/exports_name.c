/* SPDX-License-Identifier: BSD-2-Clause */
/* How initiators know a unit again. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "iscsi/disk_libiscsi_url.h"
#include "libvmfs/base/cleanup.h"
#include "libvmfs/base/lun_text.h"
#include "vmfsd/disk_ds.h"
#include "vmfsd/exports_impl.h"

/* Memory, or none: each LUN of such a source is one of its own. */
static bool
made_up(const char *source)
{
	return strncmp(source, "ram:", 4) == 0 ||
	    strncmp(source, "null:", 5) == 0;
}

/* Whatever the working directory has of that name. */
static bool
is_url(const char *source)
{
	return strncmp(source, "iscsi://", 8) == 0;
}

/* FNV-1a; two offsets give 128 bits that only have to be unlike. */
static uint64_t
fnv1a(uint64_t h, const void *data, size_t len)
{
	const uint8_t *p = data;

	for (size_t i = 0; i < len; i++)
		h = (h ^ p[i]) * 0x100000001b3u;
	return h;
}

/*
 * The unit's name must survive restarts and be the same in every target that
 * shows the same source: made of machine and source, of which `skip` bytes are
 * left out.
 */
static void
make_name(const struct exports *e, const char *iqn, const struct conf_lun *l,
    const char *skipped, size_t skip, struct uuid *ret_u)
{
	cleanup_free char *real = is_url(l->source) ? NULL :
	    realpath(l->source, NULL);
	const char *source = real != NULL ? real : l->source;
	size_t head = skip > 0 ? (size_t)(skipped - source) : strlen(source);
	uint64_t half[2] = { 0xcbf29ce484222325u, 0x84222325cbf29ce4u };
	uint8_t seed[16];

	for (size_t i = 0; i < 2; i++) {
		half[i] = fnv1a(half[i], &e->identity->machine,
		    sizeof(e->identity->machine));
		half[i] = fnv1a(half[i], source, head);
		half[i] = fnv1a(half[i], source + head + skip,
		    strlen(source + head + skip));
		/* Memory is not shared between targets. */
		if (real == NULL && made_up(source)) {
			half[i] = fnv1a(half[i], iqn, strlen(iqn));
			half[i] = fnv1a(half[i], &l->number,
			    sizeof(l->number));
		}
	}
	memcpy(seed, half, sizeof(seed));
	uuid_from_random(ret_u, seed);
}

/* What was kept, by the name that the source has without a secret. */
static int
look_up(struct exports *e, const char *iqn, const struct conf_lun *cl,
    struct pr_store *s, struct uuid *ret_u)
{
	cleanup_free void *image = NULL;
	size_t len, skip = 0;
	char *text;
	const char *secret = lurl_secret(cl->source, &skip);
	struct uuid plain;
	int rc;

	make_name(e, iqn, cl, secret, skip, &plain);
	rc = pr_store_open(s, e->conf->host_dir, "name", &plain, &image, &len);
	if (rc < 0 || image == NULL)
		return rc < 0 ? rc : -ENOENT;
	text = image;
	if (len != UUID_TEXT_SIZE || text[len - 1] != '\n')
		return -VMFS_ECORRUPT;
	text[len - 1] = '\0';
	return uuid_parse(text, ret_u) < 0 ? -VMFS_ECORRUPT : 0;
}

/*
 * The first name has the secret in it: so have those that initiators know from
 * before names were kept.
 */
int
export_name(struct exports *e, const char *iqn, const struct conf_lun *cl,
    struct uuid *ret_u)
{
	char source[LUN_TEXT_SIZE];
	struct pr_store s;
	int rc;

	make_name(e, iqn, cl, NULL, 0, ret_u);
	if (!is_url(cl->source))
		return 0;
	rc = look_up(e, iqn, cl, &s, ret_u);
	if (rc == 0 || rc == -ENOENT)
		return 0;
	(void)snprintf(e->why, sizeof(e->why), "how initiators know '%s' is "
	    "kept in '%.500s', which cannot be used: %s; if it is removed, they "
	    "may take it for another LUN", lun_text(cl->source, source),
	    s.path, vmfs_strerror(rc));
	return rc;
}

void
export_keep_name(struct exports *e, const char *iqn,
    const struct conf_lun *cl, const struct uuid *u)
{
	char source[LUN_TEXT_SIZE], text[UUID_TEXT_SIZE];
	struct pr_store s;
	struct uuid kept;
	size_t skip;
	int rc;

	if (lurl_secret(cl->source, &skip) == NULL ||
	    look_up(e, iqn, cl, &s, &kept) != -ENOENT)
		return;
	uuid_text(u, text)[UUID_TEXT_SIZE - 1] = '\n';
	rc = pr_store_save(&s, text, sizeof(text));
	if (rc < 0)
		log_warn(e->log, "target: how initiators know '%s' cannot be "
		    "kept in '%s': %s; with another secret it will be another "
		    "LUN", lun_text(cl->source, source), s.path,
		    vmfs_strerror(rc));
}

/*
 * A file's or device's cache is the machine's: it lives as long as the kernel
 * does.  Memory lives as long as we do; what another target does we cannot say.
 */
uint64_t
export_cache_id(struct exports *e, const char *source)
{
	if (is_url(source))
		return 0;
	/* What a virtual disk has not flushed is lost with us as well. */
	if (made_up(source) || disk_ds_is(source, NULL))
		return env_random_u64(&e->env) | 1;
	return fnv1a(0xcbf29ce484222325u, &e->identity->boot,
	    sizeof(e->identity->boot)) | 1;
}
