/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Log port.  A library reports through the struct log it was given; only the
 * programs decide where lines go.  One line is `subsys: event key=value ...`.
 */
#ifndef VMFS_BASE_LOG_H
#define VMFS_BASE_LOG_H

#include <stdarg.h>

#include "libvmfs/base/err.h"

enum log_level {
	LOG_LEVEL_ERROR,	/* data or service lost; the admin must act */
	LOG_LEVEL_WARN,		/* refused or degraded; the admin should look */
	LOG_LEVEL_INFO,		/* state changed: mounted, fenced, logged in */
	LOG_LEVEL_DEBUG,
};

struct log {
	enum log_level level;	/* lines above it are dropped */
	/* Takes one line without newline.  Called from any thread. */
	void (*sink)(struct log *log, enum log_level level, const char *line);
	void *arg;
};

/* A NULL log drops everything. Lines are cut at 1023 bytes. */
void log_line(struct log *log, enum log_level level, const char *fmt, ...)
    PRINTF_LIKE(3, 4);

#define log_error(log, ...) log_line(log, LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warn(log, ...) log_line(log, LOG_LEVEL_WARN, __VA_ARGS__)
#define log_info(log, ...) log_line(log, LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(log, ...) log_line(log, LOG_LEVEL_DEBUG, __VA_ARGS__)

/* "error", "warn", "info", "debug". */
const char *log_level_name(enum log_level level);
/* Sink that writes "name[pid]: level: line" to stderr, for programs. */
void log_sink_stderr(struct log *log, enum log_level level, const char *line);

#endif
