/* SPDX-License-Identifier: BSD-2-Clause */
/* Changes single lines of a configuration; all others stay as they are. */
#ifndef VMFS_VMFSD_CONF_EDIT_H
#define VMFS_VMFSD_CONF_EDIT_H

#include "libvmfs/base/err.h"

enum conf_edit_what {
	CONF_EDIT_ADD,		/* one more line `key = value` */
	CONF_EDIT_SET,		/* the line's value; added if there is none */
	CONF_EDIT_CHANGE,	/* the same of a line that must be there */
	CONF_EDIT_REMOVE,	/* the line */
	CONF_EDIT_ADD_SECTION,	/* at the end; key and value are not used */
	CONF_EDIT_REMOVE_SECTION,
};

struct conf_edit {
	enum conf_edit_what what;
	const char *section, *argument;	/* "target", "iqn..."; NULL: none */
	const char *key, *value;
	/* Of several lines with the key the one whose value is this, or begins
	 * with this and a comma; NULL: the first. */
	const char *match;
};

/*
 * The changed text, to be freed by the caller.  A section without an argument
 * is made when it is missing.  -EEXIST: the section is there; -ENOENT: section
 * or line is not; -ENOMEM.
 */
int conf_edit(const char *text, const struct conf_edit *e, char **ret_text)
    MUST_CHECK;

/*
 * Replaces the file so that after a crash it has the old or the new text:
 * conf_file_prepare writes and syncs a file beside it, commit renames it, drop
 * removes it.  -errno.
 */
int conf_file_prepare(const char *path, const char *text) MUST_CHECK;
int conf_file_commit(const char *path) MUST_CHECK;
void conf_file_drop(const char *path);
/* All of the file, to be freed by the caller.  -errno. */
int conf_file_read(const char *path, char **ret_text) MUST_CHECK;

#endif
