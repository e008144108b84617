/* SPDX-License-Identifier: BSD-2-Clause */
/* Sinks of the log: a file, stderr, syslog. */
#include <stdio.h>
#include <string.h>
#include <syslog.h>
#include <time.h>

#include "vmfsd/log_open.h"

static const int syslog_levels[] = {
	[LOG_LEVEL_ERROR] = LOG_ERR,
	[LOG_LEVEL_WARN] = LOG_WARNING,
	[LOG_LEVEL_INFO] = LOG_INFO,
	[LOG_LEVEL_DEBUG] = LOG_DEBUG,
};

static void
sink_syslog(struct log *log, enum log_level level, const char *line)
{
	(void)log;
	syslog(syslog_levels[level], "%s", line);
}

static void
sink_file(struct log *log, enum log_level level, const char *line)
{
	char when[32];
	struct timespec ts;
	struct tm tm;

	(void)clock_gettime(CLOCK_REALTIME, &ts);
	(void)localtime_r(&ts.tv_sec, &tm);
	(void)strftime(when, sizeof(when), "%Y-%m-%d %H:%M:%S", &tm);
	fprintf(log->arg, "%s.%03ld %s: %s\n", when, ts.tv_nsec / 1000000,
	    log_level_name(level), line);
}

void
log_to_syslog(struct log *log)
{
	log->sink = sink_syslog;
}

/* What others wait for does not end for want of a log. */
static int
go_elsewhere(const struct options *o, int error, struct log *log)
{
	if (o->daemonize)
		log_to_syslog(log);
	log_warn(log, "vmfsd: cannot open log file '%s': %s; the log goes on "
	    "here until vmfsd is started again", o->log_file,
	    vmfs_strerror(error));
	return 0;
}

int
log_open(const struct options *o, bool goes_on, struct log *ret_log)
{
	FILE *f;

	*ret_log = (struct log){ .level = o->level, .sink = log_sink_stderr };
	if (o->log_file == NULL)
		return 0;
	f = fopen(o->log_file, "ae");
	if (f == NULL) {
		int rc = -errno;

		if (goes_on)
			return go_elsewhere(o, rc, ret_log);
		fprintf(stderr, "vmfsd: cannot open log file '%s': %s\n",
		    o->log_file, strerror(-rc));
		return rc;
	}
	(void)setvbuf(f, NULL, _IOLBF, 0);
	ret_log->arg = f;
	ret_log->sink = sink_file;
	return 0;
}

void
log_close(struct log *log)
{
	if (log->arg != NULL)
		(void)fclose(log->arg);
	log->arg = NULL;
}
