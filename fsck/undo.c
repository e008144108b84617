/* SPDX-License-Identifier: BSD-2-Clause */
/* See undo.h. */
#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fsck/undo.h"
#include "libvmfs/base/cleanup.h"
#include "libvmfs/base/crc32c.h"
#include "libvmfs/base/le.h"

#define UNDO_MAGIC "VMFSUND1"
#define RECORD_MAGIC 0x31524455u	/* "UDR1" */
#define PAGE 4096u
#define SECTOR 512u
#define PIECE (1u << 20)	/* bytes of a record at most */
#define SEEN_MIN 1024u

enum { RECORD_OLD = 1, RECORD_NEW = 2, RECORD_END = 3 };

struct undo_head {
	uint8_t magic[8];
	le64_t size;
	uint8_t volume[16];
	uint8_t reserved[PAGE - 32];
};

struct undo_record {
	le32_t magic, kind;
	le64_t offset;
	le32_t length, crc;
	uint8_t reserved[8];
};
static_assert(sizeof(struct undo_head) == PAGE, "head");
static_assert(sizeof(struct undo_record) == 32, "record");

/* Sectors of a page that are in the file. */
struct seen {
	uint64_t page;		/* 1 + number; 0: empty */
	uint8_t sectors;
};

struct undo {
	struct disk disk;
	struct disk *below;
	FILE *f;
	struct fiber_mutex lock;
	struct seen *seen;	/* open addressing */
	size_t count, max;
	int error;		/* the file could not be written */
};

static struct undo *
undo_of(struct disk *d)
{
	return container_of(d, struct undo, disk);
}

/* ---- what the file has ---- */

static struct seen *
seen_slot(struct seen *table, size_t max, uint64_t page)
{
	size_t i = (size_t)(page * 0x9e3779b97f4a7c15ull) & (max - 1);

	while (table[i].page != 0 && table[i].page != page + 1)
		i = (i + 1) & (max - 1);
	return &table[i];
}

static int
seen_grow(struct undo *u)
{
	size_t max = u->max == 0 ? SEEN_MIN : u->max * 2;
	struct seen *t = calloc(max, sizeof(*t));

	if (t == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < u->max; i++)
		if (u->seen[i].page != 0)
			*seen_slot(t, max, u->seen[i].page - 1) = u->seen[i];
	free(u->seen);
	u->seen = t;
	u->max = max;
	return 0;
}

/* Adds a range; *ret_new when some of it was not there. */
static int
seen_add(struct undo *u, uint64_t offset, uint64_t length, bool *ret_new)
{
	*ret_new = false;
	for (uint64_t at = offset; at < offset + length; at += SECTOR) {
		uint8_t bit = (uint8_t)(1u << (at / SECTOR % 8));
		struct seen *s;

		if (u->count * 2 >= u->max && seen_grow(u) != 0)
			return -ENOMEM;
		s = seen_slot(u->seen, u->max, at / PAGE);
		if (s->page == 0) {
			s->page = at / PAGE + 1;
			u->count++;
		}
		*ret_new |= !(s->sectors & bit);
		s->sectors |= bit;
	}
	return 0;
}

/* ---- writing ---- */

static int
record_put(struct undo *u, unsigned kind, uint64_t offset, uint32_t length,
    const void *data)
{
	struct undo_record r = {
		.magic = le32(RECORD_MAGIC), .kind = le32(kind),
		.offset = le64(offset), .length = le32(length),
		.crc = le32(crc32c(0, data, length)),
	};

	if (fwrite(&r, sizeof(r), 1, u->f) != 1 || (kind == RECORD_OLD &&
	    fwrite(data, length, 1, u->f) != 1))
		return -EIO;
	return 0;
}

