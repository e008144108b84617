/* SPDX-License-Identifier: BSD-2-Clause */
/* The disk port on a memory LUN: checks, fiber calls, faults. */
#include <atf-c.h>
#include <stdlib.h>
#include <string.h>

#include "libvmfs/base/units.h"
#include "libvmfs/env/disk.h"
#include "libvmfs/env/reactor.h"

#define SIZE (1 * MIB)

static struct disk *D;

/* Runs body on a fresh memory disk with blocks of 512 bytes. */
static int
with_disk(void *arg)
{
	void (**body)(void) = arg;

	ATF_REQUIRE_EQ(0, disk_mem_open(SIZE, 512, &D));
	(*body)();
	disk_close(D);
	return 0;
}

#define DISK_TC(name)							\
static void name##_body(void);						\
ATF_TC_WITHOUT_HEAD(name);						\
ATF_TC_BODY(name, tc)							\
{									\
	void (*body)(void) = name##_body;				\
	ATF_CHECK_EQ(0, reactor_run_main(with_disk, &body));		\
}									\
static void								\
name##_body(void)

DISK_TC(what_is_written_is_read)
{
	char in[1024], out[1024];

	memset(in, 'a', sizeof(in));
	ATF_CHECK_EQ(0, disk_write(D, 512, in, sizeof(in), DISK_FUA));
	ATF_CHECK_EQ(0, disk_flush(D));
	ATF_CHECK_EQ(0, disk_read(D, 512, out, sizeof(out)));
	ATF_CHECK_EQ(0, memcmp(in, out, sizeof(in)));
	ATF_CHECK_EQ(0, disk_read(D, 0, out, 512));
	ATF_CHECK_EQ(0, out[511]);
}

DISK_TC(misaligned_or_outside_is_invalid)
{
	char b[1024] = { 0 };

	ATF_CHECK_EQ(-EINVAL, disk_read(D, 1, b, 512));
	ATF_CHECK_EQ(-EINVAL, disk_read(D, 0, b, 511));
	ATF_CHECK_EQ(-EINVAL, disk_write(D, SIZE, b, 512, 0));
	ATF_CHECK_EQ(-EINVAL, disk_read(D, SIZE - 512, b, 1024));
	ATF_CHECK_EQ(-EINVAL, disk_read(D, UINT64_MAX - 511, b, 512));
	ATF_CHECK_EQ(-EINVAL, disk_caw(D, 100, b, b, 512));
	ATF_CHECK_EQ(-EINVAL, disk_caw(D, 0, b, b, 0));
	ATF_CHECK_EQ(-EINVAL, disk_unmap(D, 512, SIZE));
	ATF_CHECK_EQ(0, disk_read(D, SIZE - 512, b, 512));
}

DISK_TC(iov_must_add_up_to_length)
{
	char b[1024];
	struct iovec iov = { b, 512 };
	struct disk_req req = {
		.op = DISK_READ, .length = 1024, .iov = &iov, .iovcnt = 1,
	};

	ATF_CHECK_EQ(-EINVAL, disk_run(D, &req));
	iov.iov_len = 1024;
	ATF_CHECK_EQ(0, disk_run(D, &req));
}

DISK_TC(missing_capability_is_not_supported)
{
	char b[512] = { 0 };

	D->info.caps = DISK_CAP_READONLY;
	ATF_CHECK_EQ(-EOPNOTSUPP, disk_caw(D, 0, b, b, 512));
	ATF_CHECK_EQ(-EOPNOTSUPP, disk_hold(D, 1));
	ATF_CHECK_EQ(-EOPNOTSUPP, disk_pr_out(D, &(struct disk_pr){ 0 }));
	ATF_CHECK_EQ(-EROFS, disk_write(D, 0, b, 512, 0));
	ATF_CHECK_EQ(-EROFS, disk_write_zeroes(D, 0, 512, 0));
	ATF_CHECK_EQ(0, disk_read(D, 0, b, 512));
}

DISK_TC(caw_writes_only_over_expected_bytes)
{
	char zero[512] = { 0 }, a[512], out[512];
	struct iovec iov = { a, 512 };
	struct disk_req req = {
		.op = DISK_CAW, .length = 512, .iov = &iov, .iovcnt = 1,
		.expect = zero,
	};

	memset(a, 'a', sizeof(a));
	ATF_CHECK_EQ(0, disk_caw(D, 512, zero, a, 512));
	ATF_CHECK_EQ(-VMFS_EMISCOMPARE, disk_caw(D, 512, zero, zero, 512));
	ATF_CHECK_EQ(0, disk_read(D, 512, out, 512));
	ATF_CHECK_EQ(0, memcmp(a, out, 512));
	memcpy(out, zero, 512);
	out[77] = 1;
	ATF_CHECK_EQ(0, disk_write(D, 0, out, 512, 0));
	ATF_CHECK_EQ(-VMFS_EMISCOMPARE, disk_run(D, &req));
	ATF_CHECK_EQ(77, req.sense.info);
}

