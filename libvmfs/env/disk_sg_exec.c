/* SPDX-License-Identifier: BSD-2-Clause */
/* Requests as SCSI commands: CDBs and parameter lists. */
#include <stdlib.h>
#include <string.h>

#include "libvmfs/base/be.h"
#include "libvmfs/env/disk_sg_impl.h"
#include "libvmfs/env/lba_status.h"

#define PR_OUT_LIST 24		/* SPC-4 table 216 */
#define PR_IN_HEADER 8
#define KEYS_MAX 4096		/* of one READ KEYS: 32 KiB of data */

/* Address on the LUN. */
static uint64_t
first_lba(const struct disk_sg *s, const struct disk_req *req)
{
	return s->first_lba + req->offset / s->disk.info.block_size;
}

/* SYNCHRONIZE CACHE(16), SBC-4 5.39: everything. */
static int
sync_cache(struct disk_sg *s, struct disk_req *req)
{
	uint8_t cdb[16] = { 0x91 };
	struct sg_data data = { .direction = SG_DXFER_NONE };
	int rc = sg_command(s, cdb, sizeof(cdb), &data, &req->sense);

	/* Done, but is it durable?  Who asked must read back. */
	return rc < 0 ? -VMFS_EUNKNOWN : 0;
}

/*
 * COMPARE AND WRITE, SBC-4 5.3: old image, then new image.  A device without
 * DPOFUA refuses the FUA bit: there the cache is flushed behind it.
 */
static int
exec_caw(struct disk_sg *s, struct disk_req *req)
{
	uint32_t block = s->disk.info.block_size;
	uint8_t cdb[16] = { 0x89 };
	struct sg_data data = {
		.direction = SG_DXFER_TO_DEV,
		.len = (uint32_t)(2 * req->length),
	};
	bool small = data.len <= SG_CAW_SPARE;
	char *p = NULL;
	int rc;

	if (small)
		p = spare_take(&s->caw_buf);
	if (p == NULL)
		p = disk_buf_alloc(small ? SG_CAW_SPARE : data.len);
	if (p == NULL)
		return -ENOMEM;
	data.buf = p;
	memcpy(p, req->expect, req->length);
	p += req->length;
	for (int i = 0; i < req->iovcnt; i++) {
		if (req->iov[i].iov_len > 0)
			memcpy(p, req->iov[i].iov_base, req->iov[i].iov_len);
		p += req->iov[i].iov_len;
	}
	if ((req->flags & DISK_FUA) != 0)
		cdb[1] = 0x08;
	be64_store(cdb + 2, first_lba(s, req));
	cdb[13] = (uint8_t)(req->length / block);
	rc = sg_command(s, cdb, sizeof(cdb), &data, &req->sense);
	if (rc < 0 && cdb[1] != 0 && req->sense.key == 0x05 &&
	    req->sense.asc == 0x24) {
		cdb[1] = 0;
		rc = sg_command(s, cdb, sizeof(cdb), &data, &req->sense);
		if (rc == 0)
			rc = sync_cache(s, req);
	}
	if (small)
		spare_give(&s->caw_buf, data.buf);
	else
		free(data.buf);
	return rc;
}

/* PERSISTENT RESERVE OUT, SPC-4 6.14; LU scope. */
static int
exec_pr_out(struct disk_sg *s, struct disk_req *req)
{
	const struct disk_pr *pr = req->pr;
	uint8_t cdb[10] = { 0x5f, (uint8_t)pr->action, (uint8_t)pr->type };
	uint8_t list[PR_OUT_LIST] = { 0 };
	struct sg_data data = {
		.direction = SG_DXFER_TO_DEV,
		.buf = list,
		.len = sizeof(list),
	};

	be32_store(cdb + 5, PR_OUT_LIST);
	be64_store(list, pr->key);
	be64_store(list + 8, pr->sa_key);
	list[20] = pr->aptpl ? 0x01 : 0;
	return sg_command(s, cdb, sizeof(cdb), &data, &req->sense);
}

/* PERSISTENT RESERVE IN, SPC-4 6.13, into buf; checks the header. */
static int
pr_in(struct disk_sg *s, struct disk_req *req, uint8_t action, uint8_t *buf,
    uint32_t len, uint32_t *ret_body)
{
	uint8_t cdb[10] = { 0x5e, action };
	struct sg_data data = {
		.direction = SG_DXFER_FROM_DEV,
		.buf = buf,
		.len = len,
	};
	int rc;

	be16_store(cdb + 7, (uint16_t)len);
	rc = sg_command(s, cdb, sizeof(cdb), &data, &req->sense);
	if (rc < 0)
		return rc;
	if (data.received < PR_IN_HEADER)
		return -EIO;
	req->pr->generation = be32_load(buf);
	*ret_body = be32_load(buf + 4);
	/* The rest must be there unless our buffer was too small for it. */
	if (data.received < len && *ret_body > data.received - PR_IN_HEADER)
		return -EIO;
	return 0;
}

