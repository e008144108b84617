/* SPDX-License-Identifier: BSD-2-Clause */
/* See vmfsctl_upgrade.h. */
#include <poll.h>
#include <stdio.h>

#include "vmfsd/ctl_client.h"
#include "vmfsd/vmfsctl_upgrade.h"

#define LOOK_MS 20
#define LOOKS (30 * 1000 / LOOK_MS)

static json_int_t
pid_of(json_t *answer)
{
	json_t *rows = json_object_get(json_object_get(answer, "result"),
	    "daemon");

	return json_integer_value(json_object_get(json_array_get(rows, 0),
	    "pid"));
}

static json_t *
next_one(const char *socket_path, json_int_t pid)
{
	json_t *answer;

	for (int i = 0; i < LOOKS; i++) {
		if (i > 0)
			(void)poll(NULL, 0, LOOK_MS);
		if (ctl_request(socket_path, "daemon.ls", NULL, &answer) < 0)
			continue;
		if (pid_of(answer) != pid)
			return answer;
		json_decref(answer);
	}
	fprintf(stderr, "vmfsctl: vmfsd has ended and no other one answers on "
	    "'%s'; its log tells why\n", socket_path);
	return NULL;
}

json_t *
upgrade(const char *socket_path)
{
	json_t *before, *answer;
	json_int_t pid;
	int rc = ctl_request(socket_path, "daemon.ls", NULL, &before);

	if (rc < 0) {
		fprintf(stderr, "vmfsctl: no vmfsd answers on '%s': %s; start "
		    "vmfsd, or name its socket by --control\n", socket_path,
		    vmfs_strerror(rc));
		return NULL;
	}
	pid = pid_of(before);
	json_decref(before);
	rc = ctl_request(socket_path, "daemon.upgrade", NULL, &answer);
	return rc == 0 ? answer : next_one(socket_path, pid);
}
