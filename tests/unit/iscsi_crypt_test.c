/* SPDX-License-Identifier: BSD-2-Clause */
/* Encrypted disks: what lies on the disk below, and who can read it. */
#include <atf-c.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "iscsi/disk_crypt.h"
#include "libvmfs/env/reactor.h"

#define SIZE ((uint64_t)1 << 20)
#define SECTOR 512U

/* IEEE 1619-2007, annex B, vector 10: keys, and the start of the result. */
static const uint8_t key[DISK_CRYPT_KEY_SIZE] = {
	0x27, 0x18, 0x28, 0x18, 0x28, 0x45, 0x90, 0x45,
	0x23, 0x53, 0x60, 0x28, 0x74, 0x71, 0x35, 0x26,
	0x62, 0x49, 0x77, 0x57, 0x24, 0x70, 0x93, 0x69,
	0x99, 0x59, 0x57, 0x49, 0x66, 0x96, 0x76, 0x27,
	0x31, 0x41, 0x59, 0x26, 0x53, 0x58, 0x97, 0x93,
	0x23, 0x84, 0x62, 0x64, 0x33, 0x83, 0x27, 0x95,
	0x02, 0x88, 0x41, 0x97, 0x16, 0x93, 0x99, 0x37,
	0x51, 0x05, 0x82, 0x09, 0x74, 0x94, 0x45, 0x92,
};
static const uint8_t vector_10[16] = {
	0x1c, 0x3b, 0x3a, 0x10, 0x2f, 0x77, 0x03, 0x86,
	0xe4, 0x83, 0x6c, 0x99, 0xe3, 0x70, 0xcf, 0x9b,
};

static struct {
	struct env env;
	struct disk *below, *disk;
	uint8_t saved[DISK_CRYPT_KEY_SIZE];
	int save_result;
} box;

static int
save(void *arg, const void *p, size_t len)
{
	(void)arg;
	ATF_REQUIRE_EQ(sizeof(box.saved), len);
	memcpy(box.saved, p, len);
	return box.save_result;
}

static int
with_disk(void *arg)
{
	void (**body)(void) = arg;
	struct disk_crypt_conf conf = { .key = key, .save = save };

	env_posix_init(&box.env, sched_current(), NULL);
	ATF_REQUIRE_EQ(0, disk_mem_open(SIZE, SECTOR, &box.below));
	ATF_REQUIRE_EQ(0, disk_crypt_open(&box.env, box.below, &conf,
	    &box.disk));
	(*body)();
	disk_close(box.disk);
	return 0;
}

#define DISK_TC(name)							\
static void name##_body(void);						\
ATF_TC_WITHOUT_HEAD(name);						\
ATF_TC_BODY(name, tc)							\
{									\
	void (*body)(void) = name##_body;				\
	(void)tc;							\
	ATF_CHECK_EQ(0, reactor_run_main(with_disk, &body));		\
}									\
static void								\
name##_body(void)

static uint8_t in[8 * SECTOR], out[8 * SECTOR];

static void
fill(void)
{
	for (size_t i = 0; i < sizeof(in); i++)
		in[i] = (uint8_t)i;
}

DISK_TC(sectors_are_those_of_the_standard)
{
	fill();
	ATF_REQUIRE_EQ(0, disk_write(box.disk, 255 * SECTOR, in, SECTOR, 0));
	ATF_REQUIRE_EQ(0, disk_read(box.below, 255 * SECTOR, out, SECTOR));
	ATF_CHECK_EQ(0, memcmp(vector_10, out, sizeof(vector_10)));
}

DISK_TC(what_is_written_is_read)
{
	struct iovec iov[3] = { { out, 700 }, { out + 700, 0 },
	    { out + 700, sizeof(out) - 700 } };
	struct disk_req req = {
		.op = DISK_READ, .offset = SECTOR, .length = sizeof(out),
		.iov = iov, .iovcnt = 3,
	};
	uint8_t again[SECTOR];

	fill();
	ATF_REQUIRE_EQ(0, disk_write(box.disk, SECTOR, in, sizeof(in),
	    DISK_FUA));
	ATF_CHECK_EQ(0, disk_read(box.disk, SECTOR, out, sizeof(out)));
	ATF_CHECK_EQ(0, memcmp(in, out, sizeof(in)));
	memset(out, 0, sizeof(out));
	ATF_CHECK_EQ(0, disk_run(box.disk, &req));
	ATF_CHECK_EQ(0, memcmp(in, out, sizeof(in)));
	/* Sectors alike do not look alike. */
	ATF_REQUIRE_EQ(0, disk_read(box.below, SECTOR, out, SECTOR));
	ATF_REQUIRE_EQ(0, disk_read(box.below, 2 * SECTOR, again, SECTOR));
	ATF_CHECK(memcmp(out, in, SECTOR) != 0);
	ATF_CHECK(memcmp(out, again, SECTOR) != 0);
}

