/* SPDX-License-Identifier: BSD-2-Clause */
/* The life of one leg: opened, watched, checked before it carries anything. */
#include <string.h>

#include "iscsi/mpath_int.h"

#define ASC_RESERVATIONS 0x2a	/* with 03 to 05 */

const char *
mpath_state_name(enum mpath_state s)
{
	static const char *const names[] = {
		[MPATH_LOST] = "lost",
		[MPATH_CHECKING] = "checking",
		[MPATH_ACTIVE] = "active",
		[MPATH_INACTIVE] = "standby",
		[MPATH_LATE] = "not registered",
		[MPATH_PROBATION] = "being registered",
		[MPATH_REFUSED] = "another LUN",
		[MPATH_LESSER] = "can do less",
	};

	return names[s];
}

const char *
mpath_access_name(uint8_t access)
{
	static const char *const names[] = {
		[MPATH_OPTIMIZED] = "optimized",
		[MPATH_NON_OPTIMIZED] = "non-optimized",
		[MPATH_STANDBY] = "standby",
		[MPATH_UNAVAILABLE] = "unavailable",
		[MPATH_LBA_DEPENDENT] = "lba-dependent",
		[MPATH_OFFLINE] = "offline",
		[MPATH_TRANSITIONING] = "transitioning",
	};

	return access < sizeof(names) / sizeof(names[0]) &&
	    names[access] != NULL ? names[access] : "unknown";
}

/* ---- states ---- */

static void
count_late(struct mpath *mp)
{
	unsigned n = 0;

	for (unsigned i = 0; i < mp->count; i++)
		n += mp->legs[i].state == MPATH_LATE;
	atomic_store(&mp->late, n);
}

void
leg_state_set(struct leg *l, enum mpath_state s)
{
	struct mpath *mp = l->mp;

	if (l->state == s)
		return;
	if (s != MPATH_CHECKING)
		log_line(mp->env->log, s == MPATH_ACTIVE ? LOG_LEVEL_INFO :
		    LOG_LEVEL_WARN, "mpath: lun=%s path=%s state=\"%s\" "
		    "access=%s group=%u", mp->name, l->conf.portal,
		    mpath_state_name(s), mpath_access_name(l->look.access),
		    l->look.group);
	l->state = s;
	l->since_us = mp->env->wall_us(mp->env);
	count_late(mp);
	fiber_cond_broadcast(&mp->changed);
}

void
leg_lost(struct leg *l, bool changes)
{
	l->haunted = l->haunted || changes;
	l->lost_ns = env_now(l->mp->env);
	if (l->state != MPATH_LOST) {
		l->losses++;
		leg_state_set(l, MPATH_LOST);
	}
}

void
leg_doubt(struct leg *l)
{
	l->stale = true;
	if (l->state == MPATH_ACTIVE)
		leg_state_set(l, MPATH_CHECKING);
}

void
leg_settle(struct leg *l)
{
	bool good = l->look.access <= MPATH_NON_OPTIMIZED;

	leg_state_set(l, good ? MPATH_ACTIVE : MPATH_INACTIVE);
	mpath_pump(l->mp);
}

bool
leg_registrable(const struct leg *l)
{
	return l->state == MPATH_ACTIVE || (l->state == MPATH_INACTIVE &&
	    l->look.access == MPATH_STANDBY);
}

/* ---- commands of our own ---- */

static void
leg_enter(struct leg *l)
{
	while (l->mp->killing)
		fiber_cond_wait(&l->mp->changed);
	l->in_flight++;
}

static void
leg_leave(struct leg *l)
{
	if (--l->in_flight == 0)
		fiber_cond_broadcast(&l->mp->drained);
}

static void
keep_attention(struct leg *l, const struct disk_sense *s)
{
	if (s->asc == ASC_RESERVATIONS && s->ascq >= 0x03 && s->ascq <= 0x05)
		l->attention = *s;
}

