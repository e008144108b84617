/* SPDX-License-Identifier: BSD-2-Clause */
/* Regular files as disks: data, errors, compare-and-write, holds. */
#include <atf-c.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "libvmfs/base/units.h"
#include "libvmfs/env/disk.h"
#include "libvmfs/env/reactor.h"

#define PATH "disk.img"
#define SIZE (4 * MIB)

static struct disk *D;

static void
make_file(const char *path, uint64_t size)
{
	int fd = open(path, O_CREAT | O_TRUNC | O_RDWR, 0600);

	ATF_REQUIRE(fd >= 0);
	ATF_REQUIRE_EQ(0, ftruncate(fd, (off_t)size));
	close(fd);
}

static int
with_disk(void *arg)
{
	void (**body)(void) = arg;

	make_file(PATH, SIZE);
	ATF_REQUIRE_EQ(0, disk_file_open(PATH, 0, &D));
	(*body)();
	disk_close(D);
	return 0;
}

/* A test that gets D, a disk on a file of its own. */
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

static char pattern[256 * 1024], out[256 * 1024];

static void
fill_pattern(void)
{
	for (size_t i = 0; i < sizeof(pattern); i++)
		pattern[i] = (char)(i * 7 + i / 512);
}

DISK_TC(file_has_512_byte_blocks_and_its_size)
{
	ATF_CHECK_EQ(SIZE, D->info.size_bytes);
	ATF_CHECK_EQ(512, D->info.block_size);
	ATF_CHECK_STREQ("file", D->info.kind);
	ATF_CHECK_STREQ(PATH, D->info.name);
	ATF_CHECK((D->info.caps & DISK_CAP_CAW) != 0);
	ATF_CHECK((D->info.caps & DISK_CAP_HOLD) != 0);
	ATF_CHECK((D->info.caps & DISK_CAP_PR) == 0);
}

DISK_TC(single_blocks_are_read_and_written)
{
	fill_pattern();
	for (unsigned i = 0; i < 9; i++)
		ATF_CHECK_EQ(0, disk_write(D, 512 * (i + 1),
		    pattern + 512 * i, 512, i % 2 == 0 ? DISK_FUA : 0));
	ATF_CHECK_EQ(0, disk_flush(D));
	ATF_CHECK_EQ(0, disk_read(D, 512, out, 9 * 512));
	ATF_CHECK_EQ(0, memcmp(pattern, out, 9 * 512));
}

DISK_TC(memory_need_not_be_aligned)
{
	fill_pattern();
	for (size_t shift = 1; shift < 512; shift *= 5) {
		ATF_CHECK_EQ(0, disk_write(D, 4096, pattern + shift, 65536,
		    0));
		memset(out, 0, sizeof(out));
		ATF_CHECK_EQ(0, disk_read(D, 4096, out + 3, 65536));
		ATF_CHECK_EQ(0, memcmp(pattern + shift, out + 3, 65536));
	}
}

DISK_TC(scattered_buffers_of_odd_length_work)
{
	struct iovec iov[] = {
		{ out, 100 }, { out + 300, 0 }, { out + 1000, 412 },
	};
	struct disk_req req = {
		.op = DISK_READ, .offset = 512, .length = 512, .iov = iov,
		.iovcnt = 3,
	};

	fill_pattern();
	ATF_CHECK_EQ(0, disk_write(D, 512, pattern, 512, 0));
	ATF_CHECK_EQ(0, disk_run(D, &req));
	ATF_CHECK_EQ(0, memcmp(out, pattern, 100));
	ATF_CHECK_EQ(0, memcmp(out + 1000, pattern + 100, 412));
}

DISK_TC(more_buffers_than_the_kernel_takes_work)
{
	enum { N = 2048 };
	static struct iovec iov[N];
	struct disk_req req = {
		.op = DISK_WRITE, .length = N * 64, .iov = iov, .iovcnt = N,
	};

	fill_pattern();
	for (size_t i = 0; i < N; i++)
		iov[i] = (struct iovec){ pattern + i * 64, 64 };
	ATF_CHECK_EQ(0, disk_run(D, &req));
	ATF_CHECK_EQ(0, disk_read(D, 0, out, N * 64));
	ATF_CHECK_EQ(0, memcmp(out, pattern, N * 64));
}

