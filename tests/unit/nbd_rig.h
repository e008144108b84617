/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * An NBD server and its clients in the simulator: connections are byte queues
 * (tests/fuzz/fake_net.h), time is virtual.
 */
#ifndef TESTS_UNIT_NBD_RIG_H
#define TESTS_UNIT_NBD_RIG_H

#include "nbd/proto.h"
#include "nbd/server.h"
#include "tests/fuzz/fake_net.h"
#include "tests/sim/sim_sched.h"

#define RIG_DISK ((uint64_t)8 << 20)

/*
 * "disk" for all, "snap" for reading with contexts "t:odd", "t:fails", and
 * "t:locked", which cannot be opened.
 */
extern struct rig {
	struct sim sim;
	struct log log;
	struct nbd_server *server;
	struct disk *disk;
	struct nbd_export *rw, *ro;
	unsigned contexts_open;
	bool unlisted;		/* they cannot be listed */
	void (*closing)(void);	/* called when a context is closed; NULL */
} rig;

/* Runs body as a fiber, with the server up.  limit: clients, 0: default. */
void rig_run(unsigned limit, void (*body)(void));

struct client {
	struct fake_peer *peer;
	uint8_t *in;
	size_t len, pos;
};
struct client *client_connect(void);
void client_close(struct client *c);
void client_send(struct client *c, const void *data, size_t len);
/* The next bytes; false: the server hung up before. */
bool client_get(struct client *c, void *buf, size_t len);
bool client_hung_up(struct client *c);

/* ---- handshake ---- */

void client_greet(struct client *c, uint32_t flags);
void client_option(struct client *c, uint32_t option, const void *data,
    size_t len);
/* The type of the next reply; its data in buf. */
uint32_t client_reply(struct client *c, void *buf, size_t size,
    size_t *ret_len);
/* Skips informations; ACK or the error. */
uint32_t client_verdict(struct client *c);
/* Bytes of NBD_OPT_GO, or of the contexts. */
size_t go_data(uint8_t *buf, const char *name);
size_t queries_data(uint8_t *buf, const char *name, const char *const *q,
    unsigned count);
/* All of it, to the export; with structured replies unless `simple`. */
struct client *client_ready(const char *name, bool simple);

/* ---- requests ---- */

void client_request(struct client *c, uint16_t type, uint16_t flags,
    uint64_t offset, uint32_t len);
/* Simple replies: the error; structured ones: of the chunk that ends it.
 * Data of READ goes to buf, which may be NULL. */
uint32_t client_result(struct client *c, void *buf, size_t len, bool simple);
/* One chunk: its type, or -1 when the server has gone. */
int client_chunk(struct client *c, struct nbd_chunk *ret_head, void *buf,
    size_t size);

#endif
