/* criu_places: the mounts and namespaces of a container that are the host's. CRIU saves what lives in the container's own; of these it
 * notes a name, and is told under the same name what to take instead when it restores. See criu.h. */
#include <dirent.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "criu.h"

enum { PROC_MAX = 16 << 20, IMAGE_MAX = 16 << 20 };

static int proc_text(pid_t pid, const char *name, char **ret, struct err *e)
{
	char path[48];
	int r;

	snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, name);
	r = file_read(AT_FDCWD, path, PROC_MAX, ret, NULL);
	return r < 0 ? err_set(e, -r, "%s: %s", path, strerror(-r)) : 0;
}

int criu_proc_lines(pid_t pid, const char *name, char ***ret, struct err *e)
{
	_cleanup_free_ char *text = NULL;
	int r = proc_text(pid, name, &text, e);
	char **lines = r < 0 ? NULL : strv_split(text, '\n');

	if (r == 0 && !lines)
		r = err_set(e, ENOMEM, "out of memory");
	if (r == 0)
		*ret = lines;
	return r;
}

/* ---- mounts ---- */

/* Where dest really is once the links of the root are followed: so the kernel calls the mount. One that is not there lies on another
 * mount, of which no link leads away as far as config.json tells. */
static char *place_of(int rootfd, const char *dest)
{
	_cleanup_fd_ int fd = root_open(rootfd, dest, O_PATH, 0);
	char link[FD_PATH_LEN], root[PATH_MAX], at[PATH_MAX];
	ssize_t n_root = readlink(fd_path(rootfd, link), root, sizeof(root) - 1);
	ssize_t n = fd < 0 ? -1 : readlink(fd_path(fd, link), at, sizeof(at) - 1);

	if (n > n_root && n_root > 0 && memcmp(at, root, (size_t)n_root) == 0) {
		at[n] = '\0';
		return strdup(at + (n_root == 1 ? 0 : n_root));
	}
	return strdup(dest);
}

static bool has_option(const struct spec_mount *m, const char *word)
{
	for (size_t i = 0; m->options && m->options[i]; i++)
		if (streq(m->options[i], word))
			return true;
	return false;
}

static bool is_below(const char *path, const char *dir)
{
	const char *rest = streq(dir, "/") ? path : str_after(path, dir);

	return rest && rest[0] == '/' && rest[1];
}

/* The fifth field of a line of mountinfo (proc(5)), with its \040 made good, in place. The rest of the text in *text. */
static char *next_mount_point(char **text)
{
	while (**text) {
		char *line = *text, *end = line + strcspn(line, "\n"), *at = line, *out;

		*text = *end ? end + 1 : end;
		*end = '\0';
		for (int i = 0; i < 4 && at; i++) {
			at = strchr(at, ' ');
			at = at ? at + 1 : NULL;
		}
		if (!at)
			continue;
		at[strcspn(at, " ")] = '\0';
		out = at;
		for (const char *s = at; *s;) {
			unsigned c;

			if (*s == '\\' && sscanf(s + 1, "%3o", &c) == 1) {
				*out++ = (char)c;
				s += strnlen(s, 4);
			} else {
				*out++ = *s++;
			}
		}
		*out = '\0';
		return at;
	}
	return NULL;
}

/* Of mounts that lie on a bind those that came with its source, and not by a row of their own. */
static bool is_anothers(const struct spec *s, const struct spec_mount *bind, const char *place)
{
	for (size_t i = 0; i < s->n_mounts; i++) {
		const char *dest = s->mounts[i].destination;

		if (&s->mounts[i] != bind && dest && is_below(dest, bind->destination) &&
		    (streq(place, dest) || is_below(place, dest)))
			return true;
	}
	return false;
}

struct bound {
	const struct spec *s;
	const struct spec_mount *m;
	char *place, *source;
	enum criu_way way;
};

static void put(struct buf *b, const struct bound *x, const char *below)
{
	_cleanup_free_ char *key = str_fmt("%s%s", x->place, below);
	_cleanup_free_ char *val = str_fmt("%s%s", x->way == CRIU_SAVES ? x->place : x->source, below);

	if (!key || !val)
		b->failed = true;
	else
		criu_put_pair(b, CRIU_EXT_MNT, key, val);
}

