/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * VMDK descriptor text, as VMware's "Virtual Disk Format 1.1" and libvmdk's
 * documentation describe it: a header, extent lines, the disk data base.
 */
#include <ctype.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libvmfs/vmdk/descriptor.h"

#define SECTOR 512u
#define LINE_MAX_BYTES 1024u
#define FLAT_SUFFIX "-flat.vmdk"
#define SUFFIX ".vmdk"
#define KEY_LINE "ddb.vmfs.key"

static const char format_text[] =
    "# Disk DescriptorFile\n"
    "version=1\n"
    "encoding=\"UTF-8\"\n"
    "CID=%08" PRIx32 "\n"
    "parentCID=ffffffff\n"
    "createType=\"vmfs\"\n"
    "\n"
    "# Extent description\n"
    "RW %" PRIu64 " VMFS \"%s\"\n"
    "\n"
    "# The Disk Data Base\n"
    "#DDB\n"
    "\n"
    "ddb.adapterType = \"%s\"\n"
    "ddb.geometry.cylinders = \"%" PRIu64 "\"\n"
    "ddb.geometry.heads = \"%u\"\n"
    "ddb.geometry.sectors = \"%u\"\n"
    "ddb.virtualHWVersion = \"14\"\n";

/* IDE: 16 heads, 63 sectors, at most 16383 cylinders; SCSI by size. */
static void
geometry(uint64_t sectors, bool ide, uint64_t *cylinders, unsigned *heads,
    unsigned *per_track)
{
	*heads = ide ? 16 : 255;
	*per_track = 63;
	if (!ide && sectors < 2097152) {
		*heads = 64;
		*per_track = 32;
	} else if (!ide && sectors < 4194304) {
		*heads = 128;
		*per_track = 32;
	}
	*cylinders = sectors / (*heads * *per_track);
	if (ide && *cylinders > 16383)
		*cylinders = 16383;
}

/* Quotes and control characters cannot be written in an extent line. */
static bool
name_is_plain(const char *name)
{
	if (*name == '\0')
		return false;
	for (; *name != '\0'; name++)
		if (*name == '"' || iscntrl((unsigned char)*name))
			return false;
	return true;
}

int
vmdk_descriptor_format(const struct vmdk_descriptor *d, char *buf,
    size_t size, size_t *ret_len)
{
	const char *adapter = d->adapter != NULL ? d->adapter : "lsilogic";
	uint64_t sectors = d->size_bytes / SECTOR, cylinders;
	unsigned heads, per_track;
	int n;

	if (d->size_bytes % SECTOR != 0 || d->cid == 0xffffffff ||
	    !name_is_plain(d->extent) || !name_is_plain(adapter) ||
	    (d->key[0] != '\0' && !name_is_plain(d->key)))
		return -EINVAL;
	geometry(sectors, strcmp(adapter, "ide") == 0, &cylinders, &heads,
	    &per_track);
	n = snprintf(buf, size, format_text, d->cid, sectors, d->extent,
	    adapter, cylinders, heads, per_track);
	if (n >= 0 && (size_t)n < size && d->key[0] != '\0')
		n += snprintf(buf + n, size - (size_t)n, KEY_LINE
		    " = \"%s\"\n", d->key);
	if (n < 0)
		return -EINVAL;
	if ((size_t)n >= size)
		return -ENOSPC;
	*ret_len = (size_t)n;
	return 0;
}

/* ---- parsing ---- */

struct parse {
	struct vmdk_descriptor d;
	bool signature, type, extent;
};

static const char *const adapters[] = {
	"lsilogic", "ide", "buslogic", "legacyESX", "pvscsi",
};

/* Value of `key=value` or `key = "value"`; false when it is another key. */
static bool
value_of(char *line, const char *key, char **ret_value)
{
	size_t n = strlen(key), len;
	char *v = line + n;

	if (strncasecmp(line, key, n) != 0)
		return false;
	v += strspn(v, " \t");
	if (*v++ != '=')
		return false;
	v += strspn(v, " \t");
	len = strlen(v);
	if (len >= 2 && v[0] == '"' && v[len - 1] == '"') {
		v[len - 1] = '\0';
		v++;
	}
	*ret_value = v;
	return true;
}

