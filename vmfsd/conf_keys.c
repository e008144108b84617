/* SPDX-License-Identifier: BSD-2-Clause */
/* What each section and key of the configuration means. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "fuse/fuse_mount.h"
#include "libvmfs/base/cleanup.h"
#include "libvmfs/base/units.h"
#include "libvmfs/core/ds.h"
#include "vmfsd/conf_allow.h"
#include "vmfsd/conf_keys.h"
#include "vmfsd/lun_settings.h"
#include "vmfsd/serving.h"

#define MAP_CACHE_MAX TIB

static int
set_string(struct conf_parser *p, const char *key, const char *value,
    char **field)
{
	if (*field != NULL)
		return conf_error(p, "'%s' is given twice in %s", key,
		    p->section_text);
	*field = strdup(value);
	return *field != NULL ? 0 : -ENOMEM;
}

static int
set_absolute(struct conf_parser *p, const char *key, const char *value,
    char **field)
{
	if (value[0] != '/')
		return conf_error(p, "%s = '%s': expected an absolute path",
		    key, value);
	return set_string(p, key, value, field);
}

static int
set_limit(struct conf_parser *p, const char *key, const char *value,
    unsigned max, unsigned *field)
{
	char *end;
	unsigned long n = strtoul(value, &end, 10);

	if (!isdigit((unsigned char)value[0]) || *end != '\0' || n == 0 ||
	    n > max)
		return conf_error(p, "%s = '%s': expected 1 to %u", key, value,
		    max);
	*field = (unsigned)n;
	return 0;
}

/* ---- [host] ---- */

static int
host_name(struct conf_parser *p, const char *key, const char *value)
{
	if (!conf_name_ok(value))
		return conf_error(p, "host name '%s': expected 1 to 63 letters,"
		    " digits, '.', '_' or '-'", value);
	return set_string(p, key, value, &p->conf->host_name);
}

static int
host_dir(struct conf_parser *p, const char *key, const char *value)
{
	return set_absolute(p, key, value, &p->conf->host_dir);
}

static int
check_iqn(struct conf_parser *p, const char *what, const char *value)
{
	if (strlen(value) > 223 || strpbrk(value, " \t[],=") != NULL ||
	    (strncmp(value, "iqn.", 4) != 0 &&
	    strncmp(value, "eui.", 4) != 0 && strncmp(value, "naa.", 4) != 0))
		return conf_error(p, "%s '%s' is no iSCSI name; expected "
		    "iqn.YYYY-MM.reversed.domain:name", what, value);
	return 0;
}

static int
host_initiator(struct conf_parser *p, const char *key, const char *value)
{
	int rc = check_iqn(p, "initiator", value);

	return rc < 0 ? rc : set_string(p, key, value, &p->conf->initiator);
}

static int
host_membership(struct conf_parser *p, const char *key, const char *value)
{
	if (strcmp(value, "corosync") != 0 && strcmp(value, "none") != 0)
		return conf_error(p, "%s = '%s': expected corosync or none",
		    key, value);
	p->conf->corosync = value[0] == 'c';
	return 0;
}

static int
host_watchdog(struct conf_parser *p, const char *key, const char *value)
{
	if (strcmp(value, "process") == 0)
		return set_string(p, key, value, &p->conf->watchdog);
	if (value[0] != '/')
		return conf_error(p, "%s = '%s': expected the path of a "
		    "watchdog device, or process", key, value);
	return set_string(p, key, value, &p->conf->watchdog);
}

static int
host_watchdog_timeout(struct conf_parser *p, const char *key,
    const char *value)
{
	char *end;
	unsigned long s = strtoul(value, &end, 10);

	if (!isdigit((unsigned char)value[0]) || *end != '\0' || s == 0 ||
	    s > 600)
		return conf_error(p, "%s = '%s': expected 1 to 600 seconds",
		    key, value);
	p->conf->watchdog_ms = (unsigned)s * 1000;
	return 0;
}

static int
host_guest_threads(struct conf_parser *p, const char *key, const char *value)
{
	p->conf->no_guest_threads = strcmp(value, "0") == 0;
	if (p->conf->no_guest_threads)
		return 0;
	return set_limit(p, key, value, SERVING_THREADS_MAX,
	    &p->conf->guest_threads);
}

