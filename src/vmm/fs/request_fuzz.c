/* Messages of a guest that does what it likes, to a tree in memory. The input is a row of requests: opcode, which node, a switch
 * whether what the server has last said stands in for the first words (a file handle, a second node), and the rest as it comes.
 * No request may reach the file beside the tree, and when all is forgotten nothing may be left. */
#include <sched.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fs.h"

enum { NODES = 8, ARGS_MAX = 1024, REQUESTS_MAX = 32 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void answer(void *arg, uint32_t tag, size_t len)
{
	(void)arg;
	(void)tag;
	if (len != sizeof(struct fuse_out_header))
		abort();
}

static char place[] = "/tmp/berth-fuzz.XXXXXX";
static bool is_in_memory;

static void clean(void)
{
	if (is_in_memory)
		(void)umount2(place, MNT_DETACH);
	(void)rm_rf(AT_FDCWD, place);
}

/* A directory with `tree` and `beside` in it: where that can be had a file system of its own, of 4 MiB. */
static int make_place(void)
{
	const struct rlimit l = { 1 << 20, 1 << 20 };
	int fd;

	if (!mkdtemp(place))
		abort();
	is_in_memory = unshare(CLONE_NEWNS) == 0 && mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
		       mount("fuzz", place, "tmpfs", 0, "size=4m,nr_inodes=512") == 0;
	(void)signal(SIGXFSZ, SIG_IGN);
	(void)atexit(clean);
	if (setrlimit(RLIMIT_FSIZE, &l) < 0)
		abort();
	umask(0);
	fd = open(place, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || file_replace(fd, "beside", "not yours", 9, 0644, false) < 0)
		abort();
	return fd;
}

static void make_tree(int at)
{
	int fd;

	(void)rm_rf(at, "tree");
	if (mkdirat(at, "tree", 0755) < 0 || mkdirat(at, "tree/d", 0755) < 0 || symlinkat("../beside", at, "tree/l") < 0)
		abort();
	fd = openat(at, "tree/f", O_CREAT | O_WRONLY | O_CLOEXEC, 0644);
	if (fd < 0 || fd_write_full(fd, "text of a file", 14) < 0)
		abort();
	fd_close(fd);
}

struct state {
	struct fs *fs;
	uint64_t nodes[NODES], word, unique;
	unsigned n_nodes;
	_Alignas(8) uint8_t message[FS_MESSAGE_MAX];
};

static void send(struct state *s, struct fs_scratch *scratch, uint32_t op, uint64_t node, const uint8_t *args, size_t n)
{
	const struct fuse_in_header h = {
		.len = (uint32_t)(sizeof(h) + n), .opcode = op, .unique = ++s->unique, .nodeid = node, .uid = n & 1 ? 1000 : 0
	};
	struct fuse_out_header out;
	ssize_t got;

	memcpy(s->message, &h, sizeof(h));
	if (n)
		memmove(s->message + sizeof(h), args, n);
	got = fs_handle(s->fs, scratch, 1, s->message, h.len, s->message, sizeof(s->message));
	if (got <= 0)
		return;
	memcpy(&out, s->message, sizeof(out));
	if (out.len != (uint64_t)got || got > (ssize_t)sizeof(s->message) || out.error > 0 || out.error <= -512 ||
	    out.unique != h.unique || (out.error && got != sizeof(out)))
		abort();
	if (got < (ssize_t)(sizeof(out) + sizeof(s->word)) || op == FUSE_READ || op == FUSE_INIT)
		return;
	memcpy(&s->word, s->message + sizeof(out), sizeof(s->word));
	if (got >= (ssize_t)(sizeof(out) + sizeof(struct fuse_entry_out)) && s->n_nodes < NODES && op != FUSE_GETATTR &&
	    op != FUSE_SETATTR)
		s->nodes[s->n_nodes++] = s->word;
}

static void check_beside(int at)
{
	_cleanup_free_ char *text = NULL;
	struct stat st;

	if (file_read(at, "beside", 100, &text, NULL) < 0 || !streq(text, "not yours") || fstatat(at, "beside", &st, 0) < 0 ||
	    (st.st_mode & 07777) != 0644 || st.st_uid != geteuid() || st.st_nlink != 1)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct fuse_init_in init = { .major = 7, .minor = 36, .flags = UINT32_MAX };
	static const uint8_t names[][4] = { "f", "d", "l" };
	static struct fs_scratch *scratch;
	static struct state s;
	static int at = -1;
	struct fs_config c = { .nodes_max = 64, .handles_max = 16, .answer = answer };
	struct fs_counts left;

	if (at < 0) {
		at = make_place();
		scratch = fs_scratch_new();
	}
	make_tree(at);
	s = (struct state){ .nodes = { FUSE_ROOT_ID }, .n_nodes = 1 };
	c.root_fd = openat(at, "tree", O_PATH | O_DIRECTORY | O_CLOEXEC);
	c.proc_fd = open("/proc/self/fd", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (c.root_fd < 0 || c.proc_fd < 0 || !scratch || fs_new(&c, &s.fs, NULL) < 0)
		abort();
	send(&s, scratch, FUSE_INIT, 0, (const void *)&init, sizeof(init));
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		send(&s, scratch, FUSE_LOOKUP, FUSE_ROOT_ID, names[i], 2);
	for (unsigned i = 0; i < REQUESTS_MAX && size >= 4; i++) {
		uint8_t args[ARGS_MAX];
		size_t n = MIN((size_t)(data[2] | (data[3] & 3) << 8), MIN(size - 4, sizeof(args)));
		uint64_t node = data[1] & 0x80 ? s.word : s.nodes[data[1] % s.n_nodes];
		uint32_t op = data[0] % 56u;

		memcpy(args, data + 4, n);
		if (data[3] & 4 && n >= sizeof(s.word))
			memcpy(args, &s.word, sizeof(s.word));
		if (is_in_memory || (op != FUSE_FALLOCATE && op != FUSE_SYNCFS))
			send(&s, scratch, op, node, args, n);
		(void)fs_try_locks(s.fs);
		data += 4 + n;
		size -= 4 + n;
	}
	check_beside(at);
	send(&s, scratch, FUSE_INIT, 0, (const void *)&init, sizeof(init));
	fs_count(s.fs, &left);
	if (left.nodes != 1 || left.handles || left.owners || left.waiters)
		abort();
	fs_free(s.fs);
	if (chdir("/") < 0)
		abort();
	fd_close(c.root_fd);
	fd_close(c.proc_fd);
	return 0;
}
