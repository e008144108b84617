/* SPDX-License-Identifier: BSD-2-Clause */
/* The LUNs of a datastore as one disk: requests go where their address is. */
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "libvmfs/base/cleanup.h"
#include "libvmfs/base/units.h"
#include "libvmfs/core/extents.h"

/* A place, once published, keeps its uuid, first and lun_at for good. */
struct place {
	struct uuid uuid;
	uint64_t first;			/* bytes, of the disk */
	uint64_t lun_at;		/* bytes, of the LUN */
	_Atomic uint64_t end;		/* of the disk; 0: no longer there */
	_Atomic(struct disk *) lun;	/* NULL: missing */
	_Atomic unsigned busy;		/* requests that may have seen lun */
	struct disk *left;		/* no longer lun; to be closed */
	_Atomic bool gone;		/* it said so, or is silent for long */
	_Atomic uint64_t silent_ns;	/* since then no answer; 0: it answers */
	/* Changes that have ended, and how many of them a flush has reached:
	 * one that is under way counts for nobody before it has ended. */
	_Atomic uint64_t written, flushed;
	struct extents *all;
	_Atomic uint64_t lost_at;	/* the last of extents.losses here */
	bool placed;			/* first and end are set */
};

struct extents {
	struct disk disk;
	_Atomic unsigned n;
	_Atomic uint64_t losses;
	unsigned holds;
	struct place place[EXTENTS_SEEN_MAX];
};

struct piece {
	struct disk_req req;
	struct disk_req *parent;
	struct place *place;
	uint64_t written;		/* FLUSH: the changes that it reaches */
};

struct flush {
	struct disk_req *parent;
	unsigned left;
	int result;
	unsigned n;
	struct piece piece[];
};

static struct extents *
extents_of(struct disk *d)
{
	return container_of(d, struct extents, disk);
}

/* ---- requests ---- */

static bool
changes(enum disk_op op)
{
	return op == DISK_WRITE || op == DISK_CAW || op == DISK_WRITE_ZEROES ||
	    op == DISK_UNMAP;
}

/*
 * Requests to a LUN that is silent wait below the lease check and are sent
 * again.  After a while they fail, so that only what lies there is harmed: the
 * source has ended their first commands by the time the LUN answers again.
 */
static bool
is_silent_for_long(struct place *p)
{
	uint64_t now = sched_now(sched_current()), since = 0;

	if (atomic_compare_exchange_strong(&p->silent_ns, &since, now))
		return false;
	return now > since && now - since > EXTENT_SILENT_NS;
}

static void
raise_to(_Atomic uint64_t *p, uint64_t to)
{
	uint64_t before = atomic_load(p);

	while (before < to && !atomic_compare_exchange_weak(p, &before, to))
		;
}

/* What was written and not flushed may be lost, also when it is back soon. */
static void
note_loss(struct place *p)
{
	raise_to(&p->lost_at, atomic_fetch_add(&p->all->losses, 1) + 1);
}

static int
lun_result(struct place *p, int result)
{
	if (result == -VMFS_EGONE ||
	    (result == -VMFS_EUNKNOWN && is_silent_for_long(p))) {
		atomic_store(&p->gone, true);
		note_loss(p);
		return -VMFS_EEXTENT;
	}
	if (result != -VMFS_EUNKNOWN)
		atomic_store(&p->silent_ns, 0);
	return result;
}

/* Counted before it is looked at: who takes it away waits for that count. */
static struct disk *
enter(struct place *p)
{
	struct disk *lun;

	atomic_fetch_add(&p->busy, 1);
	lun = atomic_load(&p->lun);
	return lun != NULL && !atomic_load(&p->gone) ? lun : NULL;
}

static void
leave(struct place *p)
{
	atomic_fetch_sub(&p->busy, 1);
}

static void
piece_done(struct disk_req *req)
{
	struct piece *c = req->arg;
	struct disk_req *parent = c->parent;

	/* Before the submitter can ask for a flush. */
	if (changes(req->op))
		atomic_fetch_add(&c->place->written, 1);
	parent->result = lun_result(c->place, req->result);
	parent->sense = req->sense;
	leave(c->place);
	free(c);
	parent->done(parent);
}

