/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The n-th command of a host ends in an error, for each n and many errors: when
 * it mounts, and when it takes a dead host over.  Either it succeeds or it says
 * so; when the trouble is over it works, and what was flushed is there.
 */
#include <atf-c.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "libvmfs/base/units.h"
#include "libvmfs/core/fs.h"
#include "libvmfs/format/heartbeat.h"
#include "libvmfs/format/layout.h"
#include "tests/sim/world.h"

#define ALL UINT32_MAX
#define COMMANDS 40u		/* of the data path that are tried in turn */
#define BYTES 65536u
#define WAIT_MS 120000u

static const struct {
	unsigned ops;
	int result;
	bool done;		/* executed all the same */
} errors[] = {
	{ ALL, -EIO, false },
	{ ALL, -VMFS_EUNKNOWN, false },
	{ ALL, -VMFS_EUNKNOWN, true },
	{ ALL, -VMFS_EATTENTION, false },
	{ ALL, -VMFS_ECONFLICT, false },
	{ 1u << DISK_CAW, -VMFS_EMISCOMPARE, false },
	{ 1u << DISK_CAW, -VMFS_EMISCOMPARE, true },
	{ 1u << DISK_READ, -VMFS_EGONE, false },
};
#define ERRORS (sizeof(errors) / sizeof(errors[0]))

static unsigned error, command, times;

static void
strike(struct world *w, unsigned host)
{
	w->lun.strike = (struct sim_strike){
		.result = errors[error].result, .done = errors[error].done,
		.ops = errors[error].ops, .skip = command, .times = times,
		.first = 2 * host, .last = 2 * host + command % 2,
	};
}

static void
relent(struct world *w)
{
	w->lun.strike = (struct sim_strike){ 0 };
}

static void
mounts(struct world *w, unsigned i)
{
	int rc = world_mount(w, i);

	if (rc < 0)
		world_fail(w, "host%u does not mount: %s: %s", i,
		    vmfs_strerror(rc), w->host[i].why);
}

/* The process ends and starts again. */
static void
starts_again(struct world *w, unsigned i)
{
	if (w->host[i].fs != NULL)
		(void)!world_unmount(w, i);
	mounts(w, i);
}

static struct fs_file *
create(struct world *w, unsigned i)
{
	struct lock_holder holder;
	struct fs *fs = w->host[i].fs;
	struct fs_file *f = NULL;
	struct fs_attr a;
	int rc = fs_create(fs, fs_root(fs), "vm", INODE_FILE, 0600, 0, 0, 0,
	    &a);

	if (rc == 0)
		rc = fs_file_open(fs, a.ino, 0, FS_READ | FS_WRITE, &f,
		    &holder);
	WORLD_CHECK(w, rc == 0);
	return f;
}

static struct fs_file *
open_in_the_end(struct world *w, unsigned i)
{
	uint64_t end = w->sim.now_ns + WAIT_MS * NSEC_PER_MSEC;
	struct fs *fs = w->host[i].fs;
	struct lock_holder holder;
	struct fs_file *f = NULL;
	struct fs_attr a;
	int rc;

	do {
		rc = fs_lookup(fs, fs_root(fs), "vm", &a);
		if (rc == 0)
			rc = fs_file_open(fs, a.ino, 0, FS_READ | FS_WRITE, &f,
			    &holder);
		if (rc == -VMFS_ELOCKED)
			fiber_sleep(NSEC_PER_SEC);
	} while (rc == -VMFS_ELOCKED && w->sim.now_ns < end);
	if (rc < 0)
		world_fail(w, "host%u: open: %s", i, vmfs_strerror(rc));
	return f;
}

static void
check_content(struct world *w, unsigned i)
{
	struct fs_file *f = open_in_the_end(w, i);
	uint8_t *buf = disk_buf_alloc(BYTES);
	size_t got = 0;

	if (f != NULL && buf != NULL) {
		WORLD_CHECK(w, fs_file_read(f, 0, buf, BYTES, &got) == 0);
		WORLD_CHECK(w, got == BYTES && buf[0] == 0x5a &&
		    memcmp(buf, buf + 1, BYTES - 1) == 0);
		WORLD_CHECK(w, fs_file_close(f) == 0);
	}
	free(buf);
}

/* A file whose content is flushed, open in the hands of host 0. */
static struct fs_file *
write_flushed(struct world *w)
{
	struct fs_file *f = create(w, 0);
	uint8_t *buf = disk_buf_alloc(BYTES);

	if (f != NULL && buf != NULL) {
		memset(buf, 0x5a, BYTES);
		WORLD_CHECK(w, fs_file_write(f, 0, buf, BYTES) == 0);
		WORLD_CHECK(w, fs_file_flush(f) == 0);
	}
	free(buf);
	return f;
}

static void
unmounts(struct world *w, unsigned i)
{
	int rc = world_unmount(w, i);

	if (rc < 0)
		world_fail(w, "host%u: unmount: %s", i, vmfs_strerror(rc));
}

static void
end(struct world *w)
{
	for (unsigned i = 0; i < w->hosts; i++)
		if (w->host[i].fs != NULL)
			unmounts(w, i);
}

/* ---- plays ---- */

/* Host 1 mounts among errors, beside host 0 that has the file open. */
static void
play_mount(struct world *w)
{
	struct fs_file *f;

	mounts(w, 0);
	if (world_failed(w) || (f = write_flushed(w)) == NULL)
		return;
	strike(w, 1);
	(void)!world_mount(w, 1);
	relent(w);
	starts_again(w, 1);
	WORLD_CHECK(w, fs_file_close(f) == 0);
	if (!world_failed(w))
		check_content(w, 1);
	end(w);
}

