/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Between the line parser (conf.c) and what each key means: conf_keys.c, and
 * of the larger sections conf_target.c and conf_datastore.c.
 */
#ifndef VMFS_VMFSD_CONF_KEYS_H
#define VMFS_VMFSD_CONF_KEYS_H

#include "vmfsd/conf.h"

struct conf_parser {
	struct conf *conf;
	const char *file;
	int line;
	char *msg;		/* CONF_MESSAGE_SIZE bytes */
	const char *secrets;	/* the next ones, instead of files; NULL */
	const struct conf_section *section;
	char section_text[300];	/* "[target iqn...]" for messages */
};

struct conf_key {
	const char *name;	/* a trailing '.' takes a number: "lun." */
	int (*set)(struct conf_parser *p, const char *key, const char *value);
};

struct conf_section {
	const char *name;
	const char *argument;	/* what must follow the name; NULL: nothing */
	int (*begin)(struct conf_parser *p, const char *argument);
	const struct conf_key *keys;	/* ends with a NULL name */
};

/* Ends with a NULL name. */
extern const struct conf_section conf_sections[];

/* Of [target IQN] and [datastore NAME]: what begins one, and its keys. */
int conf_target_begin(struct conf_parser *p, const char *argument) MUST_CHECK;
extern const struct conf_key conf_target_keys[];
int conf_datastore_begin(struct conf_parser *p, const char *argument)
    MUST_CHECK;
extern const struct conf_key conf_datastore_keys[];

/* Writes "FILE:LINE: ..." to p->msg and returns -VMFS_ECONFIG. */
int conf_error(struct conf_parser *p, const char *fmt, ...) PRINTF_LIKE(2, 3);
/*
 * The value of a key as *field, which is NULL until then, as a path, or as a
 * number of 1 to max; -VMFS_ECONFIG with a message.
 */
int conf_set_string(struct conf_parser *p, const char *key, const char *value,
    char **field) MUST_CHECK;
int conf_set_absolute(struct conf_parser *p, const char *key,
    const char *value, char **field) MUST_CHECK;
int conf_set_limit(struct conf_parser *p, const char *key, const char *value,
    unsigned max, unsigned *field) MUST_CHECK;
/* Whether it is an iSCSI name, of an "initiator" or what it says. */
int conf_check_iqn(struct conf_parser *p, const char *what,
    const char *value) MUST_CHECK;
/* ADDRESS[:PORT][,GROUP], as far as that can be seen without the address. */
bool conf_portal_ok(const char *value);
/* The secret in a file, or the parser's next one; -VMFS_ECONFIG when others can
 * read the file, or it is too short or long. */
int conf_read_secret(struct conf_parser *p, const char *key, const char *path,
    char **field) MUST_CHECK;
/* Whether users and secrets of "what 'name'" go together; its keys begin with
 * `prefix`. */
int conf_check_chap(struct conf_parser *p, const char *what, const char *name,
    const char *prefix, const struct conf_chap *in,
    const struct conf_chap *out) MUST_CHECK;
/* What no single line shows: missing keys, duplicates. */
int conf_validate(struct conf_parser *p) MUST_CHECK;

#endif
