/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A host's guest: opens disks as it can get them, reads them whole, writes,
 * flushes, punches, takes and removes snapshots; makes, clones, reverts,
 * renames and removes disks.  What it reads the oracle has to allow, and of
 * errors only those that the trouble of the run explains.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libvmfs/base/units.h"
#include "tests/sim/vsim.h"

#define PIECE 512u			/* sectors read at once */
#define BUF_BYTES (2048 * ORACLE_SECTOR)

static uint64_t
below(struct guest *g, uint64_t bound)
{
	return sim_below(&g->v->w.sim, bound);
}

static struct fs *
fs_of(const struct guest *g)
{
	return g->v->w.host[g->host].fs;
}

/* ---- errors ---- */

/* The host has lost its right or its life. */
static bool
is_over(struct guest *g, int rc)
{
	const struct world_host *wh = &g->v->w.host[g->host];

	return rc == -VMFS_EFENCED || rc == -VMFS_EGONE || rc == -ESHUTDOWN ||
	    wh->status == HOST_FENCED || g->crashed;
}

static bool
is_excused(struct guest *g, int rc)
{
	const unsigned io = TROUBLE_BIT(TROUBLE_READ) |
	    TROUBLE_BIT(TROUBLE_POWER), lost = TROUBLE_BIT(TROUBLE_STATUS) |
	    TROUBLE_BIT(TROUBLE_LOST) | TROUBLE_BIT(TROUBLE_POWER) |
	    TROUBLE_BIT(TROUBLE_PATHS) | TROUBLE_BIT(TROUBLE_DATA_PATH) |
	    TROUBLE_BIT(TROUBLE_OUTAGE) | TROUBLE_BIT(TROUBLE_MISCOMPARE);
	/* Kinds in which a host sits on the lock of a directory. */
	const unsigned sits = TROUBLE_BIT(TROUBLE_PAUSE) |
	    TROUBLE_BIT(TROUBLE_CRASH) | TROUBLE_BIT(TROUBLE_PATHS) |
	    TROUBLE_BIT(TROUBLE_DATA_PATH) | TROUBLE_BIT(TROUBLE_PULSE_PATH) |
	    TROUBLE_BIT(TROUBLE_STARVE) | TROUBLE_BIT(TROUBLE_SLOW) |
	    TROUBLE_BIT(TROUBLE_OUTAGE) | lost | io;
	const unsigned any = TROUBLE_BIT(TROUBLE_STRIKE);
	uint64_t ino;

	/* What was rotten when this host met it stays as it is until it mounts
	 * again, also when it is mended. */
	if (rc == -EROFS && fs_damaged(fs_of(g), 0, &ino))
		return true;
	if (g->v->calm)
		return false;
	return (rc == -EIO && (g->v->mask & (io | any))) ||
	    (rc == -VMFS_EUNKNOWN && (g->v->mask & (lost | any))) ||
	    (rc == -VMFS_ELOCKED && (g->v->mask & (sits | any))) ||
	    ((rc == -VMFS_ECORRUPT || rc == -VMFS_EMISCOMPARE ||
	    rc == -VMFS_ELOCKED) && rot_felt(g->v)) ||
	    ((rc == -VMFS_EATTENTION || rc == -VMFS_EMISCOMPARE) &&
	    (g->v->mask & any)) ||
	    /* EIO: it stopped for the lack of space. */
	    ((rc == -ENOSPC || rc == -EIO) &&
	    (g->v->mask & TROUBLE_BIT(TROUBLE_POOL)));
}

/* True: the guest goes on.  Notes what nothing explains. */
static bool
bear(struct guest *g, const char *what, const struct oracle_disk *d, int rc)
{
	struct vsim *v = g->v;

	if (rc == 0)
		return true;
	g->v->totals.damaged += rc == -VMFS_ECORRUPT;
	if (is_over(g, rc)) {
		g->stop = true;
		return false;
	}
	if (!is_excused(g, rc)) {
		world_fail(&v->w, "host%u: %s of %s: %s", g->host, what,
		    d != NULL ? d->name : "the datastore", vmfs_strerror(rc));
		return false;
	}
	if (ds_health(v->w.host[g->host].ds) < 0)
		g->sick = g->stop = true;
	return !g->sick;
}

