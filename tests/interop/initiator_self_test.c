/* SPDX-License-Identifier: BSD-2-Clause */
/* The initiator against our own target: what tgt cannot do. */
#include <atf-c.h>
#include <fcntl.h>
#include <iscsi/iscsi.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "iscsi/disk_libiscsi_disk.h"
#include "libvmfs/base/units.h"
#include "tests/interop/cut_proxy.h"
#include "tests/interop/self_peer.h"

#define UUID_A "11111111-1111-4111-8111-111111111111"
#define UUID_B "22222222-2222-4222-8222-222222222222"
#define DEADLINE_S 30
#define KEY_A UINT64_C(0xa)
#define KEY_B UINT64_C(0xb)

SELF_CASE(all_capabilities_are_found)
{
	const unsigned want = DISK_CAP_CAW | DISK_CAP_PR | DISK_CAP_RESERVE |
	    DISK_CAP_UNMAP;
	struct disk *d = peer_lun(0);

	ATF_CHECK_EQ(want, d->info.caps & want);
	ATF_CHECK_EQ(0, d->info.caps & DISK_CAP_READONLY);
	ATF_CHECK(d->info.max_caw >= 4096);
	disk_close(d);
}

/* 600 pieces: more than an answer holds. */
SELF_CASE(the_map_of_a_lun_is_read)
{
	struct disk *d = peer_lun(0);
	struct disk_extent e[700];
	struct disk_map map = { .extents = e, .max = 700 };
	uint8_t *p = pattern(4096, 1);

	ATF_REQUIRE(d->info.caps & DISK_CAP_MAP);
	for (uint64_t i = 0; i < 300; i++)
		ATF_REQUIRE_EQ(0, disk_write(d, 8192 * i + 4096, p, 4096, 0));
	ATF_REQUIRE_EQ(0, disk_map(d, 0, 64 * MIB, &map));
	ATF_REQUIRE_EQ(601, map.count);
	for (unsigned i = 0; i < 600; i++) {
		ATF_REQUIRE_EQ(4096, e[i].length);
		ATF_REQUIRE_EQ(i % 2 == 1, e[i].allocated);
	}
	ATF_CHECK(!e[600].allocated);
	ATF_CHECK_EQ(64 * MIB - 600 * 4096, e[600].length);
	map = (struct disk_map){ .extents = e, .max = 3 };
	ATF_REQUIRE_EQ(0, disk_map(d, 4096, MIB, &map));
	ATF_CHECK_EQ(3, map.count);
	ATF_CHECK(e[0].allocated && !e[1].allocated);
	free(p);
	disk_close(d);
}

SELF_CASE(luns_with_blocks_of_4_kib_work)
{
	struct disk *d = peer_lun(1);
	uint8_t *p = pattern(3 * MIB, 1);

	ATF_CHECK_EQ(4096, d->info.block_size);
	ATF_CHECK_EQ(16 * MIB, d->info.size_bytes);
	ATF_CHECK_EQ(0, disk_write(d, 4096, p, 3 * MIB, DISK_FUA));
	ATF_CHECK(holds(d, 4096, p, 3 * MIB));
	ATF_CHECK_EQ(0, disk_flush(d));
	free(p);
	disk_close(d);
}

SELF_CASE(compare_and_write_writes_when_equal)
{
	struct disk *d = peer_lun(0);
	uint8_t *zero = disk_buf_alloc(4096), *p = pattern(4096, 1);

	ATF_CHECK_EQ(0, disk_caw(d, 8192, zero, p, 4096));
	ATF_CHECK(holds(d, 8192, p, 4096));
	free(zero);
	free(p);
	disk_close(d);
}

SELF_CASE(compare_and_write_tells_where_it_differs)
{
	struct disk *d = peer_lun(0);
	uint8_t *old = pattern(4096, 1), *new = pattern(4096, 2);
	struct iovec iov = { new, 4096 };
	struct disk_req req = { .op = DISK_CAW, .offset = 0, .length = 4096,
		.iov = &iov, .iovcnt = 1, .expect = old };

	ATF_REQUIRE_EQ(0, disk_write(d, 0, old, 4096, 0));
	old[777] ^= 1;
	ATF_CHECK_EQ(-VMFS_EMISCOMPARE, disk_run(d, &req));
	ATF_CHECK_EQ(777, req.sense.info);
	old[777] ^= 1;
	ATF_CHECK(holds(d, 0, old, 4096));
	free(old);
	free(new);
	disk_close(d);
}

