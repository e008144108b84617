/* SPDX-License-Identifier: BSD-2-Clause */
/* A disk as a virtio-blk device: what a guest and its hypervisor see. */
#include <atf-c.h>
#include <linux/virtio_config.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/unit/vhost_rig.h"

static void
pattern(uint8_t *p, size_t len, uint8_t seed)
{
	for (size_t i = 0; i < len; i++)
		p[i] = (uint8_t)(i * 7 + i / 512 + seed);
}

ATF_TC_WITHOUT_HEAD(guest_reads_what_it_wrote);
ATF_TC_BODY(guest_reads_what_it_wrote, tc)
{
	uint8_t want[8192];
	struct front *f;
	uint32_t written;

	(void)tc;
	rig_start(NULL);
	f = front_ready();
	pattern(want, sizeof(want), 1);
	memcpy(f->mem + RIG_DATA, want, sizeof(want));
	ATF_CHECK_EQ(0, front_request(f, VIRTIO_BLK_T_OUT, 9, sizeof(want),
	    false, &written));
	memset(f->mem + RIG_DATA, 0, sizeof(want));
	ATF_CHECK_EQ(0, front_request(f, VIRTIO_BLK_T_IN, 9, sizeof(want),
	    true, &written));
	ATF_CHECK_EQ(sizeof(want) + 1, written);
	ATF_CHECK_EQ(0, memcmp(f->mem + RIG_DATA, want, sizeof(want)));
	ATF_CHECK_EQ(0, front_request(f, VIRTIO_BLK_T_FLUSH, 0, 0, false,
	    NULL));
	ATF_CHECK_EQ(sizeof(want), rig_info().read_bytes);
	front_close(f);
	rig_stop();
}

/* An indirect table; header and data in odd pieces. */
ATF_TC_WITHOUT_HEAD(chain_may_be_indirect_and_in_pieces);
ATF_TC_BODY(chain_may_be_indirect_and_in_pieces, tc)
{
	static const uint32_t lens[] = { 10, 6, 100, 412, 1 };
	struct virtio_blk_outhdr h = { .type = VIRTIO_BLK_T_OUT, .sector = 3 };
	struct vring_desc *table;
	uint8_t want[512];
	struct front *f;
	unsigned head;

	(void)tc;
	rig_start(NULL);
	f = front_ready();
	table = (void *)(f->mem + 300000);
	pattern(want, sizeof(want), 2);
	for (unsigned i = 0; i < 5; i++) {
		size_t at = RIG_DATA + i * 8192;

		table[i] = (struct vring_desc){ RIG_BASE + at, lens[i],
			(uint16_t)(i < 4 ? VRING_DESC_F_NEXT :
			VRING_DESC_F_WRITE), (uint16_t)(i + 1) };
	}
	memcpy(f->mem + RIG_DATA, &h, 10);
	memcpy(f->mem + RIG_DATA + 8192, (char *)&h + 10, 6);
	memcpy(f->mem + RIG_DATA + 2 * 8192, want, 100);
	memcpy(f->mem + RIG_DATA + 3 * 8192, want + 100, 412);
	f->mem[RIG_DATA + 4 * 8192] = 0xff;
	head = front_desc(f, 300000, 5 * sizeof(table[0]), false, false);
	f->desc[head].flags = VRING_DESC_F_INDIRECT;
	front_offer(f, head);
	ATF_CHECK_EQ(head, front_used(f).id);
	ATF_CHECK_EQ(0, f->mem[RIG_DATA + 4 * 8192]);
	ATF_CHECK_EQ(0, front_request(f, VIRTIO_BLK_T_IN, 3, 512, true, NULL));
	ATF_CHECK_EQ(0, memcmp(f->mem + RIG_DATA, want, 512));
	front_close(f);
	rig_stop();
}

