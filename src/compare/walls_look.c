/* walls_look: the processes of the host that carry a workload, as /proc shows them. */
#include <dirent.h>
#include <stdio.h>
#include <unistd.h>

#include "walls.h"

#define STATUS_MAX    65536u
#define MOUNTINFO_MAX (8u << 20)
#define FILES_MAX     50
#define THREADS_MAX   256
#define PIDS_MAX      65536u

struct pair {
	pid_t pid, parent;
};

/* ---- which ones ---- */

static pid_t parent_of(pid_t pid)
{
	_cleanup_free_ char *path = str_fmt("/proc/%d/stat", (int)pid), *text = NULL;
	const char *behind;
	int parent = 0;

	if (!path || file_read(AT_FDCWD, path, 4096, &text, NULL) < 0)
		return 0;
	behind = strrchr(text, ')'); /* the name before it may hold anything */
	return behind && sscanf(behind + 1, " %*c %d", &parent) == 1 ? parent : 0;
}

static size_t all_pairs(struct pair **ret)
{
	struct pair *v = calloc(PIDS_MAX, sizeof(*v));
	DIR *dir = opendir("/proc");
	struct dirent *d;
	size_t n = 0;

	while (v && dir && n < PIDS_MAX && dir_next(dir, &d) > 0) {
		uint64_t pid;
		if (str_to_u64(d->d_name, &pid) < 0)
			continue;
		v[n++] = (struct pair){ (pid_t)pid, parent_of((pid_t)pid) };
	}
	if (dir)
		closedir(dir);
	*ret = v;
	return n;
}

static size_t add_pid(pid_t *list, size_t n, pid_t pid)
{
	for (size_t i = 0; i < n; i++)
		if (list[i] == pid)
			return n;
	if (pid <= 0 || n == WALLS_PROCESSES_MAX)
		return n;
	list[n] = pid;
	return n + 1;
}

/* list grows while it is walked: children of children come as well. */
static size_t add_descendants(pid_t *list, size_t n)
{
	_cleanup_free_ struct pair *all = NULL;
	size_t n_all = all_pairs(&all);

	for (size_t i = 0; i < n; i++)
		for (size_t k = 0; k < n_all; k++)
			if (all[k].parent == list[i])
				n = add_pid(list, n, all[k].pid);
	return n;
}

/* ---- what each is ---- */

/* What stands behind "NAME:\t" in a status file; caller frees. */
static char *status_value(const char *text, const char *name)
{
	_cleanup_free_ char *key = str_fmt("\n%s:\t", name);
	const char *at = key ? strstr(text, key) : NULL;

	at = at ? at + strlen(key) : NULL;
	return at ? strndup(at, strcspn(at, "\n")) : NULL;
}

static int64_t status_number(const char *text, const char *name, unsigned column)
{
	_cleanup_free_ char *v = status_value(text, name);
	const char *at = v;

	for (unsigned i = 0; at && i < column; i++) {
		at = strchr(at, '\t');
		at = at ? at + 1 : NULL;
	}
	return at ? strtoll(at, NULL, 10) : -1;
}

static int read_thread(pid_t pid, const char *tid, struct walls_thread *ret)
{
	_cleanup_free_ char *path = str_fmt("/proc/%d/task/%s/status", (int)pid, tid), *text = NULL, *name = NULL;
	int r = path ? file_read(AT_FDCWD, path, STATUS_MAX, &text, NULL) : -ENOMEM;

	if (r < 0)
		return r;
	name = strncmp(text, "Name:\t", 6) == 0 ? strndup(text + 6, strcspn(text + 6, "\n")) : NULL;
	snprintf(ret->name, sizeof(ret->name), "%s", name ? text_defuse(name) : "?");
	ret->seccomp = status_number(text, "Seccomp", 0);
	if (ret->seccomp == 2)
		walls_filter_of((pid_t)strtol(tid, NULL, 10), &ret->filter);
	return 0;
}

