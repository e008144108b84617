/* SPDX-License-Identifier: BSD-2-Clause */
/* When rings run, who has the disk meanwhile, what a front end cannot stop. */
#include <atf-c.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/virtio_config.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "libvmfs/base/units.h"
#include "tests/unit/vhost_rig.h"
#include "vhost/impl.h"

#define HOUR (3600 * NSEC_PER_SEC)
#define OWNED { .own = rig_own, .disown = rig_disown }

/* A ring without PROTOCOL_FEATURES runs from its kick on (vhost-user.rst). */
ATF_TC_WITHOUT_HEAD(disk_is_owned_when_a_kick_starts_the_ring);
ATF_TC_BODY(disk_is_owned_when_a_kick_starts_the_ring, tc)
{
	struct front *f;

	(void)tc;
	rig_start(&(struct vhost_conf)OWNED);
	f = front_connect();
	front_set(f, VHOST_SET_FEATURES, 1ull << VIRTIO_F_VERSION_1, -1);
	front_memory(f);
	front_ring(f, 0, 0);
	front_set(f, VHOST_SET_VRING_KICK, 0, f->kick);
	ATF_CHECK_EQ(0, front_flush(f));
	ATF_CHECK(rig_info().running);
	ATF_CHECK_EQ(1, rig_owned);
	front_close(f);
	rig_stop();
	ATF_CHECK_EQ(1, rig_disowned);
}

ATF_TC_WITHOUT_HEAD(disk_is_owned_when_enabled_before_the_kick);
ATF_TC_BODY(disk_is_owned_when_enabled_before_the_kick, tc)
{
	struct front *f;

	(void)tc;
	rig_start(&(struct vhost_conf)OWNED);
	f = front_connect();
	front_features(f, 0, 0);
	front_memory(f);
	front_ring(f, 0, 0);
	front_enable(f);
	front_set(f, VHOST_SET_VRING_KICK, 0, f->kick);
	ATF_CHECK_EQ(0, front_flush(f));
	ATF_CHECK_EQ(1, rig_owned);
	front_close(f);
	rig_stop();
}

static struct front *
front_by_slots(void)
{
	struct front *f = front_connect();

	front_features(f, 0, 1ull << VHOST_PF_CONFIGURE_MEM_SLOTS);
	front_slot(f, VHOST_ADD_MEM_REG, 0);
	front_slot(f, VHOST_ADD_MEM_REG, 1);
	front_queue(f, 0, 0);
	ATF_CHECK_EQ(0, front_flush(f));
	return f;
}

/* The guest runs on: another host must not get its lock in between. */
ATF_TC_WITHOUT_HEAD(disk_stays_owned_while_the_rings_slot_changes);
ATF_TC_BODY(disk_stays_owned_while_the_rings_slot_changes, tc)
{
	struct front *f;

	(void)tc;
	rig_start(&(struct vhost_conf)OWNED);
	f = front_by_slots();
	front_slot(f, VHOST_REM_MEM_REG, 0);
	front_slot(f, VHOST_ADD_MEM_REG, 0);
	ATF_CHECK_EQ(0, front_flush(f));
	ATF_CHECK_EQ(1, rig_owned);
	ATF_CHECK_EQ(0, rig_disowned);
	front_close(f);
	rig_stop();
	ATF_CHECK_EQ(1, rig_disowned);
}

/* It is stopped while its memory is away: nobody will start it again. */
ATF_TC_WITHOUT_HEAD(disk_is_given_back_by_a_ring_without_memory);
ATF_TC_BODY(disk_is_given_back_by_a_ring_without_memory, tc)
{
	struct vhost_state which = { 0, 0 }, base;
	struct front *f;

	(void)tc;
	rig_start(&(struct vhost_conf)OWNED);
	f = front_by_slots();
	front_slot(f, VHOST_REM_MEM_REG, 0);
	ATF_CHECK_EQ(8, front_ask(f, VHOST_GET_VRING_BASE, &which, 8, -1,
	    &base, sizeof(base)));
	ATF_CHECK_EQ(1, base.num);
	ATF_CHECK_EQ(1, rig_disowned);
	ATF_CHECK(!rig_info().running);
	front_close(f);
	rig_stop();
	ATF_CHECK_EQ(1, rig_disowned);
}

