/* SPDX-License-Identifier: BSD-2-Clause */
/* The configuration as a text that needs no file, see conf_kept.h. */
#include <ctype.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vmfsd/conf_kept.h"
#include "vmfsd/keep.h"

struct writer {
	FILE *out, *secrets;
};

/* ---- memory that is wiped before anybody else gets it ---- */

struct wiped {
	char *data;
	size_t size, room;
	char buffer[BUFSIZ];	/* of stdio */
};

static ssize_t
wiped_write(void *cookie, const char *from, size_t size)
{
	struct wiped *w = cookie;

	if (size > w->room - w->size) {
		size_t room = 2 * (w->room + size);
		char *data = malloc(room);

		if (data == NULL)
			return 0;
		if (w->data != NULL) {
			memcpy(data, w->data, w->size);
			explicit_bzero(w->data, w->size);
		}
		free(w->data);
		w->data = data;
		w->room = room;
	}
	memcpy(w->data + w->size, from, size);
	w->size += size;
	return (ssize_t)size;
}

static FILE *
wiped_open(struct wiped *w)
{
	FILE *f = fopencookie(w, "w",
	    (cookie_io_functions_t){ .write = wiped_write });

	if (f != NULL)
		(void)setvbuf(f, w->buffer, _IOFBF, sizeof(w->buffer));
	return f;
}

static void
wiped_free(struct wiped *w)
{
	if (w->data != NULL)
		explicit_bzero(w->data, w->size);
	free(w->data);
	explicit_bzero(w->buffer, sizeof(w->buffer));
}

/* ---- writing ---- */

static bool
is_section(const char *line, const char *name)
{
	size_t len = strlen(name);

	while (*line == '[' || isblank((unsigned char)*line))
		line++;
	return strncmp(line, name, len) == 0 &&
	    (line[len] == ']' || isspace((unsigned char)line[len]));
}

/* Line by line as it is, but for sections that are written anew. */
static void
copy_others(FILE *out, const char *text)
{
	bool skip = false;

	while (*text != '\0') {
		const char *p = text + strspn(text, " \t\r\v\f");
		size_t len = strcspn(text, "\n");

		if (*p == '[')
			skip = is_section(p, "portal") ||
			    is_section(p, "target");
		if (!skip)
			(void)fprintf(out, "%.*s\n", (int)len, text);
		text += len + (text[len] == '\n');
	}
}

static void
put_text(struct writer *w, const char *key, const char *value)
{
	if (value != NULL)
		(void)fprintf(w->out, "%s = %s\n", key, value);
}

static void
put_number(struct writer *w, const char *key, uint64_t value)
{
	if (value != 0)
		(void)fprintf(w->out, "%s = %llu\n", key,
		    (unsigned long long)value);
}

static void
put_secret(struct writer *w, const struct conf_chap *c)
{
	if (c->secret != NULL)
		(void)fprintf(w->secrets, "%s\n", c->secret);
}

static void
put_chap(struct writer *w, const char *key, const struct conf_chap *c)
{
	put_text(w, key, c->user);
	if (c->secret != NULL)
		(void)fprintf(w->out, "%s-secret-file = kept\n", key);
	put_secret(w, c);
}

static void
put_portal(struct writer *w, const struct conf *c)
{
	(void)fputs("[portal]\n", w->out);
	for (size_t i = 0; i < c->portals; i++)
		put_text(w, "listen", c->portal[i]);
	put_number(w, "sessions", c->limits.sessions_max);
	put_number(w, "commands", c->limits.commands_max);
	put_number(w, "login-timeout", c->limits.login_timeout_s);
	put_number(w, "keep-alive", c->limits.nop_interval_s);
	put_number(w, "write-buffers", c->limits.data_max);
	put_text(w, "busy-wait", c->no_busy_wait ? "no" : NULL);
	put_chap(w, "discovery-chap", &c->discovery_in);
	put_chap(w, "discovery-mutual", &c->discovery_out);
}

static void
put_target(struct writer *w, const struct conf_target *t)
{
	(void)fprintf(w->out, "[target %s]\n", t->iqn);
	put_text(w, "alias", t->alias);
	for (size_t i = 0; i < t->luns; i++)
		(void)fprintf(w->out, "lun.%u = %s\n", t->lun[i].number,
		    t->lun[i].text);
	for (size_t i = 0; i < t->allows; i++) {
		put_text(w, "allow", t->allow[i].text);
		put_secret(w, &t->allow[i].in);
		put_secret(w, &t->allow[i].out);
	}
	put_chap(w, "chap", &t->in);
	put_chap(w, "mutual", &t->out);
	put_text(w, "redirect", t->redirect);
	put_text(w, "write-log", t->write_log);
}