static void
piece_init(struct piece *c, struct place *p, struct disk_req *req)
{
	c->parent = req;
	c->place = p;
	c->req = (struct disk_req){
		.op = req->op, .flags = req->flags, .length = req->length,
		.iov = req->iov, .iovcnt = req->iovcnt, .expect = req->expect,
		.map = req->map, .arg = c,
	};
}

static void
to_further(struct place *p, struct disk_req *req)
{
	struct disk *lun = enter(p);
	struct piece *c = lun != NULL ? malloc(sizeof(*c)) : NULL;

	if (c == NULL) {
		leave(p);
		disk_complete(req, lun == NULL ? -VMFS_EEXTENT : -ENOMEM);
		return;
	}
	piece_init(c, p, req);
	c->req.offset = req->offset - p->first + p->lun_at;
	c->req.done = piece_done;
	disk_submit(lun, &c->req);
}

static struct place *
place_at(struct extents *x, uint64_t offset, uint64_t length)
{
	unsigned n = atomic_load(&x->n);

	for (unsigned i = 0; i < n; i++) {
		struct place *p = &x->place[i];
		uint64_t end = atomic_load(&p->end);

		if (offset >= p->first && offset < end)
			return length <= end - offset ? p : NULL;
	}
	return NULL;
}

static void
route(struct extents *x, struct disk_req *req)
{
	struct place *p = place_at(x, req->offset, req->length);

	if (p == NULL)
		disk_complete(req, -EINVAL);
	else if (p == &x->place[0])
		disk_submit(atomic_load(&p->lun), req);
	else
		to_further(p, req);
}

static void
flushed(struct disk_req *req)
{
	struct piece *c = req->arg;
	struct disk_req *parent = c->parent;
	struct flush *f = parent->priv[0];
	int r = c->place->first == 0 ? req->result :
	    lun_result(c->place, req->result);

	if (r == 0)
		raise_to(&c->place->flushed, c->written);
	/* What was written to a LUN that is lost is lost with it: whoever has
	 * anything there looks (extents_lost_since), the others go on. */
	if (r < 0 && f->result == 0 && (r != -VMFS_EEXTENT ||
	    (parent->flags & DISK_ALL_LUNS) != 0))
		f->result = r;
	leave(c->place);
	if (--f->left > 0)
		return;
	parent->result = f->result;
	free(f);
	parent->done(parent);
}

/* LUNs to flush besides the first: not those that have left. */
static unsigned
list_dirty(struct extents *x, struct place **ret)
{
	unsigned n = atomic_load(&x->n), count = 0;

	for (unsigned i = 1; i < n; i++) {
		struct place *p = &x->place[i];

		if (atomic_load(&p->end) != 0 &&
		    atomic_load(&p->flushed) < atomic_load(&p->written))
			ret[count++] = p;
	}
	return count;
}

static void
flush_piece(struct flush *f, struct piece *c)
{
	struct disk *lun = enter(c->place);

	if (lun != NULL) {
		disk_submit(lun, &c->req);
		return;
	}
	note_loss(c->place);
	c->req.home = f->parent->home;
	disk_complete(&c->req, -VMFS_EEXTENT);
}

static void
flush_all(struct extents *x, struct disk_req *req)
{
	struct place *dirty[EXTENTS_SEEN_MAX];
	unsigned n = list_dirty(x, dirty + 1) + 1;
	struct flush *f;

	dirty[0] = &x->place[0];
	if (n == 1) {
		disk_submit(atomic_load(&x->place[0].lun), req);
		return;
	}
	f = calloc(1, sizeof(*f) + n * sizeof(f->piece[0]));
	if (f == NULL) {
		disk_complete(req, -ENOMEM);
		return;
	}
	f->parent = req;
	f->left = f->n = n;
	req->priv[0] = f;
	for (unsigned i = 0; i < n; i++) {
		piece_init(&f->piece[i], dirty[i], req);
		f->piece[i].written = atomic_load(&dirty[i]->written);
		f->piece[i].req.done = flushed;
	}
	for (unsigned i = 0; i < n; i++)
		flush_piece(f, &f->piece[i]);
}

