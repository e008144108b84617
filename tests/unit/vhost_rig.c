/* SPDX-License-Identifier: BSD-2-Clause */
/* See vhost_rig.h. */
#include "tests/unit/vhost_rig.h"

#include <atf-c.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "libvmfs/env/local.h"
#include "libvmfs/env/reactor.h"

#define DEADLINE_MS 20000
#define SOCKET "vhost.sock"
#define HEADER_AT ((size_t)512 << 10)
#define STATUS_AT (HEADER_AT + 64)

static struct {
	pthread_t thread;
	struct vhost_conf conf;
	struct disk *disk;
	struct vhost_export *e;
	int order, done;		/* eventfds */
	void (*fn)(struct vhost_export *e);	/* NULL: end */
	struct log log;
	struct vhost_info info;
} rig;

static int
rig_main(void *arg)
{
	int rc;

	(void)arg;
	rc = disk_mem_open(RIG_DISK, 512, &rig.disk);
	if (rc == 0) {
		rig.conf.disk = rig.disk;
		rc = vhost_export_start(&rig.conf, &rig.e);
	}
	if (rc < 0)
		abort();
	(void)!eventfd_write(rig.done, 1);
	while (event_wait(rig.order) == 0 && rig.fn != NULL) {
		rig.fn(rig.e);
		(void)!eventfd_write(rig.done, 1);
	}
	vhost_export_stop(rig.e);
	disk_close(rig.disk);
	return 0;
}

static void *
rig_thread(void *arg)
{
	if (reactor_run_main(rig_main, arg) != 0)
		abort();
	return NULL;
}

static void
wait_event(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	uint64_t n;

	ATF_REQUIRE_EQ_MSG(1, poll(&p, 1, DEADLINE_MS), "nothing came");
	ATF_REQUIRE_EQ((ssize_t)sizeof(n), read(fd, &n, sizeof(n)));
}

void
rig_start(const struct vhost_conf *conf)
{
	static const struct vhost_conf none;

	rig.log = (struct log){ LOG_LEVEL_DEBUG, log_sink_stderr, NULL };
	rig.conf = conf != NULL ? *conf : none;
	rig.conf.socket = SOCKET;
	rig.conf.name = "test";
	rig.conf.log = &rig.log;
	snprintf(rig.conf.serial, sizeof(rig.conf.serial), "serial-of-it");
	rig.order = eventfd(0, EFD_CLOEXEC);
	rig.done = eventfd(0, EFD_CLOEXEC);
	ATF_REQUIRE(rig.order >= 0 && rig.done >= 0);
	ATF_REQUIRE_EQ(0, pthread_create(&rig.thread, NULL, rig_thread, NULL));
	wait_event(rig.done);
}

void
rig_do(void (*fn)(struct vhost_export *e))
{
	rig.fn = fn;
	(void)!eventfd_write(rig.order, 1);
	if (fn != NULL)
		wait_event(rig.done);
}

void
rig_stop(void)
{
	rig_do(NULL);
	ATF_REQUIRE_EQ(0, pthread_join(rig.thread, NULL));
	close(rig.order);
	close(rig.done);
	ATF_CHECK_EQ(-1, access(SOCKET, F_OK));
}

struct disk *
rig_disk(void)
{
	return rig.disk;
}

static void
take_info(struct vhost_export *e)
{
	rig.info = vhost_export_info(e);
}

struct vhost_info
rig_info(void)
{
	rig_do(take_info);
	return rig.info;
}

unsigned rig_owned, rig_disowned;

int
rig_own(void *arg, struct disk **disk)
{
	(void)arg;
	(void)disk;
	rig_owned++;
	return 0;
}

void
rig_disown(void *arg, struct disk **disk)
{
	(void)arg;
	(void)disk;
	rig_disowned++;
}

/* ---- the socket ---- */

struct front *
front_connect(void)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX, .sun_path = SOCKET };
	struct timeval deadline = { .tv_sec = DEADLINE_MS / 1000 };
	struct front *f = calloc(1, sizeof(*f));

	ATF_REQUIRE(f != NULL);
	f->sock = socket(AF_UNIX, SOCK_STREAM, 0);
	ATF_REQUIRE_EQ(0, connect(f->sock, (struct sockaddr *)&sa,
	    sizeof(sa)));
	ATF_REQUIRE_EQ(0, setsockopt(f->sock, SOL_SOCKET, SO_RCVTIMEO,
	    &deadline, sizeof(deadline)));
	f->kick = eventfd(0, 0);
	f->call = eventfd(0, 0);
	f->err = eventfd(0, 0);
	f->memory = memfd_create("guest", 0);
	f->log = f->backend = -1;
	ATF_REQUIRE_EQ(0, ftruncate(f->memory, RIG_MEM));
	f->mem = mmap(NULL, RIG_MEM, PROT_READ | PROT_WRITE, MAP_SHARED,
	    f->memory, 0);
	ATF_REQUIRE(f->mem != MAP_FAILED);
	f->desc = (void *)f->mem;
	f->avail = (void *)(f->mem + 65536);
	f->used = (void *)(f->mem + 131072);
	return f;
}

