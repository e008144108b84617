/* SPDX-License-Identifier: BSD-2-Clause */
/* A guest whose disk has no space, for a while. */
#include <atf-c.h>
#include <poll.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "libvmfs/env/disk.h"
#include "tests/unit/vhost_rig.h"

static struct disk full;
static atomic_bool freed;

static void
full_submit(struct disk *d, struct disk_req *req)
{
	(void)d;
	if (!freed && (req->op == DISK_WRITE || req->op == DISK_WRITE_ZEROES ||
	    req->op == DISK_UNMAP))
		disk_complete(req, -ENOSPC);
	else
		disk_submit(rig_disk(), req);
}

static const struct disk_ops full_ops = { .submit = full_submit };

static int
own_full(void *arg, struct disk **disk)
{
	(void)arg;
	full = (struct disk){ .ops = &full_ops, .info = rig_disk()->info };
	*disk = &full;
	return 0;
}

static void
disown_full(void *arg, struct disk **disk)
{
	(void)arg;
	*disk = rig_disk();
}

static void
start_full(void)
{
	rig_start(&(struct vhost_conf){ .own = own_full,
		.disown = disown_full });
}

static void
wait_until_waiting(unsigned n)
{
	for (unsigned i = 0; i < 20000 && rig_info().waiting < n; i++)
		(void)poll(NULL, 0, 1);
	ATF_REQUIRE_EQ(n, rig_info().waiting);
}

/* 15 MiB each, all pieces the same MiB. */
static void
offer_long_write(struct front *f, unsigned n)
{
	size_t at = ((size_t)300 + n) * 1024;
	struct vring_desc *t = (void *)(f->mem + at);
	struct virtio_blk_outhdr *h = (void *)(f->mem + at + 512);
	unsigned head = front_desc(f, at, 17 * sizeof(*t), false, false);

	*h = (struct virtio_blk_outhdr){ .type = VIRTIO_BLK_T_OUT };
	t[0] = (struct vring_desc){ RIG_BASE + at + 512, sizeof(*h),
		VRING_DESC_F_NEXT, 1 };
	for (unsigned i = 1; i < 16; i++)
		t[i] = (struct vring_desc){ RIG_BASE + RIG_DATA, 1 << 20,
			VRING_DESC_F_NEXT, (uint16_t)(i + 1) };
	t[16] = (struct vring_desc){ RIG_BASE + at + 600, 1,
		VRING_DESC_F_WRITE, 0 };
	f->desc[head].flags = VRING_DESC_F_INDIRECT;
	front_offer(f, head);
}

/* More than may be under way at once. */
ATF_TC_WITHOUT_HEAD(reads_go_on_while_writes_wait);
ATF_TC_BODY(reads_go_on_while_writes_wait, tc)
{
	struct front *f;

	(void)tc;
	start_full();
	f = front_ready();
	for (unsigned n = 0; n < 5; n++)
		offer_long_write(f, n);
	wait_until_waiting(5);
	ATF_CHECK_EQ(0, front_request(f, VIRTIO_BLK_T_IN, 0, 512, true, NULL));
	front_close(f);
	rig_stop();
}

static unsigned
offer_range(struct front *f, uint32_t type)
{
	struct virtio_blk_discard_write_zeroes *r =
	    (void *)(f->mem + RIG_DATA);
	struct virtio_blk_outhdr *h = (void *)(f->mem + 300000);
	unsigned head;

	*h = (struct virtio_blk_outhdr){ .type = type };
	*r = (struct virtio_blk_discard_write_zeroes){ .num_sectors = 8 };
	head = front_desc(f, 300000, sizeof(*h), false, true);
	(void)front_desc(f, RIG_DATA, sizeof(*r), false, true);
	(void)front_desc(f, 300600, 1, true, false);
	front_offer(f, head);
	return head;
}

static unsigned
offer_zeroes(struct front *f)
{
	return offer_range(f, VIRTIO_BLK_T_WRITE_ZEROES);
}

/* Nothing is freed, but the guest need not hear of a broken disk. */
ATF_TC_WITHOUT_HEAD(a_discard_does_without_space);
ATF_TC_BODY(a_discard_does_without_space, tc)
{
	struct front *f;
	unsigned head;

	(void)tc;
	start_full();
	f = front_ready();
	head = offer_range(f, VIRTIO_BLK_T_DISCARD);
	ATF_CHECK_EQ(head, front_used(f).id);
	ATF_CHECK_EQ(VIRTIO_BLK_S_OK, f->mem[300600]);
	front_close(f);
	rig_stop();
}

/* Of a front end that keeps no region for us. */
static struct front *
zeroes_wait(unsigned *ret_head)
{
	struct front *f;

	start_full();
	f = front_ready();
	*ret_head = offer_zeroes(f);
	wait_until_waiting(1);
	return f;
}