DISK_TC(zeroed_and_unmapped_ranges_read_zero)
{
	static char a[64 * 1024], out[64 * 1024];

	memset(a, 'a', sizeof(a));
	ATF_CHECK_EQ(0, disk_write(D, 0, a, sizeof(a), 0));
	ATF_CHECK_EQ(0, disk_write_zeroes(D, 512, 1024, 0));
	ATF_CHECK_EQ(0, disk_unmap(D, 3584, 20480));
	ATF_CHECK_EQ(0, disk_read(D, 0, out, sizeof(out)));
	memset(a + 512, 0, 1024);
	memset(a + 3584, 0, 20480);
	ATF_CHECK_EQ(0, memcmp(a, out, sizeof(a)));
}

static bool submitting, completed_inside;
static int completions;

static void
note_completion(struct disk_req *req)
{
	(void)req;
	completed_inside |= submitting;
	completions++;
}

DISK_TC(completion_never_comes_from_within_submit)
{
	char b[512];
	struct iovec iov = { b, 512 };
	struct disk_req good = {
		.op = DISK_READ, .length = 512, .iov = &iov, .iovcnt = 1,
		.done = note_completion,
	};
	struct disk_req bad = good, empty = good;

	bad.offset = 1;
	empty.length = 0;
	empty.iovcnt = 0;
	submitting = true;
	disk_submit(D, &good);
	disk_submit(D, &bad);
	disk_submit(D, &empty);
	submitting = false;
	while (completions < 3)
		fiber_yield();
	ATF_CHECK(!completed_inside);
	ATF_CHECK_EQ(0, good.result);
	ATF_CHECK_EQ(-EINVAL, bad.result);
	ATF_CHECK_EQ(0, empty.result);
}

DISK_TC(long_transfers_are_cut_to_the_limit)
{
	static char a[10000 / 512 * 512], out[sizeof(a)];

	for (size_t i = 0; i < sizeof(a); i++)
		a[i] = (char)i;
	D->info.max_transfer = 1024;
	ATF_CHECK_EQ(0, disk_write(D, 512, a, sizeof(a), 0));
	ATF_CHECK_EQ(0, disk_read(D, 512, out, sizeof(out)));
	ATF_CHECK_EQ(0, memcmp(a, out, sizeof(a)));
}

static int
pr(enum disk_pr_action action, enum disk_pr_type type, uint64_t key,
    uint64_t sa_key)
{
	return disk_pr_out(D, &(struct disk_pr){ .action = action,
	    .type = type, .key = key, .sa_key = sa_key });
}

DISK_TC(reservation_needs_a_registered_key)
{
	uint64_t keys[2] = { 0 };
	struct disk_pr in = { .keys = keys, .keys_max = 2 };
	enum disk_pr_type type = DISK_PR_WRITE_EXCLUSIVE_RO;

	ATF_CHECK_EQ(-VMFS_ECONFLICT, pr(DISK_PR_RESERVE, type, 1, 0));
	ATF_CHECK_EQ(0, pr(DISK_PR_REGISTER, 0, 0, 1));
	ATF_CHECK_EQ(-VMFS_ECONFLICT, pr(DISK_PR_REGISTER, 0, 0, 2));
	ATF_CHECK_EQ(0, pr(DISK_PR_RESERVE, type, 1, 0));
	ATF_CHECK_EQ(0, disk_pr_read_reservation(D, &in));
	ATF_CHECK(in.reserved);
	ATF_CHECK_EQ(type, in.type);
	ATF_CHECK_EQ(-VMFS_ECONFLICT,
	    pr(DISK_PR_PREEMPT_AND_ABORT, type, 1, 9));
	ATF_CHECK_EQ(0, disk_pr_read_keys(D, &in));
	ATF_CHECK_EQ(1, in.keys_count);
	ATF_CHECK_EQ(1, keys[0]);
	ATF_CHECK_EQ(0, pr(DISK_PR_CLEAR, 0, 1, 0));
	ATF_CHECK_EQ(0, disk_pr_read_reservation(D, &in));
	ATF_CHECK(!in.reserved);
}

DISK_TC(hold_is_seen_until_given_up)
{
	ATF_CHECK_EQ(0, disk_hold_test(D, 5));
	ATF_CHECK_EQ(0, disk_hold(D, 5));
	ATF_CHECK_EQ(-VMFS_EINUSE, disk_hold_test(D, 5));
	ATF_CHECK_EQ(0, disk_hold_test(D, 6));
	ATF_CHECK_EQ(0, disk_unhold(D, 5));
	ATF_CHECK_EQ(0, disk_hold_test(D, 5));
}

