/* SPDX-License-Identifier: BSD-2-Clause */
/* Control socket: one thread accepts, one per client reads and answers. */
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "libvmfs/base/cleanup.h"
#include "vmfsd/control.h"

#define ACCEPT_RETRY_MS 1000
/* A client that takes nothing of its answer for so long is dropped: a stop of
 * the daemon waits for it. */
#define SEND_LIMIT_S 5

struct control {
	struct daemon *daemon;
	int fd;
	pthread_t acceptor;
	pthread_mutex_t mutex;
	pthread_cond_t idle;	/* clients became 0 */
	struct list clients;	/* struct client */
	unsigned n_clients;
};

struct client {
	struct list node;
	struct control *control;
	int fd;
};

/* ---- requests ---- */

static const struct command *
find_command(const char *name)
{
	static const struct command *const tables[] = {
		commands_ds, commands_ds_copy, commands_ds_extent, commands_ds_evacuate,
		commands_ds_scrub, commands_ds_set, commands_ds_trim,
		commands_host, commands_disk, commands_lock,
		commands_target, commands_path, commands_box, commands_lun,
		commands_daemon,
		commands_stats, commands_task, commands_key, commands_quota,
	};

	for (size_t i = 0; i < sizeof(tables) / sizeof(tables[0]); i++)
		for (const struct command *c = tables[i]; c->name != NULL; c++)
			if (strcmp(c->name, name) == 0)
				return c;
	return NULL;
}

static json_t *
error_answer(int error, const char *msg)
{
	return json_pack("{s:b, s:s, s:o}", "ok", 0, "error",
	    ctl_error_code(error), "message",
	    ctl_text(msg[0] != '\0' ? msg : vmfs_strerror(error)));
}

static json_t *
answer(struct daemon *d, const char *line)
{
	char msg[CTL_MESSAGE_SIZE] = "";
	const struct command *c;
	json_t *request = json_loads(line, 0, NULL);
	json_t *args = json_object_get(request, "args"), *none = NULL;
	const char *name = json_string_value(json_object_get(request, "cmd"));
	json_t *result = NULL, *reply;
	int rc;

	if (!json_is_object(args))
		args = none = json_object();
	c = name != NULL ? find_command(name) : NULL;
	if (c == NULL) {
		rc = -EINVAL;
		(void)snprintf(msg, sizeof(msg), "%s '%.64s'", name != NULL ?
		    "this vmfsd does not know the command" :
		    "not a request of the form {\"cmd\": ...}:",
		    name != NULL ? name : line);
	} else {
		rc = c->run(d, args, &result, msg);
	}
	if (rc < 0) {
		reply = error_answer(rc, msg);
	} else {
		if (result == NULL)
			result = json_object();
		(void)json_object_set_new(result, "api", json_integer(CTL_API));
		reply = json_pack("{s:b, s:o}", "ok", 1, "result", result);
	}
	json_decref(none);
	json_decref(request);
	return reply;
}

static bool
answer_line(struct daemon *d, FILE *out, const char *line)
{
	json_t *reply = answer(d, line);
	bool sent = reply != NULL && json_dumpf(reply, out, JSON_COMPACT) == 0 &&
	    fputc('\n', out) != EOF && fflush(out) == 0;

	json_decref(reply);
	return sent;
}

static void
serve(struct daemon *d, int fd)
{
	int fd2 = dup(fd);
	FILE *in = fd2 >= 0 ? fdopen(fd2, "r") : NULL;
	FILE *out = fdopen(fd, "w");
	char *line = malloc(CTL_LINE_MAX);

	while (in != NULL && out != NULL && line != NULL &&
	    fgets(line, CTL_LINE_MAX, in) != NULL &&
	    strchr(line, '\n') != NULL && answer_line(d, out, line))
		;
	free(line);
	if (in != NULL)
		(void)fclose(in);
	else if (fd2 >= 0)
		(void)close(fd2);
	if (out != NULL)
		(void)fclose(out);
	else
		(void)close(fd);
}

static void
client_end(struct client *cl)
{
	struct control *c = cl->control;

	(void)pthread_mutex_lock(&c->mutex);
	list_del(&cl->node);
	/* Not before: control_stop would shut down who has its number then. */
	(void)close(cl->fd);
	if (--c->n_clients == 0)
		(void)pthread_cond_broadcast(&c->idle);
	(void)pthread_mutex_unlock(&c->mutex);
	free(cl);
}

static void *
client_thread(void *arg)
{
	struct client *cl = arg;

	serve(cl->control->daemon, dup(cl->fd));
	client_end(cl);
	return NULL;
}

/* ---- clients ---- */

