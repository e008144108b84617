/* SPDX-License-Identifier: BSD-2-Clause */
/* A host that dies with a journal, and the one that replays it. */
#include "tests/sim/replay_rig.h"

#include <atf-c.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "libvmfs/core/fs.h"

#define WAIT_MS 120000u
#define SAVES 2u

/* One journal, one thing that is wrong with it. */
struct play {
	void (*spoil)(struct sim_log *l);
	bool refused;		/* else the replay ends well ... */
	unsigned rounds;	/* ... and so many flushes are there */
};

struct replay_rig rig;

static struct play play;
static uint8_t saved[SAVES][4 * BLOCK_SIZE];	/* what spoil has changed */
static uint64_t saved_at[SAVES];
static size_t saved_blocks[SAVES];
static unsigned saves;

/* ---- a host that dies with a journal ---- */

static void
mounts(struct world *w, unsigned i)
{
	int rc = world_mount(w, i);

	if (rc < 0)
		world_fail(w, "host%u does not mount: %s: %s", i,
		    vmfs_strerror(rc), w->host[i].why);
}

/* Each round writes a chunk of its own, so each flush has a commit. */
static void
write_round(struct world *w, struct fs_file *f, unsigned round)
{
	uint8_t *buf = disk_buf_alloc(CHUNK_SIZE);

	if (buf == NULL)
		abort();
	memset(buf, (int)round, CHUNK_SIZE);
	WORLD_CHECK(w, fs_file_write(f, (round - 1) * (uint64_t)CHUNK_SIZE,
	    buf, CHUNK_SIZE) == 0);
	WORLD_CHECK(w, fs_file_flush(f) == 0);
	free(buf);
}

static void
live_and_die(struct world *w)
{
	struct lock_holder holder;
	struct fs_file *f = NULL;
	struct fs *fs;
	struct fs_attr a;

	mounts(w, 0);
	mounts(w, 1);
	if (world_failed(w))
		return;
	fs = w->host[0].fs;
	WORLD_CHECK(w, fs_create(fs, fs_root(fs), "vm", INODE_DISK, 0600, 0, 0,
	    REPLAY_ROUNDS * CHUNK_SIZE, &a) == 0);
	WORLD_CHECK(w, fs_file_open(fs, a.ino, 0, FS_READ | FS_WRITE, &f,
	    &holder) == 0);
	rig.ino = a.ino;
	for (unsigned i = 1; i <= REPLAY_ROUNDS && !world_failed(w); i++)
		write_round(w, f, i);
	world_crash(w, 0);
}

/* ---- what its survivor finds ---- */

static int
opens(struct world *w, struct fs_file **ret_f)
{
	struct fs *fs = w->host[1].fs;
	struct lock_holder holder;
	struct fs_attr a;
	int rc = fs_lookup(fs, fs_root(fs), "vm", &a);

	return rc < 0 ? rc : fs_file_open(fs, a.ino, 0, FS_READ | FS_WRITE,
	    ret_f, &holder);
}

/* So many rounds are there, and nothing of the others. */
static void
check_rounds(struct world *w, unsigned rounds)
{
	uint8_t *buf = disk_buf_alloc(CHUNK_SIZE);
	struct fs_file *f = NULL;
	size_t got = 0;
	int rc = opens(w, &f);

	if (rc < 0 || buf == NULL)
		world_fail(w, "open: %s", vmfs_strerror(rc));
	for (unsigned i = 1; i <= REPLAY_ROUNDS && !world_failed(w); i++) {
		uint8_t want = i <= rounds ? (uint8_t)i : 0;

		WORLD_CHECK(w, fs_file_read(f, (i - 1) * (uint64_t)CHUNK_SIZE,
		    buf, CHUNK_SIZE, &got) == 0 && got == CHUNK_SIZE);
		if (buf[0] != want || memcmp(buf, buf + 1, CHUNK_SIZE - 1) != 0)
			world_fail(w, "round %u shows %u", i, buf[0]);
	}
	if (f != NULL)
		WORLD_CHECK(w, fs_file_close(f) == 0);
	free(buf);
}