/* Host 0 dies; host 1 takes over among errors. */
static void
play_takeover(struct world *w)
{
	mounts(w, 0);
	mounts(w, 1);
	if (world_failed(w) || write_flushed(w) == NULL)
		return;
	world_crash_begin(w, 0);
	world_crash(w, 0);
	fiber_sleep((w->super.timers.fence_ms - 1000) * NSEC_PER_MSEC);
	strike(w, 1);
	fiber_sleep(10 * NSEC_PER_SEC);
	relent(w);
	fiber_sleep(w->super.timers.fence_ms * NSEC_PER_MSEC);
	/* Stopped, fenced, or without its cache: what the admin is told. */
	if (ds_health(w->host[1].ds) < 0 ||
	    disk_flush(host_disk(w->host[1].host)) < 0)
		starts_again(w, 1);
	if (!world_failed(w))
		check_content(w, 1);
	end(w);
}

/* Host 0 closes its file and leaves among errors: all is free afterwards. */
static void
play_leave(struct world *w)
{
	struct fs_file *f;

	mounts(w, 0);
	mounts(w, 1);
	if (world_failed(w) || (f = write_flushed(w)) == NULL)
		return;
	strike(w, 0);
	(void)!fs_file_close(f);
	(void)!world_unmount(w, 0);
	relent(w);
	mounts(w, 0);
	if (!world_failed(w))
		check_content(w, 1);
	end(w);
}

/*
 * A block of the dead host's journal is damaged.  Its locks stay until the
 * block is whole again, or it was behind the end of what counts.
 */
static void
play_damage(struct world *w)
{
	struct heartbeat hb = { 0 };
	uint8_t *byte;

	mounts(w, 0);
	mounts(w, 1);
	if (world_failed(w) || write_flushed(w) == NULL)
		return;
	world_crash_begin(w, 0);
	world_crash(w, 0);
	for (unsigned slot = 0; slot < SLOTS_MAX; slot++)
		if (heartbeat_decode(w->lun.now + (SLOT_TABLE_BLOCK + slot) *
		    (uint64_t)BLOCK_SIZE, &w->super.uuid, slot, &hb) == 0 &&
		    strcmp(hb.name, "host0") == 0)
			break;
	WORLD_CHECK(w, hb.journal_block != 0);
	byte = w->lun.now + hb.journal_block * BLOCK_SIZE +
	    command / 2 * (uint64_t)BLOCK_SIZE + 64 * (error + 1);
	*byte ^= 0x40;
	fiber_sleep(3 * w->super.timers.fence_ms * NSEC_PER_MSEC);
	*byte ^= 0x40;
	fiber_sleep(w->super.timers.fence_ms * NSEC_PER_MSEC);
	WORLD_CHECK(w, ds_health(w->host[1].ds) == 0);
	world_boot(w, 0);
	mounts(w, 0);
	end(w);
}

static void
run_all(enum lock_protocol protocol, void (*play)(struct world *w))
{
	static struct world w;
	uint64_t hash;

	for (error = 0; error < ERRORS; error++)
		for (command = 0; command < COMMANDS; command++) {
			struct world_conf conf = {
				.seed = 1 + command, .hosts = 2,
				.protocol = protocol,
			};

			times = command % 3 == 0 ? 4 : 1;
			if (world_run(&w, &conf, play, &hash) < 0)
				atf_tc_fail("error %u command %u: %s", error,
				    command, w.problem);
		}
}

#define NTH_TEST(name, protocol, play) \
	ATF_TC_WITHOUT_HEAD(name); \
	ATF_TC_BODY(name, tc) \
	{ \
		(void)tc; \
		run_all(protocol, play); \
	}

NTH_TEST(any_error_of_a_mount_is_survived, LOCK_ATS_PR, play_mount)
NTH_TEST(any_error_of_a_mount_is_survived_in_a_file, LOCK_FILE, play_mount)
NTH_TEST(any_error_of_a_mount_is_survived_under_reserve, LOCK_RESERVE,
    play_mount)
NTH_TEST(any_error_of_a_take_over_is_survived, LOCK_ATS_PR, play_takeover)
NTH_TEST(any_error_of_a_take_over_is_survived_in_a_file, LOCK_FILE,
    play_takeover)

NTH_TEST(any_error_of_a_take_over_by_time_is_survived, LOCK_ATS_WATCHDOG,
    play_takeover)
NTH_TEST(any_error_when_leaving_is_survived, LOCK_ATS_PR, play_leave)
NTH_TEST(any_error_when_leaving_a_file_is_survived, LOCK_FILE, play_leave)
NTH_TEST(a_damaged_journal_harms_nobody_else, LOCK_ATS_PR, play_damage)

ATF_TP_ADD_TCS(tp)
{
	ATF_TP_ADD_TC(tp, any_error_of_a_mount_is_survived);
	ATF_TP_ADD_TC(tp, any_error_of_a_mount_is_survived_in_a_file);
	ATF_TP_ADD_TC(tp, any_error_of_a_mount_is_survived_under_reserve);
	ATF_TP_ADD_TC(tp, any_error_of_a_take_over_is_survived);
	ATF_TP_ADD_TC(tp, any_error_of_a_take_over_is_survived_in_a_file);
	ATF_TP_ADD_TC(tp, any_error_of_a_take_over_by_time_is_survived);
	ATF_TP_ADD_TC(tp, any_error_when_leaving_is_survived);
	ATF_TP_ADD_TC(tp, any_error_when_leaving_a_file_is_survived);
	ATF_TP_ADD_TC(tp, a_damaged_journal_harms_nobody_else);
	return atf_no_error();
}
