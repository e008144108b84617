/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Replay: each record goes to its place if the lock that covers it is still
 * the one under which it was made, and the block there is older or torn.
 * Applying changes no lock, so doing it twice gives the same.
 */
#include <stdlib.h>
#include <string.h>

#include "libvmfs/base/cleanup.h"
#include "libvmfs/core/ds_priv.h"
#include "libvmfs/core/recover.h"
#include "libvmfs/core/softlog_impl.h"
#include "libvmfs/core/volume.h"

#define BLOCK_READS 2

/* A lock's verdict, remembered: there are few owners and many records. */
struct owner {
	uint64_t addr;
	bool held;		/* exclusively by the dead incarnation */
	uint64_t version;
};

struct replay {
	struct env *env;
	struct disk *disk;
	const struct super *super;
	const struct heartbeat *dead;
	uint64_t base;
	bool cut;		/* what is damaged ends the log */
	struct journal_head head;
	struct owner *owners;	/* hash table, linear probing */
	size_t n_owners, max_owners;
	uint8_t *lock;		/* BLOCK_SIZE, for lock records */
	uint8_t *block;		/* BLOCK_SIZE: the block being changed */
	uint64_t addr;		/* its number, 0: none */
	bool addr_valid;	/* its content can be added to */
	bool addr_newer;	/* it is not older than the commit */
	bool addr_changed;
	struct block_hdr hdr;	/* it will get */
	uint8_t *commit;	/* the whole ring's size */
	struct recover_report report;
	uint32_t pos;
	uint64_t sequence;
	uint32_t prev_crc;
};

static struct owner *
owner_slot(struct replay *p, uint64_t addr)
{
	size_t i = (size_t)(addr * 0x9e3779b97f4a7c15ull) %
	    p->max_owners;

	while (p->owners[i].addr != 0 && p->owners[i].addr != addr)
		i = (i + 1) % p->max_owners;
	return &p->owners[i];
}

static int
owners_grow(struct replay *p)
{
	struct owner *old = p->owners;
	size_t n = p->max_owners;

	if (p->n_owners * 2 < n)
		return 0;
	p->owners = calloc(n * 2 + 64, sizeof(*old));
	if (p->owners == NULL) {
		p->owners = old;
		return -ENOMEM;
	}
	p->max_owners = n * 2 + 64;
	for (size_t i = 0; i < n; i++)
		if (old[i].addr != 0)
			*owner_slot(p, old[i].addr) = old[i];
	free(old);
	return 0;
}

static bool
is_dead_slot(const struct replay *p, uint64_t addr)
{
	return addr == SLOT_TABLE_BLOCK + p->dead->slot;
}

/* -ENOENT: it is none.  One that is damaged must not pass for that. */
static int
record_read(const struct replay *p, const uint8_t *sector, uint64_t addr,
    struct lockrec *ret_rec)
{
	if (lockrec_decode(sector, &p->super->uuid, addr, ret_rec) == 0)
		return 0;
	return lockrec_was(sector, &p->super->uuid, addr) ? -VMFS_ECORRUPT :
	    -ENOENT;
}

/* What the lock record on disk says now. */
static int
owner_read(struct replay *p, uint64_t addr, struct owner *o)
{
	struct lockrec rec;
	int r;

	*o = (struct owner) { .addr = addr };
	if (is_dead_slot(p, addr)) {
		o->held = true;
		o->version = p->head.incarnation;
		return 0;
	}
	if (!volume_has_block(p->super, addr) || (addr >= SLOT_TABLE_BLOCK &&
	    addr < SLOT_TABLE_BLOCK + SLOTS_MAX))
		return 0;
	r = disk_read(p->disk, addr << BLOCK_SHIFT, p->lock, BLOCK_SIZE);
	if (r < 0)
		return r;
	r = record_read(p, p->lock, addr, &rec);
	/* The block may be data by now: then it is no lock of the dead. */
	if (r < 0)
		return r == -ENOENT ? 0 : r;
	o->held = rec.mode == LOCK_EXCLUSIVE && rec.slot == p->dead->slot &&
	    rec.incarnation == p->head.incarnation;
	o->version = rec.version;
	return 0;
}

