/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Two initiators that load a LUN until its target is killed, and a third that
 * looks afterwards whether all that was acknowledged is there.
 *
 *   box_kill load STATE URL COMMANDS PID SEED
 *       until each initiator has COMMANDS more answered; then kills PID
 *   box_kill check STATE URL
 *       exit status 4: something is lost
 *
 * STATE is a file that remembers, across kills, what was asked and what was
 * answered.  Initiators register keys that last (APTPL) and change them; the
 * first one reserves and releases; both write, each to blocks of its own.
 */
#include <err.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <iscsi/iscsi.h>
#include <iscsi/scsi-lowlevel.h>

#define WRITERS 2
#define BLOCKS 512U		/* of 4 KiB, each writer's */
#define BLOCK_LEN 4096U
#define DEPTH 8
#define SECTORS (BLOCK_LEN / 512)
#define EXIT_LOST 4
enum { PR_NONE = 0, PR_WERO = 5 };	/* types, SPC-4 table 208 */

/* Asked, and answered with GOOD: after a kill either may be in force. */
struct pair {
	_Atomic uint64_t asked, answered;
};

struct writer {
	_Atomic uint64_t commands;		/* answered */
	struct pair key, reserved;		/* reserved: of the first */
	struct pair block[BLOCKS];		/* what it was last filled with */
};

struct state {
	struct writer writer[WRITERS];
	uint64_t kills;
};

static struct state *state;
static struct iscsi_url *url;

struct slot {
	bool busy;
	uint32_t block;
	uint64_t value;
	unsigned char data[BLOCK_LEN];
};

static struct {
	struct iscsi_context *iscsi;
	struct writer *w;
	unsigned number;
	struct slot slots[DEPTH];
	bool taken[BLOCKS];
	struct pair *pr;		/* one PR command at a time ... */
	bool pr_busy;			/* ... besides */
	uint64_t turns;
	uint32_t random;
	bool over;
} run;

static uint32_t
draw(uint32_t n)
{
	run.random = run.random * 1103515245u + 12345u;
	return (run.random >> 8) % n;
}

static struct iscsi_context *
log_in(unsigned number, const char *name)
{
	char initiator[64];
	struct iscsi_context *iscsi;

	(void)snprintf(initiator, sizeof(initiator), "iqn.2026-11.test:%s%u",
	    name, number);
	iscsi = iscsi_create_context(initiator);
	if (iscsi == NULL)
		errx(2, "no memory");
	iscsi_set_noautoreconnect(iscsi, 1);
	iscsi_set_isid_random(iscsi, number + 1, 0);
	iscsi_set_targetname(iscsi, url->target);
	iscsi_set_session_type(iscsi, ISCSI_SESSION_NORMAL);
	if (iscsi_full_connect_sync(iscsi, url->portal, url->lun) != 0)
		errx(2, "%s: %s", initiator, iscsi_get_error(iscsi));
	return iscsi;
}

/* ---- load ---- */

/* GOOD: true.  A unit attention: not done, without harm.  Whatever else comes
 * from a living target is wrong. */
static bool
answered(const struct scsi_task *task, int status)
{
	if (status == SCSI_STATUS_GOOD) {
		run.w->commands++;
		return true;
	}
	if (status == SCSI_STATUS_CHECK_CONDITION &&
	    task->sense.key == SCSI_SENSE_UNIT_ATTENTION)
		return false;
	if (status == SCSI_STATUS_CHECK_CONDITION ||
	    status == SCSI_STATUS_RESERVATION_CONFLICT)
		errx(EXIT_LOST, "writer %u: %s: status %#x sense %d/%#x",
		    run.number, iscsi_get_error(run.iscsi), (unsigned)status,
		    task->sense.key, (unsigned)task->sense.ascq);
	run.over = true;		/* the target is gone */
	return false;
}

static void
block_fill(unsigned char *p, unsigned writer, uint32_t block, uint64_t value)
{
	uint64_t words[4] = { writer, block, value, ~value };

	for (size_t at = 0; at < BLOCK_LEN; at += sizeof(words))
		memcpy(p + at, words, sizeof(words));
}

