/* SPDX-License-Identifier: BSD-2-Clause */
/* What the keys of a section [target IQN] mean. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "libvmfs/base/cleanup.h"
#include "libvmfs/base/units.h"
#include "vmfsd/conf_allow.h"
#include "vmfsd/conf_keys.h"
#include "vmfsd/lun_settings.h"

int
conf_target_begin(struct conf_parser *p, const char *argument)
{
	struct conf *c = p->conf;
	int rc = conf_check_iqn(p, "target", argument);

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
		rc = conf_set_string(p, key, from->user, &ret_c->user);
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
		rc = conf_set_string(p, key, value, &t->allow[t->allows].text);
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
	return conf_set_string(p, key, value, &this_target(p)->in.user);
}

static int
target_chap_secret(struct conf_parser *p, const char *key, const char *value)
{
	return conf_read_secret(p, key, value, &this_target(p)->in.secret);
}

static int
target_mutual(struct conf_parser *p, const char *key, const char *value)
{
	return conf_set_string(p, key, value, &this_target(p)->out.user);
}

static int
target_mutual_secret(struct conf_parser *p, const char *key, const char *value)
{
	return conf_read_secret(p, key, value, &this_target(p)->out.secret);
}

static int
target_write_log(struct conf_parser *p, const char *key, const char *value)
{
	return conf_set_absolute(p, key, value, &this_target(p)->write_log);
}

static int
target_redirect(struct conf_parser *p, const char *key, const char *value)
{
	if (strchr(value, ',') != NULL || !conf_portal_ok(value))
		return conf_error(p, "%s = '%s': expected ADDRESS[:PORT]", key,
		    value);
	return conf_set_string(p, key, value, &this_target(p)->redirect);
}

static int
target_alias(struct conf_parser *p, const char *key, const char *value)
{
	if (strlen(value) >= ISCSI_ALIAS_MAX)
		return conf_error(p, "%s: expected at most %u bytes", key,
		    ISCSI_ALIAS_MAX - 1);
	return conf_set_string(p, key, value, &this_target(p)->alias);
}

const struct conf_key conf_target_keys[] = {
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
