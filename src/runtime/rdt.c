/* A group of resctrl is a directory: `tasks` takes thread ids one a write, `schemata` lines such as "L3:0=f;1=f". */
#include <dirent.h>
#include <stdio.h>
#include <unistd.h>

#include "rdt.h"

/* What a schema asks for, and where resctrl says that the CPU has it. */
static const struct {
	const char *flag, *info, *also; /* also: the same split for code and data */
} kinds[] = {
	{ "--l3-cache-schema", "info/L3", "info/L3CODE" },
	{ "--mem-bw-schema", "info/MB", "info/MB" },
};

static int check_support(const char *root, size_t kind, struct err *e)
{
	_cleanup_fd_ int fd = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC);

	if (fd >= 0 && (faccessat(fd, kinds[kind].info, F_OK, 0) == 0 || faccessat(fd, kinds[kind].also, F_OK, 0) == 0))
		return 0;
	return err_set(e, ENOTSUP, "%s: %s/%s is missing: the CPU can't do it, or resctrl is not mounted", kinds[kind].flag, root,
		       kinds[kind].info);
}

static int add_threads(int group, pid_t pid, struct err *e)
{
	char path[48];
	DIR *d;
	struct dirent *de;
	int r = 0;

	snprintf(path, sizeof path, "/proc/%d/task", (int)pid);
	d = opendir(path);
	if (!d)
		return err_set(e, errno, "%s: %s", path, strerror(errno));
	while (r == 0 && (de = readdir(d)))
		if (de->d_name[0] != '.') {
			r = file_write(group, "tasks", de->d_name);
			r = r == -ESRCH ? 0 : r; /* it ended meanwhile */
		}
	closedir(d);
	return r < 0 ? err_set(e, -r, "resctrl: move process %d into its group: %s", (int)pid, strerror(-r)) : 0;
}

int rdt_group_update(const char *root, const char *name, pid_t pid, const char *l3_schema, const char *bw_schema, struct err *e)
{
	const char *const schemas[] = { l3_schema, bw_schema };
	_cleanup_free_ char *dir = str_fmt("%s/%s", root, name);
	_cleanup_fd_ int group = -1;
	int r = dir ? 0 : err_set(e, ENOMEM, "out of memory");

	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(kinds); i++)
		if (schemas[i] && *schemas[i])
			r = check_support(root, i, e);
	if (r < 0)
		return r;
	if (mkdir(dir, 0755) < 0 && errno != EEXIST)
		return err_set(e, errno, "resctrl: make group %s: %s", dir, strerror(errno));
	group = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (group < 0)
		return err_set(e, errno, "resctrl: open group %s: %s", dir, strerror(errno));
	r = add_threads(group, pid, e);
	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(kinds); i++) {
		_cleanup_free_ char *line = schemas[i] && *schemas[i] ? str_fmt("%s\n", schemas[i]) : NULL;
		int x = line ? file_write(group, "schemata", line) : 0;
		if (x < 0)
			r = err_set(e, -x, "%s: the kernel refuses \"%.60s\": %s (see %s/info/last_cmd_status)", kinds[i].flag,
				    schemas[i], strerror(-x), root);
	}
	return r;
}

int rdt_group_remove(const char *root, const char *name, struct err *e)
{
	_cleanup_free_ char *dir = str_fmt("%s/%s", root, name);

	if (!dir)
		return err_set(e, ENOMEM, "out of memory");
	return rmdir(dir) < 0 && errno != ENOENT ? err_set(e, errno, "resctrl: remove group %s: %s", dir, strerror(errno)) : 0;
}