/* What lies below is looked for where it is: in the container that is saved, on the host that lends it again. */
static int put_below(struct buf *b, const struct bound *x, pid_t pid, struct err *e)
{
	const char *top = x->way == CRIU_SAVES ? x->place : x->source;
	_cleanup_free_ char *text = NULL;
	int r = has_option(x->m, "rbind") ? proc_text(x->way == CRIU_SAVES ? pid : getpid(), "mountinfo", &text, e) : 0;

	if (r < 0 || !text)
		return r;
	for (char *rest = text, *at; (at = next_mount_point(&rest));) {
		_cleanup_free_ char *inside = NULL;
		size_t n = streq(top, "/") ? 0 : strlen(top);

		if (!is_below(at, top))
			continue;
		inside = str_fmt("%s%s", x->place, at + n);
		if (!inside)
			return err_set(e, ENOMEM, "out of memory");
		if (!is_anothers(x->s, x->m, inside))
			put(b, x, at + n);
	}
	return 0;
}

int criu_put_mounts(struct buf *b, const struct spec *s, int rootfd, const char *bundle, pid_t pid, enum criu_way way,
		    struct err *e)
{
	int r = 0;

	for (size_t i = 0; i < s->n_mounts && r == 0; i++) {
		struct bound x = { .s = s, .m = &s->mounts[i], .way = way };
		_cleanup_free_ char *source = NULL;

		if (!mount_is_bind(x.m) || !x.m->destination || !x.m->source)
			continue;
		source = x.m->source[0] == '/' ? strdup(x.m->source) : str_fmt("%s/%s", bundle, x.m->source);
		x.place = place_of(rootfd, x.m->destination);
		x.source = way == CRIU_RESTORES && source ? realpath(source, NULL) : strdup("");
		if (!x.source)
			r = err_set(e, errno, "mount %s: source %s: %s", x.m->destination, x.m->source, strerror(errno));
		else if (!x.place)
			r = err_set(e, ENOMEM, "out of memory");
		else
			put(b, &x, "");
		if (r == 0)
			r = put_below(b, &x, pid, e);
		free(x.place);
		free(x.source);
	}
	return r;
}

static bool is_image_of_mounts(const char *name)
{
	const char *rest = str_after(name, "mountpoints-");

	return rest && strstr(rest, ".img");
}