static int
set_no(struct conf_parser *p, const char *key, const char *value, bool *no)
{
	if (strcmp(value, "yes") != 0 && strcmp(value, "no") != 0)
		return conf_error(p, "%s = '%s': expected yes or no", key,
		    value);
	*no = value[0] == 'n';
	return 0;
}

static int
host_guest_busy_wait(struct conf_parser *p, const char *key,
    const char *value)
{
	return set_no(p, key, value, &p->conf->no_guest_busy_wait);
}

static const struct conf_key host_keys[] = {
	{ "name", host_name },
	{ "membership", host_membership },
	{ "dir", host_dir },
	{ "initiator", host_initiator },
	{ "watchdog", host_watchdog },
	{ "watchdog-timeout", host_watchdog_timeout },
	{ "guest-threads", host_guest_threads },
	{ "guest-busy-wait", host_guest_busy_wait },
	{ NULL, NULL },
};

/* ---- [control], [portal] ---- */

static int
control_socket(struct conf_parser *p, const char *key, const char *value)
{
	return set_absolute(p, key, value, &p->conf->control);
}

static const struct conf_key control_keys[] = {
	{ "socket", control_socket },
	{ NULL, NULL },
};

/* "[:PORT][,GROUP]" behind an address. */
static bool
portal_ok(const char *value)
{
	size_t len = strcspn(value, ",");
	const char *colon = memrchr(value, ':', len);
	unsigned long n;
	char *end;

	if (value[len] == ',') {
		n = strtoul(value + len + 1, &end, 10);
		if (!isdigit((unsigned char)value[len + 1]) || *end != '\0' ||
		    n == 0 || n > SCSI_GROUPS_MAX)
			return false;
	}
	if (colon == NULL || (value[0] == '[' && colon[-1] != ']'))
		return true;
	n = strtoul(colon + 1, &end, 10);
	return isdigit((unsigned char)colon[1]) && end == value + len &&
	    n <= 65535;
}

static int
portal_listen(struct conf_parser *p, const char *key, const char *value)
{
	struct conf *c = p->conf;
	int rc;

	if (!portal_ok(value))
		return conf_error(p, "listen = '%s': expected "
		    "ADDRESS[:PORT][,GROUP], port 0 to 65535, group 1 to %d",
		    value, SCSI_GROUPS_MAX);
	if (c->portals == CONF_LIST_MAX)
		return conf_error(p, "more than %d portals", CONF_LIST_MAX);
	rc = set_string(p, key, value, &c->portal[c->portals]);
	if (rc == 0)
		c->portals++;
	return rc;
}

static int
portal_sessions(struct conf_parser *p, const char *key, const char *value)
{
	return set_limit(p, key, value, ISCSI_SESSIONS_MAX,
	    &p->conf->limits.sessions_max);
}

static int
portal_commands(struct conf_parser *p, const char *key, const char *value)
{
	return set_limit(p, key, value, ISCSI_COMMANDS_MAX,
	    &p->conf->limits.commands_max);
}

static int
portal_login_timeout(struct conf_parser *p, const char *key,
    const char *value)
{
	return set_limit(p, key, value, ISCSI_SECONDS_MAX,
	    &p->conf->limits.login_timeout_s);
}

static int
portal_keep_alive(struct conf_parser *p, const char *key, const char *value)
{
	return set_limit(p, key, value, ISCSI_SECONDS_MAX,
	    &p->conf->limits.nop_interval_s);
}

static int
portal_write_buffers(struct conf_parser *p, const char *key,
    const char *value)
{
	uint64_t bytes;

	if (size_parse(value, &bytes) < 0 || bytes < MIB)
		return conf_error(p, "%s = '%s': expected a size of at least "
		    "1 MiB, as 512M", key, value);
	p->conf->limits.data_max = bytes;
	return 0;
}

static int
portal_busy_wait(struct conf_parser *p, const char *key, const char *value)
{
	return set_no(p, key, value, &p->conf->no_busy_wait);
}

static int
portal_chap(struct conf_parser *p, const char *key, const char *value)
{
	p->conf->discovery_line = p->line;
	return set_string(p, key, value, &p->conf->discovery_in.user);
}

static int
portal_chap_secret(struct conf_parser *p, const char *key, const char *value)
{
	p->conf->discovery_line = p->line;
	return conf_read_secret(p, key, value, &p->conf->discovery_in.secret);
}

