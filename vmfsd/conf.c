/* SPDX-License-Identifier: BSD-2-Clause */
/* Lines of a configuration file: sections, keys, messages. */
#include <ctype.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "libvmfs/base/cleanup.h"
#include "vmfsd/conf_keys.h"

int
conf_error(struct conf_parser *p, const char *fmt, ...)
{
	va_list ap;
	int n;

	n = snprintf(p->msg, CONF_MESSAGE_SIZE, "%s:%d: ", p->file, p->line);
	if (n < 0 || n >= CONF_MESSAGE_SIZE)
		return -VMFS_ECONFIG;
	va_start(ap, fmt);
	(void)vsnprintf(p->msg + n, CONF_MESSAGE_SIZE - (size_t)n, fmt, ap);
	va_end(ap);
	return -VMFS_ECONFIG;
}

bool
conf_name_ok(const char *name)
{
	size_t len = strlen(name);

	if (len == 0 || len > 63 || name[0] == '.' || name[0] == '-')
		return false;
	for (size_t i = 0; i < len; i++)
		if (!isalnum((unsigned char)name[i]) &&
		    strchr("._-", name[i]) == NULL)
			return false;
	return true;
}

bool
conf_iqn_ok(const char *name)
{
	return strlen(name) <= 223 && strpbrk(name, " \t[],=") == NULL &&
	    (strncmp(name, "iqn.", 4) == 0 || strncmp(name, "eui.", 4) == 0 ||
	    strncmp(name, "naa.", 4) == 0);
}

static char *
trim(char *s)
{
	char *end;

	while (isspace((unsigned char)*s))
		s++;
	end = s + strlen(s);
	while (end > s && isspace((unsigned char)end[-1]))
		*--end = '\0';
	return s;
}

/* "a, b or c" of what may stand here. */
static void
expected_list(char *buf, size_t size, const char *(*item)(const void *, size_t),
    const void *table)
{
	size_t used = 0;

	buf[0] = '\0';
	for (size_t i = 0; item(table, i) != NULL && used < size; i++) {
		const char *sep = i == 0 ? "" :
		    item(table, i + 1) == NULL ? " or " : ", ";
		int n = snprintf(buf + used, size - used, "%s%s", sep,
		    item(table, i));

		if (n < 0)
			return;
		used += (size_t)n;
	}
}

static const char *
section_name(const void *table, size_t i)
{
	return ((const struct conf_section *)table)[i].name;
}

static const char *
key_name(const void *table, size_t i)
{
	return ((const struct conf_key *)table)[i].name;
}

static int
begin_section(struct conf_parser *p, char *text)
{
	size_t len = strlen(text);
	char list[256], *name, *argument;
	const struct conf_section *s;

	if (text[len - 1] != ']')
		return conf_error(p, "section '%s' lacks the closing ']'", text);
	(void)snprintf(p->section_text, sizeof(p->section_text), "%s", text);
	text[len - 1] = '\0';
	name = trim(text + 1);
	argument = name + strcspn(name, " \t");
	if (*argument != '\0')
		*argument++ = '\0';
	argument = trim(argument);
	for (s = conf_sections; s->name != NULL; s++)
		if (strcmp(s->name, name) == 0)
			break;
	if (s->name == NULL) {
		expected_list(list, sizeof(list), section_name, conf_sections);
		return conf_error(p, "unknown section '%s'; expected %s", name,
		    list);
	}
	if (s->argument == NULL && *argument != '\0')
		return conf_error(p, "section [%s] takes no name, got '%s'",
		    name, argument);
	if (s->argument != NULL && *argument == '\0')
		return conf_error(p, "section [%s] needs %s: [%s NAME]", name,
		    s->argument, name);
	p->section = s;
	return s->begin != NULL ? s->begin(p, argument) : 0;
}

static bool
key_matches(const struct conf_key *k, const char *name)
{
	size_t len = strlen(k->name);

	if (k->name[len - 1] == '.')
		return strncmp(k->name, name, len) == 0;
	return strcmp(k->name, name) == 0;
}

static int
set_key(struct conf_parser *p, char *text)
{
	char list[256], *eq = strchr(text, '='), *key, *value;

	if (eq == NULL)
		return conf_error(p, "'%s' is neither [SECTION] nor KEY = VALUE",
		    text);
	*eq = '\0';
	key = trim(text);
	value = trim(eq + 1);
	if (p->section == NULL)
		return conf_error(p, "'%s' stands before the first [SECTION]",
		    key);
	if (*value == '\0')
		return conf_error(p, "key '%s' has no value", key);
	for (const struct conf_key *k = p->section->keys; k->name != NULL; k++)
		if (key_matches(k, key))
			return k->set(p, key, value);
	expected_list(list, sizeof(list), key_name, p->section->keys);
	return conf_error(p, "unknown key '%s' in %s; expected %s", key,
	    p->section_text, list);
}

