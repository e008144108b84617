/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * libvmfs/env/net.h without a network: connections are byte queues between
 * the target's fibers and the fuzz program, on the simulator's clock.
 */
#ifndef TESTS_FUZZ_FAKE_NET_H
#define TESTS_FUZZ_FAKE_NET_H

#include "libvmfs/env/net.h"

/* The program's end of a connection. */
struct fake_peer;

/* Connects to the listener that is open; what the target sends goes to
 * `output`, which must not suspend. */
struct fake_peer *fake_connect(void (*output)(void *arg, const uint8_t *data,
    size_t len), void *arg);
void fake_send(struct fake_peer *p, const void *data, size_t len);
/* While held, what the target sends waits. */
void fake_hold(struct fake_peer *p, bool hold);
/* The peer closes its end; the bytes sent before are still read. */
void fake_close(struct fake_peer *p);
/* The target has closed its end, or shut it down. */
bool fake_closed(const struct fake_peer *p);
/* Only after the target has closed. */
void fake_free(struct fake_peer *p);

#endif
