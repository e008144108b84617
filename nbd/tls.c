/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * OpenSSL between two byte queues, see tls.h: it never waits, the stream does,
 * a record at a time.
 */
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "libvmfs/base/be.h"
#include "nbd/tls.h"

#define PATH_SIZE 4096
#define PSK_MAX 64u		/* bytes of a key */
#define PSK_MIN 16u
#define RECORD_HEAD 5u
/* RFC 8446 5.2, RFC 5246 6.2.3: the larger of the two. */
#define RECORD_MAX (RECORD_HEAD + (1u << 14) + 2048u)
#define AT_ONCE ((size_t)64 << 10)

struct psk {
	struct psk *next;
	size_t len;
	uint8_t key[PSK_MAX];
	char identity[];
};

struct tls_conf {
	SSL_CTX *ctx;
	struct psk *keys;
};

struct tls {
	SSL *ssl;
	BIO *in, *out;
	struct stream *s;
	struct fiber_mutex sending;	/* records leave in their order */
	uint8_t received[RECORD_MAX];
	uint8_t sent[AT_ONCE];
};

/* What OpenSSL has to say about what just failed. */
static int
fail(char *why, size_t size, int rc, const char *what)
{
	char text[256] = "";

	ERR_error_string_n(ERR_peek_last_error(), text, sizeof(text));
	(void)snprintf(why, size, "%s: %s", what, text);
	ERR_clear_error();
	return rc;
}

static int
unusable(char *why, size_t size, const char *path, const char *what)
{
	const char *reason = ERR_reason_error_string(ERR_peek_last_error());

	(void)snprintf(why, size, "%s cannot be used as %s in PEM: %s", path,
	    what, reason != NULL ? reason : "unknown error");
	ERR_clear_error();
	return -EINVAL;
}

/* ---- shared keys ---- */

static bool
take_hex(const char *text, struct psk *k)
{
	for (k->len = 0; k->len < PSK_MAX; k->len++) {
		char digits[3] = { text[0], text[0] ? text[1] : '\0', '\0' };
		char *end;

		if (text[0] == '\0')
			break;
		k->key[k->len] = (uint8_t)strtoul(digits, &end, 16);
		if (end != digits + 2 || strspn(digits, "+- \t") != 0)
			return false;
		text += 2;
	}
	return *text == '\0' && k->len >= PSK_MIN;
}

static int
take_key(struct tls_conf *conf, char *line)
{
	char *colon = strchr(line, ':');
	struct psk *k;

	line[strcspn(line, "\r\n")] = '\0';
	if (*line == '\0' || *line == '#')
		return 0;
	if (colon == NULL || colon == line)
		return -EINVAL;
	*colon = '\0';
	k = calloc(1, sizeof(*k) + strlen(line) + 1);
	if (k == NULL)
		return -ENOMEM;
	strcpy(k->identity, line);
	if (!take_hex(colon + 1, k)) {
		free(k);
		return -EINVAL;
	}
	k->next = conf->keys;
	conf->keys = k;
	return 0;
}

static unsigned
find_key(SSL *ssl, const char *identity, unsigned char *key, unsigned max)
{
	const struct tls_conf *conf =
	    SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));

	for (const struct psk *k = conf->keys; k != NULL; k = k->next)
		if (strcmp(k->identity, identity) == 0 && k->len <= max) {
			memcpy(key, k->key, k->len);
			return (unsigned)k->len;
		}
	return 0;
}

static int
load_keys(struct tls_conf *conf, const char *dir, char *why, size_t size)
{
	char path[PATH_SIZE], line[1024];
	unsigned number = 0;
	int rc = 0;
	FILE *f;

	(void)snprintf(path, sizeof(path), "%s/keys.psk", dir);
	f = fopen(path, "re");
	if (f == NULL && errno == ENOENT)
		return 0;
	if (f == NULL) {
		rc = -errno;
		(void)snprintf(why, size, "cannot read %s: %s", path,
		    vmfs_strerror(rc));
		return rc;
	}
	while (rc == 0 && fgets(line, sizeof(line), f) != NULL) {
		number++;
		rc = take_key(conf, line);
	}
	OPENSSL_cleanse(line, sizeof(line));
	(void)fclose(f);
	if (rc < 0)
		(void)snprintf(why, size, "line %u of %s is not NAME:KEY with "
		    "%u to %u bytes in hexadecimal", number, path, PSK_MIN,
		    PSK_MAX);
	if (conf->keys != NULL) {
		SSL_CTX_set_psk_server_callback(conf->ctx, find_key);
		/* Keys of that callback go with SHA-256 only (RFC 8446
		 * 4.2.11), and others would be chosen before. */
		(void)SSL_CTX_set_ciphersuites(conf->ctx,
		    "TLS_AES_128_GCM_SHA256:TLS_CHACHA20_POLY1305_SHA256");
	}
	return rc;
}