static int
read_lines(struct conf_parser *p, FILE *in)
{
	cleanup_free char *line = NULL;
	size_t size = 0;
	ssize_t len;
	int rc = 0;

	while (rc == 0 && (len = getline(&line, &size, in)) >= 0) {
		char *text;

		p->line++;
		if (memchr(line, '\0', (size_t)len) != NULL)
			return conf_error(p, "a NUL byte: not a text file");
		text = trim(line);
		if (*text == '\0' || *text == '#' || *text == ';')
			continue;
		rc = *text == '[' ? begin_section(p, text) : set_key(p, text);
	}
	if (rc == 0 && ferror(in))
		return conf_error(p, "cannot read: %s", strerror(errno));
	return rc;
}

static int
read_with(FILE *in, const char *secrets, const char *name,
    struct conf *ret_c, char msg[CONF_MESSAGE_SIZE])
{
	cleanup_free struct conf *c = calloc(1, sizeof(*c));
	struct conf_parser p = {
		.conf = c, .file = name, .msg = msg, .secrets = secrets,
	};
	int rc;

	if (c == NULL)
		return -ENOMEM;
	msg[0] = '\0';
	rc = read_lines(&p, in);
	if (rc == 0)
		rc = conf_validate(&p);
	if (rc < 0) {
		conf_fini(c);
		return rc;
	}
	*ret_c = *c;
	return 0;
}

int
conf_read(FILE *in, const char *name, struct conf *ret_c,
    char msg[CONF_MESSAGE_SIZE])
{
	return read_with(in, NULL, name, ret_c, msg);
}

int
conf_read_text(const char *text, const char *secrets, const char *name,
    struct conf *ret_c, char msg[CONF_MESSAGE_SIZE])
{
	size_t len = strlen(text);
	/* Of no bytes it would not open one. */
	FILE *in = fmemopen(len > 0 ? (char *)(uintptr_t)text :
	    (char[]){ "\n" }, len > 0 ? len : 1, "r");
	int rc;

	msg[0] = '\0';
	if (in == NULL)
		return -ENOMEM;
	rc = read_with(in, secrets, name, ret_c, msg);
	(void)fclose(in);
	return rc;
}

#define ROOM_STEP 16

int
conf_room(void *list, size_t count, size_t size)
{
	char *p;

	memcpy(&p, list, sizeof(p));
	if (count % ROOM_STEP == 0) {
		p = reallocarray(p, count + ROOM_STEP, size);
		if (p == NULL)
			return -ENOMEM;
		memcpy(list, &p, sizeof(p));
	}
	memset(p + count * size, 0, size);
	return 0;
}

static void
chap_fini(struct conf_chap *c)
{
	if (c->secret != NULL)
		explicit_bzero(c->secret, strlen(c->secret));
	free(c->user);
	free(c->secret);
}

void
conf_lun_fini(struct conf_lun *l)
{
	free(l->text);
	free(l->source);
}

void
conf_target_fini(struct conf_target *t)
{
	free(t->iqn);
	for (size_t i = 0; i < t->luns; i++)
		conf_lun_fini(&t->lun[i]);
	for (size_t i = 0; i < t->allows; i++) {
		free(t->allow[i].text);
		chap_fini(&t->allow[i].in);
		chap_fini(&t->allow[i].out);
	}
	free(t->lun);
	free(t->allow);
	chap_fini(&t->in);
	chap_fini(&t->out);
	free(t->write_log);
	free(t->redirect);
	free(t->alias);
}

void
conf_fini(struct conf *c)
{
	free(c->host_name);
	free(c->host_dir);
	free(c->initiator);
	free(c->watchdog);
	free(c->control);
	for (size_t i = 0; i < c->portals; i++)
		free(c->portal[i]);
	chap_fini(&c->discovery_in);
	chap_fini(&c->discovery_out);
	for (size_t i = 0; i < c->targets; i++)
		conf_target_fini(&c->target[i]);
	free(c->target);
	for (size_t i = 0; i < c->datastores; i++) {
		free(c->datastore[i].name);
		free(c->datastore[i].lun);
		free(c->datastore[i].mount);
		for (size_t k = 0; k < c->datastore[i].extents; k++)
			free(c->datastore[i].extent[k]);
	}
	*c = (struct conf){ 0 };
}
