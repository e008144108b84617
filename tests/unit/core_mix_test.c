/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Writers that share blocks, past the owner and by it, beside snapshots,
 * punches, flushes and new keys, on LUNs that fail now and then, and that lose
 * power or are unmounted at last: each sector has a value that it may have.
 */
#include <atf-c.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/core_mix_rig.h"

#define WRITERS 4u
#define STEPS 60u	/* of a writer in a round */
#define ROUNDS 4u
#define MAX_RUN 600u

struct mix *mix;

static unsigned running;	/* writers */

uint64_t
mix_below(uint64_t n)
{
	return prng_below(&mix->p, n);
}

static bool
goes_on(void)
{
	return ds_health(mix->r.f.ds) == 0;
}

/* ---- writers ---- */

static void
fast_over(struct disk_req *req)
{
	*(int *)req->arg = 1;
}

static void
fast_again(struct disk_req *req)
{
	*(int *)req->arg = 2;
}

/* Past the owner; -EAGAIN: it is the owner's. */
static int
fast(enum disk_op op, uint64_t off, void *buf, size_t len)
{
	struct iovec iov[2] = { { buf, len } };
	int state = 0;
	struct disk_req req = { .op = op, .offset = off, .length = len,
		.iov = iov, .iovcnt = 1, .done = fast_over, .arg = &state };

	if (len > SECTOR && mix_below(2) == 0) {
		size_t a = (1 + mix_below(len / SECTOR - 1)) * SECTOR;

		iov[0].iov_len = a;
		iov[1] = (struct iovec){ (char *)buf + a, len - a };
		req.iovcnt = 2;
	}
	if (!fs_file_fast(mix->f, &req, fast_again))
		return -EAGAIN;
	while (state == 0)
		fiber_yield();
	return state == 2 ? -EAGAIN : req.result;
}

static void
write_run(unsigned s, unsigned n)
{
	uint32_t v = ++mix->stamp;
	uint8_t *buf = mix_pattern(n, v);
	size_t len = (size_t)n * SECTOR;
	int rc = -EAGAIN;

	mix_begins(s, n, v);
	if (mix_below(2) == 0)
		rc = fast(DISK_WRITE, mix_place(s), buf, len);
	if (rc == -EAGAIN)
		rc = fs_file_write(mix->f, mix_place(s), buf, len);
	mix_ended(s, n, v, rc);
	free(buf);
}

static void
punch_run(unsigned s, unsigned n)
{
	mix_begins(s, n, 0);
	mix_ended(s, n, 0, fs_file_punch(mix->f, mix_place(s),
	    (uint64_t)n * SECTOR));
}

static void
read_run(unsigned s, unsigned n)
{
	size_t len = (size_t)n * SECTOR, got = len;
	uint8_t *buf = mix_buffer(len);
	int rc = -EAGAIN;

	if (mix_below(2) == 0)
		rc = fast(DISK_READ, mix_place(s), buf, len);
	if (rc == -EAGAIN)
		rc = fs_file_read(mix->f, mix_place(s), buf, len, &got);
	if (rc == 0)
		mix_compare("read", buf, s, n, mix->now, true);
	else
		mix->failed++;
	free(buf);
}

/* Sectors of this writer's, which lie between those of the others. */
static void
choose(unsigned me, unsigned *ret_s, unsigned *ret_n)
{
	unsigned groups = SECTORS / mix->grain / WRITERS;
	unsigned s = ((unsigned)mix_below(groups) * WRITERS + me) * mix->grain;
	unsigned in = mix_below(2) == 0 ? 0 : (unsigned)mix_below(mix->grain);
	unsigned n = mix->grain - in;

	s += in;
	if (mix_below(2) == 0)
		n = 1 + (unsigned)mix_below(n);
	if (n > MAX_RUN)
		n = MAX_RUN;
	/* Whole blocks now and then. */
	if (n >= 16 && mix_below(3) == 0) {
		s = (s + 7) & ~7u;
		n = (n - 8) & ~7u;
	}
	*ret_s = s;
	*ret_n = mix_together(s, n);
}

