/* SPDX-License-Identifier: BSD-2-Clause */
/* Words about LUNs, the same in every program that takes one by name. */
#ifndef VMFS_BASE_LUN_TEXT_H
#define VMFS_BASE_LUN_TEXT_H

#include <stddef.h>

#include "libvmfs/base/err.h"

#define LUN_TEXT_SIZE 320

/* The name without the secret of an iscsi:// URL; returns text. */
char *lun_text(const char *lun, char text[LUN_TEXT_SIZE]);
/*
 * What went wrong with an open (negative error) of this LUN and what to do:
 * one sentence, no full stop.  Returns buf.
 */
char *lun_open_text(const char *lun, int error, char *buf, size_t size);
/* The same for reading the superblock of a datastore on it. */
char *lun_super_text(const char *lun, int error, char *buf, size_t size);

#endif