static void
zeroes_go_on(struct front *f, unsigned head)
{
	freed = true;
	ATF_CHECK_EQ(head, front_used(f).id);
	ATF_CHECK_EQ(VIRTIO_BLK_S_OK, f->mem[300600]);
	ATF_CHECK_EQ(0, rig_info().waiting);
	front_close(f);
	rig_stop();
}

ATF_TC_WITHOUT_HEAD(zeroes_wait_until_there_is_space);
ATF_TC_BODY(zeroes_wait_until_there_is_space, tc)
{
	unsigned head;
	struct front *f = zeroes_wait(&head);

	(void)tc;
	zeroes_go_on(f, head);
}

ATF_TC_WITHOUT_HEAD(zeroes_wait_while_memory_changes);
ATF_TC_BODY(zeroes_wait_while_memory_changes, tc)
{
	unsigned head;
	struct front *f = zeroes_wait(&head);

	(void)tc;
	front_memory(f);
	(void)front_get(f, VHOST_GET_FEATURES);
	zeroes_go_on(f, head);
}

ATF_TC_WITHOUT_HEAD(zeroes_wait_while_the_kick_changes);
ATF_TC_BODY(zeroes_wait_while_the_kick_changes, tc)
{
	unsigned head;
	struct front *f = zeroes_wait(&head);

	(void)tc;
	front_set(f, VHOST_SET_VRING_KICK, 0, f->kick);
	(void)front_get(f, VHOST_GET_FEATURES);
	zeroes_go_on(f, head);
}

static void
stop_ring(struct front *f, unsigned base)
{
	struct vhost_state which = { 0, 0 }, got;

	ATF_REQUIRE_EQ(8, front_ask(f, VHOST_GET_VRING_BASE, &which, 8, -1,
	    &got, sizeof(got)));
	ATF_CHECK_EQ(base, got.num);
}

/* More than begin at once: the guest hears of those that have not, too. */
ATF_TC_WITHOUT_HEAD(writes_fail_when_the_ring_stops_after_a_change);
ATF_TC_BODY(writes_fail_when_the_ring_stops_after_a_change, tc)
{
	const unsigned n = 12;
	struct front *f;

	(void)tc;
	start_full();
	f = front_ready();
	for (unsigned i = 0; i < n; i++)
		offer_long_write(f, i);
	wait_until_waiting(n);
	front_memory(f);
	stop_ring(f, n);
	ATF_CHECK_EQ(n, f->used->idx);
	for (unsigned i = 0; i < n; i++)
		ATF_CHECK_EQ(VIRTIO_BLK_S_IOERR,
		    f->mem[((size_t)300 + i) * 1024 + 600]);
	front_close(f);
	rig_stop();
}

static struct front *
front_by_slots(uint64_t protocol)
{
	struct front *f = front_connect();

	front_features(f, 0, 1ull << VHOST_PF_CONFIGURE_MEM_SLOTS | protocol);
	front_slot(f, VHOST_ADD_MEM_REG, 0);
	front_slot(f, VHOST_ADD_MEM_REG, 1);
	return f;
}

/* Another driver, which does not use the same descriptors. */
static void
next_driver(struct front *f)
{
	memset(f->mem, 0, 262144);
	f->seen = 0;
	f->next_desc = 5;
}

/* Its memory is away, so nobody can be told of what waits. */
ATF_TC_WITHOUT_HEAD(stop_without_memory_leaves_nothing_for_the_next_driver);
ATF_TC_BODY(stop_without_memory_leaves_nothing_for_the_next_driver, tc)
{
	struct front *f;

	(void)tc;
	start_full();
	f = front_by_slots(0);
	front_queue(f, 0, 0);
	(void)offer_zeroes(f);
	wait_until_waiting(1);
	front_slot(f, VHOST_REM_MEM_REG, 0);
	stop_ring(f, 1);
	next_driver(f);
	front_slot(f, VHOST_ADD_MEM_REG, 0);
	front_queue(f, 0, 0);
	ATF_CHECK_EQ(0, front_flush(f));
	front_close(f);
	rig_stop();
}

static struct front *
front_with_region(const struct vhost_inflight *i, int fd)
{
	struct front *f = front_connect();

	front_features(f, 0, 1ull << VHOST_PF_INFLIGHT_SHMFD |
	    1ull << VHOST_PF_RESET_DEVICE);
	(void)!front_ask(f, VHOST_SET_INFLIGHT_FD, i, sizeof(*i), fd, NULL,
	    0);
	front_memory(f);
	front_queue(f, 0, 0);
	return f;
}