static int
owner_holds(struct replay *p, const struct journal_record *rec, bool *ret_holds)
{
	struct owner *o, fresh;
	int r;

	r = owners_grow(p);
	if (r < 0)
		return r;
	o = owner_slot(p, rec->owner);
	if (o->addr == 0) {
		r = owner_read(p, rec->owner, &fresh);
		if (r < 0)
			return r;
		*o = fresh;
		p->n_owners++;
	}
	*ret_holds = o->held && o->version == rec->lockver;
	return 0;
}

/*
 * Writes the block with all that the commit changed in it, at once: were it
 * done record by record, a second replay after a crash in between would see
 * the commit's stamp and leave the rest out.
 */
static int
block_finish(struct replay *p)
{
	unsigned skip = block_hdr_offset(p->hdr.type);
	bool changed = p->addr_changed;
	uint64_t at = p->addr << BLOCK_SHIFT;

	p->addr = 0;
	p->addr_changed = false;
	if (!changed)
		return 0;
	block_hdr_encode(p->block, &p->hdr, &p->super->uuid);
	/* With sectors of 4 KiB the record goes back as it was just read;
	 * nobody may change it while the slot is in our hands. */
	if (p->super->sector_size > LOCK_RECORD_SIZE)
		skip = 0;
	return disk_write(p->disk, at + skip, p->block + skip,
	    BLOCK_SIZE - skip, 0);
}

/*
 * A freed block that got a lock record, which no journal has, after the
 * commit: what the commit says is of its former life.
 */
static int
became_lockable(const struct replay *p, const struct journal_record *rec,
    uint64_t lsn, bool *ret_became)
{
	struct lockrec l = { 0 };
	int r = record_read(p, p->block, rec->addr, &l);

	*ret_became = block_hdr_offset(rec->block_type) == 0 &&
	    l.version > 0 && l.lsn >= lsn;
	return r == -ENOENT ? 0 : r;
}

/*
 * Is it whole?  What is not, may be torn, or was never written, and what the
 * log has takes its place; a read that only came back wrong must not look so.
 */
static int
block_read(struct replay *p, uint64_t addr, struct block_hdr *ret_h,
    bool *ret_whole)
{
	int r = 0;

	*ret_whole = false;
	for (int i = 0; r == 0 && !*ret_whole && i < BLOCK_READS; i++) {
		r = disk_read(p->disk, addr << BLOCK_SHIFT, p->block,
		    BLOCK_SIZE);
		*ret_whole = r == 0 && block_hdr_decode(p->block, 0,
		    &p->super->uuid, addr, ret_h) == 0;
	}
	return r;
}

/* Of whatever type it is by now: a newer block of another type stays. */
static int
block_start(struct replay *p, const struct journal_record *rec, uint64_t lsn)
{
	struct heartbeat hb;
	struct block_hdr h;
	bool whole = false, became = false;
	int r;

	r = block_finish(p);
	if (r == 0)
		r = block_read(p, rec->addr, &h, &whole);
	if (r == 0 && is_dead_slot(p, rec->addr))
		r = heartbeat_decode(p->block, &p->super->uuid, p->dead->slot,
		    &hb);
	if (r == 0)
		r = became_lockable(p, rec, lsn, &became);
	if (r < 0)
		return r;
	p->addr = rec->addr;
	p->addr_newer = (whole && h.lsn >= lsn) || became;
	p->addr_valid = whole && h.type == rec->block_type;
	p->hdr = (struct block_hdr) {
		.type = rec->block_type,
		.addr = rec->addr,
		.owner = rec->owner,
		.lockver = rec->lockver,
		.lsn = lsn,
	};
	return 0;
}

