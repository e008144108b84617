/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What other threads may know of an open file (R2): where its blocks lie, as
 * far as the owner of the datastore has told, behind a gate.
 *
 * A thread enters the gate, looks up, has the disk read or write there, and
 * leaves.  The owner closes the gate before anything happens to the file that
 * a write or read under way must not meet; that waits until all have left.  A
 * map change that moves no block which others may write only has the entries
 * forgotten: who has looked up before reads what was there before, which is
 * as good as having been quicker.
 */
#ifndef VMFS_CORE_VIEW_H
#define VMFS_CORE_VIEW_H

#include "libvmfs/env/sched.h"
#include "libvmfs/format/mapnode.h"

struct view;

/* Blocks of one MiB and of one chunk: states of mapnode.h. */
struct view_entry {
	enum map_state state;	/* HOLE, HUGE or SPLIT */
	struct map_chunk c;	/* HUGE: own is the chunk at the MiB's start */
	bool writable;		/* valid blocks may be written in place */
};

struct view_part {
	bool data;		/* false: zeroes, only when read */
	uint64_t phys, len;	/* bytes */
};
#define VIEW_PARTS_MAX 8u

/* ---- the owner ---- */

/* Its table takes about so many bytes at most: then all is forgotten.  NULL: no
 * memory. */
struct view *view_new(struct sched *owner, size_t bytes_max);
/* Nobody is inside.  NULL is fine. */
void view_free(struct view *v);
/* Nobody is inside when it returns, nor gets in until as many calls of
 * view_open.  Suspends. */
void view_close(struct view *v);
void view_open(struct view *v);
/* What is known of [off, off + len), rounded to whole chunks, or MiB where these
 * lie in one piece.  Does not suspend: who is inside may go on with it. */
void view_forget(struct view *v, uint64_t off, uint64_t len);
/* Of the MiB or chunk at off.  Without memory it stays unknown. */
void view_learn(struct view *v, uint64_t off, const struct view_entry *e);
/* Nothing behind it is read or written. */
void view_set_size(struct view *v, uint64_t size);
/* Of the inode that it is about to learn of. */
void view_set_generation(struct view *v, uint32_t generation);
/* When it was last written through it, once; 0: not since the last call. */
uint64_t view_written(struct view *v);

/* ---- any thread ---- */

/* False: the gate is closed.  Else view_leave must follow. */
bool view_enter(struct view *v) MUST_CHECK;
void view_leave(struct view *v);
/* Inside: how many parts [off, off + len) has; 0: it is not known, has too
 * many, or is not to be written by others than the owner. */
unsigned view_find(struct view *v, uint64_t off, uint64_t len, bool write,
    struct view_part parts[VIEW_PARTS_MAX]);
/* Inside: of which inode that is what view_find has said before. */
uint32_t view_generation(const struct view *v);
/* Inside: it was written.  wall_us is not 0. */
void view_wrote(struct view *v, uint64_t wall_us);

#endif
