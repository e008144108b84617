/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * REGISTER, REGISTER AND IGNORE EXISTING KEY (SPC-4 5.13.7) and REGISTER AND
 * MOVE (5.13.8).
 *
 * With ALL_TG_PT a registration is good at every target port through which
 * the unit is seen, also at those that come later; it takes the place of what
 * the initiator port had registered at single ones, and goes as a whole.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "iscsi/scsi/cmd.h"
#include "libvmfs/base/be.h"
#include "libvmfs/base/cleanup.h"

enum { FLAGS_AT = 20, IDS_AT = 28 };
enum { FLAG_APTPL = 0x01, FLAG_ALL_TG_PT = 0x04, FLAG_SPEC_I_PT = 0x08 };
#define SPEC_PORTS_MAX 256

/* Initiator ports that SPEC_I_PT names. */
struct ports {
	char (*names)[SCSI_PORT_NAME_SIZE];
	size_t count;
};

static const char *
target_port(const struct scsi_cmd *c)
{
	bool all = c->task->data_out[FLAGS_AT] & FLAG_ALL_TG_PT;

	return all ? PR_ALL_PORTS : c->nexus->target_port;
}

static bool
no_room(struct scsi_cmd *c)
{
	return scsi_cmd_fail(c, SENSE_NO_REGISTRATION_RESOURCES);
}

/* ---- SPEC_I_PT ---- */

/* What is named twice, and the nexus itself, is registered once. */
static bool
ports_add(struct ports *ports, const struct scsi_cmd *c, const char *name)
{
	if (strcmp(name, c->nexus->port) == 0)
		return true;
	for (size_t i = 0; i < ports->count; i++) {
		if (strcmp(ports->names[i], name) == 0)
			return true;
	}
	if (ports->count == SPEC_PORTS_MAX)
		return false;
	strcpy(ports->names[ports->count++], name);
	return true;
}

/* A device's name stands for its ports that are logged in; false: none is, or
 * they are too many. */
static bool
ports_add_device(struct ports *ports, const struct scsi_cmd *c,
    const char *device)
{
	bool found = false;

	list_for_each(node, tmp, &c->lu->itls) {
		const struct scsi_nexus *n =
		    list_entry(node, struct scsi_itl, lu_node)->nexus;

		if (strcmp(n->name, device) != 0)
			continue;
		if (!ports_add(ports, c, n->port))
			return false;
		found = true;
	}
	return found;
}

/* False: sense is set. */
static bool
ports_decode(struct scsi_cmd *c, struct ports *ports)
{
	const uint8_t *p = c->task->data_out;
	size_t len = c->task->data_out_wanted, at = IDS_AT;
	char name[SCSI_PORT_NAME_SIZE];

	if (len < IDS_AT || be32_load(p + 24) != len - IDS_AT)
		return !scsi_cmd_fail(c, SENSE_PARAMETER_LIST_LENGTH);
	while (at < len) {
		bool device = false;
		size_t used = pr_transport_id_decode(p + at, len - at, name,
		    &device);

		if (used == 0 || !(device ? ports_add_device(ports, c, name) :
		    ports_add(ports, c, name)))
			return !scsi_cmd_bad_parameter(c, (uint16_t)at);
		at += used;
	}
	return true;
}

/* Whether they can all be registered; false: sense is set. */
static bool
ports_check(struct scsi_cmd *c, const struct ports *ports, uint64_t key)
{
	const struct pr_state *pr = &c->lu->pr;

	if (pr->count + ports->count + 1 > PR_REGISTRATIONS_MAX)
		return !no_room(c);
	for (size_t i = 0; i < ports->count; i++) {
		const struct pr_registration *r = pr_find_port(pr,
		    ports->names[i], target_port(c));

		if (r != NULL && r->key != key)
			return !scsi_cmd_bad_parameter(c, IDS_AT);
	}
	return true;
}

/* ---- registering ---- */

static int
register_port(struct scsi_cmd *c, const char *port, uint64_t key)
{
	struct pr_registration *r;

	if (pr_find_port(&c->lu->pr, port, target_port(c)) != NULL)
		return 0;
	return pr_add(&c->lu->pr, port, target_port(c), key, &r);
}

/* All or none. */
static bool
register_ports(struct scsi_cmd *c, const struct ports *ports, uint64_t key)
{
	struct pr_state *pr = &c->lu->pr;
	struct list *last = pr->registrations.prev;
	int rc = register_port(c, c->nexus->port, key);

	for (size_t i = 0; i < ports->count && rc == 0; i++)
		rc = register_port(c, ports->names[i], key);
	if (rc == 0)
		return true;
	while (pr->registrations.prev != last)
		pr_remove(c->lu, list_entry(pr->registrations.prev,
		    struct pr_registration, node));
	return !no_room(c);
}

/* The nexus is not registered. */
static bool
register_new(struct scsi_cmd *c, uint64_t key)
{
	uint8_t flags = c->task->data_out[FLAGS_AT];
	cleanup_free char (*names)[SCSI_PORT_NAME_SIZE] = NULL;
	struct ports ports = { .count = 0 };

	if (key == 0)
		return true;
	if (flags & FLAG_SPEC_I_PT) {
		names = calloc(SPEC_PORTS_MAX, sizeof(*names));
		if (names == NULL)
			return scsi_cmd_status(c, SCSI_BUSY);
		ports.names = names;
		if (!ports_decode(c, &ports))
			return true;
	}
	if (!ports_check(c, &ports, key) || !register_ports(c, &ports, key))
		return true;
	c->lu->pr.aptpl = flags & FLAG_APTPL;
	c->lu->pr.generation++;
	return true;
}

