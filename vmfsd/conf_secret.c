/* SPDX-License-Identifier: BSD-2-Clause */
/* CHAP secrets, which stand in files of their own that only root can read. */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vmfsd/conf_keys.h"

#define SECRET_MIN 12	/* RFC 7143 9.2.1: 96 bits */
#define SECRET_MAX 255

/* Its file may say something else by now, or be away. */
static int
next_secret(struct conf_parser *p, const char *key, char **field)
{
	size_t len = strcspn(p->secrets, "\n");

	if (p->secrets[len] == '\0')
		return conf_error(p, "%s: its secret was not kept", key);
	*field = strndup(p->secrets, len);
	p->secrets += len + 1;
	return *field != NULL ? 0 : -ENOMEM;
}

int
conf_read_secret(struct conf_parser *p, const char *key, const char *path,
    char **field)
{
	char text[SECRET_MAX + 3];
	struct stat st;
	size_t len;
	FILE *f;
	bool got;

	if (*field != NULL)
		return conf_error(p, "'%s' is given twice in %s", key,
		    p->section_text);
	if (p->secrets != NULL)
		return next_secret(p, key, field);
	f = fopen(path, "re");
	if (f == NULL)
		return conf_error(p, "%s: cannot read '%s': %s", key, path,
		    strerror(errno));
	if (fstat(fileno(f), &st) < 0 || (st.st_mode & 077) != 0) {
		(void)fclose(f);
		return conf_error(p, "%s: '%s' can be read by others; run "
		    "chmod 600 '%s'", key, path, path);
	}
	if (st.st_uid != 0 && st.st_uid != geteuid()) {
		(void)fclose(f);
		return conf_error(p, "%s: '%s' belongs to user %u, who could "
		    "read it; run chown root '%s'", key, path,
		    (unsigned)st.st_uid, path);
	}
	got = fgets(text, sizeof(text), f) != NULL;
	(void)fclose(f);
	len = got ? strcspn(text, "\r\n") : 0;
	if (len < SECRET_MIN || len > SECRET_MAX) {
		explicit_bzero(text, sizeof(text));
		return conf_error(p, "%s: the first line of '%s' has %zu "
		    "characters; expected %d to %d", key, path, len,
		    SECRET_MIN, SECRET_MAX);
	}
	*field = strndup(text, len);
	explicit_bzero(text, sizeof(text));
	return *field != NULL ? 0 : -ENOMEM;
}

int
conf_check_chap(struct conf_parser *p, const char *what, const char *name,
    const char *prefix, const struct conf_chap *in,
    const struct conf_chap *out)
{
	if ((in->user == NULL) != (in->secret == NULL))
		return conf_error(p, "%s '%s': %schap and %schap-secret-file "
		    "go together", what, name, prefix, prefix);
	if ((out->user == NULL) != (out->secret == NULL))
		return conf_error(p, "%s '%s': %smutual and "
		    "%smutual-secret-file go together", what, name, prefix,
		    prefix);
	if (out->user != NULL && in->user == NULL)
		return conf_error(p, "%s '%s': %smutual needs %schap too",
		    what, name, prefix, prefix);
	if (out->secret != NULL && strcmp(in->secret, out->secret) == 0)
		return conf_error(p, "%s '%s': the two CHAP secrets must "
		    "differ", what, name);
	return 0;
}
