/* SPDX-License-Identifier: BSD-2-Clause */
/* Copies of the SCSI device server between disks that can share blocks. */
#include <atf-c.h>
#include <stdlib.h>
#include <string.h>

#include "iscsi/scsi/lu.h"
#include "libvmfs/base/be.h"
#include "libvmfs/base/units.h"
#include "tests/unit/scsi_rig.h"

#define SIZE (4 * MIB)
#define BLOCKS ((uint32_t)(SIZE / RIG_BLOCK))
#define MIB_BLOCKS ((uint32_t)(MIB / RIG_BLOCK))

/* A disk that notes what it is to share, and copies nothing. */
struct share_disk {
	struct disk disk;
	struct disk *below;
	unsigned shares, writes, zeroes;
	uint64_t wall;		/* the MiB here cannot be shared */
	int error;
	const struct disk *from;
	bool hold, hold_write;
	struct disk_req *held;
};

static uint8_t buf[SIZE], other[SIZE];

static void
share_finish(struct share_disk *d, struct disk_req *req)
{
	uint64_t end = req->offset + req->length;

	if (d->error == 0 && req->offset <= d->wall && d->wall < end)
		end = d->wall;
	req->shared = d->error == 0 ? end - req->offset : 0;
	disk_complete(req, d->error);
}

static void
share_submit(struct disk *disk, struct disk_req *req)
{
	struct share_disk *d = container_of(disk, struct share_disk, disk);

	d->writes += req->op == DISK_WRITE;
	d->zeroes += req->op == DISK_WRITE_ZEROES;
	if (req->op == DISK_WRITE && d->hold_write) {
		d->held = req;
		return;
	}
	if (req->op != DISK_SHARE) {
		disk_submit(d->below, req);
		return;
	}
	ATF_REQUIRE_EQ(0, req->offset % DISK_SHARE_UNIT);
	ATF_REQUIRE_EQ(0, req->length % DISK_SHARE_UNIT);
	d->shares++;
	d->from = req->from;
	if (d->hold)
		d->held = req;
	else
		share_finish(d, req);
}

static void
share_let_go(struct share_disk *d)
{
	ATF_REQUIRE(d->held != NULL);
	d->hold = false;
	share_finish(d, d->held);
}

/* LUNs 1 and 2 of the rig's target. */
struct pair {
	struct rig *r;
	struct share_disk disk[2];
	struct scsi_lu *lu[2];
};

static const uint8_t luns[2][8] = { { 0, 1 }, { 0, 2 } };

static uint32_t
run(struct pair *p, unsigned nexus, unsigned side, const uint8_t cdb[6])
{
	struct rig_task t = { .done = false };
	uint32_t result;

	rig_start_lun(&t, p->r->nexus[nexus], luns[side], cdb, 6);
	rig_wait(&t);
	result = rig_result(&t);
	rig_fini(&t);
	return result;
}

static void
pair_open(struct pair *p, struct rig *r)
{
	static const struct disk_ops ops = { .submit = share_submit };
	static const uint8_t tur[6];

	*p = (struct pair){ .r = r };
	for (unsigned i = 0; i < 2; i++) {
		struct share_disk *d = &p->disk[i];
		struct scsi_lu_conf conf = {
			.thin = true, .uuid.b[3] = (uint8_t)(0x70 + i),
		};

		ATF_REQUIRE_EQ(0, disk_mem_open(SIZE, RIG_BLOCK, &d->below));
		d->disk.ops = &ops;
		d->disk.info = d->below->info;
		d->disk.info.caps |= DISK_CAP_SHARE;
		d->wall = UINT64_MAX;
		ATF_REQUIRE_EQ(0, scsi_lu_new(&r->env, &d->disk, &conf,
		    &p->lu[i]));
		ATF_REQUIRE_EQ(0, scsi_target_map(r->target, i + 1,
		    p->lu[i]));
	}
	for (unsigned i = 0; i < 4; i++)
		while (run(p, i / 2, i % 2, tur) != RIG_GOOD)
			continue;
	while (rig_tur(r->nexus[0]) != RIG_GOOD)
		continue;
}

