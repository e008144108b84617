/* SPDX-License-Identifier: BSD-2-Clause */
/* Rig for the tests of the SCSI device server. */
#include "tests/unit/scsi_rig.h"

#include <atf-c.h>
#include <stdio.h>
#include <string.h>

#include "libvmfs/base/be.h"
#include "libvmfs/env/reactor.h"

const uint8_t rig_lun0[8];

/* ---- disk ---- */

static bool
rig_disk_holds(const struct rig_disk *d, enum disk_op op)
{
	return d->hold && (op == DISK_READ || op == DISK_WRITE ||
	    op == DISK_CAW || op == DISK_WRITE_ZEROES);
}

static void
rig_disk_failed(void *arg)
{
	struct disk_req *req = arg;

	req->done(req);
}

static void
rig_disk_forward(struct rig_disk *d, struct disk_req *req)
{
	if (d->error != 0) {
		req->result = d->error;
		d->work[0] = (struct sched_work){ rig_disk_failed, req, NULL };
		sched_post(sched_current(), &d->work[0]);
		return;
	}
	if (req->op == DISK_WRITE || req->op == DISK_CAW)
		d->writes++;
	if (d->on_forward != NULL)
		d->on_forward(req);
	disk_submit(d->below, req);
}

static void
rig_disk_submit(struct disk *disk, struct disk_req *req)
{
	struct rig_disk *d = container_of(disk, struct rig_disk, disk);

	if (!rig_disk_holds(d, req->op)) {
		rig_disk_forward(d, req);
		return;
	}
	ATF_REQUIRE(d->held_count < 64);
	d->held[d->held_count++] = req;
}

void
rig_disk_let_go(struct rig *r)
{
	struct rig_disk *d = &r->disk;

	d->hold = false;
	for (unsigned i = 0; i < d->held_count; i++)
		rig_disk_forward(d, d->held[i]);
	d->held_count = 0;
}

void
rig_disk_let_go_one(struct rig *r, unsigned i)
{
	struct rig_disk *d = &r->disk;
	struct disk_req *req = d->held[i];

	d->held[i] = d->held[--d->held_count];
	rig_disk_forward(d, req);
}

static int
rig_disk_space(struct disk *d, struct disk_space *ret_space)
{
	const struct rig_disk *r = container_of(d, struct rig_disk, disk);

	if (r->space.size == 0)
		return -EOPNOTSUPP;
	*ret_space = r->space;
	return 0;
}

/* ---- rig ---- */

struct rig_main {
	void (*setup)(struct rig *r);
	void (*body)(struct rig *r);
};

static void
rig_open(struct rig *r, void (*setup)(struct rig *r))
{
	static const struct disk_ops ops = {
		.submit = rig_disk_submit, .space = rig_disk_space,
	};
	char name[64], port[96];

	env_posix_init(&r->env, sched_current(), NULL);
	ATF_REQUIRE_EQ(0, disk_mem_open((uint64_t)RIG_BLOCKS * RIG_BLOCK,
	    RIG_BLOCK, &r->disk.below));
	r->disk.disk.ops = &ops;
	r->disk.disk.info = r->disk.below->info;
	r->conf.uuid.b[3] = 0x5a;
	r->conf.thin = true;
	if (setup != NULL)
		setup(r);
	ATF_REQUIRE_EQ(0,
	    scsi_lu_new(&r->env, &r->disk.disk, &r->conf, &r->lu));
	ATF_REQUIRE_EQ(0, scsi_target_new(&r->env, RIG_IQN, &r->target));
	ATF_REQUIRE_EQ(0, scsi_target_map(r->target, 0, r->lu));
	for (unsigned i = 0; i < RIG_NEXUSES; i++) {
		snprintf(name, sizeof(name),
		    "iqn.2026-01.org.example:host%u", i);
		snprintf(port, sizeof(port), "%s,i,0x00023d00000%u", name, i);
		ATF_REQUIRE_EQ(0, scsi_nexus_open(r->target, name, port,
		    &r->nexus[i]));
		ATF_REQUIRE_EQ(0x062900, rig_tur(r->nexus[i]));
	}
}

static int
rig_main(void *arg)
{
	struct rig_main *m = arg;
	struct rig r = { .lu = NULL };

	rig_open(&r, m->setup);
	m->body(&r);
	for (unsigned i = 0; i < RIG_NEXUSES; i++)
		scsi_nexus_close(r.nexus[i]);
	scsi_target_free(r.target);
	scsi_lu_free(r.lu);
	disk_close(r.disk.below);
	return 0;
}

void
rig_run(void (*setup)(struct rig *r), void (*body)(struct rig *r))
{
	struct rig_main m = { setup, body };

	ATF_REQUIRE_EQ(0, reactor_run_main(rig_main, &m));
}

void
rig_settle(void)
{
	/* What is posted runs between turns of up to 64 fibers. */
	for (unsigned i = 0; i < 512; i++)
		fiber_yield();
}

/* ---- tasks ---- */

static void
rig_done(struct scsi_task *task)
{
	struct rig_task *t = container_of(task, struct rig_task, task);

	ATF_REQUIRE(!t->done);
	t->done = true;
	if (t->waiter != NULL)
		fiber_unpark(t->waiter);
}

static void
rig_submit(struct rig_task *t, struct scsi_nexus *n, const uint8_t lun[8],
    const void *cdb, size_t cdb_len)
{
	static uint64_t tag;

	memcpy(t->task.lun, lun, 8);
	memcpy(t->task.cdb, cdb, cdb_len);
	t->task.cdb_len = cdb_len;
	t->task.nexus = n;
	t->task.tag = ++tag;
	t->task.done = rig_done;
	scsi_task_submit(&t->task);
	ATF_REQUIRE(!t->done);
}

