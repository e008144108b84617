/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Going on as the incarnation of a process that has died.  Nothing of that
 * one may be in flight when we write:
 *
 *   file LUN   its holds are gone with its last I/O; we take them
 *   PR         its sessions are gone: ours have the same initiator ports, and
 *              so took their place before anything of ours was executed
 *
 * Other protocols prove by time, and are not resumed.  Then the own slot is
 * written by compare-and-write over the image that we have found: a host that
 * has begun to take us over wins or loses there, as against any pulse.
 */
#include <stdlib.h>
#include <string.h>

#include "libvmfs/core/softlog.h"
#include "locking/host_int.h"

/* The kernel may still be at the last I/O of the dead. */
#define ENTER_TRIES 100
#define ENTER_PAUSE_NS (20 * NSEC_PER_MSEC)

/* ---- the table of locks ---- */

void
host_keep_lock(struct host_keep *k, uint64_t addr, uint32_t *ret_index)
{
	static _Thread_local uint32_t next;

	*ret_index = HOST_KEEP_LOCKS;
	for (uint32_t i = 0; k != NULL && i < HOST_KEEP_LOCKS; i++) {
		uint32_t at = (next + i) % HOST_KEEP_LOCKS;

		if (k->lock[at] != 0)
			continue;
		k->lock[at] = addr;
		*ret_index = at;
		next = at + 1;
		break;
	}
	/* Told before the lock is taken. */
	atomic_signal_fence(memory_order_seq_cst);
}

void
host_keep_unlock(struct host_keep *k, uint32_t index)
{
	atomic_signal_fence(memory_order_seq_cst);
	if (k != NULL && index < HOST_KEEP_LOCKS)
		k->lock[index] = 0;
}

void
resume_forget(struct host *h)
{
	if (h->conf.keep != NULL)
		atomic_store(&h->conf.keep->member, 0);
}

void
resume_note(struct host *h)
{
	struct host_keep *k = h->conf.keep;

	if (k == NULL)
		return;
	atomic_store(&k->member, 0);
	if (!h->resumed) {
		memset(k->lock, 0, sizeof(k->lock));
		/* Of an incarnation that others have recovered: nobody shall
		 * take it for what this one has left. */
		if (h->conf.soft != NULL)
			softlog_clear(h->conf.soft);
	}
	k->slot = h->paths.slot;
	k->incarnation = h->paths.incarnation;
	k->volume = h->super.uuid;
	atomic_store(&k->member, 1);
}

/* ---- the slot ---- */

/* Is it as the dead process has left it? */
static bool
still_ours(const struct host *h, const struct heartbeat *hb)
{
	return hb->state == SLOT_LIVE &&
	    hb->incarnation == h->conf.keep->incarnation &&
	    slot_was_ours(h, hb) &&
	    uuid_equal(&hb->boot, &h->conf.boot) &&
	    hb->home == h->conf.home && hb->home != 0;
}

/* All paths: what came up by another session is no proof for the rest. */
static bool
paths_are_whole(struct disk *d)
{
	struct disk_path p[16];
	int n = disk_paths(d, p, 16);

	if (n > 16)
		return false;
	for (int i = 0; i < n; i++)
		if (strcmp(p[i].state, "lost") == 0 ||
		    strcmp(p[i].state, "checking") == 0 ||
		    strcmp(p[i].state, "another LUN") == 0)
			return false;
	return true;
}

/*
 * Of sectors of 4 KiB a slot's heartbeat would be written by its replay.  And
 * of several LUNs only the first is known before the superblock is read.
 */
static bool
can_prove(struct host *h)
{
	if (h->super.sector_size > LOCK_RECORD_SIZE || h->super.extents > 1)
		return false;
	switch (h->super.protocol) {
	case LOCK_FILE:
		return true;
	case LOCK_ATS_PR:
		return paths_are_whole(h->lun) && paths_are_whole(h->hb_lun);
	case LOCK_ATS_WATCHDOG:
	case LOCK_RESERVE:
		break;
	}
	return false;
}

static int
enter(struct host *h, char why[WHY_SIZE])
{
	int rc = -VMFS_EINUSE;

	for (int i = 0; i < ENTER_TRIES && rc == -VMFS_EINUSE; i++) {
		if (i > 0)
			fiber_sleep(ENTER_PAUSE_NS);
		rc = h->fence->enter(&h->paths, why);
	}
	return rc;
}

int
resume_slot(struct host *h, char why[WHY_SIZE])
{
	const struct host_keep *k = h->conf.keep;
	struct caw *c = &h->beat.caw;
	struct heartbeat hb;
	int rc;

	if (k == NULL || atomic_load(&k->member) == 0 ||
	    !uuid_equal(&k->volume, &h->super.uuid) || k->slot >= SLOTS_MAX ||
	    !can_prove(h))
		return -ESTALE;
	c->block = SLOT_TABLE_BLOCK + k->slot;
	rc = slot_load(h, c, k->slot, &hb);
	if (rc < 0 || !still_ours(h, &hb))
		return rc < 0 ? rc : -ESTALE;
	h->paths.slot = k->slot;
	h->paths.incarnation = k->incarnation;
	rc = enter(h, why);
	if (rc < 0)
		return rc;
	h->claimed_ns = env_now(h->env);
	hb.process = h->conf.process;
	hb.pulse++;
	rc = slot_store(h, c, &hb);
	if (rc < 0) {
		h->fence->leave(&h->paths, false);
		return rc;
	}
	h->beat.rec = hb;
	h->mounted_us = hb.mounted_us;
	h->resumed = true;
	return 0;
}

/* ---- what it left ---- */

/* Locks that nobody uses are given back by lockmgr_tidy, later. */
static int
take_strays(struct host *h)
{
	const struct host_keep *k = h->conf.keep;
	int rc = 0;

	for (uint32_t i = 0; i < HOST_KEEP_LOCKS && rc == 0; i++)
		if (k->lock[i] != 0)
			rc = lockmgr_stray(h, k->lock[i], i);
	return rc;
}

int
resume_rest(struct host *h, const struct heartbeat *rec)
{
	struct recover_report report = { 0 };
	uint64_t hard;
	int rc = 0;

	if (rec->journal_block != 0)
		rc = recover_journal(h->env, &h->guard.replay, &h->super, rec,
		    &report);
	host_saw_lsn(h, rec->lsn);
	hard = report.commits;
	if (rc == 0 && h->conf.soft != NULL && rec->journal_block != 0)
		rc = softlog_replay(h->conf.soft, h->env, &h->guard.replay,
		    &h->super, rec, &report);
	if (rc < 0)
		return rc;
	host_saw_lsn(h, report.last_lsn);
	log_info(h->env->log, "host: resumed slot=%u incarnation=%llu "
	    "commits=%llu unflushed=%llu", h->paths.slot,
	    (unsigned long long)h->paths.incarnation,
	    (unsigned long long)hard,
	    (unsigned long long)(report.commits - hard));
	return take_strays(h);
}

bool
host_resumed(const struct host *h)
{
	return h->resumed;
}

void
host_resume_done(struct host *h)
{
	h->resuming = false;
}