static int read_threads(struct walls_process *p)
{
	_cleanup_free_ char *path = str_fmt("/proc/%d/task", (int)p->pid);
	DIR *dir = path ? opendir(path) : NULL;
	struct dirent *d;
	int r = dir ? 0 : path ? -errno : -ENOMEM;

	p->threads = calloc(THREADS_MAX, sizeof(*p->threads));
	if (!p->threads && r >= 0)
		r = -ENOMEM;
	while (r >= 0 && p->n_threads < THREADS_MAX && dir_next(dir, &d) > 0)
		if (read_thread(p->pid, d->d_name, &p->threads[p->n_threads]) >= 0)
			p->n_threads++;
	if (dir)
		closedir(dir);
	return r;
}

static bool is_listed(char *const *list, const char *s)
{
	for (; list && *list; list++)
		if (streq(*list, s))
			return true;
	return false;
}

/* Pipes, sockets, memory without a name and /dev/null lead nowhere. */
static int read_files(struct walls_process *p)
{
	_cleanup_free_ char *path = str_fmt("/proc/%d/fd", (int)p->pid);
	DIR *dir = path ? opendir(path) : NULL;
	struct dirent *d;
	int r = 0;

	while (r >= 0 && dir && strv_len(p->files) < FILES_MAX && dir_next(dir, &d) > 0) {
		char to[PATH_MAX];
		ssize_t n = readlinkat(dirfd(dir), d->d_name, to, sizeof(to) - 1);

		if (n <= 0)
			continue;
		to[n] = 0;
		if (*to == '/' && !streq(to, "/dev/null") && !str_after(to, "/memfd:") && !is_listed(p->files, to))
			r = strv_push(&p->files, text_defuse(to));
	}
	if (dir)
		closedir(dir);
	return r;
}

static void read_namespaces(struct walls_process *p, const struct walls_host *host)
{
	for (size_t i = 0; i < WALL_NS_COUNT; i++) {
		_cleanup_free_ char *path = str_fmt("/proc/%d/ns/%s", (int)p->pid, walls_ns_names[i]);
		struct stat st;
		p->shares[i] = path && stat(path, &st) == 0 && st.st_ino == host->namespaces[i];
	}
}

static int64_t count_mounts(pid_t pid)
{
	_cleanup_free_ char *path = str_fmt("/proc/%d/mountinfo", (int)pid), *text = NULL;
	int64_t n = 0;

	if (!path || file_read(AT_FDCWD, path, MOUNTINFO_MAX, &text, NULL) < 0)
		return -1;
	for (const char *at = text; (at = strchr(at, '\n')); at++)
		n++;
	return n;
}

/* -ESRCH and the like: it has ended. */
static int read_process(pid_t pid, const struct walls_host *host, struct walls_process *p)
{
	_cleanup_free_ char *path = str_fmt("/proc/%d/status", (int)pid), *text = NULL, *name = NULL;
	int r = path ? file_read(AT_FDCWD, path, STATUS_MAX, &text, NULL) : -ENOMEM;

	if (r < 0)
		return r;
	name = strncmp(text, "Name:\t", 6) == 0 ? strndup(text + 6, strcspn(text + 6, "\n")) : NULL;
	p->pid = pid;
	snprintf(p->name, sizeof(p->name), "%s", name ? text_defuse(name) : "?");
	p->uid = status_number(text, "Uid", 1);
	p->no_new_privs = status_number(text, "NoNewPrivs", 0);
	p->effective = status_value(text, "CapEff");
	p->n_mounts = count_mounts(pid);
	read_namespaces(p, host);
	r = read_threads(p);
	return r < 0 ? r : read_files(p);
}

static void process_done(struct walls_process *p)
{
	for (size_t i = 0; i < p->n_threads; i++)
		free(p->threads[i].filter.why);
	free(p->threads);
	free(p->effective);
	strv_free(p->files);
}

void walls_outside_done(struct walls_outside *o)
{
	for (size_t i = 0; i < o->n; i++)
		process_done(&o->processes[i]);
	free(o->processes);
	*o = (struct walls_outside){ 0 };
}

void walls_outside_drop(struct walls_outside *o, const char *name)
{
	size_t n = 0;

	for (size_t i = 0; i < o->n; i++)
		if (streq(o->processes[i].name, name))
			process_done(&o->processes[i]);
		else
			o->processes[n++] = o->processes[i];
	o->n = n;
}

