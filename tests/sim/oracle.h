/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What guests were promised: for each sector of each disk the value that a
 * flush covered last and what was written after it.  A sector may show the
 * first or any of the others, never anything else (I3, I4); once somebody has
 * read it, it stays at what was read.  Snapshots show what they showed (I7).
 *
 * A sector holds one word over and over: its disk, its place, and the number
 * of the write that made it, which is never used twice.
 */
#ifndef VMFS_SIM_ORACLE_H
#define VMFS_SIM_ORACLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ORACLE_SECTOR 512u
#define ORACLE_DISKS 12u
#define ORACLE_SNAPS 4u
#define ORACLE_ALTS 3u

struct oracle_sector {
	uint64_t flushed;	/* word, 0: zeroes */
	uint32_t since;		/* writes numbered up to it are not pending */
	uint32_t issued;	/* the newest write; 0: none since */
	uint64_t last;		/* word that the newest of them left */
	bool zeroed;		/* a punch is among those since */
	unsigned alts;		/* reverts of unknown outcome are */
	uint64_t alt[ORACLE_ALTS];
	bool unsure;		/* which of them it shows is not known */
	bool lost;		/* its space may show anything until the host
				 * that wrote it has noticed and died */
};

/* Whether something exists that an operation of unknown outcome may have
 * made or removed. */
enum oracle_being {
	BEING_NOT,
	BEING_MAYBE,
	BEING_SURE,
};

struct oracle_snap {
	enum oracle_being being;
	bool doomed;		/* half deleted: finished at any time */
	char name[16];
	uint64_t *word;		/* sectors of the disk then */
	unsigned sectors;
};

struct oracle_disk {
	enum oracle_being being;
	unsigned id;		/* in words; new for each disk */
	char name[24];
	char other_name[24];	/* a rename of unknown outcome; or "" */
	unsigned sectors;
	struct oracle_sector *sector;
	struct oracle_snap snap[ORACLE_SNAPS];
	bool busy;		/* a guest is at it that may change it */
	bool opening;		/* what a new owner reads will stay */
	bool doomed;		/* an unlink may be in a journal */
	int writer;		/* host that has it open for writing; -1 */
};

struct oracle {
	struct oracle_disk disk[ORACLE_DISKS];
	unsigned last_id, last_snap;
	uint32_t writes;	/* numbers given out */
	/* What was not flushed may be lost after it was read. */
	bool volatile_lun;
};

void oracle_init(struct oracle *o);
void oracle_fini(struct oracle *o);

/* A new disk of zeroes, BEING_MAYBE, in a free place; NULL: there is none. */
struct oracle_disk *oracle_new(struct oracle *o, unsigned sectors);
/* The same with the content of a snapshot. */
struct oracle_disk *oracle_clone(struct oracle *o, const struct oracle_snap *s);
void oracle_forget(struct oracle_disk *d);

/* Fills buf with what one write number makes of the sectors, and notes it. */
void oracle_write(struct oracle *o, struct oracle_disk *d, unsigned first,
    unsigned count, void *buf);
void oracle_punch(struct oracle *o, struct oracle_disk *d, unsigned first,
    unsigned count);
/* All that was noted so far is promised now, but for what is not sure. */
void oracle_flushed(struct oracle *o, struct oracle_disk *d);
/* The last write of these sectors failed. */
void oracle_failed(struct oracle_disk *d, unsigned first, unsigned count);
/* A flush failed, or the host died. */
void oracle_unsure(struct oracle_disk *d);
/* The LUN lost its cache under the host that has it open. */
void oracle_power_loss(struct oracle_disk *d);
/*
 * Whether the sectors may show buf; they are held to it from then on.  The
 * first that may not goes to *ret_bad, with the word it shows.
 */
bool oracle_read(struct oracle *o, struct oracle_disk *d, unsigned first,
    unsigned count, const void *buf, unsigned *ret_bad, uint64_t *ret_word);
/* A snapshot of a disk that is flushed; NULL: no free place, or what the disk
 * shows is not sure. */
struct oracle_snap *oracle_snapshot(struct oracle *o, struct oracle_disk *d);
void oracle_snap_forget(struct oracle_snap *s);
bool oracle_snap_read(const struct oracle_snap *s, unsigned first,
    unsigned count, const void *buf, unsigned *ret_bad, uint64_t *ret_word);
/* The live disk has the snapshot's content. */
void oracle_reverted(struct oracle *o, struct oracle_disk *d,
    const struct oracle_snap *s);
/* It was not, after all: another host has the disk. */
void oracle_not_reverted(struct oracle_disk *d, const struct oracle_snap *s);
/* It has, or has not. */
void oracle_maybe_reverted(struct oracle *o, struct oracle_disk *d,
    const struct oracle_snap *s);

#endif
