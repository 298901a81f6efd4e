/* The command lines of `berth-transfer load` and `save` (image_archive.h). */
#include "image_archive.h"

#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "confine.h"

enum { EXIT_OK, EXIT_FAILED, EXIT_USAGE };

static const char usage[] = "Usage: berth-transfer load --root ROOT [--platform OS/ARCH[/VARIANT]] [--quiet] [--debug] [PATH|-]\n"
			    "       berth-transfer save --root ROOT --format oci-archive|docker-archive|oci-dir\n"
			    "                           --output PATH|- | --output-fd N   MANIFEST_DIGEST=REF...\n";

struct options {
	const char *root, *platform, *output;
	int output_fd, format; /* -1 = not given */
	bool is_debug, is_quiet;
};

static const struct {
	const char *name;
	enum save_format format;
} formats[] = { { "oci-archive", SAVE_OCI_ARCHIVE },
		{ "docker-archive", SAVE_DOCKER_ARCHIVE },
		{ "oci-dir", SAVE_OCI_DIR },
		{ "oci", SAVE_OCI_DIR } };

static int wrong_usage(const char *what, const char *value)
{
	fprintf(stderr, "berth-transfer: %s%s\n%s", what, value ? value : "", usage);
	return -EINVAL;
}

static int read_options(int argc, char **argv, struct options *o)
{
	enum { ROOT = 256, PLATFORM, FORMAT, OUTPUT, OUTPUT_FD, QUIET, DEBUG };
	static const struct option longs[] = {
		{ "root", required_argument, NULL, ROOT },
		{ "platform", required_argument, NULL, PLATFORM },
		{ "format", required_argument, NULL, FORMAT },
		{ "output", required_argument, NULL, OUTPUT },
		{ "output-fd", required_argument, NULL, OUTPUT_FD },
		{ "quiet", no_argument, NULL, QUIET },
		{ "debug", no_argument, NULL, DEBUG },
		{ 0 },
	};
	uint64_t fd;
	int c;

	while ((c = getopt_long(argc, argv, "o:", longs, NULL)) != -1)
		switch (c) {
		case ROOT: o->root = optarg; break;
		case PLATFORM: o->platform = optarg; break;
		case 'o':
		case OUTPUT: o->output = optarg; break;
		case QUIET: o->is_quiet = true; break;
		case DEBUG: o->is_debug = true; break;
		case OUTPUT_FD:
			if (str_to_u64(optarg, &fd) < 0 || fd > 1023)
				return wrong_usage("--output-fd: expected a file descriptor, found ", optarg);
			o->output_fd = (int)fd;
			break;
		case FORMAT:
			for (size_t i = 0; i < ARRAY_SIZE(formats); i++)
				if (streq(formats[i].name, optarg))
					o->format = (int)formats[i].format;
			if (o->format < 0)
				return wrong_usage("--format: expected oci-archive, docker-archive or oci-dir, found ", optarg);
			break;
		default: return wrong_usage("unknown option", NULL);
		}
	return o->root ? 0 : wrong_usage("--root is missing", NULL);
}

