/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A lock goes from this host to one that it names, and to no third.  Instead of
 * free the record becomes an offer: the other host's, by whom it has not been
 * taken yet, and ours.  Whoever changes it next does so by a compare-and-write
 * against the image of the offer, so either the heir takes it or we take it
 * back, never both.  When we are over, it is void; clocks are not compared.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "locking/lock_int.h"
#include "locking/why.h"

struct heir {
	struct list node;
	uint64_t addr, deadline_ns;
	unsigned slot;
	uint64_t incarnation;
	struct uuid host;
	char name[HOST_NAME_MAX_BYTES + 1];
	bool offered, ending;
	bool tried;		/* in this round of handover_tidy */
	/* While it is offered: the process after this one takes it back. */
	uint32_t kept;
};

static struct heir *
heir_find(struct host *h, uint64_t addr)
{
	list_for_each(node, tmp, &h->lm.heirs) {
		struct heir *e = list_entry(node, struct heir, node);

		if (e->addr == addr)
			return e;
	}
	return NULL;
}

static void
heir_drop(struct host *h, struct heir *e)
{
	if (e->offered)
		host_keep_unlock(h->conf.keep, e->kept);
	list_del(&e->node);
	free(e);
}

/* Of the compare-and-write loop of give_back: the record is free by now. */
void
handover_offer(struct host *h, struct lockrec *rec)
{
	struct heir *e = heir_find(h, rec->addr);

	if (e == NULL || e->offered || e->ending || rec->mode != LOCK_FREE ||
	    env_now(h->env) >= e->deadline_ns)
		return;
	rec->mode = LOCK_EXCLUSIVE;
	rec->slot = e->slot;
	rec->incarnation = e->incarnation;
	rec->host = e->host;
	memcpy(rec->name, e->name, sizeof(rec->name));
	rec->since_us = h->env->wall_us(h->env);
	rec->offered = true;
	rec->from_slot = h->paths.slot;
	rec->from_incarnation = h->paths.incarnation;
}

bool
handover_ended(struct host *h, const struct lockrec *rec)
{
	const struct heir *e = heir_find(h, rec->addr);

	return rec->offered && (e == NULL || e->ending);
}

void
handover_given(struct host *h, const struct lockrec *rec)
{
	struct heir *e = heir_find(h, rec->addr);

	if (e != NULL && e->ending) {
		heir_drop(h, e);
		return;
	}
	if (e == NULL || !rec->offered)
		return;
	e->offered = true;
	host_keep_lock(h->conf.keep, e->addr, &e->kept);
	log_info(h->env->log, "lock: offered addr=%llu host=%s",
	    (unsigned long long)e->addr, e->name);
}

bool
handover_withdraw(struct host *h, struct lockrec *rec)
{
	const struct heir *e = heir_find(h, rec->addr);

	if (!rec->offered || rec->from_slot != h->paths.slot ||
	    rec->from_incarnation != h->paths.incarnation ||
	    (e != NULL && !e->ending))
		return false;
	*rec = (struct lockrec){
		.addr = rec->addr, .version = rec->version + 1,
		.nonce = env_random_u64(h->env),
		.lsn = rec->lsn < h->locks.lsn ? h->locks.lsn : rec->lsn,
	};
	return true;
}

void
handover_over(struct host *h, uint64_t addr)
{
	struct heir *e = heir_find(h, addr);

	if (e != NULL && (e->offered || e->ending))
		heir_drop(h, e);
}

/*
 * Suspends; e may be gone afterwards.  Not while a fiber of ours takes the lock
 * or gives it back: what that one has got would be freed, or what it is about
 * to offer forgotten.  It sees that this ends; handover_tidy does when it fails.
 */
static int
heir_end(struct host *h, struct heir *e)
{
	uint64_t addr = e->addr;
	int rc = 0;

	e->ending = true;
	if (lock_busy(h, addr))
		return 0;
	if (e->offered)
		rc = lock_take_back(h, addr);
	e = heir_find(h, addr);
	if (e != NULL && (rc == 0 || rc == -VMFS_ECORRUPT))
		heir_drop(h, e);
	return rc;
}

static struct heir *
heir_due(struct host *h, uint64_t now)
{
	list_for_each(node, tmp, &h->lm.heirs) {
		struct heir *e = list_entry(node, struct heir, node);

		if ((e->ending || now >= e->deadline_ns) && !e->tried &&
		    !lock_busy(h, e->addr))
			return e;
	}
	return NULL;
}

void
handover_tidy(struct host *h)
{
	uint64_t now = env_now(h->env);
	struct heir *e;

	list_for_each(node, tmp, &h->lm.heirs)
		list_entry(node, struct heir, node)->tried = false;
	while ((e = heir_due(h, now)) != NULL) {
		/* What fails keeps no other from its end. */
		e->tried = true;
		(void)heir_end(h, e);
	}
}

void
handover_fini(struct host *h)
{
	list_for_each(node, tmp, &h->lm.heirs)
		heir_drop(h, list_entry(node, struct heir, node));
}

/* ---- for the admin ---- */

int
host_hand_over(struct host *h, uint64_t addr, const char *to,
    uint64_t limit_ns, char *why)
{
	uint64_t silent, fence_in;
	struct heartbeat hb;
	struct heir *e;
	unsigned slot;
	int rc = admin_member(h, to, &slot, why);

	if (rc == 0)
		rc = slot_peek(h, slot, &hb);
	if (rc < 0)
		return rc;
	if (hb.state != SLOT_LIVE ||
	    watch_judge(h, slot, &silent, &fence_in) != HOLDER_LIVE) {
		why_say(why, "host \"%s\" does not answer: see vmfsctl host "
		    "ls", to);
		return -EHOSTDOWN;
	}
	/* It may have come while we looked. */
	e = heir_find(h, addr);
	if (e != NULL) {
		why_say(why, "it is being handed over to host \"%s\" already; "
		    "--cancel ends that", e->name);
		return -EBUSY;
	}
	e = calloc(1, sizeof(*e));
	if (e == NULL)
		return -ENOMEM;
	*e = (struct heir){
		.addr = addr, .deadline_ns = env_now(h->env) + limit_ns,
		.slot = slot, .incarnation = hb.incarnation, .host = hb.host,
	};
	(void)snprintf(e->name, sizeof(e->name), "%s", hb.name);
	list_add_tail(&h->lm.heirs, &e->node);
	return 0;
}

int
host_hand_over_end(struct host *h, uint64_t addr)
{
	struct heir *e = heir_find(h, addr);

	return e == NULL ? -ESRCH : heir_end(h, e);
}

bool
host_hand_over_offered(struct host *h, uint64_t addr)
{
	const struct heir *e = heir_find(h, addr);

	return e != NULL && e->offered;
}
