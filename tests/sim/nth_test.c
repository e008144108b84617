/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The n-th command of a host ends in an error, for each n and many errors: when
 * it mounts, leaves, takes a dead host over, uses locks or does what an admin
 * orders.  Either it succeeds or it says so; when the trouble is over it works,
 * and what was flushed is there.
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
	/* Not a command: the n-th buffer cannot be had. */
	{ 0, -ENOMEM, false },
};
#define ERRORS (sizeof(errors) / sizeof(errors[0]))

static unsigned error, command, times;

/* The linker puts this in front of disk_buf_alloc. */
void *__real_disk_buf_alloc(size_t len);
void *__wrap_disk_buf_alloc(size_t len);

static struct {
	bool on;
	unsigned seen;
} buffers;

void *
__wrap_disk_buf_alloc(size_t len)
{
	unsigned n = buffers.seen;

	if (!buffers.on)
		return __real_disk_buf_alloc(len);
	buffers.seen++;
	return n >= command && n < command + times ? NULL :
	    __real_disk_buf_alloc(len);
}

static void
strike(struct world *w, unsigned host)
{
	buffers.on = errors[error].result == -ENOMEM;
	buffers.seen = 0;
	w->lun.strike = (struct sim_strike){
		.result = errors[error].result, .done = errors[error].done,
		.ops = errors[error].ops, .skip = command, .times = times,
		.first = 2 * host, .last = 2 * host + command % 2,
	};
}

