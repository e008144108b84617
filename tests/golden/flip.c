/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One bit of each byte of metadata in turn: a mount reads no wrong data, the
 * check ends, its repairs leave nothing to find and nothing that fails.
 * usage: flip SHARE OF   every OF-th byte, beginning with SHARE
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/fuzz/cow_disk.h"
#include "tests/golden/volume.h"

#define BLOCKS_MAX 1024u
#define RING_BLOCKS 12u		/* of a dead host's journal */

struct flip {
	struct volume v;
	struct disk *crashed;
	unsigned long share, of, tried, failed, found;
	/* Each is flipped on one of the two disks. */
	struct {
		uint64_t block;
		struct disk *disk;
	} at[BLOCKS_MAX];
	unsigned count;
	char said[4096];
	bool bad;
};

static void
on_finding(void *arg, const struct check_finding *f)
{
	struct flip *x = arg;
	size_t used = strlen(x->said);

	snprintf(x->said + used, sizeof(x->said) - used, "\n    %s: %s%s",
	    check_rule_name(f->rule), f->text, f->fixed ? " [fixed]" : "");
}

static int
check(struct flip *x, struct disk *d, bool repair, struct check_result *r)
{
	const struct check_conf conf = {
		.env = &x->v.env, .disk = d, .repair = repair, .own_slot = -1,
		.finding = on_finding, .arg = x,
	};

	x->said[0] = '\0';
	*r = (struct check_result){ .found = 0 };
	return check_run(&conf, r);
}

static void
wrong(struct flip *x, unsigned long n, const char *what, const char *why)
{
	uint64_t block = x->at[n / BLOCK_SIZE].block;

	x->bad = true;
	printf("block %llu byte %lu%s: %s: %s\n    reproduce: "
	    "tests/golden/flip %lu %lu\n", (unsigned long long)block,
	    n % BLOCK_SIZE, x->at[n / BLOCK_SIZE].disk == x->crashed ?
	    " of a host that died" : "", what, why, n,
	    (unsigned long)x->count * BLOCK_SIZE);
	fflush(stdout);
}

static struct disk *
flipped(struct flip *x, unsigned long n)
{
	struct disk *d = cow_disk_copy(x->at[n / BLOCK_SIZE].disk);
	uint64_t at = x->at[n / BLOCK_SIZE].block * BLOCK_SIZE;
	uint8_t buf[BLOCK_SIZE];

	if (disk_read(d, at, buf, BLOCK_SIZE) != 0)
		abort();
	buf[n % BLOCK_SIZE] ^= (uint8_t)(1u << (n * 5 / 3 % 8));
	if (disk_write(d, at, buf, BLOCK_SIZE, 0) != 0)
		abort();
	return d;
}

static void
try(struct flip *x, unsigned long n)
{
	struct disk *d = flipped(x, n), *over;
	unsigned any = UINT32_MAX & ~(unsigned)VOL_NO_HOLES;
	struct check_result r;
	char why[256] = "";
	int rc;

	x->bad = false;
	if (!volume_verify(&x->v, d, UINT32_MAX, 0, false, why))
		wrong(x, n, "a mount", why);
	disk_close(d);
	d = flipped(x, n);
	if (disk_overlay_open(d, &over) != 0)
		abort();
	rc = check(x, over, false, &r);
	disk_close(over);
	if (rc != 0)
		wrong(x, n, "check", vmfs_strerror(rc));
	x->found += r.found > 0;
	rc = check(x, d, true, &r);
	if (rc != 0 || r.found != r.fixed)
		wrong(x, n, "repair", rc != 0 ? vmfs_strerror(rc) : x->said);
	rc = check(x, d, false, &r);
	if (rc != 0 || x->said[0] != '\0')
		wrong(x, n, "the second run", rc != 0 ? vmfs_strerror(rc) :
		    x->said);
	if (!volume_verify(&x->v, d, any, 0, true, why))
		wrong(x, n, "after the repair", why);
	disk_close(d);
	x->tried++;
	x->failed += x->bad;
}

static void
add(struct flip *x, struct disk *d, uint64_t block)
{
	if (x->count == BLOCKS_MAX)
		abort();
	x->at[x->count].disk = d;
	x->at[x->count++].block = block;
}

/* Superblocks, two of the slots, and all that carries a header. */
static void
collect(struct flip *x)
{
	static const enum block_type lockable[] = {
		BLOCK_CLUSTER, BLOCK_INODE, 0,
	};
	uint8_t buf[BLOCK_SIZE];
	struct block_hdr h;

	for (uint64_t b = 0; b < x->v.super.blocks; b++) {
		bool slot = b >= SLOT_TABLE_BLOCK &&
		    b < SLOT_TABLE_BLOCK + SLOTS_MAX;
		int rc = -1;

		if (disk_read(x->v.disk, b * BLOCK_SIZE, buf, BLOCK_SIZE) != 0)
			abort();
		for (unsigned i = 0; i < 3 && rc != 0; i++)
			rc = block_hdr_decode(buf, lockable[i],
			    &x->v.super.uuid, b, &h);
		if (slot ? b < SLOT_TABLE_BLOCK + 2 : rc == 0)
			add(x, x->v.disk, b);
	}
	add(x, x->crashed, SLOT_TABLE_BLOCK);
	for (unsigned i = 0; i < RING_BLOCKS; i++)
		add(x, x->crashed, x->v.journal + i);
}

static void
body(void *arg)
{
	struct flip *x = arg;
	unsigned long end;

	volume_make(&x->v);
	x->crashed = volume_clone(x->v.disk);
	volume_crash(&x->v, x->crashed);
	collect(x);
	end = (unsigned long)x->count * BLOCK_SIZE;
	for (unsigned long n = x->share; n < end; n += x->of) {
		try(x, n);
		if (x->tried % 1000 == 0 && x->of <= 64)
			fprintf(stderr, "%lu of %lu bytes, %lu failed\n",
			    x->tried, end / x->of, x->failed);
	}
	printf("%u blocks of metadata: %lu bytes flipped, %lu seen by the "
	    "check, %lu failed\n", x->count, x->tried, x->found, x->failed);
	disk_close(x->crashed);
	volume_free(&x->v);
}

int
main(int argc, char **argv)
{
	struct flip *x = calloc(1, sizeof(*x));
	int status;

	if (argc != 3 || x == NULL || (x->of = strtoul(argv[2], NULL, 10)) ==
	    0) {
		fputs("usage: flip SHARE OF\n", stderr);
		return 2;
	}
	x->share = strtoul(argv[1], NULL, 10);
	volume_run(&x->v, body, x);
	status = x->failed > 0 || x->tried == 0;
	free(x);
	return status;
}
