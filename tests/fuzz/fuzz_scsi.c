/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * CDBs and parameter lists, executed: two initiators and two units in memory,
 * one of them read-only, several commands at once on slow disks that fail now
 * and then, task management and changes of the map of units among them.
 *
 *   seed      bit 0 waits at the end, 1 slow disks, 2 disks with errors
 *   images    1 byte of how, then stored images of reservations, SANITIZE
 *   commands  op, CDB and data of each, see run_one
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "iscsi/scsi/scsi.h"
#include "libvmfs/base/be.h"
#include "libvmfs/base/crc32c.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/slow_disk.h"

#define BLOCK 512U
#define BYTES (64U << 10)
#define NEXUSES 2
#define SLOTS 12
#define DATA_MAX (20U << 10)
#define TARGET "iqn.2026-11.io.vmfsd:fuzz"
#define TOKEN_LEN 512

enum {			/* bits of the seed */
	SEED_PATIENT = 1, SEED_SLOW = 2, SEED_ERRORS = 4,
};
enum {			/* and of what says which images there are */
	IMAGE_PR = 1, IMAGE_SEALED = 2, IMAGE_SANITIZE = 4,
};
enum {			/* bits of a command's first byte */
	RUN_NEXUS = 1,
	RUN_LUN_1 = 2,
	RUN_OTHER_LUN = 4,	/* 8 bytes follow */
	RUN_TMF = 8,
	RUN_WAIT = 16,		/* until it has ended */
	RUN_ATTR = 32,		/* a byte follows */
	RUN_LONG = 64,		/* CDB of 32 bytes */
	RUN_SLEEP = 128,
};

struct slot {
	struct scsi_task task;
	uint8_t *out;
	bool busy;
};

static struct {
	struct sim sim;
	struct env env;
	struct disk *disk[2];
	struct scsi_lu *lu[2];
	struct scsi_target *target;
	struct scsi_nexus *nexus[NEXUSES];
	struct slot slots[SLOTS];
	struct fiber_cond changed;
	struct fuzz_in *in;
	uint8_t seed;
	uint8_t token[TOKEN_LEN];	/* the last one that was told */
	uint8_t saved[64 << 10];	/* the image of reservations */
} box;

/* ---- tasks ---- */

static bool
is_status(enum scsi_status s)
{
	return s == SCSI_GOOD || s == SCSI_CHECK_CONDITION ||
	    s == SCSI_CONDITION_MET || s == SCSI_BUSY ||
	    s == SCSI_RESERVATION_CONFLICT || s == SCSI_TASK_SET_FULL ||
	    s == SCSI_TASK_ABORTED;
}

/* RECEIVE ROD TOKEN INFORMATION: what WRITE USING TOKEN shall name. */
static void
token_keep(const struct scsi_task *t)
{
	if (t->cdb[0] == 0x84 && (t->cdb[1] & 0x1f) == 0x07 &&
	    t->data_in_len == 38 + TOKEN_LEN)
		memcpy(box.token, t->data_in + 38, TOKEN_LEN);
}

static void
token_put(const struct scsi_task *t, uint8_t *out, size_t len)
{
	if (t->cdb[0] == 0x83 && (t->cdb[1] & 0x1f) == 0x11 &&
	    len >= 16 + TOKEN_LEN)
		memcpy(out + 16, box.token, TOKEN_LEN);
}

static void
task_done(struct scsi_task *t)
{
	struct slot *s = t->arg;
	volatile uint8_t sum = 0;

	/* For people who look into a finding. */
	if (getenv("FUZZ_SHOW") != NULL)
		fprintf(stderr, "%02x/%02x status %02x sense %02x %02x %02x\n",
		    t->cdb[0], t->cdb[1], (unsigned)t->status, t->sense[2],
		    t->sense[12], t->sense[13]);
	FUZZ_CHECK(s->busy);
	FUZZ_CHECK(is_status(t->status));
	FUZZ_CHECK(t->sense_len <= SCSI_SENSE_MAX);
	FUZZ_CHECK((t->status == SCSI_CHECK_CONDITION) == (t->sense_len > 0));
	if (t->sense_len > 0)
		FUZZ_CHECK((t->sense[0] & 0x7e) == 0x70 ||
		    (t->sense[0] & 0x7e) == 0x72);
	FUZZ_CHECK(t->data_in_len == 0 || t->data_in != NULL);
	FUZZ_CHECK(t->data_in_len <= SCSI_TRANSFER_MAX);
	/* First and last byte are there. */
	if (t->data_in_len > 0)
		sum = (uint8_t)(t->data_in[0] + t->data_in[t->data_in_len - 1]);
	(void)sum;
	token_keep(t);
	scsi_task_fini(t);
	free(s->out);
	s->busy = false;
	fiber_cond_broadcast(&box.changed);
}