static int
portal_mutual(struct conf_parser *p, const char *key, const char *value)
{
	p->conf->discovery_line = p->line;
	return set_string(p, key, value, &p->conf->discovery_out.user);
}

static int
portal_mutual_secret(struct conf_parser *p, const char *key, const char *value)
{
	p->conf->discovery_line = p->line;
	return conf_read_secret(p, key, value, &p->conf->discovery_out.secret);
}

static const struct conf_key portal_keys[] = {
	{ "listen", portal_listen },
	{ "sessions", portal_sessions },
	{ "commands", portal_commands },
	{ "login-timeout", portal_login_timeout },
	{ "keep-alive", portal_keep_alive },
	{ "write-buffers", portal_write_buffers },
	{ "busy-wait", portal_busy_wait },
	{ "discovery-chap", portal_chap },
	{ "discovery-chap-secret-file", portal_chap_secret },
	{ "discovery-mutual", portal_mutual },
	{ "discovery-mutual-secret-file", portal_mutual_secret },
	{ NULL, NULL },
};

/* ---- [target IQN] ---- */

static int
target_begin(struct conf_parser *p, const char *argument)
{
	struct conf *c = p->conf;
	int rc = check_iqn(p, "target", argument);

	if (rc < 0)
		return rc;
	if (c->targets == CONF_TARGETS_MAX)
		return conf_error(p, "more than %d targets", CONF_TARGETS_MAX);
	for (size_t i = 0; i < c->targets; i++)
		if (strcmp(c->target[i].iqn, argument) == 0)
			return conf_error(p, "target '%s' is already defined "
			    "in line %d", argument, c->target[i].line);
	rc = conf_room(&c->target, c->targets, sizeof(*c->target));
	if (rc < 0)
		return rc;
	c->target[c->targets].line = p->line;
	c->target[c->targets].iqn = strdup(argument);
	if (c->target[c->targets].iqn == NULL)
		return -ENOMEM;
	c->targets++;
	return 0;
}

static struct conf_target *
this_target(struct conf_parser *p)
{
	return &p->conf->target[p->conf->targets - 1];
}

static int
lun_number(struct conf_parser *p, const char *key, unsigned *ret_number)
{
	const char *digits = key + strlen("lun.");
	char *end;
	unsigned long n = strtoul(digits, &end, 10);

	if (!isdigit((unsigned char)*digits) || *end != '\0' || n > 255)
		return conf_error(p, "'%s': expected lun.0 to lun.255", key);
	*ret_number = (unsigned)n;
	return 0;
}

#define LUN_BLOCKS "block-size="

static int
lun_block_size(struct conf_parser *p, struct conf_lun *l, const char *option)
{
	const char *value = option + strlen(LUN_BLOCKS);

	if (strcmp(value, "512") != 0 && strcmp(value, "4096") != 0)
		return conf_error(p, "'%s': expected " LUN_BLOCKS "512 or "
		    LUN_BLOCKS "4096", option);
	l->block_size = value[0] == '5' ? 512 : 4096;
	return 0;
}

static int
lun_option(struct conf_parser *p, struct conf_lun *l, const char *option)
{
	char why[200];
	int rc = 0;

	if (strcmp(option, "readonly") == 0 || strcmp(option, "ro") == 0)
		l->readonly = true;
	else if (strcmp(option, "thin") == 0)
		l->thin = true;
	else if (strcmp(option, "same-to-end") == 0)
		l->same_to_end = true;
	else if (strcmp(option, "encrypted") == 0)
		l->encrypted = true;
	else if (strcmp(option, "removable") == 0)
		l->removable = true;
	else if (strncmp(option, LUN_BLOCKS, strlen(LUN_BLOCKS)) == 0)
		return lun_block_size(p, l, option);
	else
		rc = lun_setting_parse(option, l, why, sizeof(why));
	if (rc == -EINVAL)
		return conf_error(p, "%s", why);
	if (rc == -ENOENT)
		return conf_error(p, "LUN option '%s' is unknown; expected "
		    "readonly, thin, removable, block-size=N, same-to-end, "
		    "encrypted, pool=SIZE, warn=PERCENT, warn-free=SIZE or "
		    "group.N=STATE", option);
	return rc;
}

