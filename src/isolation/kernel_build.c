/* kernel_build: a tuned kernel for guests, built by the script build-kernel (guest/ of the source tree; installed beside the
 * other programs), looked over, and taken into the store. The script works in ROOT/kernels/.build, which it locks, and leaves
 * there a directory that is whole or absent; what it is working in vanishes with it, or at the next call. */
#include <stdio.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "vm_impl.h"

#define SCRIPT     "build-kernel"
#define ANSWER_MAX (64u << 10)
#define CONFIG_MAX (4u << 20)

/* What a guest can't do without: each as the configuration has to say it, for whom. Linux 6.1's names. */
static const struct need {
	const char *option, *why;
} needs[] = {
	{ "CONFIG_PVH=y", "to be entered as an ELF file" },
	{ "CONFIG_SMP=y", "several CPUs" },
	{ "CONFIG_KVM_GUEST=y", "a clock" },
	{ "CONFIG_ACPI=y", "the machine's description" },
	{ "CONFIG_PCI_MSI=y", "the devices' interrupts" },
	{ "CONFIG_BLK_DEV_INITRD=y", "berth-init" },
	{ "CONFIG_DEVTMPFS=y", "/dev" },
	{ "CONFIG_SERIAL_8250_CONSOLE=y", "the console" },
	{ "CONFIG_VIRTIO_PCI=y", "berth-vmm's devices" },
	{ "CONFIG_VIRTIO_MMIO=y", "QEMU's devices" },
	{ "CONFIG_VIRTIO_BLK=y", "disks" },
	{ "CONFIG_VIRTIO_CONSOLE=y", "the agent's port" },
	{ "CONFIG_VIRTIO_FS=y", "volumes" },
	{ "CONFIG_EROFS_FS=y", "images" },
	{ "CONFIG_EXT4_FS=y", "the writable layer" },
	{ "CONFIG_OVERLAY_FS=y", "both in one" },
	{ "CONFIG_CGROUPS=y", "limits" },
	{ "CONFIG_MEMCG=y", "limits of memory" },
	{ "CONFIG_CGROUP_BPF=y", "device rules" },
	{ "CONFIG_SECCOMP_FILTER=y", "the seccomp profile" },
	{ "CONFIG_USER_NS=y", "namespaces" },
	{ "CONFIG_PID_NS=y", "namespaces" },
	{ "CONFIG_NET_NS=y", "namespaces" },
	{ "CONFIG_IPC_NS=y", "namespaces" },
	{ "CONFIG_UTS_NS=y", "namespaces" },
};

static int check_config(const char *dir, struct err *e)
{
	_cleanup_free_ char *path = str_fmt("%s/config", dir), *text = NULL;
	int r = path ? file_read(AT_FDCWD, path, CONFIG_MAX, &text, NULL) : -ENOMEM;

	if (r < 0)
		return err_set(e, -r, "%s: %s", path ? path : dir, strerror(-r));
	for (size_t i = 0; i < ARRAY_SIZE(needs); i++) {
		_cleanup_free_ char *line = str_fmt("\n%s\n", needs[i].option);

		if (!line)
			return err_set(e, ENOMEM, "out of memory");
		if (!strstr(text, line))
			return err_set(e, EINVAL, "this kernel is not for Berth's guests: %s is missing, for %s", needs[i].option,
				       needs[i].why);
	}
	return 0;
}

static int check_image(const char *dir, struct err *e)
{
	_cleanup_free_ char *path = str_fmt("%s/vmlinux", dir);
	_cleanup_fd_ int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
	struct stat st;
	void *p;
	int r;

	if (fd < 0 || fstat(fd, &st) < 0 || st.st_size == 0)
		return err_set(e, errno ?: EIO, "%s: no kernel was built", path ? path : dir);
	p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (p == MAP_FAILED)
		return err_set(e, errno, "%s: %s", path, strerror(errno));
	r = vmlinux_check(p, (size_t)st.st_size, e);
	munmap(p, (size_t)st.st_size);
	return r < 0 ? err_push(e, r, "%s", path) : 0;
}