static void
extents_submit(struct disk *d, struct disk_req *req)
{
	struct extents *x = extents_of(d);

	switch (req->op) {
	case DISK_READ:
	case DISK_WRITE:
	case DISK_UNMAP:
	case DISK_WRITE_ZEROES:
	case DISK_CAW:
	case DISK_MAP:
		route(x, req);
		break;
	case DISK_FLUSH:
		flush_all(x, req);
		break;
	default:
		disk_submit(atomic_load(&x->place[0].lun), req);
	}
}

/* ---- LUNs that leave ---- */

static void
wait_for_requests(struct place *p)
{
	while (atomic_load(&p->busy) > 0)
		fiber_sleep(NSEC_PER_MSEC);
}

static void
close_left(struct extents *x)
{
	unsigned n = atomic_load(&x->n);

	for (unsigned i = 1; i < n && x->holds == 0; i++) {
		struct place *p = &x->place[i];
		struct disk *lun = take_ptr(p->left);

		if (lun == NULL)
			continue;
		wait_for_requests(p);
		disk_close(lun);
	}
}

void
extents_hold(struct disk *d)
{
	if (extents_is(d))
		extents_of(d)->holds++;
}

void
extents_release(struct disk *d)
{
	struct extents *x;

	if (!extents_is(d))
		return;
	x = extents_of(d);
	x->holds--;
	close_left(x);
}

/* ---- what it can do ---- */

static uint32_t
least(uint32_t a, uint32_t b)
{
	return a == 0 || (b != 0 && b < a) ? b : a;
}

static void
merge_info(struct disk_info *to, const struct disk_info *lun)
{
	const unsigned any = DISK_CAP_READONLY;

	to->caps = (to->caps & lun->caps & ~any) |
	    ((to->caps | lun->caps) & any);
	to->thin |= lun->thin;
	to->max_transfer = least(to->max_transfer, lun->max_transfer);
	if (lun->max_caw < to->max_caw)
		to->max_caw = lun->max_caw;
	if (lun->max_atomic < to->max_atomic)
		to->max_atomic = lun->max_atomic;
	if (lun->unmap_granularity > to->unmap_granularity)
		to->unmap_granularity = lun->unmap_granularity;
}

/*
 * The last extent ends where its LUN does, so that growing finds what is
 * behind the volume's end as it does on a single LUN.
 */
static void
take_stock(struct extents *x)
{
	struct disk *first = atomic_load(&x->place[0].lun);
	struct disk_info info = first->info;
	struct place *last = &x->place[0];
	unsigned n = atomic_load(&x->n);

	for (unsigned i = 1; i < n; i++) {
		struct disk *lun = atomic_load(&x->place[i].lun);

		if (atomic_load(&x->place[i].end) > atomic_load(&last->end))
			last = &x->place[i];
		if (lun != NULL)
			merge_info(&info, &lun->info);
	}
	if (n > 1)
		info.caps &= ~(unsigned)(DISK_CAP_SHARE |
		    DISK_CAP_CRYPTO_ERASE);
	if (atomic_load(&last->lun) != NULL) {
		uint64_t size = atomic_load(&last->lun)->info.size_bytes;

		if (last->first + size - last->lun_at > atomic_load(&last->end))
			atomic_store(&last->end, last->first + size -
			    last->lun_at);
	}
	info.size_bytes = atomic_load(&last->end);
	disk_info_follow(&x->disk, &info);
}

static int
extents_refresh(struct disk *d)
{
	struct extents *x = extents_of(d);
	unsigned n = atomic_load(&x->n);
	int rc = 0;

	extents_hold(d);
	for (unsigned i = 0; i < n && rc == 0; i++) {
		struct disk *lun = atomic_load(&x->place[i].lun);

		if (lun == NULL || atomic_load(&x->place[i].gone))
			continue;
		rc = disk_refresh(lun);
		if (i > 0)
			rc = 0;		/* it shows at its first request */
	}
	extents_release(d);
	if (rc == 0)
		take_stock(x);
	return rc;
}

static unsigned
extents_late(struct disk *d)
{
	struct disk *lun[EXTENTS_SEEN_MAX];
	unsigned n = extents_luns(d, lun), late = 0;

	for (unsigned i = 0; i < n; i++)
		late += disk_late(lun[i]);
	return late;
}