/* ---- certificates ---- */

static int
load_revoked(struct tls_conf *conf, const char *dir, char *why, size_t size)
{
	X509_STORE *store = SSL_CTX_get_cert_store(conf->ctx);
	char path[PATH_SIZE];

	(void)snprintf(path, sizeof(path), "%s/ca-crl.pem", dir);
	if (access(path, F_OK) < 0)
		return 0;
	if (X509_STORE_load_file(store, path) != 1)
		return unusable(why, size, path,
		    "a list of revoked certificates");
	(void)X509_STORE_set_flags(store, X509_V_FLAG_CRL_CHECK);
	return 0;
}

/* *ret_some: there are such. */
static int
load_certificates(struct tls_conf *conf, const char *dir, bool *ret_some,
    char *why, size_t size)
{
	char path[PATH_SIZE];
	int rc;

	(void)snprintf(path, sizeof(path), "%s/server-cert.pem", dir);
	*ret_some = access(path, F_OK) == 0;
	if (!*ret_some)
		return 0;
	if (SSL_CTX_use_certificate_chain_file(conf->ctx, path) != 1)
		return unusable(why, size, path, "a certificate");
	(void)snprintf(path, sizeof(path), "%s/server-key.pem", dir);
	if (SSL_CTX_use_PrivateKey_file(conf->ctx, path,
	    SSL_FILETYPE_PEM) != 1)
		return unusable(why, size, path, "the key of the certificate");
	(void)snprintf(path, sizeof(path), "%s/ca-cert.pem", dir);
	if (SSL_CTX_load_verify_file(conf->ctx, path) != 1)
		return unusable(why, size, path,
		    "the certificates of authorities");
	rc = load_revoked(conf, dir, why, size);
	SSL_CTX_set_verify(conf->ctx, SSL_VERIFY_PEER |
	    SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
	return rc;
}

static int
load(struct tls_conf *conf, const char *dir, char *why, size_t size)
{
	bool certificates = false;
	int rc = load_certificates(conf, dir, &certificates, why, size);

	if (rc == 0)
		rc = load_keys(conf, dir, why, size);
	if (rc == 0 && !certificates && conf->keys == NULL) {
		(void)snprintf(why, size, "there is neither server-cert.pem "
		    "nor keys.psk in %s", dir);
		rc = -ENOENT;
	}
	return rc;
}

int
tls_conf_new(const char *dir, struct tls_conf **ret_conf, char *why,
    size_t size)
{
	struct tls_conf *conf = calloc(1, sizeof(*conf));
	int rc;

	if (conf == NULL)
		return -ENOMEM;
	conf->ctx = SSL_CTX_new(TLS_server_method());
	if (conf->ctx == NULL) {
		free(conf);
		return fail(why, size, -ENOMEM, "TLS");
	}
	(void)SSL_CTX_set_app_data(conf->ctx, conf);
	(void)SSL_CTX_set_min_proto_version(conf->ctx, TLS1_2_VERSION);
	/* Nothing is resumed: each connection proves who it is. */
	(void)SSL_CTX_set_options(conf->ctx, SSL_OP_NO_RENEGOTIATION |
	    SSL_OP_NO_TICKET);
	(void)SSL_CTX_set_session_cache_mode(conf->ctx, SSL_SESS_CACHE_OFF);
	(void)SSL_CTX_set_num_tickets(conf->ctx, 0);
	/* A shared key is one to OpenSSL, which must know whose it is. */
	(void)SSL_CTX_set_session_id_context(conf->ctx,
	    (const unsigned char *)"nbd", 3);
	rc = load(conf, dir, why, size);
	if (rc < 0)
		tls_conf_free(conf);
	else
		*ret_conf = conf;
	return rc;
}

void
tls_conf_free(struct tls_conf *conf)
{
	struct psk *next;

	if (conf == NULL)
		return;
	for (struct psk *k = conf->keys; k != NULL; k = next) {
		next = k->next;
		OPENSSL_cleanse(k, sizeof(*k));
		free(k);
	}
	SSL_CTX_free(conf->ctx);
	free(conf);
}

/* ---- records ---- */

static int
fill(struct tls *t)
{
	size_t len;
	int rc = stream_read_raw(t->s, t->received, RECORD_HEAD);

	if (rc < 0)
		return rc;
	len = be16_load(t->received + 3);
	if (len > RECORD_MAX - RECORD_HEAD)
		return -EPROTO;
	rc = stream_read_raw(t->s, t->received + RECORD_HEAD, len);
	if (rc == 0 && BIO_write(t->in, t->received,
	    (int)(RECORD_HEAD + len)) <= 0)
		rc = -ENOMEM;
	return rc;
}

/* With t->sending, which it gives back: nothing is left, or it is broken. */
static int
send_queue(struct tls *t)
{
	int n, rc = 0;

	while (rc == 0 &&
	    (n = BIO_read(t->out, t->sent, (int)sizeof(t->sent))) > 0)
		rc = stream_write_raw(t->s, t->sent, (size_t)n);
	fiber_mutex_unlock(&t->sending);
	return rc;
}

static int
drain(struct tls *t)
{
	fiber_mutex_lock(&t->sending);
	return send_queue(t);
}

/* For the reader: who sends now sends that as well, and may take long. */
static int
drain_unless_sending(struct tls *t)
{
	return fiber_mutex_trylock(&t->sending) ? send_queue(t) : 0;
}

/* After a call that did not get on: 0: it may now be repeated. */
static int
go_on(struct tls *t, int result)
{
	int error = SSL_get_error(t->ssl, result), rc;

	if (error == SSL_ERROR_ZERO_RETURN)
		return -ECONNRESET;
	/* An alert tells the client what is wrong. */
	if (error != SSL_ERROR_WANT_READ) {
		(void)!drain(t);
		return -EPROTO;
	}
	rc = drain_unless_sending(t);
	return rc == 0 ? fill(t) : rc;
}

static struct tls *
session_new(const struct tls_conf *conf, struct stream *s)
{
	struct tls *t = calloc(1, sizeof(*t));

	if (t == NULL)
		return NULL;
	t->s = s;
	fiber_mutex_init(&t->sending);
	t->ssl = SSL_new(conf->ctx);
	t->in = BIO_new(BIO_s_mem());
	t->out = BIO_new(BIO_s_mem());
	if (t->ssl == NULL || t->in == NULL || t->out == NULL) {
		SSL_free(t->ssl);
		BIO_free(t->in);
		BIO_free(t->out);
		free(t);
		return NULL;
	}
	/* An empty queue is no end of the stream. */
	(void)BIO_set_mem_eof_return(t->in, -1);
	(void)BIO_set_mem_eof_return(t->out, -1);
	SSL_set_bio(t->ssl, t->in, t->out);
	SSL_set_accept_state(t->ssl);
	return t;
}

int
tls_accept(const struct tls_conf *conf, struct stream *s, struct tls **ret_t,
    char *why, size_t size)
{
	struct tls *t = session_new(conf, s);
	int n, rc = 0;

	if (t == NULL)
		return -ENOMEM;
	do {
		ERR_clear_error();
		n = SSL_do_handshake(t->ssl);
		if (n != 1) {
			(void)fail(why, size, 0, "TLS");
			rc = go_on(t, n);
		}
	} while (n != 1 && rc == 0);
	if (rc == 0)
		rc = drain(t);
	if (rc < 0) {
		if (rc != -EPROTO)
			(void)snprintf(why, size, "TLS: %s",
			    vmfs_strerror(rc));
		tls_free(t);
		return rc;
	}
	*ret_t = t;
	return 0;
}

int
tls_read(struct tls *t, void *buf, size_t len)
{
	uint8_t *p = buf;
	int n, rc = 0;

	while (rc == 0 && len > 0) {
		ERR_clear_error();
		n = SSL_read(t->ssl, p, len < AT_ONCE ? (int)len :
		    (int)AT_ONCE);
		if (n > 0) {
			p += n;
			len -= (size_t)n;
		} else {
			rc = go_on(t, n);
		}
	}
	return rc;
}

static int
write_piece(struct tls *t, const uint8_t *p, size_t len)
{
	ERR_clear_error();
	/* Into a queue that grows: all of it, or it is broken. */
	if (SSL_write(t->ssl, p, (int)len) != (int)len)
		return -EPROTO;
	return drain(t);
}

int
tls_writev(struct tls *t, struct iovec *iov, int iovcnt)
{
	int rc = 0;

	for (int i = 0; i < iovcnt; i++) {
		const uint8_t *p = iov[i].iov_base;
		size_t left = iov[i].iov_len, n;

		for (; rc == 0 && left > 0; p += n, left -= n) {
			n = left < AT_ONCE ? left : AT_ONCE;
			rc = write_piece(t, p, n);
		}
	}
	return rc;
}

void
tls_bye(struct tls *t)
{
	(void)SSL_shutdown(t->ssl);
	ERR_clear_error();
	(void)!drain(t);
}

void
tls_free(struct tls *t)
{
	if (t == NULL)
		return;
	SSL_free(t->ssl);
	OPENSSL_cleanse(t, sizeof(*t));
	free(t);
}
