/* SPDX-License-Identifier: BSD-2-Clause */
/* One write(2) a line: slower than a buffer, but no kill takes lines along. */
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "vmfsd/write_log.h"

#define LINE_SIZE 1024

int
write_log_open(struct write_log *w, struct env *env, const char *path)
{
	*w = (struct write_log){ .env = env, .fd = -1 };
	if (path == NULL)
		return 0;
	w->fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640);
	return w->fd < 0 ? -errno : 0;
}

void
write_log_close(struct write_log *w)
{
	if (w->fd >= 0)
		(void)close(w->fd);
	w->fd = -1;
}

static const char *
fate_text(enum scsi_change_fate fate)
{
	switch (fate) {
	case SCSI_CHANGE_REFUSED:
		return "refused";
	case SCSI_CHANGE_ACCEPTED:
		return "accepted";
	case SCSI_CHANGE_ABORTED:
		break;
	}
	return "aborted";
}

void
write_log_change(void *arg, const struct scsi_change *ch)
{
	struct write_log *w = arg;
	char line[LINE_SIZE];
	int len = snprintf(line, sizeof(line), "%" PRIu64 "\t%" PRIu64
	    "\t%s\t%s\t%u\t%s\t%02x\t%s\t%" PRIu64 "\t%" PRIu64 "\t0x%016"
	    PRIx64 "\t0x%016" PRIx64 "\n", ++w->seq,
	    env_now(w->env) / 1000, ch->initiator_port,
	    ch->target, ch->lun, fate_text(ch->fate), ch->status, ch->command,
	    ch->lba, ch->blocks, ch->key, ch->sa_key);

	if (len < 0 || write(w->fd, line, (size_t)len) == len ||
	    atomic_exchange(&w->failed, true))
		return;
	log_error(w->env->log, "target: the write log cannot be written, "
	    "lines are missing from now on: %s", strerror(errno));
}
