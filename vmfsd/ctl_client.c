/* SPDX-License-Identifier: BSD-2-Clause */
/* One request, one answer. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
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

/* The daemon may just end, which is no reason for us to. */
static int
send_all(int fd, const char *p, size_t len)
{
	while (len > 0) {
		ssize_t n = send(fd, p, len, MSG_NOSIGNAL);

		if (n < 0 && errno != EINTR)
			return -errno;
		if (n > 0) {
			p += n;
			len -= (size_t)n;
		}
	}
	return 0;
}

static int
send_request(int fd, const json_t *request)
{
	char *text = json_dumps(request, JSON_COMPACT);
	int rc;

	if (text == NULL)
		return -ENOMEM;
	rc = send_all(fd, text, strlen(text));
	if (rc == 0)
		rc = send_all(fd, "\n", 1);
	free(text);
	return rc;
}

static int
take_answer(FILE *f, json_t **ret_answer)
{
	json_t *answer = json_loadf(f, JSON_DISABLE_EOF_CHECK, NULL);

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
	f = fdopen(fd, "r");
	if (f == NULL) {
		(void)close(fd);
		return -ENOMEM;
	}
	request = json_pack("{s:s, s:O*}", "cmd", cmd, "args", args);
	rc = request != NULL ? send_request(fd, request) : -ENOMEM;
	if (rc == 0)
		rc = take_answer(f, ret_answer);
	json_decref(request);
	(void)fclose(f);
	return rc;
}
