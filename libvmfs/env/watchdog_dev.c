/* SPDX-License-Identifier: BSD-2-Clause */
/* A Linux watchdog device as struct watchdog. */
#include <fcntl.h>
#include <linux/watchdog.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "libvmfs/base/list.h"
#include "libvmfs/env/watchdog.h"

struct watchdog_dev {
	struct watchdog dog;
	int fd;
};

static int
put_byte(struct watchdog_dev *d, char c)
{
	ssize_t n;

	do
		n = write(d->fd, &c, 1);
	while (n < 0 && errno == EINTR);
	return n == 1 ? 0 : n < 0 ? -errno : -EIO;
}

static int
dev_pet(struct watchdog *w)
{
	return put_byte(container_of(w, struct watchdog_dev, dog), '\0');
}

static void
dev_close(struct watchdog *w, bool disarm)
{
	struct watchdog_dev *d = container_of(w, struct watchdog_dev, dog);

	/* The magic close; when it fails the machine is reset. */
	if (disarm)
		(void)!put_byte(d, 'V');
	(void)close(d->fd);
	free(d);
}

static const struct watchdog_ops dev_ops = {
	.pet = dev_pet,
	.close = dev_close,
};

/* What cannot be asked stays unknown: some devices have no ioctl. */
static void
interview(struct watchdog_dev *d, const char *path, unsigned timeout_ms)
{
	struct watchdog_info info = { 0 };
	int s = (int)(timeout_ms / 1000 + (timeout_ms % 1000 != 0));

	(void)snprintf(d->dog.name, sizeof(d->dog.name), "%s", path);
	if (ioctl(d->fd, WDIOC_GETSUPPORT, &info) == 0) {
		(void)snprintf(d->dog.name, sizeof(d->dog.name), "%.*s",
		    (int)sizeof(info.identity), (const char *)info.identity);
		d->dog.can_disarm = (info.options & WDIOF_MAGICCLOSE) != 0;
	}
	/* Where it cannot be set it may still be told. */
	if (ioctl(d->fd, WDIOC_SETTIMEOUT, &s) < 0 &&
	    ioctl(d->fd, WDIOC_GETTIMEOUT, &s) < 0)
		return;
	if (s > 0)
		d->dog.timeout_ms = (unsigned)s * 1000;
}

int
watchdog_dev_open(const char *path, unsigned timeout_ms,
    struct watchdog **ret_w)
{
	struct watchdog_dev *d = calloc(1, sizeof(*d));

	if (d == NULL)
		return -ENOMEM;
	d->dog.ops = &dev_ops;
	d->fd = open(path, O_WRONLY | O_CLOEXEC);
	if (d->fd < 0) {
		int rc = -errno;

		free(d);
		return rc;
	}
	interview(d, path, timeout_ms);
	*ret_w = &d->dog;
	return 0;
}