static void
pair_close(struct pair *p)
{
	for (unsigned i = 0; i < 2; i++) {
		ATF_REQUIRE_EQ(0, scsi_target_unmap(p->r->target,
		    i + 1));
		scsi_lu_free(p->lu[i]);
		disk_close(p->disk[i].below);
	}
}

/* Bytes of a side, behind the device server. */
static void
put_bytes(struct pair *p, unsigned side, uint64_t off, uint64_t len, uint8_t v)
{
	memset(buf, v, len);
	ATF_REQUIRE_EQ(0, disk_write(p->disk[side].below, off, buf, len, 0));
}

static bool
has_bytes(struct pair *p, unsigned side, uint64_t off, uint64_t len, uint8_t v)
{
	ATF_REQUIRE_EQ(0, disk_read(p->disk[side].below, off, other, len));
	return other[0] == v && memcmp(other, other + 1, len - 1) == 0;
}

/* EXTENDED COPY from LUN 1 to LUN 2. */
#define LIST_LEN (16 + 2 * 32 + 28)

static const uint8_t copy_cdb[16] = { 0x83, [13] = LIST_LEN };

static void
list_fill(struct pair *p, uint8_t list[LIST_LEN], uint64_t from, uint64_t to,
    uint32_t blocks)
{
	uint8_t *segment = list + 80;

	memset(list, 0, LIST_LEN);
	list[0] = 1;
	be16_store(list + 2, 64);
	be32_store(list + 8, 28);
	for (unsigned i = 0; i < 2; i++) {
		uint8_t *target = list + 16 + 32 * i;

		target[0] = 0xe4;
		target[4] = 1;
		target[5] = 3;
		target[7] = 16;
		lu_naa(p->lu[i], target + 8);
		be24_store(target + 29, RIG_BLOCK);
	}
	segment[0] = 0x02;
	be16_store(segment + 2, 24);
	segment[7] = 1;
	be16_store(segment + 10, (uint16_t)blocks);
	be64_store(segment + 12, from);
	be64_store(segment + 20, to);
}

static uint32_t
copy(struct pair *p, uint64_t from, uint64_t to, uint32_t blocks)
{
	uint8_t list[LIST_LEN];

	list_fill(p, list, from, to, blocks);
	return rig_cmd(p->r->nexus[0], copy_cdb, 16, list, sizeof(list));
}

static void
same_place_is_shared(struct rig *r)
{
	struct pair p;

	pair_open(&p, r);
	put_bytes(&p, 0, 0, SIZE, 'a');
	ATF_REQUIRE_EQ(RIG_GOOD, copy(&p, 0, 0, BLOCKS));
	ATF_CHECK_EQ(1, p.disk[1].shares);
	ATF_CHECK_EQ(&p.disk[0].disk, p.disk[1].from);
	ATF_CHECK_EQ(0, p.disk[1].writes);
	ATF_CHECK(has_bytes(&p, 1, 0, SIZE, 0));
	pair_close(&p);
}

static void
what_cannot_be_shared_is_copied(struct rig *r)
{
	struct pair p;

	pair_open(&p, r);
	put_bytes(&p, 0, 0, SIZE, 'a');
	p.disk[1].wall = 2 * MIB;
	ATF_REQUIRE_EQ(RIG_GOOD, copy(&p, 7, 7, BLOCKS - 8));
	ATF_CHECK(has_bytes(&p, 1, 7 * RIG_BLOCK, MIB - 7 * RIG_BLOCK, 'a'));
	ATF_CHECK(has_bytes(&p, 1, MIB, MIB, 0));
	ATF_CHECK(has_bytes(&p, 1, 2 * MIB, 2 * MIB - RIG_BLOCK, 'a'));
	ATF_CHECK_EQ(2, p.disk[1].shares);
	p.disk[1].error = -EOPNOTSUPP;
	ATF_REQUIRE_EQ(RIG_GOOD, copy(&p, 0, 0, BLOCKS));
	ATF_CHECK(has_bytes(&p, 1, 0, SIZE, 'a'));
	pair_close(&p);
}

