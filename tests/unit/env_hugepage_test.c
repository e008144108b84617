/* SPDX-License-Identifier: BSD-2-Clause */
/* Memory that becomes huge pages, which a machine may have none of. */
#include <atf-c.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "libvmfs/env/hugepage.h"

#define SIZE (2 * HUGEPAGE + 3 * 4096)

static char *
map(int fd)
{
	void *mem;

	ATF_REQUIRE_EQ(hugepage_map(SIZE, fd, &mem), 0);
	ATF_CHECK_EQ((uintptr_t)mem % HUGEPAGE, 0);
	return mem;
}

/* KiB of the mapping at mem that lie in huge pages. */
static unsigned long
huge_kib(const char *mem)
{
	FILE *f = fopen("/proc/self/smaps", "r");
	char line[256], start[32];
	unsigned long kib, sum = 0;
	bool in = false;

	ATF_REQUIRE(f != NULL);
	(void)snprintf(start, sizeof(start), "%lx-", (unsigned long)mem);
	while (fgets(line, sizeof(line), f) != NULL) {
		if (strncmp(line, start, strlen(start)) == 0)
			in = true;
		else if (strncmp(line, "VmFlags", 7) == 0)
			in = false;
		else if (in && (sscanf(line, "AnonHugePages: %lu", &kib) == 1 ||
		    sscanf(line, "ShmemPmdMapped: %lu", &kib) == 1))
			sum += kib;
	}
	(void)fclose(f);
	return sum;
}

static void
join_and_check(char *mem)
{
	char page[4096];
	int rc;

	for (size_t i = 0; i < sizeof(page); i++)
		page[i] = (char)(i * 7 + 1);
	memcpy(mem + 4096, page, sizeof(page));
	memcpy(mem + HUGEPAGE, page, sizeof(page));
	rc = hugepage_join(mem + 4096 + 17);
	if (rc == -EINVAL || rc == -ENOMEM)
		atf_tc_skip("no huge page: %s", strerror(-rc));
	ATF_REQUIRE_EQ(rc, 0);
	ATF_CHECK_EQ(huge_kib(mem), HUGEPAGE / 1024);
	ATF_CHECK_EQ(memcmp(mem + 4096, page, sizeof(page)), 0);
	ATF_CHECK_EQ(memcmp(mem + HUGEPAGE, page, sizeof(page)), 0);
	ATF_CHECK_EQ(mem[0], 0);
	ATF_REQUIRE_EQ(munmap(mem, SIZE), 0);
}

ATF_TC_WITHOUT_HEAD(own_memory_becomes_one_page);
ATF_TC_BODY(own_memory_becomes_one_page, tc)
{
	join_and_check(map(-1));
}

ATF_TC_WITHOUT_HEAD(shared_memory_becomes_one_page);
ATF_TC_BODY(shared_memory_becomes_one_page, tc)
{
	int fd = memfd_create("hugepage", MFD_CLOEXEC);

	ATF_REQUIRE(fd >= 0);
	ATF_REQUIRE_EQ(ftruncate(fd, SIZE), 0);
	join_and_check(map(fd));
	ATF_REQUIRE_EQ(close(fd), 0);
}

/* Also where the machine makes huge pages of whatever is touched, as Debian's. */
ATF_TC_WITHOUT_HEAD(none_comes_by_itself);
ATF_TC_BODY(none_comes_by_itself, tc)
{
	FILE *f = fopen("/proc/self/smaps", "r");
	char line[256], start[32], *mem = map(-1);
	bool in = false, told = false;

	ATF_REQUIRE(f != NULL);
	mem[0] = 1;
	(void)snprintf(start, sizeof(start), "%lx-", (unsigned long)mem);
	while (fgets(line, sizeof(line), f) != NULL) {
		in |= strncmp(line, start, strlen(start)) == 0;
		if (in && strncmp(line, "VmFlags", 7) == 0) {
			told = strstr(line, " nh ") != NULL;
			in = false;
		}
	}
	(void)fclose(f);
	ATF_CHECK(told);
	ATF_CHECK_EQ(huge_kib(mem), 0);
	ATF_REQUIRE_EQ(munmap(mem, SIZE), 0);
}

ATF_TC_WITHOUT_HEAD(memory_not_touched_stays_away);
ATF_TC_BODY(memory_not_touched_stays_away, tc)
{
	char *mem = map(-1);

	ATF_CHECK_EQ(hugepage_join(mem), -EINVAL);
	ATF_CHECK_EQ(huge_kib(mem), 0);
	ATF_REQUIRE_EQ(munmap(mem, SIZE), 0);
}

/* What was taken to find an aligned place is given back. */
ATF_TC_WITHOUT_HEAD(no_more_is_mapped_than_asked_for);
ATF_TC_BODY(no_more_is_mapped_than_asked_for, tc)
{
	unsigned char there[1];
	char *mem = map(-1);

	ATF_CHECK_ERRNO(ENOMEM, msync(mem + SIZE, 4096, MS_ASYNC) < 0 &&
	    mincore(mem + SIZE, 4096, there) < 0);
	ATF_CHECK_EQ(msync(mem + SIZE - 4096, 4096, MS_ASYNC), 0);
	ATF_REQUIRE_EQ(munmap(mem, SIZE), 0);
}

ATF_TC_WITHOUT_HEAD(what_cannot_be_mapped_is_an_error);
ATF_TC_BODY(what_cannot_be_mapped_is_an_error, tc)
{
	void *mem = NULL;
	int fd = open("/dev/zero", O_RDONLY | O_CLOEXEC);

	ATF_CHECK_EQ(hugepage_map(SIZE_MAX - 4096, -1, &mem), -ENOMEM);
	ATF_REQUIRE(fd >= 0);
	ATF_CHECK_EQ(hugepage_map(SIZE, fd, &mem), -EACCES);
	ATF_CHECK(mem == NULL);
	ATF_REQUIRE_EQ(close(fd), 0);
}

ATF_TP_ADD_TCS(tp)
{
	ATF_TP_ADD_TC(tp, own_memory_becomes_one_page);
	ATF_TP_ADD_TC(tp, shared_memory_becomes_one_page);
	ATF_TP_ADD_TC(tp, none_comes_by_itself);
	ATF_TP_ADD_TC(tp, memory_not_touched_stays_away);
	ATF_TP_ADD_TC(tp, no_more_is_mapped_than_asked_for);
	ATF_TP_ADD_TC(tp, what_cannot_be_mapped_is_an_error);
	return atf_no_error();
}