static void
write_done(struct iscsi_context *iscsi, int status, void *task, void *arg)
{
	struct slot *s = arg;

	(void)iscsi;
	if (answered(task, status))
		run.w->block[s->block].answered = s->value;
	s->busy = run.taken[s->block] = false;
	scsi_free_scsi_task(task);
}

static void
write_start(struct slot *s)
{
	uint64_t lba;

	do
		s->block = draw(BLOCKS);
	while (run.taken[s->block]);
	s->busy = run.taken[s->block] = true;
	s->value = run.w->block[s->block].asked + 1;
	run.w->block[s->block].asked = s->value;
	block_fill(s->data, run.number, s->block, s->value);
	lba = (uint64_t)(run.number * BLOCKS + s->block) * SECTORS;
	if (iscsi_write16_task(run.iscsi, url->lun, lba, s->data, BLOCK_LEN,
	    512, 0, 0, (int)draw(2), 0, 0, write_done, s) == NULL)
		run.over = true;
}

static void
pr_done(struct iscsi_context *iscsi, int status, void *task, void *arg)
{
	(void)iscsi;
	(void)arg;
	if (answered(task, status))
		run.pr->answered = run.pr->asked;
	run.pr_busy = false;
	scsi_free_scsi_task(task);
}

static void
pr_send(struct pair *pair, uint64_t asked, int action,
    struct scsi_persistent_reserve_out_basic *param)
{
	pair->asked = asked;
	run.pr = pair;
	run.pr_busy = true;
	if (iscsi_persistent_reserve_out_task(run.iscsi, url->lun, action,
	    SCSI_PERSISTENT_RESERVE_SCOPE_LU, PR_WERO, param, pr_done,
	    NULL) == NULL)
		run.over = true;
}

/* A new key, or a reservation that changes sides.  While a key is in doubt
 * only REGISTER AND IGNORE is sure of it. */
static void
pr_start(void)
{
	struct writer *w = run.w;
	struct scsi_persistent_reserve_out_basic p = {
		.reservation_key = w->key.answered, .aptpl = 1,
	};
	bool sure = w->key.asked == w->key.answered && w->key.asked != 0;

	if (run.number == 0 && sure && draw(2) == 0) {
		p.aptpl = 0;
		if (w->reserved.answered == PR_NONE)
			pr_send(&w->reserved, PR_WERO,
			    SCSI_PERSISTENT_RESERVE_RESERVE, &p);
		else
			pr_send(&w->reserved, PR_NONE,
			    SCSI_PERSISTENT_RESERVE_RELEASE, &p);
		return;
	}
	p.service_action_reservation_key = w->key.asked != 0 ?
	    w->key.asked + 1 : (uint64_t)(run.number + 1) << 56;
	pr_send(&w->key, p.service_action_reservation_key,
	    SCSI_PERSISTENT_RESERVE_REGISTER_AND_IGNORE_EXISTING_KEY, &p);
}

static void
start_some(void)
{
	for (unsigned i = 0; i < DEPTH && !run.over; i++) {
		if (!run.slots[i].busy)
			write_start(&run.slots[i]);
	}
	/* Registered first of all: others' writes may conflict. */
	if (!run.pr_busy && !run.over && ++run.turns % 16 == 0)
		pr_start();
}

static void
loop(void)
{
	struct pollfd fd;

	while (!run.over) {
		start_some();
		fd.fd = iscsi_get_fd(run.iscsi);
		fd.events = (short)iscsi_which_events(run.iscsi);
		if (fd.fd < 0 || poll(&fd, 1, 1000) < 0 ||
		    iscsi_service(run.iscsi, fd.revents) < 0)
			return;
	}
}

/* Blocks until it is registered, when it was not before. */
static void
register_first(void)
{
	while (run.w->key.answered == 0 && !run.over) {
		struct pollfd fd = { .fd = iscsi_get_fd(run.iscsi) };

		if (!run.pr_busy)
			pr_start();
		fd.events = (short)iscsi_which_events(run.iscsi);
		if (fd.fd < 0 || poll(&fd, 1, 1000) < 0 ||
		    iscsi_service(run.iscsi, fd.revents) < 0)
			return;
	}
}