/* ---- persistent reservations: each disk object is an initiator ---- */

static int
pr(struct disk *d, enum disk_pr_action action, uint64_t key, uint64_t sa_key)
{
	struct disk_pr p = { .action = action, .key = key, .sa_key = sa_key,
		.type = DISK_PR_WRITE_EXCLUSIVE_AR };

	return disk_pr_out(d, &p);
}

/* Both registered, reserved for all registrants. */
static void
two_registrants(struct disk **a, struct disk **b)
{
	*a = peer_lun(0);
	*b = peer_lun(0);
	ATF_REQUIRE_EQ(0, pr(*a, DISK_PR_REGISTER, 0, KEY_A));
	ATF_REQUIRE_EQ(0, pr(*b, DISK_PR_REGISTER, 0, KEY_B));
	ATF_REQUIRE_EQ(0, pr(*a, DISK_PR_RESERVE, KEY_A, 0));
}

SELF_CASE(keys_and_reservation_are_read)
{
	uint64_t keys[4] = { 0 };
	struct disk_pr p = { .keys = keys, .keys_max = 4 };
	struct disk *a, *b;

	two_registrants(&a, &b);
	ATF_REQUIRE_EQ(0, disk_pr_read_keys(b, &p));
	ATF_CHECK_EQ(2, p.keys_count);
	ATF_CHECK_EQ(KEY_A + KEY_B, keys[0] + keys[1]);
	ATF_REQUIRE_EQ(0, disk_pr_read_reservation(b, &p));
	ATF_CHECK(p.reserved);
	ATF_CHECK_EQ(DISK_PR_WRITE_EXCLUSIVE_AR, p.type);
	disk_close(a);
	disk_close(b);
}

static const struct lprobe *
found(struct disk *d)
{
	return &container_of(d, struct ldisk, disk)->lun;
}

/* As the second host of a datastore opens its LUN. */
SELF_CASE(what_a_reserved_lun_can_do_is_found)
{
	struct disk *a, *b, *c;

	two_registrants(&a, &b);
	c = peer_lun(0);
	ATF_CHECK(found(a)->fua);
	ATF_CHECK(found(c)->fua);
	disk_close(a);
	disk_close(b);
	disk_close(c);
}

/* Exclusive access hides the mode pages from who is not registered. */
SELF_CASE(what_a_reservation_hid_is_found_by_who_registers)
{
	struct disk_pr reserve = { .action = DISK_PR_RESERVE, .key = KEY_A,
		.type = DISK_PR_EXCLUSIVE_ACCESS_AR };
	struct disk *a = peer_lun(0), *b;

	ATF_REQUIRE_EQ(0, pr(a, DISK_PR_REGISTER, 0, KEY_A));
	ATF_REQUIRE_EQ(0, disk_pr_out(a, &reserve));
	b = peer_lun(0);
	ATF_CHECK(!found(b)->fua);
	ATF_REQUIRE_EQ(0, pr(b, DISK_PR_REGISTER, 0, KEY_B));
	ATF_CHECK(found(b)->fua);
	disk_close(a);
	disk_close(b);
}

SELF_CASE(what_a_reserve_hid_is_found_later)
{
	struct disk_req reserve = { .op = DISK_RESERVE };
	struct disk_req release = { .op = DISK_RELEASE };
	struct disk *a = peer_lun(0), *b;

	ATF_REQUIRE_EQ(0, disk_run(a, &reserve));
	b = peer_lun(0);
	ATF_CHECK(!found(b)->fua);
	ATF_REQUIRE_EQ(0, disk_run(a, &release));
	reserve = (struct disk_req){ .op = DISK_RESERVE };
	ATF_REQUIRE_EQ(0, disk_run(b, &reserve));
	release = (struct disk_req){ .op = DISK_RELEASE };
	ATF_REQUIRE_EQ(0, disk_run(b, &release));
	ATF_CHECK(found(b)->fua);
	disk_close(a);
	disk_close(b);
}

/* Gives the other registrant one unit attention after another. */
struct restless {
	struct disk *disk;
	bool stop, stopped;
};

static void
restless_main(void *arg)
{
	struct restless *r = arg;

	while (!r->stop) {
		ATF_CHECK_EQ(0, pr(r->disk, DISK_PR_RELEASE, KEY_A, 0));
		ATF_CHECK_EQ(0, pr(r->disk, DISK_PR_RESERVE, KEY_A, 0));
	}
	r->stopped = true;
}