static struct slot *
slot_get(void)
{
	for (;;) {
		for (unsigned i = 0; i < SLOTS; i++)
			if (!box.slots[i].busy)
				return &box.slots[i];
		fiber_cond_wait(&box.changed);
	}
}

static void
wait_all(void)
{
	for (unsigned i = 0; i < SLOTS; i++)
		while (box.slots[i].busy)
			fiber_cond_wait(&box.changed);
}

static size_t
cdb_length(uint8_t op)
{
	static const uint8_t lengths[8] = { 6, 10, 10, 32, 16, 12, 10, 10 };

	return lengths[op >> 5];
}

static void
submit(uint8_t how, const uint8_t lun[8])
{
	struct fuzz_in *in = box.in;
	struct slot *s = slot_get();
	struct scsi_task *t = &s->task;
	static uint64_t tag;
	size_t want;
	uint8_t odd;

	*t = (struct scsi_task){ .nexus = box.nexus[how & RUN_NEXUS] };
	memcpy(t->lun, lun, 8);
	t->tag = tag++;
	t->attr = how & RUN_ATTR ? fuzz_u8(in) % 5 : SCSI_ATTR_SIMPLE;
	t->cdb[0] = fuzz_u8(in);
	t->cdb_len = how & RUN_LONG ? SCSI_CDB_MAX : 16;
	fuzz_fill(in, t->cdb + 1, cdb_length(t->cdb[0]) - 1);
	/* The transport sends what the CDB asks for, or what it has. */
	want = scsi_cdb_out_length(t->nexus, t->lun, t->cdb, t->cdb_len);
	t->dir_out = want > 0;
	t->dir_in = !t->dir_out;
	t->edtl = t->dir_out ? want : DATA_MAX;
	if (want > DATA_MAX)
		want = DATA_MAX;
	odd = want > 0 ? fuzz_u8(in) : 0;
	if (odd & 0x80)
		want = fuzz_u16(in) % (want + 1);
	s->out = malloc(want > 0 ? want : 1);
	FUZZ_CHECK(s->out != NULL);
	fuzz_fill(in, s->out, want);
	if (!(odd & 1))
		token_put(t, s->out, want);
	t->data_out = want > 0 ? s->out : NULL;
	t->data_out_len = want;
	t->done = task_done;
	t->arg = s;
	s->busy = true;
	scsi_task_submit(t);
	while ((how & RUN_WAIT) && s->busy)
		fiber_cond_wait(&box.changed);
}

/* The administrator takes a unit away and gives it back, or hides it. */
static void
administer(unsigned what, unsigned lun)
{
	static struct scsi_view view;
	int r;

	if (what == 0) {
		r = scsi_target_unmap(box.target, lun);
		FUZZ_CHECK(r == 0 || r == -ENOENT);
	} else if (what == 1) {
		r = scsi_target_map(box.target, lun, box.lu[lun]);
		FUZZ_CHECK(r == 0 || r == -EEXIST);
	} else if (what == 2) {
		memset(&view, 0, sizeof(view));
		scsi_view_all(&view, lun);
		view.luns[lun].shown = fuzz_u8(box.in) & 1;
		view.luns[2].shown = true;
		view.luns[2].lun = 0;
		FUZZ_CHECK(scsi_nexus_set_view(box.nexus[lun], &view) == 0);
	} else {
		FUZZ_CHECK(scsi_lu_refresh(box.lu[lun]) == 0);
	}
}

static void
run_one(void)
{
	struct fuzz_in *in = box.in;
	uint8_t how = fuzz_u8(in), lun[8] = { 0 };

	if (how & RUN_LUN_1)
		lun[1] = 1;
	if (how & RUN_OTHER_LUN)
		fuzz_fill(in, lun, sizeof(lun));
	if (how & RUN_TMF) {
		unsigned function = fuzz_u8(in) % 12;

		if (function < 8)
			(void)scsi_tmf(box.nexus[how & RUN_NEXUS],
			    (enum scsi_tmf)function, lun, fuzz_u8(in));
		else
			administer(function - 8, (how & RUN_LUN_1) != 0);
	} else {
		submit(how, lun);
	}
	if (how & RUN_SLEEP)
		fiber_sleep((uint64_t)fuzz_u8(in) * 100000000);
}

/* ---- the box ---- */

static int
pr_saved(void *arg, const void *image, size_t len)
{
	(void)arg;
	if (len <= sizeof(box.saved))
		memcpy(box.saved, image, len);
	return 0;
}

static void
change_seen(void *arg, const struct scsi_change *ch)
{
	(void)arg;
	FUZZ_CHECK(ch->initiator_port != NULL && ch->target != NULL);
	FUZZ_CHECK(ch->command != NULL && ch->lun < SCSI_LUNS_MAX);
	FUZZ_CHECK(ch->fate <= SCSI_CHANGE_ABORTED);
}

