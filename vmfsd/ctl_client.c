/* SPDX-License-Identifier: BSD-2-Clause */
/* One request, one answer. */
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "vmfsd/ctl_client.h"

static int
connect_to(const char *path)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	int fd, rc;

	if (strlen(path) >= sizeof(sa.sun_path))
		return -ENAMETOOLONG;
	memcpy(sa.sun_path, path, strlen(path) + 1);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	if (connect(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0) {
		rc = -errno;
		(void)close(fd);
		return rc;
	}
	return fd;
}

static int
exchange(FILE *f, json_t *request, json_t **ret_answer)
{
	json_t *answer;

	if (json_dumpf(request, f, JSON_COMPACT) < 0 || fputc('\n', f) == EOF ||
	    fflush(f) == EOF)
		return -EIO;
	answer = json_loadf(f, JSON_DISABLE_EOF_CHECK, NULL);
	if (!json_is_object(answer) ||
	    !json_is_boolean(json_object_get(answer, "ok"))) {
		json_decref(answer);
		return -VMFS_EPROTO;
	}
	*ret_answer = answer;
	return 0;
}

int
ctl_request(const char *socket_path, const char *cmd, json_t *args,
    json_t **ret_answer)
{
	json_t *request;
	FILE *f;
	int rc, fd = connect_to(socket_path);

	if (fd < 0)
		return fd;
	f = fdopen(fd, "r+");
	if (f == NULL) {
		(void)close(fd);
		return -ENOMEM;
	}
	request = json_pack("{s:s, s:O*}", "cmd", cmd, "args", args);
	rc = request != NULL ? exchange(f, request, ret_answer) : -ENOMEM;
	json_decref(request);
	(void)fclose(f);
	return rc;
}
