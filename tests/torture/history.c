/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * usage: history write [-d DISK] [-h HOST] [-s SEED] [-j JOBS] [-p PACE_US]
 *            [-w WAIT_S] [-c DIR] JOURNAL FILE
 *        history check [-d DISK] JOURNAL FILE
 *        history flushes JOURNAL
 * Writes a disk with a history that can be checked, and checks it.
 *
 * write opens FILE, for up to WAIT_S seconds while another host has it, reads
 * all of it, then writes and flushes until SIGTERM, JOBS processes at a time,
 * each a part of the disk.  With -c it also makes,
 * renames and removes files in DIR.  It prints "open EPOCH MS", "first MS" at
 * its first flush that succeeded, and "end REASON"; MS since 1970.
 * Exit status: 0 ended by SIGTERM; 3 the datastore failed a request; 4 what
 * was read cannot be; 5 FILE could not be opened in time.
 * check reads FILE; 0 good, 4 not.  flushes prints how many succeeded.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "libvmfs/base/prng.h"
#include "tests/torture/history.h"

#define WRITE_BLOCKS_MAX 16U
#define CHUNK_BLOCKS 256U	/* of a read of the whole disk */
#define RETRY_US 2000
#define JOBS_MAX 16
enum { EXIT_DISK = 3, EXIT_WRONG = 4, EXIT_BUSY = 5 };

struct writer {
	uint32_t disk, host, epoch;
	unsigned pace_us, wait_s, jobs;
	uint32_t start, count;		/* blocks of this process */
	const char *churn;		/* NULL: no files are made */
	int fd, journal;
	uint64_t seq;
	struct prng prng;
	struct stamp now[HISTORY_BLOCKS];	/* what must be read */
	uint8_t *buf;				/* CHUNK_BLOCKS */
};

static volatile sig_atomic_t stopped;

static void
on_term(int sig)
{
	(void)sig;
	stopped = 1;
}

