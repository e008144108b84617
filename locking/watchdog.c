/* SPDX-License-Identifier: BSD-2-Clause */
/* Who may pet the machine's watchdog, and when. */
#include <stdio.h>
#include <stdlib.h>

#include "libvmfs/env/shared.h"
#include "locking/watchdog.h"

struct watchdog_share {
	struct watchdog_share_conf conf;
	char name[64];
	struct shared_lock lock;
	/* Under the lock. */
	struct watchdog *dog;	/* NULL: not armed */
	struct list leases;
	bool starving;		/* that it is not petted was logged */
};

int
watchdog_share_new(const struct watchdog_share_conf *conf,
    struct watchdog_share **ret_s)
{
	struct watchdog_share *s = calloc(1, sizeof(*s));

	if (s == NULL)
		return -ENOMEM;
	s->conf = *conf;
	(void)snprintf(s->name, sizeof(s->name), "%s", conf->name);
	s->conf.name = s->name;
	shared_lock_init(&s->lock);
	list_init(&s->leases);
	*ret_s = s;
	return 0;
}

void
watchdog_share_free(struct watchdog_share *s)
{
	if (s == NULL)
		return;
	shared_lock_fini(&s->lock);
	free(s);
}

/* Under the lock. */
static int
arm(struct watchdog_share *s, char why[WHY_SIZE])
{
	int rc = s->conf.open(s->conf.arg, &s->dog);

	if (rc < 0) {
		why_say(why, "the watchdog %s cannot be armed: %s%s", s->name,
		    vmfs_strerror(rc), rc == -EBUSY ? "; another program has "
		    "it, perhaps systemd (RuntimeWatchdogSec)" : "");
		return rc;
	}
	log_info(s->conf.log, "watchdog: armed device=%s name=\"%s\" "
	    "timeout_ms=%u%s", s->name, s->dog->name, s->dog->timeout_ms,
	    s->dog->can_disarm ? "" : " note=\"it does not say that it can be "
	    "disarmed\"");
	return 0;
}

int
watchdog_enter(struct watchdog_share *s, struct watchdog_lease *l,
    uint64_t until_ns, char why[WHY_SIZE])
{
	int rc = 0;

	shared_enter(&s->lock);
	if (s->dog == NULL)
		rc = arm(s, why);
	if (rc == 0) {
		l->until_ns = until_ns;
		list_add_tail(&s->leases, &l->node);
	}
	shared_leave(&s->lock);
	return rc;
}

static bool
all_good(struct watchdog_share *s, uint64_t now_ns)
{
	list_for_each(node, next, &s->leases)
		if (list_entry(node, struct watchdog_lease, node)->until_ns <
		    now_ns)
			return false;
	return true;
}

static void
pet(struct watchdog_share *s, uint64_t now_ns)
{
	bool good = all_good(s, now_ns);
	int rc = good ? watchdog_pet(s->dog) : 0;

	if (good && rc == 0) {
		s->starving = false;
		return;
	}
	if (s->starving)
		return;
	s->starving = true;
	if (rc < 0)
		log_error(s->conf.log, "watchdog: device=%s cannot be petted: "
		    "%s; it may reset this machine", s->name,
		    vmfs_strerror(rc));
	else
		log_error(s->conf.log, "watchdog: not petted: a datastore has "
		    "lost its lease; this machine is reset in %u ms unless it "
		    "gets it back", s->dog->timeout_ms);
}

void
watchdog_renew(struct watchdog_share *s, struct watchdog_lease *l,
    uint64_t now_ns, uint64_t until_ns)
{
	shared_enter(&s->lock);
	l->until_ns = until_ns;
	pet(s, now_ns);
	shared_leave(&s->lock);
}

void
watchdog_leave(struct watchdog_share *s, struct watchdog_lease *l)
{
	shared_enter(&s->lock);
	list_del(&l->node);
	if (list_empty(&s->leases)) {
		watchdog_close(s->dog, true);
		s->dog = NULL;
		s->starving = false;
		log_info(s->conf.log, "watchdog: disarmed device=%s", s->name);
	}
	shared_leave(&s->lock);
}

const char *
watchdog_name(const struct watchdog_share *s)
{
	return s->name;
}

unsigned
watchdog_timeout_ms(struct watchdog_share *s)
{
	unsigned ms;

	shared_enter(&s->lock);
	ms = s->dog != NULL ? s->dog->timeout_ms : 0;
	shared_leave(&s->lock);
	return ms;
}

/* ---- the fiber ---- */

/* Until when this host's heartbeat is good as of now; 0: it is not. */
static uint64_t
good_until(const struct petter *p, uint64_t now_ns)
{
	uint64_t until = atomic_load(&p->guard->good_ns) +
	    p->guard->conf.freeze_ns;

	if (now_ns <= until)
		return until;
	if (p->strict || guard_status(p->guard) == HOST_OK ||
	    atomic_load(&p->guard->entering) > 0)
		return 0;
	/* I/O is held back until the lease is good again. */
	return now_ns + p->guard->conf.freeze_ns;
}

static void
petter_main(void *arg)
{
	struct petter *p = arg;

	while (!p->stop) {
		uint64_t now = env_now(p->env);

		watchdog_renew(p->share, &p->lease, now, good_until(p, now));
		(void)fiber_cond_wait_until(&p->wake, now + p->every_ns);
	}
	p->running = false;
	fiber_cond_broadcast(&p->wake);
}

int
petter_start(struct petter *p)
{
	int rc;

	fiber_cond_init(&p->wake);
	p->stop = false;
	p->running = true;
	rc = sched_spawn(p->env->sched, "watchdog", petter_main, p);
	if (rc < 0)
		p->running = false;
	return rc;
}

void
petter_stop(struct petter *p)
{
	p->stop = true;
	fiber_cond_broadcast(&p->wake);
	while (p->running)
		fiber_cond_wait(&p->wake);
}