ATF_TC_WITHOUT_HEAD(zeroes_are_written_and_space_is_given_back);
ATF_TC_BODY(zeroes_are_written_and_space_is_given_back, tc)
{
	static const uint8_t zeroes[8192];
	struct front *f;

	(void)tc;
	rig_start(NULL);
	f = front_ready();
	pattern(f->mem + RIG_DATA, 8192, 3);
	ATF_CHECK_EQ(0, front_request(f, VIRTIO_BLK_T_OUT, 0, 8192, false,
	    NULL));
	ATF_CHECK_EQ(0, front_ranges(f, VIRTIO_BLK_T_WRITE_ZEROES, 0, 8, 0));
	ATF_CHECK_EQ(0, front_ranges(f, VIRTIO_BLK_T_DISCARD, 8, 8, 0));
	ATF_CHECK_EQ(0, front_request(f, VIRTIO_BLK_T_IN, 0, 8192, true,
	    NULL));
	ATF_CHECK_EQ(0, memcmp(f->mem + RIG_DATA, zeroes, 8192));
	/* A discard has no flags. */
	ATF_CHECK_EQ(VIRTIO_BLK_S_UNSUPP,
	    front_ranges(f, VIRTIO_BLK_T_DISCARD, 8, 8, 1));
	ATF_CHECK_EQ(VIRTIO_BLK_S_IOERR,
	    front_ranges(f, VIRTIO_BLK_T_WRITE_ZEROES, RIG_DISK / 512, 1, 0));
	front_close(f);
	rig_stop();
}

ATF_TC_WITHOUT_HEAD(bad_requests_get_an_error_each);
ATF_TC_BODY(bad_requests_get_an_error_each, tc)
{
	static const struct {
		uint32_t type;
		uint64_t sector;
		uint32_t len;
		uint8_t status;
	} bad[] = {
		{ VIRTIO_BLK_T_IN, RIG_DISK / 512, 512, VIRTIO_BLK_S_IOERR },
		{ VIRTIO_BLK_T_IN, RIG_DISK / 512 - 1, 1024,
		    VIRTIO_BLK_S_IOERR },
		{ VIRTIO_BLK_T_IN, UINT64_MAX, 512, VIRTIO_BLK_S_IOERR },
		{ VIRTIO_BLK_T_IN, UINT64_MAX / 512 + 1, 512,
		    VIRTIO_BLK_S_IOERR },
		{ VIRTIO_BLK_T_IN, 0, 511, VIRTIO_BLK_S_IOERR },
		{ VIRTIO_BLK_T_IN, 0, 0, VIRTIO_BLK_S_IOERR },
		{ 77, 0, 512, VIRTIO_BLK_S_UNSUPP },
	};
	struct front *f;

	(void)tc;
	rig_start(NULL);
	f = front_ready();
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		ATF_CHECK_EQ_MSG(bad[i].status, front_request(f, bad[i].type,
		    bad[i].sector, bad[i].len, true, NULL), "request %zu", i);
	ATF_CHECK_EQ(0, front_request(f, VIRTIO_BLK_T_GET_ID, 0, 20, true,
	    NULL));
	ATF_CHECK_STREQ("serial-of-it", (char *)f->mem + RIG_DATA);
	front_close(f);
	rig_stop();
}

ATF_TC_WITHOUT_HEAD(configuration_is_that_of_the_disk);
ATF_TC_BODY(configuration_is_that_of_the_disk, tc)
{
	struct vhost_config c = { .size = sizeof(struct virtio_blk_config) };
	struct virtio_blk_config blk;
	struct front *f;

	(void)tc;
	rig_start(&(struct vhost_conf){ .queues = 3 });
	f = front_connect();
	ATF_CHECK_EQ(3, front_get(f, VHOST_GET_QUEUE_NUM));
	ATF_CHECK_EQ(12 + (int)c.size, front_ask(f, VHOST_GET_CONFIG, &c,
	    12 + c.size, -1, &c, sizeof(c)));
	memcpy(&blk, c.bytes, sizeof(blk));
	ATF_CHECK_EQ(RIG_DISK / 512, blk.capacity);
	ATF_CHECK_EQ(512, blk.blk_size);
	ATF_CHECK_EQ(3, blk.num_queues);
	front_close(f);
	rig_stop();
}

/* Each breaks the ring in its own way; the session lives on. */
static void
broken_ring(void (*offer)(struct front *f))
{
	struct vhost_state s = { 0, 0 };
	struct front *f;
	uint64_t n;

	rig_start(NULL);
	f = front_ready();
	offer(f);
	ATF_CHECK_EQ((ssize_t)sizeof(n), read(f->err, &n, sizeof(n)));
	ATF_CHECK_EQ(8, front_ask(f, VHOST_GET_VRING_BASE, &s, 8, -1, &s,
	    sizeof(s)));
	front_close(f);
	f = front_ready();
	ATF_CHECK_EQ(0, front_request(f, VIRTIO_BLK_T_FLUSH, 0, 0, false,
	    NULL));
	front_close(f);
	rig_stop();
}