static bool
has_taken_over(struct world *w, unsigned i)
{
	return w->host[i].takeovers > 0;
}

static bool
has_trouble(struct world *w, unsigned i)
{
	return w->host[i].takeover_troubles > 0 || w->host[i].takeovers > 0;
}

static void
note_report(void *arg, const struct takeover_report *r)
{
	struct world *w = arg;

	WORLD_CHECK(w, r->result == 0 || strstr(r->why, "cannot be replayed")
	    != NULL);
}

static void
check_target(struct world *w)
{
	const uint8_t *is = sim_block(w, rig.target);

	if (rig.target == 0)
		return;
	if (rig.want_applied)
		WORLD_CHECK(w, is[100] == 0x77 && is[BLOCK_SIZE - 1] == 0x77);
	else
		WORLD_CHECK(w, memcmp(is, rig.target_was, BLOCK_SIZE) == 0);
}

static void
refuses(struct world *w)
{
	struct fs_file *f;
	int rc;

	WORLD_CHECK(w, world_wait(w, has_trouble, 1, WAIT_MS));
	WORLD_CHECK(w, !has_taken_over(w, 1));
	host_takeovers(w->host[1].host, note_report, w);
	rc = opens(w, &f);
	WORLD_CHECK(w, rc == -VMFS_ELOCKED || rc == -VMFS_ECORRUPT ||
	    (rc == -EIO && w->lun.strike.result != 0));
	check_target(w);
	/* Others' work goes on. */
	WORLD_CHECK(w, ds_health(w->host[1].ds) == 0 &&
	    w->host[1].status == HOST_OK);
}

/* ---- spoiling ---- */

void
replay_save(struct sim_log *l, uint64_t block, size_t blocks)
{
	size_t n = blocks * BLOCK_SIZE;

	WORLD_CHECK(l->w, saves < SAVES && n <= sizeof(saved[0]));
	saved_at[saves] = block;
	saved_blocks[saves] = blocks;
	memcpy(saved[saves++], sim_block(l->w, block), n);
}

static void
mend(struct world *w)
{
	w->lun.strike = (struct sim_strike){ 0 };
	while (saves > 0) {
		saves--;
		memcpy(sim_block(w, saved_at[saves]), saved[saves],
		    saved_blocks[saves] * BLOCK_SIZE);
	}
}

static void
on_replay(struct world *w)
{
	struct takeover_report r;

	WORLD_CHECK(w, host_last_takeover(w->host[1].host, &r));
	rig.replayed = r.replay;
	if (!rig.until_mended)
		check_target(w);
}

static void
run_play(struct world *w)
{
	saves = 0;
	rig.target = 0;
	rig.until_mended = false;
	live_and_die(w);
	if (world_failed(w))
		return;
	sim_log_read(w, "host0", &rig.log);
	WORLD_CHECK(w, rig.log.count >= REPLAY_ROUNDS);
	if (world_failed(w))
		return;
	play.spoil(&rig.log);
	if (play.refused) {
		refuses(w);
		mend(w);
	}
	WORLD_CHECK(w, world_wait(w, has_taken_over, 1, WAIT_MS));
	if (!world_failed(w)) {
		on_replay(w);
		check_rounds(w, play.rounds);
	}
	WORLD_CHECK(w, world_unmount(w, 1) == 0);
}

void
replay_run(const char *what, void (*spoil)(struct sim_log *l), bool refused,
    unsigned rounds)
{
	static struct world w;
	uint64_t hash;

	for (uint64_t seed = 1; seed <= 2; seed++) {
		struct world_conf conf = {
			.seed = seed, .hosts = 2, .protocol = LOCK_ATS_PR,
			.block_size = seed == 1 ? 512 : 4096,
		};

		play = (struct play){ spoil, refused, rounds };
		if (world_run(&w, &conf, run_play, &hash) < 0)
			atf_tc_fail("%s: %s", what, w.problem);
	}
}
