/* SPDX-License-Identifier: BSD-2-Clause */
/* The heartbeat of a machine that is busy, and what it needs of memory. */
#include <atf-c.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "libvmfs/base/units.h"
#include "libvmfs/core/mkds.h"
#include "libvmfs/env/reactor.h"
#include "locking/host.h"

#define LUN "lun"
#define LUN_BYTES (64 * MIB)
#define PULSES 5u
#define DEADLINE_NS (60 * NSEC_PER_SEC)

/* ---- counting what the heartbeat's threads allocate ---- */

#if defined(__SANITIZE_ADDRESS__) || !defined(__GLIBC__)
#define COUNTING 0
#else
#define COUNTING 1
static _Atomic unsigned allocations;

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t n, size_t size);
void *__libc_memalign(size_t align, size_t size);
void *__libc_realloc(void *p, size_t size);

static void
count(void)
{
	char name[16] = "";

	/* The reactor's and its helpers', by name. */
	if (prctl(PR_GET_NAME, name) == 0 && (strcmp(name, "pulse") == 0 ||
	    strcmp(name, "vmfs-urgent") == 0))
		atomic_fetch_add(&allocations, 1);
}

void *
malloc(size_t size)
{
	count();
	return __libc_malloc(size);
}

void *
calloc(size_t n, size_t size)
{
	count();
	return __libc_calloc(n, size);
}

void *
realloc(void *p, size_t size)
{
	count();
	return __libc_realloc(p, size);
}

int
posix_memalign(void **ret_p, size_t align, size_t size)
{
	void *p;

	count();
	p = __libc_memalign(align, size);
	if (p == NULL)
		return ENOMEM;
	*ret_p = p;
	return 0;
}

void *
aligned_alloc(size_t align, size_t size)
{
	count();
	return __libc_memalign(align, size);
}
#endif

/* ---- one member, its heartbeat on a reactor that shall not starve ---- */

struct party {
	struct env env, hb_env;
	struct reactor *hb;
	struct disk *lun, *hb_lun;
	struct super super;
	struct host *host;
	int fd;			/* the LUN, to look at the pulse */
	int (*work)(struct party *m);
};

