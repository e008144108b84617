/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The image in which reservations outlive the program (APTPL, SPC-4 5.13.5).
 *
 *   offset size
 *        0    8 magic "VMFSDPR1"
 *        8    4 PRGENERATION
 *       12    1 type of the reservation, 0 for none
 *       13    3 zero
 *       16    4 number of registrations, each:
 *                 8 key
 *                 1 1 for the holder
 *                 1 zero
 *                 2 length of the initiator port name
 *                 2 length of the target port name, 0 for all ports
 *                   both names, no NUL
 *      end    4 CRC32C of all before
 *
 * Integers are big-endian.  No registrations: nothing is kept.
 */
#include <stdlib.h>
#include <string.h>

#include "iscsi/scsi/lu.h"
#include "iscsi/scsi/pr.h"
#include "libvmfs/base/be.h"
#include "libvmfs/base/cleanup.h"
#include "libvmfs/base/crc32c.h"

enum { HEAD_LEN = 20, ENTRY_LEN = 14, CRC_LEN = 4 };
static const uint8_t magic[8] = "VMFSDPR1";

/* ---- encode ---- */

static size_t
entry_encode(const struct pr_state *pr, const struct pr_registration *r,
    uint8_t *p)
{
	size_t port_len = strlen(r->port), target_len = strlen(r->target);

	be64_store(p, r->key);
	p[8] = pr->holder == r;
	be16_store(p + 10, (uint16_t)port_len);
	be16_store(p + 12, (uint16_t)target_len);
	memcpy(p + ENTRY_LEN, r->port, port_len);
	memcpy(p + ENTRY_LEN + port_len, r->target, target_len);
	return ENTRY_LEN + port_len + target_len;
}

/* All registrations, or with empty none; -ENOMEM. */
static int
image_encode(const struct pr_state *pr, bool empty, uint8_t **ret_p,
    size_t *ret_len)
{
	size_t entry_max = ENTRY_LEN + 2 * SCSI_PORT_NAME_SIZE;
	uint8_t *p = calloc(1, HEAD_LEN + pr->count * entry_max + CRC_LEN);
	size_t len = HEAD_LEN;

	if (p == NULL)
		return -ENOMEM;
	memcpy(p, magic, sizeof(magic));
	be32_store(p + 8, pr->generation);
	if (!empty) {
		p[12] = (uint8_t)pr->type;
		be32_store(p + 16, pr->count);
		list_for_each(node, tmp, &pr->registrations)
			len += entry_encode(pr, list_entry(node,
			    struct pr_registration, node), p + len);
	}
	be32_store(p + len, crc32c(0, p, len));
	*ret_p = p;
	*ret_len = len + CRC_LEN;
	return 0;
}

int
pr_save(struct scsi_lu *lu, bool was_aptpl)
{
	struct pr_state *pr = &lu->pr;
	cleanup_free uint8_t *p = NULL;
	size_t len;
	int rc;

	if (pr->save == NULL || (!pr->aptpl && !was_aptpl))
		return 0;
	rc = image_encode(pr, !pr->aptpl, &p, &len);
	if (rc == 0) {
		shared_leave(&lu->lock);
		rc = pr->save(pr->save_arg, p, len);
		shared_enter(&lu->lock);
	}
	return rc;
}

/* ---- decode ---- */

/* Length of the entry at p, or negative. */
static ssize_t
entry_decode(struct pr_state *pr, const uint8_t *p, size_t left)
{
	char port[SCSI_PORT_NAME_SIZE] = "", target[SCSI_PORT_NAME_SIZE] = "";
	struct pr_registration *r;
	size_t port_len, target_len;
	int rc;

	if (left < ENTRY_LEN)
		return -VMFS_ECORRUPT;
	port_len = be16_load(p + 10);
	target_len = be16_load(p + 12);
	if (port_len == 0 || port_len >= sizeof(port) ||
	    target_len >= sizeof(target) ||
	    left < ENTRY_LEN + port_len + target_len || p[8] > 1 || p[9] != 0 ||
	    be64_load(p) == 0 || (p[8] == 1 && pr->holder != NULL))
		return -VMFS_ECORRUPT;
	memcpy(port, p + ENTRY_LEN, port_len);
	memcpy(target, p + ENTRY_LEN + port_len, target_len);
	/* Images of releases that had one port a target name the device. */
	if (target_len > 0 && strstr(target, ",t,0x") == NULL &&
	    target_len <= SCSI_NAME_MAX)
		strcat(target, ",t,0x0001");
	rc = pr_add(pr, port, target, be64_load(p), &r);
	if (rc != 0)
		return rc == -ENOSPC ? -VMFS_ECORRUPT : rc;
	if (p[8] == 1)
		pr->holder = r;
	return (ssize_t)(ENTRY_LEN + port_len + target_len);
}

/* A holder there must be, unless there is none or all are. */
static bool
holder_fits(const struct pr_state *pr)
{
	if (pr->type == PR_NONE)
		return pr->holder == NULL;
	return pr_type_valid(pr->type) && pr->count > 0 &&
	    (pr->holder == NULL) == pr_all_registrants(pr->type);
}

static int
image_decode(struct pr_state *pr, const uint8_t *p, size_t len)
{
	size_t at = HEAD_LEN;
	uint32_t count;

	if (len < HEAD_LEN + CRC_LEN || memcmp(p, magic, sizeof(magic)) != 0 ||
	    be32_load(p + len - CRC_LEN) != crc32c(0, p, len - CRC_LEN))
		return -VMFS_ECORRUPT;
	len -= CRC_LEN;
	count = be32_load(p + 16);
	for (uint32_t i = 0; i < count; i++) {
		ssize_t used = entry_decode(pr, p + at, len - at);

		if (used < 0)
			return (int)used;
		at += (size_t)used;
	}
	pr->generation = be32_load(p + 8);
	pr->type = (enum pr_type)p[12];
	pr->aptpl = count > 0;
	return at == len && holder_fits(pr) ? 0 : -VMFS_ECORRUPT;
}

int
pr_load(struct pr_state *pr, const struct scsi_lu_conf *conf)
{
	pr->save = conf->pr_save;
	pr->save_arg = conf->pr_save_arg;
	if (conf->pr_image == NULL)
		return 0;
	return image_decode(pr, conf->pr_image, conf->pr_image_len);
}