/* Swaps while attentions come; how many were done though told otherwise. */
static unsigned
swap_and_swap(struct disk *d, unsigned times)
{
	uint8_t *old = disk_buf_alloc(4096), *new = disk_buf_alloc(4096);
	uint8_t *now = disk_buf_alloc(4096);
	unsigned wrong = 0;

	for (unsigned done = 0; done < times && wrong == 0;) {
		int rc;

		memset(new, (int)(done % 250) + 1, 4096);
		rc = disk_caw(d, 0, old, new, 4096);
		if (rc == 0) {
			memcpy(old, new, 4096);
			done++;
			continue;
		}
		ATF_REQUIRE_EQ(-VMFS_EATTENTION, rc);
		while ((rc = disk_read(d, 0, now, 4096)) == -VMFS_EATTENTION)
			;
		ATF_REQUIRE_EQ(0, rc);
		wrong += memcmp(now, new, 4096) == 0;
	}
	free(old);
	free(new);
	free(now);
	return wrong;
}

/* On a LUN without FUA there is a flush behind it. */
SELF_CASE(an_attention_behind_a_compare_and_write_does_not_undo_it)
{
	struct restless r = { 0 };
	struct disk *b;

	two_registrants(&r.disk, &b);
	container_of(b, struct ldisk, disk)->lun.fua = false;
	ATF_REQUIRE_EQ(0, sched_spawn(sched_current(), "restless",
	    restless_main, &r));
	ATF_CHECK_EQ_MSG(0, swap_and_swap(b, 500), "it was done");
	r.stop = true;
	while (!r.stopped)
		fiber_yield();
	disk_close(r.disk);
	disk_close(b);
}

SELF_CASE(who_is_not_registered_cannot_write)
{
	struct disk *a, *b, *c = peer_lun(0);
	uint8_t *p = pattern(512, 1);

	two_registrants(&a, &b);
	ATF_CHECK_EQ(-VMFS_ECONFLICT, disk_write(c, 0, p, 512, 0));
	ATF_CHECK_EQ(0, disk_write(a, 0, p, 512, 0));
	ATF_CHECK_EQ(0, disk_write(b, 0, p, 512, 0));
	free(p);
	disk_close(a);
	disk_close(b);
	disk_close(c);
}

/* The rule that keeps a fenced host from writing (L6). */
SELF_CASE(a_preempted_writer_learns_it_and_writes_nothing)
{
	uint64_t keys[4] = { 0 };
	struct disk_pr left = { .keys = keys, .keys_max = 4 };
	struct disk *a, *b;
	uint8_t *old = pattern(512, 1), *new = pattern(512, 2);
	struct iovec iov = { new, 512 };
	struct disk_req req = { .op = DISK_WRITE, .length = 512, .iov = &iov,
		.iovcnt = 1 };

	two_registrants(&a, &b);
	ATF_REQUIRE_EQ(0, disk_write(a, 0, old, 512, 0));
	ATF_REQUIRE_EQ(0, pr(b, DISK_PR_PREEMPT_AND_ABORT, KEY_B, KEY_A));
	ATF_REQUIRE_EQ(0, disk_pr_read_keys(b, &left));
	ATF_CHECK(left.keys_count == 1 && keys[0] == KEY_B);
	ATF_CHECK_EQ(-VMFS_EATTENTION, disk_run(a, &req));
	ATF_CHECK_EQ(0x2a, req.sense.asc);
	ATF_CHECK_EQ(-VMFS_ECONFLICT, disk_run(a, &req));
	ATF_CHECK(holds(b, 0, old, 512));
	free(old);
	free(new);
	disk_close(a);
	disk_close(b);
}

/* Reads are repeated after other attentions, but this one must be told. */
SELF_CASE(a_preempted_reader_learns_it_too)
{
	struct disk *a, *b;
	uint8_t *p = disk_buf_alloc(512);

	two_registrants(&a, &b);
	ATF_REQUIRE_EQ(0, pr(b, DISK_PR_PREEMPT_AND_ABORT, KEY_B, KEY_A));
	ATF_CHECK_EQ(-VMFS_EATTENTION, disk_read(a, 0, p, 512));
	ATF_CHECK_EQ(0, disk_read(a, 0, p, 512));
	free(p);
	disk_close(a);
	disk_close(b);
}

