/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Has QEMU do one command and prints what it returns.
 *
 * usage: qmp SOCKET COMMAND [ARGUMENTS]    as JSON
 * Exit status 1: QEMU refused, and says why.
 */
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static FILE *
connect_to(const char *path)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	struct timeval limit = { .tv_sec = 60 };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	if (fd < 0 || strlen(path) >= sizeof(sa.sun_path))
		return NULL;
	strcpy(sa.sun_path, path);
	if (connect(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit,
	    sizeof(limit)) < 0) {
		close(fd);
		return NULL;
	}
	return fdopen(fd, "r+");
}

/* The next answer; events are passed over. */
static json_t *
answer(FILE *f)
{
	char line[65536];
	json_t *j;

	while (fgets(line, sizeof(line), f) != NULL) {
		j = json_loads(line, 0, NULL);
		if (json_object_get(j, "return") != NULL ||
		    json_object_get(j, "error") != NULL)
			return j;
		json_decref(j);
	}
	return NULL;
}

static json_t *
ask(FILE *f, const char *command, json_t *arguments)
{
	json_t *j = json_pack("{s:s, s:o*}", "execute", command, "arguments",
	    arguments);
	int r = json_dumpf(j, f, 0);

	json_decref(j);
	if (r < 0 || fputc('\n', f) == EOF || fflush(f) == EOF)
		return NULL;
	return answer(f);
}

int
main(int argc, char **argv)
{
	json_t *arguments = NULL, *j, *error;
	FILE *f;

	if (argc < 3 || argc > 4) {
		fputs("usage: qmp SOCKET COMMAND [ARGUMENTS]\n", stderr);
		return 2;
	}
	if (argc == 4 && !(arguments = json_loads(argv[3], 0, NULL))) {
		fprintf(stderr, "qmp: no JSON: %s\n", argv[3]);
		return 2;
	}
	f = connect_to(argv[1]);
	if (f == NULL) {
		perror(argv[1]);
		return 2;
	}
	json_decref(ask(f, "qmp_capabilities", NULL));
	j = ask(f, argv[2], arguments);
	fclose(f);
	error = json_object_get(j, "error");
	if (j == NULL || error != NULL) {
		fprintf(stderr, "qmp: %s: %s\n", argv[2], error != NULL ?
		    json_string_value(json_object_get(error, "desc")) :
		    "no answer");
		json_decref(j);
		return 1;
	}
	json_dumpf(json_object_get(j, "return"), stdout, JSON_ENCODE_ANY);
	putchar('\n');
	json_decref(j);
	return 0;
}
