/* The table of commands: found by their words, advised when wrong, documented, and without clashing options. */
#include "cli.h"
#include "output.h"
#include "ps_row.h"
#include "run_args.h"

#include "tap.h"

static const struct command *find(const char *a, const char *b, int *words)
{
	char *argv[] = { tap_keep(strdup(a)), b ? tap_keep(strdup(b)) : NULL, NULL };

	return command_find(b ? 2 : 1, argv, words);
}

TEST(verbs_are_found_by_one_word_or_two)
{
	int words;

	is_str(find("run", "image", &words)->name, "run");
	is_int(words, 1);
	is_str(find("image", "prune", &words)->name, "image prune");
	is_int(words, 2);
	is_str(find("image", "ls", &words)->name, "images");
	is_str(find("container", "rm", &words)->name, "rm");
	ok(!find("container", "sing", &words));
	ok(!find("image prune", NULL, &words));
}

static const char *advice(const char *a, const char *b)
{
	static struct err e;
	char *argv[] = { tap_keep(strdup(a)), b ? tap_keep(strdup(b)) : NULL, NULL };

	e = (struct err){ 0 };
	is_int(command_unknown(b ? 2 : 1, argv, &e), -EINVAL);
	return e.msg;
}

TEST(a_wrong_verb_is_answered_with_the_nearest)
{
	has_str(advice("rnu", NULL), "did you mean \"berth run\"?");
	has_str(advice("imagse", NULL), "did you mean \"berth images\"?");
	has_str(advice("image", "lss"), "did you mean \"berth image ls\"?");
	has_str(advice("image", NULL), "image needs a verb");
	has_str(advice("qqqqqqqq", NULL), "berth --help");
}

TEST(every_option_has_one_name_and_letter)
{
	for (size_t i = 0; i < n_commands; i++) {
		for (const struct opt *o = commands[i].options; o && o->name; o++) {
			for (const struct opt *p = o + 1; p->name; p++) {
				if (streq(o->name, p->name) || (o->letter && o->letter == p->letter))
					TAP_FAIL("%s: --%s and --%s clash", commands[i].name, o->name, p->name);
			}
			if ((o->type != OPT_FLAG && o->type != OPT_FLAG_OFF) != !!o->arg)
				TAP_FAIL("%s: --%s: only what takes a value names one", commands[i].name, o->name);
		}
	}
}

TEST(every_verb_has_its_page)
{
	const char *root = getenv("MESON_SOURCE_ROOT");

	if (!root)
		skip("MESON_SOURCE_ROOT is not set");
	for (size_t i = 0; i < n_commands; i++) {
		_cleanup_free_ char *path = str_fmt("%s/docs/man/berth-%s.1.scd", root, commands[i].name);
		for (char *c = path + strlen(root); *c; c++)
			*c = *c == ' ' ? '-' : *c;
		if (!(commands[i].flags & CMD_HIDDEN) && access(path, R_OK) < 0)
			TAP_FAIL("%s has no page %s", commands[i].name, path);
	}
}

TEST(R21_control_bytes_can_not_drive_the_terminal)
{
	char text[] = "a\033[2Jb\x7f\xc2\x9b"
		      "c\td\n";

	is_str(text_defuse(text), "a?[2Jb???c\td\n");
}

/* ---- run's own parts ---- */

static char *temp_file(const char *content)
{
	char *path = tap_keep(strdup("/tmp/berth-cli-test-XXXXXX"));
	int fd = mkstemp(path);

	ok(fd >= 0 && fd_write_full(fd, content, strlen(content)) == 0);
	close(fd);
	return path;
}

TEST(an_env_file_is_read_line_by_line)
{
	char *path = temp_file("# comment\nA=1\n\n  B=two words\r\nC\nD=x#y\n");
	char **v = NULL;
	struct err e = { 0 };

	is_int(env_file_read(path, &v, &e), 0);
	unlink(path);
	is_int(strv_len(v), 4);
	is_str(v[0], "A=1");
	is_str(v[1], "B=two words");
	is_str(v[2], "C");
	is_str(v[3], "D=x#y");
	strv_free(v);
}

TEST(an_env_files_mistake_is_named_with_its_line)
{
	char *path = temp_file("A=1\nB C=2\n"), *other = temp_file("=x\n");
	char **v = NULL;
	struct err e = { 0 };

	is_int(env_file_read(path, &v, &e), -EINVAL);
	has_str(e.msg, ":2: \"B C\": a variable name can't hold white space");
	is_int(env_file_read(other, &v, &e), -EINVAL);
	has_str(e.msg, ":1: \"=x\" has no variable name");
	unlink(path);
	unlink(other);
	is_int(env_file_read("/nonexistent/x", &v, &e), -ENOENT);
	has_str(e.msg, "/nonexistent/x: No such file");
	strv_free(v);
}

TEST(a_bare_name_takes_the_value_of_our_environment)
{
	char **v = NULL;
	struct err e = { 0 };

	setenv("BERTH_TEST_X", "val", 1);
	unsetenv("BERTH_TEST_Y");
	strv_push(&v, "BERTH_TEST_X");
	strv_push(&v, "BERTH_TEST_Y");
	strv_push(&v, "Z=");
	is_int(env_complete(v, &e), 0);
	is_str(v[0], "BERTH_TEST_X=val");
	is_str(v[1], "BERTH_TEST_Y");
	is_str(v[2], "Z=");
	strv_free(v);
}

/* ---- ps ---- */

static struct container_record record(enum container_state s)
{
	struct container_record c = { .id = strdup("0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"),
				      .name = strdup("calm_tern"),
				      .image_id = strdup("sha256:aa"),
				      .image_ref = strdup("debian:12"),
				      .isolation = strdup("container"),
				      .state = s,
				      .created_ns = 1000000000ull * 1000,
				      .started_ns = 1000000000ull * 2000,
				      .finished_ns = 1000000000ull * 3000 };

	c.options_json = strdup("{\"image\":\"debian:12\",\"args\":[\"sh\",\"-c\",\"while true; do sleep 1; done\"]}");
	return c;
}

TEST(ps_tells_the_state_in_dockers_words)
{
	const uint64_t now = 1000000000ull * 3600;
	struct container_record c = record(CS_RUNNING);

	is_str(tap_keep(ps_status(&c, now)), "Up 26 minutes");
	c.state = CS_EXITED;
	c.exit_code = 3;
	is_str(tap_keep(ps_status(&c, now)), "Exited (3) 10 minutes ago");
	c.exit_code = -1;
	is_str(tap_keep(ps_status(&c, now)), "Exited (unknown) 10 minutes ago");
	c.state = CS_CREATED;
	is_str(tap_keep(ps_status(&c, now)), "Created");
	container_record_done(&c);
}

TEST(a_ps_row_shortens_what_is_long)
{
	struct container_record c = record(CS_RUNNING);
	struct json_object *row;
	struct err e = { 0 };

	is_int(ps_row(&c, 1000000000ull * 3600, false, &row, &e), 0);
	is_str(json_object_get_string(json_object_object_get(row, "ID")), "0123456789ab");
	is_str(json_object_get_string(json_object_object_get(row, "Command")), "\"sh -c 'while true; …\"");
	json_object_put(row);
	is_int(ps_row(&c, 1000000000ull * 3600, true, &row, &e), 0);
	is_int(strlen(json_object_get_string(json_object_object_get(row, "ID"))), 64);
	has_str(json_object_get_string(json_object_object_get(row, "Command")), "done");
	json_object_put(row);
	container_record_done(&c);
}

TAP_MAIN()
