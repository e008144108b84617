/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Encrypted disks past the owner: whatever the shape of a request, the LUN gets
 * no clear text and the reader no other.
 */
#include <atf-c.h>
#include <stdlib.h>
#include <string.h>

#include "libvmfs/base/prng.h"
#include "tests/unit/core_fs_rig.h"

#define SIZE (4 * MIB)
#define PIECES_MAX 12
#define GUARD 0xeeu
/* Each sector that is written begins with it. */
#define TEXT "thirty-two bytes of clear text.."

/* ---- a LUN that looks at what it is told to write ---- */

struct watch {
	struct disk disk;
	struct disk *below;
	unsigned clear;			/* sectors of clear text */
	bool fail;			/* the next such */
	enum disk_op op;
};

static void
watch_submit(struct disk *d, struct disk_req *req)
{
	struct watch *w = container_of(d, struct watch, disk);

	if (req->op == w->op && w->fail) {
		w->fail = false;
		disk_complete(req, -EIO);
		return;
	}
	for (int i = 0; req->op == DISK_WRITE && i < req->iovcnt; i++) {
		const char *p = req->iov[i].iov_base;

		for (size_t at = 0; at < req->iov[i].iov_len; at += 512)
			w->clear += memcmp(p + at, TEXT, 32) == 0;
	}
	disk_submit(w->below, req);
}

static void
watch_close(struct disk *d)
{
	(void)d;
}

static const struct disk_ops watch_ops = {
	.submit = watch_submit, .close = watch_close,
};

/* ---- an encrypted disk and what it should hold ---- */

struct secret {
	struct rig *r;
	struct watch w;
	struct fs_file *f;
	uint64_t ino;
	struct prng p;
	uint8_t *model;
};

static void
lun_swap(struct rig *r, struct disk *d)
{
	rig_umount(r);
	r->f.disk = r->f.conf.disk = d;
	rig_mount(r);
}

static void
secret_up(struct secret *s, struct rig *r)
{
	*s = (struct secret){ .r = r, .model = calloc(1, SIZE),
		.w = { .disk = { &watch_ops, r->f.disk->info },
		    .below = r->f.disk } };
	prng_seed(&s->p, 20261121);
	lun_swap(r, &s->w.disk);
	rig_keys(r->fs, 3);
	s->ino = rig_create(r, "d", INODE_DISK, SIZE);
	ATF_REQUIRE_EQ(0, fs_encrypt(r->fs, s->ino, &rig_key[0], NULL));
	s->f = rig_open(r, s->ino, FS_READ | FS_WRITE);
}

static void
secret_down(struct secret *s)
{
	rig_close(s->f);
	ATF_CHECK_EQ(0u, s->w.clear);
	lun_swap(s->r, s->w.below);
	free(s->model);
}

/* Data that nobody takes for cipher text, nor the other way round. */
static void
text_make(struct secret *s, uint8_t *p, size_t len)
{
	prng_fill(&s->p, p, len);
	for (size_t at = 0; at < len; at += 512)
		memcpy(p + at, TEXT, 32);
}

/* By the owner. */
static void
owner_write(struct secret *s, uint64_t off, size_t len)
{
	text_make(s, s->model + off, len);
	ATF_REQUIRE_EQ(0, fs_file_write(s->f, off, s->model + off, len));
}

static void
owner_expect(struct fs_file *f, uint64_t off, size_t len, const uint8_t *want)
{
	uint8_t *buf = malloc(len);
	size_t n;

	ATF_REQUIRE_EQ(0, fs_file_read(f, off, buf, len, &n));
	ATF_REQUIRE_EQ(len, n);
	ATF_CHECK(memcmp(buf, want, len) == 0);
	free(buf);
}

/* ---- requests in pieces ---- */

/* Pieces of these lengths, each in the midst of memory of its own. */
struct pieces {
	size_t len[PIECES_MAX];
	int count;
	struct iovec iov[PIECES_MAX];
	uint8_t *mem[PIECES_MAX];
};