static int
extents_paths(struct disk *d, struct disk_path *p, unsigned max)
{
	struct disk *lun[EXTENTS_SEEN_MAX];
	unsigned n = extents_luns(d, lun);
	int all = 0, one = 0;

	extents_hold(d);
	for (unsigned i = 0; i < n && one >= 0; i++) {
		unsigned used = (unsigned)all < max ? (unsigned)all : max;

		one = disk_paths(lun[i], p + used, max - used);
		all += one;
	}
	extents_release(d);
	return one < 0 ? one : all;
}

static int
extents_space(struct disk *d, struct disk_space *ret_space)
{
	struct extents *x = extents_of(d);

	if (atomic_load(&x->n) > 1)
		return -EOPNOTSUPP;
	return disk_space(atomic_load(&x->place[0].lun), ret_space);
}

static void
extents_close(struct disk *d)
{
	struct extents *x = extents_of(d);
	unsigned n = atomic_load(&x->n);

	for (unsigned i = n; i-- > 0; ) {
		disk_close(atomic_load(&x->place[i].lun));
		disk_close(x->place[i].left);
	}
	free(x);
}

static const struct disk_ops extents_ops = {
	.submit = extents_submit,
	.refresh = extents_refresh,
	.late = extents_late,
	.paths = extents_paths,
	.space = extents_space,
	.close = extents_close,
};

/* ---- what it is made of ---- */

int
extents_open(struct disk *first, struct disk **ret_d)
{
	struct extents *x = calloc(1, sizeof(*x));

	if (x == NULL)
		return -ENOMEM;
	x->disk.ops = &extents_ops;
	atomic_store(&x->place[0].lun, first);
	atomic_store(&x->place[0].end, first->info.size_bytes);
	x->place[0].placed = true;
	x->place[0].all = x;
	atomic_store(&x->n, 1);
	take_stock(x);
	*ret_d = &x->disk;
	return 0;
}

bool
extents_is(const struct disk *d)
{
	return d->ops == &extents_ops;
}

static struct place *
place_of(struct extents *x, const struct uuid *uuid)
{
	unsigned n = atomic_load(&x->n);

	for (unsigned i = 1; i < n; i++)
		if (uuid_equal(&x->place[i].uuid, uuid))
			return &x->place[i];
	return NULL;
}

static int
place_new(struct extents *x, const struct uuid *uuid, struct place **ret_p)
{
	unsigned n = atomic_load(&x->n);

	*ret_p = place_of(x, uuid);
	if (*ret_p != NULL)
		return 0;
	if (n == EXTENTS_SEEN_MAX)
		return -VMFS_ELIMIT;
	x->place[n].uuid = *uuid;
	x->place[n].all = x;
	*ret_p = &x->place[n];
	atomic_store(&x->n, n + 1);
	return 0;
}

static bool
in_table(const struct super *s, const struct uuid *uuid)
{
	for (unsigned i = 1; i < s->extents; i++)
		if (uuid_equal(&s->extent[i].uuid, uuid))
			return true;
	return false;
}

/* Extents that have left the datastore. */
static void
drop_others(struct extents *x, const struct super *s)
{
	unsigned n = atomic_load(&x->n);

	for (unsigned i = 1; i < n; i++) {
		struct place *p = &x->place[i];

		if (!p->placed || in_table(s, &p->uuid))
			continue;
		atomic_store(&p->end, 0);
		if (p->left == NULL)
			p->left = atomic_exchange(&p->lun, NULL);
	}
	close_left(x);
}

int
extents_follow(struct disk *d, const struct super *s)
{
	struct extents *x = extents_of(d);
	struct place *p;
	int rc;

	for (unsigned i = 1; i < s->extents; i++) {
		const struct super_extent *e = &s->extent[i];

		rc = place_new(x, &e->uuid, &p);
		if (rc < 0)
			return rc;
		p->first = e->first_block << BLOCK_SHIFT;
		p->lun_at = e->lun_block << BLOCK_SHIFT;
		p->placed = true;
		atomic_store(&p->end, (e->first_block + e->blocks) <<
		    BLOCK_SHIFT);
	}
	atomic_store(&x->place[0].end, s->extents > 1 ? s->extent[0].blocks <<
	    BLOCK_SHIFT : atomic_load(&x->place[0].lun)->info.size_bytes);
	drop_others(x, s);
	take_stock(x);
	return 0;
}

