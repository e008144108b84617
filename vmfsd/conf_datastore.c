/* SPDX-License-Identifier: BSD-2-Clause */
/* What the keys of a section [datastore NAME] mean. */
#include <stdlib.h>
#include <string.h>

#include "fuse/fuse_mount.h"
#include "libvmfs/base/cleanup.h"
#include "libvmfs/base/units.h"
#include "libvmfs/core/ds.h"
#include "vmfsd/conf_keys.h"

#define MAP_CACHE_MAX TIB

int
conf_datastore_begin(struct conf_parser *p, const char *argument)
{
	struct conf *c = p->conf;

	if (!conf_name_ok(argument))
		return conf_error(p, "datastore name '%s': expected 1 to 63 "
		    "letters, digits, '.', '_' or '-'", argument);
	if (c->datastores == CONF_LIST_MAX)
		return conf_error(p, "more than %d datastores", CONF_LIST_MAX);
	for (size_t i = 0; i < c->datastores; i++)
		if (strcmp(c->datastore[i].name, argument) == 0)
			return conf_error(p, "datastore '%s' is already "
			    "defined in line %d", argument,
			    c->datastore[i].line);
	c->datastore[c->datastores].line = p->line;
	c->datastore[c->datastores].name = strdup(argument);
	if (c->datastore[c->datastores].name == NULL)
		return -ENOMEM;
	c->datastores++;
	return 0;
}

static struct conf_datastore *
this_datastore(struct conf_parser *p)
{
	return &p->conf->datastore[p->conf->datastores - 1];
}

static int
datastore_lun(struct conf_parser *p, const char *key, const char *value)
{
	if (value[0] != '/' && strncmp(value, "iscsi://", 8) != 0)
		return conf_error(p, "lun = '%s': expected an absolute path "
		    "or an iscsi:// URL", value);
	return conf_set_string(p, key, value, &this_datastore(p)->lun);
}

static int
datastore_extent(struct conf_parser *p, const char *key, const char *value)
{
	struct conf_datastore *d = this_datastore(p);

	if (value[0] != '/' && strncmp(value, "iscsi://", 8) != 0)
		return conf_error(p, "%s = '%s': expected an absolute path "
		    "or an iscsi:// URL", key, value);
	if (d->extents == SUPER_EXTENTS_MAX)
		return conf_error(p, "datastore '%s' has more than %u LUNs",
		    d->name, SUPER_EXTENTS_MAX);
	d->extent[d->extents] = strdup(value);
	if (d->extent[d->extents] == NULL)
		return -ENOMEM;
	d->extents++;
	return 0;
}

static int
datastore_mount(struct conf_parser *p, const char *key, const char *value)
{
	return conf_set_absolute(p, key, value, &this_datastore(p)->mount);
}

static int
datastore_options(struct conf_parser *p, const char *key, const char *value)
{
	struct conf_datastore *d = this_datastore(p);
	cleanup_free char *copy = strdup(value);
	char *save = NULL;

	if (copy == NULL)
		return -ENOMEM;
	for (char *o = strtok_r(copy, ", ", &save); o != NULL;
	    o = strtok_r(NULL, ", ", &save)) {
		if (strcmp(o, "ro") == 0)
			d->readonly = true;
		else if (strcmp(o, "noauto") == 0)
			d->noauto = true;
		else if (strcmp(o, "rw") != 0)
			return conf_error(p, "%s: '%s' is unknown; expected "
			    "ro, rw or noauto", key, o);
	}
	return 0;
}

static int
datastore_unmap(struct conf_parser *p, const char *key, const char *value)
{
	struct conf_datastore *d = this_datastore(p);

	d->unmap = strcmp(value, "auto") == 0 ? UNMAP_AUTO :
	    strcmp(value, "off") == 0 ? UNMAP_OFF : UNMAP_ON;
	d->unmap_rate = 0;
	if (d->unmap != UNMAP_ON || strcmp(value, "on") == 0)
		return 0;
	if (size_parse(value, &d->unmap_rate) < 0 || d->unmap_rate < MIB)
		return conf_error(p, "%s = '%s': expected auto, off, on or "
		    "bytes a second, 1M at least", key, value);
	return 0;
}

static int
datastore_threads(struct conf_parser *p, const char *key, const char *value)
{
	return conf_set_limit(p, key, value, FUSE_THREADS_MAX,
	    &this_datastore(p)->threads);
}

static int
datastore_map_cache(struct conf_parser *p, const char *key, const char *value)
{
	uint64_t bytes;

	if (size_parse(value, &bytes) < 0 || bytes < DS_CACHE_MIN ||
	    bytes > MAP_CACHE_MAX)
		return conf_error(p, "%s = '%s': expected bytes of memory, 1M "
		    "to 1T", key, value);
	this_datastore(p)->map_cache = bytes;
	return 0;
}

static int
datastore_io_uring(struct conf_parser *p, const char *key, const char *value)
{
	if (strcmp(value, "auto") != 0 && strcmp(value, "no") != 0)
		return conf_error(p, "%s = '%s': expected auto or no", key,
		    value);
	this_datastore(p)->no_io_uring = value[0] == 'n';
	return 0;
}

const struct conf_key conf_datastore_keys[] = {
	{ "lun", datastore_lun },
	{ "map-cache", datastore_map_cache },
	{ "extent", datastore_extent },
	{ "mount", datastore_mount },
	{ "options", datastore_options },
	{ "threads", datastore_threads },
	{ "io-uring", datastore_io_uring },
	{ "unmap", datastore_unmap },
	{ NULL, NULL },
};
