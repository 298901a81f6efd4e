/* One unpacked layer against the list that was written while it was unpacked (filelist.h).
 *
 * Found: any changed byte of a file, a changed size, mode, owner, type, symlink target or device number, an entry that is missing,
 * an entry that the list does not know, a changed list (info.json holds its digest), a damaged info.json. Not found: changed
 * times and extended attributes, and the bytes of a file that only a hard link still names after its first name was replaced
 * within the same layer. */
#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "check_private.h"
#include "filelist.h"

#define LIST_MAX (1u << 30)

struct known {
	struct file_line line;
	size_t seq;
};
struct list {
	char *text;
	struct known *v; /* sorted by path, then by seq */
	size_t n;
	struct known *removed; /* the 'x' lines */
	size_t n_removed;
};

static void list_done(struct list *l)
{
	free(l->text);
	free(l->v);
	free(l->removed);
}

static int by_path_and_seq(const void *a, const void *b)
{
	const struct known *x = a, *y = b;
	int c = strcmp(x->line.path, y->line.path);

	return c ? c : (x->seq > y->seq) - (x->seq < y->seq);
}

static int list_parse(struct list *l)
{
	size_t lines = 0, seq = 0;

	for (const char *c = l->text; (c = strchr(c, '\n')); c++)
		lines++;
	l->v = calloc(lines + 1, sizeof(*l->v));
	l->removed = calloc(lines + 1, sizeof(*l->removed));
	if (!l->v || !l->removed)
		return -ENOMEM;
	for (char *at = l->text, *end; *at; at = end + 1, seq++) {
		struct known k = { .seq = seq };
		if (!(end = strchr(at, '\n')))
			return -EBADMSG;
		*end = '\0';
		if (file_line_parse(at, &k.line) < 0)
			return -EBADMSG;
		if (k.line.type == 'x')
			l->removed[l->n_removed++] = k;
		else if (k.line.type != 'o')
			l->v[l->n++] = k;
	}
	qsort(l->v, l->n, sizeof(*l->v), by_path_and_seq);
	return 0;
}

/* Was it, or a directory above it, removed by a later entry? */
static bool is_removed(const struct list *l, const struct known *k)
{
	for (size_t i = 0; i < l->n_removed; i++) {
		const struct known *x = &l->removed[i];
		const char *rest = x->seq > k->seq ? str_after(k->line.path, x->line.path) : NULL;
		if (rest && (*rest == '\0' || *rest == '/'))
			return true;
	}
	return false;
}

static bool is_superseded(const struct list *l, size_t i)
{
	return i + 1 < l->n && streq(l->v[i].line.path, l->v[i + 1].line.path);
}

/* What compare answers where a thing can't be read; errno says why. */
static const char unreadable[] = "can't be read";

static int hash_file(int fd, const struct file_line *f, char ret_hex[65])
{
	static _Thread_local uint8_t buf[128 << 10];
	struct file_hash h;
	off_t at = 0;
	ssize_t n;

	file_hash_init(&h, f->type == 's');
	for (;;) {
		if (h.is_sparse && (at = lseek(fd, at, SEEK_DATA)) < 0) {
			if (errno == ENXIO)
				break;
			return -errno;
		}
		if ((n = read(fd, buf, sizeof(buf))) < 0)
			return -errno;
		if (n == 0)
			break;
		file_hash_add(&h, (uint64_t)at, buf, (size_t)n);
		at += n;
	}
	file_hash_finish(&h, ret_hex);
	return 0;
}

static const char *compare_file(int fd, const struct file_line *f)
{
	char hex[65];

	int r = hash_file(fd, f, hex);

	if (r < 0) {
		errno = -r;
		return unreadable;
	}
	return f->sha && streq(hex, f->sha) ? NULL : "its content has changed";
}

static const char *compare_link(int fd, const struct file_line *f)
{
	char target[4097];
	ssize_t n = readlinkat(fd, "", target, sizeof(target) - 1);

	if (n < 0)
		return unreadable;
	target[n] = '\0';
	return f->target && streq(target, f->target) ? NULL : "its target has changed";
}

static mode_t type_of(char t)
{
	switch (t) {
	case 'f':
	case 's': return S_IFREG;
	case 'd': return S_IFDIR;
	case 'l': return S_IFLNK;
	case 'b': return S_IFBLK;
	case 'p': return S_IFIFO;
	default: return S_IFCHR; /* c, w */
	}
}