static void
bad_sector(struct guest *g, const char *what, const struct oracle_disk *d,
    unsigned sector, uint64_t word)
{
	const struct oracle_sector *s = &d->sector[sector];

	world_fail(&g->v->w, "host%u: %s %s: sector %u shows %016" PRIx64
	    ", flushed %016" PRIx64 ", last %016" PRIx64 ", since %u issued %u"
	    "%s", g->host, what, d->name, sector, word, s->flushed, s->last,
	    s->since, s->issued, s->unsure ? " unsure" : "");
}

/* ---- content ---- */

static int
read_sectors(struct guest *g, struct fs_file *f, unsigned first,
    unsigned count)
{
	size_t got = 0, want = (size_t)count * ORACLE_SECTOR;
	int rc;

	memset(g->buf, 0xee, want);
	rc = fs_file_read(f, (uint64_t)first * ORACLE_SECTOR, g->buf, want,
	    &got);
	return rc < 0 ? rc : got == want ? 0 : -ENODATA;
}

static bool
verify(struct guest *g, struct oracle_disk *d, struct fs_file *f,
    unsigned first, unsigned count)
{
	unsigned bad;
	uint64_t word;

	for (unsigned n; count > 0; first += n, count -= n) {
		int rc;

		n = count < PIECE ? count : PIECE;
		rc = read_sectors(g, f, first, n);
		if (!bear(g, "read", d, rc) || rc < 0)
			return false;
		if (!oracle_read(&g->v->oracle, d, first, n, g->buf, &bad,
		    &word)) {
			bad_sector(g, "I3:", d, bad, word);
			return false;
		}
	}
	return true;
}

/* A read that failed tells nothing: no oracle then. */
static int
verify_snapshot(struct guest *g, const struct oracle_disk *d,
    const struct oracle_snap *s, struct fs_file *f)
{
	unsigned bad;
	uint64_t word;
	int rc = 0;

	for (unsigned at = 0, n; at < s->sectors && rc == 0; at += n) {
		n = s->sectors - at < PIECE ? s->sectors - at : PIECE;
		rc = read_sectors(g, f, at, n);
		if (rc == 0 && !oracle_snap_read(s, at, n, g->buf, &bad,
		    &word)) {
			world_fail(&g->v->w, "I7: host%u: snapshot %s of %s: "
			    "sector %u shows %016" PRIx64 ", was %016" PRIx64,
			    g->host, s->name, d->name, bad, word,
			    s->word[bad]);
			return 0;
		}
	}
	return rc;
}

static void
do_write(struct guest *g, struct oracle_disk *d, struct fs_file *f)
{
	unsigned first = (unsigned)below(g, d->sectors), count;
	int rc;

	switch (below(g, 8)) {
	case 0:		/* not aligned to blocks */
		count = 1 + (unsigned)below(g, 20);
		break;
	case 1:
		first &= ~7u;
		count = 8 * (1 + (unsigned)below(g, 255));
		break;
	default:
		first &= ~7u;
		count = 8 * (1 + (unsigned)below(g, 4));
		break;
	}
	if (count > d->sectors - first)
		count = d->sectors - first;
	oracle_write(&g->v->oracle, d, first, count, g->buf);
	rc = fs_file_write(f, (uint64_t)first * ORACLE_SECTOR, g->buf,
	    (size_t)count * ORACLE_SECTOR);
	if (rc < 0)
		oracle_failed(d, first, count);
	(void)bear(g, "write", d, rc);
}

static void
do_punch(struct guest *g, struct oracle_disk *d, struct fs_file *f)
{
	unsigned first = (unsigned)below(g, d->sectors) & ~7u;
	unsigned count = 8 * (1 + (unsigned)below(g, 64));
	int rc;

	if (count > d->sectors - first)
		count = d->sectors - first;
	oracle_punch(&g->v->oracle, d, first, count);
	rc = fs_file_punch(f, (uint64_t)first * ORACLE_SECTOR,
	    (uint64_t)count * ORACLE_SECTOR);
	if (rc < 0)
		oracle_failed(d, first, count);
	(void)bear(g, "punch", d, rc);
}

static bool
do_flush(struct guest *g, struct oracle_disk *d, struct fs_file *f)
{
	int rc = fs_file_flush(f);

	if (rc == 0)
		oracle_flushed(&g->v->oracle, d);
	else
		oracle_unsure(d);
	return bear(g, "flush", d, rc) && rc == 0;
}

/* ---- names that may or may not be ---- */

