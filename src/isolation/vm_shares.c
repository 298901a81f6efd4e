/* vm_shares: the volumes of a guest. One server serves one directory; that directory is a tmpfs in a mount namespace which
 * only the server sees, and each volume is bound into it under its name:
 *
 *   RUN/containers/ID/shares/0   a directory or a file of the host, read-only mounts as such: the host enforces it
 *
 * A pod's machine has the volumes of all of its containers, so that their names begin with the container's: ID.0.
 *
 * So the server can reach nothing but the volumes (V10), whatever the guest asks of it. For berth-vmm it is berth-fs, which
 * confines itself further (vmm/fs/jail.c); for QEMU it is virtiofsd, confined here. */
#include <linux/capability.h>
#include <linux/mount.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "vm_impl.h"
#include "vm_jail.h"

#define SHARES_DIR  "shares"
#define SOCKET_NAME "virtiofs.sock"

/* A place to mount onto, of the same kind as what is mounted. */
static int make_place(int dirfd, const char *name, mode_t mode)
{
	int fd;

	if (S_ISDIR(mode))
		return mkdirat(dirfd, name, 0700) < 0 ? -errno : 0;
	fd = openat(dirfd, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	fd_close(fd);
	return 0;
}

static int bind_share(int dirfd, const struct vm_share *share, struct err *e)
{
	struct mount_attr ro = { .attr_set = MOUNT_ATTR_RDONLY };
	_cleanup_fd_ int tree = open_tree(AT_FDCWD, share->source, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE);
	struct stat st;
	int r;

	if (tree < 0 || fstat(tree, &st) < 0)
		return err_set(e, errno, "volume %s: %s", share->source, strerror(errno));
	if (!S_ISDIR(st.st_mode) && !S_ISREG(st.st_mode))
		return err_set(e, EINVAL,
			       "volume %s: neither a directory nor a file, which is all that a virtual machine can be given",
			       share->source);
	if (share->is_readonly && mount_setattr(tree, "", AT_EMPTY_PATH | AT_RECURSIVE, &ro, sizeof(ro)) < 0)
		return err_set(e, errno, "volume %s: read-only: %s", share->source, strerror(errno));
	r = make_place(dirfd, share->name, st.st_mode);
	if (r < 0 || move_mount(tree, "", dirfd, share->name, MOVE_MOUNT_F_EMPTY_PATH) < 0)
		return err_set(e, r < 0 ? -r : errno, "volume %s: %s", share->source, strerror(r < 0 ? -r : errno));
	return 0;
}

/* virtiofsd is root: it acts as any user of the guest on the volumes. These it needs for that, or to confine itself (a root of
 * its own, seccomp, fewer capabilities still); the rest can't be gained back. */
#define CAP(c) (1ull << CAP_##c)
static const uint64_t kept_caps = CAP(CHOWN) | CAP(DAC_OVERRIDE) | CAP(FOWNER) | CAP(FSETID) | CAP(SETGID) | CAP(SETUID) |
				  CAP(MKNOD) | CAP(SETFCAP) | CAP(SETPCAP) | CAP(SYS_ADMIN) | CAP(SYS_RESOURCE) |
				  CAP(DAC_READ_SEARCH);

static int confine(struct err *e)
{
	const struct rlimit no_core = { 0, 0 };

	vm_jail_bound(kept_caps);
	if (unshare(CLONE_NEWIPC | CLONE_NEWUTS) < 0 || setrlimit(RLIMIT_CORE, &no_core) < 0 ||
	    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return err_set(e, errno, "confinement of the volumes' server: %s", strerror(errno));
	return 0;
}

/* In the child: its own mount namespace, nothing of which reaches the host. */
static int stage(const char *dir, const struct vm_share *shares, size_t n, struct err *e)
{
	struct mount_attr ro = { .attr_set = MOUNT_ATTR_RDONLY };
	_cleanup_fd_ int dirfd = -1;
	int r = 0;

	r = mount_ns_new(MS_SLAVE);
	if (r < 0)
		return err_set(e, -r, "staging of the volumes: mount namespace: %s", strerror(-r));
	if (mount("berth-shares", dir, "tmpfs", MS_NOSUID | MS_NODEV, "mode=0700,size=1m") < 0)
		return err_set(e, errno, "staging of the volumes: %s", strerror(errno));
	dirfd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dirfd < 0)
		return err_set(e, errno, "%s: %s", dir, strerror(errno));
	for (size_t i = 0; i < n && r >= 0; i++)
		r = bind_share(dirfd, &shares[i], e);
	/* The directory of numbers itself is nobody's to change. */
	if (r >= 0 && mount_setattr(dirfd, "", AT_EMPTY_PATH, &ro, sizeof(ro)) < 0)
		return err_set(e, errno, "staging of the volumes: read-only: %s", strerror(errno));
	return r;
}

struct server {
	const char *program; /* virtiofsd; NULL: berth-fs */
	int program_fd;      /* berth-fs */
	const char *dir;
	const struct vm_share *shares;
	size_t n;
	int listenfd, said; /* its end of the socket; where it says why it could not begin, or has ended */
	int errors, go;     /* go: EOF once it is in its cgroup, where its own children are to be as well */
	pid_t parent;
};

static void exec_virtiofsd(const struct server *s, struct err *e)
{
	char fd_arg[32], source[PATH_MAX + 16];

	snprintf(fd_arg, sizeof(fd_arg), "--fd=%d", s->listenfd);
	snprintf(source, sizeof(source), "source=%s", s->dir);
	if (confine(e) < 0)
		return;
	if (fd_cloexec(s->listenfd, false) < 0 || dup2(s->said, STDERR_FILENO) < 0) {
		err_set(e, errno, "virtiofsd: descriptors: %s", strerror(errno));
		return;
	}
	/* announce_submounts: volumes of different file systems have inode numbers in common, and "the same file" must
	 * not be said of two. */
	execl(s->program, "virtiofsd", fd_arg, "-o", source, "-o", "cache=auto,xattr,announce_submounts,sandbox=namespace", "-o",
	      "log_level=err", (char *)NULL);
	err_set(e, errno, "%s: %s", s->program, strerror(errno));
}

static char **berth_fs_words(const struct server *s)
{
	_cleanup_strv_ char **v = NULL;
	int r = strv_push(&v, "berth-fs");

	for (size_t i = 0; i < s->n && r >= 0; i++)
		if (s->shares[i].trust)
			r = strv_push_take(&v, str_fmt("%s=%s", s->shares[i].trust, s->shares[i].name));
	return r < 0 ? NULL : TAKE_PTR(v);
}

/* Its descriptors: null, null, said, socket, tree (main/berth-fs.c); what else it inherits it closes itself. */
static void exec_berth_fs(struct server *s, struct err *e)
{
	_cleanup_free_ char *build = str_fmt("BERTH_BUILD_ID=%s", build_id());
	_cleanup_strv_ char **argv = berth_fs_words(s);
	char *env[] = { build, NULL };
	int from[] = { open("/dev/null", O_RDWR | O_CLOEXEC), -1, s->said, s->listenfd,
		       open(s->dir, O_PATH | O_DIRECTORY | O_CLOEXEC) };
	int program = fcntl(s->program_fd, F_DUPFD_CLOEXEC, 64);

	from[1] = from[0];
	s->errors = fcntl(s->errors, F_DUPFD_CLOEXEC, 64);
	for (size_t i = 0; i < ARRAY_SIZE(from); i++)
		from[i] = fcntl(from[i], F_DUPFD_CLOEXEC, 64); /* above all places */
	for (size_t i = 0; i < ARRAY_SIZE(from); i++)
		if (!build || !argv || program < 0 || s->errors < 0 || dup2(from[i], (int)i) < 0) {
			err_set(e, errno, "berth-fs: descriptors: %s", strerror(errno));
			return;
		}
	syscall(SYS_execveat, program, "", argv, env, AT_EMPTY_PATH);
	err_set(e, errno, "berth-fs: %s", strerror(errno));
}

static _noreturn_ void child(struct server *s)
{
	struct err e = { 0 };
	sigset_t none;
	char c;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	if (fd_read_full(s->go, &c, 1) != 0)
		_exit(1);
	/* berth-fs is in a pid namespace of its own, where getppid shows nothing; it sees its socket close. */
	if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0 || (s->program && getppid() != s->parent))
		_exit(1);
	if (stage(s->dir, s->shares, s->n, &e) >= 0) {
		if (s->program)
			exec_virtiofsd(s, &e);
		else
			exec_berth_fs(s, &e);
	}
	(void)!write(s->errors, &e, sizeof(e));
	_exit(1);
}

