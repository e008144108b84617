/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A guest's driver that keeps a vhost-user-blk device busy: random requests of
 * one size at one depth on one queue, for a time.  As in a guest either side
 * tells when it wants to hear of the other (VIRTIO_F_EVENT_IDX).
 *
 * usage: vhost_load [-k] SOCKET r|w|v BYTES DEPTH SECONDS DISK_BYTES
 * -k: a guest whose processor KVM keeps awake while the guest waits (halt_poll_ns
 * of kvm.ko, 200 us by default): it sleeps only when no answer came for as long,
 * yet is interrupted all the same.  Without, it sleeps at once.
 * "v" writes and reads by turns and compares.  Prints operations a second.
 * Exit 1: a request failed, or what was read is not what was written last.
 */
#include <errno.h>
#include <limits.h>
#include <linux/virtio_blk.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "bench/now.h"
#include "vhost/proto.h"

#define RING 256u
#define DEPTH_MAX (RING / 3)
#define HEADERS ((size_t)65536)		/* offsets in the guest's memory */
#define AVAIL ((size_t)131072)
#define USED ((size_t)196608)
#define DATA ((size_t)1 << 20)
#define HALT_POLL 200e-6		/* seconds */

struct load {
	int sock, kick, call;
	bool write, verify, awake;
	size_t bytes;
	unsigned depth;
	uint64_t blocks;		/* of `bytes` on the disk */
	uint8_t *mem;
	struct vring_desc *desc;
	struct vring_avail *avail;
	struct vring_used *used;
	uint16_t offered, published, seen;
	uint64_t done, failed, random;
	/* To verify: the number of the last write to each block, 0: none; and
	 * what each slot does. */
	uint64_t *version, writes;
	struct {
		uint64_t block;
		bool write;
	} slot[DEPTH_MAX];
};

static void
die(const char *what)
{
	fprintf(stderr, "vhost_load: %s: %s\n", what, strerror(errno));
	exit(2);
}

static void
tell(struct load *l, uint32_t request, const void *p, uint32_t size, int fd)
{
	struct vhost_header h = { request, VHOST_VERSION, size };
	struct iovec iov[2] = {
		{ &h, sizeof(h) }, { (void *)(uintptr_t)p, size },
	};
	union {
		char bytes[CMSG_SPACE(sizeof(int))];
		struct cmsghdr header;
	} control = { 0 };
	struct msghdr msg = { .msg_iov = iov, .msg_iovlen = 2 };

	if (fd >= 0) {
		msg.msg_control = &control;
		msg.msg_controllen = sizeof(control);
		control.header.cmsg_level = SOL_SOCKET;
		control.header.cmsg_type = SCM_RIGHTS;
		control.header.cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(&control.header), &fd, sizeof(fd));
	}
	if (sendmsg(l->sock, &msg, 0) < 0)
		die("sendmsg");
}

static void
tell_u64(struct load *l, uint32_t request, uint64_t value, int fd)
{
	tell(l, request, &value, sizeof(value), fd);
}

static void
connect_to(struct load *l, const char *path)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };

	if (strlen(path) >= sizeof(sa.sun_path))
		die(path);
	strcpy(sa.sun_path, path);
	l->sock = socket(AF_UNIX, SOCK_STREAM, 0);
	if (l->sock < 0 ||
	    connect(l->sock, (struct sockaddr *)&sa, sizeof(sa)) < 0)
		die(path);
}

/* Features, memory, one queue. */
static void
start_device(struct load *l)
{
	size_t size = (DATA + l->depth * l->bytes + ((size_t)2 << 20) - 1) &
	    ~(((size_t)2 << 20) - 1);
	int memory = memfd_create("guest", 0);
	struct vhost_table t = { .count = 1 };
	struct vhost_state state = { 0, RING };
	struct vhost_addr a = { 0 };

	if (memory < 0 || ftruncate(memory, (off_t)size) < 0)
		die("memfd");
	l->mem = mmap(NULL, size, PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_POPULATE, memory, 0);
	if (l->mem == MAP_FAILED)
		die("mmap");
	l->desc = (void *)l->mem;
	l->avail = (void *)(l->mem + AVAIL);
	l->used = (void *)(l->mem + USED);
	l->kick = eventfd(0, 0);
	l->call = eventfd(0, 0);
	tell(l, VHOST_SET_OWNER, NULL, 0, -1);
	tell_u64(l, VHOST_SET_FEATURES, 1ull << VIRTIO_F_VERSION_1 |
	    1ull << VIRTIO_RING_F_EVENT_IDX |
	    1ull << VHOST_USER_F_PROTOCOL_FEATURES, -1);
	tell_u64(l, VHOST_SET_PROTOCOL_FEATURES, 0, -1);
	t.region[0] = (struct vhost_region){ 0, size, (uintptr_t)l->mem, 0 };
	tell(l, VHOST_SET_MEM_TABLE, &t, 8 + sizeof(t.region[0]), memory);
	tell(l, VHOST_SET_VRING_NUM, &state, sizeof(state), -1);
	state.num = 0;
	tell(l, VHOST_SET_VRING_BASE, &state, sizeof(state), -1);
	a.desc = (uintptr_t)l->desc;
	a.avail = (uintptr_t)l->avail;
	a.used = (uintptr_t)l->used;
	tell(l, VHOST_SET_VRING_ADDR, &a, sizeof(a), -1);
	tell_u64(l, VHOST_SET_VRING_CALL, 0, l->call);
	tell_u64(l, VHOST_SET_VRING_KICK, 0, l->kick);
	state.num = 1;
	tell(l, VHOST_SET_VRING_ENABLE, &state, sizeof(state), -1);
}

