/* SCMP_ACT_NOTIFY: an agent gets the listener with the state of the container's process, and decides. */
#include <linux/seccomp.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "fixture.h"

#define S(text) ((char[]){ text })

/* A directory with the agent's socket, and the agent: a child that answers every call with EXDEV and copies the state that it was
 * sent to the file `state`. */
struct agent {
	char dir[64], path[80];
	pid_t pid;
};

_noreturn_ static void serve(int sock, const char *dir)
{
	struct seccomp_notif_resp resp;
	struct seccomp_notif req;
	char text[4096], path[80];
	int conn = accept(sock, NULL, NULL), listener = -1, out;
	size_t n_fds = 1;
	ssize_t n = sock_recv_fds(conn, text, sizeof(text) - 1, &listener, &n_fds);

	snprintf(path, sizeof(path), "%s/state", dir);
	out = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	/* One state a connection, and then its end. */
	if (n <= 0 || n_fds != 1 || out < 0 || write(out, text, (size_t)n) != n || read(conn, text, 1) != 0)
		_exit(1);
	for (;;) {
		memset(&req, 0, sizeof(req));
		if (ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &req) < 0)
			_exit(errno == ENOENT ? 0 : 2);
		resp = (struct seccomp_notif_resp){ .id = req.id, .error = -EXDEV };
		if (ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &resp) < 0 && errno != ENOENT)
			_exit(3);
	}
}

static void agent_start(struct agent *a)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int sock = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	strcpy(a->dir, "/tmp/berth-agent.XXXXXX");
	ok(sock >= 0 && mkdtemp(a->dir) != NULL);
	snprintf(a->path, sizeof(a->path), "%s/sock", a->dir);
	memcpy(addr.sun_path, a->path, strlen(a->path) + 1);
	ok(bind(sock, (const struct sockaddr *)&addr, sizeof(addr)) == 0 && listen(sock, 8) == 0);
	a->pid = fork();
	if (a->pid == 0)
		serve(sock, a->dir);
	ok(a->pid > 0);
	close(sock);
}

/* The state that the agent was sent; caller puts. */
static struct json_object *agent_state(const struct agent *a)
{
	struct json_object *o = NULL;
	struct err e = { 0 };
	char path[80], text[4096];
	int fd;

	snprintf(path, sizeof(path), "%s/state", a->dir);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : fd_read_full(fd, text, sizeof(text));
	ok(n > 0);
	close(fd);
	if (json_parse(text, (size_t)n, "state", &o, &e) < 0)
		TAP_FAIL("%s", e.msg);
	return o;
}

static void agent_end(struct agent *a)
{
	kill(a->pid, SIGKILL);
	ok(waitpid(a->pid, NULL, 0) == a->pid && rm_rf(AT_FDCWD, a->dir) == 0);
}

static const char *member(struct json_object *o, const char *key)
{
	struct json_object *v = NULL;

	json_object_object_get_ex(o, key, &v);
	return v ? json_object_to_json_string_ext(v, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE) : "";
}

static char act_notify[] = "SCMP_ACT_NOTIFY", act_allow[] = "SCMP_ACT_ALLOW", meta[] = "meta data";
static char *mkdirs[] = { S("mkdir"), S("mkdirat"), S("mknodat"), NULL };

static struct spec_seccomp profile_for(const char *path, struct spec_seccomp_rule *rule)
{
	*rule = (struct spec_seccomp_rule){ .names = mkdirs, .action = act_notify };
	return (struct spec_seccomp){ .default_action = act_allow,
				      .listener_path = (char *)(uintptr_t)path,
				      .listener_metadata = meta,
				      .rules = rule,
				      .n_rules = 1 };
}

static void use_profile(struct fixture *f, struct spec_seccomp *p, struct seccomp_prog *prog)
{
	f->spec.seccomp = p;
	if (container_seccomp_get(&f->spec, NULL, prog, &f->err) < 0)
		TAP_FAIL("%s", f->err.msg);
	f->args.seccomp = prog;
	f->args.bundle = "/the/bundle";
}

static void done(struct fixture *f, struct seccomp_prog *prog)
{
	f->spec.seccomp = NULL;
	seccomp_prog_done(prog);
	fixture_done(f);
}

