/* criu_stdio: what a container's first process has as 0, 1 and 2 comes from outside as a rule. CRIU is told the names of those when it
 * saves, and what they are to be instead when it restores. Names are CRIU's ("pipe:[INODE]", "file[MNT_ID:INODE]", criu(8)); a
 * list of them lies beside the images, as runc's. See criu.h. */
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "criu.h"

enum { LIST_MAX = 64 << 10, INFO_MAX = 16 << 20 };

/* "mnt_id:\t32" of /proc/PID/fdinfo/FD; 0 where it is not there. */
static unsigned mount_of(pid_t pid, int fd)
{
	_cleanup_free_ char *text = NULL;
	const char *at;
	char path[48];
	unsigned id;

	snprintf(path, sizeof(path), "/proc/%d/fdinfo/%d", (int)pid, fd);
	if (file_read(AT_FDCWD, path, 4096, &text, NULL) < 0)
		return 0;
	at = strstr(text, "mnt_id:");
	return at && sscanf(at, "mnt_id: %u", &id) == 1 ? id : 0;
}

static bool is_its_own_mount(pid_t pid, unsigned id)
{
	_cleanup_free_ char *text = NULL;
	char path[48];

	snprintf(path, sizeof(path), "/proc/%d/mountinfo", (int)pid);
	if (file_read(AT_FDCWD, path, INFO_MAX, &text, NULL) < 0)
		return true; /* CRIU will say what is the matter */
	for (const char *line = text; *line; line += strcspn(line, "\n"), line += *line == '\n')
		if (strtoul(line, NULL, 10) == id)
			return true;
	return false;
}

/* The name of a file of the host's, /dev/null among them; "" for all else. */
static char *file_name(pid_t pid, int fd)
{
	char path[48];
	unsigned mount;
	struct stat st;

	snprintf(path, sizeof(path), "/proc/%d/fd/%d", (int)pid, fd);
	if (stat(path, &st) < 0 || !(S_ISREG(st.st_mode) || S_ISCHR(st.st_mode)) || isatty(fd))
		return strdup("");
	mount = mount_of(pid, fd);
	if (!mount || is_its_own_mount(pid, mount))
		return strdup("");
	return str_fmt("file[%x:%llx]", mount, (unsigned long long)st.st_ino);
}

int criu_stdio_save(struct buf *b, char *const *stdio, pid_t pid, int dirfd, struct err *e)
{
	_cleanup_json_ struct json_object *list = NULL;
	_cleanup_strv_ char **names = NULL;
	const char *text;
	int r = 0;

	for (int fd = 0; stdio && stdio[fd] && r == 0; fd++) {
		char *name = str_after(stdio[fd], "pipe:") ? strdup(stdio[fd]) : file_name(pid, fd);

		if (name && str_after(name, "file["))
			pb_put_str(b, CRIU_EXTERNAL, name);
		r = strv_push_take(&names, name);
	}
	list = r == 0 ? json_from_strv(names) : NULL;
	text = list ? json_object_to_json_string_ext(list, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE) : NULL;
	r = text ? file_replace(dirfd, CRIU_DESCRIPTORS, text, strlen(text), 0600, false) : -ENOMEM;
	return r < 0 ? err_set(e, -r, CRIU_DESCRIPTORS ": %s", strerror(-r)) : 0;
}

static int put_name(struct buf *b, struct json_object *name, int fd, struct err *e)
{
	const char *text = json_object_is_type(name, json_type_string) ? json_object_get_string(name) : NULL;

	if (!text)
		return err_set(e, EINVAL, CRIU_DESCRIPTORS ": [%d]: expected a string", fd);
	if (str_after(text, "pipe:") || str_after(text, "file["))
		criu_put_inherit_fd(b, text, fd);
	return 0;
}

int criu_stdio_restore(struct buf *b, int dirfd, struct err *e)
{
	_cleanup_json_ struct json_object *list = NULL;
	_cleanup_free_ char *text = NULL;
	size_t len, n = 0;
	int r = file_read(dirfd, CRIU_DESCRIPTORS, LIST_MAX, &text, &len);

	if (r == -ENOENT)
		return err_set(e, ENOENT, "holds no checkpoint: " CRIU_DESCRIPTORS " is not there");
	if (r < 0)
		return err_set(e, -r, CRIU_DESCRIPTORS ": %s", strerror(-r));
	r = json_parse(text, len, CRIU_DESCRIPTORS, &list, e);
	if (r == 0 && list && !json_object_is_type(list, json_type_array))
		r = err_set(e, EINVAL, CRIU_DESCRIPTORS ": expected a list");
	if (r == 0 && list)
		n = MIN(json_object_array_length(list), 3U);
	for (size_t i = 0; i < n && r == 0; i++)
		r = put_name(b, json_object_array_get_idx(list, i), (int)i, e);
	return r;
}
