/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One round of one cell of bench/format.sh: the file system's core on a file
 * LUN, without FUSE and without other hosts.  Prints "NAME VALUE" lines.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "libvmfs/base/prng.h"
#include "libvmfs/base/units.h"
#include "libvmfs/core/fs.h"
#include "libvmfs/core/mkds.h"
#include "libvmfs/env/reactor.h"

#define IO_SIZE 4096u
#define STRIDE CHUNK_SIZE	/* each write meets a chunk of its own */
#define SNAPSHOTS 32
#define DEPTH 32

/* Forwards; counts; forgets writes from the buffer `drop`. */
struct tally {
	struct disk disk;
	struct disk *below;
	uint64_t read, written;		/* bytes */
	const void *drop;
};

struct bench {
	const char *lun;
	struct env env;
	struct log log;
	struct prng prng;
	struct tally tally;
	struct super super;
	struct lockops *locks;
	struct ds *ds;
	struct fs *fs;
	uint8_t *mib;			/* a MiB of data */
	const char *cell;
	uint64_t disk_size;		/* of the disk that is written */
};

static _Noreturn void
die(const char *what, int error)
{
	fprintf(stderr, "format_load: %s: %s\n", what, vmfs_strerror(error));
	exit(1);
}

static void
must(int rc, const char *what)
{
	if (rc < 0)
		die(what, rc);
}

static void
say(const char *name, double value)
{
	printf("%s %.6g\n", name, value);
}

/* ---- the disk in between ---- */

static void
tally_submit(struct disk *d, struct disk_req *req)
{
	struct tally *t = (struct tally *)(void *)d;

	if (req->op == DISK_WRITE && t->drop != NULL &&
	    req->iov[0].iov_base == t->drop) {
		disk_complete(req, 0);
		return;
	}
	if (req->op == DISK_WRITE)
		t->written += req->length;
	else if (req->op == DISK_READ)
		t->read += req->length;
	disk_submit(t->below, req);
}

static const struct disk_ops tally_ops = { .submit = tally_submit };

/* ---- a datastore on it ---- */

static void
bench_open(struct bench *b)
{
	struct ds_conf conf = {
		.env = &b->env, .disk = &b->tally.disk, .discard = false,
	};
	int rc;

	must(lock_local_new(&b->env, &b->tally.disk, &b->super, &b->locks),
	    "locks");
	conf.locks = b->locks;
	rc = ds_open(&conf, &b->ds);
	must(rc, "ds_open");
	must(fs_open(b->ds, &b->fs), "fs_open");
}

static void
bench_close(struct bench *b)
{
	must(fs_close(b->fs), "fs_close");
	must(ds_close(b->ds), "ds_close");
	lock_local_free(b->locks);
}

static void
bench_make(struct bench *b)
{
	const struct mkds_conf conf = { .label = "bench" };

	must(mkds_plan(&b->tally.disk.info, &conf, &b->super), "plan");
	must(mkds_write(&b->env, &b->tally.disk, &conf, &b->super), "mkfs");
}

/* ---- disks ---- */

static uint64_t
disk_make(struct bench *b, const char *name, uint64_t size)
{
	struct fs_attr a;

	must(fs_create(b->fs, fs_root(b->fs), name, INODE_DISK, 0600, 0, 0,
	    size, &a), name);
	return a.ino;
}

static struct fs_file *
disk_open_rw(struct bench *b, uint64_t ino)
{
	struct fs_file *f;

	must(fs_file_open(b->fs, ino, 0, FS_READ | FS_WRITE, &f, NULL),
	    "open");
	return f;
}

/* Every block is written, MiB by MiB. */
static void
disk_fill(struct bench *b, struct fs_file *f, uint64_t size)
{
	for (uint64_t at = 0; at < size; at += MIB)
		must(fs_file_write(f, at, b->mib, MIB), "fill");
	must(fs_file_flush(f), "flush");
}

static void
snapshot(struct bench *b, uint64_t ino, unsigned n)
{
	struct fs_snapshot s;
	char name[32];

	snprintf(name, sizeof(name), "s%u", n);
	must(fs_snapshot_create(b->fs, ino, name, &s, NULL), "snapshot");
	must(ds_commit(b->ds), "commit");
}

/* ---- load: so many requests, `depth` in flight ---- */

struct load {
	struct bench *b;
	struct fs_file *f;
	uint64_t count, next, mul;	/* i-th place is i * mul % count */
	uint64_t stop;			/* where this batch ends */
	unsigned running;
	bool write;
	struct fiber *waiter;
};

