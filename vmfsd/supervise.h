/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vmfsd --supervise: a process that starts the one that works, keeps what must
 * outlive it, and starts another one when it dies (doc/adr/0011).
 *
 * Messages of a worker, one a datagram, come by a socket whose number is in
 * the environment:
 *
 *	put NAME	keep the descriptor that comes along
 *	drop NAME	close it
 *	ready		all is up
 *	ends		its exit is meant
 *	upgrade		end it and go on with the program on the disk
 */
#ifndef VMFS_VMFSD_SUPERVISE_H
#define VMFS_VMFSD_SUPERVISE_H

#include "vmfsd/options.h"

#define SUPERVISE_SOCKET "VMFSD_SUPERVISOR"	/* socket's number */
#define SUPERVISE_KEPT "VMFSD_KEPT"	/* "name=number,name=number" */

/* Of a program that is asked whether it could go on: what it must understand. */
#define SUPERVISE_LAYOUT "VMFSD_LAYOUT"
/* It has so many seconds for its answer. */
#define SUPERVISE_CHECK_S 10u

/* Until the worker has ended for good: the exit status. */
/* Of the memory that is kept, as text. */
void supervise_layout(char text[32]);
int supervise(const struct options *o, char **argv);

#endif