static int
lun_source(struct conf_parser *p, const char *source)
{
	uint64_t size;

	if (strncmp(source, "ram:", 4) == 0) {
		if (size_parse(source + 4, &size) < 0 || size < MIB)
			return conf_error(p, "'%s': expected ram:SIZE of at "
			    "least 1 MiB, as in ram:64M", source);
		return 0;
	}
	if (strncmp(source, "null:", 5) == 0) {
		if (size_parse(source + 5, &size) < 0 || size < MIB ||
		    size % 4096 != 0)
			return conf_error(p, "'%s': expected null:SIZE of at "
			    "least 1 MiB and whole 4 KiB, as in null:1G",
			    source);
		return 0;
	}
	if (strncmp(source, "vdisk:", 6) == 0) {
		if (strstr(source + 6, ":/") == NULL || source[6] == ':')
			return conf_error(p, "'%s': expected "
			    "vdisk:DATASTORE:/PATH[@SNAPSHOT]", source);
		return 0;
	}
	if (source[0] != '/' && strncmp(source, "iscsi://", 8) != 0)
		return conf_error(p, "LUN source '%s': expected an absolute "
		    "path, an iscsi:// URL, vdisk:DATASTORE:/PATH, ram:SIZE or "
		    "null:SIZE", source);
	return 0;
}

static int
target_lun(struct conf_parser *p, const char *key, const char *value)
{
	struct conf_target *t = this_target(p);
	struct conf_lun l = { .line = p->line };
	cleanup_free char *copy = strdup(value);
	char *save = NULL, *source;
	int rc = lun_number(p, key, &l.number);

	if (copy == NULL)
		return -ENOMEM;
	source = strtok_r(copy, ",", &save);
	if (source == NULL)
		return conf_error(p, "'%s' names no LUN", value);
	for (char *o; rc == 0 && (o = strtok_r(NULL, ",", &save)) != NULL;)
		rc = lun_option(p, &l, o);
	if (rc == 0)
		rc = lun_source(p, source);
	if (rc < 0)
		return rc;
	for (size_t i = 0; i < t->luns; i++)
		if (t->lun[i].number == l.number)
			return conf_error(p, "lun.%u is already defined in "
			    "line %d", l.number, t->lun[i].line);
	rc = conf_room(&t->lun, t->luns, sizeof(*t->lun));
	if (rc < 0)
		return rc;
	l.source = strdup(source);
	l.text = strdup(value);
	if (l.source == NULL || l.text == NULL) {
		conf_lun_fini(&l);
		return -ENOMEM;
	}
	t->lun[t->luns++] = l;
	return 0;
}

/* User and secret, of which the allow line has neither or both. */
static int
allow_chap(struct conf_parser *p, const char *key,
    const struct conf_allow_chap *from, struct conf_chap *ret_c)
{
	int rc = 0;

	if (from->user[0] != '\0')
		rc = set_string(p, key, from->user, &ret_c->user);
	if (rc == 0 && from->file[0] != '\0')
		rc = conf_read_secret(p, key, from->file, &ret_c->secret);
	return rc;
}

static int
target_allow(struct conf_parser *p, const char *key, const char *value)
{
	struct conf_target *t = this_target(p);
	struct conf_allow a;
	char why[400] = "out of memory";
	int rc;

	if (conf_allow_parse(value, &a, why, sizeof(why)) < 0)
		return conf_error(p, "%s = %s", key, why);
	for (size_t i = 0; i < t->allows; i++)
		if (strlen(a.pattern) == strcspn(t->allow[i].text, ",") &&
		    strncmp(t->allow[i].text, a.pattern, strlen(a.pattern)) == 0)
			return conf_error(p, "'%s' has an allow line already; "
			    "change that one (vmfsctl acl change)", a.pattern);
	if (t->allows == CONF_GRANTS_MAX)
		return conf_error(p, "more than %d allow lines in a target",
		    CONF_GRANTS_MAX);
	rc = conf_room(&t->allow, t->allows, sizeof(*t->allow));
	if (rc == 0)
		rc = set_string(p, key, value, &t->allow[t->allows].text);
	if (rc < 0)
		return rc;
	t->allows++;
	rc = allow_chap(p, key, &a.in, &t->allow[t->allows - 1].in);
	if (rc == 0)
		rc = allow_chap(p, key, &a.out, &t->allow[t->allows - 1].out);
	return rc < 0 ? rc : conf_check_chap(p, "initiator", a.pattern, "",
	    &t->allow[t->allows - 1].in, &t->allow[t->allows - 1].out);
}