static unsigned
in_flight(const struct vhost_inflight_queue *q)
{
	unsigned n = 0;

	for (unsigned i = 0; i < RIG_RING; i++)
		n += q->desc[i].inflight;
	return n;
}

struct region {
	struct vhost_inflight conf;
	struct vhost_inflight_queue *q;
	int fd;
};

static struct front *
zeroes_in_flight(struct region *ret_g)
{
	struct front *f;

	ret_g->fd = front_inflight(&ret_g->conf, &ret_g->q);
	start_full();
	f = front_with_region(&ret_g->conf, ret_g->fd);
	(void)offer_zeroes(f);
	wait_until_waiting(1);
	return f;
}

static void
region_close(const struct region *g)
{
	ATF_REQUIRE_EQ(0, munmap(g->q, g->conf.size));
	close(g->fd);
}

/* The next export does them again. */
ATF_TC_WITHOUT_HEAD(zeroes_that_wait_stay_in_flight);
ATF_TC_BODY(zeroes_that_wait_stay_in_flight, tc)
{
	struct region g;
	struct front *f = zeroes_in_flight(&g);

	(void)tc;
	front_close(f);
	rig_stop();
	ATF_CHECK_EQ(1, in_flight(g.q));
	region_close(&g);
}

ATF_TC_WITHOUT_HEAD(reset_leaves_nothing_in_flight);
ATF_TC_BODY(reset_leaves_nothing_in_flight, tc)
{
	struct region g;
	struct front *f = zeroes_in_flight(&g);

	(void)tc;
	(void)!front_ask(f, VHOST_RESET_DEVICE, NULL, 0, -1, NULL, 0);
	(void)front_get(f, VHOST_GET_FEATURES);
	ATF_CHECK_EQ(0, in_flight(g.q));
	next_driver(f);
	front_queue(f, 0, 0);
	ATF_CHECK_EQ(0, front_flush(f));
	front_close(f);
	rig_stop();
	region_close(&g);
}

/* A ring of its own size, too. */
ATF_TC_WITHOUT_HEAD(reset_of_a_ring_that_pauses_leaves_nothing_in_flight);
ATF_TC_BODY(reset_of_a_ring_that_pauses_leaves_nothing_in_flight, tc)
{
	struct vhost_state num = { 0, RIG_RING / 2 };
	struct region g;
	struct front *f;

	(void)tc;
	g.fd = front_inflight(&g.conf, &g.q);
	g.q->last_batch_head = RIG_RING - 1;
	start_full();
	f = front_by_slots(1ull << VHOST_PF_INFLIGHT_SHMFD |
	    1ull << VHOST_PF_RESET_DEVICE);
	(void)!front_ask(f, VHOST_SET_INFLIGHT_FD, &g.conf, sizeof(g.conf),
	    g.fd, NULL, 0);
	front_queue(f, 0, 0);
	(void)offer_zeroes(f);
	wait_until_waiting(1);
	front_slot(f, VHOST_REM_MEM_REG, 0);
	(void)!front_ask(f, VHOST_RESET_DEVICE, NULL, 0, -1, NULL, 0);
	(void)front_get(f, VHOST_GET_FEATURES);
	ATF_CHECK_EQ(0, in_flight(g.q));
	next_driver(f);
	front_slot(f, VHOST_ADD_MEM_REG, 0);
	front_ring(f, 0, 0);
	(void)!front_ask(f, VHOST_SET_VRING_NUM, &num, sizeof(num), -1, NULL,
	    0);
	front_set(f, VHOST_SET_VRING_KICK, 0, f->kick);
	front_enable(f);
	ATF_CHECK_EQ(0, front_flush(f));
	front_close(f);
	rig_stop();
	region_close(&g);
}

ATF_TP_ADD_TCS(tp)
{
	ATF_TP_ADD_TC(tp, reads_go_on_while_writes_wait);
	ATF_TP_ADD_TC(tp, zeroes_wait_until_there_is_space);
	ATF_TP_ADD_TC(tp, a_discard_does_without_space);
	ATF_TP_ADD_TC(tp, zeroes_wait_while_memory_changes);
	ATF_TP_ADD_TC(tp, zeroes_wait_while_the_kick_changes);
	ATF_TP_ADD_TC(tp, writes_fail_when_the_ring_stops_after_a_change);
	ATF_TP_ADD_TC(tp,
	    stop_without_memory_leaves_nothing_for_the_next_driver);
	ATF_TP_ADD_TC(tp, zeroes_that_wait_stay_in_flight);
	ATF_TP_ADD_TC(tp, reset_leaves_nothing_in_flight);
	ATF_TP_ADD_TC(tp,
	    reset_of_a_ring_that_pauses_leaves_nothing_in_flight);
	return atf_no_error();
}