static bool
place_is_sane(const struct replay *p, const struct journal_record *rec)
{
	uint64_t journal_end = p->base + p->head.blocks;

	if (!volume_has_block(p->super, rec->addr) ||
	    rec->addr < SLOT_TABLE_BLOCK)
		return false;
	if (rec->addr < SLOT_TABLE_BLOCK + SLOTS_MAX)
		return rec->block_type == BLOCK_SLOT &&
		    is_dead_slot(p, rec->addr);
	return rec->addr != SUPER_BLOCK_1 &&
	    rec->addr != p->super->copy2_block &&
	    (rec->addr < p->base || rec->addr >= journal_end);
}

static int
apply(struct replay *p, const struct journal_record *rec, uint64_t lsn)
{
	int r;

	if (rec->addr != p->addr) {
		r = block_start(p, rec, lsn);
		if (r < 0)
			return r;
	}
	if (p->addr_newer || rec->block_type != p->hdr.type ||
	    (!p->addr_valid && rec->type == JOURNAL_DELTA)) {
		p->report.stale++;
		return 0;
	}
	memcpy(p->block + rec->offset, rec->bytes, rec->length);
	p->addr_valid = true;
	p->addr_changed = true;
	p->report.applied++;
	return 0;
}

static int
replay_record(struct replay *p, const struct journal_record *rec,
    uint64_t lsn)
{
	bool holds;
	int r;

	p->report.records++;
	r = owner_holds(p, rec, &holds);
	if (r < 0)
		return r;
	/* Then its place, too, may be gone, with its LUN. */
	if (!holds) {
		p->report.stale++;
		return 0;
	}
	return place_is_sane(p, rec) ? apply(p, rec, lsn) : -VMFS_ECORRUPT;
}

static int
replay_commit(struct replay *p, const struct journal_commit *c)
{
	size_t pos = sizeof(struct journal_commit_disk);
	struct journal_record rec;
	int r;

	while ((r = journal_record_next(p->commit, c->length, &pos,
	    &rec)) == 0) {
		r = replay_record(p, &rec, c->lsn);
		if (r < 0)
			return r;
	}
	if (r == -ENOENT)
		r = block_finish(p);
	if (r < 0)
		return r;
	p->report.commits++;
	if (c->lsn > p->report.last_lsn)
		p->report.last_lsn = c->lsn;
	return 0;
}

static int
ring_read(struct replay *p, uint32_t pos, uint32_t blocks, uint8_t *buf)
{
	return disk_read(p->disk, (p->base + pos) << BLOCK_SHIFT, buf,
	    (size_t)blocks * BLOCK_SIZE);
}

/* The next commit, whole and checked; -ENOENT at the end of the log. */
static int
next_commit(struct replay *p, struct journal_commit *c)
{
	uint32_t blocks;
	int r;

	r = ring_read(p, p->pos, 1, p->commit);
	if (r < 0)
		return r;
	r = journal_commit_decode(p->commit, &p->super->uuid,
	    (size_t)(p->head.blocks - p->pos) * BLOCK_SIZE, c);
	if (r < 0 || c->incarnation != p->head.incarnation ||
	    c->sequence != p->sequence || c->prev_crc != p->prev_crc)
		return -ENOENT;
	blocks = (c->length + BLOCK_SIZE - 1) / BLOCK_SIZE;
	if (blocks > 1) {
		r = ring_read(p, p->pos + 1, blocks - 1,
		    p->commit + BLOCK_SIZE);
		if (r < 0)
			return r;
	}
	if (journal_commit_check(p->commit, c) < 0)
		return -ENOENT;		/* torn: was never acknowledged */
	p->pos += blocks;
	if ((c->flags & JOURNAL_WRAP) != 0 || p->pos >= p->head.blocks)
		p->pos = JOURNAL_FIRST_BLOCK;
	p->sequence++;
	p->prev_crc = c->crc;
	return 0;
}

/* All that is whole, from the tail of the head on; only a look, or carried out.
 * The result is why it ended. */