static void
writer(void *arg)
{
	unsigned me = (unsigned)(uintptr_t)arg, s, n;

	for (unsigned i = 0; i < STEPS && goes_on(); i++) {
		choose(me, &s, &n);
		switch (mix_below(8)) {
		case 0:
			punch_run(s, n);
			break;
		case 1:
		case 2:
			read_run(s, n);
			break;
		default:
			write_run(s, n);
		}
	}
	running--;
}

/* ---- what is done beside ---- */

static void
do_flush(void)
{
	int rc = 0;

	memcpy(mix->flush, mix->now, sizeof(mix->flush));
	mix->is_flushing = true;
	if (mix_below(3) == 0)
		rc = ds_checkpoint(mix->r.f.ds, 0);
	if (rc == 0)
		rc = fs_file_flush(mix->f);
	mix->is_flushing = false;
	if (rc == 0 && !mix->cut)
		memcpy(mix->crashed, mix->flush, sizeof(mix->crashed));
}

static void
do_snap(struct snap *x)
{
	struct fs_snapshot s;
	char name[16];
	int rc;

	(void)snprintf(name, sizeof(name), "s%u", mix->names++);
	memcpy(mix->snapping, mix->now, sizeof(mix->snapping));
	mix->is_snapping = true;
	rc = fs_snapshot_create(mix->r.fs, mix->ino, name, &s, NULL);
	mix->is_snapping = false;
	/* It may be there although something failed after that. */
	if (rc != 0)
		rc = fs_snapshot_find(mix->r.fs, mix->ino, name, &s);
	if (rc != 0 || mix->cut) {
		mix->failed++;
		return;
	}
	memcpy(x->s, mix->snapping, sizeof(x->s));
	x->there = true;
	x->id = s.id;
	x->ino = s.ino;
}

static void
look_at_snap(struct snap *x)
{
	struct fs_file *f;

	if (fs_file_open(mix->r.fs, x->ino, 0, FS_READ, &f, NULL) != 0) {
		mix->failed++;
		return;
	}
	mix_compare_file("snapshot", f, x->s, true);
	(void)!fs_file_close(f);
}

static void
do_drop(struct snap *x)
{
	x->there = false;
	mix->failed += fs_snapshot_delete(mix->r.fs, mix->ino, x->id,
	    NULL) != 0;
}

static void
rekey_or_thin(void)
{
	uint64_t freed;

	if (mix->crypt)
		(void)!fs_rekey(mix->r.fs, mix->ino, &rig_key[mix_below(2)],
		    NULL);
	else
		(void)!fs_file_punch_zeroes(mix->f, NULL, &freed);
}

static void
beside(void)
{
	struct snap *x = &mix->snap[mix_below(SNAPS)];

	switch (mix_below(7)) {
	case 0:
	case 1:
		do_flush();
		break;
	case 2:
	case 3:
		if (x->there)
			look_at_snap(x);
		else
			do_snap(x);
		break;
	case 4:
		if (x->there)
			do_drop(x);
		break;
	case 5:
		rekey_or_thin();
		break;
	default:
		for (unsigned i = (unsigned)mix_below(200); i > 0; i--)
			fiber_yield();
	}
}

/* ---- when nobody writes ---- */

static bool
reopen(void)
{
	int rc = -EIO;

	for (unsigned i = 0; i < 20 && rc != 0; i++)
		rc = fs_file_open(mix->r.fs, mix->ino, 0, FS_READ | FS_WRITE,
		    &mix->f, NULL);
	if (rc != 0)
		mix->f = NULL;
	return rc == 0;
}

static void
clone_write(struct fs_file *f, struct set *s)
{
	unsigned at = (unsigned)mix_below(SECTORS - 300);
	unsigned n = mix_together(at, 1 + (unsigned)mix_below(300));
	uint32_t v = ++mix->stamp;
	uint8_t *buf = mix_pattern(n, v);
	int rc;

	for (unsigned k = at; k < at + n; k++)
		set_add(&s[k], v);
	rc = fs_file_write(f, mix_place(at), buf, (size_t)n * SECTOR);
	for (unsigned k = at; k < at + n && rc == 0; k++)
		set_only(&s[k], v);
	free(buf);
}