static uint64_t
now_ms(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_REALTIME, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

static void
say(const char *word, uint32_t epoch, uint64_t ms)
{
	if (epoch != 0)
		printf("%s %u %llu\n", word, epoch, (unsigned long long)ms);
	else
		printf("%s %llu\n", word, (unsigned long long)ms);
	(void)fflush(stdout);
}

static _Noreturn void
disk_failed(const char *what)
{
	printf("end %s: %s\n", what, strerror(errno));
	exit(EXIT_DISK);
}

static void
read_blocks(struct writer *w, uint32_t block, uint32_t count)
{
	ssize_t len = (ssize_t)(count * HISTORY_BLOCK), n;

	n = pread(w->fd, w->buf, (size_t)len, (off_t)block * HISTORY_BLOCK);
	if (n < 0)
		disk_failed("read");
	if (n != len) {
		printf("end read %zd of %zd bytes at block %u\n", n, len,
		    block);
		exit(EXIT_WRONG);
	}
}

static void
stamp_read(struct writer *w, uint32_t block, uint32_t i, struct stamp *ret_s)
{
	if (block_check(w->buf + (size_t)i * HISTORY_BLOCK, w->disk, block + i,
	    ret_s))
		return;
	printf("end block %u is torn or foreign\n", block + i);
	exit(EXIT_WRONG);
}

/* ---- opening ---- */

static bool
try_open(struct writer *w, const char *path)
{
	struct flock all = { .l_type = F_WRLCK };

	w->fd = open(path, O_RDWR | O_DIRECT | O_CLOEXEC);
	/* Two hosts may open it, one can have it. */
	if (w->fd >= 0 && fcntl(w->fd, F_OFD_SETLK, &all) == 0)
		return true;
	if (errno != EBUSY && errno != EAGAIN && errno != EINTR)
		disk_failed("open");
	if (w->fd >= 0)
		(void)close(w->fd);
	return false;
}

/* Polls: there is no other way to learn that a file got free. */
static void
open_disk(struct writer *w, const char *path)
{
	uint64_t end = now_ms() + (uint64_t)w->wait_s * 1000;
	struct timespec pause = { .tv_nsec = RETRY_US * 1000L };

	while (!try_open(w, path)) {
		if (stopped || now_ms() > end) {
			printf("end %s is busy\n", path);
			exit(EXIT_BUSY);
		}
		(void)nanosleep(&pause, NULL);
	}
	w->epoch = journal_begin(w->journal, w->host);
	say("open", w->epoch, now_ms());
}

static void
find_all(struct writer *w)
{
	struct record found[CHUNK_BLOCKS];

	for (uint32_t b = 0; b < HISTORY_BLOCKS; b += CHUNK_BLOCKS) {
		read_blocks(w, b, CHUNK_BLOCKS);
		for (uint32_t i = 0; i < CHUNK_BLOCKS; i++) {
			struct stamp *s = &w->now[b + i];

			stamp_read(w, b, i, s);
			found[i] = (struct record){
				.type = RECORD_FOUND, .epoch = w->epoch,
				.seq = s->seq, .found_epoch = s->epoch,
				.block = b + i, .host = w->host,
			};
		}
		journal_put(w->journal, found, CHUNK_BLOCKS);
	}
}

/* ---- writing ---- */

static uint32_t
below(struct writer *w, uint32_t bound)
{
	return (uint32_t)prng_below(&w->prng, bound);
}

static void
write_some(struct writer *w)
{
	uint32_t count = 1 + below(w, WRITE_BLOCKS_MAX);
	uint32_t block = w->start + below(w, w->count - count + 1);
	struct stamp s = { w->epoch, ++w->seq };
	struct record r = {
		.type = RECORD_INTENT, .epoch = w->epoch, .seq = s.seq,
		.block = block, .count = count, .host = w->host,
	};
	size_t len = (size_t)count * HISTORY_BLOCK;
	ssize_t n;

	for (uint32_t i = 0; i < count; i++) {
		block_fill(w->buf + (size_t)i * HISTORY_BLOCK, w->disk,
		    block + i, &s);
		w->now[block + i] = s;
	}
	journal_put(w->journal, &r, 1);
	n = pwrite(w->fd, w->buf, len, (off_t)block * HISTORY_BLOCK);
	if (n != (ssize_t)len)
		disk_failed("write");
}

static void
read_some(struct writer *w)
{
	uint32_t count = 1 + below(w, WRITE_BLOCKS_MAX);
	uint32_t block = w->start + below(w, w->count - count + 1);
	struct stamp s;

	read_blocks(w, block, count);
	for (uint32_t i = 0; i < count; i++) {
		stamp_read(w, block, i, &s);
		if (stamp_eq(&s, &w->now[block + i]))
			continue;
		printf("end block %u: read epoch %u seq %llu, written was "
		    "epoch %u seq %llu\n", block + i, s.epoch,
		    (unsigned long long)s.seq, w->now[block + i].epoch,
		    (unsigned long long)w->now[block + i].seq);
		exit(EXIT_WRONG);
	}
}

static void
flush(struct writer *w)
{
	struct record r = {
		.type = RECORD_FLUSHED, .epoch = w->epoch, .seq = w->seq,
		.block = w->start, .count = w->count, .host = w->host,
	};

	if (fsync(w->fd) < 0)
		disk_failed("flush");
	journal_put(w->journal, &r, 1);
}

/* Files come and go beside the disk: work for journal and replay. */
static void
churn(struct writer *w)
{
	char a[4096], b[4096];
	int fd;

	if (w->churn == NULL)
		return;
	(void)snprintf(a, sizeof(a), "%s/a-%u-%u", w->churn, w->disk,
	    below(w, 8));
	(void)snprintf(b, sizeof(b), "%s/b-%u-%u", w->churn, w->disk,
	    below(w, 8));
	fd = open(a, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
	if (fd < 0)
		disk_failed("create");
	if (write(fd, w->buf, 1 + below(w, HISTORY_BLOCK * 4)) < 0)
		disk_failed("write of a small file");
	if (close(fd) < 0)
		disk_failed("close");
	if (below(w, 2) == 0 ? rename(a, b) < 0 : unlink(a) < 0)
		disk_failed("rename or unlink");
}

static int
write_part(struct writer *w)
{
	struct timespec pace = {
		.tv_sec = w->pace_us / 1000000,
		.tv_nsec = w->pace_us % 1000000 * 1000L,
	};
	bool first = w->start == 0;

	while (!stopped) {
		for (uint32_t n = 1 + below(w, 4); n > 0; n--)
			write_some(w);
		flush(w);
		if (first)
			say("first", 0, now_ms());
		first = false;
		read_some(w);
		if (w->start == 0 && below(w, 8) == 0)
			churn(w);
		(void)nanosleep(&pace, NULL);
	}
	if (close(w->fd) < 0)
		disk_failed("close");
	printf("end by SIGTERM\n");
	return 0;
}

/* The worst status; SIGTERM and the first bad end are for all. */
static int
wait_for(const pid_t *pids, unsigned count)
{
	unsigned left = count;
	int worst = 0, status;

	while (left > 0) {
		if (wait(&status) < 0) {
			if (errno != EINTR)
				return 1;
		} else {
			left--;
			status = WIFEXITED(status) ? WEXITSTATUS(status) : 1;
			worst = status > worst ? status : worst;
		}
		for (unsigned i = 0; i < count && (stopped || worst > 0); i++)
			(void)kill(pids[i], SIGTERM);
	}
	return worst;
}

static int
write_history(struct writer *w, uint64_t seed)
{
	pid_t pids[JOBS_MAX], parent = getpid();

	find_all(w);
	w->count = HISTORY_BLOCKS / w->jobs;
	for (unsigned i = 0; i < w->jobs; i++) {
		w->start = i * w->count;
		pids[i] = fork();
		if (pids[i] < 0)
			return 1;
		if (pids[i] > 0)
			continue;
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (getppid() != parent)
			return 1;
		prng_seed(&w->prng, (seed + w->epoch) * JOBS_MAX + i);
		return write_part(w);
	}
	if (close(w->fd) < 0)
		disk_failed("close");
	return wait_for(pids, w->jobs);
}

/* ---- checking ---- */

static int
check_disk(struct writer *w, const char *path)
{
	struct record *r;
	size_t count = journal_read(w->journal, &r);
	struct model *m = model_new(r, count, stdout);
	unsigned bad;

	w->fd = open(path, O_RDONLY | O_DIRECT | O_CLOEXEC);
	if (w->fd < 0)
		disk_failed("open");
	for (uint32_t b = 0; b < HISTORY_BLOCKS; b += CHUNK_BLOCKS) {
		read_blocks(w, b, CHUNK_BLOCKS);
		for (uint32_t i = 0; i < CHUNK_BLOCKS; i++) {
			struct stamp s;

			stamp_read(w, b, i, &s);
			(void)model_allows(m, b + i, &s, stdout);
		}
	}
	bad = model_violations(m);
	model_free(m);
	free(r);
	return bad > 0 ? EXIT_WRONG : 0;
}

static int
print_flushes(int journal)
{
	struct record *r;
	size_t count = journal_read(journal, &r), flushes = 0;

	for (size_t i = 0; i < count; i++)
		flushes += r[i].type == RECORD_FLUSHED;
	free(r);
	printf("%zu\n", flushes);
	return 0;
}

/* ---- main ---- */

static int
usage(void)
{
	fputs("usage: history write [-d DISK] [-h HOST] [-s SEED] [-j JOBS] "
	    "[-p PACE_US]\n"
	    "           [-w WAIT_S] [-c DIR] JOURNAL FILE\n"
	    "       history check [-d DISK] JOURNAL FILE\n"
	    "       history flushes JOURNAL\n", stderr);
	return 2;
}

static bool
parse(struct writer *w, int argc, char **argv, uint64_t *ret_seed)
{
	int c;

	while ((c = getopt(argc, argv, "d:h:s:j:p:w:c:")) != -1) {
		switch (c) {
		case 'j':
			w->jobs = (unsigned)strtoul(optarg, NULL, 10);
			break;
		case 'd':
			w->disk = (uint32_t)strtoul(optarg, NULL, 10);
			break;
		case 'h':
			w->host = (uint32_t)strtoul(optarg, NULL, 10);
			break;
		case 's':
			*ret_seed = strtoull(optarg, NULL, 10);
			break;
		case 'p':
			w->pace_us = (unsigned)strtoul(optarg, NULL, 10);
			break;
		case 'w':
			w->wait_s = (unsigned)strtoul(optarg, NULL, 10);
			break;
		case 'c':
			w->churn = optarg;
			break;
		default:
			return false;
		}
	}
	return w->jobs > 0 && w->jobs <= JOBS_MAX;
}

static void
catch_term(void)
{
	struct sigaction sa = { .sa_handler = on_term };

	/* No restart: nanosleep ends, requests to the datastore go on. */
	(void)sigaction(SIGTERM, &sa, NULL);
}

int
main(int argc, char **argv)
{
	static struct writer w = { .pace_us = 2000, .jobs = 1 };
	const char *verb = argc > 1 ? argv[1] : "";
	uint64_t seed = 1;

	if (argc < 2 || !parse(&w, argc - 1, argv + 1, &seed))
		return usage();
	argv += optind + 1;
	argc -= optind + 1;
	w.buf = aligned_alloc(HISTORY_BLOCK, CHUNK_BLOCKS * HISTORY_BLOCK);
	if (argc < 1 || w.buf == NULL)
		return usage();
	w.journal = journal_open(argv[0]);
	if (strcmp(verb, "flushes") == 0 && argc == 1)
		return print_flushes(w.journal);
	if (strcmp(verb, "check") == 0 && argc == 2)
		return check_disk(&w, argv[1]);
	if (strcmp(verb, "write") != 0 || argc != 2)
		return usage();
	catch_term();
	open_disk(&w, argv[1]);
	return write_history(&w, seed);
}