static int
target_chap(struct conf_parser *p, const char *key, const char *value)
{
	return set_string(p, key, value, &this_target(p)->in.user);
}

static int
target_chap_secret(struct conf_parser *p, const char *key, const char *value)
{
	return conf_read_secret(p, key, value, &this_target(p)->in.secret);
}

static int
target_mutual(struct conf_parser *p, const char *key, const char *value)
{
	return set_string(p, key, value, &this_target(p)->out.user);
}

static int
target_mutual_secret(struct conf_parser *p, const char *key, const char *value)
{
	return conf_read_secret(p, key, value, &this_target(p)->out.secret);
}

static int
target_write_log(struct conf_parser *p, const char *key, const char *value)
{
	return set_absolute(p, key, value, &this_target(p)->write_log);
}

static int
target_redirect(struct conf_parser *p, const char *key, const char *value)
{
	if (strchr(value, ',') != NULL || !portal_ok(value))
		return conf_error(p, "%s = '%s': expected ADDRESS[:PORT]", key,
		    value);
	return set_string(p, key, value, &this_target(p)->redirect);
}

static int
target_alias(struct conf_parser *p, const char *key, const char *value)
{
	if (strlen(value) >= ISCSI_ALIAS_MAX)
		return conf_error(p, "%s: expected at most %u bytes", key,
		    ISCSI_ALIAS_MAX - 1);
	return set_string(p, key, value, &this_target(p)->alias);
}

static const struct conf_key target_keys[] = {
	{ "alias", target_alias },
	{ "lun.", target_lun },
	{ "allow", target_allow },
	{ "chap", target_chap },
	{ "chap-secret-file", target_chap_secret },
	{ "mutual", target_mutual },
	{ "mutual-secret-file", target_mutual_secret },
	{ "redirect", target_redirect },
	{ "write-log", target_write_log },
	{ NULL, NULL },
};

/* ---- [datastore NAME] ---- */

static int
datastore_begin(struct conf_parser *p, const char *argument)
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
	return set_string(p, key, value, &this_datastore(p)->lun);
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
	return set_absolute(p, key, value, &this_datastore(p)->mount);
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
	return set_limit(p, key, value, FUSE_THREADS_MAX,
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

static const struct conf_key datastore_keys[] = {
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

const struct conf_section conf_sections[] = {
	{ "host", NULL, NULL, host_keys },
	{ "control", NULL, NULL, control_keys },
	{ "portal", NULL, NULL, portal_keys },
	{ "target", "an iSCSI name", target_begin, target_keys },
	{ "datastore", "a name", datastore_begin, datastore_keys },
	{ NULL, NULL, NULL, NULL },
};

/* ---- the whole ---- */

static int
validate_target(struct conf_parser *p, const struct conf_target *t)
{
	int rc;

	p->line = t->line;
	rc = conf_check_chap(p, "target", t->iqn, "", &t->in, &t->out);
	if (rc < 0)
		return rc;
	if (p->conf->portals == 0)
		return conf_error(p, "target '%s' cannot be reached; expected "
		    "a [portal] section with listen = ADDRESS[:PORT]", t->iqn);
	return 0;
}

int
conf_validate(struct conf_parser *p)
{
	struct conf *c = p->conf;
	int rc;

	p->line = c->discovery_line;
	rc = conf_check_chap(p, "section", "portal", "discovery-",
	    &c->discovery_in, &c->discovery_out);

	for (size_t i = 0; rc == 0 && i < c->targets; i++)
		rc = validate_target(p, &c->target[i]);
	for (size_t i = 0; rc == 0 && i < c->datastores; i++) {
		const struct conf_datastore *d = &c->datastore[i];

		p->line = d->line;
		if (d->lun == NULL)
			rc = conf_error(p, "datastore '%s' has no 'lun ='",
			    d->name);
		else if (d->mount == NULL)
			rc = conf_error(p, "datastore '%s' has no 'mount ='",
			    d->name);
	}
	return rc;
}