static void
pieces_make(struct pieces *p, size_t *ret_len)
{
	*ret_len = 0;
	for (int i = 0; i < p->count; i++) {
		p->mem[i] = disk_buf_alloc(p->len[i] + 1024);
		memset(p->mem[i], GUARD, p->len[i] + 1024);
		p->iov[i] = (struct iovec){ p->mem[i] + 512, p->len[i] };
		*ret_len += p->len[i];
	}
}

/* Nothing beside them was touched. */
static void
pieces_free(struct pieces *p)
{
	for (int i = 0; i < p->count; i++) {
		for (size_t k = 0; k < 512; k++) {
			ATF_REQUIRE_EQ(GUARD, p->mem[i][k]);
			ATF_REQUIRE_EQ(GUARD, p->mem[i][512 + p->len[i] + k]);
		}
		free(p->mem[i]);
	}
}

static void
pieces_copy(struct pieces *p, uint8_t *data, bool to_pieces)
{
	for (int i = 0; i < p->count; data += p->len[i++])
		if (to_pieces)
			memcpy(p->mem[i] + 512, data, p->len[i]);
		else
			memcpy(data, p->mem[i] + 512, p->len[i]);
}

struct call {
	bool done, again;
};

static void
call_done(struct disk_req *req)
{
	((struct call *)req->arg)->done = true;
}

static void
call_again(struct disk_req *req)
{
	((struct call *)req->arg)->again = true;
}

/* False: it is for the owner. */
static bool
call_fast(struct fs_file *f, enum disk_op op, uint64_t off, struct pieces *p,
    size_t len)
{
	struct call c = { 0 };
	struct disk_req req = { .op = op, .offset = off, .length = len,
		.iov = p->iov, .iovcnt = p->count, .done = call_done,
		.arg = &c };

	if (!fs_file_fast(f, &req, call_again))
		return false;
	while (!c.done && !c.again)
		fiber_yield();
	return c.done;
}

static bool
fast_write(struct secret *s, uint64_t off, struct pieces *p)
{
	uint8_t *copy;
	size_t len;
	bool done;

	pieces_make(p, &len);
	copy = malloc(2 * len);
	text_make(s, copy, len);
	pieces_copy(p, copy, true);
	done = call_fast(s->f, DISK_WRITE, off, p, len);
	/* What is a guest's stays as it is. */
	pieces_copy(p, copy + len, false);
	ATF_REQUIRE(memcmp(copy, copy + len, len) == 0);
	if (done)
		memcpy(s->model + off, copy, len);
	free(copy);
	pieces_free(p);
	return done;
}

static bool
fast_expect(struct fs_file *f, uint64_t off, struct pieces *p,
    const uint8_t *want)
{
	uint8_t *got;
	size_t len;
	bool done;

	pieces_make(p, &len);
	got = malloc(len);
	done = call_fast(f, DISK_READ, off, p, len);
	pieces_copy(p, got, false);
	if (done)
		ATF_REQUIRE_MSG(memcmp(got, want, len) == 0,
		    "%zu bytes at %llu", len, (unsigned long long)off);
	free(got);
	pieces_free(p);
	return done;
}

#define PIECES(...) &(struct pieces){ .len = { __VA_ARGS__ }, \
	.count = sizeof((size_t[]){ __VA_ARGS__ }) / sizeof(size_t) }

/* ---- shapes ---- */

/* As many whole blocks, cut at random sectors. */
static void
pieces_random(struct secret *s, size_t blocks, struct pieces *p)
{
	size_t left = blocks * BLOCK_SIZE / 512, n;

	*p = (struct pieces){ 0 };
	while (left > 0) {
		n = 1 + prng_below(&s->p, left);
		if (p->count == PIECES_MAX - 1)
			n = left;
		p->len[p->count++] = n * 512;
		left -= n;
	}
}