/* ---- log-in and restarts ---- */

static void
chap_body(void)
{
	struct disk *d = NULL;
	char what[200];

	snprintf(what, sizeof(what), "joe%%secretsecret12@%s/" IQN "/0",
	    peer.portal);
	ATF_CHECK_EQ(0, lun_at(what, &d));
	disk_close(d);
	snprintf(what, sizeof(what), "joe%%secretsecret13@%s/" IQN "/0",
	    peer.portal);
	ATF_CHECK_EQ(-VMFS_EAUTH, lun_at(what, &d));
	snprintf(what, sizeof(what), "%s/" IQN "/0", peer.portal);
	ATF_CHECK_EQ(-VMFS_EAUTH, lun_at(what, &d));
}

ATF_TC_WITHOUT_HEAD(only_the_right_secret_logs_in);
ATF_TC_BODY(only_the_right_secret_logs_in, tc)
{
	(void)tc;
	target_start((const char *const[]){ "--chap", "joe:secretsecret12",
	    NULL });
	run_body(chap_body);
	target_kill();
}

static const char cache_before[] = "7";

/* Again on the port it had, with the LUN's identity or another one. */
static void
target_restart_with(const char *uuid, const char *cache)
{
	char portal[sizeof(peer.portal)];

	strcpy(portal, peer.portal);
	target_start((const char *const[]){ "--listen", portal, "--file",
	    "lun.img", "--uuid", uuid, "--cache-id", cache, NULL });
}

static void
target_restart(const char *uuid)
{
	target_restart_with(uuid, cache_before);
}

static void
file_target(void)
{
	int fd = open("lun.img", O_RDWR | O_CREAT, 0600);

	ATF_REQUIRE(fd >= 0 && ftruncate(fd, 16 << 20) == 0);
	close(fd);
	target_start((const char *const[]){ "--file", "lun.img", "--uuid",
	    UUID_A, "--cache-id", cache_before, NULL });
}

/* One write that is not flushed, then the target is another boot's. */
static void
lost_cache_body(void)
{
	struct disk *d = peer_lun(0);
	uint8_t *p = pattern(4096, 1);

	ATF_REQUIRE_EQ(0, disk_write(d, 0, p, 4096, 0));
	target_kill();
	target_restart_with(UUID_A, "8");
	ATF_CHECK(comes_back(d));
	ATF_CHECK_EQ(-EIO, disk_flush(d));
	/* Told once; what is written from now on is safe again. */
	ATF_CHECK_EQ(0, disk_write(d, 0, p, 4096, 0));
	ATF_CHECK_EQ(0, disk_flush(d));
	free(p);
	disk_close(d);
}

/* Everything was durable: nothing can have been lost. */
static void
flushed_cache_body(void)
{
	struct disk *d = peer_lun(0);
	uint8_t *p = pattern(4096, 1);

	ATF_REQUIRE_EQ(0, disk_write(d, 0, p, 4096, 0));
	ATF_REQUIRE_EQ(0, disk_flush(d));
	ATF_REQUIRE_EQ(0, disk_write(d, 4096, p, 4096, DISK_FUA));
	target_kill();
	target_restart_with(UUID_A, "8");
	ATF_CHECK(comes_back(d));
	ATF_CHECK_EQ(0, disk_flush(d));
	free(p);
	disk_close(d);
}

/* The daemon died, the machine and its page cache did not. */
static void
kept_cache_body(void)
{
	struct disk *d = peer_lun(0);
	uint8_t *p = pattern(4096, 1);

	ATF_REQUIRE_EQ(0, disk_write(d, 0, p, 4096, 0));
	target_kill();
	target_restart(UUID_A);
	ATF_CHECK(comes_back(d));
	ATF_CHECK_EQ(0, disk_flush(d));
	free(p);
	disk_close(d);
}

#define CACHE_TC(name, body)						\
ATF_TC_WITHOUT_HEAD(name);						\
ATF_TC_BODY(name, tc)							\
{									\
	(void)tc;							\
	file_target();							\
	run_body(body);							\
	target_kill();							\
}

CACHE_TC(a_flush_fails_when_the_cache_may_be_lost, lost_cache_body)
CACHE_TC(a_lost_cache_without_unflushed_writes_is_nothing,
    flushed_cache_body)