int
extents_attach(struct disk *d, const struct uuid *uuid, struct disk *lun)
{
	struct extents *x = extents_of(d);
	struct place *p;
	int rc = place_new(x, uuid, &p);

	if (rc < 0)
		return rc;
	if (atomic_load(&p->lun) != NULL)
		return -EEXIST;
	atomic_store(&p->gone, false);
	atomic_store(&p->lun, lun);
	take_stock(x);
	return 0;
}

void
extents_detach(struct disk *d, const struct uuid *uuid)
{
	struct extents *x = extents_of(d);
	struct place *p = place_of(x, uuid);

	if (p != NULL) {
		atomic_store(&p->lun, NULL);
		wait_for_requests(p);
	}
	while (x->holds > 0)
		fiber_sleep(NSEC_PER_MSEC);
	take_stock(x);
}

struct disk *
extents_lun(struct disk *d, const struct uuid *uuid)
{
	struct place *p = extents_is(d) ? place_of(extents_of(d), uuid) : NULL;

	return p != NULL ? atomic_load(&p->lun) : NULL;
}

bool
extents_has(struct disk *d, const struct uuid *uuid)
{
	struct place *p = extents_is(d) ? place_of(extents_of(d), uuid) : NULL;

	return p != NULL && atomic_load(&p->lun) != NULL &&
	    !atomic_load(&p->gone);
}

bool
extents_has_block(struct disk *d, uint64_t block)
{
	struct place *p = place_at(extents_of(d), block << BLOCK_SHIFT,
	    BLOCK_SIZE);

	return p != NULL && atomic_load(&p->lun) != NULL &&
	    !atomic_load(&p->gone);
}

bool
extents_lost(struct disk *d)
{
	struct extents *x = extents_of(d);
	unsigned n = atomic_load(&x->n);

	for (unsigned i = 1; i < n; i++)
		if (atomic_load(&x->place[i].gone) &&
		    atomic_load(&x->place[i].end) != 0)
			return true;
	return false;
}

uint64_t
extents_losses(struct disk *d)
{
	return atomic_load(&extents_of(d)->losses);
}

bool
extents_lost_since(struct disk *d, uint64_t block, uint64_t losses)
{
	struct place *p = place_at(extents_of(d), block << BLOCK_SHIFT,
	    BLOCK_SIZE);

	return p != NULL && atomic_load(&p->lost_at) > losses;
}

void
extents_back(struct disk *d, const struct uuid *uuid)
{
	struct place *p = place_of(extents_of(d), uuid);

	if (p == NULL)
		return;
	atomic_store(&p->silent_ns, 0);
	atomic_store(&p->gone, false);
}

unsigned
extents_luns_well(struct disk *d, struct disk *ret[EXTENTS_SEEN_MAX])
{
	struct extents *x;
	unsigned n, count = 0;

	if (!extents_is(d))
		return extents_luns(d, ret);
	x = extents_of(d);
	n = atomic_load(&x->n);
	for (unsigned i = 0; i < n; i++) {
		struct place *p = &x->place[i];
		struct disk *lun = atomic_load(&p->lun);

		if (lun != NULL && !atomic_load(&p->gone) &&
		    atomic_load(&p->silent_ns) == 0)
			ret[count++] = lun;
	}
	return count;
}

unsigned
extents_luns(struct disk *d, struct disk *ret[EXTENTS_SEEN_MAX])
{
	struct extents *x;
	unsigned n, count = 0;

	if (!extents_is(d)) {
		ret[0] = d;
		return 1;
	}
	x = extents_of(d);
	n = atomic_load(&x->n);
	for (unsigned i = 0; i < n; i++) {
		struct disk *lun = atomic_load(&x->place[i].lun);

		if (lun != NULL)
			ret[count++] = lun;
	}
	return count;
}
