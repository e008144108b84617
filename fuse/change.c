/* SPDX-License-Identifier: BSD-2-Clause */
/* Changes that are done once, whoever may die in between. */
#include "fuse/mount_impl.h"

bool
change_begin(fuse_req_t req, struct change *c)
{
	*c = (struct change){ .r = request_of(req) };
	c->done = request_was_done(c->r);
	if (!c->done)
		fs_note_begin(mount_of(req)->conf.fs, &c->noting,
		    request_note(c->r));
	return !c->done;
}

int
change_end(struct change *c, int rc)
{
	if (!c->done)
		fs_note_end(&c->noting);
	return request_settle(c->r, rc);
}
