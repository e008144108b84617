/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * key=value text, the negotiation of every key, CHAP's encodings, VMDK
 * descriptors.
 */
#include <stdlib.h>
#include <string.h>

#include "iscsi/chap.h"
#include "iscsi/param.h"
#include "iscsi/text.h"
#include "libvmfs/vmdk/descriptor.h"
#include "tests/fuzz/fuzz.h"

static void
params_hold(const struct param_set *s)
{
	for (int i = 0; i < PARAM_COUNT; i++) {
		const struct param_def *d = &param_defs[i];
		uint32_t v = s->active[i];
		char text[PARAM_ANSWER_MAX] = "";

		if (d->rule == PARAM_OBSOLETE)
			continue;
		if (d->rule == PARAM_LIST)
			FUZZ_CHECK(d->choices[v] != NULL);
		else
			FUZZ_CHECK(v == d->def || (v >= d->min && v <= d->max));
		param_text(d, v, text);
		FUZZ_CHECK(text[0] != '\0');
	}
	/* Never more than we said. */
	FUZZ_CHECK(s->active[PARAM_MAX_R2T] <= s->mine[PARAM_MAX_R2T]);
	FUZZ_CHECK(s->active[PARAM_ERL] == 0);
	FUZZ_CHECK(s->active[PARAM_DATA_PDU_IN_ORDER] == 1);
	FUZZ_CHECK(s->active[PARAM_DATA_SEQ_IN_ORDER] == 1);
}

/* What the offer of one text does, and that the same text is read alike. */
static void
pairs(const uint8_t *data, size_t size, enum param_phase phase)
{
	struct text_buf in, out;
	struct param_set set;
	struct text_pair p;
	size_t pos = 0;

	text_buf_init(&in, TEXT_IN_MAX);
	text_buf_init(&out, 8192);
	param_set_init(&set);
	if (text_buf_append(&in, data, size) == 0)
		while (text_next(&in, &pos, &p) > 0) {
			char answer[PARAM_ANSWER_MAX];
			int param = param_find(p.key);

			FUZZ_CHECK(strlen(p.key) <= TEXT_KEY_MAX);
			FUZZ_CHECK(strlen(p.value) <= TEXT_VALUE_MAX);
			if (param < 0)
				continue;
			if (param_offer(&set, (enum param)param, p.value,
			    phase, answer) < 0)
				break;
			FUZZ_CHECK(strlen(answer) < sizeof(answer));
			if (text_add(&out, p.key, answer) < 0)
				break;
			params_hold(&set);
		}
	FUZZ_CHECK(in.len <= TEXT_IN_MAX && out.len <= 8192);
	text_buf_fini(&in);
	text_buf_fini(&out);
}

static void
encodings(const char *text)
{
	uint8_t buf[CHAP_CHALLENGE_MAX], again[CHAP_CHALLENGE_MAX];
	char back[CHAP_TEXT_MAX];
	enum chap_algorithm a;
	size_t len, n;
	uint32_t v;

	if (text_number(text, &v) == 0)
		FUZZ_CHECK(text[0] >= '0' && text[0] <= '9');
	if (chap_choose(text, &a) == 0)
		FUZZ_CHECK(chap_digest_size(a) > 0 &&
		    chap_digest_size(a) <= CHAP_DIGEST_MAX);
	if (chap_decode(text, buf, sizeof(buf), &len) < 0)
		return;
	FUZZ_CHECK(len <= sizeof(buf));
	chap_encode(buf, len, back);
	if (len == 0)
		return;
	FUZZ_CHECK(chap_decode(back, again, sizeof(again), &n) == 0);
	FUZZ_CHECK(n == len && memcmp(buf, again, n) == 0);
}

static void
descriptor(const char *text, size_t len)
{
	struct vmdk_descriptor d = { 0 }, e = { 0 };
	char buf[4096];
	size_t n;

	if (vmdk_descriptor_parse(text, len, &d) < 0)
		return;
	FUZZ_CHECK(strlen(d.extent) < sizeof(d.extent));
	FUZZ_CHECK(d.size_bytes % 512 == 0);
	if (vmdk_descriptor_format(&d, buf, sizeof(buf), &n) < 0)
		return;
	FUZZ_CHECK(n <= sizeof(buf));
	FUZZ_CHECK(vmdk_descriptor_parse(buf, n, &e) == 0);
	FUZZ_CHECK(e.size_bytes == d.size_bytes);
	FUZZ_CHECK(strcmp(e.extent, d.extent) == 0);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_in in = { data, size };
	uint8_t kind = fuzz_u8(&in);
	size_t len = in.left;
	char *text;

	if (kind % 5 < 3) {
		pairs(in.p, len, (enum param_phase)(kind % 5));
		return 0;
	}
	text = malloc(len + 1);
	FUZZ_CHECK(text != NULL);
	fuzz_fill(&in, text, len);
	text[len] = '\0';
	if (kind % 5 == 3)
		encodings(text);
	else
		descriptor(text, len);
	free(text);
	return 0;
}