int
leg_run(struct leg *l, struct disk_req *req)
{
	int rc = -ENOTCONN;

	for (int i = 0; i < MPATH_TRIES; i++) {
		leg_enter(l);
		if (l->state == MPATH_LOST) {
			leg_leave(l);
			return -ENOTCONN;
		}
		rc = disk_run(l->disk, req);
		leg_leave(l);
		if (rc != -VMFS_EATTENTION)
			break;
		keep_attention(l, &req->sense);
	}
	if (rc == -ENOTCONN) {
		leg_lost(l, false);
	} else if (rc == -VMFS_EUNKNOWN) {
		l->errors++;
		if (!leg_answered_all(l))
			leg_lost(l, mpath_changes(req->op));
	}
	return rc;
}

static int
leg_look(struct leg *l)
{
	struct mpath_look look = { 0 };
	int rc;

	leg_enter(l);
	rc = l->conf.ops->look(l->disk, &look);
	leg_leave(l);
	if (rc < 0)
		return rc;
	if (look.attention.status != 0)
		keep_attention(l, &look.attention);
	if (look.access != l->look.access || look.group != l->look.group)
		log_info(l->mp->env->log, "mpath: lun=%s path=%s access=%s "
		    "group=%u", l->mp->name, l->conf.portal,
		    mpath_access_name(look.access), look.group);
	l->look = look;
	return 0;
}

/* ---- up ---- */

/* What users count on and this leg does not have; that it may be written is one
 * of these. */
static unsigned
lacking(const struct disk_info *lun, const struct disk_info *leg)
{
	return (lun->caps ^ DISK_CAP_READONLY) &
	    ~(leg->caps ^ DISK_CAP_READONLY);
}

/* The first leg to answer says what the LUN is. */
static int
compare(struct leg *l)
{
	struct mpath *mp = l->mp;
	const struct disk_info *info = &l->disk->info;

	l->lacks = 0;
	if (info->serial[0] == '\0')
		return -ENOTUNIQ;
	if (mp->disk.info.block_size == 0) {
		mp->disk.info = *info;
		memcpy(mp->disk.info.name, mp->name,
		    sizeof(mp->disk.info.name));
		return 0;
	}
	if (strcmp(info->serial, mp->disk.info.serial) != 0 ||
	    info->block_size != mp->disk.info.block_size)
		return -EXDEV;
	if (mp->opened) {
		l->lacks = lacking(&mp->disk.info, info);
		return l->lacks != 0 ? -EXDEV : 0;
	}
	/* What one leg cannot do, the LUN cannot do. */
	mp->disk.info.caps &= info->caps | DISK_CAP_READONLY;
	mp->disk.info.caps |= info->caps & DISK_CAP_READONLY;
	return 0;
}

static const char *
cap_name(unsigned caps)
{
	static const struct {
		unsigned cap;
		const char *name;
	} names[] = {
		{ DISK_CAP_READONLY, "writing" },
		{ DISK_CAP_CAW, "COMPARE AND WRITE" },
		{ DISK_CAP_PR, "persistent reservations" },
		{ DISK_CAP_RESERVE, "RESERVE" },
		{ DISK_CAP_UNMAP, "UNMAP" },
		{ DISK_CAP_MAP, "GET LBA STATUS" },
	};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if ((caps & names[i].cap) != 0)
			return names[i].name;
	return "all";
}

static void
tell_refusal(const struct leg *l)
{
	const struct mpath *mp = l->mp;

	if (l->lacks != 0)
		log_error(mp->env->log, "mpath: lun=%s path=%s refused: by "
		    "it the LUN is not for %s, and by the others it is in use "
		    "for that; make its portal like theirs", mp->name,
		    l->conf.portal, cap_name(l->lacks));
	else
		log_error(mp->env->log, "mpath: lun=%s path=%s refused: it "
		    "shows the LUN \"%s\", not \"%s\"", mp->name,
		    l->conf.portal, l->disk->info.serial,
		    mp->disk.info.serial);
}

