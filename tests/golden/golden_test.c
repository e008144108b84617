/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Each damage of damages_*.c: what fsck says of it is in expect.txt, line by
 * line; a second run finds nothing; what can survive has survived.
 */
#include <atf-c.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/fuzz/cow_disk.h"
#include "tests/golden/damages.h"

struct golden {
	struct volume v;
	const char *only;	/* a prefix of names */
	FILE *update;
	char *expect;		/* all of expect.txt */
	/* Of the run in progress. */
	char said[65536];
	size_t used;
	unsigned failures;
};

static void
on_finding(void *arg, const struct check_finding *f)
{
	struct golden *g = arg;
	int n;

	n = snprintf(g->said + g->used, sizeof(g->said) - g->used,
	    "%s: %s%s\n", check_rule_name(f->rule), f->text,
	    f->severity == CHECK_NOTE ? "" : f->fixed ? " [fixed]" :
	    " [not fixed]");

	if (n > 0 && g->used + (size_t)n < sizeof(g->said))
		g->used += (size_t)n;
}

/*
 * Numbers of three to five digits are places: where the allocator puts things
 * is not what is tested here.
 */
static void
mask_places(char *text)
{
	char *to = text;

	while (*text != '\0') {
		size_t n = strspn(text, "0123456789");

		if (n >= 3 && n <= 5) {
			*to++ = 'N';
		} else {
			n = n == 0 ? 1 : n;
			memmove(to, text, n);
			to += n;
		}
		text += n;
	}
	*to = '\0';
}

static int
check(struct golden *g, struct disk *d, bool repair, struct check_result *r)
{
	const struct check_conf conf = {
		.env = &g->v.env, .disk = d, .repair = repair, .own_slot = -1,
		.finding = on_finding, .arg = g,
	};

	g->used = 0;
	g->said[0] = '\0';
	return check_run(&conf, r);
}

static void
wrong(struct golden *g, const struct damage *x, const char *what,
    const char *why)
{
	printf("%s: %s: %s\n", x->name, what, why);
	g->failures++;
}

/* The section of a damage: from behind "== name" to the next. */
static void
compare(struct golden *g, const struct damage *x)
{
	char head[128];
	const char *at, *end;

	mask_places(g->said);
	g->used = strlen(g->said);
	snprintf(head, sizeof(head), "== %s\n", x->name);
	if (g->update != NULL) {
		fprintf(g->update, "%s%s\n", head, g->said);
		return;
	}
	at = strstr(g->expect, head);
	if (at == NULL) {
		wrong(g, x, "is not in expect.txt", g->said);
		return;
	}
	at += strlen(head);
	end = strstr(at, "\n\n");
	if (end == NULL || (size_t)(end + 1 - at) != g->used ||
	    memcmp(at, g->said, g->used) != 0)
		wrong(g, x, "says something else", g->said);
}

/* Without writing: it sees the damage, and sees it again. */
static void
dry_run(struct golden *g, const struct damage *x, struct disk *d)
{
	struct check_result r = { .found = 0 };
	struct disk *over;
	int rc = disk_overlay_open(d, &over);

	if (rc == 0)
		rc = check(g, over, false, &r);
	if (rc != 0)
		wrong(g, x, "check without repair", vmfs_strerror(rc));
	else if (r.fixed != 0)
		wrong(g, x, "repaired without being asked", g->said);
	disk_close(over);
}

static void
play(struct golden *g, const struct damage *x)
{
	struct disk *d = cow_disk_copy(g->v.disk);
	struct check_result r = { .found = 0 };
	char why[256] = "";
	int rc;

	x->apply(&g->v, d);
	if (!volume_verify(&g->v, d, UINT32_MAX & ~(unsigned)VOL_NO_HOLES,
	    x->unknown, false, why))
		wrong(g, x, "wrong data before the repair", why);
	disk_close(d);
	d = cow_disk_copy(g->v.disk);
	x->apply(&g->v, d);
	dry_run(g, x, d);
	rc = check(g, d, true, &r);
	if (rc != 0)
		wrong(g, x, "repair", vmfs_strerror(rc));
	else if (r.found != r.fixed)
		wrong(g, x, "not all is repaired", g->said);
	compare(g, x);
	if (check(g, d, false, &r) != 0 || g->used != 0)
		wrong(g, x, "the second run says", g->said);
	if (!volume_verify(&g->v, d, x->harmed, x->unknown & ~x->harmed, true,
	    why))
		wrong(g, x, "after the repair", why);
	if (check(g, d, false, &r) != 0 || g->used != 0)
		wrong(g, x, "after use the check says", g->said);
	disk_close(d);
}

