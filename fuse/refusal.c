/* SPDX-License-Identifier: BSD-2-Clause */
/* Words for lock holders. */
#include <stdio.h>
#include <time.h>

#include "fuse/refusal.h"
#include "libvmfs/core/fs.h"

const char *
refusal_mode_name(enum lock_mode mode)
{
	switch (mode) {
	case LOCK_FREE:
		return "free";
	case LOCK_EXCLUSIVE:
		return "exclusive";
	case LOCK_SHARED:
		return "shared";
	case LOCK_MULTI_WRITER:
		return "multi-writer";
	}
	return "unknown";
}

const char *
refusal_state_name(enum holder_state state)
{
	switch (state) {
	case HOLDER_LIVE:
		return "alive";
	case HOLDER_SUSPECT:
		return "suspect";
	case HOLDER_RECOVERING:
		return "recovering";
	case HOLDER_DEAD:
		return "dead";
	case HOLDER_SELF:
		return "this host";
	}
	return "unknown";
}

char *
refusal_time(uint64_t wall_us, char text[REFUSAL_TIME_SIZE])
{
	time_t seconds = (time_t)(wall_us / 1000000);
	struct tm tm;

	if (wall_us == 0 || localtime_r(&seconds, &tm) == NULL ||
	    strftime(text, REFUSAL_TIME_SIZE, "%Y-%m-%d %H:%M:%S", &tm) == 0)
		(void)snprintf(text, REFUSAL_TIME_SIZE, "unknown");
	return text;
}

/* Seconds rounded up, so that "wait 1 s" never means none. */
static unsigned
seconds_of(uint64_t ms)
{
	return (unsigned)((ms + 999) / 1000);
}

static const char *
advise_here(const struct lock_holder *h)
{
	if (h->by & FS_BY_LUN)
		return "it is a LUN (vmfsctl lun ls): remove that first";
	if (h->by & FS_BY_EXPORT)
		return "it is attached: vmfsctl disk detach it first";
	if (h->by & FS_BY_MOUNT)
		return "a program has it open in the mount: close it there "
		    "first";
	return "close it here first";
}

/* What to do about a holder in this state. */
static void
advise(const struct lock_holder *h, const struct timers *timers, char *text,
    size_t size)
{
	switch (h->state) {
	case HOLDER_SELF:
		(void)snprintf(text, size, "it is in use on this host: %s",
		    advise_here(h));
		return;
	case HOLDER_LIVE:
		(void)snprintf(text, size, "power it off there; when that host "
		    "dies it is fenced after %u s, or by vmfsctl host fence",
		    seconds_of(timers->fence_ms));
		return;
	case HOLDER_SUSPECT:
		if (!h->stuck)
			(void)snprintf(text, size, "that host is silent and "
			    "will be fenced in %u s: try again then",
			    seconds_of(h->fence_in_ms));
		else
			(void)snprintf(text, size, "that host is silent but "
			    "cannot be fenced yet: vmfsctl host ls tells what "
			    "is in the way");
		return;
	case HOLDER_RECOVERING:
		(void)snprintf(text, size, "that host is dead and its journal "
		    "%s", h->stuck ? "cannot be replayed: vmfsctl host ls "
		    "tells why" : "is being replayed: try again in a moment");
		return;
	case HOLDER_DEAD:
		(void)snprintf(text, size, "that host is gone for certain: "
		    "whoever opens it next gets the lock");
		return;
	}
}

char *
refusal_text(const char *object, const struct lock_holder *h,
    const struct timers *timers, char text[REFUSAL_SIZE])
{
	char since[REFUSAL_TIME_SIZE], others[32] = "";
	const char *name = h->name[0] != '\0' ? h->name : "(unnamed)";
	int n;

	if (h->mode == LOCK_FREE) {
		(void)snprintf(text, REFUSAL_SIZE, "%s was locked by another "
		    "host a moment ago; try again", object);
		return text;
	}
	if (h->from[0] != '\0') {
		(void)snprintf(text, REFUSAL_SIZE, "%s is being handed over "
		    "to host %s by host %s (since %s); open it there, or end "
		    "that by vmfsctl disk handover --cancel on %s", object,
		    name, h->from, refusal_time(h->since_us, since), h->from);
		return text;
	}
	if (h->count > 1)
		(void)snprintf(others, sizeof(others), " and %u more",
		    h->count - 1);
	n = snprintf(text, REFUSAL_SIZE, "%s is locked by host %s%s (%s, since "
	    "%s, heartbeat %u s ago); ", object, name, others,
	    refusal_mode_name(h->mode), refusal_time(h->since_us, since),
	    (unsigned)(h->silent_ms / 1000));
	if (n < 0 || n >= REFUSAL_SIZE)
		return text;
	advise(h, timers, text + n, REFUSAL_SIZE - (size_t)n);
	return text;
}
