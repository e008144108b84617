/* SPDX-License-Identifier: BSD-2-Clause */
/* Makes the first inputs of the fuzz programs from seeds.txt. */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define BYTES_MAX 65536

struct seed {
	char name[128];
	unsigned char bytes[BYTES_MAX];
	size_t len;
};

static int
bad(const char *token)
{
	fprintf(stderr, "seeds: not a token: %s\n", token);
	return -1;
}

static int
add(struct seed *s, const void *data, size_t len)
{
	if (len > sizeof(s->bytes) - s->len)
		return bad("too long");
	memcpy(s->bytes + s->len, data, len);
	s->len += len;
	return 0;
}

/* "1fa0" bytes, "'text'" with '_' for a blank, "*12" so many zero bytes. */
static int
take(struct seed *s, const char *token)
{
	static const unsigned char zeroes[BYTES_MAX];
	size_t len = strlen(token);
	char text[1024];

	if (token[0] == '*')
		return add(s, zeroes, strtoul(token + 1, NULL, 10));
	if (token[0] == '\'') {
		if (len < 2 || token[len - 1] != '\'' || len > sizeof(text))
			return bad(token);
		for (size_t i = 1; i + 1 < len; i++)
			text[i - 1] = token[i] == '_' ? ' ' : token[i];
		return add(s, text, len - 2);
	}
	for (size_t i = 0; i < len; i += 2) {
		char hex[3] = { token[i], token[i + 1], '\0' };
		unsigned char byte = (unsigned char)strtoul(hex, NULL, 16);

		if (!isxdigit((unsigned char)hex[0]) ||
		    !isxdigit((unsigned char)hex[1]) || add(s, &byte, 1) < 0)
			return bad(token);
	}
	return 0;
}

/* dir/program/name, with the program's directory. */
static int
write_out(const struct seed *s, const char *dir)
{
	const char *slash = strchr(s->name, '/');
	char path[4096];
	FILE *f;

	if (slash == NULL)
		return bad(s->name);
	snprintf(path, sizeof(path), "%s/%.*s", dir, (int)(slash - s->name),
	    s->name);
	(void)mkdir(path, 0777);
	snprintf(path, sizeof(path), "%s/%s", dir, s->name);
	f = fopen(path, "wb");
	if (f == NULL || fwrite(s->bytes, 1, s->len, f) != s->len ||
	    fclose(f) != 0) {
		perror(path);
		return -1;
	}
	return 0;
}

static int
line(struct seed *s, char *text, const char *dir)
{
	char *save, *token = strtok_r(text, " \t\n", &save);

	if (token == NULL || token[0] == '#')
		return 0;
	/* A line that begins with "+" goes on with the one before. */
	if (strcmp(token, "+") != 0) {
		s->len = 0;
		snprintf(s->name, sizeof(s->name), "%s", token);
	}
	while ((token = strtok_r(NULL, " \t\n", &save)) != NULL)
		if (take(s, token) < 0)
			return -1;
	return write_out(s, dir);
}

int
main(int argc, char **argv)
{
	static struct seed seed;
	static char text[8192];
	FILE *f;

	if (argc != 3) {
		fprintf(stderr, "usage: %s SEEDS.TXT DIRECTORY\n", argv[0]);
		return 2;
	}
	f = fopen(argv[1], "r");
	if (f == NULL) {
		perror(argv[1]);
		return 1;
	}
	(void)mkdir(argv[2], 0777);
	while (fgets(text, sizeof(text), f) != NULL)
		if (line(&seed, text, argv[2]) < 0)
			return 1;
	fclose(f);
	return 0;
}