void
rig_start_attr(struct rig_task *t, struct scsi_nexus *n, enum scsi_attr attr,
    const void *cdb, size_t cdb_len, const void *out, size_t out_len)
{
	memset(t, 0, sizeof(*t));
	t->task.attr = attr;
	t->task.dir_out = out != NULL;
	t->task.dir_in = out == NULL;
	t->task.data_out = out;
	t->task.data_out_len = out_len;
	t->task.edtl = out_len;
	rig_submit(t, n, rig_lun0, cdb, cdb_len);
}

void
rig_start(struct rig_task *t, struct scsi_nexus *n, const void *cdb,
    size_t cdb_len, const void *out, size_t out_len)
{
	rig_start_attr(t, n, SCSI_ATTR_SIMPLE, cdb, cdb_len, out, out_len);
}

void
rig_start_lun(struct rig_task *t, struct scsi_nexus *n, const uint8_t lun[8],
    const void *cdb, size_t cdb_len)
{
	memset(t, 0, sizeof(*t));
	t->task.attr = SCSI_ATTR_SIMPLE;
	rig_submit(t, n, lun, cdb, cdb_len);
}

void
rig_wait(struct rig_task *t)
{
	t->waiter = fiber_self();
	while (!t->done)
		fiber_park();
	t->waiter = NULL;
}

void
rig_fini(struct rig_task *t)
{
	scsi_task_fini(&t->task);
}

uint32_t
rig_result(const struct rig_task *t)
{
	const uint8_t *s = t->task.sense;

	if (t->task.status != SCSI_CHECK_CONDITION)
		return (uint32_t)t->task.status;
	if (s[0] == 0x72)
		return (uint32_t)s[1] << 16 | (uint32_t)s[2] << 8 | s[3];
	return (uint32_t)(s[2] & 0x0f) << 16 | (uint32_t)s[12] << 8 | s[13];
}

uint32_t
rig_cmd_in(struct scsi_nexus *n, const void *cdb, size_t cdb_len,
    void *in, size_t in_size, size_t *ret_len)
{
	struct rig_task t;
	uint32_t result;

	rig_start(&t, n, cdb, cdb_len, NULL, 0);
	rig_wait(&t);
	result = rig_result(&t);
	ATF_REQUIRE(t.task.data_in_len <= in_size);
	if (t.task.data_in_len > 0)
		memcpy(in, t.task.data_in, t.task.data_in_len);
	*ret_len = t.task.data_in_len;
	rig_fini(&t);
	return result;
}

uint32_t
rig_cmd(struct scsi_nexus *n, const void *cdb, size_t cdb_len,
    const void *out, size_t out_len)
{
	struct rig_task t;
	uint32_t result;

	rig_start(&t, n, cdb, cdb_len, out, out_len);
	rig_wait(&t);
	result = rig_result(&t);
	rig_fini(&t);
	return result;
}

/* ---- commands ---- */

const uint8_t *
rig_cdb16(uint8_t opcode, uint64_t lba, uint32_t blocks)
{
	static uint8_t cdb[16];

	memset(cdb, 0, sizeof(cdb));
	cdb[0] = opcode;
	be64_store(cdb + 2, lba);
	be32_store(cdb + 10, blocks);
	return cdb;
}

uint32_t
rig_read(struct scsi_nexus *n, uint64_t lba, uint32_t blocks, void *buf)
{
	size_t len;

	return rig_cmd_in(n, rig_cdb16(0x88, lba, blocks), 16, buf,
	    (size_t)blocks * RIG_BLOCK, &len);
}

uint32_t
rig_write(struct scsi_nexus *n, uint64_t lba, uint32_t blocks, const void *buf)
{
	return rig_cmd(n, rig_cdb16(0x8a, lba, blocks), 16, buf,
	    (size_t)blocks * RIG_BLOCK);
}

uint32_t
rig_caw(struct scsi_nexus *n, uint64_t lba, uint8_t blocks, const void *data)
{
	uint8_t cdb[16];

	memcpy(cdb, rig_cdb16(0x89, lba, 0), 16);
	cdb[13] = blocks;
	return rig_cmd(n, cdb, 16, data, 2UL * blocks * RIG_BLOCK);
}

uint32_t
rig_tur(struct scsi_nexus *n)
{
	static const uint8_t cdb[6];

	return rig_cmd(n, cdb, 6, NULL, 0);
}

static uint8_t pr_list[24];

static const uint8_t *
rig_pr_cdb(uint8_t action, uint8_t type, uint64_t key, uint64_t new_key)
{
	static uint8_t cdb[10];

	memset(pr_list, 0, sizeof(pr_list));
	memset(cdb, 0, sizeof(cdb));
	cdb[0] = 0x5f;
	cdb[1] = action;
	cdb[2] = type;
	cdb[8] = 24;
	be64_store(pr_list, key);
	be64_store(pr_list + 8, new_key);
	return cdb;
}

uint32_t
rig_pr_out(struct scsi_nexus *n, uint8_t action, uint8_t type, uint64_t key,
    uint64_t new_key)
{
	return rig_cmd(n, rig_pr_cdb(action, type, key, new_key), 10, pr_list,
	    sizeof(pr_list));
}

void
rig_pr_out_start(struct rig_task *t, struct scsi_nexus *n, uint8_t action,
    uint8_t type, uint64_t key, uint64_t new_key)
{
	rig_start(t, n, rig_pr_cdb(action, type, key, new_key), 10, pr_list,
	    sizeof(pr_list));
}
