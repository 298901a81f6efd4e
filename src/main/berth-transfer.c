/* berth-transfer: images from registries. transfer.h describes its command line and what it prints; berth's engine is its
 * usual caller, but it stands on its own. */
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "image_archive.h"
#include "confine.h"
#include "files_main.h"
#include "login.h"
#include "pull.h"
#include "push.h"
#include "search.h"
#include "unpack_private.h"

enum { EXIT_OK, EXIT_FAILED, EXIT_USAGE };

#ifdef __SANITIZE_ADDRESS__
/* LeakSanitizer reads /proc and traces at the end of a process, which a copier may no more. Here: libraries' symbols stay inside. */
__attribute__((visibility("default"))) int __lsan_is_turned_off(void);
int __lsan_is_turned_off(void) { return unpack_is_copier(); }
#endif

static const char usage[] =
	"Usage: berth-transfer pull REF --root ROOT [OPTION...]\n"
	"       berth-transfer push REF --root ROOT --manifest DIGEST [OPTION...]\n"
	"       berth-transfer login DOMAIN --root ROOT --user USER [OPTION...]   (the password on standard input)\n"
	"       berth-transfer logout DOMAIN --root ROOT\n"
	"       berth-transfer search DOMAIN --root ROOT --limit N --term TERM|--tags PATH [OPTION...]\n"
	"  --root ROOT            the store\n"
	"  --platform OS/ARCH[/VARIANT]   which image of several (default: this host's)\n"
	"  --manifest DIGEST      which image of the store is pushed\n"
	"  --sibling PATH=DIGEST  an image that is in another repository of REF's registry\n"
	"  --plain-http           speak http to REF's registry, unencrypted\n"
	"  --tls-skip-verify      accept any certificate\n"
	"  --stall-timeout TIME   give up after so long without progress (default: 60s)\n"
	"  --quiet                no progress\n"
	"  --debug                log on stderr\n";

struct options {
	const char *verb, *root, *ref, *platform, *manifest, *user, *term, *tags;
	uint64_t limit;
	struct push_sibling *siblings;
	size_t n_siblings;
	bool is_quiet, is_debug;
	struct registry_access access;
};

static int wrong_usage(const char *fmt, const char *what)
{
	fprintf(stderr, "berth-transfer: ");
	fprintf(stderr, fmt, what);
	fprintf(stderr, "\n%s", usage);
	return -EINVAL;
}

static int add_sibling(struct options *o, char *text)
{
	char *eq = strchr(text, '=');
	struct push_sibling *more = eq ? reallocarray(o->siblings, o->n_siblings + 1, sizeof(*more)) : NULL;

	if (!more)
		return wrong_usage("--sibling \"%s\": expected PATH=MANIFEST_DIGEST", text);
	*eq = '\0';
	o->siblings = more;
	more[o->n_siblings++] = (struct push_sibling){ text, eq + 1 };
	return 0;
}

static bool is_verb(const char *word)
{
	static const char *const verbs[] = { "pull", "push", "login", "logout", "search" };

	for (size_t i = 0; i < ARRAY_SIZE(verbs); i++)
		if (streq(verbs[i], word))
			return true;
	return false;
}

