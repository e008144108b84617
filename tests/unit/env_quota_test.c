/* SPDX-License-Identifier: BSD-2-Clause */
/* A disk that may take only a part of its file system. */
#include <atf-c.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "libvmfs/base/units.h"
#include "libvmfs/env/disk.h"
#include "libvmfs/env/reactor.h"

#define SIZE (64 * MIB)
/* File systems count a block or two of their own. */
#define LIMIT (4 * MIB + 256 * KIB)

static struct disk *D;
static uint8_t *data;

static int
with_disk(void *arg)
{
	void (**body)(void) = arg;
	int fd = open("file", O_RDWR | O_CREAT, 0600);
	struct disk *file;

	ATF_REQUIRE(fd >= 0);
	ATF_REQUIRE_EQ(0, ftruncate(fd, SIZE));
	close(fd);
	data = disk_buf_alloc(8 * MIB);
	memset(data, 'x', 8 * MIB);
	ATF_REQUIRE_EQ(0, disk_file_open("file", 0, &file));
	ATF_REQUIRE_EQ(0, disk_quota_open(file, LIMIT, &D));
	(*body)();
	disk_close(D);
	free(data);
	return 0;
}

#define QUOTA_TC(name)							\
static void name##_body(void);						\
ATF_TC_WITHOUT_HEAD(name);						\
ATF_TC_BODY(name, tc)							\
{									\
	void (*body)(void) = name##_body;				\
	ATF_CHECK_EQ(0, reactor_run_main(with_disk, &body));		\
}									\
static void								\
name##_body(void)

static int
put(uint64_t off, uint64_t len)
{
	return disk_write(D, off, data, len, 0);
}

/* 4 MiB in steps, with holes between them. */
static void
fill(void)
{
	for (uint64_t i = 0; i < 16; i++)
		ATF_REQUIRE_EQ(0, put(2 * i * MIB, 256 * KIB));
}

QUOTA_TC(no_more_is_taken_than_allowed)
{
	unsigned taken = 0;

	while (put(taken * MIB, MIB) == 0)
		ATF_REQUIRE(++taken < 6);
	ATF_CHECK_EQ(4, taken);
	ATF_CHECK_EQ(-ENOSPC, put(taken * MIB, MIB));
	ATF_CHECK_EQ(-ENOSPC, disk_write_zeroes(D, 32 * MIB, MIB, 0));
}

QUOTA_TC(what_is_there_can_be_written)
{
	fill();
	ATF_CHECK_EQ(-ENOSPC, put(63 * MIB, MIB));
	for (uint64_t i = 0; i < 16; i++)
		ATF_CHECK_EQ(0, put(2 * i * MIB, 256 * KIB));
	/* Half of it is not there. */
	ATF_CHECK_EQ(-ENOSPC, put(0, MIB));
	ATF_CHECK_EQ(0, disk_read(D, 63 * MIB, data, MIB));
	ATF_CHECK_EQ(0, data[0]);
}

QUOTA_TC(freed_space_can_be_taken_again)
{
	fill();
	ATF_REQUIRE_EQ(-ENOSPC, put(40 * MIB, MIB));
	ATF_REQUIRE_EQ(0, disk_unmap(D, 0, 2 * MIB));
	ATF_REQUIRE_EQ(0, disk_write_zeroes(D, 2 * MIB, 8 * MIB,
	    DISK_MAY_UNMAP));
	ATF_CHECK_EQ(0, put(40 * MIB, MIB));
	ATF_CHECK_EQ(-ENOSPC, put(50 * MIB, MIB));
}

QUOTA_TC(the_limit_can_be_raised_and_lifted)
{
	fill();
	ATF_REQUIRE_EQ(-ENOSPC, put(40 * MIB, MIB));
	disk_quota_set(D, LIMIT + 2 * MIB);
	ATF_CHECK_EQ(0, put(40 * MIB, MIB));
	ATF_CHECK_EQ(-ENOSPC, put(50 * MIB, 4 * MIB));
	disk_quota_set(D, 0);
	ATF_CHECK_EQ(0, put(50 * MIB, 4 * MIB));
}

QUOTA_TC(the_pool_is_the_part_of_the_disk)
{
	struct disk_space s;

	ATF_REQUIRE_EQ(0, disk_space(D, &s));
	ATF_CHECK_EQ(LIMIT, s.size);
	ATF_CHECK(s.available <= LIMIT && s.available > 4 * MIB);
	fill();
	ATF_REQUIRE_EQ(0, disk_space(D, &s));
	ATF_CHECK(s.used >= 4 * MIB);
	ATF_CHECK(s.available <= LIMIT - 4 * MIB);
	disk_quota_set(D, MIB);
	ATF_REQUIRE_EQ(0, disk_space(D, &s));
	ATF_CHECK_EQ(0, s.available);
	disk_quota_set(D, 0);
	ATF_REQUIRE_EQ(0, disk_space(D, &s));
	ATF_CHECK(s.size > SIZE);
}

ATF_TP_ADD_TCS(tp)
{
	ATF_TP_ADD_TC(tp, no_more_is_taken_than_allowed);
	ATF_TP_ADD_TC(tp, what_is_there_can_be_written);
	ATF_TP_ADD_TC(tp, freed_space_can_be_taken_again);
	ATF_TP_ADD_TC(tp, the_limit_can_be_raised_and_lifted);
	ATF_TP_ADD_TC(tp, the_pool_is_the_part_of_the_disk);
	return atf_no_error();
}
