/* SPDX-License-Identifier: BSD-2-Clause */
/* REPORT and SET TARGET PORT GROUPS, SPC-4 6.36 and 6.45. */
#include "iscsi/scsi/alua.h"

#include <string.h>

#include "iscsi/scsi/cmd.h"
#include "libvmfs/base/be.h"
#include "libvmfs/base/log.h"

enum { CAUSE_NONE, CAUSE_EXPLICIT, CAUSE_IMPLICIT };
enum { FORMAT_LENGTH_ONLY = 0, FORMAT_EXTENDED = 1 };
/* U_SUP, S_SUP, AN_SUP, AO_SUP. */
#define STATES_SUPPORTED 0x0f
enum { GROUP_LEN = 12, SET_HEAD_LEN = 4, SET_LEN = 4 };

static bool
group_exists(const struct scsi_target *t, unsigned group)
{
	return group >= 1 && group <= SCSI_GROUPS_MAX &&
	    (t->groups & 1U << (group - 1)) != 0;
}

/* ---- who may what ---- */

/* Operation codes that go in standby state (SPC-4 5.15.2.4.4), and those of
 * them that go when unavailable (5.15.2.4.5). */
static const uint8_t standby[] = {
	0x03, 0x12, 0x15, 0x1a, 0x1d, 0x4c, 0x4d, 0x55, 0x5a, 0x5e, 0x5f,
	0xa0, 0xa3, 0xa4,
};
static const uint8_t unavailable[] = { 0x03, 0x12, 0xa0, 0xa3, 0xa4 };

bool
alua_admits(struct scsi_cmd *c)
{
	uint8_t opcode = c->op->opcode;
	uint8_t state = c->lu->alua.groups[c->nexus->group - 1].state;
	bool ok = true;

	if (c->inner || state < ALUA_STANDBY)
		return true;
	if (state == ALUA_STANDBY) {
		ok = memchr(standby, opcode, sizeof(standby)) != NULL;
		if (!ok)
			scsi_cmd_fail(c, SENSE_PORT_STANDBY);
	} else {
		ok = memchr(unavailable, opcode, sizeof(unavailable)) != NULL;
		if (!ok)
			scsi_cmd_fail(c, SENSE_PORT_UNAVAILABLE);
	}
	return ok;
}

/* ---- reporting ---- */

/* A group has one port of each target, with the group's number. */
static size_t
group_encode(const struct scsi_cmd *c, unsigned group, uint8_t *p)
{
	p[0] = c->lu->alua.groups[group - 1].state;
	p[1] = STATES_SUPPORTED;
	be16_store(p + 2, (uint16_t)group);
	p[5] = c->lu->alua.groups[group - 1].cause;
	p[7] = 1;
	be16_store(p + 10, (uint16_t)group);
	return GROUP_LEN;
}

bool
scsi_report_groups(struct scsi_cmd *c)
{
	const uint8_t *cdb = c->task->cdb;
	uint8_t format = cdb[1] >> 5;
	size_t len = format == FORMAT_EXTENDED ? 8 : 4;
	uint8_t *p;

	if (format > FORMAT_EXTENDED)
		return scsi_cmd_bad_cdb(c, 1);
	p = scsi_cmd_reply(c, 8 + SCSI_GROUPS_MAX * GROUP_LEN);
	if (p == NULL)
		return true;
	if (format == FORMAT_EXTENDED)
		p[4] = FORMAT_EXTENDED << 4;
	for (unsigned g = 1; g <= SCSI_GROUPS_MAX; g++) {
		if (group_exists(c->target, g))
			len += group_encode(c, g, p + len);
	}
	be32_store(p, (uint32_t)(len - 4));
	return scsi_cmd_replied(c, len, be32_load(cdb + 6));
}

/* ---- changing ---- */

/* With the unit's lock; who asked needs no unit attention. */
static void
group_set(struct scsi_lu *lu, unsigned group, uint8_t state, uint8_t cause,
    const struct scsi_nexus *by)
{
	if (by != NULL)
		lu->alua.groups[group - 1].cause = cause;
	if (lu->alua.groups[group - 1].state == state)
		return;
	lu->alua.groups[group - 1].cause = cause;
	lu->alua.groups[group - 1].state = state;
	log_info(lu->env->log, "scsi: access state lu=%s group=%u state=%u "
	    "by=%s", lu->serial, group, state,
	    by != NULL ? by->port : "administrator");
	ua_add_all(lu, SENSE_ACCESS_STATE_CHANGED, by);
	if (by != NULL && lu->on_setting != NULL)
		lu->on_setting(lu->on_setting_arg);
}

/* All descriptors are looked at before the first takes effect. */
static bool
list_ok(struct scsi_cmd *c, const uint8_t *p, size_t len)
{
	for (size_t at = SET_HEAD_LEN; at < len; at += SET_LEN) {
		if ((p[at] & 0x0f) > ALUA_UNAVAILABLE) {
			scsi_cmd_bad_parameter(c, (uint16_t)at);
			return false;
		}
		if (!group_exists(c->target, be16_load(p + at + 2))) {
			scsi_cmd_bad_parameter(c, (uint16_t)(at + 2));
			return false;
		}
	}
	return true;
}

bool
scsi_set_groups(struct scsi_cmd *c)
{
	const uint8_t *p = c->task->data_out;
	size_t len = c->task->data_out_wanted;

	if (len == 0)
		return true;
	if (len < SET_HEAD_LEN || (len - SET_HEAD_LEN) % SET_LEN != 0)
		return scsi_cmd_fail(c, SENSE_PARAMETER_LIST_LENGTH);
	if (!list_ok(c, p, len))
		return true;
	for (size_t at = SET_HEAD_LEN; at < len; at += SET_LEN)
		group_set(c->lu, be16_load(p + at + 2), p[at] & 0x0f,
		    CAUSE_EXPLICIT, c->nexus);
	return true;
}

int
scsi_lu_set_access(struct scsi_lu *lu, unsigned group, unsigned state)
{
	if (group == 0 || group > SCSI_GROUPS_MAX || state > ALUA_UNAVAILABLE)
		return -EINVAL;
	shared_enter(&lu->lock);
	group_set(lu, group, (uint8_t)state, CAUSE_IMPLICIT, NULL);
	shared_leave(&lu->lock);
	return 0;
}

void
scsi_target_set_groups(struct scsi_target *t, uint32_t groups)
{
	t->groups = groups != 0 ? groups : 1;
}