static void
offer_circle(struct front *f)
{
	unsigned a = front_desc(f, RIG_DATA, 16, false, true);

	f->desc[a].next = (uint16_t)a;
	front_offer(f, a);
}

ATF_TC_WITHOUT_HEAD(chain_in_a_circle_stops_the_queue);
ATF_TC_BODY(chain_in_a_circle_stops_the_queue, tc)
{
	(void)tc;
	broken_ring(offer_circle);
}

static void
offer_outside(struct front *f)
{
	front_offer(f, front_desc(f, RIG_MEM, 16, false, false));
}

ATF_TC_WITHOUT_HEAD(memory_that_is_not_the_guests_stops_the_queue);
ATF_TC_BODY(memory_that_is_not_the_guests_stops_the_queue, tc)
{
	(void)tc;
	broken_ring(offer_outside);
}

static void
offer_far_head(struct front *f)
{
	front_offer(f, RIG_RING);
}

ATF_TC_WITHOUT_HEAD(head_beyond_the_ring_stops_the_queue);
ATF_TC_BODY(head_beyond_the_ring_stops_the_queue, tc)
{
	(void)tc;
	broken_ring(offer_far_head);
}

static void
offer_nested(struct front *f)
{
	struct vring_desc *table = (void *)(f->mem + RIG_DATA);
	unsigned a = front_desc(f, RIG_DATA, sizeof(*table), false, false);

	*table = (struct vring_desc){ RIG_BASE + RIG_DATA, sizeof(*table),
		VRING_DESC_F_INDIRECT, 0 };
	f->desc[a].flags = VRING_DESC_F_INDIRECT;
	front_offer(f, a);
}

ATF_TC_WITHOUT_HEAD(indirect_table_in_itself_stops_the_queue);
ATF_TC_BODY(indirect_table_in_itself_stops_the_queue, tc)
{
	(void)tc;
	broken_ring(offer_nested);
}

static void
offer_too_many(struct front *f)
{
	front_offer(f, front_desc(f, RIG_DATA, 16, false, false));
	__atomic_store_n(&f->avail->idx, (uint16_t)(RIG_RING + 2),
	    __ATOMIC_RELEASE);
}

ATF_TC_WITHOUT_HEAD(more_chains_than_entries_stop_the_queue);
ATF_TC_BODY(more_chains_than_entries_stop_the_queue, tc)
{
	struct front *f;
	uint64_t n;

	(void)tc;
	rig_start(NULL);
	f = front_connect();
	front_features(f, 0, 0);
	front_memory(f);
	offer_too_many(f);
	front_queue(f, 0, 0);
	ATF_CHECK_EQ((ssize_t)sizeof(n), read(f->err, &n, sizeof(n)));
	front_close(f);
	rig_stop();
}

/* A driver that has done `base` requests. */
static void
front_goes_on(struct front *f, const struct vhost_inflight *i, int fd,
    uint16_t base)
{
	f->avail->idx = f->used->idx = f->seen = base;
	front_features(f, 0, 1ull << VHOST_PF_INFLIGHT_SHMFD);
	(void)!front_ask(f, VHOST_SET_INFLIGHT_FD, i, sizeof(*i), fd, NULL,
	    0);
	front_memory(f);
	front_queue(f, base, 0);
}

static struct front *
front_with(const struct vhost_inflight *i, int fd, uint16_t base)
{
	struct front *f = front_connect();

	front_goes_on(f, i, fd, base);
	return f;
}