CACHE_TC(a_flush_works_when_the_cache_outlived_the_target, kept_cache_body)

static void
restart_body(void)
{
	struct disk *d = peer_lun(0);
	uint8_t *p = pattern(1 << 20, 1);

	ATF_REQUIRE_EQ(0, disk_write(d, 0, p, 1 << 20, 0));
	target_kill();
	ATF_CHECK_EQ(-VMFS_EUNKNOWN, disk_write(d, 0, p, 4096, 0));
	target_restart(UUID_A);
	ATF_CHECK(comes_back(d));
	ATF_CHECK(holds(d, 0, p, 1 << 20));
	ATF_CHECK_EQ(0, disk_write(d, 4096, p, 4096, DISK_FUA));
	free(p);
	disk_close(d);
}

static void
impostor_body(void)
{
	struct disk *d = peer_lun(0);
	uint8_t *p = pattern(4096, 1);

	target_kill();
	target_restart(UUID_B);
	ATF_CHECK_EQ(-VMFS_EUNKNOWN, disk_write(d, 0, p, 4096, 0));
	ATF_CHECK_EQ(-VMFS_EUNKNOWN, disk_write(d, 0, p, 4096, 0));
	target_kill();
	target_restart(UUID_A);
	ATF_CHECK(comes_back(d));
	ATF_CHECK(!holds(d, 0, p, 4096));
	free(p);
	disk_close(d);
}

ATF_TC_WITHOUT_HEAD(after_a_restart_of_the_target_io_goes_on);
ATF_TC_BODY(after_a_restart_of_the_target_io_goes_on, tc)
{
	(void)tc;
	file_target();
	run_body(restart_body);
	target_kill();
}

ATF_TC_WITHOUT_HEAD(another_lun_in_its_place_gets_nothing);
ATF_TC_BODY(another_lun_in_its_place_gets_nothing, tc)
{
	(void)tc;
	file_target();
	run_body(impostor_body);
	target_kill();
}

/* ---- connections cut at a chosen command ---- */

#define OP_INQUIRY 0x12
#define OP_READ16 0x88
#define OP_CAW 0x89
#define OP_WRITE16 0x8a

static struct disk *
lun_behind(const struct cut_proxy *proxy)
{
	struct disk *d = NULL;
	char what[200];

	snprintf(what, sizeof(what), "127.0.0.1:%u/" IQN "/0", proxy->port);
	ATF_REQUIRE_EQ(0, lun_at(what, &d));
	return d;
}

SELF_CASE(a_write_that_was_cut_off_is_not_sent_again)
{
	static const struct cut cuts[] = { { OP_WRITE16, CUT_CLOSE, 0 },
		{ CUT_NEVER, CUT_CLOSE, 0 } };
	struct cut_proxy proxy;
	struct disk *d;
	uint8_t *p = pattern(4096, 1), *zero = disk_buf_alloc(4096);

	cut_proxy_start(&proxy, peer.portal, cuts);
	d = lun_behind(&proxy);
	ATF_CHECK_EQ(-VMFS_EUNKNOWN, disk_write(d, 0, p, 4096, 0));
	ATF_CHECK(holds(d, 0, zero, 4096));
	ATF_CHECK_EQ(0, disk_write(d, 0, p, 4096, 0));
	ATF_CHECK(holds(d, 0, p, 4096));
	disk_close(d);
	cut_proxy_stop(&proxy);
	free(zero);
	free(p);
}

/* Sent again, it would answer MISCOMPARE to a lock that was taken (L3). */
SELF_CASE(a_compare_and_write_whose_answer_is_lost_ends_unknown)
{
	static const struct cut cuts[] = { { OP_CAW, CUT_ANSWER, 0 },
		{ CUT_NEVER, CUT_CLOSE, 0 } };
	struct cut_proxy proxy;
	struct disk *d;
	uint8_t *p = pattern(4096, 1), *zero = disk_buf_alloc(4096);

	cut_proxy_start(&proxy, peer.portal, cuts);
	d = lun_behind(&proxy);
	ATF_CHECK_EQ(-VMFS_EUNKNOWN, disk_caw(d, 0, zero, p, 4096));
	ATF_CHECK(holds(d, 0, p, 4096));
	disk_close(d);
	cut_proxy_stop(&proxy);
	free(zero);
	free(p);
}

