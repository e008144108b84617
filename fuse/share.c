/* SPDX-License-Identifier: BSD-2-Clause */
/* Who may have one more. */
#include "fuse/share.h"

#include <errno.h>
#include <stdlib.h>

int
share_init(struct share *s, uint32_t count)
{
	*s = (struct share){
		.uid = malloc(count * sizeof(*s->uid)), .count = count,
	};
	if (s->uid == NULL)
		return -ENOMEM;
	for (uint32_t i = 0; i < count; i++)
		s->uid[i] = SHARE_NOBODY;
	return 0;
}

void
share_fini(struct share *s)
{
	free(s->uid);
}

uint32_t
share_of(const struct share *s, uint32_t uid)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < s->count; i++)
		n += s->uid[i] == uid;
	return n;
}

bool
share_fits(uint32_t count, uint32_t left, uint32_t own, uint32_t uid)
{
	return uid == 0 ? left > 0 : left > own + count / SHARE_ROOT;
}

bool
share_allows(struct share *s, uint32_t uid)
{
	uint32_t left = s->count - s->taken;

	/* They are counted only where that can matter. */
	if (left > s->count / 2 || share_fits(s->count, left,
	    uid == 0 ? 0 : share_of(s, uid), uid))
		return true;
	s->refused = true;
	return false;
}

void
share_take(struct share *s, uint32_t place, uint32_t uid)
{
	s->uid[place] = uid;
	s->taken++;
}

void
share_give(struct share *s, uint32_t place)
{
	s->uid[place] = SHARE_NOBODY;
	s->taken--;
	if (s->taken < s->count / 2)
		s->refused = s->told = false;
}

bool
share_is_news(struct share *s)
{
	bool news = s->refused && !s->told;

	s->told = s->told || news;
	return news;
}