/* What a killed predecessor had taken is done again, the oldest first. */
ATF_TC_WITHOUT_HEAD(requests_in_flight_outlive_the_export);
ATF_TC_BODY(requests_in_flight_outlive_the_export, tc)
{
	struct vhost_inflight_queue *q;
	struct virtio_blk_outhdr *h;
	struct vhost_inflight i;
	struct front *f;
	int fd = front_inflight(&i, &q);
	uint16_t status_at = 4096;

	(void)tc;
	*q = (struct vhost_inflight_queue){ .version = 1,
		.desc_num = RIG_RING };
	rig_start(NULL);
	f = front_connect();
	h = (void *)(f->mem + RIG_DATA);
	*h = (struct virtio_blk_outhdr){ .type = VIRTIO_BLK_T_FLUSH };
	for (unsigned n = 0; n < 2; n++) {
		unsigned head = front_desc(f, RIG_DATA, 16, false, true);

		(void)front_desc(f, RIG_DATA + status_at, 1, true, false);
		f->avail->ring[n] = (uint16_t)head;
		q->desc[head].inflight = 1;
		q->desc[head].counter = 10 - n;
	}
	f->avail->idx = 2;
	front_features(f, 0, 1ull << VHOST_PF_INFLIGHT_SHMFD);
	(void)!front_ask(f, VHOST_SET_INFLIGHT_FD, &i, sizeof(i), fd, NULL, 0);
	front_memory(f);
	front_queue(f, 2, 0);
	ATF_CHECK_EQ(2, front_used(f).id);
	ATF_CHECK_EQ(0, front_used(f).id);
	ATF_CHECK_EQ(0, front_request(f, VIRTIO_BLK_T_FLUSH, 0, 0, false,
	    NULL));
	ATF_CHECK_EQ(3, q->used_idx);
	ATF_CHECK_EQ(0, q->desc[0].inflight + q->desc[2].inflight);
	front_close(f);
	rig_stop();
	munmap(q, i.size);
	close(fd);
}

/* What was acknowledged may be gone with the process that had it. */
ATF_TC_WITHOUT_HEAD(flushes_fail_after_unflushed_writes_were_lost);
ATF_TC_BODY(flushes_fail_after_unflushed_writes_were_lost, tc)
{
	struct vhost_state s = { 0, 0 };
	struct vhost_inflight_queue *q;
	struct vhost_inflight i;
	struct front *f;
	int fd = front_inflight(&i, &q);

	(void)tc;
	rig_start(NULL);
	f = front_with(&i, fd, 0);
	ATF_CHECK_EQ(0, front_request(f, VIRTIO_BLK_T_OUT, 0, 512, false,
	    NULL));
	ATF_CHECK_EQ(VHOST_INFLIGHT_UNFLUSHED, q->features);
	ATF_CHECK_EQ(0, front_flush(f));
	ATF_CHECK_EQ(0, q->features);
	ATF_CHECK_EQ(0, front_request(f, VIRTIO_BLK_T_OUT, 0, 512, false,
	    NULL));
	front_close(f);
	while (rig_info().connected)
		;
	/* As kill -9 would leave it. */
	memset(q, 0, i.size);
	q->features = VHOST_INFLIGHT_UNFLUSHED;
	f = front_with(&i, fd, 5);
	ATF_CHECK_EQ(VIRTIO_BLK_S_IOERR, front_flush(f));
	ATF_CHECK_EQ(0, front_request(f, VIRTIO_BLK_T_IN, 0, 512, true,
	    NULL));
	/* Stopped for a while, and an orderly end of us. */
	ATF_CHECK_EQ(8, front_ask(f, VHOST_GET_VRING_BASE, &s, 8, -1, &s,
	    sizeof(s)));
	front_close(f);
	f = front_with(&i, fd, 7);
	ATF_CHECK_EQ(VIRTIO_BLK_S_IOERR, front_flush(f));
	front_close(f);
	/* After 65536 requests the driver's index is that of a new one. */
	f = front_connect();
	f->used->ring[0].len = 1;
	front_goes_on(f, &i, fd, 0);
	ATF_CHECK_EQ(VIRTIO_BLK_S_IOERR, front_flush(f));
	front_close(f);
	/* The guest is reset. */
	f = front_with(&i, fd, 0);
	ATF_CHECK_EQ(0, front_flush(f));
	front_close(f);
	rig_stop();
	munmap(q, i.size);
	close(fd);
}

/* Begins to log; the bits of the guest's first pages. */
static uint8_t *
log_pages(struct front *f)
{
	static const uint8_t none[4096];
	struct vhost_log log = { .size = sizeof(none) };
	uint8_t *bits;
	uint64_t ok;

	f->log = memfd_create("log", 0);
	ATF_REQUIRE_EQ(0, ftruncate(f->log, sizeof(none)));
	bits = mmap(NULL, sizeof(none), PROT_READ, MAP_SHARED, f->log, 0);
	ATF_REQUIRE(bits != MAP_FAILED);
	ATF_CHECK_EQ(8, front_ask(f, VHOST_SET_LOG_BASE, &log, sizeof(log),
	    f->log, &ok, sizeof(ok)));
	ATF_CHECK_EQ(0, memcmp(bits, none, sizeof(none)));
	return bits;
}

