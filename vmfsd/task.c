/* SPDX-License-Identifier: BSD-2-Clause */
/* Long work on threads, its list, and the commands on it. */
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vmfsd/cmd.h"
#include "vmfsd/task.h"

struct task {
	struct list node;
	struct daemon *dm;
	struct datastore *d;	/* locked; by its own thread */
	unsigned id;
	const char *what;
	char object[4200], ds[64];
	json_t *args;
	enum task_place place;
	bool quiet;
	int (*run)(struct fs_call *c);
	atomic_ullong done, total;
	atomic_bool cancel;
	uint64_t begun_us, ended_us;
	/* Set when it ends, under the mutex. */
	bool ended;
	int error;
	json_t *result;
	char msg[CTL_MESSAGE_SIZE];
};

/*
 * Who waits for a task of a process that has died must not take one of the
 * next process for it.
 */
static unsigned
first_id(void)
{
	struct env env;

	env_posix_init(&env, NULL, NULL);
	return (unsigned)(env_random_u64(&env) % 1000000) + 1;
}

void
tasks_init(struct tasks *all)
{
	*all = (struct tasks){ .next_id = first_id() };
	(void)pthread_mutex_init(&all->mutex, NULL);
	(void)pthread_cond_init(&all->ended, NULL);
	list_init(&all->list);
}

static void
task_free(struct task *t)
{
	list_del(&t->node);
	json_decref(t->args);
	json_decref(t->result);
	free(t);
}

void
tasks_fini(struct tasks *all)
{
	list_for_each(node, tmp, &all->list)
		task_free(list_entry(node, struct task, node));
}

static uint64_t
wall_clock_us(void)
{
	struct env env;

	env_posix_init(&env, NULL, NULL);
	return env.wall_us(&env);
}

/* One that runs on the datastore; if there is, one that somebody waits for: it
 * may refuse, and then the others go on. */
static struct task *
running_on(struct tasks *all, const char *ds)
{
	struct task *quiet = NULL;

	list_for_each(node, tmp, &all->list) {
		struct task *t = list_entry(node, struct task, node);

		if (t->ended || (ds != NULL && strcmp(t->ds, ds) != 0))
			continue;
		if (!t->quiet)
			return t;
		quiet = t;
	}
	return quiet;
}

int
tasks_stop(struct tasks *all, const char *ds, bool force, char *why)
{
	struct task *t;
	int rc = 0;

	(void)pthread_mutex_lock(&all->mutex);
	while ((t = running_on(all, ds)) != NULL) {
		if (!force && !t->quiet) {
			(void)snprintf(why, CTL_MESSAGE_SIZE, "task %u (%s of "
			    "%.400s) is at work; wait for it, end it by "
			    "vmfsctl task cancel %u, or use --force", t->id,
			    t->what, t->object, t->id);
			rc = -EBUSY;
			break;
		}
		atomic_store(&t->cancel, true);
		(void)pthread_cond_wait(&all->ended, &all->mutex);
	}
	(void)pthread_mutex_unlock(&all->mutex);
	return rc;
}

void
task_on(struct task *t, struct datastore *d)
{
	if (t != NULL)
		t->d = d;
}

bool
task_step(void *task, uint64_t done, uint64_t total)
{
	struct task *t = task;

	if (t == NULL)
		return true;
	atomic_store(&t->done, done);
	atomic_store(&t->total, total);
	return !atomic_load(&t->cancel) &&
	    (t->d == NULL || !atomic_load(&t->d->gone));
}

/* ---- its thread ---- */

static void
tasks_forget(struct tasks *all)
{
	list_for_each(node, tmp, &all->list) {
		struct task *t = list_entry(node, struct task, node);

		if (all->ended_count <= TASKS_KEPT)
			return;
		if (!t->ended)
			continue;
		task_free(t);
		all->ended_count--;
	}
}

static void *
task_thread(void *arg)
{
	struct task *t = arg;
	struct tasks *all = &t->dm->tasks;
	char msg[CTL_MESSAGE_SIZE] = "";
	json_t *result = NULL;
	int rc = cmd_fs_task(t->dm, t->args, &result, msg, t->place, t->run,
	    t);

	log_line(t->dm->log, rc < 0 && rc != -ECANCELED ? LOG_LEVEL_WARN :
	    LOG_LEVEL_INFO, "task: %s %s: %s", t->what, t->object,
	    rc == 0 ? "done" : msg[0] != '\0' ? msg : vmfs_strerror(rc));
	(void)pthread_mutex_lock(&all->mutex);
	t->ended = true;
	t->ended_us = wall_clock_us();
	t->error = rc;
	t->result = result;
	memcpy(t->msg, msg, sizeof(msg));
	/* Who waits for it has to see its end, however long it took. */
	list_del(&t->node);
	list_add_tail(&all->list, &t->node);
	all->running--;
	all->ended_count++;
	tasks_forget(all);
	(void)pthread_cond_broadcast(&all->ended);
	(void)pthread_mutex_unlock(&all->mutex);
	return NULL;
}

/* Fills in a new one but does not start it. */
static int
task_new(struct daemon *dm, const char *what, json_t *args,
    enum task_place place, struct task **ret_t, char *msg)
{
	struct cmd_path path;
	const char *text;
	struct task *t;
	int rc = cmd_string(args, "path", &text, msg);

	if (rc == 0)
		rc = cmd_path_parse(text, place & TASK_SNAPSHOT, &path, msg);
	t = rc == 0 ? calloc(1, sizeof(*t)) : NULL;
	if (t == NULL)
		return rc < 0 ? rc : -ENOMEM;
	t->dm = dm;
	t->what = what;
	t->place = place;
	t->args = json_deep_copy(args);
	t->begun_us = wall_clock_us();
	(void)snprintf(t->object, sizeof(t->object), "%.4190s", text);
	(void)snprintf(t->ds, sizeof(t->ds), "%s", path.ds);
	*ret_t = t;
	return 0;
}