static struct virtio_blk_outhdr *
header(struct load *l, unsigned slot)
{
	return (void *)(l->mem + HEADERS + slot * 64);
}

static uint8_t *
status(struct load *l, unsigned slot)
{
	return l->mem + HEADERS + slot * 64 + 32;
}

/* ---- requests ---- */

static uint64_t *
data(struct load *l, unsigned slot)
{
	return (uint64_t *)(void *)(l->mem + DATA + slot * l->bytes);
}

static void
prepare(struct load *l, unsigned slot, bool write)
{
	struct vring_desc *d = &l->desc[slot * 3];
	uint16_t first = (uint16_t)(slot * 3);

	d[0] = (struct vring_desc){ HEADERS + slot * 64, 16,
		VRING_DESC_F_NEXT, (uint16_t)(first + 1) };
	d[1] = (struct vring_desc){ DATA + slot * l->bytes,
		(uint32_t)l->bytes, (uint16_t)(VRING_DESC_F_NEXT |
		(write ? 0 : VRING_DESC_F_WRITE)),
		(uint16_t)(first + 2) };
	d[2] = (struct vring_desc){ HEADERS + slot * 64 + 32, 1,
		VRING_DESC_F_WRITE, 0 };
}

static uint64_t
by_chance(struct load *l)
{
	l->random ^= l->random << 13;
	l->random ^= l->random >> 7;
	l->random ^= l->random << 17;
	return l->random;
}

/* One that no other slot is at: their order would not be known. */
static uint64_t
free_block(struct load *l, unsigned slot)
{
	uint64_t block = by_chance(l) % l->blocks;

	for (unsigned i = 0; i < l->depth; i++)
		if (i != slot && l->slot[i].block == block) {
			block = (block + 1) % l->blocks;
			i = UINT_MAX;	/* all of them again */
		}
	return block;
}

/* Each word of a block is another one at each write. */
static uint64_t
word(const struct load *l, uint64_t block, uint64_t version, size_t i)
{
	return (block * l->bytes / 8 + i) * 0x9e3779b97f4a7c15u ^ version;
}

static void
begin_verified(struct load *l, unsigned slot)
{
	uint64_t block = free_block(l, slot);

	l->slot[slot].block = block;
	l->slot[slot].write = l->version[block] == 0 ||
	    (by_chance(l) & 1) != 0;
	if (l->slot[slot].write)
		l->version[block] = ++l->writes;
	for (size_t i = 0; i < l->bytes / 8; i++)
		data(l, slot)[i] = !l->slot[slot].write ? 0 :
		    word(l, block, l->writes, i);
	prepare(l, slot, l->slot[slot].write);
}

static bool
is_right(struct load *l, unsigned slot)
{
	uint64_t block = l->slot[slot].block;

	if (!l->verify || l->slot[slot].write)
		return true;
	for (size_t i = 0; i < l->bytes / 8; i++)
		if (data(l, slot)[i] != word(l, block, l->version[block], i)) {
			fprintf(stderr, "vhost_load: block %llu is wrong\n",
			    (unsigned long long)block);
			return false;
		}
	return true;
}

static void
offer(struct load *l, unsigned slot)
{
	struct virtio_blk_outhdr *h = header(l, slot);
	uint64_t block;
	bool write = l->write;

	if (l->verify) {
		begin_verified(l, slot);
		block = l->slot[slot].block;
		write = l->slot[slot].write;
	} else {
		block = by_chance(l) % l->blocks;
	}
	h->type = write ? VIRTIO_BLK_T_OUT : VIRTIO_BLK_T_IN;
	h->sector = block * (l->bytes / 512);
	*status(l, slot) = 0xff;
	l->avail->ring[l->offered++ % RING] = (uint16_t)(slot * 3);
}

