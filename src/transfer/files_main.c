#include "files_main.h"

#include <getopt.h>
#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { EXIT_OK, EXIT_FAILED, EXIT_USAGE };

static const struct verb {
	const char *name;
	bool needs_ends; /* --source and --dest */
	int (*run)(const struct files_options *o, struct json_object *answer, struct err *e);
} verbs[] = {
	{ "copy", true, copy_files },      { "diff", false, diff_files },     { "export", false, export_files },
	{ "commit", false, commit_files }, { "import", false, import_files },
};

static const struct verb *find_verb(const char *word)
{
	for (size_t i = 0; i < ARRAY_SIZE(verbs); i++)
		if (streq(verbs[i].name, word))
			return &verbs[i];
	return NULL;
}

bool is_files_verb(const char *word) { return find_verb(word); }

static int wrong_usage(const char *what)
{
	fprintf(stderr, "berth-transfer: %s; this verb is for berth itself\n", what);
	return -EINVAL;
}

static int read_options(int argc, char **argv, const struct verb *v, struct files_options *o)
{
	enum { ROOT = 256, SOURCE, DEST, ARCHIVE, FOLLOW, PROGRESS, MOUNT, STREAM, DEBUG, QUIET };
	static const struct option longs[] = {
		{ "root", required_argument, NULL, ROOT },
		{ "source", required_argument, NULL, SOURCE },
		{ "dest", required_argument, NULL, DEST },
		{ "archive", no_argument, NULL, ARCHIVE },
		{ "follow-link", no_argument, NULL, FOLLOW },
		{ "progress", required_argument, NULL, PROGRESS },
		{ "stream", no_argument, NULL, STREAM },
		{ "mount", required_argument, NULL, MOUNT },
		{ "debug", no_argument, NULL, DEBUG },
		{ "quiet", no_argument, NULL, QUIET },
		{ 0 },
	};
	int c;

	while ((c = getopt_long(argc, argv, "", longs, NULL)) != -1)
		switch (c) {
		case ROOT: o->root = optarg; break;
		case SOURCE: o->source = optarg; break;
		case DEST: o->dest = optarg; break;
		case ARCHIVE: o->keeps_owner = true; break;
		case FOLLOW: o->follows = true; break;
		case STREAM: o->is_stream = true; break;
		case PROGRESS: o->progress = optarg; break;
		case MOUNT:
			if (strv_push(&o->mounts, optarg) < 0)
				return wrong_usage("out of memory");
			break;
		case DEBUG: o->is_debug = true; break;
		case QUIET: break;
		default: return wrong_usage("unknown option");
		}
	if (!o->root)
		return wrong_usage("--root is missing");
	if (!v->needs_ends)
		return argc - optind == 1 ? 0 : wrong_usage("unknown operand");
	if (argc - optind != 2 || !(streq(argv[optind + 1], "out") || streq(argv[optind + 1], "in")))
		return wrong_usage("copy takes \"out\" or \"in\"");
	o->is_out = streq(argv[optind + 1], "out");
	return o->source && o->dest ? 0 : wrong_usage("--source or --dest is missing");
}

static int print_answer(struct json_object *o, const struct err *e)
{
	struct json_object *inner;

	if (e->no) {
		inner = json_object_new_object();
		json_object_object_add(inner, "no", json_object_new_int(e->no));
		json_object_object_add(inner, "msg", json_object_new_string(e->msg));
		json_object_object_add(o, "error", inner);
	}
	puts(json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE));
	return fflush(stdout) == 0 ? 0 : -EIO;
}

int files_main(int argc, char **argv)
{
	_cleanup_json_ struct json_object *answer = json_object_new_object();
	const struct verb *v = find_verb(argv[1]);
	struct files_options o = { 0 };
	struct err e = { 0 };

	if (!v || !answer || read_options(argc, argv, v, &o) < 0)
		return EXIT_USAGE;
	log_setup("berth-transfer", o.is_debug ? LOG_DEBUG_ : LOG_INFO_, false);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN);
	umask(0);
	/* Names in pax headers are UTF-8; without such a locale libarchive can't give them back. Never fatal: raw names still work. */
	setlocale(LC_CTYPE, "C.UTF-8");
	if (build_id_check(&e) >= 0 && v->run(&o, answer, &e) < 0 && !e.no)
		err_set(&e, EIO, "failed without saying why");
	strv_free(o.mounts);
	if (print_answer(answer, &e) < 0)
		return EXIT_FAILED;
	return e.no ? EXIT_FAILED : EXIT_OK;
}