/* The same ISID each time: to the target we are who registered. */
SELF_CASE(a_registration_outlives_the_connection)
{
	static const struct cut cuts[] = { { OP_WRITE16, CUT_CLOSE, 0 },
		{ CUT_NEVER, CUT_CLOSE, 0 } };
	struct cut_proxy proxy;
	struct disk *d;
	uint8_t *p = pattern(4096, 1);

	cut_proxy_start(&proxy, peer.portal, cuts);
	d = lun_behind(&proxy);
	ATF_REQUIRE_EQ(0, pr(d, DISK_PR_REGISTER, 0, KEY_A));
	ATF_REQUIRE_EQ(0, pr(d, DISK_PR_RESERVE, KEY_A, 0));
	ATF_CHECK_EQ(-VMFS_EUNKNOWN, disk_write(d, 0, p, 4096, 0));
	ATF_CHECK_EQ(0, disk_write(d, 0, p, 4096, 0));
	disk_close(d);
	cut_proxy_stop(&proxy);
	free(p);
}

SELF_CASE(a_log_in_that_breaks_while_verifying_is_tried_again)
{
	static const struct cut cuts[] = { { OP_WRITE16, CUT_CLOSE, 0 },
		{ OP_INQUIRY, CUT_CLOSE, 0 }, { OP_INQUIRY, CUT_STALL, 0 },
		{ CUT_NEVER, CUT_CLOSE, 0 } };
	struct cut_proxy proxy;
	struct disk *d;
	uint8_t *p = pattern(4096, 1);

	cut_proxy_start(&proxy, peer.portal, cuts);
	d = lun_behind(&proxy);
	ATF_CHECK_EQ(-VMFS_EUNKNOWN, disk_write(d, 0, p, 4096, 0));
	ATF_CHECK(comes_back(d));
	ATF_CHECK_EQ(0, disk_write(d, 0, p, 4096, 0));
	disk_close(d);
	cut_proxy_stop(&proxy);
	free(p);
}

SELF_CASE(a_session_that_is_logging_in_can_be_closed)
{
	static const struct cut cuts[] = { { OP_WRITE16, CUT_CLOSE, 0 },
		{ OP_INQUIRY, CUT_STALL, 0 }, { CUT_NEVER, CUT_CLOSE, 0 } };
	struct cut_proxy proxy;
	struct disk *d;
	uint8_t *p = pattern(4096, 1);

	cut_proxy_start(&proxy, peer.portal, cuts);
	d = lun_behind(&proxy);
	ATF_CHECK_EQ(-VMFS_EUNKNOWN, disk_write(d, 0, p, 4096, 0));
	/* Waits for the session, which hangs while verifying. */
	ATF_CHECK_EQ(-VMFS_EUNKNOWN, disk_write(d, 0, p, 4096, 0));
	disk_close(d);
	cut_proxy_stop(&proxy);
	free(p);
}

SELF_CASE(parts_of_a_cut_request_make_one_answer)
{
	static const struct cut cuts[] = { { OP_READ16, CUT_STALL, 0 },
		{ CUT_NEVER, CUT_CLOSE, 0 } };
	struct cut_proxy proxy;
	struct disk *d;
	uint8_t *p = disk_buf_alloc(12 << 20);

	cut_proxy_start(&proxy, peer.portal, cuts);
	d = lun_behind(&proxy);
	ATF_CHECK_EQ(-VMFS_EUNKNOWN, disk_read(d, 0, p, 12 << 20));
	ATF_CHECK_EQ(0, disk_read(d, 0, p, 12 << 20));
	disk_close(d);
	cut_proxy_stop(&proxy);
	free(p);
}

#define WORKERS 8
#define ROUNDS 40
#define REGION (96 << 10)

struct worker {
	struct disk *d;
	uint64_t offset;
	unsigned bad;
	unsigned *running;
	struct fiber *waiter;
};

/* Writes until it is told that it is written, then looks. */
static void
worker_main(void *arg)
{
	struct worker *w = arg;
	uint8_t *got = disk_buf_alloc(REGION);

	for (unsigned round = 0; round < ROUNDS; round++) {
		uint8_t *p = pattern(REGION, w->offset + round);
		int rc;

		do {
			rc = disk_write(w->d, w->offset, p, REGION,
			    DISK_FUA);
		} while (rc == -VMFS_EUNKNOWN);
		while (rc == 0 && (rc = disk_read(w->d, w->offset, got,
		    REGION)) == -VMFS_EUNKNOWN)
			rc = 0;
		if (rc != 0 || memcmp(p, got, REGION) != 0)
			w->bad++;
		free(p);
	}
	free(got);
	if (--*w->running == 0)
		fiber_unpark(w->waiter);
}