static void
check_zeroed(int (*zero)(void))
{
	fill_pattern();
	ATF_CHECK_EQ(0, disk_write(D, 0, pattern, sizeof(pattern), 0));
	ATF_CHECK_EQ(0, zero());
	ATF_CHECK_EQ(0, disk_read(D, 0, out, sizeof(out)));
	memset(pattern + 512, 0, 100 * 512);
	ATF_CHECK_EQ(0, memcmp(pattern, out, sizeof(out)));
}

static int
zero_by_write(void)
{
	return disk_write_zeroes(D, 512, 100 * 512, 0);
}

static int
zero_by_hole(void)
{
	return disk_write_zeroes(D, 512, 100 * 512, DISK_MAY_UNMAP);
}

static int
zero_by_unmap(void)
{
	return disk_unmap(D, 512, 100 * 512);
}

DISK_TC(zeroed_blocks_read_zero)
{
	check_zeroed(zero_by_write);
	check_zeroed(zero_by_hole);
}

DISK_TC(unmapped_blocks_of_a_file_read_zero)
{
	if ((D->info.caps & DISK_CAP_UNMAP) != 0)
		check_zeroed(zero_by_unmap);
	else
		ATF_CHECK_EQ(-EOPNOTSUPP, zero_by_unmap());
}

DISK_TC(map_shows_holes_of_a_file)
{
	struct disk_extent e[3];
	struct disk_map map = { .extents = e, .max = 3 };

	memset(pattern, 1, sizeof(pattern));
	ATF_REQUIRE_EQ(0, disk_write(D, MIB, pattern, sizeof(pattern), 0));
	ATF_REQUIRE_EQ(0, disk_map(D, 0, SIZE, &map));
	/* Where nobody knows of holes. */
	if (map.count == 1) {
		ATF_CHECK(e[0].allocated && e[0].length == SIZE);
		return;
	}
	ATF_REQUIRE_EQ(3, map.count);
	ATF_CHECK(!e[0].allocated && e[0].length == MIB);
	ATF_CHECK(e[1].allocated && e[1].length == sizeof(pattern));
	ATF_CHECK(!e[2].allocated);
	ATF_CHECK_EQ(SIZE - MIB - sizeof(pattern), e[2].length);
	ATF_REQUIRE_EQ(0, truncate(PATH, MIB));
	ATF_REQUIRE_EQ(0, disk_map(D, 512, SIZE - 512, &map));
	ATF_CHECK(map.count == 1 && !e[0].allocated);
}

DISK_TC(shrunken_file_gives_io_errors)
{
	char b[512] = { 0 };

	ATF_REQUIRE_EQ(0, truncate(PATH, 1 * MIB + 100));
	ATF_CHECK_EQ(-EIO, disk_read(D, 2 * MIB, b, 512));
	ATF_CHECK_EQ(-EIO, disk_read(D, 1 * MIB, b, 512));
	ATF_CHECK_EQ(-EIO, disk_caw(D, 2 * MIB, b, b, 512));
	ATF_CHECK_EQ(0, disk_read(D, 1 * MIB - 512, b, 512));
}

/* Writes and reads by each length, with the mapping and without. */
static void
memory_lengths(struct disk *d, int fd)
{
	for (size_t n = 512; n <= sizeof(pattern); n *= 2) {
		memset(out, 0, sizeof(out));
		ATF_CHECK_EQ(0, disk_write(d, n, pattern, n, 0));
		ATF_CHECK_EQ(0, disk_read(d, n, out, n));
		ATF_CHECK_EQ(0, memcmp(pattern, out, n));
		ATF_REQUIRE_EQ((ssize_t)n, pread(fd, out, n, (off_t)n));
		ATF_CHECK_EQ(0, memcmp(pattern, out, n));
	}
}

/*
 * Data in memory takes several ways: through a mapping or by a call, at once
 * or beside when there is much.
 */
