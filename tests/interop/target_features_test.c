/* SPDX-License-Identifier: BSD-2-Clause */
/* Copies by token and a pool that gets full, by sessions of libiscsi. */
#include <atf-c.h>
#include <fcntl.h>
#include <sched.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <iscsi/iscsi.h>
#include <iscsi/scsi-lowlevel.h>

#include "libvmfs/base/be.h"
#include "libvmfs/base/units.h"
#include "tests/interop/target_peer.h"

#define IQN "iqn.2026-11.io.vmfsd:test"
#define CHUNK 128U			/* blocks of 512 */
#define INFO_LEN (32 + 4 + 2 + 512)

static unsigned char data[MIB], back[MIB];

static struct iscsi_context *
log_in(const char *name, int lun)
{
	struct iscsi_context *iscsi = iscsi_create_context(name);

	ATF_REQUIRE(iscsi != NULL);
	iscsi_set_targetname(iscsi, IQN);
	iscsi_set_session_type(iscsi, ISCSI_SESSION_NORMAL);
	ATF_REQUIRE_EQ_MSG(0, iscsi_full_connect_sync(iscsi, peer.portal, lun),
	    "%s", iscsi_get_error(iscsi));
	return iscsi;
}

/* Status, or for CHECK CONDITION key << 16 | asc << 8 | ascq. */
static unsigned
result_of(struct scsi_task *t)
{
	unsigned result;

	ATF_REQUIRE(t != NULL);
	result = (unsigned)t->status;
	if (t->status == SCSI_STATUS_CHECK_CONDITION)
		result = (unsigned)t->sense.key << 16 |
		    (unsigned)t->sense.ascq;
	scsi_free_scsi_task(t);
	return result;
}

static unsigned
write_blocks(struct iscsi_context *iscsi, int lun, uint64_t lba,
    uint32_t blocks)
{
	return result_of(iscsi_write16_sync(iscsi, lun, lba, data,
	    blocks * 512, 512, 0, 0, 0, 0, 0));
}

static void
read_blocks(struct iscsi_context *iscsi, int lun, uint64_t lba,
    uint32_t blocks)
{
	struct scsi_task *t = iscsi_read16_sync(iscsi, lun, lba, blocks * 512,
	    512, 0, 0, 0, 0, 0);

	ATF_REQUIRE(t != NULL && t->status == SCSI_STATUS_GOOD);
	ATF_REQUIRE_EQ((int)blocks * 512, t->datain.size);
	memcpy(back, t->datain.data, blocks * 512);
	scsi_free_scsi_task(t);
}

/* ---- tokens ---- */

static unsigned
copy_out(struct iscsi_context *iscsi, int lun, uint8_t action, uint32_t id,
    unsigned char *list, uint32_t len)
{
	unsigned char cdb[16] = { 0x83, action };
	struct iscsi_data out = { .data = list, .size = len };
	struct scsi_task *t;

	be32_store(cdb + 2, id);
	be32_store(cdb + 10, len);
	t = scsi_create_task(16, cdb, SCSI_XFER_WRITE, (int)len);
	return result_of(iscsi_scsi_command_sync(iscsi, lun, t, &out));
}

static void
token_of(struct iscsi_context *iscsi, int lun, uint64_t lba, uint32_t blocks,
    unsigned char token[512])
{
	unsigned char list[32] = { 0 }, cdb[16] = { 0x84, 0x07 };
	struct scsi_task *t;

	be16_store(list, 30);
	be16_store(list + 14, 16);
	be64_store(list + 16, lba);
	be32_store(list + 24, blocks);
	ATF_REQUIRE_EQ(0, copy_out(iscsi, lun, 0x10, 1, list, sizeof(list)));
	be32_store(cdb + 2, 1);
	be32_store(cdb + 10, INFO_LEN);
	t = scsi_create_task(16, cdb, SCSI_XFER_READ, INFO_LEN);
	t = iscsi_scsi_command_sync(iscsi, lun, t, NULL);
	ATF_REQUIRE(t != NULL && t->status == SCSI_STATUS_GOOD);
	ATF_REQUIRE_EQ(INFO_LEN, t->datain.size);
	memcpy(token, t->datain.data + 38, 512);
	scsi_free_scsi_task(t);
}

static unsigned
write_token(struct iscsi_context *iscsi, int lun,
    const unsigned char token[512], uint64_t lba, uint32_t blocks)
{
	unsigned char list[552] = { 0 };

	be16_store(list, sizeof(list) - 2);
	memcpy(list + 16, token, 512);
	be16_store(list + 534, 16);
	be64_store(list + 536, lba);
	be32_store(list + 544, blocks);
	return copy_out(iscsi, lun, 0x11, 2, list, sizeof(list));
}

