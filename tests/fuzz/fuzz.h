/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the fuzz programs share.  Each is one libFuzzer target; without
 * libFuzzer, replay.c runs the same code over files.  An input is a string of
 * choices: what runs out reads as zero.
 */
#ifndef TESTS_FUZZ_FUZZ_H
#define TESTS_FUZZ_FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* libFuzzer's interface. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A rule that no input may break; ends the program. */
#define FUZZ_CHECK(cond) \
	((cond) ? (void)0 : fuzz_broken(#cond, __FILE__, __LINE__))
_Noreturn void fuzz_broken(const char *what, const char *file, int line);

struct fuzz_in {
	const uint8_t *p;
	size_t left;
};
uint8_t fuzz_u8(struct fuzz_in *in);
uint16_t fuzz_u16(struct fuzz_in *in);
uint32_t fuzz_u32(struct fuzz_in *in);
uint64_t fuzz_u64(struct fuzz_in *in);
/* Fills buf; what the input lacks is zero. */
void fuzz_fill(struct fuzz_in *in, void *buf, size_t len);
/*
 * A block of its own of exactly len bytes, so that a read past its end is
 * seen; NULL for len 0.  To be freed.
 */
void *fuzz_take(struct fuzz_in *in, size_t len);

#endif
