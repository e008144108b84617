/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * usage: super_feature FILE MASK
 * Sets bits of the incompatible features in every copy of the superblock of
 * a file LUN, sealed as a newer program would do it.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "libvmfs/format/super.h"

static int
patch(int fd, uint64_t block, uint64_t mask, struct super *s)
{
	static _Alignas(8) unsigned char buf[BLOCK_SIZE];
	off_t at = (off_t)(block * BLOCK_SIZE);
	int rc;

	if (pread(fd, buf, sizeof(buf), at) != sizeof(buf))
		return -EIO;
	rc = super_decode(buf, block, s);
	if (rc < 0)
		return rc;
	s->incompat |= mask;
	super_encode(buf, block, s);
	return pwrite(fd, buf, sizeof(buf), at) == sizeof(buf) ? 0 : -EIO;
}

int
main(int argc, char **argv)
{
	struct super s = { 0 };
	uint64_t mask;
	int fd, rc;

	if (argc != 3) {
		fputs("usage: super_feature FILE MASK\n", stderr);
		return 2;
	}
	mask = strtoull(argv[2], NULL, 0);
	fd = open(argv[1], O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return 1;
	rc = patch(fd, SUPER_BLOCK_0, mask, &s);
	if (rc == 0)
		rc = patch(fd, SUPER_BLOCK_1, mask, &s);
	if (rc == 0)
		rc = patch(fd, s.copy2_block, mask, &s);
	(void)close(fd);
	if (rc < 0)
		fprintf(stderr, "super_feature: %s\n", vmfs_strerror(rc));
	return rc < 0 ? 1 : 0;
}