static int
task_go(struct tasks *all, struct task *t, unsigned *ret_id)
{
	pthread_t thread;
	int rc;

	(void)pthread_mutex_lock(&all->mutex);
	*ret_id = t->id = all->next_id++;
	list_add_tail(&all->list, &t->node);
	rc = -pthread_create(&thread, NULL, task_thread, t);
	if (rc == 0) {
		(void)pthread_detach(thread);
		all->running++;
	} else {
		task_free(t);
	}
	(void)pthread_mutex_unlock(&all->mutex);
	return rc;
}

int
task_start(struct daemon *dm, const char *what, json_t *args,
    enum task_place place, int (*run)(struct fs_call *c),
    json_t **ret_result, char *msg)
{
	struct task *t = NULL;
	unsigned id = 0;
	int rc = task_new(dm, what, args, place, &t, msg);

	if (rc < 0)
		return rc;
	t->run = run;
	rc = task_go(&dm->tasks, t, &id);
	if (rc == 0)
		*ret_result = json_pack("{s:i}", "task", (int)id);
	return rc;
}

void
task_start_quiet(struct daemon *dm, const char *what, const char *path,
    int (*run)(struct fs_call *c))
{
	json_t *args = json_pack("{s:s}", "path", path);
	char msg[CTL_MESSAGE_SIZE];
	struct task *t = NULL;
	unsigned id;

	if (task_new(dm, what, args, TASK_FIBER, &t, msg) == 0) {
		t->quiet = true;
		t->run = run;
		(void)!task_go(&dm->tasks, t, &id);
	}
	json_decref(args);
}

/* ---- commands ---- */

static const char *
state_name(const struct task *t)
{
	if (!t->ended)
		return atomic_load(&t->cancel) ? "cancelling" : "running";
	return t->error == 0 ? "done" : t->error == -ECANCELED ?
	    "cancelled" : "failed";
}

static json_t *
task_row(const struct task *t)
{
	uint64_t done = atomic_load(&t->done), total = atomic_load(&t->total);
	json_t *row = json_pack("{s:i, s:s, s:s, s:s, s:I, s:I, s:I}",
	    "id", (int)t->id, "what", t->what, "object", t->object,
	    "state", state_name(t), "done", (json_int_t)done,
	    "total", (json_int_t)total, "begun_us", (json_int_t)t->begun_us);

	if (total > 0)
		(void)json_object_set_new(row, "percent", json_integer(
		    t->ended && t->error == 0 ? 100 :
		    (json_int_t)((double)done * 100 / (double)total)));
	if (!t->ended)
		return row;
	(void)json_object_set_new(row, "ended_us",
	    json_integer((json_int_t)t->ended_us));
	if (t->error < 0) {
		(void)json_object_set_new(row, "error",
		    json_string(ctl_error_code(t->error)));
		(void)json_object_set_new(row, "message", ctl_text(
		    t->msg[0] != '\0' ? t->msg : vmfs_strerror(t->error)));
	}
	if (t->result != NULL)
		(void)json_object_set_new(row, "result",
		    json_deep_copy(t->result));
	return row;
}

static int
cmd_task_ls(struct daemon *dm, json_t *args, json_t **ret_result, char *msg)
{
	json_t *rows = json_array();

	(void)args;
	(void)msg;
	(void)pthread_mutex_lock(&dm->tasks.mutex);
	list_for_each(node, tmp, &dm->tasks.list)
		(void)json_array_append_new(rows,
		    task_row(list_entry(node, struct task, node)));
	(void)pthread_mutex_unlock(&dm->tasks.mutex);
	*ret_result = json_pack("{s:o}", "tasks", rows);
	return 0;
}

/* The task args["id"]; the mutex is held. */
static int
find_task(struct daemon *dm, json_t *args, struct task **ret_t, char *msg)
{
	const char *text;
	int rc = cmd_string(args, "id", &text, msg);

	if (rc < 0)
		return rc;
	list_for_each(node, tmp, &dm->tasks.list) {
		struct task *t = list_entry(node, struct task, node);
		char id[16];

		(void)snprintf(id, sizeof(id), "%u", t->id);
		if (strcmp(id, text) == 0) {
			*ret_t = t;
			return 0;
		}
	}
	(void)snprintf(msg, CTL_MESSAGE_SIZE, "there is no task '%.40s', or it "
	    "ended long ago; see vmfsctl task ls", text);
	return -ENOENT;
}

static int
cmd_task_show(struct daemon *dm, json_t *args, json_t **ret_result, char *msg)
{
	struct task *t = NULL;
	int rc;

	(void)pthread_mutex_lock(&dm->tasks.mutex);
	rc = find_task(dm, args, &t, msg);
	if (rc == 0)
		*ret_result = json_pack("{s:o}", "task", task_row(t));
	(void)pthread_mutex_unlock(&dm->tasks.mutex);
	return rc;
}

static int
cmd_task_cancel(struct daemon *dm, json_t *args, json_t **ret_result,
    char *msg)
{
	struct task *t = NULL;
	int rc;

	(void)ret_result;
	(void)pthread_mutex_lock(&dm->tasks.mutex);
	rc = find_task(dm, args, &t, msg);
	if (rc == 0)
		atomic_store(&t->cancel, true);
	(void)pthread_mutex_unlock(&dm->tasks.mutex);
	return rc;
}

const struct command commands_task[] = {
	{ "task.ls", cmd_task_ls },
	{ "task.show", cmd_task_show },
	{ "task.cancel", cmd_task_cancel },
	{ NULL, NULL },
};
