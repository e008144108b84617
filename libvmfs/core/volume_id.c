/* SPDX-License-Identifier: BSD-2-Clause */
/* Which LUN a volume lies on, and which it was made on. */
#include <stdio.h>
#include <string.h>

#include "libvmfs/core/volume.h"

/* "file.1a2b.3c" is of a file, "naa.6001..." of a SCSI device. */
static bool
is_file(const char *serial)
{
	return strncmp(serial, "file.", 5) == 0;
}

bool
volume_is_copy(const struct super *s, const struct disk_info *lun)
{
	const char *was = s->lun_serial, *now = lun->serial;

	if (*was == '\0' || *now == '\0' || is_file(was) != is_file(now))
		return false;
	/* The superblock may have room for less of it. */
	return strncmp(was, now, sizeof(s->lun_serial) - 1) != 0;
}

void
volume_rehome(struct super *s, const struct disk_info *lun)
{
	memset(s->lun_serial, 0, sizeof(s->lun_serial));
	memcpy(s->lun_serial, lun->serial,
	    strnlen(lun->serial, sizeof(s->lun_serial) - 1));
}

/* A label may not end within a character. */
static size_t
utf8_cut(const char *text, size_t max)
{
	size_t n = strnlen(text, max + 1);

	if (n <= max)
		return n;
	for (n = max; n > 0 && ((unsigned char)text[n] & 0xc0) == 0x80; n--)
		;
	return n;
}

/* "snap-1a2b3c4d-ds1"; of a copy of a copy the first part is replaced. */
static void
snap_label(struct super *s, const struct uuid *uuid)
{
	char label[SUPER_LABEL_MAX + 1];
	const char *old = s->label;
	unsigned id;
	int end = 0, n;

	if (sscanf(old, "snap-%8x-%n", &id, &end) == 1 && end == 14)
		old += end;
	n = snprintf(label, sizeof(label), "snap-%02x%02x%02x%02x-",
	    uuid->b[0], uuid->b[1], uuid->b[2], uuid->b[3]);
	(void)snprintf(label + n, sizeof(label) - (size_t)n, "%.*s",
	    (int)utf8_cut(old, SUPER_LABEL_MAX - (size_t)n), old);
	memset(s->label, 0, sizeof(s->label));
	memcpy(s->label, label, strlen(label));
}

int
volume_resign(struct super *s, const struct disk_info *lun,
    const struct uuid *uuid, const char *label)
{
	if (label != NULL && (*label == '\0' ||
	    strlen(label) > SUPER_LABEL_MAX))
		return -EINVAL;
	if (label != NULL) {
		memset(s->label, 0, sizeof(s->label));
		memcpy(s->label, label, strlen(label));
	} else {
		snap_label(s, uuid);
	}
	s->new_uuid = *uuid;
	s->incompat |= FEATURE_INCOMPAT_RESIGNED;
	volume_rehome(s, lun);
	return 0;
}