static int
memory_file(void *arg)
{
	char path[] = "/dev/shm/env_disk_file_test.XXXXXX", b[512];
	int fd = mkstemp(path);
	struct disk *d;
	struct stat st;

	(void)arg;
	ATF_REQUIRE(fd >= 0);
	ATF_REQUIRE_EQ(0, ftruncate(fd, SIZE));
	ATF_REQUIRE_EQ(0, disk_file_open(path, 0, &d));
	unlink(path);
	fill_pattern();
	for (size_t n = 512; n <= sizeof(pattern); n *= 2)
		ATF_CHECK_EQ(0, disk_read(d, 0, out, n));
	ATF_REQUIRE_EQ(0, fstat(fd, &st));
	ATF_CHECK_EQ(0, st.st_blocks);
	/* First into holes, then what is there, then other data. */
	memory_lengths(d, fd);
	memory_lengths(d, fd);
	memmove(pattern, pattern + 1, sizeof(pattern) - 1);
	memory_lengths(d, fd);
	ATF_REQUIRE_EQ(0, ftruncate(fd, 1 * MIB + 100));
	ATF_CHECK_EQ(-EIO, disk_read(d, 2 * MIB, out, 128 * KIB));
	ATF_CHECK_EQ(-EIO, disk_read(d, 2 * MIB, out, 256 * KIB));
	ATF_CHECK_EQ(-EIO, disk_read(d, 2 * MIB, b, 512));
	ATF_CHECK_EQ(-EIO, disk_read(d, 1 * MIB, b, 512));
	ATF_CHECK_EQ(0, disk_read(d, 1 * MIB - 512, b, 512));
	disk_close(d);
	close(fd);
	return 0;
}

ATF_TC_WITHOUT_HEAD(file_in_memory_is_a_disk_like_others);
ATF_TC_BODY(file_in_memory_is_a_disk_like_others, tc)
{
	if (access("/dev/shm", W_OK) < 0)
		atf_tc_skip("no /dev/shm");
	ATF_CHECK_EQ(0, reactor_run_main(memory_file, NULL));
}

DISK_TC(grown_file_is_seen_after_refresh)
{
	char b[512] = { 0 };

	ATF_REQUIRE_EQ(0, truncate(PATH, 8 * MIB + 100));
	ATF_CHECK_EQ(-EINVAL, disk_read(D, 4 * MIB, b, 512));
	ATF_CHECK_EQ(0, disk_refresh(D));
	ATF_CHECK_EQ(8 * MIB, D->info.size_bytes);
	ATF_CHECK_EQ(0, disk_read(D, 8 * MIB - 512, b, 512));
}

DISK_TC(full_device_is_no_space)
{
	struct rlimit rl = { .rlim_cur = 1 * MIB, .rlim_max = RLIM_INFINITY };
	char b[512] = { 0 };

	signal(SIGXFSZ, SIG_IGN);
	ATF_REQUIRE_EQ(0, setrlimit(RLIMIT_FSIZE, &rl));
	ATF_CHECK_EQ(-ENOSPC, disk_write(D, 2 * MIB, b, 512, 0));
	ATF_CHECK_EQ(-ENOSPC, disk_caw(D, 2 * MIB, b, b, 512));
	ATF_CHECK_EQ(0, disk_write(D, 0, b, 512, 0));
}

DISK_TC(write_across_the_end_of_space_is_no_space)
{
	struct rlimit rl = { .rlim_cur = 1 * MIB, .rlim_max = RLIM_INFINITY };
	struct iovec iov[] = {
		{ pattern, 8192 }, { pattern + 8192, 4096 },
		{ pattern + 12288, 53248 },
	};
	struct disk_req req = {
		.op = DISK_WRITE, .offset = 1 * MIB - 10240, .length = 65536,
		.iov = iov, .iovcnt = 3,
	};

	fill_pattern();
	signal(SIGXFSZ, SIG_IGN);
	ATF_REQUIRE_EQ(0, setrlimit(RLIMIT_FSIZE, &rl));
	/* The kernel writes what fits, then has no room for the rest. */
	ATF_CHECK_EQ(-ENOSPC, disk_run(D, &req));
	ATF_CHECK_EQ(8192, iov[0].iov_len);
	ATF_CHECK_EQ(0, disk_read(D, req.offset, out, 10240));
	ATF_CHECK_EQ(0, memcmp(pattern, out, 10240));
}