static int
walk(struct replay *p, bool carry_out)
{
	struct journal_commit c;
	int r;

	p->pos = (uint32_t)p->head.tail_block;
	p->sequence = p->head.tail_sequence;
	p->prev_crc = p->head.tail_prev_crc;
	do {
		r = next_commit(p, &c);
		if (r == 0 && carry_out && (c.flags & JOURNAL_WRAP) == 0)
			r = replay_commit(p, &c);
	} while (r == 0);
	return r;
}

/* The highest number of a whole commit of the log, wherever in the ring. */
static int
newest_commit(struct replay *p, uint64_t *ret_sequence)
{
	uint32_t blocks = p->head.blocks - JOURNAL_FIRST_BLOCK;
	struct journal_commit c;
	uint64_t newest = 0;
	int r;

	r = ring_read(p, JOURNAL_FIRST_BLOCK, blocks, p->commit);
	if (r < 0)
		return r;
	for (uint32_t i = 0; i < blocks; i++) {
		const uint8_t *at = p->commit + (size_t)i * BLOCK_SIZE;

		if (journal_commit_decode(at, &p->super->uuid,
		    (size_t)(blocks - i) * BLOCK_SIZE, &c) == 0 &&
		    c.incarnation == p->head.incarnation &&
		    c.sequence > newest && journal_commit_check(at, &c) == 0)
			newest = c.sequence;
	}
	*ret_sequence = newest;
	return 0;
}

/*
 * The end of the log, or a hole in it?  A commit is written when the one
 * before it is durable: one that does not follow what was replayed proves that
 * what is missing was whole once, and acknowledged.
 */
static int
end_of_log(struct replay *p, int why)
{
	uint64_t newest;
	int r;

	if (why != -ENOENT && why != -VMFS_ECORRUPT)
		return why;
	r = newest_commit(p, &newest);
	if (r < 0)
		return r;
	if (why == -ENOENT && newest < p->sequence)
		return 0;
	if (!p->cut)
		return -VMFS_ECORRUPT;
	/* None of them is taken for a part of the log again. */
	if (newest > p->sequence)
		p->sequence = newest;
	p->report.cut = true;
	return 0;
}

/* The tail goes behind the last commit.  A sequence is left out, so that what
 * stands there, torn or not, is never taken for part of the log again. */
static int
journal_empty(struct replay *p)
{
	struct journal_head h = p->head;
	int r;

	r = disk_run(p->disk, &(struct disk_req){
	    .op = DISK_FLUSH, .flags = DISK_ALL_LUNS });
	for (unsigned i = 0; r == 0 && i < JOURNAL_FIRST_BLOCK; i++) {
		h.head_sequence++;
		h.addr = p->base + (h.head_sequence & 1);
		h.tail_block = p->pos;
		h.tail_sequence = p->sequence + 1;
		h.tail_prev_crc = p->prev_crc;
		journal_head_encode(p->block, &p->super->uuid,
		    SLOT_TABLE_BLOCK + p->dead->slot, p->report.last_lsn, &h);
		r = disk_write(p->disk, h.addr << BLOCK_SHIFT, p->block,
		    BLOCK_SIZE, DISK_FUA);
	}
	return r;
}

/* With none of its heads left, all of the log is damage. */
static int
head_read(struct replay *p)
{
	int r = journal_head_read(p->disk, &p->super->uuid, p->base,
	    p->dead->journal_blocks, &p->head);

	if (r != -VMFS_ECORRUPT || !p->cut)
		return r;
	p->head = (struct journal_head) {
		.incarnation = p->dead->incarnation,
		.tail_block = JOURNAL_FIRST_BLOCK,
		.blocks = p->dead->journal_blocks,
	};
	return 0;
}