static void
body(void *arg)
{
	static const struct damage *const tables[] = {
		damages_space, damages_tree, damages_map, damages_quota,
	};
	struct golden *g = arg;

	volume_make(&g->v);
	for (unsigned i = 0; i < sizeof(tables) / sizeof(tables[0]); i++)
		for (const struct damage *x = tables[i]; x->name != NULL; x++)
			if (strncmp(x->name, g->only, strlen(g->only)) == 0)
				play(g, x);
	volume_free(&g->v);
}

/* GOLDEN_UPDATE=FILE appends what is said instead of comparing it. */
static void
run(const char *only)
{
	const char *src = getenv("VMFS_SRCDIR");
	const char *update = getenv("GOLDEN_UPDATE");
	struct golden *g = calloc(1, sizeof(*g));
	char path[4096];
	size_t n;
	FILE *f;

	ATF_REQUIRE(g != NULL);
	g->only = only;
	g->expect = calloc(1, 1 << 20);
	ATF_REQUIRE(g->expect != NULL);
	snprintf(path, sizeof(path), "%s/tests/golden/expect.txt",
	    src != NULL ? src : GOLDEN_SRCDIR);
	if (update != NULL)
		g->update = fopen(update, "a");
	else if ((f = fopen(path, "r")) != NULL) {
		n = fread(g->expect, 1, (1 << 20) - 1, f);
		g->expect[n] = '\0';
		fclose(f);
	}
	volume_run(&g->v, body, g);
	if (g->update != NULL)
		fclose(g->update);
	ATF_CHECK_EQ_MSG(0, g->failures, "see the output");
	free(g->expect);
	free(g);
}

static void
sound_body(void *arg)
{
	struct golden *g = arg;
	struct check_result r;
	struct disk *d;
	char why[256] = "";

	volume_make(&g->v);
	d = cow_disk_copy(g->v.disk);
	ATF_CHECK_EQ(0, check(g, d, true, &r));
	ATF_CHECK_STREQ("", g->said);
	ATF_CHECK_EQ(6, r.dirs);
	ATF_CHECK_EQ(3, r.disks);
	ATF_CHECK_EQ(2, r.snapshots);
	ATF_CHECK_MSG(volume_verify(&g->v, d, 0, 0, true, why), "%s", why);
	disk_close(d);
	volume_free(&g->v);
}

ATF_TC_WITHOUT_HEAD(sound_volume_is_clean);
ATF_TC_BODY(sound_volume_is_clean, tc)
{
	struct golden *g = calloc(1, sizeof(*g));

	ATF_REQUIRE(g != NULL);
	volume_run(&g->v, sound_body, g);
	free(g);
}

#define GOLDEN_TC(name, prefix)						\
ATF_TC_WITHOUT_HEAD(name);						\
ATF_TC_BODY(name, tc)							\
{									\
	run(prefix);							\
}

GOLDEN_TC(damaged_superblocks, "super_")
GOLDEN_TC(damaged_slots, "slot_")
GOLDEN_TC(damaged_journals, "journal_")
GOLDEN_TC(damaged_clusters, "cluster")
GOLDEN_TC(damaged_metachunks, "metachunk")
GOLDEN_TC(damaged_inodes, "inode_")
GOLDEN_TC(damaged_directories, "dir_")
GOLDEN_TC(damaged_attributes, "xattr_")
GOLDEN_TC(damaged_maps, "map_")
GOLDEN_TC(damaged_snapshot_tables, "snaptab_")
GOLDEN_TC(damaged_snapshots, "snapshot_")
GOLDEN_TC(damaged_quotas, "quota_")
GOLDEN_TC(much_damage, "much_")

ATF_TP_ADD_TCS(tp)
{
	ATF_TP_ADD_TC(tp, sound_volume_is_clean);
	ATF_TP_ADD_TC(tp, damaged_superblocks);
	ATF_TP_ADD_TC(tp, damaged_slots);
	ATF_TP_ADD_TC(tp, damaged_journals);
	ATF_TP_ADD_TC(tp, damaged_clusters);
	ATF_TP_ADD_TC(tp, damaged_metachunks);
	ATF_TP_ADD_TC(tp, damaged_inodes);
	ATF_TP_ADD_TC(tp, damaged_directories);
	ATF_TP_ADD_TC(tp, damaged_attributes);
	ATF_TP_ADD_TC(tp, damaged_maps);
	ATF_TP_ADD_TC(tp, damaged_snapshot_tables);
	ATF_TP_ADD_TC(tp, damaged_snapshots);
	ATF_TP_ADD_TC(tp, damaged_quotas);
	ATF_TP_ADD_TC(tp, much_damage);
	return atf_no_error();
}
