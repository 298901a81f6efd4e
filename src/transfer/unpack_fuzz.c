/* Fuzz target: the tar of a layer (names, links, whiteouts, sparse maps, PAX headers) onto a real, temporary tree.
 *
 * The tree lies beside a canary; whatever the bytes say, the canary stays as it is and nothing appears beside the two. What was
 * listed must parse again. */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "unpack_private.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct unpack_limits limits = {
	.max_ratio = 100, .ratio_floor_bytes = 1 << 20, .max_entries = 200, .max_bytes = 1 << 20, .max_depth = 16
};

/* The directory with "tree" and "canary" in it; made once, emptied by each input. */
static char playground_name[32];
static int playground_fd = -1;

static void leave(void)
{
	_cleanup_fd_ int up = open("/dev/shm", O_PATH | O_DIRECTORY | O_CLOEXEC);

	fd_close(playground_fd);
	rm_rf(up, playground_name);
}

static int playground(void)
{
	char path[] = "/dev/shm/unpack-fuzz-XXXXXX";

	if (playground_fd >= 0)
		return playground_fd;
	if (!mkdtemp(path) || (playground_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0)
		abort();
	snprintf(playground_name, sizeof(playground_name), "%s", strrchr(path, '/') + 1);
	atexit(leave);
	if (file_replace(playground_fd, "canary", "canary", 6, 0600, false) < 0)
		abort();
	return playground_fd;
}

static void check_outside(int top)
{
	_cleanup_free_ char *text = NULL;
	_cleanup_fd_ int fd = openat(top, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;
	int n = 0;

	if (!d || file_read(top, "canary", 100, &text, NULL) < 0 || !streq(text, "canary"))
		abort();
	TAKE_FD(fd);
	while ((entry = readdir(d)))
		n++;
	closedir(d);
	if (n != 4) /* ".", "..", canary, tree */
		abort();
}

static void check_list(int listfd)
{
	_cleanup_free_ char *text = NULL;
	struct file_line line;

	if (lseek(listfd, 0, SEEK_SET) < 0 || fd_read_all(listfd, 16 << 20, &text, NULL) < 0)
		abort();
	for (char *at = text, *end; (end = strchr(at, '\n')); at = end + 1) {
		*end = '\0';
		if (file_line_parse(at, &line) < 0)
			abort();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_fd_ int in = memfd_create("layer", MFD_CLOEXEC), list = memfd_create("list", MFD_CLOEXEC), tree = -1;
	struct unpack_result result = { 0 };
	struct err e = { 0 };
	int top = playground();

	if (in < 0 || list < 0 || fd_write_full(in, data, size) < 0 || lseek(in, 0, SEEK_SET) < 0)
		abort();
	if (mkdirat(top, "tree", 0755) < 0 || (tree = openat(top, "tree", O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0)
		abort();
	int r = unpack_tar(in, tree, list, &limits, &result, &e);
	if (r < 0 && (e.no != -r || !e.msg[0]))
		abort(); /* a refusal says why */
	check_list(list);
	check_outside(top);
	if (rm_rf(top, "tree") < 0)
		abort();
	return 0;
}