static void
load_fiber(void *arg)
{
	struct load *l = arg;
	uint8_t *buf = disk_buf_alloc(IO_SIZE);
	size_t n;

	if (buf == NULL)
		die("buffer", -ENOMEM);
	memset(buf, 0x5a, IO_SIZE);
	while (l->next < l->stop) {
		uint64_t i = l->next++, k = i * l->mul % l->count;
		uint64_t off = k * STRIDE + k % 16 * IO_SIZE;

		if (l->write)
			must(fs_file_write(l->f, off, buf, IO_SIZE), "write");
		else
			must(fs_file_read(l->f, off, buf, IO_SIZE, &n),
			    "read");
	}
	free(buf);
	if (--l->running == 0)
		fiber_unpark(l->waiter);
}

static void
load_batch(struct load *l, uint64_t stop, unsigned depth)
{
	l->stop = stop;
	l->running = depth;
	l->waiter = fiber_self();
	for (unsigned i = 0; i < depth; i++)
		must(sched_spawn(l->b->env.sched, "load", load_fiber, l),
		    "fiber");
	while (l->running > 0)
		fiber_park();
}

/* Requests a second; 4 KiB to each chunk of the disk once, in no order. */
static double
load_run(struct bench *b, struct fs_file *f, bool write, unsigned depth,
    bool flush)
{
	struct load l = {
		.b = b, .f = f, .write = write,
		.count = b->disk_size / STRIDE, .mul = 7919,
	};
	uint64_t total = depth == 1 ? l.count / 4 : l.count;
	uint64_t begin = env_now(&b->env);

	while (l.next < total) {
		uint64_t stop = flush ? l.next + 32 : total;

		load_batch(&l, stop < total ? stop : total, depth);
		if (flush)
			must(fs_file_flush(f), "flush");
	}
	return (double)total * 1e9 / (double)(env_now(&b->env) - begin);
}

struct mode {
	const char *name;
	unsigned depth;
	bool flush;
};
static const struct mode modes[] = {
	{ "1", 1, false }, { "32", DEPTH, false }, { "32f", DEPTH, true },
};
#define MODES (sizeof(modes) / sizeof(modes[0]))

static void
say_mode(const char *what, const struct mode *m, double v)
{
	char name[64];

	snprintf(name, sizeof(name), "%s-%s", what, m->name);
	say(name, v);
}

/* ---- cells ---- */

/* Scattered writes to a full disk, then the same right after a snapshot. */
static void
cell_snapwrite(struct bench *b)
{
	for (size_t i = 0; i < MODES; i++) {
		const struct mode *m = &modes[i];
		uint64_t ino = disk_make(b, m->name, b->disk_size);
		struct fs_file *f = disk_open_rw(b, ino);

		disk_fill(b, f, b->disk_size);
		say_mode("before", m, load_run(b, f, true, m->depth,
		    m->flush));
		must(fs_file_flush(f), "flush");
		snapshot(b, ino, 1);
		say_mode("after", m, load_run(b, f, true, m->depth,
		    m->flush));
		must(fs_file_close(f), "close");
		must(fs_unlink(b->fs, fs_root(b->fs), m->name, NULL), "rm");
	}
}

/* First and second write to a thin disk. */
static void
cell_first(struct bench *b)
{
	for (size_t i = 0; i < MODES; i++) {
		const struct mode *m = &modes[i];
		uint64_t ino = disk_make(b, m->name, b->disk_size);
		struct fs_file *f = disk_open_rw(b, ino);

		say_mode("first", m, load_run(b, f, true, m->depth,
		    m->flush));
		must(fs_file_flush(f), "flush");
		say_mode("second", m, load_run(b, f, true, m->depth,
		    m->flush));
		must(fs_file_close(f), "close");
		must(fs_unlink(b->fs, fs_root(b->fs), m->name, NULL), "rm");
	}
}

/* A part of the disk changes between two snapshots. */
static void
disk_age(struct bench *b, uint64_t ino, struct fs_file *f)
{
	uint8_t *buf = disk_buf_alloc(IO_SIZE);
	uint64_t chunks = b->disk_size / STRIDE;

	if (buf == NULL)
		die("buffer", -ENOMEM);
	for (unsigned s = 0; s < SNAPSHOTS; s++) {
		snapshot(b, ino, s);
		for (uint64_t i = 0; i < chunks / 64; i++) {
			uint64_t k = prng_u64(&b->prng) % chunks;

			must(fs_file_write(f, k * STRIDE + k % 16 * IO_SIZE,
			    buf, IO_SIZE), "write");
		}
		must(fs_file_flush(f), "flush");
	}
	free(buf);
}