DISK_TC(fault_fails_the_chosen_requests_only)
{
	char b[512] = { 0 };
	struct disk_fault *f;
	struct disk *below;

	ATF_REQUIRE_EQ(0, disk_mem_open(SIZE, 4096, &below));
	ATF_REQUIRE_EQ(0, disk_fault_open(below, &f));
	ATF_CHECK_EQ(4096, f->disk.info.block_size);
	ATF_CHECK_STREQ("fault", f->disk.info.kind);
	f->op = DISK_FLUSH;
	f->countdown = 1;
	f->repeat = 2;
	f->error = -VMFS_EUNKNOWN;
	ATF_CHECK_EQ(0, disk_flush(&f->disk));
	ATF_CHECK_EQ(0, disk_hold(&f->disk, 1));
	ATF_CHECK_EQ(-VMFS_EUNKNOWN, disk_flush(&f->disk));
	ATF_CHECK_EQ(-VMFS_EUNKNOWN, disk_flush(&f->disk));
	ATF_CHECK_EQ(0, disk_flush(&f->disk));
	ATF_CHECK_EQ(-EINVAL, disk_read(&f->disk, 0, b, 512));
	disk_close(&f->disk);
}

DISK_TC(map_tells_what_was_written)
{
	struct disk_extent e[3];
	struct disk_map map = { .extents = e, .max = 3 };
	char b[512] = { 1 };

	ATF_REQUIRE_EQ(0, disk_map(D, 0, SIZE, &map));
	ATF_REQUIRE_EQ(1, map.count);
	ATF_CHECK(!e[0].allocated && e[0].length == SIZE);
	ATF_REQUIRE_EQ(0, disk_write(D, 8192 + 512, b, 512, 0));
	ATF_REQUIRE_EQ(0, disk_map(D, 4096, SIZE - 4096, &map));
	ATF_REQUIRE_EQ(3, map.count);
	ATF_CHECK(!e[0].allocated && e[0].length == 4096);
	ATF_CHECK(e[1].allocated && e[1].length == 4096);
	ATF_CHECK(!e[2].allocated && e[2].length == SIZE - 3 * 4096);
	map.max = 1;
	ATF_REQUIRE_EQ(0, disk_map(D, 8192, SIZE - 8192, &map));
	ATF_CHECK(map.count == 1 && e[0].length == 4096);
	ATF_REQUIRE_EQ(0, disk_unmap(D, 8192, 4096));
	ATF_REQUIRE_EQ(0, disk_map(D, 0, SIZE, &map));
	ATF_CHECK(!e[0].allocated && e[0].length == SIZE);
}

DISK_TC(buffers_are_aligned_and_zeroed)
{
	for (size_t len = 1; len < 20000; len = len * 3 + 1) {
		char *b = disk_buf_alloc(len);

		ATF_REQUIRE(b != NULL);
		ATF_CHECK_EQ(0, (uintptr_t)b % 4096);
		ATF_CHECK_EQ(0, b[0] | b[len - 1]);
		free(b);
	}
	ATF_CHECK(disk_buf_alloc(SIZE_MAX - 10) == NULL);
}

DISK_TC(null_disk_forgets_and_reads_zeroes)
{
	struct disk *d;
	char b[512];

	memset(b, 'a', sizeof(b));
	ATF_CHECK_EQ(-EINVAL, disk_null_open(4097, &d));
	ATF_REQUIRE_EQ(0, disk_null_open(SIZE, &d));
	ATF_CHECK_EQ(0, disk_write(d, 0, b, sizeof(b), 0));
	ATF_CHECK_EQ(0, disk_read(d, 0, b, sizeof(b)));
	for (size_t i = 0; i < sizeof(b); i++)
		ATF_REQUIRE_EQ(0, b[i]);
	ATF_CHECK_EQ(-EINVAL, disk_read(d, SIZE, b, sizeof(b)));
	disk_close(d);
}

ATF_TP_ADD_TCS(tp)
{
	ATF_TP_ADD_TC(tp, what_is_written_is_read);
	ATF_TP_ADD_TC(tp, misaligned_or_outside_is_invalid);
	ATF_TP_ADD_TC(tp, iov_must_add_up_to_length);
	ATF_TP_ADD_TC(tp, missing_capability_is_not_supported);
	ATF_TP_ADD_TC(tp, caw_writes_only_over_expected_bytes);
	ATF_TP_ADD_TC(tp, zeroed_and_unmapped_ranges_read_zero);
	ATF_TP_ADD_TC(tp, completion_never_comes_from_within_submit);
	ATF_TP_ADD_TC(tp, long_transfers_are_cut_to_the_limit);
	ATF_TP_ADD_TC(tp, map_tells_what_was_written);
	ATF_TP_ADD_TC(tp, reservation_needs_a_registered_key);
	ATF_TP_ADD_TC(tp, hold_is_seen_until_given_up);
	ATF_TP_ADD_TC(tp, fault_fails_the_chosen_requests_only);
	ATF_TP_ADD_TC(tp, buffers_are_aligned_and_zeroed);
	ATF_TP_ADD_TC(tp, null_disk_forgets_and_reads_zeroes);
	return atf_no_error();
}
