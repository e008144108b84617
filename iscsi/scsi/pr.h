/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Persistent reservations of a logical unit, SPC-4 5.13.
 *
 * A registration belongs to an initiator port and a target port, named and
 * not pointed to, so that it outlives sessions.
 */
#ifndef VMFS_ISCSI_SCSI_PR_H
#define VMFS_ISCSI_SCSI_PR_H

#include <stdbool.h>
#include <stdint.h>

#include "iscsi/scsi/nexus.h"
#include "libvmfs/base/list.h"

#define PR_REGISTRATIONS_MAX 1024
/* Instead of a target port: registered with ALL_TG_PT. */
#define PR_ALL_PORTS ""

struct scsi_lu_conf;

struct scsi_cmd;

/* PERSISTENT RESERVATION TYPE, SPC-4 table 208. */
enum pr_type {
	PR_NONE = 0,
	PR_WRITE_EXCLUSIVE = 1,
	PR_EXCLUSIVE_ACCESS = 3,
	PR_WRITE_EXCLUSIVE_RO = 5,
	PR_EXCLUSIVE_ACCESS_RO = 6,
	PR_WRITE_EXCLUSIVE_AR = 7,
	PR_EXCLUSIVE_ACCESS_AR = 8,
};

struct pr_registration {
	struct list node;
	uint64_t key;
	char port[SCSI_PORT_NAME_SIZE];		/* initiator port */
	char target[SCSI_PORT_NAME_SIZE];	/* target port, or all */
};

struct pr_state {
	struct list registrations;	/* in order of registering */
	unsigned count;
	uint32_t generation;
	enum pr_type type;		/* PR_NONE: not reserved */
	struct pr_registration *holder;	/* NULL for all-registrants types */
	bool busy;			/* a PERSISTENT RESERVE OUT is at work */
	bool aptpl;			/* kept in the image */
	int (*save)(void *arg, const void *image, size_t len);
	void *save_arg;
};

/* How a command touches the medium, for SPC-4 5.13.1 and SPC-2 5.5.1. */
enum scsi_access {
	ACCESS_FREE,		/* never conflicts */
	ACCESS_STATUS,		/* conflicts with RESERVE of another only */
	ACCESS_READ,		/* conflicts with exclusive access */
	ACCESS_WRITE,		/* conflicts with any reservation of others */
};

void pr_init(struct pr_state *pr);
void pr_fini(struct pr_state *pr);
struct pr_registration *pr_find_port(const struct pr_state *pr,
    const char *initiator_port, const char *target_port);
/* Any of the initiator port. */
struct pr_registration *pr_find_initiator(const struct pr_state *pr,
    const char *initiator_port);
/* Whether it is that of the nexus. */
bool pr_covers(const struct pr_registration *r, const struct scsi_nexus *n);
struct pr_registration *pr_find(const struct pr_state *pr,
    const struct scsi_nexus *n);
/* Whether the registration holds the reservation (SPC-4 5.13.10). */
bool pr_is_holder(const struct pr_state *pr, const struct pr_registration *r);
bool pr_all_registrants(enum pr_type type);
bool pr_type_valid(unsigned type);
/* NULL: PR_NONE. */
const char *pr_type_name(enum pr_type type);
/* Whether a command of nexus n must end with RESERVATION CONFLICT. */
bool pr_conflicts(const struct pr_state *pr, const struct scsi_nexus *n,
    enum scsi_access access);
/* The same of the nexus between two ports, which need not be there. */
bool pr_conflicts_port(const struct pr_state *pr, const char *initiator_port,
    const char *target_port, enum scsi_access access);
/*
 * A new registration; -ENOSPC above PR_REGISTRATIONS_MAX, -ENOMEM.
 */
int pr_add(struct pr_state *pr, const char *initiator_port,
    const char *target_port, uint64_t key, struct pr_registration **ret_r)
    MUST_CHECK;

/* Unit attention for every nexus of the registration. */
void pr_ua(struct scsi_lu *lu, const struct pr_registration *r, uint32_t code);
/* The same for all registered nexuses but `except`. */
void pr_ua_others(struct scsi_lu *lu, const struct pr_registration *except,
    uint32_t code);
/* Ends the reservation, telling registrants where SPC-4 5.13.11.2.2 says so. */
void pr_end(struct scsi_lu *lu, const struct pr_registration *except);
/* Removes and frees a registration and the reservation that ends with it. */
void pr_remove(struct scsi_lu *lu, struct pr_registration *r);

/*
 * The image of APTPL: pr_image.c.  pr_load sets an empty state up from the
 * configuration; -VMFS_ECORRUPT, -ENOMEM.  pr_save writes the present state
 * if it is to be kept, or the empty one after `was_aptpl`; the unit's lock is
 * held, and left meanwhile.  Suspends.
 */
int pr_load(struct pr_state *pr, const struct scsi_lu_conf *conf) MUST_CHECK;
int pr_save(struct scsi_lu *lu, bool was_aptpl) MUST_CHECK;

/* Commands. */
bool scsi_pr_in(struct scsi_cmd *c);
bool scsi_pr_out(struct scsi_cmd *c);
/*
 * PREEMPT and, with abort, PREEMPT AND ABORT: pr_preempt.c.  The caller still
 * has to wait for the tasks that abort has marked (scsi_lu_drain).
 */
bool pr_preempt(struct scsi_cmd *c, struct pr_registration *self, uint64_t key,
    enum pr_type type, bool abort);
/* Suspends while a PERSISTENT RESERVE OUT is at work; false: c was aborted.
 * The unit's lock is held, and is left meanwhile. */
bool pr_wait(struct scsi_cmd *c);
/* pr_register.c */
bool pr_register(struct scsi_cmd *c, bool ignore);
bool pr_register_and_move(struct scsi_cmd *c);
/*
 * TransportIDs: pr_transport.c.  Encodes an initiator port, returns the
 * length; decodes one at p, of a port or (ret_device) of a whole device, and
 * returns its length, 0 when it is of no known form.
 */
size_t pr_transport_id_encode(const char *port, uint8_t *p);
size_t pr_transport_id_decode(const uint8_t *p, size_t left,
    char name[SCSI_PORT_NAME_SIZE], bool *ret_device);

#endif
