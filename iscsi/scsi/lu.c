/* SPDX-License-Identifier: BSD-2-Clause */
/* Logical units. */
#include "iscsi/scsi/lu.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "iscsi/scsi/nexus.h"
#include "iscsi/scsi/rod.h"
#include "iscsi/scsi/sense.h"

/* Copies text into a field of an INQUIRY: printable ASCII only, cut. */
static void
name_copy(char *to, size_t size, const char *from)
{
	size_t n = 0;

	for (; n + 1 < size && from[n] != '\0'; n++)
		to[n] = from[n] > ' ' && from[n] <= '~' ? from[n] : ' ';
	to[n] = '\0';
}

static void
lu_identify(struct scsi_lu *lu, const struct scsi_lu_conf *conf)
{
	char text[UUID_TEXT_SIZE];

	lu->uuid = conf->uuid;
	uuid_text(&conf->uuid, text);
	name_copy(lu->serial, sizeof(lu->serial),
	    conf->serial != NULL ? conf->serial : text);
	name_copy(lu->vendor, sizeof(lu->vendor),
	    conf->vendor != NULL ? conf->vendor : "VMFSD");
	name_copy(lu->product, sizeof(lu->product),
	    conf->product != NULL ? conf->product : "VIRTUAL-DISK");
}

/*
 * A disk with compare and write of its own may be shared with others that
 * use it: then nothing longer than it can do is offered.
 */
static uint32_t
lu_caw_limit(const struct scsi_lu *lu)
{
	const struct disk_info *info = &lu->disk->info;
	uint32_t max = LU_CAW_BLOCKS_MAX;

	if ((info->caps & DISK_CAP_CAW) && info->max_caw / lu->block_size < max)
		max = info->max_caw / lu->block_size;
	return max;
}

/*
 * Whole physical blocks, as many as the disk writes at once and a crash cannot
 * tear.
 */
static uint32_t
lu_atomic_limit(const struct scsi_lu *lu)
{
	const struct disk_info *info = &lu->disk->info;
	uint64_t max = info->max_atomic;
	uint32_t unit = 1U << lu_physical_exponent(lu);

	if (max > SCSI_TRANSFER_MAX)
		max = SCSI_TRANSFER_MAX;
	if (info->max_transfer != 0 && max > info->max_transfer)
		max = info->max_transfer;
	return (uint32_t)(max / lu->block_size) & ~(unit - 1);
}

int
scsi_lu_new(struct env *env, struct disk *disk,
    const struct scsi_lu_conf *conf, struct scsi_lu **ret_lu)
{
	const struct disk_info *info = &disk->info;
	uint32_t bs = conf->block_size != 0 ? conf->block_size :
	    info->block_size;
	struct scsi_lu *lu;
	int rc;

	if ((bs != 512 && bs != 4096) || bs % info->block_size != 0 ||
	    info->size_bytes < bs)
		return -EINVAL;
	lu = calloc(1, sizeof(*lu));
	if (lu == NULL)
		return -ENOMEM;
	lu->env = env;
	lu->refs = 1;
	lu->disk = disk;
	lu->caps = info->caps;
	lu_identify(lu, conf);
	lu->cache_id = conf->cache_id;
	lu->on_setting = conf->on_setting;
	lu->on_setting_arg = conf->on_setting_arg;
	lu->on_change = conf->on_change;
	lu->on_change_arg = conf->on_change_arg;
	lu->readonly = conf->readonly || (info->caps & DISK_CAP_READONLY);
	lu->thin = conf->thin && (info->caps & DISK_CAP_UNMAP);
	lu->removable = conf->removable;
	lu->block_size = bs;
	lu->blocks = info->size_bytes / bs;
	lu->caw_blocks_max = lu_caw_limit(lu);
	thin_init(lu, conf->warn_percent, conf->settings);
	for (unsigned i = 0; i < SCSI_GROUPS_MAX && conf->settings != NULL; i++)
		lu->alua.groups[i].state = conf->settings->access[i];
	lu->atomic_blocks_max = lu_atomic_limit(lu);
	lu->same_to_end = conf->same_to_end;
	list_init(&lu->itls);
	list_init(&lu->cmds);
	list_init(&lu->rods);
	shared_lock_init(&lu->lock);
	shared_cond_init(&lu->left);
	range_set_init(&lu->ranges);
	pr_init(&lu->pr);
	rc = pr_load(&lu->pr, conf);
	if (rc == 0)
		rc = sanitize_load(lu, conf);
	if (rc != 0) {
		scsi_lu_free(lu);
		return rc;
	}
	*ret_lu = lu;
	return 0;
}

void
scsi_lu_settings(struct scsi_lu *lu, struct scsi_lu_settings *ret_s)
{
	struct scsi_lu_settings s = { .threshold_set = false };

	shared_enter(&lu->lock);
	for (unsigned i = 0; i < SCSI_GROUPS_MAX; i++)
		s.access[i] = lu->alua.groups[i].state;
	thin_settings(&lu->pool, &s);
	shared_leave(&lu->lock);
	*ret_s = s;
}