/* r gets to be the one registration of its initiator port. */
static void
widen(struct scsi_cmd *c, struct pr_registration *r)
{
	struct pr_state *pr = &c->lu->pr;

	r->target[0] = '\0';
	list_for_each(node, tmp, &pr->registrations) {
		struct pr_registration *other =
		    list_entry(node, struct pr_registration, node);

		if (other == r || strcmp(other->port, r->port) != 0)
			continue;
		if (pr->holder == other)
			pr->holder = r;
		pr_remove(c->lu, other);
	}
}

/* The list is of 24 bytes, or more with SPEC_I_PT. */
bool
pr_register(struct scsi_cmd *c, bool ignore)
{
	struct pr_state *pr = &c->lu->pr;
	const uint8_t *p = c->task->data_out;
	uint64_t key = be64_load(p), new_key = be64_load(p + 8);
	uint8_t flags = p[FLAGS_AT];
	struct pr_registration *r = pr_find(pr, c->nexus);

	if (((flags & FLAG_SPEC_I_PT) && (ignore || r != NULL)) ||
	    ((flags & FLAG_APTPL) && pr->save == NULL))
		return scsi_cmd_bad_parameter(c, FLAGS_AT);
	if (!ignore && key != (r != NULL ? r->key : 0))
		return scsi_cmd_status(c, SCSI_RESERVATION_CONFLICT);
	if (r == NULL && (flags & FLAG_ALL_TG_PT)) {
		/* Registered at another port only? */
		r = pr_find_initiator(pr, c->nexus->port);
		if (r != NULL && !ignore && r->key != new_key)
			return scsi_cmd_status(c, SCSI_RESERVATION_CONFLICT);
	}
	if (r == NULL)
		return register_new(c, new_key);
	pr->aptpl = flags & FLAG_APTPL;
	pr->generation++;
	if (flags & FLAG_ALL_TG_PT)
		widen(c, r);
	if (new_key == 0)
		pr_remove(c->lu, r);
	else
		r->key = new_key;
	return true;
}

/* ---- REGISTER AND MOVE ---- */

enum { MOVE_HEAD_LEN = 24, MOVE_APTPL = 0x01, MOVE_UNREG = 0x02 };

/* RELATIVE TARGET PORT IDENTIFIER 1 to 255: that of its group. */
static bool
move_port(const struct scsi_cmd *c, unsigned number,
    char port[SCSI_PORT_NAME_SIZE])
{
	if (number == 0 || number > SCSI_GROUPS_MAX)
		return false;
	(void)snprintf(port, SCSI_PORT_NAME_SIZE, "%s,t,0x%04x",
	    c->target->iqn, number);
	return true;
}

static bool
move_check(struct scsi_cmd *c, const struct pr_registration *self,
    const uint8_t *p)
{
	struct pr_state *pr = &c->lu->pr;

	if (self == NULL || self->key != be64_load(p) ||
	    pr_all_registrants(pr->type) || !pr_is_holder(pr, self))
		scsi_cmd_status(c, SCSI_RESERVATION_CONFLICT);
	else if ((c->task->cdb[2] >> 4) != 0 ||
	    (c->task->cdb[2] & 0x0f) != pr->type)
		scsi_cmd_bad_cdb(c, 2);
	else if (be64_load(p + 8) == 0)
		scsi_cmd_bad_parameter(c, 8);
	else if ((p[17] & MOVE_APTPL) && pr->save == NULL)
		scsi_cmd_bad_parameter(c, 17);
	else
		return true;
	return false;
}

bool
pr_register_and_move(struct scsi_cmd *c)
{
	struct pr_state *pr = &c->lu->pr;
	struct pr_registration *self = pr_find(pr, c->nexus), *to;
	const uint8_t *p = c->task->data_out;
	size_t len = c->task->data_out_wanted;
	char port[SCSI_PORT_NAME_SIZE], target[SCSI_PORT_NAME_SIZE];
	bool device = false;

	if (len < MOVE_HEAD_LEN ||
	    be32_load(p + 20) != len - MOVE_HEAD_LEN)
		return scsi_cmd_fail(c, SENSE_PARAMETER_LIST_LENGTH);
	if (!move_check(c, self, p))
		return true;
	if (!move_port(c, be16_load(p + 18), target))
		return scsi_cmd_bad_parameter(c, 18);
	if (pr_transport_id_decode(p + MOVE_HEAD_LEN, len - MOVE_HEAD_LEN,
	    port, &device) != len - MOVE_HEAD_LEN || device)
		return scsi_cmd_bad_parameter(c, MOVE_HEAD_LEN);
	to = pr_find_port(pr, port, target);
	if (to == self)
		return scsi_cmd_bad_parameter(c, MOVE_HEAD_LEN);
	if (to == NULL && pr_add(pr, port, target, 0, &to) != 0)
		return no_room(c);
	to->key = be64_load(p + 8);
	pr->holder = to;
	pr->aptpl = p[17] & MOVE_APTPL;
	pr->generation++;
	if (p[17] & MOVE_UNREG)
		pr_remove(c->lu, self);
	return true;
}
