/* SPDX-License-Identifier: BSD-2-Clause */
/* Copies through the mapping of a file in memory. */
#include <atf-c.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "libvmfs/base/units.h"
#include "libvmfs/env/mapped.h"
#include "libvmfs/env/reactor.h"

#define SIZE (4 * MIB)

static int fd;
static struct mapped m;
static char pattern[MIB], out[MIB];

/* A file without a page. */
static void
setup(void)
{
	fd = memfd_create("mapped", MFD_CLOEXEC);
	ATF_REQUIRE(fd >= 0);
	ATF_REQUIRE_EQ(0, ftruncate(fd, SIZE));
	ATF_REQUIRE_EQ(0, mapped_open(fd, SIZE, &m));
	for (size_t i = 0; i < sizeof(pattern); i++)
		pattern[i] = (char)(i * 11 + i / 4096);
}

static void
fill(void)
{
	for (off_t at = 0; at < (off_t)SIZE; at += (off_t)MIB)
		ATF_REQUIRE_EQ(MIB, pwrite(fd, pattern, MIB, at));
}

static int
get(uint64_t offset, uint64_t len)
{
	struct iovec iov = { out, len };

	return mapped_copy(&m, offset, len, &iov, 1, false);
}

static int
put(uint64_t offset, uint64_t len)
{
	struct iovec iov = { pattern, len };

	return mapped_copy(&m, offset, len, &iov, 1, true);
}

static blkcnt_t
blocks(void)
{
	struct stat st;

	ATF_REQUIRE_EQ(0, fstat(fd, &st));
	return st.st_blocks;
}

ATF_TC_WITHOUT_HEAD(data_goes_both_ways);
ATF_TC_BODY(data_goes_both_ways, tc)
{
	struct iovec iov[] = { { out, 10 }, { out, 0 }, { out + 5000, 8000 } };

	setup();
	fill();
	ATF_CHECK_EQ(0, get(MIB, MIB));
	ATF_CHECK_EQ(0, memcmp(out, pattern, MIB));
	ATF_CHECK_EQ(0, put(3 * 512, MIB));
	ATF_REQUIRE_EQ(MIB, pread(fd, out, MIB, 3 * 512));
	ATF_CHECK_EQ(0, memcmp(out, pattern, MIB));
	ATF_CHECK_EQ(0, mapped_copy(&m, 3 * 512, 8010, iov, 3, false));
	ATF_CHECK_EQ(0, memcmp(out, pattern, 10));
	ATF_CHECK_EQ(0, memcmp(out + 5000, pattern + 10, 8000));
	ATF_CHECK_EQ(0, get(SIZE - 512, 512));
	ATF_CHECK_EQ(0, memcmp(out, pattern + MIB - 512, 512));
}

/* A read of a hole takes no memory, and a write is for those who can fail. */
ATF_TC_WITHOUT_HEAD(holes_stay_holes);
ATF_TC_BODY(holes_stay_holes, tc)
{
	setup();
	ATF_CHECK_EQ(-ENODATA, get(0, MIB));
	ATF_CHECK_EQ(-ENODATA, put(MIB, MIB));
	ATF_CHECK_EQ(0, blocks());
	/* One page of many is enough, the first or the last. */
	ATF_REQUIRE_EQ(4096, pwrite(fd, pattern, 4096, MIB));
	ATF_CHECK_EQ(-ENODATA, get(MIB, 4097));
	ATF_CHECK_EQ(-ENODATA, get(MIB - 1, 4097));
	ATF_CHECK_EQ(0, get(MIB, 4096));
	ATF_CHECK_EQ(4096 / 512, blocks());
}

ATF_TC_WITHOUT_HEAD(what_lies_beyond_is_not_copied);
ATF_TC_BODY(what_lies_beyond_is_not_copied, tc)
{
	setup();
	fill();
	ATF_CHECK_EQ(-ENODATA, get(SIZE - 512, 1024));
	ATF_CHECK_EQ(-ENODATA, get(SIZE + 4096, 512));
	ATF_CHECK_EQ(-ENODATA, get(UINT64_MAX - 511, 512));
	ATF_REQUIRE_EQ(0, ftruncate(fd, MIB));
	ATF_CHECK_EQ(-ENODATA, get(MIB, 512));
	ATF_CHECK_EQ(-ENODATA, put(MIB, 512));
	ATF_CHECK_EQ(0, get(MIB - 512, 512));
}

/* The file becomes shorter between the look and the copy. */
static int
lose_pages(void *arg)
{
	struct iovec to = { out, MIB }, from = { pattern, MIB };

	(void)arg;
	for (int i = 0; i < 3; i++) {
		ATF_CHECK_EQ(-ENODATA, mapped_copy_blindly(&m, MIB / 2, MIB,
		    &to, 1, false));
		ATF_CHECK_EQ(-ENODATA, mapped_copy_blindly(&m, MIB / 2, MIB,
		    &from, 1, true));
	}
	ATF_CHECK_EQ(0, mapped_copy_blindly(&m, 0, MIB, &to, 1, false));
	return 0;
}

static int
lose_everywhere(void *arg)
{
	(void)arg;
	ATF_CHECK_EQ(0, lose_pages(NULL));
	fill();
	ATF_REQUIRE_EQ(0, ftruncate(fd, MIB));
	return offload_call(lose_pages, NULL);
}

ATF_TC_WITHOUT_HEAD(lost_pages_end_the_copy_not_the_process);
ATF_TC_BODY(lost_pages_end_the_copy_not_the_process, tc)
{
	setup();
	fill();
	ATF_REQUIRE_EQ(0, ftruncate(fd, MIB));
	ATF_CHECK_EQ(0, reactor_run_main(lose_everywhere, NULL));
}

static int
status_of(void (*fn)(void))
{
	struct rlimit no_core = { 0, 0 };
	pid_t pid = fork();
	int status;

	ATF_REQUIRE(pid >= 0);
	if (pid == 0) {
		(void)setrlimit(RLIMIT_CORE, &no_core);
		fn();
		_exit(0);
	}
	ATF_REQUIRE_EQ(pid, waitpid(pid, &status, 0));
	return status;
}

static void
touch_lost_page(void)
{
	*(volatile char *)(m.base + 2 * MIB) = 'x';
}

static void
take_signal(void)
{
	(void)raise(SIGBUS);
}

/* By the signal, or as AddressSanitizer ends it. */
ATF_TC_WITHOUT_HEAD(other_faults_end_the_process_as_ever);
ATF_TC_BODY(other_faults_end_the_process_as_ever, tc)
{
	setup();
	ATF_REQUIRE_EQ(0, ftruncate(fd, MIB));
	ATF_CHECK(status_of(touch_lost_page) != 0);
	ATF_CHECK(status_of(take_signal) != 0);
}

ATF_TP_ADD_TCS(tp)
{
	ATF_TP_ADD_TC(tp, data_goes_both_ways);
	ATF_TP_ADD_TC(tp, holes_stay_holes);
	ATF_TP_ADD_TC(tp, what_lies_beyond_is_not_copied);
	ATF_TP_ADD_TC(tp, lost_pages_end_the_copy_not_the_process);
	ATF_TP_ADD_TC(tp, other_faults_end_the_process_as_ever);
	return atf_no_error();
}
