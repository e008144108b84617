/* SPDX-License-Identifier: BSD-2-Clause */
/* Journals of dead hosts with damaged commits or heads. */
#include <atf-c.h>
#include <stdlib.h>
#include <string.h>

#include "libvmfs/base/units.h"
#include "libvmfs/check/check.h"
#include "tests/sim/replay_rig.h"

/* ---- damaged commits ---- */

static unsigned which;		/* commit that is damaged, from the end */
static unsigned how;
static void (*spoil_more)(struct sim_log *l);

static struct journal_commit_disk *
header(uint8_t *at)
{
	return (struct journal_commit_disk *)(void *)at;
}

static void
flip_magic(uint8_t *at, struct journal_commit *c)
{
	(void)c;
	at[0] ^= 1;
}

static void
flip_crc(uint8_t *at, struct journal_commit *c)
{
	(void)c;
	at[4] ^= 1;
}

static void
flip_last_byte(uint8_t *at, struct journal_commit *c)
{
	at[c->length - 1] ^= 0x80;
}

static void
no_length(uint8_t *at, struct journal_commit *c)
{
	(void)c;
	header(at)->length = le32(0);
}

static void
endless(uint8_t *at, struct journal_commit *c)
{
	(void)c;
	header(at)->length = le32(UINT32_MAX);
}

static void
zeroed(uint8_t *at, struct journal_commit *c)
{
	(void)c;
	memset(at, 0, BLOCK_SIZE);
}

/* From here on the checksum is right: a block of elsewhere, or a bug. */
static void
reseal(uint8_t *at, struct journal_commit *c)
{
	journal_commit_encode(at, &rig.log.w->super.uuid, c);
}

static void
other_volume(uint8_t *at, struct journal_commit *c)
{
	struct uuid other = rig.log.w->super.uuid;

	other.b[3] ^= 1;
	journal_commit_encode(at, &other, c);
}

static void
unknown_flag(uint8_t *at, struct journal_commit *c)
{
	c->flags = 2;
	reseal(at, c);
}

static void
other_incarnation(uint8_t *at, struct journal_commit *c)
{
	c->incarnation++;
	reseal(at, c);
}

static void
other_sequence(uint8_t *at, struct journal_commit *c)
{
	c->sequence += 100;
	reseal(at, c);
}

static void
other_chain(uint8_t *at, struct journal_commit *c)
{
	c->prev_crc ^= 1;
	reseal(at, c);
}

static const struct {
	const char *name;
	void (*damage)(uint8_t *at, struct journal_commit *c);
	bool whole;	/* and of the log: it proves what it is not part of */
} damages[] = {
	{ "magic", flip_magic, false },
	{ "crc", flip_crc, false },
	{ "payload", flip_last_byte, false },
	{ "no length", no_length, false },
	{ "length beyond the ring", endless, false },
	{ "zeroes", zeroed, false },
	{ "another volume", other_volume, false },
	{ "unknown flag", unknown_flag, false },
	{ "another incarnation", other_incarnation, false },
	{ "another sequence", other_sequence, true },
	{ "another predecessor", other_chain, true },
};
#define DAMAGES (sizeof(damages) / sizeof(damages[0]))

static void
damage_commit(struct sim_log *l)
{
	unsigned i = l->count - 1 - which;
	struct journal_commit c = l->c[i];

	replay_save(l, l->hb.journal_block + l->pos[i],
	    (c.length + BLOCK_SIZE - 1) / BLOCK_SIZE);
	damages[how].damage(sim_log_at(l, i), &c);
}

ATF_TC_WITHOUT_HEAD(a_hole_in_a_journal_is_refused_and_not_taken_for_its_end);
ATF_TC_BODY(a_hole_in_a_journal_is_refused_and_not_taken_for_its_end, tc)
{
	(void)tc;
	for (how = 0; how < DAMAGES; how++)
		for (which = 1; which < REPLAY_ROUNDS; which += 2)
			replay_run(damages[how].name, damage_commit, true, REPLAY_ROUNDS);
}

/* The inode, which each commit before the hole changes. */
static void
watch_inode(struct sim_log *l)
{
	damage_commit(l);
	rig.until_mended = true;
	rig.target = rig.ino;
	memcpy(rig.target_was, sim_block(l->w, rig.ino), BLOCK_SIZE);
}

ATF_TC_WITHOUT_HEAD(a_replay_that_is_refused_for_a_hole_has_not_begun);
ATF_TC_BODY(a_replay_that_is_refused_for_a_hole_has_not_begun, tc)
{
	(void)tc;
	how = 0;
	which = 1;
	replay_run("inode", watch_inode, true, REPLAY_ROUNDS);
}