static void
shapes(struct rig *r)
{
	struct pieces *const fixed[] = {
		PIECES(4096), PIECES(512, 3584), PIECES(3584, 512),
		PIECES(1024, 1024, 1024, 1024), PIECES(2048, 4096, 2048),
		PIECES(8192, 4096), PIECES(512, 12288, 3584),
		PIECES(4608, 7680), PIECES(65536),
		PIECES(512, 512, 512, 512, 512, 512, 512, 512),
	};
	struct secret s;
	struct pieces p;

	secret_up(&s, r);
	owner_write(&s, 0, SIZE);
	owner_expect(s.f, 0, SIZE, s.model);
	for (size_t i = 0; i < sizeof(fixed) / sizeof(fixed[0]); i++) {
		uint64_t off = i * 25 * BLOCK_SIZE;

		ATF_CHECK(fast_write(&s, off, fixed[i]));
		ATF_CHECK(fast_expect(s.f, off, fixed[i], s.model + off));
	}
	for (unsigned i = 0; i < 300; i++) {
		size_t blocks = 1 + prng_below(&s.p, 40);
		uint64_t off = prng_below(&s.p, SIZE / BLOCK_SIZE - blocks) *
		    BLOCK_SIZE;

		pieces_random(&s, blocks, &p);
		ATF_REQUIRE(fast_write(&s, off, &p));
		pieces_random(&s, blocks, &p);
		ATF_REQUIRE(fast_expect(s.f, off, &p, s.model + off));
	}
	owner_expect(s.f, 0, SIZE, s.model);
	secret_down(&s);
}

ATF_TC_WITHOUT_HEAD(requests_of_any_shape_are_turned);
ATF_TC_BODY(requests_of_any_shape_are_turned, tc)
{
	rig_run(256 * MIB, shapes);
}

/* So long that two threads turn them. */
static void
long_ones(struct rig *r)
{
	struct secret s;
	struct pieces p;

	secret_up(&s, r);
	owner_write(&s, 0, SIZE);
	owner_expect(s.f, 0, SIZE, s.model);
	for (unsigned i = 0; i < 30; i++) {
		size_t blocks = 32 + prng_below(&s.p, 300);
		uint64_t off = prng_below(&s.p, SIZE / BLOCK_SIZE - blocks) *
		    BLOCK_SIZE;

		pieces_random(&s, blocks, &p);
		ATF_REQUIRE(fast_write(&s, off, &p));
		pieces_random(&s, blocks, &p);
		ATF_REQUIRE(fast_expect(s.f, off, &p, s.model + off));
	}
	owner_expect(s.f, 0, SIZE, s.model);
	/* What then fails is for the owner as well. */
	s.w.fail = true;
	s.w.op = DISK_WRITE;
	ATF_CHECK(!fast_write(&s, 0, PIECES(512, MIB - 512)));
	ATF_CHECK(!s.w.fail);
	owner_write(&s, 0, MIB);
	ATF_CHECK(fast_write(&s, 0, PIECES(512, MIB - 512)));
	owner_expect(s.f, 0, SIZE, s.model);
	secret_down(&s);
}

ATF_TC_WITHOUT_HEAD(long_requests_are_turned_by_two_threads);
ATF_TC_BODY(long_requests_are_turned_by_two_threads, tc)
{
	rig_run(256 * MIB, long_ones);
}

static void
parts_of_blocks(struct rig *r)
{
	struct secret s;

	secret_up(&s, r);
	owner_write(&s, 0, CHUNK_SIZE);
	owner_expect(s.f, 0, CHUNK_SIZE, s.model);
	ATF_CHECK(fast_expect(s.f, 0, PIECES(4096), s.model));
	ATF_CHECK(!fast_write(&s, 512, PIECES(4096)));
	ATF_CHECK(!fast_write(&s, 4096, PIECES(512)));
	ATF_CHECK(!fast_expect(s.f, 512, PIECES(4096), s.model));
	ATF_CHECK(!fast_expect(s.f, 0, PIECES(4096, 512), s.model));
	owner_expect(s.f, 0, CHUNK_SIZE, s.model);
	secret_down(&s);
}

