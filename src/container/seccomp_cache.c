/* Compiled filters on disk, one file a profile: DIR/KEY where KEY is the SHA-256 of all that the filter depends on. Written whole
 * under a temporary name by whoever compiles; read by every start. A file that is damaged, of another version or of a
 * wrong size is not trusted but compiled anew: the cache can be deleted at any time.
 *
 *   8 bytes "BERTHBPF" | u32 version | u32 instructions | u32 flags | u32 0 | 32 bytes SHA-256 of the instructions | instructions
 * Native byte order: the key holds the machine. */
#include <linux/seccomp.h>
#include <seccomp.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "seccomp_impl.h"

#define MAGIC   "BERTHBPF"
#define VERSION 3 /* of this layout and of what the compiler makes of a profile: part of the key */

struct header {
	char magic[8];
	uint32_t version, n_insns, flags, zero;
	uint8_t sha256[SHA256_DIGEST_SIZE];
};

/* ---- the key ---- */

static void hash_number(struct sha256_ctx *h, uint64_t v) { sha256_update(h, sizeof v, (const uint8_t *)&v); }

/* Length first, so that no two profiles run into the same bytes. */
static void hash_text(struct sha256_ctx *h, const char *s)
{
	size_t n = s ? strlen(s) : 0;

	hash_number(h, s ? n : UINT64_MAX);
	sha256_update(h, n, (const uint8_t *)s);
}

static void hash_list(struct sha256_ctx *h, char *const *v)
{
	hash_number(h, strv_len(v));
	for (; v && *v; v++)
		hash_text(h, *v);
}

static void hash_rule(struct sha256_ctx *h, const struct spec_seccomp_rule *r)
{
	hash_list(h, r->names);
	hash_text(h, r->action);
	hash_number(h, r->has_errno ? r->errno_ret : UINT64_MAX);
	hash_number(h, r->n_args);
	for (size_t i = 0; i < r->n_args; i++) {
		hash_number(h, r->args[i].index);
		hash_number(h, r->args[i].value);
		hash_number(h, r->args[i].value_two);
		hash_text(h, r->args[i].op);
	}
}

#define KEY_LEN (2 * SHA256_DIGEST_SIZE)

/* What every filter depends on beside its profile. */
static void key_begin(struct sha256_ctx *h)
{
	const struct scmp_version *lib = seccomp_version();
	struct utsname u = { 0 };

	(void)uname(&u); /* fails for a bad pointer only */
	sha256_init(h);
	hash_number(h, VERSION);
	hash_number(h, lib->major);
	hash_number(h, lib->minor);
	hash_number(h, lib->micro);
	hash_text(h, u.machine);
}

static void key_end(struct sha256_ctx *h, char ret[KEY_LEN + 1])
{
	uint8_t digest[SHA256_DIGEST_SIZE];

	sha256_digest(h, sizeof digest, digest);
	str_hex(digest, sizeof digest, ret);
}

static void make_key(const struct spec_seccomp *p, char ret[KEY_LEN + 1])
{
	struct sha256_ctx h;

	key_begin(&h);
	hash_text(&h, p->default_action);
	hash_number(&h, p->has_default_errno ? p->default_errno : UINT64_MAX);
	hash_list(&h, p->architectures);
	hash_list(&h, p->flags);
	hash_text(&h, p->listener_path);
	hash_number(&h, p->n_rules);
	for (size_t i = 0; i < p->n_rules; i++)
		hash_rule(&h, &p->rules[i]);
	key_end(&h, ret);
}

/* The built-in profile is what this build makes it. A tree with changes of its own ("+") has no name to go by. */
static bool make_default_key(uint64_t caps, char ret[KEY_LEN + 1])
{
	struct sha256_ctx h;

	if (strchr(build_id(), '+'))
		return false;
	key_begin(&h);
	hash_text(&h, "built-in");
	hash_text(&h, build_id());
	hash_number(&h, caps);
	key_end(&h, ret);
	return true;
}

/* ---- the file ---- */

static void checksum(const void *p, size_t n, uint8_t ret[SHA256_DIGEST_SIZE])
{
	struct sha256_ctx h;

	sha256_init(&h);
	sha256_update(&h, n, p);
	sha256_digest(&h, SHA256_DIGEST_SIZE, ret);
}

