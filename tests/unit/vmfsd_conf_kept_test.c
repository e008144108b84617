/* SPDX-License-Identifier: BSD-2-Clause */
/* The configuration in force is kept whole, and needs no file. */
#include <atf-c.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vmfsd/conf_diff.h"
#include "vmfsd/conf_keys.h"
#include "vmfsd/conf_kept.h"

#define TARGET "[target iqn.2026-11.test:box]\n"

static const char portal[] =
    "# comment\n"
    "[host]\n"
    "name = h\n"
    "[portal]\n"
    "listen = 10.0.0.1\n"
    "listen = [fd00::1]:3261,2\n"
    "sessions = 3\n"
    "commands = 5\n"
    "login-timeout = 7\n"
    "keep-alive = 11\n"
    "write-buffers = 3M\n"
    "busy-wait = no\n"
    "discovery-chap = asks\n"
    "discovery-chap-secret-file = s1\n"
    "discovery-mutual = answers\n"
    "discovery-mutual-secret-file = s2\n";
static const char target[] =
    "  [target iqn.2026-11.test:box]\n"
    "alias = a box\n"
    "lun.0 = /srv/a,thin\n"
    "lun.7 = ram:64M,readonly\n"
    "allow = iqn.x:*\n"
    "allow = iqn.y,chap=y,chap-secret-file=s3,mutual=z,"
    "mutual-secret-file=s4\n"
    "chap = all\n"
    "chap-secret-file = s5\n"
    "mutual = box\n"
    "mutual-secret-file = s6\n"
    "redirect = 10.0.0.2\n"
    "write-log = /var/log/writes\n"
    "[datastore ds1]\n"
    "lun = /srv/lun\n"
    "mount = /mnt/ds1";

static void
make_secrets(void)
{
	char name[] = "s0";

	for (int i = 1; i <= 6; i++) {
		FILE *f;

		name[1] = (char)('0' + i);
		f = fopen(name, "w");
		ATF_REQUIRE(f != NULL);
		/* Blanks belong to it. */
		fprintf(f, " a secret, number %d \n", i);
		ATF_REQUIRE_EQ(0, fclose(f));
		ATF_REQUIRE_EQ(0, chmod(name, 0600));
	}
}

static void
unmake_secrets(void)
{
	char name[] = "s0";

	for (name[1] = '1'; name[1] <= '6'; name[1]++)
		ATF_REQUIRE_EQ(0, unlink(name));
}

static void
read_conf(const char *text, const char *secrets, struct conf *ret_c)
{
	char msg[CONF_MESSAGE_SIZE];

	ATF_REQUIRE_EQ_MSG(0, conf_read_text(text, secrets, "conf", ret_c,
	    msg), "%s", msg);
}

static void
keep(const char *start, const struct conf *now, const char *file,
    const char *next, struct conf_kept *ret_k)
{
	int fd = -1;

	ATF_REQUIRE_EQ(0, conf_kept_make(start, now, file, next, &fd));
	ATF_CHECK_ERRNO(EPERM, write(fd, "x", 1) < 0);
	ATF_REQUIRE_EQ(0, conf_kept_read(fd, ret_k));
	ATF_REQUIRE_EQ(0, close(fd));
}

static void
check_same(const struct conf *a, const struct conf *b)
{
	struct conf_changes c;

	ATF_REQUIRE_EQ(0, conf_diff(a, b, &c));
	ATF_REQUIRE_EQ(0, conf_diff_restart(a, b, &c));
	for (size_t i = 0; i < c.count; i++)
		atf_tc_fail_nonfatal("differs: %s", c.at[i].text);
	conf_changes_fini(&c);
}

ATF_TC_WITHOUT_HEAD(every_key_is_kept);
ATF_TC_BODY(every_key_is_kept, tc)
{
	char text[sizeof(portal) + sizeof(target)];
	struct conf_kept k;
	struct conf a, b;

	make_secrets();
	snprintf(text, sizeof(text), "%s%s", portal, target);
	read_conf(text, NULL, &a);
	/* A key that is new must be here as well. */
	for (const struct conf_section *s = conf_sections; s->name != NULL;
	    s++)
		for (const struct conf_key *key = s->keys; key->name != NULL &&
		    (strcmp(s->name, "portal") == 0 ||
		    strcmp(s->name, "target") == 0); key++) {
			char line[80];

			snprintf(line, sizeof(line), "\n%s", key->name);
			ATF_CHECK_MSG(strstr(text, line) != NULL, "%s",
			    key->name);
		}
	unmake_secrets();
	keep(text, &a, "the file\n", "and next\n", &k);
	ATF_CHECK_STREQ("the file\n", k.file);
	ATF_CHECK_STREQ("and next\n", k.next);
	read_conf(k.text, k.secrets, &b);
	check_same(&a, &b);
	ATF_CHECK_STREQ(" a secret, number 4 ", b.target[0].allow[1].out.secret);
	conf_fini(&b);
	/* And once more, by the next one. */
	{
		struct conf_kept again;

		keep(k.text, &a, "", NULL, &again);
		ATF_CHECK(again.next == NULL);
		ATF_CHECK_STREQ(k.text, again.text);
		ATF_CHECK_STREQ(k.secrets, again.secrets);
		conf_kept_fini(&again);
	}
	conf_kept_fini(&k);
	conf_fini(&a);
}