/* Behind the rings. */
static uint16_t *
avail_event(struct load *l)
{
	return (uint16_t *)(void *)&l->used->ring[RING];
}

static void
publish(struct load *l)
{
	uint64_t one = 1;
	uint16_t event;

	__atomic_store_n(&l->avail->idx, l->offered, __ATOMIC_RELEASE);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	event = __atomic_load_n(avail_event(l), __ATOMIC_ACQUIRE);
	if (vring_need_event(event, l->offered, l->published) &&
	    write(l->kick, &one, sizeof(one)) != sizeof(one))
		die("kick");
	l->published = l->offered;
}

/* True: nothing came until the device knows that we sleep. */
static bool
must_wait(struct load *l)
{
	__atomic_store_n(&l->avail->ring[RING], l->seen, __ATOMIC_RELEASE);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	return __atomic_load_n(&l->used->idx, __ATOMIC_ACQUIRE) == l->seen;
}

/* True: some ended while the guest's processor was kept awake. */
static bool
ended_awake(struct load *l)
{
	double end = now(CLOCK_MONOTONIC) + HALT_POLL;

	do {
		for (unsigned i = 0; i < 64; i++)
			if (__atomic_load_n(&l->used->idx, __ATOMIC_ACQUIRE) !=
			    l->seen)
				return true;
	} while (now(CLOCK_MONOTONIC) < end);
	return false;
}

/* Waits for some to end; offers them anew. */
static void
turn(struct load *l)
{
	uint16_t used = __atomic_load_n(&l->used->idx, __ATOMIC_ACQUIRE);
	struct pollfd p = { .fd = l->call, .events = POLLIN };
	uint64_t n;

	if (used == l->seen) {
		if (!must_wait(l) || (l->awake && ended_awake(l)))
			return;
		if (poll(&p, 1, 20000) != 1 ||
		    read(l->call, &n, sizeof(n)) != sizeof(n))
			die("the device does not answer");
		return;
	}
	for (; l->seen != used; l->seen++) {
		unsigned slot = l->used->ring[l->seen % RING].id / 3;

		l->done++;
		l->failed += *status(l, slot) != 0 || !is_right(l, slot);
		offer(l, slot);
	}
	publish(l);
}

int
main(int argc, char **argv)
{
	struct load l = { .random = 88172645463325252u };
	double start, end, seconds;

	if (argc > 1 && strcmp(argv[1], "-k") == 0) {
		l.awake = true;
		argc--;
		argv++;
	}
	if (argc != 7 || strlen(argv[2]) != 1 || !strchr("rwv", *argv[2])) {
		fputs("usage: vhost_load [-k] SOCKET r|w|v BYTES DEPTH SECONDS "
		    "DISK_BYTES\n", stderr);
		return 2;
	}
	l.write = *argv[2] == 'w';
	l.verify = *argv[2] == 'v';
	l.bytes = strtoul(argv[3], NULL, 10);
	l.depth = (unsigned)strtoul(argv[4], NULL, 10);
	seconds = strtod(argv[5], NULL);
	if (l.bytes % 512 != 0 || l.bytes == 0 || l.depth < 1 ||
	    l.depth > DEPTH_MAX) {
		fprintf(stderr, "vhost_load: depth 1 to %u, whole sectors\n",
		    DEPTH_MAX);
		return 2;
	}
	l.blocks = strtoull(argv[6], NULL, 10) / l.bytes;
	if (l.verify)
		l.version = calloc(l.blocks, sizeof(*l.version));
	if (l.blocks <= l.depth || (l.verify && l.version == NULL)) {
		fputs("vhost_load: the disk is too small or too large\n",
		    stderr);
		return 2;
	}
	connect_to(&l, argv[1]);
	start_device(&l);
	for (unsigned i = 0; i < l.depth; i++) {
		prepare(&l, i, l.write);
		l.slot[i].block = UINT64_MAX;
	}
	for (unsigned i = 0; i < l.depth; i++)
		offer(&l, i);
	start = now(CLOCK_MONOTONIC);
	publish(&l);
	while ((end = now(CLOCK_MONOTONIC)) - start < seconds)
		turn(&l);
	printf("%.0f\n", (double)l.done / (end - start));
	free(l.version);
	return l.failed > 0;
}