/* That it was whole and acknowledged, and not torn, nobody can know. */
ATF_TC_WITHOUT_HEAD(a_last_commit_that_is_not_whole_is_left_out);
ATF_TC_BODY(a_last_commit_that_is_not_whole_is_left_out, tc)
{
	(void)tc;
	which = 0;
	for (how = 0; how < DAMAGES; how++)
		replay_run(damages[how].name, damage_commit, damages[how].whole,
		    damages[how].whole ? REPLAY_ROUNDS : REPLAY_ROUNDS - 1);
}

/* ---- damaged heads ---- */

static uint8_t *
head_at(const struct sim_log *l, unsigned copy)
{
	return sim_block(l->w, l->hb.journal_block + copy);
}

static void
lose_older_head(struct sim_log *l)
{
	head_at(l, l->copy ^ 1)[100] ^= 1;
}

static void
lose_both_heads(struct sim_log *l)
{
	for (unsigned i = 0; i < JOURNAL_FIRST_BLOCK; i++) {
		replay_save(l, l->hb.journal_block + i, 1);
		head_at(l, i)[200] ^= 1;
	}
}

static void
put_head(struct sim_log *l, unsigned copy, struct journal_head h)
{
	h.addr = l->hb.journal_block + copy;
	replay_save(l, h.addr, 1);
	journal_head_encode(head_at(l, copy), &l->w->super.uuid,
	    SLOT_TABLE_BLOCK + l->hb.slot, 1, &h);
}

/* Newer than both, but of a journal of another size. */
static void
head_of_another_size(struct sim_log *l)
{
	struct journal_head h = l->head;

	h.head_sequence++;
	h.blocks += CHUNK_BLOCKS;
	put_head(l, l->copy ^ 1, h);
}

static void
head_of_the_future(struct sim_log *l)
{
	struct journal_head h = l->head;

	h.head_sequence++;
	h.incarnation++;
	put_head(l, l->copy ^ 1, h);
}

/* The head that rules is lost; the other one knows an older tail, where newer
 * commits stand by now. */
static void
old_tail_is_gone(struct sim_log *l)
{
	struct journal_head h = l->head;

	h.head_sequence--;
	h.tail_sequence--;
	put_head(l, l->copy ^ 1, h);
	replay_save(l, l->head.addr, 1);
	head_at(l, l->copy)[200] ^= 1;
}

ATF_TC_WITHOUT_HEAD(one_head_is_enough);
ATF_TC_BODY(one_head_is_enough, tc)
{
	(void)tc;
	replay_run("older head", lose_older_head, false, REPLAY_ROUNDS);
	replay_run("another size", head_of_another_size, false, REPLAY_ROUNDS);
}

ATF_TC_WITHOUT_HEAD(a_journal_without_its_head_is_refused);
ATF_TC_BODY(a_journal_without_its_head_is_refused, tc)
{
	(void)tc;
	replay_run("both heads", lose_both_heads, true, REPLAY_ROUNDS);
	replay_run("a later incarnation", head_of_the_future, true, REPLAY_ROUNDS);
	replay_run("old tail", old_tail_is_gone, true, REPLAY_ROUNDS);
}

/* ---- damaged locks ---- */

/* As if the lock were not the dead host's, its changes would be left out. */
static void
damaged_lock(struct sim_log *l)
{
	replay_save(l, rig.ino, 1);
	sim_block(l->w, rig.ino)[200] ^= 1;
}

static void
lock_with_another_magic(struct sim_log *l)
{
	replay_save(l, rig.ino, 1);
	sim_block(l->w, rig.ino)[0] ^= 1;
}

ATF_TC_WITHOUT_HEAD(a_damaged_lock_is_nobodys_and_the_replay_refused);
ATF_TC_BODY(a_damaged_lock_is_nobodys_and_the_replay_refused, tc)
{
	(void)tc;
	replay_run("lock", damaged_lock, true, REPLAY_ROUNDS);
	replay_run("magic", lock_with_another_magic, true, REPLAY_ROUNDS);
}

/* ---- what cannot be read ---- */

static void
unreadable(struct sim_log *l, uint64_t block)
{
	l->w->lun.strike = (struct sim_strike){
		.result = -EIO, .first = 2, .last = 3, .times = UINT64_MAX / 2,
		.ops = 1u << DISK_READ, .at = block * BLOCK_SIZE,
	};
}