/* What is wrong with the entry, or NULL. */
static const char *compare(int diff, const struct file_line *f)
{
	struct stat st;
	_cleanup_fd_ int fd = root_open(diff, f->path, O_PATH | O_NOFOLLOW, 0);

	if (fd < 0 || fstat(fd, &st) < 0) {
		int no = fd < 0 ? -fd : errno;
		errno = no;
		return no == ENOENT || no == ENOTDIR ? "is missing" : unreadable;
	}
	if (f->type == 'h')
		return S_ISDIR(st.st_mode) ? "is a directory" : NULL;
	if ((st.st_mode & S_IFMT) != type_of(f->type))
		return "is of another type";
	if (f->type != 'l' && (st.st_mode & 07777) != f->mode)
		return "its mode has changed";
	if (st.st_uid != f->uid || st.st_gid != f->gid)
		return "its owner has changed";
	if (type_of(f->type) == S_IFCHR || f->type == 'b')
		return st.st_rdev == (f->type == 'w' ? 0 : f->size) ? NULL : "its device number has changed";
	if (f->type == 'l')
		return compare_link(fd, f);
	if (f->type != 'f' && f->type != 's')
		return NULL;
	if ((uint64_t)st.st_size != f->size)
		return "its size has changed";
	/* Known to be a regular file: opening it can't block. */
	_cleanup_fd_ int rd = root_open(diff, f->path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK, 0);
	if (rd < 0)
		errno = -rd;
	return rd < 0 ? unreadable : compare_file(rd, f);
}

static bool is_known(const struct list *l, const char *path)
{
	size_t low = 0, high = l->n;

	while (low < high) {
		size_t mid = low + (high - low) / 2;
		int c = strcmp(l->v[mid].line.path, path);
		if (c == 0)
			return true;
		if (c < 0)
			low = mid + 1;
		else
			high = mid;
	}
	return false;
}

/* Entries that the list does not know. Takes fd. */
static void look_for_strangers(struct check *c, const struct list *l, int fd, const char *at)
{
	DIR *d = fdopendir(fd);
	struct dirent *entry;

	if (!d) {
		int no = errno;
		fd_close(fd);
		check_unreadable(c, no, *at ? at : ".");
		return;
	}
	while ((entry = readdir(d))) {
		if (streq(entry->d_name, ".") || streq(entry->d_name, ".."))
			continue;
		_cleanup_free_ char *path = str_fmt("%s%s%s", at, *at ? "/" : "", entry->d_name);
		if (!path)
			break;
		if (!is_known(l, path)) {
			check_report(c, "%s: was not in the layer", path);
			continue;
		}
		int sub = entry->d_type == DT_DIR
				  ? openat(dirfd(d), entry->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
				  : -1;
		if (sub >= 0)
			look_for_strangers(c, l, sub, path);
	}
	closedir(d);
}

struct info {
	char *chain_id, *list;
};

/* Reads and judges info.json and the list. 0, or -errno after the problem was reported. */
static int read_list(struct check *c, int layerfd, const char *chain, struct list *ret)
{
	static const struct field fields[] = { { "chain_id", FIELD_STRING, offsetof(struct info, chain_id), FIELD_REQUIRED },
					       { "list", FIELD_STRING, offsetof(struct info, list), FIELD_REQUIRED },
					       { 0 } };
	_cleanup_json_ struct json_object *o = NULL;
	_cleanup_free_ char *text = NULL;
	struct info i = { 0 };
	char is[DIGEST_LEN] = "";
	struct err e = { 0 };
	size_t len = 0;
	int r = file_read(layerfd, "info.json", 1 << 16, &text, &len);

	if (r < 0)
		err_set(&e, -r, "info.json: %s", strerror(-r));
	else if ((r = json_parse(text, len, "info.json", &o, &e)) == 0)
		r = json_read(o, fields, &i, "", &e);
	if (r == 0 && !streq(i.chain_id, chain))
		r = err_set(&e, EBADMSG, "info.json speaks of layer %s", i.chain_id);
	if (r == 0 && (r = file_read(layerfd, "files", LIST_MAX, &ret->text, &len)) < 0)
		err_set(&e, -r, "its file list: %s", strerror(-r));
	if (r == 0) {
		sha256_digest_str(ret->text, len, is);
		if (!streq(is, i.list))
			r = err_set(&e, EBADMSG, "its file list has changed");
		else if ((r = list_parse(ret)) < 0)
			err_set(&e, -r, "its file list: %s", strerror(-r));
	}
	if (r < 0)
		check_report(c, "%s", e.msg);
	json_free_fields(fields, &i);
	return r;
}

void check_layer(struct check *c, int layersfd, const char *hex)
{
	_cleanup_(list_done) struct list l = { 0 };
	char chain[DIGEST_LEN];

	snprintf(chain, sizeof(chain), "sha256:%.64s", hex);
	_cleanup_fd_ int layerfd = openat(layersfd, hex, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	_cleanup_fd_ int diff = layerfd < 0 ? -1 : openat(layerfd, "diff", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (diff < 0) {
		check_unreadable(c, errno, "its files");
		return;
	}
	if (read_list(c, layerfd, chain, &l) < 0)
		return;
	for (size_t i = 0; i < l.n; i++) {
		const char *problem = is_superseded(&l, i) || is_removed(&l, &l.v[i]) ? NULL : compare(diff, &l.v[i].line);
		if (problem == unreadable)
			check_unreadable(c, errno, l.v[i].line.path);
		else if (problem)
			check_report(c, "%s: %s", l.v[i].line.path, problem);
	}
	look_for_strangers(c, &l, openat(diff, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), "");
}