ATF_TC_WITHOUT_HEAD(parts_of_blocks_are_for_the_owner);
ATF_TC_BODY(parts_of_blocks_are_for_the_owner, tc)
{
	rig_run(256 * MIB, parts_of_blocks);
}

/* Reads of pieces that straddle what is written and what is not. */
static void
holes(struct rig *r)
{
	struct secret s;

	secret_up(&s, r);
	for (unsigned i = 0; i < 4; i++)	/* blocks 1, 4, 7, 10 */
		owner_write(&s, (1 + 3 * i) * BLOCK_SIZE, BLOCK_SIZE);
	owner_write(&s, CHUNK_SIZE, CHUNK_SIZE);
	owner_expect(s.f, 0, MIB, s.model);
	ATF_CHECK(fast_expect(s.f, 0, PIECES(4096), s.model));
	ATF_CHECK(fast_expect(s.f, 0, PIECES(512, 6144, 1536, 512, 3584),
	    s.model));
	ATF_CHECK(fast_expect(s.f, 4096, PIECES(512, 3584 + 8192 + 512,
	    3584), s.model + 4096));
	ATF_CHECK(fast_expect(s.f, 9 * 4096, PIECES(2048, 8 * 4096, 2048,
	    4096), s.model + 9 * 4096));
	/* Nor are they written past the owner. */
	ATF_CHECK(!fast_write(&s, 0, PIECES(4096)));
	ATF_CHECK(!fast_write(&s, 4096, PIECES(4096, 4096)));
	ATF_CHECK(fast_write(&s, 4096, PIECES(512, 3584)));
	owner_expect(s.f, 0, MIB, s.model);
	secret_down(&s);
}

ATF_TC_WITHOUT_HEAD(holes_are_read_as_zeroes);
ATF_TC_BODY(holes_are_read_as_zeroes, tc)
{
	rig_run(256 * MIB, holes);
}

/* In several parts of the LUN: each second chunk lies elsewhere. */
static void
snapshots(struct rig *r)
{
	struct fs_snapshot snap;
	struct fs_file *g;
	struct secret s;
	uint8_t *old;
	struct pieces p;

	secret_up(&s, r);
	owner_write(&s, 0, SIZE);
	old = malloc(SIZE);
	memcpy(old, s.model, SIZE);
	ATF_REQUIRE_EQ(0, fs_snapshot_create(r->fs, s.ino, "s", &snap, NULL));
	g = rig_open(r, snap.ino, FS_READ);
	ATF_CHECK(!fast_write(&s, 0, PIECES(4096)));
	for (unsigned i = 0; i < 8; i++)
		owner_write(&s, (2 * i + 1) * CHUNK_SIZE + BLOCK_SIZE,
		    3 * BLOCK_SIZE);
	owner_expect(s.f, 0, SIZE, s.model);
	owner_expect(g, 0, SIZE, old);
	ATF_CHECK(fast_write(&s, CHUNK_SIZE + BLOCK_SIZE,
	    PIECES(512, 8192, 3584)));
	ATF_REQUIRE_EQ(0, fs_rekey(r->fs, s.ino, &rig_key[1], NULL));
	ATF_CHECK(fast_write(&s, 3 * CHUNK_SIZE + BLOCK_SIZE, PIECES(4096)));
	for (unsigned i = 0; i < 100; i++) {
		size_t blocks = 1 + prng_below(&s.p, 20);
		uint64_t off = prng_below(&s.p, 240) * BLOCK_SIZE;

		pieces_random(&s, blocks, &p);
		ATF_REQUIRE(fast_expect(s.f, off, &p, s.model + off));
		ATF_REQUIRE(fast_expect(g, off, &p, old + off));
	}
	rig_close(g);
	free(old);
	secret_down(&s);
}

ATF_TC_WITHOUT_HEAD(a_snapshot_and_its_disk_are_told_apart);
ATF_TC_BODY(a_snapshot_and_its_disk_are_told_apart, tc)
{
	rig_run(256 * MIB, snapshots);
}