static void
clone_use(struct fs_file *f, struct set *s)
{
	mix_compare_file("clone", f, s, true);
	for (unsigned i = 0; i < 20; i++)
		clone_write(f, s);
	if (mix_below(2) == 0)
		mix->failed += fs_file_promote(f, NULL) != 0;
	mix_compare_file("clone, written", f, s, false);
	(void)!fs_file_close(f);
}

static void
do_clone(const struct snap *x)
{
	struct fs_file *f;
	struct fs_attr a;
	struct set *s;

	if (fs_clone(mix->r.fs, x->ino, mix->r.root, "clone", 0644, 0, 0, &a,
	    NULL) != 0) {
		mix->failed++;
		return;
	}
	s = malloc(sizeof(x->s));
	memcpy(s, x->s, sizeof(x->s));
	if (fs_file_open(mix->r.fs, a.ino, 0, FS_READ | FS_WRITE, &f,
	    NULL) == 0)
		clone_use(f, s);
	free(s);
	(void)!fs_unlink(mix->r.fs, mix->r.root, "clone", NULL);
}

static void
do_revert(const struct snap *x)
{
	int rc;

	(void)!fs_file_close(mix->f);
	mix->f = NULL;
	rc = fs_snapshot_revert(mix->r.fs, mix->ino, x->id, NULL);
	for (unsigned i = 0; i < SECTORS; i++) {
		set_join(&mix->now[i], &x->s[i]);
		set_join(&mix->crashed[i], &x->s[i]);
	}
	if (rc == 0)
		memcpy(mix->now, x->s, sizeof(mix->now));
	else
		mix->failed++;
	(void)reopen();
}

static void
between(void)
{
	struct snap *x = &mix->snap[mix_below(SNAPS)];

	mix_compare_file("all", mix->f, mix->now, true);
	if (!x->there)
		return;
	if (mix_below(2) == 0)
		do_clone(x);
	else
		do_revert(x);
}

/* ---- the end ---- */

static void
check_space(void)
{
	unsigned bad, leaks;

	mix_luns_check(&bad, &leaks);
	ATF_CHECK_EQ(0, bad);
	/* Only what a power cut has interrupted may have lost space. */
	if (!mix->cut)
		ATF_CHECK_EQ(0, leaks);
}

static void
check_content(void)
{
	rig_mount(&mix->r);
	rig_keys(mix->r.fs, 3);
	ATF_REQUIRE(reopen());
	mix_compare_file("disk at last", mix->f, mix->crashed, true);
	rig_close(mix->f);
	for (unsigned i = 0; i < SNAPS; i++) {
		struct snap *x = &mix->snap[i];
		struct fs_file *f;

		if (!x->there)
			continue;
		f = rig_open(&mix->r, x->ino, FS_READ);
		mix_compare_file("snapshot at last", f, x->s, false);
		rig_close(f);
	}
	ATF_REQUIRE_EQ(0, fs_close(mix->r.fs));
	ATF_REQUIRE_EQ(0, fixture_umount(&mix->r.f));
}

/* What is acknowledged is there after an unmount. */
static void
unmount(void)
{
	int rc = mix->f != NULL ? fs_file_close(mix->f) : 0, rc2;

	rc2 = fs_close(mix->r.fs);
	rc = rc != 0 ? rc : rc2;
	rc2 = fixture_umount(&mix->r.f);
	rc = rc != 0 ? rc : rc2;
	if (mix->cut)
		return;
	ATF_CHECK_EQ(0, rc);
	memcpy(mix->crashed, mix->now, sizeof(mix->crashed));
}

