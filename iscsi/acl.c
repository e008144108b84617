/* SPDX-License-Identifier: BSD-2-Clause */
/* Access lists of targets, see acl.h. */
#include <stdlib.h>
#include <string.h>

#include "iscsi/acl.h"
#include "iscsi/target.h"

bool
acl_match(const char *pattern, const char *name)
{
	const char *star = NULL, *retry = NULL;

	while (*name) {
		if (*pattern == '*') {
			star = pattern++;
			retry = name;
		} else if (*pattern == *name) {
			pattern++;
			name++;
		} else if (star) {
			pattern = star + 1;
			name = ++retry;
		} else {
			return false;
		}
	}
	while (*pattern == '*')
		pattern++;
	return *pattern == '\0';
}

void
acl_chap_fini(struct acl_chap *c)
{
	if (c->secret)
		explicit_bzero(c->secret, strlen(c->secret));
	free(c->user);
	free(c->secret);
	*c = (struct acl_chap){ NULL, NULL };
}

static int
chap_copy(struct acl_chap *c, const struct iscsi_chap *from)
{
	*c = (struct acl_chap){ NULL, NULL };
	if (!from || !from->user)
		return 0;
	if (!from->secret || strlen(from->secret) < ACL_SECRET_MIN ||
	    strlen(from->secret) > ACL_SECRET_MAX)
		return -EINVAL;
	c->user = strdup(from->user);
	c->secret = strdup(from->secret);
	if (c->user && c->secret)
		return 0;
	acl_chap_fini(c);
	return -ENOMEM;
}

int
acl_chap_set(struct acl_chap *in, struct acl_chap *out,
    const struct iscsi_chap *new_in, const struct iscsi_chap *new_out)
{
	struct acl_chap i, o;
	int r;

	r = chap_copy(&i, new_in);
	if (r < 0)
		return r;
	r = chap_copy(&o, new_out);
	if (r == 0 && o.user && (!i.user || strcmp(i.secret, o.secret) == 0))
		r = -EINVAL;
	if (r < 0) {
		acl_chap_fini(&i);
		acl_chap_fini(&o);
		return r;
	}
	acl_chap_fini(in);
	acl_chap_fini(out);
	*in = i;
	*out = o;
	return 0;
}

static void
entry_free(struct acl_entry *e)
{
	acl_chap_fini(&e->in);
	acl_chap_fini(&e->out);
	free(e->pattern);
	free(e->view);
	free(e);
}

static struct acl_entry *
entry_exact(const struct list *acl, const char *pattern)
{
	list_for_each(node, tmp, acl) {
		struct acl_entry *e = list_entry(node, struct acl_entry, node);

		if (strcmp(e->pattern, pattern) == 0)
			return e;
	}
	return NULL;
}

int
acl_add(struct list *acl, const char *pattern, const struct iscsi_chap *in,
    const struct iscsi_chap *out)
{
	struct acl_entry *e = entry_exact(acl, pattern);
	int r;

	if (e)
		return acl_chap_set(&e->in, &e->out, in, out);
	e = calloc(1, sizeof(*e));
	if (!e)
		return -ENOMEM;
	e->pattern = strdup(pattern);
	r = e->pattern ? acl_chap_set(&e->in, &e->out, in, out) : -ENOMEM;
	if (r < 0) {
		entry_free(e);
		return r;
	}
	list_add_tail(acl, &e->node);
	return 0;
}

int
acl_show(struct list *acl, const char *pattern, const struct scsi_view *view)
{
	struct acl_entry *e = entry_exact(acl, pattern);
	struct scsi_view *copy = NULL;

	if (!e)
		return -ENOENT;
	if (view) {
		copy = malloc(sizeof(*copy));
		if (!copy)
			return -ENOMEM;
		*copy = *view;
	}
	free(e->view);
	e->view = copy;
	return 0;
}

void
acl_swap(struct list *a, struct list *b)
{
	struct list old, *node;

	list_init(&old);
	while ((node = list_pop(a)))
		list_add_tail(&old, node);
	while ((node = list_pop(b)))
		list_add_tail(a, node);
	while ((node = list_pop(&old)))
		list_add_tail(b, node);
}

const struct acl_entry *
acl_find(const struct list *acl, const char *name)
{
	const struct acl_entry *exact = entry_exact(acl, name);

	if (exact)
		return exact;
	list_for_each(node, tmp, acl) {
		struct acl_entry *e = list_entry(node, struct acl_entry, node);

		if (acl_match(e->pattern, name))
			return e;
	}
	return NULL;
}

void
acl_fini(struct list *acl)
{
	struct list *node;

	while ((node = list_pop(acl)))
		entry_free(list_entry(node, struct acl_entry, node));
}

struct login_auth
acl_auth(const struct acl_chap *in, const struct acl_chap *out)
{
	return (struct login_auth){
		.in_user = in->user, .in_secret = in->secret,
		.out_user = out->user, .out_secret = out->secret,
	};
}