bool criu_had_mount(int images, const char *place)
{
	int fd = openat(images, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	bool found = false;

	if (!d) {
		fd_close(fd);
		return false;
	}
	for (struct dirent *de; !found && (de = readdir(d));) {
		_cleanup_free_ char *bytes = NULL;
		size_t n;

		found = is_image_of_mounts(de->d_name) && file_read(images, de->d_name, IMAGE_MAX, &bytes, &n) == 0 &&
			memmem(bytes, n, place, strlen(place));
	}
	closedir(d);
	return found;
}

/* ---- devices ---- */

/* Where the container may make no nodes (a user namespace) they are the host's, bound one by one, and masked files with them. */
static const char *const default_nodes[] = { "/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom", "/dev/tty" };

/* The fields of a line of mountinfo that tell of a bound node: " ROOT MOUNT-POINT ... - devtmpfs ". */
static void put_node(struct buf *b, char *line)
{
	char root[256], at[PATH_MAX];
	_cleanup_free_ char *node = NULL;

	if (!strstr(line, " - devtmpfs ") || sscanf(line, "%*s %*s %*s %255s %4095s", root, at) != 2 || streq(root, "/"))
		return;
	node = str_fmt("/dev%s", root);
	if (!node)
		b->failed = true;
	else
		criu_put_pair(b, CRIU_EXT_MNT, at, node);
}

static int save_nodes(struct buf *b, pid_t pid, struct err *e)
{
	_cleanup_strv_ char **lines = NULL;
	int r = criu_proc_lines(pid, "mountinfo", &lines, e);

	if (r < 0)
		return r;
	for (char **l = lines; *l; l++)
		put_node(b, *l);
	return 0;
}

int criu_put_nodes(struct buf *b, const struct spec *s, pid_t pid, enum criu_way way, struct err *e)
{
	if (way == CRIU_SAVES)
		return save_nodes(b, pid, e);
	for (size_t i = 0; i < ARRAY_SIZE(default_nodes); i++)
		criu_put_pair(b, CRIU_EXT_MNT, default_nodes[i], default_nodes[i]);
	for (size_t i = 0; i < s->n_devices; i++)
		if (s->devices[i].path)
			criu_put_pair(b, CRIU_EXT_MNT, s->devices[i].path, s->devices[i].path);
	/* In crun's images a masked file has its own name. */
	for (char *const *p = s->masked_paths; p && *p; p++)
		criu_put_pair(b, CRIU_EXT_MNT, *p, "/dev/null");
	return 0;
}

/* ---- namespaces ---- */

/* criu(8), --external and --join-ns. runc's names for the former, so that the one can restore what the other has saved. */
static const struct ns_row {
	const char *name, *external; /* external NULL: CRIU saves it as the container's own, and joins another to restore */
} ns_rows[NS_COUNT] = {
	[NS_NET] = { "net", "extRootNetNS" }, [NS_PID] = { "pid", "extRootPidNS" }, [NS_IPC] = { "ipc", NULL },
	[NS_UTS] = { "uts", NULL },           [NS_USER] = { "user", NULL },         [NS_TIME] = { "time", NULL },
};

static int put_external(struct buf *b, const struct ns_row *row, pid_t pid, struct err *e)
{
	_cleanup_free_ char *text = NULL;
	char path[40];
	struct stat st;

	snprintf(path, sizeof(path), "/proc/%d/ns/%s", (int)pid, row->name);
	if (stat(path, &st) < 0)
		return err_set(e, errno, "%s: %s", path, strerror(errno));
	text = str_fmt("%s[%llu]:%s", row->name, (unsigned long long)st.st_ino, row->external);
	if (!text)
		return err_set(e, ENOMEM, "out of memory");
	pb_put_str(b, CRIU_EXTERNAL, text);
	return 0;
}

static int put_joined(struct buf *b, const struct ns_row *row, const char *path, int *fds, size_t *n_fds, struct err *e)
{
	if (!row->external) {
		criu_put_pair(b, CRIU_JOIN_NS, row->name, path);
		return 0;
	}
	fds[*n_fds] = open(path, O_RDONLY | O_CLOEXEC);
	if (fds[*n_fds] < 0)
		return err_set(e, errno, "linux.namespaces: %s: %s", path, strerror(errno));
	criu_put_inherit_fd(b, row->external, CRIU_FIRST_FD + (int)(*n_fds)++);
	return 0;
}

int criu_put_namespaces(struct buf *b, const struct spec *s, pid_t pid, enum criu_way way, int *fds, size_t *n_fds, struct err *e)
{
	int r = 0;

	for (int n = 0; n < NS_COUNT && r == 0; n++) {
		const char *path = s->ns.path[n];

		if (!path)
			continue;
		if (!ns_rows[n].name)
			r = err_set(e, ENOTSUP, "linux.namespaces: %s: CRIU can't restore into another's %s namespace", path,
				    n == NS_MOUNT ? "mount" : "cgroup");
		else if (way == CRIU_RESTORES)
			r = put_joined(b, &ns_rows[n], path, fds, n_fds, e);
		else if (ns_rows[n].external)
			r = put_external(b, &ns_rows[n], pid, e);
	}
	return r;
}

int criu_check_spec(const struct spec *s, struct err *e)
{
	const struct {
		const char *name;
		bool is_there;
	} lost[] = {
		{ "linux.intelRdt", s->rdt },
		{ "linux.memoryPolicy", s->memory_policy },
		{ "process.ioPriority", s->process.io_priority },
	};

	for (size_t i = 0; i < ARRAY_SIZE(lost); i++)
		if (lost[i].is_there)
			return err_set(e, ENOTSUP, "%s: CRIU does not save it: leave it out", lost[i].name);
	return 0;
}