TEST(the_agent_decides_and_has_the_state_of_the_process)
{
	char *const flags[] = { S("SECCOMP_FILTER_FLAG_TSYNC"), S("SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"),
				S("SECCOMP_FILTER_FLAG_LOG"), NULL };
	struct spec_seccomp_rule rule;

	for (int i = 0; i < 4; i++) {
		struct seccomp_prog prog;
		struct spec_seccomp p;
		struct json_object *o;
		struct agent a;
		struct fixture f;

		fixture_init(&f);
		agent_start(&a);
		p = profile_for(a.path, &rule);
		p.flags = i & 1 ? (char **)(uintptr_t)flags : NULL;
		f.spec.process.no_new_privs = i & 2;
		ok(map_set(&f.spec.annotations, "k", "v") == 0);
		use_profile(&f, &p, &prog);
		is_str(sh(&f, "mkdir /dev/shm/x 2>&1; test -d /dev/shm/x || echo none"),
		       "mkdir: can't create directory '/dev/shm/x': Invalid cross-device link\nnone\n");
		o = agent_state(&a);
		is_str(member(o, "fds"), "[\"seccompFd\"]");
		is_str(member(o, "metadata"), "\"meta data\"");
		is_str(member(o, "ociVersion"), "\"1.2.0\"");
		ok(strtol(member(o, "pid"), NULL, 10) > 1);
		has_str(member(o, "state"), "\"id\":\"test\",\"status\":\"created\",\"pid\":");
		has_str(member(o, "state"), "\"bundle\":\"/the/bundle\",\"annotations\":{\"k\":\"v\"}}");
		json_object_put(o);
		agent_end(&a);
		done(&f, &prog);
	}
}

TEST(an_exec_has_a_listener_of_its_own)
{
	struct container_exec_args x = { .stdio = { 0, 1, 2 } };
	struct spec_seccomp_rule rule;
	struct seccomp_prog prog;
	struct spec_seccomp p;
	struct spec_process proc;
	struct json_object *o;
	struct container *c;
	struct fixture f;
	struct agent a;
	int pidfd, console, status;
	char pid_text[16];
	pid_t pid;

	fixture_init(&f);
	agent_start(&a);
	p = profile_for(a.path, &rule);
	use_profile(&f, &p, &prog);
	f.args.seccomp = NULL; /* of the first process: the agent serves one connection */
	ARGS(&f, "sleep", "100");
	if (container_create(&f.args, &c, &f.err) < 0 || container_start(c, &f.err) < 0)
		TAP_FAIL("%s", f.err.msg);
	spec_process_init(&proc);
	ok(strv_push(&proc.args, "sh") == 0 && strv_push(&proc.args, "-c") == 0 &&
	   strv_push(&proc.args, "! mkdir /dev/shm/x 2>/dev/null") == 0);
	x.process = &proc;
	x.seccomp = &prog;
	if (container_exec(c, &x, &pid, &pidfd, &console, &f.err) < 0)
		TAP_FAIL("%s", f.err.msg);
	close(pidfd);
	ok(waitpid(pid, &status, 0) == pid);
	is_int(status, 0);
	o = agent_state(&a);
	snprintf(pid_text, sizeof(pid_text), "%d", (int)pid);
	is_str(member(o, "pid"), pid_text);
	snprintf(pid_text, sizeof(pid_text), ":%d,", (int)container_pid(c));
	has_str(member(o, "state"), "\"status\":\"running\"");
	has_str(member(o, "state"), pid_text);
	json_object_put(o);
	spec_process_done(&proc);
	container_destroy(c);
	agent_end(&a);
	done(&f, &prog);
}

TEST(without_its_agent_nothing_of_the_users_runs)
{
	struct spec_seccomp_rule rule;
	struct seccomp_prog prog;
	struct spec_seccomp p;
	struct fixture f;
	int fds;

	fixture_init(&f);
	p = profile_for("/tmp/no-such-agent/sock", &rule);
	use_profile(&f, &p, &prog);
	ARGS(&f, "echo", "ran");
	has_str(refused(&f), "seccomp listener /tmp/no-such-agent/sock: No such file or directory (does the agent run?)");
	is_str(f.out, "");
	fds = count_fds();
	for (int i = 0; i < 10; i++)
		refused(&f);
	is_int(count_fds(), fds);
	ok(waitpid(-1, NULL, WNOHANG) < 0 && errno == ECHILD);
	done(&f, &prog);
}

TEST(a_listener_path_that_nothing_notifies_is_ignored)
{
	struct spec_seccomp p = { .default_action = S("SCMP_ACT_ALLOW"), .listener_path = S("/no/such") };
	struct seccomp_prog prog;
	struct fixture f;

	fixture_init(&f);
	use_profile(&f, &p, &prog);
	is_str(sh(&f, "echo ran"), "ran\n");
	done(&f, &prog);
}

TAP_MAIN()