/* The child's word, or its exec, which closes the pipe. */
static int hear(int fd, struct err *e)
{
	struct err ce;
	ssize_t n = fd_read_full(fd, &ce, sizeof(ce));

	if (n == 0)
		return 0;
	if (n != (ssize_t)sizeof(ce))
		return err_set(e, EIO, "the server of the volumes ended at once");
	if (e)
		*e = ce;
	return -(ce.no > 0 ? ce.no : EIO);
}

static int spawn_server(struct server *s, struct cgroup *cg, pid_t *ret_pid, struct err *e)
{
	int p[2], go[2], r;
	pid_t pid;

	if (pipe2(p, O_CLOEXEC) < 0)
		return err_set(e, errno, "pipe: %s", strerror(errno));
	if (pipe2(go, O_CLOEXEC) < 0) {
		r = err_set(e, errno, "pipe: %s", strerror(errno));
		fd_close(p[0]);
		fd_close(p[1]);
		return r;
	}
	s->errors = p[1];
	s->go = go[0];
	s->parent = getpid();
	/* No CLONE_VM and no stack: a fork. */
	pid = (pid_t)syscall(SYS_clone, (s->program ? 0 : CLONE_NEWPID) | SIGCHLD, NULL, NULL, NULL, 0);
	if (pid == 0) {
		fd_close(go[1]);
		child(s);
	}
	r = pid < 0 ? err_set(e, errno, "fork: %s", strerror(errno)) : vm_cgroup_attach(cg, pid, e);
	if (r < 0 && pid > 0)
		kill(pid, SIGKILL);
	fd_close(p[1]);
	fd_close(go[0]);
	fd_close(go[1]);
	if (r >= 0)
		r = hear(p[0], e);
	fd_close(p[0]);
	if (r < 0 && pid > 0)
		waitpid(pid, NULL, 0);
	if (r >= 0)
		*ret_pid = pid;
	return r;
}