ATF_TC_WITHOUT_HEAD(slots_come_back_in_any_order);
ATF_TC_BODY(slots_come_back_in_any_order, tc)
{
	struct front *f;

	(void)tc;
	rig_start(NULL);
	f = front_by_slots();
	front_slot(f, VHOST_REM_MEM_REG, 0);
	front_slot(f, VHOST_REM_MEM_REG, 1);
	front_slot(f, VHOST_ADD_MEM_REG, 1);
	front_slot(f, VHOST_ADD_MEM_REG, 0);
	(void)front_get(f, VHOST_GET_QUEUE_NUM);
	ATF_CHECK_EQ(0, front_flush(f));
	front_close(f);
	rig_stop();
}

/* A disk that is kept for the guest of another process. */
static struct disk *kept;

static void
kept_submit(struct disk *d, struct disk_req *req)
{
	(void)d;
	disk_submit(rig_disk(), req);
}

static const struct disk_ops kept_ops = { .submit = kept_submit };

static int
kept_own(void *arg, struct disk **disk)
{
	kept = calloc(1, sizeof(*kept));
	if (kept == NULL)
		return -ENOMEM;
	*kept = (struct disk){ .ops = &kept_ops, .info = {
		.size_bytes = RIG_DISK, .block_size = 512 } };
	*disk = kept;
	return rig_own(arg, disk);
}

static void
kept_disown(void *arg, struct disk **disk)
{
	free(kept);
	kept = NULL;
	*disk = rig_disk();
	rig_disown(arg, disk);
}

static void
start_kept(uint64_t owned_ns)
{
	struct vhost_conf conf = { .own = kept_own, .disown = kept_disown,
		.outlived = true, .owned_ns = owned_ns };

	ATF_REQUIRE_EQ(0, kept_own(NULL, &conf.owned));
	rig_owned = rig_disowned = 0;
	rig_start(&conf);
}

static void
wait_until_disowned(void)
{
	(void)rig_info();
	for (unsigned i = 0; i < 20000 && rig_disowned == 0; i++) {
		(void)poll(NULL, 0, 1);
		(void)rig_info();
	}
	ATF_REQUIRE_EQ(1, rig_disowned);
}

/* And a guest that comes after all gets it anew. */
static void
expect_given_back(void)
{
	struct front *f;

	wait_until_disowned();
	f = front_ready();
	ATF_CHECK_EQ(0, front_flush(f));
	ATF_CHECK_EQ(1, rig_owned);
	ATF_CHECK_EQ(1, rig_disowned);
	front_close(f);
	rig_stop();
	ATF_CHECK_EQ(2, rig_disowned);
}

ATF_TC_WITHOUT_HEAD(kept_disk_is_given_back_when_no_guest_comes);
ATF_TC_BODY(kept_disk_is_given_back_when_no_guest_comes, tc)
{
	(void)tc;
	start_kept(NSEC_PER_MSEC);
	expect_given_back();
}

ATF_TC_WITHOUT_HEAD(kept_disk_is_given_back_by_a_hypervisor_without_guest);
ATF_TC_BODY(kept_disk_is_given_back_by_a_hypervisor_without_guest, tc)
{
	struct front *f;

	(void)tc;
	start_kept(HOUR);
	f = front_connect();
	front_features(f, 0, 0);
	front_memory(f);
	front_ring(f, 0, 0);
	(void)front_get(f, VHOST_GET_FEATURES);
	ATF_CHECK_EQ(0, rig_disowned);
	front_close(f);
	expect_given_back();
}

ATF_TC_WITHOUT_HEAD(kept_disk_stays_with_a_guest_that_comes_back);
ATF_TC_BODY(kept_disk_stays_with_a_guest_that_comes_back, tc)
{
	struct front *f;

	(void)tc;
	start_kept(HOUR);
	f = front_ready();
	ATF_CHECK_EQ(0, front_flush(f));
	ATF_CHECK(rig_info().running);
	ATF_CHECK_EQ(0, rig_owned);
	ATF_CHECK_EQ(0, rig_disowned);
	front_close(f);
	expect_given_back();
}

/* Time is up while it does so. */
ATF_TC_WITHOUT_HEAD(disk_of_a_guest_is_not_given_back_late);
ATF_TC_BODY(disk_of_a_guest_is_not_given_back_late, tc)
{
	(void)tc;
	for (unsigned i = 0; i < 20; i++) {
		struct front *f;

		start_kept(i * NSEC_PER_MSEC / 10 + 1);
		f = front_ready();
		for (unsigned j = 0; j < 20; j++) {
			ATF_CHECK_EQ(0, front_flush(f));
			(void)rig_info();
			ATF_CHECK_EQ(rig_owned, rig_disowned);
		}
		front_close(f);
		rig_stop();
		ATF_CHECK_EQ(rig_owned + 1, rig_disowned);
	}
}