static void
client_start(struct control *c, int fd)
{
	static const struct timeval limit = { .tv_sec = SEND_LIMIT_S };
	struct client *cl = calloc(1, sizeof(*cl));
	pthread_t thread;
	bool full;

	if (cl == NULL) {
		(void)close(fd);
		return;
	}
	(void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
	cl->control = c;
	cl->fd = fd;
	(void)pthread_mutex_lock(&c->mutex);
	full = c->n_clients >= CONTROL_CLIENTS_MAX;
	c->n_clients++;
	list_add_tail(&c->clients, &cl->node);
	(void)pthread_mutex_unlock(&c->mutex);
	if (full || pthread_create(&thread, NULL, client_thread, cl) != 0) {
		log_warn(c->daemon->log, "control: client refused: %s",
		    full ? "too many" : "no thread");
		client_end(cl);
		return;
	}
	(void)pthread_detach(thread);
}

static void *
accept_thread(void *arg)
{
	struct control *c = arg;

	for (;;) {
		int fd = accept4(c->fd, NULL, NULL, SOCK_CLOEXEC);

		if (fd >= 0) {
			client_start(c, fd);
			continue;
		}
		/* Of control_stop. */
		if (errno == EINVAL)
			return NULL;
		if (errno == EINTR || errno == ECONNABORTED)
			continue;
		log_warn(c->daemon->log, "control: cannot take one more "
		    "client as yet: %s", strerror(errno));
		(void)poll(NULL, 0, ACCEPT_RETRY_MS);
	}
}

/* ---- socket ---- */

static void
make_parent(const char *path)
{
	cleanup_free char *dir = strdup(path);
	char *slash = dir != NULL ? strrchr(dir, '/') : NULL;

	if (slash != NULL && slash != dir) {
		*slash = '\0';
		(void)mkdir(dir, 0755);
	}
}

static int
bind_socket(const char *path, char *why)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	int fd, rc;

	if (strlen(path) >= sizeof(sa.sun_path)) {
		(void)snprintf(why, CTL_MESSAGE_SIZE, "the path of the control "
		    "socket '%s' is longer than %zu characters", path,
		    sizeof(sa.sun_path) - 1);
		return -ENAMETOOLONG;
	}
	memcpy(sa.sun_path, path, strlen(path) + 1);
	make_parent(path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	if (connect(fd, (struct sockaddr *)&sa, sizeof(sa)) == 0) {
		(void)close(fd);
		(void)snprintf(why, CTL_MESSAGE_SIZE, "a running vmfsd answers "
		    "on control socket '%s'; stop it, or give this one a "
		    "socket of its own (--control, or socket = in [control])",
		    path);
		return -EBUSY;
	}
	/* Left by one that was killed. */
	(void)unlink(path);
	if (bind(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0 ||
	    chmod(path, 0600) < 0 || listen(fd, 16) < 0) {
		rc = -errno;
		(void)close(fd);
		(void)snprintf(why, CTL_MESSAGE_SIZE, "cannot make the control "
		    "socket '%s': %s", path, strerror(-rc));
		return rc;
	}
	return fd;
}

int
control_start(struct daemon *d, struct control **ret_c, char *why)
{
	struct control *c;
	int fd = bind_socket(d->control, why);

	if (fd < 0)
		return fd;
	c = calloc(1, sizeof(*c));
	if (c == NULL) {
		(void)close(fd);
		return -ENOMEM;
	}
	c->daemon = d;
	c->fd = fd;
	list_init(&c->clients);
	(void)pthread_mutex_init(&c->mutex, NULL);
	(void)pthread_cond_init(&c->idle, NULL);
	if (pthread_create(&c->acceptor, NULL, accept_thread, c) != 0) {
		(void)close(fd);
		free(c);
		return -EAGAIN;
	}
	*ret_c = c;
	return 0;
}

void
control_stop(struct control *c)
{
	if (c == NULL)
		return;
	(void)unlink(c->daemon->control);
	(void)shutdown(c->fd, SHUT_RDWR);
	(void)pthread_join(c->acceptor, NULL);
	(void)close(c->fd);
	(void)pthread_mutex_lock(&c->mutex);
	/* Readers see the end; a command under way finishes first. */
	list_for_each(node, tmp, &c->clients)
		(void)shutdown(list_entry(node, struct client, node)->fd,
		    SHUT_RD);
	while (c->n_clients > 0)
		(void)pthread_cond_wait(&c->idle, &c->mutex);
	(void)pthread_mutex_unlock(&c->mutex);
	(void)pthread_cond_destroy(&c->idle);
	(void)pthread_mutex_destroy(&c->mutex);
	free(c);
}
