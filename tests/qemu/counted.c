/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Judges what a guest of counter.S has left: every number of the last 1024 is
 * in its sector, and none below the last that it has shown is missing.
 *
 * usage: counted DISK LAST    LAST in hex, from the serial port
 */
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define FIRST_SECTOR 2048
#define SECTORS 1024u
#define SECTOR 512

static uint32_t number[SECTORS];

static int
read_all(const char *path)
{
	int fd = open(path, O_RDONLY);

	if (fd < 0) {
		perror(path);
		return -1;
	}
	for (unsigned i = 0; i < SECTORS; i++) {
		if (pread(fd, &number[i], sizeof(number[i]),
		    (off_t)(FIRST_SECTOR + i) * SECTOR) !=
		    sizeof(number[i])) {
			perror(path);
			close(fd);
			return -1;
		}
	}
	return close(fd);
}

int
main(int argc, char **argv)
{
	uint32_t most = 0, shown;
	unsigned wrong = 0;

	if (argc != 3) {
		fputs("usage: counted DISK LAST\n", stderr);
		return 2;
	}
	if (read_all(argv[1]) < 0)
		return 2;
	shown = (uint32_t)strtoul(argv[2], NULL, 16);
	for (unsigned i = 0; i < SECTORS; i++)
		most = number[i] > most ? number[i] : most;
	for (uint32_t n = most; n > 0 && most - n < SECTORS; n--) {
		if (number[n % SECTORS] == n)
			continue;
		if (wrong++ < 10)
			fprintf(stderr, "counted: %" PRIx32 " is missing, its "
			    "sector has %" PRIx32 "\n", n, number[n % SECTORS]);
	}
	if (most < shown) {
		fprintf(stderr, "counted: the guest showed %" PRIx32 ", the "
		    "disk ends with %" PRIx32 "\n", shown, most);
		return 1;
	}
	printf("%" PRIu32 " writes, %u missing\n", most, wrong);
	return wrong > 0;
}
