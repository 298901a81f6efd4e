/* Fuzz target: the user string of an image or a command line, and the image's own passwd and group, as one input with NUL bytes
 * between the three. Whatever they hold, the ids are exact or there is an error. */
#include <sys/stat.h>
#include <unistd.h>

#include "setup.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void put(int dirfd, const char *path, const uint8_t *data, size_t n)
{
	_cleanup_fd_ int fd = openat(dirfd, path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

	if (fd < 0 || fd_write_full(fd, data, n) < 0)
		abort();
}

/* Length up to the next NUL. */
static size_t part(const uint8_t *data, size_t size)
{
	const uint8_t *nul = size ? memchr(data, 0, size) : NULL;

	return nul ? (size_t)(nul - data) : size;
}

/* Whether some line of passwd begins with "NAME:". */
static bool names(const uint8_t *text, size_t n, const char *name, size_t len)
{
	for (size_t at = 0; at < n;) {
		const uint8_t *end = memchr(text + at, '\n', n - at);
		size_t line = end ? (size_t)(end - (text + at)) : n - at;

		if (line > len && memcmp(text + at, name, len) == 0 && text[at + len] == ':')
			return true;
		at += line + 1;
	}
	return false;
}

static void judge(const char *user, const struct spec_user *u, const char *home, const uint8_t *passwd, size_t n_passwd)
{
	size_t len = strcspn(user, ":");

	if (u->uid == UINT32_MAX || u->gid == UINT32_MAX || !home || home[0] != '/')
		abort();
	if (u->n_additional_gids == 0 || u->additional_gids[0] != u->gid)
		abort();
	if (strspn(user, "0123456789") == len) {
		if (strtoull(user, NULL, 10) != u->uid) /* R11: a number is that number */
			abort();
	} else if (!names(passwd, n_passwd, user, len)) {
		abort();
	}
}

static void resolve(int root, const char *user, const uint8_t *passwd, size_t n_passwd)
{
	_cleanup_free_ char *home = NULL;
	struct spec_user u = { 0 };
	struct err e = { 0 };

	if (container_resolve_user(root, user, &u, &home, &e) < 0) {
		if (e.no <= 0 || !e.msg[0])
			abort();
		return;
	}
	judge(user, &u, home, passwd, n_passwd);
	free(u.additional_gids);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t n_user = part(data, size), at = MIN(n_user + 1, size), n_passwd = part(data + at, size - at);
	_cleanup_free_ char *user = strndup((const char *)data, n_user);
	char dir[] = "/tmp/berth-fuzz.XXXXXX";
	_cleanup_fd_ int root = -1;

	if (!user || !mkdtemp(dir))
		abort();
	root = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (root < 0 || mkdirat(root, "etc", 0700) < 0)
		abort();
	put(root, "etc/passwd", data + at, n_passwd);
	put(root, "etc/group", data + MIN(at + n_passwd + 1, size), size - MIN(at + n_passwd + 1, size));
	resolve(root, user, data + at, n_passwd);
	return rm_rf(AT_FDCWD, dir) < 0 ? abort(), 0 : 0;
}