static int
make_lun(struct party *m)
{
	struct mkds_conf mk = {
		.protocol = LOCK_FILE,
		/* Nobody is there to fence: slow machines may be slow. */
		.timers = { .pulse_ms = 50, .io_ms = 20000,
		    .freeze_ms = 30000, .fence_ms = 60000 },
	};
	struct disk *d = NULL;
	int rc;

	m->fd = open(LUN, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (m->fd < 0 || ftruncate(m->fd, (off_t)LUN_BYTES) < 0)
		return -errno;
	env_uuid(&m->env, &mk.uuid);
	rc = disk_file_open(LUN, 0, &d);
	if (rc == 0)
		rc = mkds_plan(&d->info, &mk, &m->super);
	if (rc == 0)
		rc = mkds_write(&m->env, d, &mk, &m->super);
	disk_close(d);
	return rc;
}

static int
join(struct party *m)
{
	struct host_conf conf = { .name = "busy" };
	char why[256];
	int rc;

	env_uuid(&m->env, &conf.host);
	env_uuid(&m->env, &conf.machine);
	env_uuid(&m->env, &conf.boot);
	rc = disk_file_open(LUN, 0, &m->lun);
	if (rc == 0)
		rc = disk_file_open(LUN, 0, &m->hb_lun);
	if (rc == 0)
		rc = host_join(&m->env, &m->hb_env, m->lun, m->hb_lun,
		    &m->super, &conf, &m->host, why);
	return rc;
}

static int
party_main(void *arg)
{
	struct party *m = arg;
	int rc, left;

	env_posix_init(&m->env, sched_current(), NULL);
	rc = make_lun(m);
	if (rc == 0)
		rc = reactor_new("pulse", &m->hb);
	if (rc < 0)
		return rc;
	env_posix_init(&m->hb_env, reactor_sched(m->hb), NULL);
	rc = reactor_want_realtime(m->hb);
	if (rc == 0)
		rc = reactor_start(m->hb);
	if (rc == 0)
		rc = join(m);
	if (rc == 0) {
		rc = m->work(m);
		left = host_leave(m->host, false);
		rc = rc < 0 ? rc : left;
	}
	reactor_stop(m->hb);
	reactor_join(m->hb);
	disk_close(m->lun);
	disk_close(m->hb_lun);
	reactor_free(m->hb);
	close(m->fd);
	return rc;
}

static void
run(int (*work)(struct party *m))
{
	struct party m = { .work = work };

	ATF_REQUIRE_EQ(0, reactor_run_main(party_main, &m));
}

/* The pulse on the LUN, read without the reactor. */
static uint64_t
pulse(const struct party *m)
{
	unsigned slot = host_locks(m->host)->slot;
	uint8_t sector[LOCK_RECORD_SIZE];
	struct heartbeat hb = { .pulse = 0 };

	if (pread(m->fd, sector, sizeof(sector), (off_t)(SLOT_TABLE_BLOCK +
	    slot) * BLOCK_SIZE) != (ssize_t)sizeof(sector) ||
	    heartbeat_decode(sector, &m->super.uuid, slot, &hb) < 0)
		return 0;	/* torn: it is being written */
	return hb.pulse;
}

/* Without suspending: the owner's thread does nothing else meanwhile. */
static int
watch_busily(const struct party *m, uint64_t from)
{
	uint64_t end = sched_now(m->env.sched) + DEADLINE_NS;

	while (pulse(m) < from + PULSES)
		if (sched_now(m->env.sched) > end)
			return -ETIMEDOUT;
	return 0;
}

/* ---- tests ---- */

static atomic_bool spin_on;

static void *
spin(void *arg)
{
	while (atomic_load(&spin_on))
		;
	return arg;
}

static int
beside_spinners(struct party *m)
{
	long n = sysconf(_SC_NPROCESSORS_ONLN);
	pthread_t *t = calloc((size_t)n, sizeof(*t));
	long started = 0;
	int rc;

	atomic_store(&spin_on, true);
	while (t != NULL && started < n &&
	    pthread_create(&t[started], NULL, spin, NULL) == 0)
		started++;
	rc = started == n ? watch_busily(m, pulse(m)) : -EAGAIN;
	atomic_store(&spin_on, false);
	while (started > 0)
		pthread_join(t[--started], NULL);
	free(t);
	return rc;
}

ATF_TC_WITHOUT_HEAD(it_goes_on_beside_a_busy_owner_and_busy_processors);
ATF_TC_BODY(it_goes_on_beside_a_busy_owner_and_busy_processors, tc)
{
	(void)tc;
	run(beside_spinners);
}

#if COUNTING
static int
allocates_nothing(struct party *m)
{
	unsigned before;
	int rc = watch_busily(m, pulse(m));

	if (rc < 0)
		return rc;
	before = atomic_load(&allocations);
	ATF_CHECK_MSG(before > 0, "nothing is counted");
	rc = watch_busily(m, pulse(m));
	ATF_CHECK_EQ(before, atomic_load(&allocations));
	return rc;
}

ATF_TC_WITHOUT_HEAD(a_pulse_to_a_file_allocates_nothing);
ATF_TC_BODY(a_pulse_to_a_file_allocates_nothing, tc)
{
	(void)tc;
	run(allocates_nothing);
}
#endif

ATF_TP_ADD_TCS(tp)
{
	ATF_TP_ADD_TC(tp,
	    it_goes_on_beside_a_busy_owner_and_busy_processors);
#if COUNTING
	ATF_TP_ADD_TC(tp, a_pulse_to_a_file_allocates_nothing);
#endif
	return atf_no_error();
}
