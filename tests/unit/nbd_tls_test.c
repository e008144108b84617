/* SPDX-License-Identifier: BSD-2-Clause */
/* TLS of the NBD server, between byte queues and on a virtual clock. */
#include <atf-c.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "libvmfs/base/units.h"
#include "nbd/tls.h"
#include "tests/fuzz/fake_net.h"
#include "tests/sim/sim_sched.h"

#define KEY "000102030405060708090a0b0c0d0e0f"
#define UP ((size_t)256 << 10)
#define DOWN ((size_t)1 << 20)

static uint8_t up[UP], down[DOWN], got[DOWN];

static struct {
	struct sim sim;
	struct net_listener *listener;
	struct tls_conf *conf;
	struct stream s;
	/* The client. */
	struct fake_peer *peer;
	SSL_CTX *ctx;
	SSL *ssl;
	BIO *in, *out;
	bool sent;
	int sent_rc;
} box;

/* ---- the client ---- */

static void
client_flush(void)
{
	uint8_t buf[4096];
	int n;

	while ((n = BIO_read(box.out, buf, (int)sizeof(buf))) > 0)
		fake_send(box.peer, buf, (size_t)n);
}

static void
client_takes(void *arg, const uint8_t *data, size_t len)
{
	(void)arg;
	ATF_REQUIRE_EQ((int)len, BIO_write(box.in, data, (int)len));
	if (!SSL_is_init_finished(box.ssl)) {
		(void)SSL_do_handshake(box.ssl);
		client_flush();
	}
}

static unsigned
client_key(SSL *ssl, const char *hint, char *identity, unsigned size,
    unsigned char *key, unsigned max)
{
	(void)ssl;
	(void)hint;
	(void)snprintf(identity, size, "backup");
	for (unsigned i = 0; i < 16 && i < max; i++)
		key[i] = (uint8_t)i;
	return 16;
}

static void
client_begin(void)
{
	box.ctx = SSL_CTX_new(TLS_client_method());
	ATF_REQUIRE(box.ctx != NULL);
	SSL_CTX_set_psk_client_callback(box.ctx, client_key);
	box.ssl = SSL_new(box.ctx);
	box.in = BIO_new(BIO_s_mem());
	box.out = BIO_new(BIO_s_mem());
	ATF_REQUIRE(box.ssl != NULL && box.in != NULL && box.out != NULL);
	(void)BIO_set_mem_eof_return(box.in, -1);
	(void)BIO_set_mem_eof_return(box.out, -1);
	SSL_set_bio(box.ssl, box.in, box.out);
	SSL_set_connect_state(box.ssl);
	box.peer = fake_connect(client_takes, NULL);
	(void)SSL_do_handshake(box.ssl);
	client_flush();
}

static void
client_end(void)
{
	fake_free(box.peer);
	SSL_free(box.ssl);
	SSL_CTX_free(box.ctx);
}

/* ---- the server ---- */

static void
begin(void)
{
	FILE *f = fopen("keys.psk", "w");
	char why[512];

	ATF_REQUIRE(f != NULL);
	ATF_REQUIRE(fputs("backup:" KEY "\n", f) >= 0);
	ATF_REQUIRE_EQ(0, fclose(f));
	ATF_REQUIRE_EQ(0, tls_conf_new(".", &box.conf, why, sizeof(why)));
	ATF_REQUIRE_EQ(0, unlink("keys.psk"));
	ATF_REQUIRE_EQ(0, net_listen("127.0.0.1", 0, &box.listener));
	client_begin();
	ATF_REQUIRE_EQ(0, net_accept(box.listener, &box.s.c));
	ATF_REQUIRE_EQ_MSG(0, tls_accept(box.conf, &box.s, &box.s.tls, why,
	    sizeof(why)), "%s", why);
	ATF_REQUIRE(SSL_is_init_finished(box.ssl));
}

static void
end(void)
{
	stream_close(&box.s);
	client_end();
	net_listener_close(box.listener);
	tls_conf_free(box.conf);
}

static void
send_down(void *arg)
{
	struct iovec iov = { down, sizeof(down) };

	(void)arg;
	box.sent_rc = stream_writev(&box.s, &iov, 1);
	box.sent = true;
}

static void
fill(uint8_t *p, size_t len, unsigned seed)
{
	for (size_t i = 0; i < len; i++)
		p[i] = (uint8_t)(i * 7 + i / 4096 + seed);
}

static void
play_reads_go_on_while_a_write_stands_still(void *arg)
{
	size_t n;

	(void)arg;
	begin();
	fill(up, UP, 1);
	fill(down, DOWN, 2);
	fake_hold(box.peer, true);
	ATF_REQUIRE_EQ(0, sched_spawn(sched_current(), "send", send_down,
	    NULL));
	fiber_sleep(NSEC_PER_MSEC);
	/* The server answers that one, too. */
	ATF_REQUIRE_EQ(1, SSL_key_update(box.ssl, SSL_KEY_UPDATE_REQUESTED));
	ATF_REQUIRE_EQ((int)UP, SSL_write(box.ssl, up, (int)UP));
	client_flush();
	ATF_REQUIRE_EQ(0, stream_read(&box.s, got, UP));
	ATF_CHECK_EQ(0, memcmp(got, up, UP));
	ATF_CHECK(!box.sent);
	fake_hold(box.peer, false);
	while (!box.sent)
		fiber_yield();
	ATF_CHECK_EQ(0, box.sent_rc);
	for (size_t at = 0; at < DOWN; at += n)
		ATF_REQUIRE_EQ(1, SSL_read_ex(box.ssl, got + at, DOWN - at,
		    &n));
	ATF_CHECK_EQ(0, memcmp(got, down, DOWN));
	end();
}

ATF_TC_WITHOUT_HEAD(reads_go_on_while_a_write_stands_still);
ATF_TC_BODY(reads_go_on_while_a_write_stands_still, tc)
{
	(void)tc;
	sim_init(&box.sim, 1);
	ATF_CHECK_EQ(SIM_DONE, sim_run(&box.sim, 1000 * NSEC_PER_SEC,
	    play_reads_go_on_while_a_write_stands_still, NULL));
	sim_fini(&box.sim);
}

ATF_TC_WITHOUT_HEAD(a_file_that_is_no_certificate_is_named);
ATF_TC_BODY(a_file_that_is_no_certificate_is_named, tc)
{
	FILE *f = fopen("server-cert.pem", "w");
	struct tls_conf *conf;
	char why[512];

	(void)tc;
	ATF_REQUIRE(f != NULL);
	ATF_REQUIRE_EQ(0, fclose(f));
	ATF_CHECK_EQ(-EINVAL, tls_conf_new(".", &conf, why, sizeof(why)));
	ATF_CHECK_MATCH("server-cert.pem cannot be used as a certificate in "
	    "PEM: .", why);
	ATF_REQUIRE_EQ(0, unlink("server-cert.pem"));
}

ATF_TP_ADD_TCS(tp)
{
	ATF_TP_ADD_TC(tp, a_file_that_is_no_certificate_is_named);
	ATF_TP_ADD_TC(tp, reads_go_on_while_a_write_stands_still);
	return atf_no_error();
}
