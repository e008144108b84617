/* SPDX-License-Identifier: BSD-2-Clause */
/* Between the line parser (conf.c) and what each key means (conf_keys.c). */
#ifndef VMFS_VMFSD_CONF_KEYS_H
#define VMFS_VMFSD_CONF_KEYS_H

#include "vmfsd/conf.h"

struct conf_parser {
	struct conf *conf;
	const char *file;
	int line;
	char *msg;		/* CONF_MESSAGE_SIZE bytes */
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

/* Writes "FILE:LINE: ..." to p->msg and returns -VMFS_ECONFIG. */
int conf_error(struct conf_parser *p, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* The secret in a file; -VMFS_ECONFIG when others can read it, or it is too
 * short or long. */
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
