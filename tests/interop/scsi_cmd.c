/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Sends one SCSI command by libiscsi.
 *
 *   scsi_cmd [-i INITIATOR] [-r BYTES] iscsi://PORTAL/IQN/LUN CDB [DATA-OUT]
 *
 * CDB and data are hexadecimal.  Prints GOOD, a status as 0xNN or the sense as
 * KEY/ASC/ASCQ, then data-in as it came; a unit attention is taken first.
 */
#include <err.h>
#include <iscsi/iscsi.h>
#include <iscsi/scsi-lowlevel.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DATA_MAX 65536

static size_t
parse_hex(const char *text, uint8_t *buf, size_t size)
{
	size_t n = 0;

	for (; *text != '\0'; text += 2) {
		unsigned v;

		if (n == size || sscanf(text, "%2x", &v) != 1 ||
		    text[1] == '\0')
			errx(2, "'%s': not hexadecimal, or too long", text);
		buf[n++] = (uint8_t)v;
	}
	return n;
}

/* Logged in, without the TEST UNIT READY that libiscsi likes to add. */
static struct iscsi_context *
session(const char *initiator, const char *text, int *ret_lun)
{
	struct iscsi_context *iscsi = iscsi_create_context(initiator);
	struct iscsi_url *url;

	if (iscsi == NULL)
		errx(1, "no context");
	url = iscsi_parse_full_url(iscsi, text);
	if (url == NULL)
		errx(2, "%s", iscsi_get_error(iscsi));
	iscsi_set_targetname(iscsi, url->target);
	iscsi_set_session_type(iscsi, ISCSI_SESSION_NORMAL);
	if (iscsi_connect_sync(iscsi, url->portal) != 0 ||
	    iscsi_login_sync(iscsi) != 0)
		errx(1, "%s", iscsi_get_error(iscsi));
	*ret_lun = url->lun;
	iscsi_destroy_url(url);
	return iscsi;
}

static struct scsi_task *
command(struct iscsi_context *iscsi, int lun, uint8_t *cdb, size_t cdb_len,
    struct iscsi_data *out, size_t in_len)
{
	int direction = out->size > 0 ? SCSI_XFER_WRITE :
	    in_len > 0 ? SCSI_XFER_READ : SCSI_XFER_NONE;
	struct scsi_task *t = scsi_create_task((int)cdb_len, cdb, direction,
	    (int)(out->size + in_len));

	if (t == NULL || iscsi_scsi_command_sync(iscsi, lun, t,
	    out->size > 0 ? out : NULL) == NULL)
		errx(1, "%s", iscsi_get_error(iscsi));
	return t;
}

static void
print(const struct scsi_task *t)
{
	if (t->status == SCSI_STATUS_CHECK_CONDITION)
		printf("%02x/%02x/%02x\n", t->sense.key,
		    (unsigned)t->sense.ascq >> 8 & 0xff,
		    (unsigned)t->sense.ascq & 0xff);
	else if (t->status != SCSI_STATUS_GOOD)
		printf("0x%02x\n", (unsigned)t->status);
	else
		puts("GOOD");
	if (t->status == SCSI_STATUS_GOOD && t->datain.size > 0)
		fwrite(t->datain.data, 1, (size_t)t->datain.size, stdout);
}

int
main(int argc, char **argv)
{
	static uint8_t cdb[16], data[DATA_MAX];
	const char *initiator = "iqn.2026-11.test:scsi-cmd";
	struct iscsi_data out = { .data = data };
	struct iscsi_context *iscsi;
	struct scsi_task *t;
	size_t cdb_len, in_len = 0;
	int opt, lun;

	while ((opt = getopt(argc, argv, "i:r:")) != -1) {
		switch (opt) {
		case 'i': initiator = optarg; break;
		case 'r': in_len = strtoul(optarg, NULL, 10); break;
		default: errx(2, "see the source");
		}
	}
	if (argc - optind < 2)
		errx(2, "URL and CDB are missing");
	cdb_len = parse_hex(argv[optind + 1], cdb, sizeof(cdb));
	if (argc - optind > 2)
		out.size = parse_hex(argv[optind + 2], data, sizeof(data));
	iscsi = session(initiator, argv[optind], &lun);
	t = command(iscsi, lun, cdb, cdb_len, &out, in_len);
	if (t->status == SCSI_STATUS_CHECK_CONDITION &&
	    t->sense.key == SCSI_SENSE_UNIT_ATTENTION) {
		scsi_free_scsi_task(t);
		t = command(iscsi, lun, cdb, cdb_len, &out, in_len);
	}
	print(t);
	scsi_free_scsi_task(t);
	iscsi_logout_sync(iscsi);
	iscsi_destroy_context(iscsi);
	return 0;
}