DISK_TC(caw_tells_where_bytes_differ)
{
	char zero[1024] = { 0 }, image[1024];
	struct iovec iov[] = { { image, 700 }, { image + 700, 324 } };
	struct disk_req req = {
		.op = DISK_CAW, .offset = 512, .length = 1024, .iov = iov,
		.iovcnt = 2, .expect = zero,
	};

	memset(image, 'i', sizeof(image));
	ATF_CHECK_EQ(0, disk_run(D, &req));
	ATF_CHECK_EQ(0, disk_read(D, 512, out, 1024));
	ATF_CHECK_EQ(0, memcmp(image, out, 1024));
	memset(out, 0, 600);
	ATF_CHECK_EQ(0, disk_write(D, 512, out, 1024, 0));
	ATF_CHECK_EQ(-VMFS_EMISCOMPARE, disk_run(D, &req));
	ATF_CHECK_EQ(600, req.sense.info);
}

/* Adds one to a 64-bit counter in the first block, `times` times. */
static void
count_up(struct disk *d, unsigned times)
{
	uint64_t old[64], new[64];

	while (times > 0) {
		int rc;

		ATF_REQUIRE_EQ(0, disk_read(d, 0, old, sizeof(old)));
		memcpy(new, old, sizeof(old));
		new[0]++;
		new[63] = new[0];
		rc = disk_caw(d, 0, old, new, sizeof(old));
		if (rc == 0)
			times--;
		else
			ATF_REQUIRE_EQ(-VMFS_EMISCOMPARE, rc);
	}
}

static uint64_t
counter(void)
{
	uint64_t v[64] = { 0 };
	int fd = open(PATH, O_RDONLY);

	ATF_REQUIRE(fd >= 0);
	ATF_REQUIRE_EQ((ssize_t)sizeof(v), read(fd, v, sizeof(v)));
	close(fd);
	ATF_CHECK_EQ(v[0], v[63]);
	return v[0];
}

enum { COUNTS = 150, PROCESSES = 3, FIBERS = 4, REACTORS = 2 };

static int
count_main(void *arg)
{
	struct disk *d;

	(void)arg;
	ATF_REQUIRE_EQ(0, disk_file_open(PATH, 0, &d));
	count_up(d, COUNTS);
	disk_close(d);
	return 0;
}

ATF_TC_WITHOUT_HEAD(caw_of_several_processes_loses_no_update);
ATF_TC_BODY(caw_of_several_processes_loses_no_update, tc)
{
	pid_t pids[PROCESSES];

	make_file(PATH, SIZE);
	for (int i = 0; i < PROCESSES; i++) {
		pids[i] = fork();
		ATF_REQUIRE(pids[i] >= 0);
		if (pids[i] == 0)
			_exit(reactor_run_main(count_main, NULL) == 0 ?
			    0 : 1);
	}
	for (int i = 0; i < PROCESSES; i++) {
		int status;

		ATF_REQUIRE_EQ(pids[i], waitpid(pids[i], &status, 0));
		ATF_CHECK_EQ(0, status);
	}
	ATF_CHECK_EQ(PROCESSES * COUNTS, counter());
}

static struct fiber *count_waiter;
static unsigned counters_left;

static void
count_fiber(void *arg)
{
	(void)arg;
	count_up(D, COUNTS / 5);
	if (--counters_left == 0)
		fiber_unpark(count_waiter);
}

DISK_TC(caw_of_several_fibers_loses_no_update)
{
	count_waiter = fiber_self();
	counters_left = FIBERS;
	for (int i = 0; i < FIBERS; i++)
		ATF_REQUIRE_EQ(0, sched_spawn(sched_current(), "count",
		    count_fiber, NULL));
	while (counters_left > 0)
		fiber_park();
	ATF_CHECK_EQ(FIBERS * (COUNTS / 5), counter());
}

static struct reactor *count_reactors[REACTORS];

static void
count_then_stop(void *arg)
{
	(void)arg;
	count_up(D, COUNTS);
	reactor_stop(reactor_current());
}

DISK_TC(one_disk_serves_several_reactors)
{
	for (int i = 0; i < REACTORS; i++) {
		ATF_REQUIRE_EQ(0, reactor_new("count", &count_reactors[i]));
		ATF_REQUIRE_EQ(0, sched_spawn(
		    reactor_sched(count_reactors[i]), "count",
		    count_then_stop, NULL));
		ATF_REQUIRE_EQ(0, reactor_start(count_reactors[i]));
	}
	for (int i = 0; i < REACTORS; i++) {
		reactor_join(count_reactors[i]);
		reactor_free(count_reactors[i]);
	}
	ATF_CHECK_EQ(REACTORS * COUNTS, counter());
}

