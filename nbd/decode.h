/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a client sends, taken apart: bytes in, values or refusals out.  Nothing
 * here suspends or keeps anything.
 */
#ifndef VMFS_NBD_DECODE_H
#define VMFS_NBD_DECODE_H

#include <stdbool.h>
#include <stddef.h>

#include "libvmfs/base/err.h"
#include "nbd/proto.h"

/* Bytes of an option, without a NUL in or behind them. */
struct nbd_text {
	const char *p;
	size_t len;
};
bool nbd_text_is(struct nbd_text t, const char *s);

/* A name that the client gives an export: -EINVAL when it is none. */
int nbd_take_name(const void *data, size_t len, struct nbd_text *ret_name)
    MUST_CHECK;

/* NBD_OPT_INFO and NBD_OPT_GO. */
struct nbd_go {
	struct nbd_text name;
	bool want_name, want_description;
};
int nbd_take_go(const void *data, size_t len, struct nbd_go *ret_go)
    MUST_CHECK;

/* NBD_OPT_LIST_META_CONTEXT and NBD_OPT_SET_META_CONTEXT. */
struct nbd_queries {
	struct nbd_text name;	/* of the export */
	uint32_t count;
	const uint8_t *next, *end;
};
int nbd_take_queries(const void *data, size_t len, struct nbd_queries *ret_q)
    MUST_CHECK;
/* One after the other; false: there are no more. */
bool nbd_query_next(struct nbd_queries *q, struct nbd_text *ret_t);

/* A request and what it is measured by. */
struct nbd_req {
	uint16_t flags, type;
	uint64_t cookie, offset;
	uint32_t length;
};
struct nbd_rules {
	uint64_t size;
	uint32_t block_size;
	bool readonly;
	bool structured;	/* replies; DF and BLOCK_STATUS need them */
	bool contexts;		/* some were chosen */
};
/* -EPROTO: it does not begin as one: where the next begins is unknown. */
int nbd_take_request(const struct nbd_request *w, struct nbd_req *ret_r)
    MUST_CHECK;
/* What is wrong with it, NBD_OK: nothing. */
enum nbd_error nbd_check(const struct nbd_req *r, const struct nbd_rules *by);

/* Of an error of this program. */
enum nbd_error nbd_error_of(int rc);

#endif
