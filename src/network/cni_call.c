/* One call of one plugin. See cni.h. */
#include "cni.h"

#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include "spawn.h"

/* A file in memory that can't grow: what a plugin says beyond it is lost to it as on a full disk, and no pipe has to be emptied meanwhile. */
static int make_room(const char *name, size_t size)
{
	_cleanup_fd_ int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd < 0 || ftruncate(fd, (off_t)size) < 0 || fcntl(fd, F_ADD_SEALS, F_SEAL_GROW | F_SEAL_SHRINK) < 0)
		return -errno;
	return TAKE_FD(fd);
}

/* The caller frees; NULL with errno. */
static char *read_room(int fd)
{
	char *text = NULL;
	int r = lseek(fd, 0, SEEK_SET) < 0 ? -errno : fd_read_all(fd, CNI_ANSWER_MAX, &text, NULL);

	if (r < 0)
		errno = -r;
	return text;
}

static int make_input(struct json_object *config)
{
	const char *text = json_object_to_json_string_ext(config, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE);
	_cleanup_fd_ int fd = memfd_create("config", MFD_CLOEXEC);
	int r;

	if (!text || fd < 0)
		return text ? -errno : -ENOMEM;
	r = fd_write_full(fd, text, strlen(text));
	if (r >= 0 && lseek(fd, 0, SEEK_SET) < 0)
		r = -errno;
	return r < 0 ? r : TAKE_FD(fd);
}

static int environment(const struct cni_call *c, char ***ret)
{
	const char *const words[][2] = {
		{ "CNI_COMMAND", c->command },
		{ "CNI_CONTAINERID", c->container },
		{ "CNI_NETNS", c->netns },
		{ "CNI_IFNAME", c->ifname },
		{ "CNI_PATH", c->path },
		{ "CNI_ARGS", "IgnoreUnknown=1" },
		{ "LANG", "C" },
		{ "PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin" },
	};
	_cleanup_strv_ char **v = NULL;

	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		if (strv_push_take(&v, str_fmt("%s=%s", words[i][0], words[i][1] ? words[i][1] : "")) < 0)
			return -ENOMEM;
	*ret = TAKE_PTR(v);
	return 0;
}

/* It leads a session, and with it a group, that its own children are in. */
static int await(const struct cni_call *c, pid_t pid, int pidfd, int *ret_status, struct err *e)
{
	struct pollfd end = { .fd = pidfd, .events = POLLIN };
	int n;

	do
		n = poll(&end, 1, (int)c->seconds * 1000);
	while (n < 0 && errno == EINTR);
	if (n <= 0)
		(void)kill(-pid, SIGKILL);
	if (spawn_wait(pid, ret_status) < 0)
		return err_set(e, ECHILD, "wait for the CNI plugin %s: %s", c->type, strerror(ECHILD));
	if (n == 0)
		return err_set(e, ETIMEDOUT,
			       "CNI plugin %s: %s took longer than %u s and was ended (the network's option timeout says how "
			       "long it may)",
			       c->type, c->command, c->seconds);
	return n < 0 ? err_set(e, EIO, "wait for the CNI plugin %s", c->type) : 0;
}

static void put_words(struct buf *b, const char *s)
{
	for (; s && *s && b->len < 300; s++)
		buf_add(b, (unsigned char)*s < ' ' ? " " : s, 1);
	while (b->len && b->data[b->len - 1] == ' ')
		b->data[--b->len] = '\0';
}

/* An error of CNI is an object: {"code", "msg", "details"}. */
static int failed(const struct cni_call *c, int status, struct json_object *said, const char *text, const char *err_text,
		  struct err *e)
{
	const char *words = err_text && *err_text ? err_text : text;
	const char *msg = json_object_is_type(said, json_type_object) ? cni_conf_text(said, "msg") : NULL;
	const char *details = msg ? cni_conf_text(said, "details") : NULL;
	_cleanup_buf_ struct buf b = { 0 };

	put_words(&b, msg && *msg ? msg : words);
	if (details && *details) {
		buf_str(&b, "; ");
		put_words(&b, details);
	}
	if (b.len == 0)
		buf_fmt(&b, "it ended with status %d and said nothing", status_to_exit(status));
	return err_set(e, b.failed ? ENOMEM : EIO, "CNI plugin %s: %s: %s", c->type, c->command,
		       b.failed ? "out of memory" : b.data);
}

static int judge(const struct cni_call *c, int status, int out, int words, struct json_object **ret, struct err *e)
{
	_cleanup_free_ char *text = read_room(out), *err_text = read_room(words);
	_cleanup_json_ struct json_object *said = NULL;
	struct err why = { 0 };
	int r;

	if (!text || !err_text)
		return err_set(e, errno, "CNI plugin %s: read what it says: %s", c->type, strerror(errno));
	r = text[strspn(text, " \t\r\n")] ? json_parse(text, strlen(text), "its answer", &said, &why) : 0;
	if (strlen(text) >= CNI_ANSWER_MAX)
		return err_set(e, EFBIG, "CNI plugin %s: %s: it prints more than %d KiB", c->type, c->command,
			       CNI_ANSWER_MAX / 1024);
	if (status != 0)
		return failed(c, status, said, text, err_text, e);
	if (r < 0)
		return err_set(e, EPROTO, "CNI plugin %s: %s: %s", c->type, c->command, why.msg);
	if (ret)
		*ret = said ? json_object_get(said) : NULL;
	return 0;
}

int cni_call(const struct cni_call *c, struct json_object **ret, struct err *e)
{
	_cleanup_fd_ int in = make_input(c->config), out = make_room("answer", CNI_ANSWER_MAX),
			 words = make_room("words", CNI_ANSWER_MAX), pidfd = -1;
	_cleanup_free_ char *program = NULL;
	_cleanup_strv_ char **env = NULL;
	int status = 0, r = cni_find(c->type, c->path, &program, e);
	pid_t pid;

	if (r < 0)
		return r;
	if (in < 0 || out < 0 || words < 0 || environment(c, &env) < 0)
		return err_set(e, ENOMEM, "CNI plugin %s: there is no memory for what it reads and says", c->type);
	char *argv[] = { program, NULL };
	const int fds[][2] = { { in, 0 }, { out, 1 }, { words, 2 } };
	const struct spawn s = { .path = program,
				 .argv = argv,
				 .env = env,
				 .fds = fds,
				 .n_fds = ARRAY_SIZE(fds),
				 .new_session = true,
				 .die_with_parent = true };
	r = spawn_start(&s, &pid, &pidfd, e);
	if (r >= 0)
		r = await(c, pid, pidfd, &status, e);
	return r < 0 ? r : judge(c, status, out, words, ret, e);
}
