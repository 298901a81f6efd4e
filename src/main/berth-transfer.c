/* berth-transfer: images from registries. transfer.h describes its command line and what it prints; berth's engine is its
 * usual caller, but it stands on its own. */
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "image_archive.h"
#include "confine.h"
#include "pull.h"

enum { EXIT_OK, EXIT_FAILED, EXIT_USAGE };

static const char usage[] = "Usage: berth-transfer pull REF --root ROOT [OPTION...]\n"
			    "  --root ROOT            the store\n"
			    "  --platform OS/ARCH[/VARIANT]   which image of several (default: this host's)\n"
			    "  --plain-http           speak http to REF's registry, unencrypted\n"
			    "  --tls-skip-verify      accept any certificate\n"
			    "  --stall-timeout TIME   give up after so long without progress (default: 60s)\n"
			    "  --quiet                no progress\n"
			    "  --debug                log on stderr\n";

struct options {
	const char *root, *ref, *platform;
	bool plain_http, tls_skip_verify, is_quiet, is_debug;
	uint64_t stall_ms;
};

static int wrong_usage(const char *fmt, const char *what)
{
	fprintf(stderr, "berth-transfer: ");
	fprintf(stderr, fmt, what);
	fprintf(stderr, "\n%s", usage);
	return -EINVAL;
}

static int read_options(int argc, char **argv, struct options *o)
{
	enum { ROOT = 256, PLATFORM, PLAIN_HTTP, SKIP_VERIFY, STALL, QUIET, DEBUG };
	static const struct option longs[] = {
		{ "root", required_argument, NULL, ROOT },
		{ "platform", required_argument, NULL, PLATFORM },
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
		case PLAIN_HTTP: o->plain_http = true; break;
		case SKIP_VERIFY: o->tls_skip_verify = true; break;
		case QUIET: o->is_quiet = true; break;
		case DEBUG: o->is_debug = true; break;
		case STALL:
			if (str_to_duration_ms(optarg, &o->stall_ms) < 0 || o->stall_ms == 0)
				return wrong_usage("--stall-timeout \"%s\": expected a time such as 60s", optarg);
			break;
		default: return wrong_usage("%s", "unknown option");
		}
	if (optind >= argc || !streq(argv[optind], "pull"))
		return wrong_usage("unknown command \"%s\": expected pull, load or save", optind < argc ? argv[optind] : "");
	if (argc - optind != 2)
		return wrong_usage("%s", "pull takes one REF");
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

static int run(const struct options *o, struct pull_answer *ret, struct err *e)
{
	_cleanup_fd_ int signals = -1, root = -1, lock = -1;
	unsigned cpus = (unsigned)MAX(sysconf(_SC_NPROCESSORS_ONLN), 1L);
	struct confinement c = { .readable = { getenv("SSL_CERT_FILE"), getenv("SSL_CERT_DIR") } };

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
	const struct pull_request q = { .ref = o->ref,
					.platform = o->platform,
					.rootfd = root,
					.signalfd = signals,
					.plain_http = o->plain_http,
					.tls_skip_verify = o->tls_skip_verify,
					.is_quiet = o->is_quiet,
					.stall_ms = o->stall_ms,
					.max_downloads = 4,
					.max_unpacks = MAX(cpus, 2u),
					.ca_file = getenv("SSL_CERT_FILE"),
					.ca_dir = getenv("SSL_CERT_DIR"),
					.confine = confine,
					.confine_arg = &c };
	return pull(&q, ret, e);
}

/* The one line on stdout. */
static int print_answer(const struct pull_answer *a, const struct err *e)
{
	_cleanup_json_ struct json_object *o = json_object_new_object();
	struct json_object *inner;

	if (!o)
		return -ENOMEM;
	if (!e->no) {
		json_object_object_add(o, "manifest_digest", json_object_new_string(a->manifest_digest));
		json_object_object_add(o, "config_digest", json_object_new_string(a->config_digest));
		json_object_object_add(o, "ref", json_object_new_string(a->ref));
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
	_cleanup_(pull_answer_done) struct pull_answer a = {};
	struct options o = { .stall_ms = PULL_STALL_MS };
	struct err e = {};

	if (argc > 1 && (streq(argv[1], "load") || streq(argv[1], "save")))
		return archive_main(argc, argv);
	if (read_options(argc, argv, &o) < 0)
		return EXIT_USAGE;
	log_setup("berth-transfer", o.is_debug ? LOG_DEBUG_ : LOG_INFO_, false);
	/* By hand there is no engine whose build could differ. */
	if ((!getenv("BERTH_BUILD_ID") || build_id_check(&e) >= 0) && run(&o, &a, &e) < 0 && !e.no)
		err_set(&e, EIO, "the pull failed without saying why");
	if (print_answer(&a, &e) < 0)
		return EXIT_FAILED; /* nobody heard us: the caller must not believe in success */
	return e.no ? EXIT_FAILED : EXIT_OK;
}
