/* SPDX-License-Identifier: BSD-2-Clause */
/* See vmfsctl_task.h. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "vmfsd/ctl_client.h"
#include "vmfsd/vmfsctl_task.h"

/* ---- interruption ---- */

static volatile sig_atomic_t interrupted;

static void
on_signal(int sig)
{
	interrupted = sig;
}

static void
catch_signals(void)
{
	static const int signals[] = { SIGINT, SIGTERM, SIGHUP };
	const struct sigaction sa = {
		.sa_handler = on_signal, .sa_flags = SA_RESTART,
	};

	for (size_t i = 0; i < sizeof(signals) / sizeof(*signals); i++)
		(void)sigaction(signals[i], &sa, NULL);
}

/* ---- tasks ---- */

static void
show_progress(const json_t *task, bool last)
{
	const char *what = json_string_value(json_object_get(task, "what"));
	json_int_t percent = json_integer_value(json_object_get(task,
	    "percent"));

	if (!isatty(STDERR_FILENO))
		return;
	if (last)
		fputs("\r\033[K", stderr);
	else
		fprintf(stderr, "\r%s: %lld %%\033[K", what,
		    (long long)percent);
	(void)fflush(stderr);
}

/* The answer that a command would have given which is no task. */
static json_t *
answer_of(const json_t *task)
{
	json_t *error = json_object_get(task, "error");
	json_t *result = json_object_get(task, "result");

	if (error != NULL)
		return json_pack("{s:b, s:O, s:O}", "ok", 0, "error", error,
		    "message", json_object_get(task, "message"));
	return json_pack("{s:b, s:o}", "ok", 1, "result",
	    result != NULL ? json_incref(result) : json_object());
}

/* It has too many clients, or is about to end: the next time shows it. */
static bool
hung_up(int rc)
{
	return rc == -VMFS_EPROTO || rc == -EPIPE || rc == -ECONNRESET;
}

/* A vmfsd that does not know it is not the one that began it.  NULL: ask again. */
static json_t *
ask_task(const char *socket_path, json_int_t id)
{
	json_t *args, *answer = NULL;
	char text[24];
	int rc;

	(void)snprintf(text, sizeof(text), "%lld", (long long)id);
	args = json_pack("{s:s}", "id", text);
	rc = ctl_request(socket_path, "task.show", args, &answer);
	json_decref(args);
	if (hung_up(rc))
		return NULL;
	if (rc == 0 && json_is_true(json_object_get(answer, "ok")))
		return answer;
	json_decref(answer);
	return json_pack("{s:b, s:s, s:s}", "ok", 0, "error", "failed",
	    "message", "vmfsd ended before the task did");
}

static void
cancel(const char *socket_path, const json_t *id, const struct pipe_child *p)
{
	json_t *args, *answer = NULL;
	char text[24];

	(void)snprintf(text, sizeof(text), "%lld",
	    (long long)json_integer_value(id));
	args = json_pack("{s:s}", "id", text);
	if (ctl_request(socket_path, "task.cancel", args, &answer) == 0)
		json_decref(answer);
	json_decref(args);
	(void)kill(p->pid, SIGKILL);
}

json_t *
task_wait(const char *socket_path, json_t *answer, const struct pipe_child *p)
{
	const json_t *id = json_object_get(json_object_get(answer, "result"),
	    "task");
	struct timespec pause = { .tv_nsec = 5000000 };
	json_t *now, *task;

	if (!json_is_integer(id))
		return answer;
	for (;;) {
		now = ask_task(socket_path, json_integer_value(id));
		task = json_object_get(json_object_get(now, "result"), "task");
		if (now != NULL && (task == NULL ||
		    json_object_get(task, "ended_us") != NULL))
			break;
		if (now != NULL)
			show_progress(task, false);
		json_decref(now);
		if (interrupted && p->pid != 0)
			cancel(socket_path, id, p);
		(void)nanosleep(&pause, NULL);
		if (pause.tv_nsec < 200000000)
			pause.tv_nsec *= 2;
	}
	json_decref(answer);
	if (task == NULL)
		return now;
	show_progress(task, true);
	answer = answer_of(task);
	(void)json_object_set(json_object_get(answer, "result"), "api",
	    json_object_get(json_object_get(now, "result"), "api"));
	json_decref(now);
	return answer;
}

/* ---- pipes ---- */

static _Noreturn void
fail(const char *what)
{
	fprintf(stderr, "vmfsctl: %s: %s\n", what, strerror(errno));
	exit(1);
}

static int
copy(int from, int to)
{
	char buf[65536];
	ssize_t n, m;

	while ((n = read(from, buf, sizeof(buf))) > 0)
		for (ssize_t at = 0; at < n; at += m) {
			m = write(to, buf + at, (size_t)(n - at));
			if (m < 0)
				return -errno;
		}
	return n < 0 ? -errno : 0;
}

static _Noreturn void
child(const struct pipe_child *p, bool out)
{
	pid_t parent = getppid();
	int fd = open(p->path, (out ? O_RDONLY : O_WRONLY) | O_CLOEXEC);
	int rc = fd < 0 ? -errno : copy(out ? fd : STDIN_FILENO, out ?
	    STDOUT_FILENO : fd);

	if (out || (rc == 0 && !interrupted))
		_exit(rc < 0);
	/* What was left out must not be taken for the end of the stream: the
	 * parent cancels the task and then ends this process. */
	if (rc < 0)
		fprintf(stderr, "vmfsctl: standard input: %s\n",
		    strerror(-rc));
	(void)kill(parent, SIGTERM);
	for (;;)
		(void)pause();
}

static void
make_whole(json_t *args, const char *name)
{
	char cwd[PATH_MAX], path[PATH_MAX * 2];

	if (name[0] == '/')
		return;
	if (getcwd(cwd, sizeof(cwd)) == NULL)
		fail("the current directory");
	(void)snprintf(path, sizeof(path), "%s/%s", cwd, name);
	(void)json_object_set_new(args, "file", json_string(path));
}

void
pipe_begin(struct pipe_child *p, json_t *args, bool out)
{
	const char *name = json_string_value(json_object_get(args, "file"));

	*p = (struct pipe_child){ 0 };
	if (name == NULL)
		return;
	if (strcmp(name, "-") != 0) {
		make_whole(args, name);
		return;
	}
	(void)snprintf(p->dir, sizeof(p->dir), "/tmp/vmfsctl.XXXXXX");
	if (mkdtemp(p->dir) == NULL)
		fail("/tmp");
	(void)snprintf(p->path, sizeof(p->path), "%s/pipe", p->dir);
	if (mkfifo(p->path, 0600) < 0)
		fail(p->path);
	(void)fflush(NULL);
	if (!out)
		catch_signals();
	p->pid = fork();
	if (p->pid < 0)
		fail("fork");
	if (p->pid == 0)
		child(p, out);
	(void)json_object_set_new(args, "file", json_string(p->path));
}

void
pipe_end(struct pipe_child *p, bool done)
{
	int status;

	if (p->pid == 0)
		return;
	/* Nobody opened the other end, perhaps. */
	if (!done)
		(void)kill(p->pid, SIGKILL);
	while (waitpid(p->pid, &status, 0) < 0 && errno == EINTR)
		;
	(void)unlink(p->path);
	(void)rmdir(p->dir);
}