static int read_options(int argc, char **argv, struct options *o)
{
	enum { ROOT = 256, PLATFORM, MANIFEST, SIBLING, USER, TERM, TAGS, LIMIT, PLAIN_HTTP, SKIP_VERIFY, STALL, QUIET, DEBUG };
	static const struct option longs[] = {
		{ "root", required_argument, NULL, ROOT },
		{ "platform", required_argument, NULL, PLATFORM },
		{ "manifest", required_argument, NULL, MANIFEST },
		{ "sibling", required_argument, NULL, SIBLING },
		{ "user", required_argument, NULL, USER },
		{ "term", required_argument, NULL, TERM },
		{ "tags", required_argument, NULL, TAGS },
		{ "limit", required_argument, NULL, LIMIT },
		{ "plain-http", no_argument, NULL, PLAIN_HTTP },
		{ "tls-skip-verify", no_argument, NULL, SKIP_VERIFY },
		{ "stall-timeout", required_argument, NULL, STALL },
		{ "quiet", no_argument, NULL, QUIET },
		{ "debug", no_argument, NULL, DEBUG },
		{},
	};
	int c;

	while ((c = getopt_long(argc, argv, "", longs, NULL)) != -1)
		switch (c) {
		case ROOT: o->root = optarg; break;
		case PLATFORM: o->platform = optarg; break;
		case MANIFEST: o->manifest = optarg; break;
		case USER: o->user = optarg; break;
		case TERM: o->term = optarg; break;
		case TAGS: o->tags = optarg; break;
		case LIMIT:
			if (str_to_u64(optarg, &o->limit) < 0 || o->limit == 0 || o->limit > SEARCH_MAX)
				return wrong_usage("--limit \"%s\": expected a number from 1 to 10000", optarg);
			break;
		case SIBLING:
			if (add_sibling(o, optarg) < 0)
				return -EINVAL;
			break;
		case PLAIN_HTTP: o->access.plain_http = true; break;
		case SKIP_VERIFY: o->access.tls_skip_verify = true; break;
		case QUIET: o->is_quiet = true; break;
		case DEBUG: o->is_debug = true; break;
		case STALL:
			if (str_to_duration_ms(optarg, &o->access.stall_ms) < 0 || o->access.stall_ms == 0)
				return wrong_usage("--stall-timeout \"%s\": expected a time such as 60s", optarg);
			break;
		default: return wrong_usage("%s", "unknown option");
		}
	if (optind >= argc || !is_verb(argv[optind]))
		return wrong_usage("unknown command \"%s\": expected pull, push, login, logout, search, load or save",
				   optind < argc ? argv[optind] : "");
	o->verb = argv[optind];
	if (argc - optind != 2)
		return wrong_usage("%s takes one operand", argv[optind]);
	if (streq(o->verb, "push") != !!o->manifest)
		return wrong_usage("%s", "--manifest belongs to push, which needs it");
	if (streq(o->verb, "login") != !!o->user)
		return wrong_usage("%s", "--user belongs to login, which needs it");
	if (streq(o->verb, "search") != (!o->term != !o->tags && o->limit))
		return wrong_usage("%s", "--limit, and --term or --tags, belong to search, which needs them");
	o->ref = argv[optind + 1];
	return o->root ? 0 : wrong_usage("%s", "--root is missing");
}

/* SIGINT, SIGTERM and SIGHUP become readable, so that unpacks are removed on the way out. */
static int stop_signals(struct err *e)
{
	sigset_t set;
	int fd;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGHUP);
	signal(SIGPIPE, SIG_IGN); /* broken pipes and sockets are told by errno */
	if (sigprocmask(SIG_BLOCK, &set, NULL) < 0 || (fd = signalfd(-1, &set, SFD_CLOEXEC)) < 0)
		return err_set(e, errno, "signalfd: %s", strerror(errno));
	return fd;
}