/* ---- the script ---- */

/* Its answer, one line: "ok TEXT" or "error TEXT" (-m). */
static int judge(char *text, int status, char **ret, struct err *e)
{
	const char *good = str_after(text, "ok "), *bad = str_after(text, "error ");

	text[strcspn(text, "\n")] = '\0';
	if (bad)
		return err_set(e, EIO, "%s", bad);
	if (WIFSIGNALED(status))
		return err_set(e, EINTR, SCRIPT " was killed by signal %d", WTERMSIG(status));
	if (!good || status != 0)
		return err_set(e, EIO, SCRIPT " ended with status %d and did not say why", WEXITSTATUS(status));
	*ret = strdup(good);
	return *ret ? 0 : err_set(e, ENOMEM, "out of memory");
}

static int run_script(const struct paths *p, char *const *args, char **ret, struct err *e)
{
	_cleanup_free_ char *path = NULL, *text = NULL;
	_cleanup_strv_ char **argv = NULL;
	_cleanup_fd_ int null = open("/dev/null", O_RDWR | O_CLOEXEC), ours = -1, theirs = -1;
	int ends[2], status = 0, r = paths_sibling(p, SCRIPT, &path, e);
	pid_t pid;

	if (r < 0)
		return r;
	if (strv_push(&argv, SCRIPT) < 0 || strv_push(&argv, "-m") < 0)
		return err_set(e, ENOMEM, "out of memory");
	for (; *args; args++)
		if (strv_push(&argv, *args) < 0)
			return err_set(e, ENOMEM, "out of memory");
	if (null < 0 || pipe2(ends, O_CLOEXEC) < 0)
		return err_set(e, errno, "make a pipe: %s", strerror(errno));
	ours = ends[0];
	theirs = ends[1];
	const int fds[][2] = { { null, 0 }, { theirs, 1 }, { 2, 2 } };
	const struct spawn s = {
		.path = path, .argv = argv, .fds = fds, .n_fds = ARRAY_SIZE(fds), .die_with_parent = true, .cwd_fd = -1
	};
	r = spawn_start(&s, &pid, NULL, e);
	if (r < 0)
		return err_push(e, r, "start " SCRIPT);
	theirs = fd_close(theirs);
	r = fd_read_all(ours, ANSWER_MAX, &text, NULL);
	ours = fd_close(ours);
	int waited = spawn_wait(pid, &status);
	if (r < 0 || waited < 0)
		return err_set(e, r < 0 ? -r : -waited, "read the answer of " SCRIPT ": %s", strerror(r < 0 ? -r : -waited));
	return judge(text, status, ret, e);
}

static int push_all(char ***args, const char *const *words, struct err *e)
{
	for (; *words; words++)
		if (strv_push(args, *words) < 0)
			return err_set(e, ENOMEM, "out of memory");
	return 0;
}

/* "-c FILE" by its whole path, where the user has one. */
static int config_args(const struct vm_kernel_build_opts *o, char ***args, struct err *e)
{
	_cleanup_free_ char *path = o->config ? realpath(o->config, NULL) : NULL;

	if (!o->config)
		return 0;
	if (!path)
		return err_set(e, errno, "--config: %s: %s", o->config, strerror(errno));
	return push_all(args, (const char *const[]){ "-c", path, NULL }, e);
}

/* "VERSION KEY" of what would be built; *ret_key: the second. */
static int ask_key(const struct paths *p, char *const *config, char **ret_key, struct err *e)
{
	_cleanup_strv_ char **args = strv_copy(config);
	_cleanup_free_ char *answer = NULL;
	const char *space;
	int r = push_all(&args, (const char *const[]){ "-k", NULL }, e);

	if (r >= 0)
		r = run_script(p, args, &answer, e);
	if (r < 0)
		return r;
	space = strchr(answer, ' ');
	*ret_key = strdup(space ? space + 1 : answer);
	return *ret_key ? 0 : err_set(e, ENOMEM, "out of memory");
}

