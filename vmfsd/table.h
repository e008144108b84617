/* SPDX-License-Identifier: BSD-2-Clause */
/* Lists of JSON objects as tables, and single ones as "key  value" lines. */
#ifndef VMFS_VMFSD_TABLE_H
#define VMFS_VMFSD_TABLE_H

#include <stdbool.h>
#include <stdio.h>

#include <jansson.h>

enum column_kind {
	COLUMN_TEXT,
	COLUMN_NUMBER,
	COLUMN_SIZE,		/* bytes */
	COLUMN_TIME,		/* microseconds since 1970 */
	COLUMN_AGE,		/* milliseconds */
	COLUMN_FLAG,		/* shown as "yes" */
	COLUMN_LOCK,		/* holder object: "X esx2" */
};

struct column {
	const char *title;
	const char *key;
	enum column_kind kind;
};

enum {
	TABLE_NO_HEADER = 1 << 0,	/* tabs between columns, no titles */
	TABLE_EXACT = 1 << 1,		/* bytes and microseconds as numbers */
};

/* columns ends with a NULL title. */
void table_print(FILE *out, const struct column *columns, const json_t *rows,
    unsigned flags);
void record_print(FILE *out, const struct column *columns, const json_t *row,
    unsigned flags);

#endif
