/* SPDX-License-Identifier: BSD-2-Clause */
/* Membership without a network: the disk alone tells who lives. */
#include "locking/member.h"

const char *
member_word_name(enum member_word word)
{
	switch (word) {
	case MEMBER_UP:
		return "up";
	case MEMBER_GONE:
		return "gone";
	case MEMBER_NO_WORD:
		break;
	}
	return "";
}

static enum member_word
static_word(struct member *m, const struct uuid *host)
{
	(void)m;
	(void)host;
	return MEMBER_NO_WORD;
}

struct member *
member_static(void)
{
	static const struct member_ops ops = { .word = static_word };
	static struct member none = { .ops = &ops };

	return &none;
}