ATF_TC_WITHOUT_HEAD(pages_that_a_read_fills_are_logged);
ATF_TC_BODY(pages_that_a_read_fills_are_logged, tc)
{
	size_t page = (RIG_BASE + RIG_DATA) / 4096;
	struct front *f;
	uint8_t *bits;

	(void)tc;
	rig_start(NULL);
	f = front_connect();
	front_features(f, 1ull << VHOST_F_LOG_ALL,
	    1ull << VHOST_PF_LOG_SHMFD);
	front_memory(f);
	bits = log_pages(f);
	front_queue(f, 0, VHOST_VRING_F_LOG);
	ATF_CHECK_EQ(0, front_request(f, VIRTIO_BLK_T_IN, 0, 8192, true,
	    NULL));
	ATF_CHECK_EQ(3 << page % 8, bits[page / 8]);
	/* And the ring itself. */
	ATF_CHECK(bits[(RIG_BASE + 131072) / 4096 / 8] != 0);
	munmap(bits, 4096);
	front_close(f);
	rig_stop();
}

/* Killed between the index of the used ring and its mark in the log. */
ATF_TC_WITHOUT_HEAD(index_that_a_predecessor_wrote_is_logged);
ATF_TC_BODY(index_that_a_predecessor_wrote_is_logged, tc)
{
	/* What the ring has behind it lies on the next page. */
	const size_t at = 131072 + 4096 - sizeof(struct vring_used);
	size_t page = (RIG_BASE + at) / 4096;
	struct vhost_inflight_queue *q;
	struct vhost_inflight i;
	struct front *f;
	uint8_t *bits;
	int fd = front_inflight(&i, &q);

	(void)tc;
	q->version = 1;
	q->desc_num = RIG_RING;
	q->desc[0].inflight = 1;
	rig_start(NULL);
	f = front_connect();
	f->used = (void *)(f->mem + at);
	f->used->ring[0].len = 1;
	f->used->idx = f->avail->idx = 1;
	front_features(f, 1ull << VHOST_F_LOG_ALL |
	    1ull << VIRTIO_RING_F_EVENT_IDX, 1ull << VHOST_PF_LOG_SHMFD |
	    1ull << VHOST_PF_INFLIGHT_SHMFD);
	(void)!front_ask(f, VHOST_SET_INFLIGHT_FD, &i, sizeof(i), fd, NULL, 0);
	front_memory(f);
	bits = log_pages(f);
	front_queue(f, 1, VHOST_VRING_F_LOG);
	/* It runs when the next one is answered. */
	(void)front_get(f, VHOST_GET_FEATURES);
	ATF_CHECK_EQ(1, q->used_idx);
	ATF_CHECK(bits[page / 8] >> page % 8 & 1);
	munmap(bits, 4096);
	front_close(f);
	rig_stop();
	munmap(q, i.size);
	close(fd);
}

/*
 * The front end's log lies where what is in flight does: a bit of the log
 * changes the number of a descriptor that was looked at just before.
 */
