/* rdt: shares of cache and memory bandwidth through the kernel's resctrl filesystem (config-linux.md §intelrdt; Intel RDT, AMD
 * QoS). A group is a directory: the class of service `closID`, or one of the container's own that is named by its id and goes
 * with it, and within that, where monitoring is asked for, mon_groups/ID. Only a resctrl that is mounted already is used, and
 * without intelRdt none is touched. Called as steps of the parent, at the container's end, and for `update`. */
#include <dirent.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <unistd.h>

#include "setup.h"

#define RESCTRL        "/sys/fs/resctrl"
#define RDTGROUP_MAGIC 0x7655821 /* <linux/magic.h>'s RDTGROUP_SUPER_MAGIC */

static int open_base(struct err *e)
{
	_cleanup_fd_ int fd = open(RESCTRL, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct statfs fs;

	if (fd < 0 || fstatfs(fd, &fs) < 0 || fs.f_type != RDTGROUP_MAGIC)
		return err_set(
			e, ENODEV,
			"linux.intelRdt needs a resctrl filesystem at %s: mount one there (mount -t resctrl resctrl %s), which "
			"takes a processor and a kernel with it, or leave intelRdt out",
			RESCTRL, RESCTRL);
	return TAKE_FD(fd);
}

static bool has_text(const char *s) { return s && *s; }
static bool is_own(const struct spec_rdt *r) { return !has_text(r->clos_id); }
static bool wants_monitor(const struct spec_rdt *r) { return r->monitoring || r->cmt || r->mbm; }
static bool has_schemas(const struct spec_rdt *r)
{
	return has_text(r->l3_schema) || has_text(r->mb_schema) || strv_len(r->schemata) > 0;
}
static const char *group_of(const struct spec_rdt *r, const char *id)
{
	return !r || is_own(r) ? id : streq(r->clos_id, "/") ? "." : r->clos_id;
}

static int write_line(int dirfd, const char *file, const char *line, struct err *e)
{
	_cleanup_fd_ int fd = openat(dirfd, file, O_WRONLY | O_CLOEXEC);
	_cleanup_free_ char *text = str_fmt("%s\n", line);
	ssize_t n = 0;

	if (!text)
		return err_set(e, ENOMEM, "%s: out of memory", file);
	/* One write a line: each is judged by itself. */
	if (fd < 0 || (n = write(fd, text, strlen(text))) < 0)
		return err_set(e, errno, "%s: \"%s\": %s", file, line,
			       errno == EINVAL ? "the processor does not take it (see info/last_cmd_status of the resctrl)"
					       : strerror(errno));
	return (size_t)n == strlen(text) ? 0 : err_set(e, EIO, "%s: \"%s\": written in part", file, line);
}

/* The lines of schemata in the order that the specification has them written in. */
static int each_schema(int dirfd, const struct spec_rdt *r, int (*apply)(int, const char *, struct err *), struct err *e)
{
	const char *const first[] = { r->l3_schema, r->mb_schema };
	int x = 0;

	for (size_t i = 0; i < ARRAY_SIZE(first) && x == 0; i++)
		x = has_text(first[i]) ? apply(dirfd, first[i], e) : 0;
	for (char *const *p = r->schemata; p && *p && x == 0; p++)
		x = apply(dirfd, *p, e);
	return x;
}

static int set_schema(int dirfd, const char *line, struct err *e) { return write_line(dirfd, "schemata", line, e); }

/* A class that is there already is somebody else's too: it must be as asked for. */
static int check_schema(int dirfd, const char *line, struct err *e)
{
	_cleanup_free_ char *text = NULL;
	int r = file_read(dirfd, "schemata", 65536, &text, NULL);

	if (r < 0)
		return err_set(e, -r, "schemata: %s", strerror(-r));
	for (char *p = text, *next; p && *p; p = next) {
		next = strchr(p, '\n');
		if (next)
			*next++ = 0;
		if (streq(p + strspn(p, " "), line))
			return 0;
	}
	return err_set(e, EEXIST,
		       "the class exists, and its schemata has no line \"%s\": ask for what it has, or for another class", line);
}

static int enter_group(int basefd, const struct spec_rdt *r, const char *id, struct err *e)
{
	const char *name = group_of(r, id);
	bool may_make = is_own(r) || (has_schemas(r) && !streq(name, "."));
	bool made = may_make && mkdirat(basefd, name, 0755) == 0;
	_cleanup_fd_ int fd = -1;
	int x;

	if (may_make && !made && (errno != EEXIST || is_own(r)))
		return err_set(e, errno, "group %s: %s", name,
			       errno == ENOSPC ? "the processor has no class of service left" : strerror(errno));
	fd = openat(basefd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return err_set(e, errno, "group %s: %s", name,
			       errno == ENOENT ? "does not exist, and no schema says how to make it" : strerror(errno));
	x = each_schema(fd, r, made ? set_schema : check_schema, e);
	/* A class of the host that could not be set stays no half-made class. */
	if (x < 0 && made)
		unlinkat(basefd, name, AT_REMOVEDIR);
	return x < 0 ? err_push(e, x, "group %s", name) : TAKE_FD(fd);
}

static int add_process(int groupfd, pid_t pid, struct err *e)
{
	char text[16];

	snprintf(text, sizeof(text), "%d", (int)pid);
	return write_line(groupfd, "tasks", text, e);
}

static int make_monitor(int groupfd, const char *id, pid_t pid, struct err *e)
{
	_cleanup_free_ char *name = str_fmt("mon_groups/%s", id);
	_cleanup_fd_ int fd = -1;

	if (!name)
		return err_set(e, ENOMEM, "out of memory");
	if (mkdirat(groupfd, name, 0755) < 0)
		return err_set(e, errno, "%s: %s", name,
			       errno == ENOSPC ? "the processor has no monitoring group left" : strerror(errno));
	fd = openat(groupfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return fd < 0 ? err_set(e, errno, "%s: %s", name, strerror(errno)) : add_process(fd, pid, e);
}

int rdt_make(int basefd, const struct spec_rdt *r, const char *id, pid_t pid, struct err *e)
{
	_cleanup_fd_ int group = enter_group(basefd, r, id, e);
	int x;

	if (group < 0)
		return group;
	x = add_process(group, pid, e);
	return x == 0 && wants_monitor(r) ? make_monitor(group, id, pid, e) : x;
}

static int remove_dir(int basefd, const char *name, struct err *e)
{
	return unlinkat(basefd, name, AT_REMOVEDIR) < 0 && errno != ENOENT ? err_set(e, errno, "%s: %s", name, strerror(errno))
									   : 0;
}

int rdt_remove(int basefd, const struct spec_rdt *r, const char *id, struct err *e)
{
	_cleanup_free_ char *monitor = str_fmt("%s/mon_groups/%s", group_of(r, id), id);
	int x;

	if (!monitor)
		return err_set(e, ENOMEM, "resctrl: out of memory");
	x = wants_monitor(r) ? remove_dir(basefd, monitor, e) : 0;
	/* "If closID is set ... the runtime MUST NOT remove the sub-directory". */
	if (x == 0 && is_own(r))
		x = remove_dir(basefd, id, e);
	return x;
}

int rdt_apply(struct setup *s, struct err *e)
{
	const struct spec_rdt *r = s->spec->rdt;
	_cleanup_fd_ int base = -1;

	if (!r)
		return 0;
	base = open_base(e);
	return base < 0 ? base : rdt_make(base, r, s->args->id, s->c->pid, e);
}

int rdt_join(struct setup *s, struct err *e)
{
	const struct spec_rdt *r = s->spec->rdt;
	_cleanup_fd_ int base = -1, group = -1;
	_cleanup_free_ char *name = NULL;

	if (!r)
		return 0;
	base = open_base(e);
	if (base < 0)
		return base;
	name = wants_monitor(r) ? str_fmt("%s/mon_groups/%s", group_of(r, s->c->id), s->c->id) : strdup(group_of(r, s->c->id));
	if (!name)
		return err_set(e, ENOMEM, "out of memory");
	group = openat(base, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return group < 0 ? err_set(e, errno, "group %s: %s", name, strerror(errno)) : add_process(group, s->exec_pid, e);
}

int container_rdt_remove(const struct spec *s, const char *id, struct err *e)
{
	_cleanup_fd_ int base = -1;

	if (!s->rdt)
		return 0;
	base = open_base(NULL);
	/* Unmounted since, or never there: nothing of the container's is left in it. */
	return base < 0 ? 0 : rdt_remove(base, s->rdt, id, e);
}

/* ---- update ---- */

/* What a schema is about, and where resctrl says that the processor has it; also: the same split for code and data. */
static const struct {
	const char *name, *info, *also;
} kinds[] = {
	{ "l3CacheSchema", "info/L3", "info/L3CODE" },
	{ "memBwSchema", "info/MB", "info/MB" },
};

static int check_kind(int basefd, size_t k, struct err *e)
{
	if (basefd >= 0 && (faccessat(basefd, kinds[k].info, F_OK, 0) == 0 || faccessat(basefd, kinds[k].also, F_OK, 0) == 0))
		return 0;
	return err_set(e, ENOTSUP, "%s: " RESCTRL "/%s is missing: the processor can't do it, or resctrl is not mounted",
		       kinds[k].name, kinds[k].info);
}

static int add_threads(int groupfd, pid_t pid, struct err *e)
{
	char path[48];
	struct dirent *de;
	int r = 0;
	DIR *d;

	snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
	d = opendir(path);
	if (!d)
		return err_set(e, errno, "%s: %s", path, strerror(errno));
	while (r == 0 && (de = readdir(d)))
		if (de->d_name[0] != '.') {
			r = add_process(groupfd, atoi(de->d_name), e);
			r = r == -ESRCH ? 0 : r; /* it ended meanwhile */
		}
	closedir(d);
	return r;
}

int rdt_update(int basefd, const char *group, pid_t pid, const char *l3_schema, const char *mb_schema, struct err *e)
{
	const char *const schemas[] = { l3_schema, mb_schema };
	_cleanup_fd_ int fd = -1;
	int r = 0;

	for (size_t k = 0; r == 0 && k < ARRAY_SIZE(kinds); k++)
		r = has_text(schemas[k]) ? check_kind(basefd, k, e) : 0;
	if (r < 0)
		return r;
	if (mkdirat(basefd, group, 0755) < 0 && errno != EEXIST)
		return err_set(e, errno, "group %s: %s", group, strerror(errno));
	fd = openat(basefd, group, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return err_set(e, errno, "group %s: %s", group, strerror(errno));
	r = add_threads(fd, pid, e);
	for (size_t k = 0; r == 0 && k < ARRAY_SIZE(kinds); k++)
		r = has_text(schemas[k]) ? set_schema(fd, schemas[k], e) : 0;
	return r < 0 ? err_push(e, r, "group %s", group) : 0;
}

int container_rdt_update(const struct spec *s, const char *id, pid_t pid, const char *l3_schema, const char *mb_schema,
			 struct err *e)
{
	_cleanup_fd_ int base = open_base(NULL);

	return rdt_update(base, group_of(s->rdt, id), pid, l3_schema, mb_schema, e);
}

int container_rdt_remove_updated(const char *id, struct err *e)
{
	_cleanup_fd_ int base = open_base(NULL);
	int r = base < 0 ? 0 : remove_dir(base, id, e);

	return r < 0 ? err_push(e, r, "resctrl") : 0;
}