/* Random reads of a disk with 32 snapshots and of one without. */
static void
cell_read(struct bench *b)
{
	uint64_t plain = disk_make(b, "plain", b->disk_size);
	uint64_t aged = disk_make(b, "aged", b->disk_size);
	struct fs_file *p = disk_open_rw(b, plain);
	struct fs_file *a = disk_open_rw(b, aged);

	disk_fill(b, p, b->disk_size);
	disk_fill(b, a, b->disk_size);
	disk_age(b, aged, a);
	for (size_t i = 0; i < 2; i++) {
		double plain_sum = 0, aged_sum = 0;

		/* The first touch of a node is not what is measured; and in
		 * turns, as what else the machine does comes and goes. */
		(void)load_run(b, p, false, DEPTH, false);
		(void)load_run(b, a, false, DEPTH, false);
		for (int k = 0; k < 8; k++) {
			plain_sum += 1 / load_run(b, p, false,
			    modes[i].depth, false);
			aged_sum += 1 / load_run(b, a, false,
			    modes[i].depth, false);
		}
		say_mode("plain", &modes[i], 8 / plain_sum);
		say_mode("through", &modes[i], 8 / aged_sum);
	}
	must(fs_file_close(p), "close");
	must(fs_file_close(a), "close");
}

static void
cell_delete(struct bench *b)
{
	uint64_t ino = disk_make(b, "aged", b->disk_size), begin;
	struct fs_file *f = disk_open_rw(b, ino);
	struct fs_snapshot s;

	disk_fill(b, f, b->disk_size);
	disk_age(b, ino, f);
	must(fs_snapshot_find(b->fs, ino, "s0", &s), "find");
	say("freed-mib", (double)s.alone_bytes / (double)MIB);
	b->tally.read = b->tally.written = 0;
	begin = env_now(&b->env);
	must(fs_snapshot_delete(b->fs, ino, s.id, NULL), "delete");
	must(ds_commit(b->ds), "commit");
	say("delete-ms", (double)(env_now(&b->env) - begin) / 1e6);
	say("read-mib", (double)b->tally.read / (double)MIB);
	say("written-mib", (double)b->tally.written / (double)MIB);
	must(fs_file_close(f), "close");
}

static int
by_value(const void *x, const void *y)
{
	double a = *(const double *)x, b = *(const double *)y;

	return a < b ? -1 : a > b;
}

/* Snapshots of disks of three sizes in turn, a few writes between them. */
static void
cell_snaptime(struct bench *b)
{
	static const struct { const char *name; uint64_t size; } disks[] = {
		{ "1G", 1ull << 30 }, { "1T", 1ull << 40 },
		{ "62T", 62ull << 40 },
	};
	enum { ROUNDS = 21, DISKS = sizeof(disks) / sizeof(disks[0]) };
	double ms[DISKS][ROUNDS];
	uint64_t ino[DISKS];
	struct fs_file *f[DISKS];

	for (unsigned d = 0; d < DISKS; d++) {
		ino[d] = disk_make(b, disks[d].name, disks[d].size);
		f[d] = disk_open_rw(b, ino[d]);
	}
	for (unsigned i = 0; i < ROUNDS * DISKS; i++) {
		unsigned d = i % DISKS;
		uint64_t begin;

		for (unsigned k = 0; k < 64; k++)
			must(fs_file_write(f[d], prng_u64(&b->prng) %
			    (disks[d].size / IO_SIZE) * IO_SIZE, b->mib,
			    IO_SIZE), "write");
		must(fs_file_flush(f[d]), "flush");
		begin = env_now(&b->env);
		snapshot(b, ino[d], i);
		ms[d][i / DISKS] = (double)(env_now(&b->env) - begin) / 1e6;
	}
	for (unsigned d = 0; d < DISKS; d++) {
		qsort(ms[d], ROUNDS, sizeof(double), by_value);
		say(disks[d].name, ms[d][ROUNDS / 2]);
		must(fs_file_close(f[d]), "close");
	}
}

/* ---- what metadata costs; nothing of the data is written ---- */