DISK_TC(hold_excludes_other_openers_until_given_up)
{
	struct disk *other;

	ATF_REQUIRE_EQ(0, disk_file_open(PATH, 0, &other));
	ATF_CHECK_EQ(0, disk_hold_test(other, 7));
	ATF_CHECK_EQ(0, disk_hold(D, 7));
	ATF_CHECK_EQ(0, disk_hold(D, 7));
	ATF_CHECK_EQ(-VMFS_EINUSE, disk_hold_test(D, 7));
	ATF_CHECK_EQ(-VMFS_EINUSE, disk_hold_test(other, 7));
	ATF_CHECK_EQ(-VMFS_EINUSE, disk_hold(other, 7));
	ATF_CHECK_EQ(0, disk_hold_test(other, 8));
	ATF_CHECK_EQ(0, disk_unhold(other, 7));
	ATF_CHECK_EQ(-VMFS_EINUSE, disk_hold_test(other, 7));
	ATF_CHECK_EQ(0, disk_unhold(D, 7));
	ATF_CHECK_EQ(0, disk_hold(other, 7));
	ATF_CHECK_EQ(-EINVAL, disk_hold(D, UINT64_MAX));
	disk_close(other);
	ATF_CHECK_EQ(0, disk_hold_test(D, 7));
}

static int
hold_and_hang(void *arg)
{
	int *fds = arg;
	struct disk *d;

	ATF_REQUIRE_EQ(0, disk_file_open(PATH, 0, &d));
	ATF_REQUIRE_EQ(0, disk_hold(d, 3));
	ATF_REQUIRE_EQ(1, write(fds[1], "h", 1));
	for (;;)
		fiber_park();
	return 0;
}

static int
hold_test_main(void *arg)
{
	int *result = arg;
	struct disk *d;

	ATF_REQUIRE_EQ(0, disk_file_open(PATH, DISK_OPEN_READONLY, &d));
	*result = disk_hold_test(d, 3);
	disk_close(d);
	return 0;
}

static int
hold_state(void)
{
	int result = 0;

	ATF_REQUIRE_EQ(0, reactor_run_main(hold_test_main, &result));
	return result;
}

ATF_TC_WITHOUT_HEAD(hold_dies_with_a_killed_process);
ATF_TC_BODY(hold_dies_with_a_killed_process, tc)
{
	int fds[2], status;
	char c;
	pid_t pid;

	make_file(PATH, SIZE);
	ATF_REQUIRE_EQ(0, pipe(fds));
	pid = fork();
	ATF_REQUIRE(pid >= 0);
	if (pid == 0)
		_exit(reactor_run_main(hold_and_hang, fds));
	ATF_REQUIRE_EQ(1, read(fds[0], &c, 1));
	ATF_CHECK_EQ(-VMFS_EINUSE, hold_state());
	ATF_REQUIRE_EQ(0, kill(pid, SIGKILL));
	ATF_REQUIRE_EQ(pid, waitpid(pid, &status, 0));
	/* The ring of the dead goes a little after it. */
	for (int i = 0; i < 10000 && hold_state() != 0; i++)
		usleep(1000);
	ATF_CHECK_EQ(0, hold_state());
}

struct open_case {
	const char *path;
	unsigned flags;
	int error;
};

static int
open_cases_main(void *arg)
{
	const struct open_case *c = arg;

	for (; c->path != NULL; c++) {
		struct disk *d = NULL;

		ATF_CHECK_EQ_MSG(c->error, disk_file_open(c->path, c->flags,
		    &d), "%s", c->path);
		ATF_CHECK(c->error == 0 || d == NULL);
		disk_close(d);
	}
	return 0;
}

