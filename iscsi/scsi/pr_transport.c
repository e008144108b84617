/* SPDX-License-Identifier: BSD-2-Clause */
/* TransportIDs of iSCSI initiator ports, SPC-4 7.6.4.6. */
#include <string.h>

#include "iscsi/scsi/pr.h"
#include "libvmfs/base/be.h"

enum {
	FORMAT_DEVICE = 0x05,		/* name of the initiator device */
	FORMAT_PORT = 0x45,		/* "name,i,0xisid" */
	HEAD_LEN = 4, BODY_MIN = 20,
};

size_t
pr_transport_id_encode(const char *port, uint8_t *p)
{
	size_t name_len = strlen(port);
	size_t len = (name_len + 1 + 3) & ~(size_t)3;

	if (len < BODY_MIN)
		len = BODY_MIN;
	p[0] = FORMAT_PORT;
	be16_store(p + 2, (uint16_t)len);
	memcpy(p + HEAD_LEN, port, name_len);
	return HEAD_LEN + len;
}

size_t
pr_transport_id_decode(const uint8_t *p, size_t left,
    char name[SCSI_PORT_NAME_SIZE], bool *ret_device)
{
	size_t len, name_len;
	bool device;

	if (left < HEAD_LEN + BODY_MIN)
		return 0;
	device = p[0] == FORMAT_DEVICE;
	len = be16_load(p + 2);
	if ((!device && p[0] != FORMAT_PORT) || len < BODY_MIN ||
	    len % 4 != 0 || len > left - HEAD_LEN)
		return 0;
	name_len = strnlen((const char *)p + HEAD_LEN, len);
	if (name_len == 0 || name_len == len ||
	    name_len >= SCSI_PORT_NAME_SIZE)
		return 0;
	memcpy(name, p + HEAD_LEN, name_len + 1);
	if ((strstr(name, ",i,0x") == NULL) != device)
		return 0;
	*ret_device = device;
	return HEAD_LEN + len;
}
