/* SPDX-License-Identifier: BSD-2-Clause */
/* The last take-overs: who, why, when, by whom, how far. */
#include <string.h>

#include "locking/lock_int.h"

const char *
takeover_cause_name(enum takeover_cause c)
{
	static const char *const names[] = {
		[TAKEOVER_SILENCE] = "silent",
		[TAKEOVER_OWN_PAST] = "own past",
		[TAKEOVER_ADMIN] = "admin",
		[TAKEOVER_RESUMED] = "resumed",
		[TAKEOVER_SEEN] = "seen",
	};

	return (unsigned)c < sizeof(names) / sizeof(*names) ? names[c] :
	    "unknown";
}

const char *
takeover_step_name(enum takeover_step s)
{
	static const char *const names[] = {
		[TAKEOVER_BEGUN] = "begun",
		[TAKEOVER_FENCED] = "fenced",
		[TAKEOVER_MARKED] = "marked",
		[TAKEOVER_REPLAYED] = "replayed",
		[TAKEOVER_FREED] = "freed",
	};

	return (unsigned)s < sizeof(names) / sizeof(*names) ? names[s] :
	    "unknown";
}

/* 0 is the oldest. */
static unsigned
place(const struct history *y, unsigned i)
{
	return (y->next + TAKEOVERS_KEPT - y->used + i) % TAKEOVERS_KEPT;
}

/* Where the one of that incarnation is, or -1. */
static int
find(const struct history *y, unsigned slot, uint64_t incarnation)
{
	for (unsigned i = y->used; i-- > 0;) {
		const struct takeover_report *r = &y->entry[place(y, i)];

		if (r->slot == slot && r->incarnation == incarnation)
			return (int)place(y, i);
	}
	return -1;
}

static int
find_pending(const struct history *y, unsigned slot, uint64_t incarnation)
{
	int i = find(y, slot, incarnation);

	return i >= 0 && y->entry[i].result != 0 ? i : -1;
}

const struct takeover_report *
history_pending(const struct host *h, unsigned slot, uint64_t incarnation)
{
	int i = find_pending(&h->history, slot, incarnation);

	return i < 0 ? NULL : &h->history.entry[i];
}

bool
history_stuck(const struct host *h, unsigned slot, uint64_t incarnation)
{
	const struct takeover_report *r = history_pending(h, slot,
	    incarnation);

	return r != NULL && r->result != -EINPROGRESS;
}

uint64_t
history_end(const struct host *h, unsigned slot, uint64_t incarnation)
{
	int i = find(&h->history, slot, incarnation);
	const uint64_t *at = i < 0 ? NULL : h->history.entry[i].at_us;

	if (at == NULL)
		return 0;
	return at[TAKEOVER_MARKED] != 0 ? at[TAKEOVER_MARKED] :
	    at[TAKEOVER_FREED];
}

/* `r` goes on where `old` stopped. */
static struct takeover_report
continued(const struct takeover_report *old, const struct takeover_report *r)
{
	struct takeover_report all = *r;

	all.tries = old->tries + (r->cause != TAKEOVER_SEEN);
	if (old->at_us[TAKEOVER_BEGUN] != 0)
		all.at_us[TAKEOVER_BEGUN] = old->at_us[TAKEOVER_BEGUN];
	for (int i = 0; i < TAKEOVER_STEPS; i++)
		if (all.at_us[i] == 0)
			all.at_us[i] = old->at_us[i];
	if (old->silent_ms > all.silent_ms && r->cause == TAKEOVER_SEEN)
		all.silent_ms = old->silent_ms;
	return all;
}

void
history_put(struct host *h, const struct takeover_report *r)
{
	struct history *y = &h->history;
	int before = find_pending(y, r->slot, r->incarnation);
	struct takeover_report *e = &y->entry[before < 0 ? (int)y->next :
	    before];
	bool first = before < 0;

	if (first) {
		y->next = (y->next + 1) % TAKEOVERS_KEPT;
		y->used += y->used < TAKEOVERS_KEPT;
		*e = *r;
		e->tries = r->cause != TAKEOVER_SEEN;
	} else {
		*e = continued(e, r);
	}
	if (h->conf.on_takeover != NULL && (e->result == 0 ||
	    (first && e->result != -EINPROGRESS)))
		h->conf.on_takeover(h->conf.arg, e);
}

/* Did this change end an incarnation, or go on with its end?  Who leaves in
 * good order does not change it. */
static bool
ends_one(const struct heartbeat *before, const struct heartbeat *now)
{
	if ((now->state != SLOT_RECOVERING && now->state != SLOT_FREE) ||
	    before->state == SLOT_FREE)
		return false;
	return before->state == SLOT_RECOVERING ?
	    now->incarnation == before->incarnation :
	    now->incarnation == before->incarnation + 1;
}

void
history_saw(struct host *h, const struct heartbeat *before,
    const struct heartbeat *now, uint64_t silent_ms)
{
	bool done = now->state == SLOT_FREE;
	struct takeover_report r = {
		.slot = now->slot, .incarnation = now->incarnation - 1,
		.cause = TAKEOVER_SEEN, .silent_ms = silent_ms,
		.result = done ? 0 : -EINPROGRESS,
	};

	if (!ends_one(before, now) || (now->recoverer == h->paths.slot &&
	    now->recoverer_incarnation == h->paths.incarnation))
		return;
	memcpy(r.name, now->name, sizeof(r.name));
	/* No mark any more: it was the host itself, that is back. */
	if (now->recoverer_incarnation == 0)
		memcpy(r.by, now->name, sizeof(r.by));
	else
		recoverer_name(h, now, r.by);
	r.net = h->member->ops->word(h->member, &now->host);
	r.at_us[done ? TAKEOVER_FREED : TAKEOVER_MARKED] =
	    h->env->wall_us(h->env);
	log_info(h->env->log, "takeover: seen state=%s by=\"%s\" slot=%u "
	    "host=\"%s\" incarnation=%llu", done ? "done" : "begun", r.by,
	    r.slot, r.name, (unsigned long long)r.incarnation);
	history_put(h, &r);
}

void
host_takeovers(const struct host *h,
    void (*fn)(void *arg, const struct takeover_report *r), void *arg)
{
	const struct history *y = &h->history;

	for (unsigned i = 0; i < y->used; i++)
		fn(arg, &y->entry[place(y, i)]);
}

bool
host_last_takeover(const struct host *h, struct takeover_report *ret_r)
{
	const struct history *y = &h->history;

	for (unsigned i = y->used; i-- > 0;) {
		const struct takeover_report *r =
		    &y->entry[place(y, i)];

		if (r->result != 0 || r->cause == TAKEOVER_SEEN)
			continue;
		*ret_r = *r;
		return true;
	}
	return false;
}