static int build(const struct paths *p, const struct vm_kernel_build_opts *o, char *const *config, char **ret_dir, struct err *e)
{
	_cleanup_free_ char *work = str_fmt("%s/kernels/.build", p->root), *jobs = str_fmt("%lld", (long long)o->jobs);
	_cleanup_strv_ char **args = strv_copy(config);
	int r;

	if (!work || !jobs)
		return err_set(e, ENOMEM, "out of memory");
	r = mkdir_p(AT_FDCWD, work, 0700);
	if (r < 0)
		return err_set(e, -r, "%s: %s", work, strerror(-r));
	if (o->jobs > 0)
		r = push_all(&args, (const char *const[]){ "-j", jobs, NULL }, e);
	if (r >= 0 && o->is_quiet)
		r = push_all(&args, (const char *const[]){ "-q", NULL }, e);
	if (r >= 0)
		r = push_all(&args, (const char *const[]){ work, NULL }, e);
	return r < 0 ? r : run_script(p, args, ret_dir, e);
}

/* ---- all together ---- */

/* 1 and the one that has this key and is called as asked; 0: none. */
static int find_same(const struct paths *p, const char *key, const char *wanted, char **ret_name, struct err *e)
{
	struct vm_kernel_info *list = NULL;
	size_t n = 0;
	int r = vm_kernels(p, &list, &n, e);

	for (size_t i = 0; r == 0 && i < n; i++) {
		if (wanted && streq(list[i].name, wanted) && !streq0(list[i].key, key))
			r = err_set(e, EEXIST,
				    "there is a kernel %s already: remove it first (berth kernel rm), or choose another name",
				    wanted);
		else if (streq0(list[i].key, key) && (!wanted || streq(list[i].name, wanted))) {
			*ret_name = strdup(list[i].name);
			r = *ret_name ? 1 : err_set(e, ENOMEM, "out of memory");
		}
	}
	vm_kernels_free(list, n);
	return r;
}

/* "6.1.170-berth-0123abcd": what uname shows, and enough of the key to tell two of one version apart. */
static char *make_name(const char *dir, const char *key)
{
	_cleanup_free_ char *path = str_fmt("%s/build", dir), *text = NULL;
	const char *version;

	if (!path || file_read(AT_FDCWD, path, 4096, &text, NULL) < 0)
		return NULL;
	version = str_after(text, "version ");
	return version ? str_fmt("%.*s-%.8s", (int)strcspn(version, "\n"), version, key) : NULL;
}

int vm_kernel_build(const struct paths *p, const struct vm_kernel_build_opts *o, char **ret_name, struct err *e)
{
	_cleanup_free_ char *key = NULL, *dir = NULL, *name = o->name ? strdup(o->name) : NULL;
	_cleanup_strv_ char **config = NULL;
	int r;

	if (o->name && !vm_kernel_name_is_valid(o->name))
		return err_set(e, EINVAL, "--name: \"%s\" can't name a kernel: letters, digits, \"_\", \".\" and \"-\" can",
			       o->name);
	r = config_args(o, &config, e);
	if (r >= 0)
		r = ask_key(p, config, &key, e);
	if (r >= 0)
		r = find_same(p, key, o->name, ret_name, e);
	if (r != 0)
		return MIN(r, 0);
	r = build(p, o, config, &dir, e);
	if (r >= 0)
		r = check_image(dir, e);
	if (r >= 0)
		r = check_config(dir, e);
	if (r >= 0 && !name && !(name = make_name(dir, key)))
		r = err_set(e, EIO, "%s: " SCRIPT " did not say which version it is", dir);
	if (r >= 0)
		r = vm_kernel_take(p, name, dir, e);
	if (dir)
		rm_rf(AT_FDCWD, dir);
	if (r < 0)
		return r;
	*ret_name = TAKE_PTR(name);
	return 0;
}