/* ---- beside it ---- */

static void
clear_disk(struct rig *r)
{
	struct secret s;
	uint64_t ino;

	secret_up(&s, r);
	rig_close(s.f);
	ino = rig_create(r, "clear", INODE_DISK, SIZE);
	s.f = rig_open(r, ino, FS_READ | FS_WRITE);
	owner_write(&s, 0, MIB);
	owner_expect(s.f, 0, MIB, s.model);
	s.w.clear = 0;
	ATF_CHECK(fast_write(&s, 0, PIECES(512, 3584)));
	ATF_CHECK(fast_expect(s.f, 0, PIECES(4096), s.model));
	/* Who looks for clear text finds what there is. */
	ATF_CHECK_EQ(8u, s.w.clear);
	s.w.clear = 0;
	secret_down(&s);
}

ATF_TC_WITHOUT_HEAD(a_clear_disk_beside_it_stays_clear);
ATF_TC_BODY(a_clear_disk_beside_it_stays_clear, tc)
{
	rig_run(256 * MIB, clear_disk);
}

/* A disk that has been looked at, and is encrypted then. */
static void
encrypted_later(struct rig *r)
{
	struct secret s;

	secret_up(&s, r);
	rig_close(s.f);
	s.ino = rig_create(r, "late", INODE_DISK, SIZE);
	s.f = rig_open(r, s.ino, FS_READ | FS_WRITE);
	owner_expect(s.f, 0, MIB, s.model);
	rig_close(s.f);
	ATF_REQUIRE_EQ(0, fs_encrypt(r->fs, s.ino, &rig_key[0], NULL));
	s.f = rig_open(r, s.ino, FS_READ | FS_WRITE);
	owner_write(&s, 0, MIB);
	owner_expect(s.f, 0, MIB, s.model);
	ATF_CHECK(fast_write(&s, 0, PIECES(4096)));
	ATF_CHECK(fast_expect(s.f, 0, PIECES(4096), s.model));
	secret_down(&s);
}

ATF_TC_WITHOUT_HEAD(what_is_encrypted_later_is_turned_then);
ATF_TC_BODY(what_is_encrypted_later_is_turned_then, tc)
{
	rig_run(256 * MIB, encrypted_later);
}

static void
read_fails(struct rig *r)
{
	struct secret s;

	secret_up(&s, r);
	owner_write(&s, 0, MIB);
	owner_expect(s.f, 0, MIB, s.model);
	s.w.fail = true;
	/* It is for the owner then, who begins anew. */
	ATF_CHECK(!fast_expect(s.f, 0, PIECES(512, 3584), s.model));
	ATF_CHECK(!s.w.fail);
	ATF_CHECK(fast_expect(s.f, 0, PIECES(512, 3584), s.model));
	secret_down(&s);
}

ATF_TC_WITHOUT_HEAD(a_read_that_fails_is_for_the_owner);
ATF_TC_BODY(a_read_that_fails_is_for_the_owner, tc)
{
	rig_run(256 * MIB, read_fails);
}

ATF_TP_ADD_TCS(tp)
{
	ATF_TP_ADD_TC(tp, requests_of_any_shape_are_turned);
	ATF_TP_ADD_TC(tp, long_requests_are_turned_by_two_threads);
	ATF_TP_ADD_TC(tp, parts_of_blocks_are_for_the_owner);
	ATF_TP_ADD_TC(tp, holes_are_read_as_zeroes);
	ATF_TP_ADD_TC(tp, a_snapshot_and_its_disk_are_told_apart);
	ATF_TP_ADD_TC(tp, a_clear_disk_beside_it_stays_clear);
	ATF_TP_ADD_TC(tp, what_is_encrypted_later_is_turned_then);
	ATF_TP_ADD_TC(tp, a_read_that_fails_is_for_the_owner);
	return atf_no_error();
}
