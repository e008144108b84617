/* SPDX-License-Identifier: BSD-2-Clause */
/* Formats log lines and hands them to the sink. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "libvmfs/base/log.h"

#define LOG_LINE_SIZE 1024

static const char *const level_names[] = {
	[LOG_LEVEL_ERROR] = "error",
	[LOG_LEVEL_WARN] = "warn",
	[LOG_LEVEL_INFO] = "info",
	[LOG_LEVEL_DEBUG] = "debug",
};

const char *
log_level_name(enum log_level level)
{
	return level_names[level];
}

void
log_line(struct log *log, enum log_level level, const char *fmt, ...)
{
	char line[LOG_LINE_SIZE];
	va_list ap;

	if (log == NULL || level > log->level)
		return;
	va_start(ap, fmt);
	(void)vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	/* Text from peers must not forge lines of its own. */
	for (char *p = line; *p != '\0'; p++)
		if ((unsigned char)*p < ' ' || *p == 0x7f)
			*p = '?';
	log->sink(log, level, line);
}

void
log_sink_stderr(struct log *log, enum log_level level, const char *line)
{
	(void)log;
	/* One call, so that lines of several threads do not mix. */
	fprintf(stderr, "%s[%d]: %s: %s\n", program_invocation_short_name,
	    (int)getpid(), log_level_name(level), line);
}