static int open_root(const char *root, int *ret_lock, struct err *e)
{
	_cleanup_fd_ int fd = -1, lock = -1;
	int r = mkdir_p(AT_FDCWD, root, 0700);

	if (r < 0)
		return err_set(e, -r, "make the store %s: %s", root, strerror(-r));
	fd = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return err_set(e, errno, "open the store %s: %s", root, strerror(errno));
	lock = openat(fd, "lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (lock < 0 || flock(lock, LOCK_SH) < 0)
		return err_set(e, errno, "lock the store %s: %s", root, strerror(errno));
	*ret_lock = TAKE_FD(lock);
	return TAKE_FD(fd);
}

struct confinement {
	int rootfd;
	const char *readable[3];
};
static int confine(void *arg, struct err *e)
{
	const struct confinement *c = arg;

	return confine_transfer(c->rootfd, c->readable, e);
}

/* What either deed says on success. */
struct answer {
	struct pull_answer pulled;
	struct push_answer pushed;
	struct credential_place kept;
	struct json_object *found;
	bool is_login, is_logout, was_logged_in;
};

#define PASSWORD_MAX (64u << 10)

static int run_login(const struct options *o, const struct registry_access *access, struct answer *ret, struct err *e)
{
	_cleanup_credential_ struct credential cred = { .user = strdup(o->user) };
	const struct login_request q = { .domain = o->ref, .cred = &cred, .access = *access };
	size_t len;
	int r = fd_read_all(STDIN_FILENO, PASSWORD_MAX, &cred.password, &len);

	if (r < 0 || !cred.user)
		return err_set(e, r < 0 ? -r : ENOMEM, "read the password: %s", strerror(r < 0 ? -r : ENOMEM));
	ret->is_login = true;
	return login(&q, &ret->kept, e);
}

static int run_push(const struct options *o, const struct registry_access *access, int rootfd, int signals,
		    struct push_answer *ret, struct err *e)
{
	const struct push_request q = { .ref = o->ref,
					.manifest_digest = o->manifest,
					.siblings = o->siblings,
					.n_siblings = o->n_siblings,
					.rootfd = rootfd,
					.signalfd = signals,
					.is_quiet = o->is_quiet,
					.max_uploads = 4,
					.access = *access };

	return push(&q, ret, e);
}

static int run(const struct options *o, struct answer *ret, struct err *e)
{
	_cleanup_fd_ int signals = -1, root = -1, lock = -1;
	unsigned cpus = (unsigned)MAX(sysconf(_SC_NPROCESSORS_ONLN), 1L);
	struct confinement c = { .readable = { o->access.ca_file, o->access.ca_dir } };
	struct registry_access access = o->access;

	signals = stop_signals(e);
	if (signals < 0)
		return signals;
	root = open_root(o->root, &lock, e);
	if (root < 0)
		return root;
	c.rootfd = root;
	if (!c.readable[0] && c.readable[1]) {
		c.readable[0] = c.readable[1];
		c.readable[1] = NULL;
	}
	access.confine = confine;
	access.confine_arg = &c;
	if (streq(o->verb, "push"))
		return run_push(o, &access, root, signals, &ret->pushed, e);
	if (o->user) /* login */
		return run_login(o, &access, ret, e);
	if (streq(o->verb, "logout")) {
		ret->is_logout = true;
		return credential_erase(o->ref, environ, &ret->was_logged_in, e);
	}
	if (streq(o->verb, "search")) {
		const struct search_request q = {
			.domain = o->ref, .term = o->term, .tags = o->tags, .limit = (unsigned)o->limit, .access = access
		};
		return search(&q, &ret->found, e);
	}
	const struct pull_request q = { .ref = o->ref,
					.platform = o->platform,
					.rootfd = root,
					.signalfd = signals,
					.is_quiet = o->is_quiet,
					.max_downloads = 4,
					.max_unpacks = MAX(cpus, 2u),
					.access = access };
	return pull(&q, &ret->pulled, e);
}

static void answer_done(struct answer *a)
{
	pull_answer_done(&a->pulled);
	push_answer_done(&a->pushed);
	credential_place_done(&a->kept);
	json_object_put(a->found);
}

/* The one line on stdout. */
static int print_answer(const struct answer *a, const struct err *e)
{
	_cleanup_json_ struct json_object *o = json_object_new_object();
	struct json_object *inner;

	if (!o)
		return -ENOMEM;
	if (!e->no && a->pushed.ref) {
		json_object_object_add(o, "ref", json_object_new_string(a->pushed.ref));
		json_object_object_add(o, "size", json_object_new_int64((int64_t)a->pushed.bytes));
	} else if (!e->no && a->is_login) {
		json_object_object_add(o, "file", json_object_new_string(a->kept.file));
		if (a->kept.helper)
			json_object_object_add(o, "helper", json_object_new_string(a->kept.helper));
	} else if (!e->no && a->found) {
		json_object_object_add(o, "found", json_object_get(a->found));
	} else if (!e->no && a->is_logout) {
		json_object_object_add(o, "found", json_object_new_boolean(a->was_logged_in));
	} else if (!e->no) {
		json_object_object_add(o, "manifest_digest", json_object_new_string(a->pulled.manifest_digest));
		json_object_object_add(o, "config_digest", json_object_new_string(a->pulled.config_digest));
		json_object_object_add(o, "ref", json_object_new_string(a->pulled.ref));
	} else {
		inner = json_object_new_object();
		json_object_object_add(inner, "no", json_object_new_int(e->no));
		json_object_object_add(inner, "msg", json_object_new_string(e->msg));
		json_object_object_add(o, "error", inner);
	}
	puts(json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE));
	return fflush(stdout) == 0 ? 0 : -errno;
}

int main(int argc, char **argv)
{
	_cleanup_(answer_done) struct answer a = {};
	struct options o = {
		.access = { .stall_ms = ACCESS_STALL_MS, .ca_file = getenv("SSL_CERT_FILE"), .ca_dir = getenv("SSL_CERT_DIR") }
	};
	struct err e = {};

	if (argc > 1 && (streq(argv[1], "load") || streq(argv[1], "save")))
		return archive_main(argc, argv);
	if (argc > 1 && is_files_verb(argv[1]))
		return files_main(argc, argv);
	if (read_options(argc, argv, &o) < 0)
		return EXIT_USAGE;
	log_setup("berth-transfer", o.is_debug ? LOG_DEBUG_ : LOG_INFO_, false);
	/* By hand there is no engine whose build could differ. */
	if ((!getenv("BERTH_BUILD_ID") || build_id_check(&e) >= 0) && run(&o, &a, &e) < 0 && !e.no)
		err_set(&e, EIO, "failed without saying why");
	free(o.siblings);
	if (print_answer(&a, &e) < 0)
		return EXIT_FAILED; /* nobody heard us: the caller must not believe in success */
	return e.no ? EXIT_FAILED : EXIT_OK;
}