static int
recover_run(struct replay *p)
{
	int r;

	r = head_read(p);
	if (r < 0)
		return r;
	/* The slot may be a breaker's by now; the log is whose head it is. */
	if (p->head.incarnation > p->dead->incarnation)
		return -VMFS_ECORRUPT;
	p->commit = disk_buf_alloc((size_t)p->head.blocks * BLOCK_SIZE);
	if (p->commit == NULL)
		return -ENOMEM;
	/*
	 * What is refused must not have been begun: where the head that rules
	 * cannot be read the log starts early, and old images would take the
	 * place of a damaged block whose newest one lies behind the hole.
	 */
	r = end_of_log(p, walk(p, false));
	if (r == 0)
		r = end_of_log(p, walk(p, true));
	if (r == 0)
		r = journal_empty(p);
	return r;
}

static int
recover(struct env *env, struct disk *disk, const struct super *super,
    const struct heartbeat *dead, bool cut, struct recover_report *ret_r)
{
	struct replay p = {
		.env = env,
		.disk = disk,
		.super = super,
		.dead = dead,
		.base = dead->journal_block,
		.cut = cut,
		.block = disk_buf_alloc(BLOCK_SIZE),
		.lock = disk_buf_alloc(BLOCK_SIZE),
	};
	int r = -ENOMEM;

	if (p.block != NULL && p.lock != NULL)
		r = recover_run(&p);
	if (r == 0 && p.report.commits > 0)
		log_info(env->log, "core: journal replayed slot=%u "
		    "incarnation=%llu commits=%llu applied=%llu stale=%llu",
		    dead->slot, (unsigned long long)p.head.incarnation,
		    (unsigned long long)p.report.commits,
		    (unsigned long long)p.report.applied,
		    (unsigned long long)p.report.stale);
	free(p.owners);
	free(p.block);
	free(p.lock);
	free(p.commit);
	if (r == 0)
		*ret_r = p.report;
	return r;
}

int
recover_journal(struct env *env, struct disk *disk,
    const struct super *super, const struct heartbeat *dead,
    struct recover_report *ret_r)
{
	return recover(env, disk, super, dead, false, ret_r);
}

int
recover_journal_cut(struct env *env, struct disk *disk,
    const struct super *super, const struct heartbeat *dead,
    struct recover_report *ret_r)
{
	return recover(env, disk, super, dead, true, ret_r);
}

/* The journal is empty: its log begins anew at the start of the ring.  A
 * sequence is left out, as in journal_empty. */
int
recover_append(struct disk *disk, const struct super *super,
    const struct heartbeat *dead, uint8_t *buf, struct journal_commit *c)
{
	cleanup_free uint8_t *block = disk_buf_alloc(BLOCK_SIZE);
	uint32_t blocks = (c->length + BLOCK_SIZE - 1) / BLOCK_SIZE;
	struct journal_head h;
	int r;

	if (block == NULL)
		return -ENOMEM;
	r = journal_head_read(disk, &super->uuid, dead->journal_block,
	    dead->journal_blocks, &h);
	if (r < 0)
		return r;
	if (blocks > h.blocks - JOURNAL_FIRST_BLOCK)
		return -VMFS_ELIMIT;
	h.tail_block = JOURNAL_FIRST_BLOCK;
	h.tail_sequence++;
	for (unsigned i = 0; r == 0 && i < JOURNAL_FIRST_BLOCK; i++) {
		h.head_sequence++;
		h.addr = dead->journal_block + (h.head_sequence & 1);
		journal_head_encode(block, &super->uuid,
		    SLOT_TABLE_BLOCK + dead->slot, c->lsn, &h);
		r = disk_write(disk, h.addr << BLOCK_SHIFT, block, BLOCK_SIZE,
		    DISK_FUA);
	}
	if (r < 0)
		return r;
	c->incarnation = h.incarnation;
	c->sequence = h.tail_sequence;
	c->prev_crc = h.tail_prev_crc;
	journal_commit_encode(buf, &super->uuid, c);
	return disk_write(disk, (dead->journal_block + JOURNAL_FIRST_BLOCK) <<
	    BLOCK_SHIFT, buf, (size_t)blocks * BLOCK_SIZE, DISK_FUA);
}
