/* SPDX-License-Identifier: BSD-2-Clause */
/* Sentences for the admin. */
#include <stdarg.h>
#include <stdio.h>

#include "locking/why.h"

void
why_say(char *why, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(why, WHY_SIZE, fmt, ap);
	va_end(ap);
}