void
scsi_lu_set(struct scsi_lu *lu, const struct scsi_lu_settings *s,
    unsigned warn_percent)
{
	for (unsigned i = 0; i < SCSI_GROUPS_MAX; i++)
		(void)!scsi_lu_set_access(lu, i + 1, s->access[i]);
	thin_set(lu, warn_percent, s);
}

void
lu_ref(struct scsi_lu *lu)
{
	atomic_fetch_add(&lu->refs, 1);
}

void
lu_unref(struct scsi_lu *lu)
{
	if (atomic_fetch_sub(&lu->refs, 1) != 1)
		return;
	assert(list_empty(&lu->cmds));
	rod_store_drop(lu->rod_store);
	pr_fini(&lu->pr);
	shared_lock_fini(&lu->lock);
	free(lu);
}

void
scsi_lu_free(struct scsi_lu *lu)
{
	if (lu == NULL)
		return;
	assert(lu->mappings == 0);
	sanitize_stop(lu);
	/* A command that came too late is still told so. */
	shared_enter(&lu->lock);
	lu->on_change = NULL;
	shared_leave(&lu->lock);
	if (lu->rod_store != NULL)
		rods_forget(lu->rod_store, lu);
	lu_unref(lu);
}

int
scsi_lu_refresh(struct scsi_lu *lu)
{
	int rc = disk_refresh(lu->disk);

	if (rc < 0)
		return rc;
	shared_enter(&lu->lock);
	lu_check_size(lu);
	shared_leave(&lu->lock);
	return 0;
}

void
lu_check_size(struct scsi_lu *lu)
{
	uint64_t blocks = lu->disk->info.size_bytes / lu->block_size;

	if (blocks == lu->blocks)
		return;
	lu->blocks = blocks;
	ua_add_all(lu, SENSE_CAPACITY_CHANGED, NULL);
}

uint64_t
lu_write_same_max(const struct scsi_lu *lu)
{
	return lu->same_to_end ? UINT32_MAX : LU_WRITE_SAME_BLOCKS_MAX;
}

unsigned
lu_physical_exponent(const struct scsi_lu *lu)
{
	uint32_t phys = lu->disk->info.phys_block_size;
	unsigned exp = 0;

	while (exp < 15 && (uint64_t)lu->block_size << (exp + 1) <= phys)
		exp++;
	return exp;
}

bool
lu_removal_prevented(const struct scsi_lu *lu)
{
	list_for_each(node, tmp, &lu->itls) {
		const struct scsi_itl *itl =
		    list_entry(node, struct scsi_itl, lu_node);

		if (itl->prevents_removal)
			return true;
	}
	return false;
}

void
lu_reset_state(struct scsi_lu *lu)
{
	lu->reserved_by = NULL;
	lu->descriptor_sense = false;
	lu->software_write_protect = false;
	list_for_each(node, tmp, &lu->itls)
		list_entry(node, struct scsi_itl, lu_node)->prevents_removal =
		    false;
}

void
scsi_lu_info(struct scsi_lu *lu, struct scsi_lu_info *ret_i)
{
	struct scsi_lu_info i = {
		.block_size = lu->block_size, .removable = lu->removable,
		.phys_block_size = lu->block_size << lu_physical_exponent(lu),
		.pool = lu->pool.pool,
	};
	uint8_t naa[16];

	lu_naa(lu, naa);
	strcpy(i.wwn, "0x");
	for (size_t k = 0; k < sizeof(naa); k++)
		(void)snprintf(i.wwn + 2 + 2 * k, 3, "%02x", naa[k]);
	strcpy(i.serial, lu->serial);
	shared_enter(&lu->lock);
	i.ejected = lu->ejected;
	i.reservation = pr_type_name(lu->pr.type);
	i.warns = lu->pool.enabled;
	i.warn_free = lu->pool.threshold * THIN_SET_BYTES;
	for (unsigned g = 0; g < SCSI_GROUPS_MAX; g++)
		i.access[g] = lu->alua.groups[g].state;
	shared_leave(&lu->lock);
	*ret_i = i;
}

void
scsi_lu_stats(struct scsi_lu *lu, struct io_stats *ret_st)
{
	shared_enter(&lu->lock);
	*ret_st = lu->stats;
	list_for_each(node, tmp, &lu->itls)
		io_stats_add(ret_st,
		    &list_entry(node, struct scsi_itl, lu_node)->stats);
	shared_leave(&lu->lock);
}

void
scsi_lu_registrations(struct scsi_lu *lu,
    void (*fn)(void *arg, const char *initiator_port, uint64_t key,
    bool holder), void *arg)
{
	shared_enter(&lu->lock);
	list_for_each(node, tmp, &lu->pr.registrations) {
		const struct pr_registration *r =
		    list_entry(node, struct pr_registration, node);

		fn(arg, r->port, r->key, pr_is_holder(&lu->pr, r));
	}
	shared_leave(&lu->lock);
}
