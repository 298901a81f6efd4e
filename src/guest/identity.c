/* identity: who a guest is, once it has been copied. A copy wakes up in the middle of what its original did, with the same random
 * numbers to come, the same names, and a clock that stands where the original's was. The host says what is to be different (FRAME_RESTORE),
 * and here it becomes so, while the container's processes still stand still: nothing of it runs with the old identity.
 *
 *   seed          first of all, since whatever comes next may need random numbers (random(4): RNDADDENTROPY, RNDRESEEDCRNG)
 *   clock         CLOCK_REALTIME; the monotonic clock has gone on without a leap
 *   names         in a child that joins the container's namespaces: host name, /etc/hostname, the host's name in /etc/hosts,
 *                 /etc/machine-id where there is one (machine-id(5)), boot_id by a file mounted over the kernel's, which is fixed
 *   interfaces    hardware addresses, addresses and routes of its network cards (interfaces.c), by the agent itself
 *
 * The document comes from the host, the files are the container's: nothing of theirs is followed (O_NOFOLLOW), and all is the guest's own. */
#include <linux/mount.h>
#include <sched.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "guest.h"

#define BOOT_ID_FILE "/boot_id" /* of the initramfs */
#define BOOT_ID      "/proc/sys/kernel/random/boot_id"
#define HOSTS_MAX    (64u << 10)

static const struct field identity_rows[] = {
	{ "time_ns", FIELD_U64, offsetof(struct guest_identity, time_ns), FIELD_REQUIRED },
	{ "entropy", FIELD_STRING, offsetof(struct guest_identity, entropy_b64), FIELD_REQUIRED },
	{ "hostname", FIELD_STRING, offsetof(struct guest_identity, hostname) },
	{ "machine_id", FIELD_STRING, offsetof(struct guest_identity, machine_id), FIELD_REQUIRED },
	{ "boot_id", FIELD_STRING, offsetof(struct guest_identity, boot_id), FIELD_REQUIRED },
	{ "interfaces", FIELD_ARRAY, offsetof(struct guest_identity, interfaces), FIELD_OMIT_EMPTY, guest_interface_rows,
	  sizeof(struct guest_interface), offsetof(struct guest_identity, n_interfaces) },
	{ .name = NULL },
};

int guest_identity_parse(const char *text, size_t len, struct guest_identity *ret, struct err *e)
{
	_cleanup_json_ struct json_object *o = NULL;
	struct guest_identity id = { NULL };
	int r = json_parse(text, len, "identity", &o, e);

	if (r >= 0)
		r = json_read(o, identity_rows, &id, "", e);
	if (r >= 0 && (strlen(id.machine_id) != 32 || strlen(id.boot_id) != 36))
		r = err_set(e, EINVAL, "identity: machine_id has 32 digits and boot_id 36");
	if (r < 0) {
		guest_identity_done(&id);
		return r;
	}
	*ret = id;
	return 0;
}

struct json_object *guest_identity_json(const struct guest_identity *id) { return json_write(identity_rows, id); }

void guest_identity_done(struct guest_identity *id) { json_free_fields(identity_rows, id); }

int guest_seed(const char *b64, struct err *e)
{
	_cleanup_free_ uint8_t *bytes = NULL;
	size_t n = 0;

	if (base64_decode(b64, &bytes, &n) < 0)
		return err_set(e, EINVAL, "entropy: not base64");
	return guest_add_entropy(bytes, n, e);
}

/* ---- in the container's namespaces ---- */

static bool is_word_end(char c) { return c == '\0' || c == ' ' || c == '\t' || c == '\n' || c == '#'; }

/* Every word `from` becomes `to`. */
char *guest_replace_word(const char *text, const char *from, const char *to)
{
	_cleanup_buf_ struct buf out = { NULL };
	size_t n = strlen(from);

	for (const char *p = text; *p;) {
		bool begins = p == text || is_word_end(p[-1]);

		if (n && begins && strncmp(p, from, n) == 0 && is_word_end(p[n])) {
			buf_str(&out, to);
			p += n;
		} else {
			buf_add(&out, p++, 1);
		}
	}
	buf_str(&out, ""); /* never NULL, unless there is no memory */
	return buf_take(&out);
}