/* What stands there goes to the file before it is overwritten. */
static int
keep(struct undo *u, uint64_t offset, uint64_t length)
{
	cleanup_free uint8_t *buf = disk_buf_alloc(PIECE);
	bool fresh;
	int rc;

	if (buf == NULL)
		return -ENOMEM;
	rc = seen_add(u, offset, length, &fresh);
	if (rc != 0 || !fresh)
		return rc;
	for (uint64_t at = 0; at < length && rc == 0; at += PIECE) {
		uint32_t n = length - at < PIECE ? (uint32_t)(length - at) :
		    PIECE;

		rc = disk_read(u->below, offset + at, buf, n);
		if (rc == 0)
			rc = record_put(u, RECORD_OLD, offset + at, n, buf);
	}
	if (rc == 0 && (fflush(u->f) != 0 || fdatasync(fileno(u->f)) != 0))
		rc = -errno;
	return rc;
}

static bool
writes(const struct disk_req *req)
{
	return req->op == DISK_WRITE || req->op == DISK_WRITE_ZEROES ||
	    req->op == DISK_UNMAP || req->op == DISK_CAW;
}

static void
undo_fiber(void *arg)
{
	struct disk_req *req = arg;
	struct undo *u = req->priv[0];
	struct disk_req below = *req;

	fiber_mutex_lock(&u->lock);
	if (u->error == 0)
		u->error = keep(u, req->offset, req->length);
	fiber_mutex_unlock(&u->lock);
	/* Without a way back there is no way on. */
	req->result = u->error != 0 ? u->error : disk_run(u->below, &below);
	req->sense = below.sense;
	req->done(req);
}

static void
undo_submit(struct disk *d, struct disk_req *req)
{
	struct undo *u = undo_of(d);

	if (u->f == NULL || !writes(req)) {
		disk_submit(u->below, req);
		return;
	}
	req->priv[0] = u;
	if (sched_spawn(sched_current(), "undo", undo_fiber, req) != 0)
		disk_complete(req, -ENOMEM);
}

static void
undo_close(struct disk *d)
{
	struct undo *u = undo_of(d);

	if (u->f != NULL)
		fclose(u->f);
	disk_close(u->below);
	free(u->seen);
	free(u);
}

static const struct disk_ops undo_ops = {
	.submit = undo_submit,
	.close = undo_close,
};

int
undo_open(struct disk *below, struct disk **ret_d)
{
	struct undo *u = calloc(1, sizeof(*u));

	if (u == NULL)
		return -ENOMEM;
	u->disk.ops = &undo_ops;
	u->disk.info = below->info;
	u->below = below;
	fiber_mutex_init(&u->lock);
	*ret_d = &u->disk;
	return 0;
}

int
undo_begin(struct disk *d, const char *path, const struct uuid *volume)
{
	struct undo *u = undo_of(d);
	struct undo_head h = { .size = le64(u->below->info.size_bytes) };

	memcpy(h.magic, UNDO_MAGIC, sizeof(h.magic));
	memcpy(h.volume, volume->b, sizeof(h.volume));
	u->f = fopen(path, "wxe");
	if (u->f == NULL)
		return -errno;
	if (fwrite(&h, sizeof(h), 1, u->f) == 1 && fflush(u->f) == 0 &&
	    fsync(fileno(u->f)) == 0)
		return 0;
	(void)unlink(path);
	return -EIO;
}

int
undo_finish(struct disk *d)
{
	cleanup_free uint8_t *buf = disk_buf_alloc(PAGE);
	struct undo *u = undo_of(d);
	int rc = u->error;

	if (buf == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < u->max && rc == 0; i++) {
		uint64_t page = u->seen[i].page;

		for (unsigned s = 0; s < PAGE / SECTOR && page != 0 && rc == 0;
		    s++) {
			uint64_t at = (page - 1) * PAGE + s * SECTOR;
			uint32_t n = u->disk.info.block_size;

			if (!(u->seen[i].sectors >> s & 1) || at % n != 0)
				continue;
			rc = disk_read(u->below, at, buf, n);
			if (rc == 0)
				rc = record_put(u, RECORD_NEW, at, n, buf);
		}
	}
	if (rc == 0)
		rc = record_put(u, RECORD_END, 0, 0, buf);
	if (fflush(u->f) != 0 || fsync(fileno(u->f)) != 0)
		rc = rc != 0 ? rc : -errno;
	return rc;
}

