/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A gate between an owner and threads that use what is its: they come and go
 * by an atomic count; the owner closes it and waits until nobody is inside.
 */
#ifndef VMFS_ENV_GATE_H
#define VMFS_ENV_GATE_H

#include <stdatomic.h>

#include "libvmfs/env/sched.h"

struct gate {
	_Atomic uint64_t word;		/* how many are inside; closed */
	struct sched *owner;		/* all below is its */
	unsigned closers;
	bool left;			/* the last one has gone */
	struct fiber_cond cond;
	struct sched_work work;
};

/* Open.  It must live until it is closed and nobody is inside. */
void gate_init(struct gate *g, struct sched *owner);
/* Nobody is inside when it returns, nor gets in until as many calls of
 * gate_open.  Suspends. */
void gate_close(struct gate *g);
void gate_open(struct gate *g);

/* Any thread.  False: it is closed.  Else gate_leave must follow. */
bool gate_enter(struct gate *g) MUST_CHECK;
void gate_leave(struct gate *g);

#endif
