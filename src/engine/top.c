/* top.c: `top`: the processes of a container, as the host's ps(1) shows them: those of its cgroup. Of a virtual machine, whose processes
 * are its own kernel's, as the agent in it does (guest/processes.c). */
#include "engine_impl.h"
#include "guest.h"
#include "ps_table.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define OUTPUT_MAX (16u << 20)

struct pids {
	pid_t *v;
	size_t n;
};

static bool is_same_namespace(const char *pid, const struct stat *ns)
{
	_cleanup_free_ char *path = str_fmt("/proc/%s/ns/pid", pid);
	struct stat st;

	return path && stat(path, &st) == 0 && st.st_ino == ns->st_ino && st.st_dev == ns->st_dev;
}

/* Those of the first process's pid namespace, where there are no cgroups to ask. */
static int find_pids_in_namespace(struct engine *en, const struct container_record *c, struct pids *ret, struct err *e)
{
	struct monitor_state m = { 0 };
	struct stat first, own;
	char path[40];
	DIR *dir;
	int r = monitor_inspect(en->paths, c->id, &m, e);

	if (r < 0)
		return r;
	snprintf(path, sizeof(path), "/proc/%d/ns/pid", (int)m.pid);
	if (stat(path, &first) < 0 || stat("/proc/self/ns/pid", &own) < 0)
		return err_set(e, errno, "the processes of container %s: %s", c->name, strerror(errno));
	if (first.st_ino == own.st_ino)
		return err_set(
			e, ENOTSUP,
			"container %s shares the host's processes, and which are its own only a cgroup tells: " NOT_DELEGATED,
			c->name);
	dir = opendir("/proc");
	for (struct dirent *d; dir && (d = readdir(dir));) {
		pid_t *more;

		if (d->d_name[0] < '1' || d->d_name[0] > '9' || !is_same_namespace(d->d_name, &first))
			continue;
		more = reallocarray(ret->v, ret->n + 1, sizeof(*more));
		if (!more) {
			closedir(dir);
			return OUT_OF_MEMORY(e);
		}
		ret->v = more;
		ret->v[ret->n++] = (pid_t)atoi(d->d_name);
	}
	if (!dir)
		return err_set(e, errno, "/proc: %s", strerror(errno));
	closedir(dir);
	return 0;
}

static int find_pids(struct engine *en, const struct container_record *c, struct pids *ret, struct err *e)
{
	_cleanup_(spec_done) struct spec spec;
	_cleanup_free_ char *path = NULL;
	struct host host = { 0 };
	struct cgroup *cg;
	int r;

	spec_init(&spec);
	r = bundle_read_spec(en, c->id, &spec, e);
	if (r < 0)
		return r;
	path = spec.cgroups_path && *spec.cgroups_path ? strdup(spec.cgroups_path) : str_fmt("/berth/%s", c->id);
	if (!path)
		return OUT_OF_MEMORY(e);
	r = host_probe_cgroup_ours(&host, e);
	if (r >= 0 && host.cgroup == CGROUP_NONE) /* then it has a pid namespace of its own, or is alone */
		return find_pids_in_namespace(en, c, ret, e);
	if (r >= 0)
		r = cgroup_open(&host, path, &cg, e);
	if (r >= 0) {
		r = cgroup_pids(cg, &ret->v, &ret->n);
		cgroup_free(cg);
		if (r < 0)
			err_set(e, -r, "the processes of container %s: %s", c->name, strerror(-r));
	}
	host_done(&host);
	return r;
}

static int top_container(struct engine *en, const struct container_record *c, char *const *options, struct err *e)
{
	struct pids p = { 0 };
	int r = find_pids(en, c, &p, e);

	if (r >= 0)
		r = ps_table_print(p.v, p.n, options, e);
	free(p.v);
	return r;
}

/* What a command of the guest's prints, taken by way of a file: nothing of a guest's goes to a terminal as it is. */
static int run_in_guest(struct engine *en, const struct container_record *c, const struct exec_opts *o, char **ret, int *ret_code,
			struct err *e)
{
	_cleanup_fd_ int said = memfd_create("top", MFD_CLOEXEC), out = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
	struct exit_status st = { 0 };
	bool detached;
	int r;

	if (said < 0 || out < 0 || dup2(said, STDOUT_FILENO) < 0)
		return err_set(e, errno, "take the list of processes: %s", strerror(errno));
	r = engine_exec(en, c->id, o, &st, &detached, e);
	if (dup2(out, STDOUT_FILENO) < 0 && r >= 0)
		r = err_set(e, errno, "give standard output back: %s", strerror(errno));
	if (r >= 0 && (lseek(said, 0, SEEK_SET) < 0 || (r = fd_read_all(said, OUTPUT_MAX, ret, NULL)) < 0))
		r = err_set(e, r < 0 ? -r : errno, "read the list of processes: %s", strerror(r < 0 ? -r : errno));
	*ret_code = st.code;
	return MIN(r, 0);
}

/* With options of the user's it is the ps of the image. */
static int top_vm(struct engine *en, const struct container_record *c, char *const *options, struct err *e)
{
	struct exec_opts o = { .user = strdup("0:0"), .is_silent = true };
	_cleanup_free_ char *text = NULL;
	bool is_own = !*options;
	int r = strv_push(&o.command, is_own ? GUEST_PROCESSES : "ps"), code = 0;

	for (; r >= 0 && *options; options++)
		r = strv_push(&o.command, *options);
	r = r < 0 || !o.user ? OUT_OF_MEMORY(e) : run_in_guest(en, c, &o, &text, &code, e);
	if (r < 0)
		err_push(e, r, is_own ? "the processes of virtual machine %s" : "the ps of the image of virtual machine %s",
			 c->name);
	else if (code)
		r = err_set(e, EIO, "%s of virtual machine %s ended with status %d", is_own ? "the list" : "the ps of the image",
			    c->name, code);
	if (r >= 0)
		fputs(text_defuse(text), stdout);
	strv_free(o.command);
	free(o.user);
	return r;
}

int engine_top(struct engine *en, const char *name, char *const *options, struct err *e)
{
	_cleanup_(container_record_done) struct container_record c = { 0 };
	int r = engine_get(en, name, &c, e);

	if (r < 0)
		return r;
	if (c.state != CS_RUNNING && c.state != CS_PAUSED)
		return err_set(e, ESRCH, "container %s is not running (%s)", c.name, container_state_name(c.state));
	r = streq0(c.isolation, "vm") ? top_vm(en, &c, options, e) : top_container(en, &c, options, e);
	if (r >= 0)
		note_event(en, &c, "top");
	return r;
}