/* ---- going back ---- */

struct old {
	uint64_t offset;
	uint32_t length;
	long at;		/* of its data in the file */
};

struct rollback {
	FILE *f;
	struct disk *lun;
	const struct uuid *volume;
	struct old *old;
	size_t count, max;
	bool ended, changed;
	uint8_t *buf, *was;
};

static int
old_add(struct rollback *b, uint64_t offset, uint32_t length)
{
	if (b->count == b->max) {
		size_t max = b->max * 2 + 64;
		struct old *p = reallocarray(b->old, max, sizeof(*p));

		if (p == NULL)
			return -ENOMEM;
		b->old = p;
		b->max = max;
	}
	b->old[b->count++] = (struct old){
		offset, length, ftell(b->f) - (long)length,
	};
	return 0;
}

static int
old_read(struct rollback *b, const struct old *o, uint8_t *buf)
{
	return fseek(b->f, o->at, SEEK_SET) == 0 &&
	    fread(buf, o->length, 1, b->f) == 1 ? 0 : -EIO;
}

/* What the LUN has there, in buf, is put back already, in part perhaps, by a
 * run that was cut short: all that stood there come by in turn. */
static int
put_back(struct rollback *b, uint64_t offset, uint32_t n, bool *ret_is)
{
	long here = ftell(b->f);
	int rc = 0;

	*ret_is = false;
	for (size_t i = 0; i < b->count && rc == 0 && !*ret_is; i++) {
		const struct old *o = &b->old[i];

		if (offset < o->offset || offset + n > o->offset + o->length)
			continue;
		rc = old_read(b, o, b->was);
		*ret_is = rc == 0 && memcmp(b->buf, b->was +
		    (offset - o->offset), n) == 0;
	}
	return rc == 0 && fseek(b->f, here, SEEK_SET) != 0 ? -EIO : rc;
}

static int
look_at_new(struct rollback *b, uint64_t offset, uint32_t n, uint32_t crc)
{
	bool known = true;
	int rc = disk_read(b->lun, offset, b->buf, n);

	if (rc == 0 && crc32c(0, b->buf, n) != crc)
		rc = put_back(b, offset, n, &known);
	b->changed |= !known;
	return rc;
}

/* -ENOENT: the end, or a record that was not finished. */
static int
record_get(struct rollback *b)
{
	struct undo_record r;
	uint64_t offset;
	uint32_t n;

	if (fread(&r, sizeof(r), 1, b->f) != 1 ||
	    le32_get(r.magic) != RECORD_MAGIC)
		return -ENOENT;
	offset = le64_get(r.offset);
	n = le32_get(r.length);
	if (le32_get(r.kind) == RECORD_END) {
		b->ended = true;
		return -ENOENT;
	}
	if (n == 0 || n > PIECE || offset > b->lun->info.size_bytes ||
	    n > b->lun->info.size_bytes - offset ||
	    (offset | n) % b->lun->info.block_size != 0)
		return -VMFS_ECORRUPT;
	if (le32_get(r.kind) == RECORD_NEW)
		return look_at_new(b, offset, n, le32_get(r.crc));
	if (fread(b->buf, n, 1, b->f) != 1 ||
	    crc32c(0, b->buf, n) != le32_get(r.crc))
		return -ENOENT;
	return old_add(b, offset, n);
}

static int
head_read(FILE *f, struct undo_head *ret_h)
{
	return fread(ret_h, sizeof(*ret_h), 1, f) == 1 &&
	    memcmp(ret_h->magic, UNDO_MAGIC, sizeof(ret_h->magic)) == 0 ? 0 :
	    -VMFS_ECORRUPT;
}

static bool
is_of(const struct undo_head *h, const struct uuid *volume)
{
	return memcmp(h->volume, volume->b, sizeof(h->volume)) == 0;
}

