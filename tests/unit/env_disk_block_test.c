/* SPDX-License-Identifier: BSD-2-Clause */
/* Block devices as disks: loop devices, which only root can make. */
#include <atf-c.h>
#include <fcntl.h>
#include <linux/loop.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "libvmfs/base/units.h"
#include "libvmfs/env/disk.h"
#include "libvmfs/env/reactor.h"

#define SIZE (8 * MIB)

static char path[64];
static int loop_fd;

/*
 * A loop device on a file of the work directory; it goes with its last user.
 */
static void
make_loop(uint32_t block_size)
{
	struct loop_config lc = { .block_size = block_size };
	int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC);
	int fd = open("backing", O_CREAT | O_RDWR | O_CLOEXEC, 0600);
	int rc = -1;

	ATF_REQUIRE(fd >= 0);
	ATF_REQUIRE_EQ(0, ftruncate(fd, (off_t)SIZE));
	if (control < 0)
		atf_tc_skip("no loop devices here");
	lc.fd = (uint32_t)fd;
	lc.info.lo_flags = LO_FLAGS_AUTOCLEAR | LO_FLAGS_DIRECT_IO;
	/* Somebody else may take the free one first. */
	for (int i = 0; i < 20 && rc < 0; i++) {
		int n = ioctl(control, LOOP_CTL_GET_FREE);

		(void)snprintf(path, sizeof(path), "/dev/loop%d", n);
		loop_fd = open(path, O_RDWR | O_CLOEXEC);
		if (n < 0 || loop_fd < 0)
			atf_tc_skip("no loop devices here");
		rc = ioctl(loop_fd, LOOP_CONFIGURE, &lc);
		if (rc < 0)
			close(loop_fd);
	}
	close(control);
	close(fd);
	if (rc < 0)
		atf_tc_skip("no loop device can be configured");
}

static struct disk *D;

static int
with_disk(void *arg)
{
	void (**body)(void) = arg;

	ATF_REQUIRE_EQ(0, disk_file_open(path, 0, &D));
	(*body)();
	disk_close(D);
	return 0;
}

#define LOOP_TC(name, block_size)					\
static void name##_body(void);						\
ATF_TC(name);								\
ATF_TC_HEAD(name, tc)							\
{									\
	atf_tc_set_md_var(tc, "require.user", "root");			\
}									\
ATF_TC_BODY(name, tc)							\
{									\
	void (*body)(void) = name##_body;				\
	make_loop(block_size);						\
	ATF_CHECK_EQ(0, reactor_run_main(with_disk, &body));		\
	close(loop_fd);							\
}									\
static void								\
name##_body(void)

static char a[64 * 1024], b[64 * 1024];

static void
check_data(size_t block)
{
	for (size_t i = 0; i < sizeof(a); i++)
		a[i] = (char)(i * 13 + i / 512);
	ATF_CHECK_EQ(SIZE, D->info.size_bytes);
	ATF_CHECK_EQ(block, D->info.block_size);
	ATF_CHECK_STREQ("block", D->info.kind);
	ATF_CHECK_EQ(0, disk_write(D, block, a, sizeof(a), DISK_FUA));
	ATF_CHECK_EQ(0, disk_flush(D));
	ATF_CHECK_EQ(0, disk_write_zeroes(D, 2 * block, block, 0));
	ATF_CHECK_EQ(0, disk_write_zeroes(D, 4 * block, block,
	    DISK_MAY_UNMAP));
	memset(a + block, 0, block);
	memset(a + 3 * block, 0, block);
	/* into memory that is not aligned */
	ATF_CHECK_EQ(0, disk_read(D, block, b + 1, 8 * block));
	ATF_CHECK_EQ(0, memcmp(a, b + 1, 8 * block));
	ATF_CHECK_EQ(0, disk_caw(D, block, a, b, block));
	ATF_CHECK_EQ(-VMFS_EMISCOMPARE, disk_caw(D, block, a, b, block));
	if ((D->info.caps & DISK_CAP_UNMAP) != 0)
		ATF_CHECK_EQ(0, disk_unmap(D, 0, 8 * block));
	ATF_CHECK_EQ(-EINVAL, disk_read(D, block / 2, b, block));
	ATF_CHECK_EQ(0, disk_refresh(D));
}

LOOP_TC(device_of_512_byte_blocks_moves_data, 512)
{
	check_data(512);
}

LOOP_TC(device_of_4096_byte_blocks_moves_data, 4096)
{
	check_data(4096);
}

LOOP_TC(device_claimed_by_the_kernel_is_in_use, 512)
{
	struct disk *d;
	int claim = open(path, O_RDWR | O_EXCL | O_CLOEXEC);

	ATF_REQUIRE(claim >= 0);
	disk_close(D);
	ATF_CHECK_EQ(-VMFS_EINUSE,
	    disk_file_open(path, DISK_OPEN_EXCLUSIVE, &d));
	close(claim);
	ATF_REQUIRE_EQ(0, disk_file_open(path, DISK_OPEN_EXCLUSIVE, &D));
	ATF_CHECK_EQ(-VMFS_EINUSE, disk_file_open(path, 0, &d));
}

LOOP_TC(hold_on_a_device_excludes_other_openers, 512)
{
	struct disk *other;

	ATF_REQUIRE_EQ(0, disk_file_open(path, 0, &other));
	ATF_CHECK_EQ(0, disk_hold(D, 9));
	ATF_CHECK_EQ(-VMFS_EINUSE, disk_hold_test(other, 9));
	disk_close(other);
}

LOOP_TC(grown_device_is_seen_after_refresh, 512)
{
	ATF_REQUIRE_EQ(0, truncate("backing", (off_t)(2 * SIZE)));
	ATF_REQUIRE_EQ(0, ioctl(loop_fd, LOOP_SET_CAPACITY));
	ATF_CHECK_EQ(0, disk_refresh(D));
	ATF_CHECK_EQ(2 * SIZE, D->info.size_bytes);
	ATF_CHECK_EQ(0, disk_read(D, 2 * SIZE - 512, b, 512));
}

ATF_TP_ADD_TCS(tp)
{
	ATF_TP_ADD_TC(tp, device_of_512_byte_blocks_moves_data);
	ATF_TP_ADD_TC(tp, device_of_4096_byte_blocks_moves_data);
	ATF_TP_ADD_TC(tp, device_claimed_by_the_kernel_is_in_use);
	ATF_TP_ADD_TC(tp, hold_on_a_device_excludes_other_openers);
	ATF_TP_ADD_TC(tp, grown_device_is_seen_after_refresh);
	return atf_no_error();
}