static void
another_place_is_copied(struct rig *r)
{
	struct pair p;

	pair_open(&p, r);
	put_bytes(&p, 0, 0, MIB, 'a');
	ATF_REQUIRE_EQ(RIG_GOOD, copy(&p, 0, MIB_BLOCKS, MIB_BLOCKS));
	ATF_CHECK_EQ(0, p.disk[1].shares);
	ATF_CHECK(has_bytes(&p, 1, MIB, MIB, 'a'));
	pair_close(&p);
}

static void
failure_ends_the_copy(struct rig *r)
{
	struct pair p;

	pair_open(&p, r);
	p.disk[1].error = -ENOSPC;
	ATF_CHECK_EQ(0x072707, copy(&p, 0, 0, BLOCKS));
	p.disk[1].error = -EIO;
	ATF_CHECK_EQ(0x0a0d01, copy(&p, 0, 0, BLOCKS));
	ATF_CHECK_EQ(0, p.disk[1].writes);
	pair_close(&p);
}

static void
reservations_hold_for_both(struct rig *r)
{
	static const uint8_t reserve[6] = { 0x16 };
	struct pair p;

	for (unsigned side = 0; side < 2; side++) {
		pair_open(&p, r);
		ATF_REQUIRE_EQ(RIG_GOOD, run(&p, 1, side, reserve));
		ATF_CHECK_EQ(0x0a0d01, copy(&p, 0, 0, BLOCKS));
		ATF_CHECK_EQ(0, p.disk[1].shares);
		pair_close(&p);
	}
}

/* The source stays until it is shared. */
static void
source_that_goes_is_waited_for(struct rig *r)
{
	uint8_t list[LIST_LEN];
	struct rig_task x;
	struct pair p;

	pair_open(&p, r);
	p.disk[1].hold = true;
	list_fill(&p, list, 0, 0, BLOCKS);
	rig_start(&x, r->nexus[0], copy_cdb, 16, list, sizeof(list));
	rig_settle();
	ATF_CHECK(!list_empty(&p.lu[0]->cmds));
	ATF_CHECK(!list_empty(&p.lu[1]->cmds));
	share_let_go(&p.disk[1]);
	rig_wait(&x);
	ATF_CHECK_EQ(RIG_GOOD, rig_result(&x));
	ATF_CHECK(list_empty(&p.lu[0]->cmds));
	rig_fini(&x);
	pair_close(&p);
}

/* The source is taken away between two steps, and its disk is closed. */
static void
source_that_goes_between_steps_is_not_looked_at(struct rig *r)
{
	uint8_t list[LIST_LEN];
	struct share_disk *gone = malloc(sizeof(*gone));
	struct rig_task x;
	struct pair p;

	ATF_REQUIRE(gone != NULL);
	pair_open(&p, r);
	put_bytes(&p, 0, 0, SIZE, 'a');
	*gone = p.disk[0];
	p.lu[0]->disk = &gone->disk;
	/* Nothing is shared: MiB by MiB, by a read and a write. */
	p.disk[1].error = -EOPNOTSUPP;
	p.disk[1].hold_write = true;
	list_fill(&p, list, 0, 0, BLOCKS);
	rig_start(&x, r->nexus[0], copy_cdb, 16, list, sizeof(list));
	rig_settle();
	ATF_REQUIRE(p.disk[1].held != NULL);
	ATF_REQUIRE(list_empty(&p.lu[0]->cmds));
	ATF_REQUIRE_EQ(0, scsi_target_unmap(r->target, 1));
	scsi_lu_free(p.lu[0]);
	disk_close(gone->below);
	free(gone);
	p.disk[1].hold_write = false;
	disk_submit(p.disk[1].below, p.disk[1].held);
	rig_wait(&x);
	ATF_CHECK(rig_result(&x) != RIG_GOOD);
	rig_fini(&x);
	ATF_REQUIRE_EQ(0, scsi_target_unmap(r->target, 2));
	scsi_lu_free(p.lu[1]);
	disk_close(p.disk[1].below);
}