/* One initiator makes a token of its LUN, another copies from it. */
ATF_TC_WITHOUT_HEAD(token_goes_from_one_initiator_to_another);
ATF_TC_BODY(token_goes_from_one_initiator_to_another, tc)
{
	static const char *const args[] = { "--ram", "16M", "--ram", "16M",
	    NULL };
	struct iscsi_context *a, *b;
	unsigned char token[512];

	(void)tc;
	target_start(args);
	a = log_in("iqn.2026-11.test:a", 0);
	b = log_in("iqn.2026-11.test:b", 1);
	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (unsigned char)(i * 31 + i / 4096);
	ATF_REQUIRE_EQ(0, write_blocks(a, 0, 64, CHUNK));
	token_of(a, 0, 64, CHUNK, token);
	ATF_REQUIRE_EQ(0, write_token(b, 1, token, 1024, CHUNK));
	read_blocks(b, 1, 1024, CHUNK);
	ATF_CHECK_EQ(0, memcmp(data, back, CHUNK * 512));
	token[300] ^= 1;
	ATF_CHECK_EQ(0x052304, write_token(b, 1, token, 0, CHUNK));
	token[300] ^= 1;
	ATF_REQUIRE_EQ(0, write_blocks(a, 0, 64, 1));
	ATF_CHECK_EQ(0x052308, write_token(b, 1, token, 0, CHUNK));
	(void)iscsi_destroy_context(a);
	(void)iscsi_destroy_context(b);
	target_kill();
}

/* ---- the pool ---- */

#define POOL "size=32m"
#define BALLAST (16 * MIB)

static void
pool_make(void)
{
	int fd;

	ATF_REQUIRE(unshare(CLONE_NEWNS) == 0);
	ATF_REQUIRE(mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0);
	ATF_REQUIRE(mkdir("pool", 0700) == 0);
	ATF_REQUIRE(mount("pool", "pool", "tmpfs", 0, POOL) == 0);
	fd = open("pool/lun", O_RDWR | O_CREAT, 0600);
	ATF_REQUIRE(fd >= 0 && ftruncate(fd, 64 * MIB) == 0);
	(void)close(fd);
	fd = open("pool/ballast", O_RDWR | O_CREAT, 0600);
	ATF_REQUIRE(fd >= 0 && posix_fallocate(fd, 0, BALLAST) == 0);
	(void)close(fd);
}

ATF_TC(full_pool_is_told_and_goes_on);
ATF_TC_HEAD(full_pool_is_told_and_goes_on, tc)
{
	atf_tc_set_md_var(tc, "require.user", "root");
}
ATF_TC_BODY(full_pool_is_told_and_goes_on, tc)
{
	static const char *const args[] = { "--file", "pool/lun", NULL };
	struct iscsi_context *a, *b;
	bool warned = false;
	uint64_t lba = 0;
	unsigned result = 0;

	(void)tc;
	pool_make();
	target_start(args);
	a = log_in("iqn.2026-11.test:a", 0);
	b = log_in("iqn.2026-11.test:b", 0);
	memset(data, 0x5a, sizeof(data));
	while (lba < 64 * MIB / 512) {
		result = write_blocks(a, 0, lba, MIB / 512);
		if (result == 0x063807) {
			ATF_CHECK(!warned);
			warned = true;
			/* 80 percent of 32 MiB, and a MiB or two. */
			ATF_CHECK(BALLAST + lba * 512 >= 25 * MIB);
			ATF_CHECK(BALLAST + lba * 512 <= 28 * MIB);
			ATF_CHECK_EQ(0x063807,
			    result_of(iscsi_testunitready_sync(b, 0)));
			continue;
		}
		if (result != 0)
			break;
		lba += MIB / 512;
	}
	ATF_CHECK_EQ(0x072707, result);
	ATF_CHECK(warned);
	ATF_CHECK_EQ(0, result_of(iscsi_testunitready_sync(a, 0)));
	ATF_CHECK_EQ(0x072707, write_blocks(b, 0, lba, MIB / 512));
	ATF_REQUIRE(unlink("pool/ballast") == 0);
	ATF_CHECK_EQ(0, write_blocks(a, 0, lba, MIB / 512));
	read_blocks(b, 0, lba, MIB / 512);
	ATF_CHECK_EQ(0, memcmp(data, back, MIB));
	(void)iscsi_destroy_context(a);
	(void)iscsi_destroy_context(b);
	target_kill();
}

ATF_TP_ADD_TCS(tp)
{
	ATF_TP_ADD_TC(tp, token_goes_from_one_initiator_to_another);
	ATF_TP_ADD_TC(tp, full_pool_is_told_and_goes_on);
	return atf_no_error();
}
