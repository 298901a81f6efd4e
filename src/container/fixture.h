/* fixture: what the tests of container/ share: a root filesystem of busybox in a temporary directory, Berth's default spec on
 * it, and one call that runs a command in it and keeps its output. Only tests include this. */
#pragma once

#include <dirent.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "setup.h"
#include "tap.h"

struct fixture {
	char dir[64]; /* the root filesystem */
	struct spec spec;
	struct host host;
	struct container_args args;
	char out[65536]; /* stdout and stderr of the last run */
	struct err err;
};

static const char *const fixture_applets[] = { "sh",    "true", "false",    "cat",    "echo",  "id",    "ls",   "env",
					       "sleep", "stat", "hostname", "mkdir",  "mknod", "touch", "grep", "readlink",
					       "pwd",   "kill", "mount",    "umount", "wc",    "stty",  "ps",   "test",
					       "head",  "rm",   "ln",       "tty",    "ulimit" };

static inline void fixture_file(struct fixture *f, const char *path, const char *text)
{
	char full[256];
	int fd;

	snprintf(full, sizeof(full), "%s%s", f->dir, path);
	fd = open(full, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text))
		TAP_FAIL("%s: %s", full, strerror(errno));
	close(fd);
}

static inline void fixture_mkdir(struct fixture *f, const char *path)
{
	char full[256];

	snprintf(full, sizeof(full), "%s%s", f->dir, path);
	if (mkdir(full, 0755) < 0 && errno != EEXIST)
		TAP_FAIL("%s: %s", full, strerror(errno));
}

static inline void fixture_link(struct fixture *f, const char *to, const char *path)
{
	char full[256];

	snprintf(full, sizeof(full), "%s%s", f->dir, path);
	if (symlink(to, full) < 0)
		TAP_FAIL("%s: %s", full, strerror(errno));
}

static inline void fixture_copy(struct fixture *f, const char *from, const char *path)
{
	char full[256], chunk[65536];
	int in = open(from, O_RDONLY | O_CLOEXEC), out;
	ssize_t n;

	snprintf(full, sizeof(full), "%s%s", f->dir, path);
	out = open(full, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0755);
	if (in < 0 || out < 0)
		skip("needs busybox-static at /bin/busybox");
	while ((n = read(in, chunk, sizeof(chunk))) > 0)
		ok(write(out, chunk, (size_t)n) == n);
	close(in);
	close(out);
}

static inline void set_args(struct fixture *f, const char *const *argv)
{
	strv_free(f->spec.process.args);
	f->spec.process.args = NULL;
	for (; *argv; argv++)
		ok(strv_push(&f->spec.process.args, *argv) == 0);
}
#define ARGS(f, ...) set_args(f, (const char *const[]){ __VA_ARGS__, NULL })

static inline bool can_make_containers(void)
{
	pid_t pid = fork();
	int st;

	if (pid == 0)
		_exit(unshare(CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET) < 0);
	return pid > 0 && waitpid(pid, &st, 0) == pid && st == 0;
}

/* Fills f; skips the test where the host can't do it. */
static inline void fixture_init(struct fixture *f)
{
	memset(f, 0, sizeof(*f));
	if (geteuid() != 0)
		skip("needs root");
	if (!can_make_containers())
		skip("may not make namespaces here");
	strcpy(f->dir, "/tmp/berth-test.XXXXXX");
	ok(mkdtemp(f->dir) != NULL && chmod(f->dir, 0755) == 0); /* for users that are not root */
	for (const char *const *d = (const char *const[]){ "/bin", "/etc", "/proc", "/sys", "/dev", "/tmp", NULL }; *d; d++)
		fixture_mkdir(f, *d);
	fixture_copy(f, "/bin/busybox", "/bin/busybox");
	for (size_t i = 0; i < ARRAY_SIZE(fixture_applets); i++) {
		char path[32];

		snprintf(path, sizeof(path), "/bin/%s", fixture_applets[i]);
		fixture_link(f, "busybox", path);
	}
	if (getenv("PROBE"))
		fixture_copy(f, getenv("PROBE"), "/bin/probe");
	fixture_file(f, "/etc/passwd",
		     "root:x:0:0:root:/root:/bin/sh\nalice:x:1000:1001:Alice:/home/alice:/bin/sh\n10:x:0:0::/:/bin/sh\n");
	fixture_file(f, "/etc/group", "root:x:0:\nstaff:x:50:alice,bob\nusers:x:1001:\nwheel:x:10:bob\n");
	is_int(spec_default(&f->spec, &f->err), 0);
	free(f->spec.root_path);
	f->spec.root_path = strdup(f->dir);
	is_int(host_probe_cgroup(&f->host, &f->err), 0);
	f->args = (struct container_args){ .spec = &f->spec,
					   .id = "test",
					   .host = &f->host,
					   .rootfd = -1,
					   .stdio = { 0, 1, 2 },
					   .no_cgroup = true,
					   .allows_ping = true,
					   .die_with_parent = true };
	ARGS(f, "true");
}