static int
leg_open(struct leg *l)
{
	int rc = l->conf.ops->open(l->conf.arg, &l->disk);

	if (rc < 0)
		return rc;
	rc = compare(l);
	if (rc == 0)
		return 0;
	tell_refusal(l);
	disk_close(l->disk);
	l->disk = NULL;
	return rc;
}

/* Everything that is to be known before it carries a request. */
static void
check(struct leg *l)
{
	struct mpath *mp = l->mp;
	int rc;

	l->stale = false;
	rc = leg_look(l);
	if (rc == 0 && mp->key != 0 &&
	    l->look.access <= MPATH_NON_OPTIMIZED) {
		rc = mpath_pr_confirm(l);
		if (rc == -VMFS_ECONFLICT) {
			l->unchecked = true;
			rc = 0;
		}
	}
	l->gone = rc == -VMFS_EGONE;
	if (rc < 0) {
		l->again_ns = env_now(mp->env) + MPATH_REOPEN_NS;
		leg_lost(l, false);
	} else if (l->unchecked && mp->key != 0) {
		leg_state_set(l, MPATH_LATE);
		mpath_pump(mp);
	} else if (!l->stale) {
		leg_settle(l);
	}
}

/* Returns when to try again, if not at once. */
static uint64_t
come_up(struct leg *l)
{
	uint64_t epoch;

	if (l->disk == NULL) {
		l->error = leg_open(l);
		l->tried = l->tried || l->error < 0;
		if (l->error == -EXDEV)
			leg_state_set(l, l->lacks != 0 ? MPATH_LESSER :
			    MPATH_REFUSED);
		if (l->error < 0)
			return l->error == -EXDEV ? MPATH_REFUSED_NS :
			    MPATH_REOPEN_NS;
	}
	if (!l->conf.ops->alive(l->disk, &epoch) || (epoch == l->epoch &&
	    (l->haunted || env_now(l->mp->env) < l->again_ns)))
		return MPATH_POLL_NS;
	/* A new session: the target has ended what the old one left. */
	l->haunted = false;
	l->epoch = epoch;
	leg_state_set(l, MPATH_CHECKING);
	return 0;
}

static uint64_t
watch_over(struct leg *l)
{
	uint64_t epoch;

	if (!l->conf.ops->alive(l->disk, &epoch)) {
		leg_lost(l, false);
		return MPATH_POLL_NS;
	}
	if (epoch != l->epoch || l->stale) {
		l->epoch = epoch;
		leg_state_set(l, MPATH_CHECKING);
		return 0;
	}
	if (l->state != MPATH_INACTIVE)
		return MPATH_POLL_NS;
	if (leg_look(l) == 0 && l->look.access <= MPATH_NON_OPTIMIZED) {
		leg_state_set(l, MPATH_CHECKING);
		return 0;
	}
	return MPATH_LOOK_NS;
}

static uint64_t
leg_step(struct leg *l)
{
	switch (l->state) {
	case MPATH_LOST:
	case MPATH_REFUSED:
	case MPATH_LESSER:
		return come_up(l);
	case MPATH_CHECKING:
		check(l);
		l->tried = true;
		fiber_cond_broadcast(&l->mp->changed);
		return MPATH_POLL_NS;
	case MPATH_ACTIVE:
	case MPATH_INACTIVE:
	case MPATH_LATE:
	case MPATH_PROBATION:
		break;
	}
	return watch_over(l);
}

static void
leg_main(void *arg)
{
	struct leg *l = arg;
	struct mpath *mp = l->mp;

	while (!mp->stopping) {
		uint64_t until = leg_step(l) + env_now(mp->env);
		enum mpath_state after = l->state;

		while (!mp->stopping && l->state == after &&
		    env_now(mp->env) < until)
			(void)fiber_cond_wait_until(&mp->changed, until);
	}
	mp->fibers--;
	fiber_cond_broadcast(&mp->changed);
}

int
leg_start(struct leg *l)
{
	int rc = sched_spawn(l->mp->home, "mpath-leg", leg_main, l);

	if (rc == 0)
		l->mp->fibers++;
	return rc;
}