static int
exec_read_keys(struct disk_sg *s, struct disk_req *req)
{
	struct disk_pr *pr = req->pr;
	size_t max = pr->keys_max < KEYS_MAX ? pr->keys_max : KEYS_MAX;
	uint32_t body, len = (uint32_t)(PR_IN_HEADER + 8 * max);
	uint8_t *buf = disk_buf_alloc(len);
	int rc;

	if (buf == NULL)
		return -ENOMEM;
	rc = pr_in(s, req, 0x00, buf, len, &body);
	if (rc == 0) {
		pr->keys_count = body / 8;
		for (size_t i = 0; i < max && i < pr->keys_count; i++)
			pr->keys[i] = be64_load(buf + PR_IN_HEADER + 8 * i);
	}
	free(buf);
	return rc;
}

static int
exec_read_reservation(struct disk_sg *s, struct disk_req *req)
{
	struct disk_pr *pr = req->pr;
	uint8_t buf[PR_IN_HEADER + 16] = { 0 };
	uint32_t body;
	int rc;

	rc = pr_in(s, req, 0x01, buf, sizeof(buf), &body);
	if (rc < 0)
		return rc;
	pr->reserved = body >= 16;
	pr->keys_count = pr->reserved ? 1 : 0;
	if (!pr->reserved)
		return 0;
	pr->type = buf[21] & 0x0f;
	if (pr->keys_max > 0)
		pr->keys[0] = be64_load(buf + 8);
	return 0;
}

/* UNMAP, SBC-4 5.35, one descriptor each. */
static int
exec_unmap(struct disk_sg *s, struct disk_req *req)
{
	uint64_t lba = first_lba(s, req);
	uint64_t left = req->length / s->disk.info.block_size;
	uint32_t max = s->max_unmap_blocks > 0 ? s->max_unmap_blocks :
	    UINT32_MAX;
	int rc = 0;

	while (rc == 0 && left > 0) {
		uint32_t n = left < max ? (uint32_t)left : max;
		uint8_t cdb[10] = { 0x42 };
		uint8_t list[24] = { 0 };
		struct sg_data data = {
			.direction = SG_DXFER_TO_DEV,
			.buf = list,
			.len = sizeof(list),
		};

		be16_store(cdb + 7, sizeof(list));
		be16_store(list, sizeof(list) - 2);
		be16_store(list + 2, 16);
		be64_store(list + 8, lba);
		be32_store(list + 16, n);
		rc = sg_command(s, cdb, sizeof(cdb), &data, &req->sense);
		lba += n;
		left -= n;
	}
	return rc;
}

/* WRITE SAME(16), SBC-4 5.50, of one zeroed block. */
static int
exec_write_zeroes(struct disk_sg *s, struct disk_req *req)
{
	uint32_t block = s->disk.info.block_size;
	uint64_t lba = first_lba(s, req), left = req->length / block;
	uint64_t max = s->max_same_blocks > 0 &&
	    s->max_same_blocks < UINT32_MAX ? s->max_same_blocks : UINT32_MAX;
	bool unmap = (req->flags & DISK_MAY_UNMAP) != 0 && s->unmap_zeroes;
	void *zeroes = disk_buf_alloc(block);
	int rc = 0;

	if (zeroes == NULL)
		return -ENOMEM;
	while (rc == 0 && left > 0) {
		uint32_t n = (uint32_t)(left < max ? left : max);
		uint8_t cdb[16] = { 0x93, unmap ? 0x08 : 0 };
		struct sg_data data = {
			.direction = SG_DXFER_TO_DEV,
			.buf = zeroes,
			.len = block,
		};

		be64_store(cdb + 2, lba);
		be32_store(cdb + 10, n);
		rc = sg_command(s, cdb, sizeof(cdb), &data, &req->sense);
		lba += n;
		left -= n;
	}
	free(zeroes);
	return rc;
}

/* GET LBA STATUS; addresses of the answer are those of the LUN. */
static int
exec_map(struct disk_sg *s, struct disk_req *req)
{
	uint32_t block = s->disk.info.block_size;
	uint64_t lba = first_lba(s, req), end = lba + req->length / block;
	uint8_t *buf = disk_buf_alloc(LBA_STATUS_SIZE);
	int rc = buf != NULL ? 0 : -ENOMEM;

	while (rc == 0 && lba < end) {
		struct sg_data data = {
			.direction = SG_DXFER_FROM_DEV,
			.buf = buf,
			.len = LBA_STATUS_SIZE,
		};
		uint8_t cdb[16];

		lba_status_cdb(cdb, lba, LBA_STATUS_SIZE);
		rc = sg_command(s, cdb, sizeof(cdb), &data, &req->sense);
		if (rc == 0)
			rc = lba_status_add(buf, data.received, block, end,
			    &lba, req->map);
	}
	free(buf);
	return rc;
}

int
sg_execute(struct disk_sg *s, struct disk_req *req)
{
	switch (req->op) {
	case DISK_CAW:
		return exec_caw(s, req);
	case DISK_PR_OUT:
		return exec_pr_out(s, req);
	case DISK_PR_READ_KEYS:
		return exec_read_keys(s, req);
	case DISK_PR_READ_RESERVATION:
		return exec_read_reservation(s, req);
	case DISK_UNMAP:
		return exec_unmap(s, req);
	case DISK_WRITE_ZEROES:
		return exec_write_zeroes(s, req);
	case DISK_MAP:
		return exec_map(s, req);
	default:
		return -EOPNOTSUPP;
	}
}