ATF_TC_WITHOUT_HEAD(export_ends_while_it_keeps_the_disk);
ATF_TC_BODY(export_ends_while_it_keeps_the_disk, tc)
{
	(void)tc;
	start_kept(HOUR);
	rig_stop();
	ATF_REQUIRE(kept != NULL);
	free(kept);
}

/* No flush of ours has covered what a predecessor wrote. */
ATF_TC_WITHOUT_HEAD(unflushed_mark_stays_while_nothing_runs);
ATF_TC_BODY(unflushed_mark_stays_while_nothing_runs, tc)
{
	struct vhost_inflight_queue *q;
	struct vhost_inflight i;
	struct front *f;
	int fd = front_inflight(&i, &q);

	(void)tc;
	rig_start(&(struct vhost_conf){ .own = rig_own,
		.disown = rig_disown, .outlived = true });
	q->features = VHOST_INFLIGHT_UNFLUSHED;
	f = front_connect();
	front_features(f, 0, 1ull << VHOST_PF_INFLIGHT_SHMFD);
	(void)!front_ask(f, VHOST_SET_INFLIGHT_FD, &i, sizeof(i), fd, NULL,
	    0);
	front_memory(f);
	(void)front_get(f, VHOST_GET_FEATURES);
	ATF_CHECK_EQ(VHOST_INFLIGHT_UNFLUSHED, q->features);
	front_close(f);
	rig_stop();
	ATF_REQUIRE_EQ(0, munmap(q, i.size));
	close(fd);
}

/* Whoever serves this guest serves others, too. */
ATF_TC_WITHOUT_HEAD(full_call_does_not_stop_the_thread);
ATF_TC_BODY(full_call_does_not_stop_the_thread, tc)
{
	static const uint64_t full = UINT64_MAX - 1;
	struct front *f;
	uint64_t n;

	(void)tc;
	rig_start(NULL);
	f = front_ready();
	(void)front_get(f, VHOST_GET_FEATURES);
	ATF_REQUIRE_EQ(0, fcntl(f->call, F_SETFL, O_NONBLOCK));
	(void)!read(f->call, &n, sizeof(n));
	ATF_REQUIRE_EQ(0, fcntl(f->call, F_SETFL, 0));
	ATF_REQUIRE_EQ((ssize_t)sizeof(full), write(f->call, &full,
	    sizeof(full)));
	/* A ring that runs signals at once. */
	front_set(f, VHOST_SET_VRING_CALL, 0, f->call);
	ATF_CHECK(rig_info().running);
	front_close(f);
	rig_stop();
}

/* The guest has it done, whatever it hears. */
static void
await_used(const struct front *f, uint16_t index)
{
	for (int ms = 0; ms < 20000 && __atomic_load_n(&f->used->idx,
	    __ATOMIC_ACQUIRE) != index; ms++)
		(void)poll(NULL, 0, 1);
	ATF_REQUIRE_EQ(index, f->used->idx);
}

/* Whether a write to it waits is the front end's to say, at any time. */
ATF_TC_WITHOUT_HEAD(call_that_waits_again_does_not_stop_the_thread);
ATF_TC_BODY(call_that_waits_again_does_not_stop_the_thread, tc)
{
	static const uint64_t full = UINT64_MAX - 1;
	struct front *f;
	uint64_t n;

	(void)tc;
	rig_start(NULL);
	f = front_ready();
	(void)front_get(f, VHOST_GET_FEATURES);
	(void)!read(f->call, &n, sizeof(n));
	ATF_REQUIRE_EQ(0, fcntl(f->call, F_SETFL, 0));
	ATF_REQUIRE_EQ((ssize_t)sizeof(full), write(f->call, &full,
	    sizeof(full)));
	/* A request that is not one: answered, and signalled. */
	front_offer(f, front_desc(f, RIG_DATA, 1, true, false));
	await_used(f, 1);
	ATF_CHECK(rig_info().running);
	/* It signals once there is room. */
	ATF_REQUIRE_EQ((ssize_t)sizeof(n), read(f->call, &n, sizeof(n)));
	ATF_CHECK_EQ(0, front_used(f).id);
	ATF_CHECK_EQ(0, front_flush(f));
	front_close(f);
	rig_stop();
}

/* A read or write of those could wait for as long as somebody likes. */
ATF_TC_WITHOUT_HEAD(descriptors_that_are_no_eventfds_are_refused);
ATF_TC_BODY(descriptors_that_are_no_eventfds_are_refused, tc)
{
	static const uint32_t told[] = {
		VHOST_SET_VRING_KICK, VHOST_SET_VRING_CALL,
		VHOST_SET_VRING_ERR,
	};

	(void)tc;
	rig_start(NULL);
	for (size_t i = 0; i < sizeof(told) / sizeof(told[0]); i++) {
		struct front *f = front_connect();

		front_set(f, told[i], 0, f->memory);
		ATF_CHECK_MSG(front_hung_up(f), "case %zu", i);
		front_close(f);
	}
	rig_stop();
}

