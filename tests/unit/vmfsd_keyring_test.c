/* SPDX-License-Identifier: BSD-2-Clause */
/* Key files: which are taken, and what a process that has read one leaves. */
#include <atf-c.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vmfsd/keyring.h"

static void
key_file(const char *path, mode_t mode, size_t len)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	uint8_t secret[64];

	memset(secret, path[5], sizeof(secret));
	ATF_REQUIRE(fd >= 0);
	ATF_REQUIRE_EQ((ssize_t)len, write(fd, secret, len));
	ATF_REQUIRE_EQ(0, fchmod(fd, mode));
	ATF_REQUIRE_EQ(0, close(fd));
}

ATF_TC_WITHOUT_HEAD(no_core_dump_after_a_key_was_read);
ATF_TC_BODY(no_core_dump_after_a_key_was_read, tc)
{
	char why[KEYRING_WHY_SIZE];
	struct wrapping_key k;

	ATF_REQUIRE_EQ(0, prctl(PR_SET_DUMPABLE, 1, 0, 0, 0));
	ATF_REQUIRE_EQ(0, mkdir("keys", 0700));
	key_file("keys/a", 0600, 32);
	ATF_REQUIRE_EQ(0, keyring_load(".", "a", &k, why));
	ATF_CHECK_EQ(0, prctl(PR_GET_DUMPABLE, 0, 0, 0, 0));
}

ATF_TC_WITHOUT_HEAD(a_key_is_found_by_its_id_whatever_its_name);
ATF_TC_BODY(a_key_is_found_by_its_id_whatever_its_name, tc)
{
	char why[KEYRING_WHY_SIZE], name[256];
	struct wrapping_key a, found;

	ATF_REQUIRE_EQ(0, mkdir("keys", 0700));
	key_file("keys/a", 0600, 32);
	key_file("keys/b", 0600, 64);
	key_file("keys/c", 0640, 64);
	ATF_REQUIRE_EQ(0, keyring_load(".", "a", &a, why));
	ATF_REQUIRE_EQ(0, rename("keys/a", "keys/z"));
	ATF_REQUIRE_EQ(0, keyring_find(".", a.id, &found, name));
	ATF_CHECK_STREQ("z", name);
	ATF_CHECK(memcmp(&a, &found, sizeof(a)) == 0);
	a.id[0] ^= 1;
	ATF_CHECK_EQ(-ENOKEY, keyring_find(".", a.id, &found, NULL));
}

ATF_TC_WITHOUT_HEAD(a_pipe_is_no_key_and_keeps_nobody);
ATF_TC_BODY(a_pipe_is_no_key_and_keeps_nobody, tc)
{
	char why[KEYRING_WHY_SIZE];
	struct wrapping_key k;

	ATF_REQUIRE_EQ(0, mkdir("keys", 0700));
	ATF_REQUIRE_EQ(0, mkfifo("keys/p", 0600));
	ATF_CHECK_EQ(-EINVAL, keyring_load(".", "p", &k, why));
	ATF_CHECK_MATCH("no regular file", why);
}

ATF_TP_ADD_TCS(tp)
{
	ATF_TP_ADD_TC(tp, no_core_dump_after_a_key_was_read);
	ATF_TP_ADD_TC(tp, a_key_is_found_by_its_id_whatever_its_name);
	ATF_TP_ADD_TC(tp, a_pipe_is_no_key_and_keeps_nobody);
	return atf_no_error();
}