ATF_TC_WITHOUT_HEAD(what_is_no_disk_is_refused_with_its_reason);
ATF_TC_BODY(what_is_no_disk_is_refused_with_its_reason, tc)
{
	struct open_case cases[] = {
		{ "missing", 0, -ENOENT },
		{ "dir", 0, -EISDIR },
		{ "dir", DISK_OPEN_READONLY, -EISDIR },
		{ "fifo", 0, -ENOTBLK },
		{ "/dev/null", 0, -ENOTBLK },
		{ "empty", 0, -ENODATA },
		{ "tiny", 0, -ENODATA },
		{ "block", 0, 0 },
		{ NULL, 0, 0 },
	};

	ATF_REQUIRE_EQ(0, mkdir("dir", 0700));
	ATF_REQUIRE_EQ(0, mkfifo("fifo", 0600));
	make_file("empty", 0);
	make_file("tiny", 511);
	make_file("block", 512);
	ATF_CHECK_EQ(0, reactor_run_main(open_cases_main, cases));
}

DISK_TC(exclusive_open_keeps_others_out)
{
	struct disk *d = NULL;

	ATF_CHECK_EQ(-VMFS_EINUSE,
	    disk_file_open(PATH, DISK_OPEN_EXCLUSIVE, &d));
	make_file("other.img", SIZE);
	ATF_REQUIRE_EQ(0,
	    disk_file_open("other.img", DISK_OPEN_EXCLUSIVE, &d));
	disk_close(D);
	ATF_CHECK_EQ(-VMFS_EINUSE, disk_file_open("other.img", 0, &D));
	ATF_CHECK_EQ(-VMFS_EINUSE, disk_file_open("other.img",
	    DISK_OPEN_READONLY, &D));
	disk_close(d);
	ATF_REQUIRE_EQ(0, disk_file_open("other.img", 0, &D));
}

DISK_TC(readonly_disk_refuses_writes)
{
	struct disk *ro;
	char b[512] = { 0 };

	ATF_REQUIRE_EQ(0, chmod(PATH, 0400));
	ATF_REQUIRE_EQ(0, disk_file_open(PATH, DISK_OPEN_READONLY, &ro));
	ATF_CHECK_EQ(-EROFS, disk_write(ro, 0, b, 512, 0));
	ATF_CHECK_EQ(-EROFS, disk_hold(ro, 1));
	ATF_CHECK_EQ(0, disk_read(ro, 0, b, 512));
	ATF_CHECK_EQ(0, disk_hold(D, 1));
	ATF_CHECK_EQ(-VMFS_EINUSE, disk_hold_test(ro, 1));
	disk_close(ro);
}

ATF_TP_ADD_TCS(tp)
{
	ATF_TP_ADD_TC(tp, file_has_512_byte_blocks_and_its_size);
	ATF_TP_ADD_TC(tp, single_blocks_are_read_and_written);
	ATF_TP_ADD_TC(tp, memory_need_not_be_aligned);
	ATF_TP_ADD_TC(tp, scattered_buffers_of_odd_length_work);
	ATF_TP_ADD_TC(tp, more_buffers_than_the_kernel_takes_work);
	ATF_TP_ADD_TC(tp, zeroed_blocks_read_zero);
	ATF_TP_ADD_TC(tp, unmapped_blocks_of_a_file_read_zero);
	ATF_TP_ADD_TC(tp, map_shows_holes_of_a_file);
	ATF_TP_ADD_TC(tp, shrunken_file_gives_io_errors);
	ATF_TP_ADD_TC(tp, file_in_memory_is_a_disk_like_others);
	ATF_TP_ADD_TC(tp, grown_file_is_seen_after_refresh);
	ATF_TP_ADD_TC(tp, full_device_is_no_space);
	ATF_TP_ADD_TC(tp, write_across_the_end_of_space_is_no_space);
	ATF_TP_ADD_TC(tp, caw_tells_where_bytes_differ);
	ATF_TP_ADD_TC(tp, caw_of_several_processes_loses_no_update);
	ATF_TP_ADD_TC(tp, caw_of_several_fibers_loses_no_update);
	ATF_TP_ADD_TC(tp, one_disk_serves_several_reactors);
	ATF_TP_ADD_TC(tp, hold_excludes_other_openers_until_given_up);
	ATF_TP_ADD_TC(tp, hold_dies_with_a_killed_process);
	ATF_TP_ADD_TC(tp, what_is_no_disk_is_refused_with_its_reason);
	ATF_TP_ADD_TC(tp, exclusive_open_keeps_others_out);
	ATF_TP_ADD_TC(tp, readonly_disk_refuses_writes);
	return atf_no_error();
}
