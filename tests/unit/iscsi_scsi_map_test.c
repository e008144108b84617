/* SPDX-License-Identifier: BSD-2-Clause */
/* GET LBA STATUS over the map of the disk. */
#include <atf-c.h>
#include <string.h>

#include "libvmfs/base/be.h"
#include "tests/unit/scsi_rig.h"

#define MAPPED 0
#define DEALLOCATED 1

struct status {
	uint64_t lba;
	uint32_t blocks;
	unsigned status;
};

/* Descriptors from `lba` on; their number. */
static size_t
lba_status(struct rig *r, uint64_t lba, struct status *s, size_t max)
{
	uint8_t cdb[16], in[8 + 256 * 16];
	size_t len, n;

	memcpy(cdb, rig_cdb16(0x9e, lba, sizeof(in)), 16);
	cdb[1] = 0x12;
	ATF_REQUIRE_EQ(RIG_GOOD, rig_cmd_in(r->nexus[0], cdb, 16, in,
	    sizeof(in), &len));
	ATF_REQUIRE_EQ(len, 4 + be32_load(in));
	n = (len - 8) / 16;
	for (size_t i = 0; i < n && i < max; i++) {
		const uint8_t *d = in + 8 + i * 16;

		s[i] = (struct status){ be64_load(d), be32_load(d + 8), d[12] };
	}
	return n;
}

static void
check(const struct status *s, uint64_t lba, uint32_t blocks, unsigned status)
{
	ATF_CHECK_EQ(lba, s->lba);
	ATF_CHECK_EQ(blocks, s->blocks);
	ATF_CHECK_EQ(status, s->status);
}

static void
written_pages_are_mapped(struct rig *r)
{
	uint8_t buf[RIG_BLOCK] = { 1 };
	struct status s[4];

	ATF_REQUIRE_EQ(1, lba_status(r, 0, s, 4));
	check(&s[0], 0, RIG_BLOCKS, DEALLOCATED);
	ATF_REQUIRE_EQ(RIG_GOOD, rig_write(r->nexus[0], 20, 1, buf));
	ATF_REQUIRE_EQ(3, lba_status(r, 3, s, 4));
	check(&s[0], 3, 13, DEALLOCATED);
	check(&s[1], 16, 8, MAPPED);
	check(&s[2], 24, RIG_BLOCKS - 24, DEALLOCATED);
}

static void
set_thick(struct rig *r)
{
	r->conf.thin = false;
}

static void
set_no_map(struct rig *r)
{
	r->disk.disk.info.caps &= ~(unsigned)DISK_CAP_MAP;
}

static void
all_is_mapped(struct rig *r)
{
	struct status s[2];

	ATF_REQUIRE_EQ(1, lba_status(r, 5, s, 2));
	check(&s[0], 5, RIG_BLOCKS - 5, MAPPED);
}

/* Every other page: more extents than an answer has room for. */
static void
long_lists_go_on_with_the_next_command(struct rig *r)
{
	uint8_t buf[RIG_BLOCK] = { 1 };
	static struct status s[300];
	uint64_t lba = 0;
	size_t n = 0;

	for (uint64_t at = 0; at < RIG_BLOCKS; at += 16)
		ATF_REQUIRE_EQ(RIG_GOOD, rig_write(r->nexus[0], at, 1, buf));
	for (unsigned i = 0; lba < RIG_BLOCKS && i < 4; i++) {
		n += lba_status(r, lba, s + n, 300 - n);
		lba = s[n - 1].lba + s[n - 1].blocks;
	}
	ATF_REQUIRE_EQ(RIG_BLOCKS / 8, n);
	for (size_t i = 0; i < n; i++)
		check(&s[i], 8 * i, 8, i % 2);
}

/* Pages of 4 KiB under blocks of 4 KiB, and extents that end inside of one. */
static int
odd_map(struct disk_req *req)
{
	(void)!disk_map_add(req->map, 512, true);
	(void)!disk_map_add(req->map, 8192, false);
	(void)!disk_map_add(req->map, req->length - 8704, true);
	return 0;
}

static void
odd_submit(struct disk *d, struct disk_req *req)
{
	(void)d;
	disk_complete(req, odd_map(req));
}

static const struct disk_ops odd_ops = { .submit = odd_submit };

static void
set_odd(struct rig *r)
{
	r->conf.block_size = 4096;
	r->disk.disk.ops = &odd_ops;
}

static void
blocks_are_deallocated_as_a_whole(struct rig *r)
{
	struct status s[3];

	ATF_REQUIRE_EQ(3, lba_status(r, 0, s, 3));
	check(&s[0], 0, 1, MAPPED);
	check(&s[1], 1, 1, DEALLOCATED);
	check(&s[2], 2, RIG_BLOCKS / 8 - 2, MAPPED);
}

RIG_TEST(mapped, NULL, written_pages_are_mapped,
    "what was written is mapped, the rest deallocated")
RIG_TEST(thick, set_thick, all_is_mapped, "a thick unit is mapped")
RIG_TEST(no_map, set_no_map, all_is_mapped,
    "a unit over a disk that does not tell is mapped")
RIG_TEST(long_list, NULL, long_lists_go_on_with_the_next_command,
    "a long list goes on with the next command")
RIG_TEST(odd, set_odd, blocks_are_deallocated_as_a_whole,
    "a block that is partly allocated is mapped")

ATF_TP_ADD_TCS(tp)
{
	ATF_TP_ADD_TC(tp, mapped);
	ATF_TP_ADD_TC(tp, thick);
	ATF_TP_ADD_TC(tp, no_map);
	ATF_TP_ADD_TC(tp, long_list);
	ATF_TP_ADD_TC(tp, odd);
	return atf_no_error();
}