static double
meta_mib(struct bench *b, const struct ds_space *before, uint64_t data)
{
	struct ds_space now;

	must(ds_checkpoint(b->ds, 0), "checkpoint");
	must(ds_space(b->ds, &now), "space");
	/* And a cluster block for each cluster of the data. */
	return ((double)(before->free_bytes - now.free_bytes - data) +
	    (double)data / b->super.cluster_blocks) / (double)MIB;
}

static void
cell_meta(struct bench *b)
{
	double per_tib = (double)(1ull << 40) / (double)b->disk_size;
	struct ds_space before;
	struct fs_file *f;
	uint64_t ino;

	b->tally.drop = b->mib;
	must(ds_space(b->ds, &before), "space");
	f = disk_open_rw(b, disk_make(b, "whole", b->disk_size));
	disk_fill(b, f, b->disk_size);
	say("unshared", meta_mib(b, &before, b->disk_size) * per_tib);
	must(fs_file_close(f), "close");
	must(ds_space(b->ds, &before), "space");
	ino = disk_make(b, "shattered", b->disk_size);
	f = disk_open_rw(b, ino);
	for (uint64_t at = 0; at < b->disk_size; at += STRIDE)
		must(fs_file_write(f, at, b->mib, IO_SIZE), "write");
	say("shattered", meta_mib(b, &before, b->disk_size) * per_tib);
	must(fs_file_close(f), "close");
}

/* ---- a big volume ---- */

static void
cell_allocate(struct bench *b)
{
	struct fs_file *f = disk_open_rw(b, disk_make(b, "big",
	    b->disk_size));

	must(fs_file_allocate(f, 0, b->disk_size), "allocate");
	must(fs_file_close(f), "close");
}

static void
cell_mount(struct bench *b)
{
	uint8_t *buf = disk_buf_alloc(IO_SIZE);
	struct fs_attr a;
	uint64_t begin;
	struct fs_file *f;
	size_t n;

	begin = env_now(&b->env);
	must(super_read(&b->tally.disk, &b->super), "super");
	bench_open(b);
	must(fs_resolve(b->fs, "/big", &a), "big");
	f = disk_open_rw(b, a.ino);
	must(fs_file_write(f, a.size / 2, b->mib, IO_SIZE), "write");
	must(fs_file_flush(f), "flush");
	must(fs_file_read(f, 0, buf, IO_SIZE, &n), "read");
	say("mount-ms", (double)(env_now(&b->env) - begin) / 1e6);
	must(fs_file_close(f), "close");
	bench_close(b);
	free(buf);
}

static const struct cell {
	const char *name;
	void (*run)(struct bench *b);
	bool fresh;		/* on a new datastore that is mounted */
} cells[] = {
	{ "snapwrite", cell_snapwrite, true },
	{ "first", cell_first, true },
	{ "read", cell_read, true },
	{ "delete", cell_delete, true },
	{ "snaptime", cell_snaptime, true },
	{ "meta", cell_meta, true },
	{ "allocate", cell_allocate, true },
	{ "mount", cell_mount, false },
};

static int
bench_main(void *arg)
{
	struct bench *b = arg;
	const struct cell *c = NULL;

	for (size_t i = 0; i < sizeof(cells) / sizeof(cells[0]); i++)
		if (strcmp(cells[i].name, b->cell) == 0)
			c = &cells[i];
	if (c == NULL)
		return -EINVAL;
	b->log = (struct log){
		.level = LOG_LEVEL_WARN, .sink = log_sink_stderr,
	};
	env_posix_init(&b->env, sched_current(), &b->log);
	prng_seed(&b->prng, 1);
	must(disk_file_open(b->lun, 0, &b->tally.below), b->lun);
	b->tally.disk.ops = &tally_ops;
	b->tally.disk.info = b->tally.below->info;
	b->mib = disk_buf_alloc(MIB);
	if (b->mib == NULL)
		return -ENOMEM;
	memset(b->mib, 0xa5, MIB);
	if (c->fresh) {
		bench_make(b);
		bench_open(b);
	}
	c->run(b);
	if (c->fresh)
		bench_close(b);
	disk_close(b->tally.below);
	free(b->mib);
	say("cpu-s", (double)clock() / CLOCKS_PER_SEC);
	return 0;
}

int
main(int argc, char **argv)
{
	struct bench b = { 0 };

	if (argc != 4 || size_parse(argv[3], &b.disk_size) < 0) {
		fprintf(stderr, "usage: format_load CELL LUN DISK_SIZE\n");
		return 2;
	}
	b.cell = argv[1];
	b.lun = argv[2];
	return reactor_run_main(bench_main, &b) < 0;
}