static inline void fixture_done(struct fixture *f)
{
	spec_done(&f->spec);
	host_done(&f->host);
	ok(rm_rf(AT_FDCWD, f->dir) == 0);
}

/* Tests that need bin/probe call this after fixture_init. */
static inline void needs_probe(struct fixture *f)
{
	if (!getenv("PROBE")) {
		fixture_done(f);
		skip("needs PROBE, a static build of probe.c");
	}
}

/* One more mount in the spec; options end with NULL. */
static inline struct spec_mount *add_mount(struct fixture *f, const char *type, const char *source, const char *dest,
					   const char *options)
{
	struct spec_mount *m = reallocarray(f->spec.mounts, f->spec.n_mounts + 1, sizeof(*m));

	ok(m != NULL);
	f->spec.mounts = m;
	m += f->spec.n_mounts++;
	*m = (struct spec_mount){
		.destination = strdup(dest), .type = strdup(type), .source = strdup(source), .options = strv_split(options, ',')
	};
	return m;
}

static inline struct spec_mount *find_mount(struct fixture *f, const char *dest)
{
	for (size_t i = 0; i < f->spec.n_mounts; i++)
		if (streq(f->spec.mounts[i].destination, dest))
			return &f->spec.mounts[i];
	TAP_FAIL("the spec has no mount at %s", dest);
}

static inline void drop_mount(struct fixture *f, const char *dest)
{
	struct spec_mount *m = find_mount(f, dest);
	size_t i = (size_t)(m - f->spec.mounts);

	free(m->destination);
	free(m->type);
	free(m->source);
	strv_free(m->options);
	memmove(m, m + 1, (f->spec.n_mounts - i - 1) * sizeof(*m));
	f->spec.n_mounts--;
}

/* Creates, starts and reaps; *ret_status as from waitpid. stdout and stderr are in f->out. */
static inline int fixture_run(struct fixture *f, int *ret_status)
{
	struct container *c = NULL;
	size_t n = 0;
	bool oom;
	int fds[2], r;

	ok(pipe2(fds, O_CLOEXEC) == 0);
	f->args.stdio[0] = open("/dev/null", O_RDONLY | O_CLOEXEC);
	f->args.stdio[1] = f->args.stdio[2] = fds[1];
	f->err = (struct err){ 0 };
	r = container_create(&f->args, &c, &f->err);
	if (r == 0)
		r = container_start(c, &f->err);
	close(fds[1]);
	close(f->args.stdio[0]);
	for (int i = 0; i < 3; i++)
		f->args.stdio[i] = i;
	for (ssize_t k; n + 1 < sizeof(f->out) && (k = read(fds[0], f->out + n, sizeof(f->out) - 1 - n)) > 0;)
		n += (size_t)k;
	f->out[n] = 0;
	close(fds[0]);
	if (r == 0)
		r = container_reap(c, ret_status, &oom, &f->err);
	container_destroy(c);
	return r;
}

/* In a user namespace whose ids are shifted by 100000. forget_userns before fixture_done: the map is no string of the spec's. */
static inline void use_userns(struct fixture *f)
{
	static struct spec_idmap by_100000 = { .container_id = 0, .host_id = 100000, .size = 65536 };

	f->spec.ns.wanted[NS_USER] = true;
	f->spec.uid_mappings = f->spec.gid_mappings = &by_100000;
	f->spec.n_uid_mappings = f->spec.n_gid_mappings = 1;
}

static inline void forget_userns(struct fixture *f)
{
	f->spec.uid_mappings = f->spec.gid_mappings = NULL;
	f->spec.n_uid_mappings = f->spec.n_gid_mappings = 0;
}

/* The command's exit code by the shell's convention; the run itself must work. */
static inline int run_exit(struct fixture *f)
{
	int status = -1, r = fixture_run(f, &status);

	if (r < 0)
		TAP_FAIL("run: %s", f->err.msg);
	return status_to_exit(status);
}

/* Runs sh -c script; fails the test unless it ends with 0. */
static inline const char *sh(struct fixture *f, const char *script)
{
	int code;

	ARGS(f, "sh", "-c", script);
	code = run_exit(f);
	if (code != 0)
		TAP_FAIL("sh -c '%s' ended with %d: %s", script, code, f->out);
	return f->out;
}

/* The run must be refused; the error's text. */
static inline const char *refused(struct fixture *f)
{
	int status = -1;

	if (fixture_run(f, &status) == 0)
		TAP_FAIL("was not refused; status %d, output: %s", status, f->out);
	return f->err.msg;
}

static inline int count_fds(void)
{
	DIR *d = opendir("/proc/self/fd");
	int n = 0;

	ok(d != NULL);
	while (readdir(d))
		n++;
	closedir(d);
	return n;
}