ATF_TC_WITHOUT_HEAD(log_in_the_region_of_what_is_in_flight_does_no_harm);
ATF_TC_BODY(log_in_the_region_of_what_is_in_flight_does_no_harm, tc)
{
	struct vhost_state num = { 0, RIG_RING }, start = { 0, 1 };
	struct vhost_inflight_queue *q;
	struct vhost_inflight i;
	struct vhost_addr a;
	struct vhost_log log;
	struct front *f;
	int fd = front_inflight(&i, &q);
	size_t byte = offsetof(struct vhost_inflight_queue, last_batch_head);
	uint8_t *behind = &q->desc[RIG_RING].inflight;
	uint64_t ok;

	(void)tc;
	q->version = 1;
	q->desc_num = RIG_RING;
	*behind = 0xff;
	rig_start(NULL);
	f = front_connect();
	f->used->idx = f->avail->idx = 1;
	front_features(f, 1ull << VHOST_F_LOG_ALL,
	    1ull << VHOST_PF_LOG_SHMFD | 1ull << VHOST_PF_INFLIGHT_SHMFD);
	(void)!front_ask(f, VHOST_SET_INFLIGHT_FD, &i, sizeof(i), fd, NULL, 0);
	front_memory(f);
	log = (struct vhost_log){ .size = i.size };
	ATF_CHECK_EQ(8, front_ask(f, VHOST_SET_LOG_BASE, &log, sizeof(log),
	    fd, &ok, sizeof(ok)));
	/* Bit 4 of last_batch_head: RIG_RING. */
	a = (struct vhost_addr){
		.flags = VHOST_VRING_F_LOG, .desc = (uintptr_t)f->desc,
		.avail = (uintptr_t)f->avail, .used = (uintptr_t)f->used,
		.log = (8 * byte + 4) * 4096,
	};
	(void)!front_ask(f, VHOST_SET_VRING_NUM, &num, 8, -1, NULL, 0);
	(void)!front_ask(f, VHOST_SET_VRING_BASE, &start, 8, -1, NULL, 0);
	(void)!front_ask(f, VHOST_SET_VRING_ADDR, &a, sizeof(a), -1, NULL, 0);
	front_set(f, VHOST_SET_VRING_CALL, 0, f->call);
	front_set(f, VHOST_SET_VRING_KICK, 0, f->kick);
	front_enable(f);
	(void)front_get(f, VHOST_GET_FEATURES);
	ATF_CHECK_EQ(RIG_RING, q->last_batch_head);
	/* Behind the region's end. */
	ATF_CHECK_EQ(0xff, *behind);
	front_close(f);
	rig_stop();
	munmap(q, i.size);
	close(fd);
}

/* A front end that comes after another finds a device as new. */
/* The guest says how long its ring is. */
ATF_TC_WITHOUT_HEAD(ring_longer_than_the_region_in_flight_is_refused);
ATF_TC_BODY(ring_longer_than_the_region_in_flight_is_refused, tc)
{
	struct vhost_inflight i = { .queues = 1, .queue_size = RIG_RING / 2 };
	struct front *f;
	int fd = memfd_create("inflight", 0);

	(void)tc;
	i.size = sizeof(struct vhost_inflight_queue) +
	    i.queue_size * sizeof(struct vhost_inflight_desc);
	ATF_REQUIRE_EQ(0, ftruncate(fd, (off_t)i.size));
	rig_start(NULL);
	f = front_with(&i, fd, 0);
	ATF_CHECK(front_hung_up(f));
	front_close(f);
	rig_stop();
	close(fd);
}

/* A running ring is told of addresses that are not the guest's. */
ATF_TC_WITHOUT_HEAD(wrong_address_of_a_running_ring_is_survived);
ATF_TC_BODY(wrong_address_of_a_running_ring_is_survived, tc)
{
	struct vhost_addr a = { .desc = 16, .avail = 16, .used = 16 };
	struct front *f;

	(void)tc;
	rig_start(NULL);
	f = front_ready();
	ATF_CHECK_EQ(0, front_request(f, VIRTIO_BLK_T_FLUSH, 0, 0, false,
	    NULL));
	(void)!front_ask(f, VHOST_SET_VRING_ADDR, &a, sizeof(a), -1, NULL, 0);
	ATF_CHECK(front_hung_up(f));
	front_close(f);
	f = front_ready();
	ATF_CHECK_EQ(0, front_request(f, VIRTIO_BLK_T_FLUSH, 0, 0, false,
	    NULL));
	front_close(f);
	rig_stop();
}

/* Its owner keeps the disk while memory is plugged. */
ATF_TC_WITHOUT_HEAD(disk_stays_owned_while_memory_changes);
ATF_TC_BODY(disk_stays_owned_while_memory_changes, tc)
{
	struct front *f;

	(void)tc;
	rig_start(&(struct vhost_conf){ .own = rig_own, .disown = rig_disown });
	f = front_ready();
	ATF_CHECK_EQ(0, front_request(f, VIRTIO_BLK_T_FLUSH, 0, 0, false,
	    NULL));
	front_memory(f);
	ATF_CHECK_EQ(0, front_request(f, VIRTIO_BLK_T_FLUSH, 0, 0, false,
	    NULL));
	ATF_CHECK_EQ(1, rig_owned);
	ATF_CHECK_EQ(0, rig_disowned);
	front_close(f);
	rig_stop();
	ATF_CHECK_EQ(1, rig_disowned);
}

