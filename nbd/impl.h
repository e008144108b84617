/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Inside of a server: its exports and clients (server.c), a client's handshake
 * (handshake.c), its requests on their way (conn.c), what they do (request.c),
 * contexts (context.c).
 */
#ifndef VMFS_NBD_IMPL_H
#define VMFS_NBD_IMPL_H

#include "nbd/decode.h"
#include "nbd/server.h"
#include "nbd/stream.h"

#define NBD_ALLOCATION "base:allocation"
#define NBD_CONTEXTS_MAX 16u		/* that a client chooses */

struct nbd_server {
	struct nbd_server_conf conf;
	char *listen;
	char addr[128];
	struct tls_conf *tls;
	struct net_listener *listener;
	struct list exports, conns;
	unsigned clients;
	bool stopping, accepting;
	struct fiber_cond changed;
};

struct nbd_export {
	struct list node;
	struct nbd_server *server;
	struct nbd_export_conf conf;
	char *name, *description;
	unsigned users;			/* who may be suspended with it */
	bool leaving;
	struct nbd_export_info stats;
};

/* Counters that other threads read; one thread changes them. */
static inline void
tell_add(uint64_t *n, uint64_t by)
{
	__atomic_store_n(n, *n + by, __ATOMIC_RELAXED);
}

struct nbd_map {
	struct nbd_extent *extent;
	unsigned count, max;
	uint32_t last;			/* length of the last one */
	uint32_t flags;			/* of the last one */
};

/* Contexts that a client has chosen; a chunk names one by its place + 1. */
struct nbd_chosen {
	struct nbd_export *of;		/* used while there are some */
	unsigned count;
	void *context[NBD_CONTEXTS_MAX];	/* NULL: base:allocation */
};

struct nbd_conn {
	struct list node;		/* in nbd_server.conns */
	struct nbd_server *server;
	struct stream io;
	struct nbd_export *export;	/* NULL before the end of handshake */
	bool no_zeroes, structured, goodbye;
	struct nbd_chosen chosen;
	struct nbd_rules rules;
	/* Requests: a reader, workers that do one each. */
	struct list jobs;		/* not begun */
	unsigned waiting;		/* of them */
	unsigned workers, idle;
	size_t bytes;			/* of data, under way */
	bool ending;			/* the reader has ended */
	struct fiber_cond work, room;
	struct fiber_mutex sending;	/* replies are not mixed */
};

struct nbd_job {
	struct list node;
	struct nbd_req req;
	enum nbd_error error;		/* found before it begins */
	uint8_t *data;
	size_t data_size;		/* as iobuf_get told it */
};

/* ---- handshake.c ---- */

/* Until requests may come: conn->export is set and used.  Negative: it is
 * over, with a sentence in why (NBD_WHY_SIZE) or "".  Suspends. */
int nbd_handshake(struct nbd_conn *c, char *why) MUST_CHECK;

/* ---- server.c ---- */

struct nbd_export *nbd_find(struct nbd_server *s, struct nbd_text name);
void nbd_use(struct nbd_export *e);
void nbd_unuse(struct nbd_export *e);
/* Flags that the export has for a client. */
uint16_t nbd_export_flags(const struct nbd_export *e, bool structured);

/* ---- conn.c ---- */

/* Serves requests until the client goes or is wrong.  Suspends. */
void nbd_serve(struct nbd_conn *c);
/* Of a structured reply; false when the client is gone.  Suspends. */
bool nbd_send_chunk(struct nbd_conn *c, const struct nbd_job *job, bool done,
    enum nbd_chunk_type type, struct iovec *body, int count);
/* The whole answer where that is no data.  `rc` explains error. */
void nbd_send_result(struct nbd_conn *c, const struct nbd_job *job,
    enum nbd_error error, int rc);
/* A reply to READ without structure. */
void nbd_send_data(struct nbd_conn *c, const struct nbd_job *job);

/* ---- request.c ---- */

/* Does it and answers.  Suspends. */
void nbd_execute(struct nbd_conn *c, struct nbd_job *job);

/* ---- context.c ---- */

/* All suspend. */
void nbd_chosen_clear(struct nbd_chosen *chosen);
/*
 * Calls tell with each context that a client asks for: 0 and the name of those
 * that there are, or with `choose` the number that they get.  Fails as tell
 * does; *ret_refusal is why the client cannot have what it asks for (-E2BIG:
 * too many), or 0.
 */
int nbd_contexts_match(struct nbd_conn *c, struct nbd_export *e,
    struct nbd_queries *q, bool choose,
    int (*tell)(struct nbd_conn *c, uint32_t id, const char *name),
    int *ret_refusal) MUST_CHECK;
/* NBD_CMD_BLOCK_STATUS. */
void nbd_block_status(struct nbd_conn *c, struct nbd_job *job);

#endif