/*
 * What became of an operation of unknown outcome is known once a look-up has
 * an answer.  -ENOENT: there is no such disk, and the model agrees; -EAGAIN:
 * it cannot be seen now.
 */
static int
resolve(struct guest *g, struct oracle_disk *d, struct fs_attr *ret_a)
{
	struct fs *fs = fs_of(g);
	int rc = fs_lookup(fs, fs_root(fs), d->name, ret_a);

	if (rc == -ENOENT && d->other_name[0] != '\0') {
		rc = fs_lookup(fs, fs_root(fs), d->other_name, ret_a);
		if (rc == 0 && g->v->calm)
			memcpy(d->name, d->other_name, sizeof(d->name));
	}
	/* What a dead host began its journal may yet finish. */
	if (rc == 0 && (g->v->calm ||
	    (!d->doomed && d->other_name[0] == '\0'))) {
		d->being = BEING_SURE;
		d->other_name[0] = '\0';
	}
	/* Whoever made it may have died with the directory in its hands. */
	if (rc == -ENOENT && !g->v->calm && (d->being == BEING_SURE ||
	    d->doomed || d->other_name[0] != '\0'))
		return -EAGAIN;
	if (rc == -ENOENT) {
		if (d->being == BEING_SURE)
			world_fail(&g->v->w, "host%u: %s is gone", g->host,
			    d->name);
		d->being = BEING_NOT;
	}
	return rc;
}

static struct oracle_snap *
any_snap(struct guest *g, struct oracle_disk *d)
{
	struct oracle_snap *s = &d->snap[below(g, ORACLE_SNAPS)];

	return s->being == BEING_NOT || s->doomed ? NULL : s;
}

/*
 * The table of a disk that this host has not locked is as its owner left it at
 * his last checkpoint, so among trouble it may be old, or ahead of an inode
 * that it names: then -EAGAIN, nothing is known.
 */
static int
resolve_snap(struct guest *g, uint64_t ino, const struct oracle_disk *d,
    struct oracle_snap *s, struct fs_snapshot *ret_s)
{
	int rc = fs_snapshot_find(fs_of(g), ino, s->name, ret_s);
	bool locked = d->writer == (int)g->host || g->v->calm;

	if (rc == 0 && !s->doomed)
		s->being = BEING_SURE;
	if (!locked && (rc == -VMFS_ECORRUPT ||
	    (rc == -ENOENT && s->being == BEING_SURE)))
		return -EAGAIN;
	if (rc == -ENOENT) {
		if (s->being == BEING_SURE)
			world_fail(&g->v->w, "host%u: snapshot %s of %s is "
			    "gone", g->host, s->name, d->name);
		oracle_snap_forget(s);
	}
	return rc;
}

/* ---- snapshots of an open disk ---- */

static void
do_snapshot(struct guest *g, struct oracle_disk *d, struct fs_file *f,
    uint64_t ino)
{
	struct oracle_snap *s;
	struct fs_snapshot made;
	int rc;

	if (!do_flush(g, d, f))
		return;
	s = oracle_snapshot(&g->v->oracle, d);
	if (s == NULL)
		return;
	rc = fs_snapshot_create(fs_of(g), ino, s->name, &made, NULL);
	if (bear(g, "snapshot", d, rc) && rc == 0 && do_flush(g, d, f))
		s->being = BEING_SURE;
}

static void
do_snapshot_delete(struct guest *g, struct oracle_disk *d, uint64_t ino)
{
	struct oracle_snap *s = any_snap(g, d);
	struct fs_snapshot found;
	int rc;

	if (s == NULL)
		return;
	rc = resolve_snap(g, ino, d, s, &found);
	if (rc == -ENOENT || rc == -EAGAIN ||
	    !bear(g, "snapshot look-up", d, rc) || rc < 0)
		return;
	s->being = BEING_MAYBE;
	rc = fs_snapshot_delete(fs_of(g), ino, found.id, NULL);
	/* Cloned, or read on another host. */
	if (rc == -EBUSY || rc == -VMFS_ELOCKED)
		s->being = BEING_SURE;
	else if (rc == 0)
		oracle_snap_forget(s);
	else {
		s->doomed = true;
		(void)bear(g, "snapshot delete", d, rc);
	}
}