/* RW 4192256 VMFS "name" and RW 4192256 FLAT "name" 0 */
static int
extent_parse(struct parse *p, const char *line)
{
	char access[8], kind[16];
	unsigned long long sectors, offset = 0;
	char name[sizeof(p->d.extent)];
	int used = 0;

	if (sscanf(line, "%7s %llu %15s \"%255[^\"]\"%n", access, &sectors,
	    kind, name, &used) != 4 || used == 0)
		return -EINVAL;
	if (sscanf(line + used, "%llu", &offset) == 1 && offset != 0)
		return -EINVAL;
	if (strcasecmp(kind, "VMFS") != 0 && strcasecmp(kind, "FLAT") != 0)
		return -EINVAL;
	if (p->extent || sectors > INT64_MAX / SECTOR)
		return -EINVAL;
	p->extent = true;
	p->d.size_bytes = sectors * SECTOR;
	memcpy(p->d.extent, name, sizeof(name));
	return 0;
}

static int
type_parse(struct parse *p, const char *value)
{
	static const char *const known[] = {
		"vmfs", "monolithicFlat", "vmfsPreallocated",
		"vmfsEagerZeroedThick", "vmfsThin",
	};

	for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++)
		if (strcasecmp(value, known[i]) == 0) {
			p->type = true;
			return 0;
		}
	return -EINVAL;
}

static void
adapter_parse(struct parse *p, const char *value)
{
	for (size_t i = 0; i < sizeof(adapters) / sizeof(*adapters); i++)
		if (strcasecmp(value, adapters[i]) == 0)
			p->d.adapter = adapters[i];
}

static int
line_parse(struct parse *p, char *line)
{
	unsigned long cid;
	char *value, *end;

	if (strcasecmp(line, "# Disk DescriptorFile") == 0)
		p->signature = true;
	if (*line == '#' || *line == '\0')
		return 0;
	if (strncasecmp(line, "RW ", 3) == 0 ||
	    strncasecmp(line, "RDONLY ", 7) == 0)
		return extent_parse(p, line);
	if (value_of(line, "createType", &value))
		return type_parse(p, value);
	if (value_of(line, "ddb.adapterType", &value))
		adapter_parse(p, value);
	if (value_of(line, KEY_LINE, &value))
		(void)snprintf(p->d.key, sizeof(p->d.key), "%s", value);
	if (value_of(line, "parentCID", &value) &&
	    strcasecmp(value, "ffffffff") != 0)
		return -EINVAL;	/* a delta: needs its parent */
	if (value_of(line, "CID", &value)) {
		cid = strtoul(value, &end, 16);
		if (end == value || *end != '\0' || cid > 0xffffffff)
			return -EINVAL;
		p->d.cid = (uint32_t)cid;
	}
	return 0;
}

/* The next line, trimmed, in `line`; false at the end. */
static bool
line_next(const char **text, size_t *len, char line[LINE_MAX_BYTES])
{
	const char *s = *text, *nl;
	size_t n;

	if (*len == 0 || *s == '\0')
		return false;
	nl = memchr(s, '\n', *len);
	n = nl != NULL ? (size_t)(nl - s) : *len;
	*text += n + (nl != NULL);
	*len -= n + (nl != NULL);
	while (n > 0 && isspace((unsigned char)*s)) {
		s++;
		n--;
	}
	while (n > 0 && (isspace((unsigned char)s[n - 1]) || s[n - 1] == '\0'))
		n--;
	if (n >= LINE_MAX_BYTES)
		n = LINE_MAX_BYTES - 1;
	memcpy(line, s, n);
	line[n] = '\0';
	return true;
}

int
vmdk_descriptor_parse(const char *text, size_t len,
    struct vmdk_descriptor *ret_d)
{
	struct parse p = { 0 };
	char line[LINE_MAX_BYTES];
	int r;

	while (line_next(&text, &len, line)) {
		r = line_parse(&p, line);
		if (r != 0)
			return r;
		if (!p.signature)
			return -EINVAL;
	}
	if (!p.signature || !p.type || !p.extent)
		return -EINVAL;
	*ret_d = p.d;
	return 0;
}

int
vmdk_flat_name(const char *name, char *buf, size_t size)
{
	size_t len = strlen(name), stem;

	if (len <= strlen(SUFFIX) ||
	    strcmp(name + len - strlen(SUFFIX), SUFFIX) != 0)
		return -EINVAL;
	stem = len - strlen(SUFFIX);
	if (stem + sizeof(FLAT_SUFFIX) > size)
		return -ENAMETOOLONG;
	memcpy(buf, name, stem);
	memcpy(buf + stem, FLAT_SUFFIX, sizeof(FLAT_SUFFIX));
	return 0;
}