/* Both ends of a berth-fs's socket, and its program. */
static int prepare_own(const struct instance_config *cfg, int *ret_listenfd, int *ret_sock, int *ret_program, struct err *e)
{
	_cleanup_free_ char *program = NULL;
	int sv[2], r = paths_sibling(cfg->paths, "berth-fs", &program, e);

	if (r < 0)
		return r;
	*ret_program = open(program, O_PATH | O_CLOEXEC);
	if (*ret_program < 0)
		return err_set(e, errno, "%s: %s", program, strerror(errno));
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sv) < 0)
		return err_set(e, errno, "socketpair: %s", strerror(errno));
	*ret_listenfd = sv[0];
	*ret_sock = sv[1];
	return 0;
}

static int prepare_virtiofsd(const struct instance_config *cfg, int *ret_listenfd, int *ret_sock, char **ret_program,
			     struct err *e)
{
	_cleanup_fd_ int listenfd = -1;
	int r;

	*ret_program = spawn_find("virtiofsd");
	if (!*ret_program)
		return err_set(e, ENOENT, "volumes of a virtual machine need virtiofsd: install qemu-system-common");
	/* The name is gone as soon as both ends have what they need. */
	unlinkat(cfg->rundirfd, SOCKET_NAME, 0);
	listenfd = r = sock_unix_listen(cfg->rundirfd, SOCKET_NAME, 0600);
	if (r >= 0)
		*ret_sock = r = sock_unix_connect(cfg->rundirfd, SOCKET_NAME);
	unlinkat(cfg->rundirfd, SOCKET_NAME, 0);
	if (r < 0)
		return err_set(e, -r, "%s/" SOCKET_NAME ": %s", cfg->rundir, strerror(-r));
	*ret_listenfd = TAKE_FD(listenfd);
	return 0;
}

int vm_shares_start(const struct instance_config *cfg, const struct vm_shares_plan *p, struct cgroup *cg, pid_t *ret_pid,
		    int *ret_sock, struct err *e)
{
	_cleanup_free_ char *program = NULL, *dir = str_fmt("%s/" SHARES_DIR, cfg->rundir);
	_cleanup_fd_ int listenfd = -1, sock = -1, program_fd = -1;
	struct server s = { .dir = dir, .shares = p->shares, .n = p->n, .said = p->said };
	int r;

	if (!dir || (mkdirat(cfg->rundirfd, SHARES_DIR, 0700) < 0 && errno != EEXIST))
		return err_set(e, errno, "%s/" SHARES_DIR ": %s", cfg->rundir, strerror(errno));
	r = p->by_virtiofsd ? prepare_virtiofsd(cfg, &listenfd, &sock, &program, e)
			    : prepare_own(cfg, &listenfd, &sock, &program_fd, e);
	if (r < 0)
		return r;
	s.program = program;
	s.program_fd = program_fd;
	s.listenfd = listenfd;
	r = spawn_server(&s, cg, ret_pid, e);
	if (r < 0)
		return r;
	*ret_sock = TAKE_FD(sock);
	return 0;
}