static void
end(uint64_t seed)
{
	mix->trouble = mix->short_of = 0;
	if (!mix->cut && (!goes_on() || mix_below(2) == 0))
		mix_cut_power();
	unmount();
	mix_luns_next(seed);
	mix_luns_recover();
	check_space();
	check_content();
	mix_luns_close();
}

/* ---- a seed ---- */

static void
begin(uint64_t seed)
{
	static const unsigned grains[] = { 1, 3, 8, 128, 600 };
	uint64_t bytes;
	struct fs_attr a;

	mix = calloc(1, sizeof(*mix));
	prng_seed(&mix->p, seed);
	mix->grain = grains[mix_below(5)];
	mix->crypt = mix_below(2) == 0;
	mix->wide = mix_below(2) == 0;
	mix->two = mix_below(2) == 0;
	mix_luns_new();
	bytes = mix_place(SECTORS - 1) + SECTOR;
	ATF_REQUIRE_EQ(0, fs_create(mix->r.fs, mix->r.root, "d", INODE_DISK,
	    0644, 0, 0, bytes, &a));
	mix->ino = a.ino;
	if (mix->crypt)
		ATF_REQUIRE_EQ(0, fs_encrypt(mix->r.fs, mix->ino, &rig_key[0],
		    NULL));
	for (unsigned i = 0; i < SECTORS; i++) {
		set_only(&mix->now[i], 0);
		set_only(&mix->crashed[i], 0);
	}
	ATF_REQUIRE(reopen());
	ATF_REQUIRE_EQ(0, ds_checkpoint(mix->r.f.ds, 0));
	mix->trouble = seed % 3 == 0 ? 0 : 60 + (unsigned)mix_below(600);
	mix->short_of = seed % 4 == 1 ? 60 + (unsigned)mix_below(600) : 0;
	mix->cut_at = mix_below(3) == 0 ? 20 + (unsigned)mix_below(900) : 0;
}

static void
round_run(void)
{
	mix_reorder(true);
	running = WRITERS;
	for (uintptr_t i = 0; i < WRITERS; i++)
		ATF_REQUIRE_EQ(0, sched_spawn(mix->r.f.env.sched, "writer",
		    writer, (void *)i));
	while (running > 0) {
		if (goes_on())
			beside();
		fiber_yield();
	}
	mix_reorder(false);
}

static bool stop_cut, cutting;

static void
cut_power(void *arg)
{
	(void)arg;
	while (mix->ops < mix->cut_at && !stop_cut)
		fiber_yield();
	if (!stop_cut)
		mix_cut_power();
	cutting = false;
}

static int
run(void *arg)
{
	uint64_t seed = *(uint64_t *)arg;

	begin(seed);
	stop_cut = false;
	cutting = mix->cut_at != 0;
	if (cutting)
		ATF_REQUIRE_EQ(0, sched_spawn(mix->r.f.env.sched, "cut",
		    cut_power, NULL));
	for (unsigned i = 0; i < ROUNDS && goes_on(); i++) {
		if (mix->f == NULL && !reopen())
			break;
		round_run();
		if (goes_on())
			between();
	}
	stop_cut = true;
	while (cutting)
		fiber_yield();
	end(seed);
	free(mix);
	mix = NULL;
	return 0;
}

ATF_TC_WITHOUT_HEAD(all_at_once_matches_a_model);
ATF_TC_BODY(all_at_once_matches_a_model, tc)
{
	uint64_t first = (uint64_t)atf_tc_get_config_var_as_long_wd(tc,
	    "seed", 1);
	uint64_t count = (uint64_t)atf_tc_get_config_var_as_long_wd(tc,
	    "seeds", 40);

	for (uint64_t seed = first; seed < first + count; seed++) {
		printf("reproduce: core_mix_test -v seed=%llu -v seeds=1 "
		    "all_at_once_matches_a_model\n",
		    (unsigned long long)seed);
		fflush(stdout);
		fixture_run(run, &seed);
	}
}

ATF_TP_ADD_TCS(tp)
{
	ATF_TP_ADD_TC(tp, all_at_once_matches_a_model);
	return atf_no_error();
}