void
front_close(struct front *f)
{
	int fds[] = { f->sock, f->kick, f->call, f->err, f->memory, f->log,
		f->backend };

	for (size_t i = 0; i < sizeof(fds) / sizeof(fds[0]); i++)
		if (fds[i] >= 0)
			close(fds[i]);
	munmap(f->mem, RIG_MEM);
	free(f);
}

static void
send_message(struct front *f, const void *p, size_t len, int fd)
{
	union {
		char bytes[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control = { 0 };
	struct iovec iov = { (void *)(uintptr_t)p, len };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };

	if (fd >= 0) {
		msg.msg_control = &control;
		msg.msg_controllen = sizeof(control);
		control.align.cmsg_level = SOL_SOCKET;
		control.align.cmsg_type = SCM_RIGHTS;
		control.align.cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(&control.align), &fd, sizeof(fd));
	}
	(void)!sendmsg(f->sock, &msg, MSG_NOSIGNAL);
}

int
front_ask(struct front *f, uint32_t request, const void *p, uint32_t size,
    int fd, void *reply, uint32_t reply_size)
{
	struct vhost_header h = { request, VHOST_VERSION, size };
	char bytes[1024];

	memcpy(bytes, &h, sizeof(h));
	if (size > 0)
		memcpy(bytes + sizeof(h), p, size);
	send_message(f, bytes, sizeof(h) + size, fd);
	if (reply == NULL)
		return 0;
	if (recv(f->sock, &h, sizeof(h), MSG_WAITALL) != sizeof(h))
		return -1;
	ATF_REQUIRE_EQ(request, h.request);
	ATF_REQUIRE_EQ((uint32_t)VHOST_VERSION | VHOST_REPLY, h.flags);
	ATF_REQUIRE(h.size <= reply_size);
	ATF_REQUIRE_EQ((ssize_t)h.size, recv(f->sock, reply, h.size,
	    MSG_WAITALL));
	return (int)h.size;
}

uint64_t
front_get(struct front *f, uint32_t request)
{
	uint64_t v = 0;

	ATF_REQUIRE_EQ(8, front_ask(f, request, NULL, 0, -1, &v, sizeof(v)));
	return v;
}

void
front_set(struct front *f, uint32_t request, uint64_t value, int fd)
{
	(void)!front_ask(f, request, &value, sizeof(value), fd, NULL, 0);
}

bool
front_hung_up(struct front *f)
{
	char c;

	return recv(f->sock, &c, 1, 0) == 0;
}

void
front_features(struct front *f, uint64_t device, uint64_t protocol)
{
	front_set(f, VHOST_SET_OWNER, 0, -1);
	front_set(f, VHOST_SET_FEATURES, device | 1ull << VIRTIO_F_VERSION_1 |
	    1ull << VHOST_USER_F_PROTOCOL_FEATURES, -1);
	front_set(f, VHOST_SET_PROTOCOL_FEATURES, protocol, -1);
}

void
front_memory(struct front *f)
{
	struct vhost_table t = {
		.count = 1,
		.region = { { RIG_BASE, RIG_MEM, (uintptr_t)f->mem, 0 } },
	};

	(void)!front_ask(f, VHOST_SET_MEM_TABLE, &t,
	    8 + sizeof(t.region[0]), f->memory, NULL, 0);
}

void
front_slot(struct front *f, uint32_t request, unsigned which)
{
	size_t half = RIG_MEM / 2, at = which * half;
	struct vhost_one_region r = { 0, { RIG_BASE + at, half,
		(uintptr_t)f->mem + at, at } };

	(void)!front_ask(f, request, &r, sizeof(r),
	    request == VHOST_ADD_MEM_REG ? f->memory : -1, NULL, 0);
}

