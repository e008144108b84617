/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * TLS for clients that prove who they are: by a certificate of our authority
 * or by a shared key.  The files are those of QEMU and libnbd, in one
 * directory: ca-cert.pem (ca-crl.pem), server-cert.pem and server-key.pem;
 * and, or, keys.psk with lines of "name:key in hexadecimal".
 */
#ifndef VMFS_NBD_TLS_H
#define VMFS_NBD_TLS_H

#include "nbd/stream.h"

struct tls_conf;
struct tls;

/*
 * Reads the files; blocks.  -ENOENT: neither kind is there, -EINVAL ...: why
 * (`size` bytes) says which file and what is wrong with it.
 */
int tls_conf_new(const char *dir, struct tls_conf **ret_conf, char *why,
    size_t size) MUST_CHECK;
void tls_conf_free(struct tls_conf *conf);	/* NULL is fine */

/*
 * The handshake.  -EPROTO: the client is not one of ours, and why (`size`
 * bytes) says how; errors of the stream.  Suspends.
 */
int tls_accept(const struct tls_conf *conf, struct stream *s,
    struct tls **ret_t, char *why, size_t size) MUST_CHECK;
/* Like those of net.h; one reader and one writer at a time.  Suspend. */
int tls_read(struct tls *t, void *buf, size_t len) MUST_CHECK;
int tls_writev(struct tls *t, struct iovec *iov, int iovcnt) MUST_CHECK;
/* Says goodbye, if that needs no waiting for long.  Suspends. */
void tls_bye(struct tls *t);
void tls_free(struct tls *t);			/* NULL is fine */

#endif
