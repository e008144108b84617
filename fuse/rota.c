/* SPDX-License-Identifier: BSD-2-Clause */
/* Who waits for requests, see rota.h. */
#include "fuse/rota.h"

bool
rota_calls(unsigned under_way, bool is_long)
{
	return is_long || under_way >= ROTA_DEEP;
}

void
rota_came(struct rota *r, unsigned under_way, bool is_long)
{
	r->calm = is_long || under_way > 1 ? 0 : r->calm + 1;
	r->rests = r->calm >= ROTA_CALM;
}