void
front_ring(struct front *f, uint16_t base, uint32_t flags)
{
	struct vhost_state num = { 0, RIG_RING }, start = { 0, base };
	struct vhost_addr a = {
		.flags = flags, .desc = (uintptr_t)f->desc,
		.avail = (uintptr_t)f->avail, .used = (uintptr_t)f->used,
		.log = RIG_BASE + (size_t)((uint8_t *)f->used - f->mem),
	};

	(void)!front_ask(f, VHOST_SET_VRING_NUM, &num, 8, -1, NULL, 0);
	(void)!front_ask(f, VHOST_SET_VRING_BASE, &start, 8, -1, NULL, 0);
	(void)!front_ask(f, VHOST_SET_VRING_ADDR, &a, sizeof(a), -1, NULL, 0);
	front_set(f, VHOST_SET_VRING_CALL, 0, f->call);
	front_set(f, VHOST_SET_VRING_ERR, 0, f->err);
}

void
front_enable(struct front *f)
{
	struct vhost_state on = { 0, 1 };

	(void)!front_ask(f, VHOST_SET_VRING_ENABLE, &on, 8, -1, NULL, 0);
}

void
front_queue(struct front *f, uint16_t base, uint32_t flags)
{
	front_ring(f, base, flags);
	front_set(f, VHOST_SET_VRING_KICK, 0, f->kick);
	front_enable(f);
}

struct front *
front_ready(void)
{
	struct front *f = front_connect();

	front_features(f, 1ull << VIRTIO_RING_F_INDIRECT_DESC, 0);
	front_memory(f);
	front_queue(f, 0, 0);
	return f;
}

/* ---- the driver ---- */

unsigned
front_desc(struct front *f, size_t offset, uint32_t len, bool write, bool next)
{
	unsigned at = f->next_desc++ % RIG_RING;

	f->desc[at] = (struct vring_desc){
		.addr = RIG_BASE + offset, .len = len,
		.flags = (uint16_t)((write ? VRING_DESC_F_WRITE : 0) |
		    (next ? VRING_DESC_F_NEXT : 0)),
		.next = (uint16_t)((at + 1) % RIG_RING),
	};
	return at;
}

void
front_offer(struct front *f, unsigned head)
{
	f->avail->ring[f->avail->idx % RIG_RING] = (uint16_t)head;
	__atomic_store_n(&f->avail->idx, (uint16_t)(f->avail->idx + 1),
	    __ATOMIC_RELEASE);
	(void)!eventfd_write(f->kick, 1);
}

struct vring_used_elem
front_used(struct front *f)
{
	while (__atomic_load_n(&f->used->idx, __ATOMIC_ACQUIRE) == f->seen)
		wait_event(f->call);
	return f->used->ring[f->seen++ % RIG_RING];
}

uint8_t
front_request(struct front *f, uint32_t type, uint64_t sector, uint32_t len,
    bool data_in, uint32_t *ret_written)
{
	struct virtio_blk_outhdr *h = (void *)(f->mem + HEADER_AT);
	struct vring_used_elem u;
	unsigned head;

	*h = (struct virtio_blk_outhdr){ .type = type, .sector = sector };
	f->mem[STATUS_AT] = 0xff;
	head = front_desc(f, HEADER_AT, sizeof(*h), false, true);
	if (len > 0)
		(void)front_desc(f, RIG_DATA, len, data_in, true);
	(void)front_desc(f, STATUS_AT, 1, true, false);
	front_offer(f, head);
	u = front_used(f);
	ATF_REQUIRE_EQ(head, u.id);
	if (ret_written != NULL)
		*ret_written = u.len;
	return f->mem[STATUS_AT];
}

uint8_t
front_flush(struct front *f)
{
	return front_request(f, VIRTIO_BLK_T_FLUSH, 0, 0, false, NULL);
}

uint8_t
front_ranges(struct front *f, uint32_t type, uint64_t sector, uint32_t count,
    uint32_t flags)
{
	struct virtio_blk_discard_write_zeroes r = { sector, count, flags };

	memcpy(f->mem + RIG_DATA, &r, sizeof(r));
	return front_request(f, type, 0, sizeof(r), false, NULL);
}

int
front_inflight(struct vhost_inflight *i, struct vhost_inflight_queue **ret_q)
{
	int fd = memfd_create("inflight", 0);

	*i = (struct vhost_inflight){ .queues = 1, .queue_size = RIG_RING };
	i->size = sizeof(**ret_q) + RIG_RING * sizeof((*ret_q)->desc[0]);
	ATF_REQUIRE_EQ(0, ftruncate(fd, (off_t)i->size));
	*ret_q = mmap(NULL, i->size, PROT_READ | PROT_WRITE, MAP_SHARED, fd,
	    0);
	ATF_REQUIRE(*ret_q != MAP_FAILED);
	return fd;
}