static void
put_all(struct writer *w, const char *start, const struct conf *now)
{
	copy_others(w->out, start);
	put_portal(w, now);
	for (size_t i = 0; i < now->targets; i++)
		put_target(w, &now->target[i]);
}

/* The parts end with a NUL, which none of them has. */
static int
compose(const char *start, const struct conf *now, const char *file,
    const char *next, struct wiped *ret_all)
{
	struct wiped secrets = { .size = 0 };
	struct writer w = { wiped_open(ret_all), wiped_open(&secrets) };
	bool good = w.out != NULL && w.secrets != NULL;

	if (good)
		put_all(&w, start, now);
	if (w.secrets != NULL)
		good &= fclose(w.secrets) == 0;
	if (good) {
		(void)fputc('\0', w.out);
		if (secrets.data != NULL)
			(void)fwrite(secrets.data, 1, secrets.size, w.out);
		(void)fputc('\0', w.out);
		(void)fwrite(file, 1, strlen(file) + 1, w.out);
		if (next != NULL)
			(void)fwrite(next, 1, strlen(next) + 1, w.out);
	}
	if (w.out != NULL)
		good &= fclose(w.out) == 0;
	wiped_free(&secrets);
	return good ? 0 : -ENOMEM;
}

static int
fill(int fd, const char *data, size_t size)
{
	/* It has secrets. */
	if (fchmod(fd, 0600) < 0)
		return -errno;
	while (size > 0) {
		ssize_t n = write(fd, data, size);

		if (n < 0)
			return -errno;
		data += n;
		size -= (size_t)n;
	}
	return fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_GROW |
	    F_SEAL_SHRINK | F_SEAL_SEAL) < 0 ? -errno : 0;
}

int
conf_kept_make(const char *start, const struct conf *now, const char *file,
    const char *next, int *ret_fd)
{
	struct wiped all = { .size = 0 };
	int rc = compose(start, now, file, next, &all), fd = -1;

	if (rc == 0) {
		fd = memfd_create(CONF_KEPT_NAME,
		    MFD_CLOEXEC | MFD_ALLOW_SEALING);
		rc = fd < 0 ? -errno : fill(fd, all.data, all.size);
	}
	wiped_free(&all);
	if (rc == 0)
		*ret_fd = fd;
	else if (fd >= 0)
		(void)close(fd);
	return rc;
}

/* ---- reading ---- */

static int
read_all(int fd, char **ret_data, size_t *ret_size)
{
	struct stat st;
	size_t size, n = 0;
	char *data;

	if (fstat(fd, &st) < 0)
		return -errno;
	size = (size_t)st.st_size;
	data = malloc(size + 1);
	if (data == NULL)
		return -ENOMEM;
	while (n < size) {
		ssize_t got = pread(fd, data + n, size - n, (off_t)n);

		if (got <= 0) {
			free(data);
			return got < 0 ? -errno : -EBADMSG;
		}
		n += (size_t)got;
	}
	*ret_data = data;
	*ret_size = size;
	return 0;
}

static char *
next_part(const char **at, const char *end)
{
	const char *nul = memchr(*at, '\0', (size_t)(end - *at));
	char *part = nul != NULL ? strdup(*at) : NULL;

	*at = nul != NULL ? nul + 1 : end;
	return part;
}

int
conf_kept_read(int fd, struct conf_kept *ret_k)
{
	struct conf_kept k;
	const char *at;
	char *data = NULL;
	size_t size = 0;
	int rc = read_all(fd, &data, &size);

	if (rc < 0)
		return rc;
	at = data;
	k.text = next_part(&at, data + size);
	k.secrets = next_part(&at, data + size);
	k.file = next_part(&at, data + size);
	k.next = next_part(&at, data + size);
	explicit_bzero(data, size);
	free(data);
	if (k.text == NULL || k.secrets == NULL || k.file == NULL) {
		conf_kept_fini(&k);
		return -EBADMSG;
	}
	*ret_k = k;
	return 0;
}

int
conf_kept_take(struct conf_kept *ret_k)
{
	int fd, rc = keep_take(CONF_KEPT_NAME, &fd);

	if (rc < 0)
		return rc;
	rc = conf_kept_read(fd, ret_k);
	(void)close(fd);
	return rc;
}

void
conf_kept_fini(struct conf_kept *k)
{
	if (k->secrets != NULL)
		explicit_bzero(k->secrets, strlen(k->secrets));
	free(k->text);
	free(k->secrets);
	free(k->file);
	free(k->next);
	*k = (struct conf_kept){ 0 };
}
