/* SPDX-License-Identifier: BSD-2-Clause */
/* Where the target listens, and who may ask there what it has. */
#include <stdio.h>
#include <string.h>

#include "libvmfs/base/units.h"
#include "vmfsd/exports_impl.h"

#define PORT_WAIT_MS 10000u
/* Of one that goes on, whose mounts wait for it: for all portals. */
#define PORT_WAIT_AGAIN_MS 500u
#define PORT_PAUSE_MS 50u

static const char *
listen_text(int error)
{
	switch (error) {
	case -EADDRINUSE:
		return "something listens there already";
	case -EADDRNOTAVAIL:
		return "no interface of this machine has that address";
	case -EINVAL:
		return "expected an address in numbers, as 10.0.0.1 or "
		    "[fd00::1], perhaps with :PORT and ,GROUP";
	default:
		return vmfs_strerror(error);
	}
}

static int
listen_at(struct exports *e, size_t i, const char *portal)
{
	int rc = iscsi_server_listen(e->server, portal, e->address[i]);

	if (rc < 0) {
		e->address[i][0] = '\0';
		(void)snprintf(e->why, sizeof(e->why),
		    "cannot listen on portal '%s': %s", portal,
		    listen_text(rc));
	}
	return rc;
}

int
export_listen(struct exports *e, const char *portal)
{
	int rc = listen_at(e, e->addresses, portal);

	e->addresses += rc == 0;
	return rc;
}

int
export_unlisten(struct exports *e, size_t i)
{
	int rc = e->address[i][0] == '\0' ? 0 :
	    iscsi_server_unlisten(e->server, e->address[i]);

	if (rc < 0)
		return rc;
	e->addresses--;
	memmove(e->address[i], e->address[i + 1],
	    (e->addresses - i) * sizeof(e->address[i]));
	return 0;
}

unsigned
export_listen_again(struct exports *e)
{
	unsigned left = 0;

	for (size_t i = 0; i < e->addresses; i++) {
		if (e->address[i][0] != '\0')
			continue;
		left += listen_at(e, i, e->conf->portal[i]) < 0;
		e->why[0] = '\0';
	}
	return left;
}

int
export_discovery(struct exports *e, const struct conf *c)
{
	struct iscsi_chap in = { c->discovery_in.user, c->discovery_in.secret };
	struct iscsi_chap out = {
		c->discovery_out.user, c->discovery_out.secret,
	};

	return iscsi_server_discovery_auth(e->server, &in, &out);
}

/*
 * The kernel ends a killed process's io_uring, and with it the listening socket,
 * some time after the process: whoever restarts it at once finds the port in use.
 */
static int
listen_at_start(struct exports *e, const char *portal, unsigned *left_ms)
{
	int rc = export_listen(e, portal);

	if (rc == -EADDRINUSE)
		log_info(e->log, "vmfsd: portal %s is in use; waiting up to "
		    "%u ms for it", portal, *left_ms);
	for (; rc == -EADDRINUSE && *left_ms > 0; *left_ms -= PORT_PAUSE_MS) {
		fiber_sleep(PORT_PAUSE_MS * NSEC_PER_MSEC);
		rc = export_listen(e, portal);
	}
	if (rc < 0 && e->goes_on) {
		log_warn(e->log, "target: %s; trying again", e->why);
		e->addresses++;
		rc = 0;
	}
	if (rc == 0)
		e->why[0] = '\0';
	return rc;
}

int
export_listen_all(struct exports *e)
{
	unsigned again_ms = PORT_WAIT_AGAIN_MS;
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < e->conf->portals; i++) {
		unsigned start_ms = PORT_WAIT_MS;

		rc = listen_at_start(e, e->conf->portal[i],
		    e->goes_on ? &again_ms : &start_ms);
	}
	return rc;
}