static void
zeroes_stay_holes(struct rig *r)
{
	struct disk_extent e[4];
	struct disk_map map = { .extents = e, .max = 4 };
	struct pair p;

	pair_open(&p, r);
	p.disk[1].error = -EOPNOTSUPP;
	put_bytes(&p, 0, MIB, MIB, 'a');
	put_bytes(&p, 0, 2 * MIB, MIB, 0);
	put_bytes(&p, 1, 0, SIZE, 'x');
	ATF_REQUIRE_EQ(RIG_GOOD, copy(&p, 0, 0, BLOCKS));
	ATF_CHECK_EQ(1, p.disk[1].writes);
	ATF_CHECK_EQ(3, p.disk[1].zeroes);
	ATF_REQUIRE_EQ(0, disk_map(p.disk[1].below, 0, SIZE, &map));
	ATF_REQUIRE_EQ(3, map.count);
	ATF_CHECK(!e[0].allocated && e[1].allocated);
	ATF_CHECK_EQ(MIB, e[0].length);
	ATF_CHECK_EQ(MIB, e[1].length);
	ATF_CHECK(has_bytes(&p, 1, MIB, MIB, 'a'));
	ATF_CHECK(has_bytes(&p, 1, 2 * MIB, 2 * MIB, 0));
	pair_close(&p);
}

/* ---- by token: from LUN 0, which is of 1 MiB, to another target's ---- */

struct second {
	struct share_disk disk;
	struct scsi_lu *lu;
	struct scsi_target *target;
	struct scsi_nexus *nexus;
};

static void
set_sharing(struct rig *r)
{
	r->disk.disk.info.caps |= DISK_CAP_SHARE;
}

static void
second_open(struct rig *r, struct second *s)
{
	static const struct disk_ops ops = { .submit = share_submit };
	struct scsi_lu_conf conf = { .uuid.b[3] = 0x77 };

	*s = (struct second){ .disk.wall = UINT64_MAX };
	ATF_REQUIRE_EQ(0, disk_mem_open(SIZE, RIG_BLOCK, &s->disk.below));
	s->disk.disk.ops = &ops;
	s->disk.disk.info = s->disk.below->info;
	s->disk.disk.info.caps |= DISK_CAP_SHARE;
	ATF_REQUIRE_EQ(0, scsi_lu_new(&r->env, &s->disk.disk, &conf, &s->lu));
	ATF_REQUIRE_EQ(0, scsi_target_new(&r->env, RIG_IQN "2", &s->target));
	scsi_target_share(s->target, r->target);
	ATF_REQUIRE_EQ(0, scsi_target_map(s->target, 0, s->lu));
	ATF_REQUIRE_EQ(0, scsi_nexus_open(s->target, "iqn.x:h",
	    "iqn.x:h,i,0x00023d000000", &s->nexus));
	while (rig_tur(s->nexus) != RIG_GOOD)
		continue;
}

static void
second_close(struct second *s)
{
	scsi_nexus_close(s->nexus);
	scsi_target_free(s->target);
	scsi_lu_free(s->lu);
	disk_close(s->disk.below);
}

/* Of all of LUN 0. */
static void
token_make(struct rig *r, uint8_t token[512])
{
	static const uint8_t populate[16] = { 0x83, 0x10, [5] = 7, [13] = 32 };
	static const uint8_t info[16] = { 0x84, 0x07, [5] = 7, [12] = 4 };
	uint8_t list[32] = { [1] = 30, [15] = 16 }, in[1024];
	size_t len;

	be32_store(list + 24, RIG_BLOCKS);
	ATF_REQUIRE_EQ(RIG_GOOD, rig_cmd(r->nexus[0], populate, 16, list,
	    sizeof(list)));
	ATF_REQUIRE_EQ(RIG_GOOD, rig_cmd_in(r->nexus[0], info, 16, in,
	    sizeof(in), &len));
	memcpy(token, in + 38, 512);
}

#define WUT_LEN (536 + 16)

static const uint8_t wut_cdb[16] = {
	0x83, 0x11, [5] = 9, [12] = WUT_LEN >> 8, [13] = WUT_LEN & 0xff,
};

/* To the same place. */
static void
wut_fill(uint8_t list[WUT_LEN], const uint8_t token[512])
{
	memset(list, 0, WUT_LEN);
	be16_store(list, WUT_LEN - 2);
	memcpy(list + 16, token, 512);
	be16_store(list + 534, 16);
	be32_store(list + 544, RIG_BLOCKS);
}