/* Holes stay holes, and read zeroes under any key. */
DISK_TC(zeroes_stay_zeroes)
{
	struct disk_extent e[1];
	struct disk_map map = { .extents = e, .max = 1 };

	memset(in, 0, sizeof(in));
	ATF_REQUIRE_EQ(0, disk_write(box.disk, 0, in, sizeof(in), 0));
	ATF_REQUIRE_EQ(0, disk_read(box.below, 0, out, sizeof(out)));
	ATF_CHECK_EQ(0, memcmp(in, out, sizeof(in)));
	fill();
	ATF_REQUIRE_EQ(0, disk_write(box.disk, 0, in, sizeof(in), 0));
	ATF_REQUIRE_EQ(0, disk_unmap(box.disk, 0, sizeof(in)));
	ATF_REQUIRE_EQ(0, disk_map(box.disk, 0, SIZE, &map));
	ATF_CHECK(!e[0].allocated && e[0].length == SIZE);
	ATF_REQUIRE_EQ(0, disk_read(box.disk, 0, out, sizeof(out)));
	for (size_t i = 0; i < sizeof(out); i++)
		ATF_REQUIRE_EQ(0, out[i]);
}

static int
crypto_erase(void)
{
	struct disk_req req = { .op = DISK_CRYPTO_ERASE };

	return disk_run(box.disk, &req);
}

DISK_TC(erased_data_cannot_be_read)
{
	fill();
	ATF_REQUIRE_EQ(0, disk_write(box.disk, 0, in, sizeof(in), 0));
	ATF_REQUIRE_EQ(0, crypto_erase());
	ATF_CHECK(memcmp(box.saved, key, sizeof(key)) != 0);
	ATF_REQUIRE_EQ(0, disk_read(box.disk, 0, out, sizeof(out)));
	for (size_t at = 0; at < sizeof(in); at += 16)
		ATF_REQUIRE(memcmp(in + at, out + at, 16) != 0);
	ATF_REQUIRE_EQ(0, disk_write(box.disk, 0, in, sizeof(in), 0));
	ATF_REQUIRE_EQ(0, disk_read(box.disk, 0, out, sizeof(out)));
	ATF_CHECK_EQ(0, memcmp(in, out, sizeof(in)));
}

DISK_TC(key_that_cannot_be_kept_is_not_used)
{
	fill();
	ATF_REQUIRE_EQ(0, disk_write(box.disk, 0, in, sizeof(in), 0));
	box.save_result = -EIO;
	ATF_REQUIRE_EQ(-EIO, crypto_erase());
	ATF_REQUIRE_EQ(0, disk_read(box.disk, 0, out, sizeof(out)));
	ATF_CHECK_EQ(0, memcmp(in, out, sizeof(in)));
}

/* Compare and write would compare what is encrypted. */
DISK_TC(nothing_looks_below)
{
	const unsigned caps = DISK_CAP_UNMAP | DISK_CAP_MAP |
	    DISK_CAP_CRYPTO_ERASE;
	struct disk_crypt_conf conf = { .key = in };
	struct disk *d;

	ATF_CHECK_EQ(caps, box.disk->info.caps);
	ATF_CHECK_EQ(-EOPNOTSUPP, disk_caw(box.disk, 0, in, out, SECTOR));
	memset(in, 1, DISK_CRYPT_KEY_SIZE);
	ATF_CHECK_EQ(-EINVAL, disk_crypt_open(&box.env, box.below, &conf, &d));
}

struct watcher {
	atomic_bool begun, stop;
	unsigned seen;		/* of all capabilities ever */
};

static void *
watcher_main(void *arg)
{
	struct watcher *w = arg;

	while (!atomic_load(&w->stop)) {
		w->seen |= __atomic_load_n(&box.disk->info.caps,
		    __ATOMIC_RELAXED);
		atomic_store(&w->begun, true);
	}
	return NULL;
}

/* As a worker of the target, while the LUN grows. */
DISK_TC(nothing_looks_below_while_it_grows)
{
	struct watcher w = { .seen = 0 };
	unsigned caps = box.disk->info.caps;
	pthread_t t;

	ATF_REQUIRE_EQ(0, pthread_create(&t, NULL, watcher_main, &w));
	while (!atomic_load(&w.begun))
		continue;
	for (unsigned i = 0; i < 200000; i++) {
		box.below->info.size_bytes = SIZE - i % 2 * SECTOR;
		ATF_REQUIRE_EQ(0, disk_refresh(box.disk));
	}
	atomic_store(&w.stop, true);
	ATF_REQUIRE_EQ(0, pthread_join(t, NULL));
	ATF_CHECK_EQ(caps, w.seen);
	ATF_CHECK_EQ(SIZE - SECTOR, box.disk->info.size_bytes);
}

ATF_TP_ADD_TCS(tp)
{
	ATF_TP_ADD_TC(tp, sectors_are_those_of_the_standard);
	ATF_TP_ADD_TC(tp, what_is_written_is_read);
	ATF_TP_ADD_TC(tp, zeroes_stay_zeroes);
	ATF_TP_ADD_TC(tp, erased_data_cannot_be_read);
	ATF_TP_ADD_TC(tp, key_that_cannot_be_kept_is_not_used);
	ATF_TP_ADD_TC(tp, nothing_looks_below);
	ATF_TP_ADD_TC(tp, nothing_looks_below_while_it_grows);
	return atf_no_error();
}
