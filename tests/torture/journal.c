/* SPDX-License-Identifier: BSD-2-Clause */
/* Stamped blocks, and the journal that says which ones may be there. */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "libvmfs/base/crc32c.h"
#include "libvmfs/base/prng.h"
#include "tests/torture/history.h"

#define BLOCK_MAGIC 0x59524f5453494856u	/* "VHISTORY" */

struct block_head {
	uint64_t magic, seq;
	uint32_t disk, block, epoch, crc;
};

static uint32_t
block_crc(const uint8_t *buf)
{
	return crc32c(0, buf + sizeof(struct block_head),
	    HISTORY_BLOCK - sizeof(struct block_head));
}

static bool
all_zero(const uint8_t *buf)
{
	return buf[0] == 0 && memcmp(buf, buf + 1, HISTORY_BLOCK - 1) == 0;
}

void
block_fill(uint8_t *buf, uint32_t disk, uint32_t block, const struct stamp *s)
{
	struct block_head h = {
		.magic = BLOCK_MAGIC, .seq = s->seq, .disk = disk,
		.block = block, .epoch = s->epoch,
	};
	struct prng p;

	/* Each sector differs between two stamps, so tearing shows. */
	prng_seed(&p, s->seq << 24 ^ (uint64_t)s->epoch << 48 ^ block);
	prng_fill(&p, buf, HISTORY_BLOCK);
	h.crc = block_crc(buf);
	memcpy(buf, &h, sizeof(h));
}

bool
block_check(const uint8_t *buf, uint32_t disk, uint32_t block,
    struct stamp *ret_s)
{
	struct block_head h;

	if (all_zero(buf)) {
		*ret_s = (struct stamp){ 0 };
		return true;
	}
	memcpy(&h, buf, sizeof(h));
	if (h.magic != BLOCK_MAGIC || h.disk != disk || h.block != block ||
	    h.crc != block_crc(buf))
		return false;
	*ret_s = (struct stamp){ h.epoch, h.seq };
	return true;
}

bool
stamp_eq(const struct stamp *a, const struct stamp *b)
{
	return a->epoch == b->epoch && a->seq == b->seq;
}

static _Noreturn void
die(const char *what)
{
	perror(what);
	exit(1);
}

int
journal_open(const char *path)
{
	int fd = open(path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0644);

	if (fd < 0)
		die(path);
	return fd;
}

void
journal_put(int fd, const struct record *r, size_t count)
{
	ssize_t len = (ssize_t)(count * sizeof(*r));

	if (write(fd, r, (size_t)len) != len)
		die("journal: write");
}

size_t
journal_read(int fd, struct record **ret_r)
{
	struct stat st;
	struct record *r;

	if (fstat(fd, &st) < 0)
		die("journal: stat");
	r = malloc((size_t)st.st_size + 1);
	if (r == NULL || pread(fd, r, (size_t)st.st_size, 0) != st.st_size)
		die("journal: read");
	*ret_r = r;
	return (size_t)st.st_size / sizeof(*r);
}

uint32_t
journal_begin(int fd, uint32_t host)
{
	struct record open = { .type = RECORD_OPEN, .host = host };
	struct record *r;
	size_t count;

	if (flock(fd, LOCK_EX) < 0)
		die("journal: lock");
	count = journal_read(fd, &r);
	for (size_t i = 0; i < count; i++)
		if (r[i].epoch > open.epoch)
			open.epoch = r[i].epoch;
	open.epoch++;
	journal_put(fd, &open, 1);
	free(r);
	(void)flock(fd, LOCK_UN);
	return open.epoch;
}
