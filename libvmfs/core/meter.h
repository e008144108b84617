/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What each disk of a host takes of the LUN: counted, limited, and shared out.
 *
 * Limits hold always: a request waits until the disk may have another one.
 * Shares count while more requests are under way than the LUN is to have at
 * once, and of more than one disk: then those that wait go by start-time fair
 * queueing (Goyal, Vin and Cheng, 1996), by bytes over shares.  One disk alone
 * has the LUN for itself.
 *
 * Requests that do not end (their LUN, of several, is silent) hold up others for
 * some 3 s: after that neither they nor what their disks send until they end are
 * counted.
 */
#ifndef VMFS_CORE_METER_H
#define VMFS_CORE_METER_H

#include <stdbool.h>

#include "libvmfs/base/err.h"
#include "libvmfs/base/io_stats.h"
#include "libvmfs/env/sched.h"
#include "libvmfs/format/inode.h"

#define METER_DEPTH_DEFAULT 64u
#define METER_SHARES_DEFAULT 1000u
#define METER_SHARES_MAX 100000u
/* Below, a queue of requests would take minutes. */
#define METER_IOPS_MIN 16u
#define METER_KIBPS_MIN 1024u

/* Of one LUN. */
struct pacer;
/* Requests at once that the LUN is to have; 0: the default.  NULL: no memory. */
struct pacer *pacer_new(struct sched *owner, unsigned depth);
/* Its meters are gone.  Suspends.  NULL is fine. */
void pacer_free(struct pacer *p);

/* Of one disk. */
struct meter;
struct meter *meter_new(struct pacer *p);
/* No request is under way.  NULL is fine. */
void meter_free(struct meter *m);
/* Those that wait already go by them, too.  The owner. */
void meter_limit(struct meter *m, const struct inode_limits *l);

/* A request: its counters. */
struct meter_io {
	uint64_t since_ns;
	unsigned generation;		/* private */
};
/* The owner, in a fiber; suspends while the disk has had enough. */
void meter_begin(struct meter *m, struct meter_io *io, size_t len);
/* Any thread.  False: it is for the owner to wait. */
bool meter_try(struct meter *m, struct meter_io *io) MUST_CHECK;
/* Any thread, after one of both: len bytes, 0 or an error. */
void meter_end(struct meter *m, const struct meter_io *io, bool write,
    size_t len, int result);
/* After meter_try, instead: it goes to meter_begin. */
void meter_undo(struct meter *m, const struct meter_io *io);
/* Since meter_new.  The owner. */
uint64_t meter_age_ns(const struct meter *m);
/* Any thread. */
void meter_stats(const struct meter *m, struct io_stats *ret_st);

#endif
