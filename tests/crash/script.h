/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A sequence of operations on a volume, played on a LUN that remembers all
 * writes, with the truth kept beside it.
 */
#ifndef TESTS_CRASH_SCRIPT_H
#define TESTS_CRASH_SCRIPT_H

#include "tests/crash/box.h"
#include "tests/crash/truth.h"

#define SCRIPT_OPS_MAX 64

/* What else a round varies. */
struct variant {
	uint32_t block_size;	/* of the LUN */
	bool discard;
	bool wrap;		/* the journal is about to start over */
	bool tight;		/* little space is free: it is used again soon */
	bool quota;		/* all names are in a directory with a quota */
};

struct script;
/* Who plays instead of one box. */
struct script_hosts {
	/* Unmounted and mounted again. */
	int (*remount)(struct script *s);
	/* Another one goes on, in good order. */
	int (*move)(struct script *s);
	/* The host is dead, another one goes on. */
	int (*takeover)(struct script *s);
	/* The housekeeper comes by. */
	void (*keep)(struct script *s);
	/* Makes the volume and mounts it: box.fs and box.ds. */
	int (*begin)(struct script *s);
};
extern const struct script_hosts script_box;

struct script {
	const struct script_hosts *hosts;
	void *hosts_arg;
	char name[256];		/* "write,snap,revert" */
	uint64_t round;
	struct variant variant;
	struct pages lun;
	struct events events;
	struct box box;			/* fs and ds: of the host that plays */
	unsigned slot;			/* mounted as, or last */
	uint64_t incarnation[BOX_SLOTS];	/* last ones; 0: never */
	struct truth truth;
	struct deed *deed;
	size_t deeds, max;
	struct prng prng;
	unsigned disk;			/* object that is open ... */
	struct fs_file *f;		/* ... here */
	uint64_t root;			/* directory that has all names */
	uint64_t sub;			/* inode of the directory in it */
	unsigned serial;		/* of names */
	bool full;			/* an operation found no space */
	char problem[512];
};

/* Names of operations; NULL behind the last one. */
const char *script_op_name(unsigned op);
/*
 * Plays a volume's beginning, deed 0, and the operations of `name`, from a
 * fiber; the host is dead afterwards.  The same name and round do the same to
 * the byte.  0 or -EPROTO with the sentence in s->problem; -EINVAL: no such
 * operation.  script_fini in any case.
 */
int script_play(struct script *s, const char *name, uint64_t round)
    MUST_CHECK;
void script_fini(struct script *s);

/* ---- for those who play by themselves ---- */

void script_fail(struct script *s, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* What name and round draw; hosts: one box, to be changed before the start. */
void script_init(struct script *s, const char *name, uint64_t round);
/* Deed 0: a volume with something on it. */
int script_start(struct script *s) MUST_CHECK;
/* One operation by its number. */
int script_op(struct script *s, unsigned op) MUST_CHECK;
unsigned script_ops(void);
/* For script_hosts: opens and closes the disk that is always open. */
int script_open_disk(struct script *s) MUST_CHECK;
int script_close_disk(struct script *s) MUST_CHECK;

#endif