static void
offer_without_end(struct front *f)
{
	unsigned a = front_desc(f, RIG_DATA, 16, false, false);

	for (unsigned i = 0; i < 100 * RIG_RING; i++)
		front_offer(f, a);
}

ATF_TC_WITHOUT_HEAD(chains_without_end_stop_the_queue);
ATF_TC_BODY(chains_without_end_stop_the_queue, tc)
{
	struct front *f;

	(void)tc;
	rig_start(NULL);
	f = front_ready();
	offer_without_end(f);
	/* However far it got: the export lives, and so does the next guest. */
	front_close(f);
	f = front_ready();
	ATF_CHECK_EQ(0, front_request(f, VIRTIO_BLK_T_FLUSH, 0, 0, false,
	    NULL));
	front_close(f);
	rig_stop();
}

ATF_TC_WITHOUT_HEAD(hypervisors_come_one_after_the_other);
ATF_TC_BODY(hypervisors_come_one_after_the_other, tc)
{
	struct front *f;

	(void)tc;
	rig_start(NULL);
	for (int i = 0; i < 3; i++) {
		f = front_ready();
		ATF_CHECK_EQ(0, front_request(f, VIRTIO_BLK_T_FLUSH, 0, 0,
		    false, NULL));
		front_close(f);
	}
	rig_stop();
}

ATF_TC_WITHOUT_HEAD(export_ends_while_a_guest_runs);
ATF_TC_BODY(export_ends_while_a_guest_runs, tc)
{
	struct front *f;

	(void)tc;
	rig_start(NULL);
	f = front_ready();
	ATF_CHECK_EQ(0, front_request(f, VIRTIO_BLK_T_FLUSH, 0, 0, false,
	    NULL));
	ATF_CHECK(rig_info().running);
	rig_stop();
	ATF_CHECK(front_hung_up(f));
	front_close(f);
}

ATF_TC_WITHOUT_HEAD(disk_is_owned_while_the_guest_runs);
ATF_TC_BODY(disk_is_owned_while_the_guest_runs, tc)
{
	struct vhost_state s = { 0, 0 };
	struct front *f;

	(void)tc;
	rig_start(&(struct vhost_conf){ .own = rig_own, .disown = rig_disown });
	f = front_connect();
	ATF_CHECK_EQ(0, rig_owned);
	front_features(f, 0, 0);
	front_memory(f);
	front_queue(f, 0, 0);
	ATF_CHECK_EQ(0, front_request(f, VIRTIO_BLK_T_FLUSH, 0, 0, false,
	    NULL));
	ATF_CHECK_EQ(1, rig_owned);
	ATF_CHECK_EQ(0, rig_disowned);
	ATF_CHECK_EQ(8, front_ask(f, VHOST_GET_VRING_BASE, &s, 8, -1, &s,
	    sizeof(s)));
	ATF_CHECK_EQ(1, s.num);
	ATF_CHECK_EQ(1, rig_disowned);
	front_close(f);
	rig_stop();
}

ATF_TC_WITHOUT_HEAD(hypervisor_is_told_of_a_new_size);
ATF_TC_BODY(hypervisor_is_told_of_a_new_size, tc)
{
	struct vhost_header h;
	int pair[2];
	struct front *f;

	(void)tc;
	rig_start(NULL);
	f = front_connect();
	front_features(f, 0, 1ull << VHOST_PF_BACKEND_REQ);
	ATF_REQUIRE_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
	(void)!front_ask(f, VHOST_SET_BACKEND_REQ_FD, NULL, 0, pair[1], NULL,
	    0);
	close(pair[1]);
	f->backend = pair[0];
	/* It has been read when the next one is answered. */
	(void)front_get(f, VHOST_GET_FEATURES);
	rig_do(vhost_export_resized);
	ATF_CHECK_EQ((ssize_t)sizeof(h), recv(f->backend, &h, sizeof(h),
	    MSG_WAITALL));
	ATF_CHECK_EQ(VHOST_BACKEND_CONFIG_CHANGE, h.request);
	front_close(f);
	rig_stop();
}

