/* SPDX-License-Identifier: BSD-2-Clause */
/* See core_fs_rig.h. */
#include <atf-c.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libvmfs/check/check.h"
#include "tests/unit/core_fs_rig.h"

struct job {
	uint64_t size;
	void (*fn)(struct rig *r);
};

void
rig_mount(struct rig *r)
{
	ATF_REQUIRE_EQ(fixture_mount(&r->f), 0);
	ATF_REQUIRE_EQ(fs_open(r->f.ds, &r->fs), 0);
	r->root = fs_root(r->fs);
}

static void
show_finding(void *arg, const struct check_finding *f)
{
	(void)arg;
	fprintf(stderr, "%s: %s\n", check_rule_name(f->rule), f->text);
}

void
rig_check(struct rig *r)
{
	struct check_result res;
	const struct check_conf conf = {
		.env = &r->f.env,
		.disk = r->f.disk,
		.extents = r->f.conf.extents,
		.own_slot = -1,
		.finding = show_finding,
	};

	ATF_REQUIRE_EQ(check_run(&conf, &res), 0);
	ATF_REQUIRE_MSG(res.found == 0, "%llu findings",
	    (unsigned long long)res.found);
}

void
rig_umount(struct rig *r)
{
	ATF_REQUIRE_EQ(fs_close(r->fs), 0);
	ATF_REQUIRE_EQ(fixture_umount(&r->f), 0);
	rig_check(r);
}

void
rig_remount(struct rig *r)
{
	rig_umount(r);
	rig_mount(r);
}

static int
job_main(void *arg)
{
	struct job *j = arg;
	struct rig *r = calloc(1, sizeof(*r));
	struct disk *d;

	ATF_REQUIRE(r != NULL);
	ATF_REQUIRE_EQ(disk_mem_open(j->size, 512, &d), 0);
	fixture_init(&r->f, d, true);
	rig_mount(r);
	j->fn(r);
	rig_umount(r);
	disk_close(d);
	free(r);
	return 0;
}

void
rig_run(uint64_t size, void (*fn)(struct rig *r))
{
	struct job j = { size, fn };

	fixture_run(job_main, &j);
}

uint64_t
rig_create(struct rig *r, const char *name, enum inode_type type,
    uint64_t size)
{
	struct fs_attr a;

	ATF_REQUIRE_EQ(fs_create(r->fs, r->root, name, type, 0644, 0, 0, size,
	    &a), 0);
	return a.ino;
}

struct fs_file *
rig_open(struct rig *r, uint64_t ino, unsigned flags)
{
	struct fs_file *f;

	ATF_REQUIRE_EQ(fs_file_open(r->fs, ino, 0, flags, &f, NULL), 0);
	return f;
}

void
rig_close(struct fs_file *f)
{
	ATF_REQUIRE_EQ(fs_file_close(f), 0);
}

void
rig_unlink(struct rig *r, const char *name)
{
	ATF_REQUIRE_EQ(fs_unlink(r->fs, r->root, name, NULL), 0);
}

void
rig_fill(struct fs_file *f, uint64_t off, size_t len, uint8_t v)
{
	uint8_t *buf = malloc(len);

	ATF_REQUIRE(buf != NULL);
	memset(buf, v, len);
	ATF_REQUIRE_EQ(fs_file_write(f, off, buf, len), 0);
	free(buf);
}

unsigned
rig_fill_up(struct fs_file *f, unsigned from)
{
	uint8_t *buf = disk_buf_alloc(MIB);
	unsigned n = from;
	int rc = 0;

	while (rc == 0) {
		memset(buf, (int)n, MIB);
		rc = fs_file_write(f, (uint64_t)n * MIB, buf, MIB);
		n += rc == 0;
	}
	ATF_REQUIRE_EQ(rc, -ENOSPC);
	free(buf);
	return n - from;
}

void
rig_expect(struct fs_file *f, uint64_t off, size_t len, uint8_t v)
{
	uint8_t *buf = malloc(len);
	size_t n;

	ATF_REQUIRE(buf != NULL);
	ATF_REQUIRE_EQ(fs_file_read(f, off, buf, len, &n), 0);
	ATF_REQUIRE_EQ(n, len);
	for (size_t i = 0; i < len; i++)
		ATF_REQUIRE_MSG(buf[i] == v, "byte %zu is %u, not %u",
		    (size_t)off + i, buf[i], v);
	free(buf);
}

static void
fast_again(struct disk_req *req)
{
	(void)req;
	atf_tc_fail("it has failed");
}

static void
fast_done(struct disk_req *req)
{
	*(bool *)req->arg = true;
}

static bool
fast(struct fs_file *f, enum disk_op op, uint64_t off, size_t len, uint8_t v)
{
	uint8_t *buf = disk_buf_alloc(len);
	struct iovec iov = { buf, len };
	bool done = false, begun;
	struct disk_req req = { .op = op, .offset = off, .length = len,
		.iov = &iov, .iovcnt = 1, .done = fast_done, .arg = &done };

	ATF_REQUIRE(buf != NULL);
	memset(buf, v, len);
	begun = fs_file_fast(f, &req, fast_again);
	while (begun && !done)
		fiber_yield();
	ATF_REQUIRE_EQ(req.result, 0);
	free(buf);
	return begun;
}

bool
rig_fast_read(struct fs_file *f, uint64_t off, size_t len)
{
	return fast(f, DISK_READ, off, len, 0);
}

bool
rig_fast_write(struct fs_file *f, uint64_t off, size_t len, uint8_t v)
{
	return fast(f, DISK_WRITE, off, len, v);
}

uint64_t
rig_free_bytes(struct rig *r)
{
	struct fs_statfs s;

	ATF_REQUIRE_EQ(fs_statfs(r->fs, 0, &s), 0);
	return s.free_bytes;
}

/* ---- keys ---- */

struct wrapping_key rig_key[2];
static unsigned keys_known;

static int
key_find(void *arg, const uint8_t id[KEY_ID_SIZE], struct wrapping_key *ret_k)
{
	(void)arg;
	for (unsigned i = 0; i < 2; i++)
		if (keys_known & 1u << i &&
		    memcmp(id, rig_key[i].id, KEY_ID_SIZE) == 0) {
			*ret_k = rig_key[i];
			return 0;
		}
	return -ENOKEY;
}

void
rig_keys(struct fs *fs, unsigned which)
{
	static const char *const secret[2] = {
		"the first key of the tests' disks",
		"another key, for the second time.",
	};
	static const struct fs_keys ring = { .find = key_find };

	for (unsigned i = 0; i < 2; i++)
		ATF_REQUIRE_EQ(0, wrapping_key_derive(secret[i],
		    strlen(secret[i]), &rig_key[i]));
	keys_known = which;
	fs_set_keys(fs, &ring);
}