static void
session_step(struct guest *g, struct oracle_disk *d, struct fs_file *f,
    uint64_t ino)
{
	unsigned first;

	g->v->ops++;
	switch (below(g, 40)) {
	case 0:
		do_snapshot(g, d, f, ino);
		return;
	case 1:
		do_snapshot_delete(g, d, ino);
		return;
	case 2:
	case 3:
		do_punch(g, d, f);
		return;
	case 4: case 5: case 6: case 7: case 8: case 9:
		(void)do_flush(g, d, f);
		return;
	case 10: case 11: case 12: case 13: case 14: case 15:
		first = (unsigned)below(g, d->sectors);
		(void)verify(g, d, f, first, d->sectors - first < 64 ?
		    d->sectors - first : 64);
		return;
	default:
		do_write(g, d, f);
		return;
	}
}

/* ---- a session at one disk ---- */

static void
session_open(struct guest *g, struct oracle_disk *d, struct fs_file *f,
    uint64_t ino)
{
	uint64_t steps = 1 + below(g, 60);
	bool verified;
	int rc;

	d->writer = (int)g->host;
	/* Whose writes these were, and what became of them, tells the disk. */
	oracle_unsure(d);
	d->opening = true;
	verified = verify(g, d, f, 0, d->sectors);
	d->opening = false;
	if (verified) {
		while (steps-- > 0 && !g->stop && !world_failed(&g->v->w)) {
			session_step(g, d, f, ino);
			if (below(g, 4) == 0)
				fiber_sleep(below(g, 20 * g->v->slow) *
				    NSEC_PER_MSEC);
		}
	}
	d->writer = -1;
	rc = fs_file_close(f);
	if (rc == 0)
		oracle_flushed(&g->v->oracle, d);
	(void)bear(g, "close", d, rc);
}

/* Somebody else's: the lock must say so while he lives. */
static void
try_stolen(struct guest *g, struct oracle_disk *d)
{
	struct world *w = &g->v->w;
	const struct world_host *owner;
	struct lock_holder holder;
	struct fs *fs = fs_of(g);
	struct fs_file *f;
	struct fs_attr a;
	int rc = fs_lookup(fs, fs_root(fs), d->name, &a), writer = d->writer;

	if (rc < 0 || writer < 0 || writer == (int)g->host)
		return;
	rc = fs_file_open(fs, a.ino, 0, FS_READ | FS_WRITE, &f, &holder);
	if (rc < 0)
		return;
	owner = &w->host[writer];
	if (d->writer == writer && !g->v->guest[writer].crashed &&
	    owner->host != NULL && host_status(owner->host) == HOST_OK &&
	    w->lun.nexus[2 * writer].path == PATH_UP &&
	    g->v->judge.ended[writer] != g->v->judge.incarnation[writer])
		world_fail(w, "I1: host%u opened %s, which host%d is writing",
		    g->host, d->name, writer);
	(void)!fs_file_close(f);
}

static void
work_on(struct guest *g, struct oracle_disk *d)
{
	struct lock_holder holder = { 0 };
	struct fs_file *f;
	struct fs_attr a;
	int rc = resolve(g, d, &a);

	if (rc == -ENOENT || rc == -EAGAIN || !bear(g, "look-up", d, rc) ||
	    rc < 0)
		return;
	rc = fs_file_open(fs_of(g), a.ino, 0, FS_READ | FS_WRITE, &f, &holder);
	/* The deletion that a dead host began was finished since the look-up. */
	if (rc == -ESTALE && d->doomed && !g->v->calm)
		return;
	if (rc == -VMFS_ELOCKED)	/* a dead host's, not taken over yet */
		fiber_sleep(below(g, 2000) * NSEC_PER_MSEC);
	else if (bear(g, "open", d, rc) && rc == 0)
		session_open(g, d, f, a.ino);
}

/* ---- closed disks ---- */

static void
do_create(struct guest *g)
{
	struct oracle_disk *d = oracle_new(&g->v->oracle,
	    8 * (64 + (unsigned)below(g, 400)));
	struct fs *fs = fs_of(g);
	struct fs_attr a;
	int rc;

	if (d == NULL)
		return;
	d->busy = true;
	rc = fs_create(fs, fs_root(fs), d->name, INODE_DISK, 0600, 0, 0,
	    (uint64_t)d->sectors * ORACLE_SECTOR, &a);
	if (bear(g, "create", d, rc) && rc == 0)
		d->being = BEING_SURE;
	d->busy = false;
}