/* A front end that does not keep to the protocol is let go. */
ATF_TC_WITHOUT_HEAD(nonsense_costs_the_session);
ATF_TC_BODY(nonsense_costs_the_session, tc)
{
	static const struct {
		uint32_t request;
		uint32_t size;
		uint64_t words[8];
	} bad[] = {
		{ 0, 0, { 0 } },
		{ 99, 0, { 0 } },
		{ VHOST_SET_FEATURES, 8, { UINT64_MAX } },
		{ VHOST_SET_FEATURES, 4, { 0 } },
		{ VHOST_SET_PROTOCOL_FEATURES, 8, { UINT64_MAX } },
		{ VHOST_SET_MEM_TABLE, 8, { 1 } },
		{ VHOST_SET_MEM_TABLE, 8, { 0xffffffff } },
		{ VHOST_SET_VRING_NUM, 8, { 0 } },
		{ VHOST_SET_VRING_NUM, 8, { 3ull << 32 } },
		{ VHOST_SET_VRING_NUM, 8, { 16ull << 32 | 99 } },
		{ VHOST_SET_VRING_KICK, 8, { 0x100 } },
		{ VHOST_SET_VRING_ENABLE, 8, { 2ull << 32 } },
		{ VHOST_GET_CONFIG, 12, { 1ull << 62, 0 } },
		{ VHOST_GET_INFLIGHT_FD, 20, { 0, 0, 0xffffffff } },
		{ VHOST_SET_INFLIGHT_FD, 20, { 0, 0, 0 } },
		{ VHOST_SET_LOG_BASE, 16, { 0, 0 } },
		{ VHOST_ADD_MEM_REG, 40, { 0 } },
		{ VHOST_REM_MEM_REG, 40, { 0 } },
	};

	(void)tc;
	rig_start(NULL);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct front *f = front_connect();

		(void)!front_ask(f, bad[i].request, bad[i].words, bad[i].size,
		    -1, NULL, 0);
		ATF_CHECK_MSG(front_hung_up(f), "case %zu", i);
		front_close(f);
	}
	rig_stop();
}

ATF_TP_ADD_TCS(tp)
{
	ATF_TP_ADD_TC(tp, guest_reads_what_it_wrote);
	ATF_TP_ADD_TC(tp, chain_may_be_indirect_and_in_pieces);
	ATF_TP_ADD_TC(tp, zeroes_are_written_and_space_is_given_back);
	ATF_TP_ADD_TC(tp, bad_requests_get_an_error_each);
	ATF_TP_ADD_TC(tp, configuration_is_that_of_the_disk);
	ATF_TP_ADD_TC(tp, chain_in_a_circle_stops_the_queue);
	ATF_TP_ADD_TC(tp, memory_that_is_not_the_guests_stops_the_queue);
	ATF_TP_ADD_TC(tp, head_beyond_the_ring_stops_the_queue);
	ATF_TP_ADD_TC(tp, indirect_table_in_itself_stops_the_queue);
	ATF_TP_ADD_TC(tp, more_chains_than_entries_stop_the_queue);
	ATF_TP_ADD_TC(tp, requests_in_flight_outlive_the_export);
	ATF_TP_ADD_TC(tp, flushes_fail_after_unflushed_writes_were_lost);
	ATF_TP_ADD_TC(tp, pages_that_a_read_fills_are_logged);
	ATF_TP_ADD_TC(tp, index_that_a_predecessor_wrote_is_logged);
	ATF_TP_ADD_TC(tp,
	    log_in_the_region_of_what_is_in_flight_does_no_harm);
	ATF_TP_ADD_TC(tp, ring_longer_than_the_region_in_flight_is_refused);
	ATF_TP_ADD_TC(tp, wrong_address_of_a_running_ring_is_survived);
	ATF_TP_ADD_TC(tp, disk_stays_owned_while_memory_changes);
	ATF_TP_ADD_TC(tp, chains_without_end_stop_the_queue);
	ATF_TP_ADD_TC(tp, hypervisors_come_one_after_the_other);
	ATF_TP_ADD_TC(tp, export_ends_while_a_guest_runs);
	ATF_TP_ADD_TC(tp, disk_is_owned_while_the_guest_runs);
	ATF_TP_ADD_TC(tp, hypervisor_is_told_of_a_new_size);
	ATF_TP_ADD_TC(tp, nonsense_costs_the_session);
	return atf_no_error();
}
