/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What sections there are, and what the keys of [host], [control] and [portal]
 * mean; conf_target.c and conf_datastore.c have the rest.
 */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "libvmfs/base/units.h"
#include "vmfsd/conf_keys.h"
#include "vmfsd/serving.h"

int
conf_set_string(struct conf_parser *p, const char *key, const char *value,
    char **field)
{
	if (*field != NULL)
		return conf_error(p, "'%s' is given twice in %s", key,
		    p->section_text);
	*field = strdup(value);
	return *field != NULL ? 0 : -ENOMEM;
}

int
conf_set_absolute(struct conf_parser *p, const char *key, const char *value,
    char **field)
{
	if (value[0] != '/')
		return conf_error(p, "%s = '%s': expected an absolute path",
		    key, value);
	return conf_set_string(p, key, value, field);
}

int
conf_set_limit(struct conf_parser *p, const char *key, const char *value,
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

int
conf_check_iqn(struct conf_parser *p, const char *what, const char *value)
{
	if (!conf_iqn_ok(value))
		return conf_error(p, "%s '%s' is no iSCSI name; expected "
		    "iqn.YYYY-MM.reversed.domain:name", what, value);
	return 0;
}

bool
conf_portal_ok(const char *value)
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

/* The part before the group, and the port, 3260 when none is given. */
static unsigned long
portal_port(const char *portal, size_t *ret_host)
{
	size_t len = strcspn(portal, ",");
	const char *colon = memrchr(portal, ':', len);

	if (colon == NULL || (portal[0] == '[' && colon[-1] != ']')) {
		*ret_host = len;
		return ISCSI_PORT;
	}
	*ret_host = (size_t)(colon - portal);
	return strtoul(colon + 1, NULL, 10);
}

bool
conf_same_portal(const char *a, const char *b)
{
	size_t host_a, host_b;
	unsigned long port_a = portal_port(a, &host_a);

	return port_a != 0 && port_a == portal_port(b, &host_b) &&
	    host_a == host_b && memcmp(a, b, host_a) == 0;
}

/* ---- [host] ---- */

static int
host_name(struct conf_parser *p, const char *key, const char *value)
{
	if (!conf_name_ok(value))
		return conf_error(p, "host name '%s': expected 1 to 63 letters,"
		    " digits, '.', '_' or '-'", value);
	return conf_set_string(p, key, value, &p->conf->host_name);
}

static int
host_dir(struct conf_parser *p, const char *key, const char *value)
{
	return conf_set_absolute(p, key, value, &p->conf->host_dir);
}

static int
host_initiator(struct conf_parser *p, const char *key, const char *value)
{
	int rc = conf_check_iqn(p, "initiator", value);

	return rc < 0 ? rc : conf_set_string(p, key, value, &p->conf->initiator);
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
		return conf_set_string(p, key, value, &p->conf->watchdog);
	if (value[0] != '/')
		return conf_error(p, "%s = '%s': expected the path of a "
		    "watchdog device, or process", key, value);
	return conf_set_string(p, key, value, &p->conf->watchdog);
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
	return conf_set_limit(p, key, value, SERVING_THREADS_MAX,
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
	return conf_set_absolute(p, key, value, &p->conf->control);
}

static const struct conf_key control_keys[] = {
	{ "socket", control_socket },
	{ NULL, NULL },
};

static int
portal_listen(struct conf_parser *p, const char *key, const char *value)
{
	struct conf *c = p->conf;
	int rc;

	if (!conf_portal_ok(value))
		return conf_error(p, "listen = '%s': expected "
		    "ADDRESS[:PORT][,GROUP], port 0 to 65535, group 1 to %d",
		    value, SCSI_GROUPS_MAX);
	if (c->portals == CONF_LIST_MAX)
		return conf_error(p, "more than %d portals", CONF_LIST_MAX);
	for (size_t i = 0; i < c->portals; i++)
		if (conf_same_portal(c->portal[i], value))
			return conf_error(p, "listen = '%s': that portal is "
			    "there already, as '%s'", value, c->portal[i]);
	rc = conf_set_string(p, key, value, &c->portal[c->portals]);
	if (rc == 0)
		c->portals++;
	return rc;
}

static int
portal_sessions(struct conf_parser *p, const char *key, const char *value)
{
	return conf_set_limit(p, key, value, ISCSI_SESSIONS_MAX,
	    &p->conf->limits.sessions_max);
}

static int
portal_commands(struct conf_parser *p, const char *key, const char *value)
{
	return conf_set_limit(p, key, value, ISCSI_COMMANDS_MAX,
	    &p->conf->limits.commands_max);
}

static int
portal_login_timeout(struct conf_parser *p, const char *key,
    const char *value)
{
	return conf_set_limit(p, key, value, ISCSI_SECONDS_MAX,
	    &p->conf->limits.login_timeout_s);
}

static int
portal_keep_alive(struct conf_parser *p, const char *key, const char *value)
{
	return conf_set_limit(p, key, value, ISCSI_SECONDS_MAX,
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
	return conf_set_string(p, key, value, &p->conf->discovery_in.user);
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
	return conf_set_string(p, key, value, &p->conf->discovery_out.user);
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

const struct conf_section conf_sections[] = {
	{ "host", NULL, NULL, host_keys },
	{ "control", NULL, NULL, control_keys },
	{ "portal", NULL, NULL, portal_keys },
	{ "target", "an iSCSI name", conf_target_begin, conf_target_keys },
	{ "datastore", "a name", conf_datastore_begin, conf_datastore_keys },
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
	/* What is in force may be less than what somebody would ask for: a
	 * target that is in use outlives the portals that it was removed with. */
	if (p->conf->portals == 0 && p->secrets == NULL)
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