static void
do_remove(struct guest *g, struct oracle_disk *d)
{
	struct lock_holder holder;
	struct fs *fs = fs_of(g);
	enum oracle_being before = d->being;
	int rc;

	d->being = BEING_MAYBE;
	rc = fs_unlink(fs, fs_root(fs), d->name, &holder);
	if (rc == -VMFS_ELOCKED || rc == -EBUSY)
		d->being = before;
	else if (rc == -ENOENT && before == BEING_SURE && g->v->calm)
		world_fail(&g->v->w, "host%u: %s was gone already", g->host,
		    d->name);
	else if (rc == 0)
		d->being = BEING_NOT;
	else if (rc != -ENOENT) {
		d->doomed = true;
		(void)bear(g, "unlink", d, rc);
	}
}

static void
do_rename(struct guest *g, struct oracle_disk *d)
{
	struct lock_holder holder;
	struct fs *fs = fs_of(g);
	char name[sizeof(d->name)];
	int rc;

	if (d->being != BEING_SURE || d->other_name[0] != '\0')
		return;
	snprintf(name, sizeof(name), "moved%u", ++g->v->oracle.last_id);
	memcpy(d->other_name, name, sizeof(name));
	rc = fs_rename(fs, fs_root(fs), d->name, fs_root(fs), name, 0,
	    &holder);
	if (rc == -VMFS_ELOCKED)
		d->other_name[0] = '\0';
	else if (bear(g, "rename", d, rc) && rc == 0) {
		memcpy(d->name, name, sizeof(name));
		d->other_name[0] = '\0';
	}
}

static void
do_revert(struct guest *g, struct oracle_disk *d, uint64_t ino)
{
	struct oracle_snap *s = any_snap(g, d);
	struct lock_holder holder;
	struct fs_snapshot found;
	int rc;

	if (s == NULL)
		return;
	rc = resolve_snap(g, ino, d, s, &found);
	if (rc == -ENOENT || rc == -EAGAIN ||
	    !bear(g, "snapshot look-up", d, rc) || rc < 0)
		return;
	oracle_maybe_reverted(&g->v->oracle, d, s);
	rc = fs_snapshot_revert(fs_of(g), ino, found.id, &holder);
	if (rc == 0)
		oracle_reverted(&g->v->oracle, d, s);
	else if (rc == -VMFS_ELOCKED)
		oracle_not_reverted(d, s);
	else
		(void)bear(g, "revert", d, rc);
}

static void
do_clone(struct guest *g, struct oracle_disk *d, uint64_t ino)
{
	struct oracle_snap *s = any_snap(g, d);
	struct lock_holder holder;
	struct oracle_disk *c;
	struct fs *fs = fs_of(g);
	struct fs_snapshot found;
	struct fs_attr a;
	int rc;

	if (s == NULL)
		return;
	rc = resolve_snap(g, ino, d, s, &found);
	if (rc == -ENOENT || rc == -EAGAIN ||
	    !bear(g, "snapshot look-up", d, rc) || rc < 0)
		return;
	c = oracle_clone(&g->v->oracle, s);
	if (c == NULL)
		return;
	c->busy = true;
	rc = fs_clone(fs, found.ino, fs_root(fs), c->name, 0600, 0, 0, &a,
	    &holder);
	if (rc == -VMFS_ELOCKED)
		;		/* perhaps; the next look-up tells */
	else if (bear(g, "clone", c, rc) && rc == 0)
		c->being = BEING_SURE;
	c->busy = false;
}

static void
look_at_snapshot(struct guest *g, struct oracle_disk *d, uint64_t ino)
{
	struct oracle_snap *s = any_snap(g, d);
	struct lock_holder holder;
	struct fs_snapshot found;
	struct fs_file *f;
	int rc;

	if (s == NULL)
		return;
	rc = resolve_snap(g, ino, d, s, &found);
	if (rc == -ENOENT || rc == -EAGAIN ||
	    !bear(g, "snapshot look-up", d, rc) || rc < 0)
		return;
	rc = fs_file_open(fs_of(g), found.ino, 0, FS_READ, &f, &holder);
	if (rc == -VMFS_ELOCKED || ((rc == -ENOENT || rc == -ESTALE) &&
	    !g->v->calm))
		return;
	if (!bear(g, "snapshot open", d, rc) || rc < 0)
		return;
	rc = verify_snapshot(g, d, s, f);
	(void)bear(g, "snapshot read", d, rc);
	(void)bear(g, "snapshot close", d, fs_file_close(f));
}

