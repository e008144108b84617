/* SPDX-License-Identifier: BSD-2-Clause */
/* In how many pieces thin disks lie that many writers fill at once. */
#include <atf-c.h>
#include <stdio.h>
#include <stdlib.h>

#include "libvmfs/core/ds_priv.h"
#include "libvmfs/core/fs_impl.h"
#include "tests/unit/core_fs_rig.h"

#define LUN_BYTES (4 * GIB)	/* clusters of 64 MiB */
#define FILE_BYTES (128 * MIB)
#define WRITERS 8u

static unsigned
pieces(struct rig *r, uint64_t ino, uint64_t size)
{
	struct inode *ip;
	struct lock_holder holder;
	uint64_t next = 0;
	unsigned n = 0;

	ATF_REQUIRE_EQ(inode_take(r->fs, ino, LOCK_EXCLUSIVE, true, &ip,
	    &holder), 0);
	for (uint64_t off = 0; off < size; ) {
		struct map_run run;

		ATF_REQUIRE_EQ(map_run(ip, true, &ip->info.map, off, size - off, &run),
		    0);
		ATF_REQUIRE(run.data && run.len > 0);
		n += run.block != next;
		next = run.block + run.len / BLOCK_SIZE;
		off += run.len;
	}
	ATF_REQUIRE_EQ(inode_give(ip, LOCK_EXCLUSIVE, 0), 0);
	return n;
}

/* Each writer in turn adds a step, as guests do that fill their disks. */
static unsigned
fill_in_turns(struct rig *r, uint64_t step, uint64_t size, unsigned writers)
{
	uint64_t ino[WRITERS], total = 0;
	struct fs_file *f[WRITERS];
	uint8_t *buf = disk_buf_alloc(step);
	char name[16];

	for (unsigned i = 0; i < writers; i++) {
		(void)snprintf(name, sizeof(name), "vm%u", i);
		ino[i] = rig_create(r, name, INODE_DISK, size);
		f[i] = rig_open(r, ino[i], FS_READ | FS_WRITE);
	}
	for (uint64_t off = 0; off < size; off += step) {
		for (unsigned i = 0; i < writers; i++)
			ATF_REQUIRE_EQ(fs_file_write(f[i], off, buf, step), 0);
		/* As the housekeeper does: full clusters are given back. */
		if (off % (16 * MIB) == 0)
			ATF_REQUIRE_EQ(lease_trim(r->f.ds, false), 0);
	}
	for (unsigned i = 0; i < writers; i++) {
		rig_close(f[i]);
		total += pieces(r, ino[i], size);
	}
	free(buf);
	return (unsigned)(total * GIB / (size * writers));
}

static void
body_quarter(struct rig *r)
{
	unsigned n = fill_in_turns(r, 64 * KIB, FILE_BYTES, WRITERS);

	printf("pieces per GiB: %u\n", n);
	ATF_CHECK_MSG(n <= 64, "%u pieces per GiB", n);
}

ATF_TC_WITHOUT_HEAD(writers_in_turns_leave_few_pieces);
ATF_TC_BODY(writers_in_turns_leave_few_pieces, tc)
{
	(void)tc;
	rig_run(LUN_BYTES, body_quarter);
}

/* The volume is nearly full in the end: still not a piece for each MiB. */
static void
body_full(struct rig *r)
{
	unsigned n = fill_in_turns(r, MIB, 175 * MIB, WRITERS);

	printf("pieces per GiB on a volume that gets full: %u\n", n);
	ATF_CHECK_MSG(n <= 100, "%u pieces per GiB", n);
}

ATF_TC_WITHOUT_HEAD(a_volume_that_gets_full_is_not_shattered);
ATF_TC_BODY(a_volume_that_gets_full_is_not_shattered, tc)
{
	(void)tc;
	rig_run(1536 * MIB, body_full);
}

/* Small files stay together: they do not spread over the volume. */
static void
body_small(struct rig *r)
{
	uint64_t lowest = UINT64_MAX, highest = 0;
	char name[16];

	for (unsigned i = 0; i < 64; i++) {
		struct lock_holder holder;
		struct fs_file *f;
		struct map_run run;
		struct inode *ip;
		uint64_t ino;

		(void)snprintf(name, sizeof(name), "f%u", i);
		ino = rig_create(r, name, INODE_FILE, 0);
		f = rig_open(r, ino, FS_READ | FS_WRITE);
		rig_fill(f, 0, 256 * KIB, 1);
		rig_close(f);
		ATF_REQUIRE_EQ(inode_take(r->fs, ino, LOCK_EXCLUSIVE, true,
		    &ip, &holder), 0);
		ATF_REQUIRE_EQ(map_run(ip, true, &ip->info.map, 0, MIB, &run), 0);
		lowest = run.block < lowest ? run.block : lowest;
		highest = run.block > highest ? run.block : highest;
		ATF_REQUIRE_EQ(inode_give(ip, LOCK_EXCLUSIVE, 0), 0);
	}
	ATF_CHECK_MSG((highest - lowest) * BLOCK_SIZE < 96 * MIB, "spread "
	    "over %ju MiB", (uintmax_t)((highest - lowest) * BLOCK_SIZE / MIB));
}

ATF_TC_WITHOUT_HEAD(small_files_stay_together);
ATF_TC_BODY(small_files_stay_together, tc)
{
	(void)tc;
	rig_run(LUN_BYTES, body_small);
}

ATF_TP_ADD_TCS(tp)
{
	ATF_TP_ADD_TC(tp, writers_in_turns_leave_few_pieces);
	ATF_TP_ADD_TC(tp, a_volume_that_gets_full_is_not_shattered);
	ATF_TP_ADD_TC(tp, small_files_stay_together);
	return atf_no_error();
}