int archive_open_root(const char *root, int *ret_lock, struct err *e)
{
	_cleanup_fd_ int fd = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int r = fd < 0 ? -errno : 0;
	_cleanup_fd_ int lock = fd < 0 ? -1 : openat(fd, "lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);

	if (r < 0)
		return err_set(e, -r, "open the store %s: %s", root, strerror(-r));
	if (lock < 0 || flock(lock, LOCK_SH) < 0)
		return err_set(e, errno, "lock the store %s: %s", root, strerror(errno));
	*ret_lock = TAKE_FD(lock);
	return TAKE_FD(fd);
}

/* ---- load ---- */

static int load(const struct options *o, const char *path, struct json_object *answer, struct err *e)
{
	_cleanup_(loaded_done) struct loaded l = { 0 };
	_cleanup_fd_ int lock = -1, in = streq(path, "-") ? fcntl(0, F_DUPFD_CLOEXEC, 3) : open(path, O_RDONLY | O_CLOEXEC);
	struct json_object *images = json_object_new_array();
	const char *readable[] = { path, NULL };
	int r;

	json_object_object_add(answer, "images", images);
	if (in < 0)
		return err_set(e, errno, "open %s: %s", path, strerror(errno));
	_cleanup_fd_ int root = archive_open_root(o->root, &lock, e);
	if (root < 0)
		return root;
	if ((r = confine_transfer(root, streq(path, "-") ? NULL : readable, e)) < 0)
		return r;
	if ((r = archive_load(root, in, o->platform, NULL, &l, e)) < 0)
		return err_push(e, r, "load %s", streq(path, "-") ? "from stdin" : path);
	for (size_t i = 0; i < l.n; i++) {
		struct json_object *image = json_object_new_object(), *refs = json_object_new_array();
		json_object_object_add(image, "manifest_digest", json_object_new_string(l.images[i].manifest_digest));
		for (char **ref = l.images[i].refs; ref && *ref; ref++)
			json_object_array_add(refs, json_object_new_string(*ref));
		json_object_object_add(image, "refs", refs);
		json_object_array_add(images, image);
	}
	return 0;
}

/* ---- save ---- */

static int open_output(const struct options *o, struct err *e)
{
	int fd;

	if (o->output_fd >= 0)
		return o->output_fd;
	if (streq(o->output, "-"))
		return 1;
	if (o->format == SAVE_OCI_DIR) {
		if (mkdir(o->output, 0755) < 0 && errno != EEXIST)
			return err_set(e, errno, "make %s: %s", o->output, strerror(errno));
		fd = open(o->output, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	} else {
		fd = open(o->output, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	}
	return fd < 0 ? err_set(e, errno, "open %s: %s", o->output, strerror(errno)) : fd;
}

static int save(const struct options *o, char **images, size_t n, struct err *e)
{
	_cleanup_free_ struct save_image *v = calloc(n, sizeof(*v));
	_cleanup_fd_ int lock = -1, root = -1;
	int r;

	if (!v)
		return err_set(e, ENOMEM, "save: out of memory");
	for (size_t i = 0; i < n; i++) {
		char *eq = strchr(images[i], '=');
		if (eq)
			*eq = '\0';
		v[i] = (struct save_image){ .manifest_digest = images[i], .ref = eq ? eq + 1 : "" };
	}
	if ((root = archive_open_root(o->root, &lock, e)) < 0)
		return root;
	int out = open_output(o, e);
	if (out < 0)
		return out;
	r = archive_save(root, (enum save_format)o->format, v, n, out, e);
	return r < 0 ? err_push(e, r, "save") : 0;
}

static void put_error(struct json_object *answer, const struct err *e)
{
	struct json_object *inner = json_object_new_object();

	json_object_object_del(answer, "images");
	json_object_object_add(inner, "no", json_object_new_int(e->no));
	json_object_object_add(inner, "msg", json_object_new_string(e->msg));
	json_object_object_add(answer, "error", inner);
}

int archive_main(int argc, char **argv)
{
	_cleanup_json_ struct json_object *answer = json_object_new_object();
	bool is_load = argc > 1 && streq(argv[1], "load");
	struct options o = { .output_fd = -1, .format = -1 };
	struct err e = { 0 };

	if (!answer || read_options(argc, argv, &o) < 0)
		return EXIT_USAGE;
	argv += optind + 1; /* behind the verb */
	argc -= optind + 1;
	if (is_load && argc > 1)
		return wrong_usage("load takes one PATH", NULL), EXIT_USAGE;
	if (!is_load && (o.format < 0 || argc < 1 || (!o.output && o.output_fd < 0)))
		return wrong_usage("save takes --format, --output or --output-fd, and images", NULL), EXIT_USAGE;
	if (!is_load && o.format == SAVE_OCI_DIR && (!o.output || streq(o.output, "-")))
		return wrong_usage("oci-dir is written to --output DIRECTORY", NULL), EXIT_USAGE;
	log_setup("berth-transfer", o.is_debug ? LOG_DEBUG_ : o.is_quiet ? LOG_WARN_ : LOG_INFO_, false);
	signal(SIGPIPE, SIG_IGN);
	if (build_id_check(&e) >= 0) {
		int r = is_load ? load(&o, argc ? argv[0] : "-", answer, &e) : save(&o, argv, (size_t)argc, &e);
		if (r < 0 && !e.no)
			err_set(&e, EIO, "failed without saying why");
	}
	if (e.no)
		put_error(answer, &e);
	bool is_mute = !is_load && o.output && streq(o.output, "-"); /* stdout is the archive */
	if (is_mute && e.no)
		log_error("save", "%s", e.msg);
	if (!is_mute) {
		puts(json_object_to_json_string_ext(answer, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE));
		if (fflush(stdout) != 0)
			return EXIT_FAILED;
	}
	return e.no ? EXIT_FAILED : EXIT_OK;
}
