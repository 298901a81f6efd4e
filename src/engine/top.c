/* top.c: `top`: the processes of a container, as the host's ps(1) shows them: those of its cgroup. Of a virtual machine, whose processes
 * are its own kernel's, as the agent in it does (guest/processes.c). */
#include "engine_impl.h"
#include "guest.h"

#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#define OUTPUT_MAX (16u << 20)

struct pids {
	pid_t *v;
	size_t n;
};

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
	r = host_probe_cgroup(&host, e);
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

/* The index of the word "PID" in ps's heading, or -1. */
static int pid_column(const char *heading)
{
	int column = 0;

	for (const char *s = heading + strspn(heading, " "); *s; column++, s += strspn(s, " ")) {
		size_t n = strcspn(s, " ");
		if (n == 3 && strncmp(s, "PID", 3) == 0)
			return column;
		s += n;
	}
	return -1;
}

static bool is_listed(const struct pids *p, const char *line, int column)
{
	const char *s = line + strspn(line, " ");

	for (; column > 0; column--) {
		s += strcspn(s, " ");
		s += strspn(s, " ");
	}
	long pid = strtol(s, NULL, 10);
	for (size_t i = 0; i < p->n; i++)
		if (p->v[i] == pid)
			return true;
	return false;
}

static int run_ps(char *const *options, char ***ret_lines, struct err *e)
{
	_cleanup_free_ char *program = spawn_find("ps"), *out = NULL;
	_cleanup_strv_ char **argv = NULL;
	int r;

	if (!program)
		return err_set(e, ENOENT, "there is no ps program on this host: install procps");
	r = strv_push(&argv, program);
	if (r >= 0 && !*options)
		r = strv_push(&argv, "-ef");
	for (; r >= 0 && *options; options++)
		r = strv_push(&argv, *options);
	if (r < 0)
		return OUT_OF_MEMORY(e);
	r = spawn_output(argv, OUTPUT_MAX, &out, e);
	if (r < 0)
		return r;
	*ret_lines = strv_split(out, '\n');
	return *ret_lines ? 0 : OUT_OF_MEMORY(e);
}

static int top_container(struct engine *en, const struct container_record *c, char *const *options, struct err *e)
{
	_cleanup_strv_ char **lines = NULL;
	struct pids p = { 0 };
	int column, r = find_pids(en, c, &p, e);

	if (r >= 0)
		r = run_ps(options, &lines, e);
	if (r >= 0 && (column = pid_column(lines[0])) < 0)
		r = err_set(e, EINVAL, "couldn't find the PID field in ps output: choose options that print it");
	if (r >= 0) {
		puts(lines[0]);
		for (char **l = lines + 1; *l; l++)
			if (**l && is_listed(&p, *l, column))
				puts(*l);
	}
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