static int
rollback_read(struct rollback *b)
{
	struct undo_head h;
	int rc;

	rc = head_read(b->f, &h);
	if (rc != 0)
		return rc;
	if (le64_get(h.size) != b->lun->info.size_bytes ||
	    (b->volume != NULL && !is_of(&h, b->volume)))
		return -VMFS_EMISCOMPARE;
	while ((rc = record_get(b)) == 0)
		;
	return rc == -ENOENT ? 0 : rc;
}

/* The last first: what stood there before all of them comes to stand. */
static int
rollback_write(struct rollback *b, struct undo_result *r)
{
	int rc = 0;

	for (size_t i = b->count; i-- > 0 && rc == 0;) {
		const struct old *o = &b->old[i];

		rc = old_read(b, o, b->buf);
		if (rc == 0)
			rc = disk_write(b->lun, o->offset, b->buf, o->length,
			    0);
		r->records++;
		r->bytes += o->length;
	}
	return rc != 0 ? rc : disk_flush(b->lun);
}

/* Without the records that the end of a run writes only the superblock tells
 * that it is this LUN. */
static int
rollback_may(const struct rollback *b, bool force)
{
	if (b->changed)
		return -VMFS_EMISCOMPARE;
	if (b->ended)
		return 0;
	return b->volume == NULL ? -VMFS_ENOTVMFS : force ? 0 : -EAGAIN;
}

static int
rollback_one(const char *path, const struct undo_luns *luns, unsigned i,
    bool force, struct undo_result *r)
{
	struct rollback b = {
		.lun = luns->lun[i], .volume = luns->volume,
		.buf = disk_buf_alloc(PIECE), .was = disk_buf_alloc(PIECE),
	};
	int rc = b.buf == NULL || b.was == NULL ? -ENOMEM : 0;

	b.f = fopen(path, "re");
	if (b.f == NULL)
		rc = -errno;
	if (rc == 0)
		rc = rollback_read(&b);
	if (rc == 0)
		rc = rollback_may(&b, force);
	if (rc == 0 && r != NULL)
		rc = rollback_write(&b, r);
	if (b.f != NULL)
		fclose(b.f);
	free(b.old);
	free(b.buf);
	free(b.was);
	return rc;
}

/* ---- of several LUNs ---- */

void
undo_path(const char *path, unsigned i, char *buf, size_t size)
{
	if (i == 0)
		(void)snprintf(buf, size, "%s", path);
	else
		(void)snprintf(buf, size, "%s.%u", path, i);
}

/* The head of the file of extent i. */
static int
head_of(const char *path, unsigned i, struct undo_head *ret_h)
{
	char name[PATH_MAX];
	FILE *f;
	int rc;

	undo_path(path, i, name, sizeof(name));
	f = fopen(name, "re");
	if (f == NULL)
		return -errno;
	rc = head_read(f, ret_h);
	fclose(f);
	return rc;
}

/* Of the same datastore, that is: a name like this may be of another one. */
static bool
has_further_file(const char *path, unsigned n)
{
	struct undo_head first, further;

	return head_of(path, 0, &first) == 0 &&
	    head_of(path, n, &further) == 0 &&
	    memcmp(first.volume, further.volume, sizeof(first.volume)) == 0;
}

int
undo_rollback(const char *path, const struct undo_luns *luns, bool force,
    struct undo_result *ret_r)
{
	struct undo_result r = { .records = 0 };
	char name[PATH_MAX];
	int rc = has_further_file(path, luns->n) ? -VMFS_EEXTENT : 0;

	/* All of them or none: the first time it is only looked. */
	for (unsigned pass = 0; pass < 2; pass++)
		for (unsigned i = 0; i < luns->n && rc == 0; i++) {
			undo_path(path, i, name, sizeof(name));
			rc = rollback_one(name, luns, i, force,
			    pass == 0 ? NULL : &r);
		}
	if (rc == 0)
		*ret_r = r;
	return rc;
}
