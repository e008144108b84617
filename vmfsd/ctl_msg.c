/* SPDX-License-Identifier: BSD-2-Clause */
/* Error codes and messages of the control protocol. */
#include <stdlib.h>
#include <string.h>

#include "libvmfs/base/cleanup.h"
#include "libvmfs/base/utf8.h"
#include "vmfsd/ctl_msg.h"

static const struct {
	int error;
	const char *code;
	enum ctl_exit status;
} codes[] = {
	{ -EINVAL, "usage", CTL_EXIT_USAGE },
	{ -ENOENT, "not-found", CTL_EXIT_NOT_FOUND },
	{ -ESRCH, "not-found", CTL_EXIT_NOT_FOUND },
	{ -ENODEV, "not-mounted", CTL_EXIT_NOT_FOUND },
	{ -VMFS_ELOCKED, "locked", CTL_EXIT_LOCKED },
	{ -VMFS_EINUSE, "in-use", CTL_EXIT_LOCKED },
	{ -EBUSY, "busy", CTL_EXIT_LOCKED },
	{ -EEXIST, "exists", CTL_EXIT_FAILED },
	{ -ENOSPC, "no-space", CTL_EXIT_FAILED },
	{ -VMFS_EFENCED, "fenced", CTL_EXIT_FAILED },
	{ -VMFS_ECORRUPT, "corrupt", CTL_EXIT_FAILED },
};

const char *
ctl_error_code(int error)
{
	for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++)
		if (codes[i].error == error)
			return codes[i].code;
	return "failed";
}

enum ctl_exit
ctl_exit_of(const char *code)
{
	for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++)
		if (strcmp(codes[i].code, code) == 0)
			return codes[i].status;
	return CTL_EXIT_FAILED;
}

json_t *
ctl_text(const char *text)
{
	cleanup_free char *mended = strdup(text);

	for (char *p = mended; p != NULL && *p != '\0';) {
		uint32_t c;
		size_t len = utf8_character(p, &c);

		if (len == 0)
			*p = '?';
		p += len > 0 ? len : 1;
	}
	return json_string(mended);
}

struct keyed {
	const char *key;
	json_t *row;
};

static int
compare_keys(const void *a, const void *b)
{
	const struct keyed *x = a, *y = b;

	return strcmp(x->key, y->key);
}

void
ctl_sort(json_t *rows, const char *key)
{
	size_t n = json_array_size(rows), i;
	cleanup_free struct keyed *k = calloc(n, sizeof(*k));
	json_t *row;

	if (k == NULL)
		return;
	json_array_foreach(rows, i, row) {
		const char *text = json_string_value(json_object_get(row, key));

		k[i].key = text != NULL ? text : "";
		k[i].row = json_incref(row);
	}
	qsort(k, n, sizeof(*k), compare_keys);
	for (i = 0; i < n; i++)
		(void)json_array_set_new(rows, i, k[i].row);
}