/* ---- a flood of messages ---- */

#define FLOOD 400u
#define FEATURES(n) ((n) % 2 == 0 ? 1ull << VIRTIO_F_VERSION_1 : \
    1ull << VIRTIO_F_VERSION_1 | 1ull << VIRTIO_RING_F_EVENT_IDX)

static sem_t held, sent;
static unsigned changes;

/* How often another fiber finds that the session has gone on. */
static void
witness(void *arg)
{
	const struct vhost_export *e = arg;
	uint64_t seen = 0;

	while (e->session != NULL && e->session->features != 0) {
		changes += e->session->features != seen;
		seen = e->session->features;
		fiber_yield();
	}
}

/* Keeps the thread until all is in the socket. */
static void
hold_thread(struct vhost_export *e)
{
	ATF_REQUIRE_EQ(0, sched_spawn(sched_current(), "witness", witness, e));
	sem_post(&held);
	sem_wait(&sent);
}

static void *
flood(void *arg)
{
	struct front *f = arg;
	struct { struct vhost_header h; uint64_t value; }
	    __attribute__((packed)) m[FLOOD];

	for (unsigned i = 0; i < FLOOD; i++) {
		m[i].h = (struct vhost_header){ VHOST_SET_FEATURES,
			VHOST_VERSION, 8 };
		m[i].value = i < FLOOD - 1 ? FEATURES(i) : 0;
	}
	sem_wait(&held);
	if (send(f->sock, m, sizeof(m), MSG_NOSIGNAL) != (ssize_t)sizeof(m))
		abort();
	sem_post(&sent);
	return NULL;
}

ATF_TC_WITHOUT_HEAD(flood_of_messages_leaves_others_their_turn);
ATF_TC_BODY(flood_of_messages_leaves_others_their_turn, tc)
{
	struct front *f;
	pthread_t t;

	(void)tc;
	ATF_REQUIRE_EQ(0, sem_init(&held, 0, 0) + sem_init(&sent, 0, 0));
	rig_start(NULL);
	f = front_connect();
	front_set(f, VHOST_SET_FEATURES, FEATURES(1), -1);
	(void)front_get(f, VHOST_GET_FEATURES);
	ATF_REQUIRE_EQ(0, pthread_create(&t, NULL, flood, f));
	rig_do(hold_thread);
	ATF_REQUIRE_EQ(0, pthread_join(t, NULL));
	(void)front_get(f, VHOST_GET_FEATURES);
	front_close(f);
	rig_stop();
	ATF_CHECK_MSG(changes > FLOOD / 2, "%u of %u messages with a turn of "
	    "others behind", changes, FLOOD);
}

ATF_TP_ADD_TCS(tp)
{
	ATF_TP_ADD_TC(tp, disk_is_owned_when_a_kick_starts_the_ring);
	ATF_TP_ADD_TC(tp, disk_is_owned_when_enabled_before_the_kick);
	ATF_TP_ADD_TC(tp, disk_stays_owned_while_the_rings_slot_changes);
	ATF_TP_ADD_TC(tp, disk_is_given_back_by_a_ring_without_memory);
	ATF_TP_ADD_TC(tp, slots_come_back_in_any_order);
	ATF_TP_ADD_TC(tp, kept_disk_is_given_back_when_no_guest_comes);
	ATF_TP_ADD_TC(tp,
	    kept_disk_is_given_back_by_a_hypervisor_without_guest);
	ATF_TP_ADD_TC(tp, kept_disk_stays_with_a_guest_that_comes_back);
	ATF_TP_ADD_TC(tp, disk_of_a_guest_is_not_given_back_late);
	ATF_TP_ADD_TC(tp, export_ends_while_it_keeps_the_disk);
	ATF_TP_ADD_TC(tp, unflushed_mark_stays_while_nothing_runs);
	ATF_TP_ADD_TC(tp, full_call_does_not_stop_the_thread);
	ATF_TP_ADD_TC(tp, call_that_waits_again_does_not_stop_the_thread);
	ATF_TP_ADD_TC(tp, descriptors_that_are_no_eventfds_are_refused);
	ATF_TP_ADD_TC(tp, flood_of_messages_leaves_others_their_turn);
	return atf_no_error();
}