static void
relent(struct world *w)
{
	buffers.on = false;
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
	struct fs_file *f = world_create(w, 0, "vm");
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

/* ---- locks, without a file system ---- */

#define LOCK_BLOCK 8192u

static int
take(struct world *w, unsigned i, uint64_t addr, enum lock_mode mode,
    uint64_t ms, struct lock_grant *ret_g)
{
	struct lockops *l = host_locks(w->host[i].host);

	*ret_g = (struct lock_grant){ 0 };
	return l->vt->acquire(l, addr, mode, ms == 0 ? LOCK_NOWAIT : 0,
	    w->sim.now_ns + ms * NSEC_PER_MSEC, ret_g, NULL);
}

static int
give(struct world *w, unsigned i, struct lock_grant *g)
{
	struct lockops *l = host_locks(w->host[i].host);

	return l->vt->release(l, g);
}

static void
joins(struct world *w, unsigned i)
{
	int rc = world_join(w, i);

	if (rc < 0)
		world_fail(w, "host%u does not join: %s: %s", i,
		    vmfs_strerror(rc), w->host[i].why);
}

static void
leaves(struct world *w, unsigned i)
{
	int rc = world_leave(w, i);

	if (rc < 0)
		world_fail(w, "host%u does not leave: %s", i,
		    vmfs_strerror(rc));
}

/* Whoever was fenced comes back; all locks can be had; all leave. */
static void
locks_end(struct world *w, unsigned hosts)
{
	struct lock_grant g;

	for (unsigned i = 0; i < hosts && !world_failed(w); i++) {
		if (host_status(w->host[i].host) == HOST_FENCED) {
			WORLD_CHECK(w, world_leave(w, i) == 0);
			joins(w, i);
		}
	}
	for (unsigned i = 0; i < 2 * hosts && !world_failed(w); i++) {
		WORLD_CHECK(w, take(w, i / 2, LOCK_BLOCK + i % 2,
		    LOCK_EXCLUSIVE, WAIT_MS, &g) == 0);
		WORLD_CHECK(w, give(w, i / 2, &g) == 0);
	}
	for (unsigned i = 0; i < hosts && !world_failed(w); i++)
		leaves(w, i);
}

/* What host 1 has, host 0 does not get. */
static void
has_it_alone(struct world *w, enum lock_mode mode)
{
	bool short_of_buffers = buffers.on;
	struct lock_grant g;

	buffers.on = false;
	if (host_status(w->host[1].host) != HOST_FENCED)
		WORLD_CHECK(w, take(w, 0, LOCK_BLOCK, mode, 0, &g) ==
		    -VMFS_ELOCKED);
	buffers.on = short_of_buffers;
}

static void
count_holder(void *arg, const struct lock_holder *one)
{
	unsigned *n = arg;

	(void)one;
	(*n)++;
}

/* Host 1 does all that can be done with a lock; host 0 looks on. */
static void
use_locks(struct world *w)
{
	struct lockops *l = host_locks(w->host[1].host);
	struct lock_holder holder;
	struct lock_grant g;
	unsigned n = 0;

	if (take(w, 1, LOCK_BLOCK, LOCK_EXCLUSIVE, 60000, &g) == 0) {
		has_it_alone(w, LOCK_SHARED);
		if (host_lock_holders(w->host[1].host, LOCK_BLOCK,
		    count_holder, &n) == 0)
			WORLD_CHECK(w, n == 1);
		(void)!give(w, 1, &g);
	}
	if (take(w, 1, LOCK_BLOCK, LOCK_SHARED, 60000, &g) == 0) {
		has_it_alone(w, LOCK_EXCLUSIVE);
		(void)!host_lock_break(w->host[1].host, LOCK_BLOCK, &holder);
		has_it_alone(w, LOCK_EXCLUSIVE);
		(void)!give(w, 1, &g);
	}
	/* Nobody that lives but us has had it. */
	if (l->vt->query(l, LOCK_BLOCK, &holder) == 0)
		WORLD_CHECK(w, holder.mode == LOCK_FREE ||
		    holder.slot != host_locks(w->host[0].host)->slot);
	if (l->vt->create(l, LOCK_BLOCK + 1, &g) == 0)
		(void)!give(w, 1, &g);
}

static void
play_locks(struct world *w)
{
	for (unsigned i = 0; i < 2; i++)
		joins(w, i);
	if (world_failed(w))
		return;
	strike(w, 1);
	use_locks(w);
	relent(w);
	locks_end(w, 2);
}

/* The same while a dead host's lock, and its mark, stand in the way. */
static void
play_locks_of_the_dead(struct world *w)
{
	struct lock_grant g;

	for (unsigned i = 0; i < 3; i++)
		joins(w, i);
	WORLD_CHECK(w, take(w, 2, LOCK_BLOCK, command % 2 == 0 ?
	    LOCK_SHARED : LOCK_EXCLUSIVE, 0, &g) == 0);
	if (world_failed(w))
		return;
	world_crash(w, 2);
	fiber_sleep((w->super.timers.fence_ms - 1000) * NSEC_PER_MSEC);
	strike(w, 1);
	use_locks(w);
	relent(w);
	locks_end(w, 2);
}

/* ---- what an admin orders ---- */

static void
play_orders(struct world *w)
{
	struct takeover_report r;
	struct lock_grant g;
	char why[HOST_WHY_SIZE] = "";
	unsigned slots = 0;
	int rc;

	for (unsigned i = 0; i < 3; i++)
		joins(w, i);
	WORLD_CHECK(w, take(w, 2, LOCK_BLOCK, LOCK_EXCLUSIVE, 0, &g) == 0);
	if (world_failed(w))
		return;
	world_crash(w, 2);
	strike(w, 1);
	rc = host_fence(w->host[1].host, "host2", command % 4 < 2, &r, why);
	WORLD_CHECK(w, rc == 0 ? r.at_us[TAKEOVER_FREED] != 0 :
	    why[0] != '\0');
	rc = host_forget(w->host[1].host, "host2", true, &slots, why);
	WORLD_CHECK(w, rc == 0 ? slots == 1 : why[0] != '\0');
	relent(w);
	locks_end(w, 2);
}

static void
run_all(enum lock_protocol protocol, unsigned hosts,
    void (*play)(struct world *w))
{
	static struct world w;
	uint64_t hash;

	for (error = 0; error < ERRORS; error++)
		for (command = 0; command < COMMANDS; command++) {
			struct world_conf conf = {
				.seed = 1 + command, .hosts = hosts,
				.protocol = protocol,
				.lun_bytes = 72 * MIB,
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
		run_all(protocol, 2, play); \
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

ATF_TC_WITHOUT_HEAD(any_error_of_a_lock_is_survived);
ATF_TC_BODY(any_error_of_a_lock_is_survived, tc)
{
	(void)tc;
	run_all(LOCK_ATS_PR, 2, play_locks);
	run_all(LOCK_FILE, 2, play_locks);
}

ATF_TC_WITHOUT_HEAD(any_error_of_a_lock_without_a_fence_is_survived);
ATF_TC_BODY(any_error_of_a_lock_without_a_fence_is_survived, tc)
{
	(void)tc;
	run_all(LOCK_ATS_WATCHDOG, 2, play_locks);
	run_all(LOCK_RESERVE, 2, play_locks);
}

ATF_TC_WITHOUT_HEAD(any_error_beside_a_lock_of_the_dead_is_survived);
ATF_TC_BODY(any_error_beside_a_lock_of_the_dead_is_survived, tc)
{
	(void)tc;
	run_all(LOCK_ATS_PR, 3, play_locks_of_the_dead);
	run_all(LOCK_FILE, 3, play_locks_of_the_dead);
}

ATF_TC_WITHOUT_HEAD(any_error_before_time_is_the_proof_is_survived);
ATF_TC_BODY(any_error_before_time_is_the_proof_is_survived, tc)
{
	(void)tc;
	run_all(LOCK_ATS_WATCHDOG, 3, play_locks_of_the_dead);
	run_all(LOCK_RESERVE, 3, play_locks_of_the_dead);
}

ATF_TC_WITHOUT_HEAD(any_error_of_an_order_is_survived);
ATF_TC_BODY(any_error_of_an_order_is_survived, tc)
{
	(void)tc;
	run_all(LOCK_ATS_PR, 3, play_orders);
	run_all(LOCK_FILE, 3, play_orders);
}

ATF_TP_ADD_TCS(tp)
{
	ATF_TP_ADD_TC(tp, any_error_of_a_lock_is_survived);
	ATF_TP_ADD_TC(tp, any_error_of_a_lock_without_a_fence_is_survived);
	ATF_TP_ADD_TC(tp, any_error_beside_a_lock_of_the_dead_is_survived);
	ATF_TP_ADD_TC(tp, any_error_before_time_is_the_proof_is_survived);
	ATF_TP_ADD_TC(tp, any_error_of_an_order_is_survived);
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