/* 0 only with a whole and right filter; anything else means "compile". */
static int cache_read(int dirfd, const char *key, struct seccomp_prog *ret)
{
	_cleanup_fd_ int fd = openat(dirfd, key, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	_cleanup_free_ struct sock_filter *insns = NULL;
	uint8_t sum[SHA256_DIGEST_SIZE], extra;
	struct header h;
	size_t n;

	if (fd < 0)
		return -errno;
	if (fd_read_full(fd, &h, sizeof h) != (ssize_t)sizeof h || memcmp(h.magic, MAGIC, sizeof h.magic) != 0 ||
	    h.version != VERSION || h.zero != 0 || h.n_insns == 0 || h.n_insns > BPF_MAXINSNS)
		return -EBADMSG;
	n = h.n_insns * sizeof *insns;
	insns = malloc(n);
	if (!insns)
		return -ENOMEM;
	if (fd_read_full(fd, insns, n) != (ssize_t)n || fd_read_full(fd, &extra, 1) != 0)
		return -EBADMSG;
	checksum(insns, n, sum);
	if (memcmp(sum, h.sha256, sizeof sum) != 0)
		return -EBADMSG;
	*ret = (struct seccomp_prog){ .filters = TAKE_PTR(insns), .n_filters = h.n_insns, .flags = h.flags };
	return 0;
}

static int cache_write(int dirfd, const char *key, const struct seccomp_prog *p)
{
	size_t n = p->n_filters * sizeof(struct sock_filter);
	struct header h = { .version = VERSION, .n_insns = (uint32_t)p->n_filters, .flags = p->flags };
	_cleanup_buf_ struct buf b = { 0 };

	memcpy(h.magic, MAGIC, sizeof h.magic);
	checksum(p->filters, n, h.sha256);
	buf_add(&b, &h, sizeof h);
	buf_add(&b, p->filters, n);
	return b.failed ? -ENOMEM : file_replace_clean(dirfd, key, b.data, b.len, 0600);
}

static int cache_open(const char *dir, int *ret_fd, struct err *e)
{
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC), r;

	if (fd < 0 && errno == ENOENT) {
		r = mkdir_p(AT_FDCWD, dir, 0700);
		if (r < 0)
			return err_set(e, -r, "make the seccomp cache %s: %s", dir, strerror(-r));
		fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	}
	if (fd < 0)
		return err_set(e, errno, "open the seccomp cache %s: %s", dir, strerror(errno));
	*ret_fd = fd;
	return 0;
}

/* A full disk costs the next start its time, not this one its life. */
static void keep(int dirfd, const char *key, const struct seccomp_prog *p)
{
	int r = cache_write(dirfd, key, p);

	if (r < 0)
		log_debug("seccomp", "cache: %s not written: %s", key, strerror(-r));
}

static int get(const struct spec_seccomp *p, const char *cache_dir, struct seccomp_prog *ret, struct err *e)
{
	char key[KEY_LEN + 1];
	_cleanup_fd_ int dirfd = -1;
	int r;

	if (!cache_dir)
		return seccomp_compile(p, ret, e);
	make_key(p, key);
	r = cache_open(cache_dir, &dirfd, e);
	if (r < 0 || cache_read(dirfd, key, ret) == 0)
		return r;
	r = seccomp_compile(p, ret, e);
	if (r == 0)
		keep(dirfd, key, ret);
	return r;
}

int container_seccomp_get(const struct spec *s, const char *cache_dir, struct seccomp_prog *ret, struct err *e)
{
	if (s->seccomp)
		return get(s->seccomp, cache_dir, ret, e);
	*ret = (struct seccomp_prog){ 0 };
	return 0;
}

int container_seccomp_get_default(uint64_t caps, const char *cache_dir, struct seccomp_prog *ret, struct err *e)
{
	struct spec_seccomp *profile = NULL;
	char key[KEY_LEN + 1];
	_cleanup_fd_ int dirfd = -1;
	bool has_key = cache_dir && make_default_key(caps, key);
	int r = has_key ? cache_open(cache_dir, &dirfd, e) : 0;

	if (r < 0 || (has_key && cache_read(dirfd, key, ret) == 0))
		return r;
	r = container_seccomp_default(caps, &profile, e);
	if (r == 0)
		r = get(profile, cache_dir, ret, e);
	if (r == 0 && has_key)
		keep(dirfd, key, ret);
	if (profile)
		seccomp_profile_free(profile);
	return r;
}
