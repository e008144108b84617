/* SPDX-License-Identifier: BSD-2-Clause */
/* Tables for people. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "fuse/refusal.h"
#include "libvmfs/base/units.h"
#include "vmfsd/table.h"

#define COLUMNS_MAX 16
#define CELL_SIZE 512

static void
lock_cell(const json_t *v, char cell[CELL_SIZE])
{
	const char *mode = json_string_value(json_object_get(v, "mode"));
	const char *host = json_string_value(json_object_get(v, "host"));

	if (mode == NULL || strcmp(mode, "free") == 0)
		(void)snprintf(cell, CELL_SIZE, "-");
	else
		(void)snprintf(cell, CELL_SIZE, "%c %s",
		    strcmp(mode, "exclusive") == 0 ? 'X' :
		    strcmp(mode, "shared") == 0 ? 'S' : 'M',
		    host != NULL && *host != '\0' ? host : "?");
}

static void
number_cell(const struct column *c, json_int_t n, unsigned flags,
    char cell[CELL_SIZE])
{
	char text[REFUSAL_TIME_SIZE], size[SIZE_TEXT_SIZE];

	if ((flags & TABLE_EXACT) != 0 || c->kind == COLUMN_NUMBER)
		(void)snprintf(cell, CELL_SIZE, "%lld", (long long)n);
	else if (c->kind == COLUMN_SIZE)
		(void)snprintf(cell, CELL_SIZE, "%s",
		    size_text((uint64_t)n, size));
	else if (c->kind == COLUMN_TIME)
		(void)snprintf(cell, CELL_SIZE, "%s",
		    refusal_time((uint64_t)n, text));
	else
		(void)snprintf(cell, CELL_SIZE, "%lld.%llds",
		    (long long)(n / 1000), (long long)(n % 1000 / 100));
}

/* Names are chosen by others: no line, column or order of a terminal. */
static void
text_cell(const char *text, char cell[CELL_SIZE])
{
	(void)snprintf(cell, CELL_SIZE, "%s", *text != '\0' ? text : "-");
	for (char *p = cell; *p != '\0'; p++)
		if (iscntrl((unsigned char)*p))
			*p = '?';
}

static void
fill_cell(const struct column *c, const json_t *row, unsigned flags,
    char cell[CELL_SIZE])
{
	const json_t *v = json_object_get(row, c->key);

	if (v == NULL || json_is_null(v))
		(void)snprintf(cell, CELL_SIZE, "-");
	else if (c->kind == COLUMN_LOCK)
		lock_cell(v, cell);
	else if (json_is_boolean(v))
		(void)snprintf(cell, CELL_SIZE, "%s",
		    json_is_true(v) ? "yes" : "-");
	else if (json_is_integer(v))
		number_cell(c, json_integer_value(v), flags, cell);
	else
		text_cell(json_is_string(v) ? json_string_value(v) : "", cell);
}

static void
print_row(FILE *out, char (*cells)[CELL_SIZE], const int *widths, size_t n,
    unsigned flags)
{
	for (size_t i = 0; i < n; i++) {
		if ((flags & TABLE_NO_HEADER) != 0)
			fprintf(out, "%s%s", i > 0 ? "\t" : "", cells[i]);
		else if (i + 1 == n)
			fprintf(out, "%s", cells[i]);
		else
			fprintf(out, "%-*s  ", widths[i], cells[i]);
	}
	fputc('\n', out);
}

void
table_print(FILE *out, const struct column *columns, const json_t *rows,
    unsigned flags)
{
	static char cells[COLUMNS_MAX][CELL_SIZE];
	int widths[COLUMNS_MAX];
	const json_t *row;
	size_t n, i;

	for (n = 0; n < COLUMNS_MAX && columns[n].title != NULL; n++)
		widths[n] = (int)strlen(columns[n].title);
	json_array_foreach(rows, i, row) {
		for (size_t j = 0; j < n; j++) {
			fill_cell(&columns[j], row, flags, cells[j]);
			if ((int)strlen(cells[j]) > widths[j])
				widths[j] = (int)strlen(cells[j]);
		}
	}
	for (size_t j = 0; j < n; j++)
		(void)snprintf(cells[j], CELL_SIZE, "%s", columns[j].title);
	if ((flags & TABLE_NO_HEADER) == 0)
		print_row(out, cells, widths, n, flags);
	json_array_foreach(rows, i, row) {
		for (size_t j = 0; j < n; j++)
			fill_cell(&columns[j], row, flags, cells[j]);
		print_row(out, cells, widths, n, flags);
	}
}

void
record_print(FILE *out, const struct column *columns, const json_t *row,
    unsigned flags)
{
	char cell[CELL_SIZE];
	int width = 14;

	for (const struct column *c = columns; c->title != NULL; c++)
		if ((int)strlen(c->title) >= width)
			width = (int)strlen(c->title) + 1;
	for (const struct column *c = columns; c->title != NULL; c++) {
		if (json_object_get(row, c->key) == NULL)
			continue;
		fill_cell(c, row, flags, cell);
		fprintf(out, "%-*s%s\n", width, c->title, cell);
	}
}