static void
unreadable_lock(struct sim_log *l)
{
	unreadable(l, rig.ino);
}

static void
unreadable_commit(struct sim_log *l)
{
	unreadable(l, l->hb.journal_block + l->pos[3]);
}

static void
unreadable_ring(struct sim_log *l)
{
	unreadable(l, l->hb.journal_block + JOURNAL_FIRST_BLOCK);
}

ATF_TC_WITHOUT_HEAD(what_cannot_be_read_is_not_passed_over);
ATF_TC_BODY(what_cannot_be_read_is_not_passed_over, tc)
{
	(void)tc;
	replay_run("lock", unreadable_lock, true, REPLAY_ROUNDS);
	replay_run("commit", unreadable_commit, true, REPLAY_ROUNDS);
	replay_run("ring", unreadable_ring, true, REPLAY_ROUNDS);
}

/* ---- the admin's way out ---- */

struct look {
	struct sim sim;
	struct sim_lun lun;
	struct env env;
	unsigned slots[2];	/* what each run says of them */
	int rc;
};

static void
finding(void *arg, const struct check_finding *f)
{
	unsigned *slots = arg;

	if (f->rule == CHECK_SLOT_DIRTY)
		*slots += f->severity == CHECK_DAMAGE ? 100 : 1;
}

static void
look_main(void *arg)
{
	struct look *k = arg;
	struct check_conf conf = {
		.env = &k->env, .repair = true, .own_slot = -1,
		.finding = finding,
	};
	struct check_result res;

	k->rc = sim_disk_open(&k->lun, 0, &conf.disk);
	for (unsigned i = 0; k->rc == 0 && i < 2; i++) {
		conf.arg = &k->slots[i];
		k->rc = check_run(&conf, &res);
	}
	disk_close(conf.disk);
}

/* fsck, twice, of the LUN as it would be without any host. */
static void
fsck_ends_it(struct sim_log *l)
{
	const struct disk_info *info = &l->w->lun.info;
	struct look *k = calloc(1, sizeof(*k));

	if (k == NULL)
		abort();
	spoil_more(l);
	sim_init(&k->sim, 1);
	sim_env_init(&k->sim, &k->env, NULL);
	WORLD_CHECK(l->w, sim_lun_init(&k->lun, &k->sim, info->size_bytes,
	    info->block_size, info->caps) == 0);
	sim_lun_copy(&l->w->lun, &k->lun, false);
	WORLD_CHECK(l->w, sim_run(&k->sim, 3600 * NSEC_PER_SEC, look_main,
	    k) == SIM_DONE && k->rc == 0);
	/* Two dead hosts, one of them with damage; then none. */
	WORLD_CHECK(l->w, k->slots[0] == 102);
	WORLD_CHECK(l->w, k->slots[1] == 0);
	sim_lun_fini(&k->lun);
	sim_fini(&k->sim);
	free(k);
}

ATF_TC_WITHOUT_HEAD(fsck_ends_a_journal_that_is_refused);
ATF_TC_BODY(fsck_ends_a_journal_that_is_refused, tc)
{
	(void)tc;
	which = 3;
	spoil_more = damage_commit;
	for (how = 0; how < DAMAGES; how++)
		replay_run(damages[how].name, fsck_ends_it, true,
		    REPLAY_ROUNDS);
	which = 0;
	for (how = 0; how < DAMAGES; how++)
		if (damages[how].whole)
			replay_run(damages[how].name, fsck_ends_it, true,
			    REPLAY_ROUNDS);
	spoil_more = lose_both_heads;
	replay_run("both heads", fsck_ends_it, true, REPLAY_ROUNDS);
}

ATF_TP_ADD_TCS(tp)
{
	ATF_TP_ADD_TC(tp,
	    a_hole_in_a_journal_is_refused_and_not_taken_for_its_end);
	ATF_TP_ADD_TC(tp, a_replay_that_is_refused_for_a_hole_has_not_begun);
	ATF_TP_ADD_TC(tp, a_last_commit_that_is_not_whole_is_left_out);
	ATF_TP_ADD_TC(tp, one_head_is_enough);
	ATF_TP_ADD_TC(tp, a_journal_without_its_head_is_refused);
	ATF_TP_ADD_TC(tp, a_damaged_lock_is_nobodys_and_the_replay_refused);
	ATF_TP_ADD_TC(tp, what_cannot_be_read_is_not_passed_over);
	ATF_TP_ADD_TC(tp, fsck_ends_a_journal_that_is_refused);
	return atf_no_error();
}
