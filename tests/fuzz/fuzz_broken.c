/* SPDX-License-Identifier: BSD-2-Clause */
/* Breaks a rule with any input: proves that a broken rule is seen. */
#include "tests/fuzz/fuzz.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	(void)data;
	FUZZ_CHECK(size == 0);
	return 0;
}