/* An image of the input, sealed or as it is; to be freed. */
static uint8_t *
image_take(bool sealed, size_t *ret_len)
{
	size_t len = fuzz_u16(box.in) % 2048;
	uint8_t *image = fuzz_take(box.in, len);

	if (sealed && len >= 4)
		be32_store(image + len - 4, crc32c(0, image, len - 4));
	*ret_len = len;
	return image;
}

static void
unit_disk(unsigned n)
{
	struct disk *d;

	FUZZ_CHECK(disk_mem_open(BYTES, BLOCK, &d) == 0);
	if (box.seed & (SEED_SLOW | SEED_ERRORS))
		d = slow_disk_new(&box.sim, d,
		    box.seed & SEED_SLOW ? 500000 : 0,
		    box.seed & SEED_ERRORS ? 100000 : 0);
	box.disk[n] = d;
}

static void
unit_new(unsigned n, struct scsi_lu_conf *conf)
{
	uint8_t how = n == 0 ? fuzz_u8(box.in) : 0;
	uint8_t *pr = NULL, *sanitize = NULL;
	int r;

	if (how & IMAGE_PR)
		pr = image_take(how & IMAGE_SEALED, &conf->pr_image_len);
	if (how & IMAGE_SANITIZE)
		sanitize = image_take(how & IMAGE_SEALED,
		    &conf->sanitize_image_len);
	conf->pr_image = pr;
	conf->sanitize_image = sanitize;
	conf->pr_save = conf->sanitize_save = pr_saved;
	conf->on_change = change_seen;
	/* NAA 602564d1 and 602564d2, then zeroes: seeds.txt names them. */
	conf->uuid.b[3] = (uint8_t)(n + 1);
	unit_disk(n);
	r = scsi_lu_new(&box.env, box.disk[n], conf, &box.lu[n]);
	FUZZ_CHECK(r == 0 || (r == -VMFS_ECORRUPT && (pr || sanitize)));
	if (r < 0) {
		conf->pr_image = conf->sanitize_image = NULL;
		FUZZ_CHECK(scsi_lu_new(&box.env, box.disk[n], conf,
		    &box.lu[n]) == 0);
	}
	free(pr);
	free(sanitize);
	FUZZ_CHECK(scsi_target_map(box.target, n, box.lu[n]) == 0);
}

static void
box_open(void)
{
	struct scsi_lu_conf writable = { .thin = true, .removable = true };
	struct scsi_lu_conf readonly = { .readonly = true, .serial = "ro" };
	char name[64], port[96];

	sim_env_init(&box.sim, &box.env, NULL);
	fiber_cond_init(&box.changed);
	FUZZ_CHECK(scsi_target_new(&box.env, TARGET, &box.target) == 0);
	unit_new(0, &writable);
	unit_new(1, &readonly);
	for (unsigned i = 0; i < NEXUSES; i++) {
		snprintf(name, sizeof(name), "iqn.2026-11.io.vmfsd:host%u", i);
		snprintf(port, sizeof(port), "%s,i,0x00023d00000%u", name, i);
		FUZZ_CHECK(scsi_nexus_open(box.target, name, port,
		    &box.nexus[i]) == 0);
	}
}

/* What the read-only unit holds is still nothing. */
static void
readonly_holds(void)
{
	static uint8_t buf[BYTES];
	static const uint8_t zeroes[BYTES];

	/* An error of the disk says nothing about its bytes. */
	while (disk_read(box.disk[1], 0, buf, sizeof(buf)) < 0)
		;
	FUZZ_CHECK(memcmp(buf, zeroes, sizeof(buf)) == 0);
}

static void
box_run(void *arg)
{
	(void)arg;
	box_open();
	while (box.in->left > 0)
		run_one();
	if (box.seed & SEED_PATIENT)
		wait_all();
	for (unsigned i = 0; i < NEXUSES; i++)
		scsi_nexus_close(box.nexus[i]);
	wait_all();
	readonly_holds();
	scsi_target_free(box.target);
	for (unsigned i = 0; i < 2; i++) {
		scsi_lu_free(box.lu[i]);
		disk_close(box.disk[i]);
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_in in = { data, size };
	uint8_t seed = fuzz_u8(&in);

	memset(&box, 0, offsetof(typeof(box), saved));
	box.in = &in;
	box.seed = seed;
	sim_init(&box.sim, seed);
	FUZZ_CHECK(sim_run(&box.sim, UINT64_MAX / 4, box_run, NULL) ==
	    SIM_DONE);
	sim_fini(&box.sim);
	return 0;
}