static void
writer_run(unsigned number, uint32_t seed)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	run.number = number;
	run.w = &state->writer[number];
	run.random = seed * 7919 + number;
	run.iscsi = log_in(number, "writer");
	register_first();
	loop();
	_exit(0);
}

static bool
all_have(const uint64_t *goal)
{
	for (unsigned i = 0; i < WRITERS; i++) {
		if (state->writer[i].commands < goal[i])
			return false;
	}
	return true;
}

/* Kills the target in the midst of it; returns when the writers noticed. */
static int
load(uint64_t commands, pid_t target, uint32_t seed)
{
	uint64_t goal[WRITERS];
	int status, rc = 0;

	for (unsigned i = 0; i < WRITERS; i++) {
		goal[i] = state->writer[i].commands + commands;
		if (fork() == 0)
			writer_run(i, seed);
	}
	while (!all_have(goal)) {
		if (waitpid(-1, &status, WNOHANG) != 0)
			errx(EXIT_LOST, "a writer ended before the target");
		(void)poll(NULL, 0, 1);
	}
	if (kill(target, SIGKILL) != 0)
		err(2, "kill");
	state->kills++;
	while (wait(&status) > 0) {
		if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
			rc = EXIT_LOST;
	}
	return rc;
}

/* ---- check ---- */

static int lost;

static void
is_lost(const char *what, uint64_t found, const struct pair *p)
{
	printf("%s is %#" PRIx64 "; answered %#" PRIx64 ", asked %#" PRIx64
	    "\n", what, found, p->answered, p->asked);
	lost = EXIT_LOST;
}

/* What was found is now known to be in force. */
static void
pair_check(const char *what, struct pair *p, uint64_t found)
{
	if (found != p->answered && found != p->asked)
		is_lost(what, found, p);
	p->asked = p->answered = found;
}

static void
block_check(unsigned writer, uint32_t block, const unsigned char *data)
{
	struct pair *p = &state->writer[writer].block[block];
	unsigned char want[BLOCK_LEN];
	uint64_t value;
	char what[64];

	memcpy(&value, data + 2 * sizeof(value), sizeof(value));
	if (value == 0)
		memset(want, 0, sizeof(want));
	else
		block_fill(want, writer, block, value);
	(void)snprintf(what, sizeof(what), "block %" PRIu32 " of writer %u",
	    block, writer);
	if (memcmp(want, data, sizeof(want)) != 0) {
		printf("%s is torn or foreign\n", what);
		lost = EXIT_LOST;
	} else if (value < p->answered || value > p->asked) {
		is_lost(what, value, p);
	}
}

static void
blocks_check(struct iscsi_context *iscsi)
{
	for (uint32_t i = 0; i < WRITERS * BLOCKS; i++) {
		struct scsi_task *t = iscsi_read16_sync(iscsi, url->lun,
		    (uint64_t)i * SECTORS, BLOCK_LEN, 512, 0, 0, 0, 0, 0);

		if (t == NULL || t->status != SCSI_STATUS_GOOD ||
		    t->datain.size != (int)BLOCK_LEN)
			errx(2, "read: %s", iscsi_get_error(iscsi));
		block_check(i / BLOCKS, i % BLOCKS, t->datain.data);
		scsi_free_scsi_task(t);
	}
}

static void *
pr_in(struct iscsi_context *iscsi, int action, struct scsi_task **ret_task)
{
	struct scsi_task *t = iscsi_persistent_reserve_in_sync(iscsi,
	    url->lun, action, 4096);
	void *data = t != NULL && t->status == SCSI_STATUS_GOOD ?
	    scsi_datain_unmarshall(t) : NULL;

	if (data == NULL)
		errx(2, "PERSISTENT RESERVE IN: %s", iscsi_get_error(iscsi));
	*ret_task = t;
	return data;
}