SELF_CASE(many_requests_survive_many_cuts)
{
	static const struct cut cuts[] = { { OP_WRITE16, CUT_ANSWER, 0 },
		{ OP_READ16, CUT_CLOSE, 0 }, { OP_READ16, CUT_ANSWER, 0 },
		{ CUT_ANY, CUT_CLOSE, 0 }, { OP_WRITE16, CUT_CLOSE, 0 },
		{ CUT_ANY, CUT_ANSWER, 0 }, { OP_WRITE16, CUT_ANSWER, 0 },
		{ OP_READ16, CUT_ANSWER, 0 }, { OP_WRITE16, CUT_STALL, 0 },
		{ OP_READ16, CUT_CLOSE, 0 }, { CUT_NEVER, CUT_CLOSE, 0 } };
	struct worker w[WORKERS] = { 0 };
	unsigned running = WORKERS;
	struct cut_proxy proxy;
	struct disk *d;

	cut_proxy_start(&proxy, peer.portal, cuts);
	d = lun_behind(&proxy);
	for (unsigned i = 0; i < WORKERS; i++) {
		w[i] = (struct worker){ .d = d, .offset = i * REGION,
			.running = &running, .waiter = fiber_self() };
		ATF_REQUIRE_EQ(0, sched_spawn(sched_current(), "worker",
		    worker_main, &w[i]));
	}
	while (running > 0)
		fiber_park();
	for (unsigned i = 0; i < WORKERS; i++)
		ATF_CHECK_EQ(0, w[i].bad);
	disk_close(d);
	cut_proxy_stop(&proxy);
}

ATF_TP_ADD_TCS(tp)
{
	ATF_TP_ADD_TC(tp, all_capabilities_are_found);
	ATF_TP_ADD_TC(tp, what_a_reserved_lun_can_do_is_found);
	ATF_TP_ADD_TC(tp, what_a_reservation_hid_is_found_by_who_registers);
	ATF_TP_ADD_TC(tp, what_a_reserve_hid_is_found_later);
	ATF_TP_ADD_TC(tp,
	    an_attention_behind_a_compare_and_write_does_not_undo_it);
	ATF_TP_ADD_TC(tp, the_map_of_a_lun_is_read);
	ATF_TP_ADD_TC(tp, luns_with_blocks_of_4_kib_work);
	ATF_TP_ADD_TC(tp, compare_and_write_writes_when_equal);
	ATF_TP_ADD_TC(tp, compare_and_write_tells_where_it_differs);
	ATF_TP_ADD_TC(tp, keys_and_reservation_are_read);
	ATF_TP_ADD_TC(tp, who_is_not_registered_cannot_write);
	ATF_TP_ADD_TC(tp, a_preempted_writer_learns_it_and_writes_nothing);
	ATF_TP_ADD_TC(tp, a_preempted_reader_learns_it_too);
	ATF_TP_ADD_TC(tp, only_the_right_secret_logs_in);
	ATF_TP_ADD_TC(tp, after_a_restart_of_the_target_io_goes_on);
	ATF_TP_ADD_TC(tp, a_flush_fails_when_the_cache_may_be_lost);
	ATF_TP_ADD_TC(tp, a_lost_cache_without_unflushed_writes_is_nothing);
	ATF_TP_ADD_TC(tp, a_flush_works_when_the_cache_outlived_the_target);
	ATF_TP_ADD_TC(tp, another_lun_in_its_place_gets_nothing);
	ATF_TP_ADD_TC(tp, a_write_that_was_cut_off_is_not_sent_again);
	ATF_TP_ADD_TC(tp,
	    a_compare_and_write_whose_answer_is_lost_ends_unknown);
	ATF_TP_ADD_TC(tp, a_registration_outlives_the_connection);
	ATF_TP_ADD_TC(tp, a_log_in_that_breaks_while_verifying_is_tried_again);
	ATF_TP_ADD_TC(tp, a_session_that_is_logging_in_can_be_closed);
	ATF_TP_ADD_TC(tp, parts_of_a_cut_request_make_one_answer);
	ATF_TP_ADD_TC(tp, many_requests_survive_many_cuts);
	return atf_no_error();
}
