/* SPDX-License-Identifier: BSD-2-Clause */
/* Disks that share space, and what they must go on to say. */
#include <atf-c.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libvmfs/base/crc32c.h"
#include "tests/unit/core_family_rig.h"

static uint32_t
below(struct family *m, uint32_t n)
{
	return (uint32_t)prng_below(&m->p, n);
}

void
scribble(struct family *m, unsigned i, unsigned times)
{
	static const size_t len[] = { 4096, 12288, 65536, 300000, 1 << 20 };

	while (times-- > 0) {
		size_t n = len[below(m, 5)];
		uint64_t off = below(m, (uint32_t)((DISK_SIZE - n) / 512)) *
		    (uint64_t)512;

		if (n >= 65536 && below(m, 2) == 0)
			off &= ~(MIB - 1);
		if (below(m, 12) == 0)
			ATF_REQUIRE_EQ(fs_file_punch(m->f[i], off, n), 0);
		else
			rig_fill(m->f[i], off, n, (uint8_t)(1 + below(m,
			    255)));
	}
}

static void
seen_add(struct family *m, uint64_t ino, uint64_t disk, uint32_t id)
{
	m->seen[m->n_seen++] = (struct tree_seen){
		.ino = ino, .disk = disk, .id = id,
	};
}

uint64_t
snapshot(struct family *m, unsigned i, unsigned n)
{
	struct lock_holder holder;
	struct fs_snapshot s;
	char name[16];

	(void)snprintf(name, sizeof(name), "s%u", n);
	ATF_REQUIRE_EQ(fs_snapshot_create(m->b->r.fs, m->disk[i], name, &s,
	    &holder), 0);
	seen_add(m, s.ino, m->disk[i], s.id);
	return s.ino;
}

void
disk_add(struct family *m, uint64_t ino)
{
	m->disk[m->n] = ino;
	m->f[m->n++] = rig_open(&m->b->r, ino, FS_READ | FS_WRITE);
	seen_add(m, ino, ino, 0);
}

void
clone_add(struct family *m, uint64_t snapshot)
{
	struct lock_holder holder;
	struct fs_attr a;
	char name[16];

	(void)snprintf(name, sizeof(name), "clone%u", m->n);
	ATF_REQUIRE_EQ(fs_clone(m->b->r.fs, snapshot, m->b->r.root, name, 0644,
	    0, 0, &a, &holder), 0);
	disk_add(m, a.ino);
}

/* A disk, clones of some snapshots, clones of clones; all are written. */
void
family_grow(struct family *m)
{
	disk_add(m, rig_create(&m->b->r, "vm", INODE_DISK, DISK_SIZE));
	scribble(m, 0, 40);
	for (unsigned n = 0; n < SNAPSHOTS; n++)
		for (unsigned i = 0; i < m->n; i++) {
			uint64_t s = snapshot(m, i, n);

			if (m->n < DISKS && below(m, 3) == 0)
				clone_add(m, s);
			scribble(m, i, below(m, 10));
		}
}

static void
tree_crc(struct family *m, const struct tree_seen *s, uint32_t *ret_crc)
{
	struct fs_file *f = rig_open(&m->b->r, s->ino, FS_READ);
	uint8_t *buf = disk_buf_alloc(MIB);
	size_t n;

	for (unsigned i = 0; i < DISK_SIZE / MIB; i++) {
		ATF_REQUIRE_EQ(fs_file_read(f, i * MIB, buf, MIB, &n), 0);
		ATF_REQUIRE_EQ(n, MIB);
		ret_crc[i] = crc32c(0, buf, MIB);
	}
	free(buf);
	rig_close(f);
}

void
family_look(struct family *m)
{
	for (unsigned i = 0; i < m->n_seen; i++)
		tree_crc(m, &m->seen[i], m->seen[i].crc);
	for (unsigned i = 0; i < m->n; i++)
		ATF_REQUIRE_EQ(fs_held(m->b->r.fs, m->disk[i], &m->held[i]),
		    0);
}

void
family_expect(struct family *m)
{
	uint32_t crc[DISK_SIZE / MIB];
	uint64_t held;

	for (unsigned i = 0; i < m->n_seen; i++) {
		tree_crc(m, &m->seen[i], crc);
		ATF_CHECK_MSG(memcmp(crc, m->seen[i].crc, sizeof(crc)) == 0,
		    "tree %u", i);
	}
	for (unsigned i = 0; i < m->n; i++) {
		ATF_REQUIRE_EQ(fs_held(m->b->r.fs, m->disk[i], &held), 0);
		ATF_CHECK_EQ_MSG(held, m->held[i], "disk %u", i);
	}
}

void
family_expect_away(struct family *m)
{
	unsigned what;

	for (unsigned i = 0; i < m->n_seen; i++) {
		ATF_REQUIRE_EQ(fs_lies_on_leaving(m->b->r.fs, m->seen[i].ino,
		    &what), 0);
		ATF_CHECK_MSG((what & FS_LIES_CONTENT) == 0, "tree %u", i);
	}
}

int
family_evacuate(struct family *m)
{
	struct fs_evacuation e;

	return fs_evacuate(m->f, m->n, NULL, &e);
}

/* Snapshots without clones go, in any order; the others are as before. */
void
family_shrink(struct family *m)
{
	for (unsigned k = 0; k < 6; k++) {
		unsigned i = below(m, m->n_seen);
		struct lock_holder holder;

		if (m->seen[i].id == 0 || fs_snapshot_delete(m->b->r.fs,
		    m->seen[i].disk, m->seen[i].id, &holder) != 0)
			continue;
		m->seen[i] = m->seen[--m->n_seen];
	}
	for (unsigned i = 0; i < m->n; i++)
		ATF_REQUIRE_EQ(fs_held(m->b->r.fs, m->disk[i], &m->held[i]),
		    0);
}

void
family_close(struct family *m)
{
	for (unsigned i = 0; i < m->n; i++)
		rig_close(m->f[i]);
}

/* Metadata that comes later has room on the first LUN: inodes do not move. */
static void
keep_room(struct box *b)
{
	char name[16];

	for (unsigned i = 0; i < 200; i++) {
		(void)snprintf(name, sizeof(name), "room%u", i);
		rig_create(&b->r, name, INODE_FILE, 0);
	}
	for (unsigned i = 0; i < 200; i++) {
		(void)snprintf(name, sizeof(name), "room%u", i);
		rig_unlink(&b->r, name);
	}
	ATF_REQUIRE_EQ(ds_checkpoint(b->r.f.ds, 0), 0);
}

void
fill_first(struct box *b, unsigned leave_mib)
{
	uint64_t ino = rig_create(&b->r, "fill", INODE_DISK, GIB);
	struct fs_file *f = rig_open(&b->r, ino, FS_READ | FS_WRITE);
	uint64_t off = 0;

	if (leave_mib > 0)
		keep_room(b);
	while (rig_free_bytes(&b->r) > leave_mib * MIB + CHUNK_SIZE &&
	    fs_file_allocate(f, off, MIB) == 0)
		off += MIB;
	while (leave_mib == 0 && fs_file_allocate(f, off, CHUNK_SIZE) == 0)
		off += CHUNK_SIZE;
	rig_close(f);
}

void
leave(struct box *b)
{
	struct lock_holder holder;

	ATF_REQUIRE_EQ(add(b, 2), 0);
	ATF_REQUIRE_EQ(fs_extent_leave(b->r.fs, 1, true, &holder), 0);
}