/* Keys of the writers are told apart by their first byte. */
static void
keys_check(struct iscsi_context *iscsi)
{
	struct scsi_task *t;
	const struct scsi_persistent_reserve_in_read_keys *k =
	    pr_in(iscsi, SCSI_PERSISTENT_RESERVE_READ_KEYS, &t);

	for (unsigned w = 0; w < WRITERS; w++) {
		uint64_t found = 0;

		for (int i = 0; i < k->num_keys; i++) {
			if (k->keys[i] >> 56 == w + 1)
				found = k->keys[i];
		}
		pair_check(w == 0 ? "key of writer 0" : "key of writer 1",
		    &state->writer[w].key, found);
	}
	scsi_free_scsi_task(t);
}

static void
reservation_check(struct iscsi_context *iscsi)
{
	struct scsi_task *t;
	const struct scsi_persistent_reserve_in_read_reservation *r =
	    pr_in(iscsi, SCSI_PERSISTENT_RESERVE_READ_RESERVATION, &t);
	struct pair *p = &state->writer[0].reserved;

	pair_check("reservation", p, r->reserved ? r->pr_type : PR_NONE);
	if (r->reserved && r->reservation_key !=
	    state->writer[0].key.answered)
		is_lost("key of the reservation", r->reservation_key,
		    &state->writer[0].key);
	scsi_free_scsi_task(t);
}

/* A reservation that is there also keeps strangers out. */
static void
stranger_check(struct iscsi_context *iscsi)
{
	static unsigned char zeroes[BLOCK_LEN];
	bool reserved = state->writer[0].reserved.answered != PR_NONE;
	struct scsi_task *t = iscsi_write16_sync(iscsi, url->lun,
	    (uint64_t)WRITERS * BLOCKS * SECTORS, zeroes, BLOCK_LEN, 512, 0,
	    0, 0, 0, 0);

	if (t == NULL)
		errx(2, "write: %s", iscsi_get_error(iscsi));
	if (t->status != (reserved ? SCSI_STATUS_RESERVATION_CONFLICT :
	    SCSI_STATUS_GOOD)) {
		printf("a stranger's write had status %#x\n",
		    (unsigned)t->status);
		lost = EXIT_LOST;
	}
	scsi_free_scsi_task(t);
}

static int
check(void)
{
	struct iscsi_context *iscsi = log_in(WRITERS, "checker");
	uint64_t commands = 0;

	keys_check(iscsi);
	reservation_check(iscsi);
	stranger_check(iscsi);
	blocks_check(iscsi);
	(void)iscsi_logout_sync(iscsi);
	(void)iscsi_destroy_context(iscsi);
	for (unsigned w = 0; w < WRITERS; w++)
		commands += state->writer[w].commands;
	printf("%" PRIu64 " kills, %" PRIu64 " commands answered%s\n",
	    state->kills, commands, lost ? "" : ", all there");
	return lost;
}

/* ---- main ---- */

static void
state_open(const char *path)
{
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	if (fd < 0 || ftruncate(fd, sizeof(*state)) != 0)
		err(2, "%s", path);
	state = mmap(NULL, sizeof(*state), PROT_READ | PROT_WRITE, MAP_SHARED,
	    fd, 0);
	if (state == MAP_FAILED)
		err(2, "%s", path);
	(void)close(fd);
}

int
main(int argc, char **argv)
{
	struct iscsi_context *parser = iscsi_create_context("iqn.2026-11.t:p");

	if (argc < 4)
		errx(2, "usage: box_kill load|check STATE URL [...]");
	state_open(argv[2]);
	url = iscsi_parse_full_url(parser, argv[3]);
	if (url == NULL)
		errx(2, "%s", iscsi_get_error(parser));
	if (strcmp(argv[1], "check") == 0)
		return check();
	if (argc != 7)
		errx(2, "load: COMMANDS PID SEED");
	return load(strtoull(argv[4], NULL, 10),
	    (pid_t)strtol(argv[5], NULL, 10),
	    (uint32_t)strtoul(argv[6], NULL, 10));
}