int walls_look(const pid_t *roots, size_t n, bool with_descendants, const struct walls_host *host, struct walls_outside *ret,
	       struct err *e)
{
	struct walls_outside o = { .processes = calloc(WALLS_PROCESSES_MAX, sizeof(*o.processes)) };
	pid_t list[WALLS_PROCESSES_MAX];
	size_t n_list = 0;

	if (!o.processes)
		return err_set(e, ENOMEM, "out of memory");
	for (size_t i = 0; i < n; i++)
		n_list = add_pid(list, n_list, roots[i]);
	if (with_descendants)
		n_list = add_descendants(list, n_list);
	for (size_t i = 0; i < n_list; i++) {
		struct walls_process *p = &o.processes[o.n];
		int r = read_process(list[i], host, p);

		if (r == -ENOMEM) {
			o.n++;
			walls_outside_done(&o);
			return err_set(e, ENOMEM, "out of memory");
		}
		if (r >= 0) {
			o.n++;
		} else {
			process_done(p);
			*p = (struct walls_process){ 0 };
		}
	}
	*ret = o;
	return 0;
}

/* ---- for tools ---- */

static struct json_object *thread_json(const struct walls_thread *t)
{
	struct json_object *o = json_object_new_object();
	bool is_known = t->seccomp == 2 && !t->filter.why;

	if (json_add(o, "name", json_object_new_string(t->name)) < 0 ||
	    json_add(o, "seccomp", json_object_new_int64(t->seccomp)) < 0 ||
	    (is_known && json_add(o, "calls", json_object_new_int64(t->filter.always)) < 0) ||
	    (is_known && json_add(o, "callsByArguments", json_object_new_int64(t->filter.sometimes)) < 0) ||
	    (t->filter.why && json_add(o, "callsWhyNot", json_object_new_string(t->filter.why)) < 0)) {
		json_object_put(o);
		return NULL;
	}
	return o;
}

static int add_lists(struct json_object *o, const struct walls_process *p)
{
	struct json_object *threads = json_object_new_array(), *shared = json_object_new_array();
	int r = 0;

	for (size_t i = 0; i < p->n_threads && r >= 0 && threads; i++) {
		struct json_object *t = thread_json(&p->threads[i]);
		r = t ? json_object_array_add(threads, t) : -1;
	}
	for (size_t i = 0; i < WALL_NS_COUNT && r >= 0 && shared; i++)
		if (p->shares[i])
			r = json_object_array_add(shared, json_object_new_string(walls_ns_names[i]));
	if (json_add(o, "threads", threads) < 0 || json_add(o, "namespacesShared", shared) < 0)
		r = -1;
	return r < 0 ? r : json_add(o, "files", json_from_strv(p->files));
}

static struct json_object *process_json(const struct walls_process *p)
{
	struct json_object *o = json_object_new_object();

	if (json_add(o, "pid", json_object_new_int64(p->pid)) < 0 || json_add(o, "name", json_object_new_string(p->name)) < 0 ||
	    json_add(o, "uid", json_object_new_int64(p->uid)) < 0 ||
	    json_add(o, "noNewPrivs", json_object_new_boolean(p->no_new_privs == 1)) < 0 ||
	    (p->effective && json_add(o, "capEffective", json_object_new_string(p->effective)) < 0) ||
	    json_add(o, "mounts", json_object_new_int64(p->n_mounts)) < 0 || add_lists(o, p) < 0) {
		json_object_put(o);
		return NULL;
	}
	return o;
}

struct json_object *walls_outside_json(const struct walls_outside *o)
{
	struct json_object *doc = json_object_new_object(), *list = json_object_new_array();

	if (json_add(doc, "processes", list) < 0) {
		json_object_put(doc);
		return NULL;
	}
	for (size_t i = 0; i < o->n; i++) {
		struct json_object *p = process_json(&o->processes[i]);
		if (!p || json_object_array_add(list, p) < 0) {
			json_object_put(p);
			json_object_put(doc);
			return NULL;
		}
	}
	return doc;
}