/* A file that is there gets this content; one that is not, or is no plain file, stays so. */
static int rewrite(const char *path, const char *content, struct err *e)
{
	_cleanup_fd_ int fd = open(path, O_WRONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	struct stat st;
	int r;

	if (fd < 0 && (errno == EROFS || errno == ENOENT || errno == ELOOP || errno == ENOTDIR || errno == EISDIR))
		return 0;
	if (fd < 0 || fstat(fd, &st) < 0)
		return err_set(e, errno, "%s: %s", path, strerror(errno));
	if (!S_ISREG(st.st_mode))
		return 0;
	r = ftruncate(fd, 0) < 0 ? -errno : fd_write_full(fd, content, strlen(content));
	return r < 0 ? err_set(e, -r, "%s: %s", path, strerror(-r)) : 0;
}

static int rename_host(const char *old, const char *name, struct err *e)
{
	_cleanup_free_ char *line = str_fmt("%s\n", name), *hosts = NULL, *changed = NULL;
	int r;

	if (sethostname(name, strlen(name)) < 0)
		return err_set(e, errno, "host name %s: %s", name, strerror(errno));
	if (!line)
		return err_set(e, ENOMEM, "out of memory");
	r = rewrite("/etc/hostname", line, e);
	if (r < 0 || file_read(AT_FDCWD, "/etc/hosts", HOSTS_MAX, &hosts, NULL) < 0)
		return r;
	changed = guest_replace_word(hosts, old, name);
	return changed ? rewrite("/etc/hosts", changed, e) : err_set(e, ENOMEM, "out of memory");
}

static int rename_machine(const char *id, struct err *e)
{
	_cleanup_free_ char *line = str_fmt("%s\n", id);
	struct stat st;

	/* Empty: it is to be made by who boots (systemd); nobody has gone by one. */
	if (lstat("/etc/machine-id", &st) < 0 || st.st_size == 0)
		return 0;
	return line ? rewrite("/etc/machine-id", line, e) : err_set(e, ENOMEM, "out of memory");
}

static int join(int ns, int type, const char *what, struct err *e)
{
	return setns(ns, type) < 0 ? err_set(e, errno, "the container's %s namespace: %s", what, strerror(errno)) : 0;
}

static int take_names(const struct guest_identity *id, const int ns[2], int boot_id, struct err *e)
{
	char old[65] = "";
	int r = join(ns[0], CLONE_NEWUTS, "host name's", e);

	if (r >= 0)
		r = join(ns[1], CLONE_NEWNS, "mount", e);
	if (r < 0)
		return r;
	(void)gethostname(old, sizeof(old) - 1);
	if (id->hostname)
		r = rename_host(old, id->hostname, e);
	if (r >= 0)
		r = rename_machine(id->machine_id, e);
	if (r >= 0 && syscall(SYS_move_mount, boot_id, "", AT_FDCWD, BOOT_ID, MOVE_MOUNT_F_EMPTY_PATH) < 0 && errno != ENOENT)
		r = err_set(e, errno, BOOT_ID ": %s", strerror(errno));
	return r;
}

/* ---- from outside of them ---- */

static int open_ns(pid_t pid, const char *name, int *ret_fd, struct err *e)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/ns/%s", (int)pid, name);
	*ret_fd = open(path, O_RDONLY | O_CLOEXEC);
	return *ret_fd < 0 ? err_set(e, errno, "%s: %s", path, strerror(errno)) : 0;
}

static int make_boot_id(const char *id, int *ret_fd, struct err *e)
{
	_cleanup_free_ char *line = str_fmt("%s\n", id);
	int r = line ? file_replace(AT_FDCWD, BOOT_ID_FILE, line, strlen(line), 0444, false) : -ENOMEM;

	if (r < 0)
		return err_set(e, -r, "%s: %s", BOOT_ID_FILE, strerror(-r));
	*ret_fd = (int)syscall(SYS_open_tree, AT_FDCWD, BOOT_ID_FILE, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
	return *ret_fd < 0 ? err_set(e, errno, "%s: %s", BOOT_ID_FILE, strerror(errno)) : 0;
}

/* The child's word comes over a pipe; one that dies without any has failed too. */
static int in_child(const struct guest_identity *id, const int ns[2], int boot_id, struct err *e)
{
	struct err said = { 0 };
	int p[2], status = 0;
	pid_t pid;
	ssize_t n;

	if (pipe2(p, O_CLOEXEC) < 0)
		return err_set(e, errno, "pipe: %s", strerror(errno));
	pid = fork();
	if (pid == 0) {
		if (take_names(id, ns, boot_id, &said) < 0)
			(void)!write(p[1], &said, sizeof(said));
		_exit(said.no ? 1 : 0);
	}
	fd_close(p[1]);
	n = pid < 0 ? -errno : fd_read_full(p[0], &said, sizeof(said));
	fd_close(p[0]);
	if (pid < 0)
		return err_set(e, (int)-n, "fork: %s", strerror((int)-n));
	(void)waitpid(pid, &status, 0);
	if (n == (ssize_t)sizeof(said) && said.no > 0) {
		*e = said;
		return -said.no;
	}
	return status == 0 ? 0 : err_set(e, EIO, "who gives the guest its new names ended with status %#x", (unsigned)status);
}

int guest_identity_take(const struct guest_identity *id, pid_t pid, struct err *e)
{
	int r = guest_seed(id->entropy_b64, e);

	if (r >= 0)
		r = guest_set_clock(id->time_ns, e);
	return r < 0 ? r : guest_identity_names(id, pid, e);
}

int guest_identity_names(const struct guest_identity *id, pid_t pid, struct err *e)
{
	_cleanup_fd_ int uts = -1, mnt = -1, boot_id = -1;
	int r = open_ns(pid, "uts", &uts, e);

	if (r >= 0)
		r = open_ns(pid, "mnt", &mnt, e);
	if (r >= 0)
		r = make_boot_id(id->boot_id, &boot_id, e);
	if (r < 0)
		return r;
	const int ns[2] = { uts, mnt };
	return in_child(id, ns, boot_id, e);
}
