/* SPDX-License-Identifier: BSD-2-Clause */
/* State of persistent reservations and whom it keeps out, SPC-4 5.13. */
#include "iscsi/scsi/pr.h"

#include <stdlib.h>
#include <string.h>

#include "iscsi/scsi/lu.h"
#include "iscsi/scsi/sense.h"

void
pr_init(struct pr_state *pr)
{
	memset(pr, 0, sizeof(*pr));
	list_init(&pr->registrations);
}

static void
pr_unlink(struct pr_state *pr, struct pr_registration *r)
{
	list_del(&r->node);
	pr->count--;
	free(r);
}

void
pr_fini(struct pr_state *pr)
{
	list_for_each(node, tmp, &pr->registrations)
		pr_unlink(pr, list_entry(node, struct pr_registration, node));
}

bool
pr_type_valid(unsigned type)
{
	return type == PR_WRITE_EXCLUSIVE || type == PR_EXCLUSIVE_ACCESS ||
	    (type >= PR_WRITE_EXCLUSIVE_RO && type <= PR_EXCLUSIVE_ACCESS_AR);
}

const char *
pr_type_name(enum pr_type type)
{
	static const char *const names[] = {
		[PR_WRITE_EXCLUSIVE] = "write exclusive",
		[PR_EXCLUSIVE_ACCESS] = "exclusive access",
		[PR_WRITE_EXCLUSIVE_RO] = "write exclusive, registrants only",
		[PR_EXCLUSIVE_ACCESS_RO] = "exclusive access, registrants only",
		[PR_WRITE_EXCLUSIVE_AR] = "write exclusive, all registrants",
		[PR_EXCLUSIVE_ACCESS_AR] = "exclusive access, all registrants",
	};

	return names[type];
}

bool
pr_all_registrants(enum pr_type type)
{
	return type == PR_WRITE_EXCLUSIVE_AR || type == PR_EXCLUSIVE_ACCESS_AR;
}

static bool
pr_registrants_have_access(enum pr_type type)
{
	return type >= PR_WRITE_EXCLUSIVE_RO;
}

static bool
pr_others_may_read(enum pr_type type)
{
	return type == PR_WRITE_EXCLUSIVE || type == PR_WRITE_EXCLUSIVE_RO ||
	    type == PR_WRITE_EXCLUSIVE_AR;
}

static bool
pr_covers_ports(const struct pr_registration *r, const char *initiator_port,
    const char *target_port)
{
	return strcmp(r->port, initiator_port) == 0 &&
	    (r->target[0] == '\0' || strcmp(r->target, target_port) == 0);
}

bool
pr_covers(const struct pr_registration *r, const struct scsi_nexus *n)
{
	return pr_covers_ports(r, n->port, n->target_port);
}

struct pr_registration *
pr_find_port(const struct pr_state *pr, const char *initiator_port,
    const char *target_port)
{
	list_for_each(node, tmp, &pr->registrations) {
		struct pr_registration *r =
		    list_entry(node, struct pr_registration, node);

		if (pr_covers_ports(r, initiator_port, target_port))
			return r;
	}
	return NULL;
}

struct pr_registration *
pr_find_initiator(const struct pr_state *pr, const char *initiator_port)
{
	list_for_each(node, tmp, &pr->registrations) {
		struct pr_registration *r =
		    list_entry(node, struct pr_registration, node);

		if (strcmp(r->port, initiator_port) == 0)
			return r;
	}
	return NULL;
}

struct pr_registration *
pr_find(const struct pr_state *pr, const struct scsi_nexus *n)
{
	return pr_find_port(pr, n->port, n->target_port);
}

bool
pr_is_holder(const struct pr_state *pr, const struct pr_registration *r)
{
	if (r == NULL || pr->type == PR_NONE)
		return false;
	return pr_all_registrants(pr->type) || pr->holder == r;
}

bool
pr_conflicts_port(const struct pr_state *pr, const char *initiator_port,
    const char *target_port, enum scsi_access access)
{
	const struct pr_registration *r;

	if (pr->type == PR_NONE || access == ACCESS_FREE ||
	    access == ACCESS_STATUS)
		return false;
	if (access == ACCESS_READ && pr_others_may_read(pr->type))
		return false;
	r = pr_find_port(pr, initiator_port, target_port);
	if (r != NULL && pr_registrants_have_access(pr->type))
		return false;
	return !pr_is_holder(pr, r);
}

bool
pr_conflicts(const struct pr_state *pr, const struct scsi_nexus *n,
    enum scsi_access access)
{
	return pr_conflicts_port(pr, n->port, n->target_port, access);
}

int
pr_add(struct pr_state *pr, const char *initiator_port,
    const char *target_port, uint64_t key, struct pr_registration **ret_r)
{
	struct pr_registration *r;

	if (pr->count >= PR_REGISTRATIONS_MAX)
		return -ENOSPC;
	r = calloc(1, sizeof(*r));
	if (r == NULL)
		return -ENOMEM;
	r->key = key;
	strncpy(r->port, initiator_port, sizeof(r->port) - 1);
	strncpy(r->target, target_port, sizeof(r->target) - 1);
	list_add_tail(&pr->registrations, &r->node);
	pr->count++;
	*ret_r = r;
	return 0;
}

void
pr_ua(struct scsi_lu *lu, const struct pr_registration *r, uint32_t code)
{
	list_for_each(node, tmp, &lu->itls) {
		struct scsi_itl *itl =
		    list_entry(node, struct scsi_itl, lu_node);

		if (pr_covers(r, itl->nexus))
			ua_add(&itl->ua, code);
	}
}

void
pr_ua_others(struct scsi_lu *lu, const struct pr_registration *except,
    uint32_t code)
{
	list_for_each(node, tmp, &lu->pr.registrations) {
		const struct pr_registration *r =
		    list_entry(node, struct pr_registration, node);

		if (r != except)
			pr_ua(lu, r, code);
	}
}

void
pr_end(struct scsi_lu *lu, const struct pr_registration *except)
{
	bool tell = pr_registrants_have_access(lu->pr.type);

	lu->pr.type = PR_NONE;
	lu->pr.holder = NULL;
	if (tell)
		pr_ua_others(lu, except, SENSE_RESERVATIONS_RELEASED);
}

void
pr_remove(struct scsi_lu *lu, struct pr_registration *r)
{
	struct pr_state *pr = &lu->pr;

	if (pr->holder == r)
		pr_end(lu, r);
	pr_unlink(pr, r);
	if (pr->count == 0)
		pr->type = PR_NONE;
}