static void
token_is_shared(struct rig *r)
{
	uint8_t token[512], list[WUT_LEN];
	struct second s;

	second_open(r, &s);
	token_make(r, token);
	wut_fill(list, token);
	ATF_REQUIRE_EQ(RIG_GOOD, rig_cmd(s.nexus, wut_cdb, 16, list, WUT_LEN));
	ATF_CHECK_EQ(1, s.disk.shares);
	ATF_CHECK_EQ(&r->disk.disk, s.disk.from);
	ATF_CHECK_EQ(0, s.disk.writes);
	s.disk.wall = 0;
	ATF_REQUIRE_EQ(RIG_GOOD, rig_cmd(s.nexus, wut_cdb, 16, list, WUT_LEN));
	ATF_CHECK_EQ(1, s.disk.writes);
	second_close(&s);
}

/* The blocks may be the new ones. */
static void
token_that_is_cancelled_meanwhile_fails(struct rig *r)
{
	uint8_t token[512], list[WUT_LEN];
	struct rig_task t;
	struct second s;

	second_open(r, &s);
	token_make(r, token);
	wut_fill(list, token);
	s.disk.hold = true;
	rig_start(&t, s.nexus, wut_cdb, 16, list, WUT_LEN);
	rig_settle();
	ATF_REQUIRE(!t.done);
	ATF_REQUIRE_EQ(RIG_GOOD, rig_write(r->nexus[1], 5, 1, buf));
	share_let_go(&s.disk);
	rig_wait(&t);
	ATF_CHECK_EQ(0x052308, rig_result(&t));
	rig_fini(&t);
	second_close(&s);
}

RIG_TEST(copy_shares_the_same_place, NULL, same_place_is_shared,
    "EXTENDED COPY has the disk share what lies at the same place")
RIG_TEST(copy_moves_what_is_not_shared, NULL, what_cannot_be_shared_is_copied,
    "parts of a MiB, and what the disk leaves, are copied")
RIG_TEST(copy_to_another_place_moves_data, NULL, another_place_is_copied,
    "blocks that go to another place are copied")
RIG_TEST(failed_sharing_ends_the_copy, NULL, failure_ends_the_copy,
    "an error of the disk ends the copy and is told")
RIG_TEST(sharing_heeds_reservations, NULL, reservations_hold_for_both,
    "reservations on either side keep blocks from being shared")
RIG_TEST(sharing_keeps_both_units_in_use, NULL,
    source_that_goes_is_waited_for,
    "source and destination have a task while blocks are shared")
RIG_TEST(source_that_goes_between_steps, NULL,
    source_that_goes_between_steps_is_not_looked_at,
    "the disk of a source that goes between two steps is not looked at")
RIG_TEST(copied_zeroes_stay_holes, NULL, zeroes_stay_holes,
    "zeroes are unmapped on a thin destination")

RIG_TEST(token_shares_the_same_place, set_sharing, token_is_shared,
    "WRITE USING TOKEN has the disk share, and copies the rest")
RIG_TEST(token_cancelled_while_sharing, set_sharing,
    token_that_is_cancelled_meanwhile_fails,
    "a write to the source while blocks are shared fails the copy")

ATF_TP_ADD_TCS(tp)
{
	ATF_TP_ADD_TC(tp, token_shares_the_same_place);
	ATF_TP_ADD_TC(tp, token_cancelled_while_sharing);
	ATF_TP_ADD_TC(tp, copy_shares_the_same_place);
	ATF_TP_ADD_TC(tp, copy_moves_what_is_not_shared);
	ATF_TP_ADD_TC(tp, copy_to_another_place_moves_data);
	ATF_TP_ADD_TC(tp, failed_sharing_ends_the_copy);
	ATF_TP_ADD_TC(tp, sharing_heeds_reservations);
	ATF_TP_ADD_TC(tp, sharing_keeps_both_units_in_use);
	ATF_TP_ADD_TC(tp, source_that_goes_between_steps);
	ATF_TP_ADD_TC(tp, copied_zeroes_stay_holes);
	return atf_no_error();
}