/* What was applied is in force, but for what only a restart changes. */
ATF_TC_WITHOUT_HEAD(applied_is_put_over_what_it_began_with);
ATF_TC_BODY(applied_is_put_over_what_it_began_with, tc)
{
	static const char start[] =
	    "[target iqn.2026-11.test:old]\n"
	    "[datastore ds1]\n"
	    "lun = /srv/lun\n"
	    "mount = /mnt/ds1\n"
	    "[portal]\n"
	    "listen = 10.0.0.1\n"
	    "[host]\n"
	    "name = h\n";
	struct conf_kept k;
	struct conf now, b;

	read_conf("[portal]\nlisten = 10.0.0.2\n" TARGET
	    "[datastore ds2]\nlun = /srv/lun2\nmount = /mnt/ds2\n", NULL, &now);
	keep(start, &now, "", NULL, &k);
	read_conf(k.text, k.secrets, &b);
	ATF_REQUIRE_EQ(1, b.targets);
	ATF_CHECK_STREQ("iqn.2026-11.test:box", b.target[0].iqn);
	ATF_REQUIRE_EQ(1, b.portals);
	ATF_CHECK_STREQ("10.0.0.2", b.portal[0]);
	ATF_REQUIRE_EQ(1, b.datastores);
	ATF_CHECK_STREQ("ds1", b.datastore[0].name);
	ATF_CHECK_STREQ("h", b.host_name);
	conf_fini(&b);
	conf_fini(&now);
	conf_kept_fini(&k);
}

ATF_TC_WITHOUT_HEAD(something_else_is_refused);
ATF_TC_BODY(something_else_is_refused, tc)
{
	int fd = open("other", O_RDWR | O_CREAT, 0600);
	struct conf_kept k;

	ATF_REQUIRE(fd >= 0);
	ATF_CHECK_EQ(-EBADMSG, conf_kept_read(fd, &k));
	ATF_REQUIRE_EQ(10, write(fd, "text\0more\0", 10));
	ATF_CHECK_EQ(-EBADMSG, conf_kept_read(fd, &k));
	ATF_REQUIRE_EQ(0, close(fd));
}

/* How often the heap has it, in use or free; under ASan it is elsewhere. */
static unsigned
in_heap(const char *text, size_t len)
{
	FILE *f = fopen("/proc/self/maps", "r");
	char line[512];
	unsigned found = 0;

	ATF_REQUIRE(f != NULL);
	while (fgets(line, sizeof(line), f) != NULL) {
		unsigned long from, to;
		const char *p;

		if (strstr(line, "[heap]") == NULL ||
		    sscanf(line, "%lx-%lx", &from, &to) != 2)
			continue;
		for (p = (const char *)from; (p = memmem(p, to -
		    (unsigned long)p, text, len)) != NULL; p++)
			found++;
	}
	ATF_REQUIRE_EQ(0, fclose(f));
	return found;
}

ATF_TC_WITHOUT_HEAD(no_secret_stays_in_freed_memory);
ATF_TC_BODY(no_secret_stays_in_freed_memory, tc)
{
	static const char secret[] = " a secret, number 5 ";
	/* So much that no buffer has room for it from the start. */
	static char file[40000];
	char text[sizeof(portal) + sizeof(target)];
	struct conf c;
	unsigned before;
	int fd;

	(void)tc;
	memset(file, '#', sizeof(file) - 1);
	make_secrets();
	snprintf(text, sizeof(text), "%s%s", portal, target);
	read_conf(text, NULL, &c);
	unmake_secrets();
	before = in_heap(secret, sizeof(secret) - 1);
	ATF_REQUIRE_EQ(0, conf_kept_make(text, &c, file, NULL, &fd));
	ATF_CHECK_EQ(before, in_heap(secret, sizeof(secret) - 1));
	ATF_REQUIRE_EQ(0, close(fd));
	conf_fini(&c);
}

ATF_TP_ADD_TCS(tp)
{
	ATF_TP_ADD_TC(tp, no_secret_stays_in_freed_memory);
	ATF_TP_ADD_TC(tp, every_key_is_kept);
	ATF_TP_ADD_TC(tp, applied_is_put_over_what_it_began_with);
	ATF_TP_ADD_TC(tp, something_else_is_refused);
	return atf_no_error();
}