static void
manage(struct guest *g, struct oracle_disk *d)
{
	struct fs_attr a;
	int rc = resolve(g, d, &a);

	g->v->ops++;
	if (rc == -ENOENT || rc == -EAGAIN || !bear(g, "look-up", d, rc) ||
	    rc < 0)
		return;
	switch (below(g, 8)) {
	case 0:
		do_remove(g, d);
		return;
	case 1:
		do_rename(g, d);
		return;
	case 2:
		do_revert(g, d, a.ino);
		return;
	case 3: case 4:
		do_clone(g, d, a.ino);
		return;
	default:
		look_at_snapshot(g, d, a.ino);
		return;
	}
}

/* ---- life ---- */

static void
guest_step(struct guest *g)
{
	struct oracle_disk *d = &g->v->oracle.disk[below(g, ORACLE_DISKS)];

	if (d->busy) {
		try_stolen(g, d);
		return;
	}
	if (d->being == BEING_NOT) {
		do_create(g);
		return;
	}
	d->busy = true;
	if (below(g, 3) == 0)
		manage(g, d);
	else
		work_on(g, d);
	d->busy = false;
	if (d->being == BEING_NOT)
		oracle_forget(d);
}

static void
guest_main(void *arg)
{
	struct guest *g = arg;

	while (!g->stop && !world_failed(&g->v->w)) {
		guest_step(g);
		/* All that was asked for is done: only to be alive. */
		fiber_sleep(below(g, g->v->ops < g->v->conf.ops ?
		    30 * g->v->slow : 2000) * NSEC_PER_MSEC);
	}
	free(g->buf);
	g->running = false;
}

static void
guest_init(struct vsim *v, unsigned host, struct guest *g)
{
	*g = (struct guest){ .v = v, .host = host };
	g->buf = disk_buf_alloc(BUF_BYTES);
	if (g->buf == NULL)
		abort();
}

void
guest_start(struct vsim *v, unsigned host)
{
	struct guest *g = &v->guest[host];

	guest_init(v, host, g);
	g->running = true;
	if (sched_spawn(v->w.host[host].env.sched, "guest", guest_main, g) < 0)
		abort();
}

void
guest_stop(struct vsim *v, unsigned host)
{
	struct guest *g = &v->guest[host];

	g->stop = true;
	while (g->running)
		fiber_sleep(5 * NSEC_PER_MSEC);
}

static void
look_at(struct guest *g, struct oracle_disk *d)
{
	struct lock_holder holder;
	struct fs_file *f;
	struct fs_attr a;
	int rc = resolve(g, d, &a);

	if (rc == -ENOENT || !bear(g, "last look-up", d, rc) || rc < 0)
		return;
	rc = fs_file_open(fs_of(g), a.ino, 0, FS_READ | FS_WRITE, &f,
	    &holder);
	if (!bear(g, "last open", d, rc) || rc < 0)
		return;
	oracle_unsure(d);
	d->opening = true;
	(void)verify(g, d, f, 0, d->sectors);
	d->opening = false;
	(void)bear(g, "last close", d, fs_file_close(f));
	for (unsigned i = 0; i < ORACLE_SNAPS; i++) {
		struct fs_snapshot found;

		if (d->snap[i].being == BEING_NOT || d->snap[i].doomed ||
		    resolve_snap(g, a.ino, d, &d->snap[i], &found) < 0)
			continue;
		rc = fs_file_open(fs_of(g), found.ino, 0, FS_READ, &f,
		    &holder);
		if (!bear(g, "last snapshot open", d, rc) || rc < 0)
			return;
		(void)bear(g, "last snapshot read", d,
		    verify_snapshot(g, d, &d->snap[i], f));
		(void)bear(g, "last snapshot close", d, fs_file_close(f));
	}
}

static int
look_at_all(struct world *w, unsigned host)
{
	struct vsim *v = container_of(w, struct vsim, w);
	struct guest g;

	guest_init(v, host, &g);
	for (unsigned i = 0; i < ORACLE_DISKS && !world_failed(&v->w); i++)
		if (v->oracle.disk[i].being != BEING_NOT)
			look_at(&g, &v->oracle.disk[i]);
	free(g.buf);
	return 0;
}

void
guest_look_at_all(struct vsim *v, unsigned host)
{
	(void)world_call(&v->w, host, look_at_all);
}
